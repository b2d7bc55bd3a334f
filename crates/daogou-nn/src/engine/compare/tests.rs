//! Against the plain way: one whole gradient per loss, combined afterwards.

use super::super::{EngineConfig, Weighing};
use super::Engine;
use crate::batch::Batch;
use crate::graph::{Graph, NodeId, TableId};
use crate::init::Init;
use crate::layers::Activation;
use crate::rng::Rng;

/// Names of heads start with this.
const OWN: &str = "own_";

/// Weights of the losses.
const WEIGHTS: [f64; 4] = [1.0, 0.7, 1.3, 0.4];

/// Rows per micro-batch: requests, and impressions.
const ROWS: [usize; 2] = [4, 9];

const MICROS: usize = 3;

/// Adds a table of zeros with a row of its own for each row of the batch: its gradient is that of the node.
fn probed(g: &mut Graph<f64>, probes: &mut Vec<TableId>, node: NodeId, of_rows: bool) -> NodeId {
    let domain = crate::DomainId(usize::from(of_rows));
    let rows = ROWS[usize::from(of_rows)] * MICROS;
    let name = format!("probe_{}", probes.len());
    let table = g.table(&name, rows, g.cols(node), Init::Constant(0.0));
    probes.push(table);
    let zeros = g.lookup(table, domain);
    g.add(node, zeros)
}

/// Four losses over two levels of rows: two read impressions, one of them a product of both answers, two read requests.
/// With `experts` each impression loss has a gate over experts; otherwise they share a trunk.
fn engine(experts: bool, small_table: usize, weights: &[f64]) -> (Engine<f64>, Vec<TableId>) {
    let mut g = Graph::new();
    g.share_products(small_table);
    let (requests, rows) = (g.domain("request"), g.domain("row"));
    let request_of = g.map(rows, requests);
    let users = g.table("user_embed", 5, 4, Init::Normal(0.7));
    let items = g.table("item_embed", 7, 5, Init::Normal(0.7));
    let mut probes = Vec::new();

    let user = g.lookup(users, requests);
    let request = g.linear("request", user, 6, Activation::Silu);
    let request = probed(&mut g, &mut probes, request, false);
    g.represent(request);

    let item = g.lookup(items, rows);
    let price = g.input(rows, 1);
    let price = g.dense(price);
    let seen_by = g.gather(request, request_of);
    let x = g.concat(&[seen_by, item, price]);
    let (click_base, purchase_base) = if experts {
        let firsts = g.linear_group(&[("a", 5), ("b", 5), ("c", 5)], x, Activation::Relu);
        let firsts: Vec<NodeId> =
            firsts.into_iter().map(|e| probed(&mut g, &mut probes, e, true)).collect();
        let gates = g.linear_group(&[("gate.click", 3), ("gate.purchase", 2)], x, Activation::None);
        // What one loss alone reaches is not compared, so it needs no probe.
        let click_gate = probed(&mut g, &mut probes, gates[0], true);
        let (click_gate, purchase_gate) = (g.softmax(click_gate), g.softmax(gates[1]));
        let click = g.mixture(click_gate, &firsts);
        let purchase = g.mixture(purchase_gate, &firsts[1..]);
        g.represent(click);
        g.represent(purchase);
        (click, purchase)
    } else {
        let first = g.linear("shared.0", x, 8, Activation::Relu);
        let dropped = g.dropout(first, 0.3);
        let shared = g.linear("shared.2", dropped, 6, Activation::Silu);
        let shared = probed(&mut g, &mut probes, shared, true);
        g.represent(shared);
        (shared, shared)
    };

    let tower = g.linear("own_ctr_tower", click_base, 4, Activation::Relu);
    let tower = g.layer_norm("own_ctr_norm", tower);
    let click = g.linear("own_ctr", tower, 1, Activation::None);
    let position = g.input(rows, 2);
    let position = g.dense(position);
    let position = g.linear("own_position", position, 1, Activation::None);
    let click = g.add(click, position);
    let bought = g.linear("own_cvr", purchase_base, 1, Activation::None);
    // Both towers of the requests are one product.
    let of_request = g.linear_group(&[("own_div", 3), ("own_nov", 1)], request, Activation::None);
    let (label, weight) = (g.input(rows, 1), g.input(rows, 1));
    g.bce("click", click, label, Some(weight));
    let label = g.input(rows, 1);
    g.bce_product("purchase", (click, bought), label, None);
    let shares = g.input(requests, 3);
    g.cross_entropy("mix", of_request[0], shares, None);
    let share = g.input(requests, 1);
    g.mse_sigmoid("novelty", of_request[1], share, None);

    let config = EngineConfig {
        seed: 7,
        shards: 2,
        loss_weights: weights.to_vec(),
        ..EngineConfig::default()
    };
    let mut engine = Engine::new(g.finish(), &config);
    let mut rng = Rng::new(5, 0);
    engine
        .parameters_mut()
        .edit(|dense, _| dense.iter_mut().for_each(|w| *w += 0.2 * rng.normal()));
    (engine, probes)
}

