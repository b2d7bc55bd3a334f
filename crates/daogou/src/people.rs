//! Whom lists are for: what is known of people, and what each of them has seen and engaged with.

use std::collections::HashMap;

use crate::Result;
use crate::data::past::{Past, Shown, Sights};
use crate::data::{Dataset, PURCHASE_WEIGHT, Seen, SideTable, Timelines};
use crate::run::TrainedRun;
use crate::schema::Side;
use crate::stock::{Attributes, encoded};

/// People of a run, of a log that was read by it, or one who is at the door; by user row, 0 being everyone unknown.
pub(crate) struct People<'p> {
    pub(crate) users: &'p SideTable,
    pub(crate) timelines: &'p Timelines,
    /// A person has seen an item where any of these says so.
    pub(crate) seen: Vec<&'p Seen>,
    pub(crate) sights: Sights<'p>,
}

impl<'p> People<'p> {
    /// Of a log that was read by a run; `seen` is added to what the run knows they have seen.
    pub(crate) fn of_log(run: &'p TrainedRun, data: &'p Dataset, seen: Option<&'p Seen>) -> Self {
        let (config, stored) = (&run.config, &run.stored);
        let shown = Shown {
            requests: &data.requests,
            impressions: &data.impressions,
            engaged: config
                .engagement()
                .and_then(|label| data.impressions.labels.get(label))
                .map(Vec::as_slice),
        };
        // Without time nothing is known to be earlier than a visit, and without such features nobody asks.
        let asked = !data.requests.time.is_empty() && stored.space.reads_past();
        let sights = Sights::new(asked.then_some(shown), (&stored.past, stored.last_time));
        Self {
            users: &data.users,
            timelines: &data.timelines,
            seen: std::iter::once(&stored.seen).chain(seen).collect(),
            sights: if stored.space.reads_popularity() { sights.of_everyone() } else { sights },
        }
    }
}

/// Something a person did, or was shown, after the log of a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Deed<'a> {
    /// Item row of the stock.
    pub item: u32,
    /// Unix time.
    pub time: i64,
    /// What it was.
    pub kind: DeedKind,
    /// The list it belongs to.
    pub request: Option<&'a str>,
}

/// What a person did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeedKind {
    /// Was shown the item.
    Shown,
    /// Clicked it, put it into the cart, or the like.
    Engaged,
    /// Bought it.
    Bought,
}

/// One person at the door, as the run knows them and as they have behaved since.
#[derive(Clone, Debug)]
pub struct Visitor {
    /// Row 0 is everyone unknown, row 1 the person.
    users: SideTable,
    timelines: Timelines,
    seen: Seen,
    past: Past,
    /// When what the run knows ends.
    last_time: i64,
    known: bool,
}

/// An item in a list that was shown, and what came of it.
#[derive(Clone, Copy)]
struct Impression {
    item: u32,
    time: i64,
    engaged: bool,
    bought: bool,
}

impl Visitor {
    /// The person `id`, in user row `row` of the run where the run knows them, coming at `time`, with attributes over what
    /// the run knows, and what they did since the run's log ended, in any order. What was done at or before that end is in
    /// the run already and is left out, as is what is not strictly before the visit.
    ///
    /// A click or purchase belongs to the impression of the item in the same list, or else to the latest impression of
    /// the item before it; as in a training log, it counts from the time of that impression on. Without one it counts from
    /// its own time.
    ///
    /// Costs O(n log n) of what the person did and saw.
    ///
    /// # Errors
    ///
    /// Where an attribute is not what its column holds.
    pub fn of(
        run: &TrainedRun,
        (id, row, time): (&str, Option<u32>, i64),
        attributes: Option<&Attributes>,
        deeds: &[Deed<'_>],
    ) -> Result<Self> {
        let stored = &run.stored;
        let base = row.unwrap_or(0);
        let mut users = SideTable {
            ids: vec![String::new(), id.to_string()],
            columns: stored.users.columns.iter().map(|column| column.rows(&[0, base])).collect(),
        };
        // A stranger may still be known by attributes, and by a hashed id.
        let none = Attributes::new();
        if row.is_none() || attributes.is_some() {
            for (column, cell) in
                encoded(run, Side::User, (Some(id), row), attributes.unwrap_or(&none))?
            {
                users.columns[column].set(1, (&cell, 0));
            }
        }

        let impressions = joined(deeds, stored.last_time);
        let since = || impressions.iter().filter(|shown| shown.item != 0 && shown.time < time);
        let timed = !stored.timelines.time.is_empty() || stored.last_time > 0;
        let own = stored.timelines.of(base);
        let mut timelines = Timelines {
            offsets: Vec::new(),
            item: stored.timelines.item[own.clone()].to_vec(),
            time: stored.timelines.time.get(own.clone()).map_or_else(Vec::new, <[i64]>::to_vec),
            weight: stored.timelines.weight[own].to_vec(),
        };
        for shown in since().filter(|shown| shown.engaged && timed) {
            timelines.item.push(shown.item);
            timelines.time.push(shown.time);
            timelines.weight.push(if shown.bought { PURCHASE_WEIGHT } else { 1.0 });
        }
        timelines.offsets = vec![0, 0, timelines.item.len() as u32];
        let seen_before = stored.seen.items(base).iter().zip(stored.seen.first_times(base));
        let sightings = seen_before
            .map(|(&item, &first)| (1, item, first))
            .chain(since().map(|shown| (1, shown.item, shown.time)));
        let seen = Seen::build(2, sightings);
        let past = if stored.space.reads_own_past() {
            Past::of_person(
                row.map(|row| (&stored.past, row)),
                since().map(|shown| (shown.item, shown.time, shown.engaged)),
            )
        } else {
            Past::default()
        };
        let (last_time, known) = (stored.last_time, row.is_some());
        Ok(Self { users, timelines, seen, past, last_time, known })
    }

    /// Whether the run was trained with this person.
    pub fn is_known(&self) -> bool {
        self.known
    }

    /// Number of items the person has seen.
    pub fn seen(&self) -> usize {
        self.seen.items(1).len()
    }

    /// As people, of whom row 1 is this one.
    pub(crate) fn people(&self) -> People<'_> {
        People {
            users: &self.users,
            timelines: &self.timelines,
            seen: vec![&self.seen],
            // What came after the run's log was strictly before the visit, or it would not be there.
            sights: Sights::new(None, (&self.past, self.last_time)),
        }
    }
}

