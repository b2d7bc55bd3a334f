//! From a shop's log to a list: schema, data, models, training, metrics, lists.

pub mod data;
pub mod error;
pub mod importers;
pub mod schema;

pub use error::{Error, Result};
