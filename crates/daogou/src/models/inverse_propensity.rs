//! Weights against the logging policy's choice: what it rarely showed counts more.
//!
//! `w_i = c_i ÷ mean(c)` with `c_i = min(1 / π_i ÷ mean(1 / π), clip)`, `π` the logged propensities and both means over the
//! training split. The weights of the whole split have mean 1, so the click counts beside other tasks as it does without
//! weights: self-normalised inverse propensity weighting (Swaminathan & Joachims 2015). The clip bounds the variance at the
//! price of some bias; it is relative, so that it means the same on every log.

use std::ops::Range;

use crate::data::Impressions;

/// Clipped weights by propensity.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct InversePropensity {
    /// Mean of `1 / π` in training.
    mean: f64,
    clip: f64,
    /// Mean of what that leaves.
    clipped_mean: f64,
}

impl InversePropensity {
    /// With the mean over a range of impressions; `None` where no propensity is known.
    pub fn new(impressions: &Impressions, training: Range<usize>, clip: f64) -> Option<Self> {
        let split = impressions.propensity.get(training)?;
        let known = || split.iter().map(|p| f64::from(*p)).filter(|p| *p > 0.0);
        let n = known().count() as f64;
        if n == 0.0 {
            return None;
        }
        let mean = known().map(|p| 1.0 / p).sum::<f64>() / n;
        let clipped_mean = known().map(|p| (1.0 / p / mean).min(clip)).sum::<f64>() / n;
        Some(Self { mean, clip, clipped_mean })
    }

    /// Weight of an impression; 0 where its propensity is 0 or unknown.
    pub fn weight(&self, impressions: &Impressions, impression: usize) -> f32 {
        let propensity = f64::from(impressions.propensity[impression]);
        if propensity > 0.0 {
            ((1.0 / propensity / self.mean).min(self.clip) / self.clipped_mean) as f32
        } else {
            0.0
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weights_are_relative_to_their_mean_and_clipped() {
        let propensity = vec![0.5, 0.25, 0.1, 0.0, 0.01];
        let impressions = Impressions { propensity, ..Impressions::default() };
        // 2, 4 and 10, of mean 16/3, are 3/8, 6/8 and 15/8; clipped 3/8, 6/8 and 12/8, of mean 7/8. The last row is not in
        // training.
        let by = InversePropensity::new(&impressions, 0..4, 1.5).unwrap();
        for (row, weight) in
            [(0, 3.0 / 7.0), (1, 6.0 / 7.0), (2, 12.0 / 7.0), (3, 0.0), (4, 12.0 / 7.0)]
        {
            assert!((f64::from(by.weight(&impressions, row)) - weight).abs() < 1e-6, "row {row}");
        }
        assert_eq!(InversePropensity::new(&impressions, 3..4, 3.0), None);
        assert_eq!(InversePropensity::new(&Impressions::default(), 0..4, 3.0), None);
    }
}
