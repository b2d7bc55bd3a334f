//! What is compared, checked: every run of an experiment and its configuration, before any of them begins.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use daogou_nn::rng::hash;

use super::axis::{Point, points};
use super::spec::{Spec, assignments};
use crate::schema::{Config, FractionBy, ModelKind, Task};
use crate::simulate;
use crate::{Error, Result};

/// Seeds where the file says nothing, and the least from which intervals are worth much.
pub const SEEDS: u64 = 5;

/// An experiment whose every run is known.
#[derive(Clone, Debug)]
pub struct Design {
    pub(super) title: String,
    pub(super) note: String,
    pub(super) source: Source,
    /// What differs between the points; `None` with a single one.
    pub(super) axis: Option<String>,
    pub(super) points: Vec<Point>,
    pub(super) variants: Vec<Variant>,
    pub(super) seeds: Vec<u64>,
    /// Index of the variant that the others are compared with.
    pub(super) baseline: usize,
    pub(super) world_per_seed: bool,
    fraction_by: FractionBy,
    shared: Vec<String>,
}

/// Where the log is.
#[derive(Clone, Debug)]
pub(super) enum Source {
    /// A configuration file.
    File {
        /// As the experiment's file says it.
        written: String,
        config: Box<Config>,
        /// Directory that its paths start from.
        base: PathBuf,
    },
    /// Shops of each point's own options.
    Simulated,
}

/// What is compared.
#[derive(Clone, Debug)]
pub(super) struct Variant {
    pub(super) name: String,
    pub(super) set: Vec<String>,
}

/// One training: indices of its point, its variant and its seed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct RunId {
    pub(super) point: usize,
    pub(super) seed: usize,
    pub(super) variant: usize,
}

impl Design {
    /// Reads the file of an experiment and checks all of it.
    ///
    /// # Errors
    ///
    /// A sentence that names the file, or the key.
    pub fn read(path: &Path) -> Result<Self> {
        let base = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
        Self::new(&Spec::read(path)?, base)
    }

    /// Checks an experiment; its data is relative to `base`.
    ///
    /// # Errors
    ///
    /// A sentence that names the key.
    pub fn new(spec: &Spec, base: &Path) -> Result<Self> {
        match (&spec.data, &spec.simulate) {
            (Some(written), None) => {
                let path = base.join(written);
                let config = Config::read(&path)?;
                let base = path.parent().unwrap_or(Path::new(".")).to_path_buf();
                let source = Source::File { written: written.clone(), config: config.into(), base };
                Self::on(spec, source)
            }
            (None, Some(_)) => Self::on(spec, Source::Simulated),
            (None, None) => {
                Err(refused("data", "expected `data` or a table `[simulate]`, got neither")
                    .with_hint("data = \"../runs/census/daogou.toml\""))
            }
            (Some(_), Some(_)) => {
                Err(refused("data", "give either `data` or `[simulate]`, not both"))
            }
        }
    }

    /// The same on another log than the file names.
    pub(super) fn on(spec: &Spec, source: Source) -> Result<Self> {
        let (axis, points) = points(spec)?;
        if spec.world_per_seed && spec.simulate.is_none() {
            return Err(refused(
                "world_per_seed",
                "only a simulated log can be made anew for each seed",
            ));
        }
        let mut variants: Vec<Variant> = Vec::new();
        for variant in &spec.variants {
            let name = &variant.name;
            let allowed = |c: char| c.is_ascii_alphanumeric() || "_-.+".contains(c);
            if name.is_empty() || name.starts_with('.') || !name.chars().all(allowed) {
                return Err(refused(
                    "variant.name",
                    format!("expected letters, digits and `_-.+`, got `{name}`"),
                ));
            }
            if variants.iter().any(|other| other.name == *name) {
                return Err(refused("variant.name", format!("two variants are called `{name}`"))
                    .with_hint("give each a name of its own"));
            }
            variants.push(Variant { name: name.clone(), set: assignments(&variant.set) });
        }
        if variants.is_empty() {
            return Err(refused("variant", "expected at least one, got none")
                .with_hint("[[variant]] with a `name` and keys under `set`"));
        }
        let mut design = Self {
            title: spec.title.clone(),
            note: spec.note.clone(),
            source,
            axis,
            points,
            variants,
            seeds: seeds(spec.seeds.as_ref())?,
            baseline: 0,
            world_per_seed: spec.world_per_seed,
            fraction_by: spec.fraction_by.unwrap_or(FractionBy::Latest),
            shared: assignments(&spec.set),
        };
        let configs = design.check_variants()?;
        design.baseline = match &spec.baseline {
            Some(name) => {
                design.variants.iter().position(|v| v.name == *name).ok_or_else(|| {
                    let names: Vec<&str> =
                        design.variants.iter().map(|v| v.name.as_str()).collect();
                    let names = names.join(", ");
                    refused("baseline", format!("expected one of {names}, got `{name}`"))
                })?
            }
            None => {
                let single = configs.iter().position(|c| c.model.kind == ModelKind::SingleTask);
                single.unwrap_or(0)
            }
        };
        Ok(design)
    }

