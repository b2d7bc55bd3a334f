//! The API as its callers meet it: a real server on a real socket, with a run trained on a small simulated shop.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use daogou::artifact::Provenance;
use daogou::data::Dataset;
use daogou::recommend::{Ask, recommend};
use daogou::run::TrainedRun;
use daogou::schema::Config;
use daogou::simulate::{self, Options};
use daogou::train::{self, Round};
use daogou_server::{KeyConfig, Role, Server, ServerConfig, new_key, openapi};
use serde_json::{Value, json};
use tokio::sync::oneshot;

/// A folder with two runs, `one` and `two`, of the same shop.
struct Runs {
    _home: tempfile::TempDir,
    directory: PathBuf,
}

static RUNS: LazyLock<Runs> = LazyLock::new(|| {
    let home = tempfile::tempdir().unwrap();
    let shop = home.path().join("shop");
    let options = Options { users: 60, items: 120, requests: 1_500, ..Options::default() };
    simulate::run(&options, &shop, &mut |_| {}).unwrap();
    let directory = home.path().join("runs");
    for (name, seed, kind) in [("one", 1, "shared_bottom"), ("two", 2, "mmoe")] {
        let mut config = Config::read(&shop.join("daogou.toml")).unwrap();
        config.set("train.epochs=1").unwrap();
        config.set(&format!("model.kind={kind}")).unwrap();
        config.set(&format!("train.seed={seed}")).unwrap();
        let config = config.with_absolute_paths(&shop).unwrap();
        let data = Dataset::load(&config, &shop).unwrap();
        let trained = train::train(&config, &data, &train::Options::default(), &mut ()).unwrap();
        let provenance = Provenance {
            created_at: format!("2026-01-0{seed}T00:00:00Z"),
            seed,
            data_fingerprint: data.report.fingerprint.clone(),
            metrics: serde_json::to_value(Round::kept(&trained.history)).unwrap(),
        };
        let history = trained.history.clone();
        let run = TrainedRun::new(&config, trained, &data);
        run.save(&directory.join(name), &history, provenance).unwrap();
    }
    Runs { _home: home, directory }
});

fn run() -> PathBuf {
    RUNS.directory.join("one")
}

/// A server on a thread of its own, until it is dropped.
struct Running {
    address: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<std::thread::JoinHandle<()>>,
    agent: ureq::Agent,
    key: Option<String>,
}

fn start(config: ServerConfig, run: Option<&Path>, directory: Option<&Path>) -> Running {
    let (stop, stopped) = oneshot::channel::<()>();
    let (told, address) = std::sync::mpsc::channel();
    let (run, directory) = (run.map(Path::to_path_buf), directory.map(Path::to_path_buf));
    let thread = std::thread::spawn(move || {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
        runtime.unwrap().block_on(async {
            let server = Server::start(config, run.as_deref(), directory.as_deref()).await.unwrap();
            told.send(server.address()).unwrap();
            server
                .run(async {
                    let _ = stopped.await;
                })
                .await
                .unwrap();
        });
    });
    let agent = ureq::Agent::config_builder()
        .http_status_as_error(false)
        .timeout_global(Some(Duration::from_mins(1)))
        // A connection that the server has just ended is no matter of these tests.
        .max_idle_connections(0)
        .build();
    Running {
        address: address.recv().unwrap(),
        stop: Some(stop),
        thread: Some(thread),
        agent: agent.into(),
        key: None,
    }
}

fn config() -> ServerConfig {
    ServerConfig {
        listen: "127.0.0.1:0".parse().unwrap(),
        store: "sqlite::memory:".into(),
        threads: 2,
        ..ServerConfig::default()
    }
}

fn server() -> Running {
    start(config(), Some(&run()), None)
}

impl Drop for Running {
    fn drop(&mut self) {
        // A test that failed already has its own message.
        if let Some(stop) = self.stop.take() {
            let _ = stop.send(());
        }
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
            && !std::thread::panicking()
        {
            panic!("the server panicked");
        }
    }
}

impl Running {
    fn call(&self, method: &str, path: &str, body: Option<&str>) -> (u16, Value) {
        let mut request = ureq::http::Request::builder()
            .method(method)
            .uri(format!("http://{}{path}", self.address));
        if let Some(key) = &self.key {
            request = request.header("x-api-key", key);
        }
        let answer = match body {
            Some(body) => {
                let request = request.header("content-type", "application/json");
                self.agent.run(request.body(body.to_string()).unwrap())
            }
            None => self.agent.run(request.body(()).unwrap()),
        };
        let mut answer = answer.unwrap();
        let status = answer.status().as_u16();
        let text = answer.body_mut().read_to_string().unwrap();
        (status, serde_json::from_str(&text).unwrap_or(Value::String(text)))
    }

    fn get(&self, path: &str) -> Value {
        let (status, value) = self.call("GET", path, None);
        assert_eq!(status, 200, "GET {path}: {value}");
        value
    }

    fn send(&self, method: &str, path: &str, body: &Value) -> Value {
        let (status, value) = self.call(method, path, Some(&body.to_string()));
        assert!(matches!(status, 200 | 202), "{method} {path}: {status} {value}");
        value
    }

