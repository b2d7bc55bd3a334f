//! The maps of all heads of a run.

use std::ops::Range;

use serde::{Deserialize, Serialize};

use super::platt::Freedom;
use super::{Calibration, Observed, isotonic, platt, temperature};
use crate::artifact::{Run, RunWriter};
use crate::data::{Dataset, Target};
use crate::evaluate::{mix_targets, rows_of};
use crate::models::{Logits, Mode, Source};
use crate::schema::{CalibrationMethod, Config, Role, TaskKind};
use crate::train::binary_index;
use crate::{Error, Result};

/// File of the maps in a run directory.
const FILE: &str = "calibration.json";

/// Rows of the rarer kind from which a level is corrected: its standard error is `1/√30` = 18 % of the rate.
const SHIFT_FROM: f64 = 30.0;

/// From which a slope is fitted as well.
const SLOPE_FROM: f64 = 100.0;

/// From which `method = "isotonic"` is possible.
const ISOTONIC_FROM: f64 = 1_000.0;

/// Above which `method = "auto"` chooses it: a free form costs more rows than two numbers.
const ISOTONIC_BEST_FROM: f64 = 50_000.0;

/// The map of one head.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct HeadCalibration {
    /// Name of its task.
    pub task: String,
    /// The map.
    #[serde(flatten)]
    pub calibration: Calibration,
}

/// The maps of all heads, in the order of the configuration; empty in a run that was never calibrated.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Calibrations {
    /// One per task, or none at all.
    pub heads: Vec<HeadCalibration>,
    /// Why a head is not calibrated, or not as asked.
    pub notes: Vec<String>,
    /// The head whose logits carry the offset of negative sampling, if one does.
    pub(super) sampled: Option<usize>,
}

impl Calibrations {
    /// Fits every head on some requests: those of the validation split, never of the test split. `logits` are the
    /// network's own for them, in [`Mode::Evaluate`], one entry per task; `offset`: whether the network adds
    /// [`logit_offset`](crate::data::Impressions::logit_offset) to the click logit.
    ///
    /// Yes-or-no tasks are fitted on the impressions that they are asked about, clicked ones for a purchase, mixes and
    /// shares on requests with a label, weighted by its events. Regressions and multi-class tasks are left as they are: no
    /// list is made of what they say. Costs some tens of passes over the logits.
    ///
    /// CTCVR is the product of two calibrated factors and has no map of its own: CVR is P(purchase | click, x), so the
    /// product is right wherever both factors are, and a CVR map fitted to the product would move the click head's error
    /// into CVR. What fitting the factors one by one can leave in the total of the product is the covariance of the
    /// click head's error with pCVR: on validation splits of the simulator +2 % at 185 purchases and −1 % at four times
    /// as many, which is noise.
    pub fn fit(
        config: &Config,
        data: &Dataset,
        requests: &Range<usize>,
        logits: &[Logits],
        offset: bool,
    ) -> Self {
        let method = config.calibration.method;
        if method == CalibrationMethod::None {
            return Self::default();
        }
        if requests.is_empty() {
            let note = "there is no validation split, so probabilities are not calibrated";
            return Self { notes: vec![note.into()], ..Self::default() };
        }
        let sampled = config.task_of(Role::Click).filter(|_| offset);
        let mut notes = Vec::new();
        let heads = config.tasks.iter().zip(logits).enumerate().map(|(index, (task, logits))| {
            let (found, note) = match task.kind {
                TaskKind::Binary => {
                    let offset = sampled == Some(index);
                    by_evidence(
                        &binary_rows(config, data, requests, (index, offset), logits),
                        method,
                    )
                }
                TaskKind::Share => by_evidence(&share_rows(data, requests, index, logits), method),
                TaskKind::Distribution => mix(data, requests, index, logits),
                // No list is made of these.
                TaskKind::Regression | TaskKind::MultiClass => (Calibration::Identity, None),
            };
            notes.extend(note.map(|note| format!("task `{}`: {note}", task.name)));
            HeadCalibration { task: task.name.clone(), calibration: found }
        });
        Self { heads: heads.collect(), notes, sampled }
    }

    /// Whether nothing is changed.
    pub fn is_identity(&self) -> bool {
        self.heads.iter().all(|head| head.calibration == Calibration::Identity)
    }

