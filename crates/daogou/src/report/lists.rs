//! What lists look like: those of the log in the model's order, and those built from the whole catalogue.

use maud::{Markup, html};

use super::chart::Table;
use super::numbers::{count, fixed, interval, percent};
use super::{MAKERS, Section};
use crate::evaluate::Evaluation;
use crate::metrics::ListReport;

/// A metric of lists: its name, and how it is shown.
type Shown = (&'static str, fn(&ListReport) -> String);

const ORDER: [Shown; 4] = [
    ("NDCG", |r| fixed(r.ndcg, 4)),
    ("recall", |r| fixed(r.recall, 4)),
    ("MRR", |r| fixed(r.mrr, 4)),
    ("MAP", |r| fixed(r.map, 4)),
];

const BUILT: [Shown; 9] = [
    ("KL to wanted", |r| fixed(r.kl, 3)),
    ("entropy", |r| fixed(r.category_entropy, 3)),
    ("categories", |r| percent(r.coverage, 0)),
    ("ILD", |r| fixed(r.ild, 3)),
    ("ILD cos", |r| fixed(r.ild_vectors, 3)),
    ("unseen", |r| percent(r.unseen_share, 1)),
    ("long tail", |r| percent(r.long_tail_share, 1)),
    ("catalogue", |r| percent(r.catalogue_coverage, 1)),
    ("Gini", |r| fixed(r.gini, 3)),
];

/// A column per metric that somebody has.
fn table<'a>(rows: impl Iterator<Item = (&'a str, &'a ListReport)>, metrics: &[Shown]) -> Table {
    let rows: Vec<(&str, &ListReport)> = rows.collect();
    let defined = |(_, show): &&Shown| rows.iter().any(|(_, report)| show(report) != "–");
    let metrics: Vec<&Shown> = metrics.iter().filter(defined).collect();
    let head: Vec<&str> =
        std::iter::once("lists").chain(metrics.iter().map(|metric| metric.0)).collect();
    let mut table = Table::new(&head);
    for (name, report) in &rows {
        let cells = metrics.iter().map(|(_, show)| show(report));
        table.rows.push(std::iter::once((*name).to_string()).chain(cells).collect());
    }
    table
}

/// A sentence on how near lists are to what is wanted; `None` where nobody says what is wanted.
pub(super) fn verdict(evaluation: &Evaluation) -> Option<Markup> {
    let built = &evaluation.lists.built;
    let model = built.get("model")?;
    let (own, other) = (model.kl?, built.get("click_top_k")?.kl?);
    let ends = model.intervals.get("kl");
    Some(html! {
        strong { "Lists" } " KL to the wanted mix " (fixed(Some(own), 3))
        " " span.interval { (interval(ends, 3)) }
        ": " (if own < other { "nearer than" } else { "not nearer than" })
        " the items of highest click probability (" (fixed(Some(other), 3)) ")."
    })
}

/// Both tables; `None` where there are no lists.
pub(super) fn section(evaluation: &Evaluation) -> Option<Section> {
    let built = &evaluation.lists.built;
    let order = evaluation.lists.order.as_ref();
    let model = built.get("model");
    if order.is_none() && model.is_none() {
        return None;
    }
    let body = html! {
        @if let Some(model) = model {
            p {
                "Lists of " (model.k) " built from the whole catalogue for "
                (count(model.n)) " requests, with what was known before each; beside the items of "
                "highest click probability, those clicked most in training, and what was shown. "
                "What a person would have clicked in a list "
                "that was never shown, a log does not tell: here is what lists are made of."
            }
            ({
                let rows = MAKERS.iter().filter_map(|(who, name)| Some((*name, built.get(*who)?)));
                table(rows, &BUILT).markup()
            })
            p.small {
                "KL and entropy in nats; categories: distinct ones over the most a list could "
                "have; ILD: share of pairs of different category; ILD cos: mean 1 − cosine of the "
                "items' learned vectors; unseen: not shown to this person before; long tail: "
                "outside the items with 80 % of the clicks; catalogue: shown in at least one "
                "list; Gini: 0 where all items are shown equally often."
            }
        }
        @if let Some(order) = order {
            p {
                "Logged lists put in the model's order, measured at " (order.k)
                " against clicks and purchases:"
            }
            ({
                let others = evaluation.list_baselines.iter().map(|(name, r)| (order_of(name), r));
                table(std::iter::once(("model", order)).chain(others), &ORDER).markup()
            })
        }
    };
    Some(Section { id: "lists", title: "Lists", body, charts: Vec::new() })
}

fn order_of(baseline: &str) -> &str {
    match baseline {
        "logged" => "as logged",
        "popularity" => "by the item's rate",
        other => other,
    }
}
