//! The files of a simulated shop.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow_array::{
    ArrayRef, Float64Array, Int32Array, Int64Array, RecordBatch, StringArray,
    TimestampMillisecondArray,
};
use arrow_schema::{DataType, Field, Schema, SchemaRef};
use parquet::arrow::ArrowWriter;
use parquet::basic::Compression;
use parquet::file::properties::WriterProperties;
use tempfile::NamedTempFile;

use super::choice::equal_exposure_mix;
use super::replay::OPTIONS;
use super::schedule::{hour, weekday};
use super::world::{AGES, BRANDS, C, DAY, SPECS, START};
use super::{CATEGORIES, Shown, World};
use crate::{Error, Result};

/// Impressions held back before they are encoded.
const CHUNK: usize = 1 << 16;
/// Rows per row group.
const ROW_GROUP: usize = 1 << 18;

/// Everything a run writes: nothing under its own name until [`Output::finish`].
pub(super) struct Output {
    impressions: Table,
    oracle: Table,
    finished: Vec<(NamedTempFile, PathBuf)>,
    user_ids: Vec<String>,
    item_ids: Vec<String>,
    chunk: Chunk,
}

impl Output {
    /// Starts the files in `dir`, which exists, and writes those that do not depend on what happens.
    pub(super) fn create(dir: &Path, world: &World) -> Result<Self> {
        let user_ids: Vec<String> = (0..world.users().len() as u32).map(World::user_id).collect();
        let item_ids: Vec<String> = (0..world.items().len() as u32).map(World::item_id).collect();
        let finished = vec![
            whole_table(dir, "items.parquet", items(world, &item_ids))?,
            whole_table(dir, "users.parquet", users(world, &user_ids))?,
            whole_table(dir, "oracle_users.parquet", oracle_users(world, &user_ids))?,
            text(dir, "daogou.toml", super::CONFIG)?,
            text(dir, OPTIONS, &toml::to_string(world.options()).expect("options are a table"))?,
        ];
        // The schemas are those of the columns, whatever rows they hold.
        let mut chunk = Chunk::default();
        let (log, truth) = chunk.take(&[], &[]);
        Ok(Self {
            impressions: Table::create(dir, "impressions.parquet", schema(&log))?,
            oracle: Table::create(dir, "oracle.parquet", schema(&truth))?,
            finished,
            user_ids,
            item_ids,
            chunk,
        })
    }

    pub(super) fn add(&mut self, shown: &Shown) -> Result<()> {
        self.chunk.add(shown);
        if self.chunk.item.len() >= CHUNK { self.flush() } else { Ok(()) }
    }

    fn flush(&mut self) -> Result<()> {
        let (log, truth) = self.chunk.take(&self.user_ids, &self.item_ids);
        self.impressions.write(log)?;
        self.oracle.write(truth)
    }

    /// Completes all files and gives them their names.
    pub(super) fn finish(mut self) -> Result<()> {
        self.flush()?;
        self.finished.push(self.impressions.close()?);
        self.finished.push(self.oracle.close()?);
        for (file, path) in self.finished {
            file.persist(&path).map_err(|error| failed(&path, &error.error))?;
        }
        Ok(())
    }
}

