//! The mean of gradients that is short, or short and against another.

use super::equations::Equations;
use super::gram::Gram;

/// Steps at most; 3 to 10 are the rule.
const STEPS: usize = 100;

/// Finds weights of a mean: w ≥ 0 with Σw = 1. Keeps its memory from one to the next.
#[derive(Clone, Debug, Default)]
pub(super) struct Simplex {
    slope: Vec<f64>,
    /// Numbers of the tasks that weigh something, a change of their weights, and where that would lead.
    support: Vec<usize>,
    change: Vec<f64>,
    trial: Vec<f64>,
    equations: Equations,
}

/// Nothing in it outlasts a solution.
impl PartialEq for Simplex {
    fn eq(&self, _other: &Self) -> bool {
        true
    }
}

impl Simplex {
    /// Weights that minimise f(w) = b·w + s·‖Σ w_k g_k‖, into `w`.
    ///
    /// Each step has two halves. The first moves weight from the task where it costs most to the one where it costs least,
    /// as far as is best (as in Platt 1998; it has a closed form). Alone it would get there, but slowly where gradients are
    /// almost dependent. The second goes, among the tasks that weigh something, to the minimum of
    /// `b·w + s·(‖Σ w_k g_k‖² / ν + ν) / 2`, which is nowhere below f and touches it at the present length ν; a task that
    /// would weigh less than nothing leaves. Ends where no task is dearer than another.
    pub(super) fn minimise(&mut self, gram: Gram<'_>, b: &[f64], s: f64, w: &mut [f64]) {
        let n = gram.len();
        w.fill(1.0 / n as f64);
        for _ in 0..STEPS {
            let square = gram.square(w);
            if square <= 1e-24 * gram.largest() {
                return;
            }
            let norm = square.sqrt();
            self.slope.clear();
            self.slope.extend((0..n).map(|i| b[i] + s * gram.along(i, w) / norm));
            let slope = &self.slope;
            let by_slope = |a: &usize, b: &usize| slope[*a].total_cmp(&slope[*b]);
            let to = (0..n).min_by(by_slope).expect("at least one task");
            let weighty = (0..n).filter(|i| w[*i] > 0.0);
            let from = weighty.max_by(by_slope).expect("weights sum to 1");
            if slope[from] - slope[to] <= 1e-13 * (slope[from].abs() + slope[to].abs()) {
                return;
            }
            let moved = best_move(gram, (b[to] - b[from], s), (to, from), w, square).min(w[from]);
            if moved <= 0.0 {
                return;
            }
            w[to] += moved;
            w[from] -= moved;
            self.touch(gram, b, s, w);
        }
    }

    /// The second half of a step.
    fn touch(&mut self, gram: Gram<'_>, b: &[f64], s: f64, w: &mut [f64]) {
        let f = |w: &[f64]| {
            let linear: f64 = b.iter().zip(w).map(|(b, w)| b * w).sum();
            linear + s * gram.square(w).sqrt()
        };
        self.support.clear();
        self.support.extend((0..w.len()).filter(|i| w[*i] > 0.0));
        let (k, square) = (self.support.len(), gram.square(w));
        if k < 2 || square <= 1e-24 * gram.largest() {
            return;
        }
        let scale = s / square.sqrt();
        // The change leaves the sum of weights as it is: one more equation, and one more unknown in all others.
        self.equations.start(k + 1);
        for (place, &i) in self.support.iter().enumerate() {
            let row = self.equations.row(place);
            for (value, &j) in row.iter_mut().zip(&self.support) {
                *value = scale * gram.at(i, j);
            }
            row[k] = 1.0;
            row[k + 1] = -(b[i] + scale * gram.along(i, w));
        }
        self.equations.row(k)[..k].fill(1.0);
        self.change.resize(k + 1, 0.0);
        self.equations.solve(&mut self.change[..=k]);

        let (mut most, mut leaves) = (1.0, None);
        for (&i, &change) in self.support.iter().zip(&self.change) {
            if change < 0.0 && -w[i] / change < most {
                (most, leaves) = (-w[i] / change, Some(i));
            }
        }
        let now = f(w);
        for _ in 0..8 {
            self.trial.clear();
            self.trial.extend_from_slice(w);
            for (&i, &change) in self.support.iter().zip(&self.change) {
                self.trial[i] = (w[i] + most * change).max(0.0);
            }
            leaves.into_iter().for_each(|i: usize| self.trial[i] = 0.0);
            if f(&self.trial) <= now {
                w.copy_from_slice(&self.trial);
                return;
            }
            (most, leaves) = (0.5 * most, None);
        }
    }
}

/// How far f falls along e_to − e_from: f(t) = p·t + s·√(q·t² + 2r·t + square). Infinite where it falls all the way.
fn best_move(
    gram: Gram<'_>,
    (p, s): (f64, f64),
    (to, from): (usize, usize),
    w: &[f64],
    square: f64,
) -> f64 {
    let q = gram.at(to, to) - 2.0 * gram.at(to, from) + gram.at(from, from);
    let r = gram.along(to, w) - gram.along(from, w);
    let rest = (q * square - r * r).max(0.0);
    let curve = s * s * q - p * p;
    if curve > 0.0 && q > 0.0 { (-p * (rest / curve).sqrt() - r) / q } else { f64::INFINITY }
}
