//! Curves and points over two axes of numbers.

use plotters::chart::{ChartBuilder, LabelAreaPosition};
use plotters::style::ShapeStyle;
use plotters::style::text_anchor::{HPos, VPos};

use super::chart::{
    Area, Chart, Drawing, Ink, Key, Line, SERIES, Series, Table, TradeOff, UNIT, dashes, failed,
    legend, mark, path, slug, text_style, text_width, write_text,
};
use super::numbers::{fixed, line};
use crate::Result;

/// Height of the part that data is in, in CSS pixels.
const HEIGHT: i32 = 205;

/// Room below it, for ticks and the name of the axis.
const FOOT: i32 = 38;

/// Ticks per axis, at most.
const TICKS: usize = 6;

/// An axis.
#[derive(Clone, Debug, Default)]
pub(super) struct Axis {
    pub(super) name: String,
    /// From where to where; `None`: as the data, with a margin.
    pub(super) range: Option<(f64, f64)>,
    /// Whether ticks are written as percentages.
    pub(super) percent: bool,
}

impl Axis {
    pub(super) fn new(name: impl Into<String>) -> Self {
        Self { name: name.into(), ..Self::default() }
    }

    /// Ticks of a share, written as percentages.
    pub(super) fn share(name: impl Into<String>) -> Self {
        Self { name: name.into(), range: None, percent: true }
    }

    pub(super) fn range(mut self, low: f64, high: f64) -> Self {
        self.range = Some((low, high));
        self
    }

    /// From where to where it goes, given what is drawn.
    fn limits(&self, values: impl Iterator<Item = f64>) -> (f64, f64) {
        if let Some(range) = self.range {
            return range;
        }
        let ends = values
            .fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), v| (low.min(v), high.max(v)));
        let span = ends.1 - ends.0;
        let margin = if span > 0.0 { 0.06 * span } else { (0.05 * ends.0.abs()).max(1e-6) };
        (ends.0 - margin, ends.1 + margin)
    }

    /// A tick as text, with as many digits as the distance between ticks asks for.
    pub(super) fn tick(&self, value: f64, (low, high): (f64, f64)) -> String {
        let scale = if self.percent { 100.0 } else { 1.0 };
        let step = scale * (high - low) / TICKS as f64;
        let digits = (-step.log10()).ceil().clamp(0.0, 6.0) as usize;
        let text = fixed(Some(scale * value), digits);
        if self.percent { text + " %" } else { text }
    }
}

/// One series.
#[derive(Clone, Debug)]
pub(super) struct Curve {
    pub(super) name: String,
    pub(super) points: Vec<(f64, f64)>,
    /// Low and high end at every point; empty where there are none.
    pub(super) whiskers: Vec<[f64; 2]>,
    pub(super) key: Key,
}

impl Curve {
    pub(super) fn new(name: impl Into<String>, points: Vec<(f64, f64)>, key: Key) -> Self {
        Self { name: name.into(), points, whiskers: Vec::new(), key }
    }
}

/// What is drawn.
pub(super) struct Plot {
    /// See [`Chart`].
    pub(super) name: String,
    pub(super) title: String,
    pub(super) note: String,
    pub(super) x: Axis,
    pub(super) y: Axis,
    /// The first lies on top of the others.
    pub(super) curves: Vec<Curve>,
}

impl Plot {
    /// Draws it beside a table. `None` where no point is finite.
    pub(super) fn draw(self, table: Table) -> Result<Option<Chart>> {
        let finite = |&(x, y): &(f64, f64)| x.is_finite() && y.is_finite();
        let points = || self.curves.iter().flat_map(|c| &c.points).filter(|p| finite(p));
        if points().next().is_none() {
            return Ok(None);
        }
        let whiskers = self.curves.iter().flat_map(|c| c.whiskers.iter().flatten());
        let x = self.x.limits(points().map(|p| p.0));
        let y = self.y.limits(points().map(|p| p.1).chain(whiskers.copied()));
        let keys: Vec<(String, Key)> =
            self.curves.iter().map(|c| (c.name.clone(), c.key)).collect();
        // The name of the vertical axis stands above the axis, to be read without turning one's head.
        let first = 20;
        let top = legend(None, first, &keys)? + 6;
        let drawing = Drawing::new(top + HEIGHT + FOOT, |area| {
            let style = text_style(Ink::Muted, (HPos::Left, VPos::Center));
            write_text(area, &line(&self.y.name, 60), (2, 9), style)?;
            legend(Some(area), first, &keys)?;
            self.data(area, top, (x, y))
        })?;
        let Self { name, title, note, .. } = self;
        Ok(Some(Chart { name, title, note, table, drawing }))
    }

