//! What the weight of a task in training costs another task.

use super::chart::{Series, TradeOff};
use crate::Result;
use crate::data::Dataset;
use crate::evaluate::{TaskReport, reports};
use crate::metrics::BootstrapOptions;
use crate::models::{Mode, Source};
use crate::run::TrainedRun;
use crate::schema::Role;
use crate::train::{self, Options, train};

/// Trains once for each weight of the diversity task, all else as in the run, and sets the click head's AUC against the
/// diversity head's cross-entropy, both on the validation split. `None` where the run lacks one of the heads.
///
/// Costs a training per weight; holds one model at a time.
///
/// # Errors
///
/// Where training fails.
pub fn loss_weight_sweep(
    run: &TrainedRun,
    data: &Dataset,
    weights: &[f64],
) -> Result<Option<TradeOff>> {
    let tasks = (run.config.task_of(Role::Click), run.config.task_of(Role::Diversity));
    let (Some(click), Some(diversity)) = tasks else { return Ok(None) };
    let valid = &data.split.valid;
    let order: Vec<u32> = valid.clone().map(|r| r as u32).collect();
    let without = BootstrapOptions { replicates: 0, ..BootstrapOptions::default() };
    let mut series = Vec::with_capacity(weights.len());
    for &weight in weights {
        let mut config = run.config.clone();
        config.tasks[diversity].weight = Some(weight);
        let trained = train(&config, data, &Options::default(), &mut ())?;
        let other = TrainedRun::new(&config, trained, data);
        let mut team = daogou_nn::Team::new(train::threads(config.train.threads));
        let answers = other.predictions(&Source::from(data), &order, Mode::Evaluate, &mut team);
        let found = reports(&config, data, valid, &answers, &without)?;
        let (name, of) = (&config.tasks[click].name, &config.tasks[diversity].name);
        if let (Some(TaskReport::Binary(click)), Some(TaskReport::Mix(mix))) =
            (found.get(name), found.get(of))
            && let Some((auc, ce)) = click.auc.zip(mix.ce)
        {
            let name = format!("weight {weight}");
            series.push(Series { name, points: vec![(ce, auc)], line: false });
        }
    }
    Ok(Some(TradeOff {
        title: "Weight of the diversity task in training".into(),
        x: "cross-entropy of the wanted mix, nats".into(),
        y: "AUC of click".into(),
        series,
        note: "Up and left is better. One training for each weight, all else as in the run; \
               validation split. Differences of a few thousandths are those of another seed."
            .into(),
    }))
}
