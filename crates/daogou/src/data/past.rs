//! What each person was shown, and engaged with, of the same item, category or brand before a request.
//!
//! A candidate of value v (its own row, or that of its category), asked for by a person at time t, has a tally of
//! the person's impressions *strictly before* t whose item has value v; the model reads its four [`Measure`]s. Requests
//! of one time know nothing of each other, so a list never counts itself.
//!
//! What everybody did, [`super::popularity`], is read in the same places, by the same groups of like items.

use serde::{Deserialize, Serialize};

use super::consistency::are_starts;
use super::dataset::{Column, Impressions, Requests, SideTable};
use super::popularity::{Count, Popularity, Showings};
use super::space::FeatureSpace;
use super::timeline::by_user;

/// What is read from a tally. Frequency and recency, of impressions and of engagement.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Measure {
    /// ln(1 + impressions).
    Shown,
    /// ln(1 + impressions engaged with).
    Engaged,
    /// ln(1 + minutes since the last impression), of a year where there was none or it is longer ago.
    SinceShown,
    /// ln(1 + minutes since the last impression engaged with), likewise.
    SinceEngaged,
}

impl Measure {
    /// All of them, in the order of their numbers.
    pub const ALL: [Self; 4] = [Self::Shown, Self::Engaged, Self::SinceShown, Self::SinceEngaged];

    /// How fields are named after it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Shown => "shown",
            Self::Engaged => "engaged",
            Self::SinceShown => "since_shown",
            Self::SinceEngaged => "since_engaged",
        }
    }
}

/// Longest time told apart from never, in minutes.
const YEAR: f64 = 365.0 * 24.0 * 60.0;

/// Impressions of one person and one value.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Tally {
    pub(super) shown: u32,
    pub(super) engaged: u32,
    /// Unix time; means nothing while `shown` is 0.
    last_shown: i64,
    /// Unix time; means nothing while `engaged` is 0.
    last_engaged: i64,
}

impl Tally {
    fn one(time: i64, engaged: bool) -> Self {
        Self { shown: 1, engaged: u32::from(engaged), last_shown: time, last_engaged: time }
    }

    fn add(&mut self, other: &Self) {
        let later = |(n, own): (u32, i64), (m, its): (u32, i64)| match (n, m) {
            (0, _) => its,
            (_, 0) => own,
            _ => own.max(its),
        };
        self.last_shown = later((self.shown, self.last_shown), (other.shown, other.last_shown));
        self.last_engaged =
            later((self.engaged, self.last_engaged), (other.engaged, other.last_engaged));
        self.shown += other.shown;
        self.engaged += other.engaged;
    }

    pub(super) fn measures(&self, now: i64) -> [f32; 4] {
        let since = |count: u32, last: i64| {
            let minutes = if count == 0 { YEAR } else { (now - last) as f64 / 60.0 };
            minutes.min(YEAR).ln_1p() as f32
        };
        [
            f64::from(self.shown).ln_1p() as f32,
            f64::from(self.engaged).ln_1p() as f32,
            since(self.shown, self.last_shown),
            since(self.engaged, self.last_engaged),
        ]
    }
}

/// Tallies of one person, by value; row 0, everything unknown, stays empty.
pub(super) struct Tallies {
    pub(super) of: Vec<Tally>,
    pub(super) touched: Vec<u32>,
}

impl Tallies {
    pub(super) fn new(values: usize) -> Self {
        Self { of: vec![Tally::default(); values], touched: Vec::new() }
    }

    pub(super) fn add(&mut self, value: u32, tally: &Tally) {
        if value == 0 {
            return;
        }
        let own = &mut self.of[value as usize];
        if own.shown == 0 {
            self.touched.push(value);
        }
        own.add(tally);
    }

    pub(super) fn clear(&mut self) {
        self.touched.drain(..).for_each(|value| self.of[value as usize] = Tally::default());
    }
}

/// A log as something people saw.
#[derive(Clone, Copy, Debug)]
pub struct Shown<'a> {
    /// Requests; they have times.
    pub requests: &'a Requests,
    /// Impressions; sampled ones were seen by nobody.
    pub impressions: &'a Impressions,
    /// 1 where an impression was engaged with; `None`: nothing is known of that.
    pub engaged: Option<&'a [u8]>,
}

