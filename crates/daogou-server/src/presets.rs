//! Named weights: those of the configuration, those that `daogou pareto` left in a run, and those saved here.

use std::collections::BTreeMap;
use std::sync::{PoisonError, RwLock};

use daogou::lists::Weights;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::list_id::is_name;
use crate::problem::{Answer, Problem};

/// What a list is for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Preset {
    /// Weight by objective: click, purchase, revenue, diversity, novelty.
    pub(crate) objectives: BTreeMap<String, f64>,
    /// How far to go beyond what the person is predicted to want, from 0 to 1; null: as configured.
    #[serde(default)]
    pub(crate) explore: Option<f64>,
}

/// A preset and its name.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct NamedPreset {
    pub(crate) name: String,
    #[serde(flatten)]
    pub(crate) preset: Preset,
    /// `run`: left by `daogou pareto`; `store`: saved here.
    pub(crate) source: &'static str,
}

impl Preset {
    pub(crate) fn weights(&self) -> Answer<Weights> {
        if let Some(explore) = self.explore
            && !(0.0..=1.0).contains(&explore)
        {
            return Err(Problem::wrong("explore", format!("expected 0 to 1, got {explore}")));
        }
        weights(&self.objectives)
    }
}

/// Weights of a request, with the key that the request has.
pub(crate) fn weights(objectives: &BTreeMap<String, f64>) -> Answer<Weights> {
    Weights::from_map(objectives).map_err(|error| {
        let mut problem = Problem::from(error);
        problem.key = problem.key.map(|key| key.replace("lists.", ""));
        problem
    })
}

/// Presets that were saved here.
#[derive(Default)]
pub(crate) struct Presets(RwLock<BTreeMap<String, Preset>>);

impl Presets {
    pub(crate) fn set(&self, name: &str, preset: Option<Preset>) {
        let mut all = self.0.write().unwrap_or_else(PoisonError::into_inner);
        match preset {
            Some(preset) => all.insert(name.to_string(), preset),
            None => all.remove(name),
        };
    }

    fn saved(&self) -> BTreeMap<String, Preset> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// All there are, by name; one saved here stands before one of the run.
    pub(crate) fn list(&self, of_run: &daogou::pareto::Presets) -> Vec<NamedPreset> {
        let saved = self.saved();
        let of_run = of_run.0.iter().filter(|(name, _)| !saved.contains_key(*name));
        let mut all: Vec<NamedPreset> = of_run
            .map(|(name, preset)| NamedPreset {
                name: name.clone(),
                preset: Preset {
                    objectives: objectives(&preset.weights),
                    explore: Some(preset.explore),
                },
                source: "run",
            })
            .collect();
        all.extend(saved.iter().map(|(name, preset)| NamedPreset {
            name: name.clone(),
            preset: preset.clone(),
            source: "store",
        }));
        all.sort_by(|a, b| a.name.cmp(&b.name));
        all
    }

    /// Whether there is one of this name.
    pub(crate) fn has(&self, name: &str, of_run: &daogou::pareto::Presets) -> bool {
        let saved = self.0.read().unwrap_or_else(PoisonError::into_inner);
        saved.contains_key(name) || of_run.0.contains_key(name)
    }

    /// A preset by name.
    pub(crate) fn get(&self, name: &str, of_run: &daogou::pareto::Presets) -> Answer<Preset> {
        let all = self.list(of_run);
        let found = all.iter().find(|preset| preset.name == name);
        found.map(|found| found.preset.clone()).ok_or_else(|| {
            let names: Vec<&str> = all.iter().map(|preset| preset.name.as_str()).collect();
            let known = if names.is_empty() { "none yet".into() } else { names.join(", ") };
            Problem::wrong("preset", format!("expected one of the presets ({known}), got `{name}`"))
        })
    }
}

/// Weights by objective.
pub(crate) fn objectives(weights: &Weights) -> BTreeMap<String, f64> {
    let values =
        [weights.click, weights.purchase, weights.revenue, weights.diversity, weights.novelty];
    let named = Weights::NAMES.iter().zip(values).filter(|(_, weight)| *weight > 0.0);
    named.map(|(name, weight)| ((*name).to_string(), weight)).collect()
}

/// That something may have this name.
pub(crate) fn check_name(key: &str, name: &str) -> Answer<()> {
    if is_name(name) {
        return Ok(());
    }
    Err(Problem::wrong(
        key,
        format!("expected a name of up to 40 letters, digits, - and _, got `{name}`"),
    ))
}
