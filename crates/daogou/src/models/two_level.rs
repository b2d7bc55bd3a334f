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

use super::heads::{self, Head, Level as Rows};
use super::inputs::{FieldNode, Fields, Inputs};
use super::{Shape, backbones, prefix, trunk};
use crate::data::FeatureSpace;
use crate::schema::{Config, Side, Task, TaskKind};
use crate::{Error, Result};

/// What is shared at one level.
pub(super) struct Level<'a> {
    /// What the names of its parameters start with.
    pub(super) prefix: &'a str,
    /// Name of its trunk where there is but one.
    pub(super) trunk: &'a str,
    /// Its input.
    pub(super) x: NodeId,
    /// Hidden units from the input to a reader.
    pub(super) units: &'a [usize],
    /// Names of those that read it: tasks, and for the request level the impression level.
    pub(super) readers: &'a [String],
}

/// A way of sharing: what each reader of a level reads, in their order.
pub(super) type Share = fn(&mut Graph, &Config, &Level<'_>) -> Vec<NodeId>;

/// Whether a task is answered per request or per impression.
pub(super) fn rows_of(config: &Config, shape: &Shape, task: usize) -> Rows {
    let per_row = config.tasks[task].kind == TaskKind::Binary || shape.row_label[task];
    if per_row { Rows::Impression } else { Rows::Request }
}

/// One network for all tasks.
pub(super) fn build(
    g: &mut Graph,
    inputs: &mut Inputs,
    (config, space, shape): (&Config, &FeatureSpace, &Shape),
    share: Share,
) -> Result<Vec<Head>> {
    let fields = inputs.fields(g, config, space, String::new(), true);
    let tasks: Vec<usize> = (0..config.tasks.len()).collect();
    build_for(g, inputs, &fields, (config, shape), &tasks, share)
}

/// The heads of `tasks` (numbers of tasks of the configuration), in their order.
pub(super) fn build_for(
    g: &mut Graph,
    inputs: &mut Inputs,
    fields: &Fields,
    (config, shape): (&Config, &Shape),
    tasks: &[usize],
    share: Share,
) -> Result<Vec<Head>> {
    let model = &config.model;
    let of = |request: bool| -> Vec<NodeId> {
        let belongs = |f: &&FieldNode| matches!(f.side, Side::User | Side::Context) == request;
        fields.nodes.iter().filter(belongs).map(|f| f.node).collect()
    };
    let (about_request, about_item) = (of(true), of(false));
    let names = |rows: Rows| -> Vec<String> {
        let of_rows = tasks.iter().filter(|task| rows_of(config, shape, **task) == rows);
        of_rows.map(|task| config.tasks[*task].name.clone()).collect()
    };
    let (of_request, of_impression) = (names(Rows::Request), names(Rows::Impression));

    let mut request = Vec::new();
    let mut parts: Vec<NodeId> = Vec::new();
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
            units: &model.request_units,
            readers: &readers,
        };
        request = read(g, config, &level, share);
        if !of_impression.is_empty() {
            let read = request.pop().expect("the impression level is the last reader");
            parts.push(g.gather(read, inputs.request_of_impression));
        }
    } else if let Some(name) = of_request.first() {
        return Err(Error::Config {
            key: format!("task.{name}"),
            problem: "expected a user, context or history feature for a request-level task, \
                      found none"
                .into(),
            hint: Some("add one, or set `source = \"row\"`".into()),
        });
    }

    let mut impression = Vec::new();
    if !of_impression.is_empty() {
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
        let level = Level {
            prefix: &fields.scope,
            trunk: &format!("{}shared_net", fields.scope),
            x: g.concat(&parts),
            units: &model.shared_units,
            readers: &of_impression,
        };
        impression = read(g, config, &level, share);
    }

    let sizes = heads::sizes(config, shape)?;
    let (mut request, mut impression) = (request.into_iter(), impression.into_iter());
    let mut built = Vec::with_capacity(tasks.len());
    for &index in tasks {
        let (bases, domain) = match rows_of(config, shape, index) {
            Rows::Request => (&mut request, inputs.requests),
            Rows::Impression => (&mut impression, inputs.impressions),
        };
        let base = bases.next().expect("one per task of the level");
        let task = &config.tasks[index];
        let name = prefix(task);
        let activation = trunk::activation(config);
        let tower = g.mlp(&format!("{name}_tower"), base, &model.tower_units, activation);
        let logit = g.linear(&format!("{name}_head"), tower, sizes[index], Activation::None);
        built.push(heads::finish(g, inputs, config, shape, task, (base, logit), domain));
    }
    Ok(built)
}

/// A level without hidden layers has nothing to share but its input.
fn read(g: &mut Graph, config: &Config, level: &Level<'_>, share: Share) -> Vec<NodeId> {
    if level.units.is_empty() {
        return vec![level.x; level.readers.len()];
    }
    share(g, config, level)
}

/// Name of the impression level as a reader; no task's name.
fn name_beside(tasks: &[Task]) -> String {
    let mut name = String::from("impressions");
    while tasks.iter().any(|task| task.name == name) {
        name.push('_');
    }
    name
}
