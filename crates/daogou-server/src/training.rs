//! Work in the background, one job at a time, at low priority: what each objective costs, and training anew.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use daogou::pareto::{Judge, SweepOptions, Trial, measure, sweep};
use daogou_nn::Team;
use serde::Serialize;
use serde_json::Value;
use thread_priority::{ThreadPriority, set_current_thread_priority};
use utoipa::ToSchema;

use crate::app::App;
use crate::list_id::now;
use crate::problem::{Answer, Problem};

/// What a job is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum JobKind {
    /// A model is trained from the log and the store.
    Train,
    /// What each objective costs is measured.
    TradeOffs,
}

/// How a job stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum JobState {
    Running,
    Done,
    Failed,
    Cancelled,
}

/// A job.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct Job {
    pub(crate) id: u64,
    pub(crate) kind: JobKind,
    pub(crate) state: JobState,
    /// What it does now.
    pub(crate) phase: String,
    /// Of the phase, from 0 to 1; null where it is not known.
    pub(crate) progress: Option<f64>,
    /// Rounds of validation so far.
    #[schema(value_type = Vec<Object>)]
    pub(crate) rounds: Vec<Value>,
    /// What it is about, or why it failed.
    pub(crate) detail: String,
    /// Unix time.
    pub(crate) started: i64,
    pub(crate) finished: Option<i64>,
    /// What came of it.
    #[schema(value_type = Option<Object>)]
    pub(crate) result: Option<Value>,
}

/// The job there is, or was last.
#[derive(Default)]
pub(crate) struct Jobs {
    job: Mutex<Option<Job>>,
    next: AtomicU64,
    cancelled: AtomicBool,
}

/// Why a job ended without a result.
pub(crate) enum End {
    Cancelled,
    Failed(String),
}

impl From<daogou::Error> for End {
    fn from(error: daogou::Error) -> Self {
        let hint = error.hint().map_or_else(String::new, |hint| format!("; hint: {hint}"));
        Self::Failed(format!("{error}{hint}"))
    }
}

impl From<std::io::Error> for End {
    fn from(error: std::io::Error) -> Self {
        Self::Failed(error.to_string())
    }
}

impl From<crate::store::StoreError> for End {
    fn from(error: crate::store::StoreError) -> Self {
        Self::Failed(error.to_string())
    }
}

impl Jobs {
    fn job(&self) -> MutexGuard<'_, Option<Job>> {
        self.job.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn current(&self) -> Option<Job> {
        self.job().clone()
    }

    /// Has the running job end at its next step.
    pub(crate) fn cancel(&self) {
        self.cancelled.store(true, Ordering::Relaxed);
    }

    pub(crate) fn is_cancelled(&self) -> bool {
        self.cancelled.load(Ordering::Relaxed)
    }
}

