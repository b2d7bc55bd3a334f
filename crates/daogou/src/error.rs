//! The one error type of this crate: it keeps the data a user needs to find and mend the fault.

use std::path::PathBuf;

/// `Result` with this crate's [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What can go wrong between a log on disk and a list.
///
/// Every message says what (file, line, column or key), what was expected and what was found; [`Error::hint`] adds
/// how to mend it where that is known.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A file could not be read or written. The message of `source` names the file.
    #[error(transparent)]
    Io(#[from] std::io::Error),
    /// A file is not what its name or place says it is.
    #[error("{}: {problem}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What is wrong with it: expected and got.
        problem: String,
        /// How to mend it.
        hint: Option<String>,
    },
    /// One cell of a table. `line` counts from 1 and includes the header; for Parquet it is the row number.
    #[error("{}:{line}: column `{column}`: expected {expected}, got `{got}`", path.display())]
    Cell {
        /// The file.
        path: PathBuf,
        /// Line (text) or row (Parquet), from 1.
        line: u64,
        /// Column name.
        column: String,
        /// What the cell should have held.
        expected: String,
        /// What it held.
        got: String,
    },
    /// One row of a table is malformed as a whole (ragged, not UTF-8, not JSON).
    #[error("{}:{line}: {problem}", path.display())]
    Row {
        /// The file.
        path: PathBuf,
        /// Line (text) or row (Parquet), from 1.
        line: u64,
        /// Expected and got.
        problem: String,
    },
    /// A key of the configuration.
    #[error("config key `{key}`: {problem}")]
    Config {
        /// Dotted key, e.g. `feature.price.column`.
        key: String,
        /// Expected and got.
        problem: String,
        /// How to mend it.
        hint: Option<String>,
    },
    /// The configuration file is not valid TOML or has an unknown key; the message carries line and column.
    #[error("{}: {message}", path.display())]
    ConfigFile {
        /// The file.
        path: PathBuf,
        /// The parser's message.
        message: String,
    },
    /// The data as a whole cannot be used for what was asked (no positives, one user, …).
    #[error("{problem}")]
    Data {
        /// Expected and got.
        problem: String,
        /// How to mend it.
        hint: Option<String>,
    },
    /// A loss or gradient stopped being finite.
    #[error("training diverged at step {step}: task `{task}` has {quantity} {value}")]
    Diverged {
        /// Global step, from 1.
        step: u64,
        /// The task's name.
        task: String,
        /// `loss` or `gradient`.
        quantity: &'static str,
        /// The value found.
        value: f64,
    },
}

impl Error {
    /// How to mend it, in one line, where that is known.
    pub fn hint(&self) -> Option<&str> {
        match self {
            Self::File { hint, .. } | Self::Config { hint, .. } | Self::Data { hint, .. } => {
                hint.as_deref()
            }
            Self::Diverged { .. } => Some("lower `train.learning_rate`, or set `train.clip_norm`"),
            _ => None,
        }
    }

    /// A [`Error::Config`] without a hint.
    pub fn config(key: impl Into<String>, problem: impl Into<String>) -> Self {
        Self::Config { key: key.into(), problem: problem.into(), hint: None }
    }

    /// A [`Error::File`] without a hint.
    pub fn file(path: impl Into<PathBuf>, problem: impl Into<String>) -> Self {
        Self::File { path: path.into(), problem: problem.into(), hint: None }
    }

    /// A [`Error::Data`] without a hint.
    pub fn data(problem: impl Into<String>) -> Self {
        Self::Data { problem: problem.into(), hint: None }
    }

    /// The same error, said of something: `request r1: …`. The hint stays, what kind of error it is does not.
    #[must_use]
    pub(crate) fn about(self, what: &str) -> Self {
        let hint = self.hint().map(String::from);
        Self::Data { problem: format!("{what}: {self}"), hint }
    }

    /// The same error with a hint, for the variants that carry one.
    #[must_use]
    pub fn with_hint(mut self, text: impl Into<String>) -> Self {
        if let Self::File { hint, .. } | Self::Config { hint, .. } | Self::Data { hint, .. } =
            &mut self
        {
            *hint = Some(text.into());
        }
        self
    }
}
