//! What a store does, the same on both databases.

use std::collections::{HashMap, HashSet};
use std::time::{Duration, Instant};

use daogou_server::store::{
    Change, Cursor, Event, Kind, MAX_TIME, Outcome, Store, StoreError, StoreOptions,
};
use serde_json::{Value, json};

use crate::place::{Place, all_events, event, on_both};

on_both!(
    first_write_counts,
    one_of_many_writers_is_first,
    everything_comes_back,
    pages_and_newest,
    documents_follow_their_revisions,
    changes_on_condition,
    search_finds_parts,
    forgetting,
    refuses_what_it_cannot_hold,
    opens_once_for_all,
    newer_versions_are_refused,
    full_queue_is_refused_at_once,
    close_writes_what_waits,
);

async fn first_write_counts(place: Place) {
    use Outcome::{Duplicate, New};
    let store = place.open().await;
    let first = event("e1", "click", "u1", "i1", 10);
    let other = Event { value: Some(5.0), ..event("e1", "purchase", "u2", "i2", 20) };
    let answer = store
        .append(vec![first.clone(), other.clone(), event("e2", "click", "u1", "i1", 11)])
        .await
        .unwrap();
    assert_eq!(answer, [New, Duplicate, New]);
    assert_eq!(store.append(vec![other]).await.unwrap(), [Duplicate]);
    assert_eq!(store.append(Vec::new()).await.unwrap(), []);
    let (events, _) = all_events(&store, Cursor::START).await;
    assert_eq!(events, [first, event("e2", "click", "u1", "i1", 11)]);
    drop(store);
    let (again, _) = all_events(&place.open().await, Cursor::START).await;
    assert_eq!(events, again);
    assert_eq!(place.open().await.append(events).await.unwrap(), [Duplicate, Duplicate]);
}

async fn one_of_many_writers_is_first(place: Place) {
    // Two stores, so that not only one writer task is asked.
    let stores = [place.open().await, place.open().await];
    let callers: Vec<_> = (0..24)
        .map(|caller: usize| {
            let store = stores[caller % 2].clone();
            tokio::spawn(async move {
                let user = format!("u{caller}");
                // Each in another order.
                let ids = (0..50).map(|i| format!("e{}", (i * (2 * caller + 1) + caller) % 50));
                let events: Vec<Event> =
                    ids.map(|id| event(&id, "click", &user, "i1", 10)).collect();
                let outcomes = store.append(events.clone()).await.unwrap();
                (user, events, outcomes)
            })
        })
        .collect();
    let mut winner = HashMap::new();
    for caller in callers {
        let (user, events, outcomes) = caller.await.unwrap();
        for (event, outcome) in events.iter().zip(outcomes) {
            if outcome == Outcome::New {
                let before = winner.insert(event.id.clone(), user.clone());
                assert_eq!(before, None, "two callers were told that {} was new", event.id);
            }
        }
    }
    assert_eq!(winner.len(), 50);
    let (events, _) = all_events(&stores[0], Cursor::START).await;
    assert_eq!(events.len(), 50);
    for event in events {
        assert_eq!(winner[&event.id], event.user);
    }
}

async fn everything_comes_back(place: Place) {
    let store = place.open().await;
    let long = "é".repeat(256);
    let texts = ["x", "'; DROP TABLE daogou_event; --", "导购 🛒", "\"\\\n\t\u{1}", " ", &long];
    let values = [None, Some(0.0), Some(-1.5), Some(1e300), Some(5e-324), Some(1999.99), Some(0.1)];
    let mut events = Vec::new();
    for (i, text) in texts.iter().enumerate() {
        for (j, &value) in values.iter().enumerate() {
            events.push(Event {
                id: format!("{i}-{j}"),
                kind: "导".repeat(1 + j),
                user: (*text).to_owned(),
                item: (*text).to_owned(),
                timestamp: if i % 2 == 0 { 0 } else { MAX_TIME },
                request: (j % 2 == 0).then(|| (*text).to_owned()),
                position: [None, Some(1), Some(u32::MAX)][j % 3],
                value,
                context: (j % 2 == 0)
                    .then(|| [("hour".to_owned(), serde_json::json!("20"))].into()),
            });
        }
    }
    store.append(events.clone()).await.unwrap();
    assert_eq!(all_events(&store, Cursor::START).await.0, events);
}

