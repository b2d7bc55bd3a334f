//! From a policy to weights: how much more, or less, often it would have an item looked at than the log had.
//!
//! **Another order of the same items.** Under the position-based model an item earns in proportion to the examination
//! of its place. Given the items of a list, the logging policy had it examined `Σ_k e_k · P(i at k)` on average, the
//! other policy has it examined e of its place; the ratio is the weight (Li et al. 2018). It is never larger than the
//! most by which one place is examined more than another, so even a policy far from the logged one can be evaluated.
//!
//! **A policy with probabilities of its own.** The weight of place k is the product over places 1 to k of the target's
//! probability over the logged one: what a place earns may depend on everything above it (McInerney et al. 2020). It
//! holds without any model of examination, and its variance grows with every place.

use super::estimators::{Drift, Estimates, Terms, clip, dr, effective_sample_size, estimate};
use super::estimators::{ips, snips};
use super::examination::Examination;
use super::logged::LoggedLists;
use crate::metrics::BootstrapOptions;

/// Where a policy shows the items of the logged lists.
#[derive(Clone, Debug, PartialEq)]
pub enum Aim {
    /// Where they were shown.
    Logged,
    /// Anywhere, with equal probability.
    Anywhere,
    /// By shown item: its place, from 0.
    Places(Vec<u8>),
    /// By shown item: the probability of showing it there, given what is above.
    Probabilities(Vec<f64>),
}

impl Aim {
    /// Items by descending score; equal ones by item.
    pub fn by_score(lists: &LoggedLists, scores: &[f64]) -> Self {
        let mut places = vec![0; scores.len()];
        let mut order: Vec<usize> = Vec::new();
        for items in lists.ranges() {
            order.clear();
            order.extend(items);
            order.sort_by(|&a, &b| {
                scores[b].total_cmp(&scores[a]).then(lists.item[a].cmp(&lists.item[b]))
            });
            (0u8..).zip(&order).for_each(|(place, &i)| places[i] = place);
        }
        Self::Places(places)
    }
}

/// Weights of shown items, with their controls; see [`super::estimators`].
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Weighed {
    /// Weight, cut.
    pub weight: Vec<f64>,
    /// Control.
    pub control: Vec<f64>,
    /// Expectation of the weighted control.
    pub expected: Vec<f64>,
    /// How many weights were cut.
    pub clipped: usize,
}

/// Weighs shown items for an aim. `placement` holds P(item at place) of each list, row by row, in the order of lists.
///
/// # Panics
///
/// If probabilities are aimed at and the lists have none.
pub fn weigh(
    lists: &LoggedLists,
    placement: &[f64],
    examination: &[f64],
    aim: &Aim,
    most: f64,
) -> Weighed {
    let mut out = Weighed::default();
    let mut at = 0;
    for items in lists.ranges() {
        let n = items.len();
        let e = &examination[..n];
        let anywhere = e.iter().sum::<f64>() / n as f64;
        let mut product = 1.0;
        for (k, i) in items.enumerate() {
            let (weight, control, expected) = match aim {
                Aim::Logged => (1.0, e[k], e[k]),
                Aim::Probabilities(target) => {
                    product *= target[i] / lists.propensity[i];
                    (product, 1.0, 1.0)
                }
                Aim::Anywhere | Aim::Places(_) => {
                    let row = &placement[at + k * n..at + (k + 1) * n];
                    let looked: f64 = e.iter().zip(row).map(|(e, p)| e * p).sum();
                    let target = if let Aim::Places(places) = aim {
                        e[usize::from(places[i])]
                    } else {
                        anywhere
                    };
                    (target / looked, e[k], target)
                }
            };
            out.weight.push(weight);
            out.control.push(control);
            out.expected.push(expected);
        }
        at += n * n;
    }
    out.clipped = clip(&mut out.weight, most);
    out
}

/// What lists can earn.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Reward {
    /// By shown item: what it earned.
    pub earned: Vec<f64>,
    /// By shown item: what the model says that it earns where it is examined for certain.
    pub model: Vec<f64>,
    /// By place: what an item earns there on average, in other lists than these.
    pub by_place: Vec<f64>,
}

/// How weights came out, under one policy.
#[derive(Clone, Copy, Debug, Default, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct WeightReport {
    /// Shown items.
    pub n: usize,
    /// Effective sample size (Kish), `(Σ w)² / Σ w²`.
    pub effective: Option<f64>,
    /// Largest weight, after cutting.
    pub largest: Option<f64>,
    /// Shown items whose weight was cut.
    pub clipped: usize,
    /// `Σ w·g / Σ t`: near 1 where propensities say how the log came about and few weights were cut.
    pub balance: Option<f64>,
}

/// Lists, how they came about, and what they can earn.
#[derive(Clone, Copy, Debug)]
pub struct Setting<'a> {
    /// Lists.
    pub lists: &'a LoggedLists,
    /// P(item at place) of each list, row by row.
    pub placement: &'a [f64],
    /// Examination of places.
    pub examination: &'a Examination,
    /// Weights are cut here.
    pub clip: f64,
    /// How intervals are made.
    pub bootstrap: &'a BootstrapOptions,
}

/// Step of ln e when following how examination moves the estimates.
const STEP: f64 = 1e-4;

