//! The frozen answers against the plain ones.

use std::sync::Arc;

use daogou_nn::Team;

use super::{FrozenItems, PlainForward};
use crate::data::timeline::history_end;
use crate::data::{Dataset, Seen};
use crate::list_maker::{Goods, ListMaker, Visit};
use crate::models::{Mode, Source, sigmoid};
use crate::people::People;
use crate::run::TrainedRun;
use crate::schema::{Config, Feature, FeatureType, ModelKind, PurchaseObjective, Side, TaskKind};
use crate::simulate;
use crate::stock::Stock;
use crate::train::{Options, train};

/// Whatever tasks share, an item scored for a visit gets what the plain pass gives it.
#[test]
fn every_network_answers_the_same_once_frozen() {
    use ModelKind::{Aitm, Mmoe, Ple, Stem};
    let directory = tempfile::tempdir().unwrap();
    let world = simulate::Options { users: 60, items: 150, requests: 600, ..Default::default() };
    simulate::run(&world, directory.path(), &mut |_| {}).unwrap();
    let mut config = Config::read(&directory.path().join("daogou.toml")).unwrap();
    config.train.epochs = 1;
    // The shop's own configuration reads what each person was shown; here everybody's clicks are read as well.
    config.features.push(Feature {
        of: Some(vec!["item_id".into(), "brand".into()]),
        ..Feature::new("popularity", Side::Impression, FeatureType::Popularity)
    });
    let data = Dataset::load(&config, directory.path()).unwrap();
    for (kind, objective) in [
        (Mmoe, PurchaseObjective::Escm2Dr),
        (Ple, PurchaseObjective::Esmm),
        (Aitm, PurchaseObjective::Aitm),
        (Stem, PurchaseObjective::Escm2Ips),
    ] {
        config.model.kind = kind;
        let purchase = config.tasks.iter_mut().find(|task| task.name == "purchase").unwrap();
        purchase.objective = Some(objective);
        let trained = train(&config, &data, &Options::default(), &mut ()).unwrap();
        let run = TrainedRun::new(&config, trained, &data);
        let mut team = Team::new(1);
        let stock = Stock::of(&run);
        let frozen = Arc::new(FrozenItems::of(&run, &stock, &mut team));
        let items: Vec<u32> = stock.listed().collect();
        let goods = Goods::from(&stock);
        let seen = Seen::in_log(&data.requests, &data.impressions, &data.timelines);
        let people = People::of_log(&run, &data, Some(&seen));
        let mut maker = ListMaker::with_frozen(&run, (goods, frozen), &items, 1).unwrap();
        let mut plain = PlainForward::new(&run, goods, &items, 1);
        for r in data.split.test.clone().step_by(7).take(5) {
            let (user, time) = (data.requests.user[r], data.requests.time[r]);
            let visit = Visit { people: &people, user, time, context: (&data.requests.columns, r) };
            let end = history_end(&data.timelines, user, Some(time));
            let logits = plain.run(&visit, end, &mut team);
            let binary = run.config.tasks.iter().zip(logits);
            let binary = binary.filter(|(task, _)| task.kind == TaskKind::Binary);
            let expected: Vec<f32> =
                binary.flat_map(|(_, logits)| logits.values.iter().map(|&z| sigmoid(z))).collect();
            let scored = maker.score(&visit, &mut team);
            let found: Vec<f32> = scored.probabilities.iter().flatten().copied().collect();
            assert_eq!(found.len(), expected.len());
            for (a, b) in found.iter().zip(&expected) {
                assert!((a - b).abs() <= 1e-4 * a.max(*b), "{kind:?}: {a} and {b}");
            }
            // What was shown then is answered as the evaluation of the log answers it.
            let click = &scored.probabilities[0];
            let mut logged = run.forward(1);
            let logged = logged.run(&Source::from(&data), &[r as u32], Mode::Serve, &mut team);
            let shown = data.requests.impressions(&(r..r + 1));
            for (item, &z) in data.impressions.item[shown].iter().zip(&logged[0].values) {
                let place = items.iter().position(|own| own == item).expect("it is listed");
                let (a, b) = (click[place], sigmoid(z));
                assert!((a - b).abs() <= 1e-4 * a.max(b), "{kind:?}, item {item}: {a} and {b}");
            }
        }
    }
}
