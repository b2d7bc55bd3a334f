//! The rules of lists, bound to the items on offer: names are looked up once, and then serve every request.

use std::ops::RangeInclusive;

use crate::assortment::{Assortment, ShopItems};
use crate::data::Dataset;
use crate::lists::{Attribute, Quota, Rules, Seen, Window};
use crate::schema::{BonusTerm, Config, FloorRule, ListRules, QuotaRule};
use crate::{Error, Result};

/// Rules and business terms of the same candidates, request after request.
#[derive(Debug, Default)]
pub(crate) struct RuleBook {
    /// Names of attributes, and the value of every candidate.
    attributes: Vec<(String, Vec<u32>)>,
    limits: Vec<Limit>,
    /// Item id, candidate, place from 0.
    pins: Vec<(String, u32, usize)>,
    price: Option<RangeInclusive<f32>>,
    seen: Seen,
    /// Added to the utility of every candidate; empty: nothing.
    bonus: Vec<f32>,
    /// Attribute and value of every exposure floor.
    floors: Vec<(usize, u32)>,
}

/// That all that the rules of a configuration name is in a log.
///
/// # Errors
///
/// As [`RuleBook::new`].
pub(crate) fn check_rules(config: &Config, data: &Dataset) -> Result<()> {
    let rows: Vec<u32> = (1..data.items.ids.len() as u32).collect();
    let on_offer = ShopItems::of_log(config, data, &rows);
    let mut book = RuleBook::new(&config.lists.rules(), &on_offer)?;
    book.add_bonuses(&config.lists.bonuses, &on_offer)?;
    book.add_floors(&config.lists.floors, std::iter::empty(), &on_offer)
}

/// A [`Quota`] whose attribute is in the book.
#[derive(Debug)]
struct Limit {
    attribute: usize,
    label: String,
    value: Option<u32>,
    min: usize,
    max: Option<usize>,
    window: Option<Window>,
}

impl RuleBook {
    /// Looks up what the rules name.
    ///
    /// # Errors
    ///
    /// Where a rule contradicts itself or another, or names an attribute, a value or an item that there is none of.
    pub(crate) fn new(rules: &ListRules, on_offer: &dyn Assortment) -> Result<Self> {
        rules.check()?;
        let mut book = Self { seen: rules.seen.unwrap_or_default(), ..Self::default() };
        book.price = rules.price.map(|band| {
            // To the nearest price that a list can tell apart.
            let end = |price: Option<f64>, open: f32| price.map_or(open, |price| price as f32);
            end(band.min, f32::NEG_INFINITY)..=end(band.max, f32::INFINITY)
        });
        for quota in &rules.quotas {
            book.limit(quota, on_offer)?;
        }
        for pin in &rules.pins {
            let candidate = on_offer.candidate("lists.pin", &pin.item)?;
            book.pins.push((format!("`{}`", pin.item), candidate, pin.place - 1));
        }
        Ok(book)
    }

    fn limit(&mut self, rule: &QuotaRule, on_offer: &dyn Assortment) -> Result<()> {
        const KEY: &str = "lists.quota";
        let attribute = self.attribute(KEY, &rule.of, on_offer)?;
        let value = rule.value.as_deref();
        let value = value.map(|value| on_offer.value(KEY, &rule.of, value)).transpose()?;
        let limit =
            |min, max, window| Limit { attribute, label: rule.label(), value, min, max, window };
        let row = rule.in_a_row.map(Window::in_a_row);
        // Both are windows, and a quota has one.
        if let (Some(window), true) = (rule.window, row.is_some()) {
            self.limits.push(limit(0, None, Some(window)));
        }
        self.limits.push(limit(rule.min.unwrap_or(0), rule.max, row.or(rule.window)));
        Ok(())
    }

    /// The index of an attribute, which is looked up the first time that it is named.
    fn attribute(&mut self, key: &str, of: &str, on_offer: &dyn Assortment) -> Result<usize> {
        if let Some(known) = self.attributes.iter().position(|(name, _)| name == of) {
            return Ok(known);
        }
        self.attributes.push((of.into(), on_offer.values(key, of)?));
        Ok(self.attributes.len() - 1)
    }

