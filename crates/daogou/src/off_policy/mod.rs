//! Off-policy evaluation: what the lists of a log would have earned under another policy, without showing them again.
//!
//! What is estimated: every logged request answered by the other policy once, with the past as it was. Clicks, orders
//! and revenue per list. What a different list does to later visits is not in it.
//!
//! **What a log can tell.** A log with a propensity per shown item, but without the candidates that were not shown, can
//! answer for
//!
//! * *other orders of the shown items* ([`Policy::Order`], [`Policy::Popularity`], [`Policy::Random`]). Given the items
//!   of a list, their order is random with known probabilities ([`placement`]), so no item that could stand at a place
//!   was never seen there;
//! * *a policy that tells its own probability of what was shown* ([`Policy::File`]).
//!
//! It cannot answer for a model that picks other items out of candidates it does not name.
//!
//! **Assumptions.** Of another order: the position-based model, P(click) = examination of the place · relevance of the
//! item, and Plackett–Luce logging. Where an item's relevance depends on what is above it, the estimate is off by what
//! the new order changes in that. Of a file: that what a place earns depends on the places above it and not on those
//! below; and support: no zero propensity where the target's is above 0. Of both: propensities are those that the log
//! was made with.
//!
//! Without propensities, the order of lists is fitted ([`order_model`]) and the evaluation says so.
//!
//! **What is fitted where.** Nothing is fitted on what is measured, as long as there are earlier lists: examination
//! comes from the lists before, the level of the reward model from the validation split. The intervals know the error
//! of an estimated examination, to first order; they do not know that of the fitted order. The reward model is the
//! run's own click and purchase heads, trained on the training split.

pub mod estimators;
pub mod examination;
pub mod logged;
pub mod order_model;
pub mod placement;
mod policy;
pub mod table;
#[cfg(test)]
mod tests;
pub mod weighing;

use std::ops::Range;

use daogou_nn::Team;
use serde::{Deserialize, Serialize};

pub use estimators::Estimates;
use examination::Examination;
use logged::LoggedLists;
use order_model::{FEATURES, OrderModel};
use placement::{MOST_ITEMS, Placement};
pub use policy::{Policy, TARGET, read_probabilities};
pub use weighing::WeightReport;
use weighing::{Aim, Reward, Setting};

use crate::data::Dataset;
use crate::lists::{Heads, Weights};
use crate::metrics::BootstrapOptions;
use crate::models::{Mode, Source, sigmoid};
use crate::run::TrainedRun;
use crate::schema::Role;
use crate::{Error, Result};

/// Lists that examination is estimated from, at most: the latest ones.
const MOST_LISTS: usize = 100_000;
/// Weights are cut here at the latest; see [`default_clip`].
const MOST_WEIGHT: f64 = 50.0;
/// An effective sample smaller than this, or than this share of the shown items, is no evidence.
const LEAST_EFFECTIVE: f64 = 100.0;
const LEAST_SHARE: f64 = 0.01;
/// Weights should add up to what is expected of them within this.
const BALANCE: f64 = 0.1;

/// Where examination comes from.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum ExaminationSource {
    /// Estimated from the log.
    #[default]
    Estimated,
    /// `k^−power`.
    Power(f64),
}

impl std::str::FromStr for ExaminationSource {
    type Err = Error;

    /// `estimated`, or `power:P` with P at least 0.
    fn from_str(text: &str) -> Result<Self> {
        let power = text.strip_prefix("power:").map(str::parse::<f64>);
        match (text, power) {
            ("estimated", _) => Ok(Self::Estimated),
            (_, Some(Ok(power))) if power.is_finite() && power >= 0.0 => Ok(Self::Power(power)),
            _ => Err(Error::data(format!(
                "examination: expected `estimated` or `power:P` with P at least 0, got `{text}`"
            ))
            .with_hint("`power:0.5` says that place k is looked at 1/√k as often as the first")),
        }
    }
}

