//! Balancing tasks: how much each one's loss counts in a step (`loss_weighting.method`).
//!
//! A way of balancing is one file with one function, from the losses of a batch and the products of their gradients to a
//! weight per loss ([`Method::weigh`]). A loss ℓ_k here is the mean over the batch, times the task's weight, over the
//! constant predictor's: what `fixed` adds up.
//!
//! Ways that go by losses weigh all that learns from a task. Ways that go by gradients compare them on what tasks share
//! (what towers of a level read, or the experts it is mixed of: see `daogou_nn::Graph::represent`), and weigh what is
//! shared and everything below it, tables included; towers learn from their own tasks as with `fixed`. All of them
//! look for a direction among the tasks' gradients, so K × K products say all there is to know, and no table ever sees the
//! gradient of a single task.
//!
//! Tasks that have nothing to learn in a batch (no labels, weight 0, a gradient of 0) take no part in its weights.

mod adam;
mod aligned;
mod balancer;
mod cagrad;
mod chebyshev;
mod dynamic_average;
mod eigen;
mod equations;
mod famo;
mod gradnorm;
mod gram;
mod imtl;
mod mgda;
mod nash;
mod pcgrad;
mod random;
mod simplex;
mod softmax;
mod uncertainty;

use serde::{Deserialize, Serialize};

pub use balancer::Balance;
pub(crate) use balancer::{Balancer, Standing};
use gram::Gram;

use crate::schema::{Balancing, LossWeighting};

/// What of a batch is known when its losses are weighed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Needs {
    /// Nothing: no more is done than without balancing.
    Nothing,
    /// Losses: one forward pass beforehand.
    Losses,
    /// Losses and products of gradients: one forward pass and a backward pass per task down to what tasks share.
    Gradients,
}

/// What weights are for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Scope {
    /// All that learns from a task.
    All,
    /// What tasks share, and everything below it.
    Shared,
}

/// The tasks of a batch that have something to learn.
#[derive(Clone, Copy, Debug)]
struct Seen<'a> {
    /// Their numbers, ascending; never empty.
    tasks: &'a [usize],
    /// ℓ, one per number in `tasks`; empty where they are not known yet.
    losses: &'a [f64],
    /// Products of gradients, likewise; 0 × 0 where they are not known.
    gram: Gram<'a>,
    /// ℓ of the constant predictors, of all tasks.
    constants: &'a [f64],
    /// Number of the step, from 1.
    step: u64,
}

/// A way of balancing. What it keeps from step to step is saved with a checkpoint.
trait Method {
    /// What it must know to weigh the losses of a step.
    fn needs(&self, step: u64) -> Needs {
        let _ = step;
        Needs::Nothing
    }
    /// What its weights are for.
    fn scope(&self) -> Scope {
        Scope::All
    }
    /// The weights of a step, one per number in `seen.tasks`.
    fn weigh(&mut self, seen: &Seen<'_>, weights: &mut [f64]);
    /// Whether [`Method::learn`] gets the losses after the step, of the same batch, instead of those before it.
    fn looks_back(&self) -> bool {
        false
    }
    /// After the step, with its losses; products of gradients are not known here.
    fn learn(&mut self, seen: &Seen<'_>) {
        let _ = seen;
    }
    /// After each epoch.
    fn end_epoch(&mut self) {}
}

/// The ways there are, with what they have learned.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
enum Way {
    #[default]
    Fixed,
    Uncertainty(uncertainty::Uncertainty),
    DynamicAverage(dynamic_average::DynamicAverage),
    Random(random::Random),
    Chebyshev(chebyshev::Chebyshev),
    Famo(famo::Famo),
    GradNorm(gradnorm::GradNorm),
    PcGrad(pcgrad::PcGrad),
    CaGrad(cagrad::CaGrad),
    Mgda(mgda::Mgda),
    Imtl(imtl::Imtl),
    Nash(nash::Nash),
    Aligned(aligned::Aligned),
}

impl Way {
    /// As configured, for tasks whose constant predictors have these losses ℓ.
    fn new(config: &LossWeighting, constants: &[f64], seed: u64) -> Self {
        let n = constants.len();
        match config.method {
            Balancing::Fixed => Self::Fixed,
            Balancing::Uw => {
                Self::Uncertainty(uncertainty::Uncertainty::new(n, config.uw_learning_rate))
            }
            Balancing::Dwa => Self::DynamicAverage(dynamic_average::DynamicAverage::new(
                n,
                config.dwa_temperature,
            )),
            Balancing::Rlw => Self::Random(random::Random::new(n, seed)),
            Balancing::Stch => Self::Chebyshev(chebyshev::Chebyshev::new(
                constants,
                config.stch_mu,
                config.stch_warmup_epochs,
            )),
            Balancing::Famo => {
                Self::Famo(famo::Famo::new(n, config.famo_learning_rate, config.famo_decay))
            }
            Balancing::GradNorm => Self::GradNorm(gradnorm::GradNorm::new(
                n,
                config.gradnorm_alpha,
                config.gradnorm_learning_rate,
            )),
            Balancing::PcGrad => Self::PcGrad(pcgrad::PcGrad::new(seed)),
            Balancing::CaGrad => Self::CaGrad(cagrad::CaGrad::new(config.cagrad_c)),
            Balancing::Mgda => Self::Mgda(mgda::Mgda::new(config.mgda_divide_by)),
            Balancing::Imtl => Self::Imtl(imtl::Imtl::default()),
            Balancing::NashMtl => Self::Nash(nash::Nash::new(n, config.nash_update_every)),
            Balancing::AlignedMtl => Self::Aligned(aligned::Aligned::default()),
        }
    }

    /// Nothing for fixed weights.
    fn method(&mut self) -> Option<&mut dyn Method> {
        Some(match self {
            Self::Fixed => return None,
            Self::Uncertainty(way) => way,
            Self::DynamicAverage(way) => way,
            Self::Random(way) => way,
            Self::Chebyshev(way) => way,
            Self::Famo(way) => way,
            Self::GradNorm(way) => way,
            Self::PcGrad(way) => way,
            Self::CaGrad(way) => way,
            Self::Mgda(way) => way,
            Self::Imtl(way) => way,
            Self::Nash(way) => way,
            Self::Aligned(way) => way,
        })
    }
}

#[cfg(test)]
mod tests;
