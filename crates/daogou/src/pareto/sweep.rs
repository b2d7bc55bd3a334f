//! A sweep: which points are worth choosing, how good the front is, and whether the heads and the builder matter.

use std::collections::BTreeMap;
use std::ops::Range;

use daogou_nn::Team;
use serde::Serialize;

use super::{Axis, Estimate, Heads, Judge, Measured, Point, Trial, measure, plan};
use crate::data::Dataset;
use crate::list_maker::configured_weights;
use crate::metrics::BootstrapOptions;
use crate::metrics::front::{hypervolume, igd_plus, knee, non_dominated};
use crate::run::TrainedRun;
use crate::schema::Role;
use crate::{Error, Result};

/// How a sweep is made.
#[derive(Clone, Debug, PartialEq)]
pub struct SweepOptions {
    /// Requests to make lists for, at most.
    pub requests: usize,
    /// What a front is made of; those that the run does not measure are left out.
    pub axes: Vec<Axis>,
    /// Intervals; the seed also draws the requests.
    pub bootstrap: BootstrapOptions,
}

impl Default for SweepOptions {
    fn default() -> Self {
        Self {
            requests: 300,
            axes: vec![Axis::Click, Axis::Diversity, Axis::Novelty],
            bootstrap: BootstrapOptions::default(),
        }
    }
}

/// How good the points of some heads are.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct FrontReport {
    /// Volume that the points dominate above no clicks, no match of the wanted mix, nothing new.
    pub hypervolume: Estimate,
    /// The same over that of the true mix ([`Heads::TrueMix`]), in the same replicates; `None` without truth. Ratios of
    /// volumes do not depend on units.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub of_true_mix: Option<Estimate>,
    /// The same over that of all truth ([`Heads::Oracle`]), which also knows who clicks; `None` without truth.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub of_all_truth: Option<Estimate>,
    /// How far the front of all truth is ahead on average (IGD⁺), each axis over its range among all points compared; `None`
    /// without truth.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub igd_plus: Option<f64>,
    /// What the heads give up for variety; `None` without a diversity head or clicks.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub at_equal_match: Option<AtEqualMatch>,
}

/// Heads compared where they serve the wanted mix equally well, so that a front that is longer is not taken for a better
/// one, and without exploration, which leaves less and less of what heads say. Between two points lies what serving each of
/// them to a share of the requests gives.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct AtEqualMatch {
    /// The most of [`Axis::Diversity`] that all heads reach.
    pub diversity: f64,
    /// Clicks per list there.
    pub clicks: Estimate,
    /// Clicks of the trained heads less these, in the same replicates.
    pub trained_gains: Estimate,
}

/// Another builder beside the best one.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Rival {
    /// Index of its point.
    pub point: usize,
    /// Index of an own point with at least 99 % of its clicks: if any are closer to the wanted mix and newer, one of these, and
    /// of them the closest and newest, both counted by their ranges; `None` if the run measures no clicks, or no own point
    /// has so many.
    pub beside: Option<usize>,
    /// Whether that point is better in both: closer to the wanted mix and newer.
    pub beaten: bool,
}

/// A sweep over a split.
#[derive(Clone, Debug, Serialize)]
pub struct Sweep {
    /// `truth` or `model`: who said what lists are worth.
    pub judge: &'static str,
    /// Items per list.
    pub k: usize,
    /// What fronts are made of.
    pub axes: Vec<Axis>,
    /// Every trial.
    #[serde(flatten)]
    pub measured: Measured,
    /// Indices of the run's own points that no other own point beats on `axes`.
    pub front: Vec<usize>,
    /// Index of the front's knee: where giving up more of one objective stops paying in the others.
    pub knee: usize,
    /// Points of other builders on the run's own heads, each with what the best builder has to set against it.
    pub rivals: Vec<Rival>,
    /// By heads, at the configured weights of items and over the same grid of weights of diversity and novelty.
    pub heads: BTreeMap<Heads, FrontReport>,
}

