//! Whether probabilities mean what they say: predicted and observed rates, before and after calibration.

use maud::html;

use super::chart::{Chart, Ink, Key, Line, Table, figures};
use super::numbers::{count, fixed, percent};
use super::plot::{Axis, Curve, Plot};
use super::{Asked, Section, asked};
use crate::Result;
use crate::evaluate::{Evaluation, TaskReport};
use crate::metrics::calibration::ReliabilityBin;
use crate::schema::Config;

/// One diagram per yes-or-no question; `None` where there is none.
pub(super) fn section(config: &Config, evaluation: &Evaluation) -> Result<Option<Section>> {
    let mut charts = Vec::new();
    for asked in asked(config) {
        charts.extend(diagram(&asked, evaluation)?);
    }
    if charts.is_empty() {
        return Ok(None);
    }
    let body = html! {
        p {
            "Rows in order of prediction, cut into 20 bins of equal size: the mean prediction of "
            "a bin against the rate that was observed. On the diagonal a probability means what "
            "it says; below it, it promises too much. Maps were fitted on the validation split."
        }
        (figures(&charts))
    };
    Ok(Some(Section { id: "reliability", title: "Reliability", body, charts }))
}

/// Wilson's 95 % interval of a rate: it is never empty and stays within 0 and 1. Rows count as independent.
fn wilson(rate: f64, n: u64) -> [f64; 2] {
    const Z: f64 = 1.959_964;
    let n = n as f64;
    let centre = rate + Z * Z / (2.0 * n);
    let half = Z * (rate * (1.0 - rate) / n + Z * Z / (4.0 * n * n)).sqrt();
    let scale = 1.0 + Z * Z / n;
    [((centre - half) / scale).max(0.0), ((centre + half) / scale).min(1.0)]
}

fn diagram(asked: &Asked, evaluation: &Evaluation) -> Result<Option<Chart>> {
    let Some(TaskReport::Binary(report)) = evaluation.tasks.get(&asked.report) else {
        return Ok(None);
    };
    let after = &report.reliability;
    let effect = evaluation.calibration.get(&asked.report);
    let before = effect.map_or(&[][..], |effect| &effect.reliability_before);
    let point = |bin: &ReliabilityBin| (bin.predicted, bin.observed);
    let points = |bins: &[ReliabilityBin]| bins.iter().map(point).collect::<Vec<_>>();
    let whiskers: Vec<[f64; 2]> = after.iter().map(|bin| wilson(bin.observed, bin.n)).collect();
    let ends = points(after).into_iter().chain(points(before)).flat_map(|(x, y)| [x, y]);
    let most = ends.chain(whiskers.iter().map(|ends| ends[1])).fold(0.0, f64::max);
    let most = if most > 0.0 { (1.04 * most).min(1.0) } else { 1.0 };

    let mut table = Table::new(&["bin", "rows", "predicted", "observed", "95 % interval"]);
    if !before.is_empty() {
        table.head.extend(["before: predicted".into(), "before: observed".into()]);
    }
    let digits = if most < 0.02 { 3 } else { 2 };
    let rate = |rate: f64| percent(Some(rate), digits);
    for (i, bin) in after.iter().enumerate() {
        let [low, high] = whiskers[i];
        let mut row = vec![
            (i + 1).to_string(),
            count(bin.n),
            rate(bin.predicted),
            rate(bin.observed),
            format!("{} – {}", rate(low), rate(high)),
        ];
        if !before.is_empty() {
            let bin = before.get(i);
            row.push(bin.map_or_else(|| "–".into(), |bin| rate(bin.predicted)));
            row.push(bin.map_or_else(|| "–".into(), |bin| rate(bin.observed)));
        }
        table.rows.push(row);
    }
    let key = |ink, line| Key { ink, line, mark: true };
    let mut curves = Vec::new();
    let name = if before.is_empty() { "predicted" } else { "after calibration" };
    curves.push(Curve {
        whiskers,
        ..Curve::new(name, points(after), key(Ink::Series(0), Line::Solid))
    });
    if !before.is_empty() {
        curves.push(Curve::new("before", points(before), key(Ink::Series(1), Line::Dashed)));
    }
    curves.push(Curve::new(
        "as it should be",
        vec![(0.0, 0.0), (most, most)],
        key(Ink::Muted, Line::Dashed),
    ));
    let change = |name: &str, before: Option<f64>, after: Option<f64>, digits| match effect {
        Some(_) => format!("{name} {} → {}", fixed(before, digits), fixed(after, digits)),
        None => format!("{name} {}", fixed(after, digits)),
    };
    let method = effect.map_or("not calibrated", |effect| match effect.method.as_str() {
        "identity" => "left as it is",
        "shift" => "by a shift",
        "platt" => "by a slope and a shift",
        "isotonic" => "by an isotonic map",
        "product" => "a product of calibrated factors",
        other => other,
    });
    let plot = Plot {
        name: format!("reliability-{}", asked.file),
        title: asked.short.clone(),
        note: format!(
            "{}, {method}: {}, {}. Whiskers: 95 % interval of the observed rate.",
            asked.long,
            change("ECE", effect.and_then(|e| e.ece_before), report.ece, 4),
            change("PCOC", effect.and_then(|e| e.pcoc_before), report.pcoc, 3),
        ),
        x: Axis::share("predicted rate").range(0.0, most),
        y: Axis::share("observed rate").range(0.0, most),
        curves,
    };
    if after.is_empty() { Ok(None) } else { plot.draw(table) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wilson_by_hand() {
        let [low, high] = wilson(0.5, 100);
        assert!((low - 0.403_83).abs() < 1e-4 && (high - 0.596_17).abs() < 1e-4);
        let [low, high] = wilson(0.0, 10);
        assert!(low == 0.0 && (high - 0.277_54).abs() < 1e-4, "{low} {high}");
        assert!((wilson(1.0, 10)[1] - 1.0).abs() < 1e-12);
    }
}
