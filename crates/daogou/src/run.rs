//! A trained run: everything needed to predict and to build lists, in memory and as a directory.

use std::ops::Range;
use std::path::Path;

use daogou_nn::{Parameters, Team};

use crate::artifact::{Manifest, Provenance, Run, RunWriter, TensorView};
use crate::calibrate::{CalibratedForward, Calibrations};
use crate::data::store::Stored;
use crate::data::{Dataset, Known};
use crate::evaluate::{
    Built, EvaluateOptions, Evaluation, Predictions, Ranking, TaskScores, built_lists, effects,
    evaluate, ranking, reports,
};
use crate::floors::Exposure;
use crate::list_maker::configured_weights;
use crate::lists::{Heads, Weights};
use crate::metrics::BootstrapOptions;
use crate::models::{Forward, Link, Logits, Mode, Network, Shape, Source, predict, sigmoid};
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
    /// How what the heads say becomes probabilities; fitted on the validation split.
    pub calibrations: Calibrations,
    /// What exposure floors cost; learned on the validation split.
    pub exposure: Exposure,
    /// Users, items and how values become numbers.
    pub stored: Stored,
}

/// An evaluation and what it measured.
pub(crate) struct Examined {
    pub(crate) evaluation: Evaluation,
    /// Calibrated answers for all requests of the range.
    pub(crate) predictions: Predictions,
    /// Lists built for a sample of them.
    pub(crate) built: Built,
}

/// Names and shapes of all weights, as a PyTorch user expects them.
fn tensors<'a>(network: &'a Network, parameters: &'a Parameters) -> Vec<TensorView<'a>> {
    let dense = network.model.params().iter().map(|p| {
        let shape = if p.cols == 0 { vec![p.rows] } else { vec![p.rows, p.cols] };
        TensorView::new(p.name.as_str(), shape, &parameters.dense()[p.range()])
    });
    let tables = parameters.tables().iter().map(|t| {
        TensorView::new(format!("{}.weight", t.name()), vec![t.rows(), t.dim()], t.values())
    });
    dense.chain(tables).collect()
}

impl TrainedRun {
    /// A run from what training left, calibrated as `config` says: costs a forward pass over the validation split, and
    /// where there are exposure floors, lists of a sample of it ([`Exposure::learn`]).
    pub fn new(config: &Config, trained: Trained, data: &Dataset) -> Self {
        let mut run = Self {
            config: config.clone(),
            network: trained.network,
            parameters: trained.parameters,
            calibrations: Calibrations::default(),
            exposure: Exposure::default(),
            stored: Stored::of(data, Shape::of(config, data)),
        };
        run.calibrate(data);
        run.learn_exposure(data);
        run
    }

    /// Learns the prices of all exposure floors on the validation split of `data`, in place of what there was.
    pub fn learn_exposure(&mut self, data: &Dataset) {
        self.exposure = Exposure::default();
        let mut team = Team::new(crate::train::threads(self.config.train.threads));
        self.exposure = Exposure::learn(self, data, &mut team);
    }

    /// Fits the calibration of every head on the validation split of `data`, in place of what there was.
    pub fn calibrate(&mut self, data: &Dataset) {
        let valid = &data.split.valid;
        let order: Vec<u32> = valid.clone().map(|r| r as u32).collect();
        let mut team = Team::new(crate::train::threads(self.config.train.threads));
        let logits = self.logits(&Source::from(data), &order, Mode::Evaluate, &mut team);
        let offset = self.stored.shape.logit_offset;
        self.calibrations = Calibrations::fit(&self.config, data, valid, &logits, offset);
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
        self.calibrations.write(&mut run)?;
        self.exposure.write(&mut run)?;
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
        // The file says what there is; what the other files say there should be is not believed before.
        let mut weights = run.model()?;
        let mut dense = Vec::new();
        for p in network.model.params() {
            let shape = if p.cols == 0 { vec![p.rows] } else { vec![p.rows, p.cols] };
            dense.extend(weights.take(&p.name, &shape)?);
        }
        let tables = network.model.table_specs();
        let rows = tables
            .map(|(name, rows, dim)| weights.take(&format!("{name}.weight"), &[rows, dim]))
            .collect::<Result<Vec<_>>>()?;
        weights.finish()?;
        let mut parameters = Parameters::new(&network.model, config.train.seed);
        parameters.edit(|to, tables| {
            to.copy_from_slice(&dense);
            for (table, values) in tables.iter_mut().zip(&rows) {
                table.values_mut().copy_from_slice(values);
            }
        });
        let calibrations = Calibrations::read(&run)?;
        let exposure = Exposure::read(&run)?;
        let manifest = run.manifest().clone();
        Ok((Self { config, network, parameters, calibrations, exposure, stored }, manifest))
    }

