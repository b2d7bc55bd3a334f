//! The people of a simulated shop after its log has ended: they go on to visit, and are shown whatever someone else
//! makes for them.
//!
//! Each person brings what the log left them with: what they have seen, what session they were in, what they bought.
//! Visits come by the same process as in the log, from the midnight after its end. What happens in a visit is a
//! function of the seed, the number of the visit and the item, so that the same list meets the same outcome whoever
//! shows it, and an item in two lists meets the same luck.

use daogou_nn::rng::{Rng, mix};

use super::choice::Taste;
use super::replay::{Moment, Replay, Worth};
use super::schedule::{self, Ahead, hour, weekday};
use super::world::World;
use super::{CATEGORIES, Impression, Memory, domain, walk};
use crate::metrics::diversity::category_entropy;
use crate::{Error, Result};

/// Latest time at which a list is clicked, in seconds: the person's next visit is no earlier than 15 seconds later.
const LATEST_CLICK: i64 = 14;

/// Who comes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CrowdOptions {
    /// Seed of when people come and of their luck; the people themselves are the log's.
    pub seed: u64,
    /// How many of the people come, chosen by the seed; all where it is left out.
    pub users: Option<u32>,
}

impl Default for CrowdOptions {
    fn default() -> Self {
        Self { seed: 1, users: None }
    }
}

/// People who go on to visit a shop.
pub struct Crowd {
    world: World,
    memory: Vec<Memory>,
    ahead: Ahead,
    next: u64,
    session_seed: u64,
    luck_seed: u64,
}

/// One person's visit, which asks for one list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Visit {
    number: u64,
    visit: schedule::Visit,
}

impl Visit {
    /// Number of the request; goes on from those of the log.
    pub fn number(&self) -> u64 {
        self.number
    }

    /// Who comes, by number.
    pub fn user(&self) -> u32 {
        self.visit.user
    }

    /// Id of the person.
    pub fn user_id(&self) -> String {
        World::user_id(self.visit.user)
    }

    /// Unix time.
    pub fn time(&self) -> i64 {
        self.visit.time
    }
}

/// What happened to one item of a list.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Reaction {
    /// The item, by number.
    pub item: u32,
    /// Its place, from 1.
    pub position: u32,
    /// Whether the person looked at it.
    pub examined: bool,
    /// When it was clicked, Unix time.
    pub clicked: Option<i64>,
    /// When it was bought; only clicked items are, some of them days later.
    pub bought: Option<i64>,
    /// Whether the person had never been shown it.
    pub unseen: bool,
    /// True probability of a click here, in this list.
    pub p_click: f64,
    /// True probability of a purchase after a click.
    pub p_purchase: f64,
    /// Its price.
    pub price: f64,
}

/// What a person did with a list.
#[derive(Clone, Debug, PartialEq)]
pub struct Response {
    /// By position.
    pub reactions: Vec<Reaction>,
    /// What the list was truly worth.
    pub worth: Worth,
    /// Entropy of its categories, nats; `None` for an empty list.
    pub entropy: Option<f64>,
    /// Share of its items that the person had never been shown; `None` for an empty list.
    pub unseen: Option<f64>,
}

impl Crowd {
    /// Lives through the log once more, as it was, and keeps what it leaves people with.
    ///
    /// Costs as much as the simulation, without the files. `progress` is told now and then how many requests are done.
    ///
    /// # Errors
    ///
    /// Where more people are to come than there are, or none.
    pub fn after_log(
        replay: Replay,
        options: &CrowdOptions,
        progress: &mut dyn FnMut(u64),
    ) -> Result<Self> {
        let world = replay.into_world();
        let seed = mix(domain(world.options().seed, "crowd") ^ mix(options.seed));
        let all = world.users().len() as u32;
        let mut who = Vec::new();
        if let Some(users) = options.users {
            if users == 0 || users > all {
                return Err(Error::data(format!("users: expected 1 to {all}, got {users}"))
                    .with_hint("a crowd is made of the people of the shop's log"));
            }
            who = (0..all).collect();
            Rng::new(domain(seed, "who"), 0).shuffle(&mut who);
            who.truncate(users as usize);
            who.sort_unstable();
        }
        let past = walk(&world, &mut |shown, _| {
            if shown.request % 4096 == 4095 {
                progress(shown.request + 1);
            }
            Ok(())
        })?;
        progress(world.options().requests);
        Ok(Self {
            ahead: Ahead::new(&world, &past, who, seed),
            next: world.options().requests,
            session_seed: domain(seed, "session"),
            luck_seed: domain(seed, "luck"),
            memory: past.memory,
            world,
        })
    }

