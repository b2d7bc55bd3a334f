//! The shop's own way of choosing what to show: candidates, then a Plackett–Luce draw with known propensities.

use daogou_nn::rng::Rng;

use super::choice::Taste;
use super::world::{C, cumulative, draw};
use super::{Impression, Seen, World};

/// Shares of the candidates: from the wanted category; by popularity. The rest is uniform over the catalogue.
const FROM_INTENT: f64 = 0.4;
const BY_POPULARITY: f64 = 0.52 / 1.2;
/// Draws for one place among the candidates before it is left empty.
const ATTEMPTS: usize = 8;

/// The logging policy, with its scratch space.
pub(super) struct Policy<'a> {
    world: &'a World,
    by_category: [Vec<u32>; C],
    popularity: Vec<f64>,
    /// exp(0.6 · ln(popularity · items)).
    fame: Vec<f64>,
    /// Items in the candidate set of request `round` carry its number.
    stamp: Vec<u64>,
    round: u64,
    candidates: Vec<u32>,
    weights: Vec<f64>,
}

impl<'a> Policy<'a> {
    pub(super) fn new(world: &'a World) -> Self {
        let items = world.items();
        let n = items.len() as f64;
        let mut by_category: [Vec<u32>; C] = Default::default();
        for (index, item) in (0u32..).zip(items) {
            by_category[item.category as usize].push(index);
        }
        Self {
            world,
            by_category,
            popularity: cumulative(items.iter().map(|item| item.popularity)),
            fame: items.iter().map(|item| (item.popularity * n).powf(0.6)).collect(),
            stamp: vec![0; items.len()],
            round: 0,
            candidates: Vec::new(),
            weights: Vec::new(),
        }
    }

    /// Gathers candidates and gives each the weight it is drawn by.
    pub(super) fn weigh(
        &mut self,
        rng: &mut Rng,
        time: i64,
        taste: &Taste<'_>,
        random: bool,
        seen: &Seen,
    ) {
        self.gather(rng, time, taste.intent());
        self.weights.clear();
        if random {
            self.weights.resize(self.candidates.len(), 1.0);
        } else {
            let items = self.world.items();
            self.weights.extend(self.candidates.iter().map(|&i| {
                let click = taste.click(&items[i as usize], !seen.contains_key(&i));
                self.fame[i as usize] * (0.55 * click).exp()
            }));
        }
    }

    /// Candidates of this request and their weights.
    #[cfg(test)]
    pub(super) fn weighed(&self) -> (&[u32], &[f64]) {
        (&self.candidates, &self.weights)
    }

    /// Fills `rows` with a list of the weighed candidates: items and propensities.
    pub(super) fn draw(&mut self, rng: &mut Rng, rows: &mut Vec<Impression>) {
        rows.clear();
        let k = self.world.options().k;
        plackett_luce(rng, &mut self.candidates, &mut self.weights, k, |item, propensity| {
            rows.push(Impression { item, propensity, ..Impression::default() });
        });
    }

    /// Fills `candidates` with different items that are on sale.
    fn gather(&mut self, rng: &mut Rng, time: i64, intent: usize) {
        self.round += 1;
        self.candidates.clear();
        let options = self.world.options();
        let items = self.world.items();
        let wanted = options.candidates;
        let from_intent = (FROM_INTENT * wanted as f64).round() as usize;
        let by_popularity = (BY_POPULARITY * wanted as f64).round() as usize;
        let same = &self.by_category[intent];
        for place in 0..wanted {
            for _ in 0..ATTEMPTS {
                let item = if place < from_intent {
                    same[rng.below(same.len() as u64) as usize]
                } else if place < from_intent + by_popularity {
                    draw(&self.popularity, rng.uniform()) as u32
                } else {
                    rng.below(items.len() as u64) as u32
                };
                let stamp = &mut self.stamp[item as usize];
                if *stamp != self.round && items[item as usize].launch <= time {
                    *stamp = self.round;
                    self.candidates.push(item);
                    break;
                }
            }
        }
        // Only tiny catalogues come here: take whatever is left, in order.
        for (index, item) in (0u32..).zip(items) {
            if self.candidates.len() >= options.k {
                break;
            }
            if self.stamp[index as usize] != self.round && item.launch <= time {
                self.candidates.push(index);
            }
        }
    }
}

/// Draws up to `k` items without replacement, each in proportion to its weight among those left, and tells each with
/// its propensity: the probability of this item here, given the candidates and the items above. O(k · candidates).
pub(super) fn plackett_luce(
    rng: &mut Rng,
    items: &mut Vec<u32>,
    weights: &mut Vec<f64>,
    k: usize,
    mut chosen: impl FnMut(u32, f64),
) {
    for _ in 0..k.min(items.len()) {
        let total: f64 = weights.iter().sum();
        let mut rest = rng.uniform() * total;
        let last = weights.len() - 1;
        let index = (0..last)
            .find(|&index| {
                rest -= weights[index];
                rest < 0.0
            })
            .unwrap_or(last);
        chosen(items.swap_remove(index), weights.swap_remove(index) / total);
    }
}
