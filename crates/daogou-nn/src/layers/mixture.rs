//! A weighted sum of nodes, with weights per row: a gate over experts.

use super::{Op, Pass, give};
use crate::graph::{GradMode, NodeId};
use crate::kernels::{self, vectorised};
use crate::real::Real;

/// `y = Σ_j g_j · e_j` per row, with one column of `gate` per expert.
pub(crate) struct Mixture {
    pub(crate) gate: NodeId,
    pub(crate) experts: Vec<NodeId>,
    pub(crate) out: NodeId,
}

impl<T: Real> Op<T> for Mixture {
    /// The gate, then the experts.
    fn inputs(&self) -> Vec<NodeId> {
        std::iter::once(self.gate).chain(self.experts.iter().copied()).collect()
    }
    fn output(&self) -> NodeId {
        self.out
    }
    fn forward(&self, pass: &mut Pass<'_, T>) {
        let (gate, mut y) = (pass.value(self.gate), pass.value_mut(self.out));
        for (j, expert) in self.experts.iter().enumerate() {
            let e = pass.value(*expert);
            vectorised(
                #[inline(always)]
                || {
                    for i in 0..e.rows {
                        let (g, e, y) = (gate.row(i)[j], e.row(i), y.row(i));
                        if j == 0 {
                            give(GradMode::Assign, y, [e], |[e]| g * e);
                        } else {
                            kernels::axpy(y, g, e);
                        }
                    }
                },
            );
        }
    }
    /// dg_j = e_j · dy, de_j = g_j dy.
    fn backward(&self, pass: &mut Pass<'_, T>, modes: &[GradMode]) {
        let (gate, dy) = (pass.value(self.gate), pass.grad(self.out));
        let mut dgate = pass.grad_mut(self.gate);
        for (j, (expert, mode)) in self.experts.iter().zip(&modes[1..]).enumerate() {
            let (e, mut de) = (pass.value(*expert), pass.grad_mut(*expert));
            vectorised(
                #[inline(always)]
                || {
                    for i in 0..dy.rows {
                        let (g, e, dy) = (gate.row(i)[j], e.row(i), dy.row(i));
                        if modes[0] != GradMode::Skip {
                            let like = kernels::dot(e, dy);
                            give(modes[0], &mut dgate.row(i)[j..=j], [], |[]| like);
                        }
                        if *mode != GradMode::Skip {
                            give(*mode, de.row(i), [dy], |[dy]| g * dy);
                        }
                    }
                },
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::{Engine, EngineConfig, Graph, Micro, Rng, Workspace};

    /// The fast op against the sum as it is written, for widths that do and do not fill vectors.
    #[test]
    fn a_mixture_is_the_sum_as_written() {
        for (experts, cols) in [(1, 16), (3, 5), (4, 64), (7, 33)] {
            let mut g: Graph = Graph::new();
            let rows = g.domain("row");
            let inputs: Vec<_> =
                (0..=experts).map(|j| g.input(rows, if j == 0 { experts } else { cols })).collect();
            let nodes: Vec<_> = inputs.iter().map(|input| g.dense(*input)).collect();
            let out = g.mixture(nodes[0], &nodes[1..]);
            let engine = Engine::new(g.finish(), &EngineConfig::default());
            let mut micro = Micro::new(engine.model());
            let mut rng = Rng::new(3, 1);
            micro.rows[0] = 9;
            for (j, values) in micro.inputs.iter_mut().enumerate() {
                let cols = if j == 0 { experts } else { cols };
                values.extend((0..9 * cols).map(|_| rng.normal() as f32));
            }
            let mut workspace = Workspace::new(engine.model());
            engine.model().forward(engine.parameters(), &micro, &mut workspace);
            for row in 0..9 {
                let got = workspace.row(engine.model(), out, row);
                for (c, got) in got.iter().enumerate() {
                    let term = |j: usize| {
                        f64::from(micro.inputs[0][row * experts + j])
                            * f64::from(micro.inputs[1 + j][row * cols + c])
                    };
                    let plain: f64 = (0..experts).map(term).sum();
                    assert!((f64::from(*got) - plain).abs() < 1e-5, "{got} and {plain}");
                }
            }
        }
    }
}
