//! A trained run: everything needed to predict and to build lists, in memory and as a directory.

use std::ops::Range;
use std::path::Path;

use daogou_nn::{Parameters, Team};

use crate::artifact::{Manifest, Provenance, Run, RunWriter, TensorView};
use crate::data::store::Stored;
use crate::data::{Dataset, Known, load_known};
use crate::evaluate::{Evaluation, Predictions, Ranking, TaskScores, evaluate, ranking};
use crate::metrics::BootstrapOptions;
use crate::models::{Level, Logits, Mode, Network, Shape, Source, predict};
use crate::rows::{self, Layout, Rows};
use crate::schema::{Config, Role, TaskKind};
use crate::train::{Round, Trained};
use crate::{Error, Result};

/// File of per-round metrics in a run directory.
const HISTORY: &str = "history.jsonl";

/// A trained run.
pub struct TrainedRun {
    /// The effective configuration; paths of data are absolute.
    pub config: Config,
    /// Network, feed and heads.
    pub network: Network,
    /// What it learned.
    pub parameters: Parameters,
    /// Users, items and how values become numbers.
    pub stored: Stored,
}

/// Names and shapes of all weights, as a PyTorch user expects them.
fn tensors<'a>(network: &'a Network, parameters: &'a Parameters) -> Vec<TensorView<'a>> {
    let dense = network.model.params().iter().map(|p| {
        let shape = if p.cols == 0 { vec![p.rows] } else { vec![p.rows, p.cols] };
        TensorView::new(p.name.as_str(), shape, &parameters.dense()[p.range()])
    });
    let tables = parameters.tables.iter().map(|t| {
        TensorView::new(format!("{}.weight", t.name()), vec![t.rows(), t.dim()], t.values())
    });
    dense.chain(tables).collect()
}

impl TrainedRun {
    /// A run from what training left.
    pub fn new(config: &Config, trained: Trained, data: &Dataset) -> Self {
        Self {
            config: config.clone(),
            network: trained.network,
            parameters: trained.parameters,
            stored: Stored::of(data, Shape::of(config, data)),
        }
    }

    /// Writes the run directory, all or nothing.
    ///
    /// # Errors
    ///
    /// Where a file cannot be written; an earlier run of that name is then untouched.
    pub fn save(&self, directory: &Path, history: &[Round], provenance: Provenance) -> Result<Run> {
        let mut run = RunWriter::create(directory, &self.config)?;
        self.stored.write(&mut run)?;
        run.file(HISTORY, |out| {
            for round in history {
                serde_json::to_writer(&mut *out, round).map_err(|e| Error::Io(e.into()))?;
                out.write_all(b"\n")?;
            }
            Ok(())
        })?;
        run.model(tensors(&self.network, &self.parameters))?;
        run.finish(provenance)
    }

    /// Opens a run directory.
    ///
    /// # Errors
    ///
    /// Where it is no run, damaged, of a newer format, or its weights do not fit its configuration.
    pub fn open(directory: &Path) -> Result<(Self, Manifest)> {
        let run = Run::open(directory)?;
        let config = run.config().clone();
        let stored = Stored::read(&run)?;
        let network = Network::build(&config, &stored.space, &stored.shape)?;
        let mut parameters = Parameters::new(&network.model, config.train.seed);
        let mut weights = run.model()?;
        let mut dense = Vec::with_capacity(parameters.dense().len());
        for p in network.model.params() {
            let shape = if p.cols == 0 { vec![p.rows] } else { vec![p.rows, p.cols] };
            dense.extend(weights.take(&p.name, &shape)?);
        }
        parameters.edit_dense(|to| to.copy_from_slice(&dense));
        for table in &mut parameters.tables {
            let values =
                weights.take(&format!("{}.weight", table.name()), &[table.rows(), table.dim()])?;
            table.values_mut().copy_from_slice(&values);
        }
        weights.finish()?;
        let manifest = run.manifest().clone();
        Ok((Self { config, network, parameters, stored }, manifest))
    }

    /// What the run knows, to read a further log by.
    pub fn known(&self) -> Known<'_> {
        Known {
            space: &self.stored.space,
            users: &self.stored.users,
            items: &self.stored.items,
            catalogue: &self.stored.catalogue,
            past: &self.stored.past,
            last_time: self.stored.last_time,
        }
    }

    /// Logits of every head for some requests.
    pub fn logits(
        &self,
        source: &Source<'_>,
        requests: &[u32],
        mode: Mode,
        team: &mut Team,
    ) -> Vec<Logits> {
        let Network { model, feed, heads } = &self.network;
        predict((model, &self.parameters), (feed, heads), source, requests, mode, team)
    }

    /// Answers of every head, as evaluation reads them.
    pub fn predictions(
        &self,
        source: &Source<'_>,
        requests: &[u32],
        mode: Mode,
        team: &mut Team,
    ) -> Predictions {
        let logits = self.logits(source, requests, mode, team);
        let tasks = self
            .config
            .tasks
            .iter()
            .zip(logits)
            .map(|(task, logits)| match task.kind {
                TaskKind::Binary => TaskScores::Logits(logits.values),
                TaskKind::Distribution => {
                    TaskScores::Mix { classes: logits.cols, shares: softmax_rows(&logits) }
                }
                TaskKind::Share => {
                    TaskScores::Share(logits.values.iter().map(|&z| sigmoid(z)).collect())
                }
            })
            .collect();
        Predictions { tasks }
    }
}

