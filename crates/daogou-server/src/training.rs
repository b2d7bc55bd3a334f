//! Work in the background, one job at a time, at low priority: what each objective costs, and training anew.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use daogou::artifact::{Provenance, RunWriter};
use daogou::continuation::{Continuation, ShownItem};
use daogou::data::{Dataset, load_known};
use daogou::evaluate::{EvaluateOptions, Evaluation, TaskReport};
use daogou::pareto::{Judge, SweepOptions, Trial, on_test, sweep};
use daogou::run::TrainedRun;
use daogou::train::{Observer, Options, Progress, Round, train};
use daogou_nn::Team;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use thread_priority::{ThreadPriority, set_current_thread_priority};
use utoipa::ToSchema;

use crate::app::App;
use crate::list_id::now;
use crate::memory::UserDocument;
use crate::models::Counter;
use crate::presets::check_name;
use crate::problem::{Answer, Problem};
use crate::store::{Attribution, Kind, PAGE, StoreError};

/// What a job is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum JobKind {
    /// A model is trained on the log and on what the store has.
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
            let (run, manifest) = TrainedRun::open(&path)?;
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
            let test = on_test(&run, &data, &trials, (judge, &options), &mut team)?;
            let mut report =
                serde_json::to_value(&front).map_err(|e| End::Failed(e.to_string()))?;
            report["test"] = serde_json::to_value(&test).map_err(|e| End::Failed(e.to_string()))?;
            app.phase("writing")?;
            let file = tempfile::NamedTempFile::new_in(&path)?;
            serde_json::to_writer(&file, &report).map_err(|e| End::Failed(e.to_string()))?;
            file.as_file().sync_all()?;
            file.persist(path.join(daogou::artifact::TRADE_OFFS)).map_err(|e| e.error)?;
            Ok(json!({"judge": front.judge, "points": front.measured.points.len()}))
        })
    }
}

/// When a new model is to answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Promote {
    /// Where no loss of it is larger than that of the model that answers, on the newest slice of time.
    #[default]
    IfNotWorse,
    Never,
    Always,
}

/// What a training is asked to be.
#[derive(Clone, Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct TrainBody {
    /// Name of the model; by default the time.
    #[serde(default)]
    pub(crate) name: Option<String>,
    #[serde(default)]
    pub(crate) promote: Promote,
}

/// Fewest requests that two models are compared on.
const FEWEST: usize = 100;

/// Tells the job how training goes.
struct Watch<'a> {
    app: &'a App,
    last: std::time::Instant,
}

impl Observer for Watch<'_> {
    fn step(&mut self, at: &Progress<'_>) {
        if self.last.elapsed().as_millis() < 500 {
            return;
        }
        self.last = std::time::Instant::now();
        let epochs = at.epochs.max(1) as f64;
        let done = (at.epoch - 1) as f64 + at.done as f64 / at.total.max(1) as f64;
        self.app.change_job(|job| job.progress = Some((done / epochs).min(1.0)));
    }

    fn stops(&self) -> bool {
        self.app.jobs.is_cancelled()
    }

    fn round(&mut self, round: &Round) {
        let round = serde_json::to_value(round).unwrap_or_default();
        self.app.change_job(|job| job.rounds.push(round));
    }
}

/// Log loss of every binary report.
fn losses(evaluation: &Evaluation) -> BTreeMap<String, f64> {
    let reports = evaluation.tasks.iter();
    reports
        .filter_map(|(name, report)| match report {
            TaskReport::Binary(report) => Some((name.clone(), report.logloss?)),
            _ => None,
        })
        .collect()
}

/// Why a challenger is worse, if it is: a loss that is larger than the champion's by more than the tolerance.
fn worse(
    challenger: &BTreeMap<String, f64>,
    champion: &BTreeMap<String, f64>,
    tolerance: f64,
) -> Option<String> {
    let larger = champion.iter().find(|(task, loss)| {
        challenger.get(*task).is_none_or(|own| *own > **loss * (1.0 + tolerance))
    });
    larger.map(|(task, loss)| {
        let own = challenger.get(task).map_or_else(|| "none".into(), |own| format!("{own:.5}"));
        format!("its log loss of {task} is {own}, that of the model that answers {loss:.5}")
    })
}

