//! Checks of a configuration against its data, without training: schema, labels, leakage.
//!
//! Everything is streamed once; columns are compared by digests, so they may in principle be called equal wrongly
//! (probability 2⁻⁶⁴ for each pair). Only the search for inputs that know the label keeps rows, the first 200,000.

mod alone;
mod column;
mod labels;

use std::path::{Path, PathBuf};

use rustc_hash::{FxHashMap, FxHashSet};
use serde::Serialize;

use crate::civil::instant;
use crate::rows::{self, Layout, Rows};
use crate::schema::{
    Config, FeatureType, PurchaseObjective, Role, Side, SplitMethod, Task, TaskKind, Transform,
};
use crate::{Error, Result};
use column::{Check, Column};
use labels::Labels;

/// What [`validate`] found; each a sentence that says what is wrong, where, and what to do.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Findings {
    /// Training would fail or learn the wrong thing.
    pub errors: Vec<String>,
    /// Worth a look.
    pub warnings: Vec<String>,
}

/// Rows kept to look for inputs that know the label.
const KEPT: u64 = 200_000;
/// An input with a better AUC than this on its own is suspected to know the label.
const TOO_GOOD: f64 = 0.99;

/// Checks `config` and the files it names, relative to `base`.
///
/// Errors only where the file system fails in ways that are not the data's fault; what is wrong with configuration
/// and data is in the findings. Reads every row once.
pub fn validate(config: &Config, base: &Path) -> Result<Findings> {
    let mut findings = Findings::default();
    if let Err(error) = config.check() {
        findings.error(&error);
        return Ok(findings);
    }
    let Some(mut tables) = Tables::plan(config, base, &mut findings)? else { return Ok(findings) };
    tables.scan(config, &mut findings);
    tables.labels(config, &mut findings);
    tables.columns(config, &mut findings);
    tables.times(config, &mut findings);
    tables.leaks(config, &mut findings);
    Ok(findings)
}

impl Findings {
    /// Whether nothing forbids training.
    pub fn passed(&self) -> bool {
        self.errors.is_empty()
    }

    fn error(&mut self, error: &Error) {
        self.errors.push(match error.hint() {
            Some(hint) => format!("{error}: {hint}"),
            None => error.to_string(),
        });
    }
}

/// One table: its files and the columns that are looked at.
#[derive(Default)]
struct Table {
    files: Vec<PathBuf>,
    header: Vec<String>,
    columns: Vec<Column>,
    rows: u64,
}

impl Table {
    /// Adds a column, or makes more of one that is there.
    fn want(&mut self, name: &str, check: Check, is_input: bool) {
        match self.columns.iter_mut().find(|column| column.name == name) {
            Some(column) => {
                column.is_input |= is_input;
                column.check = column.check.and(check);
            }
            None => self.columns.push(Column::new(name, check, is_input)),
        }
    }

    fn at(&self, name: &str) -> Option<usize> {
        self.columns.iter().position(|column| column.name == name)
    }

    fn has(&self, name: &str) -> bool {
        self.header.iter().any(|column| column == name)
    }
}

/// First and last time of some rows.
#[derive(Clone, Copy)]
struct Span {
    first: f64,
    last: f64,
}

impl Default for Span {
    fn default() -> Self {
        Self { first: f64::INFINITY, last: f64::NEG_INFINITY }
    }
}

struct Tables {
    layout: Layout,
    log: Table,
    /// The first of the log's files that are a test of their own.
    first_test: usize,
    items: Option<Table>,
    users: Option<Table>,
    /// Of the rows kept for [`alone`]: the item's and the user's row, `u32::MAX` where unknown, and the labels.
    item_row: Vec<u32>,
    user_row: Vec<u32>,
    labels: Vec<Vec<u8>>,
    /// By task: what its label column has, where it is of numbers or classes.
    other_labels: Vec<Labels>,
    main_time: Span,
    test_time: Span,
    /// Rows earlier than one before them.
    disordered: u64,
    users_seen: FxHashSet<u64>,
    unknown_items: u64,
    events: FxHashMap<String, u64>,
    purchases_without_click: u64,
}

