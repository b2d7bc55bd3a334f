//! Backbones and gates on fields, with ways of sharing: training, resuming, serving.

use std::path::PathBuf;
use std::sync::LazyLock;

use daogou::bench::{VisitOptions, visits};
use daogou::data::Dataset;
use daogou::models::{Network, Shape};
use daogou::schema::{
    Backbone, Config, FieldGate, HistoryPooling, LabelSource, ModelKind, TaskKind,
};
use daogou::train::{Observer, Options, Progress, Trained, train};
use daogou_nn::Parameters;

static SHOP: LazyLock<(Config, Dataset, tempfile::TempDir)> = LazyLock::new(|| {
    let directory = tempfile::tempdir().unwrap();
    let options =
        daogou::simulate::Options { users: 60, items: 150, requests: 1000, ..Default::default() };
    daogou::simulate::run(&options, directory.path(), &mut |_| {}).unwrap();
    let mut config = Config::read(&directory.path().join("daogou.toml")).unwrap();
    config.train.patience = 0;
    config.train.epochs = 2;
    config.model.embedding_dim = 8;
    config.model.request_units = vec![24];
    config.model.shared_units = vec![32];
    config.model.tower_units = vec![16];
    // With the shop's own 0.003 the questions about a request have too little say in two epochs for their losses to fall.
    for task in config.tasks.iter_mut().filter(|task| !task.kind.is_per_impression()) {
        task.weight = Some(0.1);
    }
    let data = Dataset::load(&config, directory.path()).unwrap();
    (config, data, directory)
});

/// Every backbone and every gate with ways of sharing that differ, one of them with attention over the history.
fn combinations() -> Vec<Config> {
    let of = |kind, backbone, gate| {
        let mut config = SHOP.0.clone();
        config.model.kind = kind;
        (config.model.backbone, config.model.field_gate) = (backbone, gate);
        config
    };
    let mut low_rank = of(ModelKind::Ple, Backbone::Dcn, FieldGate::Pepnet);
    low_rank.model.cross_rank = 6;
    let mut attention = of(ModelKind::SharedBottom, Backbone::Fm, FieldGate::Pepnet);
    attention.model.history_pooling = HistoryPooling::Attention;
    vec![
        of(ModelKind::Mmoe, Backbone::Dcn, FieldGate::Senet),
        low_rank,
        attention,
        of(ModelKind::SingleTask, Backbone::SelfAttention, FieldGate::Senet),
        of(ModelKind::SingleTask, Backbone::Mlp, FieldGate::Pepnet),
    ]
}

/// One trunk over rows: the mix is that of the rows, and there is no novelty.
fn flat(backbone: Backbone, gate: FieldGate) -> (Config, Dataset) {
    let mut config = SHOP.0.clone();
    config.model.kind = ModelKind::SharedMlp;
    (config.model.backbone, config.model.field_gate) = (backbone, gate);
    config.tasks.retain(|task| task.kind != TaskKind::Share);
    for task in config.tasks.iter_mut().filter(|task| task.kind == TaskKind::Distribution) {
        (task.source, task.window_days, task.min_events) = (Some(LabelSource::Row), None, None);
    }
    let data = Dataset::load(&config, SHOP.2.path()).unwrap();
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

/// Ends a training after some steps, as a kill would.
struct Kill {
    after: usize,
}

impl Observer for Kill {
    fn step(&mut self, _: &Progress<'_>) {
        self.after = self.after.saturating_sub(1);
    }
    fn stops(&self) -> bool {
        self.after == 0
    }
}

fn learns_and_repeats(config: &Config, data: &Dataset) {
    let one = trained(config, data, 1);
    let (first, last) = (&one.history[0].train_loss, &one.history[1].train_loss);
    for ((first, last), task) in first.iter().zip(last).zip(&config.tasks) {
        assert!(last < first, "{:?} {}: {first} to {last}", config.model, task.name);
    }
    let two = trained(config, data, 2);
    assert!(bits(&one.parameters) == bits(&two.parameters), "threads: {:?}", config.model);

    let directory = tempfile::tempdir().unwrap();
    let mut config = config.clone();
    config.train.checkpoint_steps = 3;
    let checkpoints: Option<PathBuf> = Some(directory.path().join("run"));
    let killed = Options { checkpoints: checkpoints.clone(), resume: false };
    assert!(train(&config, data, &killed, &mut Kill { after: 8 }).is_err());
    let resumed = Options { checkpoints, resume: true };
    let resumed = train(&config, data, &resumed, &mut ()).unwrap();
    assert!(bits(&one.parameters) == bits(&resumed.parameters), "resumed: {:?}", config.model);
}

#[test]
fn every_backbone_learns_and_repeats() {
    combinations().iter().for_each(|config| learns_and_repeats(config, &SHOP.1));
    for (backbone, gate) in [(Backbone::Dcn, FieldGate::Pepnet), (Backbone::Fm, FieldGate::Senet)] {
        let (config, data) = flat(backbone, gate);
        learns_and_repeats(&config, &data);
    }
}

/// With every item's part of the network computed beforehand, answers are those of the plain pass.
#[test]
fn every_backbone_is_served_as_it_was_trained() {
    let combined = [
        ("fm", "senet", "mmoe", "mean"),
        ("dcn", "pepnet", "ple", "mean"),
        ("self_attention", "pepnet", "single_task", "mean"),
        ("dcn", "senet", "shared_bottom", "attention"),
    ];
    for (backbone, gate, kind, pooling) in combined {
        let settings = [
            format!("model.backbone={backbone}"),
            format!("model.field_gate={gate}"),
            format!("model.kind={kind}"),
            format!("model.history_pooling={pooling}"),
            "model.embedding_dim=8".into(),
        ];
        let result = visits(&VisitOptions {
            users: 50,
            requests: 500,
            items: 200,
            candidates: 40,
            visits: 10,
            settings: settings.into(),
        })
        .unwrap();
        for scored in result.scored {
            let difference = scored.largest_difference;
            assert!(difference < 1e-4, "{backbone}, {gate}, {kind}: {difference}");
        }
    }
}

#[test]
fn names_say_what_each_weight_is_for() {
    let names = |config: &Config| -> Vec<String> {
        let shape = Shape::of(config, &SHOP.1);
        let network = Network::build(config, &SHOP.1.space, &shape).unwrap();
        network.model.params().iter().map(|p| p.name.clone()).collect()
    };
    let expected: [&[&str]; 5] = [
        &[
            "cross.0.weight",
            "cross.1.bias",
            "field_gate.request.0.weight",
            "field_gate.item.2.bias",
        ],
        &["cross.0.u.weight", "cross.1.v.bias", "field_gate.item.0.weight"],
        &["field_gate.request.2.weight"],
        &["click.field_attention.query.weight", "diversity.field_gate.request.0.weight"],
        &["purchase.field_gate.item.2.weight"],
    ];
    for (config, expected) in combinations().iter().zip(expected) {
        let names = names(config);
        for name in expected {
            assert!(names.iter().any(|n| n == name), "no `{name}` in {names:#?}");
        }
        // What is asked of a request must not depend on a candidate.
        assert!(names.iter().all(|name| !name.contains("diversity.field_gate.item")));
    }
}
