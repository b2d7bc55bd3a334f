//! Tasks whose labels are numbers or classes: they learn what there is to learn, wherever they are asked, and answer in the
//! label's own terms.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::ops::Range;
use std::path::Path;
use std::sync::LazyLock;

use daogou::artifact::Provenance;
use daogou::data::{Dataset, LabelEncoding, Target};
use daogou::evaluate::{EvaluateOptions, Evaluation, Predictions, TaskReport, TaskScores};
use daogou::metrics::{BootstrapOptions, ClassReport, RegressionReport};
use daogou::models::{Mode, Source};
use daogou::predict::PredictOptions;
use daogou::report::{Material, Report};
use daogou::run::TrainedRun;
use daogou::schema::{Backbone, Balancing, Config, ModelKind, PurchaseObjective, Task, TaskKind};
use daogou::train::{Observer, Options, Progress, Trained, constants, train};
use daogou_nn::{Parameters, Rng, Team};
use tempfile::TempDir;

/// Rows of a shop where what is spent depends on the price of the item and the wealth of the user, and the reason on the
/// brand. Both are known of clicked rows alone; elsewhere the columns hold nonsense.
fn rows() -> Vec<[String; 8]> {
    const REASONS: [&str; 3] = ["price", "size, colour", "gift"];
    let mut rng = Rng::new(7, 1);
    let mut below = move |n: u64| rng.below(n);
    let row = |_| {
        let (user, item) = (below(40), below(30));
        let (brand, price) = (item % 6, 5 + item % 10 * 10);
        let click = u64::from(below(10) < 3 + item % 5);
        let spend = price as f64 * (1.0 + (user % 4) as f64) + below(10) as f64;
        let usual = REASONS[(brand % 3) as usize];
        let reason = if below(10) < 8 { usual } else { REASONS[below(3) as usize] };
        let (spend, reason) = match (click, below(10)) {
            (1, 0) => (String::new(), String::new()),
            (1, _) => (spend.to_string(), reason.to_string()),
            (_, other) => ((5_000 + other).to_string(), "none of these".to_string()),
        };
        [
            format!("u{user}"),
            format!("i{item}"),
            format!("b{brand}"),
            price.to_string(),
            (user % 4).to_string(),
            click.to_string(),
            spend,
            reason,
        ]
    };
    (0..4000).map(row).collect()
}

const HEADER: &str = "user_id\titem_id\tbrand\tprice\twealth\tclick\tspend\treason\n";

fn written(rows: &[[String; 8]]) -> String {
    rows.iter().fold(HEADER.to_string(), |text, row| text + &row.join("\t") + "\n")
}

const TEXT: &str = r#"
    [data]
    impressions = ["log.csv"]
    delimiter = "\t"
    split = { method = "row_order", train = 0.7, valid = 0.15, test = 0.15 }
    [columns]
    [[feature]]
    name = "user_id"
    side = "user"
    type = "id"
    [[feature]]
    name = "wealth"
    side = "user"
    type = "id"
    [[feature]]
    name = "item_id"
    side = "item"
    type = "id"
    [[feature]]
    name = "brand"
    side = "item"
    type = "id"
    [[feature]]
    name = "price"
    side = "item"
    type = "number"
    transform = "log1p"
    [[task]]
    name = "click"
    kind = "binary"
    [[task]]
    name = "spend"
    kind = "regression"
    sample_space = "clicked"
    [[task]]
    name = "why"
    kind = "multi_class"
    label = "reason"
    sample_space = "click"
    [model]
    embedding_dim = 8
    request_units = [16]
    shared_units = [32, 16]
    tower_units = [16]
    [train]
    epochs = 6
    batch_size = 256
    patience = 0
    threads = 1
    [lists.objectives]
    click = 1.0
"#;

struct Shop {
    home: TempDir,
    config: Config,
    data: Dataset,
}

