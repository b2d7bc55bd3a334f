//! What lists built from the catalogue look like: variety, novelty, and how they spread over the catalogue.

use std::collections::BTreeMap;
use std::ops::Range;

use daogou_nn::Team;
use daogou_nn::rng::{Rng, hash};

use super::EvaluateOptions;
use crate::Result;
use crate::data::{Column, Dataset, FieldKind, Seen};
use crate::floors::Floor;
use crate::list_maker::{Goods, ListMaker, Made, Visit, Wish, Workshop};
use crate::lists::{
    Candidates, Explanation, ListBuilder, Objective, Scratch, TopK, Weights, explain,
};
use crate::metrics::novelty::Popularity;
use crate::metrics::report::ListContext;
use crate::metrics::{BootstrapOptions, ListReport, ListSample, ListTally};
use crate::people::People;
use crate::run::TrainedRun;
use crate::schema::Side;

/// Candidates scored in all: a few seconds on one core. A larger catalogue gets fewer lists, but [`LEAST_LISTS`].
const MOST_CANDIDATES: usize = 1_000_000;

/// Lists built however large the catalogue is.
const LEAST_LISTS: usize = 20;

/// Lists for a seeded sample of requests.
#[derive(Default)]
pub(crate) struct Built {
    /// In the order of the log.
    pub(crate) visits: Vec<BuiltVisit>,
    /// Exposure floors, with the shares of places that the model's lists reach.
    pub(crate) floors: Vec<Floor>,
}

/// One request, what was wanted, and its lists.
pub(crate) struct BuiltVisit {
    /// Request row.
    pub(crate) request: usize,
    /// Wanted share per category; empty without a diversity head.
    pub(crate) wanted: Vec<f32>,
    /// Wanted share of items not seen before; `None` without a novelty head.
    pub(crate) novelty: Option<f32>,
    /// By who made them: see [`built_lists`].
    pub(crate) lists: BTreeMap<&'static str, BuiltList>,
    /// Why the model's list holds its items; what an item displaced is an item row here.
    pub(crate) reasons: Explanation,
    /// Per task: probability of every item of the model's list; empty for tasks that are not binary.
    pub(crate) probabilities: Vec<Vec<f32>>,
}

/// One list.
pub(crate) struct BuiltList {
    /// Item rows in list order; logged lists may be longer than K.
    pub(crate) items: Vec<u32>,
    /// Whether the person had not seen each item before; empty in a log without time.
    pub(crate) unseen: Vec<bool>,
}

