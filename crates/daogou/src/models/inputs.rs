//! From fields to nodes: embeddings, numbers, bags and histories, each in the domain of what it describes.

use daogou_nn::{Activation, DomainId, Graph, Init, InputId, MapId, NodeId, TableId};

use super::feed::{DomainSource, Feed, IdSource, MapSource, NumberSource};
use super::{Shape, table_name};
use crate::data::{FeatureSpace, FieldKind};
use crate::schema::{Config, HistoryPooling, ModelKind, Side};

/// Standard deviation of initial embeddings.
const EMBEDDING_SD: f64 = 0.01;

/// A field as a node.
pub(super) struct FieldNode {
    pub(super) node: NodeId,
    pub(super) side: Side,
    pub(super) number: bool,
}

/// The nodes that values enter by, and the record of what fills them.
pub(super) struct Inputs {
    pub(super) requests: DomainId,
    pub(super) impressions: DomainId,
    pub(super) request_of_impression: MapId,
    pub(super) fields: Vec<FieldNode>,
    feed: Feed,
}

impl Inputs {
    /// One node per field. A flat model ([`ModelKind::SharedMlp`]) has them all per impression; otherwise user and
    /// context fields and the pooled history are per request.
    pub(super) fn new(g: &mut Graph, config: &Config, space: &FeatureSpace, shape: &Shape) -> Self {
        let (requests, impressions) = (g.domain("request"), g.domain("impression"));
        let request_of_impression = g.map(impressions, requests);
        let mut inputs = Self {
            requests,
            impressions,
            request_of_impression,
            fields: Vec::new(),
            feed: Feed::new(shape.prior_mix.clone()),
        };
        inputs.feed.maps.push(MapSource::RequestOfImpression);
        let tables: Vec<TableId> = space
            .tables
            .iter()
            .map(|t| g.table(&table_name(&t.name), t.rows, t.dim, Init::Normal(EMBEDDING_SD)))
            .collect();
        let flat = config.model.kind == ModelKind::SharedMlp;
        // Embeddings first, then numbers, each in the order of the configuration.
        let mut numbers = Vec::new();
        for field in &space.fields {
            let per_request = matches!(field.side, Side::User | Side::Context);
            let domain = if per_request && !flat { requests } else { impressions };
            let flat_request = per_request && flat;
            let done = |node, number| FieldNode { node, side: field.side, number };
            match &field.kind {
                FieldKind::Id { table } => {
                    let entity = config.features.iter().any(|f| {
                        f.name == field.name
                            && (f.column() == config.columns.user
                                || f.column() == config.columns.item)
                    });
                    let source = IdSource::Field { side: field.side, column: field.column, entity };
                    let node = inputs.lookup(g, tables[*table], domain, source, flat_request);
                    inputs.fields.push(done(node, false));
                }
                FieldKind::Number => {
                    let source = NumberSource::Field { side: field.side, column: field.column };
                    let input = inputs.number(g, domain, 1, source, flat_request);
                    numbers.push(done(g.dense(input), true));
                }
                FieldKind::Bag { table } => {
                    let owner = if per_request { requests } else { impressions };
                    let members = g.domain(&format!("{} member", field.name));
                    let map = g.map(members, owner);
                    let bag = inputs.feed.bags.len();
                    inputs.feed.bags.push((field.side, field.column));
                    inputs.feed.maps.push(MapSource::Bag(bag));
                    inputs.feed.domains.push(DomainSource::Bag(bag));
                    let values =
                        inputs.lookup(g, tables[*table], members, IdSource::Bag(bag), false);
                    let mut node = g.pool(values, map, true);
                    if flat_request {
                        node = g.gather(node, request_of_impression);
                    }
                    inputs.fields.push(done(node, false));
                }
                FieldKind::History { of, length } => {
                    let events = g.domain(&format!("{} event", field.name));
                    let map = g.map(events, requests);
                    let history = inputs.feed.histories.len();
                    inputs.feed.histories.push(*length);
                    inputs.feed.maps.push(MapSource::History(history));
                    inputs.feed.domains.push(DomainSource::History(history));
                    let columns: Vec<(TableId, usize)> = of
                        .iter()
                        .map(|&f| match space.fields[f].kind {
                            FieldKind::Id { table } => (tables[table], space.fields[f].column),
                            _ => unreachable!("a history is of item-side ids"),
                        })
                        .collect();
                    let past: Vec<NodeId> = columns
                        .iter()
                        .map(|&(table, column)| {
                            let source = IdSource::History { history, column };
                            inputs.lookup(g, table, events, source, false)
                        })
                        .collect();
                    let past = g.concat(&past);
                    if config.model.history_pooling == HistoryPooling::Attention {
                        let attended =
                            inputs.attend(g, &field.name, (past, history, events), &columns);
                        inputs.fields.push(FieldNode {
                            node: attended,
                            side: Side::Impression,
                            number: false,
                        });
                        if flat {
                            continue;
                        }
                    }
                    let mut node = g.pool(past, map, true);
                    if flat {
                        node = g.gather(node, request_of_impression);
                    }
                    inputs.fields.push(done(node, false));
                }
            }
        }
        inputs.fields.extend(numbers);
        inputs
    }

    /// DIN (Zhou et al. 2018): each past event weighed by how it suits the candidate, `w = MLP([e; i; e − i; e ⊙ i])`
    /// with hidden layers of 36 units and no softmax; `Σ w·e` per impression.
    fn attend(
        &mut self,
        g: &mut Graph,
        name: &str,
        (past, history, events): (NodeId, usize, DomainId),
        columns: &[(TableId, usize)],
    ) -> NodeId {
        let pairs = g.domain(&format!("{name} pair"));
        self.feed.domains.push(DomainSource::Pair(history));
        let (of_event, of_impression) = (g.map(pairs, events), g.map(pairs, self.impressions));
        self.feed.maps.push(MapSource::PairEvent(history));
        self.feed.maps.push(MapSource::PairImpression(history));
        let candidate: Vec<NodeId> = columns
            .iter()
            .map(|&(table, column)| {
                let source = IdSource::Field { side: Side::Item, column, entity: false };
                self.lookup(g, table, self.impressions, source, false)
            })
            .collect();
        let candidate = g.concat(&candidate);
        let event = g.gather(past, of_event);
        let item = g.gather(candidate, of_impression);
        let (difference, product) = (g.sub(event, item), g.mul(event, item));
        let joined = g.concat(&[event, item, difference, product]);
        let hidden = g.mlp(&format!("{name}_attention"), joined, &[36], Activation::Silu);
        let weight = g.linear(&format!("{name}_attention.weight"), hidden, 1, Activation::None);
        let weighed = g.mul(event, weight);
        g.pool(weighed, of_impression, false)
    }

    pub(super) fn lookup(
        &mut self,
        g: &mut Graph,
        table: TableId,
        domain: DomainId,
        source: IdSource,
        through_request: bool,
    ) -> NodeId {
        self.feed.ids.push((source, through_request));
        g.lookup(table, domain)
    }

    pub(super) fn number(
        &mut self,
        g: &mut Graph,
        domain: DomainId,
        cols: usize,
        source: NumberSource,
        through_request: bool,
    ) -> InputId {
        self.feed.numbers.push((source, through_request));
        g.input(domain, cols)
    }

    pub(super) fn one_hot_positions(&mut self, positions: usize, repeats: usize) {
        (self.feed.positions, self.feed.repeats) = (positions, repeats);
    }

    pub(super) fn into_feed(self) -> Feed {
        self.feed
    }
}
