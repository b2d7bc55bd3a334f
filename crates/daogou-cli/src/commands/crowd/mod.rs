//! `daogou crowd`.

mod agreement;
mod browse;
mod client;
mod events;
mod outcome;
mod queue;
mod tally;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use clap::Args;
use daogou::simulate::crowd::{self as people, CrowdOptions};
use daogou::simulate::replay::Replay;
use serde::Deserialize;

use self::agreement::{Watch, agreement, experiments};
use self::browse::{Browse, Pace, Wish};
use self::client::Client;
use self::outcome::{CallsOutcome, CrowdOutcome, GroupOutcome};
use self::queue::Queue;
use self::tally::{Group, Tally, total};
use super::{Format, Outcome};
use crate::terminal::{note, print, progress};

/// Without another limit a crowd stays this long.
const MINUTES: f64 = 10.0;
/// Workers of a closed loop.
const WORKERS: usize = 2;
/// Workers of an open loop: more than a server lets wait, so that one that is too full can say so.
const OPEN_WORKERS: usize = 256;
/// How often the server's statistics are read.
const WATCH: Duration = Duration::from_mins(1);

/// Let a simulated shop's people browse a running server
///
/// They go on where the log of `daogou simulate` ended: they ask for lists, click and buy by their true probabilities,
/// and report it. At the end the true worth of the lists stands beside the server's own numbers. Interrupt it to end
/// early.
#[derive(Args)]
pub(crate) struct Crowd {
    /// The server
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:8787")]
    against: String,
    /// Directory of the simulated shop whose log the model was trained on
    #[arg(long, value_name = "D")]
    shop: PathBuf,
    /// How many of the shop's people come; by default all
    #[arg(long, value_name = "N")]
    users: Option<u32>,
    /// Lists to ask for
    #[arg(long, value_name = "N")]
    requests: Option<u64>,
    /// How long to stay; 10 minutes if `--requests` is not given either
    #[arg(long, value_name = "M")]
    minutes: Option<f64>,
    /// Lists a second, whatever the server does; latency counts from when they were due
    #[arg(long, value_name = "R")]
    rate: Option<f64>,
    /// People who are served at a time; 2, each as soon as one before has been, or at most 256 with `--rate`
    #[arg(long, value_name = "W")]
    workers: Option<usize>,
    /// Items of a list
    #[arg(short, long)]
    k: Option<usize>,
    /// Name of the weights to ask for
    #[arg(long, value_name = "NAME", conflicts_with = "objectives")]
    preset: Option<String>,
    /// Weights to ask for: `click=1,purchase=3,diversity=0.3,novelty=0.1`
    #[arg(long, value_name = "o=w,…")]
    objectives: Option<String>,
    /// API key of role write; statistics and experiments are read with it too
    #[arg(long, value_name = "KEY", env = "DAOGOU_API_KEY", hide_env_values = true)]
    api_key: Option<String>,
    /// Seed of who comes when, and of their luck. A store takes each crowd once; the next one needs another seed, and
    /// does not know what people were shown by the one before
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Seconds for which a call that finds the server busy or away is made again
    #[arg(long, value_name = "S", default_value_t = 30.0)]
    patience: f64,
    /// Exit with code 1 if anything failed, or if the server's numbers are not the crowd's
    #[arg(long)]
    check: bool,
    /// Form of the output
    #[arg(long, value_enum, default_value = "table")]
    format: Format,
}

#[derive(Deserialize)]
struct Me {
    role: String,
    version: String,
}

