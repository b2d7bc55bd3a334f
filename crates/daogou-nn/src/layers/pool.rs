//! Between domains: copy a parent's row to its children, or sum the children into the parent.

use super::{Given, Op, Pass};
use crate::graph::{DomainId, GradMode, MapId, Node, NodeId};
use crate::kernels::{self, vectorised};
use crate::real::Real;

/// `out[child] = x[map[child]]`.
pub(crate) struct Gather {
    pub(crate) x: NodeId,
    pub(crate) out: NodeId,
    pub(crate) map: MapId,
}

impl<T: Real> Op<T> for Gather {
    fn inputs(&self) -> Vec<NodeId> {
        vec![self.x]
    }
    fn output(&self) -> NodeId {
        self.out
    }
    fn given(&self) -> Option<Given> {
        Some(Given::Map(self.map))
    }
    fn forward(&self, pass: &mut Pass<'_, T>) {
        let (x, mut y) = (pass.value(self.x), pass.value_mut(self.out));
        for (i, &parent) in pass.map(self.map).iter().enumerate() {
            y.row(i).copy_from_slice(x.row(parent as usize));
        }
    }
    fn backward(&self, pass: &mut Pass<'_, T>, modes: &[GradMode]) {
        let (dy, mut dx) = (pass.grad(self.out), pass.grad_mut(self.x));
        if modes[0] == GradMode::Assign {
            (0..dx.rows).for_each(|i| dx.row(i).fill(T::ZERO));
        }
        let map = pass.map(self.map);
        vectorised(
            #[inline(always)]
            || {
                for (i, &parent) in map.iter().enumerate() {
                    kernels::add(dx.row(parent as usize), dy.row(i));
                }
            },
        );
    }
}

/// `out[parent] = Σ x[child]` over its children, or their mean; 0 without children.
pub(crate) struct Pool {
    pub(crate) x: NodeId,
    pub(crate) out: NodeId,
    pub(crate) map: MapId,
    pub(crate) mean: bool,
}

impl<T: Real> Op<T> for Pool {
    fn inputs(&self) -> Vec<NodeId> {
        vec![self.x]
    }
    fn output(&self) -> NodeId {
        self.out
    }
    /// One weight per parent: 1, or 1 / number of children.
    fn scratch(&self, nodes: &[Node]) -> Option<(DomainId, usize)> {
        Some((nodes[self.out.0].domain, 1))
    }
    fn given(&self) -> Option<Given> {
        Some(Given::Map(self.map))
    }
    fn forward(&self, pass: &mut Pass<'_, T>) {
        let (x, mut y) = (pass.value(self.x), pass.value_mut(self.out));
        let map = pass.map(self.map);
        let weight = pass.scratch(y.rows, 1);
        (0..y.rows).for_each(|i| y.row(i).fill(T::ZERO));
        if self.mean {
            weight.fill(T::ZERO);
            map.iter().for_each(|&parent| weight[parent as usize] += T::ONE);
            weight.iter_mut().for_each(|w| *w = T::ONE / w.max(T::ONE));
        } else {
            weight.fill(T::ONE);
        }
        vectorised(
            #[inline(always)]
            || {
                for (i, &parent) in map.iter().enumerate() {
                    kernels::axpy(y.row(parent as usize), weight[parent as usize], x.row(i));
                }
            },
        );
    }
    fn backward(&self, pass: &mut Pass<'_, T>, modes: &[GradMode]) {
        let (dy, mut dx) = (pass.grad(self.out), pass.grad_mut(self.x));
        let map = pass.map(self.map);
        let weight = pass.scratch(dy.rows, 1);
        vectorised(
            #[inline(always)]
            || {
                for (i, &parent) in map.iter().enumerate() {
                    let (g, w) = (dy.row(parent as usize), weight[parent as usize]);
                    super::give(modes[0], dx.row(i), [g], |[g]| g * w);
                }
            },
        );
    }
}
