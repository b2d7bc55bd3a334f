use serde::{Deserialize, Serialize};

use super::{Scores, check_length, sum_by_unit, total};
use crate::metrics::auc::{auc, dense_groups};
use crate::metrics::bootstrap::{BootstrapOptions, Intervals, intervals_of_sums};
use crate::metrics::distribution::{entropy, log_of, log_softmax};
use crate::metrics::order::ScoreOrder;
use crate::{Error, Result};

/// Classes up to which [`ClassReport::auc`] is measured: it takes a sort of all rows for each.
pub const MOST_RANKED: usize = 50;

/// Predictions and truths of a choice between classes, one row per labelled row of a log.
#[derive(Clone, Copy, Debug)]
pub struct ClassInput<'a> {
    /// Number of classes.
    pub classes: usize,
    /// `[rows, classes]`.
    pub scores: Scores<'a>,
    /// Number of the true class of each row.
    pub labels: &'a [u16],
    /// The user of each row: the units of resampling. Empty: rows are resampled.
    pub groups: &'a [u32],
}

/// Every metric of a choice between classes. `None` (JSON `null`) where undefined.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)] // else other reports would be read as one of these
pub struct ClassReport {
    /// Mean cross-entropy `−ln p(true class)`, nats.
    pub ce: Option<f64>,
    /// Cross-entropy over the entropy of the classes' frequencies in these rows: 1 is the best constant predictor.
    pub ce_normalised: Option<f64>,
    /// Share of rows whose most likely class is the true one; of several that are equally likely each counts its part.
    pub accuracy: Option<f64>,
    /// Mean over classes of the AUC with which a class's probability tells its rows from the others (macro, one against
    /// rest), over the classes that these rows have and do not all have. `None` above [`MOST_RANKED`] classes.
    pub auc: Option<f64>,
    /// Classes that the model tells apart.
    pub classes: u64,
    /// Rows.
    pub n: u64,
    /// Bootstrap intervals: `ce`, `accuracy`.
    pub intervals: Intervals,
}

impl ClassReport {
    /// All metrics, with intervals unless `options.replicates` is 0. Costs a sort of the rows per class, up to
    /// [`MOST_RANKED`]. Errors: lengths differ, scores that are no logits or probabilities, a class that is none.
    pub fn compute(input: &ClassInput<'_>, options: &BootstrapOptions) -> Result<Self> {
        let &ClassInput { classes, scores, labels, groups } = input;
        if classes == 0 {
            return Err(Error::data("expected at least one class, got 0"));
        }
        check_length("scores", labels.len() * classes, scores.values().len())?;
        if !groups.is_empty() {
            check_length("groups", labels.len(), groups.len())?;
        }
        scores.check()?;
        if let Some(row) = labels.iter().position(|&label| usize::from(label) >= classes) {
            let got = labels[row];
            return Err(Error::data(format!(
                "label {row}: expected a class below {classes}, got {got}"
            )));
        }
        let mut counts = vec![0u64; classes];
        let mut ln_q = Vec::with_capacity(classes);
        let rows = labels.iter().zip(scores.values().chunks_exact(classes)).enumerate();
        let terms = rows.map(|(row, (&label, values))| {
            let label = usize::from(label);
            counts[label] += 1;
            match scores {
                Scores::Logits(_) => log_softmax(values, &mut ln_q),
                Scores::Probabilities(_) => log_of(values, &mut ln_q),
            }
            // Ties are those of the scores themselves.
            let best = values.iter().copied().fold(f32::NEG_INFINITY, f32::max);
            let likeliest = values.iter().filter(|v| **v == best).count() as f64;
            let right = if values[label] == best { 1.0 / likeliest } else { 0.0 };
            (row, [1.0, -ln_q[label], right])
        });
        let (groups, n_groups) = dense_groups(groups);
        let groups = (!groups.is_empty()).then_some((&groups[..], n_groups));
        let units = sum_by_unit(groups, terms);
        let means = |&[n, ce, right]: &[f64; 3]| [ce, right].map(|sum| (n > 0.0).then(|| sum / n));
        let [ce, accuracy] = means(&total(&units));
        let n = labels.len() as f64;
        let constant = entropy(counts.iter().map(|&count| count as f64 / n));
        Ok(Self {
            ce,
            ce_normalised: ce.filter(|_| constant > 0.0).map(|ce| ce / constant),
            accuracy,
            auc: macro_auc(classes, scores.values(), labels),
            classes: if labels.is_empty() { 0 } else { classes as u64 },
            n: labels.len() as u64,
            intervals: intervals_of_sums(&units, ["ce", "accuracy"], means, options),
        })
    }
}

