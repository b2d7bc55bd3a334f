//! `daogou init`.

use std::path::PathBuf;

use anyhow::Context;
use clap::Args;
use daogou::schema::{Config, infer};

use super::Outcome;
use crate::terminal::{note, print};

/// Look at your files and write a configuration for them
#[derive(Args)]
pub(crate) struct Init {
    /// Impressions in one flat file, or impressions, items and users in several
    #[arg(required_unless_present = "defaults")]
    files: Vec<PathBuf>,
    /// Print every key with its default instead
    #[arg(long)]
    defaults: bool,
    /// Where to write; by default `daogou.toml` beside the first file
    #[arg(long, value_name = "F")]
    out: Option<PathBuf>,
    /// Replace an existing file
    #[arg(long)]
    force: bool,
}

impl Init {
    pub(super) fn run(self) -> anyhow::Result<Outcome> {
        if self.defaults {
            print(&Config::default().to_toml())?;
            return Ok(Outcome::Done);
        }
        let beside = self.files[0].parent().unwrap_or(std::path::Path::new("")).join("daogou.toml");
        let out = self.out.unwrap_or(beside);
        if out.exists() && !self.force {
            anyhow::bail!(
                daogou::Error::file(&out, "exists already").with_hint("add --force to replace it")
            );
        }
        // Paths in a configuration are relative to it.
        let here =
            out.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(std::path::Path::new("."));
        let base = std::fs::canonicalize(here).with_context(|| format!("{}", here.display()))?;
        let mut inferred = infer::infer(&self.files)?;
        for file in &self.files {
            let whole =
                std::fs::canonicalize(file).with_context(|| format!("{}", file.display()))?;
            let short = whole.strip_prefix(&base).unwrap_or(&whole);
            let (from, to) = (file.display().to_string(), short.display().to_string());
            inferred.toml = inferred.toml.replace(&format!("\"{from}\""), &format!("\"{to}\""));
        }
        std::fs::write(&out, inferred.toml).with_context(|| format!("{}", out.display()))?;
        inferred.notes.iter().for_each(|text| note(&format!("note: {text}")));
        note(&format!("wrote {}; next: daogou train {0}", out.display()));
        Ok(Outcome::Done)
    }
}
