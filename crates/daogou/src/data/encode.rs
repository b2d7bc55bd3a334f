//! Learning how raw values become numbers, and applying it. Training and serving share these functions.

use hashbrown::HashMap;
use rustc_hash::FxBuildHasher;

use super::affinity::Affinity;
use super::columns::Raw;
use super::dataset::Column;
use super::load::feature_of;
use super::past::Measure;
use super::popularity::Prior;
use super::space::{Encoding, FeatureSpace, Field, FieldKind, TableShape};
use crate::schema::{Config, Feature, FeatureType, Missing, MissingWord, Side, Transform};
use crate::{Error, Result};

/// A raw column of a feature and the training rows in it, in order, repeated as often as training reads them: once per
/// request for users and context, once per impression for items and impressions.
pub(super) struct Sample<'a> {
    pub(super) raw: &'a Raw,
    pub(super) rows: &'a [u32],
}

/// Values that quantile edges are taken from, at most; evenly spaced training rows.
const QUANTILE_SAMPLE: usize = 200_000;

/// Learns the feature space of a run from its training rows. `sample(feature)` gives the raw column of a feature;
/// `None` for histories.
pub(super) fn fit<'a>(
    config: &Config,
    sample: impl Fn(&Feature) -> Option<Sample<'a>>,
) -> Result<FeatureSpace> {
    let mut space = FeatureSpace::default();
    let mut places: HashMap<&str, (usize, Encoding), FxBuildHasher> = HashMap::default();
    // Owners of tables first, so that a feature may share the table of a later one; and of them ids before what is measured
    // within one.
    let owners = || config.features.iter().filter(|f| f.shared_with.is_none());
    let ids_first =
        owners().filter(|f| f.within.is_none()).chain(owners().filter(|f| f.within.is_some()));
    for feature in ids_first {
        let groups = groups(config, feature, &places, &sample);
        if let Some((encoding, rows)) = learn(feature, &sample, groups.as_ref()) {
            places.insert(&feature.name, (space.tables.len(), encoding));
            let dim = feature.dim.unwrap_or(config.model.embedding_dim);
            space.tables.push(TableShape { name: feature.name.clone(), rows, dim });
        }
    }
    let mut columns = [0usize; 4];
    let (mut histories, mut pasts) = (Vec::new(), Vec::new());
    for feature in &config.features {
        let mut add =
            |space: &mut FeatureSpace, name: String, kind: FieldKind, encoding: Encoding| {
                let column = columns[feature.side as usize];
                columns[feature.side as usize] += 1;
                space.fields.push(Field { name, side: feature.side, kind, column });
                space.encodings.push(encoding);
            };
        let owner = feature.shared_with.as_deref().unwrap_or(&feature.name);
        match feature.kind {
            FeatureType::Id | FeatureType::Multi => {
                let (table, encoding) = places.get(owner).cloned().ok_or_else(|| {
                    Error::config(
                        format!("feature.{}.shared_with", feature.name),
                        format!("expected an id or multi feature with a table, got `{owner}`"),
                    )
                })?;
                let kind = if feature.kind == FeatureType::Id {
                    FieldKind::Id { table }
                } else {
                    FieldKind::Bag { table }
                };
                add(&mut space, feature.name.clone(), kind, encoding);
            }
            FeatureType::Number if feature.transform == Some(Transform::Buckets) => {
                let (table, encoding) = places[owner].clone();
                add(&mut space, feature.name.clone(), FieldKind::Id { table }, encoding);
            }
            FeatureType::Number => {
                let groups = groups(config, feature, &places, &sample);
                let sample = sample(feature).expect("numbers have a column");
                let encoding = standardise(feature, &sample, groups.as_ref());
                add(&mut space, feature.name.clone(), FieldKind::Number, encoding);
            }
            FeatureType::Time => {
                let dim = feature.dim.unwrap_or(config.model.embedding_dim);
                for (part, rows, encoding) in
                    [("hour", 25, Encoding::Hour), ("weekday", 8, Encoding::Weekday)]
                {
                    let name = format!("{}_{part}", feature.name);
                    let kind = FieldKind::Id { table: space.tables.len() };
                    space.tables.push(TableShape { name: name.clone(), rows, dim });
                    add(&mut space, name, kind, encoding);
                }
            }
            FeatureType::History => histories.push((space.fields.len(), feature)),
            FeatureType::Popularity => {
                let own = [config.columns.item.clone()];
                for item in feature.of.as_deref().unwrap_or(&own) {
                    if let Some(named) = feature.of.as_ref().and(Some(item)) {
                        pasts.push((space.fields.len(), feature, named.clone()));
                    }
                    let impressions = feature.prior_impressions.unwrap_or(50.0);
                    let prior = Prior { rate: 0.5, impressions };
                    let encoding = Encoding::Popularity { of: None, prior, mean: 0.0, sd: 1.0 };
                    let name = format!("{}_{item}", feature.name);
                    add(&mut space, name, FieldKind::Number, encoding);
                }
            }
            FeatureType::Affinity => {
                for number in feature.of.iter().flatten() {
                    for affinity in Affinity::ALL {
                        pasts.push((space.fields.len(), feature, number.clone()));
                        let name = format!("{}_{number}_{}", feature.name, affinity.name());
                        let encoding =
                            Encoding::Affinity { of: usize::MAX, affinity, mean: 0.0, sd: 1.0 };
                        add(&mut space, name, FieldKind::Number, encoding);
                    }
                }
            }
            FeatureType::Past => {
                // Without `of` the item itself, whether or not its id is an input.
                let own = [config.columns.item.clone()];
                for item in feature.of.as_deref().unwrap_or(&own) {
                    for measure in Measure::ALL {
                        if let Some(named) = feature.of.as_ref().and(Some(item)) {
                            pasts.push((space.fields.len(), feature, named.clone()));
                        }
                        let name = format!("{}_{item}_{}", feature.name, measure.name());
                        let encoding = Encoding::Past { of: None, measure, mean: 0.0, sd: 1.0 };
                        add(&mut space, name, FieldKind::Number, encoding);
                    }
                }
            }
        }
        if feature.kind == FeatureType::History {
            let kind = FieldKind::History { of: Vec::new(), length: feature.length.unwrap_or(20) };
            let name = feature.name.clone();
            space.fields.push(Field { name, side: feature.side, kind, column: usize::MAX });
            space.encodings.push(Encoding::Timeline);
        }
    }
    for (place, feature) in histories {
        let fields = history_fields(config, &space, feature)?;
        if let FieldKind::History { of, .. } = &mut space.fields[place].kind {
            *of = fields;
        }
    }
    for feature in &config.features {
        let Some(id) = feature.within.as_deref() else { continue };
        let place = space.fields.iter().position(|f| f.name == feature.name);
        let its =
            item_field(&space, id).ok_or_else(|| no_item_field(feature, &[id.to_string()]))?;
        if let Encoding::Within { of, .. } = &mut space.encodings[place.expect("it was added")] {
            *of = its;
        }
    }
    for (place, feature, item) in pasts {
        let number = space
            .fields
            .iter()
            .position(|f| f.name == item && f.side == Side::Item && f.kind == FieldKind::Number);
        let id = item_field(&space, &item);
        match &mut space.encodings[place] {
            Encoding::Past { of, .. } | Encoding::Popularity { of, .. } => {
                *of = Some(id.ok_or_else(|| no_item_field(feature, &[item]))?);
            }
            Encoding::Affinity { of, .. } => *of = number.expect("checked"),
            _ => unreachable!("these alone have an `of`"),
        }
    }
    Ok(space)
}

