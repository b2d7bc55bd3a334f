//! IMTL-G (Liu et al. 2021): the direction d = Σ w_k g_k with the same projection ⟨d, g_k⟩ / ‖g_k‖ on every gradient.
//!
//! With Σ w = 1, u_k = g_k/‖g_k‖ and i, j from 2: Σ_i w_i ⟨g_1 − g_i, u_1 − u_j⟩ = ⟨g_1, u_1 − u_j⟩. Weights may be negative.
//! Of gradients that point the same way, which the equations cannot tell apart, one gets the weight of all. The other half
//! of the paper, which brings losses to one scale, has been done by their constant predictors.

use super::equations::Equations;
use super::{Method, Needs, Scope, Seen};
use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Imtl {
    #[serde(skip)]
    equations: Equations,
}

impl Method for Imtl {
    fn needs(&self, _step: u64) -> Needs {
        Needs::Gradients
    }

    fn scope(&self) -> Scope {
        Scope::Shared
    }

    fn weigh(&mut self, seen: &Seen<'_>, weights: &mut [f64]) {
        let (gram, n) = (seen.gram, seen.tasks.len());
        // ⟨g_i, u_1 − u_j⟩.
        let along =
            |i: usize, j: usize| gram.at(i, 0) / gram.norm(0) - gram.at(i, j) / gram.norm(j);
        self.equations.start(n - 1);
        for j in 1..n {
            let row = self.equations.row(j - 1);
            for i in 1..n {
                row[i - 1] = along(0, j) - along(i, j);
            }
            row[n - 1] = along(0, j);
        }
        let (first, others) = weights.split_first_mut().expect("at least one task");
        self.equations.solve(others);
        *first = 1.0 - others.iter().sum::<f64>();
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::Gram;
    use super::super::tests::{gradients, gram_of, seen};
    use super::*;

    proptest! {
        #[test]
        fn projections_are_equal(g in gradients(3, 6)) {
            let rows: Vec<&[f64]> = g.iter().map(Vec::as_slice).collect();
            let values = gram_of(&rows);
            let gram = Gram::new(&values, 3);
            let mut weights = [0.0; 3];
            Imtl::default().weigh(&seen(&[1.0; 3], &values), &mut weights);
            prop_assert!((weights.iter().sum::<f64>() - 1.0).abs() < 1e-9);
            let projection = |k: usize| gram.along(k, &weights) / gram.norm(k);
            let size: f64 = weights.iter().map(|w| w.abs()).sum::<f64>() * gram.largest().sqrt();
            for k in 1..3 {
                prop_assert!((projection(k) - projection(0)).abs() < 1e-7 * size);
            }
        }
    }
}
