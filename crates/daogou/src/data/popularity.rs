//! How an item, or all of its brand or category, has done with everybody: a click rate that starts from a prior.
//!
//! ```text
//! x = logit((engaged + κ·p₀) / (shown + κ))
//! ```
//!
//! Both counts are of everybody's impressions *strictly before* a request, `p₀` is the rate of the training split, and `κ` is
//! the number of impressions that the prior is worth. What nobody was shown yet has the rate of everything; a new item of a
//! known brand has its brand's, where both are read. Requests of one time know nothing of each other. Counts of the whole
//! log end with it: a run that serves knows them as of its last request.

use std::ops::AddAssign;

use serde::{Deserialize, Serialize};

use super::past::Shown;

/// Impressions of everybody.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Count {
    pub(crate) shown: u32,
    pub(crate) engaged: u32,
}

impl AddAssign for Count {
    fn add_assign(&mut self, other: Self) {
        self.shown += other.shown;
        self.engaged += other.engaged;
    }
}

/// The rate that counts start from, and the number of impressions it is worth.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Prior {
    /// p₀: clicks per impression of the training split; strictly between 0 and 1.
    pub rate: f64,
    /// κ, above 0.
    pub impressions: f64,
}

impl Prior {
    /// Whether every count has a finite logit.
    pub(super) fn is_sound(self) -> bool {
        self.rate > 0.0 && self.rate < 1.0 && self.impressions > 0.0 && self.impressions.is_finite()
    }

    /// The logit of the rate that is left of the prior after what was counted.
    pub(crate) fn logit(self, count: Count) -> f64 {
        let clicks = f64::from(count.engaged) + self.impressions * self.rate;
        let others = f64::from(count.shown - count.engaged) + self.impressions * (1.0 - self.rate);
        (clicks / others).ln()
    }
}

/// What everybody did with each item until a log ended.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Popularity {
    /// Impressions by item row.
    shown: Vec<u32>,
    /// Those that were engaged with.
    engaged: Vec<u32>,
}

impl Popularity {
    /// Counts of a whole log; 8 bytes per item.
    pub(super) fn of_log(log: &Shown<'_>, items: usize) -> Self {
        let mut all = Self { shown: vec![0; items], engaged: vec![0; items] };
        for request in 0..log.requests.len() {
            log.counts(request, |item, count| {
                all.shown[item as usize] += count.shown;
                all.engaged[item as usize] += count.engaged;
            });
        }
        all
    }

    /// Whether there are counts for each of `items` rows, and no more clicks than impressions.
    pub(super) fn fits(&self, items: usize) -> bool {
        self.shown.len() == items
            && self.engaged.len() == items
            && self.shown.iter().zip(&self.engaged).all(|(shown, engaged)| engaged <= shown)
    }

    /// Counts by value of items, of `values` values; what is unknown has none. `value` may go on with later items.
    pub(super) fn by_value(&self, value: &[u32], values: usize) -> Vec<Count> {
        let mut counts = vec![Count::default(); values];
        for ((&value, &shown), &engaged) in value.iter().zip(&self.shown).zip(&self.engaged) {
            if value != 0 {
                counts[value as usize] += Count { shown, engaged };
            }
        }
        counts
    }
}

/// What was counted before each impression of a log, of items with the same value; `value` is by item row, 0 where unknown.
/// `before` holds what was counted until its time: it counts for requests after that time.
///
/// Cost: O(n log n) of the requests, O(impressions); 8 bytes per impression.
pub(super) fn measure(
    log: &Shown<'_>,
    before: Option<(&Popularity, i64)>,
    value: &[u32],
    values: usize,
) -> Vec<Count> {
    let time = |request: u32| log.requests.time[request as usize];
    let mut order: Vec<u32> = (0..log.requests.len() as u32).collect();
    order.sort_by_key(|&request| time(request));
    let mut counts = vec![Count::default(); values];
    let mut out = vec![Count::default(); log.impressions.item.len()];
    let mut before = before;
    for together in order.chunk_by(|&a, &b| time(a) == time(b)) {
        if let Some((earlier, _)) = before.take_if(|(_, end)| *end < time(together[0])) {
            let known = earlier.by_value(value, values);
            counts.iter_mut().zip(known).for_each(|(own, known)| *own += known);
        }
        for &request in together {
            let request = request as usize;
            for i in log.requests.impressions(&(request..request + 1)) {
                out[i] = counts[value[log.impressions.item[i] as usize] as usize];
            }
        }
        for &request in together {
            log.counts(request as usize, |item, count| {
                let value = value[item as usize] as usize;
                if value != 0 {
                    counts[value] += count;
                }
            });
        }
    }
    out
}

/// A log's impressions by item, to count those before any time.
#[derive(Clone, Debug)]
pub(crate) struct Showings {
    offsets: Vec<u32>,
    /// Times of an item's impressions, ascending.
    time: Vec<i64>,
    /// Number of the item's impressions up to each that were engaged with.
    engaged: Vec<u32>,
}

impl Showings {
    /// Of a whole log. Cost: O(n log n); 12 bytes per impression.
    pub(super) fn of_log(log: &Shown<'_>) -> Self {
        let mut all: Vec<(u32, i64, u32)> = Vec::new();
        for request in 0..log.requests.len() {
            let time = log.requests.time[request];
            log.counts(request, |item, count| all.push((item, time, count.engaged)));
        }
        all.sort_unstable();
        let items = all.last().map_or(0, |last| last.0 as usize + 1);
        let mut offsets = vec![0; items + 1];
        all.iter().for_each(|(item, ..)| offsets[*item as usize + 1] += 1);
        (0..items).for_each(|item| offsets[item + 1] += offsets[item]);
        let mut engaged: Vec<u32> = all.iter().map(|row| row.2).collect();
        for own in offsets.windows(2) {
            let own = &mut engaged[own[0] as usize..own[1] as usize];
            (1..own.len()).for_each(|i| own[i] += own[i - 1]);
        }
        Self { offsets, time: all.iter().map(|row| row.1).collect(), engaged }
    }

