//! Which impressions a task is asked about.

use super::config::{Config, PurchaseObjective, Role, Task, TaskKind};
use crate::{Error, Result};

/// All impressions.
const ALL: &str = "all";

/// Those that were clicked.
const CLICKED: &str = "clicked";

impl Config {
    /// Columns of 0 and 1 that a log is read for: the labels of yes-or-no tasks in their order, then the sample spaces that
    /// are no task's label. [`Impressions::labels`](crate::data::Impressions::labels) has one vector per column.
    pub fn label_columns(&self) -> Vec<&str> {
        let mut columns: Vec<&str> = self.binary_labels().collect();
        for space in self.tasks.iter().filter_map(|task| task.sample_space.as_deref()) {
            if ![ALL, CLICKED].contains(&space) && !columns.contains(&space) {
                columns.push(space);
            }
        }
        columns
    }

    /// Label columns of the yes-or-no tasks, in their order.
    fn binary_labels(&self) -> impl Iterator<Item = &str> {
        self.tasks.iter().filter(|task| task.kind == TaskKind::Binary).map(Task::label)
    }

    /// Number among [`Config::label_columns`] of the label that marks what people engage with: the click's, else the first;
    /// `None` without a yes-or-no task.
    pub fn engagement(&self) -> Option<usize> {
        let click = self.task_of(Role::Click).map(|click| self.tasks[click].label());
        self.binary_labels().position(|label| click.is_none_or(|click| label == click))
    }

    /// Number among [`Config::label_columns`] of the column that is 1 where task `index` is asked; `None`: everywhere. A
    /// purchase after a click is asked about clicked impressions.
    pub fn sample_space(&self, index: usize) -> Option<usize> {
        let task = &self.tasks[index];
        let column = |name: &str| self.label_columns().iter().position(|column| *column == name);
        let clicked = || column(self.tasks[self.task_of(Role::Click)?].label());
        match task.sample_space.as_deref() {
            _ if task.role() == Some(Role::Purchase) => clicked(),
            None | Some(ALL) => None,
            Some(CLICKED) => clicked(),
            Some(name) => column(name),
        }
    }

    /// The same for the task's loss: a purchase may be learned from all impressions.
    pub fn loss_space(&self, index: usize) -> Option<usize> {
        let task = &self.tasks[index];
        let all = task.role() == Some(Role::Purchase)
            && task.objective() != PurchaseObjective::ClickSpace;
        self.sample_space(index).filter(|_| !all)
    }

    /// Checks the sample space of a task.
    pub(super) fn check_sample_space(&self, task: &Task) -> Result<()> {
        let Some(space) = &task.sample_space else { return Ok(()) };
        let key = format!("task.{}.sample_space", task.name);
        if !task.kind.is_per_impression() {
            return Err(Error::config(
                key,
                "applies to tasks of impressions: `binary`, `regression`, `multi_class`",
            ));
        }
        if task.role() == Some(Role::Purchase) {
            return Err(Error::config(key, "a purchase is asked about clicked impressions")
                .with_hint("`objective` says what it is learned from"));
        }
        if space == task.label() {
            return Err(Error::config(
                key,
                "a task asked only where its own label is 1 knows the answer",
            ));
        }
        if space == CLICKED
            && (self.task_of(Role::Click).is_none() || task.role() == Some(Role::Click))
        {
            return Err(Error::config(key, "`clicked` needs another task, of role `click`"));
        }
        let known = self.binary_labels().any(|label| label == space);
        if !self.data.events.is_empty() && ![ALL, CLICKED].contains(&space.as_str()) && !known {
            return Err(Error::config(
                key,
                format!("expected `all` or `clicked` for an event log, got `{space}`"),
            ));
        }
        Ok(())
    }
}