fn shop(rows: &[[String; 8]], text: &str) -> daogou::Result<Shop> {
    let home = tempfile::tempdir().unwrap();
    fs::write(home.path().join("log.csv"), written(rows)).unwrap();
    let config = Config::parse(text, &home.path().join("daogou.toml"))?;
    let data = Dataset::load(&config, home.path())?;
    Ok(Shop { home, config, data })
}

static SHOP: LazyLock<Shop> = LazyLock::new(|| shop(&rows(), TEXT).unwrap());

fn run_of(config: &Config, data: &Dataset) -> (TrainedRun, Trained) {
    let again = || train(config, data, &Options::default(), &mut ()).unwrap();
    (TrainedRun::new(config, again(), data), again())
}

static RUN: LazyLock<(TrainedRun, Trained)> = LazyLock::new(|| run_of(&SHOP.config, &SHOP.data));

const OPTIONS: EvaluateOptions = EvaluateOptions {
    bootstrap: BootstrapOptions { replicates: 40, level: 0.95, seed: 1 },
    lists: 8,
};

fn evaluated(run: &TrainedRun, data: &Dataset) -> Evaluation {
    run.evaluate(data, &data.split.test, &OPTIONS).unwrap()
}

fn numbers<'a>(reports: &'a BTreeMap<String, TaskReport>, task: &str) -> &'a RegressionReport {
    let Some(TaskReport::Numbers(report)) = reports.get(task) else { panic!("{reports:?}") };
    report
}

fn classes<'a>(reports: &'a BTreeMap<String, TaskReport>, task: &str) -> &'a ClassReport {
    let Some(TaskReport::Classes(report)) = reports.get(task) else { panic!("{reports:?}") };
    report
}

fn answers(run: &TrainedRun, data: &Dataset, requests: &Range<usize>) -> Predictions {
    let order: Vec<u32> = requests.clone().map(|r| r as u32).collect();
    run.predictions(&Source::from(data), &order, Mode::Serve, &mut Team::new(1))
}

fn bits(parameters: &Parameters) -> Vec<u32> {
    let tables = parameters.tables().iter().flat_map(daogou_nn::Table::values);
    parameters.dense().iter().chain(tables).map(|v| v.to_bits()).collect()
}

#[test]
fn numbers_and_classes_are_learned_where_they_are_asked() {
    let Shop { config, data, .. } = &*SHOP;
    let Some(LabelEncoding::Number(scale)) = data.space.labels.get("spend") else { panic!() };
    assert!(scale.mean > 50.0 && scale.mean < 300.0, "clicked rows alone: {scale:?}");
    let Some(LabelEncoding::Classes(known)) = data.space.labels.get("why") else { panic!() };
    assert_eq!(known.len(), 3, "not the nonsense of other rows: {known:?}");
    // Most frequent first.
    let count = |class: u16| {
        let Some(Target::Class { class: of, .. }) = &data.targets[2] else { panic!() };
        data.labelled(config, 2, &data.split.train).filter(|&i| of[i] == class).count()
    };
    assert!(count(0) >= count(1) && count(1) >= count(2) && count(2) > 0);
    for name in ["`spend`", "`why`"] {
        let found = data.report.notes.iter().filter(|note| note.contains(name));
        let found: Vec<&String> = found.collect();
        assert_eq!(found.len(), 1, "{:?}", data.report.notes);
        assert!(found[0].contains("do not count"), "{found:?}");
    }

    let (run, trained) = &*RUN;
    let losses = trained.history.last().unwrap();
    for (task, score) in losses.valid.iter().enumerate().skip(1) {
        assert!(score.loss.unwrap() < 0.8 && losses.train_loss[task] < 0.8, "{losses:?}");
    }
    let evaluation = evaluated(run, data);
    let labelled = data.labelled(config, 1, &data.split.test).count() as u64;
    let (spend, mean) =
        (numbers(&evaluation.tasks, "spend"), numbers(&evaluation.baselines["constant"], "spend"));
    assert_eq!((spend.n, mean.n), (labelled, labelled));
    assert!(labelled > 100 && labelled < 400);
    assert!(mean.r2.unwrap().abs() < 0.05, "{mean:?}");
    assert!(spend.rmse.unwrap() < 0.5 * mean.rmse.unwrap(), "{spend:?} against {mean:?}");
    assert!(spend.r2.unwrap() > 0.75 && spend.spearman.unwrap() > 0.85, "{spend:?}");
    let ends = spend.intervals["rmse"];
    assert!(ends[0] < spend.rmse.unwrap() && spend.rmse.unwrap() < ends[1]);
    let (why, often) =
        (classes(&evaluation.tasks, "why"), classes(&evaluation.baselines["constant"], "why"));
    assert_eq!((why.classes, why.n), (3, labelled));
    assert!((often.ce_normalised.unwrap() - 1.0).abs() < 0.02, "{often:?}");
    assert!(why.ce.unwrap() < 0.8 * often.ce.unwrap(), "{why:?} against {often:?}");
    assert!(why.accuracy.unwrap() > 0.75 && why.auc.unwrap() > 0.8, "{why:?}");
    assert!(!evaluation.calibration.contains_key("spend"));
    assert!(evaluation.calibration.contains_key("click"), "{:?}", evaluation.calibration);

    let text = daogou::evaluate::table::table(&evaluation);
    for part in ["RMSE", "Spearman", "accuracy", "3 classes", "· constant"] {
        assert!(text.contains(part), "{text}");
    }
    assert!(
        text.lines().filter(|l| !l.contains("note")).all(|l| l.chars().count() <= 80),
        "{text}"
    );
    let json = serde_json::to_string(&evaluation).unwrap();
    assert_eq!(serde_json::from_str::<Evaluation>(&json).unwrap(), evaluation);
}

