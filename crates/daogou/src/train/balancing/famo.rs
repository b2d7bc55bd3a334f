//! FAMO (Liu, Feng, Stone, Liu 2023): every task's log loss should fall by as much, without looking at gradients.
//!
//! With z = softmax(v) and c = Σ z_k/ℓ_k, a task weighs z_k / (c·ℓ_k), which sums to 1, for all that learns from it. After
//! the step, v moves by Adam down Jᵀδ + γ·v, where δ_k = ln ℓ_k(before) − ln ℓ_k(after) on the same batch and J is the
//! softmax's Jacobian: a task that fell less gains weight. Only ratios of a task's own loss count, so the weights of
//! tasks do not. Costs two forward passes: the weights need ℓ of the whole batch, and δ needs it again.

use serde::{Deserialize, Serialize};

use super::adam::Adam;
use super::softmax::{softmax, softmax_gradient};
use super::{Method, Needs, Seen};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Famo {
    rate: f64,
    decay: f64,
    /// v.
    logits: Vec<f64>,
    adam: Adam,
    /// Memory, of one step: ln ℓ before it, z, and the gradient of v.
    before: Vec<f64>,
    shares: Vec<f64>,
    slope: Vec<f64>,
}

/// As the authors add it, against the logarithm of 0.
const LEAST: f64 = 1e-8;

impl Famo {
    pub(super) fn new(tasks: usize, rate: f64, decay: f64) -> Self {
        let zeros = vec![0.0; tasks];
        Self {
            rate,
            decay,
            logits: zeros.clone(),
            adam: Adam::new(tasks),
            before: zeros.clone(),
            shares: zeros.clone(),
            slope: zeros,
        }
    }
}

impl Method for Famo {
    fn needs(&self, _step: u64) -> Needs {
        Needs::Losses
    }

    fn looks_back(&self) -> bool {
        true
    }

    fn weigh(&mut self, seen: &Seen<'_>, weights: &mut [f64]) {
        softmax(seen.tasks.iter().map(|task| self.logits[*task]), 1.0, weights);
        for ((weight, task), loss) in weights.iter_mut().zip(seen.tasks).zip(seen.losses) {
            self.before[*task] = (loss + LEAST).ln();
            *weight /= loss + LEAST;
        }
        let sum: f64 = weights.iter().sum();
        weights.iter_mut().for_each(|weight| *weight /= sum);
    }

    fn learn(&mut self, seen: &Seen<'_>) {
        let n = seen.tasks.len();
        let (shares, slope) = (&mut self.shares[..n], &mut self.slope[..n]);
        softmax(seen.tasks.iter().map(|task| self.logits[*task]), 1.0, shares);
        for ((slope, task), loss) in slope.iter_mut().zip(seen.tasks).zip(seen.losses) {
            *slope = self.before[*task] - (loss + LEAST).ln();
        }
        softmax_gradient(shares, 1.0, slope);
        // From the tasks that were seen to all; the others only decay. Backwards, since a task's place among those seen is
        // at most its number.
        let mut place = n;
        for task in (0..self.logits.len()).rev() {
            let own = if place > 0 && seen.tasks[place - 1] == task {
                place -= 1;
                self.slope[place]
            } else {
                0.0
            };
            self.slope[task] = own + self.decay * self.logits[task];
        }
        self.adam.step(&mut self.logits, &self.slope, self.rate);
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{seen, seen_of};
    use super::*;

    #[test]
    fn the_slower_task_gains_weight() {
        let mut method = Famo::new(3, 0.025, 0.01);
        let mut weights = [0.0; 3];
        method.weigh(&seen(&[1.0, 1.0, 1.0], &[]), &mut weights);
        weights.iter().for_each(|weight| assert!((weight - 1.0 / 3.0).abs() < 1e-12));
        method.learn(&seen(&[0.5, 0.99, 0.8], &[]));
        method.weigh(&seen(&[1.0, 1.0, 1.0], &[]), &mut weights);
        assert!(weights[1] > weights[2] && weights[2] > weights[0], "{weights:?}");
        assert!((weights.iter().sum::<f64>() - 1.0).abs() < 1e-12);
    }

    #[test]
    fn a_task_that_was_not_seen_is_left_alone() {
        let mut method = Famo::new(3, 0.025, 0.0);
        let mut weights = [0.0; 2];
        method.weigh(&seen_of(&[0, 2], &[1.0, 1.0], &[]), &mut weights);
        method.learn(&seen_of(&[0, 2], &[0.5, 0.9], &[]));
        assert!(method.logits[0] < 0.0 && method.logits[2] > 0.0, "{:?}", method.logits);
        assert_eq!(method.logits[1], 0.0);
    }
}
