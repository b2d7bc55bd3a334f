//! Nash-MTL (Navon et al. 2022): what tasks would agree on, each gaining in proportion to its gradient.
//!
//! Weights w > 0 with M w = 1/w, M being the products of gradients over their Frobenius norm: the minimum of
//! ½ wᵀMw − Σ ln w_k. That is self-concordant, so Newton's method with steps of 1/(1 + λ), λ its decrement, reaches the
//! solution from anywhere and needs no line search. 1e-10 on the diagonal bounds weights where gradients cancel out.
//! Weights hold for `update_every` steps.

use serde::{Deserialize, Serialize};

use super::equations::Equations;
use super::{Method, Needs, Scope, Seen};

/// Steps of Newton's method at most; 5 to 20 are the rule.
const STEPS: usize = 200;

const RIDGE: f64 = 1e-10;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Nash {
    update_every: u64,
    /// The last solution, of all tasks.
    weights: Vec<f64>,
    #[serde(skip)]
    equations: Equations,
    /// Memory for a step of Newton's.
    #[serde(skip)]
    newton: Vec<f64>,
}

impl Nash {
    pub(super) fn new(tasks: usize, update_every: u64) -> Self {
        Self {
            update_every,
            weights: vec![1.0; tasks],
            equations: Equations::default(),
            newton: Vec::new(),
        }
    }
}

impl Method for Nash {
    fn needs(&self, step: u64) -> Needs {
        // Steps count from 1.
        if (step - 1).is_multiple_of(self.update_every) { Needs::Gradients } else { Needs::Nothing }
    }

    fn scope(&self) -> Scope {
        Scope::Shared
    }

    fn weigh(&mut self, seen: &Seen<'_>, weights: &mut [f64]) {
        weights.iter_mut().zip(seen.tasks).for_each(|(weight, task)| *weight = self.weights[*task]);
        if self.needs(seen.step) == Needs::Nothing {
            return;
        }
        let (gram, n) = (seen.gram, seen.tasks.len());
        let pairs = (0..n).flat_map(|i| (0..n).map(move |j| (i, j)));
        let frobenius = pairs.map(|(i, j)| gram.at(i, j).powi(2)).sum::<f64>().sqrt();
        let at = |i: usize, j: usize| gram.at(i, j) / frobenius + if i == j { RIDGE } else { 0.0 };
        self.newton.resize(n, 0.0);
        for _ in 0..STEPS {
            self.equations.start(n);
            for i in 0..n {
                let along: f64 = (0..n).map(|j| at(i, j) * weights[j]).sum();
                let row = self.equations.row(i);
                (0..n).for_each(|j| row[j] = at(i, j));
                row[i] += weights[i].powi(-2);
                row[n] = along - 1.0 / weights[i];
            }
            self.equations.solve(&mut self.newton[..n]);
            // λ² = pᵀ(M + diag w⁻²)p.
            let step = &self.newton[..n];
            let decrement = (0..n)
                .map(|i| {
                    let along: f64 = (0..n).map(|j| at(i, j) * step[j]).sum();
                    step[i] * (along + step[i] * weights[i].powi(-2))
                })
                .sum::<f64>()
                .max(0.0)
                .sqrt();
            let size = if decrement > 0.25 { 1.0 / (1.0 + decrement) } else { 1.0 };
            weights.iter_mut().zip(step).for_each(|(weight, step)| *weight -= size * step);
            if decrement < 1e-11 {
                break;
            }
        }
        seen.tasks.iter().zip(&*weights).for_each(|(task, weight)| self.weights[*task] = *weight);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::tests::{gradients, gram_of, seen};
    use super::*;

    proptest! {
        #[test]
        fn every_task_gains_alike(g in gradients(4, 5), first in prop::collection::vec(0.01f64..100.0, 4)) {
            let rows: Vec<&[f64]> = g.iter().map(Vec::as_slice).collect();
            let values = gram_of(&rows);
            let frobenius = values.iter().map(|v| v * v).sum::<f64>().sqrt();
            let mut method = Nash::new(4, 1);
            method.weights.copy_from_slice(&first);
            let mut weights = [0.0; 4];
            method.weigh(&seen(&[1.0; 4], &values), &mut weights);
            for i in 0..4 {
                let along: f64 = (0..4).map(|j| values[4 * i + j] / frobenius * weights[j]).sum();
                prop_assert!(weights[i] > 0.0);
                // The ridge alone is w·1e-10.
                let residual = (along - 1.0 / weights[i]).abs() - 1.1e-10 * weights[i];
                prop_assert!(residual < 1e-8, "{weights:?}: {residual}");
            }
        }
    }

    #[test]
    fn opposite_gradients_cancel_out() {
        let mut weights = [0.0; 2];
        Nash::new(2, 1).weigh(&seen(&[1.0; 2], &gram_of(&[&[1.0], &[-2.0]])), &mut weights);
        assert!((weights[0] / weights[1] - 2.0).abs() < 1e-3, "{weights:?}");
    }

    #[test]
    fn between_solutions_the_last_one_holds() {
        let mut method = Nash::new(2, 3);
        let gram = gram_of(&[&[1.0, 0.0], &[0.3, 2.0]]);
        let (mut first, mut second) = ([0.0; 2], [0.0; 2]);
        assert_eq!(method.needs(1), Needs::Gradients);
        method.weigh(&seen(&[1.0; 2], &gram), &mut first);
        assert_eq!((method.needs(2), method.needs(3)), (Needs::Nothing, Needs::Nothing));
        let mut later = seen(&[], &[]);
        later.step = 2;
        method.weigh(&later, &mut second);
        assert_eq!(first, second);
        assert_eq!(method.needs(4), Needs::Gradients);
    }
}
