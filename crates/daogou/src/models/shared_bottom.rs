//! Shared bottom (Caruana 1997) for two kinds of questions: a request trunk answers what kind of list is wanted, an
//! impression trunk, which also reads the request trunk, answers for each candidate.
//!
//! ```text
//! user, context, history ─ request_net ─┬─ div_tower, nov_tower ─ heads           one row per request
//!                                       │
//!                 item, cross fields ───┴─ [interaction] ─ shared_net ─ towers    one row per impression
//! ```
//!
//! With `backbone = "self_attention"` the fields of an impression first look at each other (AutoInt, Song et al. 2019).

use daogou_nn::{Activation, Graph, NodeId};

use super::heads::{self, Head};
use super::inputs::{FieldNode, Inputs};
use super::{Shape, prefix};
use crate::schema::{Backbone, Config, Side, TaskKind};
use crate::{Error, Result};

pub(super) fn build(
    g: &mut Graph,
    inputs: &mut Inputs,
    config: &Config,
    shape: &Shape,
) -> Result<Vec<Head>> {
    let model = &config.model;
    let activation = if model.silu { Activation::Silu } else { Activation::Relu };
    let of = |request: bool| -> Vec<NodeId> {
        let belongs = |f: &&FieldNode| matches!(f.side, Side::User | Side::Context) == request;
        inputs.fields.iter().filter(belongs).map(|f| f.node).collect()
    };
    let (about_request, about_item) = (of(true), of(false));
    let known = (!about_request.is_empty()).then(|| g.concat(&about_request));
    let request =
        known.map(|x| heads::trunk(g, "request_net", x, &model.request_units, activation, config));

    let mut parts: Vec<NodeId> = Vec::new();
    if let Some(request) = request {
        parts.push(g.gather(request, inputs.request_of_impression));
    }
    if !about_item.is_empty() {
        let item = g.concat(&about_item);
        parts.push(item);
        if let (Some(known), true) = (known, model.interaction) {
            // What this user and this item have in common, before any hidden layer has to find out.
            let dim = 2 * model.embedding_dim;
            let user = g.linear("request_projection", known, dim, Activation::None);
            let user = g.gather(user, inputs.request_of_impression);
            let item = g.linear("item_projection", item, dim, Activation::None);
            parts.push(g.mul(user, item));
        }
    }
    if model.backbone == Backbone::SelfAttention {
        parts.push(attend(g, inputs, config)?);
    }
    let joined = g.concat(&parts);
    let shared = heads::trunk(g, "shared_net", joined, &model.shared_units, activation, config);

    let sizes = heads::sizes(config, shape)?;
    let mut built = Vec::with_capacity(config.tasks.len());
    for (index, (task, size)) in config.tasks.iter().zip(sizes).enumerate() {
        let per_row = task.kind == TaskKind::Binary || shape.row_label[index];
        let (base, domain) = match request {
            Some(request) if !per_row => (request, inputs.requests),
            None if !per_row => {
                return Err(Error::Config {
                    key: format!("task.{}", task.name),
                    problem:
                        "expected a user, context or history feature for a request-level task, \
                              found none"
                            .into(),
                    hint: Some("add one, or set `source = \"row\"`".into()),
                });
            }
            _ => (shared, inputs.impressions),
        };
        let name = prefix(task);
        let tower = g.mlp(&format!("{name}_tower"), base, &model.tower_units, activation);
        let logit = g.linear(&format!("{name}_head"), tower, size, Activation::None);
        built.push(heads::finish(g, inputs, config, shape, task, (base, logit), domain));
    }
    Ok(built)
}

/// One layer of multi-head self-attention among all fields of an impression, with a linear residual and ReLU.
fn attend(g: &mut Graph, inputs: &Inputs, config: &Config) -> Result<NodeId> {
    let dim = config.model.embedding_dim;
    let mut fields = Vec::new();
    for (index, field) in inputs.fields.iter().enumerate() {
        let mut node = field.node;
        if field.number || g.cols(node) != dim {
            // Numbers and pooled histories are brought to the common width.
            node = g.linear(&format!("field_{index}"), node, dim, Activation::None);
        }
        if matches!(field.side, Side::User | Side::Context) {
            node = g.gather(node, inputs.request_of_impression);
        }
        fields.push(node);
    }
    let heads = config.model.attention_heads;
    if heads == 0 || !dim.is_multiple_of(heads) {
        return Err(Error::config(
            "model.attention_heads",
            format!("expected a divisor of model.embedding_dim ({dim}), got {heads}"),
        ));
    }
    let count = fields.len();
    let joined = g.concat(&fields);
    let rows = g.fields(joined, count);
    let [q, k, v, residual] = ["query", "key", "value", "residual"]
        .map(|part| g.linear(&format!("field_attention.{part}"), rows, dim, Activation::None));
    let mixed = g.attention(q, k, v, count, heads);
    let sum = g.add(mixed, residual);
    let active = g.activation(sum, Activation::Relu);
    Ok(g.unfields(active, count))
}
