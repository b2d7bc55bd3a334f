//! Runs a model: forward, backward and updates, with the same bits whatever the number of threads.

mod compare;

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::batch::Batch;
use crate::embedding::{RowUpdate, SharedTable, Slots, Table};
use crate::graph::Model;
use crate::kernels::{self, vectorised};
use crate::layers::Pass;
use crate::loss::LossSum;
use crate::optim::{DenseOptimizer, DenseStep, TableOptimizer, TableStep};
use crate::parameters::Parameters;
use crate::projection;
use crate::real::Real;
use crate::rng::mix;
use crate::team::Team;
use crate::workspace::Workspace;

use compare::Kept;

/// How an engine trains.
#[derive(Clone, Debug, PartialEq)]
pub struct EngineConfig {
    /// Seed of initial values and dropout.
    pub seed: u64,
    /// Threads. Never changes the result.
    pub threads: usize,
    /// Logical shards of a batch. Changes the order of additions, and so the bits: fixed per run, not per machine.
    pub shards: usize,
    /// Optimiser of dense parameters.
    pub dense: DenseOptimizer,
    /// Optimiser of tables.
    pub tables: TableOptimizer,
    /// Decoupled weight decay of dense parameters.
    pub weight_decay: f64,
    /// Decoupled weight decay of touched table rows.
    pub table_weight_decay: f64,
    /// Scales dense gradients down to this global norm; 0 turns it off.
    pub clip_norm: f64,
    /// Weight of each loss in the total; empty: all 1.
    pub loss_weights: Vec<f64>,
}

impl Default for EngineConfig {
    fn default() -> Self {
        Self {
            seed: 1,
            threads: 1,
            shards: 8,
            dense: DenseOptimizer::Adam,
            tables: TableOptimizer::RowwiseAdagrad,
            weight_decay: 0.0,
            table_weight_decay: 0.0,
            clip_norm: 0.0,
            loss_weights: Vec::new(),
        }
    }
}

/// Number and step sizes of one step.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct StepSize {
    /// Number of the step, from 1: keys dropout and Adam's correction.
    pub step: u64,
    /// Of dense parameters.
    pub dense: f64,
    /// Of tables.
    pub tables: f64,
}

/// What weighs losses in a step, besides the weights they always have ([`EngineConfig::loss_weights`]).
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Weighing<'a> {
    /// Nothing.
    Fixed,
    /// A factor per loss, for all that learns from it.
    Losses(&'a [f64]),
    /// A factor per loss, for what losses share and what is below it ([`crate::Graph::represent`]): the trunk learns from
    /// Σ factor · loss. The heads above, a loss's own, learn from it without factor.
    Shared(&'a [f64]),
}

/// A loss or gradient that is not finite. Parameters are as before the step where a loss is at fault.
#[derive(Clone, Debug, PartialEq)]
pub struct Diverged {
    /// Number of the step.
    pub step: u64,
    /// Name of the loss; of all of them together, where a gradient is at fault.
    pub loss: String,
    /// `loss` or `gradient`.
    pub quantity: &'static str,
    /// What it was.
    pub value: f64,
}

impl fmt::Display for Diverged {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "step {}: {} of `{}` is {}", self.step, self.quantity, self.loss, self.value)
    }
}

impl std::error::Error for Diverged {}

/// State of one thread.
struct Worker<T> {
    workspace: Workspace<T>,
    rows: RowUpdate<T>,
    /// Gradients of single losses.
    kept: Kept<T>,
    /// Gradients of parameters that do not count; empty until there are any.
    spare: Vec<T>,
}

/// What work on one micro-batch reads and leaves, besides its pass.
struct InMicro<'a, T> {
    scales: &'a [f64],
    weighed: &'a [f64],
    sums: &'a mut [LossSum],
    kept: &'a mut Kept<T>,
    /// Of the shard.
    gram: &'a mut [f64],
}

