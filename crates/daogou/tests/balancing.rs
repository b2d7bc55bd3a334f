//! Balancing tasks (`loss_weighting.method`): training with each way, its bits, and what it says of conflicts.

use std::sync::LazyLock;

use daogou::data::Dataset;
use daogou::schema::{Balancing, Config, ModelKind, PurchaseObjective};
use daogou::train::{Observer, Options, Progress, Trained, train};
use daogou_nn::Parameters;

/// A simulated shop with all four tasks.
static SHOP: LazyLock<(Config, Dataset)> = LazyLock::new(|| {
    let directory = tempfile::tempdir().unwrap();
    let options =
        daogou::simulate::Options { users: 60, items: 150, requests: 1500, ..Default::default() };
    daogou::simulate::run(&options, directory.path(), &mut |_| {}).unwrap();
    let mut config = Config::read(&directory.path().join("daogou.toml")).unwrap();
    config.train.patience = 0;
    config.train.epochs = 3;
    config.train.threads = 1;
    config.model.embedding_dim = 8;
    config.model.request_units = vec![24];
    config.model.shared_units = vec![40, 24];
    config.model.tower_units = vec![16];
    config.model.experts = 2;
    let data = Dataset::load(&config, directory.path()).unwrap();
    (config, data)
});

fn config(method: Balancing, kind: ModelKind) -> Config {
    let mut config = SHOP.0.clone();
    config.loss_weighting.method = method;
    config.loss_weighting.nash_update_every = 2;
    config.model.kind = kind;
    config
}

fn trained(config: &Config) -> Trained {
    train(config, &SHOP.1, &Options::default(), &mut ()).unwrap()
}

fn bits(parameters: &Parameters) -> Vec<u32> {
    let tables = parameters.tables().iter().flat_map(daogou_nn::Table::values);
    parameters.dense().iter().chain(tables).map(|v| v.to_bits()).collect()
}

/// Stops training after some steps.
struct StopAfter(usize);

impl Observer for StopAfter {
    fn step(&mut self, _progress: &Progress<'_>) {
        self.0 -= 1;
    }
    fn stops(&self) -> bool {
        self.0 == 0
    }
}

/// Every way learns, gives the same bits on one and on two threads, and goes on after having been stopped as if
/// nothing had happened.
#[test]
fn every_way_learns_and_repeats() {
    let kinds = [ModelKind::SharedBottom, ModelKind::Mmoe, ModelKind::Ple];
    for (method, kind) in Balancing::ALL.into_iter().zip(kinds.into_iter().cycle()) {
        let mut config = config(method, kind);
        config.model.dropout = 0.1;
        config.train.evaluations_per_epoch = 2;
        let one = trained(&config);
        // Single tasks may wait for others, or for luck; together they learn.
        let total = |round: usize| one.history[round].train_loss.iter().sum::<f64>();
        assert!(total(5) < total(0), "{method:?}: {} to {}", total(0), total(5));

        config.train.threads = 2;
        let two = trained(&config);
        assert!(bits(&one.parameters) == bits(&two.parameters), "{method:?}: threads");
        assert_eq!(one.history, two.history, "{method:?}: threads");

        let directory = tempfile::tempdir().unwrap();
        config.train.checkpoint_steps = 1;
        let options = Options { checkpoints: Some(directory.path().into()), resume: true };
        let steps = one.history.last().unwrap().step as usize;
        // In the middle of the second epoch, and once more in the third.
        for done in [steps / 2, steps / 3] {
            let stopped = train(&config, &SHOP.1, &options, &mut StopAfter(done));
            assert!(stopped.err().unwrap().to_string().contains("stopped"));
        }
        let resumed = train(&config, &SHOP.1, &options, &mut ()).unwrap();
        assert!(bits(&one.parameters) == bits(&resumed.parameters), "{method:?}: resumed");
        assert_eq!(one.history, resumed.history, "{method:?}: resumed");
    }
}

