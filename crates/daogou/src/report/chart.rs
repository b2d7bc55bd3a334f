//! A chart as a page shows it: a drawing that follows the page's colours, a sentence, and the same as a table.
//!
//! `plotters` computes scales and ticks and writes the SVG. It knows only fixed colours, so drawings are made in a set
//! of stand-ins ([`Ink`]), which become CSS variables when the drawing is done: the same chart is dark on light and
//! light on dark. All charts have one nominal width, that of a phone, so that their text is never scaled down much.

use std::fmt::Write as _;

use maud::{Markup, PreEscaped, html};
use plotters::backend::SVGBackend;
use plotters::coord::Shift;
use plotters::drawing::{DrawingArea, DrawingAreaErrorKind, IntoDrawingArea};
use plotters::element::{Circle, PathElement, Polygon, Rectangle, Text};
use plotters::style::text_anchor::{HPos, Pos, VPos};
use plotters::style::{IntoFont, RGBColor, ShapeStyle, TextStyle};

use super::numbers::line;
use crate::{Error, Result};

/// Units of a drawing per CSS pixel at nominal size: `plotters` places things on whole units.
pub(super) const UNIT: i32 = 4;

/// Nominal width in CSS pixels.
pub(super) const WIDTH: i32 = 360;

/// Size of text in CSS pixels.
const TEXT: f64 = 11.5;

/// The colours of a page, as CSS variables, in its light and its dark form.
pub(super) const PALETTE: &str = include_str!("palette.css");

/// One of several outcomes of turning a dial: a curve or a cloud of points over two objectives.
#[derive(Clone, Debug, PartialEq)]
pub struct Series {
    /// What the points are, for the legend.
    pub name: String,
    /// `(x, y)`; points that are not finite are left out.
    pub points: Vec<(f64, f64)>,
    /// Whether the points are joined in their order.
    pub line: bool,
}

/// What one objective costs in terms of another.
#[derive(Clone, Debug, PartialEq)]
pub struct TradeOff {
    /// A few words; also names the chart's file.
    pub title: String,
    /// Name of the horizontal axis, with its unit.
    pub x: String,
    /// Name of the vertical axis, with its unit.
    pub y: String,
    /// Up to 36 are told apart by colour and mark together, six by each of them alone; more than ten are hard to read.
    pub series: Vec<Series>,
    /// A sentence that says what to see.
    pub note: String,
}

/// Rows of text, as shown.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Table {
    pub(super) head: Vec<String>,
    pub(super) rows: Vec<Vec<String>>,
    /// Whether it holds words rather than numbers.
    pub(super) words: bool,
}

impl Table {
    pub(super) fn new(head: &[&str]) -> Self {
        let head = head.iter().map(|&name| name.to_string()).collect();
        Self { head, ..Self::default() }
    }

