//! What a run says about itself.

use std::collections::BTreeMap;
use std::path::{Component, Path};

use serde::{Deserialize, Serialize};

use crate::{Error, Result};

/// Version of the layout this program writes, and the newest it reads.
pub const FORMAT_VERSION: u32 = 1;

const FORMAT: &str = "daogou-run";

/// `manifest.json`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Manifest {
    format: String,
    /// Version of the layout.
    pub format_version: u32,
    /// Version of the program that wrote it.
    pub program_version: String,
    /// Where it comes from.
    #[serde(flatten)]
    pub provenance: Provenance,
    /// Every other file of the run, by name (`/` between folders).
    pub files: BTreeMap<String, FileSum>,
}

/// Where a run comes from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Provenance {
    /// When it was made, RFC 3339; given by the caller, since nothing here reads a clock.
    pub created_at: String,
    /// Seed of the training.
    pub seed: u64,
    /// Fingerprint of the encoded data.
    pub data_fingerprint: String,
    /// Metrics, as printed by the evaluation.
    pub metrics: serde_json::Value,
}

/// Length and checksum of a file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileSum {
    /// SHA-256, hex.
    pub sha256: String,
    /// Length.
    pub bytes: u64,
}

impl Manifest {
    pub(super) fn new(provenance: Provenance, files: BTreeMap<String, FileSum>) -> Self {
        Self {
            format: FORMAT.into(),
            format_version: FORMAT_VERSION,
            program_version: env!("CARGO_PKG_VERSION").into(),
            provenance,
            files,
        }
    }

    /// Reads a manifest; `path` is only for messages. The version is looked at before anything else, since a newer
    /// layout may have nothing else in common with this one.
    pub(super) fn parse(text: &str, path: &Path) -> Result<Self> {
        let value: serde_json::Value = serde_json::from_str(text)
            .map_err(|error| Error::file(path, format!("damaged: not JSON: {error}")))?;
        if value.get("format").and_then(serde_json::Value::as_str) != Some(FORMAT) {
            return Err(Error::file(
                path,
                format!("expected \"format\": \"{FORMAT}\", got another program's file"),
            ));
        }
        check_version(value.get("format_version"), path)?;
        let manifest: Self = serde_json::from_value(value)
            .map_err(|error| Error::file(path, format!("damaged: {error}")))?;
        match manifest.files.keys().find(|name| check_name(name).is_err()) {
            Some(name) => Err(Error::file(
                path,
                format!("damaged: `{name}` is no name of a file inside a run"),
            )),
            None => Ok(manifest),
        }
    }
}

/// Whether this program can read a format version.
pub(super) fn check_version(version: Option<&serde_json::Value>, path: &Path) -> Result<()> {
    match version.and_then(serde_json::Value::as_u64) {
        Some(version) if version > u64::from(FORMAT_VERSION) => Err(Error::file(
            path,
            format!("has format version {version}, and this program reads versions up to {FORMAT_VERSION}"),
        )
        .with_hint("use the newer daogou that wrote it")),
        Some(1..) => Ok(()),
        _ => Err(Error::file(path, "damaged: no format version")),
    }
}

/// A name inside a run: relative, no `..`, no `.`.
pub(super) fn check_name(name: &str) -> Result<()> {
    let inside = |part| matches!(part, Component::Normal(_));
    if !name.is_empty() && Path::new(name).components().all(inside) {
        return Ok(());
    }
    Err(Error::file(name, "expected a file name inside the run directory"))
}
