//! Temperature scaling: one slope for the logits of all classes.

/// Newton steps; a handful is usual, since the loss is convex.
const STEPS: usize = 100;

/// The slope `a` that minimises `Σ w·CE(t, softmax(a·z))` over `[rows, classes]` (Guo et al. 2017; `1/a` is their
/// temperature).
///
/// `None` without weighted rows, where no row tells its classes apart, or where the best slope is not positive. Newton's
/// method with step halving in `f64`, `O(rows·classes)` per step.
pub(super) fn fit(classes: usize, logits: &[f32], targets: &[f32], weights: &[f32]) -> Option<f64> {
    let rows = || {
        let each = logits.chunks_exact(classes).zip(targets.chunks_exact(classes)).zip(weights);
        each.filter(|(_, w)| **w > 0.0).map(|((z, t), &w)| (z, t, f64::from(w)))
    };
    // Loss, its slope and its curvature.
    let at = |a: f64| {
        let (mut loss, mut slope, mut curve) = (0.0, 0.0, 0.0);
        for (z, t, w) in rows() {
            let top = f64::from(z.iter().copied().fold(f32::NEG_INFINITY, f32::max));
            let (mut total, mut first, mut second) = (0.0, 0.0, 0.0);
            let (mut mass, mut wanted) = (0.0, 0.0);
            for (&z, &t) in z.iter().zip(t) {
                // Relative to the largest, which changes no share.
                let z = f64::from(z) - top;
                let e = (a * z).exp();
                total += e;
                first += e * z;
                second += e * z * z;
                mass += f64::from(t);
                wanted += f64::from(t) * z;
            }
            let mean = first / total;
            loss += w * (mass * total.ln() - a * wanted);
            slope += w * (mass * mean - wanted);
            curve += w * mass * (second / total - mean * mean);
        }
        (loss, slope, curve)
    };
    let mut a = 1.0;
    let (mut loss, mut slope, mut curve) = at(a);
    for _ in 0..STEPS {
        if curve <= 0.0 || !curve.is_finite() {
            return None;
        }
        let step = slope / curve;
        let gain = slope * step;
        if gain <= 1e-13 * loss.abs() {
            break;
        }
        let mut part = 1.0;
        let moved = loop {
            let next = a - part * step;
            // With a slope of at most 0 the largest exponent is no longer 0.
            if next > 0.0 {
                let there = at(next);
                if there.0 <= loss - 1e-4 * part * gain {
                    break Some((next, there));
                }
            }
            part *= 0.5;
            if part < 1e-9 {
                break None;
            }
        };
        let Some((next, there)) = moved else { break };
        a = next;
        (loss, slope, curve) = there;
    }
    // A slope driven to 0 says that the logits are worth nothing, or less.
    (a > 1e-3).then_some(a)
}

#[cfg(test)]
mod tests {
    use daogou_nn::Rng;

    use super::*;
    use crate::metrics::distribution::log_softmax;

    #[test]
    fn a_known_temperature_is_found() {
        let (classes, rows) = (5, 2_000);
        let mut rng = Rng::new(3, 2);
        let logits: Vec<f32> = (0..classes * rows).map(|_| rng.normal() as f32).collect();
        let mut log = Vec::new();
        for a in [0.4, 1.0, 2.5] {
            let mut targets = Vec::new();
            for z in logits.chunks_exact(classes) {
                let z: Vec<f32> = z.iter().map(|z| z * a).collect();
                log_softmax(&z, &mut log);
                targets.extend(log.iter().map(|l| l.exp() as f32));
            }
            let weights: Vec<f32> = (0..rows).map(|r| (r % 4) as f32).collect();
            let found = fit(classes, &logits, &targets, &weights).unwrap();
            assert!((found - f64::from(a)).abs() < 1e-4, "{found} {a}");
        }
    }

    #[test]
    fn nothing_to_learn_from_is_no_temperature() {
        assert_eq!(fit(2, &[], &[], &[]), None);
        assert_eq!(fit(2, &[1.0, 0.0], &[1.0, 0.0], &[0.0]), None, "no weight");
        assert_eq!(fit(2, &[1.0, 1.0], &[1.0, 0.0], &[1.0]), None, "logits all the same");
        assert_eq!(fit(2, &[1.0, 0.0], &[0.0, 1.0], &[1.0]), None, "the wrong way round");
    }
}
