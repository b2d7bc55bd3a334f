//! STEM (Su et al. 2024): embeddings of each task's own beside shared ones, so that an item may mean one thing to clicks
//! and another to purchases.
//!
//! ```text
//! click.user_embed, …    ─ x_click ─── task_experts.click ────┐   gates.click reads x_click + x and mixes all experts:
//! purchase.user_embed, … ─ x_purchase ─ task_experts.purchase ┤   its own and the shared ones learn from it, those of
//! user_embed, …          ─ x ───────── shared_experts ────────┘   other tasks are read and do not
//! ```
//!
//! "All forward, task-specific backward": a gate lets everything through, but a task's loss teaches only its own tables
//! and experts and the shared ones. Gates have hidden layers of `gate_units`.
//!
//! Both levels are made this way. At the request level every task has a stream, those of impressions as well; what it
//! gives a task goes to the same task's stream of the impression level, and a gate of the shared stream, through which
//! everything learns, gives what the shared stream reads there. With one task, one expert of its own and none shared it is
//! `single_task`.
//!
//! Costs `tasks + 1` times the tables of `shared_bottom`, in memory and in lookups, and `tasks · task_experts +
//! shared_experts` times its trunks.

use daogou_nn::{Activation, Graph, NodeId};

use super::Shape;
use super::gates::{Expert, Gate, Mixing, experts, mix};
use super::heads::{self, Head, Level as Rows};
use super::inputs::{Fields, Inputs};
use super::trunk::{activation, trunks};
use super::two_level::{about, impressions, nothing_known, rows_of, tower};
use crate::Result;
use crate::data::FeatureSpace;
use crate::schema::Config;

/// The inputs of some tasks at one level, and the shared one.
struct Streams {
    /// Number of the task, what people call its gate, and what its own experts read.
    own: Vec<(usize, String, NodeId)>,
    shared: NodeId,
}

pub(super) fn build(
    g: &mut Graph,
    inputs: &mut Inputs,
    (config, space, shape): (&Config, &FeatureSpace, &Shape),
    known: &mut Vec<Mixing>,
) -> Result<Vec<Head>> {
    let rows = |task: usize| rows_of(config, shape, task);
    let tasks = 0..config.tasks.len();
    let any_impression = tasks.clone().any(|task| rows(task) == Rows::Impression);
    // The shared tables first: they are the ones that stand for items elsewhere.
    let of_all = inputs.fields(g, config, space, String::new(), any_impression);
    let of_tasks: Vec<Fields> = tasks
        .clone()
        .map(|task| {
            let scope = format!("{}.", config.tasks[task].name);
            inputs.fields(g, config, space, scope, rows(task) == Rows::Impression)
        })
        .collect();
    let request = |g: &mut Graph, fields: &Fields| {
        let parts = about(fields, true);
        (!parts.is_empty()).then(|| g.concat(&parts))
    };
    let shared_request = request(g, &of_all);
    let own_request: Vec<Option<NodeId>> =
        of_tasks.iter().map(|fields| request(g, fields)).collect();

    let mut bases: Vec<Option<NodeId>> = vec![None; config.tasks.len()];
    let mut shared = None;
    if let Some(x) = shared_request {
        let own = tasks.clone().map(|task| {
            let name = &config.tasks[task].name;
            // It has another gate at the impression level.
            let twice = rows(task) == Rows::Impression;
            let gate = if twice { format!("{name}, request level") } else { name.clone() };
            (task, gate, own_request[task].expect("the same fields"))
        });
        let streams = Streams { own: own.collect(), shared: x };
        let level = ("request_", Rows::Request, &config.model.request_units[..]);
        let (read, of_all) = mixed(g, config, level, &streams, any_impression, known);
        bases = read.into_iter().map(Some).collect();
        shared = of_all;
    } else if let Some(task) = tasks.clone().find(|task| rows(*task) == Rows::Request) {
        return Err(nothing_known(&config.tasks[task].name));
    }
    if any_impression {
        let mut own = Vec::new();
        for task in tasks.clone().filter(|task| rows(*task) == Rows::Impression) {
            let about_request = (own_request[task], bases[task]);
            let x = impressions(g, inputs, config, &of_tasks[task], about_request);
            own.push((task, config.tasks[task].name.clone(), x));
        }
        let about_request = (shared_request, shared);
        let shared = impressions(g, inputs, config, &of_all, about_request);
        let level = ("", Rows::Impression, &config.model.shared_units[..]);
        let streams = Streams { own, shared };
        let (read, _) = mixed(g, config, level, &streams, false, known);
        streams.own.iter().zip(read).for_each(|((task, ..), read)| bases[*task] = Some(read));
    }
    let sizes = heads::sizes(config, space, shape)?;
    let heads = tasks.zip(bases).map(|(task, base)| {
        let base = base.expect("every task is of one of the levels");
        tower(g, inputs, (config, shape), (task, sizes[task]), base)
    });
    Ok(heads.collect())
}

/// What each task's gate lets through, and, if asked for, that of the shared stream.
fn mixed(
    g: &mut Graph,
    config: &Config,
    (prefix, rows, units): (&str, Rows, &[usize]),
    streams: &Streams,
    and_shared: bool,
    known: &mut Vec<Mixing>,
) -> (Vec<NodeId>, Option<NodeId>) {
    if units.is_empty() {
        // A level without hidden layers has no experts.
        return (streams.own.iter().map(|(.., x)| *x).collect(), Some(streams.shared));
    }
    let model = &config.model;
    let mut named: Vec<(String, NodeId)> = Vec::new();
    for (task, _, x) in &streams.own {
        let name = &config.tasks[*task].name;
        let of_task = |j| (format!("{prefix}task_experts.{name}.{j}"), *x);
        named.extend((0..model.task_experts).map(of_task));
    }
    let of_all = |j| (format!("{prefix}shared_experts.{j}"), streams.shared);
    named.extend((0..model.shared_experts).map(of_all));
    let experts = experts(&named, &trunks(g, &named, units, config));
    let read_only: Vec<Expert> = experts
        .iter()
        .map(|expert| Expert { name: expert.name.clone(), output: g.detach(expert.output) })
        .collect();
    let shared_from = streams.own.len() * model.task_experts;
    experts[shared_from..].iter().for_each(|expert| g.represent(expert.output));

    let mut through = |g: &mut Graph, gate: Gate| {
        let hidden = g.mlp(&gate.name, gate.x, &model.gate_units, activation(config));
        let last = format!("{}.{}", gate.name, 2 * model.gate_units.len());
        let logits = g.linear(&last, hidden, gate.experts.len(), Activation::None);
        let weights = g.softmax(logits);
        mix(g, &[gate], (&[weights], rows), known)[0]
    };
    let mut read = Vec::new();
    for (k, (task, gate, x)) in streams.own.iter().enumerate() {
        let reader = &config.tasks[*task].name;
        let own = k * model.task_experts..(k + 1) * model.task_experts;
        let of_gate = (0..experts.len()).map(|j| {
            let learns = own.contains(&j) || j >= shared_from;
            if learns { experts[j].clone() } else { read_only[j].clone() }
        });
        let gate = Gate {
            reader: gate.clone(),
            name: format!("{prefix}gates.{reader}"),
            x: g.add(*x, streams.shared),
            experts: of_gate.collect(),
        };
        read.push(through(g, gate));
    }
    let shared = and_shared.then(|| {
        let gate = Gate {
            reader: "shared".into(),
            name: format!("{prefix}shared_gate"),
            x: streams.shared,
            experts: experts.clone(),
        };
        through(g, gate)
    });
    (read, shared)
}
