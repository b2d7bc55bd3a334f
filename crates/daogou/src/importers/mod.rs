//! Public logs as canonical tables: one file per format.
//!
//! An importer reads the files as their publishers gave them, writes `impressions.parquet` or `events.parquet`,
//! `items.parquet` and `users.parquet` where the log has them, and a commented `daogou.toml` that works as it is.

mod aliccp;
mod aliexpress;
mod census_income;
mod jdata;
mod movielens_100k;
mod rees46;
mod source;
mod target;
mod trivago2019;

use std::path::Path;

use serde::Serialize;

use crate::schema::{Columns, Config, DataConfig, EventsConfig, Negatives, Task, TaskKind};
use crate::{Error, Result};
use target::Staging;
pub use target::Written;

/// A format that can be imported.
pub struct Format {
    /// Name on the command line.
    pub name: &'static str,
    /// What it is and which files are expected.
    pub about: &'static str,
    import: fn(&Path, &Staging) -> Result<Imported>,
}

/// Every format.
pub const FORMATS: &[Format] = &[
    trivago2019::FORMAT,
    jdata::FORMAT,
    census_income::FORMAT,
    movielens_100k::FORMAT,
    rees46::FORMAT,
    aliccp::FORMAT,
    aliexpress::FORMAT,
];

/// What an importer wrote and how it is to be read.
struct Imported {
    config: Config,
    header: &'static str,
    comments: &'static [(&'static str, &'static str)],
    tables: Vec<Written>,
    notes: Vec<String>,
}

/// What an import did.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ImportSummary {
    /// The format's name.
    pub format: &'static str,
    /// Tables written and their rows.
    pub tables: Vec<Written>,
    /// Things a person should know.
    pub notes: Vec<String>,
}

/// Imports `src` (a directory or a file, as the format says) into the directory `out`.
///
/// All or nothing: files appear in `out` only when every one is complete, and replace those of an earlier import.
pub fn import(format: &str, src: &Path, out: &Path) -> Result<ImportSummary> {
    let found = FORMATS.iter().find(|known| known.name == format).ok_or_else(|| {
        let names: Vec<_> = FORMATS.iter().map(|known| known.name).collect();
        Error::data(format!("unknown format `{format}`: expected one of {}", names.join(", ")))
    })?;
    if !src.exists() {
        return Err(Error::file(src, "no such file or directory").with_hint(found.about));
    }
    let staging = Staging::new(out)?;
    let imported = (found.import)(src, &staging)?;
    imported.config.check()?;
    let header = format!("{}\n\nWritten by `daogou import {format}`.", imported.header);
    let config = imported.config.to_commented_toml(&header, imported.comments);
    staging.commit(&config, &imported.tables)?;
    Ok(ImportSummary { format: found.name, tables: imported.tables, notes: imported.notes })
}

