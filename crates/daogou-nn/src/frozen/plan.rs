//! What of a model depends on keys, what on the pattern, and what on both.

use super::{InputOf, Keyed};
use crate::graph::{Model, NodeId};
use crate::layers::{Given, Linear, Picked};
use crate::real::Real;

/// What the rows of a node depend on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Depends {
    /// On the pattern: one row, which stands for all rows of the keyed domain.
    Pattern,
    /// On the key of a row.
    Key,
    /// On both: computed row by row.
    Row,
}

/// A part of what a linear layer reads, and the first of its columns of the weights.
pub(super) type Part = (NodeId, usize);

/// A linear layer in parts: `y = kept[key] + shared + Σ delta[row of the key's group] + Σ W_r·x_r`.
pub(super) struct Split {
    pub(super) op: usize,
    pub(super) out: NodeId,
    /// Multiplied once per key.
    pub(super) of_key: Vec<Part>,
    /// Small tables of whose products a key picks a row.
    pub(super) key_picks: Vec<Picked>,
    /// Where the sum of these, with the bias, stands among the values of a key; `None`: nothing depends on keys.
    pub(super) at: Option<usize>,
    /// Multiplied once per visit.
    pub(super) of_pattern: Vec<Part>,
    pub(super) pattern_picks: Vec<Picked>,
    /// Per group that is read: places in the group's rows, each with the column of the weights that it meets.
    pub(super) groups: Vec<(usize, Vec<(usize, usize)>)>,
    /// Multiplied row by row.
    pub(super) of_row: Vec<Part>,
}

/// What is done for some keys, in this order.
pub(super) enum Step {
    /// An op as it is.
    Op(usize),
    /// A linear layer in parts.
    Split(usize),
    /// A dense input, from the rows of its group.
    Fill { node: NodeId, group: usize, place: usize },
}

/// A node whose values are kept per key.
pub(super) struct Kept {
    pub(super) node: NodeId,
    /// Where they stand among the values of a key, and how many there are.
    pub(super) at: usize,
    pub(super) len: usize,
}

/// How a model is computed once its keys are frozen.
pub(super) struct Plan<T> {
    pub(super) keyed: Keyed<T>,
    /// Ops run once per key.
    pub(super) key_ops: Vec<usize>,
    /// Ops run once per visit.
    pub(super) pattern_ops: Vec<usize>,
    pub(super) steps: Vec<Step>,
    pub(super) splits: Vec<Split>,
    pub(super) kept: Vec<Kept>,
    /// Nodes of the pattern that some op reads as rows of a buffer.
    pub(super) spread: Vec<NodeId>,
    /// By node: its first row stands for all.
    pub(super) alike: Vec<bool>,
    /// By domain: for each key it has the pattern's rows again.
    pub(super) repeated: Vec<bool>,
    /// Values per key.
    pub(super) width: usize,
}

struct Planner<'m, T> {
    model: &'m Model<T>,
    keyed: &'m Keyed<T>,
    /// Per node: the op that computes it.
    made_by: Vec<Option<usize>>,
    /// Per domain: its rows belong to rows of the keyed domain.
    family: Vec<bool>,
    /// Per domain: which rows a row has is told by its key.
    constant: Vec<bool>,
    depends: Vec<Depends>,
    /// Per op: how it is computed in parts.
    splits: Vec<Option<Split>>,
    /// Per op: somebody reads what it computes.
    runs: Vec<bool>,
    kept: Vec<NodeId>,
    spread: Vec<NodeId>,
}

