//! Every op, loss and table against central differences in `f64`.

use crate::batch::Batch;
use crate::engine::{Engine, EngineConfig};
use crate::graph::{DomainId, Graph, InputId, MapId, Model, NodeId, TableId};
use crate::init::Init;
use crate::layers::Activation;
use crate::real::Real;
use crate::rng::Rng;

/// What random values an input gets.
#[derive(Clone, Copy)]
enum Fill {
    Number,
    Label,
    Share,
    Weight,
    /// Rows of this many columns that sum to 1.
    Mix(usize),
    Class(usize),
}

/// A graph over two parent rows kinds and their children, with everything a test may read.
struct World {
    g: Graph<f64>,
    requests: DomainId,
    rows: DomainId,
    events: DomainId,
    row_request: MapId,
    event_request: MapId,
    users: TableId,
    items: TableId,
    fills: Vec<Fill>,
}

/// Checks a graph as it is run, with products of shared rows, and with every row multiplied for itself.
fn check(build: impl Fn(&mut World)) {
    for small_table in [0, 256] {
        let mut world = World::new(small_table);
        build(&mut world);
        world.check();
    }
}

impl World {
    fn new(small_table: usize) -> Self {
        let mut g = Graph::new();
        g.share_products(small_table);
        let (requests, rows, events) = (g.domain("request"), g.domain("row"), g.domain("event"));
        let (row_request, event_request) = (g.map(rows, requests), g.map(events, requests));
        let users = g.table("user_embed", 5, 3, Init::Normal(0.7));
        let items = g.table("item_embed", 7, 4, Init::Normal(0.7));
        Self {
            g,
            requests,
            rows,
            events,
            row_request,
            event_request,
            users,
            items,
            fills: Vec::new(),
        }
    }

    fn input(&mut self, domain: DomainId, cols: usize, fill: Fill) -> InputId {
        self.fills.push(fill);
        self.g.input(domain, cols)
    }

    /// A loss on every column of `x`, so that no gradient is zero by accident.
    fn watch(&mut self, name: &str, x: NodeId, domain: DomainId) {
        let logit = self.g.linear(&format!("watch_{name}"), x, 1, Activation::None);
        let label = self.input(domain, 1, Fill::Label);
        self.g.bce(name, logit, label, None);
    }