/// How policies are evaluated.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PolicyOptions {
    /// Weights are cut here; `None`: [`default_clip`].
    pub clip: Option<f64>,
    /// Where examination comes from.
    pub examination: ExaminationSource,
    /// How intervals are made.
    pub bootstrap: BootstrapOptions,
}

impl Default for PolicyOptions {
    fn default() -> Self {
        let bootstrap = BootstrapOptions { replicates: 1000, ..BootstrapOptions::default() };
        Self { clip: None, examination: ExaminationSource::Estimated, bootstrap }
    }
}

/// `min(50, √n)`, n lists: a weight of √n already gives one item the say that chance gives to all, and one beyond 50
/// rules most estimates by itself. Never below 1.
pub fn default_clip(lists: usize) -> f64 {
    (lists as f64).sqrt().clamp(1.0, MOST_WEIGHT)
}

/// One policy.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PolicyReport {
    /// As it was asked for; `logged` for the lists as they were.
    pub policy: String,
    /// `logged`, `order` (the same items in another order) or `probabilities` (told by a file).
    pub kind: String,
    /// Clicks per list.
    pub clicks: Estimates,
    /// Orders per list; `None` without a purchase task.
    pub orders: Option<Estimates>,
    /// Revenue per list; `None` without prices.
    pub revenue: Option<Estimates>,
    /// Weights.
    pub weights: WeightReport,
}

/// Policies beside the logged one.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PolicyEvaluation {
    /// Lists.
    pub lists: usize,
    /// People who saw them.
    pub people: usize,
    /// Where weights were cut.
    pub clip: f64,
    /// `logged` or `estimated`.
    pub propensities: String,
    /// `given` or `estimated`.
    pub examination: String,
    /// By place, the first being 1.
    pub examination_by_place: Vec<f64>,
    /// The logged lists, then the others as they were asked for.
    pub policies: Vec<PolicyReport>,
    /// What makes a number here no evidence.
    pub warnings: Vec<String>,
    /// What a reader should know.
    pub notes: Vec<String>,
}

/// What the model says of shown items: P(click) with the position's effect removed, P(purchase | click).
struct Answers {
    click: Vec<f32>,
    purchase: Option<Vec<f32>>,
}

impl Answers {
    fn of(run: &TrainedRun, data: &Dataset, requests: &Range<usize>, lists: &LoggedLists) -> Self {
        let mut team = Team::new(crate::train::threads(run.config.train.threads));
        let order: Vec<u32> = requests.clone().map(|r| r as u32).collect();
        let mut forward = run.forward(team.size());
        let logits = forward.run(&Source::from(data), &order, Mode::Serve, &mut team);
        let first = data.requests.impressions(requests).start;
        let of_role = |role| -> Option<Vec<f32>> {
            let values = &logits[run.config.task_of(role)?].values;
            Some(lists.row.iter().map(|&row| sigmoid(values[row as usize - first])).collect())
        };
        Self {
            click: of_role(Role::Click).expect("lists have a click task"),
            purchase: of_role(Role::Purchase),
        }
    }
}

/// Popularity and click logit: what a shop's order is likely to follow.
fn order_features(data: &Dataset, lists: &LoggedLists, answers: &Answers) -> Vec<[f64; FEATURES]> {
    let shown = &data.catalogue.train_impressions;
    let each = lists.item.iter().zip(&answers.click).map(|(&item, &p)| {
        let p = f64::from(p).clamp(1e-6, 1.0 - 1e-6);
        [f64::from(shown[item as usize]).ln_1p(), (p / (1.0 - p)).ln()]
    });
    each.collect()
}

