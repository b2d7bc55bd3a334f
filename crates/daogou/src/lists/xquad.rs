//! Explicit query aspect diversification (Santos, Macdonald, Ounis 2010) with categories as aspects.

use super::relevance::{highest, relevance};
use super::{Candidates, ListBuilder, Objective, Scratch};
use crate::{Error, Result};

/// One item at a time, the largest `(1 − λ) r_i + λ p(c_i) r_i Π_{j ∈ S, c_j = c_i} (1 − r_j)`.
///
/// A wanted category counts as long as no relevant item of it is listed. `p` is the wanted mix, `r` the utility scaled
/// to `[0, 1]` over the candidates, taken for the probability that an item serves its category. Knows no novelty. O(K N).
#[derive(Clone, Copy, Debug)]
pub struct Xquad {
    /// `1 − λ` in `[0, 1]`; 1 is the K candidates of highest utility.
    pub relevance: f64,
}

impl Default for Xquad {
    fn default() -> Self {
        Self::DEFAULT
    }
}

impl Xquad {
    /// λ = 0.5.
    pub const DEFAULT: Self = Self { relevance: 0.5 };
}

impl ListBuilder for Xquad {
    fn name(&self) -> &'static str {
        "xquad"
    }

    fn build(
        &self,
        candidates: &Candidates<'_>,
        objective: &Objective<'_>,
        scratch: &mut Scratch,
        list: &mut Vec<u32>,
    ) -> Result<()> {
        objective.check(candidates)?;
        if !(0.0..=1.0).contains(&self.relevance) {
            return Err(Error::data(format!(
                "relevance of `xquad`: expected a share in [0, 1], got {}",
                self.relevance
            )));
        }
        let Scratch { relevance: r, scores, closest: unserved, .. } = scratch;
        relevance(candidates, r);
        // The wish for each category that no listed item has served yet.
        unserved.clear();
        unserved.extend_from_slice(objective.wanted_mix);
        let weight = self.relevance as f32;
        list.clear();
        scores.clear();
        scores.resize(candidates.len(), 0.0);
        while list.len() < objective.k.min(candidates.len()) {
            for (i, (score, r)) in scores.iter_mut().zip(&*r).enumerate() {
                let category = usize::from(candidates.category(i as u32));
                let wish = unserved.get(category).copied().unwrap_or(0.0);
                *score = r * (weight + (1.0 - weight) * wish);
            }
            list.iter().for_each(|&i| scores[i as usize] = f32::NEG_INFINITY);
            let Some(chosen) = highest(candidates, scores) else { break };
            list.push(chosen);
            if let Some(wish) = unserved.get_mut(usize::from(candidates.category(chosen))) {
                *wish *= 1.0 - r[chosen as usize];
            }
        }
        list.sort_unstable_by(|&a, &b| candidates.by_utility(a, b));
        Ok(())
    }
}
