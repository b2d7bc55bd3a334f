//! Memory that starts where a cache line does.

use std::mem::MaybeUninit;
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
            let lines = len.div_ceil(LINE);
            self.lines.reserve_exact(lines.saturating_sub(self.lines.len()));
            ask_for_large_pages(self.lines.spare_capacity_mut());
            self.lines.resize(lines, Line([T::ZERO; LINE]));
            self.len = len;
        }
    }
}

/// Bytes from which on memory is asked to come in large pages.
const LARGE: usize = 4 << 20;

/// Asks for large pages where there are so many bytes that random rows of them would not find their ordinary pages in the
/// processor's list of the last few thousand. Advice: whether it is taken does not matter to anybody.
fn ask_for_large_pages<T>(memory: &mut [MaybeUninit<T>]) {
    #[cfg(target_os = "linux")]
    if size_of_val(memory) >= LARGE {
        // The advice is about whole pages, of which large ones are made where there are enough of them.
        const PAGE: usize = 4096;
        let skipped = memory.as_ptr().addr().next_multiple_of(PAGE) - memory.as_ptr().addr();
        let len = (size_of_val(memory) - skipped) / PAGE * PAGE;
        // SAFETY: the range lies inside memory that is borrowed here, and the advice changes no value.
        unsafe {
            libc::madvise(memory.as_mut_ptr().byte_add(skipped).cast(), len, libc::MADV_HUGEPAGE);
        }
    }
    #[cfg(not(target_os = "linux"))]
    let _ = memory;
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
        for len in [2, 17, 40_000, 3_000_000] {
            values.grow(len);
            assert_eq!((values.len(), &values[..3]), (len.max(3), &[1.0, 2.0, 3.0][..]));
            assert!(values[3..].iter().all(|v| *v == 0.0));
            assert_eq!(values.as_ptr().addr() % 64, 0);
        }
    }
}
