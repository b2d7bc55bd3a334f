//! The founding document's network: one trunk over everything known about an impression, one linear head per task.
//!
//! ```text
//! user_embed ─┐
//! item_embed ─┼─ concat ─ shared_net.0 ─ ReLU ─ shared_net.2 ─ ReLU ─┬─ ctr_head
//! brand_embed ┤                                                      ├─ cvr_head
//! price ──────┘                                                      └─ div_head, nov_head
//! ```
//!
//! A backbone's part stands behind the fields. Request-level tasks are answered once per impression here; readers average them over a request.

use daogou_nn::{Activation, Graph, NodeId};

use super::heads::{self, Head};
use super::inputs::Inputs;
use super::trunk::trunk;
use super::{Shape, backbones, prefix};
use crate::Result;
use crate::data::FeatureSpace;
use crate::schema::Config;

pub(super) fn build(
    g: &mut Graph,
    inputs: &mut Inputs,
    (config, space, shape): (&Config, &FeatureSpace, &Shape),
) -> Result<Vec<Head>> {
    let fields = inputs.fields(g, config, space, String::new(), true);
    let mut parts: Vec<NodeId> = fields.nodes.iter().map(|f| f.node).collect();
    parts.extend(backbones::part(g, inputs, &fields, config));
    let x = g.concat(&parts);
    let shared = trunk(g, "shared_net".into(), x, &config.model.shared_units, config);
    g.represent(shared);
    let names: Vec<String> = config.tasks.iter().map(|t| format!("{}_head", prefix(t))).collect();
    let sizes = heads::sizes(config, space, shape)?;
    let group: Vec<(&str, usize)> = names.iter().map(String::as_str).zip(sizes).collect();
    let logits = g.linear_group(&group, shared, Activation::None);
    let impressions = inputs.impressions;
    Ok(config
        .tasks
        .iter()
        .zip(logits)
        .map(|(task, node)| {
            heads::finish(g, inputs, config, shape, task, (shared, node), impressions)
        })
        .collect())
}
