//! Cross-entropy of a softmax: ℓ = (Σ t)·ln Σ e^z − Σ t·z, ∂ℓ/∂z = (Σ t)·softmax(z) − t.

use super::{Loss, LossSum};
use crate::graph::{GradMode, InputId, NodeId};
use crate::kernels::{self, vectorised};
use crate::layers::{Pass, give};
use crate::real::Real;

/// What the softmax is compared with.
pub(crate) enum Target {
    /// A share per class; a row of zeros costs nothing.
    Shares(InputId),
    /// The number of one class per row; a negative one costs nothing.
    Class(InputId),
}

pub(crate) struct CrossEntropy {
    pub(crate) logits: NodeId,
    pub(crate) target: Target,
    pub(crate) weight: Option<InputId>,
}

impl<T: Real> Loss<T> for CrossEntropy {
    fn inputs(&self) -> Vec<NodeId> {
        vec![self.logits]
    }
    fn run(&self, pass: &mut Pass<'_, T>, scale: Option<T>, modes: &[GradMode]) -> LossSum {
        let (z, mut dz) = (pass.value(self.logits), pass.grad_mut(self.logits));
        let weights = self.weight.map(|w| pass.input(w));
        let target = match self.target {
            Target::Shares(input) | Target::Class(input) => pass.input(input),
        };
        let softmax = pass.loss_row(kernels::whole(z.cols));
        vectorised(
            #[inline(always)]
            || {
                let mut total = LossSum::default();
                for i in 0..z.rows {
                    let w = weights.map_or(T::ONE, |w| w[i]);
                    let z = z.row(i);
                    let lse = kernels::softmax(z, softmax);
                    match self.target {
                        Target::Shares(_) => {
                            let t = &target[i * z.len()..(i + 1) * z.len()];
                            let mass = kernels::sum(t);
                            if w != T::ZERO {
                                total.sum += (w * (mass * lse - kernels::dot(t, z))).f64();
                            }
                            if let Some(scale) = scale {
                                let g = scale * w;
                                give(modes[0], dz.row(i), [&*softmax, t], |[p, t]| {
                                    g * (mass * p - t)
                                });
                            }
                        }
                        Target::Class(_) => {
                            let known = target[i] >= T::ZERO;
                            let class = if known { target[i].f64() as usize } else { 0 };
                            let w = if known { w } else { T::ZERO };
                            if w != T::ZERO {
                                total.sum += (w * (lse - z[class])).f64();
                            }
                            if let Some(scale) = scale {
                                let g = scale * w;
                                let row = dz.row(i);
                                give(modes[0], row, [&*softmax], |[p]| g * p);
                                if modes[0] != GradMode::Skip {
                                    row[class] -= g;
                                }
                            }
                        }
                    }
                    total.weight += w.f64();
                }
                total
            },
        )
    }
}
