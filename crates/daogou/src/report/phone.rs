//! Example lists as a person would meet them: a phone screen, with what was wanted and what is shown.

use maud::{Markup, html};

use super::numbers::{amount, fixed, percent};
use super::{Material, Section, facts};
use crate::evaluate::{Built, BuiltList, BuiltVisit};
use crate::lists::Contributions;
use crate::run::TrainedRun;
use crate::schema::{Role, TaskKind};

/// Lists shown.
const EXAMPLES: usize = 5;

/// Categories of a mix that get a line.
const LINES: usize = 7;

/// `None` without lists.
pub(super) fn section(material: &Material<'_>, built: &Built) -> Option<Section> {
    let Material { run, data, .. } = *material;
    if built.visits.is_empty() {
        return None;
    }
    let chosen = examples(&built.visits, |visit| data.requests.user[visit.request]);
    let body = html! {
        p {
            "Spread evenly over the requests that lists were built for, one per person: nobody "
            "chose them. Pictures are swatches by category. Percentages are what the heads say"
            @if run.config.task_of(Role::Purchase).is_some() { "; of a purchase: once clicked" }
            ". "
            b.badge { "new" } " was never shown to this person before; "
            b.badge { "variety" } " and "
            b.badge { "novelty" }
            " stand where that objective gained more from an item than clicks and orders did, or "
            "where the item took the place of one that would sell better by itself."
        }
        div.visits { @for visit in chosen { (example(material, visit)) } }
    };
    Some(Section { id: "examples", title: "Example lists", body, charts: Vec::new() })
}

/// Visits spread evenly, of different people as long as there are any.
fn examples(visits: &[BuiltVisit], user: impl Fn(&BuiltVisit) -> u32) -> Vec<&BuiltVisit> {
    let mut people: Vec<&BuiltVisit> = Vec::new();
    let mut seen = std::collections::BTreeSet::new();
    for visit in visits {
        if seen.insert(user(visit)) {
            people.push(visit);
        }
    }
    let n = EXAMPLES.min(people.len());
    (0..n).map(|i| people[i * people.len() / n]).collect()
}

fn example(material: &Material<'_>, visit: &BuiltVisit) -> Markup {
    let Material { run, data, .. } = *material;
    let user = data.requests.user[visit.request] as usize;
    let list = &visit.lists["model"];
    let when = data.requests.time.get(visit.request).map(|&time| facts::minute(time));
    let name = data.users.ids[user].as_str();
    let l = &visit.reasons.list;
    let promises: Vec<(&str, String)> = [
        ("expected clicks", l.expected_clicks.map(|v| fixed(Some(v), 2))),
        ("expected orders", l.expected_orders.map(|v| fixed(Some(v), 3))),
        ("KL to wanted", l.kl.map(|v| fixed(Some(v), 3))),
        ("wanted new", visit.novelty.map(|v| percent(Some(f64::from(v)), 0))),
        ("shown new", l.novelty.filter(|_| when.is_some()).map(|v| percent(Some(v), 0))),
    ]
    .into_iter()
    .filter_map(|(name, value)| Some((name, value?)))
    .collect();
    html! {
        article.visit {
            h3 {
                @if user == 0 { "somebody new" } @else { bdi { (name) } }
                @if let Some(when) = &when { " " small { (when) } }
            }
            div.phone {
                div.notch aria-hidden="true" {}
                ol.cards {
                    @for (place, &item) in list.items.iter().enumerate() {
                        (card(run, visit, list, place, item as usize))
                    }
                }
            }
            dl.promises { @for (name, value) in &promises { div { dt { (name) } dd { (value) } } } }
            (mix(run, visit, list))
        }
    }
}

/// One item of a list.
fn card(
    run: &TrainedRun,
    visit: &BuiltVisit,
    list: &BuiltList,
    place: usize,
    item: usize,
) -> Markup {
    let catalogue = &run.stored.catalogue;
    let title = title(run, item);
    let category = catalogue.category.get(item).map(|&c| usize::from(c));
    let category = category.and_then(|c| Some((c, catalogue.categories.get(c)?.as_str())));
    let price = catalogue.price.get(item).copied().filter(|price| price.is_finite());
    let heads = run.config.tasks.iter().zip(&visit.probabilities);
    let heads = heads.filter(|(task, own)| task.kind == TaskKind::Binary && place < own.len()).map(
        |(task, own)| {
            let p = f64::from(own[place]);
            // Two digits that count.
            (task.name.as_str(), percent(Some(p), usize::from(p < 0.0995)))
        },
    );
    let heads: Vec<(&str, String)> = heads.collect();
    let displaced = visit.reasons.displaced[place];
    let new = list.unseen.get(place) == Some(&true);
    let why = why(&visit.reasons.items[place], displaced.is_some());
    html! {
        li.card {
            (swatch(category))
            div.about {
                p.title { bdi { (title) } }
                p.meta {
                    @if let Some((_, name)) = category { bdi { (name) } }
                    @if let Some(price) = price { span.price { (amount(f64::from(price))) } }
                }
                p.meta {
                    @for (i, (task, p)) in heads.iter().enumerate() {
                        @if i > 0 { " · " }
                        (task) " " (p)
                    }
                }
                @if new || why.is_some() {
                    p.badges {
                        @if new { b.badge { "new" } }
                        @if let Some(why) = why { b.badge { (why) } }
                        @if let Some(other) = displaced {
                            span.instead {
                                "instead of " bdi { (self::title(run, other as usize)) }
                            }
                        }
                    }
                }
            }
        }
    }
}

