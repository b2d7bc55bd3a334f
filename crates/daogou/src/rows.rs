//! Walking the rows of a text or Parquet file, cells as text: for reading foreign logs and for looking before loading.

use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use arrow_array::cast::AsArray;
use arrow_array::{Array, ArrayRef, StringArray};
use arrow_schema::{DataType, TimeUnit};
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder};

use crate::civil::instant;
use crate::{Error, Result};

/// How the cells of a text file are told apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Layout {
    /// Field separator.
    pub(crate) delimiter: u8,
    /// Whether `"` encloses cells; else it is part of the text.
    pub(crate) quoting: bool,
}

impl Layout {
    /// Separated by commas, quoted where needed.
    pub(crate) const COMMAS: Self = Self { delimiter: b',', quoting: true };
    /// Separated by tabs, never quoted.
    pub(crate) const TABS: Self = Self { delimiter: b'\t', quoting: false };
}

/// Format of a file, by its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Format {
    Delimited,
    JsonLines,
    Parquet,
}

fn format(path: &Path) -> Format {
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let name = name.strip_suffix(".gz").unwrap_or(name).to_ascii_lowercase();
    match name.rsplit_once('.').map(|(_, extension)| extension) {
        Some("parquet") => Format::Parquet,
        Some("jsonl" | "ndjson") => Format::JsonLines,
        _ => Format::Delimited,
    }
}

/// Whether the file has fields separated by a character, to be told by a [`Layout`].
pub(crate) fn is_delimited(path: &Path) -> bool {
    format(path) == Format::Delimited
}

/// Whether the file is Parquet, by its name.
pub(crate) fn is_parquet(path: &Path) -> bool {
    format(path) == Format::Parquet
}

/// Lines of a JSON file read for its column names.
const JSON_SAMPLE: usize = 1000;

/// Column names of a file. Of JSON lines: the keys of the first thousand, as they come.
pub(crate) fn header(path: &Path, layout: Layout) -> Result<Vec<String>> {
    match format(path) {
        Format::Parquet => {
            let fields = parquet(path)?.schema().fields().clone();
            Ok(fields.iter().map(|field| field.name().clone()).collect())
        }
        Format::JsonLines => {
            let mut lines = JsonLines { lines: text(path)?, text: String::new(), line: 0 };
            let mut names: Vec<String> = Vec::new();
            while lines.line < JSON_SAMPLE as u64
                && let Some(object) = lines.next(path)?
            {
                for name in object.into_iter().map(|(name, _)| name) {
                    if !names.contains(&name) {
                        names.push(name);
                    }
                }
            }
            nonempty(path, names)
        }
        Format::Delimited => {
            let mut file = delimited(path, layout)?;
            let names = file.reader.headers().expect("the header was read");
            let bare = |name: &str| name.trim_start_matches('\u{feff}').to_string();
            nonempty(path, names.iter().map(bare).collect())
        }
    }
}

fn nonempty(path: &Path, names: Vec<String>) -> Result<Vec<String>> {
    if names.is_empty() {
        return Err(Error::file(path, "expected column names, found an empty file"));
    }
    Ok(names)
}

fn parquet(path: &Path) -> Result<ParquetRecordBatchReaderBuilder<File>> {
    let file = fs_err::File::open(path)?.into_parts().0;
    ParquetRecordBatchReaderBuilder::try_new(file)
        .map_err(|error| Error::file(path, format!("expected a Parquet file: {error}")))
}

/// The text of a file, unpacked.
pub(crate) fn text(path: &Path) -> Result<Box<dyn BufRead>> {
    let file = BufReader::new(fs_err::File::open(path)?);
    Ok(if path.extension().is_some_and(|extension| extension == "gz") {
        Box::new(BufReader::new(flate2::bufread::MultiGzDecoder::new(file)))
    } else {
        Box::new(file)
    })
}

