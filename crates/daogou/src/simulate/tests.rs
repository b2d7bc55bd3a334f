use std::collections::{BTreeMap, HashSet};

use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, Int32Type, Int64Type, TimestampMillisecondType};
use arrow_array::{Array, RecordBatch};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

use super::choice::{self, Taste};
use super::oracle::{Bound, Ceiling, Truth};
use super::*;
use crate::metrics::ScoreOrder;
use crate::metrics::auc::{auc, expected_auc};
use crate::metrics::calibration::{ece, reliability};
use crate::schema::Config;

/// A log in memory, with the shop it came from.
struct Log {
    world: World,
    summary: Summary,
    shown: Vec<Shown>,
}

fn log(options: &Options) -> Log {
    let world = World::new(options);
    let (mut tally, mut shown) = (Tally::new(&world), Vec::new());
    let sessions = simulate(&world, &mut |request| {
        tally.add(request);
        shown.push(request.clone());
        Ok(())
    })
    .unwrap();
    let summary = tally.summary(&world, sessions);
    Log { world, summary, shown }
}

impl Log {
    fn rows(&self) -> impl Iterator<Item = &Impression> {
        self.shown.iter().flat_map(|shown| &shown.rows)
    }

    fn of(&self, value: impl Fn(&Impression) -> f64) -> Vec<f64> {
        self.rows().map(value).collect()
    }
}

fn p_click(row: &Impression) -> f64 {
    row.examination * row.relevance
}

