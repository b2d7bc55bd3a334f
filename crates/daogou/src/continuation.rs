//! A log that goes on: what a shop did since a run was trained, written as files that the run's own configuration reads,
//! so that a new run can be trained on all of it.
//!
//! The old log stays where it is and what came since is a further file beside it. Tables of items and people are written
//! again with what was changed and added, since each is one file.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::BufWriter;
use std::path::{Path, PathBuf};

use crate::rows::{self, Layout, Rows};
use crate::run::TrainedRun;
use crate::schema::{Config, FeatureType, Missing, Role, Side, SplitMethod, Transform};
use crate::stock::{Attributes, Stock, text};
use crate::{Error, Result};

/// Files of what came since; one of this name in a configuration is replaced by the next.
const SINCE: &str = "impressions-since.csv";
const NEWEST: &str = "impressions-newest.csv";
const ITEMS: &str = "items-now.csv";
const USERS: &str = "users-now.csv";

/// An item that was shown, and what came of it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ShownItem<'a> {
    /// Person.
    pub user: &'a str,
    /// Item.
    pub item: &'a str,
    /// Unix time.
    pub time: i64,
    /// List.
    pub request: &'a str,
    /// Place from 1; 0 where unknown.
    pub position: u32,
    /// Whether it was clicked.
    pub clicked: bool,
    /// Whether it was bought.
    pub bought: bool,
    /// Context of the list, by column.
    pub context: Attributes,
}

/// Where a column of the log comes from.
enum Cell {
    User,
    Item,
    Time,
    Request,
    Position,
    Click,
    Purchase,
    Context(String),
    OfItem(String),
    OfUser(String),
}

type Out = csv::Writer<BufWriter<File>>;

/// Files in the making.
pub struct Continuation<'a> {
    run: &'a TrainedRun,
    stock: &'a Stock,
    /// What is known of people beside the run.
    profiles: &'a BTreeMap<String, Attributes>,
    directory: PathBuf,
    cells: Vec<(String, Cell)>,
    since: Out,
    newest: Out,
    /// Rows later than the run's own log.
    rows: u64,
}

/// What training reads.
pub struct Continued {
    /// The whole log.
    pub all: Config,
    /// Of the log only what the run has not been trained with.
    pub newest: Config,
    /// Impressions of the latter.
    pub rows: u64,
}

fn create(path: &Path, delimiter: char) -> Result<Out> {
    let file = BufWriter::new(fs_err::File::create(path)?.into_parts().0);
    Ok(csv::WriterBuilder::new().delimiter(delimiter as u8).from_writer(file))
}

fn write<'c>(out: &mut Out, path: &Path, cells: impl Iterator<Item = &'c str>) -> Result<()> {
    let wrong = |error: csv::Error| Error::file(path, format!("could not be written: {error}"));
    out.write_record(cells).map_err(wrong)
}

impl<'a> Continuation<'a> {
    /// Begins the files in a directory, which is there.
    ///
    /// # Errors
    ///
    /// Where the run's log is of a form that events cannot go on with: one of events without impressions, without time, or
    /// with labels beside click and purchase.
    pub fn create(
        run: &'a TrainedRun,
        stock: &'a Stock,
        profiles: &'a BTreeMap<String, Attributes>,
        directory: &Path,
    ) -> Result<Self> {
        let config = &run.config;
        let (columns, data) = (&config.columns, &config.data);
        if data.impressions.is_empty() || columns.time.is_none() {
            return Err(Error::data(
                "expected a run that was trained on impressions with times, to go on with its log",
            )
            .with_hint("train on an export instead: `daogou export-events --impressions`"));
        }
        if let Some(task) = config.tasks.iter().find(|task| task.reads_purchase_time()) {
            return Err(Error::config(
                format!("task.{}", task.name),
                "its label depends on when a purchase was made, which the log that goes on does not say",
            )
            .with_hint("train on an export instead: `daogou export-events`"));
        }
        if config.train.ipw_clip > 0.0 {
            return Err(Error::config(
                "train.ipw_clip",
                "nobody knows how likely a list of the server was: expected 0 for a log that goes on",
            ));
        }
        let mut cells: Vec<(String, Cell)> = Vec::new();
        let mut add = |name: &str, cell: Cell| {
            if !cells.iter().any(|(known, _)| known == name) {
                cells.push((name.to_string(), cell));
            }
        };
        add(&columns.user, Cell::User);
        add(&columns.item, Cell::Item);
        for (column, cell) in [
            (&columns.time, Cell::Time),
            (&columns.request, Cell::Request),
            (&columns.position, Cell::Position),
        ] {
            if let Some(column) = column {
                add(column, cell);
            }
        }
        for task in config.tasks.iter().filter(|task| task.kind.is_per_impression()) {
            match task.role() {
                Some(Role::Click) => add(task.label(), Cell::Click),
                Some(Role::Purchase) => add(task.label(), Cell::Purchase),
                _ => {
                    let name = &task.name;
                    return Err(Error::config(
                        format!("task.{name}"),
                        "events say what was clicked and bought, and nothing of this label",
                    ));
                }
            }
        }
        if data.items.is_none() {
            let roles = [&columns.category, &columns.price, &columns.title];
            roles.into_iter().flatten().for_each(|name| add(name, Cell::OfItem(name.clone())));
        }
        for feature in &config.features {
            if !feature.kind.has_column() {
                continue;
            }
            let name = feature.column();
            match feature.side {
                Side::Context | Side::Impression => add(name, Cell::Context(name.into())),
                Side::Item if data.items.is_none() => add(name, Cell::OfItem(name.into())),
                Side::User if data.users.is_none() => add(name, Cell::OfUser(name.into())),
                Side::Item | Side::User => {}
            }
        }
        let open = |name: &str| -> Result<Out> {
            let path = directory.join(name);
            let mut out = create(&path, data.delimiter)?;
            write(&mut out, &path, cells.iter().map(|(name, _)| name.as_str()))?;
            Ok(out)
        };
        let (since, newest) = (open(SINCE)?, open(NEWEST)?);
        let directory = directory.to_path_buf();
        Ok(Self { run, stock, profiles, directory, cells, since, newest, rows: 0 })
    }

