//! `daogou key`.

use clap::Args;
use daogou_server::{Role, new_key};

use super::Outcome;
use crate::terminal::{note, print};

/// Make an API key: the key for the caller, its hash for the server's configuration
#[derive(Args)]
pub(crate) struct Key {
    /// Who will have it
    #[arg(long, default_value = "key")]
    name: String,
    /// read, write or admin
    #[arg(long, default_value = "write")]
    role: Role,
}

impl Key {
    pub(super) fn run(self) -> anyhow::Result<Outcome> {
        let (key, config) = new_key(&self.name, self.role)?;
        note(
            "put this into the server's configuration, and give the key in the comment to the caller:",
        );
        print(&format!("# X-API-Key: {key}\n[[key]]\n{}", config.to_toml()))?;
        Ok(Outcome::Done)
    }
}
