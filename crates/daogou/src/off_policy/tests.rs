//! Policies on a small trained run: what comes out, and what is refused.

use std::fs;
use std::path::Path;
use std::sync::LazyLock;

use super::*;
use crate::schema::Config;
use crate::train::{Options, train};

struct Shop {
    data: Dataset,
    run: TrainedRun,
}

static SHOP: LazyLock<Shop> = LazyLock::new(|| {
    let directory = tempfile::tempdir().unwrap();
    let options =
        crate::simulate::Options { users: 80, items: 150, requests: 1500, ..Default::default() };
    crate::simulate::run(&options, directory.path(), &mut |_| {}).unwrap();
    let mut config = Config::read(&directory.path().join("daogou.toml")).unwrap();
    config.tasks.retain(|task| task.role().is_some());
    config.features.retain(|feature| feature.name != "past");
    config.train.epochs = 1;
    let data = Dataset::load(&config, directory.path()).unwrap();
    let trained = train(&config, &data, &Options::default(), &mut ()).unwrap();
    let run = TrainedRun::new(&config, trained, &data);
    Shop { data, run }
});

fn few() -> PolicyOptions {
    let bootstrap = BootstrapOptions { replicates: 40, ..BootstrapOptions::default() };
    PolicyOptions { bootstrap, ..PolicyOptions::default() }
}

fn judge(data: &Dataset, policies: &[&str], options: &PolicyOptions) -> Result<PolicyEvaluation> {
    let parsed = |text: &&str| Ok(((*text).to_string(), text.parse()?));
    let policies = policies.iter().map(parsed).collect::<Result<Vec<_>>>()?;
    evaluate_policies(&SHOP.run, data, &data.split.test, &policies, options)
}

fn refused(data: &Dataset, policies: &[&str], parts: &[&str]) {
    let error = judge(data, policies, &few()).unwrap_err();
    let message = format!("{error} {}", error.hint().unwrap_or_default());
    for part in parts {
        assert!(message.contains(part), "expected `{part}` in: {message}");
    }
}

fn note_of<'a>(evaluation: &'a PolicyEvaluation, part: &str) -> &'a str {
    let all = || evaluation.notes.iter().chain(&evaluation.warnings);
    all()
        .find(|note| note.contains(part))
        .unwrap_or_else(|| panic!("no `{part}` in {evaluation:?}"))
}

#[test]
fn what_comes_out() {
    let names = ["click", "click=1,purchase=3", "popularity", "random"];
    let found = judge(&SHOP.data, &names, &few()).unwrap();
    assert_eq!((found.lists, found.propensities.as_str()), (150, "logged"));
    assert_eq!(found.examination_by_place.len(), 10);
    assert_eq!(found.clip, 150f64.sqrt());
    let logged = &found.policies[0];
    let clicks: f64 = {
        let rows = SHOP.data.requests.impressions(&SHOP.data.split.test);
        SHOP.data.impressions.labels[0][rows].iter().map(|&y| f64::from(y)).sum()
    };
    let mean = clicks / 150.0;
    for value in [logged.clicks.logged, logged.clicks.ips, logged.clicks.snips, logged.clicks.dr] {
        assert!((value.unwrap() - mean).abs() < 1e-12);
    }
    assert_eq!(found.policies.len(), 5);
    for (report, name) in found.policies[1..].iter().zip(names) {
        assert_eq!((report.policy.as_str(), report.kind.as_str()), (name, "order"));
        assert!(report.orders.is_some() && report.revenue.is_some());
        assert!(report.clicks.direct.unwrap() > 0.0);
        assert!(report.clicks.intervals.contains_key("snips"));
        assert!(report.weights.largest.unwrap() < 10.0);
    }
    let text = table::table(&found);
    assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
    let json = serde_json::to_string(&found).unwrap();
    assert_eq!(serde_json::from_str::<PolicyEvaluation>(&json).unwrap(), found);
    assert_eq!(judge(&SHOP.data, &names, &few()).unwrap(), found, "the same again");
}

#[test]
fn a_log_without_propensities_is_evaluated_and_says_so() {
    let with = judge(&SHOP.data, &["random"], &few()).unwrap();
    let mut data = SHOP.data.clone();
    data.impressions.propensity.clear();
    let without = judge(&data, &["random"], &few()).unwrap();
    assert_eq!(without.propensities, "estimated");
    note_of(&without, "order of its lists was estimated");
    let (a, b) = (with.policies[1].clicks.dr.unwrap(), without.policies[1].clicks.dr.unwrap());
    assert!((a / b - 1.0).abs() < 0.15, "{a} with, {b} without");
    refused(&data, &["file:x.csv"], &["columns.propensity", "x.csv", "other orders"]);
}

/// Item and probability, as a policy file has them.
type Row = (String, f32);
type Rows = Vec<Row>;

