//! The most this machine can multiply and add, to compare training with.

use std::hint::black_box;
use std::time::Instant;

use crate::team::Team;

/// Accumulators: enough vectors in flight to hide the latency of a fused multiply-add.
const VECTORS: usize = 12;

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
        let flops = (ROUNDS * (VECTORS * lanes() * 2) as u64) as f64 * threads as f64;
        best = best.max(flops / start.elapsed().as_secs_f64() / 1e9);
    }
    best
}

/// Independent chains of multiply-adds, each in a register of its own.
fn chain(rounds: u64, a: f32, b: f32) -> f32 {
    struct Chain(u64, f32, f32);
    impl pulp::WithSimd for Chain {
        type Output = f32;
        #[inline(always)]
        fn with_simd<S: pulp::Simd>(self, simd: S) -> f32 {
            let (a, b) = (simd.splat_f32s(self.1), simd.splat_f32s(self.2));
            macro_rules! run {
                ($($sum:ident)*) => {{
                    $(let mut $sum = b;)*
                    for _ in 0..self.0 {
                        $($sum = simd.mul_add_e_f32s($sum, a, b);)*
                    }
                    0.0 $(+ simd.reduce_sum_f32s($sum))*
                }};
            }
            run!(c0 c1 c2 c3 c4 c5 c6 c7 c8 c9 c10 c11)
        }
    }
    pulp::Arch::new().dispatch(Chain(rounds, a, b))
}

/// Lanes of the vectors that [`chain`] uses.
fn lanes() -> usize {
    struct Lanes;
    impl pulp::WithSimd for Lanes {
        type Output = usize;
        fn with_simd<S: pulp::Simd>(self, _: S) -> usize {
            S::F32_LANES
        }
    }
    pulp::Arch::new().dispatch(Lanes)
}
