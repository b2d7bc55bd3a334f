//! Answers to yes-or-no questions beside what happened: what reports of a task, and of parts of its rows, are made of.

use std::ops::Range;

use super::TaskScores;
use crate::data::Dataset;
use crate::metrics::Scores;
use crate::metrics::logloss::sigmoid;
use crate::schema::Config;
use crate::train::{binary_index, funnel};

/// Answers to one question and what happened, by the impressions that it is asked about.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct BinaryAnswers {
    /// Name of the report: the task's, or `{task}_ctcvr`.
    pub(crate) name: String,
    /// Impressions, counted from the first of the range.
    pub(crate) rows: Vec<u32>,
    /// Logits, or probabilities where `product` says so.
    scores: Vec<f32>,
    product: bool,
    /// 0 or 1.
    pub(crate) labels: Vec<u8>,
}

impl BinaryAnswers {
    /// As metrics read them.
    pub(crate) fn scores(&self) -> Scores<'_> {
        if self.product {
            Scores::Probabilities(&self.scores)
        } else {
            Scores::Logits(&self.scores)
        }
    }

    /// Those of some places in `rows`.
    pub(crate) fn part(&self, places: &[u32]) -> Self {
        Self {
            name: self.name.clone(),
            rows: places.iter().map(|&p| self.rows[p as usize]).collect(),
            scores: places.iter().map(|&p| self.scores[p as usize]).collect(),
            product: self.product,
            labels: places.iter().map(|&p| self.labels[p as usize]).collect(),
        }
    }
}

/// Answers of a binary task for a range of requests, on the impressions that it is asked about. A purchase after a click has two: CVR on clicked impressions, and
/// CTCVR, pCTR·pCVR, on all of them. None for other kinds of task, and without scores.
pub(crate) fn binary_answers(
    config: &Config,
    data: &Dataset,
    requests: &Range<usize>,
    scores: &[Option<&TaskScores>],
    index: usize,
) -> Vec<BinaryAnswers> {
    let Some(TaskScores::Logits(logits)) = scores[index] else { return Vec::new() };
    let impressions = data.requests.impressions(requests);
    let labels = |i: usize| &data.impressions.labels[binary_index(config, i)][impressions.clone()];
    let (name, label) = (&config.tasks[index].name, labels(index));
    let all = 0..label.len() as u32;
    let whole = |name: String, scores: Vec<f32>, product: bool| BinaryAnswers {
        name,
        rows: all.clone().collect(),
        scores,
        product,
        labels: label.to_vec(),
    };
    let Some(space) = config.sample_space(index) else {
        return vec![whole(name.clone(), logits.clone(), false)];
    };
    let asked = &data.impressions.labels[space][impressions.clone()];
    let places: Vec<u32> = all.clone().filter(|&i| asked[i as usize] == 1).collect();
    let mut answers = vec![whole(name.clone(), logits.clone(), false).part(&places)];
    if let Some(TaskScores::Logits(clicks)) = funnel(config, index).and_then(|click| scores[click])
    {
        let pairs = clicks.iter().zip(logits);
        let product =
            pairs.map(|(&a, &v)| (sigmoid(f64::from(a)) * sigmoid(f64::from(v))) as f32).collect();
        answers.push(whole(format!("{name}_ctcvr"), product, true));
    }
    answers
}
