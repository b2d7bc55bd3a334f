use serde::{Deserialize, Serialize};

use super::{Scores, check_length, sum_by_unit, total};
use crate::metrics::auc::{auc, auc_by_group, dense_groups, gauc, pr_auc};
use crate::metrics::bootstrap::{
    BootstrapOptions, Intervals, RankedRows, Replicates, block_sums, for_each_block,
};
use crate::metrics::calibration::{
    BINS, ReliabilityBin, ece, max_calibration_error, pcoc, reliability,
};
use crate::metrics::logloss::{loss_and_probability, loss_of_probability, normalised_entropy};
use crate::metrics::order::ScoreOrder;
use crate::{Error, Result};

/// Predictions and outcomes of one yes-or-no task, one entry per row.
#[derive(Clone, Copy, Debug)]
pub struct BinaryInput<'a> {
    /// What the model says.
    pub scores: Scores<'a>,
    /// 0 or 1.
    pub labels: &'a [u8],
    /// The user of each row: the groups of GAUC and the units of resampling. Empty: no GAUC, rows are resampled.
    pub groups: &'a [u32],
}

/// Every metric of a yes-or-no task. `None` (JSON `null`) where undefined.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct BinaryReport {
    /// [`auc`]: ties count one half.
    pub auc: Option<f64>,
    /// [`gauc`] by user, weighted by rows.
    pub gauc: Option<f64>,
    /// [`gauc`] by user, every user the same.
    pub gauc_unweighted: Option<f64>,
    /// [`pr_auc`]: average precision.
    pub pr_auc: Option<f64>,
    /// Mean logistic loss, nats.
    pub logloss: Option<f64>,
    /// [`normalised_entropy`].
    pub ne: Option<f64>,
    /// [`pcoc`]: predicted over observed positives.
    pub pcoc: Option<f64>,
    /// [`ece`] over 20 bins of equal mass.
    pub ece: Option<f64>,
    /// [`max_calibration_error`] over the same bins.
    pub ece_max: Option<f64>,
    /// [`reliability`] by these bins, lowest predictions first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub reliability: Vec<ReliabilityBin>,
    /// Mean of `(p̂ − y)²`.
    pub brier: Option<f64>,
    /// Rows.
    pub n: u64,
    /// Rows with label 1.
    pub positives: u64,
    /// Bootstrap intervals: `auc`, `gauc`, `gauc_unweighted`, `pr_auc`, `logloss`, `ne`, `pcoc`, `brier`.
    pub intervals: Intervals,
}

/// Terms of a row: count, label, loss, probability, squared error.
const TERMS: usize = 5;

fn ratios(&[n, positives, loss, predicted, squared]: &[f64; TERMS]) -> [Option<f64>; 4] {
    if n == 0.0 {
        return [None; 4];
    }
    let logloss = loss / n;
    [
        Some(logloss),
        normalised_entropy(logloss, positives / n),
        pcoc(predicted, positives),
        Some(squared / n),
    ]
}

/// Terms of a user: rows and AUC by rows, one and AUC; all 0 without both classes.
fn gauc_terms(&(n, auc): &(u32, Option<f64>)) -> [f64; 4] {
    auc.map_or([0.0; 4], |auc| [f64::from(n), f64::from(n) * auc, 1.0, auc])
}

fn gauc_ratios(sums: &[f64; 4]) -> [Option<f64>; 2] {
    if sums[2] > 0.0 { [Some(sums[1] / sums[0]), Some(sums[3] / sums[2])] } else { [None; 2] }
}

