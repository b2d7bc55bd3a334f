//! Writing and opening a run directory.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::io::Write;
use std::path::{Path, PathBuf};

use super::files::{cannot_write, named, sum, sync_dir, write_synced};
use super::manifest::{FileSum, Manifest, Provenance, check_name};
use super::tensors::{TensorView, Tensors, write_tensors};
use crate::schema::Config;
use crate::{Error, Result};

/// The effective configuration.
pub const CONFIG: &str = "config.toml";
/// Checksums and provenance.
pub const MANIFEST: &str = "manifest.json";
/// Weights.
pub const MODEL: &str = "model.safetensors";

/// The page about a run that `daogou report` writes into it, in no manifest, and the folder of its charts.
pub const REPORT: &str = "report.html";
pub(crate) const CHARTS: &str = "charts";

/// What `daogou eval --keep` and a server's training put into a run, for the dashboard; in no manifest.
pub const EVALUATION: &str = "evaluation.json";
/// What each objective costs, likewise.
pub const TRADE_OFFS: &str = "pareto.json";

/// A run being written. Everything goes into `.NAME.new` beside the target; [`RunWriter::finish`] gives it its name.
/// Dropped before that, nothing is left behind.
#[derive(Debug)]
pub struct RunWriter {
    target: PathBuf,
    parent: PathBuf,
    new: PathBuf,
    old: PathBuf,
    files: BTreeMap<String, FileSum>,
}

impl RunWriter {
    /// Makes sure, before hours of training, that a run can be written to `target`: it is free, an empty directory, a
    /// run, or an unfinished run. Also mends what a kill in the middle of [`RunWriter::finish`] left there.
    pub fn prepare(target: &Path) -> Result<()> {
        let (target, parent, name) = named(target)?;
        fs_err::create_dir_all(&parent)?;
        let (new, old) = besides(&parent, &name);
        if old.exists() {
            if !target.exists() {
                // The old run is moved aside only when the new one is complete.
                let complete = if new.join(MANIFEST).exists() { &new } else { &old };
                std::fs::rename(complete, &target)
                    .map_err(|error| cannot_write(&target, &error))?;
            }
            clear_away(&old, &target)?;
        }
        let manifest = target.join(MANIFEST);
        let problem = if !target.exists() || target.join("checkpoint").is_dir() {
            return Ok(());
        } else if !target.is_dir() {
            "expected a directory, got a file"
        } else if manifest.exists() {
            return read_manifest(&manifest).map(|_| ());
        } else if fs_err::read_dir(&target)?.next().is_none() {
            return Ok(());
        } else {
            "this directory holds something else than a run, and a run would replace it"
        };
        Err(Error::file(target, problem).with_hint("choose a new directory for the run"))
    }

    /// Starts a run with its configuration.
    pub fn create(target: &Path, config: &Config) -> Result<Self> {
        Self::prepare(target)?;
        let (target, parent, name) = named(target)?;
        let (new, old) = besides(&parent, &name);
        remove(&new)?;
        fs_err::create_dir(&new)?;
        let mut run = Self { target, parent, new, old, files: BTreeMap::new() };
        run.file(CONFIG, |out| Ok(out.write_all(config.to_toml().as_bytes())?))?;
        Ok(run)
    }

    /// Adds a file; `/` in its name makes folders.
    pub fn file(
        &mut self,
        name: &str,
        write: impl FnOnce(&mut dyn Write) -> Result<()>,
    ) -> Result<()> {
        check_name(name)?;
        let (path, shown) = (self.new.join(name), self.target.join(name));
        if name == MANIFEST || self.files.contains_key(name) {
            return Err(Error::file(shown, "is written twice"));
        }
        if let Some(folder) = path.parent() {
            fs_err::create_dir_all(folder)?;
        }
        let sum = write_synced(&path, &shown, write)?;
        self.files.insert(name.into(), sum);
        Ok(())
    }

