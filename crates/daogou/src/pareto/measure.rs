//! Lists of many trials for the same requests, and what they are worth.

use std::collections::BTreeMap;
use std::ops::Range;

use daogou_nn::Team;
use serde::{Deserialize, Serialize};

use super::answers::{self, Oracle, Wants};
use super::{Axis, Heads, Trial};
use crate::data::{Dataset, Seen};
use crate::evaluate::{item_vectors, sample};
use crate::list_maker::{Goods, ListMaker, Scored, Visit, Wish, Workshop};
use crate::lists::Weights;
use crate::metrics::BootstrapOptions;
use crate::metrics::bootstrap::{for_each_block, percentile_interval};
use crate::metrics::diversity::{UNKNOWN, category_entropy, kl_to_wanted};
use crate::metrics::exposure::gini;
use crate::people::People;
use crate::run::TrainedRun;
use crate::schema::Role;
use crate::simulate::replay::{Logged, Moment, Replay};
use crate::train::binary_index;
use crate::{Error, Result};

/// Who says what a list is worth.
#[derive(Clone, Copy)]
pub enum Judge<'a> {
    /// The model's own calibrated heads. They also built the lists, so what they promise is a little too high: of many
    /// candidates the ones rated too high are chosen.
    Model,
    /// The truth of the simulation that wrote the log.
    Truth(&'a Replay),
}

/// A mean and its interval.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Estimate {
    /// Over requests.
    pub mean: f64,
    /// Ends of the bootstrap interval over users; `None` for what is no mean over requests, or with fewer than two users.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub interval: Option<[f64; 2]>,
}

/// What one trial came to.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Point {
    /// Whose answers.
    pub heads: Heads,
    /// Name of the builder.
    pub builder: &'static str,
    /// The builder's own dial, where it has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dial: Option<f64>,
    /// Weights.
    pub weights: Weights,
    /// How far lists go beyond what is wanted.
    pub explore: f64,
    /// Axes that are defined for this run.
    pub values: BTreeMap<Axis, Estimate>,
}

impl Point {
    /// The mean on an axis.
    pub fn mean(&self, axis: Axis) -> Option<f64> {
        self.values.get(&axis).map(|estimate| estimate.mean)
    }
}

/// All trials on the same requests.
#[derive(Clone, Debug, Serialize)]
pub struct Measured {
    /// One per trial, in their order.
    pub points: Vec<Point>,
    /// Requests.
    pub requests: usize,
    /// Which points are of what the run would serve.
    #[serde(skip)]
    own: Vec<bool>,
    /// Axes that are means over requests.
    #[serde(skip)]
    axes: Vec<Axis>,
    /// Means of every bootstrap replicate over users: `[trials, axes]` each.
    #[serde(skip)]
    replicates: Vec<Vec<f64>>,
    /// Of the intervals.
    #[serde(skip)]
    level: f64,
}

impl Measured {
    /// The points of what the run would serve.
    pub fn own(&self) -> impl Iterator<Item = &Point> {
        self.points.iter().zip(&self.own).filter(|(_, own)| **own).map(|(point, _)| point)
    }

    /// Which points are of what the run would serve.
    pub fn own_indices(&self) -> Vec<usize> {
        (0..self.points.len()).filter(|&i| self.own[i]).collect()
    }

    /// Means of some trials on some axes, in the direction in which more is better: `[trials][axes]`. The value of an axis
    /// that is no mean over requests is the same in every replicate.
    pub(super) fn gains(&self, trials: &[usize], axes: &[Axis]) -> Vec<Vec<f64>> {
        let value =
            |trial: usize, axis: Axis| axis.gain(self.points[trial].mean(axis).unwrap_or(0.0));
        trials.iter().map(|&t| axes.iter().map(|&axis| value(t, axis)).collect()).collect()
    }

    /// A number made of [`Measured::gains`], and its bootstrap interval over users.
    pub(super) fn interval(
        &self,
        trials: &[usize],
        axes: &[Axis],
        of: impl Fn(&[Vec<f64>]) -> Option<f64>,
    ) -> Option<Estimate> {
        let mut gains = self.gains(trials, axes);
        let mean = of(&gains)?;
        let columns: Vec<Option<usize>> =
            axes.iter().map(|axis| self.axes.iter().position(|own| own == axis)).collect();
        let replicates = self.replicates.iter().filter_map(|means| {
            for (gains, &trial) in gains.iter_mut().zip(trials) {
                for ((gain, column), axis) in gains.iter_mut().zip(&columns).zip(axes) {
                    if let Some(column) = column {
                        *gain = axis.gain(means[trial * self.axes.len() + column]);
                    }
                }
            }
            of(&gains)
        });
        Some(Estimate { mean, interval: percentile_interval(replicates.collect(), self.level) })
    }