impl BinaryReport {
    /// All metrics, with intervals unless `options.replicates` is 0.
    ///
    /// One sort of the scores serves every ranking metric. Errors: lengths differ, a label other than 0 and 1, a score
    /// that is no logit or probability.
    pub fn compute(input: &BinaryInput<'_>, options: &BootstrapOptions) -> Result<Self> {
        let &BinaryInput { scores, labels, groups } = input;
        let values = scores.values();
        let n = values.len();
        check_length("labels", n, labels.len())?;
        if !groups.is_empty() {
            check_length("groups", n, groups.len())?;
        }
        if n >= 1 << 30 {
            return Err(Error::data(format!("expected fewer than 2^30 rows, got {n}")));
        }
        scores.check()?;
        if let Some(row) = labels.iter().position(|y| *y > 1) {
            return Err(Error::data(format!("label {row}: expected 0 or 1, got {}", labels[row])));
        }

        let (groups, n_groups) = dense_groups(groups);
        let groups = (!groups.is_empty()).then_some((&groups[..], n_groups));
        let mut probabilities = Vec::with_capacity(n);
        let rows = values.iter().zip(labels).enumerate().map(|(row, (&score, &label))| {
            let score = f64::from(score);
            let (loss, p) = match scores {
                Scores::Logits(_) => loss_and_probability(score, label),
                Scores::Probabilities(_) => (loss_of_probability(score, label), score),
            };
            probabilities.push(p);
            let y = f64::from(label);
            (row, [1.0, y, loss, p, (p - y) * (p - y)])
        });
        let units = sum_by_unit(groups, rows);
        let sums = total(&units);
        let [logloss, ne, pcoc, brier] = ratios(&sums);

        let order = ScoreOrder::new(values);
        let bins = reliability(&order, &probabilities, labels, BINS);
        let by_user =
            groups.map_or(Vec::new(), |(groups, n)| auc_by_group(&order, labels, groups, n));
        let gauc = gauc(&by_user);
        let mut report = Self {
            auc: auc(&order, labels),
            gauc: gauc.weighted,
            gauc_unweighted: gauc.unweighted,
            pr_auc: pr_auc(&order, labels),
            logloss,
            ne,
            pcoc,
            ece: ece(&bins),
            ece_max: max_calibration_error(&bins),
            reliability: bins,
            brier,
            n: n as u64,
            positives: sums[1] as u64,
            intervals: Intervals::new(),
        };

        if options.replicates > 0 && units.iter().filter(|u| u[0] > 0.0).nth(1).is_some() {
            let by_user: Vec<[f64; 4]> = by_user.iter().map(gauc_terms).collect();
            let ranked =
                RankedRows::new(&order, labels, |row| groups.map_or(row, |g| g.0[row as usize]));
            let mut means = Replicates::new(["logloss", "ne", "pcoc", "brier"]);
            let mut rankings = Replicates::new(["auc", "pr_auc"]);
            let mut by_users = Replicates::new(["gauc", "gauc_unweighted"]);
            for_each_block(units.len(), options, |copies, live| {
                block_sums(&units, copies)[..live].iter().for_each(|s| means.push(ratios(s)));
                ranked.auc_and_pr_auc(copies)[..live].iter().for_each(|&m| rankings.push(m));
                block_sums(&by_user, copies)[..live]
                    .iter()
                    .for_each(|s| by_users.push(gauc_ratios(s)));
            });
            means.add_intervals(options, &mut report.intervals);
            rankings.add_intervals(options, &mut report.intervals);
            by_users.add_intervals(options, &mut report.intervals);
        }
        Ok(report)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use daogou_nn::Rng;

    const POINT: BootstrapOptions = BootstrapOptions { replicates: 0, level: 0.95, seed: 1 };

    /// Rows of a calibrated model: logits, labels drawn from them, ten rows per user.
    fn simulated(n: usize, seed: u64) -> (Vec<f32>, Vec<u8>, Vec<u32>) {
        let mut rng = Rng::new(seed, 0);
        let logits: Vec<f32> = (0..n).map(|_| (rng.normal() - 2.0) as f32).collect();
        let labels = logits
            .iter()
            .map(|&z| u8::from(rng.uniform() < loss_and_probability(f64::from(z), 1).1))
            .collect();
        (logits, labels, (0..n as u32).map(|i| i / 10).collect())
    }

    #[test]
    fn fields_agree_with_their_definitions_by_hand() {
        let input = BinaryInput {
            scores: Scores::Probabilities(&[0.8, 0.4, 0.4, 0.2]),
            labels: &[1, 0, 1, 0],
            groups: &[7, 7, 9, 9],
        };
        let r = BinaryReport::compute(&input, &POINT).unwrap();
        let close = |a: Option<f64>, b: f64| (a.unwrap() - b).abs() < 1e-6;
        assert!(close(r.auc, 3.5 / 4.0) && close(r.gauc, 1.0) && close(r.gauc_unweighted, 1.0));
        assert!(close(r.pr_auc, 0.5 + 0.5 * 2.0 / 3.0));
        let loss = -(0.8f64.ln() + 0.6f64.ln() + 0.4f64.ln() + 0.8f64.ln()) / 4.0;
        assert!(close(r.logloss, loss) && close(r.ne, loss / 2f64.ln()));
        assert!(close(r.pcoc, 0.9) && close(r.brier, (0.04 + 0.16 + 0.36 + 0.04) / 4.0));
        // Bins of single rows except the tie.
        assert!(close(r.ece, (0.2 + 2.0 * 0.1 + 0.2) / 4.0) && close(r.ece_max, 0.2));
        assert_eq!((r.n, r.positives), (4, 2));
        assert!(r.intervals.is_empty());
    }

    #[test]
    fn a_calibrated_model_is_reported_as_such_and_probabilities_agree_with_logits() {
        let (logits, labels, groups) = simulated(40_000, 1);
        let input =
            BinaryInput { scores: Scores::Logits(&logits), labels: &labels, groups: &groups };
        let r = BinaryReport::compute(&input, &POINT).unwrap();
        assert!(
            (r.pcoc.unwrap() - 1.0).abs() < 0.03 && r.ece.unwrap() < 0.012 && r.ne.unwrap() < 1.0
        );
        let p: Vec<f32> =
            logits.iter().map(|&z| loss_and_probability(f64::from(z), 1).1 as f32).collect();
        let input = BinaryInput { scores: Scores::Probabilities(&p), ..input };
        let q = BinaryReport::compute(&input, &POINT).unwrap();
        assert!((r.logloss.unwrap() - q.logloss.unwrap()).abs() < 1e-6);
        assert!((r.auc.unwrap() - q.auc.unwrap()).abs() < 1e-6);
    }

    #[test]
    fn intervals_hold_the_value_repeat_and_cover_the_truth() {
        let options = BootstrapOptions { replicates: 100, level: 0.95, seed: 5 };
        // The truth, from far more rows than any sample has.
        let (logits, labels, _) = simulated(400_000, 99);
        let truth = {
            let input =
                BinaryInput { scores: Scores::Logits(&logits), labels: &labels, groups: &[] };
            BinaryReport::compute(&input, &POINT).unwrap()
        };
        let (mut auc, mut loss, trials) = (0, 0, 60);
        for trial in 0..trials {
            let (logits, labels, groups) = simulated(3_000, trial);
            let groups = if trial % 2 == 0 { &groups[..] } else { &[] };
            let input = BinaryInput { scores: Scores::Logits(&logits), labels: &labels, groups };
            let r = BinaryReport::compute(&input, &options).unwrap();
            let covers = |name: &str, x: Option<f64>| {
                let [low, high] = r.intervals[name];
                assert!(low < high);
                u32::from((low..=high).contains(&x.unwrap()))
            };
            assert_eq!(covers("pr_auc", r.pr_auc), 1);
            assert_eq!(r.intervals.contains_key("gauc"), trial % 2 == 0);
            auc += covers("auc", truth.auc);
            loss += covers("logloss", truth.logloss);
            if trial == 0 {
                assert_eq!(r, BinaryReport::compute(&input, &options).unwrap());
            }
        }
        assert!(auc >= 51 && loss >= 51, "covered {auc} and {loss} of {trials}");
    }

    #[test]
    fn undefined_is_null_and_survives_json() {
        let input =
            BinaryInput { scores: Scores::Logits(&[0.5, 1.0]), labels: &[0, 0], groups: &[] };
        let r = BinaryReport::compute(&input, &BootstrapOptions::default()).unwrap();
        let json = serde_json::to_value(&r).unwrap();
        for name in ["auc", "gauc", "gauc_unweighted", "pr_auc", "ne", "pcoc"] {
            assert!(json[name].is_null(), "{name}");
        }
        for name in ["logloss", "ece", "brier", "n", "positives"] {
            assert!(json[name].is_number(), "{name}");
        }
        assert!(json["intervals"]["logloss"].is_array());
        assert_eq!(serde_json::from_value::<BinaryReport>(json).unwrap(), r);
        let empty = BinaryInput { scores: Scores::Logits(&[]), labels: &[], groups: &[] };
        assert_eq!(BinaryReport::compute(&empty, &POINT).unwrap(), BinaryReport::default());
    }

    #[test]
    fn bad_input_is_an_error_that_says_what() {
        let message = |scores, labels, groups| {
            BinaryReport::compute(&BinaryInput { scores, labels, groups }, &POINT)
                .unwrap_err()
                .to_string()
        };
        let ok = Scores::Logits(&[0.0, 1.0]);
        assert_eq!(message(ok, &[0], &[]), "labels: expected 2 entries, got 1");
        assert_eq!(message(ok, &[0, 1], &[1]), "groups: expected 2 entries, got 1");
        assert_eq!(message(ok, &[0, 2], &[]), "label 1: expected 0 or 1, got 2");
        let nan = Scores::Logits(&[f32::NAN, 0.0]);
        assert_eq!(message(nan, &[0, 1], &[]), "score 0: expected a finite logit, got NaN");
        let big = Scores::Probabilities(&[0.1, 1.5]);
        assert_eq!(
            message(big, &[0, 1], &[]),
            "score 1: expected a probability in [0, 1], got 1.5"
        );
    }
}
