//! Whether a product's numbers are such as the person was shown, and engaged with: a screen as large as theirs usually are,
//! a price as they look at.
//!
//! ```text
//! m = Σ b / (n + κ)        x = a · m
//! ```
//!
//! The sum is over the person's impressions *strictly before* a request, `n` in number; `b` is the number of an impression's
//! item as the network reads it, standardised, so that 0 is the usual; `κ` is how many impressions the usual is worth, 200
//! of those shown and 20 of those engaged with; `a` is the same number of the item in question. A network reads `m`, and
//! the product, which it would have to learn from `a` and `m`. `m` is 0 for who was shown nothing yet.
//!
//! Where what is shown or clicked leans to `b` by a taste that people have around a usual one, `m` is that taste's mean after
//! what was seen, up to a factor (a normal prior, and leaning that is small beside what else decides).

use serde::{Deserialize, Serialize};

use super::dataset::{Column, SideTable};
use super::past::{Past, Recall, Shown, Tally, walk};
use super::space::{Encoding, FeatureSpace};

/// What is read of one number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Affinity {
    /// The mean of what was shown.
    MeanShown,
    /// The mean of what was engaged with.
    MeanEngaged,
    /// The item's number times the mean of what was shown.
    Shown,
    /// The item's number times the mean of what was engaged with.
    Engaged,
}

impl Affinity {
    /// All of them, in the order of their numbers.
    pub const ALL: [Self; 4] = [Self::MeanShown, Self::MeanEngaged, Self::Shown, Self::Engaged];

    /// How fields are named after it.
    pub fn name(self) -> &'static str {
        match self {
            Self::MeanShown => "mean_shown",
            Self::MeanEngaged => "mean_engaged",
            Self::Shown => "shown",
            Self::Engaged => "engaged",
        }
    }

    /// Whether it is of an item, and not of the person alone.
    pub(super) fn is_of_item(self) -> bool {
        matches!(self, Self::Shown | Self::Engaged)
    }

    /// Its value for an item with number `a`.
    pub(super) fn of(self, a: f32, means: [f64; 2]) -> f32 {
        let x = match self {
            Self::MeanShown => means[0],
            Self::MeanEngaged => means[1],
            Self::Shown => f64::from(a) * means[0],
            Self::Engaged => f64::from(a) * means[1],
        };
        x as f32
    }
}

/// Impressions that the usual is worth: of those shown, of those engaged with.
const PRIOR: [f64; 2] = [200.0, 20.0];

/// Numbers are added up in whole multiples of this, so that a sum does not depend on its order.
const UNIT: f64 = 1.0 / (1u64 << 20) as f64;

/// Numbers further from the usual than this count as this, so that no sum of 2³² impressions overflows.
const FARTHEST: f64 = 1000.0;

/// The numbers of all items that affinities are of, as the network reads them.
pub(super) struct Numbers {
    /// Fields of the space.
    fields: Vec<usize>,
    /// Per field, by item row.
    columns: Vec<Vec<f32>>,
}

impl Numbers {
    /// Those that the affinities of `space` are of, none twice. Four bytes per item and number.
    pub(super) fn new(space: &FeatureSpace, items: &SideTable) -> Self {
        let fields = Self::of_space(space);
        let column = |&field: &usize| match &items.columns[space.fields[field].column] {
            Column::Numbers(values) => values.clone(),
            _ => unreachable!("an affinity is of a number"),
        };
        Self { columns: fields.iter().map(column).collect(), fields }
    }

    /// Their fields, each at its place.
    pub(super) fn of_space(space: &FeatureSpace) -> Vec<usize> {
        let mut fields: Vec<usize> = Vec::new();
        for encoding in &space.encodings {
            match encoding {
                Encoding::Affinity { of, .. } if !fields.contains(of) => fields.push(*of),
                _ => {}
            }
        }
        fields
    }

    pub(super) fn is_empty(&self) -> bool {
        self.fields.is_empty()
    }

    pub(super) fn len(&self) -> usize {
        self.fields.len()
    }

