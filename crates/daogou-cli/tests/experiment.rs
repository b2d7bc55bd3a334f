//! `daogou experiment` and `daogou tune` as their users meet them.

mod binary;

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use binary::{daogou, done, prepared, refused, replace};
use serde_json::Value;

const SPEC: &str = "
title = 'Two networks'
data = 'daogou.toml'
seeds = 3
set.train.epochs = 2
[[variant]]
name = 'wide'
set.model.shared_units = [16]
[[variant]]
name = 'narrow'
set.model.shared_units = [4]
";

/// A small shop with a configuration and an experiment on it.
fn shop() -> tempfile::TempDir {
    let directory = prepared();
    fs::write(directory.path().join("two.toml"), SPEC).unwrap();
    directory
}

fn json(path: &Path) -> Value {
    serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
}

#[test]
fn an_experiment_prints_a_table_and_writes_its_results() {
    let directory = shop();
    let d = directory.path();
    let text = done(d, &["experiment", "two.toml", "--threads", "2"]);
    assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
    for part in ["Two networks", "wide", "narrow", "· difference", "CTR AUC", "Only 3 seeds"] {
        assert!(text.contains(part), "{part}\n{text}");
    }
    let results = json(&d.join("runs/two/results.json"));
    assert_eq!(results["baseline"], "wide");
    assert_eq!(results["points"][0]["variants"][1]["runs"].as_array().unwrap().len(), 3);
    let page = fs::read_to_string(d.join("runs/two/table.md")).unwrap();
    assert!(
        page.starts_with("# Two networks\n") && page.contains("Differences to `wide`"),
        "{page}"
    );
    assert!(d.join("runs/two/charts/difference-click-auc.svg").exists());
    refused(d, &["experiment", "two.toml"], &["runs/two", "--resume"]);
    let again: Value =
        serde_json::from_str(&done(d, &["experiment", "two.toml", "--resume", "--format", "json"]))
            .unwrap();
    assert_eq!(again, results);
}

#[test]
fn a_killed_experiment_goes_on_to_the_same_results() {
    let directory = shop();
    let d = directory.path();
    replace(d, "two.toml", "epochs = 2", "epochs = 30");
    replace(d, "two.toml", "[[variant]]", "set.train.patience = 0\n[[variant]]");
    done(d, &["experiment", "two.toml", "--out", "whole"]);
    let mut child = Command::new(env!("CARGO_BIN_EXE_daogou"))
        .current_dir(d)
        .args(["experiment", "two.toml", "--out", "killed", "--threads", "1"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    // Kill it as soon as a run is finished; that all of them may be by then is fine too.
    for _ in 0..5000 {
        if d.join("killed/runs/all/narrow/seed-1.json").exists() {
            break;
        }
        std::thread::sleep(std::time::Duration::from_millis(2));
    }
    let _ = child.kill();
    child.wait().unwrap();
    done(d, &["experiment", "two.toml", "--out", "killed", "--resume"]);
    let bytes = |name: &str| fs::read(d.join(name).join("results.json")).unwrap();
    assert!(bytes("whole") == bytes("killed"));
}

#[test]
fn the_test_split_can_be_left_alone() {
    let directory = shop();
    let d = directory.path();
    let output = daogou(d, &["experiment", "two.toml", "--validation-only"]);
    assert!(output.status.success());
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("left alone"), "{said}");
    let results = json(&d.join("runs/two/results.json"));
    assert_eq!(results["tested"], false);
    assert_eq!(results["points"][0]["variants"][0]["test"], Value::Null);
    // A run of it is a run like any other.
    done(d, &["inspect", "runs/two/runs/all/wide/seed-1"]);
    done(d, &["experiment", "two.toml", "--resume", "--keep-runs"]);
    assert_eq!(json(&d.join("runs/two/results.json"))["tested"], true);
    done(d, &["eval", "runs/two/runs/all/wide/seed-1", "--lists", "0"]);
}

#[test]
fn a_bad_experiment_is_a_sentence() {
    let directory = shop();
    let d = directory.path();
    let say = |from: &str, to: &str, parts: &[&str]| {
        fs::write(d.join("bad.toml"), SPEC.replacen(from, to, 1)).unwrap();
        refused(d, &["experiment", "bad.toml"], parts);
        assert!(!d.join("runs").exists());
    };
    say("seeds = 3", "seeds = 0", &["`seeds`", "at least 1", "hint"]);
    say("seeds = 3", "sedes = 3", &["bad.toml", "`sedes`", "line 4"]);
    say("'narrow'", "'wide'", &["two variants are called `wide`"]);
    say(
        "set.model.shared_units = [4]",
        "set.model.sharedunits = [4]",
        &["variant.narrow.set.model.sharedunits"],
    );
    say(
        "set.model.shared_units = [4]",
        "set.model.experts = 0",
        &["variant.narrow.set", "model.experts"],
    );
    say("'daogou.toml'", "'nowhere.toml'", &["nowhere.toml"]);
    refused(d, &["experiment", "nowhere.toml"], &["nowhere.toml"]);
}

#[test]
fn a_search_gives_flags_and_a_configuration_that_trains() {
    let directory = shop();
    let d = directory.path();
    let base = [
        "tune",
        "daogou.toml",
        "--set",
        "train.epochs=2",
        "--trials",
        "4",
        "--rungs",
        "2",
        "--eta",
        "2",
    ];
    let with = |more: &[&'static str]| [&base[..], more].concat();
    let text =
        done(d, &with(&["--space", "train.learning_rate=1e-3..1e-1:log", "--fresh-seeds", "2"]));
    assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
    assert!(text.contains("lower is better") && text.contains("training requests"), "{text}");
    done(d, &["train", "runs/tune/best.toml", "--run-dir", "best"]);
    fs::write(d.join("space.toml"), "[model]\nkind = ['mmoe', 'ple']\n").unwrap();
    let mut more = with(&["--metric", "click.auc", "--out", "other", "--format", "json"]);
    more.insert(2, "space.toml");
    let tuned: Value = serde_json::from_str(&done(d, &more)).unwrap();
    assert_eq!(tuned["rungs"][0]["trials"].as_array().unwrap().len(), 4);
    refused(
        d,
        &with(&["--space", "train.learning_rate=1e-3..1e-1:log"]),
        &["a search already", "--resume"],
    );
    refused(d, &["tune", "daogou.toml", "--out", "third"], &["nothing to search", "--space"]);
    refused(
        d,
        &["tune", "daogou.toml", "--space", "model.kind", "--out", "third"],
        &["key=low..high"],
    );
}
