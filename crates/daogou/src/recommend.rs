//! One list for one person, with its reasons.

use std::collections::BTreeMap;

use daogou_nn::Team;
use serde::Serialize;

use crate::Result;
use crate::filter::Filter;
use crate::guide::Guide;
use crate::lists::{Contributions, ListSummary, Weights};
use crate::people::Visitor;
use crate::run::TrainedRun;
use crate::schema::ListRules;
use crate::stock::Stock;

/// What is asked for.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Ask {
    /// External user id; an unknown one is a newcomer.
    pub user: String,
    /// Items of the list; `None`: as configured.
    pub k: Option<usize>,
    /// Weights of objectives; `None`: as configured.
    pub weights: Option<Weights>,
    /// How far the list goes beyond what the person is predicted to want, from 0 to 1; `None`: as configured.
    pub explore: Option<f64>,
    /// Values of context features, by feature name.
    pub context: BTreeMap<String, String>,
    /// External ids of items that must not be shown; unknown ones are none.
    pub exclude: Vec<String>,
    /// External ids of the only items that may be shown; `None`: all on offer.
    pub candidates: Option<Vec<String>>,
    /// What items must be like.
    pub filter: Option<Filter>,
    /// Rules beside those of the configuration, see [`ListRules::with`].
    pub rules: ListRules,
    /// How the list is built; `None`: as configured.
    pub builder: Option<String>,
    /// Unix time of the request: what is strictly earlier is the person's past; `None`: right after the log.
    pub time: Option<i64>,
}

/// A list and its reasons.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Recommendation {
    /// As asked.
    pub user: String,
    /// Whether the run knows this user.
    pub known: bool,
    /// In the order to show them.
    pub items: Vec<Item>,
    /// The list as a whole.
    pub list: ListSummary,
    /// What the request heads say this person wants now.
    pub wanted: Wanted,
}

/// One item of a list.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Item {
    /// External id.
    pub item_id: String,
    /// Text for people, where the log has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// Category, where known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub category: Option<String>,
    /// Price, where known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub price: Option<f32>,
    /// Utility under the weights asked for.
    pub score: f32,
    /// Probability of each binary task.
    pub heads: BTreeMap<String, f32>,
    /// What each objective gains from the item.
    pub contributions: Contributions,
    /// Why it is here and not elsewhere.
    pub reasons: Reasons,
}

/// What brought an item to its place, beside its own value.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Reasons {
    /// The rule that gave it its place; `None`: no rule did.
    pub moved_by: Option<String>,
    /// Id of the item that the highest utilities would show in its stead; `None`: it is among these itself.
    pub displaced: Option<String>,
    /// Text for people of that item, where the log has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub displaced_title: Option<String>,
}

/// What is wanted.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Wanted {
    /// Share per category; empty without a diversity head.
    pub mix: BTreeMap<String, f32>,
    /// Share of items not seen before; `None` without a novelty head.
    pub novelty: Option<f32>,
}

/// Builds one list from all that the run's own log had.
///
/// # Errors
///
/// As [`Guide::recommend`].
pub fn recommend(run: &TrainedRun, ask: &Ask, team: &mut Team) -> Result<Recommendation> {
    let stock = Stock::of(run);
    let row = run.stored.users.ids.iter().skip(1).position(|id| *id == ask.user);
    let row = row.map(|row| row as u32 + 1);
    let time = ask.time.unwrap_or(run.stored.last_time + 1);
    let visitor = Visitor::of(run, (&ask.user, row, time), None, &[])?;
    Guide::new(run, &stock, team.size())?.recommend(ask, (&visitor, time), team)
}
