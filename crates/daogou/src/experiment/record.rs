//! Finished runs on disk, each in small files that are whole or not there.
//!
//! ```text
//! OUT/experiment.json                      which experiment this is, and whether its test split was measured
//! OUT/runs/POINT/VARIANT/seed-S.json       a finished training, measured on validation
//! OUT/runs/POINT/VARIANT/seed-S/           the run itself, until its test split was measured
//! OUT/runs/POINT/VARIANT/seed-S.test.json  the same run measured on the test split
//! OUT/worlds/NAME/                         simulated logs
//! OUT/results.json, costs.json, table.md, charts/
//! ```

use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::design::{Design, RunId};
use super::measure::Measures;
use crate::artifact::write_atomic;
use crate::{Error, Result};

/// What is kept of a finished training.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct TrainedRecord {
    /// [`Design::identity`].
    pub(super) identity: String,
    /// Fingerprint of the encoded log.
    pub(super) fingerprint: String,
    pub(super) train_impressions: u64,
    /// Epochs begun.
    pub(super) epochs: usize,
    pub(super) steps: u64,
    /// Numbers that were learned, tables included.
    pub(super) parameters: u64,
    /// [`crate::train::Trained::bytes`].
    pub(super) bytes: u64,
    /// Time of the training on its one thread.
    pub(super) seconds: f64,
    /// Trainings that ran at the same time, at most.
    pub(super) side_by_side: usize,
    pub(super) valid: Measures,
}

/// What is kept of a run's test split.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct TestRecord {
    pub(super) identity: String,
    pub(super) test: Measures,
}

/// Which experiment a directory holds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Stamp {
    title: String,
    /// Of all runs together.
    identity: String,
    /// Whether the test split has been looked at.
    tested: bool,
}

/// The directory of an experiment.
pub(super) struct Folder {
    root: PathBuf,
    stamp: Stamp,
}

const STAMP: &str = "experiment.json";

impl Folder {
    /// Opens or makes the directory of an experiment.
    ///
    /// # Errors
    ///
    /// Where it holds an experiment and `resume` is not asked for, or another one whose test split was measured, or
    /// something else.
    pub(super) fn open(root: &Path, design: &Design, resume: bool) -> Result<Self> {
        let all: Vec<String> = design
            .runs()
            .into_iter()
            .map(|id| path_of(design, id) + &design.identity(id))
            .collect();
        let identity = format!("{:016x}", daogou_nn::rng::hash(&all.join("\n")));
        let stamp = Stamp { title: design.title.clone(), identity, tested: false };
        let path = root.join(STAMP);
        let before: Option<Stamp> = read(&path)?;
        let mut folder = Self { root: root.into(), stamp };
        match before {
            Some(before) if !resume => {
                return Err(Error::file(
                    root,
                    format!("holds the experiment \"{}\" already", before.title),
                )
                .with_hint("--resume goes on with it; --out names another directory"));
            }
            Some(before) if before.tested && before.identity != folder.stamp.identity => {
                return Err(Error::file(
                    root,
                    "its test split has been measured, and the experiment has changed since: what is changed after \
                     a look at the test split would be chosen by it",
                )
                .with_hint("--out names another directory, for another experiment"));
            }
            Some(before) => folder.stamp.tested = before.tested,
            None => {
                let taken = root.is_dir() && fs_err::read_dir(root)?.next().is_some();
                if taken || root.is_file() {
                    return Err(Error::file(root, "holds something else than an experiment")
                        .with_hint("--out names a new directory"));
                }
            }
        }
        fs_err::create_dir_all(root)?;
        folder.write_stamp()?;
        Ok(folder)
    }

    fn write_stamp(&self) -> Result<()> {
        write(&self.root.join(STAMP), &self.stamp)
    }

    /// Notes, before it happens, that the test split is measured.
    pub(super) fn note_test(&mut self) -> Result<()> {
        self.stamp.tested = true;
        self.write_stamp()
    }

    /// Whether the test split was measured, or was begun to be.
    pub(super) fn tested(&self) -> bool {
        self.stamp.tested
    }

    pub(super) fn root(&self) -> &Path {
        &self.root
    }

    /// Directory of a simulated log.
    pub(super) fn world(&self, name: &str) -> PathBuf {
        self.root.join("worlds").join(name)
    }

    /// Directory of a run.
    pub(super) fn run(&self, design: &Design, id: RunId) -> PathBuf {
        self.root.join(path_of(design, id))
    }

    fn beside(&self, design: &Design, id: RunId, ending: &str) -> PathBuf {
        self.root.join(path_of(design, id) + ending)
    }

    /// What is kept of a run, if it was finished.
    pub(super) fn trained(&self, design: &Design, id: RunId) -> Result<Option<TrainedRecord>> {
        let path = self.beside(design, id, ".json");
        let found: Option<TrainedRecord> = read(&path)?;
        check(&path, found.as_ref().map(|record| &record.identity), design, id)?;
        Ok(found)
    }

    /// What is kept of its test split, if that was measured.
    pub(super) fn tested_run(&self, design: &Design, id: RunId) -> Result<Option<TestRecord>> {
        let path = self.beside(design, id, ".test.json");
        let found: Option<TestRecord> = read(&path)?;
        check(&path, found.as_ref().map(|record| &record.identity), design, id)?;
        Ok(found)
    }

    pub(super) fn keep_trained(
        &self,
        design: &Design,
        id: RunId,
        record: &TrainedRecord,
    ) -> Result<()> {
        write(&self.beside(design, id, ".json"), record)
    }

    pub(super) fn keep_test(&self, design: &Design, id: RunId, record: &TestRecord) -> Result<()> {
        write(&self.beside(design, id, ".test.json"), record)
    }
}

/// Place of a run, without an ending.
fn path_of(design: &Design, id: RunId) -> String {
    let (point, variant) = (&design.points[id.point].folder, &design.variants[id.variant].name);
    format!("runs/{point}/{variant}/seed-{}", design.seeds[id.seed])
}

/// That a record is of the run that it is to be used for.
fn check(path: &Path, identity: Option<&String>, design: &Design, id: RunId) -> Result<()> {
    match identity {
        Some(found) if *found != design.identity(id) => {
            Err(Error::file(path, "is of another configuration or another version of the program")
                .with_hint(
                    "--out names another directory; or delete this file and the run beside it",
                ))
        }
        _ => Ok(()),
    }
}

/// A JSON file, if it is there.
pub(crate) fn read<T: DeserializeOwned>(path: &Path) -> Result<Option<T>> {
    if !path.exists() {
        return Ok(None);
    }
    let text = fs_err::read_to_string(path)?;
    serde_json::from_str(&text).map(Some).map_err(|error| {
        Error::file(path, format!("damaged: {error}")).with_hint("delete it to make it again")
    })
}

/// Writes a JSON file, whole or not at all, and the directories above it.
pub(crate) fn write(path: &Path, value: &impl Serialize) -> Result<()> {
    if let Some(parent) = path.parent() {
        fs_err::create_dir_all(parent)?;
    }
    let mut text = serde_json::to_string_pretty(value).expect("a record is plain data");
    text.push('\n');
    write_atomic(path, text.as_bytes())
}
