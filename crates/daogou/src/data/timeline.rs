//! What each user engaged with, in time order, and what each user has seen.
//!
//! User row 0 and item row 0 stand for everyone and everything unknown; mixing them would invent a person, so neither
//! table keeps their events.

use super::consistency::are_starts;
use super::dataset::{Impressions, Requests, Timelines};

/// Engaged events, one per row, in any order.
#[derive(Clone, Copy, Debug, Default)]
pub struct Engagements<'a> {
    /// User row.
    pub user: &'a [u32],
    /// Item row.
    pub item: &'a [u32],
    /// Unix time in seconds.
    pub time: &'a [i64],
    /// Weight: 1 for a click, 3 for a purchase.
    pub weight: &'a [f32],
}

/// Sorts engagements by user and time, ties as given; without times (`time` empty) they stay as given. Cost: O(events), plus O(n log n) over users whose events do not
/// come in time order.
pub fn build(n_users: usize, events: &Engagements<'_>) -> Timelines {
    let Engagements { user, item, time, weight } = *events;
    let known = |row: usize| user[row] != 0 && item[row] != 0;
    let (offsets, rows) = by_user(n_users, user, known, |rows| {
        if !time.is_empty() && !rows.is_sorted_by_key(|&row| time[row as usize]) {
            rows.sort_by_key(|&row| time[row as usize]);
        }
    });
    Timelines {
        offsets,
        item: rows.iter().map(|&row| item[row as usize]).collect(),
        time: rows.iter().filter_map(|&row| time.get(row as usize).copied()).collect(),
        weight: rows.iter().map(|&row| weight[row as usize]).collect(),
    }
}

/// End of each request's history: the first event of its user that is not strictly earlier than the request. Without
/// times every history is empty. Cost: O(log events of the user) each.
pub fn history_ends(timelines: &Timelines, users: &[u32], times: &[i64]) -> Vec<u32> {
    if times.is_empty() {
        return users.iter().map(|&user| history_end(timelines, user, None)).collect();
    }
    let each = users.iter().zip(times);
    each.map(|(&user, &time)| history_end(timelines, user, Some(time))).collect()
}

/// The same of one request.
pub(crate) fn history_end(timelines: &Timelines, user: u32, time: Option<i64>) -> u32 {
    let events = timelines.of(user);
    let earlier =
        time.map_or(0, |time| timelines.time[events.clone()].partition_point(|&t| t < time));
    (events.start + earlier) as u32
}

/// Rows grouped by user (counting sort, order kept), each group then put in order by `arrange`.
pub(super) fn by_user(
    n_users: usize,
    user: &[u32],
    keep: impl Fn(usize) -> bool,
    arrange: impl Fn(&mut [u32]),
) -> (Vec<u32>, Vec<u32>) {
    let mut offsets = vec![0u32; n_users + 1];
    for (row, &user) in user.iter().enumerate() {
        offsets[user as usize + 1] += u32::from(keep(row));
    }
    for u in 0..n_users {
        offsets[u + 1] += offsets[u];
    }
    let mut next = offsets.clone();
    let mut rows = vec![0u32; offsets[n_users] as usize];
    for (row, &user) in user.iter().enumerate() {
        if keep(row) {
            let place = &mut next[user as usize];
            rows[*place as usize] = row as u32;
            *place += 1;
        }
    }
    for pair in offsets.windows(2) {
        arrange(&mut rows[pair[0] as usize..pair[1] as usize]);
    }
    (offsets, rows)
}

impl Timelines {
    /// Number of user rows.
    pub fn users(&self) -> usize {
        self.offsets.len().saturating_sub(1)
    }

    /// The mix of categories of some events as seen at `now`, into `mix`, which holds the prior's weights on entry:
    /// `mix_c += Σ weight · 2^(−age / 14 days)`, then everything is divided by the sum (SCIENCE C.1). Events of unknown
    /// category do not count. Reads the last 200 at most.
    pub fn mix(&self, events: std::ops::Range<usize>, now: i64, category: &[u16], mix: &mut [f32]) {
        let start = events.end.saturating_sub(MIX_EVENTS).max(events.start);
        for e in start..events.end {
            let days = (now - self.time[e]) as f64 / 86_400.0;
            if let Some(share) = mix.get_mut(usize::from(category[self.item[e] as usize])) {
                *share += self.weight[e] * (-days / HALF_LIFE_DAYS).exp2() as f32;
            }
        }
        let total: f32 = mix.iter().sum();
        mix.iter_mut().for_each(|share| *share /= total);
    }

    /// Events of a user.
    pub fn of(&self, user: u32) -> std::ops::Range<usize> {
        self.offsets[user as usize] as usize..self.offsets[user as usize + 1] as usize
    }
}

/// Half-life of a user's past, in days.
const HALF_LIFE_DAYS: f64 = 14.0;

/// Events that a mix is made of, at most: older ones have faded.
const MIX_EVENTS: usize = 200;

