//! Results as Markdown, and as text for a terminal of 80 columns.

use std::fmt::Write as _;

use super::design::SEEDS;
use super::measure::{Metric, MetricTable};
use super::results::{Costs, PointResult, Results, VariantResult};
use crate::metrics::StudentMean;

/// Columns of metrics side by side in a terminal.
const ABREAST: usize = 4;

/// Width of a variant's name in a terminal.
const NAME: usize = 16;

/// Width of a column of numbers in a terminal.
const COLUMN: usize = 16;

/// A number with the digits of its metric; a minus that is as wide as a plus.
fn number(metric: &Metric, value: f64, signed: bool) -> String {
    let (scale, digits) = if metric.percent { (100.0, 1) } else { (1.0, 4) };
    let text = format!("{:.digits$}", (scale * value).abs());
    let zero = text.bytes().all(|b| matches!(b, b'0' | b'.'));
    let sign = match (value < 0.0 && !zero, signed && !zero) {
        (true, _) => "−",
        (false, true) => "+",
        (false, false) => "",
    };
    format!("{sign}{text}")
}

/// `0.6905 ± 0.0012`; `–` where undefined.
fn cell(metric: &Metric, value: Option<&StudentMean>, signed: bool, between: &str) -> String {
    let Some(value) = value else { return "–".into() };
    let mean = number(metric, value.mean, signed);
    match value.margin {
        Some(margin) => format!("{mean}{between}{}", number(metric, margin, false)),
        None => mean,
    }
}

/// Name of the variant that is best by a metric on validation.
fn chosen<'a>(point: &'a PointResult, metric: &Metric) -> Option<&'a str> {
    let mean = |variant: &'a VariantResult| {
        let own = variant.valid.means.get(&metric.key)?;
        Some((if metric.higher_is_better { own.mean } else { -own.mean }, variant.name.as_str()))
    };
    let all = point.variants.iter().filter_map(mean);
    // Of equals the first.
    all.reduce(|best, other| if other.0 > best.0 { other } else { best }).map(|(_, name)| name)
}

fn arrow(metric: &Metric) -> String {
    format!("{} {}", metric.label, if metric.higher_is_better { "↑" } else { "↓" })
}

/// What the numbers are, in sentences.
fn facts(results: &Results) -> Vec<String> {
    let runs = results.points.iter().map(|p| p.variants.len() * results.seeds.len()).sum::<usize>();
    let n = results.seeds.len();
    let mut all = Vec::new();
    let seeds = results.seeds.iter().map(u64::to_string).collect::<Vec<_>>().join(", ");
    let part = match &results.points[..] {
        [only] if results.axis.is_none() && only.label != "all" => format!(", {}", only.label),
        _ => String::new(),
    };
    all.push(format!("On {}{part}; {runs} runs, seeds {seeds}.", results.log));
    all.push(if results.tested {
        "Early stopping chose by the validation split; the test split was measured once per run, when all runs were \
         trained. `*`: best of its column on validation."
            .into()
    } else {
        "Validation split, by which training also stops; the test split was left alone.".into()
    });
    if n == 1 {
        all.push("One seed: no intervals, and no difference can be told from luck.".into());
    } else {
        let luck = if results.world_per_seed {
            "each seed has a log of its own"
        } else {
            "of the training's luck on one log, not of the log's"
        };
        all.push(format!("±: half the 95 % interval by Student's t over {n} seeds, {luck}."));
    }
    if n > 1 && (n as u64) < SEEDS {
        all.push(format!("Only {n} seeds: intervals are wide, and differences hard to find."));
    }
    all
}

