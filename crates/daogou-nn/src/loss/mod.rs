//! What a graph learns from. Each loss is a weighted sum over rows; the engine divides by the weight of the whole batch.

mod bce;
mod bce_ordered;
mod bce_product;
mod cross_entropy;
mod escm2;
mod fnw;
mod mse;
mod mse_sigmoid;

pub(crate) use bce::Bce;
pub(crate) use bce_ordered::BceOrdered;
pub(crate) use bce_product::BceProduct;
pub(crate) use cross_entropy::{CrossEntropy, Target};
pub use escm2::Debiasing;
pub(crate) use escm2::Escm2;
pub(crate) use fnw::Fnw;
pub(crate) use mse::Mse;
pub(crate) use mse_sigmoid::MseSigmoid;

use crate::graph::{GradMode, InputId, NodeId};
use crate::kernels::vectorised;
use crate::layers::Pass;
use crate::matrix::MatMut;
use crate::real::Real;

/// A loss summed over rows, in `f64`.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct LossSum {
    /// Σ w · ℓ.
    pub sum: f64,
    /// Σ w; the number of rows where rows have no weights.
    pub weight: f64,
}

impl LossSum {
    /// Σ w · ℓ / Σ w; 0 where nothing was weighed.
    pub fn mean(&self) -> f64 {
        if self.weight > 0.0 { self.sum / self.weight } else { 0.0 }
    }

    /// Adds the rows of another sum.
    pub fn add(&mut self, other: Self) {
        self.sum += other.sum;
        self.weight += other.weight;
    }
}

/// A loss op.
pub(crate) trait Loss<T: Real>: Send + Sync {
    /// The logits it reads, whose gradients it writes in this order.
    fn inputs(&self) -> Vec<NodeId>;
    /// Sums w · ℓ over the micro-batch and, where `scale` is given, hands `scale · w · ∂ℓ/∂logit` to the inputs as
    /// `modes` say.
    fn run(&self, pass: &mut Pass<'_, T>, scale: Option<T>, modes: &[GradMode]) -> LossSum;
}

/// Writes or adds one value of gradient.
#[inline(always)]
fn give_one<T: Real>(mode: GradMode, to: &mut T, value: T) {
    match mode {
        GradMode::Skip => {}
        GradMode::Assign => *to = value,
        GradMode::Add => *to += value,
    }
}

/// Rows computed at a time, so that a column of logits fills a vector register.
const BLOCK: usize = 16;

/// Runs a loss whose logits are single columns: `point(z, label)` gives ℓ and its derivatives at one row.
#[inline(always)]
#[expect(clippy::too_many_arguments, reason = "what six losses differ in")]
fn by_row<T: Real, const N: usize>(
    pass: &Pass<'_, T>,
    logits: [NodeId; N],
    label: InputId,
    weight: Option<InputId>,
    scale: Option<T>,
    modes: &[GradMode],
    mut grads: [MatMut<'_, T>; N],
    point: impl Fn([T; N], T) -> (T, [T; N]),
) -> LossSum {
    let logits = logits.map(|node| pass.value(node));
    let (labels, weights) = (pass.input(label), weight.map(|w| pass.input(w)));
    vectorised(
        #[inline(always)]
        || {
            let mut total = LossSum::default();
            for start in (0..labels.len()).step_by(BLOCK) {
                let n = BLOCK.min(labels.len() - start);
                let mut z = [[T::ZERO; N]; BLOCK];
                let (mut y, mut w) = ([T::ZERO; BLOCK], [T::ZERO; BLOCK]);
                for i in 0..n {
                    z[i] = std::array::from_fn(|k| logits[k].row(start + i)[0]);
                    y[i] = labels[start + i];
                    w[i] = weights.map_or(T::ONE, |w| w[start + i]);
                }
                let (mut loss, mut slope) = ([T::ZERO; BLOCK], [[T::ZERO; N]; BLOCK]);
                for i in 0..BLOCK {
                    (loss[i], slope[i]) = point(z[i], y[i]);
                }
                for i in 0..n {
                    // A row without weight must not count, even where its label is a placeholder.
                    if w[i] != T::ZERO {
                        total.sum += (w[i] * loss[i]).f64();
                        total.weight += w[i].f64();
                    }
                }
                if let Some(scale) = scale {
                    for k in 0..N {
                        for i in 0..n {
                            let g =
                                if w[i] == T::ZERO { T::ZERO } else { scale * w[i] * slope[i][k] };
                            give_one(modes[k], &mut grads[k].row(start + i)[0], g);
                        }
                    }
                }
            }
            total
        },
    )
}
