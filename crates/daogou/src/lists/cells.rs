//! Candidates that gain alike: one cell per category and novelty.

use std::cmp::Ordering;

use super::{Candidates, Objective};

/// Candidates of one category and one novelty differ in utility alone, so of a cell only its best ones can be in a best
/// list. Cell `2 g + 1` holds the novel candidates of category group `g` ([`Objective::group_of`]), cell `2 g` the others.
#[derive(Clone, Debug, Default)]
pub(super) struct Cells {
    members: Vec<u32>,
    ranges: Vec<Range>,
}

/// A range of [`Cells::members`].
#[derive(Clone, Copy, Debug, Default)]
struct Range {
    start: u32,
    end: u32,
}

impl Cells {
    /// Sorts the candidates into cells; all are in even cells unless `by_novelty`. A counting sort, O(N + C).
    pub(super) fn fill(
        &mut self,
        candidates: &Candidates<'_>,
        objective: &Objective<'_>,
        by_novelty: bool,
    ) {
        self.fill_by(candidates.len() as u32, objective.groups(), |candidate| {
            let novel = by_novelty && candidates.novel(candidate) > 0.0;
            Some(2 * objective.group_of(candidates.category(candidate)) + usize::from(novel))
        });
    }

    /// The same with novel and other candidates of other groups; those that have no cell are left out.
    pub(super) fn fill_by(
        &mut self,
        n: u32,
        groups: usize,
        cell_of: impl Fn(u32) -> Option<usize>,
    ) {
        self.ranges.clear();
        self.ranges.resize(2 * groups, Range::default());
        for cell in (0..n).filter_map(&cell_of) {
            self.ranges[cell].end += 1;
        }
        let mut start = 0;
        for range in &mut self.ranges {
            let size = range.end;
            *range = Range { start, end: start };
            start += size;
        }
        self.members.clear();
        self.members.resize(start as usize, 0);
        for candidate in 0..n {
            let Some(cell) = cell_of(candidate) else { continue };
            let range = &mut self.ranges[cell];
            self.members[range.end as usize] = candidate;
            range.end += 1;
        }
    }

    /// Number of cells, empty ones included.
    pub(super) fn len(&self) -> usize {
        self.ranges.len()
    }

    /// Candidates of a cell.
    pub(super) fn members(&self, cell: usize) -> &[u32] {
        let Range { start, end } = self.ranges[cell];
        &self.members[start as usize..end as usize]
    }

    /// Drops all but the `k` best of each cell and sorts these, best first. O(N + C k log k) on average.
    pub(super) fn keep_best(&mut self, k: usize, candidates: &Candidates<'_>) {
        let order = |a: &u32, b: &u32| candidates.by_utility(*a, *b);
        for range in &mut self.ranges {
            let members = &mut self.members[range.start as usize..range.end as usize];
            if k < members.len() {
                members.select_nth_unstable_by(k, order);
                range.end = range.start + k as u32;
            }
            self.members[range.start as usize..range.end as usize].sort_unstable_by(order);
        }
    }

    /// Swaps the best candidate of a cell to its front. O(cell).
    pub(super) fn bring_best_forward(&mut self, cell: usize, candidates: &Candidates<'_>) {
        let Range { start, end } = self.ranges[cell];
        let members = &mut self.members[start as usize..end as usize];
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

    /// Drops the first candidate of a cell that has one.
    pub(super) fn drop_first(&mut self, cell: usize) {
        self.ranges[cell].start += 1;
    }
}
