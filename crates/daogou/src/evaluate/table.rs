//! An evaluation as text for a terminal of 80 columns.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::{CalibrationEffect, Evaluation, TaskReport};
use crate::floors::Floor;
use crate::metrics::{BinaryReport, Intervals, ListReport};

fn number(value: Option<f64>, digits: usize) -> String {
    value.map_or_else(|| "–".into(), |v| format!("{v:.digits$}"))
}

/// A number of any size, with four digits that count or all before the point.
fn amount(value: f64) -> String {
    let size = if value == 0.0 { 0 } else { value.abs().log10().floor() as i32 };
    match size {
        -5..=6 => format!("{value:.*}", (3 - size).max(0) as usize),
        _ => format!("{value:.3e}"),
    }
}

fn interval(intervals: &Intervals, name: &str) -> String {
    intervals.get(name).map_or_else(String::new, |[low, high]| format!("[{low:.3}, {high:.3}]"))
}

fn binary_row(out: &mut String, name: &str, r: &BinaryReport) {
    let _ = writeln!(
        out,
        "  {name:<17}{:>6} {:<15}{:>7}{:>8}{:>7}{:>7}{:>7}",
        number(r.auc, 4),
        interval(&r.intervals, "auc"),
        number(r.gauc, 4),
        number(r.logloss, 4),
        number(r.ne, 3),
        number(r.pcoc, 2),
        number(r.ece, 4),
    );
}

/// Name of a report as a reader meets it: `purchase (all)` for its CTCVR.
fn shown_name(name: &str) -> String {
    name.strip_suffix("_ctcvr").map_or_else(|| name.to_string(), |task| format!("{task} (all)"))
}

/// Reports of one task by baseline.
fn base_of<'a>(
    evaluation: &'a Evaluation,
    task: &'a str,
) -> impl Iterator<Item = (&'a str, &'a TaskReport)> {
    let found = evaluation.baselines.iter();
    found.filter_map(move |(name, reports)| reports.get(task).map(|r| (name.as_str(), r)))
}

/// What calibration changed, task by task.
fn calibration_rows(out: &mut String, effects: &BTreeMap<String, CalibrationEffect>) {
    if effects.is_empty() {
        return;
    }
    let _ = writeln!(
        out,
        "\n  {:<17}{:<12}{:>15}{:>17}{:>17}",
        "calibration", "by", "PCOC", "ECE", "loss"
    );
    let change =
        |before, after, digits| format!("{} → {}", number(before, digits), number(after, digits));
    for (name, e) in effects {
        let _ = writeln!(
            out,
            "  {:<17}{:<12}{:>15}{:>17}{:>17}",
            shown_name(name),
            e.method,
            change(e.pcoc_before, e.pcoc_after, 3),
            change(e.ece_before, e.ece_after, 4),
            change(e.loss_before, e.loss_after, 4),
        );
    }
}

/// Lists built from the catalogue, the model's first: each list by itself, then all of them together.
fn built_rows(out: &mut String, built: &BTreeMap<String, ListReport>) {
    let Some(model) = built.get("model") else { return };
    let others = built.iter().filter(|(who, _)| *who != "model");
    let rows = || {
        let others = others.clone().map(|(who, r)| (format!("  · {who}"), r));
        std::iter::once(("model".to_string(), model)).chain(others)
    };
    let _ = writeln!(
        out,
        "\n  {:<17}{:>8}{:>7}{:>7}{:>8}{:>7}{:>8}{:>7}{:>7}",
        format!("built, top {}", model.k),
        "cat. H",
        "cover",
        "ILD",
        "ILD cos",
        "KL",
        "unseen",
        "tail",
        "bits"
    );
    for (who, r) in rows() {
        let _ = writeln!(
            out,
            "  {who:<17}{:>8}{:>7}{:>7}{:>8}{:>7}{:>8}{:>7}{:>7}",
            number(r.category_entropy, 3),
            number(r.coverage, 3),
            number(r.ild, 3),
            number(r.ild_vectors, 3),
            number(r.kl, 3),
            number(r.unseen_share, 3),
            number(r.long_tail_share, 3),
            number(r.self_information, 1)
        );
    }
    let _ = writeln!(
        out,
        "\n  {:<17}{:>8}{:>19}{:>10}{:>14}",
        "over all lists", "lists", "catalogue shown", "Gini", "exposure H"
    );
    for (who, r) in rows() {
        let _ = writeln!(
            out,
            "  {who:<17}{:>8}{:>19}{:>10}{:>14}",
            r.n,
            number(r.catalogue_coverage, 4),
            number(r.gini, 4),
            number(r.exposure_entropy, 3)
        );
    }
}

/// Exposure floors: what was asked for, what lists reach, at which price. Public for whoever shows a run.
pub fn floor_rows(out: &mut String, floors: &[Floor]) {
    if floors.is_empty() {
        return;
    }
    let _ = writeln!(
        out,
        "\n  {:<36}{:>11}{:>11}{:>18}",
        "exposure floor", "least %", "reached %", "price (utility)"
    );
    for f in floors {
        let name: String = format!("{} {}", f.of, f.value).chars().take(35).collect();
        let _ = writeln!(
            out,
            "  {name:<36}{:>11.2}{:>11}{:>18.5}",
            100.0 * f.share,
            number(f.reached.map(|share| 100.0 * share), 2),
            f.price
        );
    }
}

/// A note or a warning, as `kind` says, broken between words to stay within 80 columns.
pub(crate) fn note_lines(out: &mut String, kind: &str, note: &str) {
    let mut line = format!("\n  {kind}:");
    for word in note.split_whitespace() {
        if line.trim_start_matches('\n').chars().count() + 1 + word.chars().count() > 80 {
            let _ = writeln!(out, "{line}");
            line = String::from("   ");
        }
        line.push(' ');
        line.push_str(word);
    }
    let _ = writeln!(out, "{line}");
}

