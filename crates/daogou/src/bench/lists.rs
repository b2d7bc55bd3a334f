//! Microseconds to build one list, by builder.

use std::time::Instant;

use daogou_nn::Rng;
use serde::Serialize;

use crate::Result;
use crate::lists::{
    Candidates, Objective, Scratch, Vectors, Weights, builder, builder::names, utility_scale,
};

/// The instances and how often a list is built.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ListOptions {
    /// Candidates per request.
    pub candidates: usize,
    /// Items per list.
    pub k: usize,
    /// Categories of the items, all of them wanted.
    pub categories: usize,
    /// Numbers per item vector, for the builders that compare items.
    pub width: usize,
    /// Timed lists per builder.
    pub lists: usize,
}

impl Default for ListOptions {
    fn default() -> Self {
        Self { candidates: 500, k: 10, categories: 12, width: 32, lists: 1001 }
    }
}

/// How long one builder took, on one thread.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct ListResult {
    /// The builder.
    pub builder: &'static str,
    /// Median.
    pub p50_us: f64,
    /// 99th percentile.
    pub p99_us: f64,
    /// Mean value of its lists over that of the best ones, under the default weights.
    pub value: f64,
}

/// One request, drawn: utilities like products of rates, a wanted mix, half of the items novel and less liked.
struct Request {
    utility: Vec<f32>,
    category: Vec<u16>,
    novel: Vec<f32>,
    vectors: Vec<f32>,
    mix: Vec<f32>,
}

impl Request {
    fn draw(options: &ListOptions, rng: &mut Rng) -> Self {
        let exponential = |rng: &mut Rng| -(1.0 - rng.uniform()).ln() as f32;
        let mut mix: Vec<f32> = (0..options.categories).map(|_| exponential(rng)).collect();
        let total: f32 = mix.iter().sum();
        mix.iter_mut().for_each(|share| *share /= total);
        let n = options.candidates;
        let novel: Vec<f32> = (0..n).map(|_| (rng.below(2)) as f32).collect();
        Self {
            utility: novel.iter().map(|v| 0.05 * exponential(rng) * (1.0 - 0.5 * v)).collect(),
            category: (0..n).map(|_| rng.below(options.categories as u64) as u16).collect(),
            novel,
            vectors: (0..n * options.width).map(|_| rng.normal() as f32).collect(),
            mix,
        }
    }
}

/// Builds lists for drawn requests with every builder, in turn. Errors: what the builders refuse.
pub fn lists(options: &ListOptions) -> Result<Vec<ListResult>> {
    const WARM: usize = 50;
    let mut rng = Rng::new(11, 0);
    let requests: Vec<Request> = (0..16).map(|_| Request::draw(options, &mut rng)).collect();
    let tie_break: Vec<u64> = (0..options.candidates as u64).collect();
    let weights = Weights { click: 1.0, diversity: 0.3, novelty: 0.3, ..Weights::default() };
    let (mut scratch, mut list, mut order) = (Scratch::default(), Vec::new(), Vec::new());
    let builders = names().map(builder).collect::<Result<Vec<_>>>()?;
    let mut times = vec![Vec::with_capacity(options.lists); builders.len()];
    let mut values = vec![0.0; builders.len()];
    for call in 0..WARM + options.lists {
        let request = &requests[call % requests.len()];
        let (lambda_diversity, lambda_novelty) =
            weights.lambdas(utility_scale(&request.utility, options.k, &mut order));
        let candidates = Candidates {
            utility: &request.utility,
            category: &request.category,
            novel: &request.novel,
            tie_break: &tie_break,
            vectors: Vectors { values: &request.vectors, width: options.width },
        };
        let objective = Objective {
            k: options.k,
            lambda_diversity,
            lambda_novelty,
            wanted_mix: &request.mix,
            wanted_novelty: 0.6,
            smoothing: 0.01,
        };
        for ((builder, times), value) in builders.iter().zip(&mut times).zip(&mut values) {
            let start = Instant::now();
            builder.build(&candidates, &objective, &mut scratch, &mut list)?;
            let time = start.elapsed();
            if call >= WARM {
                times.push(time.as_secs_f64() * 1e6);
                *value += objective.value(&candidates, &list);
            }
        }
    }
    let best = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    Ok(builders
        .iter()
        .zip(times)
        .zip(values)
        .map(|((builder, mut times), value)| {
            times.sort_unstable_by(f64::total_cmp);
            let at = |q: f64| times[((times.len() - 1) as f64 * q) as usize];
            ListResult {
                builder: builder.name(),
                p50_us: at(0.5),
                p99_us: at(0.99),
                value: value / best,
            }
        })
        .collect())
}

#[cfg(test)]
mod tests {
    use super::{ListOptions, lists};

    #[test]
    fn every_builder_is_timed_and_none_beats_the_exact_one() {
        let options = ListOptions { candidates: 60, lists: 20, ..ListOptions::default() };
        let results = lists(&options).unwrap();
        let exact = results.iter().find(|r| r.builder == "exact").unwrap();
        assert_eq!(exact.value, 1.0);
        assert!(results.iter().all(|r| r.p50_us > 0.0 && r.p50_us <= r.p99_us && r.value <= 1.0));
        assert!(lists(&ListOptions { k: 0, ..options }).is_err());
    }
}
