//! What comes before a single visit: the fields of type `past`, `popularity` and `affinity`, for items of one person at a
//! given time. Measured over a whole log they are in [`super::measured`]; both say the same to the bit.

use daogou_nn::frozen::GroupRows;

use super::affinity::{Affinity, Numbers, Sums};
use super::dataset::{Column, SideTable};
use super::past::{Measure, Past, Sights, Tallies, Tally, values, values_of};
use super::popularity::{Count, Prior};
use super::space::{Encoding, FeatureSpace};

/// Fields that are read together: items that are alike have one row of what they say, standardised.
pub(crate) struct PastGroup {
    by: By,
    fields: Vec<PastField>,
}

/// What is read, and which items are alike to it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum By {
    /// What the visitor saw of the same value: of an item-side id field, or of the item itself.
    Own(Option<usize>),
    /// What everybody did with the same value.
    Everyone(Option<usize>),
    /// The numbers that the visitor leans to, whatever the item.
    Leaning,
    /// These and the item's own numbers.
    Numbers,
}

struct PastField {
    reading: Reading,
    /// Of the impression side.
    column: usize,
    mean: f64,
    sd: f64,
}

/// What a field reads.
enum Reading {
    Past(Measure),
    Popularity(Prior),
    /// Of a number, by its place among [`Numbers`].
    Affinity(Affinity, usize),
}

impl PastField {
    fn standardised(&self, x: f64) -> f32 {
        ((x - self.mean) / self.sd) as f32
    }

    /// Of a person's own tally.
    fn of_tally(&self, measures: &[f32; 4]) -> f32 {
        let Reading::Past(measure) = self.reading else { unreachable!("not in a person's group") };
        self.standardised(f64::from(measures[measure as usize]))
    }

    /// Of what everybody did.
    fn of_count(&self, count: Count) -> f32 {
        let Reading::Popularity(prior) = self.reading else {
            unreachable!("not in everyone's group")
        };
        self.standardised(prior.logit(count))
    }

    /// Of items' numbers and the means of what the person saw: one value per item, each `step` after the last.
    fn of_numbers(
        &self,
        numbers: &Numbers,
        means: &[[f64; 2]],
        items: &[u32],
        out: &mut [f32],
        step: usize,
    ) {
        let Reading::Affinity(affinity, place) = self.reading else {
            unreachable!("not in a group of numbers")
        };
        for (&item, x) in items.iter().zip(out.iter_mut().step_by(step)) {
            let a = numbers.of_item(place, item);
            *x = self.standardised(f64::from(affinity.of(a, means[place])));
        }
    }
}

impl PastGroup {
    /// Those of a feature space, in its order.
    pub(crate) fn of_space(space: &FeatureSpace) -> Vec<Self> {
        let numbers = Numbers::of_space(space);
        let mut groups: Vec<Self> = Vec::new();
        for (field, encoding) in space.fields.iter().zip(&space.encodings) {
            let (by, reading, mean, sd) = match *encoding {
                Encoding::Past { of, measure, mean, sd } => {
                    (By::Own(of), Reading::Past(measure), mean, sd)
                }
                Encoding::Popularity { of, prior, mean, sd } => {
                    (By::Everyone(of), Reading::Popularity(prior), mean, sd)
                }
                Encoding::Affinity { of, affinity, mean, sd } => {
                    let by = if affinity.is_of_item() { By::Numbers } else { By::Leaning };
                    let place = numbers.iter().position(|&number| number == of);
                    let place = place.expect("all are there");
                    (by, Reading::Affinity(affinity, place), mean, sd)
                }
                _ => continue,
            };
            let known = groups.iter().position(|group| group.by == by).unwrap_or_else(|| {
                groups.push(Self { by, fields: Vec::new() });
                groups.len() - 1
            });
            groups[known].fields.push(PastField { reading, column: field.column, mean, sd });
        }
        groups
    }

    /// Columns of the impression side, in the order of a row.
    pub(crate) fn columns(&self) -> impl Iterator<Item = usize> + '_ {
        self.fields.iter().map(|field| field.column)
    }

    /// The row of items that were never shown, or for who was never shown anything.
    pub(crate) fn never(&self) -> Vec<f32> {
        let never = Tally::default().measures(0);
        let read = |field: &PastField| match self.by {
            By::Own(_) => field.of_tally(&never),
            By::Everyone(_) => field.of_count(Count::default()),
            By::Leaning | By::Numbers => field.standardised(0.0),
        };
        self.fields.iter().map(read).collect()
    }
}

