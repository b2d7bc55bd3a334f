//! Positive weights from numbers of any size.

/// `weights = total · softmax(values)`.
pub(super) fn softmax(values: impl Iterator<Item = f64> + Clone, total: f64, weights: &mut [f64]) {
    let top = values.clone().fold(f64::NEG_INFINITY, f64::max);
    let mut sum = 0.0;
    for (weight, value) in weights.iter_mut().zip(values) {
        *weight = (value - top).exp();
        sum += *weight;
    }
    weights.iter_mut().for_each(|weight| *weight *= total / sum);
}

/// Gradient of the values from that of the weights, in place: `w ⊙ (g − Σ w·g / total)`.
pub(super) fn softmax_gradient(weights: &[f64], total: f64, gradient: &mut [f64]) {
    let mean = weights.iter().zip(&*gradient).map(|(w, g)| w * g).sum::<f64>() / total;
    gradient.iter_mut().zip(weights).for_each(|(g, w)| *g = w * (*g - mean));
}