    fn refused(&self, method: &str, path: &str, body: &Value) -> (u16, String) {
        let (status, value) = self.call(method, path, Some(&body.to_string()));
        assert_eq!(value["status"], status, "{method} {path}: {value}");
        (status, value["detail"].as_str().unwrap().to_string())
    }
}

fn ids(list: &Value) -> Vec<String> {
    let items = list["items"].as_array().unwrap();
    items.iter().map(|item| item["item_id"].as_str().unwrap().to_string()).collect()
}

#[test]
fn a_server_answers_what_the_command_answers() {
    let server = server();
    let (run, _) = TrainedRun::open(&run()).unwrap();
    let mut team = daogou_nn::Team::new(1);
    let time = run.stored.last_time + 3_600;
    for user in ["u00001", "u00017", "u00042", "a stranger"] {
        let body = json!({"user": user, "k": 7, "time": time, "explain": true,
            "context": {"hour": 20, "promo": "1"}, "exclude": ["i00003"],
            "objectives": {"click": 1, "purchase": 3, "diversity": 0.4, "novelty": 0.2},
            "filter": "price > 0"});
        let mut served = server.send("POST", "/v1/recommend", &body);
        let context = [("hour", "20"), ("promo", "1")].map(|(k, v)| (k.into(), v.into()));
        let ask = Ask {
            user: user.into(),
            k: Some(7),
            weights: Some("click=1,purchase=3,diversity=0.4,novelty=0.2".parse().unwrap()),
            context: context.into(),
            exclude: vec!["i00003".into()],
            filter: Some("price > 0".parse().unwrap()),
            time: Some(time),
            ..Ask::default()
        };
        // Through text, as the server's answer came: a number of 32 bits is written as short as it can be.
        let own = serde_json::to_string(&recommend(&run, &ask, &mut team).unwrap()).unwrap();
        let own: Value = serde_json::from_str(&own).unwrap();
        assert_eq!(served["model"], "one");
        assert!(served["timings"]["total_us"].as_u64().unwrap() > 0);
        for key in ["model", "preset", "experiment", "request", "timings"] {
            served.as_object_mut().unwrap().remove(key);
        }
        assert_eq!(served, own, "{user}");
        assert_eq!(ids(&served).len(), 7);
    }
}

#[test]
fn events_are_counted_once_and_known_to_the_next_list() {
    let server = server();
    let now = 1_900_000_000i64 - 1_000_000_000; // Past the log's end and before today.
    let (run, _) = TrainedRun::open(&run()).unwrap();
    let time = run.stored.last_time + 100;
    assert!(now > 0);
    let ask =
        json!({"user": "newcomer", "time": time + 60, "objectives": {"click": 1, "novelty": 1}});
    let first = server.send("POST", "/v1/recommend", &ask);
    assert_eq!(first["list"]["novelty"], 1.0);
    let shown = ids(&first);
    let mut events: Vec<Value> = shown
        .iter()
        .enumerate()
        .map(|(place, item)| {
            json!({"id": format!("s{place}"), "type": "impression", "user": "newcomer", "item": item,
                "timestamp": time, "request": first["request"], "position": place + 1})
        })
        .collect();
    events.push(json!({"id": "c0", "type": "click", "user": "newcomer", "item": shown[0],
        "timestamp": "2024-01-01T00:00:00Z", "request": first["request"]}));
    events.push(
        json!({"id": "bad", "type": "click", "user": "newcomer", "item": "", "timestamp": time}),
    );
    events.push(json!({"id": "late", "type": "click", "user": "u", "item": "i", "timestamp": 9_000_000_000i64}));
    events.push(json!({"id": "odd", "type": "click", "user": "u", "item": "i", "timestamp": time, "colour": 1}));
    let told = server.send("POST", "/v1/events", &json!({"events": events}));
    assert_eq!(
        (&told["accepted"], &told["duplicates"]),
        (&json!(shown.len() + 1), &json!(0)),
        "{told}"
    );
    let rejected = told["rejected"].as_array().unwrap();
    let of = |place: usize, key: &str| rejected[place][key].as_str().unwrap_or("").to_string();
    assert_eq!(rejected.len(), 3, "{told}");
    assert_eq!((of(0, "id"), of(0, "key")), ("bad".into(), "item".into()));
    assert_eq!((of(1, "id"), of(1, "key")), ("late".into(), "timestamp".into()));
    assert!(of(2, "detail").contains("colour"), "{told}");
    let again = server.send("POST", "/v1/events", &json!({"events": events}));
    assert_eq!((&again["accepted"], &again["duplicates"]), (&json!(0), &json!(shown.len() + 1)));

    let person = server.get("/v1/users/newcomer");
    assert_eq!(person["recent"].as_array().unwrap().len(), shown.len() + 1);
    let second = server.send("POST", "/v1/recommend", &ask);
    // What was shown is not new any more, so a list that wants the new has other items.
    assert_ne!(ids(&second), shown);
    let seen = server.send(
        "POST",
        "/v1/recommend",
        &json!({"user": "newcomer", "time": time + 60, "candidates": shown}),
    );
    assert_eq!(seen["list"]["novelty"], 0.0);
    // An event without people or items that anybody knows is kept all the same.
    let odd = json!({"events": [{"id": "x", "type": "click", "user": "who", "item": "what", "timestamp": 5}]});
    assert_eq!(server.send("POST", "/v1/events", &odd)["accepted"], 1);
    let stats = server.get("/v1/stats?minutes=5");
    let clicks: u64 =
        stats["totals"].as_array().unwrap().iter().map(|p| p["clicks"].as_u64().unwrap()).sum();
    assert_eq!(clicks, 2);
    let forgotten = server.call("DELETE", "/v1/users/newcomer", None);
    assert_eq!(forgotten, (200, json!({"events": shown.len() + 1})));
    assert_eq!(server.call("GET", "/v1/users/newcomer", None).0, 404);
}

