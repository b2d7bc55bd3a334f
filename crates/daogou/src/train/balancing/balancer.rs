//! Steps of training with balanced tasks.

use daogou_nn::{Batch, Diverged, Engine, LossSum, StepSize, Weighing};
use serde::{Deserialize, Serialize};

use super::{Gram, Needs, Scope, Seen, Way};
use crate::schema::LossWeighting;

/// How tasks were balanced in a round of training.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Balance {
    /// Mean factor of each task's loss, besides its own weight.
    pub factors: Vec<f64>,
    /// Mean cosine between the gradients of two tasks on what they share, by task and task: below 0 they are in conflict.
    /// `None` for tasks that never met. Empty for ways of balancing that do not look at gradients.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub cosines: Vec<Vec<Option<f64>>>,
}

impl Balance {
    /// The two tasks with the lowest mean cosine, and that; none where no two ever met.
    pub fn sharpest_conflict(&self) -> Option<(usize, usize, f64)> {
        let n = self.cosines.len();
        let pairs = (0..n).flat_map(|i| (i + 1..n).map(move |j| (i, j)));
        let known = pairs.filter_map(|(i, j)| Some((i, j, self.cosines[i][j]?)));
        known.min_by(|a, b| a.2.total_cmp(&b.2))
    }
}

/// Where balancing stands between two steps.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Standing {
    way: Way,
    /// Of this round: steps, sums of factors by task, sums and numbers of cosines by pair of tasks.
    steps: u64,
    factors: Vec<f64>,
    cosines: Vec<f64>,
    compared: Vec<u64>,
}

/// Takes steps with the losses of an engine balanced. Allocates in its first steps only.
pub(crate) struct Balancer {
    standing: Standing,
    /// The engine's own weight of each loss, and ℓ of each constant predictor.
    weights: Vec<f64>,
    constants: Vec<f64>,
    /// Memory of one step: losses as the engine has them; tasks that take part, their ℓ, weights and products; a factor per
    /// task.
    sums: Vec<LossSum>,
    tasks: Vec<usize>,
    losses: Vec<f64>,
    chosen: Vec<f64>,
    gram: Vec<f64>,
    factors: Vec<f64>,
}

impl Balancer {
    /// For an engine with these weights of losses, and the mean losses of the constant predictors.
    pub(crate) fn new(
        config: &LossWeighting,
        weights: &[f64],
        constants: impl Iterator<Item = f64>,
        seed: u64,
    ) -> Self {
        let n = weights.len();
        let constants: Vec<f64> = weights.iter().zip(constants).map(|(w, loss)| w * loss).collect();
        assert_eq!(constants.len(), n, "a constant predictor per task");
        Self {
            standing: Standing {
                way: Way::new(config, &constants, seed),
                steps: 0,
                factors: vec![0.0; n],
                cosines: vec![0.0; n * n],
                compared: vec![0; n * n],
            },
            weights: weights.to_vec(),
            constants,
            sums: vec![LossSum::default(); n],
            tasks: Vec::with_capacity(n),
            losses: Vec::with_capacity(n),
            chosen: Vec::with_capacity(n),
            gram: Vec::with_capacity(n * n),
            factors: vec![1.0; n],
        }
    }

    /// What must be kept to go on as if nothing had happened.
    pub(crate) fn standing(&self) -> &Standing {
        &self.standing
    }

    /// Goes on from there.
    pub(crate) fn restore(&mut self, standing: Standing) {
        self.standing = standing;
    }

    /// Losses of the last step, before it.
    pub(crate) fn losses(&self) -> &[LossSum] {
        &self.sums
    }

    /// One step on one batch.
    pub(crate) fn step(
        &mut self,
        engine: &mut Engine,
        batch: &mut Batch,
        size: &StepSize,
    ) -> Result<(), Diverged> {
        let Some(method) = self.standing.way.method() else {
            engine.step(batch, size)?;
            self.sums.copy_from_slice(engine.losses());
            return Ok(());
        };
        let (needs, scope, back) = (method.needs(size.step), method.scope(), method.looks_back());
        match needs {
            Needs::Nothing => self.see_all(),
            Needs::Losses => {
                engine.measure(batch, size.step)?;
                self.see(engine.losses(), None);
            }
            Needs::Gradients => {
                engine.compare(batch, size.step)?;
                self.see(engine.losses(), Some(engine.gram()));
                self.remember_cosines();
            }
        }
        self.weigh(size.step);
        let weighing = match scope {
            Scope::All => Weighing::Losses(&self.factors),
            Scope::Shared => Weighing::Shared(&self.factors),
        };
        engine.step_by(batch, size, weighing)?;
        self.sums.copy_from_slice(engine.losses());
        if back {
            engine.measure(batch, size.step)?;
        }
        self.see(engine.losses(), None);
        self.learn(size.step);
        Ok(())
    }

