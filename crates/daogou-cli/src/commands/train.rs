//! `daogou train`.

use std::path::{Path, PathBuf};
use std::time::{Instant, SystemTime};

use clap::Args;
use daogou::artifact::{Provenance, RunWriter};
use daogou::data::Dataset;
use daogou::run::TrainedRun;
use daogou::schema::{Config, ModelConfig};
use daogou::train::{self, Balance, Observer, Options, Progress, Round};
use indicatif::ProgressBar;

use super::Outcome;
use crate::terminal::{note, progress};

/// Train a model from a configuration
#[derive(Args)]
pub(crate) struct Train {
    /// Configuration file
    config: PathBuf,
    /// Directory of the run; by default `run` beside the configuration
    #[arg(long, value_name = "D")]
    run_dir: Option<PathBuf>,
    /// Change one key: `train.epochs=5`
    #[arg(long = "set", value_name = "a.b=v")]
    set: Vec<String>,
    /// Threads; never changes the result
    #[arg(long, value_name = "N")]
    threads: Option<usize>,
    /// Go on from the run's last checkpoint
    #[arg(long)]
    resume: bool,
    /// Start from what this run learned, ids that are new excepted
    #[arg(long, value_name = "RUN")]
    warm_start: Option<PathBuf>,
}

impl Train {
    pub(super) fn run(self) -> anyhow::Result<Outcome> {
        let mut config = Config::read(&self.config)?;
        config.set_all(self.set.iter().map(String::as_str))?;
        if let Some(threads) = self.threads {
            config.train.threads = threads;
        }
        if let Some(run) = &self.warm_start {
            // Relative to where the command is given, unlike paths in the configuration.
            let run = std::path::absolute(run)?;
            config.train.warm_start = Some(run.to_string_lossy().into_owned());
        }
        let base = base_of(&self.config);
        let directory = self.run_dir.unwrap_or_else(|| base.join("run"));
        trained(&config, base, &directory, self.resume)?;
        note(&format!("run: {0}; next: daogou eval {0}", directory.display()));
        Ok(Outcome::Done)
    }
}

/// Directory that relative paths of a configuration start from.
pub(super) fn base_of(config: &Path) -> &Path {
    config.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Loads, trains and saves, with progress on standard error.
pub(super) fn trained(
    config: &Config,
    base: &Path,
    directory: &Path,
    resume: bool,
) -> anyhow::Result<(TrainedRun, Dataset)> {
    RunWriter::prepare(directory)?;
    let config = config.with_absolute_paths(base)?;
    let start = Instant::now();
    let data = Dataset::load(&config, base)?;
    note(&format!(
        "loaded {} requests, {} impressions, {} users, {} items in {:.1} s",
        data.requests.len(),
        data.impressions.item.len(),
        data.users.ids.len() - 1,
        data.items.ids.len() - 1,
        start.elapsed().as_secs_f64()
    ));
    if data.report.bad_rows > 0 {
        note(&format!("dropped {} bad rows, the first:", data.report.bad_rows));
        data.report.bad_examples.iter().for_each(|text| note(&format!("  {text}")));
    }
    data.report.notes.iter().for_each(|text| note(&format!("note: {text}")));
    let options = Options { checkpoints: Some(directory.into()), resume };
    let mut watch = Watch::new(&config);
    let start = Instant::now();
    let outcome = train::train(&config, &data, &options, &mut watch);
    watch.bar.finish_and_clear();
    let trained = outcome?;
    note(&format!("trained in {:.1} s", start.elapsed().as_secs_f64()));
    let provenance = Provenance {
        created_at: now(),
        seed: config.train.seed,
        data_fingerprint: data.report.fingerprint.clone(),
        metrics: serde_json::to_value(Round::kept(&trained.history))?,
    };
    let history = trained.history.clone();
    let run = TrainedRun::new(&config, trained, &data);
    let notes = run.calibrations.notes.iter().chain(&run.exposure.notes);
    notes.for_each(|text| note(&format!("note: {text}")));
    run.save(directory, &history, provenance)?;
    Ok((run, data))
}

/// The present as RFC 3339, UTC.
fn now() -> String {
    let seconds =
        SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |d| d.as_secs());
    daogou::rfc3339(seconds as i64)
}

/// Progress bar and per-round table.
struct Watch {
    bar: ProgressBar,
    names: Vec<String>,
    model: ModelConfig,
    epoch: usize,
    header: bool,
}

impl Watch {
    fn new(config: &Config) -> Self {
        Self {
            bar: progress(0, "epoch {prefix} {wide_bar} {per_sec} {msg}"),
            names: config.tasks.iter().map(|t| t.name.clone()).collect(),
            model: config.model.clone(),
            epoch: 0,
            header: false,
        }
    }

    fn line(&self, text: &str) {
        if self.bar.is_hidden() { note(text) } else { self.bar.println(text) }
    }
}

impl Observer for Watch {
    fn step(&mut self, p: &Progress<'_>) {
        if self.epoch != p.epoch {
            self.epoch = p.epoch;
            self.bar.reset();
            self.bar.set_length(p.total as u64);
            self.bar.set_prefix(format!("{}/{}", p.epoch, p.epochs));
        }
        self.bar.set_position(p.done as u64);
        if !self.bar.is_hidden() {
            let losses: Vec<String> =
                self.names.iter().zip(p.losses).map(|(n, l)| format!("{n} {l:.3}")).collect();
            self.bar.set_message(losses.join(" "));
        }
    }

    fn note(&mut self, text: &str) {
        self.line(text);
    }

    fn round(&mut self, round: &Round) {
        if !self.header {
            self.header = true;
            self.line("losses over the constant predictor's (below 1 is better than guessing)");
            self.line(&format!(
                "{:>5} {:>7} {:<16}{:>9}{:>9}{:>9}{}",
                "epoch",
                "step",
                "task",
                "train",
                "valid",
                "AUC",
                if round.balance.is_some() { "   factor" } else { "" }
            ));
        }
        let show = |value: Option<f64>| value.map_or_else(|| "–".into(), |v| format!("{v:.4}"));
        for (i, name) in self.names.iter().enumerate() {
            let (epoch, step) = if i == 0 {
                (round.epoch.to_string(), round.step.to_string())
            } else {
                (String::new(), String::new())
            };
            let valid = round.valid.get(i);
            // What balancing multiplied the task's loss by.
            let factor = round
                .balance
                .as_ref()
                .map_or_else(String::new, |balance| format!("{:>9.4}", balance.factors[i]));
            let star = if i == 0 && round.best { "  best so far" } else { "" };
            self.line(&format!(
                "{epoch:>5} {step:>7} {name:<16}{:>9.4}{:>9}{:>9}{factor}{star}",
                round.train_loss[i],
                show(valid.and_then(|v| v.loss)),
                show(valid.and_then(|v| v.auc)),
            ));
        }
        let warnings = round.experts.iter().flat_map(|used| used.warnings(&self.model));
        warnings.for_each(|text| self.line(&format!("warning: {text}")));
        let conflict = round.balance.as_ref().and_then(Balance::sharpest_conflict);
        if let Some((a, b, cosine)) = conflict {
            let (a, b) = (&self.names[a], &self.names[b]);
            self.line(&format!("{:>13} {a} and {b}: mean cosine of gradients {cosine:.3}", ""));
        }
    }
}
