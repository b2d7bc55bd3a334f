//! RecSys Challenge 2019 (trivago): hotel lists with position and price, from session logs.
//!
//! A `clickout item` row carries the whole list that was on the screen; its `reference` is the hotel clicked. Each
//! such row becomes a request. What the visitor did before it in the same session becomes features of the list and
//! of its hotels; what came later never does.

use std::path::Path;

use rustc_hash::{FxHashMap, FxHashSet};

use super::source;
use super::target::{Cell, Kind, Staging, Table};
use super::{Format, Imported};
use crate::Result;
use crate::civil::midnight;
use crate::rows::{Layout, Rows};
use crate::schema::{
    Columns, Config, DataConfig, Feature, FeatureType, LabelSource, Side, Task, TaskKind, Transform,
};

pub(super) const FORMAT: Format = Format {
    name: "trivago2019",
    about: "RecSys Challenge 2019: a Parquet or CSV file of session actions (as `train.csv`), or its directory",
    import,
};

/// Upper bounds of the price bands, about equally many hotels in each.
const BANDS: [(f64, &str); 9] = [
    (30.0, "under 30"),
    (45.0, "30 to 44"),
    (60.0, "45 to 59"),
    (80.0, "60 to 79"),
    (100.0, "80 to 99"),
    (130.0, "100 to 129"),
    (180.0, "130 to 179"),
    (260.0, "180 to 259"),
    (f64::INFINITY, "260 and more"),
];

/// One action of a session.
#[derive(Default)]
struct Action {
    time: i64,
    step: i64,
    kind: String,
    reference: String,
    platform: String,
    city: String,
    device: String,
    filters: String,
    impressions: String,
    prices: Vec<f64>,
}

impl Action {
    fn is_clickout(&self) -> bool {
        self.kind == "clickout item"
    }

    /// Whether `reference` is a hotel.
    fn is_about_item(&self) -> bool {
        self.is_clickout()
            || self.kind.starts_with("interaction item")
            || self.kind == "search for item"
    }

    fn items(&self) -> impl Iterator<Item = &str> {
        self.impressions.split('|')
    }
}

/// A hotel as it was first listed.
struct Hotel {
    id: String,
    time: i64,
    price: f64,
    city: String,
}

/// What is known of a hotel within a session.
#[derive(Clone, Copy, Default)]
struct Seen {
    touches: u32,
    clickouts: u32,
}

struct Import {
    table: Table,
    hotels: Vec<Hotel>,
    places: FxHashMap<String, usize>,
    lists: u64,
    without_click: u64,
    first: i64,
    last: i64,
}

fn import(src: &Path, out: &Staging) -> Result<Imported> {
    let named = |name: &str| name.ends_with(".parquet") || source::ends(name, ".csv");
    let files = source::find_all(src, "a .parquet or .csv file of session actions", named)?;
    let mut import = Import {
        table: out.table(
            "impressions.parquet",
            &[
                ("request_id", Kind::Text),
                ("user_id", Kind::Text),
                ("time", Kind::Int),
                ("platform", Kind::Text),
                ("device", Kind::Text),
                ("city", Kind::Text),
                ("filters", Kind::Text),
                ("sort_order", Kind::Text),
                ("earlier_actions", Kind::Int),
                ("item_id", Kind::Text),
                ("position", Kind::Int),
                ("price", Kind::Number),
                ("price_rank", Kind::Number),
                ("price_ratio", Kind::Number),
                ("touches", Kind::Int),
                ("earlier_clickouts", Kind::Int),
                ("offset_from_last", Kind::Text),
                ("click", Kind::Int),
            ],
        )?,
        hotels: Vec::new(),
        places: FxHashMap::default(),
        lists: 0,
        without_click: 0,
        first: i64::MAX,
        last: i64::MIN,
    };
    let mut sessions = FxHashSet::default();
    for file in &files {
        let mut rows = Rows::open(
            file,
            Layout::COMMAS,
            &[
                "user_id",
                "session_id",
                "timestamp",
                "step",
                "action_type",
                "reference",
                "platform",
                "city",
                "device",
                "current_filters",
                "impressions",
                "prices",
            ],
        )?;
        let (mut user, mut session) = (String::new(), String::new());
        let mut actions = Vec::new();
        while rows.advance()? {
            if rows.id(0)? != user || rows.id(1)? != session {
                import.session(&user, &session, &mut actions)?;
                user.replace_range(.., rows.text(0));
                session.replace_range(.., rows.text(1));
                if !sessions.insert((user.clone(), session.clone())) {
                    return Err(rows.row(format!(
                        "session {session}: expected its rows together, found more of them here"
                    )));
                }
            }
            actions.push(action(&rows)?);
        }
        import.session(&user, &session, &mut actions)?;
    }
    import.finish(out)
}

