//! A visit: the pattern once, then keys, some at a time.

use super::plan::{Split, Step};
use super::{CHUNK, Frozen, linear, place, weights_of};
use crate::batch::Micro;
use crate::graph::{Model, NodeId};
use crate::kernels::product::{self, Start};
use crate::kernels::{self, vectorised};
use crate::layers::{Linear, Pass};
use crate::matrix::MatMut;
use crate::parameters::Parameters;
use crate::real::Real;
use crate::workspace::Workspace;

/// Rows ahead of the one that is added, whose values are asked for.
const AHEAD: usize = 4;

/// What a visit says of one group of inputs.
#[derive(Clone, Copy, Debug)]
pub struct GroupRows<'a, T = f32> {
    /// By key: its group.
    pub of_key: &'a [u32],
    /// By group: which row of values it has; 0: the usual one.
    pub row_of: &'a [u32],
    /// Rows of values; the first is the usual one.
    pub values: &'a [T],
}

/// What a visit says of each group, by number.
pub type Groups<'g, T = f32> = &'g (dyn Fn(usize) -> GroupRows<'g, T> + Sync);

/// The memory one thread needs for visits. Grows to the largest visit and the most keys at a time, then allocates nothing.
pub struct FrozenWorkspace<T = f32> {
    workspace: Workspace<T>,
    pattern: Micro<T>,
    /// As many rows as there are keys; only what ops read row by row.
    block: Micro<T>,
    /// Keys of `block`; 0: it is of another visit.
    rows: usize,
    /// Rows of `spread` nodes that were written.
    spread: usize,
    /// Per split layer: what is added for every key.
    shared: Vec<Vec<T>>,
    /// Per split layer and group it reads: products of rows of values less the usual ones, where `ready`.
    deltas: Vec<Vec<Delta<T>>>,
    /// Per group: the row of each key.
    picks: Vec<Vec<u32>>,
}

struct Delta<T> {
    products: Vec<T>,
    ready: Vec<bool>,
}

impl<T: Real> FrozenWorkspace<T> {
    /// Empty memory for visits of a frozen model.
    pub fn new(model: &Model<T>, frozen: &Frozen<T>) -> Self {
        let plan = &frozen.plan;
        let delta = || Delta { products: Vec::new(), ready: Vec::new() };
        Self {
            workspace: Workspace::new(model),
            pattern: Micro::new(model),
            block: Micro::new(model),
            rows: 0,
            spread: 0,
            shared: plan.splits.iter().map(|_| Vec::new()).collect(),
            deltas: plan
                .splits
                .iter()
                .map(|split| split.groups.iter().map(|_| delta()).collect())
                .collect(),
            picks: vec![Vec::new(); plan.keyed.usual.len()],
        }
    }

    /// The micro-batch of the next visit, to be filled before [`Frozen::begin`]: one row of the keyed domain, whatever its
    /// key, and all that it needs.
    pub fn pattern_mut(&mut self) -> &mut Micro<T> {
        &mut self.pattern
    }
}

impl<T: Real> Frozen<T> {
    /// Computes what a visit has in common for all keys.
    ///
    /// # Panics
    ///
    /// If the pattern or a group does not fit the model.
    pub fn begin(
        &self,
        (model, parameters): (&Model<T>, &Parameters<T>),
        groups: Groups<'_, T>,
        memory: &mut FrozenWorkspace<T>,
    ) {
        let plan = &*self.plan;
        let FrozenWorkspace { workspace, pattern, shared, deltas, rows, spread, .. } = memory;
        pattern.check(model, false);
        assert_eq!(pattern.rows[plan.keyed.domain.0], 1, "one row stands for all");
        (*rows, *spread) = (0, 0);
        let mut pass = Pass::new(model, parameters, pattern, &mut [], &mut [], workspace, None);
        plan.pattern_ops.iter().for_each(|&op| pass.run(op));
        for ((split, shared), deltas) in plan.splits.iter().zip(shared).zip(deltas) {
            let linear = linear(model, split.op);
            let units = model.nodes[split.out.0].cols;
            shared.clear();
            shared.resize(units, T::ZERO);
            if split.at.is_none() {
                plan.usual_start(&pass, split, linear, shared);
            }
            for picked in &split.pattern_picks {
                let (products, picks) = picked.rows(&pass);
                kernels::add(shared, products.row(picks[0] as usize));
            }
            for &(node, start) in &split.of_pattern {
                let x = pass.value(node).rows(0..1);
                let weights = weights_of(&pass, linear, (start, x.cols));
                product::forward(
                    x,
                    weights,
                    Start::Add,
                    false,
                    &mut MatMut::strided(shared, (1, units, units)),
                );
            }
            for ((group, _), delta) in split.groups.iter().zip(deltas) {
                let rows = groups(*group).values.len() / plan.keyed.usual[*group].len();
                delta.ready.clear();
                delta.ready.resize(rows, false);
                delta.products.resize(rows * units, T::ZERO);
            }
        }
    }

    /// Computes the rows of some keys. Read them with [`Frozen::append`].
    ///
    /// # Panics
    ///
    /// If a key was never frozen, or has no group.
    pub fn forward(
        &self,
        (model, parameters): (&Model<T>, &Parameters<T>),
        keys: &[u32],
        groups: Groups<'_, T>,
        memory: &mut FrozenWorkspace<T>,
    ) {
        let plan = &*self.plan;
        self.repeat(model, keys.len(), memory);
        let FrozenWorkspace { workspace, block, shared, deltas, picks, spread, .. } = memory;
        for (group, picks) in picks.iter_mut().enumerate() {
            let group = groups(group);
            picks.clear();
            picks.extend(keys.iter().map(|&k| group.row_of[group.of_key[k as usize] as usize]));
        }
        let mut pass = Pass::new(model, parameters, block, &mut [], &mut [], workspace, None);
        if *spread < keys.len() {
            for &node in &plan.spread {
                let mut all = pass.value_mut(node);
                let first = pass.value(node).row(0);
                (1..all.rows).for_each(|i| all.row(i).copy_from_slice(first));
            }
            *spread = keys.len();
        }
        let mut pass = pass.with_alike(&plan.alike);
        for kept in &plan.kept {
            let mut to = pass.value_mut(kept.node);
            let (cols, repeat) = (to.cols, kept.len / to.cols);
            for (i, &key) in keys.iter().enumerate() {
                let values = self.of_key(key, kept.at, kept.len);
                for (row, values) in values.chunks_exact(cols).enumerate() {
                    to.row(i * repeat + row).copy_from_slice(values);
                }
            }
        }
        for step in &plan.steps {
            match *step {
                Step::Op(op) => pass.run(op),
                Step::Split(index) => {
                    let of_groups = (groups, &picks[..], &mut deltas[index][..]);
                    self.add_up(&mut pass, &plan.splits[index], keys, &shared[index], of_groups);
                }
                Step::Fill { node, group, place } => {
                    let mut to = pass.value_mut(node);
                    let width = plan.keyed.usual[group].len();
                    for (i, &pick) in picks[group].iter().enumerate() {
                        let values = &groups(group).values[pick as usize * width..][..width];
                        let cols = to.cols;
                        to.row(i).copy_from_slice(&values[place..place + cols]);
                    }
                }
            }
        }
    }

    /// A linear layer from its parts.
    fn add_up(
        &self,
        pass: &mut Pass<'_, T>,
        split: &Split,
        keys: &[u32],
        shared: &[T],
        (groups, picks, deltas): (Groups<'_, T>, &[Vec<u32>], &mut [Delta<T>]),
    ) {
        let linear = linear(pass.model, split.op);
        let mut y = pass.value_mut(split.out);
        let units = y.cols;
        let by_row = split.at.is_some() || !split.groups.is_empty() || split.of_row.is_empty();
        if by_row {
            let clip = linear.relu && split.of_row.is_empty();
            for ((group, columns), delta) in split.groups.iter().zip(&mut *deltas) {
                let usual = &self.plan.keyed.usual[*group];
                delta.make_ready(
                    pass,
                    linear,
                    (columns, usual),
                    groups(*group).values,
                    &picks[*group],
                );
            }
            vectorised(
                #[inline(always)]
                || {
                    for (i, &key) in keys.iter().enumerate() {
                        let y = y.row(i);
                        if let Some(at) = split.at {
                            if let Some(&ahead) = keys.get(i + AHEAD) {
                                self.ask_for(ahead, at, units);
                            }
                            kernels::sum_of(y, self.of_key(key, at, units), shared);
                        } else {
                            y.copy_from_slice(shared);
                        }
                        for ((group, _), delta) in split.groups.iter().zip(&*deltas) {
                            let pick = picks[*group][i] as usize;
                            if pick != 0 {
                                kernels::add(y, &delta.products[pick * units..][..units]);
                            }
                        }
                        if clip {
                            y.iter_mut().for_each(|y| *y = y.max(T::ZERO));
                        }
                    }
                },
            );
        }
        for (index, &(node, start)) in split.of_row.iter().enumerate() {
            let x = pass.value(node);
            let last = index + 1 == split.of_row.len();
            let from = if by_row || index > 0 { Start::Add } else { Start::Bias(shared) };
            let weights = weights_of(pass, linear, (start, x.cols));
            product::forward(x, weights, from, linear.relu && last, &mut y);
        }
    }

    /// Asks for values of a key that are read soon.
    #[inline(always)]
    fn ask_for(&self, key: u32, at: usize, len: usize) {
        let chunk = &self.chunks[key as usize / CHUNK];
        kernels::prefetch(chunk, place(key as usize, at, len).start, len);
    }

    /// Makes the block as many rows long as there are keys: for each, the pattern's rows of the domains below again.
    fn repeat(&self, model: &Model<T>, keys: usize, memory: &mut FrozenWorkspace<T>) {
        let (plan, FrozenWorkspace { pattern, block, rows, .. }) = (&*self.plan, memory);
        if *rows == keys {
            return;
        }
        *rows = keys;
        let repeated = |domain: usize| plan.repeated[domain];
        block.clear();
        for (domain, n) in block.rows.iter_mut().enumerate() {
            let own = pattern.rows[domain];
            *n = if repeated(domain) || domain == plan.keyed.domain.0 { own * keys } else { own };
        }
        for (site, (to, ids)) in model.sites.iter().zip(block.ids.iter_mut().zip(&pattern.ids)) {
            if repeated(site.domain.0) {
                (0..keys).for_each(|_| to.extend_from_slice(ids));
            }
        }
        for (input, (to, values)) in
            model.inputs.iter().zip(block.inputs.iter_mut().zip(&pattern.inputs))
        {
            if repeated(input.domain.0) {
                (0..keys).for_each(|_| to.extend_from_slice(values));
            }
        }
        for (map, (to, parents)) in model.maps.iter().zip(block.maps.iter_mut().zip(&pattern.maps))
        {
            if repeated(map.child.0) {
                let parent = map.parent.0;
                let moves = repeated(parent) || parent == plan.keyed.domain.0;
                let step = if moves { pattern.rows[parent] as u32 } else { 0 };
                (0..keys as u32).for_each(|i| to.extend(parents.iter().map(|p| p + i * step)));
            }
        }
    }

    /// Appends the values of a node: one row per key of the last [`Frozen::forward`], or the rows that the visit has by
    /// itself.
    pub fn append(
        &self,
        model: &Model<T>,
        node: NodeId,
        memory: &FrozenWorkspace<T>,
        out: &mut Vec<T>,
    ) {
        let n = &model.nodes[node.0];
        let (values, plan) = (&memory.workspace.values[n.buffer], &*self.plan);
        let in_block = n.domain == plan.keyed.domain || plan.repeated[n.domain.0];
        let rows =
            if in_block { &memory.block } else { &memory.pattern }.rows[n.domain.0] * n.repeat;
        if n.stride == n.cols && !plan.alike[node.0] {
            out.extend_from_slice(&values[n.offset..n.offset + rows * n.cols]);
            return;
        }
        for row in 0..rows {
            let start = n.offset + if plan.alike[node.0] { 0 } else { row * n.stride };
            out.extend_from_slice(&values[start..start + n.cols]);
        }
    }
}

impl<T: Real> Delta<T> {
    /// Computes the products of rows that are picked and were not before.
    fn make_ready(
        &mut self,
        pass: &Pass<'_, T>,
        linear: &Linear,
        (columns, usual): (&[(usize, usize)], &[T]),
        values: &[T],
        picks: &[u32],
    ) {
        for &pick in picks {
            let pick = pick as usize;
            if pick == 0 || std::mem::replace(&mut self.ready[pick], true) {
                continue;
            }
            let row = &values[pick * usual.len()..][..usual.len()];
            let all = pass.transposed(linear.weight);
            let product = &mut self.products[pick * all.cols..][..all.cols];
            product.fill(T::ZERO);
            vectorised(
                #[inline(always)]
                || {
                    for &(place, column) in columns {
                        kernels::axpy(product, row[place] - usual[place], all.row(column));
                    }
                },
            );
        }
    }
}