async fn pages_and_newest(place: Place) {
    let store = place.open().await;
    assert_eq!(store.head().await.unwrap(), Cursor::START);
    assert_eq!(store.events(Cursor::START, 10).await.unwrap(), (Vec::new(), Cursor::START));
    // Times run against the order of arrival; two share each time.
    let events: Vec<Event> = (0..1000)
        .map(|i| event(&format!("e{i}"), "click", ["a", "b"][i % 2], "i1", 5000 - i as i64 / 4))
        .collect();
    for part in events.chunks(77) {
        store.append(part.to_vec()).await.unwrap();
    }
    let (read, cursor) = all_events(&store, Cursor::START).await;
    assert_eq!(read, events);
    assert_eq!(cursor, store.head().await.unwrap());
    let (first, next) = store.events(Cursor::START, 3).await.unwrap();
    let (second, _) = store.events(next, 3).await.unwrap();
    assert_eq!([first, second].concat(), events[..6]);

    let mut of_b: Vec<Event> = events.iter().filter(|event| event.user == "b").cloned().collect();
    of_b.sort_by_key(|event| event.timestamp);
    assert_eq!(store.events_of("b", -1, 10_000).await.unwrap(), of_b);
    assert_eq!(store.events_of("b", -1, 7).await.unwrap(), of_b[of_b.len() - 7..]);
    let after = of_b[100].timestamp;
    let later: Vec<_> = of_b.iter().filter(|event| event.timestamp > after).cloned().collect();
    assert_eq!(store.events_of("b", after, 10_000).await.unwrap(), later);
    assert_eq!(store.events_of("c", -1, 10).await.unwrap(), []);
}

async fn documents_follow_their_revisions(place: Place) {
    let store = place.open().await;
    assert_eq!(store.get(Kind::Item, "i1").await.unwrap(), None);
    let phone =
        json!({"title": "Phone", "price": 1999.0, "z": {"a": [1, 2.5, null, "\u{0}"]}, "b": 1});
    let first = store
        .put(vec![
            Change::put(Kind::Item, "i1", phone.clone()),
            Change::put(Kind::Item, "i2", json!({"title": "first"})),
            Change::put(Kind::Item, "i2", json!({"title": "second"})),
            Change::put(Kind::User, "i1", json!({"age": "20"})),
        ])
        .await
        .unwrap();
    let item = store.get(Kind::Item, "i1").await.unwrap().unwrap();
    assert_eq!(item.body, Some(phone));
    let now = std::time::UNIX_EPOCH.elapsed().unwrap().as_secs() as i64;
    assert!((now - 60..=now).contains(&item.written));
    let second = store.get(Kind::Item, "i2").await.unwrap().unwrap();
    assert_eq!(second.body, Some(json!({"title": "second"})));
    let items = store.documents(Kind::Item, 0, 10).await.unwrap();
    assert_eq!(items.iter().map(|d| d.id.as_str()).collect::<Vec<_>>(), ["i1", "i2"]);
    assert!(items[0].revision < items[1].revision);
    let all = store.changes(0, 10).await.unwrap();
    assert_eq!(all.len(), 3);
    assert_eq!(all.last().unwrap().revision, first);
    assert!(store.revision().await.unwrap() >= first);

    let last = store.put(vec![Change::delete(Kind::Item, "i1")]).await.unwrap();
    assert!(last > first);
    assert_eq!(store.get(Kind::Item, "i1").await.unwrap(), None);
    let news = store.changes(first, 10).await.unwrap();
    assert_eq!(news.len(), 1);
    assert_eq!((news[0].id.as_str(), &news[0].body, news[0].revision), ("i1", &None, last));
    assert_eq!(store.documents(Kind::Item, 0, 10).await.unwrap().len(), 2);
    assert_eq!(store.changes(0, 2).await.unwrap().len(), 2);
    assert_eq!(store.changes(last, 10).await.unwrap(), []);

    // Many at once, and again.
    for round in 0..2 {
        let many = (0..3000).map(|i| Change::put(Kind::Item, format!("m{i}"), json!({"r": round})));
        store.put(many.collect()).await.unwrap();
    }
    assert_eq!(store.documents(Kind::Item, last, 5000).await.unwrap().len(), 3000);
    drop(store);
    let store = place.open().await;
    assert_eq!(store.get(Kind::Item, "m7").await.unwrap().unwrap().body, Some(json!({"r": 1})));
}

