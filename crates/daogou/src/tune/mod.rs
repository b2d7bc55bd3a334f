//! Searching hyper-parameters on the validation split, by successive halving over the amount of training requests.
//!
//! Trials are drawn at random from a [`Space`], trial 0 being the configuration as it is. All of them train on the latest
//! part of the training requests; the better ones train again on more, the last ones on everything. The test split is never
//! looked at. What a trial gives does not depend on what others gave, so trials run side by side and a search that was
//! killed goes on; this is why it is not a model-based search, which needs one result to choose the next.
//!
//! The best of many scores is better than it will be again. How much of that is luck of the seed is measured: the chosen
//! configuration trains again under fresh seeds, beside the one as it was.

mod halving;
mod space;
mod table;

pub use space::Space;
pub use table::text;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use daogou_nn::rng::hash;
use serde::{Deserialize, Serialize};

use crate::artifact::write_atomic;
use crate::data::Dataset;
use crate::experiment::{
    Shared, UntilHalt, measure, metrics, named, read, reading, same_questions, side_by_side, write,
};
use crate::metrics::StudentMean;
use crate::run::TrainedRun;
use crate::schema::Config;
use crate::train::{self, Round};
use crate::{Error, Result};
use halving::{Rung, rungs, survivors};

/// The metric where none is named: the losses of all tasks on validation over their constant predictors', by the weights of
/// the configuration as it is.
pub const LOSS: &str = "loss";

/// How a search runs.
#[derive(Clone, Debug)]
pub struct Options {
    /// Directory of everything that comes out.
    pub out: PathBuf,
    /// Trainings side by side. Never changes a result.
    pub threads: usize,
    /// Go on with the search that is there.
    pub resume: bool,
    /// Trials of the first rung, the configuration as it is among them.
    pub trials: usize,
    /// Rungs; 1 trains every trial on everything.
    pub rungs: usize,
    /// Requests of a rung over those of the one before, and trials the other way round.
    pub eta: usize,
    /// Seed of the draws.
    pub seed: u64,
    /// Seeds under which the chosen configuration trains again.
    pub fresh_seeds: usize,
    /// [`LOSS`], or a metric of the validation split: `click.auc`.
    pub metric: String,
}

/// What a search found.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Tuned {
    /// What was searched for.
    pub metric: String,
    /// Whether more of it is better.
    pub higher_is_better: bool,
    /// Rungs, the last one on all training requests.
    pub rungs: Vec<RungResult>,
    /// The trial that was chosen; 0: nothing was better than the configuration as it is.
    pub chosen: usize,
    /// What it sets, as `--set` takes it.
    pub set: Vec<String>,
    /// Its score when it was chosen.
    pub score: f64,
    /// The score of the configuration as it is, under the same seed.
    pub before: f64,
    /// Its scores under fresh seeds; `None` where none were asked for.
    pub fresh: Option<StudentMean>,
    /// Its gain over the configuration as it is under the same fresh seeds, positive where it is better.
    pub gain: Option<StudentMean>,
}

/// One rung.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RungResult {
    /// Share of the training requests.
    pub fraction: f64,
    /// Trials and their scores; `None` where training diverged.
    pub trials: Vec<(usize, Option<f64>)>,
}

/// One training that a search asks for.
#[derive(Clone, Debug)]
struct Piece {
    /// Name of its file.
    file: String,
    config: Config,
}

/// What is kept of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct PieceRecord {
    identity: String,
    fingerprint: String,
    /// `None` where training diverged.
    score: Option<f64>,
    seconds: f64,
}

/// What happens while a search runs.
#[derive(Clone, Copy, Debug)]
pub struct Done<'a> {
    /// `rung 1 of 3`, or `fresh seeds`.
    pub stage: &'a str,
    /// Trainings of this stage that are finished.
    pub done: usize,
    /// All of them.
    pub total: usize,
    /// The score of the last one.
    pub score: Option<f64>,
}

