//! Reading public logs: finding their files and walking their rows as text.

use std::fs::File;
use std::io::{BufReader, Read};
use std::path::{Path, PathBuf};

use arrow::array::{Array, AsArray, StringArray};
use arrow::datatypes::DataType;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder};

use crate::{Error, Result};

/// Files in `src` whose name `wanted` accepts, by name; `src` itself if it is a file.
pub(super) fn find_all(
    src: &Path,
    what: &str,
    wanted: impl Fn(&str) -> bool,
) -> Result<Vec<PathBuf>> {
    if src.is_file() {
        return Ok(vec![src.into()]);
    }
    let mut names = Vec::new();
    for entry in fs_err::read_dir(src)? {
        let entry = entry?;
        if entry.path().is_file() {
            names.push(entry.file_name().to_string_lossy().into_owned());
        }
    }
    names.sort();
    let found: Vec<PathBuf> =
        names.iter().filter(|name| wanted(name)).map(|name| src.join(name)).collect();
    if found.is_empty() {
        let got = if names.is_empty() { "no file".into() } else { names.join(", ") };
        return Err(Error::file(src, format!("expected {what}, found {got}")));
    }
    Ok(found)
}

/// The one file in the directory `src` whose name `wanted` accepts.
pub(super) fn find(src: &Path, what: &str, wanted: impl Fn(&str) -> bool) -> Result<PathBuf> {
    if src.is_file() {
        return Err(Error::file(src, "expected a directory with the files of this format"));
    }
    let mut found = find_all(src, what, wanted)?;
    if found.len() > 1 {
        let names: Vec<_> = found.iter().filter_map(|path| path.file_name()?.to_str()).collect();
        return Err(Error::file(src, format!("expected one {what}, found {}", names.join(", "))));
    }
    Ok(found.remove(0))
}

/// Whether `name` is `stem` with `.gz` or without.
pub(super) fn is(name: &str, stem: &str) -> bool {
    name.strip_suffix(".gz").unwrap_or(name) == stem
}

/// Whether `name` ends in `suffix`, then `.gz` or nothing.
pub(super) fn ends(name: &str, suffix: &str) -> bool {
    name.strip_suffix(".gz").unwrap_or(name).ends_with(suffix)
}

/// Column names of a file, without the types RecBole appends (`rating:float`).
pub(super) fn header(path: &Path, delimiter: u8) -> Result<Vec<String>> {
    if is_parquet(path) {
        let fields = parquet(path)?.schema().fields().clone();
        return Ok(fields.iter().map(|field| field.name().clone()).collect());
    }
    let mut reader = text(path, delimiter)?;
    let names = reader.headers().map_err(|error| row_error(path, &error))?;
    if names.is_empty() {
        return Err(Error::file(path, "expected a header line, found an empty file"));
    }
    Ok(names
        .iter()
        .map(|name| name.trim_start_matches('\u{feff}').split(':').next().unwrap_or(name).into())
        .collect())
}

fn is_parquet(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("parquet"))
}

fn parquet(path: &Path) -> Result<ParquetRecordBatchReaderBuilder<File>> {
    let file = fs_err::File::open(path)?.into_parts().0;
    ParquetRecordBatchReaderBuilder::try_new(file)
        .map_err(|error| Error::file(path, format!("expected a Parquet file: {error}")))
}

fn text(path: &Path, delimiter: u8) -> Result<csv::Reader<Box<dyn Read>>> {
    let file = BufReader::new(fs_err::File::open(path)?);
    let bytes: Box<dyn Read> = if path.extension().is_some_and(|extension| extension == "gz") {
        Box::new(flate2::bufread::MultiGzDecoder::new(file))
    } else {
        Box::new(file)
    };
    // Tab-separated files quote nothing: a `"` there is part of the text.
    let quoting = delimiter != b'\t';
    Ok(csv::ReaderBuilder::new().delimiter(delimiter).quoting(quoting).from_reader(bytes))
}

