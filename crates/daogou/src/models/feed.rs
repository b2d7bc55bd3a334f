//! Fills micro-batches: the one place where rows of a log become a model's inputs, for training, evaluation and serving.

use daogou_nn::Micro;
use daogou_nn::rng::{hash, mix};

use super::inverse_propensity::InversePropensity;
use super::thinning::Thinning;
use crate::data::{
    Catalogue, Column, Dataset, Impressions, NO_CLASS, Requests, SideTable, Target, Timelines,
};
use crate::schema::Side;

/// What a micro-batch is filled from.
#[derive(Clone, Copy, Debug)]
pub struct Source<'a> {
    /// Users.
    pub users: &'a SideTable,
    /// Items.
    pub items: &'a SideTable,
    /// Items as lists see them.
    pub catalogue: &'a Catalogue,
    /// Users' past.
    pub timelines: &'a Timelines,
    /// Requests.
    pub requests: &'a Requests,
    /// Impressions or candidates.
    pub impressions: &'a Impressions,
    /// Labels of all but binary tasks; read in training only.
    pub targets: &'a [Option<Target>],
}

impl<'a> From<&'a Dataset> for Source<'a> {
    fn from(data: &'a Dataset) -> Self {
        Self {
            users: &data.users,
            items: &data.items,
            catalogue: &data.catalogue,
            timelines: &data.timelines,
            requests: &data.requests,
            impressions: &data.impressions,
            targets: &data.targets,
        }
    }
}

/// What training does to the rows it reads; by default nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Training {
    /// Key of this epoch's dropout.
    pub key: u64,
    /// Share of entity ids replaced by the unknown row.
    pub id_dropout: f64,
    /// Share of impressions whose position is not told.
    pub position_dropout: f64,
    /// Which impressions are read; `None`: all.
    pub thinning: Option<Thinning>,
    /// What impressions count in the click loss; `None`: all the same.
    pub inverse_propensity: Option<InversePropensity>,
}

/// What the rows are for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Mode {
    /// Labels, offsets of position, sampling and exposure.
    Train(Training),
    /// Predicting what the log recorded: position and sampling offsets, nothing from the future.
    Evaluate,
    /// Predicting for new lists: no offsets.
    Serve,
}

/// What fills a lookup.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum IdSource {
    /// A column of its side; `entity`: the user's or item's own id, subject to id dropout.
    Field { side: Side, column: usize, entity: bool },
    /// Members of a bag.
    Bag(usize),
    /// An item column of past events.
    History { history: usize, column: usize },
}

/// What fills a dense input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NumberSource {
    /// A column of its side.
    Field { side: Side, column: usize },
    /// One-hot position, then the one-hot number of items of the same category above.
    Position,
    /// Offset of negative sampling, in the log and in training.
    LogitOffset,
    /// What an impression counts in a loss.
    Weight(RowWeight),
    /// Exposure in the label window of a task.
    Exposure(usize),
    /// ln of the user's own recent category mix, shrunk to everyone's.
    HistoryMix,
    /// 0 or 1 of a binary task.
    Label(usize),
    /// Number of the item's category; −1 where unknown.
    RowCategory,
    /// Standardised label of a regression; 0 where there is none.
    Number(usize),
    /// Number of the class of a multi-class task; −1 where there is none.
    Class(usize),
    /// Shares of a distribution task.
    Shares(usize),
    /// Share of a share task.
    Share(usize),
    /// Events behind a request-level label.
    TargetWeight(usize),
}

/// What an impression counts in a loss: the product of what is asked for; by default every impression counts 1.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct RowWeight {
    /// 1 or 0: whether it has this label.
    pub(super) among: Option<usize>,
    /// 1 or 0: whether it has a label of this task.
    pub(super) labelled: Option<usize>,
    /// 1 or 0: whether its purchase label is final.
    pub(super) settled: bool,
    /// As many as it stands for, where training reads a share of the log.
    pub(super) read: bool,
    /// By its propensity.
    pub(super) propensity: bool,
}