/// Tells `each` the probabilities of every item of a list at its places, row by row.
pub(crate) fn placements(
    lists: &LoggedLists,
    order: Option<(&OrderModel, &[[f64; FEATURES]])>,
    mut each: impl FnMut(&[f64]),
) {
    let (mut placement, mut share, mut out) = (Placement::default(), Vec::new(), Vec::new());
    for items in lists.ranges() {
        let rest = match order {
            None => placement::shares(&lists.propensity[items], &mut share),
            Some((model, features)) => {
                model.shares(&features[items], &mut share);
                0.0
            }
        };
        out.clear();
        placement.of(&share, rest, &mut out);
        each(&out);
    }
}

/// What lists earned and what the model expects of them: clicks, then orders and revenue where there are such.
fn rewards(
    lists: &LoggedLists,
    answers: &Answers,
    level: f64,
    fit: &LoggedLists,
    notes: &mut Vec<String>,
) -> Vec<Reward> {
    let places = lists.places();
    let by_place = |earned: &[f64]| {
        let (mut sums, mut counts) = (vec![0.0; places], vec![0.0; places]);
        for items in fit.ranges() {
            for (k, i) in items.enumerate().take(places) {
                sums[k] += earned[i];
                counts[k] += 1.0;
            }
        }
        sums.iter().zip(&counts).map(|(s, c)| if *c > 0.0 { s / c } else { 0.0 }).collect()
    };
    let as_numbers = |labels: &[u8]| -> Vec<f64> { labels.iter().map(|&y| f64::from(y)).collect() };
    let click: Vec<f64> = answers.click.iter().map(|&p| level * f64::from(p)).collect();
    let mut all = vec![Reward {
        earned: as_numbers(&lists.click),
        by_place: by_place(&as_numbers(&fit.click)),
        model: click.clone(),
    }];
    let Some(purchase) = answers.purchase.as_ref().filter(|_| !lists.purchase.is_empty()) else {
        return all;
    };
    let order: Vec<f64> = click.iter().zip(purchase).map(|(c, &v)| c * f64::from(v)).collect();
    all.push(Reward {
        earned: as_numbers(&lists.purchase),
        by_place: by_place(&as_numbers(&fit.purchase)),
        model: order.clone(),
    });
    if lists.price.is_empty() {
        return all;
    }
    let unknown = lists.price.iter().chain(&fit.price).filter(|price| !price.is_finite()).count();
    if unknown > 0 {
        notes.push(format!("revenue is left out: {unknown} shown items have no price"));
        return all;
    }
    let times = |of: &[f64], price: &[f32]| -> Vec<f64> {
        of.iter().zip(price).map(|(of, &price)| of * f64::from(price)).collect()
    };
    all.push(Reward {
        earned: times(&as_numbers(&lists.purchase), &lists.price),
        by_place: by_place(&times(&as_numbers(&fit.purchase), &fit.price)),
        model: times(&order, &lists.price),
    });
    all
}

/// Where a policy shows the items of the lists.
fn aim(
    policy: &Policy,
    run: &TrainedRun,
    data: &Dataset,
    lists: &LoggedLists,
    answers: &Answers,
) -> Result<Aim> {
    let by = |scores: &[f64]| Ok(Aim::by_score(lists, scores));
    match policy {
        Policy::Random => Ok(Aim::Anywhere),
        Policy::Popularity => {
            let c = &data.catalogue;
            let rate = |&item: &u32| {
                let i = item as usize;
                (f64::from(c.train_clicks[i]) + 1.0) / (f64::from(c.train_impressions[i]) + 50.0)
            };
            by(&lists.item.iter().map(rate).collect::<Vec<_>>())
        }
        Policy::Order(weights) => by(&utility(weights, lists, answers)?),
        Policy::File(path) => {
            if lists.propensity.is_empty() {
                return Err(Error::Config {
                    key: "columns.propensity".into(),
                    problem: format!(
                        "expected the column with logged probabilities, which those of {} are \
                         compared with, got none",
                        path.display()
                    ),
                    hint: Some("other orders of the shown items can be evaluated without".into()),
                });
            }
            let of_row = read_probabilities(path, &run.config, data)?;
            let of = |&row: &u32| of_row[data.rows[row as usize] as usize];
            Ok(Aim::Probabilities(lists.row.iter().map(of).collect()))
        }
    }
}

