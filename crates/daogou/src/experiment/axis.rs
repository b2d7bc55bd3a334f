//! What differs between the points of an experiment: the amount of training data, or one dial of the simulation.

use super::spec::Spec;
use crate::{Error, Result, simulate};

/// One place on the axis.
#[derive(Clone, Debug)]
pub(super) struct Point {
    /// For people: `relatedness 0.5`.
    pub(super) label: String,
    /// In names of files.
    pub(super) folder: String,
    /// Place on the axis; `None` without an axis.
    pub(super) x: Option<f64>,
    /// Share of the training requests.
    pub(super) fraction: f64,
    /// The shop, of a simulated log.
    pub(super) options: Option<simulate::Options>,
}

/// The axis and the points on it: fractions, or the values of one dial of the simulation.
pub(super) fn points(spec: &Spec) -> Result<(Option<String>, Vec<Point>)> {
    let fractions = spec.fractions.clone().unwrap_or_else(|| vec![1.0]);
    if fractions.is_empty() {
        return Err(Error::config("fractions", "expected at least one, got none"));
    }
    for (i, fraction) in fractions.iter().enumerate() {
        if !(*fraction > 0.0 && *fraction <= 1.0) || fractions[..i].contains(fraction) {
            return Err(Error::config(
                "fractions",
                format!("expected different shares above 0 and at most 1, got {fraction}"),
            ));
        }
    }
    let plain = spec.simulate.as_ref().map(shops).transpose()?;
    let by_fraction = |options: Option<&simulate::Options>| -> Vec<Point> {
        let point = |&fraction: &f64| Point {
            // Without the last digits that a product of floats has.
            label: format!("{} % of training", (1e6 * fraction).round() / 1e4),
            folder: format!("fraction-{fraction}"),
            x: Some(fraction),
            fraction,
            options: options.cloned(),
        };
        fractions.iter().map(point).collect()
    };
    let (axis, mut points) = match plain {
        None => (Some("share of the training requests".to_string()), by_fraction(None)),
        Some((None, shops)) => {
            (Some("share of the training requests".to_string()), by_fraction(Some(&shops[0].1)))
        }
        Some((Some(dial), shops)) => {
            if fractions.len() > 1 {
                return Err(Error::config(
                    format!("simulate.{dial}"),
                    "is a list, and so is `fractions`: expected one of them",
                )
                .with_hint("make two experiments"));
            }
            let point = |(value, options): Shop| Point {
                label: format!("{dial} {value}"),
                folder: format!("{dial}-{value}"),
                x: Some(value),
                fraction: fractions[0],
                options: Some(options),
            };
            (Some(dial.clone()), shops.into_iter().map(point).collect())
        }
    };
    if let [only] = &mut points[..] {
        only.x = None;
        if only.fraction == 1.0 {
            (only.label, only.folder) = ("all".into(), "all".into());
        }
        return Ok((None, points));
    }
    Ok((axis, points))
}

/// A shop and its place on the axis.
type Shop = (f64, simulate::Options);

/// Shops of a table of options, and the dial in which they differ, if any.
fn shops(table: &toml::Table) -> Result<(Option<String>, Vec<Shop>)> {
    let of = |table: toml::Table| -> Result<simulate::Options> {
        let mut all = toml::Table::try_from(simulate::Options::default()).expect("plain data");
        all.extend(table);
        // A whole number is a number.
        let defaults = toml::Table::try_from(simulate::Options::default()).expect("plain data");
        for (key, value) in &mut all {
            if let (Some(true), Some(whole)) =
                (defaults.get(key).map(toml::Value::is_float), value.as_integer())
            {
                *value = toml::Value::Float(whole as f64);
            }
        }
        let options: simulate::Options = all
            .try_into()
            .map_err(|e: toml::de::Error| Error::config("simulate", e.message().to_string()))?;
        options.check()?;
        Ok(options)
    };
    let lists: Vec<(&String, &Vec<toml::Value>)> =
        table.iter().filter_map(|(key, value)| Some((key, value.as_array()?))).collect();
    match lists[..] {
        [] => Ok((None, vec![(0.0, of(table.clone())?)])),
        [(dial, values)] => {
            let number = |value: &toml::Value| {
                value.as_float().or_else(|| value.as_integer().map(|whole| whole as f64))
            };
            let mut shops: Vec<Shop> = Vec::new();
            for value in values {
                let mut table = table.clone();
                table.insert(dial.clone(), value.clone());
                let x = number(value).filter(|x| shops.iter().all(|(other, _)| other != x));
                let x = x.ok_or_else(|| {
                    Error::config(
                        format!("simulate.{dial}"),
                        format!("expected different numbers, got {value}"),
                    )
                })?;
                shops.push((x, of(table)?));
            }
            if shops.is_empty() {
                return Err(Error::config(
                    format!("simulate.{dial}"),
                    "expected at least one value, got none",
                ));
            }
            Ok((Some(dial.clone()), shops))
        }
        [(first, _), (second, _), ..] => Err(Error::config(
            format!("simulate.{second}"),
            format!("is a list, and so is `{first}`: expected one of them"),
        )
        .with_hint("make two experiments")),
    }
}
