//! Labels of request-level tasks: the category mix and the share of unseen items among what a user engages with after
//! a request (SCIENCE C.1, C.2).
//!
//! A label reads what comes strictly after its request and belongs to the request's own split: an event counts in a
//! split only if it is earlier than the split's end ([`label_ends`]) and its user has no request of another split at
//! the same instant. So whatever happens in later splits, labels stay the same.
//!
//! The label window is `(t, end]`: for `next_k_engaged` it ends with the K-th event, or `window_days` after the request
//! where fewer came; for `next_session` it is the user's next session. The exposure of a request is what its user was
//! shown in that window, in the same split, each impression counted by how likely it was looked at:
//! examination = position^−½ (1 where unknown).

use std::ops::Range;

use super::dataset::{Catalogue, Impressions, Requests, Split, Target, Timelines};
use super::split::label_ends;
use super::timeline::{Seen, by_user};
use crate::schema::{Config, LabelSource, Task, TaskKind};
use crate::{Error, Result};

/// One target per task of the configuration (`None` for tasks of impressions), and what a person should know about them.
pub type Targets = (Vec<Option<Target>>, Vec<String>);

/// Makes the labels of every request-level task.
///
/// * Distribution: the weighted category mix of the window's events whose category is known; `next_k_engaged` counts
///   K such events. `shown_list`: the mix of the list itself.
/// * Share: the share of the window's events whose item the user had neither been shown nor engaged with strictly
///   before the request. `shown_list`: the same of the list itself.
/// * Exposure, distribution: `ln((1 + e_c) / Σ_c' (1 + e_c'))`; share: `ln((1 + e_unseen) / (1 + e_seen))`, `e` the
///   summed examination in the window. Rows without a label hold 0.
///
/// A log without time: distributions fall back to the row's own category, with a note; shares are an error. Requests
/// of the unknown user (row 0) have no label except a distribution over the shown list.
///
/// Cost: O((requests + events) · (K + log n) + requests · categories).
pub fn build(
    config: &Config,
    catalogue: &Catalogue,
    requests: &Requests,
    impressions: &Impressions,
    timelines: &Timelines,
    split: &Split,
) -> Result<Targets> {
    let log = Log { catalogue, requests, impressions, timelines, split };
    let mut notes = Vec::new();
    let mut targets: Vec<Option<Target>> = Vec::new();
    let mut later: Vec<Plan> = Vec::new();
    let mut seen: Option<Seen> = None;
    for (index, task) in config.tasks.iter().enumerate() {
        let plan = Plan::of(index, task, config, &log, &mut notes)?;
        if task.kind == TaskKind::Share {
            seen.get_or_insert_with(|| Seen::in_log(requests, impressions, timelines));
        }
        targets.push(plan.as_ref().map(|plan| plan.empty_target(requests.len())));
        match plan {
            Some(Plan { reach: Reach::ShownList, min_events, .. }) => {
                if let Some(target) = targets[index].as_mut() {
                    label_shown_lists(&log, seen.as_ref(), min_events, target);
                }
            }
            Some(plan @ Plan { reach: Reach::NextK { .. } | Reach::NextSession { .. }, .. }) => {
                later.push(plan);
            }
            _ => {}
        }
    }
    if !later.is_empty() {
        label_by_user(&log, seen.as_ref(), &later, &mut targets);
    }
    for (task, target) in config.tasks.iter().zip(&targets) {
        notes.extend(target.as_ref().and_then(|target| scarcity(task, target, &split.train)));
    }
    Ok((targets, notes))
}

struct Log<'a> {
    catalogue: &'a Catalogue,
    requests: &'a Requests,
    impressions: &'a Impressions,
    timelines: &'a Timelines,
    split: &'a Split,
}

impl Log<'_> {
    fn category(&self, item: u32) -> u16 {
        self.catalogue.category.get(item as usize).copied().unwrap_or(u16::MAX)
    }

    /// Impressions of a request that a person was really shown.
    fn shown(&self, request: usize) -> impl Iterator<Item = usize> {
        let rows =
            self.requests.offsets[request] as usize..self.requests.offsets[request + 1] as usize;
        rows.filter(|&row| !self.impressions.sampled.get(row).is_some_and(|&sampled| sampled))
    }

    fn examination(&self, impression: usize) -> f64 {
        match self.impressions.position.get(impression) {
            None | Some(0) => 1.0,
            Some(&position) => 1.0 / f64::from(position).sqrt(),
        }
    }
}

/// How far a label looks.
#[derive(Clone, Copy, Debug)]
enum Reach {
    NextK { k: usize, seconds: i64 },
    NextSession { gap: i64 },
    ShownList,
    Row,
}

struct Plan {
    task: usize,
    reach: Reach,
    /// Categories; `None` for a share.
    classes: Option<usize>,
    min_events: usize,
    exposure: bool,
}