/// Trials on the test split, which chose none of them; none where it has no requests.
///
/// # Errors
///
/// As [`measure()`].
pub fn on_test(
    run: &TrainedRun,
    data: &Dataset,
    trials: &[Trial],
    (judge, options): (Judge<'_>, &SweepOptions),
    team: &mut Team,
) -> Result<Vec<Point>> {
    if data.split.test.is_empty() {
        return Ok(Vec::new());
    }
    let of = (data, &data.split.test, options.requests);
    Ok(measure(run, of, trials, judge, &options.bootstrap, team)?.points)
}

/// Measures the trials of [`plan`] and finds the front.
///
/// # Errors
///
/// What [`measure()`] refuses, and where none of the axes is measured.
pub fn sweep(
    run: &TrainedRun,
    (data, requests): (&Dataset, &Range<usize>),
    judge: Judge<'_>,
    options: &SweepOptions,
    team: &mut Team,
) -> Result<Sweep> {
    let configured = configured_weights(run)?;
    let has = |role| run.config.task_of(role).is_some();
    let truth = matches!(judge, Judge::Truth(_));
    let trials = plan(&configured, (has(Role::Diversity), has(Role::Novelty)), truth);
    let measured =
        measure(run, (data, requests, options.requests), &trials, judge, &options.bootstrap, team)?;
    let own = measured.own_indices();
    let first = &measured.points[own[0]];
    let axes: Vec<Axis> =
        options.axes.iter().copied().filter(|axis| first.values.contains_key(axis)).collect();
    if axes.is_empty() {
        let names: Vec<&str> = first.values.keys().map(|axis| axis.name()).collect();
        return Err(Error::data(format!(
            "front: expected axes that are measured for this run, {}, got none",
            names.join(", ")
        )));
    }
    let gains = measured.gains(&own, &axes);
    let front: Vec<usize> = non_dominated(&gains).into_iter().map(|i| own[i]).collect();
    let knee = knee(&gains).map_or(own[0], |i| own[i]);
    let rivals = rivals(&measured, &trials, &own);
    let heads = by_heads(&measured, &trials, &axes);
    Ok(Sweep {
        judge: if truth { "truth" } else { "model" },
        k: run.config.lists.k,
        axes,
        front,
        knee,
        rivals,
        heads,
        measured,
    })
}

/// Sets the run's own points beside those of other builders on the same heads, at equal clicks.
fn rivals(measured: &Measured, trials: &[Trial], own: &[usize]) -> Vec<Rival> {
    let wished = [Axis::Diversity, Axis::Novelty];
    let click = |i: usize| measured.points[i].mean(Axis::Click);
    let others =
        (0..trials.len()).filter(|&i| trials[i].heads == Heads::Trained && !own.contains(&i));
    others
        .map(|rival| {
            let enough =
                |&&i: &&usize| click(i).zip(click(rival)).is_some_and(|(a, b)| a >= 0.99 * b);
            let equal: Vec<usize> = own.iter().filter(enough).copied().collect();
            let gains = scaled(&measured.gains(own, &wished));
            let sum = |i: usize| -> f64 {
                let place = own.iter().position(|&other| other == i).expect("an own point");
                gains[place].iter().sum()
            };
            let better = |i: usize, axis: Axis| {
                let mean = |i: usize| measured.points[i].mean(axis);
                mean(i).zip(mean(rival)).is_some_and(|(a, b)| a > b)
            };
            let beats = |i: usize| wished.iter().all(|&axis| better(i, axis));
            let key = |i: usize| (beats(i), sum(i));
            let beside =
                equal.into_iter().reduce(|best, i| if key(i) > key(best) { i } else { best });
            let beaten = beside.is_some_and(beats);
            Rival { point: rival, beside, beaten }
        })
        .collect()
}

/// Compares heads over the grid that all of them have.
fn by_heads(measured: &Measured, trials: &[Trial], axes: &[Axis]) -> BTreeMap<Heads, FrontReport> {
    let items = trials[0].weights;
    let grid = |heads: Heads| -> Vec<usize> {
        let same = |trial: &Trial| {
            let weights = &trial.weights;
            trial.heads == heads
                && Trial { heads: Heads::Trained, ..trial.clone() }.is_own()
                && (weights.click, weights.purchase, weights.revenue)
                    == (items.click, items.purchase, items.revenue)
        };
        (0..trials.len()).filter(|&i| same(&trials[i])).collect()
    };
    let grids: Vec<(Heads, Vec<usize>)> =
        [Heads::Trained, Heads::History, Heads::Constant, Heads::TrueMix, Heads::Oracle]
            .map(|heads| (heads, grid(heads)))
            .into_iter()
            .filter(|(_, grid)| !grid.is_empty())
            .collect();
    let all: Vec<usize> = grids.iter().flat_map(|(_, grid)| grid.iter().copied()).collect();
    let of = |wanted: Heads| grids.iter().find(|(heads, _)| *heads == wanted).map(|(_, grid)| grid);
    // Places of a grid's trials among `all`.
    let places = |wanted: &[usize]| -> Vec<usize> {
        wanted
            .iter()
            .map(|t| all.iter().position(|other| other == t).expect("one of all"))
            .collect()
    };
    let front = |gains: &[Vec<f64>], places: &[usize]| -> Vec<Vec<f64>> {
        let points: Vec<Vec<f64>> = places.iter().map(|&i| gains[i].clone()).collect();
        non_dominated(&points).into_iter().map(|i| points[i].clone()).collect()
    };
    let nothing: Vec<f64> = axes
        .iter()
        .enumerate()
        // Of what has no natural zero, the worst there is.
        .map(|(place, &axis)| match axis {
            Axis::Kl => measured.gains(&all, axes).iter().map(|g| g[place]).fold(0.0, f64::min),
            _ => 0.0,
        })
        .collect();
    let volume =
        |gains: &[Vec<f64>], places: &[usize]| hypervolume(&front(gains, places), &nothing);
    // The most variety that all heads but the oracle's, who also knows who clicks, reach.
    let close = |grid: &[usize]| -> Vec<usize> {
        grid.iter().copied().filter(|&trial| trials[trial].explore == 0.0).collect()
    };
    let reach = |grid: &[usize]| {
        let close = close(grid);
        let values = close.iter().filter_map(|&i| measured.points[i].mean(Axis::Diversity));
        values.reduce(f64::max)
    };
    let level = grids
        .iter()
        .filter(|(heads, _)| *heads != Heads::Oracle)
        .map(|(_, grid)| reach(grid))
        .reduce(|a, b| Some(a?.min(b?)))
        .flatten();
    let mut reports = BTreeMap::new();
    for (heads, grid) in &grids {
        let own = places(grid);
        let found = measured.interval(&all, axes, |gains| Some(volume(gains, &own)));
        let over = |other: Heads| {
            let best = places(of(other).filter(|_| *heads != other)?);
            measured.interval(&all, axes, |gains| {
                let whole = volume(gains, &best);
                (whole > 0.0).then(|| volume(gains, &own) / whole)
            })
        };
        let scaled = scaled(&measured.gains(&all, axes));
        let truth = of(Heads::Oracle).filter(|_| *heads != Heads::Oracle);
        let igd_plus =
            truth.and_then(|best| igd_plus(&front(&scaled, &own), &front(&scaled, &places(best))));
        let at_equal_match = level.and_then(|diversity| {
            let pair = [Axis::Diversity, Axis::Click];
            let at =
                |gains: &[Vec<f64>], places: &[usize]| most_at(&front(gains, places), diversity);
            let (trained, own) = (places(&close(&grids[0].1)), places(&close(grid)));
            Some(AtEqualMatch {
                diversity,
                clicks: measured.interval(&all, &pair, |g| at(g, &own))?,
                trained_gains: measured
                    .interval(&all, &pair, |gains| Some(at(gains, &trained)? - at(gains, &own)?))?,
            })
        });
        if let Some(hypervolume) = found {
            let report = FrontReport {
                hypervolume,
                of_true_mix: over(Heads::TrueMix),
                of_all_truth: over(Heads::Oracle),
                igd_plus,
                at_equal_match,
            };
            reports.insert(*heads, report);
        }
    }
    reports
}

/// The most of the second objective on the upper hull of a front at a level of the first; at the front's end where it does
/// not reach so far. `None` without points.
fn most_at(front: &[Vec<f64>], level: f64) -> Option<f64> {
    let mut points = front.to_vec();
    points.sort_by(|a, b| a[0].total_cmp(&b[0]));
    let last = points.last()?;
    let (first, level) = (points[0][0], level.min(last[0]));
    if level <= first {
        // All points have more of the first: the best of the second there is.
        return points.iter().map(|p| p[1]).reduce(f64::max);
    }
    let mut best = f64::NEG_INFINITY;
    for (i, a) in points.iter().enumerate() {
        for b in &points[i..] {
            if a[0] <= level && level <= b[0] {
                let share = if b[0] > a[0] { (level - a[0]) / (b[0] - a[0]) } else { 0.0 };
                best = best.max(a[1] + share * (b[1] - a[1]));
            }
        }
    }
    Some(best)
}

/// Every axis to [0, 1] between its least and its largest value; 0 where it does not vary.
fn scaled(gains: &[Vec<f64>]) -> Vec<Vec<f64>> {
    let n = gains.first().map_or(0, Vec::len);
    let ranges: Vec<(f64, f64)> = (0..n)
        .map(|axis| {
            let values = || gains.iter().map(|point| point[axis]);
            (values().fold(f64::INFINITY, f64::min), values().fold(f64::NEG_INFINITY, f64::max))
        })
        .collect();
    let scale = |(value, (low, high)): (&f64, &(f64, f64))| {
        if high > low { (value - low) / (high - low) } else { 0.0 }
    };
    gains.iter().map(|point| point.iter().zip(&ranges).map(scale).collect()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn between_points_of_a_front_lies_their_mixture() {
        let front = vec![vec![0.2, 1.0], vec![0.6, 0.8], vec![0.4, 0.6]];
        // The third point lies under the line between the other two.
        assert_eq!(most_at(&front, 0.4), Some(0.9));
        assert_eq!(most_at(&front, 0.1), Some(1.0));
        assert_eq!(most_at(&front, 0.9), Some(0.8), "no further than the end");
        assert_eq!(most_at(&[], 0.5), None);
    }

    #[test]
    fn axes_are_scaled_by_their_ranges() {
        let points = vec![vec![1.0, 5.0], vec![3.0, 5.0], vec![2.0, 5.0]];
        assert_eq!(scaled(&points), [[0.0, 0.0], [1.0, 0.0], [0.5, 0.0]]);
    }
}
