//! A phone shop whose true probabilities are known.
//!
//! Made-up people visit a made-up shop: each has tastes, a budget, a liking for brands and for the new; a logging
//! policy shows them lists; they click and buy with probabilities that are written down beside the outcome. A model
//! trained on the log can therefore be held against the best that any model could do ([`oracle::Ceiling`]).
//!
//! Everything is a function of [`Options`]: the same options give the same bytes. What happens in a request comes
//! from random streams of its own, and the draw that decides a click from a stream of (request, item), so that two
//! policies replayed on one request meet the same luck.
//!
//! Requests are simulated in order of time and written as they come. In memory stay the people, the catalogue, the
//! schedule (24 bytes per request) and what each person has already been shown (some 16 bytes per different item).

mod choice;
pub mod crowd;
#[cfg(test)]
mod off_policy;
pub mod oracle;
mod output;
mod policy;
#[cfg(test)]
mod recovery;
pub mod replay;
mod schedule;
#[cfg(test)]
mod tests;
mod world;

use std::path::Path;

use daogou_nn::rng::{Rng, hash, mix};
use serde::{Deserialize, Serialize};

use replay::Moment;
pub use world::{CATEGORIES, Item, User, World};

use crate::metrics::exposure::gini;
use crate::{Error, Result};

/// The configuration that trains on a simulated log, written beside it.
pub const CONFIG: &str = include_str!("daogou.toml");

/// What to simulate. The defaults of the dials are the constants under which the tests' reference values hold.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Options {
    /// People.
    pub users: u32,
    /// Products; a fifth of them is launched while the log runs.
    pub items: u32,
    /// Lists shown.
    pub requests: u64,
    /// Seed of everything.
    pub seed: u64,
    /// Days over which sessions start. A person's sessions stand at least half an hour apart, so a log with very many
    /// sessions per person runs longer.
    pub days: u32,
    /// Items per list.
    pub k: usize,
    /// Candidates among which the logging policy chooses.
    pub candidates: usize,
    /// Share of requests answered with a uniformly random list of the candidates, for unbiased evaluation.
    pub random_slice: f64,
    /// Taken from the click logit for every item of the same category higher up in the list. Above 0, diverse lists
    /// have true value.
    pub satiation: f64,
    /// Taken from the click logit for every earlier impression of the item in the same session.
    pub fatigue: f64,
    /// How much never having been shown an item adds to its novelty for a person, centred: half of it is added where
    /// that is so, half is taken where it is not. Above 0, the share of unseen items in a list has true value.
    pub unseen: f64,
    /// Standard deviation of a session's mood, which no column shows and which is added to both logits. Above 0,
    /// purchases are missing not at random: a purchase model trained on clicks alone is biased.
    pub mood_sd: f64,
    /// How much of the taste for brands and specifications is common to clicking and buying: 1 all, 0 nothing.
    pub relatedness: f64,
    /// Intercept of the click logit.
    pub click_intercept: f64,
    /// Intercept of the purchase logit.
    pub purchase_intercept: f64,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            users: 5_000,
            items: 3_000,
            requests: 250_000,
            seed: 1,
            days: 60,
            k: 10,
            candidates: 120,
            random_slice: 0.05,
            satiation: 0.22,
            fatigue: 0.3,
            unseen: 0.5,
            mood_sd: 0.0,
            relatedness: 1.0,
            click_intercept: -2.75,
            purchase_intercept: -3.75,
        }
    }
}

impl Options {
    /// That every number is one that can be simulated.
    pub(crate) fn check(&self) -> Result<()> {
        let refuse = |what: &str, expected: &str, got: &dyn std::fmt::Display| {
            Err(Error::data(format!("simulation: {what}: expected {expected}, got {got}")))
        };
        if self.users == 0 {
            return refuse("users", "at least 1", &self.users);
        }
        if (self.items as usize) < CATEGORIES.len() {
            return refuse("items", "at least 12, one per category", &self.items);
        }
        if self.requests == 0 || self.requests > u64::from(u32::MAX) {
            return refuse("requests", "1 to 4,294,967,295", &self.requests);
        }
        if self.days == 0 {
            return refuse("days", "at least 1", &self.days);
        }
        if self.k == 0 || self.candidates < self.k {
            return refuse("k", "at least 1 and at most `candidates`", &self.k);
        }
        for (what, value) in
            [("random_slice", self.random_slice), ("relatedness", self.relatedness)]
        {
            if !(0.0..=1.0).contains(&value) {
                return refuse(what, "a share between 0 and 1", &value);
            }
        }
        for (what, value) in [
            ("satiation", self.satiation),
            ("fatigue", self.fatigue),
            ("unseen", self.unseen),
            ("mood_sd", self.mood_sd),
        ] {
            if !(value.is_finite() && value >= 0.0) {
                return refuse(what, "a number of at least 0", &value);
            }
        }
        for (what, value) in [
            ("click_intercept", self.click_intercept),
            ("purchase_intercept", self.purchase_intercept),
        ] {
            if !value.is_finite() {
                return refuse(what, "a finite number", &value);
            }
        }
        Ok(())
    }
}

