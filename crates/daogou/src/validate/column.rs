//! One column under examination: is each cell what its part needs, and what do the cells look like together?

use std::hash::Hasher;

use rustc_hash::FxHasher;

use crate::Error;
use crate::rows::Rows;

/// What a cell must be.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Check {
    /// Anything, or empty.
    Any,
    /// Not empty.
    Id,
    Time,
    /// A time, or empty.
    TimeOrEmpty,
    /// 0 or 1.
    Label,
    /// A finite number; empty only if allowed, and not negative if so.
    Number {
        empty: bool,
        negative: bool,
    },
    /// A whole number from 1.
    Position,
    /// More than 0, at most 1.
    Probability,
}

impl Check {
    /// What satisfies both; where they are of different kinds, the earlier.
    pub(super) fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::Any, other) => other,
            (Self::Number { empty, negative }, Self::Number { empty: e, negative: n }) => {
                Self::Number { empty: empty && e, negative: negative && n }
            }
            _ => self,
        }
    }
}

/// One column of one table.
pub(super) struct Column {
    pub(super) name: String,
    pub(super) check: Check,
    /// Whether the model reads it.
    pub(super) is_input: bool,
    pub(super) bad: u64,
    /// The first bad cell.
    pub(super) example: Option<Error>,
    /// The cell of the current row: a number where it is one, else NaN.
    pub(super) last: f64,
    /// 1 and 0 in a label.
    pub(super) ones: u64,
    pub(super) zeros: u64,
    first: Option<String>,
    pub(super) varies: bool,
    digest: FxHasher,
    /// The first cells as scores: numbers as they are, other cells as codes.
    pub(super) numbers: Vec<f32>,
    pub(super) codes: Vec<u32>,
}

impl Column {
    pub(super) fn new(name: &str, check: Check, is_input: bool) -> Self {
        Self {
            name: name.into(),
            check,
            is_input,
            bad: 0,
            example: None,
            last: f64::NAN,
            ones: 0,
            zeros: 0,
            first: None,
            varies: false,
            digest: FxHasher::default(),
            numbers: Vec::new(),
            codes: Vec::new(),
        }
    }

    /// Looks at cell `i` of the current row; `keep`: also for the scores. Returns whether the cell is good.
    pub(super) fn see(&mut self, rows: &Rows, i: usize, keep: bool) -> bool {
        let text = rows.text(i);
        self.digest.write(text.as_bytes());
        self.digest.write_u8(0xff);
        match &self.first {
            None => self.first = Some(text.into()),
            Some(first) => self.varies |= first != text,
        }
        let found = self.value(rows, i);
        self.last = *found.as_ref().unwrap_or(&f64::NAN);
        if keep && self.is_input {
            if matches!(self.check, Check::Number { .. }) {
                self.numbers.push(self.last as f32);
            } else {
                self.codes.push(code(text));
            }
        }
        if let Err(error) = found {
            self.bad += 1;
            self.example.get_or_insert(error);
            return false;
        }
        match (self.check, self.last) {
            (Check::Label, 1.0) => self.ones += 1,
            (Check::Label, _) => self.zeros += 1,
            _ => {}
        }
        true
    }

    fn value(&self, rows: &Rows, i: usize) -> Result<f64, Error> {
        Ok(match self.check {
            Check::Any => f64::NAN,
            Check::Id => rows.id(i).map(|_| f64::NAN)?,
            Check::TimeOrEmpty if rows.text(i).is_empty() => f64::NAN,
            Check::Time | Check::TimeOrEmpty => rows.time(i)? as f64,
            Check::Label => rows.label(i)? as f64,
            Check::Number { empty, negative } => match rows.optional(i)? {
                None if empty => f64::NAN,
                None => return Err(rows.cell(i, "a number (set `missing` to allow empty cells)")),
                Some(number) if number < 0.0 && !negative => {
                    return Err(rows.cell(i, "a number of at least 0"));
                }
                Some(number) => number,
            },
            Check::Position => match rows.int(i)? {
                position @ 1..=65_535 => position as f64,
                _ => return Err(rows.cell(i, "a position from 1")),
            },
            Check::Probability => match rows.number(i)? {
                number if number > 0.0 && number <= 1.0 => number,
                _ => return Err(rows.cell(i, "a probability above 0, at most 1")),
            },
        })
    }

    /// Equal for columns with the same cells in the same order.
    pub(super) fn digest(&self) -> u64 {
        self.digest.finish()
    }
}

/// A number for a cell's text; different texts share one with a probability of 2⁻³².
pub(super) fn code(text: &str) -> u32 {
    (hash(text) >> 32) as u32
}

/// A 64-bit number for a cell's text.
pub(super) fn hash(text: &str) -> u64 {
    let mut hasher = FxHasher::default();
    hasher.write(text.as_bytes());
    hasher.finish()
}
