//! Workers that let people visit: ask for a list, show it, tell the server what happened.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::client::{Client, Ended};
use super::events::{Batch, Context, Event, events};
use super::queue::{Arrival, Queue};
use super::tally::{Group, Tally};

const RECOMMEND: &str = "/v1/recommend";
const EVENTS: &str = "/v1/events";
/// Events in one call at the end.
const BATCH: usize = 500;

/// When visits begin.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Pace {
    /// A worker begins a visit when it has ended one.
    Closed,
    /// This many per second, whatever the server does.
    Open(f64),
}

/// What every request asks for.
#[derive(Clone, Debug, Default)]
pub(super) struct Wish {
    pub(super) k: Option<usize>,
    pub(super) preset: Option<String>,
    pub(super) objectives: Option<BTreeMap<String, f64>>,
}

/// How people visit.
pub(super) struct Browse<'a> {
    pub(super) client: &'a Client,
    pub(super) queue: &'a Queue,
    pub(super) wish: Wish,
    pub(super) seed: u64,
    pub(super) pace: Pace,
    /// How long a call is made again.
    pub(super) patience: Duration,
    /// When no more visits begin.
    pub(super) until: Option<Instant>,
    /// Visits, for the schedule of an open loop.
    pub(super) most: u64,
    pub(super) started: Instant,
    pub(super) slots: AtomicU64,
    pub(super) begun: AtomicU64,
    pub(super) stopped: AtomicBool,
    pub(super) tally: Mutex<Tally>,
    pub(super) failure: Mutex<Option<anyhow::Error>>,
}

#[derive(Serialize)]
struct Ask<'a> {
    user: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    k: Option<usize>,
    context: &'a Context,
    #[serde(skip_serializing_if = "Option::is_none")]
    objectives: Option<&'a BTreeMap<String, f64>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    preset: Option<&'a str>,
    time: i64,
}

/// What of a list matters here.
#[derive(Deserialize)]
struct List {
    items: Vec<Listed>,
    model: String,
    preset: Option<String>,
    experiment: Option<Experiment>,
    request: String,
}

#[derive(Deserialize)]
struct Listed {
    item_id: String,
}

#[derive(Deserialize)]
struct Experiment {
    name: String,
    arm: String,
}

#[derive(Deserialize)]
struct Received {
    accepted: u64,
    duplicates: u64,
    #[serde(default)]
    rejected: Vec<Value>,
}

