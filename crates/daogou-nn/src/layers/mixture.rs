//! A weighted sum of nodes, with weights per row: gates over experts.

use super::{Op, Pass, give};
use crate::graph::{GradMode, NodeId};
use crate::kernels::{LANES, dot, fold, vectorised};
use crate::matrix::Mat;
use crate::real::Real;

/// `y_k = Σ_j g_kj · e_j` per row, with one column of a gate per expert and what the gates let through side by side. Two
/// gates at a time meet the experts, which are read and whose gradients are written once for both.
pub(crate) struct Mixture {
    pub(crate) gates: Vec<NodeId>,
    pub(crate) experts: Vec<NodeId>,
    pub(crate) out: NodeId,
}

/// Experts added up before the sum is written.
const TOGETHER: usize = 8;

/// Rows whose gradients stay in the nearest cache while they meet one expert after the other.
const BLOCK: usize = 16;

/// One vector, from column `c` on.
#[inline(always)]
fn vector<T: Real>(row: &[T], c: usize) -> [T; LANES] {
    *row[c..].first_chunk().expect("as many columns")
}

/// Writes it.
#[inline(always)]
fn set_vector<T: Real>(row: &mut [T], c: usize, to: [T; LANES]) {
    *row[c..].first_chunk_mut().expect("as many columns") = to;
}

/// `y_k = Σ_j g_kj · e_j` of one row, added to what is there if asked.
#[inline(always)]
fn mix<T: Real, const K: usize>(y: &mut [T], gates: [&[T]; K], experts: &[&[T]], add: bool) {
    let cols = y.len() / K;
    let whole = cols / LANES * LANES;
    for c in (0..whole).step_by(LANES) {
        let mut sums = [[T::ZERO; LANES]; K];
        if add {
            for k in 0..K {
                sums[k] = vector(y, k * cols + c);
            }
        }
        for (j, e) in experts.iter().enumerate() {
            let e = vector(e, c);
            for k in 0..K {
                let g = gates[k][j];
                for i in 0..LANES {
                    sums[k][i] += g * e[i];
                }
            }
        }
        for k in 0..K {
            set_vector(y, k * cols + c, sums[k]);
        }
    }
    for k in 0..K {
        for c in whole..cols {
            let start = if add { y[k * cols + c] } else { T::ZERO };
            let terms = gates[k].iter().zip(experts);
            y[k * cols + c] = terms.fold(start, |sum, (&g, e)| sum + g * e[c]);
        }
    }
}

/// Of one row, `de (+)= Σ_k g_k · dy_k`, with ReLU's derivative if asked; returns e · dy_k.
#[inline(always)]
fn unmix<T: Real, const K: usize, const ADD: bool>(
    dy: &[T],
    (gates, e): ([T; K], &[T]),
    de: &mut [T],
    cut: bool,
) -> [T; K] {
    let cols = dy.len() / K;
    let whole = cols / LANES * LANES;
    // No value is at most NaN.
    let zero_to = if cut { T::ZERO } else { T::of(f64::NAN) };
    let mut likes = [[T::ZERO; LANES]; K];
    for c in (0..whole).step_by(LANES) {
        let e = vector(e, c);
        let mut sum = if ADD { vector(de, c) } else { [T::ZERO; LANES] };
        for k in 0..K {
            let (g, dy) = (gates[k], vector(dy, k * cols + c));
            for i in 0..LANES {
                likes[k][i] += e[i] * dy[i];
                sum[i] += g * dy[i];
            }
        }
        for i in 0..LANES {
            sum[i] = if e[i] <= zero_to { T::ZERO } else { sum[i] };
        }
        set_vector(de, c, sum);
    }
    for c in whole..cols {
        let mut sum = if ADD { de[c] } else { T::ZERO };
        for k in 0..K {
            let dy = dy[k * cols + c];
            likes[k][c - whole] += e[c] * dy;
            sum += gates[k] * dy;
        }
        de[c] = if e[c] <= zero_to { T::ZERO } else { sum };
    }
    likes.map(|lanes| fold(lanes, |a, b| a + b))
}