    /// Adds business terms.
    ///
    /// # Errors
    ///
    /// As [`RuleBook::new`].
    pub(crate) fn add_bonuses(
        &mut self,
        terms: &[BonusTerm],
        on_offer: &dyn Assortment,
    ) -> Result<()> {
        for BonusTerm { of, value, add } in terms {
            let attribute = self.attribute("lists.bonus", of, on_offer)?;
            let value = on_offer.value("lists.bonus", of, value)?;
            self.raise(attribute, value, *add);
        }
        Ok(())
    }

    /// Adds exposure floors, and their prices where these are known: one per floor.
    ///
    /// # Errors
    ///
    /// As [`RuleBook::new`].
    pub(crate) fn add_floors(
        &mut self,
        floors: &[FloorRule],
        prices: impl Iterator<Item = f64>,
        on_offer: &dyn Assortment,
    ) -> Result<()> {
        for FloorRule { of, value, .. } in floors {
            let attribute = self.attribute("lists.floor", of, on_offer)?;
            let value = on_offer.value("lists.floor", of, value)?;
            self.floors.push((attribute, value));
        }
        for (floor, price) in prices.take(self.floors.len()).enumerate() {
            let (attribute, value) = self.floors[floor];
            self.raise(attribute, value, price);
        }
        Ok(())
    }

    /// Adds to the utility of every candidate of a value.
    fn raise(&mut self, attribute: usize, value: u32, add: f64) {
        if add == 0.0 {
            return;
        }
        let of = &self.attributes[attribute].1;
        self.bonus.resize(of.len(), 0.0);
        for (bonus, own) in self.bonus.iter_mut().zip(of) {
            if *own == value {
                *bonus += add as f32;
            }
        }
    }

    /// What is added to the utility of every candidate; `None`: nothing.
    pub(crate) fn bonus(&self) -> Option<&[f32]> {
        (!self.bonus.is_empty()).then_some(&self.bonus)
    }

    /// Attribute, by index, and value of every exposure floor.
    pub(crate) fn floors(&self) -> &[(usize, u32)] {
        &self.floors
    }

    /// Value of every candidate under an attribute.
    pub(crate) fn values(&self, attribute: usize) -> &[u32] {
        &self.attributes[attribute].1
    }

    /// The hard rules of a request of `n` candidates, given their prices and novelty; `None`: there are none. O(N).
    ///
    /// # Errors
    ///
    /// A price band without prices, quotas that contradict each other.
    pub(crate) fn rules(
        &self,
        n: usize,
        prices: Option<&[f32]>,
        novel: &[f32],
    ) -> Result<Option<Rules<'_>>> {
        let any = !self.limits.is_empty() || !self.pins.is_empty() || self.price.is_some();
        if !any && self.seen == Seen::Allow {
            return Ok(None);
        }
        let mut rules = Rules::new(n);
        if let Some(band) = &self.price {
            let prices = prices.ok_or_else(|| {
                Error::config("lists.price_min", "a price band needs prices, got none")
                    .with_hint("name the column of prices: `columns.price`")
            })?;
            rules.price_band(prices, band.clone())?;
        }
        if self.seen != Seen::Allow {
            rules.seen(novel, self.seen)?;
        }
        // Only what is limited: other attributes make candidates differ that are alike to every rule.
        let mut known: Vec<Option<Attribute>> = vec![None; self.attributes.len()];
        for limit in &self.limits {
            let attribute = match known[limit.attribute] {
                Some(attribute) => attribute,
                None => rules.attribute(self.values(limit.attribute))?,
            };
            known[limit.attribute] = Some(attribute);
            rules.quota(Quota {
                label: limit.label.clone(),
                attribute,
                value: limit.value,
                min: limit.min,
                max: limit.max,
                window: limit.window,
            })?;
        }
        for (label, candidate, place) in &self.pins {
            rules.pin_named(label, *candidate, *place);
        }
        Ok(Some(rules))
    }
}
