//! From finished runs to means over seeds and paired differences.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::design::{Design, RunId, reading};
use super::measure::{Measures, Metric};
use super::record::{Folder, TrainedRecord};
use super::{changed_log, metrics_of};
use crate::metrics::StudentMean;
use crate::{Error, Result};

/// Everything that an experiment found, but for what depends on the machine.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Results {
    /// What it is called.
    pub title: String,
    /// What its author says of it.
    pub note: String,
    /// Version of the program.
    pub version: String,
    /// The log, in a few words.
    pub log: String,
    /// Seeds, in the order of all lists of runs.
    pub seeds: Vec<u64>,
    /// Whether each seed has a log of its own.
    pub world_per_seed: bool,
    /// Name of the variant that the others are compared with.
    pub baseline: String,
    /// Whether the test split was measured; else all there is is validation.
    pub tested: bool,
    /// What differs between the points, with more than one.
    pub axis: Option<String>,
    /// Columns.
    pub metrics: Vec<Metric>,
    /// Points on the axis, in the order of the file.
    pub points: Vec<PointResult>,
}

/// One point on the axis.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PointResult {
    /// For people.
    pub label: String,
    /// Place on the axis.
    pub x: Option<f64>,
    /// Impressions that were trained on, the mean over seeds.
    pub train_impressions: f64,
    /// Variants, in the order of the file.
    pub variants: Vec<VariantResult>,
}

/// One variant at one point.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct VariantResult {
    /// Its name.
    pub name: String,
    /// What it sets.
    pub set: Vec<String>,
    /// Numbers that it learned, tables included.
    pub parameters: u64,
    /// Bytes that its training held besides the log, the mean over seeds: values, optimiser state, gradients, activations.
    pub bytes: f64,
    /// Epochs begun, the mean over seeds.
    pub epochs: f64,
    /// On the validation split.
    pub valid: Summary,
    /// On the test split; `None` where it was left alone.
    pub test: Option<Summary>,
    /// Run by run.
    pub runs: Vec<RunResult>,
}

impl VariantResult {
    /// What a table shows: the test split, else validation.
    pub fn shown(&self) -> &Summary {
        self.test.as_ref().unwrap_or(&self.valid)
    }
}

/// Means over seeds by the key of a metric. A metric that is undefined for every seed is not there.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Summary {
    /// Means of the values.
    pub means: BTreeMap<String, StudentMean>,
    /// Means of the differences to the baseline, seed by seed; empty for the baseline itself.
    pub differences: BTreeMap<String, StudentMean>,
}

/// One run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RunResult {
    /// Its seed.
    pub seed: u64,
    /// On the validation split.
    pub valid: Measures,
    /// On the test split.
    pub test: Option<Measures>,
}

/// What depends on the machine.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Costs {
    /// Most trainings that ran at the same time: they slow each other down.
    pub side_by_side: usize,
    /// Most memory that the whole process had, in bytes; `None` where the system does not say.
    pub peak_bytes: Option<u64>,
    /// Seconds of a training on one thread, by point and by variant.
    pub seconds: Vec<BTreeMap<String, StudentMean>>,
}

impl Summary {
    /// Of the runs of one variant beside those of the baseline, both by seed.
    fn of(runs: &[&Measures], baseline: Option<&[&Measures]>) -> Self {
        let value = |run: &Measures, key: &str| run.get(key).copied().flatten();
        let mut summary = Self::default();
        for key in runs.iter().flat_map(|run| run.keys()) {
            if summary.means.contains_key(key) {
                continue;
            }
            let values: Vec<f64> = runs.iter().filter_map(|run| value(run, key)).collect();
            summary.means.extend(StudentMean::new(&values).map(|mean| (key.clone(), mean)));
            let pairs = baseline.into_iter().flat_map(|baseline| runs.iter().zip(baseline));
            let differences: Vec<f64> = pairs
                .filter_map(|(run, base)| Some(value(run, key)? - value(base, key)?))
                .collect();
            summary.differences.extend(StudentMean::new(&differences).map(|d| (key.clone(), d)));
        }
        summary
    }
}

