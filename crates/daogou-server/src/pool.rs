//! The threads that score. Requests wait in a line of bounded length; who finds it full is told so at once.
//!
//! Each thread keeps a [`Guide`] for the counters it met last, so that a request neither makes nor frees memory of the
//! size of the catalogue.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use daogou::guide::Guide;
use daogou_nn::Team;
use self_cell::self_cell;
use tokio::sync::oneshot;

use crate::models::Counter;
use crate::problem::{Answer, Problem};

/// Guides that a thread keeps: models of an experiment, and the counters of a catalogue that changes.
const KEPT: usize = 3;

type OwnGuide<'a> = Guide<'a>;

self_cell!(
    /// A guide and the counter that it reads from.
    struct Desk {
        owner: Arc<Counter>,
        #[not_covariant]
        dependent: OwnGuide,
    }
);

type Work = Box<dyn FnOnce(&mut Guide<'_>, &mut Team, Duration) + Send>;

struct Job {
    counter: Arc<Counter>,
    since: Instant,
    deadline: Instant,
    work: Work,
    /// Told where there is no guide, or it is too late.
    refuse: Box<dyn FnOnce(Problem) + Send>,
}

/// The threads and their line.
pub(crate) struct Pool {
    line: SyncSender<Job>,
    waiting: Arc<AtomicUsize>,
    capacity: usize,
    deadline: Duration,
}

impl Pool {
    /// Starts threads; they end when the pool is dropped and the line is empty.
    pub(crate) fn start(
        threads: usize,
        capacity: usize,
        deadline: Duration,
    ) -> std::io::Result<Self> {
        let (line, jobs) = sync_channel(capacity);
        let jobs = Arc::new(Mutex::new(jobs));
        let waiting = Arc::new(AtomicUsize::new(0));
        for thread in 0..threads {
            let (jobs, waiting) = (Arc::clone(&jobs), Arc::clone(&waiting));
            std::thread::Builder::new()
                .name(format!("score-{thread}"))
                .spawn(move || work(&jobs, &waiting))?;
        }
        Ok(Self { line, waiting, capacity, deadline })
    }

    /// Requests in line.
    pub(crate) fn waiting(&self) -> usize {
        self.waiting.load(Ordering::Relaxed)
    }

    /// That there is room in line. Asked before anything is read for a request, so that a refusal costs next to nothing.
    ///
    /// # Errors
    ///
    /// 429 where the line is full.
    pub(crate) fn room(&self) -> Answer<()> {
        if self.waiting() < self.capacity { Ok(()) } else { Err(self.full()) }
    }

    fn full(&self) -> Problem {
        Problem::busy(format!("expected fewer than {} requests in line, got more", self.capacity))
            .hint("send it again a little later, and spread requests over more servers")
    }

    /// Has `work` done with a guide of this counter; it is told how long it waited in line.
    ///
    /// # Errors
    ///
    /// 429 where the line is full, 503 where the deadline passed in line, and what `work` says.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        counter: Arc<Counter>,
        work: impl FnOnce(&mut Guide<'_>, &mut Team, Duration) -> Answer<T> + Send + 'static,
    ) -> Answer<T> {
        let (done, answer) = oneshot::channel();
        let done = Arc::new(Mutex::new(Some(done)));
        let take =
            |done: &Mutex<Option<_>>| done.lock().unwrap_or_else(PoisonError::into_inner).take();
        let refused = Arc::clone(&done);
        let now = Instant::now();
        let job = Job {
            counter,
            since: now,
            deadline: now + self.deadline,
            work: Box::new(move |guide, team, waited| {
                let sender: Option<oneshot::Sender<Answer<T>>> = take(&done);
                if let Some(sender) = sender {
                    // Whoever asked may be gone.
                    if !sender.is_closed() {
                        let _ = sender.send(work(guide, team, waited));
                    }
                }
            }),
            refuse: Box::new(move |problem| {
                if let Some(sender) = take(&refused) {
                    let _ = sender.send(Err(problem));
                }
            }),
        };
        self.waiting.fetch_add(1, Ordering::Relaxed);
        if let Err(error) = self.line.try_send(job) {
            self.waiting.fetch_sub(1, Ordering::Relaxed);
            return Err(match error {
                TrySendError::Full(_) => self.full(),
                TrySendError::Disconnected(_) => Problem::unavailable("the server is going down"),
            });
        }
        answer.await.unwrap_or_else(|_| Err(lost()))
    }
}

/// A fault of ours; the thread goes on.
fn lost() -> Problem {
    Problem::new(
        axum::http::StatusCode::INTERNAL_SERVER_ERROR,
        "the answer was lost by a fault of the server; its log tells more",
    )
}

fn work(jobs: &Mutex<Receiver<Job>>, waiting: &AtomicUsize) {
    let mut team = Team::new(1);
    let mut desks: Vec<Desk> = Vec::new();
    loop {
        let job = jobs.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(Job { counter, since, deadline, work, refuse }) = job else { return };
        waiting.fetch_sub(1, Ordering::Relaxed);
        if Instant::now() >= deadline {
            refuse(Problem::unavailable("the request waited in line for longer than its deadline"));
            continue;
        }
        let known = desks.iter().position(|desk| Arc::ptr_eq(desk.borrow_owner(), &counter));
        let desk = match known {
            Some(place) => desks.remove(place),
            None => {
                // Counters that nobody else has are of the past.
                desks.retain(|desk| Arc::strong_count(desk.borrow_owner()) > 1);
                desks.truncate(KEPT - 1);
                let made = Desk::try_new(counter, |counter| counter.guide());
                match made {
                    Ok(desk) => desk,
                    Err(error) => {
                        refuse(error.into());
                        continue;
                    }
                }
            }
        };
        let mut desk = desk;
        let caught = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            desk.with_dependent_mut(|_, guide| work(guide, &mut team, since.elapsed()));
        }));
        match caught {
            Ok(()) => desks.insert(0, desk),
            // What the guide left behind is not trusted; whoever waits learns that there is no answer.
            Err(_) => tracing::error!("a request made a scoring thread panic"),
        }
    }
}