/// A page of Markdown.
pub fn markdown(results: &Results, costs: &Costs) -> String {
    let mut out = format!("# {}\n\n", results.title.trim());
    if !results.note.trim().is_empty() {
        let _ = writeln!(out, "{}\n", results.note.trim());
    }
    let _ = writeln!(out, "{}", facts(results).join(" "));
    for point in &results.points {
        if results.axis.is_some() {
            let _ = writeln!(out, "\n## {}", point.label);
        }
        let table = |out: &mut String, which: MetricTable| {
            let metrics: Vec<&Metric> =
                results.metrics.iter().filter(|metric| metric.table == which).collect();
            rows(out, &metrics, point, |variant, metric| {
                let star = results.tested && chosen(point, metric) == Some(&variant.name);
                let text = cell(metric, variant.shown().means.get(&metric.key), false, " ± ");
                if star { format!("{text} *") } else { text }
            });
        };
        let others = PointResult {
            variants: (point.variants.iter())
                .filter(|variant| variant.name != results.baseline)
                .cloned()
                .collect(),
            ..point.clone()
        };
        let differences = |out: &mut String, which: MetricTable| {
            if others.variants.is_empty() {
                return;
            }
            let metrics: Vec<&Metric> =
                results.metrics.iter().filter(|metric| metric.table == which).collect();
            let _ = writeln!(
                out,
                "\nDifferences to `{}` with the same seed; bold where the interval leaves out 0:",
                results.baseline
            );
            rows(out, &metrics, &others, |variant, metric| {
                let difference = variant.shown().differences.get(&metric.key);
                let text = cell(metric, difference, true, " ± ");
                let clear = difference.is_some_and(StudentMean::differs_from_zero);
                if clear { format!("**{text}**") } else { text }
            });
        };
        table(&mut out, MetricTable::Quality);
        differences(&mut out, MetricTable::Quality);
        let has = |which| results.metrics.iter().any(|metric| metric.table == which);
        if has(MetricTable::Truth) {
            out += "\nBeside the truth, over all labels that could have been drawn; *gap closed* is the share of the way from \
                    chance to the AUC of the true probabilities:\n";
            table(&mut out, MetricTable::Truth);
            differences(&mut out, MetricTable::Truth);
        }
        if has(MetricTable::Fit) {
            out += "\nHow well calibrated probabilities fit:\n";
            table(&mut out, MetricTable::Fit);
        }
    }
    out += "\n## Costs\n\n";
    let at = if results.axis.is_some() { " at |" } else { "" };
    let line = if results.axis.is_some() { " --- |" } else { "" };
    let _ = writeln!(
        out,
        "|{at} variant | training, s | epochs | memory, MB | parameters |\n|{line} --- | --- | --- | --- | --- |"
    );
    for (point, seconds) in results.points.iter().zip(&costs.seconds) {
        for variant in &point.variants {
            let at =
                if results.axis.is_some() { format!(" {} |", point.label) } else { String::new() };
            let _ = writeln!(
                out,
                "|{at} `{}` | {} | {:.1} | {:.1} | {} |",
                variant.name,
                time(seconds.get(&variant.name)),
                variant.epochs,
                variant.bytes / 1e6,
                variant.parameters
            );
        }
    }
    let _ = writeln!(out, "\n{}", cost_note(costs));
    out
}

fn time(seconds: Option<&StudentMean>) -> String {
    match seconds {
        None => "–".into(),
        Some(StudentMean { mean, margin: Some(margin), .. }) => format!("{mean:.1} ± {margin:.1}"),
        Some(own) => format!("{:.1}", own.mean),
    }
}

fn cost_note(costs: &Costs) -> String {
    let peak = costs.peak_bytes.map_or_else(String::new, |bytes| {
        format!("; the whole process had {:.0} MB at most", bytes as f64 / 1e6)
    });
    format!(
        "Each training had one thread, with up to {} side by side, which slows them; means over seeds. Memory is what a \
         training holds besides the log{peak}.",
        costs.side_by_side
    )
}

/// One table of Markdown.
fn rows(
    out: &mut String,
    metrics: &[&Metric],
    point: &PointResult,
    cell: impl Fn(&VariantResult, &Metric) -> String,
) {
    let head: Vec<String> = metrics.iter().map(|metric| arrow(metric)).collect();
    let _ = writeln!(out, "\n| variant | {} |", head.join(" | "));
    let _ = writeln!(out, "| --- |{}", " --- |".repeat(metrics.len()));
    for variant in &point.variants {
        let cells: Vec<String> = metrics.iter().map(|metric| cell(variant, metric)).collect();
        let _ = writeln!(out, "| `{}` | {} |", variant.name, cells.join(" | "));
    }
}

