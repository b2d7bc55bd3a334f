//! A table written to a file, Parquet or JSON lines by its name: beside its place, and renamed when it is whole.

use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow_array::{ArrayRef, RecordBatch};
use arrow_schema::{DataType, Field, Schema, SchemaRef, TimeUnit};
use parquet::arrow::ArrowWriter;
use parquet::basic::Compression;
use parquet::file::properties::WriterProperties;
use serde::Serialize;
use tempfile::NamedTempFile;

use super::error::{Result, StoreError};

/// Rows per row group; what a Parquet file in the making keeps in memory.
const ROW_GROUP: usize = 1 << 17;

/// A row of such a table. JSON lines have the fields of its serialisation.
pub(super) trait Row: Serialize + Sized {
    /// Name, type, and whether values may be missing.
    const COLUMNS: &'static [(&'static str, Type, bool)];

    /// The same columns of these rows.
    fn columns(rows: &[Self]) -> Vec<ArrayRef>;
}

/// The type of a column.
#[derive(Clone, Copy)]
pub(super) enum Type {
    Text,
    Whole,
    Number,
    /// Milliseconds since 1970, UTC.
    Time,
}

/// A file in the making; it disappears if it is dropped.
pub(super) struct TableFile {
    path: PathBuf,
    format: Format,
}

enum Format {
    Parquet(Box<ArrowWriter<NamedTempFile>>, SchemaRef),
    JsonLines(BufWriter<NamedTempFile>),
}

impl TableFile {
    /// Starts a file that will have this name.
    pub(super) fn create<R: Row>(path: &Path) -> Result<Self> {
        let extension = path.extension().and_then(|extension| extension.to_str());
        if !matches!(extension, Some("parquet" | "jsonl")) {
            let got = format!("`{}`", path.display());
            return Err(StoreError::invalid("out", "a file name with .parquet or .jsonl", got));
        }
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let directory = match path.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent,
            _ => Path::new("."),
        };
        // Made as any file is, with the permissions of any file.
        let file = tempfile::Builder::new()
            .prefix(&format!(".{name}."))
            .make_in(directory, |place| std::fs::File::create_new(place))
            .map_err(|error| StoreError::file(path, &error))?;
        let format = if extension == Some("jsonl") {
            Format::JsonLines(BufWriter::new(file))
        } else {
            let schema = schema::<R>();
            let properties = WriterProperties::builder()
                .set_compression(Compression::SNAPPY)
                .set_max_row_group_row_count(Some(ROW_GROUP))
                .build();
            let writer = ArrowWriter::try_new(file, Arc::clone(&schema), Some(properties))
                .map_err(|error| StoreError::file(path, &error))?;
            Format::Parquet(Box::new(writer), schema)
        };
        Ok(Self { path: path.to_owned(), format })
    }

    /// Adds rows.
    pub(super) fn write<R: Row>(&mut self, rows: &[R]) -> Result<()> {
        let path = &self.path;
        match &mut self.format {
            Format::Parquet(writer, schema) => {
                RecordBatch::try_new(Arc::clone(schema), R::columns(rows))
                    .map_err(|error| StoreError::file(path, &error))
                    .and_then(|batch| {
                        writer.write(&batch).map_err(|error| StoreError::file(path, &error))
                    })
            }
            Format::JsonLines(file) => {
                for row in rows {
                    (serde_json::to_writer(&mut *file, row).map_err(std::io::Error::from))
                        .and_then(|()| file.write_all(b"\n"))
                        .map_err(|error| StoreError::file(path, &error))?;
                }
                Ok(())
            }
        }
    }

    /// Completes the file, on the disk, and gives it its name.
    pub(super) fn finish(self) -> Result<()> {
        let failed = |error: &dyn std::fmt::Display| StoreError::file(&self.path, error);
        let file = match self.format {
            Format::Parquet(writer, _) => writer.into_inner().map_err(|error| failed(&error))?,
            Format::JsonLines(file) => file.into_inner().map_err(|error| failed(error.error()))?,
        };
        file.as_file().sync_all().map_err(|error| failed(&error))?;
        file.persist(&self.path).map_err(|error| failed(&error.error))?;
        Ok(())
    }
}

fn schema<R: Row>() -> SchemaRef {
    let fields = R::COLUMNS.iter().map(|&(name, kind, missing)| {
        let kind = match kind {
            Type::Text => DataType::Utf8,
            Type::Whole => DataType::Int64,
            Type::Number => DataType::Float64,
            Type::Time => DataType::Timestamp(TimeUnit::Millisecond, Some("UTC".into())),
        };
        Field::new(name, kind, missing)
    });
    Arc::new(Schema::new(fields.collect::<Vec<_>>()))
}
