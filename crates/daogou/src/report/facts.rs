//! What was trained on what.

use std::ops::Range;
use std::path::Path;

use maud::{Markup, html};

use super::chart::Table;
use super::numbers::{count, fixed, percent};
use super::{Material, Section, asked};
use crate::calibrate::Calibration;
use crate::data::Dataset;
use crate::rfc3339;
use crate::schema::{Config, FeatureType, ModelKind, Side, Task, TaskKind};
use crate::train::{binary_index, funnel};

pub(super) fn section(material: &Material<'_>) -> Section {
    let Material { run, manifest, data, history, .. } = *material;
    let config = &run.config;
    let model = &run.network.model;
    let table_values: usize = model.table_specs().map(|(_, rows, dim)| rows * dim).sum();
    let epochs = history.last().map_or(0, |round| round.epoch);
    let facts: Vec<(&str, String)> = vec![
        ("log", log(data)),
        ("read from", files(config).join(", ")),
        (
            "network",
            format!(
                "{}; {} dense parameters, {} numbers in {} tables",
                network(config),
                count(model.n_dense() as u64),
                count(table_values as u64),
                model.table_specs().count(),
            ),
        ),
        ("training", training(config, epochs)),
        (
            "lists",
            format!(
                "{} items, builder {}; weights: {}",
                config.lists.k,
                config.lists.builder,
                weights(config)
            ),
        ),
        (
            "fingerprint",
            format!(
                "data {}, model sha256 {}…",
                manifest.provenance.data_fingerprint,
                manifest
                    .files
                    .get(crate::artifact::MODEL)
                    .map_or("", |file| file.sha256.get(..12).unwrap_or(""))
            ),
        ),
        (
            "program",
            format!("daogou {}, run format {}", manifest.program_version, manifest.format_version),
        ),
    ];
    let mut tables = Table::new(&["table", "rows", "numbers per row"]);
    for (name, rows, dim) in model.table_specs() {
        tables.rows.push(vec![name.to_string(), count(rows as u64), dim.to_string()]);
    }
    let body = html! {
        dl.facts {
            @for (name, said) in facts.iter().filter(|(_, said)| !said.is_empty()) {
                dt { (name) }
                dd { (said) }
            }
        }
        h3 { "Splits" }
        (splits(config, data).markup())
        h3 { "Questions" }
        (tasks(material).markup())
        h3 { "Features" }
        (features(config))
        details { summary { "Embedding tables" } (tables.markup()) }
        details {
            summary { "The whole configuration" }
            pre tabindex="0" { (without_folders(config).to_toml()) }
        }
    };
    Section { id: "run", title: "What was trained on what", body, charts: Vec::new() }
}

fn log(data: &Dataset) -> String {
    let mut said = format!(
        "{} requests, {} impressions, {} users, {} items",
        count(data.requests.len() as u64),
        count(data.impressions.item.len() as u64),
        count(data.users.ids.len() as u64 - 1),
        count(data.items.ids.len() as u64 - 1),
    );
    if !data.catalogue.categories.is_empty() {
        said += &format!(", {} categories", data.catalogue.categories.len());
    }
    if data.report.sampled_negatives > 0 {
        said += &format!("; {} negatives sampled", count(data.report.sampled_negatives));
    }
    if data.report.bad_rows > 0 {
        said += &format!("; {} bad rows dropped", count(data.report.bad_rows));
    }
    said
}

/// Names of the files of a log, without their folders.
fn files(config: &Config) -> Vec<String> {
    let d = &config.data;
    let all = d.impressions.iter().chain(&d.events).chain(&d.items).chain(&d.users).chain(&d.test);
    all.map(|path| last_part(path)).collect()
}

fn last_part(path: &str) -> String {
    Path::new(path).file_name().map_or_else(String::new, |n| n.to_string_lossy().into_owned())
}

