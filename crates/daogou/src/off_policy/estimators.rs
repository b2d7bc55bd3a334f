//! What lists would have earned under another policy: sums over what was shown, weighted. Nothing here knows a model.
//!
//! Every shown item has a reward `y`, a weight `w`, and two model rewards: `q` where it was shown and `q'` as the other
//! policy would show it. The weight is such that E\[w·y\] over the logging policy is the reward under the other one. It
//! also has a *control* `g` and its *expectation* `t`: E\[Σ w·g\] = Σ t is known without any reward. With ratios of
//! propensities both are 1; with the position-based model `g` is the examination of the place, `t` that of the place
//! under the other policy. `L` is the number of lists, so all values are per list.
//!
//! * IPS (Horvitz & Thompson 1952): `Σ w·y / L`. Unbiased.
//! * SNIPS (Swaminathan & Joachims 2015): `(Σ t / L) · Σ w·y / Σ w·g`. A ratio: its bias vanishes as 1/L, and it does
//!   not change when all weights are scaled.
//! * DR (Dudík et al. 2011): `Σ (q' + w·(y − q)) / L`. Unbiased for any model with E\[w·q\] = E\[q'\]; a good model
//!   takes away the variance that it explains.
//! * direct: `Σ q' / L`. The model's own opinion, as good as the model.
//!
//! Clipping a weight at M (Ionides 2008) trades variance for a bias towards 0.

use serde::{Deserialize, Serialize};

use crate::metrics::bootstrap::intervals_of_sums;
use crate::metrics::{BootstrapOptions, Intervals};

/// `Σ w·y / L`; `None` without lists.
pub fn ips(reward: &[f64], weight: &[f64], lists: usize) -> Option<f64> {
    per_list(sum_of_products(reward, weight), lists)
}

/// `(Σ t / L) · Σ w·y / Σ w·g`; `None` without lists or where no weight is left.
pub fn snips(
    reward: &[f64],
    weight: &[f64],
    control: &[f64],
    expected: &[f64],
    lists: usize,
) -> Option<f64> {
    let all = sum_of_products(control, weight);
    let expected = per_list(expected.iter().sum(), lists)?;
    (all > 0.0).then(|| expected * sum_of_products(reward, weight) / all)
}

/// `Σ (q' + w·(y − q)) / L`; `None` without lists.
pub fn dr(
    reward: &[f64],
    weight: &[f64],
    model_logged: &[f64],
    model_target: &[f64],
    lists: usize,
) -> Option<f64> {
    assert_eq!(model_logged.len(), reward.len(), "one model reward per item");
    let rest: Vec<f64> = reward.iter().zip(model_logged).map(|(y, q)| y - q).collect();
    per_list(model_target.iter().sum::<f64>() + sum_of_products(&rest, weight), lists)
}

/// `(Σ w)² / Σ w²`: how many equally weighted items are worth as much; `None` without a positive weight.
pub fn effective_sample_size(weight: &[f64]) -> Option<f64> {
    let (sum, squares) = weight.iter().fold((0.0, 0.0), |(s, q), w| (s + w, q + w * w));
    (squares > 0.0).then(|| sum * sum / squares)
}

/// Cuts weights at `most`; how many it cut.
pub fn clip(weight: &mut [f64], most: f64) -> usize {
    let mut cut = 0;
    for w in weight {
        if *w > most {
            (*w, cut) = (most, cut + 1);
        }
    }
    cut
}

fn per_list(sum: f64, lists: usize) -> Option<f64> {
    (lists > 0).then(|| sum / lists as f64)
}

fn sum_of_products(a: &[f64], b: &[f64]) -> f64 {
    assert_eq!(a.len(), b.len(), "one weight per item");
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

/// One reward under one policy, by shown item, list after list.
#[derive(Clone, Copy, Debug)]
pub struct Terms<'a> {
    /// Items of list `l` are `offsets[l]..offsets[l + 1]`.
    pub offsets: &'a [u32],
    /// Who saw each list: lists of one person are resampled together.
    pub user: &'a [u32],
    /// What was earned.
    pub reward: &'a [f64],
    /// Weight.
    pub weight: &'a [f64],
    /// Control.
    pub control: &'a [f64],
    /// Expectation of the weighted control.
    pub expected: &'a [f64],
    /// Model reward where it was shown.
    pub model_logged: &'a [f64],
    /// Model reward under the other policy.
    pub model_target: &'a [f64],
}

