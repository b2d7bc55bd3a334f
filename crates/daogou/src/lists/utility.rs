//! From predictions to the utility of an item, under weights that a request may set.

use std::collections::BTreeMap;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::{Error, Result};

/// How much each objective counts; a missing one counts 0.
///
/// `click`, `purchase` and `revenue` weigh expected values of an item: a click, an order, a unit of money.
/// `diversity` and `novelty` weigh properties of the whole list, in units of the list's utility: see
/// [`Weights::lambdas`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Weights {
    /// Of pCTR.
    pub click: f64,
    /// Of pCTR · pCVR.
    pub purchase: f64,
    /// Of pCTR · pCVR · price.
    pub revenue: f64,
    /// Of the divergence from the wanted category mix.
    pub diversity: f64,
    /// Of the shortfall of novelty.
    pub novelty: f64,
}

/// Predictions for the candidates, positions aside; `None`: the model has no such head, the log no such column.
#[derive(Clone, Copy, Debug, Default)]
pub struct Heads<'a> {
    /// pCTR: P(click | shown).
    pub click: Option<&'a [f32]>,
    /// pCVR: P(purchase | clicked).
    pub purchase: Option<&'a [f32]>,
    /// Price; NaN where unknown: such an item earns no revenue that could be counted on.
    pub price: Option<&'a [f32]>,
    /// What the business adds to an item's utility, in its units: a margin, a promotion, the price of an exposure floor
    /// ([`super::ExposureFloors`]). It needs no weight, and may be negative.
    pub bonus: Option<&'a [f32]>,
}

impl Heads<'_> {
    /// Expected clicks, orders and revenue of showing a candidate; `None` where a head is missing.
    pub fn expected(&self, candidate: u32) -> [Option<f64>; 3] {
        let at = |head: Option<&[f32]>| head.map(|values| f64::from(values[candidate as usize]));
        let click = at(self.click);
        let order = click.zip(at(self.purchase)).map(|(ctr, cvr)| ctr * cvr);
        let price = self.price.map(|prices| prices[candidate as usize]);
        let revenue = order.zip(price).map(|(order, price)| order * money(price));
        [click, order, revenue]
    }
}

/// What an order of a price brings; nothing that could be counted on where the price is unknown.
fn money(price: f32) -> f64 {
    if price.is_nan() { 0.0 } else { f64::from(price) }
}

impl Weights {
    /// The objectives, in the order of the fields.
    pub const NAMES: [&str; 5] = ["click", "purchase", "revenue", "diversity", "novelty"];

    /// From `[lists] objectives` or a request's map. Errors: an unknown objective, a negative or infinite weight, no
    /// positive weight at all.
    pub fn from_map(map: &BTreeMap<String, f64>) -> Result<Self> {
        let mut weights = Self::default();
        for (name, &weight) in map {
            let place = weights.get_mut(name).ok_or_else(|| unknown(name))?;
            *place = weight;
        }
        weights.check()?;
        Ok(weights)
    }

    /// Errors: a negative or infinite weight, no positive weight at all.
    pub fn check(&self) -> Result<()> {
        let values = [self.click, self.purchase, self.revenue, self.diversity, self.novelty];
        for (name, weight) in Self::NAMES.iter().zip(values) {
            if !weight.is_finite() || weight < 0.0 {
                return Err(Error::config(
                    format!("lists.objectives.{name}"),
                    format!("expected a finite number of at least 0, got {weight}"),
                ));
            }
        }
        if *self == Self::default() {
            return Err(Error::config(
                "lists.objectives",
                "expected at least one positive weight, got none",
            )
            .with_hint("for example `click=1,purchase=3,diversity=0.3,novelty=0.1`"));
        }
        Ok(())
    }

    fn get_mut(&mut self, name: &str) -> Option<&mut f64> {
        match name {
            "click" => Some(&mut self.click),
            "purchase" => Some(&mut self.purchase),
            "revenue" => Some(&mut self.revenue),
            "diversity" => Some(&mut self.diversity),
            "novelty" => Some(&mut self.novelty),
            _ => None,
        }
    }

    /// The weights of an item's own expected values: clicks, orders, revenue.
    pub(super) fn of_items(&self) -> [f64; 3] {
        [self.click, self.purchase, self.revenue]
    }

