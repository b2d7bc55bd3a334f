//! Rows per second of training.

use std::time::Instant;

use daogou_nn::kernels::peak::fma_gflops;
use daogou_nn::{Batch, Engine, EngineConfig, Rng, StepSize, TableOptimizer};
use serde::Serialize;

use super::{Preset, Sizes};
use crate::schema::{Balancing, LossWeighting};
use crate::train::balancing::Balancer;

/// What is trained and for how long.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TrainOptions {
    /// The network.
    pub preset: Preset,
    /// Its tables.
    pub sizes: Sizes,
    /// Rows per step.
    pub batch: usize,
    /// Threads.
    pub threads: usize,
    /// Seconds per repetition, of which there are three.
    pub seconds: f64,
    /// How the three tasks are balanced.
    pub balancing: Balancing,
}

impl Default for TrainOptions {
    fn default() -> Self {
        Self {
            preset: Preset::default(),
            sizes: Sizes::default(),
            batch: 4096,
            threads: 2,
            seconds: 3.0,
            balancing: Balancing::Fixed,
        }
    }
}

/// How fast it was.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct TrainResult {
    /// Rows per second, median of the repetitions.
    pub samples_per_s: f64,
    /// Rows per second of the best repetition.
    pub best_samples_per_s: f64,
    /// Matrix products of one forward and backward pass per step, whatever balancing adds, 10⁹ operations per second.
    pub gflops: f64,
    /// What the same threads reach with multiply-adds from registers alone.
    pub fma_peak_gflops: f64,
    /// Rows per step.
    pub batch: usize,
    /// Threads.
    pub threads: usize,
}

/// Rows prepared before the clock starts, gone through again and again.
const ROWS: usize = 400_000;

/// Rows per micro-batch.
const MICRO: usize = 256;

/// Trains on uniform random rows: Adam for dense parameters, row-wise Adagrad for tables, batches cut from memory.
pub fn train(options: &TrainOptions) -> TrainResult {
    let (model, loss_weights) = options.preset.model(&options.sizes);
    let flops = model.training_flops(&[1]);
    let config = EngineConfig {
        threads: options.threads,
        tables: TableOptimizer::RowwiseAdagrad,
        loss_weights,
        ..EngineConfig::default()
    };
    let weighting = LossWeighting { method: options.balancing, ..LossWeighting::default() };
    let mut balancer =
        Balancer::new(&weighting, &config.loss_weights, [0.3, 0.1, 4.0].into_iter(), 0);
    let mut engine = Engine::new(model, &config);
    let mut rng = Rng::new(0, 0);
    let mut ids =
        |n: usize| -> Vec<u32> { (0..ROWS).map(|_| rng.below(n as u64) as u32).collect() };
    let columns = [ids(options.sizes.users), ids(options.sizes.items), ids(options.sizes.brands)];
    let class: Vec<f32> = ids(options.sizes.classes).iter().map(|&c| c as f32).collect();
    let price: Vec<f32> = (0..ROWS).map(|_| rng.uniform() as f32).collect();
    let click: Vec<f32> = (0..ROWS).map(|_| f32::from(u8::from(rng.below(10) == 0))).collect();
    let purchase: Vec<f32> =
        click.iter().map(|&c| if rng.below(10) == 0 { c } else { 0.0 }).collect();
    // A network without a head for the class has no input for it.
    let numbers = [&price, &click, &purchase, &class];

    let batch_rows = options.batch.clamp(1, ROWS);
    let mut batch = Batch::new(engine.model(), batch_rows.div_ceil(MICRO));
    let mut step = 0;
    let mut run = |seconds: f64| -> f64 {
        let start = Instant::now();
        let mut rows = 0;
        loop {
            for first in (0..=ROWS - batch_rows).step_by(batch_rows) {
                engine.team().for_each(batch.micros_mut(), |_, index, micro| {
                    let from = first + index * MICRO;
                    let range = from..(from + MICRO).min(first + batch_rows);
                    micro.clear();
                    micro.rows[0] = range.len();
                    for (to, column) in micro.ids.iter_mut().zip(&columns) {
                        to.extend_from_slice(&column[range.clone()]);
                    }
                    for (to, values) in micro.inputs.iter_mut().zip(&numbers) {
                        to.extend_from_slice(&values[range.clone()]);
                    }
                });
                step += 1;
                let size = StepSize { step, dense: 1e-3, tables: 1e-2 };
                let done = balancer.step(&mut engine, &mut batch, &size);
                done.expect("random rows do not diverge");
                rows += batch_rows;
                let elapsed = start.elapsed().as_secs_f64();
                if elapsed >= seconds {
                    return rows as f64 / elapsed;
                }
            }
        }
    };
    run(0.3);
    let mut speeds: Vec<f64> = (0..3).map(|_| run(options.seconds)).collect();
    speeds.sort_unstable_by(f64::total_cmp);
    TrainResult {
        samples_per_s: speeds[1],
        best_samples_per_s: speeds[2],
        gflops: speeds[1] * flops / 1e9,
        fma_peak_gflops: fma_gflops(options.threads),
        batch: batch_rows,
        threads: options.threads,
    }
}
