//! Training: epochs of shuffled requests, early stopping on validation, checkpoints that resume to the same bits.

pub(crate) mod balancing;
mod constant;
mod expert_use;
mod resume;
mod schedule;
mod validation;
mod warm_start;

pub use balancing::Balance;
pub use constant::{Constant, constants};
pub use expert_use::{ExpertUse, GateUse, UnitUse};
pub use validation::TaskScore;

use std::ops::Range;
use std::path::{Path, PathBuf};

use daogou_nn::rng::{Rng, hash, mix};
use daogou_nn::{
    Batch, DenseOptimizer, Engine, EngineConfig, Parameters, StepSize, TableOptimizer,
};
use serde::{Deserialize, Serialize};

use balancing::Balancer;

use crate::data::Dataset;
use crate::metrics::logloss::binary_entropy;
use crate::models::predict::{MICRO, cut};
use crate::models::{
    Feed, Head, InversePropensity, Mixing, Mode, Network, Shape, Source, Thinning, Training,
};
use crate::schema::{self, Config, PurchaseObjective, Role, TaskKind};
use crate::{Error, Result};

/// Logical shards of a batch. Part of what makes a run's bits; more than 8 threads would need more.
const SHARDS: usize = 8;

/// How a training runs, besides what its configuration says.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Directory that checkpoints go to; none: no checkpoints.
    pub checkpoints: Option<PathBuf>,
    /// Go on from the checkpoint there, if there is one.
    pub resume: bool,
}

/// What a training leaves.
pub struct Trained {
    /// The network, in training's own form: its feed and heads serve as well.
    pub network: Network,
    /// Parameters of the best round, or of the last without early stopping.
    pub parameters: Parameters,
    /// One record per round of validation.
    pub history: Vec<Round>,
    /// Constant predictors of the training split, one per task.
    pub constants: Vec<Constant>,
    /// Bytes that training held at its end, the log and the best parameters aside: [`Engine::bytes`].
    pub bytes: usize,
}

/// One round: training since the last, then validation.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Round {
    /// From 1.
    pub epoch: usize,
    /// Steps so far.
    pub step: u64,
    /// Impressions trained on in this round.
    pub impressions: u64,
    /// Mean training loss per task, over its constant predictor's loss.
    pub train_loss: Vec<f64>,
    /// Validation, per task; empty without a validation split.
    pub valid: Vec<TaskScore>,
    /// Weighted sum of normalised validation losses: what early stopping watches.
    pub valid_loss: Option<f64>,
    /// Whether it is the best so far.
    pub best: bool,
    /// How experts were used on the validation split; `None` without gates or without that split.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub experts: Option<ExpertUse>,
    /// How tasks were balanced; nothing with fixed weights.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub balance: Option<Balance>,
}

impl Round {
    /// The round whose parameters were kept: the best one, or the last where there is no best.
    pub fn kept(history: &[Self]) -> Option<&Self> {
        history.iter().rev().find(|round| round.best).or(history.last())
    }
}

/// Where training stands.
#[derive(Clone, Copy, Debug)]
pub struct Progress<'a> {
    /// From 1.
    pub epoch: usize,
    /// Epochs at most.
    pub epochs: usize,
    /// Impressions of this epoch done.
    pub done: usize,
    /// Impressions per epoch.
    pub total: usize,
    /// Mean loss per task in this round, over its constant predictor's loss.
    pub losses: &'a [f64],
}

/// Told what happens while training runs.
pub trait Observer {
    /// After every step.
    fn step(&mut self, progress: &Progress<'_>) {
        let _ = progress;
    }
    /// Whether to end here, with an error: asked after every step.
    fn stops(&self) -> bool {
        false
    }
    /// After every round of validation.
    fn round(&mut self, round: &Round) {
        let _ = round;
    }
    /// Something a person should know, as a sentence.
    fn note(&mut self, text: &str) {
        let _ = text;
    }
}

/// Watches nothing.
impl Observer for () {}

/// Where a run stands between two steps: everything besides tensors that decides what comes next.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Position {
    epoch: usize,
    /// Requests of the epoch's order that are done.
    cursor: usize,
    step: u64,
    /// Rounds done within the epoch.
    rounds: usize,
    impressions: u64,
    loss_sums: Vec<f64>,
    loss_weights: Vec<f64>,
    best_loss: Option<f64>,
    rounds_without_gain: usize,
    history: Vec<Round>,
    #[serde(default)]
    balancing: Option<balancing::Standing>,
}

