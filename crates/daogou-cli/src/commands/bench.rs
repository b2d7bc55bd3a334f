//! `daogou bench`.

use clap::{Args, Subcommand, ValueEnum};
use daogou::bench::{self, ListOptions, ScoreOptions, TrainOptions, VisitOptions};
use daogou::schema::Balancing;

use super::{Format, Outcome};
use crate::terminal::print;

/// Measure the engine's own speed on this machine
#[derive(Args)]
pub(crate) struct Bench {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand)]
enum What {
    /// Rows per second of training
    Train(Sized),
    /// Microseconds to score one person against a thousand candidates, on one thread
    Score(Sized),
    /// Microseconds to score a visit to the simulated shop, on one thread: its whole catalogue, and some candidates
    Visit(Visit),
    /// Microseconds to build one list, by builder, on one thread
    Lists(Lists),
}

#[derive(Args)]
struct Lists {
    /// Candidates per request
    #[arg(long, default_value_t = ListOptions::default().candidates)]
    candidates: usize,
    /// Items per list
    #[arg(short, default_value_t = ListOptions::default().k)]
    k: usize,
    /// Categories of the items
    #[arg(long, default_value_t = ListOptions::default().categories)]
    categories: usize,
    /// Form of the output
    #[arg(long, value_enum, default_value = "table")]
    format: Format,
}

#[derive(Args)]
struct Visit {
    /// Items of the catalogue
    #[arg(long, default_value_t = VisitOptions::default().items)]
    items: u32,
    /// Candidates of the second measurement
    #[arg(long, default_value_t = VisitOptions::default().candidates)]
    candidates: usize,
    /// Visits that are timed
    #[arg(long, default_value_t = VisitOptions::default().visits)]
    visits: usize,
    /// Settings of the run, as `KEY=VALUE`
    #[arg(long, value_name = "KEY=VALUE")]
    set: Vec<String>,
    /// Form of the output
    #[arg(long, value_enum, default_value = "table")]
    format: Format,
}

#[derive(Clone, Copy, ValueEnum)]
enum Preset {
    /// The founding document's network
    #[value(name = "shared_mlp")]
    SharedMlp,
    /// 4 experts of 128 units, two gates, two towers of 64
    #[value(name = "mmoe")]
    Mmoe,
}

#[derive(Args)]
struct Sized {
    /// Network
    #[arg(long, value_enum, default_value = "shared_mlp")]
    preset: Preset,
    /// Rows of the user table
    #[arg(long)]
    users: Option<usize>,
    /// Rows of the item table
    #[arg(long)]
    items: Option<usize>,
    /// Rows per step; candidates per request of `score`
    #[arg(long)]
    batch: Option<usize>,
    /// Threads of `train`
    #[arg(long)]
    threads: Option<usize>,
    /// Seconds per repetition of `train`, of which there are three
    #[arg(long)]
    seconds: Option<f64>,
    /// How tasks of `train` are balanced: a `loss_weighting.method`
    #[arg(long, value_name = "METHOD", default_value = "fixed")]
    balancing: Balancing,
    /// Form of the output
    #[arg(long, value_enum, default_value = "table")]
    format: Format,
}

impl Bench {
    pub(super) fn run(self) -> anyhow::Result<Outcome> {
        let text = match self.what {
            What::Train(asked) => {
                let preset = match asked.preset {
                    Preset::SharedMlp => bench::Preset::SharedMlp,
                    Preset::Mmoe => bench::Preset::Mmoe,
                };
                let mut options = TrainOptions { preset, ..TrainOptions::default() };
                options.sizes.users = asked.users.unwrap_or(options.sizes.users).max(1);
                options.sizes.items = asked.items.unwrap_or(options.sizes.items).max(1);
                options.batch = asked.batch.unwrap_or(options.batch);
                options.threads = asked.threads.unwrap_or(options.threads).max(1);
                options.seconds = asked.seconds.unwrap_or(options.seconds);
                options.balancing = asked.balancing;
                let r = bench::train(&options);
                match asked.format {
                    Format::Json => serde_json::to_string(&r)? + "\n",
                    Format::Table => format!(
                        "{:>12.0} rows/s (best {:.0})\n{:>12.1} GFLOP/s, {:.0} % of {:.1} from registers alone\n",
                        r.samples_per_s,
                        r.best_samples_per_s,
                        r.gflops,
                        100.0 * r.gflops / r.fma_peak_gflops,
                        r.fma_peak_gflops
                    ),
                }
            }
            What::Score(asked) => {
                if let Preset::Mmoe = asked.preset {
                    anyhow::bail!("--preset: expected shared_mlp for `score`, got mmoe");
                }
                let mut options = ScoreOptions::default();
                options.sizes.users = asked.users.unwrap_or(options.sizes.users).max(1);
                options.sizes.items = asked.items.unwrap_or(options.sizes.items).max(1);
                options.candidates = asked.batch.unwrap_or(options.candidates).max(1);
                let r = bench::score(&options);
                match asked.format {
                    Format::Json => serde_json::to_string(&r)? + "\n",
                    Format::Table => format!(
                        "{:>8.0} us median, {:.0} us at the 99th percentile, {} candidates\n\
                         {:>8.0} us median by the plain path, largest difference {:.1e}\n",
                        r.p50_us, r.p99_us, r.candidates, r.plain_p50_us, r.largest_difference
                    ),
                }
            }
            What::Visit(asked) => {
                let results = bench::visits(&VisitOptions {
                    items: asked.items.max(1),
                    candidates: asked.candidates.max(1),
                    visits: asked.visits.max(1),
                    settings: asked.set,
                    ..VisitOptions::default()
                })?;
                match asked.format {
                    Format::Json => serde_json::to_string(&results)? + "\n",
                    Format::Table => {
                        let mut table = format!(
                            "{:<12}{:>10}{:>10}{:>14}{:>14}{:>12}\n",
                            "candidates",
                            "p50 us",
                            "p99 us",
                            "plain p50 us",
                            "plain p99 us",
                            "difference"
                        );
                        for r in &results.scored {
                            table += &format!(
                                "{:<12}{:>10.0}{:>10.0}{:>14.0}{:>14.0}{:>12.1e}\n",
                                r.candidates,
                                r.p50_us,
                                r.p99_us,
                                r.plain_p50_us,
                                r.plain_p99_us,
                                r.largest_difference
                            );
                        }
                        table
                            + &format!(
                                "{:.1} ms to freeze {} items, {} bytes each; {:.0} us for one that changed\n",
                                results.freeze_ms,
                                results.items,
                                results.bytes_per_item,
                                results.refreeze_us
                            )
                    }
                }
            }
            What::Lists(asked) => {
                let results = bench::lists(&ListOptions {
                    candidates: asked.candidates.max(1),
                    k: asked.k,
                    categories: asked.categories.max(1),
                    ..ListOptions::default()
                })?;
                match asked.format {
                    Format::Json => serde_json::to_string(&results)? + "\n",
                    Format::Table => {
                        let mut table = format!(
                            "{:<12}{:>12}{:>12}{:>12}\n",
                            "builder", "p50 us", "p99 us", "value"
                        );
                        for r in results {
                            table += &format!(
                                "{:<12}{:>12.1}{:>12.1}{:>12.4}\n",
                                r.builder, r.p50_us, r.p99_us, r.value
                            );
                        }
                        table
                    }
                }
            }
        };
        print(&text)?;
        Ok(Outcome::Done)
    }
}
