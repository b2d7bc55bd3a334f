//! `daogou demo`.

use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use daogou::artifact::{REPORT, Run};
use daogou::data::Dataset;
use daogou::evaluate::{EvaluateOptions, Evaluation, TaskReport, TaskScores, table};
use daogou::models::{Mode, Source};
use daogou::recommend::{Ask, recommend};
use daogou::run::TrainedRun;
use daogou::schema::{Config, Role};
use daogou::simulate::Options;
use daogou::simulate::oracle::Truth;
use daogou_nn::Team;

use super::Outcome;
use crate::terminal::{note, print};

/// Where a server listens unless it is told otherwise.
const ADDRESS: &str = "127.0.0.1:8787";

/// See it work: simulate a phone shop, train, evaluate, build five lists, and write a report
#[derive(Args)]
pub(crate) struct Demo {
    /// Directory for the shop and the run
    #[arg(long, value_name = "D", default_value = "daogou-demo")]
    dir: PathBuf,
    /// Seed of everything
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// small: 40,000 requests, a minute; full: 250,000 requests, the reference experiment
    #[arg(long, value_enum, default_value = "small")]
    scale: Scale,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Scale {
    Small,
    Full,
}

impl Demo {
    pub(super) fn run(self) -> anyhow::Result<Outcome> {
        let (shop, directory) = (self.dir.join("shop"), self.dir.join("run"));
        let mut options = Options { seed: self.seed, ..Options::default() };
        if self.scale == Scale::Small {
            options.requests = 40_000;
            options.users = 2_000;
            options.items = 1_200;
        }
        note(&format!(
            "1/4 simulating a phone shop: {} users, {} items, {} requests",
            options.users, options.items, options.requests
        ));
        super::simulate::simulated(&options, &shop)?;
        note("2/4 training one network for click, purchase, diversity and novelty");
        let mut config = Config::read(&shop.join("daogou.toml"))?;
        config.train.seed = self.seed;
        let (run, data) = super::train::trained(&config, &shop, &directory, false)?;
        note("3/4 measuring it on the test split, the last tenth of the log");
        let saved = Run::open(&directory)?;
        let history = TrainedRun::history(&directory)?;
        let parts = (&run, saved.manifest(), &history[..], &data);
        let report = super::report::made(parts, &EvaluateOptions::default(), None)?;
        let evaluation = report.evaluation();
        super::eval::keep(evaluation, &directory)?;
        let mut text = table::table(evaluation);

        let mut team = Team::new(daogou::train::threads(config.train.threads));
        text += &beside_the_truth(&run, &data, evaluation, &shop, &mut team)?;
        note("4/4 five lists");
        text += "\nFive lists (weights: click 1, purchase 3, diversity 0.3, novelty 0.1)\n";
        let users = data.users.ids.len() - 1;
        let mut asked: Vec<String> =
            (0..4).map(|i| data.users.ids[1 + i * users / 4].clone()).collect();
        asked.push("someone-new".into());
        for user in asked {
            let ask = Ask { user, k: Some(6), ..Ask::default() };
            text += "\n";
            text += &super::recommend::shown(&recommend(&run, &ask, &mut team)?, false);
        }
        print(&text)?;
        let page = directory.join(REPORT);
        report.write(&page)?;
        note(&format!("a report to look at, in a browser:\n  {}", page.display()));
        note(&format!(
            "the run is in {0}; try: daogou recommend {0} --user u00042 --explain",
            directory.display()
        ));
        note(&format!(
            "or a live shop: a server, its people, and a browser\n  \
             daogou serve {run} --store {store}\n  \
             daogou crowd --against http://{ADDRESS} --shop {shop}\n  \
             http://{ADDRESS}/",
            run = directory.display(),
            store = self.dir.join("shop.db").display(),
            shop = shop.display(),
        ));
        Ok(Outcome::Done)
    }
}

/// The model's AUC beside that of the true probabilities.
fn beside_the_truth(
    run: &TrainedRun,
    data: &Dataset,
    evaluation: &Evaluation,
    shop: &Path,
    team: &mut Team,
) -> anyhow::Result<String> {
    let test = data.split.test.clone();
    let requests: Vec<u32> = test.clone().map(|r| r as u32).collect();
    let answers = run.predictions(&Source::from(data), &requests, Mode::Evaluate, team);
    let logits = |role| match run.config.task_of(role).map(|task| &answers.tasks[task]) {
        Some(TaskScores::Logits(logits)) => logits.as_slice(),
        _ => unreachable!("the simulated shop has both tasks"),
    };
    let truth = Truth::read(shop)?;
    let rows: Vec<usize> =
        data.requests.impressions(&test).map(|i| data.rows[i] as usize).collect();
    let expected = truth.expected(&rows, logits(Role::Click), logits(Role::Purchase));
    let ceiling = truth.ceiling(&rows);
    let mut text = String::from(
        "\nBeside the truth, which the simulator knows: AUC of the model on these labels,\n\
         and expected over all labels that could have been drawn; of the true\n\
         probabilities (no model can do better); and the expected share of that gap\n\
         closed\n",
    );
    for (task, name, expected, bound) in [
        ("click", "CTR", expected.ctr, &ceiling.ctr),
        ("purchase", "CVR, clicked", expected.cvr, &ceiling.cvr),
        ("purchase_ctcvr", "CTCVR, all", expected.ctcvr, &ceiling.ctcvr),
    ] {
        let Some(TaskReport::Binary(report)) = evaluation.tasks.get(task) else { continue };
        let (Some(auc), Some(expected), Some(best)) = (report.auc, expected, bound.auc) else {
            continue;
        };
        text += &format!(
            "  {name:<13} model {auc:.4}   expected {expected:.4}   truth {best:.4}   closed {:.1} %\n",
            bound.gap_closed(expected).unwrap_or(0.0) * 100.0
        );
    }
    Ok(text)
}
