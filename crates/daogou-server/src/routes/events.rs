//! What people were shown and did.

use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use super::{Body, Refusals, Shared};
use crate::list_id::now;
use crate::problem::{Answer, Problem};
use crate::store::{Event, Outcome, StoreError};

/// Seconds that a clock may be ahead of ours.
const AHEAD: i64 = 86_400;

/// The largest value of an event: sums of squares of such values are still numbers.
const LARGEST: f64 = 1e15;

/// Events.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct EventsBody {
    /// Each by itself: `{"id", "type", "user", "item", "timestamp", "request"?, "position"?, "value"?, "context"?}`.
    #[schema(value_type = Vec<EventBody>)]
    pub(crate) events: Vec<Value>,
}

/// An event.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[allow(dead_code, reason = "describes what is read one by one")]
pub(crate) struct EventBody {
    /// Chosen by the sender; a second event of the same id changes nothing.
    pub(crate) id: String,
    /// impression, click, cart, purchase, or anything else.
    #[serde(rename = "type")]
    pub(crate) kind: String,
    pub(crate) user: String,
    pub(crate) item: String,
    /// Unix seconds, or RFC 3339.
    #[schema(value_type = i64)]
    pub(crate) timestamp: Value,
    /// Id of the list.
    #[serde(default)]
    pub(crate) request: Option<String>,
    /// Place in the list, from 1.
    #[serde(default)]
    pub(crate) position: Option<u32>,
    /// What it was worth.
    #[serde(default)]
    pub(crate) value: Option<f64>,
    /// Context of the request, as in recommend; kept for training.
    #[serde(default)]
    #[schema(value_type = Option<Object>)]
    pub(crate) context: Option<std::collections::BTreeMap<String, Value>>,
}

/// What became of events.
#[derive(Clone, Debug, Default, Serialize, ToSchema)]
pub(crate) struct EventsAnswer {
    /// Stored now.
    pub(crate) accepted: usize,
    /// Stored before.
    pub(crate) duplicates: usize,
    /// Not stored, and why.
    pub(crate) rejected: Vec<Rejected>,
}

/// Something in a batch that was not taken.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct Rejected {
    /// Place in the batch, from 0.
    pub(crate) index: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) key: Option<String>,
    /// Expected and got.
    pub(crate) detail: String,
}

/// An event of the body, ready for the store.
fn event(mut value: Value, now: i64) -> Result<Event, (Option<String>, String)> {
    if let Some(time) = value.get_mut("timestamp")
        && let Some(text) = time.as_str()
    {
        let wrong = || {
            let got = format!("expected Unix seconds or RFC 3339, got `{text}`");
            (Some("timestamp".to_string()), got)
        };
        *time = daogou::instant(text).ok_or_else(wrong)?.into();
    }
    let event: Event = serde_json::from_value(value).map_err(|error| (None, error.to_string()))?;
    event.check().map_err(|error| match error {
        StoreError::Invalid { key, expected, got } => {
            (Some(key), format!("expected {expected}, got {got}"))
        }
        other => (None, other.to_string()),
    })?;
    if let Some(value) = event.value.filter(|value| value.abs() > LARGEST) {
        let expected = format!("expected a value of at most {LARGEST:e}, got {value:e}");
        return Err((Some("value".into()), expected));
    }
    if event.timestamp > now + AHEAD {
        let got = event.timestamp;
        return Err((
            Some("timestamp".into()),
            format!("expected a time up to a day ahead ({}), got {got}", now + AHEAD),
        ));
    }
    Ok(event)
}

/// Report events
///
/// Answered after they are stored. Events count once, however often they are sent. A bad event is named and the others are
/// stored.
#[utoipa::path(
    post,
    path = "/v1/events",
    tag = "events",
    request_body = EventsBody,
    responses((status = 200, description = "what became of them", body = EventsAnswer), Refusals)
)]
pub(crate) async fn post(
    State(app): Shared,
    Body(body): Body<EventsBody>,
) -> Answer<Json<EventsAnswer>> {
    let (most, got) = (app.config.batch, body.events.len());
    if got > most {
        return Err(Problem::wrong("events", format!("expected at most {most} events, got {got}"))
            .hint("send them in several calls"));
    }
    let now = now();
    let mut answer = EventsAnswer::default();
    let mut good = Vec::with_capacity(got);
    for (index, value) in body.events.into_iter().enumerate() {
        let id = value.get("id").and_then(Value::as_str).map(str::to_string);
        match event(value, now) {
            Ok(event) => good.push(event),
            Err((key, detail)) => answer.rejected.push(Rejected { index, id, key, detail }),
        }
    }
    if !good.is_empty() {
        for outcome in app.append(good).await? {
            match outcome {
                Outcome::New => answer.accepted += 1,
                Outcome::Duplicate => answer.duplicates += 1,
            }
        }
    }
    let rejected = crate::telemetry::Outcome { outcome: "rejected" };
    app.telemetry.events.get_or_create(&rejected).inc_by(answer.rejected.len() as u64);
    Ok(Json(answer))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    const NOW: i64 = 1_700_000_000;

    /// Anything that JSON can say, or nearly an event.
    fn anything() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<f64>().prop_map(|number| json!(number)),
            ".{0,12}".prop_map(Value::from),
        ];
        let tree = leaf.prop_recursive(4, 32, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::btree_map(".{0,6}", inner, 0..4)
                    .prop_map(|fields| Value::Object(fields.into_iter().collect())),
            ]
        });
        let good = json!({"id": "e1", "type": "click", "user": "u", "item": "i", "timestamp": NOW,
            "request": "r", "position": 1, "value": 2.5, "context": {"hour": 3}});
        let key =
            prop::sample::select(good.as_object().unwrap().keys().cloned().collect::<Vec<_>>());
        let nearly = (key, tree.clone()).prop_map(move |(key, value)| {
            let mut event = good.clone();
            event[key] = value;
            event
        });
        prop_oneof![tree, nearly]
    }

    proptest! {
        /// It is stored as it was sent, or refused in words.
        #[test]
        fn whatever_is_sent_is_an_event_or_refused_in_words(value in anything()) {
            match event(value.clone(), NOW) {
                Ok(event) => {
                    prop_assert_eq!(&event.id, value["id"].as_str().unwrap());
                    prop_assert!(!event.user.is_empty() && !event.item.is_empty());
                    prop_assert!(event.timestamp <= NOW + AHEAD);
                    prop_assert!(event.value.is_none_or(|value| value.abs() <= LARGEST));
                }
                Err((_, why)) => prop_assert!(!why.is_empty()),
            }
        }

        /// Dates as people write them mean what the seconds say.
        #[test]
        fn times_are_seconds_or_dates(seconds in 0i64..NOW) {
            let sent = |timestamp: Value| {
                event(json!({"id": "e", "type": "click", "user": "u", "item": "i",
                    "timestamp": timestamp}), NOW)
            };
            let as_date = sent(daogou::rfc3339(seconds).into()).map(|event| event.timestamp);
            prop_assert_eq!(as_date, Ok(seconds));
            prop_assert_eq!(sent(seconds.into()).map(|event| event.timestamp), Ok(seconds));
        }
    }
}
