//! Exposure floors of a run: what it costs to show some items often enough, learned when training ends.

use daogou_nn::Team;
use daogou_nn::rng::{Rng, hash};
use serde::{Deserialize, Serialize};

use crate::artifact::{Run, RunWriter};
use crate::data::Dataset;
use crate::evaluate::sample;
use crate::list_maker::{Goods, ListMaker, Scored, Visit, Wish, Workshop, configured_weights};
use crate::lists::{ExposureFloors, Heads, Weights, utility_scale};
use crate::people::People;
use crate::run::TrainedRun;
use crate::{Error, Result};

/// File of the prices in a run directory; only where there are floors.
const FILE: &str = "exposure.json";

/// Visits that prices are learned on, at most.
const VISITS: usize = 500;

/// Rounds over these visits, at most.
const ROUNDS: usize = 10;

/// What is learned for is this much above the floor, so that lists under fixed prices do not fall short by a hair.
const MARGIN: f64 = 1.03;

/// A share that is short by no more than this part of its floor is one that holds.
const TOLERANCE: f64 = 0.01;

/// A floor of the configuration, and what became of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Floor {
    /// `category`, or the item-side feature.
    pub of: String,
    /// Its value.
    pub value: String,
    /// The least share of all places.
    pub share: f64,
    /// The share that lists under the price give; `None` where no list was built.
    pub reached: Option<f64>,
    /// `μ`, added to the utility of each such item; 0 where the items do well enough by themselves.
    pub price: f64,
}

/// All floors of a run, in the order of the configuration.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Exposure {
    /// One per floor.
    pub floors: Vec<Floor>,
    /// Lists that the prices were learned on.
    pub lists: usize,
    /// What a reader should know.
    pub notes: Vec<String>,
}

/// What is kept of a scored visit: lists depend on nothing else.
struct Kept {
    utility: Vec<f32>,
    novel: Vec<f32>,
    mix: Vec<f32>,
    novelty: Option<f32>,
}

impl Exposure {
    /// Learns the price of every floor on a seeded sample of the validation split, under the weights of the
    /// configuration. `run` has no prices yet.
    ///
    /// [`ExposureFloors`] goes over lists of these visits in rounds of smaller and smaller steps. After each round, lists
    /// are built under the mean of its prices; the cheapest prices whose shares hold are kept, or else those that come
    /// closest. Costs a forward pass over the catalogue per visit, and twenty lists per visit at most.
    ///
    /// Visits whose rules cannot be met have no list and no say; they are counted in the notes, as is a floor that is
    /// not reached.
    pub fn learn(run: &TrainedRun, data: &Dataset, team: &mut Team) -> Self {
        let floors = run.config.lists.floors.iter().map(|floor| Floor {
            of: floor.of.clone(),
            value: floor.value.clone(),
            share: floor.share,
            reached: None,
            price: 0.0,
        });
        let mut exposure = Self { floors: floors.collect(), ..Self::default() };
        if exposure.floors.is_empty() {
            return exposure;
        }
        if data.split.valid.is_empty() {
            let note = "there is no validation split, so exposure floors have no price";
            exposure.notes.push(note.into());
            return exposure;
        }
        if let Err(error) = exposure.learn_on_lists(run, data, team) {
            exposure.notes.push(format!("exposure floors have no price: {error}"));
        }
        exposure
    }

