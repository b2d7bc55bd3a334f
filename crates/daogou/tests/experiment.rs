//! Experiments and searches on a small simulated shop: what is interrupted ends like what was not, and the test split is
//! looked at once.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use daogou::experiment::{self, Design, Event, Options, Results, Spec, Watch};
use daogou::run::TrainedRun;
use daogou::schema::Config;
use daogou::tune::{self, Space};

const SMALL: &str = "
title = 'Small'
seeds = 2
[set]
train.epochs = 2
model = { embedding_dim = 4, request_units = [8], shared_units = [8], tower_units = [4] }
[simulate]
users = 60
items = 60
requests = 700
click_intercept = -1.0
purchase_intercept = -1.0
[[variant]]
name = 'together'
[[variant]]
name = 'apart'
set.model.kind = 'single_task'
";

fn design(text: &str) -> Design {
    Design::new(&Spec::parse(text, Path::new("small.toml")).unwrap(), Path::new(".")).unwrap()
}

fn options(out: &Path) -> Options {
    Options { out: out.into(), threads: 1, resume: false, validation_only: false, keep_runs: false }
}

fn results(design: &Design, options: &Options) -> Results {
    experiment::run(design, options, &()).unwrap().0
}

/// Counts what happens.
#[derive(Default)]
struct Count {
    trained: AtomicUsize,
    measured: AtomicUsize,
    worlds: Mutex<Vec<String>>,
}

impl Watch for Count {
    fn see(&self, event: &Event<'_>) {
        match event {
            Event::Trained { .. } => drop(self.trained.fetch_add(1, Ordering::Relaxed)),
            Event::Measured { .. } => drop(self.measured.fetch_add(1, Ordering::Relaxed)),
            Event::Simulating { world } => self.worlds.lock().unwrap().push((*world).into()),
            Event::Found { .. } => {}
        }
    }
}

#[test]
fn threads_and_interruptions_change_no_result() {
    let directory = tempfile::tempdir().unwrap();
    let text = SMALL.replace("seeds = 2", "seeds = 2\nfractions = [1.0, 0.5]");
    let design = design(&text);
    let (one, two) = (directory.path().join("one"), directory.path().join("two"));
    let whole = results(&design, &options(&one));
    assert_eq!((whole.points.len(), whole.baseline.as_str(), whole.tested), (2, "apart", true));
    let (full, half) = (&whole.points[0], &whole.points[1]);
    assert!((half.train_impressions / full.train_impressions - 0.5).abs() < 0.01);

    let count = Count::default();
    let first = Options { threads: 2, validation_only: true, ..options(&two) };
    experiment::run(&design, &first, &count).unwrap();
    assert_eq!((count.trained.into_inner(), count.measured.into_inner()), (8, 0));
    assert_eq!(*count.worlds.lock().unwrap(), ["shop-seed-1"], "fractions share a log");
    // As a kill would leave it: two runs unfinished, one of them without its record, one without itself.
    fs::remove_file(two.join("runs/fraction-1/apart/seed-2.json")).unwrap();
    fs::remove_dir_all(two.join("runs/fraction-0.5/together/seed-1")).unwrap();
    fs::remove_file(two.join("results.json")).unwrap();
    let count = Count::default();
    let rest = Options { threads: 2, resume: true, ..options(&two) };
    experiment::run(&design, &rest, &count).unwrap();
    assert_eq!((count.trained.into_inner(), count.measured.into_inner()), (2, 8));
    assert!(count.worlds.lock().unwrap().is_empty(), "the log is there");
    let bytes = |out: &Path| fs::read(out.join("results.json")).unwrap();
    assert!(bytes(&one) == bytes(&two));
    for file in
        ["table.md", "costs.json", "charts/curve-click-auc.svg", "charts/difference-click-auc.svg"]
    {
        assert!(one.join(file).exists(), "{file}");
    }
    assert!(!one.join("runs/fraction-1/apart/seed-1").exists(), "a run goes when it was measured");
    let read: Results = serde_json::from_slice(&bytes(&one)).unwrap();
    assert!(read == whole, "what is written is what was found");

    // Once more: everything is there, and nothing is measured again.
    let count = Count::default();
    let again = experiment::run(&design, &rest, &count).unwrap().0;
    assert_eq!((count.trained.into_inner(), count.measured.into_inner()), (0, 0));
    assert!(again == whole);
}

