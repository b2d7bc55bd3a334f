//! A batch: what one step learns from, cut into micro-batches.

use crate::graph::Model;
use crate::loss::LossSum;
use crate::real::Real;

/// The rows of one step, in micro-batches whose activations fit a core's cache. The cut must not depend on the number
/// of threads.
pub struct Batch<T = f32> {
    micros: Vec<Micro<T>>,
    /// Those in use; the others keep their memory for a larger batch.
    used: usize,
}

/// One micro-batch: rows of every domain, the ids looked up, dense inputs and maps. All row numbers are local to it.
///
/// Three impressions of two requests, where each request has a bag of past items:
///
/// ```text
/// domain     rows   map to request
/// request    2      -
/// impression 3      [0, 0, 1]
/// event      4      [0, 1, 1, 1]      ids of the event site: 4 ids
/// ```
pub struct Micro<T = f32> {
    /// Rows per domain, in the order the graph declared them.
    pub rows: Vec<usize>,
    /// Ids per lookup, one for each row of the lookup's domain.
    pub ids: Vec<Vec<u32>>,
    /// Values per input, row-major.
    pub inputs: Vec<Vec<T>>,
    /// Per map: for each row of its child domain the row of its parent domain.
    pub maps: Vec<Vec<u32>>,
    /// Gradients of the looked-up rows, filled by the engine: `[rows, dim]` per lookup.
    pub(crate) row_grads: Vec<Vec<T>>,
    pub(crate) losses: Vec<LossSum>,
}

impl<T: Real> Batch<T> {
    /// An empty batch of `n_micros` micro-batches for `model`.
    pub fn new(model: &Model<T>, n_micros: usize) -> Self {
        Self { micros: (0..n_micros).map(|_| Micro::new(model)).collect(), used: n_micros }
    }

    /// The micro-batches.
    pub fn micros(&self) -> &[Micro<T>] {
        &self.micros[..self.used]
    }

    /// The micro-batches, to fill.
    pub fn micros_mut(&mut self) -> &mut [Micro<T>] {
        &mut self.micros[..self.used]
    }

    /// Makes it `n_micros` long; new ones are empty, old ones keep rows and memory.
    pub fn resize(&mut self, model: &Model<T>, n_micros: usize) {
        while self.micros.len() < n_micros {
            self.micros.push(Micro::new(model));
        }
        self.used = n_micros;
    }
}

impl<T: Real> Micro<T> {
    /// An empty micro-batch for `model`.
    pub fn new(model: &Model<T>) -> Self {
        Self {
            rows: vec![0; model.domains.len()],
            ids: vec![Vec::new(); model.sites.len()],
            inputs: vec![Vec::new(); model.inputs.len()],
            maps: vec![Vec::new(); model.maps.len()],
            row_grads: vec![Vec::new(); model.sites.len()],
            losses: vec![LossSum::default(); model.losses.len()],
        }
    }

    /// Forgets all rows, keeps the memory.
    pub fn clear(&mut self) {
        self.rows.fill(0);
        self.ids.iter_mut().for_each(Vec::clear);
        self.inputs.iter_mut().for_each(Vec::clear);
        self.maps.iter_mut().for_each(Vec::clear);
    }

    /// # Panics
    ///
    /// If a length does not fit the rows, or an id or map entry is out of range: a fault of the caller. Inputs that only
    /// losses read are not needed for going forward.
    pub(crate) fn check(&self, model: &Model<T>, training: bool) {
        for (site, ids) in model.sites.iter().zip(&self.ids) {
            let table = &model.tables[site.table.0];
            assert_eq!(ids.len(), self.rows[site.domain.0], "ids of table `{}`", table.name);
            let largest = ids.iter().copied().max().unwrap_or(0) as usize;
            assert!(
                largest < table.rows,
                "id {largest} of table `{}` with {} rows",
                table.name,
                table.rows
            );
        }
        for (input, values) in model.inputs.iter().zip(&self.inputs) {
            if !training && !input.forward {
                continue;
            }
            assert_eq!(values.len(), self.rows[input.domain.0] * input.cols, "values of an input");
        }
        for (map, parents) in model.maps.iter().zip(&self.maps) {
            assert_eq!(parents.len(), self.rows[map.child.0], "entries of a map");
            let largest = parents.iter().copied().max().map_or(0, |row| row as usize + 1);
            assert!(largest <= self.rows[map.parent.0], "a map points past its parent domain");
        }
    }
}
