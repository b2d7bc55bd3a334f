//! What one objective costs in terms of another.

use maud::html;

use super::Section;
use super::chart::{Series, TradeOff, figures};
use crate::Result;
use crate::metrics::front::non_dominated;
use crate::pareto::{Axis, Heads, Point, Sweep};

/// One chart per trade-off; `None` without any that has points.
pub(super) fn section(trade_offs: &[TradeOff]) -> Result<Option<Section>> {
    let mut charts = Vec::with_capacity(trade_offs.len());
    for (number, trade_off) in (1..).zip(trade_offs) {
        charts.extend(trade_off.chart(number)?);
    }
    if charts.is_empty() {
        return Ok(None);
    }
    let body = html! {
        p {
            "Turning the weights of a list moves it along a curve: more of one objective for less "
            "of another. A point that another one beats on both axes is never worth choosing."
        }
        (figures(&charts))
    };
    Ok(Some(Section { id: "trade-offs", title: "Trade-offs", body, charts }))
}

/// Builders and how a reader calls them, the best one first.
const BUILDERS: [(&str, &str); 8] = [
    ("auto", "best list"),
    ("greedy_swap", "greedy + swap"),
    ("greedy", "greedy"),
    ("mmr", "MMR"),
    ("dpp", "DPP"),
    ("xquad", "xQuAD"),
    ("random_swap", "random swaps"),
    ("top_k", "top K"),
];

/// The charts of a sweep: clicks against closeness to the wanted mix and against novelty, for every builder on the run's own
/// heads and for the truth, where it is known; and the same for the answers that could take the heads' place.
///
/// All at the configured weights of items. Lines are fronts: points that no other of their series beats on both axes.
pub fn trade_offs(sweep: &Sweep) -> Vec<TradeOff> {
    let items = &sweep.measured.points[0].weights;
    let configured = |point: &&Point| {
        let w = &point.weights;
        (w.click, w.purchase, w.revenue) == (items.click, items.purchase, items.revenue)
    };
    let points: Vec<&Point> = sweep.measured.points.iter().filter(configured).collect();
    let judged = match sweep.judge {
        "truth" => "by the truth of the simulation",
        _ => "by the model's own heads, so read differences rather than levels",
    };
    let of = format!("{} requests of validation, judged {judged}", sweep.measured.requests);
    let series = |name: &str, axes: (Axis, Axis), line: bool, keep: &dyn Fn(&Point) -> bool| {
        let kept: Vec<&Point> = points.iter().copied().filter(|point| keep(point)).collect();
        Series { name: name.into(), points: drawn(&kept, axes, line), line }
    };
    let chart = |title: &str, axes: (Axis, Axis), series: Vec<Series>, note: &str| TradeOff {
        title: title.into(),
        x: axes.0.label().into(),
        y: axes.1.label().into(),
        series: series.into_iter().filter(|series| !series.points.is_empty()).collect(),
        note: format!("{note} {of}."),
    };
    let by_builder = |axes: (Axis, Axis)| -> Vec<Series> {
        let own = BUILDERS.map(|(builder, name)| {
            let line = matches!(builder, "auto" | "mmr" | "dpp");
            series(name, axes, line, &|p| p.builder == builder && p.heads == Heads::Trained)
        });
        let truth = series("truth, best list", axes, true, &|p| p.heads == Heads::Oracle);
        own.into_iter().chain([truth]).collect()
    };
    let (kl, novelty) = ((Axis::Kl, Axis::Click), (Axis::Novelty, Axis::Click));
    let by_heads = [
        (Heads::Trained, "trained heads"),
        (Heads::History, "own history"),
        (Heads::Constant, "the same for all"),
        (Heads::TrueMix, "true mix"),
    ]
    .map(|(heads, name)| {
        let close = |p: &Point| p.heads == heads && p.builder == "auto" && p.explore == 0.0;
        series(name, kl, true, &close)
    });
    let mut charts = vec![
        chart(
            "Clicks against KL",
            kl,
            by_builder(kl),
            "Up and left is better: more clicks, closer to the wanted mix.",
        ),
        chart("Clicks against novelty", novelty, by_builder(novelty), "Up and right is better."),
    ];
    if points.iter().any(|point| point.heads != Heads::Trained) {
        charts.push(chart(
            "Do the heads matter",
            kl,
            by_heads.into(),
            "What is wanted is answered by the trained heads, by the person's own history, alike for \
             everybody, and, where it is known, by the truth; click and purchase heads are the run's. \
             No exploration.",
        ));
    }
    charts.retain(|chart| !chart.series.is_empty());
    charts
}

/// Means on two axes: the front along the horizontal one, or all points.
fn drawn(points: &[&Point], (x, y): (Axis, Axis), front: bool) -> Vec<(f64, f64)> {
    let pairs: Vec<(f64, f64)> =
        points.iter().filter_map(|point| point.mean(x).zip(point.mean(y))).collect();
    if !front {
        return pairs;
    }
    let gains: Vec<Vec<f64>> = pairs.iter().map(|&(a, b)| vec![x.gain(a), y.gain(b)]).collect();
    let mut kept: Vec<(f64, f64)> = non_dominated(&gains).into_iter().map(|i| pairs[i]).collect();
    kept.sort_by(|a, b| a.0.total_cmp(&b.0));
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn made_up_series_give_a_section_and_none_gives_none() {
        let trade_off = |points: Vec<(f64, f64)>| TradeOff {
            title: "Clicks against novelty".into(),
            x: "novelty".into(),
            y: "clicks".into(),
            series: vec![Series { name: "exact".into(), points, line: true }],
            note: "Up and right is better.".into(),
        };
        let two = [trade_off(vec![(0.1, 0.9), (0.5, 0.4)]), trade_off(vec![(0.2, 0.3)])];
        let section = section(&two).unwrap().unwrap();
        let body = section.body.into_string();
        let names: Vec<&str> = section.charts.iter().map(|chart| chart.name.as_str()).collect();
        assert_eq!(
            names,
            ["trade-off-1-clicks-against-novelty", "trade-off-2-clicks-against-novelty"]
        );
        assert_eq!(body.matches("<svg").count(), 2);
        assert_eq!(body.matches("<table>").count(), 2);
        assert!(super::section(&[]).unwrap().is_none());
        assert!(super::section(&[trade_off(vec![])]).unwrap().is_none());
    }
}
