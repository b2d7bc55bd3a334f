//! The ops of a graph: how each computes its value and hands its gradient on. One file each.

mod activation;
mod attention;
mod combine;
mod concat;
mod conditional;
mod dropout;
mod fm;
mod input;
mod layer_norm;
mod linear;
mod means;
mod mixture;
mod pool;
mod softmax;
mod transfer;

pub(crate) use activation::Activate;
pub use activation::Activation;
pub(crate) use attention::Attention;
pub(crate) use combine::{Combine, Pointwise};
pub(crate) use concat::Concat;
pub(crate) use conditional::Conditional;
pub(crate) use dropout::Dropout;
pub(crate) use fm::Fm;
pub(crate) use input::{Dense, Lookup};
pub(crate) use layer_norm::LayerNorm;
pub(crate) use linear::{Linear, Picked};
pub(crate) use means::Means;
pub(crate) use mixture::Mixture;
pub(crate) use pool::{Gather, Pool};
pub(crate) use softmax::Softmax;
pub(crate) use transfer::Transfer;

use crate::batch::Micro;
use crate::embedding::Table;
use crate::graph::{Backward, DomainId, GradMode, InputId, MapId, Model, Node, NodeId, TableId};
use crate::loss::LossSum;
use crate::matrix::{Mat, MatMut};
use crate::parameters::Parameters;
use crate::real::Real;
use crate::workspace::Workspace;

/// An op: one output node computed from input nodes.
pub(crate) trait Op<T: Real>: Send + Sync {
    /// Nodes it reads.
    fn inputs(&self) -> Vec<NodeId>;
    /// The node it writes.
    fn output(&self) -> NodeId;
    /// Whether it reads parameters or a table itself.
    fn has_parameters(&self) -> bool {
        false
    }
    /// Multiply-adds of its matrix products per row of its domain, forward only.
    fn products(&self, nodes: &[Node]) -> usize {
        let _ = nodes;
        0
    }
    /// Memory it keeps from forward to backward: a domain and values per row of it.
    fn scratch(&self, nodes: &[Node]) -> Option<(DomainId, usize)> {
        let _ = nodes;
        None
    }
    /// Concatenations tell their parts, so that the plan can place them.
    fn as_concat(&mut self) -> Option<(&[NodeId], &mut [bool], NodeId)> {
        None
    }
    /// Parts of a concatenation.
    fn parts(&self) -> Option<&[NodeId]> {
        None
    }
    /// Linear layers tell what they multiply, so that parts of it can be multiplied beforehand.
    fn as_linear(&self) -> Option<&Linear> {
        None
    }
    /// What of a micro-batch it reads itself; a linear layer tells with [`Op::as_linear`].
    fn given(&self) -> Option<Given> {
        None
    }
    /// Whether it can apply ReLU's derivative to the gradient it hands to an input ([`Pass::cuts`]).
    fn can_cut(&self, input: NodeId) -> bool {
        let _ = input;
        false
    }
    /// Computes the output.
    fn forward(&self, pass: &mut Pass<'_, T>);
    /// Reads the output's gradient, adds to parameter gradients, writes the inputs' gradients as `modes` say. May run
    /// several times after one forward, so it leaves values and what the forward kept as they are.
    fn backward(&self, pass: &mut Pass<'_, T>, modes: &[GradMode]);
}

/// A part of a micro-batch that an op reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Given {
    /// Ids of a lookup.
    Site(usize),
    /// Values of a dense input.
    Input(InputId),
    /// Which rows belong together.
    Map(MapId),
}

/// One run of a graph over one micro-batch: what ops see.
///
/// Views of different nodes never share a column, because the plan gives every node its own columns, and an op's output
/// is none of its inputs; so an op may hold views of its inputs and its output at once.
pub(crate) struct Pass<'a, T> {
    pub(crate) model: &'a Model<T>,
    pub(crate) params: &'a [T],
    parameters: &'a Parameters<T>,
    pub(crate) micro: &'a Micro<T>,
    /// Gradients of looked-up rows, per site.
    pub(crate) row_grads: &'a mut [Vec<T>],
    /// Gradients of dense parameters, as long as `params`; empty when only going forward.
    pub(crate) param_grads: &'a mut [T],
    /// As long as `param_grads`, for what must not count; empty where all counts.
    spare: &'a mut [T],
    /// Whether gradients of parameters count: an op may save itself the trouble where they do not.
    pub(crate) learns: bool,
    workspace: &'a mut Workspace<T>,
    /// Key of this pass's random numbers; `None` when not training.
    pub(crate) randomness: Option<u64>,
    /// By node: whether its first row stands for all; empty: of none.
    alike: &'a [bool],
    op: usize,
    /// The way back that is taken.
    plan: &'a Backward,
}