/// Trains the network that `config` describes on a loaded log.
///
/// The result is a function of configuration, data and seed: not of the number of threads, and not of where training
/// was interrupted.
///
/// # Errors
///
/// Where a task has nothing to learn from, a rule of lists names what the log has none of, a loss diverges, or a checkpoint
/// cannot be written or does not fit.
pub fn train(
    config: &Config,
    data: &Dataset,
    options: &Options,
    observer: &mut dyn Observer,
) -> Result<Trained> {
    // Before training and not after it.
    crate::rule_book::check_rules(config, data)?;
    let shape = Shape::of(config, data);
    let constants = constants(config, data)?;
    let Network { model, feed, heads, gates } = Network::build(config, &data.space, &shape)?;
    if config.loss_weighting.method.compares_gradients() && !model.shares() {
        return Err(nothing_shared(config));
    }
    let t = &config.train;
    let loss_weights: Vec<f64> = config
        .tasks
        .iter()
        .zip(&constants)
        .map(|(task, c)| {
            task.weight() / if config.loss_weighting.normalise { c.training_loss } else { 1.0 }
        })
        .collect();
    let mut balancer = Balancer::new(
        &config.loss_weighting,
        &loss_weights,
        constants.iter().map(|c| c.training_loss),
        t.seed,
    );
    let mut engine = Engine::new(
        model,
        &EngineConfig {
            seed: t.seed,
            threads: threads(t.threads),
            shards: SHARDS,
            dense: match t.optimizer {
                schema::DenseOptimizer::Sgd => DenseOptimizer::Sgd { momentum: t.momentum },
                schema::DenseOptimizer::Adam => DenseOptimizer::Adam,
                schema::DenseOptimizer::Adagrad => DenseOptimizer::Adagrad,
            },
            tables: match t.table_optimizer {
                schema::TableOptimizer::RowwiseAdagrad => TableOptimizer::RowwiseAdagrad,
                schema::TableOptimizer::LazyAdam => TableOptimizer::LazyAdam,
                schema::TableOptimizer::Sgd => TableOptimizer::Sgd,
            },
            weight_decay: t.weight_decay,
            table_weight_decay: t.table_weight_decay,
            clip_norm: t.clip_norm,
            loss_weights,
        },
    );
    start_biases(&mut engine, config, data, &heads, &constants);
    start_positions(&mut engine, config, data, shape.positions);

    let n_tasks = config.tasks.len();
    let mut at = Position {
        loss_sums: vec![0.0; n_tasks],
        loss_weights: vec![0.0; n_tasks],
        ..Position::default()
    };
    let mut best: Option<Parameters> = None;
    let identity = resume::identity(config, data);
    if let (true, Some(directory)) = (options.resume, &options.checkpoints) {
        resume::load(directory, &identity, &mut engine, &mut best, &mut at)?;
        if let Some(standing) = at.balancing.take() {
            balancer.restore(standing);
        }
    }
    if let (Some(run), 0) = (&t.warm_start, at.step) {
        observer.note(&warm_start::take(Path::new(run), &mut engine, (config, data), &heads)?);
    }
    let source = Source::from(data);
    let offsets = &data.requests.offsets;
    let filled = |r: &u32| offsets[*r as usize + 1] > offsets[*r as usize];
    let requests: Vec<u32> = data.split.train.clone().map(|r| r as u32).filter(filled).collect();
    let training = data.requests.impressions(&data.split.train);
    let total = training.len();
    let click = config.task_of(Role::Click).map(|task| binary_index(config, task));
    let thinned = click.filter(|_| t.negative_rate < 1.0);
    let read = thinned.map_or(total, |click| {
        let clicks = data.impressions.labels[click][training.clone()].iter().filter(|y| **y == 1);
        let clicks = clicks.count();
        clicks + ((total - clicks) as f64 * t.negative_rate).round() as usize
    });
    let planned = (read.div_ceil(t.batch_size) * t.epochs) as u64;
    let inverse_propensity = (t.ipw_clip > 0.0)
        .then(|| InversePropensity::new(&data.impressions, training, t.ipw_clip))
        .flatten();
    if t.ipw_clip > 0.0 && inverse_propensity.is_none() {
        return Err(Error::config(
            "train.ipw_clip",
            "no propensity of the training split is above 0",
        ));
    }
    let mut batch = Batch::new(engine.model(), 0);
    let mut micros: Vec<Range<usize>> = Vec::new();
    let mut losses = vec![0.0; n_tasks];
    let rounds = t.evaluations_per_epoch.max(1);

    while at.epoch < t.epochs && !stopped(config, &at) {
        let mut order = requests.clone();
        Rng::new(t.seed, mix(hash("order") ^ at.epoch as u64)).shuffle(&mut order);
        let key = |of: &str| mix(t.seed ^ mix(hash(of) ^ at.epoch as u64));
        let thinning =
            thinned.map(|click| Thinning { key: key("negatives"), rate: t.negative_rate, click });
        let mode = Mode::Train(Training {
            key: key("id_dropout"),
            id_dropout: t.id_dropout,
            position_dropout: t.position_dropout,
            thinning,
            inverse_propensity,
        });
        if t.reset_embeddings && at.epoch > 0 && at.cursor == 0 {
            engine.reset_tables(key("embeddings"));
        }
        let all_of = |r: u32| offsets[r as usize] as usize..offsets[r as usize + 1] as usize;
        // Impressions of a request that this epoch reads.
        let rows_of = |r: u32| match thinning {
            Some(thinning) => all_of(r).filter(|&i| thinning.reads(&data.impressions, i)).count(),
            None => all_of(r).len(),
        };
        let mut done: usize = order[..at.cursor].iter().map(|&r| all_of(r).len()).sum();
        while at.cursor < order.len() {
            let (mut end, mut rows) = (at.cursor, 0);
            while end < order.len() && rows < t.batch_size {
                rows += rows_of(order[end]);
                done += all_of(order[end]).len();
                end += 1;
            }
            let chosen = &order[at.cursor..end];
            micros.clear();
            cut(rows_of, chosen, MICRO, |range| micros.push(range));
            batch.resize(engine.model(), micros.len());
            engine.team().for_each(batch.micros_mut(), |_, index, micro| {
                feed.fill(&source, &chosen[micros[index].clone()], mode, micro);
            });
            at.step += 1;
            let factor = schedule::factor(t, at.step, planned);
            let size = StepSize {
                step: at.step,
                dense: t.learning_rate * factor,
                tables: t.table_learning_rate * factor,
            };
            balancer.step(&mut engine, &mut batch, &size).map_err(|diverged| Error::Diverged {
                step: diverged.step,
                task: diverged.loss,
                quantity: diverged.quantity,
                value: diverged.value,
            })?;
            at.cursor = end;
            at.impressions += rows as u64;
            for (task, sum) in balancer.losses().iter().enumerate() {
                at.loss_sums[task] += sum.sum;
                at.loss_weights[task] += sum.weight;
                losses[task] = at.loss_sums[task]
                    / at.loss_weights[task].max(1e-300)
                    / constants[task].training_loss;
            }
            observer.step(&Progress {
                epoch: at.epoch + 1,
                epochs: t.epochs,
                done,
                total,
                losses: &losses,
            });
            if observer.stops() {
                return Err(Error::data("training was stopped"));
            }
            let round_over = at.rounds + 1 < rounds && done * rounds >= total * (at.rounds + 1);
            if round_over {
                at.rounds += 1;
                end_round(
                    config,
                    data,
                    &mut engine,
                    (&feed, &heads, &gates),
                    &constants,
                    balancer.end_round(),
                    &mut at,
                    &mut best,
                    observer,
                );
                if stopped(config, &at) {
                    break;
                }
            }
            let due = t.checkpoint_steps > 0 && at.step.is_multiple_of(t.checkpoint_steps);
            if let (Some(directory), true) = (&options.checkpoints, due && at.cursor < order.len())
            {
                at.balancing = Some(balancer.standing().clone());
                resume::save(directory, &identity, &engine, best.as_ref(), &at)?;
            }
        }
        if stopped(config, &at) {
            break;
        }
        (at.cursor, at.rounds) = (0, 0);
        at.epoch += 1;
        balancer.end_epoch();
        end_round(
            config,
            data,
            &mut engine,
            (&feed, &heads, &gates),
            &constants,
            balancer.end_round(),
            &mut at,
            &mut best,
            observer,
        );
        if let Some(directory) = &options.checkpoints {
            at.balancing = Some(balancer.standing().clone());
            resume::save(directory, &identity, &engine, best.as_ref(), &at)?;
        }
    }
    let bytes = engine.bytes();
    let (model, last) = engine.into_parts();
    Ok(Trained {
        network: Network { model, feed, heads, gates },
        parameters: best.unwrap_or(last),
        history: at.history,
        constants,
        bytes,
    })
}

