//! What every list must hold to, whatever its value.
//!
//! Three kinds of rules say everything: a candidate is out, a candidate has a place, and a [`Quota`] bounds how many
//! items of one kind a list has, or any few successive places of it. A price band and a policy for seen items are made
//! of the first and the last. [`super::build_under`] makes a builder hold to them.

use std::borrow::Cow;
use std::ops::RangeInclusive;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Candidates, Seen};
use crate::{Error, Result};

/// The value of an attribute that a candidate does not have; quotas never count it.
pub const NO_VALUE: u32 = u32::MAX;

/// A place that is not filled yet.
pub(super) const EMPTY: u32 = u32::MAX;

/// Names an attribute of candidates, such as category, brand or seller. See [`Rules::attribute`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Attribute(usize);

/// How many items of one kind a list may have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Quota {
    /// What people call the rule: `category phone`.
    pub label: String,
    /// The attribute it counts.
    pub attribute: Attribute,
    /// The value it counts; `None`: each value by itself, so that one quota of at most 2 in 3 places spaces them all.
    pub value: Option<u32>,
    /// At least this many in the list. Only with a value.
    pub min: usize,
    /// At most this many in the list.
    pub max: Option<usize>,
    /// At most this many in so many successive places.
    pub window: Option<Window>,
}

/// At most `max` in any `places` successive places. No more than m in a row is m in m + 1 places.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Window {
    /// At most so many.
    pub max: usize,
    /// In so many places.
    pub places: usize,
}

impl Window {
    /// No more than `max` in a row.
    pub fn in_a_row(max: usize) -> Self {
        Self { max, places: max.saturating_add(1) }
    }
}

impl Quota {
    /// The rule and its numbers, for messages.
    fn describe(&self) -> String {
        let mut parts = Vec::new();
        if self.min > 0 {
            parts.push(format!("at least {}", self.min));
        }
        if let Some(max) = self.max {
            parts.push(format!("at most {max}"));
        }
        if let Some(Window { max, places }) = self.window {
            parts.push(format!("at most {max} in {places} places"));
        }
        format!("`{}` ({})", self.label, parts.join(", "))
    }

    /// The most items of a value that so many places can hold.
    pub(super) fn capacity(&self, places: usize) -> usize {
        let window = self.window.map_or(usize::MAX, |window| {
            let whole = (places / window.places).saturating_mul(window.max);
            whole.saturating_add((places % window.places).min(window.max))
        });
        self.max.unwrap_or(usize::MAX).min(window)
    }
}

/// A candidate that has a place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pin {
    /// What people call the candidate.
    pub label: String,
    /// The candidate.
    pub candidate: u32,
    /// Its place, from 0.
    pub place: usize,
}

/// The rules of one request. Made for a fixed set of candidates.
#[derive(Clone, Debug)]
pub struct Rules<'a> {
    /// Per candidate: 0, or one more than the index of the ground on which it is kept out.
    forbidden: Vec<u8>,
    /// Rules that keep candidates out, in words.
    grounds: Vec<String>,
    pins: Vec<Pin>,
    /// One value per candidate each.
    attributes: Vec<Cow<'a, [u32]>>,
    quotas: Vec<Quota>,
    /// The attribute that limits seen items, if there is a limit.
    seen: Option<Attribute>,
}

impl<'a> Rules<'a> {
    /// No rule for `n` candidates.
    pub fn new(n: usize) -> Self {
        Self {
            forbidden: vec![0; n],
            grounds: Vec::new(),
            pins: Vec::new(),
            attributes: Vec::new(),
            quotas: Vec::new(),
            seen: None,
        }
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.pins.is_empty() && self.quotas.is_empty() && self.forbidden.iter().all(|&out| out == 0)
    }

    /// Keeps a candidate out of the list.
    pub fn forbid(&mut self, candidate: u32) {
        let code = self.code("exclusions");
        self.forbidden[candidate as usize] = code;
    }

    /// Whether a candidate is kept out.
    pub fn is_forbidden(&self, candidate: u32) -> bool {
        self.forbidden[candidate as usize] > 0
    }

    /// The rule that keeps a candidate out, in words, if one does.
    pub fn ground(&self, candidate: u32) -> Option<&str> {
        let ground = usize::from(self.forbidden[candidate as usize]).checked_sub(1)?;
        Some(&self.grounds[ground])
    }

