//! Work in the background.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::Serialize;
use utoipa::ToSchema;

use super::{Id, Refusals, Shared};
use crate::problem::Answer;
use crate::training::Job;

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
