//! From a shop's log to a list: schema, data, models, training, metrics, lists.

mod civil;
pub mod data;
pub mod error;
pub mod importers;
mod rows;
pub mod schema;

pub use error::{Error, Result};