/// Items each user was shown or engaged with, and when first.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Seen {
    offsets: Vec<u32>,
    item: Vec<u32>,
    first: Vec<i64>,
}

impl Seen {
    /// Whether there is a place for each of `users`, and all they saw is among `items` rows.
    pub(super) fn fits(&self, users: usize, items: usize) -> bool {
        are_starts(&self.offsets, users, self.item.len())
            && self.first.len() == self.item.len()
            && self.item.iter().all(|&item| (item as usize) < items)
    }

    /// Everything seen in a log: impressions (not sampled ones: nobody saw them) and engaged events. In a log without
    /// time every first sight is at 0. Cost: O(n log n), 12 bytes per pair kept.
    pub fn in_log(requests: &Requests, impressions: &Impressions, timelines: &Timelines) -> Self {
        let shown = (0..requests.len()).flat_map(|request| {
            let user = requests.user[request];
            let time = requests.time.get(request).copied().unwrap_or(0);
            let rows = requests.offsets[request] as usize..requests.offsets[request + 1] as usize;
            rows.filter(|&row| !impressions.sampled.get(row).is_some_and(|&sampled| sampled))
                .map(move |row| (user, impressions.item[row], time))
        });
        let engaged = (0..timelines.users() as u32).flat_map(|user| {
            timelines.of(user).map(move |event| {
                (user, timelines.item[event], timelines.time.get(event).copied().unwrap_or(0))
            })
        });
        Self::build(timelines.users(), shown.chain(engaged))
    }

    /// From sightings `(user, item, time)` in any order; the iterator is walked twice.
    pub fn build(n_users: usize, sightings: impl Iterator<Item = (u32, u32, i64)> + Clone) -> Self {
        let known = |&(user, item, _): &(u32, u32, i64)| user != 0 && item != 0;
        let mut offsets = vec![0u32; n_users + 1];
        for (user, ..) in sightings.clone().filter(known) {
            offsets[user as usize + 1] += 1;
        }
        for u in 0..n_users {
            offsets[u + 1] += offsets[u];
        }
        let mut next = offsets.clone();
        let mut item = vec![0u32; offsets[n_users] as usize];
        let mut first = vec![0i64; item.len()];
        for (user, seen, time) in sightings.filter(known) {
            let place = next[user as usize] as usize;
            (item[place], first[place]) = (seen, time);
            next[user as usize] += 1;
        }
        // Sort each user's sightings and keep the first of each item, moving everything down over the gaps.
        let mut kept = 0;
        let mut pairs: Vec<(u32, i64)> = Vec::new();
        let mut start = 0;
        for u in 0..n_users {
            let rows = start as usize..offsets[u + 1] as usize;
            start = offsets[u + 1];
            pairs.clear();
            pairs.extend(item[rows.clone()].iter().copied().zip(first[rows].iter().copied()));
            pairs.sort_unstable();
            pairs.dedup_by_key(|pair| pair.0);
            for &(seen, time) in &pairs {
                (item[kept], first[kept]) = (seen, time);
                kept += 1;
            }
            offsets[u + 1] = kept as u32;
        }
        item.truncate(kept);
        first.truncate(kept);
        item.shrink_to_fit();
        first.shrink_to_fit();
        Self { offsets, item, first }
    }

    /// Items a user has seen, ascending; empty for users the log does not know.
    pub fn items(&self, user: u32) -> &[u32] {
        &self.item[self.rows(user)]
    }

    /// When the user first saw each of [`Seen::items`].
    pub fn first_times(&self, user: u32) -> &[i64] {
        &self.first[self.rows(user)]
    }

    /// Whether the user has ever seen the item. Cost: O(log items seen).
    pub fn contains(&self, user: u32, item: u32) -> bool {
        self.first_time(user, item).is_some()
    }

    /// Whether the user had seen the item strictly before `time`.
    pub fn before(&self, user: u32, item: u32, time: i64) -> bool {
        self.first_time(user, item).is_some_and(|first| first < time)
    }

    /// When the user first saw the item.
    pub fn first_time(&self, user: u32, item: u32) -> Option<i64> {
        let place = self.items(user).binary_search(&item).ok()?;
        Some(self.first_times(user)[place])
    }

