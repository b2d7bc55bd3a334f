//! Files of events and impressions.

use std::collections::{BTreeSet, HashSet};
use std::path::Path;

use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, Int32Type, Int64Type, TimestampMillisecondType};
use arrow_array::{Array, RecordBatch};
use daogou::data::Dataset;
use daogou::evaluate::EvaluateOptions;
use daogou::run::TrainedRun;
use daogou::schema::{Config, Side};
use daogou::train::{Options, train};
use daogou_server::store::{Attribution, Event, Impression, Store, StoreError, StoreOptions, join};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use proptest::prelude::*;

use crate::place::{Place, event, on_both};

on_both!(events_as_files, impressions_as_files);

fn read(path: &Path) -> Vec<RecordBatch> {
    let file = std::fs::File::open(path).unwrap();
    ParquetRecordBatchReaderBuilder::try_new(file)
        .unwrap()
        .build()
        .unwrap()
        .collect::<Result<_, _>>()
        .unwrap()
}

fn names(batch: &RecordBatch) -> Vec<String> {
    batch.schema().fields().iter().map(|field| field.name().clone()).collect()
}

async fn events_as_files(place: Place) {
    let store = place.open().await;
    let dir = tempfile::tempdir().unwrap();
    let (parquet, lines) = (dir.path().join("events.parquet"), dir.path().join("events.jsonl"));
    assert_eq!(store.export_events(&parquet).await.unwrap(), 0);
    assert_eq!(read(&parquet).iter().map(RecordBatch::num_rows).sum::<usize>(), 0);

    // More than a page.
    let events: Vec<Event> = (0..25_000)
        .map(|i| Event {
            request: (i % 2 == 0).then(|| format!("r{i}")),
            position: (i % 3 == 0).then_some(i as u32 + 1),
            value: (i % 5 == 0).then_some(i as f64 / 7.0),
            context: (i % 3 == 0).then(|| [("hour".to_owned(), i.into())].into()),
            ..event(
                &format!("e{i}"),
                "click",
                &format!("u{}", i % 7),
                "导购 \"1\"",
                1_700_000_000 - i,
            )
        })
        .collect();
    for part in events.chunks(5000) {
        store.append(part.to_vec()).await.unwrap();
    }
    assert_eq!(store.export_events(&parquet).await.unwrap(), 25_000);
    let mut found = Vec::new();
    for batch in read(&parquet) {
        let columns = [
            "event_id",
            "type",
            "user_id",
            "item_id",
            "time",
            "request_id",
            "position",
            "value",
            "context",
        ];
        assert_eq!(names(&batch), columns);
        let text = |i: usize, row: usize| {
            let column = batch.column(i).as_string::<i32>();
            (!column.is_null(row)).then(|| column.value(row).to_owned())
        };
        let times = batch.column(4).as_primitive::<TimestampMillisecondType>();
        let positions = batch.column(6).as_primitive::<Int64Type>();
        let values = batch.column(7).as_primitive::<Float64Type>();
        let contexts = batch.column(8).as_string::<i32>();
        found.extend(
            (0..batch.num_rows()).map(|row| Event {
                id: text(0, row).unwrap(),
                kind: text(1, row).unwrap(),
                user: text(2, row).unwrap(),
                item: text(3, row).unwrap(),
                timestamp: times.value(row) / 1000,
                request: text(5, row),
                position: (!positions.is_null(row)).then(|| positions.value(row) as u32),
                value: (!values.is_null(row)).then(|| values.value(row)),
                context: (!contexts.is_null(row))
                    .then(|| serde_json::from_str(contexts.value(row)).unwrap()),
            }),
        );
    }
    assert_eq!(found, events);

    assert_eq!(store.export_events(&lines).await.unwrap(), 25_000);
    let text = std::fs::read_to_string(&lines).unwrap();
    let found: Vec<Event> = text
        .lines()
        .map(|line| {
            let row: serde_json::Value = serde_json::from_str(line).unwrap();
            let text = |key: &str| row[key].as_str().map(str::to_owned);
            Event {
                id: text("event_id").unwrap(),
                kind: text("type").unwrap(),
                user: text("user_id").unwrap(),
                item: text("item_id").unwrap(),
                timestamp: row["time"].as_i64().unwrap(),
                request: text("request_id"),
                position: row["position"].as_u64().map(|p| p as u32),
                value: row["value"].as_f64(),
                context: row["context"].as_str().map(|text| serde_json::from_str(text).unwrap()),
            }
        })
        .collect();
    assert_eq!(found, events);

    let error = store.export_events(&dir.path().join("events.csv")).await.unwrap_err();
    assert!(matches!(error, StoreError::Invalid { .. }), "{error}");
    let error = store.export_events(&dir.path().join("no/such.jsonl")).await.unwrap_err();
    assert!(matches!(error, StoreError::File { .. }), "{error}");
    // Nothing lies beside the files.
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 2);
}