    /// Compares all gradients with central differences, on two micro-batches of different size.
    fn check(self) {
        let fills = self.fills;
        let model = self.g.finish();
        let n_losses = model.losses.len();
        let config = EngineConfig {
            seed: 11,
            shards: 2,
            loss_weights: (0..n_losses).map(|i| 1.0 + 0.3 * i as f64).collect(),
            ..EngineConfig::default()
        };
        let mut engine = Engine::new(model, &config);
        // Biases start at zero, where mistakes hide.
        let mut rng = Rng::new(5, 0);
        engine
            .parameters_mut()
            .edit(|dense, _| dense.iter_mut().for_each(|w| *w += 0.2 * rng.normal()));
        let mut batch = Batch::new(engine.model(), 2);
        for (index, micro) in batch.micros_mut().iter_mut().enumerate() {
            let model = engine.model();
            let n_requests = 2 + index;
            for (domain, name) in model.domains.iter().enumerate() {
                micro.rows[domain] = match name.as_str() {
                    "request" => n_requests,
                    "row" => 4 + 3 * index,
                    _ => 5 + index,
                };
            }
            for (site, ids) in model.sites.iter().zip(&mut micro.ids) {
                let rows = model.tables[site.table.0].rows as u64;
                ids.extend((0..micro.rows[site.domain.0]).map(|_| rng.below(rows) as u32));
            }
            for (map, parents) in model.maps.iter().zip(&mut micro.maps) {
                // The last request stays without children.
                let parent = (micro.rows[map.parent.0] - 1) as u64;
                parents.extend((0..micro.rows[map.child.0]).map(|_| rng.below(parent) as u32));
                parents.sort_unstable();
            }
            for ((input, fill), values) in model.inputs.iter().zip(&fills).zip(&mut micro.inputs) {
                for _ in 0..micro.rows[input.domain.0] {
                    match *fill {
                        Fill::Number => (0..input.cols).for_each(|_| values.push(rng.normal())),
                        Fill::Label => values.push(rng.below(2) as f64),
                        Fill::Share => values.push(rng.uniform()),
                        Fill::Weight => values.push(rng.below(3) as f64),
                        Fill::Class(n) => values.push(rng.below(n as u64 + 1) as f64 - 1.0),
                        Fill::Mix(n) => {
                            let raw: Vec<f64> = (0..n).map(|_| rng.uniform()).collect();
                            let total: f64 = raw.iter().sum();
                            values.extend(raw.iter().map(|x| x / total));
                        }
                    }
                }
            }
        }

        let total = |engine: &Engine<f64>| -> f64 {
            let means = engine.losses().iter().zip(&config.loss_weights);
            means.map(|(loss, weight)| weight * loss.mean()).sum()
        };
        let dense = engine.gradients(&mut batch);
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
        let mut at = |engine: &mut Engine<f64>, place: (Option<usize>, usize)| {
            let value = |engine: &mut Engine<f64>, delta: f64| match place {
                (None, i) => engine.parameters_mut().edit(|dense, _| dense[i] += delta),
                (Some(t), i) => {
                    engine.parameters_mut().edit(|_, tables| tables[t].values_mut()[i] += delta);
                }
            };
            let h = 1e-5;
            let mut loss = |engine: &mut Engine<f64>, delta: f64| {
                value(engine, delta);
                engine.gradients(&mut batch);
                value(engine, -delta);
                total(engine)
            };
            (loss(engine, h) - loss(engine, -h)) / (2.0 * h)
        };
        let (mut largest, mut nonzero) = (0f64, 0);
        let mut compare = |name: &str, numeric: f64, exact: f64| {
            let error = (numeric - exact).abs() / (1e-3 + numeric.abs() + exact.abs());
            assert!(error < 1e-6, "{name}: central difference {numeric}, gradient {exact}");
            largest = largest.max(error);
            nonzero += usize::from(exact != 0.0);
        };
        for i in 0..dense.len() {
            let name =
                engine.model().params.iter().find(|p| p.range().contains(&i)).unwrap().name.clone();
            let numeric = at(&mut engine, (None, i));
            compare(&name, numeric, dense[i]);
        }
        for (t, grads) in tables.iter().enumerate() {
            for (i, &exact) in grads.iter().enumerate() {
                let numeric = at(&mut engine, (Some(t), i));
                compare(&format!("table {t}"), numeric, exact);
            }
        }
        assert!(nonzero > 4, "only {nonzero} gradients are not zero");
    }
}

#[test]
fn linear_layers_and_activations() {
    check(|w| {
        let (rows, requests) = (w.rows, w.requests);
        let x = w.input(rows, 3, Fill::Number);
        let x = w.g.dense(x);
        let item = w.g.lookup(w.items, rows);
        let joined = w.g.concat(&[x, item]);
        let relu = w.g.mlp("relu", joined, &[9, 5], Activation::Relu);
        let silu = w.g.linear("silu", relu, 6, Activation::Silu);
        let sigmoid = w.g.linear("sigmoid", silu, 17, Activation::Sigmoid);
        // `relu` is read twice, so its gradient is a sum.
        let both = w.g.concat(&[relu, sigmoid]);
        let normal = w.g.layer_norm("norm", both);
        w.watch("norm", normal, rows);
        let user = w.g.lookup(w.users, requests);
        let soft = w.g.softmax(user);
        w.watch("soft", soft, requests);
    });
}