/// The fields of single people at a given time: for lists, and for rows that are answered by themselves.
///
/// Memory: per group of fields one number per item, and one tally per value; with affinities their numbers once more, and
/// a row per candidate. Nothing is allocated from one visit to the next.
pub(crate) struct Lookback {
    groups: Vec<Group>,
    numbers: Numbers,
    sums: Sums,
    /// Of the visit, by a number's place.
    means: Vec<[f64; 2]>,
}

/// A group over given items.
struct Group {
    past: PastGroup,
    /// By item row: the value by which it is alike to others.
    value: Vec<u32>,
    /// What [`Lookback::look`] saw: by value, its row of `rows`; the first is that of what was never shown.
    row_of: Vec<u32>,
    rows: Vec<f32>,
    counts: Counts,
}

/// What a group counts in.
enum Counts {
    /// The visitor's impressions.
    Own {
        tallies: Tallies,
        /// Values with a row of their own.
        with_row: Vec<u32>,
    },
    /// Everybody's.
    Everyone {
        /// By value, when what the run knows ends.
        end: Vec<Count>,
        counts: Vec<Count>,
        /// As of when the rows are.
        as_of: Option<AsOf>,
    },
    /// The visitor's sums, which all groups of numbers share. `with_row`: values with a row of their own.
    Sums { with_row: Vec<u32> },
}

/// What everybody's counts depend on.
#[derive(Clone, Copy, PartialEq, Eq)]
struct AsOf {
    /// Whether what the run knows is earlier.
    after: bool,
    /// A log that is read beside it, by its place in memory, and the time.
    log: Option<(usize, i64)>,
}

impl Lookback {
    /// For the fields of `space`; `items` are the item side's columns, `known` is what the run knows.
    pub(crate) fn new(space: &FeatureSpace, items: &SideTable, known: &Past) -> Self {
        let rows = items.ids.len();
        let group = |past: PastGroup| {
            let value = match past.by {
                By::Own(of) | By::Everyone(of) => values_of(space, of, items),
                By::Leaning => vec![0; rows],
                By::Numbers => (0..rows as u32).collect(),
            };
            let n = values(&value);
            let (counts, row_of) = match past.by {
                By::Own(_) => {
                    let tallies = Tallies::new(n);
                    (Counts::Own { tallies, with_row: Vec::new() }, vec![0; n])
                }
                By::Everyone(_) => {
                    let end = known.everyone.by_value(&value, n);
                    let counts = vec![Count::default(); n];
                    (Counts::Everyone { end, counts, as_of: None }, (0..n as u32).collect())
                }
                By::Leaning | By::Numbers => (Counts::Sums { with_row: Vec::new() }, vec![0; n]),
            };
            Group { rows: past.never(), row_of, counts, value, past }
        };
        let numbers = Numbers::new(space, items);
        Self {
            groups: PastGroup::of_space(space).into_iter().map(group).collect(),
            sums: numbers.sums(),
            means: Vec::new(),
            numbers,
        }
    }

