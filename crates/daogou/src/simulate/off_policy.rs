//! Off-policy estimates against the truth: what other policies would have earned in the simulated shop.

use daogou_nn::rng::{Rng, mix};

use super::choice::{Taste, open_session, respond};
use super::oracle::Truth;
use super::policy::{Policy, plackett_luce};
use super::world::{C, DAY, START};
use super::{Impression, Options, Seen, World, domain};
use crate::data::Dataset;
use crate::metrics::BootstrapOptions;
use crate::metrics::logloss::sigmoid;
use crate::models::{Mode, Source};
use crate::off_policy::examination::Examination;
use crate::off_policy::logged::LoggedLists;
use crate::off_policy::order_model::OrderModel;
use crate::off_policy::weighing::{Aim, Reward, Setting};
use crate::off_policy::{self, Estimates, PolicyOptions, evaluate_policies};
use crate::run::TrainedRun;
use crate::schema::Config;
use crate::train::{self, train};

/// How far the file policy leans towards the noisy model.
const LEAN: f64 = 0.4;

/// Lists that the shop showed, with what no shop knows.
#[derive(Default)]
struct Shown {
    lists: LoggedLists,
    /// Click logit without what is above, by shown item.
    alone: Vec<f64>,
    conversion: Vec<f64>,
    category: Vec<u8>,
    /// What a noisy model says of P(click | looked at): wrong in slope, in level and for every item.
    model: Vec<f64>,
    popularity: Vec<f64>,
    /// Probability of a policy that leans towards the noisy model, of what was shown.
    leaning: Vec<f64>,
    /// Clicks and orders that lists drawn by that policy are expected to get, in all.
    leaning_value: [f64; 2],
    /// The same of the lists as they were.
    logged_value: [f64; 2],
}

/// Clicks and orders that a list is expected to get.
fn value(rows: &[Impression]) -> [f64; 2] {
    let click = |row: &Impression| row.examination * row.relevance;
    [rows.iter().map(click).sum(), rows.iter().map(|row| click(row) * row.conversion).sum()]
}

/// Shows `n` lists to people who come once each, so that lists are independent. Draws differ by `run`.
fn show(world: &World, run: u64, n: usize) -> Shown {
    let mut shown = Shown::default();
    shown.lists.offsets.push(0);
    let (time, seen) = (START + 90 * DAY, Seen::default());
    let seed = domain(world.options().seed, "session");
    let mut policy = Policy::new(world);
    let (mut rows, mut other) = (Vec::new(), Vec::new());
    let noise: Vec<f64> =
        (0..world.items().len()).map(|item| 0.8 * Rng::new(77, item as u64).normal()).collect();
    for request in 0..n as u64 {
        let id = run * 1_000_000 + request;
        let mut rng = Rng::new(mix(world.options().seed ^ 0x0ff), id);
        let who = rng.below(world.users().len() as u64) as u32;
        let user = &world.users()[who as usize];
        let session = open_session(world, user, (seed, id as u32), time, None, None);
        let taste = Taste::new(world, user, &session);
        let random = rng.uniform() < world.options().random_slice;
        policy.weigh(&mut rng, time, &taste, random, &seen);
        let logit = |item: u32| taste.click(&world.items()[item as usize], true);
        let model = |item: u32| 0.6 * logit(item) + noise[item as usize] - 0.3;
        let (candidates, weights) = policy.weighed();
        let mut left: Vec<(u32, f64)> = candidates
            .iter()
            .zip(weights)
            .map(|(&item, weight)| (item, weight * (LEAN * model(item)).exp()))
            .collect();
        let (mut items, mut leaning): (Vec<u32>, Vec<f64>) = left.iter().copied().unzip();
        other.clear();
        plackett_luce(&mut rng, &mut items, &mut leaning, world.options().k, |item, propensity| {
            other.push(Impression { item, propensity, ..Impression::default() });
        });
        respond(world, &taste, id, &seen, &mut other);
        policy.draw(&mut rng, &mut rows);
        respond(world, &taste, mix(id), &seen, &mut rows);

        for (sums, list) in [(&mut shown.leaning_value, &other), (&mut shown.logged_value, &rows)] {
            let value = value(list);
            (0..2).for_each(|r| sums[r] += value[r]);
        }
        shown.lists.user.push(who);
        for row in &rows {
            let total: f64 = left.iter().map(|(_, weight)| weight).sum();
            let at = left.iter().position(|(item, _)| *item == row.item).expect("a candidate");
            shown.leaning.push(left.swap_remove(at).1 / total);
            shown.lists.item.push(row.item);
            shown.lists.click.push(u8::from(row.clicked));
            shown.lists.purchase.push(u8::from(row.purchase_after.is_some()));
            shown.lists.propensity.push(row.propensity);
            shown.alone.push(logit(row.item));
            shown.conversion.push(row.conversion);
            let item = &world.items()[row.item as usize];
            shown.category.push(item.category);
            shown.model.push(sigmoid(model(row.item)));
            shown.popularity.push(item.popularity);
        }
        shown.lists.offsets.push(shown.lists.item.len() as u32);
    }
    shown
}

