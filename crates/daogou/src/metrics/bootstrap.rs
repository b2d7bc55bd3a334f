//! Percentile intervals by the Poisson bootstrap.
//!
//! A replicate gives every unit a Poisson(1) count of copies, the limit of drawing units with replacement (Chamandy et
//! al. 2012). A unit is what varies independently: a user where rows of one user hang together, else a row. Counts
//! are a function of seed, block of replicates and unit number, so intervals repeat to the bit.

use std::collections::BTreeMap;

use daogou_nn::Rng;
use serde::{Deserialize, Serialize};

/// Low and high end of each metric's interval, by the metric's name; undefined ones are absent.
pub type Intervals = BTreeMap<String, [f64; 2]>;

/// How intervals are made.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct BootstrapOptions {
    /// Replicates; 0: no intervals.
    pub replicates: usize,
    /// Probability that an interval should cover the truth.
    pub level: f64,
    /// Seed of the resampling.
    pub seed: u64,
}

impl Default for BootstrapOptions {
    fn default() -> Self {
        Self { replicates: 200, level: 0.95, seed: 1 }
    }
}

/// Replicates drawn side by side, so that one pass over the rows serves all of them.
pub(crate) const LANES: usize = 8;

/// Copies of a unit in each of the replicates of a block.
pub(crate) type Copies = [u8; LANES];

/// Runs `block` with the copies of every unit, for each block of [`LANES`] replicates, and how many of these count.
pub(crate) fn for_each_block(
    n_units: usize,
    options: &BootstrapOptions,
    mut block: impl FnMut(&[Copies], usize),
) {
    let thresholds = poisson_thresholds();
    let mut copies = vec![[0; LANES]; n_units];
    for (number, first) in (0..options.replicates).step_by(LANES).enumerate() {
        let mut rng = Rng::new(options.seed, number as u64);
        for unit in &mut copies {
            let mut draws = [0u32; LANES];
            for pair in draws.chunks_exact_mut(2) {
                let bits = rng.next_u64();
                pair.copy_from_slice(&[bits as u32, (bits >> 32) as u32]);
            }
            let mut counts = [0u32; LANES];
            for &threshold in &thresholds {
                for (count, &draw) in counts.iter_mut().zip(&draws) {
                    *count += u32::from(draw >= threshold);
                }
            }
            *unit = counts.map(|count| count as u8);
        }
        block(&copies, LANES.min(options.replicates - first));
    }
}

/// `2³² P(X ≤ k)` of a Poisson(1) variable, k = 0..12: a uniform 32-bit number is a draw of X by how many it reaches.
fn poisson_thresholds() -> [u32; 12] {
    let (mut probability, mut cumulative) = ((-1.0f64).exp(), 0.0);
    std::array::from_fn(|k| {
        cumulative += probability;
        probability /= k as f64 + 1.0;
        (cumulative * 4_294_967_296.0) as u32
    })
}

/// Weighted sums over units for each replicate of a block.
pub(super) fn block_sums<const M: usize>(
    units: &[[f64; M]],
    copies: &[Copies],
) -> [[f64; M]; LANES] {
    let mut sums = [[0.0; LANES]; M];
    for (unit, copies) in units.iter().zip(copies) {
        let weights = copies.map(f64::from);
        for (sums, value) in sums.iter_mut().zip(unit) {
            for (sum, weight) in sums.iter_mut().zip(&weights) {
                *sum += weight * value;
            }
        }
    }
    std::array::from_fn(|lane| std::array::from_fn(|m| sums[m][lane]))
}

/// Values of named metrics over the replicates, to become intervals.
pub(super) struct Replicates<'a, const S: usize> {
    names: [&'a str; S],
    values: [Vec<f64>; S],
}

