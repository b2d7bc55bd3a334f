//! What all ways of balancing have in common.

use proptest::prelude::*;

use super::*;
use crate::schema::Balancing;

/// Tasks from 0 on, with constant predictors' losses of 1.
pub(super) fn seen<'a>(losses: &'a [f64], gram: &'a [f64]) -> Seen<'a> {
    static TASKS: [usize; 4] = [0, 1, 2, 3];
    seen_of(&TASKS[..if losses.is_empty() { 2 } else { losses.len() }], losses, gram)
}

/// The same for tasks of other numbers.
pub(super) fn seen_of<'a>(tasks: &'a [usize], losses: &'a [f64], gram: &'a [f64]) -> Seen<'a> {
    let n = if gram.is_empty() { 0 } else { tasks.len() };
    Seen { tasks, losses, gram: Gram::new(gram, n), constants: &[1.0; 4], step: 1 }
}

/// Products of gradients.
pub(super) fn gram_of(gradients: &[&[f64]]) -> Vec<f64> {
    let pairs = gradients.iter().flat_map(|a| gradients.iter().map(move |b| (a, b)));
    pairs.map(|(a, b)| a.iter().zip(*b).map(|(a, b)| a * b).sum()).collect()
}

/// Gradients of `tasks` tasks in `dim` dimensions, none of them almost 0.
pub(super) fn gradients(tasks: usize, dim: usize) -> impl Strategy<Value = Vec<Vec<f64>>> {
    let one = prop::collection::vec(-2.0f64..2.0, dim)
        .prop_filter("too short", |g| g.iter().map(|v| v * v).sum::<f64>() > 0.01);
    prop::collection::vec(one, tasks)
}

fn ways() -> Vec<(Balancing, Way)> {
    let of = |method| {
        let config = LossWeighting { method, stch_warmup_epochs: 0, ..LossWeighting::default() };
        (method, Way::new(&config, &[1.0; 3], 1))
    };
    Balancing::ALL.into_iter().map(of).collect()
}

#[test]
fn the_configuration_knows_which_ways_look_at_gradients() {
    for (balancing, mut way) in ways() {
        let Some(method) = way.method() else { continue };
        let looks = method.needs(1) == Needs::Gradients;
        assert_eq!(looks, balancing.compares_gradients(), "{balancing:?}");
        assert_eq!(looks, method.scope() == Scope::Shared, "{balancing:?}");
    }
}

#[test]
fn a_task_twice_gives_the_direction_of_one() {
    let g = [0.6, -1.0, 0.3];
    for (balancing, mut way) in ways() {
        let Some(method) = way.method() else { continue };
        if method.scope() == Scope::All {
            continue;
        }
        for copies in [1, 2, 3] {
            let gram = gram_of(&vec![&g[..]; copies]);
            let mut weights = [f64::NAN; 3];
            let weights = &mut weights[..copies];
            method.weigh(&seen(&[0.7; 3][..copies], &gram), weights);
            let total: f64 = weights.iter().sum();
            assert!(total > 0.0 && total.is_finite(), "{balancing:?}: {weights:?}");
        }
    }
}

/// A second copy of a task changes the direction of those methods that look for the best direction, and not for how many
/// want it, by nothing.
#[test]
fn a_copy_of_a_task_has_no_say_of_its_own() {
    let (a, b): ([f64; 3], [f64; 3]) = ([1.0, 0.2, -0.4], [-0.3, 0.8, 0.5]);
    for (balancing, _) in ways() {
        let max_min = [Balancing::Mgda, Balancing::Imtl];
        if !max_min.contains(&balancing) {
            continue;
        }
        let direction = |rows: &[&[f64]]| -> Vec<f64> {
            let config = LossWeighting { method: balancing, ..LossWeighting::default() };
            let mut way = Way::new(&config, &vec![1.0; rows.len()], 1);
            let mut weights = vec![0.0; rows.len()];
            let gram = gram_of(rows);
            way.method().unwrap().weigh(&seen(&[1.0; 3][..rows.len()], &gram), &mut weights);
            (0..3).map(|c| rows.iter().zip(&weights).map(|(row, w)| w * row[c]).sum()).collect()
        };
        let (once, twice) = (direction(&[&a, &b]), direction(&[&a, &b, &a]));
        for (x, y) in once.iter().zip(&twice) {
            assert!((x - y).abs() < 1e-6, "{balancing:?}: {once:?} {twice:?}");
        }
    }
}

proptest! {
    /// Whatever the gradients, weights are numbers, and the same ones for the same batch.
    #[test]
    fn weights_are_finite(g in gradients(3, 4), scale in prop::sample::select(vec![1e-6, 1.0, 1e4])) {
        let g: Vec<Vec<f64>> =
            g.iter().map(|row| row.iter().map(|v| v * scale).collect()).collect();
        let rows: Vec<&[f64]> = g.iter().map(Vec::as_slice).collect();
        let gram = gram_of(&rows);
        for (balancing, way) in ways() {
            let run = || {
                let mut way = way.clone();
                let mut weights = [f64::NAN; 3];
                if let Some(method) = way.method() {
                    method.weigh(&seen(&[0.9, 0.5, 0.2], &gram), &mut weights);
                    prop_assert!(weights.iter().all(|w| w.is_finite()), "{balancing:?} {weights:?}");
                    method.learn(&seen(&[0.9, 0.5, 0.2], &[]));
                    method.end_epoch();
                }
                Ok((weights.map(f64::to_bits), way))
            };
            let (first, second) = (run()?, run()?);
            prop_assert_eq!(first.0, second.0);
            // What is saved is all that counts later.
            let text = serde_json::to_string(&first.1).unwrap();
            let mut restored: Way = serde_json::from_str(&text).unwrap();
            prop_assert_eq!(serde_json::to_string(&restored).unwrap(), text);
            let mut kept = second.1;
            let next = |way: &mut Way| {
                let mut weights = [f64::NAN; 3];
                let seen = Seen { step: 2, ..seen(&[0.8, 0.6, 0.1], &gram) };
                if let Some(method) = way.method() {
                    method.weigh(&seen, &mut weights);
                }
                weights.map(f64::to_bits)
            };
            prop_assert_eq!(next(&mut restored), next(&mut kept));
        }
    }

    /// Every task falls along a direction that no two gradients contradict.
    #[test]
    fn without_conflict_every_task_gains(g in gradients(3, 4)) {
        // Gradients of positive numbers do not conflict.
        let g: Vec<Vec<f64>> =
            g.iter().map(|row| row.iter().map(|v| v.abs() + 0.05).collect()).collect();
        let rows: Vec<&[f64]> = g.iter().map(Vec::as_slice).collect();
        let values = gram_of(&rows);
        let gram = Gram::new(&values, 3);
        for method in [Balancing::PcGrad, Balancing::CaGrad, Balancing::Mgda, Balancing::NashMtl] {
            let config = LossWeighting { method, ..LossWeighting::default() };
            let mut way = Way::new(&config, &[1.0; 3], 1);
            let mut weights = [0.0; 3];
            way.method().unwrap().weigh(&seen(&[1.0; 3], &values), &mut weights);
            for k in 0..3 {
                prop_assert!(gram.along(k, &weights) > 0.0, "{method:?}");
            }
        }
    }
}
