//! For whom and for what it works: the metrics of yes-or-no tasks on parts of the test rows.

use std::ops::Range;

use maud::html;

use super::chart::{Chart, Ink, Key, Line, Table};
use super::numbers::{count, fixed, interval, percent};
use super::plot::Axis;
use super::rows::{Rows, Values};
use super::{Asked, Material, Section, asked};
use crate::Result;
use crate::data::{Column, Dataset, Encoding, FieldKind};
use crate::evaluate::{
    BinaryAnswers, EvaluateOptions, Predictions, TaskScores, binary_answers, users_of_impressions,
};
use crate::metrics::{BinaryInput, BinaryReport};
use crate::schema::{Role, Side};

/// Positives, and negatives, that a segment needs: with fewer an AUC is mostly luck.
const ENOUGH: u64 = 10;

/// Earlier events from which a user is no longer new.
const NEW_BELOW: u32 = 3;

/// Training impressions from which an item is no longer cold.
const COLD_BELOW: u32 = 50;

/// Values of a user-side feature, at most, to be told apart.
const MOST_VALUES: usize = 8;

/// Rows that have something in common.
#[derive(Debug, PartialEq)]
struct Segment {
    /// What is told apart.
    of: String,
    name: String,
    /// Impressions, counted from the first of the range.
    rows: Vec<u32>,
}

/// One table per yes-or-no question; `None` where there is none.
pub(super) fn section(
    material: &Material<'_>,
    predictions: &Predictions,
    options: &EvaluateOptions,
) -> Result<Option<Section>> {
    let Material { run, data, .. } = *material;
    let test = data.split.test.clone();
    let scores: Vec<Option<&TaskScores>> = predictions.tasks.iter().map(Some).collect();
    let users = users_of_impressions(data, &test);
    let segments = segments(data, &test, users.len(), run.config.task_of(Role::Click).is_some());
    let mut charts = Vec::new();
    let mut tables = Vec::new();
    let asked = asked(&run.config);
    for index in 0..run.config.tasks.len() {
        for answers in binary_answers(&run.config, data, &test, &scores, index) {
            let Some(asked) = asked.iter().find(|asked| asked.report == answers.name) else {
                continue;
            };
            let reports = segments
                .iter()
                .map(|segment| measured(&answers, segment, &users, options))
                .collect::<Result<Vec<_>>>()?;
            let table = table(&segments, &reports);
            match chart(asked, &segments, &reports, table.clone())? {
                Some(chart) => charts.push(chart),
                None => tables.push((asked.short.clone(), table)),
            }
        }
    }
    if charts.is_empty() && tables.is_empty() {
        return Ok(None);
    }
    let body = html! {
        p {
            "The same model on parts of the test rows. A user is new with fewer than "
            (NEW_BELOW) " events before the request; an item is cold with fewer than "
            (COLD_BELOW) " impressions in training. Segments with fewer than " (ENOUGH)
            " positives or negatives are too few to judge. Where the segment itself says much about "
            "the answer, an AUC within it is lower than one over all rows: compare a segment with "
            "its neighbours."
        }
        div.figures { @for chart in &charts { (chart.figure()) } }
        @for (name, table) in &tables { h3 { (name) } (table.markup()) }
    };
    Ok(Some(Section { id: "segments", title: "Segments", body, charts }))
}

/// Metrics of the rows that a segment shares with a question. `None`: too few of a kind.
fn measured(
    answers: &BinaryAnswers,
    segment: &Segment,
    users: &[u32],
    options: &EvaluateOptions,
) -> Result<(u64, u64, Option<BinaryReport>)> {
    // Both are ascending.
    let mut own = segment.rows.iter().peekable();
    let mut places = Vec::new();
    for (place, row) in (0..).zip(&answers.rows) {
        while own.next_if(|own| *own < row).is_some() {}
        if own.peek() == Some(&row) {
            places.push(place);
        }
    }
    let part = answers.part(&places);
    let n = part.labels.len() as u64;
    let positives = part.labels.iter().map(|&label| u64::from(label)).sum();
    if positives < ENOUGH || n - positives < ENOUGH {
        return Ok((n, positives, None));
    }
    let groups: Vec<u32> = part.rows.iter().map(|&row| users[row as usize]).collect();
    let input = BinaryInput { scores: part.scores(), labels: &part.labels, groups: &groups };
    Ok((n, positives, Some(BinaryReport::compute(&input, &options.bootstrap)?)))
}

type Measured = (u64, u64, Option<BinaryReport>);

