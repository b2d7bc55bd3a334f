//! `daogou export`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use daogou::artifact::{MODEL, Run};

use super::Outcome;
use crate::terminal::note;

/// Write the weights of a run for other programs
#[derive(Args)]
pub(crate) struct Export {
    /// Run directory
    run: PathBuf,
    /// Form of the file
    #[arg(long, value_enum, default_value = "safetensors")]
    format: Weights,
    /// File to write
    #[arg(long, value_name = "F")]
    out: PathBuf,
}

#[derive(Clone, Copy, ValueEnum)]
enum Weights {
    /// Named tensors, readable by `safetensors.torch.load_file`
    Safetensors,
}

impl Export {
    pub(super) fn run(self) -> anyhow::Result<Outcome> {
        let Weights::Safetensors = self.format;
        let bytes = Run::open(&self.run)?.read(MODEL)?;
        daogou::artifact::write_atomic(&self.out, &bytes)?;
        note(&format!("wrote {} bytes to {}", bytes.len(), self.out.display()));
        Ok(Outcome::Done)
    }
}
