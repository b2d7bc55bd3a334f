//! The best builder that an instance allows.

use super::{Candidates, Exact, GreedySwap, ListBuilder, Objective, Scratch};
use crate::Result;

/// [`Exact`] where novelty is 0 or 1 and lists have at most [`Auto::LONGEST_EXACT`] items; else [`GreedySwap`].
#[derive(Clone, Copy, Debug)]
pub struct Auto;

impl Auto {
    /// Up to this length of a list the exact table takes a few milliseconds at most.
    pub const LONGEST_EXACT: usize = 30;
}

impl ListBuilder for Auto {
    fn name(&self) -> &'static str {
        "auto"
    }

    fn maximises_objective(&self) -> bool {
        true
    }

    fn finds_best(&self, candidates: &Candidates<'_>, objective: &Objective<'_>) -> bool {
        let binary = !objective.novelty_counts() || candidates.novelty_is_binary();
        binary && objective.k.min(candidates.len()) <= Self::LONGEST_EXACT
    }

    fn build(
        &self,
        candidates: &Candidates<'_>,
        objective: &Objective<'_>,
        scratch: &mut Scratch,
        list: &mut Vec<u32>,
    ) -> Result<()> {
        if self.finds_best(candidates, objective) {
            Exact.build(candidates, objective, scratch, list)
        } else {
            GreedySwap.build(candidates, objective, scratch, list)
        }
    }
}