/// Lists for a seeded sample of requests, by who made them:
///
/// * `model`: built as [`recommend`](crate::recommend::recommend) builds them, from every item the run knows, with the
///   past and the seen items as they were strictly before the request.
/// * `click_top_k`: the items of highest click probability.
/// * `popularity`: the items clicked most in training, the same for everybody.
/// * `logged`: what was shown, by position, where the log has lists of two items or more. Sampled negatives were shown
///   to nobody, so a log of events has none.
///
/// Empty where there is no catalogue. Costs a forward pass over the catalogue per list, at most about a million
/// candidates.
///
/// # Errors
///
/// Where lists cannot be built.
pub(crate) fn built_lists(
    run: &TrainedRun,
    data: &Dataset,
    requests: &Range<usize>,
    (weights, options): (&Weights, &EvaluateOptions),
    team: &mut Team,
) -> Result<Built> {
    let items: Vec<u32> = (1..run.stored.items.ids.len() as u32).collect();
    // A list of the only item there is says nothing.
    if items.len() < 2 || options.lists == 0 {
        return Ok(Built::default());
    }
    let sample = sample(requests, items.len(), (options.lists, options.bootstrap.seed));
    let k = run.config.lists.k;
    let popular = most_clicked(&items, &data.catalogue.train_clicks, k);
    let seen_here = Seen::in_log(&data.requests, &data.impressions, &data.timelines);
    let people = People::of_log(run, data, Some(&seen_here));
    let mut maker = ListMaker::new(run, Goods::from(data), &items, team.size())?;
    let wish = Wish::configured(&run.config.lists, *weights, k)?;
    let mut workshop = Workshop::default();
    let mut top = TopClicks::default();
    let mut order = Vec::new();
    let mut places = 0;
    let mut of_floors = vec![0; run.exposure.floors.len()];
    let mut visits = Vec::with_capacity(sample.len());
    for r in sample {
        let user = data.requests.user[r];
        // Without time nothing is known to be earlier than anything else.
        let time = data.requests.time.get(r).copied();
        let context = (&data.requests.columns[..], r);
        let visit = Visit { people: &people, user, time: time.unwrap_or(0), context };
        let made = maker.score(&visit, team).list(&wish, &mut workshop).map_err(|error| {
            let user = run.stored.users.ids.get(user as usize).filter(|id| !id.is_empty());
            error.about(&format!("list of {}", user.map_or("a newcomer", String::as_str)))
        })?;
        let book = made.scored.book;
        places += made.list.len();
        for (count, &(attribute, value)) in of_floors.iter_mut().zip(book.floors()) {
            let of = book.values(attribute);
            *count += made.list.iter().filter(|&&i| of[i as usize] == value).count();
        }
        let scored = made.scored;
        let item_of = |&candidate: &u32| scored.items[candidate as usize];
        let mut lists = BTreeMap::new();
        let mut add = |who: &'static str, items: Vec<u32>| {
            let new = |time| {
                let seen = |item| people.seen.iter().any(|seen| seen.before(user, item, time));
                items.iter().map(|&item| !seen(item)).collect()
            };
            let unseen = time.map_or_else(Vec::new, new);
            lists.insert(who, BuiltList { items, unseen });
        };
        add("model", made.list.iter().map(item_of).collect());
        if top.build(&made)? {
            add("click_top_k", top.list.iter().map(item_of).collect());
        }
        add("popularity", popular.clone());
        let rows = data.requests.impressions(&(r..r + 1));
        if rows.len() > 1 && data.impressions.sampled.is_empty() {
            order.clear();
            order.extend(rows);
            if !data.impressions.position.is_empty() {
                order.sort_by_key(|&i| data.impressions.position[i]);
            }
            add("logged", order.iter().map(|&i| data.impressions.item[i]).collect());
        }
        let mut reasons =
            explain(made.list, &made.candidates, &made.objective, weights, &scored.heads);
        for displaced in reasons.displaced.iter_mut().flatten() {
            *displaced = item_of(displaced);
        }
        let of_list = |all: &Vec<f32>| -> Vec<f32> {
            made.list.iter().filter_map(|&candidate| all.get(candidate as usize).copied()).collect()
        };
        visits.push(BuiltVisit {
            request: r,
            wanted: scored.mix.to_vec(),
            novelty: scored.novelty,
            lists,
            reasons,
            probabilities: scored.probabilities.iter().map(of_list).collect(),
        });
    }
    let reached = |count: usize| (places > 0).then(|| count as f64 / places as f64);
    let floors = run.exposure.floors.iter().zip(of_floors);
    Ok(Built {
        visits,
        floors: floors.map(|(f, count)| Floor { reached: reached(count), ..f.clone() }).collect(),
    })
}

impl Built {
    /// Reports by who made the lists, all cut at the K of the configuration; the model's has intervals. The wanted mix
    /// is that of the diversity head, also for the other lists. What a person would have done with an item that was not
    /// shown is not known, so nothing here asks for clicks: ndcg, recall and their like are undefined.
    pub(crate) fn reports(
        &self,
        run: &TrainedRun,
        data: &Dataset,
        bootstrap: &BootstrapOptions,
    ) -> BTreeMap<String, ListReport> {
        let popularity = Popularity::new(data.catalogue.train_clicks.clone());
        let vectors = item_vectors(run, data);
        let category = super::lists::categories(data);
        let context = ListContext {
            k: run.config.lists.k,
            category: &category,
            n_categories: data.catalogue.categories.len(),
            popularity: &popularity,
            vectors: vectors.as_ref().map(|(vectors, dim)| (vectors.as_slice(), *dim)),
            smoothing: run.config.lists.smoothing,
        };
        let mut tallies: BTreeMap<&str, ListTally<'_>> = BTreeMap::new();
        for visit in &self.visits {
            for (who, list) in &visit.lists {
                tallies.entry(who).or_insert_with(|| ListTally::new(context)).add(&ListSample {
                    items: &list.items,
                    wanted: &visit.wanted,
                    unseen: &list.unseen,
                    user: data.requests.user[visit.request],
                    ..ListSample::default()
                });
            }
        }
        let without = BootstrapOptions { replicates: 0, ..*bootstrap };
        let report = |(who, tally): (&str, ListTally<'_>)| {
            (who.to_string(), tally.report(if who == "model" { bootstrap } else { &without }))
        };
        tallies.into_iter().map(report).collect()
    }
}

