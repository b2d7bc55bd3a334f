//! `daogou crowd` against a real server: people visit, and what the server counts is what happened.

mod binary;

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use binary::{daogou, done, refused, replace};
use serde_json::{Value, json};
use tempfile::TempDir;

/// A server that ends with the test.
struct Server {
    child: Child,
    url: String,
}

impl Server {
    fn start(directory: &Path, store: &str) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_daogou"))
            .current_dir(directory)
            .args(["serve", "run", "--store", store, "--listen", "127.0.0.1:0", "--threads", "1"])
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut said = BufReader::new(child.stderr.take().unwrap()).lines();
        let url = said
            .by_ref()
            .map(Result::unwrap)
            .find_map(|line| {
                let (_, rest) = line.split_once(" at http://")?;
                Some(format!("http://{}", rest.split_once('/')?.0))
            })
            .expect("a server says where it listens");
        // Read on, so that the server never waits for us.
        std::thread::spawn(move || said.for_each(drop));
        Self { child, url }
    }

    fn put(&self, path: &str, body: &Value) {
        let answer = ureq::put(format!("{}{path}", self.url)).send_json(body).unwrap();
        assert_eq!(answer.status(), 200);
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Either may fail only because it has ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A simulated shop and a model of it.
fn shop() -> TempDir {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path();
    let sizes = ["--users", "150", "--items", "200", "--requests", "4000"];
    done(path, &[&["simulate", "--out", "shop"], &sizes[..]].concat());
    replace(path, "shop/daogou.toml", "[train]\nseed = 1", "[train]\nseed = 1\nepochs = 1");
    done(path, &["train", "shop/daogou.toml", "--run-dir", "run"]);
    directory
}

fn crowd(directory: &Path, server: &Server, more: &str) -> (Option<i32>, Value, String) {
    let arguments = format!("crowd --shop shop --against {} --format json {more}", server.url);
    let arguments: Vec<&str> = arguments.split(' ').collect();
    let output = daogou(directory, &arguments);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    let outcome = serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|error| panic!("{more}: {error}: {said}"));
    (output.status.code(), outcome, said)
}

/// The server's number and the crowd's.
fn beside(outcome: &Value, what: &str) -> (f64, f64) {
    let all = outcome["agreement"].as_array().unwrap();
    let own = all.iter().find(|own| own["what"] == what).unwrap();
    (own["server"].as_f64().unwrap(), own["crowd"].as_f64().unwrap())
}

