//! Microseconds to score one user against many candidates.

use std::time::Instant;

use daogou_nn::{Micro, Parameters, Rng, Workspace};
use serde::Serialize;

use super::{Sizes, network};
use crate::score::Scorer;

/// What is scored and how often.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ScoreOptions {
    /// The network.
    pub sizes: Sizes,
    /// Candidates per request.
    pub candidates: usize,
    /// Timed requests.
    pub requests: usize,
}

impl Default for ScoreOptions {
    fn default() -> Self {
        Self { sizes: Sizes::default(), candidates: 1000, requests: 2000 }
    }
}

/// How long it took, on one thread.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct ScoreResult {
    /// Median, with each item's half of the first layer computed beforehand.
    pub p50_us: f64,
    /// 99th percentile of the same.
    pub p99_us: f64,
    /// Median of the plain forward pass.
    pub plain_p50_us: f64,
    /// Largest difference of a logit between the two.
    pub largest_difference: f32,
    /// Candidates per request.
    pub candidates: usize,
}

/// Scores random requests by the precomputed and the plain path.
pub fn score(options: &ScoreOptions) -> ScoreResult {
    let sizes = &options.sizes;
    let (model, heads) = network(sizes);
    let mut parameters = Parameters::new(&model, 7);
    let mut rng = Rng::new(3, 3);
    parameters.edit(|_, tables| {
        let values = tables.iter_mut().flat_map(daogou_nn::Table::values_mut);
        values.for_each(|v| *v = rng.normal() as f32);
    });
    let tables = parameters.tables();
    let brand: Vec<u32> = (0..sizes.items).map(|_| rng.below(sizes.brands as u64) as u32).collect();
    let price: Vec<f32> = (0..sizes.items).map(|_| rng.uniform() as f32).collect();
    let item_inputs: Vec<f32> = (0..sizes.items)
        .flat_map(|i| {
            let (item, brand) = (tables[1].row(i as u32), tables[2].row(brand[i]));
            item.iter().chain(brand).copied().chain([price[i]]).collect::<Vec<_>>()
        })
        .collect();
    let mut scorer =
        Scorer::new(&model, &parameters, 32, &item_inputs).expect("this network has its layers");

    let (mut micro, mut workspace) = (Micro::new(&model), Workspace::new(&model));
    let mut times = [Vec::new(), Vec::new()];
    let mut largest = 0f32;
    let width = 2 + sizes.classes;
    let mut out = vec![0.0; options.candidates * width];
    for request in 0..options.requests + 200 {
        let user = rng.below(sizes.users as u64) as u32;
        let items: Vec<u32> =
            (0..options.candidates).map(|_| rng.below(sizes.items as u64) as u32).collect();
        let start = Instant::now();
        scorer.score(tables[0].row(user), &items, &mut out);
        let fast = start.elapsed();
        // The plain path is slower: a tenth of the requests tells enough.
        if request % 10 == 0 {
            let start = Instant::now();
            micro.clear();
            micro.rows[0] = items.len();
            micro.ids[0].resize(items.len(), user);
            micro.ids[1].extend_from_slice(&items);
            micro.ids[2].extend(items.iter().map(|&i| brand[i as usize]));
            micro.inputs[0].extend(items.iter().map(|&i| price[i as usize]));
            model.forward(&parameters, &micro, &mut workspace);
            let plain = start.elapsed();
            for row in 0..items.len() {
                let click = workspace.row(&model, heads[0], row)[0];
                let purchase = workspace.row(&model, heads[1], row)[0];
                let mix = workspace.row(&model, heads[2], row);
                let fast = &out[row * width..(row + 1) * width];
                for (a, b) in fast.iter().zip([click, purchase].iter().chain(mix)) {
                    largest = largest.max((a - b).abs());
                }
            }
            if request >= 200 {
                times[1].push(plain.as_secs_f64() * 1e6);
            }
        }
        if request >= 200 {
            times[0].push(fast.as_secs_f64() * 1e6);
        }
    }
    times.iter_mut().for_each(|t| t.sort_unstable_by(f64::total_cmp));
    let at = |t: &[f64], q: f64| t[((t.len() - 1) as f64 * q) as usize];
    ScoreResult {
        p50_us: at(&times[0], 0.5),
        p99_us: at(&times[0], 0.99),
        plain_p50_us: at(&times[1], 0.5),
        largest_difference: largest,
        candidates: options.candidates,
    }
}