/// The objective over whole lists that an item stands here for: the one that gained more from it than what the item
/// earns by itself, or gained most where it took a better seller's place.
fn why(c: &Contributions, took_a_place: bool) -> Option<&'static str> {
    let own = c.click + c.purchase + c.revenue + c.bonus;
    let (name, gain) =
        if c.diversity >= c.novelty { ("variety", c.diversity) } else { ("novelty", c.novelty) };
    (gain > own || (took_a_place && gain > 0.0)).then_some(name)
}

/// Text for people where the log has it, else the id.
fn title(run: &TrainedRun, item: usize) -> &str {
    let title = run.stored.catalogue.title.get(item).filter(|title| !title.is_empty());
    title.unwrap_or(&run.stored.items.ids[item])
}

/// A picture's place: a hue of the category's own, and its first letters.
fn swatch(category: Option<(usize, &str)>) -> Markup {
    // Golden angle: neighbours in number are far apart in hue.
    let hue = category.map_or(0, |(number, _)| (number * 137 + 205) % 360);
    let letters: String = category.map_or("?", |(_, name)| name).chars().take(2).collect();
    let plain = if category.is_some() { "" } else { " plain" };
    html! {
        span class={ "swatch" (plain) } style={ "--h:" (hue) } aria-hidden="true" { (letters) }
    }
}

/// Wanted and shown shares of the categories that matter most to this visit.
fn mix(run: &TrainedRun, visit: &BuiltVisit, list: &BuiltList) -> Markup {
    let catalogue = &run.stored.catalogue;
    if catalogue.categories.is_empty() || visit.wanted.is_empty() {
        return html! {};
    }
    let mut shown = vec![0.0; catalogue.categories.len()];
    for &item in &list.items {
        let category = usize::from(catalogue.category[item as usize]);
        if let Some(share) = shown.get_mut(category) {
            *share += 1.0 / list.items.len() as f64;
        }
    }
    let wanted = |c: usize| f64::from(visit.wanted[c]);
    let mut order: Vec<usize> = (0..shown.len()).collect();
    order.sort_by(|&a, &b| {
        let of = |c: usize| wanted(c).max(shown[c]);
        of(b).total_cmp(&of(a)).then(a.cmp(&b))
    });
    let (lines, rest) = order.split_at(LINES.min(order.len()));
    let sums = |of: &dyn Fn(usize) -> f64| rest.iter().map(|&c| of(c)).sum::<f64>();
    let bar = |share: f64| format!("width:{:.0}%", (100.0 * share).clamp(0.0, 100.0));
    let line = |name: &str, wanted: f64, shown: f64| {
        html! {
            tr {
                th scope="row" { bdi { (name) } }
                td.bars aria-hidden="true" {
                    span.wanted style=(bar(wanted)) {}
                    span.shown style=(bar(shown)) {}
                }
                td { (percent(Some(wanted), 0)) }
                td { (percent(Some(shown), 0)) }
            }
        }
    };
    html! {
        table.mix {
            thead {
                tr {
                    th scope="col" { "mix" }
                    th.bars scope="col" aria-hidden="true" {}
                    th scope="col" { "wanted" }
                    th scope="col" { "shown" }
                }
            }
            tbody {
                @for &c in lines { (line(&catalogue.categories[c], wanted(c), shown[c])) }
                @if !rest.is_empty() { (line("all others", sums(&wanted), sums(&|c| shown[c]))) }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_item_stands_for_what_gained_most_from_it() {
        let c = |click, diversity, novelty| Contributions {
            click,
            diversity,
            novelty,
            ..Contributions::default()
        };
        assert_eq!(why(&c(0.1, 0.2, 0.0), false), Some("variety"));
        assert_eq!(why(&c(0.1, 0.05, 0.2), false), Some("novelty"));
        assert_eq!(why(&c(0.3, 0.2, 0.0), false), None);
        assert_eq!(why(&c(0.3, 0.2, 0.0), true), Some("variety"));
        assert_eq!(why(&c(0.3, -0.1, 0.0), true), None);
    }

    #[test]
    fn examples_are_of_different_people() {
        let visit = |request| BuiltVisit {
            request,
            wanted: Vec::new(),
            novelty: None,
            lists: [].into(),
            reasons: crate::lists::Explanation::default(),
            probabilities: Vec::new(),
        };
        let visits: Vec<BuiltVisit> = (0..40).map(visit).collect();
        let of = |users: u32| -> Vec<usize> {
            let chosen = examples(&visits, |visit| visit.request as u32 % users);
            chosen.iter().map(|visit| visit.request).collect()
        };
        assert_eq!(of(40), [0, 8, 16, 24, 32]);
        assert_eq!(of(3), [0, 1, 2]);
    }
}
