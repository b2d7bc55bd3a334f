//! One number for each of several nodes: `y_f = mean over the columns of x_f`, `[rows, parts]` (the squeeze of SENet, Hu et
//! al. 2018; of fields, FiBiNET, Huang et al. 2019).

use super::{Op, Pass, give};
use crate::graph::{GradMode, NodeId};
use crate::kernels::{self, vectorised};
use crate::real::Real;

pub(crate) struct Means {
    pub(crate) parts: Vec<NodeId>,
    pub(crate) out: NodeId,
}

impl<T: Real> Op<T> for Means {
    fn inputs(&self) -> Vec<NodeId> {
        self.parts.clone()
    }
    fn output(&self) -> NodeId {
        self.out
    }
    fn forward(&self, pass: &mut Pass<'_, T>) {
        let mut y = pass.value_mut(self.out);
        for (f, part) in self.parts.iter().enumerate() {
            let x = pass.value(*part);
            let share = T::of(1.0 / x.cols as f64);
            vectorised(
                #[inline(always)]
                || {
                    for i in 0..x.rows {
                        y.row(i)[f] = kernels::sum(x.row(i)) * share;
                    }
                },
            );
        }
    }
    /// Every column has the same share of its part's number.
    fn backward(&self, pass: &mut Pass<'_, T>, modes: &[GradMode]) {
        let dy = pass.grad(self.out);
        for (f, (part, mode)) in self.parts.iter().zip(modes).enumerate() {
            if *mode == GradMode::Skip {
                continue;
            }
            let mut dx = pass.grad_mut(*part);
            let share = T::of(1.0 / dx.cols as f64);
            vectorised(
                #[inline(always)]
                || {
                    for i in 0..dy.rows {
                        let g = dy.row(i)[f] * share;
                        give(*mode, dx.row(i), [], |[]| g);
                    }
                },
            );
        }
    }
}