#[test]
fn the_catalogue_changes_with_the_next_request() {
    let server = server();
    let best = ids(&server.send("POST", "/v1/recommend", &json!({"user": "u00005"})))[0].clone();
    let known = server.get(&format!("/v1/items/{best}"));
    assert_eq!(
        (&known["source"], &known["known"], &known["available"]),
        (&json!("model"), &json!(true), &json!(true))
    );
    // A new item like the best one is as good but for its id, and is listed at once.
    let mut attributes = known["attributes"].clone();
    attributes["title"] = json!("a new one");
    attributes["price"] = json!(17.5);
    let put = server.send("PUT", "/v1/items/brand-new", &json!({"attributes": attributes}));
    assert_eq!((&put["source"], &put["known"]), (&json!("store"), &json!(false)));
    assert_eq!(put["attributes"]["price"], 17.5);
    let list = server.send(
        "POST",
        "/v1/recommend",
        &json!({"user": "u00005", "candidates": ["brand-new", best]}),
    );
    assert_eq!(list["items"].as_array().unwrap().len(), 2);
    let only = json!({"user": "u00005", "filter": "title contains 'NEW ONE' and price <= 20"});
    let listed = server.send("POST", "/v1/recommend", &only);
    assert_eq!(ids(&listed), ["brand-new"]);
    assert_eq!(listed["items"][0]["price"], 17.5);
    server.send("PATCH", "/v1/items/brand-new", &json!({"attributes": {"price": 30}}));
    let (status, _) = server.refused("POST", "/v1/recommend", &only);
    assert_eq!(status, 422, "nothing is left");
    // Off the shelf, and back.
    server.send("PATCH", &format!("/v1/items/{best}"), &json!({"available": false}));
    let all = |server: &Running| {
        ids(&server.send("POST", "/v1/recommend", &json!({"user": "u00005", "k": 100})))
    };
    assert!(!all(&server).contains(&best));
    server.send("PATCH", &format!("/v1/items/{best}"), &json!({"available": true}));
    assert!(all(&server).contains(&best));
    assert_eq!(server.call("DELETE", "/v1/items/brand-new", None).0, 200);
    assert!(!all(&server).contains(&"brand-new".to_string()));
    let bulk = json!({"items": [{"id": "b1", "attributes": {"price": 1}}, {"id": "b2", "attributes": {"price": "cheap"}}]});
    let told = server.send("POST", "/v1/items", &bulk);
    assert_eq!(
        (&told["written"], &told["rejected"][0]["id"], &told["rejected"][0]["key"]),
        (&json!(1), &json!("b2"), &json!("price"))
    );
    let found = server.get("/v1/items?query=B1");
    assert_eq!((&found["total"], &found["items"][0]["id"]), (&json!(1), &json!("b1")));
    assert_eq!(server.refused("PUT", "/v1/items/x", &json!({"attributes": {"price": -1}})).0, 422);
    assert_eq!(server.call("GET", "/v1/items/nothing", None).0, 404);
    // A profile of a stranger counts.
    server.send(
        "PUT",
        "/v1/users/stranger",
        &json!({"attributes": {"age": "3", "owned_brand": null}}),
    );
    assert_eq!(server.get("/v1/users/stranger")["attributes"]["age"], "3");
    assert_eq!(server.get("/v1/users?query=stran")["users"][0]["source"], "store");
}

/// One item or person must not spoil the lists of others: what a network makes NaN of never comes in.
#[test]
fn numbers_beyond_all_reason_are_refused_where_they_come_in() {
    let server = server();
    let before = ids(&server.send("POST", "/v1/recommend", &json!({"user": "u00001", "time": 9})));
    for (path, attributes) in [
        ("/v1/items/wild", json!({"spec_screen": 1e300})),
        ("/v1/items/dear", json!({"price": 1e39})),
        ("/v1/users/old", json!({"registered_days": -5})),
        ("/v1/items/odd", json!({"spec_camera": -1e300})),
    ] {
        let (status, value) =
            server.call("PUT", path, Some(&json!({"attributes": attributes}).to_string()));
        assert_eq!(status, 422, "{path}: {value}");
        let key = attributes.as_object().unwrap().keys().next().unwrap();
        assert_eq!((&value["key"], value["detail"].is_string()), (&json!(key), true));
    }
    let after = ids(&server.send("POST", "/v1/recommend", &json!({"user": "u00001", "time": 9})));
    assert_eq!(after, before);
    let event = |value: f64| json!({"events": [{"id": "v", "type": "purchase", "user": "u", "item": "i", "timestamp": 5, "value": value}]});
    let told = server.send("POST", "/v1/events", &event(1e308));
    assert_eq!(told["rejected"][0]["key"], "value", "{told}");
    assert_eq!(server.send("POST", "/v1/events", &event(1e9))["accepted"], 1);
    for time in [i64::MIN, i64::MAX] {
        let list =
            server.send("POST", "/v1/recommend", &json!({"user": "u00001", "k": 2, "time": time}));
        assert_eq!(ids(&list).len(), 2);
    }
}

