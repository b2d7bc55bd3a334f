//! The store: events that people cause, and documents about items, people and settings, in an SQLite file or a
//! PostgreSQL database.
//!
//! What is promised:
//!
//! * An event is acknowledged after its commit, and then survives a crash of the process or a power cut.
//! * An event counts once, however often it is sent, also at once from several places. What was stored first stays.
//! * Whoever reads events or documents in their order and goes on from where it stopped misses none, also when several
//!   processes write to one database. A sequence alone does not give that: a number may become visible after a higher
//!   one. So numbers are taken from a row that stays locked until the commit.
//! * Nothing waits without end: each call has a time limit, and what waits to be written has a limit in bytes.
//! * When the database was away and is back, everything works again.

mod database;
mod document;
mod error;
mod event;
mod export;
mod impressions;
mod migrate;
mod postgres;
mod retention;
mod sqlite;
mod table_file;
mod writer;

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use sqlx::Connection;
use tokio::task::JoinHandle;

pub use document::{Change, Document, Kind, MAX_DOCUMENT};
pub use error::{Result, StoreError};
pub use event::{Context, Cursor, Event, MAX_CONTEXT, MAX_ID, MAX_KIND, MAX_TIME, Outcome};
pub use impressions::{Attribution, Impression, Joined, join};

use database::{Database, Dialect, on};
use document::DocumentRow;
use event::EventRow;
use writer::Writer;

/// Rows that one call returns at most.
pub const PAGE: usize = 10_000;

/// How a store behaves.
#[derive(Debug, Clone)]
pub struct StoreOptions {
    /// How long a call may take before it is refused.
    pub timeout: Duration,
    /// How long an export may take at most per statement; some look at all events.
    pub long_timeout: Duration,
    /// Bytes of events and documents that may wait to be written.
    pub queue_bytes: usize,
    /// Connections for reading.
    pub readers: u32,
    /// The most that an SQLite file may hold. `None`: what the disk holds.
    pub max_bytes: Option<u64>,
}

impl Default for StoreOptions {
    fn default() -> Self {
        Self {
            timeout: Duration::from_secs(5),
            long_timeout: Duration::from_mins(30),
            queue_bytes: 32 << 20,
            readers: 4,
            max_bytes: None,
        }
    }
}

/// An open store. Clones share it.
#[derive(Debug, Clone)]
pub struct Store(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    database: Arc<Database>,
    options: StoreOptions,
    /// `None` once the store is closed.
    writer: Mutex<Option<Arc<Writer>>>,
    task: Mutex<Option<JoinHandle<()>>>,
}

impl Store {
    /// Opens a store, and makes it where there is none: `sqlite:PATH` or a path, `sqlite::memory:`, or `postgres://…`.
    /// What belongs to another program or a newer version is refused and left as it is.
    pub async fn open(url: &str, options: &StoreOptions) -> Result<Self> {
        let path = url.strip_prefix("sqlite:").map(|rest| rest.strip_prefix("//").unwrap_or(rest));
        let database = match path {
            Some(":memory:") => sqlite::open_in_memory(options).await?,
            Some(path) if !path.is_empty() => sqlite::open(Path::new(path), options).await?,
            None if url.starts_with("postgres://") || url.starts_with("postgresql://") => {
                postgres::open(url, options).await?
            }
            None if !url.is_empty() && !url.contains("://") => {
                sqlite::open(Path::new(url), options).await?
            }
            _ => {
                // What is after the scheme may hold a password.
                let got = url.split_once("://").map_or(url, |(scheme, _)| scheme);
                return Err(StoreError::invalid(
                    "store",
                    "a path, `sqlite:PATH`, `sqlite::memory:` or `postgres://…`",
                    format!("`{got}`"),
                ));
            }
        };
        let database = Arc::new(database);
        let (writer, task) =
            Writer::start(Arc::clone(&database), options.queue_bytes, options.timeout);
        Ok(Self(Arc::new(Inner {
            database,
            options: options.clone(),
            writer: Mutex::new(Some(Arc::new(writer))),
            task: Mutex::new(Some(task)),
        })))
    }

    /// Stores events and returns after their commit what became of each. All of them are stored, or none.
    pub async fn append(&self, events: Vec<Event>) -> Result<Vec<Outcome>> {
        self.writer()?.append(events).await
    }