    fn learn_on_lists(&mut self, run: &TrainedRun, data: &Dataset, team: &mut Team) -> Result<()> {
        let lists = &run.config.lists;
        let weights = configured_weights(run)?;
        let items: Vec<u32> = (1..run.stored.items.ids.len() as u32).collect();
        let visits = sample(&data.split.valid, items.len(), (VISITS, run.config.train.seed));
        let people = People::of_log(run, data, None);
        let mut maker = ListMaker::new(run, Goods::from(data), &items, team.size())?;
        // Of a weighted sum of heads only the sum is kept.
        let wish = Wish::configured(
            lists,
            Weights { click: 1.0, purchase: 0.0, revenue: 0.0, ..weights },
            lists.k,
        )?;
        let mut kept = Vec::with_capacity(visits.len());
        let (mut workshop, mut refused) = (Workshop::default(), Vec::new());
        for &r in &visits {
            let time = data.requests.time.get(r).copied().unwrap_or(0);
            let user = data.requests.user[r];
            let visit = Visit { people: &people, user, time, context: (&data.requests.columns, r) };
            let scored = maker.score(&visit, team);
            if let Err(error) = scored.list(&Wish { weights, ..wish }, &mut workshop) {
                refused.push(error);
                continue;
            }
            let mut utility = Vec::new();
            let heads = Heads { bonus: None, ..scored.heads };
            weights.utility(&heads, scored.items.len(), &mut utility)?;
            let (novel, mix) = (scored.novel.to_vec(), scored.mix.to_vec());
            kept.push(Kept { utility, novel, mix, novelty: scored.novelty });
        }
        if let Some(first) = refused.first() {
            let (n, all) = (refused.len(), visits.len());
            self.notes
                .push(format!("{n} of {all} visits have no list that holds to the rules: {first}"));
        }
        let Some(first) = visits.first().filter(|_| !kept.is_empty()) else { return Ok(()) };
        let context = (&data.requests.columns[..], *first);
        let visit = Visit { people: &people, user: 0, time: 0, context };
        let base = maker.score(&visit, team);
        Prices::new(self, base, &kept, &wish).learn(run.config.train.seed)?;
        self.lists = kept.len();
        for floor in &self.floors {
            let reached = floor.reached.unwrap_or(0.0);
            if reached < floor.share * (1.0 - TOLERANCE) {
                self.notes.push(format!(
                    "exposure floor of {} {}: {:.2} % of places reached, {:.2} % asked for",
                    floor.of,
                    floor.value,
                    100.0 * reached,
                    100.0 * floor.share
                ));
            }
        }
        Ok(())
    }

    /// The price of every floor.
    pub(crate) fn prices(&self) -> impl Iterator<Item = f64> {
        self.floors.iter().map(|floor| floor.price)
    }

    /// Adds the floors to a run, if there are any.
    ///
    /// # Errors
    ///
    /// Where the file cannot be written.
    pub fn write(&self, run: &mut RunWriter) -> Result<()> {
        if self.floors.is_empty() {
            return Ok(());
        }
        run.file(FILE, |out| {
            serde_json::to_writer_pretty(&mut *out, self).map_err(|e| Error::Io(e.into()))?;
            Ok(out.write_all(b"\n")?)
        })
    }

    /// Reads the floors of a run; a run without the file has none.
    ///
    /// # Errors
    ///
    /// Where the file is damaged, or its floors are not those of the run's configuration.
    pub fn read(run: &Run) -> Result<Self> {
        if !run.manifest().files.contains_key(FILE) {
            return Ok(Self::default());
        }
        let path = run.path(FILE)?;
        let found: Self = serde_json::from_slice(&run.read(FILE)?)
            .map_err(|error| Error::file(&path, format!("damaged: {error}")))?;
        let wanted = &run.config().lists.floors;
        let same = found.floors.len() == wanted.len()
            && found.floors.iter().zip(wanted).all(|(floor, wanted)| {
                (&floor.of, &floor.value, floor.share) == (&wanted.of, &wanted.value, wanted.share)
            });
        if !same || found.prices().any(|price| !(price.is_finite() && price >= 0.0)) {
            return Err(Error::file(&path, "damaged: expected a price for every `lists.floor`"));
        }
        Ok(found)
    }
}

/// Floors of one attribute.
struct Groups {
    /// Indices of the floors.
    floors: Vec<usize>,
    /// Per candidate the index into `floors`, or their number.
    of: Vec<u32>,
    targets: Vec<f64>,
}

/// The search for prices.
struct Prices<'a, 'w> {
    exposure: &'a mut Exposure,
    base: Scored<'a>,
    kept: &'a [Kept],
    wish: &'a Wish<'w>,
    groups: Vec<Groups>,
    workshop: Workshop,
    bonus: Vec<f32>,
}

