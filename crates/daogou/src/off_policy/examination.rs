//! How likely a place is to be looked at, up to one factor for all places.
//!
//! The position-based model (Craswell et al. 2008): P(click) = e_k · r_i, with the examination e of the place and the
//! relevance r of the item to the person. Good items stand at the top, so clicks per place say nothing about places.
//! Weighing each shown item by 1 / P(it stands here | these items were shown) takes its rank away: the weighted clicks
//! of a place estimate e_k · Σ_i r_i, with the same sum for all places of the list (Agarwal et al. 2019 harvest the
//! same randomness). A shop's uniformly random lists are the case of equal weights.

use super::logged::LoggedLists;
use super::placement::MOST_ITEMS;
use crate::{Error, Result};

/// Examination of places, as estimated from lists.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Examination {
    /// By place; the first is 1.
    pub values: Vec<f64>,
    /// By person of the lists, ascending: first-order change of ln e of every place, which sums to 0 over people. Empty
    /// where examination was given.
    pub influence: Vec<(u32, [f64; MOST_ITEMS])>,
}

impl Examination {
    /// `e_k = k^−power`.
    pub fn power(power: f64, places: usize) -> Self {
        let values = (1..=places).map(|k| (k as f64).powf(-power)).collect();
        Self { values, influence: Vec::new() }
    }

    /// From lists and, by shown item, the probability `own` that it stood where it did ([`super::placement`]); weights
    /// are cut at `clip`. Long lists have places that short ones lack: e_{k+1} / e_k comes from lists that have both.
    ///
    /// # Errors
    ///
    /// Where a place has no click.
    pub fn estimate(lists: &LoggedLists, own: &[f64], places: usize, clip: f64) -> Result<Self> {
        // By place: weighted clicks and weights, of all lists that reach it, and of those that reach the next.
        type Sums = [[f64; MOST_ITEMS]; 4];
        let mut people: Vec<(u32, Sums)> = Vec::new();
        let mut of_person: Vec<u32> = lists.user.clone();
        of_person.sort_unstable();
        of_person.dedup();
        people.extend(of_person.iter().map(|&user| (user, [[0.0; MOST_ITEMS]; 4])));
        for (list, items) in lists.ranges().enumerate() {
            let n = items.len();
            let person =
                of_person.binary_search(&lists.user[list]).expect("a person of these lists");
            let sums = &mut people[person].1;
            for (k, i) in items.enumerate() {
                let weight = (1.0 / own[i]).min(clip);
                let clicks = weight * f64::from(lists.click[i]);
                sums[0][k] += clicks;
                sums[1][k] += weight;
                if k + 1 < n {
                    sums[2][k] += clicks;
                    sums[3][k] += weight;
                }
            }
        }
        let mut all: Sums = [[0.0; MOST_ITEMS]; 4];
        for (_, sums) in &people {
            for s in 0..4 {
                (0..places).for_each(|k| all[s][k] += sums[s][k]);
            }
        }
        let steps = (0..places).map(|k| (0, k)).chain((0..places - 1).map(|k| (2, k)));
        if let Some((_, k)) = steps.into_iter().find(|&(s, k)| all[s][k] <= 0.0) {
            return Err(Error::data(format!(
                "examination cannot be estimated: expected clicks at every place, got none at \
                 place {}",
                k + 1
            ))
            .with_hint("give it, for example `--examination power:0.5`, or use a longer log"));
        }
        let mut values = vec![1.0];
        for k in 1..places {
            let step = all[0][k] / all[1][k] / (all[2][k - 1] / all[3][k - 1]);
            values.push(values[k - 1] * step);
        }
        let influence = people.iter().map(|(user, sums)| {
            let part = |s: usize, k: usize| sums[s][k] / all[s][k] - sums[s + 1][k] / all[s + 1][k];
            let mut moved = [0.0; MOST_ITEMS];
            for k in 1..places {
                moved[k] = moved[k - 1] + part(0, k) - part(2, k - 1);
            }
            (*user, moved)
        });
        Ok(Self { influence: influence.collect(), values })
    }
}

#[cfg(test)]
mod tests {
    use super::super::placement::Placement;
    use super::*;
    use daogou_nn::Rng;

