//! One file per command.

mod bench;
mod crowd;
mod demo;
mod eval;
mod evaluate_policy;
mod experiment;
mod export;
mod export_events;
mod import;
mod init;
mod inspect;
mod key;
mod pareto;
mod predict;
mod recommend;
mod report;
mod rerank;
mod rule_flags;
mod schema;
mod serve;
mod simulate;
mod train;
mod tune;
mod validate;

use clap::{Subcommand, ValueEnum};

/// How a command ended.
pub(crate) enum Outcome {
    Done,
    /// A check that was asked for did not pass.
    CheckFailed,
}

/// Form of the output.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// Text for people.
    Table,
    /// JSON for programs.
    Json,
}

#[derive(Subcommand)]
pub(crate) enum Command {
    Demo(demo::Demo),
    Simulate(simulate::Simulate),
    Import(import::Import),
    Init(init::Init),
    Validate(validate::Validate),
    Train(train::Train),
    Tune(tune::Tune),
    Experiment(experiment::Experiment),
    Eval(eval::Eval),
    EvaluatePolicy(evaluate_policy::EvaluatePolicy),
    Predict(predict::Predict),
    Recommend(recommend::Recommend),
    Pareto(pareto::Pareto),
    Rerank(rerank::Rerank),
    Report(report::ReportPage),
    Inspect(inspect::Inspect),
    Export(export::Export),
    Serve(serve::Serve),
    Crowd(crowd::Crowd),
    Key(key::Key),
    ExportEvents(export_events::ExportEvents),
    Bench(bench::Bench),
    Schema(schema::Schema),
}

impl Command {
    pub(crate) fn run(self) -> anyhow::Result<Outcome> {
        match self {
            Self::Demo(command) => command.run(),
            Self::Simulate(command) => command.run(),
            Self::Import(command) => command.run(),
            Self::Init(command) => command.run(),
            Self::Validate(command) => command.run(),
            Self::Train(command) => command.run(),
            Self::Tune(command) => command.run(),
            Self::Experiment(command) => command.run(),
            Self::Eval(command) => command.run(),
            Self::EvaluatePolicy(command) => command.run(),
            Self::Predict(command) => command.run(),
            Self::Recommend(command) => command.run(),
            Self::Pareto(command) => command.run(),
            Self::Rerank(command) => command.run(),
            Self::Report(command) => command.run(),
            Self::Inspect(command) => command.run(),
            Self::Export(command) => command.run(),
            Self::Serve(command) => command.run(),
            Self::Crowd(command) => command.run(),
            Self::Key(command) => command.run(),
            Self::ExportEvents(command) => command.run(),
            Self::Bench(command) => command.run(),
            Self::Schema(command) => command.run(),
        }
    }
}
