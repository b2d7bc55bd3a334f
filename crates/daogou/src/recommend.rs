//! One list for one person, with its reasons.

use std::collections::{BTreeMap, BTreeSet};

use daogou_nn::Team;
use serde::Serialize;

use crate::data::{Column, Encoding, FieldKind};
use crate::list_maker::{
    ListMaker, Shop, Visit, Wish, Workshop, check_explore, configured_weights, unknown_columns,
};
use crate::lists::{
    Contributions, ListSummary, Objective, Scratch, Weights, builder, explain, moved_by,
};
use crate::run::TrainedRun;
use crate::schema::{ListRules, Side, TaskKind};
use crate::{Error, Result};

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
    /// External ids of items that must not be shown.
    pub exclude: Vec<String>,
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

/// Builds one list from the whole catalogue.
///
/// # Errors
///
/// Where the ask names an unknown context feature, objective, builder, attribute, value or item, a rule cannot be met, or
/// nothing is left to show.
pub fn recommend(run: &TrainedRun, ask: &Ask, team: &mut Team) -> Result<Recommendation> {
    let (stored, config) = (&run.stored, &run.config);
    let user =
        stored.users.ids.iter().skip(1).position(|id| *id == ask.user).map_or(0, |i| i as u32 + 1);
    let excluded: BTreeSet<&str> = ask.exclude.iter().map(String::as_str).collect();
    let items = (1..stored.items.ids.len() as u32)
        .filter(|&i| !excluded.contains(stored.items.ids[i as usize].as_str()))
        .collect();
    let k = ask.k.unwrap_or(config.lists.k);
    if k == 0 {
        return Err(Error::config("k", "expected at least 1, got 0"));
    }
    let weights = match &ask.weights {
        Some(weights) => *weights,
        None => configured_weights(run)?,
    };
    let time = ask.time.unwrap_or(stored.last_time + 1);
    let context = context_columns(run, ask, time)?;
    let visit = Visit { user, time, context: (&context, 0) };
    let seen = vec![&stored.seen];
    let mut maker = ListMaker::asked(run, Shop::from(run), seen, items, team.size(), &ask.rules)?;
    let mut wish = Wish::configured(&config.lists, weights, k)?;
    if let Some(explore) = ask.explore {
        check_explore(explore)?;
        wish.explore = explore;
    }
    if let Some(name) = &ask.builder {
        wish.builder = builder(name)?;
    }
    let mut workshop = Workshop::default();
    let made = maker.score(&visit, team).list(&wish, &mut workshop)?;
    let scored = made.scored;
    let why = |objective| explain(made.list, &made.candidates, objective, &weights, &scored.heads);
    let mut reasons = why(&made.objective);
    // Items are chosen for what is aimed at; the list is measured by what is wanted.
    reasons.list = why(&Objective { wanted_mix: scored.mix, ..made.objective }).list;
    let moved = match scored.rules()? {
        None => vec![None; made.list.len()],
        Some(rules) => {
            let (mut scratch, mut free) = (Scratch::default(), Vec::new());
            wish.builder.build(&made.candidates, &made.objective, &mut scratch, &mut free)?;
            moved_by(&rules, &free, made.list)
        }
    };

    let binary = || {
        let tasks = config.tasks.iter().zip(scored.probabilities);
        tasks.filter(|(task, _)| task.kind == TaskKind::Binary)
    };
    let categories = &stored.catalogue.categories;
    let title = |item: usize| stored.catalogue.title.get(item).filter(|t| !t.is_empty()).cloned();
    let shown = made
        .list
        .iter()
        .zip(reasons.items)
        .zip(reasons.displaced.iter().zip(moved))
        .map(|((&candidate, contributions), (displaced, moved_by))| {
            let candidate = candidate as usize;
            let item = scored.items[candidate] as usize;
            let displaced = displaced.map(|other| scored.items[other as usize] as usize);
            let category = stored.catalogue.category.get(item).map(|&c| usize::from(c));
            Item {
                item_id: stored.items.ids[item].clone(),
                title: title(item),
                category: category.and_then(|c| categories.get(c)).cloned(),
                score: made.candidates.utility[candidate],
                heads: binary().map(|(task, p)| (task.name.clone(), p[candidate])).collect(),
                contributions,
                reasons: Reasons {
                    moved_by,
                    displaced: displaced.map(|item| stored.items.ids[item].clone()),
                    displaced_title: displaced.and_then(title),
                },
            }
        })
        .collect();
    Ok(Recommendation {
        user: ask.user.clone(),
        known: user != 0,
        items: shown,
        list: reasons.list,
        wanted: Wanted {
            mix: categories.iter().cloned().zip(scored.mix.iter().copied()).collect(),
            novelty: scored.novelty,
        },
    })
}

/// Context of the request, one row: the values given, then the parts of the request's time, the rest unknown.
fn context_columns(run: &TrainedRun, ask: &Ask, time: i64) -> Result<Vec<Column>> {
    let space = &run.stored.space;
    let mut columns = unknown_columns(run, Side::Context, 1);
    let context =
        || space.fields.iter().zip(&space.encodings).filter(|(f, _)| f.side == Side::Context);
    for (field, encoding) in context() {
        if matches!(encoding, Encoding::Hour | Encoding::Weekday) && time > 0 {
            columns[field.column] = crate::data::encode_time(time, encoding);
        }
    }
    for (name, value) in &ask.context {
        let Some((field, encoding)) = context().find(|(f, _)| f.name == *name) else {
            let names: Vec<&str> = context().map(|(f, _)| f.name.as_str()).collect();
            return Err(Error::config(
                "context",
                format!("expected one of {names:?}, got `{name}`"),
            ));
        };
        let one = |value: &str| crate::data::encode_one(value, encoding, name);
        columns[field.column] = match field.kind {
            FieldKind::Bag { .. } => {
                let feature = run.config.features.iter().find(|f| f.name == *name);
                let separator = feature.and_then(|f| f.separator.as_deref()).unwrap_or("|");
                let mut ids = Vec::new();
                for part in value.split(separator).map(str::trim).filter(|p| !p.is_empty()) {
                    if let Column::Ids(id) = one(part)? {
                        ids.extend(id.into_iter().filter(|&id| id != 0));
                    }
                }
                Column::Bags { offsets: vec![0, ids.len() as u32], ids }
            }
            _ => one(value)?,
        };
    }
    Ok(columns)
}
