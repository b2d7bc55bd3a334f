//! What a log does not show as it is: thinned negatives, late purchases, a policy's choice, an older run.

use std::path::Path;
use std::sync::LazyLock;

use daogou::artifact::Provenance;
use daogou::data::{Dataset, Encoding};
use daogou::metrics::logloss::sigmoid;
use daogou::models::{Mode, Source, predict};
use daogou::run::TrainedRun;
use daogou::schema::{Config, DelayedFeedback, ModelKind, PurchaseObjective, Role};
use daogou::train::{Observer, Options, Progress, Trained, constants, train};
use daogou_nn::{Parameters, Team};
use tempfile::TempDir;

fn shop(users: u32, requests: u64) -> (Config, TempDir) {
    let directory = tempfile::tempdir().unwrap();
    let options = daogou::simulate::Options { users, items: 150, requests, ..Default::default() };
    daogou::simulate::run(&options, directory.path(), &mut |_| {}).unwrap();
    let mut config = Config::read(&directory.path().join("daogou.toml")).unwrap();
    config.train.patience = 0;
    config.train.epochs = 2;
    config.model.embedding_dim = 8;
    config.model.shared_units = vec![32];
    (config, directory)
}

static SMALL: LazyLock<(Config, TempDir)> = LazyLock::new(|| shop(60, 1000));

fn small(change: impl Fn(&mut Config)) -> (Config, Dataset) {
    let mut config = SMALL.0.clone();
    change(&mut config);
    let data = Dataset::load(&config, SMALL.1.path()).unwrap();
    (config, data)
}

fn trained(config: &Config, data: &Dataset, threads: usize) -> Trained {
    let mut config = config.clone();
    config.train.threads = threads;
    train(&config, data, &Options::default(), &mut ()).unwrap()
}

fn bits(parameters: &Parameters) -> Vec<u32> {
    let tables = parameters.tables().iter().flat_map(daogou_nn::Table::values);
    parameters.dense().iter().chain(tables).map(|v| v.to_bits()).collect()
}

/// Ends a training after some steps, and keeps what it is told.
#[derive(Default)]
struct Watch {
    ends_after: Option<usize>,
    steps: usize,
    notes: Vec<String>,
}

impl Observer for Watch {
    fn step(&mut self, _: &Progress<'_>) {
        self.steps += 1;
    }
    fn stops(&self) -> bool {
        self.ends_after == Some(self.steps)
    }
    fn note(&mut self, text: &str) {
        self.notes.push(text.into());
    }
}

/// The same bits on one thread and two, and killed and resumed at several places.
fn repeats(config: &Config, data: &Dataset) {
    let one = bits(&trained(config, data, 1).parameters);
    assert!(one == bits(&trained(config, data, 2).parameters), "threads");
    let mut config = config.clone();
    config.train.checkpoint_steps = 2;
    for ends_after in [3, 7, 13] {
        let directory = tempfile::tempdir().unwrap();
        let options = |resume| Options { checkpoints: Some(directory.path().join("run")), resume };
        let mut kill = Watch { ends_after: Some(ends_after), ..Watch::default() };
        assert!(train(&config, data, &options(false), &mut kill).is_err(), "{ends_after} steps");
        let resumed = train(&config, data, &options(true), &mut ()).unwrap();
        assert!(one == bits(&resumed.parameters), "killed after {ends_after} steps");
    }
}

/// Mean answer over mean label of clicks and of purchases among all, on a part of the log.
fn pcoc(trained: &Trained, data: &Dataset, part: std::ops::Range<usize>) -> [f64; 2] {
    let requests: Vec<u32> = part.clone().map(|r| r as u32).collect();
    let network = &trained.network;
    let logits = predict(
        (&network.model, &trained.parameters),
        (&network.feed, &network.heads),
        &Source::from(data),
        &requests,
        Mode::Evaluate,
        &mut Team::new(1),
    );
    let rows = data.requests.impressions(&part);
    let labels = |task: usize| -> f64 {
        data.impressions.labels[task][rows.clone()].iter().map(|y| f64::from(*y)).sum()
    };
    let p = |task: usize, row: usize| sigmoid(f64::from(logits[task].values[row]));
    let clicks: f64 = (0..rows.len()).map(|row| p(0, row)).sum();
    let purchases: f64 = (0..rows.len()).map(|row| p(0, row) * p(1, row)).sum();
    [clicks / labels(0), purchases / labels(1)]
}

