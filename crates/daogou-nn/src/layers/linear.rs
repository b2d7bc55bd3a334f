//! `y = x Wᵀ + b`, with ReLU fused.

use super::{Op, Pass};
use crate::graph::{GradMode, Node, NodeId};
use crate::kernels::{self, product, vectorised};
use crate::real::Real;

/// A linear layer. `W` is `[units, inputs]`, as PyTorch keeps it.
pub(crate) struct Linear {
    pub(crate) x: NodeId,
    pub(crate) out: NodeId,
    /// Offset of the weights in the flat parameter vector.
    pub(crate) weight: usize,
    pub(crate) bias: usize,
    pub(crate) relu: bool,
}

impl<T: Real> Op<T> for Linear {
    fn inputs(&self) -> Vec<NodeId> {
        vec![self.x]
    }
    fn output(&self) -> NodeId {
        self.out
    }
    fn has_parameters(&self) -> bool {
        true
    }
    fn products(&self, nodes: &[Node]) -> usize {
        let (x, out) = (&nodes[self.x.0], &nodes[self.out.0]);
        out.repeat * x.cols * out.cols
    }
    fn forward(&self, pass: &mut Pass<'_, T>) {
        let (x, mut y) = (pass.value(self.x), pass.value_mut(self.out));
        let bias = &pass.params[self.bias..self.bias + y.cols];
        product::forward(x, pass.transposed(self.weight, y.cols, x.cols), bias, self.relu, &mut y);
    }
    fn backward(&self, pass: &mut Pass<'_, T>, modes: &[GradMode]) {
        let (x, y, mut dy) = (pass.value(self.x), pass.value(self.out), pass.grad_mut(self.out));
        let bias = &mut pass.param_grads[self.bias..self.bias + y.cols];
        vectorised(
            #[inline(always)]
            || {
                for i in 0..dy.rows {
                    let row = dy.row(i);
                    if self.relu {
                        for (d, &y) in row.iter_mut().zip(y.row(i)) {
                            // NaN must pass: `y > 0` is false for it, `y <= 0` too.
                            *d = if y <= T::ZERO { T::ZERO } else { *d };
                        }
                    }
                    kernels::add(bias, row);
                }
            },
        );
        product::weight_grad(dy.as_mat(), x, &mut pass.param_grad(self.weight, y.cols, x.cols));
        if modes[0] != GradMode::Skip {
            let w = pass.param(self.weight, y.cols, x.cols);
            product::input_grad(
                dy.as_mat(),
                w,
                &mut pass.grad_mut(self.x),
                modes[0] == GradMode::Add,
            );
        }
    }
}
