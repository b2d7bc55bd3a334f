//! The ways to build a list, by name.

use super::{
    Auto, Candidates, Dpp, Exact, Greedy, GreedySwap, Mmr, Objective, RandomSwap, TopK, Xquad,
};
use crate::{Error, Result};

/// A way to choose K candidates.
pub trait ListBuilder: Send + Sync {
    /// Its name in `[lists] builder`.
    fn name(&self) -> &'static str;

    /// Whether it looks for the list of highest F(S), rather than for what another criterion prefers.
    fn maximises_objective(&self) -> bool {
        false
    }

    /// Whether what it builds of these candidates is the list of highest F(S), however F is found.
    fn finds_best(&self, candidates: &Candidates<'_>, objective: &Objective<'_>) -> bool {
        let _ = (candidates, objective);
        false
    }

    /// Puts up to K candidates into `list`, in the order to show them: falling utility, ties by lower
    /// [`Candidates::tie_break`]. All candidates if there are fewer than K.
    ///
    /// The result does not depend on the order of the candidates. Once `scratch` and `list` have grown, nothing is
    /// allocated. Errors: what [`Objective::check`] refuses.
    fn build(
        &self,
        candidates: &Candidates<'_>,
        objective: &Objective<'_>,
        scratch: &mut Scratch,
        list: &mut Vec<u32>,
    ) -> Result<()>;
}

/// Memory that builders use again from list to list; holds nothing between them.
#[derive(Clone, Debug, Default)]
pub struct Scratch {
    /// Candidates, in an order of the builder's.
    pub(super) candidates: Vec<u32>,
    /// Groups of candidates that gain alike.
    pub(super) cells: super::cells::Cells,
    /// Gain and count per category.
    pub(super) categories: Vec<super::greedy::Category>,
    /// The calibration term by category and count.
    pub(super) calibration: super::calibration::Calibration,
    /// The best sets of every size and novelty.
    pub(super) table: super::exact::Table,
    /// Listed items per category.
    pub(super) counts: Vec<usize>,
    /// Whether a candidate is listed.
    pub(super) listed: Vec<bool>,
    /// Utility between 0 and 1, or what is made of it.
    pub(super) relevance: Vec<f32>,
    /// Vectors of length 1, rearranged.
    pub(super) panels: Vec<f32>,
    /// Similarity of one candidate to all.
    pub(super) row: Vec<f32>,
    /// What a builder maximises in its next step.
    pub(super) scores: Vec<f32>,
    /// How much of each candidate, or category, the listed items cover or leave.
    pub(super) closest: Vec<f32>,
    /// Columns of a Cholesky factor, one per listed item.
    pub(super) cholesky: Vec<f32>,
}

/// Builders with the parameters they have by default.
static BUILDERS: [&dyn ListBuilder; 9] = [
    &Auto,
    &Exact,
    &Greedy,
    &GreedySwap,
    &TopK,
    &Mmr::DEFAULT,
    &Dpp::DEFAULT,
    &Xquad::DEFAULT,
    &RandomSwap::DEFAULT,
];

/// Names that [`builder`] knows, the default first.
pub fn names() -> impl Iterator<Item = &'static str> {
    BUILDERS.iter().map(|builder| builder.name())
}

/// The builder of a name in the configuration, with default parameters.
pub fn builder(name: &str) -> Result<&'static dyn ListBuilder> {
    BUILDERS.iter().copied().find(|builder| builder.name() == name).ok_or_else(|| {
        let names: Vec<&str> = names().collect();
        Error::config(
            "lists.builder",
            format!("expected one of {}, got `{name}`", names.join(", ")),
        )
    })
}

#[cfg(test)]
mod tests {
    use super::{builder, names};

    #[test]
    fn every_name_has_its_builder_and_others_are_refused() {
        for name in names() {
            assert_eq!(builder(name).unwrap().name(), name);
        }
        let message = builder("best").err().unwrap().to_string();
        assert_eq!(
            message,
            "config key `lists.builder`: expected one of auto, exact, greedy, greedy_swap, top_k, mmr, dpp, xquad, \
             random_swap, got `best`"
        );
    }
}
