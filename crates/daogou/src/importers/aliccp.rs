//! Ali-CCP in its flat CSV form: click and purchase on one impression a row, features named by their field numbers.
//!
//! The form has neither time nor lists: each row is its own request, and the files' names say what they are for.

use std::path::Path;

use super::source;
use super::target::{Cell, Kind, Staging};
use super::{Format, Imported};
use crate::Result;
use crate::rows::{Layout, Rows};
use crate::schema::{
    Columns, Config, DataConfig, Feature, FeatureType, LabelSource, Missing, Side, SplitConfig,
    SplitMethod, Task, TaskKind,
};

pub(super) const FORMAT: Format = Format {
    name: "aliccp",
    about: "Ali-CCP, flat CSV: a directory with *train*.csv and perhaps *val*.csv and *test*.csv, plain or .gz, \
        or one such file",
    import,
};

/// Source column, our name, what it describes. Fields by the publisher's numbers.
const FIELDS: [(&str, &str, Side); 23] = [
    ("101", "user_id", Side::User),
    ("121", "user_segment", Side::User),
    ("122", "user_group", Side::User),
    ("124", "gender", Side::User),
    ("125", "age", Side::User),
    ("126", "consumption_1", Side::User),
    ("127", "consumption_2", Side::User),
    ("128", "occupied", Side::User),
    ("129", "geography", Side::User),
    ("205", "item_id", Side::Item),
    ("206", "category", Side::Item),
    ("207", "shop", Side::Item),
    ("210", "intention", Side::Item),
    ("216", "brand", Side::Item),
    ("508", "cross_category", Side::Impression),
    ("509", "cross_shop", Side::Impression),
    ("702", "cross_brand", Side::Impression),
    ("853", "cross_intention", Side::Impression),
    ("301", "scene", Side::Context),
    ("109_14", "recent_category", Side::Context),
    ("110_14", "recent_shop", Side::Context),
    ("127_14", "recent_brand", Side::Context),
    ("150_14", "recent_intention", Side::Context),
];

/// Weights of the fields above with several values.
const WEIGHTS: [(&str, &str, Side); 8] = [
    ("D109_14", "recent_category_weight", Side::Context),
    ("D110_14", "recent_shop_weight", Side::Context),
    ("D127_14", "recent_brand_weight", Side::Context),
    ("D150_14", "recent_intention_weight", Side::Context),
    ("D508", "cross_category_weight", Side::Impression),
    ("D509", "cross_shop_weight", Side::Impression),
    ("D702", "cross_brand_weight", Side::Impression),
    ("D853", "cross_intention_weight", Side::Impression),
];

fn import(src: &Path, out: &Staging) -> Result<Imported> {
    let files = |what: &str| {
        source::find_all(src, &format!("a *{what}*.csv file"), |name| {
            source::ends(name, ".csv") && name.contains(what)
        })
    };
    let train = files("train")?;
    let (valid, test) = if src.is_file() {
        (Vec::new(), Vec::new())
    } else {
        (files("val").unwrap_or_default(), files("test").unwrap_or_default())
    };

    let names: Vec<&str> = ["click", "purchase"]
        .into_iter()
        .chain(FIELDS.iter().chain(&WEIGHTS).map(|field| field.0))
        .collect();
    let columns: Vec<(&str, Kind)> = [("click", Kind::Int), ("purchase", Kind::Int)]
        .into_iter()
        .chain(FIELDS.iter().map(|field| (field.1, Kind::Text)))
        .chain(WEIGHTS.iter().map(|field| (field.1, Kind::Number)))
        .collect();
    let write = |name: &str, parts: [&[std::path::PathBuf]; 2]| -> Result<_> {
        let mut table = out.table(name, &columns)?;
        let mut counts = [0, 0];
        for (part, count) in parts.into_iter().zip(&mut counts) {
            let before = table.rows();
            for file in part {
                let mut rows = Rows::open(file, Layout::COMMAS, &names)?;
                while rows.advance()? {
                    table.push_each(columns.iter().enumerate().map(|(i, (_, kind))| {
                        Ok(match kind {
                            Kind::Int => Cell::Int(rows.label(i)?),
                            Kind::Number => Cell::optional(rows.optional(i)?),
                            Kind::Text => Cell::some(rows.text(i)),
                        })
                    }))?;
                }
            }
            *count = table.rows() - before;
        }
        Ok((table.finish()?, counts))
    };
    let (impressions, [train_rows, valid_rows]) = write("impressions.parquet", [&train, &valid])?;
    let mut tables = vec![impressions];
    if !test.is_empty() {
        tables.push(write("test.parquet", [&test, &[]])?.0);
    }
    let split = match (valid_rows > 0, !test.is_empty()) {
        (true, true) => {
            let train = train_rows as f64 / (train_rows + valid_rows) as f64;
            let method = SplitMethod::RowOrder;
            SplitConfig { method, train, valid: 1.0 - train, test: 0.0, ..SplitConfig::default() }
        }
        (false, true) => {
            let method = SplitMethod::Random;
            SplitConfig { method, train: 0.9, valid: 0.1, test: 0.0, ..SplitConfig::default() }
        }
        (_, false) => SplitConfig { method: SplitMethod::Random, ..SplitConfig::default() },
    };
    Ok(Imported {
        config: config(split, !test.is_empty()),
        header: "Ali-CCP, flat form: click and purchase on single impressions.",
        comments: COMMENTS,
        tables,
        notes: Vec::new(),
    })
}