impl Browse<'_> {
    pub(super) fn tally(&self) -> MutexGuard<'_, Tally> {
        self.tally.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// No more visits.
    pub(super) fn stop(&self) {
        self.stopped.store(true, Ordering::Relaxed);
        self.queue.stop();
    }

    /// Lets people visit until all have, or time is over, or something is wrong.
    pub(super) fn work(&self) {
        if let Err(error) = self.visits() {
            self.failure.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error);
            self.stop();
        }
    }

    /// Visits of an open loop that were due and for which no worker was free in time. Their latency is nowhere.
    pub(super) fn unbegun(&self) -> u64 {
        match (self.pace, self.until) {
            (Pace::Open(rate), Some(until)) if !self.stopped.load(Ordering::Relaxed) => {
                let due = (rate * (until - self.started).as_secs_f64()).ceil() as u64;
                due.min(self.most).saturating_sub(self.begun.load(Ordering::Relaxed))
            }
            _ => 0,
        }
    }

    fn over(&self, at: Instant) -> bool {
        self.stopped.load(Ordering::Relaxed) || self.until.is_some_and(|until| at >= until)
    }

    fn visits(&self) -> anyhow::Result<()> {
        loop {
            let due = match self.pace {
                Pace::Closed => None,
                Pace::Open(rate) => {
                    let slot = self.slots.fetch_add(1, Ordering::Relaxed);
                    if slot >= self.most {
                        return Ok(());
                    }
                    Some(self.started + Duration::from_secs_f64(slot as f64 / rate))
                }
            };
            if let Some(due) = due {
                // In steps, so that a stop is noticed at a low rate too.
                while let wait = due.saturating_duration_since(Instant::now())
                    && !wait.is_zero()
                    && !self.over(Instant::now())
                {
                    std::thread::sleep(wait.min(Duration::from_millis(200)));
                }
            }
            if self.over(Instant::now()) {
                self.queue.stop();
                return Ok(());
            }
            let Some(arrival) = self.queue.next() else { return Ok(()) };
            self.begun.fetch_add(1, Ordering::Relaxed);
            self.visit(&arrival, due.unwrap_or_else(Instant::now))?;
            self.queue.done(&arrival.visit);
        }
    }

    fn visit(&self, arrival: &Arrival, due: Instant) -> anyhow::Result<()> {
        let (visit, mut tell) = (&arrival.visit, arrival.due.clone());
        let context: Context = arrival.context.iter().cloned().collect();
        let ask = Ask {
            user: visit.user_id(),
            k: self.wish.k,
            context: &context,
            objectives: self.wish.objectives.as_ref(),
            preset: self.wish.preset.as_deref(),
            time: visit.time(),
        };
        // Who is refused at a shop that is too full goes away; a test tries again.
        let patience = match self.pace {
            Pace::Closed => self.patience,
            Pace::Open(_) => Duration::ZERO,
        };
        let ended = self.client.send(RECOMMEND, &ask, patience, &mut |attempt| {
            let mut tally = self.tally();
            tally.recommend.attempt(attempt);
            if let Some(problem) = &attempt.problem {
                tally.problem(&format!("{RECOMMEND}: {problem}"));
            }
        })?;
        match ended {
            Ended::Answered(body) => {
                self.tally().recommend.took(due.elapsed());
                let list: List = self.client.read(RECOMMEND, &body)?;
                let items: Vec<&str> =
                    list.items.iter().map(|item| item.item_id.as_str()).collect();
                let what =
                    |response: &_| events((self.seed, visit), &list.request, &context, response);
                let (response, now) = self.queue.show(visit, &items, what)?;
                tell.extend(now);
                let mut groups = vec![Group::All, Group::Model(list.model)];
                groups.extend(list.preset.map(Group::Preset));
                groups.extend(
                    list.experiment.map(|own| Group::Arm { experiment: own.name, arm: own.arm }),
                );
                self.tally().add(groups, visit.user(), &response);
            }
            Ended::Failed(status) => self.tally().recommend.failed(status),
        }
        self.tell(&tell)
    }

    /// Tells the server what is left to tell, once all visits are over.
    pub(super) fn tell_the_rest(&self) -> anyhow::Result<()> {
        self.queue.rest().chunks(BATCH).try_for_each(|batch| self.tell(batch))
    }

    fn tell(&self, events: &[Event]) -> anyhow::Result<()> {
        if events.is_empty() {
            return Ok(());
        }
        let (due, mut attempts) = (Instant::now(), 0);
        let batch = Batch { events };
        let ended = self.client.send(EVENTS, &batch, self.patience, &mut |attempt| {
            attempts += 1;
            let mut tally = self.tally();
            tally.events.attempt(attempt);
            if let Some(problem) = &attempt.problem {
                tally.problem(&format!("{EVENTS}: {problem}"));
            }
        })?;
        let took = due.elapsed();
        let n = events.len() as u64;
        match ended {
            Ended::Failed(status) => {
                let mut tally = self.tally();
                tally.events.failed(status);
                tally.told.lost += n;
            }
            Ended::Answered(body) => {
                let received: Received = self.client.read(EVENTS, &body)?;
                if attempts == 1 && received.duplicates > 0 {
                    return Err(daogou::Error::data(format!(
                        "the server knew {} of {n} events before they were sent: the crowd of seed {} has been there",
                        received.duplicates, self.seed
                    ))
                    .with_hint("take another --seed, or an empty store")
                    .into());
                }
                let mut tally = self.tally();
                tally.events.took(took);
                tally.told.accepted += received.accepted;
                tally.told.duplicates += received.duplicates;
                tally.told.rejected += received.rejected.len() as u64;
                for event in &received.rejected {
                    let said = event["detail"].as_str().unwrap_or("without a reason");
                    let key = event["key"].as_str().unwrap_or("event");
                    tally.problem(&format!("{EVENTS}: refused: {key}: {said}"));
                }
            }
        }
        Ok(())
    }
}
