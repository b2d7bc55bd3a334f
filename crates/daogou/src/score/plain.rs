//! The same answers by the plain pass.

use daogou_nn::Team;

use super::unknown_columns;
use crate::calibrate::CalibratedForward;
use crate::data::lookback::Lookback;
use crate::data::{Impressions, Requests};
use crate::list_maker::{Goods, Visit};
use crate::models::{Logits, Mode, Source};
use crate::run::TrainedRun;
use crate::schema::Side;

/// Candidates that share one copy of the request in a forward pass.
const CHUNK: usize = 256;

/// Calibrated logits of every head for items of one visit, each read and multiplied again for every visit.
pub(crate) struct PlainForward<'a> {
    goods: Goods<'a>,
    lookback: Lookback,
    forward: CalibratedForward<'a>,
    requests: Requests,
    chunks: Vec<u32>,
    impressions: Impressions,
}

impl<'a> PlainForward<'a> {
    /// For visits that are offered `items`.
    pub(crate) fn new(
        run: &'a TrainedRun,
        goods: Goods<'a>,
        items: &[u32],
        threads: usize,
    ) -> Self {
        let chunks = items.len().div_ceil(CHUNK);
        let ends = (0..=chunks).map(|chunk| (chunk * CHUNK).min(items.len()) as u32);
        Self {
            goods,
            lookback: Lookback::new(&run.stored.space, goods.items, &run.stored.past),
            forward: run.forward(threads),
            requests: Requests { offsets: ends.collect(), ..Requests::default() },
            chunks: (0..chunks as u32).collect(),
            impressions: Impressions {
                item: items.to_vec(),
                columns: unknown_columns(run, Side::Impression, items.len()),
                ..Impressions::default()
            },
        }
    }

    /// Logits for all items; heads of the request have one row per chunk of candidates.
    pub(crate) fn run(
        &mut self,
        visit: &Visit<'_>,
        history_end: u32,
        team: &mut Team,
    ) -> &[Logits] {
        let (requests, chunks) = (&mut self.requests, self.chunks.len());
        requests.user = vec![visit.user; chunks];
        requests.history_end = vec![history_end; chunks];
        requests.time = vec![visit.time; chunks];
        let (columns, row) = visit.context;
        requests.columns = columns.iter().map(|column| column.repeated(row, chunks)).collect();
        let Impressions { item, columns, .. } = &mut self.impressions;
        self.lookback.clear(columns);
        self.lookback.extend((&visit.people.sights, visit.user, visit.time), item, columns);
        let source = Source {
            users: visit.people.users,
            items: self.goods.items,
            catalogue: self.goods.catalogue,
            timelines: visit.people.timelines,
            requests: &self.requests,
            impressions: &self.impressions,
            targets: &[],
        };
        self.forward.run(&source, &self.chunks, Mode::Serve, team)
    }
}
