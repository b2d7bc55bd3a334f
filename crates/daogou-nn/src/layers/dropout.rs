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
    /// What the values of a row are multiplied by, one after the other: 0 or 1 / (1 − rate). The same in forward and backward.
    fn factors<T: Real>(&self, key: u64, row: usize) -> impl FnMut() -> T {
        let (first, rate) = (self.stream << 48 | (row as u64) << 16, self.rate);
        let mut col = 0;
        move || {
            let bits = mix(key ^ mix(first | col));
            col += 1;
            let uniform = (bits >> 11) as f64 * (1.0 / 9_007_199_254_740_992.0);
            if uniform < rate { T::ZERO } else { T::of(1.0 / (1.0 - rate)) }
        }
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
                Some(key) => {
                    let mut factors = self.factors::<T>(key, i);
                    give(GradMode::Assign, y, [x], |[x]| x * factors());
                }
                None => y.copy_from_slice(x),
            }
        }
    }
    fn backward(&self, pass: &mut Pass<'_, T>, modes: &[GradMode]) {
        let (dy, mut dx) = (pass.grad(self.out), pass.grad_mut(self.x));
        for i in 0..dy.rows {
            let (dy, dx) = (dy.row(i), dx.row(i));
            match pass.randomness {
                Some(key) => {
                    let mut factors = self.factors::<T>(key, i);
                    give(modes[0], dx, [dy], |[dy]| dy * factors());
                }
                None => give(modes[0], dx, [dy], |[dy]| dy),
            }
        }
    }
}