/// A model in training.
pub struct Engine<T = f32> {
    model: Model<T>,
    config: EngineConfig,
    parameters: Parameters<T>,
    /// First and second state vector of dense parameters; empty where the optimiser has none.
    dense_state: [Vec<T>; 2],
    slots: Vec<Slots>,
    shared: Vec<SharedTable<T>>,
    /// Gradients per shard, of dense parameters and what layers leave beside them; the first becomes the total.
    shard_grads: Vec<Vec<T>>,
    /// Gradients of tables that layers read through their products, `[rows, dim]` each.
    table_grads: Vec<T>,
    workers: Vec<Worker<T>>,
    team: Team,
    /// Per loss: weight over the weight of the batch's rows, without and with the factors of the step.
    scales: Vec<f64>,
    weighed: Vec<f64>,
    losses: Vec<LossSum>,
    /// Products of the losses' gradients per shard, `[losses, losses]` each; the first becomes the total.
    grams: Vec<Vec<f64>>,
}

/// Dense values one thread reduces or updates at a time.
const CHUNK: usize = 4096;

impl<T: Real> Engine<T> {
    /// Initial values, and optimiser state at zero.
    pub fn new(model: Model<T>, config: &EngineConfig) -> Self {
        assert!(
            config.loss_weights.is_empty() || config.loss_weights.len() == model.losses.len(),
            "{} loss weights for {} losses",
            config.loss_weights.len(),
            model.losses.len()
        );
        let mut parameters = Parameters::new(&model, config.seed);
        parameters.tables.iter_mut().for_each(|table| table.start(config.tables));
        let state = |index| if config.dense.state_per_value() > index { model.n_values } else { 0 };
        let threads = config.threads.max(1);
        Self {
            dense_state: [vec![T::ZERO; state(0)], vec![T::ZERO; state(1)]],
            slots: model.tables.iter().map(|table| Slots::new(table.rows)).collect(),
            shared: Vec::with_capacity(model.tables.len()),
            shard_grads: vec![vec![T::ZERO; model.n_grads]; config.shards.max(1)],
            table_grads: vec![T::ZERO; model.n_table_grads()],
            workers: (0..threads)
                .map(|_| Worker {
                    workspace: Workspace::new(&model),
                    rows: RowUpdate::new(),
                    kept: Kept::new(&model),
                    spare: Vec::new(),
                })
                .collect(),
            team: Team::new(threads),
            scales: vec![0.0; model.losses.len()],
            weighed: vec![0.0; model.losses.len()],
            losses: vec![LossSum::default(); model.losses.len()],
            grams: vec![vec![0.0; model.losses.len().pow(2)]; config.shards.max(1)],
            config: config.clone(),
            parameters,
            model,
        }
    }

    /// The model.
    pub fn model(&self) -> &Model<T> {
        &self.model
    }

    /// The model and what it has learned, without what only training needs.
    pub fn into_parts(self) -> (Model<T>, Parameters<T>) {
        (self.model, self.parameters)
    }

    /// What it has learned so far.
    pub fn parameters(&self) -> &Parameters<T> {
        &self.parameters
    }

    /// What it has learned so far, to be replaced.
    pub fn parameters_mut(&mut self) -> &mut Parameters<T> {
        &mut self.parameters
    }

    /// Gives every table new first values, by `seed`, and an optimiser state at zero. Dense parameters stay as they are.
    pub fn reset_tables(&mut self, seed: u64) {
        let Self { model, config, parameters, team, .. } = self;
        for (table, spec) in parameters.tables.iter_mut().zip(&model.tables) {
            *table = Table::new(spec, seed);
            table.start(config.tables);
        }
        parameters.derive(team);
    }

    /// Its threads, for other work between steps.
    pub fn team(&mut self) -> &mut Team {
        &mut self.team
    }

    /// Model, parameters and threads at once, for evaluation between steps.
    pub fn parts(&mut self) -> (&Model<T>, &Parameters<T>, &mut Team) {
        (&self.model, &self.parameters, &mut self.team)
    }

