use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::metrics::bootstrap::{BootstrapOptions, Intervals, intervals_of_sums};
use crate::metrics::diversity::{
    category_coverage, category_entropy, category_entropy_normalised, ild_category, ild_cosine,
    kl_to_wanted,
};
use crate::metrics::exposure::{catalogue_coverage, exposure_entropy, gini};
use crate::metrics::novelty::{Popularity, unseen_share};
use crate::metrics::ranking::Ranked;

/// What lists are judged against.
#[derive(Clone, Copy, Debug)]
pub struct ListContext<'a> {
    /// Length lists should have; longer ones are cut.
    pub k: usize,
    /// Category of every item; `u16::MAX`: unknown.
    pub category: &'a [u16],
    /// Number of categories.
    pub n_categories: usize,
    /// Clicks of every item on the training split.
    pub popularity: &'a Popularity,
    /// `[items, dim]` and `dim`: item vectors for the cosine distance.
    pub vectors: Option<(&'a [f32], usize)>,
    /// Smoothing of the divergence to the wanted mix.
    pub smoothing: f64,
}

/// One list and what is known about it. Empty slices: not known, the metrics that need it are undefined.
#[derive(Clone, Copy, Debug, Default)]
pub struct ListSample<'a> {
    /// Items in list order.
    pub items: &'a [u32],
    /// Grade of each of `items`: 0 irrelevant, 1 clicked, 2 bought.
    pub grades: &'a [u8],
    /// Grades of all items that could have been listed, in any order.
    pub ideal: &'a [u8],
    /// The mix the person wanted: predicted, or that of what they engaged with.
    pub wanted: &'a [f32],
    /// Whether the person had not seen each of `items` before.
    pub unseen: &'a [bool],
    /// The user: lists of one user are resampled together.
    pub user: u32,
}

/// Number of metrics that are means over lists.
const MEANS: usize = 16;

const NAMES: [&str; MEANS] = [
    "ndcg",
    "recall",
    "precision",
    "hit",
    "mrr",
    "map",
    "category_entropy",
    "category_entropy_normalised",
    "coverage",
    "ild",
    "ild_vectors",
    "kl",
    "unseen_share",
    "long_tail_share",
    "self_information",
    "self_information_normalised",
];

/// Means over the lists for which a metric is defined; `None` (JSON `null`) where there is none.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ListReport {
    /// Lists.
    pub n: u64,
    /// Length metrics are cut at.
    pub k: usize,
    /// [`Ranked::ndcg`], graded.
    pub ndcg: Option<f64>,
    /// [`Ranked::recall`].
    pub recall: Option<f64>,
    /// [`Ranked::precision`].
    pub precision: Option<f64>,
    /// [`Ranked::hit`].
    pub hit: Option<f64>,
    /// [`Ranked::reciprocal_rank`].
    pub mrr: Option<f64>,
    /// [`Ranked::average_precision`].
    pub map: Option<f64>,
    /// [`category_entropy`], nats.
    pub category_entropy: Option<f64>,
    /// [`category_entropy_normalised`].
    pub category_entropy_normalised: Option<f64>,
    /// [`category_coverage`].
    pub coverage: Option<f64>,
    /// [`ild_category`].
    pub ild: Option<f64>,
    /// [`ild_cosine`] of the item vectors.
    pub ild_vectors: Option<f64>,
    /// [`kl_to_wanted`] over the list's own length, nats.
    pub kl: Option<f64>,
    /// [`unseen_share`].
    pub unseen_share: Option<f64>,
    /// Share of items outside the head set.
    pub long_tail_share: Option<f64>,
    /// Mean `−log2 p(i)`, bits.
    pub self_information: Option<f64>,
    /// The same over that of an item nobody clicked.
    pub self_information_normalised: Option<f64>,
    /// [`catalogue_coverage`] of all lists together.
    pub catalogue_coverage: Option<f64>,
    /// [`gini`] of exposure over the catalogue.
    pub gini: Option<f64>,
    /// [`exposure_entropy`], nats.
    pub exposure_entropy: Option<f64>,
    /// Bootstrap intervals of the means, by user.
    pub intervals: Intervals,
}

/// Sums and counts of the means of a user's lists: the sum of metric `m` at `2 m`, its count at `2 m + 1`.
type Terms = [f64; 2 * MEANS];

fn means(terms: &Terms) -> [Option<f64>; MEANS] {
    std::array::from_fn(|m| (terms[2 * m + 1] > 0.0).then(|| terms[2 * m] / terms[2 * m + 1]))
}

/// Collects lists one by one and reports on all of them. Memory: per user and per item, not per list.
#[derive(Clone, Debug)]
pub struct ListTally<'a> {
    context: ListContext<'a>,
    users: BTreeMap<u32, Terms>,
    shown: Vec<u64>,
    n: u64,
    categories: Vec<u16>,
}

impl<'a> ListTally<'a> {
    /// No lists yet. `context.category` and `context.popularity` cover the same items; item 0 stands for unknown ones and
    /// is no part of the catalogue.
    pub fn new(context: ListContext<'a>) -> Self {
        let n_items = context.popularity.len();
        assert_eq!(context.category.len(), n_items);
        if let Some((vectors, dim)) = context.vectors {
            assert_eq!(vectors.len(), n_items * dim);
        }
        let (users, categories) = (BTreeMap::new(), Vec::with_capacity(context.k));
        Self { context, users, shown: vec![0; n_items], n: 0, categories }
    }