/// The training rows of a number by the row of the id that it is measured within, `[0]` being all of them. Where a value has
/// no row of training, all speak for it.
type Groups = Vec<Vec<u32>>;

/// The groups of a feature that is measured within an id.
fn groups<'a>(
    config: &Config,
    feature: &Feature,
    places: &HashMap<&str, (usize, Encoding), FxBuildHasher>,
    sample: &impl Fn(&Feature) -> Option<Sample<'a>>,
) -> Option<Groups> {
    let named = feature.within.as_deref()?;
    let id = config.features.iter().find(|f| f.name == named).expect("checked");
    let owner = id.shared_with.as_deref().unwrap_or(&id.name);
    let (_, encoding) = &places[owner];
    let Sample { raw, rows } = sample(id).expect("ids have a column");
    let Column::Ids(ids) = encode(raw, encoding, owner, None) else { unreachable!("it is an id") };
    let mut groups: Groups = vec![rows.to_vec()];
    for &row in rows {
        let group = ids[row as usize] as usize;
        if group >= groups.len() {
            groups.resize(group + 1, Vec::new());
        }
        if group > 0 {
            groups[group].push(row);
        }
    }
    let values = match encoding {
        Encoding::Vocabulary { values } => values.len() + 1,
        Encoding::Hashed { rows } => *rows as usize,
        _ => groups.len(),
    };
    groups.resize(values, Vec::new());
    Some(groups)
}

