//! Rows with their answers, in the format that the file's name asks for.

use std::io::{BufWriter, Write};
use std::path::Path;
use std::sync::Arc;

use arrow_array::{ArrayRef, Float32Array, RecordBatch, StringArray};
use arrow_schema::{DataType, Field, Schema};
use flate2::Compression;
use flate2::write::GzEncoder;
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression as Codec, ZstdLevel};
use parquet::file::properties::WriterProperties;

use crate::artifact::NewFile;
use crate::rows::{self, Rows};
use crate::{Error, Result};

/// Format of an output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
    /// Separated by this.
    Delimited {
        delimiter: u8,
        gzip: bool,
    },
    JsonLines {
        gzip: bool,
    },
    Parquet,
}

/// Extension of a file in lower case, that before `.gz` of a packed one.
pub(super) fn extension(path: &Path) -> String {
    let name = path.file_name().unwrap_or_default().to_string_lossy().to_ascii_lowercase();
    let name = name.strip_suffix(".gz").unwrap_or(&name);
    name.rsplit_once('.').map_or_else(String::new, |(_, extension)| extension.into())
}

impl Format {
    /// By the name of the file.
    pub(super) fn of(path: &Path) -> Result<Self> {
        let gzip = path.extension().is_some_and(|e| e.eq_ignore_ascii_case("gz"));
        match extension(path).as_str() {
            "csv" => Ok(Self::Delimited { delimiter: b',', gzip }),
            "tsv" => Ok(Self::Delimited { delimiter: b'\t', gzip }),
            "jsonl" | "ndjson" => Ok(Self::JsonLines { gzip }),
            "parquet" if !gzip => Ok(Self::Parquet),
            _ => Err(Error::file(
                path,
                "expected a name that ends in .csv, .tsv, .jsonl or .ndjson (each also .gz), or in .parquet",
            )),
        }
    }

    /// Whether rows that were JSON objects stay what they were.
    pub(super) fn keeps_objects(self) -> bool {
        matches!(self, Self::JsonLines { .. })
    }
}

/// Rows of a part as they were read.
pub(super) enum Part {
    Cells(Vec<csv::StringRecord>),
    Objects(Vec<serde_json::Map<String, serde_json::Value>>),
}

impl Part {
    pub(super) fn new(objects: bool) -> Self {
        if objects { Self::Objects(Vec::new()) } else { Self::Cells(Vec::new()) }
    }

    pub(super) fn clear(&mut self) {
        match self {
            Self::Cells(rows) => rows.clear(),
            Self::Objects(rows) => rows.clear(),
        }
    }

    pub(super) fn push(&mut self, row: &Rows) {
        match self {
            Self::Cells(rows) => rows.push(row.texts().collect()),
            Self::Objects(rows) => rows.push(row.object().cloned().unwrap_or_default()),
        }
    }
}

/// A text file, packed or not; `finish` writes what packing held back.
enum Text<'f> {
    Plain(BufWriter<&'f std::fs::File>),
    Packed(Box<GzEncoder<BufWriter<&'f std::fs::File>>>),
}

impl<'f> Text<'f> {
    fn new(file: &'f std::fs::File, gzip: bool) -> Self {
        let out = BufWriter::with_capacity(1 << 18, file);
        if gzip {
            Self::Packed(Box::new(GzEncoder::new(out, Compression::default())))
        } else {
            Self::Plain(out)
        }
    }

    fn finish(self) -> std::io::Result<()> {
        match self {
            Self::Plain(mut out) => out.flush(),
            Self::Packed(out) => out.finish()?.flush(),
        }
    }
}

impl Write for Text<'_> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        match self {
            Self::Plain(out) => out.write(bytes),
            Self::Packed(out) => out.write(bytes),
        }
    }

    fn flush(&mut self) -> std::io::Result<()> {
        match self {
            Self::Plain(out) => out.flush(),
            Self::Packed(out) => out.flush(),
        }
    }
}

