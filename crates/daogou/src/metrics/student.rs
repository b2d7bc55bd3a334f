//! Means of few independent values, with Student's t interval (Student 1908).
//!
//! ```text
//! x̄ ± t_{n−1} · s / √n,   s² = Σ (x_i − x̄)² / (n − 1)
//! ```
//!
//! Exact for independent normal values. Metrics of the same training under several seeds are close enough to that; the
//! interval speaks of the luck that differs between the values and of no other.

use serde::{Deserialize, Serialize};

/// Share of such intervals that hold the mean.
pub const LEVEL: f64 = 0.95;

/// A mean of some values and its interval.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct StudentMean {
    /// Mean.
    pub mean: f64,
    /// Half the width of the 95 % interval; `None` of a single value.
    pub margin: Option<f64>,
    /// Values.
    pub n: usize,
}

impl StudentMean {
    /// Of some values; `None` without any. O(n).
    pub fn new(values: &[f64]) -> Option<Self> {
        let n = values.len();
        if n == 0 {
            return None;
        }
        let mean = values.iter().sum::<f64>() / n as f64;
        let squares: f64 = values.iter().map(|x| (x - mean).powi(2)).sum();
        let margin = (n > 1).then(|| {
            let variance = squares / (n - 1) as f64;
            quantile(LEVEL, n - 1) * (variance / n as f64).sqrt()
        });
        Some(Self { mean, margin, n })
    }

    /// Both ends of the interval.
    pub fn interval(&self) -> Option<[f64; 2]> {
        self.margin.map(|margin| [self.mean - margin, self.mean + margin])
    }

    /// Whether the interval lies on one side of 0.
    pub fn differs_from_zero(&self) -> bool {
        self.interval().is_some_and(|[low, high]| low > 0.0 || high < 0.0)
    }
}

/// The t with P(|T| ≤ t) = `level` for `df` degrees of freedom, by bisection to the last bit.
///
/// # Panics
///
/// If `df` is 0 or `level` is not in (0, 1).
pub fn quantile(level: f64, df: usize) -> f64 {
    assert!(df > 0 && level > 0.0 && level < 1.0, "P = {level} with {df} degrees of freedom");
    let mut high = 1.0;
    while within(high, df) < level {
        high *= 2.0;
    }
    let mut low = 0.0;
    loop {
        let middle = 0.5 * (low + high);
        if middle <= low || middle >= high {
            return middle;
        }
        if within(middle, df) < level { low = middle } else { high = middle }
    }
}

/// P(|T| ≤ t): the finite series for whole degrees of freedom (Abramowitz & Stegun 26.7.3 and 26.7.4). O(df).
fn within(t: f64, df: usize) -> f64 {
    let angle = (t / (df as f64).sqrt()).atan();
    let (sin, cos) = angle.sin_cos();
    // Terms cos^k with k of the parity of df, from df mod 2 to df − 2.
    let odd = df % 2 == 1;
    let (mut sum, mut term, mut k) = (0.0, if odd { cos } else { 1.0 }, df % 2);
    while k + 2 <= df {
        sum += term;
        term *= cos * cos * (k + 1) as f64 / (k + 2) as f64;
        k += 2;
    }
    if odd { std::f64::consts::FRAC_2_PI * (angle + sin * sum) } else { sin * sum }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_those_of_the_printed_tables() {
        for (df, t) in [
            (1, 12.706_204_736),
            (2, 4.302_652_730),
            (3, 3.182_446_305),
            (4, 2.776_445_105),
            (5, 2.570_581_836),
            (9, 2.262_157_163),
            (10, 2.228_138_852),
            (29, 2.045_229_642),
            (30, 2.042_272_456),
            (1000, 1.962_339_081),
        ] {
            assert!((quantile(0.95, df) - t).abs() < 1e-8, "{df}: {}", quantile(0.95, df));
        }
        assert!((quantile(0.99, 4) - 4.604_094_871).abs() < 1e-8);
    }

    /// The density `∝ (1 + t²/df)^(−(df+1)/2)`, added up in small steps.
    #[test]
    fn the_series_is_the_integral_of_the_density() {
        for df in 1..8 {
            let density = |t: f64| (1.0 + t * t / df as f64).powf(-(df as f64 + 1.0) / 2.0);
            // ∫₀^∞ by t = tan φ.
            let integral = |from: f64, to: f64| {
                let n = 20_000;
                let step = (to - from) / f64::from(n);
                let each = (0..n).map(|i| from + (f64::from(i) + 0.5) * step);
                each.map(|phi: f64| density(phi.tan()) / phi.cos().powi(2)).sum::<f64>() * step
            };
            let all = integral(0.0, std::f64::consts::FRAC_PI_2);
            for t in [0.1, 0.7, 2.0, 6.0] {
                let share = integral(0.0, f64::atan(t)) / all;
                assert!((within(t, df) - share).abs() < 1e-6, "{df}, {t}: {}", within(t, df));
            }
        }
    }

    #[test]
    fn means_and_margins_by_hand() {
        assert_eq!(StudentMean::new(&[]), None);
        let one = StudentMean::new(&[0.5]).unwrap();
        assert_eq!((one.mean, one.margin, one.differs_from_zero()), (0.5, None, false));
        // Mean 2, sample variance 1, standard error √(1/3).
        let three = StudentMean::new(&[1.0, 2.0, 3.0]).unwrap();
        assert!((three.margin.unwrap() - 4.302_652_730 / 3f64.sqrt()).abs() < 1e-8);
        assert!(!three.differs_from_zero());
        let far = StudentMean::new(&[1.0, 1.1, 0.9]).unwrap();
        assert!(far.differs_from_zero());
        let same = StudentMean::new(&[0.25; 4]).unwrap();
        assert_eq!((same.margin, same.differs_from_zero()), (Some(0.0), true));
    }
}
