//! AliExpress search logs in their anonymised CSV form: lists by `search_id`, click and conversion, numbered features.
//!
//! The form names neither users nor items nor time. The search stands for the user, and all rows share one pseudo
//! item; every feature belongs to the impression.

use std::path::Path;

use super::source;
use super::target::{Cell, Kind, Staging};
use super::{Format, Imported};
use crate::rows::{Layout, Rows, header};
use crate::schema::{
    Columns, Config, DataConfig, Feature, FeatureType, Missing, Side, SplitConfig, SplitMethod,
    Task, TaskKind,
};
use crate::{Error, Result};

pub(super) const FORMAT: Format = Format {
    name: "aliexpress",
    about: "AliExpress, anonymised CSV: a directory with *train*.csv and perhaps *test*.csv, plain or .gz, \
        or one such file",
    import,
};

fn import(src: &Path, out: &Staging) -> Result<Imported> {
    let files = |what: &str| {
        source::find_all(src, &format!("a *{what}*.csv file"), |name| {
            source::ends(name, ".csv") && name.contains(what)
        })
    };
    let train = files("train")?;
    let test = if src.is_file() { Vec::new() } else { files("test").unwrap_or_default() };
    let features: Vec<String> = header(&train[0], Layout::COMMAS)?
        .into_iter()
        .filter(|name| name.starts_with("categorical_") || name.starts_with("numerical_"))
        .collect();
    if features.is_empty() {
        return Err(Error::file(&train[0], "expected columns `categorical_…` and `numerical_…`"));
    }
    let is_number = |name: &str| name.starts_with("numerical_");
    let names: Vec<&str> = ["search_id", "click", "conversion"]
        .into_iter()
        .chain(features.iter().map(String::as_str))
        .collect();
    let columns: Vec<(&str, Kind)> = [
        ("search_id", Kind::Text),
        ("item_id", Kind::Text),
        ("click", Kind::Int),
        ("purchase", Kind::Int),
    ]
    .into_iter()
    .chain(
        features
            .iter()
            .map(|name| (name.as_str(), if is_number(name) { Kind::Number } else { Kind::Text })),
    )
    .collect();
    let mut tables = Vec::new();
    for (name, files) in [("impressions.parquet", &train), ("test.parquet", &test)] {
        if files.is_empty() {
            continue;
        }
        let mut table = out.table(name, &columns)?;
        for file in files {
            let mut rows = Rows::open(file, Layout::COMMAS, &names)?;
            while rows.advance()? {
                let head = [
                    Ok(Cell::Text(rows.id(0)?)),
                    Ok(Cell::Text("item")),
                    Ok(Cell::Int(rows.label(1)?)),
                    Ok(Cell::Int(rows.label(2)?)),
                ];
                let cells = features.iter().enumerate().map(|(i, name)| {
                    Ok(if is_number(name) {
                        Cell::optional(rows.optional(i + 3)?)
                    } else {
                        Cell::some(rows.text(i + 3))
                    })
                });
                table.push_each(head.into_iter().chain(cells))?;
            }
        }
        tables.push(table.finish()?);
    }
    Ok(Imported {
        config: config(&features, !test.is_empty()),
        header: "AliExpress search logs, anonymised: click and conversion within searches.",
        comments: COMMENTS,
        tables,
        notes: vec![
            "items and users have no ids in this form: lists cannot be built from it".into(),
        ],
    })
}

const COMMENTS: &[(&str, &str)] = &[
    (
        "data.split",
        "There is no time: searches at random for validation; the test file, where given, for the test.",
    ),
    (
        "columns.user",
        "Users have no id here: each search is its own user. Items have none: all rows share one.",
    ),
    ("feature.categorical_1", "Anonymous features, all of the impression."),
];

fn config(features: &[String], has_test: bool) -> Config {
    let split = if has_test { (0.9, 0.1, 0.0) } else { (0.8, 0.1, 0.1) };
    let mut config = Config {
        data: DataConfig {
            impressions: vec!["impressions.parquet".into()],
            test: if has_test { vec!["test.parquet".into()] } else { Vec::new() },
            split: SplitConfig {
                method: SplitMethod::Random,
                train: split.0,
                valid: split.1,
                test: split.2,
                ..SplitConfig::default()
            },
            ..DataConfig::default()
        },
        columns: Columns {
            user: "search_id".into(),
            request: Some("search_id".into()),
            ..Columns::default()
        },
        features: features
            .iter()
            .map(|name| {
                if name.starts_with("numerical_") {
                    let kind = FeatureType::Number;
                    Feature {
                        missing: Some(Missing::Value(0.0)),
                        ..Feature::new(name, Side::Impression, kind)
                    }
                } else {
                    Feature::new(name, Side::Impression, FeatureType::Id)
                }
            })
            .collect(),
        tasks: ["click", "purchase"].map(|name| Task::new(name, TaskKind::Binary)).into(),
        ..Config::default()
    };
    config.model.interaction = false;
    config.model.position_term = false;
    config
}

#[cfg(test)]
mod tests {
    use super::super::tests::{imported, real, shared, write};
    use crate::importers::import;

    const TRAIN: &str = "search_id,categorical_1,numerical_1,click,conversion\n7,3,0.5,1,0\n7,4,,0,0\n8,3,1.5,1,1\n";

    #[test]
    fn searches_become_requests() {
        let (_dir, out) = imported("aliexpress", &[("a_train.csv", TRAIN), ("a_test.csv", TRAIN)]);
        let columns = ["search_id", "item_id", "click", "purchase", "categorical_1", "numerical_1"];
        assert_eq!(
            out.rows("impressions.parquet", &columns),
            ["7 item 1 0 3 0.5", "7 item 0 0 4 ", "8 item 1 1 3 1.5"]
        );
        assert_eq!(out.config.data.test, ["test.parquet"]);
    }

    #[test]
    fn bad_input_is_named() {
        let dir = write(&[("train.csv", &format!("{TRAIN}9,3,inf,1,1\n"))]);
        let error =
            import("aliexpress", dir.path(), &dir.path().join("out")).unwrap_err().to_string();
        assert!(
            error.contains("train.csv:5: column `numerical_1`: expected a number, got `inf`"),
            "{error}"
        );
    }

    #[test]
    fn real_sample_is_read() {
        let Some(src) = shared("format-samples") else { return };
        let (_dir, out) = real("aliexpress", &src.join("aliexpress"));
        assert_eq!(out.summary.tables.iter().map(|t| t.rows).collect::<Vec<_>>(), [100, 20]);
        assert_eq!(out.config.features.len(), 16 + 63);
    }
}
