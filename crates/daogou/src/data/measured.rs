//! What comes before every impression of a log: the fields of type `past`, `popularity` and `affinity`.

use super::affinity::{self, Affinity, Numbers};
use super::dataset::{Column, SideTable};
use super::encode::mean_and_sd;
use super::past::{self, Measure, Past, Shown, values, values_of};
use super::popularity::{self, Count};
use super::space::{Encoding, FeatureSpace};

/// What the past, popularity and affinity fields of a feature space say of every impression of a log, before it is
/// standardised. Training and evaluation come here; [`super::lookback`] says the same of a single visit.
pub(super) struct Measured {
    /// By which item-side id field items are alike, and the measures in the order of [`Measure::ALL`].
    own: Vec<(Option<usize>, [Vec<f32>; 4])>,
    /// By which item-side id field items are alike, and what everybody did with them.
    everyone: Vec<(Option<usize>, Vec<Count>)>,
    numbers: Numbers,
    /// By place among these numbers, the affinities in the order of [`Affinity::ALL`].
    affinities: Vec<[Vec<f32>; 4]>,
}

impl Measured {
    /// Measures for the fields of `space`. `items` are the item side's columns, one row per item.
    ///
    /// `before` is what people had seen until its time, the end of an earlier log: it counts for requests after that
    /// time only, since what of it is later than an earlier request cannot be told apart.
    ///
    /// Cost per different `of`: O(impressions), and O(n log n) of each person's requests; 16 bytes per impression for a
    /// past or an affinity, 8 for a popularity.
    pub(super) fn new(
        space: &FeatureSpace,
        log: &Shown<'_>,
        before: Option<(&Past, i64)>,
        items: &SideTable,
    ) -> Self {
        let numbers = Numbers::new(space, items);
        let affinities =
            if numbers.is_empty() { Vec::new() } else { affinity::measure(log, before, &numbers) };
        let mut all = Self { own: Vec::new(), everyone: Vec::new(), numbers, affinities };
        for encoding in &space.encodings {
            match encoding {
                Encoding::Past { of, .. } if all.own.iter().all(|(known, _)| known != of) => {
                    let value = values_of(space, *of, items);
                    all.own.push((*of, past::measure(log, before, &value)));
                }
                Encoding::Popularity { of, .. }
                    if all.everyone.iter().all(|(known, _)| known != of) =>
                {
                    let value = values_of(space, *of, items);
                    let before = before.map(|(past, end)| (&past.everyone, end));
                    let counts = popularity::measure(log, before, &value, values(&value));
                    all.everyone.push((*of, counts));
                }
                _ => {}
            }
        }
        all
    }

    fn column(&self, of: Option<usize>, measure: Measure) -> &[f32] {
        let group = self.own.iter().find(|(known, _)| *known == of);
        &group.expect("measured for this space").1[measure as usize]
    }

    fn counts(&self, of: Option<usize>) -> &[Count] {
        let group = self.everyone.iter().find(|(known, _)| *known == of);
        &group.expect("measured for this space").1
    }

    fn affinity(&self, of: usize, affinity: Affinity) -> &[f32] {
        &self.affinities[self.numbers.place(of)][affinity as usize]
    }

    /// Learns means, standard deviations and the rate that priors start from of training impressions; `engaged` as in
    /// [`Shown`].
    pub(super) fn fit(&self, space: &mut FeatureSpace, rows: &[u32], engaged: Option<&[u8]>) {
        let of_column =
            |column: &[f32]| mean_and_sd(rows.iter().map(|&row| f64::from(column[row as usize])));
        for encoding in &mut space.encodings {
            match encoding {
                Encoding::Past { of, measure, mean, sd } => {
                    (*mean, *sd) = of_column(self.column(*of, *measure));
                }
                Encoding::Affinity { of, affinity, mean, sd } => {
                    (*mean, *sd) = of_column(self.affinity(*of, *affinity));
                }
                Encoding::Popularity { of, prior, mean, sd } => {
                    let clicks = engaged.map_or(0, |engaged| {
                        rows.iter().filter(|&&row| engaged[row as usize] == 1).count()
                    });
                    // Never 0 nor 1, of which there is no logit.
                    prior.rate = (clicks as f64 + 0.5) / (rows.len() as f64 + 1.0);
                    let counts = self.counts(*of);
                    (*mean, *sd) =
                        mean_and_sd(rows.iter().map(|&row| prior.logit(counts[row as usize])));
                }
                _ => {}
            }
        }
    }

    /// Writes the standardised measures into the impression side's columns.
    pub(super) fn fill(&self, space: &FeatureSpace, columns: &mut [Column]) {
        let scaled = |column: &[f32], mean: f64, sd: f64| -> Vec<f32> {
            column.iter().map(|&x| ((f64::from(x) - mean) / sd) as f32).collect()
        };
        for (field, encoding) in space.fields.iter().zip(&space.encodings) {
            let scaled: Vec<f32> = match encoding {
                Encoding::Past { of, measure, mean, sd } => {
                    scaled(self.column(*of, *measure), *mean, *sd)
                }
                Encoding::Affinity { of, affinity, mean, sd } => {
                    scaled(self.affinity(*of, *affinity), *mean, *sd)
                }
                Encoding::Popularity { of, prior, mean, sd } => {
                    let counts = self.counts(*of).iter();
                    counts.map(|&count| ((prior.logit(count) - mean) / sd) as f32).collect()
                }
                _ => continue,
            };
            columns[field.column] = Column::Numbers(scaled);
        }
    }
}
