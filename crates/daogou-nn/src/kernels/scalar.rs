//! The obvious twins of the fast loops, in `f64`: the reference in tests.

/// Σ x.
pub(crate) fn sum(x: &[f32]) -> f64 {
    x.iter().map(|&v| f64::from(v)).sum()
}

/// Σ x·y.
pub(crate) fn dot(x: &[f32], y: &[f32]) -> f64 {
    x.iter().zip(y).map(|(&a, &b)| f64::from(a) * f64::from(b)).sum()
}

/// `out = softmax(z)`; returns ln Σ e^z.
pub(crate) fn softmax(z: &[f32], out: &mut [f64]) -> f64 {
    let top = z.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let total: f64 = z.iter().map(|&v| f64::from(v - top).exp()).sum();
    for (o, &v) in out.iter_mut().zip(z) {
        *o = f64::from(v - top).exp() / total;
    }
    f64::from(top) + total.ln()
}

/// `c[m, n] (+)= a[m, k] · b[k, n]`, all by explicit row and column strides `(row, column)`.
pub(crate) fn gemm(
    (m, n, k): (usize, usize, usize),
    (a, a_strides): (&[f32], (usize, usize)),
    (b, b_strides): (&[f32], (usize, usize)),
    c: &mut [f64],
    accumulate: bool,
) {
    for i in 0..m {
        for j in 0..n {
            let mut total = if accumulate { c[i * n + j] } else { 0.0 };
            for p in 0..k {
                total += f64::from(a[i * a_strides.0 + p * a_strides.1])
                    * f64::from(b[p * b_strides.0 + j * b_strides.1]);
            }
            c[i * n + j] = total;
        }
    }
}
