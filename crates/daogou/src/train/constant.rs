//! The best constant predictor of each task: what losses are divided by, and where output biases start.

use crate::data::{Dataset, Target};
use crate::metrics::logloss::binary_entropy;
use crate::schema::{Config, DelayedFeedback, PurchaseObjective, Role, TaskKind};
use crate::{Error, Result};

/// The best constant answer to a task on the training split.
#[derive(Clone, Debug, PartialEq)]
pub struct Constant {
    /// Its mean loss: an entropy, or a variance (of a regression: of standardised labels). Positive.
    pub loss: f64,
    /// The same as training counts it, which its losses are divided by. Another where impressions without a click are
    /// thinned out, labels may come late, or the objective is a sum (ESCM²).
    pub training_loss: f64,
    /// Its logits: one, or one per category or class.
    pub logits: Vec<f64>,
    /// Its answer: a rate, a mix or frequencies, a share, or the mean label.
    pub answer: Vec<f64>,
}

fn logit(p: f64) -> f64 {
    let p = p.clamp(1e-6, 1.0 - 1e-6);
    (p / (1.0 - p)).ln()
}

/// Constant predictors of the training split, one per task.
///
/// A purchase trained through pCTR·pCVR is measured on all impressions (the entropy of the CTCVR), and its logit is that
/// of the CVR.
///
/// # Errors
///
/// Where a task has only one class, or no label at all: there is nothing to learn.
pub fn constants(config: &Config, data: &Dataset) -> Result<Vec<Constant>> {
    let train = data.split.train.clone();
    let impressions = data.requests.impressions(&train);
    let unsettled = &data.impressions.unsettled;
    let rate = |label: &[u8], among: Option<&[u8]>, settled: bool| -> (f64, f64) {
        let (mut n, mut positives) = (0u64, 0u64);
        for i in impressions.clone() {
            let open = settled && unsettled.get(i).copied().unwrap_or(false);
            if among.is_none_or(|a| a[i] == 1) && !open {
                n += 1;
                positives += u64::from(label[i]);
            }
        }
        (positives as f64, n as f64)
    };
    config
        .tasks
        .iter()
        .enumerate()
        .map(|(index, task)| {
            let nothing = |problem: String, hint: &str| {
                Err(Error::data(format!("task `{}`: {problem}", task.name)).with_hint(hint))
            };
            if task.kind == TaskKind::Binary {
                let labels = &data.impressions.labels;
                let label = &labels[super::binary_index(config, index)];
                let click =
                    super::funnel(config, index).map(|c| &labels[super::binary_index(config, c)]);
                let settled = task.excludes_unsettled();
                let (positives, n) = rate(label, None, settled);
                if n == 0.0 {
                    return nothing(
                        "the attribution window of every training impression is still open when training ends"
                            .into(),
                        "lower `attribution_days`, or train on a longer stretch of the log",
                    );
                }
                let on_all = task.objective() == PurchaseObjective::AllImpressions;
                let space = config.sample_space(index).filter(|_| click.is_none() || !on_all);
                let among = space.map(|place| &labels[place]);
                let (bought, base) =
                    among.map_or((positives, n), |asked| rate(label, Some(asked), settled));
                if positives == 0.0 || positives == n {
                    let class = u8::from(positives > 0.0);
                    return nothing(
                        format!(
                            "all {n} training impressions have label {class}; expected both 0 and 1"
                        ),
                        "check the label column, or train on a longer stretch of the log",
                    );
                }
                let column = space.map_or("", |place| config.label_columns()[place]);
                if base == 0.0 {
                    return nothing(
                        format!("its sample space is empty: no training impression has `{column}` = 1"),
                        "check that column, or train on a longer stretch of the log",
                    );
                }
                if bought == 0.0 || bought == base {
                    let class = u8::from(bought > 0.0);
                    return nothing(
                        format!(
                            "all {base} training impressions with `{column}` = 1 have label {class}; expected both 0 and 1"
                        ),
                        "check the label columns, train on a longer stretch of the log, or remove the task",
                    );
                }
                let own = bought / base;
                let measured = if config.loss_space(index).is_some() { own } else { positives / n };
                let loss = binary_entropy(measured).max(1e-6);
                // The rows that training reads, if it does not read all of them and takes no account of that in weights.
                let clicks = match (task.role(), click, task.objective()) {
                    (Some(Role::Click), ..) => Some(positives),
                    (_, Some(click), PurchaseObjective::Esmm) => Some(rate(click, None, settled).0),
                    _ => None,
                };
                let thin = config.train.negative_rate;
                let escm2 = click.is_some() && task.objective().is_escm2();
                let training_loss = match (clicks, task.delayed_feedback()) {
                    _ if escm2 => {
                        // Of clicked rows; their weights have a mean of 1 over all rows.
                        let mut risk = binary_entropy(own);
                        if task.objective() == PurchaseObjective::Escm2Dr {
                            // What is left to the best constant imputation: the variance of the loss.
                            risk += own * (1.0 - own) * logit(own).powi(2);
                        }
                        task.ctcvr_weight() * loss + task.cvr_weight() * risk
                    }
                    (_, DelayedFeedback::Fnw) => fake_negatives(measured).max(1e-6),
                    (Some(clicks), _) if thin < 1.0 => {
                        binary_entropy(positives / (clicks + thin * (n - clicks))).max(1e-6)
                    }
                    _ => loss,
                };
                let (logits, answer) = (vec![logit(own)], vec![own]);
                return Ok(Constant { loss, training_loss, logits, answer });
            }
            match data.targets[index].as_ref().expect("all but binary tasks have targets") {
                Target::Number { scale, value } => {
                    let (mut n, mut sum, mut square) = (0.0, 0.0, 0.0);
                    let (mut least, mut most) = (f32::INFINITY, f32::NEG_INFINITY);
                    for y in data.labelled(config, index, &train).map(|i| value[i]) {
                        n += 1.0;
                        sum += f64::from(y);
                        square += scale.standardised(y.into()).powi(2);
                        (least, most) = (least.min(y), most.max(y));
                    }
                    if n == 0.0 {
                        return nothing(no_label(config, index), NO_ROW_LABEL);
                    }
                    if least == most {
                        return nothing(
                            format!(
                                "all {n} labelled training impressions have `{}` = {least}; expected different numbers",
                                task.label()
                            ),
                            "check the label column, train on a longer stretch of the log, or remove the task",
                        );
                    }
                    // The standardised mean is 0.
                    let loss = (square / n).max(1e-6);
                    let (logits, answer) = (vec![0.0], vec![sum / n]);
                    Ok(Constant { loss, training_loss: loss, logits, answer })
                }
                Target::Class { classes, class } => {
                    let mut counts = vec![0.0; *classes];
                    for i in data.labelled(config, index, &train) {
                        counts[usize::from(class[i])] += 1.0;
                    }
                    if counts.len() < 2 {
                        let found = match counts.first() {
                            None => no_label(config, index),
                            Some(n) => format!(
                                "all {n} labelled training impressions have the same class; expected at least 2"
                            ),
                        };
                        return nothing(found, NO_ROW_LABEL);
                    }
                    Ok(of_mix(&counts))
                }
                Target::RowCategory { classes } => {
                    let mut counts = vec![0.0; *classes];
                    for i in impressions.clone() {
                        let sampled = data.impressions.sampled.get(i).copied().unwrap_or(false);
                        let item = data.impressions.item[i] as usize;
                        if let (Some(count), false) =
                            (counts.get_mut(usize::from(data.catalogue.category[item])), sampled)
                        {
                            *count += 1.0;
                        }
                    }
                    Ok(of_mix(&counts))
                }
                Target::Distribution { classes, shares, weight, .. } => {
                    let mut total = vec![0.0; *classes];
                    for r in train.clone() {
                        let row = &shares[r * classes..(r + 1) * classes];
                        let w = f64::from(weight[r]);
                        total.iter_mut().zip(row).for_each(|(t, &s)| *t += w * f64::from(s));
                    }
                    if total.iter().sum::<f64>() <= 0.0 {
                        return nothing("no training request has a label".into(), NO_LABEL);
                    }
                    Ok(of_mix(&total))
                }
                Target::Share { value, weight, .. } => {
                    let (mut n, mut sum, mut square) = (0.0, 0.0, 0.0);
                    for r in train.clone() {
                        let (w, v) = (f64::from(weight[r]), f64::from(value[r]));
                        n += w;
                        sum += w * v;
                        square += w * v * v;
                    }
                    if n <= 0.0 {
                        return nothing("no training request has a label".into(), NO_LABEL);
                    }
                    let mean = sum / n;
                    let loss = (square / n - mean * mean).max(1e-6);
                    let (logits, answer) = (vec![logit(mean)], vec![mean]);
                    Ok(Constant { loss, training_loss: loss, logits, answer })
                }
            }
        })
        .collect()
}

