//! The routes, one file per noun, and who may call each.

pub(crate) mod alike;
pub(crate) mod documents;
pub(crate) mod events;
pub(crate) mod experiments;
pub(crate) mod health;
pub(crate) mod items;
pub(crate) mod lists;
pub(crate) mod models;
pub(crate) mod names;
pub(crate) mod pages;
pub(crate) mod presets;
pub(crate) mod stats;
pub(crate) mod train;
pub(crate) mod users;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Body as HttpBody;
use axum::extract::{
    DefaultBodyLimit, FromRequest, FromRequestParts, MatchedPath, OptionalFromRequest, Request,
    State,
};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use serde::de::DeserializeOwned;
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::cors::{AllowOrigin, CorsLayer};
use utoipa::openapi::{ContentBuilder, Ref, RefOr, ResponseBuilder};
use utoipa::{OpenApi, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::app::App;
use crate::keys::Role;
use crate::list_id::Origin;
use crate::live::Happened;
use crate::problem::{Answer, Problem};
use crate::telemetry::Route;

pub(crate) type Shared = State<Arc<App>>;

/// Who may call a route that asks for a key. A route that is not here is refused to everybody.
const RULES: &[(&str, &str, Role)] = &[
    ("GET", "/v1/me", Role::Read),
    ("POST", "/v1/recommend", Role::Read),
    ("POST", "/v1/rank", Role::Read),
    ("POST", "/rank/{model}", Role::Read),
    ("GET", "/api/recommend/{user}", Role::Read),
    ("POST", "/v1/events", Role::Write),
    ("GET", "/v1/items", Role::Read),
    ("POST", "/v1/items", Role::Write),
    ("GET", "/v1/items/{id}", Role::Read),
    ("PUT", "/v1/items/{id}", Role::Write),
    ("PATCH", "/v1/items/{id}", Role::Write),
    ("DELETE", "/v1/items/{id}", Role::Write),
    ("GET", "/v1/users", Role::Read),
    ("POST", "/v1/users", Role::Write),
    ("GET", "/v1/users/{id}", Role::Read),
    ("PUT", "/v1/users/{id}", Role::Write),
    ("PATCH", "/v1/users/{id}", Role::Write),
    ("DELETE", "/v1/users/{id}", Role::Write),
    ("GET", "/v1/objectives", Role::Read),
    ("GET", "/v1/presets", Role::Read),
    ("PUT", "/v1/presets/{name}", Role::Write),
    ("DELETE", "/v1/presets/{name}", Role::Write),
    ("GET", "/v1/models", Role::Read),
    ("GET", "/v1/models/{name}", Role::Read),
    ("POST", "/v1/models/{name}/load", Role::Admin),
    ("POST", "/v1/models/{name}/promote", Role::Admin),
    ("POST", "/v1/models/rollback", Role::Admin),
    ("GET", "/v1/models/{name}/trade-offs", Role::Read),
    ("POST", "/v1/models/{name}/trade-offs", Role::Admin),
    ("GET", "/v1/train", Role::Read),
    ("POST", "/v1/train", Role::Admin),
    ("DELETE", "/v1/train", Role::Admin),
    ("GET", "/v1/experiments", Role::Read),
    ("GET", "/v1/experiments/{name}", Role::Read),
    ("PUT", "/v1/experiments/{name}", Role::Admin),
    ("DELETE", "/v1/experiments/{name}", Role::Admin),
    ("POST", "/v1/experiments/{name}/stop", Role::Admin),
    ("GET", "/v1/stats", Role::Read),
    ("GET", "/v1/stream", Role::Read),
    ("GET", "/metrics", Role::Read),
];

/// Routes that ask for no key.
const OPEN: &[&str] = &["/health/live", "/health/ready", "/openapi.json"];

#[derive(OpenApi)]
#[openapi(
    info(
        title = "daogou",
        description = "Product lists that balance click, purchase, diversity and novelty, with weights per request."
    ),
    tags(
        (name = "lists", description = "Lists and scores"),
        (name = "events", description = "What people were shown and did"),
        (name = "catalogue", description = "Items, people"),
        (name = "objectives", description = "Weights and presets"),
        (name = "models", description = "Runs that serve, and background training"),
        (name = "experiments", description = "Arms side by side"),
        (name = "operation", description = "Health and numbers")
    )
)]
struct Api;

