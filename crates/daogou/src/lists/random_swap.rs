//! Diversity by chance: what the other builders have to beat.

use daogou_nn::Rng;

use super::{Candidates, ListBuilder, Objective, Scratch};
use crate::{Error, Result};

/// The K candidates of highest utility, then each place goes with probability `rate` to a random candidate that is not
/// listed.
///
/// Draws depend on `seed` and on which candidates there are, not on their order: the same request gets the same list,
/// and two requests with different candidates draw differently. O(N log N).
#[derive(Clone, Copy, Debug)]
pub struct RandomSwap {
    /// Share of places that change hands, in `[0, 1]`.
    pub rate: f64,
    /// Seed of the draws.
    pub seed: u64,
}

impl Default for RandomSwap {
    fn default() -> Self {
        Self::DEFAULT
    }
}

impl RandomSwap {
    /// Three places of ten, seed 0.
    pub const DEFAULT: Self = Self { rate: 0.3, seed: 0 };
}

impl ListBuilder for RandomSwap {
    fn name(&self) -> &'static str {
        "random_swap"
    }

    fn build(
        &self,
        candidates: &Candidates<'_>,
        objective: &Objective<'_>,
        scratch: &mut Scratch,
        list: &mut Vec<u32>,
    ) -> Result<()> {
        objective.check(candidates)?;
        if !(0.0..=1.0).contains(&self.rate) {
            return Err(Error::data(format!(
                "rate of `random_swap`: expected a share in [0, 1], got {}",
                self.rate
            )));
        }
        let order = &mut scratch.candidates;
        order.clear();
        order.extend(0..candidates.len() as u32);
        order.sort_unstable_by(|&a, &b| candidates.by_utility(a, b));
        let k = objective.k.min(order.len());
        let stream = candidates.tie_break.iter().fold(0, |sum: u64, &i| sum.wrapping_add(i));
        let mut rng = Rng::new(self.seed, stream);
        let (listed, others) = order.split_at_mut(k);
        for place in listed.iter_mut() {
            if rng.uniform() < self.rate && !others.is_empty() {
                let other = rng.below(others.len() as u64) as usize;
                std::mem::swap(place, &mut others[other]);
            }
        }
        list.clear();
        list.extend_from_slice(listed);
        list.sort_unstable_by(|&a, &b| candidates.by_utility(a, b));
        Ok(())
    }
}
