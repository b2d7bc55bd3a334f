//! Which purchases count, and which labels may still change: purchases come days after the click.
//!
//! With an attribution window of `w` days a purchase counts if it came at most `w` days after its impression. When the
//! training split ends, the window of an impression later than `end − w` is still open: nobody could have known its label
//! then, so it is *unsettled*, and left out of the purchase loss. Where training is to learn from what had been seen by then
//! (`delayed_feedback = "fnw"`), a training purchase counts only if it came before the end. Validation and test have the
//! final labels.

use super::dataset::{Impressions, Requests, Split};
use super::split::label_ends;
use crate::schema::{DelayedFeedback, Task};
use crate::{Error, Result};

/// Time of a purchase that never was.
pub(super) const NEVER: i64 = i64::MIN;

const DAY: f64 = 86_400.0;

/// Makes the purchase labels what the task says they are, and marks unsettled impressions. `bought` is the time of each
/// impression's purchase, [`NEVER`] without one; `label` the number of the purchase among the binary tasks.
///
/// # Errors
///
/// Where a purchase has no time, or came before its impression.
pub(super) fn attribute(
    task: &Task,
    (requests, split): (&Requests, &Split),
    impressions: &mut Impressions,
    (label, bought): (usize, &[i64]),
) -> Result<()> {
    let window = task.attribution_days.map(|days| (days * DAY).round() as i64);
    let end = training_end(requests, split);
    let visible = task.delayed_feedback() == DelayedFeedback::Fnw;
    if task.excludes_unsettled() {
        impressions.unsettled = vec![false; impressions.item.len()];
    }
    for r in 0..requests.len() {
        let time = requests.time[r];
        let training = split.train.contains(&r);
        let closes = window.map(|window| time.saturating_add(window));
        for i in requests.impressions(&(r..r + 1)) {
            if let (true, Some(unsettled)) = (training, impressions.unsettled.get_mut(i)) {
                *unsettled = closes.is_some_and(|closes| closes >= end);
            }
            let own = &mut impressions.labels[label][i];
            if *own == 0 {
                continue;
            }
            if bought[i] == NEVER || bought[i] < time {
                let problem = if bought[i] == NEVER { "no time" } else { "a time before it" };
                return Err(Error::data(format!(
                    "task `{}`: an impression with a purchase has {problem} in `columns.purchase_time`",
                    task.name
                ))
                .with_hint("a purchase needs the time at which it was made"));
            }
            let late = closes.is_some_and(|closes| bought[i] > closes);
            let unseen = visible && training && bought[i] >= end;
            *own = u8::from(!late && !unseen);
        }
    }
    Ok(())
}

/// The first time that training knows nothing of.
fn training_end(requests: &Requests, split: &Split) -> i64 {
    let [end, ..] = label_ends(split, &requests.time);
    let last = requests.time[split.train.clone()].iter().max();
    // Without a later split training ends with its last request.
    if end == i64::MAX { last.map_or(end, |last| last + 1) } else { end }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::{Role, TaskKind};

    const DAYS: i64 = 86_400;

    /// Requests of one impression each, a day apart, six of them in training; all clicked. Bought after so many days.
    fn log(after: &[Option<i64>; 8]) -> (Requests, Split, Impressions, Vec<i64>) {
        let time: Vec<i64> = (0..8).map(|day| day * DAYS).collect();
        let bought = time.iter().zip(after).map(|(t, a)| a.map_or(NEVER, |a| t + a * DAYS));
        let bought = bought.collect();
        let requests =
            Requests { user: vec![1; 8], time, offsets: (0..=8).collect(), ..Requests::default() };
        let split = Split { train: 0..6, valid: 6..7, test: 7..8 };
        let labels = vec![after.iter().map(|a| u8::from(a.is_some())).collect()];
        let impressions = Impressions { item: vec![1; 8], labels, ..Impressions::default() };
        (requests, split, impressions, bought)
    }

    fn task(days: Option<f64>, feedback: Option<DelayedFeedback>) -> Task {
        let role = Some(Role::Purchase);
        let task = Task::new("purchase", TaskKind::Binary);
        Task { role, attribution_days: days, delayed_feedback: feedback, ..task }
    }

    const AFTER: [Option<i64>; 8] =
        [Some(3), Some(2), None, Some(0), Some(1), Some(2), Some(5), Some(1)];

    #[test]
    fn a_window_counts_what_came_in_time_and_leaves_out_what_is_open() {
        let (requests, split, mut impressions, bought) = log(&AFTER);
        let task = task(Some(2.0), None);
        attribute(&task, (&requests, &split), &mut impressions, (0, &bought)).unwrap();
        assert_eq!(impressions.labels[0], [0, 1, 0, 1, 1, 1, 0, 1]);
        // Training ends with day 6: the windows of days 4 and 5 close no earlier.
        let unsettled = [false, false, false, false, true, true, false, false];
        assert_eq!(impressions.unsettled, unsettled);
    }

    #[test]
    fn fake_negatives_see_what_had_been_bought_when_training_ended() {
        let (requests, split, mut impressions, bought) = log(&AFTER);
        let task = task(None, Some(DelayedFeedback::Fnw));
        attribute(&task, (&requests, &split), &mut impressions, (0, &bought)).unwrap();
        assert_eq!(impressions.labels[0], [1, 1, 0, 1, 1, 0, 1, 1], "day 5 was bought on day 7");
        assert!(impressions.unsettled.is_empty());
    }

    #[test]
    fn a_purchase_without_a_time_is_refused() {
        for wrong in [NEVER, -1] {
            let (requests, split, mut impressions, mut bought) = log(&AFTER);
            bought[3] = wrong;
            let error = attribute(
                &task(Some(2.0), None),
                (&requests, &split),
                &mut impressions,
                (0, &bought),
            );
            let error = error.unwrap_err().to_string();
            assert!(error.contains("columns.purchase_time"), "{error}");
        }
    }
}
