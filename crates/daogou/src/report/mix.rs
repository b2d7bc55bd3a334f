//! Category mix: wanted and shown, over the same lists.

use maud::html;

use super::chart::{Chart, Ink, Key, Line, Table};
use super::numbers::percent;
use super::plot::Axis;
use super::rows::{Rows, Values};
use super::{MAKERS, Section};
use crate::Result;
use crate::data::Catalogue;
use crate::evaluate::{Built, BuiltVisit};
use crate::run::TrainedRun;

/// `None` without categories or lists.
pub(super) fn section(run: &TrainedRun, built: &Built) -> Result<Option<Section>> {
    let catalogue = &run.stored.catalogue;
    if catalogue.categories.is_empty() || built.visits.is_empty() {
        return Ok(None);
    }
    let Some(chart) = chart(catalogue, &built.visits, run.config.lists.k)? else {
        return Ok(None);
    };
    let charts = vec![chart];
    let body = html! {
        p {
            "The mean over " (built.visits.len())
            " requests. Means hide that each person wants another mix: KL in the table above "
            "compares list by list."
        }
        (charts[0].wide_figure())
    };
    Ok(Some(Section { id: "mix", title: "Category mix", body, charts }))
}

/// Share of each category among the first `k` items of lists of one maker; items of unknown category do not count.
/// `None` where there are none.
fn shown(
    catalogue: &Catalogue,
    visits: &[BuiltVisit],
    who: &str,
    k: usize,
) -> Option<Vec<Option<f64>>> {
    let mut counts = vec![0u64; catalogue.categories.len()];
    for list in visits.iter().filter_map(|visit| visit.lists.get(who)) {
        for &item in list.items.iter().take(k) {
            let category = usize::from(catalogue.category[item as usize]);
            if let Some(count) = counts.get_mut(category) {
                *count += 1;
            }
        }
    }
    let total: u64 = counts.iter().sum();
    (total > 0).then(|| counts.iter().map(|&n| Some(n as f64 / total as f64)).collect())
}

/// Mean wanted share of each category. `None` without a diversity head.
fn wanted(categories: usize, visits: &[BuiltVisit]) -> Option<Vec<Option<f64>>> {
    let mut sums = vec![0.0; categories];
    let mut n = 0.0;
    for visit in visits.iter().filter(|visit| visit.wanted.len() == categories) {
        sums.iter_mut().zip(&visit.wanted).for_each(|(sum, &p)| *sum += f64::from(p));
        n += 1.0;
    }
    (n > 0.0).then(|| sums.iter().map(|sum| Some(sum / n)).collect())
}

fn chart(catalogue: &Catalogue, visits: &[BuiltVisit], k: usize) -> Result<Option<Chart>> {
    let n = catalogue.categories.len();
    let mut series = Vec::new();
    if let Some(numbers) = wanted(n, visits) {
        let key = Key { ink: Ink::Text, line: Line::Outline, mark: false };
        series.push(Values { name: "wanted".into(), numbers, intervals: Vec::new(), key });
    }
    for (i, (who, name)) in MAKERS.iter().enumerate() {
        let Some(numbers) = shown(catalogue, visits, who, k) else { continue };
        let line = if *who == "model" { Line::Filled } else { Line::None };
        let key = Key { ink: Ink::Series(i), line, mark: *who != "model" };
        series.push(Values { name: (*name).into(), numbers, intervals: Vec::new(), key });
    }
    let Some(first) = series.first() else { return Ok(None) };

    // The largest share first; equal ones by number.
    let mut order: Vec<usize> = (0..n).collect();
    order.sort_by(|&a, &b| {
        let of = |i: usize| first.numbers[i].unwrap_or(0.0);
        of(b).total_cmp(&of(a)).then(a.cmp(&b))
    });
    for values in &mut series {
        values.numbers = order.iter().map(|&i| values.numbers[i]).collect();
    }
    let names: Vec<String> = order.iter().map(|&i| catalogue.categories[i].clone()).collect();
    let head: Vec<&str> =
        std::iter::once("category").chain(series.iter().map(|s| s.name.as_str())).collect();
    let mut table = Table::new(&head);
    for (row, name) in names.iter().enumerate() {
        let cells = series.iter().map(|s| percent(s.numbers[row], 1));
        table.rows.push(std::iter::once(name.clone()).chain(cells).collect());
    }
    let most = series.iter().flat_map(|s| s.numbers.iter().flatten()).copied().fold(0.0, f64::max);
    let wished = series[0].name == "wanted";
    let rows = Rows {
        name: "category-mix".into(),
        title: "Share of places by category".into(),
        note: if wished {
            "The nearer the solid bar ends to the end of its frame, the nearer the model's lists are \
             to what people want; marks show where other lists end."
        } else {
            "The solid bar is the model's lists; marks show where other lists end."
        }
        .into(),
        x: Axis::share("share of places in lists"),
        range: (0.0, (1.05 * most).min(1.0)),
        rule: None,
        names,
        series,
    };
    rows.draw(table).map(Some)
}
