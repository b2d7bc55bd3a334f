//! What came of a crowd's visit to a server, for people and for programs.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use daogou::metrics::ClusteredMean;
use serde::Serialize;

use super::agreement::{Arms, Beside};
use super::tally::{Calls, Group, Latency, People, Told, over, per_list, total};
use crate::terminal::{fit, wrapped};

/// A mean with its 95 % interval over people.
#[derive(Clone, Copy, Debug, Serialize)]
struct Mean {
    mean: f64,
    interval: Option<[f64; 2]>,
    #[serde(skip)]
    margin: Option<f64>,
}

impl From<ClusteredMean> for Mean {
    fn from(own: ClusteredMean) -> Self {
        Self { mean: own.mean, interval: own.interval(), margin: own.margin() }
    }
}

/// What the lists of a group were worth, realised and true.
#[derive(Debug, Serialize)]
pub(super) struct GroupOutcome {
    #[serde(flatten)]
    group: Group,
    people: usize,
    lists: u64,
    impressions: u64,
    clicks: u64,
    purchases: u64,
    revenue: f64,
    /// Clicks per impression.
    ctr: Option<f64>,
    /// Purchases per click.
    cvr: Option<f64>,
    /// Expected clicks per impression.
    true_ctr: Option<f64>,
    /// Expected clicks of a list.
    true_clicks: Option<Mean>,
    /// Expected purchases of a list.
    true_orders: Option<Mean>,
    /// Expected money of a list.
    true_revenue: Option<Mean>,
    /// Of the categories of a list, nats.
    entropy: Option<Mean>,
    /// Share of a list that the person had never been shown.
    novelty: Option<Mean>,
}

impl GroupOutcome {
    pub(super) fn new(group: Group, people: &People) -> Self {
        let count = |of: fn(&super::tally::Sums) -> f64| total(people, of);
        let (impressions, clicks) = (count(|own| own.impressions), count(|own| own.clicks));
        let ratio = |a: f64, b: f64| (b > 0.0).then(|| a / b);
        Self {
            group,
            people: people.len(),
            lists: count(|own| own.lists) as u64,
            impressions: impressions as u64,
            clicks: clicks as u64,
            purchases: count(|own| own.purchases) as u64,
            revenue: count(|own| own.revenue),
            ctr: ratio(clicks, impressions),
            cvr: ratio(count(|own| own.purchases), clicks),
            true_ctr: ratio(count(|own| own.true_clicks), impressions),
            true_clicks: per_list(people, |own| own.true_clicks).map(Mean::from),
            true_orders: per_list(people, |own| own.true_orders).map(Mean::from),
            true_revenue: per_list(people, |own| own.true_revenue).map(Mean::from),
            entropy: over(people, |own| own.filled, |own| own.entropy).map(Mean::from),
            novelty: over(people, |own| own.filled, |own| own.unseen).map(Mean::from),
        }
    }
}

/// What became of one kind of call.
#[derive(Debug, Serialize)]
pub(super) struct CallsOutcome {
    /// From when they were due.
    latency_ms: Option<Latency>,
    /// From when they were asked for.
    sent_ms: Option<Latency>,
    /// Of answers that the server is too busy.
    busy_ms: Option<Latency>,
    /// Answers by status; `none`: no answer.
    statuses: BTreeMap<String, u64>,
    retries: u64,
    refused: u64,
    failed: u64,
}

impl From<&Calls> for CallsOutcome {
    fn from(calls: &Calls) -> Self {
        let name = |status: u16| if status == 0 { "none".into() } else { status.to_string() };
        Self {
            latency_ms: calls.latency(),
            sent_ms: calls.sent(),
            busy_ms: calls.busy(),
            statuses: calls.statuses.iter().map(|(&status, &n)| (name(status), n)).collect(),
            retries: calls.retries,
            refused: calls.refused,
            failed: calls.failed,
        }
    }
}

/// Everything.
#[derive(Debug, Serialize)]
pub(super) struct CrowdOutcome {
    pub(super) server: String,
    pub(super) version: String,
    pub(super) seed: u64,
    /// Lists per second that were asked for; `None`: as many as the server made.
    pub(super) rate: Option<f64>,
    pub(super) workers: usize,
    pub(super) seconds: f64,
    pub(super) lists_per_second: f64,
    /// Visits that were due and never began, because all workers were waiting for the server.
    pub(super) unbegun: u64,
    pub(super) groups: Vec<GroupOutcome>,
    pub(super) recommend: CallsOutcome,
    pub(super) events: CallsOutcome,
    pub(super) told: Told,
    pub(super) problems: BTreeMap<String, u64>,
    /// The server's own numbers beside the crowd's; `None` where it could not be asked.
    pub(super) agreement: Option<Vec<Beside>>,
    pub(super) experiments: Vec<Arms>,
}

