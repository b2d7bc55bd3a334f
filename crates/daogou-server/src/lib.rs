//! Lists over HTTP: takes events, keeps them, serves lists from a trained run, and shows what happens.

pub mod store;
