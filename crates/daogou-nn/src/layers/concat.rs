//! Columns side by side.

use super::{Op, Pass, give};
use crate::graph::{GradMode, NodeId};
use crate::real::Real;

/// Copies those parts that the plan could not place directly into the output's columns.
pub(crate) struct Concat {
    pub(crate) parts: Vec<NodeId>,
    pub(crate) placed: Vec<bool>,
    pub(crate) out: NodeId,
}

impl<T: Real> Op<T> for Concat {
    fn inputs(&self) -> Vec<NodeId> {
        self.parts.clone()
    }
    fn output(&self) -> NodeId {
        self.out
    }
    fn as_concat(&mut self) -> Option<(&[NodeId], &mut [bool], NodeId)> {
        Some((&self.parts, &mut self.placed, self.out))
    }
    fn parts(&self) -> Option<&[NodeId]> {
        Some(&self.parts)
    }
    fn forward(&self, pass: &mut Pass<'_, T>) {
        let mut out = pass.value_mut(self.out);
        let mut start = 0;
        for (part, placed) in self.parts.iter().zip(&self.placed) {
            let x = pass.value(*part);
            if !placed {
                for i in 0..x.rows {
                    out.row(i)[start..start + x.cols].copy_from_slice(x.row(i));
                }
            }
            start += x.cols;
        }
    }
    fn backward(&self, pass: &mut Pass<'_, T>, modes: &[GradMode]) {
        let grad = pass.grad(self.out);
        let mut start = 0;
        for ((part, placed), mode) in self.parts.iter().zip(&self.placed).zip(modes) {
            let mut dx = pass.grad_mut(*part);
            if !placed && *mode != GradMode::Skip {
                for i in 0..dx.rows {
                    let g = &grad.row(i)[start..];
                    give(*mode, dx.row(i), [g], |[g]| g);
                }
            }
            start += dx.cols;
        }
    }
}
