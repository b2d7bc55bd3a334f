//! The most this machine can multiply and add, to compare training with.

use std::hint::black_box;
use std::time::Instant;

use super::vectorised;
use crate::team::Team;

/// Accumulators: enough vectors in flight to hide the latency of a fused multiply-add.
const VECTORS: usize = 12;
const WIDTH: usize = 16;

/// Fused multiply-adds from registers alone, on `threads` threads at once, in GFLOP/s (two per multiply-add).
pub fn fma_gflops(threads: usize) -> f64 {
    const ROUNDS: u64 = 2_000_000;
    let mut team = Team::new(threads);
    let mut best = 0f64;
    for _ in 0..5 {
        let start = Instant::now();
        team.run(&|_| {
            black_box(chain(ROUNDS, black_box(0.999_9), black_box(1e-4)));
        });
        let flops = (ROUNDS * (VECTORS * WIDTH * 2) as u64) as f64 * threads as f64;
        best = best.max(flops / start.elapsed().as_secs_f64() / 1e9);
    }
    best
}

fn chain(rounds: u64, a: f32, b: f32) -> f32 {
    vectorised(
        #[inline(always)]
        || {
            let mut sums = [[0f32; WIDTH]; VECTORS];
            for _ in 0..rounds {
                for sum in &mut sums {
                    for lane in sum {
                        *lane = lane.mul_add(a, b);
                    }
                }
            }
            sums.iter().flatten().sum()
        },
    )
}