#[test]
fn what_is_not_asked_does_not_matter() {
    let mut other = rows();
    for row in other.iter_mut().filter(|row| row[5] == "0") {
        (row[6], row[7]) = ("-3".into(), "whatever".into());
    }
    let Shop { config, data, .. } = shop(&other, TEXT).unwrap();
    assert_ne!(data.report.fingerprint, SHOP.data.report.fingerprint, "another log all the same");
    let again = train(&config, &data, &Options::default(), &mut ()).unwrap();
    assert_eq!(again.history, RUN.1.history);
    assert!(bits(&again.parameters) == bits(&RUN.1.parameters));
}

/// Every network, every backbone and every way of balancing.
fn variants() -> Vec<Config> {
    let mut all = Vec::new();
    let mut with = |change: &dyn Fn(&mut Config)| {
        let mut config = SHOP.config.clone();
        config.train.epochs = 2;
        change(&mut config);
        config.check().unwrap();
        all.push(config);
    };
    for kind in [
        ModelKind::SharedMlp,
        ModelKind::SingleTask,
        ModelKind::Mmoe,
        ModelKind::Ple,
        ModelKind::Stem,
    ] {
        with(&|config| config.model.kind = kind);
    }
    for backbone in [Backbone::Fm, Backbone::Dcn, Backbone::SelfAttention] {
        with(&|config| config.model.backbone = backbone);
    }
    for method in Balancing::ALL {
        with(&|config| config.loss_weighting.method = method);
    }
    with(&|config| config.train.negative_rate = 0.5);
    all
}

#[test]
fn every_network_and_every_balance_learns_both_and_repeats() {
    for config in variants() {
        let trained = |threads| {
            let mut config = config.clone();
            config.train.threads = threads;
            train(&config, &SHOP.data, &Options::default(), &mut ()).unwrap()
        };
        let (one, two) = (trained(1), trained(2));
        let said = || format!("{:?} {:?}", config.model, config.loss_weighting.method);
        assert!(bits(&one.parameters) == bits(&two.parameters), "{}", said());
        assert_eq!(one.history, two.history, "{}", said());
        for task in [1, 2] {
            let score = one.history[1].valid[task].loss.unwrap();
            assert!(score < 0.98, "{}, task {task}: {score}", said());
        }
    }
}

