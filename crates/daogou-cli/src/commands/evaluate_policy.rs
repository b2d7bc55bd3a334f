//! `daogou evaluate-policy`.

use std::path::PathBuf;

use clap::Args;
use daogou::metrics::BootstrapOptions;
use daogou::off_policy::{
    ExaminationSource, Policy, PolicyOptions, evaluate_policies, table::table,
};
use daogou::run::TrainedRun;

use super::eval::{Part, log};
use super::{Format, Outcome};
use crate::terminal::print;

/// Estimate what logged lists would have earned under other policies
///
/// SPEC is `click`, `purchase`, `revenue` or weights of them, such as `click=1,purchase=3`: the shown items in the
/// model's order; `popularity`: by click rate in training; `random`: in any order; or `file:F`: any policy, by the
/// column `target_propensity` of F, one row per row of the log.
#[derive(Args)]
pub(crate) struct EvaluatePolicy {
    /// Run directory
    run: PathBuf,
    /// A policy to evaluate; may be given several times
    #[arg(long = "policy", value_name = "SPEC", required = true)]
    policies: Vec<String>,
    /// Another log with the same columns; all of it is measured
    #[arg(long, value_name = "F")]
    data: Option<PathBuf>,
    /// Part of the training log
    #[arg(long, value_enum, default_value = "test")]
    split: Part,
    /// Cut weights here; by default at the root of the number of lists, at most 50
    #[arg(long, value_name = "M")]
    clip: Option<f64>,
    /// How likely places are to be looked at: `estimated` from the log, or `power:P` for place^-P
    #[arg(long, value_name = "E", default_value = "estimated")]
    examination: String,
    /// Bootstrap replicates behind the intervals
    #[arg(long, value_name = "N", default_value_t = 1000)]
    replicates: usize,
    /// Form of the output
    #[arg(long, value_enum, default_value = "table")]
    format: Format,
}

impl EvaluatePolicy {
    pub(super) fn run(self) -> anyhow::Result<Outcome> {
        // What was asked for is checked before anything is read.
        let parsed = |text: String| -> daogou::Result<(String, Policy)> {
            let policy = text.parse()?;
            Ok((text, policy))
        };
        let policies = self.policies.into_iter().map(parsed).collect::<daogou::Result<Vec<_>>>()?;
        let examination: ExaminationSource = self.examination.parse()?;
        let options = PolicyOptions {
            clip: self.clip,
            examination,
            bootstrap: BootstrapOptions { replicates: self.replicates, ..Default::default() },
        };
        let (run, manifest) = TrainedRun::open(&self.run)?;
        let (data, part) = log(&run, &manifest, self.data.as_deref(), self.split)?;
        let evaluation = evaluate_policies(&run, &data, &part, &policies, &options)?;
        print(&match self.format {
            Format::Table => table(&evaluation),
            Format::Json => serde_json::to_string_pretty(&evaluation)? + "\n",
        })?;
        Ok(Outcome::Done)
    }
}
