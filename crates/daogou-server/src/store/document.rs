//! What is known and configured: items, people, presets, experiments, keys, models, settings.

use serde_json::Value;

use super::error::{Result, StoreError};
use super::event::{MAX_ID, text};

/// Bytes of a document's JSON at most.
pub const MAX_DOCUMENT: usize = 1 << 20;
/// Bytes of what is searched of one document.
const MAX_WORDS: usize = 4096;

/// What a document is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// An item of the catalogue.
    Item,
    /// A person's profile.
    User,
    /// Named weights of objectives.
    Preset,
    /// A split of people over ways to make lists.
    Experiment,
    /// An API key, hashed.
    Key,
    /// A trained run.
    Model,
    /// Anything that replicas agree on, e.g. which model serves.
    Setting,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::Item,
        Self::User,
        Self::Preset,
        Self::Experiment,
        Self::Key,
        Self::Model,
        Self::Setting,
    ];

    /// The name in the database.
    pub fn name(self) -> &'static str {
        match self {
            Self::Item => "item",
            Self::User => "user",
            Self::Preset => "preset",
            Self::Experiment => "experiment",
            Self::Key => "key",
            Self::Model => "model",
            Self::Setting => "setting",
        }
    }

    fn of(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }
}

/// A document as it is stored.
#[derive(Debug, Clone, PartialEq)]
pub struct Document {
    /// What it is about.
    pub kind: Kind,
    /// Its id among those of its kind.
    pub id: String,
    /// What it says; `None` where it was deleted. A deletion is kept, so that whoever follows learns of it.
    pub body: Option<Value>,
    /// Number of the write. Every write of any document has a higher one than those before it.
    pub revision: i64,
    /// When it was written, in Unix seconds by the clock of whoever wrote it.
    pub written: i64,
}

/// A document to be written.
#[derive(Debug, Clone, PartialEq)]
pub struct Change {
    /// What it is about.
    pub kind: Kind,
    /// Its id among those of its kind.
    pub id: String,
    /// What it shall say; `None` deletes it.
    pub body: Option<Value>,
    /// The revision it must be at for this to happen; 0: that there is none (or a deleted one). `None`: whatever is
    /// there.
    pub only_at: Option<i64>,
}

impl Change {
    /// Writes a document, whatever is there.
    pub fn put(kind: Kind, id: impl Into<String>, body: Value) -> Self {
        Self { kind, id: id.into(), body: Some(body), only_at: None }
    }

    /// Deletes a document.
    pub fn delete(kind: Kind, id: impl Into<String>) -> Self {
        Self { kind, id: id.into(), body: None, only_at: None }
    }

    /// The same, on condition that the document is at this revision (0: that there is none).
    pub fn only_at(self, revision: i64) -> Self {
        Self { only_at: Some(revision), ..self }
    }

    /// As it goes into the table, or why it cannot.
    pub(super) fn encode(self) -> Result<Encoded> {
        text("id", &self.id, MAX_ID)?;
        let body = self.body.as_ref().map(Value::to_string);
        let size = body.as_ref().map_or(0, String::len);
        if size > MAX_DOCUMENT {
            let expected = format!("at most {MAX_DOCUMENT} bytes of JSON");
            return Err(StoreError::invalid("body", expected, format!("{size} bytes")));
        }
        let words = words(&self.id, self.body.as_ref());
        Ok(Encoded { kind: self.kind, id: self.id, body, words, only_at: self.only_at })
    }
}

/// A change whose parts are text.
#[derive(Debug)]
pub(super) struct Encoded {
    pub(super) kind: Kind,
    pub(super) id: String,
    pub(super) body: Option<String>,
    pub(super) words: String,
    pub(super) only_at: Option<i64>,
}

impl Encoded {
    /// About how many bytes it takes while it waits.
    pub(super) fn weight(&self) -> usize {
        let body = self.body.as_ref().map_or(0, String::len);
        size_of::<Self>() + self.id.len() + body + self.words.len()
    }
}

/// What a search looks at: the id and all texts of the document, in lower case. Databases disagree about the lower case
/// of anything but ASCII, so it is made here.
fn words(id: &str, body: Option<&Value>) -> String {
    let mut words = id.to_lowercase();
    let mut open: Vec<&Value> = body.into_iter().collect();
    while let Some(value) = open.pop() {
        match value {
            Value::String(text) if words.len() + text.len() < MAX_WORDS => {
                words.push('\n');
                words.extend(text.chars().flat_map(char::to_lowercase).filter(|&c| c != '\0'));
            }
            Value::Array(values) => open.extend(values.iter().rev()),
            Value::Object(fields) => open.extend(fields.iter().rev().map(|(_, value)| value)),
            _ => {}
        }
    }
    words
}

/// The pattern of `LIKE … ESCAPE '\'` for texts that contain this one.
pub(super) fn pattern(text: &str) -> String {
    let mut pattern = String::from("%");
    for c in text.trim().to_lowercase().chars().filter(|&c| c != '\0') {
        if matches!(c, '%' | '_' | '\\') {
            pattern.push('\\');
        }
        pattern.push(c);
    }
    pattern.push('%');
    pattern
}

/// A row of the table, as both databases give it.
pub(super) type DocumentRow = (String, String, Option<String>, i64, i64);

pub(super) fn from_row(row: DocumentRow) -> Result<Document> {
    let (kind, id, body, revision, written) = row;
    let corrupt = |problem| StoreError::Corrupt { problem };
    let known = Kind::of(&kind).ok_or_else(|| corrupt(format!("a document of kind `{kind}`")))?;
    let body = body
        .map(|body| serde_json::from_str(&body))
        .transpose()
        .map_err(|error| corrupt(format!("{kind} `{id}` is no JSON: {error}")))?;
    Ok(Document { kind: known, id, body, revision, written })
}
