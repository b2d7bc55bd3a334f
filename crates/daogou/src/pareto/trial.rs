//! The ways to make lists that a sweep tries.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::lists::{
    Auto, Dpp, Greedy, GreedySwap, ListBuilder, Mmr, RandomSwap, TopK, Weights, Xquad,
};

/// Whose answers lists are built from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Heads {
    /// All heads of the run.
    Trained,
    /// What is wanted comes from the user's own past: the recency-weighted mix of what was engaged with, shrunk to
    /// everyone's, and the user's past share of new items. Click and purchase are the run's.
    History,
    /// What is wanted is the same for everybody: the means of the training split. Click and purchase are the run's.
    Constant,
    /// The mix that is wanted is the truth of a simulated log: what this person would click under equal exposure. The rest
    /// is the run's.
    TrueMix,
    /// Everything is the truth of a simulated log: no model can know it all, so this bounds what a better model could gain.
    /// What novelty is wanted has no truth; all of it is.
    Oracle,
}

/// A way to make lists.
#[derive(Clone)]
pub struct Trial {
    /// Whose answers.
    pub heads: Heads,
    /// The builder.
    pub builder: Arc<dyn ListBuilder>,
    /// What the builder's own dial is set to, where it has one.
    pub dial: Option<f64>,
    /// Weights; builders that maximise another criterion look at those of items only.
    pub weights: Weights,
    /// How far lists go beyond what the answers say is wanted.
    pub explore: f64,
}

impl Trial {
    /// A trial of the run's own heads and the best builder.
    pub fn own(weights: Weights, explore: f64) -> Self {
        Self { heads: Heads::Trained, builder: Arc::new(Auto), dial: None, weights, explore }
    }

    /// Whether it is what the run would serve: its own heads, and the best list for them.
    pub fn is_own(&self) -> bool {
        self.heads == Heads::Trained && self.builder.name() == Auto.name()
    }
}

/// Weights of diversity that a sweep tries.
const DIVERSITY: [f64; 8] = [0.0, 0.05, 0.1, 0.2, 0.3, 0.5, 1.0, 2.0];
/// Weights of novelty.
const NOVELTY: [f64; 4] = [0.0, 0.1, 0.5, 3.0];
/// How far lists go beyond what is wanted.
const EXPLORE: [f64; 3] = [0.0, 0.3, 1.0];
/// Dials of the re-rankers that have one.
const RELEVANCE: [f64; 6] = [0.1, 0.3, 0.5, 0.7, 0.9, 0.97];
/// Shares of items that the random re-ranker swaps.
const SWAPS: [f64; 3] = [0.1, 0.3, 0.6];

/// The trials of a sweep: a grid of weights of diversity and novelty and of exploration at the configured weights of items,
/// for the run's own heads and, so that heads can be compared, for other answers; the same grid without exploration at other
/// weights of items; the other builders over their dials, on the run's own heads.
///
/// `configured` are the weights of the configuration without what the run has no head for; `can` says whether there are a
/// diversity and a novelty head, and `truth` whether the log is simulated.
pub fn plan(configured: &Weights, can: (bool, bool), truth: bool) -> Vec<Trial> {
    let (can_diversify, can_renew) = can;
    let grid = |heads: Heads, items: Weights, explore: &[f64], trials: &mut Vec<Trial>| {
        for &explore in explore {
            for &diversity in if can_diversify { &DIVERSITY[..] } else { &DIVERSITY[..1] } {
                for &novelty in if can_renew { &NOVELTY[..] } else { &NOVELTY[..1] } {
                    let weights = Weights { diversity, novelty, ..items };
                    // Nothing to explore where nothing is wanted.
                    if explore == 0.0 || diversity > 0.0 || novelty > 0.0 {
                        trials.push(Trial { heads, ..Trial::own(weights, explore) });
                    }
                }
            }
        }
    };
    let items = Weights { diversity: 0.0, novelty: 0.0, ..*configured };
    let none = Weights::default();
    let mut mixes = vec![items];
    for other in [
        Weights { click: 1.0, ..none },
        Weights { click: items.click, purchase: 4.0 * items.purchase, ..none },
        Weights { purchase: items.purchase, ..none },
        Weights { revenue: items.revenue, ..none },
    ] {
        if other != none && other.purchase <= 4.0 * items.purchase && !mixes.contains(&other) {
            mixes.push(other);
        }
    }
    let mut trials = Vec::new();
    for (i, mix) in mixes.into_iter().enumerate() {
        let explore = if i == 0 { &EXPLORE[..] } else { &EXPLORE[..1] };
        grid(Heads::Trained, mix, explore, &mut trials);
    }
    let others = [Heads::History, Heads::Constant, Heads::TrueMix, Heads::Oracle];
    let wanted = if truth { &others[..] } else { &others[..2] };
    if can_diversify || can_renew {
        wanted.iter().for_each(|&heads| grid(heads, items, &EXPLORE, &mut trials));
    }

    let mut rival = |builder: Arc<dyn ListBuilder>, dial: Option<f64>, weights: Weights| {
        trials.push(Trial { heads: Heads::Trained, builder, dial, weights, explore: 0.0 });
    };
    rival(Arc::new(TopK), None, items);
    for relevance in RELEVANCE {
        rival(Arc::new(Mmr { relevance }), Some(relevance), items);
        rival(Arc::new(Dpp { relevance }), Some(relevance), items);
        if can_diversify {
            rival(Arc::new(Xquad { relevance }), Some(relevance), items);
        }
    }
    for rate in SWAPS {
        rival(Arc::new(RandomSwap { rate, ..RandomSwap::DEFAULT }), Some(rate), items);
    }
    if can_diversify {
        for diversity in DIVERSITY {
            let novelty = if can_renew { 0.1 } else { 0.0 };
            let weights = Weights { diversity, novelty, ..items };
            rival(Arc::new(Greedy), None, weights);
            rival(Arc::new(GreedySwap), None, weights);
        }
    }
    trials
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plan_has_no_trial_twice_and_asks_for_no_head_that_is_not_there() {
        let configured =
            Weights { click: 1.0, purchase: 3.0, diversity: 0.3, novelty: 0.1, revenue: 0.0 };
        for can in [(true, true), (true, false), (false, false)] {
            let trials = plan(&configured, can, true);
            for (i, a) in trials.iter().enumerate() {
                assert!(can.0 || a.weights.diversity == 0.0);
                assert!(can.1 || a.weights.novelty == 0.0);
                assert!(a.weights != Weights::default() && a.weights.revenue == 0.0);
                let same = |b: &Trial| {
                    (a.heads, a.builder.name(), a.weights, a.dial, a.explore)
                        == (b.heads, b.builder.name(), b.weights, b.dial, b.explore)
                };
                assert!(!trials[..i].iter().any(same), "{i}");
            }
        }
        let own = plan(&configured, (true, true), false);
        assert!(own.iter().all(|trial| trial.heads != Heads::Oracle));
        assert_eq!(own.iter().filter(|trial| trial.is_own()).count(), 4 * 32 + 2 * 31);
        let clicks = Weights { click: 1.0, ..Weights::default() };
        let only = plan(&clicks, (false, false), false);
        assert_eq!(only.iter().filter(|trial| trial.is_own()).count(), 1);
    }
}
