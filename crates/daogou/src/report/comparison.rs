//! Charts of networks that were trained alike, with intervals: what an experiment shows.

use super::chart::{Ink, Key, Line, SERIES, Table};
use super::plot::{Axis, Curve, Plot};
use super::rows::{Rows, Values};
use crate::Result;
use crate::metrics::StudentMean;

/// A series along an axis.
pub(crate) struct Along {
    /// Its name.
    pub(crate) name: String,
    /// `(x, mean at x)`, by x.
    pub(crate) points: Vec<(f64, StudentMean)>,
}

/// Differences in named rows beside a line at 0, as an SVG document.
pub(crate) fn differences(
    name: &str,
    title: &str,
    note: &str,
    axis: &str,
    rows: &[(String, StudentMean)],
) -> Result<String> {
    let ends = rows.iter().flat_map(|(_, own)| own.interval().unwrap_or([own.mean; 2]));
    let (low, high) = ends.fold((0f64, 0f64), |(low, high), end| (low.min(end), high.max(end)));
    let margin = if high > low { 0.05 * (high - low) } else { 1e-6 };
    let chart = Rows {
        name: name.into(),
        title: title.into(),
        note: note.into(),
        x: Axis::new(axis),
        range: (low - margin, high + margin),
        rule: Some(0.0),
        names: rows.iter().map(|(name, _)| name.clone()).collect(),
        series: vec![Values {
            name: axis.into(),
            numbers: rows.iter().map(|(_, own)| Some(own.mean)).collect(),
            intervals: rows.iter().map(|(_, own)| own.interval()).collect(),
            key: Key { ink: Ink::Series(0), line: Line::None, mark: true },
        }],
    };
    Ok(chart.draw(Table::default())?.file())
}

/// Series along an axis, `(x, y)` naming the axes, as an SVG document. `None` without a point.
pub(crate) fn curves(
    name: &str,
    title: &str,
    note: &str,
    (x, y): (&str, &str),
    series: &[Along],
) -> Result<Option<String>> {
    let curve = |(index, series): (usize, &Along)| {
        let line = if index < SERIES { Line::Solid } else { Line::Dashed };
        let mut points: Vec<&(f64, StudentMean)> = series.points.iter().collect();
        points.sort_by(|a, b| a.0.total_cmp(&b.0));
        Curve {
            name: series.name.clone(),
            points: points.iter().map(|(x, own)| (*x, own.mean)).collect(),
            whiskers: points
                .iter()
                .map(|(_, own)| own.interval().unwrap_or([own.mean; 2]))
                .collect(),
            key: Key { ink: Ink::Series(index), line, mark: true },
        }
    };
    let plot = Plot {
        name: name.into(),
        title: title.into(),
        note: note.into(),
        x: Axis::new(x),
        y: Axis::new(y),
        curves: series.iter().enumerate().map(curve).collect(),
    };
    Ok(plot.draw(Table::default())?.map(|chart| chart.file()))
}
