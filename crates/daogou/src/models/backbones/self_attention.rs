//! AutoInt (Song et al. 2019): the fields of an impression look at each other.
//!
//! With `e` the `F` fields, all of `D = embedding_dim` columns: `ReLU(softmax(q kᵀ / √(D/H)) v + W_r e)` with
//! `q, k, v = W e` and `H = attention_heads`, all fields side by side: `[impressions, F·D]`. One layer. Costs
//! O(F²·D + F·D²) per impression.

use daogou_nn::{Activation, Graph, NodeId};

use super::of_one_width;
use crate::models::inputs::{Fields, Inputs};
use crate::schema::Config;

/// One layer of multi-head self-attention among all fields, with a linear residual and ReLU.
pub(super) fn attend(g: &mut Graph, inputs: &Inputs, fields: &Fields, config: &Config) -> NodeId {
    let (dim, scope) = (config.model.embedding_dim, &fields.scope);
    let rows = of_one_width(g, inputs, fields, config, None);
    let count = rows.len();
    let joined = g.concat(&rows);
    let rows = g.fields(joined, count);
    let [q, k, v, residual] = ["query", "key", "value", "residual"]
        .map(|part| format!("{scope}field_attention.{part}"))
        .map(|name| g.linear(&name, rows, dim, Activation::None));
    let mixed = g.attention(q, k, v, count, config.model.attention_heads);
    let sum = g.add(mixed, residual);
    let active = g.activation(sum, Activation::Relu);
    g.unfields(active, count)
}
