//! Columns of a log in memory, before anything is learned from them: text as codes, numbers, times, labels.
//!
//! Parquet columns are read one by one on several threads, without a string per row. Text files, and Parquet files with
//! a bad cell where bad rows are tolerated, go row by row.

use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use arrow_array::Array;
use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, Int32Type, Int64Type, TimestampSecondType};
use arrow_schema::{DataType, Field, Schema, TimeUnit};
use hashbrown::HashMap;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{ArrowReaderOptions, ParquetRecordBatchReaderBuilder};
use rustc_hash::FxBuildHasher;

use super::attribution::NEVER;
use crate::civil;
use crate::rows::{self, Layout, Rows};
use crate::{Error, Result};

/// How a column is to be read.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Want {
    /// Text; code 0 where empty. `required`: an empty cell is an error.
    Text { required: bool },
    /// A finite number, NaN where empty and not required.
    Number { required: bool, negative: bool },
    /// Unix seconds.
    Time,
    /// The same, [`NEVER`] where empty.
    TimeOrNever,
    /// 0 or 1.
    Label,
    /// Texts separated by this.
    Multi(String),
}

/// A column in memory.
#[derive(Clone, Debug)]
pub(super) enum Raw {
    /// Codes into `values`; `values[0]` is the empty text.
    Text {
        codes: Vec<u32>,
        values: Vec<String>,
    },
    Numbers(Vec<f64>),
    Times(Vec<i64>),
    Labels(Vec<u8>),
    /// Codes of row `i` are `codes[offsets[i]..offsets[i + 1]]`.
    Bags {
        offsets: Vec<u32>,
        codes: Vec<u32>,
        values: Vec<String>,
    },
}

/// Some columns of a table.
#[derive(Clone, Debug, Default)]
pub(super) struct Table {
    pub(super) rows: usize,
    pub(super) columns: Vec<Raw>,
    /// Rows of each file, in order.
    pub(super) files: Vec<(PathBuf, usize)>,
    pub(super) bad_rows: u64,
    pub(super) bad_examples: Vec<String>,
}

/// What is read and how strictly.
pub(super) struct Request<'a> {
    pub(super) layout: Layout,
    pub(super) columns: &'a [(String, Want)],
    /// Columns of click and purchase labels: a purchase without a click is a bad row.
    pub(super) funnel: Option<(usize, usize)>,
    pub(super) max_bad_share: f64,
}

/// Sentences kept about bad rows.
const BAD_EXAMPLES: usize = 5;

/// Codes of distinct texts, in the order of their first row.
struct Interner {
    values: Vec<String>,
    of_text: HashMap<String, u32, FxBuildHasher>,
    of_int: HashMap<i64, u32, FxBuildHasher>,
}

impl Interner {
    fn new() -> Self {
        let mut of_text = HashMap::default();
        of_text.insert(String::new(), 0);
        Self { values: vec![String::new()], of_text, of_int: HashMap::default() }
    }

    fn text(&mut self, text: &str) -> u32 {
        if let Some(&code) = self.of_text.get(text) {
            return code;
        }
        let code = self.values.len() as u32;
        self.values.push(text.into());
        self.of_text.insert(text.into(), code);
        code
    }

    fn int(&mut self, value: i64) -> u32 {
        if let Some(&code) = self.of_int.get(&value) {
            return code;
        }
        let code = self.text(&value.to_string());
        self.of_int.insert(value, code);
        code
    }
}

/// A column being read.
pub(super) struct Builder {
    want: Want,
    interner: Interner,
    raw: Raw,
}

impl Builder {
    pub(super) fn new(want: &Want) -> Self {
        let raw = match want {
            Want::Text { .. } => Raw::Text { codes: Vec::new(), values: Vec::new() },
            Want::Number { .. } => Raw::Numbers(Vec::new()),
            Want::Time | Want::TimeOrNever => Raw::Times(Vec::new()),
            Want::Label => Raw::Labels(Vec::new()),
            Want::Multi(_) => Raw::Bags { offsets: vec![0], codes: Vec::new(), values: Vec::new() },
        };
        Self { want: want.clone(), interner: Interner::new(), raw }
    }

