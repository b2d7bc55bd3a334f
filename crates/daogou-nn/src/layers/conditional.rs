//! The logit of a conditional probability, from the logits of a joint one and of its condition.
//!
//! `P(b | c) = σ(a) / σ(c)` where `σ(a) = P(b and c)` and `σ(c) = P(c)`. Its logit is, with `d = a − c`,
//! `a + softplus(−c) − ln(1 − e^d)`, which stays finite for any logits. Two heads may contradict each other: where the
//! joint probability comes near that of its condition, or exceeds it, `d` is held at `−1e-4`, and the conditional
//! probability is about 1.

use super::{Op, Pass};
use crate::graph::{GradMode, NodeId};
use crate::kernels::vectorised;
use crate::real::Real;

/// Largest difference of the logits that is told apart from equality.
const MARGIN: f64 = -1e-4;

/// Both inputs have one column.
pub(crate) struct Conditional {
    pub(crate) joint: NodeId,
    pub(crate) condition: NodeId,
    pub(crate) out: NodeId,
}

impl<T: Real> Op<T> for Conditional {
    fn inputs(&self) -> Vec<NodeId> {
        vec![self.joint, self.condition]
    }
    fn output(&self) -> NodeId {
        self.out
    }
    fn forward(&self, pass: &mut Pass<'_, T>) {
        let (a, c) = (pass.value(self.joint), pass.value(self.condition));
        let mut y = pass.value_mut(self.out);
        vectorised(
            #[inline(always)]
            || {
                for i in 0..a.rows {
                    let (a, c) = (a.row(i)[0], c.row(i)[0]);
                    let d = (a - c).min(T::of(MARGIN));
                    y.row(i)[0] = a + (-c).softplus() - (T::ONE - d.exp()).ln();
                }
            },
        );
    }
    /// With `u = e^d / (1 − e^d)`, 0 where `d` is held: `∂/∂a = 1 + u`, `∂/∂c = −σ(−c) − u`.
    fn backward(&self, pass: &mut Pass<'_, T>, modes: &[GradMode]) {
        let (a, c) = (pass.value(self.joint), pass.value(self.condition));
        let dy = pass.grad(self.out);
        let (mut da, mut dc) = (pass.grad_mut(self.joint), pass.grad_mut(self.condition));
        vectorised(
            #[inline(always)]
            || {
                for i in 0..a.rows {
                    let (a, c, dy) = (a.row(i)[0], c.row(i)[0], dy.row(i)[0]);
                    let d = a - c;
                    let held = d > T::of(MARGIN);
                    let e = d.min(T::of(MARGIN)).exp();
                    let u = if held { T::ZERO } else { e / (T::ONE - e) };
                    super::give(modes[0], da.row(i), [], |[]| dy * (T::ONE + u));
                    super::give(modes[1], dc.row(i), [], |[]| -dy * ((-c).sigmoid() + u));
                }
            },
        );
    }
}

#[cfg(test)]
mod tests {
    use crate::{Graph, Micro, Parameters, Workspace};

    #[test]
    fn it_is_the_quotient_of_two_probabilities() {
        let mut g: Graph = Graph::new();
        let rows = g.domain("row");
        let (joint, condition) = (g.input(rows, 1), g.input(rows, 1));
        let (joint, condition) = (g.dense(joint), g.dense(condition));
        let out = g.conditional(joint, condition);
        let model = g.finish();
        let parameters = Parameters::new(&model, 1);
        let mut workspace = Workspace::new(&model);
        let mut micro = Micro::new(&model);
        let pairs =
            [(-6.0, -3.0), (-2.0, 1.0), (-40.0, -3.0), (-3.0, 30.0), (1.0, 1.5), (-30.0, -29.0)];
        let contradictions = [(0.0, 0.0), (2.0, -3.0), (40.0, -40.0)];
        for (a, c) in pairs.iter().chain(&contradictions) {
            micro.rows[0] += 1;
            micro.inputs[0].push(*a as f32);
            micro.inputs[1].push(*c as f32);
        }
        model.forward(&parameters, &micro, &mut workspace);
        let found = |row| f64::from(workspace.row(&model, out, row)[0]);
        let sigmoid = |z: f64| 1.0 / (1.0 + (-z).exp());
        for (row, (a, c)) in pairs.iter().enumerate() {
            let p = sigmoid(*a) / sigmoid(*c);
            let (found, expected) = (found(row), (p / (1.0 - p)).ln());
            assert!(
                (found - expected).abs() < 1e-4 * expected.abs().max(1.0),
                "{found}, {expected}"
            );
        }
        for row in pairs.len()..pairs.len() + contradictions.len() {
            let z = found(row);
            assert!(z.is_finite() && sigmoid(z) > 0.999, "{z}");
        }
    }
}