impl Shown<'_> {
    /// Requests of each known person in order of time.
    fn by_user(&self) -> (Vec<u32>, Vec<u32>) {
        let Requests { user, time, .. } = self.requests;
        let users = user.iter().max().map_or(0, |&last| last as usize + 1);
        by_user(users, user, |r| user[r] != 0, |rows| rows.sort_by_key(|&r| time[r as usize]))
    }

    /// Calls `each(item, whether engaged with)` for what was seen in a request.
    fn impressions(&self, request: usize, mut each: impl FnMut(u32, bool)) {
        for i in self.requests.impressions(&(request..request + 1)) {
            if !self.impressions.sampled.get(i).is_some_and(|&sampled| sampled) {
                let engaged = self.engaged.is_some_and(|engaged| engaged[i] == 1);
                each(self.impressions.item[i], engaged);
            }
        }
    }

    /// Calls `each(item, tally)` for what was seen in a request.
    fn seen(&self, request: usize, mut each: impl FnMut(u32, &Tally)) {
        let time = self.requests.time[request];
        self.impressions(request, |item, engaged| each(item, &Tally::one(time, engaged)));
    }

    /// Calls `each(item, count)` for what was seen in a request.
    pub(super) fn counts(&self, request: usize, mut each: impl FnMut(u32, Count)) {
        self.impressions(request, |item, engaged| {
            each(item, Count { shown: 1, engaged: u32::from(engaged) });
        });
    }
}

/// What people had seen when a log ended: one tally per person and item.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Past {
    offsets: Vec<u32>,
    item: Vec<u32>,
    shown: Vec<u32>,
    engaged: Vec<u32>,
    last_shown: Vec<i64>,
    last_engaged: Vec<i64>,
    /// What everybody together had seen; empty where no feature asks for it.
    #[serde(default)]
    pub(super) everyone: Popularity,
}

impl Past {
    /// Tallies of a whole log. Cost: O(n log n) of each person's requests and items; 28 bytes per different pair.
    pub fn of_log(log: &Shown<'_>, items: usize) -> Self {
        let mut past = Self { offsets: vec![0], ..Self::default() };
        let (offsets, rows) = log.by_user();
        let mut tallies = Tallies::new(items);
        for ends in offsets.windows(2) {
            for &request in &rows[ends[0] as usize..ends[1] as usize] {
                log.seen(request as usize, |item, tally| tallies.add(item, tally));
            }
            tallies.touched.sort_unstable();
            for &item in &tallies.touched {
                past.push(item, &tallies.of[item as usize]);
            }
            past.offsets.push(past.item.len() as u32);
            tallies.clear();
        }
        past
    }

    /// Tallies of a single person, as user row 1: what an earlier log had of `user`, and impressions since then as (item,
    /// time, whether engaged with).
    pub(crate) fn of_person(
        before: Option<(&Self, u32)>,
        since: impl Iterator<Item = (u32, i64, bool)>,
    ) -> Self {
        let mut tallies = std::collections::BTreeMap::<u32, Tally>::new();
        let earlier = before.into_iter().flat_map(|(past, user)| past.of(user));
        for (item, tally) in earlier.chain(since.map(|(i, time, own)| (i, Tally::one(time, own)))) {
            tallies.entry(item).or_default().add(&tally);
        }
        let mut past = Self { offsets: vec![0, 0, tallies.len() as u32], ..Self::default() };
        for (item, tally) in tallies {
            past.push(item, &tally);
        }
        past
    }

    fn push(&mut self, item: u32, tally: &Tally) {
        self.item.push(item);
        self.shown.push(tally.shown);
        self.engaged.push(tally.engaged);
        self.last_shown.push(tally.last_shown);
        self.last_engaged.push(tally.last_engaged);
    }

    /// Whether the columns have the lengths that the offsets promise, and the items are among `items` rows.
    pub(super) fn fits(&self, items: usize) -> bool {
        let rows = self.item.len();
        let users = self.offsets.len().saturating_sub(1);
        // Before anyone came there are not even starts.
        let starts = are_starts(&self.offsets, users, rows);
        (starts || (self.offsets.is_empty() && rows == 0))
            && self.item.iter().all(|&item| (item as usize) < items)
            && [self.item.len(), self.shown.len(), self.engaged.len()].iter().all(|&n| n == rows)
            && [self.last_shown.len(), self.last_engaged.len()].iter().all(|&n| n == rows)
    }

