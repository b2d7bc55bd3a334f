//! Builders against brute force and against each other, on random instances.

mod rules;

use daogou_nn::Rng;
use proptest::prelude::*;

use super::{
    Auto, Candidates, Dpp, Exact, Greedy, GreedySwap, ListBuilder, Mmr, Objective, RandomSwap,
    Scratch, TopK, Vectors, Xquad, builder, novelty_frontier,
};

/// Numbers per item vector.
const WIDTH: usize = 11;

/// Candidates and wishes that can be drawn, shuffled and borrowed.
#[derive(Clone, Debug)]
struct Instance {
    utility: Vec<f32>,
    category: Vec<u16>,
    novel: Vec<f32>,
    tie_break: Vec<u64>,
    /// Empty: the items have none.
    vectors: Vec<f32>,
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
            vectors: self.vectors(),
        }
    }

    fn vectors(&self) -> Vectors<'_> {
        let width = if self.vectors.is_empty() { 0 } else { WIDTH };
        Vectors { values: &self.vectors, width }
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

    /// All sets of K candidates.
    fn sets(&self) -> impl Iterator<Item = Vec<u32>> {
        let n = self.utility.len();
        let k = self.k.min(n);
        (0u32..1 << n)
            .filter(move |bits| bits.count_ones() as usize == k)
            .map(move |bits| (0..n as u32).filter(|i| bits >> i & 1 == 1).collect::<Vec<u32>>())
    }

    /// The best set of K candidates, by trying all.
    fn brute_force(&self) -> Vec<u32> {
        self.sets().max_by(|a, b| self.value(a).total_cmp(&self.value(b))).unwrap()
    }

    /// Novelty in quarters instead of 0 and 1.
    fn fractional(mut self) -> Self {
        for (novel, tie) in self.novel.iter_mut().zip(&self.tie_break) {
            *novel *= (tie % 5) as f32 / 4.0;
        }
        self
    }

    /// Utilities of which no two are equal.
    fn without_ties(mut self, seed: u64) -> Self {
        let mut rng = Rng::new(seed, 1);
        self.utility.iter_mut().for_each(|u| *u = rng.uniform() as f32);
        self
    }

    /// `r` in f64.
    fn relevance(&self) -> Vec<f64> {
        let all = || self.utility.iter().map(|&u| f64::from(u));
        let (low, high) = (all().fold(f64::MAX, f64::min), all().fold(f64::MIN, f64::max));
        all().map(|u| if high > low { (u - low) / (high - low) } else { 1.0 }).collect()
    }

    /// Cosine, or equality of categories, in f64.
    fn similarity(&self, a: u32, b: u32) -> f64 {
        if self.vectors.is_empty() {
            let (a, b) = (self.category[a as usize], self.category[b as usize]);
            return f64::from(u8::from(a == b && a != u16::MAX));
        }
        let vector = |i: u32| &self.vectors[i as usize * WIDTH..][..WIDTH];
        let dot = |a: u32, b: u32| -> f64 {
            vector(a).iter().zip(vector(b)).map(|(x, y)| f64::from(*x) * f64::from(*y)).sum()
        };
        dot(a, b) / (dot(a, a) * dot(b, b)).sqrt()
    }

    /// A list that is built by the largest `score(set, candidate)` in every step, by utility at the end; `None` where a
    /// choice is too close to be sure of, since builders compute in `f32`.
    fn step_by_step(&self, score: impl Fn(&[u32], u32) -> f64) -> Option<Vec<u32>> {
        let mut set: Vec<u32> = Vec::new();
        for _ in 0..self.k.min(self.utility.len()) {
            let mut scores: Vec<(f64, u32)> = (0..self.utility.len() as u32)
                .filter(|i| !set.contains(i))
                .map(|i| (score(&set, i), i))
                .collect();
            scores.sort_by(|a, b| b.0.total_cmp(&a.0));
            if scores.len() > 1 && scores[0].0 - scores[1].0 < 1e-4 {
                return None;
            }
            set.push(scores[0].1);
        }
        set.sort_by(|&a, &b| self.candidates().by_utility(a, b));
        Some(set)
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
            vectors: match self.vectors[..] {
                [] => Vec::new(),
                _ => order
                    .iter()
                    .flat_map(|&i| &self.vectors[i * WIDTH..][..WIDTH])
                    .copied()
                    .collect(),
            },
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
        prop_oneof![Just(None), any::<u64>().prop_map(Some)],
    )
        .prop_map(
            |(rows, mix, wanted_novelty, lambda_diversity, lambda_novelty, k, vectors)| {
                let total: f32 = mix.iter().sum::<f32>() + 1e-3;
                Instance {
                    utility: rows.iter().map(|r| f32::from(r.0) / 16.0).collect(),
                    category: rows.iter().map(|r| r.1).collect(),
                    novel: rows.iter().map(|r| f32::from(r.2)).collect(),
                    tie_break: (0..rows.len() as u64).map(|i| 1000 - 7 * i).collect(),
                    vectors: vectors.map_or(Vec::new(), |seed| {
                        let mut rng = Rng::new(seed, 0);
                        (0..rows.len() * WIDTH).map(|_| rng.normal() as f32).collect()
                    }),
                    wanted_mix: vec![mix[0] / total, mix[1] / total, (mix[2] + 1e-3) / total, 0.0],
                    wanted_novelty,
                    lambda_diversity,
                    lambda_novelty,
                    k,
                }
            },
        )
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
    fn greedy_swap_is_never_worse_than_greedy_and_no_exchange_improves_it(
        drawn in instance(0..30), fractional in any::<bool>()
    ) {
        let drawn = if fractional { drawn.fractional() } else { drawn };
        let list = drawn.build(&GreedySwap);
        let value = drawn.value(&list);
        prop_assert!(value >= drawn.value(&drawn.build(&Greedy)) - 1e-9);
        for place in 0..list.len() {
            for entering in (0..drawn.utility.len() as u32).filter(|i| !list.contains(i)) {
                let mut other = list.clone();
                other[place] = entering;
                prop_assert!(drawn.value(&other) <= value + 1e-9);
            }
        }
    }

    #[test]
    fn no_builder_beats_exact_on_its_objective(drawn in instance(0..60)) {
        let best = drawn.value(&drawn.build(&Exact));
        for name in builder::names() {
            let list = drawn.build(builder(name).unwrap());
            let mut distinct = list.clone();
            distinct.sort_unstable();
            distinct.dedup();
            prop_assert_eq!(distinct.len(), drawn.k.min(drawn.utility.len()), "{}", name);
            prop_assert!(list.is_sorted_by(|&a, &b| drawn.candidates().by_utility(a, b).is_le()));
            prop_assert!(drawn.value(&list) <= best + 1e-9, "{}", name);
        }
    }

    #[test]
    fn auto_is_exact_or_else_greedy_swap(drawn in instance(0..40)) {
        prop_assert_eq!(drawn.build(&Auto), drawn.build(&Exact));
        let long = Instance { k: 33, ..drawn.clone() };
        prop_assert!(long.utility.len() <= 30 || long.build(&Auto) == long.build(&GreedySwap));
        let drawn = drawn.fractional();
        prop_assert_eq!(drawn.build(&Auto), drawn.build(&GreedySwap));
    }

    #[test]
    fn mmr_is_its_definition(drawn in instance(1..25), seed in any::<u64>(), weight in 0.1f64..1.0) {
        let drawn = drawn.without_ties(seed);
        let r = drawn.relevance();
        let expected = drawn.step_by_step(|set, i| {
            let closest = set.iter().map(|&j| drawn.similarity(i, j)).reduce(f64::max);
            weight * r[i as usize] - (1.0 - weight) * closest.unwrap_or(0.0)
        });
        prop_assume!(expected.is_some());
        prop_assert_eq!(drawn.build(&Mmr { relevance: weight }), expected.unwrap());
    }

    #[test]
    fn dpp_is_greedy_on_the_log_determinant(
        drawn in instance(1..25), seed in any::<u64>(), alpha in 0.1f64..0.9
    ) {
        prop_assume!(!drawn.vectors.is_empty());
        let drawn = drawn.without_ties(seed);
        let r = drawn.relevance();
        let theta = alpha / (2.0 * (1.0 - alpha));
        let expected = drawn.step_by_step(|set, i| {
            let set = [set, &[i]].concat();
            let kernel = |a: usize, b: usize| drawn.similarity(set[a], set[b]);
            let quality: f64 = set.iter().map(|&i| r[i as usize]).sum();
            2.0 * theta * quality + determinant(set.len(), kernel).ln()
        });
        prop_assume!(expected.is_some());
        prop_assert_eq!(drawn.build(&Dpp { relevance: alpha }), expected.unwrap());
    }

    #[test]
    fn xquad_is_its_definition(drawn in instance(1..25), seed in any::<u64>(), weight in 0.0f64..0.9) {
        let drawn = drawn.without_ties(seed);
        let r = drawn.relevance();
        let expected = drawn.step_by_step(|set, i| {
            let category = drawn.category[i as usize];
            let same = set.iter().filter(|&&j| drawn.category[j as usize] == category);
            let unserved: f64 = same.map(|&j| 1.0 - r[j as usize]).product();
            let wish = drawn.objective().wanted(category) * unserved;
            weight * r[i as usize] + (1.0 - weight) * wish * r[i as usize]
        });
        prop_assume!(expected.is_some());
        prop_assert_eq!(drawn.build(&Xquad { relevance: weight }), expected.unwrap());
    }

    #[test]
    fn random_swap_changes_as_many_places_as_asked(drawn in instance(20..40), seed in any::<u64>()) {
        let top = drawn.build(&TopK);
        prop_assert_eq!(&drawn.build(&RandomSwap { rate: 0.0, seed }), &top);
        let list = drawn.build(&RandomSwap { rate: 1.0, seed });
        prop_assert_eq!(&list, &drawn.build(&RandomSwap { rate: 1.0, seed }));
        // A place may get back what an earlier one lost, but the first draw cannot.
        prop_assert!(drawn.k > 1 || list != top);
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
        general.vectors.clear();
        general.k = general.k.min(drawn.utility.len());
        let cells = Instance { k: general.k, ..drawn };
        prop_assert_eq!(general.build(&Greedy), cells.build(&Greedy));
    }

    #[test]
    fn lists_do_not_depend_on_the_order_of_candidates(drawn in instance(0..60), seed in any::<u64>()) {
        let shuffled = drawn.shuffled(seed);
        for name in builder::names() {
            let builder = builder(name).unwrap();
            prop_assert_eq!(
                drawn.items(&drawn.build(builder)), shuffled.items(&shuffled.build(builder)),
                "{}", name
            );
            if name != "exact" {
                let (a, b) = (drawn.clone().fractional(), shuffled.clone().fractional());
                prop_assert_eq!(a.items(&a.build(builder)), b.items(&b.build(builder)), "{}", name);
            }
        }
    }

    #[test]
    fn without_weights_every_builder_is_top_k(drawn in instance(0..60)) {
        let drawn = Instance { lambda_diversity: 0.0, lambda_novelty: 0.0, ..drawn };
        let list = drawn.build(&TopK);
        for name in ["auto", "exact", "greedy", "greedy_swap"] {
            prop_assert_eq!(drawn.build(builder(name).unwrap()), list.clone());
        }
        for relevance in [&Mmr { relevance: 1.0 } as &dyn ListBuilder, &Xquad { relevance: 1.0 }] {
            prop_assert_eq!(drawn.build(relevance), list.clone());
        }
        let mut all: Vec<u32> = (0..drawn.utility.len() as u32).collect();
        all.sort_by(|&a, &b| drawn.candidates().by_utility(a, b));
        all.truncate(drawn.k);
        prop_assert_eq!(list, all);
    }

    #[test]
    fn more_weight_on_diversity_never_raises_divergence_nor_utility(
        drawn in instance(1..60), step in 0.01f64..0.5
    ) {
        let mut before: Option<(f64, f64)> = None;
        for i in 0..4 {
            let weighed = Instance {
                lambda_diversity: f64::from(i) * step, lambda_novelty: 0.0, ..drawn.clone()
            };
            let best = weighed.build(&Exact);
            let utility = weighed.objective().breakdown(&weighed.candidates(), &best).utility;
            let now = (weighed.kl(&best), utility);
            if let Some((kl, utility)) = before {
                prop_assert!(now.0 <= kl + 1e-9 && now.1 <= utility + 1e-9);
            }
            before = Some(now);
        }
    }

    #[test]
    fn more_weight_on_novelty_never_lowers_it(drawn in instance(1..60), step in 0.01f64..0.5) {
        let mut before = f64::INFINITY;
        for i in 0..4 {
            let weighed = Instance { lambda_novelty: f64::from(i) * step, ..drawn.clone() };
            let one = Objective { lambda_novelty: 1.0, ..weighed.objective() };
            let shortfall = -one.breakdown(&weighed.candidates(), &weighed.build(&Exact)).novelty;
            prop_assert!(shortfall <= before + 1e-9);
            before = shortfall;
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn exact_is_the_best_of_all_sets(drawn in instance(0..11)) {
        let list = drawn.build(&Exact);
        prop_assert_eq!(list.len(), drawn.k.min(drawn.utility.len()));
        prop_assert!((drawn.value(&list) - drawn.value(&drawn.brute_force())).abs() < 1e-9);
    }

    #[test]
    fn the_frontier_has_the_best_set_for_every_number_of_novel_items(drawn in instance(0..10)) {
        let rest = Instance { lambda_novelty: 0.0, ..drawn.clone() };
        let novel = |set: &[u32]| set.iter().filter(|&&i| drawn.novel[i as usize] > 0.0).count();
        let frontier =
            novelty_frontier(&drawn.candidates(), &drawn.objective(), &mut Scratch::default());
        let mut points = frontier.unwrap().into_iter();
        for v in 0..=drawn.k {
            let values = rest.sets().filter(|set| novel(set) == v).map(|set| rest.value(&set));
            if let Some(best) = values.reduce(f64::max) {
                let point = points.next().unwrap();
                prop_assert_eq!((point.novel, novel(&point.list)), (v, v));
                prop_assert_eq!(point.list.len(), drawn.k.min(drawn.utility.len()));
                prop_assert!((point.value - best).abs() < 1e-9);
            }
        }
        prop_assert!(points.next().is_none());
    }
}

/// By elimination; the matrix is symmetric and not singular.
fn determinant(n: usize, entry: impl Fn(usize, usize) -> f64) -> f64 {
    let mut rows: Vec<Vec<f64>> = (0..n).map(|i| (0..n).map(|j| entry(i, j)).collect()).collect();
    let mut product = 1.0;
    for pivot in 0..n {
        product *= rows[pivot][pivot];
        for row in pivot + 1..n {
            let factor = rows[row][pivot] / rows[pivot][pivot];
            for column in pivot..n {
                rows[row][column] -= factor * rows[pivot][column];
            }
        }
    }
    product
}

#[test]
fn wishes_are_heard() {
    // Ten flagships click a little better than ten cases, but the person wants both, and something new.
    let drawn = Instance {
        utility: (0..20).map(|i| 0.2 - 0.001 * i as f32).collect(),
        category: (0..20).map(|i| u16::from(i >= 10)).collect(),
        novel: (0..20).map(|i| f32::from(u8::from(i % 5 == 4))).collect(),
        tie_break: (0..20).collect(),
        vectors: Vec::new(),
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

/// One candidate, one category.
fn lonely() -> Instance {
    Instance {
        utility: vec![0.5],
        category: vec![0],
        novel: vec![0.0],
        tie_break: vec![0],
        vectors: Vec::new(),
        wanted_mix: vec![1.0],
        wanted_novelty: 0.5,
        lambda_diversity: 0.1,
        lambda_novelty: 0.1,
        k: 4,
    }
}

/// What a builder says about an instance that it refuses.
fn refusal(builder: &dyn ListBuilder, drawn: &Instance) -> String {
    let mut list = Vec::new();
    let (candidates, objective) = (drawn.candidates(), drawn.objective());
    let built = builder.build(&candidates, &objective, &mut Scratch::default(), &mut list);
    built.unwrap_err().to_string()
}

#[test]
fn bad_input_is_refused_by_every_builder() {
    let undefined = Instance { utility: vec![f32::NAN], ..lonely() };
    let negative = Instance { lambda_novelty: -1.0, ..lonely() };
    let no_list = Instance { k: 0, ..lonely() };
    let half_a_vector = Instance { vectors: vec![1.0; WIDTH - 1], ..lonely() };
    for name in builder::names() {
        let builder = builder(name).unwrap();
        assert_eq!(lonely().build(builder), [0]);
        for (drawn, part) in [
            (&undefined, "utility of candidate 0: expected a finite number, got NaN"),
            (&negative, "weight of novelty: expected a finite number of at least 0, got -1"),
            (&no_list, "expected at least 1, got 0"),
            (&half_a_vector, "expected 1 times 11 numbers, got 10"),
        ] {
            let message = refusal(builder, drawn);
            assert!(message.contains(part), "{name}: {message}");
        }
    }
}

#[test]
fn builders_refuse_what_they_cannot_do() {
    let half = Instance { novel: vec![0.5], ..lonely() };
    assert!(
        refusal(&Exact, &half).contains("novelty of candidate 0: `exact` expects 0 or 1, got 0.5")
    );
    for value in [f32::NAN, f32::INFINITY, 1e30, 1e-30] {
        let mut vectors = vec![0.0; WIDTH];
        vectors[3] = value;
        let drawn = Instance { vectors, ..lonely() };
        for builder in [&Mmr::DEFAULT as &dyn ListBuilder, &Dpp::DEFAULT] {
            assert!(refusal(builder, &drawn).contains("vector of candidate 0"), "{value}");
        }
    }
    for (builder, name) in [
        (&Mmr { relevance: 1.5 } as &dyn ListBuilder, "mmr"),
        (&Dpp { relevance: 1.0 }, "dpp"),
        (&Xquad { relevance: f64::NAN }, "xquad"),
        (&RandomSwap { rate: -0.1, seed: 0 }, "random_swap"),
    ] {
        assert!(refusal(builder, &lonely()).contains(name));
    }
}

#[test]
fn dpp_fills_the_list_when_vectors_have_nothing_left_to_tell() {
    // Ten items in two directions, and one like nothing.
    let drawn = Instance {
        utility: (0..10).map(|i| 1.0 - 0.01 * i as f32).collect(),
        category: vec![0; 10],
        novel: vec![0.0; 10],
        tie_break: (0..10).collect(),
        vectors: (0..10)
            .flat_map(|i| {
                let mut vector = [0.0; WIDTH];
                if i < 9 {
                    vector[usize::from(i > 4)] = 1.0 + i as f32;
                }
                vector
            })
            .collect(),
        k: 5,
        ..lonely()
    };
    assert_eq!(drawn.build(&Dpp::DEFAULT), [0, 1, 2, 5, 9]);
}
