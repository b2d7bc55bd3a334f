//! Health, numbers, and who is calling.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::{Extension, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use utoipa::ToSchema;

use super::{Refusals, Shared};
use crate::keys::Role;
use crate::problem::Answer;

/// Who is calling.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct Me {
    /// What the key allows: read, write or admin.
    #[schema(value_type = String)]
    pub(crate) role: Role,
    /// Whether keys are asked for.
    pub(crate) auth: bool,
    /// Version of the server.
    pub(crate) version: &'static str,
}

/// How the server is.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct Health {
    /// `ok`, or what is wrong.
    pub(crate) status: String,
    pub(crate) checks: BTreeMap<&'static str, String>,
}

/// Who am I
#[utoipa::path(
    get,
    path = "/v1/me",
    tag = "operation",
    responses((status = 200, description = "role and version", body = Me), Refusals)
)]
pub(crate) async fn me(State(app): Shared, Extension(role): Extension<Role>) -> Answer<Json<Me>> {
    let auth = app.keys.are_asked_for();
    Ok(Json(Me { role, auth, version: env!("CARGO_PKG_VERSION") }))
}

/// Numbers for Prometheus
#[utoipa::path(
    get,
    path = "/metrics",
    tag = "operation",
    responses(
        (status = 200, description = "OpenMetrics", content_type = "application/openmetrics-text", body = String),
        Refusals
    )
)]
pub(crate) async fn metrics(State(app): Shared) -> Response {
    app.telemetry.waiting.set(app.pool.waiting() as i64);
    app.telemetry.people.set(app.memory.len() as i64);
    let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    ([(header::CONTENT_TYPE, kind)], app.telemetry.text()).into_response()
}

/// Whether the process runs
#[utoipa::path(
    get,
    path = "/health/live",
    tag = "operation",
    responses((status = 200, description = "it does", body = Health), Refusals)
)]
pub(crate) async fn live() -> Json<Health> {
    Json(Health { status: "ok".into(), checks: BTreeMap::new() })
}

/// Whether it can work
#[utoipa::path(
    get,
    path = "/health/ready",
    tag = "operation",
    responses(
        (status = 200, description = "it can", body = Health),
        (status = 503, description = "it cannot, and why", body = Health),
        (status = 405, description = "the route has no such method", body = crate::problem::Problem)
    )
)]
pub(crate) async fn ready(State(app): Shared) -> Response {
    let store = match app.store.check().await {
        Ok(()) => "ok".to_string(),
        Err(error) => error.to_string(),
    };
    let going = if app.is_draining() { "going down" } else { "ok" };
    let model = app.models.serving().model.name.clone();
    let ok = store == "ok" && going == "ok";
    let status = if ok { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let said = if ok { "ok" } else { "not ready" };
    let checks = [("store", store), ("server", going.into()), ("model", format!("ok: {model}"))];
    (status, Json(Health { status: said.into(), checks: checks.into() })).into_response()
}