/// What a prediction of a file went through.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PredictSummary {
    /// Rows written.
    pub rows: usize,
    /// Rows whose user the run does not know.
    pub unknown_users: usize,
    /// Rows whose item the run does not know.
    pub unknown_items: usize,
}

/// Rows kept in memory at a time by [`TrainedRun::predict_file`].
const PREDICT_ROWS: usize = 500_000;

impl TrainedRun {
    /// Everything measured on a range of requests: tasks, baselines, and the order of logged lists with the position's
    /// effect removed.
    ///
    /// # Errors
    ///
    /// Where the log has no labels.
    pub fn evaluate(
        &self,
        data: &Dataset,
        requests: &Range<usize>,
        options: &BootstrapOptions,
    ) -> Result<Evaluation> {
        let binary = self.config.tasks.iter().any(|t| t.kind == TaskKind::Binary);
        if requests.is_empty() || (binary && data.impressions.labels.is_empty()) {
            return Err(Error::data(
                "there is nothing to measure: no requests, or no label columns",
            )
            .with_hint("evaluate a split that has rows, or a log with the label columns"));
        }
        let mut team = Team::new(crate::train::threads(self.config.train.threads));
        let source = Source::from(data);
        let order: Vec<u32> = requests.clone().map(|r| r as u32).collect();
        let predictions = self.predictions(&source, &order, Mode::Evaluate, &mut team);
        let mut evaluation = evaluate(&self.config, data, requests, &predictions, options)?;
        if let Some(click) = self.config.task_of(Role::Click) {
            let logits = self.logits(&source, &order, Mode::Serve, &mut team);
            let buy = self.config.task_of(Role::Purchase);
            let weight =
                |name: &str| self.config.lists.objectives.get(name).map_or(0.0, |&w| w as f32);
            let (w_click, w_buy) = (weight("click"), weight("purchase"));
            let scores: Vec<f32> = (0..logits[click].values.len())
                .map(|i| {
                    let pctr = sigmoid(logits[click].values[i]);
                    let pcvr = buy.map_or(0.0, |b| sigmoid(logits[b].values[i]));
                    pctr * (w_click + w_buy * pcvr)
                })
                .collect();
            let without = BootstrapOptions { replicates: 0, ..*options };
            let rank = |how, options| ranking(&self.config, data, requests, how, options);
            evaluation.lists = rank(Ranking::Scores(&scores), options);
            for (name, how) in [("logged", Ranking::Logged), ("popularity", Ranking::Popularity)] {
                if let Some(report) = rank(how, &without) {
                    evaluation.list_baselines.insert(name.into(), report);
                }
            }
        }
        Ok(evaluation)
    }

