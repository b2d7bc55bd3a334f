//! A store in an SQLite file.
//!
//! The file is in WAL mode with `synchronous = FULL`: a commit returns when the log is on the disk, so an acknowledged
//! event survives a power cut. `NORMAL` would leave out that wait; commits would be faster, the file would stay
//! consistent, but a power cut could take back what was acknowledged in the last moments before it. Group commit pays
//! for the wait: it is one per group, not one per event.

use std::collections::HashSet;
use std::path::Path;
use std::time::{Duration, Instant};

use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{ConnectOptions, Connection, Executor, QueryBuilder, Sqlite, SqliteConnection};

use super::StoreOptions;
use super::database::{Database, Dialect, Pools};
use super::document::Encoded;
use super::error::{Result, StoreError};
use super::event::Event;
use super::migrate;

/// Bytes of a page.
const PAGE: u64 = 4096;
/// Rows of an INSERT at most. All sizes are powers of two, so few statements are prepared.
const ROWS: usize = 128;
/// A file with fewer pages left than this counts as full: a group of events may need several.
const LEFT: i64 = 32;
/// The log is cut back to this after a burst.
const LOG: u64 = 64 << 20;

/// Opens a file, or makes it.
pub(super) async fn open(path: &Path, options: &StoreOptions) -> Result<Database> {
    let place = path.display().to_string();
    let (busy, closed) = (options.timeout.mul_f64(0.8), options.timeout);
    // SQLite takes `file:` for the scheme of an URI.
    let filename = if place.starts_with("file:") { Path::new(".").join(path) } else { path.into() };
    let plain = SqliteConnectOptions::new()
        .filename(filename)
        .busy_timeout(busy)
        .pragma("secure_delete", "ON")
        .pragma("journal_size_limit", LOG.to_string());
    look(&plain, path, &place).await?;
    let mut writing = plain
        .clone()
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full);
    if let Some(bytes) = options.max_bytes {
        writing = writing.pragma("max_page_count", (bytes / PAGE).max(1).to_string());
    }
    prepare(&writing, &place, options.timeout).await?;
    let writers = SqlitePoolOptions::new()
        .max_connections(1)
        .acquire_timeout(closed)
        .connect_lazy_with(writing);
    let readers = SqlitePoolOptions::new()
        .max_connections(options.readers.max(1))
        .acquire_timeout(closed)
        .connect_lazy_with(plain.read_only(true));
    Ok(Database::Sqlite(Pools {
        writers,
        readers,
        begin: "BEGIN IMMEDIATE",
        replaces_failed: true,
    }))
}

/// Opens a store in memory, which ends with the process.
pub(super) async fn open_in_memory(options: &StoreOptions) -> Result<Database> {
    let mut memory = SqliteConnectOptions::new().in_memory(true);
    if let Some(bytes) = options.max_bytes {
        memory = memory.pragma("max_page_count", (bytes / PAGE).max(1).to_string());
    }
    // The connection is the database: there is one, and it is never let go.
    let pool = SqlitePoolOptions::new()
        .max_connections(1)
        .idle_timeout(None)
        .max_lifetime(None)
        .acquire_timeout(options.timeout)
        .connect_with(memory)
        .await?;
    migrate::sqlite(&mut *pool.acquire().await?, "the store in memory").await?;
    let readers = pool.clone();
    Ok(Database::Sqlite(Pools {
        writers: pool,
        readers,
        begin: "BEGIN IMMEDIATE",
        replaces_failed: false,
    }))
}

