//! How training went, task by task.

use maud::html;

use super::Section;
use super::chart::{Chart, Ink, Key, Line, Table, figures};
use super::numbers::{count, fixed};
use super::plot::{Axis, Curve, Plot};
use crate::Result;
use crate::schema::Config;
use crate::train::Round;

/// Losses of every task over impressions trained on; `None` without rounds.
pub(super) fn section(config: &Config, history: &[Round]) -> Result<Option<Section>> {
    if history.is_empty() {
        return Ok(None);
    }
    let mut trained = 0;
    let at: Vec<f64> = history
        .iter()
        .map(|round| {
            trained += round.impressions;
            trained as f64
        })
        .collect();
    let mut charts = Vec::new();
    for (index, task) in config.tasks.iter().enumerate() {
        charts.extend(task_chart((index, &task.name), history, &at)?);
    }
    if charts.is_empty() {
        return Ok(None);
    }
    let best = history.iter().rev().find(|round| round.best);
    let body = html! {
        p {
            "Losses are over that of the best constant answer: at 1 a task has learned nothing, "
            "lower is better. Training losses are means over the epoch that came before a point, "
            "so they trail behind. "
            @if let Some(best) = best {
                "The run holds the weights of epoch " (best.epoch) " (step " (count(best.step))
                "), the best of "
                (history.len()) " rounds on the validation split by the weighted sum of losses"
                @if let Some(loss) = best.valid_loss { ", " (fixed(Some(loss), 4)) }
                "."
            } @else {
                "The run holds the weights of the last round."
            }
        }
        @if let Some(said) = balanced(config, history) { p { (said) } }
        (figures(&charts))
    };
    Ok(Some(Section { id: "learning", title: "Learning curves", body, charts }))
}

/// How tasks were balanced in the round that was kept; `None` with fixed weights.
fn balanced(config: &Config, history: &[Round]) -> Option<String> {
    let balance = Round::kept(history)?.balance.as_ref()?;
    let name = |task: usize| config.tasks[task].name.as_str();
    let factors: Vec<String> = balance
        .factors
        .iter()
        .enumerate()
        .map(|(task, factor)| format!("{} {}", name(task), fixed(Some(*factor), 3)))
        .collect();
    let mut said = format!(
        "Tasks were balanced by {}. Mean factors of their losses in that round: {}.",
        config.loss_weighting.method.name(),
        factors.join(", ")
    );
    if let Some((a, b, cosine)) = balance.sharpest_conflict() {
        let conflict = if cosine < 0.0 { "pull apart most" } else { "agree least" };
        said += &format!(
            " On what tasks share, the gradients of {} and {} {conflict}: their mean cosine is {}.",
            name(a),
            name(b),
            fixed(Some(cosine), 3)
        );
    }
    Some(said)
}

/// What is to be seen: where validation was lowest, and what training did after.
fn note(
    history: &[Round],
    valid: impl Fn(&Round) -> Option<f64>,
    train: impl Fn(&Round) -> Option<f64>,
) -> String {
    let last = &history[history.len() - 1];
    let Some((best, loss)) = history
        .iter()
        .filter_map(|round| Some((round, valid(round)?)))
        .min_by(|a, b| a.1.total_cmp(&b.1))
    else {
        return format!("Training ends at {}; nothing was validated.", fixed(train(last), 3));
    };
    let mut said =
        format!("Validation is lowest after epoch {}, at {}", best.epoch, fixed(Some(loss), 3));
    if loss >= 1.0 {
        said += ", which is no better than a constant";
    }
    said += if best.step == last.step {
        ": more training may help."
    } else {
        "; from there on the model learns its training rows by heart."
    };
    said
}

