//! Ways of sharing between tasks: networks that must be the same one, training, names.

use std::sync::LazyLock;

use daogou::data::Dataset;
use daogou::models::{Logits, Mode, Network, Shape, Source, predict};
use daogou::schema::{Backbone, Config, HistoryPooling, ModelKind, PurchaseObjective};
use daogou::train::{Options, Trained, train};
use daogou_nn::{Parameters, Rng, Team};

/// A simulated shop with all four tasks.
static SHOP: LazyLock<(Config, Dataset)> = LazyLock::new(|| {
    let directory = tempfile::tempdir().unwrap();
    let options =
        daogou::simulate::Options { users: 60, items: 150, requests: 1500, ..Default::default() };
    daogou::simulate::run(&options, directory.path(), &mut |_| {}).unwrap();
    let mut config = Config::read(&directory.path().join("daogou.toml")).unwrap();
    config.train.patience = 0;
    config.train.clip_norm = 0.0;
    config.model.embedding_dim = 8;
    config.model.request_units = vec![24];
    config.model.shared_units = vec![40, 24];
    config.model.tower_units = vec![16];
    let data = Dataset::load(&config, directory.path()).unwrap();
    (config, data)
});

fn config(kind: ModelKind) -> Config {
    let mut config = SHOP.0.clone();
    config.model.kind = kind;
    config
}

/// The same with one task, and the log as this configuration sees it.
fn alone(config: &Config, task: &str) -> (Config, Dataset) {
    let index = config.tasks.iter().position(|t| t.name == task).unwrap();
    let (mut config, mut data) = (config.clone(), SHOP.1.clone());
    config.tasks = vec![config.tasks[index].clone()];
    data.targets = vec![data.targets[index].clone()];
    (config, data)
}

fn network(config: &Config, data: &Dataset) -> Network {
    Network::build(config, &data.space, &Shape::of(config, data)).unwrap()
}

/// Values at which no bias is 0 and no gate is even.
fn anything(network: &Network) -> Parameters {
    let mut parameters = Parameters::new(&network.model, 3);
    let mut rng = Rng::new(8, 0);
    parameters.edit(|dense, tables| {
        dense.iter_mut().for_each(|v| *v += 0.1 * rng.normal() as f32);
        for table in tables {
            table.values_mut().iter_mut().for_each(|v| *v = 0.5 * rng.normal() as f32);
        }
    });
    parameters
}

fn logits(network: &Network, parameters: &Parameters, data: &Dataset) -> Vec<Logits> {
    let requests: Vec<u32> = data.split.valid.clone().map(|r| r as u32).collect();
    assert!(requests.len() > 50);
    let (model, inputs) = ((&network.model, parameters), (&network.feed, &network.heads[..]));
    predict(model, inputs, &Source::from(data), &requests, Mode::Serve, &mut Team::new(1))
}

/// Asserts that `b` gives the bits that `a` gives, once each of its values is the one of `a` that `name` says. A value
/// without a name in `a` stays as it is.
fn same(
    (a, b): (&Config, &Config),
    data: &Dataset,
    name: impl Fn(&str) -> Option<String>,
) -> usize {
    let (first, second) = (network(a, data), network(b, data));
    let from = anything(&first);
    let mut to = anything(&second);
    let mut renamed = 0;
    to.edit(|dense, tables| {
        for param in second.model.params() {
            let Some(name) = name(&param.name) else { continue };
            let of = first.model.params().iter().find(|p| p.name == name);
            let of = of.unwrap_or_else(|| panic!("{} has no `{name}` in the other", param.name));
            assert_eq!((of.rows, of.cols), (param.rows, param.cols), "{name}");
            dense[param.range()].copy_from_slice(&from.dense()[of.range()]);
            renamed += usize::from(name != param.name);
        }
        for table in tables {
            let name = name(table.name()).unwrap();
            let of = from.tables().iter().find(|t| t.name() == name).unwrap();
            table.values_mut().copy_from_slice(of.values());
        }
    });
    let (x, y) = (logits(&first, &from, data), logits(&second, &to, data));
    assert_eq!(x.len(), a.tasks.len());
    for ((x, y), task) in x.iter().zip(&y).zip(&a.tasks) {
        let spread = x.values.iter().fold(0f32, |most, v| most.max((v - x.values[0]).abs()));
        assert!(spread > 0.01, "{}: every answer is the same", task.name);
        assert_eq!(x, y, "{}", task.name);
    }
    renamed
}

