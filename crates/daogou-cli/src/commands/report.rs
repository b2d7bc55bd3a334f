//! `daogou report`.

use std::path::{Path, PathBuf};

use clap::Args;
use daogou::artifact::REPORT;
use daogou::evaluate::EvaluateOptions;
use daogou::report::{Material, Report};
use daogou::run::TrainedRun;

use super::Outcome;
use crate::terminal::{note, print};

/// Write a page that shows a run: what it learned, and what its lists look like
#[derive(Args)]
pub(crate) struct ReportPage {
    /// Run directory
    run: PathBuf,
    /// The page; by default `report.html` in the run. Charts go to a folder `charts` beside it
    #[arg(long, value_name = "F")]
    out: Option<PathBuf>,
    /// Requests to build lists for, at most; a large catalogue gets fewer
    #[arg(long, value_name = "N", default_value_t = 1000)]
    lists: usize,
}

impl ReportPage {
    pub(super) fn run(self) -> anyhow::Result<Outcome> {
        let options = EvaluateOptions { lists: self.lists, ..EvaluateOptions::default() };
        let page = self.out.unwrap_or_else(|| self.run.join(REPORT));
        written(&self.run, &page, &options)?;
        print(&format!("{}\n", page.display()))?;
        Ok(Outcome::Done)
    }
}

/// Writes the page of a run.
pub(super) fn written(run: &Path, page: &Path, options: &EvaluateOptions) -> anyhow::Result<()> {
    Report::check_target(page)?;
    let history = TrainedRun::history(run)?;
    let (run, manifest) = TrainedRun::open(run)?;
    let data = run.training_log(&manifest)?;
    note("measuring the run on the test split of its log");
    let material = Material {
        run: &run,
        manifest: &manifest,
        history: &history,
        data: &data,
        trade_offs: &[],
    };
    Report::new(&material, options)?.write(page)?;
    Ok(())
}
