//! What happened, summed per person, all in all and for every arm, preset and model.

use std::collections::BTreeMap;
use std::time::Duration;

use daogou::metrics::ClusteredMean;
use daogou::simulate::crowd::Response;
use serde::Serialize;
use ureq::http::StatusCode;

use super::client::Attempt;

/// Calls that are the last ones.
const LATELY: usize = 1_000;

/// Sums over the lists of one person.
#[derive(Clone, Debug, Default)]
pub(super) struct Sums {
    pub(super) lists: f64,
    pub(super) impressions: f64,
    pub(super) clicks: f64,
    pub(super) purchases: f64,
    pub(super) revenue: f64,
    pub(super) true_clicks: f64,
    pub(super) true_orders: f64,
    pub(super) true_revenue: f64,
    /// Variance of the clicks around what was expected.
    pub(super) clicks_variance: f64,
    pub(super) purchases_variance: f64,
    /// Lists with an item, to which the next two belong.
    pub(super) filled: f64,
    pub(super) entropy: f64,
    pub(super) unseen: f64,
}

impl Sums {
    fn add(&mut self, response: &Response) {
        self.lists += 1.0;
        self.true_clicks += response.worth.clicks;
        self.true_orders += response.worth.orders;
        self.true_revenue += response.worth.revenue;
        for reaction in &response.reactions {
            let (click, order) = (reaction.p_click, reaction.p_click * reaction.p_purchase);
            self.impressions += 1.0;
            self.clicks += f64::from(u8::from(reaction.clicked.is_some()));
            self.clicks_variance += click * (1.0 - click);
            self.purchases_variance += order * (1.0 - order);
            if reaction.bought.is_some() {
                self.purchases += 1.0;
                self.revenue += reaction.price;
            }
        }
        if let Some((entropy, unseen)) = response.entropy.zip(response.unseen) {
            self.filled += 1.0;
            self.entropy += entropy;
            self.unseen += unseen;
        }
    }
}

/// Where a list belongs.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(tag = "kind", content = "name", rename_all = "snake_case")]
pub(super) enum Group {
    /// Every list.
    All,
    /// An arm of an experiment.
    Arm { experiment: String, arm: String },
    /// A preset.
    Preset(String),
    /// A model.
    Model(String),
}

/// Sums by person.
pub(super) type People = BTreeMap<u32, Sums>;

/// The mean per list of something, with an interval over people.
pub(super) fn per_list(people: &People, of: impl Fn(&Sums) -> f64) -> Option<ClusteredMean> {
    over(people, |own| own.lists, of)
}

/// The mean of something over something, with an interval over people.
pub(super) fn over(
    people: &People,
    n: impl Fn(&Sums) -> f64,
    x: impl Fn(&Sums) -> f64,
) -> Option<ClusteredMean> {
    let clusters: Vec<(f64, f64)> = people.values().map(|own| (n(own), x(own))).collect();
    ClusteredMean::new(&clusters)
}

/// A sum over people.
pub(super) fn total(people: &People, of: impl Fn(&Sums) -> f64) -> f64 {
    people.values().map(of).sum()
}

/// One kind of call.
#[derive(Default)]
pub(super) struct Calls {
    /// Microseconds that answers of status 200 took, from when they were due.
    took: Vec<u32>,
    /// Microseconds that they took from when they were asked for.
    sent: Vec<u32>,
    /// Microseconds that it took to be told that the server is too busy.
    busy: Vec<u32>,
    /// Answers by status; 0: no answer.
    pub(super) statuses: BTreeMap<u16, u64>,
    /// Calls made again.
    pub(super) retries: u64,
    /// Calls that ended with the server saying that it is too busy.
    pub(super) refused: u64,
    /// Calls that ended in any other way.
    pub(super) failed: u64,
}

fn microseconds(time: Duration) -> u32 {
    u32::try_from(time.as_micros()).unwrap_or(u32::MAX)
}

/// Quantiles of latency, in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub(super) struct Latency {
    pub(super) calls: usize,
    pub(super) p50: f64,
    pub(super) p90: f64,
    pub(super) p99: f64,
    pub(super) max: f64,
}

