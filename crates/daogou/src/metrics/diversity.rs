//! How varied a list is, alone and against the mix a person wants.
//!
//! A list is the category numbers of its items; [`UNKNOWN`] marks an item without one. Lists are short: everything
//! here is O(K²) without allocation rather than O(K) with.

/// The category of an item whose category is unknown.
pub const UNKNOWN: u16 = u16::MAX;

/// Counts of the categories in a list, each category once, unknown ones left out.
fn counts(list: &[u16]) -> impl Iterator<Item = (u16, usize)> {
    list.iter()
        .enumerate()
        .filter(|(i, c)| **c != UNKNOWN && !list[..*i].contains(c))
        .map(|(i, &c)| (c, list[i..].iter().filter(|x| **x == c).count()))
}

/// Entropy of a list's categories, `−Σ q_c ln q_c`, nats. `None` if no item has a category.
pub fn category_entropy(list: &[u16]) -> Option<f64> {
    let known = list.iter().filter(|c| **c != UNKNOWN).count() as f64;
    let shares = counts(list).map(|(_, n)| n as f64 / known);
    (known > 0.0).then(|| super::distribution::entropy(shares))
}

/// [`category_entropy`] over `ln C`: 1 when all `C` categories are equally frequent. `None` with fewer than 2.
pub fn category_entropy_normalised(list: &[u16], n_categories: usize) -> Option<f64> {
    if n_categories < 2 {
        return None;
    }
    category_entropy(list).map(|h| h / (n_categories as f64).ln())
}

/// Distinct categories in the list over the most there could be, `min(K, C)`.
pub fn category_coverage(list: &[u16], n_categories: usize) -> Option<f64> {
    let possible = list.len().min(n_categories);
    (possible > 0).then(|| counts(list).count() as f64 / possible as f64)
}

/// Mean of a distance over the pairs of a list: intra-list distance. `distance` gives `None` for pairs it cannot
/// judge; they are left out. `None` if no pair is left.
pub fn intra_list_distance(
    n: usize,
    mut distance: impl FnMut(usize, usize) -> Option<f64>,
) -> Option<f64> {
    let (mut sum, mut pairs) = (0.0, 0u32);
    for i in 0..n {
        for j in i + 1..n {
            if let Some(d) = distance(i, j) {
                sum += d;
                pairs += 1;
            }
        }
    }
    (pairs > 0).then(|| sum / f64::from(pairs))
}

/// Share of pairs whose categories differ; pairs with an unknown category are left out.
pub fn ild_category(list: &[u16]) -> Option<f64> {
    intra_list_distance(list.len(), |i, j| {
        (list[i] != UNKNOWN && list[j] != UNKNOWN).then(|| f64::from(u8::from(list[i] != list[j])))
    })
}

/// Mean of `1 − cosine` over pairs of item vectors, `vector(i)` being that of the i-th item; pairs with a zero vector
/// are left out. O(K² dim).
pub fn ild_cosine<'a>(n: usize, vector: impl Fn(usize) -> &'a [f32]) -> Option<f64> {
    let dot = |a: &[f32], b: &[f32]| -> f64 {
        a.iter().zip(b).map(|(x, y)| f64::from(*x) * f64::from(*y)).sum()
    };
    intra_list_distance(n, |i, j| {
        let (a, b) = (vector(i), vector(j));
        let norms = (dot(a, a) * dot(b, b)).sqrt();
        (norms > 0.0).then(|| 1.0 - dot(a, b) / norms)
    })
}

/// One category's part of the calibration divergence: `p ln(p / q̃)` with `q̃ = (1 − α) n/K + α p` (Steck 2018).
#[inline]
pub fn divergence_term(wanted: f64, n: f64, slots: f64, smoothing: f64) -> f64 {
    if wanted > 0.0 {
        wanted * (wanted / ((1.0 - smoothing) * n / slots + smoothing * wanted)).ln()
    } else {
        0.0
    }
}

/// `KL(p* ‖ q̃)`, nats: how far a list's category mix is from the wanted one.
///
/// `q̃ = (1 − α) q + α p*` keeps it finite when a wanted category is absent; `q` counts over `slots`, the length the
/// list should have. Items of unknown category, and empty slots, serve no wish. 0 only if the mixes are equal.
pub fn kl_to_wanted(list: &[u16], wanted: &[f32], slots: usize, smoothing: f64) -> f64 {
    let sum: f64 = wanted
        .iter()
        .enumerate()
        .map(|(category, &p)| {
            let n = list.iter().filter(|c| usize::from(**c) == category).count();
            divergence_term(f64::from(p), n as f64, slots as f64, smoothing)
        })
        .sum();
    sum.max(0.0) // rounding
}

#[cfg(test)]
mod tests {
    use super::*;

    fn close(a: Option<f64>, b: f64) -> bool {
        (a.unwrap() - b).abs() < 1e-12
    }

    #[test]
    fn entropy_and_coverage_by_hand() {
        let list = [3, 3, UNKNOWN, 5, 5];
        assert!(close(category_entropy(&list), 2f64.ln()));
        assert!(close(category_entropy_normalised(&list, 4), 0.5));
        assert!(close(category_coverage(&list, 12), 2.0 / 5.0));
        assert!(close(category_coverage(&list, 2), 1.0));
        assert!(close(category_entropy(&[7; 4]), 0.0));
        assert_eq!(category_entropy(&[UNKNOWN]), None);
        assert_eq!(category_entropy_normalised(&list, 1), None);
        assert_eq!(category_coverage(&[], 3), None);
    }

    #[test]
    fn distances_by_hand() {
        assert!(close(ild_category(&[1, 1, 2]), 2.0 / 3.0));
        assert!(close(ild_category(&[1, 2, UNKNOWN]), 1.0));
        assert_eq!(ild_category(&[1, UNKNOWN]), None);
        assert_eq!(ild_category(&[1]), None);
        let vectors = [[1.0f32, 0.0], [0.0, 2.0], [-3.0, 0.0], [0.0, 0.0]];
        // Distances 1, 2, 1; the zero vector has no direction.
        assert!(close(ild_cosine(4, |i| &vectors[i]), 4.0 / 3.0));
    }

    #[test]
    fn divergence_by_hand() {
        let wanted = [0.5, 0.5, 0.0];
        assert!(kl_to_wanted(&[0, 1], &wanted, 2, 0.01) < 1e-12);
        // All in category 0: q̃ = (0.995, 0.005).
        let expected = 0.5 * (0.5f64 / 0.995).ln() + 0.5 * (0.5f64 / 0.005).ln();
        assert!((kl_to_wanted(&[0, 0], &wanted, 2, 0.01) - expected).abs() < 1e-12);
        // Unknown items and unwanted categories serve nothing.
        assert_eq!(
            kl_to_wanted(&[0, UNKNOWN], &wanted, 2, 0.01),
            kl_to_wanted(&[0, 2], &wanted, 2, 0.01)
        );
        assert!((kl_to_wanted(&[], &wanted, 2, 0.01) - 100f64.ln()).abs() < 1e-12);
    }
}
