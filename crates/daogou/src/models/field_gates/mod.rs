//! Gates on fields: how much of each field the network reads, row by row, before anything else reads it. One file each.
//!
//! Both levels have a gate. That of the request looks at the request alone, so that what is said of a request does not
//! depend on a candidate; that of the impression scales the fields of the item and the impression, and looks at the request
//! too. Attention over the history reads the embeddings as they are; what it pools is a field like others.

mod pepnet;
mod senet;

use daogou_nn::{Graph, MapId, NodeId};

use super::heads::Level;
use super::inputs::{FieldNode, Kind};
use crate::schema::{Config, FieldGate, Side};

/// The fields of one level that a gate scales, and what it may look at.
struct Gated<'a> {
    /// What names of its parameters start with.
    name: String,
    /// What is scaled.
    fields: &'a [FieldNode],
    /// The fields of the request, where these are others.
    beside: &'a [FieldNode],
    /// Users' and contexts' ids, which PEPNet takes for what is known beforehand.
    prior: &'a [NodeId],
    /// From rows of `beside` and `prior` to those of the fields; `None` where they are the same.
    through: Option<MapId>,
}

/// Makes one gate per field: a column, or as many as the field has.
type Gate = fn(&mut Graph, &Config, &Gated<'_>) -> Vec<NodeId>;

/// The fields as the network is to read them, in their order. `map` leads from impressions to requests.
pub(super) fn gated(
    g: &mut Graph,
    config: &Config,
    map: MapId,
    scope: &str,
    fields: Vec<FieldNode>,
) -> Vec<FieldNode> {
    let gate: Gate = match config.model.field_gate {
        FieldGate::None => return fields,
        FieldGate::Senet => senet::gates,
        FieldGate::Pepnet => pepnet::gates,
    };
    let (request, item): (Vec<FieldNode>, Vec<FieldNode>) =
        fields.iter().partition(|field| matches!(field.side, Side::User | Side::Context));
    let ids = request.iter().filter(|field| field.kind == Kind::Id);
    let prior: Vec<NodeId> = ids.map(|field| field.node).collect();
    // In a flat network the request's fields have a row per impression already.
    let apart = request.first().is_some_and(|field| field.level == Level::Request);
    let mut scaled = Vec::with_capacity(fields.len());
    for (part, fields, beside, through) in
        [("request", &request, &[][..], None), ("item", &item, &request[..], apart.then_some(map))]
    {
        if fields.is_empty() {
            continue;
        }
        let name = format!("{scope}field_gate.{part}");
        let gates = gate(g, config, &Gated { name, fields, beside, prior: &prior, through });
        for (field, gate) in fields.iter().zip(gates) {
            scaled.push((field.node, g.mul(field.node, gate)));
        }
    }
    let as_read = |field: FieldNode| {
        let (_, node) = scaled.iter().find(|(node, _)| *node == field.node).expect("a gate each");
        FieldNode { node: *node, ..field }
    };
    fields.into_iter().map(as_read).collect()
}
