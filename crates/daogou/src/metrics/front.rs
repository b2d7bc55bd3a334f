//! Trade-offs between objectives: which points are worth having, and how good a set of them is.
//!
//! A point is one value per objective, all to be maximised; bring losses to this form by their sign. All functions compare
//! values as they are: bring axes to a common scale first where distances or volumes are to mean something.

/// Whether `a` is at least as good as `b` in every objective and better in one.
pub fn dominates(a: &[f64], b: &[f64]) -> bool {
    let mut better = false;
    for (a, b) in a.iter().zip(b) {
        if a < b {
            return false;
        }
        better |= a > b;
    }
    better
}

/// Indices of the points that no other point dominates, in order; of equal points the first. A point with a NaN is never
/// among them. O(n² d).
pub fn non_dominated(points: &[Vec<f64>]) -> Vec<usize> {
    let known = |i: usize| points[i].iter().all(|v| !v.is_nan());
    (0..points.len())
        .filter(|&i| known(i))
        .filter(|&i| {
            (0..points.len()).filter(|&j| j != i && known(j)).all(|j| {
                let earlier_twin = j < i && points[j] == points[i];
                !earlier_twin && !dominates(&points[j], &points[i])
            })
        })
        .collect()
}

/// Volume of what the points dominate above `reference`: ∪ of the boxes from `reference` to each point. Points that are not
/// above `reference` in every objective add nothing.
///
/// Exact, by slicing along the last objective (Zitzler 1999; While et al. 2006). O(n log n) in two objectives, O(nᵈ⁻¹) in d:
/// for the handful of objectives and hundreds of points of a sweep.
pub fn hypervolume(points: &[Vec<f64>], reference: &[f64]) -> f64 {
    let mut inside: Vec<&[f64]> = points
        .iter()
        .filter(|point| point.iter().zip(reference).all(|(v, r)| v > r))
        .map(Vec::as_slice)
        .collect();
    volume(&mut inside, reference)
}

fn volume(points: &mut [&[f64]], reference: &[f64]) -> f64 {
    let Some((&floor, rest)) = reference.split_last() else { return 1.0 };
    let last = rest.len();
    if rest.is_empty() {
        return points.iter().map(|p| p[0] - floor).fold(0.0, f64::max);
    }
    points.sort_by(|a, b| b[last].total_cmp(&a[last]));
    let mut total = 0.0;
    // Between two levels of the last objective, the points above the slice cover the same volume of the others.
    for above in 1..=points.len() {
        let top = points[above - 1][last];
        let bottom = points.get(above).map_or(floor, |next| next[last]);
        if top > bottom {
            let mut slice = points[..above].to_vec();
            total += (top - bottom) * volume(&mut slice, rest);
        }
    }
    total
}

/// Inverted generational distance plus (Ishibuchi et al. 2015): mean over the points of `front` of the distance to the
/// nearest of `points`, counting only objectives in which that point is worse. 0: every point of the front is reached or
/// beaten. `None` where either set is empty. O(n m d).
pub fn igd_plus(points: &[Vec<f64>], front: &[Vec<f64>]) -> Option<f64> {
    if points.is_empty() || front.is_empty() {
        return None;
    }
    let shortfall = |wanted: &[f64], got: &[f64]| {
        let squares = wanted.iter().zip(got).map(|(w, g)| (w - g).max(0.0).powi(2));
        squares.sum::<f64>().sqrt()
    };
    let nearest = |wanted: &Vec<f64>| {
        points.iter().map(|got| shortfall(wanted, got)).fold(f64::INFINITY, f64::min)
    };
    Some(front.iter().map(nearest).sum::<f64>() / front.len() as f64)
}

/// Index of the point where giving up more of one objective stops paying in the others: after every objective is brought to
/// `[0, 1]` over the non-dominated points, the one with the largest sum. In two objectives this is the point farthest from
/// the line between the two ends (Das 1999). Ties: the first. `None` without points; objectives that do not vary count
/// nothing.
pub fn knee(points: &[Vec<f64>]) -> Option<usize> {
    let front = non_dominated(points);
    let objectives = points.first()?.len();
    let range = |objective: usize| {
        let values = || front.iter().map(|&i| points[i][objective]);
        (values().fold(f64::INFINITY, f64::min), values().fold(f64::NEG_INFINITY, f64::max))
    };
    let ranges: Vec<(f64, f64)> = (0..objectives).map(range).collect();
    let height = |i: usize| -> f64 {
        let scaled = points[i]
            .iter()
            .zip(&ranges)
            .map(|(v, (low, high))| if high > low { (v - low) / (high - low) } else { 0.0 });
        scaled.sum()
    };
    front.into_iter().reduce(|best, i| if height(i) > height(best) { i } else { best })
}