async fn changes_on_condition(place: Place) {
    let stores = [place.open().await, place.open().await];
    let store = &stores[0];
    let new = |n: i64| Change::put(Kind::Setting, "counter", json!({ "n": n }));
    let revision = store.put(vec![new(0).only_at(0)]).await.unwrap();
    let error = store
        .put(vec![Change::put(Kind::Setting, "beside", Value::Null), new(9).only_at(0)])
        .await
        .unwrap_err();
    assert!(
        matches!(&error, StoreError::Conflict { kind: "setting", id, expected: 0, found }
            if id == "counter" && *found == revision),
        "{error}"
    );
    assert_eq!(store.get(Kind::Setting, "beside").await.unwrap(), None, "all or nothing");
    assert!(store.put(vec![new(9).only_at(revision + 1)]).await.is_err());
    // Eight add ten each, over two stores: none is lost, and a refusal touches no other caller.
    let callers: Vec<_> = (0..8)
        .map(|caller: usize| {
            let store = stores[caller % 2].clone();
            tokio::spawn(async move {
                let mut done = 0;
                while done < 10 {
                    let at = store.get(Kind::Setting, "counter").await.unwrap().unwrap();
                    let n = at.body.unwrap()["n"].as_i64().unwrap() + 1;
                    let put = Change::put(Kind::Setting, "counter", json!({ "n": n }));
                    match store.put(vec![put.only_at(at.revision)]).await {
                        Ok(_) => done += 1,
                        Err(StoreError::Conflict { .. }) => {}
                        Err(error) => panic!("{error}"),
                    }
                }
            })
        })
        .collect();
    for caller in callers {
        caller.await.unwrap();
    }
    let counter = store.get(Kind::Setting, "counter").await.unwrap().unwrap();
    assert_eq!(counter.body, Some(json!({"n": 80})));
    // A deleted document is none, and can be deleted on condition too.
    store
        .put(vec![Change::delete(Kind::Setting, "counter").only_at(counter.revision)])
        .await
        .unwrap();
    store.put(vec![new(1).only_at(0)]).await.unwrap();
}

async fn search_finds_parts(place: Place) {
    let store = place.open().await;
    let titles = ["Blue PHONE", "100%_safe\\case", "导购 手机", "ÉCLAIR", "blue case"];
    let puts = titles.iter().enumerate().map(|(i, title)| {
        Change::put(Kind::Item, format!("i{i}"), json!({"attributes": {"title": title, "n": 7}}))
    });
    store.put(puts.collect()).await.unwrap();
    store.put(vec![Change::put(Kind::User, "blue", json!({}))]).await.unwrap();
    store.put(vec![Change::put(Kind::Item, "i9", json!({"title": "blue"}))]).await.unwrap();
    store.put(vec![Change::delete(Kind::Item, "i9")]).await.unwrap();
    let find = async |text: &str| {
        let (found, total) = store.search(Kind::Item, text, 10, 0).await.unwrap();
        assert_eq!(found.len() as u64, total);
        found.into_iter().map(|d| d.id).collect::<Vec<_>>()
    };
    assert_eq!(find("").await, ["i0", "i1", "i2", "i3", "i4"]);
    assert_eq!(find("bLuE").await, ["i0", "i4"]);
    assert_eq!(find(" phone ").await, ["i0"]);
    assert_eq!(find("手机").await, ["i2"]);
    assert_eq!(find("éclair").await, ["i3"]);
    assert_eq!(find("I3").await, ["i3"]);
    assert_eq!(find("%").await, ["i1"]);
    assert_eq!(find("_s").await, ["i1"]);
    assert_eq!(find("\\").await, ["i1"]);
    assert_eq!(find("nothing").await, Vec::<String>::new());
    assert_eq!(find("title").await, Vec::<String>::new());
    let (page, total) = store.search(Kind::Item, "", 2, 3).await.unwrap();
    assert_eq!((page.len(), page[0].id.as_str(), total), (2, "i3", 5));
    let (page, total) = store.search(Kind::Item, "", 2, 30).await.unwrap();
    assert_eq!((page.len(), total), (0, 5));
    assert!(store.search(Kind::Item, &"x".repeat(600), 2, 0).await.is_err());
}

