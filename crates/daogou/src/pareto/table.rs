//! A sweep as text of 80 columns.

use std::fmt::Write as _;

use super::{Axis, Estimate, Heads, Point, Solution, Sweep};
use crate::lists::Weights;

/// Points of a front that are shown, at most.
const SHOWN: usize = 12;

/// Axes shown for every point, where they are measured, with the heads of their columns.
const COLUMNS: [(Axis, &str); 5] = [
    (Axis::Click, "clicks"),
    (Axis::Purchase, "orders"),
    (Axis::Diversity, "match"),
    (Axis::Novelty, "new"),
    (Axis::Exposure, "even"),
];

/// Weights as they are typed, zeros left out.
pub fn weights(weights: &Weights) -> String {
    let values =
        [weights.click, weights.purchase, weights.revenue, weights.diversity, weights.novelty];
    let parts: Vec<String> = Weights::NAMES
        .iter()
        .zip(values)
        .filter(|(_, weight)| *weight != 0.0)
        .map(|(name, weight)| format!("{name}={weight}"))
        .collect();
    parts.join(",")
}

fn head(first: &str, point: &Point) -> String {
    let mut line = format!("{first:<45}");
    for (_, name) in COLUMNS.iter().filter(|(axis, _)| point.values.contains_key(axis)) {
        let _ = write!(line, "{name:>7}");
    }
    line + "\n"
}

fn row(first: &str, point: &Point) -> String {
    let mut line = format!("{first:<45}");
    for (axis, _) in COLUMNS {
        if let Some(value) = point.mean(axis) {
            let _ = write!(line, "{value:>7.3}");
        }
    }
    line + "\n"
}

/// Some points, each under a name, as text.
pub fn points(points: &[(&str, &Point)]) -> String {
    let mut out = points.first().map_or_else(String::new, |(_, point)| head("  weights", point));
    for (name, point) in points {
        out += &row(&format!("  {name}: {}", short(point)), point);
    }
    out
}

/// Weights short enough for a row: what the names of objectives begin with.
fn short(point: &Point) -> String {
    let w = &point.weights;
    let parts = [
        ("click", w.click),
        ("buy", w.purchase),
        ("money", w.revenue),
        ("div", w.diversity),
        ("new", w.novelty),
        ("exp", point.explore),
    ];
    let parts: Vec<String> = parts
        .iter()
        .filter(|(_, weight)| *weight != 0.0)
        .map(|(name, weight)| format!("{name} {weight}"))
        .collect();
    parts.join(" ")
}

fn interval(estimate: &Estimate, scale: f64, digits: usize) -> String {
    let ends = estimate.interval.map_or_else(String::new, |[low, high]| {
        format!(" [{:.digits$}, {:.digits$}]", low * scale, high * scale)
    });
    format!("{:.digits$}{ends}", estimate.mean * scale)
}

impl Sweep {
    /// Indices of points of the front to show: evenly along its first axis, the knee among them.
    pub fn shown(&self) -> Vec<usize> {
        let mut front = self.front.clone();
        let by = self.axes[0];
        let value = |i: usize| by.gain(self.measured.points[i].mean(by).unwrap_or(0.0));
        front.sort_by(|&a, &b| value(b).total_cmp(&value(a)).then(a.cmp(&b)));
        let n = front.len();
        let step = |i: usize| if n > SHOWN { i * (n - 1) / (SHOWN - 1) } else { i };
        let mut shown: Vec<usize> = (0..n.min(SHOWN)).map(|i| front[step(i)]).collect();
        if !shown.contains(&self.knee) {
            shown.push(self.knee);
            shown.sort_by(|&a, &b| value(b).total_cmp(&value(a)).then(a.cmp(&b)));
        }
        shown
    }

