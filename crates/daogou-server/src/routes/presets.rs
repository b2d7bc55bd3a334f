//! Objectives and named weights.

use axum::Json;
use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;

use super::{Body, Id, Refusals, Shared};
use crate::presets::{NamedPreset, Preset, check_name};
use crate::problem::{Answer, Problem};
use crate::store::{Change, Kind};

/// What sliders and forms need to know of the model that answers.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct Objectives {
    pub(crate) objectives: Vec<Objective>,
    /// Items of a list, as configured.
    pub(crate) k: usize,
    /// As configured.
    pub(crate) explore: f64,
    pub(crate) builders: Vec<&'static str>,
    /// Context features.
    pub(crate) context: Vec<ContextFeature>,
    pub(crate) categories: Vec<String>,
}

/// An objective.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct Objective {
    pub(crate) name: &'static str,
    /// As configured.
    pub(crate) weight: f64,
    /// Whether the model has what it takes.
    pub(crate) available: bool,
}

/// A context feature.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct ContextFeature {
    pub(crate) name: String,
    /// The values it knows; null: any.
    pub(crate) values: Option<Vec<String>>,
}

/// All presets.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct PresetList {
    pub(crate) presets: Vec<NamedPreset>,
}

/// What lists can be for
#[utoipa::path(
    get,
    path = "/v1/objectives",
    tag = "objectives",
    responses((status = 200, description = "of the model that answers", body = Objectives), Refusals)
)]
pub(crate) async fn objectives(State(app): Shared) -> Answer<Json<Objectives>> {
    let counter = app.models.serving();
    let run = &counter.model.run;
    let objectives = daogou::guide::objectives(run).into_iter();
    let objective = |(name, weight, available)| Objective { name, weight, available };
    let context = daogou::guide::context_values(run).into_iter();
    Ok(Json(Objectives {
        objectives: objectives.map(objective).collect(),
        k: run.config.lists.k,
        explore: run.config.lists.explore,
        builders: daogou::lists::builder_names().collect(),
        context: context.map(|(name, values)| ContextFeature { name, values }).collect(),
        categories: run.stored.catalogue.categories.clone(),
    }))
}

/// All presets
#[utoipa::path(
    get,
    path = "/v1/presets",
    tag = "objectives",
    responses((status = 200, description = "by name", body = PresetList), Refusals)
)]
pub(crate) async fn list(State(app): Shared) -> Answer<Json<PresetList>> {
    Ok(Json(PresetList { presets: app.presets.list(&app.models.serving().model.presets) }))
}

/// Save a preset
#[utoipa::path(
    put,
    path = "/v1/presets/{name}",
    tag = "objectives",
    params(("name" = String, Path, description = "up to 40 letters, digits, - and _")),
    request_body = Preset,
    responses((status = 200, description = "all presets", body = PresetList), Refusals)
)]
pub(crate) async fn put(
    State(app): Shared,
    Id(name): Id,
    Body(preset): Body<Preset>,
) -> Answer<Json<PresetList>> {
    check_name("name", &name)?;
    preset.weights()?;
    let body = serde_json::to_value(&preset).expect("a preset is JSON");
    app.change(vec![Change::put(Kind::Preset, name, body)]).await?;
    list(State(app)).await
}

/// Delete a saved preset
#[utoipa::path(
    delete,
    path = "/v1/presets/{name}",
    tag = "objectives",
    params(("name" = String, Path, description = "preset")),
    responses((status = 200, description = "all presets", body = PresetList), Refusals)
)]
pub(crate) async fn delete(State(app): Shared, Id(name): Id) -> Answer<Json<PresetList>> {
    let all = app.presets.list(&app.models.serving().model.presets);
    match all.iter().find(|preset| preset.name == name) {
        None => return Err(Problem::not_found(format!("there is no preset `{name}`"))),
        Some(found) if found.source == "run" => {
            return Err(Problem::conflict(format!("`{name}` is the model's own"))
                .hint("save another under this name, and it stands before the model's"));
        }
        Some(_) => {}
    }
    app.change(vec![Change::delete(Kind::Preset, name)]).await?;
    list(State(app)).await
}