/// Told what happens, from any thread.
pub trait Watch: Sync {
    /// A training is finished, or was found finished.
    fn done(&self, done: &Done<'_>);
}

/// Watches nothing.
impl Watch for () {
    fn done(&self, _: &Done<'_>) {}
}

/// A search under way.
struct Search<'a> {
    config: &'a Config,
    base: &'a Path,
    options: &'a Options,
    higher_is_better: bool,
    watch: &'a dyn Watch,
}

/// Which search a directory holds.
#[derive(PartialEq, Serialize, Deserialize)]
struct Stamp {
    identity: String,
}

/// Searches, and writes `tuned.json` and `best.toml` into the directory of the search.
///
/// # Errors
///
/// Where a key cannot be searched, a log cannot be read, or the directory is taken.
pub fn tune(
    config: &Config,
    base: &Path,
    space: &Space,
    options: &Options,
    watch: &dyn Watch,
) -> Result<Tuned> {
    let higher_is_better = check(config, space, options)?;
    let sets: Vec<Vec<String>> = (0..options.trials)
        .map(|trial| if trial == 0 { Vec::new() } else { space.draw(options.seed, trial) })
        .collect();
    let configs = sets.iter().map(|set| drawn(config, set, options)).collect::<Result<Vec<_>>>()?;
    open(config, &sets, options)?;
    let search = Search { config, base, options, higher_is_better, watch };

    let mut left: Vec<usize> = (0..options.trials).collect();
    let mut results: Vec<RungResult> = Vec::new();
    let all = rungs(options.trials, options.rungs, options.eta);
    for (index, &Rung { trials, fraction }) in all.iter().enumerate() {
        if let Some(before) = results.last() {
            left = survivors(&search.costs(&before.trials), trials);
        }
        let piece = |&trial: &usize| {
            let mut config = configs[trial].clone();
            config.data.split.train_fraction *= fraction;
            Piece { file: format!("rung-{}/trial-{trial}.json", index + 1), config }
        };
        let pieces: Vec<Piece> = left.iter().map(piece).collect();
        let scores = search.scores(&format!("rung {} of {}", index + 1, all.len()), &pieces)?;
        results.push(RungResult { fraction, trials: left.iter().copied().zip(scores).collect() });
    }
    let last = &results.last().expect("at least one rung").trials;
    let score_of = |trial: usize| last.iter().find(|own| own.0 == trial).and_then(|own| own.1);
    let costs = search.costs(last);
    let best = costs.iter().filter_map(|&(trial, cost)| Some((cost?, trial)));
    let chosen = best.min_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
    let (Some((_, chosen)), Some(before)) = (chosen, score_of(0)) else {
        return Err(Error::data(
            "the configuration as it is diverges, so there is nothing to compare with",
        )
        .with_hint("lower `train.learning_rate` in it"));
    };
    let fresh = |trial: usize| -> Result<Vec<f64>> {
        let piece = |n: usize| {
            let mut config = configs[trial].clone();
            config.train.seed = config.train.seed.wrapping_add(n as u64);
            Piece { file: format!("fresh/trial-{trial}-seed-{}.json", config.train.seed), config }
        };
        let pieces: Vec<Piece> = (1..=options.fresh_seeds).map(piece).collect();
        let stage = if trial == 0 { "fresh seeds, as it was" } else { "fresh seeds" };
        let scores = search.scores(stage, &pieces)?;
        let whole: Option<Vec<f64>> = scores.into_iter().collect();
        whole.ok_or_else(|| {
            Error::data(format!("trial {trial}, which was chosen, diverges under another seed"))
                .with_hint("search smaller step sizes")
        })
    };
    let again = fresh(chosen)?;
    let base_again = if chosen == 0 { again.clone() } else { fresh(0)? };
    let sign = if higher_is_better { 1.0 } else { -1.0 };
    let gains: Vec<f64> =
        again.iter().zip(&base_again).map(|(own, base)| sign * (own - base)).collect();
    let tuned = Tuned {
        metric: options.metric.clone(),
        higher_is_better,
        rungs: results.clone(),
        chosen,
        set: sets[chosen].clone(),
        score: score_of(chosen).expect("the chosen trial has a score"),
        before,
        fresh: StudentMean::new(&again),
        gain: StudentMean::new(&gains).filter(|_| chosen != 0),
    };
    let mut best = config.with_absolute_paths(base)?;
    best.set_all(tuned.set.iter().map(String::as_str))?;
    let header = format!(
        "# Found by `daogou tune`: trial {chosen} of {}, by {} on validation.\n\n",
        options.trials, options.metric
    );
    write_atomic(&options.out.join("best.toml"), (header + &best.to_toml()).as_bytes())?;
    write(&options.out.join("tuned.json"), &tuned)?;
    Ok(tuned)
}

/// Checks what is asked for; whether more of the metric is better.
fn check(config: &Config, space: &Space, options: &Options) -> Result<bool> {
    let refuse = |key: &str, problem: String| Err(Error::config(key, problem));
    if space.is_empty() {
        return Err(Error::config("space", "there is nothing to search")
            .with_hint("--space train.learning_rate=1e-4..1e-2:log"));
    }
    for (key, value, least) in
        [("trials", options.trials, 2), ("rungs", options.rungs, 1), ("eta", options.eta, 2)]
    {
        if value < least {
            return refuse(key, format!("expected at least {least}, got {value}"));
        }
    }
    for key in space.keys() {
        match key {
            "train.seed" => return refuse(key, "a seed is luck, not something to choose".into()),
            "train.threads" => return refuse(key, "never changes a result".into()),
            "data.split.train_fraction" | "data.split.fraction_by" => {
                return refuse(key, "the search itself decides how much is trained on".into());
            }
            _ => {}
        }
    }
    if config.data.split.valid <= 0.0 {
        return Err(Error::config(
            "data.split.valid",
            "a search needs a validation split, and its share is 0",
        )
        .with_hint("--set data.split.train=0.8 --set data.split.valid=0.1"));
    }
    let known = metrics(config, false);
    if options.metric == LOSS {
        return Ok(false);
    }
    let found = known.iter().find(|metric| metric.key == options.metric);
    found.map(|metric| metric.higher_is_better).ok_or_else(|| {
        let names: Vec<&str> = known.iter().map(|metric| metric.key.as_str()).collect();
        let names = names.join(", ");
        Error::config("metric", format!("expected {LOSS}, {names}; got `{}`", options.metric))
    })
}

/// The configuration of a trial.
fn drawn(config: &Config, set: &[String], options: &Options) -> Result<Config> {
    let mut own = config.clone();
    own.set_all(set.iter().map(String::as_str)).map_err(|error| named(error, "space"))?;
    own.train.threads = 1;
    if !same_questions(&own, config) {
        return Err(Error::config(
            "space",
            "a trial may not change what tasks ask, or of which rows",
        ));
    }
    let objectives = |config: &Config| -> Vec<_> {
        config.tasks.iter().map(|task| (task.objective(), task.is_log1p())).collect()
    };
    if options.metric == LOSS && objectives(&own) != objectives(config) {
        return Err(Error::config(
            "space",
            "losses of different objectives or transforms cannot be compared",
        )
        .with_hint("--metric purchase_ctcvr.auc"));
    }
    Ok(own)
}

/// Opens or makes the directory of a search.
fn open(config: &Config, sets: &[Vec<String>], options: &Options) -> Result<()> {
    let path = options.out.join("search.json");
    let Options { rungs, eta, fresh_seeds, metric, .. } = options;
    let all = format!(
        "{}\n{}\n{sets:?}\n{rungs} {eta} {fresh_seeds} {metric}",
        env!("CARGO_PKG_VERSION"),
        config.to_toml()
    );
    let stamp = Stamp { identity: format!("{:016x}", hash(&all)) };
    match read::<Stamp>(&path)? {
        Some(_) if !options.resume => Err(Error::file(&options.out, "holds a search already")
            .with_hint("--resume goes on with it; --out names another directory")),
        Some(before) if before != stamp => Err(Error::file(
            &options.out,
            "holds a search with another configuration, space or options",
        )
        .with_hint("--out names another directory")),
        Some(_) => Ok(()),
        None => {
            let out = &options.out;
            if out.is_file() || (out.is_dir() && fs_err::read_dir(out)?.next().is_some()) {
                return Err(Error::file(out, "holds something else than a search")
                    .with_hint("--out names a new directory"));
            }
            write(&path, &stamp)
        }
    }
}

impl Search<'_> {
    /// Scores that are smaller where a trial is better.
    fn costs(&self, scored: &[(usize, Option<f64>)]) -> Vec<(usize, Option<f64>)> {
        let sign = if self.higher_is_better { -1.0 } else { 1.0 };
        scored.iter().map(|&(trial, score)| (trial, score.map(|score| sign * score))).collect()
    }