#[test]
fn a_policy_file_is_weighed_row_by_row() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("policy.csv");
    let policy = format!("file:{}", path.display());
    let data = &SHOP.data;
    let mut rows: Rows = vec![Default::default(); data.rows.len()];
    for (i, &row) in data.rows.iter().enumerate() {
        let item = data.items.ids[data.impressions.item[i] as usize].clone();
        rows[row as usize] = (item, data.impressions.propensity[i]);
    }
    let write = |rows: &[Row], path: &Path| {
        let lines = rows.iter().map(|(item, p)| format!("{item},{p}\n"));
        let text = "item_id,target_propensity\n".to_string() + &lines.collect::<String>();
        fs::write(path, text).unwrap();
    };
    // The logged policy itself: every weight is 1.
    write(&rows, &path);
    let found = judge(data, &[&policy], &few()).unwrap();
    let (logged, same) = (&found.policies[0].clicks, &found.policies[1].clicks);
    for value in [same.ips, same.snips, same.dr] {
        // The log keeps propensities in single precision.
        assert!((value.unwrap() / logged.logged.unwrap() - 1.0).abs() < 1e-6);
    }
    assert_eq!(same.direct, None, "the model cannot know what else would be shown");
    let weights = &found.policies[1].weights;
    assert!((weights.effective.unwrap() / weights.n as f64 - 1.0).abs() < 1e-6);

    // A policy that never shows what was shown leaves nothing to judge by.
    let never: Rows = rows.iter().map(|(item, _)| (item.clone(), 0.0)).collect();
    write(&never, &path);
    let found = judge(data, &[&policy], &few()).unwrap();
    assert_eq!((found.policies[1].clicks.ips, found.policies[1].clicks.snips), (Some(0.0), None));
    note_of(&found, "do not decide by these numbers");
    note_of(&found, "add up to 0.00");

    let bad = |change: fn(&mut Rows), parts: &[&str]| {
        let mut rows = rows.clone();
        change(&mut rows);
        write(&rows, &path);
        refused(data, &[&policy], parts);
    };
    bad(|rows| rows[3].1 = 1.5, &["policy.csv:5", "target_propensity", "between 0 and 1", "1.5"]);
    bad(|rows| rows[3].1 = f32::NAN, &["policy.csv:5", "between 0 and 1", "NaN"]);
    bad(|rows| drop(rows.pop()), &["expected the 15000 rows of the log, got 14999"]);
    bad(|rows| rows[7].0 = "other".into(), &["policy.csv:9", "item_id", "as in this row"]);
    fs::write(&path, "item_id,probability\n").unwrap();
    refused(data, &[&policy], &["expected a column `target_propensity`"]);
    refused(data, &["file:nowhere.csv"], &["nowhere.csv"]);
}

#[test]
fn bad_input_gets_a_sentence() {
    let data = &SHOP.data;
    let first = data.requests.impressions(&data.split.test).start;
    refused(data, &["best"], &["policy `best` is not known", "popularity"]);
    for value in [0.0, -0.25, 1.5, f32::NAN, f32::INFINITY] {
        let mut data = data.clone();
        data.impressions.propensity[first] = value;
        refused(&data, &["click"], &["column `propensity`", "above 0", &value.to_string(), "row "]);
    }
    let mut certain = data.clone();
    let top = (first..first + 10).find(|&i| data.impressions.position[i] == 1).unwrap();
    certain.impressions.propensity[top] = 1.0;
    refused(&certain, &["click"], &["less than 1", "shown below"]);
    let mut without = data.clone();
    without.impressions.position.clear();
    refused(&without, &["click"], &["columns.position", "got none"]);
    let mut unlabelled = data.clone();
    unlabelled.impressions.labels.clear();
    refused(&unlabelled, &["click"], &["click task and its labels"]);
    let mut gaps = data.clone();
    gaps.impressions.position.iter_mut().for_each(|place| *place += 1);
    refused(&gaps, &["click"], &["expected lists with places 1, 2", "150 with unknown"]);
    gaps = data.clone();
    gaps.impressions.position[first] = 77;
    let found = judge(&gaps, &["click"], &few()).unwrap();
    assert_eq!(found.lists, 149);
    note_of(&found, "1 list left out: places unknown");

    for clip in [0.5, -1.0, f64::NAN, f64::INFINITY] {
        let message = judge(data, &["click"], &PolicyOptions { clip: Some(clip), ..few() })
            .unwrap_err()
            .to_string();
        assert!(message.contains("clip: expected a number of at least 1"), "{message}");
    }
    for text in ["power", "power:-1", "power:x", "guessed"] {
        let message = text.parse::<ExaminationSource>().unwrap_err().to_string();
        assert!(message.contains("expected `estimated` or `power:P`"), "{message}");
    }
}

#[test]
fn no_clicks_and_one_person_are_no_crash() {
    let mut data = SHOP.data.clone();
    data.impressions.labels.iter_mut().for_each(|labels| labels.fill(0));
    refused(&data, &["click"], &["expected clicks at every place", "--examination power:0.5"]);
    let given = PolicyOptions { examination: "power:0.5".parse().unwrap(), ..few() };
    let found = judge(&data, &["click", "random"], &given).unwrap();
    assert_eq!(
        (found.policies[1].clicks.ips, found.policies[1].clicks.snips),
        (Some(0.0), Some(0.0))
    );
    assert_eq!(found.examination, "given");
    assert!((found.examination_by_place[3] - 0.5).abs() < 1e-12);

    let mut data = SHOP.data.clone();
    data.requests.user.fill(1);
    let found = judge(&data, &["click"], &given).unwrap();
    assert!(found.policies[1].clicks.intervals.is_empty());
    note_of(&found, "all lists are of one person");
}

#[test]
fn the_first_lists_of_a_log_fit_themselves_and_say_so() {
    let data = &SHOP.data;
    let click = vec![("click".to_string(), "click".parse().unwrap())];
    let found = evaluate_policies(&SHOP.run, data, &data.split.train, &click, &few()).unwrap();
    note_of(&found, "fitted on the measured lists");
    let found = evaluate_policies(&SHOP.run, data, &data.split.valid, &click, &few()).unwrap();
    note_of(&found, "from 1200 lists");
    assert!(found.notes.iter().all(|note| !note.contains("measured lists")));
}