    /// Axes and series below a height.
    fn data(&self, area: &Area<'_>, top: i32, (x, y): ((f64, f64), (f64, f64))) -> Result<()> {
        let x_tick = |value: &f64| self.x.tick(*value, x);
        let y_tick = |value: &f64| self.y.tick(*value, y);
        let room = [y.0, y.1].map(|end| text_width(&y_tick(&end))).into_iter().max();
        // Half of the last tick's text stands beyond the axis.
        let edge = text_width(&x_tick(&x.1)) / 2 + 4;
        let mut chart = ChartBuilder::on(area)
            .margin_top(top * UNIT)
            .margin_right(edge * UNIT)
            .set_label_area_size(LabelAreaPosition::Left, (room.unwrap_or(0) + 12) * UNIT)
            .set_label_area_size(LabelAreaPosition::Bottom, FOOT * UNIT)
            .build_cartesian_2d(x.0..x.1, y.0..y.1)
            .map_err(failed)?;
        let label = text_style(Ink::Muted, (HPos::Center, VPos::Center));
        let none: ShapeStyle =
            ShapeStyle { color: plotters::style::TRANSPARENT, filled: false, stroke_width: 0 };
        chart
            .configure_mesh()
            .x_labels(TICKS)
            .y_labels(TICKS)
            .x_label_formatter(&x_tick)
            .y_label_formatter(&y_tick)
            .x_desc(line(&self.x.name, 60))
            .label_style(label.clone())
            .axis_desc_style(label)
            .bold_line_style(Ink::Grid.stroke(1.0))
            .light_line_style(none)
            .axis_style(Ink::Muted.stroke(1.0))
            .set_all_tick_mark_size(4 * UNIT)
            .draw()
            .map_err(failed)?;
        let place = |&(x, y): &(f64, f64)| chart.backend_coord(&(x, y));
        for curve in self.curves.iter().rev() {
            let finite = curve.points.iter().filter(|p| p.0.is_finite() && p.1.is_finite());
            let points: Vec<(i32, i32)> = finite.map(place).collect();
            let ink = curve.key.ink;
            for (&(x, _), &[low, high]) in curve.points.iter().zip(&curve.whiskers) {
                let ends = [(x, low), (x, high)];
                if ends.iter().all(|end| end.0.is_finite() && end.1.is_finite()) {
                    path(area, &ends.map(|end| place(&end)), ink, 1.0)?;
                }
            }
            match curve.key.line {
                Line::Solid => path(area, &points, ink, 1.75)?,
                Line::Dashed => dashes(area, &points, ink)?,
                Line::None | Line::Outline | Line::Filled => {}
            }
            if let (Ink::Series(series), true) = (ink, curve.key.mark) {
                points.iter().try_for_each(|&point| mark(area, point, series))?;
            }
        }
        Ok(())
    }
}

impl TradeOff {
    /// Its chart, the `number`th of a page. `None` without finite points.
    pub(super) fn chart(&self, number: usize) -> Result<Option<Chart>> {
        let mut table = Table::new(&["", &self.x, &self.y]);
        let curve = |(i, series): (usize, &Series)| {
            let line = if !series.line {
                Line::None
            } else if i < SERIES {
                Line::Solid
            } else {
                Line::Dashed
            };
            let key = Key { ink: Ink::Series(i), line, mark: true };
            Curve::new(&series.name, series.points.clone(), key)
        };
        for series in &self.series {
            for &(x, y) in series.points.iter().filter(|(x, y)| x.is_finite() && y.is_finite()) {
                let numbers = [x, y].map(|v| fixed(Some(v), 4));
                table.rows.push([vec![series.name.clone()], numbers.to_vec()].concat());
            }
        }
        let plot = Plot {
            name: format!("trade-off-{number}-{}", slug(&self.title)),
            title: self.title.clone(),
            note: self.note.clone(),
            x: Axis::new(&self.x),
            y: Axis::new(&self.y),
            curves: self.series.iter().enumerate().map(curve).collect(),
        };
        plot.draw(table)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trade_off(points: Vec<(f64, f64)>) -> TradeOff {
        TradeOff {
            title: "Clicks and <closeness>".into(),
            x: "KL, nats".into(),
            y: "expected clicks".into(),
            series: vec![
                Series { name: "exact & co".into(), points, line: true },
                Series { name: "top-K".into(), points: vec![(f64::NAN, 1.0)], line: false },
            ],
            note: "Up and left is better.".into(),
        }
    }

    #[test]
    fn a_trade_off_is_drawn_and_listed() {
        let chart = trade_off(vec![(0.1, 0.5), (0.2, 0.7), (0.4, f64::INFINITY), (0.5, 0.75)]);
        let chart = chart.chart(2).unwrap().unwrap();
        assert_eq!(chart.name, "trade-off-2-clicks-and-closeness");
        assert_eq!(chart.table.rows.len(), 3, "what is not finite is not there");
        assert_eq!(chart.table.rows[1], ["exact & co", "0.2000", "0.7000"]);
        let svg = chart.file();
        assert!(
            svg.contains("<title id=\"title-trade-off-2-clicks-and-closeness\">Clicks and &lt;")
        );
        assert!(svg.contains("exact &amp; co") && svg.contains("var(--s1)"), "{svg}");
        // Three marks and the one of the legend.
        assert_eq!(svg.matches("<circle").count(), 2 * 4, "each has a rim: {svg}");
        assert!(svg.contains("<style>"));
        let page = chart.figure().into_string();
        assert!(!page.contains("<style>") && page.contains("role=\"img\""), "{page}");
    }

    #[test]
    fn nothing_finite_is_no_chart() {
        assert!(trade_off(vec![(1.0, f64::NAN)]).chart(0).unwrap().is_none());
    }

    #[test]
    fn one_point_has_axes_around_it_and_ticks_have_the_digits_they_need() {
        assert!(trade_off(vec![(0.3, 0.0)]).chart(0).unwrap().is_some());
        let axis = Axis::new("x");
        assert_eq!(axis.tick(0.05, (0.0, 0.3)), "0.05");
        assert_eq!(axis.tick(200.0, (0.0, 1000.0)), "200");
        assert_eq!(Axis::share("x").tick(0.05, (0.0, 0.3)), "5 %");
        assert_eq!(axis.limits([2.0, 2.0].into_iter()), (1.9, 2.1));
        assert_eq!(axis.range(0.0, 1.0).limits([2.0].into_iter()), (0.0, 1.0));
    }
}
