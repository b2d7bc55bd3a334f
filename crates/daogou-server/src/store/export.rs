//! All events as a file, in the order of their arrival.

use std::path::Path;
use std::sync::Arc;

use arrow_array::{ArrayRef, Float64Array, Int64Array, StringArray, TimestampMillisecondArray};
use serde::Serialize;

use super::error::Result;
use super::event::{Cursor, Event};
use super::table_file::{Row, TableFile, Type};
use super::{PAGE, Store, blocking};

/// An event as a row.
#[derive(Serialize)]
struct EventRecord {
    event_id: String,
    r#type: String,
    user_id: String,
    item_id: String,
    time: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    request_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    position: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    value: Option<f64>,
    context: Option<String>,
}

impl From<Event> for EventRecord {
    fn from(event: Event) -> Self {
        let context = event.context_text();
        Self {
            event_id: event.id,
            r#type: event.kind,
            user_id: event.user,
            item_id: event.item,
            time: event.timestamp,
            request_id: event.request,
            position: event.position,
            value: event.value,
            context,
        }
    }
}

impl Row for EventRecord {
    const COLUMNS: &'static [(&'static str, Type, bool)] = &[
        ("event_id", Type::Text, false),
        ("type", Type::Text, false),
        ("user_id", Type::Text, false),
        ("item_id", Type::Text, false),
        ("time", Type::Time, false),
        ("request_id", Type::Text, true),
        ("position", Type::Whole, true),
        ("value", Type::Number, true),
        ("context", Type::Text, true),
    ];

    fn columns(rows: &[Self]) -> Vec<ArrayRef> {
        let texts = |of: fn(&Self) -> &str| -> ArrayRef {
            Arc::new(StringArray::from_iter_values(rows.iter().map(of)))
        };
        let times = TimestampMillisecondArray::from_iter_values(rows.iter().map(|r| r.time * 1000));
        vec![
            texts(|row| &row.event_id),
            texts(|row| &row.r#type),
            texts(|row| &row.user_id),
            texts(|row| &row.item_id),
            Arc::new(times.with_timezone("UTC")),
            Arc::new(rows.iter().map(|row| row.request_id.as_deref()).collect::<StringArray>()),
            Arc::new(rows.iter().map(|row| row.position.map(i64::from)).collect::<Int64Array>()),
            Arc::new(rows.iter().map(|row| row.value).collect::<Float64Array>()),
            Arc::new(rows.iter().map(|row| row.context.as_deref()).collect::<StringArray>()),
        ]
    }
}

impl Store {
    /// Writes all events that are there now to a file, `.parquet` or `.jsonl` by its name, in the order of their
    /// arrival, and returns how many there are. Columns: `event_id`, `type`, `user_id`, `item_id`, `time`,
    /// `request_id`, `position`, `value`, `context` (JSON). Memory: one page of events and one row group.
    pub async fn export_events(&self, path: &Path) -> Result<u64> {
        let head = self.head().await?;
        let path = path.to_owned();
        let mut file = blocking(move || TableFile::create::<EventRecord>(&path)).await?;
        let (mut cursor, mut count) = (Cursor::START, 0);
        // Events that arrive meanwhile are left to the next export.
        while cursor < head {
            let (events, next) = self.events_until(cursor, head, PAGE).await?;
            if events.is_empty() {
                break;
            }
            count += events.len() as u64;
            cursor = next;
            file = blocking(move || {
                let rows: Vec<EventRecord> = events.into_iter().map(Into::into).collect();
                file.write(&rows).map(|()| file)
            })
            .await?;
        }
        blocking(move || file.finish()).await?;
        Ok(count)
    }
}
