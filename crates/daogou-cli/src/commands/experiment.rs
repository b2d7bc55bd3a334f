//! `daogou experiment`.

use std::path::{Path, PathBuf};

use clap::Args;
use daogou::experiment::{self, Design, Event, Options, Watch};
use indicatif::ProgressBar;

use super::{Format, Outcome};
use crate::terminal::{note, print, progress};

/// Compare configurations over seeds on one log
///
/// Trains every variant of an experiment's file under every seed, several runs side by side, and then measures the test
/// split once. Finished runs are kept, so that `--resume` goes on after a kill. Writes results.json, costs.json, table.md and
/// charts.
#[derive(Args)]
pub(crate) struct Experiment {
    /// File of the experiment
    spec: PathBuf,
    /// Directory of everything that comes out; by default `runs/` and the file's name
    #[arg(long, value_name = "D")]
    out: Option<PathBuf>,
    /// Trainings side by side, each on one thread; by default one per core
    #[arg(long, value_name = "N")]
    threads: Option<usize>,
    /// Go on with the experiment that is there
    #[arg(long)]
    resume: bool,
    /// Leave the test split alone and show validation
    #[arg(long)]
    validation_only: bool,
    /// Keep every run as a directory after its test split was measured
    #[arg(long)]
    keep_runs: bool,
    /// Form of the output
    #[arg(long, value_enum, default_value = "table")]
    format: Format,
}

impl Experiment {
    pub(super) fn run(self) -> anyhow::Result<Outcome> {
        let design = Design::read(&self.spec)?;
        let out = self.out.unwrap_or_else(|| results_of(&self.spec));
        let options = Options {
            out,
            threads: daogou::train::threads(self.threads.unwrap_or(0)),
            resume: self.resume,
            validation_only: self.validation_only,
            keep_runs: self.keep_runs,
        };
        let watch = Bar(progress(0, "{prefix} {wide_bar} {pos}/{len} {eta}"));
        let outcome = experiment::run(&design, &options, &watch);
        watch.0.finish_and_clear();
        let (results, costs) = outcome?;
        print(&match self.format {
            Format::Table => experiment::text(&results, &costs),
            Format::Json => serde_json::to_string_pretty(&results)? + "\n",
        })?;
        let out = options.out.display();
        note(&format!("written: {out}/table.md, results.json, costs.json, charts"));
        if !results.tested {
            note("the test split was left alone; --resume without --validation-only measures it");
        }
        Ok(Outcome::Done)
    }
}

/// Where results go if nobody says: `runs/` and the name of the file.
pub(super) fn results_of(file: &Path) -> PathBuf {
    Path::new("runs").join(file.file_stem().unwrap_or_default())
}

/// A bar over the trainings, then over the runs that are measured; a line per run where no one watches a terminal.
struct Bar(ProgressBar);

impl Watch for Bar {
    fn see(&self, event: &Event<'_>) {
        let bar = &self.0;
        let line = |text: &str| if bar.is_hidden() { note(text) } else { bar.println(text) };
        let at = |prefix: &'static str, done: usize, total: usize| {
            bar.set_prefix(prefix);
            bar.set_length(total as u64);
            bar.set_position(done as u64);
        };
        match *event {
            Event::Simulating { world } => line(&format!("simulating {world}")),
            Event::Found { trained, total } => {
                at("training", trained, total);
                if trained > 0 {
                    line(&format!("{trained} of {total} runs are there from before"));
                }
            }
            Event::Trained { run, seconds, valid, done, total } => {
                at("training", done, total);
                let auc = valid.iter().find(|(key, _)| key.split('.').next_back() == Some("auc"));
                let shown = auc.and_then(|(key, value)| Some((key, (*value)?)));
                let shown = shown.map_or_else(String::new, |(key, v)| format!("  {key} {v:.4}"));
                line(&format!("{done:>4}/{total} {run:<44.44}{seconds:>7.1} s{shown}"));
            }
            Event::Measured { done, total } => at("test split", done, total),
        }
    }
}
