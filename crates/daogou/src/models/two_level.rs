//! Networks for two kinds of questions: the request level answers what kind of list is wanted; the impression level,
//! which also reads the request level, answers for each candidate.
//!
//! ```text
//! user, context, history ─ request level ─┬─ towers of request-level tasks                 one row per request
//!                                         │
//!                   item, cross fields ───┴─ [interaction, backbone] ─ impression level ─ towers   one row per impression
//! ```
//!
//! What a level is made of is up to a way of sharing ([`Share`]): it gives each reader of the level what its tower
//! reads. How the fields of an impression meet before is up to the backbone ([`backbones`]).

use daogou_nn::{Activation, Graph, NodeId};

use super::gates::Mixing;
use super::heads::{self, Head, Level as Rows};
use super::inputs::{FieldNode, Fields, Inputs};
use super::{Shape, backbones, prefix, trunk};
use crate::data::FeatureSpace;
use crate::schema::{Config, Side, Task};
use crate::{Error, Result};

/// What is shared at one level.
pub(super) struct Level<'a> {
    /// What the names of its parameters start with.
    pub(super) prefix: &'a str,
    /// Name of its trunk where there is but one.
    pub(super) trunk: &'a str,
    /// Its input.
    pub(super) x: NodeId,
    /// What its rows are.
    pub(super) rows: Rows,
    /// Hidden units from the input to a reader.
    pub(super) units: &'a [usize],
    /// Names of those that read it: tasks, and for the request level the impression level.
    pub(super) readers: &'a [String],
}

