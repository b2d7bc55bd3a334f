//! Networks: how features become logits, one file per way of sharing.
//!
//! A network is a graph of `daogou-nn` plus the list of what feeds it ([`Feed`]) and where its answers are ([`Head`]).
//! Training, evaluation and serving fill micro-batches with the same code.

mod feed;
mod heads;
mod inputs;
mod shared_bottom;
mod shared_mlp;

pub use feed::{Feed, Mode, Source};
pub use heads::{Head, Level};

use daogou_nn::{Graph, Model};

use crate::data::FeatureSpace;
use crate::schema::{Config, ModelKind};
use crate::{Error, Result};

/// A model, what feeds it and where its answers are.
pub struct Network {
    /// The graph.
    pub model: Model,
    /// What fills its inputs.
    pub feed: Feed,
    /// One per task, in the order of the configuration; so are the losses of the graph.
    pub heads: Vec<Head>,
}

/// What a network needs to know about the data besides its feature space.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Shape {
    /// Categories of the catalogue; 0 without.
    pub categories: usize,
    /// Largest position in the training split; 0 without positions.
    pub positions: usize,
    /// Whether impressions carry a logit offset of sampling.
    pub logit_offset: bool,
    /// Per task: whether its labels come with an exposure offset.
    pub exposure: Vec<bool>,
}

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
        let mut inputs = inputs::Inputs::new(&mut graph, config, space);
        let heads = match config.model.kind {
            ModelKind::SharedMlp => shared_mlp::build(&mut graph, &mut inputs, config, shape)?,
            ModelKind::SharedBottom => {
                shared_bottom::build(&mut graph, &mut inputs, config, shape)?
            }
        };
        heads::losses(&mut graph, &mut inputs, config, shape, &heads);
        Ok(Self { model: graph.finish(), feed: inputs.into_feed(), heads })
    }
}

/// Name of the head of a task, as in the founding document: `ctr_head`, `cvr_head`, `div_head`, `nov_head`, and
/// `{task}_head` for others.
fn prefix(task: &crate::schema::Task) -> &str {
    use crate::schema::Role;
    match task.role() {
        Some(Role::Click) => "ctr",
        Some(Role::Purchase) => "cvr",
        Some(Role::Diversity) => "div",
        Some(Role::Novelty) => "nov",
        None => &task.name,
    }
}

/// Name of the table of a feature: `user_id` gives `user_embed`, `brand` gives `brand_embed`.
fn table_name(feature: &str) -> String {
    format!("{}_embed", feature.strip_suffix("_id").unwrap_or(feature))
}