impl Tables {
    /// Finds the files and the columns; `None` where they do not allow more.
    fn plan(config: &Config, base: &Path, findings: &mut Findings) -> Result<Option<Self>> {
        let data = &config.data;
        let layout = Layout { delimiter: data.delimiter as u8, quoting: true };
        let (key, main) = if data.events.is_empty() {
            ("data.impressions", &data.impressions)
        } else {
            ("data.events", &data.events)
        };
        let mut open = |key: &str, patterns: &[String]| -> Result<Table> {
            let mut table = Table::default();
            for pattern in patterns {
                table.files.extend(files(key, pattern, base, findings)?);
            }
            for file in &table.files {
                match rows::header(file, layout) {
                    Err(error) => findings.error(&error),
                    Ok(header) if table.header.is_empty() => table.header = header,
                    // A column is one of the table only if all of its files have it.
                    Ok(header) => table.header.retain(|name| header.contains(name)),
                }
            }
            Ok(table)
        };
        let main = open(key, main)?;
        let test = open("data.test", &data.test)?;
        let one = |path: &Option<String>| path.iter().cloned().collect::<Vec<_>>();
        let items = open("data.items", &one(&data.items))?;
        let users = open("data.users", &one(&data.users))?;
        if !findings.passed() {
            return Ok(None);
        }
        let first_test = main.files.len();
        let mut log = main;
        log.files.extend(test.files);
        if !data.test.is_empty() {
            log.header.retain(|name| test.header.contains(name));
        }
        let mut tables = Self {
            layout,
            log,
            first_test,
            items: data.items.is_some().then_some(items),
            users: data.users.is_some().then_some(users),
            item_row: Vec::new(),
            user_row: Vec::new(),
            labels: config.tasks.iter().map(|_| Vec::new()).collect(),
            other_labels: config.tasks.iter().map(|_| Labels::default()).collect(),
            main_time: Span::default(),
            test_time: Span::default(),
            disordered: 0,
            users_seen: FxHashSet::default(),
            unknown_items: 0,
            events: FxHashMap::default(),
            purchases_without_click: 0,
        };
        tables.want(config, findings);
        Ok(findings.passed().then_some(tables))
    }

    /// Registers every column that the configuration names; one that is nowhere is an error.
    fn want(&mut self, config: &Config, findings: &mut Findings) {
        let columns = &config.columns;
        let mut want = |findings: &mut Findings,
                        key: &str,
                        name: &str,
                        side: Side,
                        check: Check,
                        is_input: bool| {
            let own = match side {
                Side::Item => self.items.as_mut(),
                Side::User => self.users.as_mut(),
                _ => None,
            };
            let table = match own {
                Some(table) if table.has(name) => table,
                _ if self.log.has(name) => &mut self.log,
                own => {
                    let mut all: Vec<&str> = self.log.header.iter().map(String::as_str).collect();
                    all.extend(
                        own.iter().flat_map(|table| table.header.iter().map(String::as_str)),
                    );
                    let hint = nearest(name, &all)
                        .map_or(".".into(), |near| format!("; did you mean `{near}`?"));
                    findings.errors.push(format!(
                        "config key `{key}`: there is no column `{name}`{hint} Columns: {}",
                        all.join(", ")
                    ));
                    return;
                }
            };
            table.want(name, check, is_input);
        };
        want(findings, "columns.user", &columns.user, Side::Context, Check::Id, false);
        want(findings, "columns.item", &columns.item, Side::Context, Check::Id, false);
        if config.data.items.is_some() {
            want(findings, "columns.item", &columns.item, Side::Item, Check::Id, false);
        }
        if config.data.users.is_some() {
            want(findings, "columns.user", &columns.user, Side::User, Check::Id, false);
        }
        let price = Check::Number { empty: true, negative: false };
        for (key, name, side, check) in [
            ("time", &columns.time, Side::Context, Check::Time),
            ("request", &columns.request, Side::Context, Check::Id),
            ("position", &columns.position, Side::Context, Check::Position),
            ("propensity", &columns.propensity, Side::Context, Check::Probability),
            ("purchase_time", &columns.purchase_time, Side::Context, Check::TimeOrEmpty),
            ("event", &columns.event, Side::Context, Check::Id),
            ("category", &columns.category, Side::Item, Check::Any),
            ("price", &columns.price, Side::Item, price),
            ("title", &columns.title, Side::Item, Check::Any),
        ] {
            if let Some(name) = name {
                want(findings, &format!("columns.{key}"), name, side, check, false);
            }
        }
        if config.data.events.is_empty() {
            for task in config.tasks.iter().filter(|task| task.kind.is_per_impression()) {
                let key = format!("task.{}.label", task.name);
                let check = match task.kind {
                    TaskKind::Regression => {
                        Check::Number { empty: true, negative: !task.is_log1p() }
                    }
                    TaskKind::MultiClass => Check::Any,
                    _ => Check::Label,
                };
                want(findings, &key, task.label(), Side::Context, check, false);
                let columns = config.label_columns();
                if let Some(space) = task.sample_space.as_deref().filter(|s| columns.contains(s)) {
                    let key = format!("task.{}.sample_space", task.name);
                    want(findings, &key, space, Side::Context, Check::Label, false);
                }
            }
        }
        for feature in &config.features {
            let check = match feature.kind {
                FeatureType::History
                | FeatureType::Past
                | FeatureType::Popularity
                | FeatureType::Affinity => continue,
                FeatureType::Number => Check::Number {
                    empty: feature.missing.is_some()
                        || feature.transform == Some(Transform::Buckets),
                    negative: feature.transform != Some(Transform::Log1p),
                },
                FeatureType::Time => Check::Time,
                FeatureType::Id | FeatureType::Multi => Check::Any,
            };
            let key = format!("feature.{}.column", feature.name);
            if let Some(task) = config
                .tasks
                .iter()
                .find(|task| task.kind.is_per_impression() && task.label() == feature.column())
            {
                findings.errors.push(format!(
                    "config key `{key}`: `{}` is the label of task `{}`: remove the feature",
                    feature.column(),
                    task.name
                ));
                continue;
            }
            want(findings, &key, feature.column(), feature.side, check, true);
        }
    }

