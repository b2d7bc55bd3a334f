//! Group commit. All events and documents of one process are written by one task: it takes what waits, writes it in one
//! transaction, and answers everybody after the commit. Under load a group grows, so the cost of a commit is shared by
//! more callers, and none waits longer for it.
//!
//! What waits is bounded in bytes. When there is no room, a caller is refused at once instead of being kept waiting
//! with its events in memory.

use std::collections::{HashMap, HashSet};
use std::mem::take;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use sqlx::Connection;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};

use super::database::{Database, Dialect, late, on};
use super::document::{Change, Encoded, Kind};
use super::error::{Result, StoreError};
use super::event::{Event, Outcome};

/// Bytes of a group at most, but for a single job that is larger.
const GROUP: usize = 4 << 20;

/// Hands work to the writer.
#[derive(Debug)]
pub(super) struct Writer {
    jobs: mpsc::UnboundedSender<Job>,
    /// One permit per byte that may wait.
    room: Arc<Semaphore>,
    size: usize,
    limit: Duration,
}

/// What one caller waits for.
struct Job {
    work: Work,
    weight: usize,
    /// Given back when the job is done with.
    room: OwnedSemaphorePermit,
}

/// Where a caller waits for its answer.
type Reply<T> = oneshot::Sender<Result<T>>;

enum Work {
    Append(Vec<Event>, Reply<Vec<Outcome>>),
    Put(Vec<Encoded>, Reply<i64>),
}

impl Writer {
    /// Starts the task. It ends when the writer is dropped and nothing waits any more.
    pub(super) fn start(
        database: Arc<Database>,
        size: usize,
        limit: Duration,
    ) -> (Self, tokio::task::JoinHandle<()>) {
        let (sender, receiver) = mpsc::unbounded_channel();
        let task = tokio::spawn(run(database, receiver, limit));
        let size = size.min(Semaphore::MAX_PERMITS).min(u32::MAX as usize);
        (Self { jobs: sender, room: Arc::new(Semaphore::new(size)), size, limit }, task)
    }

    pub(super) async fn append(&self, events: Vec<Event>) -> Result<Vec<Outcome>> {
        for (index, event) in events.iter().enumerate() {
            event.check().map_err(|error| error.within(format_args!("events[{index}]")))?;
        }
        if events.is_empty() {
            return Ok(Vec::new());
        }
        let weight = events.iter().map(Event::weight).sum();
        let (reply, answer) = oneshot::channel();
        self.hand_in("events", weight, Work::Append(events, reply))?;
        self.wait(answer).await
    }

    /// Returns the last revision given to these.
    pub(super) async fn put(&self, changes: Vec<Change>) -> Result<i64> {
        let documents: Vec<Encoded> = (changes.into_iter().enumerate())
            .map(|(index, change)| {
                change.encode().map_err(|error| error.within(format_args!("documents[{index}]")))
            })
            .collect::<Result<_>>()?;
        let weight = documents.iter().map(Encoded::weight).sum();
        let (reply, answer) = oneshot::channel();
        self.hand_in("documents", weight, Work::Put(documents, reply))?;
        self.wait(answer).await
    }

    fn hand_in(&self, key: &str, weight: usize, work: Work) -> Result<()> {
        if weight > self.size {
            let expected = format!("at most {} bytes at once", self.size);
            return Err(StoreError::invalid(key, expected, format!("{weight} bytes")));
        }
        let room = Arc::clone(&self.room)
            .try_acquire_many_owned(weight as u32)
            .map_err(|_| StoreError::unavailable("the store is slow, too much waits for it"))?;
        self.jobs.send(Job { work, weight, room }).map_err(|_| closed())
    }

    async fn wait<T>(&self, answer: oneshot::Receiver<Result<T>>) -> Result<T> {
        match tokio::time::timeout(self.limit, answer).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(_)) => Err(closed()),
            Err(_) => Err(late(self.limit)),
        }
    }
}

fn closed() -> StoreError {
    StoreError::unavailable("the store is closed")
}

async fn run(database: Arc<Database>, mut jobs: mpsc::UnboundedReceiver<Job>, limit: Duration) {
    while let Some(first) = jobs.recv().await {
        let mut weight = first.weight;
        let mut group = Group::default();
        group.take(first);
        while weight < GROUP
            && let Ok(job) = jobs.try_recv()
        {
            weight += job.weight;
            group.take(job);
        }
        if group.appends.is_empty() && group.puts.is_empty() {
            continue;
        }
        let result = group.write(&database, limit).await;
        group.answer(result);
    }
}

/// What is written in one transaction.
#[derive(Default)]
struct Group {
    appends: Vec<(Vec<Event>, Reply<Vec<Outcome>>)>,
    puts: Vec<(Vec<Encoded>, Reply<i64>)>,
    room: Vec<OwnedSemaphorePermit>,
}

