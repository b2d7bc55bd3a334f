//! `daogou import`.

use std::path::PathBuf;

use clap::Args;
use daogou::importers;

use super::Outcome;
use crate::terminal::note;

/// Turn a public data set into tables and a configuration
#[derive(Args)]
pub(crate) struct Import {
    /// trivago2019, jdata, census-income, movielens-100k, rees46, aliccp or aliexpress
    format: String,
    /// File or directory of the original data
    source: PathBuf,
    /// Directory to write to
    #[arg(long, value_name = "D")]
    out: PathBuf,
}

impl Import {
    pub(super) fn run(self) -> anyhow::Result<Outcome> {
        let summary = importers::import(&self.format, &self.source, &self.out)?;
        for table in &summary.tables {
            note(&format!("{:>9} rows  {}", table.rows, table.name));
        }
        summary.notes.iter().for_each(|text| note(&format!("note: {text}")));
        let config = self.out.join("daogou.toml");
        note(&format!("next: daogou train {}", config.display()));
        Ok(Outcome::Done)
    }
}