    /// Weights are asked of all tasks, before anything is known of the batch.
    fn see_all(&mut self) {
        self.tasks.clear();
        self.tasks.extend(0..self.weights.len());
        self.losses.clear();
        self.gram.clear();
    }

    /// Notes the tasks that have something to learn, their losses and the products of their gradients.
    fn see(&mut self, sums: &[LossSum], gram: Option<&[f64]>) {
        let n = self.weights.len();
        self.tasks.clear();
        self.losses.clear();
        self.gram.clear();
        for (task, (sum, weight)) in sums.iter().zip(&self.weights).enumerate() {
            let flat = gram.is_some_and(|gram| gram[task * n + task] <= 0.0);
            if *weight > 0.0 && sum.weight > 0.0 && !flat {
                self.tasks.push(task);
                self.losses.push(weight * sum.mean());
            }
        }
        if let Some(gram) = gram {
            for i in &self.tasks {
                self.gram.extend(self.tasks.iter().map(|j| gram[i * n + j]));
            }
        }
    }

    fn remember_cosines(&mut self) {
        let (n, gram) = (self.weights.len(), Gram::new(&self.gram, self.tasks.len()));
        for (a, i) in self.tasks.iter().enumerate() {
            for (b, j) in self.tasks.iter().enumerate() {
                // Tasks that share nothing have a product of exactly 0.
                if gram.at(a, b) != 0.0 {
                    let cosine = gram.at(a, b) / (gram.norm(a) * gram.norm(b));
                    self.standing.cosines[i * n + j] += cosine;
                    self.standing.compared[i * n + j] += 1;
                }
            }
        }
    }

    fn weigh(&mut self, step: u64) {
        self.factors.fill(1.0);
        self.chosen.clear();
        self.chosen.resize(self.tasks.len(), 1.0);
        if !self.tasks.is_empty() {
            let seen = Seen {
                tasks: &self.tasks,
                losses: &self.losses,
                gram: if self.gram.is_empty() {
                    Gram::new(&[], 0)
                } else {
                    Gram::new(&self.gram, self.tasks.len())
                },
                constants: &self.constants,
                step,
            };
            let method = self.standing.way.method().expect("fixed weights do not come here");
            method.weigh(&seen, &mut self.chosen);
        }
        for (task, factor) in self.tasks.iter().zip(&self.chosen) {
            self.factors[*task] = *factor;
        }
        self.standing.steps += 1;
        let sums = self.standing.factors.iter_mut().zip(&self.factors);
        sums.for_each(|(sum, factor)| *sum += factor);
    }

    fn learn(&mut self, step: u64) {
        if self.tasks.is_empty() {
            return;
        }
        let seen = Seen {
            tasks: &self.tasks,
            losses: &self.losses,
            gram: Gram::new(&[], 0),
            constants: &self.constants,
            step,
        };
        let method = self.standing.way.method().expect("fixed weights do not come here");
        method.learn(&seen);
    }

    /// After each epoch.
    pub(crate) fn end_epoch(&mut self) {
        if let Some(method) = self.standing.way.method() {
            method.end_epoch();
        }
    }

    /// How tasks were balanced since the last round; nothing for fixed weights.
    pub(crate) fn end_round(&mut self) -> Option<Balance> {
        self.standing.way.method()?;
        let (n, standing) = (self.weights.len(), &mut self.standing);
        let steps = standing.steps.max(1) as f64;
        let factors = standing.factors.iter().map(|sum| sum / steps).collect();
        let mean = |place: usize| {
            let compared = standing.compared[place];
            (compared > 0).then(|| standing.cosines[place] / compared as f64)
        };
        let met = standing.compared.iter().any(|n| *n > 0);
        let rows = if met { n } else { 0 };
        let cosines = (0..rows).map(|i| (0..n).map(|j| mean(i * n + j)).collect()).collect();
        standing.steps = 0;
        standing.factors.fill(0.0);
        standing.cosines.fill(0.0);
        standing.compared.fill(0);
        Some(Balance { factors, cosines })
    }
}