    /// Reads what `user`, visiting at `time`, had seen strictly before, of `candidates` among the items. Cost: the person's
    /// own past per group, whatever the number of items; everybody's counts once, or for each visit over all items where
    /// a log is read; with affinities O(candidates). See [`Lookback::rows`].
    pub(crate) fn look(
        &mut self,
        (sights, user, time): (&Sights<'_>, u32, i64),
        candidates: &[u32],
    ) {
        self.lean(sights, user, time);
        let Self { groups, numbers, sums, means } = self;
        for group in groups {
            let Group { past, value, row_of, rows, counts } = group;
            let width = past.fields.len();
            match counts {
                Counts::Everyone { .. } => group.count(sights, time),
                Counts::Own { tallies, with_row } => {
                    with_row.drain(..).for_each(|value| row_of[value as usize] = 0);
                    rows.truncate(width);
                    sights.of(user, time, |item, tally| tallies.add(value[item as usize], tally));
                    std::mem::swap(&mut tallies.touched, with_row);
                    for (row, &value) in (1..).zip(&*with_row) {
                        row_of[value as usize] = row;
                        let tally = std::mem::take(&mut tallies.of[value as usize]);
                        let measures = tally.measures(time);
                        rows.extend(past.fields.iter().map(|field| field.of_tally(&measures)));
                    }
                }
                Counts::Sums { with_row } => {
                    with_row.drain(..).for_each(|value| row_of[value as usize] = 0);
                    rows.truncate(width);
                    if sums.is_empty() {
                        continue;
                    }
                    let asked = match past.by {
                        By::Leaning => &candidates[..candidates.len().min(1)],
                        _ => candidates,
                    };
                    with_row.extend(asked.iter().map(|&item| value[item as usize]));
                    for (row, &value) in (1..).zip(&*with_row) {
                        row_of[value as usize] = row;
                    }
                    rows.resize((1 + asked.len()) * width, 0.0);
                    // Field by field: which number and which mean it is of is asked once.
                    for (place, field) in past.fields.iter().enumerate() {
                        let (_, new) = rows.split_at_mut(width);
                        field.of_numbers(numbers, means, asked, &mut new[place..], width);
                    }
                }
            }
        }
    }

    /// Adds up the numbers of what a person had seen.
    fn lean(&mut self, sights: &Sights<'_>, user: u32, time: i64) {
        let Self { numbers, sums, means, .. } = self;
        if numbers.is_empty() {
            return;
        }
        sums.clear();
        sights.of(user, time, |item, tally| numbers.add(item, tally, sums));
        means.clear();
        means.extend((0..numbers.len()).map(|place| sums.means(place)));
    }

    /// What was seen last: rows of standardised measures by value of an item.
    pub(crate) fn rows(&self, group: usize) -> GroupRows<'_> {
        let Group { value, row_of, rows, .. } = &self.groups[group];
        GroupRows { of_key: value, row_of, values: rows }
    }

