//! The matrix products of a linear layer.
//!
//! One kernel does all three, because each can be written as `C[i][j] = start + Σ_p A(i, p) · B[p][j]` with `A` read one
//! number at a time by two strides and `B` and `C` read in rows of vectors:
//!
//! ```text
//! forward       y[m, n]  = bias + Σ_k x[m, k]  · wᵀ[k, n]     wᵀ is kept beside w, written once per step
//! input grad    dx[m, k] = Σ_n dy[m, n] · w[n, k]
//! weight grad   dw[n, k] += Σ_m dy[m, n] · x[m, k]
//! ```
//!
//! Nothing is packed and nothing is allocated: micro-batches are small enough for the operands to stay in cache. Each sum runs
//! over `p` in an order that depends on the sizes alone, not on how rows and columns are cut into tiles. A few last columns
//! that would leave a vector almost empty are summed by themselves.

use super::vectorised;
use crate::matrix::{Mat, MatMut};
use crate::real::Real;

/// What a product starts from.
#[derive(Clone, Copy)]
pub(crate) enum Start<'a, T> {
    /// 0.
    Zero,
    /// What is there.
    Add,
    /// One value per column.
    Bias(&'a [T]),
    /// For each row of the result the row of a matrix.
    Picked(Mat<'a, T>, &'a [u32]),
}

/// What becomes of a sum before it is written.
#[derive(Clone, Copy)]
pub(crate) enum End<'a, T> {
    /// Nothing.
    Keep,
    /// ReLU.
    Relu,
    /// It is the gradient of what came out of ReLU, and becomes 0 where that is 0.
    Cut(Mat<'a, T>),
}

/// Operands of one product. All pointers cover the sizes given; `c` overlaps neither operand.
pub struct Operands<'a, T> {
    m: usize,
    n: usize,
    k: usize,
    a: *const T,
    a_row: usize,
    a_step: usize,
    b: *const T,
    b_step: usize,
    c: *mut T,
    c_row: usize,
    start: Start<'a, T>,
    end: End<'a, T>,
}

/// `y = x · w_tᵀ + start`, ReLU applied if asked; `w_t` is `[k, n]`, the transpose of the layer's weights.
pub(crate) fn forward<T: Real>(
    x: Mat<'_, T>,
    w_t: Mat<'_, T>,
    start: Start<'_, T>,
    relu: bool,
    y: &mut MatMut<'_, T>,
) {
    assert!(x.cols == w_t.rows && y.cols == w_t.cols && y.rows == x.rows, "shapes");
    match start {
        Start::Bias(bias) => assert_eq!(bias.len(), y.cols, "one bias per column"),
        Start::Picked(of, picks) => {
            assert!(of.cols == y.cols && picks.len() == y.rows, "one row per row");
            assert!(picks.iter().all(|&pick| (pick as usize) < of.rows), "rows that there are");
        }
        Start::Zero | Start::Add => {}
    }
    T::product(&Operands {
        m: x.rows,
        n: y.cols,
        k: x.cols,
        a: x.ptr,
        a_row: x.stride,
        a_step: 1,
        b: w_t.ptr,
        b_step: w_t.stride,
        c: y.ptr,
        c_row: y.stride,
        start,
        end: if relu { End::Relu } else { End::Keep },
    });
}

/// `dx (+)= dy · w`, `w` being `[n, k]`; with `x`, what came out of ReLU, 0 where that is.
pub(crate) fn input_grad<T: Real>(
    dy: Mat<'_, T>,
    w: Mat<'_, T>,
    dx: &mut MatMut<'_, T>,
    add: bool,
    x: Option<Mat<'_, T>>,
) {
    assert!(dy.cols == w.rows && dx.cols == w.cols && dx.rows == dy.rows, "shapes");
    assert!(x.is_none_or(|x| x.rows == dx.rows && x.cols == dx.cols), "shapes");
    T::product(&Operands {
        m: dy.rows,
        n: dx.cols,
        k: dy.cols,
        a: dy.ptr,
        a_row: dy.stride,
        a_step: 1,
        b: w.ptr,
        b_step: w.stride,
        c: dx.ptr,
        c_row: dx.stride,
        start: if add { Start::Add } else { Start::Zero },
        end: x.map_or(End::Keep, End::Cut),
    });
}

