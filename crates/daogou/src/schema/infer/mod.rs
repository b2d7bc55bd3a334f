//! A configuration from the data alone: which column plays which part, and how each is read.
//!
//! Names decide first, in several languages and spellings; values confirm or refuse them. What cannot be decided is
//! left out and said, never guessed in silence.

mod names;
mod profile;

use std::path::{Path, PathBuf};

use super::config::{
    Columns, Config, DataConfig, EventsConfig, Feature, FeatureType, LabelSource, Missing,
    Negatives, PurchaseObjective, Role, Side, SplitMethod, Task, TaskKind, Transform,
};
use crate::rows::{self, Layout};
use crate::{Error, Result};
use names::Part;
use profile::{Profile, Sample};

/// What [`infer`] found.
#[derive(Clone, Debug)]
pub struct Inferred {
    /// The configuration; it passes [`Config::check`].
    pub config: Config,
    /// The same as a commented file. Paths are those given, relative to where the file is to stand.
    pub toml: String,
    /// What was decided and left out, one sentence each.
    pub notes: Vec<String>,
}

/// Looks at the first 100,000 rows of each file and writes a configuration for them.
///
/// One file holds everything, or several are told apart by name: items (`items`, `products`, `catalogue`, …), users
/// (`users`, `customers`, …), the others are the log. Errors where no user, item or label can be recognised.
pub fn infer(files: &[PathBuf]) -> Result<Inferred> {
    let Files { log, items, users, layout } = files_by_part(files)?;
    let mut inference = Inference::new(&log, layout)?;
    inference.labels(&log)?;
    inference.config.data.delimiter = char::from(layout.delimiter);
    inference.own_features();
    inference.log_features();
    for (file, side) in
        items.iter().map(|f| (f, Side::Item)).chain(users.iter().map(|f| (f, Side::User)))
    {
        inference.side_table(file, layout, side)?;
    }
    inference.requests();
    let Inference { mut config, mut comments, notes, .. } = inference;
    config.model.position_term = config.columns.position.is_some();
    config.check()?;
    if config.data.split.method == SplitMethod::RowOrder {
        comments.push((
            "data.split".into(),
            "No time column was found: rows are taken to be in time order. If they are not, use\nmethod = \"random\"."
                .into(),
        ));
    }
    let borrowed: Vec<(&str, &str)> =
        comments.iter().map(|(place, text)| (place.as_str(), text.as_str())).collect();
    let mut header = String::from(
        "Written by `daogou init` from the first rows of the data. Check what each column was taken for.\n\
         Keys that are not here have their defaults: `daogou init --defaults` prints them.",
    );
    for note in &notes {
        header.push_str("\n* ");
        header.push_str(note);
    }
    let toml = config.to_commented_toml(&header, &borrowed);
    Ok(Inferred { config, toml, notes })
}

struct Files {
    log: Vec<PathBuf>,
    items: Option<PathBuf>,
    users: Option<PathBuf>,
    layout: Layout,
}

fn files_by_part(files: &[PathBuf]) -> Result<Files> {
    const ITEMS: &[&str] =
        &["item", "product", "catalog", "goods", "sku", "商品", "artikel", "produkt"];
    const USERS: &[&str] = &["user", "customer", "member", "用户", "nutzer", "kunden"];
    let mut found = Files { log: Vec::new(), items: None, users: None, layout: Layout::COMMAS };
    let mut delimiter: Option<(u8, &Path)> = None;
    for file in files {
        let stem = file.file_name().unwrap_or_default().to_string_lossy().to_lowercase();
        let has =
            |words: &[&str]| files.len() > 1 && words.iter().any(|word| stem.starts_with(word));
        let place = match (has(ITEMS), has(USERS)) {
            (true, _) => Some(&mut found.items),
            (_, true) => Some(&mut found.users),
            _ => None,
        };
        match place {
            None => found.log.push(file.clone()),
            Some(Some(other)) => {
                let other = other.display();
                return Err(Error::file(
                    file,
                    format!("a second file of this kind besides {other}"),
                ));
            }
            Some(place) => *place = Some(file.clone()),
        }
        if rows::is_delimited(file) {
            let here = sniff(file)?;
            match delimiter {
                Some((other, first)) if other != here => {
                    return Err(Error::file(
                        file,
                        format!(
                            "fields are separated by {:?} here and by {:?} in {}: expected one separator",
                            char::from(here),
                            char::from(other),
                            first.display()
                        ),
                    ));
                }
                _ => delimiter = Some((here, file)),
            }
        }
    }
    if found.log.is_empty() {
        return Err(Error::data("expected a file of impressions or events").with_hint(
            "files whose names start with `items` or `users` are taken for those tables",
        ));
    }
    found.layout.delimiter = delimiter.map_or(b',', |(delimiter, _)| delimiter);
    Ok(found)
}

