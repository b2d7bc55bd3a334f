//! Who is next: visits are handed to several workers in order of time, but never two of one person at once.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap, HashSet, VecDeque};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use daogou::simulate::crowd::{Crowd, Response, Visit};

use super::events::Event;

/// Visits that may wait for a person who is still busy with the last one, per worker.
const HELD: usize = 4;

/// The crowd and what its people are doing.
pub(super) struct Queue {
    state: Mutex<State>,
    changed: Condvar,
    most_held: usize,
}

struct State {
    crowd: Crowd,
    /// Visits that may still come.
    left: u64,
    busy: HashSet<u32>,
    held: BTreeMap<u32, VecDeque<Visit>>,
    held_visits: usize,
    ready: VecDeque<Visit>,
    /// What happens later than the visit it comes from.
    later: BinaryHeap<Reverse<Late>>,
    stopped: bool,
}

/// An event that is told when its time has come.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Late {
    time: i64,
    id: String,
    event: Box<Event>,
}

/// A visit that somebody is to make a list for.
pub(super) struct Arrival {
    pub(super) visit: Visit,
    pub(super) context: [(&'static str, String); 4],
    /// What happened before it and has not been told.
    pub(super) due: Vec<Event>,
}

impl Queue {
    /// At most `most` visits, for this many workers.
    pub(super) fn new(crowd: Crowd, most: u64, workers: usize) -> Self {
        let state = State {
            crowd,
            left: most,
            busy: HashSet::new(),
            held: BTreeMap::new(),
            held_visits: 0,
            ready: VecDeque::new(),
            later: BinaryHeap::new(),
            stopped: false,
        };
        Self { state: Mutex::new(state), changed: Condvar::new(), most_held: HELD * workers }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The next visit; `None` when all have come or the queue was stopped.
    pub(super) fn next(&self) -> Option<Arrival> {
        let mut state = self.state();
        loop {
            if state.stopped {
                return None;
            }
            if let Some(visit) = state.ready.pop_front() {
                return Some(state.arrival(visit));
            }
            let full = state.held_visits >= self.most_held;
            if state.left == 0 && state.held_visits == 0 {
                return None;
            }
            if full || state.left == 0 {
                state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
                continue;
            }
            state.left -= 1;
            let visit = state.crowd.come();
            if state.busy.insert(visit.user()) {
                return Some(state.arrival(visit));
            }
            state.held.entry(visit.user()).or_default().push_back(visit);
            state.held_visits += 1;
        }
    }

    /// Shows a list to the person of a visit. What they do at once is returned, what they do later is kept.
    pub(super) fn show(
        &self,
        visit: &Visit,
        list: &[&str],
        events: impl FnOnce(&Response) -> (Vec<Event>, Vec<Event>),
    ) -> daogou::Result<(Response, Vec<Event>)> {
        let mut state = self.state();
        let response = state.crowd.show(visit, list)?;
        let (now, later) = events(&response);
        state.later.extend(later.into_iter().map(|event| {
            Reverse(Late { time: event.timestamp, id: event.id.clone(), event: Box::new(event) })
        }));
        Ok((response, now))
    }

    /// The visit is over, and the person may come again.
    pub(super) fn done(&self, visit: &Visit) {
        let mut state = self.state();
        let next = state.held.get_mut(&visit.user()).and_then(VecDeque::pop_front);
        if let Some(next) = next {
            state.held_visits -= 1;
            state.ready.push_back(next);
        } else {
            state.held.remove(&visit.user());
            state.busy.remove(&visit.user());
        }
        self.changed.notify_all();
    }

    /// Nobody comes any more.
    pub(super) fn stop(&self) {
        self.state().stopped = true;
        self.changed.notify_all();
    }

    /// Everything that has not been told, in order of time.
    pub(super) fn rest(&self) -> Vec<Event> {
        self.state().due(i64::MAX)
    }
}

impl State {
    fn arrival(&mut self, visit: Visit) -> Arrival {
        let context = self.crowd.context(&visit);
        Arrival { visit, context, due: self.due(visit.time()) }
    }

    fn due(&mut self, time: i64) -> Vec<Event> {
        let mut due = Vec::new();
        while self.later.peek().is_some_and(|Reverse(late)| late.time <= time) {
            due.extend(self.later.pop().map(|Reverse(late)| *late.event));
        }
        due
    }
}
