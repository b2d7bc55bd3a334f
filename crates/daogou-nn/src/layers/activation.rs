//! Activations of single values.

use super::{Op, Pass, give};
use crate::graph::{GradMode, NodeId};
use crate::kernels::vectorised;
use crate::real::Real;

/// What a layer does to each of its values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Activation {
    /// Nothing.
    None,
    /// max(x, 0).
    Relu,
    /// x · σ(x), also called Swish (Elfwing et al. 2018).
    Silu,
    /// σ(x).
    Sigmoid,
}

pub(crate) struct Activate {
    pub(crate) x: NodeId,
    pub(crate) out: NodeId,
    pub(crate) activation: Activation,
}

impl<T: Real> Op<T> for Activate {
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
            || {
                for i in 0..x.rows {
                    let pairs = y.row(i).iter_mut().zip(x.row(i));
                    match self.activation {
                        Activation::None => pairs.for_each(|(y, &x)| *y = x),
                        Activation::Relu => pairs.for_each(|(y, &x)| *y = x.max(T::ZERO)),
                        Activation::Silu => pairs.for_each(|(y, &x)| *y = x * x.sigmoid()),
                        Activation::Sigmoid => pairs.for_each(|(y, &x)| *y = x.sigmoid()),
                    }
                }
            },
        );
    }
    fn backward(&self, pass: &mut Pass<'_, T>, modes: &[GradMode]) {
        let (x, y, dy) = (pass.value(self.x), pass.value(self.out), pass.grad(self.out));
        let mut dx = pass.grad_mut(self.x);
        vectorised(
            #[inline(always)]
            || {
                for i in 0..x.rows {
                    let (x, y, dy) = (x.row(i), y.row(i), dy.row(i));
                    let dx = dx.row(i);
                    match self.activation {
                        Activation::None => give(modes[0], dx, [dy], |[dy]| dy),
                        Activation::Relu => {
                            let cut = |[y, dy]: [T; 2]| if y <= T::ZERO { T::ZERO } else { dy };
                            give(modes[0], dx, [y, dy], cut);
                        }
                        Activation::Silu => give(modes[0], dx, [x, y, dy], |[x, y, dy]| {
                            let s = x.sigmoid();
                            dy * (s + y * (T::ONE - s))
                        }),
                        Activation::Sigmoid => {
                            give(modes[0], dx, [y, dy], |[y, dy]| dy * y * (T::ONE - y));
                        }
                    }
                }
            },
        );
    }
}