/// What any route may answer instead.
pub(crate) struct Refusals;

impl utoipa::IntoResponses for Refusals {
    fn responses() -> BTreeMap<String, RefOr<utoipa::openapi::Response>> {
        [
            (400, "malformed"),
            (401, "an API key is needed"),
            (403, "the key's role does not allow this"),
            (404, "not there"),
            (405, "the route has no such method"),
            (408, "the body did not come in time"),
            (409, "does not go with what is there"),
            (413, "the body is too large"),
            (415, "expected application/json"),
            (422, "understood, but wrong"),
            (429, "too much at a time: again later"),
            (500, "a fault of the server"),
            (503, "not now: again later"),
        ]
        .into_iter()
        .map(|(status, what)| {
            let schema = Ref::from_schema_name(Problem::name());
            let content = ContentBuilder::new().schema(Some(RefOr::Ref(schema))).build();
            let response = ResponseBuilder::new()
                .description(what)
                .content("application/problem+json", content)
                .build();
            (status.to_string(), RefOr::T(response))
        })
        .collect()
    }
}

/// All routes and their description.
pub(crate) fn routes() -> (Router<Arc<App>>, utoipa::openapi::OpenApi) {
    let mut api = Api::openapi();
    api.info.version = env!("CARGO_PKG_VERSION").into();
    let (router, mut api) = OpenApiRouter::with_openapi(api)
        .routes(routes!(lists::recommend))
        .routes(routes!(lists::rank))
        .routes(routes!(alike::metarank))
        .routes(routes!(alike::gorse))
        .routes(routes!(events::post))
        .routes(routes!(items::search, items::bulk))
        .routes(routes!(items::get, items::put, items::patch, items::delete))
        .routes(routes!(users::search, users::bulk))
        .routes(routes!(users::get, users::put, users::patch, users::delete))
        .routes(routes!(presets::objectives))
        .routes(routes!(presets::list))
        .routes(routes!(presets::put, presets::delete))
        .routes(routes!(models::list))
        .routes(routes!(models::get))
        .routes(routes!(models::load))
        .routes(routes!(models::promote))
        .routes(routes!(models::rollback))
        .routes(routes!(models::trade_offs, train::trade_offs))
        .routes(routes!(train::get, train::post, train::delete))
        .routes(routes!(experiments::list))
        .routes(routes!(experiments::get, experiments::put, experiments::delete))
        .routes(routes!(experiments::stop))
        .routes(routes!(stats::stats))
        .routes(routes!(stats::stream))
        .routes(routes!(health::me))
        .routes(routes!(health::metrics))
        .routes(routes!(health::live))
        .routes(routes!(health::ready))
        .split_for_parts();
    let components = api.components.get_or_insert_default();
    components.schemas.insert(Problem::name().into(), <Problem as utoipa::PartialSchema>::schema());
    (router, api)
}

/// The whole service.
pub(crate) fn service(app: &Arc<App>) -> Router {
    let (router, api) = routes();
    let description: Arc<str> = api.to_json().expect("the description is JSON").into();
    let openapi = axum::routing::get(move || {
        let description = Arc::clone(&description);
        async move {
            ([(header::CONTENT_TYPE, "application/json")], HttpBody::from(description.to_string()))
        }
    });
    let mut router = router
        .route("/openapi.json", openapi)
        .merge(pages::routes())
        .route_layer(from_fn_with_state(Arc::clone(app), guard))
        .fallback(|| async { Problem::not_found("there is no such route; /docs has all") })
        .method_not_allowed_fallback(|| async {
            Problem::new(
                StatusCode::METHOD_NOT_ALLOWED,
                "the route has no such method; /docs has all",
            )
        })
        .layer(DefaultBodyLimit::max(app.config.body_kib << 10))
        .layer(from_fn_with_state(Arc::clone(app), measure))
        .layer(CatchPanicLayer::custom(|_: Box<dyn std::any::Any + Send>| {
            let what = "a fault of the server; its log tells more";
            Problem::new(StatusCode::INTERNAL_SERVER_ERROR, what).into_response()
        }));
    if !app.config.cors.is_empty() {
        let origins: Vec<HeaderValue> =
            app.config.cors.iter().filter_map(|origin| origin.parse().ok()).collect();
        router = router.layer(
            CorsLayer::new()
                .allow_origin(AllowOrigin::list(origins))
                .allow_methods([
                    Method::GET,
                    Method::POST,
                    Method::PUT,
                    Method::PATCH,
                    Method::DELETE,
                ])
                .allow_headers([
                    header::CONTENT_TYPE,
                    header::AUTHORIZATION,
                    header::HeaderName::from_static("x-api-key"),
                ]),
        );
    }
    router.with_state(Arc::clone(app))
}