#[test]
fn mmoe_with_one_expert_is_the_shared_bottom() {
    let bottom = config(ModelKind::SharedBottom);
    for shared_gate in [false, true] {
        let mut one = config(ModelKind::Mmoe);
        (one.model.experts, one.model.shared_gate) = (1, shared_gate);
        let renamed = same((&bottom, &one), &SHOP.1, |name| {
            if name.contains("gate") {
                return None;
            }
            let name = name.replace("request_experts.0.", "request_net.");
            Some(name.replace("experts.0.", "shared_net."))
        });
        assert_eq!(renamed, 6, "weights and biases of three layers");
    }
}

#[test]
fn one_gate_is_a_gate_per_task_where_there_is_one_task() {
    let (mmoe, data) = alone(&config(ModelKind::Mmoe), "click");
    let mut omoe = mmoe.clone();
    omoe.model.shared_gate = true;
    let renamed = same((&mmoe, &omoe), &data, |name| {
        let name = name.replace("request_shared_gate.", "request_gates.impressions.");
        Some(name.replace("shared_gate.", "gates.click."))
    });
    assert_eq!(renamed, 4, "weight and bias of two gates");
}

#[test]
fn cgc_without_experts_of_its_own_is_mmoe() {
    let mmoe = config(ModelKind::Mmoe);
    let mut cgc = config(ModelKind::Ple);
    (cgc.model.task_experts, cgc.model.shared_experts) = (0, mmoe.model.experts);
    let renamed = same((&mmoe, &cgc), &SHOP.1, |name| {
        Some(
            name.replace("levels.0.shared_experts.", "experts.").replace("levels.0.gates", "gates"),
        )
    });
    assert!(renamed > 20, "{renamed}");
}

