//! `daogou demo`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use daogou::evaluate::{EvaluateOptions, TaskReport, table};
use daogou::recommend::{Ask, recommend};
use daogou::schema::Config;
use daogou::simulate::Options;
use daogou::simulate::oracle::Ceiling;

use super::Outcome;
use crate::terminal::{note, print};

/// See it work: simulate a phone shop, train, evaluate, and build five lists
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
        let test = data.split.test.clone();
        let evaluation = run.evaluate(&data, &test, &EvaluateOptions::default())?;
        let mut text = table::table(&evaluation);

        let first = data.requests.time[test.start];
        let ceiling = Ceiling::read(&shop, |_, time| time >= first)?;
        text += "\nBeside the truth, which the simulator knows: AUC of the model, of the true\n\
                 probabilities (no model can do better), and the share of that gap closed\n";
        for (task, name, bound) in [
            ("click", "CTR", &ceiling.ctr),
            ("purchase", "CVR, clicked", &ceiling.cvr),
            ("purchase_ctcvr", "CTCVR, all", &ceiling.ctcvr),
        ] {
            let Some(TaskReport::Binary(report)) = evaluation.tasks.get(task) else { continue };
            let (Some(auc), Some(best)) = (report.auc, bound.auc) else { continue };
            text += &format!(
                "  {name:<14} model {auc:.4}   truth {best:.4}   closed {:.1} %\n",
                bound.gap_closed(auc).unwrap_or(0.0) * 100.0
            );
        }
        note("4/4 five lists");
        text += "\nFive lists (weights: click 1, purchase 3, diversity 0.3, novelty 0.1)\n";
        let mut team = daogou_nn::Team::new(daogou::train::threads(config.train.threads));
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
        note(&format!(
            "the run is in {0}; try: daogou recommend {0} --user u00042 --explain",
            directory.display()
        ));
        Ok(Outcome::Done)
    }
}