/// Clicks and orders that the lists are expected to get where they are shown as aimed, in all.
fn truth(world: &World, shown: &Shown, aim: &Aim, run: u64) -> [f64; 2] {
    let places = match aim {
        Aim::Logged => return shown.logged_value,
        Aim::Probabilities(_) => return shown.leaning_value,
        Aim::Places(places) => places.clone(),
        Aim::Anywhere => {
            let mut rng = Rng::new(5, run);
            let order = |items: std::ops::Range<usize>| {
                let mut order: Vec<u8> = (0..items.len() as u8).collect();
                rng.shuffle(&mut order);
                order
            };
            shown.lists.ranges().flat_map(order).collect()
        }
    };
    let mut sums = [0.0; 2];
    for items in shown.lists.ranges() {
        let mut order: Vec<usize> = items.collect();
        order.sort_by_key(|&i| places[i]);
        let mut above = [0.0; C];
        for (k, i) in (1..).zip(order) {
            let same = &mut above[usize::from(shown.category[i])];
            let looked = 1.0 / f64::from(k).sqrt();
            let click = looked * sigmoid(shown.alone[i] - world.options().satiation * *same);
            *same += 1.0;
            sums[0] += click;
            sums[1] += click * shown.conversion[i];
        }
    }
    sums
}

fn placements(lists: &LoggedLists, order: Option<(&OrderModel, &[[f64; 2]])>) -> Vec<f64> {
    let mut out = Vec::new();
    off_policy::placements(lists, order, |of_list| out.extend_from_slice(of_list));
    out
}

/// What a shop knows of an item that its order may follow.
fn features(shown: &Shown) -> Vec<[f64; 2]> {
    let logit = |p: f64| (p / (1.0 - p)).ln();
    shown.popularity.iter().zip(&shown.model).map(|(p, m)| [p.ln(), logit(*m)]).collect()
}

const POLICIES: [&str; 5] = ["logged", "click", "popularity", "random", "leaning"];

/// Estimates of clicks and orders under each of [`POLICIES`], examination being estimated from other lists.
fn evaluate(
    shown: &Shown,
    fit: &Shown,
    with_propensities: bool,
    options: &BootstrapOptions,
) -> Vec<Vec<Estimates>> {
    let (own, others) = (features(shown), features(fit));
    let model = (!with_propensities).then(|| OrderModel::fit(&fit.lists.offsets, &others));
    let before = placements(&fit.lists, model.as_ref().zip(Some(&others[..])));
    let k = fit.lists.places();
    let diagonal = before.chunks_exact(k * k).flat_map(|p| (0..k).map(|i| p[i * k + i]));
    let diagonal: Vec<f64> = diagonal.collect();
    let examination = Examination::estimate(&fit.lists, &diagonal, k, 50.0).unwrap();
    let rewards: Vec<Reward> = [false, true]
        .map(|bought| {
            let labels = |lists: &LoggedLists| -> Vec<f64> {
                let labels = if bought { &lists.purchase } else { &lists.click };
                labels.iter().map(|&y| f64::from(y)).collect()
            };
            let earned = labels(&fit.lists);
            let by_place = (0..k).map(|place| {
                earned.iter().skip(place).step_by(k).sum::<f64>() / fit.lists.len() as f64
            });
            let of =
                |(i, p): (usize, &f64)| if bought { p * shown.conversion[i].sqrt() } else { *p };
            Reward {
                earned: labels(&shown.lists),
                model: shown.model.iter().enumerate().map(of).collect(),
                by_place: by_place.collect(),
            }
        })
        .into();
    let setting = Setting {
        lists: &shown.lists,
        placement: &placements(&shown.lists, model.as_ref().zip(Some(&own[..]))),
        examination: &examination,
        clip: 50.0,
        bootstrap: options,
    };
    aims(shown).iter().map(|aim| setting.evaluate(aim, &rewards).0).collect()
}

fn aims(shown: &Shown) -> [Aim; 5] {
    [
        Aim::Logged,
        Aim::by_score(&shown.lists, &shown.model),
        Aim::by_score(&shown.lists, &shown.popularity),
        Aim::Anywhere,
        Aim::Probabilities(shown.leaning.clone()),
    ]
}

