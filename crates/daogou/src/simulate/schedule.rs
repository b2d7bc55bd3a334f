//! When who comes: sessions over days and hours, requests within sessions.

use daogou_nn::rng::Rng;

use super::world::{DAY, START, cumulative, draw};
use super::{World, domain};

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

/// All requests in order of time, and the number of sessions. Memory: 24 bytes per request and per session.
pub(super) fn visits(world: &World) -> (Vec<Visit>, u64) {
    let options = world.options();
    let people = cumulative(world.users().iter().map(|user| user.activity));
    // The first day is a Monday.
    let days = cumulative((0..options.days).map(|day| if day % 7 >= 5 { WEEKEND } else { 1.0 }));
    let hours = cumulative(HOURS.into_iter());
    let (visit_seed, pause_seed) = (domain(options.seed, "visit"), domain(options.seed, "pause"));

    let mut sessions: Vec<(u32, i64, u32, u32)> = Vec::new();
    let mut left = options.requests;
    while left > 0 {
        let id = sessions.len() as u32;
        let mut rng = Rng::new(visit_seed, u64::from(id));
        let user = draw(&people, rng.uniform()) as u32;
        let day = draw(&days, rng.uniform()) as i64;
        let hour = draw(&hours, rng.uniform()) as i64;
        let start = START + day * DAY + hour * 3600 + rng.below(3600) as i64;
        let mut requests = 1;
        while requests < left && rng.uniform() < GOES_ON {
            requests += 1;
        }
        left -= requests;
        sessions.push((user, start, id, requests as u32));
    }
    sessions.sort_unstable();

    let mut visits = Vec::with_capacity(options.requests as usize);
    let mut before: Option<(u32, i64)> = None;
    for &(user, start, session, requests) in &sessions {
        let mut rng = Rng::new(pause_seed, u64::from(session));
        let mut time = match before {
            Some((who, end)) if who == user => start.max(end + APART),
            _ => start,
        };
        for ordinal in 0..requests {
            visits.push(Visit { time, session, ordinal, user });
            before = Some((user, time));
            time += 15 - (60.0 * (1.0 - rng.uniform()).ln()) as i64;
        }
    }
    visits.sort_unstable();
    (visits, sessions.len() as u64)
}
