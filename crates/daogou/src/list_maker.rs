//! From a visit to a list: score the catalogue, read what is wanted, build. Serving and evaluation both do it here.

use std::collections::BTreeMap;
use std::sync::Arc;

use daogou_nn::{Team, kernels};

use crate::assortment::ShopItems;
use crate::data::lookback::Lookback;
use crate::data::timeline::history_end;
use crate::data::{Catalogue, Column, Dataset, Impressions, Requests, SideTable};
use crate::lists::{
    Candidates, Heads, ListBuilder, Objective, Rules, Scratch, Vectors, Weights, build_under,
    builder, utility_scale,
};
use crate::models::{Logits, Source, sigmoid};
use crate::people::People;
use crate::rule_book::RuleBook;
use crate::run::TrainedRun;
use crate::schema::{ListRules, ListsConfig, Role, Side, TaskKind};
use crate::score::{FrozenItems, VisitForward, unknown_columns};
use crate::stock::Stock;
use crate::{Error, Result};

/// Items that lists are made of: those of a run, or of a log read by it.
#[derive(Clone, Copy)]
pub(crate) struct Goods<'a> {
    pub(crate) items: &'a SideTable,
    pub(crate) catalogue: &'a Catalogue,
}

impl<'a> From<&'a TrainedRun> for Goods<'a> {
    fn from(run: &'a TrainedRun) -> Self {
        Self { items: &run.stored.items, catalogue: &run.stored.catalogue }
    }
}

impl<'a> From<&'a Stock> for Goods<'a> {
    fn from(stock: &'a Stock) -> Self {
        Self { items: &stock.items, catalogue: &stock.catalogue }
    }
}

impl<'a> From<&'a Dataset> for Goods<'a> {
    fn from(data: &'a Dataset) -> Self {
        Self { items: &data.items, catalogue: &data.catalogue }
    }
}

/// A person coming to the shop.
pub(crate) struct Visit<'a> {
    /// Among whom the person is.
    pub(crate) people: &'a People<'a>,
    /// User row.
    pub(crate) user: u32,
    /// Unix time. What the person engaged with or saw counts where it is strictly earlier.
    pub(crate) time: i64,
    /// Context fields, and the row of them that is meant.
    pub(crate) context: (&'a [Column], usize),
}

/// Scores the same items for visit after visit in the same memory: only the first allocates anything of their number.
pub(crate) struct ListMaker<'a> {
    run: &'a TrainedRun,
    goods: Goods<'a>,
    lookback: Lookback,
    forward: VisitForward<'a>,
    book: RuleBook,
    /// The visit as a request with a single impression.
    requests: Requests,
    impressions: Impressions,
    /// Item rows on offer.
    items: Vec<u32>,
    price: Vec<f32>,
    category: Vec<u16>,
    tie_break: Vec<u64>,
    novel: Vec<f32>,
    /// Probabilities of each binary task by candidate; empty for other tasks.
    probabilities: Vec<Vec<f32>>,
    mix: Vec<f32>,
    shares: Vec<f32>,
}

/// Memory that lists are built in, one after the other.
#[derive(Default)]
pub(crate) struct Workshop {
    utility: Vec<f32>,
    best: Vec<f32>,
    /// The wanted mix after exploration.
    mix: Vec<f32>,
    scratch: Scratch,
    list: Vec<u32>,
}

impl Workshop {
    /// The list that was built last.
    pub(crate) fn last(&self) -> &[u32] {
        &self.list
    }
}

/// What is known about every candidate of a visit, and what is wanted. Candidates are numbered in the order of `items`.
#[derive(Clone, Copy)]
pub(crate) struct Scored<'m> {
    /// Item row of every candidate.
    pub(crate) items: &'m [u32],
    /// See [`Candidates`].
    pub(crate) category: &'m [u16],
    pub(crate) novel: &'m [f32],
    pub(crate) tie_break: &'m [u64],
    pub(crate) heads: Heads<'m>,
    /// What the items are like, for builders that compare them with each other; none unless set.
    pub(crate) vectors: Vectors<'m>,
    /// Per task: probability of every candidate; empty for tasks that are not binary.
    pub(crate) probabilities: &'m [Vec<f32>],
    /// Wanted share per category; empty without a diversity head.
    pub(crate) mix: &'m [f32],
    /// Wanted share of novel items; `None` without a novelty head.
    pub(crate) novelty: Option<f32>,
    /// What every list holds to.
    pub(crate) book: &'m RuleBook,
}

