//! The server's own numbers beside what the crowd knows.

use std::collections::BTreeMap;

use daogou::metrics::ClusteredMean;
use serde::{Deserialize, Serialize};

use super::client::Client;
use super::tally::{Group, People, Sums, Tally, over, per_list, total};

/// Half the width of a normal 99.9 % interval, in standard errors: a run checks several numbers at once.
const WIDTH: f64 = 3.290_526_731_491_926;

/// What of a point of `GET /v1/stats` is compared.
#[derive(Clone, Copy, Debug, Deserialize)]
struct Point {
    t: i64,
    requests: f64,
    impressions: f64,
    clicks: f64,
    purchases: f64,
    entropy: Option<f64>,
    novelty: Option<f64>,
}

#[derive(Deserialize)]
struct Stats {
    totals: Vec<Point>,
}

/// What the server counted while the crowd was there. The server keeps an hour, so it is asked now and then.
pub(super) struct Watch {
    before: BTreeMap<i64, Point>,
    since: BTreeMap<i64, Point>,
}

/// Sums over the points of a watch.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Counted {
    requests: f64,
    impressions: f64,
    clicks: f64,
    purchases: f64,
    entropy: f64,
    novelty: f64,
}

impl Watch {
    /// From now on.
    pub(super) fn start(client: &Client) -> anyhow::Result<Self> {
        let before = points(client, 60)?;
        Ok(Self { since: before.clone(), before })
    }

    /// Takes in the last minutes.
    pub(super) fn update(&mut self, client: &Client) -> anyhow::Result<()> {
        self.since.extend(points(client, 10)?);
        Ok(())
    }

    fn counted(&self) -> Counted {
        let mut sum = Counted::default();
        let add = |sum: &mut Counted, point: &Point, sign: f64| {
            let of_lists = |mean: Option<f64>| sign * mean.unwrap_or(0.0) * point.requests;
            sum.requests += sign * point.requests;
            sum.impressions += sign * point.impressions;
            sum.clicks += sign * point.clicks;
            sum.purchases += sign * point.purchases;
            sum.entropy += of_lists(point.entropy);
            sum.novelty += of_lists(point.novelty);
        };
        self.since.values().for_each(|point| add(&mut sum, point, 1.0));
        self.before.values().for_each(|point| add(&mut sum, point, -1.0));
        sum
    }
}

fn points(client: &Client, minutes: u32) -> anyhow::Result<BTreeMap<i64, Point>> {
    let stats: Stats = client.get(&format!("/v1/stats?minutes={minutes}"))?;
    Ok(stats.totals.into_iter().map(|point| (point.t, point)).collect())
}

/// A number of the server beside the crowd's.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct Beside {
    pub(super) what: &'static str,
    pub(super) server: f64,
    pub(super) crowd: f64,
    /// Where the server's number should be; the crowd's itself where there is no luck in it.
    pub(super) interval: [f64; 2],
    pub(super) agrees: bool,
}

fn beside(what: &'static str, server: f64, crowd: f64, margin: f64) -> Beside {
    let interval = [crowd - margin, crowd + margin];
    // The server's means are sums over means of steps: rounding must not tell them apart.
    let rounding = 1e-6 * crowd.abs().max(1.0);
    let agrees = server >= interval[0] - rounding && server <= interval[1] + rounding;
    Beside { what, server, crowd, interval, agrees }
}

