//! The binary `daogou`: parses a command line, runs one command, reports errors.
//!
//! Standard output carries data only; progress, notes and errors go to standard error. Exit codes: 0 done, 1 a
//! requested check failed, 2 an error.

mod commands;
mod terminal;

use std::process::ExitCode;

use clap::Parser;

/// Learns from a shop's log what people click, buy and want, and builds their lists.
#[derive(Parser)]
#[command(name = "daogou", version, about, max_term_width = 80)]
struct Cli {
    #[command(subcommand)]
    command: commands::Command,
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    match cli.command.run() {
        Ok(commands::Outcome::Done) => ExitCode::SUCCESS,
        Ok(commands::Outcome::CheckFailed) => ExitCode::from(1),
        Err(error) => terminal::report(&error),
    }
}