const COMMENTS: &[(&str, &str)] = &[
    (
        "data.split",
        "There is no time. With files for validation and test, the rows' order keeps them apart.",
    ),
    ("feature.user_segment", "Profile of the user: the publisher's fields 121 to 129."),
    (
        "feature.cross_category",
        "How user and item met before: fields 508, 509, 702, 853 and their weights.",
    ),
    (
        "feature.recent_category",
        "What the user did in the last 14 days: fields 109_14 to 150_14 and their weights.",
    ),
    ("task.diversity", "Without time the label is the row's own category."),
];

fn config(split: SplitConfig, has_test: bool) -> Config {
    let ids = FIELDS.iter().map(|(_, name, side)| {
        let kind = FeatureType::Id;
        Feature { min_count: Some(2), ..Feature::new(*name, *side, kind) }
    });
    let weights = WEIGHTS.iter().map(|(_, name, side)| Feature {
        missing: Some(Missing::Value(0.0)),
        ..Feature::new(*name, *side, FeatureType::Number)
    });
    let mut config = Config {
        data: DataConfig {
            impressions: vec!["impressions.parquet".into()],
            test: if has_test { vec!["test.parquet".into()] } else { Vec::new() },
            split,
            ..DataConfig::default()
        },
        columns: Columns { category: Some("category".into()), ..Columns::default() },
        features: ids.chain(weights).collect(),
        tasks: vec![
            Task::new("click", TaskKind::Binary),
            Task::new("purchase", TaskKind::Binary),
            Task {
                source: Some(LabelSource::Row),
                ..Task::new("diversity", TaskKind::Distribution)
            },
        ],
        ..Config::default()
    };
    config.model.position_term = false;
    config
}

#[cfg(test)]
mod tests {
    use super::super::tests::{imported, real, shared, write};
    use super::*;
    use crate::importers::import;

    fn csv(rows: &[(&str, &str)]) -> String {
        let fields = || FIELDS.iter().chain(&WEIGHTS);
        let mut text =
            format!("click,purchase,{}\n", fields().map(|f| f.0).collect::<Vec<_>>().join(","));
        for (labels, item) in rows {
            let cells = fields().map(|f| match f.0 {
                "205" => (*item).to_string(),
                name if name.starts_with('D') => "0.25".into(),
                name => format!("v{name}"),
            });
            text.extend([labels, ",", &cells.collect::<Vec<_>>().join(","), "\n"]);
        }
        text
    }

    #[test]
    fn files_keep_their_parts() {
        let train = csv(&[("0,0", "i1"), ("1,1", "i2"), ("1,0", "i3")]);
        let files = [
            ("a_train.csv", train.clone()),
            ("a_val.csv", csv(&[("0,0", "i4")])),
            ("a_test.csv", csv(&[("1,0", "i5")])),
        ];
        let files: Vec<_> = files.iter().map(|(name, text)| (*name, text.as_str())).collect();
        let columns = ["item_id", "user_id", "click", "purchase", "cross_shop_weight"];
        let (_dir, out) = imported("aliccp", &files);
        assert_eq!(
            out.rows("impressions.parquet", &columns),
            ["i1 v101 0 0 0.25", "i2 v101 1 1 0.25", "i3 v101 1 0 0.25", "i4 v101 0 0 0.25"]
        );
        assert_eq!(out.rows("test.parquet", &columns), ["i5 v101 1 0 0.25"]);
        assert_eq!(
            (out.config.data.split.method, out.config.data.split.train),
            (SplitMethod::RowOrder, 0.75)
        );

        let (_dir, out) = imported("aliccp", &files[..1]);
        assert_eq!(
            (out.config.data.split.method, out.config.data.test.len()),
            (SplitMethod::Random, 0)
        );
    }

    #[test]
    fn bad_input_is_named() {
        let dir = write(&[("train.csv", &csv(&[("0,0", "i"), ("0.5,0", "i")]))]);
        let error = import("aliccp", dir.path(), &dir.path().join("out")).unwrap_err().to_string();
        assert!(
            error.contains("train.csv:3: column `click`: expected 0 or 1, got `0.5`"),
            "{error}"
        );
        let dir = write(&[("train.csv", "click,101\n0,1\n")]);
        let error = import("aliccp", dir.path(), &dir.path().join("out")).unwrap_err().to_string();
        assert!(error.contains("expected a column `purchase`, found click, 101"), "{error}");
    }

    #[test]
    fn real_sample_is_read() {
        let Some(src) = shared("format-samples") else { return };
        let (_dir, out) = real("aliccp", &src.join("aliccp"));
        assert_eq!(out.summary.tables.iter().map(|t| t.rows).collect::<Vec<_>>(), [150, 50]);
    }
}