/// The metrics that compare networks, and the differences, for a terminal.
pub fn text(results: &Results, costs: &Costs) -> String {
    let mut out = format!("{}\n", results.title.trim());
    for fact in facts(results) {
        wrap(&mut out, &fact);
    }
    let metrics: Vec<&Metric> =
        results.metrics.iter().filter(|metric| metric.table != MetricTable::Fit).collect();
    for (index, point) in results.points.iter().enumerate() {
        if results.axis.is_some() {
            let _ = writeln!(out, "\n{}", point.label);
        }
        for group in metrics.chunks(ABREAST) {
            line(&mut out, "\n", "", group.iter().map(|metric| short(metric)));
            for variant in &point.variants {
                let means = &variant.shown().means;
                let cells = group.iter().map(|m| cell(m, means.get(&m.key), false, " ±"));
                line(&mut out, "", &variant.name, cells);
                if variant.name != results.baseline {
                    let differences = &variant.shown().differences;
                    let cells = group.iter().map(|m| cell(m, differences.get(&m.key), true, " ±"));
                    line(&mut out, "", "  · difference", cells);
                }
            }
        }
        let head = ["training, s", "epochs", "memory, MB", "parameters"].map(String::from);
        line(&mut out, "\n", "", head.into_iter());
        for variant in &point.variants {
            let cells = [
                time(costs.seconds[index].get(&variant.name)).replace(" ± ", " ±"),
                format!("{:.1}", variant.epochs),
                format!("{:.1}", variant.bytes / 1e6),
                variant.parameters.to_string(),
            ];
            line(&mut out, "", &variant.name, cells.into_iter());
        }
    }
    out.push('\n');
    wrap(&mut out, &cost_note(costs));
    out
}

/// Name of a metric that fits into a column.
fn short(metric: &Metric) -> String {
    let label = metric.label.replace(" gap closed %, all impressions", " gap % all");
    let label = label.replace(", all impressions", ", all").replace("gap closed", "gap");
    let arrow = if metric.higher_is_better { '↑' } else { '↓' };
    let name: String = label.chars().take(COLUMN - 3).collect();
    format!("{} {arrow}", name.trim_end())
}

fn line(out: &mut String, before: &str, name: &str, cells: impl Iterator<Item = String>) {
    let name: String = name.chars().take(NAME).collect();
    let mut row = format!("{before}{name:<NAME$}");
    for cell in cells {
        let _ = write!(row, "{cell:>COLUMN$}");
    }
    let _ = writeln!(out, "{}", row.trim_end_matches(' '));
}

/// A sentence within 80 columns.
fn wrap(out: &mut String, sentence: &str) {
    let mut used = 0;
    for word in sentence.split_whitespace() {
        let width = word.chars().count();
        if used > 0 && used + 1 + width > 80 {
            out.push('\n');
            used = 0;
        }
        if used > 0 {
            out.push(' ');
            used += 1;
        }
        out.push_str(word);
        used += width;
    }
    out.push('\n');
}

#[cfg(test)]
pub(super) mod tests {
    use std::collections::BTreeMap;

    use super::super::results::{RunResult, Summary};
    use super::*;

    fn metric(key: &str, label: &str, higher: bool, percent: bool, table: MetricTable) -> Metric {
        Metric { key: key.into(), label: label.into(), higher_is_better: higher, percent, table }
    }

    fn mean(mean: f64, margin: f64) -> StudentMean {
        StudentMean { mean, margin: Some(margin), n: 5 }
    }

    fn summary(means: &[(&str, f64)], differences: &[(&str, f64, f64)]) -> Summary {
        Summary {
            means: means.iter().map(|&(key, value)| (key.into(), mean(value, 0.0012))).collect(),
            differences: (differences.iter())
                .map(|&(key, value, margin)| (key.into(), mean(value, margin)))
                .collect(),
        }
    }