#[test]
fn a_crowd_browses_a_server_whose_numbers_are_the_truth() {
    let directory = shop();
    let path = directory.path();
    let server = Server::start(path, "shop.db");

    let (code, outcome, said) = crowd(path, &server, "--requests 200 --workers 3 --check");
    assert_eq!(code, Some(0), "{said}");
    let all = &outcome["groups"][0];
    assert_eq!(
        (&all["kind"], &all["lists"], &all["impressions"]),
        (&json!("all"), &json!(200), &json!(2000))
    );
    assert_eq!(beside(&outcome, "lists"), (200.0, 200.0));
    assert_eq!(beside(&outcome, "impressions"), (2000.0, 2000.0));
    let clicks = all["clicks"].as_f64().unwrap();
    assert!(clicks > 20.0 && beside(&outcome, "clicks") == (clicks, clicks), "{clicks}");
    let [low, high] = [0, 1].map(|end| all["true_clicks"]["interval"][end].as_f64().unwrap());
    assert!(low > 0.0 && low < high && high < 10.0);
    assert_eq!(outcome["recommend"]["statuses"], json!({"200": 200}));
    let told = outcome["told"]["accepted"].as_f64().unwrap();
    assert_eq!(told, 2000.0 + clicks + all["purchases"].as_f64().unwrap());
    let latency = |of: &str| outcome["recommend"]["latency_ms"][of].as_f64().unwrap();
    assert!(0.0 < latency("p50") && latency("p50") <= latency("p99"));

    // Once more: the server has these events.
    let again = ["crowd", "--shop", "shop", "--against", &server.url, "--requests", "50"];
    refused(path, &again, &["the crowd of seed 1 has been there", "another --seed"]);

    // An open loop asks when it said it would.
    let more = "--requests 30 --rate 60 --seed 2 -k 4 --users 20";
    let (code, outcome, said) = crowd(path, &server, more);
    assert_eq!(code, Some(0), "{said}");
    assert_eq!(outcome["groups"][0]["impressions"], 120);
    assert!(outcome["groups"][0]["people"].as_u64().unwrap() <= 20);
    assert!(outcome["seconds"].as_f64().unwrap() >= 29.0 / 60.0);

    // Two arms.
    let arms = json!({"arms": [
        {"name": "A", "share": 0.5, "objectives": {"click": 1}},
        {"name": "B", "share": 0.5, "objectives": {"click": 1, "novelty": 5}},
    ]});
    server.put("/v1/experiments/spring", &arms);
    let (code, outcome, said) = crowd(path, &server, "--requests 300 --seed 3 --check");
    assert_eq!(code, Some(0), "{said}");
    let group = |arm: &str| {
        let groups = outcome["groups"].as_array().unwrap();
        groups.iter().find(|own| own["name"]["arm"] == arm).unwrap().clone()
    };
    let (a, b) = (group("A"), group("B"));
    assert_eq!(a["lists"].as_u64().unwrap() + b["lists"].as_u64().unwrap(), 300);
    let new = |arm: &Value| arm["novelty"]["mean"].as_f64().unwrap();
    assert!(new(&b) > new(&a) + 0.02, "{} {}", new(&a), new(&b));
    let compared = &outcome["experiments"][0];
    assert_eq!((&compared["arm"], &compared["against"]), (&json!("B"), &json!("A")));
    let clicks = |arm: &Value| arm["true_clicks"]["mean"].as_f64().unwrap();
    assert!((compared["truth"].as_f64().unwrap() - (clicks(&b) - clicks(&a))).abs() < 1e-9);

    // For people, in 80 columns.
    let table = done(
        path,
        &["crowd", "--shop", "shop", "--against", &server.url, "--requests", "40", "--seed", "4"],
    );
    assert!(table.contains("True worth of a list") && table.contains("arm spring/B"), "{table}");
    assert!(table.lines().all(|line| line.chars().count() <= 80), "{table}");
}

#[test]
fn a_crowd_that_cannot_visit_says_why() {
    let directory = shop();
    let path = directory.path();
    let server = Server::start(path, "shop.db");
    let shops =
        ["simulate", "--out", "other", "--users", "20", "--items", "20", "--requests", "50"];
    done(path, &shops);
    let against = |more: &[&str], parts: &[&str]| {
        refused(path, &[&["crowd", "--against", &server.url], more].concat(), parts);
    };
    against(
        &["--shop", "other", "--requests", "5"],
        &["an item of the simulated shop", "this shop"],
    );
    against(&["--shop", "run"], &["no simulation.toml", "daogou simulate"]);
    let known = ["--shop", "shop", "--requests", "5"];
    against(&[&known[..], &["--users", "151"]].concat(), &["users: expected 1 to 150, got 151"]);
    against(&[&known[..], &["--preset", "no-such"]].concat(), &["preset", "no-such"]);
    against(&[&known[..], &["--objectives", "click"]].concat(), &["expected `name=weight`"]);
    against(&[&known[..], &["--objectives", "clik=1"]].concat(), &["status 422", "clik"]);
    against(&[&known[..], &["--rate", "0"]].concat(), &["`rate`: expected a number above 0"]);
    against(&[&known[..], &["--workers", "0"]].concat(), &["`workers`: expected at least 1"]);
    let away = ["crowd", "--shop", "shop", "--against", "http://127.0.0.1:1"];
    refused(path, &away, &["no answer", "daogou serve"]);
    refused(path, &["crowd", "--shop", "shop", "--against", "https://shop"], &["plain HTTP"]);
}
