//! Rules of lists as a person writes them, in `[lists]` of the configuration or with one request.
//!
//! What they mean for candidates is in [`crate::lists::Rules`]; which items have a named value is found out where there
//! are items.

use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::config::{Config, Feature, FeatureType, ListsConfig, Side};
use crate::lists::{Seen, Window};
use crate::{Error, Result};

/// `[[lists.quota]]`: how many items of one kind a list may have.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct QuotaRule {
    /// What is counted: `category`, or the name or the column of an item-side id feature, such as `brand`.
    pub of: String,
    /// The value that is counted; without it each value by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<String>,
    /// At least this many in the list; needs a value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min: Option<usize>,
    /// At most this many in the list.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max: Option<usize>,
    /// At most this many one after the other.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub in_a_row: Option<usize>,
    /// At most `max` in any `places` successive places: `{ max = 2, places = 4 }`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub window: Option<Window>,
}

/// `[[lists.pin]]`: an item that has a place in every list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PinRule {
    /// Item id, as in the log.
    pub item: String,
    /// Its place, from 1.
    pub place: usize,
}

/// `[[lists.bonus]]`: what the business adds to the utility of some items.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct BonusTerm {
    /// As in a quota.
    pub of: String,
    /// As in a quota.
    pub value: String,
    /// Added to the utility of each such item, in units of utility: what one click is worth where `objectives` says
    /// `click = 1`. May be negative.
    pub add: f64,
}

/// `[[lists.floor]]`: the least share of all places, over many lists, that some items get.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FloorRule {
    /// As in a quota.
    pub of: String,
    /// As in a quota.
    pub value: String,
    /// Share of all places, between 0 and 1.
    pub share: f64,
}

/// The prices that an item of a list may have.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct PriceBand {
    /// At least this; `None`: any.
    pub min: Option<f64>,
    /// At most this; `None`: any.
    pub max: Option<f64>,
}

/// Hard rules of lists, wherever they were written.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ListRules {
    /// What to do with items that the person has seen; `None`: nothing is said.
    pub seen: Option<Seen>,
    /// Which prices there may be; `None`: nothing is said.
    pub price: Option<PriceBand>,
    /// Limits of numbers.
    pub quotas: Vec<QuotaRule>,
    /// Fixed places.
    pub pins: Vec<PinRule>,
}

impl ListRules {
    /// These rules and those of a request: its quotas and pins come on top, its policy for seen items and its price band
    /// stand in for these.
    pub fn with(&self, asked: &Self) -> Self {
        Self {
            seen: asked.seen.or(self.seen),
            price: asked.price.or(self.price),
            quotas: [&self.quotas[..], &asked.quotas].concat(),
            pins: [&self.pins[..], &asked.pins].concat(),
        }
    }

    /// Checks what can be known without items.
    ///
    /// # Errors
    ///
    /// The first rule that no list could hold to, or that says nothing.
    pub fn check(&self) -> Result<()> {
        if let Some(band) = self.price {
            band.check()?;
        }
        self.quotas.iter().try_for_each(QuotaRule::check)?;
        self.pins.iter().try_for_each(PinRule::check)?;
        for (i, pin) in self.pins.iter().enumerate() {
            if let Some(other) = self.pins[..i].iter().find(|p| p.place == pin.place) {
                return Err(Error::config(
                    "lists.pin",
                    format!(
                        "`{}` and `{}` are both pinned to place {}",
                        other.item, pin.item, pin.place
                    ),
                ));
            }
            if let Some(other) = self.pins[..i].iter().find(|p| p.item == pin.item) {
                return Err(Error::config(
                    "lists.pin",
                    format!("`{}` is pinned to places {} and {}", pin.item, other.place, pin.place),
                ));
            }
        }
        Ok(())
    }
}

impl ListsConfig {
    /// The hard rules of the configuration.
    pub fn rules(&self) -> ListRules {
        let band = PriceBand { min: self.price_min, max: self.price_max };
        ListRules {
            seen: Some(self.seen),
            price: (band != PriceBand::default()).then_some(band),
            quotas: self.quotas.clone(),
            pins: self.pins.clone(),
        }
    }

