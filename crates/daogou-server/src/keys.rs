//! Who may do what: API keys, kept as hashes, and roles.
//!
//! A key is 32 random bytes, so a plain SHA-256 of it is as hard to turn back as the key is to guess; a slow hash would
//! only slow down each request.

use std::fmt::{self, Write as _};
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use crate::config::StartError;

/// What a caller may do; each role may do what those before it may.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Ask for lists, look at everything.
    Read,
    /// Report events, change items, people and presets.
    Write,
    /// Models, experiments, training.
    Admin,
}

impl FromStr for Role {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        match name {
            "read" => Ok(Self::Read),
            "write" => Ok(Self::Write),
            "admin" => Ok(Self::Admin),
            _ => Err(format!("expected read, write or admin, got `{name}`")),
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Read => "read",
            Self::Write => "write",
            Self::Admin => "admin",
        })
    }
}

/// `[[key]]` of the configuration.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeyConfig {
    /// Who has it, for people.
    pub name: String,
    /// What it allows.
    pub role: Role,
    /// SHA-256 of the key, in hexadecimal.
    pub sha256: String,
}

impl KeyConfig {
    /// As it stands in a file below `[[key]]`.
    pub fn to_toml(&self) -> String {
        toml::to_string(self).expect("a key's configuration is TOML")
    }
}

/// A new key: what the caller sends, and what the configuration keeps.
///
/// # Errors
///
/// Where the system has no random numbers.
pub fn new_key(name: &str, role: Role) -> Result<(String, KeyConfig), StartError> {
    let mut bytes = [0u8; 32];
    getrandom::fill(&mut bytes)
        .map_err(|error| StartError::Io(format!("no random numbers from the system: {error}")))?;
    let key = format!("dg_{}", hex(&bytes));
    let sha256 = hex(&Sha256::digest(key.as_bytes()));
    Ok((key, KeyConfig { name: name.to_string(), role, sha256 }))
}

fn hex(bytes: &[u8]) -> String {
    let mut digits = String::with_capacity(2 * bytes.len());
    for byte in bytes {
        let _ = write!(digits, "{byte:02x}");
    }
    digits
}

/// The keys of a server.
#[derive(Debug)]
pub(crate) struct Keys(Vec<(String, Role, [u8; 32])>);

impl Keys {
    pub(crate) fn new(keys: &[KeyConfig]) -> Result<Self, StartError> {
        let parsed = keys.iter().map(|key| {
            let wrong = || {
                StartError::Config(format!(
                    "key `{}`: sha256: expected 64 hexadecimal digits; `daogou key` prints them",
                    key.name
                ))
            };
            if key.sha256.len() != 64 || !key.sha256.is_ascii() {
                return Err(wrong());
            }
            let mut hash = [0u8; 32];
            for (byte, digits) in hash.iter_mut().zip(key.sha256.as_bytes().chunks(2)) {
                let digits = std::str::from_utf8(digits).map_err(|_| wrong())?;
                *byte = u8::from_str_radix(digits, 16).map_err(|_| wrong())?;
            }
            Ok((key.name.clone(), key.role, hash))
        });
        Ok(Self(parsed.collect::<Result<_, _>>()?))
    }

    /// Whether callers must have a key.
    pub(crate) fn are_asked_for(&self) -> bool {
        !self.0.is_empty()
    }

    /// What a key allows. Takes as long for one key as for any other, right or wrong.
    pub(crate) fn role(&self, key: &str) -> Option<Role> {
        let hash = Sha256::digest(key.as_bytes());
        let mut found = None;
        for (_, role, own) in &self.0 {
            if bool::from(own.as_slice().ct_eq(hash.as_slice())) {
                found = Some(*role);
            }
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_opens_what_its_hash_says() {
        let (read, first) = new_key("shop", Role::Read).unwrap();
        let (admin, second) = new_key("boss", Role::Admin).unwrap();
        let keys = Keys::new(&[first.clone(), second]).unwrap();
        assert_eq!(keys.role(&read), Some(Role::Read));
        assert_eq!(keys.role(&admin), Some(Role::Admin));
        assert_eq!(keys.role(&first.sha256), None, "the hash is not the key");
        assert_eq!(keys.role(""), None);
        assert!(!Keys::new(&[]).unwrap().are_asked_for());
        let damaged = KeyConfig { sha256: "xy".repeat(32), ..first };
        assert!(Keys::new(&[damaged]).unwrap_err().to_string().contains("hexadecimal"));
    }
}
