//! Row-major views with a row stride, over the buffers of a workspace.

use std::marker::PhantomData;

/// Distance of rows that are `cols` long: whole vectors, so that each row starts a cache line, and no large power of two, so
/// that the lines of a column do not compete for the same few places of a cache.
pub(crate) fn row_distance(cols: usize) -> usize {
    let vectors = cols.div_ceil(16);
    16 * if vectors.is_multiple_of(4) { vectors + 1 } else { vectors }
}

/// A read-only matrix view: row `i` is `cols` values starting at `ptr + i * stride`.
#[derive(Clone, Copy)]
pub(crate) struct Mat<'a, T> {
    pub(crate) ptr: *const T,
    pub(crate) rows: usize,
    pub(crate) cols: usize,
    pub(crate) stride: usize,
    life: PhantomData<&'a T>,
}

/// A writable matrix view.
pub(crate) struct MatMut<'a, T> {
    pub(crate) ptr: *mut T,
    pub(crate) rows: usize,
    pub(crate) cols: usize,
    pub(crate) stride: usize,
    life: PhantomData<&'a mut T>,
}

impl<'a, T> Mat<'a, T> {
    /// # Safety
    /// Rows `0..rows` of `cols` values at this stride lie inside one live allocation that nobody writes through
    /// another pointer while this view is read.
    pub(crate) unsafe fn new(ptr: *const T, rows: usize, cols: usize, stride: usize) -> Self {
        Self { ptr, rows, cols, stride, life: PhantomData }
    }

    /// Over a slice of packed rows.
    pub(crate) fn packed(values: &'a [T], cols: usize) -> Self {
        Self {
            ptr: values.as_ptr(),
            rows: values.len() / cols,
            cols,
            stride: cols,
            life: PhantomData,
        }
    }

    /// Over a slice, with rows, columns and distance of rows.
    pub(crate) fn strided(values: &'a [T], (rows, cols, stride): (usize, usize, usize)) -> Self {
        assert!(
            rows == 0 || (rows - 1) * stride + cols <= values.len(),
            "a matrix past its values"
        );
        Self { ptr: values.as_ptr(), rows, cols, stride, life: PhantomData }
    }

    /// Its first columns.
    pub(crate) fn columns(self, cols: usize) -> Self {
        assert!(cols <= self.cols, "{cols} columns of {}", self.cols);
        Self { cols, ..self }
    }

    /// Some of its rows.
    pub(crate) fn rows(&self, rows: std::ops::Range<usize>) -> Self {
        assert!(rows.start <= rows.end && rows.end <= self.rows, "rows {rows:?} of {}", self.rows);
        Self { ptr: self.ptr.wrapping_add(rows.start * self.stride), rows: rows.len(), ..*self }
    }

    #[inline(always)]
    pub(crate) fn row(&self, i: usize) -> &'a [T] {
        assert!(i < self.rows, "row {i} of {}", self.rows);
        // SAFETY: `i < rows`, so the row is inside the allocation promised to `new`.
        unsafe { std::slice::from_raw_parts(self.ptr.add(i * self.stride), self.cols) }
    }
}

impl<'a, T> MatMut<'a, T> {
    /// # Safety
    /// As [`Mat::new`], and nobody else reads or writes these columns while this view is used.
    pub(crate) unsafe fn new(ptr: *mut T, rows: usize, cols: usize, stride: usize) -> Self {
        Self { ptr, rows, cols, stride, life: PhantomData }
    }

    /// Over a slice, with rows, columns and distance of rows.
    pub(crate) fn strided(
        values: &'a mut [T],
        (rows, cols, stride): (usize, usize, usize),
    ) -> Self {
        assert!(
            rows == 0 || (rows - 1) * stride + cols <= values.len(),
            "a matrix past its values"
        );
        Self { ptr: values.as_mut_ptr(), rows, cols, stride, life: PhantomData }
    }

    #[inline(always)]
    pub(crate) fn row(&mut self, i: usize) -> &mut [T] {
        assert!(i < self.rows, "row {i} of {}", self.rows);
        // SAFETY: `i < rows`, so the row is inside the allocation promised to `new`, and `&mut self` is exclusive.
        unsafe { std::slice::from_raw_parts_mut(self.ptr.add(i * self.stride), self.cols) }
    }

    /// Its first columns.
    pub(crate) fn columns(self, cols: usize) -> Self {
        assert!(cols <= self.cols, "{cols} columns of {}", self.cols);
        Self { cols, ..self }
    }

    #[inline(always)]
    pub(crate) fn as_mat(&self) -> Mat<'_, T> {
        Mat {
            ptr: self.ptr,
            rows: self.rows,
            cols: self.cols,
            stride: self.stride,
            life: PhantomData,
        }
    }
}
