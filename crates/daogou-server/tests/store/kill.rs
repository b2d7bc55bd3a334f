//! A process that is killed while it stores: what it acknowledged is there, once.
//!
//! A child runs this same test program. It appends from several tasks and writes the id of each acknowledged event to
//! its output; the parent kills it at a random moment and looks. `DAOGOU_KILL_ROUNDS` says how often, 5 times if it is
//! not set.

use std::collections::HashSet;
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use daogou_server::store::{Cursor, Store, StoreOptions};

use crate::place::{Place, all_events, event, on_postgres, on_sqlite};

const URL: &str = "DAOGOU_KILL_URL";
const ROUND: &str = "DAOGOU_KILL_ROUND";

/// What the child does; by itself, nothing.
#[test]
#[ignore = "run by the tests below"]
fn child() {
    let (Ok(url), Ok(round)) = (std::env::var(URL), std::env::var(ROUND)) else { return };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let store = Store::open(&url, &StoreOptions::default()).await.unwrap();
        let tasks: Vec<_> = (0..8)
            .map(|task: usize| {
                let (store, round) = (store.clone(), round.clone());
                tokio::spawn(async move {
                    for batch in 0.. {
                        let size = 1 + (task * 7 + batch) % 23;
                        let mut events: Vec<_> = (0..size)
                            .map(|i| format!("{round}-{task}-{batch}-{i}"))
                            .map(|id| event(&id, "click", &format!("u{task}"), "i1", 1))
                            .collect();
                        if batch > 0 {
                            // Senders send again.
                            let again = format!("{round}-{task}-{}-0", batch - 1);
                            events.push(event(&again, "click", "again", "i1", 1));
                        }
                        store.append(events.clone()).await.unwrap();
                        let mut lines = String::new();
                        events.iter().for_each(|event| lines += &format!("ack {}\n", event.id));
                        // One write, so that lines of several tasks do not mix.
                        std::io::stdout().lock().write_all(lines.as_bytes()).unwrap();
                    }
                })
            })
            .collect();
        for task in tasks {
            task.await.unwrap();
        }
    });
}

fn start(url: &str, round: &str) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "kill::child", "--ignored", "--nocapture", "--test-threads=1"])
        .env(URL, url)
        .env(ROUND, round)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap()
}

/// Kills the children this long after their start, or after one has acknowledged something, and returns what they had
/// acknowledged.
fn kill(mut children: Vec<Child>, started: bool, after: Duration) -> HashSet<String> {
    let (first, acknowledged) = mpsc::channel();
    let readers: Vec<_> = children
        .iter_mut()
        .map(|child| {
            let mut output = BufReader::new(child.stdout.take().unwrap());
            let first = first.clone();
            std::thread::spawn(move || {
                let (mut ids, mut line) = (HashSet::new(), String::new());
                while output.read_line(&mut line).unwrap_or(0) > 0 {
                    // A line without its end was cut off.
                    if let Some(id) = line.strip_prefix("ack ").and_then(|l| l.strip_suffix('\n')) {
                        ids.insert(id.to_owned());
                        let _ = first.send(());
                    }
                    line.clear();
                }
                ids
            })
        })
        .collect();
    if started {
        acknowledged.recv_timeout(Duration::from_mins(1)).unwrap();
    }
    std::thread::sleep(after);
    for child in &mut children {
        assert!(child.try_wait().unwrap().is_none(), "the child ended by itself");
        child.kill().unwrap();
    }
    for child in &mut children {
        child.wait().unwrap();
    }
    readers.into_iter().flat_map(|reader| reader.join().unwrap()).collect()
}

async fn rounds(place: Place, together: usize) {
    let rounds: u64 =
        std::env::var("DAOGOU_KILL_ROUNDS").map_or(5, |rounds| rounds.parse().unwrap());
    let (mut acknowledged, mut stored, mut cursor) = (0, HashSet::new(), Cursor::START);
    let mut random = 0x9e37_79b9_7f4a_7c15_u64;
    let mut with_acknowledged = 0;
    for round in 0..rounds {
        // An xorshift (Marsaglia 2003) is random enough for moments.
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        // One in four possibly during the start.
        let started = !random.is_multiple_of(4);
        let after = Duration::from_millis((random >> 8) % 400);
        let children =
            (0..together).map(|child| start(&place.url, &format!("{round}.{child}"))).collect();
        let ids =
            tokio::task::spawn_blocking(move || kill(children, started, after)).await.unwrap();
        let store = place.open().await;
        let (events, next) = all_events(&store, cursor).await;
        cursor = next;
        for event in events {
            assert_ne!(event.user, "again", "a duplicate replaced {}", event.id);
            assert!(stored.insert(event.id.clone()), "{} is there twice", event.id);
        }
        let lost: Vec<_> = ids.iter().filter(|id| !stored.contains(*id)).take(5).collect();
        assert!(lost.is_empty(), "round {round}: acknowledged and lost: {lost:?}");
        acknowledged += ids.len();
        with_acknowledged += u64::from(!ids.is_empty());
        store.close().await;
    }
    // From the beginning, as well: nothing that was there has gone.
    let (all, _) = all_events(&place.open().await, Cursor::START).await;
    assert_eq!(all.len(), stored.len());
    let line = format!(
        "{rounds} rounds of {together} killed, {with_acknowledged} after acknowledging: {acknowledged} events \
         acknowledged, {} stored, none lost, none twice\n",
        stored.len()
    );
    std::io::stderr().write_all(line.as_bytes()).unwrap();
    assert!(rounds < 5 || with_acknowledged * 2 > rounds, "{with_acknowledged} of {rounds}");
}

#[test]
fn sqlite() {
    on_sqlite(|place| rounds(place, 1));
}

#[test]
fn postgres() {
    on_postgres("kill", |place| rounds(place, 2));
}
