//! `daogou predict`.

use std::path::PathBuf;

use clap::Args;
use daogou::predict::PredictOptions;
use daogou::run::TrainedRun;

use super::Outcome;
use crate::terminal::note;

/// Add a column per head to the rows of a file
#[derive(Args)]
pub(crate) struct Predict {
    /// Run directory
    run: PathBuf,
    /// CSV, TSV, JSON lines (also .gz) or Parquet with the columns the model was trained on; labels are not needed
    #[arg(long, value_name = "F")]
    input: PathBuf,
    /// File to write: .csv, .tsv, .jsonl (also .gz) or .parquet
    #[arg(long, value_name = "F")]
    output: PathBuf,
    /// Logits instead of probabilities
    #[arg(long)]
    logits: bool,
}

impl Predict {
    pub(super) fn run(self) -> anyhow::Result<Outcome> {
        let (run, _) = TrainedRun::open(&self.run)?;
        let options = PredictOptions { logits: self.logits, ..PredictOptions::default() };
        let summary = run.predict_file(&self.input, &self.output, &options)?;
        note(&format!("{} rows written to {}", summary.rows, self.output.display()));
        if summary.unknown_users + summary.unknown_items > 0 {
            note(&format!(
                "note: of {} rows {} are of unknown users, {} of unknown items; they get what newcomers get",
                summary.rows, summary.unknown_users, summary.unknown_items
            ));
        }
        Ok(Outcome::Done)
    }
}
