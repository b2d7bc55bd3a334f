//! Networks against what PyTorch made of them: the founding document's (`tests/parity/make_capture.py`), MMoE and PLE
//! (`tests/parity/make_experts.py`).

use std::path::PathBuf;

use daogou::artifact::Tensors;
use daogou::data::Dataset;
use daogou::models::{Mode, Network, Shape, Source, predict};
use daogou::schema::Config;
use daogou_nn::{
    Batch, DenseOptimizer, Engine, EngineConfig, Parameters, StepSize, TableOptimizer, Team,
};

/// A network, and what the names of its captures start with.
#[derive(Clone, Copy)]
struct Case {
    config: &'static str,
    prefix: &'static str,
}

const FOUNDING: Case = Case { config: FOUNDING_CONFIG, prefix: "" };

const FOUNDING_CONFIG: &str = r#"
[data]
impressions = ["rows.csv"]
split = { method = "row_order", train = 1.0, valid = 0.0, test = 0.0 }

[columns]
category = "category"

[[feature]]
name = "user_id"
side = "user"
type = "id"
dim = 32

[[feature]]
name = "item_id"
side = "item"
type = "id"
dim = 32

[[feature]]
name = "brand"
side = "item"
type = "id"
dim = 16

[[feature]]
name = "price"
side = "item"
type = "number"
transform = "none"

[[task]]
name = "click"
kind = "binary"

[[task]]
name = "purchase"
kind = "binary"
objective = "all_impressions"

[[task]]
name = "diversity"
kind = "distribution"
source = "row"

[model]
kind = "shared_mlp"
shared_units = [128, 64]
position_term = false
"#;

macro_rules! of_experts {
    ($purchase:literal, $model:literal) => {
        concat!(
            r#"
[data]
impressions = ["rows.csv"]
split = { method = "row_order", train = 1.0, valid = 0.0, test = 0.0 }

[columns]

[[feature]]
name = "user_id"
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
transform = "none"

[[task]]
name = "click"
kind = "binary"

[[task]]
name = "purchase"
kind = "binary"
objective = ""#,
            $purchase,
            r#""

[model]
embedding_dim = 8
request_units = [12]
shared_units = [16, 10]
tower_units = [6]
position_term = false
"#,
            $model
        )
    };
}

const MMOE: Case =
    Case { config: of_experts!("esmm", "kind = 'mmoe'\nexperts = 3\n"), prefix: "mmoe_" };

const PLE: Case = Case {
    config: of_experts!(
        "click_space",
        "kind = 'ple'\nlevels = 2\ntask_experts = 2\nshared_experts = 1\n"
    ),
    prefix: "ple_",
};

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../tests/parity")
}

struct World {
    prefix: &'static str,
    data: Dataset,
    network: Network,
}

fn world(case: Case) -> World {
    let config = Config::parse(case.config, &folder().join("parity.toml")).unwrap();
    let data = Dataset::load(&config, &folder()).unwrap();
    let network = Network::build(&config, &data.space, &Shape::of(&config, &data)).unwrap();
    World { prefix: case.prefix, data, network }
}

/// Puts captured weights, under PyTorch's names, into `parameters`.
fn read(name: &str, world: &World, parameters: &mut Parameters) {
    let file = format!("{}{name}.safetensors", world.prefix);
    let mut weights = Tensors::read(&folder().join(file)).unwrap();
    let mut dense = Vec::new();
    for p in world.network.model.params() {
        let shape = if p.cols == 0 { vec![p.rows] } else { vec![p.rows, p.cols] };
        dense.extend(weights.take(&p.name, &shape).unwrap());
    }
    parameters.edit(|to, tables| {
        to.copy_from_slice(&dense);
        for table in tables {
            let shape = [table.rows(), table.dim()];
            let values = weights.take(&format!("{}.weight", table.name()), &shape).unwrap();
            table.values_mut().copy_from_slice(&values);
        }
    });
    weights.finish().unwrap();
}

