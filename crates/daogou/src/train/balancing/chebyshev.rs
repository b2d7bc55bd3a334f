//! STCH (Lin et al. 2024): smooth Chebyshev scalarisation, a soft maximum over tasks.
//!
//! Minimises μ·K·ln Σ_k (ℓ_k / ℓ_k^nadir)^{1/μ}, so a task weighs K·softmax_k(ln(ℓ_k / ℓ_k^nadir) / μ) / ℓ_k, for all that
//! learns from it. During the warm-up it minimises Σ ln ℓ_k; ℓ^nadir are the mean losses of the warm-up's last epoch, or
//! the constant predictors' without one. Only ratios of a task's own loss count, so the weights of tasks do not. Reaches
//! points of a trade-off that no fixed weights reach. Costs a forward pass: ℓ_k is of the whole batch.

use serde::{Deserialize, Serialize};

use super::softmax::softmax;
use super::{Method, Needs, Seen};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Chebyshev {
    mu: f64,
    /// Epochs of warm-up left.
    warmup: usize,
    nadir: Vec<f64>,
    sums: Vec<f64>,
    counts: Vec<u64>,
}

impl Chebyshev {
    pub(super) fn new(constants: &[f64], mu: f64, warmup: usize) -> Self {
        let n = constants.len();
        Self { mu, warmup, nadir: constants.to_vec(), sums: vec![0.0; n], counts: vec![0; n] }
    }
}

/// As LibMTL adds it, against the logarithm of 0.
const LEAST: f64 = 1e-20;

impl Method for Chebyshev {
    fn needs(&self, _step: u64) -> Needs {
        Needs::Losses
    }

    fn weigh(&mut self, seen: &Seen<'_>, weights: &mut [f64]) {
        if self.warmup > 0 {
            weights.fill(1.0);
        } else {
            let ratios = seen.tasks.iter().zip(seen.losses).map(|(task, loss)| {
                (loss.max(LEAST) / self.nadir[*task].max(LEAST)).ln() / self.mu
            });
            softmax(ratios, seen.tasks.len() as f64, weights);
        }
        weights.iter_mut().zip(seen.losses).for_each(|(weight, loss)| *weight /= loss.max(LEAST));
    }

    fn learn(&mut self, seen: &Seen<'_>) {
        if self.warmup > 0 {
            for (task, loss) in seen.tasks.iter().zip(seen.losses) {
                self.sums[*task] += loss;
                self.counts[*task] += 1;
            }
        }
    }

    fn end_epoch(&mut self) {
        if self.warmup == 0 {
            return;
        }
        self.warmup -= 1;
        if self.warmup == 0 {
            for (nadir, (sum, n)) in self.nadir.iter_mut().zip(self.sums.iter().zip(&self.counts)) {
                if *n > 0 && *sum > 0.0 {
                    *nadir = sum / *n as f64;
                }
            }
        }
        self.sums.fill(0.0);
        self.counts.fill(0);
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::seen;
    use super::*;

    /// Weights are the derivatives of what is minimised.
    #[test]
    fn weights_are_derivatives() {
        let (nadir, mu) = ([0.8, 0.5, 1.1], 0.3);
        let value = |losses: &[f64]| {
            let sum: f64 = losses.iter().zip(nadir).map(|(l, n)| (l / n).powf(1.0 / mu)).sum();
            mu * 3.0 * sum.ln()
        };
        let losses = [0.6, 0.5, 0.7];
        let mut weights = [0.0; 3];
        Chebyshev::new(&nadir, mu, 0).weigh(&seen(&losses, &[]), &mut weights);
        for (k, weight) in weights.iter().enumerate() {
            let at = |delta: f64| {
                let mut losses = losses;
                losses[k] += delta;
                value(&losses)
            };
            let slope = (at(1e-6) - at(-1e-6)) / 2e-6;
            assert!((weight - slope).abs() < 1e-6, "task {k}: {weight}, expected {slope}");
        }
    }

    #[test]
    fn the_warm_ups_last_epoch_is_the_measure() {
        let mut method = Chebyshev::new(&[1.0, 1.0], 1.0, 2);
        let mut weights = [0.0; 2];
        for losses in [[9.0, 9.0], [0.5, 2.0]] {
            method.weigh(&seen(&losses, &[]), &mut weights);
            assert_eq!(weights, [1.0 / losses[0], 1.0 / losses[1]]);
            method.learn(&seen(&losses, &[]));
            method.end_epoch();
        }
        assert_eq!(method.nadir, [0.5, 2.0]);
        method.weigh(&seen(&[0.5, 2.0], &[]), &mut weights);
        assert!((weights[0] - 2.0).abs() < 1e-12 && (weights[1] - 0.5).abs() < 1e-12);
    }
}