/// A configuration that names files without saying where they were.
fn without_folders(config: &Config) -> Config {
    let mut config = config.clone();
    let d = &mut config.data;
    let lists = [&mut d.impressions, &mut d.events, &mut d.test];
    let paths = lists.into_iter().flatten().chain(&mut d.items).chain(&mut d.users);
    paths.for_each(|path| *path = last_part(path));
    config
}

fn network(config: &Config) -> String {
    let m = &config.model;
    let units = |units: &[usize]| units.iter().map(usize::to_string).collect::<Vec<_>>().join("–");
    match m.kind {
        ModelKind::SharedMlp => format!(
            "one trunk ({}), towers ({}), embeddings of {}",
            units(&m.shared_units),
            units(&m.tower_units),
            m.embedding_dim
        ),
        _ => {
            format!(
                "{}request trunk ({}), impression trunk ({}), towers ({}), embeddings of {}",
                sharing(config),
                units(&m.request_units),
                units(&m.shared_units),
                units(&m.tower_units),
                m.embedding_dim
            )
        }
    }
}

/// How tasks share the trunks; nothing where they share one.
fn sharing(config: &Config) -> String {
    let m = &config.model;
    match m.kind {
        ModelKind::SharedMlp | ModelKind::SharedBottom => String::new(),
        ModelKind::SingleTask => "a network per task: ".into(),
        ModelKind::Mmoe => {
            let gates = if m.shared_gate { "one gate" } else { "a gate per task" };
            format!("{} experts and {gates} for each of: ", m.experts)
        }
        ModelKind::Ple => format!(
            "{} of {} experts per task and {} shared ones for each of: ",
            if m.levels == 1 { "one level".into() } else { format!("{} levels", m.levels) },
            m.task_experts,
            m.shared_experts
        ),
        ModelKind::Aitm => {
            "a trunk per task, the click's handed on to the purchase's, for each of: ".into()
        }
        ModelKind::Stem => format!(
            "embeddings per task and shared ones, {} experts per task and {} shared ones for each of: ",
            m.task_experts, m.shared_experts
        ),
    }
}

fn training(config: &Config, epochs: usize) -> String {
    let t = &config.train;
    let ran = if epochs > 0 { format!("{epochs} of ") } else { String::new() };
    format!(
        "{ran}{} epochs at most, batches of {} impressions, seed {}",
        t.epochs,
        count(t.batch_size as u64),
        t.seed
    )
}

fn weights(config: &Config) -> String {
    let weights = config.lists.objectives.iter().map(|(name, weight)| format!("{name} {weight}"));
    weights.collect::<Vec<_>>().join(", ")
}

/// Requests, impressions, positives and the time that each split covers.
fn splits(config: &Config, data: &Dataset) -> Table {
    let mut table = Table::new(&["split", "requests", "impressions"]);
    let binary: Vec<(usize, &Task)> =
        config.tasks.iter().enumerate().filter(|(_, t)| t.kind == TaskKind::Binary).collect();
    for (_, task) in &binary {
        table.head.push(format!("{} = 1", task.label()));
        table.head.push("rate".into());
    }
    let timed = !data.requests.time.is_empty();
    if timed {
        table.head.extend(["from".into(), "to".into()]);
    }
    let split = &data.split;
    for (name, requests) in
        [("training", &split.train), ("validation", &split.valid), ("test", &split.test)]
    {
        let rows = data.requests.impressions(requests);
        let mut row =
            vec![name.to_string(), count(requests.len() as u64), count(rows.len() as u64)];
        for (index, _) in &binary {
            let labels = |i: usize| {
                let labels = &data.impressions.labels[binary_index(config, i)];
                labels[rows.clone()].iter().map(|&label| u64::from(label)).sum::<u64>()
            };
            let positives = labels(*index);
            let asked = config.sample_space(*index).map(|place| &data.impressions.labels[place]);
            let among = asked.map_or(rows.len() as u64, |asked| {
                asked[rows.clone()].iter().map(|&asked| u64::from(asked)).sum()
            });
            row.push(count(positives));
            row.push(percent((among > 0).then(|| positives as f64 / among as f64), 2));
        }
        if timed {
            row.extend(span(data, requests));
        }
        table.rows.push(row);
    }
    table
}

