//! Running a network forward to calibrated logits.

use daogou_nn::Team;

use super::Calibrations;
use crate::models::{Forward, Logits, Mode, Source};

/// A [`Forward`] whose logits are calibrated: what probabilities that are shown, multiplied or measured are made from.
pub struct CalibratedForward<'a> {
    forward: Forward<'a>,
    calibrations: Option<&'a Calibrations>,
}

impl<'a> CalibratedForward<'a> {
    /// Adds calibration to a network's answers.
    pub fn new(forward: Forward<'a>, calibrations: &'a Calibrations) -> Self {
        Self { forward, calibrations: Some(calibrations) }
    }

    /// The same without calibration, for those who ask for the network's own logits.
    pub fn uncalibrated(self) -> Self {
        Self { calibrations: None, ..self }
    }

    /// Logits of every head for some requests: see [`Forward::run`]. Allocates nothing more.
    pub fn run(
        &mut self,
        source: &Source<'_>,
        requests: &[u32],
        mode: Mode,
        team: &mut Team,
    ) -> &[Logits] {
        let logits = self.forward.run(source, requests, mode, team);
        if let Some(calibrations) = self.calibrations {
            calibrations.apply(source, requests, mode, logits);
        }
        logits
    }
}
