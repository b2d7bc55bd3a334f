//! Rules hold in every list of every builder, and are met whenever they can be.

use proptest::prelude::*;

use super::{Instance, builder, instance, lonely};
use crate::lists::exact::best_within;
use crate::lists::groups::Groups;
use crate::lists::rules::NO_VALUE;
use crate::lists::{
    Attribute, Auto, Exact, Greedy, GreedySwap, ListBuilder, Quota, Rules, Scratch, Seen, TopK,
    Window, build_under,
};

/// Attribute, value, least, most and window of a quota.
type DrawnQuota = (usize, Option<u32>, usize, Option<usize>, Option<Window>);

/// Rules that can be drawn. Values of attributes are below 4.
#[derive(Clone, Debug)]
struct Drawn {
    forbidden: Vec<bool>,
    attributes: [Vec<u32>; 2],
    quotas: Vec<DrawnQuota>,
    pins: Vec<(u32, usize)>,
}

impl Drawn {
    /// `None` where quotas contradict themselves.
    fn rules(&self) -> Option<Rules<'_>> {
        let mut rules = Rules::new(self.forbidden.len());
        let attributes =
            self.attributes.each_ref().map(|values| rules.attribute(&values[..]).unwrap());
        for &(attribute, value, min, max, window) in &self.quotas {
            let label = format!("attribute {attribute}");
            let attribute = attributes[attribute];
            rules.quota(Quota { label, attribute, value, min, max, window }).ok()?;
        }
        for (candidate, _) in self.forbidden.iter().enumerate().filter(|(_, out)| **out) {
            rules.forbid(candidate as u32);
        }
        self.pins.iter().for_each(|&(candidate, place)| rules.pin(candidate, place));
        Some(rules)
    }

    /// By the definition of each rule.
    fn hold(&self, list: &[u32]) -> bool {
        let quotas = self.quotas.iter().all(|&(attribute, value, min, max, window)| {
            let count = |part: &[u32], value: u32| {
                part.iter().filter(|&&i| self.attributes[attribute][i as usize] == value).count()
            };
            (0..4).filter(|v| value.is_none_or(|value| value == *v)).all(|v| {
                let n = count(list, v);
                n >= min
                    && max.is_none_or(|max| n <= max)
                    && window.is_none_or(|Window { max, places }| {
                        let mut parts = list.windows(places.min(list.len()));
                        parts.all(|part| count(part, v) <= max)
                    })
            })
        });
        quotas
            && list.iter().all(|&i| !self.forbidden[i as usize])
            && self.pins.iter().all(|&(candidate, place)| list.get(place) == Some(&candidate))
    }

    fn places(&self, k: usize) -> usize {
        k.min(self.forbidden.iter().filter(|out| !**out).count())
    }
}

fn rules(n: usize) -> impl Strategy<Value = Drawn> {
    let value = prop_oneof![5 => 0u32..4, 1 => Just(NO_VALUE)];
    let values = prop::collection::vec(value, n);
    let window = (1usize..3, 1usize..5).prop_map(|(max, places)| Window { max, places });
    let quota = (
        0usize..2,
        prop::option::of(0u32..4),
        prop_oneof![2 => Just(0usize), 1 => 1usize..3],
        prop::option::of(1usize..4),
        prop::option::weighted(0.3, window),
    );
    (
        prop::collection::vec(prop::bool::weighted(0.1), n),
        [values.clone(), values],
        prop::collection::vec(quota, 0..4),
        prop::collection::vec((0..n.max(1) as u32, 0usize..4), 0..2),
    )
        .prop_map(|(forbidden, attributes, mut quotas, pins)| {
            // A minimum is for one value.
            quotas.iter_mut().filter(|quota| quota.1.is_none()).for_each(|quota| quota.2 = 0);
            Drawn { forbidden, attributes, quotas, pins }
        })
}

