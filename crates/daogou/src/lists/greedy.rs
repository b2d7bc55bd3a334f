//! One item at a time, always the one that adds most to the objective.

use std::cmp::Ordering;

use super::cells::Cells;
use super::{Candidates, ListBuilder, Objective, Scratch};
use crate::Result;

/// Largest marginal gain first.
///
/// Without the novelty term this is exactly optimal for every K, since utility plus a concave function of each
/// category's count is M♮-concave over disjoint categories. With it, categories and novelty cross and the list may
/// fall short of the best.
///
/// Candidates of one category and one novelty gain alike, so of such a cell only the best one competes. O(N) to fill
/// the cells, then per step O(C + cell). Where novelty is a fraction and counts, every candidate competes: O(N K).
#[derive(Clone, Copy, Debug)]
pub struct Greedy;

/// A category while a list is built.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Category {
    chosen: usize,
    gain: f64,
}

/// Gain of a candidate, and what decides when gains are equal.
#[derive(Clone, Copy)]
struct Offer {
    gain: f64,
    candidate: u32,
}

impl Offer {
    fn beats(&self, other: &Self, candidates: &Candidates<'_>) -> bool {
        match self.gain.partial_cmp(&other.gain) {
            Some(Ordering::Equal) | None => {
                candidates.by_utility(self.candidate, other.candidate) == Ordering::Less
            }
            Some(order) => order == Ordering::Greater,
        }
    }
}

/// The state of a list being built: what each category group adds next, and the novelty so far.
struct Gains<'a> {
    objective: &'a Objective<'a>,
    /// One per group; the last one gains nothing.
    categories: &'a mut Vec<Category>,
    novel: f64,
}

impl<'a> Gains<'a> {
    fn new(objective: &'a Objective<'a>, categories: &'a mut Vec<Category>) -> Self {
        let last = objective.groups() - 1;
        categories.clear();
        categories.extend((0..=last).map(|group| Category {
            chosen: 0,
            gain: if group < last { objective.diversity_gain(group as u16, 0) } else { 0.0 },
        }));
        Self { objective, categories, novel: 0.0 }
    }

    fn offer(
        &self,
        candidates: &Candidates<'_>,
        candidate: u32,
        group: usize,
        novelty: f64,
    ) -> Offer {
        let utility = f64::from(candidates.utility[candidate as usize]);
        Offer { gain: utility + (self.categories[group].gain + novelty), candidate }
    }

    fn choose(&mut self, group: usize, novel: f64) {
        self.novel += novel;
        if group + 1 < self.categories.len() {
            let category = &mut self.categories[group];
            category.chosen += 1;
            category.gain = self.objective.diversity_gain(group as u16, category.chosen);
        }
    }
}

impl ListBuilder for Greedy {
    fn name(&self) -> &'static str {
        "greedy"
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
        objective.check(candidates)?;
        list.clear();
        let gains = Gains::new(objective, &mut scratch.categories);
        let k = objective.k.min(candidates.len());
        if objective.novelty_counts() && !candidates.novelty_is_binary() {
            choose_among_all(candidates, gains, &mut scratch.candidates, k, list);
        } else {
            choose_among_cells(candidates, gains, &mut scratch.cells, k, list);
        }
        list.sort_unstable_by(|&a, &b| candidates.by_utility(a, b));
        Ok(())
    }
}

/// Every remaining candidate competes in every step.
fn choose_among_all(
    candidates: &Candidates<'_>,
    mut gains: Gains<'_>,
    remaining: &mut Vec<u32>,
    k: usize,
    list: &mut Vec<u32>,
) {
    remaining.clear();
    remaining.extend(0..candidates.len() as u32);
    for _ in 0..k {
        let mut best: Option<(Offer, usize)> = None;
        for (place, &candidate) in remaining.iter().enumerate() {
            let group = gains.objective.group_of(candidates.category(candidate));
            let novelty = gains.objective.novelty_gain(gains.novel, candidates.novel(candidate));
            let offer = gains.offer(candidates, candidate, group, novelty);
            if best.is_none_or(|(other, _)| offer.beats(&other, candidates)) {
                best = Some((offer, place));
            }
        }
        let Some((_, place)) = best else { return };
        let chosen = remaining.swap_remove(place);
        let group = gains.objective.group_of(candidates.category(chosen));
        gains.choose(group, candidates.novel(chosen));
        list.push(chosen);
    }
}

/// Only the best of each cell competes; novelty, where it counts, is 0 or 1.
fn choose_among_cells(
    candidates: &Candidates<'_>,
    mut gains: Gains<'_>,
    cells: &mut Cells,
    k: usize,
    list: &mut Vec<u32>,
) {
    cells.fill(candidates, gains.objective, gains.objective.novelty_counts());
    for cell in 0..cells.len() {
        cells.bring_best_forward(cell, candidates);
    }
    for _ in 0..k {
        let novelty = [0.0, gains.objective.novelty_gain(gains.novel, 1.0)];
        let mut best: Option<(Offer, usize)> = None;
        for cell in 0..cells.len() {
            let Some(&candidate) = cells.members(cell).first() else { continue };
            let offer = gains.offer(candidates, candidate, cell / 2, novelty[cell % 2]);
            if best.is_none_or(|(other, _)| offer.beats(&other, candidates)) {
                best = Some((offer, cell));
            }
        }
        let Some((offer, cell)) = best else { return };
        list.push(offer.candidate);
        gains.choose(cell / 2, (cell % 2) as f64);
        cells.drop_first(cell);
        cells.bring_best_forward(cell, candidates);
    }
}
