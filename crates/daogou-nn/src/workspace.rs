//! The memory one thread needs to run a graph: a value and a gradient buffer per node, reused for every micro-batch.

use crate::aligned::Aligned;
use crate::batch::Micro;
use crate::graph::{Model, NOWHERE, NodeId};
use crate::kernels;
use crate::real::Real;

/// Buffers of one thread. Grows to the largest micro-batch seen, then allocates nothing.
pub struct Workspace<T = f32> {
    pub(crate) values: Vec<Aligned<T>>,
    pub(crate) grads: Vec<Aligned<T>>,
    pub(crate) scratch: Vec<Aligned<T>>,
    pub(crate) loss_row: Vec<T>,
    rows: Vec<usize>,
}

impl<T: Real> Workspace<T> {
    /// Empty buffers for `model`.
    pub fn new(model: &Model<T>) -> Self {
        Self {
            values: vec![Aligned::default(); model.buffers.len()],
            grads: vec![Aligned::default(); model.buffers.len()],
            scratch: vec![Aligned::default(); model.ops.len()],
            loss_row: vec![
                T::ZERO;
                kernels::whole(model.nodes.iter().map(|n| n.cols).max().unwrap_or(0))
            ],
            rows: vec![0; model.domains.len()],
        }
    }

    /// Numbers it has room for.
    pub(crate) fn values_held(&self) -> usize {
        let all = [&self.values, &self.grads, &self.scratch];
        all.into_iter().flatten().map(|values| values.len()).sum::<usize>() + self.loss_row.len()
    }

    /// Makes room for a micro-batch; gradients only when training.
    pub(crate) fn reserve(&mut self, model: &Model<T>, micro: &Micro<T>, train: bool) {
        self.rows.copy_from_slice(&micro.rows);
        for (index, buffer) in model.buffers.iter().enumerate() {
            let need = micro.rows[buffer.domain.0] * buffer.row_len;
            self.values[index].grow(need);
            if train {
                self.grads[index].grow(need);
            }
        }
        for (index, op) in model.ops.iter().enumerate() {
            if let Some((domain, per_row)) = op.scratch(&model.nodes) {
                self.scratch[index].grow(micro.rows[domain.0] * per_row);
            }
        }
    }

    /// Row `row` of a node's value after a forward pass.
    pub fn row(&self, model: &Model<T>, node: NodeId, row: usize) -> &[T] {
        let n = &model.nodes[node.0];
        assert!(n.buffer != NOWHERE, "a node whose readers all read its parts");
        assert!(row < self.rows[n.domain.0] * n.repeat, "row {row} of a node");
        let start = n.offset + row * n.stride;
        &self.values[n.buffer][start..start + n.cols]
    }
}
