//! MGDA (Désidéri 2012; Sener and Koltun 2018): the shortest mean of the gradients.
//!
//! min over the simplex of ‖Σ w_k g_k‖². Every task falls along it, by the same amount where its weight is above 0. Tasks of
//! small gradients count most, unless gradients are divided by their lengths or losses first.

use serde::{Deserialize, Serialize};

use super::simplex::Simplex;
use super::{Gram, Method, Needs, Scope, Seen};
use crate::schema::GradientScale;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Mgda {
    divide_by: GradientScale,
    /// Memory: products of divided gradients, and zeros.
    #[serde(skip)]
    gram: Vec<f64>,
    #[serde(skip)]
    zeros: Vec<f64>,
    #[serde(skip)]
    simplex: Simplex,
}

impl Mgda {
    pub(super) fn new(divide_by: GradientScale) -> Self {
        Self { divide_by, gram: Vec::new(), zeros: Vec::new(), simplex: Simplex::default() }
    }
}

impl Method for Mgda {
    fn needs(&self, _step: u64) -> Needs {
        Needs::Gradients
    }

    fn scope(&self) -> Scope {
        Scope::Shared
    }

    fn weigh(&mut self, seen: &Seen<'_>, weights: &mut [f64]) {
        let n = seen.tasks.len();
        let scale = |k: usize| match self.divide_by {
            GradientScale::None => 1.0,
            GradientScale::Norm => seen.gram.norm(k),
            GradientScale::Loss => seen.losses[k].max(1e-12),
        };
        self.gram.clear();
        self.gram.extend((0..n * n).map(|place| {
            let (i, j) = (place / n, place % n);
            seen.gram.at(i, j) / (scale(i) * scale(j))
        }));
        self.zeros.resize(n, 0.0);
        let gram = Gram::new(&self.gram, n);
        self.simplex.minimise(gram, &self.zeros[..n], 1.0, weights);
        weights.iter_mut().enumerate().for_each(|(k, weight)| *weight /= scale(k));
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::tests::{gradients, gram_of, seen};
    use super::*;

    #[test]
    fn two_tasks_have_a_formula() {
        for (a, b) in
            [([1.0, 0.0], [-1.0, 2.0]), ([1.0, 0.0], [3.0, 1.0]), ([2.0, 1.0], [0.5, 0.3])]
        {
            let values = gram_of(&[&a, &b]);
            let gram = Gram::new(&values, 2);
            let mut weights = [0.0; 2];
            Mgda::new(GradientScale::None).weigh(&seen(&[1.0; 2], &values), &mut weights);
            let apart = gram.at(0, 0) - 2.0 * gram.at(0, 1) + gram.at(1, 1);
            let first = ((gram.at(1, 1) - gram.at(0, 1)) / apart).clamp(0.0, 1.0);
            assert!((weights[0] - first).abs() < 1e-9, "{weights:?}, expected {first}");
        }
    }

    proptest! {
        /// The direction is no longer than any gradient, and every task falls along it by its square at least.
        #[test]
        fn it_is_the_shortest(g in gradients(4, 5)) {
            let rows: Vec<&[f64]> = g.iter().map(Vec::as_slice).collect();
            let values = gram_of(&rows);
            let gram = Gram::new(&values, 4);
            let mut weights = [0.0; 4];
            Mgda::new(GradientScale::None).weigh(&seen(&[1.0; 4], &values), &mut weights);
            prop_assert!(weights.iter().all(|weight| *weight >= 0.0));
            prop_assert!((weights.iter().sum::<f64>() - 1.0).abs() < 1e-9);
            let square = gram.square(&weights);
            for k in 0..4 {
                prop_assert!(square <= gram.at(k, k) * (1.0 + 1e-9));
                prop_assert!(gram.along(k, &weights) >= square - 1e-6 * gram.largest());
            }
        }
    }

    #[test]
    fn gradients_of_any_length_count_alike_when_divided_by_it() {
        let gram = gram_of(&[&[1.0, 0.0], &[0.0, 100.0]]);
        let mut weights = [0.0; 2];
        Mgda::new(GradientScale::Norm).weigh(&seen(&[1.0; 2], &gram), &mut weights);
        assert!((weights[0] - 0.5).abs() < 1e-9 && (weights[1] - 0.005).abs() < 1e-9);
    }
}
