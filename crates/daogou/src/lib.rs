//! From a shop's log to a list: schema, data, models, training, metrics, lists.

pub mod artifact;
mod assortment;
pub mod bench;
pub mod calibrate;
mod civil;
pub mod continuation;
pub mod data;
pub mod error;
pub mod evaluate;
pub mod filter;
pub mod floors;
pub mod guide;
pub mod importers;
mod list_maker;
pub mod lists;
pub mod metrics;
pub mod models;
pub mod off_policy;
pub mod pareto;
pub mod people;
pub mod predict;
pub mod recommend;
pub mod report;
pub mod rerank;
mod rows;
mod rule_book;
pub mod run;
pub mod schema;
pub mod score;
pub mod simulate;
pub mod stock;
pub mod train;
pub mod validate;

pub use civil::{instant, rfc3339};
pub use error::{Error, Result};
