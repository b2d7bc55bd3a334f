//! What happens now: numbers per five seconds of the last hour, all in all, per arm and per preset.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde::Serialize;
use utoipa::ToSchema;

use crate::list_id::Origin;

/// Seconds per step.
pub(crate) const STEP: i64 = 5;

/// Steps that are kept.
const KEPT: usize = 720;

/// Arms and presets that are told apart; beyond, an hour's quietest leaves.
const MOST: usize = 64;

/// Upper ends of latency, in milliseconds: each 1.25 of the one before, from 0.05.
const BINS: usize = 64;

fn bin(ms: f64) -> usize {
    ((ms / 0.05).ln() / 1.25f64.ln()).ceil().clamp(0.0, (BINS - 1) as f64) as usize
}

fn end(bin: usize) -> f64 {
    0.05 * 1.25f64.powi(bin as i32)
}

/// Counts of one step.
#[derive(Clone)]
struct Step {
    time: i64,
    requests: u32,
    errors: u32,
    rejected: u32,
    lists: u32,
    impressions: u32,
    clicks: u32,
    purchases: u32,
    entropy: f64,
    novelty: f64,
    latency: Box<[u32; BINS]>,
}

impl Step {
    fn new(time: i64) -> Self {
        Self {
            time,
            requests: 0,
            errors: 0,
            rejected: 0,
            lists: 0,
            impressions: 0,
            clicks: 0,
            purchases: 0,
            entropy: 0.0,
            novelty: 0.0,
            latency: Box::new([0; BINS]),
        }
    }

    /// Upper end of the bin that a share of requests is at or below.
    fn quantile(&self, share: f64) -> Option<f64> {
        let wanted = (f64::from(self.requests) * share).ceil() as u32;
        let mut sum = 0;
        let reached = |count: &u32| {
            sum += count;
            sum >= wanted
        };
        (self.requests > 0).then(|| end(self.latency.iter().position(reached).unwrap_or(BINS - 1)))
    }

    fn point(&self) -> Point {
        let over = |a: f64, b: u32| (b > 0).then(|| a / f64::from(b));
        Point {
            t: self.time,
            requests: self.requests,
            errors: self.errors,
            rejected: self.rejected,
            p50_ms: self.quantile(0.5),
            p99_ms: self.quantile(0.99),
            impressions: self.impressions,
            clicks: self.clicks,
            purchases: self.purchases,
            ctr: over(f64::from(self.clicks), self.impressions),
            cvr: over(f64::from(self.purchases), self.clicks),
            entropy: over(self.entropy, self.lists),
            novelty: over(self.novelty, self.lists),
        }
    }
}

/// Numbers of one step.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub(crate) struct Point {
    /// When the step began, Unix time.
    pub(crate) t: i64,
    /// Requests for lists and ranks that were answered.
    pub(crate) requests: u32,
    /// Answers of status 500 and above.
    pub(crate) errors: u32,
    /// Answers of status 429.
    pub(crate) rejected: u32,
    /// Latency, as the end of a bin of 25 %.
    pub(crate) p50_ms: Option<f64>,
    /// As `p50_ms`.
    pub(crate) p99_ms: Option<f64>,
    pub(crate) impressions: u32,
    pub(crate) clicks: u32,
    pub(crate) purchases: u32,
    /// Clicks per impression.
    pub(crate) ctr: Option<f64>,
    /// Purchases per click.
    pub(crate) cvr: Option<f64>,
    /// Mean entropy of lists, nats.
    pub(crate) entropy: Option<f64>,
    /// Mean share of new items of lists.
    pub(crate) novelty: Option<f64>,
}

/// The last minutes.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct Stats {
    /// Seconds per point.
    pub(crate) step_s: i64,
    /// Unix time of the first step that could be there.
    pub(crate) start: i64,
    /// Only steps in which something happened.
    pub(crate) totals: Vec<Point>,
    /// By `experiment/arm`.
    pub(crate) arms: BTreeMap<String, Vec<Point>>,
    pub(crate) presets: BTreeMap<String, Vec<Point>>,
}

type Series = VecDeque<Step>;

#[derive(Default)]
struct Inner {
    totals: Series,
    arms: BTreeMap<String, Series>,
    presets: BTreeMap<String, Series>,
}

/// Something that happened.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Happened {
    /// A request was answered with this status after this many milliseconds.
    Answered(u16, f64),
    /// A list was made.
    Listed {
        entropy: Option<f64>,
        novelty: Option<f64>,
    },
    Shown,
    Clicked,
    Bought,
}

