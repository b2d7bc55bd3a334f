//! Which requests train, validate and test.
//!
//! Every method orders the requests and cuts that order in two places. A method says where it may be cut: between two
//! instants (`time`), between any two requests (`row_order`, `random`) or between two users (`by_user`). Each cut goes
//! to the allowed place nearest to the wanted share, so ties are never torn apart.

use std::ops::Range;

use arrow_cast::parse::string_to_timestamp_nanos;
use daogou_nn::rng::{Rng, hash};

use super::dataset::Split;
use crate::schema::{FractionBy, SplitConfig, SplitMethod};
use crate::{Error, Result};

/// What the split reads of requests, in the order of the files.
#[derive(Clone, Copy, Debug)]
pub struct RequestFacts<'a> {
    /// User row of each request.
    pub user: &'a [u32],
    /// Unix time in seconds of each request; empty for a log without time.
    pub time: &'a [i64],
    /// Number of requests.
    pub n: usize,
}

/// Where requests go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SplitPlan {
    /// Request at each new place: by split, then by time where there is one (`row_order`: as in the files), ties as in
    /// the files.
    pub order: Vec<u32>,
    /// Ranges of new places.
    pub split: Split,
}

/// Splits requests as the configuration says. A split whose share is not 0 is never empty: if it would be, that is an
/// error that says why. Cost: O(n log n).
pub fn by_config(config: &SplitConfig, facts: &RequestFacts<'_>) -> Result<SplitPlan> {
    let shares = shares(config)?;
    let RequestFacts { user, time, n } = *facts;
    if n == 0 {
        return Err(Error::data("there are no requests to split"));
    }
    let rows = u32::try_from(n).map_err(|_| {
        Error::data(format!("expected at most {} requests, got {n}", u32::MAX))
            .with_hint("train on a shorter stretch of the log")
    })?;
    let mut order: Vec<u32> = (0..rows).collect();
    let mut rng = Rng::new(config.seed, hash("split"));
    match config.method {
        SplitMethod::Time => {
            if time.is_empty() {
                return Err(Error::config(
                    "data.split.method",
                    "`time` needs `columns.time`, and this log has none",
                )
                .with_hint("rows already in time order: method = \"row_order\"; else \"random\""));
            }
            order.sort_by_key(|&request| time[request as usize]);
        }
        SplitMethod::RowOrder => {}
        SplitMethod::Random => rng.shuffle(&mut order),
        SplitMethod::ByUser => {
            let users = user.iter().max().map_or(0, |&last| last as usize + 1);
            let mut rank: Vec<u32> = (0..users as u32).collect();
            rng.shuffle(&mut rank);
            order.sort_by_key(|&request| rank[user[request as usize] as usize]);
        }
    }
    let whole = |before: u32, after: u32| match config.method {
        SplitMethod::Time => time[before as usize] == time[after as usize],
        SplitMethod::ByUser => user[before as usize] == user[after as usize],
        SplitMethod::RowOrder | SplitMethod::Random => false,
    };
    let places: Vec<usize> =
        (1..n).filter(|&place| !whole(order[place - 1], order[place])).collect();
    let split = match test_from(config)? {
        Some(first) => {
            let rest = order.partition_point(|&request| time[request as usize] < first);
            cut_at_test(rest, n, &shares, &places, config)?
        }
        None => cut(n, &shares, &places, config.method)?,
    };
    if matches!(config.method, SplitMethod::Random | SplitMethod::ByUser) {
        for part in [&split.train, &split.valid, &split.test] {
            let part = &mut order[part.clone()];
            if time.is_empty() {
                part.sort_unstable();
            } else {
                part.sort_unstable_by_key(|&request| (time[request as usize], request));
            }
        }
    }
    Ok(SplitPlan { order, split })
}

