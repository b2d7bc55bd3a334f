//! `daogou report`.

use std::path::PathBuf;

use clap::Args;
use daogou::artifact::{Manifest, REPORT};
use daogou::data::Dataset;
use daogou::evaluate::EvaluateOptions;
use daogou::metrics::BootstrapOptions;
use daogou::pareto::{Judge, SweepOptions, sweep};
use daogou::report::{Material, Report, TradeOff, loss_weight_sweep, trade_offs};
use daogou::run::TrainedRun;
use daogou::schema::Role;
use daogou::simulate::replay::Replay;
use daogou::train::Round;
use daogou_nn::Team;

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
    /// Also train once for each of these weights of the diversity task, and show what it costs the clicks
    #[arg(long, value_name = "w,…")]
    loss_weights: Option<String>,
}

/// Weights of a loss from text.
fn parsed(text: &str) -> anyhow::Result<Vec<f64>> {
    let weight = |part: &str| -> daogou::Result<f64> {
        part.trim().parse().ok().filter(|w: &f64| w.is_finite() && *w >= 0.0).ok_or_else(|| {
            daogou::Error::config(
                "loss-weights",
                format!("expected numbers of at least 0, got `{part}`"),
            )
        })
    };
    Ok(text.split(',').map(weight).collect::<daogou::Result<Vec<f64>>>()?)
}

/// What each objective costs in lists; nothing without a click head or items.
fn swept(run: &TrainedRun, data: &Dataset) -> anyhow::Result<Vec<TradeOff>> {
    if run.config.task_of(Role::Click).is_none()
        || data.split.valid.is_empty()
        || data.items.ids.len() < 2
    {
        return Ok(Vec::new());
    }
    let replay = Replay::of_log(&run.config)?;
    let judge = replay.as_ref().map_or(Judge::Model, Judge::Truth);
    // No intervals are drawn.
    let bootstrap = BootstrapOptions { replicates: 0, ..BootstrapOptions::default() };
    let options = SweepOptions { bootstrap, ..SweepOptions::default() };
    let mut team = Team::new(daogou::train::threads(run.config.train.threads));
    Ok(trade_offs(&sweep(run, (data, &data.split.valid), judge, &options, &mut team)?))
}

impl ReportPage {
    pub(super) fn run(self) -> anyhow::Result<Outcome> {
        let options = EvaluateOptions { lists: self.lists, ..EvaluateOptions::default() };
        let page = self.out.unwrap_or_else(|| self.run.join(REPORT));
        let weights = self.loss_weights.as_deref().map(parsed).transpose()?;
        Report::check_target(&page)?;
        let history = TrainedRun::history(&self.run)?;
        let (run, manifest) = TrainedRun::open(&self.run)?;
        let data = run.training_log(&manifest)?;
        note("measuring the run on the test split of its log");
        let parts = (&run, &manifest, &history[..], &data);
        made(parts, &options, weights.as_deref())?.write(&page)?;
        print(&format!("{}\n", page.display()))?;
        Ok(Outcome::Done)
    }
}

/// The page of a run, from what is known of it.
pub(super) fn made(
    (run, manifest, history, data): (&TrainedRun, &Manifest, &[Round], &Dataset),
    options: &EvaluateOptions,
    loss_weights: Option<&[f64]>,
) -> anyhow::Result<Report> {
    let mut charts = swept(run, data)?;
    if let Some(weights) = loss_weights {
        note("training with other weights of the diversity task");
        charts.extend(loss_weight_sweep(run, data, weights)?);
    }
    let material = Material { run, manifest, history, data, trade_offs: &charts };
    Ok(Report::new(&material, options)?)
}
