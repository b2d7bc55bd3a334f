//! Microseconds to score one user against many candidates.

use std::time::Instant;

use daogou_nn::frozen::{Frozen, FrozenWorkspace, GroupRows, InputOf, Keyed};
use daogou_nn::{DomainId, Micro, Parameters, Rng, Team, Workspace};
use serde::Serialize;

use super::{Sizes, network};

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

/// Candidates scored at a time.
const BLOCK: usize = 168;

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
    let brand: Vec<u32> = (0..sizes.items).map(|_| rng.below(sizes.brands as u64) as u32).collect();
    let price: Vec<f32> = (0..sizes.items).map(|_| rng.uniform() as f32).collect();
    let fill = |(user, items): (u32, &[u32]), micro: &mut Micro| {
        micro.clear();
        micro.rows[0] = items.len();
        micro.ids[0].resize(items.len(), user);
        micro.ids[1].extend_from_slice(items);
        micro.ids[2].extend(items.iter().map(|&i| brand[i as usize]));
        micro.inputs[0].extend(items.iter().map(|&i| price[i as usize]));
    };
    let (by_item, of_labels) = (InputOf::Key, InputOf::Pattern);
    let keyed = Keyed {
        domain: DomainId(0),
        sites: vec![false, true, true],
        inputs: vec![by_item, of_labels, of_labels, of_labels],
        maps: Vec::new(),
        usual: Vec::new(),
        outputs: heads.to_vec(),
    };
    let known = (&model, &parameters);
    let mut frozen = Frozen::new(&model, keyed);
    let all: Vec<u32> = (0..sizes.items as u32).collect();
    frozen.freeze(known, &all, |items, micro| fill((0, items), micro), &mut Team::new(1));
    let mut memory = FrozenWorkspace::new(&model, &frozen);
    let no_groups = |_: usize| GroupRows { of_key: &[], row_of: &[], values: &[] };

    let (mut micro, mut workspace) = (Micro::new(&model), Workspace::new(&model));
    let mut times = [Vec::new(), Vec::new()];
    let mut largest = 0f32;
    let mut out = [Vec::new(), Vec::new(), Vec::new()];
    for request in 0..options.requests + 200 {
        let user = rng.below(sizes.users as u64) as u32;
        let items: Vec<u32> =
            (0..options.candidates).map(|_| rng.below(sizes.items as u64) as u32).collect();
        let start = Instant::now();
        out.iter_mut().for_each(Vec::clear);
        fill((user, &items[..1]), memory.pattern_mut());
        frozen.begin(known, &no_groups, &mut memory);
        for items in items.chunks(BLOCK) {
            frozen.forward(known, items, &no_groups, &mut memory);
            for (head, out) in heads.iter().zip(&mut out) {
                frozen.append(&model, *head, &memory, out);
            }
        }
        let fast = start.elapsed();
        // The plain path is slower: a tenth of the requests tells enough.
        if request % 10 == 0 {
            let start = Instant::now();
            fill((user, &items), &mut micro);
            model.forward(&parameters, &micro, &mut workspace);
            let plain = start.elapsed();
            for (head, out) in heads.iter().zip(&out) {
                let cols = model.cols(*head);
                assert_eq!(out.len(), items.len() * cols, "every candidate has its logits");
                for (row, fast) in out.chunks_exact(cols).enumerate() {
                    for (a, b) in fast.iter().zip(workspace.row(&model, *head, row)) {
                        largest = largest.max((a - b).abs());
                    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn precomputed_halves_give_the_plain_logits() {
        let sizes = Sizes { users: 50, items: 300, brands: 7, classes: 9 };
        let result = score(&ScoreOptions { sizes, candidates: 210, requests: 20 });
        assert!(result.largest_difference < 1e-5, "{}", result.largest_difference);
    }
}
