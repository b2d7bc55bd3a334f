//! Named rows with a number each per series: bars, marks, and marks with intervals.

use plotters::chart::{ChartBuilder, LabelAreaPosition};
use plotters::style::ShapeStyle;
use plotters::style::text_anchor::{HPos, VPos};

use super::chart::{
    Area, Chart, Drawing, Ink, Key, Line, Table, UNIT, bar, failed, legend, mark, path, text_style,
    text_width, write_text,
};
use super::numbers::line;
use super::plot::Axis;
use crate::Result;

/// Height of a row, in CSS pixels.
const ROW: i32 = 24;

/// Room below the rows, for ticks and the name of the axis.
const FOOT: i32 = 38;

/// Characters of a row's name, at most.
const NAME: usize = 22;

/// Numbers of one series.
pub(super) struct Values {
    pub(super) name: String,
    /// One per row.
    pub(super) numbers: Vec<Option<f64>>,
    /// Likewise; empty where there are none.
    pub(super) intervals: Vec<Option<[f64; 2]>>,
    /// [`Line::Outline`] and [`Line::Filled`] are bars, everything else a mark.
    pub(super) key: Key,
}

/// What is drawn.
pub(super) struct Rows {
    /// See [`Chart`].
    pub(super) name: String,
    pub(super) title: String,
    pub(super) note: String,
    pub(super) x: Axis,
    /// From where to where the axis goes.
    pub(super) range: (f64, f64),
    /// Where a line is drawn across all rows, if anywhere.
    pub(super) rule: Option<f64>,
    pub(super) names: Vec<String>,
    pub(super) series: Vec<Values>,
}

impl Rows {
    /// Draws it beside a table.
    pub(super) fn draw(self, table: Table) -> Result<Chart> {
        let keys: Vec<(String, Key)> =
            self.series.iter().map(|s| (s.name.clone(), s.key)).collect();
        let top = legend(None, 2, &keys)? + 4;
        let height = top + ROW * self.names.len() as i32 + FOOT;
        let drawing = Drawing::new(height, |area| {
            legend(Some(area), 2, &keys)?;
            self.data(area, top)
        })?;
        let Self { name, title, note, .. } = self;
        Ok(Chart { name, title, note, table, drawing })
    }

    fn data(&self, area: &Area<'_>, top: i32) -> Result<()> {
        let names: Vec<String> = self.names.iter().map(|name| line(name, NAME)).collect();
        let room = names.iter().map(|name| text_width(name)).max().unwrap_or(0) + 8;
        let (low, high) = self.range;
        let tick = |value: &f64| self.x.tick(*value, self.range);
        let edge = text_width(&tick(&high)) / 2 + 4;
        let rows = self.names.len();
        let mut chart = ChartBuilder::on(area)
            .margin_top(top * UNIT)
            .margin_right(edge * UNIT)
            .set_label_area_size(LabelAreaPosition::Left, room * UNIT)
            .set_label_area_size(LabelAreaPosition::Bottom, FOOT * UNIT)
            .build_cartesian_2d(low..high, 0.0..rows as f64)
            .map_err(failed)?;
        let label = text_style(Ink::Muted, (HPos::Center, VPos::Center));
        let none =
            ShapeStyle { color: plotters::style::TRANSPARENT, filled: false, stroke_width: 0 };
        chart
            .configure_mesh()
            .x_labels(5)
            .x_label_formatter(&tick)
            .x_desc(self.x.name.as_str())
            .disable_y_mesh()
            .disable_y_axis()
            .y_labels(0)
            .label_style(label.clone())
            .axis_desc_style(label)
            .bold_line_style(Ink::Grid.stroke(1.0))
            .light_line_style(none)
            .axis_style(Ink::Muted.stroke(1.0))
            .set_all_tick_mark_size(4 * UNIT)
            .draw()
            .map_err(failed)?;
        // The first row is at the top.
        let middle = |row: usize| (rows - row) as f64 - 0.5;
        let place = |x: f64, row: usize| chart.backend_coord(&(x.clamp(low, high), middle(row)));
        for (row, name) in names.iter().enumerate() {
            let (x, y) = place(low, row);
            let style = text_style(Ink::Text, (HPos::Right, VPos::Center));
            write_text(area, name, (x / UNIT - 6, y / UNIT), style)?;
        }
        if let Some(rule) = self.rule {
            let ends = [(rule, 0.0), (rule, rows as f64)].map(|end| chart.backend_coord(&end));
            path(area, &ends, Ink::Muted, 1.0)?;
        }
        for series in &self.series {
            for (row, value) in series.numbers.iter().enumerate() {
                let Some(value) = value.filter(|v| v.is_finite()) else { continue };
                let (x, y) = place(value, row);
                if let Some(Some(ends)) = series.intervals.get(row) {
                    path(area, &ends.map(|end| place(end, row)), series.key.ink, 1.5)?;
                }
                let corners = |half: i32| [(place(low, row).0, y - half), (x, y + half)];
                match (series.key.line, series.key.ink) {
                    (Line::Outline, _) => bar(area, corners(9 * UNIT), series.key)?,
                    (Line::Filled, _) => bar(area, corners(5 * UNIT), series.key)?,
                    (_, Ink::Series(index)) => mark(area, (x, y), index)?,
                    _ => {}
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bars_and_marks_stand_in_their_rows() {
        let series = |name: &str, line, ink, values: [Option<f64>; 2]| Values {
            name: name.into(),
            numbers: values.to_vec(),
            intervals: vec![None, Some([0.1, 0.9])],
            key: Key { ink, line, mark: true },
        };
        let rows = Rows {
            name: "mix".into(),
            title: "Mix".into(),
            note: "See.".into(),
            x: Axis::share("share"),
            range: (0.0, 1.0),
            rule: Some(0.5),
            names: vec!["phones".into(), "<cases>".into()],
            series: vec![
                series("wanted", Line::Outline, Ink::Text, [Some(0.25), None]),
                series("shown", Line::Filled, Ink::Series(0), [Some(0.5), Some(2.0)]),
                series("logged", Line::None, Ink::Series(1), [None, Some(f64::NAN)]),
            ],
        };
        let chart = rows.draw(Table::new(&["", "wanted"])).unwrap();
        let svg = chart.file();
        // One in the legend and both values.
        assert_eq!(svg.matches("<rect").count(), 3, "{svg}");
        assert_eq!(svg.matches("<polygon").count(), 2, "only the legend's: {svg}");
        assert!(svg.contains("phones") && svg.contains("&lt;cases&gt;"), "{svg}");
    }
}