/// Impressions after `end` in order of time, each with what came of it.
fn joined(deeds: &[Deed<'_>], end: i64) -> Vec<Impression> {
    let mut deeds: Vec<&Deed<'_>> = deeds.iter().filter(|deed| deed.time > end).collect();
    // An impression comes before what came of it in the same second.
    deeds.sort_by_key(|deed| (deed.time, deed.kind != DeedKind::Shown));
    let mut shown: Vec<Impression> = Vec::new();
    let mut latest: HashMap<u32, usize> = HashMap::new();
    let mut of_list: HashMap<(&str, u32), usize> = HashMap::new();
    // A late or lost clock must not tear a click from its list: lists are known before anything else.
    for deed in deeds.iter().filter(|deed| deed.kind == DeedKind::Shown) {
        let place = shown.len();
        let Deed { item, time, .. } = **deed;
        shown.push(Impression { item, time, engaged: false, bought: false });
        if let Some(request) = deed.request {
            of_list.insert((request, item), place);
        }
    }
    let mut next = 0;
    let lists = shown.len();
    for deed in deeds {
        if deed.kind == DeedKind::Shown {
            latest.insert(deed.item, next);
            next += 1;
            continue;
        }
        let in_list = deed.request.and_then(|request| of_list.get(&(request, deed.item)));
        let place = in_list.or_else(|| latest.get(&deed.item)).copied().unwrap_or_else(|| {
            shown.push(Impression {
                item: deed.item,
                time: deed.time,
                engaged: false,
                bought: false,
            });
            latest.insert(deed.item, shown.len() - 1);
            shown.len() - 1
        });
        shown[place].engaged = true;
        shown[place].bought |= deed.kind == DeedKind::Bought;
    }
    if shown.len() > lists {
        shown.sort_by_key(|impression| impression.time);
    }
    shown
}

#[cfg(test)]
mod tests {
    use parquet::arrow::ArrowWriter;
    use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

    use super::*;
    use crate::data::load_known;
    use crate::list_maker::{Goods, ListMaker, Visit};
    use crate::schema::Config;
    use crate::simulate::{self, Options};
    use crate::stock::Stock;
    use crate::train;

    /// Cuts a log in two: rows before `at`, and the rest.
    fn cut(log: &std::path::Path, at: usize, [first, rest]: [&std::path::Path; 2]) {
        let file = std::fs::File::open(log).unwrap();
        let rows = ParquetRecordBatchReaderBuilder::try_new(file).unwrap();
        let batches = rows.with_batch_size(at).build().unwrap();
        for (part, batch) in batches.enumerate() {
            let batch = batch.unwrap();
            let file = std::fs::File::create(if part == 0 { first } else { rest }).unwrap();
            assert!(part < 2, "two parts");
            let mut out = ArrowWriter::try_new(file, batch.schema(), None).unwrap();
            out.write(&batch).unwrap();
            out.close().unwrap();
        }
    }

    /// Whoever comes to the door with what they did since is scored as the same person in a log that has it all.
    #[test]
    fn a_visitor_is_the_person_of_the_log_that_went_on() {
        let directory = tempfile::tempdir().unwrap();
        let path = |name: &str| directory.path().join(name);
        let options = Options { users: 40, items: 80, requests: 1_200, ..Options::default() };
        simulate::run(&options, directory.path(), &mut |_| {}).unwrap();
        cut(&path("impressions.parquet"), 8_000, [&path("first.parquet"), &path("rest.parquet")]);
        let mut config = Config::read(&path("daogou.toml")).unwrap();
        config.set("train.epochs=1").unwrap();
        config.data.impressions = vec!["first.parquet".into()];
        let mut config = config.with_absolute_paths(directory.path()).unwrap();
        let data = Dataset::load(&config, directory.path()).unwrap();
        let trained = train::train(&config, &data, &train::Options::default(), &mut ()).unwrap();
        let run = TrainedRun::new(&config, trained, &data);

        config.data.impressions = vec![path("rest.parquet").display().to_string()];
        let later = load_known(&config, directory.path(), run.known()).unwrap();
        let seen = Seen::in_log(&later.requests, &later.impressions, &later.timelines);
        let all = People::of_log(&run, &later, Some(&seen));
        let stock = Stock::of(&run);
        let items: Vec<u32> = stock.listed().collect();
        let goods = Goods { items: &stock.items, catalogue: &stock.catalogue };
        let [mut one, mut other] =
            [(); 2].map(|()| ListMaker::new(&run, goods, &items, 1).unwrap());
        let mut team = daogou_nn::Team::new(1);
        let (click, bought) = (&later.impressions.labels[0], &later.impressions.labels[1]);
        let mut met = 0;
        for r in (0..later.requests.len()).rev().step_by(7) {
            let (user, time) = (later.requests.user[r], later.requests.time[r]);
            let mut deeds = Vec::new();
            let lists: Vec<String> = (0..later.requests.len()).map(|r| r.to_string()).collect();
            for q in 0..later.requests.len() {
                // A shop knows nothing of what comes later.
                if later.requests.user[q] != user || later.requests.time[q] >= time {
                    continue;
                }
                let then = later.requests.time[q];
                for i in later.requests.impressions(&(q..q + 1)) {
                    let (item, request) = (later.impressions.item[i], Some(lists[q].as_str()));
                    let deed = |time, kind| Deed { item, time, kind, request };
                    deeds.push(deed(then, DeedKind::Shown));
                    if click[i] == 1 {
                        deeds.push(deed(then + 40, DeedKind::Engaged));
                    }
                    if bought[i] == 1 {
                        deeds.push(deed(then + 900, DeedKind::Bought));
                    }
                }
            }
            // Events may come in any order; of one second in that of the list, which is the order of adding up.
            let mut middle = deeds.len() / 2;
            while middle > 0 && deeds[middle].request == deeds[middle - 1].request {
                middle -= 1;
            }
            deeds.rotate_left(middle);
            let id = &run.stored.users.ids[user as usize];
            let visitor = Visitor::of(&run, (id, Some(user), time), None, &deeds).unwrap();
            let context = (&later.requests.columns[..], r);
            let log = Visit { people: &all, user, time, context };
            let alone = visitor.people();
            let door = Visit { people: &alone, user: 1, time, context };
            let (log, door) = (one.score(&log, &mut team), other.score(&door, &mut team));
            assert_eq!(log.probabilities, door.probabilities, "request {r}");
            assert_eq!((log.mix, log.novelty, log.novel), (door.mix, door.novelty, door.novel));
            met += usize::from(!deeds.is_empty());
        }
        assert!(met > 20, "{met} visits with a past since the run");
    }

    #[test]
    fn what_came_of_an_impression_is_found_by_list_then_by_item() {
        let deed = |item, time, kind, request| Deed { item, time, kind, request };
        let (shown, engaged, bought) = (DeedKind::Shown, DeedKind::Engaged, DeedKind::Bought);
        let deeds = [
            deed(1, 100, shown, Some("a")),
            deed(1, 200, shown, Some("b")),
            // Of the first list, though the second is later.
            deed(1, 250, engaged, Some("a")),
            // Of no list: the latest impression before it.
            deed(1, 260, bought, None),
            // Of a list that was never reported.
            deed(2, 300, engaged, Some("c")),
            // The clock of the click is behind that of the list.
            deed(3, 400, shown, Some("d")),
            deed(3, 390, engaged, Some("d")),
            // In the run already.
            deed(4, 50, shown, None),
        ];
        let found: Vec<_> =
            joined(&deeds, 50).iter().map(|i| (i.item, i.time, i.engaged, i.bought)).collect();
        assert_eq!(
            found,
            [
                (1, 100, true, false),
                (1, 200, true, true),
                (2, 300, true, false),
                (3, 400, true, false)
            ]
        );
    }
}