    /// Lists of four or two items in uniformly random order, better items and worse ones.
    fn lists(n: usize, examination: &[f64]) -> (LoggedLists, Vec<f64>) {
        let mut lists = LoggedLists { offsets: vec![0], ..LoggedLists::default() };
        let mut own = Vec::new();
        for list in 0..n {
            let mut rng = Rng::new(8, list as u64);
            let length = if list % 3 == 0 { 2 } else { 4 };
            // People with short lists like much less of what they see.
            let mut items: Vec<(u32, f64)> = (0..length)
                .map(|i| (i, if length == 2 { 0.1 } else { 0.2 + 0.2 * f64::from(i) }))
                .collect();
            rng.shuffle(&mut items);
            for (k, &(item, relevance)) in items.iter().enumerate() {
                lists.item.push(item);
                let clicked = rng.uniform() < examination[k] * relevance;
                lists.click.push(u8::from(clicked));
                own.push(1.0 / f64::from(length));
            }
            lists.user.push(list as u32 % 500);
            lists.offsets.push(lists.item.len() as u32);
        }
        (lists, own)
    }

    #[test]
    fn examination_is_found_whatever_the_length_of_lists() {
        let truth = [1.0, 0.6, 0.5, 0.2];
        let (lists, own) = lists(30_000, &truth);
        let found = Examination::estimate(&lists, &own, 4, 50.0).unwrap();
        for k in 0..4 {
            assert!((found.values[k] / truth[k] - 1.0).abs() < 0.06, "{:?}", found.values);
        }
        assert_eq!(found.influence.len(), 500);
        for k in 0..4 {
            let sum: f64 = found.influence.iter().map(|(_, moved)| moved[k]).sum();
            assert!(sum.abs() < 1e-9, "influences sum to nothing: {sum}");
        }
    }

    /// Good items stand at the top, so clicks per place alone make the top look far better than it is.
    #[test]
    fn the_rank_of_items_is_taken_away() {
        let truth = [1.0, 0.7, 0.5, 0.4];
        let share = [27.0, 9.0, 3.0, 1.0];
        let relevance = [0.7, 0.5, 0.3, 0.1];
        let mut lists = LoggedLists { offsets: vec![0], ..LoggedLists::default() };
        let (mut own, mut placement) = (Vec::new(), Placement::default());
        for list in 0..40_000 {
            let mut rng = Rng::new(21, u64::from(list));
            let mut left: Vec<usize> = (0..4).collect();
            for k in 0..4 {
                let mut rest = rng.uniform() * left.iter().map(|&i| share[i]).sum::<f64>();
                let drawn = left.iter().position(|&i| {
                    rest -= share[i];
                    rest < 0.0
                });
                let item = left.remove(drawn.unwrap_or(left.len() - 1));
                lists.item.push(item as u32);
                lists.click.push(u8::from(rng.uniform() < truth[k] * relevance[item]));
            }
            lists.user.push(list % 1000);
            lists.offsets.push(lists.item.len() as u32);
        }
        let mut matrix = Vec::new();
        for items in lists.ranges() {
            let shares: Vec<f64> = items.map(|i| share[lists.item[i] as usize]).collect();
            matrix.clear();
            placement.of(&shares, 0.0, &mut matrix);
            own.extend((0..4).map(|k| matrix[k * 4 + k]));
        }
        let found = Examination::estimate(&lists, &own, 4, 1e9).unwrap();
        for k in 0..4 {
            assert!((found.values[k] / truth[k] - 1.0).abs() < 0.06, "{:?}", found.values);
        }
        let unweighted = Examination::estimate(&lists, &own, 4, 1.0).unwrap();
        assert!(unweighted.values[3] < 0.5 * truth[3], "{:?}", unweighted.values);
    }

    #[test]
    fn leaving_a_person_out_moves_it_by_the_influence() {
        let (lists, own) = lists(3000, &[1.0, 0.6, 0.5, 0.2]);
        let all = Examination::estimate(&lists, &own, 4, 50.0).unwrap();
        let (user, influence) = all.influence[17];
        let mut without = LoggedLists { offsets: vec![0], ..LoggedLists::default() };
        let mut own_without = Vec::new();
        for (list, items) in lists.ranges().enumerate().filter(|(l, _)| lists.user[*l] != user) {
            without.click.extend(&lists.click[items.clone()]);
            own_without.extend(&own[items]);
            without.user.push(lists.user[list]);
            without.offsets.push(without.click.len() as u32);
        }
        let without = Examination::estimate(&without, &own_without, 4, 50.0).unwrap();
        for k in 1..4 {
            let moved = (without.values[k] / all.values[k]).ln();
            assert!((moved + influence[k]).abs() < 0.05 * influence[k].abs() + 1e-4, "place {k}");
        }
    }

    #[test]
    fn a_place_without_clicks_is_an_error() {
        let (mut lists, own) = lists(300, &[1.0, 0.6, 0.5, 0.2]);
        lists.click.iter_mut().for_each(|click| *click = 0);
        let message = Examination::estimate(&lists, &own, 4, 50.0).unwrap_err().to_string();
        assert!(message.contains("place 1") && message.contains("expected clicks"), "{message}");
        assert_eq!(Examination::power(0.5, 4).values[3], 0.5);
    }
}
