//! `y = W·x + b`, with ReLU fused, and with parts that many rows share multiplied once ([`crate::projection`]).

use super::{Op, Pass};
use crate::graph::{GradMode, MapId, Node, NodeId};
use crate::kernels::product::{self, Start};
use crate::kernels::{self, vectorised};
use crate::matrix::{Mat, MatMut};
use crate::real::Real;

/// A linear layer. `W` is `[units, inputs]`, as PyTorch keeps it.
pub(crate) struct Linear {
    /// Each row's own values.
    pub(crate) x: NodeId,
    pub(crate) out: NodeId,
    /// Number of the weights that `x` meets.
    pub(crate) weight: usize,
    /// Offset of the bias in the flat parameter vector; none where the first that is picked has it.
    pub(crate) bias: Option<usize>,
    pub(crate) relu: bool,
    /// What is added besides, a row picked from each.
    pub(crate) picked: Vec<Picked>,
}

/// Rows whose gradients are summed before the next ones.
const BLOCK: usize = 8;

impl Linear {
    /// Products of parent rows whose gradient this layer is the first to write.
    fn cleared<'a>(&'a self, modes: &'a [GradMode]) -> impl Iterator<Item = &'a Picked> {
        let parents = self.picked.iter().filter(|picked| matches!(picked, Picked::Parent { .. }));
        parents
            .zip(&modes[1..])
            .filter(|(_, mode)| **mode == GradMode::Assign)
            .map(|(picked, _)| picked)
    }
}

/// Products of which each row picks one row.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Picked {
    /// Of a small table, by the ids of a lookup.
    Table { projection: usize },
    /// Of the parent domain.
    Parent { product: NodeId, map: MapId },
}

impl Picked {
    /// The products, and which of them each row picks.
    pub(crate) fn rows<'a, T: Real>(self, pass: &Pass<'a, T>) -> (Mat<'a, T>, &'a [u32]) {
        match self {
            Self::Table { projection } => pass.projection(projection),
            Self::Parent { product, map } => (pass.value(product), pass.map(map)),
        }
    }

    /// Where their gradients are summed.
    fn grads<'a, T: Real>(self, pass: &'a mut Pass<'_, T>) -> MatMut<'a, T> {
        match self {
            Self::Table { projection } => pass.projection_grad(projection),
            Self::Parent { product, .. } => pass.grad_mut(product),
        }
    }
}

impl<T: Real> Op<T> for Linear {
    fn inputs(&self) -> Vec<NodeId> {
        let parents = self.picked.iter().filter_map(|picked| match picked {
            Picked::Parent { product, .. } => Some(*product),
            Picked::Table { .. } => None,
        });
        std::iter::once(self.x).chain(parents).collect()
    }
    fn output(&self) -> NodeId {
        self.out
    }
    fn has_parameters(&self) -> bool {
        true
    }
    fn as_linear(&self) -> Option<&Linear> {
        Some(self)
    }
    fn products(&self, nodes: &[Node]) -> usize {
        let (x, out) = (&nodes[self.x.0], &nodes[self.out.0]);
        out.repeat * x.cols * out.cols
    }
    fn can_cut(&self, input: NodeId) -> bool {
        input == self.x
    }
    fn forward(&self, pass: &mut Pass<'_, T>) {
        let (x, mut y) = (pass.value(self.x), pass.value_mut(self.out));
        let bias = self.bias.map(|at| &pass.params[at..at + y.cols]);
        let start = match &self.picked[..] {
            [] => bias.map_or(Start::Zero, Start::Bias),
            [only] => {
                let (products, picks) = only.rows(pass);
                Start::Picked(products, picks)
            }
            [first, others @ ..] => {
                let (first, picks) = first.rows(pass);
                for (index, other) in others.iter().enumerate() {
                    let (other, of_other) = other.rows(pass);
                    vectorised(
                        #[inline(always)]
                        || {
                            for (i, (&pick, &of_other)) in picks.iter().zip(of_other).enumerate() {
                                let (y, other) = (y.row(i), other.row(of_other as usize));
                                if index == 0 {
                                    kernels::sum_of(y, first.row(pick as usize), other);
                                } else {
                                    kernels::add(y, other);
                                }
                            }
                        },
                    );
                }
                Start::Add
            }
        };
        product::forward(x, pass.transposed(self.weight), start, self.relu, &mut y);
    }
    fn backward(&self, pass: &mut Pass<'_, T>, modes: &[GradMode]) {
        let (x, y, mut dy) = (pass.value(self.x), pass.value(self.out), pass.grad_mut(self.out));
        for picked in self.cleared(modes) {
            let mut grads = picked.grads(pass);
            (0..grads.rows).for_each(|i| grads.row(i).fill(T::ZERO));
        }
        let (learns, cut) = (pass.learns, self.relu && !pass.arrives_cut());
        // By blocks, so that a row is still in the nearest cache when the next sum wants it.
        for start in (0..dy.rows).step_by(BLOCK) {
            let rows = start..dy.rows.min(start + BLOCK);
            vectorised(
                #[inline(always)]
                || {
                    if cut {
                        rows.clone().for_each(|i| kernels::cut(dy.row(i), y.row(i)));
                    }
                    if let Some(at) = self.bias
                        && learns
                    {
                        let bias = &mut pass.param_grads[at..at + y.cols];
                        kernels::add_rows(bias, dy.as_mat().rows(rows.clone()));
                    }
                    let mut of_parents = modes[1..].iter();
                    for picked in &self.picked {
                        let wanted = match picked {
                            Picked::Table { .. } => learns,
                            Picked::Parent { .. } => of_parents.next() != Some(&GradMode::Skip),
                        };
                        if !wanted {
                            continue;
                        }
                        let (_, picks) = picked.rows(pass);
                        let mut grads = picked.grads(pass);
                        for i in rows.clone() {
                            kernels::add(grads.row(picks[i] as usize), dy.row(i));
                        }
                    }
                },
            );
        }
        if learns {
            product::weight_grad(dy.as_mat(), x, &mut pass.weight_grad(self.weight));
        }
        if modes[0] != GradMode::Skip {
            let add = modes[0] == GradMode::Add;
            let cols = pass.wanted();
            let (weight, dx) = (pass.weight(self.weight), pass.grad_mut(self.x));
            product::input_grad(
                dy.as_mat(),
                weight.columns(cols),
                &mut dx.columns(cols),
                add,
                pass.cuts(self.x).then_some(x.columns(cols)),
            );
        }
    }
}
