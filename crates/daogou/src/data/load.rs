//! From files to a [`Dataset`].

use std::path::{Path, PathBuf};
use std::sync::Arc;

use hashbrown::HashMap;
use rustc_hash::FxBuildHasher;

use super::attribution;
use super::columns::{self, Raw, Request, Table, Want};
use super::dataset::{
    Catalogue, Column, Dataset, Impressions, LoadReport, Requests, SideTable, Split, Target,
    Timelines,
};
use super::encode::{self, NO_ROW, Sample};
use super::event_log::{self, EventKind};
use super::fingerprint;
use super::labels;
use super::measured::Measured;
use super::past::{Past, Shown};
use super::popularity::Popularity;
use super::space::{FeatureSpace, Field, FieldKind};
use super::split::{self, RequestFacts, SplitPlan};
use super::targets;
use super::timeline::{self, Engagements};
use crate::rows::{self, Layout};
use crate::schema::{
    Config, Feature, FeatureType, Role, Side, SplitConfig, Task, TaskKind, Transform,
};
use crate::{Error, Result};

/// Most categories a distribution head tells apart; the last is then `other`.
const MAX_CATEGORIES: usize = 20;

/// A purchase counts as much as this many clicks in a user's timeline (SCIENCE C.1).
pub(crate) const PURCHASE_WEIGHT: f32 = 3.0;

/// What a run already knows, to read a further log by.
#[derive(Clone, Copy, Debug)]
pub struct Known<'a> {
    /// How values become numbers.
    pub space: &'a Arc<FeatureSpace>,
    /// Users, to be found again by id.
    pub users: &'a SideTable,
    /// Items.
    pub items: &'a SideTable,
    /// Items as lists see them.
    pub catalogue: &'a Catalogue,
    /// What users had seen when its log ended.
    pub past: &'a Past,
    /// What its people engaged with.
    pub timelines: &'a Timelines,
    /// Time of the last request of its log.
    pub last_time: i64,
}

/// Columns to read from one table, each once.
#[derive(Default)]
pub(super) struct Wanted {
    pub(super) columns: Vec<(String, Want)>,
}

impl Wanted {
    pub(super) fn add(&mut self, name: &str, want: Want) -> usize {
        let found = self.columns.iter().position(|(n, w)| n == name && *w == want);
        found.unwrap_or_else(|| {
            self.columns.push((name.into(), want));
            self.columns.len() - 1
        })
    }
}

/// How the column of a feature is read; `None` where it has none.
pub(super) fn want(feature: &Feature) -> Option<Want> {
    match feature.kind {
        FeatureType::Id => Some(Want::Text { required: false }),
        FeatureType::Multi => {
            Some(Want::Multi(feature.separator.clone().unwrap_or_else(|| "|".into())))
        }
        FeatureType::Number => Some(Want::Number {
            required: feature.missing.is_none() && feature.transform != Some(Transform::Buckets),
            negative: feature.transform != Some(Transform::Log1p),
        }),
        FeatureType::Time => Some(Want::Time),
        FeatureType::History
        | FeatureType::Past
        | FeatureType::Popularity
        | FeatureType::Affinity => None,
    }
}

/// The feature that a field comes from; a time gives two fields.
pub(super) fn find_feature<'a>(config: &'a Config, field: &Field) -> Option<&'a Feature> {
    let is = |feature: &&Feature| {
        let part = field.name.strip_prefix(feature.name.as_str());
        feature.name == field.name
            || (feature.kind == FeatureType::Time
                && part.is_some_and(|part| part == "_hour" || part == "_weekday"))
    };
    config.features.iter().find(is)
}

/// The same of a field that comes from one: all do that are read from a column.
pub(crate) fn feature_of<'a>(config: &'a Config, field: &Field) -> &'a Feature {
    find_feature(config, field).expect("every field comes from a feature")
}

/// One side (users or items) before encoding: raw values per row of its table, row 0 being empty.
struct RawSide {
    ids: Vec<String>,
    /// Side row of each id code of the log.
    row_of_code: Vec<u32>,
    /// Raw columns by wanted index of the table they come from.
    columns: Vec<Raw>,
}

/// Where a side's columns come from.
struct SidePlan {
    /// Its own file; else the log itself.
    file: Option<PathBuf>,
    /// The run's own table serves; nothing is read.
    frozen: bool,
    wanted: Wanted,
    /// Wanted index per feature of the configuration.
    of_feature: Vec<Option<usize>>,
    category: Option<usize>,
    price: Option<usize>,
    title: Option<usize>,
}

/// Loads the log that `config` describes; relative paths are relative to `base`.
///
/// User-side and item-side columns without a table of their own are read from the log: of each user or item, the row of
/// its first impression in the order train, validation, test. Values are counted and standardised over training rows
/// only: requests for users and context, impressions for items and impressions.
///
/// # Errors
///
/// A sentence that names file, line and column, or the configuration key.
pub fn load(config: &Config, base: &Path) -> Result<Dataset> {
    Loader { config, base, known: None }.load()
}

/// Loads a further log by what a run knows; all of it becomes the test split. Users and items the run does not know get
/// rows of their own where the log describes them.
///
/// # Errors
///
/// As [`load`].
pub fn load_known(config: &Config, base: &Path, known: Known<'_>) -> Result<Dataset> {
    Loader { config, base, known: Some(known) }.load()
}

