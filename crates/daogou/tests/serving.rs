//! What a trained run answers: lists as of a time, lists in an evaluation, and files of any format and size.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use daogou::data::{Dataset, Seen, Timelines};
use daogou::evaluate::{EvaluateOptions, Evaluation};
use daogou::lists::Weights;
use daogou::predict::PredictOptions;
use daogou::recommend::{Ask, recommend};
use daogou::run::TrainedRun;
use daogou::schema::{Config, LabelSource, ModelKind, PurchaseObjective, TaskKind};
use daogou::train::{Options, train};
use daogou_nn::Team;
use tempfile::TempDir;

/// A simulated shop, and a run trained on it for an epoch.
struct Shop {
    directory: TempDir,
    data: Dataset,
    run: TrainedRun,
}

fn shop(kind: ModelKind) -> Shop {
    let directory = tempfile::tempdir().unwrap();
    let options =
        daogou::simulate::Options { users: 60, items: 150, requests: 1500, ..Default::default() };
    daogou::simulate::run(&options, directory.path(), &mut |_| {}).unwrap();
    let mut config = Config::read(&directory.path().join("daogou.toml")).unwrap();
    config.train.epochs = 1;
    config.model.kind = kind;
    if kind == ModelKind::Aitm {
        let purchase = config.tasks.iter_mut().find(|task| task.name == "purchase").unwrap();
        purchase.objective = Some(PurchaseObjective::Aitm);
    }
    if kind == ModelKind::SharedMlp {
        // It has one trunk, over rows: the mix is that of the rows, and there is no novelty.
        config.tasks.retain(|task| task.kind != TaskKind::Share);
        let mix = config.tasks.iter_mut().filter(|task| task.kind == TaskKind::Distribution);
        mix.for_each(|task| {
            (task.source, task.window_days, task.min_events) = (Some(LabelSource::Row), None, None);
        });
    }
    let data = Dataset::load(&config, directory.path()).unwrap();
    let trained = train(&config, &data, &Options::default(), &mut ()).unwrap();
    let run = TrainedRun::new(&config, trained, &data);
    Shop { directory, data, run }
}

static SHOP: LazyLock<Shop> = LazyLock::new(|| shop(ModelKind::SharedBottom));

impl Shop {
    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn predict(&self, input: &str, output: &str, part_rows: usize) -> Vec<u8> {
        let options = PredictOptions { part_rows, ..PredictOptions::default() };
        self.run.predict_file(&self.path(input), &self.path(output), &options).unwrap();
        fs::read(self.path(output)).unwrap()
    }
}

/// The same users' events without those from `time` on.
fn until(all: &Timelines, time: i64) -> Timelines {
    let mut kept = Timelines { offsets: vec![0], ..Timelines::default() };
    for user in 0..all.offsets.len() - 1 {
        for event in all.of(user as u32).filter(|&event| all.time[event] < time) {
            kept.item.push(all.item[event]);
            kept.time.push(all.time[event]);
            kept.weight.push(all.weight[event]);
        }
        kept.offsets.push(kept.item.len() as u32);
    }
    kept
}

#[test]
fn what_is_later_than_the_request_does_not_change_its_list() {
    let mut shop = shop(ModelKind::SharedBottom);
    let mut team = Team::new(1);
    let times = &shop.data.requests.time;
    let middle = times[times.len() / 2];
    let users: Vec<String> = shop.run.stored.users.ids[1..].to_vec();
    let mut lists = |run: &TrainedRun, time: Option<i64>| -> Vec<_> {
        let ask = |user: &String| Ask { user: user.clone(), time, ..Ask::default() };
        users.iter().map(|user| recommend(run, &ask(user), &mut team).unwrap()).collect()
    };
    let then = lists(&shop.run, Some(middle));
    let now = lists(&shop.run, None);
    assert_ne!(then, now, "the second half of the log tells nothing");
    shop.run.stored.timelines = until(&shop.run.stored.timelines, middle);
    let requests = &shop.data.requests;
    let sights = (0..requests.len()).filter(|&r| requests.time[r] < middle).flat_map(|r| {
        let rows = requests.impressions(&(r..r + 1));
        let items = &shop.data.impressions.item;
        rows.map(move |i| (requests.user[r], items[i], requests.time[r]))
    });
    shop.run.stored.seen = Seen::build(users.len() + 1, sights);
    assert_eq!(then, lists(&shop.run, Some(middle)));
}