/// Reads all finished runs of a design.
///
/// # Errors
///
/// Where one is missing or damaged, or runs that should have read the same log have not.
pub(super) fn gather(design: &Design, folder: &Folder) -> Result<(Results, Costs)> {
    let mut trained: BTreeMap<RunId, TrainedRecord> = BTreeMap::new();
    let mut tests: BTreeMap<RunId, Measures> = BTreeMap::new();
    let mut fingerprints: BTreeMap<String, String> = BTreeMap::new();
    for id in design.runs() {
        let record = folder.trained(design, id)?.ok_or_else(|| {
            Error::file(folder.run(design, id), "its record has gone")
                .with_hint("--resume trains it again")
        })?;
        let world = design.options(id).map(|options| options.seed);
        let log = format!("{} {} {world:?}", id.point, reading(&design.config(id)));
        let first = fingerprints.entry(log).or_insert_with(|| record.fingerprint.clone());
        if *first != record.fingerprint {
            return Err(changed_log(&folder.run(design, id)));
        }
        if folder.tested() {
            tests.extend(folder.tested_run(design, id)?.map(|record| (id, record.test)));
        }
        trained.insert(id, record);
    }
    let tested = tests.len() == trained.len();
    let mean = |values: Vec<f64>| values.iter().sum::<f64>() / values.len() as f64;
    let seeds = 0..design.seeds.len();
    let mut points = Vec::new();
    let mut seconds = Vec::new();
    for (point, at) in design.points.iter().enumerate() {
        let of = |variant: usize| -> Vec<RunId> {
            seeds.clone().map(|seed| RunId { point, seed, variant }).collect()
        };
        let valid = |variant: usize| -> Vec<&Measures> {
            of(variant).iter().map(|id| &trained[id].valid).collect()
        };
        let test = |variant: usize| -> Vec<&Measures> {
            of(variant).iter().filter_map(|id| tests.get(id)).collect()
        };
        let base = design.baseline;
        let mut variants = Vec::new();
        let mut times = BTreeMap::new();
        for (index, variant) in design.variants.iter().enumerate() {
            let runs = of(index);
            let records: Vec<&TrainedRecord> = runs.iter().map(|id| &trained[id]).collect();
            let each = |of: &dyn Fn(&TrainedRecord) -> f64| -> Vec<f64> {
                records.iter().map(|record| of(record)).collect()
            };
            let summary = |own: Vec<&Measures>, base: &[&Measures]| {
                Summary::of(&own, (index != design.baseline).then_some(base))
            };
            times.extend(
                StudentMean::new(&each(&|r| r.seconds)).map(|mean| (variant.name.clone(), mean)),
            );
            variants.push(VariantResult {
                name: variant.name.clone(),
                set: variant.set.clone(),
                parameters: records[0].parameters,
                bytes: mean(each(&|r| r.bytes as f64)),
                epochs: mean(each(&|r| r.epochs as f64)),
                valid: summary(valid(index), &valid(base)),
                test: tested.then(|| summary(test(index), &test(base))),
                runs: runs
                    .iter()
                    .map(|id| RunResult {
                        seed: design.seeds[id.seed],
                        valid: trained[id].valid.clone(),
                        test: tests.get(id).filter(|_| tested).cloned(),
                    })
                    .collect(),
            });
        }
        let impressions = of(base).iter().map(|id| trained[id].train_impressions as f64).collect();
        points.push(PointResult {
            label: at.label.clone(),
            x: at.x,
            train_impressions: mean(impressions),
            variants,
        });
        seconds.push(times);
    }
    let mut metrics = metrics_of(design, true);
    let measured = |key: &str| trained.values().any(|record| record.valid.contains_key(key));
    metrics.retain(|metric| measured(&metric.key));
    let results = Results {
        title: design.title.clone(),
        note: design.note.clone(),
        version: env!("CARGO_PKG_VERSION").into(),
        log: design.log(),
        seeds: design.seeds.clone(),
        world_per_seed: design.world_per_seed,
        baseline: design.variants[design.baseline].name.clone(),
        tested,
        axis: design.axis.clone(),
        metrics,
        points,
    };
    let side_by_side = trained.values().map(|record| record.side_by_side).max().unwrap_or(1);
    Ok((results, Costs { side_by_side, peak_bytes: peak_bytes(), seconds }))
}

/// Most memory that this process had at a time, as Linux counts it.
fn peak_bytes() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok().map(|kilobytes| kilobytes * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::student::quantile;

    fn measures(values: &[(&str, Option<f64>)]) -> Measures {
        values.iter().map(|&(key, value)| (key.to_string(), value)).collect()
    }

    /// Against the textbook's steps, one at a time.
    #[test]
    fn means_and_paired_differences_are_those_by_hand() {
        let own = [0.70, 0.73, 0.71].map(|auc| measures(&[("auc", Some(auc)), ("mse", None)]));
        let base =
            [0.69, 0.70, 0.70].map(|auc| measures(&[("auc", Some(auc)), ("mse", Some(1.0))]));
        let (own, base): (Vec<_>, Vec<_>) = (own.iter().collect(), base.iter().collect());
        let summary = Summary::of(&own, Some(&base));
        let by_hand = |values: [f64; 3]| {
            let mean = (values[0] + values[1] + values[2]) / 3.0;
            let mut variance = 0.0;
            for value in values {
                variance += (value - mean) * (value - mean) / 2.0;
            }
            (mean, quantile(0.95, 2) * variance.sqrt() / 3f64.sqrt())
        };
        let close = |got: &StudentMean, (mean, margin): (f64, f64)| {
            assert!((got.mean - mean).abs() < 1e-12 && got.n == 3, "{got:?}");
            assert!((got.margin.unwrap() - margin).abs() < 1e-12, "{got:?}, expected {margin}");
        };
        close(&summary.means["auc"], by_hand([0.70, 0.73, 0.71]));
        close(&summary.differences["auc"], by_hand([0.01, 0.03, 0.01]));
        assert!(!summary.means.contains_key("mse") && !summary.differences.contains_key("mse"));
        assert!(Summary::of(&own, None).differences.is_empty());
    }

    /// A seed for which one side is undefined is left out of the pair, and counted so.
    #[test]
    fn undefined_values_are_left_out_and_counted() {
        let own = [Some(1.0), None, Some(3.0)].map(|x| measures(&[("m", x)]));
        let base = [Some(0.5), Some(0.5), None].map(|x| measures(&[("m", x)]));
        let (own, base): (Vec<_>, Vec<_>) = (own.iter().collect(), base.iter().collect());
        let summary = Summary::of(&own, Some(&base));
        assert_eq!((summary.means["m"].mean, summary.means["m"].n), (2.0, 2));
        let difference = summary.differences["m"];
        assert_eq!((difference.mean, difference.n, difference.margin), (0.5, 1, None));
    }
}
