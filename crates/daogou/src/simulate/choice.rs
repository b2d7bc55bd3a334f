//! What people want, click and buy.

use daogou_nn::rng::Rng;

use super::world::{C, DAY, cumulative, draw};
use super::{CATEGORIES, Impression, Item, Seen, Session, User, World};
use crate::metrics::logloss::sigmoid;

/// Probability that a session wants what the session before wanted; else the wish is drawn from the person's taste.
/// (A discrete autoregressive process of order 1: shares over time stay those of the taste.)
const PERSISTENCE: f64 = 0.3;
/// After a telephone was bought, accessories are wanted this many times more, for this long.
const FOLLOW_UP: f64 = 3.0;
const FOLLOW_UP_SECONDS: i64 = 14 * DAY;
/// Probability that a session enters through the page of the wanted category; else through any.
const ENTERS_BY_INTENT: f64 = 0.7;
/// Share of sessions that come through a promotion.
const PROMO: f64 = 0.15;

/// Added to the liking of the category that the session is about.
const INTENT: f64 = 0.9;

/// Draws what a session is about, from the stream `id` of `seed`.
pub(super) fn open_session(
    world: &World,
    user: &User,
    (seed, id): (u64, u32),
    time: i64,
    before: Option<Session>,
    phone_bought: Option<i64>,
) -> Session {
    let mut rng = Rng::new(seed, u64::from(id));
    let follow_up =
        phone_bought.is_some_and(|bought| (bought..bought + FOLLOW_UP_SECONDS).contains(&time));
    let wishes = cumulative((0..C).map(|c| {
        let boost = if follow_up && CATEGORIES[c].accessory { FOLLOW_UP } else { 1.0 };
        f64::from(user.taste[c]) * boost
    }));
    let (stays, wish) = (rng.uniform() < PERSISTENCE, draw(&wishes, rng.uniform()) as u8);
    let intent = before.filter(|_| stays).map_or(wish, |session| session.intent);
    let (by_intent, other) = (rng.uniform() < ENTERS_BY_INTENT, rng.below(C as u64) as u8);
    Session {
        id,
        intent,
        entry: if by_intent { intent } else { other },
        promo: rng.uniform() < PROMO,
        mood: world.options().mood_sd * rng.normal(),
    }
}

/// One person in one session: everything about the two logits that does not depend on the item.
pub(super) struct Taste<'a> {
    user: &'a User,
    /// Liking of each category now.
    category: [f64; C],
    click: f64,
    purchase: f64,
    unseen: f64,
    session: Session,
}

impl<'a> Taste<'a> {
    pub(super) fn new(world: &World, user: &'a User, session: &Session) -> Self {
        let options = world.options();
        let mut category = user.taste.map(|share| category_liking(f64::from(share)));
        category[session.intent as usize] += INTENT;
        let promo = if session.promo { 0.35 } else { 0.0 };
        Self {
            user,
            category,
            click: options.click_intercept + session.mood,
            purchase: options.purchase_intercept + session.mood + promo,
            unseen: options.unseen,
            session: *session,
        }
    }

    /// Number of the session.
    pub(super) fn session(&self) -> u32 {
        self.session.id
    }

    /// What the session is about.
    pub(super) fn intent(&self) -> usize {
        self.session.intent as usize
    }

    /// Logit of a click on an item that stands alone, is looked at, and has not been shown in this session.
    #[inline]
    pub(super) fn click(&self, item: &Item, unseen: bool) -> f64 {
        self.click
            + 0.85 * self.category[item.category as usize]
            + click_without_category(self.user, item, self.novelty(item, unseen))
    }

    #[inline]
    fn novelty(&self, item: &Item, unseen: bool) -> f64 {
        novelty(item, if unseen { 0.5 * self.unseen } else { -0.5 * self.unseen })
    }

    /// Logit of a purchase after a click.
    #[inline]
    fn purchase(&self, item: &Item, unseen: bool) -> f64 {
        let user = self.user;
        self.purchase
            + 0.35 * self.category[item.category as usize]
            + 0.55 * f64::from(user.brands_buying[item.brand as usize])
            + 1.5 * price_fit(user, item)
            + 0.45 * item.quality
            + 0.8 * dot(&user.specs_buying, &item.specs)
            - 0.2 * f64::from(user.novelty) * self.novelty(item, unseen)
    }
}

