use serde::{Deserialize, Serialize};

use super::{check_length, check_shares, check_weights, sum_by_unit, total};
use crate::Result;
use crate::metrics::auc::dense_groups;
use crate::metrics::bootstrap::{BootstrapOptions, Intervals, intervals_of_sums};
use crate::metrics::regression::{ErrorSums, spearman};

/// Predictions and truths of a share in `[0, 1]`, one entry per request.
#[derive(Clone, Copy, Debug)]
pub struct ShareInput<'a> {
    /// Predicted shares.
    pub predicted: &'a [f32],
    /// True shares.
    pub targets: &'a [f32],
    /// Events behind each truth; 0: no label, the row is left out. Empty: all weigh 1.
    pub weights: &'a [f32],
    /// The user of each row: the units of resampling. Empty: rows are resampled.
    pub groups: &'a [u32],
}

/// Every metric of a share. `None` (JSON `null`) where undefined.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ShareReport {
    /// Weighted mean squared error.
    pub mse: Option<f64>,
    /// Weighted mean absolute error.
    pub mae: Option<f64>,
    /// Weighted share of variance explained, beside the mean predictor.
    pub r2: Option<f64>,
    /// [`spearman`] over labelled rows, unweighted.
    pub spearman: Option<f64>,
    /// Labelled rows.
    pub n: u64,
    /// Bootstrap intervals: `mse`, `mae`, `r2`.
    pub intervals: Intervals,
}

impl ShareReport {
    /// All metrics, with intervals unless `options.replicates` is 0. Errors: lengths differ, a value outside `[0, 1]`
    /// on a labelled row, a negative weight.
    pub fn compute(input: &ShareInput<'_>, options: &BootstrapOptions) -> Result<Self> {
        let &ShareInput { predicted, targets, weights, groups } = input;
        check_length("targets", predicted.len(), targets.len())?;
        for (what, optional) in [("weights", weights.len()), ("groups", groups.len())] {
            if optional > 0 {
                check_length(what, predicted.len(), optional)?;
            }
        }
        check_weights(weights)?;
        let weight = |row: usize| weights.get(row).copied().unwrap_or(1.0);
        let labelled = || (0..predicted.len()).filter(|&row| weight(row) > 0.0);
        let of = |values: &[f32]| -> Vec<f32> { labelled().map(|row| values[row]).collect() };
        let (kept_predicted, kept_targets) = (of(predicted), of(targets));
        check_shares("prediction", &kept_predicted)?;
        check_shares("target", &kept_targets)?;

        let (groups, n_groups) = dense_groups(groups);
        let groups = (!groups.is_empty()).then_some((&groups[..], n_groups));
        let rows = labelled().map(|row| {
            let (p, y) = (f64::from(predicted[row]), f64::from(targets[row]));
            (row, ErrorSums::of(p, y, f64::from(weight(row))).to_array())
        });
        let units = sum_by_unit(groups, rows);
        let metrics = |sums: &[f64; 5]| {
            let sums = ErrorSums::from_array(*sums);
            [sums.mse(), sums.mae(), sums.r2()]
        };
        let [mse, mae, r2] = metrics(&total(&units));
        Ok(Self {
            mse,
            mae,
            r2,
            spearman: spearman(&kept_predicted, &kept_targets),
            n: kept_targets.len() as u64,
            intervals: intervals_of_sums(&units, ["mse", "mae", "r2"], metrics, options),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unlabelled_rows_are_left_out_and_weights_count() {
        let input = ShareInput {
            predicted: &[0.5, 0.5, 1.0, f32::NAN],
            targets: &[0.0, 1.0, 1.0, 0.3],
            weights: &[1.0, 1.0, 2.0, 0.0],
            groups: &[0, 1, 2, 2],
        };
        let r = ShareReport::compute(&input, &BootstrapOptions::default()).unwrap();
        assert_eq!((r.mse, r.mae, r.n), (Some(0.125), Some(0.25), 3));
        assert!((r.r2.unwrap() - (1.0 - 0.5 / 0.75)).abs() < 1e-12);
        assert!((r.spearman.unwrap() - 0.5).abs() < 1e-12);
        let [low, high] = r.intervals["mse"];
        assert!((0.0..0.125).contains(&low) && (0.1251..=0.25).contains(&high));
        let json = serde_json::to_value(&r).unwrap();
        assert_eq!(serde_json::from_value::<ShareReport>(json).unwrap(), r);
    }

    #[test]
    fn bad_input_is_an_error_and_none_is_undefined() {
        let compute = |predicted, targets, weights| {
            let input = ShareInput { predicted, targets, weights, groups: &[] };
            ShareReport::compute(&input, &BootstrapOptions::default())
        };
        assert_eq!(compute(&[], &[], &[]).unwrap(), ShareReport::default());
        assert!(compute(&[0.1], &[], &[]).is_err());
        assert!(compute(&[0.1], &[1.1], &[]).is_err());
        assert!(compute(&[f32::NAN], &[1.0], &[]).is_err());
        assert!(compute(&[0.1], &[1.0], &[-1.0]).is_err());
    }
}