/// What is learned of all training rows, or of each group.
fn of_groups<'a>(
    sample: &Sample<'a>,
    groups: Option<&'a Groups>,
    learn: impl Fn(&Sample<'a>) -> Encoding,
) -> Encoding {
    let Some(groups) = groups else { return learn(sample) };
    let all = learn(sample);
    let own = |rows: &'a Vec<u32>| {
        if rows.is_empty() { all.clone() } else { learn(&Sample { raw: sample.raw, rows }) }
    };
    // Where the id stands among the fields is known when all have their place.
    Encoding::Within { of: usize::MAX, encodings: groups.iter().map(own).collect() }
}

/// The item-side id fields that a history is embedded by; by default the item's own id.
fn history_fields(config: &Config, space: &FeatureSpace, feature: &Feature) -> Result<Vec<usize>> {
    let of = feature.of.clone().unwrap_or_else(|| {
        let own = config.features.iter().find(|f| {
            f.side == Side::Item && f.kind == FeatureType::Id && f.column() == config.columns.item
        });
        own.map(|f| f.name.clone()).into_iter().collect()
    });
    let fields: Option<Vec<usize>> = of.iter().map(|name| item_field(space, name)).collect();
    fields.filter(|fields| !fields.is_empty()).ok_or_else(|| no_item_field(feature, &of))
}

/// The item-side id field of this name.
fn item_field(space: &FeatureSpace, name: &str) -> Option<usize> {
    space.fields.iter().position(|f| {
        f.name == name && f.side == Side::Item && matches!(f.kind, FieldKind::Id { .. })
    })
}

fn no_item_field(feature: &Feature, of: &[String]) -> Error {
    Error::Config {
        key: format!("feature.{}.of", feature.name),
        problem: format!("expected names of item-side id features, got {of:?}"),
        hint: Some("add the item id as a feature, or name other item-side ids".into()),
    }
}

/// Encoding and table rows of a feature that owns a table.
fn learn<'a>(
    feature: &Feature,
    sample: &impl Fn(&Feature) -> Option<Sample<'a>>,
    groups: Option<&Groups>,
) -> Option<(Encoding, usize)> {
    match feature.kind {
        FeatureType::Id | FeatureType::Multi => {
            if let Some(rows) = feature.hash_rows {
                return Some((Encoding::Hashed { rows }, rows as usize));
            }
            let sample = sample(feature).expect("ids have a column");
            let values = vocabulary(&sample, feature.min_count.unwrap_or(1));
            let rows = values.len() + 1;
            Some((Encoding::Vocabulary { values }, rows))
        }
        FeatureType::Number if feature.transform == Some(Transform::Buckets) => {
            let sample = sample(feature).expect("numbers have a column");
            let encoding = of_groups(&sample, groups, |sample| Encoding::Buckets {
                edges: quantiles(sample, feature.buckets.unwrap_or(32)),
            });
            let rows = encoding.bucket_rows().expect("buckets have rows");
            Some((encoding, rows))
        }
        _ => None,
    }
}

/// Values seen at least `min_count` times in training, in the order of their first training row.
fn vocabulary(sample: &Sample<'_>, min_count: u32) -> Vec<String> {
    let (Raw::Text { values, .. } | Raw::Bags { values, .. }) = sample.raw else {
        unreachable!("ids are read as text")
    };
    let mut counts = vec![0u32; values.len()];
    let mut order = Vec::new();
    let mut count = |code: u32| {
        if counts[code as usize] == 0 {
            order.push(code);
        }
        counts[code as usize] += 1;
    };
    for &row in sample.rows {
        match sample.raw {
            Raw::Text { codes, .. } => count(codes[row as usize]),
            Raw::Bags { offsets, codes, .. } => {
                let row = row as usize;
                codes[offsets[row] as usize..offsets[row + 1] as usize]
                    .iter()
                    .for_each(|&c| count(c));
            }
            _ => {}
        }
    }
    order.retain(|&code| code != 0 && counts[code as usize] >= min_count);
    order.into_iter().map(|code| values[code as usize].clone()).collect()
}

