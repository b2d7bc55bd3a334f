//! Where a network's answers are, and what they learn from.

use daogou_nn::{Activation, Debiasing, DomainId, Graph, InputId, NodeId};

use super::feed::{NumberSource, RowWeight};
use super::inputs::Inputs;
use super::{Shape, prefix, trunk};
use crate::data::{FeatureSpace, LabelEncoding};
use crate::schema::{Config, DelayedFeedback, PurchaseObjective, Role, Task, TaskKind};
use crate::train::{binary_index, funnel};
use crate::{Error, Result};

/// Numbers of same-category items above that are told apart.
const MAX_REPEATS: usize = 10;

/// What a head answers for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// One answer per request.
    Request,
    /// One answer per impression.
    Impression,
}

/// The answer to one task.
#[derive(Clone, Debug)]
pub struct Head {
    /// What its logits are.
    pub kind: TaskKind,
    /// What it answers for.
    pub level: Level,
    /// Logits: one, or one per category or class. Offsets of position, sampling and exposure are in it; they are 0 when serving.
    pub logits: NodeId,
    /// Name of the bias of its last layer.
    pub bias: String,
    /// Name of the bias of its trust in the user's own past mix, where it starts from that.
    pub history_bias: Option<String>,
    /// Of a purchase that is learned doubly robust: what its loss is estimated by.
    pub imputation: Option<Imputation>,
    /// Of a purchase that is learned as P(click and purchase): the logit of that, with offsets.
    joint: Option<NodeId>,
    /// What of the click's logits is known in training only.
    offsets: Vec<NodeId>,
    domain: DomainId,
}

/// The tower that estimates what a purchase's loss would be, had its impression been clicked.
#[derive(Clone, Debug)]
pub struct Imputation {
    /// Its logit: the softplus of it is the estimate.
    logit: NodeId,
    /// Name of the bias of its last layer.
    pub bias: String,
}

/// Logits of each task.
pub(super) fn sizes(config: &Config, space: &FeatureSpace, shape: &Shape) -> Result<Vec<usize>> {
    let size = |task: &Task| match task.kind {
        TaskKind::Distribution if shape.categories == 0 => Err(Error::Config {
            key: format!("task.{}", task.name),
            problem: "expected item categories for a distribution, found none".into(),
            hint: Some("name the column in `columns.category`".into()),
        }),
        TaskKind::Distribution => Ok(shape.categories),
        TaskKind::MultiClass => match space.labels.get(&task.name) {
            Some(LabelEncoding::Classes(classes)) if !classes.is_empty() => Ok(classes.len()),
            _ => Err(Error::config(
                format!("task.{}", task.name),
                "expected classes in the training split, found none",
            )),
        },
        TaskKind::Binary | TaskKind::Share | TaskKind::Regression => Ok(1),
    };
    config.tasks.iter().map(size).collect()
}

