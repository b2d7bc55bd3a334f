//! How far a predicted distribution is from a soft target.

/// Probabilities below this are raised to it inside logarithms.
pub const FLOOR: f64 = 1e-7;

/// How one predicted distribution compares with its target.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Comparison {
    /// Cross-entropy `−Σ p ln q`, nats.
    pub ce: f64,
    /// `KL(p‖q) = Σ p ln(p/q)`, nats.
    pub kl: f64,
    /// Jensen–Shannon divergence `½ KL(p‖m) + ½ KL(q‖m)`, `m = (p + q)/2`, nats; at most ln 2.
    pub js: f64,
    /// Share of the prediction's largest classes that are largest in the target too: 0 or 1 unless the prediction has
    /// several largest classes.
    pub top1: f64,
}

/// Compares target `p` with prediction `q`, given as `ln q`. Both sum to 1. O(classes), no allocation.
pub fn compare(target: &[f32], log_predicted: &[f64]) -> Comparison {
    assert_eq!(target.len(), log_predicted.len());
    let (mut ce, mut kl, mut js) = (0.0, 0.0, 0.0);
    for (&p, &ln_q) in target.iter().zip(log_predicted) {
        let (p, q) = (f64::from(p), ln_q.exp());
        let m = 0.5 * (p + q);
        if p > 0.0 {
            ce -= p * ln_q;
            kl += p * (p.ln() - ln_q);
            js += 0.5 * p * (p / m).ln();
        }
        if q > 0.0 {
            js += 0.5 * q * (q / m).ln();
        }
    }
    let best_p = target.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let best_q = log_predicted.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let (mut right, mut largest) = (0.0, 0.0);
    for (&p, _) in target.iter().zip(log_predicted).filter(|(_, q)| **q == best_q) {
        largest += 1.0;
        right += f64::from(u8::from(p == best_p));
    }
    // Rounding may leave a divergence of equal distributions a little below 0.
    Comparison { ce, kl: kl.max(0.0), js: js.max(0.0), top1: right / largest }
}

/// `ln softmax(logits)` into `out`.
pub fn log_softmax(logits: &[f32], out: &mut Vec<f64>) {
    out.clear();
    let max = f64::from(logits.iter().copied().fold(f32::NEG_INFINITY, f32::max));
    let sum: f64 = logits.iter().map(|&z| (f64::from(z) - max).exp()).sum();
    out.extend(logits.iter().map(|&z| f64::from(z) - max - sum.ln()));
}

/// `ln q` of probabilities into `out`, floored at [`FLOOR`].
pub fn log_of(probabilities: &[f32], out: &mut Vec<f64>) {
    out.clear();
    out.extend(probabilities.iter().map(|&q| f64::from(q).max(FLOOR).ln()));
}

/// Entropy `−Σ p ln p` in nats.
pub fn entropy(shares: impl IntoIterator<Item = f64>) -> f64 {
    shares.into_iter().filter(|p| *p > 0.0).map(|p| -p * p.ln()).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn compared(p: &[f32], q: &[f32]) -> Comparison {
        let mut ln_q = Vec::new();
        log_of(q, &mut ln_q);
        compare(p, &ln_q)
    }

    #[test]
    fn by_hand() {
        let c = compared(&[0.5, 0.5, 0.0], &[0.25, 0.5, 0.25]);
        let ln2 = std::f64::consts::LN_2;
        assert!((c.ce - 1.5 * ln2).abs() < 1e-12 && (c.kl - 0.5 * ln2).abs() < 1e-12);
        assert_eq!(c.top1, 1.0);
        assert_eq!(compared(&[1.0, 0.0], &[0.5, 0.5]).top1, 0.5);
        let apart = compared(&[1.0, 0.0], &[0.0, 1.0]);
        assert!((apart.js - ln2).abs() < 1e-5 && (apart.kl + FLOOR.ln()).abs() < 1e-12);
        assert_eq!(apart.top1, 0.0);
        assert!((entropy([0.5, 0.5, 0.0]) - ln2).abs() < 1e-15);
    }

    #[test]
    fn log_softmax_survives_large_logits() {
        let mut out = Vec::new();
        log_softmax(&[1e4, 1e4 - 1.0], &mut out);
        assert!((out[0] + softplus(-1.0)).abs() < 1e-12 && (out[1] + softplus(1.0)).abs() < 1e-12);
    }

    use crate::metrics::logloss::softplus;

    proptest! {
        #[test]
        fn divergences_are_not_negative_and_vanish_at_equality(
            raw in prop::collection::vec((0.01f32..1.0, -3f32..3.0), 2..20)
        ) {
            let total: f32 = raw.iter().map(|r| r.0).sum();
            let p: Vec<f32> = raw.iter().map(|r| r.0 / total).collect();
            let logits: Vec<f32> = raw.iter().map(|r| r.1).collect();
            let mut ln_q = Vec::new();
            log_softmax(&logits, &mut ln_q);
            let c = compare(&p, &ln_q);
            prop_assert!(c.kl >= 0.0 && c.js >= 0.0 && c.js <= std::f64::consts::LN_2);
            prop_assert!((c.ce - c.kl - entropy(p.iter().map(|x| f64::from(*x)))).abs() < 1e-5);
            log_of(&p, &mut ln_q);
            let same = compare(&p, &ln_q);
            prop_assert!(same.kl < 1e-6 && same.js < 1e-6);
        }
    }
}