fn numbers<'a>(sample: &'a Sample<'_>) -> impl Iterator<Item = f64> + 'a {
    let Raw::Numbers(values) = sample.raw else { unreachable!("numbers are read as numbers") };
    sample.rows.iter().map(|&row| values[row as usize]).filter(|v| !v.is_nan())
}

fn standardise(feature: &Feature, sample: &Sample<'_>, groups: Option<&Groups>) -> Encoding {
    let log1p = feature.transform == Some(Transform::Log1p);
    let as_it_is = feature.transform == Some(Transform::None);
    let missing = match feature.missing {
        Some(Missing::Value(value)) => Some(value),
        // Standardised the mean is 0, which an empty cell without a stand-in is.
        Some(Missing::Word(MissingWord::Mean)) if as_it_is => Some(mean_and_sd(numbers(sample)).0),
        _ => None,
    };
    if as_it_is {
        return Encoding::Standardised { mean: 0.0, sd: 1.0, log1p: false, missing };
    }
    let f = |x: f64| if log1p { x.ln_1p() } else { x };
    let mut encoding = of_groups(sample, groups, |sample| {
        let (mean, sd) = mean_and_sd(numbers(sample).map(f));
        Encoding::Standardised { mean, sd, log1p, missing }
    });
    if let (Encoding::Within { encodings, .. }, Some(groups)) = (&mut encoding, groups) {
        // One unit for all, so that a step means the same in each group: what is left around their means.
        let left = encodings.iter().zip(groups).skip(1).flat_map(|(encoding, rows)| {
            let Encoding::Standardised { mean, .. } = *encoding else { unreachable!("as above") };
            numbers(&Sample { raw: sample.raw, rows }).map(move |x| f(x) - mean).collect::<Vec<_>>()
        });
        let (_, common) = mean_and_sd(left);
        for (encoding, rows) in encodings.iter_mut().zip(groups).skip(1) {
            if let (Encoding::Standardised { sd, .. }, false) = (encoding, rows.is_empty()) {
                *sd = common;
            }
        }
    }
    encoding
}

/// Mean, and standard deviation or 1 where it is 0.
pub(super) fn mean_and_sd(values: impl Iterator<Item = f64>) -> (f64, f64) {
    let (mut n, mut mean, mut square) = (0.0, 0.0, 0.0);
    for x in values {
        // Welford: no cancellation for large, nearly equal numbers.
        n += 1.0;
        let delta = x - mean;
        mean += delta / n;
        square += delta * (x - mean);
    }
    let sd = if n > 0.0 { (square / n).sqrt() } else { 0.0 };
    (mean, if sd > 0.0 { sd } else { 1.0 })
}

/// Inner edges of `buckets` quantile buckets; equal edges are kept once.
fn quantiles(sample: &Sample<'_>, buckets: usize) -> Vec<f64> {
    let step = (sample.rows.len() / QUANTILE_SAMPLE).max(1);
    let mut values: Vec<f64> = numbers(sample).step_by(step).collect();
    values.sort_unstable_by(f64::total_cmp);
    let mut edges: Vec<f64> =
        (1..buckets).filter_map(|b| values.get(b * values.len() / buckets).copied()).collect();
    edges.dedup();
    edges
}

impl Encoding {
    /// A number as a network reads it.
    fn number(&self, x: f64) -> f32 {
        let Self::Standardised { mean, sd, log1p, missing } = self else {
            unreachable!("{self:?} of a number")
        };
        let x = if x.is_nan() { missing.unwrap_or(f64::NAN) } else { x };
        let x = if *log1p { x.ln_1p() } else { x };
        // An empty cell without a stand-in is the training mean.
        if x.is_nan() { 0.0 } else { ((x - mean) / sd) as f32 }
    }

