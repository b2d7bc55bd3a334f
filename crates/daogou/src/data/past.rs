//! What each person was shown, and engaged with, of the same item, category or brand before a request.
//!
//! A candidate of value v (its own row, or that of its category), asked for by a person at time t, has a tally of
//! the person's impressions *strictly before* t whose item has value v; the model reads its four [`Measure`]s. Requests
//! of one time know nothing of each other, so a list never counts itself.
//!
//! What everybody did, [`super::popularity`], is read in the same places, by the same groups of like items.

use daogou_nn::frozen::GroupRows;
use serde::{Deserialize, Serialize};

use super::consistency::are_starts;
use super::dataset::{Column, Impressions, Requests, SideTable};
use super::encode::mean_and_sd;
use super::popularity::{self, Count, Popularity, Prior, Showings};
use super::space::{Encoding, FeatureSpace};
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
struct Tally {
    shown: u32,
    engaged: u32,
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

    fn measures(&self, now: i64) -> [f32; 4] {
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
struct Tallies {
    of: Vec<Tally>,
    touched: Vec<u32>,
}

impl Tallies {
    fn new(values: usize) -> Self {
        Self { of: vec![Tally::default(); values], touched: Vec::new() }
    }

    fn add(&mut self, value: u32, tally: &Tally) {
        if value == 0 {
            return;
        }
        let own = &mut self.of[value as usize];
        if own.shown == 0 {
            self.touched.push(value);
        }
        own.add(tally);
    }

    fn clear(&mut self) {
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

/// What the past and popularity fields of a feature space say of every impression of a log, before it is standardised.
/// Training, evaluation and serving all come here.
pub struct Measured {
    /// By which item-side id field items are alike, and the measures in the order of [`Measure::ALL`].
    own: Vec<(Option<usize>, [Vec<f32>; 4])>,
    /// By which item-side id field items are alike, and what everybody did with them.
    everyone: Vec<(Option<usize>, Vec<Count>)>,
}

impl Measured {
    /// Measures for the fields of `space`. `items` are the item side's columns, one row per item.
    ///
    /// `before` is what people had seen until its time, the end of an earlier log: it counts for requests after that
    /// time only, since what of it is later than an earlier request cannot be told apart.
    ///
    /// Cost per different `of`: O(impressions), and O(n log n) of each person's requests; 16 bytes per impression for a
    /// past, 8 for a popularity.
    pub fn new(
        space: &FeatureSpace,
        log: &Shown<'_>,
        before: Option<(&Past, i64)>,
        items: &SideTable,
    ) -> Self {
        let mut all = Self { own: Vec::new(), everyone: Vec::new() };
        for encoding in &space.encodings {
            match encoding {
                Encoding::Past { of, .. } if all.own.iter().all(|(known, _)| known != of) => {
                    all.own.push((*of, measure(log, before, &values_of(space, *of, items))));
                }
                Encoding::Popularity { of, .. }
                    if all.everyone.iter().all(|(known, _)| known != of) =>
                {
                    let value = values_of(space, *of, items);
                    let before = before.map(|(past, end)| (&past.everyone, end));
                    let counts = popularity::measure(log, before, &value, values(&value));
                    all.everyone.push((*of, counts));
                }
                _ => {}
            }
        }
        all
    }

    fn column(&self, of: Option<usize>, measure: Measure) -> &[f32] {
        let group = self.own.iter().find(|(known, _)| *known == of);
        &group.expect("measured for this space").1[measure as usize]
    }

    fn counts(&self, of: Option<usize>) -> &[Count] {
        let group = self.everyone.iter().find(|(known, _)| *known == of);
        &group.expect("measured for this space").1
    }

    /// Learns means, standard deviations and the rate that priors start from of training impressions; `engaged` as in
    /// [`Shown`].
    pub fn fit(&self, space: &mut FeatureSpace, rows: &[u32], engaged: Option<&[u8]>) {
        for encoding in &mut space.encodings {
            match encoding {
                Encoding::Past { of, measure, mean, sd } => {
                    let column = self.column(*of, *measure);
                    (*mean, *sd) =
                        mean_and_sd(rows.iter().map(|&row| f64::from(column[row as usize])));
                }
                Encoding::Popularity { of, prior, mean, sd } => {
                    let clicks = engaged.map_or(0, |engaged| {
                        rows.iter().filter(|&&row| engaged[row as usize] == 1).count()
                    });
                    // Never 0 nor 1, of which there is no logit.
                    prior.rate = (clicks as f64 + 0.5) / (rows.len() as f64 + 1.0);
                    let counts = self.counts(*of);
                    (*mean, *sd) =
                        mean_and_sd(rows.iter().map(|&row| prior.logit(counts[row as usize])));
                }
                _ => {}
            }
        }
    }

    /// Writes the standardised measures into the impression side's columns.
    pub fn fill(&self, space: &FeatureSpace, columns: &mut [Column]) {
        for (field, encoding) in space.fields.iter().zip(&space.encodings) {
            let scaled: Vec<f32> = match encoding {
                Encoding::Past { of, measure, mean, sd } => {
                    let values = self.column(*of, *measure).iter();
                    values.map(|&x| ((f64::from(x) - mean) / sd) as f32).collect()
                }
                Encoding::Popularity { of, prior, mean, sd } => {
                    let counts = self.counts(*of).iter();
                    counts.map(|&count| ((prior.logit(count) - mean) / sd) as f32).collect()
                }
                _ => continue,
            };
            columns[field.column] = Column::Numbers(scaled);
        }
    }
}

/// What people had seen: of a log, and before it.
pub(crate) struct Sights<'a> {
    /// Each person's requests in order of time.
    log: Option<(Shown<'a>, Vec<u32>, Vec<u32>)>,
    /// The log once more, by item.
    showings: Option<Showings>,
    before: (&'a Past, i64),
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
    fn of(&self, user: u32, time: i64, mut each: impl FnMut(u32, &Tally)) {
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

/// Past or popularity fields by which the same items are alike: one value of an item has one row of what they say,
/// standardised.
pub(crate) struct PastGroup {
    /// Whether everybody's impressions count, or the visitor's own.
    everyone: bool,
    of: Option<usize>,
    fields: Vec<PastField>,
}

struct PastField {
    reading: Reading,
    /// Of the impression side.
    column: usize,
    mean: f64,
    sd: f64,
}

/// What a field reads.
enum Reading {
    Past(Measure),
    Popularity(Prior),
}

impl PastField {
    /// Of a person's own tally.
    fn of_tally(&self, measures: &[f32; 4]) -> f32 {
        let Reading::Past(measure) = self.reading else { unreachable!("not in a person's group") };
        ((f64::from(measures[measure as usize]) - self.mean) / self.sd) as f32
    }

    /// Of what everybody did.
    fn of_count(&self, count: Count) -> f32 {
        let Reading::Popularity(prior) = self.reading else {
            unreachable!("not in everyone's group")
        };
        ((prior.logit(count) - self.mean) / self.sd) as f32
    }
}

impl PastGroup {
    /// Those of a feature space, in its order.
    pub(crate) fn of_space(space: &FeatureSpace) -> Vec<Self> {
        let mut groups: Vec<Self> = Vec::new();
        for (field, encoding) in space.fields.iter().zip(&space.encodings) {
            let (everyone, of, reading, mean, sd) = match *encoding {
                Encoding::Past { of, measure, mean, sd } => {
                    (false, of, Reading::Past(measure), mean, sd)
                }
                Encoding::Popularity { of, prior, mean, sd } => {
                    (true, of, Reading::Popularity(prior), mean, sd)
                }
                _ => continue,
            };
            let like = |group: &Self| (group.everyone, group.of) == (everyone, of);
            let known = groups.iter().position(like).unwrap_or_else(|| {
                groups.push(Self { everyone, of, fields: Vec::new() });
                groups.len() - 1
            });
            groups[known].fields.push(PastField { reading, column: field.column, mean, sd });
        }
        groups
    }

    /// Columns of the impression side, in the order of a row.
    pub(crate) fn columns(&self) -> impl Iterator<Item = usize> + '_ {
        self.fields.iter().map(|field| field.column)
    }

    /// The row of a value that was never shown.
    pub(crate) fn never(&self) -> Vec<f32> {
        let never = Tally::default().measures(0);
        let read = |field: &PastField| {
            if self.everyone { field.of_count(Count::default()) } else { field.of_tally(&never) }
        };
        self.fields.iter().map(read).collect()
    }
}

/// Past and popularity fields of single people at a given time: for lists, and for rows that are answered by themselves.
///
/// Memory: per group of fields one number per item, and one tally per value. Nothing is allocated from one visit to the
/// next.
pub(crate) struct Lookback {
    groups: Vec<Group>,
}

/// A group over given items.
struct Group {
    past: PastGroup,
    /// By item row.
    value: Vec<u32>,
    /// What [`Lookback::look`] saw: by value, its row of `rows`; the first is that of what was never shown.
    row_of: Vec<u32>,
    rows: Vec<f32>,
    whose: Whose,
}

enum Whose {
    /// The visitor's.
    Own {
        tallies: Tallies,
        /// Values with a row of their own.
        with_row: Vec<u32>,
    },
    /// Everybody's.
    Everyone {
        /// By value, when what the run knows ends.
        end: Vec<Count>,
        counts: Vec<Count>,
        /// As of when the rows are.
        as_of: Option<AsOf>,
    },
}

/// What everybody's counts depend on.
#[derive(Clone, Copy, PartialEq, Eq)]
struct AsOf {
    /// Whether what the run knows is earlier.
    after: bool,
    /// A log that is read beside it, by its place in memory, and the time.
    log: Option<(usize, i64)>,
}

impl Lookback {
    /// For the past and popularity fields of `space`; `items` are the item side's columns, `known` is what the run knows.
    pub(crate) fn new(space: &FeatureSpace, items: &SideTable, known: &Past) -> Self {
        let group = |past: PastGroup| {
            let value = values_of(space, past.of, items);
            let n = values(&value);
            let (whose, row_of) = if past.everyone {
                let end = known.everyone.by_value(&value, n);
                let counts = vec![Count::default(); n];
                (Whose::Everyone { end, counts, as_of: None }, (0..n as u32).collect())
            } else {
                (Whose::Own { tallies: Tallies::new(n), with_row: Vec::new() }, vec![0; n])
            };
            Group { rows: past.never(), row_of, whose, value, past }
        };
        Self { groups: PastGroup::of_space(space).into_iter().map(group).collect() }
    }

    /// Reads what `user`, visiting at `time`, had seen strictly before. Cost: the person's own past per group, whatever the
    /// number of items; everybody's counts once, or for each visit over all items where a log is read. See
    /// [`Lookback::rows`].
    pub(crate) fn look(&mut self, (sights, user, time): (&Sights<'_>, u32, i64)) {
        for group in &mut self.groups {
            let Group { past, value, row_of, rows, whose } = group;
            let Whose::Own { tallies, with_row } = whose else {
                group.count(sights, time);
                continue;
            };
            with_row.drain(..).for_each(|value| row_of[value as usize] = 0);
            rows.truncate(past.fields.len());
            sights.of(user, time, |item, tally| tallies.add(value[item as usize], tally));
            std::mem::swap(&mut tallies.touched, with_row);
            for (row, &value) in (1..).zip(&*with_row) {
                row_of[value as usize] = row;
                let tally = std::mem::take(&mut tallies.of[value as usize]);
                let measures = tally.measures(time);
                rows.extend(past.fields.iter().map(|field| field.of_tally(&measures)));
            }
        }
    }

    /// What was seen last: rows of standardised measures by value of an item.
    pub(crate) fn rows(&self, group: usize) -> GroupRows<'_> {
        let Group { value, row_of, rows, .. } = &self.groups[group];
        GroupRows { of_key: value, row_of, values: rows }
    }

    /// Appends to the past and popularity fields among `columns` what `user`, visiting at `time`, and everybody had seen of
    /// each of `items` strictly before. Cost: the person's own past, and O(items) per group.
    pub(crate) fn extend(
        &mut self,
        (sights, user, time): (&Sights<'_>, u32, i64),
        items: &[u32],
        columns: &mut [Column],
    ) {
        let never = Tally::default().measures(time);
        for group in &mut self.groups {
            group.count(sights, time);
            let Group { past, value, rows, whose, .. } = group;
            if let Whose::Own { tallies, .. } = whose {
                sights.of(user, time, |item, tally| tallies.add(value[item as usize], tally));
            }
            let width = past.fields.len();
            for (place, field) in past.fields.iter().enumerate() {
                let Column::Numbers(out) = &mut columns[field.column] else {
                    unreachable!("a past field has numbers")
                };
                let of_value = |value: u32| match &*whose {
                    Whose::Everyone { .. } => rows[value as usize * width + place],
                    Whose::Own { tallies, .. } => {
                        let tally = &tallies.of[value as usize];
                        let seen = if tally.shown == 0 { never } else { tally.measures(time) };
                        field.of_tally(&seen)
                    }
                };
                out.extend(items.iter().map(|&item| of_value(value[item as usize])));
            }
            if let Whose::Own { tallies, .. } = whose {
                tallies.clear();
            }
        }
    }

    /// Empties the past fields among `columns`.
    pub(crate) fn clear(&self, columns: &mut [Column]) {
        for column in self.groups.iter().flat_map(|group| group.past.columns()) {
            let Column::Numbers(values) = &mut columns[column] else {
                unreachable!("a past field has numbers")
            };
            values.clear();
        }
    }
}

impl Group {
    /// Brings everybody's rows to what was counted before a visit; nothing to do for one's own.
    fn count(&mut self, sights: &Sights<'_>, time: i64) {
        let Self { past, value, rows, whose, .. } = self;
        let Whose::Everyone { end, counts, as_of } = whose else { return };
        let log = sights.showings.as_ref();
        let now = AsOf {
            after: sights.before.1 < time,
            log: log.map(|log| (std::ptr::from_ref(log).addr(), time)),
        };
        if as_of.replace(now) == Some(now) {
            return;
        }
        if now.after {
            counts.copy_from_slice(end);
        } else {
            counts.fill(Count::default());
        }
        if let Some(log) = log {
            for (item, &value) in value.iter().enumerate().filter(|(_, value)| **value != 0) {
                counts[value as usize] += log.before(item, time);
            }
        }
        rows.clear();
        for &count in &*counts {
            rows.extend(past.fields.iter().map(|field| field.of_count(count)));
        }
    }
}

/// By item row: the value by which items are alike, 0 where unknown.
fn values_of(space: &FeatureSpace, of: Option<usize>, items: &SideTable) -> Vec<u32> {
    match of.map(|field| &items.columns[space.fields[field].column]) {
        None => (0..items.ids.len() as u32).collect(),
        Some(Column::Ids(values)) => values.clone(),
        Some(_) => unreachable!("items are alike by an id"),
    }
}

/// Number of values that item rows have.
fn values(value: &[u32]) -> usize {
    value.iter().max().map_or(0, |&last| last as usize + 1)
}

/// The measures of every impression: what its person saw strictly before, in `log` and in `before`, of items with the
/// same value. `value` is by item row, 0 where unknown.
fn measure(log: &Shown<'_>, before: Option<(&Past, i64)>, value: &[u32]) -> [Vec<f32>; 4] {
    let never = Tally::default().measures(0);
    let mut out = never.map(|measure| vec![measure; log.impressions.item.len()]);
    let (offsets, rows) = log.by_user();
    let mut tallies = Tallies::new(values(value));
    for (user, ends) in (0u32..).zip(offsets.windows(2)) {
        let own = &rows[ends[0] as usize..ends[1] as usize];
        let time = |request: u32| log.requests.time[request as usize];
        let mut before = before;
        let mut earlier = 0;
        for &request in own {
            let now = time(request);
            if let Some((past, _)) = before.take_if(|(_, end)| *end < now) {
                past.of(user).for_each(|(item, tally)| tallies.add(value[item as usize], &tally));
            }
            while time(own[earlier]) < now {
                log.seen(own[earlier] as usize, |item, tally| {
                    tallies.add(value[item as usize], tally);
                });
                earlier += 1;
            }
            let request = request as usize;
            for i in log.requests.impressions(&(request..request + 1)) {
                let tally = &tallies.of[value[log.impressions.item[i] as usize] as usize];
                for (column, measure) in out.iter_mut().zip(tally.measures(now)) {
                    column[i] = measure;
                }
            }
        }
        tallies.clear();
    }
    out
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::space::{Field, FieldKind};
    use super::*;
    use crate::schema::Side;

    /// An impression: user, time of its request, item, engaged with, sampled.
    type Row = (u32, i64, u32, bool, bool);

    /// Requests of one row each.
    fn log(rows: &[Row]) -> (Requests, Impressions, Vec<u8>) {
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

    fn past(rows: &[Row], items: usize) -> Past {
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

    fn rows(n: usize) -> impl Strategy<Value = Vec<Row>> {
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

        /// A person looked up alone reads what the whole log measures.
        #[test]
        fn a_look_back_reads_what_the_log_measures(
            rows in rows(60),
            category in prop::collection::vec(0u32..4, 7),
        ) {
            let field = |side, column, kind| Field { name: String::new(), side, column, kind };
            let past = |of, measure| Encoding::Past { of, measure, mean: 0.5, sd: 2.0 };
            let mut space = FeatureSpace {
                fields: vec![field(Side::Item, 0, FieldKind::Id { table: 0 })],
                encodings: vec![Encoding::Hour],
                ..FeatureSpace::default()
            };
            for of in [Some(0), None] {
                let prior = Prior { rate: 0.2, impressions: 3.0 };
                let popularity = Encoding::Popularity { of, prior, mean: -1.0, sd: 0.5 };
                for encoding in Measure::ALL.map(|measure| past(of, measure)).into_iter().chain([popularity])
                {
                    let column = space.fields.len() - 1;
                    space.fields.push(field(Side::Impression, column, FieldKind::Number));
                    space.encodings.push(encoding);
                }
            }
            let items = SideTable {
                ids: vec![String::new(); 7],
                columns: vec![Column::Ids(category)],
            };
            let (requests, impressions, engaged) = log(&rows);
            let shown =
                Shown { requests: &requests, impressions: &impressions, engaged: Some(&engaged) };
            let mut whole = vec![Column::Numbers(Vec::new()); 10];
            Measured::new(&space, &shown, None, &items).fill(&space, &mut whole);
            let nobody = Past::default();
            let sights = Sights::new(Some(shown), (&nobody, i64::MAX)).of_everyone();
            let mut look = Lookback::new(&space, &items, &nobody);
            let mut single = vec![Column::Numbers(vec![9.0]); 10];
            look.clear(&mut single);
            for row in &rows {
                look.extend((&sights, row.0, row.1), &[row.2], &mut single);
            }
            prop_assert_eq!(whole, single);
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
