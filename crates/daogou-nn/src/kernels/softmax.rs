//! Softmax of a row, and of rows.

use super::{LANES, fold, sum};
use crate::matrix::{Mat, MatMut};
use crate::real::Real;

/// The largest value.
#[inline(always)]
fn max<T: Real>(x: &[T]) -> T {
    fold(super::in_lanes(x, x, [x[0]; LANES], |top, x, _| top.max(x)), T::max)
}

/// `out = softmax(z)`, returning the maximum of `z` and Σ e^(z − maximum). Whatever `out` has room for beyond `z` becomes
/// 0: with room for whole vectors ([`super::whole`]) nothing goes value by value.
#[inline(always)]
pub(crate) fn softmax<T: Real>(z: &[T], out: &mut [T]) -> (T, T) {
    assert!(!z.is_empty() && z.len() <= out.len(), "room for every value");
    T::softmax(z, out)
}

/// The plain twin, for any number type.
#[inline(always)]
pub(crate) fn plain<T: Real>(z: &[T], out: &mut [T]) -> (T, T) {
    let top = max(z);
    let (values, room) = out.split_at_mut(z.len());
    for (value, &z) in values.iter_mut().zip(z) {
        *value = (z - top).exp();
    }
    room.fill(T::ZERO);
    let total = sum(values);
    let scale = T::ONE / total;
    values.iter_mut().for_each(|value| *value *= scale);
    (top, total)
}

/// The softmax for `f32`, a vector at a time.
pub(crate) fn vectors(z: &[f32], out: &mut [f32]) -> (f32, f32) {
    struct Row<'a>(&'a [f32], &'a mut [f32]);
    impl pulp::WithSimd for Row<'_> {
        type Output = (f32, f32);
        #[inline(always)]
        fn with_simd<S: pulp::Simd>(self, simd: S) -> (f32, f32) {
            let (z, tail) = S::as_simd_f32s(self.0);
            let (out, last) = S::as_mut_simd_f32s(self.1);
            let known = simd.mask_between_m32s(0, tail.len() as u32).mask();
            // What is beyond the tail counts as the first value, and as nothing from there on.
            let first = simd.splat_f32s(self.0[0]);
            let tail = simd.select_f32s(known, simd.partial_load_f32s(tail), first);
            let top = z.iter().fold(tail, |top, &z| simd.max_f32s(z, top));
            let top = simd.reduce_max_f32s(top);
            let tops = simd.splat_f32s(top);
            let zero = simd.splat_f32s(0.0);
            let mut total = simd.select_f32s(known, exp(simd, simd.sub_f32s(tail, tops)), zero);
            let of_tail = total;
            for (out, &z) in out.iter_mut().zip(z) {
                *out = exp(simd, simd.sub_f32s(z, tops));
                total = simd.add_f32s(total, *out);
            }
            let total = simd.reduce_sum_f32s(total);
            let scale = simd.splat_f32s(1.0 / total);
            let (of_values, beyond) = out.split_at_mut(z.len());
            of_values.iter_mut().for_each(|out| *out = simd.mul_f32s(*out, scale));
            let of_tail = simd.mul_f32s(of_tail, scale);
            match beyond {
                [] => simd.partial_store_f32s(last, of_tail),
                [own, others @ ..] => {
                    *own = of_tail;
                    others.fill(zero);
                    last.fill(0.0);
                }
            }
            (top, total)
        }
    }
    pulp::Arch::new().dispatch(Row(z, out))
}

/// e^x as [`Real::exp`] of `f32` has it.
#[inline(always)]
fn exp<S: pulp::Simd>(simd: S, x: S::f32s) -> S::f32s {
    let splat = |x: f32| simd.splat_f32s(x);
    // Rounds to the nearest integer and leaves it, with the bias of an exponent, in the low bits.
    let round = splat(12_582_912.0 + 127.0);
    let clamped = simd.min_f32s(simd.max_f32s(x, splat(-87.0)), splat(88.0));
    let shifted = simd.mul_add_e_f32s(clamped, splat(std::f32::consts::LOG2_E), round);
    let n = simd.sub_f32s(shifted, round);
    let r = simd.mul_add_e_f32s(n, splat(-0.693_359_4), clamped);
    let r = simd.mul_add_e_f32s(n, splat(2.121_944_4e-4), r);
    let mut p = splat(0.001_394_19);
    for c in [0.008_333_693, 0.041_666_64, 0.166_666_66, 0.5, 1.0, 1.0] {
        p = simd.mul_add_e_f32s(p, r, splat(c));
    }
    let bits = simd.wrapping_dyn_shl_u32s(simd.transmute_u32s_f32s(shifted), simd.splat_u32s(23));
    // A NaN stays, and an infinity becomes one.
    simd.mul_add_e_f32s(p, simd.transmute_f32s_u32s(bits), simd.mul_f32s(x, splat(0.0)))
}

