//! `daogou schema`.

use clap::Args;
use daogou::schema::Config;

use super::Outcome;
use crate::terminal::print;

/// Print the JSON Schema of the configuration file
#[derive(Args)]
pub(crate) struct Schema {}

impl Schema {
    #[expect(clippy::unused_self, reason = "as every command")]
    pub(super) fn run(self) -> anyhow::Result<Outcome> {
        print(&(Config::json_schema() + "\n"))?;
        Ok(Outcome::Done)
    }
}