fn logits(case: Case) {
    let world = world(case);
    let mut parameters = Parameters::new(&world.network.model, 1);
    read("initial", &world, &mut parameters);
    let Network { model, feed, heads, .. } = &world.network;
    let order: Vec<u32> = (0..world.data.requests.len() as u32).collect();
    let source = Source::from(&world.data);
    let found = predict(
        (model, &parameters),
        (feed, heads),
        &source,
        &order,
        Mode::Serve,
        &mut Team::new(2),
    );
    let expected =
        std::fs::read_to_string(folder().join(format!("{}logits.csv", case.prefix))).unwrap();
    assert_eq!(expected.lines().count(), order.len());
    for (row, line) in expected.lines().enumerate() {
        let ours =
            found.iter().flat_map(|head| &head.values[row * head.cols..(row + 1) * head.cols]);
        for (ours, theirs) in ours.zip(line.split(',')) {
            let theirs: f32 = theirs.parse().unwrap();
            assert!((ours - theirs).abs() < 1e-5, "row {row}: {ours} here, {theirs} in PyTorch");
        }
    }
}

#[test]
fn logits_equal_pytorch() {
    logits(FOUNDING);
}

#[test]
fn logits_of_experts_equal_pytorch() {
    logits(MMOE);
    logits(PLE);
}

/// Twenty steps on all rows at once end where PyTorch ends.
fn steps(
    case: Case,
    (capture, rate): (&str, f64),
    (dense, tables): (DenseOptimizer, TableOptimizer),
) {
    let world = world(case);
    let mut expected = Parameters::new(&world.network.model, 1);
    read(capture, &world, &mut expected);
    let mut initial = Parameters::new(&world.network.model, 1);
    read("initial", &world, &mut initial);
    let World { data, network: Network { model, feed, .. }, .. } = world;
    let mut engine = Engine::new(model, &EngineConfig { dense, tables, ..EngineConfig::default() });
    engine.parameters_mut().edit(|to, tables| {
        to.copy_from_slice(initial.dense());
        for (to, from) in tables.iter_mut().zip(initial.tables()) {
            to.values_mut().copy_from_slice(from.values());
        }
    });
    let order: Vec<u32> = (0..data.requests.len() as u32).collect();
    let mut batch = Batch::new(engine.model(), 3);
    for (part, micro) in order.chunks(32).zip(batch.micros_mut()) {
        feed.fill(&Source::from(&data), part, Mode::Train { key: 0, id_dropout: 0.0 }, micro);
    }
    for step in 1..=20 {
        engine.step(&mut batch, &StepSize { step, dense: rate, tables: rate }).unwrap();
    }
    let close = |what: &str, ours: &[f32], theirs: &[f32], before: &[f32]| {
        let gap =
            |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        assert!(gap(ours, theirs) < 1e-4, "{what}: {} away from PyTorch", gap(ours, theirs));
        assert!(gap(ours, before) > 1e-3, "{what} did not move");
    };
    let end = engine.parameters();
    close("dense parameters", end.dense(), expected.dense(), initial.dense());
    for ((ours, theirs), before) in end.tables().iter().zip(expected.tables()).zip(initial.tables())
    {
        close(ours.name(), ours.values(), theirs.values(), before.values());
    }
}

const SGD: (DenseOptimizer, TableOptimizer) =
    (DenseOptimizer::Sgd { momentum: 0.0 }, TableOptimizer::Sgd);
const ADAM: (DenseOptimizer, TableOptimizer) = (DenseOptimizer::Adam, TableOptimizer::LazyAdam);

#[test]
fn twenty_steps_of_sgd_equal_pytorch() {
    steps(FOUNDING, ("sgd", 0.05), SGD);
}

#[test]
fn twenty_steps_of_adam_equal_pytorch() {
    steps(FOUNDING, ("adam", 1e-3), ADAM);
}

#[test]
fn twenty_steps_of_experts_equal_pytorch() {
    for case in [MMOE, PLE] {
        steps(case, ("sgd", 0.05), SGD);
        steps(case, ("adam", 1e-3), ADAM);
    }
}
