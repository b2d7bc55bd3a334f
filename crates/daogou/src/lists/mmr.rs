//! Maximal marginal relevance (Carbonell, Goldstein 1998).

use super::relevance::{highest, relevance};
use super::similarity::Similarity;
use super::{Candidates, ListBuilder, Objective, Scratch};
use crate::{Error, Result};

/// One item at a time, the largest `λ r_i − (1 − λ) max_{j ∈ S} sim(i, j)`.
///
/// Knows no wished-for mix and no novelty: it only avoids near-identical items, by the cosine of
/// [`Candidates::vectors`] or, without them, by category. `r` is the utility scaled to `[0, 1]` over the candidates.
/// O(K N width).
#[derive(Clone, Copy, Debug)]
pub struct Mmr {
    /// λ in `[0, 1]`; 1 is the K candidates of highest utility.
    pub relevance: f64,
}

impl Default for Mmr {
    fn default() -> Self {
        Self::DEFAULT
    }
}

impl Mmr {
    /// λ = 0.7.
    pub const DEFAULT: Self = Self { relevance: 0.7 };
}

impl ListBuilder for Mmr {
    fn name(&self) -> &'static str {
        "mmr"
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
                "relevance of `mmr`: expected a share in [0, 1], got {}",
                self.relevance
            )));
        }
        let Scratch { relevance: r, panels, row, scores, closest, .. } = scratch;
        relevance(candidates, r);
        let similarity = Similarity::new(candidates, panels)?;
        let weight = self.relevance as f32;
        list.clear();
        // An empty list is like nothing.
        scores.clear();
        scores.extend(r.iter().map(|r| weight * r));
        closest.clear();
        closest.resize(candidates.len(), f32::NEG_INFINITY);
        while list.len() < objective.k
            && let Some(chosen) = highest(candidates, scores)
        {
            list.push(chosen);
            similarity.row(chosen, row);
            let similarities = closest.iter_mut().zip(&*row);
            for ((score, r), (closest, similarity)) in scores.iter_mut().zip(&*r).zip(similarities)
            {
                *closest = closest.max(*similarity);
                *score = weight * r - (1.0 - weight) * *closest;
            }
            list.iter().for_each(|&i| scores[i as usize] = f32::NEG_INFINITY);
        }
        list.sort_unstable_by(|&a, &b| candidates.by_utility(a, b));
        Ok(())
    }
}