/// How a list is wished for.
#[derive(Clone, Copy)]
pub(crate) struct Wish<'w> {
    pub(crate) weights: Weights,
    /// Items.
    pub(crate) k: usize,
    /// The utility that one unit of the weights of diversity and novelty is worth ([`Weights::lambdas`]); `None`: that
    /// of a typical slot of this very list.
    pub(crate) scale: Option<f64>,
    /// See [`ListsConfig::explore`].
    pub(crate) explore: f64,
    pub(crate) builder: &'w dyn ListBuilder,
    pub(crate) config: &'w ListsConfig,
}

impl<'w> Wish<'w> {
    /// As configured, but for the weights and the number of items.
    pub(crate) fn configured(config: &'w ListsConfig, weights: Weights, k: usize) -> Result<Self> {
        let builder = builder(&config.builder)?;
        Ok(Self { weights, k, scale: None, explore: config.explore, builder, config })
    }
}

/// A list and all that led to it.
pub(crate) struct Made<'m> {
    /// Candidates in the order to show them.
    pub(crate) list: &'m [u32],
    pub(crate) scored: Scored<'m>,
    pub(crate) candidates: Candidates<'m>,
    pub(crate) objective: Objective<'m>,
}

impl<'m> Scored<'m> {
    /// The rules that this visit's lists hold to; `None`: there are none.
    ///
    /// # Errors
    ///
    /// A price band without prices, quotas that contradict each other.
    pub(crate) fn rules(&self) -> Result<Option<Rules<'m>>> {
        self.book.rules(self.items.len(), self.heads.price, self.novel)
    }

    /// The list that answers a wish; all candidates that may be listed if there are fewer.
    ///
    /// # Errors
    ///
    /// Where a weighted objective has no head, or a rule cannot be met.
    pub(crate) fn list<'l>(self, wish: &Wish<'_>, workshop: &'l mut Workshop) -> Result<Made<'l>>
    where
        'm: 'l,
    {
        let k = wish.k.min(self.items.len());
        let Workshop { utility, best, mix, scratch, list } = workshop;
        wish.weights.utility(&self.heads, self.items.len(), utility)?;
        for (name, weight, missing) in [
            ("diversity", wish.weights.diversity, self.mix.is_empty()),
            ("novelty", wish.weights.novelty, self.novelty.is_none()),
        ] {
            if weight > 0.0 && missing {
                return Err(no_head(name));
            }
        }
        let rules = self.rules()?;
        let scale = match (wish.scale, &rules) {
            (Some(scale), _) => scale,
            (None, None) => utility_scale(utility, k, best),
            (None, Some(rules)) => {
                // What may not be listed does not say what a slot is worth.
                let may = |(i, u): (usize, &f32)| (!rules.is_forbidden(i as u32)).then_some(*u);
                let allowed: Vec<f32> = utility.iter().enumerate().filter_map(may).collect();
                utility_scale(&allowed, k, best)
            }
        };
        let (lambda_diversity, lambda_novelty) = wish.weights.lambdas(scale);
        let candidates = Candidates {
            utility,
            category: self.category,
            novel: self.novel,
            tie_break: self.tie_break,
            vectors: self.vectors,
        };
        let explore = wish.explore;
        mix.clear();
        let even = 1.0 / self.mix.len().max(1) as f64;
        let explored = |&share: &f32| ((1.0 - explore) * f64::from(share) + explore * even) as f32;
        mix.extend(self.mix.iter().map(explored));
        let wanted = f64::from(self.novelty.unwrap_or(0.0)) + wish.config.novelty_margin;
        let wanted_novelty = (1.0 - explore) * wanted + explore;
        let objective = Objective {
            k,
            lambda_diversity: if mix.is_empty() { 0.0 } else { lambda_diversity },
            lambda_novelty: if self.novelty.is_none() { 0.0 } else { lambda_novelty },
            wanted_mix: mix,
            wanted_novelty: wanted_novelty.clamp(0.0, 1.0),
            smoothing: wish.config.smoothing,
        };
        match rules {
            None => wish.builder.build(&candidates, &objective, scratch, list)?,
            Some(rules) => {
                build_under(&rules, wish.builder, &candidates, &objective, scratch, list)?;
            }
        }
        Ok(Made { list, scored: self, candidates, objective })
    }
}

impl<'a> ListMaker<'a> {
    /// For lists of `items`, under the rules of the configuration.
    ///
    /// # Errors
    ///
    /// As [`ListMaker::offer`].
    pub(crate) fn new(
        run: &'a TrainedRun,
        goods: Goods<'a>,
        items: &[u32],
        threads: usize,
    ) -> Result<Self> {
        let frozen = FrozenItems::of_goods(run, goods, &mut Team::new(threads));
        Self::with_frozen(run, (goods, Arc::new(frozen)), items, threads)
    }

