//! Logs without impressions: views and orders become requests with one clicked item and sampled unclicked ones.
//!
//! **Requests.** The first view of an item by a user is a request; the viewed item is its clicked impression.
//! A purchase of the same item by the same user, at or after the view, within the window and before the end of the
//! request's split ([`label_ends`]), makes `purchase = 1`.
//!
//! **Negatives.** For each request, items the user never touched are drawn as impressions nobody saw (`sampled`), with
//! `click = 0`. Nothing after the end of the request's split has a say: the pool holds items with any event before
//! it, "never" means not before it, and popularity counts training views alone (an item without any counts as one).
//! Every request draws from a stream of its own, so it gets the same items whatever other requests there are.
//!
//! **Logit offset.** Think of each view as an occasion to view any item of the pool: the true click probability of
//! item j is the chance that this occasion goes to j. The sample keeps every positive, but a negative j appears
//! w_j times on average, so odds under sampling are true odds / w_j and
//!
//! ```text
//! logit under the sampled rate = true logit + offset,   offset_j = −ln w_j
//! uniform:     w_j = min(m, E) / E       m distinct items out of the E of the pool the user never touched
//! popularity:  w_j = m · π_j / Z         m draws with replacement, π_j = max(training views, 1)^alpha, Z = Σ π over E
//! ```
//!
//! (the prior correction of case-control sampling, King & Zeng 2001; Z is the same for all rows of a request, so under
//! `uniform` the offset cannot tell the clicked row from the others).

use daogou_nn::rng::Rng;

use super::split::{RequestFacts, SplitPlan, label_ends};
use super::timeline::{Seen, by_user};
use crate::schema::{EventsConfig, NegativeSampling, Negatives};
use crate::{Error, Result};

/// What an event means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EventKind {
    /// A view, as `data.event_log.click` says.
    Click,
    /// An order, as `data.event_log.purchase` says.
    Purchase,
}

/// Events in the order of the files; other kinds of events are left out.
#[derive(Clone, Copy, Debug)]
pub struct Events<'a> {
    /// User row.
    pub user: &'a [u32],
    /// Item row.
    pub item: &'a [u32],
    /// Unix time in seconds.
    pub time: &'a [i64],
    /// Click or purchase.
    pub kind: &'a [EventKind],
}

/// First views, in the order of the files: the requests that [`by_config`](super::split::by_config) splits.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Views {
    /// Event each view came from, to read its context columns.
    pub event: Vec<u32>,
    /// User row.
    pub user: Vec<u32>,
    /// Item row.
    pub item: Vec<u32>,
    /// Unix time in seconds.
    pub time: Vec<i64>,
    /// Purchases without a view of the item before them or at the same instant; they make no label.
    pub unviewed_purchases: u64,
}

impl Views {
    /// What a split reads.
    pub fn facts(&self) -> RequestFacts<'_> {
        RequestFacts { user: &self.user, time: &self.time, n: self.user.len() }
    }
}

/// Requests and impressions, in the order of a split plan.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct LabelledViews {
    /// Event each request came from.
    pub event: Vec<u32>,
    /// User row of each request.
    pub user: Vec<u32>,
    /// Unix time of each request.
    pub time: Vec<i64>,
    /// Impressions of request `r` are `offsets[r]..offsets[r + 1]`; the clicked one has a random place among them.
    pub offsets: Vec<u32>,
    /// Item row of each impression.
    pub item: Vec<u32>,
    /// Label: 1 for the viewed item.
    pub click: Vec<u8>,
    /// Label: 1 where the viewed item was bought.
    pub purchase: Vec<u8>,
    /// Whether the impression was sampled. Empty without negatives.
    pub sampled: Vec<bool>,
    /// Added to the click logit to get the logit under the sampled rate. Empty without negatives.
    pub logit_offset: Vec<f32>,
    /// What a person should know.
    pub notes: Vec<String>,
}

