//! Train on a log and build one list, in a program of your own.
//!
//!     cargo run --release --example train_and_rank -- shop/daogou.toml u00042

#![allow(clippy::print_stdout, clippy::print_stderr)]

use std::path::Path;

use daogou::data::Dataset;
use daogou::evaluate::EvaluateOptions;
use daogou::recommend::{Ask, recommend};
use daogou::run::TrainedRun;
use daogou::schema::Config;
use daogou::train::{Observer, Options, Round, threads, train};
use daogou_nn::Team;

/// Hears of every round of validation.
struct Rounds;

impl Observer for Rounds {
    fn round(&mut self, round: &Round) {
        eprintln!("epoch {}: validation loss {:?}", round.epoch, round.valid_loss);
    }
}

fn main() -> daogou::Result<()> {
    let mut arguments = std::env::args().skip(1);
    let path = arguments.next().unwrap_or_else(|| "daogou.toml".into());
    let user = arguments.next().unwrap_or_else(|| "someone-new".into());

    // One file says what the log means, what to learn and how.
    let config = Config::read(Path::new(&path))?;
    let base = Path::new(&path).parent().unwrap_or(Path::new("."));
    let data = Dataset::load(&config, base)?;

    // The result depends on configuration, data and seed, not on threads.
    let trained = train(&config, &data, &Options::default(), &mut Rounds)?;
    let run = TrainedRun::new(&config, trained, &data);

    // Every number beside what needs no network.
    let test = data.split.test.clone();
    let evaluation = run.evaluate(&data, &test, &EvaluateOptions::default())?;
    println!("{}", daogou::evaluate::table::table(&evaluation));

    // Weights belong to the request: here, orders count ten times a click.
    let weights = "click=1,purchase=10,diversity=0.5,novelty=0.2".parse()?;
    let ask = Ask { user, k: Some(5), weights: Some(weights), ..Ask::default() };
    let list = recommend(&run, &ask, &mut Team::new(threads(config.train.threads)))?;
    for item in &list.items {
        println!("{}  {:.4}  {:?}", item.item_id, item.score, item.contributions);
    }
    Ok(())
}
