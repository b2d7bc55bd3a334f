use serde::{Deserialize, Serialize};

use super::{check_length, sum_by_unit, total};
use crate::metrics::auc::dense_groups;
use crate::metrics::bootstrap::{BootstrapOptions, Intervals, intervals_of_sums};
use crate::metrics::regression::{ErrorSums, spearman};
use crate::{Error, Result};

/// Predictions and truths of a number, one entry per labelled row.
#[derive(Clone, Copy, Debug)]
pub struct RegressionInput<'a> {
    /// Predicted numbers, in the label's units.
    pub predicted: &'a [f32],
    /// True numbers.
    pub targets: &'a [f32],
    /// The user of each row: the units of resampling. Empty: rows are resampled.
    pub groups: &'a [u32],
}

/// Every metric of a number, in the label's units. `None` (JSON `null`) where undefined.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)] // else a report on a share would be read as one of these
pub struct RegressionReport {
    /// Root of the mean squared error.
    pub rmse: Option<f64>,
    /// Mean absolute error.
    pub mae: Option<f64>,
    /// Share of variance explained, beside the mean of these rows.
    pub r2: Option<f64>,
    /// [`spearman`]: whether the order is right.
    pub spearman: Option<f64>,
    /// Rows.
    pub n: u64,
    /// Bootstrap intervals: `rmse`, `mae`, `r2`.
    pub intervals: Intervals,
}

impl RegressionReport {
    /// All metrics, with intervals unless `options.replicates` is 0. Errors: lengths differ, a number that is not finite.
    pub fn compute(input: &RegressionInput<'_>, options: &BootstrapOptions) -> Result<Self> {
        let &RegressionInput { predicted, targets, groups } = input;
        check_length("targets", predicted.len(), targets.len())?;
        if !groups.is_empty() {
            check_length("groups", predicted.len(), groups.len())?;
        }
        for (what, values) in [("prediction", predicted), ("target", targets)] {
            if let Some(row) = values.iter().position(|v| !v.is_finite()) {
                let got = values[row];
                return Err(Error::data(format!(
                    "{what} {row}: expected a finite number, got {got}"
                )));
            }
        }
        // Numbers far from 0 keep their spread when their mean is taken off.
        let centre =
            targets.iter().map(|&y| f64::from(y)).sum::<f64>() / targets.len().max(1) as f64;
        let (groups, n_groups) = dense_groups(groups);
        let groups = (!groups.is_empty()).then_some((&groups[..], n_groups));
        let rows = predicted.iter().zip(targets).enumerate().map(|(row, (&p, &y))| {
            let sums = ErrorSums::of(f64::from(p) - centre, f64::from(y) - centre, 1.0);
            (row, sums.to_array())
        });
        let units = sum_by_unit(groups, rows);
        let metrics = |sums: &[f64; 5]| {
            let sums = ErrorSums::from_array(*sums);
            [sums.mse().map(f64::sqrt), sums.mae(), sums.r2()]
        };
        let [rmse, mae, r2] = metrics(&total(&units));
        Ok(Self {
            rmse,
            mae,
            r2,
            spearman: spearman(predicted, targets),
            n: targets.len() as u64,
            intervals: intervals_of_sums(&units, ["rmse", "mae", "r2"], metrics, options),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn compute(predicted: &[f32], targets: &[f32], groups: &[u32]) -> Result<RegressionReport> {
        let input = RegressionInput { predicted, targets, groups };
        RegressionReport::compute(&input, &BootstrapOptions::default())
    }

    #[test]
    fn by_hand_and_far_from_zero() {
        for far in [0.0, 1e6] {
            let of = |values: [f32; 4]| values.map(|v| v + far);
            let (predicted, targets) = (of([1.0, 2.0, 4.0, 4.0]), of([0.0, 2.0, 4.0, 6.0]));
            let r = compute(&predicted, &targets, &[0, 1, 2, 3]).unwrap();
            assert!((r.rmse.unwrap() - 1.25f64.sqrt()).abs() < 1e-9, "{r:?}");
            // Around the mean of 3: 9 + 1 + 1 + 9.
            assert!((r.mae.unwrap() - 0.75).abs() < 1e-9 && (r.r2.unwrap() - 0.75).abs() < 1e-9);
            assert_eq!(r.n, 4);
            let [low, high] = r.intervals["rmse"];
            assert!(low < r.rmse.unwrap() && r.rmse.unwrap() < high);
            let json = serde_json::to_value(&r).unwrap();
            assert_eq!(serde_json::from_value::<RegressionReport>(json).unwrap(), r);
        }
        // Ranks 1, 2, 3.5, 3.5 against 1, 2, 3, 4: covariance 4.5, variances 4.5 and 5.
        let r = compute(&[1.0, 2.0, 4.0, 4.0], &[0.0, 2.0, 4.0, 6.0], &[]).unwrap();
        assert!((r.spearman.unwrap() - 4.5 / 22.5f64.sqrt()).abs() < 1e-12);
    }

    #[test]
    fn the_mean_explains_nothing() {
        let r = compute(&[3.0; 4], &[0.0, 2.0, 4.0, 6.0], &[]).unwrap();
        assert!(r.r2.unwrap().abs() < 1e-12 && r.spearman.is_none());
    }

    #[test]
    fn bad_input_is_an_error_and_none_is_undefined() {
        assert_eq!(compute(&[], &[], &[]).unwrap(), RegressionReport::default());
        assert!(compute(&[0.1], &[], &[]).is_err() && compute(&[0.1], &[0.1], &[1, 2]).is_err());
        let message = compute(&[0.1, f32::NAN], &[1.0, 1.0], &[]).unwrap_err().to_string();
        assert_eq!(message, "prediction 1: expected a finite number, got NaN");
    }
}
