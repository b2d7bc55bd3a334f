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

/// Who owns a row, of `owners`.
#[inline(always)]
fn owner_of(row: u32, owners: u32) -> u32 {
    // A multiplication spreads rows evenly where a remainder would take a division.
    let spread = (row / OWNED_TOGETHER).wrapping_mul(0x9e37_79b1);
    ((u64::from(spread) * u64::from(owners)) >> 32) as u32
}

const NONE: u32 = u32::MAX;

/// Rows between asking for one and using it.
const AHEAD: usize = 8;

/// Summed gradients of the rows one thread owns, of one table at a time. Grows to the largest batch seen.
pub(crate) struct RowUpdate<T> {
    /// Places among the ids of a lookup whose rows it owns.
    own: Vec<u32>,
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
        Self { own: Vec::new(), rows: Vec::new(), sums: Vec::new() }
    }

    /// Finds the places whose rows belong to `owner`: all of them first, so that no branch has to be guessed.
    #[inline(always)]
    fn own_of(&mut self, ids: &[u32], owner: u32, owners: u32) {
        self.own.clear();
        self.own.resize(ids.len(), 0);
        let mut n = 0;
        for (i, &row) in ids.iter().enumerate() {
            self.own[n] = i as u32;
            n += usize::from(owner_of(row, owners) == owner);
        }
        self.own.truncate(n);
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
                                let ids = &micro.ids[site];
                                self.own_of(ids, owner, owners);
                                for &i in &self.own {
                                    let row = ids[i as usize];
                                    // SAFETY: ids were checked, and the row belongs to this owner.
                                    let slot = unsafe { &mut *table.slots.add(row as usize) };
                                    if *slot == NONE {
                                        *slot = self.rows.len() as u32;
                                        self.rows.push(row);
                                        self.sums.resize(self.sums.len() + dim, T::ZERO);
                                    }
                                }
                            }
                            continue;
                        }
                        let (grads, ids) = (&micro.row_grads[site], &micro.ids[site]);
                        self.own_of(ids, owner, owners);
                        for at in 0..self.own.len() {
                            if let Some(&ahead) = self.own.get(at + 2 * AHEAD) {
                                let (ahead, row) = (ahead as usize * dim, ids[ahead as usize]);
                                kernels::prefetch(grads, ahead, dim);
                                kernels::prefetch_any(table.slots.wrapping_add(row as usize));
                            }
                            let i = self.own[at] as usize;
                            let (row, grad) = (ids[i], &grads[i * dim..(i + 1) * dim]);
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

#[cfg(test)]
mod tests {
    use super::{OWNED_TOGETHER, owner_of};

    /// Neighbours have one owner, and owners have about as many rows each, whatever the ids are.
    #[test]
    fn owners_share_rows_evenly() {
        for owners in [1, 2, 3, 8] {
            for distance in [1, 16, 100, 4096] {
                let mut rows = vec![0; owners as usize];
                for row in (0..10_000).map(|i| i * distance) {
                    let owner = owner_of(row, owners);
                    assert_eq!(owner, owner_of(row / OWNED_TOGETHER * OWNED_TOGETHER, owners));
                    rows[owner as usize] += 1;
                }
                let even = 10_000 / owners;
                assert!(rows.iter().all(|&n| n > even / 2 && n < 2 * even), "{rows:?}");
            }
        }
    }
}
