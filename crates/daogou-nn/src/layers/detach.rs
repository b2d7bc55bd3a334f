//! A value that is read as it is and learns nothing from its reader: `y = x`, `∂y/∂x = 0` (stop-gradient).

use super::{Op, Pass};
use crate::graph::{GradMode, NodeId};
use crate::real::Real;

/// Copies its input and hands no gradient on.
pub(crate) struct Detach {
    pub(crate) x: NodeId,
    pub(crate) out: NodeId,
}

impl<T: Real> Op<T> for Detach {
    fn inputs(&self) -> Vec<NodeId> {
        vec![self.x]
    }
    fn output(&self) -> NodeId {
        self.out
    }
    fn hands_on(&self) -> bool {
        false
    }
    fn forward(&self, pass: &mut Pass<'_, T>) {
        let (x, mut y) = (pass.value(self.x), pass.value_mut(self.out));
        (0..y.rows).for_each(|i| y.row(i).copy_from_slice(x.row(i)));
    }
    fn backward(&self, _pass: &mut Pass<'_, T>, _modes: &[GradMode]) {}
}

#[cfg(test)]
mod tests {
    use crate::graph::NodeId;
    use crate::{Activation, Batch, Engine, EngineConfig, Graph, Init};

    /// Gradients of a table whose rows are squared, by a product of a row with what `of` makes of it.
    fn gradients(of: impl Fn(&mut Graph<f64>, NodeId) -> NodeId) -> Vec<f64> {
        let mut g = Graph::<f64>::new();
        let rows = g.domain("row");
        let table = g.table("item_embed", 5, 3, Init::Normal(0.7));
        let x = g.lookup(table, rows);
        let other = of(&mut g, x);
        let square = g.mul(x, other);
        let logit = g.linear("head", square, 1, Activation::None);
        let label = g.input(rows, 1);
        g.bce("click", logit, label, None);
        let mut engine = Engine::new(g.finish(), &EngineConfig::default());
        let mut batch = Batch::new(engine.model(), 1);
        let micro = &mut batch.micros_mut()[0];
        micro.rows[0] = 4;
        micro.ids[0].extend([3, 0, 4, 3]);
        micro.inputs[0].extend([1.0, 0.0, 0.0, 1.0]);
        engine.gradients(&mut batch);
        batch.micros()[0].row_grads[0].clone()
    }

    #[test]
    fn what_is_detached_is_a_constant() {
        let whole = gradients(|_, x| x);
        let half = gradients(Graph::detach);
        assert!(whole.iter().all(|g| *g != 0.0));
        for (whole, half) in whole.iter().zip(&half) {
            assert!((whole - 2.0 * half).abs() < 1e-12, "{whole} and twice {half}");
        }
    }
}
