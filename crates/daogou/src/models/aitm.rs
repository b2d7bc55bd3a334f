//! AITM (Xi et al. 2021): a trunk for each reader, and what the click's trunk has found out is handed on to the
//! purchase's.
//!
//! ```text
//!      ┌─ trunks.click ────┬──────────────────────────── ctr_tower
//!  x ──┤                   └─ info ─┐
//!      └─ trunks.purchase ──────────┴─ transfer ───────── cvr_tower
//! ```
//!
//! With `q` what the purchase's trunk gives, `p = act(W q_click + b)` the information of the click's, and `u` either of
//! them: `w_u = ⟨W_1 u, W_2 u⟩ / √k`, `α = softmax(w)`, and the purchase's tower reads `Σ α_u W_3 u`. All are `k` wide, the
//! last of the level's units; `W_1`, `W_2` and `W_3` have no bias. With `tower_units = []` the heads read it directly, as in
//! the paper.
//!
//! Who else reads a level has a trunk to itself; at the request level nothing is handed on. Costs a trunk of
//! `shared_bottom` per reader, and `4k²` multiplications per impression. How the purchase is asked is another question:
//! the paper's own is `objective = "aitm"`.

use daogou_nn::{Graph, NodeId};

use super::gates::Mixing;
use super::trunk::{activation, trunks};
use super::two_level::Level;
use crate::schema::{Config, Role};

pub(super) fn share(
    g: &mut Graph,
    config: &Config,
    level: &Level<'_>,
    _: &mut Vec<Mixing>,
) -> Vec<NodeId> {
    let prefix = level.prefix;
    let named: Vec<(String, NodeId)> =
        level.readers.iter().map(|reader| (format!("{prefix}trunks.{reader}"), level.x)).collect();
    let mut read = trunks(g, &named, level.units, config);
    let place = |role| {
        let task = &config.tasks[config.task_of(role)?];
        level.readers.iter().position(|reader| *reader == task.name)
    };
    if let (Some(click), Some(purchase)) = (place(Role::Click), place(Role::Purchase)) {
        let width = g.cols(read[click]);
        let name = |part: &str| format!("{prefix}transfer.{part}");
        let info = g.linear(&name("info"), read[click], width, activation(config));
        let both = g.concat(&[info, read[purchase]]);
        let both = g.fields(both, 2);
        let [q, k, v] =
            ["query", "key", "value"].map(|part| g.linear_without_bias(&name(part), both, width));
        read[purchase] = g.transfer(q, k, v, 2);
    }
    read
}