fn task_chart(
    (index, name): (usize, &str),
    history: &[Round],
    at: &[f64],
) -> Result<Option<Chart>> {
    let train = |round: &Round| round.train_loss.get(index).copied();
    let valid = |round: &Round| round.valid.get(index).and_then(|score| score.loss);
    let points = |loss: &dyn Fn(&Round) -> Option<f64>| -> Vec<(f64, f64)> {
        history.iter().zip(at).filter_map(|(round, &at)| Some((at, loss(round)?))).collect()
    };
    let auc = |round: &Round| round.valid.get(index).and_then(|score| score.auc);
    let ranked = history.iter().any(|round| auc(round).is_some());
    let mut table = Table::new(&["epoch", "impressions", "training", "validation"]);
    if ranked {
        table.head.push("validation AUC".into());
    }
    for (round, &at) in history.iter().zip(at) {
        let star = if round.best { " (best)" } else { "" };
        let mut row = vec![
            format!("{}{star}", round.epoch),
            count(at as u64),
            fixed(train(round), 4),
            fixed(valid(round), 4),
        ];
        if ranked {
            row.push(fixed(auc(round), 4));
        }
        table.rows.push(row);
    }
    let key = |series, line| Key { ink: Ink::Series(series), line, mark: true };
    let curves = [
        Curve::new("validation", points(&valid), key(0, Line::Solid)),
        Curve::new("training", points(&train), key(1, Line::Dashed)),
    ];
    let plot = Plot {
        name: format!("learning-{}", index + 1),
        title: format!("Loss of {name}"),
        note: note(history, valid, train),
        x: Axis::new("impressions trained on, millions").range(0.0, 1.05 * at[at.len() - 1] / 1e6),
        y: Axis::new("loss over that of a constant"),
        curves: curves
            .into_iter()
            .filter(|curve| !curve.points.is_empty())
            .map(|mut curve| {
                curve.points.iter_mut().for_each(|point| point.0 /= 1e6);
                curve
            })
            .collect(),
    };
    plot.draw(table)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::{Balancing, Task, TaskKind};
    use crate::train::{Balance, TaskScore};

    #[test]
    fn a_note_says_where_to_stop() {
        let round = |epoch: usize, valid: Option<f64>| Round {
            epoch,
            step: epoch as u64,
            impressions: 10,
            train_loss: vec![0.5],
            valid: vec![TaskScore { loss: valid, auc: None }],
            valid_loss: valid,
            best: epoch == 1,
            experts: None,
            balance: None,
        };
        let said = |losses: &[Option<f64>]| {
            let history: Vec<Round> = (1..).zip(losses).map(|(e, &loss)| round(e, loss)).collect();
            note(&history, |round| round.valid[0].loss, |round| Some(round.train_loss[0]))
        };
        assert!(
            said(&[Some(0.9), Some(0.95)])
                .starts_with("Validation is lowest after epoch 1, at 0.900; ")
        );
        assert!(said(&[Some(0.9), Some(0.8)]).ends_with("at 0.800: more training may help."));
        assert!(said(&[Some(1.1)]).contains("no better than a constant"));
        assert!(said(&[None]).contains("nothing was validated"));
    }

    #[test]
    fn balanced_tasks_are_told() {
        let tasks = ["click", "novelty"].map(|name| Task::new(name, TaskKind::Binary)).into();
        let mut config = Config { tasks, ..Config::default() };
        config.loss_weighting.method = Balancing::PcGrad;
        let mut round = Round {
            epoch: 1,
            step: 1,
            impressions: 10,
            train_loss: vec![0.5; 2],
            valid: Vec::new(),
            valid_loss: None,
            best: false,
            experts: None,
            balance: None,
        };
        assert_eq!(balanced(&config, &[round.clone()]), None);
        round.balance = Some(Balance {
            factors: vec![1.0, 1.25],
            cosines: vec![vec![Some(1.0), Some(-0.5)], vec![Some(-0.5), Some(1.0)]],
        });
        let said = balanced(&config, &[round]).unwrap();
        assert!(said.contains("PCGrad") && said.contains("novelty 1.250"), "{said}");
        assert!(said.ends_with("click and novelty pull apart most: their mean cosine is −0.500."));
    }
}
