//! Gates: how much each reader takes of each expert, row by row.

use daogou_nn::{Activation, Graph, NodeId};

use super::heads::Level as Rows;

/// A network of its own, of which gates take a share.
#[derive(Clone, Debug)]
pub struct Expert {
    /// What the names of its parameters start with.
    pub name: String,
    /// Its last hidden layer.
    pub output: NodeId,
}

/// A gate of a network and what it mixes: what tells how experts are used.
#[derive(Clone, Debug)]
pub struct Mixing {
    /// For whom: a task, `impressions` where the impression level reads the request level, `all`; with a level of experts
    /// where there are several.
    pub gate: String,
    /// What its rows are.
    pub level: Rows,
    /// `[rows, experts]`, each row of sum 1.
    pub weights: NodeId,
    /// In the order of the columns.
    pub experts: Vec<Expert>,
}

/// `Σ_j g_j · e_j` with `g = softmax(W x + b)`.
pub(super) struct Gate {
    /// For whom, as in [`Mixing::gate`].
    pub(super) reader: String,
    /// Name of `W` and `b`.
    pub(super) name: String,
    pub(super) x: NodeId,
    /// The `e_j`, all of one width.
    pub(super) experts: Vec<Expert>,
}

/// Experts from their names and what they compute.
pub(super) fn experts(named: &[(String, NodeId)], outputs: &[NodeId]) -> Vec<Expert> {
    let pairs = named.iter().zip(outputs);
    pairs.map(|((name, _), &output)| Expert { name: name.clone(), output }).collect()
}

/// What each gate lets through. Gates of neighbours with the same input are one product, and mixtures of neighbours with the
/// same experts besides are one pass over them.
pub(super) fn mixtures(
    g: &mut Graph,
    gates: &[Gate],
    rows: Rows,
    known: &mut Vec<Mixing>,
) -> Vec<NodeId> {
    let mut mixed = Vec::with_capacity(gates.len());
    for together in gates.chunk_by(|a, b| a.x == b.x) {
        let group: Vec<(&str, usize)> =
            together.iter().map(|gate| (gate.name.as_str(), gate.experts.len())).collect();
        let logits = g.linear_group(&group, together[0].x, Activation::None);
        let mut weights = logits.into_iter().map(|logits| g.softmax(logits)).collect::<Vec<_>>();
        for alike in together.chunk_by(|a, b| a.outputs().eq(b.outputs())) {
            let others = weights.split_off(alike.len());
            mixed.extend(mix(g, alike, (&weights, rows), known));
            weights = others;
        }
    }
    mixed
}

impl Gate {
    /// What it mixes.
    fn outputs(&self) -> impl Iterator<Item = NodeId> {
        self.experts.iter().map(|expert| expert.output)
    }
}

/// What gates over the same experts let through, by their weights.
pub(super) fn mix(
    g: &mut Graph,
    gates: &[Gate],
    (weights, rows): (&[NodeId], Rows),
    known: &mut Vec<Mixing>,
) -> Vec<NodeId> {
    known.extend(gates.iter().zip(weights).map(|(gate, &weights)| Mixing {
        gate: gate.reader.clone(),
        level: rows,
        weights,
        experts: gate.experts.clone(),
    }));
    g.mixtures(weights, &gates[0].outputs().collect::<Vec<_>>())
}
