//! From predictions on a split to a report: every task by its own metrics, beside baselines fitted on training.

pub(crate) mod baselines;
mod binary;
mod built;
mod calibrated;
mod labelled;
mod lists;
pub mod table;

use std::collections::BTreeMap;
use std::ops::Range;

use serde::{Deserialize, Serialize};

pub(crate) use baselines::MIX_PRIOR;
pub(crate) use binary::{BinaryAnswers, binary_answers};
pub(crate) use built::{Built, BuiltList, BuiltVisit, built_lists, item_vectors, sample};
pub use calibrated::CalibrationEffect;
pub(crate) use calibrated::effects;
pub use lists::{Ranking, ranking};

use crate::Result;
use crate::data::{Dataset, Target};
use crate::floors::Floor;
use crate::metrics::{
    BinaryInput, BinaryReport, BootstrapOptions, ClassReport, DistributionInput,
    DistributionReport, ListReport, RegressionReport, Scores, ShareInput, ShareReport,
};
use crate::schema::{Config, TaskKind};

/// Answers to every task, in the order of the configuration, for a range of requests.
#[derive(Clone, Debug, PartialEq)]
pub struct Predictions {
    /// One per task.
    pub tasks: Vec<TaskScores>,
}

/// Answers to one task.
#[derive(Clone, Debug, PartialEq)]
pub enum TaskScores {
    /// One logit per impression; of a purchase after a click: of P(purchase | click).
    Logits(Vec<f32>),
    /// Shares per category, one row per request, or per impression where the label is the row's own.
    Mix {
        /// Categories.
        classes: usize,
        /// `[rows, classes]`.
        shares: Vec<f32>,
    },
    /// One share per request or per impression.
    Share(Vec<f32>),
    /// One number per impression, in the label's units.
    Numbers(Vec<f32>),
    /// A probability of each class, per impression.
    Classes {
        /// Classes.
        classes: usize,
        /// `[impressions, classes]`.
        probabilities: Vec<f32>,
    },
}

/// Report of one task, by its kind.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum TaskReport {
    /// A binary task.
    Binary(BinaryReport),
    /// A distribution.
    Mix(DistributionReport),
    /// A multi-class task.
    Classes(ClassReport),
    /// A regression.
    Numbers(RegressionReport),
    /// A share.
    Share(ShareReport),
}

/// Reports by task name. A purchase after a click has two: its own name for CVR (clicked impressions) and
/// `{name}_ctcvr` for CTCVR (all impressions, pCTR·pCVR); they are never merged.
pub type Reports = BTreeMap<String, TaskReport>;

/// Everything measured on one split.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Evaluation {
    /// Tasks.
    pub tasks: Reports,
    /// Lists.
    pub lists: Lists,
    /// By baseline, then by task: `constant`, `popularity`, `position`, `user_history`.
    pub baselines: BTreeMap<String, Reports>,
    /// By baseline: rankings of logged lists.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub list_baselines: BTreeMap<String, ListReport>,
    /// By report of [`Evaluation::tasks`]: what calibration changed. Empty where nothing is calibrated.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub calibration: BTreeMap<String, CalibrationEffect>,
    /// What a reader should know.
    pub notes: Vec<String>,
}

/// How much is measured.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct EvaluateOptions {
    /// How intervals are made; its seed also draws the requests that lists are built for.
    pub bootstrap: BootstrapOptions,
    /// Requests to build lists for, at most; 0: none. Fewer where the catalogue is large: about a million candidates
    /// are scored in all.
    pub lists: usize,
}

impl Default for EvaluateOptions {
    fn default() -> Self {
        Self { bootstrap: BootstrapOptions::default(), lists: 1000 }
    }
}

/// What is measured on lists rather than rows.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Lists {
    /// Logged lists in the model's order; `None` where the log has no lists of several impressions or no click task.
    #[serde(flatten)]
    pub order: Option<ListReport>,
    /// Lists built from the whole catalogue, by who made them: `model`, `click_top_k`, `popularity`, and the `logged`
    /// lists of the same requests.
    #[serde(default)]
    pub built: BTreeMap<String, ListReport>,
    /// Exposure floors, with the shares of places that the model's built lists reach.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub floors: Vec<Floor>,
}

/// Measures predictions on a range of requests, beside baselines fitted on the training split. Baselines have no
/// intervals.
///
/// # Errors
///
/// Where predictions and data do not fit.
pub fn evaluate(
    config: &Config,
    data: &Dataset,
    requests: &Range<usize>,
    predictions: &Predictions,
    options: &BootstrapOptions,
) -> Result<Evaluation> {
    let tasks = reports(config, data, requests, predictions, options)?;
    let mut baselines = BTreeMap::new();
    let without = BootstrapOptions { replicates: 0, ..*options };
    for (name, answers) in baselines::all(config, data, requests) {
        let mut some = vec![None; config.tasks.len()];
        for (index, scores) in &answers {
            some[*index] = Some(scores);
        }
        let found = some_reports(config, data, requests, &some, &without)?;
        if !found.is_empty() {
            baselines.insert(name.to_string(), found);
        }
    }
    Ok(Evaluation {
        tasks,
        lists: Lists::default(),
        baselines,
        list_baselines: BTreeMap::new(),
        calibration: BTreeMap::new(),
        notes: data.report.notes.clone(),
    })
}

