//! How well one input alone predicts a label: a sign that it knows the answer.

use rustc_hash::FxHashMap;

use crate::metrics::ScoreOrder;
use crate::metrics::auc::auc;

/// Fewer rows of either class say nothing.
const LEAST: usize = 20;

/// AUC of a number as a score, in the better of its two directions. Missing values (NaN) come lowest.
pub(super) fn of_numbers(values: &[f32], labels: &[u8]) -> Option<f64> {
    enough(labels)?;
    let scores: Vec<f32> =
        values.iter().map(|value| if value.is_nan() { f32::MIN } else { *value }).collect();
    auc(&ScoreOrder::new(&scores), labels).map(|auc| auc.max(1.0 - auc))
}

/// AUC of a nominal value, scored by the label's rate among the rows of the other half (even or odd) with the same
/// value, so that an id that occurs once knows nothing of itself.
pub(super) fn of_codes(codes: &[u32], labels: &[u8]) -> Option<f64> {
    enough(labels)?;
    let base = labels.iter().map(|&label| f64::from(label)).sum::<f64>() / labels.len() as f64;
    let mut halves: [FxHashMap<u32, (f64, f64)>; 2] = Default::default();
    for (row, (&code, &label)) in codes.iter().zip(labels).enumerate() {
        let (ones, all) = halves[row % 2].entry(code).or_default();
        *ones += f64::from(label);
        *all += 1.0;
    }
    let scores: Vec<f32> = codes
        .iter()
        .enumerate()
        .map(|(row, code)| {
            let (ones, all) = halves[1 - row % 2].get(code).copied().unwrap_or_default();
            ((ones + base) / (all + 1.0)) as f32
        })
        .collect();
    auc(&ScoreOrder::new(&scores), labels)
}

fn enough(labels: &[u8]) -> Option<()> {
    let ones: usize = labels.iter().map(|&label| usize::from(label)).sum();
    (ones >= LEAST && labels.len() - ones >= LEAST).then_some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_knows_the_label_is_found_and_what_does_not_is_not() {
        let labels: Vec<u8> = (0..400).map(|row| u8::from(row * 7 % 10 < 3)).collect();
        let same: Vec<u32> = labels.iter().map(|&label| u32::from(label)).collect();
        assert_eq!(of_codes(&same, &labels), Some(1.0));
        let negated: Vec<f32> = labels.iter().map(|&label| -f32::from(label)).collect();
        assert_eq!(of_numbers(&negated, &labels), Some(1.0));
        // An id of its own for each row: no two rows tell of each other.
        let unique: Vec<u32> = (0..400).collect();
        assert_eq!(of_codes(&unique, &labels), Some(0.5));
        assert_eq!(of_numbers(&[f32::NAN; 400], &labels), Some(0.5));
        assert_eq!(of_codes(&same[..30], &labels[..30]), None, "too few of one class");
    }
}
