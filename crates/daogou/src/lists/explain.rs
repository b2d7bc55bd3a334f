//! Why these items: what each objective gained from each, and what the list promises.

use serde::{Deserialize, Serialize};

use super::{Candidates, Heads, Objective, Rules, Vectors, Weights};
use crate::metrics::diversity::{category_entropy, ild_category, ild_cosine, kl_to_wanted};

/// What an item adds to the value of its list, by objective, in units of utility.
///
/// For `diversity` and `novelty` it is what the list would lose if the item's slot were empty, so it does not depend
/// on the order of the list; an item whose wish others fulfil as well gets little.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Contributions {
    /// `w_click pCTR`.
    pub click: f64,
    /// `w_purchase pCTR pCVR`.
    pub purchase: f64,
    /// `w_revenue pCTR pCVR price`.
    pub revenue: f64,
    /// What the business added: [`Heads::bonus`].
    pub bonus: f64,
    /// Loss of the calibration term without the item.
    pub diversity: f64,
    /// Loss of the novelty term without the item.
    pub novelty: f64,
}

impl Contributions {
    /// Their sum: what F loses if the item's slot is left empty.
    pub fn total(&self) -> f64 {
        self.click + self.purchase + self.revenue + self.bonus + self.diversity + self.novelty
    }
}

/// What a list promises, if every item is looked at. `None` where a head, a price or a category is missing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ListSummary {
    /// `Σ pCTR`.
    pub expected_clicks: Option<f64>,
    /// `Σ pCTR pCVR`.
    pub expected_orders: Option<f64>,
    /// `Σ pCTR pCVR price`, over items of known price.
    pub expected_revenue: Option<f64>,
    /// Divergence of the list's smoothed category mix from the wanted one, nats, over the list's own length.
    pub kl: Option<f64>,
    /// Share of novel items.
    pub novelty: Option<f64>,
    /// Entropy of the list's categories, nats.
    pub entropy: Option<f64>,
    /// Mean distance of two of its items: 1 − cosine of their vectors or, without vectors, share of pairs of different
    /// categories.
    pub distance: Option<f64>,
}

/// Reasons for a list.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Explanation {
    /// One per item, in list order.
    pub items: Vec<Contributions>,
    /// The candidate that each item displaced: what the K highest utilities would have shown in its stead. `None` for an
    /// item that is among these.
    pub displaced: Vec<Option<u32>>,
    /// The list as a whole.
    pub list: ListSummary,
}

/// Explains a list of candidates that some builder made under `objective`.
pub fn explain(
    list: &[u32],
    candidates: &Candidates<'_>,
    objective: &Objective<'_>,
    weights: &Weights,
    heads: &Heads<'_>,
) -> Explanation {
    let categories: Vec<u16> = list.iter().map(|&i| candidates.category(i)).collect();
    let novel: f64 = list.iter().map(|&i| candidates.novel(i)).sum();
    let mut expected = [Some(0.0); 3];
    let items =
        list.iter()
            .zip(&categories)
            .map(|(&item, &category)| {
                let own = heads.expected(item);
                for (sum, x) in expected.iter_mut().zip(own) {
                    *sum = sum.zip(x).map(|(sum, x)| sum + x);
                }
                let mut weighted = own.into_iter().zip(weights.of_items()).map(|(x, weight)| {
                    if weight > 0.0 { x.map_or(0.0, |x| weight * x) } else { 0.0 }
                });
                let mut next = || weighted.next().unwrap_or(0.0);
                let others = categories.iter().filter(|c| **c == category).count() - 1;
                let without = novel - candidates.novel(item);
                Contributions {
                    click: next(),
                    purchase: next(),
                    revenue: next(),
                    bonus: heads.bonus.map_or(0.0, |bonus| f64::from(bonus[item as usize])),
                    diversity: objective.diversity_gain(category, others),
                    novelty: objective.novelty_term(novel) - objective.novelty_term(without),
                }
            })
            .collect();
    let length = list.len();
    let wished = length > 0 && !objective.wanted_mix.is_empty() && !candidates.category.is_empty();
    let Vectors { values, width } = candidates.vectors;
    let vector = |place: usize| &values[list[place] as usize * width..][..width];
    Explanation {
        items,
        displaced: displaced(list, candidates),
        list: ListSummary {
            expected_clicks: expected[0],
            expected_orders: expected[1],
            expected_revenue: expected[2],
            kl: wished.then(|| {
                kl_to_wanted(&categories, objective.wanted_mix, length, objective.smoothing)
            }),
            novelty: (length > 0 && !candidates.novel.is_empty()).then(|| novel / length as f64),
            entropy: category_entropy(&categories),
            distance: match width {
                0 => ild_category(&categories),
                _ => ild_cosine(length, vector),
            },
        },
    }
}