/// What came out, realised and true.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Summary {
    /// People in the users table.
    pub users: u64,
    /// Products in the items table.
    pub items: u64,
    /// Sessions.
    pub sessions: u64,
    /// Lists shown.
    pub requests: u64,
    /// Items shown.
    pub impressions: u64,
    /// Clicks.
    pub clicks: u64,
    /// Purchases.
    pub purchases: u64,
    /// Clicks per impression.
    pub ctr: f64,
    /// Purchases per click; `None` without a click.
    pub cvr: Option<f64>,
    /// Purchases per impression.
    pub ctcvr: f64,
    /// Mean true P(purchase | click) over all impressions.
    pub mean_true_cvr: f64,
    /// Mean true P(purchase | click) over clicked impressions: larger, because clicks select; `None` without a click.
    pub mean_true_cvr_clicked: Option<f64>,
    /// Gini coefficient of impressions over all items.
    pub exposure_gini: f64,
}

/// One request as it happened.
#[derive(Clone, Debug, Default)]
struct Shown {
    request: u64,
    user: u32,
    time: i64,
    promo: bool,
    entry: u8,
    random: bool,
    rows: Vec<Impression>,
}

/// One item of a shown list, with its truth.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Impression {
    item: u32,
    propensity: f64,
    examination: f64,
    /// P(click | examined) in this list.
    relevance: f64,
    /// P(purchase | click).
    conversion: f64,
    /// Whether the person looks at it; who clicks has looked.
    examined: bool,
    clicked: bool,
    /// Whether a click would lead, or has led, to a purchase.
    would_buy: bool,
    /// Seconds from the request to the purchase, where one happened.
    purchase_after: Option<i64>,
}

/// What the shop remembers of a person between requests.
#[derive(Clone, Debug, Default)]
struct Memory {
    seen: Seen,
    session: Option<Session>,
    /// When the last phone was bought.
    phone_bought: Option<i64>,
    /// When the last list was shown.
    last: Option<i64>,
}

impl Memory {
    /// Opens the session if it is not the one that goes on, from the stream of its number under a seed.
    fn enter(&mut self, world: &World, user: &User, visit: &schedule::Visit, seed: u64) -> Session {
        let session = match self.session {
            Some(session) if session.id == visit.session => session,
            before => {
                let stream = (seed, visit.session);
                choice::open_session(world, user, stream, visit.time, before, self.phone_bought)
            }
        };
        self.session = Some(session);
        session
    }

    /// Keeps what was shown at a time, and what was bought of it.
    fn keep(&mut self, world: &World, session: u32, time: i64, rows: &[Impression]) {
        for row in rows {
            let seen = self.seen.entry(row.item).or_default();
            *seen = (session, if seen.0 == session { seen.1 + 1 } else { 1 });
            let category = world.items()[row.item as usize].category as usize;
            if let Some(after) = row.purchase_after.filter(|_| CATEGORIES[category].phone) {
                self.phone_bought = self.phone_bought.max(Some(time + after));
            }
        }
        self.last = Some(time);
    }
}

/// What a log leaves behind.
struct Past {
    /// By person.
    memory: Vec<Memory>,
    /// Sessions so far.
    sessions: u64,
    /// When the last list was shown.
    until: i64,
}

/// Items a person has been shown, with the last session they were shown in and how often in that session.
type Seen = rustc_hash::FxHashMap<u32, (u32, u32)>;

/// What stays the same within a session.
#[derive(Clone, Copy, Debug)]
struct Session {
    id: u32,
    intent: u8,
    entry: u8,
    promo: bool,
    mood: f64,
}

