//! Gates: how much each reader takes of each expert, row by row.

use daogou_nn::{Activation, Graph, NodeId};

/// `Σ_j g_j · e_j` with `g = softmax(W x + b)`.
pub(super) struct Gate {
    /// Name of `W` and `b`.
    pub(super) name: String,
    pub(super) x: NodeId,
    /// The `e_j`, all of one width.
    pub(super) experts: Vec<NodeId>,
}

/// What each gate lets through. Gates of neighbours with the same input are one product.
pub(super) fn mixtures(g: &mut Graph, gates: &[Gate]) -> Vec<NodeId> {
    let mut mixed = Vec::with_capacity(gates.len());
    for together in gates.chunk_by(|a, b| a.x == b.x) {
        let group: Vec<(&str, usize)> =
            together.iter().map(|gate| (gate.name.as_str(), gate.experts.len())).collect();
        let logits = g.linear_group(&group, together[0].x, Activation::None);
        for (gate, logits) in together.iter().zip(logits) {
            let weights = g.softmax(logits);
            mixed.push(g.mixture(weights, &gate.experts));
        }
    }
    mixed
}