fn of(request: Option<&str>, position: Option<u32>, event: Event) -> Event {
    Event { request: request.map(str::to_owned), position, ..event }
}

fn table(events: &[Event], attribution: &Attribution) -> Vec<(String, i64, u32, u8, u8)> {
    let (rows, joined) = join(events, attribution, &BTreeSet::new());
    assert_eq!(joined.rows as usize, rows.len());
    rows.into_iter().map(|r| (r.item_id, r.time, r.position, r.click, r.purchase)).collect()
}

#[test]
fn labels_by_request() {
    let r = Some("r1");
    let events = [
        of(r, Some(1), event("1", "impression", "u", "a", 100)),
        of(r, Some(2), event("2", "impression", "u", "b", 100)),
        of(r, Some(3), event("3", "impression", "u", "c", 100)),
        of(Some("r2"), Some(1), event("4", "impression", "u", "a", 200)),
        of(r, None, event("5", "click", "u", "b", 90)),
        of(r, None, event("6", "purchase", "u", "c", 100_000_000)),
        of(Some("r3"), None, event("7", "click", "u", "a", 250)),
        of(None, None, event("8", "cart", "u", "a", 250)),
    ];
    let rows = table(&events, &Attribution::default());
    let expected =
        [("a", 100, 1, 0, 0), ("b", 100, 2, 1, 0), ("c", 100, 3, 1, 1), ("a", 200, 1, 0, 0)];
    assert_eq!(rows, expected.map(|(item, t, p, c, b)| (item.to_owned(), t, p, c, b)));
    let (_, joined) = join(&events, &Attribution::default(), &BTreeSet::new());
    assert_eq!((joined.unshown_clicks, joined.unshown_purchases, joined.other), (1, 0, 1));
}

#[test]
fn labels_by_window() {
    let day = 86_400;
    let events = [
        event("1", "impression", "u", "a", 0),
        event("2", "impression", "u", "a", 10),
        event("3", "impression", "u", "b", 0),
        event("4", "impression", "u", "c", 0),
        // Of the second that it was shown in.
        event("5", "click", "u", "a", 0),
        event("6", "click", "u", "b", day + 1),
        event("7", "click", "u", "c", day),
        // Of the one that was clicked, though another was later.
        event("8", "purchase", "u", "a", 7 * day),
        event("9", "purchase", "u", "c", 7 * day + 1),
    ];
    let mut rows = table(&events, &Attribution::default());
    rows.sort();
    let expected = [("a", 0, 0, 1, 1), ("a", 10, 0, 0, 0), ("b", 0, 0, 0, 0), ("c", 0, 0, 1, 0)];
    assert_eq!(rows, expected.map(|(item, t, p, c, b)| (item.to_owned(), t, p, c, b)));
    let kept = Attribution { keep_unshown: true, ..Attribution::default() };
    let mut rows = table(&events, &kept);
    rows.sort();
    let more = [("b", day + 1, 0, 1, 0), ("c", 7 * day + 1, 0, 1, 1)];
    let expected = [&expected[..3], &more[..1], &expected[3..], &more[1..]].concat();
    let expected: Vec<_> =
        expected.into_iter().map(|(item, t, p, c, b)| (item.to_owned(), t, p, c, b)).collect();
    assert_eq!(rows, expected);
}

fn any_event() -> impl Strategy<Value = Event> {
    let kind = prop::sample::select(vec!["impression", "impression", "click", "purchase", "cart"]);
    let request = prop::sample::select(vec![None, None, Some("r1"), Some("r2"), Some("~r")]);
    (kind, request, prop::sample::select(vec!["a", "b"]), 0..12i64, 0..4u32).prop_map(
        |(kind, request, item, time, position)| {
            of(request, (position > 0).then_some(position), event("", kind, "u", item, time))
        },
    )
}