    /// Points of the run's own with these means and nothing behind them.
    #[cfg(test)]
    pub(super) fn of_means(means: impl Iterator<Item = BTreeMap<Axis, f64>>) -> Self {
        let points: Vec<Point> = means
            .map(|means| Point {
                heads: Heads::Trained,
                builder: "auto",
                dial: None,
                weights: Weights::default(),
                explore: 0.0,
                values: means
                    .into_iter()
                    .map(|(axis, mean)| (axis, Estimate { mean, interval: None }))
                    .collect(),
            })
            .collect();
        Self {
            own: vec![true; points.len()],
            points,
            requests: 0,
            axes: Vec::new(),
            replicates: Vec::new(),
            level: 0.95,
        }
    }
}

/// Makes the lists of every trial for a seeded sample of requests, at most `most` and fewer where the catalogue is large,
/// and measures them. Each request is scored once; its lists cost what their builders cost.
///
/// # Errors
///
/// Where a list cannot be built, where the oracle is asked for and there is none, or nothing is left to measure.
pub fn measure(
    run: &TrainedRun,
    (data, requests, most): (&Dataset, &Range<usize>, usize),
    trials: &[Trial],
    judge: Judge<'_>,
    bootstrap: &BootstrapOptions,
    team: &mut Team,
) -> Result<Measured> {
    let items: Vec<u32> = (1..run.stored.items.ids.len() as u32).collect();
    if items.is_empty() || requests.is_empty() || most == 0 {
        return Err(Error::data("there is nothing to measure: no items, or no requests"));
    }
    let chosen = sample(requests, items.len(), (most, bootstrap.seed));
    let vectors = alike(run, data, &items);
    let seen_here = Seen::in_log(&data.requests, &data.impressions, &data.timelines);
    let people = People::of_log(run, data, Some(&seen_here));
    let n_items = items.len();
    let mut tally = Tally::new(run, (data, requests), trials, n_items);
    let mut maker = ListMaker::new(run, Goods::from(data), &items, team.size())?;
    let mut add = |tally: &mut Tally<'_>, request: usize, moment: Option<&Moment<'_>>| {
        let visit = Visit {
            people: &people,
            user: data.requests.user[request],
            time: data.requests.time.get(request).copied().unwrap_or(0),
            context: (&data.requests.columns, request),
        };
        let scored = Scored { vectors: vectors.view(), ..maker.score(&visit, team) };
        tally.add(&scored, request, moment)
    };
    match judge {
        Judge::Model => chosen.iter().try_for_each(|&request| add(&mut tally, request, None))?,
        Judge::Truth(replay) => {
            let foreign = || {
                Error::data("this log is not that of the simulation.toml beside it").with_hint(
                    "simulate again into an empty directory, or remove simulation.toml: the model is the judge then",
                )
            };
            tally.oracle = Some(Oracle::new(run, replay.world()).ok_or_else(foreign)?);
            let rows: Vec<u64> = chosen
                .iter()
                .map(|&r| u64::from(data.rows[data.requests.impressions(&(r..r + 1)).start]))
                .collect();
            replay.at(&rows, &mut |place, moment, logged| {
                if !is_logged(run, data, chosen[place], logged) {
                    return Err(foreign());
                }
                add(&mut tally, chosen[place], Some(moment))
            })?;
            if tally.units.len() != chosen.len() {
                return Err(foreign());
            }
        }
    }
    Ok(tally.finish(bootstrap))
}

/// Whether a request of the log is the one that the simulation has in its place: person, time, items and clicks.
fn is_logged(run: &TrainedRun, data: &Dataset, request: usize, logged: &Logged<'_>) -> bool {
    let user = &data.users.ids[data.requests.user[request] as usize];
    let time = data.requests.time.get(request);
    let click = run.config.task_of(Role::Click).map(|task| binary_index(&run.config, task));
    let clicks = click.and_then(|index| data.impressions.labels.get(index));
    *user == logged.user_id()
        && time.is_none_or(|&time| time == logged.time())
        && data.requests.impressions(&(request..request + 1)).all(|i| {
            let item = &data.items.ids[data.impressions.item[i] as usize];
            logged.row(u64::from(data.rows[i])).is_some_and(|(id, clicked)| {
                *item == id && clicks.is_none_or(|labels| (labels[i] == 1) == clicked)
            })
        })
}

