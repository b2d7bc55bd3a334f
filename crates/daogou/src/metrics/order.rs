//! Rows in order of score, with equal scores kept together.

/// Row numbers in ascending order of score; rows with equal scores form one tie.
///
/// Scores are equal when they compare equal as `f32` (`-0.0` and `0.0` are). NaN sorts to an end by its sign and must
/// be refused by the caller. Radix sort: O(n), three passes over 8-byte keys.
#[derive(Clone, Debug)]
pub struct ScoreOrder {
    rows: Vec<u32>,
    /// End of each tie in `rows`; empty ties do not exist.
    ends: Vec<u32>,
}

/// Maps a score to an integer with the same order.
fn key(score: f32) -> u32 {
    let bits = (score + 0.0).to_bits(); // + 0.0 makes -0.0 equal to 0.0
    bits ^ ((bits as i32 >> 31) as u32 | 0x8000_0000)
}

impl ScoreOrder {
    /// Sorts the rows of `scores`.
    pub fn new(scores: &[f32]) -> Self {
        let n = scores.len();
        assert!(u32::try_from(n).is_ok(), "more than 2^32 - 1 rows");
        let mut packed: Vec<u64> =
            scores.iter().zip(0u64..).map(|(&s, row)| u64::from(key(s)) << 32 | row).collect();
        radix_sort_high_half(&mut packed);
        let rows = packed.iter().map(|&x| x as u32).collect();
        let mut ends = Vec::with_capacity(n);
        ends.extend((1..n).filter(|&i| packed[i] >> 32 != packed[i - 1] >> 32).map(|i| i as u32));
        if n > 0 {
            ends.push(n as u32);
        }
        Self { rows, ends }
    }

    /// All rows, lowest score first; within a tie by row number.
    pub fn rows(&self) -> &[u32] {
        &self.rows
    }

    /// The ties, lowest score first.
    pub fn ties(&self) -> impl DoubleEndedIterator<Item = &[u32]> + ExactSizeIterator {
        (0..self.ends.len()).map(|tie| {
            let start = if tie == 0 { 0 } else { self.ends[tie - 1] };
            &self.rows[start as usize..self.ends[tie] as usize]
        })
    }
}

/// Least-significant-digit radix sort by bits 32..64, stable.
fn radix_sort_high_half(values: &mut Vec<u64>) {
    const BITS: u32 = 11;
    const SIZE: usize = 1 << BITS;
    if values.len() < 256 {
        values.sort_unstable(); // the low half is the row number, so this is stable as well
        return;
    }
    let mut counts = vec![[0u32; SIZE]; 3];
    for &value in values.iter() {
        for (pass, counts) in counts.iter_mut().enumerate() {
            counts[(value >> (32 + BITS * pass as u32)) as usize % SIZE] += 1;
        }
    }
    let mut other = vec![0u64; values.len()];
    for (pass, counts) in counts.iter_mut().enumerate() {
        if counts.contains(&(values.len() as u32)) {
            continue; // one digit for all: nothing to move
        }
        let mut start = 0;
        for count in counts.iter_mut() {
            start += std::mem::replace(count, start);
        }
        for &value in values.iter() {
            let place = &mut counts[(value >> (32 + BITS * pass as u32)) as usize % SIZE];
            other[*place as usize] = value;
            *place += 1;
        }
        std::mem::swap(values, &mut other);
    }
}

/// Mid-ranks of a slice, from 1: equal values share the mean of their ranks.
pub fn mid_ranks(values: &[f32]) -> Vec<f64> {
    let mut ranks = vec![0.0; values.len()];
    let mut below = 0;
    for tie in ScoreOrder::new(values).ties() {
        let rank = below as f64 + 0.5 * (tie.len() as f64 + 1.0);
        for &row in tie {
            ranks[row as usize] = rank;
        }
        below += tie.len();
    }
    ranks
}

#[cfg(test)]
mod tests {
    use super::{ScoreOrder, mid_ranks};
    use proptest::prelude::*;

    #[test]
    fn zeros_of_both_signs_tie_and_infinities_are_at_the_ends() {
        let order = ScoreOrder::new(&[0.0, f32::INFINITY, -0.0, -1.5, f32::NEG_INFINITY, 1e-40]);
        let ties: Vec<&[u32]> = order.ties().collect();
        assert_eq!(ties, [&[4][..], &[3], &[0, 2], &[5], &[1]]);
    }

    #[test]
    fn mid_ranks_by_hand() {
        assert_eq!(mid_ranks(&[3.0, 1.0, 3.0, 2.0]), [3.5, 1.0, 3.5, 2.0]);
        assert!(mid_ranks(&[]).is_empty());
    }

    proptest! {
        #[test]
        fn order_equals_a_stable_comparison_sort(
            scores in prop::collection::vec(prop_oneof![-3i8..3, any::<i8>()], 0..700),
            scale in prop_oneof![Just(1.0f32), Just(1e-30), Just(0.1)],
        ) {
            let scores: Vec<f32> = scores.into_iter().map(|s| f32::from(s) * scale).collect();
            let mut expected: Vec<u32> = (0..scores.len() as u32).collect();
            expected.sort_by(|&a, &b| scores[a as usize].total_cmp(&scores[b as usize]));
            let order = ScoreOrder::new(&scores);
            prop_assert_eq!(order.rows(), &expected[..]);
            for (lower, upper) in order.ties().zip(order.ties().skip(1)) {
                prop_assert!(scores[lower[0] as usize] < scores[upper[0] as usize]);
                prop_assert!(lower.iter().all(|&r| scores[r as usize] == scores[lower[0] as usize]));
            }
        }
    }
}
