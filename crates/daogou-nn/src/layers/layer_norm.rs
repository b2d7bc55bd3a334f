//! Layer normalisation (Ba, Kiros, Hinton 2016): each row to mean 0 and variance 1, then scaled and shifted.

use super::{Op, Pass, give};
use crate::graph::{DomainId, GradMode, Node, NodeId};
use crate::kernels::{self, vectorised};
use crate::real::Real;

/// Added to the variance; PyTorch's default.
const EPSILON: f64 = 1e-5;

pub(crate) struct LayerNorm {
    pub(crate) x: NodeId,
    pub(crate) out: NodeId,
    pub(crate) scale: usize,
    pub(crate) shift: usize,
}

impl<T: Real> Op<T> for LayerNorm {
    fn inputs(&self) -> Vec<NodeId> {
        vec![self.x]
    }
    fn output(&self) -> NodeId {
        self.out
    }
    fn has_parameters(&self) -> bool {
        true
    }
    /// Mean and 1 / standard deviation of each row.
    fn scratch(&self, nodes: &[Node]) -> Option<(DomainId, usize)> {
        let node = &nodes[self.out.0];
        Some((node.domain, 2 * node.repeat))
    }
    fn forward(&self, pass: &mut Pass<'_, T>) {
        let (x, mut y) = (pass.value(self.x), pass.value_mut(self.out));
        let stats = pass.scratch(x.rows, 2);
        let (scale, shift) = (
            &pass.params[self.scale..self.scale + x.cols],
            &pass.params[self.shift..self.shift + x.cols],
        );
        let n = T::of(x.cols as f64);
        vectorised(
            #[inline(always)]
            || {
                for (i, stat) in stats.chunks_exact_mut(2).enumerate() {
                    let (x, y) = (x.row(i), y.row(i));
                    let mean = kernels::sum(x) / n;
                    y.iter_mut().zip(x).for_each(|(y, &x)| *y = x - mean);
                    let inverse = T::ONE / (kernels::dot(y, y) / n + T::of(EPSILON)).sqrt();
                    for ((y, &scale), &shift) in y.iter_mut().zip(scale).zip(shift) {
                        *y = *y * inverse * scale + shift;
                    }
                    stat[0] = mean;
                    stat[1] = inverse;
                }
            },
        );
    }
    /// With x̂ the normalised row and g = dy ⊙ scale: dx = inverse · (g − mean(g) − x̂ · mean(g ⊙ x̂)).
    fn backward(&self, pass: &mut Pass<'_, T>, modes: &[GradMode]) {
        let (x, dy, mut dx) = (pass.value(self.x), pass.grad(self.out), pass.grad_mut(self.x));
        let stats = pass.scratch(x.rows, 2);
        let scale = &pass.params[self.scale..self.scale + x.cols];
        let n = T::of(x.cols as f64);
        for (i, stat) in stats.chunks_exact(2).enumerate() {
            let (x, dy) = (x.row(i), dy.row(i));
            let (mean, inverse) = (stat[0], stat[1]);
            let (mut sum_g, mut sum_gx) = (T::ZERO, T::ZERO);
            for c in 0..x.len() {
                let normal = (x[c] - mean) * inverse;
                pass.param_grads[self.scale + c] += dy[c] * normal;
                pass.param_grads[self.shift + c] += dy[c];
                sum_g += dy[c] * scale[c];
                sum_gx += dy[c] * scale[c] * normal;
            }
            give(modes[0], dx.row(i), [x, dy, scale], |[x, dy, scale]| {
                inverse * (dy * scale - sum_g / n - (x - mean) * inverse * sum_gx / n)
            });
        }
    }
}
