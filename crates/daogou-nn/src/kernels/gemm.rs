//! The three matrix products of a linear layer, on the `gemm` crate.

use crate::matrix::{Mat, MatMut};
use crate::real::Real;

/// `c (+)= op(a) · op(b)`; a transposed operand is read with its strides swapped.
#[inline]
fn product<T: Real>(
    (m, n, k): (usize, usize, usize),
    (a, a_row, a_col): (*const T, usize, usize),
    (b, b_row, b_col): (*const T, usize, usize),
    c: &mut MatMut<'_, T>,
    accumulate: bool,
) {
    // SAFETY: callers pass operands whose views cover the sizes given, and `c` overlaps neither.
    unsafe {
        gemm::gemm(
            m,
            n,
            k,
            c.ptr,
            1,
            c.stride as isize,
            accumulate,
            a,
            a_col as isize,
            a_row as isize,
            b,
            b_col as isize,
            b_row as isize,
            T::ONE,
            T::ONE,
            false,
            false,
            false,
            gemm::Parallelism::None,
        );
    }
}

/// `y[m, n] = x[m, k] · w[n, k]ᵀ`: forward.
pub(crate) fn forward<T: Real>(x: Mat<'_, T>, w: Mat<'_, T>, y: &mut MatMut<'_, T>) {
    assert!(
        x.cols == w.cols && y.cols == w.rows && y.rows == x.rows,
        "shapes of a forward product"
    );
    product((x.rows, w.rows, x.cols), (x.ptr, x.stride, 1), (w.ptr, 1, w.stride), y, false);
}

/// `dx[m, k] (+)= dy[m, n] · w[n, k]`: gradient of the input.
pub(crate) fn input_grad<T: Real>(
    dy: Mat<'_, T>,
    w: Mat<'_, T>,
    dx: &mut MatMut<'_, T>,
    accumulate: bool,
) {
    assert!(
        dy.cols == w.rows && dx.cols == w.cols && dx.rows == dy.rows,
        "shapes of an input gradient"
    );
    product(
        (dy.rows, w.cols, dy.cols),
        (dy.ptr, dy.stride, 1),
        (w.ptr, w.stride, 1),
        dx,
        accumulate,
    );
}

/// `dw[n, k] += dy[m, n]ᵀ · x[m, k]`: gradient of the weights.
pub(crate) fn weight_grad<T: Real>(dy: Mat<'_, T>, x: Mat<'_, T>, dw: &mut MatMut<'_, T>) {
    assert!(
        dy.rows == x.rows && dw.rows == dy.cols && dw.cols == x.cols,
        "shapes of a weight gradient"
    );
    product((dy.cols, x.cols, dy.rows), (dy.ptr, 1, dy.stride), (x.ptr, x.stride, 1), dw, true);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::scalar;
    use crate::rng::Rng;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn products_match_the_plain_triple_loop(m in 1usize..40, n in 1usize..40, k in 1usize..40, pad in 0usize..5) {
            let mut rng = Rng::new(3, (m * 10_000 + n * 100 + k) as u64);
            let mut random = |rows: usize, cols: usize| -> Vec<f32> {
                (0..rows * (cols + pad)).map(|_| rng.normal() as f32).collect()
            };
            let (x, w, dy) = (random(m, k), random(n, k), random(m, n));
            // SAFETY: the views cover `rows` rows of `cols + pad` values, which is what was made.
            let view = |v: &Vec<f32>, rows, cols: usize| unsafe { Mat::new(v.as_ptr(), rows, cols, cols + pad) };
            let compare = |out: &[f32], cols: usize, plain: &[f64]| {
                for (i, p) in plain.iter().enumerate() {
                    let fast = out[i / cols * (cols + pad) + i % cols];
                    assert!((f64::from(fast) - p).abs() < 1e-4 * (1.0 + p.abs()), "{fast} against {p}");
                }
            };
            let mut y = random(m, n);
            // SAFETY: as above.
            let mut out = unsafe { MatMut::new(y.as_mut_ptr(), m, n, n + pad) };
            forward(view(&x, m, k), view(&w, n, k), &mut out);
            let mut plain = vec![0.0; m * n];
            scalar::gemm((m, n, k), (&x, (k + pad, 1)), (&w, (1, k + pad)), &mut plain, false);
            compare(&y, n, &plain);

            let mut dx = random(m, k);
            // SAFETY: as above.
            let mut out = unsafe { MatMut::new(dx.as_mut_ptr(), m, k, k + pad) };
            let mut plain: Vec<f64> = (0..m * k).map(|i| f64::from(dx[i / k * (k + pad) + i % k])).collect();
            input_grad(view(&dy, m, n), view(&w, n, k), &mut out, true);
            scalar::gemm((m, k, n), (&dy, (n + pad, 1)), (&w, (k + pad, 1)), &mut plain, true);
            compare(&dx, k, &plain);

            let mut dw = random(n, k);
            let mut plain: Vec<f64> = (0..n * k).map(|i| f64::from(dw[i / k * (k + pad) + i % k])).collect();
            // SAFETY: as above.
            let mut out = unsafe { MatMut::new(dw.as_mut_ptr(), n, k, k + pad) };
            weight_grad(view(&dy, m, n), view(&x, m, k), &mut out);
            scalar::gemm((n, k, m), (&dy, (1, n + pad)), (&x, (k + pad, 1)), &mut plain, true);
            compare(&dw, k, &plain);
        }
    }
}