impl<'a, 'w> Prices<'a, 'w> {
    fn new(
        exposure: &'a mut Exposure,
        base: Scored<'a>,
        kept: &'a [Kept],
        wish: &'a Wish<'w>,
    ) -> Self {
        let book = base.book;
        let mut groups: Vec<(usize, Groups)> = Vec::new();
        for (index, &(attribute, value)) in book.floors().iter().enumerate() {
            let values = book.values(attribute);
            let at =
                groups.iter().position(|(known, _)| *known == attribute).unwrap_or_else(|| {
                    let of = vec![u32::MAX; values.len()];
                    groups
                        .push((attribute, Groups { floors: Vec::new(), of, targets: Vec::new() }));
                    groups.len() - 1
                });
            let group = &mut groups[at].1;
            let number = group.floors.len() as u32;
            group.floors.push(index);
            group.targets.push(exposure.floors[index].share);
            for (of, own) in group.of.iter_mut().zip(values) {
                if *own == value {
                    *of = number;
                }
            }
        }
        for (_, group) in &mut groups {
            let margin = MARGIN.min(1.0 / group.targets.iter().sum::<f64>());
            group.targets.iter_mut().for_each(|target| *target *= margin);
        }
        let groups = groups.into_iter().map(|(_, group)| group).collect();
        Self {
            exposure,
            base,
            kept,
            wish,
            groups,
            workshop: Workshop::default(),
            bonus: Vec::new(),
        }
    }

    /// Leaves prices and the shares they reach in the exposure.
    fn learn(mut self, seed: u64) -> Result<()> {
        let mut scratch = Vec::new();
        let slots =
            self.kept.iter().map(|kept| utility_scale(&kept.utility, self.wish.k, &mut scratch));
        let slot = slots.sum::<f64>() / self.kept.len() as f64;
        let mut prices = vec![0.0; self.exposure.floors.len()];
        let mut order: Vec<usize> = (0..self.kept.len()).collect();
        let mut best: Option<(f64, f64, Vec<f64>, Vec<f64>)> = None;
        for round in 0..=ROUNDS {
            let shares = self.shares(&prices)?;
            let short = self.shortfall(&shares);
            let cost = prices.iter().sum::<f64>();
            let held = short == 0.0;
            // Before the first round there are no prices: where all floors hold, nothing is to be paid.
            if best.as_ref().is_none_or(|(least, cheapest, ..)| (short, cost) < (*least, *cheapest))
            {
                best = Some((short, cost, prices.clone(), shares));
            } else if held && best.as_ref().is_some_and(|(least, ..)| *least == 0.0) {
                break; // it holds, and it has become no cheaper
            }
            if round == ROUNDS || held && cost == 0.0 {
                break;
            }
            Rng::new(seed, hash("exposure floors") ^ round as u64).shuffle(&mut order);
            let rate = 0.2 * slot * 0.6f64.powi(round as i32);
            prices = self.round(&order, prices, rate)?;
        }
        let (short, _, mut prices, mut shares) = best.expect("there is a round");
        // Steps leave a small price where a floor holds without one. The smallest first and each by itself: a larger one may be
        // what its floor needs.
        let over =
            |i: &usize| prices[*i] > 0.0 && shares[*i] > 1.1 * self.exposure.floors[*i].share;
        let mut over: Vec<usize> = (0..prices.len()).filter(over).collect();
        over.sort_by(|&a, &b| prices[a].total_cmp(&prices[b]));
        for floor in over {
            let paid = std::mem::take(&mut prices[floor]);
            let under = self.shares(&prices)?;
            if self.shortfall(&under) <= short {
                shares = under;
            } else {
                prices[floor] = paid;
            }
        }
        for ((floor, price), share) in self.exposure.floors.iter_mut().zip(prices).zip(shares) {
            (floor.price, floor.reached) = (price, Some(share));
        }
        Ok(())
    }