/// Tasks that share nothing cannot be balanced by what they do to it.
fn nothing_shared(config: &Config) -> Error {
    let problem = format!(
        "`{}` compares gradients on what tasks share, and this network has nothing that two tasks read",
        config.loss_weighting.method.name()
    );
    Error::config("loss_weighting.method", problem)
        .with_hint("use `fixed`, or give tasks of one level hidden layers to share")
}

/// Whether early stopping has had enough.
fn stopped(config: &Config, at: &Position) -> bool {
    config.train.patience > 0 && at.rounds_without_gain > config.train.patience
}

/// Number of threads that a configuration asks for; 0: as many as cores.
pub fn threads(asked: usize) -> usize {
    if asked > 0 { asked } else { std::thread::available_parallelism().map_or(1, usize::from) }
}

/// Trust in a user's own past at the start of training, as a logit.
const FIRST_TRUST: f64 = 1.0;

/// Output biases start at the constant predictor, which saves rare tasks thousands of steps.
fn start_biases(
    engine: &mut Engine,
    config: &Config,
    data: &Dataset,
    heads: &[Head],
    constants: &[Constant],
) {
    let train = data.requests.impressions(&data.split.train);
    let offsets = data.impressions.logit_offset.get(train).unwrap_or_default();
    let mean_offset =
        offsets.iter().map(|&o| f64::from(o)).sum::<f64>() / offsets.len().max(1) as f64;
    let mut starts: Vec<(String, Vec<f64>)> = Vec::new();
    for (index, ((task, head), constant)) in
        config.tasks.iter().zip(heads).zip(constants).enumerate()
    {
        // What the logits get from elsewhere is taken off.
        let mut logits = constant.logits.clone();
        if task.role() == Some(Role::Click) {
            logits.iter_mut().for_each(|z| *z -= mean_offset);
        }
        if funnel(config, index).is_some() && task.objective() == PurchaseObjective::Aitm {
            // Its tower answers for click and purchase together.
            let click = config.task_of(Role::Click).expect("a funnel has a click");
            let joint = constant.answer[0] * constants[click].answer[0];
            logits = vec![(joint / (1.0 - joint)).ln() - mean_offset];
        }
        if let Some(imputation) = &head.imputation {
            // The softplus of it is the loss of the constant.
            let loss = binary_entropy(constant.answer[0]);
            starts.push((imputation.bias.clone(), vec![loss.exp_m1().ln()]));
        }
        if let Some(history) = &head.history_bias {
            let trust = 1.0 / (1.0 + (-FIRST_TRUST).exp());
            logits.iter_mut().for_each(|z| *z *= 1.0 - trust);
            starts.push((history.clone(), vec![FIRST_TRUST]));
        }
        starts.push((head.bias.clone(), logits));
    }
    let places: Vec<_> = starts
        .iter()
        .map(|(name, _)| {
            let param = engine.model().params().iter().find(|p| p.name == *name);
            param.expect("every head has a bias").range()
        })
        .collect();
    engine.parameters_mut().edit(|dense, _| {
        for (place, (_, values)) in places.into_iter().zip(starts) {
            for (bias, value) in dense[place].iter_mut().zip(values) {
                *bias = value as f32;
            }
        }
    });
}