fn row_error(path: &Path, error: &csv::Error) -> Error {
    let line = error.position().map_or(1, csv::Position::line);
    let problem = match error.kind() {
        csv::ErrorKind::UnequalLengths { expected_len, len, .. } => {
            format!("expected {expected_len} fields, got {len}")
        }
        csv::ErrorKind::Utf8 { .. } => "expected UTF-8 text".into(),
        _ => error.to_string(),
    };
    Error::Row { path: path.into(), line, problem }
}

/// Rows of one file, one at a time, cells as text (empty: missing). CSV with a header, `.gz` or plain, and Parquet.
pub(super) struct Rows {
    path: PathBuf,
    columns: Vec<String>,
    line: u64,
    source: Source,
}

enum Source {
    Text { reader: csv::Reader<Box<dyn Read>>, record: csv::StringRecord, places: Vec<usize> },
    Parquet { reader: ParquetRecordBatchReader, batch: Vec<StringArray>, row: usize },
}

impl Rows {
    /// Opens `path` for `columns`, all of which must exist; cells are then addressed by index into `columns`.
    pub(super) fn open<S: AsRef<str>>(path: &Path, delimiter: u8, columns: &[S]) -> Result<Self> {
        let header = header(path, delimiter)?;
        let columns: Vec<String> = columns.iter().map(|name| name.as_ref().into()).collect();
        let mut places = Vec::new();
        for column in &columns {
            let place = header.iter().position(|name| name == column).ok_or_else(|| {
                Error::file(
                    path,
                    format!("expected a column `{column}`, found {}", header.join(", ")),
                )
            })?;
            places.push(place);
        }
        let source = if is_parquet(path) {
            let builder = parquet(path)?;
            let mask = ProjectionMask::roots(builder.parquet_schema(), places);
            let reader = builder
                .with_projection(mask)
                .build()
                .map_err(|error| Error::file(path, error.to_string()))?;
            Source::Parquet { reader, batch: Vec::new(), row: 0 }
        } else {
            let reader = text(path, delimiter)?;
            Source::Text { reader, record: csv::StringRecord::new(), places }
        };
        Ok(Self { path: path.into(), columns, line: 0, source })
    }

