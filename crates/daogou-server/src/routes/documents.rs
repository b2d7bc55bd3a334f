//! Documents about items and people as their routes write them: one that is changed in part, and many at a time.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use utoipa::ToSchema;

use super::check_id;
use super::events::Rejected;
use crate::app::App;
use crate::problem::{Answer, Problem};
use crate::store::{Change, Kind};

/// What became of many.
#[derive(Clone, Debug, Default, Serialize, ToSchema)]
pub(crate) struct Written {
    pub(crate) written: usize,
    /// Not written, and why.
    pub(crate) rejected: Vec<Rejected>,
}

/// As the store keeps it.
pub(crate) fn body(document: &impl Serialize) -> Value {
    serde_json::to_value(document).expect("a document is JSON")
}

impl App {
    /// Changes a document in part: `edit` is given what is stored, if anything is. Two at a time must not lose one, so it
    /// is written on condition that nobody was between, and tried again.
    ///
    /// # Errors
    ///
    /// What `edit` says, what the store says, and 409 where others are always between.
    pub(crate) async fn edit<D: Serialize + DeserializeOwned>(
        self: &Arc<Self>,
        kind: Kind,
        id: &str,
        edit: impl Fn(Option<D>) -> Answer<D>,
    ) -> Answer<()> {
        for _ in 0..5 {
            let stored = self.store.get(kind, id).await?;
            let revision = stored.as_ref().map_or(0, |stored| stored.revision);
            let before = stored.and_then(|stored| serde_json::from_value(stored.body?).ok());
            let change = Change::put(kind, id, body(&edit(before)?)).only_at(revision);
            match self.change(vec![change]).await {
                Err(problem) if problem.status == 409 => {}
                done => return done,
            }
        }
        Err(Problem::conflict(format!("`{id}` is being changed by others")).hint("send it again"))
    }

    /// Writes many documents: a bad one is named, and the others are written. Where one stands there twice, the last
    /// counts. `key` is what the call has them in.
    ///
    /// # Errors
    ///
    /// Where there are too many, and what the store says.
    pub(crate) async fn write_many<D: Serialize>(
        self: &Arc<Self>,
        (kind, key): (Kind, &str),
        entries: Vec<(String, D)>,
        check: impl Fn(&str, &D) -> Answer<()>,
    ) -> Answer<Written> {
        let (most, got) = (self.config.batch, entries.len());
        if got > most {
            return Err(Problem::wrong(key, format!("expected at most {most} {key}, got {got}"))
                .hint("send them in several calls"));
        }
        let mut answer = Written::default();
        let mut good: BTreeMap<String, Value> = BTreeMap::new();
        for (index, (id, document)) in entries.into_iter().enumerate() {
            match check_id("id", &id).and_then(|()| check(&id, &document)) {
                Ok(()) => {
                    good.insert(id, body(&document));
                }
                Err(problem) => answer.rejected.push(Rejected {
                    index,
                    id: Some(id),
                    key: problem.key,
                    detail: problem.detail,
                }),
            }
        }
        answer.written = good.len();
        if !good.is_empty() {
            let changes = good.into_iter().map(|(id, body)| Change::put(kind, id, body));
            self.change(changes.collect()).await?;
        }
        Ok(answer)
    }
}