#[test]
fn rows_across_domains() {
    check(|w| {
        let (rows, events, requests) = (w.rows, w.events, w.requests);
        let (row_request, event_request) = (w.row_request, w.event_request);
        let user = w.g.lookup(w.users, requests);
        let past = w.g.lookup(w.items, events);
        let mean = w.g.pool(past, event_request, true);
        let sum = w.g.pool(past, event_request, false);
        let request = w.g.concat(&[user, mean, sum]);
        let trunk = w.g.linear("request", request, 4, Activation::Relu);
        let seen_by = w.g.gather(trunk, row_request);
        let item = w.g.lookup(w.items, rows);
        let product = w.g.mul(seen_by, item);
        let difference = w.g.sub(seen_by, item);
        let total = w.g.add(product, item);
        let joined = w.g.concat(&[product, difference, total, item]);
        w.watch("joined", joined, rows);
        w.watch("trunk", trunk, requests);
    });
}

#[test]
fn dropout_keeps_its_mask_between_forward_and_backward() {
    check(|w| {
        let rows = w.rows;
        let item = w.g.lookup(w.items, rows);
        let wide = w.g.linear("wide", item, 24, Activation::Silu);
        let dropped = w.g.dropout(wide, 0.4);
        w.watch("dropped", dropped, rows);
    });
}

#[test]
fn self_attention_over_fields() {
    check(|w| {
        let rows = w.rows;
        let parts: Vec<NodeId> = (0..3).map(|_| w.g.lookup(w.items, rows)).collect();
        let x = w.g.concat(&parts);
        let fields = w.g.fields(x, 3);
        let q = w.g.linear("q", fields, 6, Activation::None);
        let k = w.g.linear("k", fields, 6, Activation::None);
        let v = w.g.linear("v", fields, 6, Activation::None);
        let mixed = w.g.attention(q, k, v, 3, 2);
        let residual = w.g.linear("residual", fields, 6, Activation::None);
        let sum = w.g.add(mixed, residual);
        let flat = w.g.unfields(sum, 3);
        w.watch("flat", flat, rows);
    });
}

#[test]
fn a_column_that_scales_rows() {
    check(|w| {
        let rows = w.rows;
        let item = w.g.lookup(w.items, rows);
        let gate = w.g.linear("gate", item, 1, Activation::Sigmoid);
        let scaled = w.g.mul(item, gate);
        w.watch("scaled", scaled, rows);
    });
}

#[test]
fn fields_that_meet_in_pairs() {
    check(|w| {
        let (rows, requests, row_request) = (w.rows, w.requests, w.row_request);
        let user = w.g.lookup(w.users, requests);
        let user = w.g.linear("user", user, 4, Activation::None);
        let user = w.g.gather(user, row_request);
        let (item, other) = (w.g.lookup(w.items, rows), w.g.lookup(w.items, rows));
        let pairs = w.g.fm(&[user, item, other]);
        // A field met by itself, and parts that are read elsewhere too.
        let twice = w.g.fm(&[item, item]);
        let joined = w.g.concat(&[pairs, twice, other]);
        w.watch("joined", joined, rows);
    });
}

#[test]
fn gates_on_fields() {
    check(|w| {
        let (rows, requests, row_request) = (w.rows, w.requests, w.row_request);
        let user = w.g.lookup(w.users, requests);
        let (item, x) = (w.g.lookup(w.items, rows), w.input(rows, 1, Fill::Number));
        let number = w.g.dense(x);
        let own = w.g.means(&[user]);
        let own = w.g.gather(own, row_request);
        let means = w.g.means(&[item, number, item]);
        let squeezed = w.g.concat(&[own, means]);
        let hidden = w.g.linear("gate.0", squeezed, 5, Activation::Silu);
        let gates = w.g.linear("gate.2", hidden, 2, Activation::Relu);
        w.g.start("gate.2.bias", Init::Constant(1.0));
        // One of the gates scales whole rows; the other is not read at all.
        let gates = w.g.columns(gates, &[1, 1]);
        let scaled = w.g.mul(item, gates[0]);
        w.watch("scaled", scaled, rows);
    });
}

