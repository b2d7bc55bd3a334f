//! Policies as text for a terminal of 80 columns.

use std::fmt::Write as _;

use super::{Estimates, PolicyEvaluation, PolicyReport};
use crate::evaluate::table::note_lines;

/// Four significant digits, as far as they stand behind the point.
fn number(value: f64) -> String {
    let size = value.abs();
    let digits = [(1000.0, 0), (100.0, 1), (10.0, 2), (1.0, 3), (0.0, 4)];
    let places = digits.iter().find(|(from, _)| size >= *from).map_or(4, |&(_, places)| places);
    format!("{value:.places$}")
}

fn shown(value: Option<f64>) -> String {
    value.map_or_else(|| "–".into(), number)
}

fn interval(of: &Estimates, name: &str) -> String {
    let text = |[low, high]: &[f64; 2]| format!("[{}, {}]", number(*low), number(*high));
    of.intervals.get(name).map_or_else(String::new, text)
}

/// A row of values; a long name has a line to itself.
fn row(out: &mut String, name: &str, values: &str) {
    const WIDTH: usize = 15;
    if name.chars().count() > WIDTH {
        let _ = writeln!(out, "  {name}\n  {:WIDTH$}{values}", "");
    } else {
        let _ = writeln!(out, "  {name:<WIDTH$}{values}");
    }
}

fn reward_rows<'a>(
    out: &mut String,
    title: &str,
    evaluation: &'a PolicyEvaluation,
    of: impl Fn(&'a PolicyReport) -> Option<&'a Estimates>,
) {
    let rows: Vec<(&str, &Estimates)> =
        evaluation.policies.iter().filter_map(|p| Some((p.policy.as_str(), of(p)?))).collect();
    if rows.is_empty() {
        return;
    }
    let heading = format!(
        "{:>7}{:>7}{:>8}{:<17}{:>7}{:<17}",
        "direct", "IPS", "SNIPS", " 95 % interval", "DR", " 95 % interval"
    );
    row(out, title, heading.trim_end());
    for (policy, e) in rows {
        // The logged lists are what they are: one number.
        let values = if policy == "logged" {
            format!("{:>22} {}", shown(e.logged), interval(e, "logged"))
        } else {
            format!(
                "{:>7}{:>7}{:>8} {:<16}{:>7} {:<16}",
                shown(e.direct),
                shown(e.ips),
                shown(e.snips),
                interval(e, "snips"),
                shown(e.dr),
                interval(e, "dr"),
            )
        };
        row(out, policy, values.trim_end());
    }
    out.push('\n');
}

/// Rewards by policy, what each gains over the logged lists, weights, then warnings and notes.
pub fn table(evaluation: &PolicyEvaluation) -> String {
    let mut out = String::new();
    let _ = writeln!(
        out,
        "  {} lists of {} people; propensities {}, examination {}\n",
        evaluation.lists, evaluation.people, evaluation.propensities, evaluation.examination
    );
    reward_rows(&mut out, "clicks/list", evaluation, |p| Some(&p.clicks));
    reward_rows(&mut out, "orders/list", evaluation, |p| p.orders.as_ref());
    reward_rows(&mut out, "revenue/list", evaluation, |p| p.revenue.as_ref());

    let others = || evaluation.policies.iter().filter(|p| p.policy != "logged");
    let gained = |e: &Estimates| {
        let sign = |value: f64| if value > 0.0 { "+" } else { "" };
        let value =
            e.gain.map_or_else(|| "–".into(), |gain| sign(gain).to_string() + &number(gain));
        format!("{value:>9} {}", interval(e, "gain"))
    };
    row(&mut out, "over logged, DR", &format!("{:>9}{:>30}", "clicks", "orders"));
    for p in others() {
        let orders = p.orders.as_ref().map_or_else(String::new, gained);
        row(&mut out, &p.policy, format!("{:<30}{orders}", gained(&p.clicks)).trim_end());
    }
    let heading =
        format!("{:>9}{:>11}{:>9}{:>9}{:>9}", "items", "effective", "largest", "cut", "balance");
    out.push('\n');
    row(&mut out, "weights", &heading);
    for p in others() {
        let w = &p.weights;
        let effective = w.effective.map_or_else(|| "–".into(), |n| format!("{n:.0}"));
        let decimal = |v: Option<f64>| v.map_or_else(|| "–".into(), |v| format!("{v:.2}"));
        let values = format!(
            "{:>9}{effective:>11}{:>9}{:>9}{:>9}",
            w.n,
            decimal(w.largest),
            w.clipped,
            decimal(w.balance)
        );
        row(&mut out, &p.policy, &values);
    }
    for warning in &evaluation.warnings {
        note_lines(&mut out, "warning", warning);
    }
    for note in &evaluation.notes {
        note_lines(&mut out, "note", note);
    }
    out
}
