//! Losses against each other: how their gradients on what they share agree, and steps that weigh them there.
//!
//! A step that weighs gradients by each other goes twice through the batch, because the weights are known when all of it has
//! been seen, and keeping every activation until then would cost memory in proportion to the batch. The first time,
//! [`Engine::compare`] takes each loss back to the representation and no further; the second time,
//! [`Engine::step_by`] with [`super::Weighing::Shared`] takes all of them together, weighed, through trunk and tables. Random
//! numbers are a function of step and micro-batch, so both times see the same network.
//!
//! With K losses: a forward pass, K backward passes through the heads and what lies between parts of the representation
//! (without gradients of parameters there), and an ordinary step that goes through the heads once more. No table sees
//! the gradient of a single loss.

use super::{Diverged, Engine, used};
use crate::batch::Batch;
use crate::graph::{Model, Representation};
use crate::kernels::{self, vectorised};
use crate::layers::Pass;
use crate::loss::LossSum;
use crate::real::Real;

/// Values multiplied in one go before their sum is taken on in `f64`.
const RUN: usize = 1024;

/// Gradients of single losses on the parts of the representation, for one micro-batch. Grows to the largest one seen.
pub(super) struct Kept<T> {
    /// Per part: `[losses, rows, cols]`.
    parts: Vec<Vec<T>>,
}

impl<T: Real> Kept<T> {
    pub(super) fn new(model: &Model<T>) -> Self {
        let parts = model.representation.as_ref().map_or(0, |shared| shared.parts.len());
        Self { parts: vec![Vec::new(); parts] }
    }

    /// Keeps the gradient of `loss` at a part.
    fn keep(&mut self, pass: &Pass<'_, T>, shared: &Representation, part: usize, loss: usize) {
        let grad = pass.grad(shared.parts[part].node);
        let (len, kept) = (grad.rows * grad.cols, &mut self.parts[part]);
        let need = len * shared.to_parts.len();
        if kept.len() < need {
            kept.resize(need, T::ZERO);
        }
        let rows = kept[loss * len..(loss + 1) * len].chunks_exact_mut(grad.cols);
        rows.enumerate().for_each(|(i, row)| row.copy_from_slice(grad.row(i)));
    }

    /// Adds to `gram` the products of what was kept, `gram[i, j] += ⟨g_i, g_j⟩` for i ≤ j.
    fn add_products(&self, pass: &Pass<'_, T>, shared: &Representation, gram: &mut [f64]) {
        let n = shared.to_parts.len();
        for (index, (part, kept)) in shared.parts.iter().zip(&self.parts).enumerate() {
            let grad = pass.grad(part.node);
            let len = grad.rows * grad.cols;
            let of = |loss: usize| {
                shared.reached[loss][index].then(|| &kept[loss * len..(loss + 1) * len])
            };
            for i in 0..n {
                let Some(a) = of(i) else { continue };
                for j in i..n {
                    let Some(b) = of(j) else { continue };
                    gram[i * n + j] += vectorised(
                        #[inline(always)]
                        || {
                            let runs = a.chunks(RUN).zip(b.chunks(RUN));
                            runs.map(|(a, b)| kernels::dot(a, b).f64()).sum::<f64>()
                        },
                    );
                }
            }
        }
    }
}

impl<'a, T: Real> Pass<'a, T> {
    /// Takes one loss back to the parts of the representation and keeps its gradients there. Returns what it summed.
    fn back_to_parts(
        &mut self,
        shared: &'a Representation,
        (loss, scale): (usize, T),
        kept: &mut Kept<T>,
    ) -> LossSum {
        let plan = &shared.to_parts[loss];
        let modes = plan.losses[loss].as_ref().expect("the plan starts at this loss");
        let sum = self.model.losses[loss].op.run(self, Some(scale), modes);
        let mut arrived = 0;
        for index in (0..self.model.ops.len()).rev() {
            while let Some(part) = shared.parts.get(arrived)
                && part.complete_before == index
            {
                if shared.reached[loss][arrived] {
                    kept.keep(self, shared, arrived, loss);
                }
                arrived += 1;
            }
            if arrived == shared.parts.len() {
                break;
            }
            self.back(plan, index);
        }
        sum
    }
}