    pub(super) fn finish(self) -> Raw {
        match self.raw {
            Raw::Text { codes, .. } => Raw::Text { codes, values: self.interner.values },
            Raw::Bags { offsets, codes, .. } => {
                Raw::Bags { offsets, codes, values: self.interner.values }
            }
            other => other,
        }
    }

    fn len(&self) -> usize {
        match &self.raw {
            Raw::Text { codes, .. } => codes.len(),
            Raw::Numbers(v) => v.len(),
            Raw::Times(v) => v.len(),
            Raw::Labels(v) => v.len(),
            Raw::Bags { offsets, .. } => offsets.len() - 1,
        }
    }

    /// Drops rows from `rows` on: those of a row that turned out to be bad in a later column.
    fn truncate(&mut self, rows: usize) {
        match &mut self.raw {
            Raw::Text { codes, .. } => codes.truncate(rows),
            Raw::Numbers(v) => v.truncate(rows),
            Raw::Times(v) => v.truncate(rows),
            Raw::Labels(v) => v.truncate(rows),
            Raw::Bags { offsets, codes, .. } => {
                offsets.truncate(rows + 1);
                codes.truncate(offsets[rows] as usize);
            }
        }
    }

    /// Appends a cell given as text; `Err` says what was expected.
    pub(super) fn push(&mut self, cell: &str) -> Result<(), &'static str> {
        match (&mut self.raw, &self.want) {
            (Raw::Text { codes, .. }, Want::Text { required }) => {
                if *required && cell.is_empty() {
                    return Err("an id");
                }
                codes.push(self.interner.text(cell));
            }
            (Raw::Numbers(values), Want::Number { required, negative }) => {
                if cell.is_empty() && !required {
                    values.push(f64::NAN);
                } else {
                    let value = cell.trim().parse::<f64>().map_err(|_| "a finite number")?;
                    values.push(check_number(value, *negative)?);
                }
            }
            (Raw::Times(values), Want::TimeOrNever) if cell.is_empty() => values.push(NEVER),
            (Raw::Times(values), _) => values.push(civil::instant(cell).ok_or(A_TIME)?),
            (Raw::Labels(values), _) => values.push(match cell {
                "0" | "0.0" | "false" => 0,
                "1" | "1.0" | "true" => 1,
                _ => return Err("0 or 1"),
            }),
            (Raw::Bags { offsets, codes, .. }, Want::Multi(separator)) => {
                for part in cell.split(separator.as_str()).map(str::trim).filter(|p| !p.is_empty())
                {
                    codes.push(self.interner.text(part));
                }
                offsets.push(codes.len() as u32);
            }
            _ => unreachable!("a column is built as it is wanted"),
        }
        Ok(())
    }

    /// Appends a Parquet column; `Err` gives the row in it, what was expected and what was found.
    fn extend(&mut self, column: &dyn Array) -> Result<(), (usize, &'static str, String)> {
        use DataType as D;
        let n = column.len();
        let ints = matches!(
            column.data_type(),
            D::Int8 | D::Int16 | D::Int32 | D::Int64 | D::UInt8 | D::UInt16 | D::UInt32 | D::UInt64
        );
        match (&mut self.raw, &self.want) {
            (Raw::Text { codes, .. }, Want::Text { required }) => {
                if let Some(dictionary) = column.as_dictionary_opt::<Int32Type>() {
                    let values = dictionary.values().as_string::<i32>();
                    let of_key: Vec<u32> =
                        (0..values.len()).map(|i| self.interner.text(values.value(i))).collect();
                    let keys = dictionary.keys();
                    for row in 0..n {
                        let code =
                            if keys.is_null(row) { 0 } else { of_key[keys.value(row) as usize] };
                        if *required && code == 0 {
                            return Err((row, "an id", String::new()));
                        }
                        codes.push(code);
                    }
                    return Ok(());
                }
                if ints {
                    let values = cast(column, &D::Int64)?;
                    let values = values.as_primitive::<Int64Type>();
                    for row in 0..n {
                        if values.is_null(row) {
                            if *required {
                                return Err((row, "an id", String::new()));
                            }
                            codes.push(0);
                        } else {
                            codes.push(self.interner.int(values.value(row)));
                        }
                    }
                    return Ok(());
                }
            }
            (Raw::Numbers(numbers), Want::Number { required, negative })
                if ints || matches!(column.data_type(), D::Float32 | D::Float64 | D::Boolean) =>
            {
                let values = cast(column, &D::Float64)?;
                let values = values.as_primitive::<Float64Type>();
                for row in 0..n {
                    if values.is_null(row) {
                        if *required {
                            return Err((row, "a finite number", String::new()));
                        }
                        numbers.push(f64::NAN);
                    } else {
                        let value = values.value(row);
                        numbers.push(
                            check_number(value, *negative)
                                .map_err(|e| (row, e, value.to_string()))?,
                        );
                    }
                }
                return Ok(());
            }
            (Raw::Times(times), want) => {
                let never = *want == Want::TimeOrNever;
                if let D::Timestamp(_, zone) = column.data_type() {
                    let seconds = cast(column, &D::Timestamp(TimeUnit::Second, zone.clone()))?;
                    let seconds = seconds.as_primitive::<TimestampSecondType>();
                    for row in 0..n {
                        times.push(match seconds.is_null(row) {
                            false => seconds.value(row),
                            true if never => NEVER,
                            true => return Err((row, A_TIME, String::new())),
                        });
                    }
                    return Ok(());
                }
                if ints {
                    let values = cast(column, &D::Int64)?;
                    let values = values.as_primitive::<Int64Type>();
                    for row in 0..n {
                        times.push(match values.is_null(row) {
                            false => civil::instant_of(values.value(row)),
                            true if never => NEVER,
                            true => return Err((row, A_TIME, String::new())),
                        });
                    }
                    return Ok(());
                }
            }
            (Raw::Labels(labels), _) if ints || column.data_type() == &D::Boolean => {
                let values = cast(column, &D::Int64)?;
                let values = values.as_primitive::<Int64Type>();
                for row in 0..n {
                    match values.value(row) {
                        _ if values.is_null(row) => return Err((row, "0 or 1", String::new())),
                        value @ (0 | 1) => labels.push(value as u8),
                        other => return Err((row, "0 or 1", other.to_string())),
                    }
                }
                return Ok(());
            }
            _ => {}
        }
        // Everything else by its text.
        let texts = rows::cells(column).map_err(|e| (0, "a readable column", e.to_string()))?;
        for row in 0..n {
            let cell = if texts.is_null(row) { "" } else { texts.value(row) };
            self.push(cell).map_err(|expected| (row, expected, cell.to_string()))?;
        }
        Ok(())
    }
}

