//! A network per task, and nothing shared: what every way of sharing has to beat.
//!
//! ```text
//! click.user_embed, click.item_embed, … ─ click.request_net ─ click.shared_net ─ ctr_tower ─ ctr_head
//! diversity.user_embed, … ─ diversity.request_net ─ div_tower ─ div_head
//! ```
//!
//! Each task has the network of `shared_bottom` to itself, embedding tables included; a request-level task has its
//! request level only. Costs memory and time as many networks do, one per task.
//!
//! One thing still ties two tasks: with `objective = "esmm"` the purchase loss is about the product of both answers, so
//! it also moves the click network. Other purchase objectives leave the networks independent.

use daogou_nn::Graph;

use super::heads::{Head, Level};
use super::inputs::Inputs;
use super::{Shape, shared_bottom, two_level};
use crate::Result;
use crate::data::FeatureSpace;
use crate::schema::Config;

pub(super) fn build(
    g: &mut Graph,
    inputs: &mut Inputs,
    (config, space, shape): (&Config, &FeatureSpace, &Shape),
) -> Result<Vec<Head>> {
    let mut heads = Vec::with_capacity(config.tasks.len());
    for (index, task) in config.tasks.iter().enumerate() {
        let level = two_level::rows_of(config, shape, index);
        let scope = format!("{}.", task.name);
        let fields = inputs.fields(g, config, space, scope, level == Level::Impression);
        let (known, share) = ((config, space, shape), shared_bottom::share);
        let share = (share as two_level::Share, &mut Vec::new());
        heads.extend(two_level::build_for(g, inputs, &fields, known, &[index], share)?);
    }
    Ok(heads)
}