/// Refuses a file of another program before anything is changed in it.
async fn look(plain: &SqliteConnectOptions, path: &Path, place: &str) -> Result<()> {
    match std::fs::metadata(path) {
        Ok(meta) if meta.is_file() && meta.len() > 0 => {}
        Ok(meta) if meta.is_file() => return Ok(()),
        Ok(_) => {
            return Err(StoreError::invalid("store", "a file", format!("`{place}`, a directory")));
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(StoreError::unavailable(format!("{place}: {error}"))),
    }
    let look = async {
        let mut connection = plain.connect().await?;
        let application: i32 =
            sqlx::query_scalar("PRAGMA application_id").fetch_one(&mut connection).await?;
        let tables: i64 = sqlx::query_scalar("SELECT COUNT(*) FROM sqlite_schema")
            .fetch_one(&mut connection)
            .await?;
        connection.close().await?;
        Ok::<_, sqlx::Error>((application, tables))
    };
    match look.await {
        Ok((migrate::SQLITE_APPLICATION, _) | (0, 0)) => Ok(()),
        Ok(_) => Err(migrate::foreign_file(place)),
        Err(sqlx::Error::Database(error)) if error.code().as_deref() == Some("26") => {
            Err(migrate::foreign_file(place))
        }
        Err(error) => Err(at(place, error.into())),
    }
}

/// Brings the file to the newest schema. Two processes that start at once lock each other out for moments; a change of
/// journal mode does not wait for locks by itself.
async fn prepare(writing: &SqliteConnectOptions, place: &str, limit: Duration) -> Result<()> {
    let started = Instant::now();
    loop {
        let attempt = async {
            let mut connection = writing.connect().await?;
            migrate::sqlite(&mut connection, place).await?;
            Ok::<_, StoreError>(connection.close().await?)
        };
        match attempt.await {
            Err(error) if error.is_locked() && started.elapsed() < limit => {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            Err(error) => return Err(at(place, error)),
            Ok(()) => return Ok(()),
        }
    }
}

/// Errors at start name the file.
fn at(place: &str, error: StoreError) -> StoreError {
    match error {
        StoreError::Unavailable { reason } => StoreError::unavailable(format!("{place}: {reason}")),
        StoreError::Corrupt { problem } => {
            StoreError::Corrupt { problem: format!("{place}: {problem}") }
        }
        other => other,
    }
}

impl Dialect for SqliteConnection {
    async fn insert_events(
        &mut self,
        events: &[&Event],
        first: i64,
    ) -> Result<HashSet<String>, sqlx::Error> {
        let mut new = HashSet::with_capacity(events.len());
        let (mut rest, mut arrival) = (events, first);
        while !rest.is_empty() {
            let size = if rest.len() >= ROWS { ROWS } else { 1 << rest.len().ilog2() };
            let (rows, later) = rest.split_at(size);
            rest = later;
            let mut statement = QueryBuilder::<Sqlite>::new(
                "INSERT INTO daogou_event \
                 (arrival, id, kind, user_id, item_id, time, request_id, position, value, \
                  context) ",
            );
            statement.push_values((arrival..).zip(rows), |mut row, (arrival, event)| {
                row.push_bind(arrival)
                    .push_bind(&event.id)
                    .push_bind(&event.kind)
                    .push_bind(&event.user)
                    .push_bind(&event.item)
                    .push_bind(event.timestamp)
                    .push_bind(event.request.as_deref())
                    .push_bind(event.position.map(i64::from))
                    .push_bind(event.value)
                    .push_bind(event.context_text());
            });
            statement.push(" ON CONFLICT (id) DO NOTHING RETURNING id");
            let ids: Vec<String> = statement.build_query_scalar().fetch_all(&mut *self).await?;
            new.extend(ids);
            arrival += size as i64;
        }
        Ok(new)
    }

    async fn write_documents(
        &mut self,
        documents: &[&Encoded],
        first: i64,
        written: i64,
    ) -> Result<(), sqlx::Error> {
        for (revision, document) in (first..).zip(documents) {
            sqlx::query(
                "INSERT INTO daogou_document (kind, id, body, words, revision, written) \
                 VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (kind, id) DO UPDATE SET \
                 body = excluded.body, words = excluded.words, revision = excluded.revision, \
                 written = excluded.written",
            )
            .bind(document.kind.name())
            .bind(&document.id)
            .bind(document.body.as_deref())
            .bind(&document.words)
            .bind(revision)
            .bind(written)
            .execute(&mut *self)
            .await?;
        }
        Ok(())
    }

    /// Why nothing more would fit, if so. A change in place still succeeds when the file has reached its limit.
    async fn full(&mut self) -> Result<Option<String>, sqlx::Error> {
        let mut pragmas = [0i64; 3];
        for (value, pragma) in pragmas.iter_mut().zip([
            "PRAGMA page_count",
            "PRAGMA freelist_count",
            "PRAGMA max_page_count",
        ]) {
            *value = sqlx::query_scalar(pragma).fetch_one(&mut *self).await?;
        }
        let [pages, free, most] = pragmas;
        Ok((most - pages + free < LEFT)
            .then(|| format!("the file has reached its limit of {} bytes", most * PAGE as i64)))
    }

    /// Long work needs nothing here: it is limited where it is awaited.
    async fn allow(&mut self, _: Duration) -> Result<(), sqlx::Error> {
        Ok(())
    }

    /// Moves the log into the file. Whatever fails is done at the next start.
    async fn tidy(&mut self) -> Result<(), sqlx::Error> {
        self.execute("PRAGMA wal_checkpoint(TRUNCATE)").await.map(drop)
    }
}