fn batch(engine: &Engine<f64>) -> Batch<f64> {
    let mut batch = Batch::new(engine.model(), MICROS);
    let mut rng = Rng::new(6, 0);
    for (index, micro) in batch.micros_mut().iter_mut().enumerate() {
        let model = engine.model();
        micro.rows.copy_from_slice(&ROWS);
        for (site, ids) in model.sites.iter().zip(&mut micro.ids) {
            let (table, n) = (&model.tables[site.table.0], ROWS[site.domain.0]);
            if table.name.starts_with("probe") {
                ids.extend((0..n).map(|row| (index * n + row) as u32));
            } else {
                ids.extend((0..n).map(|_| rng.below(table.rows as u64) as u32));
            }
        }
        micro.maps[0].extend((0..ROWS[1]).map(|row| (row / 3) as u32));
        for (input, values) in model.inputs.iter().zip(&mut micro.inputs) {
            let n = ROWS[input.domain.0] * input.cols;
            values.extend((0..n).map(|_| if input.forward { rng.normal() } else { rng.uniform() }));
        }
    }
    batch
}

/// Gradients of everything: dense parameters, and each table, `[rows, dim]`.
type Whole = (Vec<f64>, Vec<Vec<f64>>);

fn gradients(engine: &mut Engine<f64>, weighing: Weighing<'_>) -> Whole {
    let mut batch = batch(engine);
    let dense = engine.gradients_by(&mut batch, weighing);
    let mut tables: Vec<Vec<f64>> =
        engine.parameters().tables().iter().map(|t| vec![0.0; t.values().len()]).collect();
    for micro in batch.micros() {
        for (site, spec) in engine.model().sites.iter().enumerate() {
            let dim = engine.model().tables[spec.table.0].dim;
            for (&id, grad) in micro.ids[site].iter().zip(micro.row_grads[site].chunks(dim)) {
                let row = &mut tables[spec.table.0][id as usize * dim..][..dim];
                row.iter_mut().zip(grad).for_each(|(sum, g)| *sum += g);
            }
        }
    }
    for (table, grads) in engine.projected_gradients() {
        tables[table].iter_mut().zip(grads).for_each(|(sum, g)| *sum += g);
    }
    (dense, tables)
}

/// The gradients of each loss alone, with its weight.
fn of_each(experts: bool, small_table: usize) -> Vec<Whole> {
    let alone = |loss: usize| {
        let weights: Vec<f64> = (0..4).map(|k| if k == loss { WEIGHTS[k] } else { 0.0 }).collect();
        gradients(&mut engine(experts, small_table, &weights).0, Weighing::Fixed)
    };
    (0..4).map(alone).collect()
}

#[track_caller]
fn near(got: f64, wanted: f64, what: &str) {
    assert!((got - wanted).abs() < 1e-12 + 1e-9 * wanted.abs(), "{what}: {got}, expected {wanted}");
}