#[test]
fn the_session_and_exploration_move_what_is_aimed_at() {
    let mut shop = shop(ModelKind::SharedBottom);
    let mut team = Team::new(1);
    let timelines = &shop.run.stored.timelines;
    let user = (1..shop.run.stored.users.ids.len()).find(|&u| !timelines.of(u as u32).is_empty());
    let user = user.expect("somebody clicked");
    let event = timelines.of(user as u32).start;
    let category = shop.run.stored.catalogue.category[timelines.item[event] as usize] as usize;
    let name = shop.run.stored.catalogue.categories[category].clone();
    let id = shop.run.stored.users.ids[user].clone();
    let ask = Ask { user: id, time: Some(timelines.time[event] + 1), ..Ask::default() };
    let before = recommend(&shop.run, &ask, &mut team).unwrap();
    shop.run.config.lists.session_mix = 0.5;
    let after = recommend(&shop.run, &ask, &mut team).unwrap();
    // One event in the session: half of what is wanted moves to its category.
    for (other, share) in &before.wanted.mix {
        let moved = 0.5 * share + if *other == name { 0.5 } else { 0.0 };
        assert!((after.wanted.mix[other] - moved).abs() < 1e-6, "{other}");
    }
    let later = Ask { time: ask.time.map(|time| time + 3600), ..ask.clone() };
    let session = recommend(&shop.run, &later, &mut team).unwrap();
    shop.run.config.lists.session_mix = 0.0;
    assert_eq!(session, recommend(&shop.run, &later, &mut team).unwrap(), "another session");

    let weights = Weights { click: 1.0, diversity: 50.0, ..Weights::default() };
    let mut entropy = |explore: f64| {
        let ask = Ask { explore: Some(explore), weights: Some(weights), ..ask.clone() };
        recommend(&shop.run, &ask, &mut team).map(|list| list.list.entropy.unwrap())
    };
    assert!(entropy(1.0).unwrap() >= entropy(0.0).unwrap());
    let message = entropy(1.5).unwrap_err().to_string();
    assert!(message.contains("lists.explore") && message.contains("got 1.5"), "{message}");
}

#[test]
fn an_evaluation_holds_lists_beside_baselines() {
    let Shop { data, run, .. } = &*SHOP;
    let evaluate = || run.evaluate(data, &data.split.test, &EvaluateOptions::default()).unwrap();
    let found = evaluate();
    let built = &found.lists.built;
    let names: Vec<&str> = built.keys().map(String::as_str).collect();
    assert_eq!(names, ["click_top_k", "logged", "model", "popularity"]);
    let model = &built["model"];
    assert_eq!((model.n as usize, model.k), (data.split.test.len(), run.config.lists.k));
    for (who, r) in built {
        let all = [
            r.category_entropy,
            r.coverage,
            r.ild,
            r.ild_vectors,
            r.kl,
            r.unseen_share,
            r.long_tail_share,
            r.self_information,
            r.catalogue_coverage,
            r.gini,
            r.exposure_entropy,
        ];
        assert!(all.iter().all(|value| value.is_some_and(f64::is_finite)), "{who}: {r:?}");
        assert!(r.ndcg.is_none(), "nobody knows what unshown items would have got");
        assert_eq!(r.intervals.is_empty(), who != "model", "{who}");
    }
    // What the objective asks for is what comes out: nearer to the wanted mix than clicks alone.
    assert!(model.kl < built["click_top_k"].kl, "{:?}", (model.kl, built["click_top_k"].kl));
    // Everybody gets the same K items.
    let k = run.config.lists.k as f64;
    let popular = &built["popularity"];
    assert!((popular.exposure_entropy.unwrap() - k.ln()).abs() < 1e-9);
    let share = k / (data.items.ids.len() as f64);
    assert!((popular.catalogue_coverage.unwrap() - share).abs() < 1e-3);
    assert!(found == evaluate(), "the same sample gives the same numbers");

    let json = serde_json::to_value(&found).unwrap();
    assert!(json["lists"]["ndcg"].is_number() && json["lists"]["built"]["model"]["kl"].is_number());
    assert_eq!(serde_json::from_value::<Evaluation>(json).unwrap(), found);
    let text = daogou::evaluate::table::table(&found);
    assert!(text.contains("built, top 10") && text.contains("exposure H"), "{text}");
    let tables = text.lines().filter(|line| !line.contains("note:"));
    assert!(tables.clone().all(|line| line.chars().count() <= 80), "{text}");
}