/// Beside a click and a purchase that are learned as a funnel.
#[test]
fn they_stand_beside_a_funnel() {
    let (mut config, mut data) = (SHOP.config.clone(), SHOP.data.clone());
    config.model.kind = ModelKind::Aitm;
    let mut purchase = Task::new("purchase", TaskKind::Binary);
    purchase.objective = Some(PurchaseObjective::Aitm);
    config.tasks.push(purchase);
    config.train.epochs = 2;
    config.check().unwrap();
    assert_eq!(config.label_columns(), ["click", "purchase"]);
    let clicks = &data.impressions.labels[0];
    let items = data.impressions.item.iter();
    let bought = clicks.iter().zip(items).map(|(click, item)| click & u8::from(item % 2 == 0));
    let bought = bought.collect();
    data.impressions.labels.push(bought);
    data.targets.push(None);
    let trained = train(&config, &data, &Options::default(), &mut ()).unwrap();
    let valid = &trained.history[1].valid;
    assert!(valid[1].loss.unwrap() < 0.98 && valid[2].loss.unwrap() < 0.98, "{valid:?}");
    let run = TrainedRun::new(&config, trained, &data);
    let tasks = evaluated(&run, &data).tasks;
    let names: Vec<&str> = tasks.keys().map(String::as_str).collect();
    assert_eq!(names, ["click", "purchase", "purchase_ctcvr", "spend", "why"]);
}

/// Stops a training after some steps.
struct Stop(usize);

impl Observer for Stop {
    fn step(&mut self, _: &Progress<'_>) {
        self.0 = self.0.saturating_sub(1);
    }
    fn stops(&self) -> bool {
        self.0 == 0
    }
}

#[test]
fn what_was_stopped_goes_on_to_the_same_bits() {
    let Shop { config, data, .. } = &*SHOP;
    let mut config = config.clone();
    config.train.checkpoint_steps = 4;
    let directory = tempfile::tempdir().unwrap();
    let mut options = Options { checkpoints: Some(directory.path().into()), ..Options::default() };
    for steps in [7, 20] {
        assert!(train(&config, data, &options, &mut Stop(steps)).is_err());
        options.resume = true;
    }
    let again = train(&config, data, &options, &mut ()).unwrap();
    assert!(bits(&again.parameters) == bits(&RUN.1.parameters));
    assert_eq!(again.history, RUN.1.history);
}

fn saved(run: &TrainedRun, trained: &Trained, data: &Dataset, to: &Path) {
    let provenance = Provenance {
        created_at: "2026-01-01T00:00:00Z".into(),
        seed: 1,
        data_fingerprint: data.report.fingerprint.clone(),
        metrics: serde_json::json!({}),
    };
    run.save(to, &trained.history, provenance).unwrap();
}