fn table(segments: &[Segment], reports: &[Measured]) -> Table {
    let head = ["segment", "rows", "positives", "rate", "AUC", "95 % interval", "NE", "PCOC"];
    let mut table = Table::new(&head);
    for (segment, (n, positives, report)) in segments.iter().zip(reports) {
        let rate = (*n > 0).then(|| *positives as f64 / *n as f64);
        let mut row = vec![shown_name(segment), count(*n), count(*positives), percent(rate, 2)];
        match report {
            Some(r) => row.extend([
                fixed(r.auc, 4),
                interval(r.intervals.get("auc"), 3),
                fixed(r.ne, 3),
                fixed(r.pcoc, 2),
            ]),
            None => row.extend(["too few", "", "", ""].map(String::from)),
        }
        table.rows.push(row);
    }
    table
}

fn shown_name(segment: &Segment) -> String {
    match segment.of.as_str() {
        "" => segment.name.clone(),
        of => format!("{of}: {}", segment.name),
    }
}

/// AUC with its interval, segment by segment. `None` where all are too few.
fn chart(
    asked: &Asked,
    segments: &[Segment],
    reports: &[Measured],
    table: Table,
) -> Result<Option<Chart>> {
    let kept: Vec<(&Segment, &BinaryReport)> = segments
        .iter()
        .zip(reports)
        .filter_map(|(segment, (_, _, report))| Some((segment, report.as_ref()?)))
        .collect();
    let values: Vec<Option<f64>> = kept.iter().map(|(_, report)| report.auc).collect();
    let intervals: Vec<Option<[f64; 2]>> =
        kept.iter().map(|(_, report)| report.intervals.get("auc").copied()).collect();
    let ends = intervals.iter().flatten().flatten().chain(values.iter().flatten()).copied();
    let (low, high) = ends.fold((0.5f64, 0.5f64), |(low, high), v| (low.min(v), high.max(v)));
    if kept.is_empty() {
        return Ok(None);
    }
    let key = Key { ink: Ink::Series(0), line: Line::None, mark: true };
    let rows = Rows {
        name: format!("segments-{}", asked.file),
        title: format!("{} by segment", asked.short),
        note: format!(
            "AUC, {}, with its 95 % interval; the line is 0.5, guessing. Look for segments that \
             stand away from their neighbours.",
            asked.long
        ),
        x: Axis::new("AUC"),
        range: ((low - 0.02).max(0.0), (high + 0.02).min(1.0)),
        rule: Some(0.5),
        names: kept.iter().map(|(segment, _)| shown_name(segment)).collect(),
        series: vec![Values { name: "AUC".into(), numbers: values, intervals, key }],
    };
    rows.draw(table).map(Some)
}

/// Segments of a range that the log knows to tell apart, each with its rows; those without rows are left out.
fn segments(data: &Dataset, requests: &Range<usize>, n: usize, clicks: bool) -> Vec<Segment> {
    let mut all =
        vec![Segment { of: String::new(), name: "all".into(), rows: (0..n as u32).collect() }];
    let first = data.requests.impressions(requests).start;
    let request_of: Vec<usize> = requests
        .clone()
        .flat_map(|r| std::iter::repeat_n(r, data.requests.impressions(&(r..r + 1)).len()))
        .collect();
    let item = |row: usize| data.impressions.item[first + row] as usize;
    let mut split = |of: &str, names: &[String], class: &dyn Fn(usize) -> Option<usize>| {
        let mut rows: Vec<Vec<u32>> = vec![Vec::new(); names.len()];
        for row in 0..n {
            if let Some(own) = class(row).and_then(|class| rows.get_mut(class)) {
                own.push(row as u32);
            }
        }
        let filled = names.iter().zip(rows).filter(|(_, rows)| !rows.is_empty());
        all.extend(filled.map(|(name, rows)| Segment { of: of.into(), name: name.clone(), rows }));
    };
    // Without clicks, or without time, nobody is known to have done anything before.
    if clicks && !data.requests.time.is_empty() {
        let names = ["new", "known"].map(String::from);
        split("user", &names, &|row| {
            let r = request_of[row];
            let start = data.timelines.offsets[data.requests.user[r] as usize];
            let events = data.requests.history_end.get(r)?.saturating_sub(start);
            Some(usize::from(events >= NEW_BELOW))
        });
    }
    let names = ["not in training", "cold", "known"].map(String::from);
    split("item", &names, &|row| {
        let shown = data.catalogue.train_impressions.get(item(row))?;
        Some(match shown {
            0 => 0,
            1..COLD_BELOW => 1,
            _ => 2,
        })
    });
    for (field, encoding) in data.space.fields.iter().zip(&data.space.encodings) {
        let (Encoding::Vocabulary { values }, FieldKind::Id { .. }, Side::User) =
            (encoding, &field.kind, field.side)
        else {
            continue;
        };
        let Some(Column::Ids(ids)) = data.users.columns.get(field.column) else { continue };
        if values.len() > MOST_VALUES {
            continue;
        }
        let order = in_order(values);
        let mut names: Vec<String> = order.iter().map(|&i| values[i].clone()).collect();
        names.push("unknown".into());
        // Table row 0 is the unknown value, which comes last here.
        let place = |id: u32| match id {
            0 => Some(values.len()),
            id => order.iter().position(|&i| i + 1 == id as usize),
        };
        split(&field.name, &names, &|row| place(ids[data.requests.user[request_of[row]] as usize]));
    }
    split("category", &data.catalogue.categories, &|row| {
        data.catalogue.category.get(item(row)).map(|&category| usize::from(category))
    });
    all
}

