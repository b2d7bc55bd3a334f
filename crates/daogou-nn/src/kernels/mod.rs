//! Inner loops. Each is a plain loop that the compiler vectorises for the chip found at run time; `scalar` has the
//! obvious twins that tests compare them with.

pub mod peak;
pub(crate) mod product;
#[cfg(test)]
pub(crate) mod scalar;
pub(crate) mod softmax;

use crate::matrix::Mat;
use crate::real::Real;

pub(crate) use softmax::{softmax, softmax_rows};

/// Runs `work` compiled for the best instruction set of this chip.
#[inline(always)]
pub(crate) fn vectorised<R>(work: impl FnOnce() -> R) -> R {
    struct Work<F>(F);
    impl<R, F: FnOnce() -> R> pulp::NullaryFnOnce for Work<F> {
        type Output = R;
        #[inline(always)]
        fn call(self) -> R {
            (self.0)()
        }
    }
    pulp::Arch::new().dispatch(Work(work))
}

/// Asks for `len` values from `start` on, which are read soon.
#[inline(always)]
pub(crate) fn prefetch<T>(values: &[T], start: usize, len: usize) {
    if start + len <= values.len() {
        // SAFETY: the range lies inside the slice.
        unsafe { prefetch_raw(values.as_ptr().add(start), len) };
    }
}

