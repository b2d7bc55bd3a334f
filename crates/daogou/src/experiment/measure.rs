//! What an experiment measures of a run: each task by its own metrics, and on a simulated shop by the truth.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::Path;

use daogou_nn::Team;
use serde::{Deserialize, Serialize};

use crate::Result;
use crate::data::Dataset;
use crate::evaluate::{TaskReport, TaskScores, binary_answers, reports};
use crate::metrics::auc::expected_auc;
use crate::metrics::{BootstrapOptions, ScoreOrder, Scores};
use crate::models::{Mode, Source};
use crate::run::TrainedRun;
use crate::schema::{Config, Role, TaskKind};
use crate::simulate::oracle::{Bound, Truth};
use crate::train::funnel;

/// Numbers of one run on one split, by key; `None` where undefined.
pub type Measures = BTreeMap<String, Option<f64>>;

/// One column of a table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Metric {
    /// Name in files: `click.auc`.
    pub key: String,
    /// Name for people: `click AUC`.
    pub label: String,
    /// Whether more is better.
    pub higher_is_better: bool,
    /// Whether it is a share to be shown as a percentage.
    pub percent: bool,
    /// Which table it belongs to.
    pub table: MetricTable,
}

/// A table of metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MetricTable {
    /// The answer to each question by the metric that compares networks: what differences are shown of.
    Quality,
    /// How well probabilities fit.
    Fit,
    /// Beside the true probabilities of a simulated shop.
    Truth,
}

/// Metrics of every task of a configuration, in its order.
pub(crate) fn metrics(config: &Config, truth: bool) -> Vec<Metric> {
    use MetricTable::{Fit, Quality, Truth};
    let mut all = Vec::new();
    let mut add = |key: String, label: String, higher_is_better, percent, table| {
        all.push(Metric { key, label, higher_is_better, percent, table });
    };
    let mut binary = |name: &str, label: &str| {
        add(format!("{name}.auc"), format!("{label} AUC"), true, false, Quality);
        add(format!("{name}.logloss"), format!("{label} log-loss"), false, false, Fit);
        add(format!("{name}.ne"), format!("{label} NE"), false, false, Fit);
        if truth && label != name {
            add(format!("{name}.gap_closed"), format!("{label} gap closed %"), true, true, Truth);
        }
    };
    for (index, task) in config.tasks.iter().enumerate() {
        let name = &task.name;
        match (task.kind, task.role()) {
            (TaskKind::Binary, Some(Role::Purchase)) if funnel(config, index).is_some() => {
                binary(name, "CVR");
                binary(&format!("{name}_ctcvr"), "CTCVR");
            }
            (TaskKind::Binary, Some(Role::Click)) => binary(name, "CTR"),
            (TaskKind::Binary, _) => binary(name, name),
            _ => {}
        }
    }
    for (index, task) in config.tasks.iter().enumerate() {
        let name = &task.name;
        match task.kind {
            TaskKind::Distribution => {
                add(format!("{name}.ce"), format!("{name} CE"), false, false, Quality);
            }
            TaskKind::Share => {
                add(format!("{name}.mse"), format!("{name} MSE"), false, false, Quality);
            }
            TaskKind::Binary if truth && task.role() == Some(Role::Purchase) => {
                if funnel(config, index).is_some() {
                    let label = "CVR AUC, all impressions".to_string();
                    add(format!("{name}.auc_all"), label, true, false, Truth);
                    let label = "CVR gap closed %, all impressions".to_string();
                    add(format!("{name}.gap_closed_all"), label, true, true, Truth);
                }
            }
            TaskKind::Regression => {
                add(format!("{name}.rmse"), format!("{name} RMSE"), false, false, Quality);
                add(format!("{name}.r2"), format!("{name} R²"), true, false, Fit);
            }
            TaskKind::MultiClass => {
                add(format!("{name}.ce"), format!("{name} CE"), false, false, Quality);
                add(format!("{name}.accuracy"), format!("{name} accuracy %"), true, true, Fit);
            }
            TaskKind::Binary => {}
        }
    }
    all
}