    /// The code of a ground in `forbidden`.
    fn code(&mut self, ground: &str) -> u8 {
        let known = self.grounds.iter().position(|other| other == ground);
        let index = known.unwrap_or_else(|| {
            self.grounds.push(ground.into());
            self.grounds.len() - 1
        });
        index as u8 + 1
    }

    /// Keeps out the candidates that `is_out` names by index, as far as no other rule does.
    fn keep_out(&mut self, ground: &str, is_out: impl Fn(usize) -> bool) {
        let code = self.code(ground);
        for (i, out) in self.forbidden.iter_mut().enumerate() {
            if *out == 0 && is_out(i) {
                *out = code;
            }
        }
    }

    /// Keeps out what costs less or more, and what has no known price.
    pub fn price_band(&mut self, prices: &[f32], band: RangeInclusive<f32>) -> Result<()> {
        self.expect_one_each("prices", prices.len())?;
        let ground = match (band.start().is_finite(), band.end().is_finite()) {
            (true, false) => format!("`price` (at least {})", band.start()),
            (false, true) => format!("`price` (at most {})", band.end()),
            _ => format!("`price` ({} to {})", band.start(), band.end()),
        };
        self.keep_out(&ground, |i| !band.contains(&prices[i]));
        Ok(())
    }

    /// What to do with seen items: those of novelty 0.
    pub fn seen(&mut self, novel: &[f32], policy: Seen) -> Result<()> {
        self.expect_one_each("novelty", novel.len())?;
        match policy {
            Seen::Allow => {}
            Seen::Exclude => self.keep_out("`seen items` (none)", |i| novel[i] == 0.0),
            Seen::AtMost(max) => {
                let values: Vec<u32> =
                    novel.iter().map(|&new| if new == 0.0 { 0 } else { NO_VALUE }).collect();
                let attribute = self.attribute(values)?;
                self.seen = Some(attribute);
                self.quota(Quota {
                    label: "seen items".into(),
                    attribute,
                    value: Some(0),
                    min: 0,
                    max: Some(max),
                    window: None,
                })?;
            }
        }
        Ok(())
    }

    /// Makes an attribute known: its value for each candidate, [`NO_VALUE`] where it has none.
    pub fn attribute(&mut self, values: impl Into<Cow<'a, [u32]>>) -> Result<Attribute> {
        let values = values.into();
        self.expect_one_each("values of an attribute", values.len())?;
        self.attributes.push(values);
        Ok(Attribute(self.attributes.len() - 1))
    }

    /// Adds a quota. Errors: numbers that no list can meet, a second minimum of the same value.
    pub fn quota(&mut self, quota: Quota) -> Result<()> {
        let refuse = |problem: &str| {
            Err(Error::data(format!("rule {}: expected {problem}", quota.describe())))
        };
        if quota.max.is_some_and(|max| max < quota.min) {
            return refuse("a minimum that is no larger than the maximum");
        }
        if quota.window.is_some_and(|window| window.places == 0) {
            return refuse("a window of at least 1 place");
        }
        if quota.min > 0 && quota.value.is_none() {
            return refuse("a minimum for one value, not for each");
        }
        let same = |other: &Quota| {
            other.min > 0 && (other.attribute, other.value) == (quota.attribute, quota.value)
        };
        if quota.min > 0 && self.quotas.iter().any(same) {
            return refuse("one minimum per value, got a second one");
        }
        self.quotas.push(quota);
        Ok(())
    }

    /// No more than `max` of a value in a row.
    pub fn spacing(&mut self, label: &str, attribute: Attribute, max: usize) -> Result<()> {
        self.quota(Quota {
            label: label.into(),
            attribute,
            value: None,
            min: 0,
            max: None,
            window: Some(Window::in_a_row(max)),
        })
    }

    /// Gives a candidate a place, from 0.
    pub fn pin(&mut self, candidate: u32, place: usize) {
        self.pin_named(&format!("candidate {candidate}"), candidate, place);
    }

    /// The same, for a candidate that people know by a name.
    pub fn pin_named(&mut self, label: &str, candidate: u32, place: usize) {
        self.pins.push(Pin { label: label.into(), candidate, place });
    }

    /// The pins.
    pub fn pins(&self) -> &[Pin] {
        &self.pins
    }

    fn expect_one_each(&self, name: &str, got: usize) -> Result<()> {
        let n = self.forbidden.len();
        if got == n {
            return Ok(());
        }
        Err(Error::data(format!("rules, {name}: expected one per candidate, {n}, got {got}")))
    }

