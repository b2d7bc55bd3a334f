//! Trained runs that serve: which there are, which one answers, and what each has on offer.
//!
//! A request takes one [`Counter`], a model and its stock as of one moment, and everything in its answer comes from it.
//! A change of the catalogue or of the model makes a new counter; requests that have the old one finish with it.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use arc_swap::ArcSwap;
use daogou::artifact::Manifest;
use daogou::guide::Guide;
use daogou::run::TrainedRun;
use daogou::schema::Config;
use daogou::score::FrozenItems;
use daogou::stock::{Attributes, Stock};
use daogou::train::Round;
use daogou_nn::Team;
use rustc_hash::FxBuildHasher;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use crate::problem::{Answer, Problem};

/// A trained run in memory.
pub(crate) struct Model {
    pub(crate) name: String,
    pub(crate) run: TrainedRun,
    pub(crate) manifest: Manifest,
    /// Named weights that `daogou pareto` left with the run.
    pub(crate) presets: daogou::pareto::Presets,
    /// User rows by id.
    users: HashMap<String, u32, FxBuildHasher>,
}

impl Model {
    pub(crate) fn user_row(&self, id: &str) -> Option<u32> {
        self.users.get(id).copied()
    }

    /// Users that it was trained with.
    pub(crate) fn users(&self) -> &[String] {
        &self.run.stored.users.ids[1..]
    }
}

/// A model and what is on offer, as of one moment.
pub(crate) struct Counter {
    pub(crate) model: Arc<Model>,
    pub(crate) stock: Stock,
    /// The items' part of the network.
    pub(crate) frozen: Arc<FrozenItems>,
}

impl Counter {
    /// A guide for one thread.
    pub(crate) fn guide(&self) -> daogou::Result<Guide<'_>> {
        let frozen = Arc::clone(&self.frozen);
        Guide::with_frozen(&self.model.run, (&self.stock, frozen), 1)
    }
}

/// A document about an item.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ItemDocument {
    /// Whether it may be listed.
    #[serde(default = "yes")]
    pub(crate) available: bool,
    /// By column name of the log; null: not known. What is not named stays as the model knows it.
    #[serde(default)]
    #[schema(value_type = Object)]
    pub(crate) attributes: Attributes,
}

fn yes() -> bool {
    true
}

/// A model that is in memory: what is on offer, to be changed, and the counter that requests take.
struct Loaded {
    goods: Mutex<(Stock, FrozenItems)>,
    counter: ArcSwap<Counter>,
}

/// Which models there are.
pub(crate) struct Models {
    /// Where runs are; one folder each. `None`: only those that were named.
    directory: Option<PathBuf>,
    named: BTreeMap<String, PathBuf>,
    loaded: RwLock<BTreeMap<String, Arc<Loaded>>>,
    choice: RwLock<Choice>,
    /// What is known of items beside the models: `None` where an item was deleted.
    items: RwLock<BTreeMap<String, Option<ItemDocument>>>,
}

/// Which model answers, and which one did before.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Choice {
    pub(crate) serving: String,
    pub(crate) previous: Option<String>,
}

/// How a model stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum State {
    /// Answers.
    Serving,
    /// In memory.
    Loaded,
    /// On disk.
    Available,
    /// Cannot be opened.
    Damaged,
}

/// A model in a list.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct ModelSummary {
    pub(crate) name: String,
    pub(crate) state: State,
    /// Way of sharing.
    pub(crate) kind: Option<String>,
    /// When it was made, RFC 3339.
    pub(crate) created: Option<String>,
    pub(crate) program_version: Option<String>,
    /// By task: AUC, and loss over that of the constant predictor, of the round that was kept, on the validation split.
    #[schema(value_type = Object)]
    pub(crate) metrics: Value,
    /// Why it cannot be opened.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) problem: Option<String>,
}

/// All models.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct ModelList {
    /// The one that answers.
    pub(crate) serving: String,
    /// The one that a roll-back goes to.
    pub(crate) previous: Option<String>,
    pub(crate) models: Vec<ModelSummary>,
}

fn read<T>(lock: &RwLock<T>) -> RwLockReadGuard<'_, T> {
    lock.read().unwrap_or_else(PoisonError::into_inner)
}

fn write<T>(lock: &RwLock<T>) -> RwLockWriteGuard<'_, T> {
    lock.write().unwrap_or_else(PoisonError::into_inner)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Opens a run as a model. Costs reading and checking all of its files.
fn open(name: &str, path: &Path) -> daogou::Result<Model> {
    let (run, manifest) = TrainedRun::open(path)?;
    let ids = run.stored.users.ids.iter().enumerate().skip(1);
    let users = ids.map(|(row, id)| (id.clone(), row as u32)).collect();
    let presets = daogou::pareto::Presets::read(path)?;
    Ok(Model { name: name.to_string(), run, manifest, presets, users })
}