#[test]
fn a_saved_run_answers_the_same_in_a_file_and_on_a_page() {
    let Shop { home, data, .. } = &*SHOP;
    let (run, trained) = &*RUN;
    let place = tempfile::tempdir().unwrap();
    let directory = place.path().join("run");
    saved(run, trained, data, &directory);
    let (opened, manifest) = TrainedRun::open(&directory).unwrap();
    let test = data.split.test.clone();
    assert_eq!(answers(&opened, data, &test), answers(run, data, &test));

    // The same rows as a file: the same numbers, in the label's units.
    let text = fs::read_to_string(home.path().join("log.csv")).unwrap();
    let part: Vec<&str> = text.lines().skip(1 + test.start).collect();
    assert_eq!(part.len(), test.len());
    let input = place.path().join("test.tsv");
    fs::write(&input, HEADER.to_string() + &part.join("\n") + "\n").unwrap();
    let output = place.path().join("predicted.tsv");
    opened.predict_file(&input, &output, &PredictOptions::default()).unwrap();
    let mut reader = csv::ReaderBuilder::new().delimiter(b'\t').from_path(&output).unwrap();
    let header: Vec<String> = reader.headers().unwrap().iter().map(String::from).collect();
    let Some(LabelEncoding::Classes(known)) = data.space.labels.get("why") else { panic!() };
    let mut expected: Vec<String> = vec!["p_click".into(), "p_spend".into()];
    expected.extend(known.iter().map(|class| format!("p_why_{class}")));
    assert_eq!(header[8..], expected);
    let cells: Vec<Vec<String>> =
        reader.records().map(|r| r.unwrap().iter().map(String::from).collect()).collect();
    let (mut squares, mut n) = (0.0, 0.0);
    let number = |cell: &str| cell.parse::<f64>().unwrap();
    for row in &cells {
        let total: f64 = row[10..13].iter().map(|p| number(p)).sum();
        assert!((total - 1.0).abs() < 1e-5, "{row:?}");
        if row[5] == "1" && !row[6].is_empty() {
            squares += (number(&row[9]) - number(&row[6])).powi(2);
            n += 1.0;
        }
    }
    let evaluation = evaluated(&opened, data);
    let rmse = numbers(&evaluation.tasks, "spend").rmse.unwrap();
    assert!((f64::sqrt(squares / n) / rmse - 1.0).abs() < 1e-6, "{n} rows: {rmse}");

    // What a head itself says is standardised.
    let options = PredictOptions { logits: true, ..PredictOptions::default() };
    let raw = place.path().join("logits.tsv");
    opened.predict_file(&input, &raw, &options).unwrap();
    let mut reader = csv::ReaderBuilder::new().delimiter(b'\t').from_path(&raw).unwrap();
    let Some(LabelEncoding::Number(scale)) = data.space.labels.get("spend") else { panic!() };
    for (record, row) in reader.records().zip(&cells) {
        let answer = scale.answer(number(&record.unwrap()[9]));
        assert!((answer - number(&row[9])).abs() < 1e-3, "{answer} and {}", row[9]);
    }

    let material =
        Material { run, manifest: &manifest, history: &trained.history, data, trade_offs: &[] };
    let report = Report::new(&material, &OPTIONS).unwrap();
    let page = report.html();
    for part in
        ["RMSE", "accuracy", "a number, on clicked impressions", "Loss of spend", "Loss of why"]
    {
        assert!(page.contains(part), "{part} is not on the page");
    }

    // Lists are made of what they were made of before.
    let ask = daogou::recommend::Ask { user: "u3".into(), k: Some(5), ..Default::default() };
    let list = daogou::recommend::recommend(run, &ask, &mut Team::new(1)).unwrap();
    assert!(list.items.iter().all(|item| item.heads.keys().eq(["click"])), "{list:?}");
}

#[test]
fn a_run_whose_labels_do_not_fit_is_refused() {
    type Case = (&'static dyn Fn(&mut serde_json::Value), &'static str);
    let (run, trained) = &*RUN;
    let place = tempfile::tempdir().unwrap();
    let cases: [Case; 3] = [
        (&|labels| labels["spend"]["number"]["sd"] = (-1.0).into(), "`spend`"),
        (&|labels| labels["spend"] = labels["why"].clone(), "`spend`"),
        (&|labels| labels["why"]["classes"] = serde_json::json!(["one"]), "`why`"),
    ];
    for (change, part) in cases {
        let directory = place.path().join("run");
        if directory.exists() {
            fs::remove_dir_all(&directory).unwrap();
        }
        saved(run, trained, &SHOP.data, &directory);
        let path = directory.join("vocab/space.json");
        let mut space: serde_json::Value =
            serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
        change(&mut space[0]["labels"]);
        let after = space.to_string();
        fs::write(&path, &after).unwrap();
        let manifest = directory.join("manifest.json");
        let mut value: serde_json::Value =
            serde_json::from_slice(&fs::read(&manifest).unwrap()).unwrap();
        let mut hex = String::new();
        let digest = <sha2::Sha256 as sha2::Digest>::digest(after.as_bytes());
        digest.iter().for_each(|byte| write!(hex, "{byte:02x}").unwrap());
        value["files"]["vocab/space.json"] =
            serde_json::json!({ "bytes": after.len(), "sha256": hex });
        fs::write(manifest, value.to_string()).unwrap();
        let message = TrainedRun::open(&directory).err().expect("refused").to_string();
        assert!(message.contains("space.json") && message.contains(part), "{message}");
    }
}

