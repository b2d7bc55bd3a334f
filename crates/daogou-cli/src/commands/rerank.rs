//! `daogou rerank`.

use std::path::PathBuf;

use clap::Args;
use daogou::lists::Weights;
use daogou::rerank::{RerankOptions, rerank};

use super::Outcome;
use super::rule_flags::RuleFlags;
use crate::terminal::note;

/// Build lists from a file of scores, without a model
///
/// Columns of the input: `request`, `item`, and `score`, or else `click` and, if there are any, `purchase` and `price`;
/// further `category`, `novel` (0 or 1) and `title`, and whatever column a quota counts.
#[derive(Args)]
pub(crate) struct Rerank {
    /// CSV, JSON lines or Parquet, one candidate per row
    #[arg(long, value_name = "F")]
    input: PathBuf,
    /// CSV to write: request, position, item, score
    #[arg(long, value_name = "F")]
    output: PathBuf,
    /// auto, exact, greedy, greedy_swap, top_k, mmr, dpp, xquad or random_swap
    #[arg(long, default_value = "auto")]
    builder: String,
    /// Items per list
    #[arg(short, default_value_t = 10)]
    k: usize,
    /// Weights of objectives; where the file has a `score`, only diversity and novelty are used
    #[arg(long, default_value = "click=1,diversity=0.3,novelty=0.1")]
    objectives: Weights,
    /// Wanted share of novel items
    #[arg(long, default_value_t = 0.3)]
    wanted_novelty: f64,
    #[command(flatten)]
    rules: RuleFlags,
}

impl Rerank {
    pub(super) fn run(self) -> anyhow::Result<Outcome> {
        let options = RerankOptions {
            rules: self.rules.rules()?,
            builder: self.builder,
            k: self.k,
            weights: self.objectives,
            wanted_novelty: self.wanted_novelty,
        };
        let summary = rerank(&self.input, &self.output, &options)?;
        note(&format!(
            "{} lists of {} candidates written to {}",
            summary.lists,
            summary.rows,
            self.output.display()
        ));
        Ok(Outcome::Done)
    }
}