/// Leaves out training requests until the configured fraction of them is left, at least one. What is left keeps its order,
/// validation and test keep their requests. O(n).
///
/// # Errors
///
/// Where the fraction is none.
pub fn thin(config: &SplitConfig, plan: &mut SplitPlan) -> Result<()> {
    let fraction = config.train_fraction;
    if !(fraction > 0.0 && fraction <= 1.0) {
        return Err(Error::config(
            "data.split.train_fraction",
            format!("expected a share above 0 and at most 1, got {fraction}"),
        ));
    }
    let n = plan.split.train.len();
    let kept = ((fraction * n as f64).round() as usize).clamp(n.min(1), n);
    if kept == n {
        return Ok(());
    }
    let mut places: Vec<usize> = (0..n).collect();
    if config.fraction_by == FractionBy::Random {
        Rng::new(config.seed, hash("train_fraction")).shuffle(&mut places);
    }
    let mut left_out = vec![false; n];
    places[..n - kept].iter().for_each(|&place| left_out[place] = true);
    let mut place = 0;
    plan.order.retain(|_| {
        place += 1;
        !left_out.get(place - 1).copied().unwrap_or(false)
    });
    let earlier = |range: &Range<usize>| range.start - (n - kept)..range.end - (n - kept);
    let Split { valid, test, .. } = &plan.split;
    plan.split = Split { train: 0..kept, valid: earlier(valid), test: earlier(test) };
    Ok(())
}

/// For each split (train, validation, test) the first instant whose events may not make its labels: the earliest
/// request of a later split, or, where splits overlap in time, the instant after its own last request. The last split
/// that has requests has no end (`i64::MAX`).
///
/// `time` is by request in the new order; empty (no time) gives `i64::MAX` everywhere.
pub fn label_ends(split: &Split, time: &[i64]) -> [i64; 3] {
    if time.is_empty() {
        return [i64::MAX; 3];
    }
    let ends = |own: &Range<usize>| {
        let last = time[own.clone()].iter().max();
        let next = time[own.end..].iter().min();
        match (last, next) {
            (Some(last), Some(next)) => (*next).max(last.saturating_add(1)),
            _ => i64::MAX,
        }
    };
    [ends(&split.train), ends(&split.valid), ends(&split.test)]
}

impl Split {
    /// Which split a request is in: 0 train, 1 validation, 2 test.
    pub fn part_of(&self, request: usize) -> usize {
        usize::from(request >= self.train.end) + usize::from(request >= self.valid.end)
    }
}

fn shares(config: &SplitConfig) -> Result<[f64; 3]> {
    let shares = [config.train, config.valid, config.test];
    for (name, share) in ["train", "valid", "test"].into_iter().zip(shares) {
        if !(0.0..=1.0).contains(&share) {
            return Err(Error::config(
                format!("data.split.{name}"),
                format!("expected a share between 0 and 1, got {share}"),
            ));
        }
    }
    let total: f64 = shares.iter().sum();
    if (total - 1.0).abs() > 1e-6 {
        return Err(Error::config(
            "data.split",
            format!("train + valid + test: expected a sum of 1, got {total}"),
        ));
    }
    if config.train == 0.0 {
        return Err(Error::config("data.split.train", "expected more than 0"));
    }
    Ok(shares)
}

/// `test_from` as Unix seconds.
fn test_from(config: &SplitConfig) -> Result<Option<i64>> {
    let Some(text) = &config.test_from else { return Ok(None) };
    if config.method != SplitMethod::Time {
        return Err(Error::config(
            "data.split.test_from",
            "expected together with method = \"time\"",
        ));
    }
    if let Ok(seconds) = text.trim().parse() {
        return Ok(Some(seconds));
    }
    let nanos = string_to_timestamp_nanos(text.trim()).map_err(|_| {
        Error::config(
            "data.split.test_from",
            format!("expected RFC 3339 or Unix seconds, got `{text}`"),
        )
        .with_hint("for example 2018-11-07T00:00:00Z")
    })?;
    // The first whole second at or after the instant: log times are whole seconds.
    Ok(Some(nanos.div_euclid(1_000_000_000) + i64::from(nanos.rem_euclid(1_000_000_000) > 0)))
}