/// Adds to a task's logits what training knows and serving does not: position, sampling rate, exposure.
pub(super) fn finish(
    g: &mut Graph,
    inputs: &mut Inputs,
    config: &Config,
    shape: &Shape,
    task: &Task,
    (base, mut logits): (NodeId, NodeId),
    domain: DomainId,
) -> Head {
    let bias = format!("{}_head.bias", prefix(task));
    let index =
        config.tasks.iter().position(|t| t.name == task.name).expect("a task of the configuration");
    let mut offsets = Vec::new();
    if task.role() == Some(Role::Click) {
        if config.model.position_term && shape.positions > 0 {
            // What stands above also decides whether an item is looked at: a category repeated tires.
            let repeats = if shape.categories > 0 { shape.positions.min(MAX_REPEATS) } else { 0 };
            inputs.one_hot_positions(shape.positions, repeats);
            let one_hot =
                inputs.number(g, domain, shape.positions + repeats, NumberSource::Position, false);
            let one_hot = g.dense(one_hot);
            let term = g.linear("position", one_hot, 1, Activation::None);
            logits = g.add(logits, term);
            offsets.push(term);
        }
        if shape.logit_offset || config.train.negative_rate < 1.0 {
            let offset = inputs.number(g, domain, 1, NumberSource::LogitOffset, false);
            let offset = g.dense(offset);
            logits = g.add(logits, offset);
            offsets.push(offset);
        }
    }
    if shape.exposure.get(index).copied().unwrap_or(false) {
        let cols = g.cols(logits);
        let through = domain == inputs.impressions;
        let offset = inputs.number(g, domain, cols, NumberSource::Exposure(index), through);
        let offset = g.dense(offset);
        logits = g.add(logits, offset);
    }
    let from_history = task.kind == TaskKind::Distribution
        && !shape.row_label[index]
        && !shape.prior_mix.is_empty();
    if from_history {
        // How far the past is to be trusted depends on the request; the head adds what it does not say.
        let through = domain == inputs.impressions;
        let mix = inputs.number(g, domain, shape.categories, NumberSource::HistoryMix, through);
        let mix = g.dense(mix);
        let trust = g.linear(&format!("{}_history", prefix(task)), base, 1, Activation::Sigmoid);
        let trusted = g.mul(mix, trust);
        logits = g.add(logits, trusted);
    }
    let history_bias = from_history.then(|| format!("{}_history.bias", prefix(task)));
    let level = if domain == inputs.requests { Level::Request } else { Level::Impression };
    let imputation = (funnel(config, index).is_some()
        && task.objective() == PurchaseObjective::Escm2Dr)
        .then(|| {
            let name = format!("{}_imputation", prefix(task));
            let (units, activation) = (&config.model.tower_units, trunk::activation(config));
            let tower = g.mlp(&format!("{name}_tower"), base, units, activation);
            let logit = g.linear(&name, tower, 1, Activation::None);
            Imputation { logit, bias: format!("{name}.bias") }
        });
    let joint = None;
    Head { kind: task.kind, level, logits, bias, history_bias, imputation, joint, offsets, domain }
}

/// Turns a head that answers P(click and purchase) into one that answers P(purchase | click), as every reader expects.
///
/// An item that is not looked at is neither clicked nor bought, so what training knows of the click (position, sampling)
/// holds for both.
pub(super) fn after_the_click(g: &mut Graph, config: &Config, mut heads: Vec<Head>) -> Vec<Head> {
    for (index, task) in config.tasks.iter().enumerate() {
        let Some(click) = funnel(config, index) else { continue };
        if task.objective() != PurchaseObjective::Aitm {
            continue;
        }
        let offsets = heads[click].offsets.clone();
        let joint = offsets.into_iter().fold(heads[index].logits, |sum, term| g.add(sum, term));
        heads[index].logits = g.conditional(joint, heads[click].logits);
        heads[index].joint = Some(joint);
    }
    heads
}

