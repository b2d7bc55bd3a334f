//! The feature space of a run: which fields the model reads and how raw values become table rows and numbers.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::affinity::Affinity;
use super::past::Measure;
use super::popularity::Prior;
use crate::schema::Side;

/// How raw values become numbers. Saved with a run; serving encodes with the very same object.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct FeatureSpace {
    /// Model inputs, in the order of the configuration's features (a time feature gives two: hour, weekday).
    pub fields: Vec<Field>,
    /// Embedding tables.
    pub tables: Vec<TableShape>,
    /// Encodings, one per field.
    pub encodings: Vec<Encoding>,
    /// How labels become what is learned, by task: of regressions and multi-class tasks.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, LabelEncoding>,
}

impl FeatureSpace {
    /// Whether a field measures what was shown before, to the user or to everybody.
    pub fn reads_past(&self) -> bool {
        self.encodings.iter().any(Encoding::is_past)
    }

    /// Whether a field measures what the user was shown before.
    pub fn reads_own_past(&self) -> bool {
        let own = |encoding: &Encoding| {
            matches!(encoding, Encoding::Past { .. } | Encoding::Affinity { .. })
        };
        self.encodings.iter().any(own)
    }

    /// Whether a field measures what everybody was shown before.
    pub fn reads_popularity(&self) -> bool {
        self.encodings.iter().any(|encoding| matches!(encoding, Encoding::Popularity { .. }))
    }
}

/// One model input.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Field {
    /// Feature name; `…_hour` and `…_weekday` for the two parts of a time.
    pub name: String,
    /// What it describes.
    pub side: Side,
    /// What the model does with it.
    pub kind: FieldKind,
    /// Index into the columns of its side; unused for histories, which are read from timelines.
    pub column: usize,
}

/// What the model does with a field.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FieldKind {
    /// One row of a table.
    Id {
        /// Index into `FeatureSpace::tables`.
        table: usize,
    },
    /// A number, already transformed.
    Number,
    /// The mean of several rows of a table.
    Bag {
        /// Index into `FeatureSpace::tables`.
        table: usize,
    },
    /// The user's last `length` engaged items, each embedded by item-side id fields.
    History {
        /// Indices into `FeatureSpace::fields`: item-side fields of kind `Id`.
        of: Vec<usize>,
        /// Longest history kept.
        length: usize,
    },
}

/// Shape of an embedding table. Row 0 is out-of-vocabulary or missing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TableShape {
    /// Name of the feature that made it.
    pub name: String,
    /// Rows.
    pub rows: usize,
    /// Columns.
    pub dim: usize,
}

/// How the labels of one task become what its head learns.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LabelEncoding {
    /// A regression's numbers.
    Number(Scale),
    /// The classes of a multi-class task, by their number: those with most training impressions first, then by text.
    Classes(Vec<String>),
}

/// `z = (f(y) − mean) / sd`, `f` the identity or `ln(1 + y)`: what a regression learns of a label `y`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Scale {
    /// Mean of `f(y)` over the labelled training impressions that the task is asked about.
    pub mean: f64,
    /// Their standard deviation; 1 where it is 0.
    pub sd: f64,
    /// Whether `f` is `ln(1 + y)`.
    pub log1p: bool,
}

impl Scale {
    /// What is learned of a label.
    pub fn standardised(&self, label: f64) -> f64 {
        let value = if self.log1p { label.ln_1p() } else { label };
        (value - self.mean) / self.sd
    }

    /// The answer behind an output, in the label's units; of `ln(1 + y)` at least 0, as labels are.
    pub fn answer(&self, output: f64) -> f64 {
        let value = output * self.sd + self.mean;
        if self.log1p { value.exp_m1().max(0.0) } else { value }
    }
}

/// How the raw values of one field become numbers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Encoding {
    /// Row `i + 1` for `values[i]`, 0 for everything else.
    Vocabulary {
        /// Known values, in the order of their first training row.
        values: Vec<String>,
    },
    /// `1 + hash(value) mod (rows − 1)`, salted with the field's name.
    Hashed {
        /// Table rows.
        rows: u32,
    },
    /// `(f(x) − mean) / sd`, `f` the identity or `ln(1 + x)`.
    Standardised {
        /// Mean of `f(x)` in training.
        mean: f64,
        /// Standard deviation of `f(x)` in training; 1 where it is 0.
        sd: f64,
        /// Whether `f` is `ln(1 + x)`.
        log1p: bool,
        /// Value for an empty cell.
        missing: Option<f64>,
    },
    /// `1 + #{edges ≤ x}`, 0 for an empty cell.
    Buckets {
        /// Inner edges, ascending.
        edges: Vec<f64>,
    },
    /// A number measured among the items that share another id: standardised around their mean, by what is left between
    /// items of one value, or in buckets of their quantiles.
    Within {
        /// Index into `FeatureSpace::fields` of that id.
        of: usize,
        /// By row of its table; the first is that of all items, for those whose value is unknown or was never seen.
        encodings: Vec<Encoding>,
    },
    /// Row `1 + hour`, UTC; 0 where unknown.
    Hour,
    /// Row `1 + weekday`, Monday first, UTC; 0 where unknown.
    Weekday,
    /// Nothing to encode: a history.
    Timeline,
    /// `(x − mean) / sd`, `x` what the user's past impressions of like items measure.
    Past {
        /// Index into `FeatureSpace::fields` of the item-side id by which items are alike; none: the item itself.
        of: Option<usize>,
        /// What is measured.
        measure: Measure,
        /// Mean in training.
        mean: f64,
        /// Standard deviation in training; 1 where it is 0.
        sd: f64,
    },
    /// `(x − mean) / sd`, `x` how a number of the item is beside those of what the user saw.
    Affinity {
        /// Index into `FeatureSpace::fields` of the item-side number.
        of: usize,
        /// What is read of it.
        affinity: Affinity,
        /// Mean in training.
        mean: f64,
        /// Standard deviation in training; 1 where it is 0.
        sd: f64,
    },
    /// `(x − mean) / sd`, `x` the logit of the rate at which everybody engaged with like items.
    Popularity {
        /// As of a past.
        of: Option<usize>,
        /// What the rate starts from.
        prior: Prior,
        /// Mean in training.
        mean: f64,
        /// Standard deviation in training; 1 where it is 0.
        sd: f64,
    },
}

impl Encoding {
    /// The id that a number is measured within.
    pub fn within(&self) -> Option<usize> {
        match self {
            Self::Within { of, .. } => Some(*of),
            _ => None,
        }
    }

    /// Rows of the table that buckets need; `None` where there are none.
    pub(crate) fn bucket_rows(&self) -> Option<usize> {
        match self {
            Self::Buckets { edges } => Some(edges.len() + 2),
            Self::Within { encodings, .. } => encodings.iter().map(Self::bucket_rows).max()?,
            _ => None,
        }
    }

    /// Whether its values come from what was shown before, and not from a column.
    pub fn is_past(&self) -> bool {
        matches!(self, Self::Past { .. } | Self::Popularity { .. } | Self::Affinity { .. })
    }
}
