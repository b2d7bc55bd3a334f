//! Rows of a further log, part by part, by what a run knows: each row answered by itself.

use std::ops::Range;

use hashbrown::HashMap;
use rustc_hash::FxBuildHasher;

use super::columns::{Builder, Raw, Want};
use super::dataset::{Column, Impressions, Requests, SideTable, Timelines};
use super::encode;
use super::load::{Wanted, feature_of, want};
use super::lookback::Lookback;
use super::past::Sights;
use super::space::{FeatureSpace, FieldKind};
use super::store::Stored;
use super::timeline::history_ends;
use crate::models::Source;
use crate::rows::{Rows, place};
use crate::schema::{Config, Side};
use crate::{Error, Result};

/// Rows that share one copy of a request, at most: the size of a micro-batch.
const MOST_PER_REQUEST: usize = 256;

/// Reads rows and encodes them by what a run knows.
///
/// A row is answered by itself, so it does not matter which rows are read together: the past is what the run knows to be
/// strictly earlier than the row, and the features of a user or item it does not know are those of the row. Users and
/// items it knows keep the features they had in training.
///
/// Memory: the run's users, items and past once more, and the rows of one part.
pub(crate) struct Stream<'a> {
    stored: &'a Stored,
    wanted: Vec<(String, Want)>,
    /// Column of the file behind each wanted one.
    places: Vec<usize>,
    user: usize,
    item: usize,
    time: Option<usize>,
    fields: Vec<EncodedField>,
    user_rows: HashMap<&'a str, u32, FxBuildHasher>,
    item_rows: HashMap<&'a str, u32, FxBuildHasher>,
    users: Guests,
    items: Guests,
    timelines: Timelines,
    sights: Sights<'a>,
    lookback: Lookback,
    /// Items of one request.
    shown: Vec<u32>,
    requests: Requests,
    impressions: Impressions,
}

/// A field that is read from the file.
struct EncodedField {
    side: Side,
    /// `None`: not of the file, but of what the run knows of the person's past.
    wanted: Option<usize>,
    /// Index into the encodings of the space.
    encoding: usize,
    salt: String,
}

/// A side's table, with rows after those the run knows for a part's unknown users or items.
struct Guests {
    table: SideTable,
    known: usize,
    /// Whether the file says what their features are; else they are the unknown row.
    described: bool,
}

impl Guests {
    fn new(known: &SideTable, described: bool) -> Self {
        Self { table: known.clone(), known: known.ids.len(), described }
    }

    /// Row of each value of a part; unknown ones get a row of their own, filled from `columns`.
    fn rows(&mut self, known: impl Iterator<Item = Option<u32>>, columns: &[Column]) -> Vec<u32> {
        self.table.columns.iter_mut().for_each(|column| truncate(column, self.known));
        let mut next = self.known as u32;
        known
            .enumerate()
            .map(|(row, known)| {
                if known.is_some() || !self.described {
                    return known.unwrap_or(0);
                }
                for (to, from) in self.table.columns.iter_mut().zip(columns) {
                    append(to, from, row..row + 1);
                }
                next += 1;
                next - 1
            })
            .collect()
    }
}