    /// The configuration of every variant. All of them must ask the same questions about the same rows.
    fn check_variants(&self) -> Result<Vec<Config>> {
        let all = self.variants.iter().flat_map(|variant| &variant.set).chain(&self.shared);
        for assignment in all {
            let key = assignment.split('=').next().unwrap_or_default();
            let problem = match key {
                "train.seed" => "seeds are given by `seeds`",
                "train.threads" => "each run has one thread; `--threads` says how many run at once",
                "data.split.train_fraction" => "fractions are given by `fractions`",
                "data.split.fraction_by" => "use `fraction_by` at the top of the file",
                _ => continue,
            };
            return Err(refused(format!("set.{key}"), problem));
        }
        let (shared, _) = self.base_config();
        let mut base = shared.clone();
        base.set_all(self.shared.iter().map(String::as_str)).map_err(|e| named(e, "set"))?;
        if base.data.split.valid <= 0.0 {
            return Err(refused(
                "data",
                "the log has no validation split, by which training stops",
            )
            .with_hint("set.data.split = { train = 0.8, valid = 0.1, test = 0.1 }"));
        }
        self.variants
            .iter()
            .map(|variant| {
                let key = format!("variant.{}.set", variant.name);
                let mut config = base.clone();
                config
                    .set_all(variant.set.iter().map(String::as_str))
                    .map_err(|error| named(error, &key))?;
                if !same_questions(&config, &base) {
                    return Err(refused(
                        key,
                        "a variant may change how tasks are learned, not what they ask or of which rows",
                    )
                    .with_hint("put it under `[set]`, for all variants, or into another experiment"));
                }
                Ok(config)
            })
            .collect()
    }

    /// The configuration that all runs start from, and the directory of its paths where it is known.
    fn base_config(&self) -> (Config, Option<&Path>) {
        match &self.source {
            Source::File { config, base, .. } => (config.as_ref().clone(), Some(base)),
            Source::Simulated => {
                let config = Config::parse(simulate::CONFIG, Path::new("daogou.toml"));
                (config.expect("the simulated shop has a configuration"), None)
            }
        }
    }

    /// The configuration of a run; its paths are relative to the log's directory.
    pub(super) fn config(&self, id: RunId) -> Config {
        let (mut config, _) = self.base_config();
        let all = self.shared.iter().chain(&self.variants[id.variant].set).map(String::as_str);
        config.set_all(all).expect("checked with the design");
        config.train.seed = self.seeds[id.seed];
        config.train.threads = 1;
        config.data.split.train_fraction = self.points[id.point].fraction;
        config.data.split.fraction_by = self.fraction_by;
        config
    }

    /// The shop of a run, where its log is simulated.
    pub(super) fn options(&self, id: RunId) -> Option<simulate::Options> {
        let mut options = self.points[id.point].options.clone()?;
        if self.world_per_seed {
            options.seed = self.seeds[id.seed];
        }
        Some(options)
    }

    /// What tells a run from others: whatever decides its result but for the rows of a log that is not simulated.
    pub(super) fn identity(&self, id: RunId) -> String {
        let shop = self.options(id).map(|o| toml::to_string(&o).expect("options are a table"));
        let version = env!("CARGO_PKG_VERSION");
        let all = format!("{version}\n{}\n{}", self.config(id).to_toml(), shop.unwrap_or_default());
        format!("{:016x}", hash(&all))
    }

