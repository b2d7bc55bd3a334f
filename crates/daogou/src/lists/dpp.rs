//! Greedy MAP of a determinantal point process (Chen, Zhang, Zhou 2018).

use super::relevance::{highest, relevance};
use super::similarity::Similarity;
use super::{Candidates, ListBuilder, Objective, Scratch};
use crate::{Error, Result};

/// One item at a time, the largest gain of `log det L_S` with `L_ij = q_i sim(i, j) q_j`, `q_i = exp(θ r_i)` and
/// `θ = α / (2 (1 − α))`, that is of `2 θ Σ r_i + log det sim_S`.
///
/// Knows no wished-for mix and no novelty: it only avoids items that a combination of listed ones already describes, by
/// the cosine of [`Candidates::vectors`] or, without them, by category. `r` is the utility scaled to `[0, 1]` over the
/// candidates.
///
/// What is left of an item beside the listed ones, `det sim_{S ∪ i} / det sim_S`, falls by the square of one Cholesky
/// entry per step; rows of the kernel are computed when they are needed. O(K N (K + width)), no N × N matrix. When
/// nothing is left of any item, as when the vectors have fewer dimensions than the list has places, the other places
/// go to the highest utilities.
#[derive(Clone, Copy, Debug)]
pub struct Dpp {
    /// α in `[0, 1)`: the share of relevance; 0 is diversity alone.
    pub relevance: f64,
}

/// Less than this share of an item is nothing but rounding of `f32`.
const NOTHING_LEFT: f32 = 1e-5;

impl Default for Dpp {
    fn default() -> Self {
        Self::DEFAULT
    }
}

impl Dpp {
    /// α = 0.7.
    pub const DEFAULT: Self = Self { relevance: 0.7 };
}

impl ListBuilder for Dpp {
    fn name(&self) -> &'static str {
        "dpp"
    }

    fn build(
        &self,
        candidates: &Candidates<'_>,
        objective: &Objective<'_>,
        scratch: &mut Scratch,
        list: &mut Vec<u32>,
    ) -> Result<()> {
        objective.check(candidates)?;
        if !(0.0..1.0).contains(&self.relevance) {
            return Err(Error::data(format!(
                "relevance of `dpp`: expected a share in [0, 1), got {}",
                self.relevance
            )));
        }
        let Scratch { relevance: r, panels, row, scores, closest: left, cholesky, .. } = scratch;
        let n = candidates.len();
        let similarity = Similarity::new(candidates, panels)?;
        // Squared qualities, over that of the best candidate: only their ratios matter, and none overflows.
        relevance(candidates, r);
        let theta = (self.relevance / (2.0 * (1.0 - self.relevance))) as f32;
        r.iter_mut().for_each(|r| *r = (2.0 * theta * (*r - 1.0)).exp());
        let quality = &*r;
        left.clear();
        left.resize(n, 1.0);
        scores.clear();
        scores.extend_from_slice(quality);
        cholesky.clear();
        list.clear();
        while list.len() < objective.k
            && let Some(chosen) = highest(candidates, scores)
        {
            list.push(chosen);
            scores[chosen as usize] = f32::NEG_INFINITY;
            if list.len() == objective.k {
                break;
            }
            let chosen = chosen as usize;
            similarity.row(chosen as u32, row);
            for column in cholesky.chunks_exact(n) {
                let own = column[chosen];
                row.iter_mut().zip(column).for_each(|(row, other)| *row -= own * other);
            }
            let over = left[chosen].sqrt().recip();
            for (((entry, left), score), quality) in
                row.iter_mut().zip(&mut *left).zip(&mut *scores).zip(quality)
            {
                *entry *= over;
                *left -= *entry * *entry;
                let value = if *left > NOTHING_LEFT { quality * *left } else { f32::NEG_INFINITY };
                *score = if *score == f32::NEG_INFINITY { *score } else { value };
            }
            cholesky.extend_from_slice(row);
        }
        if list.len() < objective.k.min(n) {
            fill_by_utility(candidates, objective.k, scores, list);
        }
        list.sort_unstable_by(|&a, &b| candidates.by_utility(a, b));
        Ok(())
    }
}

/// Gives the places that are left to the unlisted candidates of highest utility.
fn fill_by_utility(candidates: &Candidates<'_>, k: usize, scores: &mut [f32], list: &mut Vec<u32>) {
    scores.copy_from_slice(candidates.utility);
    list.iter().for_each(|&i| scores[i as usize] = f32::NEG_INFINITY);
    while list.len() < k
        && let Some(chosen) = highest(candidates, scores)
    {
        scores[chosen as usize] = f32::NEG_INFINITY;
        list.push(chosen);
    }
}
