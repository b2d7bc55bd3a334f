//! Whether relevant items stand near the top: NDCG, recall, precision, hit, MRR, AP, all cut at k.

use std::cmp::Ordering;

use daogou_nn::rng::mix;

/// Puts candidate numbers in order of score, best first, into `out`.
///
/// Equal scores are ordered by a seeded hash of the item's id, so neither the order of input (where clicked items may
/// come first) nor the numbering of items helps; then by id. A NaN score goes last. O(n log n).
pub fn order_by_score(scores: &[f32], ids: &[u32], seed: u64, out: &mut Vec<u32>) {
    assert_eq!(scores.len(), ids.len());
    let salt = mix(seed);
    let tie = |i: u32| {
        let id = ids[i as usize];
        (mix(salt ^ u64::from(id)), id)
    };
    let value = |i: u32| {
        let score = scores[i as usize];
        if score.is_nan() { f32::NEG_INFINITY } else { score }
    };
    out.clear();
    out.extend(0..scores.len() as u32);
    out.sort_unstable_by(|&a, &b| {
        value(b).partial_cmp(&value(a)).unwrap_or(Ordering::Equal).then_with(|| tie(a).cmp(&tie(b)))
    });
}

/// A ranking, seen through the grades of its items: 0 irrelevant, 1 clicked, 2 bought, ….
///
/// Every metric is `None` when nothing was relevant: such a ranking cannot be good or bad.
#[derive(Clone, Copy, Debug)]
pub struct Ranked<'a> {
    /// Grades in list order, best rank first; may be shorter than k.
    pub grades: &'a [u8],
    /// Grades of all items that could have been ranked, in any order (irrelevant ones may be left out).
    pub ideal: &'a [u8],
}

impl Ranked<'_> {
    fn relevant(&self) -> usize {
        self.ideal.iter().filter(|g| **g > 0).count()
    }

    fn top(&self, k: usize) -> &[u8] {
        &self.grades[..k.min(self.grades.len())]
    }

    fn hits(&self, k: usize) -> usize {
        self.top(k).iter().filter(|g| **g > 0).count()
    }

    /// Discounted gain over that of the best order: `Σ (2^grade − 1) / log2(rank + 1)` (Järvelin, Kekäläinen 2002).
    pub fn ndcg(&self, k: usize) -> Option<f64> {
        let gain =
            |grade: u8, index: usize| (f64::from(grade).exp2() - 1.0) / (index as f64 + 2.0).log2();
        let dcg: f64 = self.top(k).iter().enumerate().map(|(i, &g)| gain(g, i)).sum();
        let mut counts = [0usize; 256];
        for &grade in self.ideal {
            counts[usize::from(grade)] += 1;
        }
        let best: f64 = (1..=255u8)
            .rev()
            .flat_map(|grade| std::iter::repeat_n(grade, counts[usize::from(grade)]))
            .take(k)
            .enumerate()
            .map(|(i, grade)| gain(grade, i))
            .sum();
        (best > 0.0).then(|| dcg / best)
    }

    /// Relevant items in the top k over all relevant items.
    pub fn recall(&self, k: usize) -> Option<f64> {
        let relevant = self.relevant();
        (relevant > 0).then(|| self.hits(k) as f64 / relevant as f64)
    }

    /// Relevant items in the top k over k, also when the list is shorter.
    pub fn precision(&self, k: usize) -> Option<f64> {
        (self.relevant() > 0 && k > 0).then(|| self.hits(k) as f64 / k as f64)
    }

    /// 1 if any of the top k is relevant.
    pub fn hit(&self, k: usize) -> Option<f64> {
        (self.relevant() > 0).then(|| f64::from(u8::from(self.hits(k) > 0)))
    }

    /// One over the rank of the first relevant item; 0 if the top k has none.
    pub fn reciprocal_rank(&self, k: usize) -> Option<f64> {
        (self.relevant() > 0).then(|| {
            self.top(k).iter().position(|g| *g > 0).map_or(0.0, |i| 1.0 / (i as f64 + 1.0))
        })
    }

    /// `Σ_{rank ≤ k} precision(rank) · relevant(rank) / min(k, relevant items)`.
    pub fn average_precision(&self, k: usize) -> Option<f64> {
        let best = self.relevant().min(k);
        let (mut hits, mut sum) = (0.0, 0.0);
        for (i, _) in self.top(k).iter().enumerate().filter(|(_, g)| **g > 0) {
            hits += 1.0;
            sum += hits / (i as f64 + 1.0);
        }
        (best > 0).then(|| sum / best as f64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn close(a: Option<f64>, b: f64) -> bool {
        (a.unwrap() - b).abs() < 1e-12
    }

    #[test]
    fn by_hand() {
        // Grades 1, 0, 2 in the list; one more clicked item was missed.
        let list = Ranked { grades: &[1, 0, 2], ideal: &[2, 1, 1, 0] };
        let second = 1.0 / 3f64.log2();
        assert!(close(list.ndcg(3), (1.0 + 3.0 / 2.0) / (3.0 + second + 0.5)));
        assert!(close(list.ndcg(1), 1.0 / 3.0));
        assert!(close(list.recall(3), 2.0 / 3.0));
        assert!(close(list.precision(3), 2.0 / 3.0));
        assert!(close(list.precision(10), 0.2));
        assert!(close(list.reciprocal_rank(3), 1.0));
        assert!(close(list.average_precision(3), (1.0 + 2.0 / 3.0) / 3.0));
        assert!(close(list.average_precision(2), 1.0 / 2.0));
        let late = Ranked { grades: &[0, 0, 1], ideal: &[1] };
        assert!(close(late.reciprocal_rank(3), 1.0 / 3.0) && close(late.reciprocal_rank(2), 0.0));
        assert!(close(late.hit(2), 0.0) && close(late.hit(3), 1.0));
        assert!(close(late.ndcg(3), 0.5));
    }

    #[test]
    fn the_best_order_scores_one_and_nothing_relevant_is_undefined() {
        let best = Ranked { grades: &[3, 2, 1, 1, 0], ideal: &[1, 0, 2, 3, 1] };
        for k in 1..=5 {
            assert!(close(best.ndcg(k), 1.0) && close(best.average_precision(k), 1.0));
        }
        let none = Ranked { grades: &[0, 0], ideal: &[0, 0] };
        assert_eq!((none.ndcg(2), none.recall(2), none.hit(2)), (None, None, None));
        assert_eq!((none.reciprocal_rank(2), none.average_precision(2)), (None, None));
    }

    #[test]
    fn ties_depend_on_ids_and_seed_and_not_on_the_order_of_input() {
        let mut order = Vec::new();
        let ids: Vec<u32> = (0..50).collect();
        let ranked = |seed, reversed: bool, order: &mut Vec<u32>| -> Vec<u32> {
            let mut ids = ids.clone();
            if reversed {
                ids.reverse();
            }
            let scores: Vec<f32> = ids.iter().map(|id| (id % 3) as f32).collect();
            order_by_score(&scores, &ids, seed, order);
            order.iter().map(|i| ids[*i as usize]).collect()
        };
        let first = ranked(1, false, &mut order);
        assert_eq!(first, ranked(1, true, &mut order));
        assert_ne!(first, ranked(2, false, &mut order));
        assert!(first.windows(2).all(|w| w[0] % 3 >= w[1] % 3));
        assert!(!first[..17].is_sorted(), "equal scores must not keep the order of ids");
        order_by_score(&[0.0, f32::NAN, 1.0], &[1, 2, 3], 0, &mut order);
        assert_eq!(order, [2, 0, 1]);
    }
}
