//! Making any builder hold to rules.

use super::exact::best_within;
use super::greedy_swap::best_exchange;
use super::groups::Groups;
use super::rules::EMPTY;
use super::{Candidates, GreedySwap, ListBuilder, Objective, Rules, Scratch, Vectors};
use crate::{Error, Result};

/// Ways to fill a place that are tried before a search gives up.
const TRIES: usize = 20_000;

/// Builds a list that holds to every rule.
///
/// The builder chooses among the candidates that may be listed, knowing nothing of quotas and places. If its items can
/// be put into an order that holds to the rules, they are the list: then it is as good as the builder makes it. If not,
/// places are filled one after the other, each by the first item that leaves all rules within reach, the builder's
/// choice first and then by utility, going back where nothing fits. For builders that maximise F(S), exchanges of one
/// item that hold to the rules and raise F(S) follow; the list need not be the best one under the rules. Last, items
/// change places where that brings the order closer to falling utility.
///
/// Where the builder finds the best list without rules, and rules are exclusions, minima and maxima of categories, or of
/// another attribute while diversity has no weight, the list is the best one under the rules. So it is with windows too if
/// the best items under the numbers that windows can hold have an order that holds to them.
///
/// The search is complete: a list is found if there is one, short of 20,000 tries. Candidates that are alike to all
/// quotas are tried once per place. Without rules this is the builder alone.
///
/// Errors: what the builder refuses; a rule that cannot be met, by name and with numbers.
pub fn build_under(
    rules: &Rules<'_>,
    builder: &dyn ListBuilder,
    candidates: &Candidates<'_>,
    objective: &Objective<'_>,
    scratch: &mut Scratch,
    list: &mut Vec<u32>,
) -> Result<()> {
    if rules.is_empty() {
        return builder.build(candidates, objective, scratch, list);
    }
    objective.check(candidates)?;
    let places = rules.places(candidates, objective.k)?;
    build_allowed(rules, builder, candidates, objective, scratch, list)?;
    if rules.broken(list).is_none() {
        return Ok(());
    }
    if put_in_order(rules, candidates, places, list) {
        return Ok(());
    }
    if builder.finds_best(candidates, objective)
        && let Some(groups) = Groups::of(rules, candidates, objective, places)
        && best_within(&groups, candidates, objective, places, scratch, list)
        && (rules.broken(list).is_none() || put_in_order(rules, candidates, places, list))
    {
        return Ok(());
    }
    let mut others: Vec<u32> = (0..candidates.len() as u32)
        .filter(|&i| !rules.is_forbidden(i) && !list.contains(&i))
        .collect();
    others.sort_unstable_by(|&a, &b| candidates.by_utility(a, b));
    let preferred = [&list[..], &others].concat();
    let mut search = Search::new(rules, &preferred, places);
    search.start()?;
    if !search.fill(0) {
        return Err(search.failure());
    }
    *list = search.list;
    if builder.maximises_objective() {
        exchange(rules, candidates, objective, &preferred, scratch, list);
    }
    order_by_utility(rules, candidates, list);
    Ok(())
}

/// Gives a list's items the order that holds to the rules and is closest to falling utility; `false`: there is none, and
/// nothing has changed.
fn put_in_order(
    rules: &Rules<'_>,
    candidates: &Candidates<'_>,
    places: usize,
    list: &mut Vec<u32>,
) -> bool {
    let pins_listed = rules.pins().iter().all(|pin| list.contains(&pin.candidate));
    if !pins_listed || !rules.numbers_hold(list) {
        return false;
    }
    let mut ordered = Search::new(rules, list, places);
    if ordered.start().is_err() || !ordered.fill(0) {
        return false;
    }
    *list = ordered.list;
    order_by_utility(rules, candidates, list);
    true
}

/// The builder's list of the candidates that are not forbidden.
fn build_allowed(
    rules: &Rules<'_>,
    builder: &dyn ListBuilder,
    candidates: &Candidates<'_>,
    objective: &Objective<'_>,
    scratch: &mut Scratch,
    list: &mut Vec<u32>,
) -> Result<()> {
    let n = candidates.len() as u32;
    let kept: Vec<u32> = (0..n).filter(|&i| !rules.is_forbidden(i)).collect();
    fn pick<T: Copy>(all: &[T], kept: &[u32]) -> Vec<T> {
        // An optional column that is not there stays so.
        if all.is_empty() { Vec::new() } else { kept.iter().map(|&i| all[i as usize]).collect() }
    }
    let Vectors { values, width } = candidates.vectors;
    let vectors: Vec<f32> =
        kept.iter().flat_map(|&i| &values[i as usize * width..][..width]).copied().collect();
    let allowed = Candidates {
        utility: &pick(candidates.utility, &kept),
        category: &pick(candidates.category, &kept),
        novel: &pick(candidates.novel, &kept),
        tie_break: &pick(candidates.tie_break, &kept),
        vectors: Vectors { values: &vectors, width },
    };
    builder.build(&allowed, objective, scratch, list)?;
    list.iter_mut().for_each(|i| *i = kept[*i as usize]);
    Ok(())
}

/// Fills places one after the other, going back where nothing fits.
struct Search<'a> {
    rules: &'a Rules<'a>,
    /// Candidates by preference.
    preferred: &'a [u32],
    /// Ranks in `preferred` of candidates that are alike to all quotas, first to last.
    kinds: Vec<Vec<u32>>,
    /// How many of each kind are listed.
    taken: Vec<usize>,
    list: Vec<u32>,
    tries: usize,
    /// The furthest place that nothing fitted, and a quota that was in the way.
    blocked: (usize, Option<usize>),
}