#[cfg(test)]
mod tests {
    use super::*;
    use daogou_nn::Rng;
    use proptest::prelude::*;

    fn points(objectives: usize) -> impl Strategy<Value = Vec<Vec<f64>>> {
        // Few levels, so that equal values and equal points are common.
        let value = (0u8..6).prop_map(|v| f64::from(v) / 5.0);
        prop::collection::vec(prop::collection::vec(value, objectives), 1..12)
    }

    #[test]
    fn known_fronts() {
        let points = vec![
            vec![1.0, 3.0],
            vec![2.0, 2.0],
            vec![2.0, 2.0],
            vec![3.0, 1.0],
            vec![1.0, 2.0],
            vec![f64::NAN, 9.0],
        ];
        assert_eq!(non_dominated(&points), [0, 1, 3]);
        assert_eq!(hypervolume(&points[..5], &[0.0, 0.0]), 6.0);
        assert_eq!(hypervolume(&points[..5], &[1.0, 1.0]), 1.0);
        assert_eq!(hypervolume(&[vec![1.0, 2.0, 3.0], vec![2.0, 1.0, 3.0]], &[0.0; 3]), 9.0);
        assert_eq!(hypervolume(&[], &[0.0]), 0.0);
        let front = vec![vec![1.0, 3.0], vec![3.0, 1.0]];
        assert_eq!(igd_plus(&front, &front), Some(0.0));
        assert_eq!(
            igd_plus(&[vec![3.0, 3.0]], &front),
            Some(0.0),
            "beating a front is no distance"
        );
        assert_eq!(igd_plus(&[vec![1.0, 1.0]], &front), Some(2.0));
        assert_eq!(igd_plus(&[], &front), None);
        // The corner of a bent front, not one of its ends.
        let bent = vec![vec![0.0, 1.0], vec![0.8, 0.9], vec![1.0, 0.0]];
        assert_eq!(knee(&bent), Some(1));
        assert_eq!(knee(&[]), None);
    }

    proptest! {
        #[test]
        fn a_front_dominates_all_and_nothing_of_itself(points in points(3)) {
            let front = non_dominated(&points);
            for (i, point) in points.iter().enumerate() {
                let beaten = front.iter().any(|&f| dominates(&points[f], point) || points[f] == *point);
                prop_assert!(beaten, "{i}");
            }
            for &a in &front {
                prop_assert!(front.iter().all(|&b| !dominates(&points[b], &points[a])));
            }
            prop_assert!(front.contains(&knee(&points).unwrap()));
        }

        #[test]
        fn volume_is_the_share_of_random_points_dominated(points in points(4), seed in 0u64..1000) {
            let volume = hypervolume(&points, &[0.0; 4]);
            let mut rng = Rng::new(seed, 0);
            let draws = 4000;
            let hits = (0..draws)
                .filter(|_| {
                    let at: [f64; 4] = std::array::from_fn(|_| rng.uniform());
                    points.iter().any(|p| p.iter().zip(&at).all(|(p, a)| p >= a))
                })
                .count();
            let share = hits as f64 / f64::from(draws);
            // Five standard errors.
            prop_assert!((share - volume).abs() < 5.0 * (0.25 / f64::from(draws)).sqrt(), "{share} {volume}");
        }

        #[test]
        fn a_further_point_never_takes_volume_away(points in points(3), more in prop::collection::vec(0.0f64..1.0, 3)) {
            let before = hypervolume(&points, &[0.0; 3]);
            let mut all = points.clone();
            all.push(more);
            let after = hypervolume(&all, &[0.0; 3]);
            prop_assert!(after >= before - 1e-12);
            let front: Vec<Vec<f64>> = non_dominated(&all).into_iter().map(|i| all[i].clone()).collect();
            prop_assert!((hypervolume(&front, &[0.0; 3]) - after).abs() < 1e-12, "only the front counts");
            prop_assert!(igd_plus(&all, &points).unwrap() < 1e-12);
        }
    }
}
