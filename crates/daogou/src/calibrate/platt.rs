//! Platt scaling: a slope and a shift of the logit, by maximum likelihood.

use super::Observed;
use crate::metrics::logloss::{loss_and_probability, softplus};

/// Newton steps; a handful is usual, since the loss is convex.
const STEPS: usize = 100;

/// Slope and shift, or the shift alone with slope 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Freedom {
    Shift,
    SlopeAndShift,
}

/// `(a, b)` that minimise `Σ w·BCE(t, σ(a·z + b + offset))`; `a` is 1 where only the shift is free.
///
/// Targets are Platt's (1999): a positive counts `(P + 1)/(P + 2)` and a negative `1/(N + 2)`, with the weights `P` of
/// positives and `N` of negatives. So separable rows have a finite answer, and the sum of targets stays `P` to within
/// one row: after the fit, predicted and observed totals agree on these rows.
///
/// `None` where there are no positives or negatives, where logits do not vary enough to tell a slope, or where the best
/// slope is not positive: that map would turn the order around. Newton's method with step halving in `f64`,
/// `O(rows)` per step.
pub(super) fn fit(rows: &[Observed], freedom: Freedom) -> Option<(f64, f64)> {
    let (mut positives, mut negatives) = (0.0, 0.0);
    for row in rows {
        positives += f64::from(row.weight) * f64::from(row.target);
        negatives += f64::from(row.weight) * (1.0 - f64::from(row.target));
    }
    if positives <= 0.0 || negatives <= 0.0 {
        return None;
    }
    let (one, zero) = ((positives + 1.0) / (positives + 2.0), 1.0 / (negatives + 2.0));
    let target = |row: &Observed| zero + f64::from(row.target) * (one - zero);
    let logit =
        |row: &Observed, (a, b): (f64, f64)| a * f64::from(row.logit) + b + f64::from(row.offset);
    let loss = |at: (f64, f64)| -> f64 {
        let each = rows.iter().map(|row| {
            let u = logit(row, at);
            f64::from(row.weight) * (softplus(u) - target(row) * u)
        });
        each.sum()
    };
    let mut at = (1.0, 0.0);
    let mut here = loss(at);
    for _ in 0..STEPS {
        let (mut ga, mut gb, mut haa, mut hab, mut hbb) = (0.0, 0.0, 0.0, 0.0, 0.0);
        for row in rows {
            let (z, w) = (f64::from(row.logit), f64::from(row.weight));
            let p = loss_and_probability(logit(row, at), 0).1;
            let (miss, curve) = (w * (p - target(row)), w * p * (1.0 - p));
            ga += miss * z;
            gb += miss;
            haa += curve * z * z;
            hab += curve * z;
            hbb += curve;
        }
        let step = match freedom {
            Freedom::Shift => (0.0, gb / hbb),
            Freedom::SlopeAndShift => {
                let det = haa * hbb - hab * hab;
                if det <= 1e-10 * haa * hbb {
                    return None;
                }
                ((hbb * ga - hab * gb) / det, (haa * gb - hab * ga) / det)
            }
        };
        if !(step.0.is_finite() && step.1.is_finite()) {
            return None;
        }
        // Twice what a quadratic would still gain; below rounding there is nothing left to gain.
        let gain = ga * step.0 + gb * step.1;
        if gain <= 1e-13 * here.abs() {
            break;
        }
        let mut part = 1.0;
        let moved = loop {
            let next = (at.0 - part * step.0, at.1 - part * step.1);
            let there = loss(next);
            if there <= here - 1e-4 * part * gain {
                break Some((next, there));
            }
            part *= 0.5;
            if part < 1e-9 {
                break None;
            }
        };
        let Some((next, there)) = moved else { break };
        (at, here) = (next, there);
    }
    (at.0 > 0.0 && at.1.is_finite()).then_some(at)
}

#[cfg(test)]
mod tests {
    use daogou_nn::Rng;

    use super::*;
    use crate::metrics::logloss::sigmoid;

    /// Rows whose labels come from `σ(a·z + b + offset)`.
    fn drawn(n: usize, (a, b): (f64, f64), offset: f32) -> Vec<Observed> {
        let mut rng = Rng::new(5, 1);
        let each = (0..n).map(|_| {
            let z = rng.normal() - 2.0;
            let p = sigmoid(a * z + b + f64::from(offset));
            let target = if rng.uniform() < p { 1.0 } else { 0.0 };
            Observed { logit: z as f32, offset, target, weight: 1.0 }
        });
        each.collect()
    }

    #[test]
    fn known_slope_and_shift_are_found_with_and_without_an_offset() {
        for (truth, offset) in [((0.6, -0.4), 0.0), ((1.5, 0.8), 0.0), ((0.7, -0.5), 1.5)] {
            let rows = drawn(200_000, truth, offset);
            let (a, b) = fit(&rows, Freedom::SlopeAndShift).unwrap();
            assert!((a - truth.0).abs() < 0.02 && (b - truth.1).abs() < 0.05, "{a} {b} {truth:?}");
        }
        let shifted = drawn(200_000, (1.0, 0.5), 0.0);
        let (a, b) = fit(&shifted, Freedom::Shift).unwrap();
        assert!(a == 1.0 && (b - 0.5).abs() < 0.02, "{a} {b}");
    }

    #[test]
    fn totals_agree_after_either_fit() {
        let rows = drawn(5_000, (0.5, 1.0), 0.0);
        let observed: f64 = rows.iter().map(|r| f64::from(r.target)).sum();
        for freedom in [Freedom::Shift, Freedom::SlopeAndShift] {
            let (a, b) = fit(&rows, freedom).unwrap();
            let predicted: f64 = rows.iter().map(|r| sigmoid(a * f64::from(r.logit) + b)).sum();
            assert!((predicted - observed).abs() < 0.01, "{predicted} {observed}");
        }
    }

    #[test]
    fn a_weight_counts_like_copies() {
        let once = drawn(300, (0.8, 0.1), 0.0);
        let weighted: Vec<Observed> = once
            .iter()
            .enumerate()
            .map(|(i, r)| Observed { weight: (i % 3) as f32, ..*r })
            .collect();
        let copied: Vec<Observed> =
            (0..once.len()).flat_map(|i| std::iter::repeat_n(once[i], i % 3)).collect();
        let (a, b) = fit(&weighted, Freedom::SlopeAndShift).unwrap();
        let (c, d) = fit(&copied, Freedom::SlopeAndShift).unwrap();
        assert!((a - c).abs() < 1e-6 && (b - d).abs() < 1e-6);
    }

    #[test]
    fn awkward_rows_are_refused_or_finite() {
        let row = |logit, target| Observed { logit, offset: 0.0, target, weight: 1.0 };
        let free = Freedom::SlopeAndShift;
        assert_eq!(fit(&[], free), None);
        assert_eq!(fit(&[row(0.0, 1.0), row(1.0, 1.0)], free), None, "no negatives");
        let same: Vec<_> = (0..10).map(|i| row(0.3, (i % 2) as f32)).collect();
        assert_eq!(fit(&same, free), None, "no slope to tell");
        assert!(fit(&same, Freedom::Shift).is_some());
        let reversed: Vec<_> = (0..100).map(|i| row(i as f32 / 50.0, f32::from(i < 40))).collect();
        assert_eq!(fit(&reversed, free), None, "would turn the order around");
        let apart: Vec<_> = (0..100).map(|i| row(i as f32 / 50.0, f32::from(i >= 40))).collect();
        let (a, b) = fit(&apart, free).unwrap();
        assert!(a.is_finite() && b.is_finite() && a < 1e3, "{a} {b}");
    }
}
