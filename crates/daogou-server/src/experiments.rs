//! Experiments: people are split over arms, each arm makes lists in its own way, and what they do with them is compared.
//!
//! The split is by a stable hash of experiment and person, so a person stays in an arm on every server and after every
//! restart. What is counted are events of lists made in the experiment, which their ids tell ([`crate::list_id`]); it can
//! be counted again from the store.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use rustc_hash::FxBuildHasher;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::list_id::Origin;
use crate::memory::number;
use crate::presets::{Preset, check_name};
use crate::problem::{Answer, Problem};
use crate::sequential::{Sums, Verdict, compare};
use crate::store::Event;

/// One way to make lists.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Arm {
    pub(crate) name: String,
    /// Share of people; shares of all arms sum to at most 1, people beyond are in no arm.
    pub(crate) share: f64,
    /// Named weights.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) preset: Option<String>,
    /// Weights.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) objectives: Option<BTreeMap<String, f64>>,
    /// How far to go beyond what is predicted to be wanted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) explore: Option<f64>,
    /// A model that is in memory.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) model: Option<String>,
}

/// What arms are compared by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Metric {
    /// Clicks per list.
    #[default]
    ClicksPerRequest,
    /// Purchases per list.
    PurchasesPerRequest,
    /// Value of purchases per list.
    RevenuePerRequest,
}

/// What an experiment is asked to be.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Plan {
    /// The first is what others are compared with.
    pub(crate) arms: Vec<Arm>,
    #[serde(default)]
    pub(crate) metric: Metric,
    /// Chance of ever seeing a difference where there is none.
    #[serde(default = "five_percent")]
    pub(crate) alpha: f64,
}

fn five_percent() -> f64 {
    0.05
}

/// A plan and when it ran: what the store keeps.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct ExperimentDocument {
    #[serde(flatten)]
    pub(crate) plan: Plan,
    /// Unix time.
    pub(crate) started: i64,
    pub(crate) stopped: Option<i64>,
}

impl Plan {
    pub(crate) fn check(&self) -> Answer<()> {
        if self.arms.len() < 2 {
            let got = self.arms.len();
            return Err(Problem::wrong("arms", format!("expected at least 2 arms, got {got}")));
        }
        let mut sum = 0.0;
        for (i, arm) in self.arms.iter().enumerate() {
            let key = |name: &str| format!("arms[{i}].{name}");
            check_name(&key("name"), &arm.name)?;
            if self.arms[..i].iter().any(|other| other.name == arm.name) {
                return Err(Problem::wrong(
                    key("name"),
                    format!("expected different names, got `{}` twice", arm.name),
                ));
            }
            if !(arm.share > 0.0 && arm.share <= 1.0) {
                return Err(Problem::wrong(
                    key("share"),
                    format!("expected a share above 0 and up to 1, got {}", arm.share),
                ));
            }
            if arm.preset.is_some() && arm.objectives.is_some() {
                return Err(Problem::wrong(
                    key("preset"),
                    "expected a preset or objectives, got both",
                ));
            }
            if let Some(objectives) = &arm.objectives {
                Preset { objectives: objectives.clone(), explore: arm.explore }.weights()?;
            } else if let Some(explore) = arm.explore
                && !(0.0..=1.0).contains(&explore)
            {
                return Err(Problem::wrong(
                    key("explore"),
                    format!("expected 0 to 1, got {explore}"),
                ));
            }
            sum += arm.share;
        }
        if sum > 1.0 + 1e-9 {
            return Err(Problem::wrong(
                "arms",
                format!("expected shares that sum to at most 1, got {sum}"),
            ));
        }
        if !(self.alpha > 0.0 && self.alpha < 0.5) {
            return Err(Problem::wrong(
                "alpha",
                format!("expected above 0 and below 0.5, got {}", self.alpha),
            ));
        }
        Ok(())
    }

    /// The arm of a person; `None`: outside of the experiment.
    fn arm(&self, experiment: &str, user: &str) -> Option<usize> {
        // The hash is taken of both, so that two experiments split people differently.
        let mixed = daogou_nn::rng::mix(number(experiment) ^ number(user).rotate_left(17));
        let place = mixed as f64 / u64::MAX as f64;
        let mut end = 0.0;
        self.arms.iter().position(|arm| {
            end += arm.share;
            place < end
        })
    }
}

/// What was counted of a person.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Own {
    requests: f64,
    clicks: f64,
    purchases: f64,
    revenue: f64,
}