    /// Walks all files.
    fn scan(&mut self, config: &Config, findings: &mut Findings) {
        let columns = &config.columns;
        let tolerated = config.data.max_bad_share;
        let side = |table: &mut Option<Table>, key: &str, layout, findings: &mut Findings| {
            let mut places: FxHashMap<u64, u32> = FxHashMap::default();
            if let Some(table) = table {
                let at = table.at(key).expect("the id was registered");
                let mut twice = None;
                scan_table(
                    table,
                    layout,
                    tolerated,
                    findings,
                    |_, _| true,
                    |_, rows, table| {
                        let row = table.rows as u32;
                        if places.insert(column::hash(rows.text(at)), row).is_some()
                            && twice.is_none()
                        {
                            twice = Some(rows.cell(at, "an id that no row before has").to_string());
                        }
                    },
                );
                findings.errors.extend(twice);
            }
            places
        };
        let item_places = side(&mut self.items, &columns.item, self.layout, findings);
        let user_places = side(&mut self.users, &columns.user, self.layout, findings);

        let at = |name: &str| self.log.at(name).expect("the column was registered");
        let (user, item) = (at(&columns.user), at(&columns.item));
        let (time, event) = (columns.time.as_deref().map(at), columns.event.as_deref().map(at));
        let labels: Vec<Option<usize>> = config
            .tasks
            .iter()
            .map(|task| {
                let labelled = task.kind == TaskKind::Binary && config.data.events.is_empty();
                labelled.then(|| at(task.label()))
            })
            .collect();
        // Of labels that are numbers or classes: the task, its column, and that of its sample space.
        let others: Vec<(usize, usize, Option<usize>)> = (0..config.tasks.len())
            .filter(|&task| config.tasks[task].kind.encodes_labels())
            .map(|task| {
                let space =
                    config.sample_space(task).map(|place| at(config.label_columns()[place]));
                (task, at(config.tasks[task].label()), space)
            })
            .collect();
        let label_of = |role| config.task_of(role).and_then(|task| labels[task]);
        let (click, purchase) = (label_of(Role::Click), label_of(Role::Purchase));
        let has_items = self.items.is_some();
        let mut previous = f64::NEG_INFINITY;
        let mut log = std::mem::take(&mut self.log);
        let first_test = self.first_test;
        let is_kept = |file, row| file < first_test && row < KEPT && config.data.events.is_empty();
        scan_table(&mut log, self.layout, tolerated, findings, is_kept, |file, rows, table| {
            let is_test = file >= first_test;
            self.users_seen.insert(column::hash(rows.text(user)));
            let item_row = item_places.get(&column::hash(rows.text(item))).copied();
            self.unknown_items += u64::from(has_items && item_row.is_none());
            if let Some(time) = time {
                let now = table.columns[time].last;
                let span = if is_test { &mut self.test_time } else { &mut self.main_time };
                span.first = span.first.min(now);
                span.last = span.last.max(now);
                self.disordered += u64::from(!is_test && now < previous);
                previous = previous.max(now);
            }
            if let Some(event) = event {
                let kind = rows.text(event);
                match self.events.get_mut(kind) {
                    Some(count) => *count += 1,
                    None => {
                        self.events.insert(kind.into(), 1);
                    }
                }
            }
            if let (Some(click), Some(purchase)) = (click, purchase) {
                let of = |at: usize| table.columns[at].last;
                self.purchases_without_click += u64::from(of(purchase) == 1.0 && of(click) == 0.0);
            }
            for &(task, label, space) in &others {
                if !is_test && space.is_none_or(|space| table.columns[space].last == 1.0) {
                    let cell = rows.text(label);
                    self.other_labels[task].add((!cell.is_empty()).then(|| column::hash(cell)));
                }
            }
            if is_kept(file, table.rows) {
                self.item_row.push(item_row.unwrap_or(u32::MAX));
                let user_row = user_places.get(&column::hash(rows.text(user)));
                self.user_row.push(user_row.copied().unwrap_or(u32::MAX));
                for (kept, at) in self.labels.iter_mut().zip(&labels) {
                    kept.extend(at.map(|at| u8::from(table.columns[at].last == 1.0)));
                }
            }
        });
        self.log = log;
    }

