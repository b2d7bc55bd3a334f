//! A run on disk: everything that serving needs, in one directory, written whole or not at all.
//!
//! ```text
//! RUN/config.toml          the effective configuration
//! RUN/manifest.json        format version, program version, seed, data fingerprint, metrics, checksums of all files
//! RUN/model.safetensors    dense parameters and embedding tables, f32
//! RUN/…                    whatever else the run saved (vocabularies, catalogue, report)
//! RUN/report.html, charts/ the page about it, where one was asked for; gone when another run takes this one's place
//! RUN/checkpoint/          state of an unfinished training
//! ```

mod checkpoint;
mod files;
mod manifest;
mod run;
mod tensors;

pub use checkpoint::{Checkpoint, load_checkpoint, save_checkpoint};
pub(crate) use files::NewFile;
pub use files::write_atomic;
pub use manifest::{FORMAT_VERSION, FileSum, Manifest, Provenance};
pub(crate) use run::CHARTS;
pub use run::{CONFIG, EVALUATION, MANIFEST, MODEL, REPORT, Run, RunWriter, TRADE_OFFS};
pub use tensors::{Tensor, TensorView, Tensors, write_tensors};