fn any_log() -> impl Strategy<Value = Vec<Event>> {
    prop::collection::vec(any_event(), 0..24).prop_map(|mut events| {
        for (i, event) in events.iter_mut().enumerate() {
            event.id = format!("e{i}");
        }
        events
    })
}

/// The rules word by word, looking at every row for every label: per event id of the impression, its click and
/// purchase.
fn by_the_rules(events: &[Event], attribution: &Attribution) -> Vec<(String, bool, bool)> {
    let of_kind = |kind: &str| {
        let mut found: Vec<&Event> = events.iter().filter(|event| event.kind == kind).collect();
        found.sort_by_key(|event| event.timestamp);
        found
    };
    struct Shown<'a>(&'a Event, bool, bool);
    let mut rows: Vec<Shown<'_>> =
        of_kind("impression").into_iter().map(|event| Shown(event, false, false)).collect();
    for (kind, window) in
        [("click", attribution.click_window), ("purchase", attribution.purchase_window)]
    {
        for label in of_kind(kind) {
            let in_window =
                |row: &Shown<'_>| (0..=window).contains(&(label.timestamp - row.0.timestamp));
            let mut candidates: Vec<usize> = (0..rows.len())
                .filter(|&i| rows[i].0.item == label.item)
                .filter(|&i| label.request.is_some() && rows[i].0.request == label.request)
                .collect();
            if candidates.is_empty() {
                candidates = (0..rows.len())
                    .filter(|&i| rows[i].0.item == label.item && in_window(&rows[i]))
                    .filter(|&i| label.request.is_none() || rows[i].0.request.is_none())
                    .collect();
            } else if candidates.iter().any(|&i| rows[i].0.timestamp <= label.timestamp) {
                candidates.retain(|&i| rows[i].0.timestamp <= label.timestamp);
            } else {
                // Shown only later, by another clock: the first.
                let first = candidates.into_iter().min_by_key(|&i| (rows[i].0.timestamp, i));
                candidates = first.into_iter().collect();
            }
            if kind == "purchase" && candidates.iter().any(|&i| rows[i].1) {
                candidates.retain(|&i| rows[i].1);
            }
            match candidates.into_iter().max_by_key(|&i| (rows[i].0.timestamp, i)) {
                Some(i) => (rows[i].1, rows[i].2) = (true, rows[i].2 || kind == "purchase"),
                None if attribution.keep_unshown => {
                    rows.push(Shown(label, true, kind == "purchase"));
                }
                None => {}
            }
        }
    }
    rows.into_iter()
        .map(|Shown(event, click, purchase)| (event.id.clone(), click, purchase))
        .collect()
}

proptest! {
    #[test]
    fn joins_by_the_rules(
        events in any_log(),
        click_window in 0..6i64,
        purchase_window in 0..12i64,
        keep_unshown in any::<bool>(),
    ) {
        let attribution = Attribution { click_window, purchase_window, keep_unshown };
        let (rows, joined) = join(&events, &attribution, &BTreeSet::new());
        let of_id = |id: &str| events.iter().find(|event| event.id == id).unwrap();
        let mut expected: Vec<_> = by_the_rules(&events, &attribution)
            .into_iter()
            .map(|(id, click, purchase)| {
                let event = of_id(&id);
                let shown = event.kind == "impression";
                let position = event.position.filter(|_| shown).unwrap_or(0);
                (event.item.clone(), event.timestamp, position, u8::from(click), u8::from(purchase))
            })
            .collect();
        let mut found: Vec<_> = rows
            .iter()
            .map(|r| (r.item_id.clone(), r.time, r.position, r.click, r.purchase))
            .collect();
        expected.sort();
        found.sort();
        prop_assert_eq!(found, expected);
        // A purchase implies a click, every event is counted, requests are in one piece.
        prop_assert!(rows.iter().all(|row| row.click >= row.purchase));
        let shown = events.iter().filter(|event| event.kind == "impression").count() as u64;
        let kept = if keep_unshown { joined.rows - shown } else { 0 };
        prop_assert_eq!(joined.rows, shown + kept);
        prop_assert_eq!(joined.other, events.iter().filter(|event| event.kind == "cart").count() as u64);
        let mut requests: Vec<&str> = rows.iter().map(|row| row.request_id.as_str()).collect();
        requests.dedup();
        prop_assert_eq!(requests.iter().collect::<HashSet<_>>().len(), requests.len());
    }

    #[test]
    fn order_of_arrival_is_no_matter(events in any_log(), seed in any::<u64>()) {
        // Events of one second are ordered by arrival; so here each has a second of its own.
        let events: Vec<Event> = events
            .into_iter()
            .enumerate()
            .map(|(i, event)| Event { timestamp: event.timestamp * 100 + i as i64, ..event })
            .collect();
        let attribution = Attribution { click_window: 500, ..Attribution::default() };
        let expected = join(&events, &attribution, &BTreeSet::new());
        let mut shuffled = events;
        shuffled.sort_by_key(|event| (event.timestamp as u64 + 1).wrapping_mul(seed | 1));
        prop_assert_eq!(join(&shuffled, &attribution, &BTreeSet::new()), expected);
    }
}