/// All numbers of the server that the crowd knows better.
///
/// Counts must be those of what was sent. Clicks and purchases must be within 99.9 % of what was truly to be expected,
/// given the lists. Means over lists must be within the interval of the true ones over people.
pub(super) fn agreement(watch: &Watch, tally: &Tally) -> Vec<Beside> {
    let counted = watch.counted();
    let nobody = People::new();
    let people = tally.all().unwrap_or(&nobody);
    let sum = |of: fn(&Sums) -> f64| total(people, of);
    let lists = tally.recommend.statuses.get(&200).copied().unwrap_or(0) as f64;
    let luck = |variance: f64| WIDTH * variance.sqrt();
    let mut all = vec![
        beside("lists", counted.requests, lists, 0.0),
        beside("impressions", counted.impressions, sum(|own| own.impressions), 0.0),
        beside("clicks", counted.clicks, sum(|own| own.clicks), 0.0),
        beside("purchases", counted.purchases, sum(|own| own.purchases), 0.0),
        beside(
            "clicks, expected",
            counted.clicks,
            sum(|own| own.true_clicks),
            luck(sum(|own| own.clicks_variance)),
        ),
        beside(
            "purchases, expected",
            counted.purchases,
            sum(|own| own.true_orders),
            luck(sum(|own| own.purchases_variance)),
        ),
    ];
    type Of = fn(&Sums) -> f64;
    let means: [(&'static str, f64, Of); 2] = [
        ("entropy", counted.entropy, |own| own.entropy),
        ("share of new items", counted.novelty, |own| own.unseen),
    ];
    for (what, server, of) in means {
        if let Some(own) = over(people, |own| own.filled, of)
            && counted.requests > 0.0
        {
            all.push(beside(
                what,
                server / counted.requests,
                own.mean,
                own.margin().unwrap_or(0.0),
            ));
        }
    }
    all
}

/// What of an experiment is compared.
#[derive(Deserialize)]
struct Experiment {
    metric: String,
    comparisons: Vec<Comparison>,
}

#[derive(Deserialize)]
struct Comparison {
    arm: String,
    against: String,
    difference: Option<f64>,
    interval: Option<[f64; 2]>,
    verdict: String,
}

/// What the server says of two arms, and what is true of the lists that their people were shown.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct Arms {
    pub(super) experiment: String,
    pub(super) metric: String,
    pub(super) arm: String,
    pub(super) against: String,
    pub(super) difference: Option<f64>,
    pub(super) interval: Option<[f64; 2]>,
    pub(super) verdict: String,
    /// The true difference, with its interval over people.
    pub(super) truth: Option<f64>,
    pub(super) truth_interval: Option<[f64; 2]>,
    /// Whether the server's interval has the true difference in it; `None` before there is one.
    pub(super) agrees: Option<bool>,
}

/// The experiments in which lists were made.
pub(super) fn experiments(client: &Client, tally: &Tally) -> anyhow::Result<Vec<Arms>> {
    let mut names: Vec<&String> = Vec::new();
    for group in tally.groups.keys() {
        if let Group::Arm { experiment, .. } = group
            && names.last() != Some(&experiment)
        {
            names.push(experiment);
        }
    }
    let mut all = Vec::new();
    for name in names {
        let found: Experiment = client.get(&format!("/v1/experiments/{name}"))?;
        for own in found.comparisons {
            let mean = |arm: &str| -> Option<ClusteredMean> {
                let group = Group::Arm { experiment: name.clone(), arm: arm.to_string() };
                per_list(tally.groups.get(&group)?, metric(&found.metric)?)
            };
            let truth = mean(&own.arm).zip(mean(&own.against)).map(|(a, b)| a.minus(&b));
            let agrees = own
                .interval
                .zip(truth)
                .map(|([low, high], truth)| (low..=high).contains(&truth.mean));
            all.push(Arms {
                experiment: name.clone(),
                metric: found.metric.clone(),
                arm: own.arm,
                against: own.against,
                difference: own.difference,
                interval: own.interval,
                verdict: own.verdict,
                truth: truth.map(|truth| truth.mean),
                truth_interval: truth.and_then(|truth| truth.interval()),
                agrees,
            });
        }
    }
    Ok(all)
}

/// What is expected of a list, by the name of what is counted of it.
fn metric(name: &str) -> Option<fn(&Sums) -> f64> {
    match name {
        "clicks_per_request" => Some(|own| own.true_clicks),
        "purchases_per_request" => Some(|own| own.true_orders),
        "revenue_per_request" => Some(|own| own.true_revenue),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn point(t: i64, requests: f64, clicks: f64, novelty: Option<f64>) -> Point {
        Point { t, requests, impressions: 0.0, clicks, purchases: 0.0, entropy: None, novelty }
    }

    fn map(points: &[Point]) -> BTreeMap<i64, Point> {
        points.iter().map(|point| (point.t, *point)).collect()
    }

    #[test]
    fn what_was_counted_before_does_not_count() {
        let before = map(&[point(0, 7.0, 3.0, Some(0.5)), point(5, 4.0, 1.0, Some(0.25))]);
        let mut watch = Watch { since: before.clone(), before };
        assert_eq!(watch.counted(), Counted::default());
        // The step in which the crowd came grew; the first one has left the server's hour.
        watch.since.extend(map(&[point(5, 6.0, 2.0, Some(0.5)), point(10, 2.0, 1.0, Some(1.0))]));
        let counted = watch.counted();
        assert_eq!((counted.requests, counted.clicks, counted.novelty), (4.0, 2.0, 4.0));
    }

    #[test]
    fn a_number_outside_its_interval_does_not_agree() {
        assert!(beside("lists", 10.0, 10.0, 0.0).agrees);
        assert!(!beside("lists", 11.0, 10.0, 0.0).agrees);
        assert!(beside("clicks", 12.0, 10.0, 2.0).agrees);
        assert!(!beside("clicks", 7.9, 10.0, 2.0).agrees);
    }
}