    /// Items of a person with their tallies; none for people the log did not know.
    fn of(&self, user: u32) -> impl Iterator<Item = (u32, Tally)> + '_ {
        let user = user as usize;
        let rows = match self.offsets.get(user..user + 2) {
            Some(ends) => ends[0] as usize..ends[1] as usize,
            None => 0..0,
        };
        rows.map(|row| {
            let tally = Tally {
                shown: self.shown[row],
                engaged: self.engaged[row],
                last_shown: self.last_shown[row],
                last_engaged: self.last_engaged[row],
            };
            (self.item[row], tally)
        })
    }
}

/// What people had seen: of a log, and before it.
pub(crate) struct Sights<'a> {
    /// Each person's requests in order of time.
    log: Option<(Shown<'a>, Vec<u32>, Vec<u32>)>,
    /// The log once more, by item.
    pub(super) showings: Option<Showings>,
    pub(super) before: (&'a Past, i64),
}

impl<'a> Sights<'a> {
    /// What log and `before` mean is as in [`Measured::new`]. Costs O(n log n) of each person's requests.
    pub(crate) fn new(log: Option<Shown<'a>>, before: (&'a Past, i64)) -> Self {
        let log = log.map(|log| {
            let (offsets, rows) = log.by_user();
            (log, offsets, rows)
        });
        Self { log, showings: None, before }
    }

    /// The same, for features that ask what everybody saw in the log.
    pub(crate) fn of_everyone(mut self) -> Self {
        self.showings = self.log.as_ref().map(|(log, ..)| Showings::of_log(log));
        self
    }

    /// Calls `each(item, tally)` for all that a person had seen strictly before `time`.
    pub(super) fn of(&self, user: u32, time: i64, mut each: impl FnMut(u32, &Tally)) {
        let (past, end) = self.before;
        if end < time {
            past.of(user).for_each(|(item, tally)| each(item, &tally));
        }
        let ends = self.log.as_ref().and_then(|(log, offsets, rows)| {
            let ends = offsets.get(user as usize..user as usize + 2)?;
            Some((log, &rows[ends[0] as usize..ends[1] as usize]))
        });
        let Some((log, rows)) = ends else { return };
        let earlier = rows.iter().take_while(|&&r| log.requests.time[r as usize] < time);
        earlier.for_each(|&request| log.seen(request as usize, &mut each));
    }
}

/// By item row: the value by which items are alike, 0 where unknown.
pub(super) fn values_of(space: &FeatureSpace, of: Option<usize>, items: &SideTable) -> Vec<u32> {
    match of.map(|field| &items.columns[space.fields[field].column]) {
        None => (0..items.ids.len() as u32).collect(),
        Some(Column::Ids(values)) => values.clone(),
        Some(_) => unreachable!("items are alike by an id"),
    }
}

/// Number of values that item rows have.
pub(super) fn values(value: &[u32]) -> usize {
    value.iter().max().map_or(0, |&last| last as usize + 1)
}

/// What is counted along a person's impressions.
pub(super) trait Recall {
    /// The person saw an item, once or as a tally says.
    fn see(&mut self, item: u32, tally: &Tally);
    /// What was counted so far is asked for: by an impression, a row of the log and its item, at a time.
    fn tell(&mut self, impression: (usize, u32), now: i64);
    /// The next person comes.
    fn forget(&mut self);
}

/// Walks through a log person by person: each impression is told what its person saw strictly before, in `log` and in
/// `before`.
pub(super) fn walk(log: &Shown<'_>, before: Option<(&Past, i64)>, recall: &mut impl Recall) {
    let (offsets, rows) = log.by_user();
    for (user, ends) in (0u32..).zip(offsets.windows(2)) {
        let own = &rows[ends[0] as usize..ends[1] as usize];
        let time = |request: u32| log.requests.time[request as usize];
        let mut before = before;
        let mut earlier = 0;
        for &request in own {
            let now = time(request);
            if let Some((past, _)) = before.take_if(|(_, end)| *end < now) {
                past.of(user).for_each(|(item, tally)| recall.see(item, &tally));
            }
            while time(own[earlier]) < now {
                log.seen(own[earlier] as usize, |item, tally| recall.see(item, tally));
                earlier += 1;
            }
            let request = request as usize;
            for i in log.requests.impressions(&(request..request + 1)) {
                recall.tell((i, log.impressions.item[i]), now);
            }
        }
        recall.forget();
    }
}

