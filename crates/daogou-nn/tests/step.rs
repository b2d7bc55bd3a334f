//! A training step: same bits for any number of threads, no allocation, updates equal to their plain twins.

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicU64, Ordering};

use daogou_nn::{
    Activation, Batch, DenseOptimizer, Engine, EngineConfig, Graph, Init, Model, Rng, StepSize,
    TableOptimizer, Weighing,
};

struct Counting;

static ALLOCATIONS: AtomicU64 = AtomicU64::new(0);

// SAFETY: hands every call on to the system's allocator.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        // SAFETY: the caller's promises are passed on.
        unsafe { System.alloc(layout) }
    }
    unsafe fn dealloc(&self, ptr: *mut u8, layout: Layout) {
        // SAFETY: the caller's promises are passed on.
        unsafe { System.dealloc(ptr, layout) }
    }
    unsafe fn realloc(&self, ptr: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        // SAFETY: the caller's promises are passed on.
        unsafe { System.realloc(ptr, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

const USERS: u64 = 400;
const ITEMS: u64 = 90;
const CLASSES: u64 = 12;

/// The founding document's network with a bag of past items, two experts and dropout, to reach every kind of op.
fn network() -> Model {
    let mut g = Graph::new();
    let (requests, rows, events) = (g.domain("request"), g.domain("row"), g.domain("event"));
    let (row_request, event_request) = (g.map(rows, requests), g.map(events, requests));
    let users = g.table("user_embed", USERS as usize, 16, Init::Normal(0.1));
    let items = g.table("item_embed", ITEMS as usize, 8, Init::Normal(0.1));
    let (user, past, item) =
        (g.lookup(users, requests), g.lookup(items, events), g.lookup(items, rows));
    let history = g.pool(past, event_request, true);
    let request = g.concat(&[user, history]);
    let seen_by = g.gather(request, row_request);
    let price = g.input(rows, 1);
    let price = g.dense(price);
    let joined = g.concat(&[seen_by, item, price]);
    let experts = g.linear_group(&[("a", 48), ("b", 48)], joined, Activation::Relu);
    let gate = g.linear("gate", joined, 2, Activation::None);
    let gate = g.softmax(gate);
    let mixed = g.mixture(gate, &experts);
    g.represent(mixed);
    let hidden = g.linear("shared_net", mixed, 32, Activation::Relu);
    let hidden = g.dropout(hidden, 0.1);
    g.represent(hidden);
    let heads = g.linear_group(
        &[("ctr", 1), ("cvr", 1), ("div", CLASSES as usize)],
        hidden,
        Activation::None,
    );
    let (click, bought, class) = (g.input(rows, 1), g.input(rows, 1), g.input(rows, 1));
    g.bce("click", heads[0], click, None);
    g.bce_product("purchase", (heads[0], heads[1]), bought, None);
    g.cross_entropy_class("diversity", heads[2], class, None);
    g.finish()
}

fn fill(batch: &mut Batch, rng: &mut Rng) {
    for micro in batch.micros_mut() {
        micro.clear();
        for request in 0..12u32 {
            micro.rows[0] += 1;
            micro.ids[0].push(rng.below(USERS) as u32);
            for _ in 0..rng.below(4) {
                micro.rows[2] += 1;
                micro.ids[1].push(rng.below(ITEMS) as u32);
                micro.maps[1].push(request);
            }
            for _ in 0..5 {
                micro.rows[1] += 1;
                micro.ids[2].push(rng.below(ITEMS) as u32);
                micro.maps[0].push(request);
                micro.inputs[0].push(rng.normal() as f32);
                let click = rng.below(3) == 0;
                micro.inputs[1].push(f32::from(u8::from(click)));
                micro.inputs[2].push(f32::from(u8::from(click && rng.below(3) == 0)));
                micro.inputs[3].push(rng.below(CLASSES) as f32);
            }
        }
    }
}

fn size(step: u64) -> StepSize {
    StepSize { step, dense: 0.01, tables: 0.05 }
}

fn train(config: &EngineConfig, steps: u64) -> Engine {
    let mut engine = Engine::new(network(), config);
    let mut batch = Batch::new(engine.model(), 11);
    let mut rng = Rng::new(9, 1);
    for step in 1..=steps {
        fill(&mut batch, &mut rng);
        engine.step(&mut batch, &size(step)).unwrap();
    }
    engine
}

/// A step whose weights come from what the losses' gradients say of each other, as ways of balancing do it.
fn balanced_step(engine: &mut Engine, batch: &mut Batch, step: u64) {
    let gram = engine.compare(batch, step).unwrap();
    let factors: [f64; 3] = std::array::from_fn(|i| 0.1 / gram[4 * i].sqrt() + gram[i].signum());
    engine.step_by(batch, &size(step), Weighing::Shared(&factors)).unwrap();
    engine.measure(batch, step).unwrap();
}

fn bits(engine: &Engine) -> Vec<u32> {
    let parameters = engine.parameters();
    let tables = parameters.tables().iter().flat_map(daogou_nn::Table::values);
    parameters.dense().iter().chain(tables).map(|v| v.to_bits()).collect()
}

#[test]
fn any_number_of_threads_gives_the_same_bits() {
    for dense in
        [DenseOptimizer::Adam, DenseOptimizer::Sgd { momentum: 0.9 }, DenseOptimizer::Adagrad]
    {
        for tables in
            [TableOptimizer::RowwiseAdagrad, TableOptimizer::LazyAdam, TableOptimizer::Sgd]
        {
            let run = |threads| {
                let config = EngineConfig {
                    threads,
                    dense,
                    tables,
                    clip_norm: 0.05,
                    weight_decay: 0.01,
                    ..EngineConfig::default()
                };
                bits(&train(&config, 15))
            };
            let one = run(1);
            for threads in [2, 3, 8] {
                assert!(
                    one == run(threads),
                    "{dense:?} {tables:?}: 1 and {threads} threads differ"
                );
            }
        }
    }
}

#[test]
fn what_an_engine_holds_is_counted() {
    let mut engine = Engine::new(network(), &EngineConfig::default());
    let before = engine.bytes();
    let mut batch = Batch::new(engine.model(), 3);
    fill(&mut batch, &mut Rng::new(9, 1));
    engine.step(&mut batch, &size(1)).unwrap();
    let after = engine.bytes();
    let tables: u64 = USERS * 16 + ITEMS * 8;
    let dense = engine.parameters().dense().len() as u64;
    let state: u64 = engine.state().map(|(_, values)| values.len() as u64).sum();
    // Values and the state of both optimisers; gradients of eight shards; a slot per row.
    let least = 4 * (tables + dense + state + 8 * dense + USERS + ITEMS);
    assert!(before as u64 >= least, "{before}, expected at least {least}");
    // Besides, layers leave gradients of products in each shard, and products have values of their own.
    assert!((before as u64) < 3 * least, "{before}, expected about {least}");
    assert!(after > before, "activations");
    engine.step(&mut batch, &size(2)).unwrap();
    assert_eq!(engine.bytes(), after, "what has its full size stays");
}

#[test]
fn any_number_of_threads_gives_the_same_bits_with_balanced_losses() {
    let run = |threads| {
        let config = EngineConfig { threads, clip_norm: 0.05, ..EngineConfig::default() };
        let mut engine = Engine::new(network(), &config);
        let mut batch = Batch::new(engine.model(), 11);
        let mut rng = Rng::new(9, 1);
        for step in 1..=15 {
            fill(&mut batch, &mut rng);
            balanced_step(&mut engine, &mut batch, step);
        }
        bits(&engine)
    };
    let one = run(1);
    for threads in [2, 3, 8] {
        assert!(one == run(threads), "1 and {threads} threads differ");
    }
}

#[test]
fn a_step_allocates_nothing() {
    let plain = |engine: &mut Engine, batch: &mut Batch, step| {
        engine.step(batch, &size(step)).unwrap();
    };
    for go in [plain, balanced_step] {
        let config = EngineConfig { threads: 2, clip_norm: 1.0, ..EngineConfig::default() };
        let mut engine = Engine::new(network(), &config);
        let mut batch = Batch::new(engine.model(), 11);
        let mut rng = Rng::new(9, 1);
        fill(&mut batch, &mut rng);
        for step in 1..=3 {
            go(&mut engine, &mut batch, step);
        }
        // Other tests of this binary run at the same time; a step that allocates would do so every time.
        let quietest = (4..40)
            .map(|step| {
                let before = ALLOCATIONS.load(Ordering::Relaxed);
                go(&mut engine, &mut batch, step);
                ALLOCATIONS.load(Ordering::Relaxed) - before
            })
            .min();
        assert_eq!(quietest, Some(0));
    }
}

#[test]
fn restored_state_goes_on_with_the_same_bits() {
    let config = EngineConfig { tables: TableOptimizer::LazyAdam, ..EngineConfig::default() };
    let whole = train(&config, 12);
    let first = train(&config, 7);
    let mut second = Engine::new(network(), &EngineConfig { threads: 2, ..config });
    second.parameters_mut().edit(|dense, tables| {
        dense.copy_from_slice(first.parameters().dense());
        for (to, from) in tables.iter_mut().zip(first.parameters().tables()) {
            to.values_mut().copy_from_slice(from.values());
        }
    });
    for ((name, to), (same, from)) in second.state_mut().zip(first.state()) {
        assert_eq!(name, same);
        to.copy_from_slice(from);
    }
    let mut batch = Batch::new(second.model(), 11);
    let mut rng = Rng::new(9, 1);
    for step in 1..=12 {
        fill(&mut batch, &mut rng);
        if step > 7 {
            second.step(&mut batch, &size(step)).unwrap();
        }
    }
    assert!(bits(&whole) == bits(&second));
}

/// One table of one column set, read through a linear layer that is frozen by a step size of 0.
fn one_table(tables: TableOptimizer, ids: &[u32], steps: u64) -> (Vec<f32>, Vec<f32>, Vec<f32>) {
    let mut g = Graph::new();
    let rows = g.domain("row");
    let table = g.table("t", 6, 3, Init::Normal(0.5));
    let x = g.lookup(table, rows);
    let z = g.linear("head", x, 1, Activation::None);
    let label = g.input(rows, 1);
    g.bce("y", z, label, None);
    let config = EngineConfig {
        tables,
        dense: DenseOptimizer::Sgd { momentum: 0.0 },
        ..EngineConfig::default()
    };
    let mut engine = Engine::new(g.finish(), &config);
    let start = engine.parameters().tables()[0].values().to_vec();
    let head = engine.parameters().dense().to_vec();
    let mut batch = Batch::new(engine.model(), 1);
    let micro = &mut batch.micros_mut()[0];
    micro.rows[0] = ids.len();
    micro.ids[0].extend_from_slice(ids);
    micro.inputs[0].extend(ids.iter().map(|id| (id % 2) as f32));
    for step in 1..=steps {
        engine.step(&mut batch, &StepSize { step, dense: 0.0, tables: 0.1 }).unwrap();
    }
    (start, engine.parameters().tables()[0].values().to_vec(), head)
}

#[test]
fn table_updates_equal_dense_ones_on_coalesced_ids() {
    let ids = [2u32, 5, 2, 0, 2, 5];
    for tables in [TableOptimizer::RowwiseAdagrad, TableOptimizer::LazyAdam, TableOptimizer::Sgd] {
        let (start, end, head) = one_table(tables, &ids, 4);
        let mut plain: Vec<f64> = start.iter().map(|&v| f64::from(v)).collect();
        let (w, b) = (&head[..3], f64::from(head[3]));
        let (mut squares, mut m, mut v) = ([0f64; 6], vec![0f64; 18], vec![0f64; 18]);
        for step in 1..=4 {
            let mut grads = [0f64; 18];
            for &id in &ids {
                let row = &plain[id as usize * 3..][..3];
                let z: f64 = row.iter().zip(w).map(|(x, &w)| x * f64::from(w)).sum::<f64>() + b;
                let slope = (1.0 / (1.0 + (-z).exp()) - f64::from(id % 2)) / ids.len() as f64;
                (0..3).for_each(|c| grads[id as usize * 3 + c] += slope * f64::from(w[c]));
            }
            for row in [0usize, 2, 5] {
                squares[row] += (0..3).map(|c| grads[row * 3 + c].powi(2)).sum::<f64>() / 3.0;
                for i in row * 3..row * 3 + 3 {
                    let g = grads[i];
                    plain[i] -= match tables {
                        TableOptimizer::RowwiseAdagrad => 0.1 * g / (squares[row].sqrt() + 1e-10),
                        TableOptimizer::Sgd => 0.1 * g,
                        TableOptimizer::LazyAdam => {
                            m[i] = 0.9 * m[i] + 0.1 * g;
                            v[i] = 0.999 * v[i] + 0.001 * g * g;
                            let (mean, var) = (
                                m[i] / (1.0 - 0.9f64.powi(step)),
                                v[i] / (1.0 - 0.999f64.powi(step)),
                            );
                            0.1 * mean / (var.sqrt() + 1e-8)
                        }
                    };
                }
            }
        }
        for (fast, plain) in end.iter().zip(&plain) {
            assert!((f64::from(*fast) - plain).abs() < 1e-5, "{tables:?}: {fast} against {plain}");
        }
        assert_eq!(start[3..6], end[3..6], "{tables:?}: row 1 is in no batch");
    }
}

#[test]
fn divergence_names_the_loss_and_the_step() {
    let mut engine = Engine::new(network(), &EngineConfig::default());
    let mut batch = Batch::new(engine.model(), 11);
    fill(&mut batch, &mut Rng::new(9, 1));
    batch.micros_mut()[3].inputs[0][2] = f32::INFINITY;
    let before = bits(&engine);
    let error = engine.step(&mut batch, &size(17)).unwrap_err();
    assert_eq!((error.step, error.quantity, error.loss.as_str()), (17, "loss", "click"));
    assert!(before == bits(&engine), "a failed step must not change parameters");
}

#[test]
fn it_learns_256_rows_by_heart() {
    let mut g = Graph::new();
    let rows = g.domain("row");
    let table = g.table("t", 256, 16, Init::Normal(0.1));
    let x = g.lookup(table, rows);
    let h = g.linear("hidden", x, 32, Activation::Relu);
    let z = g.linear("head", h, 1, Activation::None);
    let label = g.input(rows, 1);
    g.bce("y", z, label, None);
    let mut engine = Engine::new(g.finish(), &EngineConfig::default());
    let mut batch = Batch::new(engine.model(), 1);
    let mut rng = Rng::new(3, 3);
    let micro = &mut batch.micros_mut()[0];
    micro.rows[0] = 256;
    micro.ids[0].extend(0..256);
    micro.inputs[0].extend((0..256).map(|_| rng.below(2) as f32));
    for step in 1..=300 {
        engine.step(&mut batch, &StepSize { step, dense: 0.01, tables: 0.1 }).unwrap();
    }
    assert!(engine.losses()[0].mean() < 0.01, "logloss {}", engine.losses()[0].mean());
}
