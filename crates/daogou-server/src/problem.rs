//! What a caller is told when something is not done: `application/problem+json` (RFC 9457).

use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use utoipa::ToSchema;

use crate::store::StoreError;

/// Why a request was not answered.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct Problem {
    /// The status in words.
    pub title: String,
    /// HTTP status.
    pub status: u16,
    /// What happened: expected and got.
    pub detail: String,
    /// The key of the request that it is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// How to mend it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
    #[serde(skip)]
    retry_after: bool,
}

/// The answer, or why there is none.
pub(crate) type Answer<T> = Result<T, Problem>;

impl Problem {
    pub(crate) fn new(status: StatusCode, detail: impl Into<String>) -> Self {
        Self {
            title: status.canonical_reason().unwrap_or("error").to_string(),
            status: status.as_u16(),
            detail: detail.into(),
            key: None,
            hint: None,
            retry_after: false,
        }
    }

    /// Understood, but wrong.
    pub(crate) fn wrong(key: impl Into<String>, detail: impl Into<String>) -> Self {
        Self { key: Some(key.into()), ..Self::new(StatusCode::UNPROCESSABLE_ENTITY, detail) }
    }

    pub(crate) fn not_found(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, detail)
    }

    pub(crate) fn conflict(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::CONFLICT, detail)
    }

    /// Not now: a little later it may work.
    pub(crate) fn unavailable(detail: impl Into<String>) -> Self {
        Self { retry_after: true, ..Self::new(StatusCode::SERVICE_UNAVAILABLE, detail) }
    }

    /// Too many at a time.
    pub(crate) fn busy(detail: impl Into<String>) -> Self {
        Self { retry_after: true, ..Self::new(StatusCode::TOO_MANY_REQUESTS, detail) }
    }

    pub(crate) fn hint(self, hint: impl Into<String>) -> Self {
        Self { hint: Some(hint.into()), ..self }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let retry = self.retry_after;
        let mut response = (status, Json(self)).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        if retry {
            headers.insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
        }
        response
    }
}

impl From<daogou::Error> for Problem {
    fn from(error: daogou::Error) -> Self {
        let key = match &error {
            daogou::Error::Config { key, .. } => Some(key.clone()),
            _ => None,
        };
        // The key stands by itself.
        let said = error.to_string();
        let prefix = key.as_ref().map(|key| format!("config key `{key}`: "));
        let detail = prefix.and_then(|prefix| said.strip_prefix(&prefix).map(str::to_string));
        let mut problem = Self::new(StatusCode::UNPROCESSABLE_ENTITY, detail.unwrap_or(said));
        problem.key = key;
        problem.hint = error.hint().map(str::to_string);
        problem
    }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        let mut problem = match &error {
            StoreError::Invalid { key, expected, got } => {
                Self::wrong(key.clone(), format!("expected {expected}, got {got}"))
            }
            StoreError::Conflict { .. } => Self::conflict(error.to_string()),
            _ => Self::unavailable(error.to_string()),
        };
        problem.hint = error.hint().map(str::to_string);
        problem
    }
}
