//! Lists as a log holds them, place by place.

use std::ops::Range;

use super::placement::MOST_ITEMS;
use crate::data::Dataset;
use crate::schema::{Config, Role};
use crate::train::binary_index;
use crate::{Error, Result};

/// Shown lists, each in the order of its places, which are 1, 2, … without a gap.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct LoggedLists {
    /// Items of list `l` are `offsets[l]..offsets[l + 1]`.
    pub offsets: Vec<u32>,
    /// Who saw each list.
    pub user: Vec<u32>,
    /// Item, by shown item; ties in an order break by it.
    pub item: Vec<u32>,
    /// 1 where it was clicked.
    pub click: Vec<u8>,
    /// 1 where it was bought; empty without a purchase task.
    pub purchase: Vec<u8>,
    /// Price; empty where the log has none, NaN where unknown.
    pub price: Vec<f32>,
    /// Probability of the item at its place, given the candidates and the items above; empty where the log has none.
    pub propensity: Vec<f64>,
    /// Row of the data set, by shown item.
    pub row: Vec<u32>,
    /// Lists that were left out: those with unknown places, places twice or missing, or drawn negatives.
    pub without_places: usize,
    /// Lists that were left out for having more than [`MOST_ITEMS`] items.
    pub long: usize,
}

impl LoggedLists {
    /// Lists of a range of requests.
    ///
    /// # Errors
    ///
    /// Without a click task, labels or positions; where a propensity is no probability above 0, or 1 above other items.
    pub fn of(config: &Config, data: &Dataset, requests: &Range<usize>) -> Result<Self> {
        let label = |role| {
            let task = config.task_of(role)?;
            data.impressions.labels.get(binary_index(config, task))
        };
        let Some(click) = label(Role::Click) else {
            return Err(Error::data("expected a click task and its labels, got none")
                .with_hint("policies are compared by what people clicked and bought"));
        };
        let purchase = label(Role::Purchase);
        if data.impressions.position.is_empty() {
            return Err(Error::Config {
                key: "columns.position".into(),
                problem: "expected the column with each item's place in its list, got none".into(),
                hint: Some(
                    "what another order earns is estimated from the places of this one".into(),
                ),
            });
        }
        let mut lists = Self { offsets: vec![0], ..Self::default() };
        let mut order: Vec<usize> = Vec::new();
        for r in requests.clone() {
            let rows = data.requests.impressions(&(r..r + 1));
            order.clear();
            order.extend(rows);
            order.sort_by_key(|&i| data.impressions.position[i]);
            let places = order.iter().map(|&i| usize::from(data.impressions.position[i]));
            let sampled = |&i: &usize| data.impressions.sampled.get(i).copied().unwrap_or(false);
            if order.is_empty() || !places.eq(1..=order.len()) || order.iter().any(sampled) {
                lists.without_places += 1;
                continue;
            }
            if order.len() > MOST_ITEMS {
                lists.long += 1;
                continue;
            }
            lists.user.push(data.requests.user[r]);
            for (place, &i) in (1..).zip(&order) {
                let item = data.impressions.item[i];
                lists.item.push(item);
                lists.row.push(i as u32);
                lists.click.push(click[i]);
                lists.purchase.extend(purchase.map(|labels| labels[i] & click[i]));
                lists.price.extend(data.catalogue.price.get(item as usize));
                if let Some(&propensity) = data.impressions.propensity.get(i) {
                    let wrong = |expected: &str| {
                        let name = config.columns.propensity.as_deref().unwrap_or("propensity");
                        let row = data.rows[i] + 1;
                        Err(Error::data(format!(
                            "row {row} of the log, column `{name}`: expected {expected}, got \
                             {propensity}"
                        ))
                        .with_hint(
                            "it is the probability that the policy shows this item at this place, \
                             given the candidates and the items above",
                        ))
                    };
                    if !(propensity > 0.0 && propensity <= 1.0) {
                        return wrong("a probability above 0, at most 1");
                    }
                    if propensity == 1.0 && place < order.len() {
                        return wrong("less than 1, as other items were left to be shown below");
                    }
                    lists.propensity.push(f64::from(propensity));
                }
            }
            lists.offsets.push(lists.item.len() as u32);
        }
        Ok(lists)
    }

    /// Number of lists.
    pub fn len(&self) -> usize {
        self.user.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.user.is_empty()
    }

    /// Items of each list.
    pub fn ranges(&self) -> impl Iterator<Item = Range<usize>> {
        self.offsets.windows(2).map(|list| list[0] as usize..list[1] as usize)
    }

    /// Items of the longest list.
    pub fn places(&self) -> usize {
        self.ranges().map(|items| items.len()).max().unwrap_or(0)
    }
}
