//! Estimated propensities, for a log without them: in what order did the shop show what it showed?
//!
//! Items of a list are taken to be drawn one after the other in proportion to `exp(b · x)`, x being what is known of
//! each (Plackett–Luce, a logit for every place). Candidates that were not shown are not in the log, so only the order
//! within lists is modelled.

/// Features of an item.
pub const FEATURES: usize = 2;

/// A fitted order.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct OrderModel {
    mean: [f64; FEATURES],
    deviation: [f64; FEATURES],
    /// Of standardised features.
    pub slopes: [f64; FEATURES],
}

/// Weight of the pull of slopes towards 0, as of a standard normal prior: negligible beside some dozens of lists, and
/// it keeps slopes finite where a feature orders all lists perfectly.
const PRIOR: f64 = 1.0;
const MOST_STEPS: usize = 50;

impl OrderModel {
    /// Fits lists whose items stand in the order of their places. Penalised maximum likelihood by Newton's method; the
    /// likelihood is concave. O(steps · items).
    pub fn fit(offsets: &[u32], features: &[[f64; FEATURES]]) -> Self {
        let n = features.len().max(1) as f64;
        let mut mean = [0.0; FEATURES];
        let mut deviation = [1.0; FEATURES];
        for f in 0..FEATURES {
            mean[f] = features.iter().map(|x| x[f]).sum::<f64>() / n;
            let variance = features.iter().map(|x| (x[f] - mean[f]).powi(2)).sum::<f64>() / n;
            deviation[f] = if variance > 0.0 { variance.sqrt() } else { 1.0 };
        }
        let mut model = Self { mean, deviation, slopes: [0.0; FEATURES] };
        let standard: Vec<[f64; FEATURES]> = features.iter().map(|x| model.standard(x)).collect();
        let (mut value, mut gradient, mut curvature) = likelihood(offsets, &standard, [0.0; 2]);
        for _ in 0..MOST_STEPS {
            let [[a, b], [_, c]] = curvature;
            let det = a * c - b * b;
            let step = [
                (c * gradient[0] - b * gradient[1]) / det,
                (a * gradient[1] - b * gradient[0]) / det,
            ];
            let mut size = 1.0;
            let next = loop {
                let slopes = [model.slopes[0] + size * step[0], model.slopes[1] + size * step[1]];
                let next = likelihood(offsets, &standard, slopes);
                if next.0 >= value || size < 1e-6 {
                    model.slopes = slopes;
                    break next;
                }
                size *= 0.5;
            };
            let gained = next.0 - value;
            (value, gradient, curvature) = next;
            if gained.abs() <= 1e-10 * (1.0 + value.abs()) {
                break;
            }
        }
        model
    }

    /// Shares by which the items of one list are drawn; they sum to 1.
    pub fn shares(&self, features: &[[f64; FEATURES]], out: &mut Vec<f64>) {
        out.clear();
        out.extend(features.iter().map(|x| self.score(&self.standard(x))));
        let most = out.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        // No share is nothing: an item that was shown could be.
        out.iter_mut().for_each(|score| *score = (*score - most).max(-60.0).exp());
        let total: f64 = out.iter().sum();
        out.iter_mut().for_each(|share| *share /= total);
    }

    fn standard(&self, x: &[f64; FEATURES]) -> [f64; FEATURES] {
        std::array::from_fn(|f| (x[f] - self.mean[f]) / self.deviation[f])
    }

    fn score(&self, standard: &[f64; FEATURES]) -> f64 {
        (0..FEATURES).map(|f| self.slopes[f] * standard[f]).sum()
    }
}

/// Penalised log likelihood of the slopes, its gradient, and minus its Hessian (symmetric).
fn likelihood(
    offsets: &[u32],
    standard: &[[f64; FEATURES]],
    slopes: [f64; FEATURES],
) -> (f64, [f64; FEATURES], [[f64; FEATURES]; FEATURES]) {
    let dot = |x: &[f64; FEATURES]| slopes[0] * x[0] + slopes[1] * x[1];
    let mut value = -0.5 * PRIOR * (slopes[0].powi(2) + slopes[1].powi(2));
    let mut gradient = slopes.map(|slope| -PRIOR * slope);
    let mut curvature = [[PRIOR, 0.0], [0.0, PRIOR]];
    for list in offsets.windows(2) {
        let items = &standard[list[0] as usize..list[1] as usize];
        let most = items.iter().map(dot).fold(f64::NEG_INFINITY, f64::max);
        let (mut sum, mut first, mut second) = (0.0, [0.0; 2], [0.0; 3]);
        // From the last place upwards: what was left to draw from.
        for x in items.iter().rev() {
            let weight = (dot(x) - most).exp();
            sum += weight;
            (0..2).for_each(|f| first[f] += weight * x[f]);
            second[0] += weight * x[0] * x[0];
            second[1] += weight * x[0] * x[1];
            second[2] += weight * x[1] * x[1];
            if sum <= 0.0 {
                continue;
            }
            value += dot(x) - most - sum.ln();
            let mean = [first[0] / sum, first[1] / sum];
            (0..2).for_each(|f| gradient[f] += x[f] - mean[f]);
            curvature[0][0] += second[0] / sum - mean[0] * mean[0];
            curvature[0][1] += second[1] / sum - mean[0] * mean[1];
            curvature[1][1] += second[2] / sum - mean[1] * mean[1];
        }
    }
    curvature[1][0] = curvature[0][1];
    (value, gradient, curvature)
}

#[cfg(test)]
mod tests {
    use super::*;
    use daogou_nn::Rng;

    #[test]
    fn slopes_of_a_known_order_are_found() {
        let mut rng = Rng::new(3, 0);
        let slopes = [0.8, -0.5];
        let (mut offsets, mut features) = (vec![0u32], Vec::new());
        for _ in 0..3000 {
            let mut left: Vec<[f64; 2]> =
                (0..6).map(|_| [5.0 + 2.0 * rng.normal(), rng.normal()]).collect();
            while !left.is_empty() {
                let weights: Vec<f64> = left
                    .iter()
                    .map(|x| (slopes[0] * x[0] / 2.0 + slopes[1] * x[1]).exp())
                    .collect();
                let mut rest = rng.uniform() * weights.iter().sum::<f64>();
                let chosen = weights.iter().position(|w| {
                    rest -= w;
                    rest < 0.0
                });
                features.push(left.swap_remove(chosen.unwrap_or(left.len() - 1)));
            }
            offsets.push(features.len() as u32);
        }
        let model = OrderModel::fit(&offsets, &features);
        for f in 0..2 {
            assert!((model.slopes[f] - slopes[f]).abs() < 0.05, "{:?}", model.slopes);
        }
        let mut shares = Vec::new();
        model.shares(&[[7.0, 0.0], [5.0, 0.0]], &mut shares);
        assert!((shares[0] / shares[1] - 0.8f64.exp()).abs() < 0.15, "{shares:?}");
    }

    #[test]
    fn a_perfect_order_and_no_order_give_finite_slopes() {
        let features: Vec<[f64; 2]> = (0..60).map(|i| [-f64::from(i % 6), 1.0]).collect();
        let offsets: Vec<u32> = (0..=10).map(|l| 6 * l).collect();
        let model = OrderModel::fit(&offsets, &features);
        assert!(model.slopes[0] > 1.0 && model.slopes[0].is_finite(), "{:?}", model.slopes);
        assert_eq!(model.slopes[1], 0.0, "a feature that never varies says nothing");
        let none = OrderModel::fit(&[0], &[]);
        assert_eq!(none.slopes, [0.0; 2]);
    }
}
