//! What to do with items that a person has seen.

use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Error, Result};

/// What to do with items that a person has seen: `"allow"`, `"exclude"`, or the most of them that a list may have.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(from = "Written", into = "Written")]
pub enum Seen {
    /// List them as any other.
    #[default]
    Allow,
    /// Leave them out.
    Exclude,
    /// At most this many per list.
    AtMost(usize),
}

/// A policy as it is written.
#[derive(Clone, Copy, Serialize, Deserialize, JsonSchema)]
#[serde(untagged, expecting = "expected \"allow\", \"exclude\" or a number of items")]
enum Written {
    Word(SeenWord),
    AtMost(usize),
}

#[derive(Clone, Copy, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum SeenWord {
    Allow,
    Exclude,
}

impl From<Written> for Seen {
    fn from(written: Written) -> Self {
        match written {
            Written::Word(SeenWord::Allow) => Self::Allow,
            Written::Word(SeenWord::Exclude) => Self::Exclude,
            Written::AtMost(max) => Self::AtMost(max),
        }
    }
}

impl From<Seen> for Written {
    fn from(policy: Seen) -> Self {
        match policy {
            Seen::Allow => Self::Word(SeenWord::Allow),
            Seen::Exclude => Self::Word(SeenWord::Exclude),
            Seen::AtMost(max) => Self::AtMost(max),
        }
    }
}

impl FromStr for Seen {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        match text {
            "allow" => Ok(Self::Allow),
            "exclude" => Ok(Self::Exclude),
            _ => text.parse().map(Self::AtMost).map_err(|_| {
                Error::config(
                    "lists.seen",
                    format!("expected `allow`, `exclude` or a number of items, got `{text}`"),
                )
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn written_and_read() {
        for (policy, json) in
            [(Seen::Allow, "\"allow\""), (Seen::Exclude, "\"exclude\""), (Seen::AtMost(3), "3")]
        {
            assert_eq!(serde_json::to_string(&policy).unwrap(), json);
            assert_eq!(serde_json::from_str::<Seen>(json).unwrap(), policy);
            assert_eq!(json.trim_matches('"').parse::<Seen>().unwrap(), policy);
        }
        let message = "some".parse::<Seen>().unwrap_err().to_string();
        assert!(message.contains("lists.seen") && message.contains("got `some`"), "{message}");
        let message = serde_json::from_str::<Seen>("\"some\"").unwrap_err().to_string();
        assert!(message.contains("\"exclude\" or a number of items"), "{message}");
    }
}
