//! A model as a graph of ops, built once in forward style; the backward pass is the engine's.

mod representation;

use std::ops::Range;

pub(crate) use representation::Representation;

use crate::embedding::TableSpec;
use crate::init::Init;
use crate::layers::{self, Activation, Op};
use crate::loss::{self, Loss, Target};
use crate::matrix::row_distance;
use crate::projection::{Projection, Weight};
use crate::real::Real;

/// A part of what a layer reads, with its columns of the layer's weights.
type Part = (NodeId, Range<usize>);

/// A kind of row: requests, impressions, past events.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DomainId(pub usize);

/// Rows of the largest table whose products are shared; beyond that a step touches too few of them.
const SMALL_TABLE: usize = 256;

/// The buffer of nodes that were dropped.
pub(crate) const NOWHERE: usize = usize::MAX;

/// A matrix in the graph: one row per row of its domain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NodeId(pub usize);

/// An embedding table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TableId(pub usize);

/// A dense input: values given with each micro-batch, without gradient.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InputId(pub usize);

/// A map from each row of a child domain to a row of a parent domain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MapId(pub usize);

/// A dense parameter: `rows × cols` values, row-major, at `offset` of the flat parameter vector.
#[derive(Clone, Debug)]
pub struct Param {
    /// Name as in a PyTorch state dict, e.g. `shared_net.0.weight`.
    pub name: String,
    /// Output units, or length of a vector.
    pub rows: usize,
    /// Input units; 0 marks a vector.
    pub cols: usize,
    pub(crate) offset: usize,
    pub(crate) init: Init,
}

impl Param {
    /// Number of values.
    pub fn len(&self) -> usize {
        self.rows * self.cols.max(1)
    }

    /// Whether it has no values.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Where its values stand in the flat vector.
    pub fn range(&self) -> Range<usize> {
        self.offset..self.offset + self.len()
    }
}

/// Index of a parameter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ParamId(pub(crate) usize);

/// Where a node's values are.
#[derive(Clone, Debug)]
pub(crate) struct Node {
    pub(crate) domain: DomainId,
    /// Rows per row of the domain (the fields of a row seen as rows of their own).
    pub(crate) repeat: usize,
    pub(crate) cols: usize,
    pub(crate) buffer: usize,
    pub(crate) offset: usize,
    pub(crate) stride: usize,
    view: View,
    source: Source,
    /// A view of another node that no gradient goes back through.
    detached: bool,
    /// Read by layers through its parts instead.
    bypassed: bool,
    /// Rows must follow each other without a gap, because the node is also seen in another shape.
    packed: bool,
}

