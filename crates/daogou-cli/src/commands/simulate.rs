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
}

impl Simulate {
    pub(super) fn run(self) -> anyhow::Result<Outcome> {
        let mut options = Options::default();
        options.users = self.users.unwrap_or(options.users);
        options.items = self.items.unwrap_or(options.items);
        options.requests = self.requests.unwrap_or(options.requests);
        options.seed = self.seed.unwrap_or(options.seed);
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
