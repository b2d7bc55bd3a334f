//! Policies to evaluate: other orders of what was shown, or any policy whose probabilities a file tells.

use std::path::{Path, PathBuf};
use std::str::FromStr;

use crate::data::Dataset;
use crate::lists::Weights;
use crate::rows::{Layout, Rows, header};
use crate::schema::Config;
use crate::{Error, Result};

/// A policy to evaluate.
#[derive(Clone, Debug, PartialEq)]
pub enum Policy {
    /// The shown items by expected value: clicks, orders, revenue, weighed.
    Order(Weights),
    /// The shown items by their click rate in training.
    Popularity,
    /// The shown items in a uniformly random order.
    Random,
    /// A policy of its own: a file with the probability that it shows the logged item at its place, given the
    /// candidates and the items above. It has the rows of the log, in their order.
    File(PathBuf),
}

/// Column of a policy file.
pub const TARGET: &str = "target_propensity";

impl Policy {
    /// How its weights come about, for people.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Order(_) | Self::Popularity | Self::Random => "order",
            Self::File(_) => "probabilities",
        }
    }
}

impl FromStr for Policy {
    type Err = Error;

    /// `click`, `popularity`, `random`, weights such as `click=1,purchase=3`, or `file:F`.
    fn from_str(text: &str) -> Result<Self> {
        let text = text.trim();
        match text {
            "popularity" => return Ok(Self::Popularity),
            "random" => return Ok(Self::Random),
            "click" | "purchase" | "revenue" => return Self::from_str(&format!("{text}=1")),
            _ => {}
        }
        if let Some(file) = text.strip_prefix("file:").filter(|file| !file.is_empty()) {
            return Ok(Self::File(file.into()));
        }
        if !text.contains('=') {
            return Err(Error::data(format!(
                "policy `{text}` is not known: expected click, purchase, revenue, popularity, \
                 random, weights, or file:F"
            ))
            .with_hint(
                "weights look like `click=1,purchase=3`; the logged lists are always shown",
            ));
        }
        let weights: Weights = text.parse()?;
        if weights.diversity > 0.0 || weights.novelty > 0.0 {
            return Err(Error::data(format!(
                "policy `{text}`: expected weights of click, purchase and revenue alone"
            ))
            .with_hint("another order of the same items has the same diversity and novelty"));
        }
        Ok(Self::Order(weights))
    }
}

/// The probabilities of a policy file, by row of the log.
///
/// # Errors
///
/// A file without the column, with another number of rows than the log, with a cell that is no probability, or with
/// another item in a row where it names items.
pub fn read_probabilities(path: &Path, config: &Config, data: &Dataset) -> Result<Vec<f64>> {
    if data.report.bad_rows > 0 {
        return Err(Error::data(format!(
            "{} bad rows of the log were dropped, so the rows of {} cannot be told apart",
            data.report.bad_rows,
            path.display()
        ))
        .with_hint("mend the log, or leave those rows out of both files"));
    }
    let names = header(path, Layout::COMMAS)?;
    let item = names.contains(&config.columns.item);
    let columns: Vec<&str> =
        [TARGET].into_iter().chain(item.then_some(config.columns.item.as_str())).collect();
    let mut rows = Rows::open(path, Layout::COMMAS, &columns)?;
    let mut of_row: Vec<Option<u32>> = vec![None; data.report.rows as usize];
    for (i, &row) in data.rows.iter().enumerate() {
        if let Some(place) = of_row.get_mut(row as usize) {
            *place = Some(data.impressions.item[i]);
        }
    }
    let mut all = Vec::with_capacity(of_row.len());
    while rows.advance()? {
        let expected = "a probability between 0 and 1";
        let p = rows.number(0).map_err(|_| rows.cell(0, expected))?;
        if !(0.0..=1.0).contains(&p) {
            return Err(rows.cell(0, expected));
        }
        if item && let Some(Some(row)) = of_row.get(all.len()) {
            let id = &data.items.ids[*row as usize];
            // Row 0 stands for all items that a run does not know.
            if *row != 0 && id != rows.text(1) {
                return Err(rows.cell(1, &format!("`{id}`, as in this row of the log")));
            }
        }
        all.push(p);
    }
    if all.len() != of_row.len() {
        return Err(Error::file(
            path,
            format!("expected the {} rows of the log, got {}", of_row.len(), all.len()),
        )
        .with_hint("one probability per row of the log, in its order"));
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn policies_from_text() {
        let policy = |text: &str| text.parse::<Policy>();
        assert_eq!(policy("random").unwrap(), Policy::Random);
        assert_eq!(policy(" popularity").unwrap(), Policy::Popularity);
        assert_eq!(policy("file:a/b.csv").unwrap(), Policy::File("a/b.csv".into()));
        let clicks = Weights { click: 1.0, ..Weights::default() };
        assert_eq!(policy("click").unwrap(), Policy::Order(clicks));
        let orders = Weights { purchase: 3.0, ..clicks };
        assert_eq!(policy("click=1,purchase=3").unwrap(), Policy::Order(orders));
        for (text, part) in [
            ("best", "policy `best` is not known"),
            ("", "is not known"),
            ("file:", "is not known"),
            ("click=-1", "at least 0"),
            ("luck=1", "expected one of click"),
            ("click=1,diversity=0.3", "click, purchase and revenue alone"),
        ] {
            let message = policy(text).unwrap_err().to_string();
            assert!(message.contains(part), "{text}: {message}");
        }
    }
}
