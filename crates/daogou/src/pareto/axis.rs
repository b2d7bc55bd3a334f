//! What lists are measured by.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::{Error, Result};

/// One measure of lists; a mean over requests, but for [`Axis::Exposure`], which is a property of all lists together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Axis {
    /// Expected clicks per list. By the model: Σ pCTR. In truth: Σ P(looked at) · P(click | looked at, items above).
    Click,
    /// Expected orders per list.
    Purchase,
    /// Expected money per list.
    Revenue,
    /// `exp(−KL(p* ‖ q̃))` in (0, 1]: how close the list's category mix is to the wanted one, 1 where they are the same.
    Diversity,
    /// `KL(p* ‖ q̃)`, nats; less is better.
    Kl,
    /// Share of items that the person has not seen before.
    Novelty,
    /// Entropy of the list's categories, nats.
    Entropy,
    /// 1 − Gini coefficient of how often each item is shown, over the whole catalogue.
    Exposure,
}

impl Axis {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::Click,
        Self::Purchase,
        Self::Revenue,
        Self::Diversity,
        Self::Kl,
        Self::Novelty,
        Self::Entropy,
        Self::Exposure,
    ];

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Click => "click",
            Self::Purchase => "purchase",
            Self::Revenue => "revenue",
            Self::Diversity => "diversity",
            Self::Kl => "kl",
            Self::Novelty => "novelty",
            Self::Entropy => "entropy",
            Self::Exposure => "exposure",
        }
    }

    /// In words, for axes of plots and heads of tables.
    pub fn label(self) -> &'static str {
        match self {
            Self::Click => "clicks per list",
            Self::Purchase => "orders per list",
            Self::Revenue => "revenue per list",
            Self::Diversity => "match of the wanted mix",
            Self::Kl => "KL to the wanted mix",
            Self::Novelty => "share not seen before",
            Self::Entropy => "category entropy",
            Self::Exposure => "evenness of exposure",
        }
    }

    /// A value in the direction in which more is better.
    pub fn gain(self, value: f64) -> f64 {
        if self == Self::Kl { -value } else { value }
    }
}

impl fmt::Display for Axis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Axis {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        Self::ALL.into_iter().find(|axis| axis.name() == text).ok_or_else(|| {
            let names = Self::ALL.map(Self::name).join(", ");
            Error::data(format!("objective: expected one of {names}, got `{text}`"))
        })
    }
}
