//! Reports of regressions and multi-class tasks, on the impressions that they are asked about and that have a label.

use std::ops::Range;

use crate::Result;
use crate::data::{Dataset, Target};
use crate::metrics::{
    BootstrapOptions, ClassInput, ClassReport, RegressionInput, RegressionReport, Scores,
};
use crate::schema::Config;

/// The rows that count: impressions counted from the first of the range, and the user of each.
struct Rows {
    first: usize,
    rows: Vec<usize>,
    users: Vec<u32>,
}

impl Rows {
    fn of(
        config: &Config,
        data: &Dataset,
        requests: &Range<usize>,
        (task, users): (usize, &[u32]),
    ) -> Self {
        let first = data.requests.impressions(requests).start;
        let rows: Vec<usize> = data.labelled(config, task, requests).map(|i| i - first).collect();
        let users = rows.iter().map(|&row| users[row]).collect();
        Self { first, rows, users }
    }

    /// Labels of these rows, from those of all impressions.
    fn labels<T: Copy>(&self, all: &[T]) -> Vec<T> {
        self.rows.iter().map(|&row| all[self.first + row]).collect()
    }
}

/// Report on the numbers that were predicted for a range of requests. `users`: of each impression of the range. `None` in
/// a log without labels.
pub(super) fn numbers(
    config: &Config,
    data: &Dataset,
    requests: &Range<usize>,
    (task, users): (usize, &[u32]),
    predicted: &[f32],
    options: &BootstrapOptions,
) -> Result<Option<RegressionReport>> {
    let Some(Target::Number { value, .. }) = &data.targets[task] else { return Ok(None) };
    let rows = Rows::of(config, data, requests, (task, users));
    let predicted: Vec<f32> = rows.rows.iter().map(|&row| predicted[row]).collect();
    let input = RegressionInput {
        predicted: &predicted,
        targets: &rows.labels(value),
        groups: &rows.users,
    };
    RegressionReport::compute(&input, options).map(Some)
}

/// The same for probabilities of classes, `[impressions, classes]`.
pub(super) fn classes(
    config: &Config,
    data: &Dataset,
    requests: &Range<usize>,
    (task, users): (usize, &[u32]),
    (classes, probabilities): (usize, &[f32]),
    options: &BootstrapOptions,
) -> Result<Option<ClassReport>> {
    let Some(Target::Class { class, .. }) = &data.targets[task] else { return Ok(None) };
    let rows = Rows::of(config, data, requests, (task, users));
    let mut kept = Vec::with_capacity(rows.rows.len() * classes);
    for &row in &rows.rows {
        kept.extend_from_slice(&probabilities[row * classes..(row + 1) * classes]);
    }
    let input = ClassInput {
        classes,
        scores: Scores::Probabilities(&kept),
        labels: &rows.labels(class),
        groups: &rows.users,
    };
    ClassReport::compute(&input, options).map(Some)
}