    /// The place of a field among them.
    pub(super) fn place(&self, field: usize) -> usize {
        let place = self.fields.iter().position(|&known| known == field);
        place.expect("it is of this space")
    }

    /// The number of an item, by its place.
    pub(super) fn of_item(&self, place: usize, item: u32) -> f32 {
        self.columns[place][item as usize]
    }

    /// Sums of nothing yet.
    pub(super) fn sums(&self) -> Sums {
        Sums { impressions: [0; 2], of: vec![[0; 2]; self.fields.len()] }
    }

    /// Adds what a person saw of an item; an unknown item says nothing. Cost: O(numbers).
    pub(super) fn add(&self, item: u32, tally: &Tally, sums: &mut Sums) {
        if item == 0 {
            return;
        }
        let counts = [tally.shown, tally.engaged].map(i64::from);
        for (sum, n) in sums.impressions.iter_mut().zip(counts) {
            *sum += n;
        }
        for (sums, column) in sums.of.iter_mut().zip(&self.columns) {
            let b = f64::from(column[item as usize]).clamp(-FARTHEST, FARTHEST);
            let units = (b / UNIT).round() as i64;
            for (sum, n) in sums.iter_mut().zip(counts) {
                *sum += n * units;
            }
        }
    }
}

/// One person's sums of each number: over what was shown, and over what was engaged with.
pub(super) struct Sums {
    impressions: [i64; 2],
    of: Vec<[i64; 2]>,
}

impl Sums {
    /// The means of a number, by its place.
    pub(super) fn means(&self, place: usize) -> [f64; 2] {
        let mean = |over: usize| {
            self.of[place][over] as f64 * UNIT / (self.impressions[over] as f64 + PRIOR[over])
        };
        [mean(0), mean(1)]
    }

    /// Whether nothing was seen, so that everything is 0.
    pub(super) fn is_empty(&self) -> bool {
        self.impressions[0] == 0
    }

    pub(super) fn clear(&mut self) {
        self.impressions = [0; 2];
        self.of.fill([0; 2]);
    }
}

