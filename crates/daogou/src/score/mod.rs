//! Scoring many items for one visit, with what depends on an item alone computed beforehand.
//!
//! [`FrozenItems`] keeps, for a run and what is on offer, each item's part of the network ([`daogou_nn::frozen`]); it
//! outlives visits and sets of candidates, and a changed item is computed again by itself. `VisitForward` answers for any
//! of these items. `PlainForward` is the same by the plain pass, as evaluation of a log and training run it: the readable
//! twin that tests and benchmarks compare with.

mod plain;
#[cfg(test)]
mod tests;

use std::ops::Range;
use std::sync::{Arc, Mutex};

use daogou_nn::frozen::{Frozen, FrozenWorkspace};
use daogou_nn::{Micro, Team};

pub(crate) use plain::PlainForward;

use crate::data::lookback::{Lookback, PastGroup};
use crate::data::{Column, FieldKind, Impressions, Requests, Timelines};
use crate::list_maker::Goods;
use crate::models::{Level, Logits, Mode, Source};
use crate::run::TrainedRun;
use crate::schema::Side;
use crate::stock::Stock;

/// Items scored at a time, so that activations stay in the core's cache. A multiple of the rows of a tile of every product.
const BLOCK: usize = 168;

/// The items' part of a run's network, by item row.
///
/// Memory: four bytes per item for each unit of a layer that reads items beside the visit (160 units, 640 bytes per item,
/// for the default network of the simulated shop). Clones share it, 256 items at a time, until one of them changes.
#[derive(Clone)]
pub struct FrozenItems {
    frozen: Frozen,
    rows: usize,
}

impl FrozenItems {
    /// Of all items of a stock. Costs the item's part of a forward pass over them.
    pub fn of(run: &TrainedRun, stock: &Stock, team: &mut Team) -> Self {
        Self::of_goods(run, Goods::from(stock), team)
    }

    pub(crate) fn of_goods(run: &TrainedRun, goods: Goods<'_>, team: &mut Team) -> Self {
        let groups = PastGroup::of_space(&run.stored.space);
        let group_of = |column: usize| {
            let place = |group: &PastGroup| group.columns().position(|own| own == column);
            groups.iter().enumerate().find_map(|(g, group)| Some((g, place(group)?)))
        };
        let usual = groups.iter().map(PastGroup::never).collect();
        let frozen = Frozen::new(&run.network.model, run.network.keyed(group_of, usual));
        let mut items = Self { frozen, rows: 0 };
        items.freeze(run, goods, &[], team);
        items
    }

    /// Computes some items again, after they changed, and those that are new in the stock. Costs O(`rows`), and a copy of
    /// their neighbours' memory where a clone still reads it.
    pub fn refreeze(&mut self, run: &TrainedRun, stock: &Stock, rows: &[u32], team: &mut Team) {
        self.freeze(run, Goods::from(stock), rows, team);
    }

    /// Number of item rows.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Memory per item.
    pub fn bytes_per_item(&self) -> usize {
        self.frozen.width() * size_of::<f32>()
    }

    fn freeze(&mut self, run: &TrainedRun, goods: Goods<'_>, rows: &[u32], team: &mut Team) {
        let (before, now) = (self.rows as u32, goods.items.ids.len() as u32);
        let mut rows: Vec<u32> = rows.iter().copied().filter(|&row| row < before).collect();
        rows.extend(before..now);
        rows.sort_unstable();
        rows.dedup();
        // Whoever visits: the plan keeps nothing that depends on it.
        let nobody = Nobody::new(run);
        let fill = |rows: &[u32], micro: &mut Micro| {
            let impressions = Impressions {
                item: rows.to_vec(),
                columns: unknown_columns(run, Side::Impression, rows.len()),
                ..Impressions::default()
            };
            let requests =
                Requests { offsets: vec![0, rows.len() as u32], ..nobody.requests.clone() };
            let source = Source {
                users: &run.stored.users,
                items: goods.items,
                catalogue: goods.catalogue,
                timelines: &nobody.timelines,
                requests: &requests,
                impressions: &impressions,
                targets: &[],
            };
            run.network.feed.fill(&source, &[0], Mode::Serve, micro);
        };
        self.frozen.freeze((&run.network.model, &run.parameters), &rows, fill, team);
        self.rows = now as usize;
    }
}

/// A request of everyone unknown.
struct Nobody {
    requests: Requests,
    timelines: Timelines,
}

impl Nobody {
    fn new(run: &TrainedRun) -> Self {
        Self {
            requests: Requests {
                user: vec![0],
                time: vec![0],
                history_end: vec![0],
                columns: unknown_columns(run, Side::Context, 1),
                ..Requests::default()
            },
            timelines: Timelines { offsets: vec![0; 2], ..Timelines::default() },
        }
    }
}

