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
    /// Offset of the bias in the flat parameter vector; parts of a layer have none.
    pub(crate) bias: Option<usize>,
    pub(crate) relu: bool,
    /// What is added besides, a row picked from each.
    pub(crate) picked: Vec<Picked>,
}

/// Rows whose gradients are summed before the next ones.
const BLOCK: usize = 8;

/// Columns summed at a time: one vector, or a few.
const COLUMNS: usize = 16;

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

/// Changes some rows by the same rows of `y` and adds them to a sum, both in one go over memory.
#[inline(always)]
fn sum_rows<T: Real>(
    sum: &mut [T],
    (dy, y): (&mut MatMut<'_, T>, Mat<'_, T>),
    rows: std::ops::Range<usize>,
    change: impl Fn(T, T) -> T,
) {
    let (vectors, rest) = sum.as_chunks_mut::<COLUMNS>();
    let start = vectors.len() * COLUMNS;
    for (v, sum) in vectors.iter_mut().enumerate() {
        let mut total = *sum;
        for i in rows.clone() {
            let (d, y) = (
                &mut dy.row(i).as_chunks_mut::<COLUMNS>().0[v],
                &y.row(i).as_chunks::<COLUMNS>().0[v],
            );
            // The added 0 keeps the compiler from a masked store, for which some chips take ten times as long.
            let changed: [T; COLUMNS] = std::array::from_fn(|c| change(d[c], y[c]) + T::ZERO);
            *d = changed;
            (0..COLUMNS).for_each(|c| total[c] += changed[c]);
        }
        *sum = total;
    }
    for i in rows {
        let values = dy.row(i)[start..].iter_mut().zip(&y.row(i)[start..]);
        for (sum, (d, y)) in rest.iter_mut().zip(values) {
            *d = change(*d, *y);
            *sum += *d;
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
    fn forward(&self, pass: &mut Pass<'_, T>) {
        let (x, mut y) = (pass.value(self.x), pass.value_mut(self.out));
        let bias = self.bias.map(|at| &pass.params[at..at + y.cols]);
        let mut start = bias.map_or(Start::Zero, Start::Bias);
        for (index, picked) in self.picked.iter().enumerate() {
            let (products, picks) = picked.rows(pass);
            vectorised(
                #[inline(always)]
                || {
                    for (i, &pick) in picks.iter().enumerate() {
                        let (y, p) = (y.row(i), products.row(pick as usize));
                        match bias {
                            Some(bias) if index == 0 => kernels::sum_of(y, bias, p),
                            None if index == 0 => y.copy_from_slice(p),
                            _ => kernels::add(y, p),
                        }
                    }
                },
            );
            start = Start::Add;
        }
        product::forward(x, pass.transposed(self.weight), start, self.relu, &mut y);
    }
    fn backward(&self, pass: &mut Pass<'_, T>, modes: &[GradMode]) {
        let (x, y, mut dy) = (pass.value(self.x), pass.value(self.out), pass.grad_mut(self.out));
        for picked in self.cleared(modes) {
            let mut grads = picked.grads(pass);
            (0..grads.rows).for_each(|i| grads.row(i).fill(T::ZERO));
        }
        let learns = pass.learns;
        // By blocks, so that a row is still in the nearest cache when the next sum wants it.
        for start in (0..dy.rows).step_by(BLOCK) {
            let rows = start..dy.rows.min(start + BLOCK);
            vectorised(
                #[inline(always)]
                || {
                    if let Some(at) = self.bias {
                        let bias = &mut pass.param_grads[at..at + y.cols];
                        if self.relu {
                            // NaN must pass: `y > 0` is false for it, `y <= 0` too.
                            let cut = |d, y| if y <= T::ZERO { T::ZERO } else { d };
                            sum_rows(bias, (&mut dy, y), rows.clone(), cut);
                        } else {
                            rows.clone().for_each(|i| kernels::add(bias, dy.row(i)));
                        }
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
            product::input_grad(
                dy.as_mat(),
                pass.weight(self.weight),
                &mut pass.grad_mut(self.x),
                add,
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::sum_rows;
    use crate::Rng;
    use crate::kernels::vectorised;
    use crate::matrix::{Mat, MatMut};

    /// One pass over memory against one row and one column after the other, for widths that do and do not fill vectors.
    #[test]
    fn rows_are_changed_and_summed_as_written() {
        let mut rng = Rng::new(5, 0);
        for (rows, cols) in [(1, 1), (8, 5), (3, 16), (8, 40), (5, 64)] {
            let mut random = |len: usize| (0..len).map(|_| rng.normal() as f32).collect::<Vec<_>>();
            let (dy, mut y, start) = (random(rows * cols), random(rows * cols), random(cols));
            y[0] = f32::NAN;
            let (mut fast, mut sum) = (dy.clone(), start.clone());
            let mut view = MatMut::strided(&mut fast, (rows, cols, cols));
            let cut = |d, y| if y <= 0.0 { 0.0 } else { d };
            vectorised(|| sum_rows(&mut sum, (&mut view, Mat::packed(&y, cols)), 0..rows, cut));
            let plain: Vec<f32> = dy.iter().zip(&y).map(|(d, y)| cut(*d, *y)).collect();
            assert_eq!(fast, plain);
            for (c, sum) in sum.iter().enumerate() {
                let all: f64 = (0..rows).map(|i| f64::from(plain[i * cols + c])).sum();
                assert!((f64::from(*sum) - f64::from(start[c]) - all).abs() < 1e-5, "{sum}");
            }
        }
    }
}