impl Plan {
    fn of(
        index: usize,
        task: &Task,
        config: &Config,
        log: &Log<'_>,
        notes: &mut Vec<String>,
    ) -> Result<Option<Self>> {
        let key = |option: &str| format!("task.{}.{option}", task.name);
        let classes = match task.kind {
            TaskKind::Binary | TaskKind::Regression | TaskKind::MultiClass => return Ok(None),
            TaskKind::Share => None,
            TaskKind::Distribution => match log.catalogue.categories.len() {
                0 => {
                    return Err(Error::config(
                        key("kind"),
                        "a distribution over categories needs `columns.category`",
                    ));
                }
                classes => Some(classes),
            },
        };
        let seconds = |value: f64, unit: f64, option: &str| {
            if value.is_finite() && value >= 0.0 {
                return Ok((value * unit) as i64);
            }
            Err(Error::config(key(option), format!("expected a number of at least 0, got {value}")))
        };
        let reach = match task.source() {
            LabelSource::NextKEngaged if task.next_k() == 0 => {
                return Err(Error::config(key("next_k"), "expected at least 1, got 0"));
            }
            LabelSource::NextKEngaged => Reach::NextK {
                k: task.next_k(),
                seconds: seconds(task.window_days(), 86_400.0, "window_days")?,
            },
            LabelSource::NextSession => Reach::NextSession {
                gap: seconds(
                    task.session_gap_minutes.unwrap_or(30.0),
                    60.0,
                    "session_gap_minutes",
                )?,
            },
            LabelSource::ShownList => Reach::ShownList,
            LabelSource::Row => Reach::Row,
        };
        let timeless = log.requests.time.is_empty();
        let reach = match (reach, classes) {
            (Reach::Row, None) => {
                return Err(Error::config(key("source"), "a share has no row label")
                    .with_hint("use next_k_engaged, next_session or shown_list"));
            }
            (_, None) if timeless => {
                return Err(Error::config(
                    key("source"),
                    "what a user had seen before needs `columns.time`, and this log has none",
                )
                .with_hint("name the time column, or leave this task out"));
            }
            (Reach::NextK { .. } | Reach::NextSession { .. }, Some(_)) if timeless => {
                notes.push(format!(
                    "task `{}`: the log has no time, so its label is the category of each row instead of what the \
                     user engages with next",
                    task.name
                ));
                Reach::Row
            }
            (reach, _) => reach,
        };
        let exposure = task.exposure_offset.unwrap_or(false);
        if exposure {
            let missing = if !config.data.events.is_empty() {
                Some("an event log does not say what was shown")
            } else if matches!(reach, Reach::ShownList | Reach::Row) {
                Some("this label has no window after the request")
            } else {
                None
            };
            if let Some(missing) = missing {
                return Err(Error::config(key("exposure_offset"), missing)
                    .with_hint("set exposure_offset = false"));
            }
        }
        Ok(Some(Self {
            task: index,
            reach,
            classes,
            min_events: task.min_events().max(1),
            exposure,
        }))
    }

    fn empty_target(&self, n: usize) -> Target {
        match (self.reach, self.classes) {
            (Reach::Row, Some(classes)) => Target::RowCategory { classes },
            (_, Some(classes)) => Target::Distribution {
                classes,
                shares: vec![0.0; n * classes],
                weight: vec![0.0; n],
                log_exposure: self.exposure.then(|| vec![0.0; n * classes]),
            },
            (_, None) => Target::Share {
                value: vec![0.0; n],
                weight: vec![0.0; n],
                logit_exposure: self.exposure.then(|| vec![0.0; n]),
            },
        }
    }
}

/// An engaged event that may count.
#[derive(Clone, Copy)]
struct Event {
    time: i64,
    category: u16,
    weight: f32,
    /// When its user first saw its item.
    first_seen: i64,
}

/// What one user did within one split, in time order. Buffers are reused from user to user.
#[derive(Default)]
struct Stretch {
    requests: Vec<u32>,
    times: Vec<i64>,
    events: Vec<Event>,
    /// Those of `events` whose category is known.
    categorised: Vec<Event>,
}

impl Stretch {
    /// Everything of `user` that belongs to split `part`; `rows` are the user's requests in time order.
    fn fill(
        &mut self,
        log: &Log<'_>,
        seen: Option<&Seen>,
        user: u32,
        rows: &[u32],
        part: usize,
        end: i64,
    ) {
        let time_of = |&row: &u32| log.requests.time[row as usize];
        let own = |&row: &u32| log.split.part_of(row as usize) == part;
        self.requests.clear();
        self.requests.extend(rows.iter().filter(|row| own(row)));
        self.times.clear();
        self.times.extend(self.requests.iter().map(time_of));
        self.events.clear();
        if self.requests.is_empty() {
            return;
        }
        let mut at = 0;
        for row in log.timelines.of(user) {
            let time = log.timelines.time[row];
            if time >= end {
                break;
            }
            at += rows[at..].iter().take_while(|row| time_of(row) < time).count();
            let foreign =
                rows[at..].iter().take_while(|row| time_of(row) == time).any(|row| !own(row));
            if !foreign {
                let item = log.timelines.item[row];
                self.events.push(Event {
                    time,
                    category: log.category(item),
                    weight: log.timelines.weight[row],
                    first_seen: seen.and_then(|seen| seen.first_time(user, item)).unwrap_or(time),
                });
            }
        }
        self.categorised.clear();
        self.categorised.extend(self.events.iter().filter(|event| event.category != u16::MAX));
    }

