//! A store in a PostgreSQL database, which several replicas of the server may share.

use std::collections::HashSet;
use std::str::FromStr;
use std::time::Duration;

use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{Connection, Executor, PgConnection};

use super::StoreOptions;
use super::database::{Database, Dialect, Pools, acquire, late};
use super::document::Encoded;
use super::error::{Result, StoreError};
use super::event::Event;
use super::migrate;

/// Opens a database by its URL.
pub(super) async fn open(url: &str, options: &StoreOptions) -> Result<Database> {
    let mut connect = PgConnectOptions::from_str(url)?;
    if connect.get_application_name().is_none() {
        connect = connect.application_name("daogou");
    }
    // The server gives up when we do. Without this, a statement that waits for a lock would go on after its caller has
    // left, and could still commit.
    let limit = format!("{}ms", options.timeout.as_millis());
    let connect = connect.options([
        ("statement_timeout", limit.as_str()),
        ("lock_timeout", limit.as_str()),
        ("idle_in_transaction_session_timeout", limit.as_str()),
    ]);
    let place = place(&connect);
    let pool = |most: u32| {
        PgPoolOptions::new()
            .max_connections(most)
            .acquire_timeout(options.timeout)
            .after_connect(|connection, _| {
                Box::pin(async move {
                    // An acknowledged event is on the disk. Stricter settings than `on` stay.
                    let durable = "SELECT set_config('synchronous_commit', 'on', false) \
                                   WHERE current_setting('synchronous_commit') = 'off'";
                    connection.execute(durable).await.map(drop)
                })
            })
            .connect_lazy_with(connect.clone())
    };
    // One connection for the writer, one for retention and readiness, so that these never wait for each other.
    let pools = Pools {
        writers: pool(2),
        readers: pool(options.readers.max(1)),
        begin: "BEGIN ISOLATION LEVEL READ COMMITTED",
        replaces_failed: true,
    };
    let prepare = async {
        let deadline = tokio::time::Instant::now() + options.timeout;
        let mut connection = acquire(&pools.writers, deadline, options.timeout).await?;
        migrate::postgres(&mut connection, &place).await
    };
    match tokio::time::timeout(options.timeout, prepare).await {
        Ok(Ok(())) => Ok(Database::Postgres(pools)),
        Ok(Err(StoreError::Unavailable { reason })) => {
            Err(StoreError::unavailable(format!("{place}: {reason}")))
        }
        Ok(Err(error)) => Err(error),
        Err(_) => Err(late(options.timeout)),
    }
}

/// The database in words, without a password.
fn place(options: &PgConnectOptions) -> String {
    let database = options.get_database().unwrap_or(options.get_username());
    let host = options
        .get_socket()
        .map_or_else(|| options.get_host().to_owned(), |path| path.display().to_string());
    format!("the database `{database}` at {host}:{}", options.get_port())
}

impl Dialect for PgConnection {
    async fn insert_events(
        &mut self,
        events: &[&Event],
        first: i64,
    ) -> Result<HashSet<String>, sqlx::Error> {
        macro_rules! column {
            ($value:expr) => {
                events.iter().map($value).collect::<Vec<_>>()
            };
        }
        let ids: Vec<String> = sqlx::query_scalar(
            "INSERT INTO daogou_event \
             (arrival, id, kind, user_id, item_id, time, request_id, position, value, context) \
             SELECT * FROM UNNEST($1::bigint[], $2::text[], $3::text[], $4::text[], $5::text[], \
             $6::bigint[], $7::text[], $8::bigint[], $9::double precision[], $10::text[]) \
             ON CONFLICT (id) DO NOTHING RETURNING id",
        )
        .bind((first..).take(events.len()).collect::<Vec<i64>>())
        .bind(column!(|event| event.id.as_str()))
        .bind(column!(|event| event.kind.as_str()))
        .bind(column!(|event| event.user.as_str()))
        .bind(column!(|event| event.item.as_str()))
        .bind(column!(|event| event.timestamp))
        .bind(column!(|event| event.request.as_deref()))
        .bind(column!(|event| event.position.map(i64::from)))
        .bind(column!(|event| event.value))
        .bind(column!(|event| event.context_text()))
        .fetch_all(self)
        .await?;
        Ok(ids.into_iter().collect())
    }

    async fn write_documents(
        &mut self,
        documents: &[&Encoded],
        first: i64,
        written: i64,
    ) -> Result<(), sqlx::Error> {
        sqlx::query(
            "INSERT INTO daogou_document (kind, id, body, words, revision, written) \
             SELECT kind, id, body, words, revision, $6 FROM \
             UNNEST($1::text[], $2::text[], $3::text[], $4::text[], $5::bigint[]) \
             AS changed (kind, id, body, words, revision) \
             ON CONFLICT (kind, id) DO UPDATE SET body = excluded.body, words = excluded.words, \
             revision = excluded.revision, written = excluded.written",
        )
        .bind(documents.iter().map(|d| d.kind.name()).collect::<Vec<_>>())
        .bind(documents.iter().map(|d| d.id.as_str()).collect::<Vec<_>>())
        .bind(documents.iter().map(|d| d.body.as_deref()).collect::<Vec<_>>())
        .bind(documents.iter().map(|d| d.words.as_str()).collect::<Vec<_>>())
        .bind((first..).take(documents.len()).collect::<Vec<i64>>())
        .bind(written)
        .execute(self)
        .await?;
        Ok(())
    }

    /// A database has no limit of its own that could be asked for.
    async fn full(&mut self) -> Result<Option<String>, sqlx::Error> {
        Ok(None)
    }

    /// Lets statements of the transaction that is open take longer than usual.
    async fn allow(&mut self, limit: Duration) -> Result<(), sqlx::Error> {
        sqlx::query("SELECT set_config('statement_timeout', $1, true)")
            .bind(format!("{}ms", limit.as_millis()))
            .execute(self)
            .await
            .map(drop)
    }

    /// There is nothing to tidy: the server does it.
    async fn tidy(&mut self) -> Result<(), sqlx::Error> {
        self.ping().await
    }
}