/// Examination starts at the log-odds of each position: Adam's steps are too small to get there in a short training.
fn start_positions(engine: &mut Engine, config: &Config, data: &Dataset, positions: usize) {
    let Some(param) = engine.model().params().iter().find(|p| p.name == "position.weight") else {
        return;
    };
    let place = param.range().start..param.range().start + positions;
    let click = config.task_of(Role::Click).map(|c| binary_index(config, c)).unwrap_or_default();
    let labels = &data.impressions.labels[click];
    let mut counts = vec![(0.0, 0.0); positions];
    for i in data.requests.impressions(&data.split.train) {
        let position = usize::from(data.impressions.position[i]).min(positions);
        if position > 0 {
            counts[position - 1].0 += f64::from(labels[i]);
            counts[position - 1].1 += 1.0;
        }
    }
    let all = counts.iter().fold((0.0, 0.0), |a, c| (a.0 + c.0, a.1 + c.1));
    let rate = all.0 / f64::max(all.1, 1.0);
    let logit = |p: f64| (p / (1.0 - p)).ln();
    engine.parameters_mut().edit(|dense, _| {
        for (weight, (clicks, shown)) in dense[place].iter_mut().zip(&counts) {
            // Shrunk to the mean rate as if that had been seen 50 times more.
            let own = (clicks + 50.0 * rate) / (shown + 50.0);
            *weight =
                if rate > 0.0 && rate < 1.0 { (logit(own) - logit(rate)) as f32 } else { 0.0 };
        }
    });
}