impl RowWeight {
    fn of(&self, source: &Source<'_>, training: &Training, impression: usize) -> f32 {
        let Source { impressions, targets, .. } = source;
        let labelled =
            |task: usize| targets[task].as_ref().is_some_and(|target| target.labels(impression));
        let out = self.among.is_some_and(|label| impressions.labels[label][impression] == 0)
            || self.labelled.is_some_and(|task| !labelled(task))
            || (self.settled && impressions.unsettled.get(impression).copied().unwrap_or(false));
        if out {
            return 0.0;
        }
        let read = training.thinning.filter(|_| self.read);
        let propensity = training.inverse_propensity.filter(|_| self.propensity);
        read.map_or(1.0, |by| by.weight(impressions, impression))
            * propensity.map_or(1.0, |by| by.weight(impressions, impression))
    }
}

/// What fills a map.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum MapSource {
    RequestOfImpression,
    Bag(usize),
    History(usize),
    PairEvent(usize),
    PairImpression(usize),
}

/// What the rows of a further domain are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum DomainSource {
    Bag(usize),
    History(usize),
    Pair(usize),
}

/// Fills micro-batches of one network.
#[derive(Clone, Debug)]
pub struct Feed {
    /// Per lookup; the flag: a value of the request, repeated per impression.
    pub(super) ids: Vec<(IdSource, bool)>,
    /// Per dense input; the flag as above.
    pub(super) numbers: Vec<(NumberSource, bool)>,
    pub(super) maps: Vec<MapSource>,
    /// Domains after request and impression.
    pub(super) domains: Vec<DomainSource>,
    /// Side and column of each bag.
    pub(super) bags: Vec<(Side, usize)>,
    /// Length of each history.
    pub(super) histories: Vec<usize>,
    /// Columns of one-hot positions.
    pub(super) positions: usize,
    /// Columns after them: one-hot numbers of items of the same category above, from 1.
    pub(super) repeats: usize,
    /// Per table of the feature space: the network's first table of it, if it has one.
    pub(super) tables: Vec<Option<usize>>,
    /// Weights of everyone's category mix.
    pub(super) prior_mix: Vec<f32>,
}

/// Rows of the log behind one micro-batch.
struct View<'a> {
    source: &'a Source<'a>,
    rows: &'a [u32],
    thinning: Option<Thinning>,
}

impl View<'_> {
    fn requests(&self) -> impl Iterator<Item = usize> + '_ {
        self.rows.iter().map(|&r| r as usize)
    }

    /// Pairs of request and impression.
    fn impressions(&self) -> impl Iterator<Item = (usize, usize)> + '_ {
        self.requests().flat_map(move |r| self.read_of(r).map(move |i| (r, i)))
    }

    /// Impressions of a request that are read.
    fn read_of(&self, request: usize) -> impl Iterator<Item = usize> + '_ {
        let Source { requests, impressions, .. } = self.source;
        let all = requests.offsets[request] as usize..requests.offsets[request + 1] as usize;
        all.filter(move |&i| self.thinning.is_none_or(|thinning| thinning.reads(impressions, i)))
    }

    /// Items of the same request and category at earlier positions.
    fn same_category_above(&self, request: usize, impression: usize) -> usize {
        let Source { requests, impressions, catalogue, .. } = self.source;
        // A log without categories has none of any item.
        let of = |item: u32| catalogue.category.get(item as usize).copied().unwrap_or(u16::MAX);
        let category = |i: usize| of(impressions.item[i]);
        let own = category(impression);
        if own == u16::MAX {
            return 0;
        }
        let rows = requests.offsets[request] as usize..requests.offsets[request + 1] as usize;
        let position = impressions.position[impression];
        rows.filter(|&i| impressions.position[i] < position && category(i) == own).count()
    }

    /// Events of a request's history, oldest first.
    fn history(&self, request: usize, length: usize) -> std::ops::Range<usize> {
        let (requests, timelines) = (&self.source.requests, &self.source.timelines);
        let Some(&end) = requests.history_end.get(request) else { return 0..0 };
        let first = timelines.offsets[requests.user[request] as usize];
        (end as usize).saturating_sub(length).max(first as usize)..end as usize
    }

    /// Column of a side, and the row in it of a request and impression.
    fn column(&self, side: Side, column: usize) -> &Column {
        let Source { users, items, requests, impressions, .. } = self.source;
        match side {
            Side::User => &users.columns[column],
            Side::Item => &items.columns[column],
            Side::Context => &requests.columns[column],
            Side::Impression => &impressions.columns[column],
        }
    }

    #[inline]
    fn row(&self, side: Side, request: usize, impression: usize) -> usize {
        match side {
            Side::User => self.source.requests.user[request] as usize,
            Side::Item => self.source.impressions.item[impression] as usize,
            Side::Context => request,
            Side::Impression => impression,
        }
    }

    /// Calls `push(row of the side's column, row of the log)` for every row of a field's domain.
    fn each(&self, side: Side, per_impression: bool, mut push: impl FnMut(usize, usize)) {
        if per_impression {
            self.impressions().for_each(|(r, i)| push(self.row(side, r, i), i));
        } else {
            self.requests().for_each(|r| push(self.row(side, r, 0), r));
        }
    }
}