    /// First and last instant of each session: requests and events with no silence longer than `gap` between them.
    fn sessions(&self, gap: i64, sessions: &mut Vec<(i64, i64)>) {
        sessions.clear();
        let (mut r, mut e) = (0, 0);
        loop {
            let time = match (self.times.get(r), self.events.get(e)) {
                (None, None) => return,
                (Some(&request), Some(event)) if request <= event.time => request,
                (Some(&request), None) => request,
                (_, Some(event)) => event.time,
            };
            if self.times.get(r) == Some(&time) {
                r += 1;
            } else {
                e += 1;
            }
            match sessions.last_mut() {
                Some(session) if time - session.1 <= gap => session.1 = time,
                _ => sessions.push((time, time)),
            }
        }
    }
}

fn label_by_user(
    log: &Log<'_>,
    seen: Option<&Seen>,
    plans: &[Plan],
    targets: &mut [Option<Target>],
) {
    let times = &log.requests.time;
    let ends = label_ends(log.split, times);
    let users = &log.requests.user;
    let (offsets, rows) = by_user(
        log.timelines.users(),
        users,
        |row| users[row] != 0,
        |rows| {
            if !rows.is_sorted_by_key(|&row| times[row as usize]) {
                rows.sort_by_key(|&row| times[row as usize]);
            }
        },
    );
    let mut stretch = Stretch::default();
    let (mut mixes, mut unseen) = (MixScratch::default(), UnseenScratch::default());
    let mut sessions = Vec::new();
    for (user, range) in offsets.windows(2).enumerate() {
        let rows = &rows[range[0] as usize..range[1] as usize];
        for (part, &end) in ends.iter().enumerate() {
            stretch.fill(log, seen, user as u32, rows, part, end);
            if stretch.requests.is_empty() {
                continue;
            }
            for plan in plans {
                if let Reach::NextSession { gap } = plan.reach {
                    stretch.sessions(gap, &mut sessions);
                }
                let scene = Scene { log, plan, stretch: &stretch, sessions: &sessions };
                match targets[plan.task].as_mut() {
                    Some(Target::Distribution { classes, shares, weight, log_exposure }) => {
                        mixes.label(&scene, *classes, shares, weight);
                        if let Some(exposure) = log_exposure {
                            mixes.expose(&scene, *classes, weight, exposure);
                        }
                    }
                    Some(Target::Share { value, weight, logit_exposure }) => {
                        unseen.label(&scene, value, weight);
                        if let (Some(exposure), Some(seen)) = (logit_exposure, seen) {
                            unseen.expose(&scene, user as u32, seen, weight, exposure);
                        }
                    }
                    _ => {}
                }
            }
        }
    }
}

/// One task over one user's stretch.
struct Scene<'a> {
    log: &'a Log<'a>,
    plan: &'a Plan,
    stretch: &'a Stretch,
    sessions: &'a [(i64, i64)],
}

impl Scene<'_> {
    /// Requests with their times.
    fn requests(&self) -> impl DoubleEndedIterator<Item = (usize, i64)> {
        self.stretch
            .requests
            .iter()
            .map(|&row| row as usize)
            .zip(self.stretch.times.iter().copied())
    }

    /// Events that can make this task's label.
    fn events(&self) -> &[Event] {
        if self.plan.classes.is_some() { &self.stretch.categorised } else { &self.stretch.events }
    }

    /// The events of the label of a request at `time`, and the last instant of its window.
    fn window(&self, time: i64) -> (Range<usize>, i64) {
        let events = self.events();
        let after = |instant: i64| events.partition_point(|event| event.time <= instant);
        match self.plan.reach {
            Reach::NextK { k, seconds } => {
                let (start, last) = (after(time), time.saturating_add(seconds));
                let found = events[start..].iter().take(k).take_while(|e| e.time <= last).count();
                let end = if found == k { events[start + k - 1].time } else { last };
                (start..start + found, end)
            }
            Reach::NextSession { .. } => {
                match self.sessions.get(self.sessions.partition_point(|session| session.0 <= time))
                {
                    Some(&(first, last)) => (after(first - 1)..after(last), last),
                    None => (0..0, time),
                }
            }
            Reach::ShownList | Reach::Row => (0..0, time),
        }
    }

    /// Places in the stretch of the requests inside the window of a request at `time`.
    fn shown_in_window(&self, time: i64) -> Range<usize> {
        let up_to = |instant: i64| self.stretch.times.partition_point(|&time| time <= instant);
        up_to(time)..up_to(self.window(time).1)
    }
}

#[derive(Default)]
struct MixScratch {
    counts: Vec<f64>,
    /// `[requests + 1, classes]`: summed examination of earlier requests.
    prefix: Vec<f64>,
}