async fn forgetting(place: Place) {
    let store = place.open().await;
    let events: Vec<Event> = (0..5000)
        .map(|i| event(&format!("e{i}"), "click", &format!("u{}", i % 2), "i1", i))
        .collect();
    store.append(events.clone()).await.unwrap();
    let before = store.head().await.unwrap();
    assert_eq!(store.forget(0).await.unwrap(), 0);
    assert_eq!(store.forget(3001).await.unwrap(), 3001);
    let (left, _) = all_events(&store, Cursor::START).await;
    assert_eq!(left, events[3001..]);
    // New ones come after all that ever was, so that no follower misses them.
    store.append(vec![event("new", "click", "u0", "i1", 9000)]).await.unwrap();
    let (news, _) = store.events(before, 10).await.unwrap();
    assert_eq!(news.len(), 1);

    store.put(vec![Change::put(Kind::User, "u0", json!({"age": "20"}))]).await.unwrap();
    let revision = store.revision().await.unwrap();
    assert_eq!(store.forget_user("u0").await.unwrap(), 1000);
    assert_eq!(store.events_of("u0", -1, 10).await.unwrap(), []);
    assert_eq!(store.events_of("u1", -1, 10_000).await.unwrap().len(), 1000);
    assert_eq!(store.get(Kind::User, "u0").await.unwrap(), None);
    let told = store.changes(revision, 10).await.unwrap();
    assert!(told.iter().all(|d| d.kind == Kind::User && d.id == "u0" && d.body.is_none()));
    assert_eq!(told.len(), 1);
    assert_eq!(store.search(Kind::User, "", 10, 0).await.unwrap().1, 0);
    // Two at once, while events arrive.
    let other = place.open().await;
    let arriving = tokio::spawn({
        let store = store.clone();
        async move {
            for i in 0..50 {
                let id = format!("late{i}");
                store.append(vec![event(&id, "click", "u3", "i1", 20_000)]).await.unwrap();
            }
        }
    });
    let (a, b) = tokio::join!(store.forget(10_000), other.forget(10_000));
    assert_eq!(a.unwrap() + b.unwrap(), 1000);
    arriving.await.unwrap();
    assert_eq!(all_events(&store, Cursor::START).await.0.len(), 50);
}

async fn refuses_what_it_cannot_hold(place: Place) {
    let store = place.open().await;
    let good = || event("e", "click", "u", "i", 1);
    let bad = [
        ("id", Event { id: String::new(), ..good() }),
        ("id", Event { id: "x".repeat(513), ..good() }),
        ("type", Event { kind: "x".repeat(65), ..good() }),
        ("user", Event { user: "a\0b".to_owned(), ..good() }),
        ("item", Event { item: String::new(), ..good() }),
        ("timestamp", Event { timestamp: 1_700_000_000_000, ..good() }),
        ("timestamp", Event { timestamp: -1, ..good() }),
        ("request", Event { request: Some(String::new()), ..good() }),
        ("position", Event { position: Some(0), ..good() }),
        ("value", Event { value: Some(f64::NAN), ..good() }),
    ];
    for (key, bad) in bad {
        let error = store.append(vec![good(), bad]).await.unwrap_err();
        let StoreError::Invalid { key: found, .. } = &error else { panic!("{error}") };
        assert_eq!(found, &format!("events[1].{key}"));
    }
    let huge = Change::put(Kind::Item, "i", Value::String("x".repeat(1 << 20)));
    for change in [huge, Change::delete(Kind::Item, ""), Change::delete(Kind::Item, "\0")] {
        let error = store.put(vec![change]).await.unwrap_err();
        assert!(error.to_string().starts_with("`documents[0]."), "{error}");
    }
    // Neither the good ones of these batches nor anything else was stored.
    assert_eq!(all_events(&store, Cursor::START).await.0, []);
    assert_eq!(store.changes(0, 10).await.unwrap(), []);
    store.check().await.unwrap();
}

async fn opens_once_for_all(place: Place) {
    // Replicas that start at once on an empty database.
    let url = std::sync::Arc::new(place.url.clone());
    let starts: Vec<_> = (0..8)
        .map(|i| {
            let url = url.clone();
            tokio::spawn(async move {
                let store = Store::open(&url, &StoreOptions::default()).await.unwrap();
                store.append(vec![event(&format!("e{i}"), "click", "u", "i", 1)]).await.unwrap();
            })
        })
        .collect();
    for start in starts {
        start.await.unwrap();
    }
    assert_eq!(all_events(&place.open().await, Cursor::START).await.0.len(), 8);
}

