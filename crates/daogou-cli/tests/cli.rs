//! The binary as its users meet it: commands, outputs, exit codes, and what it says about bad input.

use std::fs;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use serde_json::Value;
use tempfile::TempDir;

fn daogou(directory: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_daogou"))
        .current_dir(directory)
        .args(arguments)
        .output()
        .unwrap()
}

fn done(directory: &Path, arguments: &[&str]) -> String {
    let output = daogou(directory, arguments);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{arguments:?}: {said}");
    String::from_utf8(output.stdout).unwrap()
}

/// An error: exit code 2, nothing on standard output, all of `parts` on standard error.
fn refused(directory: &Path, arguments: &[&str], parts: &[&str]) {
    let output = daogou(directory, arguments);
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{arguments:?}: {said}");
    assert!(output.stdout.is_empty(), "{arguments:?} wrote to standard output");
    for part in parts {
        assert!(said.contains(part), "{arguments:?}: expected `{part}` in: {said}");
    }
    assert!(!said.contains("panicked"), "{said}");
}

/// The founding document's columns: 8 users, 6 items, 240 rows.
fn shop(directory: &Path) {
    let mut text = String::from("user_id,item_id,brand,price,click,purchase,category\n");
    for i in 0..240u32 {
        let (user, item) = (i * 7 % 8, i * 5 % 6);
        let click = u32::from((user + item + i / 48) % 3 == 0);
        let buy = u32::from(click == 1 && i % 4 == 0);
        text += &format!(
            "u{user},p{item},b{},{},{click},{buy},c{}\n",
            item % 2,
            100 + item * 50,
            item % 3
        );
    }
    fs::write(directory.join("shop.csv"), text).unwrap();
}

fn prepared() -> TempDir {
    let directory = tempfile::tempdir().unwrap();
    shop(directory.path());
    done(directory.path(), &["init", "shop.csv"]);
    directory
}

fn replace(directory: &Path, file: &str, from: &str, to: &str) {
    let path = directory.join(file);
    let text = fs::read_to_string(&path).unwrap();
    assert!(text.contains(from), "no `{from}` in {text}");
    fs::write(path, text.replacen(from, to, 1)).unwrap();
}

#[test]
fn from_a_flat_file_to_a_list() {
    let directory = prepared();
    let d = directory.path();
    assert!(done(d, &["validate", "daogou.toml"]).contains("0 errors"));
    assert_eq!(
        done(d, &["train", "daogou.toml", "--run-dir", "run"]),
        "",
        "training prints to stderr only"
    );

    let report: Value =
        serde_json::from_str(&done(d, &["eval", "run", "--format", "json"])).unwrap();
    for key in ["auc", "gauc", "logloss", "ne", "pcoc", "ece", "n", "positives"] {
        assert!(report["tasks"]["click"].get(key).is_some(), "{key}");
    }
    assert!(
        report["tasks"]["purchase_ctcvr"].is_object()
            && report["baselines"]["constant"].is_object()
    );
    assert!(done(d, &["eval", "run"]).lines().all(|line| line.chars().count() <= 80));

    let list: Value = serde_json::from_str(&done(
        d,
        &["recommend", "run", "--user", "u1", "-k", "3", "--format", "json"],
    ))
    .unwrap();
    assert_eq!(list["items"].as_array().unwrap().len(), 3);
    for key in ["item_id", "score", "heads", "contributions"] {
        assert!(list["items"][0].get(key).is_some(), "{key}");
    }
    for key in ["expected_clicks", "kl", "novelty", "entropy"] {
        assert!(list["list"].get(key).is_some(), "{key}");
    }
    assert!(list["wanted"]["mix"].is_object());
    let newcomer = done(d, &["recommend", "run", "--user", "nobody", "--explain"]);
    assert!(newcomer.contains("newcomer"), "{newcomer}");
    let first = list["items"][0]["item_id"].as_str().unwrap().to_string();
    let without =
        done(d, &["recommend", "run", "--user", "u1", "--exclude", &first, "--format", "json"]);
    assert!(!without.contains(&format!("\"{first}\"")), "{without}");
    let weights = ["recommend", "run", "--user", "u1", "--objectives", "click=1,luck=2"];
    refused(d, &weights, &["luck"]);

    done(d, &["predict", "run", "--input", "shop.csv", "--output", "scored.csv"]);
    let scored = fs::read_to_string(d.join("scored.csv")).unwrap();
    assert_eq!(scored.lines().count(), 241);
    assert!(
        scored
            .starts_with("user_id,item_id,brand,price,click,purchase,category,p_click,p_purchase")
    );
    fs::write(d.join("new.csv"), "user_id,item_id,brand,price,category\nx,y,z,5,q\n").unwrap();
    done(d, &["predict", "run", "--input", "new.csv", "--output", "unknown.csv"]);
    assert_eq!(fs::read_to_string(d.join("unknown.csv")).unwrap().lines().count(), 2);

    assert!(done(d, &["inspect", "run"]).contains("user_embed"));
    let seen: Value =
        serde_json::from_str(&done(d, &["inspect", "run", "--format", "json"])).unwrap();
    assert_eq!(seen["users"], 8);
    done(d, &["export", "run", "--out", "weights.safetensors"]);
    assert_eq!(
        fs::read(d.join("weights.safetensors")).unwrap(),
        fs::read(d.join("run/model.safetensors")).unwrap()
    );
}

