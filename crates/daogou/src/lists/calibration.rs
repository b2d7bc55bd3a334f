//! The calibration term of a request, tabulated.

use super::Objective;

/// `φ_g(n) − φ_g(0)` per category group `g` and count `n`: what `n` items of a group add to the calibration term. It is
/// concave and grows with `n`, and 0 for the group of categories that serve no wish.
#[derive(Clone, Debug, Default)]
pub(super) struct Calibration {
    values: Vec<f64>,
    stride: usize,
}

impl Calibration {
    /// Tabulates counts up to `k`. O(C k) logarithms.
    pub(super) fn fill(&mut self, objective: &Objective<'_>, k: usize) {
        self.stride = k + 1;
        self.values.clear();
        for group in 0..objective.groups() {
            let mut value = 0.0;
            self.values.push(value);
            for n in 0..k {
                // The last group is no category of the mix, so it gains nothing.
                if group + 1 < objective.groups() {
                    value += objective.diversity_gain(group as u16, n);
                }
                self.values.push(value);
            }
        }
    }

    /// What `0..=k` items of a group add.
    pub(super) fn of(&self, group: usize) -> &[f64] {
        &self.values[group * self.stride..(group + 1) * self.stride]
    }
}