async fn newer_versions_are_refused(place: Place) {
    place.open().await.close().await;
    place.execute("INSERT INTO daogou_schema (version) VALUES (99)").await;
    let error = Store::open(&place.url, &StoreOptions::default()).await.unwrap_err();
    assert!(matches!(error, StoreError::Newer { found: 99, .. }), "{error}");
    assert!(error.hint().is_some());
    place.execute("DROP TABLE daogou_schema").await;
    if place.schema.is_some() {
        let error = Store::open(&place.url, &StoreOptions::default()).await.unwrap_err();
        assert!(matches!(error, StoreError::Foreign { .. }), "{error}");
    }
}

async fn full_queue_is_refused_at_once(place: Place) {
    let options = StoreOptions {
        timeout: Duration::from_secs(3),
        queue_bytes: 20_000,
        ..StoreOptions::default()
    };
    let store = place.open_with(&options).await;
    let too_large = (0..200).map(|i| event(&format!("e{i}"), "click", "u", "i", 1)).collect();
    let error = store.append(too_large).await.unwrap_err();
    assert!(matches!(error, StoreError::Invalid { .. }), "{error}");

    let lock = place.lock().await;
    let started = Instant::now();
    let waiting: Vec<_> = (0..400)
        .map(|i| {
            let store = store.clone();
            tokio::spawn(async move {
                let result =
                    store.append(vec![event(&format!("e{i}"), "click", "u", "i", 1)]).await;
                (i, result, started.elapsed())
            })
        })
        .collect();
    let (mut at_once, mut late) = (0, 0);
    for caller in waiting {
        let (_, result, took) = caller.await.unwrap();
        let error = result.unwrap_err();
        assert!(error.is_passing(), "{error}");
        assert!(took < Duration::from_secs(5), "{took:?}");
        if error.to_string().contains("slow") {
            assert!(took < Duration::from_secs(1), "{took:?}");
            at_once += 1;
        } else {
            late += 1;
        }
    }
    assert!(at_once > 200, "{at_once} of 400");
    assert!(late > 20, "{late} of 400");
    drop(lock);
    // Once the lock is gone everything goes on; all that is sent again counts once.
    let again: Vec<Event> =
        (0..100).map(|i| event(&format!("e{i}"), "click", "u", "i", 1)).collect();
    let deadline = Instant::now() + Duration::from_secs(10);
    while let Err(error) = store.append(again.clone()).await {
        assert!(error.is_passing() && Instant::now() < deadline, "{error}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let ids: Vec<String> =
        all_events(&store, Cursor::START).await.0.into_iter().map(|event| event.id).collect();
    assert_eq!(ids.iter().collect::<HashSet<_>>().len(), ids.len());
    assert!(again.iter().all(|event| ids.contains(&event.id)));
}

async fn close_writes_what_waits(place: Place) {
    let store = place.open().await;
    let callers: Vec<_> = (0..100)
        .map(|i| {
            let store = store.clone();
            tokio::spawn(async move {
                store.append(vec![event(&format!("e{i}"), "click", "u", "i", 1)]).await
            })
        })
        .collect();
    tokio::task::yield_now().await;
    store.close().await;
    let mut acknowledged = 0;
    for caller in callers {
        match caller.await.unwrap() {
            Ok(outcomes) => acknowledged += outcomes.len(),
            Err(error) => assert!(error.to_string().contains("closed"), "{error}"),
        }
    }
    assert!(store.check().await.is_err());
    let (events, _) = all_events(&place.open().await, Cursor::START).await;
    assert_eq!(events.len(), acknowledged);
}

#[tokio::test]
async fn in_memory() {
    let store = Store::open("sqlite::memory:", &StoreOptions::default()).await.unwrap();
    let other = Store::open("sqlite::memory:", &StoreOptions::default()).await.unwrap();
    store.append(vec![event("e", "click", "u", "i", 1)]).await.unwrap();
    store.put(vec![Change::put(Kind::Item, "i", json!({}))]).await.unwrap();
    assert_eq!(store.events_of("u", -1, 1).await.unwrap().len(), 1);
    assert_eq!(other.events_of("u", -1, 1).await.unwrap().len(), 0);
    store.check().await.unwrap();

    // It is well again after it was full, though its one connection cannot be replaced.
    let options = StoreOptions { max_bytes: Some(1 << 19), ..StoreOptions::default() };
    let small = Store::open("sqlite::memory:", &options).await.unwrap();
    for round in 0..3 {
        let mut stored = 0;
        let error = loop {
            let ids = (0..50).map(|i| format!("{round}-{stored}-{i}"));
            let events = ids.map(|id| event(&id, "click", "u", "i", 1)).collect();
            match small.append(events).await {
                Ok(_) => stored += 50,
                Err(error) => break error,
            }
        };
        assert!(stored > 100 && error.is_passing(), "{stored}, {error}");
        assert!(small.check().await.is_err());
        assert_eq!(small.forget(10).await.unwrap(), stored);
        small.check().await.unwrap();
    }
}

#[tokio::test]
async fn other_files_are_left_as_they_are() {
    let dir = tempfile::tempdir().unwrap();
    let open = async |path: &std::path::Path| {
        Store::open(path.to_str().unwrap(), &StoreOptions::default()).await
    };
    let text = dir.path().join("notes.txt");
    std::fs::write(&text, "not a database, but long enough to have a header\n".repeat(40)).unwrap();
    let foreign = dir.path().join("foreign.db");
    Place::foreign(&foreign).await;
    for path in [text, foreign] {
        let before = std::fs::read(&path).unwrap();
        let error = open(&path).await.unwrap_err();
        assert!(matches!(error, StoreError::Foreign { .. }), "{error}");
        assert!(error.to_string().contains(path.to_str().unwrap()), "{error}");
        assert_eq!(std::fs::read(&path).unwrap(), before);
    }
    assert!(matches!(open(dir.path()).await.unwrap_err(), StoreError::Invalid { .. }));
    let nowhere = dir.path().join("no/such/directory/store.db");
    assert!(open(&nowhere).await.unwrap_err().is_passing());
    // A damaged one is not taken for a fresh one.
    let damaged = dir.path().join("damaged.db");
    open(&damaged).await.unwrap().close().await;
    let mut bytes = std::fs::read(&damaged).unwrap();
    bytes[100..].fill(0x5a);
    std::fs::write(&damaged, &bytes).unwrap();
    let error = open(&damaged).await.unwrap_err();
    assert!(matches!(error, StoreError::Corrupt { .. }), "{error}");
    // An empty file is as good as none.
    let empty = dir.path().join("empty.db");
    std::fs::write(&empty, "").unwrap();
    open(&empty).await.unwrap().check().await.unwrap();
}

#[tokio::test]
async fn other_urls_are_refused() {
    for url in
        ["", "sqlite:", "mysql://root:secret@localhost/x", "postgres://[", "postgres://h:x/d"]
    {
        let error = Store::open(url, &StoreOptions::default()).await.unwrap_err();
        assert!(matches!(error, StoreError::Invalid { .. }), "{url}: {error}");
        assert!(!error.to_string().contains("secret"), "{error}");
    }
}

/// Events per second of 64 callers of 10 events each; a number to read, not a test.
async fn throughput(place: Place) {
    let store = place.open().await;
    let started = Instant::now();
    let callers: Vec<_> = (0..64)
        .map(|caller| {
            let store = store.clone();
            tokio::spawn(async move {
                let mut slowest = Duration::ZERO;
                let mut round = 0;
                while started.elapsed() < Duration::from_secs(5) {
                    let events = (0..10).map(|i| Event {
                        request: Some(format!("018f-{caller}-{round}")),
                        position: Some(i + 1),
                        ..event(
                            &format!("{caller}-{round}-{i}"),
                            "impression",
                            &format!("u{:05}", (caller * 7919 + round) % 10_000),
                            &format!("i{i}"),
                            1_700_000_000 + i64::from(round),
                        )
                    });
                    let asked = Instant::now();
                    store.append(events.collect()).await.unwrap();
                    slowest = slowest.max(asked.elapsed());
                    round += 1;
                }
                (round, slowest)
            })
        })
        .collect();
    let (mut rounds, mut slowest) = (0, Duration::ZERO);
    for caller in callers {
        let (done, took) = caller.await.unwrap();
        rounds += done;
        slowest = slowest.max(took);
    }
    let rate = f64::from(rounds * 10) / started.elapsed().as_secs_f64();
    let line = format!("{rate:.0} events/s, the slowest call took {slowest:?}\n");
    std::io::Write::write_all(&mut std::io::stderr(), line.as_bytes()).unwrap();
}

#[test]
#[ignore = "a measurement"]
fn throughput_sqlite() {
    crate::place::on_sqlite(throughput);
}

#[test]
#[ignore = "a measurement"]
fn throughput_postgres() {
    crate::place::on_postgres("throughput", throughput);
}