/// The separator that the first line has most of.
fn sniff(file: &Path) -> Result<u8> {
    let mut line = String::new();
    std::io::BufRead::read_line(&mut rows::text(file)?, &mut line).map_err(|error| match error
        .kind()
    {
        std::io::ErrorKind::InvalidData => Error::file(file, "expected UTF-8 text"),
        _ => error.into(),
    })?;
    let mut counts = [b',', b'\t', b';', b'|'].map(|separator| (separator, 0));
    let mut quoted = false;
    for byte in line.bytes() {
        quoted ^= byte == b'"';
        if let Some((_, count)) = counts.iter_mut().find(|(other, _)| *other == byte && !quoted) {
            *count += 1;
        }
    }
    // The first of equals: a file with one column has none, and is read with commas.
    let (best, _) = counts.into_iter().rev().max_by_key(|(_, count)| *count).unwrap_or((b',', 0));
    Ok(best)
}

/// Share of the rows that must agree before a column is said to depend on an id.
const SAME: f64 = 0.999;

struct Inference {
    config: Config,
    comments: Vec<(String, String)>,
    notes: Vec<String>,
    log: Sample,
    /// Columns of the log with a part: no features of their own accord.
    taken: Vec<usize>,
    user: usize,
    item: usize,
    request: Option<usize>,
}

impl Inference {
    fn new(files: &[PathBuf], layout: Layout) -> Result<Self> {
        let path = &files[0];
        let names = rows::header(path, layout)?;
        for other in &files[1..] {
            let here = rows::header(other, layout)?;
            if here != names {
                return Err(Error::file(
                    other,
                    format!(
                        "expected the columns of {}: {}; found {}",
                        path.display(),
                        names.join(", "),
                        here.join(", ")
                    ),
                ));
            }
        }
        let required = |part, what: &str, example: &str| {
            names::find(part, &names).ok_or_else(|| {
                Error::file(
                    path,
                    format!("no column looks like a {what} id; columns: {}", names.join(", ")),
                )
                .with_hint(format!("rename the column to `{example}`"))
            })
        };
        let user = required(Part::User, "user", "user_id")?;
        let item = required(Part::Item, "item", "item_id")?;
        let log = Sample::read(path, layout, names)?;
        if log.rows == 0 {
            return Err(Error::file(path, "expected rows, found only a header"));
        }
        let mut inference = Self {
            config: Config::default(),
            comments: Vec::new(),
            notes: Vec::new(),
            taken: vec![user, item],
            user,
            item,
            request: None,
            log,
        };
        inference.config.columns = inference.columns();
        Ok(inference)
    }

