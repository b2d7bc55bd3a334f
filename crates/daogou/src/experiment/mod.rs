//! Configurations compared on one log: every variant under every seed, with intervals.
//!
//! All runs are trained first, each on one thread and several of them side by side, and stop by the validation split. Only
//! when the last one is trained is the test split measured, once for each run. Every finished piece of work is a small file,
//! so that an experiment that was killed goes on, and ends with the same results.
//!
//! What differs between runs of one variant is the seed of the training and, with `world_per_seed`, the simulated log. On
//! a log that is given, intervals speak of the luck of the training alone.

mod axis;
mod chart;
mod design;
mod measure;
mod record;
mod results;
mod side_by_side;
mod spec;
mod table;

pub use chart::charts;
pub use design::{Design, SEEDS};
pub use measure::{Measures, Metric, MetricTable};
pub use results::{Costs, PointResult, Results, RunResult, Summary, VariantResult};
pub use spec::{Spec, VariantSpec};
pub use table::{markdown, text};

pub(crate) use design::{named, reading, same_questions};
pub(crate) use measure::{measure, metrics};
pub(crate) use record::{read, write};
pub(crate) use side_by_side::{Shared, UntilHalt, side_by_side};

use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Instant, SystemTime};

use design::{RunId, Source};
use measure::truth_of;
use record::{Folder, TestRecord, TrainedRecord};

use crate::artifact::{Provenance, write_atomic};
use crate::data::Dataset;
use crate::run::TrainedRun;
use crate::schema::Config;
use crate::simulate::oracle::Truth;
use crate::simulate::replay::Replay;
use crate::train::{self, Round};
use crate::{Error, Result, simulate};

/// How an experiment runs, besides what it compares.
#[derive(Clone, Debug)]
pub struct Options {
    /// Directory of everything that comes out.
    pub out: PathBuf,
    /// Trainings side by side. Never changes a result.
    pub threads: usize,
    /// Go on with the experiment that is there.
    pub resume: bool,
    /// Stop before the test split, and show validation.
    pub validation_only: bool,
    /// Keep every run after its test split was measured, as a directory that all commands open.
    pub keep_runs: bool,
}

/// What happens while an experiment runs.
#[derive(Clone, Copy, Debug)]
pub enum Event<'a> {
    /// A log is being simulated.
    Simulating {
        /// Its name.
        world: &'a str,
    },
    /// So much is there from before.
    Found {
        /// Finished trainings.
        trained: usize,
        /// All of them.
        total: usize,
    },
    /// A training is finished.
    Trained {
        /// The run.
        run: &'a str,
        /// Its training.
        seconds: f64,
        /// On validation.
        valid: &'a Measures,
        /// Trainings finished so far.
        done: usize,
        /// All of them.
        total: usize,
    },
    /// A run is measured on the test split.
    Measured {
        /// Runs measured so far.
        done: usize,
        /// All of them.
        total: usize,
    },
}