/// The first view of each item by each user; ties go to the earlier row. Events of the unknown user or item (row 0)
/// make none. Cost: O(n log n).
pub fn first_views(events: &Events<'_>) -> Result<Views> {
    let Events { user, item, time, kind } = *events;
    if time.len() != user.len() {
        return Err(Error::config(
            "columns.time",
            "an event log needs times, and this one has none",
        )
        .with_hint("name the column that holds the time of the event"));
    }
    let users = user.iter().max().map_or(0, |&last| last as usize + 1);
    let key = |event: u32| {
        let event = event as usize;
        (item[event], time[event], event)
    };
    let (offsets, rows) = by_user(
        users,
        user,
        |event| user[event] != 0 && item[event] != 0,
        |rows| {
            rows.sort_unstable_by_key(|&event| key(event));
        },
    );
    let mut views = Views::default();
    for range in offsets.windows(2) {
        let rows = &rows[range[0] as usize..range[1] as usize];
        for same_item in rows.chunk_by(|&a, &b| item[a as usize] == item[b as usize]) {
            let is = |event: u32, wanted: EventKind| kind[event as usize] == wanted;
            let view = same_item.iter().copied().find(|&event| is(event, EventKind::Click));
            views.event.extend(view);
            let too_early = same_item.iter().filter(|&&event| {
                let viewed = view.is_some_and(|view| time[view as usize] <= time[event as usize]);
                is(event, EventKind::Purchase) && !viewed
            });
            views.unviewed_purchases += too_early.count() as u64;
        }
    }
    views.event.sort_unstable();
    let of = |column: &[u32]| views.event.iter().map(|&event| column[event as usize]).collect();
    (views.user, views.item) = (of(user), of(item));
    views.time = views.event.iter().map(|&event| time[event as usize]).collect();
    Ok(views)
}

/// Labels the views and adds negatives. `n_items` counts item rows, the unknown row 0 included.
///
/// Cost: O((events + requests · per_click) · log n).
pub fn label(
    config: &EventsConfig,
    events: &Events<'_>,
    views: &Views,
    plan: &SplitPlan,
    n_items: usize,
) -> Result<LabelledViews> {
    let days = config.purchase_window_days;
    if !(days.is_finite() && days >= 0.0) {
        return Err(Error::config(
            "data.event_log.purchase_window_days",
            format!("expected a number of at least 0, got {days}"),
        ));
    }
    let pick = |column: &[u32]| plan.order.iter().map(|&view| column[view as usize]).collect();
    let mut log = LabelledViews {
        event: pick(&views.event),
        user: pick(&views.user),
        time: plan.order.iter().map(|&view| views.time[view as usize]).collect(),
        offsets: vec![0],
        ..LabelledViews::default()
    };
    let viewed: Vec<u32> = pick(&views.item);
    log.purchase = purchases(events, &log, &viewed, plan, (days * 86_400.0) as i64);
    if views.unviewed_purchases > 0 {
        log.notes.push(format!(
            "{} purchases have no view of the same item by the same user before them; they make no label",
            views.unviewed_purchases
        ));
    }
    let negatives = &config.negatives;
    if negatives.per_click == 0 {
        log.offsets = (0..=viewed.len() as u32).collect();
        log.click = vec![1; viewed.len()];
        log.item = viewed;
        log.notes.push(
            "every row is a click: without impressions or sampled negatives there is no click rate to learn".into(),
        );
        return Ok(log);
    }
    add_negatives(negatives, events, plan, n_items, &viewed, &mut log)?;
    Ok(log)
}

/// Whether each request's item was bought in time.
fn purchases(
    events: &Events<'_>,
    log: &LabelledViews,
    viewed: &[u32],
    plan: &SplitPlan,
    window: i64,
) -> Vec<u8> {
    let ends = label_ends(&plan.split, &log.time);
    let Events { user, item, time, kind } = *events;
    let users = user.iter().max().map_or(0, |&last| last as usize + 1);
    let key = |event: u32| (item[event as usize], time[event as usize]);
    let (offsets, rows) = by_user(
        users,
        user,
        |event| kind[event] == EventKind::Purchase,
        |rows| {
            rows.sort_unstable_by_key(|&event| key(event));
        },
    );
    (0..viewed.len())
        .map(|request| {
            let user = log.user[request] as usize;
            let rows = &rows[offsets[user] as usize..offsets[user + 1] as usize];
            let (item, from) = (viewed[request], log.time[request]);
            let next = rows.partition_point(|&event| key(event) < (item, from));
            let last = from.saturating_add(window);
            u8::from(rows.get(next).is_some_and(|&event| {
                let (bought, at) = key(event);
                bought == item && at <= last && at < ends[plan.split.part_of(request)]
            }))
        })
        .collect()
}