    /// One more list.
    pub fn add(&mut self, list: &ListSample<'_>) {
        let ListContext { k, category, n_categories, popularity, vectors, smoothing } =
            self.context;
        let items = &list.items[..k.min(list.items.len())];
        for optional in [list.grades.len(), list.unseen.len()] {
            assert!(optional == 0 || optional == list.items.len());
        }
        self.categories.clear();
        self.categories.extend(items.iter().map(|&item| category[item as usize]));
        let categories = &self.categories[..];
        let unseen = &list.unseen[..items.len().min(list.unseen.len())];
        let ranked = Ranked { grades: list.grades, ideal: list.ideal };
        let wished = !list.wanted.is_empty() && !items.is_empty();
        let values = [
            ranked.ndcg(k),
            ranked.recall(k),
            ranked.precision(k),
            ranked.hit(k),
            ranked.reciprocal_rank(k),
            ranked.average_precision(k),
            category_entropy(categories),
            category_entropy_normalised(categories, n_categories),
            category_coverage(categories, n_categories),
            ild_category(categories),
            vectors.and_then(|(vectors, dim)| {
                ild_cosine(items.len(), |i| &vectors[items[i] as usize * dim..][..dim])
            }),
            wished.then(|| kl_to_wanted(categories, list.wanted, items.len(), smoothing)),
            unseen_share(unseen),
            popularity.long_tail_share(items),
            popularity.mean_self_information(items),
            popularity.mean_self_information_normalised(items),
        ];
        let terms = self.users.entry(list.user).or_insert([0.0; 2 * MEANS]);
        for (m, value) in values.into_iter().enumerate() {
            if let Some(value) = value {
                terms[2 * m] += value;
                terms[2 * m + 1] += 1.0;
            }
        }
        for &item in items {
            self.shown[item as usize] += 1;
        }
        self.n += 1;
    }

    /// The report on all lists so far, with intervals unless `options.replicates` is 0.
    pub fn report(&self, options: &BootstrapOptions) -> ListReport {
        let units: Vec<Terms> = self.users.values().copied().collect();
        let [
            ndcg,
            recall,
            precision,
            hit,
            mrr,
            map,
            category_entropy,
            category_entropy_normalised,
            coverage,
            ild,
            ild_vectors,
            kl,
            unseen_share,
            long_tail_share,
            self_information,
            self_information_normalised,
        ] = means(&super::total(&units));
        let mut intervals = intervals_of_sums(&units, NAMES, means, options);
        // A metric that one user alone defines does not vary over replicates: that is no certainty.
        intervals.retain(|name, _| {
            let defined = NAMES.iter().position(|n| n == name).map(|m| 2 * m + 1);
            defined.is_some_and(|i| units.iter().filter(|u| u[i] > 0.0).nth(1).is_some())
        });
        let shown = self.shown.get(1..).unwrap_or_default();
        ListReport {
            n: self.n,
            k: self.context.k,
            ndcg,
            recall,
            precision,
            hit,
            mrr,
            map,
            category_entropy,
            category_entropy_normalised,
            coverage,
            ild,
            ild_vectors,
            kl,
            unseen_share,
            long_tail_share,
            self_information,
            self_information_normalised,
            catalogue_coverage: catalogue_coverage(shown),
            gini: gini(shown),
            exposure_entropy: exposure_entropy(shown),
            intervals,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_lists_by_hand() {
        let popularity = Popularity::new(vec![0, 80, 10, 10, 0]);
        let vectors = [0.0, 0.0, 1.0, 0.0, 0.0, 1.0, 1.0, 0.0, 0.0, 1.0];
        let mut tally = ListTally::new(ListContext {
            k: 2,
            category: &[u16::MAX, 0, 1, 1, u16::MAX],
            n_categories: 2,
            popularity: &popularity,
            vectors: Some((&vectors, 2)),
            smoothing: 0.01,
        });
        tally.add(&ListSample {
            items: &[1, 2, 4],
            grades: &[0, 1, 2],
            ideal: &[1, 2],
            wanted: &[0.5, 0.5],
            unseen: &[true, false, true],
            user: 5,
        });
        tally.add(&ListSample { items: &[2, 3], user: 6, ..Default::default() });
        let r = tally.report(&BootstrapOptions::default());
        let close = |a: Option<f64>, b: f64| (a.unwrap() - b).abs() < 1e-12;
        assert_eq!((r.n, r.k), (2, 2));
        let discount = 1.0 / 3f64.log2();
        assert!(close(r.ndcg, discount / (3.0 + discount)) && close(r.recall, 0.5));
        assert!(close(r.mrr, 0.5) && close(r.map, 0.25) && close(r.hit, 1.0));
        assert!(close(r.category_entropy, 2f64.ln() / 2.0) && close(r.coverage, 0.75));
        assert!(close(r.ild, 0.5) && close(r.ild_vectors, 1.0));
        assert!(close(r.kl, 0.0) && close(r.unseen_share, 0.5));
        assert!(close(r.long_tail_share, 0.75));
        assert!(close(r.catalogue_coverage, 0.75));
        // Shown 1, 2, 1, 0.
        assert!(close(r.gini, (-3.0 * 0.0 - 1.0 + 1.0 + 3.0 * 2.0) / 16.0));
        assert!(r.intervals.contains_key("category_entropy") && !r.intervals.contains_key("ndcg"));
        let json = serde_json::to_value(&r).unwrap();
        assert_eq!(serde_json::from_value::<ListReport>(json).unwrap(), r);
    }

    #[test]
    fn no_lists_are_undefined() {
        let popularity = Popularity::new(Vec::new());
        let context = ListContext {
            k: 10,
            category: &[],
            n_categories: 0,
            popularity: &popularity,
            vectors: None,
            smoothing: 0.01,
        };
        let r = ListTally::new(context).report(&BootstrapOptions::default());
        assert_eq!(r, ListReport { k: 10, ..Default::default() });
    }
}
