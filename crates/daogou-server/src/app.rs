//! What all routes share: the parts of a running server, and what connects them.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde::Serialize;
use serde_json::Value;
use tokio::sync::{Mutex, broadcast};

use crate::config::{ServerConfig, StartError};
use crate::experiments::{ExperimentDocument, Experiments};
use crate::keys::Keys;
use crate::list_id::{Origin, now};
use crate::live::{Happened, Live};
use crate::memory::Memory;
use crate::models::{Choice, ItemDocument, Models};
use crate::pool::Pool;
use crate::presets::{Preset, Presets};
use crate::problem::{Answer, Problem};
use crate::store::{Change, Cursor, Document, Event, Kind, Outcome, PAGE, Store, StoreOptions};
use crate::telemetry::{Outcome as Became, Telemetry, Where};
use crate::training::Jobs;

/// The setting that says which model answers.
pub(crate) const SERVING: &str = "serving";

/// Something changed that pages show.
#[derive(Clone, Debug)]
pub(crate) struct Notice {
    /// `job`, `models`, `presets`, `experiments`, `items`.
    pub(crate) event: &'static str,
    pub(crate) data: Arc<Value>,
}

/// A running server.
pub(crate) struct App {
    pub(crate) config: ServerConfig,
    pub(crate) keys: Keys,
    pub(crate) store: Store,
    pub(crate) models: Models,
    pub(crate) memory: Memory,
    pub(crate) presets: Presets,
    pub(crate) experiments: Experiments,
    pub(crate) live: Live,
    pub(crate) pool: Pool,
    pub(crate) telemetry: Telemetry,
    pub(crate) jobs: Jobs,
    pub(crate) notices: broadcast::Sender<Notice>,
    /// Changes of documents come one after the other, in the store and here.
    changing: Mutex<()>,
    draining: AtomicBool,
}

fn parsed<T: serde::de::DeserializeOwned>(document: &Document) -> Option<T> {
    let body = document.body.clone()?;
    match serde_json::from_value(body) {
        Ok(parsed) => Some(parsed),
        Err(error) => {
            let kind = document.kind.name();
            tracing::warn!(kind, id = document.id, %error, "a document of the store is not understood");
            None
        }
    }
}

impl App {
    /// Opens the store, loads the model, and counts again what experiments have.
    pub(crate) async fn start(
        config: ServerConfig,
        run: Option<&std::path::Path>,
        directory: Option<&std::path::Path>,
    ) -> Result<Arc<Self>, StartError> {
        config.check()?;
        let keys = Keys::new(&config.keys)?;
        let store = Store::open(&config.store, &StoreOptions::default()).await?;
        let revision = store.revision().await?;
        let mut documents = Vec::new();
        let mut after = 0;
        loop {
            let page = store.changes(after, PAGE).await?;
            let Some(last) = page.last() else { break };
            after = last.revision;
            documents.extend(page.into_iter().filter(|d| d.kind != Kind::User));
        }
        let mut items: BTreeMap<String, Option<ItemDocument>> = BTreeMap::new();
        for document in documents.iter().filter(|d| d.kind == Kind::Item) {
            items.insert(document.id.clone(), parsed(document));
        }
        let choice = documents.iter().find(|d| d.kind == Kind::Setting && d.id == SERVING);
        let choice: Option<Choice> = choice.and_then(parsed);
        let models = tokio::task::block_in_place(|| Models::new(run, directory, items, choice))?;
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let threads = if config.threads == 0 { cores } else { config.threads };
        let deadline = Duration::from_millis(config.deadline_ms);
        let pool = Pool::start(threads, config.queue, deadline)
            .map_err(|error| StartError::Io(format!("threads for scoring: {error}")))?;
        let app = Arc::new(Self {
            keys,
            memory: Memory::new(config.people, config.events_per_person),
            models,
            presets: Presets::default(),
            experiments: Experiments::default(),
            live: Live::default(),
            pool,
            telemetry: Telemetry::new(),
            jobs: Jobs::default(),
            notices: broadcast::channel(256).0,
            changing: Mutex::default(),
            draining: AtomicBool::new(false),
            store,
            config,
        });
        for document in documents.iter().filter(|d| d.kind != Kind::Item) {
            app.take_in(document);
        }
        for model in app.experiments.models() {
            let loaded = tokio::task::block_in_place(|| app.models.load(&model));
            if let Err(problem) = loaded {
                tracing::warn!(
                    model,
                    problem = problem.detail,
                    "an experiment's model cannot be loaded"
                );
            }
        }
        let cursor = app.count_again().await?;
        if app.config.follows() {
            tokio::spawn(follow(Arc::downgrade(&app), revision, cursor));
        }
        if app.config.retention_days > 0 {
            tokio::spawn(retain(Arc::downgrade(&app)));
        }
        Ok(app)
    }