impl<T: Real> Plan<T> {
    pub(super) fn new(model: &Model<T>, keyed: Keyed<T>) -> Self {
        let mut planner = Planner::new(model, &keyed);
        (0..model.ops.len()).for_each(|op| planner.classify(op));
        for output in &keyed.outputs {
            planner.ask(*output, false);
        }
        let node_depends: Vec<Depends> =
            (0..model.nodes.len()).map(|node| planner.depends(NodeId(node))).collect();
        let Planner { family, constant, runs, splits, kept, spread, .. } = planner;
        let mut width = 0;
        let mut place = |len: usize| {
            width += len;
            width - len
        };
        let (mut key_ops, mut pattern_ops) = (Vec::new(), Vec::new());
        let (mut steps, mut planned) = (Vec::new(), Vec::new());
        for (index, split) in splits.into_iter().enumerate().filter(|(index, _)| runs[*index]) {
            let op = &model.ops[index];
            let out = op.output();
            match (node_depends[out.0], split) {
                (Depends::Key, _) => key_ops.push(index),
                (Depends::Pattern, _) => pattern_ops.push(index),
                (Depends::Row, Some(mut split)) => {
                    let keyed = !split.of_key.is_empty() || !split.key_picks.is_empty();
                    split.at = keyed.then(|| place(model.nodes[out.0].cols));
                    steps.push(Step::Split(planned.len()));
                    planned.push(split);
                }
                (Depends::Row, None) => {
                    let domain = model.nodes[out.0].domain.0;
                    assert!(!constant[domain], "rows that a key tells depend on something else");
                    steps.push(match op.given().map(|given| keyed.of(given)) {
                        Some(InputOf::Group { group, place }) => {
                            Step::Fill { node: out, group, place }
                        }
                        _ => Step::Op(index),
                    });
                }
            }
        }
        let keep = |node: NodeId| {
            let len = model.nodes[node.0].cols * model.nodes[node.0].repeat;
            Kept { node, at: place(len), len }
        };
        Self {
            kept: kept.into_iter().map(keep).collect(),
            key_ops,
            pattern_ops,
            steps,
            splits: planned,
            spread,
            alike: (0..model.nodes.len())
                .map(|node| {
                    node_depends[node] == Depends::Pattern
                        && model.nodes[node].domain == keyed.domain
                })
                .collect(),
            repeated: (0..model.domains.len())
                .map(|d| family[d] && !constant[d] && d != keyed.domain.0)
                .collect(),
            width,
            keyed,
        }
    }
}

impl<T> Keyed<T> {
    /// What a part of a micro-batch depends on.
    pub(super) fn of(&self, given: Given) -> InputOf {
        let of = |key: bool| if key { InputOf::Key } else { InputOf::Pattern };
        match given {
            Given::Site(site) => of(self.sites[site]),
            Given::Input(input) => self.inputs[input.0],
            Given::Map(map) => of(self.maps[map.0]),
        }
    }
}

impl<'m, T: Real> Planner<'m, T> {
    fn new(model: &'m Model<T>, keyed: &'m Keyed<T>) -> Self {
        let mut made_by = vec![None; model.nodes.len()];
        for (index, op) in model.ops.iter().enumerate() {
            made_by[op.output().0] = Some(index);
        }
        let mut family = vec![false; model.domains.len()];
        let mut constant = family.clone();
        family[keyed.domain.0] = true;
        // A map may be declared before the one that makes its parent one of the family.
        for _ in 0..model.domains.len() {
            for (map, of_key) in model.maps.iter().zip(&keyed.maps) {
                family[map.child.0] |= family[map.parent.0];
                constant[map.child.0] |= *of_key;
            }
        }
        Self {
            made_by,
            family,
            constant,
            depends: vec![Depends::Pattern; model.nodes.len()],
            splits: model.ops.iter().map(|_| None).collect(),
            runs: vec![false; model.ops.len()],
            kept: Vec::new(),
            spread: Vec::new(),
            model,
            keyed,
        }
    }

    /// What a node depends on, once the ops before it are classified.
    fn depends(&self, node: NodeId) -> Depends {
        if self.made_by[node.0].is_some() {
            return self.depends[node.0];
        }
        // Ops that were dropped leave nodes that nobody reads.
        let Some((of, reshaped)) = self.model.nodes[node.0].seen() else { return Depends::Pattern };
        match self.depends(of) {
            // Several rows per row: no single one stands for them.
            Depends::Pattern if reshaped && self.family[self.model.nodes[of.0].domain.0] => {
                Depends::Row
            }
            depends => depends,
        }
    }

    fn classify(&mut self, index: usize) {
        let op = &self.model.ops[index];
        let out = op.output();
        let node = &self.model.nodes[out.0];
        let domain = node.domain;
        let mut seen = [false; 3];
        op.inputs().iter().for_each(|input| seen[self.depends(*input) as usize] = true);
        let mut of = |given: Given| match self.keyed.of(given) {
            InputOf::Pattern => seen[Depends::Pattern as usize] = true,
            InputOf::Key => seen[Depends::Key as usize] = true,
            InputOf::Group { .. } => seen[Depends::Row as usize] = true,
        };
        op.given().into_iter().for_each(&mut of);
        let linear = op.as_linear();
        for picked in linear.iter().flat_map(|linear| &linear.picked) {
            if let Picked::Table { projection } = *picked {
                of(Given::Site(self.model.projections[projection].site));
            }
        }
        let joined = match seen {
            [_, false, false] => Depends::Pattern,
            [false, true, false] => Depends::Key,
            _ => Depends::Row,
        };
        if !self.family[domain.0] {
            assert_eq!(joined, Depends::Pattern, "rows of another domain depend on keys");
            return;
        }
        let single = domain == self.keyed.domain && node.repeat == 1;
        self.depends[out.0] = match joined {
            Depends::Pattern if !single => Depends::Row,
            Depends::Key if domain != self.keyed.domain && !self.constant[domain.0] => Depends::Row,
            joined => joined,
        };
        if let (Depends::Row, true, Some(linear)) = (self.depends[out.0], single, linear) {
            self.splits[index] = self.split(index, linear);
        }
    }

