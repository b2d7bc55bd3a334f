//! One list for one person: score the catalogue, read what is wanted, build, explain.

use std::collections::BTreeMap;

use daogou_nn::Team;
use serde::Serialize;

use crate::data::past::{Measured, Shown};
use crate::data::{Column, Encoding, FieldKind, Impressions, Requests};
use crate::lists::{
    Candidates, Contributions, Heads, ListSummary, Objective, Scratch, Weights, builder, explain,
    utility_scale,
};
use crate::models::{Mode, Source};
use crate::run::{TrainedRun, request_row, sigmoid, softmax_rows};
use crate::schema::{Role, Side, TaskKind};
use crate::{Error, Result};

/// Candidates that share one copy of the request in a forward pass.
const CHUNK: usize = 256;

/// What is asked for.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Ask {
    /// External user id; an unknown one is a newcomer.
    pub user: String,
    /// Items of the list; `None`: as configured.
    pub k: Option<usize>,
    /// Weights of objectives; `None`: as configured.
    pub weights: Option<Weights>,
    /// Values of context features, by feature name.
    pub context: BTreeMap<String, String>,
    /// External ids of items that must not be shown.
    pub exclude: Vec<String>,
    /// Unix time of the request; `None`: right after the log.
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
/// Where the ask names an unknown context feature or objective, or nothing is left to show.
pub fn recommend(run: &TrainedRun, ask: &Ask, team: &mut Team) -> Result<Recommendation> {
    let stored = &run.stored;
    let config = &run.config;
    let user =
        stored.users.ids.iter().skip(1).position(|id| *id == ask.user).map_or(0, |i| i as u32 + 1);
    let excluded: Vec<&str> = ask.exclude.iter().map(String::as_str).collect();
    let items: Vec<u32> = (1..stored.items.ids.len() as u32)
        .filter(|&i| !excluded.contains(&stored.items.ids[i as usize].as_str()))
        .collect();
    if items.is_empty() {
        return Err(Error::data("no item is left to show").with_hint("exclude fewer items"));
    }
    let k = ask.k.unwrap_or(config.lists.k).min(items.len());
    if k == 0 {
        return Err(Error::config("k", "expected at least 1, got 0"));
    }

    let chunks = items.len().div_ceil(CHUNK);
    let time = ask.time.unwrap_or(stored.last_time + 1);
    let end = stored.timelines.offsets[user as usize + 1];
    let requests = Requests {
        user: vec![user; chunks],
        time: vec![time; chunks],
        offsets: (0..=chunks).map(|c| (c * CHUNK).min(items.len()) as u32).collect(),
        history_end: vec![end; chunks],
        columns: context_columns(run, ask, time, chunks)?,
    };
    let mut impressions = Impressions {
        columns: empty_columns(run, Side::Impression, items.len()),
        item: items,
        ..Impressions::default()
    };
    if stored.space.reads_past() {
        let shown = Shown { requests: &requests, impressions: &impressions, engaged: None };
        let before = Some((&stored.past, i64::MIN));
        Measured::new(&stored.space, &shown, before, &stored.items)
            .fill(&stored.space, &mut impressions.columns);
    }
    let source = Source {
        users: &stored.users,
        items: &stored.items,
        catalogue: &stored.catalogue,
        timelines: &stored.timelines,
        requests: &requests,
        impressions: &impressions,
        targets: &[],
    };
    let order: Vec<u32> = (0..chunks as u32).collect();
    let logits = run.logits(&source, &order, Mode::Serve, team);

    let probabilities =
        |index: usize| -> Vec<f32> { logits[index].values.iter().map(|&z| sigmoid(z)).collect() };
    let of_role = |role| config.task_of(role).map(probabilities);
    let (click, purchase) = (of_role(Role::Click), of_role(Role::Purchase));
    let prices: Vec<f32> = if stored.catalogue.price.is_empty() {
        Vec::new()
    } else {
        impressions.item.iter().map(|&i| stored.catalogue.price[i as usize]).collect()
    };
    let heads = Heads {
        click: click.as_deref(),
        purchase: purchase.as_deref(),
        price: (!prices.is_empty()).then_some(&prices),
    };
    let mix = match config.task_of(Role::Diversity) {
        Some(task) => {
            request_row(&softmax_rows(&logits[task]), logits[task].cols, logits[task].level)
        }
        None => Vec::new(),
    };
    let novelty = config
        .task_of(Role::Novelty)
        .map(|task| request_row(&probabilities(task), 1, logits[task].level)[0]);

    let weights = match &ask.weights {
        Some(weights) => *weights,
        None => available(&config.lists.objectives, run)?,
    };
    let mut utility = Vec::new();
    weights.utility(&heads, impressions.item.len(), &mut utility)?;
    let (lambda_diversity, lambda_novelty) =
        weights.lambdas(utility_scale(&utility, k, &mut Vec::new()));
    let category: Vec<u16> = if stored.catalogue.category.is_empty() {
        Vec::new()
    } else {
        impressions.item.iter().map(|&i| stored.catalogue.category[i as usize]).collect()
    };
    let novel: Vec<f32> = impressions
        .item
        .iter()
        .map(|&i| f32::from(u8::from(!stored.seen.contains(user, i))))
        .collect();
    let tie_break: Vec<u64> = impressions.item.iter().map(|&i| u64::from(i)).collect();
    let candidates =
        Candidates { utility: &utility, category: &category, novel: &novel, tie_break: &tie_break };
    let objective = Objective {
        k,
        lambda_diversity: if mix.is_empty() { 0.0 } else { lambda_diversity },
        lambda_novelty: if novelty.is_none() { 0.0 } else { lambda_novelty },
        wanted_mix: &mix,
        wanted_novelty: (f64::from(novelty.unwrap_or(0.0)) + config.lists.novelty_margin)
            .clamp(0.0, 1.0),
        smoothing: config.lists.smoothing,
    };
    let mut list = Vec::new();
    builder(&config.lists.builder)?.build(
        &candidates,
        &objective,
        &mut Scratch::default(),
        &mut list,
    )?;
    let reasons = explain(&list, &candidates, &objective, &weights, &heads);

    let binary: Vec<(String, Vec<f32>)> = config
        .tasks
        .iter()
        .enumerate()
        .filter(|(_, task)| task.kind == TaskKind::Binary)
        .map(|(index, task)| (task.name.clone(), probabilities(index)))
        .collect();
    let categories = &stored.catalogue.categories;
    let shown = list
        .iter()
        .zip(reasons.items)
        .map(|(&candidate, contributions)| {
            let item = impressions.item[candidate as usize] as usize;
            let category = stored.catalogue.category.get(item).map(|&c| usize::from(c));
            Item {
                item_id: stored.items.ids[item].clone(),
                title: stored.catalogue.title.get(item).filter(|t| !t.is_empty()).cloned(),
                category: category.and_then(|c| categories.get(c)).cloned(),
                score: utility[candidate as usize],
                heads: binary
                    .iter()
                    .map(|(name, p)| (name.clone(), p[candidate as usize]))
                    .collect(),
                contributions,
            }
        })
        .collect();
    Ok(Recommendation {
        user: ask.user.clone(),
        known: user != 0,
        items: shown,
        list: reasons.list,
        wanted: Wanted { mix: categories.iter().cloned().zip(mix).collect(), novelty },
    })
}

