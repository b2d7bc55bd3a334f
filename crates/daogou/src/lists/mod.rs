//! From predictions to a list: one explicit objective over sets of items, and builders that maximise it.
//!
//! [`utility`] turns head predictions and objective weights into one number per candidate, [`objective`] says what a
//! set of candidates is worth, [`mod@builder`] names the ways to find a good set, [`mod@explain`] says why it is one.
//! Nothing here knows a model: slices of numbers are enough.

pub mod builder;
pub mod explain;
mod greedy;
pub mod objective;
#[cfg(test)]
mod tests;
mod top_k;
pub mod utility;

pub use builder::{ListBuilder, Scratch, builder};
pub use explain::{Contributions, Explanation, ListSummary, explain};
pub use greedy::Greedy;
pub use objective::{Breakdown, Candidates, Objective};
pub use top_k::TopK;
pub use utility::{Heads, Weights, utility_scale};