    /// Counts what experiments have so far, from the store.
    async fn count_again(&self) -> Result<Cursor, StartError> {
        let head = self.store.head().await?;
        let Some(earliest) = self.experiments.earliest() else { return Ok(head) };
        tracing::info!(since = earliest, "counting experiments from the store");
        let mut cursor = Cursor::START;
        loop {
            let (events, next) = self.store.events(cursor, PAGE).await?;
            if events.is_empty() {
                return Ok(cursor);
            }
            for event in &events {
                let origin = event.request.as_deref().map(Origin::of).unwrap_or_default();
                self.experiments.count(&origin, event);
            }
            cursor = next;
        }
    }

    /// What a document of the store means here. Items are taken in together, by [`Models::set_items`].
    fn take_in(&self, document: &Document) {
        match document.kind {
            Kind::Preset => self.presets.set(&document.id, parsed::<Preset>(document)),
            Kind::Experiment => {
                self.experiments.set(&document.id, parsed::<ExperimentDocument>(document));
            }
            Kind::User => self.memory.forget(&document.id),
            Kind::Item | Kind::Key | Kind::Model | Kind::Setting => {}
        }
    }

    /// Writes documents to the store, and then does here what they say.
    ///
    /// # Errors
    ///
    /// What the store says; nothing is changed then.
    pub(crate) async fn change(self: &Arc<Self>, changes: Vec<Change>) -> Answer<()> {
        // In a task of its own: a caller that goes away must not stop between the store and this server.
        let app = Arc::clone(self);
        let done = tokio::spawn(async move {
            let _one = app.changing.lock().await;
            app.store.put(changes.clone()).await?;
            let documents = changes.into_iter().map(|change| Document {
                kind: change.kind,
                id: change.id,
                body: change.body,
                revision: 0,
                written: now(),
            });
            app.take_in_all(documents.collect()).await;
            Ok(())
        });
        done.await.unwrap_or_else(|_| Err(Problem::unavailable("the change was cut short")))
    }

    async fn take_in_all(self: &Arc<Self>, documents: Vec<Document>) {
        let mut kinds: Vec<Kind> = documents.iter().map(|document| document.kind).collect();
        kinds.sort_unstable();
        kinds.dedup();
        let (items, others): (Vec<_>, Vec<_>) =
            documents.into_iter().partition(|document| document.kind == Kind::Item);
        if !items.is_empty() {
            let app = Arc::clone(self);
            let items = items.into_iter().map(|item| (item.id.clone(), parsed(&item))).collect();
            // A copy of the catalogue: not for an async thread.
            let _ = tokio::task::spawn_blocking(move || app.models.set_items(items)).await;
        }
        for document in &others {
            self.take_in(document);
            if document.kind == Kind::Setting
                && document.id == SERVING
                && let Some(choice) = parsed::<Choice>(document)
            {
                self.choose(choice).await;
            }
        }
        for kind in kinds {
            match kind {
                Kind::Preset => self.notify("presets", &serde_json::json!({})),
                Kind::Experiment => self.notify("experiments", &serde_json::json!({})),
                Kind::Item => self.notify("items", &serde_json::json!({})),
                _ => {}
            }
        }
    }

    /// Has a model answer, here.
    async fn choose(self: &Arc<Self>, choice: Choice) {
        let app = Arc::clone(self);
        let name = choice.serving.clone();
        let loaded = tokio::task::spawn_blocking(move || app.models.load(&name)).await;
        match loaded {
            Ok(Ok(())) => {
                self.models.choose(&choice, &self.experiments.models());
                self.notify("models", &serde_json::json!({}));
            }
            Ok(Err(problem)) => {
                tracing::error!(
                    model = choice.serving,
                    problem = problem.detail,
                    "the chosen model cannot be loaded"
                );
            }
            Err(_) => tracing::error!(model = choice.serving, "loading the chosen model failed"),
        }
    }

