//! Gradients of looked-up rows, summed per row in sample order, then applied.
//!
//! Each row belongs to one thread, so no two threads write the same row, and the sum over a row's occurrences runs in
//! the order (micro-batch, lookup, position), so the bits do not depend on the number of threads.

use super::Table;
use crate::batch::Micro;
use crate::graph::Model;
use crate::kernels::{self, vectorised};
use crate::optim::TableStep;
use crate::real::Real;

/// Rows that go to one owner together: their slots fill a cache line, so owners do not share lines.
const OWNED_TOGETHER: u32 = 16;

const NONE: u32 = u32::MAX;

/// Rows between asking for one and using it.
const AHEAD: usize = 8;

/// Summed gradients of the rows one thread owns, of one table at a time. Grows to the largest batch seen.
pub(crate) struct RowUpdate<T> {
    /// Table row of each slot.
    rows: Vec<u32>,
    /// `[slots, dim]`.
    sums: Vec<T>,
}

/// Slot of every row of a table in the update under way; [`NONE`] otherwise. One vector for all owners, each of which
/// touches its own rows only.
pub(crate) struct Slots {
    of_row: Vec<u32>,
}

impl Slots {
    pub(crate) fn new(rows: usize) -> Self {
        Self { of_row: vec![NONE; rows] }
    }

    pub(crate) fn bytes(&self) -> usize {
        size_of_val(&self.of_row[..])
    }
}

/// Raw access to one table for several owners at once.
pub(crate) struct SharedTable<T> {
    dim: usize,
    rows: usize,
    state_per_row: usize,
    values: *mut T,
    state: *mut T,
    slots: *mut u32,
}

// SAFETY: owners reach disjoint rows only (see `RowUpdate::run`).
unsafe impl<T: Send> Sync for SharedTable<T> {}
// SAFETY: as above; it is only a set of pointers into memory borrowed for as long.
unsafe impl<T: Send> Send for SharedTable<T> {}

impl<T: Real> SharedTable<T> {
    pub(crate) fn new(table: &mut Table<T>, slots: &mut Slots) -> Self {
        Self {
            dim: table.dim,
            rows: table.rows,
            state_per_row: table.state.len() / table.rows,
            values: table.values.as_mut_ptr(),
            state: table.state.as_mut_ptr(),
            slots: slots.of_row.as_mut_ptr(),
        }
    }
}

impl<T: Real> RowUpdate<T> {
    pub(crate) fn new() -> Self {
        Self { rows: Vec::new(), sums: Vec::new() }
    }

    /// Numbers it has room for.
    pub(crate) fn values_held(&self) -> usize {
        self.sums.capacity()
    }

    /// Applies `step` to the rows of `table` (number `index`) that `owner` of `owners` owns; `projected` holds the gradients
    /// of all its rows where layers read it through a product. Returns false where a gradient is not finite.
    ///
    /// # Safety
    /// `table` was made for this round from exclusively borrowed memory; every owner number is used by one thread.
    pub(crate) unsafe fn run(
        &mut self,
        (table, index): (&SharedTable<T>, usize),
        (model, projected): (&Model<T>, Option<&[T]>),
        micros: &[Micro<T>],
        (owner, owners): (u32, u32),
        step: &TableStep<T>,
    ) -> bool {
        let dim = table.dim;
        self.rows.clear();
        self.sums.clear();
        vectorised(
            #[inline(always)]
            || {
                for micro in micros {
                    for (site, spec) in model.sites.iter().enumerate() {
                        if spec.table.0 != index {
                            continue;
                        }
                        if micro.row_grads[site].is_empty() {
                            // Read through a product, or by no loss at all.
                            if projected.is_some() && model.is_projected(site) {
                                for &row in &micro.ids[site] {
                                    if owners == 1 || row / OWNED_TOGETHER % owners == owner {
                                        // SAFETY: ids were checked, and the row belongs to this owner.
                                        let slot = unsafe { &mut *table.slots.add(row as usize) };
                                        if *slot == NONE {
                                            *slot = self.rows.len() as u32;
                                            self.rows.push(row);
                                            self.sums.resize(self.sums.len() + dim, T::ZERO);
                                        }
                                    }
                                }
                            }
                            continue;
                        }
                        let grads = micro.row_grads[site].chunks_exact(dim);
                        let ids = &micro.ids[site];
                        for (i, (&row, grad)) in ids.iter().zip(grads).enumerate() {
                            if let Some(&ahead) = ids.get(i + 2 * AHEAD) {
                                kernels::prefetch_any(table.slots.wrapping_add(ahead as usize));
                            }
                            if owners > 1 && row / OWNED_TOGETHER % owners != owner {
                                continue;
                            }
                            assert!((row as usize) < table.rows, "row {row} of {}", table.rows);
                            // SAFETY: the row is in range and belongs to this owner.
                            let slot = unsafe { &mut *table.slots.add(row as usize) };
                            if *slot == NONE {
                                *slot = self.rows.len() as u32;
                                self.rows.push(row);
                                self.sums.extend_from_slice(grad);
                            } else {
                                let start = *slot as usize * dim;
                                kernels::add(&mut self.sums[start..start + dim], grad);
                            }
                        }
                    }
                }
                if let Some(projected) = projected {
                    for (&row, sum) in self.rows.iter().zip(self.sums.chunks_exact_mut(dim)) {
                        kernels::add(sum, &projected[row as usize * dim..][..dim]);
                    }
                }
                let mut finite = true;
                for (i, (&row, sum)) in
                    self.rows.iter().zip(self.sums.chunks_exact(dim)).enumerate()
                {
                    if let Some(&ahead) = self.rows.get(i + AHEAD) {
                        let (ahead, state) = (ahead as usize, table.state_per_row);
                        // SAFETY: `ahead` was checked when it was pushed.
                        unsafe {
                            kernels::prefetch_raw(table.values.add(ahead * dim), dim);
                            kernels::prefetch_raw(table.state.add(ahead * state), state);
                        }
                    }
                    let row = row as usize;
                    // SAFETY: the row is in range and belongs to this owner alone, values, state and slot.
                    let (values, state) = unsafe {
                        *table.slots.add(row) = NONE;
                        (
                            std::slice::from_raw_parts_mut(table.values.add(row * dim), dim),
                            std::slice::from_raw_parts_mut(
                                table.state.add(row * table.state_per_row),
                                table.state_per_row,
                            ),
                        )
                    };
                    finite &= step.apply(values, state, sum);
                }
                finite
            },
        )
    }
}
