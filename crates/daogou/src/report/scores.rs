//! Every task by its own metrics, beside baselines: CTR, CVR and CTCVR are never merged.

use maud::{Markup, html};

use super::numbers::{count, fixed, interval};
use super::{Asked, Section, asked};
use crate::evaluate::{Evaluation, TaskReport};
use crate::metrics::Intervals;
use crate::schema::Config;

/// Which end of a metric is good.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Better {
    Higher,
    Lower,
    /// Of a ratio.
    NearOne,
}

impl Better {
    /// How far a value is from the good end: less is better.
    fn distance(self, value: f64) -> f64 {
        match self {
            Self::Higher => -value,
            Self::Lower => value,
            Self::NearOne => value.max(1e-12).ln().abs(),
        }
    }

    fn word(self) -> &'static str {
        match self {
            Self::Higher => "higher is better",
            Self::Lower => "lower is better",
            Self::NearOne => "1 is right",
        }
    }
}

/// A column of a table.
struct Metric {
    name: &'static str,
    /// Key of its interval.
    key: &'static str,
    better: Better,
    digits: usize,
    value: fn(&TaskReport) -> Option<f64>,
}

macro_rules! metric {
    ($kind:ident, $field:ident, $name:expr, $better:ident, $digits:expr) => {
        Metric {
            name: $name,
            key: stringify!($field),
            better: Better::$better,
            digits: $digits,
            value: |report| match report {
                TaskReport::$kind(report) => report.$field,
                _ => None,
            },
        }
    };
}

/// The first is the one that a verdict is passed by.
const BINARY: [Metric; 7] = [
    metric!(Binary, auc, "AUC", Higher, 4),
    metric!(Binary, gauc, "GAUC", Higher, 4),
    metric!(Binary, pr_auc, "PR-AUC", Higher, 4),
    metric!(Binary, logloss, "logloss", Lower, 4),
    metric!(Binary, ne, "NE", Lower, 3),
    metric!(Binary, pcoc, "PCOC", NearOne, 3),
    metric!(Binary, ece, "ECE", Lower, 4),
];

const MIX: [Metric; 5] = [
    metric!(Mix, ce, "cross-entropy", Lower, 4),
    metric!(Mix, ce_normalised, "CE/H", Lower, 4),
    metric!(Mix, kl, "KL", Lower, 4),
    metric!(Mix, js, "JS", Lower, 4),
    metric!(Mix, top1, "top-1", Higher, 3),
];

const SHARE: [Metric; 4] = [
    metric!(Share, mse, "MSE", Lower, 4),
    metric!(Share, mae, "MAE", Lower, 4),
    metric!(Share, r2, "R²", Higher, 4),
    metric!(Share, spearman, "Spearman", Higher, 4),
];

const CLASSES: [Metric; 4] = [
    metric!(Classes, ce, "cross-entropy", Lower, 4),
    metric!(Classes, ce_normalised, "CE/H", Lower, 4),
    metric!(Classes, accuracy, "accuracy", Higher, 3),
    metric!(Classes, auc, "AUC, mean over classes", Higher, 4),
];

const NUMBERS: [Metric; 4] = [
    metric!(Numbers, rmse, "RMSE", Lower, 4),
    metric!(Numbers, mae, "MAE", Lower, 4),
    metric!(Numbers, r2, "R²", Higher, 4),
    metric!(Numbers, spearman, "Spearman", Higher, 4),
];

fn metrics(report: &TaskReport) -> &'static [Metric] {
    match report {
        TaskReport::Binary(_) => &BINARY,
        TaskReport::Mix(_) => &MIX,
        TaskReport::Share(_) => &SHARE,
        TaskReport::Classes(_) => &CLASSES,
        TaskReport::Numbers(_) => &NUMBERS,
    }
}

fn intervals(report: &TaskReport) -> &Intervals {
    match report {
        TaskReport::Binary(r) => &r.intervals,
        TaskReport::Mix(r) => &r.intervals,
        TaskReport::Share(r) => &r.intervals,
        TaskReport::Classes(r) => &r.intervals,
        TaskReport::Numbers(r) => &r.intervals,
    }
}

/// How a reader meets a baseline.
fn baseline(name: &str) -> String {
    match name {
        "constant" => "constant: the average".into(),
        "popularity" => "popularity: the item's rate".into(),
        "position" => "position: the place's rate".into(),
        "user_history" => "the user's own past".into(),
        other => other.into(),
    }
}