/// `dw += dyᵀ · x`.
pub(crate) fn weight_grad<T: Real>(dy: Mat<'_, T>, x: Mat<'_, T>, dw: &mut MatMut<'_, T>) {
    assert!(dy.rows == x.rows && dw.rows == dy.cols && dw.cols == x.cols, "shapes");
    T::product(&Operands {
        m: dy.cols,
        n: x.cols,
        k: dy.rows,
        a: dy.ptr,
        a_row: 1,
        a_step: dy.stride,
        b: x.ptr,
        b_step: x.stride,
        c: dw.ptr,
        c_row: dw.stride,
        start: Start::Add,
        end: End::Keep,
    });
}

/// The obvious twin, for any number type.
pub(crate) fn plain<T: Real>(o: &Operands<'_, T>) {
    for i in 0..o.m {
        for j in 0..o.n {
            // SAFETY: `i`, `j` and `p` stay below the sizes that the operands cover.
            unsafe {
                let c = o.c.add(i * o.c_row + j);
                let mut total = match o.start {
                    Start::Zero => T::ZERO,
                    Start::Add => *c,
                    Start::Bias(bias) => bias[j],
                    Start::Picked(of, picks) => of.row(picks[i] as usize)[j],
                };
                for p in 0..o.k {
                    total += *o.a.add(i * o.a_row + p * o.a_step) * *o.b.add(p * o.b_step + j);
                }
                *c = match o.end {
                    End::Keep => total,
                    End::Relu => total.max(T::ZERO),
                    End::Cut(x) => super::cut_one(total, x.row(i)[j]),
                };
            }
        }
    }
}

/// Vectors per row of a tile.
const WIDE: usize = 2;

/// Rows of a tile: as many as registers hold, with two vectors of `b` and one broadcast value beside them.
const fn rows_of_tile(registers: usize) -> usize {
    if registers >= 32 { 14 } else { 6 }
}

/// Steps of the sums that are taken at a time, so that what they read of `a` and `b` stays in the nearest cache from tile to
/// tile. Sums go on from where they were, so it changes no bit.
const STEPS: usize = 128;

/// Some steps of some columns of a product.
struct Panel<'a> {
    o: &'a Operands<'a, f32>,
    /// First column, and how many.
    j: usize,
    cols: usize,
    /// First step, and how many.
    p: usize,
    steps: usize,
    start: Start<'a, f32>,
    end: End<'a, f32>,
}

/// The product for `f32`, in tiles that stay in registers.
pub(crate) fn tiled(operands: &Operands<'_, f32>) {
    struct Tiled<'a>(&'a Operands<'a, f32>);
    impl pulp::WithSimd for Tiled<'_> {
        type Output = ();
        #[inline(always)]
        fn with_simd<S: pulp::Simd>(self, simd: S) {
            let o = self.0;
            let width = WIDE * S::F32_LANES;
            let n = o.n - o.narrow();
            // Without a step there is still a start to write.
            for p in (0..o.k.max(1)).step_by(STEPS) {
                let steps = STEPS.min(o.k - p);
                let start = if p == 0 { o.start } else { Start::Add };
                let end = if p + steps == o.k { o.end } else { End::Keep };
                for j in (0..n).step_by(width) {
                    let cols = width.min(n - j);
                    let panel = Panel { o, j, cols, p, steps, start, end };
                    // SAFETY: columns `j..j + cols` and steps `p..p + steps` are inside the operands.
                    unsafe {
                        if cols == width {
                            by_rows::<S, WIDE, true>(simd, &panel);
                        } else if cols > S::F32_LANES {
                            by_rows::<S, WIDE, false>(simd, &panel);
                        } else if cols == S::F32_LANES {
                            by_rows::<S, 1, true>(simd, &panel);
                        } else {
                            by_rows::<S, 1, false>(simd, &panel);
                        }
                    }
                }
            }
        }
    }
    pulp::Arch::new().dispatch(Tiled(operands));
    if operands.narrow() > 0 {
        vectorised(
            #[inline(always)]
            || {
                for j in operands.n - operands.narrow()..operands.n {
                    // SAFETY: a column of the operands.
                    unsafe { column(operands, j) };
                }
            },
        );
    }
}

/// Last columns that would leave most of a vector empty; the same on every chip, so that the bits are.
const NARROW: usize = 2;

/// Longest sum over a column that is copied first.
const LONGEST: usize = 1024;

impl<T> Operands<'_, T> {
    /// Number of last columns that are summed one by one instead of in tiles.
    fn narrow(&self) -> usize {
        let rest = self.n % 16;
        let fits = self.a_row == 1 || (self.a_step == 1 && self.k <= LONGEST);
        if rest <= NARROW && fits { rest } else { 0 }
    }
}

