//! Rules under which the best list can still be found: bounds on the numbers of disjoint groups.

use super::rules::NO_VALUE;
use super::{Candidates, Objective, Rules};

/// Entries of the largest table that is worth filling, some tenths of a second.
const MOST_STEPS: usize = 50_000_000;

/// Groups that partition the candidates that may be listed.
#[derive(Clone, Debug)]
pub(super) struct Groups {
    /// Group of every candidate; `u32::MAX`: kept out.
    of: Vec<u32>,
    bounds: Vec<Bound>,
}

/// How many items of a group a list may have.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bound {
    /// The group of the calibration term that its items are in, see [`Objective::groups`].
    pub(super) mix: usize,
    /// At least this many.
    pub(super) min: usize,
    /// At most this many.
    pub(super) max: usize,
}

impl Groups {
    /// The groups that rules make of candidates for lists of `k`. What a window can hold in all bounds a number too; whether
    /// some order holds to it is not said.
    ///
    /// `None` where rules are more than exclusions and quotas of one attribute, where a value of it is in several
    /// categories that count (then numbers of categories and of values do not add up), where a minimum has no candidate,
    /// where novelty is a fraction, or where the table would be too large. O(N log N).
    pub(super) fn of(
        rules: &Rules<'_>,
        candidates: &Candidates<'_>,
        objective: &Objective<'_>,
        k: usize,
    ) -> Option<Self> {
        let quotas = rules.quotas_of_one_attribute()?;
        if !candidates.novelty_is_binary() {
            return None;
        }
        let values = rules.values_of(quotas[0].attribute);
        let limits = |value: u32| {
            let named = move |own: Option<u32>| own.is_none_or(|own| own == value);
            quotas.iter().filter(move |quota| value != NO_VALUE && named(quota.value))
        };
        // The calibration term's group, then the value; of values without limits none is told from another.
        let key = |i: u32| {
            let value = values[i as usize];
            let limited = limits(value).next().is_some();
            let mix = objective.group_of(candidates.category(i));
            (mix, if limited { value } else { NO_VALUE })
        };
        let allowed = || (0..candidates.len() as u32).filter(|&i| !rules.is_forbidden(i));
        let mut keys: Vec<(usize, u32)> = allowed().map(key).collect();
        keys.sort_unstable();
        keys.dedup();
        let last = objective.groups() - 1;
        let adds_up = keys.windows(2).all(|pair| pair[0].0 != pair[1].0 || pair[0].0 == last);
        let mut limited: Vec<u32> =
            keys.iter().map(|key| key.1).filter(|&value| value != NO_VALUE).collect();
        limited.sort_unstable();
        let whole = limited.windows(2).all(|pair| pair[0] != pair[1]);
        let steps = keys.len().saturating_mul((k + 1).saturating_pow(4) / 4);
        let is_there = |value: u32| limited.binary_search(&value).is_ok();
        let lacking = quotas.iter().any(|q| q.min > 0 && !q.value.is_some_and(is_there));
        if !adds_up || !whole || lacking || steps > MOST_STEPS {
            return None;
        }
        let bound = |&(mix, value): &(usize, u32)| Bound {
            mix,
            min: limits(value).filter(|q| q.value.is_some()).map(|q| q.min).max().unwrap_or(0),
            max: limits(value).map(|q| q.capacity(k)).min().unwrap_or(usize::MAX),
        };
        let mut of = vec![u32::MAX; candidates.len()];
        for i in allowed() {
            of[i as usize] = keys.binary_search(&key(i)).ok()? as u32;
        }
        Some(Self { of, bounds: keys.iter().map(bound).collect() })
    }

    /// Bounds, by group.
    pub(super) fn bounds(&self) -> &[Bound] {
        &self.bounds
    }

    /// The group of a candidate that may be listed.
    pub(super) fn group(&self, candidate: u32) -> Option<usize> {
        let group = self.of[candidate as usize];
        (group != u32::MAX).then_some(group as usize)
    }
}
