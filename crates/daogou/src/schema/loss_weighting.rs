//! `[loss_weighting]`: how task losses become one.

use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::config::{Config, ModelKind};
use crate::{Error, Result};

/// `[loss_weighting]`. A task's loss ℓ is its mean loss over a batch times the task's `weight`, over the constant
/// predictor's loss with `normalise`; `method` balances these.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct LossWeighting {
    /// `fixed`, the sum of losses; by losses: `UW`, `DWA`, `RLW`, `STCH`, `FAMO`; by gradients on what tasks share:
    /// `GradNorm`, `PCGrad`, `CAGrad`, `MGDA`, `IMTL`, `Nash_MTL`, `Aligned_MTL`. Names are LibMTL's.
    pub method: Balancing,
    /// Divide each task's loss by the constant predictor's loss on the training split, so that weights mean the same
    /// on every log.
    pub normalise: bool,
    /// `UW`: step size of the learned uncertainties (Adam).
    pub uw_learning_rate: f64,
    /// `DWA`: temperature; a higher one makes weights more alike.
    pub dwa_temperature: f64,
    /// `STCH`: how soft the maximum over tasks is; towards 0 only the worst task counts.
    pub stch_mu: f64,
    /// `STCH`: epochs on the sum of log losses before it begins; the last one's mean losses are what it measures by. 0
    /// begins at once and measures by the constant predictors.
    pub stch_warmup_epochs: usize,
    /// `FAMO`: step size of its weights (Adam).
    pub famo_learning_rate: f64,
    /// `FAMO`: decay of its weights towards even ones.
    pub famo_decay: f64,
    /// `GradNorm`: how strongly slower tasks are favoured; 0: gradients of one length.
    pub gradnorm_alpha: f64,
    /// `GradNorm`: step size of its weights (Adam).
    pub gradnorm_learning_rate: f64,
    /// `CAGrad`: how far the direction may leave the mean gradient, as a share of its length; 0: not at all.
    pub cagrad_c: f64,
    /// `MGDA`: what each gradient is divided by: `none`, its `norm`, or the task's `loss`.
    pub mgda_divide_by: GradientScale,
    /// `Nash_MTL`: steps from one solution to the next; those between use the last one and cost as much as `fixed`.
    pub nash_update_every: u64,
}

impl Default for LossWeighting {
    fn default() -> Self {
        Self {
            method: Balancing::Fixed,
            normalise: true,
            uw_learning_rate: 1e-3,
            dwa_temperature: 2.0,
            stch_mu: 1.0,
            stch_warmup_epochs: 1,
            famo_learning_rate: 0.025,
            famo_decay: 0.01,
            gradnorm_alpha: 1.5,
            gradnorm_learning_rate: 0.025,
            cagrad_c: 0.4,
            mgda_divide_by: GradientScale::None,
            nash_update_every: 1,
        }
    }
}

/// How tasks are balanced.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Balancing {
    /// The sum of the losses. The one to beat.
    #[serde(rename = "fixed")]
    Fixed,
    /// Learned uncertainties (Kendall et al. 2018).
    #[serde(rename = "UW")]
    Uw,
    /// Tasks whose loss fell less in the last epoch weigh more (Liu et al. 2019).
    #[serde(rename = "DWA")]
    Dwa,
    /// Random weights in every step (Lin et al. 2022): what a method should at least beat.
    #[serde(rename = "RLW")]
    Rlw,
    /// A soft maximum over tasks (Lin et al. 2024); one more forward pass per step. Tasks' weights cancel out.
    #[serde(rename = "STCH")]
    Stch,
    /// Gradients whose lengths follow the tasks' speeds of learning (Chen et al. 2018).
    GradNorm,
    /// Each gradient without what conflicts with another (Yu et al. 2020).
    #[serde(rename = "PCGrad")]
    PcGrad,
    /// The direction near the mean gradient that is best for the task it serves least (Liu et al. 2021).
    #[serde(rename = "CAGrad")]
    CaGrad,
    /// The shortest mean of the gradients (Sener and Koltun 2018).
    #[serde(rename = "MGDA")]
    Mgda,
    /// The direction with the same share of every gradient (Liu et al. 2021); of its two parts the one on gradients.
    #[serde(rename = "IMTL")]
    Imtl,
    /// The Nash bargaining solution between tasks (Navon et al. 2022).
    #[serde(rename = "Nash_MTL")]
    NashMtl,
    /// Gradients made orthogonal and of one length (Senushkin et al. 2023).
    #[serde(rename = "Aligned_MTL")]
    AlignedMtl,
    /// Tasks whose log loss fell less in a step weigh more (Liu et al. 2023); two more forward passes per step. Tasks'
    /// weights cancel out.
    #[serde(rename = "FAMO")]
    Famo,
}

