//! How well scores separate positives from negatives: AUC, its expectation under known probabilities, GAUC, PR-AUC.

use super::order::ScoreOrder;

/// Area under the ROC curve: P(score of a positive > score of a negative), ties counting one half.
///
/// `(Σ_{y=1} R_i − n₁(n₁+1)/2) / (n₁ n₀)` with mid-ranks `R`, in integers, so exact. `None` with a single class.
pub fn auc(order: &ScoreOrder, labels: &[u8]) -> Option<f64> {
    area(order.ties().map(|tie| count(tie, labels)))
}

/// Positives and negatives of a tie.
fn count(tie: &[u32], labels: &[u8]) -> (u64, u64) {
    let positives = tie.iter().map(|&row| u64::from(labels[row as usize] != 0)).sum();
    (positives, tie.len() as u64 - positives)
}

/// AUC from the (positives, negatives) of each tie, lowest score first.
fn area(ties: impl Iterator<Item = (u64, u64)>) -> Option<f64> {
    let (mut twice, mut positives, mut negatives) = (0u128, 0u64, 0u64);
    for (p, n) in ties {
        twice += u128::from(p) * u128::from(2 * negatives + n);
        positives += p;
        negatives += n;
    }
    let pairs = u128::from(positives) * u128::from(negatives);
    (pairs > 0).then(|| twice as f64 / (2.0 * pairs as f64))
}

/// The AUC that scores have on average when labels are drawn with known probabilities: the ceiling of a simulator.
///
/// `Σ_{i≠j} p_i (1 − p_j) [1(s_i > s_j) + ½ 1(s_i = s_j)] / Σ_{i≠j} p_i (1 − p_j)`: a ratio of expectations, which
/// for n ≥ 10⁴ is the expectation of the ratio for all purposes. Largest when the scores order rows as `p` does.
pub fn expected_auc(order: &ScoreOrder, probabilities: &[f64]) -> Option<f64> {
    let (mut area, mut below, mut positives, mut negatives, mut own) = (0.0, 0.0, 0.0, 0.0, 0.0);
    for tie in order.ties() {
        let (mut p1, mut p0) = (0.0, 0.0);
        for &row in tie {
            let p = probabilities[row as usize];
            p1 += p;
            p0 += 1.0 - p;
            own += p * (1.0 - p);
        }
        area += p1 * (below + 0.5 * p0);
        below += p0;
        positives += p1;
        negatives += p0;
    }
    // The double sum above includes i = j, always a tie with itself.
    let pairs = positives * negatives - own;
    (pairs > 1e-12).then(|| (area - 0.5 * own) / pairs)
}

/// Group AUC: the mean of each group's own AUC, over the groups that have both classes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Gauc {
    /// Weighted by the group's number of rows (Zhou et al. 2018, DIN).
    pub weighted: Option<f64>,
    /// Every group the same.
    pub unweighted: Option<f64>,
    /// Groups with both classes.
    pub groups: usize,
}

/// Each group's rows and AUC, in order of group number; `groups[row]` is in `0..n_groups`. O(n + groups).
///
/// A group whose scores are all equal has AUC ½; one with a single class has none.
pub fn auc_by_group(
    order: &ScoreOrder,
    labels: &[u8],
    groups: &[u32],
    n_groups: usize,
) -> Vec<(u32, Option<f64>)> {
    // Handing rows out in order of score leaves every group sorted: a counting sort by group, keeping ties.
    let mut ends = vec![0u32; n_groups + 1];
    for &group in groups {
        ends[group as usize + 1] += 1;
    }
    for group in 0..n_groups {
        ends[group + 1] += ends[group];
    }
    let starts = ends.clone();
    let mut sorted = vec![0u64; groups.len()];
    for (rank, tie) in order.ties().enumerate() {
        for &row in tie {
            let place = &mut ends[groups[row as usize] as usize];
            sorted[*place as usize] = (rank as u64) << 1 | u64::from(labels[row as usize] != 0);
            *place += 1;
        }
    }
    starts
        .windows(2)
        .map(|range| {
            let rows = &sorted[range[0] as usize..range[1] as usize];
            let ties = rows.chunk_by(|a, b| a >> 1 == b >> 1).map(|tie| {
                let positives = tie.iter().map(|x| x & 1).sum();
                (positives, tie.len() as u64 - positives)
            });
            (rows.len() as u32, area(ties))
        })
        .collect()
}

