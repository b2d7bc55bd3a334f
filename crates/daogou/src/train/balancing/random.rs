//! RLW (Lin et al. 2022): random weights in every step.
//!
//! w = softmax of K standard normal numbers, a function of seed and step. For all that learns from a task. Costs nothing;
//! what does no better has found nothing.

use daogou_nn::rng::{Rng, hash, mix};
use serde::{Deserialize, Serialize};

use super::softmax::softmax;
use super::{Method, Seen};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Random {
    seed: u64,
    /// Memory for the draws.
    draws: Vec<f64>,
}

impl Random {
    pub(super) fn new(tasks: usize, seed: u64) -> Self {
        Self { seed, draws: vec![0.0; tasks] }
    }
}

impl Method for Random {
    fn weigh(&mut self, seen: &Seen<'_>, weights: &mut [f64]) {
        let mut rng = Rng::new(self.seed, mix(hash("RLW") ^ seen.step));
        self.draws.iter_mut().for_each(|draw| *draw = rng.normal());
        softmax(seen.tasks.iter().map(|task| self.draws[*task]), 1.0, weights);
    }
}