impl CrowdOutcome {
    /// What is not as it should be.
    pub(super) fn faults(&self) -> Vec<String> {
        let mut faults = Vec::new();
        let mut fault = |wrong: bool, text: String| {
            if wrong {
                faults.push(text);
            }
        };
        fault(self.groups.is_empty(), "no list was shown".into());
        let given_up = self.recommend.failed;
        fault(given_up > 0, format!("{given_up} requests for lists failed"));
        // An open loop asks for more than there is, and is told so.
        let refused = if self.rate.is_none() { self.recommend.refused } else { 0 };
        fault(refused > 0, format!("{refused} requests for lists were refused to the last"));
        let unbegun = self.unbegun;
        fault(
            unbegun > 0,
            format!("{unbegun} visits were due and never began: the crowd cannot keep up"),
        );
        let Told { rejected, lost, .. } = self.told;
        fault(rejected > 0, format!("{rejected} events were refused"));
        fault(lost > 0, format!("{lost} events could not be told"));
        match &self.agreement {
            None => fault(true, "the server's statistics could not be read".into()),
            Some(all) => {
                let other: Vec<&str> =
                    all.iter().filter(|own| !own.agrees).map(|own| own.what).collect();
                fault(
                    !other.is_empty(),
                    format!(
                        "the server's numbers are not the crowd's: {}; was it restarted, or has \
                         someone else been there, before or meanwhile?",
                        other.join(", ")
                    ),
                );
            }
        }
        for arms in self.experiments.iter().filter(|arms| arms.agrees == Some(false)) {
            let Arms { experiment, arm, against, .. } = arms;
            fault(
                true,
                format!("{experiment}: the interval of {arm} against {against} misses the truth"),
            );
        }
        faults
    }

    /// As text of 80 columns.
    pub(super) fn shown(&self) -> String {
        let mut out = String::new();
        let lists = self.groups.first().map_or(0, |all| all.lists);
        let people = self.groups.first().map_or(0, |all| all.people);
        let loops = match self.rate {
            Some(rate) => format!("{rate} a second asked for"),
            None => format!("{} at a time", self.workers),
        };
        let _ = writeln!(
            out,
            "{} lists for {} people in {:.1} s: {:.1} a second ({loops})",
            grouped(lists as f64),
            grouped(people as f64),
            self.seconds,
            self.lists_per_second
        );
        if !self.groups.is_empty() {
            out += &self.groups();
        }
        out += &self.calls();
        if let Some(all) = &self.agreement {
            out += "\nThe server's numbers, and where they should be    server      crowd\n";
            for own in all {
                let exact = own.interval[0] == own.interval[1];
                let margin = own.crowd - own.interval[0];
                let digits = places(own.crowd);
                let range = if exact {
                    number(own.crowd)
                } else {
                    format!("{:.digits$} ± {margin:.digits$}", own.crowd)
                };
                let verdict = if own.agrees { "" } else { "  not the same" };
                let _ = writeln!(
                    out,
                    "  {} {:>11}      {range}{verdict}",
                    fit(own.what, 42),
                    number(own.server)
                );
            }
        }
        for arms in &self.experiments {
            out += &compared(arms);
        }
        out
    }

    fn groups(&self) -> String {
        let mut out = String::from(
            "\n                              lists      CTR    true      CVR  entropy     new\n",
        );
        let percent =
            |value: Option<f64>| value.map_or("-".into(), |v| format!("{:.2} %", v * 100.0));
        let mean = |own: Option<Mean>, digits: usize| {
            own.map_or("-".into(), |own| format!("{:.digits$}", own.mean))
        };
        for own in &self.groups {
            let _ = writeln!(
                out,
                "  {} {:>7} {:>8} {:>7} {:>8} {:>8} {:>7}",
                fit(&name(&own.group), 25),
                grouped(own.lists as f64),
                percent(own.ctr),
                own.true_ctr.map_or("-".into(), |v| format!("{:.2}", v * 100.0)),
                percent(own.cvr),
                mean(own.entropy, 3),
                own.novelty.map_or("-".into(), |own| format!("{:.1} %", own.mean * 100.0)),
            );
        }
        out += "\nTrue worth of a list, ± 95 % over people\n";
        out += "                              clicks            orders              revenue\n";
        for own in &self.groups {
            let worth = |own: Option<Mean>, digits: usize| {
                own.map_or("-".into(), |own| {
                    let margin =
                        own.margin.map_or("?".into(), |margin| format!("{margin:.digits$}"));
                    format!("{:.digits$} ± {margin}", own.mean)
                })
            };
            let _ = writeln!(
                out,
                "  {} {:>16} {:>18} {:>15}",
                fit(&name(&own.group), 25),
                worth(own.true_clicks, 4),
                worth(own.true_orders, 5),
                worth(own.true_revenue, 1),
            );
        }
        out
    }