    /// Calibrates the network's logits for some requests in place.
    pub fn apply(&self, source: &Source<'_>, requests: &[u32], mode: Mode, logits: &mut [Logits]) {
        for (index, (head, logits)) in self.heads.iter().zip(logits).enumerate() {
            let map = &head.calibration;
            if *map == Calibration::Identity {
                continue;
            }
            let offsets = &source.impressions.logit_offset;
            if mode == Mode::Serve || offsets.is_empty() || self.sampled != Some(index) {
                logits.values.iter_mut().for_each(|z| *z = map.apply(*z));
                continue;
            }
            let rows = requests.iter().flat_map(|&r| {
                let r = r as usize;
                source.requests.impressions(&(r..r + 1))
            });
            for (z, i) in logits.values.iter_mut().zip(rows) {
                *z = map.apply(*z - offsets[i]) + offsets[i];
            }
        }
    }

    /// Adds the maps to a run.
    ///
    /// # Errors
    ///
    /// Where the file cannot be written.
    pub fn write(&self, run: &mut RunWriter) -> Result<()> {
        run.file(FILE, |out| {
            serde_json::to_writer_pretty(&mut *out, self).map_err(|e| Error::Io(e.into()))?;
            Ok(out.write_all(b"\n")?)
        })
    }

    /// Reads the maps of a run. A run from before calibration has none, and none are applied.
    ///
    /// # Errors
    ///
    /// Where the file is damaged, or its heads are not those of the run's configuration.
    pub fn read(run: &Run) -> Result<Self> {
        if !run.manifest().files.contains_key(FILE) {
            return Ok(Self::default());
        }
        let path = run.path(FILE)?;
        let found: Self = serde_json::from_slice(&run.read(FILE)?)
            .map_err(|error| Error::file(&path, format!("damaged: {error}")))?;
        let names = || found.heads.iter().map(|head| head.task.as_str());
        let wanted = || run.config().tasks.iter().map(|task| task.name.as_str());
        if !found.heads.is_empty() && !names().eq(wanted()) {
            let list = |names: &mut dyn Iterator<Item = &str>| names.collect::<Vec<_>>().join(", ");
            let (wanted, got) = (list(&mut wanted()), list(&mut names()));
            return Err(Error::file(&path, format!("damaged: expected tasks {wanted}, got {got}")));
        }
        if let Some(head) = found.heads.iter().find(|head| !head.calibration.is_sound()) {
            let problem = format!("damaged: the map of task `{}` does not increase", head.task);
            return Err(Error::file(&path, problem));
        }
        Ok(found)
    }
}

/// Rows of a yes-or-no task: the impressions that it is asked about.
fn binary_rows(
    config: &Config,
    data: &Dataset,
    requests: &Range<usize>,
    (index, with_offset): (usize, bool),
    logits: &Logits,
) -> Vec<Observed> {
    let impressions = data.requests.impressions(requests);
    let labels = |task: usize| &data.impressions.labels[binary_index(config, task)];
    let asked = config.sample_space(index).map(|place| &data.impressions.labels[place]);
    let label = labels(index);
    let offsets = if with_offset { data.impressions.logit_offset.as_slice() } else { &[] };
    let rows = impressions.zip(&logits.values);
    rows.filter(|(i, _)| asked.is_none_or(|asked| asked[*i] == 1))
        .map(|(i, &z)| {
            let offset = offsets.get(i).copied().unwrap_or(0.0);
            Observed { logit: z - offset, offset, target: f32::from(label[i]), weight: 1.0 }
        })
        .collect()
}

/// Rows of a share task: requests, or their impressions, that have a label.
fn share_rows(
    data: &Dataset,
    requests: &Range<usize>,
    index: usize,
    logits: &Logits,
) -> Vec<Observed> {
    let Some(Target::Share { value, weight, .. }) = &data.targets[index] else {
        return Vec::new();
    };
    let owners = rows_of(data, requests, logits.values.len() == requests.len());
    let rows = owners.into_iter().zip(&logits.values).filter(|(r, _)| weight[*r] > 0.0);
    rows.map(|(r, &logit)| Observed { logit, offset: 0.0, target: value[r], weight: weight[r] })
        .collect()
}