impl Crowd {
    pub(super) fn run(self) -> anyhow::Result<Outcome> {
        let above_zero = |key: &str, value: Option<f64>, most: f64| match value {
            Some(got) if !(got > 0.0 && got <= most) => Err(daogou::Error::config(
                key,
                format!("expected a number above 0 and up to {most}, got {got}"),
            )),
            _ => Ok(()),
        };
        above_zero("rate", self.rate, 1e6)?;
        above_zero("minutes", self.minutes, 1e6)?;
        above_zero("patience", Some(self.patience), 1e6)?;
        for (key, zero) in [
            ("workers", self.workers == Some(0)),
            ("requests", self.requests == Some(0)),
            ("k", self.k == Some(0)),
        ] {
            if zero {
                return Err(daogou::Error::config(key, "expected at least 1, got 0").into());
            }
        }
        let wish = Wish {
            k: self.k,
            preset: self.preset.clone(),
            objectives: self.objectives.as_deref().map(objectives).transpose()?,
        };
        let pace = self.rate.map_or(Pace::Closed, Pace::Open);
        let workers = self.workers.unwrap_or(match pace {
            Pace::Closed => WORKERS,
            Pace::Open(_) => OPEN_WORKERS,
        });
        let client = Client::new(&self.against, self.api_key.clone(), workers)?;
        let me: Me = client.get("/v1/me")?;
        if me.role == "read" {
            return Err(daogou::Error::config("api-key", "expected role write or admin, got read")
                .with_hint("a crowd reports events")
                .into());
        }

        let crowd = self.crowd()?;
        let minutes =
            self.minutes.or_else(|| self.requests.is_none().then_some(MINUTES)).map(|m| m * 60.0);
        let most = self.requests.unwrap_or(u64::MAX);
        let queue = Queue::new(crowd, most, workers);
        let mut watch = Watch::start(&client)?;
        let started = Instant::now();
        let browse = Browse {
            client: &client,
            queue: &queue,
            wish,
            seed: self.seed,
            pace,
            patience: Duration::from_secs_f64(self.patience),
            until: minutes.map(|seconds| started + Duration::from_secs_f64(seconds)),
            most,
            started,
            slots: AtomicU64::new(0),
            begun: AtomicU64::new(0),
            stopped: AtomicBool::new(false),
            tally: std::sync::Mutex::default(),
            failure: std::sync::Mutex::default(),
        };
        self.watched(&browse, &mut watch, workers);
        let seconds = started.elapsed().as_secs_f64();
        let failure = browse.failure.lock().map_or(None, |mut failure| failure.take());
        if let Some(error) = failure {
            return Err(error);
        }
        browse.tell_the_rest()?;

        let unbegun = browse.unbegun();
        let tally = browse.tally();
        // The server counts an answer when it has left.
        std::thread::sleep(Duration::from_millis(300));
        let agreed = watch.update(&client).map(|()| agreement(&watch, &tally));
        if let Err(error) = &agreed {
            note(&format!("the server's statistics cannot be read: {error:#}"));
        }
        let compared = experiments(&client, &tally)?;
        let outcome =
            self.outcome(me.version, (workers, seconds), (&tally, unbegun), agreed.ok(), compared);
        print(&match self.format {
            Format::Json => serde_json::to_string_pretty(&outcome)? + "\n",
            Format::Table => outcome.shown(),
        })?;
        let faults = outcome.faults();
        for fault in &faults {
            note(&format!("{}: {fault}", if self.check { "check failed" } else { "note" }));
        }
        Ok(if self.check && !faults.is_empty() { Outcome::CheckFailed } else { Outcome::Done })
    }

    /// The people after the log.
    fn crowd(&self) -> anyhow::Result<people::Crowd> {
        let replay = Replay::open(&self.shop)?.ok_or_else(|| {
            daogou::Error::file(&self.shop, "expected a simulated shop, found no simulation.toml")
                .with_hint("make one with `daogou simulate --out D`, and train on its daogou.toml")
        })?;
        let requests = replay.world().options().requests;
        let bar =
            progress(requests, "living through the log {wide_bar} {pos}/{len} requests {eta}");
        let options = CrowdOptions { seed: self.seed, users: self.users };
        let crowd = people::Crowd::after_log(replay, &options, &mut |done| bar.set_position(done))?;
        bar.finish_and_clear();
        Ok(crowd)
    }

