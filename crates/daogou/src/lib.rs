//! From a shop's log to a list: schema, data, models, training, metrics, lists.

pub mod artifact;
pub mod data;
pub mod error;
pub mod lists;
pub mod metrics;
pub mod models;
pub mod schema;
pub mod simulate;

pub use error::{Error, Result};
