//! Labels that are numbers or classes: what is learned of them, and what each impression's is.

use std::collections::BTreeMap;
use std::ops::Range;

use hashbrown::HashMap;
use rustc_hash::FxBuildHasher;

use super::columns::{Raw, Want};
use super::dataset::{Dataset, Impressions, NO_CLASS, Target};
use super::encode::mean_and_sd;
use super::space::{LabelEncoding, Scale};
use crate::schema::{Config, Task, TaskKind};
use crate::{Error, Result};

/// Most classes that a task tells apart: a column with more is an id.
pub(crate) const MOST_CLASSES: usize = 1_000;

/// Unknown classes that are named to a person.
const NAMED: usize = 3;

/// How the label column of a task is read; `None` where it is of 0 and 1, or there is none.
pub(super) fn want(task: &Task) -> Option<Want> {
    match task.kind {
        TaskKind::Regression => Some(Want::Number { required: false, negative: !task.is_log1p() }),
        TaskKind::MultiClass => Some(Want::Text { required: false }),
        TaskKind::Binary | TaskKind::Distribution | TaskKind::Share => None,
    }
}

/// Whether a task is asked about an impression.
fn asks(config: &Config, index: usize, impressions: &Impressions) -> impl Fn(&usize) -> bool {
    let among = config.sample_space(index).map(|place| &impressions.labels[place]);
    move |&i| among.is_none_or(|asked| asked[i] == 1)
}

/// Learns from `train`, the training impressions, how labels become what heads learn. `raws` has the column of each task
/// that has one, by impression.
///
/// Numbers are standardised and classes counted over the impressions that the task is asked about. Without labels there
/// is the identity, or no class; what cannot be trained is said by [`constants`](crate::train::constants).
///
/// # Errors
///
/// Where a column has more than [`MOST_CLASSES`] classes.
pub(super) fn learn(
    config: &Config,
    raws: &[Option<Raw>],
    (impressions, train): (&Impressions, &Range<usize>),
) -> Result<BTreeMap<String, LabelEncoding>> {
    let mut learned = BTreeMap::new();
    for (index, (task, raw)) in config.tasks.iter().zip(raws).enumerate() {
        let rows = train.clone().filter(asks(config, index, impressions));
        let encoding = match raw {
            Some(Raw::Numbers(values)) => {
                let labels = rows.map(|i| values[i]).filter(|y| !y.is_nan());
                let log1p = task.is_log1p();
                let (mean, sd) = mean_and_sd(labels.map(|y| if log1p { y.ln_1p() } else { y }));
                LabelEncoding::Number(Scale { mean, sd, log1p })
            }
            Some(Raw::Text { codes, values }) => {
                let mut counts = vec![0u64; values.len()];
                rows.for_each(|i| counts[codes[i] as usize] += 1);
                let least = u64::from(task.min_count());
                let mut order: Vec<usize> =
                    (1..values.len()).filter(|&code| counts[code] >= least).collect();
                order.sort_by(|&a, &b| {
                    counts[b].cmp(&counts[a]).then_with(|| values[a].cmp(&values[b]))
                });
                if order.len() > MOST_CLASSES {
                    return Err(Error::config(
                        format!("task.{}.label", task.name),
                        format!(
                            "expected at most {MOST_CLASSES} classes, `{}` has {} in training",
                            task.label(),
                            order.len()
                        ),
                    )
                    .with_hint(
                        "so many are ids: name a column of few values, or raise `min_count`",
                    ));
                }
                LabelEncoding::Classes(order.into_iter().map(|c| values[c].clone()).collect())
            }
            _ => continue,
        };
        learned.insert(task.name.clone(), encoding);
    }
    Ok(learned)
}

