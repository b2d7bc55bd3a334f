//! Cross-entropy of a softmax: ℓ = (Σ t)·ln Σ e^z − Σ t·z, ∂ℓ/∂z = (Σ t)·softmax(z) − t.

use super::{BLOCK, Loss, LossSum};
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
                // By blocks of rows, whose logarithms fill a vector.
                for start in (0..z.rows).step_by(BLOCK) {
                    let rows = start..z.rows.min(start + BLOCK);
                    let (mut w, mut mass, mut like) =
                        ([T::ZERO; BLOCK], [T::ONE; BLOCK], [T::ZERO; BLOCK]);
                    let (mut top, mut sum) = ([T::ZERO; BLOCK], [T::ONE; BLOCK]);
                    for (at, i) in rows.enumerate() {
                        let z = z.row(i);
                        w[at] = weights.map_or(T::ONE, |w| w[i]);
                        total.weight += w[at].f64();
                        (top[at], sum[at]) = kernels::softmax(z, softmax);
                        match self.target {
                            Target::Shares(_) => {
                                let t = &target[i * z.len()..(i + 1) * z.len()];
                                (mass[at], like[at]) = (kernels::sum(t), kernels::dot(t, z));
                                if let Some(scale) = scale {
                                    let (g, mass) = (scale * w[at], mass[at]);
                                    give(modes[0], dz.row(i), [&*softmax, t], |[p, t]| {
                                        g * (mass * p - t)
                                    });
                                }
                            }
                            Target::Class(_) => {
                                let known = target[i] >= T::ZERO;
                                let class = if known { target[i].f64() as usize } else { 0 };
                                w[at] = if known { w[at] } else { T::ZERO };
                                like[at] = z[class];
                                if let Some(scale) = scale {
                                    let g = scale * w[at];
                                    let row = dz.row(i);
                                    give(modes[0], row, [&*softmax], |[p]| g * p);
                                    if modes[0] != GradMode::Skip {
                                        row[class] -= g;
                                    }
                                }
                            }
                        }
                    }
                    let mut loss = [T::ZERO; BLOCK];
                    for at in 0..BLOCK {
                        loss[at] = w[at] * (mass[at] * (top[at] + sum[at].ln()) - like[at]);
                    }
                    for (loss, w) in loss.into_iter().zip(w) {
                        // A row without weight must not count, whatever its logits are.
                        if w != T::ZERO {
                            total.sum += loss.f64();
                        }
                    }
                }
                total
            },
        )
    }
}
