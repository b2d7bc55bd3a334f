//! Learning how raw values become numbers, and applying it. Training and serving share these functions.

use hashbrown::HashMap;
use rustc_hash::FxBuildHasher;

use super::columns::Raw;
use super::dataset::Column;
use super::load::feature_of;
use super::past::Measure;
use super::popularity::Prior;
use super::space::{Encoding, FeatureSpace, Field, FieldKind, TableShape};
use crate::schema::{Config, Feature, FeatureType, Side, Transform};
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
    // Owners of tables first, so that a feature may share the table of a later one.
    for feature in config.features.iter().filter(|f| f.shared_with.is_none()) {
        if let Some((encoding, rows)) = learn(feature, &sample) {
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
                let encoding =
                    standardise(feature, &sample(feature).expect("numbers have a column"));
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
    for (place, feature, item) in pasts {
        let field = item_field(&space, &item).ok_or_else(|| no_item_field(feature, &[item]))?;
        if let Encoding::Past { of, .. } | Encoding::Popularity { of, .. } =
            &mut space.encodings[place]
        {
            *of = Some(field);
        }
    }
    Ok(space)
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
            let edges = quantiles(&sample, feature.buckets.unwrap_or(32));
            let rows = edges.len() + 2;
            Some((Encoding::Buckets { edges }, rows))
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

fn standardise(feature: &Feature, sample: &Sample<'_>) -> Encoding {
    let log1p = feature.transform == Some(Transform::Log1p);
    let missing = feature.missing;
    if feature.transform == Some(Transform::None) {
        return Encoding::Standardised { mean: 0.0, sd: 1.0, log1p: false, missing };
    }
    let f = |x: f64| if log1p { x.ln_1p() } else { x };
    let (mean, sd) = mean_and_sd(numbers(sample).map(f));
    Encoding::Standardised { mean, sd, log1p, missing }
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

/// Encodes all rows of a raw column.
pub(super) fn encode(raw: &Raw, encoding: &Encoding, salt: &str) -> Column {
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
        (Raw::Numbers(values), Encoding::Standardised { mean, sd, log1p, missing }) => {
            let one = |&x: &f64| {
                let x = if x.is_nan() { missing.unwrap_or(f64::NAN) } else { x };
                let x = if *log1p { x.ln_1p() } else { x };
                // An empty cell without a stand-in is the training mean.
                if x.is_nan() { 0.0 } else { ((x - mean) / sd) as f32 }
            };
            Column::Numbers(values.iter().map(one).collect())
        }
        (Raw::Numbers(values), Encoding::Buckets { edges }) => {
            let one = |&x: &f64| {
                if x.is_nan() { 0 } else { 1 + edges.partition_point(|&edge| edge <= x) as u32 }
            };
            Column::Ids(values.iter().map(one).collect())
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

/// Encodes one cell of a field, given as text: one row. `key` is what an error is about.
///
/// # Errors
///
/// Where a number or a time is wanted and the text is none, or the number is beyond all that the run has seen.
pub(crate) fn encode_cell(
    config: &Config,
    (field, encoding): (&Field, &Encoding),
    text: &str,
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
        (_, Encoding::Standardised { .. } | Encoding::Buckets { .. }) => {
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
    let column = encode(&raw, encoding, salt);
    match &column {
        Column::Numbers(values) if values.iter().any(|z| z.is_nan() || z.abs() > FARTHEST) => {
            Err(wrong("a number like those that the run was trained with"))
        }
        _ => Ok(column),
    }
}

/// Encodes one time.
pub(crate) fn encode_time(time: i64, encoding: &Encoding) -> Column {
    encode(&Raw::Times(vec![time]), encoding, "")
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