    /// The row of a number's bucket.
    fn bucket(&self, x: f64) -> u32 {
        let Self::Buckets { edges } = self else { unreachable!("{self:?} of a number in buckets") };
        if x.is_nan() { 0 } else { 1 + edges.partition_point(|&edge| edge <= x) as u32 }
    }
}

/// Encodes all rows of a raw column; `groups` are those of the id that it is measured within.
pub(super) fn encode(
    raw: &Raw,
    encoding: &Encoding,
    salt: &str,
    groups: Option<&Column>,
) -> Column {
    match (raw, encoding) {
        (Raw::Text { codes, values }, _) => {
            let rows = table_rows(values, encoding, salt);
            Column::Ids(codes.iter().map(|&code| rows[code as usize]).collect())
        }
        (Raw::Bags { offsets, codes, values }, _) => {
            let rows = table_rows(values, encoding, salt);
            // An unknown value of a bag says nothing: it is left out.
            let mut out = vec![0u32];
            let mut ids = Vec::with_capacity(codes.len());
            for pair in offsets.windows(2) {
                let members = &codes[pair[0] as usize..pair[1] as usize];
                ids.extend(members.iter().map(|&code| rows[code as usize]).filter(|&row| row != 0));
                out.push(ids.len() as u32);
            }
            Column::Bags { offsets: out, ids }
        }
        (Raw::Numbers(values), Encoding::Standardised { .. }) => {
            Column::Numbers(values.iter().map(|&x| encoding.number(x)).collect())
        }
        (Raw::Numbers(values), Encoding::Buckets { .. }) => {
            Column::Ids(values.iter().map(|&x| encoding.bucket(x)).collect())
        }
        (Raw::Numbers(values), Encoding::Within { encodings, .. }) => {
            let Some(Column::Ids(ids)) = groups else { unreachable!("it is within an id") };
            let own = values.iter().zip(ids).map(|(&x, &id)| (&encodings[id as usize], x));
            if encoding.bucket_rows().is_some() {
                Column::Ids(own.map(|(encoding, x)| encoding.bucket(x)).collect())
            } else {
                Column::Numbers(own.map(|(encoding, x)| encoding.number(x)).collect())
            }
        }
        (Raw::Times(times), Encoding::Hour) => {
            Column::Ids(times.iter().map(|&t| hour(t)).collect())
        }
        (Raw::Times(times), Encoding::Weekday) => {
            Column::Ids(times.iter().map(|&t| weekday(t)).collect())
        }
        (raw, encoding) => unreachable!("{encoding:?} of {raw:?}"),
    }
}

/// Standard deviations from the mean beyond which a number is a mistake: a network makes infinities of it, and NaN of
/// these.
const FARTHEST: f32 = 1e10;

/// Encodes one cell of a field, given as text: one row. `group` is that of the id it is measured within, `key` what an error
/// is about.
///
/// # Errors
///
/// Where a number or a time is wanted and the text is none, or the number is beyond all that the run has seen.
pub(crate) fn encode_cell(
    config: &Config,
    (field, encoding): (&Field, &Encoding),
    text: &str,
    group: Option<&Column>,
    key: &str,
) -> Result<Column> {
    let wrong = |expected: &str| Error::config(key, format!("expected {expected}, got `{text}`"));
    let feature = feature_of(config, field);
    let salt = feature.shared_with.as_deref().unwrap_or(&feature.name);
    let empty = text.is_empty();
    let raw = match (field.kind.clone(), encoding) {
        (FieldKind::Bag { .. }, _) => {
            let separator = feature.separator.as_deref().unwrap_or("|");
            let parts = text.split(separator).map(str::trim).filter(|part| !part.is_empty());
            let values: Vec<String> =
                std::iter::once(String::new()).chain(parts.map(str::to_string)).collect();
            let codes: Vec<u32> = (1..values.len() as u32).collect();
            Raw::Bags { offsets: vec![0, codes.len() as u32], codes, values }
        }
        (_, Encoding::Standardised { .. } | Encoding::Buckets { .. } | Encoding::Within { .. }) => {
            let number = text.parse().ok().filter(|v: &f64| v.is_finite());
            let negative = feature.transform == Some(Transform::Log1p);
            match number {
                _ if empty => Raw::Numbers(vec![f64::NAN]),
                Some(number) if negative && number < 0.0 => {
                    return Err(wrong("a number of at least 0 (`transform = \"log1p\"`)"));
                }
                Some(number) => Raw::Numbers(vec![number]),
                None => return Err(wrong("a finite number")),
            }
        }
        (_, Encoding::Hour | Encoding::Weekday) if empty => Raw::Times(vec![i64::MIN]),
        (_, Encoding::Hour | Encoding::Weekday) => {
            Raw::Times(vec![crate::civil::instant(text).ok_or_else(|| wrong("a time"))?])
        }
        _ if empty => Raw::Text { codes: vec![0], values: vec![String::new()] },
        _ => Raw::Text { codes: vec![1], values: vec![String::new(), text.into()] },
    };
    let column = encode(&raw, encoding, salt, group);
    match &column {
        Column::Numbers(values) if values.iter().any(|z| z.is_nan() || z.abs() > FARTHEST) => {
            Err(wrong("a number like those that the run was trained with"))
        }
        _ => Ok(column),
    }
}

