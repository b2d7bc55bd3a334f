//! Where values enter the graph: embedding lookups and dense inputs.

use super::{Given, Op, Pass};
use crate::graph::{GradMode, InputId, NodeId, TableId};
use crate::kernels::{self, vectorised};
use crate::real::Real;

/// Copies one table row per row of its domain.
pub(crate) struct Lookup {
    pub(crate) table: TableId,
    pub(crate) site: usize,
    pub(crate) out: NodeId,
}

impl<T: Real> Op<T> for Lookup {
    fn inputs(&self) -> Vec<NodeId> {
        Vec::new()
    }
    fn output(&self) -> NodeId {
        self.out
    }
    fn has_parameters(&self) -> bool {
        true
    }
    fn given(&self) -> Option<Given> {
        Some(Given::Site(self.site))
    }
    fn forward(&self, pass: &mut Pass<'_, T>) {
        let table = pass.table(self.table);
        let ids = &pass.micro.ids[self.site];
        let mut out = pass.value_mut(self.out);
        vectorised(
            #[inline(always)]
            || {
                for (i, &id) in ids.iter().enumerate() {
                    if let Some(&ahead) = ids.get(i + 8) {
                        table.prefetch(ahead);
                    }
                    kernels::copy(out.row(i), table.row(id));
                }
            },
        );
    }
    fn backward(&self, pass: &mut Pass<'_, T>, _modes: &[GradMode]) {
        let grad = pass.grad(self.out);
        let kept = &mut pass.row_grads[self.site];
        kept.resize(grad.rows * grad.cols, T::ZERO);
        vectorised(
            #[inline(always)]
            || {
                for (i, kept) in kept.chunks_exact_mut(grad.cols).enumerate() {
                    kernels::copy(kept, grad.row(i));
                }
            },
        );
    }
}

/// Copies values given with the micro-batch.
pub(crate) struct Dense {
    pub(crate) input: InputId,
    pub(crate) out: NodeId,
}

impl<T: Real> Op<T> for Dense {
    fn inputs(&self) -> Vec<NodeId> {
        Vec::new()
    }
    fn output(&self) -> NodeId {
        self.out
    }
    fn given(&self) -> Option<Given> {
        Some(Given::Input(self.input))
    }
    fn forward(&self, pass: &mut Pass<'_, T>) {
        let mut out = pass.value_mut(self.out);
        for (i, row) in pass.micro.inputs[self.input.0].chunks_exact(out.cols).enumerate() {
            out.row(i).copy_from_slice(row);
        }
    }
    fn backward(&self, _pass: &mut Pass<'_, T>, _modes: &[GradMode]) {}
}