    /// One list per visit, prices following each; their mean over the second half.
    fn round(&mut self, order: &[usize], mut prices: Vec<f64>, rate: f64) -> Result<Vec<f64>> {
        let mut floors = Vec::new();
        for group in &self.groups {
            let start: Vec<f64> = group.floors.iter().map(|&floor| prices[floor]).collect();
            floors.push(ExposureFloors::new(group.targets.clone(), rate)?.starting_at(&start));
        }
        let mut mean = vec![0.0; prices.len()];
        let (half, mut shown) = (order.len() / 2, Vec::new());
        for (turn, &visit) in order.iter().enumerate() {
            self.build(visit, &prices)?;
            for (group, floors) in self.groups.iter().zip(&mut floors) {
                shown.clear();
                shown.extend(self.workshop.last().iter().map(|&i| group.of[i as usize]));
                floors.shown(&shown, &[]);
                for (&floor, &price) in group.floors.iter().zip(floors.prices()) {
                    prices[floor] = price;
                }
            }
            if turn >= half {
                let weight = 1.0 / (order.len() - half) as f64;
                mean.iter_mut().zip(&prices).for_each(|(mean, price)| *mean += weight * price);
            }
        }
        Ok(mean)
    }

    /// The list of a visit under these prices, in the workshop.
    fn build(&mut self, visit: usize, prices: &[f64]) -> Result<()> {
        let Kept { utility, novel, mix, novelty } = &self.kept[visit];
        self.bonus.clear();
        match self.base.book.bonus() {
            Some(bonus) => self.bonus.extend_from_slice(bonus),
            None => self.bonus.resize(utility.len(), 0.0),
        }
        for group in &self.groups {
            for (bonus, &of) in self.bonus.iter_mut().zip(&group.of) {
                if let Some(&floor) = group.floors.get(of as usize) {
                    *bonus += prices[floor] as f32;
                }
            }
        }
        let heads = Heads {
            click: Some(utility),
            purchase: None,
            price: self.base.heads.price,
            bonus: Some(&self.bonus),
        };
        let scored = Scored { novel, mix, novelty: *novelty, heads, ..self.base };
        scored.list(self.wish, &mut self.workshop)?;
        Ok(())
    }

    /// Share of all places per floor, under fixed prices.
    fn shares(&mut self, prices: &[f64]) -> Result<Vec<f64>> {
        let mut counts = vec![0.0; prices.len()];
        let mut places = 0;
        for visit in 0..self.kept.len() {
            self.build(visit, prices)?;
            let list = self.workshop.last();
            places += list.len();
            for group in &self.groups {
                for &i in list {
                    if let Some(&floor) = group.floors.get(group.of[i as usize] as usize) {
                        counts[floor] += 1.0;
                    }
                }
            }
        }
        Ok(counts.into_iter().map(|count: f64| count / places.max(1) as f64).collect())
    }