    /// Bytes it holds between steps: values, optimiser state, gradients, and the activations of every thread, which have
    /// their full size once the largest batch was seen.
    pub fn bytes(&self) -> usize {
        let state = self.state().map(|(_, values)| values.len()).sum::<usize>();
        let gradients: usize = self.shard_grads.iter().map(Vec::len).sum();
        let working: usize =
            self.workers.iter().map(|w| w.workspace.values_held() + w.rows.values_held()).sum();
        let values =
            self.parameters.values_held() + state + gradients + self.table_grads.len() + working;
        let slots: usize = self.slots.iter().map(Slots::bytes).sum();
        values * size_of::<T>() + slots
    }

    /// Losses of the last step, one per loss of the graph.
    pub fn losses(&self) -> &[LossSum] {
        &self.losses
    }

    /// Products of gradients of the last [`Engine::compare`], `[losses, losses]`.
    pub fn gram(&self) -> &[f64] {
        &self.grams[0]
    }

    /// Optimiser state by name, to be saved: `dense.0`, `dense.1`, `table.{name}`.
    pub fn state(&self) -> impl Iterator<Item = (String, &[T])> {
        let dense = self.dense_state.iter().enumerate();
        let tables = self.parameters.tables.iter();
        dense
            .map(|(i, values)| (format!("dense.{i}"), values.as_slice()))
            .chain(tables.map(|table| (format!("table.{}", table.name()), &table.state[..])))
            .filter(|(_, values)| !values.is_empty())
    }

    /// The same, to be restored.
    pub fn state_mut(&mut self) -> impl Iterator<Item = (String, &mut [T])> {
        let dense = self.dense_state.iter_mut().enumerate();
        let tables = self.parameters.tables.iter_mut();
        dense
            .map(|(i, values)| (format!("dense.{i}"), values.as_mut_slice()))
            .chain(tables.map(|table| (format!("table.{}", table.name()), &mut table.state[..])))
            .filter(|(_, values)| !values.is_empty())
    }

    /// Learns from one batch: the gradient of Σ weight · (Σ w·ℓ / Σ w over the batch), then one update.
    ///
    /// Allocates nothing once it has seen a batch of this size.
    ///
    /// # Errors
    ///
    /// Where a loss or a gradient is not finite.
    ///
    /// # Panics
    ///
    /// If the batch does not fit the model.
    pub fn step(&mut self, batch: &mut Batch<T>, size: &StepSize) -> Result<(), Diverged> {
        self.step_by(batch, size, Weighing::Fixed)
    }

    /// The same with losses weighed in another way. With [`Weighing::Shared`] it goes twice through the heads.
    ///
    /// # Errors
    ///
    /// Where a loss or a gradient is not finite.
    ///
    /// # Panics
    ///
    /// If the batch does not fit the model, there is not one factor per loss, or the model has nothing that losses share.
    pub fn step_by(
        &mut self,
        batch: &mut Batch<T>,
        size: &StepSize,
        weighing: Weighing<'_>,
    ) -> Result<(), Diverged> {
        self.weigh(batch);
        self.differentiate(batch, size.step, weighing);
        self.sum_losses(batch, size.step)?;
        let factor = self.reduce(batch.micros().len(), size.step)?;
        self.update(batch, size, factor)
    }

    /// Gradients of the last [`Engine::step`]'s kind without an update: dense ones, then `[rows, dim]` per lookup and
    /// micro-batch in the batch. For gradient checks.
    #[cfg(test)]
    pub(crate) fn gradients(&mut self, batch: &mut Batch<T>) -> Vec<T> {
        self.gradients_by(batch, Weighing::Fixed)
    }

