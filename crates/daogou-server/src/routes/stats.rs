//! What happens now.

use std::convert::Infallible;
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::response::sse::{Event, KeepAlive, Sse};
use serde::Deserialize;
use tokio::sync::broadcast::error::RecvError;
use tokio::time::{Instant, sleep_until};
use tokio_stream::Stream;
use utoipa::{IntoParams, ToSchema};

use super::{Query, Refusals, Shared};
use crate::list_id::now;
use crate::live::Stats;
use crate::problem::{Answer, Problem};

/// How far back.
#[derive(Clone, Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(crate) struct Minutes {
    /// From 1 to 60; 60 where it is left out.
    #[serde(default)]
    #[param(minimum = 1, maximum = 60)]
    pub(crate) minutes: Option<i64>,
}

/// The last minutes, in steps
#[utoipa::path(
    get,
    path = "/v1/stats",
    tag = "operation",
    params(Minutes),
    responses((status = 200, description = "steps in which something happened", body = Stats), Refusals)
)]
pub(crate) async fn stats(
    State(app): Shared,
    Query(Minutes { minutes }): Query<Minutes>,
) -> Answer<Json<Stats>> {
    let minutes = minutes.unwrap_or(60);
    if !(1..=60).contains(&minutes) {
        return Err(Problem::wrong("minutes", format!("expected 1 to 60, got {minutes}")));
    }
    Ok(Json(app.live.stats(now(), minutes)))
}

/// A server-sent event.
#[derive(ToSchema)]
#[allow(dead_code, reason = "describes what is written line by line")]
pub(crate) struct Told {
    /// stats, job, models, presets, experiments or items.
    event: String,
    /// JSON.
    data: String,
}

/// What changes, as it changes
///
/// Server-sent events: `stats` every second with the last steps, `job`, `models`, `presets`, `experiments`, `items`.
#[utoipa::path(
    get,
    path = "/v1/stream",
    tag = "operation",
    responses(
        (status = 200, description = "server-sent events", content_type = "text/event-stream", body = Told),
        Refusals
    )
)]
pub(crate) async fn stream(
    State(app): Shared,
) -> Sse<impl Stream<Item = Result<Event, Infallible>>> {
    let (sender, events) = tokio::sync::mpsc::channel(64);
    let mut notices = app.notices.subscribe();
    // A watcher must not keep the server alive.
    let app = std::sync::Arc::downgrade(&app);
    tokio::spawn(async move {
        let mut tick = Instant::now();
        loop {
            let event = tokio::select! {
                () = sleep_until(tick) => {
                    tick += Duration::from_secs(1);
                    let Some(app) = app.upgrade() else { return };
                    if app.is_draining() {
                        return;
                    }
                    Event::default().event("stats").json_data(app.live.stats(now(), 1))
                }
                notice = notices.recv() => match notice {
                    Ok(notice) => Event::default().event(notice.event).json_data(&*notice.data),
                    Err(RecvError::Lagged(_)) => continue,
                    Err(RecvError::Closed) => return,
                },
            };
            let Ok(event) = event else { return };
            if sender.send(Ok(event)).await.is_err() {
                return;
            }
        }
    });
    Sse::new(tokio_stream::wrappers::ReceiverStream::new(events)).keep_alive(KeepAlive::default())
}