    /// Every run, those with a log in common next to each other.
    pub(super) fn runs(&self) -> Vec<RunId> {
        let mut runs = Vec::new();
        for point in 0..self.points.len() {
            for seed in 0..self.seeds.len() {
                runs.extend((0..self.variants.len()).map(|variant| RunId { point, seed, variant }));
            }
        }
        runs
    }

    /// How a run is called.
    pub(super) fn name(&self, id: RunId) -> String {
        let point = &self.points[id.point];
        let at = if self.axis.is_some() { format!(", {}", point.label) } else { String::new() };
        format!("{}, seed {}{at}", self.variants[id.variant].name, self.seeds[id.seed])
    }

    /// The log, in a few words.
    pub(super) fn log(&self) -> String {
        match &self.source {
            Source::File { written, .. } => format!("the log of `{written}`"),
            Source::Simulated => {
                let options = self.points[0].options.as_ref().expect("a simulated log has options");
                let each = if self.world_per_seed { ", one per seed" } else { "" };
                format!(
                    "a simulated shop ({} people, {} products, {} requests{each})",
                    options.users, options.items, options.requests
                )
            }
        }
    }
}

/// What must be the same for two configurations to read a log alike: everything but the network, the training, and how
/// answers are used. The dimension of embeddings is part of how features are encoded.
pub(crate) fn reading(config: &Config) -> String {
    let mut config = config.clone();
    let dim = config.model.embedding_dim;
    let fresh = Config::default();
    (config.model, config.train, config.lists) = (fresh.model, fresh.train, fresh.lists);
    (config.loss_weighting, config.calibration) = (fresh.loss_weighting, fresh.calibration);
    config.model.embedding_dim = dim;
    config.tasks.iter_mut().for_each(|task| (task.weight, task.objective) = (None, None));
    config.to_toml()
}

/// Keys of a task that say how it is learned. Any other is part of what it asks.
const LEARNING: [&str; 10] = [
    "weight",
    "objective",
    "exposure_offset",
    "order_weight",
    "cvr_weight",
    "ctcvr_weight",
    "propensity_clip",
    "self_normalise",
    "delayed_feedback",
    "transform",
];

/// Whether two configurations ask the same questions of the same rows, so that their metrics may be compared. How tasks
/// are weighed and learned may differ.
pub(crate) fn same_questions(a: &Config, b: &Config) -> bool {
    let question = |task: &Task| {
        let mut table = toml::Table::try_from(task).expect("a task is plain data");
        table.retain(|key, _| !LEARNING.contains(&key));
        table
    };
    let questions =
        |config: &Config| -> Vec<toml::Table> { config.tasks.iter().map(question).collect() };
    let rows = |config: &Config| {
        let data = &config.data;
        let files = [&data.impressions, &data.events, &data.test].map(Clone::clone);
        (files, data.split.clone(), data.event_log.clone(), config.columns.clone())
    };
    questions(a) == questions(b) && rows(a) == rows(b)
}

fn refused(key: impl Into<String>, problem: impl Into<String>) -> Error {
    Error::config(key, problem)
}

/// An error of a configuration's key, as one of the experiment's: `set.train.epochs`.
pub(crate) fn named(error: Error, place: &str) -> Error {
    match error {
        Error::Config { key, problem, hint } => {
            Error::Config { key: format!("{place}.{key}"), problem, hint }
        }
        other => other,
    }
}

