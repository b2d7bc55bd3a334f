//! Running a network forward over many requests, on all threads.

use std::ops::Range;
use std::sync::Mutex;

use daogou_nn::{Micro, Model, Parameters, Team, Workspace};

use super::feed::{Feed, Mode, Source};
use super::heads::{Head, Level};

/// Impressions per micro-batch: small enough for activations to stay in a core's cache.
pub const MICRO: usize = 256;

/// Logits of one head, row-major.
#[derive(Clone, Debug, PartialEq)]
pub struct Logits {
    /// What its rows are.
    pub level: Level,
    /// Values per row: 1, or one per category.
    pub cols: usize,
    /// Rows in the order of the requests or impressions.
    pub values: Vec<f32>,
}

/// Cuts requests, each of as many impressions as `rows_of` says, into runs of about `size` impressions; a longer request
/// stays whole.
pub fn cut(
    rows_of: impl Fn(u32) -> usize,
    requests: &[u32],
    size: usize,
    mut push: impl FnMut(Range<usize>),
) {
    let (mut start, mut rows) = (0, 0);
    for (i, &r) in requests.iter().enumerate() {
        rows += rows_of(r);
        if rows >= size {
            push(start..i + 1);
            (start, rows) = (i + 1, 0);
        }
    }
    if start < requests.len() {
        push(start..requests.len());
    }
}

/// A run of requests, and the logits of each head for it.
struct Job {
    requests: Range<usize>,
    out: Vec<Vec<f32>>,
}

/// Runs a network forward, call after call in the same memory: once it has grown, a call allocates nothing of the size
/// of its rows.
pub struct Forward<'a> {
    model: &'a Model,
    parameters: &'a Parameters,
    feed: &'a Feed,
    heads: &'a [Head],
    workers: Vec<Mutex<(Micro, Workspace)>>,
    jobs: Vec<Job>,
    logits: Vec<Logits>,
}

impl<'a> Forward<'a> {
    /// Memory for a team of `threads`.
    pub fn new(
        (model, parameters): (&'a Model, &'a Parameters),
        (feed, heads): (&'a Feed, &'a [Head]),
        threads: usize,
    ) -> Self {
        let worker = || Mutex::new((Micro::new(model), Workspace::new(model)));
        let empty = |head: &Head| Logits {
            level: head.level,
            cols: model.cols(head.logits),
            values: Vec::new(),
        };
        Self {
            model,
            parameters,
            feed,
            heads,
            workers: (0..threads).map(|_| worker()).collect(),
            jobs: Vec::new(),
            logits: heads.iter().map(empty).collect(),
        }
    }

    /// Logits of every head for some requests, in their order. The result does not depend on the number of threads.
    ///
    /// # Panics
    ///
    /// If `team` is larger than the team this was made for.
    pub fn run(
        &mut self,
        source: &Source<'_>,
        requests: &[u32],
        mode: Mode,
        team: &mut Team,
    ) -> &mut [Logits] {
        let Self { model, parameters, feed, heads, workers, jobs, logits } = self;
        assert!(team.size() <= workers.len(), "each member of the team has its own memory");
        let mut used = 0;
        let offsets = &source.requests.offsets;
        let rows_of = |r: u32| (offsets[r as usize + 1] - offsets[r as usize]) as usize;
        cut(rows_of, requests, MICRO, |requests| {
            if used == jobs.len() {
                jobs.push(Job { requests: 0..0, out: vec![Vec::new(); heads.len()] });
            }
            jobs[used].requests = requests;
            jobs[used].out.iter_mut().for_each(Vec::clear);
            used += 1;
        });
        let jobs = &mut jobs[..used];
        team.for_each(jobs, |member, _, job| {
            let mut worker = workers[member].lock().expect("each member has its own");
            let (micro, workspace) = &mut *worker;
            feed.fill(source, &requests[job.requests.clone()], mode, micro);
            model.forward(parameters, micro, workspace);
            for (head, out) in heads.iter().zip(&mut job.out) {
                let rows = micro.rows[usize::from(head.level == Level::Impression)];
                for row in 0..rows {
                    out.extend_from_slice(workspace.row(model, head.logits, row));
                }
            }
        });
        for (h, logits) in logits.iter_mut().enumerate() {
            logits.values.clear();
            jobs.iter().for_each(|job| logits.values.extend_from_slice(&job.out[h]));
        }
        logits
    }
}

/// Logits of every head for some requests, once: see [`Forward::run`].
pub fn predict(
    network: (&Model, &Parameters),
    inputs: (&Feed, &[Head]),
    source: &Source<'_>,
    requests: &[u32],
    mode: Mode,
    team: &mut Team,
) -> Vec<Logits> {
    let mut forward = Forward::new(network, inputs, team.size());
    forward.run(source, requests, mode, team);
    forward.logits
}
