//! UW (Kendall, Gal, Cipolla 2018): a learned uncertainty per task.
//!
//! Minimises Σ ℓ_k / (2e^{s_k}) + s_k / 2 over network and s together, so a task weighs 1 / (2e^{s_k}), for all that
//! learns from it. Starts at s = −0.5, moves by Adam and stays within ±4, as in LibMTL. Costs nothing.

use serde::{Deserialize, Serialize};

use super::adam::Adam;
use super::{Method, Seen};

const START: f64 = -0.5;
const BOUND: f64 = 4.0;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Uncertainty {
    rate: f64,
    /// s_k.
    logs: Vec<f64>,
    adam: Adam,
    /// Memory for a gradient.
    slope: Vec<f64>,
}

impl Uncertainty {
    pub(super) fn new(tasks: usize, rate: f64) -> Self {
        Self { rate, logs: vec![START; tasks], adam: Adam::new(tasks), slope: vec![0.0; tasks] }
    }
}

impl Method for Uncertainty {
    fn weigh(&mut self, seen: &Seen<'_>, weights: &mut [f64]) {
        for (weight, task) in weights.iter_mut().zip(seen.tasks) {
            *weight = 0.5 * (-self.logs[*task]).exp();
        }
    }

    fn learn(&mut self, seen: &Seen<'_>) {
        self.slope.fill(0.0);
        for (task, loss) in seen.tasks.iter().zip(seen.losses) {
            self.slope[*task] = 0.5 - 0.5 * loss * (-self.logs[*task]).exp();
        }
        self.adam.step(&mut self.logs, &self.slope, self.rate);
        self.logs.iter_mut().for_each(|s| *s = s.clamp(-BOUND, BOUND));
    }
}
