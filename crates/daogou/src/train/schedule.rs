//! How the step size changes over the planned steps.

use crate::schema::{Schedule, TrainConfig};

/// Factor of the step size at `step` (from 1) of `planned`: a linear rise over the warm-up, then the schedule.
pub(super) fn factor(config: &TrainConfig, step: u64, planned: u64) -> f64 {
    let warmup = config.warmup_steps;
    if step <= warmup {
        return step as f64 / warmup as f64;
    }
    let rest = planned.saturating_sub(warmup).max(1);
    let done = ((step - warmup - 1) as f64 / rest as f64).min(1.0);
    match config.schedule {
        Schedule::Constant => 1.0,
        Schedule::Linear => 1.0 - done,
        Schedule::Cosine => 0.5 * (1.0 + (std::f64::consts::PI * done).cos()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_rises_then_falls() {
        for schedule in [Schedule::Constant, Schedule::Linear, Schedule::Cosine] {
            let config = TrainConfig { schedule, warmup_steps: 10, ..TrainConfig::default() };
            let at = |step| factor(&config, step, 110);
            assert!((at(1) - 0.1).abs() < 1e-12 && at(10) == 1.0 && at(11) == 1.0);
            let middle = if schedule == Schedule::Constant { 1.0 } else { 0.5 };
            assert!((at(61) - middle).abs() < 1e-12, "{schedule:?}: {}", at(61));
            assert!((11..200).all(|s| at(s + 1) <= at(s) && at(s) >= 0.0), "{schedule:?}");
        }
    }
}