/// What a committed group has done.
struct Written {
    /// Ids of events that were not there before, each until it is claimed by the first event that carries it.
    new: HashSet<String>,
    /// Of each put, in order.
    puts: Vec<Result<i64>>,
}

impl Group {
    /// Adds a job, unless its caller has gone: it was told that it took too long.
    fn take(&mut self, job: Job) {
        match job.work {
            Work::Append(events, reply) if !reply.is_closed() => self.appends.push((events, reply)),
            Work::Put(documents, reply) if !reply.is_closed() => self.puts.push((documents, reply)),
            _ => return,
        }
        self.room.push(job.room);
    }

    async fn write(&self, database: &Database, limit: Duration) -> Result<Written> {
        // The first of equal ids is stored, the others are duplicates.
        let mut seen = HashSet::new();
        let events: Vec<&Event> = (self.appends.iter().flat_map(|(events, _)| events))
            .filter(|event| seen.insert(event.id.as_str()))
            .collect();
        let n_events = events.len() as i64;
        let n_documents =
            self.puts.iter().map(|(documents, _)| documents.len() as i64).sum::<i64>();
        let written = now();
        on!(database, writers, limit, |pools, connection| {
            let mut transaction = connection.begin_with(pools.begin).await?;
            let mut new = HashSet::new();
            if n_events > 0 {
                // The row of the counter stays locked until the commit, also against other processes: whoever sees a
                // number sees all below it that will ever be there.
                let last: i64 = sqlx::query_scalar(TAKE)
                    .bind(n_events)
                    .bind("event")
                    .fetch_one(&mut *transaction)
                    .await?;
                new = transaction.insert_events(&events, last - n_events + 1).await?;
            }
            let mut puts = Vec::with_capacity(self.puts.len());
            if !self.puts.is_empty() {
                let mut last: i64 = sqlx::query_scalar(TAKE)
                    .bind(n_documents)
                    .bind("document")
                    .fetch_one(&mut *transaction)
                    .await?;
                last -= n_documents;
                for (documents, _) in &self.puts {
                    let mut conflict = None;
                    for document in documents {
                        let Some(expected) = document.only_at else { continue };
                        let found: Option<i64> = sqlx::query_scalar(REVISION)
                            .bind(document.kind.name())
                            .bind(&document.id)
                            .bind(expected == 0)
                            .fetch_optional(&mut *transaction)
                            .await?;
                        let found = found.unwrap_or(0);
                        if found != expected {
                            let (kind, id) = (document.kind.name(), document.id.clone());
                            conflict = Some(StoreError::Conflict { kind, id, expected, found });
                            break;
                        }
                    }
                    if let Some(conflict) = conflict {
                        puts.push(Err(conflict));
                        continue;
                    }
                    let documents = last_of_each(documents);
                    if !documents.is_empty() {
                        transaction.write_documents(&documents, last + 1, written).await?;
                    }
                    last += documents.len() as i64;
                    puts.push(Ok(last));
                }
            }
            transaction.commit().await?;
            Ok(Written { new, puts })
        })
    }

    fn answer(&mut self, result: Result<Written>) {
        let (appends, puts) = (take(&mut self.appends), take(&mut self.puts));
        match result {
            Ok(mut written) => {
                for (events, reply) in appends {
                    let outcome = |event: &Event| {
                        let new = written.new.remove(&event.id);
                        if new { Outcome::New } else { Outcome::Duplicate }
                    };
                    // A caller that has gone hears nothing; its events are stored all the same.
                    let _ = reply.send(Ok(events.iter().map(outcome).collect()));
                }
                for ((_, reply), put) in puts.into_iter().zip(written.puts) {
                    let _ = reply.send(put);
                }
            }
            Err(error) => {
                for (_, reply) in appends {
                    let _ = reply.send(Err(error.clone()));
                }
                for (_, reply) in puts {
                    let _ = reply.send(Err(error.clone()));
                }
            }
        }
    }
}

/// Takes numbers of a sequence.
const TAKE: &str = "UPDATE daogou_counter SET last = last + $1 WHERE name = $2 RETURNING last";
/// The revision of a document; of a deleted one only on request.
const REVISION: &str = "SELECT revision FROM daogou_document WHERE kind = $1 AND id = $2 \
                        AND (body IS NOT NULL OR NOT $3)";

/// Where a document is written twice at once, the last counts.
fn last_of_each(documents: &[Encoded]) -> Vec<&Encoded> {
    let mut last: HashMap<(Kind, &str), usize> = HashMap::new();
    for (index, document) in documents.iter().enumerate() {
        last.insert((document.kind, &document.id), index);
    }
    (documents.iter().enumerate())
        .filter(|(index, document)| last[&(document.kind, document.id.as_str())] == *index)
        .map(|(_, document)| document)
        .collect()
}

fn now() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs() as i64)
}
