//! The parts of a log that serving needs, as files of a run directory.
//!
//! ```text
//! vocab/space.json        how values become numbers
//! users/table.json        ids and encoded features     users/past.json     engaged and seen items
//! users/shown.json        how often and when items were shown, where a feature of type `past` or `popularity` asks for it
//! items/table.json        ids and encoded features     items/catalogue.json
//! ```

use std::sync::Arc;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::consistency::{Unfit, check};
use super::dataset::{Catalogue, Dataset, SideTable, Timelines};
use super::past::Past;
use super::space::FeatureSpace;
use super::timeline::Seen;
use crate::artifact::{Run, RunWriter};
use crate::models::Shape;
use crate::{Error, Result};

/// What serving needs besides weights.
#[derive(Clone, Debug)]
pub struct Stored {
    /// How values become numbers.
    pub space: Arc<FeatureSpace>,
    /// What the network was built for.
    pub shape: Shape,
    /// Users.
    pub users: SideTable,
    /// Items.
    pub items: SideTable,
    /// Items as lists see them.
    pub catalogue: Catalogue,
    /// What users engaged with.
    pub timelines: Timelines,
    /// What users have seen.
    pub seen: Seen,
    /// How often and when; empty where no feature asks for it.
    pub past: Past,
    /// Time of the last request of the log; 0 without time.
    pub last_time: i64,
}

const SPACE: &str = "vocab/space.json";
const USERS: &str = "users/table.json";
const PAST: &str = "users/past.json";
/// Only where a feature asks for it.
const SHOWN: &str = "users/shown.json";
const ITEMS: &str = "items/table.json";
const CATALOGUE: &str = "items/catalogue.json";

fn put(run: &mut RunWriter, name: &str, value: &impl Serialize) -> Result<()> {
    run.file(name, |out| serde_json::to_writer(out, value).map_err(|error| Error::Io(error.into())))
}

fn get<T: DeserializeOwned>(run: &Run, name: &str) -> Result<T> {
    let path = run.path(name)?;
    serde_json::from_slice(&run.read(name)?)
        .map_err(|error| Error::file(path, format!("damaged: {error}")))
}

impl Stored {
    /// The parts of a loaded log.
    pub fn of(data: &Dataset, shape: Shape) -> Self {
        Self {
            space: Arc::clone(&data.space),
            shape,
            users: data.users.clone(),
            items: data.items.clone(),
            catalogue: data.catalogue.clone(),
            timelines: data.timelines.clone(),
            seen: Seen::in_log(&data.requests, &data.impressions, &data.timelines),
            past: data.past.clone(),
            last_time: data.requests.time.iter().copied().max().unwrap_or(0),
        }
    }

    /// Adds all parts to a run.
    ///
    /// # Errors
    ///
    /// Where a file cannot be written.
    pub fn write(&self, run: &mut RunWriter) -> Result<()> {
        put(run, SPACE, &(&*self.space, &self.shape))?;
        put(run, USERS, &self.users)?;
        put(run, PAST, &(&self.timelines, &self.seen, self.last_time))?;
        if self.space.reads_past() {
            put(run, SHOWN, &self.past)?;
        }
        put(run, ITEMS, &self.items)?;
        put(run, CATALOGUE, &self.catalogue)
    }

    /// Reads all parts of a run.
    ///
    /// # Errors
    ///
    /// Where a file is missing, damaged, or does not fit the others.
    pub fn read(run: &Run) -> Result<Self> {
        let (space, shape): (FeatureSpace, Shape) = get(run, SPACE)?;
        let (timelines, seen, last_time) = get(run, PAST)?;
        let past = if space.reads_past() { get(run, SHOWN)? } else { Past::default() };
        let stored = Self {
            space: Arc::new(space),
            shape,
            users: get(run, USERS)?,
            items: get(run, ITEMS)?,
            catalogue: get(run, CATALOGUE)?,
            timelines,
            seen,
            past,
            last_time,
        };
        check(&stored, run.config()).or_else(|unfit| {
            let (name, what) = match unfit {
                Unfit::Space(what) => (SPACE, what),
                Unfit::Users(what) => (USERS, what),
                Unfit::Items(what) => (ITEMS, what),
                Unfit::Catalogue(what) => (CATALOGUE, what),
                Unfit::Past(what) => (PAST, what),
                Unfit::Shown(what) => (SHOWN, what),
            };
            Err(Error::file(run.path(name)?, format!("damaged: {what}")))
        })?;
        Ok(stored)
    }
}

/// NaN has no place in JSON: an unknown price is `null` there.
pub(super) mod unknown_as_null {
    use serde::{Deserialize, Deserializer, Serializer};

    pub(in crate::data) fn serialize<S: Serializer>(
        prices: &[f32],
        to: S,
    ) -> Result<S::Ok, S::Error> {
        to.collect_seq(prices.iter().map(|p| (!p.is_nan()).then_some(*p)))
    }

    pub(in crate::data) fn deserialize<'de, D: Deserializer<'de>>(
        from: D,
    ) -> Result<Vec<f32>, D::Error> {
        let prices = Vec::<Option<f32>>::deserialize(from)?;
        Ok(prices.into_iter().map(|p| p.unwrap_or(f32::NAN)).collect())
    }
}
