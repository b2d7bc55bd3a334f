//! Flags that say what a list holds to, the same for every command that builds lists.

use clap::Args;
use daogou::schema::{ListRules, QuotaRule};

/// Hard rules of a list.
#[derive(Args)]
pub(super) struct RuleFlags {
    /// How many of a kind: `category=case:max=2,min=1`, or `brand:max=3` for each brand; also `in_a_row=2`, and
    /// `window=2/4` for at most 2 in 4 places
    #[arg(long, value_name = "RULE")]
    quota: Vec<String>,
    /// No more than so many of a kind in a row: `category=2`
    #[arg(long, value_name = "of=N")]
    spacing: Vec<String>,
    /// Prices that may be listed: `100..3000`, `100..` or `..3000`
    #[arg(long, value_name = "A..B")]
    price: Option<String>,
    /// Give an item a place, from 1: `i00001@1`
    #[arg(long, value_name = "ID@N")]
    pin: Vec<String>,
    /// Items that the person has seen: `allow`, `exclude`, or at most so many
    #[arg(long, value_name = "POLICY")]
    seen: Option<String>,
}

impl RuleFlags {
    /// The rules that the flags say.
    pub(super) fn rules(&self) -> daogou::Result<ListRules> {
        let limits = self.quota.iter().map(|text| text.parse());
        let spacings = self.spacing.iter().map(|text| QuotaRule::spacing(text));
        Ok(ListRules {
            seen: self.seen.as_deref().map(str::parse).transpose()?,
            price: self.price.as_deref().map(str::parse).transpose()?,
            quotas: limits.chain(spacings).collect::<daogou::Result<_>>()?,
            pins: self.pin.iter().map(|text| text.parse()).collect::<daogou::Result<_>>()?,
        })
    }
}
