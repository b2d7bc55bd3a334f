//! Eigenvalues of small symmetric matrices.

/// `M = Σ_k λ_k v_k v_kᵀ`, by Jacobi's rotations: exact to rounding for the few tasks there are. Keeps its memory.
#[derive(Clone, Debug, Default)]
pub(super) struct Eigen {
    n: usize,
    /// What is left of the matrix: its eigenvalues stand on the diagonal in the end.
    matrix: Vec<f64>,
    /// `[n, n]`; column k is v_k.
    vectors: Vec<f64>,
}

/// Sweeps at most; 6 to 10 are the rule.
const SWEEPS: usize = 60;

/// Nothing in it outlasts a solution.
impl PartialEq for Eigen {
    fn eq(&self, _other: &Self) -> bool {
        true
    }
}

impl Eigen {
    /// Decomposes `matrix`, `[n, n]`.
    pub(super) fn run(&mut self, n: usize, at: impl Fn(usize, usize) -> f64) {
        self.n = n;
        self.matrix.clear();
        self.matrix.extend((0..n * n).map(|place| at(place / n, place % n)));
        self.vectors.clear();
        self.vectors.extend((0..n * n).map(|place| f64::from(u8::from(place / n == place % n))));
        let total: f64 = self.matrix.iter().map(|v| v * v).sum();
        for _ in 0..SWEEPS {
            let pairs = (0..n).flat_map(|p| (p + 1..n).map(move |q| (p, q)));
            let off: f64 = pairs.clone().map(|(p, q)| self.matrix[p * n + q].powi(2)).sum();
            if off <= 1e-30 * total {
                return;
            }
            pairs.for_each(|(p, q)| self.rotate(p, q));
        }
    }

    /// Makes the value at (p, q) zero.
    fn rotate(&mut self, p: usize, q: usize) {
        let (n, m) = (self.n, &mut self.matrix);
        let off = m[p * n + q];
        if off == 0.0 {
            return;
        }
        let theta = (m[q * n + q] - m[p * n + p]) / (2.0 * off);
        let tangent = theta.signum() / (theta.abs() + (theta * theta + 1.0).sqrt());
        let cosine = 1.0 / (tangent * tangent + 1.0).sqrt();
        let sine = tangent * cosine;
        let turn = |values: &mut [f64], a: usize, b: usize| {
            let (x, y) = (values[a], values[b]);
            values[a] = cosine * x - sine * y;
            values[b] = sine * x + cosine * y;
        };
        for k in 0..n {
            turn(m, p * n + k, q * n + k);
        }
        for k in 0..n {
            turn(m, k * n + p, k * n + q);
            turn(&mut self.vectors, k * n + p, k * n + q);
        }
    }

    /// λ_k.
    pub(super) fn value(&self, k: usize) -> f64 {
        self.matrix[k * self.n + k]
    }

    /// The i-th number of v_k.
    pub(super) fn vector(&self, k: usize, i: usize) -> f64 {
        self.vectors[i * self.n + k]
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::Eigen;

    proptest! {
        #[test]
        fn parts_make_up_the_matrix(n in 1usize..6, values in prop::collection::vec(-3.0f64..3.0, 36)) {
            let at = |i: usize, j: usize| values[i.min(j) * 6 + i.max(j)];
            let mut eigen = Eigen::default();
            eigen.run(n, at);
            for i in 0..n {
                for j in 0..n {
                    let sum = |of: &dyn Fn(usize) -> f64| (0..n).map(of).sum::<f64>();
                    let whole = sum(&|k| eigen.value(k) * eigen.vector(k, i) * eigen.vector(k, j));
                    prop_assert!((whole - at(i, j)).abs() < 1e-10);
                    let product = sum(&|k| eigen.vector(i, k) * eigen.vector(j, k));
                    prop_assert!((product - f64::from(u8::from(i == j))).abs() < 1e-10);
                }
            }
        }
    }
}