fn category_liking(share: f64) -> f64 {
    0.45 * ((share + 0.02) / (1.0 / C as f64 + 0.02)).ln()
}

#[inline]
fn click_without_category(user: &User, item: &Item, novelty: f64) -> f64 {
    0.45 * f64::from(user.brands[item.brand as usize])
        + 0.6 * price_fit(user, item)
        + 0.3 * item.quality
        + 0.7 * f64::from(user.novelty) * novelty
        + 0.25 * dot(&user.specs, &item.specs)
}

/// −2β·over² − β·over/4, `over` the log-price above the budget.
#[inline]
fn price_fit(user: &User, item: &Item) -> f64 {
    let over = (item.price_deviation - f64::from(user.budget)).max(0.0);
    f64::from(user.price_sensitivity) * over * (-2.0 * over - 0.25)
}

/// How novel an item is to a person, around 0.
#[inline]
fn novelty(item: &Item, unseen: f64) -> f64 {
    item.obscurity - 0.5 + unseen
}

#[inline]
fn dot(weights: &[f32; 4], specs: &[f64; 4]) -> f64 {
    (0..4).map(|s| f64::from(weights[s]) * specs[s]).sum()
}

/// Shows a list to a person: fills in the truth of every row, then draws clicks and purchases.
///
/// The draws for an item come from the stream (`luck`, item), whatever else is in the list.
pub(super) fn respond(
    world: &World,
    taste: &Taste<'_>,
    luck: u64,
    seen: &Seen,
    rows: &mut [Impression],
) {
    let options = world.options();
    let mut above = [0u16; C];
    for (position, row) in (1u32..).zip(rows) {
        let item = &world.items()[row.item as usize];
        let (unseen, in_session) = match seen.get(&row.item) {
            None => (true, 0),
            Some(&(session, times)) if session == taste.session.id => (false, times),
            Some(_) => (false, 0),
        };
        let same = &mut above[item.category as usize];
        let click = taste.click(item, unseen)
            - options.satiation * f64::from(*same)
            - options.fatigue * f64::from(in_session);
        *same += 1;
        row.examination = 1.0 / f64::from(position).sqrt();
        row.relevance = sigmoid(click);
        row.conversion = sigmoid(taste.purchase(item, unseen));
        let mut rng = Rng::new(luck, u64::from(row.item));
        // One draw for both: P(examined) is the examination, and who clicks has looked.
        let attention = rng.uniform();
        row.examined = attention < row.examination;
        row.clicked = attention < row.examination * row.relevance;
        row.would_buy = rng.uniform() < row.conversion;
        row.purchase_after = (row.clicked && row.would_buy).then(|| {
            let mean = if rng.uniform() < 0.6 { 20.0 * 60.0 } else { 2.5 * DAY as f64 };
            1 + (-(1.0 - rng.uniform()).ln() * mean) as i64
        });
    }
}

/// The category mix of a person's clicks if all categories were exposed alike: P(click) averaged over the first
/// `EXPOSED` items of each category, all unseen, and over the intents of the person's taste; sums to 1.
pub(super) fn equal_exposure_mix(world: &World, user: &User) -> [f64; C] {
    const EXPOSED: u32 = 100;
    let mut sums = [0.0; C];
    let mut counts = [0u32; C];
    for item in world.items() {
        let c = item.category as usize;
        if counts[c] == EXPOSED {
            continue;
        }
        counts[c] += 1;
        let share = f64::from(user.taste[c]);
        let logit = world.options().click_intercept
            + 0.85 * category_liking(share)
            + click_without_category(user, item, novelty(item, 0.5 * world.options().unseen));
        sums[c] += share * sigmoid(logit + 0.85 * INTENT) + (1.0 - share) * sigmoid(logit);
    }
    let rates: [f64; C] = std::array::from_fn(|c| sums[c] / f64::from(counts[c].max(1)));
    let total: f64 = rates.iter().sum();
    rates.map(|rate| rate / total)
}