/// Values per list.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Estimates {
    /// What was earned in fact.
    pub logged: Option<f64>,
    /// What the model expects. `None` where the model cannot know what the policy would show.
    pub direct: Option<f64>,
    /// Inverse propensity scoring.
    pub ips: Option<f64>,
    /// Self-normalised.
    pub snips: Option<f64>,
    /// Doubly robust.
    pub dr: Option<f64>,
    /// `dr − logged`.
    pub gain: Option<f64>,
    /// Bootstrap intervals of these, lists of one person kept together. Empty with fewer than two people.
    pub intervals: Intervals,
}

/// How far one person moves the estimates through what was estimated beforehand (examination): a first-order term of
/// IPS, SNIPS and DR, which sums to 0 over all people.
pub type Drift = (u32, [f64; 3]);

const NAMES: [&str; 6] = ["logged", "direct", "ips", "snips", "dr", "gain"];

/// All estimates of one reward under one policy, with intervals. O(items + replicates · users).
pub fn estimate(terms: &Terms<'_>, drift: &[Drift], options: &BootstrapOptions) -> Estimates {
    let mut people: Vec<u32> =
        terms.user.iter().copied().chain(drift.iter().map(|(user, _)| *user)).collect();
    people.sort_unstable();
    people.dedup();
    let place = |user: &u32| people.binary_search(user).expect("a person of the list");
    let mut units = vec![[0.0; 10]; people.len()];
    for (list, user) in terms.user.iter().enumerate() {
        let unit = &mut units[place(user)];
        unit[0] += 1.0;
        for i in terms.offsets[list] as usize..terms.offsets[list + 1] as usize {
            let (y, w) = (terms.reward[i], terms.weight[i]);
            unit[1] += y;
            unit[2] += w * y;
            unit[3] += w * terms.control[i];
            unit[4] += terms.expected[i];
            unit[5] += terms.model_target[i] + w * (y - terms.model_logged[i]);
            unit[6] += terms.model_target[i];
        }
    }
    for (user, moved) in drift {
        let unit = &mut units[place(user)];
        (0..3).for_each(|e| unit[7 + e] += moved[e]);
    }
    let values = |s: &[f64; 10]| -> [Option<f64>; 6] {
        let mean = |sum: f64| (s[0] > 0.0).then(|| sum / s[0]);
        let snips = (s[3] > 0.0).then(|| s[2] / s[3]);
        let snips = mean(s[4]).zip(snips).map(|(t, ratio)| t * ratio + s[8]);
        let (logged, dr) = (mean(s[1]), mean(s[5]).map(|dr| dr + s[9]));
        let gain = dr.zip(logged).map(|(dr, logged)| dr - logged);
        [logged, mean(s[6]), mean(s[2]).map(|ips| ips + s[7]), snips, dr, gain]
    };
    let mut all = [0.0; 10];
    for unit in &units {
        // The drift of all people is 0 but for rounding.
        (0..7).for_each(|m| all[m] += unit[m]);
    }
    let [logged, direct, ips, snips, dr, gain] = values(&all);
    let intervals = intervals_of_sums(&units, NAMES, values, options);
    Estimates { logged, direct, ips, snips, dr, gain, intervals }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn by_hand() {
        let (y, w) = ([1.0, 0.0, 1.0, 0.0], [2.0, 0.5, 0.5, 1.0]);
        // Two lists: (2 + 0.5) / 2; weights sum to 4, as expected.
        assert_eq!(ips(&y, &w, 2), Some(1.25));
        assert_eq!(snips(&y, &w, &[1.0; 4], &[1.0; 4], 2), Some(2.0 * 2.5 / 4.0));
        // Position-based: examinations 1, ½ of two lists, 3 expected in all, 2·1 + ½·½ + ½·1 + 1·½ = 3.25 weighed.
        let g = [1.0, 0.5, 1.0, 0.5];
        assert_eq!(snips(&y, &w, &g, &g, 2), Some(1.5 * 2.5 / 3.25));
        let (q, target) = ([0.5, 0.25, 0.5, 0.25], [0.25, 0.5, 0.5, 0.25]);
        // 1.5 + 2·½ − ½·¼ + ½·½ − ¼ = 2.375.
        assert_eq!(dr(&y, &w, &q, &target, 2), Some(2.375 / 2.0));
        assert_eq!(effective_sample_size(&w), Some(16.0 / 5.5));
        let mut cut = w;
        assert_eq!(clip(&mut cut, 1.0), 1);
        assert_eq!(cut, [1.0, 0.5, 0.5, 1.0]);
    }

    #[test]
    fn nothing_is_undefined_not_zero() {
        assert_eq!(ips(&[], &[], 0), None);
        assert_eq!(snips(&[1.0], &[0.0], &[1.0], &[1.0], 1), None);
        assert_eq!(dr(&[], &[], &[], &[], 0), None);
        assert_eq!(effective_sample_size(&[0.0]), None);
        let none: [f64; 0] = [];
        let terms = Terms {
            offsets: &[0],
            user: &[],
            reward: &none,
            weight: &none,
            control: &none,
            expected: &none,
            model_logged: &none,
            model_target: &none,
        };
        assert_eq!(estimate(&terms, &[], &BootstrapOptions::default()), Estimates::default());
    }

    #[test]
    fn drift_widens_the_intervals_and_moves_no_estimate() {
        let one = vec![1.0; 200];
        let reward: Vec<f64> = (0..200).map(|i| f64::from(u8::from(i % 3 == 0))).collect();
        let (offsets, user): (Vec<u32>, Vec<u32>) = ((0..=200).collect(), (0..200).collect());
        let terms = Terms {
            offsets: &offsets,
            user: &user,
            reward: &reward,
            weight: &one,
            control: &one,
            expected: &one,
            model_logged: &one,
            model_target: &one,
        };
        let options = BootstrapOptions::default();
        let without = estimate(&terms, &[], &options);
        let drift: Vec<Drift> = (300..500u32)
            .map(|user| (user, [if user % 2 == 0 { 0.01 } else { -0.01 }; 3]))
            .collect();
        let with = estimate(&terms, &drift, &options);
        assert_eq!((without.ips, without.dr), (with.ips, with.dr));
        let width = |e: &Estimates, name: &str| e.intervals[name][1] - e.intervals[name][0];
        for name in ["ips", "snips", "dr"] {
            assert!(width(&with, name) > 1.5 * width(&without, name), "{name}");
        }
        assert!(width(&with, "logged") < 1.3 * width(&without, "logged"));
    }

    type Row = (u8, f64, f64, f64);

    fn rows() -> impl Strategy<Value = Vec<Vec<Row>>> {
        let row = (0u8..2, 0.1..5.0, 0.1..1.0, 0.0..1.0);
        prop::collection::vec(prop::collection::vec(row, 1..5), 1..12)
    }

    proptest! {
        #[test]
        fn weights_of_one_leave_the_mean_and_snips_does_not_know_their_scale(
            lists in rows(), scale in 0.01..100.0,
        ) {
            let flat: Vec<Row> = lists.concat();
            let of = |f: &dyn Fn(&Row) -> f64| -> Vec<f64> { flat.iter().map(f).collect() };
            let (y, w) = (of(&|r| f64::from(r.0)), of(&|r| r.1));
            let (g, q) = (of(&|r| r.2), of(&|r| r.3));
            let one = vec![1.0; flat.len()];
            let n = lists.len();
            let mean = y.iter().sum::<f64>() / n as f64;
            let near = |a: Option<f64>, b: f64| (a.unwrap() - b).abs() < 1e-9 * (1.0 + b.abs());
            prop_assert!(near(ips(&y, &one, n), mean));
            prop_assert!(near(snips(&y, &one, &g, &g, n), mean));
            prop_assert!(near(dr(&y, &one, &q, &q, n), mean));
            let scaled: Vec<f64> = w.iter().map(|w| w * scale).collect();
            let plain = snips(&y, &w, &g, &q, n).unwrap();
            prop_assert!(near(snips(&y, &scaled, &g, &q, n), plain));
            // A model that is right about every item leaves nothing to the weights.
            prop_assert!(near(dr(&y, &w, &y, &q, n), q.iter().sum::<f64>() / n as f64));

            let mut offsets = vec![0u32];
            lists.iter().for_each(|list| offsets.push(offsets.last().unwrap() + list.len() as u32));
            let user: Vec<u32> = (0..n as u32).map(|l| l % 3).collect();
            let terms = Terms {
                offsets: &offsets, user: &user, reward: &y, weight: &w, control: &g, expected: &q,
                model_logged: &g, model_target: &q,
            };
            let options = BootstrapOptions { replicates: 0, ..Default::default() };
            let all = estimate(&terms, &[], &options);
            prop_assert!(near(all.ips, ips(&y, &w, n).unwrap()));
            prop_assert!(near(all.snips, plain));
            prop_assert!(near(all.dr, dr(&y, &w, &g, &q, n).unwrap()));
            prop_assert!(near(all.logged, mean));
        }
    }
}