    /// The first column names its row. Wide tables scroll in a box of their own.
    pub(super) fn markup(&self) -> Markup {
        html! {
            div.wide tabindex="0" {
                table class=[self.words.then_some("words")] {
                    thead { tr { @for name in &self.head { th scope="col" { (name) } } } }
                    tbody {
                        @for row in &self.rows {
                            tr {
                                @for (i, cell) in row.iter().enumerate() {
                                    @if i == 0 { th scope="row" { bdi { (cell) } } }
                                    @else { td { (cell) } }
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}

/// A finished chart.
pub(super) struct Chart {
    /// Name of its file, without an ending; also its anchor in the page.
    pub(super) name: String,
    pub(super) title: String,
    /// What to see.
    pub(super) note: String,
    pub(super) table: Table,
    pub(super) drawing: Drawing,
}

impl Chart {
    /// As part of a page.
    pub(super) fn figure(&self) -> Markup {
        html! {
            figure id={ "chart-" (self.name) } {
                (self.picture())
                details { summary { "As a table" } (self.table.markup()) }
            }
        }
    }

    /// The same with its table beside it, for a chart that stands alone.
    pub(super) fn wide_figure(&self) -> Markup {
        html! {
            figure.alone id={ "chart-" (self.name) } {
                div { (self.picture()) }
                details open { summary { "As a table" } (self.table.markup()) }
            }
        }
    }

    fn picture(&self) -> Markup {
        html! {
            figcaption { strong { (self.title) } " " (self.note) }
            (PreEscaped(self.drawing.svg(self, "")))
        }
    }

    /// As a file of its own.
    pub(super) fn file(&self) -> String {
        let style = format!(
            "<style>\n{PALETTE}svg {{ background: var(--paper); }}\n\
             text {{ font-family: system-ui, sans-serif; }}\n</style>\n"
        );
        self.drawing.svg(self, &style)
    }
}

/// Charts side by side, as many as there is room for.
pub(super) fn figures(charts: &[Chart]) -> Markup {
    html! { div.figures { @for chart in charts { (chart.figure()) } } }
}

/// Turns a title into a part of a file name: letters and digits of ASCII, in lower case.
pub(super) fn slug(title: &str) -> String {
    let mut out = String::new();
    for c in title.chars() {
        if c.is_ascii_alphanumeric() {
            out.push(c.to_ascii_lowercase());
        } else if !out.ends_with('-') && !out.is_empty() {
            out.push('-');
        }
    }
    out.trim_end_matches('-').to_string()
}

/// What a stroke or a fill is made with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ink {
    /// Text and what matters as much.
    Text,
    /// Names of axes, ticks.
    Muted,
    /// Lines behind the data.
    Grid,
    /// What everything is drawn on.
    Paper,
    /// A series, counted from 0; after six the colours repeat, with other marks.
    Series(usize),
}

/// Colours of a series, each with a mark of its own.
pub(super) const SERIES: usize = 6;

impl Ink {
    const ALL: [Self; 4 + SERIES] = [
        Self::Text,
        Self::Muted,
        Self::Grid,
        Self::Paper,
        Self::Series(0),
        Self::Series(1),
        Self::Series(2),
        Self::Series(3),
        Self::Series(4),
        Self::Series(5),
    ];

    fn number(self) -> u8 {
        match self {
            Self::Text => 0,
            Self::Muted => 1,
            Self::Grid => 2,
            Self::Paper => 3,
            Self::Series(i) => 4 + (i % SERIES) as u8,
        }
    }

    /// The stand-in.
    pub(super) fn color(self) -> RGBColor {
        RGBColor(0xda, 0x90, self.number())
    }

    fn variable(self) -> String {
        match self {
            Self::Text => "--ink".into(),
            Self::Muted => "--muted".into(),
            Self::Grid => "--grid".into(),
            Self::Paper => "--paper".into(),
            Self::Series(i) => format!("--s{}", i % SERIES + 1),
        }
    }

    /// A line of a width in CSS pixels.
    pub(super) fn stroke(self, width: f64) -> ShapeStyle {
        let width = (width * f64::from(UNIT)).round() as u32;
        ShapeStyle { color: self.color().into(), filled: false, stroke_width: width }
    }

    /// A filled shape.
    pub(super) fn fill(self) -> ShapeStyle {
        ShapeStyle { color: self.color().into(), filled: true, stroke_width: 0 }
    }
}

/// Where an SVG is drawn.
pub(super) type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;

/// What goes wrong when drawing.
#[expect(clippy::needless_pass_by_value, reason = "it is what `map_err` hands over")]
pub(super) fn failed(error: DrawingAreaErrorKind<std::io::Error>) -> Error {
    Error::Io(std::io::Error::other(format!("a chart could not be drawn: {error}")))
}

/// Style of text in a drawing. `plotters` shrinks sizes by 1.24 when it writes SVG.
pub(super) fn text_style(ink: Ink, at: (HPos, VPos)) -> TextStyle<'static> {
    let size = TEXT * f64::from(UNIT) * 1.24;
    ("sans-serif", size).into_font().color(&ink.color()).pos(Pos::new(at.0, at.1))
}

/// Width of text in CSS pixels, roughly: nothing here reads fonts, and an `m` is wide in all of them. Chinese characters are
/// as wide as they are high.
pub(super) fn text_width(text: &str) -> i32 {
    let ems = |c: char| match c {
        'm' | 'w' | 'M' | 'W' | '%' => 0.95,
        'i' | 'j' | 'l' | '.' | ',' | ':' | ' ' => 0.34,
        'f' | 'r' | 't' => 0.4,
        _ if u32::from(c) >= 0x2e80 => 1.0,
        _ => 0.6,
    };
    (text.chars().map(ems).sum::<f64>() * TEXT).ceil() as i32
}

/// Writes text at a place in CSS pixels.
pub(super) fn write_text(
    area: &Area<'_>,
    text: &str,
    (x, y): (i32, i32),
    style: TextStyle<'static>,
) -> Result<()> {
    area.draw(&Text::new(text.to_string(), (x * UNIT, y * UNIT), style)).map_err(failed)
}

/// The mark of a series at a place in units of the drawing: six shapes, so that colour is not all there is, each with a
/// rim that sets it off from what lies below.
pub(super) fn mark(area: &Area<'_>, at: (i32, i32), series: usize) -> Result<()> {
    let r = 3 * UNIT;
    shape(area, at, series, (r + UNIT, Ink::Paper))?;
    shape(area, at, series, (r, Ink::Series(series)))
}

/// The shape of a series, of a radius. When colours begin again, shapes move on by one.
fn shape(area: &Area<'_>, (x, y): (i32, i32), series: usize, (r, ink): (i32, Ink)) -> Result<()> {
    let polygon = |points: &[(i32, i32)]| {
        let points: Vec<_> = points.iter().map(|&(dx, dy)| (x + dx, y + dy)).collect();
        area.draw(&Polygon::new(points, ink.fill()))
    };
    // Corners reach out so that all shapes look equally large.
    let (most, least) = (r + r / 4, r - r / 8);
    match (series + series / SERIES) % SERIES {
        0 => area.draw(&Circle::new((x, y), r, ink.fill())),
        1 => polygon(&[(0, -most), (most, least), (-most, least)]),
        2 => polygon(&[(-least, -least), (least, -least), (least, least), (-least, least)]),
        3 => polygon(&[(0, -most), (most, 0), (0, most), (-most, 0)]),
        4 => polygon(&[(0, most), (most, -least), (-most, -least)]),
        // A cross.
        _ => {
            let (o, i) = (r, r / 3);
            polygon(&[
                (-i, -o),
                (i, -o),
                (i, -i),
                (o, -i),
                (o, i),
                (i, i),
                (i, o),
                (-i, o),
                (-i, i),
                (-o, i),
                (-o, -i),
                (-i, -i),
            ])
        }
    }
    .map_err(failed)
}

/// How a name in a legend is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Key {
    pub(super) ink: Ink,
    pub(super) line: Line,
    pub(super) mark: bool,
}

/// How points are joined.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Line {
    None,
    Solid,
    Dashed,
    /// A box in outline.
    Outline,
    /// A filled box.
    Filled,
}

/// Height of a row of a legend, in CSS pixels.
const KEY_ROW: i32 = 17;

/// Names of series, in rows from a height on down, in CSS pixels; gives the height where they end. Draws nothing
/// without an area, to learn that height. One series needs no legend.
pub(super) fn legend(area: Option<&Area<'_>>, top: i32, keys: &[(String, Key)]) -> Result<i32> {
    let (mut x, mut y) = (2, top);
    for (name, key) in keys.iter().filter(|_| keys.len() > 1) {
        let name = line(name, 40);
        let width = 26 + text_width(&name) + 12;
        if x > 2 && x + width > WIDTH {
            (x, y) = (2, y + KEY_ROW);
        }
        if let Some(area) = area {
            sample(area, (x, y + KEY_ROW / 2), *key)?;
            let style = text_style(Ink::Text, (HPos::Left, VPos::Center));
            write_text(area, &name, (x + 26, y + KEY_ROW / 2), style)?;
        }
        x += width;
    }
    Ok(if keys.len() < 2 { top } else { y + KEY_ROW + 3 })
}

/// What a series looks like, beside its name.
fn sample(area: &Area<'_>, (x, y): (i32, i32), key: Key) -> Result<()> {
    let units = |(x, y): (i32, i32)| (x * UNIT, y * UNIT);
    let ends = [units((x, y)), units((x + 20, y))];
    match key.line {
        Line::None => {}
        Line::Solid => path(area, &ends, key.ink, 1.75)?,
        Line::Dashed => dashes(area, &ends, key.ink)?,
        Line::Outline | Line::Filled => {
            let corners = [units((x + 2, y - 5)), units((x + 18, y + 5))];
            bar(area, corners, key)?;
        }
    }
    match key.ink {
        Ink::Series(i) if key.mark => mark(area, units((x + 10, y)), i),
        _ => Ok(()),
    }
}

/// A box between two corners in units of the drawing, filled or in outline as the key says.
pub(super) fn bar(area: &Area<'_>, corners: [(i32, i32); 2], key: Key) -> Result<()> {
    if key.line == Line::Filled {
        return area.draw(&Rectangle::new(corners, key.ink.fill())).map_err(failed);
    }
    // The SVG of a rectangle that is not filled has no width of line.
    let [(x0, y0), (x1, y1)] = corners;
    path(area, &[(x0, y0), (x1, y0), (x1, y1), (x0, y1), (x0, y0)], key.ink, 1.0)
}

/// A line through points in units of the drawing.
pub(super) fn path(area: &Area<'_>, points: &[(i32, i32)], ink: Ink, width: f64) -> Result<()> {
    area.draw(&PathElement::new(points.to_vec(), ink.stroke(width))).map_err(failed)
}

/// The same, dashed: of points that come one after the other from left to right.
pub(super) fn dashes(area: &Area<'_>, points: &[(i32, i32)], ink: Ink) -> Result<()> {
    let (dash, gap) = (f64::from(4 * UNIT), f64::from(3 * UNIT));
    // Distance that the pattern has come along the line.
    let mut done = 0.0;
    for pair in points.windows(2) {
        let [(x0, y0), (x1, y1)] = [pair[0], pair[1]].map(|(x, y)| (f64::from(x), f64::from(y)));
        let length = (x1 - x0).hypot(y1 - y0);
        let at = |s: f64| {
            let share = s / length;
            ((x0 + share * (x1 - x0)).round() as i32, (y0 + share * (y1 - y0)).round() as i32)
        };
        let mut s = -(done % (dash + gap));
        while s < length {
            let (from, to) = (s.max(0.0), (s + dash).min(length));
            if to > from {
                path(area, &[at(from), at(to)], ink, 1.25)?;
            }
            s += dash + gap;
        }
        done += length;
    }
    Ok(())
}

/// What is inside an SVG.
pub(super) struct Drawing {
    height: i32,
    body: String,
}

impl Drawing {
    /// Draws in an area of [`WIDTH`] times `height` CSS pixels.
    pub(super) fn new(height: i32, draw: impl FnOnce(&Area<'_>) -> Result<()>) -> Result<Self> {
        let mut text = String::new();
        {
            let size = ((WIDTH * UNIT) as u32, (height * UNIT) as u32);
            let area = SVGBackend::with_string(&mut text, size).into_drawing_area();
            draw(&area)?;
            area.present().map_err(failed)?;
        }
        let open = text.find('>').map_or(0, |end| end + 1);
        let close = text.rfind("</svg>").unwrap_or(text.len());
        let mut body = text[open..close].to_string();
        for ink in Ink::ALL {
            // Text is escaped and holds no quotation mark, so only attributes are replaced.
            let RGBColor(r, g, b) = ink.color();
            let color = format!("=\"#{r:02X}{g:02X}{b:02X}\"");
            body = body.replace(&color, &format!("=\"var({})\"", ink.variable()));
        }
        for idle in [" opacity=\"1\"", " font-family=\"sans-serif\"", " stroke=\"none\""] {
            body = body.replace(idle, "");
        }
        Ok(Self { height, body })
    }

    /// The whole element, with its title and description for those who do not see it.
    fn svg(&self, chart: &Chart, style: &str) -> String {
        let title = html! {
            title id={ "title-" (chart.name) } { (line(&chart.title, 500)) }
            desc id={ "desc-" (chart.name) } { (line(&chart.note, 2000)) }
        };
        let mut out = String::new();
        let _ = write!(
            out,
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {} {}\" role=\"img\" \
             aria-labelledby=\"title-{2} desc-{2}\">\n{3}\n{style}{4}</svg>\n",
            WIDTH * UNIT,
            self.height * UNIT,
            chart.name,
            title.into_string(),
            self.body,
        );
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn drawings_have_no_fixed_colours_and_text_keeps_its_letters() {
        let text = "<b>&\"#DA9000\" =\"#DA9001\"";
        let drawing = Drawing::new(50, |area| {
            for series in 0..SERIES {
                mark(area, (100 + 40 * series as i32, 40), series)?;
            }
            path(area, &[(0, 0), (100, 50)], Ink::Grid, 1.0)?;
            dashes(area, &[(0, 0), (100, 50), (300, 60)], Ink::Muted)?;
            write_text(area, text, (1, 1), text_style(Ink::Text, (HPos::Left, VPos::Top)))
        })
        .unwrap();
        let body = &drawing.body;
        for ink in Ink::ALL {
            assert!(body.contains(&format!("=\"var({})\"", ink.variable())), "{ink:?}: {body}");
            assert!(PALETTE.contains(&format!("{}:", ink.variable())), "{ink:?}");
        }
        assert!(!body.contains("=\"#"), "{body}");
        assert!(body.contains("&lt;b&gt;&amp;&quot;#DA9000&quot; =&quot;#DA9001&quot;"), "{body}");
    }

    #[test]
    fn many_series_differ_in_colour_or_mark() {
        let drawn =
            |series: usize| Drawing::new(50, |area| mark(area, (100, 100), series)).unwrap().body;
        let all: std::collections::BTreeSet<String> = (0..SERIES * SERIES).map(drawn).collect();
        assert_eq!(all.len(), SERIES * SERIES);
        assert_eq!(drawn(0), drawn(SERIES * SERIES));
    }

    #[test]
    fn legends_break_into_rows() {
        let key = Key { ink: Ink::Series(0), line: Line::Solid, mark: true };
        let keys = |n: usize| vec![("a name of some length".to_string(), key); n];
        let heights: Vec<i32> =
            [1, 2, 3, 4, 5].iter().map(|&n| legend(None, 10, &keys(n)).unwrap()).collect();
        assert_eq!(heights[0], 10);
        assert_eq!(heights[2], heights[3]);
        assert_eq!(heights[4], heights[3] + KEY_ROW);
    }

    #[test]
    fn slugs_are_names_of_files() {
        assert_eq!(slug("Clicks vs KL (10 %)"), "clicks-vs-kl-10");
        assert_eq!(slug("../../导购"), "");
    }
}
