//! The best list there is, by dynamic programming over cells.

use super::calibration::Calibration;
use super::cells::Cells;
use super::groups::{Bound, Groups};
use super::{Candidates, Greedy, ListBuilder, Objective, Scratch};
use crate::{Error, Result};

/// The list of highest value, where an item has at most one category and its novelty is 0 or 1.
///
/// A set is then worth what its numbers of novel and other items per category say, and the best set of such numbers
/// takes the best of each cell. With `P` the prefix sums of utility of a cell and `φ` the calibration term,
///
/// ```text
/// f_g[k][v] = max over (m₁, m₀) of f_{g−1}[k − m₁ − m₀][v − m₁] + P_{g,1}[m₁] + P_{g,0}[m₀] + φ_g(m₁ + m₀)
/// F(S*)     = max over v of f_G[K][v] − λ_n K (ν* − v/K)₊²
/// ```
///
/// Without the novelty term [`Greedy`] is optimal, and is what runs. Sets of equal value are told apart by [`Candidates::tie_break`] within a cell and by the
/// numbers of the categories across cells.
///
/// O(N) for the cells and at most O(C K⁴) for the table, whose inner loop is an elementwise maximum: tens of microseconds
/// for K = 10, milliseconds for K = 50.
///
/// Errors, beside those of [`Objective::check`]: novelty that counts and is a proper fraction.
#[derive(Clone, Copy, Debug)]
pub struct Exact;

/// The best there is for each number of novel items.
#[derive(Clone, Debug, PartialEq)]
pub struct FrontierPoint {
    /// Novel items in the list.
    pub novel: usize,
    /// Utility and calibration term of the list: F(S) without the novelty term.
    pub value: f64,
    /// The list, in the order to show it.
    pub list: Vec<u32>,
}

/// For every number of novel items that a list of K can have, the best such list, from one table: O(N + C K⁴).
///
/// This is the price of novelty, as a curve. It need not be concave, so a weight on novelty may not reach all of it.
///
/// Errors: as [`Exact`].
pub fn novelty_frontier(
    candidates: &Candidates<'_>,
    objective: &Objective<'_>,
    scratch: &mut Scratch,
) -> Result<Vec<FrontierPoint>> {
    objective.check(candidates)?;
    expect_binary_novelty(candidates)?;
    let k = objective.k.min(candidates.len());
    let Scratch { cells, calibration, table, .. } = scratch;
    table.fill(candidates, objective, k, cells, calibration);
    let reachable = (0..=k).filter(|&novel| table.best(novel) > f64::NEG_INFINITY);
    Ok(reachable
        .map(|novel| {
            let mut list = Vec::with_capacity(k);
            table.trace(novel, cells, calibration, &mut list);
            list.sort_unstable_by(|&a, &b| candidates.by_utility(a, b));
            let breakdown = objective.breakdown(candidates, &list);
            FrontierPoint { novel, value: breakdown.utility + breakdown.diversity, list }
        })
        .collect())
}

fn expect_binary_novelty(candidates: &Candidates<'_>) -> Result<()> {
    let fraction = candidates.novel.iter().position(|&novel| novel != 0.0 && novel != 1.0);
    fraction.map_or(Ok(()), |i| {
        Err(Error::data(format!(
            "novelty of candidate {i}: `exact` expects 0 or 1, got {}",
            candidates.novel[i]
        ))
        .with_hint("`greedy_swap` takes fractions of novelty"))
    })
}

impl ListBuilder for Exact {
    fn name(&self) -> &'static str {
        "exact"
    }

    fn maximises_objective(&self) -> bool {
        true
    }

    fn finds_best(&self, _: &Candidates<'_>, _: &Objective<'_>) -> bool {
        true
    }

    fn build(
        &self,
        candidates: &Candidates<'_>,
        objective: &Objective<'_>,
        scratch: &mut Scratch,
        list: &mut Vec<u32>,
    ) -> Result<()> {
        if !objective.novelty_counts() {
            return Greedy.build(candidates, objective, scratch, list);
        }
        objective.check(candidates)?;
        expect_binary_novelty(candidates)?;
        list.clear();
        let k = objective.k.min(candidates.len());
        let Scratch { cells, calibration, table, .. } = scratch;
        table.fill(candidates, objective, k, cells, calibration);
        table.trace(table.most_valuable(objective), cells, calibration, list);
        list.sort_unstable_by(|&a, &b| candidates.by_utility(a, b));
        Ok(())
    }
}

/// The list of `k` of highest value among those whose numbers are within bounds; `false`: there is none.
///
/// Bounds only narrow the choices of each category in the table of [`Exact`], so the list is the best one.
pub(super) fn best_within(
    groups: &Groups,
    candidates: &Candidates<'_>,
    objective: &Objective<'_>,
    k: usize,
    scratch: &mut Scratch,
    list: &mut Vec<u32>,
) -> bool {
    let Scratch { cells, calibration, table, .. } = scratch;
    cells.fill_by(candidates.len() as u32, groups.bounds().len(), |i| {
        groups.group(i).map(|group| 2 * group + usize::from(candidates.novel(i) > 0.0))
    });
    table.groups.clear();
    table.groups.extend_from_slice(groups.bounds());
    table.fill_cells(candidates, objective, k, cells, calibration);
    let novel = table.most_valuable(objective);
    if table.best(novel) == f64::NEG_INFINITY {
        return false;
    }
    list.clear();
    table.trace(novel, cells, calibration, list);
    list.sort_unstable_by(|&a, &b| candidates.by_utility(a, b));
    true
}

