//! Models: which there are, and which one answers.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use daogou::artifact::{EVALUATION, TRADE_OFFS};
use daogou::run::TrainedRun;
use daogou::train::{GateUse, Round};
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use super::{Id, Refusals, Shared, blocking};
use crate::app::{App, SERVING};
use crate::models::{Choice, ModelList, State as ModelState};
use crate::problem::{Answer, Problem};
use crate::store::{Change, Kind};

/// A model.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct ModelAnswer {
    pub(crate) name: String,
    pub(crate) state: ModelState,
    /// The effective configuration.
    #[schema(value_type = Object)]
    pub(crate) config: Value,
    /// Versions, checksums, provenance.
    #[schema(value_type = Object)]
    pub(crate) manifest: Value,
    /// Names of the tasks, in the order of the losses of `history`.
    pub(crate) tasks: Vec<String>,
    /// One entry per round of validation.
    #[schema(value_type = Vec<Object>)]
    pub(crate) history: Value,
    /// As `daogou eval --format json` prints it, of the test split; null where the run has none.
    #[schema(value_type = Option<Object>)]
    pub(crate) evaluation: Value,
    /// How each gate shares its attention out over its experts, on the validation split; null where the run has no experts,
    /// or is from before they were measured.
    pub(crate) experts: Option<Vec<GateAnswer>>,
}

/// A gate over experts.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct GateAnswer {
    /// For whom: a task, `impressions` where the part that scores items reads the part that knows the visitor, `all`.
    pub(crate) gate: String,
    /// Names of its experts.
    pub(crate) names: Vec<String>,
    /// Mean weight of each: of sum 1.
    pub(crate) shares: Vec<f64>,
    /// Mean entropy of the weights, in nats.
    pub(crate) entropy: f64,
}

impl From<&GateUse> for GateAnswer {
    fn from(used: &GateUse) -> Self {
        Self {
            gate: used.gate.clone(),
            names: used.experts.clone(),
            shares: used.shares.clone(),
            entropy: used.entropy,
        }
    }
}

/// All models
#[utoipa::path(
    get,
    path = "/v1/models",
    tag = "models",
    responses((status = 200, description = "by name", body = ModelList), Refusals)
)]
pub(crate) async fn list(State(app): Shared) -> Answer<Json<ModelList>> {
    blocking(move || Ok(Json(app.models.list()))).await
}

/// One model
#[utoipa::path(
    get,
    path = "/v1/models/{name}",
    tag = "models",
    params(("name" = String, Path, description = "model")),
    responses((status = 200, description = "the model", body = ModelAnswer), Refusals)
)]
pub(crate) async fn get(State(app): Shared, Id(name): Id) -> Answer<Json<ModelAnswer>> {
    blocking(move || {
        let path = app.models.path(&name)?;
        let run = daogou::artifact::Run::open(&path)?;
        let json = |value: Result<Value, serde_json::Error>| value.unwrap_or(Value::Null);
        let evaluation = std::fs::read(path.join(EVALUATION)).ok();
        let evaluation = evaluation.and_then(|text| serde_json::from_slice(&text).ok());
        let history = TrainedRun::history(&path)?;
        let used = Round::kept(&history).and_then(|round| round.experts.as_ref());
        Ok(Json(ModelAnswer {
            experts: used.map(|used| used.gates.iter().map(GateAnswer::from).collect()),
            state: app.models.state(&name),
            config: json(serde_json::to_value(run.config())),
            manifest: json(serde_json::to_value(run.manifest())),
            tasks: run.config().tasks.iter().map(|task| task.name.clone()).collect(),
            history: json(serde_json::to_value(&history)),
            evaluation: evaluation.unwrap_or(Value::Null),
            name,
        }))
    })
    .await
}

/// Bring a model into memory
#[utoipa::path(
    post,
    path = "/v1/models/{name}/load",
    tag = "models",
    params(("name" = String, Path, description = "model")),
    responses((status = 200, description = "all models", body = ModelList), Refusals)
)]
pub(crate) async fn load(State(app): Shared, Id(name): Id) -> Answer<Json<ModelList>> {
    let own = Arc::clone(&app);
    blocking(move || own.models.load(&name)).await?;
    app.notify("models", &serde_json::json!({}));
    list(State(app)).await
}

impl App {
    /// Has a model answer, here and on every server of the store.
    pub(crate) async fn promote(self: &Arc<Self>, choice: Choice) -> Answer<()> {
        let (own, name) = (Arc::clone(self), choice.serving.clone());
        // It is opened before anybody is told: a damaged one changes nothing.
        blocking(move || own.models.load(&name)).await?;
        let body = serde_json::to_value(&choice).expect("a choice is JSON");
        self.change(vec![Change::put(Kind::Setting, SERVING, body)]).await
    }
}

/// Have a model answer
///
/// Requests that are being answered finish with the one before.
#[utoipa::path(
    post,
    path = "/v1/models/{name}/promote",
    tag = "models",
    params(("name" = String, Path, description = "model")),
    responses((status = 200, description = "all models", body = ModelList), Refusals)
)]
pub(crate) async fn promote(State(app): Shared, Id(name): Id) -> Answer<Json<ModelList>> {
    app.models.path(&name)?;
    app.promote(app.models.promoted(&name)).await?;
    list(State(app)).await
}

/// Have the model before answer again
#[utoipa::path(
    post,
    path = "/v1/models/rollback",
    tag = "models",
    responses((status = 200, description = "all models", body = ModelList), Refusals)
)]
pub(crate) async fn rollback(State(app): Shared) -> Answer<Json<ModelList>> {
    let previous = app.models.choice().previous;
    let previous = previous.ok_or_else(|| {
        Problem::conflict("there is no model before this one").hint("promote one by its name")
    })?;
    app.promote(app.models.promoted(&previous)).await?;
    list(State(app)).await
}

/// What each objective costs
///
/// What `daogou pareto --format json` found.
#[utoipa::path(
    get,
    path = "/v1/models/{name}/trade-offs",
    tag = "models",
    params(("name" = String, Path, description = "model")),
    responses((status = 200, description = "the front", body = Object), Refusals)
)]
pub(crate) async fn trade_offs(State(app): Shared, Id(name): Id) -> Answer<Json<Value>> {
    blocking(move || {
        let path = app.models.path(&name)?.join(TRADE_OFFS);
        let text = std::fs::read(&path).map_err(|_| {
            Problem::not_found(format!("the trade-offs of `{name}` have not been computed"))
                .hint(format!("POST /v1/models/{name}/trade-offs computes them in the background"))
        })?;
        let found = serde_json::from_slice(&text).map_err(|error| {
            Problem::not_found(format!("the trade-offs of `{name}` are damaged: {error}"))
                .hint("compute them again")
        })?;
        Ok(Json(found))
    })
    .await
}