/// The folder of a training's files; it goes where the training fails.
struct Folder {
    path: PathBuf,
    kept: bool,
}

impl Drop for Folder {
    fn drop(&mut self) {
        if !self.kept
            && let Err(error) = std::fs::remove_dir_all(&self.path)
        {
            tracing::warn!(%error, "the files of a training that failed are left");
        }
    }
}

impl App {
    /// Trains a model on the log of the one that answers and on what the store has, holds both against the newest slice of
    /// time, and has the new one answer if it is to.
    pub(crate) fn train(self: &Arc<Self>, body: TrainBody) -> Answer<Job> {
        let directory = self.models.directory().map(Path::to_path_buf).ok_or_else(|| {
            Problem::conflict("there is no folder for new models")
                .hint("start the server with --model-dir DIR")
        })?;
        let named = daogou::rfc3339(now()).replace([':', '-'], "").replace('Z', "");
        let name = body.name.unwrap_or(named);
        check_name("name", &name)?;
        if self.models.paths().contains_key(&name) {
            return Err(Problem::conflict(format!("there is a model `{name}` already")));
        }
        let (runtime, promote) = (tokio::runtime::Handle::current(), body.promote);
        self.start_job(JobKind::Train, name.clone(), move |app| {
            let counter = app.models.serving();
            let champion = &counter.model.run;
            app.phase("reading the store")?;
            let path = directory.join(format!("{name}.log"));
            std::fs::create_dir_all(&path)?;
            let mut folder = Folder { path, kept: false };
            let profiles = runtime.block_on(app.profiles())?;
            let continued = app.continued(&runtime, &counter, &profiles, &folder.path)?;
            if continued.rows == 0 {
                return Err(End::Failed(
                    "the store has no impressions that are later than the log of the model that answers".into(),
                ));
            }
            app.phase("reading the log")?;
            let mut config = continued.all;
            config.train.threads = app.job_threads();
            let base = Path::new(".");
            let data = Dataset::load(&config, base)?;
            app.phase("training")?;
            let mut watch = Watch { app, last: std::time::Instant::now() };
            let trained = train(&config, &data, &Options::default(), &mut watch);
            let trained = match trained {
                Err(_) if app.jobs.is_cancelled() => return Err(End::Cancelled),
                trained => trained?,
            };
            let history = trained.history.clone();
            // Threads change no result; the run keeps those of the configuration that it came from.
            config.train.threads = champion.config.train.threads;
            let mut challenger = TrainedRun::new(&config, trained, &data);
            challenger.config.train.threads = app.job_threads();

            app.phase("comparing on the newest slice of time")?;
            let test = &data.split.test;
            let start = data.requests.time[test.clone()].iter().min().copied().unwrap_or(i64::MAX);
            let start = start.max(champion.stored.last_time + 1);
            let evaluated = |run: &TrainedRun, data: &Dataset| -> Result<(Evaluation, usize), End> {
                let all = if data.split.test.is_empty() { &data.split.train } else { &data.split.test };
                let times = &data.requests.time[all.clone()];
                let first = all.start + times.partition_point(|&time| time < start);
                let options = EvaluateOptions { lists: 0, ..EvaluateOptions::default() };
                Ok((run.evaluate(data, &(first..all.end), &options)?, all.end - first))
            };
            let (own, requests) = evaluated(&challenger, &data)?;
            let newer = load_known(&continued.newest, base, champion.known())?;
            let (theirs, same) = evaluated(champion, &newer)?;
            if requests != same || requests < FEWEST {
                return Err(End::Failed(format!(
                    "expected at least {FEWEST} requests to compare on since the model that answers was trained, got {}",
                    requests.min(same)
                )));
            }
            let (own_losses, their_losses) = (losses(&own), losses(&theirs));
            let worse = worse(&own_losses, &their_losses, app.config.train.tolerance);

            app.phase("writing")?;
            challenger.config.train.threads = champion.config.train.threads;
            let provenance = Provenance {
                created_at: daogou::rfc3339(now()),
                seed: config.train.seed,
                data_fingerprint: data.report.fingerprint.clone(),
                metrics: serde_json::to_value(Round::kept(&history)).map_err(|e| End::Failed(e.to_string()))?,
            };
            let target = directory.join(&name);
            RunWriter::prepare(&target)?;
            challenger.save(&target, &history, provenance)?;
            folder.kept = true;
            let evaluation = serde_json::to_vec(&own).map_err(|e| End::Failed(e.to_string()))?;
            std::fs::write(target.join(daogou::artifact::EVALUATION), evaluation)?;
            let (promoted, why) = match (promote, &worse) {
                (Promote::Never, _) => (false, "it was not asked for".to_string()),
                (Promote::Always, _) => (true, "it was asked for".into()),
                (Promote::IfNotWorse, Some(why)) => (false, why.clone()),
                (Promote::IfNotWorse, None) => (true, "no loss of it is larger".into()),
            };
            if promoted {
                let choice = app.models.promoted(&name);
                runtime
                    .block_on(app.promote(choice))
                    .map_err(|problem| End::Failed(problem.detail))?;
            } else {
                app.notify("models", &json!({}));
            }
            Ok(json!({
                "model": name, "requests": requests, "challenger": own_losses, "champion": their_losses,
                "promoted": promoted, "why": why,
            }))
        })
    }

