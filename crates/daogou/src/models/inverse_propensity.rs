//! Weights against the logging policy's choice: what it rarely showed counts more.
//!
//! `w_i = min(1 / π_i ÷ mean(1 / π), clip)`, with `π` the logged propensities and the mean over the training split. The loss
//! divides by the weights of its batch, which is self-normalised inverse propensity weighting (Swaminathan & Joachims 2015).
//! The clip bounds the variance at the price of some bias; it is relative, so that it means the same on every log.

use std::ops::Range;

use crate::data::Impressions;

/// Clipped weights by propensity.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct InversePropensity {
    /// Mean of `1 / π` in training.
    mean: f64,
    clip: f64,
}

impl InversePropensity {
    /// With the mean over a range of impressions; `None` where no propensity is known.
    pub fn new(impressions: &Impressions, training: Range<usize>, clip: f64) -> Option<Self> {
        let known = impressions.propensity.get(training)?.iter().filter(|p| **p > 0.0);
        let (mut sum, mut n) = (0.0, 0.0);
        known.for_each(|p| (sum, n) = (sum + 1.0 / f64::from(*p), n + 1.0));
        (n > 0.0).then(|| Self { mean: sum / n, clip })
    }

    /// Weight of an impression; 0 where its propensity is 0 or unknown.
    pub fn weight(&self, impressions: &Impressions, impression: usize) -> f32 {
        let propensity = f64::from(impressions.propensity[impression]);
        if propensity > 0.0 { (1.0 / propensity / self.mean).min(self.clip) as f32 } else { 0.0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weights_are_relative_to_their_mean_and_clipped() {
        let propensity = vec![0.5, 0.25, 0.1, 0.0, 0.01];
        let impressions = Impressions { propensity, ..Impressions::default() };
        // 2, 4 and 10: the last rows are not in training.
        let by = InversePropensity::new(&impressions, 0..4, 3.0).unwrap();
        let mean = 16.0 / 3.0;
        for (row, weight) in
            [(0, 2.0 / mean), (1, 4.0 / mean), (2, 10.0 / mean), (3, 0.0), (4, 3.0)]
        {
            assert!((f64::from(by.weight(&impressions, row)) - weight).abs() < 1e-6, "row {row}");
        }
        assert_eq!(InversePropensity::new(&impressions, 3..4, 3.0), None);
        assert_eq!(InversePropensity::new(&Impressions::default(), 0..4, 3.0), None);
    }
}