/// Simulates a shop and writes into `out_dir`: `impressions.parquet`, `items.parquet`, `users.parquet` (what a shop
/// would have), `oracle.parquet`, `oracle_users.parquet`, `simulation.toml` (what no shop has: the truth of every row and
/// person, and the options, from which [`replay`] makes everything again) and `daogou.toml`, a configuration that trains
/// on them.
///
/// Rows of `impressions.parquet` and `oracle.parquet` stand in the same order: by time, request and position. Files
/// appear whole, at the end, or not at all. `progress` is told now and then how many requests are done.
pub fn run(options: &Options, out_dir: &Path, progress: &mut dyn FnMut(u64)) -> Result<Summary> {
    options.check()?;
    fs_err::create_dir_all(out_dir)?;
    let world = World::new(options);
    let mut output = output::Output::create(out_dir, &world)?;
    let mut tally = Tally::new(&world);
    let schedule = simulate(&world, &mut |shown| {
        tally.add(shown);
        output.add(shown)?;
        if shown.request % 4096 == 4095 {
            progress(shown.request + 1);
        }
        Ok(())
    })?;
    output.finish()?;
    progress(options.requests);
    Ok(tally.summary(&world, schedule))
}

/// The seed of one kind of stream.
fn domain(seed: u64, name: &str) -> u64 {
    mix(seed) ^ hash(name)
}

/// Goes through all requests in order of time; returns the number of sessions.
fn simulate(world: &World, each: &mut dyn FnMut(&Shown) -> Result<()>) -> Result<u64> {
    walk(world, &mut |shown, _| each(shown)).map(|past| past.sessions)
}

/// The same, with the moment in which each list was shown: the person has not seen it yet.
fn walk(world: &World, each: &mut dyn FnMut(&Shown, &Moment<'_>) -> Result<()>) -> Result<Past> {
    let options = world.options();
    let (visits, sessions) = schedule::visits(world);
    let mut memory = vec![Memory::default(); world.users().len()];
    let mut policy = policy::Policy::new(world);
    let mut shown = Shown::default();
    let [request_seed, session_seed, luck_seed] =
        ["request", "session", "luck"].map(|name| domain(options.seed, name));
    for (request, visit) in visits.iter().enumerate() {
        let request = request as u64;
        let user = &world.users()[visit.user as usize];
        let memory = &mut memory[visit.user as usize];
        let session = memory.enter(world, user, visit, session_seed);

        let mut rng = Rng::new(request_seed, request);
        let random = rng.uniform() < options.random_slice;
        let taste = choice::Taste::new(world, user, &session);
        shown.request = request;
        shown.user = visit.user;
        shown.time = visit.time;
        shown.promo = session.promo;
        shown.entry = session.entry;
        shown.random = random;
        policy.weigh(&mut rng, visit.time, &taste, random, &memory.seen);
        policy.draw(&mut rng, &mut shown.rows);
        let luck = mix(luck_seed ^ mix(request));
        let moment = Moment { world, user, taste, seen: &memory.seen, luck };
        moment.respond(&mut shown.rows);
        each(&shown, &moment)?;

        memory.keep(world, session.id, visit.time, &shown.rows);
    }
    let until = visits.last().expect("every log has a request").time;
    Ok(Past { memory, sessions, until })
}

/// Running sums for the summary.
struct Tally {
    summary: Summary,
    true_cvr: f64,
    true_cvr_clicked: f64,
    exposure: Vec<u64>,
}

impl Tally {
    fn new(world: &World) -> Self {
        Self {
            summary: Summary::default(),
            true_cvr: 0.0,
            true_cvr_clicked: 0.0,
            exposure: vec![0; world.items().len()],
        }
    }

    fn add(&mut self, shown: &Shown) {
        self.summary.requests += 1;
        for row in &shown.rows {
            self.summary.impressions += 1;
            self.summary.clicks += u64::from(row.clicked);
            self.summary.purchases += u64::from(row.purchase_after.is_some());
            self.true_cvr += row.conversion;
            self.true_cvr_clicked += if row.clicked { row.conversion } else { 0.0 };
            self.exposure[row.item as usize] += 1;
        }
    }

    fn summary(self, world: &World, sessions: u64) -> Summary {
        let n = self.summary.impressions as f64;
        let (clicks, purchases) = (self.summary.clicks as f64, self.summary.purchases as f64);
        let per_click = |sum: f64| (clicks > 0.0).then(|| sum / clicks);
        Summary {
            users: world.users().len() as u64,
            items: world.items().len() as u64,
            sessions,
            ctr: clicks / n,
            cvr: per_click(purchases),
            ctcvr: purchases / n,
            mean_true_cvr: self.true_cvr / n,
            mean_true_cvr_clicked: per_click(self.true_cvr_clicked),
            exposure_gini: gini(&self.exposure).expect("every log has an impression"),
            ..self.summary
        }
    }
}
