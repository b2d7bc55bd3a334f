//! From events to the table that training reads: one row per impression, with what came of it.
//!
//! A click or purchase belongs to an impression of the same person and item:
//!
//! * One that names a request belongs to the impression of that request; whatever clocks say, since the request is what
//!   was answered. Where an item was shown several times in it, to the last before the event.
//! * Where one of the two names no request, it belongs to the last impression within the attribution window before it.
//! * It never belongs to an impression of another request.
//! * A purchase prefers an impression that was clicked, and makes a click of one that was not: nobody buys unseen.
//!
//! Other types (`cart`, …) change nothing.
//!
//! Events are read person by person, so what is kept in memory is the events of the busiest person, about 300 bytes
//! each, one page of the store and one row group of the file, however long the log is. The rows of a request are beside
//! each other; requests are ordered by person, then by time.

use std::collections::{BTreeSet, HashMap};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use arrow_array::{ArrayRef, Int64Array, StringArray, TimestampMillisecondArray};
use serde::{Deserialize, Serialize};
use sqlx::Connection;

use super::database::{Dialect, on};
use super::error::Result;
use super::event::{Cursor, Event, EventRow, from_row};
use super::table_file::{Row, TableFile, Type};
use super::{PAGE, Store, blocking};

/// How labels find their impressions.
#[derive(Debug, Clone)]
pub struct Attribution {
    /// Seconds after an impression within which a click without a request belongs to it.
    pub click_window: i64,
    /// The same of a purchase.
    pub purchase_window: i64,
    /// Whether a click or purchase without an impression becomes a row of its own, of unknown position. It says that
    /// the item was shown, and only of items that were clicked; rates over such rows are too high.
    pub keep_unshown: bool,
}

impl Default for Attribution {
    fn default() -> Self {
        Self { click_window: 24 * 3600, purchase_window: 7 * 24 * 3600, keep_unshown: false }
    }
}

/// A row of the table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Impression {
    /// Who.
    pub user_id: String,
    /// What was shown.
    pub item_id: String,
    /// When, in Unix seconds.
    pub time: i64,
    /// The list it was shown in; made up where none was named, and then begins with `~`.
    pub request_id: String,
    /// Place in that list from 1; 0 where unknown.
    pub position: u32,
    /// Whether it was clicked.
    pub click: u8,
    /// Whether it was bought.
    pub purchase: u8,
    /// Context of the list, as JSON, where its events carried one.
    pub context: Option<String>,
}

/// What a join has done.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Joined {
    /// Rows written.
    pub rows: u64,
    /// Rows with a click.
    pub clicks: u64,
    /// Rows with a purchase.
    pub purchases: u64,
    /// Clicks that belong to no impression.
    pub unshown_clicks: u64,
    /// Purchases that belong to no impression.
    pub unshown_purchases: u64,
    /// Events that are neither impression, click nor purchase.
    pub other: u64,
}

impl Joined {
    fn add(&mut self, other: Self) {
        self.rows += other.rows;
        self.clicks += other.clicks;
        self.purchases += other.purchases;
        self.unshown_clicks += other.unshown_clicks;
        self.unshown_purchases += other.unshown_purchases;
        self.other += other.other;
    }
}

impl Row for Impression {
    const COLUMNS: &'static [(&'static str, Type, bool)] = &[
        ("user_id", Type::Text, false),
        ("item_id", Type::Text, false),
        ("time", Type::Time, false),
        ("request_id", Type::Text, false),
        ("position", Type::Whole, false),
        ("click", Type::Whole, false),
        ("purchase", Type::Whole, false),
        ("context", Type::Text, true),
    ];

    fn columns(rows: &[Self]) -> Vec<ArrayRef> {
        let texts = |of: fn(&Self) -> &str| -> ArrayRef {
            Arc::new(StringArray::from_iter_values(rows.iter().map(of)))
        };
        let whole = |of: fn(&Self) -> i64| -> ArrayRef {
            Arc::new(Int64Array::from_iter_values(rows.iter().map(of)))
        };
        let times = TimestampMillisecondArray::from_iter_values(rows.iter().map(|r| r.time * 1000));
        vec![
            texts(|row| &row.user_id),
            texts(|row| &row.item_id),
            Arc::new(times.with_timezone("UTC")),
            texts(|row| &row.request_id),
            whole(|row| i64::from(row.position)),
            whole(|row| i64::from(row.click)),
            whole(|row| i64::from(row.purchase)),
            Arc::new(rows.iter().map(|row| row.context.as_deref()).collect::<StringArray>()),
        ]
    }
}