/// A way of sharing: what each reader of a level reads, in their order. Gates are noted down.
pub(super) type Share = fn(&mut Graph, &Config, &Level<'_>, &mut Vec<Mixing>) -> Vec<NodeId>;

/// Whether a task is answered per request or per impression.
pub(super) fn rows_of(config: &Config, shape: &Shape, task: usize) -> Rows {
    let per_row = config.tasks[task].kind.is_per_impression() || shape.row_label[task];
    if per_row { Rows::Impression } else { Rows::Request }
}

/// One network for all tasks.
pub(super) fn build(
    g: &mut Graph,
    inputs: &mut Inputs,
    (config, space, shape): (&Config, &FeatureSpace, &Shape),
    share: (Share, &mut Vec<Mixing>),
) -> Result<Vec<Head>> {
    let fields = inputs.fields(g, config, space, String::new(), true);
    let tasks: Vec<usize> = (0..config.tasks.len()).collect();
    build_for(g, inputs, &fields, (config, space, shape), &tasks, share)
}

/// The heads of `tasks` (numbers of tasks of the configuration), in their order.
pub(super) fn build_for(
    g: &mut Graph,
    inputs: &mut Inputs,
    fields: &Fields,
    (config, space, shape): (&Config, &FeatureSpace, &Shape),
    tasks: &[usize],
    (share, gates): (Share, &mut Vec<Mixing>),
) -> Result<Vec<Head>> {
    let model = &config.model;
    let about_request = about(fields, true);
    let names = |rows: Rows| -> Vec<String> {
        let of_rows = tasks.iter().filter(|task| rows_of(config, shape, **task) == rows);
        of_rows.map(|task| config.tasks[*task].name.clone()).collect()
    };
    let (of_request, of_impression) = (names(Rows::Request), names(Rows::Impression));

    let mut request = Vec::new();
    let mut from_request = None;
    let known = (!about_request.is_empty()).then(|| g.concat(&about_request));
    if let Some(x) = known {
        let mut readers = of_request.clone();
        if !of_impression.is_empty() {
            readers.push(name_beside(&config.tasks));
        }
        let prefix = format!("{}request_", fields.scope);
        let level = Level {
            prefix: &prefix,
            trunk: &format!("{prefix}net"),
            x,
            rows: Rows::Request,
            units: &model.request_units,
            readers: &readers,
        };
        request = read(g, config, &level, (share, gates));
        if !of_impression.is_empty() {
            from_request = request.pop();
        }
    } else if let Some(name) = of_request.first() {
        return Err(nothing_known(name));
    }

    let mut impression = Vec::new();
    if !of_impression.is_empty() {
        let level = Level {
            prefix: &fields.scope,
            trunk: &format!("{}shared_net", fields.scope),
            x: impressions(g, inputs, config, fields, (known, from_request)),
            rows: Rows::Impression,
            units: &model.shared_units,
            readers: &of_impression,
        };
        impression = read(g, config, &level, (share, gates));
    }

    let sizes = heads::sizes(config, space, shape)?;
    let (mut request, mut impression) = (request.into_iter(), impression.into_iter());
    let mut built = Vec::with_capacity(tasks.len());
    for &index in tasks {
        let bases = match rows_of(config, shape, index) {
            Rows::Request => &mut request,
            Rows::Impression => &mut impression,
        };
        let base = bases.next().expect("one per task of the level");
        built.push(tower(g, inputs, (config, shape), (index, sizes[index]), base));
    }
    Ok(built)
}

/// Fields of a request, or of an impression.
pub(super) fn about(fields: &Fields, request: bool) -> Vec<NodeId> {
    let belongs = |f: &&FieldNode| matches!(f.side, Side::User | Side::Context) == request;
    fields.nodes.iter().filter(belongs).map(|f| f.node).collect()
}

/// A request-level task without anything known of requests.
pub(super) fn nothing_known(task: &str) -> Error {
    Error::Config {
        key: format!("task.{task}"),
        problem: "expected a user, context or history feature for a request-level task, found none"
            .into(),
        hint: Some("add one, or set `source = \"row\"`".into()),
    }
}

/// What the impression level reads: what it takes from the request level, the fields of the item, and what both have in
/// common.
pub(super) fn impressions(
    g: &mut Graph,
    inputs: &Inputs,
    config: &Config,
    fields: &Fields,
    (known, from_request): (Option<NodeId>, Option<NodeId>),
) -> NodeId {
    let model = &config.model;
    let mut parts: Vec<NodeId> = Vec::new();
    if let Some(read) = from_request {
        parts.push(g.gather(read, inputs.request_of_impression));
    }
    let about_item = about(fields, false);
    if !about_item.is_empty() {
        let item = g.concat(&about_item);
        parts.push(item);
        if let (Some(known), true) = (known, model.interaction) {
            // What this user and this item have in common, before any hidden layer has to find out.
            let dim = 2 * model.embedding_dim;
            let mut project = |side: &str, x: NodeId| {
                let name = format!("{}{side}_projection", fields.scope);
                g.linear(&name, x, dim, Activation::None)
            };
            let (user, item) = (project("request", known), project("item", item));
            let user = g.gather(user, inputs.request_of_impression);
            parts.push(g.mul(user, item));
        }
    }
    parts.extend(backbones::part(g, inputs, fields, config));
    g.concat(&parts)
}

/// The tower of a task on what its level gives it, and its head.
pub(super) fn tower(
    g: &mut Graph,
    inputs: &mut Inputs,
    (config, shape): (&Config, &Shape),
    (index, size): (usize, usize),
    base: NodeId,
) -> Head {
    let domain = match rows_of(config, shape, index) {
        Rows::Request => inputs.requests,
        Rows::Impression => inputs.impressions,
    };
    let task = &config.tasks[index];
    let name = prefix(task);
    let activation = trunk::activation(config);
    let tower = g.mlp(&format!("{name}_tower"), base, &config.model.tower_units, activation);
    let logit = g.linear(&format!("{name}_head"), tower, size, Activation::None);
    heads::finish(g, inputs, config, shape, task, (base, logit), domain)
}

/// A level without hidden layers has nothing to share but its input. Otherwise what is read of it is the representation on
/// which tasks are balanced.
fn read(
    g: &mut Graph,
    config: &Config,
    level: &Level<'_>,
    (share, gates): (Share, &mut Vec<Mixing>),
) -> Vec<NodeId> {
    if level.units.is_empty() {
        return vec![level.x; level.readers.len()];
    }
    let read = share(g, config, level, gates);
    read.iter().for_each(|node| g.represent(*node));
    read
}

/// Name of the impression level as a reader; no task's name.
fn name_beside(tasks: &[Task]) -> String {
    let mut name = String::from("impressions");
    while tasks.iter().any(|task| task.name == name) {
        name.push('_');
    }
    name
}
