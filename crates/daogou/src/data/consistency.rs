//! Whether the parts of a stored log fit each other. A checksum says that a file is the one that was written, not that it
//! was written by us: whatever opens without a complaint can be served without a fault.

use super::dataset::{Column, SideTable};
use super::labels::MOST_CLASSES;
use super::load::find_feature;
use super::space::{Encoding, Field, FieldKind, LabelEncoding};
use super::store::Stored;
use crate::models::MAX_POSITIONS;
use crate::schema::{Config, Side, TaskKind};

/// What is wrong, and in which part.
pub(super) enum Unfit {
    Space(String),
    Users(String),
    Items(String),
    Catalogue(String),
    Past(String),
    Shown(String),
}

type Fits = Result<(), Unfit>;

/// Starts of ranges: `count + 1` of them, from 0 to `end`, none after the next.
pub(super) fn are_starts(offsets: &[u32], count: usize, end: usize) -> bool {
    offsets.len() == count + 1
        && offsets[0] == 0
        && offsets.is_sorted()
        && offsets[count] as usize == end
}

/// That all parts fit each other and the configuration. Costs a look at every value.
pub(super) fn check(stored: &Stored, config: &Config) -> Fits {
    space(stored, config)?;
    side(stored, Side::User, &stored.users).map_err(Unfit::Users)?;
    side(stored, Side::Item, &stored.items).map_err(Unfit::Items)?;
    catalogue(stored).map_err(Unfit::Catalogue)?;
    let (users, items) = (stored.users.ids.len(), stored.items.ids.len());
    let timelines = &stored.timelines;
    let events = timelines.item.len();
    let timed = [0, events].contains(&timelines.time.len());
    if !are_starts(&timelines.offsets, users, events)
        || !timed
        || timelines.weight.len() != events
        || !below(&timelines.item, items)
    {
        return Err(Unfit::Past("expected every user's events, of known items".into()));
    }
    if !stored.seen.fits(users, items) {
        return Err(Unfit::Past("expected what every user has seen, of known items".into()));
    }
    let popularity = !stored.space.reads_popularity() || stored.past.everyone.fits(items);
    if stored.space.reads_past() && !(stored.past.fits(items) && popularity) {
        return Err(Unfit::Shown(
            "expected tallies of known items, all columns of a length".into(),
        ));
    }
    Ok(())
}

fn below(values: &[u32], bound: usize) -> bool {
    values.iter().all(|&value| (value as usize) < bound)
}

/// Fields, their tables and encodings, and what the network was built for.
fn space(stored: &Stored, config: &Config) -> Fits {
    let (space, shape, tasks) = (&*stored.space, &stored.shape, &config.tasks);
    let wrong = |what: String| Err(Unfit::Space(what));
    if space.encodings.len() != space.fields.len() {
        return wrong(format!("expected {} encodings", space.fields.len()));
    }
    for (field, encoding) in space.fields.iter().zip(&space.encodings) {
        let read = *encoding != Encoding::Timeline && !encoding.is_past();
        if read && find_feature(config, field).is_none() {
            return wrong(format!("`{}` comes from no feature of the configuration", field.name));
        }
    }
    if space.tables.iter().any(|table| table.rows == 0 || table.dim == 0) {
        return wrong("expected tables with rows and columns".into());
    }
    for (field, encoding) in space.fields.iter().zip(&space.encodings) {
        if !encoded(stored, field, encoding) {
            return wrong(format!("feature `{}`: its encoding is none of its kind", field.name));
        }
        if !matches!(field.kind, FieldKind::History { .. }) {
            let mut beside = space.fields.iter().filter(|other| {
                other.side == field.side && !matches!(other.kind, FieldKind::History { .. })
            });
            let columns = beside.clone().count();
            if field.column >= columns || beside.any(|o| o != field && o.column == field.column) {
                return wrong(format!("feature `{}`: expected a column of its own", field.name));
            }
        }
    }
    let categories = stored.catalogue.categories.len();
    let prior = shape.prior_mix.len();
    if shape.categories != categories || ![0, categories].contains(&prior) {
        return wrong(format!("expected {categories} categories"));
    }
    for task in tasks {
        let fits = match (task.kind, space.labels.get(&task.name)) {
            (TaskKind::Regression, Some(LabelEncoding::Number(scale))) => {
                scale.mean.is_finite() && scale.sd.is_finite() && scale.sd > 0.0
            }
            (TaskKind::MultiClass, Some(LabelEncoding::Classes(classes))) => {
                (2..=MOST_CLASSES).contains(&classes.len())
            }
            (TaskKind::Regression | TaskKind::MultiClass, _) => false,
            (_, encoding) => encoding.is_none(),
        };
        if !fits {
            return wrong(format!("task `{}`: its labels are none of its kind", task.name));
        }
    }
    if shape.positions > MAX_POSITIONS {
        return wrong(format!("expected at most {MAX_POSITIONS} positions"));
    }
    if shape.exposure.len() != tasks.len() || shape.row_label.len() != tasks.len() {
        return wrong(format!("expected an entry for each of {} tasks", tasks.len()));
    }
    Ok(())
}