/// The measures of every impression: what its person saw strictly before, in `log` and in `before`, of items with the
/// same value. `value` is by item row, 0 where unknown.
pub(super) fn measure(
    log: &Shown<'_>,
    before: Option<(&Past, i64)>,
    value: &[u32],
) -> [Vec<f32>; 4] {
    struct Along<'v> {
        value: &'v [u32],
        tallies: Tallies,
        out: [Vec<f32>; 4],
    }
    impl Recall for Along<'_> {
        fn see(&mut self, item: u32, tally: &Tally) {
            self.tallies.add(self.value[item as usize], tally);
        }
        fn tell(&mut self, (row, item): (usize, u32), now: i64) {
            let tally = &self.tallies.of[self.value[item as usize] as usize];
            for (column, measure) in self.out.iter_mut().zip(tally.measures(now)) {
                column[row] = measure;
            }
        }
        fn forget(&mut self) {
            self.tallies.clear();
        }
    }
    let never = Tally::default().measures(0);
    let out = never.map(|measure| vec![measure; log.impressions.item.len()]);
    let mut along = Along { value, tallies: Tallies::new(values(value)), out };
    walk(log, before, &mut along);
    along.out
}

#[cfg(test)]
pub(super) mod tests {
    use proptest::prelude::*;

    use super::*;

    /// An impression: user, time of its request, item, engaged with, sampled.
    pub(in crate::data) type Row = (u32, i64, u32, bool, bool);

    /// Requests of one row each.
    pub(in crate::data) fn log(rows: &[Row]) -> (Requests, Impressions, Vec<u8>) {
        let requests = Requests {
            user: rows.iter().map(|row| row.0).collect(),
            time: rows.iter().map(|row| row.1).collect(),
            offsets: (0..=rows.len() as u32).collect(),
            ..Requests::default()
        };
        let impressions = Impressions {
            item: rows.iter().map(|row| row.2).collect(),
            sampled: rows.iter().map(|row| row.4).collect(),
            ..Impressions::default()
        };
        (requests, impressions, rows.iter().map(|row| u8::from(row.3)).collect())
    }

    fn measured(rows: &[Row], before: Option<(&Past, i64)>, value: &[u32]) -> [Vec<f32>; 4] {
        let (requests, impressions, engaged) = log(rows);
        let shown =
            Shown { requests: &requests, impressions: &impressions, engaged: Some(&engaged) };
        measure(&shown, before, value)
    }

    pub(in crate::data) fn past(rows: &[Row], items: usize) -> Past {
        let (requests, impressions, engaged) = log(rows);
        let shown =
            Shown { requests: &requests, impressions: &impressions, engaged: Some(&engaged) };
        Past::of_log(&shown, items)
    }

    /// The definition, row by row.
    fn plainly(rows: &[Row], value: &[u32], (user, now, item): (u32, i64, u32)) -> [f32; 4] {
        let like = |row: &&Row| {
            let same = value[row.2 as usize] == value[item as usize] && value[item as usize] != 0;
            row.0 == user && user != 0 && row.1 < now && same && !row.4
        };
        let seen: Vec<&Row> = rows.iter().filter(like).collect();
        let engaged: Vec<&&Row> = seen.iter().filter(|row| row.3).collect();
        let since = |last: Option<i64>| {
            let minutes = last.map_or(YEAR, |last| ((now - last) as f64 / 60.0).min(YEAR));
            minutes.ln_1p() as f32
        };
        [
            (seen.len() as f64).ln_1p() as f32,
            (engaged.len() as f64).ln_1p() as f32,
            since(seen.iter().map(|row| row.1).max()),
            since(engaged.iter().map(|row| row.1).max()),
        ]
    }

