//! PLE (Tang et al. 2020): experts of each reader's own beside shared ones, in levels. One level is CGC.
//!
//! ```text
//!      ┌─ task_experts.click ────┐   gates.click     mixes click's own and the shared ones
//!  x ──┼─ shared_experts ────────┤   shared_gate     mixes all, for the shared experts of the next level
//!      └─ task_experts.purchase ─┘   gates.purchase  mixes purchase's own and the shared ones
//! ```
//!
//! From the second level on, a reader's own experts and its gate read what its gate let through before, and the shared
//! experts read what the shared gate let through; the last level has no shared gate. Every level's experts have the
//! units of the trunk they stand for. Without shared experts and with one of its own, each reader has a trunk to
//! itself. Costs `levels · (readers · task_experts + shared_experts)` times the trunk of `shared_bottom`.
//!
//! Both levels of rows, requests and impressions, are made this way. The impressions are a reader of the requests, with
//! experts and gate of their own.

use daogou_nn::{Graph, NodeId};

use super::gates::{Gate, Mixing, experts, mixtures};
use super::trunk::trunks;
use super::two_level::Level;
use crate::schema::Config;

pub(super) fn share(
    g: &mut Graph,
    config: &Config,
    level: &Level<'_>,
    known: &mut Vec<Mixing>,
) -> Vec<NodeId> {
    let model = &config.model;
    let mut own: Vec<NodeId> = vec![level.x; level.readers.len()];
    let mut shared = level.x;
    for depth in 0..model.levels {
        let prefix = format!("{}levels.{depth}", level.prefix);
        let mut named: Vec<(String, NodeId)> = Vec::new();
        for (reader, &x) in level.readers.iter().zip(&own) {
            let name = |j| (format!("{prefix}.task_experts.{reader}.{j}"), x);
            named.extend((0..model.task_experts).map(name));
        }
        let name = |j| (format!("{prefix}.shared_experts.{j}"), shared);
        named.extend((0..model.shared_experts).map(name));
        let experts = experts(&named, &trunks(g, &named, level.units, config));
        let (of_tasks, of_all) = experts.split_at(own.len() * model.task_experts);

        let mut gates: Vec<Gate> = Vec::new();
        for (k, (reader, &x)) in level.readers.iter().zip(&own).enumerate() {
            let specific = of_tasks.iter().skip(k * model.task_experts).take(model.task_experts);
            gates.push(Gate {
                reader: label(reader, depth, model.levels),
                name: format!("{prefix}.gates.{reader}"),
                x,
                experts: specific.chain(of_all).cloned().collect(),
            });
        }
        let last = depth + 1 == model.levels;
        if !last && model.shared_experts > 0 {
            let name = format!("{prefix}.shared_gate");
            let reader = label("shared", depth, model.levels);
            gates.push(Gate { reader, name, x: shared, experts: experts.clone() });
        }
        let mut mixed = mixtures(g, &gates, level.rows, known);
        if mixed.len() > own.len() {
            shared = mixed.pop().expect("the shared gate is the last");
        }
        own = mixed;
    }
    own
}

/// A gate as people are told of it: by its reader, and by its level where there are several.
fn label(reader: &str, depth: usize, levels: usize) -> String {
    if levels == 1 { reader.into() } else { format!("{reader}, level {}", depth + 1) }
}