    /// People and products.
    pub fn world(&self) -> &World {
        &self.world
    }

    /// The next visit in order of time; there is always one.
    pub fn come(&mut self) -> Visit {
        let number = self.next;
        self.next += 1;
        Visit { number, visit: self.ahead.pop() }
    }

    /// Values of the log's context columns at a visit, as they stand in the log.
    ///
    /// Here as in [`Crowd::moment`] and [`Crowd::show`], the visits of one person must be taken in the order in which
    /// they come: what a session is about depends on what was shown before. Those of different people may be taken in
    /// any order.
    pub fn context(&mut self, visit: &Visit) -> [(&'static str, String); 4] {
        let session = self.enter(visit);
        let time = visit.time();
        [
            ("hour", hour(time).to_string()),
            ("weekday", weekday(time).to_string()),
            ("promo", i32::from(session.promo).to_string()),
            ("entry_category", CATEGORIES[session.entry as usize].name.to_string()),
        ]
    }

    /// The moment of a visit: what any list would be worth in it.
    pub fn moment(&mut self, visit: &Visit) -> Moment<'_> {
        let session = self.enter(visit);
        let user = &self.world.users()[visit.user() as usize];
        Moment {
            world: &self.world,
            user,
            taste: Taste::new(&self.world, user, &session),
            seen: &self.memory[visit.user() as usize].seen,
            luck: mix(self.luck_seed ^ mix(visit.number)),
        }
    }

    fn enter(&mut self, visit: &Visit) -> super::Session {
        let user = &self.world.users()[visit.user() as usize];
        let memory = &mut self.memory[visit.user() as usize];
        memory.enter(&self.world, user, &visit.visit, self.session_seed)
    }