    /// The sweep as text.
    pub fn table(&self) -> String {
        let mut out = String::new();
        let axes: Vec<&str> = self.axes.iter().map(|axis| axis.name()).collect();
        let judge = match self.judge {
            "truth" => "by the truth of the simulation",
            _ => "by the model\nitself: its heads built them too, and promise a little too much",
        };
        let _ = writeln!(
            out,
            "{} requests, lists of {}, judged {judge}",
            self.measured.requests, self.k
        );
        let _ = writeln!(
            out,
            "\n{} points that no other beats in {}; * is the knee",
            self.front.len(),
            axes.join(", "),
        );
        let shown = self.shown();
        if shown.len() < self.front.len() {
            let _ =
                writeln!(out, "{} of them, evenly along {} (JSON has all)", shown.len(), axes[0]);
        }
        out += &head("  weights (exp: --explore)", &self.measured.points[self.knee]);
        for i in shown {
            let mark = if i == self.knee { "*" } else { " " };
            out += &row(
                &format!("{mark} {}", short(&self.measured.points[i])),
                &self.measured.points[i],
            );
        }
        if self.heads.len() > 1 {
            out += "\nDo the heads matter? By whose answers: volume under the front; clicks where the\n\
                    mix is matched equally well, not exploring, and what the trained heads gain\n";
            for (heads, report) in &self.heads {
                let name = match heads {
                    Heads::Trained => "trained",
                    Heads::History => "own history",
                    Heads::Constant => "the same for all",
                    Heads::TrueMix => "true mix",
                    Heads::Oracle => "all truth",
                };
                let mut line = format!("  {name:<17}{:<22}", interval(&report.hypervolume, 1.0, 3));
                if let Some(at) = report.at_equal_match.as_ref().filter(|_| *heads != Heads::Oracle)
                {
                    let _ = write!(line, "{:.3}", at.clicks.mean);
                    if *heads != Heads::Trained {
                        let _ = write!(line, "  {}", interval(&at.trained_gains, 1.0, 4));
                    }
                }
                out += line.trim_end();
                out += "\n";
            }
        }
        if !self.rivals.is_empty() {
            out += "\nOther builders on the same heads; below each our point of as many clicks,\n\
                    > where it is both closer to the wanted mix and newer\n";
            out += &head("  builder", &self.measured.points[self.knee]);
            for rival in self.rivals.iter().filter(|rival| self.is_shown(rival.point)) {
                let point = &self.measured.points[rival.point];
                let dial = point.dial.map_or_else(String::new, |dial| format!(" {dial}"));
                out += &row(&format!("  {}{dial}", point.builder), point);
                if let Some(beside) = rival.beside {
                    let mark = if rival.beaten { ">" } else { " " };
                    let own = &self.measured.points[beside];
                    out += &row(&format!("    {mark} {}", short(own)), own);
                }
            }
        }
        out
    }

    /// Rivals in the table: top-K, and each re-ranker in the middle of its dial.
    fn is_shown(&self, point: usize) -> bool {
        let point = &self.measured.points[point];
        match point.builder {
            "top_k" => true,
            "mmr" | "dpp" | "xquad" => matches!(point.dial, Some(0.7 | 0.97)),
            _ => false,
        }
    }
}

impl Solution {
    /// The answer as text.
    pub fn table(&self) -> String {
        let subject: Vec<String> = self.subject.iter().map(ToString::to_string).collect();
        let most = if self.maximise == Axis::Kl { "least" } else { "most" };
        let mut out = format!("The {most} {}", self.maximise);
        if !subject.is_empty() {
            out += &format!(" subject to {}", subject.join(", "));
        }
        out += "\n";
        if !self.met {
            out += "cannot be met by any weights tried. Closest:\n";
            for (demand, missing) in self.subject.iter().zip(&self.missing) {
                if *missing > 0.0 {
                    let got = self.point.mean(demand.axis).unwrap_or(0.0);
                    let _ = writeln!(
                        out,
                        "  {demand}: got {got:.4}, {missing:.4} too {}",
                        if demand.at_most { "much" } else { "little" }
                    );
                }
            }
        }
        out += &head("  weights", &self.point);
        out += &row(&format!("  {}", short(&self.point)), &self.point);
        let _ = write!(out, "  --objectives {}", weights(&self.point.weights));
        if self.point.explore > 0.0 {
            let _ = write!(out, " --explore {}", self.point.explore);
        }
        out += "\n";
        out
    }
}
