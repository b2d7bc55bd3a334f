//! What can go wrong with a store, sorted by what can be done about it.

use std::path::{Path, PathBuf};

/// Why the store did not do what was asked.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// Not now: the database is down, slow, locked or full. Nothing was acknowledged; the same call may work later.
    #[error("the store is not available: {reason}")]
    Unavailable {
        /// What happened, in the database's words where it said something.
        reason: String,
    },
    /// The database belongs to another program.
    #[error("{place} is not a store of daogou: {found}")]
    Foreign {
        /// The file or database.
        place: String,
        /// What is there instead.
        found: String,
    },
    /// The database was written by a newer version.
    #[error("{place} has schema version {found}, this program knows versions up to {known}")]
    Newer {
        /// The file or database.
        place: String,
        /// Its version.
        found: i64,
        /// The newest version this program knows.
        known: i64,
    },
    /// The database is damaged.
    #[error("the store is damaged: {problem}")]
    Corrupt {
        /// What was found.
        problem: String,
    },
    /// The caller handed in something that cannot be stored.
    #[error("`{key}`: expected {expected}, got {got}")]
    Invalid {
        /// Where it is, e.g. `events[3].timestamp`.
        key: String,
        /// What it should have been.
        expected: String,
        /// What it was.
        got: String,
    },
    /// A document is not at the revision that a change counted on. Nothing of its change was written.
    #[error("{kind} `{id}` is at revision {found}, the change was meant for revision {expected}")]
    Conflict {
        /// The kind of document.
        kind: &'static str,
        /// Its id.
        id: String,
        /// The revision the change was for; 0: that there is none.
        expected: i64,
        /// The revision found; 0: there is none.
        found: i64,
    },
    /// A file could not be written.
    #[error("{}: {problem}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What happened.
        problem: String,
    },
}

/// The result of everything a store does.
pub type Result<T, E = StoreError> = std::result::Result<T, E>;

impl StoreError {
    /// Whether the same call may work a little later.
    pub fn is_passing(&self) -> bool {
        matches!(self, Self::Unavailable { .. })
    }

    /// How to mend it, in one line, where that is known.
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::Unavailable { .. } => {
                Some("send it again later; what was stored already counts once")
            }
            Self::Foreign { .. } => Some("name another file or database for the store"),
            Self::Newer { .. } => Some("use the newer program, or a backup from before it ran"),
            Self::Corrupt { .. } => Some("restore the database from a backup"),
            Self::Conflict { .. } => Some("read the document again and repeat the change"),
            Self::Invalid { .. } | Self::File { .. } => None,
        }
    }

    pub(super) fn unavailable(reason: impl Into<String>) -> Self {
        Self::Unavailable { reason: reason.into() }
    }

    pub(super) fn invalid(
        key: impl Into<String>,
        expected: impl Into<String>,
        got: impl Into<String>,
    ) -> Self {
        Self::Invalid { key: key.into(), expected: expected.into(), got: got.into() }
    }

    pub(super) fn file(path: &Path, error: &dyn std::fmt::Display) -> Self {
        Self::File { path: path.to_owned(), problem: format!("cannot be written: {error}") }
    }

    /// The same error about a part of what the caller handed in.
    pub(super) fn within(self, place: impl std::fmt::Display) -> Self {
        match self {
            Self::Invalid { key, expected, got } => {
                Self::Invalid { key: format!("{place}.{key}"), expected, got }
            }
            other => other,
        }
    }

    /// Whether another connection holds the lock of an SQLite file.
    pub(super) fn is_locked(&self) -> bool {
        matches!(self, Self::Unavailable { reason } if reason.starts_with(LOCKED))
    }
}

const LOCKED: &str = "the file is locked by another process";

impl From<sqlx::Error> for StoreError {
    fn from(error: sqlx::Error) -> Self {
        match &error {
            sqlx::Error::Database(database) => {
                let code = database.code().unwrap_or_default().into_owned();
                let words = database.message().to_owned();
                if database.try_downcast_ref::<sqlx::sqlite::SqliteError>().is_some() {
                    sqlite(code.parse().unwrap_or(0), words)
                } else {
                    postgres(&code, words)
                }
            }
            sqlx::Error::ColumnDecode { .. }
            | sqlx::Error::Decode(_)
            | sqlx::Error::ColumnNotFound(_)
            | sqlx::Error::RowNotFound => Self::Corrupt { problem: error.to_string() },
            sqlx::Error::Configuration(problem) => Self::invalid(
                "store",
                "a path, `sqlite:PATH`, `sqlite::memory:` or `postgres://…`",
                problem.to_string(),
            ),
            sqlx::Error::PoolTimedOut => Self::unavailable("no connection became free in time"),
            _ => Self::unavailable(error.to_string()),
        }
    }
}

/// By primary result code, <https://www.sqlite.org/rescode.html>.
fn sqlite(code: i32, words: String) -> StoreError {
    match code & 0xff {
        5 | 6 => StoreError::unavailable(format!("{LOCKED} ({words})")),
        8 => StoreError::unavailable(format!("the file cannot be written to ({words})")),
        10 => StoreError::unavailable(format!("reading or writing the file failed ({words})")),
        11 => StoreError::Corrupt { problem: words },
        13 => StoreError::unavailable(format!("the disk is full ({words})")),
        14 => StoreError::unavailable(format!("the file cannot be opened ({words})")),
        26 => StoreError::Corrupt { problem: format!("{words}: not an SQLite file") },
        _ => StoreError::unavailable(words),
    }
}

/// By class of SQLSTATE, <https://www.postgresql.org/docs/current/errcodes-appendix.html>.
fn postgres(code: &str, words: String) -> StoreError {
    match code {
        "53100" => StoreError::unavailable(format!("the disk is full ({words})")),
        "55P03" | "57014" => StoreError::unavailable(format!("it took too long ({words})")),
        "XX001" | "XX002" => StoreError::Corrupt { problem: words },
        _ => StoreError::unavailable(words),
    }
}
