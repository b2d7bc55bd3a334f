//! What early stopping watches: losses on the validation split, each over its constant predictor's.

use std::ops::Range;

use serde::{Deserialize, Serialize};

use super::Constant;
use crate::data::{Dataset, Target};
use crate::metrics::logloss::{sigmoid, softplus};
use crate::metrics::{ScoreOrder, auc};
use crate::models::{Level, Logits};
use crate::schema::{Config, TaskKind};

/// Validation of one task.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct TaskScore {
    /// Mean loss over the constant predictor's loss on the training split; `None` without labelled rows.
    pub loss: Option<f64>,
    /// Area under the ROC curve, of binary tasks; of a purchase trained through pCTR·pCVR: of the CTCVR.
    pub auc: Option<f64>,
}

/// Scores the logits of some requests.
pub(super) fn score(
    config: &Config,
    data: &Dataset,
    requests: Range<usize>,
    logits: &[Logits],
    constants: &[Constant],
) -> Vec<TaskScore> {
    let impressions = data.requests.impressions(&requests);
    let owners = || {
        requests.clone().flat_map(|r| {
            let n = data.requests.impressions(&(r..r + 1)).len();
            std::iter::repeat_n(r, n)
        })
    };
    (0..config.tasks.len())
        .map(|index| {
            let task = &config.tasks[index];
            let z = &logits[index];
            let own = constants[index].loss;
            if task.kind == TaskKind::Binary {
                let place = super::binary_index(config, index);
                let label = &data.impressions.labels[place][impressions.clone()];
                return match (super::funnel(config, index), task.objective()) {
                    (Some(click), objective) if objective.is_entire_space() => {
                        // ln P = −softplus(−a) − softplus(−v) orders as P does and never underflows.
                        let pairs = logits[click].values.iter().zip(&z.values);
                        let ln_p: Vec<f64> = pairs
                            .map(|(&a, &v)| -softplus(-f64::from(a)) - softplus(-f64::from(v)))
                            .collect();
                        let loss = ln_p
                            .iter()
                            .zip(label)
                            .map(|(&l, &y)| if y == 1 { -l } else { -(-l.exp()).ln_1p() });
                        let mean = loss.sum::<f64>() / label.len() as f64;
                        let scores: Vec<f32> = ln_p.iter().map(|&l| l as f32).collect();
                        binary(mean / own, &scores, label)
                    }
                    _ => match config.loss_space(index) {
                        Some(space) => {
                            let asked = &data.impressions.labels[space][impressions.clone()];
                            let keep = |i: &usize| asked[*i] == 1;
                            let rows: Vec<usize> = (0..label.len()).filter(keep).collect();
                            let scores: Vec<f32> = rows.iter().map(|&i| z.values[i]).collect();
                            let label: Vec<u8> = rows.iter().map(|&i| label[i]).collect();
                            binary(mean_bce(&scores, &label) / own, &scores, &label)
                        }
                        None => binary(mean_bce(&z.values, label) / own, &z.values, label),
                    },
                };
            }
            let of_row = |i: usize| {
                let row = i - impressions.start;
                &z.values[row * z.cols..(row + 1) * z.cols]
            };
            let labelled = || data.labelled(config, index, &requests);
            match data.targets[index].as_ref() {
                Some(Target::Number { scale, value }) => {
                    let miss = |i| f64::from(of_row(i)[0]) - scale.standardised(value[i].into());
                    return mean_over(own, labelled().map(|i| miss(i).powi(2)));
                }
                Some(Target::Class { class, .. }) => {
                    let loss = |i| {
                        let z = of_row(i);
                        log_sum_exp(z) - f64::from(z[usize::from(class[i])])
                    };
                    return mean_over(own, labelled().map(loss));
                }
                _ => {}
            }
            let (mut sum, mut total) = (0.0, 0.0);
            let cols = z.cols;
            let rows: Vec<usize> = match z.level {
                Level::Request => requests.clone().collect(),
                Level::Impression => owners().collect(),
            };
            let sizes = |r: usize| match z.level {
                Level::Request => 1.0,
                Level::Impression => data.requests.impressions(&(r..r + 1)).len() as f64,
            };
            for (row, &r) in rows.iter().enumerate() {
                let z = &z.values[row * cols..(row + 1) * cols];
                let (w, loss) = match data.targets[index].as_ref() {
                    Some(Target::RowCategory { .. }) => {
                        let item = data.impressions.item[impressions.start + row] as usize;
                        let category = usize::from(data.catalogue.category[item]);
                        if category >= cols {
                            continue;
                        }
                        let lse = log_sum_exp(z);
                        (1.0, lse - f64::from(z[category]))
                    }
                    Some(Target::Distribution { shares, weight, .. }) => {
                        let lse = log_sum_exp(z);
                        let t = &shares[r * cols..(r + 1) * cols];
                        let ce =
                            t.iter().zip(z).map(|(&t, &z)| f64::from(t) * (lse - f64::from(z)));
                        (f64::from(weight[r]) / sizes(r), ce.sum())
                    }
                    Some(Target::Share { value, weight, .. }) => {
                        let miss = sigmoid(f64::from(z[0])) - f64::from(value[r]);
                        (f64::from(weight[r]) / sizes(r), miss * miss)
                    }
                    _ => continue,
                };
                if w > 0.0 {
                    sum += w * loss;
                    total += w;
                }
            }
            TaskScore { loss: (total > 0.0).then(|| sum / total / own), auc: None }
        })
        .collect()
}

/// Mean of some losses, over that of the constant predictor.
fn mean_over(constant: f64, losses: impl Iterator<Item = f64>) -> TaskScore {
    let (sum, n) = losses.fold((0.0, 0.0), |(sum, n), loss| (sum + loss, n + 1.0));
    TaskScore { loss: (n > 0.0).then(|| sum / n / constant), auc: None }
}

fn log_sum_exp(logits: &[f32]) -> f64 {
    let top = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let total: f64 = logits.iter().map(|&z| f64::from(z - top).exp()).sum();
    f64::from(top) + total.ln()
}

fn mean_bce(logits: &[f32], labels: &[u8]) -> f64 {
    let loss = |(&z, &y): (&f32, &u8)| softplus(f64::from(z)) - f64::from(y) * f64::from(z);
    logits.iter().zip(labels).map(loss).sum::<f64>() / logits.len() as f64
}

fn binary(loss: f64, scores: &[f32], labels: &[u8]) -> TaskScore {
    let order = ScoreOrder::new(scores);
    TaskScore { loss: (!labels.is_empty()).then_some(loss), auc: auc::auc(&order, labels) }
}