/// On another scale and with another class an older run answers as before, until it learns more.
#[test]
fn a_warm_start_takes_answers_over() {
    let place = tempfile::tempdir().unwrap();
    let directory = place.path().join("run");
    saved(&RUN.0, &RUN.1, &SHOP.data, &directory);
    let mut later = rows();
    for (i, row) in later.iter_mut().enumerate() {
        if let Ok(spend) = row[6].parse::<f64>() {
            row[6] = (100.0 + 3.0 * spend).to_string();
        }
        if row[7] == "gift" && i % 3 == 0 {
            row[7] = "a new one".into();
        }
    }
    let Shop { mut config, data, .. } = shop(&later, TEXT).unwrap();
    config.train.warm_start = Some(directory.to_string_lossy().into_owned());
    (config.train.learning_rate, config.train.table_learning_rate) = (0.0, 0.0);
    config.train.epochs = 1;
    let mut said = Notes::default();
    let trained = train(&config, &data, &Options::default(), &mut said).unwrap();
    assert!(said.0.iter().any(|note| note.contains("started from")), "{:?}", said.0);
    assert!(!said.0.iter().any(|note| note.contains("_head")), "{:?}", said.0);
    let order: Vec<u32> = data.split.test.clone().map(|r| r as u32).collect();
    let mut team = Team::new(1);
    let run = TrainedRun::new(&config, trained, &data);
    let (before, after) = (
        RUN.0.logits(&Source::from(&SHOP.data), &order, Mode::Serve, &mut team),
        run.logits(&Source::from(&data), &order, Mode::Serve, &mut team),
    );
    let of = |run: &TrainedRun, source: &Dataset| {
        let answers =
            run.predictions(&Source::from(source), &order, Mode::Serve, &mut Team::new(1));
        let TaskScores::Numbers(numbers) = answers.tasks[1].clone() else { panic!() };
        numbers
    };
    let (first, second) = (of(&RUN.0, &SHOP.data), of(&run, &data));
    for (a, b) in first.iter().zip(&second) {
        assert!((a - b).abs() < 0.01 + 1e-4 * a.abs(), "{a} became {b}");
    }
    let names = |data: &Dataset| match &data.space.labels["why"] {
        LabelEncoding::Classes(classes) => classes.clone(),
        LabelEncoding::Number(_) => panic!(),
    };
    let (old, new) = (names(&SHOP.data), names(&data));
    assert_eq!((old.len(), new.len()), (3, 4));
    assert_eq!((before[2].cols, after[2].cols), (3, 4));
    for (place, class) in new.iter().enumerate() {
        let Some(from) = old.iter().position(|known| known == class) else {
            assert_eq!(class, "a new one");
            continue;
        };
        for row in 0..order.len() {
            assert_eq!(
                before[2].values[row * 3 + from],
                after[2].values[row * 4 + place],
                "{class}"
            );
        }
    }
    // A number that was learned in another way is not taken.
    config.tasks[1].transform = Some(daogou::schema::Transform::Log1p);
    let data = {
        let home = tempfile::tempdir().unwrap();
        fs::write(home.path().join("log.csv"), written(&later)).unwrap();
        Dataset::load(&config, home.path()).unwrap()
    };
    let mut said = Notes::default();
    train(&config, &data, &Options::default(), &mut said).unwrap();
    assert!(said.0.iter().any(|note| note.contains("in another way")), "{:?}", said.0);
}

#[derive(Default)]
struct Notes(Vec<String>);

impl Observer for Notes {
    fn note(&mut self, text: &str) {
        self.0.push(text.into());
    }
}

