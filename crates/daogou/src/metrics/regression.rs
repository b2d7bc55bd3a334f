//! How far predicted numbers are from true ones.

use super::order::mid_ranks;

/// Sums behind the squared-error metrics; they add up over rows, so replicates can reuse them.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct ErrorSums {
    /// Σ w.
    pub weight: f64,
    /// Σ w (ŷ − y)².
    pub squared: f64,
    /// Σ w |ŷ − y|.
    pub absolute: f64,
    /// Σ w y.
    pub target: f64,
    /// Σ w y².
    pub target_squared: f64,
}

impl ErrorSums {
    /// One row.
    pub fn of(predicted: f64, target: f64, weight: f64) -> Self {
        let error = predicted - target;
        Self {
            weight,
            squared: weight * error * error,
            absolute: weight * error.abs(),
            target: weight * target,
            target_squared: weight * target * target,
        }
    }

    /// Mean squared error.
    pub fn mse(&self) -> Option<f64> {
        (self.weight > 0.0).then(|| self.squared / self.weight)
    }

    /// Mean absolute error.
    pub fn mae(&self) -> Option<f64> {
        (self.weight > 0.0).then(|| self.absolute / self.weight)
    }

    /// `1 − Σ w (ŷ − y)² / Σ w (y − ȳ)²`: 0 for the mean predictor, negative for a worse one. `None` when all targets
    /// are equal.
    pub fn r2(&self) -> Option<f64> {
        let spread = self.target_squared - self.target * self.target / self.weight;
        (self.weight > 0.0 && spread > 1e-12 * self.target_squared)
            .then(|| 1.0 - self.squared / spread)
    }

    /// The sums as an array, in the order of the fields.
    pub fn to_array(self) -> [f64; 5] {
        [self.weight, self.squared, self.absolute, self.target, self.target_squared]
    }

    /// The reverse of [`ErrorSums::to_array`].
    pub fn from_array([weight, squared, absolute, target, target_squared]: [f64; 5]) -> Self {
        Self { weight, squared, absolute, target, target_squared }
    }
}

/// Spearman's rank correlation: Pearson's of the mid-ranks, so ties are exact. `None` when either side is constant.
pub fn spearman(a: &[f32], b: &[f32]) -> Option<f64> {
    assert_eq!(a.len(), b.len());
    let (ranks_a, ranks_b) = (mid_ranks(a), mid_ranks(b));
    let mean = 0.5 * (a.len() as f64 + 1.0); // of ranks, whatever the ties
    let (mut covariance, mut variance_a, mut variance_b) = (0.0, 0.0, 0.0);
    for (x, y) in ranks_a.iter().zip(&ranks_b) {
        covariance += (x - mean) * (y - mean);
        variance_a += (x - mean) * (x - mean);
        variance_b += (y - mean) * (y - mean);
    }
    let scale = (variance_a * variance_b).sqrt();
    (scale > 0.0).then(|| covariance / scale)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sums(rows: &[(f64, f64, f64)]) -> ErrorSums {
        let mut total = [0.0; 5];
        for &(predicted, target, weight) in rows {
            let row = ErrorSums::of(predicted, target, weight).to_array();
            total.iter_mut().zip(row).for_each(|(t, r)| *t += r);
        }
        ErrorSums::from_array(total)
    }

    #[test]
    fn by_hand() {
        let s = sums(&[(0.5, 0.0, 1.0), (0.5, 1.0, 1.0), (1.0, 1.0, 2.0)]);
        assert_eq!((s.mse(), s.mae()), (Some(0.125), Some(0.25)));
        // Mean target 0.75, spread 0.5625 + 3 · 0.0625 = 0.75.
        assert!((s.r2().unwrap() - (1.0 - 0.5 / 0.75)).abs() < 1e-12);
        let mean = sums(&[(0.5, 0.0, 1.0), (0.5, 1.0, 1.0)]);
        assert!(mean.r2().unwrap().abs() < 1e-12);
        assert_eq!(sums(&[(0.2, 0.3, 1.0), (0.4, 0.3, 1.0)]).r2(), None);
        assert_eq!((sums(&[]).mse(), sums(&[]).r2()), (None, None));
    }

    #[test]
    fn spearman_sees_order_alone() {
        assert!((spearman(&[1.0, 2.0, 9.0], &[0.1, 0.2, 0.3]).unwrap() - 1.0).abs() < 1e-12);
        assert!((spearman(&[3.0, 2.0, 1.0], &[0.1, 0.2, 0.3]).unwrap() + 1.0).abs() < 1e-12);
        // Ranks 1.5, 1.5, 3 against 1, 2, 3: covariance 1.5, variances 1.5 and 2.
        assert!(
            (spearman(&[1.0, 1.0, 2.0], &[1.0, 2.0, 3.0]).unwrap() - 1.5 / 3f64.sqrt()).abs()
                < 1e-12
        );
        assert_eq!(spearman(&[1.0, 1.0], &[1.0, 2.0]), None);
        assert_eq!(spearman(&[], &[]), None);
    }
}