    /// A layer in parts; `None` where it reads nothing but what is computed row by row.
    fn split(&self, op: usize, linear: &Linear) -> Option<Split> {
        let mut split = Split {
            op,
            out: linear.out,
            of_key: Vec::new(),
            key_picks: Vec::new(),
            at: None,
            of_pattern: Vec::new(),
            pattern_picks: Vec::new(),
            groups: Vec::new(),
            of_row: Vec::new(),
        };
        for picked in &linear.picked {
            let of_key = match *picked {
                Picked::Table { projection } => {
                    self.keyed.sites[self.model.projections[projection].site]
                }
                Picked::Parent { product, .. } => {
                    assert_eq!(self.depends(product), Depends::Pattern, "a parent of the family");
                    false
                }
            };
            if of_key { &mut split.key_picks } else { &mut split.pattern_picks }.push(*picked);
        }
        self.flatten(linear.x, 0, &mut |node, start| {
            let given = self.made_by[node.0].and_then(|op| self.model.ops[op].given());
            if let Some(InputOf::Group { group, place }) = given.map(|given| self.keyed.of(given)) {
                let known = split.groups.iter().position(|(known, _)| *known == group);
                let known = known.unwrap_or_else(|| {
                    split.groups.push((group, Vec::new()));
                    split.groups.len() - 1
                });
                let cols = self.model.nodes[node.0].cols;
                split.groups[known].1.extend((0..cols).map(|c| (place + c, start + c)));
                return;
            }
            let parts = match self.depends(node) {
                Depends::Key => &mut split.of_key,
                Depends::Pattern => &mut split.of_pattern,
                Depends::Row => &mut split.of_row,
            };
            parts.push((node, start));
        });
        let plain = split.of_key.is_empty()
            && split.of_pattern.is_empty()
            && split.groups.is_empty()
            && linear.picked.is_empty();
        (!plain).then_some(split)
    }

    /// The parts of concatenations of concatenations, with their first columns.
    fn flatten(&self, node: NodeId, start: usize, push: &mut impl FnMut(NodeId, usize)) {
        let parts = self.made_by[node.0].and_then(|op| self.model.ops[op].parts());
        let Some(parts) = parts else { return push(node, start) };
        let mut start = start;
        for part in parts {
            self.flatten(*part, start, push);
            start += self.model.nodes[part.0].cols;
        }
    }

    /// Somebody reads a node row by row; `buffer`: past its own view, so that every row must be written.
    fn ask(&mut self, node: NodeId, buffer: bool) {
        match self.depends(node) {
            Depends::Pattern => {
                if buffer
                    && self.family[self.model.nodes[node.0].domain.0]
                    && !self.spread.contains(&node)
                {
                    self.spread.push(node);
                }
                self.run(node);
            }
            Depends::Key if self.kept.contains(&node) => {}
            Depends::Key => {
                self.kept.push(node);
                self.run(node);
            }
            Depends::Row => self.run(node),
        }
    }

    /// Marks what computes a node, and all that this reads.
    fn run(&mut self, node: NodeId) {
        let Some(index) = self.made_by[node.0] else {
            let (of, reshaped) = self.model.nodes[node.0].seen().expect("a node that is computed");
            return if self.depends(node) == Depends::Row {
                self.ask(of, reshaped);
            } else {
                self.run(of);
            };
        };
        if std::mem::replace(&mut self.runs[index], true) {
            return;
        }
        let op = &self.model.ops[index];
        if self.depends[node.0] != Depends::Row {
            // Computed as a whole where its inputs are: once per key, or once per visit.
            return op.inputs().into_iter().for_each(|input| self.run(input));
        }
        if let Some(split) = &self.splits[index] {
            let products = split.pattern_picks.iter().filter_map(|picked| match picked {
                Picked::Parent { product, .. } => Some(*product),
                Picked::Table { .. } => None,
            });
            let before = split.of_key.iter().chain(&split.of_pattern).map(|(node, _)| *node);
            let before: Vec<NodeId> = before.chain(products).collect();
            let rows: Vec<NodeId> = split.of_row.iter().map(|(node, _)| *node).collect();
            before.into_iter().for_each(|node| self.run(node));
            return rows.into_iter().for_each(|node| self.ask(node, false));
        }
        // A concatenation does not copy what was computed in its place.
        let joins = op.parts().is_some();
        op.inputs().into_iter().for_each(|input| self.ask(input, joins));
    }
}
