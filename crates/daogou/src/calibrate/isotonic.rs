//! Isotonic calibration: any increasing map, by pooling adjacent violators.

use serde::{Deserialize, Serialize};

use super::Observed;
use crate::metrics::ScoreOrder;

/// Positives and negatives that the outermost blocks have at least: beyond them the map goes on with slope 1, so a tail
/// must not hang on a row or two.
const TAIL: f64 = 20.0;

/// A strictly increasing, piecewise linear map of logits: through its knots, and with slope 1 beyond them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct IsotonicMap {
    /// Logits of the knots, ascending.
    logits: Vec<f64>,
    /// Calibrated logits of the knots, ascending.
    calibrated: Vec<f64>,
}

impl IsotonicMap {
    /// Through these knots.
    pub(super) fn through(knots: impl Iterator<Item = (f64, f64)>) -> Self {
        let (logits, calibrated) = knots.unzip();
        Self { logits, calibrated }
    }

    /// The calibrated logit, by binary search.
    pub fn apply(&self, z: f64) -> f64 {
        let (x, y) = (&self.logits, &self.calibrated);
        let above = x.partition_point(|&knot| knot <= z);
        if above == 0 {
            return y[0] + (z - x[0]);
        }
        if above == x.len() {
            return y[above - 1] + (z - x[above - 1]);
        }
        let part = (z - x[above - 1]) / (x[above] - x[above - 1]);
        y[above - 1] + part * (y[above] - y[above - 1])
    }

    /// The same map, higher by `b` everywhere.
    pub(super) fn raised(mut self, b: f64) -> Self {
        self.calibrated.iter_mut().for_each(|y| *y += b);
        self
    }

    /// Number of knots.
    pub fn knots(&self) -> usize {
        self.logits.len()
    }

    /// Whether it is a map at all: at least one knot, finite and strictly ascending on both sides.
    pub(super) fn is_sound(&self) -> bool {
        let rises = |v: &[f64]| v.iter().all(|x| x.is_finite()) && v.is_sorted_by(|a, b| a < b);
        !self.logits.is_empty()
            && self.logits.len() == self.calibrated.len()
            && rises(&self.logits)
            && rises(&self.calibrated)
    }
}

/// Neighbouring rows that share a rate.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Block {
    rows: f64,
    logits: f64,
    positives: f64,
    negatives: f64,
}

impl Block {
    fn add(&mut self, other: &Self) {
        self.rows += other.rows;
        self.logits += other.logits;
        self.positives += other.positives;
        self.negatives += other.negatives;
    }

    /// Whether its rate is at least that of `other`, without dividing.
    fn reaches(&self, other: &Self) -> bool {
        self.positives * other.negatives >= other.positives * self.negatives
    }
}

/// Blocks of strictly increasing rate, lowest logit first: the least-squares increasing fit (Ayer et al. 1955).
///
/// Rows with equal logits are one block from the start. A negative with offset `o` counts `e^o` times: it stands for the
/// negatives that sampling left out. `O(rows)`.
fn pooled(rows: &[Observed]) -> Vec<Block> {
    let logits: Vec<f32> = rows.iter().map(|row| row.logit).collect();
    let order = ScoreOrder::new(&logits);
    let mut blocks: Vec<Block> = Vec::new();
    for tie in order.ties() {
        let mut block = Block::default();
        for &row in tie {
            let row = &rows[row as usize];
            let (w, t) = (f64::from(row.weight), f64::from(row.target));
            block.add(&Block {
                rows: w,
                logits: w * f64::from(row.logit),
                positives: w * t,
                negatives: w * (1.0 - t) * f64::from(row.offset).exp(),
            });
        }
        if block.rows <= 0.0 {
            continue;
        }
        while let Some(below) = blocks.pop_if(|below| below.reaches(&block)) {
            block.add(&below);
        }
        blocks.push(block);
    }
    blocks
}

/// The map through the pooled blocks, each at its mean logit; between them it is linear, so it is strictly increasing
/// where pooling alone would make steps.
///
/// The outermost blocks are widened to [`TAIL`] positives and negatives, which also keeps their rates off 0 and 1.
/// `None` without positives or negatives.
pub(super) fn fit(rows: &[Observed]) -> Option<IsotonicMap> {
    let mut blocks = pooled(rows);
    let thin = |block: &Block| block.positives < TAIL || block.negatives < TAIL;
    let mut first = 0;
    while first + 1 < blocks.len() && thin(&blocks[first]) {
        let low = blocks[first];
        blocks[first + 1].add(&low);
        first += 1;
    }
    while blocks.len() > first + 1
        && let Some(high) = blocks.pop_if(|block| thin(block))
    {
        blocks.last_mut().expect("one more").add(&high);
    }
    let mut last = f64::NEG_INFINITY;
    let mut knots = Vec::new();
    for block in blocks.get(first..)? {
        let rate = (block.positives / block.negatives).ln();
        // Rates that differ by rounding only are one.
        if rate > last {
            knots.push((block.logits / block.rows, rate));
            last = rate;
        }
    }
    let map = IsotonicMap::through(knots.into_iter());
    map.is_sound().then_some(map)
}