fn action(rows: &Rows) -> Result<Action> {
    let mut action = Action {
        time: rows.int(2)?,
        step: rows.int(3)?,
        kind: rows.id(4)?.into(),
        reference: rows.text(5).into(),
        ..Action::default()
    };
    if action.is_clickout() {
        action.platform = rows.text(6).into();
        action.city = rows.text(7).into();
        action.device = rows.text(8).into();
        action.filters = rows.text(9).into();
        action.impressions = rows.id(10)?.into();
        for price in rows.text(11).split('|') {
            match price.parse::<f64>() {
                Ok(price) if price.is_finite() && price >= 0.0 => action.prices.push(price),
                _ => return Err(rows.cell(11, "prices of at least 0, separated by `|`")),
            }
        }
        let items = action.items().count();
        if items != action.prices.len() {
            return Err(rows.row(format!(
                "expected as many prices as impressions, got {} and {items}",
                action.prices.len()
            )));
        }
    }
    Ok(action)
}

impl Import {
    /// Writes the lists of one session and empties `actions`.
    fn session(&mut self, user: &str, session: &str, actions: &mut Vec<Action>) -> Result<()> {
        actions.sort_by_key(|action| action.step);
        let mut seen: FxHashMap<&str, Seen> = FxHashMap::default();
        let mut last_item = "";
        let mut sort_order = "";
        for (index, action) in actions.iter().enumerate() {
            if action.is_clickout() {
                self.list(user, session, action, index, &seen, last_item, sort_order)?;
            }
            if action.is_about_item() {
                let entry = seen.entry(&action.reference).or_default();
                entry.touches += 1;
                entry.clickouts += u32::from(action.is_clickout());
                last_item = &action.reference;
            } else if action.kind == "change of sort order" {
                sort_order = &action.reference;
            }
        }
        actions.clear();
        Ok(())
    }

    #[allow(clippy::too_many_arguments)]
    fn list(
        &mut self,
        user: &str,
        session: &str,
        action: &Action,
        earlier: usize,
        seen: &FxHashMap<&str, Seen>,
        last_item: &str,
        sort_order: &str,
    ) -> Result<()> {
        let request = format!("{session}:{}", action.step);
        let last_position = action.items().position(|item| item == last_item);
        let mut sorted = action.prices.clone();
        sorted.sort_by(f64::total_cmp);
        let median = sorted[sorted.len() / 2].max(1.0);
        let others = (sorted.len() - 1).max(1) as f64;
        let mut clicked = false;
        for (index, (item, &price)) in action.items().zip(&action.prices).enumerate() {
            let known = seen.get(item).copied().unwrap_or_default();
            let cheaper = sorted.partition_point(|&other| other < price);
            let offset = match last_position {
                Some(last) => (index as i64 - last as i64).clamp(-10, 10).to_string(),
                None => "none".into(),
            };
            let click = item == action.reference;
            clicked |= click;
            self.table.push(&[
                Cell::Text(&request),
                Cell::Text(user),
                Cell::Int(action.time),
                Cell::some(&action.platform),
                Cell::some(&action.device),
                Cell::some(&action.city),
                Cell::some(&action.filters),
                Cell::some(sort_order),
                Cell::Int(earlier as i64),
                Cell::Text(item),
                Cell::Int(index as i64 + 1),
                Cell::Number(price),
                Cell::Number(cheaper as f64 / others),
                Cell::Number(price / median),
                Cell::Int(known.touches.into()),
                Cell::Int(known.clickouts.into()),
                Cell::Text(&offset),
                Cell::Int(click.into()),
            ])?;
            self.hotel(item, action.time, price, &action.city);
        }
        self.lists += 1;
        self.without_click += u64::from(!clicked);
        self.first = self.first.min(action.time);
        self.last = self.last.max(action.time);
        Ok(())
    }

    fn hotel(&mut self, item: &str, time: i64, price: f64, city: &str) {
        if let Some(&at) = self.places.get(item) {
            let hotel = &mut self.hotels[at];
            if time < hotel.time {
                hotel.time = time;
                hotel.price = price;
                hotel.city.replace_range(.., city);
            }
        } else {
            self.places.insert(item.into(), self.hotels.len());
            self.hotels.push(Hotel { id: item.into(), time, price, city: city.into() });
        }
    }