#[test]
fn ids_of_lists_that_somebody_made_up_name_nothing_in_the_numbers() {
    let server = server();
    server.send("PUT", "/v1/presets/fresh", &json!({"objectives": {"click": 1}}));
    for (id, place) in [("a", "x1.A.p1"), ("b", "x2.A.p2"), ("c", "..fresh")] {
        let event = json!({"id": id, "type": "click", "user": "u", "item": "i", "timestamp": 5,
            "request": format!("0193a5d2c7f04b1e0000.{place}")});
        server.send("POST", "/v1/events", &json!({"events": [event]}));
    }
    let metrics = server.get("/metrics");
    let clicks: Vec<&str> = metrics
        .as_str()
        .unwrap()
        .lines()
        .filter(|line| line.starts_with("daogou_clicks_total"))
        .collect();
    assert_eq!(clicks.len(), 2, "{clicks:?}");
    assert!(clicks.iter().any(|line| line.contains("preset=\"fresh\"") && line.ends_with(" 1")));
    assert!(clicks.iter().any(|line| line.contains("preset=\"\"") && line.ends_with(" 2")));
}

#[test]
fn presets_and_experiments_make_lists_and_are_counted() {
    let server = server();
    server.send(
        "PUT",
        "/v1/presets/fresh",
        &json!({"objectives": {"click": 0.1, "novelty": 5}, "explore": 1.0}),
    );
    let (status, detail) =
        server.refused("PUT", "/v1/presets/bad.name", &json!({"objectives": {"click": 1}}));
    assert!(status == 422 && detail.contains("letters"), "{detail}");
    let (status, detail) =
        server.refused("PUT", "/v1/presets/x", &json!({"objectives": {"klick": 1}}));
    assert!(status == 422 && detail.contains("klick"), "{detail}");
    let (status, detail) =
        server.refused("POST", "/v1/recommend", &json!({"user": "u", "preset": "none"}));
    assert!(status == 422 && detail.contains("fresh"), "{detail}");
    let plan = json!({"arms": [{"name": "A", "share": 0.5}, {"name": "B", "share": 0.5, "preset": "fresh"}]});
    let started = server.send("PUT", "/v1/experiments/spring", &plan);
    assert_eq!(
        (&started["state"], &started["metric"]),
        (&json!("running"), &json!("clicks_per_request"))
    );
    assert_eq!(server.refused("PUT", "/v1/experiments/other", &plan).0, 409);
    let time = TrainedRun::open(&run()).unwrap().0.stored.last_time + 10;
    let mut arms = BTreeSet::new();
    let mut counted = [0u64; 2];
    for user in (0..40).map(|user| format!("person-{user}")) {
        let list =
            server.send("POST", "/v1/recommend", &json!({"user": user, "k": 3, "time": time}));
        let arm = list["experiment"]["arm"].as_str().unwrap().to_string();
        let again = server.send("POST", "/v1/recommend", &json!({"user": user, "time": time}));
        assert_eq!(again["experiment"]["arm"], arm.as_str(), "a person stays in an arm");
        assert_eq!(list["preset"], if arm == "B" { json!("fresh") } else { Value::Null });
        counted[usize::from(arm == "B")] += 1;
        let events: Vec<Value> = ids(&list)
            .iter()
            .enumerate()
            .flat_map(|(place, item)| {
                let event = |kind: &str| {
                    json!({"id": format!("{user}-{place}-{kind}"), "type": kind, "user": user,
                        "item": item, "timestamp": time, "request": list["request"]})
                };
                let mut events = vec![event("impression")];
                events.extend((arm == "B" && place < 2).then(|| event("click")));
                events
            })
            .collect();
        server.send("POST", "/v1/events", &json!({"events": events}));
        arms.insert(arm);
    }
    assert_eq!(arms.len(), 2);
    let told = server.get("/v1/experiments/spring");
    for (arm, users) in counted.iter().enumerate() {
        let own = &told["arms"][arm];
        assert_eq!(
            (&own["users"], &own["requests"], &own["impressions"]),
            (&json!(users), &json!(users), &json!(3 * users))
        );
        assert_eq!(own["mean"], if arm == 1 { json!(2.0) } else { json!(0.0) });
    }
    assert_eq!(server.get("/v1/stats")["arms"].as_object().unwrap().len(), 2);
    // What a person asks for stands before the experiment, and a look counts nowhere.
    let own = server.send("POST", "/v1/recommend", &json!({"user": "person-1", "preset": "fresh"}));
    assert_eq!(own["experiment"], Value::Null);
    let look = server.send("POST", "/v1/recommend", &json!({"user": "person-1", "preview": true}));
    assert_eq!(look["experiment"], Value::Null);
    assert_eq!(server.send("POST", "/v1/experiments/spring/stop", &json!({}))["state"], "stopped");
    let after = server.send("POST", "/v1/recommend", &json!({"user": "person-1"}));
    assert_eq!(after["experiment"], Value::Null);
    assert_eq!(server.call("DELETE", "/v1/presets/fresh", None).0, 200);
    assert_eq!(server.call("DELETE", "/v1/presets/fresh", None).0, 404);
}

