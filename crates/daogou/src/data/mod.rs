//! From files to numbers: readers, vocabularies, the dataset, users' timelines.

pub mod affinity;
mod attribution;
mod columns;
mod consistency;
pub mod dataset;
mod encode;
pub mod event_log;
mod fingerprint;
mod labels;
mod load;
pub(crate) mod lookback;
mod measured;
pub mod past;
pub mod popularity;
pub mod space;
pub mod split;
pub mod store;
mod stream;
pub mod targets;
pub mod timeline;

pub use dataset::{
    Catalogue, Column, Dataset, Impressions, LoadReport, NO_CLASS, Requests, SideTable, Split,
    Target, Timelines,
};
pub(crate) use encode::{encode_cell, encode_time};
pub(crate) use labels::MOST_CLASSES;
pub use load::{Known, load, load_known};
pub(crate) use load::{OTHER, PURCHASE_WEIGHT, feature_of};
pub use past::Past;
pub use space::{Encoding, FeatureSpace, Field, FieldKind, LabelEncoding, Scale, TableShape};
pub(crate) use stream::Stream;
pub use timeline::Seen;