    /// Checks rules, bonuses and floors as far as no items are needed.
    pub(super) fn check_rules(&self, config: &Config) -> Result<()> {
        self.rules().check()?;
        let k = self.k;
        if let Some(pin) = self.pins.iter().find(|pin| pin.place > k) {
            return Err(Error::config(
                "lists.pin",
                format!("`{}`: expected a place from 1 to {k}, got {}", pin.item, pin.place),
            ));
        }
        if let Some(quota) = self.quotas.iter().find(|quota| quota.min.unwrap_or(0) > k) {
            let min = quota.min.unwrap_or(0);
            return Err(Error::config(
                "lists.quota",
                format!(
                    "`{}`: expected a minimum of at most {k}, the length of a list, got {min}",
                    quota.of
                ),
            ));
        }
        for bonus in &self.bonuses {
            if !bonus.add.is_finite() {
                return Err(Error::config(
                    "lists.bonus",
                    format!(
                        "`{}`: expected a finite number to add, got {}",
                        bonus.value, bonus.add
                    ),
                ));
            }
        }
        for (i, floor) in self.floors.iter().enumerate() {
            if !(0.0..=1.0).contains(&floor.share) {
                return Err(Error::config(
                    "lists.floor",
                    format!(
                        "`{}`: expected a share between 0 and 1, got {}",
                        floor.value, floor.share
                    ),
                ));
            }
            let alike = |other: &&FloorRule| other.of == floor.of;
            if self.floors[..i].iter().filter(alike).any(|other| other.value == floor.value) {
                return Err(Error::config(
                    "lists.floor",
                    format!("`{}` has two floors: expected one", floor.value),
                ));
            }
            let sum: f64 = self.floors.iter().filter(alike).map(|other| other.share).sum();
            if sum > 1.0 + 1e-9 {
                return Err(Error::config(
                    "lists.floor",
                    format!("of `{}`: expected shares that sum to at most 1, got {sum}", floor.of),
                ));
            }
        }
        let quotas = self.quotas.iter().map(|quota| ("lists.quota", &quota.of));
        let bonuses = self.bonuses.iter().map(|bonus| ("lists.bonus", &bonus.of));
        let floors = self.floors.iter().map(|floor| ("lists.floor", &floor.of));
        for (key, of) in quotas.chain(bonuses).chain(floors) {
            config.check_attribute(key, of)?;
        }
        if (self.price_min.is_some() || self.price_max.is_some()) && config.columns.price.is_none()
        {
            let key = if self.price_min.is_some() { "lists.price_min" } else { "lists.price_max" };
            return Err(Error::config(key, "needs `columns.price`"));
        }
        Ok(())
    }
}

impl Config {
    /// That items have a value under this name.
    fn check_attribute(&self, key: &str, of: &str) -> Result<()> {
        let categories = self.columns.category.is_some();
        let is_id = |f: &&Feature| f.side == Side::Item && f.kind == FeatureType::Id;
        let ids: Vec<&Feature> = self.features.iter().filter(is_id).collect();
        if of == "category" && categories || ids.iter().any(|f| f.name == of || f.column() == of) {
            return Ok(());
        }
        let named = ids.iter().map(|f| f.name.as_str()).filter(|name| *name != "category");
        let names: Vec<&str> = categories.then_some("category").into_iter().chain(named).collect();
        Err(Error::config(key, format!("expected one of {}, got `{of}`", names.join(", ")))
            .with_hint("rules speak of `category` and of item-side features of type `id`"))
    }
}

impl QuotaRule {
    /// What people call it: `category case`, or `category` where each value counts by itself.
    pub fn label(&self) -> String {
        match &self.value {
            Some(value) => format!("{} {value}", self.of),
            None => self.of.clone(),
        }
    }

    /// At most so many of a kind in a row, from `category=2` or, for one value, `category=case=2`.
    ///
    /// # Errors
    ///
    /// Where the text is something else.
    pub fn spacing(text: &str) -> Result<Self> {
        let (what, number) = text.rsplit_once('=').ok_or_else(|| {
            Error::config("lists.quota", format!("expected `attribute=number`, got `{text}`"))
                .with_hint("for example `category=2`: no more than two of a category in a row")
        })?;
        let rule = Self { in_a_row: Some(count("in_a_row", number)?), ..Self::of(what) };
        rule.check()?;
        Ok(rule)
    }

    /// A rule without limits from `category` or `category=case`.
    fn of(what: &str) -> Self {
        let (of, value) = match what.split_once('=') {
            Some((of, value)) => (of, Some(value.trim().to_string())),
            None => (what, None),
        };
        Self { of: of.trim().into(), value, ..Self::default() }
    }

    fn check(&self) -> Result<()> {
        let wrong = |problem: String| {
            Err(Error::config("lists.quota", format!("`{}`: {problem}", self.label())))
        };
        if self.of.is_empty() {
            return Err(Error::config(
                "lists.quota",
                "expected the name of what is counted in `of`",
            ));
        }
        if (self.min, self.max, self.in_a_row, self.window) == (None, None, None, None) {
            return wrong("expected a limit: `min`, `max`, `in_a_row` or `window`".into());
        }
        if let (Some(min), Some(max)) = (self.min, self.max)
            && min > max
        {
            return wrong(format!("expected `min` of at most `max`, got {min} and {max}"));
        }
        if self.min.is_some() && self.value.is_none() {
            return wrong("`min` needs a `value`".into());
        }
        if self.in_a_row == Some(0) {
            return wrong("`in_a_row`: expected at least 1, got 0".into());
        }
        if self.window.is_some_and(|window| window.places == 0) {
            return wrong("`window`: expected at least 1 place, got 0".into());
        }
        Ok(())
    }
}