impl<'a, const S: usize> Replicates<'a, S> {
    pub(super) fn new(names: [&'a str; S]) -> Self {
        Self { names, values: std::array::from_fn(|_| Vec::new()) }
    }

    /// One replicate; undefined metrics are left out of their interval.
    pub(super) fn push(&mut self, metrics: [Option<f64>; S]) {
        for (values, metric) in self.values.iter_mut().zip(metrics) {
            values.extend(metric);
        }
    }

    /// Percentile intervals of the metrics that were defined in at least half of the replicates.
    pub(super) fn add_intervals(self, options: &BootstrapOptions, intervals: &mut Intervals) {
        for (name, values) in self.names.into_iter().zip(self.values) {
            if 2 * values.len() >= options.replicates
                && let Some(interval) = percentile_interval(values, options.level)
            {
                intervals.insert(name.to_string(), interval);
            }
        }
    }
}

/// Central interval that holds `level` of the values, ends interpolated. `None` with fewer than two values.
pub fn percentile_interval(mut values: Vec<f64>, level: f64) -> Option<[f64; 2]> {
    if values.len() < 2 {
        return None;
    }
    values.sort_unstable_by(f64::total_cmp);
    let quantile = |share: f64| {
        let place = share.clamp(0.0, 1.0) * (values.len() - 1) as f64;
        let below = place.floor() as usize;
        let above = (below + 1).min(values.len() - 1);
        values[below] + (place - below as f64) * (values[above] - values[below])
    };
    Some([quantile(0.5 - 0.5 * level), quantile(0.5 + 0.5 * level)])
}

/// Intervals of metrics that are functions of sums over units (means, ratios of means).
///
/// `units` holds the terms of each unit. Empty with fewer than two units.
pub fn intervals_of_sums<const M: usize, const S: usize>(
    units: &[[f64; M]],
    names: [&str; S],
    metrics: impl Fn(&[f64; M]) -> [Option<f64>; S],
    options: &BootstrapOptions,
) -> Intervals {
    let mut intervals = Intervals::new();
    if units.len() < 2 {
        return intervals;
    }
    let mut replicates = Replicates::new(names);
    for_each_block(units.len(), options, |copies, live| {
        for sums in &block_sums(units, copies)[..live] {
            replicates.push(metrics(sums));
        }
    });
    replicates.add_intervals(options, &mut intervals);
    intervals
}

/// Rows of a binary task in descending order of score, ready to be weighted again and again.
pub(super) struct RankedRows {
    /// `unit << 2 | label << 1 | last of its tie`.
    rows: Vec<u32>,
}

impl RankedRows {
    pub(super) fn new(
        order: &super::ScoreOrder,
        labels: &[u8],
        unit_of: impl Fn(u32) -> u32,
    ) -> Self {
        let mut rows = Vec::with_capacity(labels.len());
        for tie in order.ties().rev() {
            rows.extend(
                tie.iter()
                    .map(|&row| unit_of(row) << 2 | u32::from(labels[row as usize] != 0) << 1),
            );
            if let Some(last) = rows.last_mut() {
                *last |= 1;
            }
        }
        Self { rows }
    }