    /// Adds the weights.
    pub fn model<'a>(&mut self, tensors: impl IntoIterator<Item = TensorView<'a>>) -> Result<()> {
        self.file(MODEL, |out| write_tensors(out, tensors, None))
    }

    /// Writes the manifest, forces everything to disk and moves the run to its place. An existing run is moved aside
    /// first and deleted last; files in it that no run wrote are kept, but for a page about it. Killed in between,
    /// opening still finds a complete run, and the next [`RunWriter::prepare`] tidies up.
    pub fn finish(mut self, provenance: Provenance) -> Result<Run> {
        if !self.files.contains_key(MODEL) {
            return Err(Error::file(self.target.join(MODEL), "was not written"));
        }
        let manifest = Manifest::new(provenance, std::mem::take(&mut self.files));
        let mut text = serde_json::to_vec_pretty(&manifest).expect("a manifest is plain data");
        text.push(b'\n');
        write_synced(&self.new.join(MANIFEST), &self.target.join(MANIFEST), |out| {
            Ok(out.write_all(&text)?)
        })?;
        let folders: std::collections::BTreeSet<&Path> =
            manifest.files.keys().flat_map(|name| Path::new(name).ancestors().skip(1)).collect();
        for folder in folders {
            sync_dir(&self.new.join(folder))?;
        }
        let failed = |error| cannot_write(&self.target, &error);
        if self.target.exists() {
            std::fs::rename(&self.target, &self.old).map_err(failed)?;
        }
        if let Err(error) = std::fs::rename(&self.new, &self.target) {
            let _ = std::fs::rename(&self.old, &self.target);
            return Err(failed(error));
        }
        sync_dir(&self.parent)?;
        clear_away(&self.old, &self.target)?;
        Run::open(&self.target)
    }
}

impl Drop for RunWriter {
    fn drop(&mut self) {
        let _ = remove(&self.new);
    }
}

/// Where a run is written, and where the one it replaces waits.
fn besides(parent: &Path, name: &str) -> (PathBuf, PathBuf) {
    (parent.join(format!(".{name}.new")), parent.join(format!(".{name}.old")))
}

fn read_manifest(path: &Path) -> Result<Manifest> {
    let bytes = fs_err::read(path)?;
    let text = std::str::from_utf8(&bytes).map_err(|_| Error::file(path, "damaged: not UTF-8"))?;
    Manifest::parse(text, path)
}

/// Deletes a replaced run, after moving what no run wrote to the new one.
fn clear_away(old: &Path, target: &Path) -> Result<()> {
    if !old.exists() {
        return Ok(());
    }
    let manifest = read_manifest(&old.join(MANIFEST)).ok();
    let paged = old.join(REPORT).exists();
    let ours = |name: &OsStr| {
        let listed = manifest.iter().flat_map(|manifest| manifest.files.keys());
        let mut tops = listed.filter_map(|file| Path::new(file).iter().next());
        // The page about a run, and its charts, say nothing about another one.
        let page = paged && (name == REPORT || name == CHARTS);
        name == MANIFEST || name == "checkpoint" || page || tops.any(|top| top == name)
    };
    for entry in fs_err::read_dir(old)? {
        let name = entry?.file_name();
        if !ours(&name) && !target.join(&name).exists() {
            fs_err::rename(old.join(&name), target.join(&name))?;
        }
    }
    remove(old)
}

fn remove(directory: &Path) -> Result<()> {
    if directory.exists() {
        fs_err::remove_dir_all(directory)?;
    }
    Ok(())
}

/// A complete run whose files are as they were written.
#[derive(Clone, Debug)]
pub struct Run {
    directory: PathBuf,
    manifest: Manifest,
    config: Config,
}

impl Run {
    /// Opens a run: checks its format version and every file's length and checksum, then reads the configuration.
    pub fn open(directory: &Path) -> Result<Self> {
        let (mut directory, parent, name) = named(directory)?;
        let (_, old) = besides(&parent, &name);
        if !directory.exists() && old.exists() {
            directory = old;
        }
        let path = directory.join(MANIFEST);
        if !path.is_file() {
            let problem = if !directory.exists() {
                "there is no such directory"
            } else if directory.join("checkpoint").is_dir() {
                "this run is not finished: it has a checkpoint and no manifest.json"
            } else {
                "this is no run: it has no manifest.json"
            };
            return Err(Error::file(&directory, problem).with_hint(
                "give the directory that `daogou train` wrote; `--resume` finishes one",
            ));
        }
        let manifest = read_manifest(&path)?;
        for required in [CONFIG, MODEL] {
            if !manifest.files.contains_key(required) {
                return Err(Error::file(&path, format!("damaged: it does not list {required}")));
            }
        }
        for (name, wanted) in &manifest.files {
            let path = directory.join(name);
            if !path.is_file() {
                return Err(Error::file(&path, "is missing from this run"));
            }
            let found = sum(&path)?;
            let problem = if found.bytes != wanted.bytes {
                format!("damaged: expected {} bytes, got {}", wanted.bytes, found.bytes)
            } else if found.sha256 != wanted.sha256 {
                format!(
                    "damaged, or from another run: expected sha256 {}, got {}",
                    wanted.sha256, found.sha256
                )
            } else {
                continue;
            };
            return Err(
                Error::file(&path, problem).with_hint("copy the whole run again, or train again")
            );
        }
        let config = Config::read(&directory.join(CONFIG))?;
        Ok(Self { directory, manifest, config })
    }

