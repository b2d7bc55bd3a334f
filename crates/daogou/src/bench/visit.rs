//! Microseconds to score a visit to the simulated shop.

use std::sync::Arc;
use std::time::Instant;

use daogou_nn::Team;
use serde::Serialize;

use crate::Result;
use crate::data::timeline::history_end;
use crate::data::{Dataset, Seen};
use crate::list_maker::{Goods, ListMaker, Visit};
use crate::models::sigmoid;
use crate::people::People;
use crate::run::TrainedRun;
use crate::schema::{Config, TaskKind};
use crate::score::{FrozenItems, PlainForward};
use crate::simulate;
use crate::stock::Stock;
use crate::train;

/// What is scored and how often.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VisitOptions {
    /// People of the simulated log.
    pub users: u32,
    /// Requests of the simulated log.
    pub requests: u64,
    /// Items of the catalogue.
    pub items: u32,
    /// Candidates of the second measurement, spread over the catalogue.
    pub candidates: usize,
    /// Timed visits.
    pub visits: usize,
    /// Settings over the simulated shop's configuration, as `key=value`.
    pub settings: Vec<String>,
}

impl Default for VisitOptions {
    fn default() -> Self {
        Self {
            users: 2_000,
            requests: 20_000,
            items: 10_000,
            candidates: 500,
            visits: 500,
            settings: Vec::new(),
        }
    }
}

/// How long visits took, on one thread.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct VisitResult {
    /// Items of the catalogue.
    pub items: usize,
    /// Milliseconds to compute the items' part beforehand.
    pub freeze_ms: f64,
    /// Microseconds to compute it again for one item.
    pub refreeze_us: f64,
    /// Memory of that part.
    pub bytes_per_item: usize,
    /// All items, then some candidates.
    pub scored: Vec<Scored>,
}

/// Times for one number of candidates.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Scored {
    /// Candidates per visit.
    pub candidates: usize,
    /// Median, with the items' part computed beforehand.
    pub p50_us: f64,
    /// 99th percentile of the same.
    pub p99_us: f64,
    /// Median of the plain forward pass, in the same rounds.
    pub plain_p50_us: f64,
    /// 99th percentile of the same.
    pub plain_p99_us: f64,
    /// Largest difference of a probability between the two, relative to the larger.
    pub largest_difference: f32,
}

/// Scores visits of the validation split by both ways in turn, with a network trained for an epoch.
///
/// # Errors
///
/// Where a setting is none, or the log cannot be written to a temporary directory.
pub fn visits(options: &VisitOptions) -> Result<VisitResult> {
    let directory = tempfile::tempdir()?;
    let world = simulate::Options {
        users: options.users,
        items: options.items,
        requests: options.requests,
        ..simulate::Options::default()
    };
    simulate::run(&world, directory.path(), &mut |_| {})?;
    let mut config = Config::read(&directory.path().join("daogou.toml"))?;
    config.set("train.epochs=1")?;
    config.set_all(options.settings.iter().map(String::as_str))?;
    let data = Dataset::load(&config, directory.path())?;
    let trained = train::train(&config, &data, &train::Options::default(), &mut ())?;
    let run = TrainedRun::new(&config, trained, &data);
    let stock = Stock::of(&run);

    let mut team = Team::new(1);
    let started = Instant::now();
    let mut frozen = FrozenItems::of(&run, &stock, &mut team);
    let freeze_ms = started.elapsed().as_secs_f64() * 1e3;
    let mut again: Vec<f64> = (0..101)
        .map(|row| {
            micros(|| frozen.refreeze(&run, &stock, &[row % stock.rows() as u32], &mut team))
        })
        .collect();
    again.sort_unstable_by(f64::total_cmp);
    let mut result = VisitResult {
        items: stock.rows() - 1,
        freeze_ms,
        refreeze_us: again[again.len() / 2],
        bytes_per_item: frozen.bytes_per_item(),
        scored: Vec::new(),
    };
    let frozen = Arc::new(frozen);
    let all: Vec<u32> = stock.listed().collect();
    let step = (all.len() / options.candidates).max(1);
    let some: Vec<u32> = all.iter().copied().step_by(step).take(options.candidates).collect();
    for items in [&all, &some] {
        result.scored.push(timed((&run, &data), (&stock, &frozen), items, options.visits)?);
    }
    Ok(result)
}

fn micros(work: impl FnOnce()) -> f64 {
    let started = Instant::now();
    work();
    started.elapsed().as_secs_f64() * 1e6
}

fn timed(
    (run, data): (&TrainedRun, &Dataset),
    (stock, frozen): (&Stock, &Arc<FrozenItems>),
    items: &[u32],
    visits: usize,
) -> Result<Scored> {
    let seen = Seen::in_log(&data.requests, &data.impressions, &data.timelines);
    let people = People::of_log(run, data, Some(&seen));
    let goods = Goods::from(stock);
    let mut maker = ListMaker::with_frozen(run, (goods, Arc::clone(frozen)), items, 1)?;
    let mut plain = PlainForward::new(run, goods, items, 1);
    let mut team = Team::new(1);
    let mut times: [Vec<f64>; 2] = Default::default();
    let (mut largest, mut expected) = (0f32, Vec::new());
    let valid = data.split.valid.clone();
    for round in 0..visits + visits / 10 + 2 {
        let r = valid.start + round * 7 % valid.len();
        let (user, time) = (data.requests.user[r], data.requests.time[r]);
        let visit = Visit { people: &people, user, time, context: (&data.requests.columns, r) };
        let fast = micros(|| {
            maker.score(&visit, &mut team);
        });
        // The plain way is slower: a fifth of the visits tells enough.
        let mut slow = None;
        if round % 5 == 0 {
            slow = Some(micros(|| {
                let end = history_end(&data.timelines, user, Some(time));
                let logits = plain.run(&visit, end, &mut team);
                let binary = run.config.tasks.iter().zip(logits);
                let binary = binary.filter(|(task, _)| task.kind == TaskKind::Binary);
                expected.clear();
                binary.for_each(|(_, logits)| {
                    expected.extend(logits.values.iter().map(|&z| sigmoid(z)));
                });
            }));
            let scored = maker.score(&visit, &mut team);
            let found = scored.probabilities.iter().flatten();
            for (a, b) in found.zip(&expected) {
                largest = largest.max((a - b).abs() / a.max(*b));
            }
        }
        // The first rounds make room and warm up.
        if round > visits / 10 {
            times[0].push(fast);
            times[1].extend(slow);
        }
    }
    times.iter_mut().for_each(|t| t.sort_unstable_by(f64::total_cmp));
    let at = |t: &[f64], q: f64| t[((t.len() - 1) as f64 * q) as usize];
    Ok(Scored {
        candidates: items.len(),
        p50_us: at(&times[0], 0.5),
        p99_us: at(&times[0], 0.99),
        plain_p50_us: at(&times[1], 0.5),
        plain_p99_us: at(&times[1], 0.99),
        largest_difference: largest,
    })
}
