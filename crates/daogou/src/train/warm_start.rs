//! Starting from what an older run learned, on a log in which users and items came and went.
//!
//! Tables are taken over row by row: a row of the new vocabulary has the values that the older run had for the same id, and
//! ids it did not know keep their first values. Tables of hashed ids, hours, weekdays and buckets are taken as a whole where
//! they have as many rows; a bucket is then the same quantile, of the new log. Other weights are taken by name and shape, if
//! both runs read the same fields in the same order, since columns would otherwise meet other fields' weights; and those of
//! a head that answers with a category mix, if there are the same categories. The head of a multi-class task is taken class by
//! class. That of a regression is moved to the new log's mean and standard deviation, so that it gives the older run's answers.
//! Features that are numbers are standardised by the new log, and the optimiser starts anew. What is not taken is told.

use std::path::Path;

use daogou_nn::{Engine, Param};
use hashbrown::HashMap;
use rustc_hash::FxBuildHasher;

use crate::data::{Dataset, Encoding, FeatureSpace, FieldKind, LabelEncoding};
use crate::models::{Head, table_name};
use crate::run::TrainedRun;
use crate::schema::{Config, TaskKind};
use crate::{Error, Result};

/// Weights that were not taken and are named.
const NAMED: usize = 5;

/// What was taken over.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Taken {
    /// Dense parameters and tables, of all there are.
    tensors: (usize, usize),
    /// Table rows, of all there are.
    rows: (usize, usize),
    /// Why others were not.
    left: Vec<String>,
}

impl Taken {
    fn sentence(&self, directory: &Path) -> String {
        let of = |(taken, all): (usize, usize), what: &str| format!("{taken} of {all} {what}");
        let mut text = format!(
            "started from {}: {}, {}",
            directory.display(),
            of(self.tensors, "tensors"),
            of(self.rows, "table rows")
        );
        if !self.left.is_empty() {
            let named: Vec<&str> = self.left.iter().take(NAMED).map(String::as_str).collect();
            text += &format!("; first values for {}", named.join(", "));
            if self.left.len() > NAMED {
                text += &format!(" and {} more", self.left.len() - NAMED);
            }
        }
        text
    }
}

/// Takes over what fits of a run, and says what that was.
///
/// # Errors
///
/// Where there is no such run, or nothing of it fits.
pub(super) fn take(
    directory: &Path,
    engine: &mut Engine,
    (config, data): (&Config, &Dataset),
    heads: &[Head],
) -> Result<String> {
    let (run, _) = TrainedRun::open(directory)?;
    let taken = take_from(&run, engine, (config, data), heads);
    if taken.tensors.0 == 0 {
        return Err(Error::Config {
            key: "train.warm_start".into(),
            problem: format!(
                "nothing of {} fits: its weights have other names",
                directory.display()
            ),
            hint: Some("start from a run of the same features and `model.kind`".into()),
        });
    }
    Ok(taken.sentence(directory))
}

fn take_from(
    run: &TrainedRun,
    engine: &mut Engine,
    (config, data): (&Config, &Dataset),
    heads: &[Head],
) -> Taken {
    let (old, new) = (&*run.stored.space, &*data.space);
    let params = engine.model().params().to_vec();
    let mut taken = Taken::default();
    let same_fields = fields(old) == fields(new);
    let same_categories = run.stored.catalogue.categories == data.catalogue.categories;
    let mixes: Vec<&str> = heads
        .iter()
        .filter(|head| head.kind == TaskKind::Distribution && !same_categories)
        .filter_map(|head| head.bias.strip_suffix("bias"))
        .collect();
    // Of a head that learns numbers or classes: how its labels were encoded and how they are now.
    let labels = |param: &Param| {
        let own = |bias: &str| bias.strip_suffix("bias").is_some_and(|h| param.name.starts_with(h));
        let place = heads.iter().position(|head| own(&head.bias))?;
        let task = &config.tasks[place].name;
        new.labels.get(task).map(|now| (old.labels.get(task), now))
    };
    let shape = |p: &Param| (p.rows, p.cols);
    let in_words = |p: &Param| {
        if p.cols == 0 { p.rows.to_string() } else { format!("{} x {}", p.rows, p.cols) }
    };
    engine.parameters_mut().edit(|dense, tables| {
        for param in &params {
            taken.tensors.1 += 1;
            let found = run.network.model.params().iter().find(|p| p.name == param.name);
            let values = match found {
                None => Err("not in the run".to_string()),
                Some(_) if !same_fields => Err("the run reads other fields".to_string()),
                Some(_) if mixes.iter().any(|head| param.name.starts_with(head)) => {
                    Err("the run knows other categories".to_string())
                }
                Some(found) => {
                    let values = &run.parameters.dense()[found.range()];
                    match labels(param) {
                        Some(encodings) if found.cols == param.cols => {
                            relabelled(encodings, values, (param, &dense[param.range()]))
                        }
                        None if shape(found) == shape(param) => Ok(values.to_vec()),
                        _ => Err(format!(
                            "expected {}, the run has {}",
                            in_words(param),
                            in_words(found)
                        )),
                    }
                }
            };
            match values {
                Ok(values) => {
                    dense[param.range()].copy_from_slice(&values);
                    taken.tensors.0 += 1;
                }
                Err(reason) => taken.left.push(format!("`{}` ({reason})", param.name)),
            }
        }
        for table in tables {
            taken.tensors.1 += 1;
            taken.rows.1 += table.rows();
            let found = run.parameters.tables().iter().find(|t| t.name() == table.name());
            let rows = match found {
                None => Err("not in the run".to_string()),
                Some(found) if found.dim() != table.dim() => {
                    Err(format!("expected {} columns, the run has {}", table.dim(), found.dim()))
                }
                Some(found) => same_rows((old, new), table.name()).map(|rows| (found, rows)),
            };
            match rows {
                Ok((found, rows)) => {
                    let dim = table.dim();
                    for &(from, to) in &rows {
                        let place = to as usize * dim..(to as usize + 1) * dim;
                        table.values_mut()[place].copy_from_slice(found.row(from));
                    }
                    taken.tensors.0 += 1;
                    taken.rows.0 += rows.len();
                }
                Err(reason) => taken.left.push(format!("`{}` ({reason})", table.name())),
            }
        }
    });
    taken
}