/// Seeds as the file says them: a number of them, or a list.
fn seeds(written: Option<&toml::Value>) -> Result<Vec<u64>> {
    let problem = |got: &toml::Value| {
        refused(
            "seeds",
            format!("expected a number of at least 1, or a list of different ones, got {got}"),
        )
        .with_hint("seeds = 5")
    };
    let list: Vec<u64> = match written {
        None => (1..=SEEDS).collect(),
        Some(toml::Value::Integer(n)) if (1..=1000).contains(n) => (1..=*n as u64).collect(),
        Some(value @ toml::Value::Array(values)) => {
            let each = values.iter().map(|v| v.as_integer().and_then(|s| u64::try_from(s).ok()));
            each.collect::<Option<_>>().ok_or_else(|| problem(value))?
        }
        Some(value) => return Err(problem(value)),
    };
    let different: BTreeSet<u64> = list.iter().copied().collect();
    match written {
        Some(value) if list.is_empty() || different.len() < list.len() => Err(problem(value)),
        _ => Ok(list),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn design(text: &str) -> Result<Design> {
        Design::new(&Spec::parse(text, Path::new("x.toml")).unwrap(), Path::new("."))
    }

    fn refusal(text: &str) -> String {
        let error = design(text).unwrap_err();
        format!("{error} {}", error.hint().unwrap_or_default())
    }

    const HEAD: &str = "title = 'a'\n";
    const TWO: &str = "[simulate]\nrequests = 100\n\
        [[variant]]\nname = 'mmoe'\nset.model.kind = 'mmoe'\n\
        [[variant]]\nname = 'alone'\nset.model.kind = 'single_task'\n";

    #[test]
    fn single_task_is_the_baseline_unless_another_is_named() {
        let plain = design(&format!("{HEAD}{TWO}")).unwrap();
        assert_eq!((plain.baseline, plain.seeds.clone()), (1, vec![1, 2, 3, 4, 5]));
        assert_eq!(plain.runs().len(), 10);
        assert_eq!(design(&format!("{HEAD}baseline = 'mmoe'\n{TWO}")).unwrap().baseline, 0);
        let text = refusal(&format!("{HEAD}baseline = 'ple'\n{TWO}"));
        assert!(text.contains("`baseline`") && text.contains("mmoe, alone"), "{text}");
        let none = TWO.replace("single_task", "ple");
        assert_eq!(design(&format!("{HEAD}{none}")).unwrap().baseline, 0);
    }

    #[test]
    fn a_run_has_what_its_variant_its_point_and_its_seed_say() {
        let text = format!(
            "{HEAD}seeds = [7, 3]\nfractions = [1.0, 0.25]\nfraction_by = 'random'\n\
             world_per_seed = true\nset.train.epochs = 2\n{TWO}"
        );
        let design = design(&text).unwrap();
        let id = RunId { point: 1, seed: 0, variant: 0 };
        let config = design.config(id);
        assert_eq!((config.train.seed, config.train.threads, config.train.epochs), (7, 1, 2));
        assert_eq!(config.model.kind, ModelKind::Mmoe);
        assert_eq!(config.data.split.train_fraction, 0.25);
        assert_eq!(config.data.split.fraction_by, FractionBy::Random);
        let options = design.options(id).unwrap();
        assert_eq!((options.seed, options.requests, options.users), (7, 100, 5_000));
        let different: BTreeSet<String> =
            design.runs().into_iter().map(|id| design.identity(id)).collect();
        assert_eq!(different.len(), 8);
        assert_eq!(design.name(id), "mmoe, seed 7, 25 % of training");
        // Seeds and variants of one point read the log alike; another fraction does not.
        let same = |a: RunId, b: RunId| reading(&design.config(a)) == reading(&design.config(b));
        assert!(same(id, RunId { seed: 1, variant: 1, ..id }));
        assert!(!same(id, RunId { point: 0, ..id }));
    }

    #[test]
    fn a_dial_of_the_simulation_is_an_axis() {
        let text =
            format!("{HEAD}{}", TWO.replace("requests = 100", "relatedness = [0, 0.5, 1.0]"));
        let design = design(&text).unwrap();
        assert_eq!(design.axis.as_deref(), Some("relatedness"));
        let places: Vec<_> = design.points.iter().map(|p| (p.x, p.folder.as_str())).collect();
        let wanted = [(0.0, "relatedness-0"), (0.5, "relatedness-0.5"), (1.0, "relatedness-1")];
        assert_eq!(places, wanted.map(|(x, folder)| (Some(x), folder)));
        assert_eq!(design.points[1].options.as_ref().unwrap().relatedness, 0.5);
    }

    #[test]
    fn a_single_point_is_no_axis() {
        let only = |top: &str| design(&format!("{HEAD}{top}\n{TWO}")).unwrap();
        let (all, part) = (only(""), only("fractions = [0.07]"));
        assert_eq!((all.axis.is_none(), all.points[0].label.as_str()), (true, "all"));
        assert_eq!((part.axis.is_none(), part.points[0].label.as_str()), (true, "7 % of training"));
        assert_eq!(part.config(part.runs()[0]).data.split.train_fraction, 0.07);
    }

    #[test]
    fn what_is_wrong_is_said_before_anything_begins() {
        let with = |top: &str, rest: &str| refusal(&format!("{HEAD}{top}\n{rest}"));
        for (top, parts) in [
            ("seeds = 0", ["`seeds`", "at least 1"]),
            ("seeds = []", ["`seeds`", "got []"]),
            ("seeds = [1, 1]", ["`seeds`", "different"]),
            ("seeds = 'many'", ["`seeds`", "got \"many\""]),
            ("seeds = [-1]", ["`seeds`", "got [-1]"]),
            ("fractions = []", ["`fractions`", "none"]),
            ("fractions = [0.0]", ["`fractions`", "got 0"]),
            ("fractions = [0.5, 0.5]", ["`fractions`", "different"]),
            ("set.train.epoch = 3", ["`set.train.epoch`", "epochs"]),
            ("set.train.seed = 3", ["`set.train.seed`", "`seeds`"]),
            ("set.train.threads = 3", ["`set.train.threads`", "--threads"]),
            ("set.data.split.train_fraction = 0.5", ["train_fraction", "`fractions`"]),
            ("set.data.split.train = 0.9\nset.data.split.valid = 0.0", ["validation", "split"]),
        ] {
            let text = with(top, TWO);
            assert!(parts.iter().all(|part| text.contains(part)), "{top}: {text}");
        }
        for (from, to, parts) in [
            (
                "set.model.kind = 'mmoe'",
                "set.model.knd = 'mmoe'",
                ["`variant.mmoe.set.model.knd`", "kind"],
            ),
            (
                "set.model.kind = 'mmoe'",
                "set.model.experts = 0",
                ["variant.mmoe.set", "model.experts"],
            ),
            (
                "set.model.kind = 'mmoe'",
                "set.data.split.seed = 2",
                ["variant.mmoe.set", "which rows"],
            ),
            (
                "set.model.kind = 'mmoe'",
                "set.task.click.label = 'purchase'",
                ["variant.mmoe.set", "ask"],
            ),
            ("set.model.kind = 'mmoe'", "set.train.seed = 2", ["`set.train.seed`", "`seeds`"]),
            ("'alone'", "'mmoe'", ["`variant.name`", "two variants are called `mmoe`"]),
            ("'alone'", "'../x'", ["`variant.name`", "`../x`"]),
            ("requests = 100", "requets = 100", ["`simulate`", "requets"]),
            ("requests = 100", "items = 3", ["items", "at least 12"]),
            ("requests = 100", "mood_sd = [0.0, 0.0]", ["`simulate.mood_sd`", "different"]),
            ("requests = 100", "mood_sd = []", ["`simulate.mood_sd`", "at least one"]),
            (
                "requests = 100",
                "mood_sd = [0.0]\nrelatedness = [0.0]",
                ["simulate.", "two experiments"],
            ),
            ("[simulate]\nrequests = 100", "", ["`data`", "neither"]),
        ] {
            let text = with("", &TWO.replacen(from, to, 1));
            assert!(parts.iter().all(|part| text.contains(part)), "{to}: {text}");
        }
        let lone = refusal("title = 'a'\n[simulate]\n");
        assert!(lone.contains("`variant`") && lone.contains("at least one"), "{lone}");
        let both = with("data = 'x'", TWO);
        assert!(both.contains("not both"), "{both}");
        let missing = refusal("title = 'a'\ndata = 'nowhere/daogou.toml'\n");
        assert!(missing.contains("nowhere"), "{missing}");
        let no_shop = with("world_per_seed = true\ndata = 'x.toml'", "");
        assert!(no_shop.contains("x.toml") || no_shop.contains("world_per_seed"), "{no_shop}");
        let lists =
            with("fractions = [1.0, 0.5]", &TWO.replace("requests = 100", "mood_sd = [0.0, 1.0]"));
        assert!(lists.contains("simulate.mood_sd") && lists.contains("fractions"), "{lists}");
    }
}