    /// `u_i = w_click pCTR + w_purchase pCTR pCVR + w_revenue pCTR pCVR price + bonus_i` of every candidate, into `out`.
    ///
    /// A sum of expected values, so utilities of items add up to that of a list. Errors: a weighted objective whose
    /// head or price is missing, heads of different lengths.
    pub fn utility(&self, heads: &Heads<'_>, n: usize, out: &mut Vec<f32>) -> Result<()> {
        let needs = [
            ("click", self.click, &[("click head", heads.click)][..]),
            (
                "purchase",
                self.purchase,
                &[("click head", heads.click), ("purchase head", heads.purchase)],
            ),
            (
                "revenue",
                self.revenue,
                &[
                    ("click head", heads.click),
                    ("purchase head", heads.purchase),
                    ("price", heads.price),
                ],
            ),
        ];
        for (name, weight, parts) in needs {
            if let Some((part, _)) = parts.iter().find(|(_, p)| weight > 0.0 && p.is_none()) {
                return Err(Error::config(
                    format!("lists.objectives.{name}"),
                    format!("expected a model and a log with a {part}, got none"),
                )
                .with_hint(format!("leave `{name}` out of the objectives")));
            }
        }
        for (name, head) in [
            ("click", heads.click),
            ("purchase", heads.purchase),
            ("price", heads.price),
            ("bonus", heads.bonus),
        ] {
            if let Some(values) = head.filter(|values| values.len() != n) {
                return Err(Error::data(format!(
                    "{name} of candidates: expected {n} entries, got {}",
                    values.len()
                )));
            }
        }
        // A head without weight must not spoil the sum, whatever it holds.
        let [of_click, of_order, of_money] = self.of_items();
        let purchase = heads.purchase.filter(|_| of_order > 0.0 || of_money > 0.0);
        let price = heads.price.filter(|_| of_money > 0.0);
        out.clear();
        if let Some(click) = heads.click.filter(|_| of_click > 0.0 || purchase.is_some()) {
            out.extend(click.iter().enumerate().map(|(i, &ctr)| {
                let money = price.map_or(0.0, |price| money(price[i]));
                let order = of_order + of_money * money;
                let clicked = of_click + purchase.map_or(0.0, |cvr| f64::from(cvr[i]) * order);
                (f64::from(ctr) * clicked) as f32
            }));
        } else {
            out.resize(n, 0.0);
        }
        if let Some(bonus) = heads.bonus {
            out.iter_mut().zip(bonus).for_each(|(utility, bonus)| *utility += bonus);
        }
        Ok(())
    }

    /// λ_d and λ_n of [`super::Objective`]: the weights times `scale`, the utility of a typical slot
    /// ([`utility_scale`]).
    ///
    /// With the mean utility of the K best candidates as scale, K best together are worth `K · scale`, so
    /// `diversity = 0.3` says: one nat of divergence from the wanted mix is as bad as losing 30 % of the utility of
    /// the best list; `novelty = 0.1`: a list without novelty, where all should be novel, as losing 10 % of it. The
    /// meaning is the same for clicks and for revenue in cents, and does not change when all item weights double.
    /// With one scale for many requests, sums over them trade off at a fixed rate instead (for a Pareto front).
    pub fn lambdas(&self, scale: f64) -> (f64, f64) {
        (self.diversity * scale, self.novelty * scale)
    }
}

fn unknown(name: &str) -> Error {
    Error::config(
        format!("lists.objectives.{name}"),
        format!("expected one of {}, got `{name}`", Weights::NAMES.join(", ")),
    )
}

impl FromStr for Weights {
    type Err = Error;

    /// `click=1,purchase=3,diversity=0.3,novelty=0.1`: each objective at most once, spaces allowed.
    fn from_str(text: &str) -> Result<Self> {
        let mut map = BTreeMap::new();
        for part in text.split(',').map(str::trim).filter(|part| !part.is_empty()) {
            let (name, weight) = part.split_once('=').ok_or_else(|| {
                Error::config("lists.objectives", format!("expected `name=weight`, got `{part}`"))
            })?;
            let (name, weight) = (name.trim(), weight.trim());
            let weight: f64 = weight.parse().map_err(|_| {
                Error::config(
                    format!("lists.objectives.{name}"),
                    format!("expected a number, got `{weight}`"),
                )
            })?;
            if map.insert(name.to_string(), weight).is_some() {
                return Err(Error::config(
                    format!("lists.objectives.{name}"),
                    "expected once, got twice",
                ));
            }
        }
        Self::from_map(&map)
    }
}