impl Mixture {
    /// What `K` gates let through, from number `first` on.
    fn forward_of<const K: usize, T: Real>(&self, pass: &mut Pass<'_, T>, first: usize) {
        let gates: [Mat<'_, T>; K] = std::array::from_fn(|k| pass.value(self.gates[first + k]));
        let mut out = pass.value_mut(self.out);
        let cols = out.cols / self.gates.len();
        for (part, nodes) in self.experts.chunks(TOGETHER).enumerate() {
            let mut experts = [pass.value(nodes[0]); TOGETHER];
            nodes.iter().zip(&mut experts).for_each(|(node, expert)| *expert = pass.value(*node));
            vectorised(
                #[inline(always)]
                || {
                    for i in 0..out.rows {
                        let own = part * TOGETHER..part * TOGETHER + nodes.len();
                        let gates = gates.map(|gate| &gate.row(i)[own.clone()]);
                        let experts = experts.map(|expert| expert.row(i));
                        let y = &mut out.row(i)[first * cols..(first + K) * cols];
                        mix(y, gates, &experts[..nodes.len()], part > 0);
                    }
                },
            );
        }
    }

    /// dg_kj = e_j · dy_k, de_j = Σ_k g_kj dy_k, of `K` gates.
    fn backward_of<const K: usize, T: Real>(
        &self,
        pass: &mut Pass<'_, T>,
        modes: &[GradMode],
        first: usize,
    ) {
        let gates: [Mat<'_, T>; K] = std::array::from_fn(|k| pass.value(self.gates[first + k]));
        let mut dgates: [_; K] = std::array::from_fn(|k| pass.grad_mut(self.gates[first + k]));
        let (of_gates, of_experts) = modes.split_at(self.gates.len());
        let dout = pass.grad(self.out);
        let cols = dout.cols / self.gates.len();
        let last = first + K == self.gates.len();
        for start in (0..dout.rows).step_by(BLOCK) {
            let rows = start..dout.rows.min(start + BLOCK);
            for (j, (expert, &mode)) in self.experts.iter().zip(of_experts).enumerate() {
                let (e, mut de) = (pass.value(*expert), pass.grad_mut(*expert));
                let cut = last && pass.cuts(*expert);
                vectorised(
                    #[inline(always)]
                    || {
                        for i in rows.clone() {
                            let dy = &dout.row(i)[first * cols..(first + K) * cols];
                            let (e, g) = (e.row(i), gates.map(|gate| gate.row(i)[j]));
                            let likes = match mode {
                                GradMode::Skip => {
                                    std::array::from_fn(|k| dot(e, &dy[k * cols..][..cols]))
                                }
                                GradMode::Assign if first == 0 => {
                                    unmix::<T, K, false>(dy, (g, e), de.row(i), cut)
                                }
                                _ => unmix::<T, K, true>(dy, (g, e), de.row(i), cut),
                            };
                            for k in 0..K {
                                let to = &mut dgates[k].row(i)[j..=j];
                                give(of_gates[first + k], to, [], |[]| likes[k]);
                            }
                        }
                    },
                );
            }
        }
    }
}

impl<T: Real> Op<T> for Mixture {
    /// The gates, then the experts.
    fn inputs(&self) -> Vec<NodeId> {
        self.gates.iter().chain(&self.experts).copied().collect()
    }
    fn output(&self) -> NodeId {
        self.out
    }
    fn can_cut(&self, input: NodeId) -> bool {
        self.experts.contains(&input) && !self.gates.contains(&input)
    }
    fn forward(&self, pass: &mut Pass<'_, T>) {
        for first in (0..self.gates.len()).step_by(2) {
            match self.gates.len() - first {
                1 => self.forward_of::<1, T>(pass, first),
                _ => self.forward_of::<2, T>(pass, first),
            }
        }
    }
    fn backward(&self, pass: &mut Pass<'_, T>, modes: &[GradMode]) {
        for first in (0..self.gates.len()).step_by(2) {
            match self.gates.len() - first {
                1 => self.backward_of::<1, T>(pass, modes, first),
                _ => self.backward_of::<2, T>(pass, modes, first),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::{Engine, EngineConfig, Graph, Micro, Rng, Workspace};

    /// The fast op against the sum as it is written, for widths that do and do not fill vectors.
    #[test]
    fn a_mixture_is_the_sum_as_written() {
        for (gates, experts, cols) in
            [(1, 1, 16), (1, 3, 5), (2, 4, 64), (3, 7, 33), (2, 9, 20), (5, 17, 16)]
        {
            let mut g: Graph = Graph::new();
            let rows = g.domain("row");
            let of = |j: usize| if j < gates { experts } else { cols };
            let inputs: Vec<_> = (0..gates + experts).map(|j| g.input(rows, of(j))).collect();
            let nodes: Vec<_> = inputs.iter().map(|input| g.dense(*input)).collect();
            let out = g.mixtures(&nodes[..gates], &nodes[gates..]);
            let engine = Engine::new(g.finish(), &EngineConfig::default());
            let mut micro = Micro::new(engine.model());
            let mut rng = Rng::new(3, 1);
            micro.rows[0] = 9;
            for (j, values) in micro.inputs.iter_mut().enumerate() {
                values.extend((0..9 * of(j)).map(|_| rng.normal() as f32));
            }
            let mut workspace = Workspace::new(engine.model());
            engine.model().forward(engine.parameters(), &micro, &mut workspace);
            for (k, row) in (0..gates).flat_map(|k| (0..9).map(move |row| (k, row))) {
                let got = workspace.row(engine.model(), out[k], row);
                for (c, got) in got.iter().enumerate() {
                    let term = |j: usize| {
                        f64::from(micro.inputs[k][row * experts + j])
                            * f64::from(micro.inputs[gates + j][row * cols + c])
                    };
                    let plain: f64 = (0..experts).map(term).sum();
                    assert!((f64::from(*got) - plain).abs() < 1e-5, "{got} and {plain}");
                }
            }
        }
    }
}