    /// The same with losses weighed in another way.
    #[cfg(test)]
    pub(crate) fn gradients_by(&mut self, batch: &mut Batch<T>, weighing: Weighing<'_>) -> Vec<T> {
        self.weigh(batch);
        self.differentiate(batch, 1, weighing);
        self.sum_losses(batch, 1).expect("finite losses");
        self.reduce(batch.micros().len(), 1).expect("finite gradients");
        self.shard_grads[0][..self.model.n_values].to_vec()
    }

    /// Scale of each loss: its weight over the weight of the batch's rows.
    fn weigh(&mut self, batch: &Batch<T>) {
        for (index, (loss, scale)) in self.model.losses.iter().zip(&mut self.scales).enumerate() {
            let total: f64 = match loss.weight {
                Some(input) => batch
                    .micros()
                    .iter()
                    .map(|m| m.inputs[input.0].iter().map(|w| w.f64()).sum::<f64>())
                    .sum(),
                None => batch.micros().iter().map(|m| m.rows[loss.domain.0] as f64).sum(),
            };
            let weight = self.config.loss_weights.get(index).copied().unwrap_or(1.0);
            *scale = if total > 0.0 { weight / total } else { 0.0 };
        }
    }

    /// Forward and backward of every micro-batch, shard by shard.
    fn differentiate(&mut self, batch: &mut Batch<T>, step: u64, weighing: Weighing<'_>) {
        self.weighed.copy_from_slice(&self.scales);
        if let Weighing::Losses(factors) | Weighing::Shared(factors) = weighing {
            assert_eq!(factors.len(), self.weighed.len(), "a factor per loss");
            self.weighed.iter_mut().zip(factors).for_each(|(scale, factor)| *scale *= factor);
        }
        if let Weighing::Shared(_) = weighing {
            return self.differentiate_shared(batch, step);
        }
        self.each_micro(batch, step, true, |pass, micro| {
            let plan = &pass.model.backward;
            pass.forward();
            pass.losses(plan, Some(micro.weighed), micro.sums);
            pass.backward(plan);
        });
    }

    /// Runs `work` on every micro-batch, shard by shard in any order, and within a shard one after the other. Where it
    /// `learns`, gradients of parameters and table rows count; otherwise they go nowhere.
    fn each_micro(
        &mut self,
        batch: &mut Batch<T>,
        step: u64,
        learns: bool,
        work: impl Fn(&mut Pass<'_, T>, &mut InMicro<'_, T>) + Sync,
    ) {
        let Self { model, config, parameters, shard_grads, workers, team, .. } = self;
        let (scales, weighed) = (&self.scales[..], &self.weighed[..]);
        let grams = SendMut(self.grams.as_mut_ptr());
        let micros = batch.micros_mut();
        let count = micros.len();
        let shards = used(shard_grads.len(), count);
        let key = mix(config.seed ^ mix(step));
        let (micros, workers) = (SendMut(micros.as_mut_ptr()), SendMut(workers.as_mut_ptr()));
        team.for_each(&mut shard_grads[..shards], |member, shard, grads| {
            // SAFETY: a member number is used by one thread at a time.
            let worker = unsafe { &mut *workers.at(member) };
            // SAFETY: there is one matrix per shard, and a shard is worked on by one thread.
            let gram = unsafe { &mut *grams.at(shard) };
            gram.fill(0.0);
            if learns && shard == 0 {
                grads.fill(T::ZERO);
            } else if learns {
                model.by_passes.iter().for_each(|part| grads[part.clone()].fill(T::ZERO));
            }
            for index in shard * count / shards..(shard + 1) * count / shards {
                // SAFETY: the ranges of shards are disjoint and end at `count`.
                let micro = unsafe { &mut *micros.at(index) };
                micro.check(model, true);
                let mut row_grads = std::mem::take(&mut micro.row_grads);
                let mut sums = std::mem::take(&mut micro.losses);
                let (counted, spare) = if learns {
                    (&mut grads[..], &mut worker.spare[..])
                } else {
                    (&mut worker.spare[..], Default::default())
                };
                let mut pass = Pass::new(
                    model,
                    parameters,
                    micro,
                    &mut row_grads,
                    counted,
                    &mut worker.workspace,
                    Some(mix(key ^ index as u64)),
                )
                .with_spare(spare);
                let kept = &mut worker.kept;
                work(&mut pass, &mut InMicro { scales, weighed, sums: &mut sums, kept, gram });
                micro.row_grads = row_grads;
                micro.losses = sums;
            }
        });
    }