struct Loader<'a> {
    config: &'a Config,
    base: &'a Path,
    known: Option<Known<'a>>,
}

/// The log as requests and impressions, already in the order of the split.
#[derive(Default)]
struct Ordered {
    requests: Requests,
    split: Split,
    /// Row of the log behind each impression; [`NO_ROW`] for sampled ones.
    rows: Vec<u32>,
    /// Row of the log behind each request.
    request_rows: Vec<u32>,
    impressions: Impressions,
}

impl Loader<'_> {
    fn load(&self) -> Result<Dataset> {
        let config = self.config;
        config.check()?;
        let mut wanted = Wanted::default();
        let mut users = self.side_plan(Side::User, config.data.users.as_deref())?;
        let mut items = self.side_plan(Side::Item, config.data.items.as_deref())?;
        let c = &config.columns;
        let user = wanted.add(&c.user, Want::Text { required: true });
        let item = wanted.add(&c.item, Want::Text { required: true });
        let optional = |name: &Option<String>, want: Want, wanted: &mut Wanted| {
            name.as_ref().map(|name| wanted.add(name, want))
        };
        let time = optional(&c.time, Want::Time, &mut wanted);
        let event_log = !config.data.events.is_empty();
        let number = Want::Number { required: true, negative: false };
        let (mut request, mut position, mut propensity, mut event) = (None, None, None, None);
        let mut label_places = Vec::new();
        // Label columns of regressions and multi-class tasks, by task.
        let mut own_labels: Vec<Option<usize>> = vec![None; config.tasks.len()];
        let (mut funnel, mut bought) = (None, None);
        let purchase = config.task_of(Role::Purchase).map(|task| &config.tasks[task]);
        let purchase = purchase.filter(|task| task.reads_purchase_time());
        if event_log {
            event = optional(&c.event, Want::Text { required: true }, &mut wanted);
        } else {
            request = optional(&c.request, Want::Text { required: true }, &mut wanted);
            position = optional(&c.position, number.clone(), &mut wanted);
            propensity = optional(&c.propensity, number, &mut wanted);
            if self.known.is_none() || self.has_labels()? {
                label_places
                    .extend(config.label_columns().into_iter().map(|c| wanted.add(c, Want::Label)));
                for (place, task) in own_labels.iter_mut().zip(&config.tasks) {
                    *place = labels::want(task).map(|want| wanted.add(task.label(), want));
                }
                let place = |role| {
                    let task = &config.tasks[config.task_of(role)?];
                    wanted.columns.iter().position(|(n, w)| n == task.label() && *w == Want::Label)
                };
                funnel = place(Role::Click).zip(place(Role::Purchase));
                if purchase.is_some() {
                    bought = optional(&c.purchase_time, Want::TimeOrNever, &mut wanted);
                }
            }
        }
        // Side columns without a table of their own come from the log.
        let mut from_log = |plan: &mut SidePlan| {
            if plan.file.is_none() {
                let moved: Vec<usize> =
                    plan.wanted.columns.iter().map(|(n, w)| wanted.add(n, w.clone())).collect();
                let map = |place: &mut Option<usize>| *place = place.map(|p| moved[p]);
                plan.of_feature.iter_mut().for_each(map);
                [&mut plan.category, &mut plan.price, &mut plan.title].into_iter().for_each(map);
            }
        };
        from_log(&mut users);
        from_log(&mut items);
        let of_feature: Vec<Option<usize>> = config
            .features
            .iter()
            .map(|f| match f.side {
                Side::Context | Side::Impression => want(f).map(|w| wanted.add(f.column(), w)),
                Side::User | Side::Item => None,
            })
            .collect();

        let key = if event_log { "data.events" } else { "data.impressions" };
        let patterns = if event_log { &config.data.events } else { &config.data.impressions };
        let mut files = columns::expand(patterns, self.base, key)?;
        let first_test_file = files.len();
        files.extend(columns::expand(&config.data.test, self.base, "data.test")?);
        let request_of = |columns| Request {
            layout: self.layout(),
            columns,
            funnel,
            max_bad_share: config.data.max_bad_share,
        };
        let mut log = columns::read(&files, &request_of(&wanted.columns))?;
        let test_from = (first_test_file < files.len())
            .then(|| log.files[..first_test_file].iter().map(|(_, rows)| rows).sum::<usize>());
        if log.rows == 0 {
            return Err(Error::file(
                &files[0],
                "has no rows: expected at least one below the header",
            ));
        }
        if u32::try_from(log.rows).is_err() || log.rows == NO_ROW as usize {
            return Err(Error::data(format!(
                "expected fewer than {NO_ROW} rows, got {}",
                log.rows
            )));
        }
        let mut report = LoadReport {
            rows: log.rows as u64 + log.bad_rows,
            bad_rows: log.bad_rows,
            bad_examples: std::mem::take(&mut log.bad_examples),
            ..LoadReport::default()
        };

        let mut user_side = self.side(&users, &log, user, "data.users", Side::User)?;
        let mut item_side = self.side(&items, &log, item, "data.items", Side::Item)?;
        if user_side.ids.len() < 3 && self.known.is_none() {
            return Err(Error::data(format!(
                "expected at least 2 users, found {}",
                user_side.ids.len() - 1
            ))
            .with_hint("check `columns.user`"));
        }
        let of_code = |column: usize, side: &RawSide| -> Vec<u32> {
            let Raw::Text { codes, .. } = &log.columns[column] else {
                unreachable!("ids are text")
            };
            codes.iter().map(|&code| side.row_of_code[code as usize]).collect()
        };
        let (user_rows, item_rows) = (of_code(user, &user_side), of_code(item, &item_side));
        let times: &[i64] = match time.map(|t| &log.columns[t]) {
            Some(Raw::Times(times)) => times,
            _ => &[],
        };
        let mut ordered = match event {
            Some(event) => self.order_events(
                &log,
                event,
                (&user_rows, &item_rows, times),
                &item_side,
                &mut report,
            )?,
            None => self.order_impressions(&log, request, (&user_rows, times), test_from)?,
        };
        if event.is_none() {
            ordered.impressions.item =
                ordered.rows.iter().map(|&row| item_rows[row as usize]).collect();
            let numbers = |place: Option<usize>| -> Vec<f64> {
                let Some(Raw::Numbers(values)) = place.map(|p| &log.columns[p]) else {
                    return Vec::new();
                };
                ordered.rows.iter().map(|&row| values[row as usize]).collect()
            };
            ordered.impressions.position =
                numbers(position).into_iter().map(|p| p.clamp(0.0, 65535.0) as u16).collect();
            ordered.impressions.propensity =
                numbers(propensity).into_iter().map(|p| p as f32).collect();
            ordered.impressions.labels = label_places
                .iter()
                .map(|&place| {
                    let Raw::Labels(values) = &log.columns[place] else { unreachable!("labels") };
                    ordered.rows.iter().map(|&row| values[row as usize]).collect()
                })
                .collect();
            if let (Some(task), Some(place)) = (purchase, bought) {
                let Raw::Times(values) = &log.columns[place] else { unreachable!("times") };
                let times: Vec<i64> =
                    ordered.rows.iter().map(|&row| values[row as usize]).collect();
                let label = self.binary_index(Role::Purchase).expect("a binary task");
                let Ordered { requests, split, impressions, .. } = &mut ordered;
                attribution::attribute(task, (requests, split), impressions, (label, &times))?;
            }
        }
        let own_labels: Vec<Option<Raw>> = own_labels
            .iter()
            .map(|place| place.map(|place| log.columns[place].take(&ordered.rows)))
            .collect();
        drop((user_rows, item_rows));

        // Sides without a table: the first row of each, training first.
        if users.file.is_none() && !users.frozen {
            let owners: Vec<(u32, u32)> = ordered
                .requests
                .user
                .iter()
                .copied()
                .zip(ordered.request_rows.iter().copied())
                .collect();
            user_side.columns = first_rows(&log, &users, user_side.ids.len(), &owners);
        }
        if items.file.is_none() && !items.frozen {
            let mut owners: Vec<(u32, u32)> = ordered
                .impressions
                .item
                .iter()
                .copied()
                .zip(ordered.rows.iter().copied())
                .collect();
            owners.retain(|&(_, row)| row != NO_ROW);
            item_side.columns = first_rows(&log, &items, item_side.ids.len(), &owners);
        }

        let raw_of = |place: Option<usize>, feature: &Feature| -> Option<Raw> {
            let place = place?;
            Some(match feature.side {
                Side::Context => log.columns[place].take(&ordered.request_rows),
                Side::Impression => log.columns[place].take(&ordered.rows),
                Side::User => user_side.columns[place].clone(),
                Side::Item => item_side.columns[place].clone(),
            })
        };
        let own_id = |side: &RawSide| Raw::Text {
            codes: (0..side.ids.len() as u32).collect(),
            values: side.ids.clone(),
        };
        let raws: Vec<Option<Raw>> = config
            .features
            .iter()
            .enumerate()
            .map(|(i, feature)| match feature.side {
                Side::User if users.frozen => None,
                Side::Item if items.frozen => None,
                Side::User if self.is_own_id(feature) => Some(own_id(&user_side)),
                Side::Item if self.is_own_id(feature) => Some(own_id(&item_side)),
                Side::User => raw_of(users.of_feature[i], feature),
                Side::Item => raw_of(items.of_feature[i], feature),
                Side::Context | Side::Impression => raw_of(of_feature[i], feature),
            })
            .collect();

        let train = ordered.split.train.clone();
        let train_rows = ordered.requests.impressions(&train);
        let mut space = if let Some(known) = self.known {
            Arc::clone(known.space)
        } else {
            // Sampled negatives are no observations: they are left out of all statistics.
            let real = |i: &usize| !ordered.impressions.sampled.get(*i).copied().unwrap_or(false);
            let context: Vec<u32> = train.clone().map(|r| r as u32).collect();
            let cross: Vec<u32> = train_rows.clone().filter(real).map(|i| i as u32).collect();
            let item: Vec<u32> =
                cross.iter().map(|&i| ordered.impressions.item[i as usize]).collect();
            let samples = [&ordered.requests.user[train.clone()], &item, &context, &cross];
            let mut space = encode::fit(config, |feature| {
                let index = config.features.iter().position(|f| f.name == feature.name)?;
                let rows = samples[match feature.side {
                    Side::User => 0,
                    Side::Item => 1,
                    Side::Context => 2,
                    Side::Impression => 3,
                }];
                raws[index].as_ref().map(|raw| Sample { raw, rows })
            })?;
            space.labels = labels::learn(config, &own_labels, (&ordered.impressions, &train_rows))?;
            Arc::new(space)
        };
        // A frozen side keeps the run's columns: it has no raw ones.
        let column = |place: usize, groups: Option<&Column>| -> Option<Column> {
            let feature = feature_of(config, &space.fields[place]);
            let index = config.features.iter().position(|f| std::ptr::eq(f, feature));
            let raw = raws[index.expect("it is one of them")].as_ref()?;
            let salt = feature.shared_with.as_deref().unwrap_or(&feature.name);
            Some(encode::encode(raw, &space.encodings[place], salt, groups))
        };
        let mut encoded: [Vec<Column>; 4] = Default::default();
        for (place, (field, encoding)) in space.fields.iter().zip(&space.encodings).enumerate() {
            if matches!(field.kind, FieldKind::History { .. }) {
                continue;
            }
            if encoding.is_past() {
                // Filled below, when items have their columns.
                encoded[field.side as usize].push(Column::Numbers(Vec::new()));
                continue;
            }
            let groups = encoding.within().and_then(|of| column(of, None));
            encoded[field.side as usize].extend(column(place, groups.as_ref()));
        }
        drop(raws);
        let [mut user_columns, mut item_columns, context, cross] = encoded;
        if let Some(known) = self.known {
            keep_known(&mut user_columns, &known.users.columns);
            keep_known(&mut item_columns, &known.items.columns);
        }
        ordered.requests.columns = context;
        ordered.impressions.columns = cross;
        let catalogue = self.catalogue(&items, &item_side, &ordered);
        let Ordered { mut requests, mut impressions, split, rows, .. } = ordered;

        let items = SideTable { ids: item_side.ids, columns: item_columns };
        let click = self.click_labels(&impressions);
        let mut past = Past::default();
        if space.reads_past() {
            let shown =
                Shown { requests: &requests, impressions: &impressions, engaged: click.as_deref() };
            let before = self.known.map(|known| (known.past, known.last_time));
            let measured = Measured::new(&space, &shown, before, &items);
            if space.reads_own_past() {
                past = Past::of_log(&shown, items.ids.len());
            }
            if space.reads_popularity() {
                past.everyone = Popularity::of_log(&shown, items.ids.len());
            }
            if self.known.is_none() {
                let seen = |i: &usize| !impressions.sampled.get(*i).is_some_and(|&sampled| sampled);
                let rows: Vec<u32> = train_rows.filter(seen).map(|i| i as u32).collect();
                measured.fit(Arc::make_mut(&mut space), &rows, click.as_deref());
            }
            measured.fill(&space, &mut impressions.columns);
        }
        let n_users = user_side.ids.len();
        let timelines = self.timelines(n_users, &requests, &impressions, click.as_deref());
        requests.history_end = timeline::history_ends(&timelines, &requests.user, &requests.time);
        if impressions.labels.is_empty() {
            // A log without labels can be predicted, not learned from.
            let tasks = config.tasks.iter().filter(|t| t.kind == TaskKind::Binary).count();
            if self.known.is_none() && tasks > 0 {
                return Err(Error::data("the log has no labels"));
            }
        }
        let (own, notes) = labels::encode(config, &space.labels, &own_labels, &impressions);
        report.notes.extend(notes);
        let labelled = !impressions.labels.is_empty() || own.iter().any(Option::is_some);
        let mut targets: Vec<Option<Target>> = vec![None; config.tasks.len()];
        if self.known.is_none() || labelled {
            let (built, notes) =
                targets::build(config, &catalogue, &requests, &impressions, &timelines, &split)?;
            report.notes.extend(notes);
            targets = own.into_iter().zip(built).map(|(own, built)| own.or(built)).collect();
        }
        report.sampled_negatives = impressions.sampled.iter().filter(|&&s| s).count() as u64;
        let mut data = Dataset {
            space,
            users: SideTable { ids: user_side.ids, columns: user_columns },
            items,
            catalogue,
            requests,
            impressions,
            timelines,
            past,
            targets,
            split,
            rows,
            report,
        };
        data.report.fingerprint = fingerprint::of(&data);
        Ok(data)
    }

    fn layout(&self) -> Layout {
        Layout { delimiter: self.config.data.delimiter as u8, quoting: true }
    }

    /// Whether the first file of a further log has all label columns.
    fn has_labels(&self) -> Result<bool> {
        let files = columns::expand(&self.config.data.impressions, self.base, "data.impressions")?;
        let names = rows::header(&files[0], self.layout())?;
        let own = self.config.tasks.iter().filter(|task| task.kind.encodes_labels());
        let own = own.map(Task::label);
        let mut wanted = self.config.label_columns().into_iter().chain(own);
        Ok(wanted.all(|column| names.iter().any(|name| name == column)))
    }

    /// Whether a further log brings the columns of a side itself.
    fn describes(&self, side: Side) -> Result<bool> {
        let files = columns::expand(&self.config.data.impressions, self.base, "data.impressions")?;
        let names = rows::header(&files[0], self.layout())?;
        let mut features =
            self.config.features.iter().filter(|f| f.side == side && want(f).is_some());
        Ok(features.all(|f| names.iter().any(|n| n == f.column())))
    }

    /// Whether a feature is the id of its own side, which needs no column.
    fn is_own_id(&self, feature: &Feature) -> bool {
        let c = &self.config.columns;
        feature.kind == FeatureType::Id
            && match feature.side {
                Side::User => feature.column() == c.user,
                Side::Item => feature.column() == c.item,
                Side::Context | Side::Impression => false,
            }
    }

    fn side_plan(&self, side: Side, file: Option<&str>) -> Result<SidePlan> {
        let config = self.config;
        let file = file.map(|f| self.base.join(f));
        let mut wanted = Wanted::default();
        if self.known.is_some() && (file.is_some() || !self.describes(side)?) {
            return Ok(SidePlan {
                file: None,
                frozen: true,
                wanted,
                of_feature: vec![None; config.features.len()],
                category: None,
                price: None,
                title: None,
            });
        }
        let of_feature = config
            .features
            .iter()
            .map(|f| {
                if f.side != side || self.is_own_id(f) {
                    return None;
                }
                want(f).map(|w| wanted.add(f.column(), w))
            })
            .collect();
        let c = &config.columns;
        let present = |name: &Option<String>| -> Result<bool> {
            match (name, &file) {
                (None, _) => Ok(false),
                (Some(_), None) => Ok(true),
                (Some(name), Some(file)) => Ok(rows::header(file, self.layout())?.contains(name)),
            }
        };
        let mut plan = SidePlan {
            file: file.clone(),
            frozen: false,
            of_feature,
            wanted,
            category: None,
            price: None,
            title: None,
        };
        if side == Side::Item {
            for (name, want, place) in [
                (&c.category, Want::Text { required: false }, &mut plan.category),
                (&c.price, Want::Number { required: false, negative: true }, &mut plan.price),
                (&c.title, Want::Text { required: false }, &mut plan.title),
            ] {
                if present(name)? {
                    let name = name.as_ref().expect("present");
                    *place = Some(plan.wanted.add(name, want));
                } else if let (Some(name), Some(file)) = (name, &file) {
                    return Err(Error::file(file, format!("expected a column `{name}`"))
                        .with_hint("category, price and title stand in the items table"));
                }
            }
        }
        Ok(plan)
    }

    /// Ids and, where the side has a table, its columns.
    fn side(
        &self,
        plan: &SidePlan,
        log: &Table,
        id: usize,
        key: &str,
        side: Side,
    ) -> Result<RawSide> {
        let Raw::Text { values, .. } = &log.columns[id] else { unreachable!("ids are text") };
        if let Some(known) = self.known {
            let table = if side == Side::User { known.users } else { known.items };
            let mut ids = table.ids.clone();
            let row_of: HashMap<&str, u32, FxBuildHasher> =
                table.ids.iter().enumerate().map(|(i, id)| (id.as_str(), i as u32)).collect();
            let row_of_code = values
                .iter()
                .map(|value| match row_of.get(value.as_str()) {
                    Some(&row) => row,
                    None if plan.frozen => 0,
                    None => {
                        ids.push(value.clone());
                        ids.len() as u32 - 1
                    }
                })
                .collect();
            return Ok(RawSide { ids, row_of_code, columns: Vec::new() });
        }
        let Some(file) = &plan.file else {
            let ids = values.clone();
            return Ok(RawSide {
                row_of_code: (0..ids.len() as u32).collect(),
                ids,
                columns: Vec::new(),
            });
        };
        let c = &self.config.columns;
        let name = if side == Side::User { &c.user } else { &c.item };
        let mut columns = vec![(name.clone(), Want::Text { required: true })];
        columns.extend(plan.wanted.columns.iter().cloned());
        let request = Request {
            layout: self.layout(),
            columns: &columns,
            funnel: None,
            max_bad_share: self.config.data.max_bad_share,
        };
        let mut table = columns::read(std::slice::from_ref(file), &request)?;
        let Raw::Text { codes, values: table_ids } = table.columns.remove(0) else {
            unreachable!("ids are text")
        };
        let mut ids = vec![String::new()];
        let mut rows = vec![NO_ROW];
        let mut row_of: HashMap<String, u32, FxBuildHasher> = HashMap::default();
        for (row, &code) in codes.iter().enumerate() {
            let value = &table_ids[code as usize];
            if row_of.insert(value.clone(), ids.len() as u32).is_some() {
                return Err(Error::file(
                    file,
                    format!("row {}: `{value}` stands there twice", row + 1),
                )
                .with_hint(format!("`{key}` needs one row per id")));
            }
            ids.push(value.clone());
            rows.push(row as u32);
        }
        let row_of_code = values
            .iter()
            .map(|value| {
                *row_of.entry_ref(value.as_str()).or_insert_with(|| {
                    if value.is_empty() {
                        return 0;
                    }
                    ids.push(value.clone());
                    rows.push(NO_ROW);
                    ids.len() as u32 - 1
                })
            })
            .collect();
        let columns = table.columns.iter().map(|raw| raw.take(&rows)).collect();
        Ok(RawSide { ids, row_of_code, columns })
    }

    fn order_impressions(
        &self,
        log: &Table,
        request: Option<usize>,
        (users, times): (&[u32], &[i64]),
        test_from: Option<usize>,
    ) -> Result<Ordered> {
        let n = log.rows;
        // Rows of each request, in the order of the files.
        let mut by_request: Vec<u32> = (0..n as u32).collect();
        let mut offsets: Vec<u32> = Vec::new();
        match request.map(|r| &log.columns[r]) {
            Some(Raw::Text { codes, values }) => {
                let mut last_seen = vec![false; values.len()];
                let scattered = (0..n).any(|i| {
                    let new = i == 0 || codes[i] != codes[i - 1];
                    new && std::mem::replace(&mut last_seen[codes[i] as usize], true)
                });
                if scattered {
                    by_request.sort_by_key(|&row| codes[row as usize]);
                }
                let code = |i: usize| codes[by_request[i] as usize];
                offsets
                    .extend((0..n).filter(|&i| i == 0 || code(i) != code(i - 1)).map(|i| i as u32));
                for i in 1..n {
                    let (a, b) = (by_request[i - 1] as usize, by_request[i] as usize);
                    if code(i) == code(i - 1) && users[a] != users[b] {
                        let id = &values[code(i) as usize];
                        return Err(Error::data(format!(
                            "request `{id}` has impressions of several users"
                        ))
                        .with_hint("`columns.request` must name one list shown to one user"));
                    }
                }
            }
            _ => offsets.extend(0..n as u32),
        }
        offsets.push(n as u32);
        let n_requests = offsets.len() - 1;
        let first = |r: u32| by_request[offsets[r as usize] as usize];
        let user: Vec<u32> = (0..n_requests as u32).map(|r| users[first(r) as usize]).collect();
        let time: Vec<i64> = if times.is_empty() {
            Vec::new()
        } else {
            (0..n_requests as u32).map(|r| times[first(r) as usize]).collect()
        };
        let plan =
            self.plan(&user, &time, |r| test_from.is_some_and(|t| first(r as u32) as usize >= t))?;
        let mut out = Ordered { split: plan.split, ..Ordered::default() };
        out.requests.offsets.push(0);
        out.rows.reserve(n);
        for &r in &plan.order {
            let range = offsets[r as usize] as usize..offsets[r as usize + 1] as usize;
            out.rows.extend_from_slice(&by_request[range]);
            out.requests.offsets.push(out.rows.len() as u32);
            out.requests.user.push(user[r as usize]);
            if !time.is_empty() {
                out.requests.time.push(time[r as usize]);
            }
            out.request_rows.push(first(r));
        }
        Ok(out)
    }

    /// The split of all requests, of whose training part only the configured fraction is left.
    fn plan(
        &self,
        user: &[u32],
        time: &[i64],
        in_test: impl Fn(usize) -> bool,
    ) -> Result<SplitPlan> {
        let mut plan = self.whole_plan(user, time, in_test)?;
        split::thin(&self.config.data.split, &mut plan)?;
        Ok(plan)
    }

    /// The split: everything is test for a further log; files under `data.test` are test by themselves.
    fn whole_plan(
        &self,
        user: &[u32],
        time: &[i64],
        in_test: impl Fn(usize) -> bool,
    ) -> Result<SplitPlan> {
        let n = user.len();
        let config = &self.config.data.split;
        if self.known.is_some() {
            let mut order: Vec<u32> = (0..n as u32).collect();
            if !time.is_empty() {
                order.sort_by_key(|&r| time[r as usize]);
            }
            return Ok(SplitPlan { order, split: Split { train: 0..0, valid: 0..0, test: 0..n } });
        }
        let (given, test): (Vec<u32>, Vec<u32>) =
            (0..n as u32).partition(|&r| !in_test(r as usize));
        if test.is_empty() {
            return split::by_config(config, &RequestFacts { user, time, n });
        }
        let pick =
            |column: &[u32]| -> Vec<u32> { given.iter().map(|&r| column[r as usize]).collect() };
        let users = pick(user);
        let times: Vec<i64> = if time.is_empty() {
            Vec::new()
        } else {
            given.iter().map(|&r| time[r as usize]).collect()
        };
        let total = config.train + config.valid;
        let without_test = SplitConfig {
            train: config.train / total,
            valid: config.valid / total,
            test: 0.0,
            test_from: None,
            ..config.clone()
        };
        let mut plan = split::by_config(
            &without_test,
            &RequestFacts { user: &users, time: &times, n: given.len() },
        )?;
        plan.order.iter_mut().for_each(|r| *r = given[*r as usize]);
        plan.order.extend(test);
        plan.split.test = given.len()..n;
        Ok(plan)
    }

    fn order_events(
        &self,
        log: &Table,
        event: usize,
        (users, items, times): (&[u32], &[u32], &[i64]),
        item_side: &RawSide,
        report: &mut LoadReport,
    ) -> Result<Ordered> {
        let config = self.config.data.event_log.as_ref().expect("checked with the configuration");
        let Raw::Text { codes, values } = &log.columns[event] else {
            unreachable!("events are text")
        };
        let kind_of: Vec<Option<EventKind>> = values
            .iter()
            .map(|value| {
                if config.click.contains(value) {
                    Some(EventKind::Click)
                } else if config.purchase.contains(value) {
                    Some(EventKind::Purchase)
                } else {
                    None
                }
            })
            .collect();
        let kept: Vec<u32> = (0..log.rows as u32)
            .filter(|&row| kind_of[codes[row as usize] as usize].is_some())
            .collect();
        if kept.is_empty() {
            let found = values[1..].join(", ");
            return Err(Error::config(
                "data.event_log.click",
                format!("expected event types found in the log, which has {found}"),
            ));
        }
        let pick =
            |column: &[u32]| -> Vec<u32> { kept.iter().map(|&row| column[row as usize]).collect() };
        let (user, item) = (pick(users), pick(items));
        let time: Vec<i64> = kept.iter().map(|&row| times[row as usize]).collect();
        let kind: Vec<EventKind> =
            kept.iter().map(|&row| kind_of[codes[row as usize] as usize].expect("kept")).collect();
        let events = event_log::Events { user: &user, item: &item, time: &time, kind: &kind };
        let views = event_log::first_views(&events)?;
        let plan = self.plan(&views.user, &views.time, |_| false)?;
        let log = event_log::label(config, &events, &views, &plan, item_side.ids.len())?;
        report.notes.extend(log.notes.iter().cloned());
        report.notes.push(
            "the log has no impressions: items a user never touched were sampled as negatives, so click rates are \
             artificial"
                .into(),
        );
        let request_rows: Vec<u32> = log.event.iter().map(|&e| kept[e as usize]).collect();
        let mut rows = vec![NO_ROW; log.item.len()];
        for r in 0..log.user.len() {
            for i in log.offsets[r] as usize..log.offsets[r + 1] as usize {
                if log.click[i] == 1 {
                    rows[i] = request_rows[r];
                }
            }
        }
        let labels = self
            .config
            .tasks
            .iter()
            .filter(|t| t.kind == TaskKind::Binary)
            .map(|task| match task.role() {
                Some(Role::Click) => Ok(log.click.clone()),
                Some(Role::Purchase) => Ok(log.purchase.clone()),
                _ => Err(Error::config(
                    format!("task.{}", task.name),
                    "an event log labels the tasks `click` and `purchase` only",
                )),
            })
            .collect::<Result<_>>()?;
        Ok(Ordered {
            requests: Requests {
                user: log.user,
                time: log.time,
                offsets: log.offsets,
                ..Requests::default()
            },
            split: plan.split,
            rows,
            request_rows,
            impressions: Impressions {
                item: log.item,
                sampled: log.sampled,
                logit_offset: log.logit_offset,
                labels,
                ..Impressions::default()
            },
        })
    }

    /// Labels that mark engagement.
    fn click_labels(&self, impressions: &Impressions) -> Option<Vec<u8>> {
        impressions.labels.get(self.config.engagement()?).cloned()
    }

    /// Index among binary tasks of the task with a role.
    fn binary_index(&self, role: Role) -> Option<usize> {
        let binary = self.config.tasks.iter().filter(|t| t.kind == TaskKind::Binary);
        binary.into_iter().position(|t| t.role() == Some(role))
    }

    fn timelines(
        &self,
        n_users: usize,
        requests: &Requests,
        impressions: &Impressions,
        click: Option<&[u8]>,
    ) -> super::dataset::Timelines {
        let purchase = self.binary_index(Role::Purchase).and_then(|p| impressions.labels.get(p));
        let (mut user, mut item, mut time, mut weight) = (vec![], vec![], vec![], vec![]);
        // A log that goes on where the run's own ended goes on with its people's pasts. Of one that does not it cannot be
        // told what is in both.
        let goes_on = |known: &Known<'_>| {
            !requests.time.is_empty() && requests.time.iter().all(|&time| time > known.last_time)
        };
        if let Some(known) = self.known.filter(goes_on) {
            let before = known.timelines;
            for person in 0..before.users() as u32 {
                user.extend(before.of(person).map(|_| person));
            }
            item.extend_from_slice(&before.item);
            time.extend_from_slice(&before.time);
            weight.extend_from_slice(&before.weight);
        }
        if let Some(click) = click {
            for r in 0..requests.len() {
                for i in requests.impressions(&(r..r + 1)) {
                    if click[i] == 0 {
                        continue;
                    }
                    user.push(requests.user[r]);
                    item.push(impressions.item[i]);
                    time.extend(requests.time.get(r));
                    let bought = purchase.is_some_and(|p| p[i] == 1);
                    weight.push(if bought { PURCHASE_WEIGHT } else { 1.0 });
                }
            }
        }
        timeline::build(
            n_users,
            &Engagements { user: &user, item: &item, time: &time, weight: &weight },
        )
    }

    fn catalogue(&self, plan: &SidePlan, side: &RawSide, ordered: &Ordered) -> Catalogue {
        let n = side.ids.len();
        if let Some(known) = self.known.filter(|_| plan.frozen) {
            return known.catalogue.clone();
        }
        let mut catalogue = Catalogue {
            train_clicks: vec![0; n],
            train_impressions: vec![0; n],
            ..Catalogue::default()
        };
        let click = self.click_labels(&ordered.impressions);
        for i in ordered.requests.impressions(&ordered.split.train) {
            let item = ordered.impressions.item[i] as usize;
            catalogue.train_impressions[item] += 1;
            catalogue.train_clicks[item] += u32::from(click.as_ref().is_some_and(|c| c[i] == 1));
        }
        let raw = |place: Option<usize>| place.map(|p| &side.columns[p]);
        if let Some(Raw::Text { codes, values }) = raw(plan.category) {
            catalogue.categories = match self.known {
                Some(known) => known.catalogue.categories.clone(),
                None => common_categories(codes, values, &catalogue.train_impressions),
            };
            let other = catalogue.categories.iter().position(|c| c == OTHER);
            let place: Vec<u16> = values
                .iter()
                .map(|value| {
                    let found = catalogue.categories.iter().position(|c| c == value).or(other);
                    found.filter(|_| !value.is_empty()).map_or(u16::MAX, |i| i as u16)
                })
                .collect();
            catalogue.category = codes.iter().map(|&code| place[code as usize]).collect();
        }
        if let Some(Raw::Numbers(values)) = raw(plan.price) {
            catalogue.price = values.iter().map(|&v| v as f32).collect();
        }
        if let Some(Raw::Text { codes, values }) = raw(plan.title) {
            catalogue.title = codes.iter().map(|&code| values[code as usize].clone()).collect();
        }
        if let Some(Known { catalogue: known, .. }) = self.known {
            overwrite(&mut catalogue.category, &known.category);
            overwrite(&mut catalogue.price, &known.price);
            overwrite(&mut catalogue.title, &known.title);
            overwrite(&mut catalogue.train_clicks, &known.train_clicks);
            overwrite(&mut catalogue.train_impressions, &known.train_impressions);
        }
        catalogue
    }
}

