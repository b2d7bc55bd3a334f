//! What calibration changed: each task's report with the heads' own logits beside the one with calibrated logits.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Reports, TaskReport};
use crate::calibrate::{Calibration, Calibrations};
use crate::metrics::calibration::ReliabilityBin;

/// One report before and after calibration. `None` (JSON `null`) where undefined, or not a metric of its kind.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct CalibrationEffect {
    /// `identity`, `shift`, `platt`, `temperature` or `isotonic`; of a CTCVR `product`, of two calibrated factors.
    pub method: String,
    /// Slope of the logit, where there is one.
    pub a: Option<f64>,
    /// Added log-odds, where they are the same everywhere.
    pub b: Option<f64>,
    /// Expected calibration error before.
    pub ece_before: Option<f64>,
    /// And after.
    pub ece_after: Option<f64>,
    /// Predicted over observed positives before.
    pub pcoc_before: Option<f64>,
    /// And after.
    pub pcoc_after: Option<f64>,
    /// Log loss of a yes-or-no task, cross-entropy of a mix, squared error of a share: before.
    pub loss_before: Option<f64>,
    /// And after.
    pub loss_after: Option<f64>,
    /// Predicted and observed rates before, by bins of similar prediction; after: `reliability` of the report.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub reliability_before: Vec<ReliabilityBin>,
}

/// ECE, PCOC and loss of a report; `None` of a task that is not calibrated.
fn measured(report: &TaskReport) -> Option<[Option<f64>; 3]> {
    Some(match report {
        TaskReport::Binary(r) => [r.ece, r.pcoc, r.logloss],
        TaskReport::Mix(r) => [None, None, r.ce],
        TaskReport::Share(r) => [None, None, r.mse],
        TaskReport::Classes(_) | TaskReport::Numbers(_) => return None,
    })
}

/// Compares reports of the same rows, by name.
pub(crate) fn effects(
    calibrations: &Calibrations,
    before: &Reports,
    after: &Reports,
) -> BTreeMap<String, CalibrationEffect> {
    let pairs = before.iter().filter_map(|(name, before)| Some((name, before, after.get(name)?)));
    pairs
        .filter_map(|(name, before, after)| {
            let head = calibrations.heads.iter().find(|head| head.task == *name);
            let map = head.map(|head| &head.calibration);
            let [ece_before, pcoc_before, loss_before] = measured(before)?;
            let [ece_after, pcoc_after, loss_after] = measured(after)?;
            let effect = CalibrationEffect {
                method: map.map_or("product", Calibration::name).into(),
                a: map.and_then(Calibration::slope),
                b: map.and_then(Calibration::shift),
                ece_before,
                ece_after,
                pcoc_before,
                pcoc_after,
                loss_before,
                loss_after,
                reliability_before: match before {
                    TaskReport::Binary(r) => r.reliability.clone(),
                    _ => Vec::new(),
                },
            };
            Some((name.clone(), effect))
        })
        .collect()
}