    fn sum_losses(&mut self, batch: &Batch<T>, step: u64) -> Result<(), Diverged> {
        for (index, total) in self.losses.iter_mut().enumerate() {
            *total = LossSum::default();
            batch.micros().iter().for_each(|micro| total.add(micro.losses[index]));
            if !total.sum.is_finite() {
                let loss = self.model.losses[index].name.clone();
                return Err(Diverged { step, loss, quantity: "loss", value: total.sum });
            }
        }
        Ok(())
    }

    /// Gradients of projected tables after [`Engine::gradients`]: table, then `[rows, dim]`.
    #[cfg(test)]
    pub(crate) fn projected_gradients(&self) -> impl Iterator<Item = (usize, &[T])> {
        self.model.projected.iter().enumerate().filter_map(|(table, place)| {
            let spec = &self.model.tables[table];
            place.map(|at| (table, &self.table_grads[at..at + spec.rows * spec.dim]))
        })
    }

    /// Adds shard gradients in order into the first and takes them to parameters and tables; returns the factor of gradient
    /// clipping.
    fn reduce(&mut self, micros: usize, step: u64) -> Result<T, Diverged> {
        let used = used(self.shard_grads.len(), micros);
        let (first, others) =
            self.shard_grads[..used].split_first_mut().expect("at least one shard");
        let wrong = &AtomicBool::new(false);
        let chunks = first.len().div_ceil(CHUNK);
        let (target, count, len) = (SendMut(first.as_mut_ptr()), self.team.size(), first.len());
        let (others, by_passes) = (&*others, &self.model.by_passes);
        self.team.run(&|member| {
            for chunk in (member..chunks).step_by(count) {
                let range = chunk * CHUNK..len.min((chunk + 1) * CHUNK);
                // SAFETY: chunks are disjoint and inside the vector, and each goes to one member.
                let sum =
                    unsafe { std::slice::from_raw_parts_mut(target.at(range.start), range.len()) };
                vectorised(
                    #[inline(always)]
                    || {
                        for part in by_passes {
                            let (start, end) =
                                (part.start.max(range.start), part.end.min(range.end));
                            if start < end {
                                let sum = &mut sum[start - range.start..end - range.start];
                                others.iter().for_each(|o| kernels::add(sum, &o[start..end]));
                            }
                        }
                        if !kernels::dot(sum, sum).is_finite() {
                            wrong.store(true, Ordering::Relaxed);
                        }
                    },
                );
            }
        });
        let wrong = wrong.load(Ordering::Relaxed);
        projection::spread(
            (&self.model.weights, &self.model.projections),
            &self.parameters.dense,
            &self.parameters.tables,
            first,
            &mut self.table_grads,
            &mut self.team,
        );
        if !wrong && self.config.clip_norm == 0.0 {
            return Ok(T::ONE);
        }
        let square: f64 = first[..self.model.n_values].iter().map(|g| g.f64() * g.f64()).sum();
        let norm = square.sqrt();
        if wrong || !norm.is_finite() {
            return Err(Diverged {
                step,
                loss: self.all_losses(),
                quantity: "gradient",
                value: norm,
            });
        }
        let clip = self.config.clip_norm;
        Ok(T::of(if norm > clip { clip / norm } else { 1.0 }))
    }

