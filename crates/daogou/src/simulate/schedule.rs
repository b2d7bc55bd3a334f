//! When who comes: sessions over days and hours, requests within sessions.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use daogou_nn::rng::Rng;

use super::world::{DAY, START, cumulative, draw};
use super::{Past, World, domain};

/// One request to come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Visit {
    /// Unix seconds.
    pub(super) time: i64,
    pub(super) session: u32,
    /// Place within the session.
    ordinal: u32,
    pub(super) user: u32,
}

/// Relative number of sessions by hour of the day, UTC: lunch and evening peaks.
const HOURS: [f64; 24] = [
    2.0, 1.2, 0.8, 0.5, 0.4, 0.5, 1.0, 2.0, 3.0, 3.8, 4.2, 4.5, 5.5, 5.2, 4.4, 4.2, 4.3, 4.5, 5.0,
    6.0, 7.5, 8.0, 6.8, 4.2,
];
/// Weekends are this much busier.
const WEEKEND: f64 = 1.3;
/// Probability that a session goes on after a request.
const GOES_ON: f64 = 0.5;
/// Least silence between two sessions of one person.
const APART: i64 = 30 * 60;

/// Hour of the day, UTC.
pub(super) fn hour(time: i64) -> i32 {
    ((time % DAY) / 3600) as i32
}

/// Day of the week, 0 is Monday. 1970-01-01 was a Thursday.
pub(super) fn weekday(time: i64) -> i32 {
    ((time / DAY + 3) % 7) as i32
}

/// How busy a day is, counted from [`START`], which is a Monday.
fn busy(day: i64) -> f64 {
    if day % 7 >= 5 { WEEKEND } else { 1.0 }
}

/// A session before it has its place in time, in the order in which places are given.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Wish {
    user: u32,
    start: i64,
    session: u32,
    requests: u64,
}

/// Draws what makes a session: who, and when. Streams are of the number of a session.
struct Draws {
    /// By place in `who`, or by person where that is empty.
    people: Vec<f64>,
    who: Vec<u32>,
    hours: Vec<f64>,
    visit_seed: u64,
    pause_seed: u64,
}

impl Draws {
    fn new(world: &World, who: Vec<u32>, seed: u64) -> Self {
        let users = world.users();
        let people = if who.is_empty() {
            cumulative(users.iter().map(|user| user.activity))
        } else {
            cumulative(who.iter().map(|&user| users[user as usize].activity))
        };
        Self {
            people,
            who,
            hours: cumulative(HOURS.into_iter()),
            visit_seed: domain(seed, "visit"),
            pause_seed: domain(seed, "pause"),
        }
    }

    /// A session of at most `most` requests on the day that `day` draws.
    fn wish(&self, session: u32, most: u64, day: impl FnOnce(&mut Rng) -> i64) -> Wish {
        let mut rng = Rng::new(self.visit_seed, u64::from(session));
        let person = draw(&self.people, rng.uniform());
        let user = self.who.get(person).copied().unwrap_or(person as u32);
        let day = day(&mut rng);
        let hour = draw(&self.hours, rng.uniform()) as i64;
        let start = START + day * DAY + hour * 3600 + rng.below(3600) as i64;
        let mut requests = 1;
        while requests < most && rng.uniform() < GOES_ON {
            requests += 1;
        }
        Wish { user, start, session, requests }
    }

    /// The visits of a session, after the person's last one; returns when the last is.
    fn place(&self, wish: &Wish, last: Option<i64>, mut visit: impl FnMut(Visit)) -> i64 {
        let &Wish { user, start, session, requests } = wish;
        let mut rng = Rng::new(self.pause_seed, u64::from(session));
        let mut time = last.map_or(start, |last| start.max(last + APART));
        let mut end = time;
        for ordinal in 0..requests as u32 {
            visit(Visit { time, session, ordinal, user });
            end = time;
            time += 15 - (60.0 * (1.0 - rng.uniform()).ln()) as i64;
        }
        end
    }
}

/// All requests in order of time, and the number of sessions. Memory: 24 bytes per request, 32 per session.
pub(super) fn visits(world: &World) -> (Vec<Visit>, u64) {
    let options = world.options();
    let draws = Draws::new(world, Vec::new(), options.seed);
    let days = cumulative((0..i64::from(options.days)).map(busy));
    let mut wishes: Vec<Wish> = Vec::new();
    let mut left = options.requests;
    while left > 0 {
        let session = wishes.len() as u32;
        let wish = draws.wish(session, left, |rng| draw(&days, rng.uniform()) as i64);
        left -= wish.requests;
        wishes.push(wish);
    }
    wishes.sort_unstable();

    let mut visits = Vec::with_capacity(options.requests as usize);
    let mut before: Option<(u32, i64)> = None;
    for wish in &wishes {
        let last = before.filter(|(who, _)| *who == wish.user).map(|(_, end)| end);
        let end = draws.place(wish, last, |visit| visits.push(visit));
        before = Some((wish.user, end));
    }
    visits.sort_unstable();
    (visits, wishes.len() as u64)
}

/// Requests after those of a log, without end, in order of time: as many sessions per day, at the same hours, by the
/// same people.
pub(super) struct Ahead {
    draws: Draws,
    /// Sessions on a weekday.
    per_day: f64,
    day_seed: u64,
    /// The next day to be laid out, counted from [`START`].
    day: i64,
    session: u32,
    /// When each person came last.
    last: Vec<Option<i64>>,
    waiting: BinaryHeap<Reverse<Visit>>,
}

impl Ahead {
    /// From the first midnight at which the log is over. Only the people of `who` come, all where that is empty; each
    /// as often as in the log.
    pub(super) fn new(world: &World, past: &Past, who: Vec<u32>, seed: u64) -> Self {
        let options = world.options();
        let logged = i64::from(options.days);
        let activity = |user: u32| world.users()[user as usize].activity;
        let all: f64 = (0..world.users().len() as u32).map(activity).sum();
        let share =
            if who.is_empty() { 1.0 } else { who.iter().map(|&u| activity(u)).sum::<f64>() / all };
        Self {
            per_day: share * past.sessions as f64 / (0..logged).map(busy).sum::<f64>(),
            day_seed: domain(seed, "day"),
            day: logged.max((past.until - START) / DAY + 1),
            session: past.sessions as u32,
            last: past.memory.iter().map(|memory| memory.last).collect(),
            draws: Draws::new(world, who, seed),
            waiting: BinaryHeap::new(),
        }
    }

    fn lay_out_a_day(&mut self) {
        let day = self.day;
        let luck = Rng::new(self.day_seed, day as u64).uniform();
        // Rounded up or down so that few people come as often as they should, too.
        let sessions = (self.per_day * busy(day) + luck) as u32;
        let mut wishes: Vec<Wish> = (self.session..self.session + sessions)
            .map(|session| self.draws.wish(session, u64::from(u32::MAX), |_| day))
            .collect();
        wishes.sort_unstable();
        for wish in &wishes {
            let last = &mut self.last[wish.user as usize];
            let end = self.draws.place(wish, *last, |visit| self.waiting.push(Reverse(visit)));
            *last = Some(end);
        }
        self.session += sessions;
        self.day += 1;
    }

    /// The next visit.
    pub(super) fn pop(&mut self) -> Visit {
        loop {
            let laid_out = START + self.day * DAY;
            if let Some(Reverse(visit)) = self.waiting.peek().filter(|next| next.0.time < laid_out)
            {
                let visit = *visit;
                self.waiting.pop();
                return visit;
            }
            self.lay_out_a_day();
        }
    }
}