#[test]
fn the_numbers_are_those_of_training_and_evaluating_by_hand() {
    let directory = tempfile::tempdir().unwrap();
    let out = directory.path().join("out");
    let found = results(&design(SMALL), &Options { keep_runs: true, ..options(&out) });
    let shop = directory.path().join("shop");
    let world = daogou::simulate::Options {
        users: 60,
        items: 60,
        requests: 700,
        click_intercept: -1.0,
        purchase_intercept: -1.0,
        ..Default::default()
    };
    daogou::simulate::run(&world, &shop, &mut |_| {}).unwrap();
    let mut aucs = BTreeMap::new();
    for (name, kind) in [("together", "shared_bottom"), ("apart", "single_task")] {
        for seed in [1, 2] {
            let mut config = Config::read(&shop.join("daogou.toml")).unwrap();
            let sets = [
                "train.epochs=2".to_string(),
                "model.embedding_dim=4".into(),
                "model.request_units=[8]".into(),
                "model.shared_units=[8]".into(),
                "model.tower_units=[4]".into(),
                format!("model.kind={kind}"),
                format!("train.seed={seed}"),
            ];
            config.set_all(sets.iter().map(String::as_str)).unwrap();
            let data = daogou::data::load(&config, &shop).unwrap();
            let trained =
                daogou::train::train(&config, &data, &daogou::train::Options::default(), &mut ())
                    .unwrap();
            let run = TrainedRun::new(&config, trained, &data);
            let measured = run.evaluate(
                &data,
                &data.split.test,
                &daogou::evaluate::EvaluateOptions { lists: 0, ..Default::default() },
            );
            let daogou::evaluate::TaskReport::Binary(click) = &measured.unwrap().tasks["click"]
            else {
                panic!("click is a yes-or-no task")
            };
            aucs.insert((name, seed), click.auc.unwrap());
        }
    }
    for variant in &found.points[0].variants {
        let own = |seed| aucs[&(variant.name.as_str(), seed)];
        for run in &variant.runs {
            assert_eq!(
                run.test.as_ref().unwrap()["click.auc"],
                Some(own(run.seed)),
                "{}",
                variant.name
            );
        }
        let test = variant.test.as_ref().unwrap();
        assert!((test.means["click.auc"].mean - f64::midpoint(own(1), own(2))).abs() < 1e-12);
        if variant.name == "together" {
            let differences = [1, 2].map(|seed| own(seed) - aucs[&("apart", seed)]);
            let mean = f64::midpoint(differences[0], differences[1]);
            // Of two values the standard error is half their distance; t with one degree of freedom.
            let margin = 12.706_204_736 * (differences[0] - differences[1]).abs() / 2.0;
            let got = test.differences["click.auc"];
            assert!((got.mean - mean).abs() < 1e-12, "{got:?}, {mean}");
            assert!((got.margin.unwrap() - margin).abs() < 1e-8, "{got:?}, {margin}");
        }
        assert!(variant.parameters > 1_000 && variant.bytes > 4.0 * variant.parameters as f64);
    }
    // A run that was kept is a run like any other.
    let kept = out.join("runs/all/apart/seed-2");
    let (run, manifest) = TrainedRun::open(&kept).unwrap();
    run.training_log(&manifest).unwrap();
}

/// The truth of a simulated shop is measured as well, and its own answers would close the whole gap.
#[test]
fn a_simulated_shop_is_measured_by_its_truth() {
    let directory = tempfile::tempdir().unwrap();
    let text = SMALL.replace("seeds = 2", "seeds = 1\nworld_per_seed = true");
    let found = results(&design(&text), &options(&directory.path().join("out")));
    let keys: Vec<&str> = found.metrics.iter().map(|metric| metric.key.as_str()).collect();
    for key in [
        "click.auc",
        "click.ne",
        "purchase.auc",
        "purchase_ctcvr.auc",
        "diversity.ce",
        "novelty.mse",
        "click.gap_closed",
        "purchase_ctcvr.gap_closed",
        "purchase.auc_all",
        "purchase.gap_closed_all",
    ] {
        assert!(keys.contains(&key), "no {key} in {keys:?}");
    }
    for variant in &found.points[0].variants {
        let means = &variant.test.as_ref().unwrap().means;
        let closed = means["click.gap_closed"].mean;
        assert!(closed > 0.1 && closed < 1.0, "{closed}");
        assert_eq!(means["click.gap_closed"].margin, None);
    }
    let page = fs::read_to_string(directory.path().join("out/table.md")).unwrap();
    assert!(page.contains("One seed: no intervals"), "{page}");
}

