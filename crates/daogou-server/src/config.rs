//! `server.toml`: how a server behaves. Every key has a default, and unknown keys are refused.

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::keys::KeyConfig;

/// What `daogou serve` is told.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ServerConfig {
    /// Address to listen on. Beyond the machine itself keys are required.
    pub listen: SocketAddr,
    /// The store: a path of an SQLite file, `sqlite::memory:`, or `postgres://…`.
    pub store: String,
    /// Threads that score; 0: one per core.
    pub threads: usize,
    /// Requests that may wait for a thread; more are refused with 429.
    pub queue: usize,
    /// Longest time from a request's arrival to its answer, in milliseconds.
    pub deadline_ms: u64,
    /// Longest time that the head of a request may take to come, and as long again for its body; who is slower is cut
    /// off, and holds up nobody.
    pub read_seconds: u64,
    /// Largest body of a request, in KiB.
    pub body_kib: usize,
    /// Most events, items or people in one call.
    pub batch: usize,
    /// Most candidates, exclusions and context values in one call.
    pub candidates: usize,
    /// Longest list.
    pub k: usize,
    /// Events remembered per person, the newest; older ones are in the store and in training.
    pub events_per_person: usize,
    /// People remembered at a time; others are read from the store when they come.
    pub people: usize,
    /// Days after which events are forgotten; 0: never.
    pub retention_days: u32,
    /// Whether the changes of other servers on the same store are followed; by default with PostgreSQL.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub follow: Option<bool>,
    /// Events of these types count as clicks: they say that a person liked what was shown.
    pub engaged: Vec<String>,
    /// Origins whose pages may call the API.
    pub cors: Vec<String>,
    /// Certificate and key; without them the server speaks plain HTTP.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tls: Option<Tls>,
    /// API keys; see `daogou key`.
    #[serde(rename = "key", skip_serializing_if = "Vec::is_empty")]
    pub keys: Vec<KeyConfig>,
    /// Background training.
    pub train: TrainConfig,
}

/// Where certificate and private key are, in PEM.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tls {
    /// Certificate chain.
    pub certificate: PathBuf,
    /// Private key.
    pub key: PathBuf,
}

/// Background training.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TrainConfig {
    /// Threads of a training; 0: one less than there are cores, at least one.
    pub threads: usize,
    /// By how much the log loss of a task may be larger than the champion's for a challenger not to be worse, relative.
    pub tolerance: f64,
    /// Hours within which a click belongs to an impression.
    pub click_hours: u32,
    /// Days within which a purchase does.
    pub purchase_days: u32,
}

impl Default for ServerConfig {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 8787)),
            store: "daogou.db".into(),
            threads: 0,
            queue: 64,
            deadline_ms: 1_000,
            read_seconds: 10,
            body_kib: 2_048,
            batch: 2_000,
            candidates: 20_000,
            k: 200,
            events_per_person: 500,
            people: 100_000,
            retention_days: 0,
            follow: None,
            engaged: vec!["click".into(), "cart".into(), "favourite".into()],
            cors: Vec::new(),
            tls: None,
            keys: Vec::new(),
            train: TrainConfig::default(),
        }
    }
}

impl Default for TrainConfig {
    fn default() -> Self {
        Self { threads: 0, tolerance: 0.0, click_hours: 24, purchase_days: 7 }
    }
}

/// Why a server does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The configuration.
    #[error("{0}")]
    Config(String),
    /// The run, or its log.
    #[error(transparent)]
    Run(#[from] daogou::Error),
    /// The store.
    #[error(transparent)]
    Store(#[from] crate::store::StoreError),
    /// The address.
    #[error("listening on {0}: {1}")]
    Listen(SocketAddr, std::io::Error),
    /// A file or the network.
    #[error("{0}")]
    Io(String),
}

impl StartError {
    /// How to mend it, where that is known.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Run(error) => error.hint().map(str::to_string),
            Self::Store(error) => error.hint().map(str::to_string),
            Self::Listen(_, error) => match error.kind() {
                ErrorKind::AddrInUse => {
                    Some("another program listens there; choose another port with --listen".into())
                }
                ErrorKind::AddrNotAvailable => Some("this machine has no such address".into()),
                ErrorKind::PermissionDenied => Some(
                    "ports below 1024 are for administrators; choose another with --listen".into(),
                ),
                _ => None,
            },
            Self::Config(_) | Self::Io(_) => None,
        }
    }
}

impl ServerConfig {
    /// Reads a file.
    ///
    /// # Errors
    ///
    /// Where it cannot be read, or says what is not understood.
    pub fn read(path: &Path) -> Result<Self, StartError> {
        let text =
            fs_err::read_to_string(path).map_err(|error| StartError::Io(error.to_string()))?;
        toml::from_str(&text)
            .map_err(|error| StartError::Config(format!("{}: {error}", path.display())))
    }

    /// As a file with every key.
    pub fn to_toml(&self) -> String {
        toml::to_string_pretty(self).expect("a configuration is TOML")
    }

    /// Checks what types cannot.
    pub(crate) fn check(&self) -> Result<(), StartError> {
        let wrong =
            |key: &str, problem: String| Err(StartError::Config(format!("{key}: {problem}")));
        for (key, value) in [
            ("queue", self.queue),
            ("body_kib", self.body_kib),
            ("batch", self.batch),
            ("candidates", self.candidates),
            ("k", self.k),
            ("people", self.people),
        ] {
            if value == 0 {
                return wrong(key, "expected at least 1, got 0".into());
            }
        }
        for (key, value) in [("deadline_ms", self.deadline_ms), ("read_seconds", self.read_seconds)]
        {
            if value == 0 {
                return wrong(key, "expected at least 1, got 0".into());
            }
        }
        if self.store.is_empty() {
            return wrong("store", "expected a path or a URL, got nothing".into());
        }
        if !(self.train.tolerance >= 0.0 && self.train.tolerance.is_finite()) {
            let got = self.train.tolerance;
            return wrong("train.tolerance", format!("expected a number of at least 0, got {got}"));
        }
        if self.keys.is_empty() && !self.listen.ip().is_loopback() {
            let problem = format!(
                "{} is beyond this machine, and there are no API keys\n  hint: make some with `daogou key` and put them \
                 into the configuration, or listen on 127.0.0.1 behind a proxy that checks who calls",
                self.listen
            );
            return wrong("listen", problem);
        }
        for origin in &self.cors {
            if origin == "*" || !(origin.starts_with("http://") || origin.starts_with("https://")) {
                return wrong(
                    "cors",
                    format!("expected origins like `https://shop.example`, got `{origin}`"),
                );
            }
        }
        Ok(())
    }

    /// Whether other servers on the store are followed.
    pub(crate) fn follows(&self) -> bool {
        let postgres =
            self.store.starts_with("postgres://") || self.store.starts_with("postgresql://");
        self.follow.unwrap_or(postgres)
    }
}
