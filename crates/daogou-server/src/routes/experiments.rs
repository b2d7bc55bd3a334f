//! Experiments.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;

use super::{Body, Id, Refusals, Shared, blocking};
use crate::app::App;
use crate::experiments::{ExperimentDocument, ExperimentResult, Plan};
use crate::list_id::now;
use crate::presets::check_name;
use crate::problem::{Answer, Problem};
use crate::store::{Change, Kind};

/// All experiments.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct ExperimentList {
    pub(crate) experiments: Vec<ExperimentResult>,
}

impl App {
    async fn write(self: &Arc<Self>, name: &str, document: &ExperimentDocument) -> Answer<()> {
        let body = serde_json::to_value(document).expect("an experiment is JSON");
        self.change(vec![Change::put(Kind::Experiment, name, body)]).await
    }
}

/// All experiments
#[utoipa::path(
    get,
    path = "/v1/experiments",
    tag = "experiments",
    responses((status = 200, description = "by name", body = ExperimentList), Refusals)
)]
pub(crate) async fn list(State(app): Shared) -> Answer<Json<ExperimentList>> {
    blocking(move || Ok(Json(ExperimentList { experiments: app.experiments.results() }))).await
}

/// One experiment
#[utoipa::path(
    get,
    path = "/v1/experiments/{name}",
    tag = "experiments",
    params(("name" = String, Path, description = "experiment")),
    responses((status = 200, description = "as it stands", body = ExperimentResult), Refusals)
)]
pub(crate) async fn get(State(app): Shared, Id(name): Id) -> Answer<Json<ExperimentResult>> {
    blocking(move || Ok(Json(app.experiments.result(&name)?))).await
}

/// Start an experiment
///
/// One runs at a time; a name is used once, so that what was counted under it stays what it was.
#[utoipa::path(
    put,
    path = "/v1/experiments/{name}",
    tag = "experiments",
    params(("name" = String, Path, description = "up to 40 letters, digits, - and _")),
    request_body = Plan,
    responses((status = 200, description = "as it stands", body = ExperimentResult), Refusals)
)]
pub(crate) async fn put(
    State(app): Shared,
    Id(name): Id,
    Body(plan): Body<Plan>,
) -> Answer<Json<ExperimentResult>> {
    check_name("name", &name)?;
    plan.check()?;
    if app.experiments.document(&name).is_some() {
        return Err(Problem::conflict(format!("there is an experiment `{name}` already"))
            .hint("give it another name, or delete the old one"));
    }
    if let Some(running) = app.experiments.running() {
        return Err(Problem::conflict(format!("experiment `{running}` runs"))
            .hint(format!("stop it first: POST /v1/experiments/{running}/stop")));
    }
    for (i, arm) in plan.arms.iter().enumerate() {
        if let Some(model) = &arm.model {
            app.models
                .path(model)
                .map_err(|problem| Problem::wrong(format!("arms[{i}].model"), problem.detail))?;
            let (own, model) = (Arc::clone(&app), model.clone());
            blocking(move || own.models.load(&model)).await?;
        }
        if let Some(preset) = &arm.preset {
            let counter = app.counter(arm.model.as_deref())?;
            app.presets
                .get(preset, &counter.model.presets)
                .map_err(|problem| Problem::wrong(format!("arms[{i}].preset"), problem.detail))?;
        }
    }
    app.write(&name, &ExperimentDocument { plan, started: now(), stopped: None }).await?;
    Ok(Json(app.experiments.result(&name)?))
}

/// Stop an experiment
///
/// Its lists that were shown before still count.
#[utoipa::path(
    post,
    path = "/v1/experiments/{name}/stop",
    tag = "experiments",
    params(("name" = String, Path, description = "experiment")),
    responses((status = 200, description = "as it stands", body = ExperimentResult), Refusals)
)]
pub(crate) async fn stop(State(app): Shared, Id(name): Id) -> Answer<Json<ExperimentResult>> {
    let document = app.experiments.document(&name);
    let document =
        document.ok_or_else(|| Problem::not_found(format!("there is no experiment `{name}`")))?;
    if document.stopped.is_none() {
        app.write(&name, &ExperimentDocument { stopped: Some(now()), ..document }).await?;
    }
    Ok(Json(app.experiments.result(&name)?))
}

/// Delete an experiment
#[utoipa::path(
    delete,
    path = "/v1/experiments/{name}",
    tag = "experiments",
    params(("name" = String, Path, description = "experiment")),
    responses((status = 200, description = "those that are left", body = ExperimentList), Refusals)
)]
pub(crate) async fn delete(State(app): Shared, Id(name): Id) -> Answer<Json<ExperimentList>> {
    if app.experiments.document(&name).is_none() {
        return Err(Problem::not_found(format!("there is no experiment `{name}`")));
    }
    app.change(vec![Change::delete(Kind::Experiment, name)]).await?;
    list(State(app)).await
}