fn delimited(path: &Path, layout: Layout) -> Result<Delimited> {
    let mut text = text(path)?;
    let start = text.fill_buf()?;
    let end = start.iter().position(|&byte| byte == b'\n').unwrap_or(0);
    let crlf = end > 0 && start[end - 1] == b'\r';
    let mut reader = csv::ReaderBuilder::new()
        .delimiter(layout.delimiter)
        .quoting(layout.quoting)
        .from_reader(Quotes::new(text, layout));
    // Before anything else: the first row's errors are placed by what was read before it.
    let header = reader.headers().map(drop);
    let file = Delimited { reader, crlf };
    match header {
        Ok(()) => file.ended_well(path, 1).map(|()| file),
        Err(error) => Err(file.error(path, &error)),
    }
}

/// Text on its way to a reader of rows, watched for a quote that is never closed: the reader takes all that follows for
/// one cell, to the end of the file, and says nothing.
struct Quotes {
    text: Box<dyn BufRead>,
    /// None where `"` is text like any other.
    delimiter: Option<u8>,
    /// Inside of quotes.
    open: bool,
    /// The byte before.
    last: u8,
    /// The byte before closed a cell; one more `"` means itself, and the cell goes on.
    closed: bool,
    ended: bool,
}

impl Quotes {
    fn new(text: Box<dyn BufRead>, layout: Layout) -> Self {
        let delimiter = layout.quoting.then_some(layout.delimiter);
        Self { text, delimiter, open: false, last: b'\n', closed: false, ended: false }
    }

    fn watch(&mut self, bytes: &[u8], delimiter: u8) {
        let mut end = 0;
        for at in memchr::memchr_iter(b'"', bytes) {
            if at > end {
                (self.last, self.closed) = (bytes[at - 1], false);
            }
            let starts_cell = self.last == delimiter || matches!(self.last, b'\n' | b'\r');
            // The last byte of a mark at the start of a file.
            let starts_file = self.last == 0xbf && at == 3 && bytes.starts_with(b"\xef\xbb\xbf");
            if self.open {
                (self.open, self.closed) = (false, true);
            } else {
                self.open = self.closed || starts_cell || starts_file;
                self.closed = false;
            }
            (self.last, end) = (b'"', at + 1);
        }
        if end < bytes.len() {
            (self.last, self.closed) = (bytes[bytes.len() - 1], false);
        }
    }
}

impl Read for Quotes {
    fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
        let n = self.text.read(into)?;
        self.ended = n == 0 && !into.is_empty();
        if let Some(delimiter) = self.delimiter {
            self.watch(&into[..n], delimiter);
        }
        Ok(n)
    }
}

struct Delimited {
    reader: csv::Reader<Quotes>,
    /// Whether lines end in CR LF. The reader then counts the LF to the next record, and lines one too low.
    crlf: bool,
}

impl Delimited {
    fn line(&self, position: Option<&csv::Position>) -> u64 {
        position.map_or(1, csv::Position::line) + u64::from(self.crlf)
    }

    /// That the row of this line, if it was the last, was not one cell to the end of the file.
    fn ended_well(&self, path: &Path, line: u64) -> Result<()> {
        let quotes = self.reader.get_ref();
        if quotes.ended && quotes.open {
            let problem = "a `\"` opens a cell here that is never closed".into();
            return Err(Error::Row { path: path.into(), line, problem });
        }
        Ok(())
    }

    fn error(&self, path: &Path, error: &csv::Error) -> Error {
        let problem = match error.kind() {
            csv::ErrorKind::UnequalLengths { expected_len, len, .. } => {
                format!("expected {expected_len} fields, got {len}")
            }
            csv::ErrorKind::Utf8 { .. } => "expected UTF-8 text".into(),
            _ => error.to_string(),
        };
        Error::Row { path: path.into(), line: self.line(error.position()), problem }
    }
}

struct JsonLines {
    lines: Box<dyn BufRead>,
    text: String,
    line: u64,
}