impl<T: Real> Engine<T> {
    /// Losses of a batch as the step of this number sees them, dropout included; nothing is learned.
    ///
    /// # Errors
    ///
    /// Where a loss is not finite.
    ///
    /// # Panics
    ///
    /// If the batch does not fit the model.
    pub fn measure(&mut self, batch: &mut Batch<T>, step: u64) -> Result<&[LossSum], Diverged> {
        self.make_spare();
        self.each_micro(batch, step, false, |pass, micro| {
            pass.forward();
            pass.losses(&pass.model.backward, None, micro.sums);
        });
        self.sum_losses(batch, step)?;
        Ok(&self.losses)
    }

    /// How the losses of a batch agree: ⟨g_i, g_j⟩ of their gradients on the representation that they share, `[losses,
    /// losses]`, row-major and symmetric, each loss with its own weight. Nothing is learned. [`Engine::losses`] has the
    /// losses afterwards, [`Engine::gram`] the products.
    ///
    /// Allocates nothing once it has seen a batch of this size.
    ///
    /// # Errors
    ///
    /// Where a loss or a product is not finite.
    ///
    /// # Panics
    ///
    /// If the batch does not fit the model, or the model has nothing that losses share ([`Model::shares`]).
    pub fn compare(&mut self, batch: &mut Batch<T>, step: u64) -> Result<&[f64], Diverged> {
        assert!(self.model.shares(), "the losses of this model share nothing");
        self.make_spare();
        self.weigh(batch);
        self.each_micro(batch, step, false, |pass, micro| {
            let shared = pass.model.representation.as_ref().expect("it was there before");
            pass.forward();
            pass.learns = false;
            for (loss, sum) in micro.sums.iter_mut().enumerate() {
                let scale = T::of(micro.scales[loss]);
                *sum = pass.back_to_parts(shared, (loss, scale), micro.kept);
            }
            micro.kept.add_products(pass, shared, micro.gram);
        });
        self.sum_losses(batch, step)?;
        let (n, shards) = (self.losses.len(), used(self.grams.len(), batch.micros().len()));
        let (total, others) = self.grams.split_first_mut().expect("at least one shard");
        for other in &others[..shards - 1] {
            total.iter_mut().zip(other).for_each(|(sum, product)| *sum += product);
        }
        for i in 0..n {
            for j in 0..i {
                total[i * n + j] = total[j * n + i];
            }
        }
        if let Some(&value) = total.iter().find(|product| !product.is_finite()) {
            let loss = self.all_losses();
            return Err(Diverged { step, loss, quantity: "gradient", value });
        }
        Ok(&self.grams[0])
    }

    /// Gradients of trunk and tables of the weighed losses, and of heads of the losses as they are.
    pub(super) fn differentiate_shared(&mut self, batch: &mut Batch<T>, step: u64) {
        assert!(self.model.shares(), "the losses of this model share nothing");
        self.make_spare();
        self.each_micro(batch, step, true, |pass, micro| {
            let model = pass.model;
            let shared = model.representation.as_ref().expect("it was there before");
            pass.forward();
            pass.losses(&model.backward, Some(micro.weighed), micro.sums);
            for index in (0..model.ops.len()).rev() {
                if shared.heads[index] {
                    pass.back_through(&model.backward, index);
                } else {
                    pass.back(&model.backward, index);
                }
            }
            pass.losses(&shared.through_heads, Some(micro.scales), micro.sums);
            pass.backward(&shared.through_heads);
        });
    }

    /// Memory for gradients that do not count.
    fn make_spare(&mut self) {
        let need = self.model.n_grads;
        self.workers.iter_mut().for_each(|worker| worker.spare.resize(need, T::ZERO));
    }
}

#[cfg(test)]
mod tests;
