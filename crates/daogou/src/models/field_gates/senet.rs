//! SENet on fields (FiBiNET, Huang et al. 2019): one number per field says how much of it is read.
//!
//! `z_f = mean(e_f)`, `a = ReLU(W_2 ReLU(W_1 z + b_1) + b_2)`, `e_f ← a_f · e_f`, with a third as many hidden units as
//! there are fields to look at. `b_2` starts at 1, so that training starts from the fields as they are: embeddings start near
//! 0, and so would gates without it. Costs O(F²) per row.

use daogou_nn::{Activation, Graph, Init, NodeId};

use super::Gated;
use crate::models::inputs::FieldNode;
use crate::schema::Config;

/// Fields for one hidden unit.
const REDUCTION: usize = 3;

/// One column per field.
pub(super) fn gates(g: &mut Graph, _config: &Config, gated: &Gated<'_>) -> Vec<NodeId> {
    let nodes = |fields: &[FieldNode]| -> Vec<NodeId> { fields.iter().map(|f| f.node).collect() };
    let own = g.means(&nodes(gated.fields));
    let mut squeezed = vec![own];
    if !gated.beside.is_empty() {
        let mut beside = g.means(&nodes(gated.beside));
        if let Some(map) = gated.through {
            beside = g.gather(beside, map);
        }
        squeezed.insert(0, beside);
    }
    let z = g.concat(&squeezed);
    let hidden = g.cols(z).div_ceil(REDUCTION).max(2);
    let (count, name) = (gated.fields.len(), &gated.name);
    let hidden = g.linear(&format!("{name}.0"), z, hidden, Activation::Relu);
    let gates = g.linear(&format!("{name}.2"), hidden, count, Activation::Relu);
    g.start(&format!("{name}.2.bias"), Init::Constant(1.0));
    g.columns(gates, &vec![1; count])
}