/// The key of a call.
fn key(headers: &HeaderMap) -> Option<&str> {
    let own = headers.get("x-api-key").and_then(|value| value.to_str().ok());
    own.or_else(|| {
        let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
        let (scheme, key) = value.split_once(' ')?;
        scheme.eq_ignore_ascii_case("bearer").then(|| key.trim())
    })
}

/// Lets a call through whose key allows it.
async fn guard(
    State(app): Shared,
    path: MatchedPath,
    mut request: Request,
    next: Next,
) -> Response {
    let path = path.as_str();
    let method = match request.method() {
        &Method::HEAD => "GET",
        method => method.as_str(),
    };
    let open = OPEN.contains(&path) || pages::is_page(path);
    let asked = app.keys.are_asked_for();
    let role = match key(request.headers()) {
        _ if !asked => Some(Role::Admin),
        Some(key) => app.keys.role(key),
        None => None,
    };
    if !open {
        let rule = RULES.iter().find(|(m, p, _)| *m == method && *p == path);
        let problem = match (rule, role) {
            (None, _) => Some(Problem::new(
                StatusCode::FORBIDDEN,
                "nobody may call this route: it has no rule",
            )),
            (Some(_), None) => Some(
                Problem::new(StatusCode::UNAUTHORIZED, "expected a known API key")
                    .hint("send it as `X-API-Key: …` or `Authorization: Bearer …`"),
            ),
            (Some((.., needed)), Some(role)) if role < *needed => Some(Problem::new(
                StatusCode::FORBIDDEN,
                format!("expected a key of role {needed}, got one of role {role}"),
            )),
            _ => None,
        };
        if let Some(problem) = problem {
            let mut response = problem.into_response();
            if response.status() == StatusCode::UNAUTHORIZED {
                let bearer = HeaderValue::from_static("Bearer");
                response.headers_mut().insert(header::WWW_AUTHENTICATE, bearer);
            }
            return response;
        }
    }
    if let Some(role) = role {
        request.extensions_mut().insert(role);
    }
    next.run(request).await
}

/// Takes the time of every call, and gives every answer the headers that it must have.
async fn measure(State(app): Shared, request: Request, next: Next) -> Response {
    let started = Instant::now();
    let path = request.extensions().get::<MatchedPath>().map(|path| path.as_str().to_string());
    let path = path.unwrap_or_else(|| "other".into());
    let method = match *request.method() {
        Method::GET | Method::POST | Method::PUT | Method::PATCH | Method::DELETE => {
            request.method().to_string()
        }
        _ => "other".into(),
    };
    let trace = request
        .headers()
        .get("x-request-id")
        .filter(|id| id.len() <= 128 && id.to_str().is_ok())
        .cloned()
        .or_else(|| HeaderValue::from_str(&Origin::default().new_id()).ok());
    let mut response = next.run(request).await;
    let status = response.status().as_u16();
    let took = started.elapsed();
    let is_list = matches!(
        path.as_str(),
        "/v1/recommend" | "/v1/rank" | "/rank/{model}" | "/api/recommend/{user}"
    );
    if is_list {
        let origin = response.extensions_mut().remove::<Origin>().unwrap_or_default();
        let ms = took.as_secs_f64() * 1e3;
        app.live.note(crate::list_id::now(), &origin, Happened::Answered(status, ms));
    }
    let id = trace.as_ref().and_then(|id| id.to_str().ok()).unwrap_or("");
    tracing::debug!(
        method,
        route = path,
        status,
        us = took.as_micros() as u64,
        trace = id,
        "answered"
    );
    app.telemetry
        .requests
        .get_or_create(&Route { method, route: path, status })
        .observe(took.as_secs_f64());
    let headers = response.headers_mut();
    if let Some(trace) = trace {
        headers.insert("x-request-id", trace);
    }
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(header::X_FRAME_OPTIONS, HeaderValue::from_static("DENY"));
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    response
}