/// All affinities of every impression of a log, in the order of [`Affinity::ALL`] per number; see
/// [`super::measured::Measured::new`]. Cost: O(impressions · numbers), and O(n log n) of each person's requests; 16 bytes per
/// impression and number.
pub(super) fn measure(
    log: &Shown<'_>,
    before: Option<(&Past, i64)>,
    numbers: &Numbers,
) -> Vec<[Vec<f32>; 4]> {
    struct Along<'n> {
        numbers: &'n Numbers,
        sums: Sums,
        out: Vec<[Vec<f32>; 4]>,
    }
    impl Recall for Along<'_> {
        fn see(&mut self, item: u32, tally: &Tally) {
            self.numbers.add(item, tally, &mut self.sums);
        }
        fn tell(&mut self, (row, item): (usize, u32), _: i64) {
            for (place, out) in self.out.iter_mut().enumerate() {
                let (a, means) = (self.numbers.of_item(place, item), self.sums.means(place));
                for (column, affinity) in out.iter_mut().zip(Affinity::ALL) {
                    column[row] = affinity.of(a, means);
                }
            }
        }
        fn forget(&mut self) {
            self.sums.clear();
        }
    }
    let nothing = || Affinity::ALL.map(|_| vec![0.0; log.impressions.item.len()]);
    let out = numbers.fields.iter().map(|_| nothing()).collect();
    let mut along = Along { numbers, sums: numbers.sums(), out };
    walk(log, before, &mut along);
    along.out
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::past::tests::{Row, log, past, rows};
    use super::*;

    /// One number per item.
    fn numbers(values: &[f32]) -> Numbers {
        Numbers { fields: vec![0], columns: vec![values.to_vec()] }
    }

    fn measured(rows: &[Row], before: Option<(&Past, i64)>, values: &[f32]) -> [Vec<f32>; 4] {
        let (requests, impressions, engaged) = log(rows);
        let shown =
            Shown { requests: &requests, impressions: &impressions, engaged: Some(&engaged) };
        measure(&shown, before, &numbers(values)).remove(0)
    }

    /// The definition, row by row.
    fn plainly(rows: &[Row], values: &[f32], (user, now, item): (u32, i64, u32)) -> [f64; 4] {
        let earlier =
            |row: &&Row| row.0 == user && user != 0 && row.1 < now && row.2 != 0 && !row.4;
        let mean = |engaged: bool, prior: f64| {
            let own = rows.iter().filter(earlier).filter(|row| row.3 || !engaged);
            let numbers: Vec<f64> = own.map(|row| f64::from(values[row.2 as usize])).collect();
            numbers.iter().sum::<f64>() / (numbers.len() as f64 + prior)
        };
        let (shown, engaged) = (mean(false, 200.0), mean(true, 20.0));
        let a = f64::from(values[item as usize]);
        [shown, engaged, a * shown, a * engaged]
    }

    #[test]
    fn means_and_products_by_hand() {
        // Item 0 is unknown: it has a number, and says nothing of whom it was shown to.
        let values = [9.0, 2.0, -1.0, 0.5];
        let rows = [
            (1, 0, 1, true, false),
            (1, 0, 0, true, false),
            (1, 60, 2, false, false),
            (1, 60, 3, false, true),
            (1, 120, 3, false, false),
            (2, 120, 1, false, false),
        ];
        let [mean_shown, mean_engaged, shown, engaged] = measured(&rows, None, &values);
        assert_eq!(mean_shown[..2], [0.0, 0.0], "requests of one time know nothing of each other");
        assert_eq!(mean_shown[2], (2.0 / 201.0) as f32);
        assert_eq!(mean_shown[4], (1.0 / 202.0) as f32, "what was sampled was seen by nobody");
        assert_eq!(mean_engaged[4], (2.0 / 21.0) as f32);
        assert_eq!(shown[2], (-2.0 / 201.0) as f32);
        assert_eq!(engaged[4], (0.5 * (2.0 / 21.0)) as f32);
        assert_eq!([mean_shown[5], engaged[5]], [0.0, 0.0], "another person");
    }

    #[test]
    fn what_is_far_from_the_usual_is_bounded_and_no_number_says_nothing() {
        let rows = [(1, 0, 1, true, false), (1, 60, 1, false, false)];
        for (value, mean) in [(f32::MAX, 1000.0 / 201.0), (f32::NAN, 0.0)] {
            let [shown, ..] = measured(&rows, None, &[0.0, value]);
            assert_eq!(shown[1], mean as f32);
        }
    }

    proptest! {
        #[test]
        fn twins_agree(rows in rows(80), values in prop::collection::vec(-3.0f32..3.0, 7)) {
            let fast = measured(&rows, None, &values);
            for (i, row) in rows.iter().enumerate() {
                let plain = plainly(&rows, &values, (row.0, row.1, row.2));
                for (column, plain) in fast.iter().zip(plain) {
                    // Half a unit of each number.
                    prop_assert!((f64::from(column[i]) - plain).abs() < 1e-5, "row {}", i);
                }
            }
        }

        /// A log cut in two, the first half kept as tallies, measures to the bit what the whole log does.
        #[test]
        fn serving_goes_on_where_training_ended(
            rows in rows(80),
            values in prop::collection::vec(-3.0f32..3.0, 7),
            cut in 0i64..2_000,
        ) {
            let kept: Vec<Row> = rows.iter().copied().filter(|row| row.1 <= cut).collect();
            let later: Vec<Row> = rows.iter().copied().filter(|row| row.1 > cut).collect();
            let past = past(&kept, values.len());
            let whole = measured(&rows, None, &values);
            let halves = measured(&later, Some((&past, cut)), &values);
            let of_later = |column: &Vec<f32>| -> Vec<f32> {
                let rows = rows.iter().zip(column).filter(|(row, _)| row.1 > cut);
                rows.map(|(_, &x)| x).collect()
            };
            prop_assert_eq!(whole.each_ref().map(of_later), halves);
        }
    }
}