#[expect(
    clippy::too_many_arguments,
    reason = "the state of one training, taken apart for the borrow checker"
)]
fn end_round(
    config: &Config,
    data: &Dataset,
    engine: &mut Engine,
    (feed, heads, gates): (&Feed, &[Head], &[Mixing]),
    constants: &[Constant],
    balance: Option<Balance>,
    at: &mut Position,
    best: &mut Option<Parameters>,
    observer: &mut dyn Observer,
) {
    let train_loss = at
        .loss_sums
        .iter()
        .zip(&at.loss_weights)
        .zip(constants)
        .map(|((sum, weight), c)| if *weight > 0.0 { sum / weight / c.training_loss } else { 0.0 })
        .collect();
    let mut experts = None;
    let valid = if data.split.valid.is_empty() {
        Vec::new()
    } else {
        let requests: Vec<u32> = data.split.valid.clone().map(|r| r as u32).collect();
        let (model, parameters, team) = engine.parts();
        let source = Source::from(data);
        let logits = crate::models::predict(
            (model, parameters),
            (feed, heads),
            &source,
            &requests,
            Mode::Evaluate,
            team,
        );
        experts = ExpertUse::measure((model, parameters), (feed, gates), &source, &requests, team);
        validation::score(config, data, data.split.valid.clone(), &logits, constants)
    };
    let valid_loss = (!valid.is_empty()).then(|| {
        let weighed = config.tasks.iter().zip(&valid);
        weighed.map(|(task, score)| task.weight() * score.loss.unwrap_or(0.0)).sum::<f64>()
    });
    let better = match (valid_loss, at.best_loss) {
        (Some(new), Some(old)) => new < old,
        (Some(_), None) => true,
        (None, _) => false,
    };
    if config.train.patience > 0 && valid_loss.is_some() {
        if better {
            at.best_loss = valid_loss;
            at.rounds_without_gain = 0;
            *best = Some(engine.parameters().clone());
        } else {
            at.rounds_without_gain += 1;
        }
    }
    let round = Round {
        epoch: at.epoch.max(1).min(config.train.epochs).max(at.epoch + usize::from(at.cursor > 0)),
        step: at.step,
        impressions: at.impressions,
        train_loss,
        valid,
        valid_loss,
        best: better,
        experts,
        balance,
    };
    observer.round(&round);
    at.history.push(round);
    at.impressions = 0;
    at.loss_sums.fill(0.0);
    at.loss_weights.fill(0.0);
}

/// Index among the binary tasks of task `index`.
pub(crate) fn binary_index(config: &Config, index: usize) -> usize {
    config.tasks[..index].iter().filter(|t| t.kind == TaskKind::Binary).count()
}

/// Index of the click task, if the task at `index` is a purchase after a click.
pub(crate) fn funnel(config: &Config, index: usize) -> Option<usize> {
    let purchase = config.tasks[index].role() == Some(Role::Purchase);
    config.task_of(Role::Click).filter(|_| purchase)
}