/// One column of the product, along the direction in which `a` lies in memory.
///
/// # Safety
/// `j < n`, and `narrow` of the operands is not 0.
#[inline(always)]
unsafe fn column(o: &Operands<'_, f32>, j: usize) {
    // SAFETY: `i`, `j` and `p` stay below the sizes that the operands cover.
    unsafe {
        let at = |of: &Mat<'_, f32>, i: usize| *of.ptr.add(i * of.stride + j);
        let set = |i: usize, sum: f32| {
            let c = o.c.add(i * o.c_row + j);
            let start = match &o.start {
                Start::Zero => 0.0,
                Start::Add => *c,
                Start::Bias(bias) => bias[j],
                Start::Picked(of, picks) => at(of, *picks.as_ptr().add(i) as usize),
            };
            let total = start + sum;
            // A NaN in the sum stays.
            *c = match &o.end {
                End::Keep => total,
                End::Relu => super::cut_one(total, total),
                End::Cut(x) => super::cut_one(total, at(x, i)),
            };
        };
        // Longer ones have one row, whose values are neighbours in both directions.
        if o.a_step == 1 && o.k <= LONGEST {
            let mut copy = [0.0; LONGEST];
            let b = &mut copy[..o.k];
            (0..o.k).for_each(|p| b[p] = *o.b.add(p * o.b_step + j));
            for i in 0..o.m {
                let row = std::slice::from_raw_parts(o.a.add(i * o.a_row), o.k);
                set(i, super::dot(row, b));
            }
            return;
        }
        const BLOCK: usize = 64;
        for i in (0..o.m).step_by(BLOCK) {
            let rows = BLOCK.min(o.m - i);
            let mut sums = [0.0; BLOCK];
            for p in 0..o.k {
                let a = std::slice::from_raw_parts(o.a.add(i + p * o.a_step), rows);
                let x = *o.b.add(p * o.b_step + j);
                if let Ok(a) = <&[f32; BLOCK]>::try_from(a) {
                    (0..BLOCK).for_each(|r| sums[r] += a[r] * x);
                } else {
                    sums.iter_mut().zip(a).for_each(|(sum, a)| *sum += a * x);
                }
            }
            for (r, &sum) in sums[..rows].iter().enumerate() {
                set(i + r, sum);
            }
        }
    }
}

/// Cuts the rows of a panel into tiles.
///
/// # Safety
/// The panel is inside its operands; its columns are `W` vectors if `FULL`, else fewer than that and more than `W − 1`.
#[inline(always)]
unsafe fn by_rows<S: pulp::Simd, const W: usize, const FULL: bool>(simd: S, panel: &Panel<'_>) {
    let height = rows_of_tile(S::REGISTER_COUNT);
    let (tiles, rest) = (panel.o.m / height, panel.o.m % height);
    let run = |i: usize, rows: usize, tiles: usize| {
        macro_rules! heights {
            ($($height:literal $tile:ident)*) => {
                match rows {
                    $(
                        $height if $height <= rows_of_tile(S::REGISTER_COUNT) => {
                            simd.vectorize($tile::<W, FULL> { panel, i, tiles });
                        }
                    )*
                    _ => unreachable!("a tile of {rows} rows"),
                }
            };
        }
        heights!(1 Tile1 2 Tile2 3 Tile3 4 Tile4 5 Tile5 6 Tile6 7 Tile7 8 Tile8 9 Tile9 10 Tile10 11 Tile11
            12 Tile12 13 Tile13 14 Tile14);
    };
    if tiles > 0 {
        run(0, height, tiles);
    }
    if rest > 0 {
        run(tiles * height, rest, 1);
    }
}

/// One or two vectors of one row of a tile, in registers.
type Lane<S> = (<S as pulp::Simd>::f32s, <S as pulp::Simd>::f32s);