/// [`Gauc`] from the groups' rows and AUCs.
pub fn gauc(by_group: &[(u32, Option<f64>)]) -> Gauc {
    let (mut weighted, mut unweighted, mut rows, mut groups) = (0.0, 0.0, 0.0, 0);
    for &(n, auc) in by_group {
        if let Some(auc) = auc {
            weighted += f64::from(n) * auc;
            unweighted += auc;
            rows += f64::from(n);
            groups += 1;
        }
    }
    let defined = groups > 0;
    Gauc {
        weighted: defined.then(|| weighted / rows),
        unweighted: defined.then(|| unweighted / groups as f64),
        groups,
    }
}

/// Area under the precision-recall curve as average precision: `Σ (R_n − R_{n−1}) P_n` over distinct thresholds.
///
/// Rows with equal scores enter together, so their order cannot matter. `None` without positives.
pub fn pr_auc(order: &ScoreOrder, labels: &[u8]) -> Option<f64> {
    let (mut sum, mut positives, mut rows) = (0.0, 0u64, 0u64);
    for tie in order.ties().rev() {
        let (p, n) = count(tie, labels);
        positives += p;
        rows += p + n;
        if p > 0 {
            sum += p as f64 * positives as f64 / rows as f64;
        }
    }
    (positives > 0).then(|| sum / positives as f64)
}

/// Numbers groups densely from 0 in ascending order of their id, and how many there are.
///
/// Ids that are row numbers already (nearly dense) stay as they are; gaps are groups without rows.
pub fn dense_groups(groups: &[u32]) -> (std::borrow::Cow<'_, [u32]>, usize) {
    let max = groups.iter().copied().max().map_or(0, |g| g as usize + 1);
    if max <= 2 * groups.len() + 1024 {
        return (groups.into(), max);
    }
    let mut ids = groups.to_vec();
    ids.sort_unstable();
    ids.dedup();
    let dense = groups.iter().map(|g| ids.partition_point(|id| id < g) as u32).collect();
    (dense, ids.len())
}

#[cfg(test)]
mod tests {
    use super::*;
    use daogou_nn::Rng;
    use proptest::prelude::*;

    fn by_pairs(scores: &[f32], labels: &[u8]) -> Option<f64> {
        let (mut area, mut pairs) = (0.0, 0.0);
        for (i, _) in labels.iter().enumerate().filter(|(_, y)| **y == 1) {
            for (j, _) in labels.iter().enumerate().filter(|(_, y)| **y == 0) {
                pairs += 1.0;
                area += f64::from(u8::from(scores[i] > scores[j]))
                    + 0.5 * f64::from(u8::from(scores[i] == scores[j]));
            }
        }
        (pairs > 0.0).then(|| area / pairs)
    }

    fn by_thresholds(scores: &[f32], labels: &[u8]) -> Option<f64> {
        let mut thresholds = scores.to_vec();
        thresholds.sort_by(|a, b| b.total_cmp(a));
        thresholds.dedup();
        let positives = labels.iter().map(|&y| f64::from(y)).sum::<f64>();
        let (mut sum, mut recall) = (0.0, 0.0);
        for threshold in thresholds {
            let above = || scores.iter().zip(labels).filter(|(s, _)| **s >= threshold);
            let hits = above().filter(|(_, y)| **y == 1).count() as f64;
            sum += (hits / positives - recall) * hits / above().count() as f64;
            recall = hits / positives;
        }
        (positives > 0.0).then_some(sum)
    }

    fn close(a: Option<f64>, b: Option<f64>) -> bool {
        match (a, b) {
            (Some(a), Some(b)) => (a - b).abs() < 1e-12,
            (a, b) => a == b,
        }
    }