    /// How the training of a run directory went, round by round; empty where the run does not say.
    ///
    /// # Errors
    ///
    /// Where it is no run, or damaged.
    pub fn history(directory: &Path) -> Result<Vec<Round>> {
        let run = Run::open(directory)?;
        if !run.manifest().files.contains_key(HISTORY) {
            return Ok(Vec::new());
        }
        let text = run.read(HISTORY)?;
        let lines = text.split(|&byte| byte == b'\n').filter(|line| !line.is_empty());
        lines
            .map(|line| {
                serde_json::from_slice(line).map_err(|error| {
                    Error::file(run.directory().join(HISTORY), format!("damaged: {error}"))
                })
            })
            .collect()
    }

    /// The log that the run was trained on.
    ///
    /// # Errors
    ///
    /// Where it cannot be read, or has changed since.
    pub fn training_log(&self, manifest: &Manifest) -> Result<Dataset> {
        let data = Dataset::load(&self.config, Path::new("."))?;
        let (then, now) = (&manifest.provenance.data_fingerprint, &data.report.fingerprint);
        if then == now {
            return Ok(data);
        }
        Err(Error::data(format!(
            "the log changed since this run was trained: expected fingerprint {then}, got {now}"
        ))
        .with_hint("measure the changed log with `daogou eval --data`, or train again"))
    }

    /// What the run knows, to read a further log by.
    pub fn known(&self) -> Known<'_> {
        Known {
            space: &self.stored.space,
            users: &self.stored.users,
            items: &self.stored.items,
            catalogue: &self.stored.catalogue,
            past: &self.stored.past,
            timelines: &self.stored.timelines,
            last_time: self.stored.last_time,
        }
    }

    /// The network's own logits of every head for some requests, not calibrated.
    pub fn logits(
        &self,
        source: &Source<'_>,
        requests: &[u32],
        mode: Mode,
        team: &mut Team,
    ) -> Vec<Logits> {
        let Network { model, feed, heads, .. } = &self.network;
        predict((model, &self.parameters), (feed, heads), source, requests, mode, team)
    }

    /// Runs the network forward to calibrated logits, on a team of `threads`: whatever becomes a probability comes from
    /// here.
    pub fn forward(&self, threads: usize) -> CalibratedForward<'_> {
        let Network { model, feed, heads, .. } = &self.network;
        let forward = Forward::new((model, &self.parameters), (feed, heads), threads);
        CalibratedForward::new(forward, &self.calibrations)
    }

    /// Calibrated answers of every head, as evaluation reads them.
    pub fn predictions(
        &self,
        source: &Source<'_>,
        requests: &[u32],
        mode: Mode,
        team: &mut Team,
    ) -> Predictions {
        self.answers(self.forward(team.size()).run(source, requests, mode, team))
    }

    /// Logits as evaluation reads them.
    fn answers(&self, logits: &[Logits]) -> Predictions {
        let tasks = self
            .config
            .tasks
            .iter()
            .zip(logits)
            .map(|(task, logits)| {
                let answers = || Link::of(task, &self.stored.space).answers(logits);
                let classes = logits.cols;
                match task.kind {
                    TaskKind::Binary => TaskScores::Logits(logits.values.clone()),
                    TaskKind::Distribution => TaskScores::Mix { classes, shares: answers() },
                    TaskKind::Share => TaskScores::Share(answers()),
                    TaskKind::Regression => TaskScores::Numbers(answers()),
                    TaskKind::MultiClass => {
                        TaskScores::Classes { classes, probabilities: answers() }
                    }
                }
            })
            .collect();
        Predictions { tasks }
    }
}

