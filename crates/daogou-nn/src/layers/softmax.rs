//! Softmax over the columns of each row.

use super::{Op, Pass, give};
use crate::graph::{GradMode, NodeId};
use crate::kernels::{self, vectorised};
use crate::real::Real;

pub(crate) struct Softmax {
    pub(crate) x: NodeId,
    pub(crate) out: NodeId,
}

impl<T: Real> Op<T> for Softmax {
    fn inputs(&self) -> Vec<NodeId> {
        vec![self.x]
    }
    fn output(&self) -> NodeId {
        self.out
    }
    fn forward(&self, pass: &mut Pass<'_, T>) {
        let (x, mut y) = (pass.value(self.x), pass.value_mut(self.out));
        vectorised(
            #[inline(always)]
            || kernels::softmax_rows(x, &mut y),
        );
    }
    /// dx = y ⊙ (dy − Σ y·dy).
    fn backward(&self, pass: &mut Pass<'_, T>, modes: &[GradMode]) {
        let (y, dy, mut dx) = (pass.value(self.out), pass.grad(self.out), pass.grad_mut(self.x));
        vectorised(
            #[inline(always)]
            || {
                for i in 0..y.rows {
                    let (y, dy) = (y.row(i), dy.row(i));
                    let mean = kernels::dot(y, dy);
                    give(modes[0], dx.row(i), [y, dy], |[y, dy]| y * (dy - mean));
                }
            },
        );
    }
}
