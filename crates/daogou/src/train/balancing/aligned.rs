//! Aligned-MTL (Senushkin et al. 2023): gradients made orthogonal and of one length, then added.
//!
//! With M = V Λ Vᵀ the products of gradients, the aligned ones are G·B, B = √λ_min · V Λ^{−½} Vᵀ: the nearest set of
//! gradients with condition number 1, as long as the weakest direction of the original ones. The weights are B's row sums.
//! Directions below a millionth of the strongest are noise of `f32` and left out.

use serde::{Deserialize, Serialize};

use super::eigen::Eigen;
use super::{Method, Needs, Scope, Seen};

/// Least eigenvalue, as a share of the largest.
const LEAST: f64 = 1e-6;

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Aligned {
    #[serde(skip)]
    eigen: Eigen,
}

impl Aligned {
    /// `B[i, k]` after [`Eigen::run`], and the numbers of the directions kept.
    fn balance(&self, n: usize, i: usize, k: usize) -> f64 {
        let largest = (0..n).map(|l| self.eigen.value(l)).fold(0.0, f64::max);
        let kept = |l: &usize| self.eigen.value(*l) > LEAST * largest;
        let smallest = (0..n).filter(kept).map(|l| self.eigen.value(l)).fold(largest, f64::min);
        let directions = (0..n).filter(kept).map(|l| {
            (smallest / self.eigen.value(l)).sqrt()
                * self.eigen.vector(l, i)
                * self.eigen.vector(l, k)
        });
        directions.sum()
    }
}

impl Method for Aligned {
    fn needs(&self, _step: u64) -> Needs {
        Needs::Gradients
    }

    fn scope(&self) -> Scope {
        Scope::Shared
    }

    fn weigh(&mut self, seen: &Seen<'_>, weights: &mut [f64]) {
        let n = seen.tasks.len();
        self.eigen.run(n, |i, j| seen.gram.at(i, j));
        for (i, weight) in weights.iter_mut().enumerate() {
            *weight = (0..n).map(|k| self.balance(n, i, k)).sum();
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::tests::{gradients, gram_of};
    use super::*;

    proptest! {
        /// BᵀMB is a multiple of the identity.
        #[test]
        fn aligned_gradients_have_condition_number_1(g in gradients(3, 5)) {
            let rows: Vec<&[f64]> = g.iter().map(Vec::as_slice).collect();
            let values = gram_of(&rows);
            let mut method = Aligned::default();
            method.eigen.run(3, |i, j| values[3 * i + j]);
            let eigen: Vec<f64> = (0..3).map(|l| method.eigen.value(l)).collect();
            let (smallest, largest) =
                eigen.iter().fold((f64::INFINITY, 0f64), |(s, l), v| (s.min(*v), l.max(*v)));
            prop_assume!(smallest > 1e-4 * largest);
            let b = |i: usize, k: usize| method.balance(3, i, k);
            for k in 0..3 {
                for l in 0..3 {
                    let product: f64 = (0..9)
                        .map(|place| (place / 3, place % 3))
                        .map(|(i, j)| b(i, k) * values[3 * i + j] * b(j, l))
                        .sum();
                    let wanted = if k == l { smallest } else { 0.0 };
                    prop_assert!((product - wanted).abs() < 1e-8 * largest, "{product} {wanted}");
                }
            }
        }
    }
}