/// Asks for the line of an address, whatever is there.
#[inline(always)]
pub(crate) fn prefetch_any<T>(at: *const T) {
    #[cfg(target_arch = "x86_64")]
    {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        // SAFETY: it reads nothing, so any address will do.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(at.cast()) };
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = at;
}

/// # Safety
/// `start..start + len` lies inside one allocation.
#[inline(always)]
pub(crate) unsafe fn prefetch_raw<T>(start: *const T, len: usize) {
    for line in (0..len * size_of::<T>()).step_by(64) {
        // SAFETY: the promise above.
        prefetch_any(unsafe { start.cast::<i8>().add(line) });
    }
}

/// y += a · x.
#[inline(always)]
pub(crate) fn axpy<T: Real>(y: &mut [T], a: T, x: &[T]) {
    for (y, &x) in y.iter_mut().zip(x) {
        *y += a * x;
    }
}

/// y = x, for rows so short that a call would cost more than the copy.
#[inline(always)]
pub(crate) fn copy<T: Real>(y: &mut [T], x: &[T]) {
    let (to, to_rest) = y.as_chunks_mut::<LANES>();
    let (from, from_rest) = x.as_chunks::<LANES>();
    to.iter_mut().zip(from).for_each(|(to, from)| *to = *from);
    to_rest.iter_mut().zip(from_rest).for_each(|(to, from)| *to = *from);
}

/// y = a + b.
#[inline(always)]
pub(crate) fn sum_of<T: Real>(y: &mut [T], a: &[T], b: &[T]) {
    for ((y, &a), &b) in y.iter_mut().zip(a).zip(b) {
        *y = a + b;
    }
}

/// y += x.
#[inline(always)]
pub(crate) fn add<T: Real>(y: &mut [T], x: &[T]) {
    for (y, &x) in y.iter_mut().zip(x) {
        *y += x;
    }
}

/// sum += Σ rows, column by column in the order of rows.
#[inline(always)]
pub(crate) fn add_rows<T: Real>(sum: &mut [T], rows: Mat<'_, T>) {
    let (vectors, rest) = sum.as_chunks_mut::<LANES>();
    let start = vectors.len() * LANES;
    for (v, sum) in vectors.iter_mut().enumerate() {
        let mut total = *sum;
        for i in 0..rows.rows {
            let row = &rows.row(i).as_chunks::<LANES>().0[v];
            (0..LANES).for_each(|c| total[c] += row[c]);
        }
        *sum = total;
    }
    for i in 0..rows.rows {
        add(rest, &rows.row(i)[start..]);
    }
}

/// What ReLU's derivative leaves of `d`, the gradient of its output `y`. NaN passes: `y > 0` is false for it, `y <= 0` too.
#[inline(always)]
pub(crate) fn cut_one<T: Real>(d: T, y: T) -> T {
    if y <= T::ZERO { T::ZERO } else { d }
}

/// The same of a row.
#[inline(always)]
pub(crate) fn cut<T: Real>(d: &mut [T], y: &[T]) {
    for (d, &y) in d.iter_mut().zip(y) {
        // The added 0 keeps the compiler from a masked store, for which some chips take ten times as long.
        *d = cut_one(*d, y) + T::ZERO;
    }
}

/// Lanes of [`sum`] and [`dot`]: partial sums that the compiler keeps in one vector register. The order of additions
/// is fixed by this number, not by the chip.
pub(crate) const LANES: usize = 16;

/// Takes `x` and `y` into lanes, by whole vectors, then by half and quarter ones, so that the last few need no mask.
#[inline(always)]
fn in_lanes<T: Real>(
    x: &[T],
    y: &[T],
    mut lanes: [T; LANES],
    step: impl Fn(T, T, T) -> T,
) -> [T; LANES] {
    let (x, x_rest) = x.as_chunks::<LANES>();
    let (y, y_rest) = y.as_chunks::<LANES>();
    for (x, y) in x.iter().zip(y) {
        for i in 0..LANES {
            lanes[i] = step(lanes[i], x[i], y[i]);
        }
    }
    let (x, x_rest) = x_rest.as_chunks::<8>();
    let (y, y_rest) = y_rest.as_chunks::<8>();
    for (x, y) in x.iter().zip(y) {
        for i in 0..8 {
            lanes[i] = step(lanes[i], x[i], y[i]);
        }
    }
    let (x, x_rest) = x_rest.as_chunks::<4>();
    let (y, y_rest) = y_rest.as_chunks::<4>();
    for (x, y) in x.iter().zip(y) {
        for i in 0..4 {
            lanes[i] = step(lanes[i], x[i], y[i]);
        }
    }
    for (x, y) in x_rest.iter().zip(y_rest) {
        lanes[0] = step(lanes[0], *x, *y);
    }
    lanes
}

/// Halves added to halves, down to one number; every step is a vector's.
#[inline(always)]
pub(crate) fn fold<T: Real>(lanes: [T; LANES], with: impl Fn(T, T) -> T) -> T {
    let (mut eight, mut four) = ([T::ZERO; 8], [T::ZERO; 4]);
    for i in 0..8 {
        eight[i] = with(lanes[i], lanes[i + 8]);
    }
    for i in 0..4 {
        four[i] = with(eight[i], eight[i + 4]);
    }
    with(with(four[0], four[2]), with(four[1], four[3]))
}

/// Σ x.
#[inline(always)]
pub(crate) fn sum<T: Real>(x: &[T]) -> T {
    fold(in_lanes(x, x, [T::ZERO; LANES], |sum, x, _| sum + x), |a, b| a + b)
}

/// Σ x·y.
#[inline(always)]
pub(crate) fn dot<T: Real>(x: &[T], y: &[T]) -> T {
    fold(in_lanes(x, y, [T::ZERO; LANES], |sum, x, y| sum + x * y), |a, b| a + b)
}

/// The probability `1 / (1 + e^-z)` of each logit, into `out`.
pub fn sigmoids(logits: &[f32], out: &mut Vec<f32>) {
    out.clear();
    out.resize(logits.len(), 0.0);
    vectorised(
        #[inline(always)]
        || out.iter_mut().zip(logits).for_each(|(p, z)| *p = z.sigmoid()),
    );
}

/// The mean of the softmax of rows of `cols` logits, into `mean`; zeros without rows. `row` is memory for one of them.
pub fn mean_softmax(logits: &[f32], cols: usize, row: &mut Vec<f32>, mean: &mut Vec<f32>) {
    mean.clear();
    mean.resize(cols, 0.0);
    row.clear();
    row.resize(whole(cols), 0.0);
    let share = 1.0 / (logits.len() / cols).max(1) as f32;
    vectorised(
        #[inline(always)]
        || {
            for logits in logits.chunks_exact(cols) {
                softmax(logits, row);
                axpy(mean, share, row);
            }
        },
    );
}

/// The least length of whole vectors with room for so many values.
pub(crate) fn whole(len: usize) -> usize {
    len.next_multiple_of(LANES)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn fast_loops_match_their_plain_twins(x in prop::collection::vec(-20.0f32..20.0, 1..70), a in -3.0f32..3.0) {
            let y: Vec<f32> = x.iter().rev().map(|v| v * 0.37).collect();
            let near = |fast: f32, plain: f64, scale: f64| (f64::from(fast) - plain).abs() <= 1e-5 * (1.0 + scale);
            let size: f64 = x.iter().map(|v| f64::from(v.abs()) * 20.0).sum();
            prop_assert!(near(vectorised(|| sum(&x)), scalar::sum(&x), size));
            prop_assert!(near(vectorised(|| dot(&x, &y)), scalar::dot(&x, &y), size));
            let (mut u, mut v) = (y.clone(), y.clone());
            vectorised(|| axpy(&mut u, a, &x));
            vectorised(|| add(&mut v, &x));
            for cols in 1..=x.len() {
                let rows = Mat::packed(&x[..x.len() / cols * cols], cols);
                let mut sums = y[..cols].to_vec();
                vectorised(|| add_rows(&mut sums, rows));
                for c in 0..cols {
                    let plain = (0..rows.rows).fold(y[c], |sum, i| sum + rows.row(i)[c]);
                    prop_assert_eq!(sums[c], plain);
                }
            }
            let (mut kept, mut of) = (y.clone(), x.clone());
            (of[0], kept[x.len() - 1]) = (f32::NAN, f32::NAN);
            vectorised(|| cut(&mut kept, &of));
            for (i, (kept, y)) in kept.iter().zip(&y).enumerate() {
                let right = if i > 0 && x[i] <= 0.0 {
                    *kept == 0.0
                } else {
                    kept == y || (kept.is_nan() && i + 1 == x.len())
                };
                prop_assert!(right, "{} at {}", kept, i);
            }
            for i in 0..x.len() {
                prop_assert!(near(u[i], f64::from(y[i]) + f64::from(a) * f64::from(x[i]), 60.0));
                prop_assert_eq!(v[i], y[i] + x[i]);
            }
        }
    }
}