/// For each item the candidate that it displaced from the highest utilities. Of the items that are not among these, the
/// first one by utility displaced the first one left out, and so on. O(N + K log K).
fn displaced(list: &[u32], candidates: &Candidates<'_>) -> Vec<Option<u32>> {
    let by_utility = |a: &u32, b: &u32| candidates.by_utility(*a, *b);
    let mut top: Vec<u32> = (0..candidates.len() as u32).collect();
    if list.len() < top.len() {
        top.select_nth_unstable_by(list.len(), by_utility);
        top.truncate(list.len());
    }
    let others = |of: &[u32], than: &[u32]| {
        let mut others: Vec<u32> = of.iter().copied().filter(|i| !than.contains(i)).collect();
        others.sort_unstable_by(by_utility);
        others
    };
    let (entered, left) = (others(list, &top), others(&top, list));
    list.iter()
        .map(|i| entered.iter().position(|other| other == i).map(|rank| left[rank]))
        .collect()
}

/// For each item of a list that holds to rules, the rule that gave it its place, in words. `free` is the builder's list
/// without rules.
///
/// Of an item that `free` does not have, it is the minimum that would not be met without the item, or else the rule that
/// the list would break, or that would keep out, what `free` has in its stead. Of one that `free` has but behind an item that comes later here, it is the rule that the list would
/// break if the two changed places. `None` for all others without a pin. O(K² · cost of [`Rules::broken`]).
pub fn moved_by(rules: &Rules<'_>, free: &[u32], list: &[u32]) -> Vec<Option<String>> {
    let mut left = free.iter().filter(|i| !list.contains(i));
    let broken = |mut other: Vec<u32>, place: usize, item: u32| {
        other[place] = item;
        rules.ground(item).map_or_else(|| rules.broken(&other), |ground| Some(ground.into()))
    };
    list.iter()
        .enumerate()
        .map(|(place, item)| {
            if rules.pins().iter().any(|pin| pin.candidate == *item) {
                return Some(format!("pinned to place {}", place + 1));
            }
            let Some(rank) = free.iter().position(|i| i == item) else {
                let other = left.next();
                let needed = rules.needed_by(list, place);
                return needed.or_else(|| broken(list.to_vec(), place, *other?));
            };
            let ahead = &free[..rank];
            let later = (place + 1..list.len()).find(|&later| ahead.contains(&list[later]))?;
            let mut other = list.to_vec();
            other[later] = *item;
            broken(other, place, list[later])
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lists::Quota;

    #[test]
    fn contributions_are_what_the_list_loses_and_the_summary_adds_up() {
        let heads = Heads {
            click: Some(&[0.5, 0.25, 0.5, 0.125]),
            purchase: Some(&[0.5, 0.5, 0.25, 0.0]),
            price: Some(&[10.0, 100.0, f32::NAN, 1.0]),
            bonus: Some(&[0.0, 0.125, 0.0, -0.25]),
        };
        let weights =
            Weights { click: 1.0, purchase: 2.0, revenue: 0.25, diversity: 0.5, novelty: 1.0 };
        let mut utility = Vec::new();
        weights.utility(&heads, 4, &mut utility).unwrap();
        let candidates = Candidates {
            utility: &utility,
            category: &[0, 1, 0, u16::MAX],
            novel: &[0.0, 1.0, 1.0, 0.0],
            tie_break: &[0, 1, 2, 3],
            ..Candidates::default()
        };
        let (lambda_diversity, lambda_novelty) = weights.lambdas(1.0);
        let objective = Objective {
            k: 4,
            lambda_diversity,
            lambda_novelty,
            wanted_mix: &[0.5, 0.5],
            wanted_novelty: 0.75,
            smoothing: 0.01,
        };
        let list = [1, 0, 2, 3];
        let explanation = explain(&list, &candidates, &objective, &weights, &heads);
        let all = objective.value(&candidates, &list);
        for (place, item) in explanation.items.iter().enumerate() {
            let mut others = list.to_vec();
            others.remove(place);
            let loss = all - objective.value(&candidates, &others);
            assert!((item.total() - loss).abs() < 1e-6, "{place}");
        }
        let lonely = explanation.items[0];
        assert_eq!((lonely.click, lonely.purchase, lonely.revenue), (0.25, 0.25, 0.25 * 12.5));
        assert!(lonely.diversity > explanation.items[1].diversity && lonely.novelty > 0.0);
        assert_eq!(explanation.items[3].diversity, 0.0, "an unknown category serves no wish");
        let summary = explanation.list;
        assert_eq!(summary.expected_clicks, Some(1.375));
        assert_eq!(summary.expected_orders, Some(0.5));
        assert_eq!(summary.expected_revenue, Some(2.5 + 12.5));
        assert_eq!(summary.novelty, Some(0.5));
        let kl = -objective.breakdown(&candidates, &list).diversity / (4.0 * lambda_diversity);
        assert!((summary.kl.unwrap() - kl).abs() < 1e-12);
        assert!(summary.entropy.unwrap() > 0.6);
        assert_eq!(summary.distance, Some(2.0 / 3.0), "the unknown category counts in no pair");
        assert_eq!(explanation.displaced, [None; 4]);
        let vectors = Vectors { values: &[1.0, 0.0, 1.0, 0.0, 0.0, 2.0, 0.0, 0.0], width: 2 };
        let candidates = Candidates { vectors, ..candidates };
        let shorter = explain(&[3, 0, 2], &candidates, &objective, &weights, &heads);
        assert_eq!(shorter.list.distance, Some(1.0), "a zero vector counts in no pair");
        // Without the bonus, candidate 1 has the highest utility and 3 the lowest.
        assert_eq!(shorter.displaced, [Some(1), None, None]);
    }

    #[test]
    fn an_item_that_a_rule_moved_names_it() {
        let mut rules = Rules::new(5);
        let category = rules.attribute(vec![0, 0, 0, 1, 1]).unwrap();
        rules.spacing("category", category, 2).unwrap();
        rules.pin(4, 0);
        let reasons = moved_by(&rules, &[0, 1, 2], &[4, 0, 1]);
        assert_eq!(reasons, [Some("pinned to place 1".into()), None, None]);
        // Three of a kind would stand in a row: 3 comes before 2, which is worth more.
        let reasons = moved_by(&rules, &[0, 1, 2, 3], &[0, 1, 3, 2]);
        let spaced = Some("`category` (at most 2 in 3 places)".into());
        assert_eq!(reasons, [None, None, spaced, None]);
        let reasons = moved_by(&rules, &[0, 1, 2, 4], &[4, 0, 1, 3]);
        assert_eq!(reasons[3].as_deref(), Some("`category` (at most 2 in 3 places)"));
        let label = "category 1".into();
        let (value, min) = (Some(1), 2);
        rules
            .quota(Quota { label, attribute: category, value, min, max: None, window: None })
            .unwrap();
        let reasons = moved_by(&rules, &[0, 1, 2, 4], &[4, 0, 1, 3]);
        assert_eq!(reasons[3].as_deref(), Some("`category 1` (at least 2)"));
        rules.price_band(&[9.0, 9.0, 1.0, 9.0, 9.0], 2.0..=f32::INFINITY).unwrap();
        let reasons = moved_by(&rules, &[4, 0, 2], &[4, 0, 1]);
        assert_eq!(reasons[2].as_deref(), Some("`price` (at least 2)"));
    }

    #[test]
    fn what_is_missing_is_null() {
        let candidates = Candidates { utility: &[1.0], tie_break: &[0], ..Candidates::default() };
        let objective = Objective {
            k: 1,
            lambda_diversity: 0.0,
            lambda_novelty: 0.0,
            wanted_mix: &[],
            wanted_novelty: 0.0,
            smoothing: 0.01,
        };
        let weights = Weights { click: 1.0, ..Default::default() };
        let heads = Heads { click: Some(&[1.0]), ..Default::default() };
        let explanation = explain(&[0], &candidates, &objective, &weights, &heads);
        let json = serde_json::to_value(&explanation).unwrap();
        for name in ["expected_orders", "expected_revenue", "kl", "novelty", "entropy", "distance"]
        {
            assert!(json["list"][name].is_null(), "{name}");
        }
        assert_eq!(json["list"]["expected_clicks"], 1.0);
        assert_eq!(json["items"][0]["click"], 1.0);
    }
}