impl<'a> Search<'a> {
    fn new(rules: &'a Rules<'a>, preferred: &'a [u32], places: usize) -> Self {
        let pinned = |i: u32| rules.pins().iter().any(|pin| pin.candidate == i);
        let mut ranks: Vec<u32> =
            (0..preferred.len() as u32).filter(|&rank| !pinned(preferred[rank as usize])).collect();
        let values = |rank: u32| rules.values(preferred[rank as usize]);
        ranks.sort_by(|&a, &b| values(a).cmp(values(b)));
        let kinds: Vec<Vec<u32>> =
            ranks.chunk_by(|&a, &b| values(a).eq(values(b))).map(<[u32]>::to_vec).collect();
        Self {
            rules,
            preferred,
            taken: vec![0; kinds.len()],
            kinds,
            list: vec![EMPTY; places],
            tries: 0,
            blocked: (0, None),
        }
    }

    /// Puts pins into their places. Errors: pins that break a quota.
    fn start(&mut self) -> Result<()> {
        for pin in self.rules.pins() {
            self.list[pin.place] = pin.candidate;
        }
        for pin in self.rules.pins() {
            if let Some(quota) = self.rules.misfit(&self.list, pin.place) {
                return Err(Error::data(format!(
                    "rule {}: the pins break it, that of {} at place {} for one",
                    self.rules.describe(quota),
                    pin.label,
                    pin.place + 1
                )));
            }
        }
        if let Some(quota) = self.rules.out_of_reach(&self.list) {
            return Err(Error::data(format!(
                "rule {}: the pins leave too few places for it",
                self.rules.describe(quota)
            )));
        }
        Ok(())
    }

    /// Fills the places from `place` on; `false`: not possible, and nothing has changed.
    fn fill(&mut self, place: usize) -> bool {
        if place == self.list.len() {
            return true;
        }
        if self.list[place] != EMPTY {
            return self.fill(place + 1);
        }
        let mut tried = None;
        while let Some((rank, kind)) = self.next_after(tried) {
            if self.tries == TRIES {
                break;
            }
            self.tries += 1;
            tried = Some(rank);
            self.list[place] = self.preferred[rank as usize];
            self.taken[kind] += 1;
            let rules = self.rules;
            let obstacle =
                rules.misfit(&self.list, place).or_else(|| rules.out_of_reach(&self.list));
            if obstacle.is_none() && self.fill(place + 1) {
                return true;
            }
            if obstacle.is_some() && place >= self.blocked.0 {
                self.blocked = (place, obstacle);
            }
            self.taken[kind] -= 1;
            self.list[place] = EMPTY;
        }
        false
    }

    /// The most preferred candidate after a rank that is the first unlisted one of its kind, and the kind.
    fn next_after(&self, tried: Option<u32>) -> Option<(u32, usize)> {
        let firsts = self.kinds.iter().zip(&self.taken).enumerate();
        firsts
            .filter_map(|(kind, (ranks, &taken))| Some((*ranks.get(taken)?, kind)))
            .filter(|&(rank, _)| tried.is_none_or(|tried| rank > tried))
            .min()
    }

    fn failure(&self) -> Error {
        let (place, quota) = self.blocked;
        let searched =
            if self.tries == TRIES { format!(" in {TRIES} tries") } else { String::new() };
        let rule = quota.map_or(String::new(), |quota| {
            format!("; rule {} is in the way", self.rules.describe(quota))
        });
        Error::data(format!(
            "rules: no list of {} that holds to all of them was found{searched}; at best {place} places are filled{rule}",
            self.list.len()
        ))
        .with_hint("each rule alone can be met, all together cannot: loosen one")
    }
}

/// Exchanges of one item that raise F(S) and hold to the rules, until there is none.
fn exchange(
    rules: &Rules<'_>,
    candidates: &Candidates<'_>,
    objective: &Objective<'_>,
    pool: &[u32],
    scratch: &mut Scratch,
    list: &mut [u32],
) {
    let mut trial = list.to_vec();
    GreedySwap::prepare(candidates, objective, list, scratch);
    scratch.candidates.clear();
    scratch.candidates.extend_from_slice(pool);
    for _ in 0..GreedySwap::ROUNDS * list.len() {
        trial.copy_from_slice(list);
        let found = best_exchange(candidates, objective, scratch, list, |place, entering| {
            trial[place] = entering;
            let holds = rules.broken(&trial).is_none();
            trial[place] = list[place];
            holds
        });
        let Some((place, entering)) = found else { return };
        GreedySwap::swap(scratch, &mut list[place], entering);
    }
}

/// Lets two items change places where the one of higher utility comes later, as long as the rules allow.
fn order_by_utility(rules: &Rules<'_>, candidates: &Candidates<'_>, list: &mut [u32]) {
    // Each swap removes an inversion.
    let mut moved = true;
    while std::mem::take(&mut moved) {
        for first in 0..list.len() {
            for second in first + 1..list.len() {
                if candidates.by_utility(list[second], list[first]).is_lt() {
                    list.swap(first, second);
                    if rules.broken(list).is_some() {
                        list.swap(first, second);
                    } else {
                        moved = true;
                    }
                }
            }
        }
    }
}