const NO_ROW_LABEL: &str =
    "check the label column, train on a longer stretch of the log, or remove the task";

/// That no training impression has a label, where the task is asked.
fn no_label(config: &Config, index: usize) -> String {
    let label = config.tasks[index].label();
    match config.sample_space(index).map(|place| config.label_columns()[place]) {
        None => format!("no training impression has a label in column `{label}`"),
        Some(space) => {
            format!("no training impression with `{space}` = 1 has a label in column `{label}`")
        }
    }
}

const NO_LABEL: &str = "the log is too short for the label window: lower `min_events`, raise `window_days`, or remove \
                        the task";

/// A mix from weights; every category keeps a trace of mass, so that its logit is finite.
fn of_mix(counts: &[f64]) -> Constant {
    let total: f64 = counts.iter().sum();
    let n = counts.len() as f64;
    let answer: Vec<f64> = counts.iter().map(|c| (c + 1e-3) / (total + 1e-3 * n)).collect();
    let entropy: f64 = answer.iter().map(|p| -p * p.ln()).sum();
    let (loss, logits) = (entropy.max(1e-6), answer.iter().map(|p| p.ln()).collect());
    Constant { loss, training_loss: loss, logits, answer }
}

/// The loss of weighed fake negatives where the answer is the rate itself.
fn fake_negatives(p: f64) -> f64 {
    -p * (1.0 + p) * p.ln() - (1.0 - p * p) * (1.0 - p).ln()
}
