//! Squared error of a number: ℓ = (z − t)², ∂ℓ/∂z = 2·(z − t).

use super::{Loss, LossSum, by_row};
use crate::graph::{GradMode, InputId, NodeId};
use crate::layers::Pass;
use crate::real::Real;

pub(crate) struct Mse {
    pub(crate) output: NodeId,
    pub(crate) target: InputId,
    pub(crate) weight: Option<InputId>,
}

impl<T: Real> Loss<T> for Mse {
    fn inputs(&self) -> Vec<NodeId> {
        vec![self.output]
    }
    fn run(&self, pass: &mut Pass<'_, T>, scale: Option<T>, modes: &[GradMode]) -> LossSum {
        let grads = [pass.grad_mut(self.output)];
        by_row(
            pass,
            [self.output],
            self.target,
            self.weight,
            scale,
            modes,
            grads,
            #[inline(always)]
            |[z], t| {
                let miss = z - t;
                (miss * miss, [miss + miss])
            },
        )
    }
}
