//! The frozen pass against the plain one, in a network with every way in which rows can depend on keys.

use super::{CHUNK, Frozen, FrozenWorkspace, GroupRows, InputOf, Keyed};
use crate::Micro;
use crate::graph::{DomainId, Graph, Model, NodeId};
use crate::init::Init;
use crate::layers::Activation;
use crate::parameters::Parameters;
use crate::real::Real;
use crate::rng::Rng;
use crate::team::Team;
use crate::workspace::Workspace;

const KEYS: u32 = 2 * CHUNK as u32 + 40;
const USUAL: [&[f64]; 2] = [&[0.4, -1.0, 0.3], &[0.7]];

/// What is known of everything there is.
struct Shop<T> {
    model: Model<T>,
    parameters: Parameters<T>,
    keyed: Keyed<T>,
    outputs: Vec<NodeId>,
    category: Vec<u32>,
    /// Members of each key's bag.
    bags: Vec<Vec<u32>>,
    price: Vec<T>,
}

/// One visit.
struct Visit {
    user: u32,
    events: Vec<u32>,
    position: f64,
    row_of: [Vec<u32>; 2],
    values: [Vec<f64>; 2],
}

fn model<T: Real>() -> (Model<T>, Vec<NodeId>) {
    let mut g = Graph::<T>::new();
    let domains = ["request", "row", "event", "member", "pair"].map(|name| g.domain(name));
    let [request, row, event, member, pair] = domains;
    let row_request = g.map(row, request);
    let event_request = g.map(event, request);
    let member_row = g.map(member, row);
    let pair_event = g.map(pair, event);
    let pair_row = g.map(pair, row);
    let users = g.table("user", 20, 6, Init::Normal(0.7));
    let items = g.table("item", KEYS as usize, 4, Init::Normal(0.7));
    let categories = g.table("category", 7, 4, Init::Normal(0.7));

    let user = g.lookup(users, request);
    let past = g.lookup(items, event);
    let item = g.lookup(items, row);
    let category = g.lookup(categories, row);
    let tags = g.lookup(categories, member);
    let candidate = g.lookup(items, row);
    let flat_user = g.lookup(users, row);
    let flat_category = g.lookup(categories, row);
    let [price, position, one, two, other] =
        [1, 2, 1, 2, 1].map(|cols| g.input(row, cols)).map(|input| g.dense(input));

    let history = g.pool(past, event_request, true);
    let known = g.concat(&[user, history]);
    let wanted = g.linear("request_net", known, 9, Activation::Relu);
    let bag = g.pool(tags, member_row, true);
    let about_item = g.concat(&[item, category, bag, price, one, two, other]);

    let user_side = g.linear("user_projection", known, 6, Activation::None);
    let user_side = g.gather(user_side, row_request);
    let item_side = g.linear("item_projection", about_item, 6, Activation::None);
    let common = g.mul(user_side, item_side);

    // Each event of the past weighed by how it suits the candidate.
    let of_event = g.gather(past, pair_event);
    let of_row = g.gather(candidate, pair_row);
    let (difference, product) = (g.sub(of_event, of_row), g.mul(of_event, of_row));
    let joined = g.concat(&[of_event, of_row, difference, product]);
    let hidden = g.mlp("suits", joined, &[5], Activation::Silu);
    let weight = g.linear("suits.weight", hidden, 1, Activation::None);
    let weighed = g.mul(of_event, weight);
    let attended = g.pool(weighed, pair_row, false);

    // Fields that look at each other.
    let user_field = g.linear("user_field", user, 4, Activation::None);
    let user_field = g.gather(user_field, row_request);
    let one_field = g.linear("one_field", one, 4, Activation::None);
    let price_field = g.linear("price_field", price, 4, Activation::None);
    let fields = g.concat(&[item, category, user_field, one_field, price_field]);
    let rows = g.fields(fields, 5);
    let [q, k, v] = ["q", "k", "v"].map(|name| g.linear(name, rows, 4, Activation::None));
    let mixed = g.attention(q, k, v, 5, 2);
    let sum = g.add(mixed, rows);
    let fields = g.unfields(sum, 5);

    // Fields that meet in pairs, and gates that look at all of them, or at constants.
    let pairs = g.fm(&[item, category, user_field, one_field, price_field]);
    let squeezed = g.means(&[item, category, user_field, one, price]);
    let squeezed = g.linear("squeezed", squeezed, 3, Activation::Silu);
    let gates = g.linear("gates", squeezed, 2, Activation::Sigmoid);
    let gates = g.columns(gates, &[1, 1]);
    let (gated_item, gated_user) = (g.mul(item, gates[0]), g.mul(user_field, gates[1]));
    let constant = g.detach(about_item);
    let told = g.concat(&[flat_user, constant]);
    let told = g.linear("told", told, 4, Activation::Sigmoid);
    let told = g.mul(item, told);

    let seen = g.gather(wanted, row_request);
    let met = g.concat(&[pairs, gated_item, gated_user, told]);
    let x = [seen, about_item, common, attended, fields, flat_user, flat_category, met];
    let x = g.concat(&x);
    let experts = g.linear_group(&[("a", 20), ("b", 20)], x, Activation::Relu);
    let gate = g.linear("gate", x, 2, Activation::None);
    let gate = g.softmax(gate);
    let mixed = g.mixture(gate, &experts);
    let mixed = g.layer_norm("norm", mixed);
    let mixed = g.dropout(mixed, 0.1);
    let tower = g.linear("tower", mixed, 33, Activation::Relu);
    // What one tower has found out, handed on to another.
    let later = g.linear("later", x, 33, Activation::Silu);
    let (info, later) = (g.detach(tower), g.detach(later));
    let both = g.concat(&[info, later]);
    let both = g.fields(both, 2);
    let [q, k, v] = ["tq", "tk", "tv"].map(|name| g.linear_without_bias(name, both, 33));
    let later = g.transfer(q, k, v, 2);
    let joint = g.linear("joint_head", later, 1, Activation::None);
    let logit = g.linear("head", tower, 1, Activation::None);
    let term = g.linear("position", position, 1, Activation::None);
    let logit = g.add(logit, term);
    let logit = g.add(logit, other);
    let conditional = g.conditional(joint, logit);

    let of_request = g.linear("wanted_head", wanted, 3, Activation::None);
    // Answers that ask for one thing only, and a layer where nothing depends on keys but a group.
    let of_key = g.linear("item_head", item, 2, Activation::Relu);
    let of_pattern = g.linear("user_head", flat_user, 2, Activation::Sigmoid);
    let grouped = g.concat(&[one, other, flat_user]);
    let of_group = g.linear("group_head", grouped, 18, Activation::Relu);
    (g.finish(), vec![logit, of_request, of_key, of_pattern, of_group, conditional])
}