#[test]
fn thinned_negatives_leave_probabilities_as_they_are() {
    let (mut config, directory) = shop(300, 6000);
    config.train.epochs = 3;
    config.train.batch_size = 512;
    let data = Dataset::load(&config, directory.path()).unwrap();
    let all = trained(&config, &data, 2);
    config.train.negative_rate = 0.2;
    let some = trained(&config, &data, 2);
    let (read, of) = (some.history[0].impressions, all.history[0].impressions);
    assert!(read * 3 < of && read * 6 > of, "{read} of {of}");
    assert_ne!(some.history[1].impressions, read, "drawn anew");
    let [clicks, purchases] = pcoc(&some, &data, data.split.train.clone());
    assert!((clicks - 1.0).abs() < 0.05, "PCOC of clicks in training: {clicks}");
    assert!((purchases - 1.0).abs() < 0.25, "PCOC of purchases in training: {purchases}");
    let later = data.split.valid.start..data.split.test.end;
    let [clicks, _] = pcoc(&some, &data, later);
    assert!((clicks - 1.0).abs() < 0.15, "PCOC of clicks later: {clicks}");
    // What is thrown away says little.
    let auc = |trained: &Trained| trained.history.last().unwrap().valid[0].auc.unwrap();
    assert!(auc(&some) > auc(&all) - 0.03, "{} and {}", auc(&some), auc(&all));
}

#[test]
fn thinned_rows_are_a_function_of_the_seed() {
    for kind in [ModelKind::SharedBottom, ModelKind::SingleTask] {
        let (config, data) = small(|c| {
            c.model.kind = kind;
            c.train.negative_rate = 0.3;
            c.train.position_dropout = 0.2;
            c.train.ipw_clip = 5.0;
            c.train.batch_size = 256;
        });
        repeats(&config, &data);
    }
}

#[test]
fn positions_are_not_told_to_all_and_what_is_rare_counts_more() {
    let with = |change: fn(&mut Config)| {
        let (config, data) = small(change);
        trained(&config, &data, 1)
    };
    let plain = with(|_| ());
    for other in [with(|c| c.train.position_dropout = 0.5), with(|c| c.train.ipw_clip = 10.0)] {
        assert!(bits(&plain.parameters) != bits(&other.parameters));
        assert!(other.history[1].train_loss[0] < other.history[0].train_loss[0]);
    }
}

/// The purchase task with purchase times.
fn late(config: &mut Config, days: Option<f64>, feedback: Option<DelayedFeedback>) {
    config.columns.purchase_time = Some("purchase_time".into());
    let purchase = config.task_of(Role::Purchase).unwrap();
    let task = &mut config.tasks[purchase];
    (task.attribution_days, task.delayed_feedback) = (days, feedback);
}

#[test]
fn purchases_count_within_their_window_and_open_windows_wait() {
    let (_, as_logged) = small(|_| ());
    let bought = |data: &Dataset| -> usize {
        data.impressions.labels[1].iter().map(|y| usize::from(*y)).sum()
    };
    let (config, data) = small(|c| late(c, Some(1.0), None));
    assert!(bought(&data) > 0 && bought(&data) < bought(&as_logged));
    let train_rows = data.requests.impressions(&data.split.train);
    let open = data.impressions.unsettled.iter().filter(|open| **open).count();
    assert!(open > 0 && open < train_rows.len() / 2, "{open} of {}", train_rows.len());
    assert!(data.impressions.unsettled[train_rows.end..].iter().all(|open| !open));
    repeats(&config, &data);

    // What an open window would say makes no difference to what is learned.
    let mut other = data.clone();
    for i in 0..data.impressions.unsettled.len() {
        if data.impressions.unsettled[i] {
            other.impressions.labels[1][i] = data.impressions.labels[0][i];
        }
    }
    assert!(bought(&other) > bought(&data));
    assert_eq!(constants(&config, &data).unwrap(), constants(&config, &other).unwrap());
    let same = [&data, &other].map(|data| bits(&trained(&config, data, 1).parameters));
    assert!(same[0] == same[1]);
}

#[test]
fn fake_negatives_learn_the_rate_of_what_was_bought() {
    let (mut config, directory) = shop(200, 3000);
    config.train.epochs = 4;
    late(&mut config, None, Some(DelayedFeedback::Fnw));
    let refused = config.check().unwrap_err().to_string();
    assert!(refused.contains("delayed_feedback") && refused.contains("esmm"), "{refused}");
    let purchase = config.task_of(Role::Purchase).unwrap();
    config.tasks[purchase].objective = Some(PurchaseObjective::ClickSpace);
    let data = Dataset::load(&config, directory.path()).unwrap();
    let trained = trained(&config, &data, 2);
    let losses: Vec<f64> = trained.history.iter().map(|round| round.train_loss[1]).collect();
    assert!(losses[3] < losses[0] && losses[0] < 1.5, "{losses:?}");
    let [_, purchases] = pcoc(&trained, &data, data.split.train.clone());
    assert!((purchases - 1.0).abs() < 0.25, "{purchases}");
}

