//! Optimisers: one for dense parameters, one for rows of embedding tables.

mod dense;
mod table;

pub use dense::DenseOptimizer;
pub(crate) use dense::DenseStep;
pub use table::TableOptimizer;
pub(crate) use table::TableStep;