fn count(name: &str, text: &str) -> Result<usize> {
    text.trim().parse().map_err(|_| {
        Error::config("lists.quota", format!("`{name}`: expected a whole number, got `{text}`"))
    })
}

impl FromStr for QuotaRule {
    type Err = Error;

    /// `category=case:max=2,min=1`, `brand:max=3` (each brand), `brand:window=2/4` (at most 2 in 4 places),
    /// `category:in_a_row=2`.
    fn from_str(text: &str) -> Result<Self> {
        const FORM: &str = "for example `category=case:max=2,min=1` or `brand:window=2/4`";
        let wrong = |problem: String| Error::config("lists.quota", problem).with_hint(FORM);
        let (what, limits) = text.rsplit_once(':').ok_or_else(|| {
            wrong(format!("expected `attribute=value:limit=number`, got `{text}`"))
        })?;
        let mut rule = Self::of(what);
        for limit in limits.split(',') {
            let (name, number) = limit.split_once('=').ok_or_else(|| {
                wrong(format!("`{text}`: expected `limit=number`, got `{limit}`"))
            })?;
            let name = name.trim();
            let place = match name {
                "min" => &mut rule.min,
                "max" => &mut rule.max,
                "in_a_row" => &mut rule.in_a_row,
                "window" => {
                    let (max, places) = number.split_once('/').ok_or_else(|| {
                        wrong(format!("`window`: expected `most/places`, got `{number}`"))
                    })?;
                    let window = Window { max: count(name, max)?, places: count(name, places)? };
                    if rule.window.replace(window).is_some() {
                        return Err(wrong(format!("`{text}`: `window` is given twice")));
                    }
                    continue;
                }
                _ => {
                    return Err(wrong(format!(
                        "`{text}`: expected one of min, max, in_a_row, window, got `{name}`"
                    )));
                }
            };
            if place.replace(count(name, number)?).is_some() {
                return Err(wrong(format!("`{text}`: `{name}` is given twice")));
            }
        }
        rule.check()?;
        Ok(rule)
    }
}

impl PinRule {
    fn check(&self) -> Result<()> {
        if self.place == 0 {
            return Err(Error::config(
                "lists.pin",
                format!("`{}`: expected a place from 1, got 0", self.item),
            ));
        }
        Ok(())
    }
}

impl FromStr for PinRule {
    type Err = Error;

    /// `i00001@1`: the item, and its place from 1.
    fn from_str(text: &str) -> Result<Self> {
        let parts = text.rsplit_once('@');
        let pin = parts
            .and_then(|(item, place)| Some(Self { item: item.into(), place: place.parse().ok()? }));
        let pin = pin.filter(|pin| !pin.item.is_empty()).ok_or_else(|| {
            Error::config("lists.pin", format!("expected `item@place`, got `{text}`"))
                .with_hint("for example `i00001@1`: the item has the first place")
        })?;
        pin.check()?;
        Ok(pin)
    }
}

impl PriceBand {
    fn check(&self) -> Result<()> {
        for (key, price) in [("lists.price_min", self.min), ("lists.price_max", self.max)] {
            if let Some(price) = price.filter(|price| !(price.is_finite() && *price >= 0.0)) {
                return Err(Error::config(
                    key,
                    format!("expected a finite number of at least 0, got {price}"),
                ));
            }
        }
        if let (Some(min), Some(max)) = (self.min, self.max)
            && min > max
        {
            return Err(Error::config(
                "lists.price_max",
                format!("expected at least the lowest price, {min}, got {max}"),
            ));
        }
        Ok(())
    }
}

impl FromStr for PriceBand {
    type Err = Error;