    fn finish(self, out: &Staging) -> Result<Imported> {
        if self.lists == 0 {
            return Err(crate::Error::data(
                "expected rows with action_type `clickout item`, found none",
            ));
        }
        let mut items = out.table(
            "items.parquet",
            &[
                ("item_id", Kind::Text),
                ("price_band", Kind::Text),
                ("first_price", Kind::Number),
                ("city", Kind::Text),
            ],
        )?;
        for hotel in &self.hotels {
            let band =
                BANDS.iter().find(|(below, _)| hotel.price < *below).map_or("", |band| band.1);
            items.push(&[
                Cell::Text(&hotel.id),
                Cell::Text(band),
                Cell::Number(hotel.price),
                Cell::some(&hotel.city),
            ])?;
        }
        let mut notes = vec![format!("{} lists", self.lists)];
        if self.without_click > 0 {
            notes.push(format!(
                "lists whose clicked hotel is not in the list (kept, without a click): {}",
                self.without_click
            ));
        }
        let whole_days = self.first.div_euclid(86_400) < self.last.div_euclid(86_400);
        Ok(Imported {
            config: config(whole_days.then(|| midnight(self.last))),
            header: "Hotel lists of the RecSys Challenge 2019: a request is what was on the screen at a clickout.",
            comments: COMMENTS,
            tables: vec![self.table.finish()?, items.finish()?],
            notes,
        })
    }
}

const COMMENTS: &[(&str, &str)] = &[
    (
        "data.split.test_from",
        "The last day of the log is the test; the days before it train and validate.",
    ),
    (
        "columns.category",
        "Hotels have no category: the band of the price at which a hotel was first listed.",
    ),
    (
        "feature.earlier_actions",
        "What this visitor did before the list, in the same session; never later.",
    ),
    ("feature.price_rank", "Share of the list's other hotels that are cheaper."),
    ("feature.price_ratio", "Price over the median price of the list."),
    (
        "feature.touches",
        "Earlier actions on this hotel in this session (pictures, details, clickouts, searches).",
    ),
    (
        "feature.offset_from_last",
        "Places below (+) or above (-) the hotel touched last, at most 10; `none` where that is not in the list.",
    ),
    ("task.diversity", "Visitors have few clickouts: one later clickout is enough for a label."),
];

fn config(test_from: Option<String>) -> Config {
    use FeatureType::{Id, Multi, Number, Time};
    use Side::{Context, Impression, Item, User};
    let id = |name: &str, side| Feature { min_count: Some(5), ..Feature::new(name, side, Id) };
    let number = |name: &str, side, transform| Feature {
        transform: Some(transform),
        ..Feature::new(name, side, Number)
    };
    let request_task = |name: &str, kind| Task {
        source: Some(LabelSource::NextKEngaged),
        min_events: Some(1),
        ..Task::new(name, kind)
    };
    let mut config = Config {
        data: DataConfig {
            impressions: vec!["impressions.parquet".into()],
            items: Some("items.parquet".into()),
            ..DataConfig::default()
        },
        columns: Columns {
            time: Some("time".into()),
            request: Some("request_id".into()),
            position: Some("position".into()),
            category: Some("price_band".into()),
            price: Some("first_price".into()),
            ..Columns::default()
        },
        features: vec![
            id("platform", Context),
            id("device", Context),
            Feature { column: Some("city".into()), ..id("search_city", Context) },
            Feature { min_count: Some(20), ..Feature::new("filters", Context, Multi) },
            id("sort_order", Context),
            number("earlier_actions", Context, Transform::Log1p),
            Feature::new("time", Context, Time),
            Feature { length: Some(5), ..Feature::new("history", User, FeatureType::History) },
            id("item_id", Item),
            id("price_band", Item),
            number("price", Impression, Transform::Log1p),
            number("price_rank", Impression, Transform::Standardise),
            number("price_ratio", Impression, Transform::Log1p),
            number("touches", Impression, Transform::Log1p),
            number("earlier_clickouts", Impression, Transform::Log1p),
            id("offset_from_last", Impression),
        ],
        tasks: vec![
            Task::new("click", TaskKind::Binary),
            request_task("diversity", TaskKind::Distribution),
            request_task("novelty", TaskKind::Share),
        ],
        ..Config::default()
    };
    config.data.split.test_from = test_from;
    config.lists.objectives.remove("purchase");
    config
}

