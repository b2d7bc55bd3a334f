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

use super::gates::{Gate, mixtures};
use super::trunk::trunks;
use super::two_level::Level;
use crate::schema::Config;

pub(super) fn share(g: &mut Graph, config: &Config, level: &Level<'_>) -> Vec<NodeId> {
    let (prefix, x) = (level.prefix, level.x);
    let named: Vec<(String, NodeId)> =
        (0..config.model.experts).map(|j| (format!("{prefix}experts.{j}"), x)).collect();
    let experts = trunks(g, &named, level.units, config);
    let gate = |name: String| Gate { name, x, experts: experts.clone() };
    if config.model.shared_gate {
        let mixed = mixtures(g, &[gate(format!("{prefix}shared_gate"))]);
        return vec![mixed[0]; level.readers.len()];
    }
    let of = |reader: &String| gate(format!("{prefix}gates.{reader}"));
    mixtures(g, &level.readers.iter().map(of).collect::<Vec<_>>())
}