#[test]
fn cgc_without_shared_experts_is_a_network_per_task() {
    let mut cgc = config(ModelKind::Ple);
    (cgc.model.task_experts, cgc.model.shared_experts) = (1, 0);
    for backbone in [Backbone::Mlp, Backbone::SelfAttention] {
        let mut each = config(ModelKind::SingleTask);
        (each.model.backbone, cgc.model.backbone) = (backbone, backbone);
        let renamed = same((&cgc, &each), &SHOP.1, |name| {
            let Some((task, rest)) = name.split_once('.') else { return Some(name.into()) };
            if SHOP.0.tasks.iter().all(|t| t.name != task) {
                return Some(name.into());
            }
            let at_request =
                if matches!(task, "click" | "purchase") { "impressions" } else { task };
            let rest = rest
                .replace("request_net.", &format!("request_levels.0.task_experts.{at_request}.0."));
            Some(rest.replace("shared_net.", &format!("levels.0.task_experts.{task}.0.")))
        });
        assert!(renamed > 20, "{renamed}");
    }
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

/// Every way of sharing learns every task, and gives the same bits on one and on two threads.
#[test]
fn every_way_of_sharing_learns_and_repeats() {
    let mut omoe = config(ModelKind::Mmoe);
    omoe.model.shared_gate = true;
    let mut levels = config(ModelKind::Ple);
    (levels.model.levels, levels.model.layer_norm, levels.model.silu) = (2, true, true);
    let mut attention = config(ModelKind::Mmoe);
    attention.model.history_pooling = HistoryPooling::Attention;
    attention.model.backbone = Backbone::SelfAttention;
    attention.model.dropout = 0.1;
    let mut clicked = config(ModelKind::Ple);
    let purchase = clicked.tasks.iter_mut().find(|t| t.name == "purchase").unwrap();
    purchase.objective = Some(PurchaseObjective::ClickSpace);
    let plain = [ModelKind::SingleTask, ModelKind::Mmoe, ModelKind::Ple].map(config);
    for mut config in plain.into_iter().chain([omoe, levels, attention, clicked]) {
        config.train.epochs = 3;
        let one = trained(&config, &SHOP.1, 1);
        let (first, last) = (&one.history[0].train_loss, &one.history[2].train_loss);
        for ((first, last), task) in first.iter().zip(last).zip(&config.tasks) {
            assert!(last < first, "{:?} {}: {first} to {last}", config.model.kind, task.name);
        }
        let two = trained(&config, &SHOP.1, 2);
        assert!(bits(&one.parameters) == bits(&two.parameters), "{:?}", config.model);
    }
}

/// What a task learns does not depend on there being another.
#[test]
fn a_network_per_task_shares_nothing() {
    let mut both = config(ModelKind::SingleTask);
    // Its default objective is about both answers; and which ids are dropped depends on their number.
    both.tasks.iter_mut().find(|t| t.name == "purchase").unwrap().objective =
        Some(PurchaseObjective::ClickSpace);
    both.train.id_dropout = 0.0;
    both.train.epochs = 2;
    let together = trained(&both, &SHOP.1, 1);
    for task in ["click", "diversity"] {
        let (config, data) = alone(&both, task);
        let apart = trained(&config, &data, 1);
        let mut seen = 0;
        for param in apart.network.model.params() {
            let other = together.network.model.params().iter().find(|p| p.name == param.name);
            let values = &together.parameters.dense()[other.unwrap().range()];
            assert!(*values == apart.parameters.dense()[param.range()], "{}", param.name);
            seen += 1;
        }
        for table in apart.parameters.tables() {
            assert!(table.name().starts_with(&format!("{task}.")), "{}", table.name());
            let mut tables = together.parameters.tables().iter();
            let other = tables.find(|t| t.name() == table.name()).unwrap();
            assert!(table.values() == other.values(), "{}", table.name());
        }
        assert!(seen >= 6, "{seen} parameters");
    }
}

#[test]
fn names_say_what_each_weight_is_for() {
    let names = |kind| -> Vec<String> {
        let network = network(&config(kind), &SHOP.1);
        network.model.params().iter().map(|p| p.name.clone()).collect()
    };
    for (kind, expected) in [
        (
            ModelKind::Mmoe,
            vec![
                "experts.0.0.weight",
                "experts.3.2.bias",
                "gates.click.weight",
                "gates.purchase.bias",
                "request_experts.0.0.weight",
                "request_gates.diversity.weight",
                "request_gates.impressions.weight",
                "ctr_tower.0.weight",
                "nov_head.bias",
            ],
        ),
        (
            ModelKind::Ple,
            vec![
                "levels.0.task_experts.click.0.0.weight",
                "levels.0.shared_experts.0.2.weight",
                "levels.0.gates.purchase.weight",
                "request_levels.0.gates.novelty.weight",
            ],
        ),
        (ModelKind::SingleTask, vec!["click.shared_net.0.weight", "novelty.request_net.0.bias"]),
    ] {
        let names = names(kind);
        for name in expected {
            assert!(names.iter().any(|n| n == name), "no `{name}` in {names:#?}");
        }
        // One level has no use for a gate of shared experts.
        assert!(names.iter().all(|name| !name.contains("shared_gate")));
    }
}

#[test]
fn numbers_of_experts_that_make_no_network_are_refused() {
    let refused = |change: fn(&mut Config)| {
        let mut config = config(ModelKind::Ple);
        change(&mut config);
        config.check().unwrap_err().to_string()
    };
    assert!(refused(|c| c.model.experts = 0).contains("model.experts"));
    assert!(refused(|c| c.model.levels = 0).contains("model.levels"));
    let none = refused(|c| (c.model.task_experts, c.model.shared_experts) = (0, 0));
    assert!(none.contains("model.task_experts") && none.contains("at least 1"), "{none}");
    let mut shared_alone = config(ModelKind::Ple);
    shared_alone.model.task_experts = 0;
    shared_alone.check().unwrap();
}
