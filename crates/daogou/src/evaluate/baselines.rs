//! What any model must beat: the constant, popularity, position alone, and the user's own past.

use std::ops::Range;

use super::TaskScores;
use crate::data::{Dataset, Target};
use crate::schema::{Config, Role, TaskKind};
use crate::train::{binary_index, constants};

/// Impressions (or clicks) that the overall rate counts as, in a smoothed rate.
const PRIOR: f64 = 50.0;

/// Events that the overall mix counts as, in a user's own mix.
pub(crate) const MIX_PRIOR: f64 = 2.0;

/// Answers of one baseline: task and scores.
pub(crate) type Answers = Vec<(usize, TaskScores)>;

fn logit(p: f64) -> f32 {
    let p = p.clamp(1e-6, 1.0 - 1e-6);
    (p / (1.0 - p)).ln() as f32
}

/// All baselines that the log allows, for a range of requests.
pub(super) fn all(
    config: &Config,
    data: &Dataset,
    requests: &Range<usize>,
) -> Vec<(&'static str, Answers)> {
    vec![
        ("constant", constant(config, data, requests)),
        ("popularity", popularity(config, data, requests)),
        ("position", position(config, data, requests)),
        ("user_history", user_history(config, data, requests)),
    ]
}

pub(crate) fn constant(config: &Config, data: &Dataset, requests: &Range<usize>) -> Answers {
    let n = data.requests.impressions(requests).len();
    let Ok(constants) = constants(config, data) else { return Vec::new() };
    let answers = config.tasks.iter().zip(constants).enumerate().map(|(index, (task, c))| {
        let rows = match &data.targets[index] {
            Some(Target::RowCategory { .. }) => n,
            _ => requests.len(),
        };
        let scores = match task.kind {
            TaskKind::Binary => TaskScores::Logits(vec![c.logits[0] as f32; n]),
            TaskKind::Distribution => TaskScores::Mix {
                classes: c.answer.len(),
                shares: c
                    .answer
                    .iter()
                    .map(|&p| p as f32)
                    .cycle()
                    .take(rows * c.answer.len())
                    .collect(),
            },
            TaskKind::Share => TaskScores::Share(vec![c.answer[0] as f32; rows]),
            TaskKind::Regression => TaskScores::Numbers(vec![c.answer[0] as f32; n]),
            TaskKind::MultiClass => {
                let frequencies: Vec<f32> = c.answer.iter().map(|&p| p as f32).collect();
                let classes = frequencies.len();
                TaskScores::Classes { classes, probabilities: frequencies.repeat(n) }
            }
        };
        (index, scores)
    });
    answers.collect()
}

/// Smoothed rate of each key over the training split, as a logit per impression of the range.
fn by_key(
    config: &Config,
    data: &Dataset,
    requests: &Range<usize>,
    index: usize,
    keys: usize,
    key: impl Fn(usize) -> usize,
) -> TaskScores {
    let labels = |i: usize| &data.impressions.labels[binary_index(config, i)];
    let among = config.sample_space(index).map(|place| &data.impressions.labels[place]);
    let label = labels(index);
    let (mut hits, mut counts) = (vec![0.0; keys], vec![0.0; keys]);
    for i in data.requests.impressions(&data.split.train) {
        if among.is_none_or(|a| a[i] == 1) {
            counts[key(i)] += 1.0;
            hits[key(i)] += f64::from(label[i]);
        }
    }
    let rate = hits.iter().sum::<f64>() / counts.iter().sum::<f64>().max(1.0);
    let logits: Vec<f32> =
        hits.iter().zip(&counts).map(|(h, n)| logit((h + PRIOR * rate) / (n + PRIOR))).collect();
    TaskScores::Logits(data.requests.impressions(requests).map(|i| logits[key(i)]).collect())
}

fn binary_tasks(config: &Config) -> impl Iterator<Item = usize> + '_ {
    let tasks = config.tasks.iter().enumerate();
    tasks.filter(|(_, t)| t.kind == TaskKind::Binary).map(|(index, _)| index)
}

fn popularity(config: &Config, data: &Dataset, requests: &Range<usize>) -> Answers {
    let key = |i: usize| data.impressions.item[i] as usize;
    let one = |index| (index, by_key(config, data, requests, index, data.items.ids.len(), key));
    binary_tasks(config).map(one).collect()
}

fn position(config: &Config, data: &Dataset, requests: &Range<usize>) -> Answers {
    let Some(&last) = data.impressions.position.iter().max() else { return Vec::new() };
    let key = |i: usize| usize::from(data.impressions.position[i]);
    let clicks = binary_tasks(config).filter(|&i| config.tasks[i].role() != Some(Role::Purchase));
    clicks
        .map(|index| (index, by_key(config, data, requests, index, usize::from(last) + 1, key)))
        .collect()
}

/// A user's own past, recent events more, shrunk to everyone's: the mix of categories, and the share of labelled
/// requests' past answers for novelty.
pub(crate) fn user_history(config: &Config, data: &Dataset, requests: &Range<usize>) -> Answers {
    let Ok(constants) = constants(config, data) else { return Vec::new() };
    let mut answers = Vec::new();
    for (index, constant) in constants.iter().enumerate() {
        match &data.targets[index] {
            Some(Target::Distribution { classes, .. }) => {
                let mut shares = Vec::with_capacity(requests.len() * classes);
                for r in requests.clone() {
                    let mut mix: Vec<f32> =
                        constant.answer.iter().map(|p| (MIX_PRIOR * p) as f32).collect();
                    let start = data.timelines.offsets[data.requests.user[r] as usize] as usize;
                    let end = data.requests.history_end.get(r).map_or(start, |&e| e as usize);
                    let now = data.requests.time.get(r).copied().unwrap_or(0);
                    data.timelines.mix(start..end, now, &data.catalogue.category, &mut mix);
                    shares.extend(mix);
                }
                answers.push((index, TaskScores::Mix { classes: *classes, shares }));
            }
            Some(Target::Share { value, weight, .. }) => {
                // Labels of training requests only, all of which lie in the past of a later split.
                let mut of_user = vec![(0.0, 0.0); data.users.ids.len()];
                for r in data.split.train.clone() {
                    let (sum, n) = &mut of_user[data.requests.user[r] as usize];
                    *sum += f64::from(weight[r] * value[r]);
                    *n += f64::from(weight[r]);
                }
                let prior = 10.0;
                let shares = requests.clone().map(|r| {
                    let (sum, n) = of_user[data.requests.user[r] as usize];
                    ((sum + prior * constant.answer[0]) / (n + prior)) as f32
                });
                answers.push((index, TaskScores::Share(shares.collect())));
            }
            _ => {}
        }
    }
    answers
}
