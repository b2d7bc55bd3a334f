//! A factorisation machine (Rendle 2010) beside the perceptron, as in DeepFM (Guo et al. 2017).
//!
//! `Σ_{f<g} e_f ⊙ e_g` over the fields, all of `D = embedding_dim` columns: `[impressions, D]`, the summands of FM's
//! interaction by dimension. DeepFM adds their sum to its one logit. Here several tasks read the level, so the summands enter
//! its input (as in NFM, He & Chua 2017) and each reader weighs them for itself. FM's linear term needs no part of its own:
//! the level's first layer reads every field. A number `x` meets others as `x · v`, with `v` of the size that embeddings
//! start from: with weights as large as those of other layers, products of numbers alone would drown the rest. Costs O(F·D) per
//! impression, which is next to nothing.

use daogou_nn::{Graph, Init, NodeId};

use super::of_one_width;
use crate::models::inputs::{EMBEDDING_SD, Fields, Inputs};
use crate::schema::Config;

/// The interaction of every pair of fields.
pub(super) fn pairs(g: &mut Graph, inputs: &Inputs, fields: &Fields, config: &Config) -> NodeId {
    let fields = of_one_width(g, inputs, fields, config, Some(Init::Normal(EMBEDDING_SD)));
    g.fm(&fields)
}
