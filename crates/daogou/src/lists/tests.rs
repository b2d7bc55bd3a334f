//! Builders against brute force and against each other, on random instances.

use daogou_nn::Rng;
use proptest::prelude::*;

use super::{Candidates, Greedy, ListBuilder, Objective, Scratch, TopK};

/// Candidates and wishes that can be drawn, shuffled and borrowed.
#[derive(Clone, Debug)]
struct Instance {
    utility: Vec<f32>,
    category: Vec<u16>,
    novel: Vec<f32>,
    tie_break: Vec<u64>,
    wanted_mix: Vec<f32>,
    wanted_novelty: f64,
    lambda_diversity: f64,
    lambda_novelty: f64,
    k: usize,
}

impl Instance {
    fn candidates(&self) -> Candidates<'_> {
        Candidates {
            utility: &self.utility,
            category: &self.category,
            novel: &self.novel,
            tie_break: &self.tie_break,
        }
    }

    fn objective(&self) -> Objective<'_> {
        Objective {
            k: self.k,
            lambda_diversity: self.lambda_diversity,
            lambda_novelty: self.lambda_novelty,
            wanted_mix: &self.wanted_mix,
            wanted_novelty: self.wanted_novelty,
            smoothing: 0.01,
        }
    }

    fn build(&self, builder: &dyn ListBuilder) -> Vec<u32> {
        let mut list = vec![77];
        builder
            .build(&self.candidates(), &self.objective(), &mut Scratch::default(), &mut list)
            .unwrap();
        list
    }

    fn value(&self, set: &[u32]) -> f64 {
        self.objective().value(&self.candidates(), set)
    }

    /// The best set of K candidates, by trying all.
    fn brute_force(&self) -> Vec<u32> {
        let n = self.utility.len();
        let k = self.k.min(n);
        (0u32..1 << n)
            .filter(|bits| bits.count_ones() as usize == k)
            .map(|bits| (0..n as u32).filter(|i| bits >> i & 1 == 1).collect::<Vec<u32>>())
            .max_by(|a, b| self.value(a).total_cmp(&self.value(b)))
            .unwrap()
    }

    fn kl(&self, set: &[u32]) -> f64 {
        let one = Objective { lambda_diversity: 1.0, ..self.objective() };
        -one.breakdown(&self.candidates(), set).diversity / self.k as f64
    }

    fn shuffled(&self, seed: u64) -> Self {
        let mut order: Vec<usize> = (0..self.utility.len()).collect();
        Rng::new(seed, 0).shuffle(&mut order);
        Self {
            utility: order.iter().map(|&i| self.utility[i]).collect(),
            category: order.iter().map(|&i| self.category[i]).collect(),
            novel: order.iter().map(|&i| self.novel[i]).collect(),
            tie_break: order.iter().map(|&i| self.tie_break[i]).collect(),
            ..self.clone()
        }
    }

    fn items(&self, list: &[u32]) -> Vec<u64> {
        list.iter().map(|&i| self.tie_break[i as usize]).collect()
    }
}

/// Few levels of utility, so that ties are common; unwanted and unknown categories occur.
fn instance(n: std::ops::Range<usize>) -> impl Strategy<Value = Instance> {
    let candidate = (0u8..12, prop_oneof![4 => 0u16..4, 1 => Just(u16::MAX)], 0u8..2);
    (
        prop::collection::vec(candidate, n),
        prop::array::uniform3(0.0f32..1.0),
        0.0f64..1.0,
        prop_oneof![Just(0.0), 0.0f64..0.5],
        prop_oneof![Just(0.0), 0.0f64..2.0],
        1usize..6,
    )
        .prop_map(|(rows, mix, wanted_novelty, lambda_diversity, lambda_novelty, k)| {
            let total: f32 = mix.iter().sum::<f32>() + 1e-3;
            Instance {
                utility: rows.iter().map(|r| f32::from(r.0) / 16.0).collect(),
                category: rows.iter().map(|r| r.1).collect(),
                novel: rows.iter().map(|r| f32::from(r.2)).collect(),
                tie_break: (0..rows.len() as u64).map(|i| 1000 - 7 * i).collect(),
                wanted_mix: vec![mix[0] / total, mix[1] / total, (mix[2] + 1e-3) / total, 0.0],
                wanted_novelty,
                lambda_diversity,
                lambda_novelty,
                k,
            }
        })
}