async fn impressions_as_files(place: Place) {
    let store = place.open().await;
    let dir = tempfile::tempdir().unwrap();
    let mut events = Vec::new();
    // Forty people, so that people cross pages; they share one request, and leave out others.
    for user in 0..40 {
        for i in 0..400i64 {
            let request = match i % 10 {
                0 => None,
                1 => Some("of everybody".to_owned()),
                _ => Some(format!("r{user}-{}", i / 10)),
            };
            let (user, item) = (format!("u{user:02}"), format!("i{}", i % 50));
            let shown = Event {
                request: request.clone(),
                position: Some(1 + i as u32 % 10),
                ..event(&format!("{user}-{i}"), "impression", &user, &item, 1000 * i)
            };
            events.push(shown);
            if i % 7 == 0 {
                let id = format!("{user}-{i}-click");
                events.push(Event { request, ..event(&id, "click", &user, &item, 1000 * i + 5) });
            }
            if i % 49 == 0 {
                let id = format!("{user}-{i}-purchase");
                events.push(event(&id, "purchase", &user, &item, 1000 * i + 9));
            }
        }
    }
    // Not as they happened.
    events.sort_by_key(|event| event.id.bytes().rev().collect::<Vec<_>>());
    for part in events.chunks(5000) {
        store.append(part.to_vec()).await.unwrap();
    }
    let attribution = Attribution::default();
    let path = dir.path().join("impressions.parquet");
    let joined = store.export_impressions(&path, &attribution).await.unwrap();
    assert_eq!(joined.rows, 40 * 400);
    assert_eq!(joined.clicks, 40 * 58);
    assert_eq!(joined.purchases, 40 * 9);
    assert_eq!(joined.unshown_clicks + joined.unshown_purchases + joined.other, 0);

    let shared = BTreeSet::from(["of everybody".to_owned()]);
    let mut expected: Vec<Impression> = Vec::new();
    for user in 0..40 {
        let name = format!("u{user:02}");
        let own: Vec<Event> = events.iter().filter(|event| event.user == name).cloned().collect();
        expected.extend(join(&own, &attribution, &shared).0);
    }
    let mut found = Vec::new();
    for batch in read(&path) {
        let columns = [
            "user_id",
            "item_id",
            "time",
            "request_id",
            "position",
            "click",
            "purchase",
            "context",
        ];
        assert_eq!(names(&batch), columns);
        let text = |i: usize, row: usize| batch.column(i).as_string::<i32>().value(row).to_owned();
        let whole = |i: usize, row: usize| batch.column(i).as_primitive::<Int64Type>().value(row);
        let times = batch.column(2).as_primitive::<TimestampMillisecondType>();
        found.extend((0..batch.num_rows()).map(|row| Impression {
            user_id: text(0, row),
            item_id: text(1, row),
            time: times.value(row) / 1000,
            request_id: text(3, row),
            position: whole(4, row) as u32,
            click: whole(5, row) as u8,
            purchase: whole(6, row) as u8,
            context: None,
        }));
    }
    assert_eq!(found, expected);
    // A request is one person's.
    let mut owner = std::collections::HashMap::new();
    for row in &found {
        assert_eq!(owner.entry(&row.request_id).or_insert(&row.user_id), &&row.user_id);
    }
    let lines = dir.path().join("impressions.jsonl");
    assert_eq!(store.export_impressions(&lines, &attribution).await.unwrap(), joined);
    let text = std::fs::read_to_string(&lines).unwrap();
    for (line, row) in text.lines().zip(&expected) {
        assert_eq!(line, serde_json::to_string(row).unwrap());
    }
    assert_eq!(text.lines().count(), expected.len());
}