/// Vectors by which re-rankers compare candidates, of length 1.
struct Alike {
    values: Vec<f32>,
    width: usize,
}

impl Alike {
    fn view(&self) -> crate::lists::Vectors<'_> {
        crate::lists::Vectors { values: &self.values, width: self.width }
    }
}

/// Half of the squared length of each is the category, half the embedding that the model learned of the item, where it has
/// one. Without categories and embeddings there are none.
fn alike(run: &TrainedRun, data: &Dataset, items: &[u32]) -> Alike {
    let catalogue = &data.catalogue;
    let learned = item_vectors(run, data);
    let (categories, dim) =
        (catalogue.categories.len(), learned.as_ref().map_or(0, |(_, dim)| *dim));
    let width = categories + dim;
    let mut values = vec![0.0f32; width * items.len()];
    if width == 0 {
        return Alike { values, width };
    }
    for (vector, &item) in values.chunks_exact_mut(width).zip(items) {
        let (of_category, of_item) = vector.split_at_mut(categories);
        let category = catalogue.category.get(item as usize).copied().unwrap_or(UNKNOWN);
        if let Some(place) = of_category.get_mut(usize::from(category)) {
            *place = 1.0;
        }
        if let Some((learned, dim)) = &learned {
            let learned = &learned[item as usize * dim..][..*dim];
            let length = learned.iter().map(|x| x * x).sum::<f32>().sqrt();
            if length > 0.0 {
                of_item.iter_mut().zip(learned).for_each(|(to, x)| *to = x / length);
            }
        }
    }
    Alike { values, width }
}

/// What has been measured so far.
struct Tally<'a> {
    run: &'a TrainedRun,
    data: &'a Dataset,
    trials: &'a [Trial],
    history: Wants,
    constant: Wants,
    oracle: Option<Oracle>,
    axes: Vec<Axis>,
    /// `[requests, trials, axes]`.
    values: Vec<f64>,
    users: Vec<u32>,
    units: Vec<usize>,
    /// `[trials, items]`, times shown.
    shown: Vec<u32>,
    n_items: usize,
    workshop: Workshop,
    list: Vec<u32>,
    numbers: Vec<u32>,
    categories: Vec<u16>,
}