/// Test is `rest..n`; train and validation share `..rest` in their proportion.
fn cut_at_test(
    rest: usize,
    n: usize,
    shares: &[f64; 3],
    places: &[usize],
    config: &SplitConfig,
) -> Result<Split> {
    let text = config.test_from.as_deref().unwrap_or_default();
    for (empty, which) in [(rest == 0, "at or after"), (rest == n, "before")] {
        if empty {
            return Err(Error::config(
                "data.split.test_from",
                format!("`{text}`: all {n} requests are {which} this instant"),
            )
            .with_hint("choose an instant inside the log"));
        }
    }
    let earlier = shares[0] + shares[1];
    let places = &places[..places.partition_point(|&place| place < rest)];
    let early = cut(rest, &[shares[0] / earlier, shares[1] / earlier, 0.0], places, config.method)?;
    Ok(Split { train: early.train, valid: early.valid, test: rest..n })
}

/// Cuts `0..n` into parts near the wanted shares, only at `places` (ascending, inside `1..n`).
fn cut(n: usize, shares: &[f64; 3], places: &[usize], method: SplitMethod) -> Result<Split> {
    let wanted: Vec<usize> = (0..3).filter(|&part| shares[part] > 0.0).collect();
    if places.len() + 1 < wanted.len() {
        let (unit, hint) = match method {
            SplitMethod::Time => {
                ("distinct request times", "if rows are in time order, use method = \"row_order\"")
            }
            SplitMethod::ByUser => ("users", "use method = \"time\" or \"random\""),
            SplitMethod::RowOrder | SplitMethod::Random => {
                ("requests", "set data.split.valid or data.split.test to 0")
            }
        };
        return Err(Error::data(format!(
            "a split would be empty: expected at least {} {unit} for {} splits, got {}",
            wanted.len(),
            wanted.len(),
            places.len() + 1
        ))
        .with_hint(hint));
    }
    let mut ends = [0; 3];
    let (mut first, mut total) = (0, 0.0);
    for (done, &part) in wanted.iter().enumerate() {
        total += shares[part];
        let later = wanted.len() - done - 1;
        ends[part] = if later == 0 {
            n
        } else {
            let target = (total * n as f64).round() as usize;
            let open = &places[first..=places.len() - later];
            let after = open.partition_point(|&place| place < target).min(open.len() - 1);
            let before = after.saturating_sub(1);
            let nearest = if open[after].abs_diff(target) < open[before].abs_diff(target) {
                after
            } else {
                before
            };
            first += nearest + 1;
            open[nearest]
        };
    }
    ends[1] = ends[1].max(ends[0]);
    ends[2] = ends[2].max(ends[1]);
    Ok(Split { train: 0..ends[0], valid: ends[0]..ends[1], test: ends[1]..ends[2] })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn config(method: SplitMethod, shares: [f64; 3]) -> SplitConfig {
        let [train, valid, test] = shares;
        SplitConfig { method, train, valid, test, ..SplitConfig::default() }
    }

    fn facts<'a>(user: &'a [u32], time: &'a [i64]) -> RequestFacts<'a> {
        RequestFacts { user, time, n: user.len() }
    }

    #[test]
    fn time_split_sorts_stably_and_cuts_by_share() {
        let time = [50, 10, 20, 40, 30, 60, 70, 80, 90, 100];
        let plan = by_config(&config(SplitMethod::Time, [0.8, 0.1, 0.1]), &facts(&[1; 10], &time))
            .unwrap();
        assert_eq!(plan.order, [1, 2, 4, 3, 0, 5, 6, 7, 8, 9]);
        assert_eq!(plan.split, Split { train: 0..8, valid: 8..9, test: 9..10 });
    }

    #[test]
    fn ties_stay_together_even_when_they_cover_both_cuts() {
        // Ten requests, seven at the same instant around both wanted cuts (8 and 9).
        let time = [1, 2, 3, 3, 3, 3, 3, 3, 3, 4];
        let plan = by_config(&config(SplitMethod::Time, [0.8, 0.1, 0.1]), &facts(&[1; 10], &time))
            .unwrap();
        assert_eq!(plan.split, Split { train: 0..2, valid: 2..9, test: 9..10 });
        let error =
            by_config(&config(SplitMethod::Time, [0.8, 0.1, 0.1]), &facts(&[1; 4], &[5, 5, 6, 6]))
                .unwrap_err();
        assert!(error.to_string().contains("at least 3 distinct request times"), "{error}");
        assert!(error.hint().unwrap().contains("row_order"));
    }

    #[test]
    fn splits_without_a_share_are_empty_and_that_is_fine() {
        let users = [1; 10];
        let of = |shares| {
            by_config(&config(SplitMethod::RowOrder, shares), &facts(&users, &[])).unwrap().split
        };
        assert_eq!(of([0.7, 0.3, 0.0]), Split { train: 0..7, valid: 7..10, test: 10..10 });
        assert_eq!(of([0.7, 0.0, 0.3]), Split { train: 0..7, valid: 7..7, test: 7..10 });
        assert_eq!(of([1.0, 0.0, 0.0]), Split { train: 0..10, valid: 10..10, test: 10..10 });
    }

    #[test]
    fn test_from_takes_dates_and_seconds() {
        let time: Vec<i64> = (0..10).map(|day| 1_541_030_400 + day * 86_400).collect();
        let users = [1; 10];
        for text in ["2018-11-07T00:00:00Z", "1541548800", "2018-11-06T23:59:59.5Z", "2018-11-07"] {
            let mut split = config(SplitMethod::Time, [0.4, 0.1, 0.5]);
            split.test_from = Some(text.into());
            let plan = by_config(&split, &facts(&users, &time)).unwrap();
            assert_eq!(plan.split, Split { train: 0..5, valid: 5..6, test: 6..10 }, "{text}");
        }
        for (text, problem) in [
            ("yesterday", "RFC 3339"),
            ("2030-01-01T00:00:00Z", "before this instant"),
            ("0", "at or after this instant"),
        ] {
            let mut split = config(SplitMethod::Time, [0.8, 0.1, 0.1]);
            split.test_from = Some(text.into());
            let error = by_config(&split, &facts(&users, &time)).unwrap_err();
            assert!(error.to_string().contains(problem), "{error}");
            assert!(error.hint().is_some());
        }
    }

    #[test]
    fn what_cannot_be_split_is_said() {
        let bad = |method, shares, users: &[u32], time: &[i64]| {
            by_config(&config(method, shares), &facts(users, time)).unwrap_err().to_string()
        };
        let usual = [0.8, 0.1, 0.1];
        assert!(bad(SplitMethod::Time, usual, &[], &[]).contains("no requests"));
        assert!(bad(SplitMethod::Time, usual, &[1, 2], &[]).contains("columns.time"));
        assert!(bad(SplitMethod::ByUser, usual, &[1, 1, 2], &[]).contains("at least 3 users"));
        assert!(bad(SplitMethod::Random, usual, &[1, 2], &[]).contains("got 2"));
        assert!(bad(SplitMethod::Random, [0.5, 0.1, 0.1], &[1, 2], &[]).contains("sum of 1"));
        assert!(bad(SplitMethod::Random, [1.5, -0.5, 0.0], &[1, 2], &[]).contains("got 1.5"));
        assert!(bad(SplitMethod::Random, [0.0, 0.5, 0.5], &[1, 2], &[]).contains("more than 0"));
    }

    #[test]
    fn a_fraction_of_training_is_the_latest_or_drawn_and_the_rest_stays() {
        let time: Vec<i64> = (0..100).rev().collect();
        let of = |fraction, fraction_by, seed| {
            let config = SplitConfig {
                train_fraction: fraction,
                fraction_by,
                seed,
                ..config(SplitMethod::Time, [0.8, 0.1, 0.1])
            };
            let mut plan = by_config(&config, &facts(&[1; 100], &time)).unwrap();
            thin(&config, &mut plan).map(|()| plan)
        };
        let whole = of(1.0, FractionBy::Random, 1).unwrap();
        assert_eq!(whole.order.len(), 100);
        for by in [FractionBy::Latest, FractionBy::Random] {
            let mut larger: Vec<u32> = whole.order[..80].to_vec();
            for (fraction, n) in [(0.3, 24), (0.1, 8), (1e-9, 1)] {
                let plan = of(fraction, by, 1).unwrap();
                let ends = Split { train: 0..n, valid: n..n + 10, test: n + 10..n + 20 };
                assert_eq!(plan.split, ends, "{by:?} {fraction}");
                assert_eq!(plan.order[n..], whole.order[80..], "validation and test stay");
                let train = &plan.order[..n];
                assert!(train.iter().all(|request| larger.contains(request)), "nested");
                assert!(train.is_sorted_by_key(|&request| time[request as usize]));
                if by == FractionBy::Latest {
                    assert_eq!(*train, whole.order[80 - n..80]);
                }
                larger = train.to_vec();
            }
        }
        let drawn = |seed| of(0.3, FractionBy::Random, seed).unwrap().order;
        assert!(drawn(1) == drawn(1) && drawn(1) != drawn(2));
        for fraction in [0.0, -0.5, 1.5, f64::NAN] {
            let error = of(fraction, FractionBy::Latest, 1).unwrap_err().to_string();
            assert!(error.contains("data.split.train_fraction"), "{error}");
        }
    }

    #[test]
    fn label_ends_are_the_next_split_or_the_own_last_request() {
        let split = Split { train: 0..2, valid: 2..4, test: 4..5 };
        assert_eq!(label_ends(&split, &[1, 2, 5, 6, 9]), [5, 9, i64::MAX]);
        assert_eq!(label_ends(&split, &[1, 7, 5, 6, 3]), [8, 7, i64::MAX], "overlapping splits");
        let none = Split { train: 0..5, valid: 5..5, test: 5..5 };
        assert_eq!(label_ends(&none, &[1, 2, 3, 4, 5]), [i64::MAX; 3]);
        assert_eq!(label_ends(&split, &[]), [i64::MAX; 3]);
    }

    proptest! {
        #[test]
        fn every_plan_is_a_permutation_that_respects_its_method(
            rows in prop::collection::vec((0u32..12, 0i64..40), 1..120),
            method in prop::sample::select(vec![
                SplitMethod::Time, SplitMethod::RowOrder, SplitMethod::Random, SplitMethod::ByUser,
            ]),
            seed in 0u64..4,
        ) {
            let (user, time): (Vec<u32>, Vec<i64>) = rows.into_iter().unzip();
            let config = SplitConfig { seed, ..config(method, [0.6, 0.2, 0.2]) };
            let Ok(plan) = by_config(&config, &facts(&user, &time)) else { return Ok(()) };
            prop_assert_eq!(&plan, &by_config(&config, &facts(&user, &time)).unwrap());
            let Split { train, valid, test } = plan.split.clone();
            prop_assert!(train.start == 0 && train.end == valid.start && valid.end == test.start);
            prop_assert!(test.end == user.len() && !train.is_empty() && !valid.is_empty() && !test.is_empty());
            let mut sorted = plan.order.clone();
            sorted.sort_unstable();
            prop_assert_eq!(sorted, (0..user.len() as u32).collect::<Vec<_>>());
            let parts = [train, valid, test].map(|part| plan.order[part].to_vec());
            for part in &parts {
                for pair in part.windows(2) {
                    let key = |row: u32| {
                        let at = if method == SplitMethod::RowOrder { 0 } else { time[row as usize] };
                        (at, row)
                    };
                    prop_assert!(key(pair[0]) < key(pair[1]));
                }
            }
            for (i, part) in parts.iter().enumerate() {
                for &a in part {
                    for &b in parts[i + 1..].iter().flatten() {
                        let (a, b) = (a as usize, b as usize);
                        match method {
                            SplitMethod::Time => prop_assert!(time[a] < time[b]),
                            SplitMethod::RowOrder => prop_assert!(a < b),
                            SplitMethod::ByUser => prop_assert!(user[a] != user[b]),
                            SplitMethod::Random => {}
                        }
                    }
                }
            }
            if matches!(method, SplitMethod::RowOrder | SplitMethod::Random) && user.len() >= 10 {
                let n = user.len() as f64;
                prop_assert!((parts[0].len() as f64 - 0.6 * n).abs() <= 0.5);
                prop_assert!((parts[2].len() as f64 - 0.2 * n).abs() <= 1.0);
            }
        }
    }
}
