//! A log in memory: columns of numbers, requests as ranges of impressions, users' timelines.
//!
//! Item and user features live once, in side tables, and are gathered by row number. Requests are ordered by split
//! (train, validation, test) and then by time, so each split is a range of requests and a range of impressions.

use std::ops::Range;
use std::sync::Arc;

use super::past::Past;
use super::space::{FeatureSpace, Scale};

/// A loaded log.
#[derive(Clone, Debug)]
pub struct Dataset {
    /// How raw values became numbers; statistics come from the training split alone.
    pub space: Arc<FeatureSpace>,
    /// Users and their features; row 0 stands for every unknown user.
    pub users: SideTable,
    /// Items and their features; row 0 stands for every unknown item.
    pub items: SideTable,
    /// What lists need to know about items, by item row.
    pub catalogue: Catalogue,
    /// Requests.
    pub requests: Requests,
    /// Impressions, grouped by request.
    pub impressions: Impressions,
    /// What users engaged with (clicked; bought counts as its weight says), by user, in time order.
    pub timelines: Timelines,
    /// What users were shown, all in all; empty where no feature asks for it.
    pub past: Past,
    /// Labels of all but binary tasks: one entry per task of the configuration; `None` for binary tasks, and in a log
    /// without labels.
    pub targets: Vec<Option<Target>>,
    /// Ranges of requests.
    pub split: Split,
    /// Row of the log behind each impression, from 0 over all files; `u32::MAX` for sampled ones.
    pub rows: Vec<u32>,
    /// What was read, dropped and noticed.
    pub report: LoadReport,
}

/// Rows of one side (users or items).
#[derive(Clone, Debug, Default, serde::Serialize, serde::Deserialize)]
pub struct SideTable {
    /// External ids; `ids[0]` is empty: the unknown row.
    pub ids: Vec<String>,
    /// One per field of this side, as `FeatureSpace::fields` refers to them by `Field::column`.
    pub columns: Vec<Column>,
}

impl Column {
    /// A column of some rows of this one.
    pub(crate) fn rows(&self, rows: &[u32]) -> Self {
        let all = || rows.iter().map(|&row| row as usize);
        match self {
            Self::Ids(ids) => Self::Ids(all().map(|row| ids[row]).collect()),
            Self::Numbers(values) => Self::Numbers(all().map(|row| values[row]).collect()),
            Self::Bags { offsets, ids } => {
                let (mut starts, mut members) = (vec![0], Vec::new());
                for row in all() {
                    let own = offsets[row] as usize..offsets[row + 1] as usize;
                    members.extend_from_slice(&ids[own]);
                    starts.push(members.len() as u32);
                }
                Self::Bags { offsets: starts, ids: members }
            }
        }
    }

    /// A column of one row of this one, `times` over.
    pub(crate) fn repeated(&self, row: usize, times: usize) -> Self {
        match self {
            Self::Ids(ids) => Self::Ids(vec![ids[row]; times]),
            Self::Numbers(values) => Self::Numbers(vec![values[row]; times]),
            Self::Bags { offsets, ids } => {
                let own = &ids[offsets[row] as usize..offsets[row + 1] as usize];
                Self::Bags {
                    offsets: (0..=times).map(|n| (n * own.len()) as u32).collect(),
                    ids: own.repeat(times),
                }
            }
        }
    }
}

impl Column {
    /// Row `row` of this column becomes row `from` of another of its kind; one after the last is appended.
    pub(crate) fn set(&mut self, row: usize, (other, from): (&Self, usize)) {
        fn put<T: Copy>(to: &mut Vec<T>, row: usize, value: T) {
            if row == to.len() { to.push(value) } else { to[row] = value }
        }
        match (self, other) {
            (Self::Ids(to), Self::Ids(values)) => put(to, row, values[from]),
            (Self::Numbers(to), Self::Numbers(values)) => put(to, row, values[from]),
            (Self::Bags { offsets, ids }, Self::Bags { offsets: starts, ids: members }) => {
                let members = &members[starts[from] as usize..starts[from + 1] as usize];
                let start = offsets[row] as usize;
                if row + 1 == offsets.len() {
                    ids.extend_from_slice(members);
                    offsets.push(ids.len() as u32);
                    return;
                }
                let end = offsets[row + 1] as usize;
                ids.splice(start..end, members.iter().copied());
                let moved = |o: &mut u32| *o = *o - (end - start) as u32 + members.len() as u32;
                offsets[row + 1..].iter_mut().for_each(moved);
            }
            _ => unreachable!("a column keeps its kind"),
        }
    }
}

/// One encoded column.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Column {
    /// Rows of an embedding table.
    Ids(Vec<u32>),
    /// Standardised numbers.
    Numbers(Vec<f32>),
    /// Several table rows each: those of row `i` are `ids[offsets[i]..offsets[i + 1]]`.
    Bags {
        /// Starts, one more than rows.
        offsets: Vec<u32>,
        /// Table rows.
        ids: Vec<u32>,
    },
}

/// Items as lists see them; every vector is by item row, row 0 is the unknown item.
#[derive(Clone, Debug, Default, serde::Serialize, serde::Deserialize)]
pub struct Catalogue {
    /// Category names; at most 20, the last then being `other`. Empty without `columns.category`.
    pub categories: Vec<String>,
    /// Index into `categories`; `u16::MAX` where unknown.
    pub category: Vec<u16>,
    /// Price as in the log; NaN where unknown. Empty without `columns.price`.
    #[serde(with = "super::store::unknown_as_null")]
    pub price: Vec<f32>,
    /// Text shown to people. Empty without `columns.title`.
    pub title: Vec<String>,
    /// Clicks in the training split.
    pub train_clicks: Vec<u32>,
    /// Impressions in the training split.
    pub train_impressions: Vec<u32>,
}