    pub(crate) fn notify(&self, event: &'static str, data: &impl Serialize) {
        let data = serde_json::to_value(data).unwrap_or_default();
        // Nobody may be watching.
        let _ = self.notices.send(Notice { event, data: Arc::new(data) });
    }

    /// Stores events, and then does here what they say.
    ///
    /// # Errors
    ///
    /// What the store says; none is counted then.
    pub(crate) async fn append(self: &Arc<Self>, events: Vec<Event>) -> Answer<Vec<Outcome>> {
        let app = Arc::clone(self);
        let done = tokio::spawn(async move {
            let outcomes = app.store.append(events.clone()).await?;
            let new = events.iter().zip(&outcomes).filter(|(_, own)| **own == Outcome::New);
            let new: Vec<&Event> = new.map(|(event, _)| event).collect();
            app.memory.learn(new.iter().copied());
            let now = now();
            for event in new {
                let origin = event.request.as_deref().map(Origin::of).unwrap_or_default();
                app.note(now, &origin, event);
                if !app.config.follows() {
                    app.experiments.count(&origin, event);
                }
            }
            for outcome in &outcomes {
                let outcome = match outcome {
                    Outcome::New => "new",
                    Outcome::Duplicate => "duplicate",
                };
                app.telemetry.events.get_or_create(&Became { outcome }).inc();
            }
            Ok(outcomes)
        });
        done.await.unwrap_or_else(|_| Err(Problem::unavailable("storing the events was cut short")))
    }

    /// What an id of a list says of where it belongs, as far as there is such a place: anybody may make up an id, and
    /// numbers are kept by name.
    fn known(&self, origin: &Origin) -> Origin {
        let presets = &self.models.serving().model.presets;
        let arm = origin.arm.clone().filter(|(name, arm)| self.experiments.has(name, arm));
        let preset = origin.preset.clone().filter(|name| self.presets.has(name, presets));
        Origin { arm, preset }
    }

    fn note(&self, now: i64, origin: &Origin, event: &Event) {
        let origin = &self.known(origin);
        let place = Where::from(origin);
        let (family, happened) = match event.kind.as_str() {
            "impression" => (&self.telemetry.impressions, Happened::Shown),
            "click" => (&self.telemetry.clicks, Happened::Clicked),
            "purchase" => (&self.telemetry.purchases, Happened::Bought),
            _ => return,
        };
        family.get_or_create(&place).inc();
        self.live.note(now, origin, happened);
    }

    /// No new work from now on.
    pub(crate) fn drain(&self) {
        self.draining.store(true, Ordering::Relaxed);
        self.jobs.cancel();
    }

    pub(crate) fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Relaxed)
    }
}

/// Takes in what other servers on the same store write, once a second.
async fn follow(app: std::sync::Weak<App>, mut revision: i64, mut cursor: Cursor) {
    loop {
        tokio::time::sleep(Duration::from_secs(1)).await;
        let Some(app) = app.upgrade() else { return };
        let follow = async {
            loop {
                let documents = app.store.changes(revision, PAGE).await?;
                let Some(last) = documents.last() else { break };
                revision = last.revision;
                let _one = app.changing.lock().await;
                app.take_in_all(documents).await;
            }
            loop {
                let (events, next) = app.store.events(cursor, PAGE).await?;
                if events.is_empty() {
                    break;
                }
                app.memory.learn(events.iter());
                for event in &events {
                    let origin = event.request.as_deref().map(Origin::of).unwrap_or_default();
                    app.experiments.count(&origin, event);
                }
                cursor = next;
            }
            Ok::<_, crate::store::StoreError>(())
        };
        if let Err(error) = follow.await {
            tracing::warn!(%error, "the store cannot be followed; trying again");
        }
    }
}

/// Forgets old events, once an hour.
async fn retain(app: std::sync::Weak<App>) {
    loop {
        let Some(app) = app.upgrade() else { return };
        let days = i64::from(app.config.retention_days);
        match app.store.forget(now() - days * 86_400).await {
            Ok(0) => {}
            Ok(forgotten) => tracing::info!(forgotten, days, "old events were forgotten"),
            Err(error) => tracing::warn!(%error, "old events cannot be forgotten now"),
        }
        drop(app);
        tokio::time::sleep(Duration::from_hours(1)).await;
    }
}