    /// Trains some pieces, those that are not there yet, and gives the scores of all of them.
    fn scores(&self, stage: &str, pieces: &[Piece]) -> Result<Vec<Option<f64>>> {
        let path = |piece: &Piece| self.options.out.join(&piece.file);
        let mut pending: Vec<(&Piece, String)> = Vec::new();
        for piece in pieces {
            if self.kept(piece, &path(piece))?.is_none() {
                pending.push((piece, reading(&piece.config)));
            }
        }
        let done = AtomicUsize::new(pieces.len() - pending.len());
        let logs: Shared<Dataset> = Shared::new(pending.iter().map(|(_, name)| name.clone()));
        side_by_side(self.options.threads, &pending, |(piece, name), halt| {
            let load = || Dataset::load(&piece.config, self.base);
            let record = logs.with(name, load, |data| {
                let mut until = UntilHalt(halt);
                self.train(piece, data, &mut until).map_err(|error| error.about(&piece.file))
            })?;
            write(&path(piece), &record)?;
            let done = done.fetch_add(1, Ordering::Relaxed) + 1;
            self.watch.done(&Done { stage, done, total: pieces.len(), score: record.score });
            Ok(())
        })?;
        let mut scores = Vec::with_capacity(pieces.len());
        let mut fingerprints: BTreeMap<String, String> = BTreeMap::new();
        for piece in pieces {
            let record = self.kept(piece, &path(piece))?.expect("each piece was trained");
            let read = fingerprints.entry(reading(&piece.config));
            if *read.or_insert_with(|| record.fingerprint.clone()) != record.fingerprint {
                return Err(Error::file(
                    path(piece),
                    "was trained on other rows: the log has changed since",
                )
                .with_hint("--out names another directory, to begin anew"));
            }
            scores.push(record.score);
        }
        Ok(scores)
    }