impl MixScratch {
    fn label(&mut self, scene: &Scene<'_>, classes: usize, shares: &mut [f32], weight: &mut [f32]) {
        self.counts.resize(classes, 0.0);
        let mut counted = 0..0;
        for (request, time) in scene.requests() {
            let (events, _) = scene.window(time);
            if events.len() < scene.plan.min_events {
                continue;
            }
            // Requests of one session share their next session: count it once.
            if events != counted {
                self.counts.fill(0.0);
                for event in &scene.events()[events.clone()] {
                    self.counts[event.category as usize] += f64::from(event.weight);
                }
                counted = events.clone();
            }
            normalise(&self.counts, &mut shares[request * classes..][..classes]);
            weight[request] = events.len() as f32;
        }
    }

    fn expose(&mut self, scene: &Scene<'_>, classes: usize, weight: &[f32], out: &mut [f32]) {
        let log = scene.log;
        self.prefix.clear();
        self.prefix.resize(classes, 0.0);
        for (request, _) in scene.requests() {
            let last = self.prefix.len() - classes;
            self.prefix.extend_from_within(last..);
            for row in log.shown(request) {
                let category = log.category(log.impressions.item[row]);
                if category != u16::MAX {
                    self.prefix[last + classes + category as usize] += log.examination(row);
                }
            }
        }
        for (request, time) in scene.requests().filter(|&(request, _)| weight[request] > 0.0) {
            let shown = scene.shown_in_window(time);
            let before = &self.prefix[shown.start * classes..];
            let after = &self.prefix[shown.end * classes..];
            let exposed = |class: usize| 1.0 + (after[class] - before[class]).max(0.0);
            let total: f64 = (0..classes).map(exposed).sum();
            for (class, out) in out[request * classes..][..classes].iter_mut().enumerate() {
                *out = (exposed(class) / total).ln() as f32;
            }
        }
    }
}

/// `counts / Σ counts`; all 0 where the sum is.
fn normalise(counts: &[f64], out: &mut [f32]) {
    let total: f64 = counts.iter().sum();
    for (out, &count) in out.iter_mut().zip(counts) {
        *out = if total > 0.0 { (count / total) as f32 } else { 0.0 };
    }
}

/// One impression of the stretch.
#[derive(Clone, Copy)]
struct Sight {
    first_seen: i64,
    place: u32,
    examination: f64,
}

#[derive(Default)]
struct UnseenScratch {
    first_seen: Vec<i64>,
    sights: Vec<Sight>,
    /// Start of each request's impressions in time order; one more than requests.
    starts: Vec<u32>,
    /// Summed examination of all earlier impressions.
    all: Vec<f64>,
    unseen: Fenwick,
}

impl UnseenScratch {
    fn label(&mut self, scene: &Scene<'_>, value: &mut [f32], weight: &mut [f32]) {
        let mut counted = 0..0;
        for (request, time) in scene.requests() {
            let (events, _) = scene.window(time);
            let n = events.len();
            if n < scene.plan.min_events {
                continue;
            }
            if events != counted {
                self.first_seen.clear();
                self.first_seen.extend(scene.events()[events.clone()].iter().map(|e| e.first_seen));
                self.first_seen.sort_unstable();
                counted = events;
            }
            let unseen = n - self.first_seen.partition_point(|&first| first < time);
            value[request] = (unseen as f64 / n as f64) as f32;
            weight[request] = n as f32;
        }
    }

    /// Walks the requests backwards; an impression is unseen as of a request if its item's first sight is not earlier,
    /// so going back in time impressions only ever become unseen, and a Fenwick tree adds up those in the window.
    fn expose(
        &mut self,
        scene: &Scene<'_>,
        user: u32,
        seen: &Seen,
        weight: &[f32],
        out: &mut [f32],
    ) {
        let log = scene.log;
        self.sights.clear();
        self.starts.clear();
        self.starts.push(0);
        self.all.clear();
        self.all.push(0.0);
        let mut total = 0.0;
        for (request, _) in scene.requests() {
            for row in log.shown(request) {
                let item = log.impressions.item[row];
                let Some(first_seen) = seen.first_time(user, item) else { continue };
                let examination = log.examination(row);
                let place = self.sights.len() as u32;
                self.sights.push(Sight { first_seen, place, examination });
                total += examination;
                self.all.push(total);
            }
            self.starts.push(self.sights.len() as u32);
        }
        self.unseen.reset(self.sights.len());
        self.sights.sort_unstable_by_key(|sight| (sight.first_seen, sight.place));
        let mut waiting = self.sights.len();
        for (request, time) in scene.requests().rev() {
            while waiting > 0 && self.sights[waiting - 1].first_seen >= time {
                waiting -= 1;
                let sight = self.sights[waiting];
                self.unseen.add(sight.place as usize, sight.examination);
            }
            if weight[request] == 0.0 {
                continue;
            }
            let shown = scene.shown_in_window(time);
            let (from, to) = (self.starts[shown.start] as usize, self.starts[shown.end] as usize);
            let unseen = (self.unseen.sum(to) - self.unseen.sum(from)).max(0.0);
            let seen = (self.all[to] - self.all[from] - unseen).max(0.0);
            out[request] = ((1.0 + unseen) / (1.0 + seen)).ln() as f32;
        }
    }
}

/// Prefix sums under additions (Fenwick 1994): O(log n) each.
#[derive(Default)]
struct Fenwick {
    sums: Vec<f64>,
}