#[test]
fn what_was_written_is_there_after_a_restart() {
    let home = tempfile::tempdir().unwrap();
    let config =
        || ServerConfig { store: home.path().join("shop.db").display().to_string(), ..config() };
    let plan = json!({"arms": [{"name": "A", "share": 0.5}, {"name": "B", "share": 0.5}]});
    let (list, told);
    {
        let server = start(config(), None, Some(&RUNS.directory));
        let models = server.get("/v1/models");
        assert_eq!(models["serving"], "two", "the newest");
        assert!(models["models"][0]["metrics"]["click"]["auc"].is_number(), "{models}");
        assert_eq!(server.get("/v1/models/one")["experts"], Value::Null);
        let gates = server.get("/v1/models/two")["experts"].clone();
        let click = gates.as_array().unwrap().iter().find(|gate| gate["gate"] == "click").unwrap();
        let shares: Vec<f64> = serde_json::from_value(click["shares"].clone()).unwrap();
        assert_eq!((shares.len(), &click["names"][3]), (4, &json!("experts.3")));
        assert!((shares.iter().sum::<f64>() - 1.0).abs() < 1e-4, "{click}");
        server.send("POST", "/v1/models/one/promote", &json!({}));
        server.send("PUT", "/v1/items/n1", &json!({"attributes": {"title": "kept", "price": 3}}));
        server.send("PUT", "/v1/presets/calm", &json!({"objectives": {"click": 1}}));
        server.send("PUT", "/v1/experiments/kept", &plan);
        list = server.send("POST", "/v1/recommend", &json!({"user": "who"}));
        let event = json!({"id": "e", "type": "impression", "user": "who", "item": "n1", "timestamp": 180_000_000, "request": list["request"]});
        server.send("POST", "/v1/events", &json!({"events": [event]}));
        told = server.get("/v1/experiments/kept");
    }
    let server = start(config(), None, Some(&RUNS.directory));
    let models = server.get("/v1/models");
    assert_eq!((&models["serving"], &models["previous"]), (&json!("one"), &json!("two")));
    assert_eq!(server.get("/v1/items/n1")["attributes"]["title"], "kept");
    assert_eq!(server.get("/v1/presets")["presets"][0]["name"], "calm");
    assert_eq!(server.get("/v1/users/who")["recent"][0]["item"], "n1");
    let again = server.get("/v1/experiments/kept");
    for arm in 0..2 {
        for key in ["users", "requests", "impressions"] {
            assert_eq!(again["arms"][arm][key], told["arms"][arm][key], "{key}");
        }
    }
    let back = server.send("POST", "/v1/models/rollback", &json!({}));
    assert_eq!((&back["serving"], &back["previous"]), (&json!("two"), &json!("one")));
}

#[test]
fn every_route_asks_for_a_key_of_its_role() {
    let mut keys: Vec<(String, KeyConfig)> = Vec::new();
    for role in [Role::Read, Role::Write, Role::Admin] {
        keys.push(new_key(&role.to_string(), role).unwrap());
    }
    let configs = keys.iter().map(|(_, config)| config.clone()).collect();
    let mut server = start(ServerConfig { keys: configs, ..config() }, Some(&run()), None);
    let api: Value = serde_json::from_str(&openapi()).unwrap();
    let mut met = 0;
    for (path, methods) in api["paths"].as_object().unwrap() {
        for method in methods.as_object().unwrap().keys().map(|method| method.to_uppercase()) {
            let concrete = path
                .replace("{id}", "x")
                .replace("{name}", "x")
                .replace("{model}", "x")
                .replace("{user}", "x");
            if path == "/v1/stream" {
                continue; // Never ends; its rule is tested as all are, in the crate.
            }
            server.key = None;
            let open = path.starts_with("/health");
            let (status, _) = server.call(&method, &concrete, None);
            assert_eq!(status == 401, !open, "{method} {path} without a key: {status}");
            server.key = Some("dg_wrong".into());
            assert_eq!(server.call(&method, &concrete, None).0 == 401, !open, "{method} {path}");
            // Roles never lose by rising.
            let mut allowed = Vec::new();
            for (key, _) in &keys {
                server.key = Some(key.clone());
                allowed.push(server.call(&method, &concrete, None).0 != 403);
            }
            assert!(allowed.is_sorted() && allowed[2], "{method} {path}: {allowed:?}");
            if path.starts_with("/v1/models/") && method == "POST" {
                assert_eq!(allowed, [false, false, true], "{path}");
            }
            if path == "/v1/events" {
                assert_eq!(allowed, [false, true, true]);
            }
            met += 1;
        }
    }
    assert!(met > 30, "{met} routes");
    server.key = None;
    for page in ["/", "/docs", "/openapi.json", "/assets/app.js"] {
        assert_eq!(server.call("GET", page, None).0, 200, "{page}");
    }
}