/// What was counted of an arm.
#[derive(Default)]
struct Tally {
    people: HashMap<u64, Own, FxBuildHasher>,
    lists: HashSet<u64, FxBuildHasher>,
    impressions: u64,
    sums: Sums,
    /// Lists made by this server, their entropy and share of new items, for people to look at.
    made: u64,
    entropy: f64,
    novelty: f64,
}

struct Experiment {
    document: ExperimentDocument,
    tallies: Vec<Tally>,
}

/// All experiments.
#[derive(Default)]
pub(crate) struct Experiments(RwLock<BTreeMap<String, Experiment>>);

/// An arm and what was counted.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct ArmResult {
    #[serde(flatten)]
    pub(crate) arm: Arm,
    pub(crate) users: u64,
    /// Lists that were shown.
    pub(crate) requests: u64,
    pub(crate) impressions: u64,
    pub(crate) clicks: u64,
    pub(crate) purchases: u64,
    pub(crate) revenue: f64,
    /// Clicks per impression.
    pub(crate) ctr: Option<f64>,
    /// Purchases per click.
    pub(crate) cvr: Option<f64>,
    /// The metric.
    pub(crate) mean: Option<f64>,
    /// Mean entropy of the categories of a list, nats.
    pub(crate) entropy: Option<f64>,
    /// Mean share of items of a list that the person had not seen.
    pub(crate) novelty: Option<f64>,
}

/// An arm against the first.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct Comparison {
    pub(crate) arm: String,
    pub(crate) against: String,
    pub(crate) difference: Option<f64>,
    /// Holds at any time, with probability 1 − alpha.
    pub(crate) interval: Option<(f64, f64)>,
    /// The difference over the reference's value.
    pub(crate) relative: Option<f64>,
    pub(crate) verdict: Verdict,
}

/// An experiment as it stands.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct ExperimentResult {
    pub(crate) name: String,
    /// `running` or `stopped`.
    pub(crate) state: &'static str,
    /// Unix time.
    pub(crate) started: i64,
    pub(crate) stopped: Option<i64>,
    pub(crate) metric: Metric,
    pub(crate) alpha: f64,
    pub(crate) arms: Vec<ArmResult>,
    pub(crate) comparisons: Vec<Comparison>,
}

impl Experiment {
    fn new(document: ExperimentDocument) -> Self {
        let tallies = document.plan.arms.iter().map(|_| Tally::default()).collect();
        Self { document, tallies }
    }

    fn place(&self, arm: &str) -> Option<usize> {
        self.document.plan.arms.iter().position(|own| own.name == arm)
    }

    fn count(&mut self, arm: usize, event: &Event) {
        let metric = self.document.plan.metric;
        let tally = &mut self.tallies[arm];
        let own = tally.people.entry(number(&event.user)).or_default();
        let before = *own;
        match event.kind.as_str() {
            "impression" => {
                tally.impressions += 1;
                let list = event.request.as_deref().map_or(0, number);
                own.requests += f64::from(u8::from(tally.lists.insert(list)));
            }
            "purchase" => {
                own.purchases += 1.0;
                own.revenue += event.value.unwrap_or(0.0);
            }
            // Of several signs of liking one item only the click itself is a click.
            "click" => own.clicks += 1.0,
            _ => return,
        }
        let value = |own: &Own| match metric {
            Metric::ClicksPerRequest => (own.requests, own.clicks),
            Metric::PurchasesPerRequest => (own.requests, own.purchases),
            Metric::RevenuePerRequest => (own.requests, own.revenue),
        };
        let (before, after) = (value(&before), value(own));
        tally.sums.change(before, after);
    }

    fn result(&self, name: &str) -> ExperimentResult {
        let plan = &self.document.plan;
        let arms = plan.arms.iter().zip(&self.tallies).map(|(arm, tally)| {
            let sum = |of: fn(&Own) -> f64| {
                // In the order of the hash, so that rounding does not depend on who came first.
                let mut people: Vec<(&u64, f64)> =
                    tally.people.iter().map(|(user, own)| (user, of(own))).collect();
                people.sort_unstable_by_key(|(user, _)| **user);
                people.iter().map(|(_, value)| value).sum::<f64>()
            };
            let (clicks, purchases) = (sum(|own| own.clicks), sum(|own| own.purchases));
            let over = |a: f64, b: f64| (b > 0.0).then(|| a / b);
            ArmResult {
                arm: arm.clone(),
                users: tally.sums.people,
                requests: tally.lists.len() as u64,
                impressions: tally.impressions,
                clicks: clicks as u64,
                purchases: purchases as u64,
                revenue: sum(|own| own.revenue),
                ctr: over(clicks, tally.impressions as f64),
                cvr: over(purchases, clicks),
                mean: tally.sums.mean(),
                entropy: over(tally.entropy, tally.made as f64),
                novelty: over(tally.novelty, tally.made as f64),
            }
        });
        let reference = &self.tallies[0];
        let comparisons = plan.arms.iter().zip(&self.tallies).skip(1).map(|(arm, tally)| {
            let found = compare(&tally.sums, &reference.sums, plan.alpha);
            let base = reference.sums.mean().filter(|base| *base != 0.0);
            Comparison {
                arm: arm.name.clone(),
                against: plan.arms[0].name.clone(),
                difference: found.map(|found| found.difference),
                interval: found.map(|found| found.interval),
                relative: found.and_then(|found| Some(found.difference / base?)),
                verdict: found.map_or(Verdict::NoDifferenceYet, |found| found.verdict),
            }
        });
        ExperimentResult {
            name: name.to_string(),
            state: if self.document.stopped.is_none() { "running" } else { "stopped" },
            started: self.document.started,
            stopped: self.document.stopped,
            metric: plan.metric,
            alpha: plan.alpha,
            arms: arms.collect(),
            comparisons: comparisons.collect(),
        }
    }
}