impl Fenwick {
    fn reset(&mut self, n: usize) {
        self.sums.clear();
        self.sums.resize(n + 1, 0.0);
    }

    fn add(&mut self, place: usize, value: f64) {
        let mut node = place + 1;
        while node < self.sums.len() {
            self.sums[node] += value;
            node += node & node.wrapping_neg();
        }
    }

    /// Sum of places `..end`.
    fn sum(&self, end: usize) -> f64 {
        let (mut node, mut total) = (end, 0.0);
        while node > 0 {
            total += self.sums[node];
            node &= node - 1;
        }
        total
    }
}

fn label_shown_lists(log: &Log<'_>, seen: Option<&Seen>, min_events: usize, target: &mut Target) {
    match target {
        Target::Distribution { classes, shares, weight, .. } => {
            let mut counts = vec![0.0; *classes];
            for request in 0..log.requests.len() {
                counts.fill(0.0);
                let mut n = 0;
                for row in log.shown(request) {
                    let category = log.category(log.impressions.item[row]);
                    if category != u16::MAX {
                        counts[category as usize] += 1.0;
                        n += 1;
                    }
                }
                if n >= min_events {
                    normalise(&counts, &mut shares[request * *classes..][..*classes]);
                    weight[request] = n as f32;
                }
            }
        }
        Target::Share { value, weight, .. } => {
            let Some(seen) = seen else { return };
            for request in 0..log.requests.len() {
                let (user, time) = (log.requests.user[request], log.requests.time[request]);
                let (mut n, mut unseen) = (0, 0);
                for row in log.shown(request) {
                    if let Some(first) = seen.first_time(user, log.impressions.item[row]) {
                        n += 1;
                        unseen += usize::from(first >= time);
                    }
                }
                if n >= min_events {
                    value[request] = (unseen as f64 / n as f64) as f32;
                    weight[request] = n as f32;
                }
            }
        }
        Target::RowCategory { .. } | Target::Number { .. } | Target::Class { .. } => {}
    }
}

