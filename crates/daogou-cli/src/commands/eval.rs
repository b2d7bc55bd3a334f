//! `daogou eval`.

use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use daogou::data::{Dataset, load_known};
use daogou::evaluate::{Evaluation, table};
use daogou::metrics::BootstrapOptions;
use daogou::run::TrainedRun;

use super::{Format, Outcome};
use crate::terminal::print;

/// Measure a run on its test split, its validation split, or another log
#[derive(Args)]
pub(crate) struct Eval {
    /// Run directory
    run: PathBuf,
    /// Another log with the same columns; all of it is measured
    #[arg(long, value_name = "F")]
    data: Option<PathBuf>,
    /// Part of the training log
    #[arg(long, value_enum, default_value = "test")]
    split: Part,
    /// Form of the output
    #[arg(long, value_enum, default_value = "table")]
    format: Format,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Part {
    Test,
    Valid,
}

impl Eval {
    pub(super) fn run(self) -> anyhow::Result<Outcome> {
        let (run, _) = TrainedRun::open(&self.run)?;
        let here = Path::new(".");
        let data = match &self.data {
            None => Dataset::load(&run.config, here)?,
            Some(file) => {
                let mut config = run.config.clone();
                config.data.impressions = vec![file.display().to_string()];
                config.data.test.clear();
                load_known(&config, here, run.known())?
            }
        };
        let part = if self.split == Part::Valid && self.data.is_none() {
            data.split.valid.clone()
        } else {
            data.split.test.clone()
        };
        let evaluation = run.evaluate(&data, &part, &BootstrapOptions::default())?;
        print(&shown(&evaluation, self.format)?)?;
        Ok(Outcome::Done)
    }
}

/// The evaluation in the form asked for.
pub(super) fn shown(evaluation: &Evaluation, format: Format) -> anyhow::Result<String> {
    Ok(match format {
        Format::Table => table::table(evaluation),
        Format::Json => serde_json::to_string_pretty(evaluation)? + "\n",
    })
}
