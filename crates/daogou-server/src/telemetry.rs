//! Numbers for Prometheus.

use std::sync::atomic::{AtomicI64, AtomicU64};

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::Registry;

use crate::list_id::Origin;

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
pub(crate) struct Route {
    pub(crate) method: String,
    pub(crate) route: String,
    pub(crate) status: u16,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
pub(crate) struct Stage {
    pub(crate) stage: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
pub(crate) struct Outcome {
    pub(crate) outcome: &'static str,
}

/// Where a list belongs; empty where nowhere.
#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
pub(crate) struct Where {
    experiment: String,
    arm: String,
    preset: String,
}

impl From<&Origin> for Where {
    fn from(origin: &Origin) -> Self {
        let (experiment, arm) = origin.arm.clone().unwrap_or_default();
        Self { experiment, arm, preset: origin.preset.clone().unwrap_or_default() }
    }
}

/// What is measured.
pub(crate) struct Telemetry {
    registry: Registry,
    pub(crate) requests: Family<Route, Histogram>,
    pub(crate) stages: Family<Stage, Histogram>,
    pub(crate) events: Family<Outcome, Counter>,
    pub(crate) impressions: Family<Where, Counter>,
    pub(crate) clicks: Family<Where, Counter>,
    pub(crate) purchases: Family<Where, Counter>,
    pub(crate) lists: Family<Where, Counter>,
    pub(crate) entropy: Family<Where, Counter<f64, AtomicU64>>,
    pub(crate) novelty: Family<Where, Counter<f64, AtomicU64>>,
    pub(crate) waiting: Gauge<i64, AtomicI64>,
    pub(crate) people: Gauge<i64, AtomicI64>,
}

fn seconds() -> Histogram {
    Histogram::new(exponential_buckets(0.0005, 2.0, 14))
}

impl Telemetry {
    pub(crate) fn new() -> Self {
        let mut registry = Registry::with_prefix("daogou");
        let requests = Family::<Route, Histogram>::new_with_constructor(seconds);
        let stages = Family::<Stage, Histogram>::new_with_constructor(seconds);
        let own = Self {
            requests,
            stages,
            events: Family::default(),
            impressions: Family::default(),
            clicks: Family::default(),
            purchases: Family::default(),
            lists: Family::default(),
            entropy: Family::default(),
            novelty: Family::default(),
            waiting: Gauge::default(),
            people: Gauge::default(),
            registry: Registry::default(),
        };
        registry.register("request_seconds", "Time to answer", own.requests.clone());
        registry.register(
            "stage_seconds",
            "Time in line, of scoring, of lists",
            own.stages.clone(),
        );
        registry.register("events", "Events by what became of them", own.events.clone());
        registry.register("impressions", "Items shown", own.impressions.clone());
        registry.register("clicks", "Clicks", own.clicks.clone());
        registry.register("purchases", "Purchases", own.purchases.clone());
        registry.register("lists", "Lists made", own.lists.clone());
        registry.register("list_entropy", "Sum of entropies of lists, nats", own.entropy.clone());
        registry.register("list_novelty", "Sum of shares of new items", own.novelty.clone());
        registry.register("line", "Requests in line for a thread", own.waiting.clone());
        registry.register("people", "People in memory", own.people.clone());
        Self { registry, ..own }
    }

    /// As text.
    pub(crate) fn text(&self) -> String {
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &self.registry)
            .expect("writing to a string works");
        text
    }
}
