//! Whether a probability means what it says.

use serde::{Deserialize, Serialize};

use super::order::ScoreOrder;

/// Bins of the expected calibration error.
pub const BINS: usize = 20;

/// Rows of similar predicted probability.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct ReliabilityBin {
    /// Rows.
    pub n: u64,
    /// Mean predicted probability.
    pub predicted: f64,
    /// Share of positives.
    pub observed: f64,
}

/// Cuts the rows, in order of score, into at most `bins` parts of equal size.
///
/// Rows with equal scores stay together: a boundary inside a tie moves to the tie's end, so a constant prediction
/// gives one bin. `order` is that of the probabilities or of their logits, which is the same.
pub fn reliability(
    order: &ScoreOrder,
    probabilities: &[f64],
    labels: &[u8],
    bins: usize,
) -> Vec<ReliabilityBin> {
    let n = labels.len();
    let mut result = Vec::with_capacity(bins);
    let (mut begin, mut done) = (0, 0);
    let (mut rows, mut predicted, mut positives) = (0u64, 0.0, 0u64);
    for tie in order.ties() {
        for &row in tie {
            predicted += probabilities[row as usize];
            positives += u64::from(labels[row as usize] != 0);
        }
        rows += tie.len() as u64;
        done += tie.len();
        // Boundaries lie at b n / bins: this tie reached or passed one since the bin began.
        if done * bins / n > begin * bins / n {
            result.push(ReliabilityBin {
                n: rows,
                predicted: predicted / rows as f64,
                observed: positives as f64 / rows as f64,
            });
            (begin, rows, predicted, positives) = (done, 0, 0.0, 0);
        }
    }
    result
}

/// Expected calibration error: `Σ_b (n_b / n) |observed_b − predicted_b|`. `None` without rows.
pub fn ece(bins: &[ReliabilityBin]) -> Option<f64> {
    let n: u64 = bins.iter().map(|b| b.n).sum();
    let sum: f64 = bins.iter().map(|b| b.n as f64 * (b.observed - b.predicted).abs()).sum();
    (n > 0).then(|| sum / n as f64)
}

/// Largest gap of a bin. `None` without rows.
pub fn max_calibration_error(bins: &[ReliabilityBin]) -> Option<f64> {
    bins.iter().map(|b| (b.observed - b.predicted).abs()).reduce(f64::max)
}

/// Predicted clicks over observed clicks, `Σ p̂ / Σ y`: 1 is right, above 1 promises too much. `None` without positives.
pub fn pcoc(predicted_sum: f64, positives: f64) -> Option<f64> {
    (positives > 0.0).then(|| predicted_sum / positives)
}

#[cfg(test)]
mod tests {
    use super::*;
    use daogou_nn::Rng;

    fn bins_of(p: &[f64], labels: &[u8], bins: usize) -> Vec<ReliabilityBin> {
        let scores: Vec<f32> = p.iter().map(|p| *p as f32).collect();
        reliability(&ScoreOrder::new(&scores), p, labels, bins)
    }

    #[test]
    fn two_bins_by_hand() {
        let bins = bins_of(&[0.1, 0.9, 0.3, 0.7], &[0, 1, 1, 1], 2);
        assert_eq!(bins.iter().map(|b| b.n).collect::<Vec<_>>(), [2, 2]);
        assert!((bins[0].predicted - 0.2).abs() < 1e-12 && bins[0].observed == 0.5);
        assert!((ece(&bins).unwrap() - (0.5 * 0.3 + 0.5 * 0.2)).abs() < 1e-12);
        assert!((max_calibration_error(&bins).unwrap() - 0.3).abs() < 1e-12);
    }

    #[test]
    fn ties_are_never_split() {
        let bins = bins_of(&[0.25; 100], &[[1, 0, 0, 0]; 25].concat(), BINS);
        assert_eq!(bins.len(), 1);
        assert_eq!(ece(&bins), Some(0.0));
        // 60 equal rows swallow the boundaries at 25 and 50; then bins of 25 and 15 rows follow.
        let p: Vec<f64> =
            (0..100).map(|i| if i < 60 { 0.1 } else { f64::from(i) / 100.0 }).collect();
        let sizes: Vec<u64> = bins_of(&p, &[0; 100], 4).iter().map(|b| b.n).collect();
        assert_eq!(sizes, [60, 15, 25]);
    }

    #[test]
    fn bins_have_equal_mass_and_a_calibrated_predictor_has_little_error() {
        let mut rng = Rng::new(5, 0);
        let p: Vec<f64> = (0..100_003).map(|_| rng.uniform()).collect();
        let labels: Vec<u8> = p.iter().map(|p| u8::from(rng.uniform() < *p)).collect();
        let bins = bins_of(&p, &labels, BINS);
        assert_eq!(bins.len(), BINS);
        assert_eq!(bins.iter().map(|b| b.n).sum::<u64>(), 100_003);
        assert!(bins.iter().all(|b| b.n.abs_diff(5_000) <= 1));
        assert!(ece(&bins).unwrap() < 0.01);
        let low: Vec<f64> = p.iter().map(|p| 0.5 * p).collect();
        assert!((ece(&bins_of(&low, &labels, BINS)).unwrap() - 0.25).abs() < 0.01);
    }

    #[test]
    fn nothing_is_undefined() {
        assert_eq!((ece(&[]), pcoc(1.0, 0.0)), (None, None));
        assert_eq!(pcoc(3.0, 2.0), Some(1.5));
    }
}