impl JsonLines {
    /// The next object; blank lines are passed over.
    fn next(&mut self, path: &Path) -> Result<Option<serde_json::Map<String, serde_json::Value>>> {
        loop {
            self.text.clear();
            self.line += 1;
            let row = |problem: String| Error::Row { path: path.into(), line: self.line, problem };
            match self.lines.read_line(&mut self.text) {
                Ok(0) => return Ok(None),
                Ok(_) if self.text.trim().is_empty() => {}
                Ok(_) => {
                    return match serde_json::from_str(&self.text) {
                        Ok(serde_json::Value::Object(object)) => Ok(Some(object)),
                        Ok(_) => Err(row("expected a JSON object".into())),
                        Err(error) => Err(row(format!("expected a JSON object: {error}"))),
                    };
                }
                Err(error) if error.kind() == std::io::ErrorKind::InvalidData => {
                    return Err(row("expected UTF-8 text".into()));
                }
                Err(error) => return Err(error.into()),
            }
        }
    }
}

/// A JSON value as a cell: lists joined by `|`, null empty, true and false as 1 and 0.
fn write_json(value: &serde_json::Value, cell: &mut String) {
    use serde_json::Value;
    match value {
        Value::Null => {}
        Value::String(text) => cell.push_str(text),
        Value::Bool(value) => cell.push(if *value { '1' } else { '0' }),
        Value::Array(values) => {
            for (i, value) in values.iter().enumerate() {
                if i > 0 {
                    cell.push('|');
                }
                write_json(value, cell);
            }
        }
        other => cell.push_str(&other.to_string()),
    }
}

/// Where a column stands in a header, which may also say `name:type`.
pub(crate) fn place(header: &[String], column: &str) -> Option<usize> {
    let is = |name: &String| {
        name == column || name.split_once(':').is_some_and(|(name, _)| name == column)
    };
    header.iter().position(is)
}

/// The error that a name stands for two columns.
pub(crate) fn twice(path: &Path, column: &str) -> Error {
    Error::file(path, format!("expected one column `{column}`, found two of that name"))
        .with_hint("rename or drop one of them")
}

/// Rows of one file, one at a time; an empty cell is a missing value.
pub(crate) struct Rows {
    path: PathBuf,
    columns: Vec<String>,
    line: u64,
    source: Source,
}

enum Source {
    Delimited {
        file: Delimited,
        record: csv::StringRecord,
        places: Vec<usize>,
    },
    JsonLines {
        lines: JsonLines,
        object: serde_json::Map<String, serde_json::Value>,
        cells: Vec<String>,
    },
    Parquet {
        reader: ParquetRecordBatchReader,
        types: Vec<DataType>,
        batch: Vec<StringArray>,
        row: usize,
    },
}

impl Rows {
    /// Opens `path` for `columns`, all of which must exist; cells are then addressed by index into `columns`.
    ///
    /// A column `name` may also stand in the file as `name:type`, as RecBole writes it.
    pub(crate) fn open<S: AsRef<str>>(path: &Path, layout: Layout, columns: &[S]) -> Result<Self> {
        let header = header(path, layout)?;
        let columns: Vec<String> = columns.iter().map(|name| name.as_ref().into()).collect();
        let mut places = Vec::new();
        for column in &columns {
            let place = place(&header, column).ok_or_else(|| {
                let found = header.join(", ");
                Error::file(path, format!("expected a column `{column}`, found {found}"))
            })?;
            if header.iter().filter(|name| **name == header[place]).count() > 1 {
                return Err(twice(path, column));
            }
            places.push(place);
        }
        let source = match format(path) {
            Format::Parquet => {
                let builder = parquet(path)?;
                let field = |&place: &usize| builder.schema().field(place).data_type().clone();
                let types = places.iter().map(field).collect();
                let mask = ProjectionMask::roots(builder.parquet_schema(), places);
                let reader = builder
                    .with_projection(mask)
                    .build()
                    .map_err(|error| Error::file(path, error.to_string()))?;
                Source::Parquet { reader, types, batch: Vec::new(), row: 0 }
            }
            Format::JsonLines => Source::JsonLines {
                lines: JsonLines { lines: text(path)?, text: String::new(), line: 0 },
                object: serde_json::Map::new(),
                cells: vec![String::new(); columns.len()],
            },
            Format::Delimited => Source::Delimited {
                file: delimited(path, layout)?,
                record: csv::StringRecord::new(),
                places,
            },
        };
        Ok(Self { path: path.into(), columns, line: 0, source })
    }