/// Columns of a side where nothing is known.
pub(crate) fn unknown_columns(run: &TrainedRun, side: Side, rows: usize) -> Vec<Column> {
    let fields = run.stored.space.fields.iter().filter(|f| f.side == side);
    fields
        .filter_map(|field| match field.kind {
            FieldKind::Id { .. } => Some(Column::Ids(vec![0; rows])),
            FieldKind::Number => Some(Column::Numbers(vec![0.0; rows])),
            FieldKind::Bag { .. } => {
                Some(Column::Bags { offsets: vec![0; rows + 1], ids: Vec::new() })
            }
            FieldKind::History { .. } => None,
        })
        .collect()
}

/// The memory of one thread, and the visit it was filled for.
struct Worker {
    memory: FrozenWorkspace,
    visit: u64,
}

/// Some candidates, and the logits of each head for them.
struct Job {
    candidates: Range<usize>,
    out: Vec<Vec<f32>>,
}

/// Calibrated logits of every head for any items of one visit, visit after visit in the same memory: once it has grown, a
/// visit allocates nothing.
pub(crate) struct VisitForward<'a> {
    run: &'a TrainedRun,
    items: Arc<FrozenItems>,
    workers: Vec<Mutex<Worker>>,
    jobs: Vec<Job>,
    logits: Vec<Logits>,
    visit: u64,
}

impl<'a> VisitForward<'a> {
    /// Memory for a team of `threads`; `items` are the run's.
    pub(crate) fn new(run: &'a TrainedRun, items: Arc<FrozenItems>, threads: usize) -> Self {
        let (model, heads) = (&run.network.model, &run.network.heads);
        let worker = || Worker { memory: FrozenWorkspace::new(model, &items.frozen), visit: 0 };
        let logits = heads.iter().map(|head| Logits {
            level: head.level,
            cols: model.cols(head.logits),
            values: Vec::new(),
        });
        Self {
            workers: (0..threads.max(1)).map(|_| Mutex::new(worker())).collect(),
            jobs: Vec::new(),
            logits: logits.collect(),
            visit: 0,
            run,
            items,
        }
    }

    /// Logits for `candidates` (item rows, in any order): heads of the request have one row, others one per candidate. The
    /// request is the first of `source`, with a single impression, whose item and past fields do not matter: what the
    /// person has seen is told by `lookback`. The result does not depend on the number of threads.
    ///
    /// # Panics
    ///
    /// If `team` is larger than the team this was made for, or a candidate was never frozen.
    pub(crate) fn run(
        &mut self,
        source: &Source<'_>,
        candidates: &[u32],
        lookback: &Lookback,
        team: &mut Team,
    ) -> &[Logits] {
        let Self { run, items, workers, jobs, logits, visit } = self;
        assert!(team.size() <= workers.len(), "each member of the team has its own memory");
        let (network, heads) = ((&run.network.model, &run.parameters), &run.network.heads);
        *visit += 1;
        let used = candidates.len().div_ceil(BLOCK);
        while jobs.len() < used {
            jobs.push(Job { candidates: 0..0, out: vec![Vec::new(); heads.len()] });
        }
        for (index, job) in jobs[..used].iter_mut().enumerate() {
            job.candidates = index * BLOCK..candidates.len().min((index + 1) * BLOCK);
        }
        let groups = |group: usize| lookback.rows(group);
        team.for_each(&mut jobs[..used], |member, _, job| {
            let mut worker = workers[member].lock().expect("each member has its own");
            let Worker { memory, visit: begun } = &mut *worker;
            if *begun != *visit {
                run.network.feed.fill(source, &[0], Mode::Serve, memory.pattern_mut());
                items.frozen.begin(network, &groups, memory);
                *begun = *visit;
            }
            let candidates = &candidates[job.candidates.clone()];
            items.frozen.forward(network, candidates, &groups, memory);
            for (head, out) in heads.iter().zip(&mut job.out) {
                out.clear();
                items.frozen.append(network.0, head.logits, memory, out);
            }
            // Threads that take in and turn away requests wait for a block where cores are few, and not for a time slice.
            std::thread::yield_now();
        });
        for (h, logits) in logits.iter_mut().enumerate() {
            logits.values.clear();
            let own = if logits.level == Level::Request { 1 } else { used };
            jobs[..own].iter().for_each(|job| logits.values.extend_from_slice(&job.out[h]));
        }
        run.calibrations.apply(source, &[0], Mode::Serve, logits);
        logits
    }
}