/// Changes a stock as a document says, and returns the row that is another now. A document that does not fit this model
/// is told and leaves the item as it was.
fn apply(
    stock: &mut Stock,
    run: &TrainedRun,
    id: &str,
    document: Option<&ItemDocument>,
) -> Option<u32> {
    let Some(document) = document else {
        let row = stock.row(id)?;
        stock.list(row, false);
        return None;
    };
    match stock.put(run, id, document.attributes.clone()) {
        Ok(row) => {
            stock.list(row, document.available);
            Some(row)
        }
        Err(error) => {
            tracing::warn!(item = id, %error, "an item does not fit the model and keeps what the model knows");
            None
        }
    }
}

/// The validation of a round by task; null where a run says nothing of it.
fn by_task(config: &Config, round: Value) -> Value {
    let Ok(Some(round)) = serde_json::from_value::<Option<Round>>(round) else {
        return Value::Null;
    };
    let tasks = config.tasks.iter().map(|task| task.name.clone());
    let scores = round.valid.iter().map(|score| serde_json::to_value(score).unwrap_or_default());
    Value::Object(tasks.zip(scores).collect())
}

impl Models {
    /// One run by its folder, or all runs of a folder; `wanted` is what was chosen last time.
    ///
    /// # Errors
    ///
    /// Where there is no run, or the chosen one cannot be opened.
    pub(crate) fn new(
        run: Option<&Path>,
        directory: Option<&Path>,
        items: BTreeMap<String, Option<ItemDocument>>,
        wanted: Option<Choice>,
    ) -> daogou::Result<Self> {
        let mut named = BTreeMap::new();
        if let Some(run) = run {
            let full = std::path::absolute(run)?;
            let name = full.file_name().map_or_else(|| "run".into(), |n| n.to_string_lossy());
            named.insert(name.into_owned(), full.clone());
        }
        let models = Self {
            directory: directory.map(Path::to_path_buf),
            named,
            loaded: RwLock::default(),
            choice: RwLock::default(),
            items: RwLock::new(items),
        };
        let all = models.paths();
        // What was named on the command line answers; else what answered last; else the newest there is.
        let newest = || {
            let created = |path: &PathBuf| {
                daogou::artifact::Run::open(path)
                    .map(|run| run.manifest().provenance.created_at.clone())
            };
            let dated = all.iter().filter_map(|(name, path)| Some((created(path).ok()?, name)));
            dated.max().map(|(_, name)| name.clone())
        };
        let before = wanted.filter(|choice| all.contains_key(&choice.serving));
        let serving = match (models.named.keys().next(), &before) {
            (Some(name), _) => name.clone(),
            (None, Some(choice)) => choice.serving.clone(),
            (None, None) => newest().ok_or_else(|| {
                daogou::Error::data("there is no trained run to serve")
                    .with_hint("train one: `daogou train CONFIG --run-dir DIR/NAME`, then `daogou serve --model-dir DIR`")
            })?,
        };
        models.open_named(&serving)?;
        let previous = before.and_then(|choice| choice.previous);
        let previous = previous.filter(|name| all.contains_key(name));
        *write(&models.choice) = Choice { serving, previous };
        Ok(models)
    }

    /// All runs, by name.
    pub(crate) fn paths(&self) -> BTreeMap<String, PathBuf> {
        let mut all = self.named.clone();
        if let Some(directory) = &self.directory
            && let Ok(entries) = std::fs::read_dir(directory)
        {
            for path in entries.flatten().map(|entry| entry.path()) {
                if path.join("manifest.json").is_file()
                    && let Some(name) = path.file_name().and_then(|name| name.to_str())
                    && !name.starts_with('.')
                {
                    all.entry(name.to_string()).or_insert(path);
                }
            }
        }
        all
    }

    /// Where new runs are put.
    pub(crate) fn directory(&self) -> Option<&Path> {
        self.directory.as_deref()
    }

    /// The folder of a run.
    pub(crate) fn path(&self, name: &str) -> Answer<PathBuf> {
        self.paths().remove(name).ok_or_else(|| {
            let all: Vec<String> = self.paths().into_keys().collect();
            Problem::not_found(format!("there is no model `{name}`; there are {}", all.join(", ")))
        })
    }

    fn open_named(&self, name: &str) -> daogou::Result<Arc<Loaded>> {
        if let Some(loaded) = read(&self.loaded).get(name) {
            return Ok(Arc::clone(loaded));
        }
        let paths = self.paths();
        let path = paths
            .get(name)
            .ok_or_else(|| daogou::Error::data(format!("there is no model `{name}`")))?;
        let model = Arc::new(open(name, path)?);
        // Held while the model comes in, so that no change of an item falls between.
        let items = read(&self.items);
        let mut stock = Stock::of(&model.run);
        for (id, document) in &*items {
            apply(&mut stock, &model.run, id, document.as_ref());
        }
        let frozen = FrozenItems::of(&model.run, &stock, &mut Team::new(1));
        let goods = Mutex::new((stock.clone(), frozen.clone()));
        let counter = Arc::new(Counter { model, stock, frozen: Arc::new(frozen) });
        // A model that cannot make a list is found out now, not by a visitor.
        counter.guide()?;
        let loaded = Arc::new(Loaded { goods, counter: ArcSwap::new(counter) });
        let mut all = write(&self.loaded);
        Ok(Arc::clone(all.entry(name.to_string()).or_insert(loaded)))
    }

