//! MMoE (Ma et al. 2018): experts that all readers share, and a gate of its own for each.
//!
//! ```text
//!      ┌─ experts.0 ─┐   gates.click    · ─ ctr_tower
//!  x ──┼─ experts.1 ─┤
//!      └─ experts.… ─┘   gates.purchase · ─ cvr_tower
//! ```
//!
//! `f_k(x) = Σ_j softmax(W_k x + b_k)_j · e_j(x)`. With `model.shared_gate` there is one gate for all (OMoE): readers
//! then differ in their towers alone. With one expert every gate is 1, and the network is `shared_bottom`. Costs
//! `model.experts` times the trunk of `shared_bottom`, and a small layer per gate.
//!
//! Both levels are made this way. The impression level is a reader of the request level, with a gate of its own.

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
    let (prefix, x) = (level.prefix, level.x);
    let named: Vec<(String, NodeId)> =
        (0..config.model.experts).map(|j| (format!("{prefix}experts.{j}"), x)).collect();
    let experts = experts(&named, &trunks(g, &named, level.units, config));
    let gate = |reader: &str, name: String| Gate {
        reader: reader.into(),
        name,
        x,
        experts: experts.clone(),
    };
    if config.model.shared_gate {
        let only = gate("all", format!("{prefix}shared_gate"));
        let mixed = mixtures(g, &[only], level.rows, known);
        return vec![mixed[0]; level.readers.len()];
    }
    let of = |reader: &String| gate(reader, format!("{prefix}gates.{reader}"));
    let gates: Vec<Gate> = level.readers.iter().map(of).collect();
    mixtures(g, &gates, level.rows, known)
}