/// Places of values in the order to show them: numbers by size, then everything else by its letters.
fn in_order(values: &[String]) -> Vec<usize> {
    let number = |i: usize| values[i].parse::<f64>().ok().filter(|v| v.is_finite());
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_by(|&a, &b| match (number(a), number(b)) {
        (Some(x), Some(y)) => x.total_cmp(&y),
        (Some(_), None) => std::cmp::Ordering::Less,
        (None, Some(_)) => std::cmp::Ordering::Greater,
        (None, None) => values[a].cmp(&values[b]),
    });
    order
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::{Catalogue, Impressions, Requests, SideTable, Timelines};

    #[test]
    fn numbers_come_by_size() {
        let values = ["10", "b", "9", "a", "-1"].map(String::from);
        assert_eq!(in_order(&values), [4, 2, 0, 3, 1]);
    }

    /// Requests of user 1 (no past), 2 (three events) and 0 (unknown), of items of three kinds.
    fn data() -> Dataset {
        let field = |name: &str, column| crate::data::Field {
            name: name.into(),
            side: Side::User,
            kind: FieldKind::Id { table: 0 },
            column,
        };
        let many = (0..=MOST_VALUES).map(|i| i.to_string()).collect();
        let space = crate::data::FeatureSpace {
            fields: vec![field("age", 0), field("id", 1)],
            encodings: vec![
                Encoding::Vocabulary { values: vec!["20".into(), "3".into()] },
                Encoding::Vocabulary { values: many },
            ],
            ..Default::default()
        };
        Dataset {
            space: std::sync::Arc::new(space),
            users: SideTable {
                ids: vec![String::new(), "u".into(), "v".into()],
                columns: vec![Column::Ids(vec![0, 1, 2]), Column::Ids(vec![0, 1, 2])],
            },
            items: SideTable::default(),
            catalogue: Catalogue {
                categories: vec!["<case>".into(), "phone".into(), "nothing".into()],
                category: vec![u16::MAX, 0, 1, 1],
                train_impressions: vec![0, 0, COLD_BELOW - 1, COLD_BELOW],
                ..Catalogue::default()
            },
            requests: Requests {
                user: vec![1, 2, 0],
                time: vec![5, 6, 7],
                offsets: vec![0, 2, 4, 5],
                history_end: vec![0, NEW_BELOW, 0],
                columns: Vec::new(),
            },
            impressions: Impressions { item: vec![1, 2, 3, 0, 3], ..Impressions::default() },
            timelines: Timelines { offsets: vec![0, 0, 0, NEW_BELOW], ..Timelines::default() },
            past: crate::data::Past::default(),
            targets: Vec::new(),
            split: crate::data::Split::default(),
            rows: Vec::new(),
            report: crate::data::LoadReport::default(),
        }
    }

    #[test]
    fn rows_are_told_apart_by_user_item_feature_and_category() {
        let mut data = data();
        let found = |data: &Dataset, requests: Range<usize>, n| -> Vec<(String, Vec<u32>)> {
            let all = segments(data, &requests, n, true);
            all.iter().map(|s| (shown_name(s), s.rows.clone())).collect()
        };
        let expected = [
            ("all", vec![0, 1, 2, 3, 4]),
            ("user: new", vec![0, 1, 4]),
            ("user: known", vec![2, 3]),
            ("item: not in training", vec![0, 3]),
            ("item: cold", vec![1]),
            ("item: known", vec![2, 4]),
            ("age: 3", vec![2, 3]),
            ("age: 20", vec![0, 1]),
            ("age: unknown", vec![4]),
            ("category: <case>", vec![0]),
            ("category: phone", vec![1, 2, 4]),
        ];
        let expected = expected.map(|(name, rows)| (name.to_string(), rows));
        assert_eq!(found(&data, 0..3, 5), expected);
        // Rows count from the first of the range.
        assert_eq!(found(&data, 1..3, 3)[1], ("user: new".to_string(), vec![2]));
        data.requests.time.clear();
        assert_eq!(found(&data, 0..3, 5)[1].0, "item: not in training", "no time, no past");
    }
}
