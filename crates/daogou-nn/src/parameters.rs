//! The values a model learns.

use crate::batch::Micro;
use crate::embedding::Table;
use crate::engine::SendMut;
use crate::graph::{Model, Weight};
use crate::layers::Pass;
use crate::real::Real;
use crate::team::Team;
use crate::workspace::Workspace;

/// The values a model learns: dense parameters and embedding tables.
#[derive(Clone, Debug)]
pub struct Parameters<T = f32> {
    /// Embedding tables.
    pub tables: Vec<Table<T>>,
    pub(crate) dense: Vec<T>,
    /// The same places as `dense`, each layer's weights transposed: what forward products read.
    transposed: Vec<T>,
    weights: Vec<Weight>,
}

impl<T: Real> Parameters<T> {
    /// Initial values of `model`.
    pub fn new(model: &Model<T>, seed: u64) -> Self {
        let mut new = Self {
            tables: model.tables.iter().map(|spec| Table::new(spec, seed)).collect(),
            dense: vec![T::ZERO; model.n_values],
            transposed: vec![T::ZERO; model.n_values],
            weights: model.weights.clone(),
        };
        new.edit_dense(|dense| {
            for param in &model.params {
                param.init.fill(&mut dense[param.range()], seed, &param.name);
            }
        });
        new
    }

    /// Dense parameters, as [`crate::Param::range`] divides them.
    pub fn dense(&self) -> &[T] {
        &self.dense
    }

    /// Changes dense parameters.
    pub fn edit_dense(&mut self, edit: impl FnOnce(&mut [T])) {
        edit(&mut self.dense);
        self.transpose(&mut Team::new(1));
    }

    pub(crate) fn transposed(&self) -> &[T] {
        &self.transposed
    }

    /// Brings `transposed` up to date with `dense`.
    pub(crate) fn transpose(&mut self, team: &mut Team) {
        let (from, to, weights) =
            (&self.dense, SendMut(self.transposed.as_mut_ptr()), &self.weights);
        let members = team.size();
        team.run(&|member| {
            for &Weight { offset, rows, cols } in weights {
                // Members share a matrix by columns: rows of its transpose.
                let columns = member * cols / members..(member + 1) * cols / members;
                for row in 0..rows {
                    let source = &from[offset + row * cols..][..cols];
                    for col in columns.clone() {
                        // SAFETY: inside this matrix, and these columns are this member's.
                        unsafe { *to.at(offset + col * rows + row) = source[col] };
                    }
                }
            }
        });
    }
}

impl<T: Real> Model<T> {
    /// Computes every node of the graph for one micro-batch, without dropout. Read results with [`Workspace::row`].
    ///
    /// # Panics
    ///
    /// If the micro-batch does not fit the model.
    pub fn forward(
        &self,
        parameters: &Parameters<T>,
        micro: &Micro<T>,
        workspace: &mut Workspace<T>,
    ) {
        micro.check(self, false);
        Pass::new(self, parameters, micro, &mut [], &mut [], workspace, None).forward();
    }
}