/// Name of the category that stands for the rare ones.
pub(crate) const OTHER: &str = "other";

/// Categories by training impressions, most first; beyond [`MAX_CATEGORIES`] the rare ones become [`OTHER`].
fn common_categories(codes: &[u32], values: &[String], impressions: &[u32]) -> Vec<String> {
    let mut counts = vec![0u64; values.len()];
    for (&code, &n) in codes.iter().zip(impressions) {
        counts[code as usize] += u64::from(n);
    }
    let mut order: Vec<usize> = (1..values.len()).filter(|&i| counts[i] > 0).collect();
    order.sort_by(|&a, &b| counts[b].cmp(&counts[a]).then_with(|| values[a].cmp(&values[b])));
    let rare = order.len() > MAX_CATEGORIES || counts[1..].contains(&0);
    if order.len() > MAX_CATEGORIES - usize::from(rare) && rare {
        order.truncate(MAX_CATEGORIES - 1);
    }
    let mut names: Vec<String> = order.into_iter().map(|i| values[i].clone()).collect();
    if rare && !names.iter().any(|n| n == OTHER) {
        names.push(OTHER.into());
    }
    names
}

/// Raw columns of a side from the log: each row's first owner, in the order given.
fn first_rows(log: &Table, plan: &SidePlan, n: usize, owners: &[(u32, u32)]) -> Vec<Raw> {
    let mut first = vec![NO_ROW; n];
    for &(owner, row) in owners {
        if owner != 0 && first[owner as usize] == NO_ROW {
            first[owner as usize] = row;
        }
    }
    let used: Vec<usize> = plan
        .of_feature
        .iter()
        .chain([&plan.category, &plan.price, &plan.title])
        .filter_map(|p| *p)
        .collect();
    let empty = Raw::Labels(Vec::new());
    (0..log.columns.len())
        .map(|i| if used.contains(&i) { log.columns[i].take(&first) } else { empty.clone() })
        .collect()
}