#[test]
fn strange_calls_are_refused_in_words() {
    let server = start(ServerConfig { body_kib: 64, batch: 10, ..config() }, Some(&run()), None);
    let problem = |method: &str, path: &str, body: &str| {
        let (status, value) = server.call(method, path, Some(body));
        assert!(value["detail"].is_string(), "{method} {path}: {value}");
        status
    };
    assert_eq!(problem("POST", "/v1/recommend", "{"), 400);
    assert_eq!(problem("POST", "/v1/recommend", "{\"user\": 3}"), 422);
    assert_eq!(problem("POST", "/v1/recommend", "{\"user\": \"u\", \"colour\": 3}"), 422);
    assert_eq!(problem("POST", "/v1/recommend", "{\"user\": \"\"}"), 422);
    assert_eq!(problem("POST", "/v1/recommend", &"[".repeat(50_000)), 422);
    let deep = format!("{{\"user\": \"u\", \"context\": {{\"a\": {}", "[".repeat(50_000));
    assert_eq!(problem("POST", "/v1/recommend", &deep), 400);
    assert_eq!(
        problem("POST", "/v1/recommend", &format!("{{\"user\": \"{}\"}}", "u".repeat(70_000))),
        413
    );
    for wrong in [
        json!({"user": "u", "k": 0}),
        json!({"user": "u", "k": 100_000}),
        json!({"user": "u", "explore": 2}),
        json!({"user": "u", "context": {"nonsense": 1}}),
        json!({"user": "u", "builder": "best"}),
        json!({"user": "u", "filter": "price <"}),
        json!({"user": "u", "filter": "nonsense = 1"}),
        json!({"user": "u", "objectives": {"click": -1}}),
        json!({"user": "u", "preset": "a", "objectives": {"click": 1}}),
        json!({"user": "u", "model": "nothing"}),
        json!({"user": "u", "candidates": []}),
    ] {
        assert_eq!(problem("POST", "/v1/recommend", &wrong.to_string()), 422, "{wrong}");
    }
    let events: Vec<Value> = (0..11).map(|i| json!({"id": i})).collect();
    assert_eq!(problem("POST", "/v1/events", &json!({"events": events}).to_string()), 422);
    assert_eq!(problem("PUT", "/v1/recommend", "{}"), 405);
    assert_eq!(problem("GET", "/v1/nothing", ""), 404);
    for path in [
        "/assets/../Cargo.toml",
        "/assets/..%2f..%2fCargo.toml",
        "/assets/%2e%2e/lib.rs",
        "/assets//etc/passwd",
    ] {
        assert_eq!(server.call("GET", path, None).0, 404, "{path}");
    }
    let request = ureq::http::Request::post(format!("http://{}/v1/recommend", server.address));
    let answer = server
        .agent
        .run(request.header("content-type", "text/plain").body("{}".to_string()).unwrap());
    let answer = answer.unwrap();
    assert_eq!(answer.status(), 415);
    assert_eq!(answer.headers()["x-content-type-options"], "nosniff");
    let page = server.agent.get(format!("http://{}/", server.address)).call().unwrap();
    assert!(
        page.headers()["content-security-policy"].to_str().unwrap().contains("default-src 'none'")
    );
    assert!(page.headers().get("access-control-allow-origin").is_none());
}

#[test]
fn other_servers_shapes_are_answered() {
    let server = server();
    let body = json!({"event": "ranking", "id": "r", "user": "u00003", "session": "s", "timestamp": "1700000000000",
        "items": [{"id": "i00001"}, {"id": "i00002"}, {"id": "unknown"}]});
    let ranks = server.send("POST", "/rank/default", &body);
    let scores: Vec<f64> =
        ranks["items"].as_array().unwrap().iter().map(|i| i["score"].as_f64().unwrap()).collect();
    assert!(scores.len() == 3 && scores.is_sorted_by(|a, b| a >= b), "{ranks}");
    let own = server.send("POST", "/v1/rank", &json!({"user": "u00003", "candidates": ["i00001", "i00002", "unknown"], "time": 1_700_000_000}));
    let known: Vec<bool> =
        own["items"].as_array().unwrap().iter().map(|i| i["known"].as_bool().unwrap()).collect();
    assert_eq!(known.iter().filter(|known| !**known).count(), 1);
    let all: Vec<String> = serde_json::from_value(server.get("/api/recommend/u00003?n=6")).unwrap();
    let rest: Vec<String> =
        serde_json::from_value(server.get("/api/recommend/u00003?n=4&offset=2")).unwrap();
    assert_eq!((all.len(), &all[2..]), (6, &rest[..]));
}