/// The log of the simulated shop, sent as events, comes back as it was, and trains.
#[tokio::test]
async fn a_shop_learns_from_its_store() {
    let dir = tempfile::tempdir().unwrap();
    let options =
        daogou::simulate::Options { users: 60, items: 150, requests: 1500, ..Default::default() };
    daogou::simulate::run(&options, dir.path(), &mut |_| {}).unwrap();
    let mut events = Vec::new();
    let mut logged = Vec::new();
    for batch in read(&dir.path().join("impressions.parquet")) {
        let column = |name: &str| batch.column_by_name(name).unwrap().clone();
        let (users, items) = (column("user_id"), column("item_id"));
        let (users, items) = (users.as_string::<i32>(), items.as_string::<i32>());
        let requests = column("request_id");
        let requests = requests.as_primitive::<Int64Type>();
        let whole = |name: &str| column(name).as_primitive::<Int32Type>().clone();
        let (positions, clicks, purchases) = (whole("position"), whole("click"), whole("purchase"));
        let time = |name: &str| column(name).as_primitive::<TimestampMillisecondType>().clone();
        let (times, bought) = (time("time"), time("purchase_time"));
        for row in 0..batch.num_rows() {
            let row_of = Impression {
                user_id: users.value(row).to_owned(),
                item_id: items.value(row).to_owned(),
                time: times.value(row) / 1000,
                request_id: requests.value(row).to_string(),
                position: positions.value(row) as u32,
                click: clicks.value(row) as u8,
                purchase: purchases.value(row) as u8,
                context: None,
            };
            let mut add = |kind: &str, time: i64| {
                let shown = kind == "impression";
                let id = format!("{}-{}-{kind}", row_of.request_id, row_of.position);
                events.push(of(
                    Some(&row_of.request_id),
                    shown.then_some(row_of.position),
                    event(&id, kind, &row_of.user_id, &row_of.item_id, time),
                ));
            };
            // The labels arrive first.
            if row_of.purchase == 1 {
                add("purchase", bought.value(row) / 1000);
            } else if row_of.click == 1 {
                add("click", row_of.time + 1);
            }
            add("impression", row_of.time);
            logged.push(row_of);
        }
    }
    let store = Store::open("sqlite::memory:", &StoreOptions::default()).await.unwrap();
    for part in events.chunks(10_000) {
        store.append(part.to_vec()).await.unwrap();
    }
    let path = dir.path().join("exported.jsonl");
    store.export_impressions(&path, &Attribution::default()).await.unwrap();
    let mut found: Vec<Impression> = std::fs::read_to_string(&path)
        .unwrap()
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let key = |row: &Impression| (row.request_id.clone(), row.position);
    found.sort_by_key(key);
    logged.sort_by_key(key);
    assert!(logged.iter().any(|row| row.purchase == 1));
    assert!(found == logged, "the log is not what was logged");

    for name in ["exported.jsonl", "exported.parquet"] {
        let path = dir.path().join(name);
        store.export_impressions(&path, &Attribution::default()).await.unwrap();
        let mut config = Config::read(&dir.path().join("daogou.toml")).unwrap();
        config.data.impressions = vec![name.to_owned()];
        // What a store does not know.
        config.columns.propensity = None;
        config.features.retain(|feature| feature.side != Side::Context);
        config.train.epochs = 1;
        let data = Dataset::load(&config, dir.path()).unwrap();
        assert_eq!(data.impressions.item.len(), logged.len());
        let trained = train(&config, &data, &Options::default(), &mut ()).unwrap();
        let run = TrainedRun::new(&config, trained, &data);
        let evaluation =
            run.evaluate(&data, &data.split.test, &EvaluateOptions::default()).unwrap();
        assert!(!daogou::evaluate::table::table(&evaluation).is_empty());
    }
}