fn order(scores: &[f64]) -> ScoreOrder {
    ScoreOrder::new(&scores.iter().map(|&s| s as f32).collect::<Vec<_>>())
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

/// The reference values were measured on lists that stand alone; what was shown before must hardly move them.
#[test]
fn values_are_those_of_the_reference_measurement() {
    let defaults = Options { users: 2_500, requests: 60_000, ..Options::default() };
    check_values(&log(&Options { fatigue: 0.0, unseen: 0.0, ..defaults.clone() }));
    check_values(&log(&defaults));
}

fn check_values(log: &Log) {
    let summary = &log.summary;
    let items = log.world.items();
    // A fresh catalogue of 3,000 items moves these numbers a little; the tolerances are two to four standard
    // deviations over seeds.
    let near = |what: &str, got: f64, wanted: f64, tolerance: f64| {
        assert!(
            (got - wanted).abs() <= tolerance,
            "{what}: expected {wanted} ± {tolerance}, got {got}"
        );
    };
    near("CTR", summary.ctr, 0.0512, 0.004);
    near("CVR", summary.cvr.unwrap(), 0.0625, 0.006);
    near("CTCVR", summary.ctcvr, 0.0032, 0.0005);
    near("CVR over impressions", summary.mean_true_cvr, 0.043, 0.005);
    near("CVR over clicks", summary.mean_true_cvr_clicked.unwrap(), 0.060, 0.006);
    near("Gini", summary.exposure_gini, 0.67, 0.02);

    let click = log.of(p_click);
    let bound = Bound::of(&click);
    near("click AUC", bound.auc.unwrap(), 0.733, 0.006);
    near("click log loss", bound.logloss.unwrap(), 0.1837, 0.008);
    near(
        "normalised entropy",
        bound.logloss.unwrap() / crate::metrics::logloss::binary_entropy(mean(&click)),
        0.908,
        0.006,
    );
    let both = Bound::of(&log.of(|row| p_click(row) * row.conversion));
    near("CTCVR AUC", both.auc.unwrap(), 0.838, 0.014);
    near("CTCVR log loss", both.logloss.unwrap(), 0.0181, 0.0025);
    let conversion = log.of(|row| row.conversion);
    near("CVR AUC, all impressions", Bound::of(&conversion).auc.unwrap(), 0.7285, 0.014);
    let clicked: Vec<f64> =
        log.rows().filter(|row| row.clicked).map(|row| row.conversion).collect();
    near("CVR AUC, clicked", Bound::of(&clicked).auc.unwrap(), 0.716, 0.016);

    let against_click = |scores: &[f64]| expected_auc(&order(scores), &click).unwrap();
    near("examination only", against_click(&log.of(|row| row.examination)), 0.655, 0.005);
    let popularity = log.of(|row| items[row.item as usize].popularity);
    near("popularity only", against_click(&popularity), 0.50, 0.02);
    // Relevance as it is without the rest of the list: what a model without positions could know.
    let alone: Vec<f64> = (log.shown.iter())
        .flat_map(|shown| {
            let mut above = [0.0; world::C];
            shown.rows.iter().map(move |row| {
                let same = &mut above[items[row.item as usize].category as usize];
                *same += 1.0;
                (row.relevance / (1.0 - row.relevance)).ln() + 0.22 * (*same - 1.0)
            })
        })
        .collect();
    near("relevance only", against_click(&alone), 0.676, 0.01);
}

#[test]
fn outcomes_have_the_written_probabilities() {
    let log = log(&Options {
        users: 1_000,
        items: 1_000,
        requests: 40_000,
        mood_sd: 0.5,
        ..Options::default()
    });
    let all = || log.rows();
    check_outcomes("click", all().map(|row| (p_click(row), row.clicked)));
    check_outcomes("would buy", all().map(|row| (row.conversion, row.would_buy)));
    check_outcomes(
        "buys after a click",
        all().filter(|row| row.clicked).map(|row| (row.conversion, row.purchase_after.is_some())),
    );
    check_outcomes(
        "click and purchase",
        all().map(|row| (p_click(row) * row.conversion, row.purchase_after.is_some())),
    );
}

/// By decile within 3 standard errors, calibrated within noise, ranked as well as expected.
fn check_outcomes(what: &str, rows: impl Iterator<Item = (f64, bool)>) {
    let (p, labels): (Vec<f64>, Vec<u8>) = rows.map(|(p, y)| (p, u8::from(y))).unzip();
    let n = p.len() as f64;
    let order = order(&p);
    for (decile, rows) in order.rows().chunks(p.len().div_ceil(10)).enumerate() {
        let sum = |of: &dyn Fn(usize) -> f64| rows.iter().map(|&row| of(row as usize)).sum::<f64>();
        let (observed, expected) = (sum(&|row| f64::from(labels[row])), sum(&|row| p[row]));
        let sd = sum(&|row| p[row] * (1.0 - p[row])).sqrt();
        assert!(
            (observed - expected).abs() < 3.0 * sd,
            "{what}, decile {decile}: {observed} positives, expected {expected} ± {sd}"
        );
    }

    let scores: Vec<f32> = p.iter().map(|&p| p as f32).collect();
    let bins = reliability(&order, &p, &labels, 20);
    let noise: f64 = bins
        .iter()
        .map(|b| b.n as f64 / n * (b.predicted * (1.0 - b.predicted) / b.n as f64).sqrt())
        .sum();
    let ece = ece(&bins).unwrap();
    assert!(ece < 1.4 * noise, "{what}: ECE {ece}, expected about {}", 0.8 * noise);

    let expected = expected_auc(&order, &p).unwrap();
    let sampled = auc(&ScoreOrder::new(&scores), &labels).unwrap();
    // Hanley & McNeil (1982).
    let n1 = labels.iter().map(|&y| f64::from(y)).sum::<f64>();
    let (q1, q2) = (expected / (2.0 - expected), 2.0 * expected * expected / (1.0 + expected));
    let a2 = expected * expected;
    let variance =
        (expected * (1.0 - expected) + (n1 - 1.0) * (q1 - a2) + (n - n1 - 1.0) * (q2 - a2))
            / (n1 * (n - n1));
    assert!(
        (sampled - expected).abs() < 3.0 * variance.sqrt(),
        "{what}: AUC {sampled}, expected {expected} ± {}",
        variance.sqrt()
    );
}

/// Slope of ln(clicks) on ln(position), by maximum likelihood for Poisson counts, and its standard error.
fn position_slope(log: &Log) -> (f64, f64) {
    let k = log.world.options().k;
    let mut clicks = vec![0.0; k];
    let mut shown = vec![0.0; k];
    for request in &log.shown {
        for (position, row) in request.rows.iter().enumerate() {
            clicks[position] += f64::from(u8::from(row.clicked));
            shown[position] += 1.0;
        }
    }
    let (mut intercept, mut slope, mut error) = (-3.0, 0.0, 0.0);
    for _ in 0..50 {
        let (mut g0, mut g1, mut h00, mut h01, mut h11) = (0.0, 0.0, 0.0, 0.0, 0.0);
        for position in 0..k {
            let x = ((position + 1) as f64).ln();
            let expected = shown[position] * (intercept + slope * x).exp();
            let rest = clicks[position] - expected;
            (g0, g1) = (g0 + rest, g1 + rest * x);
            (h00, h01, h11) = (h00 + expected, h01 + expected * x, h11 + expected * x * x);
        }
        let det = h00 * h11 - h01 * h01;
        intercept += (h11 * g0 - h01 * g1) / det;
        slope += (h00 * g1 - h01 * g0) / det;
        error = (h00 / det).sqrt();
    }
    (slope, error)
}

#[test]
fn position_bias_can_be_read_from_random_lists_alone() {
    let options = Options {
        users: 1_000,
        items: 1_000,
        requests: 40_000,
        random_slice: 1.0,
        satiation: 0.0,
        ..Options::default()
    };
    let (slope, error) = position_slope(&log(&options));
    assert!(error < 0.02, "{error}");
    assert!((slope + 0.5).abs() < 3.0 * error, "{slope} ± {error}");
    let (slope, error) = position_slope(&log(&Options { satiation: 0.22, ..options }));
    assert!(slope < -0.5 - 3.0 * error, "satiation makes it steeper: {slope} ± {error}");
}

#[test]
fn lists_are_drawn_with_the_propensities_they_carry() {
    let weights = [3.0, 0.5, 1.0, 0.25, 2.0];
    let n = 200_000;
    let mut counts: BTreeMap<[u32; 2], (u32, f64)> = BTreeMap::new();
    let mut rng = Rng::new(5, 0);
    for _ in 0..n {
        let (mut list, mut probability) = (Vec::new(), 1.0);
        let (mut items, mut left) = ((0..5).collect(), weights.to_vec());
        policy::plackett_luce(&mut rng, &mut items, &mut left, 2, |item, propensity| {
            list.push(item);
            probability *= propensity;
        });
        let entry = counts.entry([list[0], list[1]]).or_default();
        *entry = (entry.0 + 1, probability);
    }
    assert_eq!(counts.len(), 20, "every ordered pair comes up");
    let total: f64 = counts.values().map(|&(_, probability)| probability).sum();
    assert!((total - 1.0).abs() < 1e-12, "{total}");
    for ([a, b], (count, probability)) in counts {
        let exact = weights[a as usize] / 6.75 * weights[b as usize] / (6.75 - weights[a as usize]);
        assert!((probability - exact).abs() < 1e-12);
        let sd = (f64::from(n) * exact * (1.0 - exact)).sqrt();
        assert!((f64::from(count) - f64::from(n) * exact).abs() < 4.0 * sd, "{a} {b}: {count}");
    }
    // More places than candidates: everything is shown, the last one for certain.
    let mut last = 0.0;
    let (mut items, mut left) = ((0..5).collect(), weights.to_vec());
    policy::plackett_luce(&mut rng, &mut items, &mut left, 9, |_, propensity| last = propensity);
    assert!(items.is_empty() && last == 1.0);
}

#[test]
fn propensities_are_shares_of_the_candidates_that_are_left() {
    let log = log(&Options { users: 50, requests: 300, ..Options::default() });
    let mut policy = policy::Policy::new(&log.world);
    let mut rows = Vec::new();
    for shown in &log.shown {
        let user = &log.world.users()[shown.user as usize];
        let session = Session { id: 0, intent: shown.entry, entry: 0, promo: false, mood: 0.0 };
        let taste = Taste::new(&log.world, user, &session);
        let mut rng = Rng::new(9, shown.request);
        policy.weigh(&mut rng, shown.time, &taste, shown.random, &Seen::default());
        let (items, weights) = policy.weighed();
        let mut left: BTreeMap<u32, f64> =
            items.iter().copied().zip(weights.iter().copied()).collect();
        assert!(items.len() > 80 && left.len() == items.len(), "different candidates");
        policy.draw(&mut rng, &mut rows);
        assert_eq!(rows.len(), 10);
        for row in &rows {
            let total: f64 = left.values().sum();
            let weight = left.remove(&row.item).expect("a candidate, shown once");
            assert!((row.propensity - weight / total).abs() < 1e-12);
            if shown.random {
                assert!((row.propensity - 1.0 / (left.len() + 1) as f64).abs() < 1e-12);
            }
        }
    }
    assert!(log.shown.iter().any(|shown| shown.random));
}

#[test]
fn sessions_keep_their_intent_and_follow_tastes() {
    let options = Options { users: 20, items: 100, ..Options::default() };
    let world = World::new(&options);
    let user = &world.users()[3];
    let seed = domain(options.seed, "session");
    let n = 40_000;
    let count = |before: Option<u8>, bought: Option<i64>| -> [f64; world::C] {
        let mut shares = [0.0; world::C];
        for id in 0..n {
            let before =
                before.map(|intent| Session { id: 0, intent, entry: 0, promo: false, mood: 0.0 });
            let session =
                choice::open_session(&world, user, (seed, id), world::START, before, bought);
            shares[session.intent as usize] += 1.0 / f64::from(n);
        }
        shares
    };
    let near = |got: f64, wanted: f64| {
        let sd = (wanted * (1.0 - wanted) / f64::from(n)).sqrt();
        assert!((got - wanted).abs() < 4.0 * sd + 1e-4, "{got}, expected {wanted} ± {sd}");
    };
    let (fresh, kept) = (count(None, None), count(Some(0), None));
    let phone = world::START - 3 * world::DAY;
    let (after_phone, much_later) =
        (count(None, Some(phone)), count(None, Some(phone - 14 * world::DAY)));
    let boosted =
        |c: usize| f64::from(user.taste[c]) * if CATEGORIES[c].accessory { 3.0 } else { 1.0 };
    let total: f64 = (0..world::C).map(boosted).sum();
    for c in 0..world::C {
        let share = f64::from(user.taste[c]);
        near(fresh[c], share);
        near(kept[c], 0.7 * share + if c == 0 { 0.3 } else { 0.0 });
        near(after_phone[c], boosted(c) / total);
        near(much_later[c], share);
    }
}

#[test]
fn the_rest_of_the_list_and_of_the_session_counts() {
    let options = Options { users: 5, items: 200, ..Options::default() };
    let world = World::new(&options);
    let session = Session { id: 7, intent: 2, entry: 2, promo: false, mood: 0.0 };
    let taste = Taste::new(&world, &world.users()[0], &session);
    let of_category = |c: u8| {
        (0u32..).zip(world.items()).filter(move |(_, item)| item.category == c).map(|(i, _)| i)
    };
    let same: Vec<u32> = of_category(0).take(3).collect();
    let other = of_category(5).next().unwrap();
    let respond = |items: &[u32], seen: &Seen| {
        let mut rows: Vec<Impression> =
            items.iter().map(|&item| Impression { item, ..Impression::default() }).collect();
        choice::respond(&world, &taste, 99, seen, &mut rows);
        rows
    };
    let logit = |row: &Impression| (row.relevance / (1.0 - row.relevance)).ln();
    let shown = |session, times| Seen::from_iter([(same[2], (session, times))]);
    let near = |got: f64, wanted: f64| assert!((got - wanted).abs() < 1e-9, "{got} {wanted}");

    let alone = respond(&[same[2]], &Seen::default())[0];
    let third = respond(&[same[0], other, same[1], same[2]], &Seen::default())[3];
    near(logit(&alone) - logit(&third), 2.0 * 0.22);
    near(third.examination, 0.5);
    near(third.conversion, alone.conversion);
    assert_eq!(third.would_buy, alone.would_buy, "the same luck for the same item");

    // Twice in this session: fatigue; ever before: no longer new.
    let again = respond(&[same[2]], &shown(7, 2))[0];
    let earlier = respond(&[same[2]], &shown(6, 2))[0];
    near(logit(&earlier) - logit(&again), 2.0 * 0.3);
    let liking = f64::from(world.users()[0].novelty);
    near(logit(&alone) - logit(&earlier), 0.7 * liking * 0.5);
}

#[test]
fn unrelated_tastes_are_uncorrelated() {
    let correlation = |relatedness: f64| {
        let world =
            World::new(&Options { users: 2_000, items: 12, relatedness, ..Options::default() });
        let pairs: Vec<(f64, f64)> = (world.users().iter())
            .flat_map(|user| user.specs.into_iter().zip(user.specs_buying))
            .map(|(a, b)| (f64::from(a), f64::from(b)))
            .collect();
        let sum = |of: &dyn Fn(&(f64, f64)) -> f64| pairs.iter().map(of).sum::<f64>();
        sum(&|(a, b)| a * b) / (sum(&|(a, _)| a * a) * sum(&|(_, b)| b * b)).sqrt()
    };
    for (relatedness, tolerance) in [(1.0, 1e-6), (0.5, 0.04), (0.0, 0.04)] {
        assert!((correlation(relatedness) - relatedness).abs() < tolerance, "{relatedness}");
    }
}

/// The two dials of experiments: the logits of click and purchase have less in common the less related tastes are, and a
/// hidden mood makes clicks select who would buy, beyond what tastes do.
#[test]
fn relatedness_and_mood_do_what_they_say() {
    let plain = Options { users: 1_000, items: 1_000, requests: 20_000, ..Options::default() };
    let logit = |p: f64| (p / (1.0 - p)).ln();
    let correlation = |relatedness: f64| {
        let log = log(&Options { relatedness, ..plain.clone() });
        let (a, v) = (log.of(|row| logit(row.relevance)), log.of(|row| logit(row.conversion)));
        let (mean_a, mean_v) = (mean(&a), mean(&v));
        let product = |x: &[f64], mx: f64, y: &[f64], my: f64| -> f64 {
            x.iter().zip(y).map(|(x, y)| (x - mx) * (y - my)).sum()
        };
        let scale = product(&a, mean_a, &a, mean_a) * product(&v, mean_v, &v, mean_v);
        product(&a, mean_a, &v, mean_v) / scale.sqrt()
    };
    let found = [0.0, 0.5, 1.0].map(correlation);
    assert!(found[0] + 0.02 < found[1] && found[1] + 0.02 < found[2], "{found:?}");
    assert!(found[0] > 0.2, "category, price and quality are common to both: {found:?}");
    let selection = |mood_sd: f64| {
        let summary = log(&Options { mood_sd, ..plain.clone() }).summary;
        summary.mean_true_cvr_clicked.unwrap() / summary.mean_true_cvr
    };
    let found = [0.0, 0.5, 1.0].map(selection);
    assert!(found[0] > 1.1, "tastes alone select: {found:?}");
    assert!(found[0] + 0.05 < found[1] && found[1] + 0.2 < found[2], "{found:?}");
}

/// The closed form against simulated clicks under equal exposure.
#[test]
fn the_true_mix_is_that_of_clicks_under_equal_exposure() {
    // Fewer than 100 items per category, so that the closed form looks at all of them.
    let world = World::new(&Options { users: 3, items: 300, ..Options::default() });
    let seed = domain(world.options().seed, "session");
    for user in world.users() {
        let mix = choice::equal_exposure_mix(&world, user);
        assert!((mix.iter().sum::<f64>() - 1.0).abs() < 1e-12);
        let mut rng = Rng::new(3, 3);
        let mut clicks = [0.0; world::C];
        for round in 0..30_000u32 {
            let session =
                choice::open_session(&world, user, (seed, round), world::START, None, None);
            let taste = Taste::new(&world, user, &session);
            for (c, clicks) in clicks.iter_mut().enumerate() {
                let item = loop {
                    let item = &world.items()[rng.below(300) as usize];
                    if item.category as usize == c {
                        break item;
                    }
                };
                *clicks += crate::metrics::logloss::sigmoid(taste.click(item, true));
            }
        }
        let total: f64 = clicks.iter().sum();
        for c in 0..world::C {
            assert!(
                (mix[c] - clicks[c] / total).abs() < 0.01,
                "{c}: {} {}",
                mix[c],
                clicks[c] / total
            );
        }
    }
}

#[test]
fn the_same_options_give_the_same_bytes_and_another_seed_does_not() {
    let bytes = |seed| {
        let dir = tempfile::tempdir().unwrap();
        let options = Options { users: 40, items: 100, requests: 300, seed, ..Options::default() };
        run(&options, dir.path(), &mut |_| ()).unwrap();
        let mut names: Vec<_> =
            std::fs::read_dir(dir.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
        names.sort();
        names
            .into_iter()
            .map(|n| (n.clone(), std::fs::read(dir.path().join(n)).unwrap()))
            .collect::<Vec<_>>()
    };
    let (one, again, other) = (bytes(1), bytes(1), bytes(2));
    assert!(one == again);
    let names: Vec<_> = one.iter().map(|(name, _)| name.to_str().unwrap()).collect();
    let wanted = [
        "daogou.toml",
        "impressions.parquet",
        "items.parquet",
        "oracle.parquet",
        "oracle_users.parquet",
        "simulation.toml",
        "users.parquet",
    ];
    assert_eq!(names, wanted, "and nothing temporary is left");
    for ((name, one), (_, other)) in one.iter().zip(&other) {
        assert_eq!(one == other, name == "daogou.toml", "{name:?}");
    }
}

#[test]
fn a_longer_list_begins_like_a_shorter_one() {
    let options =
        Options { users: 40, items: 200, requests: 200, random_slice: 1.0, ..Options::default() };
    let (ten, five) = (log(&options), log(&Options { k: 5, ..options }));
    for (ten, five) in ten.shown.iter().zip(&five.shown).take(20) {
        let items =
            |shown: &Shown| shown.rows.iter().take(5).map(|row| row.item).collect::<Vec<_>>();
        assert_eq!(items(ten), items(five));
    }
}

fn read(dir: &Path, name: &str) -> RecordBatch {
    let file = std::fs::File::open(dir.join(name)).unwrap();
    let reader = ParquetRecordBatchReaderBuilder::try_new(file).unwrap().build().unwrap();
    let schema = arrow_array::RecordBatchReader::schema(&reader);
    let batches: Vec<_> = reader.map(|batch| batch.unwrap()).collect();
    arrow_select::concat::concat_batches(&schema, &batches).unwrap()
}

#[test]
fn tables_fit_together() {
    let dir = tempfile::tempdir().unwrap();
    let options = Options { users: 300, items: 400, requests: 9_000, ..Options::default() };
    let mut progress = Vec::new();
    let summary = run(&options, dir.path(), &mut |done| progress.push(done)).unwrap();
    assert_eq!(progress, [4096, 8192, 9000]);
    let [log, oracle, items, users, true_users] =
        ["impressions", "oracle", "items", "users", "oracle_users"]
            .map(|name| read(dir.path(), &format!("{name}.parquet")));
    assert_eq!((items.num_rows(), users.num_rows(), true_users.num_rows()), (400, 300, 300));
    assert_eq!((log.num_rows(), oracle.num_rows()), (90_000, 90_000));
    assert_eq!((summary.requests, summary.impressions), (9_000, 90_000));
    for name in ["request_id", "item_id", "time", "position", "propensity", "click"] {
        assert_eq!(log[name].to_data(), oracle[name].to_data(), "{name}");
    }

    let whole =
        |batch: &RecordBatch, name: &str| batch[name].as_primitive::<Int32Type>().values().to_vec();
    let number = |batch: &RecordBatch, name: &str| {
        batch[name].as_primitive::<Float64Type>().values().to_vec()
    };
    let text = |batch: &RecordBatch, name: &str| -> Vec<String> {
        batch[name].as_string::<i32>().iter().map(|cell| cell.unwrap().to_string()).collect()
    };
    let time = |batch: &RecordBatch, name: &str| {
        batch[name].as_primitive::<TimestampMillisecondType>().clone()
    };

    let different = |values: &[String]| values.iter().collect::<HashSet<_>>().len() == values.len();
    assert!(different(&text(&items, "item_id")) && different(&text(&items, "title")));
    assert!(different(&text(&users, "user_id")));
    let launch: BTreeMap<String, i64> = text(&items, "item_id")
        .into_iter()
        .zip(time(&items, "launch_date").values().to_vec())
        .collect();
    let known_users: HashSet<String> = text(&users, "user_id").into_iter().collect();
    assert!(number(&items, "price").iter().all(|price| *price >= 1.0));
    assert!(whole(&items, "launch_age").iter().all(|days| (0..1200).contains(days)));

    let request = log["request_id"].as_primitive::<Int64Type>().values().to_vec();
    let (position, click, purchase) =
        (whole(&log, "position"), whole(&log, "click"), whole(&log, "purchase"));
    let (hour, weekday) = (whole(&log, "hour"), whole(&log, "weekday"));
    let (when, bought) = (time(&log, "time"), time(&log, "purchase_time"));
    let (item, user) = (text(&log, "item_id"), text(&log, "user_id"));
    let (p, relevance, examination) = (
        number(&oracle, "p_click"),
        number(&oracle, "p_click_relevance"),
        number(&oracle, "examination"),
    );
    let potential = whole(&oracle, "purchase_potential");
    for row in 0..log.num_rows() {
        assert_eq!(request[row], row as i64 / 10);
        assert_eq!(position[row], row as i32 % 10 + 1);
        if row > 0 {
            assert!(when.value(row - 1) <= when.value(row));
        }
        assert!(known_users.contains(&user[row]) && launch[&item[row]] <= when.value(row));
        assert_eq!(i64::from(hour[row]), when.value(row) / 3_600_000 % 24);
        assert!((0..7).contains(&weekday[row]));
        assert_eq!(purchase[row], click[row] * potential[row]);
        assert_eq!(bought.is_valid(row), purchase[row] == 1);
        assert!(purchase[row] == 0 || bought.value(row) > when.value(row));
        assert!((p[row] - relevance[row] * examination[row]).abs() < 1e-15);
    }
    // 2025-01-06, the first day, was a Monday.
    assert_eq!(weekday[0], 0);
    assert_eq!(click.iter().sum::<i32>() as u64, summary.clicks);
    assert_eq!(purchase.iter().sum::<i32>() as u64, summary.purchases);
    let random = f64::from(whole(&log, "random_slice").iter().sum::<i32>()) / 90_000.0;
    assert!((random - 0.05).abs() < 0.008, "{random}");
    for lists in item.chunks(10) {
        assert!(different(lists));
    }

    // The ceiling of all is that of the columns; those of two halves cover all rows.
    let all = Ceiling::read(dir.path(), |_, _| true).unwrap();
    assert_eq!(all.ctr, Bound::of(&p));
    assert_eq!((all.cvr.n, all.ctcvr.n), (summary.clicks, 90_000));
    let cut = when.value(45_000) / 1000;
    let early = Ceiling::read(dir.path(), |_, time| time < cut).unwrap();
    let late = Ceiling::read(dir.path(), |_, time| time >= cut).unwrap();
    assert_eq!(early.ctr.n + late.ctr.n, 90_000);
    assert!((early.ctr.n as i64 - 45_000).abs() <= 10);
    assert_eq!(Ceiling::read(dir.path(), |request, _| request < 7).unwrap().ctr.n, 70);
    // A model that says the truth reaches the bound; one that says its opposite is as far below chance.
    let truth = Truth::read(dir.path()).unwrap();
    let rows: Vec<usize> = (0..all.ctr.n as usize).collect();
    let logit = |p: f64| (p / (1.0 - p)).ln() as f32;
    let (click, purchase): (Vec<f32>, Vec<f32>) = truth.map(logit);
    let best = truth.expected(&rows, &click, &purchase);
    assert!((best.ctr.unwrap() - all.ctr.auc.unwrap()).abs() < 1e-6);
    assert!((best.cvr.unwrap() - all.cvr.auc.unwrap()).abs() < 1e-6);
    assert!((best.ctcvr.unwrap() - all.ctcvr.auc.unwrap()).abs() < 1e-6);
    let opposite: Vec<f32> = click.iter().map(|z| -z).collect();
    let worst = truth.expected(&rows, &opposite, &purchase);
    assert!((worst.ctr.unwrap() + all.ctr.auc.unwrap() - 1.0).abs() < 1e-6);
    let none = Ceiling::read(dir.path(), |_, _| false).unwrap();
    assert_eq!((none.ctr.auc, none.ctr.logloss, none.ctr.n), (None, None, 0));
    assert_eq!(all.ctr.gap_closed(0.5), Some(0.0));
}

#[test]
fn the_configuration_is_accepted_and_names_columns_that_exist() {
    let dir = tempfile::tempdir().unwrap();
    let options = Options { users: 20, items: 50, requests: 50, ..Options::default() };
    run(&options, dir.path(), &mut |_| ()).unwrap();
    let config = Config::read(&dir.path().join("daogou.toml")).unwrap();
    let columns = |name: &str| -> HashSet<String> {
        read(dir.path(), name).schema().fields().iter().map(|f| f.name().clone()).collect()
    };
    let (log, items, users) =
        (columns("impressions.parquet"), columns("items.parquet"), columns("users.parquet"));
    assert_eq!(config.data.impressions, ["impressions.parquet"]);
    use crate::schema::Side;
    for feature in config.features.iter().filter(|f| f.kind.has_column()) {
        let table = match feature.side {
            Side::User => &users,
            Side::Item => &items,
            Side::Context | Side::Impression => &log,
        };
        assert!(table.contains(feature.column()), "{}", feature.name);
    }
    let columns = &config.columns;
    for column in [&columns.time, &columns.request, &columns.position, &columns.propensity] {
        assert!(log.contains(column.as_ref().unwrap()));
    }
    for column in [&columns.category, &columns.price, &columns.title] {
        assert!(items.contains(column.as_ref().unwrap()));
    }
    for task in config.tasks.iter().filter(|task| task.kind == crate::schema::TaskKind::Binary) {
        assert!(log.contains(task.label()));
    }
    assert_eq!(config.tasks.len(), 4);
}

#[test]
fn the_smallest_shop_works() {
    let log = log(&Options { users: 1, items: 12, requests: 30, days: 1, ..Options::default() });
    assert!(log.shown.iter().all(|shown| shown.rows.len() == 10));
    assert!(log.shown.windows(2).all(|pair| pair[0].time <= pair[1].time));
    let more_places = Options { users: 1, items: 12, requests: 5, k: 50, ..Options::default() };
    let lengths: Vec<usize> =
        super::tests::log(&more_places).shown.iter().map(|shown| shown.rows.len()).collect();
    assert_eq!(lengths, [12; 5], "no list is longer than the catalogue");
}

#[test]
fn impossible_options_are_refused_and_nothing_is_written() {
    let dir = tempfile::tempdir().unwrap();
    let good = Options::default();
    for (what, options) in [
        ("users", Options { users: 0, ..good.clone() }),
        ("items", Options { items: 11, ..good.clone() }),
        ("requests", Options { requests: 0, ..good.clone() }),
        ("days", Options { days: 0, ..good.clone() }),
        ("k", Options { k: 0, ..good.clone() }),
        ("random_slice", Options { random_slice: 1.5, ..good.clone() }),
        ("satiation", Options { satiation: f64::NAN, ..good.clone() }),
        ("click_intercept", Options { click_intercept: f64::INFINITY, ..good.clone() }),
    ] {
        let out = dir.path().join("out");
        let message = run(&options, &out, &mut |_| ()).unwrap_err().to_string();
        assert!(message.contains(what) && message.contains("expected"), "{message}");
        assert!(!out.exists());
    }
    // A file where the folder should be.
    let place = dir.path().join("file");
    std::fs::write(&place, "").unwrap();
    let message = run(&good, &place, &mut |_| ()).unwrap_err().to_string();
    assert!(message.contains("file"), "{message}");
    let missing = Ceiling::read(dir.path(), |_, _| true).unwrap_err().to_string();
    assert!(missing.contains("oracle.parquet"), "{missing}");
    std::fs::write(dir.path().join("oracle.parquet"), "not Parquet").unwrap();
    let damaged = Ceiling::read(dir.path(), |_, _| true).unwrap_err().to_string();
    assert!(
        damaged.contains("oracle.parquet") && damaged.contains("not an oracle table"),
        "{damaged}"
    );
}
