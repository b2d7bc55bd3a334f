//! How well logged lists would have been ordered.

use std::borrow::Cow;
use std::ops::Range;

use crate::data::Dataset;
use crate::metrics::diversity::UNKNOWN;
use crate::metrics::novelty::Popularity;
use crate::metrics::report::ListContext;
use crate::metrics::{BootstrapOptions, ListReport, ListSample, ListTally, ranking as ranks};
use crate::schema::{Config, Role};
use crate::train::binary_index;

/// Length at which orders of logged lists are compared: logged lists are short, and all orders of a whole list hold the
/// same items.
const DEPTH: usize = 5;

/// A way to order the impressions of each request.
#[derive(Clone, Copy, Debug)]
pub enum Ranking<'a> {
    /// By falling score, one per impression of the range.
    Scores(&'a [f32]),
    /// As shown.
    Logged,
    /// By clicks per impression in training.
    Popularity,
}

/// Category of every item, all unknown in a log without categories.
pub(super) fn categories(data: &Dataset) -> Cow<'_, [u16]> {
    if data.catalogue.category.is_empty() {
        vec![UNKNOWN; data.items.ids.len()].into()
    } else {
        data.catalogue.category.as_slice().into()
    }
}

/// Orders each logged list of a range and measures it against clicks (grade 1) and purchases (grade 2). `None` where the
/// log has no lists of several impressions or no click task.
pub fn ranking(
    config: &Config,
    data: &Dataset,
    requests: &Range<usize>,
    how: Ranking<'_>,
    options: &BootstrapOptions,
) -> Option<ListReport> {
    let labels = |role| {
        let task = config.task_of(role)?;
        data.impressions.labels.get(binary_index(config, task))
    };
    let click = labels(Role::Click)?;
    let purchase = labels(Role::Purchase);
    let popularity = Popularity::new(data.catalogue.train_clicks.clone());
    let category = categories(data);
    let mut tally = ListTally::new(ListContext {
        k: DEPTH,
        category: &category,
        n_categories: data.catalogue.categories.len(),
        popularity: &popularity,
        vectors: None,
        smoothing: config.lists.smoothing,
    });
    let first = data.requests.impressions(requests).start;
    let rate = |item: u32| {
        let c = &data.catalogue;
        (c.train_clicks[item as usize] as f32 + 1.0)
            / (c.train_impressions[item as usize] as f32 + 50.0)
    };
    let mut order = Vec::new();
    let mut lists = 0;
    for r in requests.clone() {
        let rows = data.requests.impressions(&(r..r + 1));
        if rows.len() < 2 {
            continue;
        }
        let items = &data.impressions.item[rows.clone()];
        let scores: Vec<f32> = match how {
            Ranking::Scores(scores) => scores[rows.start - first..rows.end - first].to_vec(),
            Ranking::Logged if data.impressions.position.is_empty() => return None,
            Ranking::Logged => {
                data.impressions.position[rows.clone()].iter().map(|&p| -f32::from(p)).collect()
            }
            Ranking::Popularity => items.iter().map(|&i| rate(i)).collect(),
        };
        ranks::order_by_score(&scores, items, 1, &mut order);
        let grade = |i: usize| {
            let i = rows.start + i;
            click[i] + purchase.map_or(0, |p| p[i])
        };
        let grades: Vec<u8> = order.iter().map(|&i| grade(i as usize)).collect();
        let shown: Vec<u32> = order.iter().map(|&i| items[i as usize]).collect();
        tally.add(&ListSample {
            items: &shown,
            grades: &grades,
            ideal: &grades,
            wanted: &[],
            unseen: &[],
            user: data.requests.user[r],
        });
        lists += 1;
    }
    (lists > 0).then(|| tally.report(options))
}
