//! Shared bottom (Caruana 1997): one trunk for all readers of a level, one tower per task.
//!
//! ```text
//! user, context, history ─ request_net ─┬─ div_tower, nov_tower ─ heads           one row per request
//!                                       │
//!                 item, cross fields ───┴─ [interaction] ─ shared_net ─ towers    one row per impression
//! ```

use daogou_nn::{Graph, NodeId};

use super::gates::Mixing;
use super::trunk::trunk;
use super::two_level::Level;
use crate::schema::Config;

pub(super) fn share(
    g: &mut Graph,
    config: &Config,
    level: &Level<'_>,
    _: &mut Vec<Mixing>,
) -> Vec<NodeId> {
    let shared = trunk(g, level.trunk.to_string(), level.x, level.units, config);
    vec![shared; level.readers.len()]
}