/// `f_g[k][v]` for every group `g`. Choices are not stored: going back, a value is recognised by computing it again.
#[derive(Clone, Debug, Default)]
pub(super) struct Table {
    /// Plane `g` holds the sets of groups below `g`: row `k`, column `v`, both from 0 to K.
    values: Vec<f64>,
    /// `P`: one row per cell, for 0 to K items.
    prefix: Vec<f64>,
    /// Without rules: the groups of the calibration term, any number of each.
    groups: Vec<Bound>,
    /// K + 1.
    width: usize,
}

impl Table {
    /// Fills cells, calibration and table for sets of `k`.
    fn fill(
        &mut self,
        candidates: &Candidates<'_>,
        objective: &Objective<'_>,
        k: usize,
        cells: &mut Cells,
        calibration: &mut Calibration,
    ) {
        cells.fill(candidates, objective, true);
        self.groups.clear();
        let any = |mix| Bound { mix, min: 0, max: usize::MAX };
        self.groups.extend((0..objective.groups()).map(any));
        self.fill_cells(candidates, objective, k, cells, calibration);
    }

    /// The same for groups and cells that are there.
    fn fill_cells(
        &mut self,
        candidates: &Candidates<'_>,
        objective: &Objective<'_>,
        k: usize,
        cells: &mut Cells,
        calibration: &mut Calibration,
    ) {
        cells.keep_best(k, candidates);
        calibration.fill(objective, k);
        self.width = k + 1;
        self.prefix.clear();
        for cell in 0..cells.len() {
            let mut sum = 0.0;
            self.prefix.push(sum);
            self.prefix.extend(cells.members(cell).iter().map(|&i| {
                sum += f64::from(candidates.utility[i as usize]);
                sum
            }));
            self.prefix.resize((cell + 1) * self.width, f64::NEG_INFINITY);
        }
        let plane = self.width * self.width;
        self.values.clear();
        self.values.resize((self.groups.len() + 1) * plane, f64::NEG_INFINITY);
        self.values[0] = 0.0;
        // Size of the largest set so far: beyond it all is impossible.
        let mut most = 0;
        for group in 0..self.groups.len() {
            let sizes = [0, 1].map(|novel| cells.members(2 * group + novel).len());
            self.extend(group, sizes, most, calibration.of(self.groups[group].mix));
            most = (most + sizes[0] + sizes[1]).min(k);
        }
    }

    /// What `old` and `novel` items of a group are worth.
    #[inline]
    fn worth(&self, group: usize, old: usize, novel: usize, calibration: &[f64]) -> f64 {
        let cell = 2 * group * self.width;
        self.prefix[cell + old] + self.prefix[cell + self.width + novel] + calibration[old + novel]
    }

    /// Plane `group + 1` from plane `group`, whose sets have up to `most` items.
    fn extend(&mut self, group: usize, sizes: [usize; 2], most: usize, calibration: &[f64]) {
        let (k, plane) = (self.width - 1, self.width * self.width);
        let Bound { min, max, .. } = self.groups[group];
        for novel in 0..=sizes[1].min(k).min(max) {
            for old in min.saturating_sub(novel)..=sizes[0].min(k - novel).min(max - novel) {
                let added = old + novel;
                let worth = self.worth(group, old, novel, calibration);
                let (before, after) = self.values.split_at_mut((group + 1) * plane);
                // More items and more novel ones are one shift of the plane: a set has no more novel items than items,
                // so none is shifted beyond the end of its row.
                let rows = most.min(k - added) + 1;
                let from = &before[group * plane..][..rows * self.width - novel];
                let to = &mut after[added * self.width + novel..];
                for (to, from) in to.iter_mut().zip(from) {
                    let value = from + worth;
                    *to = if value > *to { value } else { *to };
                }
            }
        }
    }

    fn at(&self, group: usize, size: usize, novel: usize) -> f64 {
        self.values[(group * self.width + size) * self.width + novel]
    }

    /// Value of the best set of K with this many novel items, −∞ if there is none.
    fn best(&self, novel: usize) -> f64 {
        self.at(self.groups.len(), self.width - 1, novel)
    }

    /// The number of novel items of the best set of K; of equal ones the smaller.
    fn most_valuable(&self, objective: &Objective<'_>) -> usize {
        let value = |novel: usize| self.best(novel) + objective.novelty_term(novel as f64);
        (1..self.width).fold(0, |best, novel| if value(novel) > value(best) { novel } else { best })
    }

    /// Appends the set behind [`Table::best`], in no particular order.
    fn trace(&self, novel: usize, cells: &Cells, calibration: &Calibration, list: &mut Vec<u32>) {
        let (mut size, mut left) = (self.width - 1, novel);
        for group in (0..self.groups.len()).rev() {
            let Bound { mix, min, max } = self.groups[group];
            let [olds, novels] = [0, 1].map(|novel| cells.members(2 * group + novel));
            let value = self.at(group + 1, size, left);
            let mut choices = (0..=novels.len().min(left).min(max)).flat_map(|novel| {
                let most = olds.len().min(size - novel).min(max - novel);
                (min.saturating_sub(novel)..=most).map(move |old| (old, novel))
            });
            let (old, novel) = choices
                .find(|&(old, novel)| {
                    let worth = self.worth(group, old, novel, calibration.of(mix));
                    self.at(group, size - old - novel, left - novel) + worth == value
                })
                .expect("every value of the table is the sum that it was made from");
            list.extend(&olds[..old]);
            list.extend(&novels[..novel]);
            (size, left) = (size - old - novel, left - novel);
        }
    }
}