/// Columns of a row that would not fill a vector.
const FEW: usize = 8;

/// The softmax of each row of `x`. Rows of few columns are taken [`LANES`] at a time, each in a lane of its own.
#[inline(always)]
pub(crate) fn softmax_rows<T: Real>(x: Mat<'_, T>, y: &mut MatMut<'_, T>) {
    if x.cols > FEW {
        return (0..x.rows).for_each(|i| {
            softmax(x.row(i), y.row(i));
        });
    }
    for start in (0..x.rows).step_by(LANES) {
        let n = LANES.min(x.rows - start);
        let mut columns = [[T::ZERO; LANES]; FEW];
        for lane in 0..n {
            for (column, &x) in columns.iter_mut().zip(x.row(start + lane)) {
                column[lane] = x;
            }
        }
        let columns = &mut columns[..x.cols];
        let (mut top, mut total) = (columns[0], [T::ZERO; LANES]);
        for column in &columns[1..] {
            (0..LANES).for_each(|lane| top[lane] = top[lane].max(column[lane]));
        }
        for column in columns.iter_mut() {
            for lane in 0..LANES {
                column[lane] = (column[lane] - top[lane]).exp();
                total[lane] += column[lane];
            }
        }
        let scale = total.map(|total| T::ONE / total);
        for column in columns.iter_mut() {
            (0..LANES).for_each(|lane| column[lane] *= scale[lane]);
        }
        for lane in 0..n {
            for (column, y) in columns.iter().zip(y.row(start + lane)) {
                *y = column[lane];
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::kernels::{scalar, vectorised, whole};

    fn near(fast: f32, plain: f64, scale: f64) -> bool {
        (f64::from(fast) - plain).abs() <= 1e-5 * (1.0 + scale)
    }

    proptest! {
        #[test]
        fn it_matches_its_plain_twins(x in prop::collection::vec(-20.0f32..20.0, 1..140), room in 0usize..40) {
            let mut expected = vec![0.0; x.len()];
            let log_total = scalar::softmax(&x, &mut expected);
            let largest = x.iter().copied().fold(f32::NEG_INFINITY, f32::max);
            for room in [0, whole(x.len()) - x.len(), room] {
                for how in [plain, vectors] {
                    let mut out = vec![7.0; x.len() + room];
                    let (top, total) = vectorised(|| how(&x, &mut out));
                    prop_assert_eq!(top, largest);
                    prop_assert!(near(top + Real::ln(total), log_total, 20.0));
                    prop_assert!(out.iter().zip(&expected).all(|(o, e)| near(*o, *e, 0.0)));
                    prop_assert!(out[x.len()..].iter().all(|o| *o == 0.0), "{:?}", &out[x.len()..]);
                }
            }
            for cols in 1..=x.len().min(FEW + 3) {
                let (rows, pad) = (x.len() / cols, 2);
                let mut out = vec![7.0; rows * (cols + pad)];
                let mut to = MatMut::strided(&mut out, (rows, cols, cols + pad));
                vectorised(|| softmax_rows(Mat::packed(&x[..rows * cols], cols), &mut to));
                for (x, out) in x.chunks_exact(cols).zip(out.chunks_exact(cols + pad)) {
                    scalar::softmax(x, &mut expected[..cols]);
                    prop_assert!(out[..cols].iter().zip(&expected).all(|(o, e)| near(*o, *e, 0.0)));
                    prop_assert_eq!(&out[cols..], &[7.0; 2]);
                }
            }
        }
    }

    /// What has diverged must be seen in the sum, wherever it stands.
    #[test]
    fn a_value_that_is_no_number_makes_all_of_it_none() {
        for len in [1, 3, 16, 50] {
            for at in 0..len {
                for wrong in [f32::NAN, f32::INFINITY] {
                    let mut x = vec![0.5; len];
                    x[at] = wrong;
                    for how in [plain, vectors] {
                        let mut out = vec![0.0; whole(len)];
                        let (_, total) = how(&x, &mut out);
                        assert!(total.is_nan(), "{wrong} at {at} of {len}: {total}");
                    }
                }
            }
        }
    }

    #[test]
    fn far_apart_values_neither_overflow_nor_turn_negative() {
        let (x, mut out) = ([3e4, -3e4, 0.0, 2.9e4], [0.0; 4]);
        assert_eq!(softmax(&x, &mut out), (3e4, 1.0));
        assert!(out[0] == 1.0 && out[1..].iter().all(|p| (0.0..1e-30).contains(p)), "{out:?}");
    }
}