    /// Updates dense parameters by the first shard's gradients, and the touched rows of tables.
    fn update(&mut self, batch: &Batch<T>, size: &StepSize, factor: T) -> Result<(), Diverged> {
        let Self {
            model,
            config,
            parameters,
            dense_state,
            slots,
            shared,
            shard_grads,
            table_grads,
            workers,
            team,
            ..
        } = self;
        let dense = DenseStep::new(config.dense, size.dense, config.weight_decay, size.step);
        let rows = TableStep {
            optimizer: config.tables,
            rate: T::of(size.tables),
            keep: T::of(1.0 - size.tables * config.table_weight_decay),
        };
        shared.clear();
        shared.extend(parameters.tables.iter_mut().zip(slots).map(|(t, s)| SharedTable::new(t, s)));
        let (tables, grads) = (&*shared, &mut shard_grads[0][..model.n_values]);
        let (len, owners) = (grads.len(), team.size());
        let chunks = len.div_ceil(CHUNK);
        let (values, grads) = (SendMut(parameters.dense.as_mut_ptr()), SendMut(grads.as_mut_ptr()));
        let lengths = [dense_state[0].len(), dense_state[1].len()];
        let state = [SendMut(dense_state[0].as_mut_ptr()), SendMut(dense_state[1].as_mut_ptr())];
        let workers = SendMut(workers.as_mut_ptr());
        let wrong = AtomicBool::new(false);
        team.run(&|member| {
            for chunk in (member..chunks).step_by(owners) {
                let (start, end) = (chunk * CHUNK, len.min((chunk + 1) * CHUNK));
                let n = end - start;
                // SAFETY: chunks are disjoint and inside the vectors, and each goes to one member; an optimiser
                // without a state vector gets an empty slice of it.
                let (values, grads, state) = unsafe {
                    let part = |i: usize| {
                        let (start, n) = if lengths[i] == 0 { (0, 0) } else { (start, n) };
                        std::slice::from_raw_parts_mut(state[i].at(start), n)
                    };
                    (
                        std::slice::from_raw_parts_mut(values.at(start), n),
                        std::slice::from_raw_parts_mut(grads.at(start), n),
                        [part(0), part(1)],
                    )
                };
                vectorised(
                    #[inline(always)]
                    || {
                        if factor != T::ONE {
                            grads.iter_mut().for_each(|g| *g *= factor);
                        }
                        dense.apply(values, grads, state);
                    },
                );
            }
            // SAFETY: a member number is used by one thread.
            let worker = unsafe { &mut *workers.at(member) };
            for (index, table) in tables.iter().enumerate() {
                let owner = (member as u32, owners as u32);
                let projected = model.projected[index].map(|at| &table_grads[at..]);
                // SAFETY: `table` is from this call's exclusive borrow, and each member is one owner.
                let finite = unsafe {
                    worker.rows.run(
                        (table, index),
                        (model, projected),
                        batch.micros(),
                        owner,
                        &rows,
                    )
                };
                if !finite {
                    wrong.store(true, Ordering::Relaxed);
                }
            }
        });
        parameters.derive(team);
        if wrong.load(Ordering::Relaxed) {
            let loss = self.all_losses();
            return Err(Diverged { step: size.step, loss, quantity: "gradient", value: f64::NAN });
        }
        Ok(())
    }

    fn all_losses(&self) -> String {
        self.model.loss_names().collect::<Vec<_>>().join(" + ")
    }
}

/// Shards that have work: a small batch has fewer micro-batches than there are shards, and an empty shard would only be
/// zeroed and added.
fn used(shards: usize, micros: usize) -> usize {
    shards.min(micros).max(1)
}

/// A pointer that several threads use, each on its own part.
pub(crate) struct SendMut<T>(pub(crate) *mut T);

// SAFETY: users reach disjoint parts only; each says why where it does.
unsafe impl<T: Send> Sync for SendMut<T> {}

impl<T> SendMut<T> {
    pub(crate) fn at(&self, index: usize) -> *mut T {
        // SAFETY: callers pass an index inside the allocation.
        unsafe { self.0.add(index) }
    }
}
