//! What a model can recover of the truth behind a simulated log.

use std::path::Path;

use daogou_nn::Team;

use super::choice::equal_exposure_mix;
use super::{CATEGORIES, Options, World, run};
use crate::data::{Dataset, load};
use crate::evaluate::MIX_PRIOR;
use crate::metrics::distribution::{compare, log_of, log_softmax};
use crate::models::{Mode, Source};
use crate::run::TrainedRun;
use crate::schema::{Config, TaskKind};
use crate::train::{self, constants};

/// Mean divergence KL(T ‖ q) over the test split, T being the mix that a person would click under equal exposure and
/// ln q what `answer` puts into its second argument for a request.
fn divergence(world: &World, data: &Dataset, mut answer: impl FnMut(usize, &mut Vec<f64>)) -> f64 {
    let user_ids: Vec<String> = (0..world.users().len() as u32).map(World::user_id).collect();
    let place_of = |name: &str| CATEGORIES.iter().position(|category| category.name == name);
    let places: Vec<usize> =
        data.catalogue.categories.iter().map(|name| place_of(name).unwrap()).collect();
    let mut log_predicted = Vec::new();
    let mut sum = 0.0;
    for r in data.split.test.clone() {
        let id = &data.users.ids[data.requests.user[r] as usize];
        let user = user_ids.iter().position(|known| known == id).unwrap();
        let truth = equal_exposure_mix(world, &world.users()[user]);
        let truth: Vec<f32> = places.iter().map(|&place| truth[place] as f32).collect();
        answer(r, &mut log_predicted);
        sum += compare(&truth, &log_predicted).kl;
    }
    sum / data.split.test.len() as f64
}

/// Divergence of a diversity head, served, that was trained with or without the exposure of its label window.
fn of_head(world: &World, directory: &Path, offset: bool) -> f64 {
    let mut config = Config::read(&directory.join("daogou.toml")).unwrap();
    config.tasks.retain(|task| matches!(task.name.as_str(), "click" | "diversity"));
    config.features.retain(|feature| feature.name != "past");
    let head = config.tasks.iter_mut().find(|task| task.kind == TaskKind::Distribution).unwrap();
    (head.exposure_offset, head.weight) = (Some(offset), Some(1.0));
    config.model.embedding_dim = 8;
    config.model.shared_units = vec![16];
    let data = load(&config, directory).unwrap();
    let trained = train::train(&config, &data, &train::Options::default(), &mut ()).unwrap();
    let run = TrainedRun::new(&config, trained, &data);
    let order: Vec<u32> = data.split.test.clone().map(|r| r as u32).collect();
    let logits = run.logits(&Source::from(&data), &order, Mode::Serve, &mut Team::new(2));
    let head = &logits[config.tasks.iter().position(|t| t.kind == TaskKind::Distribution).unwrap()];
    divergence(world, &data, |r, out| {
        let row = r - data.split.test.start;
        log_softmax(&head.values[row * head.cols..(row + 1) * head.cols], out);
    })
}

/// Divergence of each person's own recent clicks, shrunk to everyone's.
fn of_history(world: &World, directory: &Path) -> f64 {
    let config = Config::read(&directory.join("daogou.toml")).unwrap();
    let data = load(&config, directory).unwrap();
    let index = config.tasks.iter().position(|t| t.kind == TaskKind::Distribution).unwrap();
    let everyone = constants(&config, &data).unwrap()[index].answer.clone();
    divergence(world, &data, |r, out| {
        let mut mix: Vec<f32> = everyone.iter().map(|share| (MIX_PRIOR * share) as f32).collect();
        let start = data.timelines.of(data.requests.user[r]).start;
        let past = start..data.requests.history_end[r] as usize;
        data.timelines.mix(past, data.requests.time[r], &data.catalogue.category, &mut mix);
        log_of(&mix, out);
    })
}

/// Clicks follow what was shown as much as what is wanted. A head that is trained with the log of the exposure in its
/// label window, and served without, is nearer to what people would click if all categories were shown alike than the
/// same head without it, and than their own past clicks (SCIENCE C.1).
#[test]
fn the_exposure_offset_recovers_what_people_want_under_equal_exposure() {
    let directory = tempfile::tempdir().unwrap();
    let options = Options { users: 500, items: 400, requests: 20_000, ..Options::default() };
    run(&options, directory.path(), &mut |_| ()).unwrap();
    let world = World::new(&options);
    let (with, without) =
        (of_head(&world, directory.path(), true), of_head(&world, directory.path(), false));
    let history = of_history(&world, directory.path());
    assert!(with < 0.8 * without, "with the offset {with}, without {without}");
    assert!(with < 0.8 * history, "with the offset {with}, past clicks {history}");
}