impl<T: Real> Shop<T> {
    fn new() -> Self {
        let (model, outputs) = model::<T>();
        let mut parameters = Parameters::new(&model, 5);
        let mut rng = Rng::new(6, 0);
        parameters.edit(|dense, _| dense.iter_mut().for_each(|v| *v += T::of(0.2 * rng.normal())));
        let group = |group, place| InputOf::Group { group, place };
        let keyed = Keyed {
            domain: DomainId(1),
            sites: vec![false, false, true, true, true, true, false, false],
            inputs: vec![InputOf::Key, InputOf::Pattern, group(0, 0), group(0, 1), group(1, 0)],
            maps: vec![false, false, true, false, false],
            usual: USUAL.map(|row| row.iter().map(|v| T::of(*v)).collect()).into(),
            outputs: outputs.clone(),
        };
        let keys = KEYS as usize;
        Self {
            category: (0..keys).map(|_| rng.below(7) as u32).collect(),
            bags: (0..keys)
                .map(|_| (0..rng.below(4)).map(|_| rng.below(7) as u32).collect())
                .collect(),
            price: (0..keys).map(|_| T::of(rng.normal())).collect(),
            model,
            parameters,
            keyed,
            outputs,
        }
    }

    fn frozen(&self, threads: usize) -> Frozen<T> {
        let mut frozen = Frozen::new(&self.model, self.keyed.clone());
        let keys: Vec<u32> = (0..KEYS).collect();
        self.freeze(&mut frozen, &keys, threads);
        frozen
    }