#[cfg(test)]
mod tests {
    use daogou_nn::Rng;
    use proptest::prelude::*;

    use super::*;
    use crate::metrics::logloss::sigmoid;

    fn row(logit: f32, target: f32) -> Observed {
        Observed { logit, offset: 0.0, target, weight: 1.0 }
    }

    /// Increasing regression by its min-max formula: the fit at a tie is the largest over starts at or before it of the
    /// smallest mean from there to any end at or after it.
    fn min_max(ties: &[(f64, f64)]) -> Vec<f64> {
        let mean = |from: usize, to: usize| {
            let part = &ties[from..=to];
            part.iter().map(|t| t.0).sum::<f64>() / part.iter().map(|t| t.0 + t.1).sum::<f64>()
        };
        let n = ties.len();
        (0..n)
            .map(|i| {
                let lowest = |from| (i..n).map(|to| mean(from, to)).fold(f64::INFINITY, f64::min);
                (0..=i).map(lowest).fold(f64::NEG_INFINITY, f64::max)
            })
            .collect()
    }

    proptest! {
        #[test]
        fn pooling_is_increasing_regression(
            rows in prop::collection::vec((0u8..12, 0u8..2, 1u8..4), 1..40),
        ) {
            let observed: Vec<Observed> = rows
                .iter()
                .map(|&(z, t, w)| Observed {
                    weight: f32::from(w),
                    ..row(f32::from(z), f32::from(t))
                })
                .collect();
            let mut ties = vec![(0.0, 0.0); 12];
            for &(z, t, w) in &rows {
                let tie = &mut ties[usize::from(z)];
                *(if t == 1 { &mut tie.0 } else { &mut tie.1 }) += f64::from(w);
            }
            ties.retain(|t| t.0 + t.1 > 0.0);
            let oracle = min_max(&ties);
            let mut fitted = Vec::new();
            let mut at = ties.iter();
            for block in pooled(&observed) {
                let mut left = block.positives + block.negatives;
                while left > 0.0 {
                    let tie = at.next().unwrap();
                    left -= tie.0 + tie.1;
                    fitted.push(block.positives / (block.positives + block.negatives));
                }
            }
            prop_assert_eq!(fitted.len(), oracle.len());
            for (f, o) in fitted.iter().zip(&oracle) {
                prop_assert!((f - o).abs() < 1e-9, "{} {}", f, o);
            }
        }

        #[test]
        fn every_fit_is_strictly_increasing(
            rows in prop::collection::vec((-300i16..300, prop::bool::ANY), 0..400),
        ) {
            let rows: Vec<Observed> =
                rows.iter().map(|&(z, t)| row(f32::from(z) * 0.01, f32::from(t))).collect();
            let both = rows.iter().any(|r| r.target == 1.0) && rows.iter().any(|r| r.target == 0.0);
            let map = fit(&rows);
            prop_assert_eq!(map.is_some(), both);
            prop_assert!(map.is_none_or(|map| map.is_sound()));
        }
    }

    #[test]
    fn a_bent_truth_is_followed_and_tails_go_on_with_slope_one() {
        let truth = |z: f64| if z < -2.0 { 0.3 * z - 1.4 } else { 1.5 * z + 1.0 };
        let mut rng = Rng::new(8, 8);
        let rows: Vec<Observed> = (0..400_000)
            .map(|_| {
                let z = 1.2 * rng.normal() - 2.0;
                let yes = rng.uniform() < sigmoid(truth(z));
                row(z as f32, f32::from(yes))
            })
            .collect();
        let map = fit(&rows).unwrap();
        for z in [-4.0, -3.0, -2.0, -1.0, 0.0] {
            let gap = (sigmoid(map.apply(z)) - sigmoid(truth(z))).abs();
            assert!(gap < 0.05 * sigmoid(truth(z)) + 0.003, "{z}: {gap}");
        }
        for end in [-20.0, 20.0] {
            assert!((map.apply(end + 1.0) - map.apply(end) - 1.0).abs() < 1e-9);
        }
    }

    #[test]
    fn a_sampled_negative_stands_for_those_left_out() {
        // A rate of 1 in 3 with every other negative kept: the odds are 1 to 4.
        let rows: Vec<Observed> = (0..300)
            .map(|i| Observed { offset: std::f32::consts::LN_2, ..row(0.0, f32::from(i % 3 == 0)) })
            .collect();
        let map = fit(&rows).unwrap();
        assert!((map.apply(0.0) - 0.25f64.ln()).abs() < 1e-6);
    }
}