impl<'a, T: Real> Pass<'a, T> {
    pub(crate) fn new(
        model: &'a Model<T>,
        parameters: &'a Parameters<T>,
        micro: &'a Micro<T>,
        row_grads: &'a mut [Vec<T>],
        param_grads: &'a mut [T],
        workspace: &'a mut Workspace<T>,
        randomness: Option<u64>,
    ) -> Self {
        workspace.reserve(model, micro, !param_grads.is_empty());
        let params = parameters.dense();
        Self {
            model,
            params,
            parameters,
            micro,
            row_grads,
            param_grads,
            spare: &mut [],
            learns: true,
            workspace,
            randomness,
            alike: &[],
            op: 0,
            plan: &model.backward,
        }
    }

    /// With memory for gradients of parameters that must not count.
    pub(crate) fn with_spare(self, spare: &'a mut [T]) -> Self {
        Self { spare, ..self }
    }

    /// With nodes whose first row was computed before and stands for all rows.
    pub(crate) fn with_alike(self, alike: &'a [bool]) -> Self {
        Self { alike, ..self }
    }

    /// Runs one op.
    pub(crate) fn run(&mut self, index: usize) {
        self.op = index;
        self.model.ops[index].forward(self);
    }

    pub(crate) fn forward(&mut self) {
        (0..self.model.ops.len()).for_each(|index| self.run(index));
    }

    pub(crate) fn backward(&mut self, plan: &'a Backward) {
        (0..self.model.ops.len()).rev().for_each(|index| self.back(plan, index));
    }

    /// Takes the gradient of one op's output back to its inputs, where `plan` says so.
    pub(crate) fn back(&mut self, plan: &'a Backward, index: usize) {
        let Some(modes) = &plan.ops[index] else { return };
        for node in &plan.unreached[index] {
            let mut grad = self.grad_mut(*node);
            for row in 0..grad.rows {
                grad.row(row).fill(T::ZERO);
            }
        }
        (self.op, self.plan) = (index, plan);
        self.model.ops[index].backward(self, modes);
    }

    /// Whether the running op's way back applies ReLU's derivative to the gradient of an input, once nothing more is added.
    pub(crate) fn cuts(&self, input: NodeId) -> bool {
        self.plan.cuts[self.op].contains(&input)
    }

    /// Columns of the running op's first input that need a gradient.
    pub(crate) fn wanted(&self) -> usize {
        self.plan.wanted[self.op]
    }

    /// Whether the gradient of the running op's output arrives with ReLU's derivative applied.
    pub(crate) fn arrives_cut(&self) -> bool {
        self.plan.arrives_cut[self.op]
    }

    /// The same, with gradients of the op's own parameters thrown away.
    pub(crate) fn back_through(&mut self, plan: &'a Backward, index: usize) {
        std::mem::swap(&mut self.param_grads, &mut self.spare);
        self.learns = false;
        self.back(plan, index);
        self.learns = true;
        std::mem::swap(&mut self.param_grads, &mut self.spare);
    }

    fn rows(&self, node: &Node) -> usize {
        self.micro.rows[node.domain.0] * node.repeat
    }

    pub(crate) fn value<'b>(&self, node: NodeId) -> Mat<'b, T> {
        let n = &self.model.nodes[node.0];
        let stride = if self.alike.get(node.0).is_some_and(|alike| *alike) { 0 } else { n.stride };
        // SAFETY: `reserve` made the buffer large enough for all rows, or for the first, where it stands for all; see
        // the type's note on aliasing. The buffers are not moved or freed during a pass.
        unsafe {
            Mat::new(
                self.workspace.values[n.buffer].as_ptr().add(n.offset),
                self.rows(n),
                n.cols,
                stride,
            )
        }
    }

    pub(crate) fn value_mut<'b>(&mut self, node: NodeId) -> MatMut<'b, T> {
        let n = &self.model.nodes[node.0];
        let rows = self.rows(n);
        // SAFETY: as `value`.
        unsafe {
            MatMut::new(
                self.workspace.values[n.buffer].as_mut_ptr().add(n.offset),
                rows,
                n.cols,
                n.stride,
            )
        }
    }

