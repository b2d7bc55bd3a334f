//! Running a network forward over many requests, on all threads.

use std::ops::Range;

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

/// Cuts requests into runs of about [`MICRO`] impressions; a longer request stays whole.
pub fn cut(offsets: &[u32], requests: &[u32], size: usize, mut push: impl FnMut(Range<usize>)) {
    let (mut start, mut rows) = (0, 0);
    for (i, &r) in requests.iter().enumerate() {
        rows += (offsets[r as usize + 1] - offsets[r as usize]) as usize;
        if rows >= size {
            push(start..i + 1);
            (start, rows) = (i + 1, 0);
        }
    }
    if start < requests.len() {
        push(start..requests.len());
    }
}

/// Logits of every head for some requests, in their order. The result does not depend on the number of threads.
pub fn predict(
    (model, parameters): (&Model, &Parameters),
    (feed, heads): (&Feed, &[Head]),
    source: &Source<'_>,
    requests: &[u32],
    mode: Mode,
    team: &mut Team,
) -> Vec<Logits> {
    struct Job {
        requests: Range<usize>,
        out: Vec<Vec<f32>>,
    }
    let mut jobs = Vec::new();
    cut(&source.requests.offsets, requests, MICRO, |requests| {
        jobs.push(Job { requests, out: vec![Vec::new(); heads.len()] });
    });
    let mut workers: Vec<std::sync::Mutex<(Micro, Workspace)>> = (0..team.size())
        .map(|_| std::sync::Mutex::new((Micro::new(model), Workspace::new(model))))
        .collect();
    team.for_each(&mut jobs, |member, _, job| {
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
    workers.clear();
    heads
        .iter()
        .enumerate()
        .map(|(h, head)| Logits {
            level: head.level,
            cols: model.cols(head.logits),
            values: jobs.iter().flat_map(|job| job.out[h].iter().copied()).collect(),
        })
        .collect()
}
