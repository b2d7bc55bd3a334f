//! `daogou validate`.

use std::path::PathBuf;

use clap::Args;
use daogou::schema::Config;
use daogou::validate::validate;

use super::Outcome;
use crate::terminal::print;

/// Check a configuration and its data without training
#[derive(Args)]
pub(crate) struct Validate {
    /// Configuration file
    config: PathBuf,
}

impl Validate {
    pub(super) fn run(self) -> anyhow::Result<Outcome> {
        let config = Config::read(&self.config)?;
        let findings = validate(&config, super::train::base_of(&self.config))?;
        let mut text = String::new();
        findings.errors.iter().for_each(|f| text += &format!("error: {f}\n"));
        findings.warnings.iter().for_each(|f| text += &format!("warning: {f}\n"));
        text +=
            &format!("{} errors, {} warnings\n", findings.errors.len(), findings.warnings.len());
        print(&text)?;
        Ok(if findings.passed() { Outcome::Done } else { Outcome::CheckFailed })
    }
}