    /// Writes documents, all of them or none, and returns the last revision given to them. Where a document occurs
    /// twice, the last counts.
    pub async fn put(&self, changes: Vec<Change>) -> Result<i64> {
        self.writer()?.put(changes).await
    }

    fn writer(&self) -> Result<Arc<Writer>> {
        let writer = self.0.writer.lock().unwrap_or_else(PoisonError::into_inner);
        writer.clone().ok_or_else(|| StoreError::unavailable("the store is closed"))
    }

    /// A document, unless there is none or it was deleted.
    pub async fn get(&self, kind: Kind, id: &str) -> Result<Option<Document>> {
        const SQL: &str = "SELECT kind, id, body, revision, written FROM daogou_document \
                           WHERE kind = $1 AND id = $2 AND body IS NOT NULL";
        let row: Option<DocumentRow> =
            on!(&*self.0.database, readers, self.0.options.timeout, |pools, connection| {
                sqlx::query_as(SQL).bind(kind.name()).bind(id).fetch_optional(connection).await
            })?;
        row.map(document::from_row).transpose()
    }

    /// Documents of a kind written after a revision, deletions too, in the order of revisions: at most `limit` and
    /// [`PAGE`]. Go on from the revision of the last.
    pub async fn documents(&self, kind: Kind, after: i64, limit: usize) -> Result<Vec<Document>> {
        const SQL: &str = "SELECT kind, id, body, revision, written FROM daogou_document \
                           WHERE kind = $1 AND revision > $2 ORDER BY revision LIMIT $3";
        let limit = limit.min(PAGE) as i64;
        let rows: Vec<DocumentRow> =
            on!(&*self.0.database, readers, self.0.options.timeout, |pools, connection| {
                (sqlx::query_as(SQL).bind(kind.name()).bind(after).bind(limit))
                    .fetch_all(connection)
                    .await
            })?;
        rows.into_iter().map(document::from_row).collect()
    }

    /// The same of all kinds: how a replica follows what others write.
    pub async fn changes(&self, after: i64, limit: usize) -> Result<Vec<Document>> {
        const SQL: &str = "SELECT kind, id, body, revision, written FROM daogou_document \
                           WHERE revision > $1 ORDER BY revision LIMIT $2";
        let limit = limit.min(PAGE) as i64;
        let rows: Vec<DocumentRow> =
            on!(&*self.0.database, readers, self.0.options.timeout, |pools, connection| {
                sqlx::query_as(SQL).bind(after).bind(limit).fetch_all(connection).await
            })?;
        rows.into_iter().map(document::from_row).collect()
    }

    /// A revision that no document is beyond.
    pub async fn revision(&self) -> Result<i64> {
        self.last("document").await
    }

    /// A place in the order of arrival that no event is beyond.
    pub async fn head(&self) -> Result<Cursor> {
        self.last("event").await.map(Cursor)
    }

    async fn last(&self, name: &'static str) -> Result<i64> {
        on!(&*self.0.database, readers, self.0.options.timeout, |pools, connection| {
            sqlx::query_scalar("SELECT last FROM daogou_counter WHERE name = $1")
                .bind(name)
                .fetch_one(connection)
                .await
        })
    }

    /// Documents of a kind with this text in their id or in one of their texts, whatever the case, by id, and how many
    /// there are in all. An empty text finds all. It reads all documents of the kind.
    pub async fn search(
        &self,
        kind: Kind,
        text: &str,
        limit: usize,
        offset: usize,
    ) -> Result<(Vec<Document>, u64)> {
        const FOUND: &str = "SELECT kind, id, body, revision, written FROM daogou_document \
                             WHERE kind = $1 AND body IS NOT NULL AND words LIKE $2 ESCAPE '\\' \
                             ORDER BY id LIMIT $3 OFFSET $4";
        const COUNT: &str = "SELECT COUNT(*) FROM daogou_document \
                             WHERE kind = $1 AND body IS NOT NULL AND words LIKE $2 ESCAPE '\\'";
        if text.len() > MAX_ID {
            let got = format!("{} bytes", text.len());
            return Err(StoreError::invalid("query", format!("at most {MAX_ID} bytes"), got));
        }
        let (pattern, kind) = (document::pattern(text), kind.name());
        let (limit, offset) = (limit.min(PAGE) as i64, i64::try_from(offset).unwrap_or(i64::MAX));
        let (rows, total): (Vec<DocumentRow>, i64) =
            on!(&*self.0.database, readers, self.0.options.timeout, |pools, connection| {
                let total = sqlx::query_scalar(COUNT)
                    .bind(kind)
                    .bind(&pattern)
                    .fetch_one(&mut *connection)
                    .await?;
                let rows =
                    (sqlx::query_as(FOUND).bind(kind).bind(&pattern).bind(limit).bind(offset))
                        .fetch_all(connection)
                        .await?;
                Ok((rows, total))
            })?;
        let found = rows.into_iter().map(document::from_row).collect::<Result<_>>()?;
        Ok((found, total as u64))
    }