    /// Shows a list, by ids: what the person does with it. From then on they have seen it.
    ///
    /// # Errors
    ///
    /// Where an item is not of this shop, or is there twice; nothing was shown then.
    pub fn show<S: AsRef<str>>(&mut self, visit: &Visit, list: &[S]) -> Result<Response> {
        let mut rows: Vec<Impression> = Vec::with_capacity(list.len());
        for (place, id) in list.iter().enumerate() {
            let (id, items) = (id.as_ref(), self.world.items().len() as u32);
            let wrong = |expected: &str| {
                let position = place + 1;
                Error::data(format!(
                    "list of request {}, position {position}: expected {expected}, got `{id}`",
                    visit.number
                ))
            };
            let item = World::item_number(id).filter(|&item| item < items).ok_or_else(|| {
                let last = World::item_id(items - 1);
                wrong(&format!("an item of the simulated shop, i00000 to {last}"))
                    .with_hint("the model must be trained on the log of this shop")
            })?;
            if rows.iter().any(|row| row.item == item) {
                return Err(wrong("each item once"));
            }
            rows.push(Impression { item, ..Impression::default() });
        }

        let moment = self.moment(visit);
        let (session, items) = (moment.taste.session(), moment.world.items());
        moment.respond(&mut rows);
        let worth = moment.worth_of(&rows);
        let reactions: Vec<Reaction> = (1u32..)
            .zip(&rows)
            .map(|(position, row)| Reaction {
                item: row.item,
                position,
                examined: row.examined,
                clicked: row.clicked.then(|| {
                    // People read from the top; a purchase comes no earlier than its click.
                    let after = i64::from(position).min(LATEST_CLICK);
                    visit.time() + row.purchase_after.map_or(after, |bought| after.min(bought))
                }),
                bought: row.purchase_after.map(|after| visit.time() + after),
                unseen: moment.unseen(row.item),
                p_click: row.examination * row.relevance,
                p_purchase: row.conversion,
                price: items[row.item as usize].price,
            })
            .collect();
        let categories: Vec<u16> =
            (rows.iter()).map(|row| u16::from(items[row.item as usize].category)).collect();
        let new = reactions.iter().filter(|reaction| reaction.unseen).count() as f64;
        let unseen = (!rows.is_empty()).then(|| new / rows.len() as f64);
        self.memory[visit.user() as usize].keep(&self.world, session, visit.time(), &rows);
        Ok(Response { reactions, worth, entropy: category_entropy(&categories), unseen })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::super::policy::Policy;
    use super::super::{Options, Seen, Shown, simulate};
    use super::*;

    type Lived<'a> = (Visit, [(&'a str, String); 4], Response);

    fn replay(options: &Options) -> Replay {
        Replay::of(World::new(options))
    }

    fn crowd(options: &Options, of: &CrowdOptions) -> Crowd {
        Crowd::after_log(replay(options), of, &mut |_| {}).unwrap()
    }

    fn small() -> Options {
        Options { users: 60, items: 150, requests: 600, days: 10, ..Options::default() }
    }

    /// Sums over lists.
    #[derive(Default)]
    struct Sums {
        lists: f64,
        items: f64,
        clicks: f64,
        purchases: f64,
        expected: f64,
        variance: f64,
        orders: f64,
        unseen: f64,
        hours: [f64; 24],
        people: BTreeSet<u32>,
    }

    impl Sums {
        fn add(&mut self, user: u32, time: i64, rows: &[Impression], seen: &Seen) {
            self.people.insert(user);
            self.lists += 1.0;
            self.hours[hour(time) as usize] += 1.0;
            for row in rows {
                let p = row.examination * row.relevance;
                self.items += 1.0;
                self.clicks += f64::from(u8::from(row.clicked));
                self.purchases += f64::from(u8::from(row.purchase_after.is_some()));
                self.expected += p;
                self.variance += p * (1.0 - p);
                self.orders += p * row.conversion;
                self.unseen += f64::from(u8::from(!seen.contains_key(&row.item)));
            }
        }
    }

    #[test]
    fn people_who_are_shown_what_the_shop_would_show_behave_as_in_its_log() {
        let options = Options { users: 500, items: 400, requests: 30_000, ..Options::default() };
        let mut log = Sums::default();
        walk(&World::new(&options), &mut |shown, moment| {
            if shown.request >= 15_000 {
                log.add(shown.user, shown.time, &shown.rows, moment.seen);
            }
            Ok(())
        })
        .unwrap();

        let mut crowd = crowd(&options, &CrowdOptions::default());
        let world = crowd.world().clone();
        let mut policy = Policy::new(&world);
        let mut after = Sums::default();
        let mut days = BTreeSet::new();
        for _ in 0..15_000 {
            let visit = crowd.come();
            days.insert(visit.time() / super::super::world::DAY);
            let mut rng = Rng::new(77, visit.number());
            let random = rng.uniform() < options.random_slice;
            let moment = crowd.moment(&visit);
            policy.weigh(&mut rng, visit.time(), &moment.taste, random, moment.seen);
            let mut rows = Vec::new();
            policy.draw(&mut rng, &mut rows);
            moment.respond(&mut rows);
            after.add(visit.user(), visit.time(), &rows, moment.seen);
            let list: Vec<String> = rows.iter().map(|row| World::item_id(row.item)).collect();
            let response = crowd.show(&visit, &list).unwrap();
            let clicks = response.reactions.iter().filter(|r| r.clicked.is_some()).count();
            assert_eq!(clicks, rows.iter().filter(|row| row.clicked).count());
        }
        // What is drawn is what is expected.
        assert!((after.clicks - after.expected).abs() < 4.0 * after.variance.sqrt());
        assert!((after.purchases - after.orders).abs() < 4.0 * after.orders.sqrt());
        // As the log: the same rates, hours and people. People have seen more by now.
        let rate = |sums: &Sums| sums.expected / sums.items;
        assert!((rate(&after) / rate(&log) - 1.0).abs() < 0.05, "{} {}", rate(&after), rate(&log));
        let orders = |sums: &Sums| sums.orders / sums.expected;
        assert!((orders(&after) / orders(&log) - 1.0).abs() < 0.1);
        let unseen = |sums: &Sums| sums.unseen / sums.items;
        let (before, now) = (unseen(&log), unseen(&after));
        assert!(now < before && now > before - 0.25, "{before} {now}");
        for (hour, other) in log.hours.iter().zip(&after.hours) {
            assert!((hour - other).abs() < 5.0 * (hour + other).sqrt(), "{hour} {other}");
        }
        assert!(after.people.len() * 10 > log.people.len() * 9);
        // 30,000 requests took 60 days.
        assert!((27..=33).contains(&days.len()), "{} days", days.len());
    }

    #[test]
    fn visits_go_on_after_the_log_in_order_and_a_person_rests_between_sessions() {
        let options = small();
        let mut last = Vec::new();
        simulate(&World::new(&options), &mut |shown: &Shown| {
            last.push((shown.user, shown.time));
            Ok(())
        })
        .unwrap();
        let mut own: std::collections::BTreeMap<u32, (i64, Option<u32>)> =
            last.iter().map(|&(user, time)| (user, (time, None))).collect();
        let mut now = last.last().unwrap().1;
        let mut crowd = crowd(&options, &CrowdOptions::default());
        for number in 0..2_000 {
            let visit = crowd.come();
            assert_eq!(visit.number(), options.requests + number);
            assert!(visit.time() >= now, "{number}");
            now = visit.time();
            if let Some(&(before, session)) = own.get(&visit.user()) {
                let apart = if session == Some(visit.visit.session) { 15 } else { 1_800 };
                assert!(now - before >= apart, "{number}: {before} {now}");
            }
            own.insert(visit.user(), (now, Some(visit.visit.session)));
        }
        // Everything that was launched while the log ran is on sale.
        let first = Crowd::after_log(replay(&options), &CrowdOptions::default(), &mut |_| {})
            .map(|mut crowd| crowd.come().time())
            .unwrap();
        assert!(crowd.world().items().iter().all(|item| item.launch <= first));
    }

    #[test]
    fn the_same_seed_brings_the_same_people_and_luck_and_another_seed_others() {
        let options = small();
        let live = |of: &CrowdOptions| {
            let mut crowd = crowd(&options, of);
            let mut lived = Vec::new();
            for round in 0..500u32 {
                let visit = crowd.come();
                let list: Vec<String> =
                    (0..5).map(|i| World::item_id((round * 7 + i * 31) % 150)).collect();
                lived.push((visit, crowd.context(&visit), crowd.show(&visit, &list).unwrap()));
            }
            lived
        };
        let one = live(&CrowdOptions::default());
        assert_eq!(one, live(&CrowdOptions::default()));
        assert_ne!(one, live(&CrowdOptions { seed: 2, users: None }));
        let few = live(&CrowdOptions { seed: 1, users: Some(7) });
        let people: BTreeSet<u32> = few.iter().map(|(visit, ..)| visit.user()).collect();
        assert!(people.len() <= 7 && people.len() > 3, "{people:?}");
        // Seven of sixty people come as seven of sixty do.
        let days = |lived: &[Lived<'_>]| lived[499].0.time() - lived[0].0.time();
        assert!(days(&few) > 3 * days(&one));
    }

    #[test]
    fn an_item_meets_the_same_luck_in_another_list() {
        let options = Options { click_intercept: 0.0, ..small() };
        let world = World::new(&options);
        // Accessories: nobody wants something else for having bought one.
        let cases: Vec<u32> = (0..150u32)
            .filter(|&i| !CATEGORIES[world.items()[i as usize].category as usize].phone)
            .collect();
        let (mut one, mut two) =
            (crowd(&options, &CrowdOptions::default()), crowd(&options, &CrowdOptions::default()));
        let mut clicks = 0;
        for round in 0..400usize {
            let (visit, same) = (one.come(), two.come());
            assert_eq!(visit, same);
            let (item, others) = (cases[0], &cases[1 + round % 20..]);
            let first = one.show(&visit, &[World::item_id(item)]).unwrap();
            let second =
                two.show(&same, &[World::item_id(item), World::item_id(others[0])]).unwrap();
            assert_eq!(first.reactions[0], second.reactions[0]);
            clicks += usize::from(first.reactions[0].clicked.is_some());
        }
        assert!((20..380).contains(&clicks), "{clicks}");
    }

    #[test]
    fn what_was_shown_tires_within_a_session_and_is_no_longer_new() {
        let mut crowd = crowd(&small(), &CrowdOptions::default());
        let mut sessions = std::collections::BTreeMap::<(u32, u32), f64>::new();
        let (mut tired, mut rested) = (0, 0);
        for _ in 0..1_500 {
            let visit = crowd.come();
            let item = 17;
            let known = !crowd.moment(&visit).unseen(item);
            let before = crowd.moment(&visit).probabilities(item);
            let response = crowd.show(&visit, &[World::item_id(item)]).unwrap();
            let reaction = &response.reactions[0];
            assert_eq!(reaction.unseen, !known);
            assert_eq!(response.unseen, Some(f64::from(u8::from(!known))));
            assert_eq!((reaction.p_click, reaction.p_purchase), before);
            assert!(reaction.examined && !crowd.moment(&visit).unseen(item));
            // At once again: tired by 0.3 of a logit, and by novelty where it was new.
            let again = crowd.moment(&visit).probabilities(item).0;
            let logit = |p: f64| (p / (1.0 - p)).ln();
            if known {
                assert!((logit(before.0) - logit(again) - 0.3).abs() < 1e-9);
            }
            let key = (visit.user(), visit.visit.session);
            if let Some(&before) = sessions.get(&key) {
                assert!((before - reaction.p_click).abs() < 1e-12);
                tired += 1;
            } else if known {
                rested += 1;
            }
            sessions.insert(key, again);
        }
        assert!(tired > 300 && rested > 300, "{tired} {rested}");
    }

    #[test]
    fn times_are_in_order_and_probabilities_those_of_the_worth() {
        let options = Options { click_intercept: 1.0, purchase_intercept: 0.0, ..small() };
        let mut crowd = crowd(&options, &CrowdOptions::default());
        let list: Vec<String> = (30..50).map(World::item_id).collect();
        let (mut bought, mut at_once) = (0, 0);
        for _ in 0..200 {
            let visit = crowd.come();
            let response = crowd.show(&visit, &list).unwrap();
            let (mut clicks, mut orders, mut revenue) = (0.0, 0.0, 0.0);
            for (position, reaction) in (1..).zip(&response.reactions) {
                assert_eq!(reaction.position, position);
                clicks += reaction.p_click;
                orders += reaction.p_click * reaction.p_purchase;
                revenue += reaction.p_click * reaction.p_purchase * reaction.price;
                if let Some(clicked) = reaction.clicked {
                    assert!(reaction.examined);
                    assert!((visit.time() + 1..=visit.time() + LATEST_CLICK).contains(&clicked));
                    assert!(reaction.bought.is_none_or(|bought| bought >= clicked));
                }
                assert!(reaction.bought.is_none() || reaction.clicked.is_some());
                bought += u32::from(reaction.bought.is_some());
                at_once += u32::from(reaction.bought.is_some_and(|t| t < visit.time() + 86_400));
            }
            assert!((clicks - response.worth.clicks).abs() < 1e-12);
            assert!((orders - response.worth.orders).abs() < 1e-12);
            assert!((revenue - response.worth.revenue).abs() < 1e-9 * revenue);
        }
        assert!(bought > 100 && at_once > bought / 2 && at_once < bought, "{bought} {at_once}");
    }

    #[test]
    fn the_context_is_that_of_the_log() {
        let mut crowd = crowd(&small(), &CrowdOptions::default());
        let (mut promo, mut entries) = (0, BTreeSet::new());
        for _ in 0..1_000 {
            let visit = crowd.come();
            let [hour, weekday, promoted, entry] = crowd.context(&visit);
            assert_eq!(hour, ("hour", ((visit.time() / 3600) % 24).to_string()));
            // 1970-01-05 was a Monday.
            assert_eq!(weekday.1, ((visit.time() / 86_400 - 4) % 7).to_string());
            promo += u32::from(promoted.1 == "1");
            assert!(promoted == ("promo", "0".into()) || promoted == ("promo", "1".into()));
            entries.insert(entry.1);
            crowd.show(&visit, &["i00003"]).unwrap();
        }
        assert!((100..200).contains(&promo), "{promo}");
        assert_eq!(entries.len(), CATEGORIES.len());
        assert!(entries.contains("flagship"));
    }

    #[test]
    fn strange_lists_are_refused_in_words_and_leave_no_trace() {
        let mut crowd = crowd(&small(), &CrowdOptions::default());
        let visit = crowd.come();
        let mut refused = |list: &[&str]| {
            let error = crowd.show(&visit, list).unwrap_err();
            let unseen = crowd.moment(&visit).unseen(5);
            (error.to_string(), error.hint().map(str::to_string), unseen)
        };
        let before = refused(&["i00150"]).2;
        let (message, hint, after) = refused(&["i00005", "p1"]);
        assert!(message.contains("request 600, position 2") && message.contains("i00149"));
        assert!(message.contains("got `p1`") && hint.unwrap().contains("this shop"));
        assert_eq!(before, after);
        let (message, ..) = refused(&["i00005", "i00006", "i00005"]);
        assert!(message.contains("position 3: expected each item once"), "{message}");
        let empty = crowd.show::<&str>(&visit, &[]).unwrap();
        assert_eq!((empty.unseen, empty.entropy, empty.worth.clicks), (None, None, 0.0));
        for users in [0, 61] {
            let options = CrowdOptions { seed: 1, users: Some(users) };
            let error = Crowd::after_log(replay(&small()), &options, &mut |_| {}).err().unwrap();
            assert!(error.to_string().contains("expected 1 to 60"), "{error}");
        }
    }
}
