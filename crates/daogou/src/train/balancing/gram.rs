//! Products of the tasks' gradients: all that ways of balancing need to know of them.

/// `M[i, j] = ⟨g_i, g_j⟩`, row-major. A direction `d = Σ w_k g_k` is told by its weights: ⟨g_i, d⟩ = (M w)_i and
/// ‖d‖² = wᵀ M w.
#[derive(Clone, Copy, Debug)]
pub(super) struct Gram<'a> {
    values: &'a [f64],
    n: usize,
}

impl<'a> Gram<'a> {
    pub(super) fn new(values: &'a [f64], n: usize) -> Self {
        assert_eq!(values.len(), n * n, "one product per pair of tasks");
        Self { values, n }
    }

    /// Number of tasks.
    pub(super) fn len(self) -> usize {
        self.n
    }

    pub(super) fn at(self, i: usize, j: usize) -> f64 {
        self.values[i * self.n + j]
    }

    /// ‖g_i‖.
    pub(super) fn norm(self, i: usize) -> f64 {
        self.at(i, i).sqrt()
    }

    /// The largest ‖g_i‖².
    pub(super) fn largest(self) -> f64 {
        (0..self.n).fold(0.0, |largest, i| self.at(i, i).max(largest))
    }

    /// ⟨g_i, Σ w_k g_k⟩.
    pub(super) fn along(self, i: usize, w: &[f64]) -> f64 {
        w.iter().enumerate().map(|(k, w)| w * self.at(i, k)).sum()
    }

    /// ‖Σ w_k g_k‖²; at least 0.
    pub(super) fn square(self, w: &[f64]) -> f64 {
        w.iter().enumerate().map(|(i, wi)| wi * self.along(i, w)).sum::<f64>().max(0.0)
    }
}