#[test]
fn trunk_and_tables_learn_from_weighed_losses_and_heads_from_their_own() {
    let factors = [0.3, -1.2, 2.5, 0.9];
    for experts in [false, true] {
        for small_table in [0, 256] {
            let each = of_each(experts, small_table);
            let (mut engine, _) = engine(experts, small_table, &WEIGHTS);
            let (dense, tables) = gradients(&mut engine, Weighing::Shared(&factors));
            let sum = |own: bool, of: &dyn Fn(&Whole) -> f64| -> f64 {
                let factor = |k: usize| if own { 1.0 } else { factors[k] };
                each.iter().enumerate().map(|(k, one)| factor(k) * of(one)).sum()
            };
            let mut moved = 0;
            for param in engine.model().params() {
                for at in param.range() {
                    let wanted = sum(param.name.starts_with(OWN), &|one| one.0[at]);
                    near(dense[at], wanted, &param.name);
                    moved += usize::from(wanted != 0.0);
                }
            }
            for (index, table) in tables.iter().enumerate() {
                for (at, got) in table.iter().enumerate() {
                    near(*got, sum(false, &|one| one.1[index][at]), "a table");
                }
            }
            assert!(moved > 100, "only {moved} gradients");
        }
    }
}

#[test]
fn factors_of_losses_are_weights() {
    let factors = [0.3, 1.2, 2.5, 0.9];
    let weights: Vec<f64> = WEIGHTS.iter().zip(factors).map(|(w, f)| w * f).collect();
    let by_factor = gradients(&mut engine(true, 256, &WEIGHTS).0, Weighing::Losses(&factors));
    let by_weight = gradients(&mut engine(true, 256, &weights).0, Weighing::Fixed);
    for (a, b) in by_factor.0.iter().zip(&by_weight.0) {
        near(*a, *b, "a parameter");
    }
}

#[test]
fn losses_are_compared_where_they_meet() {
    for experts in [false, true] {
        for small_table in [0, 256] {
            let each = of_each(experts, small_table);
            let (mut engine, probes) = engine(experts, small_table, &WEIGHTS);
            let mut batch = batch(&engine);
            let gram = engine.compare(&mut batch, 1).unwrap().to_vec();
            for i in 0..4 {
                for j in 0..4 {
                    let wanted: f64 = probes
                        .iter()
                        .flat_map(|probe| each[i].1[probe.0].iter().zip(&each[j].1[probe.0]))
                        .map(|(a, b)| a * b)
                        .sum();
                    near(gram[4 * i + j], wanted, &format!("losses {i} and {j}"));
                    assert!(wanted != 0.0, "losses {i} and {j} never meet");
                }
            }
            // Losses are the same by every way.
            let compared: Vec<f64> = engine.losses().iter().map(crate::LossSum::mean).collect();
            let measured: Vec<f64> =
                engine.measure(&mut batch, 1).unwrap().iter().map(crate::LossSum::mean).collect();
            assert_eq!(compared, measured);
            engine.gradients(&mut batch);
            let learned: Vec<f64> = engine.losses().iter().map(crate::LossSum::mean).collect();
            assert_eq!(compared, learned);
        }
    }
}

#[test]
fn without_a_part_that_two_losses_reach_nothing_is_shared() {
    let build = |declare: bool, both: bool| {
        let mut g = Graph::<f64>::new();
        let rows = g.domain("row");
        let x = g.input(rows, 2);
        let x = g.dense(x);
        let (first, second) =
            (g.linear("a", x, 3, Activation::Relu), g.linear("b", x, 3, Activation::Relu));
        if declare {
            g.represent(first);
        }
        let read = if both { first } else { second };
        let (a, b) =
            (g.linear("y", first, 1, Activation::None), g.linear("z", read, 1, Activation::None));
        let label = g.input(rows, 1);
        g.bce("a", a, label, None);
        g.bce("b", b, label, None);
        g.finish().shares()
    };
    assert_eq!([build(false, true), build(true, false), build(true, true)], [false, false, true]);
}
