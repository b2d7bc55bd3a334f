//! The binary as its users meet it: commands, outputs and exit codes.

mod binary;

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use binary::{daogou, done, prepared, refused, replace};
use serde_json::Value;

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
    let page = done(d, &["report", "run"]);
    assert_eq!(page.trim(), Path::new("run").join("report.html").to_str().unwrap());
    assert!(fs::read_to_string(d.join("run/report.html")).unwrap().contains("<h2>Metrics</h2>"));
    assert!(d.join("run/charts/reliability-ctr.svg").exists());
    done(d, &["report", "run", "--out", "elsewhere.html", "--lists", "3"]);
    assert!(d.join("elsewhere.html").exists() && d.join("charts").is_dir());
    refused(d, &["report", "run", "--out", "nowhere/page.html"], &["nowhere"]);
    assert!(!d.join("nowhere").exists(), "nothing half-written");
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
fn a_run_starts_from_an_older_one_and_says_what_it_took() {
    let directory = prepared();
    let d = directory.path();
    done(d, &["train", "daogou.toml", "--run-dir", "older"]);
    let newer = ["train", "daogou.toml", "--run-dir", "newer", "--warm-start", "older"];
    let output = daogou(d, &newer);
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{said}");
    assert!(said.contains("started from") && said.contains("table rows"), "{said}");
    assert!(fs::read_to_string(d.join("newer/config.toml")).unwrap().contains("warm_start = "));
    refused(d, &["train", "daogou.toml", "--run-dir", "other", "--warm-start", "none"], &["none"]);
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
        "tune",
        "experiment",
        "eval",
        "evaluate-policy",
        "predict",
        "recommend",
        "rerank",
        "report",
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
fn places_without_categories_are_enough_to_train_and_to_choose_weights() {
    let directory = tempfile::tempdir().unwrap();
    let d = directory.path();
    let mut log = String::from("request_id,user_id,item_id,position,brand,click\n");
    for i in 0..400 {
        let (request, item) = (i / 5, i * 7 % 23);
        let (user, place, brand) = (request % 17, i % 5 + 1, item % 3);
        let click = u32::from(i * i % 7 == 0);
        log += &format!("r{request},u{user},p{item},{place},b{brand},{click}\n");
    }
    fs::write(d.join("shop.csv"), log).unwrap();
    done(d, &["init", "shop.csv"]);
    let mut train = vec!["train", "daogou.toml", "--run-dir", "run"];
    // Shares of which each alone leaves the others wrong.
    for set in ["train.epochs=1", "data.split.train=0.7", "data.split.valid=0.2"] {
        train.extend(["--set", set]);
    }
    done(d, &train);
    assert!(done(d, &["pareto", "run"]).contains("by the model"));
    let wish = ["recommend", "run", "--user", "u1", "--objectives", "click=1,diversity=1"];
    refused(d, &wish, &["lists.objectives.diversity", "diversity head"]);
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
    done(d, &["validate", "shop/daogou.toml"]);
    done(d, &["train", "shop/daogou.toml", "--run-dir", "run", "--set", "train.epochs=1"]);
    let report: Value =
        serde_json::from_str(&done(d, &["eval", "run", "--format", "json"])).unwrap();
    for task in ["click", "purchase", "purchase_ctcvr", "diversity", "novelty"] {
        assert!(report["tasks"][task].is_object(), "{task}");
    }
    assert!(report["lists"]["ndcg"].is_number());
    let asked = ["evaluate-policy", "run", "--policy", "click=1,purchase=3", "--policy", "random"];
    let text = done(d, &asked);
    assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
    assert!(text.contains("propensities logged") && text.contains("over logged, DR"), "{text}");
    let json = done(d, &[&asked[..], &["--format", "json", "--clip", "20"]].concat());
    let found: Value = serde_json::from_str(&json).unwrap();
    assert_eq!((&found["clip"], &found["policies"][0]["policy"]), (&20.0.into(), &"logged".into()));
    for key in ["direct", "ips", "snips", "dr", "gain"] {
        assert!(found["policies"][1]["clicks"][key].is_number(), "{key}");
        assert!(found["policies"][2]["orders"]["intervals"][key].is_array(), "{key}");
    }
    refused(d, &["evaluate-policy", "run", "--policy", "best"], &["policy `best`", "hint:"]);
    refused(d, &["evaluate-policy", "run"], &["--policy"]);
    let list = done(
        d,
        &["recommend", "run", "--user", "u00003", "--context", "hour=20", "--format", "json"],
    );
    let list: Value = serde_json::from_str(&list).unwrap();
    let mix: f64 =
        list["wanted"]["mix"].as_object().unwrap().values().map(|v| v.as_f64().unwrap()).sum();
    assert!((mix - 1.0).abs() < 1e-4 && list["wanted"]["novelty"].as_f64().unwrap() < 1.0);
    // The command of the README.
    let ruled = [
        "recommend",
        "run",
        "--user",
        "u00003",
        "--quota",
        "brand:max=2",
        "--spacing",
        "category=2",
    ];
    let ruled = [&ruled[..], &["--price", "20..4000", "--pin", "i00001@1", "--explain"]].concat();
    assert!(done(d, &ruled).contains("pinned to place 1"));
    weights_are_chosen_and_saved(d);
    done(d, &["report", "run", "--lists", "20", "--loss-weights", "0.1,1"]);
    let page = fs::read_to_string(d.join("run/report.html")).unwrap();
    for chart in ["Clicks against KL", "Do the heads matter", "Weight of the diversity task"] {
        assert!(page.contains(chart), "{chart}");
    }
    assert!(page.contains("truth, best list") && page.contains("the truth of the simulation"));
    refused(d, &["report", "run", "--loss-weights", "0.1,-1"], &["loss-weights", "-1"]);
    let other = "not that of the simulation.toml";
    for (from, to) in [
        ("seed = 1", "seed = 2"),
        ("items = 200", "items = 130"),
        ("satiation = 0.22", "satiation = 2.0"),
    ] {
        replace(d, "shop/simulation.toml", from, to);
        refused(d, &["pareto", "run", "--requests", "20"], &[other, "hint"]);
        replace(d, "shop/simulation.toml", to, from);
    }
}

/// `daogou pareto` on a run that is there.
fn weights_are_chosen_and_saved(d: &Path) {
    fn pareto<'a>(arguments: &[&'a str]) -> Vec<&'a str> {
        [&["pareto", "run", "--requests", "20"], arguments].concat()
    }
    let table = done(d, &pareto(&[]));
    assert!(table.contains("the truth of the simulation"), "{table}");
    assert!(table.lines().all(|line| line.chars().count() <= 80), "{table}");
    let found = pareto(&[
        "--maximise",
        "click",
        "--subject",
        "novelty>=0.1",
        "--save-preset",
        "new",
        "--format",
        "json",
    ]);
    let report: Value = serde_json::from_str(&done(d, &found)).unwrap();
    assert_eq!(report["judge"], "truth");
    let (front, points) =
        (report["front"].as_array().unwrap(), report["points"].as_array().unwrap());
    assert!(
        !front.is_empty()
            && front.iter().all(|i| points[i.as_u64().unwrap() as usize]["heads"] == "trained")
    );
    assert_eq!(report["solution"]["met"], true);
    let weights = &report["solution"]["point"]["weights"];
    let list = done(d, &["recommend", "run", "--user", "u00003", "--preset", "new"]);
    let typed: Vec<String> = weights
        .as_object()
        .unwrap()
        .iter()
        .map(|(name, weight)| format!("{name}={weight}"))
        .collect();
    let by_hand = ["recommend", "run", "--user", "u00003", "--objectives", &typed.join(",")];
    assert_eq!(list, done(d, &by_hand), "a preset is its weights");

    let by_model: Value =
        serde_json::from_str(&done(d, &pareto(&["--by-model", "--format", "json"]))).unwrap();
    assert_eq!(by_model["judge"], "model");
    let impossible =
        pareto(&["--maximise", "click", "--subject", "diversity>=1", "--save-preset", "no"]);
    let output = daogou(d, &impossible);
    assert_eq!(output.status.code(), Some(1), "a check that did not pass");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(text.contains("cannot be met") && text.contains("too little"), "{text}");
    refused(
        d,
        &["recommend", "run", "--user", "u00003", "--preset", "no"],
        &["`no`", "one of new"],
    );
    refused(d, &["pareto", "run", "--maximise", "joy"], &["`joy`", "expected one of click"]);
    refused(d, &["pareto", "run", "--maximise", "click", "--subject", "kl"], &[">= and <="]);
    refused(d, &["pareto", "run", "--requests", "0"], &["nothing to measure"]);
}
