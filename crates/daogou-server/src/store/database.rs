//! The two databases behind a store, and how work is done on their connections: within a time, and with the same words.
//!
//! Statements are the same text for both wherever both understand it. What differs is in `sqlite.rs` and `postgres.rs`.

use std::collections::HashSet;
use std::future::Future;
use std::time::Duration;

use sqlx::pool::PoolConnection;
use sqlx::{Pool, Postgres, Sqlite};
use tokio::time::{Instant, timeout_at};

use super::document::Encoded;
use super::error::{Result, StoreError};
use super::event::Event;

/// The database of a store.
#[derive(Debug)]
pub(super) enum Database {
    Sqlite(Pools<Sqlite>),
    Postgres(Pools<Postgres>),
}

/// Connections to one database.
#[derive(Debug)]
pub(super) struct Pools<DB: sqlx::Database> {
    /// Those that write.
    pub(super) writers: Pool<DB>,
    /// Those that only read, so that readers never keep a writer waiting.
    pub(super) readers: Pool<DB>,
    /// How a transaction that writes begins.
    pub(super) begin: &'static str,
    /// Whether a connection on which something failed is replaced, as all are but one that is the database itself. A
    /// full disk ends an SQLite transaction behind the connection's back; what did not answer in time may never do so.
    pub(super) replaces_failed: bool,
}

/// What the databases do not say in the same words.
pub(super) trait Dialect {
    /// Stores those events whose id is new, numbered from `first`, and returns the ids of those.
    fn insert_events(
        &mut self,
        events: &[&Event],
        first: i64,
    ) -> impl Future<Output = Result<HashSet<String>, sqlx::Error>> + Send;

    /// Writes documents, numbered from `first`. Their ids differ.
    fn write_documents(
        &mut self,
        documents: &[&Encoded],
        first: i64,
        written: i64,
    ) -> impl Future<Output = Result<(), sqlx::Error>> + Send;

    /// Why nothing more would fit, if so: a change in place can still succeed.
    fn full(&mut self) -> impl Future<Output = Result<Option<String>, sqlx::Error>> + Send;

    /// Lets statements of the open transaction take longer than usual.
    fn allow(&mut self, limit: Duration) -> impl Future<Output = Result<(), sqlx::Error>> + Send;

    /// Leaves the database tidy at the end.
    fn tidy(&mut self) -> impl Future<Output = Result<(), sqlx::Error>> + Send;
}

impl Database {
    /// Ends all connections after what they are doing now.
    pub(super) async fn close(&self) {
        match self {
            Self::Sqlite(pools) => pools.close().await,
            Self::Postgres(pools) => pools.close().await,
        }
    }
}

impl<DB: sqlx::Database> Pools<DB> {
    async fn close(&self) {
        self.readers.close().await;
        self.writers.close().await;
    }
}

/// Does work on a connection within a time. `on!(database, writers, limit, |pools, connection| …)` compiles the block
/// once for each database; in it, `?` takes the errors of `sqlx`.
macro_rules! on {
    ($database:expr, $role:ident, $limit:expr, |$pools:ident, $connection:ident| $work:expr) => {
        match $database {
            $crate::store::database::Database::Sqlite($pools) => {
                $crate::store::database::on!(@held $pools, $role, $limit, $connection, $work)
            }
            $crate::store::database::Database::Postgres($pools) => {
                $crate::store::database::on!(@held $pools, $role, $limit, $connection, $work)
            }
        }
    };
    (@held $pools:ident, $role:ident, $limit:expr, $connection:ident, $work:expr) => {{
        let limit: std::time::Duration = $limit;
        let deadline = tokio::time::Instant::now() + limit;
        match $crate::store::database::acquire(&$pools.$role, deadline, limit).await {
            Ok(mut held) => {
                let answer = {
                    let $connection = &mut *held;
                    $crate::store::database::until(deadline, async { $work }).await
                };
                if $pools.replaces_failed && !matches!(answer, Some(Ok(_))) {
                    held.close_on_drop();
                }
                answer.unwrap_or_else(|| Err($crate::store::database::late(limit)))
            }
            Err(error) => Err(error),
        }
    }};
}
pub(super) use on;

pub(super) async fn acquire<DB: sqlx::Database>(
    pool: &Pool<DB>,
    deadline: Instant,
    limit: Duration,
) -> Result<PoolConnection<DB>> {
    match timeout_at(deadline, pool.acquire()).await {
        Ok(connection) => Ok(connection?),
        Err(_) => Err(late(limit)),
    }
}

/// The answer, or `None` when it does not come in time.
pub(super) async fn until<T>(
    deadline: Instant,
    work: impl Future<Output = Result<T, sqlx::Error>>,
) -> Option<Result<T>> {
    timeout_at(deadline, work).await.ok().map(|answer| answer.map_err(StoreError::from))
}

pub(super) fn late(limit: Duration) -> StoreError {
    StoreError::unavailable(format!("the database did not answer within {limit:?}"))
}