/// The labels of every task that has a column of its own in `raws`, and sentences about impressions that do not count.
pub(super) fn encode(
    config: &Config,
    learned: &BTreeMap<String, LabelEncoding>,
    raws: &[Option<Raw>],
    impressions: &Impressions,
) -> (Vec<Option<Target>>, Vec<String>) {
    let mut notes = Vec::new();
    let mut targets = Vec::with_capacity(raws.len());
    for (index, (task, raw)) in config.tasks.iter().zip(raws).enumerate() {
        if raw.is_none() {
            targets.push(None);
            continue;
        }
        let asks = asks(config, index, impressions);
        let target = match (raw, learned.get(&task.name)) {
            (Some(Raw::Numbers(labels)), Some(&LabelEncoding::Number(scale))) => {
                let value: Vec<f32> = labels.iter().map(|&y| y as f32).collect();
                let asked = (0..value.len()).filter(asks);
                let (mut n, mut empty) = (0u64, 0u64);
                asked.for_each(|i| {
                    n += 1;
                    empty += u64::from(value[i].is_nan());
                });
                if empty > 0 {
                    notes.push(format!(
                        "task `{}`: {empty} of the {n} impressions that it is asked about have no label and do not count",
                        task.name
                    ));
                }
                Target::Number { scale, value }
            }
            (Some(Raw::Text { codes, values }), Some(LabelEncoding::Classes(classes))) => {
                let number: HashMap<&str, u16, FxBuildHasher> =
                    classes.iter().zip(0..).map(|(class, n)| (class.as_str(), n)).collect();
                let of_code: Vec<u16> = values
                    .iter()
                    .map(|value| number.get(value.as_str()).copied().unwrap_or(NO_CLASS))
                    .collect();
                let class: Vec<u16> = codes.iter().map(|&c| of_code[c as usize]).collect();
                let asked: Vec<usize> = (0..class.len()).filter(asks).collect();
                let without = asked.iter().filter(|&&i| class[i] == NO_CLASS);
                let (empty, unknown): (Vec<usize>, Vec<usize>) =
                    without.partition(|&&i| codes[i] == 0);
                let mut names: Vec<&str> =
                    unknown.iter().map(|&i| values[codes[i] as usize].as_str()).collect();
                names.sort_unstable();
                names.dedup();
                notes.extend(left_out(task, asked.len(), empty.len(), (unknown.len(), &names)));
                Target::Class { classes: classes.len(), class }
            }
            _ => unreachable!("a label is read as its task learns it"),
        };
        targets.push(Some(target));
    }
    (targets, notes)
}

/// How many impressions have no class that counts; `None` where all have one.
fn left_out(
    task: &Task,
    asked: usize,
    empty: usize,
    (unknown, names): (usize, &[&str]),
) -> Option<String> {
    let mut parts = Vec::new();
    if empty > 0 {
        parts.push(format!("{empty} have no class"));
    }
    if unknown > 0 {
        let some = names.iter().take(NAMED).map(|name| format!("`{name}`")).collect::<Vec<_>>();
        let more = if names.len() > NAMED { ", …" } else { "" };
        let least = match task.min_count() {
            1 => String::new(),
            least => format!(" {least} times"),
        };
        parts.push(format!(
            "{unknown} have one that training does not have{least} ({}{more})",
            some.join(", ")
        ));
    }
    (!parts.is_empty()).then(|| {
        format!(
            "task `{}`: of the {asked} impressions that it is asked about {}; they do not count",
            task.name,
            parts.join(" and ")
        )
    })
}

impl Dataset {
    /// Impressions of some requests that count for a regression or a multi-class task: it is asked about them, and they
    /// have a label. None in a log without labels.
    pub fn labelled(
        &self,
        config: &Config,
        task: usize,
        requests: &Range<usize>,
    ) -> impl Iterator<Item = usize> {
        let target = self.targets[task].as_ref();
        let asked = target.map(|target| (target, asks(config, task, &self.impressions)));
        let rows = self.requests.impressions(requests);
        rows.filter(move |i| {
            asked.as_ref().is_some_and(|(target, asks)| asks(i) && target.labels(*i))
        })
    }

    /// Whether the log has the labels of every task of impressions.
    pub fn has_labels(&self, config: &Config) -> bool {
        let mut tasks = config.tasks.iter().zip(&self.targets);
        tasks.all(|(task, target)| match task.kind {
            TaskKind::Binary => !self.impressions.labels.is_empty(),
            kind => !kind.encodes_labels() || target.is_some(),
        })
    }
}