    fn labels(&self, config: &Config, findings: &mut Findings) {
        if self.log.rows == 0 {
            findings.errors.push("the log has no rows".into());
            return;
        }
        if let Some(log) = &config.data.event_log {
            for (key, kinds, needed) in [
                ("click", &log.click, true),
                ("purchase", &log.purchase, config.task_of(Role::Purchase).is_some()),
            ] {
                if needed && kinds.iter().all(|kind| !self.events.contains_key(kind)) {
                    let mut found: Vec<&str> = self.events.keys().map(String::as_str).collect();
                    found.sort_unstable();
                    findings.errors.push(format!(
                        "config key `data.event_log.{key}`: no event is one of {kinds:?}; the log has {}",
                        found.join(", ")
                    ));
                }
            }
        }
        for task in config.tasks.iter().filter(|task| task.kind == TaskKind::Binary) {
            let Some(at) = self.log.at(task.label()).filter(|_| config.data.events.is_empty())
            else {
                continue;
            };
            let column = &self.log.columns[at];
            for (count, other, what) in
                [(column.ones, column.zeros, "1"), (column.zeros, column.ones, "0")]
            {
                if count == 0 && other > 0 {
                    findings.errors.push(format!(
                        "task `{}`: column `{}` is never {what} in {other} rows: there is nothing to learn; \
                         check the column or remove the task",
                        task.name, column.name
                    ));
                }
            }
        }
        for (index, task) in config.tasks.iter().enumerate() {
            if task.kind.encodes_labels() {
                findings.errors.extend(self.other_labels[index].problem(config, index));
            }
        }
        if let Some(task) = config.task_of(Role::Purchase).map(|task| &config.tasks[task])
            && self.purchases_without_click > 0
            && task.objective() != PurchaseObjective::AllImpressions
        {
            findings.errors.push(format!(
                "task `{}`: {} of {} rows are bought but not clicked: expected none; set the click to 1 there, or use \
                 objective = \"all_impressions\"",
                task.name, self.purchases_without_click, self.log.rows
            ));
        }
        if self.users_seen.len() == 1 {
            let sentence =
                "the log has one user: nothing can be learnt about the differences between users";
            if config.data.split.method == SplitMethod::ByUser {
                findings.errors.push(format!(
                    "{sentence}, and `by_user` cannot split it; check `columns.user`"
                ));
            } else {
                findings.warnings.push(format!("{sentence}; check `columns.user`"));
            }
        }
        if self.unknown_items > 0 {
            findings.warnings.push(format!(
                "{} of {} rows are about items that the items table does not have: they share one unknown item; \
                 complete the table",
                self.unknown_items, self.log.rows
            ));
        }
    }