    /// `100..3000`, `100..` or `..3000`; both ends belong to it.
    fn from_str(text: &str) -> Result<Self> {
        let end = |text: &str| match text.trim() {
            "" => Some(None),
            number => number.parse().ok().map(Some),
        };
        let band = text
            .split_once("..")
            .and_then(|(min, max)| Some(Self { min: end(min)?, max: end(max)? }));
        let band = band.filter(|band| *band != Self::default()).ok_or_else(|| {
            Error::config("lists.price_min", format!("expected `lowest..highest`, got `{text}`"))
                .with_hint("for example `100..3000`, `100..` or `..3000`")
        })?;
        band.check()?;
        Ok(band)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_from_text() {
        let parse = |text: &str| text.parse::<QuotaRule>().unwrap();
        let case = QuotaRule {
            of: "category".into(),
            value: Some("case".into()),
            min: Some(1),
            max: Some(2),
            ..QuotaRule::default()
        };
        assert_eq!(parse("category=case:max=2,min=1"), case);
        assert_eq!(parse(" category = case : max = 2 , min = 1 "), case);
        assert_eq!(case.label(), "category case");
        let each = QuotaRule { of: "brand".into(), max: Some(3), ..QuotaRule::default() };
        assert_eq!((parse("brand:max=3"), each.label().as_str()), (each.clone(), "brand"));
        let window = Some(Window { max: 2, places: 4 });
        assert_eq!(parse("brand:max=3,window=2/4"), QuotaRule { window, ..each });
        let odd = parse("category=a:b=c:in_a_row=1");
        assert_eq!((odd.value.as_deref(), odd.in_a_row), (Some("a:b=c"), Some(1)));
        assert_eq!(parse("category:in_a_row=2"), QuotaRule::spacing("category=2").unwrap());
        let one = QuotaRule::spacing("category=case=1").unwrap();
        assert_eq!((one.value.as_deref(), one.in_a_row), (Some("case"), Some(1)));

        let pin: PinRule = "a@b@2".parse().unwrap();
        assert_eq!(pin, PinRule { item: "a@b".into(), place: 2 });
        let band = |min, max| PriceBand { min, max };
        for (text, expected) in [
            ("100..3000", band(Some(100.0), Some(3000.0))),
            ("0.5..", band(Some(0.5), None)),
            ("..3000", band(None, Some(3000.0))),
        ] {
            assert_eq!(text.parse::<PriceBand>().unwrap(), expected);
        }
    }

    #[test]
    fn what_is_no_rule_is_refused() {
        for (text, part) in [
            ("category", "expected `attribute=value:limit=number`, got `category`"),
            ("category:2", "expected `limit=number`, got `2`"),
            ("category:most=2", "expected one of min, max, in_a_row, window, got `most`"),
            ("category:max=-1", "`max`: expected a whole number, got `-1`"),
            ("category:max=1,max=2", "`max` is given twice"),
            ("category:window=2", "expected `most/places`, got `2`"),
            ("category:window=2/0", "expected at least 1 place"),
            ("category:in_a_row=0", "expected at least 1, got 0"),
            ("category:min=1", "`min` needs a `value`"),
            ("category=x:min=3,max=2", "expected `min` of at most `max`, got 3 and 2"),
            (":max=2", "expected the name of what is counted"),
        ] {
            let message = text.parse::<QuotaRule>().unwrap_err().to_string();
            assert!(message.contains(part) && message.contains("lists.quota"), "{text}: {message}");
        }
        assert!(QuotaRule::spacing("category").unwrap_err().to_string().contains("got `category`"));
        for text in ["a", "a@", "@1", "a@x", "a@0"] {
            let message = text.parse::<PinRule>().unwrap_err().to_string();
            assert!(message.contains("lists.pin"), "{text}: {message}");
        }
        for text in ["5", "..", "a..b", "9..1", "-1..", "inf.."] {
            let message = text.parse::<PriceBand>().unwrap_err().to_string();
            assert!(message.contains("lists.price"), "{text}: {message}");
        }
    }

    #[test]
    fn a_request_adds_to_what_is_configured() {
        let rules = |seen, price: Option<&str>, quota: &str, pin: &str| ListRules {
            seen,
            price: price.map(|text| text.parse().unwrap()),
            quotas: vec![quota.parse().unwrap()],
            pins: vec![pin.parse().unwrap()],
        };
        let configured = rules(Some(Seen::Exclude), Some("1..2"), "brand:max=1", "a@1");
        let asked = rules(None, Some("..9"), "brand:max=2", "b@2");
        let both = configured.with(&asked);
        assert_eq!((both.seen, both.price), (Some(Seen::Exclude), asked.price));
        assert_eq!((both.quotas.len(), both.pins.len()), (2, 2));
        both.check().unwrap();
        assert_eq!(configured.with(&ListRules::default()), configured);
        for (pin, part) in [
            ("b@1", "`a` and `b` are both pinned to place 1"),
            ("a@2", "`a` is pinned to places 1 and 2"),
        ] {
            let asked = rules(None, None, "brand:max=2", pin);
            let message = configured.with(&asked).check().unwrap_err().to_string();
            assert!(message.contains(part), "{message}");
        }
    }
}