#[test]
fn any_number_of_threads_and_a_kill_leave_the_same_weights() {
    let directory = prepared();
    let d = directory.path();
    let sets =
        ["--set", "train.epochs=40", "--set", "train.batch_size=16", "--set", "train.patience=0"];
    let more = ["--set", "train.checkpoint_steps=1"];
    let train = |run: &str, rest: &[&str]| {
        let mut arguments = vec!["train", "daogou.toml", "--run-dir", run];
        arguments.extend(sets);
        arguments.extend(rest);
        arguments.into_iter().map(String::from).collect::<Vec<_>>()
    };
    let run =
        |arguments: Vec<String>| done(d, &arguments.iter().map(String::as_str).collect::<Vec<_>>());
    run(train("one", &["--threads", "1"]));
    run(train("two", &["--threads", "2"]));
    let weights = |name: &str| fs::read(d.join(name).join("model.safetensors")).unwrap();
    assert!(weights("one") == weights("two"), "1 and 2 threads");

    let mut child = Command::new(env!("CARGO_BIN_EXE_daogou"))
        .current_dir(d)
        .args(train("killed", &more))
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    // Kill it as soon as there is a checkpoint; that it may have finished by then is fine too.
    for _ in 0..2000 {
        if d.join("killed/checkpoint/checkpoint.safetensors").exists() {
            break;
        }
        std::thread::sleep(std::time::Duration::from_millis(2));
    }
    std::thread::sleep(std::time::Duration::from_millis(30));
    let _ = child.kill();
    child.wait().unwrap();
    run(train("killed", &["--resume", "--set", "train.checkpoint_steps=1"]));
    assert!(weights("one") == weights("killed"), "killed and resumed");
}

