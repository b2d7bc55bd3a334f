//! What a sample of rows says about each column.

use std::path::Path;

use rustc_hash::{FxHashMap, FxHashSet};

use crate::Result;
use crate::civil::instant;
use crate::rows::{Layout, Rows};

/// Rows read of each file.
pub(super) const SAMPLE: usize = 100_000;

/// A table's columns and what its first rows hold.
pub(super) struct Sample {
    pub(super) names: Vec<String>,
    pub(super) columns: Vec<Profile>,
    pub(super) rows: usize,
    /// Cells as numbers of their column's distinct values, by column; `u32::MAX` where empty.
    pub(super) codes: Vec<Vec<u32>>,
}

/// What one column holds.
#[derive(Debug, Default)]
pub(super) struct Profile {
    pub(super) empty: usize,
    pub(super) distinct: usize,
    /// Cells that are finite numbers; among them whole ones, and 0 or 1.
    pub(super) numbers: usize,
    pub(super) whole: usize,
    pub(super) binary: usize,
    pub(super) times: usize,
    pub(super) min: f64,
    pub(super) max: f64,
    /// Median of the numbers; 0 where there is none.
    pub(super) median: f64,
    /// Cells with `|`, `;` or `,` inside, the commonest of the three, and how often.
    pub(super) separator: Option<(char, usize)>,
    /// The first distinct values, at most 100, as they come.
    pub(super) values: Vec<String>,
}

impl Sample {
    /// Reads the first rows of a file.
    pub(super) fn read(path: &Path, layout: Layout, names: Vec<String>) -> Result<Self> {
        let mut rows = Rows::open(path, layout, &names)?;
        let mut codes: Vec<Vec<u32>> = names.iter().map(|_| Vec::new()).collect();
        let mut known: Vec<FxHashMap<String, u32>> =
            names.iter().map(|_| FxHashMap::default()).collect();
        let mut n = 0;
        while n < SAMPLE && rows.advance()? {
            for (i, (codes, known)) in codes.iter_mut().zip(&mut known).enumerate() {
                let text = rows.text(i);
                codes.push(if text.is_empty() {
                    u32::MAX
                } else if let Some(&code) = known.get(text) {
                    code
                } else {
                    let code = known.len() as u32;
                    known.insert(text.into(), code);
                    code
                });
            }
            n += 1;
        }
        let columns = codes.iter().zip(known).map(|(codes, known)| profile(codes, known)).collect();
        Ok(Self { names, columns, rows: n, codes })
    }

    /// Share of the rows that agree with one value of `column` per value of `key`; `None` where too few values of
    /// `key` repeat for a judgement.
    pub(super) fn depends(&self, column: usize, key: &[u32]) -> Option<f64> {
        let mut first: FxHashMap<u32, u32> = FxHashMap::default();
        let (mut repeated, mut agreeing) = (0_usize, 0_usize);
        for (&key, &value) in key.iter().zip(&self.codes[column]) {
            match first.get(&key) {
                None => {
                    first.insert(key, value);
                }
                Some(&known) => {
                    repeated += 1;
                    agreeing += usize::from(known == value);
                }
            }
        }
        (repeated * 5 >= self.rows && repeated > 0).then(|| agreeing as f64 / repeated as f64)
    }

    /// Whether some value of `column` stands in two rows.
    pub(super) fn repeats(&self, column: usize) -> bool {
        let mut seen = FxHashSet::default();
        !self.codes[column].iter().all(|code| seen.insert(*code))
    }
}

fn profile(codes: &[u32], known: FxHashMap<String, u32>) -> Profile {
    let mut counts = vec![0_usize; known.len()];
    for &code in codes.iter().filter(|code| **code != u32::MAX) {
        counts[code as usize] += 1;
    }
    let mut values: Vec<(String, u32)> = known.into_iter().collect();
    values.sort_unstable_by_key(|(_, code)| *code);
    let mut profile = Profile {
        empty: codes.len() - counts.iter().sum::<usize>(),
        distinct: values.len(),
        min: f64::INFINITY,
        max: f64::NEG_INFINITY,
        ..Profile::default()
    };
    let mut numbers: Vec<(f64, usize)> = Vec::new();
    let mut separated = [('|', 0), (';', 0), (',', 0)];
    for ((text, _), &count) in values.iter().zip(&counts) {
        if let Some(number) = text.parse::<f64>().ok().filter(|number| number.is_finite()) {
            profile.numbers += count;
            profile.whole += if number.fract() == 0.0 { count } else { 0 };
            profile.binary += if number == 0.0 || number == 1.0 { count } else { 0 };
            profile.min = profile.min.min(number);
            profile.max = profile.max.max(number);
            numbers.push((number, count));
        }
        // A number is a time only where it says 2000 to 2100, in seconds or milliseconds.
        let plausible = 946_684_800..=4_102_444_800;
        if instant(text).is_some_and(|seconds| plausible.contains(&seconds)) {
            profile.times += count;
        }
        for (separator, cells) in &mut separated {
            *cells += if text.contains(*separator) { count } else { 0 };
        }
    }
    numbers.sort_unstable_by(|a, b| a.0.total_cmp(&b.0));
    let mut below = 0;
    for (number, count) in numbers {
        below += count;
        if 2 * below >= profile.numbers {
            profile.median = number;
            break;
        }
    }
    let common = separated.into_iter().max_by_key(|(_, cells)| *cells);
    profile.separator = common.filter(|(_, cells)| *cells > 0);
    profile.values = values.into_iter().take(100).map(|(text, _)| text).collect();
    profile
}

impl Profile {
    /// Cells that are not empty.
    pub(super) fn filled(&self, rows: usize) -> usize {
        rows - self.empty
    }
}