fn per_request(side: Side) -> bool {
    matches!(side, Side::User | Side::Context)
}

impl Feed {
    pub(super) fn new(tables: usize, prior_mix: Vec<f32>) -> Self {
        Self {
            ids: Vec::new(),
            numbers: Vec::new(),
            maps: Vec::new(),
            domains: Vec::new(),
            bags: Vec::new(),
            histories: Vec::new(),
            positions: 0,
            repeats: 0,
            tables: vec![None; tables],
            prior_mix,
        }
    }

    /// Number of the network's table for a table of the feature space: the first, where each task has its own. `None`
    /// where no task reads it.
    pub fn table(&self, of_space: usize) -> Option<usize> {
        self.tables[of_space]
    }

    /// Fills `micro` with some requests and all their impressions. Allocates only while `micro` grows.
    pub fn fill(&self, source: &Source<'_>, requests: &[u32], mode: Mode, micro: &mut Micro) {
        let thinning = match mode {
            Mode::Train(training) => training.thinning,
            Mode::Evaluate | Mode::Serve => None,
        };
        let view = View { source, rows: requests, thinning };
        micro.clear();
        micro.rows[0] = requests.len();
        for (map, kind) in self.maps.iter().enumerate() {
            self.fill_map(&view, *kind, &mut micro.maps[map]);
        }
        micro.rows[1] = micro.maps[0].len();
        for (domain, kind) in self.domains.iter().enumerate() {
            let map = self.maps.iter().position(|m| match (*kind, *m) {
                (DomainSource::Bag(a), MapSource::Bag(b)) => a == b,
                (DomainSource::History(a), MapSource::History(b)) => a == b,
                (DomainSource::Pair(a), MapSource::PairEvent(b)) => a == b,
                _ => false,
            });
            micro.rows[2 + domain] = micro.maps[map.expect("every domain has its map")].len();
        }
        for (site, &(kind, through)) in self.ids.iter().enumerate() {
            self.fill_ids(&view, (site, kind, through), mode, &mut micro.ids[site]);
        }
        for (input, &(kind, through)) in self.numbers.iter().enumerate() {
            self.fill_numbers(&view, kind, through, mode, &mut micro.inputs[input]);
        }
    }

    fn fill_map(&self, view: &View<'_>, kind: MapSource, map: &mut Vec<u32>) {
        match kind {
            MapSource::RequestOfImpression => {
                for (local, r) in view.requests().enumerate() {
                    map.extend(view.read_of(r).map(|_| local as u32));
                }
            }
            MapSource::Bag(bag) => {
                let (side, column) = self.bags[bag];
                let Column::Bags { offsets, .. } = view.column(side, column) else {
                    unreachable!("a bag field has a bag column")
                };
                let mut owner = 0;
                view.each(side, !per_request(side), |row, _| {
                    let n = (offsets[row + 1] - offsets[row]) as usize;
                    map.extend(std::iter::repeat_n(owner, n));
                    owner += 1;
                });
            }
            MapSource::History(history) => {
                for (local, r) in view.requests().enumerate() {
                    let n = view.history(r, self.histories[history]).len();
                    map.extend(std::iter::repeat_n(local as u32, n));
                }
            }
            MapSource::PairEvent(history) => {
                let mut first = 0;
                for r in view.requests() {
                    let n = view.history(r, self.histories[history]).len() as u32;
                    view.read_of(r).for_each(|_| map.extend(first..first + n));
                    first += n;
                }
            }
            MapSource::PairImpression(history) => {
                let mut impression = 0;
                for r in view.requests() {
                    let n = view.history(r, self.histories[history]).len();
                    for _ in view.read_of(r) {
                        map.extend(std::iter::repeat_n(impression, n));
                        impression += 1;
                    }
                }
            }
        }
    }