/// Encodes one time.
pub(crate) fn encode_time(time: i64, encoding: &Encoding) -> Column {
    encode(&Raw::Times(vec![time]), encoding, "", None)
}

/// `1 + hour` of a Unix time; 0 where unknown.
fn hour(time: i64) -> u32 {
    if time == i64::MIN { 0 } else { 1 + time.rem_euclid(86_400) as u32 / 3600 }
}

/// `1 + weekday`, Monday first; 0 where unknown. Day 0 was a Thursday.
fn weekday(time: i64) -> u32 {
    if time == i64::MIN { 0 } else { 1 + (time.div_euclid(86_400) + 3).rem_euclid(7) as u32 }
}

/// Table row of each distinct value.
fn table_rows(values: &[String], encoding: &Encoding, salt: &str) -> Vec<u32> {
    match encoding {
        // An index would cost more than looking.
        Encoding::Vocabulary { values: known } if values.len() <= 2 => {
            let row = |v: &String| known.iter().position(|k| k == v).map_or(0, |i| i as u32 + 1);
            values.iter().map(row).collect()
        }
        Encoding::Vocabulary { values: known } => {
            let rows: HashMap<&str, u32, FxBuildHasher> =
                known.iter().enumerate().map(|(i, v)| (v.as_str(), i as u32 + 1)).collect();
            values.iter().map(|v| rows.get(v.as_str()).copied().unwrap_or(0)).collect()
        }
        Encoding::Hashed { rows } => values
            .iter()
            .map(|v| {
                if v.is_empty() {
                    return 0;
                }
                let key = daogou_nn::rng::hash(salt) ^ daogou_nn::rng::hash(v);
                1 + (daogou_nn::rng::mix(key) % u64::from(rows - 1)) as u32
            })
            .collect(),
        _ => unreachable!("texts are encoded by a vocabulary or a hash"),
    }
}

impl Raw {
    /// Some rows, in another order; [`NO_ROW`] gives an empty cell.
    pub(super) fn take(&self, rows: &[u32]) -> Self {
        fn pick<T: Copy>(values: &[T], rows: &[u32], empty: T) -> Vec<T> {
            rows.iter().map(|&r| if r == NO_ROW { empty } else { values[r as usize] }).collect()
        }
        match self {
            Self::Text { codes, values } => {
                Self::Text { codes: pick(codes, rows, 0), values: values.clone() }
            }
            Self::Numbers(values) => Self::Numbers(pick(values, rows, f64::NAN)),
            Self::Times(values) => Self::Times(pick(values, rows, i64::MIN)),
            Self::Labels(values) => Self::Labels(pick(values, rows, 0)),
            Self::Bags { offsets, codes, values } => {
                let (mut out, mut members) = (vec![0u32], Vec::new());
                for &row in rows {
                    if row != NO_ROW {
                        let row = row as usize;
                        members.extend_from_slice(
                            &codes[offsets[row] as usize..offsets[row + 1] as usize],
                        );
                    }
                    out.push(members.len() as u32);
                }
                Self::Bags { offsets: out, codes: members, values: values.clone() }
            }
        }
    }
}

