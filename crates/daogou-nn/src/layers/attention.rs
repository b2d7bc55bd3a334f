//! Scaled dot-product attention among the fields of each row.
//!
//! `B` rows, `F` fields, `H` heads, `D` columns per head: `q, k, v, out` are `[B·F, H·D]`; the attention weights kept
//! for the backward pass are `[B, H, F, F]`.

use super::{Op, Pass};
use crate::graph::{DomainId, GradMode, Node, NodeId};
use crate::kernels::{self, vectorised};
use crate::real::Real;

pub(crate) struct Attention {
    pub(crate) q: NodeId,
    pub(crate) k: NodeId,
    pub(crate) v: NodeId,
    pub(crate) out: NodeId,
    pub(crate) fields: usize,
    pub(crate) heads: usize,
}

impl Attention {
    fn weights_per_row(&self) -> usize {
        self.heads * self.fields * self.fields
    }
}

impl<T: Real> Op<T> for Attention {
    fn inputs(&self) -> Vec<NodeId> {
        vec![self.q, self.k, self.v]
    }
    fn output(&self) -> NodeId {
        self.out
    }
    /// The weights, and room for one row of weight gradients.
    fn scratch(&self, nodes: &[Node]) -> Option<(DomainId, usize)> {
        let node = &nodes[self.out.0];
        Some((node.domain, node.repeat / self.fields * (self.weights_per_row() + self.fields)))
    }
    fn forward(&self, pass: &mut Pass<'_, T>) {
        let (q, k, v) = (pass.value(self.q), pass.value(self.k), pass.value(self.v));
        let mut out = pass.value_mut(self.out);
        let (fields, per_row) = (self.fields, self.weights_per_row());
        let rows = q.rows / fields;
        let scratch = pass.scratch(rows, per_row + fields);
        let (weights, scores) = scratch.split_at_mut(rows * per_row);
        let dim = q.cols / self.heads;
        let scale = T::of(1.0 / (dim as f64).sqrt());
        vectorised(
            #[inline(always)]
            || {
                for row in 0..rows {
                    for head in 0..self.heads {
                        let part = head * dim..(head + 1) * dim;
                        for i in 0..fields {
                            let start = row * per_row + (head * fields + i) * fields;
                            let w = &mut weights[start..start + fields];
                            let query = &q.row(row * fields + i)[part.clone()];
                            for (j, s) in scores[..fields].iter_mut().enumerate() {
                                *s = kernels::dot(query, &k.row(row * fields + j)[part.clone()])
                                    * scale;
                            }
                            kernels::softmax(&scores[..fields], w);
                            let o = &mut out.row(row * fields + i)[part.clone()];
                            o.fill(T::ZERO);
                            for (j, &w) in w.iter().enumerate() {
                                kernels::axpy(o, w, &v.row(row * fields + j)[part.clone()]);
                            }
                        }
                    }
                }
            },
        );
    }
    fn backward(&self, pass: &mut Pass<'_, T>, modes: &[GradMode]) {
        let (q, k, v) = (pass.value(self.q), pass.value(self.k), pass.value(self.v));
        let dout = pass.grad(self.out);
        let mut grads = [pass.grad_mut(self.q), pass.grad_mut(self.k), pass.grad_mut(self.v)];
        for (grad, mode) in grads.iter_mut().zip(modes) {
            if *mode == GradMode::Assign {
                (0..grad.rows).for_each(|i| grad.row(i).fill(T::ZERO));
            }
        }
        let [dq, dk, dv] = &mut grads;
        let (fields, per_row) = (self.fields, self.weights_per_row());
        let rows = q.rows / fields;
        let scratch = pass.scratch(rows, per_row + fields);
        let (weights, dw) = scratch.split_at_mut(rows * per_row);
        let dim = q.cols / self.heads;
        let scale = T::of(1.0 / (dim as f64).sqrt());
        let learns = [0, 1, 2].map(|i| modes[i] != GradMode::Skip);
        vectorised(
            #[inline(always)]
            || {
                for row in 0..rows {
                    for head in 0..self.heads {
                        let part = head * dim..(head + 1) * dim;
                        for i in 0..fields {
                            let at = row * fields + i;
                            let start = row * per_row + (head * fields + i) * fields;
                            let w = &weights[start..start + fields];
                            let d = &dout.row(at)[part.clone()];
                            for j in 0..fields {
                                let other = row * fields + j;
                                dw[j] = kernels::dot(d, &v.row(other)[part.clone()]);
                                if learns[2] {
                                    kernels::axpy(&mut dv.row(other)[part.clone()], w[j], d);
                                }
                            }
                            let mean = kernels::dot(w, &dw[..fields]);
                            for j in 0..fields {
                                let other = row * fields + j;
                                let ds = w[j] * (dw[j] - mean) * scale;
                                if learns[0] {
                                    kernels::axpy(
                                        &mut dq.row(at)[part.clone()],
                                        ds,
                                        &k.row(other)[part.clone()],
                                    );
                                }
                                if learns[1] {
                                    kernels::axpy(
                                        &mut dk.row(other)[part.clone()],
                                        ds,
                                        &q.row(at)[part.clone()],
                                    );
                                }
                            }
                        }
                    }
                }
            },
        );
    }
}
