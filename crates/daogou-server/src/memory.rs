//! What each person did lately, in memory: bounded in people and in events per person, read from the store when a person
//! comes who is not there, and kept up with events as they are committed.

use std::collections::VecDeque;
use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use daogou::people::{Deed, DeedKind, Visitor};
use daogou::stock::{Attributes, Stock};
use lru::LruCache;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::models::Model;
use crate::problem::Answer;
use crate::store::{Event, Kind, Store};

/// Events before a new one that are looked at for the same texts.
const NEAR: usize = 16;

/// Something a person did. 64 bytes, and what its texts take that no neighbour has as well.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Remembered {
    /// Hash of the event's id: an event counts once.
    id: u64,
    pub(crate) item: Arc<str>,
    pub(crate) time: i64,
    pub(crate) kind: Arc<str>,
    pub(crate) request: Option<Arc<str>>,
}

/// A document about a person.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct UserDocument {
    /// By column name of the log; null: not known. What is not named stays as the model knows it.
    #[serde(default)]
    #[schema(value_type = Object)]
    pub(crate) attributes: Attributes,
}

/// One person.
#[derive(Clone, Debug, Default)]
pub(crate) struct Person {
    pub(crate) profile: Option<UserDocument>,
    /// In order of time.
    pub(crate) events: VecDeque<Remembered>,
}

impl Person {
    /// Adds an event unless it is there; the oldest leave beyond `most`.
    fn add(&mut self, mut event: Remembered, most: usize) {
        let end = self.events.partition_point(|other| other.time <= event.time);
        let same = |other: &Remembered| other.id == event.id;
        if self.events.iter().any(same) {
            return;
        }
        // Events come list by list: what their neighbours say as well is kept once.
        for near in self.events.range(end.saturating_sub(NEAR)..end) {
            for (own, its) in [(&mut event.kind, &near.kind), (&mut event.item, &near.item)] {
                if own == its {
                    *own = Arc::clone(its);
                }
            }
            if event.request == near.request {
                event.request.clone_from(&near.request);
            }
        }
        self.events.insert(end, event);
        while self.events.len() > most {
            self.events.pop_front();
        }
    }

    /// As a visitor of a model at a time.
    pub(crate) fn visitor(
        &self,
        id: &str,
        time: i64,
        (model, stock): (&Model, &Stock),
        engaged: &[String],
    ) -> daogou::Result<Visitor> {
        let deeds: Vec<Deed<'_>> = self
            .events
            .iter()
            .filter_map(|event| {
                let kind = match &*event.kind {
                    "impression" => DeedKind::Shown,
                    "purchase" => DeedKind::Bought,
                    kind if engaged.iter().any(|own| own == kind) => DeedKind::Engaged,
                    _ => return None,
                };
                let item = stock.row(&event.item)?;
                Some(Deed { item, time: event.time, kind, request: event.request.as_deref() })
            })
            .collect();
        let attributes = self.profile.as_ref().map(|profile| &profile.attributes);
        Visitor::of(&model.run, (id, model.user_row(id), time), attributes, &deeds)
    }
}

enum Slot {
    Known(Arc<Person>),
    /// Being read from the store; what came since.
    Coming(Vec<Remembered>),
}

/// All people in memory.
pub(crate) struct Memory {
    slots: Mutex<LruCache<Box<str>, Slot>>,
    per_person: usize,
}

/// A stable number of a text.
pub(crate) fn number(text: &str) -> u64 {
    daogou_nn::rng::hash(text)
}

impl From<&Event> for Remembered {
    fn from(event: &Event) -> Self {
        Self {
            id: number(&event.id),
            item: event.item.as_str().into(),
            time: event.timestamp,
            kind: event.kind.as_str().into(),
            request: event.request.as_deref().map(Into::into),
        }
    }
}

impl Memory {
    pub(crate) fn new(people: usize, per_person: usize) -> Self {
        let people = NonZeroUsize::new(people).unwrap_or(NonZeroUsize::MIN);
        Self { slots: Mutex::new(LruCache::new(people)), per_person }
    }

    fn slots(&self) -> MutexGuard<'_, LruCache<Box<str>, Slot>> {
        self.slots.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// People in memory.
    pub(crate) fn len(&self) -> usize {
        self.slots().len()
    }

    /// A person, read from the store where they are not in memory.
    ///
    /// # Errors
    ///
    /// Where the store cannot be read.
    pub(crate) async fn person(&self, id: &str, store: &Store) -> Answer<Arc<Person>> {
        {
            let mut slots = self.slots();
            match slots.get(id) {
                Some(Slot::Known(person)) => return Ok(Arc::clone(person)),
                // Somebody else is reading; this one reads as well rather than wait for who may be gone.
                Some(Slot::Coming(_)) => {}
                None => {
                    slots.put(id.into(), Slot::Coming(Vec::new()));
                }
            }
        }
        let read = async {
            let events = store.events_of(id, -1, self.per_person).await?;
            let profile = store.get(Kind::User, id).await?;
            Ok::<_, crate::store::StoreError>((events, profile))
        };
        let read = read.await;
        let mut slots = self.slots();
        let (events, profile) = match read {
            Ok(read) => read,
            Err(error) => {
                slots.pop(id);
                return Err(error.into());
            }
        };
        let profile = profile.and_then(|document| serde_json::from_value(document.body?).ok());
        let mut person = Person { profile, events: VecDeque::new() };
        for event in &events {
            person.add(event.into(), self.per_person);
        }
        match slots.pop(id) {
            Some(Slot::Coming(since)) => {
                since.into_iter().for_each(|event| person.add(event, self.per_person));
            }
            // Another reader was first and has been kept up with events since.
            Some(Slot::Known(known)) => {
                slots.put(id.into(), Slot::Known(Arc::clone(&known)));
                return Ok(known);
            }
            // Changed or crowded out meanwhile: good for this request, and read again for the next.
            None => return Ok(Arc::new(person)),
        }
        let person = Arc::new(person);
        slots.put(id.into(), Slot::Known(Arc::clone(&person)));
        Ok(person)
    }

    /// Takes in what was committed.
    pub(crate) fn learn<'e>(&self, events: impl Iterator<Item = &'e Event>) {
        let mut slots = self.slots();
        for event in events {
            match slots.peek_mut(event.user.as_str()) {
                Some(Slot::Known(person)) => {
                    Arc::make_mut(person).add(event.into(), self.per_person);
                }
                Some(Slot::Coming(since)) => since.push(event.into()),
                None => {}
            }
        }
    }

    /// Has a person read again when they come next: their profile changed, or they are to be forgotten.
    pub(crate) fn forget(&self, id: &str) {
        self.slots().pop(id);
    }
}