    /// AUC and PR-AUC of each replicate of a block: the formulas of [`super::auc`] with copies as weights. One pass.
    pub(super) fn auc_and_pr_auc(&self, copies: &[Copies]) -> [[Option<f64>; 2]; LANES] {
        let mut twice_area = [0u64; LANES];
        let mut precision = [0.0f64; LANES];
        let (mut above1, mut above0) = ([0u32; LANES], [0u32; LANES]); // positives, negatives with higher scores
        let (mut tie1, mut tie0) = ([0u32; LANES], [0u32; LANES]); // in the current tie
        let mut any_positive = false;
        for &row in &self.rows {
            let weights = &copies[(row >> 2) as usize];
            if row & 2 != 0 {
                any_positive = true;
                for (sum, &weight) in tie1.iter_mut().zip(weights) {
                    *sum += u32::from(weight);
                }
            } else {
                for (sum, &weight) in tie0.iter_mut().zip(weights) {
                    *sum += u32::from(weight);
                }
            }
            if row & 1 != 0 {
                for lane in 0..LANES {
                    twice_area[lane] +=
                        u64::from(tie0[lane]) * u64::from(2 * above1[lane] + tie1[lane]);
                    above0[lane] += tie0[lane];
                }
                if any_positive {
                    for lane in 0..LANES {
                        above1[lane] += tie1[lane];
                        let rows = above1[lane] + above0[lane];
                        if tie1[lane] > 0 {
                            precision[lane] +=
                                f64::from(tie1[lane]) * f64::from(above1[lane]) / f64::from(rows);
                        }
                    }
                    tie1 = [0; LANES];
                    any_positive = false;
                }
                tie0 = [0; LANES];
            }
        }
        std::array::from_fn(|lane| {
            let (positives, negatives) = (f64::from(above1[lane]), f64::from(above0[lane]));
            [
                (positives * negatives > 0.0)
                    .then(|| twice_area[lane] as f64 / (2.0 * positives * negatives)),
                (positives > 0.0).then(|| precision[lane] / positives),
            ]
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::{ScoreOrder, auc};
    use daogou_nn::Rng;
    use proptest::prelude::*;

    #[test]
    fn copies_are_poisson() {
        let mut counts = [0u32; 16];
        let options = BootstrapOptions { replicates: 24, ..Default::default() };
        for_each_block(10_000, &options, |copies, live| {
            assert_eq!(live, LANES);
            copies.iter().flatten().for_each(|&c| counts[usize::from(c)] += 1);
        });
        let n = 240_000.0;
        let mut expected = (-1.0f64).exp();
        for (k, &count) in counts.iter().enumerate().take(6) {
            let error = 5.0 * (expected * (1.0 - expected) / n).sqrt();
            assert!((f64::from(count) / n - expected).abs() < error, "P(X = {k})");
            expected /= k as f64 + 1.0;
        }
    }

    proptest! {
        /// Weighting by copies is the same as writing a row down that many times.
        #[test]
        fn weighted_auc_is_auc_of_copied_rows(
            rows in prop::collection::vec((-3i8..3, 0u8..2, 0u32..6), 1..50),
            copies in prop::collection::vec(prop::array::uniform8(0u8..4), 6),
        ) {
            let scores: Vec<f32> = rows.iter().map(|r| f32::from(r.0)).collect();
            let labels: Vec<u8> = rows.iter().map(|r| r.1).collect();
            let order = ScoreOrder::new(&scores);
            let ranked = RankedRows::new(&order, &labels, |row| rows[row as usize].2);
            for (lane, [got_auc, got_pr]) in ranked.auc_and_pr_auc(&copies).into_iter().enumerate() {
                let (mut s, mut y) = (Vec::new(), Vec::new());
                for (row, score) in rows.iter().zip(&scores) {
                    for _ in 0..copies[row.2 as usize][lane] {
                        s.push(*score);
                        y.push(row.1);
                    }
                }
                let order = ScoreOrder::new(&s);
                for (got, expected) in [(got_auc, auc::auc(&order, &y)), (got_pr, auc::pr_auc(&order, &y))] {
                    prop_assert_eq!(got.is_some(), expected.is_some());
                    prop_assert!(got.is_none_or(|g| (g - expected.unwrap()).abs() < 1e-12));
                }
            }
        }
    }

    #[test]
    fn the_interval_of_a_mean_covers_it_as_often_as_it_says() {
        let (mut covered, trials) = (0, 400);
        for trial in 0..trials {
            let mut rng = Rng::new(11, trial);
            let units: Vec<[f64; 2]> = (0..150).map(|_| [1.0, rng.normal() + 2.0]).collect();
            let options = BootstrapOptions { seed: trial, ..Default::default() };
            let mean = |s: &[f64; 2]| [(s[0] > 0.0).then(|| s[1] / s[0])];
            let [low, high] = intervals_of_sums(&units, ["mean"], mean, &options)["mean"];
            covered += u32::from(low <= 2.0 && 2.0 <= high);
        }
        let share = f64::from(covered) / trials as f64;
        assert!((0.91..=0.98).contains(&share), "covered {share}");
    }

    #[test]
    fn edges() {
        assert_eq!(percentile_interval(vec![1.0], 0.95), None);
        assert_eq!(percentile_interval(vec![3.0, 1.0, 2.0], 1.0), Some([1.0, 3.0]));
        assert_eq!(percentile_interval(vec![3.0, 1.0, 2.0], 0.5), Some([1.5, 2.5]));
        let none = BootstrapOptions { replicates: 0, ..Default::default() };
        let mean = |s: &[f64; 1]| [Some(s[0])];
        assert!(intervals_of_sums(&[[1.0]; 9], ["x"], mean, &none).is_empty());
        assert!(intervals_of_sums(&[[1.0]], ["x"], mean, &BootstrapOptions::default()).is_empty());
        // Defined in less than half of the replicates: no interval.
        let rare = |s: &[f64; 1]| [(s[0] > 13.0).then_some(s[0])];
        assert!(
            intervals_of_sums(&[[1.0]; 9], ["x"], rare, &BootstrapOptions::default()).is_empty()
        );
    }
}