/// Items that can be drawn, ordered by their first event: those known before an instant are a prefix.
struct Pool {
    items: Vec<u32>,
    first: Vec<i64>,
    /// Place of each item row in `items`; `u32::MAX` for items without events.
    place: Vec<u32>,
    /// `mass[p]`: summed weight of `items[..p]`.
    mass: Vec<f64>,
}

impl Pool {
    fn new(events: &Events<'_>, n_items: usize, weight: impl Fn(usize) -> f64) -> Self {
        let mut first_event = vec![None; n_items];
        for (&item, &time) in events.item.iter().zip(events.time).filter(|(item, _)| **item != 0) {
            let first = &mut first_event[item as usize];
            *first = Some(first.map_or(time, |first: i64| first.min(time)));
        }
        let mut items: Vec<u32> =
            (1..n_items as u32).filter(|&item| first_event[item as usize].is_some()).collect();
        items.sort_by_key(|&item| first_event[item as usize]);
        let first = items.iter().filter_map(|&item| first_event[item as usize]).collect();
        let mut place = vec![u32::MAX; n_items];
        let mut mass = vec![0.0];
        for (p, &item) in items.iter().enumerate() {
            place[item as usize] = p as u32;
            mass.push(mass[p] + weight(item as usize));
        }
        Self { items, first, place, mass }
    }

    /// How many items have an event before `end`.
    fn known_before(&self, end: i64) -> usize {
        self.first.partition_point(|&first| first < end)
    }
}

/// What of the pool one user had not touched before the end of one split.
#[derive(Default)]
struct Open {
    /// Runs of pool places with the mass of all earlier runs.
    runs: Vec<(f64, std::ops::Range<usize>)>,
    mass: f64,
    items: usize,
    blocked: Vec<u32>,
}

impl Open {
    fn fill(&mut self, pool: &Pool, seen: &Seen, user: u32, end: i64) {
        self.blocked.clear();
        self.blocked.extend(
            seen.items(user)
                .iter()
                .zip(seen.first_times(user))
                .filter(|&(_, &first)| first < end)
                .map(|(&item, _)| pool.place[item as usize]),
        );
        self.blocked.sort_unstable();
        self.runs.clear();
        (self.mass, self.items) = (0.0, 0);
        let known = pool.known_before(end);
        let mut start = 0;
        for stop in self.blocked.iter().map(|&place| place as usize).chain([known]) {
            if start < stop {
                self.runs.push((self.mass, start..stop));
                self.mass += pool.mass[stop] - pool.mass[start];
                self.items += stop - start;
            }
            start = stop + 1;
        }
    }

    /// An open place, drawn in proportion to its weight; there must be one.
    fn draw(&self, pool: &Pool, rng: &mut Rng) -> usize {
        let mass = rng.uniform() * self.mass;
        let run = self.runs.partition_point(|run| run.0 <= mass) - 1;
        let (before, places) = &self.runs[run];
        let target = pool.mass[places.start] + (mass - before);
        let within = &pool.mass[places.start + 1..=places.end];
        // Rounding may push the target to the very end of the run.
        places.start + within.partition_point(|&mass| mass <= target).min(places.len() - 1)
    }
}