    /// Columns that say nothing, or the same as another.
    fn columns(&self, config: &Config, findings: &mut Findings) {
        let tables = [Some(&self.log), self.items.as_ref(), self.users.as_ref()];
        let labels: Vec<&str> =
            config.tasks.iter().filter(|t| t.kind.is_per_impression()).map(Task::label).collect();
        for table in tables.into_iter().flatten().filter(|table| table.rows > 1) {
            let is_label = |column: &Column| {
                let own = std::ptr::eq(table, &raw const self.log)
                    && labels.contains(&column.name.as_str());
                own || column.check == Check::Label
            };
            let varying: Vec<&Column> =
                table.columns.iter().filter(|column| column.varies).collect();
            for column in table.columns.iter().filter(|column| column.is_input && !column.varies) {
                findings.warnings.push(format!(
                    "feature `{}`: its column has the same value in all {} rows: remove the feature",
                    feature_of(config, &column.name),
                    table.rows
                ));
            }
            for (index, column) in varying.iter().enumerate() {
                for other in
                    varying[..index].iter().filter(|other| other.digest() == column.digest())
                {
                    // An id may well name rows that something else names too; two inputs should not.
                    if column.is_input && other.is_input {
                        findings.warnings.push(format!(
                            "columns `{}` and `{}` are the same in all rows: remove one of the features",
                            other.name, column.name
                        ));
                    } else if (column.is_input && is_label(other))
                        || (other.is_input && is_label(column))
                    {
                        findings.errors.push(format!(
                            "columns `{}` and `{}` are the same in all rows: one is a label, the other an input; \
                             remove the feature",
                            other.name, column.name
                        ));
                    }
                }
            }
        }
    }

    fn times(&self, config: &Config, findings: &mut Findings) {
        let split = &config.data.split;
        if config.columns.time.is_none() {
            if split.method == SplitMethod::Time && config.data.test.is_empty() {
                findings.errors.push(
                    "config key `data.split.method`: `time` needs `columns.time`; without times use `row_order` (rows \
                     in time order) or `random`"
                        .into(),
                );
            }
            return;
        }
        let (main, test) = (self.main_time, self.test_time);
        if !config.data.test.is_empty() && test.first < main.last {
            findings.errors.push(format!(
                "the test files begin at {} but training rows go on until {}: the model would learn from what comes \
                 after its test; cut the files at one time",
                test.first, main.last
            ));
        }
        if matches!(split.method, SplitMethod::Random | SplitMethod::ByUser) {
            findings.warnings.push(
                "config key `data.split.method`: the log has times, but test requests would be earlier than training \
                 ones; use method = \"time\" to measure what serving will see"
                    .into(),
            );
        }
        if split.method == SplitMethod::RowOrder && self.disordered > 0 {
            findings.errors.push(format!(
                "config key `data.split.method`: `row_order` takes rows in time order, but {} rows are earlier than \
                 one before them; use method = \"time\"",
                self.disordered
            ));
        }
        if let Some(text) = &split.test_from {
            match instant(text) {
                None => findings.errors.push(format!(
                    "config key `data.split.test_from`: expected RFC 3339 or Unix seconds, got `{text}`"
                )),
                Some(from) if (from as f64) <= main.first || from as f64 > main.last => {
                    findings.errors.push(format!(
                        "config key `data.split.test_from`: `{text}` leaves no row on one side; the log runs from {} \
                         to {} (Unix seconds)",
                        main.first, main.last
                    ));
                }
                Some(_) => {}
            }
        }
    }

    /// Inputs that know a label.
    fn leaks(&self, config: &Config, findings: &mut Findings) {
        let click = config.task_of(Role::Click);
        for (index, task) in config.tasks.iter().enumerate() {
            let labels = &self.labels[index];
            if labels.is_empty() {
                continue;
            }
            // A purchase is asked about clicked rows alone.
            let asked: Vec<usize> = match click {
                Some(click)
                    if task.role() == Some(Role::Purchase)
                        && task.objective() != PurchaseObjective::AllImpressions =>
                {
                    (0..labels.len()).filter(|&row| self.labels[click][row] == 1).collect()
                }
                _ => (0..labels.len()).collect(),
            };
            let labels: Vec<u8> = asked.iter().map(|&row| labels[row]).collect();
            for feature in &config.features {
                let Some(score) =
                    self.alone(feature, &asked, &labels).filter(|auc| *auc > TOO_GOOD)
                else {
                    continue;
                };
                findings.warnings.push(format!(
                    "feature `{}` alone predicts `{}` with an AUC of {score:.4} on the first {} rows: is it known \
                     before the list is shown? If not, remove it",
                    feature.name,
                    task.name,
                    labels.len()
                ));
            }
        }
    }