#[test]
fn overload_is_refused_at_once_and_passes() {
    let server = start(ServerConfig { threads: 1, queue: 2, ..config() }, Some(&run()), None);
    let (answered, refused) = (AtomicUsize::new(0), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        for thread in 0..16 {
            let (server, answered, refused) = (&server, &answered, &refused);
            scope.spawn(move || {
                for call in 0..10 {
                    let body = json!({"user": format!("u{thread}-{call}"), "k": 50}).to_string();
                    match server.call("POST", "/v1/recommend", Some(&body)).0 {
                        200 => answered.fetch_add(1, Ordering::Relaxed),
                        429 => refused.fetch_add(1, Ordering::Relaxed),
                        status => panic!("{status}"),
                    };
                }
            });
        }
    });
    let (answered, refused) = (answered.into_inner(), refused.into_inner());
    assert_eq!(answered + refused, 160);
    assert!(answered > 0 && refused > 0, "{answered} answered, {refused} refused");
    server.send("POST", "/v1/recommend", &json!({"user": "later"}));
    let metrics = server.get("/metrics");
    assert!(metrics.as_str().unwrap().contains("daogou_request_seconds_count"), "{metrics}");
}

#[test]
fn who_speaks_too_slowly_is_cut_off_and_holds_up_nobody() {
    use std::io::{Read, Write};
    let server = start(ServerConfig { read_seconds: 1, ..config() }, Some(&run()), None);
    let head = "POST /v1/recommend HTTP/1.1\r\nhost: shop\r\ncontent-type: application/json\r\n";
    // Half of them never end the head, the others promise a body that does not come.
    let begun = |whole: bool| {
        let mut stream = std::net::TcpStream::connect(server.address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        stream.write_all(head.as_bytes()).unwrap();
        if whole {
            stream.write_all(b"content-length: 40\r\n\r\n{\"user\"").unwrap();
        }
        stream
    };
    let mut slow: Vec<_> = (0..200).map(|i| begun(i % 2 == 1)).collect();
    // One of them drips on; time counts from its first byte all the same.
    let mut drip = begun(false);
    for _ in 0..20 {
        let list = server.send("POST", "/v1/recommend", &json!({"user": "u00001", "k": 3}));
        assert_eq!(ids(&list).len(), 3);
        // It may be cut off already.
        let _ = drip.write_all(b"x-drip: 1\r\n");
        std::thread::sleep(Duration::from_millis(10));
    }
    for (i, stream) in slow.iter_mut().enumerate() {
        let mut answer = String::new();
        let ended = stream.read_to_string(&mut answer);
        assert!(ended.is_ok(), "connection {i} was still open: {ended:?}");
        if i % 2 == 1 {
            assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
        }
    }
    server.send("POST", "/v1/recommend", &json!({"user": "u00001", "k": 3}));
}

#[test]
fn a_model_is_replaced_under_load_without_a_failed_request() {
    let server = start(config(), None, Some(&RUNS.directory));
    let done = AtomicBool::new(false);
    let time = TrainedRun::open(&run()).unwrap().0.stored.last_time + 10;
    // What each model says of a person, taken when nothing moves.
    let ask = json!({"user": "u00009", "time": time}).to_string();
    let mut expected = std::collections::BTreeMap::new();
    for name in ["one", "two"] {
        server.send("POST", &format!("/v1/models/{name}/promote"), &json!({}));
        let (status, list) = server.call("POST", "/v1/recommend", Some(&ask));
        assert_eq!((status, &list["model"]), (200, &json!(name)));
        expected.insert(name.to_string(), list["items"].clone());
    }
    assert_ne!(expected["one"], expected["two"]);
    let asked = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                while !done.load(Ordering::Relaxed) {
                    let (status, list) = server.call("POST", "/v1/recommend", Some(&ask));
                    assert_eq!(status, 200, "{list}");
                    let model = list["model"].as_str().unwrap();
                    assert_eq!(list["items"], expected[model], "wholly from one model");
                    asked.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        for change in 0..100 {
            let name = if change % 2 == 0 { "one" } else { "two" };
            server.send("POST", &format!("/v1/models/{name}/promote"), &json!({}));
        }
        done.store(true, Ordering::Relaxed);
    });
    assert!(asked.into_inner() > 20);
}

/// A folder of runs that a test may write to.
fn own_runs(home: &Path) -> PathBuf {
    let directory = home.join("runs");
    let mut copy = std::process::Command::new("cp");
    assert!(copy.arg("-r").args([&RUNS.directory, &directory]).status().unwrap().success());
    directory
}

