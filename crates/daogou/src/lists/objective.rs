//! What a list is worth.

use std::cmp::Ordering;

use crate::metrics::diversity::{UNKNOWN, divergence_term};
use crate::{Error, Result};

/// What a person wants of a list, and how much it counts beside the items' utility.
///
/// ```text
/// F(S) = Σ_{i∈S} u_i − λ_d K Σ_c p_c ln(p_c / q̃_c) − λ_n K (ν* − n(S)/K)₊²
/// q̃_c = (1 − α) |S ∩ c| / K + α p_c
/// ```
///
/// The middle term is K times the divergence of the list's smoothed category mix from the wanted mix `p` (Steck 2018);
/// the last one is the squared shortfall of the share of novel items: more novelty than wanted costs nothing.
/// The denominator is `K` also for a shorter set, so each item's gain only shrinks as a list grows.
#[derive(Clone, Copy, Debug)]
pub struct Objective<'a> {
    /// Items per list, K.
    pub k: usize,
    /// λ_d: utility per slot that one nat of divergence costs. See [`super::Weights::lambdas`].
    pub lambda_diversity: f64,
    /// λ_n: utility per slot that a list without any novelty costs when all of it should be novel.
    pub lambda_novelty: f64,
    /// p*: the wanted share of each category; sums to 1. May be empty when `lambda_diversity` is 0.
    pub wanted_mix: &'a [f32],
    /// ν*: the wanted share of novel items, in `[0, 1]`.
    pub wanted_novelty: f64,
    /// α, strictly between 0 and 1: keeps the divergence finite when a wanted category is absent.
    pub smoothing: f64,
}

/// What can be listed, one entry per candidate; candidates are named by their index.
#[derive(Clone, Copy, Debug, Default)]
pub struct Candidates<'a> {
    /// Utility of showing the item.
    pub utility: &'a [f32],
    /// Category; `u16::MAX` where unknown: the item then serves no wish of the mix. Empty: all unknown.
    pub category: &'a [u16],
    /// How novel the item is to this person, in `[0, 1]`, usually 0 or 1. Empty: nothing is novel.
    pub novel: &'a [f32],
    /// A number of the item that no other candidate has, such as its row in the catalogue: of equally good candidates
    /// the one with the lower number is taken.
    pub tie_break: &'a [u64],
    /// What the items are like, for builders that compare them with each other.
    pub vectors: Vectors<'a>,
}

/// One vector per candidate, row after row; default: none.
#[derive(Clone, Copy, Debug, Default)]
pub struct Vectors<'a> {
    /// N rows of `width` numbers.
    pub values: &'a [f32],
    /// Numbers per row; 0: there are no vectors.
    pub width: usize,
}

impl Candidates<'_> {
    /// Number of candidates.
    pub fn len(&self) -> usize {
        self.utility.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.utility.is_empty()
    }

    /// Category of a candidate.
    #[inline]
    pub fn category(&self, candidate: u32) -> u16 {
        self.category.get(candidate as usize).copied().unwrap_or(UNKNOWN)
    }

    /// Novelty of a candidate.
    #[inline]
    pub fn novel(&self, candidate: u32) -> f64 {
        self.novel.get(candidate as usize).map_or(0.0, |&n| f64::from(n))
    }

    /// Whether no candidate's novelty is a proper fraction. O(N).
    pub fn novelty_is_binary(&self) -> bool {
        self.novel.iter().all(|&novel| novel == 0.0 || novel == 1.0)
    }

    /// Higher utility first, then lower number.
    #[inline]
    pub fn by_utility(&self, a: u32, b: u32) -> Ordering {
        let (a, b) = (a as usize, b as usize);
        let utilities = self.utility[b].partial_cmp(&self.utility[a]).unwrap_or(Ordering::Equal);
        utilities.then_with(|| self.tie_break[a].cmp(&self.tie_break[b]))
    }
}

/// The parts of a set's value.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Breakdown {
    /// `Σ u_i`.
    pub utility: f64,
    /// The calibration term, at most 0.
    pub diversity: f64,
    /// The novelty term, at most 0.
    pub novelty: f64,
}

impl Breakdown {
    /// F(S).
    pub fn total(&self) -> f64 {
        self.utility + self.diversity + self.novelty
    }
}

