//! From files to numbers: readers, vocabularies, the dataset, users' timelines.

pub mod dataset;
pub mod event_log;
pub mod space;
pub mod split;
pub mod targets;
pub mod timeline;

pub use dataset::{
    Catalogue, Column, Dataset, Impressions, LoadReport, RequestTarget, Requests, SideTable, Split,
    Timelines,
};
pub use space::{Encoding, FeatureSpace, Field, FieldKind, TableShape};
pub use timeline::Seen;
