//! UCI Census-Income (KDD), nominal columns: one person a row, two questions, the original split into two files.
//!
//! There is no list and no funnel here: every person is one user shown one pseudo item. Both label columns are kept
//! out of the features; the instance weight of the original files is not in the nominal pair.

use std::path::Path;

use super::source;
use super::target::{Cell, Kind, Staging};
use super::{Format, Imported};
use crate::rows::{Layout, Rows, header};
use crate::schema::{
    Config, DataConfig, Feature, FeatureType, Side, SplitConfig, SplitMethod, Task, TaskKind,
};
use crate::{Error, Result};

pub(super) const FORMAT: Format = Format {
    name: "census-income",
    about: "UCI Census-Income (KDD): a directory with train_nominal.csv and test_nominal.csv, plain or .gz",
    import,
};

/// Columns that are labels.
const LABELS: [&str; 2] = ["income_50k", "marital_stat"];
/// A column of the original files that says how many people a row stands for; UCI: not to be used in classifiers.
const WEIGHT: &str = "instance_weight";

fn import(src: &Path, out: &Staging) -> Result<Imported> {
    let part = |stem: &str| source::find(src, stem, |name| source::is(name, stem));
    let (train, test) = (part("train_nominal.csv")?, part("test_nominal.csv")?);
    let features: Vec<String> = header(&train, Layout::COMMAS)?
        .into_iter()
        .filter(|name| !LABELS.contains(&name.as_str()) && name != WEIGHT)
        .collect();
    if let Some(name) = features.iter().find(|name| matches!(name.as_str(), "user_id" | "item_id"))
    {
        return Err(Error::file(&train, format!("expected no column `{name}`")));
    }
    let columns: Vec<&str> =
        LABELS.into_iter().chain(features.iter().map(String::as_str)).collect();

    let described: Vec<(&str, Kind)> = [("user_id", Kind::Text)]
        .into_iter()
        .chain(features.iter().map(|name| (name.as_str(), Kind::Text)))
        .collect();
    let mut users = out.table("users.parquet", &described)?;
    let mut tables = Vec::new();
    for (file, name, prefix) in
        [(&train, "impressions.parquet", "train"), (&test, "test.parquet", "test")]
    {
        let mut table = out.table(
            name,
            &[
                ("user_id", Kind::Text),
                ("item_id", Kind::Text),
                ("income", Kind::Int),
                ("never_married", Kind::Int),
            ],
        )?;
        let mut rows = Rows::open(file, Layout::COMMAS, &columns)?;
        while rows.advance()? {
            let user = format!("{prefix}-{}", table.rows() + 1);
            let income = match rows.text(0).trim() {
                "50000+." => 1,
                "- 50000." | "--50000." | "-50000." => 0,
                _ => return Err(rows.cell(0, "`50000+.` or `- 50000.`")),
            };
            let single = matches!(rows.id(1)?.trim(), "Never-married" | "Never married");
            table.push(&[
                Cell::Text(&user),
                Cell::Text("person"),
                Cell::Int(income),
                Cell::Int(single.into()),
            ])?;
            let cells = (2..columns.len()).map(|i| Ok(Cell::some(rows.text(i).trim())));
            users.push_each([Ok(Cell::Text(&user))].into_iter().chain(cells))?;
        }
        tables.push(table.finish()?);
    }
    tables.push(users.finish()?);
    Ok(Imported {
        config: config(&features),
        header: "UCI Census-Income (KDD), nominal columns: two questions about one person a row.",
        comments: COMMENTS,
        tables,
        notes: Vec::new(),
    })
}

const COMMENTS: &[(&str, &str)] = &[
    (
        "data.split",
        "The original test file is the test; a tenth of the train file, at random, validates. There is no time.",
    ),
    ("columns.user", "Each row is a person of its own, shown the one pseudo item `person`."),
    ("task.income", "Earns more than 50,000 a year."),
];

fn config(features: &[String]) -> Config {
    let mut config = Config {
        data: DataConfig {
            impressions: vec!["impressions.parquet".into()],
            users: Some("users.parquet".into()),
            test: vec!["test.parquet".into()],
            split: SplitConfig {
                method: SplitMethod::Random,
                train: 0.9,
                valid: 0.1,
                test: 0.0,
                ..SplitConfig::default()
            },
            ..DataConfig::default()
        },
        features: features
            .iter()
            .map(|name| Feature::new(name, Side::User, FeatureType::Id))
            .collect(),
        tasks: ["income", "never_married"].map(|name| Task::new(name, TaskKind::Binary)).into(),
        ..Config::default()
    };
    config.model.embedding_dim = 8;
    config.model.interaction = false;
    config.model.position_term = false;
    config
}

#[cfg(test)]
mod tests {
    use super::super::tests::{imported, real, shared, write};
    use crate::importers::import;

    const HEADER: &str = "class_worker,marital_stat,instance_weight,sex,income_50k\n";

    #[test]
    fn people_become_users_and_labels_leave_the_features() {
        let train = format!(
            "{HEADER}Private,Never-married,7.5,Female,--50000.\n?,Divorced,1,Male,50000+.\n"
        );
        let test = format!("{HEADER}Private,Widowed,1,Male,--50000.\n");
        let (_dir, out) = imported(
            "census-income",
            &[("train_nominal.csv", &train), ("test_nominal.csv", &test)],
        );
        let columns = ["user_id", "item_id", "income", "never_married"];
        assert_eq!(
            out.rows("impressions.parquet", &columns),
            ["train-1 person 0 1", "train-2 person 1 0"]
        );
        assert_eq!(out.rows("test.parquet", &columns), ["test-1 person 0 0"]);
        assert_eq!(
            out.rows("users.parquet", &["user_id", "class_worker", "sex"]),
            ["train-1 Private Female", "train-2 ? Male", "test-1 Private Male"]
        );
        let names: Vec<_> =
            out.config.features.iter().map(|feature| feature.name.as_str()).collect();
        assert_eq!(names, ["class_worker", "sex"]);
    }

    #[test]
    fn bad_input_is_named() {
        let dir = write(&[
            ("train_nominal.csv", &format!("{HEADER}a,b,1,c,rich\n")),
            ("test_nominal.csv", HEADER),
        ]);
        let error =
            import("census-income", dir.path(), &dir.path().join("out")).unwrap_err().to_string();
        assert!(error.contains("train_nominal.csv:2: column `income_50k`"), "{error}");
    }

    #[test]
    fn real_files_have_their_known_counts() {
        let Some(src) = shared("census-income") else { return };
        let (_dir, out) = real("census-income", &src);
        let rows = |table: usize| out.summary.tables[table].rows;
        assert_eq!((rows(0), rows(1), rows(2)), (199_523, 99_762, 299_285));
        assert_eq!(out.config.features.len(), 32);
        let share = |column: &str| {
            let values = out.rows("impressions.parquet", &[column]);
            100.0 * values.iter().filter(|v| *v == "1").count() as f64 / values.len() as f64
        };
        assert_eq!(format!("{:.2} {:.1}", share("income"), share("never_married")), "6.21 43.3");
    }
}