fn add_negatives(
    config: &Negatives,
    events: &Events<'_>,
    plan: &SplitPlan,
    n_items: usize,
    viewed: &[u32],
    log: &mut LabelledViews,
) -> Result<()> {
    let bad_alpha = |problem: String| Error::config("data.event_log.negatives.alpha", problem);
    let uniform = config.sampling == NegativeSampling::Uniform;
    if !(uniform || config.alpha.is_finite() && config.alpha >= 0.0) {
        let problem = format!("expected a number of at least 0, got {}", config.alpha);
        return Err(bad_alpha(problem));
    }
    let wanted = config.per_click as usize;
    let mut train_views = vec![0u32; n_items];
    for &item in &viewed[plan.split.train.clone()] {
        train_views[item as usize] += 1;
    }
    let weight = |item: usize| {
        if uniform { 1.0 } else { f64::from(train_views[item].max(1)).powf(config.alpha) }
    };
    let pool = Pool::new(events, n_items, weight);
    if !pool.mass[pool.items.len()].is_finite() {
        return Err(bad_alpha(format!("views^{} is too large a number", config.alpha)));
    }
    let ends = label_ends(&plan.split, &log.time);
    let users = events.user.iter().max().map_or(0, |&last| last as usize + 1);
    let touched = (0..events.user.len())
        .map(|event| (events.user[event], events.item[event], events.time[event]));
    let seen = Seen::build(users, touched);
    let known = ends.map(|end| pool.known_before(end));

    let mut alone = 0;
    let mut rows = 0usize;
    for (request, &user) in log.user.iter().enumerate() {
        let part = plan.split.part_of(request);
        let firsts = seen.first_times(user);
        let open = known[part] - firsts.iter().filter(|&&first| first < ends[part]).count();
        alone += usize::from(open == 0);
        rows += 1 + if uniform || open == 0 { wanted.min(open) } else { wanted };
        log.offsets.push(u32::try_from(rows).map_err(|_| {
            Error::config(
                "data.event_log.negatives.per_click",
                format!("expected at most {} impressions, got more", u32::MAX),
            )
        })?);
    }
    log.item = vec![0; rows];
    log.click = vec![0; rows];
    let bought = std::mem::replace(&mut log.purchase, vec![0; rows]);
    log.sampled = vec![true; rows];
    log.logit_offset = vec![0.0; rows];

    let (starts, grouped) = by_user(users, &log.user, |_| true, |_| {});
    let mut open = Open::default();
    for (user, range) in starts.windows(2).enumerate() {
        let mut filled_for = None;
        // Requests come by split, so each split's open items are gathered once.
        for &request in &grouped[range[0] as usize..range[1] as usize] {
            let request = request as usize;
            let part = plan.split.part_of(request);
            if filled_for != Some(part) {
                open.fill(&pool, &seen, user as u32, ends[part]);
                filled_for = Some(part);
            }
            let rows = log.offsets[request] as usize..log.offsets[request + 1] as usize;
            let drawn = rows.len() - 1;
            let item = viewed[request];
            let mut rng = Rng::new(config.seed, (user as u64) << 32 | u64::from(item));
            let clicked = rows.start + rng.below(rows.len() as u64) as usize;
            log.item[clicked] = item;
            log.click[clicked] = 1;
            log.purchase[clicked] = bought[request];
            log.sampled[clicked] = false;
            let others = rows.clone().filter(|&row| row != clicked);
            if uniform && drawn == open.items {
                let all = open.runs.iter().flat_map(|run| run.1.clone());
                for (row, place) in others.zip(all) {
                    log.item[row] = pool.items[place];
                }
            } else {
                for row in others {
                    log.item[row] = loop {
                        let item = pool.items[open.draw(&pool, &mut rng)];
                        if !(uniform && log.item[rows.start..row].contains(&item)) {
                            break item;
                        }
                    };
                }
            }
            if drawn > 0 {
                for row in rows {
                    let expected = drawn as f64 * weight(log.item[row] as usize) / open.mass;
                    log.logit_offset[row] = -expected.ln() as f32;
                }
            }
        }
    }
    log.notes.push(format!(
        "the click rate is artificial: the log has no impressions, so {} unclicked items were drawn per view ({})",
        wanted,
        if uniform { "uniformly".into() } else { format!("by popularity^{}", config.alpha) }
    ));
    if alone > 0 {
        log.notes
            .push(format!("{alone} views have no item their user never touched, so no negatives"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use daogou_nn::rng::Rng;
    use proptest::prelude::*;

    use super::super::split::by_config;
    use super::*;
    use crate::schema::{SplitConfig, SplitMethod};

    /// User, item, time, whether it is a purchase.
    type Row = (u32, u32, i64, bool);

    const DAY: i64 = 86_400;

    fn config(per_click: u32, sampling: NegativeSampling) -> EventsConfig {
        EventsConfig {
            click: vec!["view".into()],
            purchase: vec!["order".into()],
            purchase_window_days: 7.0,
            negatives: Negatives { per_click, sampling, ..Negatives::default() },
        }
    }

    fn shares(method: SplitMethod, train: f64) -> SplitConfig {
        let rest = (1.0 - train) / 2.0;
        SplitConfig { method, train, valid: rest, test: rest, ..SplitConfig::default() }
    }

    fn run(
        rows: &[Row],
        split: &SplitConfig,
        config: &EventsConfig,
    ) -> Result<(SplitPlan, LabelledViews)> {
        let user: Vec<u32> = rows.iter().map(|row| row.0).collect();
        let item: Vec<u32> = rows.iter().map(|row| row.1).collect();
        let time: Vec<i64> = rows.iter().map(|row| row.2).collect();
        let kind: Vec<EventKind> = rows
            .iter()
            .map(|row| if row.3 { EventKind::Purchase } else { EventKind::Click })
            .collect();
        let events = Events { user: &user, item: &item, time: &time, kind: &kind };
        let views = first_views(&events)?;
        let plan = by_config(split, &views.facts())?;
        let log = label(config, &events, &views, &plan, 30)?;
        Ok((plan, log))
    }

    #[test]
    fn first_views_become_requests_and_orders_their_purchases() {
        let rows = [
            (1, 5, 9 * DAY, false),
            (1, 5, DAY, false), // the first view, though later in the file
            (2, 5, DAY, false),
            (2, 5, DAY, true),     // at the instant of the view
            (1, 5, 8 * DAY, true), // the last instant of the window
            (3, 5, DAY, false),
            (3, 5, 8 * DAY + 1, true), // too late
            (4, 5, DAY, true),         // never viewed
            (3, 6, DAY, true),         // before the view
            (3, 6, 2 * DAY, false),
            (0, 6, 0, false), // nobody
            (3, 0, 0, false), // nothing
        ];
        let (_, log) =
            run(&rows, &shares(SplitMethod::Time, 1.0), &config(0, NegativeSampling::Uniform))
                .unwrap();
        assert_eq!(log.event, [1, 2, 5, 9]);
        assert_eq!((&log.user[..], &log.item[..]), (&[1, 2, 3, 3][..], &[5, 5, 5, 6][..]));
        assert_eq!(log.time, [DAY, DAY, DAY, 2 * DAY]);
        assert_eq!((&log.click[..], &log.purchase[..]), (&[1; 4][..], &[1, 1, 0, 0][..]));
        assert_eq!(log.offsets, [0, 1, 2, 3, 4]);
        assert!(log.sampled.is_empty() && log.logit_offset.is_empty());
        assert!(log.notes[0].starts_with("2 purchases"), "{:?}", log.notes);
        assert!(log.notes[1].contains("no click rate"), "{:?}", log.notes);
    }

    #[test]
    fn a_purchase_in_a_later_split_is_not_known_to_training() {
        let rows = [
            (1, 5, 10, false),
            (1, 6, 20, false),
            (2, 5, 30, false),
            (1, 5, 30, true), // the instant validation starts
            (1, 6, 29, true),
            (2, 6, 40, false),
        ];
        let split = SplitConfig { train: 0.5, valid: 0.25, test: 0.25, ..SplitConfig::default() };
        let (plan, log) = run(&rows, &split, &config(0, NegativeSampling::Uniform)).unwrap();
        assert_eq!(plan.split.train, 0..2);
        assert_eq!(log.purchase, [0, 1, 0, 0]);
    }

    #[test]
    fn bad_settings_are_named() {
        let rows = [(1, 5, 10, false), (1, 6, 20, false), (2, 7, 30, false)];
        let mut bad = config(2, NegativeSampling::Popularity);
        bad.negatives.alpha = f64::NAN;
        let error = |config: &EventsConfig| {
            run(&rows, &shares(SplitMethod::Time, 1.0), config).unwrap_err().to_string()
        };
        assert!(error(&bad).contains("negatives.alpha"));
        bad.negatives.alpha = 0.5;
        bad.purchase_window_days = -1.0;
        assert!(error(&bad).contains("got -1"));
        let timeless = Events { user: &[1], item: &[1], time: &[], kind: &[EventKind::Click] };
        assert!(first_views(&timeless).unwrap_err().to_string().contains("columns.time"));
    }

    /// 4,000 users view one of 12 items each, with known probabilities; the logit of an item's sampled click rate less
    /// its offset is the logit of its probability.
    #[test]
    fn the_offset_recovers_the_true_rate() {
        let weights: Vec<f64> = (1..=12).map(|item| 1.0 / f64::from(item)).collect();
        let total: f64 = weights.iter().sum();
        let mut rng = Rng::new(3, 0);
        let rows: Vec<Row> = (1..=4000)
            .map(|user| {
                let mut left = rng.uniform() * total;
                let item = weights.iter().position(|w| {
                    left -= w;
                    left < 0.0
                });
                (user, item.unwrap_or(11) as u32 + 1, i64::from(user), false)
            })
            .collect();
        for (per_click, sampling) in [
            (4, NegativeSampling::Uniform),
            (4, NegativeSampling::Popularity),
            (1, NegativeSampling::Popularity),
        ] {
            let (_, log) =
                run(&rows, &shares(SplitMethod::Time, 1.0), &config(per_click, sampling)).unwrap();
            for item in 1..=12 {
                let rows = || (0..log.item.len()).filter(|&row| log.item[row] == item);
                let clicks = rows().filter(|&row| log.click[row] == 1).count() as f64;
                let others = rows().count() as f64 - clicks;
                let offset = rows().map(|row| f64::from(log.logit_offset[row])).sum::<f64>()
                    / rows().count() as f64;
                let recovered = (clicks / others).ln() - offset;
                let truth = (clicks / (4000.0 - clicks)).ln();
                let error = (1.0 / others).sqrt();
                let slack = if sampling == NegativeSampling::Uniform { 0.0 } else { 0.1 };
                assert!(
                    (recovered - truth).abs() < 4.0 * error + slack,
                    "item {item}: {recovered} and {truth}, {sampling:?}"
                );
            }
        }
    }

    #[test]
    fn draws_follow_their_weights_and_skip_what_was_touched() {
        let events = |items: &[u32]| -> Vec<(u32, u32, i64)> {
            items.iter().enumerate().map(|(i, &item)| (1, item, i as i64)).collect()
        };
        let all: Vec<u32> = (1..=10).collect();
        let time: Vec<i64> = (0..10).collect();
        let kind = [EventKind::Click; 10];
        let pool = Pool::new(
            &Events { user: &[2; 10], item: &all, time: &time, kind: &kind },
            11,
            |item| item as f64,
        );
        let seen = Seen::build(2, events(&[1, 4, 5, 9]).into_iter());
        let mut open = Open::default();
        open.fill(&pool, &seen, 1, 9); // item 10 (place 9) is not known yet
        assert_eq!((open.items, open.mass), (5, 26.0));
        let mut rng = Rng::new(1, 1);
        let mut counts = [0u32; 11];
        let n = 52_000;
        for _ in 0..n {
            counts[pool.items[open.draw(&pool, &mut rng)] as usize] += 1;
        }
        for item in [2u32, 3, 6, 7, 8] {
            let expected = f64::from(n) * f64::from(item) / open.mass;
            assert!((f64::from(counts[item as usize]) - expected).abs() < 4.0 * expected.sqrt());
        }
        assert!([1, 4, 5, 9, 10].iter().all(|&item: &usize| counts[item] == 0), "{counts:?}");
    }

    fn rows(n: usize) -> impl Strategy<Value = Vec<Row>> {
        prop::collection::vec((0u32..6, 0u32..30, 0i64..100, prop::bool::weighted(0.2)), 1..n)
    }

    proptest! {
        #[test]
        fn negatives_are_what_they_say(
            rows in rows(80), per_click in 1u32..6, popular: bool, alpha in 0.0..2.0f64,
            method in prop::sample::select(vec![SplitMethod::Time, SplitMethod::Random, SplitMethod::ByUser]),
        ) {
            let sampling =
                if popular { NegativeSampling::Popularity } else { NegativeSampling::Uniform };
            let mut config = config(per_click, sampling);
            config.negatives.alpha = alpha;
            let Ok((plan, log)) = run(&rows, &shares(method, 0.6), &config) else { return Ok(()) };
            let ends = label_ends(&plan.split, &log.time);
            let clicked: Vec<usize> = (0..log.user.len())
                .map(|request| {
                    (log.offsets[request] as usize..log.offsets[request + 1] as usize)
                        .find(|&row| log.click[row] == 1)
                        .unwrap()
                })
                .collect();
            let views = |item: u32| plan.split.train.clone().filter(|&r| log.item[clicked[r]] == item).count();
            let weight = |item: u32| if popular { (views(item).max(1) as f64).powf(alpha) } else { 1.0 };
            for (request, &clicked) in clicked.iter().enumerate() {
                let end = ends[plan.split.part_of(request)];
                let early = || rows.iter().filter(|row| row.2 < end);
                let open: Vec<u32> = (1..30)
                    .filter(|&item| early().any(|row| row.1 == item))
                    .filter(|&item| !early().any(|row| row.1 == item && row.0 == log.user[request]))
                    .collect();
                let range = log.offsets[request] as usize..log.offsets[request + 1] as usize;
                let mut drawn: Vec<u32> =
                    range.clone().filter(|&row| row != clicked).map(|row| log.item[row]).collect();
                let expected = match (popular, open.is_empty()) {
                    (_, true) => 0,
                    (true, false) => per_click as usize,
                    (false, false) => open.len().min(per_click as usize),
                };
                prop_assert_eq!(drawn.len(), expected);
                prop_assert!(drawn.iter().all(|item| open.contains(item)));
                let mass: f64 = open.iter().map(|&item| weight(item)).sum();
                for row in range {
                    prop_assert_eq!(log.sampled[row], row != clicked);
                    prop_assert!(row == clicked || log.click[row] + log.purchase[row] == 0);
                    let offset = if expected == 0 {
                        0.0
                    } else {
                        (mass / (expected as f64 * weight(log.item[row]))).ln()
                    };
                    prop_assert!((f64::from(log.logit_offset[row]) - offset).abs() < 1e-5);
                }
                if !popular {
                    drawn.sort_unstable();
                    drawn.dedup();
                    prop_assert_eq!(drawn.len(), expected, "distinct");
                }
            }
        }

        /// Leakage canary: other events from the start of validation on leave every training row as it is.
        #[test]
        fn later_events_change_no_training_row(rows in rows(80), other in rows(40), popular: bool) {
            let sampling =
                if popular { NegativeSampling::Popularity } else { NegativeSampling::Uniform };
            let config = config(3, sampling);
            let Ok((plan, before)) = run(&rows, &shares(SplitMethod::Time, 0.6), &config) else {
                return Ok(());
            };
            let start = before.time[plan.split.valid.start];
            // The same requests after the cut must exist, so that the cut stays: their repeats and orders change.
            let mut changed: Vec<Row> = rows.iter().copied().filter(|row| row.2 < start || !row.3).collect();
            changed.extend(
                other
                    .iter()
                    .map(|&(user, item, time, _)| (user, item, time + start, true)),
            );
            let (after_plan, after) = run(&changed, &shares(SplitMethod::Time, 0.6), &config).unwrap();
            prop_assert_eq!(&plan.split, &after_plan.split);
            let n = plan.split.train.end;
            let rows = before.offsets[n] as usize;
            prop_assert_eq!(&before.offsets[..=n], &after.offsets[..=n]);
            prop_assert_eq!(&before.item[..rows], &after.item[..rows]);
            prop_assert_eq!(&before.click[..rows], &after.click[..rows]);
            prop_assert_eq!(&before.purchase[..rows], &after.purchase[..rows]);
            prop_assert_eq!(&before.logit_offset[..rows], &after.logit_offset[..rows]);
        }
    }
}