    #[test]
    fn frequency_and_recency_by_hand() {
        // Items 1 and 2 are of category 1, item 3 of category 2, item 4 of none.
        let category = [0, 1, 1, 2, 0];
        let rows = [
            (1, 0, 1, true, false),
            (1, 600, 2, false, false),
            (1, 600, 1, false, false),
            (2, 900, 1, true, false),
            (1, 1200, 2, false, false),
            (1, 1200, 3, false, false),
            (1, 1300, 4, false, false),
            (1, 1400, 4, false, false),
        ];
        let [shown, engaged, since_shown, since_engaged] = measured(&rows, None, &category);
        let ln = |counts: [f32; 8]| counts.map(f32::ln_1p);
        assert_eq!(shown, ln([0.0, 1.0, 1.0, 0.0, 3.0, 0.0, 0.0, 0.0]), "one time: one request");
        assert_eq!(engaged, ln([0.0, 1.0, 1.0, 0.0, 1.0, 0.0, 0.0, 0.0]));
        let never = YEAR as f32;
        assert_eq!(since_shown, ln([never, 10.0, 10.0, never, 10.0, never, never, never]));
        assert_eq!(since_engaged, ln([never, 10.0, 10.0, never, 20.0, never, never, never]));
    }

    #[test]
    fn an_earlier_log_counts_from_its_end_on() {
        let earlier = past(&[(1, 0, 1, true, false), (1, 60, 2, false, false)], 3);
        let rows = [(1, 60, 1, false, false), (1, 61, 1, false, false), (9, 70, 1, false, false)];
        let [shown, engaged, ..] = measured(&rows, Some((&earlier, 60)), &[0, 1, 1]);
        assert_eq!(shown, [0.0, 3.0f32.ln_1p(), 0.0], "not for what may be older than its own end");
        assert_eq!(engaged, [0.0, 1.0f32.ln_1p(), 0.0]);
    }

    pub(in crate::data) fn rows(n: usize) -> impl Strategy<Value = Vec<Row>> {
        let row = (0u32..4, 0i64..2_000, 0u32..7, any::<bool>(), any::<bool>());
        prop::collection::vec(row, 0..n)
    }

    proptest! {
        #[test]
        fn twins_agree(rows in rows(80), value in prop::collection::vec(0u32..4, 7)) {
            let fast = measured(&rows, None, &value);
            for (i, row) in rows.iter().enumerate() {
                let plain = plainly(&rows, &value, (row.0, row.1, row.2));
                prop_assert_eq!(fast.each_ref().map(|column| column[i]), plain, "row {}", i);
            }
        }

        /// A log cut in two, the first half kept as tallies, measures what the whole log does.
        #[test]
        fn serving_goes_on_where_training_ended(
            rows in rows(80),
            value in prop::collection::vec(1u32..4, 7),
            cut in 0i64..2_000,
        ) {
            let (first, second): (Vec<Row>, Vec<Row>) = rows.iter().partition(|row| row.1 <= cut);
            // An item row 0 is every unknown item: it is in nobody's tallies.
            let value: Vec<u32> = std::iter::once(0).chain(value[1..].iter().copied()).collect();
            let kept = past(&first, value.len());
            let halves = measured(&second, Some((&kept, cut)), &value);
            for (i, row) in second.iter().enumerate() {
                let plain = plainly(&rows, &value, (row.0, row.1, row.2));
                prop_assert_eq!(halves.each_ref().map(|column| column[i]), plain, "row {}", i);
            }
        }

        /// Whatever happens at or after a request leaves what it reads as it is.
        #[test]
        fn later_rows_change_nothing_before(rows in rows(60), other in rows(60), time in 0i64..2_000) {
            let value = [0, 1, 1, 2, 2, 3, 3];
            let asked: Row = (1, time, 3, false, true);
            let read = |rows: &[Row]| {
                let mut all: Vec<Row> = rows.to_vec();
                all.push(asked);
                measured(&all, None, &value).map(|column| column[rows.len()])
            };
            let early = || rows.iter().copied().filter(|row| row.1 < time);
            let changed: Vec<Row> = early().chain(other.iter().copied().filter(|row| row.1 >= time)).collect();
            prop_assert_eq!(read(&rows), read(&changed));
        }
    }
}
