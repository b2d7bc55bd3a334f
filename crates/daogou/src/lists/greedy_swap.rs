//! Greedy, then exchanges of one item as long as one improves the list.

use std::cmp::Ordering;

use super::{Candidates, Greedy, ListBuilder, Objective, Scratch};
use crate::Result;

/// [`Greedy`] followed by local search: of all exchanges of a listed for an unlisted candidate the one that raises F(S)
/// most, until none does.
///
/// Never worse than greedy, and often the best there is. Unlike [`super::Exact`] it takes fractions of novelty and long
/// lists. At most [`GreedySwap::ROUNDS`] exchanges per place.
///
/// O(N) to find who can come in, then O(K² C) per exchange; O(K N) where novelty is a fraction.
#[derive(Clone, Copy, Debug)]
pub struct GreedySwap;

impl GreedySwap {
    /// Exchanges per place of the list, at most; in practice there are fewer than K in all.
    pub const ROUNDS: usize = 10;
}

impl ListBuilder for GreedySwap {
    fn name(&self) -> &'static str {
        "greedy_swap"
    }

    fn maximises_objective(&self) -> bool {
        true
    }

    fn build(
        &self,
        candidates: &Candidates<'_>,
        objective: &Objective<'_>,
        scratch: &mut Scratch,
        list: &mut Vec<u32>,
    ) -> Result<()> {
        Greedy.build(candidates, objective, scratch, list)?;
        if !objective.novelty_counts() || list.len() == candidates.len() {
            return Ok(()); // greedy is optimal, or there is no choice
        }
        let k = list.len();
        let pool = &mut scratch.candidates;
        pool.clear();
        if candidates.novelty_is_binary() {
            // Of a cell, only the best K can be listed.
            let cells = &mut scratch.cells;
            cells.fill(candidates, objective, true);
            cells.keep_best(k, candidates);
            (0..cells.len()).for_each(|cell| pool.extend(cells.members(cell)));
        } else {
            pool.extend(0..candidates.len() as u32);
        }
        Self::prepare(candidates, objective, list, scratch);
        for _ in 0..Self::ROUNDS * k {
            let found = best_exchange(candidates, objective, scratch, list, |_, _| true);
            let Some((place, entering)) = found else { break };
            Self::swap(scratch, &mut list[place], entering);
            list.sort_unstable_by(|&a, &b| candidates.by_utility(a, b));
        }
        Ok(())
    }
}

impl GreedySwap {
    /// Tabulates what [`best_exchange`] needs of a list that it starts from; the candidates that can enter are those in
    /// `scratch.candidates`.
    pub(super) fn prepare(
        candidates: &Candidates<'_>,
        objective: &Objective<'_>,
        list: &[u32],
        scratch: &mut Scratch,
    ) {
        scratch.calibration.fill(objective, list.len());
        scratch.listed.clear();
        scratch.listed.resize(candidates.len(), false);
        list.iter().for_each(|&i| scratch.listed[i as usize] = true);
    }

    /// Puts a candidate into the place of another.
    pub(super) fn swap(scratch: &mut Scratch, place: &mut u32, entering: u32) {
        scratch.listed[*place as usize] = false;
        scratch.listed[entering as usize] = true;
        *place = entering;
    }
}

/// The place whose item leaves and the candidate that enters, if some permitted exchange improves the list.
pub(super) fn best_exchange(
    candidates: &Candidates<'_>,
    objective: &Objective<'_>,
    scratch: &mut Scratch,
    list: &[u32],
    mut permitted: impl FnMut(usize, u32) -> bool,
) -> Option<(usize, u32)> {
    let Scratch { candidates: pool, calibration, listed, counts, .. } = scratch;
    let utility = |i: u32| f64::from(candidates.utility[i as usize]);
    let group = |i: u32| objective.group_of(candidates.category(i));
    counts.clear();
    counts.resize(objective.groups(), 0);
    list.iter().for_each(|&i| counts[group(i)] += 1);
    let gain = |group: usize, n: usize| calibration.of(group)[n + 1] - calibration.of(group)[n];
    let novel: f64 = list.iter().map(|&i| candidates.novel(i)).sum();
    // What rounding makes of nothing is no improvement.
    let mut most = 1e-12 * list.iter().map(|&i| utility(i).abs() + 1.0).sum::<f64>();
    let mut best: Option<(usize, u32)> = None;
    for (place, &leaving) in list.iter().enumerate() {
        let left = group(leaving);
        counts[left] -= 1;
        let others = novel - candidates.novel(leaving);
        let loss = utility(leaving) + gain(left, counts[left]);
        let before = objective.novelty_term(novel) + loss;
        for &entering in pool.iter().filter(|&&i| !listed[i as usize]) {
            let entered = group(entering);
            let novelty = objective.novelty_term(others + candidates.novel(entering));
            let change = utility(entering) + gain(entered, counts[entered]) + novelty - before;
            let wins = change > most
                || change == most
                    && best.is_some_and(|(_, other)| {
                        candidates.by_utility(entering, other) == Ordering::Less
                    });
            if wins && permitted(place, entering) {
                (most, best) = (change, Some((place, entering)));
            }
        }
        counts[left] += 1;
    }
    best
}