impl Node {
    /// The node whose values these are, for nodes that no op computes, and whether they are seen in another shape.
    pub(crate) fn seen(&self) -> Option<(NodeId, bool)> {
        match self.view {
            View::Own => None,
            View::Columns(of, _) => Some((of, false)),
            View::Reshape(of) => Some((of, true)),
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum View {
    /// Has its own buffer.
    Own,
    /// Columns `start..` of another node, which holds the memory.
    Columns(NodeId, usize),
    /// The same memory in another shape.
    Reshape(NodeId),
}

/// Where a node's values come from, as far as linear layers can make use of it.
#[derive(Clone, Debug)]
enum Source {
    Other,
    /// Parts side by side.
    Concat(Vec<NodeId>),
    /// A row of a table, by the ids of a lookup.
    Table(TableId, usize),
    /// A row of the parent domain.
    Parent(NodeId, MapId),
    /// The softmax of a node.
    Softmax(NodeId),
    /// Experts, weighed by a gate.
    Mixture(NodeId, Vec<NodeId>),
}

#[derive(Clone, Debug)]
pub(crate) struct Buffer {
    pub(crate) domain: DomainId,
    /// Values per row of the domain.
    pub(crate) row_len: usize,
}

/// One place where a table is read.
#[derive(Clone, Debug)]
pub(crate) struct Site {
    pub(crate) table: TableId,
    pub(crate) domain: DomainId,
}

#[derive(Clone, Debug)]
pub(crate) struct Input {
    pub(crate) domain: DomainId,
    pub(crate) cols: usize,
    /// Read by an op, not by losses alone.
    pub(crate) forward: bool,
}

#[derive(Clone, Debug)]
pub(crate) struct Map {
    pub(crate) child: DomainId,
    pub(crate) parent: DomainId,
}

/// A loss: its name, the op and the input that weighs its rows.
pub(crate) struct LossSpec<T> {
    pub(crate) name: String,
    pub(crate) op: Box<dyn Loss<T>>,
    pub(crate) weight: Option<InputId>,
    pub(crate) domain: DomainId,
}

/// How an op hands a gradient to one of its inputs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum GradMode {
    /// Nothing behind it learns.
    Skip,
    /// First to write.
    Assign,
    /// Adds to what is there.
    Add,
}

/// One way for gradients to go back through a graph.
#[derive(Clone, Debug)]
pub(crate) struct Backward {
    /// Per loss: how it hands its gradient to what it reads; none: no gradient starts there.
    pub(crate) losses: Vec<Option<Vec<GradMode>>>,
    /// Per op: is its output's gradient ever written, and how it passes gradients on.
    pub(crate) ops: Vec<Option<Vec<GradMode>>>,
    /// Per op: columns of its output that no loss reaches and that must be zero before its backward pass.
    pub(crate) unreached: Vec<Vec<NodeId>>,
    /// Per op: inputs that come out of ReLU and whose gradient it is the last to write. It applies ReLU's derivative on the
    /// way, which saves the layer a pass over memory.
    pub(crate) cuts: Vec<Vec<NodeId>>,
    /// Per op: whether all of its output's gradient arrives so.
    pub(crate) arrives_cut: Vec<bool>,
    /// Per op: columns of its first input from the first to the last behind which something learns.
    pub(crate) wanted: Vec<usize>,
    /// By node: whether its gradient is written.
    written: Vec<bool>,
}

/// A model under construction. Methods return the node they made.
pub struct Graph<T = f32> {
    domains: Vec<String>,
    nodes: Vec<Node>,
    ops: Vec<Box<dyn Op<T>>>,
    params: Vec<Param>,
    weights: Vec<Weight>,
    projections: Vec<Projection>,
    /// Linear layers that read only part of a concatenation: its parts, and the node that has them side by side.
    remainders: Vec<(Vec<NodeId>, NodeId)>,
    small_table: usize,
    n_values: usize,
    n_derived: usize,
    /// Gradient values besides those of parameters.
    n_beside: usize,
    tables: Vec<TableSpec>,
    sites: Vec<Site>,
    inputs: Vec<Input>,
    maps: Vec<Map>,
    losses: Vec<LossSpec<T>>,
    /// What losses share, as far as it was declared.
    shared: Vec<NodeId>,
}

/// A finished graph: the plan the engine runs.
pub struct Model<T = f32> {
    pub(crate) domains: Vec<String>,
    pub(crate) nodes: Vec<Node>,
    pub(crate) buffers: Vec<Buffer>,
    pub(crate) ops: Vec<Box<dyn Op<T>>>,
    /// The way back from all losses to all that learns.
    pub(crate) backward: Backward,
    /// Where the gradients of several losses meet, if the model says so.
    pub(crate) representation: Option<Representation>,
    pub(crate) params: Vec<Param>,
    pub(crate) weights: Vec<Weight>,
    pub(crate) projections: Vec<Projection>,
    pub(crate) n_values: usize,
    pub(crate) n_derived: usize,
    /// Values of a gradient vector: parameters, then what layers leave beside them.
    pub(crate) n_grads: usize,
    /// The parts of it that passes write; the others follow once, from the sum over all shards.
    pub(crate) by_passes: Vec<Range<usize>>,
    /// Per table: where its gradients stand among those of projected tables.
    pub(crate) projected: Vec<Option<usize>>,
    pub(crate) tables: Vec<TableSpec>,
    pub(crate) sites: Vec<Site>,
    pub(crate) inputs: Vec<Input>,
    pub(crate) maps: Vec<Map>,
    pub(crate) losses: Vec<LossSpec<T>>,
}

impl<T: Real> Default for Graph<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T: Real> Graph<T> {
    /// An empty graph.
    pub fn new() -> Self {
        Self {
            domains: Vec::new(),
            nodes: Vec::new(),
            ops: Vec::new(),
            params: Vec::new(),
            weights: Vec::new(),
            projections: Vec::new(),
            remainders: Vec::new(),
            small_table: SMALL_TABLE,
            n_values: 0,
            n_derived: 0,
            n_beside: 0,
            tables: Vec::new(),
            sites: Vec::new(),
            inputs: Vec::new(),
            maps: Vec::new(),
            losses: Vec::new(),
            shared: Vec::new(),
        }
    }

    /// Linear layers multiply tables of up to `rows` rows once per step instead of once per sample, and rows of a parent
    /// domain once per parent (`projection.rs`); 0 turns both off. Changes the order of additions only. Default: 256.
    pub fn share_products(&mut self, rows: usize) {
        self.small_table = rows;
    }

    /// Declares a kind of row.
    pub fn domain(&mut self, name: &str) -> DomainId {
        self.domains.push(name.into());
        DomainId(self.domains.len() - 1)
    }

    /// Declares a map: each row of `child` belongs to one row of `parent`.
    pub fn map(&mut self, child: DomainId, parent: DomainId) -> MapId {
        self.maps.push(Map { child, parent });
        MapId(self.maps.len() - 1)
    }

    /// Declares an embedding table of `rows × dim`.
    pub fn table(&mut self, name: &str, rows: usize, dim: usize, init: Init) -> TableId {
        assert!(rows > 0 && dim > 0, "table `{name}` of {rows} x {dim}");
        self.tables.push(TableSpec { name: name.into(), rows, dim, init });
        TableId(self.tables.len() - 1)
    }

    /// Declares values given with each micro-batch.
    pub fn input(&mut self, domain: DomainId, cols: usize) -> InputId {
        self.inputs.push(Input { domain, cols, forward: false });
        InputId(self.inputs.len() - 1)
    }

    /// Number of columns of a node.
    pub fn cols(&self, node: NodeId) -> usize {
        self.nodes[node.0].cols
    }

    fn node(&mut self, domain: DomainId, repeat: usize, cols: usize) -> NodeId {
        assert!(cols > 0, "a node without columns");
        let node = Node {
            domain,
            repeat,
            cols,
            buffer: 0,
            offset: 0,
            stride: 0,
            view: View::Own,
            source: Source::Other,
            detached: false,
            bypassed: false,
            packed: false,
        };
        self.nodes.push(node);
        NodeId(self.nodes.len() - 1)
    }

    fn like(&mut self, node: NodeId, cols: usize) -> NodeId {
        let (domain, repeat) = (self.nodes[node.0].domain, self.nodes[node.0].repeat);
        self.node(domain, repeat, cols)
    }

    fn push(&mut self, op: impl Op<T> + 'static) {
        self.ops.push(Box::new(op));
    }

    fn param(&mut self, name: String, rows: usize, cols: usize, init: Init) -> ParamId {
        assert!(self.params.iter().all(|p| p.name != name), "two parameters named `{name}`");
        let param = Param { name, rows, cols, offset: self.n_values, init };
        self.n_values += param.len();
        self.params.push(param);
        ParamId(self.params.len() - 1)
    }

    /// Rows of `table`, one per row of `domain`: `[rows, dim]`. Also opens the next entry of [`crate::Micro::ids`].
    pub fn lookup(&mut self, table: TableId, domain: DomainId) -> NodeId {
        let out = self.node(domain, 1, self.tables[table.0].dim);
        self.sites.push(Site { table, domain });
        self.nodes[out.0].source = Source::Table(table, self.sites.len() - 1);
        self.push(layers::Lookup { table, site: self.sites.len() - 1, out });
        out
    }

    /// The values of `input` as a node: `[rows, cols]`.
    pub fn dense(&mut self, input: InputId) -> NodeId {
        let Input { domain, cols, .. } = self.inputs[input.0];
        self.inputs[input.0].forward = true;
        let out = self.node(domain, 1, cols);
        self.push(layers::Dense { input, out });
        out
    }

    /// The columns of `parts` side by side: `[rows, Σ cols]`. Costs nothing where a part is used nowhere else.
    pub fn concat(&mut self, parts: &[NodeId]) -> NodeId {
        if let [only] = parts {
            return *only;
        }
        let cols = parts.iter().map(|p| self.cols(*p)).sum();
        let out = self.like(parts[0], cols);
        for part in parts {
            self.same_rows(*part, out);
        }
        self.nodes[out.0].source = Source::Concat(parts.to_vec());
        self.push(layers::Concat { parts: parts.to_vec(), placed: vec![false; parts.len()], out });
        out
    }

    /// `activation(x · Wᵀ + b)`: `[rows, units]`, with parameters `{name}.weight` `[units, cols]` and `{name}.bias`.
    pub fn linear(
        &mut self,
        name: &str,
        x: NodeId,
        units: usize,
        activation: Activation,
    ) -> NodeId {
        self.linear_group(&[(name, units)], x, activation)[0]
    }

    /// Several linear layers on the same input, computed as one product; each keeps its own parameter names.
    pub fn linear_group(
        &mut self,
        heads: &[(&str, usize)],
        x: NodeId,
        activation: Activation,
    ) -> Vec<NodeId> {
        let inputs = self.cols(x);
        let init = if activation == Activation::None {
            Init::Uniform((3.0 / inputs as f64).sqrt())
        } else {
            Init::he(inputs)
        };
        let weights: Vec<ParamId> = heads
            .iter()
            .map(|(name, units)| self.param(format!("{name}.weight"), *units, inputs, init))
            .collect();
        let biases: Vec<ParamId> = heads
            .iter()
            .map(|(name, units)| self.param(format!("{name}.bias"), *units, 0, Init::Constant(0.0)))
            .collect();
        let units = heads.iter().map(|(_, units)| units).sum();
        let out = self.like(x, units);
        let fused =
            if activation == Activation::Relu { Activation::Relu } else { Activation::None };
        let offset = self.params[weights[0].0].offset;
        let bias = self.params[biases[0].0].offset;
        let (x, columns, shared) = self.own_and_shared(x);
        let weight = |columns| Weight {
            offset,
            units,
            cols: inputs,
            columns,
            transposed: 0,
            gathered: None,
        };
        // The bias is added to the first product that rows pick from: there are fewer of them, and its gradient is a sum
        // over theirs.
        let mut bias = Some(bias);
        let picked = shared
            .into_iter()
            .map(|(part, columns)| self.pick(part, weight(vec![columns]), bias.take()))
            .collect();
        let weight = self.weight(weight(columns));
        let relu = fused == Activation::Relu;
        self.push(layers::Linear { x, out, weight, bias, relu, picked });
        let result = if fused == activation { out } else { self.activation(out, activation) };
        let widths: Vec<usize> = heads.iter().map(|(_, units)| *units).collect();
        self.columns(result, &widths)
    }

    /// A node cut into neighbours of the given widths. From then on only they may be read. Costs nothing.
    ///
    /// # Panics
    ///
    /// If the widths do not add up to the columns of `x`.
    pub fn columns(&mut self, x: NodeId, widths: &[usize]) -> Vec<NodeId> {
        assert_eq!(widths.iter().sum::<usize>(), self.cols(x), "all columns, each once");
        if widths.len() == 1 {
            return vec![x];
        }
        let mut start = 0;
        widths
            .iter()
            .map(|width| {
                let part = self.like(x, *width);
                self.nodes[part.0].view = View::Columns(x, start);
                start += width;
                part
            })
            .collect()
    }

    /// Other first values for the parameter `name`.
    ///
    /// # Panics
    ///
    /// If there is no such parameter.
    pub fn start(&mut self, name: &str, init: Init) {
        let param = self.params.iter_mut().find(|p| p.name == name);
        param.unwrap_or_else(|| panic!("no parameter `{name}`")).init = init;
    }

    /// What a layer on `x` multiplies for each row, with the columns of its weights, and the parts that rows share. Without
    /// shared parts, `x` itself.
    fn own_and_shared(&mut self, x: NodeId) -> (NodeId, Vec<Range<usize>>, Vec<Part>) {
        let (mut through, mut parts) = (Vec::new(), Vec::new());
        self.flatten(x, 0, &mut through, &mut parts);
        let (mut shared, mut own): (Vec<_>, Vec<_>) =
            parts.into_iter().partition(|(part, _)| self.is_shared(*part));
        if own.is_empty() && !shared.is_empty() {
            // A layer needs something to multiply.
            own.push(shared.remove(0));
        }
        if shared.is_empty() {
            let all = 0..self.cols(x);
            return (x, std::iter::once(all).collect(), shared);
        }
        through.extend(shared.iter().map(|(part, _)| *part));
        through.into_iter().for_each(|node| self.nodes[node.0].bypassed = true);
        let mut columns: Vec<Range<usize>> = Vec::new();
        for (_, range) in &own {
            match columns.last_mut() {
                Some(last) if last.end == range.start => last.end = range.end,
                _ => columns.push(range.clone()),
            }
        }
        let own: Vec<NodeId> = own.into_iter().map(|(part, _)| part).collect();
        let known = self.remainders.iter().find(|(parts, _)| *parts == own).map(|(_, node)| *node);
        let side_by_side = known.unwrap_or_else(|| {
            let node = self.concat(&own);
            self.remainders.push((own, node));
            node
        });
        (side_by_side, columns, shared)
    }

    /// The parts of a concatenation of concatenations, with their columns; also the concatenations gone `through`.
    fn flatten(&self, x: NodeId, start: usize, through: &mut Vec<NodeId>, parts: &mut Vec<Part>) {
        let Source::Concat(inner) = &self.nodes[x.0].source else {
            parts.push((x, start..start + self.cols(x)));
            return;
        };
        through.push(x);
        let mut start = start;
        for part in inner {
            self.flatten(*part, start, through, parts);
            start += self.cols(*part);
        }
    }

    /// Whether a layer had better multiply the rows that `part` picks from than the rows picked. A narrow part costs less
    /// than the addition that would replace it.
    fn is_shared(&self, part: NodeId) -> bool {
        let wide = self.cols(part) >= 4;
        match self.nodes[part.0].source {
            Source::Table(table, _) => wide && self.tables[table.0].rows <= self.small_table,
            Source::Parent(..) => wide && self.small_table > 0,
            _ => false,
        }
    }

    /// Plans the product of a shared part with its columns of a layer's weights, plus the `bias` if it is given.
    fn pick(&mut self, part: NodeId, weight: Weight, bias: Option<usize>) -> layers::Picked {
        let (units, weight) = (weight.units, self.weight(weight));
        match self.nodes[part.0].source {
            Source::Parent(x, map) => {
                let product = self.like(x, units);
                let (relu, picked) = (false, Vec::new());
                self.push(layers::Linear { x, out: product, weight, bias, relu, picked });
                layers::Picked::Parent { product, map }
            }
            Source::Table(table, site) => {
                let rows = self.tables[table.0].rows;
                let (values, grad) = (self.n_derived, self.n_beside);
                self.n_derived += (rows * units).next_multiple_of(16);
                self.n_beside += rows * units;
                self.projections.push(Projection {
                    table,
                    site,
                    weight,
                    bias,
                    rows,
                    values,
                    grad,
                    of_table: 0,
                });
                layers::Picked::Table { projection: self.projections.len() - 1 }
            }
            _ => unreachable!("not a shared part"),
        }
    }

    /// Plans where the derived values and the gradient of a weight stand.
    fn weight(&mut self, mut weight: Weight) -> usize {
        weight.transposed = self.n_derived;
        self.n_derived += weight.width() * row_distance(weight.units);
        if weight.columns.len() > 1 {
            weight.gathered = Some((self.n_derived, self.n_beside));
            let len = weight.units * row_distance(weight.width());
            self.n_derived += len;
            self.n_beside += len;
        }
        self.weights.push(weight);
        self.weights.len() - 1
    }

    /// A multi-layer perceptron; layer `i` is named `{name}.{2 i}`, as `torch.nn.Sequential(Linear, ReLU, …)` names it.
    pub fn mlp(
        &mut self,
        name: &str,
        x: NodeId,
        units: &[usize],
        activation: Activation,
    ) -> NodeId {
        units.iter().enumerate().fold(x, |x, (i, &units)| {
            self.linear(&format!("{name}.{}", 2 * i), x, units, activation)
        })
    }

    /// The activation of each value.
    pub fn activation(&mut self, x: NodeId, activation: Activation) -> NodeId {
        let out = self.like(x, self.cols(x));
        self.push(layers::Activate { x, out, activation });
        out
    }

    /// The values of `x` without a way back: nothing behind `x` learns from what reads this. Costs nothing.
    pub fn detach(&mut self, x: NodeId) -> NodeId {
        let out = self.like(x, self.cols(x));
        (self.nodes[out.0].view, self.nodes[out.0].detached) = (View::Columns(x, 0), true);
        out
    }

    /// `x · Wᵀ` without a bias: `[rows, units]`, with the parameter `{name}.weight`.
    pub fn linear_without_bias(&mut self, name: &str, x: NodeId, units: usize) -> NodeId {
        let inputs = self.cols(x);
        let init = Init::Uniform((3.0 / inputs as f64).sqrt());
        let weight = self.param(format!("{name}.weight"), units, inputs, init);
        let (offset, out) = (self.params[weight.0].offset, self.like(x, units));
        let columns = std::iter::once(0..inputs).collect();
        let cols = inputs;
        let weight =
            self.weight(Weight { offset, units, cols, columns, transposed: 0, gathered: None });
        self.push(layers::Linear { x, out, weight, bias: None, relu: false, picked: Vec::new() });
        out
    }

    /// Softmax over the columns of each row.
    pub fn softmax(&mut self, x: NodeId) -> NodeId {
        let out = self.like(x, self.cols(x));
        self.nodes[out.0].source = Source::Softmax(x);
        self.push(layers::Softmax { x, out });
        out
    }

    /// Layer normalisation of each row, with learned scale `{name}.weight` and shift `{name}.bias` (Ba et al. 2016).
    pub fn layer_norm(&mut self, name: &str, x: NodeId) -> NodeId {
        let cols = self.cols(x);
        let scale = self.param(format!("{name}.weight"), cols, 0, Init::Constant(1.0));
        let shift = self.param(format!("{name}.bias"), cols, 0, Init::Constant(0.0));
        let out = self.like(x, cols);
        self.push(layers::LayerNorm {
            x,
            out,
            scale: self.params[scale.0].offset,
            shift: self.params[shift.0].offset,
        });
        out
    }

    /// Sets a share `rate` of values to 0 in training and scales the others up (Srivastava et al. 2014).
    pub fn dropout(&mut self, x: NodeId, rate: f64) -> NodeId {
        assert!((0.0..1.0).contains(&rate), "dropout rate {rate}");
        if rate == 0.0 {
            return x;
        }
        let out = self.like(x, self.cols(x));
        let stream = self.ops.len() as u64;
        self.push(layers::Dropout { x, out, rate, stream });
        out
    }

    /// For each row of the map's child, the row of `x` it belongs to: `[child rows, cols]`.
    pub fn gather(&mut self, x: NodeId, map: MapId) -> NodeId {
        let Map { child, parent } = self.maps[map.0];
        assert_eq!(self.nodes[x.0].domain, parent, "gather reads the parent domain of its map");
        let out = self.node(child, 1, self.cols(x));
        self.nodes[out.0].source = Source::Parent(x, map);
        self.push(layers::Gather { x, out, map });
        out
    }

    /// For each row of the map's parent, the sum (or mean) of its children's rows; 0 where it has none.
    pub fn pool(&mut self, x: NodeId, map: MapId, mean: bool) -> NodeId {
        let Map { child, parent } = self.maps[map.0];
        assert_eq!(self.nodes[x.0].domain, child, "pool reads the child domain of its map");
        let out = self.node(parent, 1, self.cols(x));
        self.push(layers::Pool { x, out, map, mean });
        out
    }

    /// `a + b`.
    pub fn add(&mut self, a: NodeId, b: NodeId) -> NodeId {
        self.pointwise(a, b, layers::Pointwise::Add)
    }

    /// `a − b`.
    pub fn sub(&mut self, a: NodeId, b: NodeId) -> NodeId {
        self.pointwise(a, b, layers::Pointwise::Sub)
    }

    /// `a · b`, value by value; where `b` has one column it scales the whole row of `a`.
    pub fn mul(&mut self, a: NodeId, b: NodeId) -> NodeId {
        self.pointwise(a, b, layers::Pointwise::Mul)
    }

    fn pointwise(&mut self, a: NodeId, b: NodeId, kind: layers::Pointwise) -> NodeId {
        self.same_rows(a, b);
        let (ca, cb) = (self.cols(a), self.cols(b));
        assert!(ca == cb || (cb == 1 && kind == layers::Pointwise::Mul), "columns {ca} and {cb}");
        let out = self.like(a, ca);
        self.push(layers::Combine { a, b, out, kind });
        out
    }

    /// `Σ_{f<g} v_f · v_g`, value by value, over nodes of one shape: the pairwise interactions of a factorisation machine
    /// (Rendle 2010) before they are summed.
    ///
    /// # Panics
    ///
    /// Without parts, or where shapes differ.
    pub fn fm(&mut self, parts: &[NodeId]) -> NodeId {
        let out = self.like(parts[0], self.cols(parts[0]));
        for part in parts {
            self.same_rows(*part, out);
            assert_eq!(self.cols(*part), self.cols(out), "fields of one width");
        }
        self.push(layers::Fm { parts: parts.to_vec(), out });
        out
    }

    /// The mean of the columns of each part: `[rows, parts]`.
    ///
    /// # Panics
    ///
    /// Without parts, or where they have different rows.
    pub fn means(&mut self, parts: &[NodeId]) -> NodeId {
        let out = self.like(parts[0], parts.len());
        parts.iter().for_each(|part| self.same_rows(*part, out));
        self.push(layers::Means { parts: parts.to_vec(), out });
        out
    }

    /// `Σ_j gate_j · expert_j`: each row's own mixture of nodes of one shape, with one column of `gate` per expert.
    ///
    /// # Panics
    ///
    /// Without experts, or where shapes differ.
    pub fn mixture(&mut self, gate: NodeId, experts: &[NodeId]) -> NodeId {
        self.mixtures(&[gate], experts)[0]
    }

    /// The mixtures of several gates over the same experts, which are read once for two of them.
    ///
    /// # Panics
    ///
    /// Without gates or experts, or where shapes differ.
    pub fn mixtures(&mut self, gates: &[NodeId], experts: &[NodeId]) -> Vec<NodeId> {
        let cols = self.cols(experts[0]);
        for gate in gates {
            assert_eq!(self.cols(*gate), experts.len(), "one column of the gate per expert");
            self.same_rows(gates[0], *gate);
        }
        for expert in experts {
            self.same_rows(gates[0], *expert);
            assert_eq!(self.cols(*expert), cols, "experts of one width");
        }
        let out = self.like(gates[0], gates.len() * cols);
        self.push(layers::Mixture { gates: gates.to_vec(), experts: experts.to_vec(), out });
        let mixed =
            if gates.len() == 1 { vec![out] } else { self.columns(out, &vec![cols; gates.len()]) };
        for (mixed, gate) in mixed.iter().zip(gates) {
            self.nodes[mixed.0].source = Source::Mixture(*gate, experts.to_vec());
        }
        mixed
    }

    /// `Σ_f α_f v_f` over the fields of each row, with `α = softmax(⟨q_f, k_f⟩ / √cols)`: AITM's transfer (Xi et al.
    /// 2021). `q`, `k` and `v` have the rows of [`Graph::fields`]; the result has one row per `fields` of them.
    pub fn transfer(&mut self, q: NodeId, k: NodeId, v: NodeId, fields: usize) -> NodeId {
        let Node { domain, repeat, cols, .. } = self.nodes[q.0].clone();
        for other in [k, v] {
            self.same_rows(q, other);
            assert_eq!(self.cols(other), cols, "queries, keys and values have the same columns");
        }
        assert!(repeat.is_multiple_of(fields), "rows of {fields} fields");
        let out = self.node(domain, repeat / fields, cols);
        self.push(layers::Transfer { q, k, v, out, fields });
        out
    }

    /// The logit of `σ(joint) / σ(condition)`: of a step given the step before it, from the logits of both among all rows.
    pub fn conditional(&mut self, joint: NodeId, condition: NodeId) -> NodeId {
        self.same_rows(joint, condition);
        assert_eq!((self.cols(joint), self.cols(condition)), (1, 1), "logits of one column");
        let out = self.like(joint, 1);
        self.push(layers::Conditional { joint, condition, out });
        out
    }

    /// Declares `node` a part of the representation that losses share: where their gradients are compared, and where
    /// weights that are not the losses' own come in ([`crate::Engine::compare`], [`crate::Weighing::Shared`]). A mixture
    /// stands for its experts and its gate, a softmax for what it is taken of.
    pub fn represent(&mut self, node: NodeId) {
        match self.nodes[node.0].source.clone() {
            Source::Mixture(gate, experts) => {
                experts.into_iter().for_each(|expert| self.represent(expert));
                self.represent(gate);
            }
            Source::Softmax(x) => self.represent(x),
            _ if self.shared.contains(&node) => {}
            _ => self.shared.push(node),
        }
    }

    /// A row of `fields · dim` values seen as `fields` rows of `dim`: `[rows · fields, dim]`.
    pub fn fields(&mut self, x: NodeId, fields: usize) -> NodeId {
        let Node { domain, repeat, cols, view, .. } = self.nodes[x.0].clone();
        assert!(cols.is_multiple_of(fields), "{cols} columns in {fields} fields");
        assert_eq!(view, View::Own, "only a whole node can be seen as fields");
        self.nodes[x.0].packed = true;
        let out = self.node(domain, repeat * fields, cols / fields);
        self.nodes[out.0].view = View::Reshape(x);
        out
    }

    /// The inverse of [`Graph::fields`].
    pub fn unfields(&mut self, x: NodeId, fields: usize) -> NodeId {
        let Node { domain, repeat, cols, view, .. } = self.nodes[x.0].clone();
        assert!(repeat.is_multiple_of(fields), "{repeat} rows per row in {fields} fields");
        assert_eq!(view, View::Own, "only a whole node can be seen as rows");
        self.nodes[x.0].packed = true;
        let out = self.node(domain, repeat / fields, cols * fields);
        self.nodes[out.0].view = View::Reshape(x);
        out
    }

    /// Multi-head scaled dot-product attention among the fields of each row: `softmax(q kᵀ / √d) v` per head, with
    /// `d = cols / heads` (Vaswani et al. 2017; among fields: AutoInt, Song et al. 2019).
    pub fn attention(
        &mut self,
        q: NodeId,
        k: NodeId,
        v: NodeId,
        fields: usize,
        heads: usize,
    ) -> NodeId {
        let cols = self.cols(q);
        assert!(cols.is_multiple_of(heads), "{cols} columns in {heads} heads");
        for other in [k, v] {
            self.same_rows(q, other);
            assert_eq!(self.cols(other), cols, "queries, keys and values have the same columns");
        }
        assert!(self.nodes[q.0].repeat.is_multiple_of(fields), "rows of {fields} fields");
        let out = self.like(q, cols);
        self.push(layers::Attention { q, k, v, out, fields, heads });
        out
    }

    /// Binary cross-entropy of logits `[rows, 1]` against labels in `[0, 1]`.
    pub fn bce(&mut self, name: &str, logit: NodeId, label: InputId, weight: Option<InputId>) {
        self.loss(name, loss::Bce { logit, label, weight }, logit, &[(label, 1)], weight);
    }

    /// Binary cross-entropy of `σ(a)·σ(b)` against labels: ESMM's entire-space loss (Ma et al. 2018).
    pub fn bce_product(
        &mut self,
        name: &str,
        (a, b): (NodeId, NodeId),
        label: InputId,
        weight: Option<InputId>,
    ) {
        self.loss(name, loss::BceProduct { a, b, label, weight }, a, &[(label, 1)], weight);
    }

    /// Binary cross-entropy of `later` against labels, plus `price · max(σ(later) − σ(earlier), 0)`: AITM's loss of a later
    /// step of a funnel (Xi et al. 2021).
    pub fn bce_ordered(
        &mut self,
        name: &str,
        (earlier, later): (NodeId, NodeId),
        label: InputId,
        price: f64,
    ) {
        let op = loss::BceOrdered { earlier, later, label, price };
        self.loss(name, op, later, &[(label, 1)], None);
    }

    /// ESCM²'s loss of a purchase after a click (Wang et al. 2022): see [`Debiasing`](crate::Debiasing). `clicked` and
    /// `bought` are labels of every row. With `imputation`, the logit whose softplus estimates the purchase loss, it is
    /// doubly robust.
    pub fn escm2(
        &mut self,
        name: &str,
        (click, purchase, imputation): (NodeId, NodeId, Option<NodeId>),
        (clicked, bought): (InputId, InputId),
        debiasing: loss::Debiasing,
    ) {
        let op = loss::Escm2 { click, purchase, imputation, clicked, bought, debiasing };
        self.loss(name, op, purchase, &[(clicked, 1), (bought, 1)], None);
    }

    /// Weighed fake negatives: labels may come later (Ktena et al. 2019).
    pub fn fnw(&mut self, name: &str, logit: NodeId, label: InputId, weight: Option<InputId>) {
        self.loss(name, loss::Fnw { logit, label, weight }, logit, &[(label, 1)], weight);
    }

    /// Cross-entropy of `softmax(logits)` against a distribution per row (soft targets); a row of zeros costs nothing.
    pub fn cross_entropy(
        &mut self,
        name: &str,
        logits: NodeId,
        target: InputId,
        weight: Option<InputId>,
    ) {
        let cols = self.cols(logits);
        let op = loss::CrossEntropy { logits, target: Target::Shares(target), weight };
        self.loss(name, op, logits, &[(target, cols)], weight);
    }

    /// Cross-entropy of `softmax(logits)` against one class number per row; a negative number costs nothing.
    pub fn cross_entropy_class(
        &mut self,
        name: &str,
        logits: NodeId,
        class: InputId,
        weight: Option<InputId>,
    ) {
        let op = loss::CrossEntropy { logits, target: Target::Class(class), weight };
        self.loss(name, op, logits, &[(class, 1)], weight);
    }

    /// Squared error of `output` itself, without a link function.
    pub fn mse(&mut self, name: &str, output: NodeId, target: InputId, weight: Option<InputId>) {
        self.loss(name, loss::Mse { output, target, weight }, output, &[(target, 1)], weight);
    }

    /// Squared error of `σ(logit)` against a share in `[0, 1]`.
    pub fn mse_sigmoid(
        &mut self,
        name: &str,
        logit: NodeId,
        target: InputId,
        weight: Option<InputId>,
    ) {
        self.loss(name, loss::MseSigmoid { logit, target, weight }, logit, &[(target, 1)], weight);
    }

    fn loss(
        &mut self,
        name: &str,
        op: impl Loss<T> + 'static,
        node: NodeId,
        inputs: &[(InputId, usize)],
        weight: Option<InputId>,
    ) {
        let domain = self.nodes[node.0].domain;
        for (input, cols) in inputs.iter().copied().chain(weight.map(|w| (w, 1))) {
            let input = &self.inputs[input.0];
            assert!(
                input.domain == domain && input.cols == cols,
                "loss `{name}`: an input has another shape"
            );
        }
        self.losses.push(LossSpec { name: name.into(), op: Box::new(op), weight, domain });
    }

    fn same_rows(&self, a: NodeId, b: NodeId) {
        let (a, b) = (&self.nodes[a.0], &self.nodes[b.0]);
        assert!(a.domain == b.domain && a.repeat == b.repeat, "nodes of different rows");
    }

    /// Plans memory and the backward pass.
    pub fn finish(mut self) -> Model<T> {
        self.drop_bypassed();
        self.place_concats();
        let buffers = self.place_nodes();
        let learns = self.learns();
        let runs: Vec<bool> = self.ops.iter().map(|op| learns[op.output().0]).collect();
        let mut backward = self.plan_backward(&learns, &runs, |_| true);
        self.plan_cuts(&mut backward);
        let representation = self.plan_representation();
        let projected = self.place_gradients();
        let by_passes = self.written_by_passes();
        Model {
            domains: self.domains,
            nodes: self.nodes,
            buffers,
            ops: self.ops,
            backward,
            representation,
            params: self.params,
            weights: self.weights,
            projections: self.projections,
            n_values: self.n_values,
            n_derived: self.n_derived,
            n_grads: self.n_values + self.n_beside,
            by_passes,
            projected,
            tables: self.tables,
            sites: self.sites,
            inputs: self.inputs,
            maps: self.maps,
            losses: self.losses,
        }
    }

    /// Number of readers of each node: ops, losses and views.
    fn uses(&self) -> Vec<usize> {
        let mut uses = vec![0; self.nodes.len()];
        for op in &self.ops {
            op.inputs().iter().for_each(|n| uses[n.0] += 1);
        }
        for loss in &self.losses {
            loss.op.inputs().iter().for_each(|n| uses[n.0] += 1);
        }
        for node in &self.nodes {
            if let View::Columns(of, _) | View::Reshape(of) = node.view {
                uses[of.0] += 1;
            }
        }
        uses
    }

    /// Drops ops whose result nobody reads any more, because layers read its parts.
    fn drop_bypassed(&mut self) {
        loop {
            let (uses, before) = (self.uses(), self.ops.len());
            let nodes = &self.nodes;
            self.ops.retain(|op| {
                let out = op.output().0;
                uses[out] > 0 || !nodes[out].bypassed
            });
            if self.ops.len() == before {
                return;
            }
        }
    }

    /// Puts the gradients of layers after those of parameters, and gives every projected table a place for its own.
    fn place_gradients(&mut self) -> Vec<Option<usize>> {
        for weight in &mut self.weights {
            if let Some((_, grad)) = &mut weight.gathered {
                *grad += self.n_values;
            }
        }
        let mut places = vec![None; self.tables.len()];
        let mut next = 0;
        for projection in &mut self.projections {
            let table = projection.table.0;
            projection.of_table = *places[table].get_or_insert_with(|| {
                let place = next;
                next += projection.rows * self.tables[table].dim;
                place
            });
            projection.grad += self.n_values;
        }
        places
    }

    /// All of a gradient vector but the weights of which no column gets its gradient in place.
    fn written_by_passes(&self) -> Vec<Range<usize>> {
        let projected =
            |index| self.projections.iter().any(|projection| projection.weight == index);
        let in_place = |offset| {
            let mut weights = self.weights.iter().enumerate().filter(|(_, w)| w.offset == offset);
            weights.any(|(index, weight)| weight.gathered.is_none() && !projected(index))
        };
        let mut parts = Vec::new();
        let mut start = 0;
        // Those of one layer follow each other in the order of layers.
        for weight in &self.weights {
            if weight.offset >= start && !in_place(weight.offset) {
                parts.push(start..weight.offset);
                start = weight.offset + weight.units * weight.cols;
            }
        }
        parts.push(start..self.n_values + self.n_beside);
        parts
    }

    /// A part of a concatenation that nobody else reads is computed right where it is needed.
    fn place_concats(&mut self) {
        let uses = self.uses();
        for op in &mut self.ops {
            let Some((parts, placed, out)) = op.as_concat() else { continue };
            let mut start = 0;
            for (part, placed) in parts.iter().zip(placed) {
                let node = &mut self.nodes[part.0];
                if uses[part.0] == 1 && node.view == View::Own && !node.packed {
                    node.view = View::Columns(out, start);
                    *placed = true;
                }
                start += node.cols;
            }
        }
    }

    fn place_nodes(&mut self) -> Vec<Buffer> {
        let mut buffers = Vec::new();
        let stride_of = |node: &Node| {
            if node.packed || node.cols < 8 { node.cols } else { row_distance(node.cols) }
        };
        for i in 0..self.nodes.len() {
            if self.nodes[i].view == View::Own {
                let node = &mut self.nodes[i];
                if node.bypassed && !self.ops.iter().any(|op| op.output().0 == i) {
                    node.buffer = NOWHERE;
                    continue;
                }
                node.stride = stride_of(node);
                node.buffer = buffers.len();
                buffers.push(Buffer { domain: node.domain, row_len: node.repeat * node.stride });
            }
        }
        // Views may stand before or after what they view (a concatenation comes after its parts).
        let mut waiting: Vec<usize> =
            (0..self.nodes.len()).filter(|i| self.nodes[*i].view != View::Own).collect();
        while !waiting.is_empty() {
            let before = waiting.len();
            waiting.retain(|&i| {
                let (of, start) = match self.nodes[i].view {
                    View::Columns(of, start) => (of, start),
                    View::Reshape(of) => (of, 0),
                    View::Own => return false,
                };
                let base = self.nodes[of.0].clone();
                if base.stride == 0 {
                    return true;
                }
                let reshape = matches!(self.nodes[i].view, View::Reshape(_));
                let node = &mut self.nodes[i];
                node.buffer = base.buffer;
                node.offset = base.offset + start;
                node.stride = if reshape { node.cols } else { base.stride };
                false
            });
            assert!(waiting.len() < before, "views in a circle");
        }
        buffers
    }

    /// By node: whether anything behind it has parameters.
    fn learns(&self) -> Vec<bool> {
        let mut learns = vec![false; self.nodes.len()];
        for op in &self.ops {
            let own = op.has_parameters();
            let out = op.output();
            learns[out.0] = own || op.inputs().iter().any(|i| self.learns_through(&learns, *i));
        }
        learns
    }

    /// Walks the ops backwards once: who writes a gradient first, who adds, who is never reached. Gradients start at the
    /// losses that `starts` names, go to nodes that `learns` names, and through ops that `runs` names.
    fn plan_backward(
        &self,
        learns: &[bool],
        runs: &[bool],
        starts: impl Fn(usize) -> bool,
    ) -> Backward {
        let n = self.nodes.len();
        let mut written = vec![false; n];
        let mode = |written: &mut Vec<bool>, node: NodeId| {
            if !self.learns_through(learns, node) {
                return GradMode::Skip;
            }
            let root = root_of(&self.nodes, node);
            if std::mem::replace(&mut written[root.0], true) {
                GradMode::Add
            } else {
                GradMode::Assign
            }
        };
        let mut losses = vec![None; self.losses.len()];
        for (index, loss) in self.losses.iter().enumerate().filter(|(index, _)| starts(*index)) {
            let modes = loss.op.inputs().iter().map(|i| mode(&mut written, *i)).collect();
            losses[index] = Some(modes);
        }
        let mut ops = vec![None; self.ops.len()];
        let mut unreached = vec![Vec::new(); self.ops.len()];
        for index in (0..self.ops.len()).rev() {
            let out = self.ops[index].output();
            if !runs[index] || !self.is_reached(&written, out) {
                continue;
            }
            unreached[index] = self.slices(out).filter(|s| !written[s.0]).collect();
            let inputs = self.ops[index].inputs();
            ops[index] = Some(inputs.iter().map(|i| mode(&mut written, *i)).collect());
        }
        let (cuts, arrives_cut) = (vec![Vec::new(); ops.len()], vec![false; ops.len()]);
        let wanted = self.ops.iter().map(|op| match op.inputs().first() {
            Some(input) => self.learning_columns(learns, *input),
            None => 0,
        });
        let wanted = wanted.collect();
        Backward { losses, ops, unreached, cuts, arrives_cut, wanted, written }
    }

    /// Columns of a node up to the last that belongs to a part behind which something learns.
    fn learning_columns(&self, learns: &[bool], node: NodeId) -> usize {
        let Source::Concat(parts) = &self.nodes[node.0].source else {
            return self.cols(node);
        };
        let (mut start, mut wanted) = (0, 0);
        for part in parts {
            start += self.cols(*part);
            if self.learns_through(learns, *part) {
                wanted = start;
            }
        }
        wanted
    }

    /// Lets the last to write the gradient of what comes out of ReLU apply ReLU's derivative, where it can. Not for plans
    /// whose gradients are read by others than the layer.
    fn plan_cuts(&self, plan: &mut Backward) {
        for (index, op) in self.ops.iter().enumerate() {
            let out = op.output();
            let relu = op.as_linear().is_some_and(|linear| linear.relu);
            if !relu || plan.ops[index].is_none() || self.nodes[out.0].view != View::Own {
                continue;
            }
            let written: Vec<NodeId> = std::iter::once(out)
                .chain(self.slices(out))
                .filter(|n| plan.written[n.0])
                .collect();
            let last: Option<Vec<usize>> =
                written.iter().map(|node| self.last_to_write(plan, *node)).collect();
            let Some(last) = last else { continue };
            plan.arrives_cut[index] = true;
            last.into_iter().zip(written).for_each(|(op, node)| plan.cuts[op].push(node));
        }
    }

    /// The last op to write a node's gradient, if it can apply ReLU's derivative.
    fn last_to_write(&self, plan: &Backward, node: NodeId) -> Option<usize> {
        let writes = |index: &usize| {
            let Some(modes) = &plan.ops[*index] else { return false };
            let inputs = self.ops[*index].inputs();
            let mut written = inputs.iter().zip(modes).filter(|(_, m)| **m != GradMode::Skip);
            written.any(|(input, _)| root_of(&self.nodes, *input) == node)
        };
        let last = (0..self.ops.len()).find(writes)?;
        self.ops[last].can_cut(node).then_some(last)
    }

    fn is_output(&self, node: NodeId) -> bool {
        self.ops.iter().any(|op| op.output() == node)
    }

    /// The columns of a node that are nodes, and no op's own output, and hand gradients on.
    fn slices(&self, node: NodeId) -> impl Iterator<Item = NodeId> {
        let of_node = move |s: &usize| {
            let Node { view, detached, .. } = self.nodes[*s];
            !detached && matches!(view, View::Columns(of, _) if of == node)
        };
        (0..self.nodes.len()).filter(of_node).map(NodeId).filter(|s| !self.is_output(*s))
    }

    /// Whether a gradient arrives at the output of an op: at the node itself, at a slice of its columns, or at the
    /// concatenation it is in.
    fn is_reached(&self, written: &[bool], out: NodeId) -> bool {
        match self.nodes[out.0].view {
            View::Columns(of, _) if self.is_output(of) => written[root_of(&self.nodes, of).0],
            _ => written[root_of(&self.nodes, out).0] || self.slices(out).any(|s| written[s.0]),
        }
    }

    /// Whether anything behind `node` has parameters, looking through views.
    fn learns_through(&self, learns: &[bool], node: NodeId) -> bool {
        if self.nodes[node.0].detached {
            return false;
        }
        learns[node.0]
            || match self.nodes[node.0].view {
                View::Columns(of, _) | View::Reshape(of) => {
                    // A part of a concatenation is its own op's output; only true slices look through.
                    !self.ops.iter().any(|op| op.output() == node)
                        && self.learns_through(learns, of)
                }
                View::Own => false,
            }
    }
}

/// The node whose gradient memory this node's gradient is, for nodes that are the same matrix in another shape.
fn root_of(nodes: &[Node], node: NodeId) -> NodeId {
    match nodes[node.0].view {
        View::Reshape(of) => root_of(nodes, of),
        _ => node,
    }
}

impl<T> Model<T> {
    /// Dense parameters in the order they were made.
    pub fn params(&self) -> &[Param] {
        &self.params
    }

    /// Number of columns of a node.
    pub fn cols(&self, node: NodeId) -> usize {
        self.nodes[node.0].cols
    }

    /// Embedding tables in the order they were declared.
    pub fn table_specs(&self) -> impl Iterator<Item = (&str, usize, usize)> {
        self.tables.iter().map(|t| (t.name.as_str(), t.rows, t.dim))
    }

    /// Whether there is anything that several losses share, as far as the model says so ([`Graph::represent`]).
    pub fn shares(&self) -> bool {
        self.representation.is_some()
    }

    /// Names of the losses, in order.
    pub fn loss_names(&self) -> impl Iterator<Item = &str> {
        self.losses.iter().map(|l| l.name.as_str())
    }

    /// Floating-point operations of the matrix products in one training pass, with `rows` rows per domain: forward and
    /// both gradients, two per multiply-add.
    pub fn training_flops(&self, rows: &[usize]) -> f64
    where
        T: Real,
    {
        let products = self.ops.iter().map(|op| {
            op.products(&self.nodes) as f64 * rows[self.nodes[op.output().0].domain.0] as f64
        });
        products.sum::<f64>() * 6.0
    }

    /// Values of the gradients of projected tables.
    pub(crate) fn n_table_grads(&self) -> usize {
        let sizes = self.projected.iter().zip(&self.tables).filter(|(place, _)| place.is_some());
        sizes.map(|(_, table)| table.rows * table.dim).sum()
    }

    /// Whether layers read the rows of a lookup through a product.
    pub(crate) fn is_projected(&self, site: usize) -> bool {
        self.projections.iter().any(|projection| projection.site == site)
    }

    /// Number of dense parameter values.
    pub fn n_dense(&self) -> usize {
        self.n_values
    }
}