/// How estimates of one policy and one reward did over all runs.
#[derive(Clone, Copy, Default)]
struct Record {
    truth: f64,
    /// By estimator: sum of estimates, sum of widths of intervals, intervals that hold the truth.
    estimates: [[f64; 3]; 4],
}

const ESTIMATORS: [&str; 4] = ["ips", "snips", "dr", "direct"];

/// Runs that differ in people and luck; by policy and reward (clicks, orders).
fn runs(
    world: &World,
    (n_runs, n_fit, n_lists): (u64, usize, usize),
    with_propensities: bool,
    replicates: usize,
) -> Vec<[Record; 2]> {
    let mut found = Vec::new();
    let mut records = vec![[Record::default(); 2]; POLICIES.len()];
    for run in 0..n_runs {
        let (fit, shown) = (show(world, 2 * run, n_fit), show(world, 2 * run + 1, n_lists));
        for (p, aim) in aims(&shown).iter().enumerate() {
            let sums = truth(world, &shown, aim, run);
            for r in 0..2 {
                records[p][r].truth += sums[r] / (n_lists as f64 * n_runs as f64);
            }
        }
        let options = BootstrapOptions { replicates, seed: run, ..BootstrapOptions::default() };
        found.push(evaluate(&shown, &fit, with_propensities, &options));
    }
    for run in &found {
        for (record, estimates) in records.iter_mut().zip(run) {
            for (record, of) in record.iter_mut().zip(estimates) {
                for (e, value) in [of.ips, of.snips, of.dr, of.direct].into_iter().enumerate() {
                    let (Some(value), Some([low, high])) = (value, of.intervals.get(ESTIMATORS[e]))
                    else {
                        continue;
                    };
                    let covers = *low <= record.truth && record.truth <= *high;
                    record.estimates[e][0] += value / n_runs as f64;
                    record.estimates[e][1] += (high - low) / n_runs as f64;
                    record.estimates[e][2] += f64::from(u8::from(covers));
                }
            }
        }
    }
    records
}

/// The bar of the method: intervals of SNIPS and DR hold the true value in at least 90 of 100 runs, whatever the
/// policy, though the model is wrong and lists have satiation, which the position-based model does not know.
#[test]
fn intervals_hold_the_true_value_of_other_policies() {
    let options = Options { users: 20_000, items: 400, candidates: 30, k: 6, ..Options::default() };
    let world = World::new(&options);
    let records = runs(&world, (100, 1500, 700), true, 200);
    let logged = records[0][0].truth;
    for (name, [clicks, _]) in POLICIES.iter().zip(&records).skip(1) {
        for (e, estimator) in ESTIMATORS.iter().enumerate().take(3) {
            let [mean, width, covered] = clicks.estimates[e];
            assert!(
                covered >= 90.0,
                "{name}, {estimator}: {covered} of 100; true {}, mean {mean}, width {width}",
                clicks.truth
            );
            assert!((mean / clicks.truth - 1.0).abs() < 0.03, "{name}, {estimator}: {mean}");
        }
        // The intervals are worth something: the policies differ by more than nothing.
        assert!(clicks.estimates[2][1] < 0.5 * clicks.truth, "{name}: {}", clicks.estimates[2][1]);
    }
    let random = records[3][0].truth;
    assert!(records[1][0].truth > 1.05 * random, "the model's order is better than none");
    assert!(
        (records[1][0].estimates[3][0] / records[1][0].truth - 1.0).abs() > 0.1,
        "the model alone is wrong: {} of {}, logged {logged}",
        records[1][0].estimates[3][0],
        records[1][0].truth
    );
}