/// Mean one-against-rest AUC of the classes that some rows have and some have not.
fn macro_auc(classes: usize, values: &[f32], labels: &[u16]) -> Option<f64> {
    if classes > MOST_RANKED {
        return None;
    }
    let (mut sum, mut n) = (0.0, 0.0);
    for class in 0..classes {
        let scores: Vec<f32> = values.chunks_exact(classes).map(|row| row[class]).collect();
        let own: Vec<u8> =
            labels.iter().map(|&label| u8::from(usize::from(label) == class)).collect();
        if let Some(auc) = auc(&ScoreOrder::new(&scores), &own) {
            sum += auc;
            n += 1.0;
        }
    }
    (n > 0.0).then(|| sum / n)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn compute(scores: Scores<'_>, labels: &[u16], groups: &[u32]) -> Result<ClassReport> {
        let input = ClassInput { classes: 3, scores, labels, groups };
        ClassReport::compute(&input, &BootstrapOptions::default())
    }

    #[test]
    fn by_hand() {
        let p = [0.5, 0.25, 0.25, 0.25, 0.5, 0.25, 0.25, 0.5, 0.25, 0.4, 0.4, 0.2];
        let r = compute(Scores::Probabilities(&p), &[0, 1, 0, 1], &[]).unwrap();
        let ce = -(0.5f64.ln() + 0.5f64.ln() + 0.25f64.ln() + 0.4f64.ln()) / 4.0;
        assert!((r.ce.unwrap() - ce).abs() < 1e-7);
        assert!((r.ce_normalised.unwrap() - ce / 2f64.ln()).abs() < 1e-7);
        assert!((r.accuracy.unwrap() - (1.0 + 1.0 + 0.5) / 4.0).abs() < 1e-12);
        // First class: 0.5 and 0.25 against 0.25 and 0.4; second: 0.5 and 0.4 against 0.25 and 0.5. No row has the third.
        let first = (2.0 + 0.5) / 4.0;
        let second = (1.0 + 0.5 + 1.0) / 4.0;
        assert!((r.auc.unwrap() - 0.5 * (first + second)).abs() < 1e-12);
        assert_eq!((r.classes, r.n), (3, 4));
        assert!(r.intervals.contains_key("ce") && r.intervals.contains_key("accuracy"));
        let z: Vec<f32> = p.iter().map(|p| f32::ln(*p) + 2.0).collect();
        let l = compute(Scores::Logits(&z), &[0, 1, 0, 1], &[0, 0, 1, 1]).unwrap();
        assert!((l.ce.unwrap() - ce).abs() < 1e-6 && l.auc == r.auc);
        let json = serde_json::to_value(&r).unwrap();
        assert_eq!(serde_json::from_value::<ClassReport>(json).unwrap(), r);
    }

    #[test]
    fn frequencies_have_normalised_cross_entropy_one_and_an_auc_of_a_half() {
        let p = [0.5, 0.25, 0.25].repeat(4);
        let r = compute(Scores::Probabilities(&p), &[0, 0, 1, 2], &[]).unwrap();
        assert!((r.ce_normalised.unwrap() - 1.0).abs() < 1e-7);
        assert_eq!((r.accuracy, r.auc), (Some(0.5), Some(0.5)));
    }

    #[test]
    fn bad_input_is_an_error_and_none_is_undefined() {
        assert_eq!(compute(Scores::Logits(&[]), &[], &[]).unwrap(), ClassReport::default());
        for (scores, labels) in
            [(&[0.5f32; 3][..], &[3u16][..]), (&[0.5; 2], &[0]), (&[0.5, f32::NAN, 0.2], &[0])]
        {
            assert!(compute(Scores::Probabilities(scores), labels, &[]).is_err());
        }
        // Above the bound on classes nothing is ranked.
        let classes = MOST_RANKED + 1;
        let input = ClassInput {
            classes,
            scores: Scores::Logits(&vec![0.0; 2 * classes]),
            labels: &[0, 1],
            groups: &[],
        };
        assert_eq!(ClassReport::compute(&input, &BootstrapOptions::default()).unwrap().auc, None);
    }
}