fn ruled(n: std::ops::Range<usize>) -> impl Strategy<Value = (Instance, Drawn)> {
    instance(n).prop_flat_map(|drawn| {
        let n = drawn.utility.len();
        (Just(drawn), rules(n))
    })
}

fn build(
    drawn: &Instance,
    rules: &Rules<'_>,
    builder: &dyn ListBuilder,
) -> crate::Result<Vec<u32>> {
    let mut list = vec![77];
    let (candidates, objective) = (drawn.candidates(), drawn.objective());
    build_under(rules, builder, &candidates, &objective, &mut Scratch::default(), &mut list)?;
    Ok(list)
}

/// All lists of so many of the candidates, in every order.
fn all_lists(n: u32, places: usize) -> Vec<Vec<u32>> {
    (0..places).fold(vec![Vec::new()], |lists, _| {
        let longer = lists.iter().flat_map(|list| {
            (0..n).filter(|i| !list.contains(i)).map(|i| [&list[..], &[i]].concat())
        });
        longer.collect()
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, max_global_rejects: 10_000, ..ProptestConfig::default() })]

    #[test]
    fn every_list_of_every_builder_holds_to_the_rules((drawn, book) in ruled(1..25)) {
        let Some(rules) = book.rules() else { return Err(TestCaseError::reject("contradiction")) };
        for name in builder::names() {
            let built = build(&drawn, &rules, builder(name).unwrap());
            // Where a list is hard to find, whether it is within the tries depends on what is tried first.
            if let Ok(list) = built {
                prop_assert_eq!(list.len(), book.places(drawn.k));
                prop_assert!(book.hold(&list), "{}: {:?}", name, list);
                prop_assert_eq!(rules.broken(&list), None);
            }
        }
    }

    #[test]
    fn rules_are_met_if_some_list_meets_them((drawn, book) in ruled(1..7)) {
        let Some(rules) = book.rules() else { return Err(TestCaseError::reject("contradiction")) };
        let lists = all_lists(drawn.utility.len() as u32, book.places(drawn.k));
        let mut possible = lists.iter().filter(|list| !list.is_empty() && book.hold(list)).peekable();
        let built = build(&drawn, &rules, &Exact);
        prop_assert_eq!(built.is_ok(), possible.peek().is_some(), "{:?}", built);
        if let Ok(list) = built {
            let best = possible.map(|list| drawn.value(list)).fold(f64::NEG_INFINITY, f64::max);
            prop_assert!(drawn.value(&list) <= best + 1e-9);
        }
    }

    #[test]
    fn exact_is_the_best_of_all_sets_within_bounds_of_categories(
        (drawn, book) in ruled(1..10), by_brand in any::<bool>()
    ) {
        // Of brands, numbers of brands and categories cross unless diversity has no weight.
        let drawn = if by_brand { Instance { lambda_diversity: 0.0, ..drawn } } else { drawn };
        let of = if by_brand { book.attributes[0].clone() } else {
            let known = |&c: &u16| if c == u16::MAX { NO_VALUE } else { u32::from(c) };
            drawn.category.iter().map(known).collect()
        };
        let quotas = book.quotas.iter().map(|&(_, v, min, max, _)| (0, v, min, max, None)).collect();
        let attributes = [of, book.attributes[1].clone()];
        let book = Drawn { attributes, quotas, pins: Vec::new(), ..book };
        let Some(rules) = book.rules() else { return Err(TestCaseError::reject("contradiction")) };
        let (n, places) = (drawn.utility.len() as u32, book.places(drawn.k));
        prop_assume!(places > 0);
        let sets = (0u32..1 << n).filter(|bits| bits.count_ones() as usize == places).map(|bits| {
            (0..n).filter(|i| bits >> i & 1 == 1).collect::<Vec<u32>>()
        });
        let best = sets.filter(|set| book.hold(set)).map(|set| drawn.value(&set)).reduce(f64::max);
        // The table by itself, also where the builder's own list would do.
        let (candidates, objective) = (drawn.candidates(), drawn.objective());
        let mut list = Vec::new();
        match Groups::of(&rules, &candidates, &objective, places) {
            None => prop_assert!(book.quotas.is_empty() || best.is_none()),
            Some(groups) => {
                let mut scratch = Scratch::default();
                let found =
                    best_within(&groups, &candidates, &objective, places, &mut scratch, &mut list);
                prop_assert_eq!(found, best.is_some());
                prop_assert!(!found || book.hold(&list));
                prop_assert!(!found || (drawn.value(&list) - best.unwrap()).abs() < 1e-9);
            }
        }
        for builder in [&Exact as &dyn ListBuilder, &Auto] {
            match (build(&drawn, &rules, builder), best) {
                (Ok(list), Some(best)) => {
                    prop_assert!((drawn.value(&list) - best).abs() < 1e-9, "{list:?}");
                    prop_assert!(list.is_sorted_by(|&a, &b| drawn.candidates().by_utility(a, b).is_le()));
                }
                (Ok(list), None) => prop_assert!(false, "no list holds, got {list:?}"),
                (Err(error), best) => prop_assert!(best.is_none(), "{error}"),
            }
        }
    }

    #[test]
    fn exact_is_the_best_under_windows_where_the_best_numbers_can_be_put_in_order(
        (drawn, book) in ruled(1..8)
    ) {
        let known = |&c: &u16| if c == u16::MAX { NO_VALUE } else { u32::from(c) };
        let of = drawn.category.iter().map(known).collect();
        let quotas = book.quotas.iter().map(|&(_, v, min, max, window)| (0, v, min, max, window));
        let attributes = [of, book.attributes[1].clone()];
        let book = Drawn { quotas: quotas.collect(), attributes, pins: Vec::new(), ..book };
        let Some(rules) = book.rules() else { return Err(TestCaseError::reject("contradiction")) };
        let (n, places) = (drawn.utility.len() as u32, book.places(drawn.k));
        prop_assume!(places > 0);
        let lists = all_lists(n, places);
        let allowed = |list: &&Vec<u32>| list.iter().all(|&i| !rules.is_forbidden(i));
        let within = lists.iter().filter(allowed).filter(|list| rules.numbers_hold(list));
        let most = within.map(|list| drawn.value(list)).reduce(f64::max);
        let near = |list: &&Vec<u32>| most.is_some_and(|most| drawn.value(list) > most - 1e-9);
        let mut best: Vec<Vec<u32>> =
            lists.iter().filter(allowed).filter(|l| rules.numbers_hold(l)).filter(near).cloned().collect();
        let ordered = best.iter().any(|list| book.hold(list));
        best.iter_mut().for_each(|list| list.sort_unstable());
        best.sort();
        best.dedup();
        prop_assume!(ordered && best.len() == 1);
        let list = build(&drawn, &rules, &Exact).unwrap();
        prop_assert!(book.hold(&list));
        prop_assert!(drawn.value(&list) > most.unwrap() - 1e-9, "{list:?}, best {best:?}");
    }

    #[test]
    fn a_list_that_can_be_put_in_order_keeps_its_items((drawn, book) in ruled(1..7)) {
        let book = Drawn { forbidden: vec![false; drawn.utility.len()], ..book };
        let Some(rules) = book.rules() else { return Err(TestCaseError::reject("contradiction")) };
        let mut free = drawn.build(&Exact);
        free.sort_unstable();
        let lists = all_lists(drawn.utility.len() as u32, book.places(drawn.k));
        let ordered = lists.iter().any(|list| {
            let mut items = list.clone();
            items.sort_unstable();
            items == free && book.hold(list)
        });
        prop_assume!(ordered);
        let mut list = build(&drawn, &rules, &Exact).unwrap();
        list.sort_unstable();
        prop_assert_eq!(list, free);
    }

    #[test]
    fn exchanges_leave_nothing_that_one_more_would_improve((drawn, book) in ruled(1..12)) {
        let Some(rules) = book.rules() else { return Err(TestCaseError::reject("contradiction")) };
        if let Ok(list) = build(&drawn, &rules, &GreedySwap) {
            let value = drawn.value(&list);
            for place in 0..list.len() {
                for entering in (0..drawn.utility.len() as u32).filter(|i| !list.contains(i)) {
                    let mut other = list.clone();
                    other[place] = entering;
                    prop_assert!(!book.hold(&other) || drawn.value(&other) <= value + 1e-9);
                }
            }
        }
    }
}