/// All tasks, each with its baselines below it, then lists.
pub fn table(evaluation: &Evaluation) -> String {
    let mut out = String::new();
    let binaries = || evaluation.tasks.iter().filter(|(_, r)| matches!(r, TaskReport::Binary(_)));
    if binaries().next().is_some() {
        let _ = writeln!(
            out,
            "  {:<17}{:>6} {:<15}{:>7}{:>8}{:>7}{:>7}{:>7}",
            "yes or no", "AUC", "95 % interval", "GAUC", "logloss", "NE", "PCOC", "ECE"
        );
    }
    for (name, report) in binaries() {
        let TaskReport::Binary(r) = report else { continue };
        binary_row(&mut out, &shown_name(name), r);
        for (baseline, report) in base_of(evaluation, name) {
            if let TaskReport::Binary(r) = report {
                binary_row(&mut out, &format!("  · {baseline}"), r);
            }
        }
        let _ = writeln!(out, "    {} rows, {} positive", r.n, r.positives);
    }
    for (name, report) in &evaluation.tasks {
        match report {
            TaskReport::Mix(_) => {
                let _ = writeln!(
                    out,
                    "\n  {name:<17}{:>8} {:<15}{:>9}{:>8}{:>8}",
                    "CE", "95 % interval", "CE/H", "KL", "top-1"
                );
            }
            TaskReport::Share(_) => {
                let _ = writeln!(
                    out,
                    "\n  {name:<17}{:>8} {:<15}{:>9}{:>10}",
                    "MSE", "95 % interval", "R²", "Spearman"
                );
            }
            TaskReport::Classes(_) => {
                let _ = writeln!(
                    out,
                    "\n  {name:<17}{:>8} {:<15}{:>9}{:>9}{:>8}",
                    "CE", "95 % interval", "CE/H", "accuracy", "AUC"
                );
            }
            TaskReport::Numbers(_) => {
                let _ = writeln!(
                    out,
                    "\n  {name:<17}{:>10} {:<19}{:>10}{:>9}{:>10}",
                    "RMSE", "95 % interval", "MAE", "R²", "Spearman"
                );
            }
            TaskReport::Binary(_) => continue,
        }
        for (who, report) in std::iter::once(("model", report)).chain(base_of(evaluation, name)) {
            let who = if who == "model" { "model".to_string() } else { format!("  · {who}") };
            match report {
                TaskReport::Mix(r) => {
                    let _ = writeln!(
                        out,
                        "  {who:<17}{:>8} {:<15}{:>9}{:>8}{:>8}",
                        number(r.ce, 4),
                        interval(&r.intervals, "ce"),
                        number(r.ce_normalised, 4),
                        number(r.kl, 4),
                        number(r.top1, 3)
                    );
                }
                TaskReport::Share(r) => {
                    let _ = writeln!(
                        out,
                        "  {who:<17}{:>8} {:<15}{:>9}{:>10}",
                        number(r.mse, 4),
                        interval(&r.intervals, "mse"),
                        number(r.r2, 4),
                        number(r.spearman, 4)
                    );
                }
                TaskReport::Classes(r) => {
                    let _ = writeln!(
                        out,
                        "  {who:<17}{:>8} {:<15}{:>9}{:>9}{:>8}",
                        number(r.ce, 4),
                        interval(&r.intervals, "ce"),
                        number(r.ce_normalised, 4),
                        number(r.accuracy, 3),
                        number(r.auc, 4)
                    );
                }
                TaskReport::Numbers(r) => {
                    let ends = r.intervals.get("rmse");
                    let ends =
                        ends.map(|[low, high]| format!("[{}, {}]", amount(*low), amount(*high)));
                    let _ = writeln!(
                        out,
                        "  {who:<17}{:>10} {:<19}{:>10}{:>9}{:>10}",
                        r.rmse.map_or_else(|| "–".into(), amount),
                        ends.unwrap_or_default(),
                        r.mae.map_or_else(|| "–".into(), amount),
                        number(r.r2, 4),
                        number(r.spearman, 4)
                    );
                }
                TaskReport::Binary(_) => {}
            }
        }
        match report {
            TaskReport::Classes(r) => {
                let _ = writeln!(out, "    {} rows, {} classes", r.n, r.classes);
            }
            TaskReport::Numbers(r) => {
                let _ = writeln!(out, "    {} rows", r.n);
            }
            _ => {}
        }
    }
    calibration_rows(&mut out, &evaluation.calibration);
    if let Some(lists) = &evaluation.lists.order {
        let _ = writeln!(
            out,
            "\n  {:<17}{:>8}{:>11}{:>8}{:>11}{:>9}",
            format!("order, top {}", lists.k),
            "NDCG",
            "recall",
            "MRR",
            "cat. H",
            "tail"
        );
        let rows = std::iter::once(("model", lists))
            .chain(evaluation.list_baselines.iter().map(|(n, r)| (n.as_str(), r)));
        for (who, r) in rows {
            let who = if who == "model" { "model".to_string() } else { format!("  · {who}") };
            let _ = writeln!(
                out,
                "  {who:<17}{:>8}{:>11}{:>8}{:>11}{:>9}",
                number(r.ndcg, 4),
                number(r.recall, 4),
                number(r.mrr, 4),
                number(r.category_entropy, 3),
                number(r.long_tail_share, 3)
            );
        }
    }
    built_rows(&mut out, &evaluation.lists.built);
    floor_rows(&mut out, &evaluation.lists.floors);
    for note in &evaluation.notes {
        note_lines(&mut out, "note", note);
    }
    out
}