impl Experiments {
    fn read(&self) -> RwLockReadGuard<'_, BTreeMap<String, Experiment>> {
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, BTreeMap<String, Experiment>> {
        self.0.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes in a document; what was counted of an experiment of the same plan stays.
    pub(crate) fn set(&self, name: &str, document: Option<ExperimentDocument>) {
        let mut all = self.write();
        match document {
            None => {
                all.remove(name);
            }
            Some(document) => match all.get_mut(name) {
                Some(known)
                    if known.document.plan == document.plan
                        && known.document.started == document.started =>
                {
                    known.document = document;
                }
                _ => {
                    all.insert(name.to_string(), Experiment::new(document));
                }
            },
        }
    }

    /// The experiment that runs, if one does.
    pub(crate) fn running(&self) -> Option<String> {
        let all = self.read();
        all.iter().find(|(_, own)| own.document.stopped.is_none()).map(|(name, _)| name.clone())
    }

    /// Experiment and arm of a person.
    pub(crate) fn assign(&self, user: &str) -> Option<(String, Arm)> {
        let all = self.read();
        let (name, running) = all.iter().find(|(_, own)| own.document.stopped.is_none())?;
        let arm = running.document.plan.arm(name, user)?;
        Some((name.clone(), running.document.plan.arms[arm].clone()))
    }

    /// Models that arms of the running experiment need.
    pub(crate) fn models(&self) -> Vec<String> {
        let all = self.read();
        let running = all.values().filter(|own| own.document.stopped.is_none());
        running
            .flat_map(|own| own.document.plan.arms.iter().filter_map(|a| a.model.clone()))
            .collect()
    }

    pub(crate) fn document(&self, name: &str) -> Option<ExperimentDocument> {
        self.read().get(name).map(|own| own.document.clone())
    }

    /// When the earliest experiment began, of those that are known; what is counted came after.
    pub(crate) fn earliest(&self) -> Option<i64> {
        self.read().values().map(|own| own.document.started).min()
    }

    /// Whether there is an experiment with such an arm.
    pub(crate) fn has(&self, experiment: &str, arm: &str) -> bool {
        self.read().get(experiment).is_some_and(|own| own.place(arm).is_some())
    }

    /// Counts an event where its list belongs.
    pub(crate) fn count(&self, origin: &Origin, event: &Event) {
        let Some((name, arm)) = &origin.arm else { return };
        if let Some(experiment) = self.write().get_mut(name)
            && let Some(place) = experiment.place(arm)
        {
            experiment.count(place, event);
        }
    }

    /// Notes what a list that was made is like.
    pub(crate) fn made(&self, origin: &Origin, entropy: Option<f64>, novelty: Option<f64>) {
        let Some((name, arm)) = &origin.arm else { return };
        if let Some(experiment) = self.write().get_mut(name)
            && let Some(place) = experiment.place(arm)
        {
            let tally = &mut experiment.tallies[place];
            tally.made += 1;
            tally.entropy += entropy.unwrap_or(0.0);
            tally.novelty += novelty.unwrap_or(0.0);
        }
    }

    pub(crate) fn result(&self, name: &str) -> Answer<ExperimentResult> {
        let all = self.read();
        let found = all.get(name).map(|experiment| experiment.result(name));
        found.ok_or_else(|| Problem::not_found(format!("there is no experiment `{name}`")))
    }

    pub(crate) fn results(&self) -> Vec<ExperimentResult> {
        self.read().iter().map(|(name, experiment)| experiment.result(name)).collect()
    }
}