    fn calls(&self) -> String {
        let mut out = String::from(
            "\nLatency, ms                    calls       p50      p90      p99       max\n",
        );
        let kinds = [("lists", &self.recommend), ("events", &self.events)];
        let lines = [
            ("lists", self.recommend.latency_ms.as_ref()),
            ("lists, from when asked", self.rate.and(self.recommend.sent_ms.as_ref())),
            ("lists: told it is busy", self.recommend.busy_ms.as_ref()),
            ("events", self.events.latency_ms.as_ref()),
            ("events: told it is busy", self.events.busy_ms.as_ref()),
        ];
        for (what, own) in lines {
            if let Some(own) = own {
                let _ = writeln!(
                    out,
                    "  {} {:>7}  {:>8.2} {:>8.2} {:>8.2}  {:>8.2}",
                    fit(what, 25),
                    grouped(own.calls as f64),
                    own.p50,
                    own.p90,
                    own.p99,
                    own.max
                );
            }
        }
        let mut parts = Vec::new();
        for (what, calls) in kinds {
            for (status, n) in &calls.statuses {
                let status =
                    if status == "none" { "no answer".into() } else { format!("status {status}") };
                parts.push(format!("{what}: {status} × {}", grouped(*n as f64)));
            }
        }
        let retries = self.recommend.retries + self.events.retries;
        parts.push(format!("{} calls made again", grouped(retries as f64)));
        let Told { accepted, duplicates, rejected, lost } = self.told;
        parts.push(format!("{} events stored", grouped(accepted as f64)));
        for (n, what) in [(duplicates, "known before"), (rejected, "refused"), (lost, "lost")] {
            if n > 0 {
                parts.push(format!("{} {what}", grouped(n as f64)));
            }
        }
        out += &wrapped(&parts, "; ", "  ");
        for (problem, n) in &self.problems {
            out += &wrapped(&[format!("{} × {problem}", grouped(*n as f64))], "", "  ");
        }
        out
    }
}

fn compared(arms: &Arms) -> String {
    let Arms { experiment, metric, arm, against, .. } = arms;
    let number = |value: Option<f64>| value.map_or("?".into(), |v| format!("{v:+.4}"));
    let range = |own: Option<[f64; 2]>| {
        own.map_or("no interval yet".into(), |[low, high]| format!("[{low:+.4}, {high:+.4}]"))
    };
    let mut out = format!("\nExperiment {experiment}: {arm} against {against}, {metric}\n");
    let _ = writeln!(
        out,
        "  server   {} {}, {}",
        number(arms.difference),
        range(arms.interval),
        arms.verdict.replace('_', " ")
    );
    let _ = writeln!(
        out,
        "  truth    {} {}{}",
        number(arms.truth),
        range(arms.truth_interval),
        if arms.agrees == Some(false) { ", outside of the server's interval" } else { "" }
    );
    out
}

fn name(group: &Group) -> String {
    match group {
        Group::All => "all".into(),
        Group::Arm { experiment, arm } => format!("arm {experiment}/{arm}"),
        Group::Preset(name) => format!("preset {name}"),
        Group::Model(name) => format!("model {name}"),
    }
}

/// A count with its thousands apart, or a small number with its places.
fn number(value: f64) -> String {
    if value.fract() == 0.0 { grouped(value) } else { format!("{value:.*}", places(value)) }
}

/// Places after the point that say something.
fn places(value: f64) -> usize {
    if value.abs() >= 10.0 { 1 } else { 3 }
}

fn grouped(value: f64) -> String {
    let digits = format!("{value:.0}");
    let mut out = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) && !out.ends_with('-') {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thousands_stand_apart() {
        let cases = [(0.0, "0"), (999.0, "999"), (1000.0, "1,000"), (-123_456.0, "-123,456")];
        for (value, text) in cases {
            assert_eq!(grouped(value), text);
        }
        assert_eq!((number(0.5).as_str(), number(1234.56).as_str()), ("0.500", "1234.6"));
    }
}
