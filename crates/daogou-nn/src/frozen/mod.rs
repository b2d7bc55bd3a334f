//! What depends on a key alone is computed once per key, not once per pass.
//!
//! A model that scores many items for one visit reads, for each item, what is known of the visit and what is known of the
//! item. Of a linear layer `y = W·[v; i; …] + b` the product with the item's part, `W_i·i + b`, is the same in every visit:
//! it is computed once per item (a *key*) and kept; a visit multiplies its own part once, picks a row per item and adds.
//! Whole layers that read nothing but items are kept as they are; what reads only the visit is computed for one row,
//! the *pattern*, that stands for all; the rest runs as in [`Model::forward`], which remains the readable twin. Exact but
//! for the order of additions.
//!
//! ```text
//! freeze   keys ─ lookups, inputs, … ─┬─ W_i·i + b ──────────┐ kept per key
//! begin    pattern ─ request level ───┼─ W_v·v ─────────┐    │ once per visit
//! forward  keys ──────────────────────┴─ interactions ─ + ─ kept[key] ─ ReLU ─ … ─ logits
//! ```
//!
//! A third kind of input has its usual values for most keys and others for a few, like what a visitor has seen of an item,
//! or of its category: keys are in *groups*, and each group is given a row of values or keeps the usual one. The product of
//! the usual row is kept with the key; that of the difference is computed once per group that has one.
//!
//! Memory: [`Frozen::width`] values per key, in chunks of [`CHUNK`] keys that clones share until one of them changes.

mod forward;
mod plan;
#[cfg(test)]
mod tests;

use std::ops::Range;
use std::sync::{Arc, Mutex};

pub use forward::{FrozenWorkspace, GroupRows, Groups};
use plan::{Plan, Split};

use crate::batch::Micro;
use crate::graph::{DomainId, Model, NodeId};
use crate::kernels;
use crate::kernels::product::{self, Start};
use crate::layers::{Linear, Pass};
use crate::matrix::{Mat, MatMut};
use crate::parameters::Parameters;
use crate::real::Real;
use crate::team::Team;
use crate::workspace::Workspace;

/// Keys whose values stand together in memory: what a changed key copies, and what a thread freezes at a time.
pub const CHUNK: usize = 256;

/// What tells the values of an input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InputOf {
    /// The visit: the same for all keys.
    Pattern,
    /// The key.
    Key,
    /// The visit and the key's group: values from `place` on of the group's row.
    Group {
        /// Number of the group.
        group: usize,
        /// First of its values in the group's rows.
        place: usize,
    },
}

/// What of a model's micro-batches depends on keys.
#[derive(Clone, Debug)]
pub struct Keyed<T = f32> {
    /// Its rows have keys.
    pub domain: DomainId,
    /// Per lookup: whether the key tells its ids.
    pub sites: Vec<bool>,
    /// Per dense input: what tells its values.
    pub inputs: Vec<InputOf>,
    /// Per map: whether the key tells which child rows it has.
    pub maps: Vec<bool>,
    /// Per group: the usual row of values.
    pub usual: Vec<Vec<T>>,
    /// Nodes that are read in the end.
    pub outputs: Vec<NodeId>,
}

/// Per key, what a model need not compute again. Clones share memory.
pub struct Frozen<T = f32> {
    plan: Arc<Plan<T>>,
    chunks: Vec<Arc<Vec<T>>>,
}

impl<T> Clone for Frozen<T> {
    fn clone(&self) -> Self {
        Self { plan: Arc::clone(&self.plan), chunks: self.chunks.clone() }
    }
}

impl<T: Real> Frozen<T> {
    /// Plans what can be computed beforehand; no key is frozen yet.
    ///
    /// # Panics
    ///
    /// If `keyed` does not fit the model, or rows outside the keyed domain depend on keys.
    pub fn new(model: &Model<T>, keyed: Keyed<T>) -> Self {
        assert_eq!(keyed.sites.len(), model.sites.len(), "lookups");
        assert_eq!(keyed.inputs.len(), model.inputs.len(), "dense inputs");
        assert_eq!(keyed.maps.len(), model.maps.len(), "maps");
        Self { plan: Arc::new(Plan::new(model, keyed)), chunks: Vec::new() }
    }

    /// Values kept per key.
    pub fn width(&self) -> usize {
        self.plan.width
    }

    /// Keys there is room for: a multiple of [`CHUNK`].
    pub fn keys(&self) -> usize {
        self.chunks.len() * CHUNK
    }