const A_TIME: &str = "a time: Unix seconds or milliseconds, RFC 3339 or `YYYY-MM-DD HH:MM:SS`";

fn check_number(value: f64, negative: bool) -> Result<f64, &'static str> {
    match value {
        v if !v.is_finite() => Err("a finite number"),
        // What is computed with has 32 bits.
        v if !(v as f32).is_finite() => Err("a finite number, smaller than 3.4e38"),
        v if v < 0.0 && !negative => Err("a number of at least 0 (transform `log1p`)"),
        v => Ok(v),
    }
}

fn cast(
    column: &dyn Array,
    to: &DataType,
) -> Result<arrow_array::ArrayRef, (usize, &'static str, String)> {
    arrow_cast::cast(column, to).map_err(|error| (0, "a readable column", error.to_string()))
}

/// Files behind a list of paths and globs, relative to `base`.
pub(super) fn expand(patterns: &[String], base: &Path, key: &str) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for pattern in patterns {
        let path = base.join(pattern);
        if !pattern.contains(['*', '?', '[']) {
            files.push(path);
            continue;
        }
        let wrong = |problem: String| Error::config(key, problem);
        let found = glob::glob(&path.to_string_lossy()).map_err(|e| wrong(e.to_string()))?;
        let mut matched: Vec<PathBuf> = found.filter_map(Result::ok).collect();
        if matched.is_empty() {
            return Err(wrong(format!("no file matches `{}`", path.display())));
        }
        matched.sort();
        files.append(&mut matched);
    }
    Ok(files)
}

