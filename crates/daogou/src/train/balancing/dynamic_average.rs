//! DWA (Liu, Johns, Davison 2019): tasks that gained less in the last epoch weigh more.
//!
//! w_k = K · softmax_k(r_k / T) with r_k the mean loss of the last epoch over that of the one before; 1 in the first two
//! epochs. For all that learns from a task. Costs nothing, and stays near 1 once losses are flat.

use serde::{Deserialize, Serialize};

use super::softmax::softmax;
use super::{Method, Seen};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct DynamicAverage {
    temperature: f64,
    weights: Vec<f64>,
    /// Mean losses of the epoch before; none before there was one.
    before: Option<Vec<f64>>,
    /// Losses of this epoch, and how many of each.
    sums: Vec<f64>,
    counts: Vec<u64>,
}

impl DynamicAverage {
    pub(super) fn new(tasks: usize, temperature: f64) -> Self {
        Self {
            temperature,
            weights: vec![1.0; tasks],
            before: None,
            sums: vec![0.0; tasks],
            counts: vec![0; tasks],
        }
    }
}

impl Method for DynamicAverage {
    fn weigh(&mut self, seen: &Seen<'_>, weights: &mut [f64]) {
        weights.iter_mut().zip(seen.tasks).for_each(|(weight, task)| *weight = self.weights[*task]);
    }

    fn learn(&mut self, seen: &Seen<'_>) {
        for (task, loss) in seen.tasks.iter().zip(seen.losses) {
            self.sums[*task] += loss;
            self.counts[*task] += 1;
        }
    }

    fn end_epoch(&mut self) {
        let means = self.sums.iter().zip(&self.counts);
        let last: Vec<f64> = means.map(|(sum, n)| sum / (*n).max(1) as f64).collect();
        if let Some(before) = &self.before {
            // A task that had nothing to learn neither gained nor lost.
            let ratio = |(last, before): (&f64, &f64)| {
                if *last > 0.0 && *before > 0.0 { last / before } else { 1.0 }
            };
            let ratios = last.iter().zip(before).map(ratio).map(|r| r / self.temperature);
            softmax(ratios, last.len() as f64, &mut self.weights);
        }
        self.before = Some(last);
        self.sums.fill(0.0);
        self.counts.fill(0);
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::seen;
    use super::*;

    #[test]
    fn the_slower_task_weighs_more_from_the_third_epoch_on() {
        let mut method = DynamicAverage::new(2, 2.0);
        let mut weights = [0.0; 2];
        for losses in [[1.0, 1.0], [0.5, 0.9]] {
            method.weigh(&seen(&losses, &[]), &mut weights);
            assert_eq!(weights, [1.0, 1.0]);
            method.learn(&seen(&losses, &[]));
            method.end_epoch();
        }
        method.weigh(&seen(&[], &[]), &mut weights);
        let (a, b) = ((0.5f64 / 2.0).exp(), (0.9f64 / 2.0).exp());
        assert!((weights[0] - 2.0 * a / (a + b)).abs() < 1e-12, "{weights:?}");
        assert!((weights[0] + weights[1] - 2.0).abs() < 1e-12);
    }
}
