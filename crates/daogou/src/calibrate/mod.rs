//! Calibration: what a head says is mapped to what was observed, so that its probabilities can be shown, multiplied by a
//! price and compared between heads.
//!
//! A map is strictly increasing in the logit, so that no order and no AUC changes. It is fitted after training on the
//! validation split, kept in the run, and applied by [`CalibratedForward`] wherever logits become probabilities.
//!
//! What is known about a row but not a property of it stays outside the map. The offset of negative sampling is taken
//! off before and added after: `map(z − ln 1/w) + ln 1/w`, so a list, which has no sampling, gets `map(z)`. Examination
//! by position is part of the logit that is fitted, and absent when serving; serving by the same map assumes that the
//! correction does not depend on position. That is exact for a shift, and scales examination by the slope otherwise.

mod forward;
mod heads;
mod isotonic;
mod platt;
#[cfg(test)]
mod run_tests;
mod temperature;

pub use forward::CalibratedForward;
pub use heads::{Calibrations, HeadCalibration};
pub use isotonic::IsotonicMap;

use serde::{Deserialize, Serialize};

/// One row that a map is fitted on.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Observed {
    /// What the head says, without `offset`.
    pub(crate) logit: f32,
    /// Known log-odds added after the map: those of negative sampling.
    pub(crate) offset: f32,
    /// What was observed: 0 or 1, or a share.
    pub(crate) target: f32,
    /// How often it counts.
    pub(crate) weight: f32,
}

/// A map of logits, strictly increasing.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(tag = "method", rename_all = "snake_case")]
pub enum Calibration {
    /// `z`: nothing to correct it by.
    #[default]
    Identity,
    /// `z + b`: the level only, where there is too little to learn a slope from.
    Shift {
        /// Added log-odds.
        b: f64,
    },
    /// `a·z + b` (Platt 1999).
    Platt {
        /// Slope, above 0; below 1 the head was too sure of itself.
        a: f64,
        /// Added log-odds.
        b: f64,
    },
    /// `a·z` of every class (Guo et al. 2017): the inverse of a temperature.
    Temperature {
        /// Slope, above 0.
        a: f64,
    },
    /// Piecewise linear between block centres (Zadrozny and Elkan 2002).
    Isotonic(IsotonicMap),
}

impl Calibration {
    /// The calibrated logit. Costs a binary search for an isotonic map, and a multiplication and an addition otherwise.
    pub fn apply(&self, logit: f32) -> f32 {
        let z = f64::from(logit);
        let mapped = match self {
            Self::Identity => return logit,
            Self::Shift { b } => z + b,
            Self::Platt { a, b } => a * z + b,
            Self::Temperature { a } => a * z,
            Self::Isotonic(map) => map.apply(z),
        };
        mapped as f32
    }

    /// Its name, as in JSON.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Identity => "identity",
            Self::Shift { .. } => "shift",
            Self::Platt { .. } => "platt",
            Self::Temperature { .. } => "temperature",
            Self::Isotonic(_) => "isotonic",
        }
    }

    /// Slope, where the map has one slope.
    pub fn slope(&self) -> Option<f64> {
        match *self {
            Self::Identity | Self::Shift { .. } => Some(1.0),
            Self::Platt { a, .. } | Self::Temperature { a } => Some(a),
            Self::Isotonic(_) => None,
        }
    }

    /// Added log-odds, where they are the same everywhere.
    pub fn shift(&self) -> Option<f64> {
        match *self {
            Self::Identity | Self::Temperature { .. } => Some(0.0),
            Self::Shift { b } | Self::Platt { b, .. } => Some(b),
            Self::Isotonic(_) => None,
        }
    }

    /// Whether it is strictly increasing and finite, as every fitted map is.
    fn is_sound(&self) -> bool {
        let slope = self.slope().is_none_or(|a| a.is_finite() && a > 0.0);
        let knots = if let Self::Isotonic(map) = self { map.is_sound() } else { true };
        slope && self.shift().is_none_or(f64::is_finite) && knots
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::metrics::{ScoreOrder, auc::auc};

    fn any_map() -> impl Strategy<Value = Calibration> {
        let knots = prop::collection::vec((0.01f64..3.0, 0.01f64..3.0), 1..20);
        prop_oneof![
            Just(Calibration::Identity),
            (-5.0f64..5.0).prop_map(|b| Calibration::Shift { b }),
            (0.05f64..4.0, -5.0f64..5.0).prop_map(|(a, b)| Calibration::Platt { a, b }),
            (0.05f64..4.0).prop_map(|a| Calibration::Temperature { a }),
            knots.prop_map(|steps| {
                let mut at = (-8.0, -6.0);
                let sums = steps.iter().map(|step| {
                    at = (at.0 + step.0, at.1 + step.1);
                    at
                });
                Calibration::Isotonic(IsotonicMap::through(sums))
            }),
        ]
    }

    proptest! {
        #[test]
        fn a_larger_logit_stays_larger_and_auc_stays(
            map in any_map(),
            steps in prop::collection::vec((-4000i32..4000, 0u8..2), 2..60),
        ) {
            prop_assert!(map.is_sound());
            // A grid of thousandths, so that f32 has room for every slope in question.
            let logits: Vec<f32> = steps.iter().map(|s| s.0 as f32 * 0.004).collect();
            let labels: Vec<u8> = steps.iter().map(|s| s.1).collect();
            let mapped: Vec<f32> = logits.iter().map(|&z| map.apply(z)).collect();
            for (z, m) in logits.iter().zip(&mapped) {
                for (other, n) in logits.iter().zip(&mapped) {
                    prop_assert_eq!(z.partial_cmp(other), m.partial_cmp(n));
                }
            }
            prop_assert_eq!(
                auc(&ScoreOrder::new(&logits), &labels),
                auc(&ScoreOrder::new(&mapped), &labels)
            );
        }

        #[test]
        fn a_map_survives_json(map in any_map()) {
            let text = serde_json::to_string(&map).unwrap();
            prop_assert_eq!(serde_json::from_str::<Calibration>(&text).unwrap(), map);
        }
    }

    #[test]
    fn a_map_that_turns_the_order_around_is_not_sound() {
        assert!(!Calibration::Platt { a: -0.5, b: 0.0 }.is_sound());
        assert!(!Calibration::Shift { b: f64::NAN }.is_sound());
        let falling = IsotonicMap::through([(0.0, 1.0), (1.0, 0.5)].into_iter());
        assert!(!Calibration::Isotonic(falling).is_sound());
    }
}
