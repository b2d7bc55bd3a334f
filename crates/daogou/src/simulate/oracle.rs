//! The best that any model could do on a simulated log.

use std::fs::File;
use std::path::Path;

use arrow_array::RecordBatch;
use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, Int32Type, Int64Type, TimestampMillisecondType};
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

use crate::metrics::ScoreOrder;
use crate::metrics::auc::expected_auc;
use crate::metrics::logloss::{binary_entropy, sigmoid};
use crate::{Error, Result};

/// What a model that knew every true probability would reach on one task, on average over the draw of the labels.
#[derive(Clone, Copy, Debug, Default, PartialEq, serde::Serialize)]
pub struct Bound {
    /// Highest expected AUC; `None` where the rows cannot have both classes.
    pub auc: Option<f64>,
    /// Lowest expected log loss, nats per row; `None` without rows.
    pub logloss: Option<f64>,
    /// Expected share of positives; `None` without rows.
    pub rate: Option<f64>,
    /// Rows.
    pub n: u64,
}

impl Bound {
    /// The bound of rows with these true probabilities.
    pub fn of(probabilities: &[f64]) -> Self {
        let n = probabilities.len();
        let scores: Vec<f32> = probabilities.iter().map(|&p| p as f32).collect();
        let mean = |of: &dyn Fn(f64) -> f64| {
            (n > 0).then(|| probabilities.iter().map(|&p| of(p)).sum::<f64>() / n as f64)
        };
        Self {
            auc: expected_auc(&ScoreOrder::new(&scores), probabilities),
            logloss: mean(&binary_entropy),
            rate: mean(&|p| p),
            n: n as u64,
        }
    }

    /// Share of the way from chance to the bound: `(AUC − ½) / (A* − ½)`. `None` where the bound is chance itself.
    pub fn gap_closed(&self, auc: f64) -> Option<f64> {
        self.auc.filter(|&best| best > 0.5).map(|best| (auc - 0.5) / (best - 0.5))
    }
}

/// Bounds of the three impression-level questions.
#[derive(Clone, Copy, Debug, Default, PartialEq, serde::Serialize)]
pub struct Ceiling {
    /// Click, over all impressions, position known.
    pub ctr: Bound,
    /// Purchase after a click, over the impressions that were clicked.
    pub cvr: Bound,
    /// Click and purchase, over all impressions.
    pub ctcvr: Bound,
}

impl Ceiling {
    /// The bounds over the requests of `dir/oracle.parquet` that `keep` wants, such as those of a test split: it is
    /// given each row's request id and Unix time in seconds. Request ids count from 0 in order of time.
    ///
    /// Memory as [`Truth`].
    pub fn read(dir: &Path, mut keep: impl FnMut(i64, i64) -> bool) -> Result<Self> {
        let truth = Truth::read(dir)?;
        let kept = |&row: &usize| keep(truth.request[row], truth.time[row]);
        let rows: Vec<usize> = (0..truth.click.len()).filter(kept).collect();
        Ok(truth.ceiling(&rows))
    }
}

/// Expected AUC of a model's scores over the draw of the labels, for the questions of [`Ceiling`]: what its AUC would
/// be on average if these people came again. Labels of one test split are one draw; with a few hundred purchases that draw
/// moves an AUC by more than models differ.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Expected {
    /// Click.
    pub ctr: Option<f64>,
    /// Purchase after a click, over the impressions that were clicked.
    pub cvr: Option<f64>,
    /// Click and purchase.
    pub ctcvr: Option<f64>,
}

/// The true probabilities of a simulated log, row by row: 33 bytes each.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Truth {
    request: Vec<i64>,
    /// Unix time.
    time: Vec<i64>,
    click: Vec<f64>,
    purchase: Vec<f64>,
    clicked: Vec<bool>,
}

