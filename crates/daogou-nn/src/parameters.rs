//! The values a model learns.

use crate::aligned::Aligned;
use crate::batch::Micro;
use crate::embedding::Table;
use crate::graph::Model;
use crate::layers::Pass;
use crate::projection::{self, Projection, Weight};
use crate::real::Real;
use crate::team::Team;
use crate::workspace::Workspace;

/// The values a model learns: dense parameters and embedding tables.
#[derive(Clone, Debug)]
pub struct Parameters<T = f32> {
    pub(crate) tables: Vec<Table<T>>,
    pub(crate) dense: Vec<T>,
    /// What passes read besides: transposed weights and the products of small tables.
    derived: Aligned<T>,
    weights: Vec<Weight>,
    projections: Vec<Projection>,
}

impl<T: Real> Parameters<T> {
    /// Initial values of `model`.
    pub fn new(model: &Model<T>, seed: u64) -> Self {
        let mut new = Self {
            tables: model.tables.iter().map(|spec| Table::new(spec, seed)).collect(),
            dense: vec![T::ZERO; model.n_values],
            derived: Aligned::zeros(model.n_derived),
            weights: model.weights.clone(),
            projections: model.projections.clone(),
        };
        new.edit(|dense, _| {
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

    /// Embedding tables.
    pub fn tables(&self) -> &[Table<T>] {
        &self.tables
    }

    /// Changes dense parameters and tables, then brings up to date what is computed from them.
    pub fn edit(&mut self, edit: impl FnOnce(&mut [T], &mut [Table<T>])) {
        edit(&mut self.dense, &mut self.tables);
        self.derive(&mut Team::new(1));
    }

    /// Numbers it holds: parameters, and what is computed from them.
    pub(crate) fn values_held(&self) -> usize {
        let tables: usize = self.tables.iter().map(|table| table.values.len()).sum();
        self.dense.len() + tables + self.derived.len()
    }

    pub(crate) fn derived(&self) -> &[T] {
        &self.derived
    }

    /// Brings `derived` up to date.
    pub(crate) fn derive(&mut self, team: &mut Team) {
        let Self { tables, dense, derived, weights, projections } = self;
        projection::derive((weights, projections), dense, tables, derived, team);
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