fn phone(
    attribute: Attribute,
    value: Option<u32>,
    min: usize,
    max: Option<usize>,
    window: Option<Window>,
) -> Quota {
    Quota { label: "category phone".into(), attribute, value, min, max, window }
}

#[test]
fn rules_do_what_they_are_for() {
    let drawn = Instance {
        utility: (0..12).map(|i| 1.0 - 0.05 * i as f32).collect(),
        category: (0..12).map(|i| i / 4).collect(),
        novel: (0..12).map(|i| f32::from(u8::from(i % 2 == 1))).collect(),
        tie_break: (0..12).collect(),
        k: 5,
        ..lonely()
    };
    let category: Vec<u32> = drawn.category.iter().map(|&c| u32::from(c)).collect();
    let rules_with = |add: &dyn Fn(&mut Rules<'_>)| {
        let mut rules = Rules::new(12);
        add(&mut rules);
        build(&drawn, &rules, &TopK).unwrap()
    };
    assert_eq!(rules_with(&|_| ()), [0, 1, 2, 3, 4]);
    assert_eq!(rules_with(&|rules| rules.forbid(1)), [0, 2, 3, 4, 5]);
    assert_eq!(rules_with(&|rules| rules.pin(9, 1)), [0, 9, 1, 2, 3]);
    let prices: Vec<f32> =
        (0..12).map(|i| if i == 3 { f32::NAN } else { i as f32 * 100.0 }).collect();
    let banded = rules_with(&|rules| rules.price_band(&prices, 100.0..=700.0).unwrap());
    assert_eq!(banded, [1, 2, 4, 5, 6]);
    let unseen = rules_with(&|rules| rules.seen(&drawn.novel, Seen::Exclude).unwrap());
    assert_eq!(unseen, [1, 3, 5, 7, 9]);
    let few_seen = rules_with(&|rules| rules.seen(&drawn.novel, Seen::AtMost(1)).unwrap());
    assert_eq!(few_seen, [0, 1, 3, 5, 7]);
    let spaced = rules_with(&|rules| {
        let attribute = rules.attribute(category.clone()).unwrap();
        rules.spacing("category", attribute, 2).unwrap();
    });
    // Three of a kind and one other cannot be more than two in a row; the order is the closest to falling utility.
    assert_eq!(spaced, [0, 1, 4, 2, 3]);
    let loose = rules_with(&|rules| {
        let category = rules.attribute(category.clone()).unwrap();
        rules.spacing("category", category, usize::MAX).unwrap();
        let window = Some(Window { max: usize::MAX, places: 2 });
        rules.quota(phone(category, None, 0, Some(usize::MAX), window)).unwrap();
    });
    assert_eq!(loose, [0, 1, 2, 3, 4], "numbers beyond any list limit nothing");
    let mixed = rules_with(&|rules| {
        let category = rules.attribute(category.clone()).unwrap();
        rules.quota(phone(category, Some(0), 0, Some(2), None)).unwrap();
        rules.quota(phone(category, Some(2), 1, None, None)).unwrap();
    });
    assert_eq!(mixed, [0, 1, 4, 5, 8]);
}