/// A row that does not exist: its cells are empty.
pub(super) const NO_ROW: u32 = u32::MAX;

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    const CONFIG: &str = "[data]\nimpressions = [\"log.csv\"]\n\
        [[feature]]\nname = \"level\"\ncolumn = \"price\"\nside = \"item\"\ntype = \"number\"\nwithin = \"kind\"\n\
        [[feature]]\nname = \"step\"\ncolumn = \"price\"\nside = \"item\"\ntype = \"number\"\ntransform = \"buckets\"\n\
        buckets = 2\nwithin = \"kind\"\n\
        [[feature]]\nname = \"kind\"\nside = \"item\"\ntype = \"id\"\n\
        [[feature]]\nname = \"past\"\nside = \"impression\"\ntype = \"past\"\nof = [\"step\"]\n\
        [columns]\ntime = \"time\"\n\
        [[task]]\nname = \"click\"\nkind = \"binary\"\n";

    fn config(text: &str) -> Result<Config> {
        Config::parse(text, Path::new("daogou.toml"))
    }

    /// What training on `rows` learns of columns `price` and `kind`; no other column has a value.
    fn fitted(config: &Config, prices: &Raw, kinds: &Raw, rows: &[u32]) -> FeatureSpace {
        fit(config, |feature| match feature.column() {
            "price" => Some(Sample { raw: prices, rows }),
            "kind" => Some(Sample { raw: kinds, rows }),
            _ => None,
        })
        .unwrap()
    }

    /// Phones of 1,000 ± 200 and cases of 10 ± 2; a kind that training has never seen, and an item of no kind.
    #[test]
    fn a_number_within_an_id_is_measured_among_its_like() {
        let config = config(CONFIG).unwrap();
        let prices = Raw::Numbers(vec![f64::NAN, 800.0, 1200.0, 8.0, 12.0, 1000.0, 10.0]);
        let values = ["", "phone", "case", "watch"].map(String::from).to_vec();
        let kinds = Raw::Text { codes: vec![0, 1, 1, 2, 2, 3, 0], values };
        let rows = [1, 2, 3, 4];
        let space = fitted(&config, &prices, &kinds, &rows);
        let groups = encode(&kinds, &space.encodings[2], "kind", None);
        assert_eq!(space.encodings[0].within(), Some(2));
        let Column::Numbers(level) = encode(&prices, &space.encodings[0], "", Some(&groups)) else {
            panic!("a number")
        };
        // What is left around 1,000 and 10 is ±200 and ±2, of which the standard deviation is 141.4.
        let sd = 20_002f64.sqrt();
        for (level, expected) in level[1..5].iter().zip([-200.0, 200.0, -2.0, 2.0]) {
            assert!((f64::from(*level) - expected / sd).abs() < 1e-6, "{level}");
        }
        // Of an unknown kind all prices speak: their mean is 505.
        let all = [800.0, 1200.0, 8.0, 12.0].map(|x: f64| x - 505.0);
        let spread = (all.iter().map(|x| x * x).sum::<f64>() / 4.0).sqrt();
        assert!((f64::from(level[5]) - 495.0 / spread).abs() < 1e-6);
        assert!((f64::from(level[6]) + 495.0 / spread).abs() < 1e-6);
        assert_eq!(level[0], 0.0, "an empty cell is the mean");

        let steps = encode(&prices, &space.encodings[1], "", Some(&groups));
        // The dearer half of the phones, and of the cases.
        assert_eq!(steps, Column::Ids(vec![0, 1, 2, 1, 2, 2, 1]));
        let table = space.tables.iter().find(|table| table.name == "step").unwrap();
        assert_eq!(table.rows, 3);
        // A cell by itself is what it is in a column.
        let group = Column::Ids(vec![1]);
        let field = |place: usize| (&space.fields[place], &space.encodings[place]);
        let cell = encode_cell(&config, field(1), "1200", Some(&group), "price").unwrap();
        assert_eq!(cell, Column::Ids(vec![2]));
    }

    /// An empty cell of a price: the mean, of its like where it is measured among them, which without `within` and without
    /// standardising is a number of its own.
    #[test]
    fn an_empty_cell_can_be_the_mean() {
        let (prices, rows) = (Raw::Numbers(vec![f64::NAN, 3.0, 5.0, 10.0]), [1, 2, 3]);
        let values = ["", "phone", "case"].map(String::from).to_vec();
        let kinds = Raw::Text { codes: vec![1, 1, 1, 2], values };
        let empty_cell = |options: &str| {
            let text = CONFIG.replacen("within = \"kind\"", options, 1);
            let config = config(&text).unwrap();
            let space = fitted(&config, &prices, &kinds, &rows);
            let groups = encode(&kinds, &space.encodings[2], "kind", None);
            match encode(&prices, &space.encodings[0], "", Some(&groups)) {
                Column::Numbers(level) => level[0],
                other => panic!("{other:?}"),
            }
        };
        assert_eq!(empty_cell("missing = \"mean\""), 0.0);
        assert_eq!(empty_cell("missing = \"mean\"\nwithin = \"kind\""), 0.0);
        assert_eq!(empty_cell("missing = \"mean\"\ntransform = \"none\""), 6.0);
        assert_eq!(empty_cell("missing = 6\ntransform = \"none\""), 6.0);
        // Around the 4 of phones, by the 0.816 that is left between items of a kind.
        let cell = empty_cell("missing = 6\nwithin = \"kind\"");
        assert!((cell - 2.0 / (2.0f32 / 3.0).sqrt()).abs() < 1e-6, "{cell}");
    }

    /// Hashing gives most rows no item: all speak for them, in their own unit, and are measured once.
    #[test]
    fn kinds_that_hashing_leaves_empty_are_measured_as_all() {
        let text = CONFIG.replacen(
            "name = \"kind\"\nside = \"item\"\ntype = \"id\"",
            "name = \"kind\"\nside = \"item\"\ntype = \"id\"\nhash_rows = 4000",
            1,
        );
        let prices = Raw::Numbers((0..2000).map(f64::from).collect());
        let values = ["", "phone", "case"].map(String::from).to_vec();
        let kinds = Raw::Text { codes: (0..2000).map(|row| 1 + row % 2).collect(), values };
        let rows: Vec<u32> = (0..2000).collect();
        let space = fitted(&config(&text).unwrap(), &prices, &kinds, &rows);
        let Encoding::Within { encodings, .. } = &space.encodings[0] else { panic!("within") };
        assert_eq!(encodings.len(), 4_000);
        assert_eq!(encodings.iter().filter(|&own| *own != encodings[0]).count(), 2);
    }

    #[test]
    fn a_stand_in_must_be_a_number_that_the_feature_can_be() {
        for (options, word) in [
            ("missing = \"median\"", "expected a number or \"mean\""),
            ("missing = nan", "expected a finite number or \"mean\", got NaN"),
            ("missing = -1\ntransform = \"log1p\"", "expected a number from 0 or \"mean\", got -1"),
            ("missing = 1\ntransform = \"buckets\"", "an empty cell has a bucket of its own"),
        ] {
            let text = CONFIG.replacen("within = \"kind\"", options, 1);
            let error = config(&text).unwrap_err().to_string();
            assert!(error.contains(word), "{error}");
        }
    }

    #[test]
    fn what_a_number_is_within_must_be_an_id_of_items() {
        for (from, to, word) in [
            ("within = \"kind\"", "within = \"colour\"", "`colour`"),
            ("within = \"kind\"", "within = \"step\"", "`step`"),
            (
                "column = \"price\"\nside = \"item\"",
                "column = \"price\"\nside = \"user\"",
                "within",
            ),
            (
                "type = \"number\"\nwithin",
                "type = \"number\"\ntransform = \"none\"\nwithin",
                "none",
            ),
            (
                "name = \"kind\"\nside = \"item\"\ntype = \"id\"",
                "name = \"kind\"\nside = \"item\"\ntype = \"multi\"",
                "kind",
            ),
            ("of = [\"step\"]", "of = [\"level\"]", "`level`"),
        ] {
            let text = CONFIG.replacen(from, to, 1);
            assert_ne!(text, CONFIG, "{from}");
            let error = config(&text).unwrap_err().to_string();
            assert!(error.contains(word), "{error}");
        }
    }
}
