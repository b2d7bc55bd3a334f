//! Binary cross-entropy of a logit: ℓ = softplus(z) − y·z, ∂ℓ/∂z = σ(z) − y.

use super::{Loss, LossSum, by_row};
use crate::graph::{GradMode, InputId, NodeId};
use crate::layers::Pass;
use crate::real::Real;

pub(crate) struct Bce {
    pub(crate) logit: NodeId,
    pub(crate) label: InputId,
    pub(crate) weight: Option<InputId>,
}

impl<T: Real> Loss<T> for Bce {
    fn inputs(&self) -> Vec<NodeId> {
        vec![self.logit]
    }
    fn run(&self, pass: &mut Pass<'_, T>, scale: Option<T>, modes: &[GradMode]) -> LossSum {
        let grads = [pass.grad_mut(self.logit)];
        by_row(
            pass,
            [self.logit],
            self.label,
            self.weight,
            scale,
            modes,
            grads,
            #[inline(always)]
            |[z], y| {
                let u = (-z.abs()).exp();
                let small = T::ONE / (T::ONE + u);
                let sigmoid = if z < T::ZERO { u * small } else { small };
                (z.max(T::ZERO) + u.ln_1p_unit() - y * z, [sigmoid - y])
            },
        )
    }
}