impl<'a> Stream<'a> {
    /// For a file with these column names.
    ///
    /// # Errors
    ///
    /// Where the file lacks a column that the model needs.
    pub(crate) fn new(config: &Config, stored: &'a Stored, rows: &Rows) -> Result<Self> {
        let names = rows.columns();
        let c = &config.columns;
        let mut wanted = Wanted::default();
        let user = wanted.add(&c.user, Want::Text { required: true });
        let item = wanted.add(&c.item, Want::Text { required: true });
        let time = c.time.as_ref().map(|name| wanted.add(name, Want::Time));
        let table = |side| match side {
            Side::User => config.data.users.is_some(),
            Side::Item => config.data.items.is_some(),
            Side::Context | Side::Impression => false,
        };
        let described = |side| {
            let mut own = config.features.iter().filter(|f| f.side == side && want(f).is_some());
            !table(side) && own.all(|f| place(names, f.column()).is_some())
        };
        let (user_side, item_side) = (described(Side::User), described(Side::Item));
        let space: &FeatureSpace = &stored.space;
        let mut fields = Vec::new();
        for (encoding, field) in space.fields.iter().enumerate() {
            let read = match field.side {
                Side::User => user_side,
                Side::Item => item_side,
                Side::Context | Side::Impression => true,
            };
            if !read || matches!(field.kind, FieldKind::History { .. }) {
                continue;
            }
            if space.encodings[encoding].is_past() {
                let (side, salt) = (field.side, String::new());
                fields.push(EncodedField { side, wanted: None, encoding, salt });
                continue;
            }
            let feature = feature_of(config, field);
            let how = want(feature).expect("only a history has no column");
            fields.push(EncodedField {
                side: field.side,
                wanted: Some(wanted.add(feature.column(), how)),
                encoding,
                salt: feature.shared_with.as_deref().unwrap_or(&feature.name).into(),
            });
        }
        let wanted = wanted.columns;
        let places = wanted
            .iter()
            .map(|(name, _)| {
                place(names, name).ok_or_else(|| {
                    let found = names.join(", ");
                    Error::file(rows.path(), format!("expected a column `{name}`, found {found}"))
                })
            })
            .collect::<Result<_>>()?;
        let index = |table: &'a SideTable| {
            let ids = table.ids.iter().enumerate().skip(1);
            ids.map(|(row, id)| (id.as_str(), row as u32)).collect()
        };
        Ok(Self {
            user_rows: index(&stored.users),
            item_rows: index(&stored.items),
            users: Guests::new(&stored.users, user_side),
            items: Guests::new(&stored.items, item_side),
            timelines: stored.timelines.clone(),
            sights: Sights::new(None, (&stored.past, stored.last_time)),
            lookback: Lookback::new(space, &stored.items, &stored.past),
            shown: Vec::new(),
            requests: Requests::default(),
            impressions: Impressions::default(),
            stored,
            wanted,
            places,
            user,
            item,
            time,
            fields,
        })
    }

    /// Reads up to `most` rows, calling `keep` with each, and returns how many there were.
    ///
    /// # Errors
    ///
    /// The first bad row or cell.
    pub(crate) fn read(
        &mut self,
        rows: &mut Rows,
        most: usize,
        mut keep: impl FnMut(&Rows),
    ) -> Result<usize> {
        let mut builders: Vec<Builder> = self.wanted.iter().map(|(_, w)| Builder::new(w)).collect();
        let mut n = 0;
        while n < most && rows.advance()? {
            for (builder, &place) in builders.iter_mut().zip(&self.places) {
                builder.push(rows.text(place)).map_err(|expected| rows.cell(place, expected))?;
            }
            keep(rows);
            n += 1;
        }
        let raws: Vec<Raw> = builders.into_iter().map(Builder::finish).collect();
        self.fill(&raws, n);
        Ok(n)
    }

    /// Encodes the rows of a part.
    fn fill(&mut self, raws: &[Raw], n: usize) {
        let mut encoded: [Vec<Column>; 4] = Default::default();
        let encodings = &self.stored.space.encodings;
        let column = |field: &EncodedField, groups: Option<&Column>| match field.wanted {
            Some(place) => {
                encode::encode(&raws[place], &encodings[field.encoding], &field.salt, groups)
            }
            None => Column::Numbers(Vec::new()),
        };
        for field in &self.fields {
            let groups = encodings[field.encoding].within().map(|of| {
                let id = self.fields.iter().find(|field| field.encoding == of);
                column(id.expect("it is of the same side"), None)
            });
            encoded[field.side as usize].push(column(field, groups.as_ref()));
        }
        let [user_columns, item_columns, context, mut cross] = encoded;
        let user = self.users.rows(known(&raws[self.user], &self.user_rows), &user_columns);
        let item = self.items.rows(known(&raws[self.item], &self.item_rows), &item_columns);
        let times: &[i64] = match self.time.map(|place| &raws[place]) {
            Some(Raw::Times(times)) => times,
            _ => &[],
        };
        // A user without a past has an empty range of it.
        let events = self.stored.timelines.item.len() as u32;
        let offsets = &mut self.timelines.offsets;
        offsets.truncate(self.users.known + 1);
        offsets.resize(self.users.known + 1 + n, events);

        let requests = &mut self.requests;
        *requests = Requests { offsets: vec![0], ..Requests::default() };
        requests.columns = context.iter().map(empty_like).collect();
        for row in 0..n {
            let start = *requests.offsets.last().expect("it starts with 0") as usize;
            let like = |other: usize| {
                user[row] == user[other]
                    && times.get(row) == times.get(other)
                    && context.iter().all(|column| same(column, row, other))
            };
            if row > 0 && row - start < MOST_PER_REQUEST && like(start) {
                continue;
            }
            if row > 0 {
                requests.offsets.push(row as u32);
            }
            requests.user.push(user[row]);
            requests.time.extend(times.get(row));
            for (to, from) in requests.columns.iter_mut().zip(&context) {
                append(to, from, row..row + 1);
            }
        }
        if n > 0 {
            requests.offsets.push(n as u32);
        }
        requests.history_end = history_ends(&self.timelines, &requests.user, &requests.time);
        for r in 0..requests.len() {
            // The run's items alone have a past; a row without time is taken to be later than all the run knows.
            let time = requests.time.get(r).copied().unwrap_or(i64::MAX);
            let items = item[requests.impressions(&(r..r + 1))].iter();
            self.shown.clear();
            self.shown.extend(items.map(|&i| if (i as usize) < self.items.known { i } else { 0 }));
            let visit = (&self.sights, requests.user[r], time);
            self.lookback.extend(visit, &self.shown, &mut cross);
        }
        self.impressions = Impressions { item, columns: cross, ..Impressions::default() };
    }

    /// The part that was read last, as a network is fed from it: impression `i` is its row `i`.
    pub(crate) fn source(&self) -> Source<'_> {
        Source {
            users: &self.users.table,
            items: &self.items.table,
            catalogue: &self.stored.catalogue,
            timelines: &self.timelines,
            requests: &self.requests,
            impressions: &self.impressions,
            targets: &[],
        }
    }

    /// Rows of the part whose user the run does not know, and whose item.
    pub(crate) fn unknown(&self) -> (usize, usize) {
        let unknown = |row: u32, side: &Guests| row == 0 || row as usize >= side.known;
        let requests = &self.requests;
        let users = (0..requests.len()).filter(|&r| unknown(requests.user[r], &self.users));
        let items = self.impressions.item.iter().filter(|&&row| unknown(row, &self.items));
        (users.map(|r| requests.impressions(&(r..r + 1)).len()).sum(), items.count())
    }
}