type Columns = Vec<(&'static str, ArrayRef)>;

fn schema(columns: &Columns) -> SchemaRef {
    let fields = columns.iter().map(|(name, array)| {
        Field::new(*name, array.data_type().clone(), *name == "purchase_time")
    });
    Arc::new(Schema::new(fields.collect::<Vec<_>>()))
}

fn failed(path: &Path, error: &dyn std::fmt::Display) -> Error {
    Error::file(path, format!("cannot be written: {error}"))
}

/// A file that has no name yet; it disappears if it is dropped.
fn unnamed(dir: &Path, name: &str) -> Result<(NamedTempFile, PathBuf)> {
    let path = dir.join(name);
    let file = tempfile::Builder::new()
        .prefix(&format!(".{name}."))
        .make_in(dir, |place| File::create_new(place))
        .map_err(|error| failed(&path, &error))?;
    Ok((file, path))
}

fn text(dir: &Path, name: &str, text: &str) -> Result<(NamedTempFile, PathBuf)> {
    let (mut file, path) = unnamed(dir, name)?;
    (file.write_all(text.as_bytes()).and_then(|()| file.as_file().sync_all()))
        .map_err(|error| failed(&path, &error))?;
    Ok((file, path))
}

fn whole_table(dir: &Path, name: &str, columns: Columns) -> Result<(NamedTempFile, PathBuf)> {
    let mut table = Table::create(dir, name, schema(&columns))?;
    table.write(columns)?;
    table.close()
}

/// A Parquet file in the making.
struct Table {
    writer: ArrowWriter<NamedTempFile>,
    schema: SchemaRef,
    path: PathBuf,
}

impl Table {
    fn create(dir: &Path, name: &str, schema: SchemaRef) -> Result<Self> {
        let (file, path) = unnamed(dir, name)?;
        let mut properties = WriterProperties::builder()
            .set_compression(Compression::SNAPPY)
            .set_max_row_group_row_count(Some(ROW_GROUP));
        for field in schema.fields() {
            // Probabilities hardly ever repeat.
            if *field.data_type() == DataType::Float64 {
                properties =
                    properties.set_column_dictionary_enabled(field.name().as_str().into(), false);
            }
        }
        let writer = ArrowWriter::try_new(file, schema.clone(), Some(properties.build()))
            .map_err(|error| failed(&path, &error))?;
        Ok(Self { writer, schema, path })
    }

    fn write(&mut self, columns: Columns) -> Result<()> {
        let arrays = columns.into_iter().map(|(_, array)| array).collect();
        let batch = RecordBatch::try_new(self.schema.clone(), arrays)
            .expect("columns of one length, as in the schema");
        self.writer.write(&batch).map_err(|error| failed(&self.path, &error))
    }

    fn close(self) -> Result<(NamedTempFile, PathBuf)> {
        let file = self.writer.into_inner().map_err(|error| failed(&self.path, &error))?;
        file.as_file().sync_all().map_err(|error| failed(&self.path, &error))?;
        Ok((file, self.path))
    }
}

/// Impressions waiting to be encoded, by column.
#[derive(Default)]
struct Chunk {
    request: Vec<i64>,
    user: Vec<u32>,
    item: Vec<u32>,
    time: Vec<i64>,
    position: Vec<i32>,
    promo: Vec<i32>,
    entry: Vec<u8>,
    random: Vec<i32>,
    click: Vec<i32>,
    purchase: Vec<i32>,
    purchase_time: Vec<Option<i64>>,
    propensity: Vec<f64>,
    examination: Vec<f64>,
    relevance: Vec<f64>,
    conversion: Vec<f64>,
    would_buy: Vec<i32>,
}

impl Chunk {
    fn add(&mut self, shown: &Shown) {
        for (position, row) in (1..).zip(&shown.rows) {
            self.request.push(shown.request as i64);
            self.user.push(shown.user);
            self.item.push(row.item);
            self.time.push(shown.time);
            self.position.push(position);
            self.promo.push(shown.promo.into());
            self.entry.push(shown.entry);
            self.random.push(shown.random.into());
            self.click.push(row.clicked.into());
            self.purchase.push(row.purchase_after.is_some().into());
            self.purchase_time.push(row.purchase_after.map(|after| (shown.time + after) * 1000));
            self.propensity.push(row.propensity);
            self.examination.push(row.examination);
            self.relevance.push(row.relevance);
            self.conversion.push(row.conversion);
            self.would_buy.push(row.would_buy.into());
        }
    }

    /// Empties the chunk into the columns of `impressions.parquet` and of `oracle.parquet`.
    fn take(&mut self, user_ids: &[String], item_ids: &[String]) -> (Columns, Columns) {
        let chunk = std::mem::take(self);
        let request: ArrayRef = Arc::new(Int64Array::from(chunk.request));
        let item = texts(chunk.item.iter().map(|&item| item_ids[item as usize].as_str()));
        let time = times(chunk.time.iter().map(|&time| Some(time * 1000)));
        let position: ArrayRef = Arc::new(Int32Array::from(chunk.position));
        let click: ArrayRef = Arc::new(Int32Array::from(chunk.click));
        let propensity = numbers(chunk.propensity.iter().copied());
        let log = vec![
            ("request_id", request.clone()),
            ("user_id", texts(chunk.user.iter().map(|&user| user_ids[user as usize].as_str()))),
            ("item_id", item.clone()),
            ("time", time.clone()),
            ("position", position.clone()),
            ("hour", whole(chunk.time.iter().copied().map(hour))),
            ("weekday", whole(chunk.time.iter().copied().map(weekday))),
            ("promo", Arc::new(Int32Array::from(chunk.promo))),
            ("entry_category", texts(chunk.entry.iter().map(|&c| CATEGORIES[c as usize].name))),
            ("click", click.clone()),
            ("purchase", Arc::new(Int32Array::from(chunk.purchase))),
            ("purchase_time", times(chunk.purchase_time.into_iter())),
            ("propensity", propensity.clone()),
            ("random_slice", Arc::new(Int32Array::from(chunk.random))),
        ];
        let seen_and_liked = chunk.examination.iter().zip(&chunk.relevance).map(|(e, r)| e * r);
        let truth = vec![
            ("request_id", request),
            ("item_id", item),
            ("time", time),
            ("position", position),
            ("p_click", numbers(seen_and_liked)),
            ("p_click_relevance", numbers(chunk.relevance.iter().copied())),
            ("p_purchase_given_click", numbers(chunk.conversion.iter().copied())),
            ("examination", numbers(chunk.examination.iter().copied())),
            ("propensity", propensity),
            ("click", click),
            ("purchase_potential", Arc::new(Int32Array::from(chunk.would_buy))),
        ];
        (log, truth)
    }
}

fn texts<'a>(values: impl Iterator<Item = &'a str>) -> ArrayRef {
    Arc::new(StringArray::from_iter_values(values))
}

