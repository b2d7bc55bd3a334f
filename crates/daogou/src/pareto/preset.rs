//! Named weights, beside a run.

use std::collections::BTreeMap;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::artifact::write_atomic;
use crate::lists::Weights;
use crate::{Error, Result};

/// File in a run directory. It is no part of what was trained, so no checksum covers it, and it may be edited.
const FILE: &str = "presets.json";

/// Weights under a name.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Preset {
    /// Weights of the objectives.
    pub weights: Weights,
    /// How far lists go beyond what the person is predicted to want.
    #[serde(default)]
    pub explore: f64,
    /// What the weights were measured to give when they were saved, for people.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub measured: BTreeMap<String, f64>,
}

/// The presets of a run, by name.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Presets(pub BTreeMap<String, Preset>);

impl Presets {
    /// Those saved in a run directory; none if there is no such file.
    ///
    /// # Errors
    ///
    /// Where the file is damaged, or a weight is negative or not finite.
    pub fn read(run: &Path) -> Result<Self> {
        let path = run.join(FILE);
        if !path.exists() {
            return Ok(Self::default());
        }
        let damaged = |problem: String| {
            Error::file(&path, problem)
                .with_hint("mend the file, or delete it and save presets again")
        };
        let presets: Self = serde_json::from_slice(&fs_err::read(&path)?)
            .map_err(|error| damaged(error.to_string()))?;
        for (name, preset) in &presets.0 {
            let problem = |error: Error| damaged(format!("preset `{name}`: {error}"));
            preset.weights.check().map_err(&problem)?;
            crate::list_maker::check_explore(preset.explore).map_err(problem)?;
        }
        Ok(presets)
    }

    /// Writes them into a run directory, all or nothing.
    ///
    /// # Errors
    ///
    /// Where the file cannot be written.
    pub fn write(&self, run: &Path) -> Result<()> {
        let text = serde_json::to_string_pretty(self).map_err(|e| Error::Io(e.into()))? + "\n";
        write_atomic(&run.join(FILE), text.as_bytes())
    }

    /// Adds a preset, or replaces the one of this name.
    ///
    /// # Errors
    ///
    /// Where the name is empty, or has spaces, control characters or slashes: it is typed and becomes part of addresses.
    pub fn save(&mut self, name: &str, preset: Preset) -> Result<()> {
        Self::check_name(name)?;
        self.0.insert(name.into(), preset);
        Ok(())
    }

    /// That a name can be that of a preset: see [`Presets::save`].
    ///
    /// # Errors
    ///
    /// Where it cannot.
    pub fn check_name(name: &str) -> Result<()> {
        let bad = |c: char| c.is_whitespace() || c.is_control() || "/\\?#%".contains(c);
        if name.is_empty() || name.contains(bad) {
            return Err(Error::data(format!(
                "name of a preset: expected letters, digits, - and the like, got {name:?}"
            )));
        }
        Ok(())
    }

    /// A preset by name.
    ///
    /// # Errors
    ///
    /// Where there is none of this name.
    pub fn get(&self, name: &str) -> Result<&Preset> {
        self.0.get(name).ok_or_else(|| {
            let names: Vec<&str> = self.0.keys().map(String::as_str).collect();
            let there = if names.is_empty() {
                "this run has none".to_string()
            } else {
                format!("expected one of {}", names.join(", "))
            };
            Error::data(format!("preset `{name}`: {there}"))
                .with_hint("`daogou pareto RUN --save-preset NAME` saves one")
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn presets_come_back_and_unknown_or_damaged_ones_are_told() {
        let dir = tempfile::tempdir().unwrap();
        let mut presets = Presets::read(dir.path()).unwrap();
        let message = presets.get("calm").unwrap_err().to_string();
        assert!(message.contains("`calm`: this run has none"), "{message}");
        let weights = Weights { click: 1.0, diversity: 0.25, ..Weights::default() };
        let measured = [("click".to_string(), 0.5)].into();
        let preset = Preset { weights, explore: 0.5, measured };
        for name in ["", "a b", "../x", "a\n"] {
            assert!(presets.save(name, preset.clone()).is_err(), "{name:?}");
        }
        presets.save("varied", preset).unwrap();
        presets.write(dir.path()).unwrap();
        let again = Presets::read(dir.path()).unwrap();
        assert_eq!(again, presets);
        assert_eq!(again.get("varied").unwrap().weights, weights);
        let message = again.get("calm").unwrap_err().to_string();
        assert!(message.contains("expected one of varied"), "{message}");
        for text in [
            "{",
            r#"{"a": {"weights": {"click": -1}}}"#,
            r#"{"a": {"weights": {"clik": 1}}}"#,
            r#"{"a": {"weights": {"click": 1}, "explore": 2}}"#,
        ] {
            fs_err::write(dir.path().join(FILE), text).unwrap();
            let message = Presets::read(dir.path()).unwrap_err().to_string();
            assert!(message.contains(FILE), "{message}");
        }
    }
}
