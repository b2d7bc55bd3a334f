//! Answers that take the place of the run's own.

use std::ops::Range;

use super::Heads;
use crate::data::Dataset;
use crate::evaluate::{TaskScores, baselines};
use crate::list_maker::Scored;
use crate::run::TrainedRun;
use crate::schema::{Config, Role};
use crate::simulate::replay::Moment;
use crate::simulate::{CATEGORIES, World};

/// What baselines say is wanted, for a range of requests.
pub(super) struct Wants {
    first: usize,
    /// By request; `None` without the head.
    mix: Option<(usize, Vec<f32>)>,
    novelty: Option<Vec<f32>>,
}

impl Wants {
    /// What the user's own past says.
    pub(super) fn history(config: &Config, data: &Dataset, requests: &Range<usize>) -> Self {
        Self::of(config, requests, baselines::user_history(config, data, requests))
    }

    /// What everybody's past says.
    pub(super) fn constant(config: &Config, data: &Dataset, requests: &Range<usize>) -> Self {
        Self::of(config, requests, baselines::constant(config, data, requests))
    }

    fn of(config: &Config, requests: &Range<usize>, answers: baselines::Answers) -> Self {
        let mut wants = Self { first: requests.start, mix: None, novelty: None };
        for (task, scores) in answers {
            match scores {
                TaskScores::Mix { classes, shares }
                    if config.task_of(Role::Diversity) == Some(task) =>
                {
                    wants.mix = Some((classes, shares));
                }
                TaskScores::Share(shares) if config.task_of(Role::Novelty) == Some(task) => {
                    wants.novelty = Some(shares);
                }
                _ => {}
            }
        }
        wants
    }

    /// What is wanted in one request, in place of what the run says; where the baseline is silent, as on a log whose
    /// answers belong to rows, the run's stays.
    pub(super) fn put<'m>(&'m self, scored: Scored<'m>, request: usize) -> Scored<'m> {
        let row = request - self.first;
        let mix = self.mix.as_ref().and_then(|(n, mix)| mix.get(row * n..(row + 1) * n));
        let novelty = self.novelty.as_ref().and_then(|shares| shares.get(row).copied());
        Scored {
            mix: mix.filter(|_| !scored.mix.is_empty()).unwrap_or(scored.mix),
            novelty: scored.novelty.map(|own| novelty.unwrap_or(own)),
            ..scored
        }
    }
}

/// The truth of a simulated log, as answers.
pub(super) struct Oracle {
    /// Number in the simulation of every item row; `u32::MAX` for none.
    numbers: Vec<u32>,
    /// Place in [`CATEGORIES`] of every category of the run.
    places: Vec<usize>,
    click: Vec<f32>,
    purchase: Vec<f32>,
    mix: Vec<f32>,
}

impl Oracle {
    /// `None` where items or categories are not the simulation's.
    pub(super) fn new(run: &TrainedRun, world: &World) -> Option<Self> {
        let place = |name: &String| CATEGORIES.iter().position(|category| category.name == *name);
        let places = run.stored.catalogue.categories.iter().map(place).collect::<Option<_>>()?;
        let ids = run.stored.items.ids.iter().enumerate();
        let numbers = ids
            .map(|(row, id)| match row {
                0 => Some(u32::MAX),
                _ => World::item_number(id).filter(|&n| (n as usize) < world.items().len()),
            })
            .collect::<Option<_>>()?;
        Some(Self { numbers, places, click: vec![], purchase: vec![], mix: vec![] })
    }

    /// Meets a moment: works out what this person wants. O(items of the catalogue).
    pub(super) fn meet(&mut self, moment: &Moment<'_>, items: &[u32]) {
        let wanted = moment.wanted_mix();
        self.mix.clear();
        self.mix.extend(self.places.iter().map(|&place| wanted[place] as f32));
        self.click.clear();
        self.purchase.clear();
        for &item in items {
            let (click, purchase) = moment.probabilities(self.numbers[item as usize]);
            self.click.push(click as f32);
            self.purchase.push(purchase as f32);
        }
    }

    /// The mix that this person truly wants.
    pub(super) fn mix(&self) -> &[f32] {
        &self.mix
    }

    /// Numbers of listed item rows, into `numbers`.
    pub(super) fn numbers(&self, items: impl Iterator<Item = u32>, numbers: &mut Vec<u32>) {
        numbers.clear();
        numbers.extend(items.map(|item| self.numbers[item as usize]));
    }

    /// The true mix in place of what the run says.
    pub(super) fn put_mix<'m>(&'m self, scored: Scored<'m>) -> Scored<'m> {
        Scored { mix: if scored.mix.is_empty() { scored.mix } else { &self.mix }, ..scored }
    }

    /// All truth in place of what the run says.
    pub(super) fn put<'m>(&'m self, scored: Scored<'m>) -> Scored<'m> {
        Scored {
            heads: crate::lists::Heads {
                click: scored.heads.click.map(|_| self.click.as_slice()),
                purchase: scored.heads.purchase.map(|_| self.purchase.as_slice()),
                ..scored.heads
            },
            novelty: scored.novelty.map(|_| 1.0),
            ..self.put_mix(scored)
        }
    }
}

/// Whose answers a trial uses, made ready for one request.
pub(super) fn of<'m>(
    heads: Heads,
    scored: Scored<'m>,
    (history, constant, oracle): (&'m Wants, &'m Wants, Option<&'m Oracle>),
    request: usize,
) -> Option<Scored<'m>> {
    Some(match heads {
        Heads::Trained => scored,
        Heads::History => history.put(scored, request),
        Heads::Constant => constant.put(scored, request),
        Heads::TrueMix => oracle?.put_mix(scored),
        Heads::Oracle => oracle?.put(scored),
    })
}
