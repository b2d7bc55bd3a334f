//! The gate of PEPNet (Chang et al. 2023) on embeddings: what is known beforehand of a person says how much of each column is
//! read.
//!
//! `2·σ(W_2 ReLU(W_1 [p ; sg(e)] + b_1) + b_2) ⊙ e`, with `e` the fields of a level side by side, `p` the embeddings of the
//! user's and the context's ids, `sg` a stop of the gradient, and twice `embedding_dim` hidden units. A gate is 1 where
//! nothing speaks for or against a column. The fields are told and not taught: only `p` learns from what the gate says.
//! Costs `H·(p + 2·e)` multiply-adds per row.

use daogou_nn::{Activation, Graph, NodeId};

use super::Gated;
use crate::schema::Config;

/// As many columns per field as it has.
pub(super) fn gates(g: &mut Graph, config: &Config, gated: &Gated<'_>) -> Vec<NodeId> {
    let mut prior = g.concat(gated.prior);
    if let Some(map) = gated.through {
        prior = g.gather(prior, map);
    }
    let fields: Vec<NodeId> = gated.fields.iter().map(|field| field.node).collect();
    let widths: Vec<usize> = fields.iter().map(|field| g.cols(*field)).collect();
    let read = g.concat(&fields);
    let told = g.detach(read);
    let known = g.concat(&[prior, told]);
    let name = &gated.name;
    let hidden = 2 * config.model.embedding_dim;
    let hidden = g.linear(&format!("{name}.0"), known, hidden, Activation::Relu);
    let half = g.linear(&format!("{name}.2"), hidden, widths.iter().sum(), Activation::Sigmoid);
    let gates = g.add(half, half);
    g.columns(gates, &widths)
}