impl App {
    /// Starts a job on a thread of its own.
    ///
    /// # Errors
    ///
    /// Where one is running.
    pub(crate) fn start_job(
        self: &Arc<Self>,
        kind: JobKind,
        detail: String,
        work: impl FnOnce(&Arc<Self>) -> Result<Value, End> + Send + 'static,
    ) -> Answer<Job> {
        let job = {
            let mut slot = self.jobs.job();
            if let Some(running) = slot.as_ref().filter(|job| job.state == JobState::Running) {
                return Err(Problem::conflict(format!("job {} is running", running.id))
                    .hint("wait for it, or cancel it: DELETE /v1/train"));
            }
            self.jobs.cancelled.store(self.is_draining(), Ordering::Relaxed);
            let job = Job {
                id: self.jobs.next.fetch_add(1, Ordering::Relaxed) + 1,
                kind,
                state: JobState::Running,
                phase: "starting".into(),
                progress: None,
                rounds: Vec::new(),
                detail,
                started: now(),
                finished: None,
                result: None,
            };
            *slot = Some(job.clone());
            job
        };
        self.notify("job", &job);
        let app = Arc::clone(self);
        let spawned = std::thread::Builder::new().name("job".into()).spawn(move || {
            // Threads that this one starts are of its priority.
            if let Err(error) = set_current_thread_priority(ThreadPriority::Min) {
                tracing::warn!(?error, "a job runs at normal priority");
            }
            let done = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| work(&app)));
            let done = done.unwrap_or_else(|_| Err(End::Failed("a fault of the server".into())));
            app.change_job(|job| {
                job.finished = Some(now());
                job.progress = None;
                match done {
                    Ok(result) => {
                        job.state = JobState::Done;
                        job.result = Some(result);
                    }
                    Err(End::Cancelled) => job.state = JobState::Cancelled,
                    Err(End::Failed(why)) => {
                        tracing::warn!(job = job.id, why, "a job failed");
                        job.state = JobState::Failed;
                        job.detail = why;
                    }
                }
            });
        });
        if let Err(error) = spawned {
            self.change_job(|job| {
                job.state = JobState::Failed;
                job.detail = format!("no thread for it: {error}");
            });
        }
        Ok(job)
    }

    pub(crate) fn change_job(&self, change: impl FnOnce(&mut Job)) {
        let changed = {
            let mut slot = self.jobs.job();
            let Some(job) = slot.as_mut() else { return };
            change(job);
            job.clone()
        };
        self.notify("job", &changed);
    }

    pub(crate) fn phase(&self, phase: &str) -> Result<(), End> {
        if self.jobs.is_cancelled() {
            return Err(End::Cancelled);
        }
        self.change_job(|job| {
            job.phase = phase.to_string();
            job.progress = None;
        });
        Ok(())
    }

    /// Threads of a job.
    pub(crate) fn job_threads(&self) -> usize {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        match self.config.train.threads {
            0 => cores.saturating_sub(1).max(1),
            threads => threads,
        }
    }

    /// Measures what each objective costs with a model, and keeps it beside the run.
    pub(crate) fn trade_offs(self: &Arc<Self>, name: &str) -> Answer<Job> {
        let path = self.models.path(name)?;
        let detail = format!("trade-offs of {name}");
        self.start_job(JobKind::TradeOffs, detail, move |app| {
            app.phase("reading")?;
            let (run, manifest) = daogou::run::TrainedRun::open(&path)?;
            let data = run.training_log(&manifest)?;
            app.phase("measuring")?;
            let replay = daogou::simulate::replay::Replay::of_log(&run.config)?;
            let mut team = Team::new(app.job_threads());
            let judge = replay.as_ref().map_or(Judge::Model, Judge::Truth);
            let options = SweepOptions::default();
            let front = sweep(&run, (&data, &data.split.valid), judge, &options, &mut team)?;
            app.phase("measuring on the test split")?;
            // As the command does: the points that are shown, on requests that chose none of them.
            let shown = front.shown();
            let points = shown.iter().map(|&i| &front.measured.points[i]);
            let trials: Vec<Trial> = points.map(|p| Trial::own(p.weights, p.explore)).collect();
            let on_test = if data.split.test.is_empty() {
                Vec::new()
            } else {
                let of = (&data, &data.split.test, options.requests);
                measure(&run, of, &trials, judge, &options.bootstrap, &mut team)?.points
            };
            let mut report = serde_json::to_value(&front).map_err(|e| End::Failed(e.to_string()))?;
            report["test"] = serde_json::to_value(&on_test).map_err(|e| End::Failed(e.to_string()))?;
            app.phase("writing")?;
            let file = tempfile::NamedTempFile::new_in(&path)?;
            serde_json::to_writer(&file, &report).map_err(|e| End::Failed(e.to_string()))?;
            file.as_file().sync_all()?;
            file.persist(path.join(crate::routes::models::TRADE_OFFS)).map_err(|e| e.error)?;
            Ok(serde_json::json!({"judge": front.judge, "points": front.measured.points.len()}))
        })
    }
}
