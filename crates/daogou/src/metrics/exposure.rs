//! How exposure is spread over the catalogue. All take the number of times each item was shown, zeros included.

use super::distribution::entropy;

/// Share of items that were shown at all. `None` for an empty catalogue.
pub fn catalogue_coverage(shown: &[u64]) -> Option<f64> {
    let some = shown.iter().filter(|n| **n > 0).count();
    (!shown.is_empty()).then(|| some as f64 / shown.len() as f64)
}

/// Gini coefficient `Σ_i (2i − |I| − 1) x_(i) / (|I| Σ x)`, ascending, i from 1: 0 when all items are shown equally
/// often, near 1 when one takes all. `None` if nothing was shown. O(n log n).
pub fn gini(shown: &[u64]) -> Option<f64> {
    let mut sorted = shown.to_vec();
    sorted.sort_unstable();
    let n = sorted.len() as f64;
    let total: f64 = sorted.iter().map(|&x| x as f64).sum();
    let sum: f64 = sorted
        .iter()
        .enumerate()
        .map(|(i, &x)| (2.0 * (i as f64 + 1.0) - n - 1.0) * x as f64)
        .sum();
    (total > 0.0).then(|| sum / (n * total))
}

/// Shannon entropy of exposure in nats; at most `ln |I|`. `None` if nothing was shown.
pub fn exposure_entropy(shown: &[u64]) -> Option<f64> {
    let total: f64 = shown.iter().map(|&x| x as f64).sum();
    (total > 0.0).then(|| entropy(shown.iter().map(|&x| x as f64 / total)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn by_hand() {
        assert_eq!(gini(&[2, 2, 2]), Some(0.0));
        assert_eq!(gini(&[0, 0, 0, 5]), Some(0.75));
        assert!((gini(&[3, 1]).unwrap() - 0.25).abs() < 1e-12);
        assert_eq!(catalogue_coverage(&[0, 4, 1, 0]), Some(0.5));
        assert!((exposure_entropy(&[0, 4, 4]).unwrap() - 2f64.ln()).abs() < 1e-12);
        assert_eq!(
            (gini(&[0]), gini(&[]), exposure_entropy(&[]), catalogue_coverage(&[])),
            (None, None, None, None)
        );
    }
}
