//! What each objective costs: lists under many weights, measured on held-out requests, and which of them are worth
//! choosing.
//!
//! A [`Trial`] is a way to make lists: whose answers, which builder, which weights. [`measure()`] makes the lists of every
//! trial for the same requests and holds each against a [`Judge`]: the model's own calibrated heads, or, on a simulated
//! log, the truth. [`Sweep`] gathers trials that matter into fronts: points that no other point beats in every objective.

mod answers;
mod axis;
mod measure;
mod preset;
mod solve;
mod sweep;
pub mod table;
mod trial;

pub use axis::Axis;
pub use measure::{Estimate, Judge, Measured, Point, measure};
pub use preset::{Preset, Presets};
pub use solve::{Demand, Solution, solve};
pub use sweep::{AtEqualMatch, FrontReport, Rival, Sweep, SweepOptions, on_test, sweep};
pub use trial::{Heads, Trial, plan};