/// Defines tiles of a fixed height, some of them one below the other. Each row of the result is a variable of its own, since
/// an array of them would live on the stack; each kind of tile is a function of its own ([`pulp::Simd::vectorize`]), with
/// all registers to use.
macro_rules! tiles {
    ($($tile:ident: $height:literal $($row:ident $r:literal)*;)*) => {
        $(
            struct $tile<'a, const W: usize, const FULL: bool> {
                panel: &'a Panel<'a>,
                i: usize,
                tiles: usize,
            }

            impl<const W: usize, const FULL: bool> pulp::WithSimd for $tile<'_, W, FULL> {
                type Output = ();
                #[inline(always)]
                fn with_simd<S: pulp::Simd>(self, simd: S) {
                    let Panel { o, j, cols, p, steps, start, end } = *self.panel;
                    let lanes = S::F32_LANES;
                    let width = W * lanes;
                    let tail = simd.mask_between_m32s(0, (cols - (W - 1) * lanes) as u32);
                    let zero = simd.splat_f32s(0.0);
                    // Offsets wrap because builds with checks would check each, which takes minutes to compile.
                    // SAFETY: the promise of `by_rows`. The last vector of a row of `c` goes through `tail`. A row of
                    // `b` is read whole while that stays before its last value, and through `tail` after that.
                    unsafe {
                        // A masked access is a function call where the chip has no masks: only where it must be.
                        let last = |at: *const f32| {
                            if FULL { at.cast::<S::f32s>().read_unaligned() } else { simd.mask_load_ptr_f32s(tail, at) }
                        };
                        let load = |at: *const f32| -> Lane<S> {
                            if W == 2 {
                                (at.cast::<S::f32s>().read_unaligned(), last(at.wrapping_add(lanes)))
                            } else {
                                (last(at), zero)
                            }
                        };
                        let past_end =
                            if FULL { 0 } else { (j + width).saturating_sub(o.n).div_ceil(o.b_step.max(1)) };
                        let whole = steps.min(o.k.saturating_sub(p + past_end));
                        // Every third row has a pointer; the two after it are one and two strides further. A pointer
                        // per row would not fit the registers.
                        let s = o.a_row;
                        let mut rows: [*const f32; 5] =
                            std::array::from_fn(|q| o.a.wrapping_add((self.i + 3 * q) * s + p * o.a_step));
                        let mut c = o.c.wrapping_add(self.i * o.c_row + j);
                        for tile in 0..self.tiles {
                            let i = self.i.wrapping_add(tile.wrapping_mul($height));
                            $(
                                let mut $row: Lane<S> = match start {
                                    Start::Zero => (zero, zero),
                                    Start::Add => load(c.wrapping_add(o.c_row.wrapping_mul($r))),
                                    Start::Bias(bias) => load(bias.as_ptr().wrapping_add(j)),
                                    Start::Picked(of, picks) => {
                                        let pick = *picks.as_ptr().wrapping_add(i.wrapping_add($r)) as usize;
                                        load(of.ptr.wrapping_add(pick.wrapping_mul(of.stride).wrapping_add(j)))
                                    }
                                };
                            )*
                            let mut a = rows;
                            let mut b = o.b.wrapping_add(p * o.b_step + j);
                            for _ in 0..whole {
                                let b0 = b.cast::<S::f32s>().read_unaligned();
                                let b1 =
                                    if W == 2 { b.wrapping_add(lanes).cast::<S::f32s>().read_unaligned() } else { zero };
                                $(
                                    let x = simd.splat_f32s(*a[$r / 3].wrapping_add(s.wrapping_mul($r % 3)));
                                    $row.0 = simd.mul_add_e_f32s(x, b0, $row.0);
                                    if W == 2 {
                                        $row.1 = simd.mul_add_e_f32s(x, b1, $row.1);
                                    }
                                )*
                                a = a.map(|at| at.wrapping_add(o.a_step));
                                b = b.wrapping_add(o.b_step);
                            }
                            if !FULL {
                                for _ in whole..steps {
                                    let (b0, b1) = load(b);
                                    $(
                                        let x = simd.splat_f32s(*a[$r / 3].wrapping_add(s.wrapping_mul($r % 3)));
                                        $row.0 = simd.mul_add_e_f32s(x, b0, $row.0);
                                        if W == 2 {
                                            $row.1 = simd.mul_add_e_f32s(x, b1, $row.1);
                                        }
                                    )*
                                    a = a.map(|at| at.wrapping_add(o.a_step));
                                    b = b.wrapping_add(o.b_step);
                                }
                            }
                            $(
                                let row = c.wrapping_add(o.c_row.wrapping_mul($r));
                                let (first, second) = match end {
                                    End::Keep => $row,
                                    // In this order a NaN survives on x86, so that a diverged model is noticed.
                                    End::Relu => (simd.max_f32s(zero, $row.0), simd.max_f32s(zero, $row.1)),
                                    End::Cut(x) => {
                                        let x = load(x.ptr.wrapping_add(i.wrapping_add($r).wrapping_mul(x.stride).wrapping_add(j)));
                                        let cut = |x, d| {
                                            simd.select_f32s(simd.less_than_or_equal_f32s(x, zero), zero, d)
                                        };
                                        (cut(x.0, $row.0), cut(x.1, $row.1))
                                    }
                                };
                                let (last, at) = if W == 2 {
                                    row.cast::<S::f32s>().write_unaligned(first);
                                    (second, row.wrapping_add(lanes))
                                } else {
                                    (first, row)
                                };
                                if FULL {
                                    at.cast::<S::f32s>().write_unaligned(last);
                                } else {
                                    simd.mask_store_ptr_f32s(tail, at, last);
                                }
                            )*
                            rows = rows.map(|at| at.wrapping_add($height * s));
                            c = c.wrapping_add($height * o.c_row);
                        }
                    }
                }
            }
        )*
    };
}