/// Mean utility of the K best candidates (fewer if there are fewer), or 1 where that is not positive, as when no item
/// objective has a weight. `scratch` is overwritten. O(N + K log K), independent of the order of candidates.
pub fn utility_scale(utility: &[f32], k: usize, scratch: &mut Vec<f32>) -> f64 {
    let k = k.min(utility.len());
    scratch.clear();
    scratch.extend_from_slice(utility);
    if k > 0 && k < scratch.len() {
        scratch.select_nth_unstable_by(k - 1, |a, b| b.total_cmp(a));
    }
    let best = &mut scratch[..k];
    best.sort_unstable_by(|a, b| b.total_cmp(a));
    let mean = best.iter().map(|&u| f64::from(u)).sum::<f64>() / k as f64;
    if mean > 0.0 { mean } else { 1.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weights_from_text() {
        let weights: Weights = "click=1, purchase=3,diversity=0.3,novelty=0.1".parse().unwrap();
        let expected =
            Weights { click: 1.0, purchase: 3.0, revenue: 0.0, diversity: 0.3, novelty: 0.1 };
        assert_eq!(weights, expected);
        assert_eq!(
            Weights::from_map(&crate::schema::ListsConfig::default().objectives).unwrap(),
            expected
        );
        for (text, part) in [
            (
                "clicks=1",
                "expected one of click, purchase, revenue, diversity, novelty, got `clicks`",
            ),
            ("click=-1", "at least 0, got -1"),
            ("click=inf", "at least 0, got inf"),
            ("click=NaN", "at least 0, got NaN"),
            ("click", "expected `name=weight`, got `click`"),
            ("click=x", "expected a number, got `x`"),
            ("click=1,click=2", "got twice"),
            ("", "at least one positive weight"),
            ("click=0", "at least one positive weight"),
        ] {
            let message = text.parse::<Weights>().unwrap_err().to_string();
            assert!(message.contains(part), "{text}: {message}");
        }
    }

    #[test]
    fn utility_is_the_weighted_expected_value() {
        let heads = Heads {
            click: Some(&[0.5, 0.25]),
            purchase: Some(&[0.5, 1.0]),
            price: Some(&[8.0, f32::NAN]),
            bonus: None,
        };
        let mut out = Vec::new();
        let weights = Weights { click: 1.0, purchase: 2.0, revenue: 0.5, ..Default::default() };
        weights.utility(&heads, 2, &mut out).unwrap();
        assert_eq!(out, [0.5 + 2.0 * 0.25 + 0.5 * 2.0, 0.25 + 2.0 * 0.25]);
        // Missing heads matter only where they are weighted.
        let clicks = Heads { click: heads.click, ..Default::default() };
        Weights { click: 1.0, ..Default::default() }.utility(&clicks, 2, &mut out).unwrap();
        assert_eq!(out, [0.5, 0.25]);
        Weights { diversity: 1.0, ..Default::default() }
            .utility(&Heads { click: None, ..heads }, 2, &mut out)
            .unwrap();
        assert_eq!(out, [0.0, 0.0]);
        let bonus = Heads { bonus: Some(&[0.25, -0.5]), ..clicks };
        Weights { click: 1.0, ..Default::default() }.utility(&bonus, 2, &mut out).unwrap();
        assert_eq!(out, [0.75, -0.25]);
        Weights { diversity: 1.0, ..Default::default() }
            .utility(&Heads { click: None, ..bonus }, 2, &mut out)
            .unwrap();
        assert_eq!(out, [0.25, -0.5]);
        let message = weights.utility(&clicks, 2, &mut out).unwrap_err().to_string();
        assert!(message.contains("lists.objectives.purchase") && message.contains("purchase head"));
        assert!(weights.utility(&heads, 3, &mut out).is_err());
    }

    #[test]
    fn scale_is_the_mean_of_the_best() {
        let mut scratch = Vec::new();
        assert_eq!(utility_scale(&[0.1, 0.5, 0.25, 0.0], 2, &mut scratch), 0.375);
        assert_eq!(utility_scale(&[0.5], 10, &mut scratch), 0.5);
        assert_eq!(utility_scale(&[], 10, &mut scratch), 1.0);
        assert_eq!(utility_scale(&[0.0; 5], 3, &mut scratch), 1.0);
        let weights = Weights { diversity: 0.3, novelty: 0.1, ..Default::default() };
        assert_eq!(weights.lambdas(0.5), (0.15, 0.05));
    }
}
