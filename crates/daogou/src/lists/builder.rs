//! The ways to build a list, by name.

use super::{Candidates, Greedy, Objective, TopK};
use crate::{Error, Result};

/// A way to choose K candidates.
pub trait ListBuilder: Send + Sync {
    /// Its name in `[lists] builder`.
    fn name(&self) -> &'static str;

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
    pub(super) cells: Vec<super::greedy::Cell>,
    /// Gain and count per category.
    pub(super) categories: Vec<super::greedy::Category>,
}

/// Names that [`builder`] knows.
pub const NAMES: [&str; 3] = ["auto", "greedy", "top_k"];

/// The builder of a name in the configuration; `auto` is the best one there is for the objective, now `greedy`.
pub fn builder(name: &str) -> Result<&'static dyn ListBuilder> {
    match name {
        "auto" | "greedy" => Ok(&Greedy),
        "top_k" => Ok(&TopK),
        _ => Err(Error::config(
            "lists.builder",
            format!("expected one of {}, got `{name}`", NAMES.join(", ")),
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::{NAMES, builder};

    #[test]
    fn every_name_has_a_builder_and_others_are_refused() {
        for name in NAMES {
            let built = builder(name).unwrap().name();
            assert!(built == name || name == "auto");
        }
        let message = builder("best").err().unwrap().to_string();
        assert_eq!(
            message,
            "config key `lists.builder`: expected one of auto, greedy, top_k, got `best`"
        );
    }
}