/// What the run knows about its own rows stands; rows after them are new.
fn overwrite<T: Clone>(values: &mut [T], known: &[T]) {
    if let Some(values) = values.get_mut(..known.len()) {
        values.clone_from_slice(known);
    }
}

/// The same for encoded columns; without new rows the run's columns are all there is.
fn keep_known(columns: &mut Vec<Column>, known: &[Column]) {
    if columns.is_empty() {
        *columns = known.to_vec();
        return;
    }
    for (column, known) in columns.iter_mut().zip(known) {
        match (column, known) {
            (Column::Ids(values), Column::Ids(known)) => overwrite(values, known),
            (Column::Numbers(values), Column::Numbers(known)) => overwrite(values, known),
            (Column::Bags { offsets, ids }, Column::Bags { offsets: known, ids: members }) => {
                let n = known.len() - 1;
                let tail = ids.split_off(offsets[n] as usize);
                let (shift, start) = (offsets[n], members.len() as u32);
                ids.clone_from(members);
                ids.extend(tail);
                let rest: Vec<u32> = offsets[n + 1..].iter().map(|o| o - shift + start).collect();
                offsets.clone_from(known);
                offsets.extend(rest);
            }
            _ => unreachable!("a column keeps its kind"),
        }
    }
}

impl Dataset {
    /// Loads a log; see [`load`].
    ///
    /// # Errors
    ///
    /// As [`load`].
    pub fn load(config: &Config, base: &Path) -> Result<Self> {
        load(config, base)
    }
}