#[test]
fn bad_logs_get_a_sentence() {
    let directory = prepared();
    let d = directory.path();
    let good = fs::read_to_string(d.join("shop.csv")).unwrap();
    let train = ["train", "daogou.toml", "--run-dir", "run"];
    let header = "user_id,item_id,brand,price,click,purchase,category\n";
    let with_row = |row: &str| format!("{good}{row}\n").into_bytes();
    let cases: Vec<(Vec<u8>, Vec<&str>)> = vec![
        (Vec::new(), vec!["shop.csv", "empty"]),
        (header.as_bytes().to_vec(), vec!["shop.csv", "no rows"]),
        (good.replace(',', ";").into_bytes(), vec!["shop.csv", "hint:", "delimiter"]),
        (with_row("u1,p1,b1"), vec!["shop.csv:242", "7", "3"]),
        (with_row("u1,p1,b1,NaN,0,0,c1"), vec!["shop.csv:242", "`price`", "finite number", "NaN"]),
        (with_row("u1,p1,b1,inf,0,0,c1"), vec!["shop.csv:242", "`price`", "finite number"]),
        (with_row("u1,p1,b1,5,0.5,0,c1"), vec!["shop.csv:242", "`click`", "0 or 1", "0.5"]),
        (with_row("u1,p1,b1,5,0,1,c1"), vec!["shop.csv:242", "purchase", "click"]),
        ([good.as_bytes(), b"u1,p\xff,b1,5,0,0,c1\n"].concat(), vec!["shop.csv:242", "UTF-8"]),
        (
            good.replace(",1,0,", ",0,0,").replace(",1,1,", ",0,0,").into_bytes(),
            vec!["task `click`", "both 0 and 1"],
        ),
    ];
    for (bytes, parts) in cases {
        fs::write(d.join("shop.csv"), bytes).unwrap();
        refused(d, &train, &parts);
        assert!(!d.join("run").join("manifest.json").exists(), "something was written: {parts:?}");
    }
    let mut one_user = header.to_string();
    for line in good.lines().skip(1) {
        one_user += &format!("u1{}\n", &line[2..]);
    }
    fs::write(d.join("shop.csv"), one_user).unwrap();
    refused(d, &train, &["at least 2 users"]);
    fs::remove_file(d.join("shop.csv")).unwrap();
    refused(d, &train, &["shop.csv"]);
    fs::write(d.join("shop.parquet"), b"PAR1 cut off").unwrap();
    replace(d, "daogou.toml", "shop.csv", "shop.parquet");
    refused(d, &train, &["shop.parquet", "Parquet"]);
}

#[test]
fn a_share_of_bad_rows_passes_when_allowed_and_is_counted() {
    let directory = prepared();
    let d = directory.path();
    let good = fs::read_to_string(d.join("shop.csv")).unwrap();
    fs::write(d.join("shop.csv"), format!("{good}u1,p1,b1,x,0,0,c1\nu1,p1\n")).unwrap();
    let arguments =
        ["train", "daogou.toml", "--run-dir", "run", "--set", "data.max_bad_share=0.05"];
    let output = daogou(d, &arguments);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success() && said.contains("2 bad rows") && said.contains("shop.csv:242"),
        "{said}"
    );
    refused(
        d,
        &["train", "daogou.toml", "--run-dir", "other", "--set", "data.max_bad_share=0.001"],
        &["max_bad_share"],
    );
}

#[test]
fn bad_configurations_and_runs_are_named() {
    let directory = prepared();
    let d = directory.path();
    refused(d, &["train", "nowhere.toml"], &["nowhere.toml"]);
    refused(d, &["train", "daogou.toml", "--set", "train.epoch=3"], &["epoch"]);
    refused(d, &["eval", "nowhere"], &["nowhere"]);
    refused(d, &["import", "netflix", "shop.csv", "--out", "out"], &["netflix", "trivago2019"]);
    refused(d, &["init", "shop.csv"], &["exists already", "hint:"]);
    let config = fs::read_to_string(d.join("daogou.toml")).unwrap();
    fs::write(d.join("daogou.toml"), format!("colour = 1\n{config}")).unwrap();
    refused(d, &["train", "daogou.toml"], &["daogou.toml", "colour"]);
    fs::write(d.join("daogou.toml"), config.replace("brand", "brend")).unwrap();
    refused(d, &["train", "daogou.toml"], &["`brend`", "shop.csv"]);
    fs::write(d.join("daogou.toml"), &config).unwrap();
    done(d, &["train", "daogou.toml", "--run-dir", "run"]);
    let model = d.join("run/model.safetensors");
    let mut bytes = fs::read(&model).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&model, bytes).unwrap();
    refused(d, &["eval", "run"], &["model.safetensors"]);
    replace(d, "run/manifest.json", "\"format_version\": 1", "\"format_version\": 99");
    refused(d, &["eval", "run"], &["99"]);
    fs::write(d.join("run/manifest.json"), "{\"format\": \"something\"}").unwrap();
    refused(d, &["eval", "run"], &["manifest.json"]);
}

