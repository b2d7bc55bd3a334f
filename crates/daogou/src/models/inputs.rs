//! From fields to nodes: embeddings, numbers, bags and histories, each in the domain of what it describes.

use daogou_nn::{Activation, DomainId, Graph, Init, InputId, MapId, NodeId, TableId};

use super::feed::{DomainSource, Feed, IdSource, MapSource, NumberSource};
use super::heads::Level;
use super::{Shape, field_gates, table_name};
use crate::data::{FeatureSpace, Field, FieldKind};
use crate::schema::{Config, HistoryPooling, ModelKind, Side};

/// Standard deviation of initial embeddings.
pub(super) const EMBEDDING_SD: f64 = 0.01;

fn per_request(side: Side) -> bool {
    matches!(side, Side::User | Side::Context)
}

/// What a field's node holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// The embedding of one id.
    Id,
    /// Embeddings of several, pooled.
    Pooled,
    /// One column, a number.
    Number,
}

/// A field as a node.
#[derive(Clone, Copy, Debug)]
pub(super) struct FieldNode {
    pub(super) node: NodeId,
    pub(super) side: Side,
    pub(super) kind: Kind,
    /// What it has a row of; per impression in a flat network, whatever it describes.
    pub(super) level: Level,
}

/// The inputs of one network: one node per field.
pub(super) struct Fields {
    /// What names of its parameters and tables start with; empty where one network answers all tasks.
    pub(super) scope: String,
    pub(super) nodes: Vec<FieldNode>,
}

/// The rows there are, and the record of what fills the nodes that values enter by.
pub(super) struct Inputs {
    pub(super) requests: DomainId,
    pub(super) impressions: DomainId,
    pub(super) request_of_impression: MapId,
    feed: Feed,
}

impl Inputs {
    pub(super) fn new(g: &mut Graph, space: &FeatureSpace, shape: &Shape) -> Self {
        let (requests, impressions) = (g.domain("request"), g.domain("impression"));
        let request_of_impression = g.map(impressions, requests);
        let mut feed = Feed::new(space.tables.len(), shape.prior_mix.clone());
        feed.maps.push(MapSource::RequestOfImpression);
        Self { requests, impressions, request_of_impression, feed }
    }

    /// One node per field, with tables of their own. A flat model ([`ModelKind::SharedMlp`]) has them all per
    /// impression; otherwise user and context fields and the pooled history are per request, and without
    /// `of_impressions` there are no others. They are as `model.field_gate` lets the network read them.
    pub(super) fn fields(
        &mut self,
        g: &mut Graph,
        config: &Config,
        space: &FeatureSpace,
        scope: String,
        of_impressions: bool,
    ) -> Fields {
        let request_of_impression = self.request_of_impression;
        let (requests, impressions) = (self.requests, self.impressions);
        let wanted = |field: &&Field| of_impressions || per_request(field.side);
        let tables = self.tables(g, space, &scope, wanted);
        let declared = |index: usize| tables[index].expect("made for every field there is");
        let mut nodes = Vec::new();
        let flat = config.model.kind == ModelKind::SharedMlp;
        // Embeddings first, then numbers, each in the order of the configuration.
        let mut numbers = Vec::new();
        for field in space.fields.iter().filter(wanted) {
            let per_request = per_request(field.side);
            let domain = if per_request && !flat { requests } else { impressions };
            let flat_request = per_request && flat;
            let level = if domain == requests { Level::Request } else { Level::Impression };
            let done = |node, kind| FieldNode { node, side: field.side, kind, level };
            match &field.kind {
                FieldKind::Id { table } => {
                    let entity = config.features.iter().any(|f| {
                        f.name == field.name
                            && (f.column() == config.columns.user
                                || f.column() == config.columns.item)
                    });
                    let source = IdSource::Field { side: field.side, column: field.column, entity };
                    let node = self.lookup(g, declared(*table), domain, source, flat_request);
                    nodes.push(done(node, Kind::Id));
                }
                FieldKind::Number => {
                    let source = NumberSource::Field { side: field.side, column: field.column };
                    let input = self.number(g, domain, 1, source, flat_request);
                    numbers.push(done(g.dense(input), Kind::Number));
                }
                FieldKind::Bag { table } => {
                    let owner = if per_request { requests } else { impressions };
                    let members = g.domain(&format!("{} member", field.name));
                    let map = g.map(members, owner);
                    let bag = self.feed.bags.len();
                    self.feed.bags.push((field.side, field.column));
                    self.feed.maps.push(MapSource::Bag(bag));
                    self.feed.domains.push(DomainSource::Bag(bag));
                    let values =
                        self.lookup(g, declared(*table), members, IdSource::Bag(bag), false);
                    let mut node = g.pool(values, map, true);
                    if flat_request {
                        node = g.gather(node, request_of_impression);
                    }
                    nodes.push(done(node, Kind::Pooled));
                }
                FieldKind::History { of, length } => {
                    let events = g.domain(&format!("{} event", field.name));
                    let map = g.map(events, requests);
                    let history = self.feed.histories.len();
                    self.feed.histories.push(*length);
                    self.feed.maps.push(MapSource::History(history));
                    self.feed.domains.push(DomainSource::History(history));
                    let columns: Vec<(TableId, usize)> = of
                        .iter()
                        .map(|&f| match space.fields[f].kind {
                            FieldKind::Id { table: of } => (declared(of), space.fields[f].column),
                            _ => unreachable!("a history is of item-side ids"),
                        })
                        .collect();
                    let past: Vec<NodeId> = columns
                        .iter()
                        .map(|&(table, column)| {
                            let source = IdSource::History { history, column };
                            self.lookup(g, table, events, source, false)
                        })
                        .collect();
                    let past = g.concat(&past);
                    if config.model.history_pooling == HistoryPooling::Attention && of_impressions {
                        let name = format!("{scope}{}", field.name);
                        let attended = self.attend(g, &name, (past, history, events), &columns);
                        nodes.push(FieldNode {
                            node: attended,
                            side: Side::Impression,
                            kind: Kind::Pooled,
                            level: Level::Impression,
                        });
                        if flat {
                            continue;
                        }
                    }
                    let mut node = g.pool(past, map, true);
                    if flat {
                        node = g.gather(node, request_of_impression);
                    }
                    nodes.push(done(node, Kind::Pooled));
                }
            }
        }
        nodes.extend(numbers);
        let nodes = field_gates::gated(g, config, request_of_impression, &scope, nodes);
        Fields { scope, nodes }
    }

    /// Declares the tables that `wanted` fields read, named after their features.
    fn tables(
        &mut self,
        g: &mut Graph,
        space: &FeatureSpace,
        scope: &str,
        wanted: impl Fn(&&Field) -> bool,
    ) -> Vec<Option<TableId>> {
        let mut read = vec![false; space.tables.len()];
        for field in space.fields.iter().filter(wanted) {
            match &field.kind {
                FieldKind::Id { table } | FieldKind::Bag { table } => read[*table] = true,
                FieldKind::History { of, .. } => {
                    for &item_field in of {
                        if let FieldKind::Id { table } = space.fields[item_field].kind {
                            read[table] = true;
                        }
                    }
                }
                FieldKind::Number => {}
            }
        }
        let mut tables = vec![None; space.tables.len()];
        for (index, shape) in space.tables.iter().enumerate().filter(|(index, _)| read[*index]) {
            let name = format!("{scope}{}", table_name(&shape.name));
            let table = g.table(&name, shape.rows, shape.dim, Init::Normal(EMBEDDING_SD));
            tables[index] = Some(table);
            self.feed.tables[index].get_or_insert(table.0);
        }
        tables
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