/// A note, with what stands between backticks as code.
fn quoted(note: &str) -> Markup {
    html! {
        @for (i, part) in note.split('`').enumerate() {
            @if i % 2 == 1 { code { (part) } } @else { (part) }
        }
    }
}

/// Reports on one question, the model's first.
fn rows<'a>(evaluation: &'a Evaluation, asked: &Asked) -> Option<Vec<(String, &'a TaskReport)>> {
    let own = evaluation.tasks.get(&asked.report)?;
    let others = evaluation.baselines.iter();
    let others = others.filter_map(|(name, reports)| Some((name, reports.get(&asked.report)?)));
    let others = others.map(|(name, report)| (baseline(name), report));
    Some(std::iter::once(("model".to_string(), own)).chain(others).collect())
}

/// A sentence per question: whether the model beats its baselines by the first metric, and whether that is sure.
pub(super) fn verdicts(config: &Config, evaluation: &Evaluation) -> Vec<Markup> {
    asked(config)
        .iter()
        .filter_map(|asked| {
            let rows = rows(evaluation, asked)?;
            let own = rows[0].1;
            let metric = &metrics(own)[0];
            let value = (metric.value)(own)?;
            let ends = intervals(own).get(metric.key);
            let distance = |value| metric.better.distance(value);
            let rival = rows[1..]
                .iter()
                .filter_map(|(name, report)| Some((name, (metric.value)(report)?)))
                .min_by(|a, b| distance(a.1).total_cmp(&distance(b.1)));
            let digits = metric.digits;
            let said = rival.map(|(name, best)| {
                // The end of the interval that is less good.
                let worst =
                    ends.map(|ends| ends.map(distance).into_iter().fold(f64::MIN, f64::max));
                let (word, end) = if distance(value) >= distance(best) {
                    ("does not beat", "")
                } else if worst.is_some_and(|worst| worst < distance(best)) {
                    ("beats", "")
                } else {
                    ("is ahead of", ", which may be luck")
                };
                html! {
                    ": " (word) " the best baseline (" (name) ", " (fixed(Some(best), digits)) ")"
                    (end)
                }
            });
            Some(html! {
                strong { (asked.short) } " " (metric.name) " " (fixed(Some(value), digits))
                @if let Some(ends) = ends { " " span.interval { (interval(Some(ends), digits)) } }
                @if let Some(said) = said { (said) }
                "."
            })
        })
        .collect()
}

/// One table per question; `None` where nothing was measured.
pub(super) fn section(config: &Config, evaluation: &Evaluation) -> Option<Section> {
    let tables: Vec<Markup> = asked(config)
        .iter()
        .filter_map(|asked| Some(table(asked, &rows(evaluation, asked)?)))
        .collect();
    if tables.is_empty() {
        return None;
    }
    let body = html! {
        p {
            "Each question by itself. The best value of a column is " b.best { "marked" }
            "; the interval below the model's says how much of that may be luck. A model that no "
            "column favours is not worth serving."
        }
        @for table in &tables { (table) }
        @if !evaluation.notes.is_empty() {
            p { "What a reader should know:" }
            ul { @for note in &evaluation.notes { li { (quoted(note)) } } }
        }
    };
    Some(Section { id: "metrics", title: "Metrics", body, charts: Vec::new() })
}