#[test]
fn defaults_and_schema_are_readable_by_programs() {
    let directory = tempfile::tempdir().unwrap();
    let d = directory.path();
    let defaults = done(d, &["init", "--defaults"]);
    assert!(defaults.contains("batch_size"), "{defaults}");
    let schema: Value = serde_json::from_str(&done(d, &["schema"])).unwrap();
    assert!(schema["properties"]["train"].is_object());
    let help = done(d, &["--help"]);
    for command in [
        "demo",
        "simulate",
        "import",
        "init",
        "validate",
        "train",
        "eval",
        "predict",
        "recommend",
        "rerank",
        "inspect",
        "export",
        "bench",
        "schema",
    ] {
        assert!(help.contains(command), "{command}");
    }
    let bench = done(
        d,
        &[
            "bench",
            "train",
            "--seconds",
            "0.05",
            "--users",
            "500",
            "--items",
            "50",
            "--format",
            "json",
        ],
    );
    let bench: Value = serde_json::from_str(&bench).unwrap();
    for key in ["samples_per_s", "gflops", "fma_peak_gflops"] {
        assert!(bench[key].as_f64().unwrap() > 0.0, "{key}");
    }
    fs::write(d.join("scores.csv"), "request,item,score\nr,a,0.5\nr,b,0.75\n").unwrap();
    done(d, &["rerank", "--input", "scores.csv", "--output", "lists.csv", "-k", "1"]);
    let lists = fs::read_to_string(d.join("lists.csv")).unwrap();
    assert_eq!(lists, "request,position,item,score\nr,1,b,0.75\n");
    let nonsense = ["rerank", "--input", "scores.csv", "--output", "x.csv", "--builder", "best"];
    refused(d, &nonsense, &["lists.builder", "best"]);
    let arguments = ["--candidates", "40", "-k", "5", "--categories", "3", "--format", "json"];
    let bench = done(d, &[&["bench", "lists"], &arguments[..]].concat());
    let bench: Vec<Value> = serde_json::from_str(&bench).unwrap();
    assert!(bench.iter().any(|of| of["builder"] == "exact" && of["value"] == 1.0));
    assert!(bench.iter().all(|of| of["p50_us"].as_f64().unwrap() > 0.0));
}

#[test]
fn the_simulated_shop_trains_on_all_four_tasks() {
    let directory = tempfile::tempdir().unwrap();
    let d = directory.path();
    done(
        d,
        &["simulate", "--out", "shop", "--users", "150", "--items", "200", "--requests", "4000"],
    );
    for file in
        ["impressions.parquet", "items.parquet", "users.parquet", "oracle.parquet", "daogou.toml"]
    {
        assert!(d.join("shop").join(file).exists(), "{file}");
    }
    done(d, &["train", "shop/daogou.toml", "--run-dir", "run", "--set", "train.epochs=1"]);
    let report: Value =
        serde_json::from_str(&done(d, &["eval", "run", "--format", "json"])).unwrap();
    for task in ["click", "purchase", "purchase_ctcvr", "diversity", "novelty"] {
        assert!(report["tasks"][task].is_object(), "{task}");
    }
    assert!(report["lists"]["ndcg"].is_number());
    let list = done(
        d,
        &["recommend", "run", "--user", "u00003", "--context", "hour=20", "--format", "json"],
    );
    let list: Value = serde_json::from_str(&list).unwrap();
    let mix: f64 =
        list["wanted"]["mix"].as_object().unwrap().values().map(|v| v.as_f64().unwrap()).sum();
    assert!((mix - 1.0).abs() < 1e-4 && list["wanted"]["novelty"].as_f64().unwrap() < 1.0);
}
