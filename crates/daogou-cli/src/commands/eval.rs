//! `daogou eval`.

use std::ops::Range;
use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use daogou::artifact::{EVALUATION, Manifest, write_atomic};
use daogou::data::{Dataset, load_known};
use daogou::evaluate::{EvaluateOptions, Evaluation, table};
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
    /// Requests to build lists for, at most; a large catalogue gets fewer
    #[arg(long, value_name = "N", default_value_t = 1000)]
    lists: usize,
    /// Keep the result in the run's directory, for the dashboard
    #[arg(long, conflicts_with_all = ["data", "split"])]
    keep: bool,
    /// Form of the output
    #[arg(long, value_enum, default_value = "table")]
    format: Format,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Part {
    Test,
    Valid,
}

impl Eval {
    pub(super) fn run(self) -> anyhow::Result<Outcome> {
        let (run, manifest) = TrainedRun::open(&self.run)?;
        let (data, part) = log(&run, &manifest, self.data.as_deref(), self.split)?;
        let options = EvaluateOptions { lists: self.lists, ..EvaluateOptions::default() };
        let evaluation = run.evaluate(&data, &part, &options)?;
        print(&shown(&evaluation, self.format)?)?;
        if self.keep {
            keep(&evaluation, &self.run)?;
        }
        Ok(Outcome::Done)
    }
}

/// The log to measure, and the range of its requests: all of `file`, or a part of the training log.
pub(super) fn log(
    run: &TrainedRun,
    manifest: &Manifest,
    file: Option<&Path>,
    part: Part,
) -> daogou::Result<(Dataset, Range<usize>)> {
    let data = match file {
        None => run.training_log(manifest)?,
        Some(file) => {
            let mut config = run.config.clone();
            config.data.impressions = vec![file.display().to_string()];
            config.data.test.clear();
            load_known(&config, Path::new("."), run.known())?
        }
    };
    let valid = part == Part::Valid && file.is_none();
    let requests = if valid { data.split.valid.clone() } else { data.split.test.clone() };
    Ok((data, requests))
}

/// Puts an evaluation into its run's directory.
pub(super) fn keep(evaluation: &Evaluation, run: &Path) -> anyhow::Result<()> {
    Ok(write_atomic(&run.join(EVALUATION), &serde_json::to_vec(evaluation)?)?)
}

/// The evaluation in the form asked for.
pub(super) fn shown(evaluation: &Evaluation, format: Format) -> anyhow::Result<String> {
    Ok(match format {
        Format::Table => table::table(evaluation),
        Format::Json => serde_json::to_string_pretty(evaluation)? + "\n",
    })
}