/// The job, when it has ended.
fn ended(server: &Running) -> Value {
    for _ in 0..1200 {
        let job = server.get("/v1/train")["job"].clone();
        if job["state"] != "running" {
            return job;
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    panic!("the job does not end");
}

#[test]
fn a_model_is_trained_on_what_the_store_has() {
    let home = tempfile::tempdir().unwrap();
    let directory = own_runs(home.path());
    let server = start(config(), None, Some(&directory));
    assert_eq!(server.refused("POST", "/v1/train", &json!({"name": "two"})).0, 409);
    server.send("POST", "/v1/train", &json!({"name": "early"}));
    let job = ended(&server);
    assert_eq!(job["state"], "failed", "{job}");
    assert!(job["detail"].as_str().unwrap().contains("no impressions"), "{job}");
    assert!(!directory.join("early.log").exists(), "nothing of it is left");

    let mut time = TrainedRun::open(&run()).unwrap().0.stored.last_time;
    server.send(
        "PUT",
        "/v1/items/brand-new",
        &json!({"attributes": {"category": "phone", "price": 900, "title": "New"}}),
    );
    server.send("PUT", "/v1/users/someone", &json!({"attributes": {"age": "2"}}));
    for visit in 0..150 {
        time += 600;
        let user =
            if visit % 10 == 0 { "someone".to_string() } else { format!("u{:05}", visit % 50) };
        let context = json!({"hour": (visit % 24).to_string(), "weekday": "1", "promo": "0"});
        let ask = json!({"user": user, "k": 5, "time": time, "context": context});
        let list = server.send("POST", "/v1/recommend", &ask);
        let events: Vec<Value> = ids(&list)
            .iter()
            .enumerate()
            .flat_map(|(place, item)| {
                let event = |kind: &str| {
                    json!({"id": format!("{visit}-{place}-{kind}"), "type": kind, "user": user, "item": item,
                        "timestamp": time, "request": list["request"], "position": place + 1, "context": context})
                };
                let mut events = vec![event("impression")];
                events.extend(((visit + place) % 7 == 0).then(|| event("click")));
                events.extend(((visit + place) % 21 == 0).then(|| event("purchase")));
                events
            })
            .collect();
        server.send("POST", "/v1/events", &json!({"events": events}));
    }
    server.send("POST", "/v1/train", &json!({"name": "three", "promote": "always"}));
    // Lists are answered meanwhile.
    server.send("POST", "/v1/recommend", &json!({"user": "u00001"}));
    let job = ended(&server);
    assert_eq!(job["state"], "done", "{job}");
    let result = &job["result"];
    assert!(result["requests"].as_u64().unwrap() >= 100, "{job}");
    for who in ["challenger", "champion"] {
        for task in ["click", "purchase", "purchase_ctcvr"] {
            assert!(result[who][task].as_f64().unwrap() > 0.0, "{who} {task}: {job}");
        }
    }
    assert_eq!(
        (&result["promoted"], job["rounds"].as_array().unwrap().is_empty()),
        (&json!(true), false)
    );
    let models = server.get("/v1/models");
    assert_eq!((&models["serving"], &models["previous"]), (&json!("three"), &json!("two")));
    let list = server.send("POST", "/v1/recommend", &json!({"user": "someone", "time": time + 60}));
    assert_eq!((&list["model"], &list["known"]), (&json!("three"), &json!(true)));
    assert_eq!(server.get("/v1/items/brand-new")["known"], true);
    assert!(server.get("/v1/models/three")["evaluation"]["tasks"]["click"]["auc"].is_number());
    // The next one goes on from there: what came since is read once.
    server.send("POST", "/v1/train", &json!({"name": "four", "promote": "never"}));
    let job = ended(&server);
    assert!(job["detail"].as_str().unwrap().contains("no impressions"), "{job}");
}

#[test]
fn a_job_can_be_cancelled_and_trade_offs_are_kept() {
    let home = tempfile::tempdir().unwrap();
    let directory = own_runs(home.path());
    let server = start(config(), None, Some(&directory));
    assert_eq!(server.call("GET", "/v1/models/one/trade-offs", None).0, 404);
    server.send("POST", "/v1/models/one/trade-offs", &json!({}));
    assert_eq!(server.refused("POST", "/v1/models/one/trade-offs", &json!({})).0, 409);
    let job = ended(&server);
    assert_eq!(job["state"], "done", "{job}");
    let front = server.get("/v1/models/one/trade-offs");
    assert_eq!(front["judge"], "truth");
    assert!(front["points"].as_array().unwrap().len() > 10);
    server.send("POST", "/v1/models/two/trade-offs", &json!({}));
    server.call("DELETE", "/v1/train", None);
    let job = ended(&server);
    assert!(job["state"] == "cancelled" || job["state"] == "done", "{job}");
}

#[test]
fn an_address_that_is_taken_is_named_with_what_to_do() {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let other = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = ServerConfig { listen: other.local_addr().unwrap(), ..config() };
    let address = taken.listen.to_string();
    let error = runtime.block_on(Server::start(taken, Some(&run()), None)).err().unwrap();
    assert!(error.to_string().contains(&address), "{error}");
    assert!(error.hint().unwrap().contains("--listen"), "{error}");
}

#[test]
fn beyond_the_machine_keys_are_needed() {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let open = ServerConfig { listen: "0.0.0.0:0".parse().unwrap(), ..config() };
    let error = runtime.block_on(Server::start(open, Some(&run()), None)).err().unwrap();
    assert!(error.to_string().contains("no API keys"), "{error}");
    let none = tempfile::tempdir().unwrap();
    let error = runtime.block_on(Server::start(config(), None, Some(none.path()))).err().unwrap();
    assert!(error.to_string().contains("no trained run"), "{error}");
}
