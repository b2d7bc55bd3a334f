//! Rows that many samples share are multiplied once.
//!
//! A linear layer reads parts side by side, `y = W·[a; e; r] + b`: `a` the sample's own values, `e = E[id]` a row of a
//! small table, `r = R[parent]` a row of the parent domain. Since
//!
//! ```text
//! W·[a; e; r] + b = W_a·a + (E·W_eᵀ + b)[id] + (R·W_rᵀ)[parent]
//! ```
//!
//! the products with `E` are taken once per step and those with `R` once per parent; a sample picks a row of each and
//! pays one addition per unit. The bias goes with the first of them. Gradients go back the same way: `∂P[id] += ∂y` for
//! `P = E·W_eᵀ + b`, and once per step `∂W_e += ∂Pᵀ·E`, `∂b += Σ_id ∂P[id]` and `∂E = ∂P·W_e`. Exact but for the order of
//! additions, which is fixed.
//!
//! Which layers do so is decided in [`crate::Graph::linear`]; [`derive`] goes from parameters to what passes read,
//! [`spread`] takes gradients back to where they belong.

use std::ops::Range;

use crate::embedding::Table;
use crate::engine::SendMut;
use crate::graph::TableId;
use crate::kernels::product::{self, Start};
use crate::kernels::{self, vectorised};
use crate::matrix::{Mat, MatMut, row_distance};
use crate::real::Real;
use crate::team::Team;

/// The columns of a layer's weights that one product reads.
#[derive(Clone, Debug)]
pub(crate) struct Weight {
    /// Of the whole matrix, `[units, cols]`, in the flat parameter vector.
    pub(crate) offset: usize,
    pub(crate) units: usize,
    pub(crate) cols: usize,
    /// The columns read, in this order.
    pub(crate) columns: Vec<Range<usize>>,
    /// Of their transpose, `[width, units]`, in the derived values: what forward products read.
    pub(crate) transposed: usize,
    /// Where several ranges of columns stand side by side, `[units, width]`: in the derived values, and in the gradient
    /// vector. A single range is read and written in place.
    pub(crate) gathered: Option<(usize, usize)>,
}

impl Weight {
    /// Number of columns read.
    pub(crate) fn width(&self) -> usize {
        self.columns.iter().map(Range::len).sum()
    }

    /// `[units, width]`.
    pub(crate) fn matrix<'a, T>(&self, dense: &'a [T], derived: &'a [T]) -> Mat<'a, T> {
        match self.gathered {
            Some((at, _)) => Mat::strided(&derived[at..], self.gathered_shape()),
            None => Mat::strided(&dense[self.offset + self.columns[0].start..], self.shape()),
        }
    }

    /// `[width, units]`.
    pub(crate) fn transpose<'a, T>(&self, derived: &'a [T]) -> Mat<'a, T> {
        let shape = (self.width(), self.units, row_distance(self.units));
        Mat::strided(&derived[self.transposed..], shape)
    }

    /// `[units, width]` of the gradient vector.
    pub(crate) fn gradient<'a, T>(&self, grads: &'a mut [T]) -> MatMut<'a, T> {
        match self.gathered {
            Some((_, at)) => MatMut::strided(&mut grads[at..], self.gathered_shape()),
            None => {
                MatMut::strided(&mut grads[self.offset + self.columns[0].start..], self.shape())
            }
        }
    }

    /// Rows, columns and stride of a single range of columns.
    fn shape(&self) -> (usize, usize, usize) {
        (self.units, self.width(), self.cols)
    }

    /// The same of several ranges, gathered.
    fn gathered_shape(&self) -> (usize, usize, usize) {
        (self.units, self.width(), row_distance(self.width()))
    }
}

/// A small table as one layer reads it: `P = E·W_eᵀ + b`, `[table rows, units]`.
#[derive(Clone, Debug)]
pub(crate) struct Projection {
    pub(crate) table: TableId,
    pub(crate) site: usize,
    /// Its columns of the layer's weights; a single range.
    pub(crate) weight: usize,
    /// Offset of `b` in the flat parameter vector, where it is added here.
    pub(crate) bias: Option<usize>,
    pub(crate) rows: usize,
    /// Of `P` in the derived values.
    pub(crate) values: usize,
    /// Of `∂P` in the gradient vector.
    pub(crate) grad: usize,
    /// Of `∂E` in the gradients of projected tables, all layers together.
    pub(crate) of_table: usize,
}

impl Projection {
    /// Number of values of `P`.
    pub(crate) fn len(&self, weights: &[Weight]) -> usize {
        self.rows * weights[self.weight].units
    }
}

/// The share of `0..n` that one member of a team works on.
fn share(n: usize, member: usize, members: usize) -> Range<usize> {
    member * n / members..(member + 1) * n / members
}