/// The truth beside a log, if it is one of `daogou simulate`.
///
/// # Errors
///
/// Where it is damaged.
pub(super) fn truth_of(config: &Config, base: &Path) -> Result<Option<Truth>> {
    let [file] = &config.data.impressions[..] else { return Ok(None) };
    let path = base.join(file);
    let Some(directory) = path.parent() else { return Ok(None) };
    let simulated = ["simulation.toml", "oracle.parquet"];
    let there = simulated.iter().all(|name| directory.join(name).exists());
    // Rows of other files would be counted on.
    if !there || !config.data.test.is_empty() {
        return Ok(None);
    }
    Truth::read(directory).map(Some)
}

/// Measures a run on a range of requests, with one thread.
///
/// Log losses are those of calibrated probabilities, as `daogou eval` shows them. AUCs by the truth are expected ones over
/// the draw of the labels.
///
/// # Errors
///
/// Where the log has no labels.
pub(crate) fn measure(
    run: &TrainedRun,
    data: &Dataset,
    requests: &Range<usize>,
    truth: Option<&Truth>,
) -> Result<Measures> {
    let order: Vec<u32> = requests.clone().map(|r| r as u32).collect();
    let source = Source::from(data);
    let predictions = run.predictions(&source, &order, Mode::Evaluate, &mut Team::new(1));
    let without = BootstrapOptions { replicates: 0, ..BootstrapOptions::default() };
    let mut found = Measures::new();
    for (name, report) in reports(&run.config, data, requests, &predictions, &without)? {
        let mut add = |metric: &str, value| found.insert(format!("{name}.{metric}"), value);
        match report {
            TaskReport::Binary(report) => {
                add("auc", report.auc);
                add("logloss", report.logloss);
                add("ne", report.ne);
            }
            TaskReport::Mix(report) => {
                add("ce", report.ce);
            }
            TaskReport::Share(report) => {
                add("mse", report.mse);
            }
            TaskReport::Numbers(report) => {
                add("rmse", report.rmse);
                add("r2", report.r2);
            }
            TaskReport::Classes(report) => {
                add("ce", report.ce);
                add("accuracy", report.accuracy);
            }
        }
    }
    if let Some(truth) = truth {
        by_truth(run, data, requests, &predictions.tasks, truth, &mut found);
    }
    Ok(found)
}

/// Adds what the true probabilities say of the answers to click and purchase.
fn by_truth(
    run: &TrainedRun,
    data: &Dataset,
    requests: &Range<usize>,
    tasks: &[TaskScores],
    truth: &Truth,
    found: &mut Measures,
) {
    let config = &run.config;
    let scores: Vec<Option<&TaskScores>> = tasks.iter().map(Some).collect();
    let impressions = data.requests.impressions(requests);
    let log_row = |row: u32| data.rows[impressions.start + row as usize] as usize;
    // Expected AUC, and the share of the way from chance to the truth's own.
    let beside = |scores: &[f32], p: &[f64]| {
        let auc = expected_auc(&ScoreOrder::new(scores), p);
        (auc, auc.and_then(|auc| Bound::of(p).gap_closed(auc)))
    };
    for (index, task) in config.tasks.iter().enumerate() {
        let purchase = task.role() == Some(Role::Purchase) && funnel(config, index).is_some();
        if !purchase && task.role() != Some(Role::Click) {
            continue;
        }
        for answers in binary_answers(config, data, requests, &scores, index) {
            let of_row = |&row: &u32| {
                let row = log_row(row);
                match (purchase, answers.name == task.name) {
                    (false, _) => truth.click(row),
                    (true, true) => truth.purchase(row),
                    (true, false) => truth.click(row) * truth.purchase(row),
                }
            };
            let p: Vec<f64> = answers.rows.iter().map(of_row).collect();
            let (Scores::Logits(values) | Scores::Probabilities(values)) = answers.scores();
            let (_, closed) = beside(values, &p);
            found.insert(format!("{}.gap_closed", answers.name), closed);
        }
        if let (true, TaskScores::Logits(values)) = (purchase, &tasks[index]) {
            let all = 0..values.len() as u32;
            let p: Vec<f64> = all.map(|row| truth.purchase(log_row(row))).collect();
            let (auc, closed) = beside(values, &p);
            found.insert(format!("{}.auc_all", task.name), auc);
            found.insert(format!("{}.gap_closed_all", task.name), closed);
        }
    }
}