    /// The newest events of a person that are later than a time: at most `limit` and [`PAGE`], oldest first.
    pub async fn events_of(&self, user: &str, after_time: i64, limit: usize) -> Result<Vec<Event>> {
        const SQL: &str = "SELECT arrival, id, kind, user_id, item_id, time, request_id, position, \
                           value, context FROM daogou_event WHERE user_id = $1 AND time > $2 \
                           ORDER BY time DESC, arrival DESC LIMIT $3";
        let limit = limit.min(PAGE) as i64;
        let rows: Vec<EventRow> =
            on!(&*self.0.database, readers, self.0.options.timeout, |pools, connection| {
                (sqlx::query_as(SQL).bind(user).bind(after_time).bind(limit))
                    .fetch_all(connection)
                    .await
            })?;
        Ok(rows.into_iter().rev().map(|row| event::from_row(row).1).collect())
    }

    /// Events in the order of their arrival from a place on: at most `limit` and [`PAGE`], and the place to go on from.
    /// There are no more where none came.
    pub async fn events(&self, after: Cursor, limit: usize) -> Result<(Vec<Event>, Cursor)> {
        self.events_until(after, Cursor(i64::MAX), limit).await
    }

    async fn events_until(
        &self,
        after: Cursor,
        last: Cursor,
        limit: usize,
    ) -> Result<(Vec<Event>, Cursor)> {
        const SQL: &str = "SELECT arrival, id, kind, user_id, item_id, time, request_id, position, \
                           value, context FROM daogou_event WHERE arrival > $1 AND arrival <= $2 \
                           ORDER BY arrival LIMIT $3";
        let limit = limit.min(PAGE) as i64;
        let rows: Vec<EventRow> =
            on!(&*self.0.database, readers, self.0.options.timeout, |pools, connection| {
                (sqlx::query_as(SQL).bind(after.0).bind(last.0).bind(limit))
                    .fetch_all(connection)
                    .await
            })?;
        let next = rows.last().map_or(after, |row| Cursor(row.0));
        Ok((rows.into_iter().map(|row| event::from_row(row).1).collect(), next))
    }

    /// Whether the store can be read and written now.
    pub async fn check(&self) -> Result<()> {
        const WRITE: &str = "UPDATE daogou_counter SET last = last + 1 WHERE name = 'check'";
        let full = on!(&*self.0.database, writers, self.0.options.timeout, |pools, connection| {
            let mut transaction = connection.begin_with(pools.begin).await?;
            sqlx::query(WRITE).execute(&mut *transaction).await?;
            let full = transaction.full().await?;
            transaction.commit().await?;
            Ok(full)
        })?;
        full.map_or(Ok(()), |reason| Err(StoreError::unavailable(reason)))
    }

    /// Writes what waits, then ends all connections. Calls after that are refused. It is not needed for safety: what
    /// was acknowledged is safe without.
    pub async fn close(&self) {
        let writer = self.0.writer.lock().unwrap_or_else(PoisonError::into_inner).take();
        drop(writer);
        let task = self.0.task.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(task) = task {
            // Callers that are waiting hold the writer; each has a time limit, so this ends.
            let _ = task.await;
        }
        let tidied: Result<()> =
            on!(&*self.0.database, writers, self.0.options.timeout, |pools, connection| {
                connection.tidy().await
            });
        // A log that was not moved into the file is moved at the next start.
        drop(tidied);
        self.0.database.close().await;
    }
}

/// Work that would keep other tasks waiting: files and joins.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T> + Send + 'static,
) -> Result<T> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|error| StoreError::unavailable(format!("the work was cut short: {error}")))?
}