    /// Goes to the next row; false after the last.
    pub(crate) fn advance(&mut self) -> Result<bool> {
        match &mut self.source {
            Source::Delimited { file, record, .. } => {
                let more = match file.reader.read_record(record) {
                    Ok(more) => more,
                    Err(error) => return Err(file.error(&self.path, &error)),
                };
                self.line = file.line(record.position());
                file.ended_well(&self.path, self.line)?;
                Ok(more)
            }
            Source::JsonLines { lines, object, cells } => {
                let Some(next) = lines.next(&self.path)? else { return Ok(false) };
                *object = next;
                self.line = lines.line;
                for (cell, column) in cells.iter_mut().zip(&self.columns) {
                    cell.clear();
                    if let Some(value) = object.get(column) {
                        write_json(value, cell);
                    }
                }
                Ok(true)
            }
            Source::Parquet { reader, batch, row, .. } => {
                self.line += 1;
                *row += 1;
                while batch.first().is_none_or(|column| *row >= column.len()) {
                    let Some(next) = reader.next() else { return Ok(false) };
                    let broken = |error: arrow_schema::ArrowError| {
                        Error::file(&self.path, format!("damaged Parquet file: {error}"))
                    };
                    let next = next.map_err(broken)?;
                    *batch = self
                        .columns
                        .iter()
                        .map(|name| {
                            let column = next.column_by_name(name).expect("a projected column");
                            cells(column)
                        })
                        .collect::<Result<_, _>>()
                        .map_err(broken)?;
                    *row = 0;
                }
                Ok(true)
            }
        }
    }

    /// The cell of `columns[i]` in the current row.
    pub(crate) fn text(&self, i: usize) -> &str {
        match &self.source {
            Source::Delimited { record, places, .. } => &record[places[i]],
            Source::JsonLines { cells, .. } => &cells[i],
            Source::Parquet { batch, row, .. } => {
                if batch[i].is_null(*row) {
                    ""
                } else {
                    batch[i].value(*row)
                }
            }
        }
    }

    /// The cells of the current row.
    pub(crate) fn texts(&self) -> impl Iterator<Item = &str> {
        (0..self.columns.len()).map(|i| self.text(i))
    }

    /// The current row as the JSON object that it is.
    pub(crate) fn object(&self) -> Option<&serde_json::Map<String, serde_json::Value>> {
        match &self.source {
            Source::JsonLines { object, .. } => Some(object),
            _ => None,
        }
    }

    /// Whether rows are JSON objects.
    pub(crate) fn has_objects(&self) -> bool {
        matches!(self.source, Source::JsonLines { .. })
    }

    /// The file.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Names of the columns.
    pub(crate) fn columns(&self) -> &[String] {
        &self.columns
    }

    /// Types of the columns: as in a Parquet file where text can be cast back to them, else text.
    pub(crate) fn types(&self) -> Vec<DataType> {
        match &self.source {
            Source::Parquet { types, .. } => {
                let back = |t: &DataType| {
                    if arrow_cast::can_cast_types(&DataType::Utf8, t) {
                        t.clone()
                    } else {
                        DataType::Utf8
                    }
                };
                types.iter().map(back).collect()
            }
            _ => vec![DataType::Utf8; self.columns.len()],
        }
    }

    /// A cell that must not be empty.
    pub(crate) fn id(&self, i: usize) -> Result<&str> {
        match self.text(i) {
            "" => Err(self.cell(i, "an id")),
            text => Ok(text),
        }
    }

