//! CAGrad (Liu et al. 2021): near the mean gradient, the direction that is best for the task it serves least.
//!
//! Maximises min_k ⟨g_k, d⟩ over ‖d − g_0‖ ≤ c·‖g_0‖ with g_0 the mean gradient. By its dual, with w on the simplex and
//! g_w = Σ w_k g_k: minimise ⟨g_w, g_0⟩ + c‖g_0‖·‖g_w‖; then d = g_0 + c‖g_0‖·g_w / ‖g_w‖, divided by 1 + c² as in the
//! authors' code. With c = 0 it is the mean gradient.

use serde::{Deserialize, Serialize};

use super::simplex::Simplex;
use super::{Method, Needs, Scope, Seen};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct CaGrad {
    c: f64,
    /// Memory: ⟨g_k, g_0⟩.
    #[serde(skip)]
    along_mean: Vec<f64>,
    #[serde(skip)]
    simplex: Simplex,
}

impl CaGrad {
    pub(super) fn new(c: f64) -> Self {
        Self { c, along_mean: Vec::new(), simplex: Simplex::default() }
    }
}

impl Method for CaGrad {
    fn needs(&self, _step: u64) -> Needs {
        Needs::Gradients
    }

    fn scope(&self) -> Scope {
        Scope::Shared
    }

    fn weigh(&mut self, seen: &Seen<'_>, weights: &mut [f64]) {
        let (gram, n) = (seen.gram, seen.tasks.len());
        let even = 1.0 / n as f64;
        weights.fill(even);
        self.along_mean.clear();
        self.along_mean.extend((0..n).map(|k| gram.along(k, weights)));
        let radius = self.c * gram.square(weights).sqrt();
        self.simplex.minimise(gram, &self.along_mean, radius, weights);
        let square = gram.square(weights);
        // Where all gradients cancel out there is no direction to lean to.
        let lean = if square > 1e-24 * gram.largest() { radius / square.sqrt() } else { 0.0 };
        let rescale = 1.0 / (1.0 + self.c * self.c);
        weights.iter_mut().for_each(|weight| *weight = (even + lean * *weight) * rescale);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::Gram;
    use super::super::tests::{gradients, gram_of, seen};
    use super::*;

    #[test]
    fn without_room_it_is_the_mean() {
        let gram = gram_of(&[&[1.0, 0.0], &[-3.0, 2.0], &[0.5, 0.5]]);
        let mut weights = [0.0; 3];
        CaGrad::new(0.0).weigh(&seen(&[1.0; 3], &gram), &mut weights);
        weights.iter().for_each(|weight| assert!((weight - 1.0 / 3.0).abs() < 1e-12));
    }

    proptest! {
        /// The direction stays in the ball, and no random direction of the ball serves the worst task better.
        #[test]
        fn the_worst_served_task_is_served_best(
            g in gradients(3, 3),
            others in prop::collection::vec(prop::collection::vec(-1.0f64..1.0, 3), 50),
        ) {
            let c = 0.4;
            let rows: Vec<&[f64]> = g.iter().map(Vec::as_slice).collect();
            let values = gram_of(&rows);
            let gram = Gram::new(&values, 3);
            let mut weights = [0.0; 3];
            CaGrad::new(c).weigh(&seen(&[1.0; 3], &values), &mut weights);
            weights.iter_mut().for_each(|weight| *weight *= 1.0 + c * c);
            let worst = |w: &[f64]| (0..3).map(|k| gram.along(k, w)).fold(f64::INFINITY, f64::min);
            let radius = c * gram.square(&[1.0 / 3.0; 3]).sqrt();
            let from_mean = |w: &[f64]| {
                let away: Vec<f64> = w.iter().map(|w| w - 1.0 / 3.0).collect();
                gram.square(&away).sqrt()
            };
            prop_assert!(from_mean(&weights) <= radius * (1.0 + 1e-6) + 1e-9);
            let best = worst(&weights);
            for other in others {
                let length = gram.square(&other).sqrt();
                if length > 1e-9 {
                    let other: Vec<f64> =
                        other.iter().map(|w| 1.0 / 3.0 + w * radius / length).collect();
                    prop_assert!(worst(&other) <= best + 1e-6 * (1.0 + best.abs()));
                }
            }
        }
    }
}