    fn fill_ids(
        &self,
        view: &View<'_>,
        (site, kind, through): (usize, IdSource, bool),
        mode: Mode,
        ids: &mut Vec<u32>,
    ) {
        match kind {
            IdSource::Field { side, column, entity } => {
                let Column::Ids(values) = view.column(side, column) else {
                    unreachable!("an id field has an id column")
                };
                let per_impression = through || !per_request(side);
                match mode {
                    Mode::Train(Training { key, id_dropout, .. }) if entity && id_dropout > 0.0 => {
                        let key = mix(key ^ site as u64);
                        let limit = (id_dropout * u64::MAX as f64) as u64;
                        view.each(side, per_impression, |row, log| {
                            ids.push(if mix(key ^ log as u64) < limit { 0 } else { values[row] });
                        });
                    }
                    _ => view.each(side, per_impression, |row, _| ids.push(values[row])),
                }
            }
            IdSource::Bag(bag) => {
                let (side, column) = self.bags[bag];
                let Column::Bags { offsets, ids: members } = view.column(side, column) else {
                    unreachable!("a bag field has a bag column")
                };
                view.each(side, !per_request(side), |row, _| {
                    ids.extend_from_slice(
                        &members[offsets[row] as usize..offsets[row + 1] as usize],
                    );
                });
            }
            IdSource::History { history, column } => {
                let Column::Ids(values) = &view.source.items.columns[column] else {
                    unreachable!("a history is of item-side ids")
                };
                for r in view.requests() {
                    let events = view.history(r, self.histories[history]);
                    ids.extend(
                        view.source.timelines.item[events].iter().map(|&i| values[i as usize]),
                    );
                }
            }
        }
    }

