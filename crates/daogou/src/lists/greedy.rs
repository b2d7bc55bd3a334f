//! One item at a time, always the one that adds most to the objective.

use std::cmp::Ordering;

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

/// Candidates of equal gain beside their utility: a range of [`Scratch::candidates`], the best one first.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Cell {
    start: u32,
    end: u32,
}

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

/// The state of a list being built: what each category adds next, and the novelty so far.
struct Gains<'a> {
    objective: &'a Objective<'a>,
    /// One per wanted category, and the last for all others, which gains nothing.
    categories: &'a mut Vec<Category>,
    novel: f64,
}

impl<'a> Gains<'a> {
    fn new(objective: &'a Objective<'a>, categories: &'a mut Vec<Category>) -> Self {
        let n = if objective.lambda_diversity > 0.0 { objective.wanted_mix.len() } else { 0 };
        categories.clear();
        categories.extend((0..=n as u32).map(|category| Category {
            chosen: 0,
            gain: if category < n as u32 {
                objective.diversity_gain(category as u16, 0)
            } else {
                0.0
            },
        }));
        Self { objective, categories, novel: 0.0 }
    }

    /// Index of a candidate's category in `categories`; unwanted ones share the last.
    fn slot(&self, category: u16) -> usize {
        let last = self.categories.len() - 1;
        let slot = usize::from(category).min(last);
        if slot < last && self.objective.wanted_mix[slot] > 0.0 { slot } else { last }
    }

    fn offer(
        &self,
        candidates: &Candidates<'_>,
        candidate: u32,
        slot: usize,
        novelty: f64,
    ) -> Offer {
        let utility = f64::from(candidates.utility[candidate as usize]);
        Offer { gain: utility + (self.categories[slot].gain + novelty), candidate }
    }

    fn choose(&mut self, slot: usize, novel: f64) {
        self.novel += novel;
        if slot + 1 < self.categories.len() {
            let category = &mut self.categories[slot];
            category.chosen += 1;
            category.gain = self.objective.diversity_gain(slot as u16, category.chosen);
        }
    }
}

impl ListBuilder for Greedy {
    fn name(&self) -> &'static str {
        "greedy"
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
        let Scratch { candidates: members, cells, categories } = scratch;
        let gains = Gains::new(objective, categories);
        let k = objective.k.min(candidates.len());
        let fractions = objective.lambda_novelty > 0.0
            && candidates.novel.iter().any(|&novel| novel != 0.0 && novel != 1.0);
        if fractions {
            choose_among_all(candidates, gains, members, k, list);
        } else {
            choose_among_cells(candidates, gains, members, cells, k, list);
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
            let slot = gains.slot(candidates.category(candidate));
            let novelty = gains.objective.novelty_gain(gains.novel, candidates.novel(candidate));
            let offer = gains.offer(candidates, candidate, slot, novelty);
            if best.is_none_or(|(other, _)| offer.beats(&other, candidates)) {
                best = Some((offer, place));
            }
        }
        let Some((_, place)) = best else { return };
        let chosen = remaining.swap_remove(place);
        gains.choose(gains.slot(candidates.category(chosen)), candidates.novel(chosen));
        list.push(chosen);
    }
}

/// Only the best of each cell competes; cells are pairs of category and novelty, the latter 0 or 1.
fn choose_among_cells(
    candidates: &Candidates<'_>,
    mut gains: Gains<'_>,
    members: &mut Vec<u32>,
    cells: &mut Vec<Cell>,
    k: usize,
    list: &mut Vec<u32>,
) {
    let novelty_counts = gains.objective.lambda_novelty > 0.0;
    let cell_of = |gains: &Gains<'_>, candidate: u32| {
        let novel = novelty_counts && candidates.novel(candidate) > 0.0;
        2 * gains.slot(candidates.category(candidate)) + usize::from(novel)
    };
    // A counting sort by cell.
    let n = candidates.len() as u32;
    cells.clear();
    cells.resize(2 * gains.categories.len(), Cell::default());
    for candidate in 0..n {
        cells[cell_of(&gains, candidate)].end += 1;
    }
    let mut start = 0;
    for cell in cells.iter_mut() {
        let size = cell.end;
        *cell = Cell { start, end: start };
        start += size;
    }
    members.clear();
    members.resize(n as usize, 0);
    for candidate in 0..n {
        let cell = &mut cells[cell_of(&gains, candidate)];
        members[cell.end as usize] = candidate;
        cell.end += 1;
    }
    for cell in cells.iter() {
        bring_best_forward(candidates, &mut members[cell.start as usize..cell.end as usize]);
    }
    for _ in 0..k {
        let novelty = [0.0, gains.objective.novelty_gain(gains.novel, 1.0)];
        let mut best: Option<(Offer, usize)> = None;
        for (index, cell) in cells.iter().enumerate().filter(|(_, cell)| cell.start < cell.end) {
            let candidate = members[cell.start as usize];
            let offer = gains.offer(candidates, candidate, index / 2, novelty[index % 2]);
            if best.is_none_or(|(other, _)| offer.beats(&other, candidates)) {
                best = Some((offer, index));
            }
        }
        let Some((offer, index)) = best else { return };
        list.push(offer.candidate);
        gains.choose(index / 2, (index % 2) as f64);
        let cell = &mut cells[index];
        cell.start += 1;
        bring_best_forward(candidates, &mut members[cell.start as usize..cell.end as usize]);
    }
}

/// Swaps the candidate of highest utility to the front.
fn bring_best_forward(candidates: &Candidates<'_>, members: &mut [u32]) {
    let mut best = 0;
    for place in 1..members.len() {
        if candidates.by_utility(members[place], members[best]) == Ordering::Less {
            best = place;
        }
    }
    if best > 0 {
        members.swap(0, best);
    }
}
