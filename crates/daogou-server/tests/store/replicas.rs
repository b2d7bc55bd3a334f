//! Several processes on one database: whoever follows misses nothing.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use daogou_server::store::{Change, Cursor, Kind};
use serde_json::json;
use sqlx::postgres::PgConnection;
use sqlx::{Connection, Executor};

use crate::place::{Place, all_events, event, on_both, on_postgres};

on_both!(followers_miss_nothing);

async fn followers_miss_nothing(place: Place) {
    let stores = [place.open().await, place.open().await, place.open().await];
    let over = Arc::new(AtomicBool::new(false));
    let follower = tokio::spawn({
        let (store, over) = (place.open().await, over.clone());
        async move {
            let (mut cursor, mut revision) = (Cursor::START, 0);
            let (mut events, mut documents) = (Vec::new(), Vec::new());
            loop {
                // Asked before reading: what was written until then must be found.
                let last = over.load(Ordering::SeqCst);
                let (page, next) = store.events(cursor, 100).await.unwrap();
                cursor = next;
                let idle = page.is_empty();
                events.extend(page.into_iter().map(|event| event.id));
                let page = store.changes(revision, 100).await.unwrap();
                revision = page.last().map_or(revision, |document| document.revision);
                let idle = idle && page.is_empty();
                documents.extend(page.into_iter().map(|document| document.id));
                if last && idle {
                    return (events, documents);
                }
            }
        }
    });
    let writers: Vec<_> = (0..9)
        .map(|writer: usize| {
            let store = stores[writer % 3].clone();
            tokio::spawn(async move {
                for round in 0..30 {
                    let ids = (0..7).map(|i| format!("{writer}-{round}-{i}"));
                    let events = ids.map(|id| event(&id, "click", "u", "i", 1)).collect();
                    let puts = (0..3).map(|i| {
                        Change::put(Kind::Item, format!("{writer}-{round}-{i}"), json!({}))
                    });
                    let (appended, put) =
                        tokio::join!(store.append(events), store.put(puts.collect()));
                    appended.unwrap();
                    put.unwrap();
                }
            })
        })
        .collect();
    for writer in writers {
        writer.await.unwrap();
    }
    over.store(true, Ordering::SeqCst);
    let (mut events, mut documents) = follower.await.unwrap();
    assert_eq!((events.len(), documents.len()), (9 * 30 * 7, 9 * 30 * 3));
    events.sort();
    events.dedup();
    documents.sort();
    documents.dedup();
    assert_eq!((events.len(), documents.len()), (9 * 30 * 7, 9 * 30 * 3));
}

#[test]
fn a_commit_that_comes_late_is_not_overtaken() {
    on_postgres("late_commit", |place: Place| async move {
        let store = place.open().await;
        store.append(vec![event("first", "click", "u", "i", 1)]).await.unwrap();
        let (_, cursor) = all_events(&store, Cursor::START).await;
        let revision = store.revision().await.unwrap();
        // Another replica has taken the next numbers and is slow to commit.
        let mut slow = PgConnection::connect(&place.url).await.unwrap();
        slow.execute(
            "BEGIN; UPDATE daogou_counter SET last = last + 1 WHERE name = 'event'; \
             INSERT INTO daogou_event (arrival, id, kind, user_id, item_id, time) \
             SELECT last, 'slow', 'click', 'u', 'i', 1 FROM daogou_counter WHERE name = 'event'; \
             UPDATE daogou_counter SET last = last + 1 WHERE name = 'document'; \
             INSERT INTO daogou_document (kind, id, body, words, revision, written) \
             SELECT 'item', 'slow', '{}', 'slow', last, 1 FROM daogou_counter WHERE name = 'document'",
        )
        .await
        .unwrap();
        let fast = tokio::spawn({
            let store = store.clone();
            async move {
                let events = store.append(vec![event("fast", "click", "u", "i", 1)]);
                let put = store.put(vec![Change::put(Kind::Item, "fast", json!({}))]);
                let (events, put) = tokio::join!(events, put);
                events.unwrap();
                put.unwrap();
            }
        });
        tokio::time::sleep(Duration::from_millis(300)).await;
        // A follower reads now; were `fast` there, it would go on after it and never see `slow`.
        assert_eq!(store.events(cursor, 10).await.unwrap().0, []);
        assert_eq!(store.changes(revision, 10).await.unwrap(), []);
        assert!(!fast.is_finished());
        slow.execute("COMMIT").await.unwrap();
        fast.await.unwrap();
        let ids: Vec<String> =
            store.events(cursor, 10).await.unwrap().0.into_iter().map(|event| event.id).collect();
        assert_eq!(ids, ["slow", "fast"]);
        let ids: Vec<String> =
            store.changes(revision, 10).await.unwrap().into_iter().map(|d| d.id).collect();
        assert_eq!(ids, ["slow", "fast"]);
    });
}