/// Reads some columns of one or several files.
pub(super) fn read(files: &[PathBuf], request: &Request<'_>) -> Result<Table> {
    let mut builders: Vec<Builder> =
        request.columns.iter().map(|(_, want)| Builder::new(want)).collect();
    let mut table = Table::default();
    for path in files {
        let before = builders.first().map_or(0, Builder::len);
        let strict = request.max_bad_share == 0.0;
        let done = rows::is_parquet(path) && {
            match read_parquet(path, request, &mut builders) {
                Ok(()) => true,
                Err(Error::Cell { .. } | Error::Row { .. }) if !strict => {
                    builders.iter_mut().for_each(|b| b.truncate(before));
                    false
                }
                Err(error) => return Err(error),
            }
        };
        if !done {
            read_rows(path, request, &mut builders, &mut table)?;
        }
        let rows = builders.first().map_or(0, Builder::len) - before;
        table.files.push((path.clone(), rows));
        table.rows += rows;
    }
    let share = table.bad_rows as f64 / (table.rows as f64 + table.bad_rows as f64).max(1.0);
    if share > request.max_bad_share {
        return Err(Error::Data {
            problem: format!(
                "{} of {} rows are bad, more than `data.max_bad_share` = {} allows; the first: {}",
                table.bad_rows,
                table.rows as u64 + table.bad_rows,
                request.max_bad_share,
                table.bad_examples.first().map_or("", String::as_str)
            ),
            hint: Some("mend the file, or raise `data.max_bad_share`".into()),
        });
    }
    table.columns = builders.into_iter().map(Builder::finish).collect();
    Ok(table)
}

fn read_rows(
    path: &Path,
    request: &Request<'_>,
    builders: &mut [Builder],
    table: &mut Table,
) -> Result<()> {
    let names: Vec<&str> = request.columns.iter().map(|(name, _)| name.as_str()).collect();
    let mut rows = Rows::open(path, request.layout, &names)
        .map_err(|error| delimiter_hint(error, path, request))?;
    loop {
        let outcome = match rows.advance() {
            Ok(false) => return Ok(()),
            Ok(true) => push_row(&rows, request, builders),
            Err(error @ Error::Row { .. }) => Err(error),
            Err(error) => return Err(error),
        };
        if let Err(error) = outcome {
            if request.max_bad_share == 0.0 {
                return Err(error);
            }
            table.bad_rows += 1;
            if table.bad_examples.len() < BAD_EXAMPLES {
                table.bad_examples.push(error.to_string());
            }
        }
    }
}

fn push_row(rows: &Rows, request: &Request<'_>, builders: &mut [Builder]) -> Result<()> {
    let before = builders.first().map_or(0, Builder::len);
    let mut outcome = Ok(());
    for (i, builder) in builders.iter_mut().enumerate() {
        if let Err(expected) = builder.push(rows.text(i)) {
            outcome = Err(rows.cell(i, expected));
            break;
        }
    }
    if let (Ok(()), Some((click, purchase))) = (&outcome, request.funnel)
        && let (Raw::Labels(c), Raw::Labels(p)) = (&builders[click].raw, &builders[purchase].raw)
        && p[before] > c[before]
    {
        outcome = Err(rows.row(funnel_problem(request, click, purchase)));
    }
    if outcome.is_err() {
        builders.iter_mut().for_each(|b| {
            if b.len() > before {
                b.truncate(before);
            }
        });
    }
    outcome
}

fn funnel_problem(request: &Request<'_>, click: usize, purchase: usize) -> String {
    let (click, purchase) = (&request.columns[click].0, &request.columns[purchase].0);
    format!("`{purchase}` is 1 where `{click}` is 0: expected every purchase to come after a click")
}