    /// Adds an item that was shown.
    ///
    /// # Errors
    ///
    /// Where it cannot be written.
    pub fn add(&mut self, shown: &ShownItem<'_>) -> Result<()> {
        let (run, stock) = (self.run, self.stock);
        let row = stock.row(shown.item);
        let profile = self.profiles.get(shown.user);
        let of = |value: Option<&serde_json::Value>| {
            value.and_then(|value| text(value, "|")).unwrap_or_default()
        };
        let cell = |cell: &Cell| match cell {
            Cell::User => shown.user.to_string(),
            Cell::Item => shown.item.to_string(),
            Cell::Time => shown.time.to_string(),
            Cell::Request => shown.request.to_string(),
            Cell::Position => shown.position.to_string(),
            Cell::Click => u8::from(shown.clicked).to_string(),
            Cell::Purchase => u8::from(shown.bought).to_string(),
            Cell::Context(name) => of(shown.context.get(name)),
            Cell::OfItem(name) => of(row.map(|row| stock.attribute(run, row, name)).as_ref()),
            Cell::OfUser(name) => of(profile.and_then(|profile| profile.get(name))),
        };
        let cells: Vec<String> = self.cells.iter().map(|(_, own)| cell(own)).collect();
        let cells = || cells.iter().map(String::as_str);
        write(&mut self.since, &self.directory.join(SINCE), cells())?;
        if shown.time > self.run.stored.last_time {
            write(&mut self.newest, &self.directory.join(NEWEST), cells())?;
            self.rows += 1;
        }
        Ok(())
    }

    /// Ends the files and writes the tables of items and people.
    ///
    /// # Errors
    ///
    /// Where a table of the run's log is not there any more, or a file cannot be written.
    pub fn finish(mut self) -> Result<Continued> {
        self.since.flush()?;
        self.newest.flush()?;
        let config = &self.run.config;
        let path = |name: &str| self.directory.join(name).display().to_string();
        let mut all = config.clone();
        // What came since an earlier training is in what came since this one.
        all.data.impressions.retain(|file| !Path::new(file).ends_with(SINCE));
        all.data.impressions.push(path(SINCE));
        all.data.test.clear();
        all.data.split.method = SplitMethod::Time;
        // Nobody knows how likely a list of the server was.
        all.columns.propensity = None;
        // The run that this one started from may be gone.
        all.train.warm_start = None;
        // Of who and what is new not all is known; an unknown number is a mean one.
        for feature in &mut all.features {
            if feature.kind == FeatureType::Number && feature.transform != Some(Transform::Buckets)
            {
                feature.missing.get_or_insert(Missing::MEAN);
            }
        }
        if let Some(items) = &config.data.items {
            let overlays = self.stock.overlaid().map(|(id, own)| (id.to_string(), own.clone()));
            self.table(items, ITEMS, &config.columns.item, overlays.collect())?;
            all.data.items = Some(path(ITEMS));
        }
        if let Some(users) = &config.data.users {
            self.table(users, USERS, &config.columns.user, self.profiles.clone())?;
            all.data.users = Some(path(USERS));
        }
        let mut newest = all.clone();
        newest.data.impressions = vec![path(NEWEST)];
        Ok(Continued { all, newest, rows: self.rows })
    }

    /// A table as it was, with what is known now over it and after it.
    fn table(
        &self,
        from: &str,
        to: &str,
        id: &str,
        mut overlays: BTreeMap<String, Attributes>,
    ) -> Result<()> {
        let (from, to) = (Path::new(from), self.directory.join(to));
        let delimiter = self.run.config.data.delimiter;
        let layout = Layout { delimiter: delimiter as u8, quoting: true };
        let header = rows::header(from, layout)?;
        let mut table = Rows::open(from, layout, &header)?;
        let mut out = create(&to, delimiter)?;
        write(&mut out, &to, header.iter().map(String::as_str))?;
        let own = header.iter().position(|name| name == id);
        let said = |overlay: &Attributes, name: &str| overlay.get(name).and_then(|v| text(v, "|"));
        while table.advance()? {
            let overlay = own.and_then(|own| overlays.remove(table.text(own)));
            let cells: Vec<String> = (0..header.len())
                .map(|i| {
                    let new = overlay.as_ref().filter(|_| Some(i) != own);
                    let new = new.and_then(|overlay| said(overlay, &header[i]));
                    new.unwrap_or_else(|| table.text(i).to_string())
                })
                .collect();
            write(&mut out, &to, cells.iter().map(String::as_str))?;
        }
        for (key, overlay) in &overlays {
            let cells: Vec<String> = header
                .iter()
                .enumerate()
                .map(|(i, name)| {
                    let other = || said(overlay, name).unwrap_or_default();
                    if Some(i) == own { key.clone() } else { other() }
                })
                .collect();
            write(&mut out, &to, cells.iter().map(String::as_str))?;
        }
        Ok(out.flush()?)
    }
}
