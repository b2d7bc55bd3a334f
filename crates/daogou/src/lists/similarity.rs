//! How alike two candidates are.

use super::{Candidates, Vectors};
use crate::metrics::diversity::UNKNOWN;
use crate::{Error, Result};

/// Cosine of the candidates' vectors; without vectors, 1 within a category and 0 otherwise. A zero vector and an unknown
/// category are like nothing. Similarities are computed a row at a time: no N × N matrix.
#[derive(Clone, Copy)]
pub(super) struct Similarity<'a> {
    candidates: &'a Candidates<'a>,
    /// One over the length of each vector; 0 for a zero vector.
    scale: &'a [f32],
}

impl<'a> Similarity<'a> {
    /// Measures the vectors, into `scale`. O(N width). Errors: a vector that has no finite length.
    pub(super) fn new(
        candidates: &'a Candidates<'a>,
        scale: &'a mut Vec<f32>,
    ) -> Result<Similarity<'a>> {
        let Vectors { values, width } = candidates.vectors;
        scale.clear();
        if width > 0 {
            scale.extend(values.chunks_exact(width).map(|vector| {
                let square = dot(vector, vector);
                if square == 0.0 { 0.0 } else { square.sqrt().recip() }
            }));
        }
        // Infinite and undefined lengths have a reciprocal of 0 and NaN.
        let bad =
            scale.iter().zip(values.chunks_exact(width.max(1))).position(|(scale, vector)| {
                !scale.is_finite() || (*scale == 0.0 && vector.iter().any(|&x| x != 0.0))
            });
        if let Some(i) = bad {
            return Err(Error::data(format!(
                "vector of candidate {i}: expected one of finite, not vanishing length, got {:?}",
                &values[i * width..][..width.min(4)]
            )));
        }
        Ok(Self { candidates, scale })
    }

    /// Similarity of `item` to every candidate, into `out`. O(N width).
    pub(super) fn row(&self, item: u32, out: &mut Vec<f32>) {
        out.clear();
        let Vectors { values, width } = self.candidates.vectors;
        if width == 0 {
            let own = self.candidates.category(item);
            out.extend((0..self.candidates.len() as u32).map(|other| {
                let alike = own != UNKNOWN && self.candidates.category(other) == own;
                f32::from(u8::from(alike || other == item))
            }));
            return;
        }
        let own = &values[item as usize * width..][..width];
        let own_scale = self.scale[item as usize];
        let rows = values.chunks_exact(width).zip(self.scale);
        out.extend(rows.map(|(other, scale)| dot(own, other) * own_scale * scale));
    }
}

/// Scalar product in eight lanes, which the compiler keeps in vector registers.
fn dot(a: &[f32], b: &[f32]) -> f32 {
    let ((a, a_rest), (b, b_rest)) = (a.as_chunks::<8>(), b.as_chunks::<8>());
    let mut lanes = [0f32; 8];
    for (a, b) in a.iter().zip(b) {
        for lane in 0..8 {
            lanes[lane] += a[lane] * b[lane];
        }
    }
    let [a0, a1, a2, a3, b0, b1, b2, b3] = lanes;
    let rest: f32 = a_rest.iter().zip(b_rest).map(|(a, b)| a * b).sum();
    ((a0 + b0) + (a1 + b1)) + ((a2 + b2) + (a3 + b3)) + rest
}
