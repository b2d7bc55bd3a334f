//! The binary `daogou`.
fn main() {}
