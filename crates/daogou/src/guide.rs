//! Answers ask after ask for one run and what is on offer, in the same memory.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use daogou_nn::Team;

use crate::data::{Column, Encoding, encode_cell, encode_time};
use crate::filter::Filter;
use crate::list_maker::{
    Goods, ListMaker, Made, Scored, Visit, Wish, Workshop, can_serve, check_explore,
    configured_weights,
};
use crate::lists::{Objective, Scratch, Weights, builder, explain, moved_by};
use crate::people::Visitor;
use crate::recommend::{Ask, Item, Reasons, Recommendation, Wanted};
use crate::run::TrainedRun;
use crate::schema::{ListRules, Side, TaskKind};
use crate::score::{FrozenItems, unknown_columns};
use crate::stock::Stock;
use crate::{Error, Result};

/// Filters whose items are remembered.
const REMEMBERED: usize = 64;

/// Names that an error lists.
const MOST_LISTED: usize = 30;

/// Makes lists and scores candidates.
///
/// Memory: what scoring all items once needs, and four bytes per item for each of at most 64 remembered filters.
pub struct Guide<'a> {
    run: &'a TrainedRun,
    stock: &'a Stock,
    maker: ListMaker<'a>,
    /// Item rows that may be listed, ascending.
    listed: Vec<u32>,
    /// Whether the maker has just these on offer, under the rules of the configuration.
    whole: bool,
    filtered: Vec<(Filter, Vec<u32>)>,
    workshop: Workshop,
    scratch: Scratch,
    free: Vec<u32>,
    spent: Spent,
}

/// Where the time of an answer went.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Spent {
    /// Scoring all candidates.
    pub score: Duration,
    /// Building and explaining the list.
    pub list: Duration,
}

/// Candidates in order of what they are worth. Its memory is a handful of vectors, however many candidates there are.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Ranking {
    /// Most first.
    pub items: Vec<Ranked>,
    /// Names of the binary tasks.
    pub tasks: Vec<String>,
    /// Their probabilities: `[items, tasks]`, items in order.
    pub heads: Vec<f32>,
}

/// A candidate and what it is worth.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Ranked {
    /// Its place among the candidates asked for.
    pub candidate: usize,
    /// Whether it is on offer; otherwise it was scored as an item of which nothing is known.
    pub known: bool,
    /// Utility under the weights asked for.
    pub score: f32,
}

impl Ranking {
    /// Probability of each binary task for the item at `place`, by name.
    pub fn heads(&self, place: usize) -> impl Iterator<Item = (&str, f32)> {
        let own = &self.heads[place * self.tasks.len()..][..self.tasks.len()];
        self.tasks.iter().map(String::as_str).zip(own.iter().copied())
    }
}

impl<'a> Guide<'a> {
    /// For a team of at most `threads`.
    ///
    /// # Errors
    ///
    /// Where nothing is on offer, or a rule of the configuration names what there is none of.
    pub fn new(run: &'a TrainedRun, stock: &'a Stock, threads: usize) -> Result<Self> {
        let frozen = FrozenItems::of(run, stock, &mut Team::new(threads));
        Self::with_frozen(run, (stock, Arc::new(frozen)), threads)
    }

