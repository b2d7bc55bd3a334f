//! What one objective costs in terms of another.

use maud::html;

use super::Section;
use super::chart::{TradeOff, figures};
use crate::Result;

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

#[cfg(test)]
mod tests {
    use super::super::chart::Series;
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