    /// A whole number.
    pub(crate) fn int(&self, i: usize) -> Result<i64> {
        self.text(i).parse().map_err(|_| self.cell(i, "a whole number"))
    }

    /// A finite number.
    pub(crate) fn number(&self, i: usize) -> Result<f64> {
        self.text(i)
            .parse()
            .ok()
            .filter(|value: &f64| value.is_finite())
            .ok_or_else(|| self.cell(i, "a number"))
    }

    /// A finite number, or nothing where the cell is empty.
    pub(crate) fn optional(&self, i: usize) -> Result<Option<f64>> {
        if self.text(i).is_empty() { Ok(None) } else { self.number(i).map(Some) }
    }

    /// A label: 0 or 1.
    pub(crate) fn label(&self, i: usize) -> Result<i64> {
        match self.text(i) {
            "0" | "0.0" => Ok(0),
            "1" | "1.0" => Ok(1),
            _ => Err(self.cell(i, "0 or 1")),
        }
    }

    /// Unix seconds of a time, see [`instant`].
    pub(crate) fn time(&self, i: usize) -> Result<i64> {
        instant(self.text(i)).ok_or_else(|| {
            self.cell(i, "a time: Unix seconds or milliseconds, RFC 3339 or `YYYY-MM-DD HH:MM:SS`")
        })
    }

    /// The error that the cell of `columns[i]` should have held something else.
    pub(crate) fn cell(&self, i: usize, expected: &str) -> Error {
        Error::Cell {
            path: self.path.clone(),
            line: self.line,
            column: self.columns[i].clone(),
            expected: expected.into(),
            got: self.text(i).into(),
        }
    }

    /// The error that the current row as a whole is wrong.
    pub(crate) fn row(&self, problem: String) -> Error {
        Error::Row { path: self.path.clone(), line: self.line, problem }
    }
}

/// A Parquet column as cells; lists joined by `|`.
pub(crate) fn cells(column: &dyn Array) -> Result<StringArray, arrow_schema::ArrowError> {
    if let Some(lists) = column.as_list_opt::<i32>() {
        return lists
            .iter()
            .map(|list| {
                let Some(list) = list else { return Ok(None) };
                let values = cells(&list)?;
                Ok(Some(values.iter().flatten().collect::<Vec<_>>().join("|")))
            })
            .collect();
    }
    if let DataType::Timestamp(unit, Some(_)) = column.data_type() {
        let column = arrow_cast::cast(column, &utc(*unit))?;
        return Ok(arrow_cast::cast(&column, &DataType::Utf8)?.as_string::<i32>().clone());
    }
    Ok(arrow_cast::cast(column, &DataType::Utf8)?.as_string::<i32>().clone())
}

/// A Parquet column of a type again, from its [`cells`].
pub(crate) fn from_cells(
    cells: &StringArray,
    kind: &DataType,
) -> Result<ArrayRef, arrow_schema::ArrowError> {
    if let DataType::Timestamp(unit, Some(_)) = kind {
        return arrow_cast::cast(&arrow_cast::cast(cells, &utc(*unit))?, kind);
    }
    arrow_cast::cast(cells, kind)
}

