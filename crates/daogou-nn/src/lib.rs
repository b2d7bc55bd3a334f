//! Training engine.

pub mod rng;

pub use rng::Rng;
