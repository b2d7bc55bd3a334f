//! Writing an import: tables and a configuration, all or nothing.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow_array::builder::{Float64Builder, Int64Builder, StringBuilder};
use arrow_array::{ArrayRef, RecordBatch};
use arrow_schema::{DataType, Field, Schema, SchemaRef};
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::properties::WriterProperties;

use crate::{Error, Result};

/// A directory beside the one asked for, whose files move there once all are complete.
pub(super) struct Staging {
    out: PathBuf,
    temporary: tempfile::TempDir,
}

impl Staging {
    /// Makes `out`'s parent and the temporary directory in it.
    pub(super) fn new(out: &Path) -> Result<Self> {
        let parent = match out.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent,
            _ => Path::new("."),
        };
        fs_err::create_dir_all(parent)?;
        let temporary = tempfile::Builder::new().prefix(".importing-").tempdir_in(parent)?;
        Ok(Self { out: out.into(), temporary })
    }

    /// Starts the table `name`.
    pub(super) fn table(&self, name: &str, columns: &[(&str, Kind)]) -> Result<Table> {
        Table::create(self.temporary.path(), name, columns)
    }

    /// Writes the configuration, then moves everything to `out`, the configuration last.
    pub(super) fn commit(self, config: &str, tables: &[Written]) -> Result<()> {
        let draft = self.temporary.path().join("daogou.toml");
        let mut file = fs_err::File::create(&draft)?;
        std::io::Write::write_all(&mut file, config.as_bytes())?;
        file.sync_all()?;
        fs_err::create_dir_all(&self.out)?;
        for name in tables.iter().map(|table| table.name.as_str()).chain(["daogou.toml"]) {
            fs_err::rename(self.temporary.path().join(name), self.out.join(name))?;
        }
        Ok(())
    }
}

/// Type of a column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Text,
    Int,
    Number,
}

/// One value of a row.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Cell<'a> {
    Text(&'a str),
    Int(i64),
    Number(f64),
    Missing,
}

impl Cell<'_> {
    /// Text, missing where empty.
    pub(super) fn some(text: &str) -> Cell<'_> {
        if text.is_empty() { Cell::Missing } else { Cell::Text(text) }
    }

    /// A number, missing where there is none.
    pub(super) fn optional(value: Option<f64>) -> Self {
        value.map_or(Cell::Missing, Cell::Number)
    }
}

/// A finished table.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Written {
    /// File name.
    pub name: String,
    /// Rows.
    pub rows: u64,
}

/// A Parquet table being written, row by row.
pub(super) struct Table {
    path: PathBuf,
    name: String,
    schema: SchemaRef,
    builders: Vec<Builder>,
    buffered: usize,
    rows: u64,
    writer: ArrowWriter<std::fs::File>,
}

enum Builder {
    Text(StringBuilder),
    Int(Int64Builder),
    Number(Float64Builder),
}

/// Rows held before they go to the Parquet writer.
const BATCH: usize = 8192;

impl Table {
    fn create(directory: &Path, name: &str, columns: &[(&str, Kind)]) -> Result<Self> {
        let field = |(name, kind): &(&str, Kind)| {
            let kind = match kind {
                Kind::Text => DataType::Utf8,
                Kind::Int => DataType::Int64,
                Kind::Number => DataType::Float64,
            };
            Field::new(*name, kind, true)
        };
        let schema = Arc::new(Schema::new(columns.iter().map(field).collect::<Vec<_>>()));
        let builders = columns
            .iter()
            .map(|(_, kind)| match kind {
                Kind::Text => Builder::Text(StringBuilder::new()),
                Kind::Int => Builder::Int(Int64Builder::new()),
                Kind::Number => Builder::Number(Float64Builder::new()),
            })
            .collect();
        let path = directory.join(name);
        let file = fs_err::File::create(&path)?.into_parts().0;
        let properties = WriterProperties::builder()
            .set_compression(Compression::ZSTD(ZstdLevel::default()))
            .build();
        let writer = ArrowWriter::try_new(file, schema.clone(), Some(properties))
            .map_err(|error| Error::file(&path, error.to_string()))?;
        Ok(Self { path, name: name.into(), schema, builders, buffered: 0, rows: 0, writer })
    }

    /// Appends a row; its cells are in the order of the columns and of their types.
    pub(super) fn push(&mut self, cells: &[Cell<'_>]) -> Result<()> {
        self.push_each(cells.iter().map(|cell| Ok(*cell)))
    }

    /// Appends a row of cells made one by one. After an error the table is of no use.
    pub(super) fn push_each<'a>(
        &mut self,
        cells: impl Iterator<Item = Result<Cell<'a>>>,
    ) -> Result<()> {
        let mut filled = 0;
        for cell in cells {
            match (&mut self.builders[filled], cell?) {
                (Builder::Text(builder), Cell::Text(value)) => builder.append_value(value),
                (Builder::Int(builder), Cell::Int(value)) => builder.append_value(value),
                (Builder::Number(builder), Cell::Number(value)) => builder.append_value(value),
                (Builder::Text(builder), Cell::Missing) => builder.append_null(),
                (Builder::Int(builder), Cell::Missing) => builder.append_null(),
                (Builder::Number(builder), Cell::Missing) => builder.append_null(),
                (_, cell) => unreachable!("{cell:?} in a column of another type of {}", self.name),
            }
            filled += 1;
        }
        assert_eq!(filled, self.builders.len(), "cells of a row of {}", self.name);
        self.rows += 1;
        self.buffered += 1;
        if self.buffered == BATCH { self.flush() } else { Ok(()) }
    }

    /// Rows so far.
    pub(super) fn rows(&self) -> u64 {
        self.rows
    }

    fn flush(&mut self) -> Result<()> {
        let columns = self
            .builders
            .iter_mut()
            .map(|builder| match builder {
                Builder::Text(builder) => Arc::new(builder.finish()) as ArrayRef,
                Builder::Int(builder) => Arc::new(builder.finish()),
                Builder::Number(builder) => Arc::new(builder.finish()),
            })
            .collect();
        self.buffered = 0;
        RecordBatch::try_new(self.schema.clone(), columns)
            .map_err(parquet::errors::ParquetError::from)
            .and_then(|batch| self.writer.write(&batch))
            .map_err(|error| Error::file(&self.path, error.to_string()))
    }

    /// Writes what is left, and waits until it is on disk.
    pub(super) fn finish(mut self) -> Result<Written> {
        self.flush()?;
        let file =
            self.writer.into_inner().map_err(|error| Error::file(&self.path, error.to_string()))?;
        file.sync_all()?;
        Ok(Written { name: self.name, rows: self.rows })
    }
}
