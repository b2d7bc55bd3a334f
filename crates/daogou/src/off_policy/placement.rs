//! How likely each item of a shown list was to stand at each of its places.
//!
//! A log tells the probability of every shown item at its place, given the candidates and the items above. Where the
//! policy draws items one after the other in proportion to weights (Plackett–Luce), that is enough to know the weights
//! of the shown items as shares of all candidates, though the candidates themselves are not in the log: the share of
//! the item at place k is `q_k · Π_{j<k} (1 − q_j)`. With them every other order of the same items has a known
//! probability, and so, given which items were shown, every item has one at every place.

/// Items of a list, at most: the cost is `n · 2ⁿ`.
pub const MOST_ITEMS: usize = 12;

/// Shares of all candidates' weight from probabilities in order of places, and the share of what was not shown.
///
/// Probabilities are above 0 and below 1, the last one at most 1.
pub fn shares(propensity: &[f64], out: &mut Vec<f64>) -> f64 {
    out.clear();
    let mut left = 1.0;
    for q in propensity {
        out.push(q * left);
        left *= 1.0 - q;
    }
    left
}

/// Memory for lists of up to [`MOST_ITEMS`].
#[derive(Debug, Default)]
pub struct Placement {
    /// By set of items: their weight.
    weight: Vec<f64>,
    /// By set: the probability that it fills the first places, in any order.
    above: Vec<f64>,
    /// By set: the probability that the others then fill the rest.
    below: Vec<f64>,
}

impl Placement {
    /// Appends P(item i at place k | these items were shown), row by row, to `out`; rows and columns sum to 1.
    ///
    /// `share` holds positive weights, `rest` the weight of the candidates that were not shown. O(n · 2ⁿ).
    ///
    /// # Panics
    ///
    /// With more than [`MOST_ITEMS`] items.
    pub fn of(&mut self, share: &[f64], rest: f64, out: &mut Vec<f64>) {
        let n = share.len();
        assert!(n <= MOST_ITEMS, "at most {MOST_ITEMS} items, got {n}");
        let sets = 1usize << n;
        let Self { weight, above, below } = self;
        for memory in [&mut *weight, &mut *above, &mut *below] {
            memory.clear();
            memory.resize(sets, 0.0);
        }
        for set in 1..sets {
            weight[set] = weight[set & (set - 1)] + share[set.trailing_zeros() as usize];
        }
        // Each order draws every item once, so factors common to all draws cancel: shares in units of their mean and
        // what is left in units of all keep products from vanishing.
        let mean = share.iter().sum::<f64>() / n.max(1) as f64;
        let scaled: [f64; MOST_ITEMS] =
            std::array::from_fn(|i| share.get(i).map_or(0.0, |share| share / mean));
        // What is left to draw from once a set is placed: added up, so that small weights do not cancel.
        let whole = rest + weight[sets - 1];
        let left = |weight: &[f64], set: usize| (rest + weight[sets - 1 - set]) / whole;
        above[0] = 1.0;
        for set in 0..sets - 1 {
            let step = above[set] / left(weight, set);
            for i in (0..n).filter(|i| set & (1 << i) == 0) {
                above[set | 1 << i] += step * scaled[i];
            }
        }
        let start = out.len();
        out.resize(start + n * n, 0.0);
        below[sets - 1] = 1.0;
        let all = above[sets - 1];
        for set in (0..sets - 1).rev() {
            let (place, left) = (set.count_ones() as usize, left(weight, set));
            let mut sum = 0.0;
            for i in (0..n).filter(|i| set & (1 << i) == 0) {
                let then = scaled[i] / left * below[set | 1 << i];
                sum += then;
                out[start + i * n + place] += above[set] * then / all;
            }
            below[set] = sum;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Every order of `0..n` with its probability.
    fn orders(share: &[f64], rest: f64) -> Vec<(Vec<usize>, f64)> {
        fn go(
            share: &[f64],
            rest: f64,
            order: &mut Vec<usize>,
            p: f64,
            all: &mut Vec<(Vec<usize>, f64)>,
        ) {
            let left: f64 = (0..share.len()).filter(|i| !order.contains(i)).map(|i| share[i]).sum();
            if order.len() == share.len() {
                all.push((order.clone(), p));
            }
            for i in 0..share.len() {
                if !order.contains(&i) {
                    order.push(i);
                    go(share, rest, order, p * share[i] / (rest + left), all);
                    order.pop();
                }
            }
        }
        let mut all = Vec::new();
        go(share, rest, &mut Vec::new(), 1.0, &mut all);
        all
    }

    #[test]
    fn tiny_shares_do_not_vanish() {
        let mut placement = Placement::default();
        let (mut tiny, mut large) = (Vec::new(), Vec::new());
        placement.of(&[1e-38; 10], 1.0, &mut tiny);
        placement.of(&[1e-3; 10], 1e35, &mut large);
        for (a, b) in tiny.iter().zip(&large) {
            assert!((a - b).abs() < 1e-9 && (a - 0.1).abs() < 1e-9, "{a} {b}");
        }
    }

    proptest! {
        #[test]
        fn it_is_the_sum_over_all_orders(
            share in prop::collection::vec(0.001f64..1.0, 1..6), rest in 0.0f64..5.0,
        ) {
            let mut placement = Placement::default();
            let mut got = vec![7.0];
            placement.of(&share, rest, &mut got);
            let n = share.len();
            let orders = orders(&share, rest);
            let total: f64 = orders.iter().map(|(_, p)| p).sum();
            for i in 0..n {
                for k in 0..n {
                    let sum: f64 =
                        orders.iter().filter(|(order, _)| order[k] == i).map(|(_, p)| p).sum();
                    prop_assert!((got[1 + i * n + k] - sum / total).abs() < 1e-9);
                }
            }
        }

        #[test]
        fn shares_give_the_propensities_back(q in prop::collection::vec(0.01f64..0.9, 1..8)) {
            let mut share = Vec::new();
            let rest = shares(&q, &mut share);
            prop_assert!((share.iter().sum::<f64>() + rest - 1.0).abs() < 1e-12);
            let mut gone = 0.0;
            for (q, share) in q.iter().zip(&share) {
                prop_assert!((share / (1.0 - gone) - q).abs() < 1e-9);
                gone += share;
            }
        }
    }

    #[test]
    fn items_that_are_alike_stand_anywhere() {
        let mut out = Vec::new();
        Placement::default().of(&[0.25; 4], 3.0, &mut out);
        assert!(out.iter().all(|p| (p - 0.25).abs() < 1e-12));
        // One that nearly always comes first, whatever else there is.
        out.clear();
        Placement::default().of(&[1.0, 1e-9, 1e-9], 0.0, &mut out);
        assert!(out[0] > 0.999 && (out[4] - 0.5).abs() < 1e-6, "{out:?}");
        // Beside many others that were not shown, standing below is no surprise.
        out.clear();
        Placement::default().of(&[1e-3, 1e-9], 1.0, &mut out);
        assert!((out[0] - 0.5).abs() < 0.001, "{out:?}");
    }
}