/// The freest map that the rows can bear, and what to say about it.
pub(super) fn by_evidence(
    rows: &[Observed],
    method: CalibrationMethod,
) -> (Calibration, Option<String>) {
    let (mut positives, mut negatives) = (0.0, 0.0);
    for row in rows {
        positives += f64::from(row.weight * row.target);
        negatives += f64::from(row.weight * (1.0 - row.target));
    }
    let rarer = f64::min(positives, negatives);
    if rarer < SHIFT_FROM {
        let note = format!(
            "{positives:.0} positives and {negatives:.0} negatives on validation, fewer than {SHIFT_FROM}: its \
             probabilities are not calibrated"
        );
        return (Calibration::Identity, Some(note));
    }
    let from = match method {
        CalibrationMethod::Isotonic => ISOTONIC_FROM,
        CalibrationMethod::Auto => ISOTONIC_BEST_FROM,
        CalibrationMethod::Platt | CalibrationMethod::None => f64::INFINITY,
    };
    let asked = method == CalibrationMethod::Isotonic;
    if rarer >= from
        && let Some(map) = isotonic(rows)
    {
        let note = (asked && rarer < ISOTONIC_BEST_FROM).then(|| {
            format!(
                "isotonic calibration on {rarer:.0} rows of the rarer kind; below {ISOTONIC_BEST_FROM} `platt` is \
                 usually closer"
            )
        });
        return (map, note);
    }
    let note = asked.then(|| {
        format!("{rarer:.0} rows of the rarer kind are too few for isotonic calibration; Platt's is used")
    });
    if rarer >= SLOPE_FROM
        && let Some((a, b)) = platt::fit(rows, Freedom::SlopeAndShift)
    {
        return (Calibration::Platt { a, b }, note);
    }
    let Some((_, b)) = platt::fit(rows, Freedom::Shift) else {
        return (Calibration::Identity, Some("no calibration could be fitted".into()));
    };
    let note = format!(
        "{rarer:.0} rows of the rarer kind, or no slope to be told: only the level is calibrated"
    );
    (Calibration::Shift { b }, Some(note))
}

/// An isotonic map whose predicted total is the observed one, which interpolating alone would miss by a little.
fn isotonic(rows: &[Observed]) -> Option<Calibration> {
    let map = isotonic::fit(rows)?;
    let mapped: Vec<Observed> = rows
        .iter()
        .map(|row| Observed { logit: map.apply(f64::from(row.logit)) as f32, ..*row })
        .collect();
    let (_, b) = platt::fit(&mapped, Freedom::Shift)?;
    Some(Calibration::Isotonic(map.raised(b)))
}

/// The temperature of a distribution.
fn mix(
    data: &Dataset,
    requests: &Range<usize>,
    index: usize,
    logits: &Logits,
) -> (Calibration, Option<String>) {
    let (targets, weights, _) =
        mix_targets(data, requests, index, logits.cols, logits.values.len());
    let labelled = weights.iter().filter(|w| **w > 0.0).count();
    if (labelled as f64) < SLOPE_FROM {
        let note = format!(
            "{labelled} labels on validation, fewer than {SLOPE_FROM}: its shares are not calibrated"
        );
        return (Calibration::Identity, Some(note));
    }
    match temperature::fit(logits.cols, &logits.values, &targets, &weights) {
        Some(a) => (Calibration::Temperature { a }, None),
        None => (Calibration::Identity, Some("no calibration could be fitted".into())),
    }
}

#[cfg(test)]
mod tests {
    use daogou_nn::Rng;

    use super::*;
    use crate::metrics::logloss::sigmoid;

    fn rows(n: usize, rate: f64) -> Vec<Observed> {
        let mut rng = Rng::new(4, 4);
        let level = (rate / (1.0 - rate)).ln();
        let each = (0..n).map(|_| {
            let z = rng.normal();
            let yes = rng.uniform() < sigmoid(0.7 * z + level);
            Observed { logit: z as f32, offset: 0.0, target: f32::from(yes), weight: 1.0 }
        });
        each.collect()
    }

    #[test]
    fn the_freedom_of_a_map_grows_with_the_evidence() {
        use CalibrationMethod::{Auto, Isotonic, Platt};
        let of = |n, method| by_evidence(&rows(n, 0.3), method);
        for (n, method, name, noted) in [
            (50, Auto, "identity", true),
            (200, Auto, "shift", true),
            (3_000, Auto, "platt", false),
            (3_000, Isotonic, "platt", true),
            (20_000, Isotonic, "isotonic", true),
            (200_000, Platt, "platt", false),
            (200_000, Auto, "isotonic", false),
        ] {
            let (map, note) = of(n, method);
            assert_eq!(
                (map.name(), note.is_some()),
                (name, noted),
                "{n} rows, {method:?}: {note:?}"
            );
        }
    }

    #[test]
    fn every_map_makes_the_totals_agree() {
        for (n, method) in [
            (200, CalibrationMethod::Auto),
            (3_000, CalibrationMethod::Platt),
            (200_000, CalibrationMethod::Isotonic),
        ] {
            let rows = rows(n, 0.3);
            let (map, _) = by_evidence(&rows, method);
            let predicted: f64 = rows.iter().map(|r| sigmoid(f64::from(map.apply(r.logit)))).sum();
            let observed: f64 = rows.iter().map(|r| f64::from(r.target)).sum();
            assert!((predicted / observed - 1.0).abs() < 1e-2, "{n}: {predicted} {observed}");
            let before: f64 = rows.iter().map(|r| sigmoid(f64::from(r.logit))).sum();
            assert!((before / observed - 1.0).abs() > 0.2, "nothing to correct");
        }
    }
}
