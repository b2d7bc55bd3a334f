//! Labels that are numbers or classes: whether there is something to learn from them.

use rustc_hash::FxHashSet;

use crate::data::MOST_CLASSES;
use crate::schema::{Config, Task, TaskKind};

/// What the rows that a task is asked about have in its label column.
#[derive(Default)]
pub(super) struct Labels {
    /// Rows that it is asked about, and those of them that have a label.
    asked: u64,
    labelled: u64,
    /// Different labels by digest, until there are too many to be classes.
    different: FxHashSet<u64>,
}

impl Labels {
    /// Adds a row that the task is asked about; `digest`: of its label, where it has one.
    pub(super) fn add(&mut self, digest: Option<u64>) {
        self.asked += 1;
        if let Some(digest) = digest {
            self.labelled += 1;
            if self.different.len() <= MOST_CLASSES {
                self.different.insert(digest);
            }
        }
    }

    /// What forbids training, as a sentence.
    pub(super) fn problem(&self, config: &Config, index: usize) -> Option<String> {
        let task: &Task = &config.tasks[index];
        let (name, label) = (&task.name, task.label());
        let space = config.sample_space(index).map(|place| config.label_columns()[place]);
        let space = space.map_or_else(String::new, |space| format!(" with `{space}` = 1"));
        let (labelled, different) = (self.labelled, self.different.len());
        let advice = "check the column or remove the task";
        if self.asked == 0 {
            return Some(format!("task `{name}`: there is no row{space}; {advice}"));
        }
        if labelled == 0 {
            return Some(format!(
                "task `{name}`: column `{label}` is empty in all {} rows{space}: there is nothing to learn; {advice}",
                self.asked
            ));
        }
        if different == 1 {
            return Some(format!(
                "task `{name}`: column `{label}` is the same in all {labelled} rows{space} that have one: there is \
                 nothing to learn; {advice}"
            ));
        }
        (task.kind == TaskKind::MultiClass && different > MOST_CLASSES && task.min_count() == 1)
            .then(|| {
                format!(
                    "task `{name}`: column `{label}` has more than {MOST_CLASSES} classes: so many are ids; name a \
                     column of few values, or raise `min_count`"
                )
            })
    }
}