/// The body of a call, as JSON.
pub(crate) struct Body<T>(pub(crate) T);

impl<T: DeserializeOwned> FromRequest<Arc<App>> for Body<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &Arc<App>) -> Result<Self, Problem> {
        let kind = request.headers().get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
        let kind = kind.unwrap_or("").split(';').next().unwrap_or("").trim().to_ascii_lowercase();
        if kind != "application/json" && !kind.ends_with("+json") {
            return Err(Problem::new(
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                format!("expected application/json, got `{kind}`"),
            ));
        }
        let bytes = axum::body::Bytes::from_request(request, state);
        let seconds = state.config.read_seconds;
        let bytes =
            tokio::time::timeout(Duration::from_secs(seconds), bytes).await.map_err(|_| {
                let what = format!("expected the whole body within {seconds} s, got a part of it");
                Problem::new(StatusCode::REQUEST_TIMEOUT, what)
            })?;
        let bytes = bytes.map_err(|rejection| {
            let detail = match rejection.status() {
                StatusCode::PAYLOAD_TOO_LARGE => "the body is too large".to_string(),
                _ => rejection.body_text(),
            };
            Problem::new(rejection.status(), detail)
        })?;
        serde_json::from_slice(&bytes).map(Self).map_err(|error| {
            let status = if error.is_data() {
                StatusCode::UNPROCESSABLE_ENTITY
            } else {
                StatusCode::BAD_REQUEST
            };
            Problem::new(status, format!("the body: {error}"))
        })
    }
}

/// A body that may be left out.
impl<T: DeserializeOwned + Default> OptionalFromRequest<Arc<App>> for Body<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &Arc<App>) -> Result<Option<Self>, Problem> {
        if request.headers().contains_key(header::CONTENT_TYPE) {
            <Self as FromRequest<Arc<App>>>::from_request(request, state).await.map(Some)
        } else {
            Ok(None)
        }
    }
}

/// What stands behind the `?`.
pub(crate) struct Query<T>(pub(crate) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Query<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let query = axum::extract::Query::<T>::from_request_parts(parts, state).await;
        let query =
            query.map_err(|error| Problem::new(StatusCode::BAD_REQUEST, error.body_text()))?;
        Ok(Self(query.0))
    }
}

/// The name in a path.
pub(crate) struct Id(pub(crate) String);

/// Longest id in a path.
const LONGEST_ID: usize = 512;

impl<S: Send + Sync> FromRequestParts<S> for Id {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let path = axum::extract::Path::<String>::from_request_parts(parts, state).await;
        let id = path.map_err(|error| Problem::new(StatusCode::BAD_REQUEST, error.body_text()))?.0;
        check_id("id", &id)?;
        Ok(Self(id))
    }
}

/// That an id can be one.
pub(crate) fn check_id(key: &str, id: &str) -> Answer<()> {
    if id.is_empty() || id.len() > LONGEST_ID || id.contains('\0') {
        let got = if id.is_empty() { "an empty one".into() } else { format!("{} bytes", id.len()) };
        return Err(Problem::wrong(
            key,
            format!("expected an id of 1 to {LONGEST_ID} bytes without NUL, got {got}"),
        ));
    }
    Ok(())
}

/// Reads files: off the threads that answer.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Answer<T> + Send + 'static,
) -> Answer<T> {
    let failed = |_| Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "the work was cut short");
    tokio::task::spawn_blocking(work).await.map_err(failed)?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_route_has_a_rule_and_every_rule_a_route() {
        let (_, api) = routes();
        let mut described = Vec::new();
        for (path, item) in &api.paths.paths {
            for (method, operation) in [
                ("GET", &item.get),
                ("POST", &item.post),
                ("PUT", &item.put),
                ("PATCH", &item.patch),
                ("DELETE", &item.delete),
            ] {
                if let Some(operation) = operation {
                    assert!(operation.responses.responses.len() > 1, "{method} {path}: statuses");
                    described.push((method, path.as_str()));
                }
            }
        }
        for (method, path) in &described {
            let ruled = RULES.iter().any(|(m, p, _)| m == method && p == path);
            assert!(ruled || OPEN.contains(path), "{method} {path} has no rule");
        }
        for (method, path, _) in RULES {
            assert!(described.contains(&(method, path)), "{method} {path} is not described");
        }
    }
}