/// Requests, by request row.
#[derive(Clone, Debug, Default)]
pub struct Requests {
    /// User row.
    pub user: Vec<u32>,
    /// Unix time in seconds, with fractions lost; empty for logs without time.
    pub time: Vec<i64>,
    /// Impressions of request `r` are `offsets[r]..offsets[r + 1]`; one more entry than requests.
    pub offsets: Vec<u32>,
    /// End of the user's history before the request: an index into `Timelines::item`, strictly earlier events only.
    pub history_end: Vec<u32>,
    /// Context fields.
    pub columns: Vec<Column>,
}

/// Impressions, by impression row.
#[derive(Clone, Debug, Default)]
pub struct Impressions {
    /// Item row.
    pub item: Vec<u32>,
    /// Position in the shown list from 1, 0 where unknown; empty without `columns.position`.
    pub position: Vec<u16>,
    /// Logging propensity; empty without `columns.propensity`.
    pub propensity: Vec<f32>,
    /// Sampled negatives: true. Empty where nothing was sampled.
    pub sampled: Vec<bool>,
    /// Added to the click logit to get the logit under the sampled rate (training, evaluation on this log); lists are
    /// scored without it. Empty where nothing was sampled.
    pub logit_offset: Vec<f32>,
    /// One vector per column of [`Config::label_columns`](crate::schema::Config::label_columns): 0 or 1. The first are the
    /// labels of the binary tasks, in order.
    pub labels: Vec<Vec<u8>>,
    /// Training impressions in whose attribution window a purchase may still come: true. Empty without a window.
    pub unsettled: Vec<bool>,
    /// Impression-side fields.
    pub columns: Vec<Column>,
}

/// Engaged events of every user, in time order.
#[derive(Clone, Debug, Default, serde::Serialize, serde::Deserialize)]
pub struct Timelines {
    /// Events of user `u` are `offsets[u]..offsets[u + 1]`; one more entry than user rows.
    pub offsets: Vec<u32>,
    /// Item row.
    pub item: Vec<u32>,
    /// Unix time in seconds.
    pub time: Vec<i64>,
    /// Weight of the event: 1 for a click, 3 for a purchase (SCIENCE C.1).
    pub weight: Vec<f32>,
}

/// Labels of one task that is not binary: of request-level tasks by request row, of others by impression row.
#[derive(Clone, Debug)]
pub enum Target {
    /// A distribution over categories.
    Distribution {
        /// Number of categories.
        classes: usize,
        /// `[requests, classes]`, each row summing to 1, or all 0 without a label.
        shares: Vec<f32>,
        /// Number of events behind the label; 0: no label.
        weight: Vec<f32>,
        /// `[requests, classes]`: ln of the exposure share in the label window, to be added to the logits in training.
        log_exposure: Option<Vec<f32>>,
    },
    /// The row's own category is the label (`source = "row"`), for every impression whose category is known.
    RowCategory {
        /// Number of categories.
        classes: usize,
    },
    /// A share in `[0, 1]`.
    Share {
        /// Share of unseen items among the label events.
        value: Vec<f32>,
        /// Number of events behind the label; 0: no label.
        weight: Vec<f32>,
        /// ln(e / (1 − e)) of the exposed share of unseen items in the label window.
        logit_exposure: Option<Vec<f32>>,
    },
    /// A number per impression.
    Number {
        /// What is learned of a label.
        scale: Scale,
        /// In the label's units; NaN without a label.
        value: Vec<f32>,
    },
    /// A class per impression.
    Class {
        /// Number of classes.
        classes: usize,
        /// Number of the class; [`NO_CLASS`] without one, and for one that training does not know.
        class: Vec<u16>,
    },
}

/// No class, or none that is known.
pub const NO_CLASS: u16 = u16::MAX;

impl Target {
    /// Whether an impression has a label of its own: a number, or a class that is known.
    pub fn labels(&self, impression: usize) -> bool {
        match self {
            Self::Number { value, .. } => !value[impression].is_nan(),
            Self::Class { class, .. } => class[impression] != NO_CLASS,
            _ => false,
        }
    }
}

/// Ranges of requests; disjoint, in order, covering all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Split {
    /// Training.
    pub train: Range<usize>,
    /// Validation.
    pub valid: Range<usize>,
    /// Test.
    pub test: Range<usize>,
}

/// What loading did, for people.
#[derive(Clone, Debug, Default, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct LoadReport {
    /// Rows read from impressions or events.
    pub rows: u64,
    /// Bad rows dropped under `data.max_bad_share`.
    pub bad_rows: u64,
    /// The first few of them, as sentences.
    pub bad_examples: Vec<String>,
    /// Sampled negatives added.
    pub sampled_negatives: u64,
    /// Things a person should know: artificial click rate, request heads on row labels, ….
    pub notes: Vec<String>,
    /// 64-bit fingerprint of the encoded data, hex.
    pub fingerprint: String,
}

impl Requests {
    /// Number of requests.
    pub fn len(&self) -> usize {
        self.user.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.user.is_empty()
    }

    /// Impressions of a range of requests.
    pub fn impressions(&self, requests: &Range<usize>) -> Range<usize> {
        self.offsets[requests.start] as usize..self.offsets[requests.end] as usize
    }
}
