//! What is on offer, as rules speak of it: items by id, and their values of an attribute by name.

use crate::data::{Catalogue, Column, Dataset, Encoding, FeatureSpace, SideTable};
use crate::lists::rules::NO_VALUE;
use crate::metrics::diversity::UNKNOWN;
use crate::run::TrainedRun;
use crate::schema::{Config, Side};
use crate::{Error, Result};

/// Values that an error lists.
const MOST_LISTED: usize = 20;

/// Candidates that a person can speak of. `key` is the key of the configuration that an error is about.
pub(crate) trait Assortment {
    /// Value of every candidate under an attribute, [`NO_VALUE`] where unknown. Errors: no such attribute.
    fn values(&self, key: &str, of: &str) -> Result<Vec<u32>>;

    /// Number of a value in [`Assortment::values`]. Errors: no such attribute, or no item with this value.
    fn value(&self, key: &str, of: &str, value: &str) -> Result<u32>;

    /// The candidate of an item. Errors: no such item, or none that can be listed.
    fn candidate(&self, key: &str, item: &str) -> Result<u32>;
}

/// The error that an attribute has no such value.
pub(crate) fn no_such_value<'a>(
    key: &str,
    of: &str,
    value: &str,
    all: impl ExactSizeIterator<Item = &'a str>,
) -> Error {
    let more = match all.len().saturating_sub(MOST_LISTED) {
        0 => String::new(),
        more => format!(" or {more} others"),
    };
    let names: Vec<&str> = all.take(MOST_LISTED).collect();
    let names = names.join(", ");
    Error::config(key, format!("`{of}`: expected one of {names}{more}, got `{value}`"))
}

/// Some items of a shop.
#[derive(Clone, Copy)]
pub(crate) struct ShopItems<'a> {
    config: &'a Config,
    space: &'a FeatureSpace,
    table: &'a SideTable,
    catalogue: &'a Catalogue,
    /// Item rows of the candidates, ascending.
    rows: &'a [u32],
}

/// Values by item row, and their names.
struct Named<'a> {
    names: &'a [String],
    by_row: Rows<'a>,
}

enum Rows<'a> {
    Category(&'a [u16]),
    /// Row 0 of the table stands for what is unknown.
    Table(&'a [u32]),
}

impl Named<'_> {
    fn of(&self, row: u32) -> u32 {
        match self.by_row {
            Rows::Category(of) => match of[row as usize] {
                UNKNOWN => NO_VALUE,
                category => u32::from(category),
            },
            Rows::Table(of) => of[row as usize].checked_sub(1).unwrap_or(NO_VALUE),
        }
    }
}

impl<'a> ShopItems<'a> {
    /// Candidates of a run, from the run's own shop or a log that was read by it.
    pub(crate) fn of_run(
        run: &'a TrainedRun,
        (table, catalogue): (&'a SideTable, &'a Catalogue),
        rows: &'a [u32],
    ) -> Self {
        Self { config: &run.config, space: &run.stored.space, table, catalogue, rows }
    }

    /// Candidates of a log.
    pub(crate) fn of_log(config: &'a Config, data: &'a Dataset, rows: &'a [u32]) -> Self {
        let (table, catalogue) = (&data.items, &data.catalogue);
        Self { config, space: &data.space, table, catalogue, rows }
    }

    /// Categories are those of lists, at most 20, the rest being `other`; anything else is an item-side id feature, whose
    /// rare values are unknown if it says so by `min_count`.
    fn named(&self, key: &str, of: &str) -> Result<Named<'a>> {
        if of == "category" && !self.catalogue.category.is_empty() {
            let by_row = Rows::Category(&self.catalogue.category);
            return Ok(Named { names: &self.catalogue.categories, by_row });
        }
        let fields = self.space.fields.iter().zip(&self.space.encodings);
        let ids = || {
            fields.clone().filter(|(field, encoding)| {
                let text =
                    matches!(encoding, Encoding::Vocabulary { .. } | Encoding::Hashed { .. });
                field.side == Side::Item && text
            })
        };
        let column = |name: &str| {
            self.config.features.iter().find(|f| f.name == name).map(crate::schema::Feature::column)
        };
        let found = ids()
            .find(|(field, _)| field.name == of)
            .or_else(|| ids().find(|(field, _)| column(&field.name) == Some(of)));
        match found {
            Some((field, Encoding::Vocabulary { values }))
                if let Column::Ids(rows) = &self.table.columns[field.column] =>
            {
                Ok(Named { names: values, by_row: Rows::Table(rows) })
            }
            Some(_) => Err(Error::config(
                key,
                format!(
                    "`{of}` is hashed or has several values: expected one named value per item"
                ),
            )
            .with_hint("rules need a feature of type `id` without `hash_rows`")),
            None => {
                let category = (!self.catalogue.category.is_empty()).then_some("category");
                let names = ids().map(|(field, _)| field.name.as_str());
                let mut names: Vec<&str> = category.into_iter().chain(names).collect();
                names.dedup();
                Err(Error::config(key, format!("expected one of {}, got `{of}`", names.join(", ")))
                    .with_hint("rules speak of `category` and of item-side features of type `id`"))
            }
        }
    }
}

impl Assortment for ShopItems<'_> {
    fn values(&self, key: &str, of: &str) -> Result<Vec<u32>> {
        let named = self.named(key, of)?;
        Ok(self.rows.iter().map(|&row| named.of(row)).collect())
    }

    fn value(&self, key: &str, of: &str, value: &str) -> Result<u32> {
        let named = self.named(key, of)?;
        let Some(found) = named.names.iter().position(|name| name == value) else {
            let names = named.names.iter().map(String::as_str);
            return Err(no_such_value(key, of, value, names));
        };
        let mut all = 1..self.table.ids.len() as u32;
        if all.any(|row| named.of(row) == found as u32) {
            return Ok(found as u32);
        }
        Err(Error::config(key, format!("`{of}`: no item has the value `{value}`")))
    }

    fn candidate(&self, key: &str, item: &str) -> Result<u32> {
        let row = self.table.ids.iter().skip(1).position(|id| id == item).map(|i| i as u32 + 1);
        let row = row.ok_or_else(|| {
            Error::config(key, format!("expected an item of the catalogue, got `{item}`"))
        })?;
        match self.rows.binary_search(&row) {
            Ok(candidate) => Ok(candidate as u32),
            Err(_) => Err(Error::config(key, format!("`{item}` is excluded from this list"))),
        }
    }
}