/// A configuration of an event log with the four tasks; features are the importer's.
fn event_log(click: &[&str], purchase: &[&str]) -> Config {
    let owned = |names: &[&str]| names.iter().map(|name| (*name).to_string()).collect();
    let mut config = Config {
        data: DataConfig {
            events: vec!["events.parquet".into()],
            items: Some("items.parquet".into()),
            event_log: Some(EventsConfig {
                click: owned(click),
                purchase: owned(purchase),
                purchase_window_days: 7.0,
                negatives: Negatives::default(),
            }),
            ..DataConfig::default()
        },
        columns: Columns {
            time: Some("time".into()),
            event: Some("event".into()),
            ..Columns::default()
        },
        tasks: vec![
            Task::new("click", TaskKind::Binary),
            Task::new("purchase", TaskKind::Binary),
            Task::new("diversity", TaskKind::Distribution),
            Task::new("novelty", TaskKind::Share),
        ],
        ..Config::default()
    };
    config.model.position_term = false;
    config
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;
    use crate::rows::{Layout, Rows};

    /// An import, for inspection.
    pub(super) struct Out {
        directory: PathBuf,
        pub(super) config: Config,
        pub(super) summary: ImportSummary,
    }

    impl Out {
        /// Rows of a table: the cells of `columns` as text, joined by spaces.
        pub(super) fn rows(&self, table: &str, columns: &[&str]) -> Vec<String> {
            let mut rows =
                Rows::open(&self.directory.join(table), Layout::COMMAS, columns).unwrap();
            let mut found = Vec::new();
            while rows.advance().unwrap() {
                let cells: Vec<_> = (0..columns.len()).map(|i| rows.text(i)).collect();
                found.push(cells.join(" "));
            }
            found
        }
    }

    /// A directory with these files.
    pub(super) fn write(files: &[(&str, &str)]) -> tempfile::TempDir {
        let directory = tempfile::tempdir().unwrap();
        for (name, text) in files {
            std::fs::write(directory.path().join(name), text).unwrap();
        }
        directory
    }

    /// Imports a directory of these files; every column the configuration names must be in the tables.
    pub(super) fn imported(format: &str, files: &[(&str, &str)]) -> (tempfile::TempDir, Out) {
        real(format, write(files).path())
    }

    /// Imports `src`; every column the configuration names must be in the tables.
    pub(super) fn real(format: &str, src: &Path) -> (tempfile::TempDir, Out) {
        let directory = tempfile::tempdir().unwrap();
        let out = directory.path().join("made/out");
        let summary = import(format, src, &out).unwrap();
        let config = Config::read(&out.join("daogou.toml")).unwrap();
        let data = &config.data;
        let mut names = Vec::new();
        for file in
            data.impressions.iter().chain(&data.events).chain(&data.items).chain(&data.users)
        {
            names.extend(crate::rows::header(&out.join(file), Layout::COMMAS).unwrap());
        }
        let columns = &config.columns;
        let roles = [
            &columns.time,
            &columns.request,
            &columns.position,
            &columns.category,
            &columns.price,
            &columns.event,
            &columns.title,
        ];
        let labels = config
            .tasks
            .iter()
            .filter(|task| task.kind == crate::schema::TaskKind::Binary && data.events.is_empty())
            .map(crate::schema::Task::label);
        let features = config
            .features
            .iter()
            .filter(|f| f.kind != crate::schema::FeatureType::History)
            .map(crate::schema::Feature::column);
        for column in roles
            .into_iter()
            .flatten()
            .map(String::as_str)
            .chain([columns.user.as_str(), columns.item.as_str()])
            .chain(labels)
            .chain(features)
        {
            assert!(names.iter().any(|name| name == column), "{column} is not among {names:?}");
        }
        (directory, Out { directory: out, config, summary })
    }

    /// The shared data directory `name`, if this machine has it.
    pub(super) fn shared(name: &str) -> Option<PathBuf> {
        let root = std::env::var_os("DAOGOU_SHARED").map_or_else(
            || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared"),
            PathBuf::from,
        );
        let found = root.join("data").join(name);
        if found.is_dir() {
            return Some(found);
        }
        #[allow(clippy::print_stderr)]
        {
            eprintln!("skipped: no {}", found.display());
        }
        None
    }

    #[test]
    fn an_unknown_format_or_missing_source_is_refused() {
        let error = import("parchment", Path::new("."), Path::new("out")).unwrap_err().to_string();
        assert!(error.contains("parchment") && error.contains("trivago2019"), "{error}");
        let error = import("trivago2019", Path::new("nowhere"), Path::new("out")).unwrap_err();
        assert!(error.to_string().contains("nowhere"), "{error}");
        assert!(!Path::new("out").exists());
    }

    #[test]
    fn imported_logs_validate() {
        for (format, name) in [
            ("trivago2019", "trivago2019"),
            ("jdata", "jdata"),
            ("census-income", "census-income"),
            ("movielens-100k", "ml-100k"),
            ("rees46", "rees46"),
        ] {
            let Some(src) = shared(name) else { continue };
            let (_dir, out) = real(format, &src);
            let findings = crate::validate::validate(&out.config, &out.directory).unwrap();
            assert!(findings.passed(), "{format}: {findings:#?}");
            for warning in &findings.warnings {
                assert!(
                    warning.contains("items table") || warning.contains("alone predicts"),
                    "{format}: {warning}"
                );
            }
        }
    }

    #[test]
    fn an_import_replaces_an_earlier_one() {
        let csv = "user_id,session_id,timestamp,step,action_type,reference,platform,city,device,current_filters,impressions,prices\n\
            u,s,1,1,clickout item,a,DE,Berlin,mobile,,a|b,7|8\n";
        let directory = write(&[("train.csv", csv)]);
        let out = directory.path().join("out");
        for _ in 0..2 {
            import("trivago2019", &directory.path().join("train.csv"), &out).unwrap();
        }
        let mut names: Vec<_> =
            std::fs::read_dir(&out).unwrap().map(|e| e.unwrap().file_name()).collect();
        names.sort();
        assert_eq!(names, ["daogou.toml", "impressions.parquet", "items.parquet"]);
    }
}
