//! What a search found, as text for a terminal of 80 columns.

use std::fmt::Write as _;

use super::Tuned;

/// The rungs, the chosen values as flags, and how much of the score is luck.
pub fn text(tuned: &Tuned) -> String {
    let better = if tuned.higher_is_better { "higher is better" } else { "lower is better" };
    let mut out = format!("search by {} on validation ({better})\n\n", tuned.metric);
    let _ = writeln!(
        out,
        "{:<6}{:>20}{:>9}{:>12}{:>12}{:>12}",
        "rung", "training requests", "trials", "best", "median", "as it was"
    );
    for (index, rung) in tuned.rungs.iter().enumerate() {
        let mut scores: Vec<f64> = rung.trials.iter().filter_map(|own| own.1).collect();
        scores.sort_by(f64::total_cmp);
        if tuned.higher_is_better {
            scores.reverse();
        }
        let own = rung.trials.iter().find(|own| own.0 == 0).and_then(|own| own.1);
        let show = |score: Option<f64>| score.map_or_else(|| "–".into(), |s| format!("{s:.4}"));
        let _ = writeln!(
            out,
            "{:<6}{:>18.1} %{:>9}{:>12}{:>12}{:>12}",
            index + 1,
            100.0 * rung.fraction,
            rung.trials.len(),
            show(scores.first().copied()),
            show(scores.get(scores.len() / 2).copied()),
            show(own)
        );
    }
    let trials = tuned.rungs.first().map_or(0, |rung| rung.trials.len());
    let last = tuned.rungs.last().map_or(0, |rung| rung.trials.len());
    if tuned.chosen == 0 {
        let _ = writeln!(
            out,
            "\nNone of {} others was better than the configuration as it is.",
            trials - 1
        );
        return out;
    }
    let _ = writeln!(out, "\nchosen: trial {} of {trials}", tuned.chosen);
    for assignment in &tuned.set {
        let _ = writeln!(out, "  --set '{assignment}'");
    }
    let _ = writeln!(
        out,
        "\nIts score when chosen: {:.4}, best of {last} trained on everything,",
        tuned.score
    );
    let _ = writeln!(
        out,
        "which were the best of {trials}. As it was, same seed: {:.4}.",
        tuned.before
    );
    let margin = |m: Option<f64>| m.map_or_else(String::new, |m| format!(" ± {m:.4}"));
    if let (Some(fresh), Some(gain)) = (&tuned.fresh, &tuned.gain) {
        let sign = if tuned.higher_is_better { 1.0 } else { -1.0 };
        let _ = writeln!(
            out,
            "Under {} fresh seeds: {:.4}{}.\nChoosing by a lucky seed was worth {:+.4}.",
            fresh.n,
            fresh.mean,
            margin(fresh.margin),
            sign * (tuned.score - fresh.mean)
        );
        let _ = writeln!(
            out,
            "Gain over the configuration as it was, same seeds: {:+.4}{}.",
            gain.mean,
            margin(gain.margin)
        );
    }
    let _ = writeln!(
        out,
        "All {trials} trials were scored on the same validation requests, so even that is\n\
         too good by an unknown part, which grows with their number: measure the test\n\
         split once, when nothing is left to choose."
    );
    out
}

#[cfg(test)]
mod tests {
    use super::super::RungResult;
    use super::*;
    use crate::metrics::StudentMean;

    fn tuned(chosen: usize) -> Tuned {
        let mean = |mean| Some(StudentMean { mean, margin: Some(0.001), n: 3 });
        Tuned {
            metric: "click.auc".into(),
            higher_is_better: true,
            rungs: vec![
                RungResult {
                    fraction: 1.0 / 3.0,
                    trials: vec![(0, Some(0.6)), (1, None), (2, Some(0.65))],
                },
                RungResult { fraction: 1.0, trials: vec![(0, Some(0.7)), (2, Some(0.71))] },
            ],
            chosen,
            set: vec!["train.learning_rate=1.234e-3".into()],
            score: 0.71,
            before: 0.7,
            fresh: mean(0.708),
            gain: mean(0.006),
        }
    }

    #[test]
    fn it_says_what_was_chosen_and_how_lucky_that_was() {
        let text = text(&tuned(2));
        assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
        for part in [
            "--set 'train.learning_rate=1.234e-3'",
            "trial 2 of 3",
            "Under 3 fresh seeds: 0.7080 ± 0.0010.",
            "Choosing by a lucky seed was worth +0.0020.",
            "same seeds: +0.0060 ± 0.0010",
            "best of 2 trained on everything",
        ] {
            assert!(text.contains(part), "{part}\n{text}");
        }
        assert!(super::text(&tuned(0)).contains("None of 2 others was better"));
    }
}
