//! `daogou simulate`.

use std::path::{Path, PathBuf};

use clap::Args;
use daogou::simulate::{self, Options, Summary};

use super::Outcome;
use crate::terminal::{note, progress};

/// Write the log of a simulated phone shop, with its truth
#[derive(Args)]
pub(crate) struct Simulate {
    /// Directory to write to
    #[arg(long, value_name = "D")]
    out: PathBuf,
    /// People
    #[arg(long)]
    users: Option<u32>,
    /// Products
    #[arg(long)]
    items: Option<u32>,
    /// Requests, of 10 impressions each
    #[arg(long)]
    requests: Option<u64>,
    /// Seed; the same seed writes the same bytes
    #[arg(long)]
    seed: Option<u64>,
    /// How much of the taste for brands and specifications is common to clicking and buying: 1 all, 0 nothing
    #[arg(long, value_name = "SHARE")]
    relatedness: Option<f64>,
    /// Standard deviation of a hidden mood that moves clicks and purchases alike. Above 0, purchases are missing not at random:
    /// who clicks is in a better mood than the log can say
    #[arg(long, value_name = "SD")]
    mood_sd: Option<f64>,
    /// Intercept of the purchase logit; lower: fewer purchases per click
    #[arg(long, value_name = "X", allow_negative_numbers = true)]
    purchase_intercept: Option<f64>,
}

impl Simulate {
    pub(super) fn run(self) -> anyhow::Result<Outcome> {
        let mut options = Options::default();
        options.users = self.users.unwrap_or(options.users);
        options.items = self.items.unwrap_or(options.items);
        options.requests = self.requests.unwrap_or(options.requests);
        options.seed = self.seed.unwrap_or(options.seed);
        options.relatedness = self.relatedness.unwrap_or(options.relatedness);
        options.mood_sd = self.mood_sd.unwrap_or(options.mood_sd);
        options.purchase_intercept = self.purchase_intercept.unwrap_or(options.purchase_intercept);
        let summary = simulated(&options, &self.out)?;
        note(&format!(
            "{} impressions, CTR {:.4}, CVR {:.4}, written to {}",
            summary.impressions,
            summary.ctr,
            summary.cvr.unwrap_or(0.0),
            self.out.display()
        ));
        Ok(Outcome::Done)
    }
}

/// Simulates with a progress bar.
pub(super) fn simulated(options: &Options, out: &Path) -> anyhow::Result<Summary> {
    let bar = progress(options.requests, "simulating {wide_bar} {pos}/{len} requests {eta}");
    let summary = simulate::run(options, out, &mut |done| bar.set_position(done))?;
    bar.finish_and_clear();
    Ok(summary)
}