    /// Reads `input`, adds a column per head and writes CSV to `output`, whole or not at all. Rows keep their order, and
    /// only some are in memory at a time.
    ///
    /// Columns: `{task}` for binary and share tasks, `{task}_{category}` for distributions; with `logits`, logits.
    ///
    /// # Errors
    ///
    /// As [`crate::data::load_known`]; and where `output` cannot be written.
    pub fn predict_file(
        &self,
        input: &Path,
        output: &Path,
        logits: bool,
    ) -> Result<PredictSummary> {
        let layout = Layout { delimiter: self.config.data.delimiter as u8, quoting: true };
        let names = rows::header(input, layout)?;
        let mut reader = Rows::open(input, layout, &names)?;
        let scratch = tempfile::tempdir()?;
        let part = scratch.path().join("part.csv");
        let mut config = self.config.clone();
        config.data.impressions = vec![part.to_string_lossy().into_owned()];
        config.data.events.clear();
        config.data.event_log = None;
        config.data.test.clear();
        config.data.delimiter = ',';
        config.data.max_bad_share = 0.0;
        let mut team = Team::new(crate::train::threads(self.config.train.threads));
        let mut summary = PredictSummary::default();
        let wrong = |error: csv::Error| Error::file(output, error.to_string());
        let folder =
            output.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let mut file = tempfile::NamedTempFile::new_in(folder)?;
        {
            let mut writer = csv::Writer::from_writer(std::io::BufWriter::new(&mut file));
            let mut header: Vec<String> = names.clone();
            for task in &self.config.tasks {
                if task.kind == TaskKind::Distribution {
                    let categories = self.stored.catalogue.categories.iter();
                    header.extend(categories.map(|c| format!("p_{}_{c}", task.name)));
                } else {
                    header.push(format!("p_{}", task.name));
                }
            }
            writer.write_record(&header).map_err(wrong)?;
            loop {
                let mut lines = 0;
                let mut copy = csv::Writer::from_path(&part).map_err(wrong)?;
                copy.write_record(&names).map_err(wrong)?;
                let mut kept: Vec<csv::StringRecord> = Vec::new();
                while lines < PREDICT_ROWS && reader.advance()? {
                    let record: csv::StringRecord =
                        (0..names.len()).map(|i| reader.text(i)).collect();
                    copy.write_record(&record).map_err(wrong)?;
                    kept.push(record);
                    lines += 1;
                }
                copy.flush()?;
                drop(copy);
                if lines == 0 {
                    break;
                }
                let name_input = |error: Error| rename(error, &part, input, summary.rows as u64);
                let data = load_known(&config, Path::new("."), self.known()).map_err(name_input)?;
                let source = Source::from(&data);
                let order: Vec<u32> = (0..data.requests.len() as u32).collect();
                let heads = self.logits(&source, &order, Mode::Serve, &mut team);
                let mut answers: Vec<Vec<f32>> = vec![Vec::new(); lines];
                for (head, task) in heads.iter().zip(&self.config.tasks) {
                    let values = match (logits, task.kind) {
                        (true, _) => head.values.clone(),
                        (false, TaskKind::Distribution) => softmax_rows(head),
                        (false, _) => head.values.iter().map(|&z| sigmoid(z)).collect(),
                    };
                    for r in 0..data.requests.len() {
                        for i in data.requests.impressions(&(r..r + 1)) {
                            let row = if head.level == Level::Request { r } else { i };
                            let own = &values[row * head.cols..(row + 1) * head.cols];
                            answers[data.rows[i] as usize].extend_from_slice(own);
                        }
                    }
                }
                for r in 0..data.requests.len() {
                    let n = data.requests.impressions(&(r..r + 1)).len();
                    let known = self.stored.users.ids.len() as u32;
                    let user = data.requests.user[r];
                    summary.unknown_users += if user == 0 || user >= known { n } else { 0 };
                }
                let known = self.stored.items.ids.len() as u32;
                let unknown = |&&i: &&u32| i == 0 || i >= known;
                summary.unknown_items += data.impressions.item.iter().filter(unknown).count();
                for (record, answer) in kept.iter().zip(&answers) {
                    let added = answer.iter().map(f32::to_string);
                    let all = record.iter().map(str::to_string).chain(added);
                    writer.write_record(all).map_err(wrong)?;
                }
                summary.rows += lines;
            }
            writer.flush()?;
        }
        if summary.rows == 0 {
            return Err(Error::file(input, "has no rows: expected at least one below the header"));
        }
        file.as_file().sync_all()?;
        file.persist(output).map_err(|error| Error::Io(error.error))?;
        Ok(summary)
    }
}

/// An error in the copied part of a file, as one in the file itself.
fn rename(error: Error, part: &Path, input: &Path, before: u64) -> Error {
    match error {
        Error::Cell { path, line, column, expected, got } if path == part => {
            Error::Cell { path: input.into(), line: line + before, column, expected, got }
        }
        Error::Row { path, line, problem } if path == part => {
            Error::Row { path: input.into(), line: line + before, problem }
        }
        Error::File { path, problem, hint } if path == part => {
            Error::File { path: input.into(), problem, hint }
        }
        other => other,
    }
}

/// σ(z).
pub(crate) fn sigmoid(z: f32) -> f32 {
    crate::metrics::logloss::sigmoid(f64::from(z)) as f32
}

/// Softmax of each row.
pub(crate) fn softmax_rows(logits: &Logits) -> Vec<f32> {
    let mut out = Vec::with_capacity(logits.values.len());
    let mut log = Vec::new();
    for row in logits.values.chunks_exact(logits.cols) {
        crate::metrics::distribution::log_softmax(row, &mut log);
        out.extend(log.iter().map(|l| l.exp() as f32));
    }
    out
}

/// The answer of a head for one request: its row, or the mean of its impressions' rows.
pub(crate) fn request_row(values: &[f32], cols: usize, level: Level) -> Vec<f32> {
    match level {
        Level::Request => values[..cols].to_vec(),
        Level::Impression => {
            let n = (values.len() / cols).max(1) as f32;
            (0..cols).map(|c| values.iter().skip(c).step_by(cols).sum::<f32>() / n).collect()
        }
    }
}
