//! Minimum shares of what is shown, held over many lists by prices.

use crate::{Error, Result};

/// Floors of exposure for groups of items, such as sellers or brands.
///
/// Each group has a price `μ_g` that is added to the utility of its items ([`super::Heads::bonus`]). A list that shows
/// less of a group than its floor raises the price, one that shows more lowers it, never below 0:
///
/// ```text
/// μ_g ← (μ_g + η (floor_g − share of the group in the list))₊
/// ```
///
/// That is projected subgradient descent on the dual of "maximise the sum of list values such that each group's mean
/// share is at least its floor". After T lists the mean share is at least `floor_g − μ_g / (η T)`, so it comes to the
/// floor as long as prices stay bounded, which they do where there are enough candidates of the group. A group whose
/// items do well by themselves has price 0 and costs nothing. `η` is in units of utility: a large one reacts fast and
/// makes lists alternate; a hundredth of the utility of a slot is a start.
#[derive(Clone, Debug, PartialEq)]
pub struct ExposureFloors {
    floors: Vec<f64>,
    prices: Vec<f64>,
    rate: f64,
}

impl ExposureFloors {
    /// Floors per group, as shares of all places, and `η`. Errors: a floor outside `[0, 1]`, floors that sum to more than
    /// 1, a rate that is not positive.
    pub fn new(floors: Vec<f64>, rate: f64) -> Result<Self> {
        if let Some(group) = floors.iter().position(|floor| !(0.0..=1.0).contains(floor)) {
            return Err(Error::data(format!(
                "exposure floor of group {group}: expected a share in [0, 1], got {}",
                floors[group]
            )));
        }
        let sum: f64 = floors.iter().sum();
        if sum > 1.0 + 1e-9 {
            return Err(Error::data(format!(
                "exposure floors: expected shares that sum to at most 1, got {sum}"
            )));
        }
        if !(rate > 0.0 && rate.is_finite()) {
            return Err(Error::data(format!(
                "rate of exposure floors: expected a positive number, got {rate}"
            )));
        }
        Ok(Self { prices: vec![0.0; floors.len()], floors, rate })
    }

    /// The same floors, going on from prices that were learned before.
    pub fn starting_at(mut self, prices: &[f64]) -> Self {
        debug_assert_eq!(prices.len(), self.prices.len());
        self.prices.copy_from_slice(prices);
        self
    }

    /// `μ_g` of every group, in units of utility.
    pub fn prices(&self) -> &[f64] {
        &self.prices
    }

    /// What to add to the utility of each candidate, given its group; a group that has no floor gets nothing.
    pub fn bonus(&self, groups: &[u32], out: &mut Vec<f32>) {
        let price =
            |group: &u32| self.prices.get(*group as usize).map_or(0.0, |&price| price as f32);
        out.clear();
        out.extend(groups.iter().map(price));
    }

    /// Learns from a list that was shown: the groups of its items, in order, and how much each place is looked at, in any
    /// unit (empty: all alike). An empty list, or one that nobody looks at, changes nothing. O(groups + K), no allocation.
    pub fn shown(&mut self, groups: &[u32], examination: &[f64]) {
        let looked = |place: usize| examination.get(place).copied().unwrap_or(1.0);
        let total: f64 = (0..groups.len()).map(looked).sum();
        if total <= 0.0 {
            return;
        }
        for (price, floor) in self.prices.iter_mut().zip(&self.floors) {
            *price += self.rate * floor;
        }
        for (place, &group) in groups.iter().enumerate() {
            if let Some(price) = self.prices.get_mut(group as usize) {
                *price -= self.rate * looked(place) / total;
            }
        }
        self.prices.iter_mut().for_each(|price| *price = price.max(0.0));
    }
}

#[cfg(test)]
mod tests {
    use daogou_nn::Rng;

    use super::ExposureFloors;
    use crate::lists::{Candidates, ListBuilder, Objective, Scratch, TopK};

    #[test]
    fn shares_come_to_their_floors_and_prices_bound_what_is_missing() {
        // Group 0 is liked most and group 2 hardly; without prices it has no place.
        let (floors, rate, rounds) = (vec![0.0, 0.2, 0.1], 0.01, 4000);
        let run = |floors: Vec<f64>| {
            let mut exposure = ExposureFloors::new(floors, rate).unwrap();
            let mut rng = Rng::new(5, 0);
            let groups: Vec<u32> = (0..60).map(|i| i % 3).collect();
            let tie_break: Vec<u64> = (0..60).collect();
            let (mut list, mut bonus, mut shares) = (Vec::new(), Vec::new(), [0.0; 3]);
            for _ in 0..rounds {
                exposure.bonus(&groups, &mut bonus);
                let utility: Vec<f32> = groups
                    .iter()
                    .zip(&bonus)
                    .map(|(&group, bonus)| {
                        (1.0 - 0.45 * group as f32) * (0.8 + 0.2 * rng.uniform() as f32) + bonus
                    })
                    .collect();
                let candidates = Candidates {
                    utility: &utility,
                    tie_break: &tie_break,
                    ..Candidates::default()
                };
                let objective = Objective {
                    k: 10,
                    lambda_diversity: 0.0,
                    lambda_novelty: 0.0,
                    wanted_mix: &[],
                    wanted_novelty: 0.0,
                    smoothing: 0.01,
                };
                TopK.build(&candidates, &objective, &mut Scratch::default(), &mut list).unwrap();
                let shown: Vec<u32> = list.iter().map(|&i| groups[i as usize]).collect();
                exposure.shown(&shown, &[]);
                for group in shown {
                    shares[group as usize] += 0.1 / f64::from(rounds);
                }
            }
            (shares, exposure.prices().to_vec())
        };
        let (free, prices) = run(vec![0.0; 3]);
        assert_eq!((free[2], prices), (0.0, vec![0.0; 3]));
        let (shares, prices) = run(floors.clone());
        for group in 0..3 {
            let missing = prices[group] / (rate * f64::from(rounds));
            assert!(shares[group] >= floors[group] - missing - 1e-9, "{shares:?}");
        }
        // A floor binds where the group is not liked: no more than it, give or take the start.
        assert!((shares[1] - 0.2).abs() < 0.02 && (shares[2] - 0.1).abs() < 0.03, "{shares:?}");
        assert_eq!(prices[0], 0.0);
        assert!(prices[2] > prices[1] && prices[1] > 0.0);
    }

    #[test]
    fn places_count_as_much_as_they_are_looked_at() {
        let mut exposure = ExposureFloors::new(vec![0.5, 0.5], 0.1).unwrap();
        exposure.shown(&[0, 1], &[3.0, 1.0]);
        assert!((exposure.prices()[1] - 0.025).abs() < 1e-12);
        assert_eq!(exposure.prices()[0], 0.0);
        exposure.shown(&[], &[]);
        exposure.shown(&[0], &[0.0]);
        let mut bonus = Vec::new();
        exposure.bonus(&[1, 0, 7], &mut bonus);
        assert_eq!(bonus, [0.025, 0.0, 0.0]);
    }

    #[test]
    fn floors_that_cannot_be_are_refused() {
        for (floors, rate, part) in [
            (vec![0.5, 1.5], 0.1, "group 1: expected a share in [0, 1], got 1.5"),
            (vec![0.75, 0.75], 0.1, "sum to at most 1, got 1.5"),
            (vec![f64::NAN], 0.1, "got NaN"),
            (vec![0.5], 0.0, "expected a positive number, got 0"),
        ] {
            let message = ExposureFloors::new(floors, rate).unwrap_err().to_string();
            assert!(message.contains(part), "{message}");
        }
    }
}
