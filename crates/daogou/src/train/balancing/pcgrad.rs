//! PCGrad (Yu et al. 2020): each gradient without what conflicts with another.
//!
//! For each task i and every other j in random order: where ⟨g_i, g_j⟩ < 0, take from g_i its projection on the original
//! g_j. The direction is the sum. Without conflict it is the sum of the gradients. Orders are a function of seed and step.

use daogou_nn::rng::{Rng, hash, mix};
use serde::{Deserialize, Serialize};

use super::{Method, Needs, Scope, Seen};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct PcGrad {
    seed: u64,
    /// Memory: an order of tasks, and what g_i became, as weights of the originals.
    order: Vec<usize>,
    mixed: Vec<f64>,
}

impl PcGrad {
    pub(super) fn new(seed: u64) -> Self {
        Self { seed, order: Vec::new(), mixed: Vec::new() }
    }
}

impl Method for PcGrad {
    fn needs(&self, _step: u64) -> Needs {
        Needs::Gradients
    }

    fn scope(&self) -> Scope {
        Scope::Shared
    }

    fn weigh(&mut self, seen: &Seen<'_>, weights: &mut [f64]) {
        let (gram, n) = (seen.gram, seen.tasks.len());
        let mut rng = Rng::new(self.seed, mix(hash("PCGrad") ^ seen.step));
        weights.fill(0.0);
        for i in 0..n {
            self.order.clear();
            self.order.extend((0..n).filter(|j| *j != i));
            rng.shuffle(&mut self.order);
            self.mixed.clear();
            self.mixed.extend((0..n).map(|k| f64::from(u8::from(k == i))));
            for &j in &self.order {
                let product = gram.along(j, &self.mixed);
                if product < 0.0 {
                    self.mixed[j] -= product / gram.at(j, j);
                }
            }
            weights.iter_mut().zip(&self.mixed).for_each(|(weight, part)| *weight += part);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{gram_of, seen};
    use super::*;

    #[test]
    fn without_conflict_it_is_the_sum() {
        let gram = gram_of(&[&[1.0, 0.0, 0.2], &[0.3, 2.0, 0.0], &[0.0, 0.0, 1.0]]);
        let mut weights = [0.0; 3];
        PcGrad::new(1).weigh(&seen(&[1.0; 3], &gram), &mut weights);
        assert_eq!(weights, [1.0; 3]);
    }

    #[test]
    fn two_conflicting_gradients_lose_their_projections() {
        let (a, b) = ([1.0, 0.0], [-1.0, 2.0]);
        let mut weights = [0.0; 2];
        PcGrad::new(1).weigh(&seen(&[1.0; 2], &gram_of(&[&a, &b])), &mut weights);
        // a − (a·b/‖b‖²) b + b − (a·b/‖a‖²) a, with a·b = −1.
        assert!((weights[0] - 2.0).abs() < 1e-12 && (weights[1] - 1.2).abs() < 1e-12);
    }
}
