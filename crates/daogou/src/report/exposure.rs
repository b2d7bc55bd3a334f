//! How exposure spreads over the catalogue: Lorenz curves of the same lists.

use maud::html;

use super::chart::{Ink, Key, Line, Table};
use super::numbers::{count, fixed, percent};
use super::plot::{Axis, Curve, Plot};
use super::{MAKERS, Section};
use crate::Result;
use crate::evaluate::{Built, Evaluation};
use crate::run::TrainedRun;

/// Points of a curve, about.
const POINTS: usize = 120;

/// `None` without lists.
pub(super) fn section(
    run: &TrainedRun,
    evaluation: &Evaluation,
    built: &Built,
) -> Result<Option<Section>> {
    let items = run.stored.items.ids.len();
    let mut curves = Vec::new();
    let shares = [0.8, 0.9, 0.95, 0.99];
    let mut table = Table::new(&["lists", "Gini", "items shown"]);
    table.head.extend(shares.iter().map(|share| {
        let top = 1.0 - share;
        format!("top {}", percent(Some(top), 0))
    }));
    for (i, (who, name)) in MAKERS.iter().enumerate() {
        let mut shown = vec![0u64; items];
        for list in built.visits.iter().filter_map(|visit| visit.lists.get(who)) {
            let k = run.config.lists.k;
            list.items.iter().take(k).for_each(|&item| shown[item as usize] += 1);
        }
        // Row 0 stands for unknown items, which no list is built from.
        let shown = &shown[1..];
        let Some(report) = evaluation.lists.built.get(*who) else { continue };
        if shown.iter().all(|&n| n == 0) {
            continue;
        }
        let cumulative = cumulative(shown);
        let key = Key { ink: Ink::Series(i), line: Line::Solid, mark: false };
        let label = format!("{name}, Gini {}", fixed(report.gini, 2));
        curves.push(Curve::new(label, lorenz(&cumulative), key));
        let mut row =
            vec![(*name).to_string(), fixed(report.gini, 3), percent(report.catalogue_coverage, 1)];
        let total = cumulative[cumulative.len() - 1] as f64;
        row.extend(shares.iter().map(|share| {
            let rest = (share * shown.len() as f64).round() as usize;
            percent(Some(1.0 - cumulative[rest] as f64 / total), 1)
        }));
        table.rows.push(row);
    }
    if curves.is_empty() {
        return Ok(None);
    }
    let key = Key { ink: Ink::Muted, line: Line::Dashed, mark: false };
    curves.push(Curve::new("all items alike", vec![(0.0, 0.0), (1.0, 1.0)], key));
    let plot = Plot {
        name: "exposure".into(),
        title: "Lorenz curves of exposure".into(),
        note: "Items from the least to the most shown; a curve that hugs the corner shows few \
               items over and over. The table has the share of places that goes to the items \
               shown most."
            .into(),
        x: Axis::share("share of items").range(0.0, 1.0),
        y: Axis::share("share of places").range(0.0, 1.0),
        curves,
    };
    let Some(chart) = plot.draw(table)? else { return Ok(None) };
    let charts = vec![chart];
    let body = html! {
        p {
            "How often each of " (count(items as u64 - 1))
            " items stands in one of the lists. With fewer places than items no list can show all "
            "of them: the curves compare list makers over the same requests."
        }
        (charts[0].wide_figure())
    };
    Ok(Some(Section { id: "exposure", title: "Exposure", body, charts }))
}

/// Sums of the smallest counts: of none, of one, of two, ….
fn cumulative(shown: &[u64]) -> Vec<u64> {
    let mut sorted = shown.to_vec();
    sorted.sort_unstable();
    let mut sum = 0;
    let sums = sorted.iter().map(|n| {
        sum += n;
        sum
    });
    std::iter::once(0).chain(sums).collect()
}

/// Shares of items and of exposure at evenly spaced places, both ends included.
fn lorenz(cumulative: &[u64]) -> Vec<(f64, f64)> {
    let items = cumulative.len() - 1;
    let total = cumulative[items] as f64;
    let steps = POINTS.min(items);
    (0..=steps)
        .map(|step| {
            let place = step * items / steps;
            (place as f64 / items as f64, cumulative[place] as f64 / total)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::exposure::gini;

    #[test]
    fn a_lorenz_curve_encloses_half_of_the_gini() {
        let shown: Vec<u64> = (0..50).map(|i| (i * 7 % 13) * (i % 3)).collect();
        let curve = lorenz(&cumulative(&shown));
        assert_eq!((curve[0], curve[50]), ((0.0, 0.0), (1.0, 1.0)));
        assert!(curve.is_sorted_by(|a, b| a.0 < b.0 && a.1 <= b.1));
        let below: f64 =
            curve.windows(2).map(|p| (p[1].0 - p[0].0) * (p[0].1 + p[1].1) / 2.0).sum();
        assert!((1.0 - 2.0 * below - gini(&shown).unwrap()).abs() < 1e-12);
        assert_eq!(lorenz(&cumulative(&vec![1; 1000])).len(), POINTS + 1);
        assert_eq!(lorenz(&cumulative(&[4])), [(0.0, 0.0), (1.0, 1.0)]);
    }
}