/// Whether an encoding makes what the field's kind reads, inside of its table.
fn encoded(stored: &Stored, field: &Field, encoding: &Encoding) -> bool {
    let space = &*stored.space;
    let is_item_id = |of: usize| {
        space.fields.get(of).is_some_and(|field| {
            field.side == Side::Item && matches!(field.kind, FieldKind::Id { .. })
        })
    };
    // One for each row of the id's table.
    let are_within = |of: usize, encodings: &[Encoding]| {
        let table = match space.fields.get(of).map(|id| &id.kind) {
            Some(FieldKind::Id { table }) => space.tables.get(*table),
            _ => None,
        };
        field.side == Side::Item
            && is_item_id(of)
            && table.is_some_and(|t| t.rows <= encodings.len())
    };
    match &field.kind {
        FieldKind::Number => match encoding {
            Encoding::Standardised { .. } => true,
            Encoding::Within { of, encodings } => {
                let standardised = |own: &Encoding| matches!(own, Encoding::Standardised { .. });
                are_within(*of, encodings) && encodings.iter().all(standardised)
            }
            Encoding::Past { of, .. } => {
                field.side == Side::Impression && of.is_none_or(is_item_id)
            }
            Encoding::Affinity { of, .. } => {
                let number = space.fields.get(*of);
                field.side == Side::Impression
                    && number.is_some_and(|number| {
                        number.side == Side::Item && number.kind == FieldKind::Number
                    })
            }
            Encoding::Popularity { of, prior, .. } => {
                field.side == Side::Impression && of.is_none_or(is_item_id) && prior.is_sound()
            }
            _ => false,
        },
        FieldKind::Id { table } | FieldKind::Bag { table } => {
            let Some(rows) = space.tables.get(*table).map(|table| table.rows) else { return false };
            let needed = match encoding {
                Encoding::Vocabulary { values } => values.len() + 1,
                Encoding::Hashed { rows } => (*rows as usize).max(2),
                Encoding::Buckets { edges } => edges.len() + 2,
                Encoding::Within { of, encodings } => {
                    let rows: Option<Vec<usize>> =
                        encodings.iter().map(Encoding::bucket_rows).collect();
                    let flat = !encodings.iter().any(|own| own.within().is_some());
                    match rows.and_then(|rows| rows.into_iter().max()) {
                        Some(rows) if flat && are_within(*of, encodings) => rows,
                        _ => return false,
                    }
                }
                Encoding::Hour => 25,
                Encoding::Weekday => 8,
                _ => return false,
            };
            needed <= rows
        }
        FieldKind::History { of, length } => {
            *encoding == Encoding::Timeline
                && *length > 0
                && !of.is_empty()
                && of.iter().all(|&of| is_item_id(of))
        }
    }
}

/// Ids, and a column for every field, with a value for every id.
fn side(stored: &Stored, side: Side, table: &SideTable) -> Result<(), String> {
    let rows = table.ids.len();
    if rows == 0 {
        return Err("expected a row for what is unknown".into());
    }
    let space = &*stored.space;
    for field in space.fields.iter().filter(|field| field.side == side) {
        let column = match &field.kind {
            FieldKind::History { .. } => continue,
            _ => table.columns.get(field.column),
        };
        let fits = match (&field.kind, column) {
            (FieldKind::Id { table }, Some(Column::Ids(ids))) => {
                ids.len() == rows && below(ids, space.tables[*table].rows)
            }
            (FieldKind::Number, Some(Column::Numbers(numbers))) => numbers.len() == rows,
            (FieldKind::Bag { table }, Some(Column::Bags { offsets, ids })) => {
                are_starts(offsets, rows, ids.len()) && below(ids, space.tables[*table].rows)
            }
            _ => false,
        };
        if !fits {
            return Err(format!("expected {rows} values of `{}` inside of its table", field.name));
        }
    }
    Ok(())
}

/// A value for every item.
fn catalogue(stored: &Stored) -> Result<(), String> {
    let (catalogue, rows) = (&stored.catalogue, stored.items.ids.len());
    let known = |&category: &u16| {
        category == u16::MAX || usize::from(category) < catalogue.categories.len()
    };
    let fits = [0, rows].contains(&catalogue.category.len())
        && catalogue.category.iter().all(known)
        && [0, rows].contains(&catalogue.price.len())
        && [0, rows].contains(&catalogue.title.len())
        && catalogue.train_clicks.len() == rows
        && catalogue.train_impressions.len() == rows;
    if fits { Ok(()) } else { Err(format!("expected a value for each of {rows} items")) }
}
