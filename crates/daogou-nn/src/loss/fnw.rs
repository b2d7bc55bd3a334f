//! Fake negatives, weighed (Ktena et al. 2019): every row is a negative at once, and a positive as well when its label comes.
//!
//! What is seen of a row is then a positive with probability `p / (1 + p)`. Weights that take this back, with `p = σ(z)` held
//! fixed in them: `1 + p` for the positive, `(1 − p)·(1 + p)` for the negative. Of a row with label `y`, both parts together:
//! `ℓ = y·(1 + p)·softplus(−z) + (1 − p²)·softplus(z)`, `∂ℓ/∂z = (1 − p²)·(p − y)`, 0 in the mean where `p` is the rate of `y`.

use super::{Loss, LossSum, by_row};
use crate::graph::{GradMode, InputId, NodeId};
use crate::layers::Pass;
use crate::real::Real;

pub(crate) struct Fnw {
    pub(crate) logit: NodeId,
    pub(crate) label: InputId,
    pub(crate) weight: Option<InputId>,
}

impl<T: Real> Loss<T> for Fnw {
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
                let (p, q) = if z < T::ZERO { (u * small, small) } else { (small, u * small) };
                let log = u.ln_1p_unit();
                let (miss_of_yes, miss_of_no) = ((-z).max(T::ZERO) + log, z.max(T::ZERO) + log);
                let (yes, no) = (T::ONE + p, q * (T::ONE + p));
                (y * yes * miss_of_yes + no * miss_of_no, [no * (p - y)])
            },
        )
    }
}

#[cfg(test)]
mod tests {
    use crate::{Activation, Batch, Engine, EngineConfig, Graph};

    /// Loss and gradient of the bias over rows of given logits, which enter by an input of weight 1.
    fn run(rows: &[(f64, f64, f64)]) -> (f64, f64) {
        let mut g = Graph::<f64>::new();
        let domain = g.domain("row");
        let inputs = [0, 1, 2].map(|_| g.input(domain, 1));
        let z = g.dense(inputs[0]);
        let logit = g.linear("head", z, 1, Activation::None);
        g.fnw("purchase", logit, inputs[1], Some(inputs[2]));
        let mut engine = Engine::new(g.finish(), &EngineConfig::default());
        let at = |engine: &Engine<f64>, name: &str| {
            engine.model().params().iter().find(|p| p.name == name).unwrap().range().start
        };
        let (weight, bias) = (at(&engine, "head.weight"), at(&engine, "head.bias"));
        engine.parameters_mut().edit(|dense, _| dense[weight] = 1.0);
        let mut batch = Batch::new(engine.model(), 1);
        let micro = &mut batch.micros_mut()[0];
        micro.rows[0] = rows.len();
        for row in rows {
            micro.inputs[0].push(row.0);
            micro.inputs[1].push(row.1);
            micro.inputs[2].push(row.2);
        }
        let grad = engine.gradients(&mut batch)[bias];
        (engine.losses()[0].mean(), grad)
    }

    /// The loss as it is written, with the weights of logit `of`.
    fn naive(z: f64, of: f64, y: f64) -> f64 {
        let sigmoid = |z: f64| 1.0 / (1.0 + (-z).exp());
        let (p, fixed) = (sigmoid(z), sigmoid(of));
        -y * (1.0 + fixed) * p.ln() - (1.0 - fixed) * (1.0 + fixed) * (1.0 - p).ln()
    }

    #[test]
    fn loss_and_gradient_are_those_of_both_rows_with_fixed_weights() {
        let rows = [(-2.0, 1.0, 1.0), (0.3, 0.0, 2.0), (1.7, 1.0, 1.0), (-0.4, 0.0, 0.0)];
        let (loss, grad) = run(&rows);
        let total: f64 = rows.iter().map(|row| row.2).sum();
        let mean = |f: &dyn Fn(f64, f64) -> f64| {
            rows.iter().map(|(z, y, w)| w * f(*z, *y)).sum::<f64>() / total
        };
        assert!((loss - mean(&|z, y| naive(z, z, y))).abs() < 1e-12);
        let h = 1e-5;
        let central = mean(&|z, y| (naive(z + h, z, y) - naive(z - h, z, y)) / (2.0 * h));
        assert!((grad - central).abs() < 1e-9, "{grad} and {central}");
    }

    #[test]
    fn the_rate_of_purchases_is_where_it_is_least() {
        let z = (0.25f64 / 0.75).ln();
        let rows = [(z, 1.0, 1.0), (z, 0.0, 1.0), (z, 0.0, 1.0), (z, 0.0, 1.0)];
        assert!(run(&rows).1.abs() < 1e-12);
    }

    #[test]
    fn far_logits_stay_finite() {
        for (z, y) in [(60.0, 0.0), (60.0, 1.0), (-60.0, 0.0), (-60.0, 1.0)] {
            let (loss, grad) = run(&[(z, y, 1.0)]);
            assert!(loss.is_finite() && grad.is_finite() && loss >= 0.0, "{loss} {grad}");
        }
    }
}