    /// Two variants at one point, or at several.
    pub(in super::super) fn made_up(points: usize) -> (Results, Costs) {
        let variant =
            |name: &str, auc: f64, valid: f64, differences: &[(&str, f64, f64)]| VariantResult {
                name: name.into(),
                set: vec![format!("model.kind=\"{name}\"")],
                parameters: 123_456,
                bytes: 7.25e6,
                epochs: 2.4,
                valid: summary(&[("click.auc", valid), ("mix.ce", 1.0)], &[]),
                test: Some(summary(
                    &[("click.auc", auc), ("mix.ce", 1.25), ("click.gap_closed", 0.911)],
                    differences,
                )),
                runs: vec![RunResult { seed: 1, valid: BTreeMap::new(), test: None }],
            };
        let point = |i: usize| PointResult {
            label: format!("relatedness {i}"),
            x: (points > 1).then_some(i as f64),
            train_impressions: 1000.0,
            variants: vec![
                variant("single_task", 0.7, 0.71, &[]),
                variant(
                    "mmoe",
                    0.705,
                    0.709,
                    &[("click.auc", 0.005, 0.001), ("mix.ce", -0.00001, 0.2)],
                ),
            ],
        };
        let results = Results {
            title: "Ways of sharing".into(),
            note: "A note.".into(),
            version: "0".into(),
            log: "a simulated shop".into(),
            seeds: vec![1, 2, 3],
            world_per_seed: false,
            baseline: "single_task".into(),
            tested: true,
            axis: (points > 1).then(|| "relatedness".into()),
            metrics: vec![
                metric("click.auc", "CTR AUC", true, false, MetricTable::Quality),
                metric("mix.ce", "mix CE", false, false, MetricTable::Quality),
                metric("novelty.mse", "novelty MSE", false, false, MetricTable::Quality),
                metric("click.gap_closed", "CTR gap closed %", true, true, MetricTable::Truth),
            ],
            points: (0..points).map(point).collect(),
        };
        let names = ["single_task", "mmoe"];
        let seconds = names.map(|name| (name.to_string(), mean(12.34, 0.5))).into();
        let costs = Costs {
            side_by_side: 2,
            peak_bytes: Some(512_000_000),
            seconds: vec![seconds; points],
        };
        (results, costs)
    }

    #[test]
    fn a_page_has_values_differences_marks_and_costs() {
        let (results, costs) = made_up(1);
        let page = markdown(&results, &costs);
        for line in [
            "# Ways of sharing",
            "| variant | CTR AUC ↑ | mix CE ↓ | novelty MSE ↓ |",
            // Best on validation, though not on the test split; of equals the first.
            "| `single_task` | 0.7000 ± 0.0012 * | 1.2500 ± 0.0012 * | – |",
            "| `mmoe` | 0.7050 ± 0.0012 | 1.2500 ± 0.0012 | – |",
            "| `mmoe` | **+0.0050 ± 0.0010** | 0.0000 ± 0.2000 | – |",
            "| `mmoe` | 91.1 ± 0.1 |",
            "| `mmoe` | 12.3 ± 0.5 | 2.4 | 7.2 | 123456 |",
        ] {
            assert!(page.lines().any(|own| own == line), "{line}\n{page}");
        }
        assert!(page.contains("Only 3 seeds") && page.contains("luck on one log"), "{page}");
        assert!(page.contains("up to 2 side by side") && page.contains("512 MB"), "{page}");
        assert!(!page.contains("How well"), "there is no metric of it");
    }

    #[test]
    fn what_was_not_tested_says_so_and_marks_nothing() {
        let (mut results, costs) = made_up(2);
        results.tested = false;
        for point in &mut results.points {
            point.variants.iter_mut().for_each(|variant| variant.test = None);
        }
        let page = markdown(&results, &costs);
        assert!(page.contains("the test split was left alone") && !page.contains(" * |"), "{page}");
        assert!(page.contains("## relatedness 1") && page.contains("| at | variant |"), "{page}");
    }

    #[test]
    fn a_terminal_has_80_columns() {
        let (mut results, costs) = made_up(2);
        results.points[0].variants[0].name = "a_name_that_is_much_too_long_for_a_column".into();
        results.points[1].variants[1]
            .test
            .as_mut()
            .unwrap()
            .means
            .insert("mix.ce".into(), mean(-9.5, 9.5));
        let text = text(&results, &costs);
        assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
        assert!(text.contains("+0.0050 ±0.0010") && text.contains("CTR AUC ↑"), "{text}");
    }

    #[test]
    fn one_seed_has_no_intervals() {
        let (mut results, costs) = made_up(1);
        results.seeds = vec![1];
        assert!(markdown(&results, &costs).contains("One seed: no intervals"));
        let metric = &results.metrics[0];
        let alone = StudentMean { mean: 0.5, margin: None, n: 1 };
        assert_eq!(cell(metric, Some(&alone), false, " ± "), "0.5000");
    }
}