    fn freeze(&self, frozen: &mut Frozen<T>, keys: &[u32], threads: usize) {
        let nobody = Visit::new(&mut Rng::new(0, 0), 0);
        let network = (&self.model, &self.parameters);
        let fill = |keys: &[u32], micro: &mut Micro<T>| self.fill(&nobody, keys, micro);
        frozen.freeze(network, keys, fill, &mut Team::new(threads));
    }

    /// A visit as the plain pass reads it.
    fn fill(&self, visit: &Visit, keys: &[u32], micro: &mut Micro<T>) {
        micro.clear();
        let (n, events) = (keys.len(), visit.events.len());
        let members: Vec<(u32, u32)> = (0..)
            .zip(keys)
            .flat_map(|(row, &key)| self.bags[key as usize].iter().map(move |tag| (row, *tag)))
            .collect();
        micro.rows.copy_from_slice(&[1, n, events, members.len(), n * events]);
        let [row_request, event_request, member_row, pair_event, pair_row] = &mut micro.maps[..]
        else {
            unreachable!("five maps")
        };
        row_request.resize(n, 0);
        event_request.resize(events, 0);
        member_row.extend(members.iter().map(|m| m.0));
        for row in 0..n as u32 {
            pair_event.extend(0..events as u32);
            pair_row.extend((0..events).map(|_| row));
        }
        micro.ids[0].push(visit.user);
        micro.ids[1].extend(&visit.events);
        micro.ids[2].extend(keys);
        micro.ids[3].extend(keys.iter().map(|&key| self.category[key as usize]));
        micro.ids[4].extend(members.iter().map(|m| m.1));
        micro.ids[5].extend(keys);
        micro.ids[6].resize(n, visit.user);
        micro.ids[7].resize(n, visit.user % 7);
        micro.inputs[0].extend(keys.iter().map(|&key| self.price[key as usize]));
        for &key in keys {
            micro.inputs[1].extend([0.3, visit.position].map(T::of));
            let groups = [self.category[key as usize], key];
            let row = |group: usize| {
                let row = visit.row_of[group][groups[group] as usize] as usize;
                let width = USUAL[group].len();
                visit.values[group][row * width..][..width].iter().map(|v| T::of(*v))
            };
            micro.inputs[2].extend(row(0).take(1));
            micro.inputs[3].extend(row(0).skip(1));
            micro.inputs[4].extend(row(1));
        }
    }

    fn plain(&self, visit: &Visit, keys: &[u32]) -> Vec<Vec<T>> {
        let (mut micro, mut workspace) = (Micro::new(&self.model), Workspace::new(&self.model));
        self.fill(visit, keys, &mut micro);
        self.model.forward(&self.parameters, &micro, &mut workspace);
        let rows = |output: &NodeId| if *output == self.outputs[1] { 1 } else { keys.len() };
        let outputs = self.outputs.iter();
        outputs
            .map(|output| {
                let row = |row| workspace.row(&self.model, *output, row).to_vec();
                (0..rows(output)).flat_map(row).collect()
            })
            .collect()
    }

