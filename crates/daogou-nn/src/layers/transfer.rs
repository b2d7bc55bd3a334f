//! Adaptive information transfer: each row's own mixture of a few vectors, by how well each vector's query meets its own
//! key (AITM, Xi et al. 2021).
//!
//! `B` rows, `F` fields, `D` columns: `q, k, v` are `[B·F, D]`, `out` is `[B, D]`. With `s_f = ⟨q_f, k_f⟩ / √D` and
//! `α = softmax(s)`, `out = Σ_f α_f v_f`. Unlike in attention a query meets the key of its own field only.

use super::{Op, Pass, give};
use crate::graph::{DomainId, GradMode, Node, NodeId};
use crate::kernels::{self, vectorised};
use crate::real::Real;

pub(crate) struct Transfer {
    pub(crate) q: NodeId,
    pub(crate) k: NodeId,
    pub(crate) v: NodeId,
    pub(crate) out: NodeId,
    pub(crate) fields: usize,
}

impl<T: Real> Op<T> for Transfer {
    fn inputs(&self) -> Vec<NodeId> {
        vec![self.q, self.k, self.v]
    }
    fn output(&self) -> NodeId {
        self.out
    }
    /// The weights `α`, and room for one row of scores or of weight gradients.
    fn scratch(&self, nodes: &[Node]) -> Option<(DomainId, usize)> {
        let node = &nodes[self.out.0];
        Some((node.domain, 2 * node.repeat * self.fields))
    }
    fn forward(&self, pass: &mut Pass<'_, T>) {
        let (q, k, v) = (pass.value(self.q), pass.value(self.k), pass.value(self.v));
        let mut y = pass.value_mut(self.out);
        let fields = self.fields;
        let (weights, scores) = pass.scratch(y.rows, 2 * fields).split_at_mut(y.rows * fields);
        let scale = T::of(1.0 / (q.cols as f64).sqrt());
        vectorised(
            #[inline(always)]
            || {
                for row in 0..y.rows {
                    let own = row * fields..(row + 1) * fields;
                    for (score, i) in scores[..fields].iter_mut().zip(own.clone()) {
                        *score = kernels::dot(q.row(i), k.row(i)) * scale;
                    }
                    kernels::softmax(&scores[..fields], &mut weights[own.clone()]);
                    let out = y.row(row);
                    out.fill(T::ZERO);
                    for i in own {
                        kernels::axpy(out, weights[i], v.row(i));
                    }
                }
            },
        );
    }
    /// `dv_f = α_f dy`; with `ds_f = α_f (⟨dy, v_f⟩ − Σ α ⟨dy, v⟩) / √D`: `dq_f = ds_f k_f`, `dk_f = ds_f q_f`.
    fn backward(&self, pass: &mut Pass<'_, T>, modes: &[GradMode]) {
        let (q, k, v) = (pass.value(self.q), pass.value(self.k), pass.value(self.v));
        let dy = pass.grad(self.out);
        let [mut dq, mut dk, mut dv] = [self.q, self.k, self.v].map(|node| pass.grad_mut(node));
        let fields = self.fields;
        let (weights, dw) = pass.scratch(dy.rows, 2 * fields).split_at_mut(dy.rows * fields);
        let scale = T::of(1.0 / (q.cols as f64).sqrt());
        vectorised(
            #[inline(always)]
            || {
                for row in 0..dy.rows {
                    let own = row * fields..(row + 1) * fields;
                    let (weights, d) = (&weights[own.clone()], dy.row(row));
                    for (dw, i) in dw[..fields].iter_mut().zip(own.clone()) {
                        *dw = kernels::dot(d, v.row(i));
                    }
                    let mean = kernels::dot(weights, &dw[..fields]);
                    for (f, i) in own.enumerate() {
                        let (w, ds) = (weights[f], weights[f] * (dw[f] - mean) * scale);
                        let (q, k) = (q.row(i), k.row(i));
                        // One at a time: two of them may be the same node.
                        if modes[0] != GradMode::Skip {
                            give(modes[0], dq.row(i), [k], |[k]| ds * k);
                        }
                        if modes[1] != GradMode::Skip {
                            give(modes[1], dk.row(i), [q], |[q]| ds * q);
                        }
                        if modes[2] != GradMode::Skip {
                            give(modes[2], dv.row(i), [d], |[d]| w * d);
                        }
                    }
                }
            },
        );
    }
}
