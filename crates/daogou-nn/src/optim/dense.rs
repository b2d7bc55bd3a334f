//! Optimisers of dense parameters, with PyTorch's definitions.

use crate::real::Real;

/// Optimiser of dense parameters. All decay weights decoupled from the gradient: `w ← (1 − lr·decay)·w` first.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum DenseOptimizer {
    /// `b ← momentum·b + g; w ← w − lr·b`.
    Sgd {
        /// 0 for none.
        momentum: f64,
    },
    /// Adam (Kingma & Ba 2015), β = (0.9, 0.999), ε = 1e-8; with decay, AdamW (Loshchilov & Hutter 2019).
    Adam,
    /// `s ← s + g²; w ← w − lr·g/(√s + 1e-10)` (Duchi et al. 2011).
    Adagrad,
}

const BETA1: f64 = 0.9;
const BETA2: f64 = 0.999;

impl DenseOptimizer {
    /// Numbers kept per parameter.
    pub(crate) fn state_per_value(self) -> usize {
        match self {
            Self::Sgd { momentum } => usize::from(momentum != 0.0),
            Self::Adam => 2,
            Self::Adagrad => 1,
        }
    }
}

/// One update, its constants worked out once.
#[derive(Clone, Copy)]
pub(crate) struct DenseStep<T> {
    optimizer: DenseOptimizer,
    rate: T,
    keep: T,
    /// Adam: lr / (1 − β₁ᵗ) and 1 / √(1 − β₂ᵗ).
    corrected: (T, T),
}

impl<T: Real> DenseStep<T> {
    /// `step` counts from 1.
    pub(crate) fn new(optimizer: DenseOptimizer, rate: f64, decay: f64, step: u64) -> Self {
        let power = i32::try_from(step).unwrap_or(i32::MAX);
        let (c1, c2) = (1.0 - BETA1.powi(power), 1.0 - BETA2.powi(power));
        Self {
            optimizer,
            rate: T::of(rate),
            keep: T::of(1.0 - rate * decay),
            corrected: (T::of(rate / c1), T::of(1.0 / c2.sqrt())),
        }
    }

    /// Updates `values` by `grads`, both a range of the parameters; `state` holds the same range of each state vector.
    #[inline(always)]
    pub(crate) fn apply(&self, values: &mut [T], grads: &[T], state: [&mut [T]; 2]) {
        let [first, second] = state;
        let n = values.len();
        let grads = &grads[..n];
        match self.optimizer {
            DenseOptimizer::Sgd { momentum: 0.0 } => {
                for i in 0..n {
                    values[i] = values[i] * self.keep - self.rate * grads[i];
                }
            }
            DenseOptimizer::Sgd { momentum } => {
                let (momentum, velocity) = (T::of(momentum), &mut first[..n]);
                for i in 0..n {
                    velocity[i] = momentum * velocity[i] + grads[i];
                    values[i] = values[i] * self.keep - self.rate * velocity[i];
                }
            }
            DenseOptimizer::Adam => {
                let (m, v) = (&mut first[..n], &mut second[..n]);
                let (b1, b2) = (T::of(BETA1), T::of(BETA2));
                let (rate, inverse) = self.corrected;
                for i in 0..n {
                    let g = grads[i];
                    m[i] = b1 * m[i] + (T::ONE - b1) * g;
                    v[i] = b2 * v[i] + (T::ONE - b2) * g * g;
                    let root = v[i].sqrt() * inverse + T::of(1e-8);
                    values[i] = values[i] * self.keep - rate * m[i] / root;
                }
            }
            DenseOptimizer::Adagrad => {
                let s = &mut first[..n];
                for i in 0..n {
                    s[i] += grads[i] * grads[i];
                    values[i] =
                        values[i] * self.keep - self.rate * grads[i] / (s[i].sqrt() + T::of(1e-10));
                }
            }
        }
    }
}