    /// The parts that are not labels.
    fn columns(&mut self) -> Columns {
        let mut columns = Columns {
            user: self.log.names[self.user].clone(),
            item: self.log.names[self.item].clone(),
            ..Columns::default()
        };
        let time = names::find(Part::Time, &self.log.names).or_else(|| {
            let mut all = (0..self.log.names.len()).filter(|&at| {
                let column = &self.log.columns[at];
                column.times == self.log.rows && column.numbers == 0
            });
            all.next().filter(|_| all.next().is_none())
        });
        if let Some(at) = time {
            self.taken.push(at);
            if self.log.columns[at].times == self.log.rows {
                columns.time = Some(self.log.names[at].clone());
            } else {
                let column = &self.log.columns[at];
                let example = column.values.first().map_or("", String::as_str);
                self.notes.push(format!(
                    "`{}` is named like a time but has cells that are none of the years 2000 to 2100 (such as `{example}`): not used",
                    self.log.names[at]
                ));
            }
        }
        self.request = self.part(Part::Request).filter(|&at| self.log.repeats(at));
        columns.request = self.request.map(|at| self.log.names[at].clone());
        let numeric = |sample: &Sample, at: usize, least: f64| {
            let column = &sample.columns[at];
            column.numbers == sample.rows && column.min >= least
        };
        if let Some(at) = self.part(Part::Position) {
            let column = &self.log.columns[at];
            if numeric(&self.log, at, 1.0)
                && column.whole == self.log.rows
                && column.max <= 65_535.0
            {
                columns.position = Some(self.log.names[at].clone());
            } else {
                self.notes.push(format!(
                    "`{}` is named like a position but does not count from 1: not used",
                    self.log.names[at]
                ));
            }
        }
        if let Some(at) = self.part(Part::Propensity)
            && numeric(&self.log, at, 0.0)
            && self.log.columns[at].max <= 1.0
        {
            columns.propensity = Some(self.log.names[at].clone());
        }
        columns.title = self.part(Part::Title).map(|at| self.log.names[at].clone());
        // Category and price are parts and inputs at once.
        columns.category =
            names::find(Part::Category, &self.log.names).map(|at| self.log.names[at].clone());
        columns.price = names::find(Part::Price, &self.log.names)
            .filter(|&at| {
                let column = &self.log.columns[at];
                column.numbers > 0 && column.numbers == column.filled(self.log.rows)
            })
            .map(|at| self.log.names[at].clone());
        columns
    }

    /// The column that plays a part and is no input.
    fn part(&mut self, part: Part) -> Option<usize> {
        let at = names::find(part, &self.log.names).filter(|at| !self.taken.contains(at))?;
        self.taken.push(at);
        Some(at)
    }

    /// A column of 0 and 1 that plays a part.
    fn label(&mut self, part: Part) -> Option<usize> {
        let at = self.part(part)?;
        if is_label(&self.log.columns[at], self.log.rows) {
            return Some(at);
        }
        let found: Vec<_> = self.log.columns[at]
            .values
            .iter()
            .filter(|v| !matches!(v.as_str(), "0" | "1"))
            .take(3)
            .cloned()
            .collect();
        self.notes.push(format!(
            "`{}` is named like a label but holds more than 0 and 1 (such as `{}`): not used",
            self.log.names[at],
            found.join("`, `")
        ));
        None
    }

    fn labels(&mut self, files: &[PathBuf]) -> Result<()> {
        let paths: Vec<String> =
            files.iter().map(|file| file.to_string_lossy().into_owned()).collect();
        let task = |name: &str, column: &str| Task {
            label: (column != name).then(|| column.into()),
            ..Task::new(name, TaskKind::Binary)
        };
        let mut click = self.label(Part::Click);
        let purchase = self.label(Part::Purchase);
        if click.is_none() && purchase.is_none() {
            if let Some(at) = self.part(Part::Event) {
                return self.event_log(at, paths);
            }
            click =
                self.log.names.iter().position(|name| {
                    matches!(names::plain(name).as_str(), "label" | "target" | "y")
                });
            click = click.filter(|&at| is_label(&self.log.columns[at], self.log.rows));
            self.taken.extend(click);
            if let Some(at) = click {
                self.notes.push(format!("`{}` was taken for the click", self.log.names[at]));
            }
        }
        self.config.data = DataConfig { impressions: paths, ..DataConfig::default() };
        if let Some(at) = click {
            self.config.tasks.push(task("click", &self.log.names[at]));
            self.comments.push(("task.click".into(), "P(click | shown): CTR.".into()));
        }
        if let Some(at) = purchase {
            let mut task = task("purchase", &self.log.names[at]);
            let text = if click.is_some() {
                "P(purchase | clicked): CVR."
            } else {
                task.objective = Some(PurchaseObjective::AllImpressions);
                "There is no click column: P(purchase | shown)."
            };
            self.config.tasks.push(task);
            self.comments.push(("task.purchase".into(), text.into()));
        }
        if self.config.tasks.is_empty() {
            return Err(Error::file(
                &files[0],
                format!("no column of 0 and 1 looks like a label; columns: {}", self.log.names.join(", ")),
            )
            .with_hint("rename the label column to `click` or `purchase`, or, for an event log, name the type column `event`"));
        }
        Ok(())
    }

