//! Calibration of a whole run, on a small simulated shop.

use std::path::Path;

use daogou_nn::{Rng, Team};
use tempfile::TempDir;

use super::heads::by_evidence;
use super::{Calibration, Calibrations, HeadCalibration, Observed};
use crate::artifact::{Provenance, Run};
use crate::data::{Dataset, Target};
use crate::evaluate::EvaluateOptions;
use crate::metrics::calibration::{BINS, ece, pcoc, reliability};
use crate::metrics::logloss::sigmoid;
use crate::metrics::{BootstrapOptions, ScoreOrder};
use crate::models::{Level, Logits, Mode, Source};
use crate::run::TrainedRun;
use crate::schema::{CalibrationMethod, Config};
use crate::simulate::{self, Options};
use crate::train;

/// A run on a shop of 4,000 requests, and its log.
fn trained() -> (TempDir, TrainedRun, Dataset) {
    let directory = tempfile::tempdir().unwrap();
    let options = Options { users: 200, items: 200, requests: 4_000, ..Options::default() };
    simulate::run(&options, directory.path(), &mut |_| {}).unwrap();
    let mut config = Config::read(&directory.path().join("daogou.toml")).unwrap();
    config.set("train.epochs=1").unwrap();
    config.set("train.threads=1").unwrap();
    let config = config.with_absolute_paths(directory.path()).unwrap();
    let data = Dataset::load(&config, directory.path()).unwrap();
    let trained = train::train(&config, &data, &train::Options::default(), &mut ()).unwrap();
    let run = TrainedRun::new(&config, trained, &data);
    (directory, run, data)
}

/// Turns every label of some requests around.
fn spoil(data: &mut Dataset, requests: std::ops::Range<usize>) {
    let impressions = data.requests.impressions(&requests);
    for labels in &mut data.impressions.labels {
        labels[impressions.clone()].iter_mut().for_each(|y| *y = 1 - *y);
    }
    for target in data.targets.iter_mut().flatten() {
        match target {
            Target::Distribution { classes, shares, .. } => {
                shares[requests.start * *classes..requests.end * *classes].reverse();
            }
            Target::Share { value, .. } => {
                value[requests.clone()].iter_mut().for_each(|share| *share = 1.0 - *share);
            }
            Target::RowCategory { .. } | Target::Number { .. } | Target::Class { .. } => {}
        }
    }
}