/// First and last time of some requests, to the minute.
fn span(data: &Dataset, requests: &Range<usize>) -> [String; 2] {
    let times = || data.requests.time[requests.clone()].iter().copied();
    let shown = |time: Option<i64>| time.map_or_else(|| "–".into(), minute);
    [shown(times().min()), shown(times().max())]
}

/// A time to the minute, UTC.
pub(super) fn minute(time: i64) -> String {
    let text = rfc3339(time);
    let minutes = text.rsplit_once(':').map_or(text.as_str(), |(minutes, _)| minutes);
    minutes.replace('T', " ")
}

fn tasks(material: &Material<'_>) -> Table {
    let Material { run, .. } = *material;
    let head = ["task", "question", "trained on", "weight", "calibrated by"];
    let mut table = Table { words: true, ..Table::new(&head) };
    let asked = asked(&run.config);
    for (index, task) in run.config.tasks.iter().enumerate() {
        let named = |name: Option<String>| name.unwrap_or_else(|| "–".into());
        let source = match task.kind {
            kind if kind.is_per_impression() => task.label().to_string(),
            _ => word(&task.source()),
        };
        let objective = match funnel(&run.config, index) {
            Some(_) => format!("{source}, {}", word(&task.objective())),
            None => source,
        };
        let own = run.calibrations.heads.iter().find(|head| head.task == task.name);
        let map = own.map(|head| match head.calibration {
            Calibration::Identity => "left as it is".to_string(),
            Calibration::Shift { b } => format!("shift {}", fixed(Some(b), 3)),
            Calibration::Platt { a, b } => {
                format!("slope {a:.3}, shift {}", fixed(Some(b), 3))
            }
            Calibration::Temperature { a } => format!("slope {a:.3}"),
            Calibration::Isotonic(_) => "isotonic map".to_string(),
        });
        let question = asked.iter().find(|asked| asked.task == index);
        table.rows.push(vec![
            task.name.clone(),
            named(question.map(|asked| format!("{}: {}", asked.short, asked.long))),
            objective,
            task.weight().to_string(),
            named(map),
        ]);
    }
    table
}

/// The name of a choice as the configuration writes it.
fn word(choice: &impl serde::Serialize) -> String {
    match serde_json::to_value(choice) {
        Ok(serde_json::Value::String(name)) => name,
        _ => String::new(),
    }
}

/// Names of features by what they describe.
fn features(config: &Config) -> Markup {
    let sides = [
        (Side::User, "user"),
        (Side::Context, "visit"),
        (Side::Item, "item"),
        (Side::Impression, "user and item"),
    ];
    let kind = |kind: FeatureType| word(&kind);
    html! {
        dl.facts {
            @for (side, name) in sides {
                @let own: Vec<_> = config.features.iter().filter(|f| f.side == side).collect();
                @if !own.is_empty() {
                    dt { (name) }
                    dd {
                        @for (i, feature) in own.iter().enumerate() {
                            @if i > 0 { ", " }
                            (feature.name)
                            @if feature.kind != FeatureType::Id { " (" (kind(feature.kind)) ")" }
                        }
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_lose_their_folders_and_times_their_seconds() {
        let mut config = Config::default();
        config.data.impressions = vec!["/home/me/shop/log-*.csv".into()];
        config.data.items = Some("/home/me/items.csv".into());
        assert_eq!(files(&config), ["log-*.csv", "items.csv"]);
        let text = without_folders(&config).to_toml();
        assert!(!text.contains("/home") && text.contains("log-*.csv"), "{text}");
        assert_eq!(minute(1_519_862_406), "2018-03-01 00:00");
    }
}