    /// What was counted of an item strictly before `time`. Cost: O(log n).
    pub(super) fn before(&self, item: usize, time: i64) -> Count {
        let Some(ends) = self.offsets.get(item..item + 2) else { return Count::default() };
        let (start, end) = (ends[0] as usize, ends[1] as usize);
        let shown = self.time[start..end].partition_point(|&then| then < time);
        let engaged = if shown == 0 { 0 } else { self.engaged[start + shown - 1] };
        Count { shown: shown as u32, engaged }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::data::{Impressions, Requests};

    /// An impression: time of its request, item, engaged with, sampled.
    type Row = (i64, u32, bool, bool);

    const ITEMS: usize = 7;

    /// Calls `read` with requests of one row each.
    fn with_log<T>(rows: &[Row], read: impl FnOnce(&Shown<'_>) -> T) -> T {
        let requests = Requests {
            user: vec![0; rows.len()],
            time: rows.iter().map(|row| row.0).collect(),
            offsets: (0..=rows.len() as u32).collect(),
            ..Requests::default()
        };
        let impressions = Impressions {
            item: rows.iter().map(|row| row.1).collect(),
            sampled: rows.iter().map(|row| row.3).collect(),
            ..Impressions::default()
        };
        let engaged: Vec<u8> = rows.iter().map(|row| u8::from(row.2)).collect();
        read(&Shown { requests: &requests, impressions: &impressions, engaged: Some(&engaged) })
    }

    /// The definition, row by row.
    fn plainly(rows: &[Row], value: &[u32], (now, item): (i64, u32)) -> Count {
        let own = value[item as usize];
        let like = |row: &&Row| own != 0 && value[row.1 as usize] == own && row.0 < now && !row.3;
        let shown = rows.iter().filter(like).count() as u32;
        Count { shown, engaged: rows.iter().filter(like).filter(|row| row.2).count() as u32 }
    }

    #[test]
    fn counts_move_a_rate_away_from_its_prior() {
        let prior = Prior { rate: 0.1, impressions: 50.0 };
        let rate = |shown, engaged| {
            let x = prior.logit(Count { shown, engaged });
            1.0 / (1.0 + (-x).exp())
        };
        assert!((rate(0, 0) - 0.1).abs() < 1e-12, "nothing counted: the prior");
        assert!((rate(50, 20) - 0.25).abs() < 1e-12, "half of each: (20 + 5) / 100");
        assert!((rate(1_000_000, 400_000) - 0.4).abs() < 1e-4, "the prior fades");
        assert!(rate(10, 10) < 1.0 && rate(1_000, 0) > 0.0, "never certain");
        let sound = |rate, impressions| Prior { rate, impressions }.is_sound();
        assert!(prior.is_sound() && !sound(0.0, 50.0) && !sound(1.0, 50.0) && !sound(0.1, 0.0));
        assert!(!sound(f64::NAN, 50.0) && !sound(0.1, f64::INFINITY), "what a damaged run may say");
    }

    fn rows(n: usize) -> impl Strategy<Value = Vec<Row>> {
        let row = (0i64..40, 0u32..ITEMS as u32, any::<bool>(), any::<bool>());
        prop::collection::vec(row, 0..n)
    }

    /// Values of the items; the unknown one has none.
    fn value() -> impl Strategy<Value = Vec<u32>> {
        prop::collection::vec(0u32..4, ITEMS - 1)
            .prop_map(|of_known| std::iter::once(0).chain(of_known).collect())
    }

    proptest! {
        #[test]
        fn twins_agree(rows in rows(80), value in value()) {
            let fast = with_log(&rows, |log| measure(log, None, &value, 4));
            for (row, &count) in rows.iter().zip(&fast) {
                prop_assert_eq!(count, plainly(&rows, &value, (row.0, row.1)));
            }
        }

        /// A log cut in two, the first half kept as counts, measures what the whole log does.
        #[test]
        fn serving_goes_on_where_training_ended(rows in rows(80), value in value(), cut in 0i64..40) {
            let (first, second): (Vec<Row>, Vec<Row>) = rows.iter().partition(|row| row.0 <= cut);
            let kept = with_log(&first, |log| Popularity::of_log(log, ITEMS));
            prop_assert!(kept.fits(ITEMS) && !kept.fits(ITEMS + 1));
            let fast = with_log(&second, |log| measure(log, Some((&kept, cut)), &value, 4));
            for (row, &count) in second.iter().zip(&fast) {
                prop_assert_eq!(count, plainly(&rows, &value, (row.0, row.1)));
            }
        }

        #[test]
        fn items_are_found_at_any_time(rows in rows(80), now in 0i64..41) {
            let each: Vec<u32> = (0..ITEMS as u32).collect();
            let all = with_log(&rows, Showings::of_log);
            for item in 1..ITEMS as u32 {
                let count = all.before(item as usize, now);
                prop_assert_eq!(count, plainly(&rows, &each, (now, item)));
            }
            prop_assert_eq!(all.before(ITEMS + 3, now), Count::default(), "never shown");
        }
    }
}
