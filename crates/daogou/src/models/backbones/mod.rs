//! Backbones: how the fields of an impression meet before the first hidden layer. One file each.
//!
//! A backbone reads every field of an impression, those of its request among them, and gives a further part of what the
//! impression level reads. The fields themselves stand beside it, so the perceptron is always there, and every way of
//! sharing, `shared_mlp` included, takes the part as it takes a field.

mod dcn;
mod fm;
mod self_attention;
#[cfg(test)]
mod tests;

use daogou_nn::{Activation, Graph, Init, NodeId};

use super::heads::Level;
use super::inputs::{Fields, Inputs, Kind};
use crate::schema::{Backbone, Config};

/// What the backbone adds to the input of the impression level; nothing for a perceptron alone.
pub(super) fn part(
    g: &mut Graph,
    inputs: &Inputs,
    fields: &Fields,
    config: &Config,
) -> Option<NodeId> {
    match config.model.backbone {
        Backbone::Mlp => None,
        Backbone::Fm => Some(fm::pairs(g, inputs, fields, config)),
        Backbone::Dcn => Some(dcn::crosses(g, inputs, fields, config)),
        Backbone::SelfAttention => Some(self_attention::attend(g, inputs, fields, config)),
    }
}

/// Every field once per impression, all of `embedding_dim` columns. Numbers, pooled histories and embeddings of another
/// width are brought there by a linear layer `field_{index}`; `numbers`: other first weights for those of numbers.
fn of_one_width(
    g: &mut Graph,
    inputs: &Inputs,
    fields: &Fields,
    config: &Config,
    numbers: Option<Init>,
) -> Vec<NodeId> {
    let dim = config.model.embedding_dim;
    let mut rows = Vec::new();
    for (index, field) in fields.nodes.iter().enumerate() {
        let mut node = field.node;
        if field.kind == Kind::Number || g.cols(node) != dim {
            let name = format!("{}field_{index}", fields.scope);
            node = g.linear(&name, node, dim, Activation::None);
            if let (Some(first), Kind::Number) = (numbers, field.kind) {
                g.start(&format!("{name}.weight"), first);
            }
        }
        if field.level == Level::Request {
            node = g.gather(node, inputs.request_of_impression);
        }
        rows.push(node);
    }
    rows
}
