//! What people did: the log that everything is learned from.

use serde::{Deserialize, Serialize};

use super::error::{Result, StoreError};

/// Bytes of an id at most.
pub const MAX_ID: usize = 512;
/// Bytes of an event's type at most.
pub const MAX_KIND: usize = 64;
/// Bytes of an event's context at most, as JSON.
pub const MAX_CONTEXT: usize = 4096;
/// The latest time of an event, in the year 5138. Larger numbers are read as milliseconds elsewhere.
pub const MAX_TIME: i64 = 99_999_999_999;

/// Something a person did with an item, or an item that was shown.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Event {
    /// Chosen by the sender. A second event of the same id changes nothing.
    pub id: String,
    /// `impression`, `click`, `cart`, `purchase`, or anything else.
    #[serde(rename = "type")]
    pub kind: String,
    /// Who.
    pub user: String,
    /// With what.
    pub item: String,
    /// When, in Unix seconds by the sender's clock.
    pub timestamp: i64,
    /// The list it belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request: Option<String>,
    /// Place in that list, from 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub position: Option<u32>,
    /// What it was worth, e.g. the price paid.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<f64>,
    /// Context of the request, by column name of the log.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub context: Option<Context>,
}

/// Values of context columns.
pub type Context = std::collections::BTreeMap<String, serde_json::Value>;

/// What became of an appended event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It is stored now.
    New,
    /// One of the same id was stored before and stays as it was.
    Duplicate,
}

/// A place in the order of arrival. [`Cursor::START`] is before the first event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Cursor(pub(super) i64);

impl Cursor {
    /// Before the first event.
    pub const START: Self = Self(0);
}

impl Event {
    /// Whether it can be stored; the error names the key.
    pub fn check(&self) -> Result<()> {
        text("id", &self.id, MAX_ID)?;
        text("type", &self.kind, MAX_KIND)?;
        text("user", &self.user, MAX_ID)?;
        text("item", &self.item, MAX_ID)?;
        if !(0..=MAX_TIME).contains(&self.timestamp) {
            return Err(StoreError::invalid(
                "timestamp",
                format!("Unix seconds from 0 to {MAX_TIME}"),
                self.timestamp.to_string(),
            ));
        }
        if let Some(request) = &self.request {
            text("request", request, MAX_ID)?;
        }
        if self.position == Some(0) {
            return Err(StoreError::invalid("position", "a place in the list from 1", "0"));
        }
        if let Some(context) = &self.context {
            for (name, value) in context {
                if value.is_array() || value.is_object() {
                    let key = format!("context.{name}");
                    return Err(StoreError::invalid(key, "text or a number", value.to_string()));
                }
            }
            let size = self.context_text().map_or(0, |text| text.len());
            if size > MAX_CONTEXT {
                let expected = format!("at most {MAX_CONTEXT} bytes of JSON");
                return Err(StoreError::invalid("context", expected, format!("{size} bytes")));
            }
        }
        match self.value {
            Some(value) if !value.is_finite() => {
                Err(StoreError::invalid("value", "a finite number", value.to_string()))
            }
            _ => Ok(()),
        }
    }

    /// The context as the table has it. PostgreSQL has no NUL in its texts, nor has JSON unescaped.
    pub(super) fn context_text(&self) -> Option<String> {
        let context = self.context.as_ref().filter(|context| !context.is_empty())?;
        Some(serde_json::to_string(context).expect("texts and numbers are JSON"))
    }

    /// About how many bytes it takes while it waits.
    pub(super) fn weight(&self) -> usize {
        let request = self.request.as_ref().map_or(0, String::len);
        let context = self.context_text().map_or(0, |text| 2 * text.len());
        size_of::<Self>()
            + context
            + self.id.len()
            + self.kind.len()
            + self.user.len()
            + self.item.len()
            + request
    }
}

/// Whether a database can hold this as an id.
pub(super) fn text(key: &str, value: &str, most: usize) -> Result<()> {
    if value.is_empty() {
        return Err(StoreError::invalid(key, "a text", "an empty one"));
    }
    if value.len() > most {
        let got = format!("{} bytes", value.len());
        return Err(StoreError::invalid(key, format!("at most {most} bytes"), got));
    }
    if value.contains('\0') {
        // PostgreSQL has no such character.
        return Err(StoreError::invalid(key, "a text without NUL characters", "one with"));
    }
    Ok(())
}

/// A row of the table, as both databases give it.
pub(super) type EventRow = (
    i64,
    String,
    String,
    String,
    String,
    i64,
    Option<String>,
    Option<i64>,
    Option<f64>,
    Option<String>,
);

pub(super) fn from_row(row: EventRow) -> (Cursor, Event) {
    let (arrival, id, kind, user, item, timestamp, request, position, value, context) = row;
    let context = context.and_then(|text| serde_json::from_str(&text).ok());
    let position = position.and_then(|position| u32::try_from(position).ok());
    (Cursor(arrival), Event { id, kind, user, item, timestamp, request, position, value, context })
}