    fn event_log(&mut self, at: usize, paths: Vec<String>) -> Result<()> {
        const VIEWS: &[&str] = &[
            "view",
            "pv",
            "click",
            "clk",
            "clickout",
            "detail",
            "page_view",
            "pageview",
            "product_view",
            "item_view",
            "view_item",
            "detail_view",
            "浏览",
            "点击",
            "查看",
        ];
        const ORDERS: &[&str] = &[
            "purchase",
            "buy",
            "order",
            "transaction",
            "pay",
            "paid",
            "conversion",
            "checkout",
            "购买",
            "下单",
            "支付",
            "成交",
        ];
        let of = |known: &[&str]| -> Vec<String> {
            let values = self.log.columns[at].values.iter();
            values.filter(|value| known.contains(&names::plain(value).as_str())).cloned().collect()
        };
        let (click, purchase) = (of(VIEWS), of(ORDERS));
        let column = self.log.names[at].clone();
        if click.is_empty() {
            let values = self.log.columns[at].values.iter().take(10).cloned().collect::<Vec<_>>();
            return Err(Error::file(
                &paths[0],
                format!("column `{column}`: no event type looks like a view; types: {}", values.join(", ")),
            )
            .with_hint("write views as `view` and orders as `purchase`, or write `[data.event_log]` by hand"));
        }
        if self.config.columns.time.is_none() {
            return Err(Error::file(&paths[0], "an event log needs a time column").with_hint(
                "name it `timestamp`; Unix seconds, RFC 3339 or `YYYY-MM-DD HH:MM:SS`",
            ));
        }
        let others: Vec<_> = self.log.columns[at]
            .values
            .iter()
            .filter(|value| !click.contains(value) && !purchase.contains(value))
            .cloned()
            .collect();
        if !others.is_empty() {
            self.notes.push(format!("event types left out: {}", others.join(", ")));
        }
        self.comments.push((
            "data.event_log".into(),
            "The log has no lists: the first view of an item is a click, and items the user never touched are\n\
             sampled as not clicked. The click rate is artificial."
                .into(),
        ));
        self.config.tasks.push(Task::new("click", TaskKind::Binary));
        if purchase.is_empty() {
            self.notes.push(format!("no type in `{column}` looks like a purchase: clicks only"));
        } else {
            self.config.tasks.push(Task::new("purchase", TaskKind::Binary));
        }
        self.config.columns.event = Some(column);
        self.config.columns.request = None;
        self.config.columns.position = None;
        self.config.data = DataConfig {
            events: paths,
            event_log: Some(EventsConfig {
                click,
                purchase,
                purchase_window_days: 7.0,
                negatives: Negatives::default(),
            }),
            ..DataConfig::default()
        };
        Ok(())
    }

    /// User, item, time and history.
    fn own_features(&mut self) {
        for (at, side) in [(self.user, Side::User), (self.item, Side::Item)] {
            let feature = Feature::new(&self.log.names[at], side, FeatureType::Id);
            self.config.features.push(with_min_count(feature, &self.log.columns[at]));
        }
        if let Some(time) = self.config.columns.time.clone() {
            self.config.features.push(Feature::new(time, Side::Context, FeatureType::Time));
        }
    }

    fn log_features(&mut self) {
        for at in 0..self.log.names.len() {
            if self.taken.contains(&at) {
                continue;
            }
            let name = self.log.names[at].clone();
            if let Some(kind) = Self::input(&name, &self.log.columns[at], self.log.rows) {
                match kind {
                    Ok(feature) => {
                        if let Some(side) = self.side(at) {
                            self.config.features.push(Feature { side, ..feature });
                        }
                    }
                    Err(note) => self.notes.push(note),
                }
            }
        }
    }