    /// The same where the items of the stock are frozen already: nothing is computed but what rules need. `frozen` was
    /// made from this run, and brought up to date with every change of the stock.
    ///
    /// # Errors
    ///
    /// As [`Guide::new`].
    pub fn with_frozen(
        run: &'a TrainedRun,
        (stock, frozen): (&'a Stock, Arc<FrozenItems>),
        threads: usize,
    ) -> Result<Self> {
        let listed: Vec<u32> = stock.listed().collect();
        let goods = (Goods::from(stock), frozen);
        let maker = ListMaker::with_frozen(run, goods, &listed, threads)?;
        Ok(Self {
            run,
            stock,
            maker,
            listed,
            whole: true,
            filtered: Vec::new(),
            workshop: Workshop::default(),
            scratch: Scratch::default(),
            free: Vec::new(),
            spent: Spent::default(),
        })
    }

    /// Where the time of the last answer went.
    pub fn spent(&self) -> Spent {
        self.spent
    }

    /// One list for a person who comes at `time`; of their past counts what is strictly earlier.
    ///
    /// # Errors
    ///
    /// Where the ask names an unknown context feature, objective, builder, attribute, value or item, a rule cannot be met,
    /// or nothing is left to show.
    pub fn recommend(
        &mut self,
        ask: &Ask,
        (visitor, time): (&Visitor, i64),
        team: &mut Team,
    ) -> Result<Recommendation> {
        let started = Instant::now();
        let (run, stock) = (self.run, self.stock);
        let lists = &run.config.lists;
        let weights = ask.weights.map_or_else(|| configured_weights(run), Ok)?;
        let mut wish = Wish::configured(lists, weights, ask.k.unwrap_or(lists.k))?;
        if wish.k == 0 {
            return Err(Error::config("k", "expected at least 1, got 0"));
        }
        if let Some(explore) = ask.explore {
            check_explore(explore)?;
            wish.explore = explore;
        }
        if let Some(name) = &ask.builder {
            wish.builder = builder(name)?;
        }
        self.offer(ask)?;
        let context = context_columns(run, &ask.context, time)?;
        let people = visitor.people();
        let visit = Visit { people: &people, user: 1, time, context: (&context, 0) };
        let Self { maker, workshop, scratch, free, .. } = self;
        let scored = maker.score(&visit, team);
        let score = started.elapsed();
        let made = scored.list(&wish, workshop)?;
        let moved = match made.scored.rules()? {
            None => vec![None; made.list.len()],
            Some(rules) => {
                wish.builder.build(&made.candidates, &made.objective, scratch, free)?;
                moved_by(&rules, free, made.list)
            }
        };
        let answer = explained(run, stock, &made, &weights, moved);
        self.spent = Spent { score, list: started.elapsed().saturating_sub(score) };
        Ok(Recommendation { user: ask.user.clone(), known: visitor.is_known(), ..answer })
    }

    /// Candidates by what they are worth to a person, most first; ties in the order of their ids.
    ///
    /// # Errors
    ///
    /// Without candidates, and as [`Guide::recommend`].
    pub fn rank(
        &mut self,
        candidates: &[&str],
        (context, weights): (&BTreeMap<String, String>, Option<Weights>),
        (visitor, time): (&Visitor, i64),
        team: &mut Team,
    ) -> Result<Ranking> {
        let started = Instant::now();
        let (run, stock) = (self.run, self.stock);
        let weights = weights.map_or_else(|| configured_weights(run), Ok)?;
        let rows: Vec<u32> = candidates.iter().map(|id| stock.row(id).unwrap_or(0)).collect();
        let mut items = rows.clone();
        items.sort_unstable();
        items.dedup();
        if items.is_empty() {
            return Err(Error::config("candidates", "expected at least one item, got none"));
        }
        self.whole = false;
        self.maker.offer_without_rules(&items);
        let context = context_columns(run, context, time)?;
        let people = visitor.people();
        let visit = Visit { people: &people, user: 1, time, context: (&context, 0) };
        let scored = self.maker.score(&visit, team);
        let score = started.elapsed();
        let mut utility = Vec::new();
        weights.utility(&scored.heads, items.len(), &mut utility)?;
        let place = |row: u32| items.binary_search(&row).expect("every row was offered");
        let worth = rows.iter().enumerate().map(|(candidate, &row)| {
            (Ranked { candidate, known: row != 0, score: utility[place(row)] }, place(row))
        });
        let mut worth: Vec<(Ranked, usize)> = worth.collect();
        let id = |ranked: &Ranked| candidates[ranked.candidate];
        worth.sort_unstable_by(|(a, _), (b, _)| {
            let by_id = || id(a).cmp(id(b)).then(a.candidate.cmp(&b.candidate));
            b.score.total_cmp(&a.score).then_with(by_id)
        });
        let binary = run.config.tasks.iter().zip(scored.probabilities);
        let binary: Vec<_> = binary.filter(|(task, _)| task.kind == TaskKind::Binary).collect();
        let heads = worth
            .iter()
            .flat_map(|&(_, place)| binary.iter().map(move |(_, p)| p[place]))
            .collect();
        let ranking = Ranking {
            tasks: binary.iter().map(|(task, _)| task.name.clone()).collect(),
            heads,
            items: worth.into_iter().map(|(ranked, _)| ranked).collect(),
        };
        self.spent = Spent { score, list: started.elapsed().saturating_sub(score) };
        Ok(ranking)
    }

    /// Has the maker offer what an ask allows.
    fn offer(&mut self, ask: &Ask) -> Result<()> {
        let stock = self.stock;
        let plain = ask.exclude.is_empty() && ask.candidates.is_none() && ask.filter.is_none();
        let no_rules = ask.rules == ListRules::default();
        if plain && no_rules && self.whole {
            return Ok(());
        }
        let passing = ask.filter.as_ref().map(|filter| self.passing(filter)).transpose()?;
        let allowed = passing.map_or(&self.listed, |place| &self.filtered[place].1);
        let mut items = match &ask.candidates {
            None => allowed.clone(),
            Some(ids) => {
                let rows = ids.iter().filter_map(|id| stock.row(id));
                let mut rows: Vec<u32> =
                    rows.filter(|row| allowed.binary_search(row).is_ok()).collect();
                rows.sort_unstable();
                rows.dedup();
                rows
            }
        };
        if !ask.exclude.is_empty() {
            let mut out: Vec<u32> = ask.exclude.iter().filter_map(|id| stock.row(id)).collect();
            out.sort_unstable();
            items.retain(|row| out.binary_search(row).is_err());
        }
        if items.is_empty() && ask.filter.is_some() {
            return Err(Error::config("filter", "no item that may be shown passes it"));
        }
        // Not again after a fault: what was offered before may be gone by then.
        self.whole = false;
        self.maker.offer(&items, &ask.rules)?;
        self.whole = plain && no_rules;
        Ok(())
    }

    /// Place among the remembered filters of what passes this one.
    fn passing(&mut self, filter: &Filter) -> Result<usize> {
        if let Some(place) = self.filtered.iter().position(|(known, _)| known == filter) {
            return Ok(place);
        }
        let (run, stock) = (self.run, self.stock);
        let known = stock.attribute_names(run);
        for name in filter.names() {
            if known.binary_search_by(|own| own.as_str().cmp(name)).is_err() {
                let more = known.len().saturating_sub(MOST_LISTED);
                let some = known[..known.len().min(MOST_LISTED)].join(", ");
                let more = if more > 0 { format!(" or {more} others") } else { String::new() };
                return Err(Error::config(
                    "filter",
                    format!("expected one of {some}{more}, got `{name}`"),
                ));
            }
        }
        let passes = |row: &u32| filter.passes(&|name| stock.attribute(run, *row, name));
        let rows = self.listed.iter().copied().filter(passes).collect();
        if self.filtered.len() == REMEMBERED {
            self.filtered.remove(0);
        }
        self.filtered.push((filter.clone(), rows));
        Ok(self.filtered.len() - 1)
    }
}

/// Probability of each binary task.
fn heads(run: &TrainedRun, scored: &Scored<'_>, candidate: usize) -> BTreeMap<String, f32> {
    let tasks = run.config.tasks.iter().zip(scored.probabilities);
    tasks
        .filter(|(task, _)| task.kind == TaskKind::Binary)
        .map(|(task, p)| (task.name.clone(), p[candidate]))
        .collect()
}

/// A list as people see it, whoever it is for.
fn explained(
    run: &TrainedRun,
    stock: &Stock,
    made: &Made<'_>,
    weights: &Weights,
    moved: Vec<Option<String>>,
) -> Recommendation {
    let scored = made.scored;
    let why = |objective| explain(made.list, &made.candidates, objective, weights, &scored.heads);
    let mut reasons = why(&made.objective);
    // Items are chosen for what is aimed at; the list is measured by what is wanted.
    reasons.list = why(&Objective { wanted_mix: scored.mix, ..made.objective }).list;
    let row = |candidate: u32| scored.items[candidate as usize];
    let items = made.list.iter().zip(reasons.items).zip(reasons.displaced.iter().zip(moved));
    let items = items.map(|((&candidate, contributions), (displaced, moved_by))| {
        let (item, displaced) = (row(candidate), displaced.map(row));
        Item {
            item_id: stock.id(item).to_string(),
            title: stock.title(item).map(str::to_string),
            category: stock.category(item).map(str::to_string),
            price: stock.price(item),
            score: made.candidates.utility[candidate as usize],
            heads: heads(run, &scored, candidate as usize),
            contributions,
            reasons: Reasons {
                moved_by,
                displaced: displaced.map(|item| stock.id(item).to_string()),
                displaced_title: displaced.and_then(|item| stock.title(item)).map(str::to_string),
            },
        }
    });
    let categories = &stock.catalogue.categories;
    Recommendation {
        user: String::new(),
        known: false,
        items: items.collect(),
        list: reasons.list,
        wanted: Wanted {
            mix: categories.iter().cloned().zip(scored.mix.iter().copied()).collect(),
            novelty: scored.novelty,
        },
    }
}

/// Context of the request, one row: the values given, then the parts of the request's time, the rest unknown.
fn context_columns(
    run: &TrainedRun,
    given: &BTreeMap<String, String>,
    time: i64,
) -> Result<Vec<Column>> {
    let space = &run.stored.space;
    let mut columns = unknown_columns(run, Side::Context, 1);
    let context =
        || space.fields.iter().zip(&space.encodings).filter(|(f, _)| f.side == Side::Context);
    for (field, encoding) in context() {
        if matches!(encoding, Encoding::Hour | Encoding::Weekday) && time > 0 {
            columns[field.column] = encode_time(time, encoding);
        }
    }
    for (name, value) in given {
        let Some((field, encoding)) = context().find(|(f, _)| f.name == *name) else {
            let names: Vec<&str> = context().map(|(f, _)| f.name.as_str()).collect();
            return Err(Error::config(
                "context",
                format!("expected one of {names:?}, got `{name}`"),
            ));
        };
        let key = format!("context.{name}");
        columns[field.column] = encode_cell(&run.config, (field, encoding), value, None, &key)?;
    }
    Ok(columns)
}

/// Names of the context features of a run, each with the values it knows; `None`: any.
pub fn context_values(run: &TrainedRun) -> Vec<(String, Option<Vec<String>>)> {
    let space = &run.stored.space;
    let context = space.fields.iter().zip(&space.encodings);
    let context = context.filter(|(field, _)| field.side == Side::Context);
    context
        .map(|(field, encoding)| match encoding {
            Encoding::Vocabulary { values } => (field.name.clone(), Some(values.clone())),
            _ => (field.name.clone(), None),
        })
        .collect()
}

/// Objectives that a run can be asked for, each with the weight of its configuration, and whether it has what it takes.
pub fn objectives(run: &TrainedRun) -> Vec<(&'static str, f64, bool)> {
    let weight = |name: &str| run.config.lists.objectives.get(name).copied().unwrap_or(0.0);
    Weights::NAMES.iter().map(|&name| (name, weight(name), can_serve(run, name))).collect()
}