#[test]
fn conflicts_are_told_round_by_round() {
    for kind in [ModelKind::SharedBottom, ModelKind::Mmoe, ModelKind::Ple, ModelKind::SharedMlp] {
        let mut config = config(Balancing::PcGrad, kind);
        config.train.epochs = 1;
        let mut data = SHOP.1.clone();
        if kind == ModelKind::SharedMlp {
            // It answers for rows, and the mix that the shop's log asks for is of requests.
            let index = config.tasks.iter().position(|task| task.name == "diversity").unwrap();
            config.tasks.remove(index);
            data.targets.remove(index);
        }
        let trained = train(&config, &data, &Options::default(), &mut ()).unwrap();
        let balance = trained.history[0].balance.as_ref().unwrap();
        let n = config.tasks.len();
        assert_eq!((balance.factors.len(), balance.cosines.len()), (n, n));
        for i in 0..n {
            assert!(balance.factors[i] > 0.5, "{kind:?}: {:?}", balance.factors);
            assert!((balance.cosines[i][i].unwrap() - 1.0).abs() < 1e-9);
            for j in 0..n {
                // Tasks of requests and of impressions meet in the request level.
                let cosine = balance.cosines[i][j].unwrap_or_else(|| panic!("{kind:?}: {i}, {j}"));
                assert!(cosine.abs() <= 1.0 + 1e-9 && balance.cosines[j][i] == Some(cosine));
            }
        }
        assert!(balance.sharpest_conflict().unwrap().2 < 1.0);
    }
    let by_losses = trained(&config(Balancing::Uw, ModelKind::SharedBottom));
    let balance = by_losses.history[0].balance.as_ref().unwrap();
    assert!(balance.cosines.is_empty() && balance.sharpest_conflict().is_none());
    assert!(
        trained(&config(Balancing::Fixed, ModelKind::SharedBottom)).history[0].balance.is_none()
    );
}

#[test]
fn tasks_of_weight_0_take_no_part() {
    let mut config = config(Balancing::Mgda, ModelKind::SharedBottom);
    for task in &mut config.tasks {
        if matches!(task.name.as_str(), "diversity" | "novelty") {
            task.weight = Some(0.0);
        }
    }
    let trained = trained(&config);
    let balance = trained.history[0].balance.as_ref().unwrap();
    let of = |name: &str| config.tasks.iter().position(|task| task.name == name).unwrap();
    let (click, purchase) = (of("click"), of("purchase"));
    let sum = balance.factors[click] + balance.factors[purchase];
    assert!((sum - 1.0).abs() < 1e-6, "{:?}", balance.factors);
    assert_eq!(balance.cosines[of("diversity")][click], None);
}

#[test]
fn tasks_that_share_nothing_are_refused_before_training() {
    let mut config = config(Balancing::CaGrad, ModelKind::SharedBottom);
    let of_requests = ["diversity", "novelty"];
    let mut data = SHOP.1.clone();
    let mut kept = config.tasks.iter().map(|task| of_requests.contains(&task.name.as_str()));
    data.targets.retain(|_| kept.next().unwrap());
    config.tasks.retain(|task| of_requests.contains(&task.name.as_str()));
    config.model.request_units = Vec::new();
    config.lists.objectives.retain(|name, _| name == "diversity" || name == "novelty");
    let refused = train(&config, &data, &Options::default(), &mut ()).err().unwrap().to_string();
    assert!(refused.contains("loss_weighting.method") && refused.contains("CAGrad"), "{refused}");
}

/// Each objective of the purchase task can be balanced: ESMM's reaches the click tower as well.
#[test]
fn purchase_objectives_can_be_balanced() {
    for objective in [PurchaseObjective::ClickSpace, PurchaseObjective::AllImpressions] {
        let mut config = config(Balancing::NashMtl, ModelKind::Mmoe);
        config.tasks.iter_mut().find(|t| t.name == "purchase").unwrap().objective = Some(objective);
        let trained = trained(&config);
        let (first, last) = (&trained.history[0], trained.history.last().unwrap());
        assert!(last.valid_loss < first.valid_loss, "{objective:?}");
    }
}