/// Configured weights, without the objectives that this run has no head for.
fn available(objectives: &BTreeMap<String, f64>, run: &TrainedRun) -> Result<Weights> {
    let has = |role| run.config.task_of(role).is_some();
    let kept = objectives.iter().filter(|(name, _)| match name.as_str() {
        "click" => has(Role::Click),
        "purchase" => has(Role::Click) && has(Role::Purchase),
        "revenue" => {
            has(Role::Click) && has(Role::Purchase) && !run.stored.catalogue.price.is_empty()
        }
        _ => true,
    });
    Weights::from_map(&kept.map(|(name, weight)| (name.clone(), *weight)).collect())
}

/// Columns of a side where nothing is known.
fn empty_columns(run: &TrainedRun, side: Side, rows: usize) -> Vec<Column> {
    let space = &run.stored.space;
    let fields = space.fields.iter().filter(|f| f.side == side);
    fields
        .filter_map(|field| match field.kind {
            FieldKind::Id { .. } => Some(Column::Ids(vec![0; rows])),
            FieldKind::Number => Some(Column::Numbers(vec![0.0; rows])),
            FieldKind::Bag { .. } => {
                Some(Column::Bags { offsets: vec![0; rows + 1], ids: Vec::new() })
            }
            FieldKind::History { .. } => None,
        })
        .collect()
}

/// Context of the request: the values given, time features from the request's time, the rest unknown.
fn context_columns(run: &TrainedRun, ask: &Ask, time: i64, rows: usize) -> Result<Vec<Column>> {
    let space = &run.stored.space;
    let mut columns = empty_columns(run, Side::Context, rows);
    let context =
        || space.fields.iter().zip(&space.encodings).filter(|(f, _)| f.side == Side::Context);
    for (name, value) in &ask.context {
        let Some((field, encoding)) = context().find(|(f, _)| f.name == *name) else {
            let names: Vec<&str> = context().map(|(f, _)| f.name.as_str()).collect();
            return Err(Error::config(
                "context",
                format!("expected one of {names:?}, got `{name}`"),
            ));
        };
        columns[field.column] = crate::data::encode_one(value, encoding, name)?.repeated(rows);
    }
    for (field, encoding) in context() {
        if matches!(encoding, Encoding::Hour | Encoding::Weekday) && time > 0 {
            columns[field.column] = crate::data::encode_time(time, encoding).repeated(rows);
        }
    }
    Ok(columns)
}
