//! Squared error of a share: ℓ = (σ(z) − t)², ∂ℓ/∂z = 2·(σ(z) − t)·σ(z)·σ(−z).

use super::{Loss, LossSum, by_row};
use crate::graph::{GradMode, InputId, NodeId};
use crate::layers::Pass;
use crate::real::Real;

pub(crate) struct MseSigmoid {
    pub(crate) logit: NodeId,
    pub(crate) target: InputId,
    pub(crate) weight: Option<InputId>,
}

impl<T: Real> Loss<T> for MseSigmoid {
    fn inputs(&self) -> Vec<NodeId> {
        vec![self.logit]
    }
    fn run(&self, pass: &mut Pass<'_, T>, scale: Option<T>, modes: &[GradMode]) -> LossSum {
        let grads = [pass.grad_mut(self.logit)];
        by_row(
            pass,
            [self.logit],
            self.target,
            self.weight,
            scale,
            modes,
            grads,
            #[inline(always)]
            |[z], t| {
                let s = z.sigmoid();
                let miss = s - t;
                let slope = miss * s * (-z).sigmoid();
                (miss * miss, [slope + slope])
            },
        )
    }
}
