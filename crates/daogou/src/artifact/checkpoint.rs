//! State of an unfinished training, in one file, so that replacing it is one atomic rename.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::files::{Summing, cannot_write, sync_dir, write_synced};
use super::manifest::{FORMAT_VERSION, check_version};
use super::tensors::{Tensor, TensorView, Tensors, write_tensors};
use crate::{Error, Result};

const DIRECTORY: &str = "checkpoint";
const FILE: &str = "checkpoint.safetensors";
const NOTE: &str = "daogou_checkpoint";

/// Everything that training needs to go on as if nothing had happened.
#[derive(Clone, Debug, PartialEq)]
pub struct Checkpoint {
    /// Parameters and the optimisers' state; bits are kept.
    pub tensors: BTreeMap<String, Tensor>,
    /// Counters, seeds, the configuration: whatever is not a tensor.
    pub state: Value,
}

/// Saves into `run/checkpoint/`, creating both directories. Killed at any moment, either the old checkpoint or the new
/// one is there, complete.
pub fn save_checkpoint(run: &Path, checkpoint: &Checkpoint) -> Result<()> {
    let path = path_in(run);
    let directory = run.join(DIRECTORY);
    fs_err::create_dir_all(&directory)?;
    let temporary = directory.join(format!("{FILE}.new"));
    let note = json!({
        "format_version": FORMAT_VERSION,
        "sha256": checksum(checkpoint)?,
        "state": checkpoint.state,
    });
    let written = write_synced(&temporary, &path, |out| {
        write_tensors(out, views(checkpoint), Some((NOTE, note.to_string())))
    });
    if let Err(error) = written {
        let _ = std::fs::remove_file(&temporary);
        // Where this was the first one, no empty directories stay either; others are not empty.
        let _ = std::fs::remove_dir(&directory).and_then(|()| std::fs::remove_dir(run));
        return Err(error);
    }
    std::fs::rename(&temporary, &path).map_err(|error| cannot_write(&path, &error))?;
    sync_dir(&directory)
}

/// The checkpoint of a run, if there is one.
pub fn load_checkpoint(run: &Path) -> Result<Option<Checkpoint>> {
    let path = path_in(run);
    if !path.exists() {
        return Ok(None);
    }
    let damaged = |problem: &str| {
        Error::file(&path, format!("damaged checkpoint: {problem}"))
            .with_hint("delete it to train from the start")
    };
    let (tensors, note) = Tensors::read_with_note(&path, Some(NOTE))?;
    let note = note.ok_or_else(|| damaged("it holds no training state"))?;
    let mut note: Value =
        serde_json::from_str(&note).map_err(|error| damaged(&error.to_string()))?;
    check_version(note.get("format_version"), &path)?;
    let state = note.get_mut("state").ok_or_else(|| damaged("it holds no training state"))?.take();
    let checkpoint = Checkpoint { tensors: tensors.into_map(), state };
    if note["sha256"] != checksum(&checkpoint)? {
        return Err(damaged("its checksum does not match"));
    }
    Ok(Some(checkpoint))
}

fn views(checkpoint: &Checkpoint) -> impl Iterator<Item = TensorView<'_>> {
    checkpoint.tensors.iter().map(|(name, tensor)| {
        TensorView::new(name.as_str(), tensor.shape.as_slice(), tensor.data.as_slice())
    })
}

/// Checksum of the tensors with their names and shapes, and of the state.
fn checksum(checkpoint: &Checkpoint) -> Result<String> {
    let mut out = Summing::new(std::io::sink());
    write_tensors(&mut out, views(checkpoint), None)?;
    out.write_all(checkpoint.state.to_string().as_bytes())?;
    Ok(out.finish().sha256)
}