#[test]
fn a_directory_holds_one_experiment_and_its_test_split_is_looked_at_once() {
    let directory = tempfile::tempdir().unwrap();
    let out = directory.path().join("out");
    let quick = SMALL.replace("seeds = 2", "seeds = 1").replace("epochs = 2", "epochs = 1");
    let more = format!("{quick}[[variant]]\nname = 'more'\nset.model.kind = 'mmoe'\n");
    let refused = |text: &str, options: &Options| {
        let error = experiment::run(&design(text), options, &()).unwrap_err();
        format!("{error} ({})", error.hint().unwrap_or_default())
    };
    let resume = Options { resume: true, ..options(&out) };
    let peek = Options { validation_only: true, ..options(&out) };
    results(&design(&quick), &peek);
    let said = refused(&quick, &peek);
    assert!(said.contains("\"Small\"") && said.contains("--resume"), "{said}");
    // Before the test split was seen an experiment may grow.
    let count = Count::default();
    experiment::run(&design(&more), &Options { resume: true, ..peek.clone() }, &count).unwrap();
    assert_eq!(count.trained.into_inner(), 1);
    results(&design(&more), &resume);
    let said = refused(&quick, &resume);
    assert!(said.contains("test split has been measured") && said.contains("--out"), "{said}");
    let changed = more.replace("epochs = 1", "epochs = 2");
    let said = refused(&changed, &resume);
    assert!(said.contains("test split has been measured"), "{said}");

    let other = directory.path().join("other");
    fs::create_dir(&other).unwrap();
    fs::write(other.join("letter.txt"), "dear").unwrap();
    let said = refused(&quick, &options(&other));
    assert!(said.contains("something else"), "{said}");
    assert!(other.join("letter.txt").exists());
}

#[test]
fn a_training_that_fails_is_named() {
    let directory = tempfile::tempdir().unwrap();
    let text = SMALL.replace("set.model.kind = 'single_task'", "set.train.learning_rate = 1e30");
    let error =
        experiment::run(&design(&text), &options(&directory.path().join("out")), &()).unwrap_err();
    let said = error.to_string();
    assert!(said.contains("apart, seed 1") && said.contains("diverged"), "{said}");
}

/// Every experiment that is committed can be read, and its variants are configurations. Where its log is not there, the
/// simulated shop's configuration stands for it.
#[test]
fn committed_experiments_are_ones_that_the_program_accepts() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../experiments");
    let mut seen = 0;
    for entry in fs::read_dir(&directory).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|ending| ending != "toml") {
            continue;
        }
        let mut spec = Spec::read(&path).unwrap();
        if spec.data.is_some() {
            (spec.data, spec.simulate) = (None, Some(toml::Table::new()));
        }
        if let Err(error) = Design::new(&spec, &directory) {
            panic!("{}: {error}", path.display());
        }
        seen += 1;
    }
    assert!(seen >= 9, "{seen}");
}

fn search(out: &Path) -> tune::Options {
    tune::Options {
        out: out.into(),
        threads: 1,
        resume: false,
        trials: 5,
        rungs: 2,
        eta: 2,
        seed: 3,
        fresh_seeds: 2,
        metric: tune::LOSS.into(),
    }
}

fn space(keys: &[&str]) -> Space {
    let mut space = Space::default();
    keys.iter().for_each(|key| space.add(key).unwrap());
    space
}

fn small_shop(directory: &Path) -> Config {
    let world = daogou::simulate::Options {
        users: 60,
        items: 60,
        requests: 700,
        click_intercept: -1.0,
        purchase_intercept: -1.0,
        ..Default::default()
    };
    daogou::simulate::run(&world, directory, &mut |_| {}).unwrap();
    let mut config = Config::read(&directory.join("daogou.toml")).unwrap();
    let sets = [
        "train.epochs=2",
        "model.embedding_dim=4",
        "model.request_units=[8]",
        "model.shared_units=[8]",
    ];
    config.set_all(sets).unwrap();
    config
}

#[test]
fn a_search_repeats_resumes_and_gives_a_configuration() {
    let directory = tempfile::tempdir().unwrap();
    let config = small_shop(directory.path());
    // One step size learns hardly anything; a lucky draw is far better.
    let mut slow = config.clone();
    slow.set_all(["train.learning_rate=1e-6", "train.table_learning_rate=1e-6"]).unwrap();
    let space = space(&[
        "train.learning_rate=1e-3..1e-2:log",
        "train.table_learning_rate=1e-2..1e-1:log",
        "model.kind=mmoe|ple",
    ]);
    let (one, two) = (directory.path().join("one"), directory.path().join("two"));
    let run = |options: &tune::Options| {
        tune::tune(&slow, directory.path(), &space, options, &()).unwrap()
    };
    let found = run(&search(&one));
    assert!(found.chosen > 0 && found.score < found.before, "{found:?}");
    assert!(found.gain.unwrap().mean > 0.0 && found.fresh.unwrap().n == 2, "{found:?}");
    assert_eq!(found.rungs[0].trials.len(), 5);
    assert_eq!(found.rungs[1].trials.len(), 3);
    assert_eq!(found.rungs[1].trials[0].0, 0, "the configuration as it is goes to the end");
    let best = Config::read(&one.join("best.toml")).unwrap();
    let mut expected = slow.with_absolute_paths(directory.path()).unwrap();
    expected.set_all(found.set.iter().map(String::as_str)).unwrap();
    assert!(best == expected, "best.toml is the configuration with what was chosen");

    run(&tune::Options { threads: 2, ..search(&two) });
    fs::remove_file(two.join("rung-1/trial-3.json")).unwrap();
    fs::remove_file(two.join("tuned.json")).unwrap();
    fs::remove_dir_all(two.join("fresh")).unwrap();
    let again = run(&tune::Options { threads: 2, resume: true, ..search(&two) });
    assert!(again == found);
    assert_eq!(
        fs::read(one.join("tuned.json")).unwrap(),
        fs::read(two.join("tuned.json")).unwrap()
    );
    let refused = tune::tune(&slow, directory.path(), &space, &search(&two), &()).unwrap_err();
    assert!(refused.to_string().contains("a search already"), "{refused}");
    let other = tune::Options { resume: true, seed: 4, ..search(&two) };
    let refused = tune::tune(&slow, directory.path(), &space, &other, &()).unwrap_err();
    assert!(refused.to_string().contains("another configuration"), "{refused}");
}