fn utility(weights: &Weights, lists: &LoggedLists, answers: &Answers) -> Result<Vec<f64>> {
    let heads = Heads {
        click: Some(&answers.click),
        purchase: answers.purchase.as_deref(),
        price: (!lists.price.is_empty()).then_some(lists.price.as_slice()),
        bonus: None,
    };
    let mut utility = Vec::new();
    weights.utility(&heads, lists.item.len(), &mut utility)?;
    Ok(utility.into_iter().map(f64::from).collect())
}

fn plural(n: usize, one: &str) -> String {
    format!("{n} {one}{}", if n == 1 { "" } else { "s" })
}

/// Evaluates policies on the lists of a range of requests. The named policies come after the logged one.
///
/// # Errors
///
/// Without a click task, labels or positions; where propensities are no probabilities; where no list can be used; a
/// clip below 1; whatever is wrong with a policy's file; where no examination can be estimated.
pub fn evaluate_policies(
    run: &TrainedRun,
    data: &Dataset,
    requests: &Range<usize>,
    policies: &[(String, Policy)],
    options: &PolicyOptions,
) -> Result<PolicyEvaluation> {
    if let Some(clip) = options.clip.filter(|clip| !(clip.is_finite() && *clip >= 1.0)) {
        return Err(Error::data(format!("clip: expected a number of at least 1, got {clip}"))
            .with_hint("a weight of 1 is that of the logged policy itself"));
    }
    let config = &run.config;
    let lists = LoggedLists::of(config, data, requests)?;
    if lists.is_empty() {
        return Err(Error::data(format!(
            "expected lists with places 1, 2, … and at most {MOST_ITEMS} items, got none: {} with \
             unknown, missing or double places, {} longer",
            lists.without_places, lists.long
        ))
        .with_hint(
            "`columns.request` and `columns.position` say what was shown together, and where",
        ));
    }
    let (mut notes, mut warnings) = (Vec::new(), Vec::new());
    if lists.without_places > 0 {
        notes.push(format!(
            "{} left out: places unknown, missing or double",
            plural(lists.without_places, "list")
        ));
    }
    if lists.long > 0 {
        notes
            .push(format!("{} left out: more than {MOST_ITEMS} items", plural(lists.long, "list")));
    }
    let clip = options.clip.unwrap_or_else(|| default_clip(lists.len()));

    // What is measured fits nothing, if there is anything before it.
    let (before, valid) = (0..requests.start, data.split.valid.clone());
    let apart = !before.is_empty();
    let fit_range = if !apart {
        requests.clone()
    } else if valid.end <= requests.start && !valid.is_empty() {
        valid
    } else {
        before.clone()
    };
    let fit = LoggedLists::of(config, data, &fit_range)?;
    let (fit, fit_range) =
        if fit.is_empty() { (lists.clone(), requests.clone()) } else { (fit, fit_range) };
    if fit_range == *requests {
        notes.push(
            "examination and the level of the model were fitted on the measured lists, as there \
             are none before them"
                .into(),
        );
    }
    let answers = Answers::of(run, data, requests, &lists);
    let fit_answers = Answers::of(run, data, &fit_range, &fit);

    let logged = !lists.propensity.is_empty();
    let (features, fit_features) = if logged {
        (Vec::new(), Vec::new())
    } else {
        (order_features(data, &lists, &answers), order_features(data, &fit, &fit_answers))
    };
    let order = (!logged).then(|| OrderModel::fit(&fit.offsets, &fit_features));
    if let Some(OrderModel { slopes: [popularity, click], .. }) = order {
        notes.push(format!(
            "the log has no propensities (`columns.propensity`): the order of its lists was \
             estimated from popularity (slope {popularity:.2}) and click probability (slope \
             {click:.2}), and is only as good as that"
        ));
    }
    let mut matrix = Vec::new();
    placements(&lists, order.as_ref().zip(Some(&features[..])), |p| matrix.extend_from_slice(p));

    let places = lists.places();
    let examination = match options.examination {
        ExaminationSource::Power(power) => Examination::power(power, places),
        ExaminationSource::Estimated => {
            let latest = before.start.max(before.end.saturating_sub(MOST_LISTS))..before.end;
            let own_range = logged && fit_range != *requests;
            let earlier = own_range.then(|| LoggedLists::of(config, data, &latest)).transpose()?;
            let from = earlier.as_ref().unwrap_or(&fit);
            let mut own = Vec::new();
            let diagonal = |p: &[f64]| {
                let n = p.len().isqrt();
                own.extend((0..n).map(|k| p[k * n + k]));
            };
            placements(from, order.as_ref().zip(Some(&fit_features[..])), diagonal);
            notes.push(format!(
                "examination of places was estimated from {}",
                plural(from.len(), "list")
            ));
            Examination::estimate(from, &own, places, default_clip(from.len()))?
        }
    };

    // The heads know clicks up to how likely the places of a list are to be looked at.
    let level = {
        let (mut clicks, mut expected) = (0.0, 0.0);
        for items in fit.ranges() {
            for (k, i) in items.enumerate().take(places) {
                clicks += f64::from(fit.click[i]);
                expected += examination.values[k] * f64::from(fit_answers.click[i]);
            }
        }
        if clicks > 0.0 && expected > 0.0 { clicks / expected } else { 1.0 }
    };
    let rewards = rewards(&lists, &answers, level, &fit, &mut notes);

    let setting = Setting {
        lists: &lists,
        placement: &matrix,
        examination: &examination,
        clip,
        bootstrap: &options.bootstrap,
    };
    let mut reports = Vec::new();
    let mut aims = vec![("logged", "logged", Aim::Logged)];
    for (name, policy) in policies {
        aims.push((name, policy.kind(), aim(policy, run, data, &lists, &answers)?));
    }
    for (name, kind, aim) in aims {
        let (estimates, weights) = setting.evaluate(&aim, &rewards);
        let mut estimates = estimates.into_iter();
        let report = PolicyReport {
            policy: name.into(),
            kind: kind.into(),
            clicks: estimates.next().expect("clicks are always measured"),
            orders: estimates.next(),
            revenue: estimates.next(),
            weights,
        };
        warn(&report, &mut warnings);
        reports.push(report);
    }
    let mut people = lists.user.clone();
    people.sort_unstable();
    people.dedup();
    if people.len() < 2 {
        warnings.push("all lists are of one person: there are no intervals".into());
    }
    Ok(PolicyEvaluation {
        lists: lists.len(),
        people: people.len(),
        clip,
        propensities: if logged { "logged" } else { "estimated" }.into(),
        examination: match options.examination {
            ExaminationSource::Estimated => "estimated".into(),
            ExaminationSource::Power(_) => "given".into(),
        },
        examination_by_place: examination.values,
        policies: reports,
        warnings,
        notes,
    })
}

/// Says where weights leave too little to judge by.
fn warn(report: &PolicyReport, warnings: &mut Vec<String>) {
    let WeightReport { n, effective, balance, .. } = report.weights;
    let least = (LEAST_SHARE * n as f64).max(LEAST_EFFECTIVE);
    let got = effective.unwrap_or(0.0);
    if got < least {
        warnings.push(format!(
            "{}: the {n} shown items are worth {got:.0} after weighing, fewer than {least:.0}: do \
             not decide by these numbers",
            report.policy
        ));
    }
    if let Some(balance) = balance.filter(|balance| (balance - 1.0).abs() > BALANCE) {
        warnings.push(format!(
            "{}: the weights add up to {balance:.2} of what they should: propensities do not \
             describe this log, weights were cut, or there are too few lists",
            report.policy
        ));
    }
}
