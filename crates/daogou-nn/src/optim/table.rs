//! Optimisers of embedding tables. They see only rows a batch touched, each with the sum of its gradients.

use crate::kernels;
use crate::real::Real;

/// Optimiser of embedding tables.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TableOptimizer {
    /// One accumulator per row, updated before use: `s ← s + mean(g²); w ← w − lr·g/(√s + 1e-10)`.
    RowwiseAdagrad,
    /// Adam whose moments and step count advance only when the row is touched.
    LazyAdam,
    /// `w ← w − lr·g`.
    Sgd,
}

const BETA1: f64 = 0.9;
const BETA2: f64 = 0.999;

impl TableOptimizer {
    /// Numbers kept per row of `dim` values. Lazy Adam: both moments and the row's step count.
    pub(crate) fn state_per_row(self, dim: usize) -> usize {
        match self {
            Self::RowwiseAdagrad => 1,
            Self::LazyAdam => 2 * dim + 1,
            Self::Sgd => 0,
        }
    }
}

/// One update of rows.
#[derive(Clone, Copy)]
pub(crate) struct TableStep<T> {
    pub(crate) optimizer: TableOptimizer,
    pub(crate) rate: T,
    /// 1 − lr · weight decay, for touched rows.
    pub(crate) keep: T,
}

impl<T: Real> TableStep<T> {
    /// Updates one row by its summed gradient. Returns whether the gradient is finite.
    #[inline(always)]
    pub(crate) fn apply(&self, values: &mut [T], state: &mut [T], grad: &[T]) -> bool {
        let dim = values.len();
        let grad = &grad[..dim];
        let square = kernels::dot(grad, grad);
        match self.optimizer {
            TableOptimizer::RowwiseAdagrad => {
                let s = state[0] + square * T::of(1.0 / dim as f64);
                state[0] = s;
                let rate = self.rate / (s.sqrt() + T::of(1e-10));
                for i in 0..dim {
                    values[i] = values[i] * self.keep - rate * grad[i];
                }
            }
            TableOptimizer::LazyAdam => {
                let (m, rest) = state.split_at_mut(dim);
                let (v, count) = rest.split_at_mut(dim);
                count[0] += T::ONE;
                let step = count[0].f64() as i32;
                let rate = T::of(self.rate.f64() / (1.0 - BETA1.powi(step)));
                let inverse = T::of(1.0 / (1.0 - BETA2.powi(step)).sqrt());
                let (b1, b2) = (T::of(BETA1), T::of(BETA2));
                for i in 0..dim {
                    let g = grad[i];
                    m[i] = b1 * m[i] + (T::ONE - b1) * g;
                    v[i] = b2 * v[i] + (T::ONE - b2) * g * g;
                    values[i] =
                        values[i] * self.keep - rate * m[i] / (v[i].sqrt() * inverse + T::of(1e-8));
                }
            }
            TableOptimizer::Sgd => {
                for i in 0..dim {
                    values[i] = values[i] * self.keep - self.rate * grad[i];
                }
            }
        }
        square.is_finite()
    }
}