#[test]
fn the_validation_split_alone_decides_and_a_run_keeps_it() {
    let (directory, mut run, mut data) = trained();
    let fitted = run.calibrations.clone();
    assert_eq!(fitted.heads.len(), run.config.tasks.len());
    assert_ne!(fitted.heads[0].calibration, Calibration::Identity, "{:?}", fitted.notes);

    // Kept in the run, to the bit.
    let path = directory.path().join("run");
    let provenance = Provenance {
        created_at: "2020-01-01T00:00:00Z".into(),
        seed: 1,
        data_fingerprint: String::new(),
        metrics: serde_json::Value::Null,
    };
    run.save(&path, &[], provenance).unwrap();
    assert_eq!(TrainedRun::open(&path).unwrap().0.calibrations, fitted);

    // Reported before and after, and shown.
    let bootstrap = BootstrapOptions { replicates: 0, ..BootstrapOptions::default() };
    let options = EvaluateOptions { bootstrap, ..EvaluateOptions::default() };
    let valid = data.split.valid.clone();
    let evaluation = run.evaluate(&data, &valid, &options).unwrap();
    let effect = &evaluation.calibration["click"];
    assert!((effect.pcoc_after.unwrap() - 1.0).abs() < 1e-3, "{effect:?}");
    assert!(effect.loss_after <= effect.loss_before, "{effect:?}");
    assert!(evaluation.calibration.contains_key("purchase_ctcvr"));
    assert!(crate::evaluate::table::table(&evaluation).contains("calibration"));

    // Whatever becomes a probability is calibrated; the network's own logits are there for the asking.
    let source = Source::from(&data);
    let mut team = Team::new(1);
    let raw = run.logits(&source, &[0, 1, 2], Mode::Serve, &mut team);
    let mut forward = run.forward(1);
    let served = forward.run(&source, &[0, 1, 2], Mode::Serve, &mut team);
    for ((raw, served), head) in raw.iter().zip(served).zip(&fitted.heads) {
        let mapped: Vec<f32> = raw.values.iter().map(|&z| head.calibration.apply(z)).collect();
        assert_eq!(mapped, served.values, "{}", head.task);
    }
    let own =
        run.forward(1).uncalibrated().run(&source, &[0, 1, 2], Mode::Serve, &mut team).to_vec();
    assert_eq!(own, raw);

    // Neither the test split nor the training split has a say; the validation split does.
    let (train, test) = (data.split.train.clone(), data.split.test.clone());
    assert!(!test.is_empty());
    spoil(&mut data, train);
    spoil(&mut data, test);
    run.calibrate(&data);
    assert_eq!(run.calibrations, fitted);
    spoil(&mut data, valid);
    run.calibrate(&data);
    assert_ne!(run.calibrations, fitted);

    // Without validation, or where it is not wanted, nothing is calibrated.
    data.split.valid = data.split.valid.start..data.split.valid.start;
    run.calibrate(&data);
    assert!(run.calibrations.is_identity() && run.calibrations.notes.len() == 1);
    run.config.calibration.method = CalibrationMethod::None;
    run.calibrate(&data);
    assert_eq!(run.calibrations, Calibrations::default());

    // The offset of sampling is no part of what is corrected, and a list has none.
    let map = Calibration::Platt { a: 0.5, b: 0.25 };
    data.impressions.logit_offset = vec![2.0; data.impressions.item.len()];
    let impressions = data.requests.impressions(&(0..1)).len();
    let head = HeadCalibration { task: "click".into(), calibration: map };
    for (sampled, mode, wanted) in [
        (Some(0), Mode::Evaluate, 0.5 * (3.0 - 2.0) + 0.25 + 2.0),
        (Some(0), Mode::Serve, 0.5 * 3.0 + 0.25),
        (None, Mode::Evaluate, 0.5 * 3.0 + 0.25),
    ] {
        let all = Calibrations { heads: vec![head.clone()], notes: Vec::new(), sampled };
        let values = vec![3.0; impressions];
        let mut logits = [Logits { level: Level::Impression, cols: 1, values }];
        all.apply(&Source::from(&data), &[0], mode, &mut logits);
        assert_eq!(logits[0].values, vec![wanted; impressions], "{mode:?}");
    }
}

#[test]
fn a_run_from_before_calibration_opens_without() {
    let kept = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/runs/v1"));
    let found = Calibrations::read(&Run::open(kept).unwrap()).unwrap();
    assert_eq!(found, Calibrations::default());
    assert!(found.is_identity());
}

#[test]
fn a_distorted_head_is_mended_on_rows_it_was_not_fitted_on() {
    let mut rng = Rng::new(11, 1);
    let mut drawn = |n: usize| -> Vec<Observed> {
        let each = (0..n).map(|_| {
            let truth = 1.2 * rng.normal() - 2.5;
            let target = f32::from(rng.uniform() < sigmoid(truth));
            // Too sure of itself, and too high.
            Observed { logit: (1.8 * truth + 2.5) as f32, offset: 0.0, target, weight: 1.0 }
        });
        each.collect()
    };
    let (fit_on, hold_out) = (drawn(200_000), drawn(400_000));
    let measured = |map: &Calibration| {
        let logits: Vec<f32> = hold_out.iter().map(|row| map.apply(row.logit)).collect();
        let p: Vec<f64> = logits.iter().map(|&z| sigmoid(f64::from(z))).collect();
        let labels: Vec<u8> = hold_out.iter().map(|row| row.target as u8).collect();
        let bins = reliability(&ScoreOrder::new(&logits), &p, &labels, BINS);
        let clicks: f64 = labels.iter().map(|&y| f64::from(y)).sum();
        (ece(&bins).unwrap(), pcoc(p.iter().sum(), clicks).unwrap())
    };
    let (ece_before, pcoc_before) = measured(&Calibration::Identity);
    assert!(ece_before > 0.03 && (pcoc_before - 1.0).abs() > 0.2, "{ece_before} {pcoc_before}");
    for method in [CalibrationMethod::Platt, CalibrationMethod::Isotonic] {
        let (map, _) = by_evidence(&fit_on, method);
        let (ece, pcoc) = measured(&map);
        assert!(ece < 0.005 && (pcoc - 1.0).abs() < 0.03, "{method:?}: {ece} {pcoc}");
    }
}