#[test]
fn crosses_of_all_fields() {
    check(|w| {
        let (rows, requests, row_request) = (w.rows, w.requests, w.row_request);
        let user = w.g.lookup(w.users, requests);
        let user = w.g.gather(user, row_request);
        let item = w.g.lookup(w.items, rows);
        let first = w.g.concat(&[user, item]);
        let mut x = first;
        for layer in 0..2 {
            let product = w.g.linear(&format!("cross.{layer}"), x, 7, Activation::None);
            let crossed = w.g.mul(first, product);
            x = w.g.add(crossed, x);
        }
        w.watch("crossed", x, rows);
    });
}

#[test]
fn mixtures_of_experts() {
    check(|w| {
        let (rows, requests, row_request) = (w.rows, w.requests, w.row_request);
        let user = w.g.lookup(w.users, requests);
        let user = w.g.linear("user", user, 5, Activation::Silu);
        let seen_by = w.g.gather(user, row_request);
        let item = w.g.lookup(w.items, rows);
        let joined = w.g.concat(&[seen_by, item]);
        let firsts = w.g.linear_group(
            &[("experts.0.0", 6), ("experts.1.0", 6), ("experts.2.0", 6)],
            joined,
            Activation::Silu,
        );
        // Two experts of two layers and one of one; gates of different length on the same product.
        let mut experts: Vec<NodeId> = firsts[..2]
            .iter()
            .enumerate()
            .map(|(j, x)| w.g.linear(&format!("experts.{j}.2"), *x, 6, Activation::Silu))
            .collect();
        experts.push(firsts[2]);
        let gates = w.g.linear_group(&[("gate.a", 3), ("gate.b", 2)], joined, Activation::None);
        let (a, b) = (w.g.softmax(gates[0]), w.g.softmax(gates[1]));
        let (first, second) = (w.g.mixture(a, &experts), w.g.mixture(b, &experts[1..]));
        // The same expert twice, and weights that also go elsewhere.
        let twice = w.g.mixture(b, &[experts[0], experts[0]]);
        let both = w.g.concat(&[first, a]);
        w.watch("first", both, rows);
        w.watch("second", second, rows);
        w.watch("twice", twice, rows);
    });
}

#[test]
fn all_losses_with_weights_and_grouped_heads() {
    check(|w| {
        let (rows, requests) = (w.rows, w.requests);
        let item = w.g.lookup(w.items, rows);
        let x = w.g.linear("shared", item, 5, Activation::Relu);
        let heads = w.g.linear_group(
            &[("ctr", 1), ("cvr", 1), ("div", 6), ("idle", 2), ("spend", 1)],
            x,
            Activation::None,
        );
        let offset = w.input(rows, 1, Fill::Number);
        let offset = w.g.dense(offset);
        let click = w.g.add(heads[0], offset);
        let (label, weight) = (w.input(rows, 1, Fill::Label), w.input(rows, 1, Fill::Weight));
        w.g.bce("click", click, label, Some(weight));
        let bought = w.input(rows, 1, Fill::Label);
        w.g.bce_product("ctcvr", (heads[0], heads[1]), bought, None);
        w.g.bce_product("weighed", (heads[1], click), bought, Some(weight));
        let class = w.input(rows, 1, Fill::Class(6));
        w.g.cross_entropy_class("class", heads[2], class, Some(weight));
        let amount = w.input(rows, 1, Fill::Number);
        w.g.mse("spend", heads[4], amount, Some(weight));
        w.g.mse("plain", heads[4], amount, None);
        let user = w.g.lookup(w.users, requests);
        let mix = w.g.linear("mix", user, 4, Activation::None);
        let (shares, events) =
            (w.input(requests, 4, Fill::Mix(4)), w.input(requests, 1, Fill::Weight));
        w.g.cross_entropy("mix", mix, shares, Some(events));
        w.g.cross_entropy("again", mix, shares, None);
        let novelty = w.g.linear("novelty", user, 1, Activation::None);
        let share = w.input(requests, 1, Fill::Share);
        w.g.mse_sigmoid("novelty", novelty, share, Some(events));
    });
}

