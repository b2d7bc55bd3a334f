//! The K candidates of highest utility: what a list is without diversity and novelty.

use super::{Candidates, ListBuilder, Objective, Scratch};
use crate::Result;

/// Highest utility first. O(N + K log K).
#[derive(Clone, Copy, Debug)]
pub struct TopK;

impl ListBuilder for TopK {
    fn name(&self) -> &'static str {
        "top_k"
    }

    fn build(
        &self,
        candidates: &Candidates<'_>,
        objective: &Objective<'_>,
        scratch: &mut Scratch,
        list: &mut Vec<u32>,
    ) -> Result<()> {
        objective.check(candidates)?;
        let order = &mut scratch.candidates;
        order.clear();
        order.extend(0..candidates.len() as u32);
        let k = objective.k.min(order.len());
        if k < order.len() {
            order.select_nth_unstable_by(k, |&a, &b| candidates.by_utility(a, b));
        }
        list.clear();
        list.extend_from_slice(&order[..k]);
        list.sort_unstable_by(|&a, &b| candidates.by_utility(a, b));
        Ok(())
    }
}
