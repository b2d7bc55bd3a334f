//! `daogou tune`.

use std::path::PathBuf;

use clap::Args;
use daogou::schema::Config;
use daogou::tune::{self, Done, LOSS, Options, Space, Watch};
use indicatif::ProgressBar;

use super::train::base_of;
use super::{Format, Outcome};
use crate::terminal::{note, print, progress};

/// Search hyper-parameters on the validation split
///
/// Draws trials at random and halves them: all of them train on a part of the training requests, the better ones on more,
/// the last ones on everything. Writes best.toml. The test split is never looked at.
#[derive(Args)]
pub(crate) struct Tune {
    /// Configuration file
    config: PathBuf,
    /// File of keys and their values: `train.learning_rate = "1e-4..1e-2:log"`
    space: Option<PathBuf>,
    /// One key and its values: `a.b=1e-4..1e-2:log`, `a.b=2..8`, `a.b=x|y`
    #[arg(long = "space", value_name = "a.b=lo..hi")]
    keys: Vec<String>,
    /// Change one key for all trials: `train.epochs=5`
    #[arg(long = "set", value_name = "a.b=v")]
    set: Vec<String>,
    /// What to search for: `loss` of all tasks, or a metric such as `click.auc`
    #[arg(long, default_value = LOSS)]
    metric: String,
    /// Trials, the configuration as it is among them
    #[arg(long, value_name = "N", default_value_t = 27)]
    trials: usize,
    /// Rungs; 1 trains every trial on everything
    #[arg(long, value_name = "N", default_value_t = 3)]
    rungs: usize,
    /// Requests of a rung over those of the one before, and trials the other way round
    #[arg(long, value_name = "N", default_value_t = 3)]
    eta: usize,
    /// Seed of the draws
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    /// Seeds under which the best configuration trains again, to see how lucky it was
    #[arg(long, value_name = "N", default_value_t = 3)]
    fresh_seeds: usize,
    /// Directory of everything that comes out; by default `runs/tune`
    #[arg(long, value_name = "D", default_value = "runs/tune")]
    out: PathBuf,
    /// Trainings side by side, each on one thread; by default one per core
    #[arg(long, value_name = "N")]
    threads: Option<usize>,
    /// Go on with the search that is there
    #[arg(long)]
    resume: bool,
    /// Form of the output
    #[arg(long, value_enum, default_value = "table")]
    format: Format,
}

impl Tune {
    pub(super) fn run(self) -> anyhow::Result<Outcome> {
        let mut config = Config::read(&self.config)?;
        config.set_all(self.set.iter().map(String::as_str))?;
        let mut space = match &self.space {
            Some(file) => Space::read(file)?,
            None => Space::default(),
        };
        for key in &self.keys {
            space.add(key)?;
        }
        let options = Options {
            out: self.out,
            threads: daogou::train::threads(self.threads.unwrap_or(0)),
            resume: self.resume,
            trials: self.trials,
            rungs: self.rungs,
            eta: self.eta,
            seed: self.seed,
            fresh_seeds: self.fresh_seeds,
            metric: self.metric,
        };
        let watch = Bar(progress(0, "{prefix} {wide_bar} {pos}/{len} {eta}"));
        let outcome = tune::tune(&config, base_of(&self.config), &space, &options, &watch);
        watch.0.finish_and_clear();
        let tuned = outcome?;
        print(&match self.format {
            Format::Table => tune::text(&tuned),
            Format::Json => serde_json::to_string_pretty(&tuned)? + "\n",
        })?;
        note(&format!(
            "written: {0}/best.toml; next: daogou train {0}/best.toml",
            options.out.display()
        ));
        Ok(Outcome::Done)
    }
}

/// A bar over the trainings of a rung; a line each where no one watches a terminal.
struct Bar(ProgressBar);

impl Watch for Bar {
    fn done(&self, done: &Done<'_>) {
        let bar = &self.0;
        bar.set_prefix(done.stage.to_string());
        bar.set_length(done.total as u64);
        bar.set_position(done.done as u64);
        if bar.is_hidden() {
            let score = done.score.map_or_else(|| "diverged".into(), |score| format!("{score:.4}"));
            note(&format!("{}: {}/{}  {score}", done.stage, done.done, done.total));
        }
    }
}