#[test]
fn parts_that_rows_share() {
    check(|w| {
        let (rows, requests, row_request) = (w.rows, w.requests, w.row_request);
        let user = w.g.lookup(w.users, requests);
        let other = w.g.lookup(w.items, requests);
        let request = w.g.concat(&[user, other]);
        let trunk = w.g.linear("request", request, 5, Activation::Relu);
        let seen_by = w.g.gather(trunk, row_request);
        let x = w.input(rows, 2, Fill::Number);
        let (x, item, brand) = (w.g.dense(x), w.g.lookup(w.items, rows), w.g.lookup(w.items, rows));
        // Own columns on both sides of shared ones; a concatenation inside another, read by two layers.
        let hidden = w.g.linear("own", x, 3, Activation::Silu);
        let about = w.g.concat(&[hidden, item, x]);
        let joined = w.g.concat(&[seen_by, about, brand]);
        let first = w.g.linear("first", joined, 6, Activation::Relu);
        let second = w.g.linear("second", about, 4, Activation::None);
        let both = w.g.concat(&[first, second]);
        w.watch("both", both, rows);
        // A layer of nothing but shared parts, and one that is read otherwise too.
        let only = w.g.concat(&[brand, seen_by]);
        w.watch("only", only, rows);
        let product = w.g.mul(brand, item);
        w.watch("product", product, rows);
    });
}

#[test]
fn transfer_between_towers() {
    check(|w| {
        let rows = w.rows;
        let item = w.g.lookup(w.items, rows);
        let earlier = w.g.linear("earlier", item, 5, Activation::Silu);
        let info = w.g.linear("info", earlier, 5, Activation::Relu);
        let later = w.g.linear("later", item, 5, Activation::Silu);
        let both = w.g.concat(&[info, later]);
        let both = w.g.fields(both, 2);
        let [q, k, v] = ["q", "k", "v"].map(|name| w.g.linear_without_bias(name, both, 5));
        let mixed = w.g.transfer(q, k, v, 2);
        w.watch("mixed", mixed, rows);
        // Queries, keys and values may be the same node.
        let own = w.g.transfer(both, both, both, 2);
        w.watch("own", own, rows);
        w.watch("earlier", earlier, rows);
    });
}

#[test]
fn a_later_step_given_the_earlier_one() {
    check(|w| {
        let rows = w.rows;
        let item = w.g.lookup(w.items, rows);
        let heads = w.g.linear_group(&[("click", 1), ("joint", 1)], item, Activation::None);
        let conditional = w.g.conditional(heads[1], heads[0]);
        w.watch("conditional", conditional, rows);
        let label = w.input(rows, 1, Fill::Label);
        w.g.bce_ordered("joint", (heads[0], heads[1]), label, 0.6);
    });
}

/// Where nothing learns through what the method holds constant, its gradient is that of its value.
#[test]
fn debiased_purchases() {
    for (cvr_weight, ctcvr_weight, self_normalise) in
        [(1.0, 0.0, true), (0.3, 1.2, false), (0.0, 1.0, true)]
    {
        let debiasing = crate::Debiasing {
            click_rate: 0.4,
            cvr_weight,
            ctcvr_weight,
            clip: 1.5,
            self_normalise,
        };
        check(|w| {
            let rows = w.rows;
            let item = w.g.lookup(w.items, rows);
            let (clicked, bought) = (w.input(rows, 1, Fill::Label), w.input(rows, 1, Fill::Label));
            let given = [(); 2].map(|()| w.input(rows, 1, Fill::Number));
            let [click, purchase] = given.map(|input| w.g.dense(input));
            let learned = w.g.linear("cvr", item, 1, Activation::None);
            w.g.escm2("ips", (click, learned, None), (clicked, bought), debiasing);
            let imputed = w.g.linear("imputed", item, 1, Activation::None);
            let logits = (click, purchase, Some(imputed));
            w.g.escm2("dr", logits, (clicked, bought), debiasing);
        });
    }
}

