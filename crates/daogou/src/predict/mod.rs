//! Adding a column per head to the rows of a file of any size.

mod output;

use std::path::Path;

use daogou_nn::Team;

use self::output::{Format, Output, Part};
use crate::artifact::NewFile;
use crate::data::{LabelEncoding, Stream};
use crate::models::{Level, Link, Mode};
use crate::rows::{self, Layout, Rows};
use crate::run::TrainedRun;
use crate::schema::{Task, TaskKind};
use crate::{Error, Result};

/// How a file is predicted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PredictOptions {
    /// Logits instead of probabilities, and what a regression's answer is made of instead of that.
    pub logits: bool,
    /// Rows in memory at a time. The answers do not depend on it.
    pub part_rows: usize,
}

impl Default for PredictOptions {
    fn default() -> Self {
        Self { logits: false, part_rows: 1 << 16 }
    }
}

/// What a prediction of a file went through.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PredictSummary {
    /// Rows written.
    pub rows: usize,
    /// Rows whose user the run does not know.
    pub unknown_users: usize,
    /// Rows whose item the run does not know.
    pub unknown_items: usize,
}

impl TrainedRun {
    /// Reads `input`, adds a column per head and writes `output`, whole or not at all. Rows keep their order and their
    /// columns. Formats are told by name: `.csv`, `.tsv`, `.jsonl`, `.ndjson` (also `.gz`) and `.parquet`.
    ///
    /// New columns: `p_{task}` for binary and share tasks; the same for regressions, in the units of the label;
    /// `p_{task}_{category}` for distributions and `p_{task}_{class}` for multi-class tasks. Labels are not needed and not
    /// read. Each row is answered by itself: the person's past is what the run knows to be strictly
    /// earlier, so the answers do not depend on which other rows stand in the file.
    ///
    /// Memory beside the run: its tables of users and items once more and `part_rows` rows with their text, whatever the
    /// size of the file.
    ///
    /// # Errors
    ///
    /// A bad cell, by file, line and column; a missing column or one named like a new one; where `output` cannot be
    /// written.
    pub fn predict_file(
        &self,
        input: &Path,
        output: &Path,
        options: &PredictOptions,
    ) -> Result<PredictSummary> {
        let format = Format::of(output)?;
        let names = rows::header(input, self.layout_of(input))?;
        let mut reader = Rows::open(input, self.layout_of(input), &names)?;
        let added = self.answer_names()?;
        if let Some(name) = added.iter().find(|name| names.contains(name)) {
            return Err(Error::file(
                input,
                format!("expected no column `{name}`, which the predictions are to be named"),
            )
            .with_hint("rename it, or predict the file as it was before"));
        }
        let mut stream = Stream::new(&self.config, &self.stored, &reader)?;
        let mut team = Team::new(crate::train::threads(self.config.train.threads));
        let mut forward = self.forward(team.size());
        if options.logits {
            forward = forward.uncalibrated();
        }
        let file = NewFile::create(output)?;
        let mut out = Output::new(&file, format, (&names, reader.types()), &added)?;
        let mut part = Part::new(reader.has_objects() && format.keeps_objects());
        let mut answers = vec![Vec::new(); added.len()];
        let mut order: Vec<u32> = Vec::new();
        let mut summary = PredictSummary::default();
        loop {
            part.clear();
            let n = stream.read(&mut reader, options.part_rows.max(1), |rows| part.push(rows))?;
            if n == 0 {
                break;
            }
            let source = stream.source();
            order.clear();
            order.extend(0..source.requests.len() as u32);
            let logits = forward.run(&source, &order, Mode::Serve, &mut team);
            answers.iter_mut().for_each(Vec::clear);
            let mut column = 0;
            for (head, task) in logits.iter().zip(&self.config.tasks) {
                let answered;
                let values = if options.logits {
                    &head.values
                } else {
                    answered = Link::of(task, &self.stored.space).answers(head);
                    &answered
                };
                for r in 0..source.requests.len() {
                    for i in source.requests.impressions(&(r..r + 1)) {
                        let row = if head.level == Level::Request { r } else { i };
                        let own = &values[row * head.cols..(row + 1) * head.cols];
                        for (answer, &value) in answers[column..].iter_mut().zip(own) {
                            answer.push(value);
                        }
                    }
                }
                column += head.cols;
            }
            out.write(&part, &answers)?;
            let (users, items) = stream.unknown();
            summary.rows += n;
            summary.unknown_users += users;
            summary.unknown_items += items;
        }
        if summary.rows == 0 {
            return Err(Error::file(input, "has no rows: expected at least one below the header"));
        }
        out.finish()?;
        file.finish()?;
        Ok(summary)
    }

    /// How the cells of an input are told apart: a `.tsv` by tabs, others as configured.
    fn layout_of(&self, input: &Path) -> Layout {
        let configured = self.config.data.delimiter as u8;
        let delimiter = if output::extension(input) == "tsv" { b'\t' } else { configured };
        Layout { delimiter, quoting: true }
    }

    /// Names of the new columns.
    fn answer_names(&self) -> Result<Vec<String>> {
        let mut names: Vec<String> = Vec::new();
        for task in &self.config.tasks {
            let start = format!("p_{}", task.name);
            let own: Vec<String> = match self.parts(task) {
                Some(parts) => parts.iter().map(|part| format!("{start}_{part}")).collect(),
                None => vec![start],
            };
            if let Some(name) = own.iter().find(|name| names.contains(name)) {
                let problem = format!("its column `{name}` would have the name of another task's");
                return Err(Error::config(format!("task.{}.name", task.name), problem)
                    .with_hint("give one of the tasks another name, and train again"));
            }
            names.extend(own);
        }
        Ok(names)
    }

    /// What each number of an answer is about: categories or classes; `None` where it is one number.
    fn parts(&self, task: &Task) -> Option<&[String]> {
        match (task.kind, self.stored.space.labels.get(&task.name)) {
            (TaskKind::Distribution, _) => Some(&self.stored.catalogue.categories),
            (_, Some(LabelEncoding::Classes(classes))) => Some(classes),
            _ => None,
        }
    }
}
