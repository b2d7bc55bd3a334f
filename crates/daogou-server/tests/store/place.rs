//! Where a test keeps its store.

use std::future::Future;
use std::io::Write;
use std::str::FromStr;
use std::time::Duration;

use daogou_server::store::{Cursor, Event, Store, StoreOptions};
use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{AssertSqlSafe, ConnectOptions, Connection};
use tempfile::TempDir;

/// An empty place for one test's store.
pub(crate) struct Place {
    pub(crate) url: String,
    /// The same as it is for a raw connection: a path or an URL.
    pub(crate) schema: Option<String>,
    dir: Option<TempDir>,
}

impl Place {
    pub(crate) async fn open(&self) -> Store {
        self.open_with(&StoreOptions::default()).await
    }

    pub(crate) async fn open_with(&self, options: &StoreOptions) -> Store {
        Store::open(&self.url, options).await.unwrap()
    }

    pub(crate) fn dir(&self) -> &std::path::Path {
        self.dir.as_ref().unwrap().path()
    }

    /// Runs statements past the store.
    pub(crate) async fn execute(&self, sql: &str) {
        let sql = AssertSqlSafe(sql.to_owned());
        if self.schema.is_some() {
            let mut connection = PgConnection::connect(&self.url).await.unwrap();
            sqlx::raw_sql(sql).execute(&mut connection).await.unwrap();
            connection.close().await.unwrap();
        } else {
            let path = self.url.strip_prefix("sqlite:").unwrap();
            let mut connection =
                sqlx::sqlite::SqliteConnectOptions::new().filename(path).connect().await.unwrap();
            sqlx::raw_sql(sql).execute(&mut connection).await.unwrap();
            connection.close().await.unwrap();
        }
    }

    /// Holds what every writer needs, until it is dropped.
    pub(crate) async fn lock(&self) -> Box<dyn Send> {
        if self.schema.is_some() {
            let mut connection = PgConnection::connect(&self.url).await.unwrap();
            sqlx::raw_sql("BEGIN; UPDATE daogou_counter SET last = last")
                .execute(&mut connection)
                .await
                .unwrap();
            Box::new(connection)
        } else {
            let path = self.url.strip_prefix("sqlite:").unwrap();
            let mut connection =
                sqlx::sqlite::SqliteConnectOptions::new().filename(path).connect().await.unwrap();
            sqlx::raw_sql("BEGIN IMMEDIATE").execute(&mut connection).await.unwrap();
            Box::new(connection)
        }
    }
}

/// Runs a test on an SQLite file.
pub(crate) fn on_sqlite<F: Future<Output = ()> + Send + 'static>(body: impl FnOnce(Place) -> F) {
    let dir = tempfile::tempdir().unwrap();
    let url = format!("sqlite:{}", dir.path().join("store.db").display());
    runtime().block_on(body(Place { url, schema: None, dir: Some(dir) }));
}

/// Runs a test in a schema of its own.
pub(crate) fn on_postgres<F: Future<Output = ()> + Send + 'static>(
    name: &str,
    body: impl FnOnce(Place) -> F,
) {
    runtime().block_on(async {
        let base = base();
        let options = PgConnectOptions::from_str(&base).unwrap();
        let connecting = tokio::time::timeout(Duration::from_secs(10), options.connect()).await;
        let mut admin = match connecting {
            Ok(Ok(admin)) => admin,
            problem => {
                let problem = problem.map(|it| it.map(drop));
                let required = std::env::var("DAOGOU_REQUIRE_POSTGRES").is_ok_and(|it| it == "1");
                assert!(!required, "PostgreSQL is required but cannot be reached: {problem:?}");
                let line = format!("skipped: {name}: PostgreSQL cannot be reached: {problem:?}\n");
                std::io::stderr().write_all(line.as_bytes()).unwrap();
                return;
            }
        };
        let schema = format!("daogou_test_{}_{name}", std::process::id());
        for sql in
            [format!("DROP SCHEMA IF EXISTS {schema} CASCADE"), format!("CREATE SCHEMA {schema}")]
        {
            sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut admin).await.unwrap();
        }
        let joint = if base.contains('?') { '&' } else { '?' };
        let url = format!("{base}{joint}options[search_path]={schema}&application_name={schema}");
        let dir = tempfile::tempdir().unwrap();
        let place = Place { url, schema: Some(schema.clone()), dir: Some(dir) };
        let result = tokio::spawn(body(place)).await;
        // Whatever still holds a lock would keep the schema.
        let end =
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = $1";
        sqlx::query(end).bind(&schema).execute(&mut admin).await.unwrap();
        let drop = format!("DROP SCHEMA {schema} CASCADE");
        sqlx::raw_sql(AssertSqlSafe(drop)).execute(&mut admin).await.unwrap();
        if let Err(panicked) = result {
            std::panic::resume_unwind(panicked.into_panic());
        }
    });
}

/// The URL of the database for tests.
pub(crate) fn base() -> String {
    std::env::var("DAOGOU_TEST_POSTGRES")
        .unwrap_or_else(|_| "postgres://root@localhost/test".to_owned())
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap()
}

/// Makes a test of each function for each database.
macro_rules! on_both {
    ($($name:ident),* $(,)?) => {
        mod sqlite {
            $(#[test] fn $name() { crate::place::on_sqlite(super::$name); })*
        }
        mod postgres {
            $(#[test] fn $name() { crate::place::on_postgres(stringify!($name), super::$name); })*
        }
    };
}
pub(crate) use on_both;

/// An event with the least it needs.
pub(crate) fn event(id: &str, kind: &str, user: &str, item: &str, timestamp: i64) -> Event {
    Event {
        id: id.to_owned(),
        kind: kind.to_owned(),
        user: user.to_owned(),
        item: item.to_owned(),
        timestamp,
        request: None,
        position: None,
        value: None,
        context: None,
    }
}

/// All events after a place, read in pages of an odd size.
pub(crate) async fn all_events(store: &Store, mut after: Cursor) -> (Vec<Event>, Cursor) {
    let mut all = Vec::new();
    loop {
        let (events, next) = store.events(after, 997).await.unwrap();
        if events.is_empty() {
            return (all, next);
        }
        assert!(next > after);
        after = next;
        all.extend(events);
    }
}

impl Place {
    /// An SQLite file of another program.
    pub(crate) async fn foreign(path: &std::path::Path) {
        let mut connection = sqlx::sqlite::SqliteConnectOptions::new()
            .filename(path)
            .create_if_missing(true)
            .connect()
            .await
            .unwrap();
        sqlx::raw_sql("CREATE TABLE t (x)").execute(&mut connection).await.unwrap();
        connection.close().await.unwrap();
    }
}
