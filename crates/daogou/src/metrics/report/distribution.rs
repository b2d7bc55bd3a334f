use serde::{Deserialize, Serialize};

use super::{Scores, check_length, check_shares, check_weights, sum_by_unit, total};
use crate::metrics::auc::dense_groups;
use crate::metrics::bootstrap::{BootstrapOptions, Intervals, intervals_of_sums};
use crate::metrics::distribution::{compare, entropy, log_of, log_softmax};
use crate::{Error, Result};

/// Predictions and truths of a distribution over classes, one row per request.
#[derive(Clone, Copy, Debug)]
pub struct DistributionInput<'a> {
    /// Number of classes.
    pub classes: usize,
    /// `[rows, classes]`.
    pub scores: Scores<'a>,
    /// `[rows, classes]`; a row sums to 1, or is all 0 without a label.
    pub targets: &'a [f32],
    /// Events behind each row's target; 0: no label, the row is left out. Empty: all weigh 1.
    pub weights: &'a [f32],
    /// The user of each row: the units of resampling. Empty: rows are resampled.
    pub groups: &'a [u32],
}

/// Every metric of a distribution. `None` (JSON `null`) where undefined.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)] // else a report on a share would be read as one of these
pub struct DistributionReport {
    /// Weighted mean cross-entropy, nats.
    pub ce: Option<f64>,
    /// Cross-entropy over the entropy of the mean target: 1 is the best constant predictor.
    pub ce_normalised: Option<f64>,
    /// Weighted mean `KL(target ‖ prediction)`, nats.
    pub kl: Option<f64>,
    /// Weighted mean Jensen–Shannon divergence, nats.
    pub js: Option<f64>,
    /// Weighted share of rows whose most likely class is the target's largest.
    pub top1: Option<f64>,
    /// Labelled rows.
    pub n: u64,
    /// Bootstrap intervals: `ce`, `kl`, `js`, `top1`.
    pub intervals: Intervals,
}

impl DistributionReport {
    /// All metrics, with intervals unless `options.replicates` is 0. Errors: lengths differ, scores that are no
    /// distribution, targets that sum neither to 1 nor to 0, a negative weight.
    pub fn compute(input: &DistributionInput<'_>, options: &BootstrapOptions) -> Result<Self> {
        let &DistributionInput { classes, scores, targets, weights, groups } = input;
        if classes == 0 {
            return Err(Error::data("expected at least one class, got 0"));
        }
        let n_rows = targets.len() / classes;
        check_length("targets", n_rows * classes, targets.len())?;
        check_length("scores", targets.len(), scores.values().len())?;
        for (what, optional) in [("weights", weights.len()), ("groups", groups.len())] {
            if optional > 0 {
                check_length(what, n_rows, optional)?;
            }
        }
        scores.check()?;
        check_shares("target", targets)?;
        check_weights(weights)?;

        let mut ln_q = Vec::with_capacity(classes);
        let mut mean_target = vec![0.0; classes];
        let (groups, n_groups) = dense_groups(groups);
        let groups = (!groups.is_empty()).then_some((&groups[..], n_groups));
        let mut terms = Vec::with_capacity(n_rows);
        for (row, target) in targets.chunks_exact(classes).enumerate() {
            let weight = weights.get(row).map_or(1.0, |&w| f64::from(w));
            let sum: f64 = target.iter().map(|&p| f64::from(p)).sum();
            if weight == 0.0 || sum == 0.0 {
                continue;
            }
            check_sum("target", row, sum)?;
            let values = &scores.values()[row * classes..][..classes];
            match scores {
                Scores::Logits(_) => log_softmax(values, &mut ln_q),
                Scores::Probabilities(_) => {
                    check_sum("prediction", row, values.iter().map(|&q| f64::from(q)).sum())?;
                    log_of(values, &mut ln_q);
                }
            }
            for (mean, &p) in mean_target.iter_mut().zip(target) {
                *mean += weight * f64::from(p);
            }
            let c = compare(target, &ln_q);
            terms.push((row, [1.0, c.ce, c.kl, c.js, c.top1].map(|x| weight * x)));
        }
        let n = terms.len() as u64;
        let units = sum_by_unit(groups, terms.into_iter());
        let means = |&[weight, ce, kl, js, top1]: &[f64; 5]| {
            [ce, kl, js, top1].map(|sum| (weight > 0.0).then(|| sum / weight))
        };
        let [ce, kl, js, top1] = means(&total(&units));
        let mass: f64 = mean_target.iter().sum();
        let constant = entropy(mean_target.iter().map(|p| p / mass));
        Ok(Self {
            ce,
            ce_normalised: ce.filter(|_| constant > 0.0).map(|ce| ce / constant),
            kl,
            js,
            top1,
            n,
            intervals: intervals_of_sums(&units, ["ce", "kl", "js", "top1"], means, options),
        })
    }
}