    /// The most that a share is short of its floor, as a part of it; 0 where all hold.
    fn shortfall(&self, shares: &[f64]) -> f64 {
        let floors = self.exposure.floors.iter().zip(shares).filter(|(floor, _)| floor.share > 0.0);
        let short = floors.map(|(floor, share)| 1.0 - share / floor.share);
        short.filter(|short| *short > TOLERANCE).fold(0.0, f64::max)
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::artifact::Provenance;
    use crate::evaluate::EvaluateOptions;
    use crate::schema::{Config, FloorRule};
    use crate::simulate::{self, Options};
    use crate::train;

    fn floor(value: &str, share: f64) -> FloorRule {
        FloorRule { of: "seller".into(), value: value.into(), share }
    }

    #[test]
    fn floors_hold_on_a_simulated_shop_and_cost_what_they_must() {
        let directory = tempfile::tempdir().unwrap();
        let options = Options { users: 200, items: 200, requests: 3_000, ..Options::default() };
        simulate::run(&options, directory.path(), &mut |_| {}).unwrap();
        let mut config = Config::read(&directory.path().join("daogou.toml")).unwrap();
        config.set("train.epochs=1").unwrap();
        let config = config.with_absolute_paths(directory.path()).unwrap();
        let data = Dataset::load(&config, directory.path()).unwrap();
        let trained = train::train(&config, &data, &train::Options::default(), &mut ()).unwrap();
        let mut run = TrainedRun::new(&config, trained, &data);
        assert_eq!(run.exposure, Exposure::default());

        // Floors of nothing hold by themselves and have no price; they tell what lists show of each seller.
        let rows: Vec<u32> = (1..data.items.ids.len() as u32).collect();
        let on_offer =
            crate::assortment::ShopItems::of_run(&run, (&data.items, &data.catalogue), &rows);
        let of = crate::assortment::Assortment::values(&on_offer, "", "seller").unwrap();
        let name = |seller: u32| {
            let mut ids = data.space.fields.iter().zip(&data.space.encodings);
            let (_, encoding) = ids.find(|(field, _)| field.name == "seller").unwrap();
            let crate::data::Encoding::Vocabulary { values } = encoding else { unreachable!() };
            values[seller as usize].clone()
        };
        let mut sellers = of.clone();
        sellers.sort_unstable();
        let large = sellers.chunk_by(|a, b| a == b).filter(|same| same.len() >= 4);
        let large: Vec<String> = large.map(|same| name(same[0])).collect();
        run.config.lists.floors = large.iter().map(|seller| floor(seller, 0.0)).collect();
        run.learn_exposure(&data);
        assert!(run.exposure.prices().all(|price| price == 0.0));
        let mut free: Vec<(f64, String)> =
            run.exposure.floors.iter().map(|f| (f.reached.unwrap(), f.value.clone())).collect();
        free.sort_by(|a, b| a.0.total_cmp(&b.0));

        // Two that are hardly shown get a floor, and one that is shown anyway.
        let (last, next) = (&free[0], &free[1]);
        let first = free.last().unwrap();
        run.config.lists.floors = vec![
            floor(&last.1, last.0 + 0.05),
            floor(&next.1, next.0 + 0.03),
            floor(&first.1, 0.5 * first.0),
        ];
        run.learn_exposure(&data);
        let learned = run.exposure.clone();
        assert_eq!(learned.lists, data.split.valid.len());
        for floor in &learned.floors {
            let reached = floor.reached.unwrap();
            assert!(reached >= floor.share * (1.0 - TOLERANCE), "{floor:?}");
        }
        let [last, next, first] = &learned.floors[..] else { unreachable!() };
        assert!(last.price > 0.0 && next.price > 0.0 && first.price == 0.0, "{learned:?}");
        for floor in [last, next] {
            assert!(
                floor.reached.unwrap() < 1.5 * floor.share,
                "paid for more than asked: {floor:?}"
            );
        }
        run.learn_exposure(&data);
        assert_eq!(run.exposure, learned, "the same visits give the same prices");

        // Lists that a run builds for these visits show what was reached; lists of other visits come close.
        let options = EvaluateOptions { lists: VISITS, ..EvaluateOptions::default() };
        let found = run.evaluate(&data, &data.split.valid, &options).unwrap();
        assert_eq!(found.lists.floors, learned.floors);
        let found = run.evaluate(&data, &data.split.test, &options).unwrap();
        for (there, here) in found.lists.floors.iter().zip(&learned.floors) {
            assert_eq!(there.price, here.price);
            assert!(there.reached.unwrap() > 0.5 * there.share, "{there:?}");
        }
        // A run keeps the prices.
        let path = directory.path().join("run");
        let provenance = Provenance {
            created_at: "2020-01-01T00:00:00Z".into(),
            seed: 1,
            data_fingerprint: String::new(),
            metrics: serde_json::Value::Null,
        };
        run.save(&path, &[], provenance).unwrap();
        assert_eq!(TrainedRun::open(&path).unwrap().0.exposure, learned);

        // More than there is room for: said, not hidden.
        let scarce = vec![floor(&last.value, 0.95)];
        run.config.lists.floors = scarce;
        run.learn_exposure(&data);
        assert!(run.exposure.floors[0].reached.unwrap() < 0.95);
        assert!(run.exposure.notes[0].contains("exposure floor of seller"), "{:?}", run.exposure);
        run.config.lists.quotas = vec!["category:max=0".parse().unwrap()];
        run.learn_exposure(&data);
        let Exposure { floors, lists, notes } = &run.exposure;
        assert_eq!((floors[0].reached, floors[0].price, *lists), (None, 0.0, 0));
        assert!(notes[0].starts_with("300 of 300 visits have no list that holds"), "{notes:?}");
    }

    #[test]
    fn a_run_from_before_floors_opens_without() {
        let kept = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/runs/v1"));
        assert_eq!(Exposure::read(&Run::open(kept).unwrap()).unwrap(), Exposure::default());
    }
}
