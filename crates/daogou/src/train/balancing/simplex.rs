//! The mean of gradients that is short, or short and against another.

use super::gram::Gram;

/// Steps at most; with K tasks some K² are the rule.
const STEPS: usize = 500;

/// Weights of the simplex (w ≥ 0, Σw = 1) that minimise `b·w + s·‖Σ w_k g_k‖`, into `w`.
///
/// Moves weight from the task where it costs most to the one where it costs least, as far as is best, until none is
/// dearer than another: sequential minimal optimisation (Platt 1998), whose steps have a closed form. `slope` is memory
/// for one number per task.
pub(super) fn minimise(gram: Gram<'_>, b: &[f64], s: f64, w: &mut [f64], slope: &mut [f64]) {
    let n = gram.len();
    w.fill(1.0 / n as f64);
    for _ in 0..STEPS {
        let square = gram.square(w);
        if square <= 1e-24 * gram.largest() {
            return;
        }
        let norm = square.sqrt();
        for i in 0..n {
            slope[i] = b[i] + s * gram.along(i, w) / norm;
        }
        let by_slope = |a: &usize, b: &usize| slope[*a].total_cmp(&slope[*b]);
        let to = (0..n).min_by(by_slope).expect("at least one task");
        let weighty = (0..n).filter(|i| w[*i] > 0.0);
        let from = weighty.max_by(by_slope).expect("weights sum to 1");
        let gain = slope[from] - slope[to];
        if gain <= 1e-13 * (slope[from].abs() + slope[to].abs()) {
            return;
        }
        // f(t) = p·t + s·√(q·t² + 2r·t + square) along e_to − e_from.
        let p = b[to] - b[from];
        let q = gram.at(to, to) - 2.0 * gram.at(to, from) + gram.at(from, from);
        let r = gram.along(to, w) - gram.along(from, w);
        let rest = (q * square - r * r).max(0.0);
        let curve = s * s * q - p * p;
        // Where the curve is too flat to turn, f falls all the way.
        let t = if curve > 0.0 && q > 0.0 {
            (-p * (rest / curve).sqrt() - r) / q
        } else {
            f64::INFINITY
        };
        let t = t.min(w[from]);
        if t <= 0.0 {
            return;
        }
        w[to] += t;
        w[from] -= t;
    }
}
