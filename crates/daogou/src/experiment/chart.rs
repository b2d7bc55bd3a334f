//! Results as charts: differences to the baseline, and along the axis where there is one.

use super::measure::{Metric, MetricTable};
use super::results::{PointResult, Results};
use crate::Result;
use crate::metrics::StudentMean;
use crate::report::comparison::{Along, curves, differences};

/// Charts by name, as SVG documents: for each metric that compares networks, or speaks of the truth, its differences to the
/// baseline; along an axis, its values as well.
///
/// # Errors
///
/// Where one cannot be drawn.
pub fn charts(results: &Results) -> Result<Vec<(String, String)>> {
    let mut all = Vec::new();
    let split = if results.tested { "test split" } else { "validation split" };
    let n = results.seeds.len();
    for metric in results.metrics.iter().filter(|metric| metric.table != MetricTable::Fit) {
        let better = if metric.higher_is_better { "higher" } else { "lower" };
        let file = metric.key.replace(['.', '_'], "-");
        let scale = if metric.percent { 100.0 } else { 1.0 };
        let scaled = |mean: &StudentMean| StudentMean {
            mean: scale * mean.mean,
            margin: mean.margin.map(|margin| scale * margin),
            n: mean.n,
        };
        let note = format!("{split}, {better} is better; 95 % intervals over {n} seeds.");
        let difference = format!("{}: {}", metric.label, what_differs(results));
        if let (Some(axis), true) = (&results.axis, results.points.iter().all(|p| p.x.is_some())) {
            let series = |of: &dyn Fn(&PointResult, usize) -> Option<StudentMean>| -> Vec<Along> {
                let names = results.points[0].variants.iter().enumerate();
                names
                    .map(|(index, variant)| Along {
                        name: variant.name.clone(),
                        points: (results.points.iter())
                            .filter_map(|point| Some((point.x?, of(point, index)?)))
                            .collect(),
                    })
                    .filter(|series| !series.points.is_empty())
                    .collect()
            };
            let value = |point: &PointResult, index: usize| {
                point.variants[index].shown().means.get(&metric.key).map(scaled)
            };
            let gain = |point: &PointResult, index: usize| {
                point.variants[index].shown().differences.get(&metric.key).map(scaled)
            };
            for (name, title, series) in [
                (format!("curve-{file}"), metric.label.clone(), series(&value)),
                (format!("difference-{file}"), difference, series(&gain)),
            ] {
                let chart = curves(&name, &title, &note, (axis, &title), &series)?;
                all.extend(chart.map(|svg| (name, svg)));
            }
        } else {
            let rows = rows(&results.points[0], metric, scaled);
            if !rows.is_empty() {
                let name = format!("difference-{file}");
                let svg = differences(&name, &difference, &note, &metric.label, &rows)?;
                all.push((name, svg));
            }
        }
    }
    Ok(all)
}

/// What a difference is of; of two variants alone both are named, since a single curve has no legend.
fn what_differs(results: &Results) -> String {
    let baseline = &results.baseline;
    let variants = results.points[0].variants.iter().map(|variant| &variant.name);
    let others: Vec<&String> = variants.filter(|name| *name != baseline).collect();
    match others[..] {
        [only] => format!("{only} − {baseline}"),
        _ => format!("difference to {baseline}"),
    }
}

/// Differences of the variants that have one.
fn rows(
    point: &PointResult,
    metric: &Metric,
    scaled: impl Fn(&StudentMean) -> StudentMean,
) -> Vec<(String, StudentMean)> {
    let own = |variant: &super::VariantResult| {
        let difference = variant.shown().differences.get(&metric.key)?;
        Some((variant.name.clone(), scaled(difference)))
    };
    point.variants.iter().filter_map(own).collect()
}

#[cfg(test)]
mod tests {
    use super::super::table::tests::made_up;
    use super::*;

    #[test]
    fn one_point_gives_rows_and_several_give_curves() {
        let names = |points: usize| -> Vec<String> {
            charts(&made_up(points).0).unwrap().into_iter().map(|(name, _)| name).collect()
        };
        assert_eq!(names(1), ["difference-click-auc", "difference-mix-ce"]);
        assert_eq!(
            names(3),
            [
                "curve-click-auc",
                "difference-click-auc",
                "curve-mix-ce",
                "difference-mix-ce",
                "curve-click-gap-closed"
            ]
        );
        for (name, svg) in charts(&made_up(3).0).unwrap() {
            assert!(svg.starts_with("<svg") && svg.contains("<style>"), "{name}: {svg}");
            // A legend, or what the curve is of.
            assert_eq!(svg.contains("\nsingle_task\n"), name.starts_with("curve"), "{name}");
            let said = svg.contains(": mmoe − single_task\n");
            assert_eq!(said, name.starts_with("difference"), "{name}");
        }
    }
}
