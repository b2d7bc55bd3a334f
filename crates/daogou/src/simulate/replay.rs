//! Other lists for the people of a simulated log, with the same luck.

use std::path::Path;

use super::choice::{self, Taste};
use super::world::C;
use super::{Impression, Options, Seen, Shown, User, World, walk};
use crate::schema::Config;
use crate::{Error, Result};

/// The options of a simulation, beside its log.
pub(super) const OPTIONS: &str = "simulation.toml";

/// A simulated log, made again from its options.
pub struct Replay {
    world: World,
}

impl Replay {
    /// The simulation that wrote into `dir`; `None` where there is none, as beside any other log.
    ///
    /// # Errors
    ///
    /// Where its options cannot be read.
    pub fn open(dir: &Path) -> Result<Option<Self>> {
        let path = dir.join(OPTIONS);
        if !path.exists() {
            return Ok(None);
        }
        let text = fs_err::read_to_string(&path)?;
        let options: Options =
            toml::from_str(&text).map_err(|error| Error::file(&path, error.to_string()))?;
        options.check()?;
        Ok(Some(Self { world: World::new(&options) }))
    }

    /// The simulation that wrote the log of a configuration, beside its first file; `None` where there is none.
    ///
    /// # Errors
    ///
    /// As [`Replay::open`].
    pub fn of_log(config: &Config) -> Result<Option<Self>> {
        let log = config.data.impressions.first().map(Path::new);
        log.and_then(Path::parent).map_or(Ok(None), Self::open)
    }

    /// People and products.
    pub fn world(&self) -> &World {
        &self.world
    }

    #[cfg(test)]
    pub(super) fn of(world: World) -> Self {
        Self { world }
    }

    pub(super) fn into_world(self) -> World {
        self.world
    }

    /// Goes through the log once more, as it was, and stops at the requests of `rows`, ascending rows of the log: `each` is
    /// given the place in `rows`, the moment and what was shown, and may show any lists. They change nothing: what people see,
    /// want and have bought later is as logged.
    ///
    /// Costs as much as the simulation, without the files.
    ///
    /// # Errors
    ///
    /// What `each` says.
    pub fn at(
        &self,
        rows: &[u64],
        each: &mut dyn FnMut(usize, &Moment<'_>, &Logged<'_>) -> Result<()>,
    ) -> Result<()> {
        let (mut next, mut end) = (0, 0);
        walk(&self.world, &mut |shown, moment| {
            let first = end;
            end += shown.rows.len() as u64;
            if rows.get(next).is_some_and(|&row| row < end) {
                each(next, moment, &Logged { shown, first })?;
                next += 1;
            }
            Ok(())
        })?;
        Ok(())
    }
}

/// One person about to be shown a list.
pub struct Moment<'m> {
    pub(super) world: &'m World,
    pub(super) user: &'m User,
    pub(super) taste: Taste<'m>,
    pub(super) seen: &'m Seen,
    pub(super) luck: u64,
}

/// A list as it was logged, to tell whether a log is that of the simulation.
pub struct Logged<'a> {
    shown: &'a Shown,
    /// Row of the log that the list begins with.
    first: u64,
}

impl Logged<'_> {
    /// Id of the person.
    pub fn user_id(&self) -> String {
        World::user_id(self.shown.user)
    }

    /// Unix time.
    pub fn time(&self) -> i64 {
        self.shown.time
    }

    /// Id of the item of a row of the log, and whether it was clicked; `None` where the row is not of this list.
    pub fn row(&self, row: u64) -> Option<(String, bool)> {
        let place = usize::try_from(row.checked_sub(self.first)?).ok()?;
        self.shown.rows.get(place).map(|row| (World::item_id(row.item), row.clicked))
    }
}

/// What a list is truly worth.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Worth {
    /// Expected clicks: Σ examination · P(click | examined in this list).
    pub clicks: f64,
    /// Expected purchases.
    pub orders: f64,
    /// Expected money.
    pub revenue: f64,
    /// Clicks as they fall with the luck of this request: of two lists, an item in both meets the same draw.
    pub drawn_clicks: u32,
    /// Purchases likewise.
    pub drawn_orders: u32,
}

