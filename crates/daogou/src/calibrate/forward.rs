//! Running a network forward to calibrated logits.

use daogou_nn::Team;

use super::Calibrations;
use crate::models::{Forward, Logits, Mode, Source};

/// A [`Forward`] whose logits are calibrated: what probabilities that are shown, multiplied or measured are made from.
pub struct CalibratedForward<'a> {
    forward: Forward<'a>,
    calibrations: &'a Calibrations,
}

impl<'a> CalibratedForward<'a> {
    /// Adds calibration to a network's answers.
    pub fn new(forward: Forward<'a>, calibrations: &'a Calibrations) -> Self {
        Self { forward, calibrations }
    }

    /// Calibrated logits of every head for some requests: see [`Forward::run`]. Allocates nothing more.
    pub fn run(
        &mut self,
        source: &Source<'_>,
        requests: &[u32],
        mode: Mode,
        team: &mut Team,
    ) -> &[Logits] {
        let logits = self.forward.run(source, requests, mode, team);
        self.calibrations.apply(source, requests, mode, logits);
        logits
    }
}