fn whole(values: impl Iterator<Item = i32>) -> ArrayRef {
    Arc::new(Int32Array::from_iter_values(values))
}

fn numbers(values: impl Iterator<Item = f64>) -> ArrayRef {
    Arc::new(Float64Array::from_iter_values(values))
}

/// Milliseconds since 1970.
fn times(values: impl Iterator<Item = Option<i64>>) -> ArrayRef {
    let array: TimestampMillisecondArray = values.collect();
    Arc::new(array.with_timezone("UTC"))
}

fn items(world: &World, ids: &[String]) -> Columns {
    let items = world.items();
    let titles = titles(world);
    let sellers: Vec<String> = items.iter().map(|item| format!("s{:03}", item.seller)).collect();
    let end = START + i64::from(world.options().days) * DAY;
    let mut columns: Columns = vec![
        ("item_id", texts(ids.iter().map(String::as_str))),
        ("title", texts(titles.iter().map(String::as_str))),
        ("category", texts(items.iter().map(|item| CATEGORIES[item.category as usize].name))),
        ("brand", texts(items.iter().map(|item| BRANDS[item.brand as usize]))),
        ("price", numbers(items.iter().map(|item| item.price))),
        ("seller", texts(sellers.iter().map(String::as_str))),
        ("launch_date", times(items.iter().map(|item| Some(item.launch * 1000)))),
        ("launch_age", whole(items.iter().map(|item| ((end - item.launch) / DAY) as i32))),
    ];
    for (s, name) in SPECS.into_iter().enumerate() {
        columns.push((name, numbers(items.iter().map(|item| item.specs[s]))));
    }
    columns
}

/// `Brand Series number`, all different.
fn titles(world: &World) -> Vec<String> {
    let mut named = vec![[[0u32; 3]; C]; BRANDS.len()];
    (world.items().iter().enumerate())
        .map(|(index, item)| {
            let (brand, category, series) =
                (item.brand as usize, item.category as usize, index % 3);
            let number = &mut named[brand][category][series];
            *number += 1;
            format!("{} {} {number}", BRANDS[brand], CATEGORIES[category].series[series])
        })
        .collect()
}

fn users(world: &World, ids: &[String]) -> Columns {
    let users = world.users();
    vec![
        ("user_id", texts(ids.iter().map(String::as_str))),
        ("age", texts(users.iter().map(|user| AGES[user.age as usize]))),
        ("city_tier", whole(users.iter().map(|user| i32::from(user.tier) + 1))),
        ("owned_brand", texts(users.iter().map(|user| BRANDS[user.owned_brand as usize]))),
        ("budget", whole(users.iter().map(|user| i32::from(user.budget_bucket)))),
        ("registered_days", whole(users.iter().map(|user| user.registered_days as i32))),
    ]
}

fn oracle_users(world: &World, ids: &[String]) -> Columns {
    let users = world.users();
    let mixes: Vec<[f64; C]> = users.iter().map(|user| equal_exposure_mix(world, user)).collect();
    let mut columns = vec![
        ("user_id", texts(ids.iter().map(String::as_str))),
        ("novelty", numbers(users.iter().map(|user| f64::from(user.novelty)))),
    ];
    for (c, category) in CATEGORIES.iter().enumerate() {
        columns.push((category.name, numbers(mixes.iter().map(|mix| mix[c]))));
    }
    columns
}
