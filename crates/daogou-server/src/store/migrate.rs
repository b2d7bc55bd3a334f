//! Schema versions. Each is one SQL text per database, applied in the transaction that records it. Starting twice at
//! once is safe: the second start waits for the first and finds the work done.

use sqlx::{Connection, PgConnection, SqliteConnection};

use super::error::{Result, StoreError};

/// One text per version, from version 1.
const SQLITE: [&str; 1] = [include_str!("migrations/sqlite_1.sql")];
const POSTGRES: [&str; 1] = [include_str!("migrations/postgres_1.sql")];

/// Key of the advisory lock of migrations: "daog" in ASCII.
const LOCK: i64 = SQLITE_APPLICATION as i64;
/// What marks an SQLite file as a store: "daog" in ASCII.
pub(super) const SQLITE_APPLICATION: i32 = 0x6461_6f67;

const VERSIONS: &str = "CREATE TABLE daogou_schema (version BIGINT PRIMARY KEY)";
const VERSION: &str = "SELECT COALESCE(MAX(version), 0) FROM daogou_schema";
const RECORD: &str = "INSERT INTO daogou_schema (version) VALUES ($1)";

/// Makes an SQLite file a store of the newest version, unless it is something else.
pub(super) async fn sqlite(connection: &mut SqliteConnection, place: &str) -> Result<()> {
    let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await?;
    let application: i32 =
        sqlx::query_scalar("PRAGMA application_id").fetch_one(&mut *transaction).await?;
    let tables: i64 = sqlx::query_scalar("SELECT COUNT(*) FROM sqlite_schema")
        .fetch_one(&mut *transaction)
        .await?;
    if application != SQLITE_APPLICATION {
        if application != 0 || tables != 0 {
            return Err(foreign_file(place));
        }
        // The pragma is part of the transaction. It takes no parameter: 1684107111 is the number above.
        sqlx::query("PRAGMA application_id = 1684107111").execute(&mut *transaction).await?;
        sqlx::query(VERSIONS).execute(&mut *transaction).await?;
    }
    let version: i64 = sqlx::query_scalar(VERSION).fetch_one(&mut *transaction).await?;
    for (number, text) in missing(place, version, &SQLITE)? {
        sqlx::raw_sql(text).execute(&mut *transaction).await?;
        sqlx::query(RECORD).bind(number).execute(&mut *transaction).await?;
    }
    Ok(transaction.commit().await?)
}

/// The refusal of a file of another program.
pub(super) fn foreign_file(place: &str) -> StoreError {
    StoreError::Foreign {
        place: place.to_owned(),
        found: "a file of another program, which is left as it is".to_owned(),
    }
}

/// Makes the current schema of a PostgreSQL database a store of the newest version.
pub(super) async fn postgres(connection: &mut PgConnection, place: &str) -> Result<()> {
    // Read committed: what is read after the wait for the lock is what its last holder left.
    let mut transaction = connection.begin_with("BEGIN ISOLATION LEVEL READ COMMITTED").await?;
    sqlx::query("SELECT pg_advisory_xact_lock($1)").bind(LOCK).execute(&mut *transaction).await?;
    let versioned: bool = sqlx::query_scalar(
        "SELECT to_regclass(quote_ident(current_schema()) || '.daogou_schema') IS NOT NULL",
    )
    .fetch_one(&mut *transaction)
    .await?;
    if !versioned {
        let taken: Option<String> = sqlx::query_scalar(
            "SELECT tablename::text FROM pg_tables WHERE schemaname = current_schema() \
             AND tablename IN ('daogou_counter', 'daogou_event', 'daogou_document') LIMIT 1",
        )
        .fetch_optional(&mut *transaction)
        .await?;
        if let Some(table) = taken {
            let found = format!("a table `{table}` without the version of its schema");
            return Err(StoreError::Foreign { place: place.to_owned(), found });
        }
        sqlx::query(VERSIONS).execute(&mut *transaction).await?;
    }
    let version: i64 = sqlx::query_scalar(VERSION).fetch_one(&mut *transaction).await?;
    for (number, text) in missing(place, version, &POSTGRES)? {
        sqlx::raw_sql(text).execute(&mut *transaction).await?;
        sqlx::query(RECORD).bind(number).execute(&mut *transaction).await?;
    }
    Ok(transaction.commit().await?)
}

/// The versions after this one, with their numbers.
fn missing<'a>(
    place: &str,
    version: i64,
    all: &'a [&'static str],
) -> Result<impl Iterator<Item = (i64, &'static str)> + 'a> {
    let known = all.len() as i64;
    let done = usize::try_from(version)
        .map_err(|_| StoreError::Corrupt { problem: format!("schema version {version}") })?;
    if version > known {
        return Err(StoreError::Newer { place: place.to_owned(), found: version, known });
    }
    Ok((1..).zip(all.iter().copied()).skip(done))
}