#[cfg(test)]
mod tests {
    use super::super::tests::{imported, real, shared, write};
    use crate::importers::import;

    const HEADER: &str = "user_id,session_id,timestamp,step,action_type,reference,platform,city,device,current_filters,impressions,prices\n";
    const DAY: i64 = 1_541_548_800;

    fn fixture() -> String {
        let mut text = String::from(HEADER);
        for (session, step, time, action, reference, list) in [
            ("s1", 1, DAY, "interaction item image", "b", ""),
            ("s1", 2, DAY + 5, "change of sort order", "price only", ""),
            ("s1", 3, DAY + 9, "clickout item", "c", "a|b|c,100|50|80"),
            // The file need not be in step order.
            ("s1", 5, DAY + 90, "interaction item info", "a", ""),
            ("s1", 4, DAY + 50, "clickout item", "c", "c|a,80|100"),
            ("s2", 1, DAY + 86_400, "clickout item", "z", "a,70"),
        ] {
            let (items, prices) = list.split_once(',').unwrap_or(("", ""));
            let row = format!(
                "u,{session},{time},{step},{action},{reference},DE,Berlin,mobile,Hotel|WiFi,{items},{prices}\n"
            );
            text.push_str(&row);
        }
        text
    }

    #[test]
    fn lists_become_requests_with_features_of_the_past_only() {
        let (dir, out) = imported("trivago2019", &[("train.csv", &fixture())]);
        let rows = out.rows(
            "impressions.parquet",
            &[
                "request_id",
                "item_id",
                "position",
                "price_rank",
                "touches",
                "earlier_clickouts",
                "offset_from_last",
                "earlier_actions",
                "sort_order",
                "click",
            ],
        );
        assert_eq!(
            rows,
            [
                "s1:3 a 1 1.0 0 0 -1 2 price only 0",
                "s1:3 b 2 0.0 1 0 0 2 price only 0",
                "s1:3 c 3 0.5 0 0 1 2 price only 1",
                // Step 5 came first in the file but is later: `a` has no touch.
                "s1:4 c 1 0.0 1 1 0 3 price only 1",
                "s1:4 a 2 1.0 0 0 1 3 price only 0",
                "s2:1 a 1 0.0 0 0 none 0  0",
            ]
        );
        assert_eq!(
            out.rows("items.parquet", &["item_id", "price_band", "first_price"]),
            ["a 100 to 129 100.0", "b 45 to 59 50.0", "c 80 to 99 80.0"]
        );
        assert_eq!(out.config.data.split.test_from.as_deref(), Some("2018-11-08T00:00:00Z"));
        assert!(out.summary.notes[1].ends_with(": 1"), "{:?}", out.summary.notes);
        drop(dir);
    }

    #[test]
    fn bad_rows_are_named_and_leave_nothing_behind() {
        for (bad, expected) in [
            (
                "u,s3,1,1,clickout item,a,DE,Berlin,mobile,,a|b,70\n",
                "train.csv:8: expected as many prices as impressions, got 1 and 2",
            ),
            (
                "u,s3,1,1,clickout item,a,DE,Berlin,mobile,,a|b,70|x\n",
                "train.csv:8: column `prices`: expected prices",
            ),
            (
                "u,s1,1,9,clickout item,a,DE,Berlin,mobile,,a,70\n",
                "train.csv:8: session s1: expected its rows together",
            ),
            (
                "u,s3,now,1,clickout item,a,DE,Berlin,mobile,,a,70\n",
                "train.csv:8: column `timestamp`: expected a whole number, got `now`",
            ),
            ("u,s3\n", "train.csv:8: expected 12 fields, got 2"),
        ] {
            let dir = write(&[("train.csv", &(fixture() + bad))]);
            let out = dir.path().join("out");
            let error =
                import("trivago2019", &dir.path().join("train.csv"), &out).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
            assert_eq!(
                std::fs::read_dir(dir.path()).unwrap().count(),
                1,
                "only the source is left"
            );
        }
    }

    #[test]
    fn real_log_has_its_known_counts() {
        let Some(src) = shared("trivago2019") else { return };
        let (_dir, out) = real("trivago2019", &src);
        assert_eq!(out.summary.tables[0].rows, 312_539);
        assert_eq!(out.summary.notes[0], "13597 lists");
        let clicks =
            out.rows("impressions.parquet", &["click"]).iter().filter(|c| *c == "1").count();
        assert_eq!(format!("{:.2}", 100.0 * clicks as f64 / 312_539.0), "4.35");
    }
}