/// Brings `derived` up to date with parameters and tables. Costs one product per small table.
pub(crate) fn derive<T: Real>(
    (weights, projections): (&[Weight], &[Projection]),
    dense: &[T],
    tables: &[Table<T>],
    derived: &mut [T],
    team: &mut Team,
) {
    let (to, members) = (SendMut(derived.as_mut_ptr()), team.size());
    team.run(&|member| {
        for weight in weights {
            let (units, width) = (weight.units, row_distance(weight.width()));
            let column_len = row_distance(units);
            let own = share(units, member, members);
            let mut start = 0;
            for columns in &weight.columns {
                for unit in own.clone() {
                    let row = &dense[weight.offset + unit * weight.cols..][columns.clone()];
                    for (column, &w) in (start..).zip(row) {
                        // SAFETY: both places are inside the ranges planned for this weight, at units of this member's.
                        unsafe {
                            *to.at(weight.transposed + column * column_len + unit) = w;
                            if let Some((at, _)) = weight.gathered {
                                *to.at(at + unit * width + column) = w;
                            }
                        }
                    }
                }
                start += columns.len();
            }
        }
    });
    team.run(&|member| {
        for projection in projections {
            let (weight, table) = (&weights[projection.weight], &tables[projection.table.0]);
            let rows = share(projection.rows, member, members);
            if rows.is_empty() {
                continue;
            }
            let values = &table.values()[rows.start * table.dim()..rows.end * table.dim()];
            // SAFETY: the transpose was written before this round and is only read in it; the rows of this projection
            // are this member's alone. Both lie inside `derived`, at places of their own.
            let (transpose, mut out) = unsafe {
                let start = projection.values + rows.start * weight.units;
                let (width, units) = (weight.width(), weight.units);
                (
                    Mat::new(to.at(weight.transposed), width, units, row_distance(units)),
                    MatMut::new(to.at(start), rows.len(), weight.units, weight.units),
                )
            };
            let bias = projection.bias.map(|at| &dense[at..at + weight.units]);
            let start = bias.map_or(Start::Zero, Start::Bias);
            product::forward(Mat::packed(values, table.dim()), transpose, start, false, &mut out);
        }
    });
}

/// Takes what the layers left beside the parameters to the gradients of parameters and of small tables. `grads` holds the
/// sums over all shards; `of_tables` receives `[rows, dim]` of each projected table, at the place that its projections name.
pub(crate) fn spread<T: Real>(
    (weights, projections): (&[Weight], &[Projection]),
    dense: &[T],
    tables: &[Table<T>],
    grads: &mut [T],
    of_tables: &mut [T],
    team: &mut Team,
) {
    let (to, members) = (SendMut(grads.as_mut_ptr()), team.size());
    let of_tables = SendMut(of_tables.as_mut_ptr());
    team.run(&|member| {
        for weight in weights {
            let Some((_, from)) = weight.gathered else { continue };
            let width = row_distance(weight.width());
            let mut start = 0;
            for columns in &weight.columns {
                for unit in share(weight.units, member, members) {
                    let (from, to_row) =
                        (from + unit * width + start, weight.offset + unit * weight.cols);
                    for (at, column) in columns.clone().enumerate() {
                        // SAFETY: inside the gradient vector; rows of units are this member's alone, and no column of a
                        // parameter belongs to two weights.
                        unsafe { *to.at(to_row + column) += *to.at(from + at) };
                    }
                }
                start += columns.len();
            }
        }
        for (index, projection) in projections.iter().enumerate() {
            let (weight, table) = (&weights[projection.weight], &tables[projection.table.0]);
            let (units, dim) = (weight.units, table.dim());
            let own = share(units, member, members);
            if !own.is_empty() {
                // SAFETY: `∂P` is only read in this round; the rows of the weights' gradient are this member's.
                let (dp, mut dw) = unsafe {
                    let start = weight.offset + own.start * weight.cols + weight.columns[0].start;
                    (
                        Mat::new(
                            to.at(projection.grad + own.start),
                            projection.rows,
                            own.len(),
                            units,
                        ),
                        MatMut::new(to.at(start), own.len(), dim, weight.cols),
                    )
                };
                product::weight_grad(dp, Mat::packed(table.values(), dim), &mut dw);
                if let Some(bias) = projection.bias {
                    // SAFETY: units of the bias' gradient are this member's.
                    let db = unsafe {
                        std::slice::from_raw_parts_mut(to.at(bias + own.start), own.len())
                    };
                    vectorised(
                        #[inline(always)]
                        || kernels::add_rows(db, dp),
                    );
                }
            }
            let own = share(projection.rows, member, members);
            if !own.is_empty() {
                // SAFETY: as above; rows of the table's gradient are this member's.
                let (dp, mut de) = unsafe {
                    (
                        Mat::new(
                            to.at(projection.grad + own.start * units),
                            own.len(),
                            units,
                            units,
                        ),
                        MatMut::new(
                            of_tables.at(projection.of_table + own.start * dim),
                            own.len(),
                            dim,
                            dim,
                        ),
                    )
                };
                let again = projections[..index].iter().any(|p| p.table == projection.table);
                product::input_grad(dp, weight.matrix(dense, &[]), &mut de, again, None);
            }
        }
    });
}