/// The weights of a head, or its bias, that answer for the labels of now as `values` did for those before: rows of classes
/// by their text, a number on its new scale. Classes that the run did not know keep their `first` values.
fn relabelled(
    (before, now): (Option<&LabelEncoding>, &LabelEncoding),
    values: &[f32],
    (param, first): (&Param, &[f32]),
) -> std::result::Result<Vec<f32>, String> {
    match (before, now) {
        (Some(LabelEncoding::Number(before)), LabelEncoding::Number(now))
            if before.log1p == now.log1p =>
        {
            let is_bias = param.cols == 0;
            let shift = if is_bias { (before.mean - now.mean) / now.sd } else { 0.0 };
            let moved = |&v: &f32| (f64::from(v) * (before.sd / now.sd) + shift) as f32;
            Ok(values.iter().map(moved).collect())
        }
        (Some(LabelEncoding::Classes(before)), LabelEncoding::Classes(now)) => {
            let (width, mut rows) = (param.cols.max(1), first.to_vec());
            for (to, class) in now.iter().enumerate() {
                if let Some(from) = before.iter().position(|known| known == class) {
                    let own = &values[from * width..(from + 1) * width];
                    rows[to * width..(to + 1) * width].copy_from_slice(own);
                }
            }
            Ok(rows)
        }
        _ => Err("the run learned its label in another way".into()),
    }
}

/// What decides which columns of a layer's weights meet which field.
fn fields(space: &FeatureSpace) -> Vec<(&str, &FieldKind)> {
    space.fields.iter().map(|field| (field.name.as_str(), &field.kind)).collect()
}

/// Rows of a network's table that stand for the same in both spaces, as (old, new).
fn same_rows(
    (old, new): (&FeatureSpace, &FeatureSpace),
    table: &str,
) -> std::result::Result<Vec<(u32, u32)>, String> {
    let (Some(before), Some(now)) = (encoding(old, table), encoding(new, table)) else {
        return Err("of no feature".into());
    };
    let all = |rows: usize| (0..rows as u32).map(|row| (row, row)).collect();
    match (before, now) {
        (Encoding::Vocabulary { values: known }, Encoding::Vocabulary { values }) => {
            let row_of: HashMap<&str, u32, FxBuildHasher> =
                known.iter().zip(1..).map(|(value, row)| (value.as_str(), row)).collect();
            let same = values
                .iter()
                .zip(1..)
                .filter_map(|(value, row)| Some((*row_of.get(value.as_str())?, row)));
            Ok(std::iter::once((0, 0)).chain(same).collect())
        }
        (Encoding::Hashed { rows: before }, Encoding::Hashed { rows }) if before == rows => {
            Ok(all(*rows as usize))
        }
        (Encoding::Hour, Encoding::Hour) => Ok(all(25)),
        (Encoding::Weekday, Encoding::Weekday) => Ok(all(8)),
        (before, now)
            if now.bucket_rows().is_some() && before.bucket_rows() == now.bucket_rows() =>
        {
            Ok(all(now.bucket_rows().unwrap_or_default()))
        }
        _ => Err("its rows stand for something else in the run".into()),
    }
}

/// How the values of the feature behind a network's table become rows. Where each task has tables of its own, their names
/// end with that of the feature's.
fn encoding<'a>(space: &'a FeatureSpace, table: &str) -> Option<&'a Encoding> {
    let of = |name: &str| {
        table
            .strip_suffix(table_name(name).as_str())
            .is_some_and(|scope| scope.is_empty() || scope.ends_with('.'))
    };
    // A scope may look like the end of another name: the longest name is the feature's.
    let tables = space.tables.iter().enumerate().filter(|(_, shape)| of(&shape.name));
    let (index, shape) = tables.max_by_key(|(_, shape)| shape.name.len())?;
    let reads = |kind: &FieldKind| match kind {
        FieldKind::Id { table } | FieldKind::Bag { table } => *table == index,
        FieldKind::Number | FieldKind::History { .. } => false,
    };
    let own = space.fields.iter().position(|f| f.name == shape.name && reads(&f.kind));
    let field = own.or_else(|| space.fields.iter().position(|f| reads(&f.kind)))?;
    space.encodings.get(field)
}