    fn identity(&self, piece: &Piece) -> String {
        let all = format!("{}\n{}", self.options.metric, piece.config.to_toml());
        format!("{:016x}", hash(&all))
    }

    /// What is kept of a piece, if it was finished.
    fn kept(&self, piece: &Piece, path: &Path) -> Result<Option<PieceRecord>> {
        match read::<PieceRecord>(path)? {
            Some(record) if record.identity != self.identity(piece) => {
                Err(Error::file(path, "is of another configuration")
                    .with_hint("delete it to train it again"))
            }
            other => Ok(other),
        }
    }

    fn train(
        &self,
        piece: &Piece,
        data: &Dataset,
        until: &mut UntilHalt<'_>,
    ) -> Result<PieceRecord> {
        let start = Instant::now();
        let outcome = train::train(&piece.config, data, &train::Options::default(), until);
        let seconds = start.elapsed().as_secs_f64();
        let score = match outcome {
            Err(Error::Diverged { .. }) => None,
            Err(other) => return Err(other),
            Ok(trained) if self.options.metric == LOSS => {
                let kept = Round::kept(&trained.history);
                kept.and_then(|round| self.loss(round))
            }
            Ok(trained) => {
                let run = TrainedRun::new(&piece.config, trained, data);
                let found = measure(&run, data, &data.split.valid, None)?;
                found.get(&self.options.metric).copied().flatten()
            }
        };
        let fingerprint = data.report.fingerprint.clone();
        Ok(PieceRecord { identity: self.identity(piece), fingerprint, score, seconds })
    }

    /// Σ weight · loss on validation, each loss over its constant predictor's. The weights are those of the configuration as
    /// it is, whatever the trial learned with.
    fn loss(&self, round: &Round) -> Option<f64> {
        if round.valid.is_empty() {
            return None;
        }
        let each = self.config.tasks.iter().zip(&round.valid);
        let sum: f64 = each.map(|(task, score)| task.weight() * score.loss.unwrap_or(0.0)).sum();
        sum.is_finite().then_some(sum)
    }
}
