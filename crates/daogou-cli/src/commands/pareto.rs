//! `daogou pareto`.

use std::path::PathBuf;

use clap::Args;
use daogou::pareto::{
    Axis, Demand, Judge, Point, Preset, Presets, Solution, Sweep, SweepOptions, Trial, on_test,
    solve, sweep,
};
use daogou::run::TrainedRun;
use daogou::simulate::replay::Replay;
use daogou_nn::Team;
use serde::Serialize;

use super::{Format, Outcome};
use crate::terminal::{note, print};

/// See what each objective costs, and choose weights
///
/// Makes lists under many weights for requests of the validation split, and shows the points that no other point beats. On
/// the log of `daogou simulate` the truth is the judge, elsewhere the model's own heads. Exit code 1: the constraints cannot
/// be met.
#[derive(Args)]
pub(crate) struct Pareto {
    /// Run directory
    run: PathBuf,
    /// Requests to make lists for, at most; a large catalogue gets fewer
    #[arg(long, value_name = "N", default_value_t = 300)]
    requests: usize,
    /// What the front is made of: click, purchase, revenue, diversity, kl, novelty, entropy, exposure
    #[arg(long, value_name = "o,…", default_value = "click,diversity,novelty")]
    front: String,
    /// Find the weights with the most of this
    #[arg(long, value_name = "o")]
    maximise: Option<String>,
    /// ... under these constraints: `diversity>=0.6,novelty>=0.3`
    #[arg(long, value_name = "o>=x,…", requires = "maximise")]
    subject: Option<String>,
    /// Save the weights found (without `--maximise`, the knee's) under this name
    #[arg(long, value_name = "NAME")]
    save_preset: Option<String>,
    /// Believe the model also where the truth is known
    #[arg(long)]
    by_model: bool,
    /// Form of the output
    #[arg(long, value_enum, default_value = "table")]
    format: Format,
}

/// Everything, for programs.
#[derive(Serialize)]
struct Report<'a> {
    #[serde(flatten)]
    sweep: &'a Sweep,
    #[serde(skip_serializing_if = "Option::is_none")]
    solution: &'a Option<Solution>,
    /// The front's points that the table shows, and the solution, on the test split.
    test: Vec<Point>,
}

impl Pareto {
    pub(super) fn run(self) -> anyhow::Result<Outcome> {
        let axes = self.front.split(',').map(|axis| axis.trim().parse());
        let mut axes = axes.collect::<daogou::Result<Vec<Axis>>>()?;
        let mut seen = std::collections::BTreeSet::new();
        axes.retain(|axis| seen.insert(*axis));
        let maximise: Option<Axis> = self.maximise.as_deref().map(str::parse).transpose()?;
        let subject = self.subject.as_deref().unwrap_or("").split(',').map(str::trim);
        let subject = subject
            .filter(|text| !text.is_empty())
            .map(str::parse)
            .collect::<daogou::Result<Vec<Demand>>>()?;
        if let Some(name) = &self.save_preset {
            Presets::check_name(name)?;
        }
        let (run, manifest) = TrainedRun::open(&self.run)?;
        let mut presets = Presets::read(&self.run)?;
        let data = run.training_log(&manifest)?;
        let replay = if self.by_model { None } else { Replay::of_log(&run.config)? };
        let judge = replay.as_ref().map_or(Judge::Model, Judge::Truth);
        let options = SweepOptions { requests: self.requests, axes, ..SweepOptions::default() };
        let mut team = Team::new(daogou::train::threads(run.config.train.threads));
        let wanted = options.axes.clone();
        let sweep = sweep(&run, (&data, &data.split.valid), judge, &options, &mut team)?;
        for axis in wanted.iter().filter(|axis| !sweep.axes.contains(axis)) {
            note(&format!("{axis} is not measured for this run and no part of the front"));
        }
        let solution = match maximise {
            Some(axis) => Some(solve(&sweep.measured, axis, &subject)?),
            None => None,
        };
        let chosen =
            solution.as_ref().map_or(&sweep.measured.points[sweep.knee], |found| &found.point);
        let shown = sweep.shown();
        let points = shown.iter().map(|&i| &sweep.measured.points[i]).chain([chosen]);
        let trials: Vec<Trial> =
            points.map(|point| Trial::own(point.weights, point.explore)).collect();
        let test = on_test(&run, &data, &trials, (judge, &options), &mut team)?;
        match self.format {
            Format::Json => {
                let report = Report { sweep: &sweep, solution: &solution, test };
                print(&(serde_json::to_string_pretty(&report)? + "\n"))?;
            }
            Format::Table => {
                let mut text = sweep.table();
                if let Some(solution) = &solution {
                    text += "\n";
                    text += &solution.table();
                }
                if let Some(point) = test.last() {
                    text += "\nThe same weights on the test split\n";
                    text += &daogou::pareto::table::points(&[("chosen", point)]);
                }
                print(&text)?;
            }
        }
        let met = solution.as_ref().is_none_or(|found| found.met);
        if let Some(name) = &self.save_preset {
            if !met {
                note("the constraints are not met, so no preset is saved");
                return Ok(Outcome::CheckFailed);
            }
            let measured =
                chosen.values.iter().map(|(axis, value)| (axis.name().to_string(), value.mean));
            let preset = Preset {
                weights: chosen.weights,
                explore: chosen.explore,
                measured: measured.collect(),
            };
            presets.save(name, preset)?;
            presets.write(&self.run)?;
            note(&format!(
                "saved; try: daogou recommend {} --user ID --preset {name}",
                self.run.display()
            ));
        }
        Ok(if met { Outcome::Done } else { Outcome::CheckFailed })
    }
}
