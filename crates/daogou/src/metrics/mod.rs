//! How good predictions and lists are: pure functions on slices, one concept per file.
//!
//! Nothing here knows a model or a data set: the same functions serve files of scores and of lists. Sums are `f64`;
//! a metric that is undefined (no positives, no pairs, zero variance) is `None`, which JSON shows as `null`, never
//! NaN. Equal scores are ties, so the order in which rows come never helps a ranking. Functions panic when slices that
//! belong together differ in length; the reports in [`report`] check their input and answer with an error instead.

pub mod auc;
pub mod bootstrap;
pub mod calibration;
pub mod clustered;
pub mod distribution;
pub mod diversity;
pub mod exposure;
pub mod front;
pub mod logloss;
pub mod novelty;
pub mod order;
pub mod ranking;
pub mod regression;
pub mod report;
pub mod student;

pub use bootstrap::{BootstrapOptions, Intervals};
pub use clustered::ClusteredMean;
pub use order::ScoreOrder;
pub use report::{
    BinaryInput, BinaryReport, ClassInput, ClassReport, DistributionInput, DistributionReport,
    ListReport, ListSample, ListTally, RegressionInput, RegressionReport, Scores, ShareInput,
    ShareReport,
};
pub use student::StudentMean;