pub(crate) fn reports(
    config: &Config,
    data: &Dataset,
    requests: &Range<usize>,
    predictions: &Predictions,
    options: &BootstrapOptions,
) -> Result<Reports> {
    let some: Vec<Option<&TaskScores>> = predictions.tasks.iter().map(Some).collect();
    some_reports(config, data, requests, &some, options)
}

/// User of each impression of a range of requests.
pub(crate) fn users_of_impressions(data: &Dataset, requests: &Range<usize>) -> Vec<u32> {
    let each = requests.clone().flat_map(|r| {
        let n = data.requests.impressions(&(r..r + 1)).len();
        std::iter::repeat_n(data.requests.user[r], n)
    });
    each.collect()
}

fn some_reports(
    config: &Config,
    data: &Dataset,
    requests: &Range<usize>,
    scores: &[Option<&TaskScores>],
    options: &BootstrapOptions,
) -> Result<Reports> {
    let users = users_of_impressions(data, requests);
    let mut found = Reports::new();
    for (index, task) in config.tasks.iter().enumerate() {
        let Some(score) = scores[index] else { continue };
        match score {
            TaskScores::Logits(_) => {
                for answers in binary_answers(config, data, requests, scores, index) {
                    let groups: Vec<u32> =
                        answers.rows.iter().map(|&row| users[row as usize]).collect();
                    let input = BinaryInput {
                        scores: answers.scores(),
                        labels: &answers.labels,
                        groups: &groups,
                    };
                    let report = BinaryReport::compute(&input, options)?;
                    found.insert(answers.name, TaskReport::Binary(report));
                }
            }
            TaskScores::Mix { classes, shares } => {
                let (targets, weights, groups) =
                    mix_targets(data, requests, index, *classes, shares.len());
                let input = DistributionInput {
                    classes: *classes,
                    scores: Scores::Probabilities(shares),
                    targets: &targets,
                    weights: &weights,
                    groups: &groups,
                };
                let report = DistributionReport::compute(&input, options)?;
                found.insert(task.name.clone(), TaskReport::Mix(report));
            }
            TaskScores::Share(predicted) => {
                let Some(Target::Share { value, weight, .. }) = &data.targets[index] else {
                    continue;
                };
                let per_request = predicted.len() == requests.len();
                let rows = rows_of(data, requests, per_request);
                let pick =
                    |values: &[f32]| -> Vec<f32> { rows.iter().map(|&r| values[r]).collect() };
                let groups: Vec<u32> = rows.iter().map(|&r| data.requests.user[r]).collect();
                let input = ShareInput {
                    predicted,
                    targets: &pick(value),
                    weights: &pick(weight),
                    groups: &groups,
                };
                let report = ShareReport::compute(&input, options)?;
                found.insert(task.name.clone(), TaskReport::Share(report));
            }
            TaskScores::Numbers(predicted) => {
                let of = (index, &users[..]);
                let report = labelled::numbers(config, data, requests, of, predicted, options)?;
                found.extend(report.map(|r| (task.name.clone(), TaskReport::Numbers(r))));
            }
            TaskScores::Classes { classes, probabilities } => {
                let (of, answers) = ((index, &users[..]), (*classes, &probabilities[..]));
                let report = labelled::classes(config, data, requests, of, answers, options)?;
                found.extend(report.map(|r| (task.name.clone(), TaskReport::Classes(r))));
            }
        }
        debug_assert!(task.kind != TaskKind::Binary || matches!(score, TaskScores::Logits(_)));
    }
    Ok(found)
}

/// Request of each answered row: each request once, or once per impression.
pub(crate) fn rows_of(data: &Dataset, requests: &Range<usize>, per_request: bool) -> Vec<usize> {
    if per_request {
        return requests.clone().collect();
    }
    let each = requests
        .clone()
        .flat_map(|r| std::iter::repeat_n(r, data.requests.impressions(&(r..r + 1)).len()));
    each.collect()
}

/// Targets, weights and users of a distribution task, by answered row.
pub(crate) fn mix_targets(
    data: &Dataset,
    requests: &Range<usize>,
    task: usize,
    classes: usize,
    values: usize,
) -> (Vec<f32>, Vec<f32>, Vec<u32>) {
    let per_request = values == requests.len() * classes;
    let rows = rows_of(data, requests, per_request);
    let users = rows.iter().map(|&r| data.requests.user[r]).collect();
    if let Some(Target::Distribution { shares, weight, .. }) = &data.targets[task] {
        let targets =
            rows.iter().flat_map(|&r| shares[r * classes..(r + 1) * classes].iter().copied());
        (targets.collect(), rows.iter().map(|&r| weight[r]).collect(), users)
    } else {
        let first = data.requests.offsets[requests.start] as usize;
        let mut targets = vec![0.0; rows.len() * classes];
        let mut weights = vec![0.0; rows.len()];
        for row in 0..rows.len() {
            let i = first + row;
            let sampled = data.impressions.sampled.get(i).copied().unwrap_or(false);
            let category = usize::from(data.catalogue.category[data.impressions.item[i] as usize]);
            if category < classes && !sampled {
                targets[row * classes + category] = 1.0;
                weights[row] = 1.0;
            }
        }
        (targets, weights, users)
    }
}