/// Rows of the test split may be anything: a search gives the same.
#[test]
fn a_search_never_looks_at_the_test_split() {
    let directory = tempfile::tempdir().unwrap();
    let header = "user_id,item_id,request,click\n";
    let row = |i: u32, click: u32| format!("u{},p{},{i},{click}\n", i * 7 % 20, i * 5 % 12);
    let rows = |test: fn(u32) -> u32| -> String {
        let click = |i: u32| {
            if i < 900 { u32::from((i * 7 % 20 + i * 5 % 12).is_multiple_of(3)) } else { test(i) }
        };
        header.to_string() + &(0..1000).map(|i| row(i, click(i))).collect::<String>()
    };
    let text = "[data]\nimpressions = ['log.csv']\nsplit = { method = 'row_order', train = 0.8, valid = 0.1, test = 0.1 }\n\
        [columns]\nuser = 'user_id'\nitem = 'item_id'\n\
        [[feature]]\nname = 'user_id'\nside = 'user'\ntype = 'id'\n\
        [[feature]]\nname = 'item_id'\nside = 'item'\ntype = 'id'\n\
        [[task]]\nname = 'click'\nkind = 'binary'\n\
        [model]\nposition_term = false\nembedding_dim = 4\n[train]\nepochs = 2\n";
    let config = Config::parse(text, Path::new("daogou.toml")).unwrap();
    let space = space(&["train.learning_rate=1e-3..1e-2:log"]);
    let found: Vec<_> = [(|i| i % 2) as fn(u32) -> u32, |_| 0, |i| u32::from(i.is_multiple_of(3))]
        .into_iter()
        .enumerate()
        .map(|(n, test)| {
            fs::write(directory.path().join("log.csv"), rows(test)).unwrap();
            let options = tune::Options {
                fresh_seeds: 1,
                metric: "click.auc".into(),
                ..search(&directory.path().join(n.to_string()))
            };
            tune::tune(&config, directory.path(), &space, &options, &()).unwrap()
        })
        .collect();
    assert!(found[0] == found[1] && found[0] == found[2]);
}

#[test]
fn what_cannot_be_searched_is_said() {
    let directory = tempfile::tempdir().unwrap();
    let config = small_shop(directory.path());
    let refusal = |key: &str, change: fn(&mut tune::Options)| {
        let mut options = search(&directory.path().join("out"));
        change(&mut options);
        let keys: &[&str] = if key.is_empty() { &[] } else { &[key] };
        let error = tune::tune(&config, directory.path(), &space(keys), &options, &()).unwrap_err();
        assert!(!directory.path().join("out").exists(), "{error}");
        format!("{error} ({})", error.hint().unwrap_or_default())
    };
    for (key, part) in [
        ("", "nothing to search"),
        ("train.seed=1..9", "luck"),
        ("train.threads=1..9", "never changes"),
        ("data.split.train_fraction=0.1..0.5", "the search itself"),
        ("data.split.seed=1..9", "of which rows"),
        ("train.learning_rat=0.1..0.5", "`space.train.learning_rat`"),
        ("model.experts=0|0", "space.model.experts"),
        ("task.purchase.objective=click_space|click_space", "--metric purchase_ctcvr.auc"),
    ] {
        let said = refusal(key, |_| {});
        assert!(said.contains(part), "{key}: {said}");
    }
    let said = refusal("train.epochs=1..9", |options| options.metric = "click.auk".into());
    assert!(said.contains("`metric`") && said.contains("click.auc"), "{said}");
    let said = refusal("train.epochs=1..9", |options| options.trials = 1);
    assert!(said.contains("`trials`"), "{said}");
}