    /// Appends to the fields among `columns` what `user`, visiting at `time`, and everybody had seen of each of `items`
    /// strictly before. Cost: the person's own past, and O(items) per group.
    pub(crate) fn extend(
        &mut self,
        (sights, user, time): (&Sights<'_>, u32, i64),
        items: &[u32],
        columns: &mut [Column],
    ) {
        self.lean(sights, user, time);
        let Self { groups, numbers, means, .. } = self;
        let never = Tally::default().measures(time);
        for group in groups {
            group.count(sights, time);
            let Group { past, value, rows, counts, .. } = group;
            if let Counts::Own { tallies, .. } = counts {
                sights.of(user, time, |item, tally| tallies.add(value[item as usize], tally));
            }
            let width = past.fields.len();
            for (place, field) in past.fields.iter().enumerate() {
                let Column::Numbers(out) = &mut columns[field.column] else {
                    unreachable!("a past field has numbers")
                };
                match &*counts {
                    Counts::Everyone { .. } => out.extend(
                        items
                            .iter()
                            .map(|&item| rows[value[item as usize] as usize * width + place]),
                    ),
                    Counts::Own { tallies, .. } => out.extend(items.iter().map(|&item| {
                        let tally = &tallies.of[value[item as usize] as usize];
                        let seen = if tally.shown == 0 { never } else { tally.measures(time) };
                        field.of_tally(&seen)
                    })),
                    Counts::Sums { .. } => {
                        let start = out.len();
                        out.resize(start + items.len(), 0.0);
                        field.of_numbers(numbers, means, items, &mut out[start..], 1);
                    }
                }
            }
            if let Counts::Own { tallies, .. } = counts {
                tallies.clear();
            }
        }
    }

    /// Empties the fields among `columns`.
    pub(crate) fn clear(&self, columns: &mut [Column]) {
        for column in self.groups.iter().flat_map(|group| group.past.columns()) {
            let Column::Numbers(values) = &mut columns[column] else {
                unreachable!("a past field has numbers")
            };
            values.clear();
        }
    }
}

impl Group {
    /// Brings everybody's rows to what was counted before a visit; nothing to do for one's own.
    fn count(&mut self, sights: &Sights<'_>, time: i64) {
        let Self { past, value, rows, counts, .. } = self;
        let Counts::Everyone { end, counts, as_of } = counts else { return };
        let log = sights.showings.as_ref();
        let now = AsOf {
            after: sights.before.1 < time,
            log: log.map(|log| (std::ptr::from_ref(log).addr(), time)),
        };
        if as_of.replace(now) == Some(now) {
            return;
        }
        if now.after {
            counts.copy_from_slice(end);
        } else {
            counts.fill(Count::default());
        }
        if let Some(log) = log {
            for (item, &value) in value.iter().enumerate().filter(|(_, value)| **value != 0) {
                counts[value as usize] += log.before(item, time);
            }
        }
        rows.clear();
        for &count in &*counts {
            rows.extend(past.fields.iter().map(|field| field.of_count(count)));
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::measured::Measured;
    use super::super::past::Shown;
    use super::super::past::tests::{log, rows};
    use super::super::space::{Field, FieldKind};
    use super::*;
    use crate::schema::Side;

    fn field(side: Side, column: usize, kind: FieldKind) -> Field {
        Field { name: String::new(), side, column, kind }
    }

    /// A category and a number of items, and each kind of field that is measured before an impression.
    fn space() -> FeatureSpace {
        let number = Encoding::Standardised { mean: 0.0, sd: 1.0, log1p: false, missing: None };
        let mut space = FeatureSpace {
            fields: vec![
                field(Side::Item, 0, FieldKind::Id { table: 0 }),
                field(Side::Item, 1, FieldKind::Number),
            ],
            encodings: vec![Encoding::Hour, number],
            ..FeatureSpace::default()
        };
        let prior = Prior { rate: 0.2, impressions: 3.0 };
        let past =
            |of| Measure::ALL.map(|measure| Encoding::Past { of, measure, mean: 0.5, sd: 2.0 });
        let popularity = |of| Encoding::Popularity { of, prior, mean: -1.0, sd: 0.5 };
        let of_number = Affinity::ALL.map(|affinity| Encoding::Affinity {
            of: 1,
            affinity,
            mean: 0.1,
            sd: 0.3,
        });
        let of_values = [Some(0), None]
            .into_iter()
            .flat_map(|of| past(of).into_iter().chain([popularity(of)]).collect::<Vec<_>>());
        for (column, encoding) in of_values.chain(of_number).enumerate() {
            space.fields.push(field(Side::Impression, column, FieldKind::Number));
            space.encodings.push(encoding);
        }
        space
    }

    proptest! {
        /// A person looked up alone reads what the whole log measures, and so do the rows of a visit.
        #[test]
        fn a_look_back_reads_what_the_log_measures(
            rows in rows(60),
            category in prop::collection::vec(0u32..4, 7),
            number in prop::collection::vec(-3.0f32..3.0, 7),
        ) {
            let space = space();
            let items = SideTable {
                ids: vec![String::new(); 7],
                columns: vec![Column::Ids(category), Column::Numbers(number)],
            };
            let (requests, impressions, engaged) = log(&rows);
            let shown =
                Shown { requests: &requests, impressions: &impressions, engaged: Some(&engaged) };
            let columns = space.fields.len() - 2;
            let mut whole = vec![Column::Numbers(Vec::new()); columns];
            Measured::new(&space, &shown, None, &items).fill(&space, &mut whole);
            let nobody = Past::default();
            let sights = Sights::new(Some(shown), (&nobody, i64::MAX)).of_everyone();
            let mut look = Lookback::new(&space, &items, &nobody);
            let mut single = vec![Column::Numbers(vec![9.0]); columns];
            look.clear(&mut single);
            for row in &rows {
                look.extend((&sights, row.0, row.1), &[row.2], &mut single);
            }
            prop_assert_eq!(&whole, &single);
            let groups = PastGroup::of_space(&space);
            for (i, row) in rows.iter().enumerate() {
                // Every other visit asks for all items.
                let candidates: Vec<u32> = if i % 2 == 0 { (0..7).collect() } else { vec![row.2] };
                look.look((&sights, row.0, row.1), &candidates);
                for (g, group) in groups.iter().enumerate() {
                    let GroupRows { of_key, row_of, values } = look.rows(g);
                    let own = row_of[of_key[row.2 as usize] as usize] as usize;
                    let width = group.columns().count();
                    for (place, column) in group.columns().enumerate() {
                        let Column::Numbers(whole) = &whole[column] else { panic!("numbers") };
                        prop_assert_eq!(values[own * width + place], whole[i], "row {}", i);
                    }
                }
            }
        }
    }
}
