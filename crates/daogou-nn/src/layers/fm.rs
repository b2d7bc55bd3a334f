//! The pairwise interactions of a factorisation machine (Rendle 2010), one value per dimension.
//!
//! `y_d = Σ_{f<g} v_fd · v_gd` over the parts `v_f`, all `[rows, D]`: what FM sums over `d` to one number (also called
//! bi-interaction pooling, He & Chua 2017). The sum of the parts so far meets the next part, which costs O(F·D) per row as
//! `½·((Σ v)² − Σ v²)` does, and loses no digits in a difference. `∂y_d/∂v_fd = Σ_g v_gd − v_fd`.

use super::{Op, Pass, give};
use crate::graph::{DomainId, GradMode, Node, NodeId};
use crate::kernels::vectorised;
use crate::real::Real;

pub(crate) struct Fm {
    pub(crate) parts: Vec<NodeId>,
    pub(crate) out: NodeId,
}

impl<T: Real> Op<T> for Fm {
    fn inputs(&self) -> Vec<NodeId> {
        self.parts.clone()
    }
    fn output(&self) -> NodeId {
        self.out
    }
    /// The sum of the parts.
    fn scratch(&self, nodes: &[Node]) -> Option<(DomainId, usize)> {
        let node = &nodes[self.out.0];
        Some((node.domain, node.repeat * node.cols))
    }
    fn forward(&self, pass: &mut Pass<'_, T>) {
        let mut y = pass.value_mut(self.out);
        let (rows, cols) = (y.rows, y.cols);
        let sums = pass.scratch(rows, cols);
        sums.fill(T::ZERO);
        (0..rows).for_each(|i| y.row(i).fill(T::ZERO));
        for part in &self.parts {
            let x = pass.value(*part);
            vectorised(
                #[inline(always)]
                || {
                    for (i, sum) in sums.chunks_exact_mut(cols).enumerate() {
                        for ((y, sum), &x) in y.row(i).iter_mut().zip(sum).zip(x.row(i)) {
                            *y += *sum * x;
                            *sum += x;
                        }
                    }
                },
            );
        }
    }
    fn backward(&self, pass: &mut Pass<'_, T>, modes: &[GradMode]) {
        let dy = pass.grad(self.out);
        let cols = dy.cols;
        let sums = pass.scratch(dy.rows, cols);
        // One part after the other: a part may stand there twice.
        for (part, mode) in self.parts.iter().zip(modes) {
            if *mode == GradMode::Skip {
                continue;
            }
            let (x, mut dx) = (pass.value(*part), pass.grad_mut(*part));
            vectorised(
                #[inline(always)]
                || {
                    for (i, sum) in sums.chunks_exact(cols).enumerate() {
                        let (dy, x) = (dy.row(i), x.row(i));
                        give(*mode, dx.row(i), [dy, sum, x], |[dy, sum, x]| dy * (sum - x));
                    }
                },
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::{Graph, Micro, Parameters, Rng, Workspace};

    #[test]
    fn every_pair_of_fields_is_multiplied_once() {
        for (fields, dim) in [(1, 4), (2, 16), (5, 3), (9, 17)] {
            let mut g: Graph = Graph::new();
            let rows = g.domain("row");
            let inputs: Vec<_> = (0..fields).map(|_| g.input(rows, dim)).collect();
            let parts: Vec<_> = inputs.iter().map(|input| g.dense(*input)).collect();
            let out = g.fm(&parts);
            let model = g.finish();
            let parameters = Parameters::new(&model, 1);
            let (mut micro, mut workspace) = (Micro::new(&model), Workspace::new(&model));
            let mut rng = Rng::new(2, 0);
            micro.rows[0] = 7;
            for values in &mut micro.inputs {
                values.extend((0..7 * dim).map(|_| rng.normal() as f32));
            }
            model.forward(&parameters, &micro, &mut workspace);
            for row in 0..7 {
                for (d, got) in workspace.row(&model, out, row).iter().enumerate() {
                    let value = |f: usize| f64::from(micro.inputs[f][row * dim + d]);
                    let pairs = (0..fields).flat_map(|f| (0..f).map(move |g| (f, g)));
                    let naive: f64 = pairs.map(|(f, g)| value(f) * value(g)).sum();
                    assert!((f64::from(*got) - naive).abs() < 1e-5, "{got} and {naive}");
                }
            }
        }
    }
}
