//! Utility on a scale that re-rankers can weigh against similarity.

use super::Candidates;

/// `r_i = (u_i − min u) / (max u − min u)` over the candidates, so in `[0, 1]`; 1 for all where all are equal.
pub(super) fn relevance(candidates: &Candidates<'_>, out: &mut Vec<f32>) {
    let lowest = candidates.utility.iter().copied().fold(f32::INFINITY, f32::min);
    let highest = candidates.utility.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    // In f64: the range of two finite f32 may be infinite in f32.
    let range = f64::from(highest) - f64::from(lowest);
    out.clear();
    out.extend(candidates.utility.iter().map(|&u| {
        if range > 0.0 { ((f64::from(u) - f64::from(lowest)) / range) as f32 } else { 1.0 }
    }));
}

/// The candidate of highest score, ties as [`Candidates::by_utility`]; those that score −∞ are out. `None` if all are.
pub(super) fn highest(candidates: &Candidates<'_>, scores: &[f32]) -> Option<u32> {
    let mut best = (f32::NEG_INFINITY, None);
    for (i, &score) in scores.iter().enumerate() {
        if score >= best.0 && score > f32::NEG_INFINITY {
            let wins = score > best.0
                || best.1.is_none_or(|other| candidates.by_utility(i as u32, other).is_lt());
            if wins {
                best = (score, Some(i as u32));
            }
        }
    }
    best.1
}
