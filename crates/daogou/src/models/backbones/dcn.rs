//! DCN V2 (Wang et al. 2021): every layer multiplies all columns of all fields once more.
//!
//! `x_{l+1} = x_0 ⊙ (W_l x_l + b_l) + x_l`, `x_0` the fields side by side, as wide as they are: `[impressions, n]` with `n`
//! the sum of their columns. After `L = cross_layers` layers products of up to `L + 1` columns are in it. `W` is `[n, n]`, or
//! with `r = cross_rank > 0` of low rank, `W x = U (V x + c)` with `V` `[r, n]` and `U` `[n, r]`. The stacked form: what comes
//! out is a part of the perceptron's input, beside `x_0`. Costs `L·n²` multiply-adds per impression, `2·L·n·r` of low rank;
//! the paper finds `r = n / 4` as good.

use daogou_nn::{Activation, Graph, NodeId};

use crate::models::heads::Level;
use crate::models::inputs::{Fields, Inputs};
use crate::schema::Config;

/// The last cross layer, over all fields.
pub(super) fn crosses(g: &mut Graph, inputs: &Inputs, fields: &Fields, config: &Config) -> NodeId {
    let of = |level: Level| -> Vec<NodeId> {
        fields.nodes.iter().filter(|field| field.level == level).map(|field| field.node).collect()
    };
    let mut parts = Vec::new();
    let of_request = of(Level::Request);
    if !of_request.is_empty() {
        // As one node, so that what a request's columns meet is multiplied once per request.
        let joined = g.concat(&of_request);
        parts.push(g.gather(joined, inputs.request_of_impression));
    }
    parts.extend(of(Level::Impression));
    let first = g.concat(&parts);
    let (n, rank) = (g.cols(first), config.model.cross_rank);
    let mut x = first;
    for layer in 0..config.model.cross_layers {
        let name = format!("{}cross.{layer}", fields.scope);
        let product = if rank == 0 {
            g.linear(&name, x, n, Activation::None)
        } else {
            let low = g.linear(&format!("{name}.v"), x, rank, Activation::None);
            g.linear(&format!("{name}.u"), low, n, Activation::None)
        };
        let crossed = g.mul(first, product);
        x = g.add(crossed, x);
    }
    x
}
