//! Two nodes combined value by value.

use super::{Op, Pass, give};
use crate::graph::{GradMode, NodeId};
use crate::kernels::{self, vectorised};
use crate::real::Real;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pointwise {
    Add,
    Sub,
    /// The second operand may have a single column that scales the row.
    Mul,
}

pub(crate) struct Combine {
    pub(crate) a: NodeId,
    pub(crate) b: NodeId,
    pub(crate) out: NodeId,
    pub(crate) kind: Pointwise,
}

impl<T: Real> Op<T> for Combine {
    fn inputs(&self) -> Vec<NodeId> {
        vec![self.a, self.b]
    }
    fn output(&self) -> NodeId {
        self.out
    }
    fn forward(&self, pass: &mut Pass<'_, T>) {
        let (a, b, mut y) = (pass.value(self.a), pass.value(self.b), pass.value_mut(self.out));
        vectorised(
            #[inline(always)]
            || {
                for i in 0..a.rows {
                    let (a, b) = (a.row(i), b.row(i));
                    let y = y.row(i);
                    match self.kind {
                        Pointwise::Add => give(GradMode::Assign, y, [a, b], |[a, b]| a + b),
                        Pointwise::Sub => give(GradMode::Assign, y, [a, b], |[a, b]| a - b),
                        Pointwise::Mul if b.len() == 1 => {
                            give(GradMode::Assign, y, [a], |[a]| a * b[0]);
                        }
                        Pointwise::Mul => give(GradMode::Assign, y, [a, b], |[a, b]| a * b),
                    }
                }
            },
        );
    }
    fn backward(&self, pass: &mut Pass<'_, T>, modes: &[GradMode]) {
        let (a, b, dy) = (pass.value(self.a), pass.value(self.b), pass.grad(self.out));
        let (mut da, mut db) = (pass.grad_mut(self.a), pass.grad_mut(self.b));
        vectorised(
            #[inline(always)]
            || {
                for i in 0..dy.rows {
                    let (a, b, dy) = (a.row(i), b.row(i), dy.row(i));
                    // One operand at a time: `a` and `b` may be the same node.
                    if modes[0] != GradMode::Skip {
                        let da = da.row(i);
                        match self.kind {
                            Pointwise::Add | Pointwise::Sub => give(modes[0], da, [dy], |[dy]| dy),
                            Pointwise::Mul if b.len() == 1 => {
                                give(modes[0], da, [dy], |[dy]| dy * b[0]);
                            }
                            Pointwise::Mul => give(modes[0], da, [dy, b], |[dy, b]| dy * b),
                        }
                    }
                    if modes[1] != GradMode::Skip {
                        let db = db.row(i);
                        match self.kind {
                            Pointwise::Add => give(modes[1], db, [dy], |[dy]| dy),
                            Pointwise::Sub => give(modes[1], db, [dy], |[dy]| -dy),
                            Pointwise::Mul if b.len() == 1 => {
                                let total = kernels::dot(dy, a);
                                give(modes[1], db, [], |[]| total);
                            }
                            Pointwise::Mul => give(modes[1], db, [dy, a], |[dy, a]| dy * a),
                        }
                    }
                }
            },
        );
    }
}
