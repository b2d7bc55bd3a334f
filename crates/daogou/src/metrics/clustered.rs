//! Means of observations that hang together in clusters: lists of one person, say.
//!
//! The mean over observations is a ratio of sums over clusters, `R = Σ_u x_u / Σ_u n_u`. Clusters are independent, what
//! is inside of one is not, so the variance is taken over clusters (linearised, with the usual correction for few of
//! them; Cameron & Miller 2015):
//!
//! ```text
//! Var R ≈ U / (U − 1) · Σ_u (x_u − R n_u)² / (Σ_u n_u)²
//! ```

use serde::{Deserialize, Serialize};

/// Half the width of a normal 95 % interval, in standard errors.
const WIDTH: f64 = 1.959_963_984_540_054;

/// A mean and how far it can be trusted.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct ClusteredMean {
    /// Mean over observations.
    pub mean: f64,
    /// Standard error over clusters; `None` with fewer than two.
    pub standard_error: Option<f64>,
}

impl ClusteredMean {
    /// Of clusters of `n` observations that sum to `x`, each `(n, x)`; `None` without an observation. O(clusters).
    pub fn new(clusters: &[(f64, f64)]) -> Option<Self> {
        let (n, x) = clusters.iter().fold((0.0, 0.0), |sum, own| (sum.0 + own.0, sum.1 + own.1));
        if n <= 0.0 {
            return None;
        }
        let mean = x / n;
        // Clusters without an observation are none.
        let present: Vec<_> = clusters.iter().filter(|own| own.0 > 0.0).collect();
        let many = present.len() as f64;
        let squares: f64 = present.iter().map(|own| (own.1 - mean * own.0).powi(2)).sum();
        let standard_error =
            (present.len() > 1).then(|| (many / (many - 1.0) * squares).sqrt() / n);
        Some(Self { mean, standard_error })
    }

    /// The difference from another mean, of other clusters.
    pub fn minus(&self, other: &Self) -> Self {
        let variance = |own: &Self| own.standard_error.map(|se| se * se);
        let sum = variance(self).zip(variance(other)).map(|(a, b)| (a + b).sqrt());
        Self { mean: self.mean - other.mean, standard_error: sum }
    }

    /// The normal 95 % interval.
    pub fn interval(&self) -> Option<[f64; 2]> {
        self.standard_error.map(|se| [self.mean - WIDTH * se, self.mean + WIDTH * se])
    }

    /// Half its width.
    pub fn margin(&self) -> Option<f64> {
        self.standard_error.map(|se| WIDTH * se)
    }
}

#[cfg(test)]
mod tests {
    use daogou_nn::Rng;

    use super::*;

    #[test]
    fn clusters_of_one_are_the_textbook_mean() {
        let values = [1.0, 4.0, 2.0, 7.0];
        let clusters: Vec<_> = values.iter().map(|&x| (1.0, x)).collect();
        let own = ClusteredMean::new(&clusters).unwrap();
        let sample_variance: f64 = values.iter().map(|x| (x - 3.5f64).powi(2)).sum::<f64>() / 3.0;
        assert_eq!(own.mean, 3.5);
        assert!((own.standard_error.unwrap() - (sample_variance / 4.0).sqrt()).abs() < 1e-12);
        assert_eq!(ClusteredMean::new(&[(3.0, 6.0), (0.0, 0.0)]).unwrap().standard_error, None);
        assert_eq!(ClusteredMean::new(&[(0.0, 0.0)]), None);
        let difference = own.minus(&own);
        assert_eq!(difference.mean, 0.0);
        assert!((difference.margin().unwrap() - own.margin().unwrap() * 2f64.sqrt()).abs() < 1e-12);
    }

    #[test]
    fn intervals_cover_the_truth_where_observations_hang_together() {
        let (mut covered, mut naive) = (0, 0);
        for round in 0..600 {
            let mut rng = Rng::new(5, round);
            let clusters: Vec<(f64, f64)> = (0..80)
                .map(|_| {
                    let (n, taste) = (1 + rng.below(9), rng.normal());
                    let x: f64 = (0..n).map(|_| 2.0 + taste + 0.5 * rng.normal()).sum();
                    (n as f64, x)
                })
                .collect();
            let own = ClusteredMean::new(&clusters).unwrap();
            let [low, high] = own.interval().unwrap();
            covered += u32::from((low..=high).contains(&2.0));
            let n: f64 = clusters.iter().map(|own| own.0).sum();
            let independent = WIDTH * (1.25f64 / n).sqrt();
            naive += u32::from((own.mean - 2.0).abs() <= independent);
        }
        assert!((550..=590).contains(&covered), "{covered} of 600");
        assert!(naive < 500, "{naive} of 600");
    }
}
