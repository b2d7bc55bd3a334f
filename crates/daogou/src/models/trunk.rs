//! Hidden layers with the options of the configuration: activation, layer normalisation, dropout.

use daogou_nn::{Activation, Graph, NodeId};

use crate::schema::Config;

/// The activation of every hidden layer.
pub(super) fn activation(config: &Config) -> Activation {
    if config.model.silu { Activation::Silu } else { Activation::Relu }
}

/// One trunk; layer `i` is named `{name}.{2 i}`. Without units it is its input.
pub(super) fn trunk(
    g: &mut Graph,
    name: String,
    x: NodeId,
    units: &[usize],
    config: &Config,
) -> NodeId {
    trunks(g, &[(name, x)], units, config)[0]
}

/// Several trunks, each with its name and input. The first layers of neighbours with the same input are one product,
/// which reads the input once.
pub(super) fn trunks(
    g: &mut Graph,
    named: &[(String, NodeId)],
    units: &[usize],
    config: &Config,
) -> Vec<NodeId> {
    let Some(&first) = units.first() else { return named.iter().map(|(_, x)| *x).collect() };
    let inner = if config.model.layer_norm { Activation::None } else { activation(config) };
    let mut built = Vec::with_capacity(named.len());
    for together in named.chunk_by(|a, b| a.1 == b.1) {
        let names: Vec<String> = together.iter().map(|(name, _)| format!("{name}.0")).collect();
        let group: Vec<(&str, usize)> = names.iter().map(|name| (name.as_str(), first)).collect();
        let firsts = g.linear_group(&group, together[0].1, inner);
        for ((name, _), mut x) in together.iter().zip(firsts) {
            for (i, &units) in units.iter().enumerate() {
                if i > 0 {
                    x = g.linear(&format!("{name}.{}", 2 * i), x, units, inner);
                }
                if config.model.layer_norm {
                    x = g.layer_norm(&format!("{name}_norm.{i}"), x);
                    x = g.activation(x, activation(config));
                }
                x = g.dropout(x, config.model.dropout);
            }
            built.push(x);
        }
    }
    built
}