/// Declares the losses, one per task.
pub(super) fn losses(
    g: &mut Graph,
    inputs: &mut Inputs,
    config: &Config,
    shape: &Shape,
    heads: &[Head],
) {
    for (index, (task, head)) in config.tasks.iter().zip(heads).enumerate() {
        let domain = head.domain;
        let through = head.level == Level::Impression;
        // Logits of the click, and what is multiplied by its probability, are of the rows that are read; others learn what
        // the whole log says.
        let read = config.train.negative_rate < 1.0;
        let weight = |g: &mut Graph, inputs: &mut Inputs, counts: RowWeight| {
            let counted = counts != RowWeight::default();
            counted.then(|| inputs.number(g, domain, 1, NumberSource::Weight(counts), false))
        };
        match task.kind {
            TaskKind::Binary => {
                let label = NumberSource::Label(binary_index(config, index));
                let label = inputs.number(g, domain, 1, label, false);
                let purchase = task.role() == Some(Role::Purchase);
                let settled = purchase && task.excludes_unsettled();
                match (funnel(config, index), task.objective()) {
                    (Some(click), PurchaseObjective::Esmm) => {
                        let weight =
                            weight(g, inputs, RowWeight { settled, ..RowWeight::default() });
                        let factors = (heads[click].logits, head.logits);
                        g.bce_product(&task.name, factors, label, weight);
                    }
                    (Some(click), PurchaseObjective::Aitm) => {
                        let joint = head.joint.expect("made after the click");
                        let logits = (heads[click].logits, joint);
                        g.bce_ordered(&task.name, logits, label, task.order_weight());
                    }
                    (Some(click), PurchaseObjective::Escm2Ips | PurchaseObjective::Escm2Dr) => {
                        let clicked = NumberSource::Label(binary_index(config, click));
                        let clicked = inputs.number(g, domain, 1, clicked, false);
                        let imputation =
                            head.imputation.as_ref().map(|imputation| imputation.logit);
                        let logits = (heads[click].logits, head.logits, imputation);
                        let debiasing = Debiasing {
                            // A run that only answers needs no rate, and an old one has none.
                            click_rate: f64::from(shape.click_rate).max(1e-6),
                            cvr_weight: task.cvr_weight(),
                            ctcvr_weight: task.ctcvr_weight(),
                            clip: task.propensity_clip(),
                            self_normalise: task.self_normalise(),
                        };
                        g.escm2(&task.name, logits, (clicked, label), debiasing);
                    }
                    _ => {
                        let own = task.role() == Some(Role::Click);
                        let counts = RowWeight {
                            among: config.loss_space(index),
                            settled,
                            read: read && !own,
                            propensity: own && config.train.ipw_clip > 0.0,
                            ..RowWeight::default()
                        };
                        let weight = weight(g, inputs, counts);
                        of_logit(g, task, head.logits, (label, weight));
                    }
                }
            }
            TaskKind::Distribution if shape.row_label[index] => {
                let class = inputs.number(g, domain, 1, NumberSource::RowCategory, false);
                let weight = weight(g, inputs, RowWeight { read, ..RowWeight::default() });
                g.cross_entropy_class(&task.name, head.logits, class, weight);
            }
            TaskKind::MultiClass => {
                let class = inputs.number(g, domain, 1, NumberSource::Class(index), false);
                let among = config.loss_space(index);
                let weight = weight(g, inputs, RowWeight { among, read, ..RowWeight::default() });
                g.cross_entropy_class(&task.name, head.logits, class, weight);
            }
            TaskKind::Regression => {
                let label = inputs.number(g, domain, 1, NumberSource::Number(index), false);
                let (among, labelled) = (config.loss_space(index), Some(index));
                let counts = RowWeight { among, labelled, read, ..RowWeight::default() };
                let weight = weight(g, inputs, counts);
                g.mse(&task.name, head.logits, label, weight);
            }
            TaskKind::Distribution => {
                let shares = inputs.number(
                    g,
                    domain,
                    shape.categories,
                    NumberSource::Shares(index),
                    through,
                );
                let weight =
                    inputs.number(g, domain, 1, NumberSource::TargetWeight(index), through);
                g.cross_entropy(&task.name, head.logits, shares, Some(weight));
            }
            TaskKind::Share => {
                let share = inputs.number(g, domain, 1, NumberSource::Share(index), through);
                let weight =
                    inputs.number(g, domain, 1, NumberSource::TargetWeight(index), through);
                g.mse_sigmoid(&task.name, head.logits, share, Some(weight));
            }
        }
    }
}

/// The loss of a binary task whose logit is its own answer.
fn of_logit(
    g: &mut Graph,
    task: &Task,
    logit: NodeId,
    (label, weight): (InputId, Option<InputId>),
) {
    match task.delayed_feedback() {
        DelayedFeedback::Exclude => g.bce(&task.name, logit, label, weight),
        DelayedFeedback::Fnw => g.fnw(&task.name, logit, label, weight),
    }
}
