//! Binary cross-entropy of a product of probabilities P = σ(a)·σ(v): the entire-space loss of ESMM (Ma et al. 2018).
//!
//! With label s: ℓ = −s·ln P − (1−s)·ln(1−P), in terms that stay finite for any logits:
//! −ln P = softplus(−a) + softplus(−v) and 1−P = σ(−a) + σ(a)·σ(−v).
//! ∂ℓ/∂a = (1−σ(a)) · ((1−s)·P/(1−P) − s), and the same with v for a.

use super::{Loss, LossSum, by_row};
use crate::graph::{GradMode, InputId, NodeId};
use crate::layers::Pass;
use crate::real::Real;

pub(crate) struct BceProduct {
    pub(crate) a: NodeId,
    pub(crate) b: NodeId,
    pub(crate) label: InputId,
    pub(crate) weight: Option<InputId>,
}

/// σ(z), σ(−z) and softplus(−z).
#[inline(always)]
fn parts<T: Real>(z: T) -> (T, T, T) {
    let u = (-z.abs()).exp();
    let small = T::ONE / (T::ONE + u);
    let (yes, no) = if z < T::ZERO { (u * small, small) } else { (small, u * small) };
    (yes, no, (-z).max(T::ZERO) + u.ln_1p_unit())
}

/// ℓ of one row with logits a and v and label s, and its derivatives.
#[inline(always)]
pub(super) fn point<T: Real>([a, v]: [T; 2], s: T) -> (T, [T; 2]) {
    let ((pa, qa, la), (pv, qv, lv)) = (parts(a), parts(v));
    let p = pa * pv;
    let q = qa + pa * qv;
    let odds = p / q;
    // −ln q loses all digits where q is near 1; ln(1 + p/q) is the same there and keeps them.
    let miss = if p <= q { odds.min(T::ONE).ln_1p_unit() } else { -q.ln() };
    let slope = (T::ONE - s) * odds - s;
    (s * (la + lv) + (T::ONE - s) * miss, [qa * slope, qv * slope])
}

impl<T: Real> Loss<T> for BceProduct {
    fn inputs(&self) -> Vec<NodeId> {
        vec![self.a, self.b]
    }
    fn run(&self, pass: &mut Pass<'_, T>, scale: Option<T>, modes: &[GradMode]) -> LossSum {
        let grads = [pass.grad_mut(self.a), pass.grad_mut(self.b)];
        by_row(pass, [self.a, self.b], self.label, self.weight, scale, modes, grads, point)
    }
}