/// Joins the events of one person to rows. Events of one second count in the order in which they are given; else their
/// order does not matter. Requests in `shared` are those that several people claim: each person's rows of them get a
/// request of their own, since a list is shown to one person.
pub fn join(
    events: &[Event],
    attribution: &Attribution,
    shared: &BTreeSet<String>,
) -> (Vec<Impression>, Joined) {
    let mut joined = Joined::default();
    let (mut shown, mut clicks, mut purchases) = (Vec::new(), Vec::new(), Vec::new());
    for event in events {
        match event.kind.as_str() {
            "impression" => shown.push(event),
            "click" => clicks.push(event),
            "purchase" => purchases.push(event),
            _ => joined.other += 1,
        }
    }
    let mut table = Table::default();
    for event in in_time(shown) {
        table.add(event, event.position.unwrap_or(0));
    }
    for event in in_time(clicks) {
        let row = table.find(event, attribution.click_window, false).or_else(|| {
            joined.unshown_clicks += 1;
            attribution.keep_unshown.then(|| table.add(event, 0))
        });
        if let Some(row) = row {
            table.rows[row].click = true;
        }
    }
    for event in in_time(purchases) {
        let row = table.find(event, attribution.purchase_window, true).or_else(|| {
            joined.unshown_purchases += 1;
            attribution.keep_unshown.then(|| table.add(event, 0))
        });
        if let Some(row) = row {
            (table.rows[row].click, table.rows[row].purchase) = (true, true);
        }
    }
    let rows = table.finish(shared);
    joined.rows = rows.len() as u64;
    joined.clicks = rows.iter().filter(|row| row.click == 1).count() as u64;
    joined.purchases = rows.iter().filter(|row| row.purchase == 1).count() as u64;
    (rows, joined)
}

fn in_time(mut events: Vec<&Event>) -> Vec<&Event> {
    events.sort_by_key(|event| event.timestamp);
    events
}

/// The rows of one person in the making, and where to find them. Lists of rows are in the order of time.
#[derive(Default)]
struct Table<'a> {
    rows: Vec<Entry<'a>>,
    /// By request and item.
    of_request: HashMap<(&'a str, &'a str), Vec<usize>>,
    /// By item: those without a request.
    of_none: HashMap<&'a str, Vec<usize>>,
    /// By item: all.
    of_item: HashMap<&'a str, Vec<usize>>,
}

struct Entry<'a> {
    event: &'a Event,
    position: u32,
    click: bool,
    purchase: bool,
}

impl<'a> Table<'a> {
    fn add(&mut self, event: &'a Event, position: u32) -> usize {
        let row = self.rows.len();
        self.rows.push(Entry { event, position, click: false, purchase: false });
        let item = event.item.as_str();
        let narrow = match &event.request {
            Some(request) => self.of_request.entry((request, item)).or_default(),
            None => self.of_none.entry(item).or_default(),
        };
        for list in [narrow, self.of_item.entry(item).or_default()] {
            let time = |&other: &usize| self.rows[other].event.timestamp <= event.timestamp;
            list.insert(list.partition_point(time), row);
        }
        row
    }

