//! GradNorm (Chen et al. 2018): gradients whose lengths follow the tasks' speeds of learning.
//!
//! With n_k = ‖g_k‖ on what tasks share and w = K·softmax(v): G_k = w_k·n_k should be Ḡ·r_k^α, where Ḡ is the mean of G
//! and r_k the task's loss over its first one, over the mean of that over tasks. v moves by Adam down the gradient of
//! Σ_k |G_k − Ḡ·r_k^α| with the wanted lengths held fixed, after w has weighed the step. The first loss is the constant
//! predictor's, where output biases start; LibMTL takes the first epoch's mean and learns nothing in that epoch.

use serde::{Deserialize, Serialize};

use super::adam::Adam;
use super::softmax::{softmax, softmax_gradient};
use super::{Method, Needs, Scope, Seen};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct GradNorm {
    alpha: f64,
    rate: f64,
    /// v.
    logits: Vec<f64>,
    adam: Adam,
    /// Memory of one step: w of all tasks, and the gradient of v.
    weights: Vec<f64>,
    slope: Vec<f64>,
}

impl GradNorm {
    pub(super) fn new(tasks: usize, alpha: f64, rate: f64) -> Self {
        let zeros = vec![0.0; tasks];
        Self {
            alpha,
            rate,
            logits: zeros.clone(),
            adam: Adam::new(tasks),
            weights: zeros.clone(),
            slope: zeros,
        }
    }
}

impl Method for GradNorm {
    fn needs(&self, _step: u64) -> Needs {
        Needs::Gradients
    }

    fn scope(&self) -> Scope {
        Scope::Shared
    }

    fn weigh(&mut self, seen: &Seen<'_>, weights: &mut [f64]) {
        let (n, all) = (seen.tasks.len() as f64, self.logits.len() as f64);
        softmax(self.logits.iter().copied(), all, &mut self.weights);
        weights.iter_mut().zip(seen.tasks).for_each(|(weight, task)| *weight = self.weights[*task]);

        let ratio = |k: usize| seen.losses[k] / seen.constants[seen.tasks[k]];
        let mean_ratio = (0..seen.tasks.len()).map(ratio).sum::<f64>() / n;
        let length = |k: usize| weights[k] * seen.gram.norm(k);
        let mean_length = (0..seen.tasks.len()).map(length).sum::<f64>() / n;
        self.slope.fill(0.0);
        for (k, task) in seen.tasks.iter().enumerate() {
            let wanted = mean_length * (ratio(k) / mean_ratio).powf(self.alpha);
            let side = (length(k) - wanted).total_cmp(&0.0) as i8;
            self.slope[*task] = f64::from(side) * seen.gram.norm(k);
        }
        softmax_gradient(&self.weights, all, &mut self.slope);
        self.adam.step(&mut self.logits, &self.slope, self.rate);
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::seen;
    use super::*;

    /// Lengths become those that are wanted, each by its own task's speed.
    #[test]
    fn lengths_follow_speeds() {
        // Orthogonal gradients of length 1, 2 and 4; the first task has learned least.
        let gram = [1.0, 0.0, 0.0, 0.0, 4.0, 0.0, 0.0, 0.0, 16.0];
        let losses: [f64; 3] = [0.9, 0.6, 0.3];
        for alpha in [0.0, 1.0] {
            let mut method = GradNorm::new(3, alpha, 0.01);
            let mut weights = [0.0; 3];
            for _ in 0..3000 {
                method.weigh(&seen(&losses, &gram), &mut weights);
            }
            assert!((weights.iter().sum::<f64>() - 3.0).abs() < 1e-9);
            let lengths = [weights[0], 2.0 * weights[1], 4.0 * weights[2]];
            for k in 1..3 {
                let wanted = (losses[k] / losses[0]).powf(alpha);
                let ratio = lengths[k] / lengths[0];
                assert!((ratio / wanted - 1.0).abs() < 0.1, "alpha {alpha}: {lengths:?}");
            }
        }
    }
}