fn table(asked: &Asked, rows: &[(String, &TaskReport)]) -> Markup {
    let own = rows[0].1;
    // A metric that nobody has needs no column.
    let shown = |metric: &&Metric| rows.iter().any(|(_, report)| (metric.value)(report).is_some());
    let metrics: Vec<&Metric> = metrics(own).iter().filter(shown).collect();
    let best: Vec<Option<String>> = metrics.iter().map(|metric| best(metric, rows)).collect();
    let cell = |metric: &Metric, report: &TaskReport| fixed((metric.value)(report), metric.digits);
    let said = match own {
        TaskReport::Binary(r) => {
            format!("{} rows, {} positive", count(r.n), count(r.positives))
        }
        TaskReport::Mix(r) => format!("{} labelled requests", count(r.n)),
        TaskReport::Share(r) => format!("{} labelled requests", count(r.n)),
        TaskReport::Classes(r) => {
            format!("{} labelled rows, {} classes", count(r.n), count(r.classes))
        }
        TaskReport::Numbers(r) => {
            format!("{} labelled rows, in the units of the label", count(r.n))
        }
    };
    html! {
        h3 { (asked.short) " " small { (asked.long) " · " (said) } }
        div.wide tabindex="0" {
            table {
                thead {
                    tr {
                        th scope="col" {}
                        @for metric in &metrics {
                            th scope="col" { abbr title=(metric.better.word()) { (metric.name) } }
                        }
                    }
                }
                tbody {
                    @for (i, (name, report)) in rows.iter().enumerate() {
                        tr class=[(i == 0).then_some("own")] {
                            th scope="row" { (name) }
                            @for (metric, best) in metrics.iter().zip(&best) {
                                @let text = cell(metric, report);
                                td {
                                    @if best.as_ref() == Some(&text) { b.best { (text) } }
                                    @else { (text) }
                                    @if let Some(ends) = intervals(report).get(metric.key) {
                                        span.interval { (interval(Some(ends), metric.digits)) }
                                    }
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}

/// The best value of a column as it is shown: those that look equal are equally good. `None` where all look the same.
fn best(metric: &Metric, rows: &[(String, &TaskReport)]) -> Option<String> {
    let values = || rows.iter().filter_map(|(_, report)| (metric.value)(report));
    let distance = |value: &f64| metric.better.distance(*value);
    let best = values().min_by(|a, b| distance(a).total_cmp(&distance(b)))?;
    let best = fixed(Some(best), metric.digits);
    let differs = values().any(|value| fixed(Some(value), metric.digits) != best);
    differs.then_some(best)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::{BinaryReport, ShareReport};

    fn binary(auc: f64, pcoc: f64, interval: Option<[f64; 2]>) -> TaskReport {
        let intervals = interval.map(|ends| ("auc".to_string(), ends)).into_iter().collect();
        TaskReport::Binary(BinaryReport {
            auc: Some(auc),
            pcoc: Some(pcoc),
            intervals,
            ..BinaryReport::default()
        })
    }

    fn evaluation(model: TaskReport, constant: TaskReport) -> Evaluation {
        Evaluation {
            tasks: [("click".to_string(), model)].into(),
            lists: crate::evaluate::Lists::default(),
            baselines: [("constant".to_string(), [("click".to_string(), constant)].into())].into(),
            list_baselines: [].into(),
            calibration: [].into(),
            notes: vec!["a <note> on `<b>`".into()],
        }
    }

    fn config() -> Config {
        Config {
            tasks: vec![crate::schema::Task::new("click", crate::schema::TaskKind::Binary)],
            ..Config::default()
        }
    }

    #[test]
    fn the_best_is_marked_in_its_own_sense() {
        let evaluation = evaluation(binary(0.7, 1.3, Some([0.68, 0.72])), binary(0.5, 0.9, None));
        let body = section(&config(), &evaluation).unwrap().body.into_string();
        assert!(body.contains("<b class=\"best\">0.7000</b>"), "{body}");
        assert!(body.contains("<b class=\"best\">0.900</b>"), "nearer to 1: {body}");
        assert_eq!(body.matches("<b class=\"best\">").count(), 3, "and the word itself: {body}");
        assert!(
            body.contains("[0.6800, 0.7200]")
                && body.contains("a &lt;note&gt; on <code>&lt;b&gt;</code>"),
            "{body}"
        );
        assert!(!body.contains("GAUC"), "nobody has it: {body}");
    }

    #[test]
    fn a_verdict_says_whether_the_model_is_worth_it() {
        let verdict = |auc, interval| {
            let evaluation = evaluation(binary(auc, 1.0, interval), binary(0.6, 1.0, None));
            verdicts(&config(), &evaluation)[0].clone().into_string()
        };
        assert!(verdict(0.7, Some([0.65, 0.75])).contains(": beats the best baseline"));
        assert!(verdict(0.7, Some([0.55, 0.75])).contains("is ahead of"));
        assert!(verdict(0.7, None).contains("is ahead of"));
        assert!(verdict(0.6, Some([0.5, 0.7])).contains("does not beat"));
    }

    #[test]
    fn equal_values_have_no_winner() {
        let share = |mse| TaskReport::Share(ShareReport { mse: Some(mse), ..Default::default() });
        let (a, b) = (share(0.12341), share(0.12342));
        let rows = [("model".to_string(), &a), ("x".to_string(), &b)];
        assert_eq!(best(&SHARE[0], &rows), None);
        assert_eq!(best(&SHARE[0], &rows[..1]), None, "nor has one that runs alone");
        assert_eq!(best(&SHARE[2], &rows), None);
    }
}
