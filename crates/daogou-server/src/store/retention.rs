//! Forgetting: events that are too old, and everything of a person.
//!
//! Rows go in small batches, each a transaction of its own, so that events which arrive meanwhile wait for one batch at
//! most. The space is used again; an SQLite file does not shrink. What was deleted is overwritten (SQLite) or left to
//! the database's vacuum (PostgreSQL).

use sqlx::Connection;

use super::Store;
use super::database::on;
use super::document::{Change, Kind};
use super::error::Result;

/// Rows of a batch.
const BATCH: i64 = 1000;

/// Two replicas that forget at once would lock each other's rows in different orders; so they take turns.
const TURN: &str = "UPDATE daogou_counter SET last = last + 1 WHERE name = 'retention'";

const OLD: &str = "DELETE FROM daogou_event WHERE arrival IN \
                   (SELECT arrival FROM daogou_event WHERE time < $1 ORDER BY time LIMIT $2)";
const OF_USER: &str = "DELETE FROM daogou_event WHERE arrival IN \
                       (SELECT arrival FROM daogou_event WHERE user_id = $1 LIMIT $2)";

impl Store {
    /// Deletes the events from before a time (Unix seconds) and returns how many there were. An event that is sent
    /// again after that is new again.
    pub async fn forget(&self, older_than: i64) -> Result<u64> {
        let mut forgotten = 0;
        loop {
            let batch =
                on!(&*self.0.database, writers, self.0.options.timeout, |pools, connection| {
                    let mut transaction = connection.begin_with(pools.begin).await?;
                    sqlx::query(TURN).execute(&mut *transaction).await?;
                    let done = sqlx::query(OLD)
                        .bind(older_than)
                        .bind(BATCH)
                        .execute(&mut *transaction)
                        .await?;
                    transaction.commit().await?;
                    Ok(done.rows_affected())
                })?;
            forgotten += batch;
            if batch < BATCH as u64 {
                return Ok(forgotten);
            }
        }
    }

    /// Deletes all events and the profile of a person, and returns how many events there were. The id stays as that of
    /// a deleted profile, with nothing else, so that replicas learn of it. Call it after the person's last event: one
    /// that arrives later is stored.
    pub async fn forget_user(&self, user: &str) -> Result<u64> {
        // First the profile: it is what says that the person is to be forgotten, should the rest be cut short.
        self.put(vec![Change::delete(Kind::User, user)]).await?;
        let mut forgotten = 0;
        loop {
            let batch =
                on!(&*self.0.database, writers, self.0.options.timeout, |pools, connection| {
                    let mut transaction = connection.begin_with(pools.begin).await?;
                    sqlx::query(TURN).execute(&mut *transaction).await?;
                    let done = sqlx::query(OF_USER)
                        .bind(user)
                        .bind(BATCH)
                        .execute(&mut *transaction)
                        .await?;
                    transaction.commit().await?;
                    Ok(done.rows_affected())
                })?;
            forgotten += batch;
            if batch < BATCH as u64 {
                break;
            }
        }
        // Again, so that whoever saw the first deletion and read events before they were gone looks again.
        self.put(vec![Change::delete(Kind::User, user)]).await?;
        Ok(forgotten)
    }
}