    /// What the store knows of people beside their events.
    async fn profiles(&self) -> Result<BTreeMap<String, daogou::stock::Attributes>, StoreError> {
        let mut profiles = BTreeMap::new();
        let mut after = 0;
        loop {
            let page = self.store.documents(Kind::User, after, PAGE).await?;
            let Some(last) = page.last() else { return Ok(profiles) };
            after = last.revision;
            for document in page {
                let body = document.body.and_then(|body| serde_json::from_value(body).ok());
                if let Some(UserDocument { attributes }) = body {
                    profiles.insert(document.id, attributes);
                }
            }
        }
    }

    /// Writes the log as it goes on.
    fn continued(
        self: &Arc<Self>,
        runtime: &tokio::runtime::Handle,
        counter: &Arc<Counter>,
        profiles: &BTreeMap<String, daogou::stock::Attributes>,
        directory: &Path,
    ) -> Result<daogou::continuation::Continued, End> {
        let settings = &self.config.train;
        let attribution = Attribution {
            click_window: i64::from(settings.click_hours) * 3_600,
            purchase_window: i64::from(settings.purchase_days) * 86_400,
            ..Attribution::default()
        };
        let (run, stock) = (&counter.model.run, &counter.stock);
        let mut log = Continuation::create(run, stock, profiles, directory)?;
        // The store reads on its own threads; what it reads is written here.
        let (rows, read) = std::sync::mpsc::sync_channel(4);
        let store = self.store.clone();
        let reading = runtime.spawn(async move {
            let gone = || StoreError::Unavailable { reason: "the training has ended".into() };
            store.impressions(&attribution, move |page| rows.send(page).map_err(|_| gone())).await
        });
        for row in read.iter().flatten() {
            if self.jobs.is_cancelled() {
                return Err(End::Cancelled);
            }
            let context = row.context.as_deref().and_then(|text| serde_json::from_str(text).ok());
            log.add(&ShownItem {
                user: &row.user_id,
                item: &row.item_id,
                time: row.time,
                request: &row.request_id,
                position: row.position,
                clicked: row.click == 1,
                bought: row.purchase == 1,
                context: context.unwrap_or_default(),
            })?;
        }
        runtime.block_on(reading).map_err(|error| End::Failed(error.to_string()))??;
        Ok(log.finish()?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_challenger_is_worse_by_any_loss() {
        let of = |click, purchase| {
            BTreeMap::from([("click".to_string(), click), ("purchase".to_string(), purchase)])
        };
        let champion = of(0.2, 0.05);
        assert_eq!(worse(&of(0.2, 0.05), &champion, 0.0), None);
        assert_eq!(worse(&of(0.1, 0.05), &champion, 0.0), None);
        assert!(worse(&of(0.1, 0.051), &champion, 0.0).unwrap().contains("purchase"));
        assert_eq!(worse(&of(0.2, 0.0504), &champion, 0.01), None);
        let none = BTreeMap::from([("click".to_string(), 0.1)]);
        assert!(worse(&none, &champion, 0.5).is_some(), "a loss that it does not have");
    }
}
