//! Successive halving (Jamieson & Talwalkar 2016): many trials on little, the better part of them on more.

/// One rung: so many trials on so much of the training requests.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Rung {
    pub(super) trials: usize,
    pub(super) fraction: f64,
}

/// The rungs from `trials` trials on: each next one has `eta` times the requests and a share of 1/`eta` of the trials, at
/// least one; the last has all requests. The total cost is about `rungs` times that of `trials` / `eta^(rungs − 1)`
/// trainings on everything.
pub(super) fn rungs(trials: usize, count: usize, eta: usize) -> Vec<Rung> {
    let mut trials = trials;
    let mut all = Vec::with_capacity(count);
    for rung in 0..count {
        let fraction = (eta as f64).powi(-((count - 1 - rung) as i32));
        all.push(Rung { trials, fraction });
        trials = trials.div_ceil(eta);
    }
    all
}

/// The `keep` best of some trials, `(trial, score)` with smaller scores better, in the order of the trials. A trial without
/// a score comes last; of equals the earlier is better; trial 0, the configuration as it is, always stays.
pub(super) fn survivors(scored: &[(usize, Option<f64>)], keep: usize) -> Vec<usize> {
    let mut order = scored.to_vec();
    order.sort_by(|a, b| {
        let score = |own: &(usize, Option<f64>)| own.1.unwrap_or(f64::INFINITY);
        (a.0 != 0).cmp(&(b.0 != 0)).then(score(a).total_cmp(&score(b))).then(a.0.cmp(&b.0))
    });
    let mut kept: Vec<usize> =
        order.into_iter().take(keep.max(1)).map(|(trial, _)| trial).collect();
    kept.sort_unstable();
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_rung_has_more_requests_and_fewer_trials() {
        let rung = |trials, fraction| Rung { trials, fraction };
        assert_eq!(rungs(27, 3, 3), [rung(27, 1.0 / 9.0), rung(9, 1.0 / 3.0), rung(3, 1.0)]);
        assert_eq!(rungs(5, 2, 2), [rung(5, 0.5), rung(3, 1.0)]);
        assert_eq!(rungs(4, 1, 3), [rung(4, 1.0)]);
        assert_eq!(rungs(2, 4, 3).last(), Some(&rung(1, 1.0)));
    }

    #[test]
    fn the_best_stay_and_the_configuration_as_it_is() {
        let scored = [
            (0, Some(0.9)),
            (1, Some(0.5)),
            (2, None),
            (3, Some(0.4)),
            (4, Some(0.5)),
            (5, Some(0.6)),
        ];
        assert_eq!(survivors(&scored, 3), [0, 1, 3]);
        assert_eq!(survivors(&scored, 4), [0, 1, 3, 4]);
        assert_eq!(survivors(&scored, 6).len(), 6);
        assert_eq!(survivors(&scored[1..], 1), [3]);
        assert_eq!(survivors(&scored, 0), [0]);
    }
}
