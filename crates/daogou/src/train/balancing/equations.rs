//! A few linear equations.

/// `A x = b` with as many unknowns as equations. Keeps its memory from one system to the next.
#[derive(Clone, Debug, Default)]
pub(super) struct Equations {
    n: usize,
    /// `[n, n + 1]`, with `b` in the last column.
    rows: Vec<f64>,
    /// Unknown of each column.
    unknowns: Vec<usize>,
}

/// Nothing in it outlasts a solution.
impl PartialEq for Equations {
    fn eq(&self, _other: &Self) -> bool {
        true
    }
}

impl Equations {
    /// Starts a system of `n` equations.
    pub(super) fn start(&mut self, n: usize) {
        self.n = n;
        self.rows.clear();
        self.rows.resize(n * (n + 1), 0.0);
        self.unknowns.clear();
        self.unknowns.extend(0..n);
    }

    /// The coefficients of one equation, and in the last place what they come to.
    pub(super) fn row(&mut self, i: usize) -> &mut [f64] {
        &mut self.rows[i * (self.n + 1)..(i + 1) * (self.n + 1)]
    }

    /// Solves by elimination with the largest pivots. An unknown that the equations leave open is 0.
    pub(super) fn solve(&mut self, x: &mut [f64]) {
        let (n, width) = (self.n, self.n + 1);
        x.fill(0.0);
        let largest = |rows: &[f64], from: usize| {
            let places = (from..n).flat_map(|i| (from..n).map(move |j| (i, j)));
            places
                .map(|(i, j)| (rows[i * width + j].abs(), i, j))
                .fold((0.0, from, from), |best, place| if place.0 > best.0 { place } else { best })
        };
        let scale = largest(&self.rows, 0).0;
        let mut rank = 0;
        while rank < n {
            let (size, i, j) = largest(&self.rows, rank);
            if size <= 1e-11 * scale {
                break;
            }
            for column in 0..width {
                self.rows.swap(rank * width + column, i * width + column);
            }
            for row in 0..n {
                self.rows.swap(row * width + rank, row * width + j);
            }
            self.unknowns.swap(rank, j);
            let pivot = self.rows[rank * width + rank];
            for row in (0..n).filter(|row| *row != rank) {
                let factor = self.rows[row * width + rank] / pivot;
                for column in rank..width {
                    self.rows[row * width + column] -= factor * self.rows[rank * width + column];
                }
            }
            rank += 1;
        }
        for i in 0..rank {
            x[self.unknowns[i]] = self.rows[i * width + n] / self.rows[i * width + i];
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::Equations;

    proptest! {
        #[test]
        fn solutions_solve(n in 1usize..6, values in prop::collection::vec(-3.0f64..3.0, 42)) {
            let mut equations = Equations::default();
            equations.start(n);
            for i in 0..n {
                equations.row(i).copy_from_slice(&values[i * (n + 1)..(i + 1) * (n + 1)]);
                equations.row(i)[i] += 10.0;
            }
            let mut x = vec![f64::NAN; n];
            equations.clone().solve(&mut x);
            for i in 0..n {
                let row = equations.row(i);
                let left: f64 = row.iter().zip(&x).map(|(a, x)| a * x).sum();
                prop_assert!((left - row[n]).abs() < 1e-9);
            }
        }
    }

    #[test]
    fn what_is_left_open_is_zero() {
        let mut equations = Equations::default();
        equations.start(2);
        equations.row(0).copy_from_slice(&[0.0, 0.0, 0.0]);
        equations.row(1).copy_from_slice(&[0.0, 4.0, 2.0]);
        let mut x = [f64::NAN; 2];
        equations.solve(&mut x);
        assert_eq!(x, [0.0, 0.5]);
    }
}