#[test]
fn amounts_may_be_learned_by_their_logarithm() {
    let mut skewed = rows();
    for row in &mut skewed {
        if let Ok(spend) = row[6].parse::<f64>() {
            row[6] = (spend * spend / 50.0).to_string();
        }
    }
    let text =
        TEXT.replace("kind = \"regression\"", "kind = \"regression\"\ntransform = \"log1p\"");
    let Shop { config, data, .. } = shop(&skewed, &text).unwrap();
    let Some(LabelEncoding::Number(scale)) = data.space.labels.get("spend") else { panic!() };
    assert!(scale.log1p && scale.mean < 10.0, "{scale:?}");
    let (run, _) = run_of(&config, &data);
    let evaluation = evaluated(&run, &data);
    let (own, mean) =
        (numbers(&evaluation.tasks, "spend"), numbers(&evaluation.baselines["constant"], "spend"));
    assert!(own.rmse.unwrap() < 0.6 * mean.rmse.unwrap(), "{own:?} against {mean:?}");
    let TaskScores::Numbers(numbers) = &answers(&run, &data, &data.split.test).tasks[1] else {
        panic!()
    };
    assert!(numbers.iter().all(|spend| *spend >= 0.0));
}

#[test]
fn a_log_with_no_yes_or_no_task_is_learned_and_one_without_labels_is_predicted() {
    let (rest, tasks) = TEXT.split_once("    [[task]]\n    name = \"click\"").unwrap();
    let tasks = tasks.split_once("[[task]]").unwrap().1;
    let text = format!("{rest}    [[task]]{tasks}")
        .replace("sample_space = \"clicked\"", "sample_space = \"click\"")
        .split("    [lists.objectives]")
        .next()
        .unwrap()
        .to_string();
    let Shop { mut config, data, .. } = shop(&rows(), &text).unwrap();
    assert_eq!(config.tasks.iter().map(|t| t.name.as_str()).collect::<Vec<_>>(), ["spend", "why"]);
    assert_eq!(config.engagement(), None, "a sample space is no engagement");
    assert!(data.timelines.item.is_empty());
    config.train.epochs = 1;
    let (run, _) = run_of(&config, &data);
    assert!(numbers(&evaluated(&run, &data).tasks, "spend").r2.is_some());

    // A further log with labels is measured, with what training does not know left out; one without has nothing to measure.
    let place = tempfile::tempdir().unwrap();
    let mut further = rows()[..400].to_vec();
    further.iter_mut().step_by(5).for_each(|row| row[7] = "unheard of".into());
    fs::write(place.path().join("log.csv"), written(&further)).unwrap();
    let read = || daogou::data::load_known(&run.config, place.path(), run.known());
    let known = read().unwrap();
    let measured = evaluated(&run, &known);
    assert!(classes(&measured.tasks, "why").n < numbers(&measured.tasks, "spend").n);
    assert!(
        measured.notes.iter().any(|note| note.contains("`unheard of`")),
        "{:?}",
        measured.notes
    );
    let bare: String = written(&further)
        .lines()
        .map(|line| line.split('\t').take(6).collect::<Vec<_>>().join("\t") + "\n")
        .collect();
    fs::write(place.path().join("log.csv"), bare).unwrap();
    let unlabelled = read().unwrap();
    assert!(unlabelled.targets.iter().all(Option::is_none));
    let message = run.evaluate(&unlabelled, &unlabelled.split.test, &OPTIONS).unwrap_err();
    assert!(message.to_string().contains("nothing to measure"), "{message}");
}

