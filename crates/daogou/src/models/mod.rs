//! Networks: how features become logits, one file per way of sharing.
//!
//! A network is a graph of `daogou-nn` plus the list of what feeds it ([`Feed`]) and where its answers are ([`Head`]).
//! Training, evaluation and serving fill micro-batches with the same code.

mod aitm;
mod backbones;
mod feed;
mod field_gates;
mod gates;
mod heads;
mod inputs;
mod inverse_propensity;
mod keyed;
mod link;
mod mmoe;
mod ple;
pub mod predict;
mod shared_bottom;
mod shared_mlp;
mod single_task;
mod stem;
mod thinning;
mod trunk;
mod two_level;

pub use feed::{Feed, Mode, Source, Training};
pub use gates::{Expert, Mixing};
pub use heads::{Head, Level};
pub use inverse_propensity::InversePropensity;
pub(crate) use link::{Link, sigmoid};
pub use predict::{Forward, Logits, predict};
pub use thinning::Thinning;

use daogou_nn::{Graph, Model};

use crate::data::{Dataset, FeatureSpace, Target};
use crate::schema::{Config, ModelKind, Role};
use crate::{Error, Result};

/// A model, what feeds it and where its answers are.
pub struct Network {
    /// The graph.
    pub model: Model,
    /// What fills its inputs.
    pub feed: Feed,
    /// One per task, in the order of the configuration; so are the losses of the graph.
    pub heads: Vec<Head>,
    /// Its gates over experts; none in a network without.
    pub gates: Vec<Mixing>,
}

/// What a network needs to know about the data besides its feature space.
#[derive(Clone, Debug, Default, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Shape {
    /// Categories of the catalogue; 0 without.
    pub categories: usize,
    /// Largest position in the training split; 0 without positions.
    pub positions: usize,
    /// Whether impressions carry a logit offset of sampling.
    pub logit_offset: bool,
    /// Per task: whether its labels come with an exposure offset.
    pub exposure: Vec<bool>,
    /// Per task: whether its label is the row's own category.
    pub row_label: Vec<bool>,
    /// Weights of everyone's category mix, as [`Timelines::mix`](crate::data::Timelines::mix) starts from it; empty
    /// where no request-level task predicts a mix.
    pub prior_mix: Vec<f32>,
    /// Share of clicked impressions in the training split; 0 without a click task.
    #[serde(default)]
    pub click_rate: f32,
}

impl Shape {
    /// What a loaded log says.
    pub fn of(config: &Config, data: &Dataset) -> Self {
        let train = data.requests.impressions(&data.split.train);
        let positions = data.impressions.position.get(train).unwrap_or_default();
        let exposed = |target: &Option<Target>| {
            matches!(
                target,
                Some(
                    Target::Distribution { log_exposure: Some(_), .. }
                        | Target::Share { logit_exposure: Some(_), .. }
                )
            )
        };
        debug_assert_eq!(config.tasks.len(), data.targets.len());
        let mix = data.targets.iter().position(|t| matches!(t, Some(Target::Distribution { .. })));
        let prior_mix = mix.filter(|_| !data.requests.time.is_empty()).and_then(|index| {
            let constants = crate::train::constants(config, data).ok()?;
            let prior = crate::evaluate::MIX_PRIOR;
            Some(constants[index].answer.iter().map(|p| (prior * p) as f32).collect())
        });
        let click_rate = config.task_of(Role::Click).map_or(0.0, |click| {
            let labels = &data.impressions.labels[crate::train::binary_index(config, click)];
            let rows = data.requests.impressions(&data.split.train);
            let clicks: u64 = labels[rows.clone()].iter().map(|&label| u64::from(label)).sum();
            (clicks as f64 / rows.len().max(1) as f64) as f32
        });
        Self {
            click_rate,
            categories: data.catalogue.categories.len(),
            positions: positions.iter().copied().max().map_or(0, usize::from).min(MAX_POSITIONS),
            logit_offset: !data.impressions.logit_offset.is_empty(),
            exposure: data.targets.iter().map(exposed).collect(),
            row_label: data
                .targets
                .iter()
                .map(|t| matches!(t, Some(Target::RowCategory { .. })))
                .collect(),
            prior_mix: prior_mix.unwrap_or_default(),
        }
    }
}

/// Positions told apart; deeper ones share the last.
pub(crate) const MAX_POSITIONS: usize = 64;

impl Network {
    /// Builds the network that `config` describes.
    ///
    /// # Errors
    ///
    /// [`Error::Config`] where the configuration asks for what the data cannot give.
    pub fn build(config: &Config, space: &FeatureSpace, shape: &Shape) -> Result<Self> {
        if space.fields.is_empty() {
            return Err(Error::Config {
                key: "feature".into(),
                problem: "expected at least one feature, found none".into(),
                hint: Some("list the model's inputs as `[[feature]]` tables".into()),
            });
        }
        let mut graph = Graph::new();
        let (g, known) = (&mut graph, (config, space, shape));
        let mut inputs = inputs::Inputs::new(g, space, shape);
        let mut gates = Vec::new();
        let heads = match config.model.kind {
            ModelKind::SharedMlp => shared_mlp::build(g, &mut inputs, known)?,
            ModelKind::SingleTask => single_task::build(g, &mut inputs, known)?,
            ModelKind::SharedBottom => {
                two_level::build(g, &mut inputs, known, (shared_bottom::share, &mut gates))?
            }
            ModelKind::Mmoe => two_level::build(g, &mut inputs, known, (mmoe::share, &mut gates))?,
            ModelKind::Ple => two_level::build(g, &mut inputs, known, (ple::share, &mut gates))?,
            ModelKind::Aitm => two_level::build(g, &mut inputs, known, (aitm::share, &mut gates))?,
            ModelKind::Stem => stem::build(g, &mut inputs, known, &mut gates)?,
        };
        let heads = heads::after_the_click(g, config, heads);
        heads::losses(&mut graph, &mut inputs, config, shape, &heads);
        Ok(Self { model: graph.finish(), feed: inputs.into_feed(), heads, gates })
    }
}

/// Name of the head of a task, as in the founding document: `ctr_head`, `cvr_head`, `div_head`, `nov_head`, and
/// `{task}_head` for others.
fn prefix(task: &crate::schema::Task) -> &str {
    match task.role() {
        Some(Role::Click) => "ctr",
        Some(Role::Purchase) => "cvr",
        Some(Role::Diversity) => "div",
        Some(Role::Novelty) => "nov",
        None => &task.name,
    }
}

/// Name of the table of a feature: `user_id` gives `user_embed`, `brand` gives `brand_embed`.
pub(crate) fn table_name(feature: &str) -> String {
    format!("{}_embed", feature.strip_suffix("_id").unwrap_or(feature))
}