    /// Lets the workers work, shows how they are doing, and reads the server's statistics now and then.
    fn watched(&self, browse: &Browse<'_>, watch: &mut Watch, workers: usize) {
        let interrupted = interruption();
        let length = self.requests.unwrap_or(0);
        let template =
            if length > 0 { "{msg} {wide_bar} {pos}/{len} {eta}" } else { "{spinner} {msg}" };
        let bar = progress(length, template);
        std::thread::scope(|scope| {
            let running: Vec<_> = (0..workers).map(|_| scope.spawn(|| browse.work())).collect();
            let (mut read, mut shown) = (Instant::now(), Instant::now());
            while !running.iter().all(std::thread::ScopedJoinHandle::is_finished) {
                std::thread::sleep(Duration::from_millis(20));
                if interrupted.load(Ordering::Relaxed) {
                    browse.stop();
                }
                if shown.elapsed() > Duration::from_millis(500) {
                    shown = Instant::now();
                    let (done, message) = doing(&browse.tally(), browse.started);
                    bar.set_position(done);
                    bar.set_message(message);
                }
                if read.elapsed() > WATCH {
                    read = Instant::now();
                    // A server that is away now will be asked again; at the end it must answer.
                    let _ = watch.update(browse.client);
                }
            }
        });
        bar.finish_and_clear();
    }

    fn outcome(
        &self,
        version: String,
        (workers, seconds): (usize, f64),
        (tally, unbegun): (&Tally, u64),
        agreement: Option<Vec<agreement::Beside>>,
        experiments: Vec<agreement::Arms>,
    ) -> CrowdOutcome {
        let models = tally.groups.keys().filter(|group| matches!(group, Group::Model(_))).count();
        let groups: Vec<GroupOutcome> = (tally.groups.iter())
            // One model made all lists: its line would be the first one again.
            .filter(|(group, _)| {
                models > 1 || self.format == Format::Json || !matches!(group, Group::Model(_))
            })
            .map(|(group, people)| GroupOutcome::new(group.clone(), people))
            .collect();
        let lists = tally.all().map_or(0.0, |people| total(people, |own| own.lists));
        CrowdOutcome {
            server: self.against.clone(),
            version,
            seed: self.seed,
            rate: self.rate,
            workers,
            seconds,
            lists_per_second: lists / seconds,
            unbegun,
            groups,
            recommend: CallsOutcome::from(&tally.recommend),
            events: CallsOutcome::from(&tally.events),
            told: tally.told,
            problems: tally.problems.clone(),
            agreement,
            experiments,
        }
    }
}

/// Lists that were made, and a line about them.
fn doing(tally: &Tally, started: Instant) -> (u64, String) {
    let Some(people) = tally.all() else { return (0, String::new()) };
    let lists = total(people, |own| own.lists);
    let ctr =
        100.0 * total(people, |own| own.clicks) / total(people, |own| own.impressions).max(1.0);
    let mut text =
        format!("{:.0} lists/s, CTR {ctr:.2} %", lists / started.elapsed().as_secs_f64());
    if let Some(lately) = tally.recommend.lately() {
        text += &format!(", p50 {:.1} ms, p99 {:.1} ms", lately.p50, lately.p99);
    }
    let trouble = tally.recommend.refused + tally.recommend.failed + tally.events.failed;
    if trouble > 0 {
        text += &format!(", {trouble} refused or failed");
    }
    (lists as u64, text)
}

/// Set when the process is interrupted.
fn interruption() -> Arc<AtomicBool> {
    let interrupted = Arc::new(AtomicBool::new(false));
    let flag = Arc::clone(&interrupted);
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        if let Ok(runtime) = runtime
            && runtime.block_on(tokio::signal::ctrl_c()).is_ok()
        {
            flag.store(true, Ordering::Relaxed);
        }
    });
    interrupted
}

fn objectives(text: &str) -> Result<BTreeMap<String, f64>, daogou::Error> {
    let weight = |pair: &str| {
        let wrong =
            || daogou::Error::config("objectives", format!("expected `name=weight`, got `{pair}`"));
        let (name, weight) = pair.split_once('=').ok_or_else(wrong)?;
        let weight: f64 = weight.trim().parse().map_err(|_| wrong())?;
        Ok((name.trim().to_string(), weight))
    };
    text.split(',').map(weight).collect()
}