enum Writer<'f> {
    Delimited(Box<csv::Writer<Text<'f>>>),
    JsonLines(Text<'f>),
    Parquet(Box<ArrowWriter<&'f std::fs::File>>, Arc<Schema>),
}

/// A file being written.
pub(super) struct Output<'f> {
    file: &'f NewFile,
    names: Vec<String>,
    /// Types of the input's columns: text unless it was Parquet.
    types: Vec<DataType>,
    writer: Writer<'f>,
}

impl<'f> Output<'f> {
    /// Starts a file with the input's columns and, after them, the new ones.
    pub(super) fn new(
        file: &'f NewFile,
        format: Format,
        (names, types): (&[String], Vec<DataType>),
        added: &[String],
    ) -> Result<Self> {
        let all: Vec<String> = names.iter().chain(added).cloned().collect();
        let writer = match format {
            Format::Delimited { delimiter, gzip } => {
                let mut writer = csv::WriterBuilder::new()
                    .delimiter(delimiter)
                    .from_writer(Text::new(file.file(), gzip));
                writer.write_record(&all).map_err(|error| file.failed(&error.into()))?;
                Writer::Delimited(Box::new(writer))
            }
            Format::JsonLines { gzip } => Writer::JsonLines(Text::new(file.file(), gzip)),
            Format::Parquet => {
                let old = names.iter().zip(&types).map(|(n, t)| Field::new(n, t.clone(), true));
                let new = added.iter().map(|name| Field::new(name, DataType::Float32, false));
                let schema = Arc::new(Schema::new(old.chain(new).collect::<Vec<_>>()));
                let properties = WriterProperties::builder()
                    .set_compression(Codec::ZSTD(ZstdLevel::default()))
                    .build();
                let writer = ArrowWriter::try_new(file.file(), schema.clone(), Some(properties))
                    .map_err(|error| file.failed(&std::io::Error::other(error)))?;
                Writer::Parquet(Box::new(writer), schema)
            }
        };
        Ok(Self { file, names: all, types, writer })
    }

    /// Writes the rows of a part. `answers`: the values of each new column, row by row.
    pub(super) fn write(&mut self, part: &Part, answers: &[Vec<f32>]) -> Result<()> {
        let written = match (&mut self.writer, part) {
            (Writer::Delimited(writer), Part::Cells(rows)) => delimited(writer, rows, answers),
            (Writer::JsonLines(out), part) => {
                json_lines(out, part, (&self.names, &self.types), answers)
            }
            (Writer::Parquet(writer, schema), Part::Cells(rows)) => {
                parquet(writer, schema, rows, (&self.types, answers))
            }
            (_, Part::Objects(_)) => unreachable!("only JSON lines keep objects"),
        };
        written.map_err(|error| self.file.failed(&error))
    }

    /// Writes what is still held back.
    pub(super) fn finish(self) -> Result<()> {
        let file = self.file;
        let done = match self.writer {
            Writer::Delimited(writer) => match writer.into_inner() {
                Ok(text) => text.finish(),
                Err(error) => Err(error.into_error()),
            },
            Writer::JsonLines(text) => text.finish(),
            Writer::Parquet(writer, _) => writer.close().map(drop).map_err(std::io::Error::other),
        };
        done.map_err(|error| file.failed(&error))
    }
}

fn delimited(
    writer: &mut csv::Writer<Text<'_>>,
    rows: &[csv::StringRecord],
    answers: &[Vec<f32>],
) -> std::io::Result<()> {
    let mut number = String::new();
    for (i, row) in rows.iter().enumerate() {
        for cell in row {
            writer.write_field(cell)?;
        }
        for answer in answers {
            number.clear();
            number.push_str(&answer[i].to_string());
            writer.write_field(&number)?;
        }
        writer.write_record(None::<&[u8]>)?;
    }
    Ok(())
}

/// One object per line. Cells are texts, but numbers where the input's column had numbers, and null where empty.
fn json_lines(
    out: &mut Text<'_>,
    part: &Part,
    (names, types): (&[String], &[DataType]),
    answers: &[Vec<f32>],
) -> std::io::Result<()> {
    let rows = match part {
        Part::Cells(rows) => rows.len(),
        Part::Objects(rows) => rows.len(),
    };
    let old = names.len() - answers.len();
    for i in 0..rows {
        let mut separator = "{";
        let mut key = |out: &mut Text<'_>, name: &str| -> std::io::Result<()> {
            out.write_all(separator.as_bytes())?;
            separator = ",";
            serde_json::to_writer(&mut *out, name)?;
            out.write_all(b":")
        };
        match part {
            Part::Objects(rows) => {
                for (name, value) in &rows[i] {
                    key(out, name)?;
                    serde_json::to_writer(&mut *out, value)?;
                }
            }
            Part::Cells(rows) => {
                for ((name, cell), kind) in names.iter().zip(&rows[i]).zip(types) {
                    key(out, name)?;
                    let bare = kind.is_numeric() || *kind == DataType::Boolean;
                    if cell.is_empty() {
                        out.write_all(b"null")?;
                    } else if bare && serde_json::from_str::<serde_json::Value>(cell).is_ok() {
                        out.write_all(cell.as_bytes())?;
                    } else {
                        serde_json::to_writer(&mut *out, cell)?;
                    }
                }
            }
        }
        for (name, answer) in names[old..].iter().zip(answers) {
            key(out, name)?;
            serde_json::to_writer(&mut *out, &answer[i])?;
        }
        out.write_all(b"}\n")?;
    }
    Ok(())
}

/// One row group per part, so that no more than a part is held back. Cells become what they were in a Parquet input.
fn parquet(
    writer: &mut ArrowWriter<&std::fs::File>,
    schema: &Arc<Schema>,
    part: &[csv::StringRecord],
    (types, answers): (&[DataType], &[Vec<f32>]),
) -> std::io::Result<()> {
    let other = std::io::Error::other::<arrow_schema::ArrowError>;
    let mut columns: Vec<ArrayRef> = Vec::with_capacity(schema.fields().len());
    for (place, kind) in types.iter().enumerate() {
        let cells = part.iter().map(|row| Some(&row[place]).filter(|cell| !cell.is_empty()));
        let texts: StringArray = cells.collect();
        columns.push(rows::from_cells(&texts, kind).map_err(other)?);
    }
    columns.extend(answers.iter().map(|a| Arc::new(Float32Array::from(a.clone())) as ArrayRef));
    let batch = RecordBatch::try_new(schema.clone(), columns).map_err(other)?;
    writer.write(&batch).and_then(|()| writer.flush()).map_err(std::io::Error::other)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_say_the_format() {
        let of = |name: &str| Format::of(Path::new(name));
        let csv = |gzip| Format::Delimited { delimiter: b',', gzip };
        assert_eq!(of("a/b.csv").unwrap(), csv(false));
        assert_eq!(of("b.CSV.GZ").unwrap(), csv(true));
        assert_eq!(of("b.tsv").unwrap(), Format::Delimited { delimiter: b'\t', gzip: false });
        assert_eq!(of("b.ndjson.gz").unwrap(), Format::JsonLines { gzip: true });
        assert_eq!(of("b.parquet").unwrap(), Format::Parquet);
        for name in ["b", "b.txt", "b.parquet.gz", "b.gz", ".csvx"] {
            let message = of(name).unwrap_err().to_string();
            assert!(message.contains(".jsonl") && message.contains(name), "{message}");
        }
    }
}