/// A detached node has the values of the node and no way back: of `d(x·x) = 2x dx` half is left.
#[test]
fn detached_nodes_pass_nothing_back() {
    let gradients = |detached: bool| {
        let mut w = World::new(256);
        let rows = w.rows;
        let item = w.g.lookup(w.items, rows);
        // `other` is a slice whose only reader is detached.
        let layers = w.g.linear_group(&[("x", 4), ("other", 3)], item, Activation::None);
        let (x, other) = (layers[0], w.g.detach(layers[1]));
        let again = if detached { w.g.detach(x) } else { x };
        let square = w.g.mul(x, again);
        let all = w.g.concat(&[square, other]);
        w.watch("all", all, rows);
        let mut engine = Engine::new(w.g.finish(), &EngineConfig { seed: 3, ..Default::default() });
        let mut batch = Batch::new(engine.model(), 1);
        let micro = &mut batch.micros_mut()[0];
        micro.rows = vec![1, 6, 1];
        micro.ids[0].extend([1, 2, 3, 4, 5, 6]);
        micro.inputs[0].extend([0.0, 1.0, 0.0, 1.0, 1.0, 0.0]);
        micro.maps.iter_mut().zip([6, 1]).for_each(|(map, n)| map.extend(vec![0; n]));
        let grads = engine.gradients(&mut batch);
        let named = |name: &str| {
            let param = engine.model().params.iter().find(|p| p.name == name).unwrap();
            grads[param.range()].to_vec()
        };
        ["x.weight", "other.weight", "watch_all.weight"].map(named)
    };
    let ([whole, _, watch], [half, other, same]) = (gradients(false), gradients(true));
    assert!(whole.iter().any(|g| g.abs() > 1e-3));
    for (whole, half) in whole.iter().zip(&half) {
        assert!((whole - 2.0 * half).abs() < 1e-12, "{whole} and {half}");
    }
    assert!(other.iter().all(|g| *g == 0.0), "{other:?}");
    assert_eq!(watch, same);
}

/// A layer's bias goes with the first product that rows pick from: of a parent, of a small table, or with none.
#[test]
fn biases_of_layers_that_pick() {
    check(|w| {
        let (rows, requests, row_request) = (w.rows, w.requests, w.row_request);
        let user = w.g.lookup(w.users, requests);
        let trunk = w.g.linear("request", user, 5, Activation::None);
        let seen_by = w.g.gather(trunk, row_request);
        let x = w.input(rows, 2, Fill::Number);
        let (x, item) = (w.g.dense(x), w.g.lookup(w.items, rows));
        let of_table = w.g.concat(&[x, item]);
        let of_parent = w.g.concat(&[x, seen_by]);
        let of_both = w.g.concat(&[seen_by, item, x]);
        for (name, parts) in [("table", of_table), ("parent", of_parent), ("both", of_both)] {
            // A group, whose biases stand one after the other.
            let group = [("relu", 3), ("more", 18)].map(|(part, n)| (format!("{name}.{part}"), n));
            let group = group.each_ref().map(|(part, n)| (part.as_str(), *n));
            for (part, layer) in
                w.g.linear_group(&group, parts, Activation::Relu).into_iter().enumerate()
            {
                w.watch(&format!("{name}.{part}"), layer, rows);
            }
        }
    });
}

/// Outputs of ReLU that are read by layers, by mixtures, by both, by what cannot differentiate ReLU, and not at all.
fn relu_read_by_many<T: Real>(g: &mut Graph<T>, x: NodeId) -> NodeId {
    let names = ["a", "b", "c"].map(|name| (name, 17));
    let experts = g.linear_group(&names, x, Activation::Relu);
    let also = g.linear("also", experts[0], 5, Activation::Relu);
    let gates = g.linear_group(&[("g", 2), ("h", 2), ("i", 2)], x, Activation::None);
    let gates: Vec<NodeId> = gates.into_iter().map(|gate| g.softmax(gate)).collect();
    // Of three gates two meet the experts at once; the third expert is not read.
    let mixed = g.mixtures(&gates, &experts[..2]);
    let tower = g.linear("tower", mixed[2], 9, Activation::Relu);
    let twice =
        [("one", 3), ("two", 4)].map(|(name, n)| g.linear(name, tower, n, Activation::None));
    let first = g.linear("first", mixed[0], 6, Activation::Relu);
    let normal = g.layer_norm("norm", first);
    let after = g.linear("after", first, 4, Activation::None);
    g.concat(&[also, twice[0], twice[1], normal, after, mixed[1], experts[1]])
}