impl TrainedRun {
    /// Everything measured on a range of requests: tasks, baselines, the order of logged lists with the position's
    /// effect removed, and lists built from the catalogue for a sample of the requests.
    ///
    /// # Errors
    ///
    /// Where the log has no labels.
    pub fn evaluate(
        &self,
        data: &Dataset,
        requests: &Range<usize>,
        options: &EvaluateOptions,
    ) -> Result<Evaluation> {
        Ok(self.examine(data, requests, options)?.evaluation)
    }

    /// [`TrainedRun::evaluate`], and what it measured.
    pub(crate) fn examine(
        &self,
        data: &Dataset,
        requests: &Range<usize>,
        options: &EvaluateOptions,
    ) -> Result<Examined> {
        if requests.is_empty() || !data.has_labels(&self.config) {
            return Err(Error::data(
                "there is nothing to measure: no requests, or no label columns",
            )
            .with_hint("evaluate a split that has rows, or a log with the label columns"));
        }
        let mut team = Team::new(crate::train::threads(self.config.train.threads));
        let source = Source::from(data);
        let order: Vec<u32> = requests.clone().map(|r| r as u32).collect();
        let predictions = self.predictions(&source, &order, Mode::Evaluate, &mut team);
        let mut evaluation =
            evaluate(&self.config, data, requests, &predictions, &options.bootstrap)?;
        evaluation.notes.extend(self.calibrations.notes.iter().cloned());
        evaluation.notes.extend(self.exposure.notes.iter().cloned());
        if !self.calibrations.is_identity() {
            let raw = self.answers(&self.logits(&source, &order, Mode::Evaluate, &mut team));
            let without = BootstrapOptions { replicates: 0, ..options.bootstrap };
            let before = reports(&self.config, data, requests, &raw, &without)?;
            evaluation.calibration = effects(&self.calibrations, &before, &evaluation.tasks);
        }
        let Ok(weights) = configured_weights(self) else {
            return Ok(Examined { evaluation, predictions, built: Built::default() });
        };
        if self.config.task_of(Role::Click).is_some() {
            let scores = self.utility(&source, &order, &weights, &mut team)?;
            let without = BootstrapOptions { replicates: 0, ..options.bootstrap };
            let rank = |how, options| ranking(&self.config, data, requests, how, options);
            evaluation.lists.order = rank(Ranking::Scores(&scores), &options.bootstrap);
            for (name, how) in [("logged", Ranking::Logged), ("popularity", Ranking::Popularity)] {
                if let Some(report) = rank(how, &without) {
                    evaluation.list_baselines.insert(name.into(), report);
                }
            }
        }
        let built = built_lists(self, data, requests, (&weights, options), &mut team)?;
        evaluation.lists.built = built.reports(self, data, &options.bootstrap);
        evaluation.lists.floors.clone_from(&built.floors);
        if let Some(lists) = evaluation.lists.built.get("model") {
            evaluation.notes.push(format!(
                "lists were built for {} of {} requests, each from {} items",
                lists.n,
                requests.len(),
                self.stored.items.ids.len() - 1
            ));
        }
        Ok(Examined { evaluation, predictions, built })
    }

    /// Utility of each impression of some requests, position aside: what lists are ordered by.
    fn utility(
        &self,
        source: &Source<'_>,
        requests: &[u32],
        weights: &Weights,
        team: &mut Team,
    ) -> Result<Vec<f32>> {
        let mut forward = self.forward(team.size());
        let logits = forward.run(source, requests, Mode::Serve, team);
        let of_role = |role| -> Option<Vec<f32>> {
            let values = &logits[self.config.task_of(role)?].values;
            Some(values.iter().map(|&z| sigmoid(z)).collect())
        };
        let (click, purchase) = (of_role(Role::Click), of_role(Role::Purchase));
        let prices = &source.catalogue.price;
        let rows = requests.iter().flat_map(|&r| {
            let r = r as usize;
            source.requests.impressions(&(r..r + 1))
        });
        let price: Option<Vec<f32>> = (!prices.is_empty())
            .then(|| rows.map(|i| prices[source.impressions.item[i] as usize]).collect());
        let heads = Heads {
            click: click.as_deref(),
            purchase: purchase.as_deref(),
            price: price.as_deref(),
            bonus: None,
        };
        let mut utility = Vec::new();
        weights.utility(&heads, click.as_ref().map_or(0, Vec::len), &mut utility)?;
        Ok(utility)
    }
}