#[test]
fn what_cannot_be_met_is_named_with_numbers() {
    let drawn = Instance {
        utility: vec![0.5; 6],
        category: vec![0; 6],
        novel: vec![1.0; 6],
        tie_break: (0..6).collect(),
        k: 4,
        ..lonely()
    };
    let (phones, sellers) = (vec![7, 7, 1, 1, 1, 1], vec![1, 1, 1, 1, 2, 2]);
    let refusal = |add: &dyn Fn(&mut Rules<'_>, Attribute) -> crate::Result<()>| {
        let mut rules = Rules::new(6);
        let category = rules.attribute(phones.clone()).unwrap();
        let refused =
            add(&mut rules, category).and_then(|()| build(&drawn, &rules, &Greedy).map(|_| ()));
        refused.unwrap_err().to_string()
    };
    for (message, part) in [
        (
            refusal(&|rules, category| rules.quota(phone(category, Some(7), 3, None, None))),
            "rule `category phone` (at least 3): cannot be met, 2 such candidates and 4 places allow 2",
        ),
        (
            refusal(&|rules, category| {
                rules.quota(phone(category, Some(7), 2, None, None))?;
                rules.quota(phone(category, Some(1), 3, None, None))
            }),
            "with other minima it asks for 5 of 4 places",
        ),
        (
            refusal(&|rules, category| rules.quota(phone(category, None, 0, Some(1), None))),
            "rules `category phone` (at most 1): 4 places to fill, but the candidates that they allow fill 2",
        ),
        (
            refusal(&|rules, category| rules.quota(phone(category, Some(7), 3, Some(2), None))),
            "expected a minimum that is no larger than the maximum",
        ),
        (
            refusal(&|rules, category| {
                rules.quota(phone(category, None, 0, None, Some(Window { max: 1, places: 0 })))
            }),
            "expected a window of at least 1 place",
        ),
        (
            refusal(&|rules, category| rules.quota(phone(category, None, 1, None, None))),
            "for one value, not for each",
        ),
        (
            refusal(&|rules, _| {
                (0..6).for_each(|i| rules.forbid(i));
                Ok(())
            }),
            "rules: all 6 candidates are excluded: 6 by exclusions",
        ),
        (
            refusal(&|rules, _| {
                rules.forbid(3);
                rules.pin(3, 0);
                Ok(())
            }),
            "pin of candidate 3 at place 1: another rule excludes it",
        ),
        (
            refusal(&|rules, _| {
                rules.pin(3, 4);
                Ok(())
            }),
            "pin of candidate 3 at place 5: the list has 4 places",
        ),
        (
            refusal(&|rules, _| {
                rules.pin(6, 0);
                Ok(())
            }),
            "expected a candidate below 6",
        ),
        (
            refusal(&|rules, category| {
                rules.pin(0, 0);
                rules.pin(1, 1);
                rules.quota(phone(category, Some(7), 0, None, Some(Window { max: 1, places: 2 })))
            }),
            "rule `category phone` (at most 1 in 2 places): the pins break it",
        ),
        (
            refusal(&|rules, category| {
                rules.pin(2, 0);
                rules.pin(3, 1);
                rules.pin(4, 2);
                rules.quota(phone(category, Some(7), 2, None, None))
            }),
            "rule `category phone` (at least 2): the pins leave too few places for it",
        ),
        (
            // Two phones, two items of the other seller and a third kind of item in four places.
            refusal(&|rules, category| {
                rules.quota(phone(category, Some(7), 2, None, None))?;
                let seller = rules.attribute(sellers.clone())?;
                let label = "seller 2".into();
                rules.quota(Quota { label, ..phone(seller, Some(2), 2, None, None) })?;
                rules.pin(2, 0);
                Ok(())
            }),
            "rules: no list of 4 that holds to all of them was found; at best 3 places are filled; rule `",
        ),
        (
            refusal(&|rules, _| rules.seen(&[1.0], Seen::Exclude)),
            "expected one per candidate, 6, got 1",
        ),
    ] {
        assert!(message.contains(part), "{message}");
    }
}