#[test]
fn outputs_of_relu_that_many_read() {
    check(|w| {
        let rows = w.rows;
        let (x, item) = (w.input(rows, 2, Fill::Number), w.g.lookup(w.items, rows));
        let x = w.g.dense(x);
        let x = w.g.concat(&[x, item]);
        let all = relu_read_by_many(&mut w.g, x);
        w.watch("all", all, rows);
    });
}

/// Whoever writes a gradient last applies ReLU's derivative: the same bits as when each layer does so itself.
#[test]
fn relu_is_differentiated_where_gradients_are_written() {
    let gradients = |by_layers: bool| {
        let mut g: Graph<f32> = Graph::new();
        let rows = g.domain("row");
        let table = g.table("t", 7, 6, Init::Normal(0.7));
        let (item, label) = (g.lookup(table, rows), g.input(rows, 1));
        let x = g.linear("x", item, 8, Activation::Relu);
        let all = relu_read_by_many(&mut g, x);
        let logit = g.linear("head", all, 1, Activation::None);
        g.bce("loss", logit, label, None);
        let mut model = g.finish();
        let of = |model: &Model<f32>| -> Vec<bool> {
            let relu = model.ops.iter().zip(&model.backward.arrives_cut);
            relu.filter(|(op, _)| op.as_linear().is_some_and(|l| l.relu))
                .map(|(_, cut)| *cut)
                .collect()
        };
        // `x`; the experts; `also`, which a concatenation reads; `tower`; `first`, which goes through a norm.
        assert_eq!(of(&model), [true, true, false, true, false]);
        if by_layers {
            model.backward.arrives_cut.fill(false);
            model.backward.cuts.iter_mut().for_each(Vec::clear);
        }
        let mut engine = Engine::new(model, &EngineConfig::default());
        let mut batch = Batch::new(engine.model(), 3);
        let mut rng = Rng::new(8, 0);
        for (index, micro) in batch.micros_mut().iter_mut().enumerate() {
            micro.rows[0] = 20 + 7 * index;
            micro.ids[0].extend((0..micro.rows[0]).map(|_| rng.below(7) as u32));
            micro.inputs[0].extend((0..micro.rows[0]).map(|_| rng.below(2) as f32));
        }
        let mut all = engine.gradients(&mut batch);
        batch.micros().iter().for_each(|micro| all.extend(&micro.row_grads[0]));
        all
    };
    let where_written = gradients(false);
    assert!(where_written.iter().filter(|g| **g != 0.0).count() > 500);
    assert_eq!(where_written, gradients(true));
}

/// Weights whose gradients are spread once per step take no part in what each shard zeroes and adds.
#[test]
fn shards_hold_what_passes_write() {
    let mut g: Graph<f32> = Graph::new();
    let rows = g.domain("row");
    let table = g.table("t", 7, 4, Init::Normal(0.7));
    let item = g.lookup(table, rows);
    let [x, y] = [2, 3].map(|cols| g.input(rows, cols)).map(|input| g.dense(input));
    let before = g.linear("before", x, 5, Activation::None);
    let around = g.concat(&[before, item, y]);
    let first = g.linear("first", around, 6, Activation::None);
    let beside = g.concat(&[item, first]);
    g.linear("second", beside, 3, Activation::None);
    let model = g.finish();
    let range = |name: &str| model.params.iter().find(|p| p.name == name).unwrap().range();
    let spread = range("first.weight");
    assert_eq!(model.by_passes, [0..spread.start, spread.end..model.n_grads]);
    assert!(
        range("second.weight").start > spread.end,
        "one range of its columns is written in place"
    );
}