impl Setting<'_> {
    /// Estimates of every reward under an aim. O(places · items) and the bootstrap.
    pub fn evaluate(&self, aim: &Aim, rewards: &[Reward]) -> (Vec<Estimates>, WeightReport) {
        let e = &self.examination.values;
        let weighed = weigh(self.lists, self.placement, e, aim, self.clip);
        let models: Vec<[Vec<f64>; 2]> =
            rewards.iter().map(|reward| self.model(aim, reward, e, &weighed)).collect();
        let point = |reward: &Reward, weighed: &Weighed, [logged, target]: &[Vec<f64>; 2]| {
            let (y, w, n) = (&reward.earned, &weighed.weight, self.lists.len());
            let snips = snips(y, w, &weighed.control, &weighed.expected, n);
            [ips(y, w, n), snips, dr(y, w, logged, target, n)].map(Option::unwrap_or_default)
        };
        // Logged values and products of propensities do not depend on examination.
        let moves =
            matches!(aim, Aim::Anywhere | Aim::Places(_)) && !self.examination.influence.is_empty();
        let mut slopes = vec![vec![[0.0; 3]; e.len()]; rewards.len()];
        for k in 1..if moves { e.len() } else { 0 } {
            let mut other = e.clone();
            other[k] *= 1.0 + STEP;
            let moved = weigh(self.lists, self.placement, &other, aim, self.clip);
            for (r, reward) in rewards.iter().enumerate() {
                let before = point(reward, &weighed, &models[r]);
                let after = point(reward, &moved, &self.model(aim, reward, &other, &moved));
                slopes[r][k] = std::array::from_fn(|m| (after[m] - before[m]) / STEP);
            }
        }
        let estimates = rewards.iter().enumerate().map(|(r, reward)| {
            let drift: Vec<Drift> = if moves {
                let of = |(user, moved): &(u32, [f64; super::placement::MOST_ITEMS])| {
                    let sum = |m: usize| (0..e.len()).map(|k| slopes[r][k][m] * moved[k]).sum();
                    (*user, [sum(0), sum(1), sum(2)])
                };
                self.examination.influence.iter().map(of).collect()
            } else {
                Vec::new()
            };
            let terms = Terms {
                offsets: &self.lists.offsets,
                user: &self.lists.user,
                reward: &reward.earned,
                weight: &weighed.weight,
                control: &weighed.control,
                expected: &weighed.expected,
                model_logged: &models[r][0],
                model_target: &models[r][1],
            };
            let mut found = estimate(&terms, &drift, self.bootstrap);
            if matches!(aim, Aim::Probabilities(_)) {
                // What the target would show instead is not in the log.
                found.direct = None;
                found.intervals.remove("direct");
            }
            found
        });
        let estimates = estimates.collect();
        let balance = {
            let sum: f64 = weighed.weight.iter().zip(&weighed.control).map(|(w, g)| w * g).sum();
            let expected: f64 = weighed.expected.iter().sum();
            (expected > 0.0).then(|| sum / expected)
        };
        let report = WeightReport {
            n: weighed.weight.len(),
            effective: effective_sample_size(&weighed.weight),
            largest: weighed.weight.iter().copied().max_by(f64::total_cmp),
            clipped: weighed.clipped,
            balance,
        };
        (estimates, report)
    }

    /// Model rewards where items were shown, and as aimed.
    ///
    /// Of another order: the model's answer times examination, so that E\[w·q\] = E\[q'\] whatever the model says. Of a
    /// policy that could show other items: the mean of the place, which is the same for whatever it shows there.
    fn model(&self, aim: &Aim, reward: &Reward, e: &[f64], weighed: &Weighed) -> [Vec<f64>; 2] {
        if matches!(aim, Aim::Probabilities(_)) {
            let places = self.lists.ranges().flat_map(|items| 0..items.len());
            let by_place: Vec<f64> = places.map(|k| reward.by_place[k]).collect();
            return [by_place.clone(), by_place];
        }
        let places = self.lists.ranges().flat_map(|items| 0..items.len());
        let logged = places.zip(&reward.model).map(|(k, model)| e[k] * model).collect();
        let target = weighed.expected.iter().zip(&reward.model).map(|(t, model)| t * model);
        [logged, target.collect()]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One list of two items: P(shown as it was) ¾, examinations 1 and ½.
    fn two() -> (LoggedLists, Vec<f64>) {
        let lists = LoggedLists {
            offsets: vec![0, 2],
            user: vec![1],
            item: vec![4, 3],
            click: vec![1, 0],
            propensity: vec![0.5, 0.25],
            ..LoggedLists::default()
        };
        (lists, vec![0.75, 0.25, 0.25, 0.75])
    }

    #[test]
    fn weights_by_hand() {
        let (lists, placement) = two();
        let e = [1.0, 0.5];
        let of = |aim: Aim, most: f64| weigh(&lists, &placement, &e, &aim, most);
        // Examined ¾·1 + ¼·½ = 0.875 and ¼·1 + ¾·½ = 0.625 on average.
        let turned = of(Aim::Places(vec![1, 0]), 50.0);
        assert_eq!(turned.weight, [0.5 / 0.875, 1.0 / 0.625]);
        assert_eq!((turned.control, turned.expected), (vec![1.0, 0.5], vec![0.5, 1.0]));
        let anywhere = of(Aim::Anywhere, 1.0);
        assert_eq!((anywhere.weight, anywhere.clipped), (vec![0.75 / 0.875, 1.0], 1));
        assert_eq!(of(Aim::Logged, 50.0).weight, [1.0, 1.0]);
        let ratios = of(Aim::Probabilities(vec![0.25, 0.5]), 50.0);
        assert_eq!(ratios.weight, [0.5, 1.0], "a product from the top down");
        assert_eq!(ratios.expected, [1.0, 1.0]);
    }

    #[test]
    fn orders_break_ties_by_item() {
        let (lists, _) = two();
        assert_eq!(Aim::by_score(&lists, &[0.5, 0.5]), Aim::Places(vec![1, 0]));
        assert_eq!(Aim::by_score(&lists, &[0.6, 0.5]), Aim::Places(vec![0, 1]));
    }
}