    fn fill_numbers(
        &self,
        view: &View<'_>,
        kind: NumberSource,
        through: bool,
        mode: Mode,
        out: &mut Vec<f32>,
    ) {
        let Source { impressions, catalogue, targets, .. } = view.source;
        let trained = match mode {
            Mode::Train(training) => Some(training),
            Mode::Evaluate | Mode::Serve => None,
        };
        let training = trained.is_some();
        // Values of a request; a flat model shares the request's weight among its impressions.
        let requests = |push: &mut dyn FnMut(usize, f32)| {
            if through {
                for r in view.requests() {
                    let n = view.read_of(r).count();
                    (0..n).for_each(|_| push(r, 1.0 / n as f32));
                }
            } else {
                view.requests().for_each(|r| push(r, 1.0));
            }
        };
        match kind {
            NumberSource::Field { side, column } => {
                let Column::Numbers(values) = view.column(side, column) else {
                    unreachable!("a number field has a number column")
                };
                view.each(side, through || !per_request(side), |row, _| out.push(values[row]));
            }
            NumberSource::Position => {
                let known = mode != Mode::Serve && !impressions.position.is_empty();
                let Training { key, position_dropout, .. } = trained.unwrap_or_default();
                let key = mix(key ^ hash("position"));
                let limit = (position_dropout * u64::MAX as f64) as u64;
                for (r, i) in view.impressions() {
                    let start = out.len();
                    out.resize(start + self.positions + self.repeats, 0.0);
                    if !known || impressions.position[i] == 0 || mix(key ^ i as u64) < limit {
                        continue;
                    }
                    let position = usize::from(impressions.position[i]).min(self.positions);
                    out[start + position - 1] = 1.0;
                    let above = self.repeats.min(view.same_category_above(r, i));
                    if above > 0 {
                        out[start + self.positions + above - 1] = 1.0;
                    }
                }
            }
            NumberSource::LogitOffset => {
                let known = mode != Mode::Serve && !impressions.logit_offset.is_empty();
                let read = view.thinning.map_or(0.0, |thinning| thinning.offset());
                view.impressions().for_each(|(_, i)| {
                    out.push(read + if known { impressions.logit_offset[i] } else { 0.0 });
                });
            }
            NumberSource::Exposure(task) => {
                // The exposure of a label window lies in the future: only training may see it.
                let (values, cols) = match targets.get(task) {
                    Some(Some(Target::Distribution { classes, log_exposure, .. })) => {
                        (log_exposure.as_deref(), *classes)
                    }
                    Some(Some(Target::Share { logit_exposure, .. })) => {
                        (logit_exposure.as_deref(), 1)
                    }
                    _ => (None, catalogue.categories.len().max(1)),
                };
                let values = values.filter(|_| training);
                requests(&mut |r, _| match values {
                    Some(values) => out.extend_from_slice(&values[r * cols..(r + 1) * cols]),
                    None => out.extend(std::iter::repeat_n(0.0, cols)),
                });
            }
            NumberSource::HistoryMix => requests(&mut |r, _| {
                let Source { requests, timelines, .. } = view.source;
                let start = out.len();
                out.extend_from_slice(&self.prior_mix);
                let first = timelines.offsets[requests.user[r] as usize] as usize;
                let end = requests.history_end.get(r).map_or(first, |&e| e as usize);
                let now = requests.time.get(r).copied().unwrap_or(0);
                timelines.mix(first..end, now, &catalogue.category, &mut out[start..]);
                out[start..].iter_mut().for_each(|share| *share = share.max(1e-6).ln());
            }),
            // What follows is read by losses only.
            _ if !training => {}
            NumberSource::Weight(counts) => {
                let training = trained.unwrap_or_default();
                view.impressions()
                    .for_each(|(_, i)| out.push(counts.of(view.source, &training, i)));
            }
            NumberSource::Label(label) => {
                let labels = &impressions.labels[label];
                view.impressions().for_each(|(_, i)| out.push(f32::from(labels[i])));
            }
            NumberSource::RowCategory => view.impressions().for_each(|(_, i)| {
                let sampled = impressions.sampled.get(i).copied().unwrap_or(false);
                let category = catalogue.category[impressions.item[i] as usize];
                out.push(if sampled || category == u16::MAX { -1.0 } else { f32::from(category) });
            }),
            NumberSource::Number(task) => {
                let Some(Target::Number { scale, value }) = &targets[task] else {
                    unreachable!("a regression has numbers")
                };
                view.impressions().for_each(|(_, i)| {
                    let known = !value[i].is_nan();
                    out.push(if known { scale.standardised(value[i].into()) as f32 } else { 0.0 });
                });
            }
            NumberSource::Class(task) => {
                let Some(Target::Class { class, .. }) = &targets[task] else {
                    unreachable!("a multi-class task has classes")
                };
                view.impressions().for_each(|(_, i)| {
                    out.push(if class[i] == NO_CLASS { -1.0 } else { f32::from(class[i]) });
                });
            }
            NumberSource::Shares(task) => {
                let Some(Target::Distribution { classes, shares, .. }) = &targets[task] else {
                    unreachable!("a distribution task has shares")
                };
                requests(&mut |r, _| {
                    out.extend_from_slice(&shares[r * classes..(r + 1) * classes]);
                });
            }
            NumberSource::Share(task) => {
                let Some(Target::Share { value, .. }) = &targets[task] else {
                    unreachable!("a share task has shares")
                };
                requests(&mut |r, _| out.push(value[r]));
            }
            NumberSource::TargetWeight(task) => {
                let Some(Target::Distribution { weight, .. } | Target::Share { weight, .. }) =
                    &targets[task]
                else {
                    unreachable!("a request-level task has weights")
                };
                requests(&mut |r, part| out.push(weight[r] * part));
            }
        }
    }
}