    /// The same where the items of `goods` are frozen already.
    ///
    /// # Errors
    ///
    /// As [`ListMaker::offer`].
    pub(crate) fn with_frozen(
        run: &'a TrainedRun,
        (goods, frozen): (Goods<'a>, Arc<FrozenItems>),
        items: &[u32],
        threads: usize,
    ) -> Result<Self> {
        assert_eq!(frozen.rows(), goods.items.ids.len(), "every item is frozen");
        let mut maker = Self {
            lookback: Lookback::new(&run.stored.space, goods.items, &run.stored.past),
            forward: VisitForward::new(run, frozen, threads),
            book: RuleBook::default(),
            requests: Requests {
                columns: unknown_columns(run, Side::Context, 1),
                offsets: vec![0, 1],
                ..Requests::default()
            },
            impressions: Impressions {
                item: vec![0],
                columns: unknown_columns(run, Side::Impression, 1),
                ..Impressions::default()
            },
            items: Vec::new(),
            price: Vec::new(),
            category: Vec::new(),
            tie_break: Vec::new(),
            novel: Vec::new(),
            probabilities: vec![Vec::new(); run.config.tasks.len()],
            mix: Vec::new(),
            shares: Vec::new(),
            run,
            goods,
        };
        maker.offer(items, &ListRules::default())?;
        Ok(maker)
    }

    /// From now on lists are made of `items`: item rows, ascending, with rules of a request beside those of the
    /// configuration ([`ListRules::with`]). Costs O(items) and a look at every rule.
    ///
    /// # Errors
    ///
    /// Where there are no items, or a rule names what there is none of.
    pub(crate) fn offer(&mut self, items: &[u32], asked: &ListRules) -> Result<()> {
        debug_assert!(items.is_sorted());
        if items.is_empty() {
            return Err(Error::data("no item is left to show").with_hint("exclude fewer items"));
        }
        let (run, Goods { items: table, catalogue }) = (self.run, self.goods);
        let on_offer = ShopItems::of_run(run, (table, catalogue), items);
        let lists = &run.config.lists;
        let mut book = RuleBook::new(&lists.rules().with(asked), &on_offer)?;
        book.add_bonuses(&lists.bonuses, &on_offer)?;
        book.add_floors(&lists.floors, run.exposure.prices(), &on_offer)?;
        self.hold(items);
        self.book = book;
        Ok(())
    }

    /// From now on there are `items`, at least one, and no rules: for scores alone. Costs O(items).
    pub(crate) fn offer_without_rules(&mut self, items: &[u32]) {
        debug_assert!(items.is_sorted() && !items.is_empty());
        self.hold(items);
        self.book = RuleBook::default();
    }

    fn hold(&mut self, items: &[u32]) {
        let Goods { catalogue, .. } = self.goods;
        gather(&catalogue.price, items, &mut self.price);
        gather(&catalogue.category, items, &mut self.category);
        self.tie_break.clear();
        self.tie_break.extend(items.iter().map(|&i| u64::from(i)));
        self.novel.resize(items.len(), 1.0);
        self.items.clear();
        self.items.extend_from_slice(items);
    }

    /// What the run says about all items and this visit: one forward pass over what depends on both. Nothing is allocated
    /// from one visit to the next.
    pub(crate) fn score(&mut self, visit: &Visit<'_>, team: &mut Team) -> Scored<'_> {
        let config = &self.run.config;
        self.describe(visit);
        let source = Source {
            users: visit.people.users,
            items: self.goods.items,
            catalogue: self.goods.catalogue,
            timelines: visit.people.timelines,
            requests: &self.requests,
            impressions: &self.impressions,
            targets: &[],
        };
        let logits = self.forward.run(&source, &self.items, &self.lookback, team);
        let binary = config.tasks.iter().zip(logits).zip(&mut self.probabilities);
        for ((_, logits), out) in binary.filter(|((t, _), _)| t.kind == TaskKind::Binary) {
            kernels::sigmoids(&logits.values, out);
        }
        self.mix.clear();
        if let Some(task) = config.task_of(Role::Diversity) {
            let Logits { cols, values, .. } = &logits[task];
            kernels::mean_softmax(values, *cols, &mut self.shares, &mut self.mix);
        }
        let end = self.requests.history_end.first().map_or(0, |&end| end as usize);
        mix_in_session(self.goods, (visit, end), config.lists.session_mix, &mut self.mix);
        let novelty = config.task_of(Role::Novelty).map(|task| mean_sigmoid(&logits[task].values));
        let of_role = |role| config.task_of(role).map(|task| self.probabilities[task].as_slice());
        Scored {
            items: &self.items,
            category: &self.category,
            novel: &self.novel,
            tie_break: &self.tie_break,
            heads: Heads {
                click: of_role(Role::Click),
                purchase: of_role(Role::Purchase),
                price: (!self.price.is_empty()).then_some(self.price.as_slice()),
                bonus: self.book.bonus(),
            },
            vectors: Vectors::default(),
            probabilities: &self.probabilities,
            mix: &self.mix,
            novelty,
            book: &self.book,
        }
    }

    /// Writes a visit down as a request, and marks what the person has not seen yet.
    fn describe(&mut self, visit: &Visit<'_>) {
        let people = visit.people;
        // A log without time has no past that is known to be earlier.
        let time = (!people.timelines.time.is_empty()).then_some(visit.time);
        let end = history_end(people.timelines, visit.user, time);
        let requests = &mut self.requests;
        for (values, value) in [(&mut requests.user, visit.user), (&mut requests.history_end, end)]
        {
            values.clear();
            values.push(value);
        }
        requests.time.clear();
        requests.time.push(visit.time);
        let (columns, row) = visit.context;
        for (to, column) in requests.columns.iter_mut().zip(columns) {
            to.set(0, (column, row));
        }
        self.lookback.look((&people.sights, visit.user, visit.time), &self.items);

        self.novel.fill(1.0);
        for seen in &people.seen {
            for (item, &first) in seen.items(visit.user).iter().zip(seen.first_times(visit.user)) {
                if first < visit.time
                    && let Ok(candidate) = self.items.binary_search(item)
                {
                    self.novel[candidate] = 0.0;
                }
            }
        }
    }
}

fn no_head(name: &str) -> Error {
    Error::config(
        format!("lists.objectives.{name}"),
        format!("expected a model with a {name} head, got none"),
    )
    .with_hint(format!("leave `{name}` out of the objectives"))
}

/// That a share of exploration is one.
pub(crate) fn check_explore(explore: f64) -> Result<()> {
    if (0.0..=1.0).contains(&explore) {
        return Ok(());
    }
    Err(Error::config("lists.explore", format!("expected a share from 0 to 1, got {explore}")))
}

/// Values of some rows, into `to`; none of an empty column.
fn gather<T: Copy>(values: &[T], rows: &[u32], to: &mut Vec<T>) {
    to.clear();
    if !values.is_empty() {
        to.extend(rows.iter().map(|&row| values[row as usize]));
    }
}

/// Seconds before a visit in which events belong to the same session.
const SESSION: i64 = 30 * 60;

/// Moves a share of the wanted mix to the categories of what the person engaged with in this session: the last events
/// before `end`, in the log's weights.
fn mix_in_session(
    goods: Goods<'_>,
    (visit, end): (&Visit<'_>, usize),
    share: f64,
    mix: &mut [f32],
) {
    if share == 0.0 || mix.is_empty() {
        return;
    }
    let (timelines, share) = (visit.people.timelines, share as f32);
    let start = timelines.of(visit.user).start;
    let events = (start..end).rev().take_while(|&e| visit.time - timelines.time[e] <= SESSION);
    let known = events.filter_map(|e| {
        let category = goods.catalogue.category.get(timelines.item[e] as usize)?;
        (usize::from(*category) < mix.len())
            .then_some((usize::from(*category), timelines.weight[e]))
    });
    let known: Vec<(usize, f32)> = known.collect();
    let total: f32 = known.iter().map(|(_, weight)| weight).sum();
    if total > 0.0 {
        mix.iter_mut().for_each(|p| *p *= 1.0 - share);
        known.iter().for_each(|(category, weight)| mix[*category] += share * weight / total);
    }
}

/// The mean of a head's share over the rows it answers with.
fn mean_sigmoid(logits: &[f32]) -> f32 {
    logits.iter().map(|&z| sigmoid(z)).sum::<f32>() / logits.len().max(1) as f32
}

/// Whether a run has what it takes for an objective. An unknown one is not refused here.
pub(crate) fn can_serve(run: &TrainedRun, objective: &str) -> bool {
    let has = |role| run.config.task_of(role).is_some();
    let bought = || has(Role::Click) && has(Role::Purchase);
    match objective {
        "click" => has(Role::Click),
        "purchase" => bought(),
        "revenue" => bought() && !run.stored.catalogue.price.is_empty(),
        "diversity" => has(Role::Diversity),
        "novelty" => has(Role::Novelty),
        _ => true,
    }
}

/// Weights of the configuration, without the objectives that this run has no head for.
///
/// # Errors
///
/// Where none is left.
pub(crate) fn configured_weights(run: &TrainedRun) -> Result<Weights> {
    let kept = run.config.lists.objectives.iter().filter(|(name, _)| can_serve(run, name));
    let kept: BTreeMap<String, f64> = kept.map(|(name, weight)| (name.clone(), *weight)).collect();
    Weights::from_map(&kept)
}