/// Told what happens, from any thread.
pub trait Watch: Sync {
    /// Something happened.
    fn see(&self, event: &Event<'_>);
}

/// Watches nothing.
impl Watch for () {
    fn see(&self, _: &Event<'_>) {}
}

/// A log in memory, and its truth where that is known.
struct Log {
    data: Dataset,
    truth: Option<Truth>,
    base: PathBuf,
}

/// An experiment under way.
struct Work<'a> {
    design: &'a Design,
    folder: &'a Folder,
    /// Simulated logs that are there, each made by whoever needs it first.
    worlds: Mutex<Vec<String>>,
    watch: &'a dyn Watch,
}

/// Runs an experiment and writes `results.json`, `costs.json`, `table.md` and `charts/*.svg` into its directory.
///
/// `results.json` is a function of the design and the log: not of the number of threads, and not of where the work was
/// interrupted. What depends on the machine stands in `costs.json`.
///
/// # Errors
///
/// Where a log cannot be read, a training fails, or the directory is taken.
pub fn run(design: &Design, options: &Options, watch: &dyn Watch) -> Result<(Results, Costs)> {
    let mut folder = Folder::open(&options.out, design, options.resume)?;
    let runs = design.runs();
    let mut pending = Vec::new();
    for &id in &runs {
        let done = folder.trained(design, id)?.is_some()
            && (folder.tested_run(design, id)?.is_some() || folder.run(design, id).is_dir());
        if !done {
            pending.push(id);
        }
    }
    let found = runs.len() - pending.len();
    watch.see(&Event::Found { trained: found, total: runs.len() });
    let work = Work { design, folder: &folder, worlds: Mutex::default(), watch };
    let done = AtomicUsize::new(found);
    let at_once = options.threads.clamp(1, pending.len().max(1));
    work.on_logs(options.threads, &pending, |id, log, halt| {
        let record = train_one(&work, id, log, at_once, halt)
            .map_err(|error| error.about(&design.name(id)))?;
        let done = done.fetch_add(1, Ordering::Relaxed) + 1;
        let (run, total) = (design.name(id), runs.len());
        let TrainedRecord { seconds, valid, .. } = &record;
        watch.see(&Event::Trained { run: &run, seconds: *seconds, valid, done, total });
        Ok(())
    })?;

    if !options.validation_only {
        folder.note_test()?;
        let work = Work { design, folder: &folder, worlds: Mutex::default(), watch };
        let mut unmeasured = Vec::new();
        for &id in &runs {
            if folder.tested_run(design, id)?.is_none() {
                unmeasured.push(id);
            }
        }
        let done = AtomicUsize::new(runs.len() - unmeasured.len());
        work.on_logs(options.threads, &unmeasured, |id, log, _| {
            test_one(&work, id, log).map_err(|error| error.about(&design.name(id)))?;
            let done = done.fetch_add(1, Ordering::Relaxed) + 1;
            watch.see(&Event::Measured { done, total: runs.len() });
            Ok(())
        })?;
        if !options.keep_runs {
            for &id in &runs {
                let directory = folder.run(design, id);
                if directory.is_dir() {
                    fs_err::remove_dir_all(directory)?;
                }
            }
        }
    }

    let (results, costs) = results::gather(design, &folder)?;
    let root = folder.root();
    for (name, svg) in charts(&results)? {
        fs_err::create_dir_all(root.join("charts"))?;
        write_atomic(&root.join("charts").join(format!("{name}.svg")), svg.as_bytes())?;
    }
    write(&root.join("costs.json"), &costs)?;
    write_atomic(&root.join("table.md"), markdown(&results, &costs).as_bytes())?;
    write(&root.join("results.json"), &results)?;
    Ok((results, costs))
}

impl Work<'_> {
    /// Does something with each run and its log. A log is loaded once for all runs that read it alike, and let go with the
    /// last of them.
    fn on_logs(
        &self,
        threads: usize,
        runs: &[RunId],
        each: impl Fn(RunId, &Log, &side_by_side::Halt) -> Result<()> + Sync,
    ) -> Result<()> {
        let name = |id: RunId| {
            let world = self.design.options(id).map(|o| world_name(self.design, id, &o));
            reading(&self.design.config(id)) + &world.unwrap_or_default()
        };
        let named: Vec<(RunId, String)> = runs.iter().map(|&id| (id, name(id))).collect();
        let logs: Shared<Log> = Shared::new(named.iter().map(|(_, name)| name.clone()));
        side_by_side(threads, &named, |(id, name), halt| {
            logs.with(name, || self.load(*id), |log| each(*id, log, halt))
        })
    }

    fn load(&self, id: RunId) -> Result<Log> {
        let config = self.design.config(id);
        let base = match (&self.design.source, self.design.options(id)) {
            (Source::File { base, .. }, _) => base.clone(),
            (Source::Simulated, options) => {
                let options = options.expect("a simulated log has options");
                self.simulated(&world_name(self.design, id, &options), &options)?
            }
        };
        let data = Dataset::load(&config, &base)?;
        if data.split.test.is_empty() || data.split.valid.is_empty() {
            return Err(Error::data("an experiment needs a validation split and a test split")
                .with_hint("set.data.split = { train = 0.8, valid = 0.1, test = 0.1 }"));
        }
        let truth = truth_of(&config, &base)?;
        Ok(Log { data, truth, base })
    }

