//! All metrics of one task, or of a set of lists, with intervals; the JSON that `eval` prints.

mod binary;
mod classes;
mod distribution;
mod lists;
mod regression;
mod share;

pub use binary::{BinaryInput, BinaryReport};
pub use classes::{ClassInput, ClassReport, MOST_RANKED};
pub use distribution::{DistributionInput, DistributionReport};
pub use lists::{ListContext, ListReport, ListSample, ListTally};
pub use regression::{RegressionInput, RegressionReport};
pub use share::{ShareInput, ShareReport};

use crate::{Error, Result};

/// What a model says, before or after the link function.
#[derive(Clone, Copy, Debug)]
pub enum Scores<'a> {
    /// Log-odds, or logits of a softmax; losses are taken from them without clipping.
    Logits(&'a [f32]),
    /// Probabilities: for products such as pCTR·pCVR, or baselines.
    Probabilities(&'a [f32]),
}

impl<'a> Scores<'a> {
    fn values(&self) -> &'a [f32] {
        match self {
            Self::Logits(values) | Self::Probabilities(values) => values,
        }
    }

    /// That every score is a finite logit or a probability.
    fn check(&self) -> Result<()> {
        let (what, bad) = match self {
            Self::Logits(z) => ("a finite logit", z.iter().position(|z| !z.is_finite())),
            Self::Probabilities(p) => {
                ("a probability in [0, 1]", p.iter().position(|p| !(0.0..=1.0).contains(p)))
            }
        };
        match bad {
            None => Ok(()),
            Some(i) => {
                Err(Error::data(format!("score {i}: expected {what}, got {}", self.values()[i])))
            }
        }
    }
}

/// That slices that belong together have the same length.
fn check_length(what: &str, expected: usize, got: usize) -> Result<()> {
    if expected == got {
        Ok(())
    } else {
        Err(Error::data(format!("{what}: expected {expected} entries, got {got}")))
    }
}

/// That every value is in `[0, 1]`.
fn check_shares(what: &str, values: &[f32]) -> Result<()> {
    match values.iter().position(|v| !(0.0..=1.0).contains(v)) {
        None => Ok(()),
        Some(i) => {
            Err(Error::data(format!("{what} {i}: expected a share in [0, 1], got {}", values[i])))
        }
    }
}

/// That every weight is finite and not negative.
fn check_weights(weights: &[f32]) -> Result<()> {
    match weights.iter().position(|w| !w.is_finite() || *w < 0.0) {
        None => Ok(()),
        Some(i) => Err(Error::data(format!(
            "weight {i}: expected a finite number of at least 0, got {}",
            weights[i]
        ))),
    }
}

/// Adds up the terms of the rows of each unit: a group where there are groups, else the row itself.
fn sum_by_unit<const M: usize>(
    groups: Option<(&[u32], usize)>,
    rows: impl Iterator<Item = (usize, [f64; M])>,
) -> Vec<[f64; M]> {
    let Some((groups, n_groups)) = groups else { return rows.map(|(_, terms)| terms).collect() };
    let mut units = vec![[0.0; M]; n_groups];
    for (row, terms) in rows {
        units[groups[row] as usize].iter_mut().zip(terms).for_each(|(sum, term)| *sum += term);
    }
    units
}

/// Sums over all units.
fn total<const M: usize>(units: &[[f64; M]]) -> [f64; M] {
    let mut sums = [0.0; M];
    for unit in units {
        sums.iter_mut().zip(unit).for_each(|(sum, term)| *sum += term);
    }
    sums
}