impl Calls {
    pub(super) fn attempt(&mut self, attempt: &Attempt) {
        *self.statuses.entry(attempt.status.map_or(0, |status| status.as_u16())).or_default() += 1;
        self.retries += u64::from(attempt.again);
        if attempt.status == Some(StatusCode::TOO_MANY_REQUESTS) {
            self.busy.push(microseconds(attempt.took));
        } else if attempt.status == Some(StatusCode::OK) {
            self.sent.push(microseconds(attempt.took));
        }
    }

    pub(super) fn failed(&mut self, status: Option<StatusCode>) {
        if status == Some(StatusCode::TOO_MANY_REQUESTS) {
            self.refused += 1;
        } else {
            self.failed += 1;
        }
    }

    pub(super) fn took(&mut self, time: Duration) {
        self.took.push(microseconds(time));
    }

    /// Exact, of all calls; `None` without one.
    pub(super) fn latency(&self) -> Option<Latency> {
        Self::quantiles(self.took.clone())
    }

    /// The same from when they were asked for: without the time that a worker was not free, and without retries.
    pub(super) fn sent(&self) -> Option<Latency> {
        Self::quantiles(self.sent.clone())
    }

    /// The same of answers that the server is too busy.
    pub(super) fn busy(&self) -> Option<Latency> {
        Self::quantiles(self.busy.clone())
    }

    /// The same of the last calls only.
    pub(super) fn lately(&self) -> Option<Latency> {
        Self::quantiles(self.took[self.took.len().saturating_sub(LATELY)..].to_vec())
    }

    fn quantiles(mut took: Vec<u32>) -> Option<Latency> {
        took.sort_unstable();
        let last = took.len().checked_sub(1)?;
        // The smallest latency that at least this share of calls did not exceed.
        let quantile = |share: f64| {
            let rank = (share * took.len() as f64).ceil() as usize;
            f64::from(took[rank.saturating_sub(1).min(last)]) / 1000.0
        };
        Some(Latency {
            calls: took.len(),
            p50: quantile(0.5),
            p90: quantile(0.9),
            p99: quantile(0.99),
            max: quantile(1.0),
        })
    }
}

/// What became of events.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub(super) struct Told {
    /// The server took them.
    pub(super) accepted: u64,
    /// The server had them before.
    pub(super) duplicates: u64,
    /// The server refused them.
    pub(super) rejected: u64,
    /// The server never answered.
    pub(super) lost: u64,
}

/// Everything that is counted while people visit.
#[derive(Default)]
pub(super) struct Tally {
    pub(super) groups: BTreeMap<Group, People>,
    pub(super) recommend: Calls,
    pub(super) events: Calls,
    pub(super) told: Told,
    /// What the server said of the first event it refused, and why calls had no answer.
    pub(super) problems: BTreeMap<String, u64>,
}

impl Tally {
    pub(super) fn add(&mut self, groups: Vec<Group>, user: u32, response: &Response) {
        for group in groups {
            self.groups.entry(group).or_default().entry(user).or_default().add(response);
        }
    }

    pub(super) fn problem(&mut self, text: &str) {
        // A server that fails in ever new words must not fill the memory.
        if self.problems.len() < 20 || self.problems.contains_key(text) {
            *self.problems.entry(text.to_string()).or_default() += 1;
        }
    }

    /// Everyone and every list.
    pub(super) fn all(&self) -> Option<&People> {
        self.groups.get(&Group::All)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_those_of_the_sorted_calls() {
        let mut calls = Calls::default();
        assert_eq!(calls.latency(), None);
        for ms in (1..=100).rev() {
            calls.took(Duration::from_millis(ms));
        }
        let latency = calls.latency().unwrap();
        assert_eq!((latency.p50, latency.p90, latency.p99, latency.max), (50.0, 90.0, 99.0, 100.0));
        let mut one = Calls::default();
        one.took(Duration::from_micros(1500));
        assert_eq!(one.latency().unwrap().p50, 1.5);
    }
}