/// Rows of an output as JSON objects, by writing them once more as JSON lines.
fn objects(path: &Path) -> Vec<serde_json::Map<String, serde_json::Value>> {
    let text = fs::read_to_string(path).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn parts_join_without_a_seam_in_every_model() {
    use ModelKind::{Aitm, Mmoe, Ple, SharedBottom, SharedMlp, SingleTask, Stem};
    for kind in [SharedBottom, SharedMlp, SingleTask, Mmoe, Ple, Aitm, Stem] {
        let shop = shop(kind);
        let whole = shop.predict("impressions.parquet", "whole.csv", 1 << 16);
        for rows in [1000, 257, 7] {
            let parts = shop.predict("impressions.parquet", "parts.csv", rows);
            assert!(whole == parts, "{kind:?} in parts of {rows} rows");
        }
        let packed = shop.predict("impressions.parquet", "parts.csv.gz", 1000);
        assert!(packed.starts_with(&[0x1f, 0x8b]) && packed.len() < whole.len());
    }
}

#[test]
fn every_format_holds_the_same_rows_and_answers() {
    let shop = &*SHOP;
    let text = String::from_utf8(shop.predict("impressions.parquet", "a.csv", 4000)).unwrap();
    let rows = text.lines().count() - 1;
    assert_eq!(rows, shop.data.impressions.item.len());
    let first = shop.predict("impressions.parquet", "a.jsonl", 4000);
    assert_eq!(objects(&shop.path("a.jsonl")).len(), rows);
    let object = &objects(&shop.path("a.jsonl"))[0];
    assert!(object["click"].is_number() && object["user_id"].is_string(), "{object:?}");
    let p = object["p_click"].as_f64().unwrap();
    let mix: f64 = object
        .iter()
        .filter(|(k, _)| k.starts_with("p_diversity_"))
        .map(|(_, v)| v.as_f64().unwrap())
        .sum();
    assert!(p > 0.0 && p < 1.0 && (mix - 1.0).abs() < 1e-4, "{object:?}");

    // Through each format and back to JSON lines, without the columns that were added on the way.
    let bare = "bare.jsonl";
    let keep = |object: &serde_json::Map<String, serde_json::Value>| {
        let kept = object.iter().filter(|(name, _)| !name.starts_with("p_"));
        serde_json::to_string(
            &kept.map(|(k, v)| (k.clone(), v.clone())).collect::<serde_json::Map<_, _>>(),
        )
        .unwrap()
    };
    let lines: Vec<String> = objects(&shop.path("a.jsonl")).iter().map(keep).collect();
    fs::write(shop.path(bare), lines.join("\n") + "\n").unwrap();
    assert!(first == shop.predict(bare, "b.jsonl", 999), "JSON lines stay the objects they were");
    assert!(text.as_bytes() == shop.predict(bare, "b.csv", 999), "JSON lines to CSV");
    let tsv = String::from_utf8(shop.predict(bare, "b.tsv.gz", 999)).is_err();
    assert!(tsv, "packed");

    // Parquet keeps the types of the columns it came with.
    shop.predict("impressions.parquet", "a.parquet", 4000);
    let file = fs::File::open(shop.path("a.parquet")).unwrap();
    let reader =
        parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder::try_new(file).unwrap();
    let names: Vec<&str> = text.lines().next().unwrap().split(',').collect();
    let schema = reader.schema().clone();
    assert_eq!(names, schema.fields().iter().map(|f| f.name().as_str()).collect::<Vec<_>>());
    let before = fs::File::open(shop.path("impressions.parquet")).unwrap();
    let before =
        parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder::try_new(before).unwrap();
    for field in before.schema().fields() {
        let kept = schema.field_with_name(field.name()).unwrap();
        assert_eq!(kept.data_type(), field.data_type(), "{}", field.name());
    }
    let found: usize = reader.build().unwrap().map(|batch| batch.unwrap().num_rows()).sum();
    assert_eq!(found, rows);
}

#[test]
fn what_cannot_be_predicted_is_said_and_leaves_nothing() {
    let shop = &*SHOP;
    let home = tempfile::tempdir().unwrap();
    let options = PredictOptions::default();
    let input = shop.path("impressions.parquet");
    let refused = |input: &Path, output: &str, part: &str| {
        let error = shop.run.predict_file(input, &home.path().join(output), &options);
        let message = error.unwrap_err().to_string();
        assert!(message.contains(part), "{message}");
    };
    refused(&input, "a.xlsx", ".jsonl");
    refused(&input, "nowhere/a.csv", "could not be written");
    fs::create_dir(home.path().join("folder.csv")).unwrap();
    refused(&input, "folder.csv", "expected a file to write");
    assert_eq!(fs::read_dir(home.path()).unwrap().count(), 1, "something was left");
    shop.predict("impressions.parquet", "twice.csv", 4000);
    refused(&shop.path("twice.csv"), "b.csv", "expected no column `p_click`");
    let text = fs::read_to_string(shop.path("twice.csv")).unwrap();
    let header = text.lines().next().unwrap().split(",p_").next().unwrap().to_string();
    fs::write(shop.path("empty.csv"), &header).unwrap();
    refused(&shop.path("empty.csv"), "b.csv", "has no rows");
    fs::write(shop.path("short.csv"), header.replacen("user_id", "person", 1) + "\n").unwrap();
    refused(&shop.path("short.csv"), "b.csv", "expected a column `user_id`");
    fs::write(home.path().join("b.csv"), "mine").unwrap();
    refused(&shop.path("empty.csv"), "b.csv", "has no rows");
    assert_eq!(fs::read_to_string(home.path().join("b.csv")).unwrap(), "mine");
}