    /// The directory of a simulated log, made if it is not there.
    fn simulated(&self, name: &str, options: &simulate::Options) -> Result<PathBuf> {
        let directory = self.folder.world(name);
        // Two logs may read one world: the second waits for it.
        let mut known = self.worlds.lock().expect("no panic while it is held");
        if !known.iter().any(|other| other == name) {
            // The table of truths gets its name last of all files.
            let there = directory.join("oracle.parquet").exists();
            let same = there
                && Replay::open(&directory)?
                    .is_some_and(|found| found.world().options() == options);
            if !same {
                self.watch.see(&Event::Simulating { world: name });
                simulate::run(options, &directory, &mut |_| {})?;
            }
            known.push(name.into());
        }
        Ok(directory)
    }
}

/// Name of a simulated log: fractions of it share it.
fn world_name(design: &Design, id: RunId, options: &simulate::Options) -> String {
    let point = &design.points[id.point];
    let dial = if design.points.iter().all(|other| other.options == point.options) {
        "shop"
    } else {
        &point.folder
    };
    format!("{dial}-seed-{}", options.seed)
}

/// Trains one run, measures it on validation and keeps both.
fn train_one(
    work: &Work<'_>,
    id: RunId,
    log: &Log,
    side_by_side: usize,
    halt: &side_by_side::Halt,
) -> Result<TrainedRecord> {
    let config = work.design.config(id).with_absolute_paths(&log.base)?;
    let data = &log.data;
    let start = Instant::now();
    let trained = train::train(&config, data, &train::Options::default(), &mut UntilHalt(halt))?;
    let seconds = start.elapsed().as_secs_f64();
    let (bytes, history) = (trained.bytes, trained.history.clone());
    let run = TrainedRun::new(&config, trained, data);
    let valid = measure(&run, data, &data.split.valid, log.truth.as_ref())?;
    let tables: usize = run.parameters.tables().iter().map(|t| t.rows() * t.dim()).sum();
    let last = history.last();
    let record = TrainedRecord {
        identity: work.design.identity(id),
        fingerprint: data.report.fingerprint.clone(),
        train_impressions: data.requests.impressions(&data.split.train).len() as u64,
        epochs: last.map_or(0, |round| round.epoch),
        steps: last.map_or(0, |round| round.step),
        parameters: (run.parameters.dense().len() + tables) as u64,
        bytes: bytes as u64,
        seconds,
        side_by_side,
        valid,
    };
    let directory = work.folder.run(work.design, id);
    if directory.exists() {
        fs_err::remove_dir_all(&directory)?;
    }
    let provenance = Provenance {
        created_at: now(),
        seed: config.train.seed,
        data_fingerprint: record.fingerprint.clone(),
        metrics: serde_json::to_value(Round::kept(&history)).expect("a round is plain data"),
    };
    run.save(&directory, &history, provenance)?;
    work.folder.keep_trained(work.design, id, &record)?;
    Ok(record)
}

/// Measures one run on the test split.
fn test_one(work: &Work<'_>, id: RunId, log: &Log) -> Result<()> {
    let directory = work.folder.run(work.design, id);
    let (mut run, manifest) = TrainedRun::open(&directory)?;
    if manifest.provenance.data_fingerprint != log.data.report.fingerprint {
        return Err(changed_log(&directory));
    }
    run.config.train.threads = 1;
    let test = measure(&run, &log.data, &log.data.split.test, log.truth.as_ref())?;
    let record = TestRecord { identity: work.design.identity(id), test };
    work.folder.keep_test(work.design, id, &record)
}

fn changed_log(path: &Path) -> Error {
    Error::file(path, "was trained on other rows: the log has changed since")
        .with_hint("--out names another directory, to begin anew")
}

/// Whether two configurations are measured by the same metrics, and by which.
fn metrics_of(design: &Design, truth: bool) -> Vec<Metric> {
    let config: Config = design.config(RunId { point: 0, seed: 0, variant: 0 });
    metrics(&config, truth)
}

/// The present as RFC 3339, UTC.
fn now() -> String {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    crate::rfc3339(since.map_or(0, |d| d.as_secs()) as i64)
}
