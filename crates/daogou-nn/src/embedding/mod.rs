//! Embedding tables and the update of the rows a batch touched.

mod update;

pub(crate) use update::{RowUpdate, SharedTable, Slots};

use crate::aligned::Aligned;
use crate::init::Init;
use crate::optim::TableOptimizer;
use crate::real::Real;

/// What a table is before it has values.
#[derive(Clone, Debug)]
pub(crate) struct TableSpec {
    pub(crate) name: String,
    pub(crate) rows: usize,
    pub(crate) dim: usize,
    pub(crate) init: Init,
}

/// An embedding table: `rows × dim` values, row-major, and the optimiser's state of each row.
#[derive(Clone, Debug)]
pub struct Table<T = f32> {
    name: String,
    rows: usize,
    dim: usize,
    pub(crate) values: Aligned<T>,
    pub(crate) state: Aligned<T>,
}

impl<T: Real> Table<T> {
    pub(crate) fn new(spec: &TableSpec, seed: u64) -> Self {
        let mut values = Aligned::zeros(spec.rows * spec.dim);
        spec.init.fill(&mut values, seed, &spec.name);
        Self {
            name: spec.name.clone(),
            rows: spec.rows,
            dim: spec.dim,
            values,
            state: Aligned::default(),
        }
    }

    /// Gives every row its optimiser state, at zero.
    pub(crate) fn start(&mut self, optimizer: TableOptimizer) {
        self.state = Aligned::zeros(self.rows * optimizer.state_per_row(self.dim));
    }

    /// Name, as in a PyTorch state dict without `.weight`.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Number of rows.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Values per row.
    pub fn dim(&self) -> usize {
        self.dim
    }

    /// All values, row-major.
    pub fn values(&self) -> &[T] {
        &self.values
    }

    /// All values, row-major.
    pub fn values_mut(&mut self) -> &mut [T] {
        &mut self.values
    }

    /// One row.
    #[inline(always)]
    pub fn row(&self, id: u32) -> &[T] {
        let start = id as usize * self.dim;
        &self.values[start..start + self.dim]
    }

    /// Asks for a row that is read soon.
    #[inline(always)]
    pub(crate) fn prefetch(&self, id: u32) {
        crate::kernels::prefetch(&self.values, id as usize * self.dim, self.dim);
    }
}
