//! Databases that are down, slow, cut off, locked or full: refused with a reason, and well again without a restart.

use std::collections::{HashMap, HashSet};
use std::path::Path;
use std::str::FromStr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use daogou_server::store::{Change, Cursor, Event, Kind, Outcome, Store, StoreError, StoreOptions};
use serde_json::json;
use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{ConnectOptions, Connection};
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};

use crate::place::{Place, all_events, base, event, on_both, on_postgres, on_sqlite};

on_both!(a_lock_that_lasts);

fn batch(name: &str, size: usize) -> Vec<Event> {
    (0..size).map(|i| event(&format!("{name}-{i}"), "click", "u", "i", 1)).collect()
}

fn quick() -> StoreOptions {
    StoreOptions { timeout: Duration::from_millis(700), ..StoreOptions::default() }
}

/// Appends until it succeeds.
async fn recovers(store: &Store, name: &str) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while let Err(error) = store.append(batch(name, 3)).await {
        assert!(error.is_passing(), "{error}");
        assert!(Instant::now() < deadline, "it does not recover: {error}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    store.check().await.unwrap();
    store.put(vec![Change::put(Kind::Item, name, json!({}))]).await.unwrap();
    assert!(store.get(Kind::Item, name).await.unwrap().is_some());
    let (events, _) = all_events(store, Cursor::START).await;
    let ids: HashSet<&str> = events.iter().map(|event| event.id.as_str()).collect();
    assert_eq!(ids.len(), events.len());
    assert!(ids.contains(format!("{name}-2").as_str()));
}

async fn a_lock_that_lasts(place: Place) {
    let store = place.open_with(&quick()).await;
    store.append(batch("before", 3)).await.unwrap();
    for round in 0..3 {
        let lock = place.lock().await;
        let started = Instant::now();
        let error = store.append(batch("during", 3)).await.unwrap_err();
        assert!(error.is_passing(), "{error}");
        assert!(started.elapsed() < Duration::from_secs(2), "{:?}", started.elapsed());
        assert!(store.check().await.unwrap_err().is_passing());
        assert!(store.forget(10).await.unwrap_err().is_passing());
        // Readers do not care.
        assert_eq!(store.events_of("u", 0, 3).await.unwrap().len(), 3);
        drop(lock);
        recovers(&store, &format!("after{round}")).await;
    }
}

#[test]
fn connections_that_are_terminated() {
    on_postgres("terminated", |place: Place| async move {
        let store = place.open().await;
        let (over, failures) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let writers: Vec<_> = (0..4)
            .map(|writer| {
                let (store, over, failures) = (store.clone(), over.clone(), failures.clone());
                tokio::spawn(async move {
                    let (mut acknowledged, mut round) = (Vec::new(), 0);
                    while !over.load(Ordering::SeqCst) {
                        let events = batch(&format!("{writer}-{round}"), 5);
                        match store.append(events.clone()).await {
                            Ok(_) => {
                                acknowledged.extend(events.into_iter().map(|event| event.id));
                                round += 1;
                            }
                            // The same again.
                            Err(error) => {
                                assert!(error.is_passing(), "{error}");
                                failures.fetch_add(1, Ordering::SeqCst);
                            }
                        }
                    }
                    acknowledged
                })
            })
            .collect();
        let mut admin = PgConnection::connect(&base()).await.unwrap();
        let mut ended = 0;
        let deadline = Instant::now() + Duration::from_mins(1);
        // Until it has hit often, also in the middle of a transaction.
        while ended < 30 || failures.load(Ordering::SeqCst) < 5 {
            assert!(Instant::now() < deadline, "{ended} ended, {failures:?} failures");
            tokio::time::sleep(Duration::from_millis(25)).await;
            let hit: i64 = sqlx::query_scalar(
                "SELECT COUNT(pg_terminate_backend(pid)) FROM pg_stat_activity \
                 WHERE application_name = $1",
            )
            .bind(place.schema.as_deref())
            .fetch_one(&mut admin)
            .await
            .unwrap();
            ended += hit;
        }
        over.store(true, Ordering::SeqCst);
        let mut acknowledged = Vec::new();
        for writer in writers {
            acknowledged.extend(writer.await.unwrap());
        }
        recovers(&store, "after").await;
        let mut counts: HashMap<String, usize> = HashMap::new();
        for event in all_events(&store, Cursor::START).await.0 {
            *counts.entry(event.id).or_default() += 1;
        }
        assert!(acknowledged.len() > 100, "{}", acknowledged.len());
        assert!(acknowledged.iter().all(|id| counts.get(id) == Some(&1)));
        assert!(counts.values().all(|&count| count == 1));
    });
}

const PASS: u8 = 0;
/// Nothing more comes through, and nobody is told.
const STALL: u8 = 1;
/// Connections are ended, new ones refused.
const DOWN: u8 = 2;

/// Stands between the store and its database.
async fn proxy(target: (String, u16), mode: Arc<AtomicU8>) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        loop {
            let (mut client, _) = listener.accept().await.unwrap();
            let (mode, target) = (mode.clone(), target.clone());
            tokio::spawn(async move {
                if mode.load(Ordering::SeqCst) == DOWN {
                    return;
                }
                let mut server = TcpStream::connect(target).await.unwrap();
                let ended = async {
                    while mode.load(Ordering::SeqCst) == PASS {
                        tokio::time::sleep(Duration::from_millis(5)).await;
                    }
                };
                tokio::select! {
                    _ = copy_bidirectional(&mut client, &mut server) => return,
                    () = ended => {}
                }
                // Keeps both ends open without reading, for longer than the test lasts.
                if mode.load(Ordering::SeqCst) == STALL {
                    tokio::time::sleep(Duration::from_mins(10)).await;
                }
            });
        }
    });
    port
}