    pub(crate) fn grad<'b>(&self, node: NodeId) -> Mat<'b, T> {
        let n = &self.model.nodes[node.0];
        // SAFETY: as `value`.
        unsafe {
            Mat::new(
                self.workspace.grads[n.buffer].as_ptr().add(n.offset),
                self.rows(n),
                n.cols,
                n.stride,
            )
        }
    }

    pub(crate) fn grad_mut<'b>(&mut self, node: NodeId) -> MatMut<'b, T> {
        let n = &self.model.nodes[node.0];
        let rows = self.rows(n);
        // SAFETY: as `value`.
        unsafe {
            MatMut::new(
                self.workspace.grads[n.buffer].as_mut_ptr().add(n.offset),
                rows,
                n.cols,
                n.stride,
            )
        }
    }

    /// The weights that a product reads: `[units, width]`.
    pub(crate) fn weight(&self, weight: usize) -> Mat<'a, T> {
        self.model.weights[weight].matrix(self.params, self.parameters.derived())
    }

    /// Their transpose: `[width, units]`.
    pub(crate) fn transposed(&self, weight: usize) -> Mat<'a, T> {
        self.model.weights[weight].transpose(self.parameters.derived())
    }

    /// Their gradient: `[units, width]`.
    pub(crate) fn weight_grad(&mut self, weight: usize) -> MatMut<'_, T> {
        self.model.weights[weight].gradient(self.param_grads)
    }

    /// The products of a small table, and the row of each id.
    pub(crate) fn projection(&self, index: usize) -> (Mat<'a, T>, &'a [u32]) {
        let p = &self.model.projections[index];
        let values = &self.parameters.derived()[p.values..][..p.len(&self.model.weights)];
        (Mat::packed(values, self.model.weights[p.weight].units), &self.micro.ids[p.site])
    }

    /// Their gradients.
    pub(crate) fn projection_grad(&mut self, index: usize) -> MatMut<'_, T> {
        let p = &self.model.projections[index];
        let units = self.model.weights[p.weight].units;
        MatMut::strided(&mut self.param_grads[p.grad..], (p.rows, units, units))
    }

    pub(crate) fn table(&self, table: TableId) -> &'a Table<T> {
        &self.parameters.tables[table.0]
    }

    /// The values of a dense input, row-major.
    pub(crate) fn input(&self, input: InputId) -> &'a [T] {
        &self.micro.inputs[input.0]
    }

    /// Memory for one row of `cols` values, for a loss.
    pub(crate) fn loss_row<'b>(&mut self, cols: usize) -> &'b mut [T] {
        let row = &mut self.workspace.loss_row[..cols];
        // SAFETY: only the running loss asks for it, once per call.
        unsafe { std::slice::from_raw_parts_mut(row.as_mut_ptr(), row.len()) }
    }

    /// Runs the losses that `plan` starts from; `scales` holds weight / batch weight per loss, `sums` receives what each
    /// summed.
    pub(crate) fn losses(&mut self, plan: &Backward, scales: Option<&[f64]>, sums: &mut [LossSum]) {
        for (index, (spec, sum)) in self.model.losses.iter().zip(sums).enumerate() {
            let Some(modes) = &plan.losses[index] else { continue };
            *sum = spec.op.run(self, scales.map(|s| T::of(s[index])), modes);
        }
    }

    pub(crate) fn map(&self, map: MapId) -> &'a [u32] {
        &self.micro.maps[map.0]
    }

    /// The running op's scratch memory, `rows × per_row`.
    pub(crate) fn scratch<'b>(&mut self, rows: usize, per_row: usize) -> &'b mut [T] {
        let memory = &mut self.workspace.scratch[self.op][..rows * per_row];
        // SAFETY: each op has its own scratch, and only the running op asks for it, once per call.
        unsafe { std::slice::from_raw_parts_mut(memory.as_mut_ptr(), memory.len()) }
    }
}

/// Writes or adds one row, column after column, each computed from that column of the rows `of`. These may be longer; they
/// are cut to one length beforehand, because a loop that could stop half-way is not vectorised.
#[inline(always)]
pub(crate) fn give<T: Real, const N: usize>(
    mode: GradMode,
    target: &mut [T],
    of: [&[T]; N],
    mut value: impl FnMut([T; N]) -> T,
) {
    let n = target.len();
    let of = of.map(|row| &row[..n]);
    match mode {
        GradMode::Skip => {}
        GradMode::Assign => (0..n).for_each(|c| target[c] = value(of.map(|row| row[c]))),
        GradMode::Add => (0..n).for_each(|c| target[c] += value(of.map(|row| row[c]))),
    }
}
