//! The best point under constraints.

use std::fmt;
use std::str::FromStr;

use serde::Serialize;

use super::{Axis, Measured, Point};
use crate::{Error, Result};

/// A bound on one axis: `diversity>=0.6`, `kl<=0.5`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Demand {
    /// Of what.
    pub axis: Axis,
    /// At most, rather than at least.
    pub at_most: bool,
    /// The bound.
    pub bound: f64,
}

impl FromStr for Demand {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let wrong = |problem: &str| {
            Error::data(format!("constraint `{text}`: {problem}"))
                .with_hint("for example `diversity>=0.6` or `kl<=0.5`")
        };
        let (at, at_most) = match (text.find(">="), text.find("<=")) {
            (Some(at), None) => (at, false),
            (None, Some(at)) => (at, true),
            _ => return Err(wrong("expected one of >= and <=")),
        };
        let axis = text[..at].trim().parse()?;
        let bound: f64 = text[at + 2..]
            .trim()
            .parse()
            .ok()
            .filter(|bound: &f64| bound.is_finite())
            .ok_or_else(|| wrong("expected a number after it"))?;
        Ok(Self { axis, at_most, bound })
    }
}

impl fmt::Display for Demand {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.at_most { "<=" } else { ">=" };
        write!(f, "{}{sign}{}", self.axis, self.bound)
    }
}

impl Demand {
    /// How much a value falls short of the bound; 0 where it does not.
    fn missing(&self, value: f64) -> f64 {
        if self.at_most { value - self.bound } else { self.bound - value }.max(0.0)
    }
}

/// What came of asking for the best point under constraints.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Solution {
    /// What was to be large (or small, for `kl`).
    pub maximise: Axis,
    /// The constraints.
    pub subject: Vec<Demand>,
    /// Whether the point meets all of them.
    pub met: bool,
    /// How much each lacks, in the order of `subject`; zeros where it is met.
    pub missing: Vec<f64>,
    /// The best of the points that meet them; where none does, the one that lacks least, each lack in units of the spread
    /// of its axis over all points.
    pub point: Point,
}

/// The best of the run's own points under constraints. Means decide, not interval ends. Ties: the first.
///
/// # Errors
///
/// Where an axis is not measured: the run lacks the head, or the log the column.
pub fn solve(measured: &Measured, maximise: Axis, subject: &[Demand]) -> Result<Solution> {
    let points: Vec<&Point> = measured.own().collect();
    let value = |point: &Point, axis: Axis| point.values.get(&axis).map(|estimate| estimate.mean);
    let first = points.first().ok_or_else(|| Error::data("there are no points to choose from"))?;
    for axis in subject.iter().map(|demand| demand.axis).chain([maximise]) {
        if value(first, axis).is_none() {
            let there: Vec<&str> = first.values.keys().map(|axis| axis.name()).collect();
            return Err(Error::data(format!(
                "objective `{axis}`: not measured for this run, expected one of {}",
                there.join(", ")
            ))
            .with_hint("the model has no such head, or the log no such column"));
        }
    }
    let at =
        |point: &Point, axis: Axis| value(point, axis).expect("measured, as of the first point");
    let spread = |axis: Axis| {
        let values = || points.iter().map(|point| at(point, axis));
        let (low, high) =
            (values().fold(f64::INFINITY, f64::min), values().fold(f64::NEG_INFINITY, f64::max));
        if high > low { high - low } else { 1.0 }
    };
    let spreads: Vec<f64> = subject.iter().map(|demand| spread(demand.axis)).collect();
    let lack = |point: &Point| -> f64 {
        let each = subject.iter().zip(&spreads);
        each.map(|(demand, spread)| demand.missing(at(point, demand.axis)) / spread).sum()
    };
    let better = |a: &Point, b: &Point| {
        let (lack_a, lack_b) = (lack(a), lack(b));
        lack_a < lack_b
            || (lack_a == lack_b && maximise.gain(at(a, maximise)) > maximise.gain(at(b, maximise)))
    };
    let best = points
        .iter()
        .copied()
        .reduce(|best, point| if better(point, best) { point } else { best })
        .expect("there is a first point");
    let missing: Vec<f64> =
        subject.iter().map(|demand| demand.missing(at(best, demand.axis))).collect();
    Ok(Solution {
        maximise,
        subject: subject.to_vec(),
        met: missing.iter().all(|&missing| missing == 0.0),
        missing,
        point: best.clone(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn demands_are_read_and_nonsense_is_refused() {
        let demand: Demand = " diversity >= 0.6".trim().parse().unwrap();
        assert_eq!(demand, Demand { axis: Axis::Diversity, at_most: false, bound: 0.6 });
        assert_eq!("kl<=0.5".parse::<Demand>().unwrap().to_string(), "kl<=0.5");
        for (text, part) in [
            ("diversity", "expected one of >= and <="),
            ("diversity>=", "expected a number"),
            ("diversity>=NaN", "expected a number"),
            ("joy>=1", "expected one of click"),
        ] {
            let message = text.parse::<Demand>().unwrap_err().to_string();
            assert!(message.contains(part), "{message}");
        }
        assert_eq!(demand.missing(0.5), 0.6 - 0.5);
        assert_eq!(demand.missing(0.7), 0.0);
    }

    /// Points of clicks, diversity and novelty.
    fn measured(points: &[[f64; 3]]) -> Measured {
        let axes = [Axis::Click, Axis::Diversity, Axis::Novelty];
        Measured::of_means(points.iter().map(|values| axes.into_iter().zip(*values).collect()))
    }

    #[test]
    fn the_most_among_those_that_meet_all_else_the_least_short() {
        let points =
            measured(&[[3.0, 0.1, 0.2], [2.0, 0.5, 0.5], [1.5, 0.9, 0.5], [1.0, 0.9, 0.9]]);
        let best = |subject: &str| {
            let subject: Vec<Demand> = subject.split(',').map(|s| s.parse().unwrap()).collect();
            solve(&points, Axis::Click, &subject).unwrap()
        };
        let found = best("diversity>=0.4");
        assert_eq!((found.met, found.point.mean(Axis::Click)), (true, Some(2.0)));
        let found = best("diversity>=0.6,novelty>=0.8");
        assert_eq!((found.met, found.point.mean(Axis::Click)), (true, Some(1.0)));
        let found = best("diversity>=0.95,novelty>=0.4");
        assert!(!found.met && found.point.mean(Axis::Click) == Some(1.5));
        assert!((found.missing[0] - 0.05).abs() < 1e-12 && found.missing[1] == 0.0);
        let message = solve(&points, Axis::Revenue, &[]).unwrap_err().to_string();
        assert!(
            message.contains("`revenue`: not measured") && message.contains("click"),
            "{message}"
        );
        assert!(solve(&measured(&[]), Axis::Click, &[]).is_err());
    }
}