/// Requests to build lists for: drawn without replacement, then in their own order; at most about a million candidates.
pub(crate) fn sample(
    requests: &Range<usize>,
    items: usize,
    (most, seed): (usize, u64),
) -> Vec<usize> {
    let most = most.min((MOST_CANDIDATES / items).max(LEAST_LISTS));
    let mut all: Vec<usize> = requests.clone().collect();
    if all.len() > most {
        Rng::new(seed, hash("built lists")).shuffle(&mut all);
        all.truncate(most);
        all.sort_unstable();
    }
    all
}

/// The K items clicked most in training, equal ones by number.
fn most_clicked(items: &[u32], clicks: &[u32], k: usize) -> Vec<u32> {
    let mut order = items.to_vec();
    order.sort_by_key(|&item| std::cmp::Reverse(clicks[item as usize]));
    order.truncate(k);
    order
}

/// Lists of highest click probability, in the same memory.
#[derive(Default)]
struct TopClicks {
    scratch: Scratch,
    list: Vec<u32>,
}

impl TopClicks {
    /// False without a click head.
    fn build(&mut self, made: &Made<'_>) -> Result<bool> {
        let Some(utility) = made.scored.heads.click else { return Ok(false) };
        let candidates = Candidates { utility, ..made.candidates };
        let objective = Objective { lambda_diversity: 0.0, lambda_novelty: 0.0, ..made.objective };
        TopK.build(&candidates, &objective, &mut self.scratch, &mut self.list)?;
        Ok(true)
    }
}

/// The embedding that the model learned of each item's own id, and its length; zeros for items it does not know. `None`
/// where items' ids are no feature.
pub(crate) fn item_vectors(run: &TrainedRun, data: &Dataset) -> Option<(Vec<f32>, usize)> {
    let config = &run.config;
    let own = |name: &str| {
        let feature = config.features.iter().find(|f| f.name == name);
        feature.is_some_and(|f| f.column() == config.columns.item)
    };
    let field = data.space.fields.iter().find(|f| f.side == Side::Item && own(&f.name))?;
    let FieldKind::Id { table } = field.kind else { return None };
    let Column::Ids(ids) = &data.items.columns[field.column] else { return None };
    let table = &run.parameters.tables()[run.network.feed.table(table)?];
    let dim = table.dim();
    let mut vectors = vec![0.0; ids.len() * dim];
    for (vector, &id) in vectors.chunks_exact_mut(dim).zip(ids) {
        if id != 0 {
            vector.copy_from_slice(table.row(id));
        }
    }
    Some((vectors, dim))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sample_is_seeded_distinct_and_bounded_by_candidates() {
        let split = 500..9500;
        let drawn = sample(&split, 3000, (1000, 1));
        assert_eq!(drawn.len(), 333);
        assert!(drawn.is_sorted_by(|a, b| a < b) && drawn.iter().all(|r| split.contains(r)));
        assert_eq!(drawn, sample(&split, 3000, (1000, 1)));
        assert_ne!(drawn, sample(&split, 3000, (1000, 2)));
        assert_eq!(sample(&split, 500, (1000, 1)).len(), 1000);
        assert_eq!(sample(&split, 10_000_000, (1000, 1)).len(), LEAST_LISTS);
        assert_eq!(sample(&(3..6), 10_000_000, (1000, 1)), [3, 4, 5]);
    }

    #[test]
    fn the_most_clicked_come_first_and_equal_ones_by_number() {
        assert_eq!(most_clicked(&[1, 2, 3, 4], &[9, 0, 5, 5, 7], 3), [4, 2, 3]);
        assert_eq!(most_clicked(&[1], &[0, 0], 3), [1]);
    }
}
