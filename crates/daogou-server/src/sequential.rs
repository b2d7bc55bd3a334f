//! Differences of arms with intervals that hold at any time: look as often as you like, stop when you like.
//!
//! An arm's value is a ratio of sums over its people, `R = Σ y / Σ n` (clicks over lists). People are independent, what
//! one person does is not, so the variance is taken over people (delta method):
//!
//! ```text
//! Var R ≈ Σ_u (y_u − R n_u)² / (Σ n)²
//! ```
//!
//! For a difference `d` with variance `V` the interval is that of the mixture sequential probability ratio test with a
//! normal mixture of standard deviation τ (Robbins 1970; Johari, Pekelis, Walsh 2017, eq. 7–9):
//!
//! ```text
//! d ± sqrt( V (V + τ²) / τ² · ( ln((V + τ²) / V) − 2 ln α ) )
//! ```
//!
//! It covers the truth at all times at once with probability 1 − α, asymptotically: nothing is said before
//! [`FEWEST`] people per arm. τ is the size of effects that are worth finding, [`TAU`] of the reference's value; another τ
//! would be as valid, and slower.

use serde::Serialize;
use utoipa::ToSchema;

/// People per arm before anything is said.
pub(crate) const FEWEST: u64 = 30;

/// Effects that the test is quickest for, relative to the reference.
const TAU: f64 = 0.1;

/// Sums over the people of an arm.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Sums {
    pub(crate) people: u64,
    n: f64,
    y: f64,
    nn: f64,
    ny: f64,
    yy: f64,
}

/// What a comparison says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Verdict {
    /// The interval is above 0.
    Better,
    /// The interval is below 0.
    Worse,
    /// The interval has 0 in it, or there are too few people.
    NoDifferenceYet,
}

/// An arm against the reference.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Difference {
    pub(crate) difference: f64,
    pub(crate) interval: (f64, f64),
    pub(crate) verdict: Verdict,
}

impl Sums {
    /// A person's sums change from `before` to `after`; a new person comes from (0, 0).
    pub(crate) fn change(&mut self, before: (f64, f64), after: (f64, f64)) {
        let was = before != (0.0, 0.0);
        let is = after != (0.0, 0.0);
        self.people = self.people + u64::from(is) - u64::from(was);
        for ((n, y), sign) in [(before, -1.0), (after, 1.0)] {
            self.n += sign * n;
            self.y += sign * y;
            self.nn += sign * n * n;
            self.ny += sign * n * y;
            self.yy += sign * y * y;
        }
    }

    /// Value of the arm; `None` before there is anything.
    pub(crate) fn mean(&self) -> Option<f64> {
        (self.n > 0.0).then(|| self.y / self.n)
    }

    fn variance(&self) -> Option<f64> {
        let mean = self.mean()?;
        let squares = self.yy - 2.0 * mean * self.ny + mean * mean * self.nn;
        Some(squares.max(0.0) / (self.n * self.n))
    }
}

/// How `arm` differs from `reference`; `None` before there is anything to say.
pub(crate) fn compare(arm: &Sums, reference: &Sums, alpha: f64) -> Option<Difference> {
    let difference = arm.mean()? - reference.mean()?;
    let variance = arm.variance()? + reference.variance()?;
    let tau = TAU * reference.mean()?.abs();
    if arm.people.min(reference.people) < FEWEST || variance <= 0.0 || tau <= 0.0 {
        return None;
    }
    let square = tau * tau;
    let reach = variance * (variance + square) / square
        * (((variance + square) / variance).ln() - 2.0 * alpha.ln());
    let half = reach.sqrt();
    let interval = (difference - half, difference + half);
    let verdict = match interval {
        (low, _) if low > 0.0 => Verdict::Better,
        (_, high) if high < 0.0 => Verdict::Worse,
        _ => Verdict::NoDifferenceYet,
    };
    Some(Difference { difference, interval, verdict })
}

#[cfg(test)]
mod tests {
    use daogou_nn::rng::Rng;

    use super::*;

    /// One experiment: people of different activity and liking come again and again; the arms are compared after each
    /// 50 lists. The verdicts that were ever given.
    fn run(seed: u64, effect: f64, visits: usize) -> (bool, bool) {
        let mut rng = Rng::new(seed, 0);
        let people = 400;
        let liking: Vec<f64> = (0..people).map(|_| 0.1 + 0.5 * rng.uniform()).collect();
        let activity: Vec<f64> = (0..people).map(|_| rng.uniform().powi(3)).collect();
        let mut own = vec![(0.0, 0.0); people];
        let mut arms = [Sums::default(); 2];
        let (mut better, mut worse) = (false, false);
        for visit in 0..visits {
            let person = loop {
                let person = (rng.uniform() * people as f64) as usize % people;
                if rng.uniform() < activity[person] {
                    break person;
                }
            };
            let arm = person % 2;
            let lift = if arm == 1 { 1.0 + effect } else { 1.0 };
            let clicks =
                (0..10).filter(|_| rng.uniform() < 0.3 * liking[person] * lift).count() as f64;
            let before = own[person];
            own[person] = (before.0 + 1.0, before.1 + clicks);
            arms[arm].change(before, own[person]);
            if visit % 50 == 49
                && let Some(found) = compare(&arms[1], &arms[0], 0.05)
            {
                better |= found.verdict == Verdict::Better;
                worse |= found.verdict == Verdict::Worse;
            }
        }
        (better, worse)
    }

    #[test]
    fn equal_arms_are_told_apart_in_at_most_5_of_100_however_often_one_looks() {
        let told = (0..100).filter(|&seed| {
            let (better, worse) = run(seed, 0.0, 8_000);
            better || worse
        });
        let told = told.count();
        assert!(told <= 5, "{told} of 100");
    }

    #[test]
    fn a_true_effect_is_found() {
        let found = (0..20).filter(|&seed| run(seed, 0.5, 12_000) == (true, false)).count();
        assert!(found >= 18, "{found} of 20");
    }

    #[test]
    fn sums_are_those_of_the_people() {
        let mut rng = Rng::new(5, 0);
        let mut own = vec![(0.0, 0.0); 40];
        let mut sums = Sums::default();
        for _ in 0..500 {
            let person = (rng.uniform() * 40.0) as usize;
            let before: (f64, f64) = own[person];
            own[person] = (before.0 + 1.0, before.1 + f64::from(u8::from(rng.uniform() < 0.3)));
            sums.change(before, own[person]);
        }
        let (n, y) = own.iter().fold((0.0, 0.0), |(n, y), own| (n + own.0, y + own.1));
        let mean = y / n;
        let squares: f64 = own.iter().map(|(n, y)| (y - mean * n).powi(2)).sum();
        assert!((sums.mean().unwrap() - mean).abs() < 1e-12);
        assert!((sums.variance().unwrap() - squares / (n * n)).abs() < 1e-12);
        assert_eq!(sums.people, own.iter().filter(|own| own.0 > 0.0).count() as u64);
    }
}