proptest! {
    #[test]
    fn greedy_is_optimal_without_the_novelty_term(drawn in instance(0..11)) {
        let drawn = Instance { lambda_novelty: 0.0, ..drawn };
        let list = drawn.build(&Greedy);
        prop_assert_eq!(list.len(), drawn.k.min(drawn.utility.len()));
        prop_assert!((drawn.value(&list) - drawn.value(&drawn.brute_force())).abs() < 1e-9);
    }

    #[test]
    fn greedy_takes_the_largest_gain_in_every_step(drawn in instance(0..40)) {
        // The plain form: values of whole sets, no cells, no gains.
        let mut set: Vec<u32> = Vec::new();
        for _ in 0..drawn.k.min(drawn.utility.len()) {
            let value = |i: u32| drawn.value(&[&set[..], &[i]].concat());
            let best = (0..drawn.utility.len() as u32)
                .filter(|i| !set.contains(i))
                .max_by(|&a, &b| {
                    let (difference, other) = (value(a) - value(b), drawn.candidates().by_utility(b, a));
                    if difference.abs() < 1e-12 { other } else { difference.total_cmp(&0.0) }
                });
            set.extend(best);
        }
        set.sort_by(|&a, &b| drawn.candidates().by_utility(a, b));
        prop_assert_eq!(drawn.build(&Greedy), set);
    }

    #[test]
    fn fractional_novelty_that_is_binary_in_effect_gives_the_same_list(drawn in instance(1..40)) {
        // One candidate that cannot win, with a fraction of novelty, sends greedy down its general path.
        let mut general = drawn.clone();
        general.utility.push(-1e6);
        general.category.push(0);
        general.novel.push(0.5);
        general.tie_break.push(5000);
        general.k = general.k.min(drawn.utility.len());
        let cells = Instance { k: general.k, ..drawn };
        prop_assert_eq!(general.build(&Greedy), cells.build(&Greedy));
    }

    #[test]
    fn lists_do_not_depend_on_the_order_of_candidates(drawn in instance(0..60), seed in any::<u64>()) {
        let shuffled = drawn.shuffled(seed);
        let fractional = |mut i: Instance| {
            for (novel, tie) in i.novel.iter_mut().zip(&i.tie_break) {
                *novel *= (tie % 5) as f32 / 4.0;
            }
            i
        };
        for builder in [&Greedy as &dyn ListBuilder, &TopK] {
            prop_assert_eq!(
                drawn.items(&drawn.build(builder)), shuffled.items(&shuffled.build(builder))
            );
            let (a, b) = (fractional(drawn.clone()), fractional(shuffled.clone()));
            prop_assert_eq!(a.items(&a.build(builder)), b.items(&b.build(builder)));
        }
    }

    #[test]
    fn without_weights_greedy_is_top_k(drawn in instance(0..60)) {
        let drawn = Instance { lambda_diversity: 0.0, lambda_novelty: 0.0, ..drawn };
        let list = drawn.build(&TopK);
        prop_assert_eq!(drawn.build(&Greedy), list.clone());
        let mut all: Vec<u32> = (0..drawn.utility.len() as u32).collect();
        all.sort_by(|&a, &b| drawn.candidates().by_utility(a, b));
        all.truncate(drawn.k);
        prop_assert_eq!(list, all);
    }

    #[test]
    fn more_weight_on_diversity_never_raises_divergence_nor_utility(
        drawn in instance(1..11), step in 0.01f64..0.5
    ) {
        let mut before: Option<(f64, f64)> = None;
        for i in 0..4 {
            let weighed = Instance {
                lambda_diversity: f64::from(i) * step, lambda_novelty: 0.0, ..drawn.clone()
            };
            let best = weighed.brute_force();
            let utility = weighed.objective().breakdown(&weighed.candidates(), &best).utility;
            let now = (weighed.kl(&best), utility);
            if let Some((kl, utility)) = before {
                prop_assert!(now.0 <= kl + 1e-9 && now.1 <= utility + 1e-9);
            }
            before = Some(now);
        }
    }
}

#[test]
fn wishes_are_heard() {
    // Ten flagships click a little better than ten cases, but the person wants both, and something new.
    let drawn = Instance {
        utility: (0..20).map(|i| 0.2 - 0.001 * i as f32).collect(),
        category: (0..20).map(|i| u16::from(i >= 10)).collect(),
        novel: (0..20).map(|i| f32::from(u8::from(i % 5 == 4))).collect(),
        tie_break: (0..20).collect(),
        wanted_mix: vec![0.5, 0.5],
        wanted_novelty: 0.5,
        lambda_diversity: 0.1,
        lambda_novelty: 0.1,
        k: 4,
    };
    assert_eq!(drawn.build(&TopK), [0, 1, 2, 3]);
    let list = drawn.build(&Greedy);
    let count = |f: &dyn Fn(&u32) -> bool| list.iter().filter(|i| f(i)).count();
    assert_eq!(count(&|i| *i >= 10), 2);
    assert_eq!(count(&|i| *i % 5 == 4), 2);
    assert!(list.is_sorted());
}

#[test]
fn bad_input_is_refused_by_every_builder() {
    let drawn = Instance {
        utility: vec![f32::NAN],
        category: vec![0],
        novel: vec![0.0],
        tie_break: vec![0],
        wanted_mix: vec![1.0],
        wanted_novelty: 0.5,
        lambda_diversity: 0.1,
        lambda_novelty: 0.1,
        k: 4,
    };
    for builder in [&Greedy as &dyn ListBuilder, &TopK] {
        let result = builder.build(
            &drawn.candidates(),
            &drawn.objective(),
            &mut Scratch::default(),
            &mut Vec::new(),
        );
        assert!(result.is_err());
    }
}