    /// Goes to the next row; false after the last.
    pub(super) fn advance(&mut self) -> Result<bool> {
        match &mut self.source {
            Source::Text { reader, record, .. } => {
                let more =
                    reader.read_record(record).map_err(|error| row_error(&self.path, &error))?;
                self.line = record.position().map_or(self.line, csv::Position::line);
                Ok(more)
            }
            Source::Parquet { reader, batch, row } => {
                self.line += 1;
                *row += 1;
                while batch.first().is_none_or(|column| *row >= column.len()) {
                    let Some(next) = reader.next() else { return Ok(false) };
                    let broken = |error: arrow::error::ArrowError| {
                        Error::file(&self.path, format!("damaged Parquet file: {error}"))
                    };
                    let next = next.map_err(broken)?;
                    *batch = self
                        .columns
                        .iter()
                        .map(|name| {
                            let column = next.column_by_name(name).expect("a projected column");
                            let text = arrow::compute::cast(column, &DataType::Utf8)?;
                            Ok(text.as_string::<i32>().clone())
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
    pub(super) fn text(&self, i: usize) -> &str {
        match &self.source {
            Source::Text { record, places, .. } => &record[places[i]],
            Source::Parquet { batch, row, .. } => {
                if batch[i].is_null(*row) {
                    ""
                } else {
                    batch[i].value(*row)
                }
            }
        }
    }

    /// A cell that must not be empty.
    pub(super) fn id(&self, i: usize) -> Result<&str> {
        match self.text(i) {
            "" => Err(self.cell(i, "an id")),
            text => Ok(text),
        }
    }

    /// A whole number.
    pub(super) fn int(&self, i: usize) -> Result<i64> {
        self.text(i).parse().map_err(|_| self.cell(i, "a whole number"))
    }

    /// A finite number.
    pub(super) fn number(&self, i: usize) -> Result<f64> {
        self.text(i)
            .parse()
            .ok()
            .filter(|value: &f64| value.is_finite())
            .ok_or_else(|| self.cell(i, "a number"))
    }

    /// A finite number, or nothing where the cell is empty.
    pub(super) fn optional(&self, i: usize) -> Result<Option<f64>> {
        if self.text(i).is_empty() { Ok(None) } else { self.number(i).map(Some) }
    }

    /// A label: 0 or 1.
    pub(super) fn label(&self, i: usize) -> Result<i64> {
        match self.text(i) {
            "0" | "0.0" => Ok(0),
            "1" | "1.0" => Ok(1),
            _ => Err(self.cell(i, "0 or 1")),
        }
    }

    /// Unix seconds of `YYYY-MM-DD HH:MM:SS`, UTC, with or without ` UTC` at the end.
    pub(super) fn time(&self, i: usize) -> Result<i64> {
        seconds(self.text(i)).ok_or_else(|| self.cell(i, "a time `YYYY-MM-DD HH:MM:SS`"))
    }

    /// The error that the cell of `columns[i]` should have held something else.
    pub(super) fn cell(&self, i: usize, expected: &str) -> Error {
        Error::Cell {
            path: self.path.clone(),
            line: self.line,
            column: self.columns[i].clone(),
            expected: expected.into(),
            got: self.text(i).into(),
        }
    }

    /// The error that the current row as a whole is wrong.
    pub(super) fn row(&self, problem: String) -> Error {
        Error::Row { path: self.path.clone(), line: self.line, problem }
    }
}

fn seconds(text: &str) -> Option<i64> {
    let text = text.strip_suffix(" UTC").unwrap_or(text);
    let bytes = text.as_bytes();
    if bytes.len() != 19 || [bytes[4], bytes[7], bytes[10], bytes[13], bytes[16]] != *b"-- ::" {
        return None;
    }
    let part = |range: std::ops::Range<usize>| {
        let digits = text.get(range)?;
        digits.bytes().all(|b| b.is_ascii_digit()).then(|| digits.parse::<i64>().ok())?
    };
    let (year, month, day) = (part(0..4)?, part(5..7)?, part(8..10)?);
    let (hour, minute, second) = (part(11..13)?, part(14..16)?, part(17..19)?);
    let days = days_from_civil(year, month, day);
    let valid =
        civil_from_days(days) == (year, month, day) && hour < 24 && minute < 60 && second <= 60;
    valid.then_some(days * 86_400 + hour * 3600 + minute * 60 + second)
}

/// Days since 1970-01-01 of a date of the proleptic Gregorian calendar (Hinnant, "chrono-compatible low-level date
/// algorithms").
fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year - era * 400;
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468
}

/// The date of a day number; the inverse of [`days_from_civil`].
fn civil_from_days(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let era = days.div_euclid(146_097);
    let day_of_era = days - era * 146_097;
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    (year, month, day_of_year - (153 * shifted + 2) / 5 + 1)
}

/// Midnight, UTC, at the start of the day of `seconds`, as RFC 3339.
pub(super) fn midnight(seconds: i64) -> String {
    let (year, month, day) = civil_from_days(seconds.div_euclid(86_400));
    format!("{year:04}-{month:02}-{day:02}T00:00:00Z")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_as_utc_seconds() {
        assert_eq!(seconds("1970-01-01 00:00:00"), Some(0));
        assert_eq!(seconds("2018-03-01 00:00:06"), Some(1_519_862_406));
        assert_eq!(seconds("2019-10-01 00:00:01 UTC"), Some(1_569_888_001));
        assert_eq!(seconds("2000-02-29 23:59:59"), Some(951_868_799));
        for bad in [
            "2019-02-29 00:00:00",
            "2019-10-01",
            "2019-10-01T00:00:00",
            "2019-13-01 00:00:00",
            "+019-10-01 00:00:00",
            "2019-10-01 24:00:00",
        ] {
            assert_eq!(seconds(bad), None, "{bad}");
        }
    }

    #[test]
    fn dates_and_day_numbers_are_inverse() {
        for days in (-800_000..800_000).step_by(97) {
            let (year, month, day) = civil_from_days(days);
            assert_eq!(days_from_civil(year, month, day), days);
        }
        assert_eq!(midnight(1_541_721_582), "2018-11-08T00:00:00Z");
    }
}
