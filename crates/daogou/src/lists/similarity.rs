//! How alike two candidates are.

use super::{Candidates, Vectors};
use crate::metrics::diversity::UNKNOWN;
use crate::{Error, Result};

/// Cosine of the candidates' vectors; without vectors, 1 within a category and 0 otherwise. A zero vector and an unknown
/// category are like nothing. Similarities are computed a row at a time: no N × N matrix.
#[derive(Clone, Copy)]
pub(super) struct Similarity<'a> {
    candidates: &'a Candidates<'a>,
    /// Vectors of length 1, in panels of [`LANES`] candidates: first their first components, then their second ones, and
    /// so on. Sums then need no adding across a vector register.
    panels: &'a [f32],
}

/// Candidates per panel.
const LANES: usize = 8;

impl<'a> Similarity<'a> {
    /// Scales the vectors to length 1, into `panels`. O(N width). Errors: a vector that has no finite length.
    pub(super) fn new(
        candidates: &'a Candidates<'a>,
        panels: &'a mut Vec<f32>,
    ) -> Result<Similarity<'a>> {
        let Vectors { values, width } = candidates.vectors;
        panels.clear();
        if width > 0 {
            panels.resize(candidates.len().next_multiple_of(LANES) * width, 0.0);
            let chunks = panels.chunks_exact_mut(LANES * width).zip(values.chunks(LANES * width));
            for (i, (panel, vectors)) in chunks.enumerate() {
                let (panel, _) = panel.as_chunks_mut::<LANES>();
                for (lane, vector) in vectors.chunks_exact(width).enumerate() {
                    let scale = reciprocal_length(vector).ok_or_else(|| {
                        Error::data(format!(
                            "vector of candidate {}: expected one of finite, not vanishing length, got {:?}…",
                            LANES * i + lane,
                            &vector[..width.min(4)]
                        ))
                    })?;
                    panel.iter_mut().zip(vector).for_each(|(panel, x)| panel[lane] = x * scale);
                }
            }
        }
        Ok(Self { candidates, panels })
    }

    /// Similarity of `item` to every candidate, into `out`. O(N width).
    pub(super) fn row(&self, item: u32, out: &mut Vec<f32>) {
        out.clear();
        let width = self.candidates.vectors.width;
        let n = self.candidates.len();
        if width == 0 {
            let own = self.candidates.category(item);
            out.extend((0..n as u32).map(|other| {
                let alike = own != UNKNOWN && self.candidates.category(other) == own;
                f32::from(u8::from(alike || other == item))
            }));
            return;
        }
        let item = item as usize;
        let own = &self.panels[item / LANES * LANES * width..][..LANES * width];
        let (own, _) = own.as_chunks::<LANES>();
        for panel in self.panels.chunks_exact(LANES * width) {
            let (panel, _) = panel.as_chunks::<LANES>();
            let mut sums = [0f32; LANES];
            for (components, own) in panel.iter().zip(own) {
                let own = own[item % LANES];
                for lane in 0..LANES {
                    sums[lane] += own * components[lane];
                }
            }
            out.extend_from_slice(&sums);
        }
        out.truncate(n);
    }
}

/// One over the length of a vector, 0 for a zero vector; `None` where either is not a number to work with.
fn reciprocal_length(vector: &[f32]) -> Option<f32> {
    let mut squares = [0f32; LANES];
    let (chunks, rest) = vector.as_chunks::<LANES>();
    for chunk in chunks {
        for lane in 0..LANES {
            squares[lane] += chunk[lane] * chunk[lane];
        }
    }
    let square = squares.iter().sum::<f32>() + rest.iter().map(|x| x * x).sum::<f32>();
    if square == 0.0 {
        return vector.iter().all(|&x| x == 0.0).then_some(0.0);
    }
    let scale = square.sqrt().recip();
    (scale.is_finite() && scale > 0.0).then_some(scale)
}