impl Objective<'_> {
    fn slots(&self) -> f64 {
        self.k as f64
    }

    /// Wanted share of a category; 0 where it is unknown or not among the wanted ones.
    #[inline]
    pub fn wanted(&self, category: u16) -> f64 {
        self.wanted_mix.get(usize::from(category)).map_or(0.0, |&p| f64::from(p))
    }

    /// Number of category groups that gain differently: one per wanted category while diversity counts, and a last one
    /// for all other categories, which serves no wish.
    pub(super) fn groups(&self) -> usize {
        if self.lambda_diversity > 0.0 { self.wanted_mix.len() + 1 } else { 1 }
    }

    /// The group of a category, see [`Objective::groups`].
    #[inline]
    pub(super) fn group_of(&self, category: u16) -> usize {
        let last = self.groups() - 1;
        let group = usize::from(category).min(last);
        if group < last && self.wanted_mix[group] > 0.0 { group } else { last }
    }

    /// Whether novelty can change a set's value.
    pub(super) fn novelty_counts(&self) -> bool {
        self.lambda_novelty > 0.0 && self.wanted_novelty > 0.0
    }

    /// The calibration term's part of one category with `n` items in the set: `−λ_d K p ln(p / q̃(n))`.
    pub fn diversity_term(&self, category: u16, n: usize) -> f64 {
        let term = divergence_term(self.wanted(category), n as f64, self.slots(), self.smoothing);
        -self.lambda_diversity * self.slots() * term
    }

    /// What one more item of a category adds to the calibration term: `λ_d K p ln(q̃(n + 1) / q̃(n))`, never negative
    /// and falling with `n`.
    pub fn diversity_gain(&self, category: u16, n: usize) -> f64 {
        let wanted = self.wanted(category);
        if wanted == 0.0 || self.lambda_diversity == 0.0 {
            return 0.0;
        }
        let mix = |n: f64| (1.0 - self.smoothing) * n / self.slots() + self.smoothing * wanted;
        self.lambda_diversity * self.slots() * wanted * (mix(n as f64 + 1.0) / mix(n as f64)).ln()
    }

    /// The novelty term of a set whose items' novelty adds up to `novel`: `−λ_n K (ν* − novel/K)₊²`.
    pub fn novelty_term(&self, novel: f64) -> f64 {
        let shortfall = (self.wanted_novelty - novel / self.slots()).max(0.0);
        -self.lambda_novelty * self.slots() * shortfall * shortfall
    }

    /// What an item of this novelty adds to the novelty term of a set.
    #[inline]
    pub fn novelty_gain(&self, novel: f64, item: f64) -> f64 {
        self.novelty_term(novel + item) - self.novelty_term(novel)
    }

    /// The parts of the value of a set of distinct candidates. O(C · |S|), no allocation.
    pub fn breakdown(&self, candidates: &Candidates<'_>, set: &[u32]) -> Breakdown {
        let count = |category| set.iter().filter(|&&i| candidates.category(i) == category).count();
        let categories = 0..self.wanted_mix.len() as u16;
        Breakdown {
            utility: set.iter().map(|&i| f64::from(candidates.utility[i as usize])).sum(),
            diversity: if self.lambda_diversity == 0.0 {
                0.0
            } else {
                categories.map(|c| self.diversity_term(c, count(c))).sum()
            },
            novelty: self.novelty_term(set.iter().map(|&i| candidates.novel(i)).sum()),
        }
    }

    /// F(S) of a set of distinct candidates.
    pub fn value(&self, candidates: &Candidates<'_>, set: &[u32]) -> f64 {
        self.breakdown(candidates, set).total()
    }

    /// That the objective and the candidates make sense together. O(N + C).
    pub fn check(&self, candidates: &Candidates<'_>) -> Result<()> {
        if self.k == 0 {
            return Err(Error::config("lists.k", "expected at least 1, got 0"));
        }
        for (name, lambda) in
            [("diversity", self.lambda_diversity), ("novelty", self.lambda_novelty)]
        {
            if !lambda.is_finite() || lambda < 0.0 {
                return Err(Error::data(format!(
                    "weight of {name}: expected a finite number of at least 0, got {lambda}"
                )));
            }
        }
        if self.lambda_diversity > 0.0 {
            if !(self.smoothing > 0.0 && self.smoothing < 1.0) {
                return Err(Error::config(
                    "lists.smoothing",
                    format!("expected a number strictly between 0 and 1, got {}", self.smoothing),
                ));
            }
            let sum: f64 = self.wanted_mix.iter().map(|&p| f64::from(p)).sum();
            if self.wanted_mix.iter().any(|p| *p < 0.0) || !(0.999..1.001).contains(&sum) {
                return Err(Error::data(format!(
                    "wanted mix: expected shares of at least 0 that sum to 1, got {:?}",
                    self.wanted_mix
                ))
                .with_hint("without a wanted mix, set the weight of `diversity` to 0"));
            }
        }
        if !(0.0..=1.0).contains(&self.wanted_novelty) {
            return Err(Error::data(format!(
                "wanted novelty: expected a share in [0, 1], got {}",
                self.wanted_novelty
            )));
        }
        let n = candidates.len();
        for (name, length, optional) in [
            ("tie_break", candidates.tie_break.len(), false),
            ("category", candidates.category.len(), true),
            ("novel", candidates.novel.len(), true),
        ] {
            if length != n && !(optional && length == 0) {
                return Err(Error::data(format!(
                    "{name} of candidates: expected {n} entries, got {length}"
                )));
            }
        }
        let Vectors { values, width } = candidates.vectors;
        if values.len() != n * width {
            return Err(Error::data(format!(
                "vectors of candidates: expected {n} times {width} numbers, got {}",
                values.len()
            )));
        }
        if let Some(i) = candidates.utility.iter().position(|u| !u.is_finite()) {
            return Err(Error::data(format!(
                "utility of candidate {i}: expected a finite number, got {}",
                candidates.utility[i]
            )));
        }
        if let Some(i) = candidates.novel.iter().position(|x| !(0.0..=1.0).contains(x)) {
            return Err(Error::data(format!(
                "novelty of candidate {i}: expected a share in [0, 1], got {}",
                candidates.novel[i]
            )));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OBJECTIVE: Objective<'static> = Objective {
        k: 2,
        lambda_diversity: 0.5,
        lambda_novelty: 2.0,
        wanted_mix: &[0.75, 0.25],
        wanted_novelty: 0.5,
        smoothing: 0.1,
    };
    const CANDIDATES: Candidates<'static> = Candidates {
        utility: &[0.5, 0.25, 0.125],
        category: &[0, 1, UNKNOWN],
        novel: &[0.0, 0.0, 1.0],
        tie_break: &[0, 1, 2],
        vectors: Vectors { values: &[], width: 0 },
    };

    #[test]
    fn value_by_hand() {
        let mix = |n: f64, p: f64| 0.9 * n / 2.0 + 0.1 * p;
        let kl = |n: [f64; 2]| {
            0.75 * (0.75 / mix(n[0], 0.75)).ln() + 0.25 * (0.25 / mix(n[1], 0.25)).ln()
        };
        let b = OBJECTIVE.breakdown(&CANDIDATES, &[0, 1]);
        assert_eq!(b.utility, 0.75);
        assert!((b.diversity + 0.5 * 2.0 * kl([1.0, 1.0])).abs() < 1e-12);
        assert_eq!(b.novelty, -2.0 * 2.0 * 0.25);
        // One novel item of two is what was wanted; its unknown category serves no wish.
        let b = OBJECTIVE.breakdown(&CANDIDATES, &[0, 2]);
        assert!((b.diversity + kl([1.0, 0.0])).abs() < 1e-12);
        assert_eq!(b.novelty, 0.0);
        // More than wanted costs nothing.
        assert_eq!(OBJECTIVE.novelty_term(2.0), 0.0);
    }

    #[test]
    fn gains_are_differences_of_values() {
        for (set, item) in [(&[][..], 0u32), (&[0], 1), (&[0], 2), (&[1, 2], 0)] {
            let novel = set.iter().map(|&i| CANDIDATES.novel(i)).sum();
            let category = CANDIDATES.category(item);
            let n = set.iter().filter(|&&i| CANDIDATES.category(i) == category).count();
            let gain = f64::from(CANDIDATES.utility[item as usize])
                + OBJECTIVE.diversity_gain(category, n)
                + OBJECTIVE.novelty_gain(novel, CANDIDATES.novel(item));
            let longer = [set, &[item]].concat();
            let difference =
                OBJECTIVE.value(&CANDIDATES, &longer) - OBJECTIVE.value(&CANDIDATES, set);
            assert!((gain - difference).abs() < 1e-12);
        }
    }

    #[test]
    fn nonsense_is_an_error_that_says_what() {
        let ok = OBJECTIVE;
        ok.check(&CANDIDATES).unwrap();
        for (objective, part) in [
            (Objective { k: 0, ..ok }, "lists.k"),
            (Objective { lambda_diversity: -1.0, ..ok }, "weight of diversity"),
            (Objective { lambda_novelty: f64::NAN, ..ok }, "weight of novelty"),
            (Objective { smoothing: 0.0, ..ok }, "lists.smoothing"),
            (Objective { wanted_mix: &[], ..ok }, "wanted mix"),
            (Objective { wanted_mix: &[0.5, f32::NAN], ..ok }, "wanted mix"),
            (Objective { wanted_mix: &[1.5, -0.5], ..ok }, "wanted mix"),
            (Objective { wanted_novelty: 1.5, ..ok }, "wanted novelty"),
        ] {
            let message = objective.check(&CANDIDATES).unwrap_err().to_string();
            assert!(message.contains(part), "{message}");
        }
        Objective { wanted_mix: &[], lambda_diversity: 0.0, ..ok }.check(&CANDIDATES).unwrap();
        for (candidates, part) in [
            (Candidates { tie_break: &[1], ..CANDIDATES }, "tie_break"),
            (Candidates { category: &[1], ..CANDIDATES }, "category"),
            (Candidates { novel: &[0.0, 2.0, 0.0], ..CANDIDATES }, "novelty of candidate 1"),
            (
                Candidates { vectors: Vectors { values: &[0.0; 4], width: 2 }, ..CANDIDATES },
                "expected 3 times 2 numbers, got 4",
            ),
            (Candidates { utility: &[0.0, 0.0, f32::NAN], ..CANDIDATES }, "utility of candidate 2"),
        ] {
            let message = ok.check(&candidates).unwrap_err().to_string();
            assert!(message.contains(part), "{message}");
        }
        ok.check(&Candidates { category: &[], novel: &[], ..CANDIDATES }).unwrap();
    }
}
