//! Dropout (Srivastava et al. 2014), with masks that are a function of seed, step, micro-batch, op and position.

use super::{Op, Pass, give};
use crate::graph::{GradMode, NodeId};
use crate::real::Real;
use crate::rng::mix;

pub(crate) struct Dropout {
    pub(crate) x: NodeId,
    pub(crate) out: NodeId,
    pub(crate) rate: f64,
    pub(crate) stream: u64,
}

impl Dropout {
    /// What a value is multiplied by: 0 or 1 / (1 − rate). The same in forward and backward.
    fn factor<T: Real>(&self, key: u64, row: usize, col: usize) -> T {
        let bits = mix(key ^ mix(self.stream << 48 | (row as u64) << 16 | col as u64));
        let uniform = (bits >> 11) as f64 * (1.0 / 9_007_199_254_740_992.0);
        if uniform < self.rate { T::ZERO } else { T::of(1.0 / (1.0 - self.rate)) }
    }
}

impl<T: Real> Op<T> for Dropout {
    fn inputs(&self) -> Vec<NodeId> {
        vec![self.x]
    }
    fn output(&self) -> NodeId {
        self.out
    }
    fn forward(&self, pass: &mut Pass<'_, T>) {
        let (x, mut y) = (pass.value(self.x), pass.value_mut(self.out));
        for i in 0..x.rows {
            let (x, y) = (x.row(i), y.row(i));
            match pass.randomness {
                Some(key) => give(GradMode::Assign, y, |c| x[c] * self.factor(key, i, c)),
                None => y.copy_from_slice(x),
            }
        }
    }
    fn backward(&self, pass: &mut Pass<'_, T>, modes: &[GradMode]) {
        let (dy, mut dx) = (pass.grad(self.out), pass.grad_mut(self.x));
        for i in 0..dy.rows {
            let (dy, dx) = (dy.row(i), dx.row(i));
            match pass.randomness {
                Some(key) => give(modes[0], dx, |c| dy[c] * self.factor(key, i, c)),
                None => give(modes[0], dx, |c| dy[c]),
            }
        }
    }
}