/// Instants are the same in every zone, and names of zones are not known here: they are written in UTC.
fn utc(unit: TimeUnit) -> DataType {
    DataType::Timestamp(unit, Some("+00:00".into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(name: &str, text: &[u8], columns: &[&str]) -> Result<Vec<String>> {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join(name);
        std::fs::write(&path, text).unwrap();
        let mut rows = Rows::open(&path, Layout::COMMAS, columns)?;
        let mut found = Vec::new();
        while rows.advance()? {
            let cells: Vec<_> = (0..columns.len()).map(|i| rows.text(i)).collect();
            found.push(format!("{}:{}", rows.line, cells.join("/")));
        }
        Ok(found)
    }

    #[test]
    fn text_formats_give_the_same_cells() {
        let csv = "\u{feff}a,b:token,c\r\n1,\"x, y\",\r\n2,z,3\r\n";
        assert_eq!(read("t.csv", csv.as_bytes(), &["b", "a"]).unwrap(), ["2:x, y/1", "3:z/2"]);
        let jsonl = "{\"a\":1,\"b\":\"x, y\"}\n\n{\"c\":[\"p\",\"q\"],\"a\":2.5,\"b\":true}\n";
        assert_eq!(
            read("t.jsonl", jsonl.as_bytes(), &["b", "a", "c"]).unwrap(),
            ["1:x, y/1/", "3:1/2.5/p|q"]
        );
    }

    #[test]
    fn instants_of_any_zone_pass_through_text() {
        let times =
            arrow_array::TimestampMillisecondArray::from(vec![Some(1_767_323_045_678), None]);
        for zone in ["UTC", "Europe/Berlin", "+08:00"] {
            let times = times.clone().with_timezone(zone);
            let text = cells(&times).unwrap();
            assert_eq!(text.value(0), "2026-01-02T03:04:05.678Z");
            assert_eq!(instant(text.value(0)), Some(1_767_323_045));
            let back = from_cells(&text, times.data_type()).unwrap();
            assert_eq!(back.as_primitive::<arrow_array::types::TimestampMillisecondType>(), &times);
        }
    }

    /// Quotes that open, close, double and mean themselves, cut into pieces anywhere; the reader of rows is the judge of
    /// whether a cell is closed, by what it does with a line that follows.
    #[test]
    fn an_open_quote_is_noticed_wherever_it_is() {
        let pieces = ["\"", "\"\"", "x", ",", "\n", "\r\n", "\u{feff}"];
        for code in 0..7usize.pow(6) {
            let text: String = (0..6).map(|i| pieces[code / 7usize.pow(i) % 7]).collect();
            let lines = |text: &str| {
                let mut reader = csv::ReaderBuilder::new();
                let mut reader =
                    reader.has_headers(false).flexible(true).from_reader(text.as_bytes());
                reader.records().map(|record| record.unwrap()).collect::<Vec<_>>()
            };
            let followed = lines(&format!("{text}\nend"));
            let closed = followed.last().unwrap() == vec!["end"];
            for size in [1, 2, 64] {
                // A mark starts a file as a whole.
                if size < 3 && text.starts_with('\u{feff}') {
                    continue;
                }
                let mut quotes =
                    Quotes::new(Box::new(std::io::Cursor::new(text.clone())), Layout::COMMAS);
                let mut piece = vec![0; size];
                while quotes.read(&mut piece).unwrap() > 0 {}
                assert_eq!(quotes.open, !closed, "{text:?} by {size}: {followed:?}");
            }
        }
    }

    #[test]
    fn bad_rows_are_named() {
        for (name, text, expected) in [
            ("t.csv", &b"a,b\n1,2\n1\n"[..], "t.csv:3: expected 2 fields, got 1"),
            ("t.csv", b"a,b\n1,\xff\n", "t.csv:2: expected UTF-8 text"),
            (
                "t.csv",
                b"a,b\n1,2\n1,\"2\n3,4\n5,6\n",
                "t.csv:3: a `\"` opens a cell here that is never closed",
            ),
            ("t.csv", b"a,\"b\n1,2\n", "t.csv:1: a `\"` opens a cell here that is never closed"),
            ("t.csv", b"", "expected column names, found an empty file"),
            ("t.csv", b"a,x\n", "expected a column `b`, found a, x"),
            ("t.csv", b"a,b,b\n1,2,3\n", "expected one column `b`, found two of that name"),
            ("t.jsonl", b"{\"a\":1,\"b\":1}\n[1]\n", "t.jsonl:2: expected a JSON object"),
            ("t.parquet", b"PAR1 no", "expected a Parquet file"),
        ] {
            let error = read(name, text, &["a", "b"]).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        }
    }
}