impl Balancing {
    /// All of them.
    pub const ALL: [Self; 13] = [
        Self::Fixed,
        Self::Uw,
        Self::Dwa,
        Self::Rlw,
        Self::Stch,
        Self::GradNorm,
        Self::PcGrad,
        Self::CaGrad,
        Self::Mgda,
        Self::Imtl,
        Self::NashMtl,
        Self::AlignedMtl,
        Self::Famo,
    ];

    /// As in a configuration.
    pub fn name(self) -> &'static str {
        match self {
            Self::Fixed => "fixed",
            Self::Uw => "UW",
            Self::Dwa => "DWA",
            Self::Rlw => "RLW",
            Self::Stch => "STCH",
            Self::GradNorm => "GradNorm",
            Self::PcGrad => "PCGrad",
            Self::CaGrad => "CAGrad",
            Self::Mgda => "MGDA",
            Self::Imtl => "IMTL",
            Self::NashMtl => "Nash_MTL",
            Self::AlignedMtl => "Aligned_MTL",
            Self::Famo => "FAMO",
        }
    }

    /// Whether it goes by the tasks' gradients on what they share, rather than by their losses.
    pub fn compares_gradients(self) -> bool {
        matches!(
            self,
            Self::GradNorm
                | Self::PcGrad
                | Self::CaGrad
                | Self::Mgda
                | Self::Imtl
                | Self::NashMtl
                | Self::AlignedMtl
        )
    }
}

impl FromStr for Balancing {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        Self::ALL.into_iter().find(|method| method.name() == text).ok_or_else(|| {
            let names = Self::ALL.map(Self::name).join(", ");
            Error::config("loss_weighting.method", format!("expected one of {names}; got `{text}`"))
        })
    }
}

/// What MGDA divides each gradient by before it looks for the shortest mean: without it, tasks of small gradients count
/// most.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum GradientScale {
    /// Nothing.
    None,
    /// Its length.
    Norm,
    /// The task's loss.
    Loss,
}

impl LossWeighting {
    /// Checks what the types cannot say.
    pub(super) fn check(&self, config: &Config) -> Result<()> {
        for (name, value) in [
            ("uw_learning_rate", self.uw_learning_rate),
            ("famo_learning_rate", self.famo_learning_rate),
            ("famo_decay", self.famo_decay),
            ("gradnorm_alpha", self.gradnorm_alpha),
            ("gradnorm_learning_rate", self.gradnorm_learning_rate),
        ] {
            if !(value.is_finite() && value >= 0.0) {
                return refuse(name, &format!("expected a number of at least 0, got {value}"));
            }
        }
        for (name, value) in [("dwa_temperature", self.dwa_temperature), ("stch_mu", self.stch_mu)]
        {
            if !(value.is_finite() && value > 0.0) {
                return refuse(name, &format!("expected a number above 0, got {value}"));
            }
        }
        if !(0.0..1.0).contains(&self.cagrad_c) {
            let problem = format!("expected a number from 0 to below 1, got {}", self.cagrad_c);
            return refuse("cagrad_c", &problem);
        }
        if self.nash_update_every == 0 {
            return refuse("nash_update_every", "expected at least 1");
        }
        if !self.method.compares_gradients() {
            return Ok(());
        }
        let method = self.method.name();
        let hint = "use `fixed`, or share something between tasks";
        let weighty = config.tasks.iter().filter(|task| task.weight() > 0.0).count();
        if weighty < 2 {
            return Err(Error::config(
                "loss_weighting.method",
                format!(
                    "`{method}` balances tasks: expected at least 2 with a weight above 0, found {weighty}"
                ),
            )
            .with_hint(hint));
        }
        if config.model.kind == ModelKind::SingleTask {
            return Err(Error::config(
                "loss_weighting.method",
                format!(
                    "`{method}` compares gradients on what tasks share, and with `model.kind = \"single_task\"` \
                     they share nothing"
                ),
            )
            .with_hint(hint));
        }
        Ok(())
    }
}

fn refuse(name: &str, problem: &str) -> Result<()> {
    Err(Error::config(format!("loss_weighting.{name}"), problem))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_the_configuration() {
        for method in Balancing::ALL {
            assert_eq!(serde_json::to_value(method).unwrap(), method.name());
            assert_eq!(method.name().parse::<Balancing>().unwrap(), method);
        }
        let error = "pcgrad".parse::<Balancing>().unwrap_err().to_string();
        assert!(error.contains("PCGrad") && error.contains("`pcgrad`"), "{error}");
    }
}
