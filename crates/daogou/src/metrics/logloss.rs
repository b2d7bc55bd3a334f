//! Logistic loss and its normalisation by the base rate.

/// Probabilities are kept this far from 0 and 1 when the loss is taken from them and not from logits.
pub const CLIP: f64 = 1e-7;

/// `ln(1 + eˣ)` without overflow.
#[inline]
pub fn softplus(x: f64) -> f64 {
    x.max(0.0) + (-x.abs()).exp().ln_1p()
}

/// Probability of a logit, `1 / (1 + e⁻ᶻ)`.
#[inline]
pub fn sigmoid(logit: f64) -> f64 {
    loss_and_probability(logit, 0).1
}

/// Logistic loss of a logit in nats, `softplus(z) − y z`, and its probability, sharing one exponential.
///
/// Exact for any finite logit: nothing is clipped.
#[inline]
pub fn loss_and_probability(logit: f64, label: u8) -> (f64, f64) {
    let small = (-logit.abs()).exp();
    let loss = logit.max(0.0) + small.ln_1p() - if label == 0 { 0.0 } else { logit };
    let probability = if logit >= 0.0 { 1.0 } else { small } / (1.0 + small);
    (loss, probability)
}

/// Logistic loss of a probability, which is clipped to `[1e-7, 1 − 1e-7]`.
#[inline]
pub fn loss_of_probability(probability: f64, label: u8) -> f64 {
    let p = probability.clamp(CLIP, 1.0 - CLIP);
    if label == 0 { -(-p).ln_1p() } else { -p.ln() }
}

/// Entropy of a yes-or-no answer with this rate, in nats: the loss of the best constant predictor.
pub fn binary_entropy(rate: f64) -> f64 {
    let part = |p: f64| if p > 0.0 { -p * p.ln() } else { 0.0 };
    part(rate) + part(1.0 - rate)
}

/// Normalised entropy: the loss divided by [`binary_entropy`] of the base rate (He et al. 2014); 1 is the constant
/// predictor, below 1 is better. `None` with a single class.
pub fn normalised_entropy(logloss: f64, base_rate: f64) -> Option<f64> {
    let entropy = binary_entropy(base_rate);
    (entropy > 0.0).then(|| logloss / entropy)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loss_from_logits_equals_the_definition_and_never_overflows() {
        for z in [-3.0, -0.2, 0.0, 0.7, 5.0] {
            let p = 1.0 / (1.0 + f64::exp(-z));
            assert!((loss_and_probability(z, 1).0 + p.ln()).abs() < 1e-12);
            assert!((loss_and_probability(z, 0).0 + (1.0 - p).ln()).abs() < 1e-12);
            assert!((sigmoid(z) - p).abs() < 1e-15);
            assert!((loss_of_probability(p, 1) + p.ln()).abs() < 1e-12);
            assert!((softplus(z) - loss_and_probability(z, 0).0).abs() < 1e-15);
        }
        // A confident correct answer costs nothing, a confident wrong one costs its logit.
        assert_eq!(loss_and_probability(800.0, 1), (0.0, 1.0));
        assert_eq!(loss_and_probability(-800.0, 1), (800.0, 0.0));
        assert!((loss_of_probability(0.0, 1) - -CLIP.ln()).abs() < 1e-12);
        assert!((loss_of_probability(1.0, 0) - -CLIP.ln()).abs() < 1e-6);
    }

    #[test]
    fn the_base_rate_has_normalised_entropy_one() {
        let (rate, logit) = (0.05f64, (0.05f64 / 0.95).ln());
        let loss = rate * loss_and_probability(logit, 1).0
            + (1.0 - rate) * loss_and_probability(logit, 0).0;
        assert!((normalised_entropy(loss, rate).unwrap() - 1.0).abs() < 1e-12);
        assert_eq!(normalised_entropy(0.1, 0.0), None);
        assert_eq!(normalised_entropy(0.1, 1.0), None);
    }
}