    fn alone(
        &self,
        feature: &crate::schema::Feature,
        asked: &[usize],
        labels: &[u8],
    ) -> Option<f64> {
        if !feature.kind.has_column() || feature.kind == FeatureType::Time {
            return None;
        }
        let name = feature.column();
        let own = match feature.side {
            Side::Item => self.items.as_ref().map(|table| (table, &self.item_row)),
            Side::User => self.users.as_ref().map(|table| (table, &self.user_row)),
            _ => None,
        };
        let own = own.filter(|(table, _)| table.at(name).is_some());
        let column = match own {
            Some((table, _)) => &table.columns[table.at(name)?],
            None => &self.log.columns[self.log.at(name)?],
        };
        let place = |row: usize| own.map_or(row, |(_, rows)| rows[row] as usize);
        if matches!(column.check, Check::Number { .. }) {
            let value = |&row: &usize| column.numbers.get(place(row)).copied().unwrap_or(f32::NAN);
            alone::of_numbers(&asked.iter().map(value).collect::<Vec<_>>(), labels)
        } else {
            let value = |&row: &usize| column.codes.get(place(row)).copied().unwrap_or(u32::MAX);
            alone::of_codes(&asked.iter().map(value).collect::<Vec<_>>(), labels)
        }
    }
}

/// Walks the rows of a table. `keep` says of a file and a row whether its inputs are kept; `row` gets the file's
/// number and the row once its cells were looked at, and before it is counted. Bad rows become findings.
fn scan_table(
    table: &mut Table,
    layout: Layout,
    tolerated: f64,
    findings: &mut Findings,
    keep: impl Fn(usize, u64) -> bool,
    mut row: impl FnMut(usize, &Rows, &Table),
) {
    let names: Vec<String> = table.columns.iter().map(|column| column.name.clone()).collect();
    let mut broken: Option<Error> = None;
    let (mut n_broken, mut n_bad) = (0_u64, 0_u64);
    for (number, file) in table.files.clone().iter().enumerate() {
        let mut rows = match Rows::open(file, layout, &names) {
            Ok(rows) => rows,
            Err(error) => {
                findings.error(&error);
                continue;
            }
        };
        loop {
            match rows.advance() {
                Ok(true) => {}
                Ok(false) => break,
                // One bad row; the next may be good.
                Err(error @ Error::Row { .. }) => {
                    n_broken += 1;
                    broken.get_or_insert(error);
                    continue;
                }
                Err(error) => {
                    findings.error(&error);
                    break;
                }
            }
            let kept = keep(number, table.rows);
            let mut good = true;
            for (i, column) in table.columns.iter_mut().enumerate() {
                good &= column.see(&rows, i, kept);
            }
            n_bad += u64::from(!good);
            row(number, &rows, table);
            table.rows += 1;
        }
    }
    let all = table.rows + n_broken;
    let passed = (n_bad + n_broken) as f64 <= tolerated * all as f64;
    let cells =
        table.columns.iter().filter_map(|column| Some((column.example.as_ref()?, column.bad)));
    for (error, count) in broken.iter().map(|error| (error, n_broken)).chain(cells) {
        if passed {
            findings.warnings.push(format!(
                "{error} ({count} of {all} rows; `data.max_bad_share` lets them be dropped)"
            ));
        } else {
            findings.errors.push(format!(
                "{error} ({count} of {all} rows; mend them, or let them be dropped with `data.max_bad_share`)"
            ));
        }
    }
}

/// The files of a pattern.
fn files(key: &str, pattern: &str, base: &Path, findings: &mut Findings) -> Result<Vec<PathBuf>> {
    let path = base.join(pattern);
    let paths = glob::glob(&path.to_string_lossy()).map_err(|error| {
        Error::config(key, format!("`{pattern}` is not a pattern of file names: {error}"))
    })?;
    let mut found: Vec<PathBuf> = paths.filter_map(std::result::Result::ok).collect();
    found.sort();
    if found.is_empty() {
        findings.errors.push(format!(
            "config key `{key}`: there is no file {}; paths are relative to the configuration",
            path.display()
        ));
    }
    Ok(found)
}

/// The first feature that reads `column`.
fn feature_of<'a>(config: &'a Config, column: &'a str) -> &'a str {
    config.features.iter().find(|f| f.column() == column).map_or(column, |f| &f.name)
}

/// The name closest to `name`, at most two edits away (three for long names).
fn nearest<'a>(name: &str, names: &[&'a str]) -> Option<&'a str> {
    let most = if name.chars().count() > 8 { 3 } else { 2 };
    names
        .iter()
        .map(|other| (edits(name, other), *other))
        .filter(|(edits, _)| *edits <= most)
        .min_by_key(|(edits, _)| *edits)
        .map(|(_, other)| other)
}

/// Levenshtein distance.
fn edits(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, y) in b.iter().enumerate() {
            let replaced = diagonal + usize::from(x != *y);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests;