    /// The first rule that a list breaks, in words. O(quotas · K · window).
    pub fn broken(&self, list: &[u32]) -> Option<String> {
        for (place, &candidate) in list.iter().enumerate() {
            if let Some(ground) = self.ground(candidate) {
                return Some(format!("candidate {candidate} is kept out by {ground}"));
            }
            if list[..place].contains(&candidate) {
                return Some(format!("candidate {candidate} is listed twice"));
            }
            if let Some(quota) = self.misfit(list, place) {
                return Some(self.describe(quota));
            }
        }
        let short = self.quotas.iter().find(|quota| self.deficit(quota, list) > 0);
        let moved = self.pins.iter().find(|pin| list.get(pin.place) != Some(&pin.candidate));
        short
            .map(Quota::describe)
            .or_else(|| moved.map(|pin| format!("{} at place {}", pin.label, pin.place + 1)))
    }

    /// Whether some order of a list's items could hold to every quota, by their numbers; windows may still forbid it.
    pub(super) fn numbers_hold(&self, list: &[u32]) -> bool {
        self.quotas.iter().all(|quota| {
            let of = |i: u32| self.counted(quota, i);
            let most = |i: u32| list.iter().filter(|&&j| of(j) == of(i)).count();
            let capacity = quota.capacity(list.len());
            self.deficit(quota, list) == 0
                && list.iter().all(|&i| of(i).is_none() || most(i) <= capacity)
        })
    }

    /// The quotas, if there are some and rules are nothing but exclusions and quotas of one attribute.
    pub(super) fn quotas_of_one_attribute(&self) -> Option<&[Quota]> {
        let first = self.quotas.first()?;
        let same = |quota: &Quota| quota.attribute == first.attribute;
        (self.pins.is_empty() && self.quotas.iter().all(same)).then_some(&self.quotas)
    }

    /// The first quota whose minimum a list would no longer meet without the item at a place, in words.
    pub(super) fn needed_by(&self, list: &[u32], place: usize) -> Option<String> {
        let needs = |quota: &&Quota| {
            let counts = |&&i: &&u32| self.counted(quota, i).is_some();
            quota.min > 0
                && self.counted(quota, list[place]).is_some()
                && list.iter().filter(counts).count() == quota.min
        };
        self.quotas.iter().find(needs).map(Quota::describe)
    }

    /// Values of an attribute, by candidate.
    pub(super) fn values_of(&self, attribute: Attribute) -> &[u32] {
        &self.attributes[attribute.0]
    }

    /// A quota in words.
    pub(super) fn describe(&self, quota: usize) -> String {
        self.quotas[quota].describe()
    }

    /// Values of a candidate, one per attribute: candidates of equal values are the same to every quota.
    pub(super) fn values(&self, candidate: u32) -> impl Iterator<Item = u32> {
        self.attributes.iter().map(move |values| values[candidate as usize])
    }

    /// The first quota of which the item at a place is one too many; other places may be empty.
    pub(super) fn misfit(&self, list: &[u32], place: usize) -> Option<usize> {
        self.quotas.iter().position(|quota| {
            let Some(own) = self.counted(quota, list[place]) else { return false };
            let count = |places: &[u32]| {
                places
                    .iter()
                    .filter(|&&i| i != EMPTY && self.counted(quota, i) == Some(own))
                    .count()
            };
            let too_many = quota.max.is_some_and(|max| count(list) > max);
            too_many
                || quota.window.is_some_and(|Window { max, places }| {
                    let places = places.min(list.len());
                    let starts =
                        (place + 1).saturating_sub(places)..=place.min(list.len() - places);
                    starts.into_iter().any(|start| count(&list[start..start + places]) > max)
                })
        })
    }

    /// The value that a quota counts a candidate under, if it does.
    fn counted(&self, quota: &Quota, candidate: u32) -> Option<u32> {
        let own = self.attributes[quota.attribute.0][candidate as usize];
        (own != NO_VALUE && quota.value.is_none_or(|value| value == own)).then_some(own)
    }

    /// How many items a list lacks to a quota's minimum.
    fn deficit(&self, quota: &Quota, list: &[u32]) -> usize {
        if quota.min == 0 {
            return 0;
        }
        let counts = list.iter().filter(|&&i| i != EMPTY && self.counted(quota, i).is_some());
        quota.min.saturating_sub(counts.count())
    }

