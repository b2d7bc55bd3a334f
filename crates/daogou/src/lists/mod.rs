//! From predictions to a list: one explicit objective over sets of items, and builders that maximise it.
//!
//! [`utility`] turns head predictions and objective weights into one number per candidate, [`objective`] says what a
//! set of candidates is worth, [`mod@builder`] names the ways to find a good set, [`mod@explain`] says why it is one.
//! Nothing here knows a model: slices of numbers are enough.

mod auto;
mod build_under;
pub mod builder;
mod calibration;
mod cells;
mod dpp;
pub mod exact;
pub mod explain;
mod exposure;
mod greedy;
mod greedy_swap;
mod groups;
mod mmr;
pub mod objective;
mod random_swap;
mod relevance;
pub mod rules;
mod seen;
mod similarity;
#[cfg(test)]
mod tests;
mod top_k;
pub mod utility;
mod xquad;

pub use auto::Auto;
pub use build_under::build_under;
pub use builder::{ListBuilder, Scratch, builder, names as builder_names};
pub use dpp::Dpp;
pub use exact::{Exact, FrontierPoint, novelty_frontier};
pub use explain::{Contributions, Explanation, ListSummary, explain, moved_by};
pub use exposure::ExposureFloors;
pub use greedy::Greedy;
pub use greedy_swap::GreedySwap;
pub use mmr::Mmr;
pub use objective::{Breakdown, Candidates, Objective, Vectors};
pub use random_swap::RandomSwap;
pub use rules::{Attribute, Pin, Quota, Rules, Window};
pub use seen::Seen;
pub use top_k::TopK;
pub use utility::{Heads, Weights, utility_scale};
pub use xquad::Xquad;
