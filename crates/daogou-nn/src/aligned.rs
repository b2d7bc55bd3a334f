//! Memory that starts where a cache line does.

use std::ops::{Deref, DerefMut};

use crate::real::Real;

/// Values of one line, or two where they are wide.
const LINE: usize = 16;

/// Like a vector of values, the first of which starts a cache line. A large [`Vec`] starts 16 bytes into one, so that rows
/// as long as a line touch two, and a vector register is filled from both.
#[derive(Clone, Debug, Default)]
pub(crate) struct Aligned<T> {
    lines: Vec<Line<T>>,
    len: usize,
}

#[derive(Clone, Copy, Debug)]
#[repr(align(64))]
struct Line<T>([T; LINE]);

impl<T: Real> Aligned<T> {
    /// So many zeros.
    pub(crate) fn zeros(len: usize) -> Self {
        let mut new = Self::default();
        new.grow(len);
        new
    }

    /// Zeros behind what is there, up to a length.
    pub(crate) fn grow(&mut self, len: usize) {
        const { assert!(size_of::<Line<T>>() == LINE * size_of::<T>(), "lines without a gap") }
        if len > self.len {
            self.lines.resize(len.div_ceil(LINE), Line([T::ZERO; LINE]));
            self.len = len;
        }
    }
}

impl<T> Deref for Aligned<T> {
    type Target = [T];
    fn deref(&self) -> &[T] {
        // SAFETY: lines follow each other without a gap and hold `len` values or more.
        unsafe { std::slice::from_raw_parts(self.lines.as_ptr().cast(), self.len) }
    }
}

impl<T> DerefMut for Aligned<T> {
    fn deref_mut(&mut self) -> &mut [T] {
        // SAFETY: as above.
        unsafe { std::slice::from_raw_parts_mut(self.lines.as_mut_ptr().cast(), self.len) }
    }
}

#[cfg(test)]
mod tests {
    use super::Aligned;

    #[test]
    fn values_stay_when_it_grows_and_the_rest_is_zero() {
        let mut values = Aligned::<f32>::zeros(3);
        values.copy_from_slice(&[1.0, 2.0, 3.0]);
        for len in [2, 17, 40_000] {
            values.grow(len);
            assert_eq!((values.len(), &values[..3]), (len.max(3), &[1.0, 2.0, 3.0][..]));
            assert!(values[3..].iter().all(|v| *v == 0.0));
            assert_eq!(values.as_ptr().addr() % 64, 0);
        }
    }
}
