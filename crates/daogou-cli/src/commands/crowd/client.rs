//! Calls of a running server, again and again where that helps.

use std::time::{Duration, Instant};

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use ureq::Agent;
use ureq::http::StatusCode;

/// Longest time for one answer.
const TIMEOUT: Duration = Duration::from_secs(30);
/// First pause before a call is made again; each further one is twice as long.
const PAUSE: Duration = Duration::from_millis(50);
/// Longest pause.
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

/// A server and how to talk to it. Connections are kept open, one per caller.
pub(super) struct Client {
    agent: Agent,
    base: String,
    key: Option<String>,
}

/// What came back.
pub(super) struct Answer {
    pub(super) status: StatusCode,
    body: Vec<u8>,
    /// How long the server asks to wait.
    wait: Option<Duration>,
}

/// How a call that may have been made several times ended.
pub(super) enum Ended {
    /// A body of status 200.
    Answered(Vec<u8>),
    /// The last answer was this status, or there was none.
    Failed(Option<StatusCode>),
}

/// One attempt, to be counted.
pub(super) struct Attempt {
    /// `None`: no answer.
    pub(super) status: Option<StatusCode>,
    /// Why there was none.
    pub(super) problem: Option<String>,
    pub(super) again: bool,
    pub(super) took: Duration,
}

impl Client {
    /// A client of a server at `url`, for this many callers at a time.
    pub(super) fn new(url: &str, key: Option<String>, callers: usize) -> anyhow::Result<Self> {
        let base = url.trim_end_matches('/').to_string();
        if base.strip_prefix("http://").is_none_or(str::is_empty) {
            return Err(daogou::Error::config(
                "against",
                format!("expected a URL like `http://127.0.0.1:8787`, got `{url}`"),
            )
            .with_hint(
                "the crowd speaks plain HTTP: let it call the server itself, not a TLS proxy",
            )
            .into());
        }
        let agent = Agent::config_builder()
            .http_status_as_error(false)
            .timeout_global(Some(TIMEOUT))
            .max_idle_connections(callers + 1)
            .max_idle_connections_per_host(callers + 1)
            .user_agent("daogou crowd")
            .build()
            .new_agent();
        Ok(Self { agent, base, key })
    }

    /// Reads something; anything but 200 is an error.
    pub(super) fn get<T: DeserializeOwned>(&self, path: &str) -> anyhow::Result<T> {
        let mut call = self.agent.get(format!("{}{path}", self.base));
        if let Some(key) = &self.key {
            call = call.header("x-api-key", key);
        }
        let answer = call.call().and_then(answer).map_err(|error| self.unreachable(&error))?;
        if answer.status != StatusCode::OK {
            return Err(self.refused(path, answer.status, &answer.body));
        }
        self.read(path, &answer.body)
    }

    /// A body as what it should be.
    pub(super) fn read<T: DeserializeOwned>(&self, path: &str, body: &[u8]) -> anyhow::Result<T> {
        serde_json::from_slice(body).map_err(|error| {
            daogou::Error::data(format!(
                "{}{path}: not the answer of a daogou server: {error}",
                self.base
            ))
            .into()
        })
    }

    fn post(&self, path: &str, body: &impl Serialize) -> Result<Answer, ureq::Error> {
        let mut call = self.agent.post(format!("{}{path}", self.base));
        if let Some(key) = &self.key {
            call = call.header("x-api-key", key);
        }
        call.send_json(body).and_then(answer)
    }

    /// Sends something, and as long as `patience` lasts again where the server is busy or away: with the same body,
    /// so that it counts once.
    ///
    /// # Errors
    ///
    /// Where the server says that the call is wrong: that would not change.
    pub(super) fn send(
        &self,
        path: &str,
        body: &impl Serialize,
        patience: Duration,
        attempt: &mut dyn FnMut(&Attempt),
    ) -> anyhow::Result<Ended> {
        let (started, mut pause) = (Instant::now(), PAUSE);
        loop {
            let asked = Instant::now();
            let result = self.post(path, body);
            let took = asked.elapsed();
            let (status, wait) = match &result {
                Ok(answer) => (Some(answer.status), answer.wait),
                Err(_) => (None, None),
            };
            let busy = status.is_none_or(|status| {
                status.is_server_error()
                    || status == StatusCode::TOO_MANY_REQUESTS
                    || status == StatusCode::REQUEST_TIMEOUT
            });
            let wait = wait.unwrap_or(pause).min(LONGEST_PAUSE);
            let again = busy && started.elapsed() + wait < patience;
            let problem = result.as_ref().err().map(ToString::to_string);
            attempt(&Attempt { status, problem, again, took });
            match result {
                Ok(answer) if answer.status == StatusCode::OK => {
                    return Ok(Ended::Answered(answer.body));
                }
                Ok(answer) if !busy => return Err(self.refused(path, answer.status, &answer.body)),
                _ if !again => return Ok(Ended::Failed(status)),
                _ => std::thread::sleep(wait),
            }
            pause *= 2;
        }
    }

    fn unreachable(&self, error: &ureq::Error) -> anyhow::Error {
        daogou::Error::data(format!("{}: no answer: {error}", self.base))
            .with_hint("start a server: `daogou serve RUN`")
            .into()
    }

    /// A problem as the server tells it.
    fn refused(&self, path: &str, status: StatusCode, body: &[u8]) -> anyhow::Error {
        let problem: Value = serde_json::from_slice(body).unwrap_or_default();
        let said = |key: &str| problem[key].as_str().map(str::to_string);
        let mut text = format!("{}{path}: status {status}", self.base);
        for part in [said("key"), said("detail")].into_iter().flatten() {
            text += ": ";
            text += &part;
        }
        let own = match status {
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
                Some("--api-key must be a key of role write or admin".to_string())
            }
            StatusCode::NOT_FOUND => Some("is this the address of a daogou server?".to_string()),
            _ => None,
        };
        let error = daogou::Error::data(text);
        match said("hint").or(own) {
            Some(hint) => error.with_hint(hint).into(),
            None => error.into(),
        }
    }
}

fn answer(mut response: ureq::http::Response<ureq::Body>) -> Result<Answer, ureq::Error> {
    let wait = response.headers().get("retry-after").and_then(|seconds| seconds.to_str().ok());
    let wait = wait.and_then(|seconds| seconds.parse().ok()).map(Duration::from_secs);
    Ok(Answer { status: response.status(), body: response.body_mut().read_to_vec()?, wait })
}