    fn fast(
        &self,
        frozen: &Frozen<T>,
        (visit, keys, block): (&Visit, &[u32], usize),
        memory: &mut FrozenWorkspace<T>,
    ) -> Vec<Vec<T>> {
        let network = (&self.model, &self.parameters);
        // Whatever the first key is: it must not matter.
        self.fill(visit, &[3], memory.pattern_mut());
        let of_key: [Vec<u32>; 2] = [self.category.clone(), (0..KEYS).collect()];
        let values =
            visit.values.each_ref().map(|v| v.iter().map(|v| T::of(*v)).collect::<Vec<T>>());
        let groups = [0, 1].map(|g| GroupRows {
            of_key: &of_key[g],
            row_of: &visit.row_of[g],
            values: &values[g],
        });
        let groups = |group: usize| groups[group];
        frozen.begin(network, &groups, memory);
        let mut out = vec![Vec::new(); self.outputs.len()];
        for keys in keys.chunks(block) {
            frozen.forward(network, keys, &groups, memory);
            for (output, out) in self.outputs.iter().zip(&mut out) {
                if *output != self.outputs[1] || out.is_empty() {
                    frozen.append(&self.model, *output, memory, out);
                }
            }
        }
        out
    }
}

impl Visit {
    fn new(rng: &mut Rng, events: usize) -> Self {
        let mut row_of = |n: usize| -> Vec<u32> { (0..n).map(|_| rng.below(4) as u32).collect() };
        let row_of = [row_of(7), row_of(KEYS as usize)];
        let mut values = |usual: &[f64]| -> Vec<f64> {
            usual.iter().copied().chain((0..3 * usual.len()).map(|_| rng.normal())).collect()
        };
        let values = USUAL.map(&mut values);
        Self {
            user: rng.below(20) as u32,
            events: (0..events).map(|_| rng.below(u64::from(KEYS)) as u32).collect(),
            position: rng.normal(),
            row_of,
            values,
        }
    }
}

fn compare<T: Real>(tolerance: f64) {
    let shop = Shop::<T>::new();
    let frozen = shop.frozen(1);
    let mut memory = FrozenWorkspace::new(&shop.model, &frozen);
    let mut rng = Rng::new(1, 1);
    for (events, n, block) in [(3, 90, 40), (0, 7, 100), (5, 300, 64), (2, 1, 1), (4, 90, 30)] {
        let visit = Visit::new(&mut rng, events);
        let keys: Vec<u32> = (0..n).map(|_| rng.below(u64::from(KEYS)) as u32).collect();
        let plain = shop.plain(&visit, &keys);
        let fast = shop.fast(&frozen, (&visit, &keys, block), &mut memory);
        for (output, (plain, fast)) in plain.iter().zip(&fast).enumerate() {
            assert_eq!(plain.len(), fast.len(), "output {output}");
            let spread = plain.iter().any(|v| (v.f64() - plain[0].f64()).abs() > 0.01);
            assert!(spread || n == 1, "output {output} says nothing");
            for (p, f) in plain.iter().zip(fast) {
                let (p, f) = (p.f64(), f.f64());
                assert!((p - f).abs() <= tolerance * (1.0 + p.abs()), "output {output}: {p}, {f}");
            }
        }
    }
}

#[test]
fn the_frozen_pass_is_the_plain_one() {
    compare::<f64>(1e-12);
    compare::<f32>(1e-5);
}

#[test]
fn what_is_kept_depends_on_the_key_alone() {
    let mut shop = Shop::<f32>::new();
    let (one, two) = (shop.frozen(1), shop.frozen(2));
    assert!(one.width() > 40 + 6, "{}", one.width());
    let same = |a: &Frozen, b: &Frozen| a.chunks.iter().zip(&b.chunks).all(|(a, b)| a == b);
    assert!(same(&one, &two));
    let before = one.clone();
    for changed in [7, CHUNK + 1, KEYS as usize - 1] {
        shop.category[changed] = (shop.category[changed] + 1) % 7;
        shop.price[changed] += 1.0;
        shop.bags[changed].push(3);
    }
    let mut some = one.clone();
    shop.freeze(&mut some, &[7, CHUNK as u32 + 1, KEYS - 1], 2);
    assert!(same(&some, &shop.frozen(1)), "single keys as all keys");
    assert!(same(&one, &before) && !same(&some, &one), "a clone keeps its own");
    assert!(std::sync::Arc::ptr_eq(&one.chunks[0], &before.chunks[0]));
}
