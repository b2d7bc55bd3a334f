//! One linear layer on its own, for scoring without a graph.

use crate::kernels::product::{self, Start};
use crate::kernels::vectorised;
use crate::matrix::{Mat, MatMut};

/// `y = x · Wᵀ + b`, with ReLU if asked, on packed rows.
#[derive(Clone, Debug)]
pub struct DenseLayer {
    /// `[inputs, units]`.
    transposed: Vec<f32>,
    bias: Vec<f32>,
    relu: bool,
}

impl DenseLayer {
    /// A layer of `weights` `[units, inputs]` and one bias per unit.
    ///
    /// # Panics
    ///
    /// If the sizes do not fit.
    pub fn new(weights: &[f32], bias: &[f32], inputs: usize, relu: bool) -> Self {
        let units = bias.len();
        assert_eq!(weights.len(), units * inputs, "weights of {units} units");
        let mut transposed = vec![0.0; weights.len()];
        for (unit, row) in weights.chunks_exact(inputs).enumerate() {
            for (input, &w) in row.iter().enumerate() {
                transposed[input * units + unit] = w;
            }
        }
        Self { transposed, bias: bias.to_vec(), relu }
    }

    /// Units of the layer: values per row of the result.
    pub fn units(&self) -> usize {
        self.bias.len()
    }

    /// Applies the layer to all rows of `x`. Allocates nothing.
    ///
    /// # Panics
    ///
    /// If `x` and `y` do not hold the same number of rows.
    pub fn apply(&self, x: &[f32], y: &mut [f32]) {
        let (units, inputs) = (self.units(), self.transposed.len() / self.units());
        assert_eq!(x.len() / inputs * units, y.len(), "rows of input and output");
        let rows = y.len() / units;
        // SAFETY: `y` holds exactly `rows` packed rows.
        let mut out = unsafe { MatMut::new(y.as_mut_ptr(), rows, units, units) };
        let weights = Mat::packed(&self.transposed, units);
        let start = Start::Bias(&self.bias);
        product::forward(Mat::packed(x, inputs), weights, start, self.relu, &mut out);
    }
}

/// `out[i] = max(own + rows[picks[i]], 0)`, all rows as wide as `own`.
///
/// # Panics
///
/// If a pick or a length is out of range.
pub fn add_relu_rows(own: &[f32], rows: &[f32], picks: &[u32], out: &mut [f32]) {
    let width = own.len();
    assert_eq!(out.len(), picks.len() * width, "one row per pick");
    vectorised(
        #[inline(always)]
        || {
            for (i, (&pick, out)) in picks.iter().zip(out.chunks_exact_mut(width)).enumerate() {
                if let Some(&ahead) = picks.get(i + 4) {
                    crate::kernels::prefetch(rows, ahead as usize * width, width);
                }
                let row = &rows[pick as usize * width..][..width];
                for ((o, &a), &b) in out.iter_mut().zip(own).zip(row) {
                    *o = (a + b).max(0.0);
                }
            }
        },
    );
}