fn path_in(run: &Path) -> PathBuf {
    run.join(DIRECTORY).join(FILE)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use proptest::prelude::*;

    use super::*;

    fn checkpoint(step: u64) -> Checkpoint {
        let tensor = |n: usize| Tensor { shape: vec![n / 4, 4], data: vec![step as f32; n] };
        Checkpoint {
            tensors: [("a".to_string(), tensor(40_000)), ("b".to_string(), tensor(400))].into(),
            state: json!({"step": step}),
        }
    }

    #[test]
    fn damage_is_named() {
        let run = tempfile::tempdir().unwrap();
        assert_eq!(load_checkpoint(run.path()).unwrap(), None);
        save_checkpoint(run.path(), &checkpoint(1)).unwrap();
        let path = path_in(run.path());
        let whole = fs::read(&path).unwrap();
        let broken = |bytes: &[u8]| {
            fs::write(&path, bytes).unwrap();
            load_checkpoint(run.path()).unwrap_err().to_string()
        };
        for place in [whole.len() - 1, whole.len() / 2] {
            let mut bytes = whole.clone();
            bytes[place] ^= 1;
            assert!(broken(&bytes).contains("checksum"));
        }
        for length in [0, 4, 100, whole.len() - 1] {
            let message = broken(&whole[..length]);
            assert!(message.contains("checkpoint.safetensors: damaged"), "{message}");
        }
        let edit = |from: &str, to: &str| {
            let place = whole.windows(from.len()).position(|w| w == from.as_bytes()).unwrap();
            let mut bytes = whole.clone();
            bytes[place..place + from.len()].copy_from_slice(to.as_bytes());
            broken(&bytes)
        };
        let newer = edit("format_version\\\":1", "format_version\\\":9");
        assert!(newer.contains("version 9"), "{newer}");
        assert!(edit("\\\"step\\\":1", "\\\"step\\\":2").contains("checksum"));
        assert!(edit(NOTE, "another_programme").contains("no training state"));
    }

    /// Run in a process of its own by the test below, until it is killed.
    #[test]
    fn child_saves_until_killed() {
        let Some(run) = std::env::var_os("DAOGOU_TEST_KILL") else { return };
        for step in 1.. {
            save_checkpoint(Path::new(&run), &checkpoint(step)).unwrap();
        }
    }

    #[test]
    fn killed_at_any_moment_a_whole_checkpoint_is_there() {
        let test =
            concat!(module_path!(), "::child_saves_until_killed").split_once("::").unwrap().1;
        let run = tempfile::tempdir().unwrap();
        let mut steps = Vec::new();
        for round in 0..12 {
            let mut child = std::process::Command::new(std::env::current_exe().unwrap())
                .args(["--exact", test])
                .env("DAOGOU_TEST_KILL", run.path())
                .stdout(std::process::Stdio::null())
                .spawn()
                .unwrap();
            while !path_in(run.path()).exists() {
                assert!(child.try_wait().unwrap().is_none(), "the child stopped by itself");
                std::thread::sleep(std::time::Duration::from_millis(1));
            }
            std::thread::sleep(std::time::Duration::from_micros(20_000 + 1_300 * round));
            child.kill().unwrap();
            child.wait().unwrap();
            let found = load_checkpoint(run.path()).unwrap().unwrap();
            let step = found.state["step"].as_u64().unwrap();
            assert_eq!(found, checkpoint(step));
            steps.push(step);
        }
        assert!(steps.iter().any(|&step| step > 1), "{steps:?}");
    }

    proptest! {
        #[test]
        fn every_bit_comes_back(
            values in prop::collection::vec(any::<u32>(), 0..50), number: f64, name in "[a-z.]{1,8}",
        ) {
            let run = tempfile::tempdir().unwrap();
            let data: Vec<f32> = values.iter().map(|&bits| f32::from_bits(bits)).collect();
            let state = json!({"number": number, "text": name});
            let tensors = [(name, Tensor { shape: vec![data.len()], data })].into();
            save_checkpoint(run.path(), &Checkpoint { tensors, state: state.clone() }).unwrap();
            let found = load_checkpoint(run.path()).unwrap().unwrap();
            prop_assert_eq!(&found.state, &state);
            let tensor = found.tensors.values().next().unwrap();
            let bits: Vec<u32> = tensor.data.iter().map(|value| value.to_bits()).collect();
            prop_assert_eq!(bits, values);
        }
    }
}
