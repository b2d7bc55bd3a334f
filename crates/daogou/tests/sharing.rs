//! Ways of sharing between tasks: networks that must be the same one, training, names.

use std::sync::LazyLock;

use daogou::data::Dataset;
use daogou::models::{Logits, Mode, Network, Shape, Source, predict};
use daogou::schema::{
    Backbone, Config, HistoryPooling, ModelKind, PurchaseObjective, Task, TaskKind,
};
use daogou::train::{Observer, Options, Progress, Trained, train};
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

/// Answers of `a` and of `b`, once each value of `b` is the one of `a` that `name` says; a value without a name in `a` stays
/// as it is. Also how many parameters have another name.
fn both(
    (a, b): (&Config, &Config),
    data: &Dataset,
    name: impl Fn(&str) -> Option<String>,
) -> (Vec<Logits>, Vec<Logits>, usize) {
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
    (logits(&first, &from, data), logits(&second, &to, data), renamed)
}

/// Asserts that both give the same bits.
fn same(
    (a, b): (&Config, &Config),
    data: &Dataset,
    name: impl Fn(&str) -> Option<String>,
) -> usize {
    let (x, y, renamed) = both((a, b), data, name);
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

#[test]
fn stem_with_one_task_and_nothing_shared_is_a_network_of_its_own() {
    let (mut stem, data) = alone(&config(ModelKind::Stem), "click");
    (stem.model.task_experts, stem.model.shared_experts) = (1, 0);
    let mut each = stem.clone();
    each.model.kind = ModelKind::SingleTask;
    let renamed = same((&each, &stem), &data, |name| {
        // The shared stream is there, but no gate listens to it; its tables may hold anything.
        if name.contains("gate")
            || name.starts_with("item_proj")
            || name.starts_with("request_proj")
        {
            return None;
        }
        let table = name.ends_with("_embed") && !name.contains('.');
        let name = if table { format!("click.{name}") } else { name.to_string() };
        let name = name.replace("request_task_experts.click.0.", "click.request_net.");
        Some(name.replace("task_experts.click.0.", "click.shared_net."))
    });
    assert_eq!(renamed, 6, "weights and biases of three layers");
}

/// All forward, task-specific backward: a task reads the experts of others and does not teach them.
#[test]
fn in_stem_a_loss_teaches_its_own_and_the_shared_ones() {
    let mut stem = config(ModelKind::Stem);
    stem.train.epochs = 1;
    stem.tasks.iter_mut().for_each(|task| task.weight = Some(0.0));
    stem.tasks.iter_mut().find(|task| task.name == "diversity").unwrap().weight = Some(1.0);
    let end = trained(&stem, &SHOP.1, 1);
    let start = Parameters::new(&end.network.model, stem.train.seed);
    let mut moved = Vec::new();
    for (table, before) in end.parameters.tables().iter().zip(start.tables()) {
        let same = table.values() == before.values();
        let own = table.name().starts_with("diversity.");
        let shared = !table.name().contains('.');
        assert!(same || own || shared, "{} learned from another task", table.name());
        if !same {
            moved.push(own);
        }
    }
    assert!(moved.contains(&true) && moved.contains(&false), "own and shared tables learn");
    for param in end.network.model.params().iter().filter(|p| p.name.contains("task_experts")) {
        let same = end.parameters.dense()[param.range()] == start.dense()[param.range()];
        assert_eq!(
            same,
            !param.name.starts_with("request_task_experts.diversity"),
            "{}",
            param.name
        );
    }
    // What is read is not nothing: another expert changes the answer.
    let mut other = end.parameters.clone();
    let experts = end.network.model.params().iter();
    let expert = experts
        .filter(|p| p.name.starts_with("request_task_experts.click"))
        .map(daogou_nn::Param::range);
    let ranges: Vec<_> = expert.collect();
    other.edit(|dense, _| ranges.into_iter().for_each(|range| dense[range].fill(0.3)));
    let of = |parameters| logits(&end.network, parameters, &SHOP.1);
    assert_ne!(of(&end.parameters)[2], of(&other)[2]);
}

/// AITM is a trunk per reader, but for what the purchase gets from the click.
#[test]
fn aitm_hands_on_from_the_click_to_the_purchase_only() {
    let mut cgc = config(ModelKind::Ple);
    (cgc.model.task_experts, cgc.model.shared_experts) = (1, 0);
    let aitm = config(ModelKind::Aitm);
    let (x, y, renamed) = both((&cgc, &aitm), &SHOP.1, |name| {
        if name.contains("transfer") {
            return None;
        }
        let Some((level, rest)) = name.split_once("trunks.") else { return Some(name.into()) };
        let (reader, rest) = rest.split_once('.').unwrap();
        Some(format!("{level}levels.0.task_experts.{reader}.0.{rest}"))
    });
    assert!(renamed >= 14, "{renamed}");
    for ((x, y), task) in x.iter().zip(&y).zip(&aitm.tasks) {
        assert_eq!(x == y, task.name != "purchase", "{}", task.name);
    }
    let alone = alone(&aitm, "click").0.check().unwrap_err().to_string();
    assert!(alone.contains("model.kind") && alone.contains("purchase"), "{alone}");
}

fn objective(config: &mut Config, objective: PurchaseObjective) {
    let purchase = config.tasks.iter_mut().find(|task| task.name == "purchase").unwrap();
    purchase.objective = Some(objective);
}

/// Whatever a purchase is trained by, pCTR·pCVR adds up to the purchases there were.
#[test]
fn every_objective_predicts_the_number_of_purchases() {
    use PurchaseObjective::{Aitm, Escm2Dr, Escm2Ips, Esmm};
    let sigmoid = |z: f32| 1.0 / (1.0 + f64::from(-z).exp());
    let data = &SHOP.1;
    let train_rows = data.requests.impressions(&data.split.train);
    for objective_of in [Esmm, Aitm, Escm2Ips, Escm2Dr] {
        let mut config = config(ModelKind::SharedBottom);
        objective(&mut config, objective_of);
        config.train.epochs = 2;
        let run = trained(&config, data, 1);
        let requests: Vec<u32> = data.split.train.clone().map(|r| r as u32).collect();
        let (model, inputs) =
            ((&run.network.model, &run.parameters), (&run.network.feed, &run.network.heads[..]));
        let found = predict(
            model,
            inputs,
            &Source::from(data),
            &requests,
            Mode::Evaluate,
            &mut Team::new(1),
        );
        let place = |name: &str| config.tasks.iter().position(|task| task.name == name).unwrap();
        let (click, purchase) = (&found[place("click")].values, &found[place("purchase")].values);
        let expected: f64 =
            click.iter().zip(purchase).map(|(a, v)| sigmoid(*a) * sigmoid(*v)).sum();
        let bought = &data.impressions.labels[1][train_rows.clone()];
        let bought: f64 = bought.iter().map(|&label| f64::from(label)).sum();
        assert!(bought > 15.0, "{bought}");
        let off = expected / bought;
        assert!((0.5..2.0).contains(&off), "{objective_of:?}: {expected:.1} of {bought}");
        // Losses are told over those of the best constant, whatever they are a sum of.
        let first = run.history[0].train_loss[place("purchase")];
        assert!((0.6..1.4).contains(&first), "{objective_of:?}: {first}");
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
    objective(&mut omoe, PurchaseObjective::Escm2Ips);
    let mut levels = config(ModelKind::Ple);
    (levels.model.levels, levels.model.layer_norm, levels.model.silu) = (2, true, true);
    let mut attention = config(ModelKind::Mmoe);
    attention.model.history_pooling = HistoryPooling::Attention;
    attention.model.backbone = Backbone::SelfAttention;
    attention.model.dropout = 0.1;
    let mut clicked = config(ModelKind::Ple);
    let purchase = clicked.tasks.iter_mut().find(|t| t.name == "purchase").unwrap();
    purchase.objective = Some(PurchaseObjective::ClickSpace);
    let mut aitm = config(ModelKind::Aitm);
    objective(&mut aitm, PurchaseObjective::Aitm);
    let mut stem = config(ModelKind::Stem);
    objective(&mut stem, PurchaseObjective::Escm2Dr);
    let plain = [ModelKind::SingleTask, ModelKind::Mmoe, ModelKind::Ple].map(config);
    let others = [omoe, levels, attention, clicked, aitm, stem];
    for mut config in plain.into_iter().chain(others) {
        config.train.epochs = 3;
        let one = trained(&config, &SHOP.1, 1);
        let (first, last) = (&one.history[0].train_loss, &one.history[2].train_loss);
        for ((first, last), task) in first.iter().zip(last).zip(&config.tasks) {
            assert!(last < first, "{:?} {}: {first} to {last}", config.model.kind, task.name);
        }
        let two = trained(&config, &SHOP.1, 2);
        assert!(bits(&one.parameters) == bits(&two.parameters), "{:?}", config.model);
        assert_eq!(one.history, two.history, "{:?}", config.model);
    }
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
    let mut aitm = config(ModelKind::Aitm);
    objective(&mut aitm, PurchaseObjective::Aitm);
    let mut stem = config(ModelKind::Stem);
    objective(&mut stem, PurchaseObjective::Escm2Dr);
    for mut config in [aitm, stem, config(ModelKind::Mmoe)] {
        (config.train.epochs, config.train.checkpoint_steps) = (2, 3);
        let whole = trained(&config, &SHOP.1, 1);
        let directory = tempfile::tempdir().unwrap();
        let mut options =
            Options { checkpoints: Some(directory.path().into()), ..Options::default() };
        config.train.threads = 1;
        for steps in [5, 9] {
            assert!(train(&config, &SHOP.1, &options, &mut Stop(steps)).is_err());
            options.resume = true;
        }
        let again = train(&config, &SHOP.1, &options, &mut ()).unwrap();
        assert!(bits(&whole.parameters) == bits(&again.parameters), "{:?}", config.model.kind);
        assert_eq!(whole.history, again.history, "{:?}", config.model.kind);
    }
}

/// What is told of experts is what their nodes hold.
#[test]
fn the_use_of_experts_is_measured_on_validation() {
    let mut ple = config(ModelKind::Ple);
    (ple.model.levels, ple.train.epochs) = (2, 1);
    let run = trained(&ple, &SHOP.1, 1);
    let used = run.history[0].experts.as_ref().unwrap();
    let names: Vec<&str> = used.gates.iter().map(|gate| gate.gate.as_str()).collect();
    for name in ["click, level 1", "shared, level 1", "purchase, level 2", "impressions, level 2"] {
        assert!(names.contains(&name), "{names:?}");
    }
    for gate in &used.gates {
        let total: f64 = gate.shares.iter().sum();
        assert!((total - 1.0).abs() < 1e-4, "{gate:?}");
        assert_eq!(gate.shares.len(), gate.experts.len());
        let most = (gate.shares.len() as f64).ln();
        assert!(gate.entropy > 0.0 && gate.entropy <= most + 1e-6, "{gate:?}");
    }
    assert!(used.experts.iter().all(|expert| (0.0..=1.0).contains(&expert.dead)));
    let stem = network(&config(ModelKind::Stem), &SHOP.1);
    let mut gates: Vec<&str> = stem.gates.iter().map(|gate| gate.gate.as_str()).collect();
    assert!(gates.contains(&"click") && gates.contains(&"click, request level"), "{gates:?}");
    gates.sort_unstable();
    gates.dedup();
    assert_eq!(gates.len(), stem.gates.len(), "each gate has a name of its own");
    let network = |kind| trained(&Config { train: ple.train.clone(), ..config(kind) }, &SHOP.1, 1);
    assert!(network(ModelKind::SharedBottom).history[0].experts.is_none());

    // A gate that always takes its first expert, whose units are 0 whatever comes in.
    let mut mmoe = config(ModelKind::Mmoe);
    mmoe.train.epochs = 1;
    let run = trained(&mmoe, &SHOP.1, 1);
    let mut parameters = run.parameters.clone();
    let range =
        |name: &str| run.network.model.params().iter().find(|p| p.name == name).unwrap().range();
    let (bias, dead) = (range("gates.click.bias"), range("experts.0.2.bias"));
    parameters.edit(|dense, _| {
        dense[bias.start] = 50.0;
        dense[dead].fill(-1e4);
    });
    let requests: Vec<u32> = SHOP.1.split.valid.clone().map(|r| r as u32).collect();
    let measured = |threads| {
        daogou::train::ExpertUse::measure(
            (&run.network.model, &parameters),
            (&run.network.feed, &run.network.gates),
            &Source::from(&SHOP.1),
            &requests,
            &mut Team::new(threads),
        )
        .unwrap()
    };
    let used = measured(1);
    assert_eq!(used, measured(2));
    let click = used.gates.iter().find(|gate| gate.gate == "click").unwrap();
    assert!(click.shares[0] > 0.999 && click.entropy < 0.01, "{click:?}");
    let dead = used.experts.iter().find(|expert| expert.expert == "experts.0").unwrap();
    assert_eq!(dead.dead, 1.0);
    let said = used.warnings(&mmoe.model).join("\n");
    assert!(said.contains("`click` leans") && said.contains("expert `experts.0`"), "{said}");
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
        (
            ModelKind::Aitm,
            vec![
                "trunks.click.0.weight",
                "request_trunks.impressions.0.bias",
                "transfer.info.weight",
                "transfer.value.weight",
            ],
        ),
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

#[test]
fn objectives_and_labels_that_make_no_sense_are_refused() {
    let refused = |change: fn(&mut Config), parts: &[&str]| {
        let mut config = config(ModelKind::SharedBottom);
        change(&mut config);
        let message = config.check().unwrap_err().to_string();
        assert!(parts.iter().all(|part| message.contains(part)), "{message}");
    };
    refused(
        |c| c.tasks[1].propensity_clip = Some(5.0),
        &["task.purchase.propensity_clip", "escm2_ips"],
    );
    refused(|c| c.tasks[1].order_weight = Some(1.0), &["task.purchase.order_weight", "`aitm`"]);
    refused(
        |c| {
            objective(c, PurchaseObjective::Escm2Ips);
            c.tasks[1].propensity_clip = Some(0.5);
        },
        &["propensity_clip", "at least 1", "0.5"],
    );
    refused(
        |c| {
            objective(c, PurchaseObjective::Escm2Dr);
            (c.tasks[1].cvr_weight, c.tasks[1].ctcvr_weight) = (Some(0.0), Some(0.0));
        },
        &["cvr_weight", "positive"],
    );
    refused(
        |c| {
            objective(c, PurchaseObjective::Aitm);
            c.tasks.retain(|task| task.name != "click");
        },
        &["task.purchase.objective", "`aitm` needs a click task"],
    );
    refused(|c| c.tasks[1].label = Some("click".into()), &["task.purchase.label", "`click`"]);
    refused(
        |c| c.tasks.iter_mut().for_each(|task| task.weight = Some(0.0)),
        &["task", "every task has weight 0"],
    );
}

/// Where labels leave nothing to learn, training does not begin.
#[test]
fn tasks_without_both_answers_are_refused() {
    let refused = |change: fn(&mut [Vec<u8>]), objective_of, parts: &[&str]| {
        let (mut config, mut data) = (config(ModelKind::SharedBottom), SHOP.1.clone());
        objective(&mut config, objective_of);
        change(&mut data.impressions.labels);
        let error = train(&config, &data, &Options::default(), &mut ()).err().expect("refused");
        let message = error.to_string();
        assert!(parts.iter().all(|part| message.contains(part)), "{message}");
    };
    use PurchaseObjective::{ClickSpace, Escm2Ips, Esmm};
    refused(|labels| labels[1].fill(0), Esmm, &["task `purchase`", "label 0"]);
    refused(|labels| labels[0].fill(1), Esmm, &["task `click`", "label 1"]);
    refused(|labels| labels[0].fill(0), Escm2Ips, &["task `click`", "label 0"]);
    // Bought wherever clicked.
    refused(
        |labels| labels[1] = labels[0].clone(),
        ClickSpace,
        &["task `purchase`", "`click` = 1", "label 1"],
    );
    // Bought, but never where clicked.
    refused(
        |labels| labels[1] = labels[0].iter().map(|click| 1 - click).collect(),
        Esmm,
        &["task `purchase`", "`click` = 1", "label 0"],
    );
}

/// What a task is not asked about does not matter, whatever the log says there.
#[test]
fn a_task_learns_where_it_is_asked() {
    let mut asking = config(ModelKind::SharedBottom);
    let mut liked = Task::new("liked", TaskKind::Binary);
    liked.sample_space = Some("asked".into());
    asking.tasks.push(liked);
    asking.train.epochs = 1;
    asking.check().unwrap();
    let labels = ["click", "purchase", "liked", "asked"];
    assert_eq!(asking.label_columns(), labels);
    assert_eq!((asking.sample_space(4), asking.sample_space(0)), (Some(3), None));

    let mut data = SHOP.1.clone();
    data.targets.push(None);
    let mut rng = Rng::new(2, 2);
    let mut coins = |share: f64| -> Vec<u8> {
        data.impressions.item.iter().map(|_| u8::from(rng.uniform() < share)).collect()
    };
    let (asked, first, other) = (coins(0.4), coins(0.2), coins(0.8));
    let mixed: Vec<u8> =
        (0..asked.len()).map(|i| if asked[i] == 1 { first[i] } else { other[i] }).collect();
    let run = |liked: &[u8]| {
        let mut data = data.clone();
        data.impressions.labels.extend([liked.to_vec(), asked.clone()]);
        let constants = daogou::train::constants(&asking, &data).unwrap();
        (constants[4].answer[0], train(&asking, &data, &Options::default(), &mut ()).unwrap())
    };
    let ((rate, one), (again, two)) = (run(&first), run(&mixed));
    assert!((rate - 0.2).abs() < 0.02 && rate == again, "{rate}, {again}");
    assert!(bits(&one.parameters) == bits(&two.parameters));
    assert_eq!(one.history, two.history);

    let mut nowhere = data.clone();
    nowhere.impressions.labels.extend([first, vec![0; asked.len()]]);
    let error = train(&asking, &nowhere, &Options::default(), &mut ()).err().expect("refused");
    let message = error.to_string();
    assert!(
        message.contains("task `liked`") && message.contains("sample space is empty"),
        "{message}"
    );
    for (space, part) in [("liked", "its own label"), ("clicked", "")] {
        asking.tasks[4].sample_space = Some(space.into());
        let checked = asking.check().map_err(|error| error.to_string());
        assert_eq!(checked.is_err(), !part.is_empty(), "{checked:?}");
        assert!(checked.err().unwrap_or_default().contains(part));
    }
    assert_eq!(asking.sample_space(4), Some(0), "the label of the click");
}

/// The column of a sample space is read beside the labels.
#[test]
fn a_sample_space_is_a_column_of_the_log() {
    let directory = tempfile::tempdir().unwrap();
    let mut rows = String::from("user_id,item_id,click,liked,asked\n");
    for i in 0..40 {
        rows += &format!("u{},i{},{},{},{}\n", i % 7, i % 5, i % 2, i % 3 / 2, i % 4 / 2);
    }
    std::fs::write(directory.path().join("log.csv"), rows).unwrap();
    let text = r#"
        [data]
        impressions = ["log.csv"]
        split = { method = "row_order", train = 0.8, valid = 0.1, test = 0.1 }
        [columns]
        [[feature]]
        name = "item_id"
        side = "item"
        type = "id"
        [[task]]
        name = "click"
        kind = "binary"
        [[task]]
        name = "liked"
        kind = "binary"
        sample_space = "asked"
    "#;
    let config = Config::parse(text, &directory.path().join("daogou.toml")).unwrap();
    let data = Dataset::load(&config, directory.path()).unwrap();
    assert_eq!(data.impressions.labels.len(), 3);
    let asked: Vec<u8> = (0..40).map(|i| i % 4 / 2).collect();
    assert_eq!(data.impressions.labels[2], asked);
    let missing = text.replace("\"asked\"", "\"seen\"");
    let config = Config::parse(&missing, &directory.path().join("daogou.toml")).unwrap();
    let message = Dataset::load(&config, directory.path()).unwrap_err().to_string();
    assert!(message.contains("seen"), "{message}");
}
