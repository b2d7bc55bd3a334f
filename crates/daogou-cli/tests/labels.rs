//! Tasks whose labels are numbers or classes, through the binary: what is printed, and what is refused.

mod binary;

use std::fs;
use std::path::Path;

use binary::{daogou, done, prepared, refused};
use serde_json::Value;

/// The small shop with two columns more, and a task for each.
fn with_labels() -> tempfile::TempDir {
    let directory = prepared();
    let d = directory.path();
    let text = fs::read_to_string(d.join("shop.csv")).unwrap();
    let mut lines = text.lines();
    let mut labelled = format!("{},spend,reason\n", lines.next().unwrap());
    for (i, line) in lines.enumerate() {
        let cells: Vec<&str> = line.split(',').collect();
        let price: u32 = cells[3].parse().unwrap();
        let reason = if cells[2] == "b0" { "cheap" } else { "nice" };
        let spend =
            if cells[4] == "1" && i % 9 > 0 { (price / 10).to_string() } else { String::new() };
        labelled += &format!("{line},{spend},{reason}\n");
    }
    fs::write(d.join("shop.csv"), labelled).unwrap();
    let config = fs::read_to_string(d.join("daogou.toml")).unwrap();
    let tasks = "\n[[task]]\nname = \"spend\"\nkind = \"regression\"\ntransform = \"log1p\"\n\
                 sample_space = \"clicked\"\n\n[[task]]\nname = \"reason\"\nkind = \"multi_class\"\n";
    fs::write(d.join("daogou.toml"), config + tasks).unwrap();
    directory
}

#[test]
fn answers_stand_in_every_output() {
    let directory = with_labels();
    let d = directory.path();
    assert!(done(d, &["validate", "daogou.toml"]).contains("0 errors"));
    done(d, &["train", "daogou.toml", "--run-dir", "run"]);
    let table = done(d, &["eval", "run", "--lists", "0"]);
    for part in ["spend", "RMSE", "reason", "accuracy", "2 classes", "· constant"] {
        assert!(table.contains(part), "{table}");
    }
    let report: Value =
        serde_json::from_str(&done(d, &["eval", "run", "--lists", "0", "--format", "json"]))
            .unwrap();
    for (task, keys) in [
        ("spend", &["rmse", "mae", "r2", "spearman", "n", "intervals"][..]),
        ("reason", &["ce", "ce_normalised", "accuracy", "auc", "classes", "n", "intervals"]),
    ] {
        for key in keys {
            assert!(report["tasks"][task].get(key).is_some(), "{task} {key}: {report}");
            assert!(report["baselines"]["constant"][task].get(key).is_some(), "{task} {key}");
        }
    }
    done(d, &["predict", "run", "--input", "shop.csv", "--output", "scored.csv"]);
    let scored = fs::read_to_string(d.join("scored.csv")).unwrap();
    let header = scored.lines().next().unwrap();
    let new: Vec<&str> = header.split(',').skip(9).collect();
    let (own, classes) = (&new[..new.len() - 2], &new[new.len() - 2..]);
    assert!(own.contains(&"p_click") && own.contains(&"p_spend"), "{header}");
    assert!(classes.contains(&"p_reason_cheap") && classes.contains(&"p_reason_nice"), "{header}");
    let inspected = done(d, &["inspect", "run"]);
    for part in ["regression", "ln(1 + label) of mean", "multi_class", "2 classes"] {
        assert!(inspected.contains(part), "{inspected}");
    }
    let seen: Value =
        serde_json::from_str(&done(d, &["inspect", "run", "--format", "json"])).unwrap();
    assert_eq!(seen["labels"]["reason"]["classes"].as_array().unwrap().len(), 2);
    assert!(seen["labels"]["spend"]["number"]["sd"].as_f64().unwrap() > 0.0);
    let list = done(d, &["recommend", "run", "--user", "u1", "--format", "json"]);
    let list: Value = serde_json::from_str(&list).unwrap();
    assert!(list["items"][0]["heads"].get("spend").is_none(), "lists show yes-or-no tasks");
    done(d, &["report", "run", "--lists", "3"]);
    let page = fs::read_to_string(d.join("run/report.html")).unwrap();
    assert!(page.contains("RMSE") && page.contains("one of several classes"));
    refused(
        d,
        &["recommend", "run", "--user", "u1", "--objectives", "spend=1"],
        &["spend", "objectives"],
    );
}

/// Errors of `validate`: exit code 1, all of `parts` said.
fn found(d: &Path, parts: &[&str]) {
    let output = daogou(d, &["validate", "daogou.toml"]);
    let said = String::from_utf8_lossy(&output.stdout);
    assert_ne!(output.status.code(), Some(0), "{said}");
    for part in parts {
        assert!(said.contains(part), "expected `{part}` in: {said}");
    }
}

#[test]
fn bad_labels_get_a_sentence() {
    let directory = with_labels();
    let d = directory.path();
    let good = fs::read_to_string(d.join("shop.csv")).unwrap();
    let train = ["train", "daogou.toml", "--run-dir", "run"];
    let row = |end: &str| format!("{good}u1,p1,b1,5,1,0,c1,{end}\n");
    let changed = |column: usize, to: &str| {
        let lines = good.lines().enumerate().map(|(i, line)| {
            let mut cells: Vec<&str> = line.split(',').collect();
            if i > 0 {
                cells[column] = to;
            }
            cells.join(",") + "\n"
        });
        lines.collect::<String>()
    };
    // What is wrong, what training says, and what validation says of it.
    for (text, trained, validated) in [
        (
            row("much,x"),
            &["shop.csv:242", "`spend`", "finite number", "`much`"][..],
            &["shop.csv:242", "`spend`", "much"][..],
        ),
        (
            row("-1,x"),
            &["shop.csv:242", "`spend`", "at least 0", "log1p"],
            &["shop.csv:242", "at least 0"],
        ),
        (row("nan,x"), &["shop.csv:242", "`spend`", "finite number"], &["shop.csv:242"]),
        (
            changed(7, "30"),
            &["task `spend`", "`spend` = 30"],
            &["task `spend`", "the same in all", "`click` = 1"],
        ),
        (
            changed(7, ""),
            &["task `spend`", "no training impression with `click` = 1"],
            &["task `spend`", "is empty"],
        ),
        (
            changed(8, "one"),
            &["task `reason`", "at least 2"],
            &["task `reason`", "the same in all"],
        ),
        (
            good.replacen(",spend,", ",spent,", 1),
            &["expected a column `spend`"],
            &["task.spend.label", "did you mean `spent`"],
        ),
    ] {
        fs::write(d.join("shop.csv"), text).unwrap();
        refused(d, &train, trained);
        assert!(
            !d.join("run").join("manifest.json").exists(),
            "something was written: {trained:?}"
        );
        found(d, validated);
    }
    // A label that is an input as well.
    fs::write(d.join("shop.csv"), &good).unwrap();
    let config = fs::read_to_string(d.join("daogou.toml")).unwrap();
    let leak = "\n[[feature]]\nname = \"reason\"\nside = \"impression\"\ntype = \"id\"\n";
    fs::write(d.join("daogou.toml"), format!("{config}{leak}")).unwrap();
    found(d, &["feature.reason.column", "label of task `reason`"]);
    let objective =
        config.replacen("kind = \"multi_class\"", "kind = \"multi_class\"\nweight = -1.0", 1);
    fs::write(d.join("daogou.toml"), objective).unwrap();
    refused(d, &train, &["task.reason.weight", "at least 0"]);
}