/// What the log of a whole simulated shop would have got in another order: its people come back, remember what they
/// saw, and buy; the model, examination and intervals are those of a trained run.
#[test]
fn a_trained_run_judges_other_orders_of_its_log() {
    let directory = tempfile::tempdir().unwrap();
    let options = Options { users: 2000, items: 400, requests: 15_000, ..Options::default() };
    super::run(&options, directory.path(), &mut |_| ()).unwrap();
    let world = World::new(&options);
    let mut config = Config::read(&directory.path().join("daogou.toml")).unwrap();
    config.tasks.retain(|task| task.role().is_some());
    config.features.retain(|feature| feature.name != "past");
    config.model.embedding_dim = 8;
    config.model.shared_units = vec![16];
    config.train.epochs = 2;
    let mut data = Dataset::load(&config, directory.path()).unwrap();
    let trained = train(&config, &data, &train::Options::default(), &mut ()).unwrap();
    let run = TrainedRun::new(&config, trained, &data);

    let requests = data.split.test.clone();
    let (p_click, conversion) = Truth::read(directory.path()).unwrap().map(|p| p as f32);
    let order: Vec<u32> = requests.clone().map(|r| r as u32).collect();
    let mut team = daogou_nn::Team::new(2);
    let logits = run.logits(&Source::from(&data), &order, Mode::Serve, &mut team).swap_remove(0);
    let first = data.requests.impressions(&requests).start;
    let shown = &data.impressions;
    // A copy of the log's lists in the form that `truth` reads.
    let mut lists = Shown::default();
    lists.lists.offsets.push(0);
    let mut scores = [Vec::new(), Vec::new()];
    for r in requests.clone() {
        let mut rows: Vec<usize> = data.requests.impressions(&(r..r + 1)).collect();
        rows.sort_by_key(|&i| shown.position[i]);
        let mut above = [0.0; C];
        for i in rows {
            let id = &data.items.ids[shown.item[i] as usize];
            let item = &world.items()[id[1..].parse::<usize>().unwrap()];
            let same = &mut above[usize::from(item.category)];
            let looked = f64::from(p_click[data.rows[i] as usize]);
            let relevance = looked * f64::from(shown.position[i]).sqrt();
            let logit = (relevance / (1.0 - relevance)).ln() + options.satiation * *same;
            *same += 1.0;
            lists.alone.push(logit);
            lists.conversion.push(f64::from(conversion[data.rows[i] as usize]));
            lists.category.push(item.category);
            lists.lists.item.push(shown.item[i]);
            scores[0].push(f64::from(logits.values[i - first]));
            let c = &data.catalogue;
            let (clicks, times) = (&c.train_clicks, &c.train_impressions);
            let item = shown.item[i] as usize;
            scores[1].push((f64::from(clicks[item]) + 1.0) / (f64::from(times[item]) + 50.0));
        }
        lists.lists.offsets.push(lists.lists.item.len() as u32);
        lists.lists.user.push(data.requests.user[r]);
    }
    let n = requests.len() as f64;
    let policies = ["click", "popularity", "random"];
    let aims = [
        Aim::by_score(&lists.lists, &scores[0]),
        Aim::by_score(&lists.lists, &scores[1]),
        Aim::Anywhere,
    ];
    let asked = policies.map(|name| (name.to_string(), name.parse().unwrap()));
    for propensities in [true, false] {
        if !propensities {
            data.impressions.propensity.clear();
        }
        let options = PolicyOptions::default();
        let found = evaluate_policies(&run, &data, &requests, &asked, &options).unwrap();
        assert!(found.warnings.is_empty(), "{:?}", found.warnings);
        for ((name, aim), report) in policies.iter().zip(&aims).zip(&found.policies[1..]) {
            let expected = truth(&world, &lists, aim, 1).map(|sum| sum / n);
            for (of, expected) in
                [&report.clicks, report.orders.as_ref().unwrap()].iter().zip(expected)
            {
                for (estimator, value) in [("snips", of.snips), ("dr", of.dr)] {
                    let [low, high] = of.intervals[estimator];
                    // Luck may put the truth just outside of one interval in twenty.
                    let slack = 0.25 * (high - low);
                    assert!(
                        low - slack <= expected && expected <= high + slack,
                        "{name}, {estimator}: {value:?} [{low}, {high}], true {expected}, \
                         propensities {propensities}"
                    );
                }
            }
        }
        let [click, _, random] = [1, 2, 3].map(|p| &found.policies[p].clicks);
        assert!(click.intervals["gain"][0] > 0.0, "the model's order is better than the log's");
        assert!(random.gain.unwrap() < click.gain.unwrap());
    }
}

/// The figures of `docs/off-policy.md`.
#[test]
#[ignore = "takes minutes; prints the figures of the documentation"]
#[allow(clippy::print_stdout, reason = "its purpose is to print")]
fn coverage_at_length() {
    for (satiation, with_propensities) in [(0.22, true), (0.0, true), (0.22, false)] {
        let options = Options { users: 50_000, items: 3000, satiation, ..Options::default() };
        let world = World::new(&options);
        let records = runs(&world, (400, 6000, 2000), with_propensities, 1000);
        println!("\nsatiation {satiation}, propensities {with_propensities}");
        for (name, rewards) in POLICIES.iter().zip(&records) {
            for (reward, record) in ["clicks", "orders"].iter().zip(rewards) {
                print!("| {name} | {reward} | {:.4}", record.truth);
                for [mean, width, covered] in &record.estimates {
                    let bias = 100.0 * (mean / record.truth - 1.0);
                    let width = 50.0 * width / record.truth;
                    print!(" | {bias:+.1} % ±{width:.1} % {:.1}", covered / 4.0);
                }
                println!(" |");
            }
        }
    }
}
