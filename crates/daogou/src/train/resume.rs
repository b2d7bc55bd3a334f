//! Checkpoints of a training: everything that decides what comes next, bit for bit.

use std::collections::BTreeMap;
use std::path::Path;

use daogou_nn::{Engine, Parameters};
use serde_json::json;

use super::Position;
use crate::artifact::{Checkpoint, Tensor, load_checkpoint, save_checkpoint};
use crate::data::Dataset;
use crate::schema::{CalibrationConfig, Config};
use crate::{Error, Result};

/// What must be the same for a checkpoint to fit: the configuration, but for what never changes the result, and the data.
pub(super) fn identity(config: &Config, data: &Dataset) -> serde_json::Value {
    let mut config = config.clone();
    config.train.threads = 0;
    config.train.checkpoint_steps = 0;
    config.calibration = CalibrationConfig::default();
    json!({ "config": config, "data": data.report.fingerprint })
}

fn tensor(data: &[f32]) -> Tensor {
    Tensor { shape: vec![data.len()], data: data.to_vec() }
}

fn insert(tensors: &mut BTreeMap<String, Tensor>, prefix: &str, parameters: &Parameters) {
    tensors.insert(format!("{prefix}.dense"), tensor(parameters.dense()));
    for table in parameters.tables() {
        tensors.insert(format!("{prefix}.table.{}", table.name()), tensor(table.values()));
    }
}

pub(super) fn save(
    directory: &Path,
    identity: &serde_json::Value,
    engine: &Engine,
    best: Option<&Parameters>,
    at: &Position,
) -> Result<()> {
    let mut tensors = BTreeMap::new();
    insert(&mut tensors, "last", engine.parameters());
    if let Some(best) = best {
        insert(&mut tensors, "best", best);
    }
    for (name, values) in engine.state() {
        tensors.insert(format!("state.{name}"), tensor(values));
    }
    let state = json!({ "identity": identity, "position": at, "best": best.is_some() });
    save_checkpoint(directory, &Checkpoint { tensors, state })
}

/// Restores a checkpoint, if there is one.
pub(super) fn load(
    directory: &Path,
    identity: &serde_json::Value,
    engine: &mut Engine,
    best: &mut Option<Parameters>,
    at: &mut Position,
) -> Result<()> {
    let Some(Checkpoint { mut tensors, state }) = load_checkpoint(directory)? else {
        return Ok(());
    };
    let refuse = |problem: &str| {
        Err(Error::file(directory, format!("its checkpoint is of another {problem}")).with_hint(
            "resume with the configuration and data it was started with, or train into a new directory",
        ))
    };
    if state["identity"]["data"] != identity["data"] {
        return refuse("log");
    }
    if state["identity"] != *identity {
        return refuse("configuration");
    }
    *at = serde_json::from_value(state["position"].clone())
        .map_err(|e| Error::file(directory, format!("damaged checkpoint: {e}")))?;
    let mut fill = |name: String, target: &mut [f32]| match tensors.remove(&name) {
        Some(found) if found.data.len() == target.len() => {
            target.copy_from_slice(&found.data);
            Ok(())
        }
        found => Err(Error::file(
            directory,
            format!(
                "its checkpoint: expected {} values of `{name}`, got {}",
                target.len(),
                found.map_or(0, |t| t.data.len())
            ),
        )),
    };
    let mut restore = |prefix: &str, parameters: &mut Parameters| -> Result<()> {
        let mut outcome = Ok(());
        parameters.edit(|dense, tables| {
            outcome = fill(format!("{prefix}.dense"), dense).and_then(|()| {
                tables.iter_mut().try_for_each(|table| {
                    fill(format!("{prefix}.table.{}", table.name()), table.values_mut())
                })
            });
        });
        outcome
    };
    restore("last", engine.parameters_mut())?;
    if state["best"] == true {
        let mut parameters = engine.parameters().clone();
        restore("best", &mut parameters)?;
        *best = Some(parameters);
    }
    for (name, values) in engine.state_mut() {
        fill(format!("state.{name}"), values)?;
    }
    Ok(())
}