#[test]
fn labels_that_say_nothing_are_refused() {
    type Case = (&'static dyn Fn(usize, &mut [String; 8]), &'static [&'static str]);
    let with = |change: &dyn Fn(usize, &mut [String; 8])| {
        let mut rows = rows();
        rows.iter_mut().enumerate().for_each(|(i, row)| change(i, row));
        shop(&rows, TEXT).and_then(|shop| {
            train(&shop.config, &shop.data, &Options::default(), &mut ()).map(|_| ())
        })
    };
    let cases: [Case; 6] = [
        (&|_, row| row[6] = "5".into(), &["task `spend`", "`spend` = 5", "different numbers"]),
        (&|_, row| row[6].clear(), &["task `spend`", "`click` = 1", "no training impression"]),
        (&|_, row| row[7].clear(), &["task `why`", "`click` = 1", "column `reason`"]),
        (&|_, row| row[7] = "x".into(), &["task `why`", "the same class", "at least 2"]),
        (
            &|i, row| row[7] = format!("c{i}"),
            &["task.why.label", "at most 1000 classes", "`reason`"],
        ),
        (&|i, row| row[6] = format!("{i}e300"), &["log.csv", "`spend`", "3.4", "1e300"]),
    ];
    for (change, parts) in cases {
        let message = with(change).unwrap_err().to_string();
        assert!(parts.iter().all(|part| message.contains(part)), "{parts:?}: {message}");
    }
    // Rare classes are none; what is left must be two.
    let text = TEXT.replace("label = \"reason\"", "label = \"reason\"\n    min_count = 100000");
    let rare = shop(&rows(), &text).unwrap();
    let message = constants(&rare.config, &rare.data).unwrap_err().to_string();
    assert!(message.contains("task `why`"), "{message}");
    let note = rare.data.report.notes.iter().find(|note| note.contains("`why`")).unwrap();
    assert!(note.contains("100000 times"), "{note}");
}

#[test]
fn configurations_that_contradict_themselves_are_refused() {
    for (from, to, parts) in [
        ("label = \"reason\"", "transform = \"log1p\"", ["task.why.transform", "`regression`"]),
        (
            "name = \"spend\"",
            "name = \"spend\"\nmin_count = 2",
            ["task.spend.min_count", "`multi_class`"],
        ),
        (
            "name = \"spend\"",
            "name = \"spend\"\ntransform = \"buckets\"",
            ["task.spend.transform", "`log1p`"],
        ),
        ("label = \"reason\"", "min_count = 0", ["task.why.min_count", "at least 1"]),
        (
            "name = \"spend\"",
            "name = \"spend\"\nrole = \"purchase\"",
            ["task.spend.kind", "`binary`"],
        ),
        ("click = 1.0", "spend = 1.0", ["lists.objectives.spend", "regression"]),
        (
            "sample_space = \"click\"",
            "sample_space = \"reason\"",
            ["task.why.sample_space", "its own label"],
        ),
    ] {
        assert!(TEXT.contains(from));
        let text = TEXT.replacen(from, to, 1);
        let message = Config::parse(&text, Path::new("daogou.toml")).unwrap_err().to_string();
        assert!(parts.iter().all(|part| message.contains(part)), "{parts:?}: {message}");
    }
    let mut events = SHOP.config.clone();
    let twice = Task { label: Some("spend".into()), ..Task::new("again", TaskKind::Regression) };
    events.tasks.push(twice);
    let message = events.check().unwrap_err().to_string();
    assert!(message.contains("same label column `spend`"), "{message}");
    events.tasks.pop();
    events.data.events = std::mem::take(&mut events.data.impressions);
    events.columns.event = Some("event".into());
    events.data.event_log = Some(daogou::schema::EventsConfig {
        click: vec!["view".into()],
        purchase: Vec::new(),
        purchase_window_days: 1.0,
        negatives: daogou::schema::Negatives::default(),
    });
    let message = events.check().unwrap_err().to_string();
    assert!(message.contains("task.spend.kind") && message.contains("event log"), "{message}");
}

/// What the page about tasks shows is a configuration.
#[test]
fn the_page_about_tasks_shows_what_is_accepted() {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/tasks.md");
    let page = fs::read_to_string(page).unwrap();
    let shown: Vec<&str> = page.split("```").skip(1).step_by(2).collect();
    assert_eq!(shown.len(), 1);
    let (head, _) = TEXT.split_once("    [[task]]\n    name = \"spend\"").unwrap();
    let text = head.to_string() + shown[0].strip_prefix("toml").unwrap();
    let config = Config::parse(&text, Path::new("daogou.toml")).unwrap();
    let kinds: Vec<&str> = config.tasks.iter().map(|task| task.kind.name()).collect();
    assert_eq!(kinds, ["binary", "regression", "multi_class", "binary"]);
    assert_eq!(config.label_columns(), ["click", "finished", "began"]);
}
