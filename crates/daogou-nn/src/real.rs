//! The number type of a graph: `f32` trains, `f64` checks gradients.

use crate::kernels::product::{self, Operands};
use crate::kernels::softmax;
use std::fmt::Debug;
use std::ops::{Add, AddAssign, Div, Mul, MulAssign, Neg, Sub, SubAssign};

/// A floating-point type a graph can run on.
///
/// Functions that appear in inner loops (`exp`, `ln_1p_unit`) are branch-free for `f32`, so that a loop over them
/// vectorises; for `f64` they are the standard library's.
pub trait Real:
    Copy
    + Default
    + Debug
    + PartialOrd
    + Send
    + Sync
    + 'static
    + Add<Output = Self>
    + Sub<Output = Self>
    + Mul<Output = Self>
    + Div<Output = Self>
    + Neg<Output = Self>
    + AddAssign
    + SubAssign
    + MulAssign
{
    /// 0.
    const ZERO: Self;
    /// 1.
    const ONE: Self;
    /// Nearest value to a `f64`.
    fn of(value: f64) -> Self;
    /// As `f64`.
    fn f64(self) -> f64;
    /// e^x. NaN and infinities give NaN, so that a diverged value is never hidden.
    fn exp(self) -> Self;
    /// ln(1 + u) for u in `[0, 1]`.
    fn ln_1p_unit(self) -> Self;
    /// ln x for positive normal x.
    fn ln(self) -> Self;
    /// Square root.
    fn sqrt(self) -> Self;
    /// The larger of two numbers.
    fn max(self, other: Self) -> Self;
    /// The smaller of two numbers.
    fn min(self, other: Self) -> Self;
    /// Absolute value.
    fn abs(self) -> Self;
    /// Neither NaN nor infinite.
    fn is_finite(self) -> bool;

    /// A matrix product; see [`crate::kernels::product`].
    #[doc(hidden)]
    fn product(operands: &Operands<'_, Self>);
    /// A softmax; see [`crate::kernels::softmax`].
    #[doc(hidden)]
    fn softmax(z: &[Self], out: &mut [Self]) -> (Self, Self);

    /// 1 / (1 + e^-z), from e^-|z| so that it never overflows.
    #[inline(always)]
    fn sigmoid(self) -> Self {
        let u = (-self.abs()).exp();
        let small = Self::ONE / (Self::ONE + u);
        // For z < 0 the answer is u / (1 + u).
        if self < Self::ZERO { u * small } else { small }
    }

    /// ln(1 + e^z), computed as max(z, 0) + ln(1 + e^-|z|): finite for every finite z.
    #[inline(always)]
    fn softplus(self) -> Self {
        self.max(Self::ZERO) + (-self.abs()).exp().ln_1p_unit()
    }
}

impl Real for f64 {
    fn product(operands: &Operands<'_, Self>) {
        product::plain(operands);
    }
    fn softmax(z: &[Self], out: &mut [Self]) -> (Self, Self) {
        softmax::plain(z, out)
    }
    const ZERO: Self = 0.0;
    const ONE: Self = 1.0;
    #[inline(always)]
    fn of(value: f64) -> Self {
        value
    }
    #[inline(always)]
    fn f64(self) -> f64 {
        self
    }
    #[inline(always)]
    fn exp(self) -> Self {
        Self::exp(self) + 0.0 * self
    }
    #[inline(always)]
    fn ln_1p_unit(self) -> Self {
        self.ln_1p()
    }
    #[inline(always)]
    fn ln(self) -> Self {
        Self::ln(self)
    }
    #[inline(always)]
    fn sqrt(self) -> Self {
        Self::sqrt(self)
    }
    #[inline(always)]
    fn max(self, other: Self) -> Self {
        if other > self { other } else { self }
    }
    #[inline(always)]
    fn min(self, other: Self) -> Self {
        if self < other { self } else { other }
    }
    #[inline(always)]
    fn abs(self) -> Self {
        Self::abs(self)
    }
    #[inline(always)]
    fn is_finite(self) -> bool {
        Self::is_finite(self)
    }
}

impl Real for f32 {
    fn product(operands: &Operands<'_, Self>) {
        product::tiled(operands);
    }
    #[inline(always)]
    fn softmax(z: &[Self], out: &mut [Self]) -> (Self, Self) {
        softmax::vectors(z, out)
    }
    const ZERO: Self = 0.0;
    const ONE: Self = 1.0;
    #[inline(always)]
    fn of(value: f64) -> Self {
        value as Self
    }
    #[inline(always)]
    fn f64(self) -> f64 {
        f64::from(self)
    }
    /// Range reduction x = n·ln 2 + r, |r| ≤ ½ ln 2, a polynomial of degree 6 in r, and 2^n by its bits.
    /// Relative error below 3e-7 on `[-87, 88]`; below that it flushes to about 1e-38.
    #[inline(always)]
    fn exp(self) -> Self {
        // Adding 1.5 * 2^23 rounds to the nearest integer and leaves it in the low bits.
        const ROUND: f32 = 12_582_912.0;
        let x = if self < -87.0 { -87.0 } else { self };
        let x = if x > 88.0 { 88.0 } else { x };
        let shifted = x * std::f32::consts::LOG2_E + ROUND;
        let n = shifted - ROUND;
        let r = x - n * 0.693_359_4 - n * -2.121_944_4e-4;
        let p = 1.0
            + r * (1.0
                + r * (0.5
                    + r * (0.166_666_66
                        + r * (0.041_666_64 + r * (0.008_333_693 + r * 0.001_394_19)))));
        let exponent = shifted.to_bits().wrapping_sub(ROUND.to_bits()).wrapping_add(127) << 23;
        p * Self::from_bits(exponent) + 0.0 * self
    }
    /// 2·artanh(u / (2 + u)) as a series; relative error below 2e-7.
    #[inline(always)]
    fn ln_1p_unit(self) -> Self {
        let s = self / (2.0 + self);
        let q = s * s;
        2.0 * s
            * (1.0
                + q * (1.0 / 3.0
                    + q * (0.2
                        + q * (1.0 / 7.0 + q * (1.0 / 9.0 + q * (1.0 / 11.0 + q * (1.0 / 13.0)))))))
    }
    /// x = 2^n · m with m in `[√½, √2)`; ln m = 2·artanh((m − 1) / (m + 1)) as a series.
    #[inline(always)]
    fn ln(self) -> Self {
        // The bits of √½, so that the mantissa left over is centred on 1.
        const CENTRE: u32 = 0x3f35_04f3;
        let bits = self.to_bits().wrapping_sub(CENTRE);
        let n = ((bits as i32) >> 23) as Self;
        let m = Self::from_bits((bits & 0x007f_ffff).wrapping_add(CENTRE));
        let s = (m - 1.0) / (m + 1.0);
        let q = s * s;
        let series =
            2.0 * s * (1.0 + q * (1.0 / 3.0 + q * (0.2 + q * (1.0 / 7.0 + q * (1.0 / 9.0)))));
        n * std::f32::consts::LN_2 + series + 0.0 * self
    }
    #[inline(always)]
    fn sqrt(self) -> Self {
        Self::sqrt(self)
    }
    #[inline(always)]
    fn max(self, other: Self) -> Self {
        if other > self { other } else { self }
    }
    #[inline(always)]
    fn min(self, other: Self) -> Self {
        if self < other { self } else { other }
    }
    #[inline(always)]
    fn abs(self) -> Self {
        Self::abs(self)
    }
    #[inline(always)]
    fn is_finite(self) -> bool {
        Self::is_finite(self)
    }
}

#[cfg(test)]
mod tests {
    use super::Real;

    #[test]
    fn fast_f32_functions_match_the_standard_library() {
        let mut x = -86.9f32;
        while x < 87.9 {
            let (fast, exact) = (Real::exp(x), f64::from(x).exp());
            assert!(
                (fast.f64() - exact).abs() <= 4e-7 * exact,
                "exp({x}) = {fast}, expected {exact}"
            );
            x += 0.003_7;
        }
        let mut x = 1e-30f32;
        while x < 1e30 {
            let (fast, exact) = (Real::ln(x), f64::from(x).ln());
            assert!(
                (fast.f64() - exact).abs() <= 4e-7 * exact.abs().max(0.3),
                "ln({x}) = {fast}, expected {exact}"
            );
            x *= 1.003;
        }
        for step in 0..=10_000 {
            let u = step as f32 / 10_000.0;
            let (fast, exact) = (u.ln_1p_unit(), f64::from(u).ln_1p());
            assert!(
                (fast.f64() - exact).abs() <= 4e-7 * exact,
                "ln_1p({u}) = {fast}, expected {exact}"
            );
        }
    }

    #[test]
    fn extreme_arguments_stay_finite_and_nan_is_not_hidden() {
        for z in [-1e4f32, -100.0, -40.0, 0.0, 40.0, 100.0, 1e4] {
            assert!((0.0..=1.0).contains(&z.sigmoid()) && z.softplus() >= 0.0, "z = {z}");
        }
        assert!(
            Real::exp(f32::NAN).is_nan()
                && f32::NAN.sigmoid().is_nan()
                && f32::NAN.softplus().is_nan()
        );
        assert!(Real::exp(f32::INFINITY).is_nan());
    }
}