/// A note where fewer than half of the training requests have a label.
fn scarcity(task: &Task, target: &Target, train: &Range<usize>) -> Option<String> {
    let (Target::Distribution { weight, .. } | Target::Share { weight, .. }) = target else {
        return None;
    };
    let labelled = weight[train.clone()].iter().filter(|&&weight| weight > 0.0).count();
    (2 * labelled < train.len()).then(|| {
        format!(
            "task `{}`: {labelled} of {} training requests have a label (at least {} events needed); \
             `min_events`, `window_days` and `source` of the task decide",
            task.name,
            train.len(),
            task.min_events().max(1)
        )
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::split::{RequestFacts, by_config};
    use super::super::timeline::{self, Engagements};
    use super::*;
    use crate::schema::{SplitConfig, SplitMethod};

    const HOUR: i64 = 3600;

    /// A shown item: row, position, weight of the engagement (0: none).
    type Shown = (u32, u16, u8);
    /// Label, number of events behind it, exposure.
    type Plain = Option<(Vec<f64>, usize, Vec<f64>)>;
    /// User, time, list.
    type Row = (u32, i64, Vec<Shown>);

    struct World {
        catalogue: Catalogue,
        requests: Requests,
        impressions: Impressions,
        timelines: Timelines,
        split: Split,
        /// Row of the log at each request.
        order: Vec<u32>,
    }

    impl World {
        fn new(rows: &[Row], config: &SplitConfig) -> Result<Self> {
            let user: Vec<u32> = rows.iter().map(|row| row.0).collect();
            let time: Vec<i64> = rows.iter().map(|row| row.1).collect();
            let plan =
                by_config(config, &RequestFacts { user: &user, time: &time, n: rows.len() })?;
            let mut requests = Requests { offsets: vec![0], ..Requests::default() };
            let mut impressions = Impressions::default();
            let (mut users, mut items, mut times, mut weights) = (vec![], vec![], vec![], vec![]);
            for &row in &plan.order {
                let (user, time, list) = &rows[row as usize];
                for &(item, position, weight) in list {
                    impressions.item.push(item);
                    impressions.position.push(position);
                    if weight > 0 {
                        users.push(*user);
                        items.push(item);
                        times.push(*time);
                        weights.push(f32::from(weight));
                    }
                }
                requests.user.push(*user);
                requests.time.push(*time);
                requests.offsets.push(impressions.item.len() as u32);
            }
            let timelines = timeline::build(
                5,
                &Engagements { user: &users, item: &items, time: &times, weight: &weights },
            );
            let catalogue = Catalogue {
                categories: ["phone", "case", "other"].map(String::from).into(),
                category: (0..9)
                    .map(|item| if item % 4 == 0 { u16::MAX } else { item % 3 })
                    .collect(),
                ..Catalogue::default()
            };
            Ok(Self {
                catalogue,
                requests,
                impressions,
                timelines,
                split: plan.split,
                order: plan.order,
            })
        }

        fn targets(&self, config: &Config) -> Result<Targets> {
            build(
                config,
                &self.catalogue,
                &self.requests,
                &self.impressions,
                &self.timelines,
                &self.split,
            )
        }

        /// One request's labels, read off the definitions: (mix, its n, log exposure), (unseen share, n, logit).
        fn plain(&self, task: &Task, request: usize) -> [Plain; 2] {
            let (user, t) = (self.requests.user[request], self.requests.time[request]);
            let part = self.split.part_of(request);
            let end = label_ends(&self.split, &self.requests.time)[part];
            let all = 0..self.requests.len();
            let own = |r: usize| self.requests.user[r] == user && self.split.part_of(r) == part;
            let foreign = |time: i64| {
                all.clone().any(|r| {
                    self.requests.user[r] == user
                        && self.requests.time[r] == time
                        && self.split.part_of(r) != part
                })
            };
            let category = |item: u32| self.catalogue.category[item as usize];
            let usable: Vec<(i64, u32, f32)> = self
                .timelines
                .of(user)
                .map(|e| (self.timelines.time[e], self.timelines.item[e], self.timelines.weight[e]))
                .filter(|e| e.0 < end && !foreign(e.0))
                .collect();
            let unseen = |item: u32| {
                let shown = all.clone().any(|r| {
                    self.requests.user[r] == user
                        && self.requests.time[r] < t
                        && self
                            .requests
                            .impressions(&(r..r + 1))
                            .any(|i| self.impressions.item[i] == item)
                });
                let engaged = self
                    .timelines
                    .of(user)
                    .any(|e| self.timelines.time[e] < t && self.timelines.item[e] == item);
                !shown && !engaged
            };
            let session = {
                let mut times: Vec<i64> = usable.iter().map(|e| e.0).collect();
                times.extend(all.clone().filter(|&r| own(r)).map(|r| self.requests.time[r]));
                times.sort_unstable();
                let gap = (task.session_gap_minutes.unwrap_or(30.0) * 60.0) as i64;
                let mut sessions: Vec<Vec<i64>> = Vec::new();
                for time in times {
                    match sessions.last_mut() {
                        Some(session) if time - session[session.len() - 1] <= gap => {
                            session.push(time);
                        }
                        _ => sessions.push(vec![time]),
                    }
                }
                sessions.into_iter().find(|session| session[0] > t)
            };
            [true, false].map(|by_category| {
                let fits = |item: u32| !by_category || category(item) != u16::MAX;
                let candidates = usable.iter().filter(|e| e.0 > t && fits(e.1));
                let (events, last): (Vec<_>, i64) = if task.source() == LabelSource::NextKEngaged {
                    let last = t + (task.window_days() * 86_400.0) as i64;
                    let events: Vec<_> =
                        candidates.filter(|e| e.0 <= last).take(task.next_k()).collect();
                    let last = if events.len() == task.next_k() {
                        events[events.len() - 1].0
                    } else {
                        last
                    };
                    (events, last)
                } else {
                    let session = session.as_ref()?;
                    let (first, last) = (session[0], session[session.len() - 1]);
                    (candidates.filter(|e| first <= e.0 && e.0 <= last).collect(), last)
                };
                if events.len() < task.min_events() || user == 0 {
                    return None;
                }
                let shown = all
                    .clone()
                    .filter(|&r| {
                        own(r) && self.requests.time[r] > t && self.requests.time[r] <= last
                    })
                    .flat_map(|r| self.requests.impressions(&(r..r + 1)))
                    .map(|i| {
                        let position = self.impressions.position[i];
                        let exam = if position == 0 { 1.0 } else { f64::from(position).powf(-0.5) };
                        (self.impressions.item[i], exam)
                    });
                if by_category {
                    let (mut mix, mut exposed) = ([0.0; 3], [1.0; 3]);
                    for event in &events {
                        mix[category(event.1) as usize] += f64::from(event.2);
                    }
                    for (item, exam) in shown.filter(|&(item, _)| fits(item)) {
                        exposed[category(item) as usize] += exam;
                    }
                    let (total, total_exposed) =
                        (mix.iter().sum::<f64>(), exposed.iter().sum::<f64>());
                    let mix = mix.iter().map(|m| m / total).collect();
                    Some((
                        mix,
                        events.len(),
                        exposed.iter().map(|e| (e / total_exposed).ln()).collect(),
                    ))
                } else {
                    let n = events.len();
                    let share = events.iter().filter(|e| unseen(e.1)).count() as f64 / n as f64;
                    let (mut new, mut old) = (1.0, 1.0);
                    for (item, exam) in shown.filter(|shown| shown.0 != 0) {
                        *(if unseen(item) { &mut new } else { &mut old }) += exam;
                    }
                    let exposed: f64 = new / (new + old);
                    Some((vec![share], n, vec![(exposed / (1.0 - exposed)).ln()]))
                }
            })
        }
    }

    fn config(change: impl Fn(&mut Task)) -> Config {
        let tasks = [("diversity", TaskKind::Distribution), ("novelty", TaskKind::Share)]
            .map(|(name, kind)| {
                let mut task = Task::new(name, kind);
                change(&mut task);
                task
            })
            .into();
        Config { tasks, ..Config::default() }
    }

    fn all_train() -> SplitConfig {
        SplitConfig { train: 1.0, valid: 0.0, test: 0.0, ..SplitConfig::default() }
    }

    fn mix_of(targets: &[Option<Target>]) -> (&[f32], &[f32], &[f32]) {
        match &targets[0] {
            Some(Target::Distribution { shares, weight, log_exposure, .. }) => {
                (shares, weight, log_exposure.as_deref().unwrap_or_default())
            }
            other => panic!("{other:?}"),
        }
    }

    fn share_of(targets: &[Option<Target>]) -> (&[f32], &[f32], &[f32]) {
        match &targets[1] {
            Some(Target::Share { value, weight, logit_exposure }) => {
                (value, weight, logit_exposure.as_deref().unwrap_or_default())
            }
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn labels_and_exposure_by_hand() {
        // Items 1, 7: category 1; 2, 5: category 2; 3, 6: category 0; 4: unknown.
        let rows = [
            (1, 0, vec![(1, 1, 0), (2, 4, 0)]),
            (1, HOUR, vec![(1, 1, 1), (3, 4, 3)]),
            (1, 2 * HOUR, vec![(4, 1, 1), (2, 4, 1)]),
            (1, 9 * 24 * HOUR, vec![(5, 1, 1)]),
        ];
        let world = World::new(&rows, &all_train()).unwrap();
        let (targets, notes) = world
            .targets(&config(|task| {
                task.exposure_offset = Some(true);
                task.min_events = Some(2);
            }))
            .unwrap();
        let (mix, n, exposure) = mix_of(&targets);
        // After the first request: 1 (click), 3 (purchase), 4 (no category), 2 (click).
        assert_eq!(n, [3.0, 0.0, 0.0, 0.0], "the last events are more than a week away");
        assert_eq!(mix[..3], [0.6, 0.2, 0.2]);
        let exposed = [1.0 + 0.5, 1.0 + 1.0, 1.0 + 0.5];
        for (class, e) in exposed.iter().enumerate() {
            assert!((f64::from(exposure[class]) - (e / 5.0f64).ln()).abs() < 1e-6);
        }
        let (share, n, exposure) = share_of(&targets);
        assert_eq!(n, [4.0, 2.0, 0.0, 0.0]);
        // As of the first request all are unseen; as of the second 2 had been shown, 4 not.
        assert_eq!(share[..2], [1.0, 0.5]);
        assert!((f64::from(exposure[0]) - 4.0f64.ln()).abs() < 1e-6);
        assert!((f64::from(exposure[1]) - (2.0f64 / 1.5).ln()).abs() < 1e-6);
        assert_eq!(notes.len(), 1, "only one request in four has a mix: {notes:?}");
    }

    #[test]
    fn shown_lists_and_rows() {
        let rows = [
            (1, 0, vec![(1, 1, 0), (2, 2, 0), (4, 3, 0)]),
            (1, HOUR, vec![(1, 1, 0), (3, 2, 0)]),
            (0, HOUR, vec![(1, 1, 0), (1, 2, 0)]),
        ];
        let mut world = World::new(&rows, &all_train()).unwrap();
        let shown = config(|task| task.source = Some(LabelSource::ShownList));
        let (targets, _) = world.targets(&shown).unwrap();
        assert_eq!(mix_of(&targets).0, [0.0, 0.5, 0.5, 0.5, 0.5, 0.0, 0.0, 1.0, 0.0]);
        assert_eq!(mix_of(&targets).1, [2.0, 2.0, 2.0]);
        assert_eq!(share_of(&targets).0[..2], [1.0, 0.5]);
        assert_eq!(share_of(&targets).1, [3.0, 2.0, 0.0], "nobody knows what an unknown user saw");

        world.impressions.sampled = vec![false, true, false, false, false, false, true];
        let (targets, _) = world.targets(&shown).unwrap();
        assert_eq!(mix_of(&targets).0[..3], [0.0, 1.0, 0.0], "a sampled item was not shown");

        world.requests.time.clear();
        let mut timeless = config(|_| {});
        timeless.tasks.pop();
        let (targets, notes) = world.targets(&timeless).unwrap();
        assert!(matches!(targets[0], Some(Target::RowCategory { classes: 3 })));
        assert!(notes[0].contains("diversity") && notes[0].contains("no time"), "{notes:?}");
        let error = world.targets(&config(|_| {})).unwrap_err();
        assert!(error.to_string().contains("task.novelty.source"), "{error}");
    }

    #[test]
    fn what_cannot_be_labelled_is_said() {
        let world = World::new(&[(1, 0, vec![(1, 1, 0)])], &all_train()).unwrap();
        let bad = |change: fn(&mut Task)| world.targets(&config(change)).unwrap_err().to_string();
        assert!(bad(|task| task.next_k = Some(0)).contains("task.diversity.next_k"));
        assert!(bad(|task| task.window_days = Some(-1.0)).contains("got -1"));
        assert!(bad(|task| task.source = Some(LabelSource::Row)).contains("no row label"));
        let shown = |task: &mut Task| {
            task.source = Some(LabelSource::ShownList);
            task.exposure_offset = Some(true);
        };
        assert!(bad(shown).contains("task.diversity.exposure_offset"));
        let mut events = config(|task| task.exposure_offset = Some(true));
        events.data.events = vec!["log.csv".into()];
        assert!(world.targets(&events).unwrap_err().to_string().contains("what was shown"));
    }

    fn rows() -> impl Strategy<Value = Vec<Row>> {
        let shown = (0u32..9, 0u16..5, prop::sample::select(vec![0u8, 0, 1, 3]));
        let row = (0u32..5, 0i64..40, prop::collection::vec(shown, 0..4));
        prop::collection::vec(
            row.prop_map(|(user, time, list)| (user, time * 20 * 60, list)),
            1..60,
        )
    }

    fn splits() -> impl Strategy<Value = SplitConfig> {
        let methods = vec![
            SplitMethod::Time,
            SplitMethod::Random,
            SplitMethod::ByUser,
            SplitMethod::RowOrder,
        ];
        prop::sample::select(methods).prop_map(|method| SplitConfig {
            method,
            train: 0.5,
            valid: 0.25,
            test: 0.25,
            ..SplitConfig::default()
        })
    }

    proptest! {
        #[test]
        fn labels_are_their_definition(
            rows in rows(), split in splits(), k in 1usize..6, hours in 1i64..10,
            min_events in 1usize..3, session: bool,
        ) {
            let Ok(world) = World::new(&rows, &split) else { return Ok(()) };
            let config = config(|task| {
                task.source = session.then_some(LabelSource::NextSession);
                task.next_k = Some(k);
                task.window_days = Some(hours as f64 / 24.0);
                task.min_events = Some(min_events);
                task.exposure_offset = Some(true);
            });
            let (targets, _) = world.targets(&config).unwrap();
            let close = |got: f32, expected: f64| (f64::from(got) - expected).abs() < 1e-5;
            for request in 0..world.requests.len() {
                let [mix, share] = world.plain(&config.tasks[0], request);
                for (plain, (got, n, exposure), width) in
                    [(mix, mix_of(&targets), 3), (share, share_of(&targets), 1)]
                {
                    let (got, exposure) =
                        (&got[request * width..][..width], &exposure[request * width..][..width]);
                    let (value, count, exposed) = plain.unwrap_or((vec![0.0; width], 0, vec![0.0; width]));
                    prop_assert_eq!(n[request], count as f32);
                    for i in 0..width {
                        prop_assert!(close(got[i], value[i]), "{got:?} {value:?}");
                        prop_assert!(close(exposure[i], exposed[i]), "{exposure:?} {exposed:?}");
                    }
                }
            }
        }

        /// Leakage canary: what is engaged with in validation and test changes no training label, under any split;
        /// under a time split neither does what is shown there.
        #[test]
        fn later_splits_change_no_earlier_label(
            rows in rows(), split in splits(), session: bool,
            other in prop::collection::vec((1u32..9, prop::sample::select(vec![0u8, 1, 3])), 200),
        ) {
            let Ok(world) = World::new(&rows, &split) else { return Ok(()) };
            for part in 0..2 {
                let mut changed = rows.clone();
                let mut other = other.iter();
                for (request, &row) in world.order.iter().enumerate() {
                    if world.split.part_of(request) > part {
                        for shown in &mut changed[row as usize].2 {
                            let &(item, weight) = other.next().unwrap();
                            if split.method == SplitMethod::Time {
                                shown.0 = item;
                            }
                            shown.2 = weight;
                        }
                    }
                }
                let config = config(|task| {
                    task.source = session.then_some(LabelSource::NextSession);
                    task.min_events = Some(1);
                    task.exposure_offset = Some(true);
                });
                let (before, _) = world.targets(&config).unwrap();
                let (after, _) = World::new(&changed, &split).unwrap().targets(&config).unwrap();
                let end = [world.split.train.end, world.split.valid.end][part];
                for (a, b, width) in [
                    (mix_of(&before), mix_of(&after), 3),
                    (share_of(&before), share_of(&after), 1),
                ] {
                    prop_assert_eq!(&a.0[..end * width], &b.0[..end * width]);
                    prop_assert_eq!(&a.1[..end], &b.1[..end]);
                    prop_assert_eq!(&a.2[..end * width], &b.2[..end * width]);
                }
            }
        }

        /// What a user engages with at or before a request changes no mix: it is no part of its own label.
        #[test]
        fn a_mix_reads_nothing_up_to_its_request(
            rows in rows(), time in 0i64..40, weight in 0u8..2,
        ) {
            let time = time * 20 * 60;
            let Ok(world) = World::new(&rows, &all_train()) else { return Ok(()) };
            let mut changed = rows.clone();
            for row in changed.iter_mut().filter(|row| row.1 <= time) {
                row.2.iter_mut().for_each(|shown| shown.2 = weight);
            }
            let config = config(|task| task.min_events = Some(1));
            let (before, _) = world.targets(&config).unwrap();
            let (after, _) = World::new(&changed, &all_train()).unwrap().targets(&config).unwrap();
            for request in 0..world.requests.len() {
                if world.requests.time[request] >= time {
                    prop_assert_eq!(
                        &mix_of(&before).0[request * 3..][..3],
                        &mix_of(&after).0[request * 3..][..3]
                    );
                }
            }
        }
    }
}