impl<'a> Tally<'a> {
    fn new(
        run: &'a TrainedRun,
        (data, requests): (&'a Dataset, &Range<usize>),
        trials: &'a [Trial],
        n_items: usize,
    ) -> Self {
        Self {
            run,
            data,
            trials,
            history: Wants::history(&run.config, data, requests),
            constant: Wants::constant(&run.config, data, requests),
            oracle: None,
            axes: Vec::new(),
            values: Vec::new(),
            users: Vec::new(),
            units: Vec::new(),
            shown: vec![0; n_items * trials.len()],
            n_items,
            workshop: Workshop::default(),
            list: Vec::new(),
            numbers: Vec::new(),
            categories: Vec::new(),
        }
    }

    fn add(
        &mut self,
        scored: &Scored<'_>,
        request: usize,
        moment: Option<&Moment<'_>>,
    ) -> Result<()> {
        let config = &self.run.config.lists;
        if let (Some(oracle), Some(moment)) = (&mut self.oracle, moment) {
            oracle.meet(moment, scored.items);
        }
        let user = self.data.requests.user[request];
        let unit = self.users.iter().position(|&known| known == user).unwrap_or(self.users.len());
        if unit == self.users.len() {
            self.users.push(user);
        }
        self.units.push(unit);
        for (index, trial) in self.trials.iter().enumerate() {
            let wants = (&self.history, &self.constant, self.oracle.as_ref());
            let Some(answers) = answers::of(trial.heads, *scored, wants, request) else {
                return Err(Error::data("the truth is known for simulated logs only"));
            };
            let wish = Wish {
                weights: trial.weights,
                k: config.k,
                scale: None,
                explore: trial.explore,
                builder: trial.builder.as_ref(),
                config,
            };
            let made = answers.list(&wish, &mut self.workshop)?;
            self.list.clear();
            self.list.extend_from_slice(made.list);
            let shown = &mut self.shown[index * self.n_items..][..self.n_items];
            self.list.iter().for_each(|&candidate| shown[candidate as usize] += 1);
            self.judge(scored, moment);
        }
        Ok(())
    }

    /// Measures `list`, candidates of `scored`, whose heads are the run's own whoever made the list.
    fn judge(&mut self, scored: &Scored<'_>, moment: Option<&Moment<'_>>) {
        let list = &self.list;
        self.categories.clear();
        let category = |&i: &u32| scored.category.get(i as usize).copied().unwrap_or(UNKNOWN);
        self.categories.extend(list.iter().map(category));
        let smoothing = self.run.config.lists.smoothing;
        let has_price = scored.heads.price.is_some();
        let (earned, wanted, new): ([Option<f64>; 3], &[f32], f64) =
            if let (Some(moment), Some(oracle)) = (moment, &self.oracle) {
                oracle.numbers(list.iter().map(|&i| scored.items[i as usize]), &mut self.numbers);
                let worth = moment.worth(&self.numbers);
                let new = self.numbers.iter().filter(|&&item| moment.unseen(item)).count();
                let money = has_price.then_some(worth.revenue);
                let earned = [Some(worth.clicks), Some(worth.orders), money];
                (earned, oracle.mix(), new as f64)
            } else {
                let expected = |objective: usize| -> Option<f64> {
                    let each = list.iter().map(|&i| scored.heads.expected(i)[objective]);
                    each.sum()
                };
                let new: f64 = list.iter().map(|&i| f64::from(scored.novel[i as usize])).sum();
                ([0, 1, 2].map(expected), scored.mix, new)
            };
        let timed = !self.data.requests.time.is_empty();
        let kl = (!wanted.is_empty())
            .then(|| kl_to_wanted(&self.categories, wanted, list.len().max(1), smoothing));
        let all = [
            (Axis::Click, earned[0]),
            (Axis::Purchase, earned[1]),
            (Axis::Revenue, earned[2]),
            (Axis::Diversity, kl.map(|kl| (-kl).exp())),
            (Axis::Kl, kl),
            (Axis::Novelty, timed.then(|| new / list.len().max(1) as f64)),
            (Axis::Entropy, category_entropy(&self.categories)),
        ];
        if self.values.is_empty() {
            self.axes.clear();
            self.axes
                .extend(all.iter().filter(|(_, value)| value.is_some()).map(|(axis, _)| *axis));
        }
        let axes = &self.axes;
        // A list of unknown categories has no entropy; beside others that have one it is of none.
        let kept = all.iter().filter(|(axis, _)| axes.contains(axis));
        self.values.extend(kept.map(|(_, value)| value.unwrap_or(0.0)));
    }

    /// Means over the requests, each counted `weight` times: `[trials, axes]`; `None` where none counts.
    fn means(&self, weight: impl Fn(usize) -> f64) -> Option<Vec<f64>> {
        let width = self.trials.len() * self.axes.len();
        let (mut sums, mut n) = (vec![0.0; width], 0.0);
        for (request, values) in self.values.chunks_exact(width).enumerate() {
            let weight = weight(request);
            n += weight;
            sums.iter_mut().zip(values).for_each(|(sum, value)| *sum += weight * value);
        }
        sums.iter_mut().for_each(|sum| *sum /= n);
        (n > 0.0).then_some(sums)
    }

    fn finish(self, bootstrap: &BootstrapOptions) -> Measured {
        let n_axes = self.axes.len();
        let mut replicates = Vec::with_capacity(bootstrap.replicates);
        if self.users.len() > 1 {
            for_each_block(self.users.len(), bootstrap, |copies, live| {
                for lane in 0..live {
                    let copies = |request: usize| f64::from(copies[self.units[request]][lane]);
                    replicates.extend(self.means(copies));
                }
            });
        }
        let means = self.means(|_| 1.0).expect("there are requests");
        let interval = |place: usize| {
            let values = replicates.iter().map(|means: &Vec<f64>| means[place]);
            percentile_interval(values.collect(), bootstrap.level)
        };
        let points = self.trials.iter().enumerate().map(|(index, trial)| {
            let estimate = |(column, &axis): (usize, &Axis)| {
                let place = index * n_axes + column;
                (axis, Estimate { mean: means[place], interval: interval(place) })
            };
            let mut values: BTreeMap<Axis, Estimate> =
                self.axes.iter().enumerate().map(estimate).collect();
            let shown = &self.shown[index * self.n_items..][..self.n_items];
            let shown: Vec<u64> = shown.iter().map(|&n| u64::from(n)).collect();
            if let Some(gini) = gini(&shown) {
                values.insert(Axis::Exposure, Estimate { mean: 1.0 - gini, interval: None });
            }
            Point {
                heads: trial.heads,
                builder: trial.builder.name(),
                dial: trial.dial,
                weights: trial.weights,
                explore: trial.explore,
                values,
            }
        });
        Measured {
            points: points.collect(),
            requests: self.units.len(),
            own: self.trials.iter().map(Trial::is_own).collect(),
            axes: self.axes,
            replicates,
            level: bootstrap.level,
        }
    }
}
