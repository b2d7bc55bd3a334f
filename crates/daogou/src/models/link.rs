//! From what a head says to its answer.

use super::Logits;
use crate::data::{FeatureSpace, LabelEncoding, Scale};
use crate::schema::{Task, TaskKind};

/// The inverse of a link function: from logits, or what stands in their place, to an answer.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Link {
    /// A probability or a share: `σ(z)`.
    Sigmoid,
    /// A distribution: the softmax of a row.
    Softmax,
    /// A number in its label's units.
    Scaled(Scale),
}

impl Link {
    /// That of a task in a run whose parts fit each other.
    pub(crate) fn of(task: &Task, space: &FeatureSpace) -> Self {
        match (task.kind, space.labels.get(&task.name)) {
            (TaskKind::Binary | TaskKind::Share, _) => Self::Sigmoid,
            (TaskKind::Distribution | TaskKind::MultiClass, _) => Self::Softmax,
            (TaskKind::Regression, Some(LabelEncoding::Number(scale))) => Self::Scaled(*scale),
            (TaskKind::Regression, _) => unreachable!("a regression has a scale"),
        }
    }

    /// Answers, as many as logits. A number that no `f32` holds becomes the nearest one that it does.
    pub(crate) fn answers(self, logits: &Logits) -> Vec<f32> {
        match self {
            Self::Sigmoid => logits.values.iter().map(|&z| sigmoid(z)).collect(),
            Self::Softmax => softmax_rows(logits),
            Self::Scaled(scale) => {
                let answer = |&z: &f32| scale.answer(f64::from(z)) as f32;
                let held = |y: f32| y.clamp(f32::MIN, f32::MAX);
                logits.values.iter().map(|z| held(answer(z))).collect()
            }
        }
    }
}

/// σ(z).
pub(crate) fn sigmoid(z: f32) -> f32 {
    crate::metrics::logloss::sigmoid(f64::from(z)) as f32
}

/// Softmax of each row.
fn softmax_rows(logits: &Logits) -> Vec<f32> {
    let mut out = Vec::with_capacity(logits.values.len());
    let mut log = Vec::new();
    for row in logits.values.chunks_exact(logits.cols) {
        crate::metrics::distribution::log_softmax(row, &mut log);
        out.extend(log.iter().map(|l| l.exp() as f32));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::models::Level;

    fn logits(cols: usize, values: &[f32]) -> Logits {
        Logits { level: Level::Impression, cols, values: values.to_vec() }
    }

    #[test]
    fn a_number_comes_back_in_its_own_units() {
        for log1p in [false, true] {
            let scale = Scale { mean: 1.5, sd: 0.75, log1p };
            for label in [0.0, 0.25, 3.0, 40.0] {
                let z = scale.standardised(label);
                assert!((scale.answer(z) - label).abs() < 1e-12, "{label}");
                let answers = Link::Scaled(scale).answers(&logits(1, &[z as f32]));
                assert!((f64::from(answers[0]) - label).abs() < 1e-4 * (1.0 + label));
            }
        }
        // An amount is never below 0, and never infinite.
        let scale = Scale { mean: 1.0, sd: 1.0, log1p: true };
        assert_eq!(Link::Scaled(scale).answers(&logits(1, &[-9.0, 1e30])), [0.0, f32::MAX]);
    }

    #[test]
    fn probabilities_and_distributions() {
        assert_eq!(Link::Sigmoid.answers(&logits(1, &[0.0, 50.0])), [0.5, 1.0]);
        let shares = Link::Softmax.answers(&logits(2, &[0.0, 0.0, 1.0, 1.0 + 3f32.ln()]));
        let expected = [0.5, 0.5, 0.25, 0.75];
        assert!(shares.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-6), "{shares:?}");
    }
}