#[test]
fn tables_begin_anew_where_that_is_asked_for() {
    let start = |reset, epochs| {
        let (config, data) = small(|c| {
            c.train.reset_embeddings = reset;
            (c.train.epochs, c.train.table_learning_rate) = (epochs, 0.0);
        });
        trained(&config, &data, 1).parameters
    };
    let same = |a: &Parameters, b: &Parameters| {
        a.tables().iter().zip(b.tables()).all(|(a, b)| a.values() == b.values())
    };
    let (first, kept, anew) = (start(true, 1), start(false, 2), start(true, 2));
    assert!(same(&first, &kept), "nothing moves a table");
    assert!(anew.tables().iter().zip(kept.tables()).all(|(a, b)| a.values() != b.values()));
    let (config, data) = small(|c| c.train.reset_embeddings = true);
    repeats(&config, &data);
}

fn saved(config: &Config, data: &Dataset, directory: &Path) -> TrainedRun {
    let trained = trained(config, data, 1);
    let provenance = Provenance {
        created_at: "2026-01-01T00:00:00Z".into(),
        seed: config.train.seed,
        data_fingerprint: data.report.fingerprint.clone(),
        metrics: serde_json::Value::Null,
    };
    let history = trained.history.clone();
    let run = TrainedRun::new(config, trained, data);
    run.save(directory, &history, provenance).unwrap();
    run
}

/// Trains from a run without moving anything: what is left is what was taken over.
fn started(run: &Path, change: impl Fn(&mut Config)) -> (Trained, Dataset, String) {
    let (config, data) = small(|c| {
        c.train.warm_start = Some(run.display().to_string());
        (c.train.learning_rate, c.train.table_learning_rate) = (0.0, 0.0);
        change(c);
    });
    let mut watch = Watch::default();
    let trained = train(&config, &data, &Options::default(), &mut watch).unwrap();
    (trained, data, watch.notes.concat())
}

#[test]
fn a_run_starts_from_another_whose_users_and_items_were_fewer() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("older");
    // The first days only: not all of today's ids had been seen.
    let (config, data) = small(|c| {
        (c.data.split.train, c.data.split.valid, c.data.split.test) = (0.2, 0.1, 0.7);
    });
    let older = saved(&config, &data, &path);
    let (newer, data, note) = started(&path, |_| ());
    assert!(note.contains("started from") && note.contains("table rows"), "{note}");
    for param in newer.network.model.params() {
        let found = older.network.model.params().iter().find(|p| p.name == param.name).unwrap();
        if (found.rows, found.cols) != (param.rows, param.cols) {
            assert!(note.contains(&param.name), "{} is not told of: {note}", param.name);
            continue;
        }
        let values = &older.parameters.dense()[found.range()];
        assert!(newer.parameters.dense()[param.range()] == *values, "{}", param.name);
    }
    let first = Parameters::new(&newer.network.model, 1);
    let table = |parameters: &Parameters, name: &str| {
        parameters.tables().iter().find(|t| t.name() == name).unwrap().clone()
    };
    let known = |space: &daogou::data::FeatureSpace, name: &str| -> Vec<String> {
        let field = space.fields.iter().position(|f| f.name == name).unwrap();
        let Encoding::Vocabulary { values } = &space.encodings[field] else { panic!("ids") };
        values.clone()
    };
    for (feature, name) in [("user_id", "user_embed"), ("item_id", "item_embed")] {
        let before = known(&older.stored.space, feature);
        let (old, new) = (table(&older.parameters, name), table(&newer.parameters, name));
        let mut new_ids = 0;
        for (row, id) in (1..).zip(known(&data.space, feature)) {
            let expected = match before.iter().position(|known| *known == id) {
                Some(index) => old.row(index as u32 + 1).to_vec(),
                None => {
                    new_ids += 1;
                    table(&first, name).row(row).to_vec()
                }
            };
            assert_eq!(new.row(row), expected, "{feature} {id}");
        }
        assert!(new_ids > 0 && !before.is_empty(), "{feature}: {new_ids} are new");
        assert_eq!(new.row(0), old.row(0), "everyone unknown");
    }
    let (config, data) = small(|c| c.train.warm_start = Some(path.display().to_string()));
    repeats(&config, &data);
}

#[test]
fn what_does_not_fit_an_older_run_is_told() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("older");
    let (config, data) = small(|c| c.train.epochs = 1);
    saved(&config, &data, &path);
    let (_, _, note) = started(&path, |c| c.model.tower_units = vec![8]);
    assert!(note.contains("`ctr_tower.0.weight` (expected 8 x"), "{note}");
    let (_, _, note) = started(&path, |c| c.features.retain(|f| f.name != "seller"));
    assert!(note.contains("the run reads other fields"), "{note}");
    let (config, data) = small(|c| {
        // Tables of other names, and other fields.
        c.model.kind = ModelKind::SingleTask;
        c.features.retain(|f| f.name != "seller");
        c.train.warm_start = Some(path.display().to_string());
    });
    let refused = train(&config, &data, &Options::default(), &mut ()).err().unwrap().to_string();
    assert!(refused.contains("train.warm_start") && refused.contains("nothing"), "{refused}");
}
