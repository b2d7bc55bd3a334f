//! What people look at: a run as one page of HTML, which needs no network and no script.
//!
//! One file per section. A section that has nothing to say (no such task, no lists, no time) is left out. The page is a
//! function of the run and its log: no clock, no path, no order of a hash map, so the same run gives the same bytes.

mod chart;
pub(crate) mod comparison;
mod experts;
mod exposure;
mod facts;
mod learning;
mod lists;
mod loss_weights;
mod mix;
mod numbers;
mod page;
mod phone;
mod plot;
mod reliability;
mod rows;
mod scores;
mod segments;
mod trade_offs;

pub use chart::{Series, TradeOff};
pub use loss_weights::loss_weight_sweep;
pub use trade_offs::trade_offs;

use std::path::Path;

use chart::Chart;
use maud::Markup;

use crate::artifact::{CHARTS, Manifest, write_atomic};
use crate::data::Dataset;
use crate::evaluate::{EvaluateOptions, Evaluation};
use crate::run::TrainedRun;
use crate::schema::{Config, Role, TaskKind};
use crate::train::Round;
use crate::{Error, Result};

/// What a report is made from.
#[derive(Clone, Copy)]
pub struct Material<'a> {
    /// The run.
    pub run: &'a TrainedRun,
    /// What it says about itself.
    pub manifest: &'a Manifest,
    /// How its training went: [`TrainedRun::history`].
    pub history: &'a [Round],
    /// The log it was trained on; its test split is measured.
    pub data: &'a Dataset,
    /// What objectives cost in terms of each other; without any there is no such section.
    pub trade_offs: &'a [TradeOff],
}

/// A page and its charts as files.
pub struct Report {
    html: String,
    charts: Vec<(String, String)>,
    evaluation: Evaluation,
}

/// A part of the page.
struct Section {
    /// Anchor.
    id: &'static str,
    title: &'static str,
    body: Markup,
    charts: Vec<Chart>,
}

impl Report {
    /// Measures a run on the test split of its log and writes the page.
    ///
    /// Costs an evaluation, bootstrap intervals of every segment included.
    ///
    /// # Errors
    ///
    /// Where the log has no labels, or lists cannot be built.
    pub fn new(material: &Material<'_>, options: &EvaluateOptions) -> Result<Self> {
        let Material { run, manifest, history, data, trade_offs } = *material;
        let test = data.split.test.clone();
        let examined = run.examine(data, &test, options)?;
        let (evaluation, built) = (&examined.evaluation, &examined.built);
        let sections: Vec<Section> = [
            Some(facts::section(material)),
            learning::section(&run.config, history)?,
            experts::section(&run.config, history),
            scores::section(&run.config, evaluation),
            reliability::section(&run.config, evaluation)?,
            trade_offs::section(trade_offs)?,
            lists::section(evaluation),
            mix::section(run, built)?,
            exposure::section(run, evaluation, built)?,
            segments::section(material, &examined.predictions, options)?,
            phone::section(material, built),
        ]
        .into_iter()
        .flatten()
        .collect();
        let mut verdicts = scores::verdicts(&run.config, evaluation);
        verdicts.extend(lists::verdict(evaluation));
        let html = page::page(manifest, &verdicts, &sections);
        let charts = sections
            .iter()
            .flat_map(|section| &section.charts)
            .map(|chart| (chart.name.clone(), chart.file()))
            .collect();
        Ok(Self { html, charts, evaluation: examined.evaluation })
    }

    /// What was measured for it.
    pub fn evaluation(&self) -> &Evaluation {
        &self.evaluation
    }

    /// The page.
    pub fn html(&self) -> &str {
        &self.html
    }

    /// Charts as SVG documents, by name.
    pub fn charts(&self) -> impl Iterator<Item = (&str, &str)> {
        self.charts.iter().map(|(name, svg)| (name.as_str(), svg.as_str()))
    }

    /// Whether a page may be written there: asked before measuring.
    ///
    /// # Errors
    ///
    /// Where it is a directory, or lies in none.
    pub fn check_target(page: &Path) -> Result<()> {
        if page.is_dir() {
            return Err(Error::file(page, "expected a file to write, got a directory")
                .with_hint("name the page, for example `report.html`"));
        }
        if !folder_of(page).is_dir() {
            return Err(Error::file(folder_of(page), "there is no such directory")
                .with_hint("make it, or choose another place for the page"));
        }
        Ok(())
    }

    /// Writes the page, and its charts to a folder `charts` beside it; earlier files of these names are replaced.
    ///
    /// # Errors
    ///
    /// Where a file cannot be written. The page comes last and whole: without it there is no report.
    pub fn write(&self, page: &Path) -> Result<()> {
        Self::check_target(page)?;
        let folder = folder_of(page).join(CHARTS);
        if !self.charts.is_empty() && !folder.is_dir() {
            fs_err::create_dir(&folder)?;
        }
        for (name, svg) in self.charts() {
            write_atomic(&folder.join(format!("{name}.svg")), svg.as_bytes())?;
        }
        write_atomic(page, self.html.as_bytes())
    }
}

/// The folder that a file is in.
fn folder_of(file: &Path) -> &Path {
    file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Who made lists: how a reader meets the names of [`crate::evaluate::Lists::built`], in the order in which they are
/// shown.
const MAKERS: [(&str, &str); 4] = [
    ("model", "model"),
    ("click_top_k", "most clickable"),
    ("popularity", "most popular"),
    ("logged", "as logged"),
];

/// What a report of [`crate::evaluate::Reports`] is about: the task it belongs to and how a reader meets it.
struct Asked {
    /// Name of the report.
    report: String,
    /// Index of the task.
    task: usize,
    /// CTR, CVR, CTCVR, or the task's name.
    short: String,
    /// What it is.
    long: String,
    /// In names of files: different ones for different reports.
    file: String,
}

/// Reports that an evaluation may hold, in the order of the tasks.
fn asked(config: &Config) -> Vec<Asked> {
    let mut all = Vec::new();
    for (index, task) in config.tasks.iter().enumerate() {
        let mut add = |report: String, short: &str, long: &str| {
            let file = match short {
                "CTR" | "CVR" | "CTCVR" => short.to_lowercase(),
                _ => format!("task-{}", index + 1),
            };
            all.push(Asked { report, task: index, short: short.into(), long: long.into(), file });
        };
        let name = task.name.clone();
        match task.role() {
            Some(Role::Click) => add(name, "CTR", "click, on all impressions"),
            Some(Role::Purchase) if config.task_of(Role::Click).is_some() => {
                add(name.clone(), "CVR", "purchase, on clicked impressions");
                add(format!("{name}_ctcvr"), "CTCVR", "click and purchase, on all impressions");
            }
            Some(Role::Diversity) => add(name, "Diversity", "the category mix that is wanted"),
            Some(Role::Novelty) => add(name, "Novelty", "the share of unseen items that is wanted"),
            None | Some(Role::Purchase) => {
                let space = config.sample_space(index).map(|place| config.label_columns()[place]);
                let space = match (space, task.sample_space.as_deref()) {
                    (None, _) => "on all impressions".to_string(),
                    (Some(_), Some("clicked")) => "on clicked impressions".to_string(),
                    (Some(column), _) => format!("on impressions with {column} = 1"),
                };
                let what = match task.kind {
                    TaskKind::Regression => "a number, ",
                    TaskKind::MultiClass => "one of several classes, ",
                    _ => "",
                };
                add(name.clone(), &name, &format!("{what}{space}"));
            }
        }
    }
    all
}