tiles! {
    Tile1: 1 r0 0;
    Tile2: 2 r0 0 r1 1;
    Tile3: 3 r0 0 r1 1 r2 2;
    Tile4: 4 r0 0 r1 1 r2 2 r3 3;
    Tile5: 5 r0 0 r1 1 r2 2 r3 3 r4 4;
    Tile6: 6 r0 0 r1 1 r2 2 r3 3 r4 4 r5 5;
    Tile7: 7 r0 0 r1 1 r2 2 r3 3 r4 4 r5 5 r6 6;
    Tile8: 8 r0 0 r1 1 r2 2 r3 3 r4 4 r5 5 r6 6 r7 7;
    Tile9: 9 r0 0 r1 1 r2 2 r3 3 r4 4 r5 5 r6 6 r7 7 r8 8;
    Tile10: 10 r0 0 r1 1 r2 2 r3 3 r4 4 r5 5 r6 6 r7 7 r8 8 r9 9;
    Tile11: 11 r0 0 r1 1 r2 2 r3 3 r4 4 r5 5 r6 6 r7 7 r8 8 r9 9 r10 10;
    Tile12: 12 r0 0 r1 1 r2 2 r3 3 r4 4 r5 5 r6 6 r7 7 r8 8 r9 9 r10 10 r11 11;
    Tile13: 13 r0 0 r1 1 r2 2 r3 3 r4 4 r5 5 r6 6 r7 7 r8 8 r9 9 r10 10 r11 11 r12 12;
    Tile14: 14 r0 0 r1 1 r2 2 r3 3 r4 4 r5 5 r6 6 r7 7 r8 8 r9 9 r10 10 r11 11 r12 12 r13 13;
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::scalar;
    use crate::rng::Rng;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn products_match_the_plain_triple_loop(m in 1usize..160, n in 1usize..70, k in 1usize..160, pad in 0usize..5) {
            let mut rng = Rng::new(3, (m * 10_000 + n * 100 + k) as u64);
            let mut random = |rows: usize, cols: usize| -> Vec<f32> {
                (0..rows * (cols + pad)).map(|_| rng.normal() as f32).collect()
            };
            let (x, w, w_t, dy) = (random(m, k), random(n, k), random(k, n), random(m, n));
            // SAFETY: the views cover `rows` rows of `cols + pad` values, which is what was made.
            let view = |v: &Vec<f32>, rows, cols: usize| unsafe { Mat::new(v.as_ptr(), rows, cols, cols + pad) };
            let compare = |out: &[f32], before: &[f32], cols: usize, plain: &[f64]| {
                for (i, p) in plain.iter().enumerate() {
                    let fast = out[i / cols * (cols + pad) + i % cols];
                    assert!((f64::from(fast) - p).abs() < 1e-4 * (1.0 + p.abs()), "{fast} against {p}");
                }
                for (i, (after, before)) in out.iter().zip(before).enumerate() {
                    assert!(i % (cols + pad) < cols || after == before, "wrote past a row");
                }
            };
            let packed = |v: &[f32], rows: usize, cols: usize| -> Vec<f64> {
                (0..rows * cols).map(|i| f64::from(v[i / cols * (cols + pad) + i % cols])).collect()
            };
            let bias: Vec<f32> = random(1, n)[..n].to_vec();
            for relu in [false, true] {
                let mut y = random(m, n);
                let before = y.clone();
                // SAFETY: as above.
                let mut out = unsafe { MatMut::new(y.as_mut_ptr(), m, n, n + pad) };
                forward(view(&x, m, k), view(&w_t, k, n), Start::Bias(&bias), relu, &mut out);
                let mut plain: Vec<f64> = (0..m * n).map(|i| f64::from(bias[i % n])).collect();
                scalar::gemm((m, n, k), (&x, (k + pad, 1)), (&w_t, (n + pad, 1)), &mut plain, true);
                if relu {
                    plain.iter_mut().for_each(|v| *v = v.max(0.0));
                }
                compare(&y, &before, n, &plain);
                // From picked rows, against rows that were copied before.
                let (of, mut copied) = (random(3, n), before.clone());
                let picks: Vec<u32> = (0..m).map(|i| (i * i % 3) as u32).collect();
                for (row, &pick) in copied.chunks_mut(n + pad).zip(&picks) {
                    row[..n].copy_from_slice(&of[pick as usize * (n + pad)..][..n]);
                }
                for (start, y) in [(Start::Picked(view(&of, 3, n), &picks), &mut y), (Start::Add, &mut copied)] {
                    // SAFETY: as above.
                    let mut out = unsafe { MatMut::new(y.as_mut_ptr(), m, n, n + pad) };
                    forward(view(&x, m, k), view(&w_t, k, n), start, relu, &mut out);
                }
                for (y, copied) in y.chunks(n + pad).zip(copied.chunks(n + pad)) {
                    assert_eq!(y[..n], copied[..n]);
                }
            }
            for add in [false, true] {
                let mut dx = random(m, k);
                let before = dx.clone();
                // SAFETY: as above.
                let mut out = unsafe { MatMut::new(dx.as_mut_ptr(), m, k, k + pad) };
                let mut plain = packed(&dx, m, k);
                input_grad(view(&dy, m, n), view(&w, n, k), &mut out, add, None);
                scalar::gemm((m, k, n), (&dy, (n + pad, 1)), (&w, (k + pad, 1)), &mut plain, add);
                compare(&dx, &before, k, &plain);
                // The same with ReLU's derivative, against a pass of its own.
                let mut cut = before.clone();
                let mut relu = x.clone();
                relu.iter_mut().step_by(3).for_each(|x| *x = 0.0);
                relu[0] = f32::NAN;
                // SAFETY: as above.
                let mut out = unsafe { MatMut::new(cut.as_mut_ptr(), m, k, k + pad) };
                input_grad(view(&dy, m, n), view(&w, n, k), &mut out, add, Some(view(&relu, m, k)));
                for (i, (cut, dx)) in cut.chunks(k + pad).zip(dx.chunks_mut(k + pad)).enumerate() {
                    crate::kernels::cut(&mut dx[..k], &relu[i * (k + pad)..][..k]);
                    assert_eq!(cut, dx);
                }
            }
            let mut dw = random(n, k);
            let before = dw.clone();
            let mut plain = packed(&dw, n, k);
            // SAFETY: as above.
            let mut out = unsafe { MatMut::new(dw.as_mut_ptr(), n, k, k + pad) };
            weight_grad(view(&dy, m, n), view(&x, m, k), &mut out);
            scalar::gemm((n, k, m), (&dy, (1, n + pad)), (&x, (k + pad, 1)), &mut plain, true);
            compare(&dw, &before, k, &plain);
        }
    }

    /// The gradient of a layer with one unit and more samples than a column that is copied.
    #[test]
    fn a_single_unit_of_many_samples() {
        let (m, k) = (3 * LONGEST + 7, 36);
        let mut rng = Rng::new(4, 0);
        let mut random =
            |len: usize| -> Vec<f32> { (0..len).map(|_| rng.normal() as f32).collect() };
        let (x, dy, mut dw) = (random(m * k), random(m), random(k));
        let mut plain: Vec<f64> = dw.iter().map(|v| f64::from(*v)).collect();
        // SAFETY: the view covers what was made.
        let mut out = unsafe { MatMut::new(dw.as_mut_ptr(), 1, k, k) };
        weight_grad(Mat::packed(&dy, 1), Mat::packed(&x, k), &mut out);
        scalar::gemm((1, k, m), (&dy, (1, 1)), (&x, (k, 1)), &mut plain, true);
        for (fast, p) in dw.iter().zip(&plain) {
            assert!((f64::from(*fast) - p).abs() < 1e-3 * (1.0 + p.abs()), "{fast} against {p}");
        }
    }
}