    proptest! {
        #[test]
        fn auc_equals_all_pairs_and_pr_auc_all_thresholds(
            rows in prop::collection::vec((-6i8..6, 0u8..2, 0u32..5), 0..120)
        ) {
            let scores: Vec<f32> = rows.iter().map(|r| f32::from(r.0) / 3.0).collect();
            let labels: Vec<u8> = rows.iter().map(|r| r.1).collect();
            let groups: Vec<u32> = rows.iter().map(|r| r.2).collect();
            let order = ScoreOrder::new(&scores);
            prop_assert!(close(auc(&order, &labels), by_pairs(&scores, &labels)));
            prop_assert!(close(pr_auc(&order, &labels), by_thresholds(&scores, &labels)));

            let (mut sum, mut total, mut plain, mut n_groups) = (0.0, 0.0, 0.0, 0);
            for group in 0..5 {
                let own = |i: &usize| groups[*i] == group;
                let s: Vec<f32> = (0..rows.len()).filter(own).map(|i| scores[i]).collect();
                let y: Vec<u8> = (0..rows.len()).filter(own).map(|i| labels[i]).collect();
                if let Some(a) = by_pairs(&s, &y) {
                    sum += a * s.len() as f64;
                    total += s.len() as f64;
                    plain += a;
                    n_groups += 1;
                }
            }
            let result = gauc(&auc_by_group(&order, &labels, &groups, 5));
            let defined = n_groups > 0;
            prop_assert_eq!(result.groups, n_groups);
            prop_assert!(close(result.weighted, defined.then(|| sum / total)));
            prop_assert!(close(result.unweighted, defined.then(|| plain / n_groups as f64)));
        }

        #[test]
        fn expected_auc_equals_all_pairs(
            rows in prop::collection::vec((0u8..9, 0.0f64..1.0), 2..60)
        ) {
            let scores: Vec<f32> = rows.iter().map(|r| f32::from(r.0)).collect();
            let (mut area, mut pairs) = (0.0, 0.0);
            for (i, a) in rows.iter().enumerate() {
                for (j, b) in rows.iter().enumerate().filter(|(j, _)| *j != i) {
                    let weight = a.1 * (1.0 - b.1);
                    pairs += weight;
                    area += weight * if scores[i] > scores[j] { 1.0 } else { 0.0 }
                        + weight * if scores[i] == scores[j] { 0.5 } else { 0.0 };
                }
            }
            let p: Vec<f64> = rows.iter().map(|r| r.1).collect();
            let got = expected_auc(&ScoreOrder::new(&scores), &p).unwrap();
            prop_assert!((got - area / pairs).abs() < 1e-9);
        }
    }

    #[test]
    fn expected_auc_is_the_mean_of_sampled_aucs_and_largest_at_the_truth() {
        let mut rng = Rng::new(3, 0);
        let p: Vec<f64> = (0..2_000).map(|_| 0.4 * rng.uniform()).collect();
        let noisy: Vec<f32> = p.iter().map(|p| (p + 0.1 * rng.normal()) as f32).collect();
        let truth: Vec<f32> = p.iter().map(|p| *p as f32).collect();
        let (noisy, truth) = (ScoreOrder::new(&noisy), ScoreOrder::new(&truth));
        let samples = 200;
        let mut sum = 0.0;
        for _ in 0..samples {
            let labels: Vec<u8> = p.iter().map(|p| u8::from(rng.uniform() < *p)).collect();
            sum += auc(&noisy, &labels).unwrap();
        }
        let expected = expected_auc(&noisy, &p).unwrap();
        // One sample's standard error is about 0.015.
        assert!(
            (sum / f64::from(samples) - expected).abs() < 4.0 * 0.015 / f64::from(samples).sqrt()
        );
        assert!(expected_auc(&truth, &p).unwrap() > expected + 0.02);
    }

    #[test]
    fn undefined_with_one_class_and_half_when_all_tie() {
        let order = ScoreOrder::new(&[0.3, 0.3, 0.3]);
        assert_eq!(auc(&order, &[1, 1, 1]), None);
        assert_eq!(auc(&order, &[0, 1, 0]), Some(0.5));
        assert_eq!(pr_auc(&order, &[0, 0, 0]), None);
        assert_eq!(expected_auc(&order, &[1.0, 1.0, 1.0]), None);
        assert_eq!(auc(&ScoreOrder::new(&[]), &[]), None);
    }

    #[test]
    fn pr_auc_by_hand() {
        // Thresholds: {1} precision 1, recall 1/2; then the tie {1, 0, 0}: precision 2/4, recall 1.
        let order = ScoreOrder::new(&[0.2, 0.9, 0.2, 0.2, 0.1]);
        assert_eq!(pr_auc(&order, &[0, 1, 1, 0, 0]), Some(0.5 * 1.0 + 0.5 * 0.5));
    }

    #[test]
    fn sparse_group_ids_are_numbered_in_order() {
        let (dense, n) = dense_groups(&[4_000_000_000, 7, 4_000_000_000, 9]);
        assert_eq!((&dense[..], n), (&[2, 0, 2, 1][..], 3));
        let (same, n) = dense_groups(&[3, 0]);
        assert_eq!((&same[..], n), (&[3, 0][..], 4));
        assert_eq!(dense_groups(&[]).1, 0);
    }
}