    /// How a column is read, or why it is left out; nothing for unnamed row numbers. The side is not decided here.
    fn input(name: &str, column: &Profile, rows: usize) -> Option<Result<Feature, String>> {
        let filled = column.filled(rows);
        let plain = names::plain(name);
        if names::is(Part::Outcome, name) {
            return Some(Err(format!(
                "`{name}` looks like an outcome, not known when a list is made: not an input; to learn it, add a [[task]]"
            )));
        }
        if column.distinct <= 1 {
            return Some(Err(format!("`{name}` has one value at most: left out")));
        }
        let numeric = column.numbers == filled;
        let unique = column.distinct == filled && rows >= 50;
        if unique
            && numeric
            && column.whole == filled
            && matches!(plain.as_str(), "" | "id" | "index" | "row" | "unnamed_0")
        {
            return None;
        }
        if names::find(Part::Time, &[name.into()]).is_some() || column.times == filled && !numeric {
            return Some(Err(format!(
                "`{name}` is another time: left out; it may be later than the list"
            )));
        }
        if !numeric && column.distinct * 10 > filled * 9 && rows >= 50 {
            return Some(Err(format!("`{name}` differs in nearly every row: left out")));
        }
        let is_price = names::is(Part::Price, name);
        let few = column.whole == filled && column.distinct <= 12 && rows >= 50;
        let mut feature = Feature::new(name, Side::Impression, FeatureType::Id);
        if numeric && (is_price || !(names::is_nominal(name) || few)) {
            feature.kind = FeatureType::Number;
            let skewed = column.min >= 0.0 && column.max > 20.0 * column.median.max(1.0);
            if column.min >= 0.0 && (skewed || is_price) {
                feature.transform = Some(Transform::Log1p);
            }
            if column.empty > 0 {
                feature.missing = Some(Missing::Value(column.median));
            }
        } else if let Some(separator) = separator(column, filled).filter(|_| !numeric) {
            feature.kind = FeatureType::Multi;
            feature.separator = (separator != '|').then(|| separator.to_string());
            feature = with_min_count(feature, column);
        } else {
            feature = with_min_count(feature, column);
        }
        Some(Ok(feature))
    }

    /// What a column of the log describes: by its name where the values agree, else by what it depends on.
    ///
    /// In an event log sampled items have no cells of their own: what changes between a user's or an item's events
    /// would tell viewed from sampled, and is left out unless its name is one of the context.
    fn side(&mut self, at: usize) -> Option<Side> {
        let name = self.log.names[at].clone();
        let key = |side| match side {
            Side::Item => Some(self.item),
            Side::User => Some(self.user),
            Side::Context => self.request,
            Side::Impression => None,
        };
        let share = |side| self.log.depends(at, &self.log.codes[key(side)?]);
        let named = names::side(&name);
        let is_event_log = self.config.data.event_log.is_some();
        if let Some(side) = named {
            if share(side).is_none_or(|share| share >= SAME) {
                return Some(side);
            }
            let what = match side {
                Side::Item => "item",
                Side::User => "user",
                _ => "request",
            };
            let several = format!("`{name}` has several values for one {what}");
            let (side, text) = match (is_event_log, side) {
                (false, _) => (Some(Side::Impression), "read for each impression"),
                (true, Side::Item) => (Some(Side::Item), "the first is taken"),
                (true, _) => (None, "left out"),
            };
            self.notes.push(format!("{several}: {text}"));
            return side;
        }
        let found = [Side::Item, Side::User, Side::Context]
            .into_iter()
            .find(|&side| share(side).is_some_and(|share| share >= SAME));
        if found.is_none() && is_event_log {
            self.notes.push(format!(
                "`{name}` differs between events: left out; sampled items have no value of it"
            ));
            return None;
        }
        found.or(Some(Side::Impression))
    }