#[test]
fn a_database_that_is_away() {
    on_postgres("away", |place: Place| async move {
        let options = PgConnectOptions::from_str(&place.url).unwrap();
        let mode = Arc::new(AtomicU8::new(PASS));
        let host = options.get_host().to_owned();
        let port = proxy((host.clone(), options.get_port()), mode.clone()).await;
        let url = options.clone().host("127.0.0.1").port(port).to_url_lossy();
        // `to_url_lossy` forgets the options.
        let schema = place.schema.as_deref().unwrap();
        let url = format!("{url}&options[search_path]={schema}");
        let store = Store::open(&url, &quick()).await.unwrap();
        recovers(&store, "start").await;
        for (round, trouble) in [DOWN, STALL, DOWN, STALL].into_iter().enumerate() {
            mode.store(trouble, Ordering::SeqCst);
            tokio::time::sleep(Duration::from_millis(20)).await;
            for _ in 0..3 {
                let started = Instant::now();
                let (append, put, get, check) = tokio::join!(
                    store.append(batch("during", 3)),
                    store.put(vec![Change::delete(Kind::Item, "during")]),
                    store.get(Kind::Item, "start"),
                    store.check(),
                );
                assert!(append.unwrap_err().is_passing());
                assert!(put.unwrap_err().is_passing());
                assert!(get.unwrap_err().is_passing());
                assert!(check.unwrap_err().is_passing());
                assert!(started.elapsed() < Duration::from_secs(2), "{:?}", started.elapsed());
            }
            mode.store(PASS, Ordering::SeqCst);
            recovers(&store, &format!("after{round}")).await;
        }
        // At the start as well.
        mode.store(DOWN, Ordering::SeqCst);
        let error = Store::open(&url, &quick()).await.unwrap_err();
        assert!(error.is_passing(), "{error}");
    });
}

/// Fills a store until it refuses, and returns what it acknowledged.
async fn fill(store: &Store) -> (HashSet<String>, StoreError) {
    let mut acknowledged = HashSet::new();
    for round in 0.. {
        let events = batch(&format!("fill{round}"), 50);
        match store.append(events.clone()).await {
            Ok(_) => acknowledged.extend(events.into_iter().map(|event| event.id)),
            Err(error) => return (acknowledged, error),
        }
    }
    unreachable!()
}

async fn holds_exactly(store: &Store, acknowledged: &HashSet<String>) {
    let (events, _) = all_events(store, Cursor::START).await;
    assert_eq!(events.len(), acknowledged.len());
    assert!(events.iter().all(|event| acknowledged.contains(&event.id)));
}

#[test]
fn a_file_at_its_limit() {
    on_sqlite(|place: Place| async move {
        let options = StoreOptions { max_bytes: Some(1 << 20), ..StoreOptions::default() };
        let store = place.open_with(&options).await;
        let (acknowledged, error) = fill(&store).await;
        assert!(error.is_passing() && error.to_string().contains("full"), "{error}");
        assert!(acknowledged.len() > 1000, "{}", acknowledged.len());
        holds_exactly(&store, &acknowledged).await;
        let error = store.check().await.unwrap_err();
        assert!(error.to_string().contains("limit"), "{error}");
        assert_eq!(store.forget(10).await.unwrap(), acknowledged.len() as u64);
        store.check().await.unwrap();
        recovers(&store, "after").await;
        assert!(std::fs::metadata(place.dir().join("store.db")).unwrap().len() <= 1 << 20);
    });
}

/// A disk that is really full. It needs a small file system that is mounted for it, e.g. a `tmpfs` of 8 MB, named by
/// `DAOGOU_TEST_SMALL_DISK`.
#[tokio::test(flavor = "multi_thread")]
async fn a_disk_that_is_full() {
    let Ok(disk) = std::env::var("DAOGOU_TEST_SMALL_DISK") else {
        let line = "skipped: a_disk_that_is_full: DAOGOU_TEST_SMALL_DISK names no small disk\n";
        std::io::Write::write_all(&mut std::io::stderr(), line.as_bytes()).unwrap();
        return;
    };
    let dir = tempfile::tempdir_in(Path::new(&disk)).unwrap();
    let store = dir.path().join("store.db");
    let store = Store::open(store.to_str().unwrap(), &StoreOptions::default()).await.unwrap();
    store.append(batch("before", 3)).await.unwrap();
    let ballast = dir.path().join("ballast");
    for round in 0..3 {
        // As much of it as there is room for.
        let mut file = std::fs::File::create(&ballast).unwrap();
        (0..512).for_each(|_| drop(std::io::Write::write(&mut file, &[1; 4096])));
        assert!(file.metadata().unwrap().len() > 100_000);
        drop(file);
        let (_, error) = fill(&store).await;
        assert!(error.is_passing(), "{error}");
        for _ in 0..5 {
            let error = store.append(batch("during", 500)).await.unwrap_err();
            assert!(error.is_passing(), "{error}");
        }
        std::fs::remove_file(&ballast).unwrap();
        recovers(&store, &format!("after{round}")).await;
        assert_eq!(store.append(batch("before", 3)).await.unwrap(), [Outcome::Duplicate; 3]);
        store.forget(10).await.unwrap();
        store.append(batch("before", 3)).await.unwrap();
    }
}