    /// The row that an event belongs to.
    fn find(&self, event: &Event, window: i64, prefer_clicked: bool) -> Option<usize> {
        let item = event.item.as_str();
        let since = event.timestamp.saturating_sub(window);
        let last = |list: &Vec<usize>, since: i64| {
            let until =
                list.partition_point(|&row| self.rows[row].event.timestamp <= event.timestamp);
            let near = || {
                (list[..until].iter().rev().copied())
                    .take_while(|&row| self.rows[row].event.timestamp >= since)
            };
            let clicked = near().find(|&row| prefer_clicked && self.rows[row].click);
            clicked.or_else(|| near().next())
        };
        match &event.request {
            None => self.of_item.get(item).and_then(|list| last(list, since)),
            Some(request) => match self.of_request.get(&(request.as_str(), item)) {
                // All of them may be later than the event, by another clock.
                Some(list) => last(list, i64::MIN).or_else(|| list.first().copied()),
                None => self.of_none.get(item).and_then(|list| last(list, since)),
            },
        }
    }

    /// The rows, those of a request beside each other, requests in the order of their first row.
    fn finish(self, shared: &BTreeSet<String>) -> Vec<Impression> {
        let mut rows: Vec<Impression> = (self.rows.iter())
            .map(|Entry { event, position, click, purchase }| Impression {
                user_id: event.user.clone(),
                item_id: event.item.clone(),
                time: event.timestamp,
                request_id: request_id(event, shared),
                position: *position,
                click: u8::from(*click),
                purchase: u8::from(*purchase),
                context: event.context_text(),
            })
            .collect();
        let mut began: HashMap<String, i64> = HashMap::new();
        for row in &rows {
            let time = began.entry(row.request_id.clone()).or_insert(row.time);
            *time = row.time.min(*time);
        }
        rows.sort_by(|a, b| {
            let key = |row: &'_ Impression| began[&row.request_id];
            (key(a), &a.request_id, a.time, a.position).cmp(&(
                key(b),
                &b.request_id,
                b.time,
                b.position,
            ))
        });
        rows
    }
}

/// The request of a row, one that no other person has. Those that are made up begin with `~`; one that was named so is
/// made up again, so that they never meet. The length says where the person's id ends.
fn request_id(event: &Event, shared: &BTreeSet<String>) -> String {
    let user = &event.user;
    match &event.request {
        Some(request) if !request.starts_with('~') && !shared.contains(request) => request.clone(),
        Some(request) => format!("~{}:{user}/{request}", user.len()),
        None => format!("~{}:{user}#{}", user.len(), event.id),
    }
}

/// What takes rows, some thousand at a time.
type Sink = Box<dyn FnMut(Vec<Impression>) -> Result<()> + Send>;

/// A join of all people, as their events come.
struct Joining {
    sink: Sink,
    attribution: Attribution,
    shared: BTreeSet<String>,
    /// Events of the person who is being read.
    person: Vec<Event>,
    rows: Vec<Impression>,
    joined: Joined,
}

impl Joining {
    fn add(&mut self, events: Vec<Event>) -> Result<()> {
        for event in events {
            if self.person.last().is_some_and(|last| last.user != event.user) {
                self.join_person()?;
            }
            self.person.push(event);
        }
        Ok(())
    }

    fn join_person(&mut self) -> Result<()> {
        let (rows, joined) = join(&self.person, &self.attribution, &self.shared);
        self.person.clear();
        self.joined.add(joined);
        self.rows.extend(rows);
        if self.rows.len() >= PAGE { self.write() } else { Ok(()) }
    }

    fn write(&mut self) -> Result<()> {
        (self.sink)(std::mem::take(&mut self.rows))
    }

    fn finish(mut self) -> Result<Joined> {
        self.join_person()?;
        self.write()?;
        Ok(self.joined)
    }
}