    fn rows(&self, user: u32) -> std::ops::Range<usize> {
        let user = user as usize;
        match self.offsets.get(user..user + 2) {
            Some(ends) => ends[0] as usize..ends[1] as usize,
            None => 0..0,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn engagements(rows: &[(u32, u32, i64)]) -> (Vec<u32>, Vec<u32>, Vec<i64>, Vec<f32>) {
        let weight = (0..rows.len()).map(|row| row as f32).collect();
        let column = |pick: fn(&(u32, u32, i64)) -> u32| rows.iter().map(pick).collect();
        (column(|row| row.0), column(|row| row.1), rows.iter().map(|row| row.2).collect(), weight)
    }

    fn timelines(n_users: usize, rows: &[(u32, u32, i64)]) -> Timelines {
        let (user, item, time, weight) = engagements(rows);
        build(n_users, &Engagements { user: &user, item: &item, time: &time, weight: &weight })
    }

    #[test]
    fn events_are_by_user_then_time_and_unknown_rows_are_left_out() {
        let lines = timelines(
            4,
            &[(2, 7, 30), (1, 5, 10), (2, 8, 20), (0, 9, 5), (2, 0, 1), (2, 9, 20), (1, 6, 10)],
        );
        assert_eq!(lines.offsets, [0, 0, 2, 5, 5]);
        assert_eq!(lines.item, [5, 6, 8, 9, 7]);
        assert_eq!(lines.time, [10, 10, 20, 20, 30]);
        assert_eq!(lines.weight, [1.0, 6.0, 2.0, 5.0, 0.0], "ties keep the order of the rows");
        assert_eq!(history_ends(&lines, &[2, 2, 2, 3, 0], &[20, 21, 99, 5, 5]), [2, 4, 5, 5, 0]);
        assert_eq!(history_ends(&lines, &[2, 1], &[]), [2, 0], "no times, no histories");
    }

    #[test]
    fn first_sight_is_the_earliest() {
        let seen = Seen::build(
            3,
            [(1, 4, 30), (2, 4, 1), (1, 4, 10), (1, 2, 20), (0, 4, 0), (1, 0, 0)].into_iter(),
        );
        assert_eq!((seen.items(1), seen.first_times(1)), (&[2, 4][..], &[20, 10][..]));
        assert!(seen.contains(2, 4) && !seen.contains(2, 2) && !seen.contains(0, 4));
        assert!(seen.before(1, 4, 11) && !seen.before(1, 4, 10), "strictly before");
        assert!(seen.items(77).is_empty() && !seen.contains(77, 1));
    }

    #[test]
    fn sampled_impressions_were_seen_by_nobody() {
        let requests =
            Requests { user: vec![1], time: vec![5], offsets: vec![0, 2], ..Requests::default() };
        let impressions =
            Impressions { item: vec![3, 4], sampled: vec![false, true], ..Impressions::default() };
        let seen = Seen::in_log(&requests, &impressions, &timelines(2, &[(1, 9, 2)]));
        assert_eq!((seen.items(1), seen.first_times(1)), (&[3, 9][..], &[5, 2][..]));
    }

    proptest! {
        #[test]
        fn twins_agree(
            rows in prop::collection::vec((0u32..6, 0u32..9, 0i64..30), 0..150),
            asked in prop::collection::vec((0u32..6, 0u32..9, 0i64..32), 1..60),
        ) {
            let lines = timelines(6, &rows);
            let seen = Seen::build(6, rows.iter().copied());
            let (users, times): (Vec<u32>, Vec<i64>) =
                asked.iter().map(|&(user, _, time)| (user, time)).unzip();
            let ends = history_ends(&lines, &users, &times);
            for (&(user, item, time), &end) in asked.iter().zip(&ends) {
                let mut plain: Vec<(i64, usize)> = rows
                    .iter()
                    .enumerate()
                    .filter(|(_, row)| row.0 == user && user != 0 && row.1 != 0 && row.2 < time)
                    .map(|(i, row)| (row.2, i))
                    .collect();
                plain.sort_unstable();
                let history = lines.of(user).start..end as usize;
                let expected: Vec<u32> = plain.iter().map(|&(_, i)| rows[i].1).collect();
                prop_assert_eq!(&lines.item[history.clone()], &expected[..]);
                let expected: Vec<f32> = plain.iter().map(|&(_, i)| i as f32).collect();
                prop_assert_eq!(&lines.weight[history], &expected[..]);
                prop_assert_eq!(seen.before(user, item, time), item != 0 && plain.iter().any(|&(_, i)| rows[i].1 == item));
            }
        }

        /// Whatever happens at or after a request leaves its history and its seen-set as they are.
        #[test]
        fn later_events_change_nothing_before(
            rows in prop::collection::vec((1u32..5, 1u32..9, 0i64..30), 0..80),
            other in prop::collection::vec((1u32..5, 1u32..9, 0i64..30), 0..80),
            time in 0i64..30,
        ) {
            let early = || rows.iter().copied().filter(|row| row.2 < time);
            let changed: Vec<_> = early().chain(other.iter().copied().filter(|row| row.2 >= time)).collect();
            let (a, b) = (timelines(5, &rows), timelines(5, &changed));
            let (seen, seen_changed) =
                (Seen::build(5, rows.iter().copied()), Seen::build(5, changed.iter().copied()));
            for user in 1..5 {
                let history = |lines: &Timelines| {
                    let end = history_ends(lines, &[user], &[time])[0] as usize;
                    lines.item[lines.of(user).start..end].to_vec()
                };
                prop_assert_eq!(history(&a), history(&b));
                for item in 1..9 {
                    prop_assert_eq!(seen.before(user, item, time), seen_changed.before(user, item, time));
                }
            }
        }
    }
}