impl Moment<'_> {
    pub(super) fn respond(&self, rows: &mut [Impression]) {
        choice::respond(self.world, &self.taste, self.luck, self.seen, rows);
    }

    /// What a list of items, by number, is worth to this person now. O(K), one short allocation.
    pub fn worth(&self, list: &[u32]) -> Worth {
        let mut rows: Vec<Impression> =
            list.iter().map(|&item| Impression { item, ..Impression::default() }).collect();
        self.respond(&mut rows);
        self.worth_of(&rows)
    }

    /// The same, of a list that was responded to.
    pub(super) fn worth_of(&self, rows: &[Impression]) -> Worth {
        let mut worth = Worth::default();
        for row in rows {
            let click = row.examination * row.relevance;
            worth.clicks += click;
            worth.orders += click * row.conversion;
            worth.revenue += click * row.conversion * self.world.items()[row.item as usize].price;
            worth.drawn_clicks += u32::from(row.clicked);
            worth.drawn_orders += u32::from(row.clicked && row.would_buy);
        }
        worth
    }

    /// P(click | examined) and P(purchase | click) of an item in the first place, alone.
    pub fn probabilities(&self, item: u32) -> (f64, f64) {
        let mut rows = [Impression { item, ..Impression::default() }];
        self.respond(&mut rows);
        (rows[0].relevance, rows[0].conversion)
    }

    /// The category mix of this person's clicks under equal exposure, in the order of
    /// [`CATEGORIES`](super::CATEGORIES). O(items).
    pub fn wanted_mix(&self) -> [f64; C] {
        choice::equal_exposure_mix(self.world, self.user)
    }

    /// Whether the person has never been shown an item.
    pub fn unseen(&self, item: u32) -> bool {
        !self.seen.contains_key(&item)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options() -> Options {
        Options { users: 60, items: 150, requests: 400, days: 10, ..Options::default() }
    }

    #[test]
    fn a_replay_meets_the_lists_of_the_log_and_their_outcome() {
        let dir = tempfile::tempdir().unwrap();
        super::super::run(&options(), dir.path(), &mut |_| {}).unwrap();
        let replay = Replay::open(dir.path()).unwrap().unwrap();
        assert_eq!(*replay.world().options(), options());
        let mut logged = Vec::new();
        super::super::simulate(replay.world(), &mut |shown| {
            logged.push((shown.request, shown.rows.clone()));
            Ok(())
        })
        .unwrap();
        let wanted = [3u64, 77, 78, 399];
        let mut met = 0;
        let mut each = |place: usize, moment: &Moment<'_>, list: &Logged<'_>| {
            let rows = &logged[wanted[place] as usize].1;
            let items: Vec<u32> = rows.iter().map(|row| row.item).collect();
            let worth = moment.worth(&items);
            let clicks: f64 = rows.iter().map(|row| row.examination * row.relevance).sum();
            assert_eq!(worth.clicks, clicks);
            let first = wanted[place] * 10;
            let second = (World::item_id(rows[1].item), rows[1].clicked);
            assert_eq!(list.row(first + 1), Some(second));
            assert_eq!(
                (list.row(first + 10), first.checked_sub(1).and_then(|r| list.row(r))),
                (None, None)
            );
            let clicked = rows.iter().filter(|row| row.clicked).count();
            assert_eq!(worth.drawn_clicks as usize, clicked);
            // Alone in the first place nothing stands above it.
            assert_eq!(moment.probabilities(items[0]).0, rows[0].relevance);
            assert!((moment.wanted_mix().iter().sum::<f64>() - 1.0).abs() < 1e-12);
            met += 1;
            Ok(())
        };
        // Any row of a request means the request.
        let rows = [wanted[0] * 10, wanted[1] * 10 + 9, wanted[2] * 10, wanted[3] * 10 + 5];
        replay.at(&rows, &mut each).unwrap();
        assert_eq!(met, wanted.len());
    }

    #[test]
    fn another_order_changes_what_is_expected_but_not_the_luck_of_an_item() {
        let replay = Replay { world: World::new(&options()) };
        let mut each = |_: usize, moment: &Moment<'_>, _: &Logged<'_>| {
            let (one, two) = (moment.worth(&[5]), moment.worth(&[5, 6]));
            assert!(two.clicks > one.clicks && two.drawn_clicks >= one.drawn_clicks);
            assert!(moment.worth(&[6, 5]).clicks != two.clicks);
            Ok(())
        };
        replay.at(&[0, 2000], &mut each).unwrap();
    }

    #[test]
    fn beside_another_log_there_is_no_replay_and_damage_is_told() {
        let dir = tempfile::tempdir().unwrap();
        assert!(Replay::open(dir.path()).unwrap().is_none());
        fs_err::write(dir.path().join(OPTIONS), "users = 5\nitem = 3\n").unwrap();
        let message = Replay::open(dir.path()).err().unwrap().to_string();
        assert!(message.contains("simulation.toml") && message.contains("item"), "{message}");
    }
}