fn check_sum(what: &str, row: usize, sum: f64) -> Result<()> {
    if (sum - 1.0).abs() < 1e-3 {
        Ok(())
    } else {
        Err(Error::data(format!(
            "{what} of row {row}: expected shares that sum to 1, got a sum of {sum}"
        )))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn compute(scores: Scores<'_>, targets: &[f32], weights: &[f32]) -> Result<DistributionReport> {
        let input = DistributionInput { classes: 2, scores, targets, weights, groups: &[] };
        DistributionReport::compute(&input, &BootstrapOptions::default())
    }

    #[test]
    fn by_hand_with_weights_and_unlabelled_rows() {
        let targets = [1.0, 0.0, 0.5, 0.5, 0.0, 0.0, 0.0, 1.0];
        let q = [0.5, 0.5, 0.5, 0.5, 0.1, 0.9, 0.25, 0.75];
        let r = compute(Scores::Probabilities(&q), &targets, &[1.0, 2.0, 5.0, 1.0]).unwrap();
        let ln2 = std::f64::consts::LN_2;
        let ce = (3.0 * ln2 - 0.75f64.ln()) / 4.0;
        assert_eq!(r.n, 3);
        assert!(
            (r.ce.unwrap() - ce).abs() < 1e-12
                && (r.ce_normalised.unwrap() - ce / ln2).abs() < 1e-12
        );
        assert!((r.kl.unwrap() - (ln2 - 0.75f64.ln()) / 4.0).abs() < 1e-12);
        assert!((r.top1.unwrap() - (0.5 + 2.0 + 1.0) / 4.0).abs() < 1e-12);
        assert!(r.intervals.contains_key("ce") && r.js.unwrap() < r.kl.unwrap());
        // The same as logits.
        let z: Vec<f32> = q.iter().map(|q| q.ln() + 3.0).collect();
        let l = compute(Scores::Logits(&z), &targets, &[1.0, 2.0, 5.0, 1.0]).unwrap();
        assert!((l.ce.unwrap() - ce).abs() < 1e-6);
        let json = serde_json::to_value(&r).unwrap();
        assert_eq!(serde_json::from_value::<DistributionReport>(json).unwrap(), r);
    }

    #[test]
    fn the_mean_target_has_normalised_cross_entropy_one() {
        let targets = [1.0, 0.0, 0.5, 0.5, 0.0, 1.0, 0.1, 0.9];
        let r = compute(Scores::Probabilities(&[0.4, 0.6].repeat(4)), &targets, &[]).unwrap();
        assert!((r.ce_normalised.unwrap() - 1.0).abs() < 1e-7);
    }

    #[test]
    fn bad_input_is_an_error_and_none_is_undefined() {
        assert_eq!(compute(Scores::Logits(&[]), &[], &[]).unwrap(), DistributionReport::default());
        let none = compute(Scores::Logits(&[0.0, 1.0]), &[0.0, 0.0], &[]).unwrap();
        assert_eq!(none, DistributionReport::default());
        for (scores, targets) in [
            (&[0.5f32][..], &[0.5f32, 0.5][..]),
            (&[0.5, 0.5, 0.5], &[0.5, 0.5, 0.0]),
            (&[0.5, 0.2], &[0.5, 0.5]),
            (&[0.5, 0.5], &[0.5, 0.2]),
            (&[0.5, f32::NAN], &[0.5, 0.5]),
        ] {
            assert!(compute(Scores::Probabilities(scores), targets, &[]).is_err());
        }
    }
}