impl Store {
    /// Writes the table that training reads to a file, `.parquet` or `.jsonl` by its name, from all events that are
    /// there now. Columns: `user_id`, `item_id`, `time`, `request_id`, `position`, `click`, `purchase`,
    /// `context` (JSON).
    pub async fn export_impressions(
        &self,
        path: &Path,
        attribution: &Attribution,
    ) -> Result<Joined> {
        let path = path.to_owned();
        let file = blocking(move || TableFile::create::<Impression>(&path)).await?;
        let file = Arc::new(Mutex::new(file));
        let own = Arc::clone(&file);
        let joined = self
            .impressions(attribution, move |rows| {
                own.lock().unwrap_or_else(PoisonError::into_inner).write(&rows)
            })
            .await?;
        let file = Arc::into_inner(file).expect("the rows have been written");
        let file = file.into_inner().unwrap_or_else(PoisonError::into_inner);
        blocking(move || file.finish()).await?;
        Ok(joined)
    }

    /// Gives the rows of that table to `sink`, some thousand at a time, off the threads that answer.
    pub async fn impressions(
        &self,
        attribution: &Attribution,
        sink: impl FnMut(Vec<Impression>) -> Result<()> + Send + 'static,
    ) -> Result<Joined> {
        let head = self.head().await?;
        let mut joining = Joining {
            sink: Box::new(sink),
            attribution: attribution.clone(),
            shared: self.shared_requests(head, attribution.keep_unshown).await?,
            person: Vec::new(),
            rows: Vec::new(),
            joined: Joined::default(),
        };
        let mut after = (String::new(), -1, Cursor::START);
        loop {
            let page = self.events_by_user(&after, head).await?;
            let Some((cursor, last)) = page.last() else { break };
            after = (last.user.clone(), last.timestamp, *cursor);
            let events = page.into_iter().map(|(_, event)| event).collect();
            joining = blocking(move || joining.add(events).map(|()| joining)).await?;
        }
        blocking(move || joining.finish()).await
    }

    /// Requests that become rows of several people.
    async fn shared_requests(&self, head: Cursor, all: bool) -> Result<BTreeSet<String>> {
        const SQL: &str = "SELECT request_id FROM daogou_event WHERE request_id IS NOT NULL \
                           AND arrival <= $1 \
                           AND (kind = 'impression' OR ($2 AND kind IN ('click', 'purchase'))) \
                           GROUP BY request_id HAVING MIN(user_id) <> MAX(user_id)";
        let limit = self.0.options.long_timeout;
        let requests: Vec<String> = on!(&*self.0.database, readers, limit, |pools, connection| {
            let mut transaction = connection.begin().await?;
            transaction.allow(limit).await?;
            let requests = (sqlx::query_scalar(SQL).bind(head.0).bind(all))
                .fetch_all(&mut *transaction)
                .await?;
            transaction.commit().await?;
            Ok(requests)
        })?;
        Ok(requests.into_iter().collect())
    }

    /// A page of events by person, then time, then arrival.
    async fn events_by_user(
        &self,
        (user, time, arrival): &(String, i64, Cursor),
        head: Cursor,
    ) -> Result<Vec<(Cursor, Event)>> {
        const SQL: &str = "SELECT arrival, id, kind, user_id, item_id, time, request_id, position, \
                           value, context FROM daogou_event WHERE (user_id, time, arrival) > ($1, $2, $3) \
                           AND arrival <= $4 ORDER BY user_id, time, arrival LIMIT $5";
        let limit = self.0.options.long_timeout;
        let rows: Vec<EventRow> = on!(&*self.0.database, readers, limit, |pools, connection| {
            let mut transaction = connection.begin().await?;
            transaction.allow(limit).await?;
            let rows = (sqlx::query_as(SQL).bind(user).bind(time).bind(arrival.0))
                .bind(head.0)
                .bind(PAGE as i64)
                .fetch_all(&mut *transaction)
                .await?;
            transaction.commit().await?;
            Ok(rows)
        })?;
        Ok(rows.into_iter().map(from_row).collect())
    }
}