    fn side_table(&mut self, file: &Path, layout: Layout, side: Side) -> Result<()> {
        let names = rows::header(file, layout)?;
        let (key, place) = match side {
            Side::Item => (&self.config.columns.item, &mut self.config.data.items),
            _ => (&self.config.columns.user, &mut self.config.data.users),
        };
        let Some(id) = names.iter().position(|name| name == key) else {
            return Err(Error::file(
                file,
                format!("expected a column `{key}` as in the log, found {}", names.join(", ")),
            )
            .with_hint("give the id the same name in both files"));
        };
        *place = Some(file.to_string_lossy().into_owned());
        let sample = Sample::read(file, layout, names)?;
        let columns = &mut self.config.columns;
        let mut skipped = vec![id];
        if side == Side::Item {
            let name = |part| names::find(part, &sample.names).map(|at| sample.names[at].clone());
            columns.category = columns.category.take().or_else(|| name(Part::Category));
            columns.price = columns.price.take().or_else(|| name(Part::Price));
            columns.title = columns.title.take().or_else(|| name(Part::Title));
            skipped.extend(names::find(Part::Title, &sample.names));
        }
        for at in (0..sample.names.len()).filter(|at| !skipped.contains(at)) {
            let name = &sample.names[at];
            if self.config.features.iter().any(|feature| feature.name == *name) {
                self.notes.push(format!(
                    "`{name}` stands in {} and in the log: read from the log",
                    file.display()
                ));
                continue;
            }
            match Self::input(name, &sample.columns[at], sample.rows) {
                Some(Ok(feature)) => self.config.features.push(Feature { side, ..feature }),
                Some(Err(note)) => self.notes.push(note),
                None => {}
            }
        }
        Ok(())
    }

    /// What is asked of whole requests: history, category mix, novelty; and what lists then weigh.
    fn requests(&mut self) {
        let config = &mut self.config;
        let has_time = config.columns.time.is_some();
        if has_time {
            let item_ids = |f: &&Feature| f.side == Side::Item && f.kind == FeatureType::Id;
            let of: Vec<String> =
                config.features.iter().filter(item_ids).take(4).map(|f| f.name.clone()).collect();
            config.features.push(Feature {
                of: Some(of.clone()),
                ..Feature::new("history", Side::User, FeatureType::History)
            });
            self.comments.push((
                "feature.history".into(),
                "The user's last items before the request.".into(),
            ));
            // Sampled negatives are items never met: what was met before would give them away.
            if config.data.events.is_empty() {
                config.features.push(Feature {
                    of: Some(of),
                    ..Feature::new("past", Side::Impression, FeatureType::Past)
                });
                self.comments.push((
                    "feature.past".into(),
                    "How often and how lately the user was shown, and clicked, the same before."
                        .into(),
                ));
            }
        } else {
            config.data.split.method = SplitMethod::RowOrder;
        }
        if let Some(category) = config.columns.category.clone() {
            let mut task = Task::new("diversity", TaskKind::Distribution);
            if !has_time {
                task.source = Some(LabelSource::Row);
                self.comments.push((
                    "task.diversity".into(),
                    "Without times nobody knows what came after a request: the label is the row's own category,\n\
                     which is therefore no input."
                        .into(),
                ));
                config.features.retain(|feature| feature.column() != category);
            }
            config.tasks.push(task);
        }
        if has_time {
            config.tasks.push(Task::new("novelty", TaskKind::Share));
        } else {
            self.notes.push("no time column: no novelty head, no history of the user; rows are split in their order".into());
        }
        for (role, objective) in [
            (Role::Click, "click"),
            (Role::Purchase, "purchase"),
            (Role::Diversity, "diversity"),
            (Role::Novelty, "novelty"),
        ] {
            if config.task_of(role).is_none() {
                config.lists.objectives.remove(objective);
            }
        }
    }
}

fn is_label(column: &Profile, rows: usize) -> bool {
    let words = ["true", "false", "True", "False", "TRUE", "FALSE"];
    column.empty == 0
        && (column.binary == rows
            || column.values.iter().all(|value| words.contains(&value.as_str())))
}

/// Rare ids teach nothing of their own: in large vocabularies they share a row.
fn with_min_count(feature: Feature, column: &Profile) -> Feature {
    Feature { min_count: (column.distinct > 1000).then_some(2), ..feature }
}

/// The separator of a column of lists. `,` and `;` also stand in plain text: they count only where the pieces are
/// fewer than the cells they make.
fn separator(column: &Profile, filled: usize) -> Option<char> {
    let (separator, cells) = column.separator?;
    let mut pieces: Vec<&str> =
        column.values.iter().flat_map(|value| value.split(separator)).map(str::trim).collect();
    pieces.sort_unstable();
    pieces.dedup();
    let list = cells * 5 >= filled && (separator == '|' || pieces.len() < column.values.len());
    list.then_some(separator)
}

#[cfg(test)]
mod tests;