/// The last hour.
#[derive(Default)]
pub(crate) struct Live(Mutex<Inner>);

impl Live {
    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes something where it belongs.
    pub(crate) fn note(&self, now: i64, origin: &Origin, happened: Happened) {
        let mut inner = self.inner();
        note(&mut inner.totals, now, happened);
        if let Some((experiment, arm)) = &origin.arm {
            note(series(&mut inner.arms, &format!("{experiment}/{arm}")), now, happened);
        }
        if let Some(preset) = &origin.preset {
            note(series(&mut inner.presets, preset), now, happened);
        }
    }

    /// The last minutes until now.
    pub(crate) fn stats(&self, now: i64, minutes: i64) -> Stats {
        let inner = self.inner();
        let start = (now - 60 * minutes).div_euclid(STEP) * STEP;
        let points = |series: &Series| -> Vec<Point> {
            series.iter().filter(|step| step.time >= start).map(Step::point).collect()
        };
        let all = |of: &BTreeMap<String, Series>| {
            let named = of.iter().map(|(name, series)| (name.clone(), points(series)));
            named.filter(|(_, points)| !points.is_empty()).collect()
        };
        Stats {
            step_s: STEP,
            start,
            totals: points(&inner.totals),
            arms: all(&inner.arms),
            presets: all(&inner.presets),
        }
    }
}

fn series<'a>(all: &'a mut BTreeMap<String, Series>, name: &str) -> &'a mut Series {
    if !all.contains_key(name) && all.len() == MOST {
        let last = |series: &Series| series.back().map_or(0, |step| step.time);
        let oldest =
            all.iter().min_by_key(|(_, series)| last(series)).map(|(name, _)| name.clone());
        oldest.map(|name| all.remove(&name));
    }
    all.entry(name.to_string()).or_default()
}

fn note(series: &mut Series, now: i64, happened: Happened) {
    let time = now.div_euclid(STEP) * STEP;
    if series.back().is_none_or(|step| step.time < time) {
        series.push_back(Step::new(time));
        while series.len() > KEPT {
            series.pop_front();
        }
    }
    let step = series.back_mut().expect("a step was made");
    match happened {
        Happened::Answered(status, ms) => match status {
            429 => step.rejected += 1,
            500.. => step.errors += 1,
            _ => {
                step.requests += 1;
                step.latency[bin(ms)] += 1;
            }
        },
        Happened::Listed { entropy, novelty } => {
            step.lists += 1;
            step.entropy += entropy.unwrap_or(0.0);
            step.novelty += novelty.unwrap_or(0.0);
        }
        Happened::Shown => step.impressions += 1,
        Happened::Clicked => step.clicks += 1,
        Happened::Bought => step.purchases += 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_hour_is_kept_in_steps() {
        let live = Live::default();
        let arm = Origin { arm: Some(("x".into(), "A".into())), preset: Some("p".into()) };
        for second in 0..7_200 {
            live.note(second, &Origin::default(), Happened::Answered(200, 1.0));
            live.note(second, &arm, Happened::Answered(200, 10.0));
            live.note(second, &arm, Happened::Listed { entropy: Some(1.0), novelty: Some(0.5) });
            live.note(second, &arm, Happened::Shown);
        }
        live.note(7_199, &arm, Happened::Clicked);
        live.note(7_199, &arm, Happened::Answered(429, 0.1));
        let stats = live.stats(7_199, 60);
        assert_eq!(stats.totals.len(), 720);
        let last = stats.totals.last().unwrap();
        assert_eq!((last.requests, last.rejected, last.impressions, last.clicks), (10, 1, 5, 1));
        assert_eq!((last.ctr, last.entropy, last.novelty), (Some(0.2), Some(1.0), Some(0.5)));
        let (p50, p99) = (last.p50_ms.unwrap(), last.p99_ms.unwrap());
        assert!((1.0..=1.25).contains(&p50) && (10.0..=12.5).contains(&p99), "{p50} {p99}");
        assert_eq!(stats.arms["x/A"].len(), 720);
        assert_eq!(live.stats(7_199, 1).presets["p"].len(), 13);
        for other in 0..100 {
            let origin = Origin { arm: None, preset: Some(format!("q{other}")) };
            live.note(7_300, &origin, Happened::Shown);
        }
        assert_eq!(live.stats(7_300, 60).presets.len(), MOST);
    }
}