    /// Computes what is kept of `keys` (ascending, each once), whatever was kept before. `fill` writes a micro-batch whose
    /// rows of the keyed domain are those of the keys it is given, at most [`CHUNK`]. Keys beyond the largest so far make
    /// room for themselves. The values of a key depend neither on the other keys nor on the number of threads.
    ///
    /// # Panics
    ///
    /// If a micro-batch does not fit the model.
    pub fn freeze(
        &mut self,
        (model, parameters): (&Model<T>, &Parameters<T>),
        keys: &[u32],
        fill: impl Fn(&[u32], &mut Micro<T>) + Sync,
        team: &mut Team,
    ) {
        assert!(keys.is_sorted_by(|a, b| a < b), "keys ascend");
        let Some(&last) = keys.last() else { return };
        let Self { plan, chunks } = self;
        while chunks.len() * CHUNK <= last as usize {
            chunks.push(Arc::new(vec![T::ZERO; CHUNK * plan.width]));
        }
        let mut jobs = Vec::new();
        let mut rest = keys;
        for (index, chunk) in chunks.iter_mut().enumerate() {
            let end = rest.partition_point(|&key| (key as usize) < (index + 1) * CHUNK);
            let (own, later) = rest.split_at(end);
            rest = later;
            if !own.is_empty() {
                jobs.push((own, chunk));
            }
        }
        let memory = || Mutex::new((Micro::new(model), Workspace::new(model), Vec::new()));
        let members: Vec<_> = (0..team.size()).map(|_| memory()).collect();
        team.for_each(&mut jobs, |member, _, (keys, chunk)| {
            let mut memory = members[member].lock().expect("each member has its own");
            let (micro, workspace, row) = &mut *memory;
            fill(keys, micro);
            micro.check(model, false);
            assert_eq!(micro.rows[plan.keyed.domain.0], keys.len(), "one row per key");
            let chunk: &mut Vec<T> = Arc::make_mut(chunk);
            plan.keep((model, parameters), micro, (workspace, row), keys, chunk);
        });
    }

    /// Values of a key from `at` on, `len` of them.
    #[inline(always)]
    fn of_key(&self, key: u32, at: usize, len: usize) -> &[T] {
        let key = key as usize;
        &self.chunks[key / CHUNK][place(key, at, len)]
    }
}

/// Where in its chunk a key has `len` values, `at` among the values of a key. Values of neighbours are neighbours.
#[inline(always)]
fn place(key: usize, at: usize, len: usize) -> Range<usize> {
    let start = at * CHUNK + key % CHUNK * len;
    start..start + len
}

/// The layer behind a split.
fn linear<T: Real>(model: &Model<T>, op: usize) -> &Linear {
    model.ops[op].as_linear().expect("only linear layers are split")
}

/// Rows `start..` of a layer's transposed weights: those that meet the columns of a part.
fn weights_of<'a, T: Real>(
    pass: &Pass<'a, T>,
    linear: &Linear,
    (start, cols): (usize, usize),
) -> Mat<'a, T> {
    pass.transposed(linear.weight).rows(start..start + cols)
}

impl<T: Real> Plan<T> {
    /// Computes what is kept of some keys, all of one chunk.
    fn keep(
        &self,
        (model, parameters): (&Model<T>, &Parameters<T>),
        micro: &Micro<T>,
        (workspace, memory): (&mut Workspace<T>, &mut Vec<T>),
        keys: &[u32],
        chunk: &mut [T],
    ) {
        let mut pass = Pass::new(model, parameters, micro, &mut [], &mut [], workspace, None);
        self.key_ops.iter().for_each(|&op| pass.run(op));
        for kept in &self.kept {
            let values = pass.value(kept.node);
            let repeat = values.rows / keys.len();
            for (i, &key) in keys.iter().enumerate() {
                let to = &mut chunk[place(key as usize, kept.at, kept.len)];
                for (row, to) in to.chunks_exact_mut(values.cols).enumerate() {
                    to.copy_from_slice(values.row(i * repeat + row));
                }
            }
        }
        for split in &self.splits {
            let (Some(at), linear) = (split.at, linear(model, split.op)) else { continue };
            let units = model.nodes[split.out.0].cols;
            memory.clear();
            memory.resize(keys.len() * units, T::ZERO);
            let (first, others) = memory.split_at_mut(units);
            self.usual_start(&pass, split, linear, first);
            others.chunks_exact_mut(units).for_each(|row| row.copy_from_slice(first));
            for picked in &split.key_picks {
                let (products, picks) = picked.rows(&pass);
                for (row, &pick) in memory.chunks_exact_mut(units).zip(picks) {
                    kernels::add(row, products.row(pick as usize));
                }
            }
            let mut y = MatMut::strided(memory, (keys.len(), units, units));
            for &(node, start) in &split.of_key {
                let x = pass.value(node);
                let weights = weights_of(&pass, linear, (start, x.cols));
                product::forward(x, weights, Start::Add, false, &mut y);
            }
            for (&key, row) in keys.iter().zip(memory.chunks_exact(units)) {
                chunk[place(key as usize, at, units)].copy_from_slice(row);
            }
        }
    }

    /// Writes the bias of a layer, 0 without one, and adds the product of the usual rows of its groups.
    fn usual_start(&self, pass: &Pass<'_, T>, split: &Split, linear: &Linear, start: &mut [T]) {
        match linear.bias {
            Some(at) => start.copy_from_slice(&pass.params[at..at + start.len()]),
            None => start.fill(T::ZERO),
        }
        for (group, columns) in &split.groups {
            for &(place, column) in columns {
                let weights = weights_of(pass, linear, (column, 1));
                kernels::axpy(start, self.keyed.usual[*group][place], weights.row(0));
            }
        }
    }
}
