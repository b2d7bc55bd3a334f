//! Binary cross-entropy of a later step of a funnel, and a price for contradicting the step before (AITM, Xi et al. 2021).
//!
//! With `p = σ(z)` the probability of the later step and `q = σ(a)` that of the earlier one, both among all rows:
//! `ℓ = softplus(z) − y·z + w·max(p − q, 0)`. Where `p > q` the last term adds `w·p(1−p)` to `∂ℓ/∂z = p − y` and makes
//! `∂ℓ/∂a = −w·q(1−q)`.

use super::{Loss, LossSum, by_row};
use crate::graph::{GradMode, InputId, NodeId};
use crate::layers::Pass;
use crate::real::Real;

pub(crate) struct BceOrdered {
    pub(crate) earlier: NodeId,
    pub(crate) later: NodeId,
    pub(crate) label: InputId,
    /// Price of a contradiction.
    pub(crate) price: f64,
}

impl<T: Real> Loss<T> for BceOrdered {
    fn inputs(&self) -> Vec<NodeId> {
        vec![self.earlier, self.later]
    }
    fn run(&self, pass: &mut Pass<'_, T>, scale: Option<T>, modes: &[GradMode]) -> LossSum {
        let grads = [pass.grad_mut(self.earlier), pass.grad_mut(self.later)];
        let price = T::of(self.price);
        by_row(
            pass,
            [self.earlier, self.later],
            self.label,
            None,
            scale,
            modes,
            grads,
            #[inline(always)]
            |[a, z], y| {
                let (q, p) = (a.sigmoid(), z.sigmoid());
                let price = if p > q { price } else { T::ZERO };
                let (dq, dp) = (q * (-a).sigmoid(), p * (-z).sigmoid());
                let loss = z.softplus() - y * z + price * (p - q);
                (loss, [-(price * dq), p - y + price * dp])
            },
        )
    }
}