impl Truth {
    /// Reads `dir/oracle.parquet`.
    ///
    /// # Errors
    ///
    /// Where it is missing or no such table.
    pub fn read(dir: &Path) -> Result<Self> {
        let path = dir.join("oracle.parquet");
        let file = File::open(&path).map_err(|error| Error::file(&path, error.to_string()))?;
        let unreadable = |error: &dyn std::fmt::Display| {
            Error::file(&path, format!("not an oracle table: {error}"))
                .with_hint("`daogou simulate` writes this file; was it changed?")
        };
        let builder =
            ParquetRecordBatchReaderBuilder::try_new(file).map_err(|error| unreadable(&error))?;
        let names = ["request_id", "time", "p_click", "p_purchase_given_click", "click"];
        let mask = ProjectionMask::columns(builder.parquet_schema(), names);
        let reader = builder
            .with_projection(mask)
            .with_batch_size(1 << 16)
            .build()
            .map_err(|error| unreadable(&error))?;
        let mut truth = Self::default();
        for batch in reader {
            let batch = batch.map_err(|error| unreadable(&error))?;
            let columns = Columns::of(&batch)
                .ok_or_else(|| unreadable(&"a column is missing or has another type"))?;
            truth.request.extend_from_slice(columns.request);
            truth.time.extend(columns.time.iter().map(|millis| millis.div_euclid(1000)));
            truth.click.extend_from_slice(columns.p_click);
            truth.purchase.extend_from_slice(columns.p_purchase);
            truth.clicked.extend(columns.click.iter().map(|&click| click == 1));
        }
        Ok(truth)
    }

    /// True P(click | shown here) of a row of the log.
    pub fn click(&self, row: usize) -> f64 {
        self.click[row]
    }

    /// True P(purchase | click) of a row of the log, clicked or not.
    pub fn purchase(&self, row: usize) -> f64 {
        self.purchase[row]
    }

    /// A function of the true probabilities of click and of purchase after a click, by row.
    #[cfg(test)]
    pub(super) fn map(&self, of: impl Fn(f64) -> f32) -> (Vec<f32>, Vec<f32>) {
        let each = |p: &[f64]| p.iter().map(|&p| of(p)).collect();
        (each(&self.click), each(&self.purchase))
    }

    /// True probabilities of click, of purchase for the rows that were clicked, and of both.
    fn probabilities(&self, rows: &[usize]) -> [Vec<f64>; 3] {
        let clicked = rows.iter().filter(|&&row| self.clicked[row]);
        [
            rows.iter().map(|&row| self.click[row]).collect(),
            clicked.map(|&row| self.purchase[row]).collect(),
            rows.iter().map(|&row| self.click[row] * self.purchase[row]).collect(),
        ]
    }

    /// The best that any model could do on some rows.
    pub fn ceiling(&self, rows: &[usize]) -> Ceiling {
        let [click, bought, both] = self.probabilities(rows);
        Ceiling { ctr: Bound::of(&click), cvr: Bound::of(&bought), ctcvr: Bound::of(&both) }
    }

    /// What a model's logits of click and of purchase after a click would reach on some rows.
    ///
    /// # Panics
    ///
    /// If there is not one logit per row.
    pub fn expected(&self, rows: &[usize], click: &[f32], purchase: &[f32]) -> Expected {
        assert!(click.len() == rows.len() && purchase.len() == rows.len(), "one logit per row");
        let [clicks, bought, both] = self.probabilities(rows);
        let probability = |z: f32| sigmoid(f64::from(z));
        let products: Vec<f32> = click
            .iter()
            .zip(purchase)
            .map(|(&a, &v)| (probability(a) * probability(v)) as f32)
            .collect();
        let clicked = rows.iter().zip(purchase).filter(|(row, _)| self.clicked[**row]);
        let of_clicked: Vec<f32> = clicked.map(|(_, &z)| z).collect();
        Expected {
            ctr: expected_auc(&ScoreOrder::new(click), &clicks),
            cvr: expected_auc(&ScoreOrder::new(&of_clicked), &bought),
            ctcvr: expected_auc(&ScoreOrder::new(&products), &both),
        }
    }
}

struct Columns<'a> {
    request: &'a [i64],
    time: &'a [i64],
    p_click: &'a [f64],
    p_purchase: &'a [f64],
    click: &'a [i32],
}

impl<'a> Columns<'a> {
    fn of(batch: &'a RecordBatch) -> Option<Self> {
        let numbers = |name| {
            let array = batch.column_by_name(name)?.as_primitive_opt::<Float64Type>()?;
            Some(&array.values()[..])
        };
        Some(Self {
            request: batch.column_by_name("request_id")?.as_primitive_opt::<Int64Type>()?.values(),
            time: (batch.column_by_name("time")?)
                .as_primitive_opt::<TimestampMillisecondType>()?
                .values(),
            p_click: numbers("p_click")?,
            p_purchase: numbers("p_purchase_given_click")?,
            click: batch.column_by_name("click")?.as_primitive_opt::<Int32Type>()?.values(),
        })
    }
}