    /// Where it is.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// What it says about itself.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// The effective configuration it was trained with.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Path of a file of this run.
    pub fn path(&self, name: &str) -> Result<PathBuf> {
        if self.manifest.files.contains_key(name) {
            return Ok(self.directory.join(name));
        }
        Err(Error::file(&self.directory, format!("this run has no `{name}`")))
    }

    /// Contents of a file of this run.
    pub fn read(&self, name: &str) -> Result<Vec<u8>> {
        Ok(fs_err::read(self.path(name)?)?)
    }

    /// The weights.
    pub fn model(&self) -> Result<Tensors> {
        Tensors::read(&self.path(MODEL)?)
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use serde_json::json;

    use super::*;

    fn config() -> Config {
        let text = "[data]\nimpressions = [\"log.csv\"]\n[columns]\n[[task]]\nname = \"click\"\nkind = \"binary\"\n";
        Config::parse(text, Path::new("daogou.toml")).unwrap()
    }

    fn provenance() -> Provenance {
        Provenance {
            created_at: "2020-01-01T00:00:00Z".into(),
            seed: 7,
            data_fingerprint: "00ff".into(),
            metrics: json!({"tasks": {"click": {"auc": 0.1 + 0.2, "gauc": null}}}),
        }
    }

    fn write(target: &Path, value: f32) -> Result<Run> {
        let mut run = RunWriter::create(target, &config())?;
        run.model([TensorView::new("click.weight", vec![2, 3], &[value; 6])])?;
        run.file("vocab/item/ids.txt", |out| Ok(out.write_all(b"a\nb\n")?))?;
        run.finish(provenance())
    }

    fn weights(target: &Path) -> Vec<f32> {
        Run::open(target).unwrap().model().unwrap().take("click.weight", &[2, 3]).unwrap()
    }

    /// Names beside each other in a directory.
    fn names(directory: &Path) -> Vec<String> {
        let mut names: Vec<String> = fs::read_dir(directory)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
            .collect();
        names.sort();
        names
    }

    fn problem(target: &Path) -> String {
        Run::open(target).unwrap_err().to_string()
    }

    #[test]
    fn what_is_written_is_read() {
        let home = tempfile::tempdir().unwrap();
        let target = home.path().join("runs/first");
        write(&target, 1.5).unwrap();
        let run = Run::open(&target).unwrap();
        assert_eq!(run.config(), &config());
        assert_eq!(run.manifest().provenance, provenance());
        assert_eq!(run.manifest().format_version, 1);
        assert_eq!(run.read("vocab/item/ids.txt").unwrap(), b"a\nb\n");
        let missing = run.read("report.html").unwrap_err().to_string();
        assert!(missing.contains("no `report.html`"), "{missing}");
        assert_eq!(weights(&target), [1.5; 6]);
        assert_eq!(names(target.parent().unwrap()), ["first"]);
        assert_eq!(names(&target), ["config.toml", "manifest.json", "model.safetensors", "vocab"]);
    }

    /// A run written by the first version of the format, kept as it was: every later program must open it.
    #[test]
    fn runs_of_format_version_1_stay_readable() {
        let kept = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/runs/v1"));
        assert_eq!(weights(kept), [1.5; 6]);
        let run = Run::open(kept).unwrap();
        assert_eq!((run.manifest().format_version, run.manifest().provenance.seed), (1, 7));
        assert_eq!(run.read("vocab/item/ids.txt").unwrap(), b"a\nb\n");
    }

    #[test]
    fn a_run_is_replaced_whole_and_what_no_run_wrote_is_kept() {
        let home = tempfile::tempdir().unwrap();
        let target = home.path().join("run");
        write(&target, 1.0).unwrap();
        fs::write(target.join("notes.txt"), "mine").unwrap();
        fs::create_dir(target.join("checkpoint")).unwrap();

        let half = RunWriter::create(&target, &config()).unwrap();
        assert_eq!(names(home.path()), [".run.new", "run"]);
        drop(half);
        assert_eq!(names(home.path()), ["run"], "nothing half-written stays");
        let unfinished = RunWriter::create(&target, &config()).unwrap().finish(provenance());
        assert!(unfinished.unwrap_err().to_string().contains("model.safetensors"));
        assert_eq!(weights(&target), [1.0; 6]);

        write(&target, 2.0).unwrap();
        assert_eq!(weights(&target), [2.0; 6]);
        assert_eq!(fs::read_to_string(target.join("notes.txt")).unwrap(), "mine");
        assert!(!target.join("checkpoint").exists(), "the finished training needs no checkpoint");
        assert_eq!(names(home.path()), ["run"]);
    }

    #[test]
    fn a_kill_between_the_renames_loses_no_run() {
        let home = tempfile::tempdir().unwrap();
        let [target, new, old] = ["run", ".run.new", ".run.old"].map(|name| home.path().join(name));
        // Killed after the old run was moved aside: the new one is complete.
        write(&target, 1.0).unwrap();
        fs::rename(&target, &old).unwrap();
        write(&new, 2.0).unwrap();
        assert_eq!(weights(&target), [1.0; 6], "reading changes nothing and finds the old run");
        RunWriter::prepare(&target).unwrap();
        assert_eq!(weights(&target), [2.0; 6]);
        assert_eq!(names(home.path()), ["run"]);
        // The old run is aside and there is no new one.
        fs::rename(&target, &old).unwrap();
        RunWriter::prepare(&target).unwrap();
        assert_eq!(weights(&target), [2.0; 6]);
        // Killed while the old run was cleared away.
        write(&old, 1.0).unwrap();
        fs::write(old.join("notes.txt"), "mine").unwrap();
        RunWriter::prepare(&target).unwrap();
        assert_eq!((weights(&target), names(home.path())), (vec![2.0; 6], vec!["run".to_string()]));
        assert!(target.join("notes.txt").exists());
        // Killed while writing.
        fs::create_dir(&new).unwrap();
        fs::write(new.join("config.toml"), "half").unwrap();
        write(&target, 3.0).unwrap();
        assert_eq!((weights(&target), names(home.path())), (vec![3.0; 6], vec!["run".to_string()]));
    }

    #[test]
    fn only_runs_are_replaced() {
        let home = tempfile::tempdir().unwrap();
        let target = home.path().join("photos");
        fs::create_dir(&target).unwrap();
        RunWriter::prepare(&target).unwrap();
        fs::write(target.join("cat.jpg"), "cat").unwrap();
        let error = write(&target, 1.0).unwrap_err();
        assert!(error.to_string().contains("something else than a run"), "{error}");
        assert!(target.join("cat.jpg").exists());
        fs::write(target.join(MANIFEST), r#"{"format": "photos"}"#).unwrap();
        assert!(write(&target, 1.0).unwrap_err().to_string().contains("another program"));
        let error = write(&target.join("cat.jpg"), 1.0).unwrap_err();
        assert!(error.to_string().contains("got a file"), "{error}");
        assert!(RunWriter::prepare(Path::new("/")).is_err());
        let mut run = RunWriter::create(&home.path().join("run"), &config()).unwrap();
        for name in ["../escaped", "/escaped", "", ".", CONFIG, MANIFEST] {
            assert!(run.file(name, |_| Ok(())).is_err(), "{name}");
        }
    }

    #[test]
    fn every_damage_is_named() {
        let home = tempfile::tempdir().unwrap();
        let target = home.path().join("run");
        let fresh = || write(&target, 1.0).unwrap();
        let edit = |name: &str, change: &dyn Fn(&mut Vec<u8>)| {
            fresh();
            let mut bytes = fs::read(target.join(name)).unwrap();
            change(&mut bytes);
            fs::write(target.join(name), bytes).unwrap();
            problem(&target)
        };
        let flip = |bytes: &mut Vec<u8>| *bytes.last_mut().unwrap() ^= 1;
        for name in [MODEL, CONFIG, "vocab/item/ids.txt"] {
            let message = edit(name, &flip);
            assert!(message.contains(name) && message.contains("sha256"), "{message}");
            let message = edit(name, &|bytes| bytes.truncate(3));
            assert!(message.contains(name) && message.contains("got 3"), "{message}");
            fresh();
            fs::remove_file(target.join(name)).unwrap();
            let message = problem(&target);
            assert!(message.contains(name) && message.contains("missing"), "{message}");
            // What was opened before can be put right by training again.
            fresh();
        }
        let message = edit(MANIFEST, &|bytes| bytes.truncate(20));
        assert!(message.contains("manifest.json") && message.contains("damaged"), "{message}");
        fs::remove_dir_all(&target).unwrap();
        let message = edit(MANIFEST, &|bytes| bytes[0] = 0xff);
        assert!(message.contains("UTF-8"), "{message}");
        fs::remove_dir_all(&target).unwrap();
        let replaced = |from: &'static str, to: &'static str| {
            let message = edit(MANIFEST, &|bytes| {
                let text = String::from_utf8(bytes.clone()).unwrap();
                assert!(text.contains(from));
                *bytes = text.replace(from, to).into_bytes();
            });
            fs::remove_dir_all(&target).unwrap();
            message
        };
        let newer = replaced("\"format_version\": 1", "\"format_version\": 2");
        assert!(newer.contains("version 2") && newer.contains("up to 1"), "{newer}");
        assert!(replaced("daogou-run", "cookbook").contains("another program"));
        assert!(
            replaced("\"format_version\": 1", "\"format_version\": \"x\"")
                .contains("no format version")
        );
        assert!(replaced("vocab/item/ids.txt", "../../ids.txt").contains("inside a run"));
        assert!(replaced("model.safetensors", "other.safetensors").contains("does not list model"));

        assert!(problem(&target).contains("no such directory"));
        fs::create_dir(&target).unwrap();
        assert!(problem(&target).contains("no manifest.json"));
        fs::create_dir(target.join("checkpoint")).unwrap();
        assert!(problem(&target).contains("not finished"));
    }

    /// Run in a process of its own by the test below, with a limit on file sizes that stands for a full disk.
    #[test]
    fn child_writes_on_a_full_disk() {
        let Some(target) = std::env::var_os("DAOGOU_TEST_FULL_DISK") else { return };
        let target = PathBuf::from(target);
        let large = vec![2.0; 1 << 20];
        let mut run = RunWriter::create(&target, &config()).unwrap();
        let error =
            run.model([TensorView::new("click.weight", vec![1 << 20], &large)]).unwrap_err();
        let named = matches!(&error, Error::File { path, .. } if *path == target.join(MODEL));
        assert!(named && error.to_string().contains("could not be written"), "{error}");
        assert!(error.hint().unwrap().contains("make room"));
        drop(run);
        assert_eq!((weights(&target), names(target.parent().unwrap()).len()), (vec![1.0; 6], 1));

        let tensor = super::super::Tensor { shape: vec![1 << 20], data: large };
        let checkpoint = super::super::Checkpoint {
            tensors: [("click.weight".to_string(), tensor)].into(),
            state: json!({"step": 2}),
        };
        let error = super::super::save_checkpoint(&target, &checkpoint).unwrap_err().to_string();
        assert!(error.contains("checkpoint.safetensors: could not be written"), "{error}");
        let kept = super::super::load_checkpoint(&target).unwrap().unwrap();
        assert_eq!(kept.state, json!({"step": 1}));
        assert_eq!(names(&target.join("checkpoint")), ["checkpoint.safetensors"]);
    }

    #[cfg(unix)]
    #[test]
    fn a_full_disk_leaves_the_previous_run() {
        let home = tempfile::tempdir().unwrap();
        let target = home.path().join("run");
        write(&target, 1.0).unwrap();
        let checkpoint =
            super::super::Checkpoint { tensors: BTreeMap::new(), state: json!({"step": 1}) };
        super::super::save_checkpoint(&target, &checkpoint).unwrap();
        let test =
            concat!(module_path!(), "::child_writes_on_a_full_disk").split_once("::").unwrap().1;
        let output = std::process::Command::new("sh")
            .args(["-c", "trap '' XFSZ; ulimit -f 512; exec \"$0\" --exact \"$1\""])
            .arg(std::env::current_exe().unwrap())
            .arg(test)
            .env("DAOGOU_TEST_FULL_DISK", &target)
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success() && text.contains("1 passed"), "{text}");
    }
}