/// A file of one column is most likely one of another delimiter.
fn delimiter_hint(error: Error, path: &Path, request: &Request<'_>) -> Error {
    let one = rows::header(path, request.layout).is_ok_and(|names| names.len() == 1);
    if one && rows::is_delimited(path) && request.columns.len() > 1 {
        let used = request.layout.delimiter as char;
        return error.with_hint(format!(
            "the file has a single column when split at `{used}`: set `data.delimiter`"
        ));
    }
    error
}

/// Reads the columns of one Parquet file, several at once.
fn read_parquet(path: &Path, request: &Request<'_>, builders: &mut [Builder]) -> Result<()> {
    let damaged =
        |error: &dyn std::fmt::Display| Error::file(path, format!("damaged Parquet file: {error}"));
    let open = || fs_err::File::open(path).map(|file| file.into_parts().0);
    let first = ParquetRecordBatchReaderBuilder::try_new(open()?)
        .map_err(|error| Error::file(path, format!("expected a Parquet file: {error}")))?;
    let schema = first.schema().clone();
    let before = builders.first().map_or(0, Builder::len);
    for (name, _) in request.columns {
        if schema.index_of(name).is_err() {
            let found: Vec<&str> = schema.fields().iter().map(|f| f.name().as_str()).collect();
            return Err(Error::file(
                path,
                format!("expected a column `{name}`, found {}", found.join(", ")),
            ));
        }
        if schema.fields().iter().filter(|field| field.name() == name).count() > 1 {
            return Err(rows::twice(path, name));
        }
    }
    let job = |index: usize, builder: &mut Builder| -> Result<()> {
        let name = &request.columns[index].0;
        let place = schema.index_of(name).expect("checked above");
        let mut options = ArrowReaderOptions::new();
        let text = matches!(schema.field(place).data_type(), DataType::Utf8);
        if text && matches!(builder.want, Want::Text { .. }) {
            // Repeated texts are then compared once per batch, not once per row.
            let fields: Vec<Field> = schema
                .fields()
                .iter()
                .enumerate()
                .map(|(i, field)| {
                    let kind =
                        DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8));
                    let field = field.as_ref().clone();
                    if i == place { field.with_data_type(kind) } else { field }
                })
                .collect();
            options = options.with_schema(Schema::new(fields).into());
        }
        let reader = ParquetRecordBatchReaderBuilder::try_new_with_options(open()?, options)
            .map_err(|error| damaged(&error))?;
        let mask = ProjectionMask::roots(reader.parquet_schema(), [place]);
        let reader = reader
            .with_projection(mask)
            .with_batch_size(1 << 16)
            .build()
            .map_err(|error| damaged(&error))?;
        let mut row = 0;
        for batch in reader {
            let batch = batch.map_err(|error| damaged(&error))?;
            builder.extend(batch.column(0)).map_err(|(at, expected, got)| Error::Cell {
                path: path.into(),
                line: (row + at + 1) as u64,
                column: name.clone(),
                expected: expected.into(),
                got,
            })?;
            row += batch.num_rows();
        }
        Ok(())
    };
    let next = AtomicUsize::new(0);
    let jobs: Vec<Mutex<(&mut Builder, Result<()>)>> =
        builders.iter_mut().map(|b| Mutex::new((b, Ok(())))).collect();
    let threads =
        std::thread::available_parallelism().map_or(1, usize::from).min(jobs.len().max(1));
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    let index = next.fetch_add(1, Ordering::Relaxed);
                    let Some(slot) = jobs.get(index) else { break };
                    let mut slot = slot.lock().expect("each job runs once");
                    let outcome = job(index, slot.0);
                    slot.1 = outcome;
                }
            });
        }
    });
    for slot in jobs {
        slot.into_inner().expect("each job ran once").1?;
    }
    if let Some((click, purchase)) = request.funnel
        && let (Raw::Labels(c), Raw::Labels(p)) = (&builders[click].raw, &builders[purchase].raw)
        && let Some(at) = (before..c.len()).find(|&i| p[i] > c[i])
    {
        let problem = funnel_problem(request, click, purchase);
        return Err(Error::Row { path: path.into(), line: (at - before + 1) as u64, problem });
    }
    Ok(())
}