    /// A quota whose minimum, with others of its attribute, needs more places than are empty.
    pub(super) fn out_of_reach(&self, list: &[u32]) -> Option<usize> {
        let empty = list.iter().filter(|&&i| i == EMPTY).count();
        (0..self.attributes.len()).find_map(|attribute| {
            let mut lacking = 0;
            self.quotas.iter().enumerate().filter(|(_, q)| q.attribute.0 == attribute).find_map(
                |(index, quota)| {
                    lacking += self.deficit(quota, list);
                    (lacking > empty).then_some(index)
                },
            )
        })
    }

    /// Number of places of a list of up to `k`, if every rule, taken by itself, can be met. O(attributes · N log N).
    ///
    /// Errors name the rule, what it asks for and what there is.
    pub(super) fn places(&self, candidates: &Candidates<'_>, k: usize) -> Result<usize> {
        let n = candidates.len();
        if self.forbidden.len() != n {
            return Err(Error::data(format!(
                "rules: expected candidates that they were made for, {}, got {n}",
                self.forbidden.len()
            )));
        }
        let kept_out =
            |code: usize| self.forbidden.iter().filter(move |&&c| usize::from(c) == code);
        let allowed = kept_out(0).count();
        if allowed == 0 && n > 0 {
            let each = self.grounds.iter().enumerate();
            let by: Vec<String> = each
                .map(|(i, ground)| format!("{} by {ground}", kept_out(i + 1).count()))
                .collect();
            let by = by.join(", ");
            return Err(Error::data(format!("rules: all {n} candidates are excluded: {by}"))
                .with_hint("exclude fewer items, or widen the price band"));
        }
        let mut places = k.min(allowed);
        for (i, pin) in self.pins.iter().enumerate() {
            let Pin { label, candidate, place } = pin;
            let (candidate, place) = (*candidate, *place);
            let refuse = |problem: String| {
                Err(Error::data(format!("pin of {label} at place {}: {problem}", place + 1)))
            };
            if candidate as usize >= n {
                return refuse(format!("expected a candidate below {n}"));
            }
            if let Some(ground) = self.ground(candidate) {
                return refuse(format!("another rule excludes it: {ground}"));
            }
            if place >= places {
                return refuse(format!("the list has {places} places"));
            }
            if self.pins[..i].iter().any(|pin| pin.candidate == candidate || pin.place == place) {
                return refuse("candidate or place has a pin already".into());
            }
        }
        for (attribute, values) in self.attributes.iter().enumerate() {
            let quotas = || self.quotas.iter().filter(|quota| quota.attribute.0 == attribute);
            let mut values: Vec<u32> =
                (0..n).filter(|&i| self.forbidden[i] == 0).map(|i| values[i]).collect();
            values.sort_unstable();
            let (mut asked, mut filled) = (0, 0);
            for quota in quotas().filter(|quota| quota.min > 0) {
                let there = values.iter().filter(|&&value| Some(value) == quota.value).count();
                asked += quota.min;
                let most = there.min(quota.capacity(places));
                if most < quota.min {
                    return Err(Error::data(format!(
                        "rule {}: cannot be met, {there} such candidates and {places} places allow {most}",
                        quota.describe()
                    )));
                }
                if asked > places {
                    return Err(Error::data(format!(
                        "rule {}: cannot be met, with other minima it asks for {asked} of {places} places",
                        quota.describe()
                    )));
                }
            }
            for same in values.chunk_by(|a, b| a == b) {
                let limits = quotas().filter(|quota| {
                    same[0] != NO_VALUE && quota.value.is_none_or(|value| value == same[0])
                });
                let most = limits.map(|quota| quota.capacity(places)).min();
                filled += same.len().min(most.unwrap_or(usize::MAX));
            }
            if filled < places && self.seen == Some(Attribute(attribute)) {
                // Like items that are kept out, seen ones beyond the limit leave a shorter list.
                places = filled;
            }
            if filled < places {
                let names: Vec<String> = quotas().map(Quota::describe).collect();
                return Err(Error::data(format!(
                    "rules {}: {places} places to fill, but the candidates that they allow fill {filled}",
                    names.join(", ")
                ))
                .with_hint("ask for a shorter list, or allow more of each"));
            }
        }
        Ok(places)
    }
}