/// Row that the run knows each cell of a column by.
fn known<'a>(
    raw: &'a Raw,
    rows: &HashMap<&str, u32, FxBuildHasher>,
) -> impl Iterator<Item = Option<u32>> + 'a {
    let Raw::Text { codes, values } = raw else { unreachable!("ids are text") };
    let found: Vec<Option<u32>> = values.iter().map(|v| rows.get(v.as_str()).copied()).collect();
    codes.iter().map(move |&code| found[code as usize])
}

fn empty_like(column: &Column) -> Column {
    match column {
        Column::Ids(_) => Column::Ids(Vec::new()),
        Column::Numbers(_) => Column::Numbers(Vec::new()),
        Column::Bags { .. } => Column::Bags { offsets: vec![0], ids: Vec::new() },
    }
}

fn same(column: &Column, a: usize, b: usize) -> bool {
    match column {
        Column::Ids(ids) => ids[a] == ids[b],
        Column::Numbers(values) => values[a] == values[b],
        Column::Bags { offsets, ids } => {
            let bag = |row: usize| &ids[offsets[row] as usize..offsets[row + 1] as usize];
            bag(a) == bag(b)
        }
    }
}

fn truncate(column: &mut Column, rows: usize) {
    match column {
        Column::Ids(ids) => ids.truncate(rows),
        Column::Numbers(values) => values.truncate(rows),
        Column::Bags { offsets, ids } => {
            offsets.truncate(rows + 1);
            ids.truncate(offsets[rows] as usize);
        }
    }
}

fn append(to: &mut Column, from: &Column, rows: Range<usize>) {
    match (to, from) {
        (Column::Ids(to), Column::Ids(from)) => to.extend_from_slice(&from[rows]),
        (Column::Numbers(to), Column::Numbers(from)) => to.extend_from_slice(&from[rows]),
        (Column::Bags { offsets: ends, ids: to }, Column::Bags { offsets, ids }) => {
            for row in rows {
                to.extend_from_slice(&ids[offsets[row] as usize..offsets[row + 1] as usize]);
                ends.push(to.len() as u32);
            }
        }
        _ => unreachable!("a column keeps its kind"),
    }
}
