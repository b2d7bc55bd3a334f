//! Work in the background.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::Serialize;
use utoipa::ToSchema;

use super::{Body, Id, Refusals, Shared};
use crate::problem::Answer;
use crate::training::{Job, TrainBody};

/// The job there is, or was last.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct JobAnswer {
    pub(crate) job: Option<Job>,
}

/// Measure what each objective costs
///
/// In the background; `GET` has it when it is done.
#[utoipa::path(
    post,
    path = "/v1/models/{name}/trade-offs",
    tag = "models",
    params(("name" = String, Path, description = "model")),
    responses((status = 202, description = "the job", body = JobAnswer), Refusals)
)]
pub(crate) async fn trade_offs(
    State(app): Shared,
    Id(name): Id,
) -> Answer<(StatusCode, Json<JobAnswer>)> {
    let job = app.trade_offs(&name)?;
    Ok((StatusCode::ACCEPTED, Json(JobAnswer { job: Some(job) })))
}

/// Train a model
///
/// On the log of the model that answers and on what the store has; both are held against the newest slice of time.
#[utoipa::path(
    post,
    path = "/v1/train",
    tag = "models",
    request_body = Option<TrainBody>,
    responses((status = 202, description = "the job", body = JobAnswer), Refusals)
)]
pub(crate) async fn post(
    State(app): Shared,
    body: Option<Body<TrainBody>>,
) -> Answer<(StatusCode, Json<JobAnswer>)> {
    let body = body.map_or_else(TrainBody::default, |body| body.0);
    let job = app.train(body)?;
    Ok((StatusCode::ACCEPTED, Json(JobAnswer { job: Some(job) })))
}

/// The job in the background
#[utoipa::path(
    get,
    path = "/v1/train",
    tag = "models",
    responses((status = 200, description = "running, or the last", body = JobAnswer), Refusals)
)]
pub(crate) async fn get(State(app): Shared) -> Answer<Json<JobAnswer>> {
    Ok(Json(JobAnswer { job: app.jobs.current() }))
}

/// Cancel the job in the background
///
/// It ends at its next step; what it wrote so far is removed.
#[utoipa::path(
    delete,
    path = "/v1/train",
    tag = "models",
    responses((status = 200, description = "as it stands", body = JobAnswer), Refusals)
)]
pub(crate) async fn delete(State(app): Shared) -> Answer<Json<JobAnswer>> {
    app.jobs.cancel();
    get(State(app)).await
}