    /// Brings a model into memory. Costs reading all of it: not for an async thread.
    pub(crate) fn load(&self, name: &str) -> Answer<()> {
        self.path(name)?;
        self.open_named(name).map(|_| ()).map_err(Problem::from)
    }

    /// The counter of a model in memory.
    pub(crate) fn counter(&self, name: &str) -> Option<Arc<Counter>> {
        read(&self.loaded).get(name).map(|loaded| loaded.counter.load_full())
    }

    /// The counter that answers.
    pub(crate) fn serving(&self) -> Arc<Counter> {
        // Held meanwhile: a model leaves only after another has been chosen.
        let choice = read(&self.choice);
        self.counter(&choice.serving).expect("the model that answers is in memory")
    }

    pub(crate) fn choice(&self) -> Choice {
        read(&self.choice).clone()
    }

    /// The choice after a promotion. Nothing is changed yet.
    pub(crate) fn promoted(&self, name: &str) -> Choice {
        let now = self.choice();
        if now.serving == name {
            return now;
        }
        Choice { serving: name.to_string(), previous: Some(now.serving) }
    }

    /// From now on this model answers; it is in memory already. Others but the previous one and those of `kept` leave.
    pub(crate) fn choose(&self, choice: &Choice, kept: &[String]) -> bool {
        if self.counter(&choice.serving).is_none() {
            return false;
        }
        write(&self.choice).clone_from(choice);
        write(&self.loaded).retain(|name, _| {
            *name == choice.serving || choice.previous.as_ref() == Some(name) || kept.contains(name)
        });
        true
    }

    /// Changes items in all models that are in memory. O(items) per model, however many change.
    pub(crate) fn set_items(&self, changes: Vec<(String, Option<ItemDocument>)>) {
        let mut items = write(&self.items);
        let all: Vec<Arc<Loaded>> = read(&self.loaded).values().cloned().collect();
        for loaded in all {
            let mut goods = lock(&loaded.goods);
            let (stock, frozen) = &mut *goods;
            let model = Arc::clone(&loaded.counter.load().model);
            let changed = changes
                .iter()
                .filter_map(|(id, document)| apply(stock, &model.run, id, document.as_ref()));
            let rows: Vec<u32> = changed.collect();
            frozen.refreeze(&model.run, stock, &rows, &mut Team::new(1));
            let (stock, frozen) = (stock.clone(), Arc::new(frozen.clone()));
            loaded.counter.store(Arc::new(Counter { model, stock, frozen }));
        }
        items.extend(changes);
    }

    /// Whether a document fits the model that answers.
    pub(crate) fn check_item(&self, id: &str, document: &ItemDocument) -> Answer<()> {
        let counter = self.serving();
        Ok(counter.stock.check(&counter.model.run, id, &document.attributes)?)
    }

    /// How a model stands that can be opened.
    pub(crate) fn state(&self, name: &str) -> State {
        match self.counter(name) {
            Some(_) if name == read(&self.choice).serving => State::Serving,
            Some(_) => State::Loaded,
            None => State::Available,
        }
    }

    /// All models. Opens what is not in memory only as far as its manifest.
    pub(crate) fn list(&self) -> ModelList {
        let choice = self.choice();
        let models = self.paths().into_iter().map(|(name, path)| {
            let in_memory = self.counter(&name);
            let state = self.state(&name);
            let known = match in_memory {
                Some(counter) => {
                    Ok((counter.model.manifest.clone(), counter.model.run.config.clone()))
                }
                None => daogou::artifact::Run::open(&path)
                    .map(|run| (run.manifest().clone(), run.config().clone())),
            };
            match known {
                Ok((manifest, config)) => ModelSummary {
                    name,
                    state,
                    kind: serde_json::to_value(config.model.kind)
                        .ok()
                        .and_then(|kind| kind.as_str().map(str::to_string)),
                    created: Some(manifest.provenance.created_at),
                    program_version: Some(manifest.program_version),
                    metrics: by_task(&config, manifest.provenance.metrics),
                    problem: None,
                },
                Err(error) => ModelSummary {
                    name,
                    state: State::Damaged,
                    kind: None,
                    created: None,
                    program_version: None,
                    metrics: Value::Null,
                    problem: Some(error.to_string()),
                },
            }
        });
        ModelList { models: models.collect(), serving: choice.serving, previous: choice.previous }
    }
}
