//! The configuration file: one TOML file describes one run.
//!
//! Every struct refuses unknown keys, so a typo is an error that names the key. Defaults live in the `Default`
//! implementations; `daogou init --defaults` prints them, so documentation cannot drift from code.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::list_rules::{BonusTerm, FloorRule, PinRule, QuotaRule};
use super::loss_weighting::LossWeighting;
use crate::lists::Seen;

/// A whole run: where the log is, what its columns mean, what to learn and how, how to build lists.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Files.
    pub data: DataConfig,
    /// Which column plays which part.
    pub columns: Columns,
    /// Model inputs.
    #[serde(default, rename = "feature", skip_serializing_if = "Vec::is_empty")]
    pub features: Vec<Feature>,
    /// What to predict.
    #[serde(default, rename = "task", skip_serializing_if = "Vec::is_empty")]
    pub tasks: Vec<Task>,
    /// The network.
    #[serde(default)]
    pub model: ModelConfig,
    /// How task losses become one.
    #[serde(default)]
    pub loss_weighting: LossWeighting,
    /// How it is trained.
    #[serde(default)]
    pub train: TrainConfig,
    /// How its probabilities are made to agree with what was observed.
    #[serde(default)]
    pub calibration: CalibrationConfig,
    /// How lists are built.
    #[serde(default)]
    pub lists: ListsConfig,
}

/// `[data]`: the files of a log. Relative paths are relative to the configuration file.
///
/// Formats by extension: `.csv`, `.tsv`, `.jsonl`, `.parquet`, each also `.gz` (not Parquet). Globs are allowed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct DataConfig {
    /// Impressions, one row each: paths or globs. Exactly one of `impressions` and `events` is given.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub impressions: Vec<String>,
    /// Events without impressions (views, orders): paths or globs; see `[data.event_log]`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub events: Vec<String>,
    /// Items, one row each. Without it, item-side columns are read from the impressions.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub items: Option<String>,
    /// Users, one row each. Without it, user-side columns are read from the impressions.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub users: Option<String>,
    /// Field separator of CSV files; one ASCII character.
    pub delimiter: char,
    /// Share of bad rows that is tolerated, counted and shown. `0`: the first bad row fails.
    pub max_bad_share: f64,
    /// Separate files for testing (their rows are the test split; `split` then only makes train and validation).
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub test: Vec<String>,
    /// How rows are split into train, validation and test.
    pub split: SplitConfig,
    /// How events without impressions become labelled rows.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub event_log: Option<EventsConfig>,
}

impl Default for DataConfig {
    fn default() -> Self {
        Self {
            impressions: Vec::new(),
            events: Vec::new(),
            items: None,
            users: None,
            delimiter: ',',
            max_bad_share: 0.0,
            test: Vec::new(),
            split: SplitConfig::default(),
            event_log: None,
        }
    }
}

/// `[data.split]`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct SplitConfig {
    /// `time` (default), `random` by request, or `by_user`. Without a time column `time` is an error unless the
    /// rows are declared to be in time order by `method = "row_order"`.
    pub method: SplitMethod,
    /// Share of requests for training (the earliest, under `time`).
    pub train: f64,
    /// Share for validation.
    pub valid: f64,
    /// Share for testing (the latest).
    pub test: f64,
    /// First instant of the test split, instead of shares: RFC 3339 or Unix seconds. `train` and `valid` then
    /// share the rest in their proportion.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub test_from: Option<String>,
    /// Seed of `random` and `by_user`, and of `fraction_by = "random"`.
    pub seed: u64,
    /// Share of the training requests that is kept; the others are left out as if they had never been logged. Validation
    /// and test stay as they are, so this shows what more data is worth.
    pub train_fraction: f64,
    /// Which training requests `train_fraction` keeps.
    pub fraction_by: FractionBy,
}

impl Default for SplitConfig {
    fn default() -> Self {
        Self {
            method: SplitMethod::Time,
            train: 0.8,
            valid: 0.1,
            test: 0.1,
            test_from: None,
            seed: 1,
            train_fraction: 1.0,
            fraction_by: FractionBy::Latest,
        }
    }
}

/// Which training requests are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum FractionBy {
    /// Those just before validation: a shorter log.
    Latest,
    /// Drawn by `seed`: a thinner log. A smaller fraction is part of a larger one.
    Random,
}

/// How rows are split.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum SplitMethod {
    /// By request time: the past trains, the future tests.
    Time,
    /// By position in the files, taken as time order.
    RowOrder,
    /// Requests at random.
    Random,
    /// Whole users at random.
    ByUser,
}

/// `[data.event_log]`: a log of views and orders, without the list that was shown.
///
/// The first view of an item by a user becomes an impression with `click = 1`; an event of `purchase` types on the
/// same item by the same user, at or after the view and within the window, makes `purchase = 1`. Items the user
/// never touched are sampled as impressions with `click = 0`; they are marked, and the click rate is artificial.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct EventsConfig {
    /// Event types (values of `columns.event`) that count as a click.
    pub click: Vec<String>,
    /// Event types that count as a purchase.
    pub purchase: Vec<String>,
    /// Days after the view in which a purchase counts.
    #[serde(default = "EventsConfig::default_window")]
    pub purchase_window_days: f64,
    /// Sampled negatives.
    #[serde(default)]
    pub negatives: Negatives,
}

impl EventsConfig {
    fn default_window() -> f64 {
        7.0
    }
}

/// `[data.event_log.negatives]`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Negatives {
    /// Sampled items per view; 0 samples none.
    pub per_click: u32,
    /// Distribution they are drawn from.
    pub sampling: NegativeSampling,
    /// Exponent of `popularity`: drawn in proportion to (views in training)^alpha.
    pub alpha: f64,
    /// Seed.
    pub seed: u64,
}

impl Default for Negatives {
    fn default() -> Self {
        Self { per_click: 4, sampling: NegativeSampling::Uniform, alpha: 0.75, seed: 1 }
    }
}

/// Distribution of sampled negatives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum NegativeSampling {
    /// Every item alike.
    Uniform,
    /// In proportion to popularity^alpha.
    Popularity,
}

/// `[columns]`: which column plays which part.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Columns {
    /// User id.
    pub user: String,
    /// Item id.
    pub item: String,
    /// Time: Unix seconds or milliseconds, RFC 3339, `YYYY-MM-DD HH:MM:SS`, or a Parquet timestamp.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub time: Option<String>,
    /// Request (list) id; rows with the same id were shown together. Without it each row is its own request.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub request: Option<String>,
    /// Position in the shown list, from 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub position: Option<String>,
    /// Probability that the logging policy showed this item there, given the candidates and the items above.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub propensity: Option<String>,
    /// Item category, for the diversity head and for lists. In the items table, else in the impressions.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub category: Option<String>,
    /// Item price, for the revenue objective. In the items table, else in the impressions.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub price: Option<String>,
    /// Event type, of an event log.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub event: Option<String>,
    /// Time of the purchase, empty where there was none; read where the purchase task asks for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub purchase_time: Option<String>,
    /// Text shown to people for an item.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
}

impl Default for Columns {
    fn default() -> Self {
        Self {
            user: "user_id".into(),
            item: "item_id".into(),
            time: None,
            request: None,
            position: None,
            propensity: None,
            category: None,
            price: None,
            event: None,
            purchase_time: None,
            title: None,
        }
    }
}

/// `[[feature]]`: one model input.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Feature {
    /// Name, unique.
    pub name: String,
    /// What it describes.
    pub side: Side,
    /// How it is read.
    #[serde(rename = "type")]
    pub kind: FeatureType,
    /// Column it is read from; default: `name`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub column: Option<String>,
    /// Embedding dimension; default `model.embedding_dim`. Numbers without buckets have none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dim: Option<usize>,
    /// `id`, `multi`: ids seen fewer times in training share the out-of-vocabulary row.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min_count: Option<u32>,
    /// `id`, `multi`: hash into this many rows instead of keeping a vocabulary.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hash_rows: Option<u32>,
    /// `id`, `multi`: use the table of this other feature (same vocabulary).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shared_with: Option<String>,
    /// `number`: transformation; default `standardise`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub transform: Option<Transform>,
    /// `number` with `transform = "buckets"`: number of quantile buckets, each with an embedding row.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub buckets: Option<usize>,
    /// `number` of an item: measured among the items that share this id of an item alone, such as the price of a phone among
    /// phones: its mean, or its buckets, are theirs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub within: Option<String>,
    /// `number`: value that stands for an empty cell, or `"mean"`; without it an empty cell is an error. In buckets an empty
    /// cell has one of its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub missing: Option<Missing>,
    /// `multi`: separator between values in a text cell; default `|`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub separator: Option<String>,
    /// `history`: how many of the user's last engaged items before the request are kept; default 20.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub length: Option<usize>,
    /// `history`: item-side ids, or numbers in buckets, by which a past item is embedded (tables shared); `past`,
    /// `popularity`: those by which an earlier impression is like this one, each counted for itself. Default the item id.
    /// `affinity`: standardised item-side numbers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub of: Option<Vec<String>>,
    /// `popularity`: number of impressions that the rate of the whole log is worth; default 50.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prior_impressions: Option<f64>,
}

impl Feature {
    /// The column this feature is read from.
    pub fn column(&self) -> &str {
        self.column.as_deref().unwrap_or(&self.name)
    }

    /// Whether each value is a row of a table.
    pub fn is_id(&self) -> bool {
        self.kind == FeatureType::Id || self.transform == Some(Transform::Buckets)
    }

    /// A feature with every option at its default.
    pub fn new(name: impl Into<String>, side: Side, kind: FeatureType) -> Self {
        Self {
            name: name.into(),
            side,
            kind,
            column: None,
            dim: None,
            min_count: None,
            hash_rows: None,
            shared_with: None,
            transform: None,
            buckets: None,
            within: None,
            missing: None,
            separator: None,
            length: None,
            of: None,
            prior_impressions: None,
        }
    }
}

/// What a feature describes; decides in which table its column stands and how often it is computed.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Side {
    /// The user; one value per user.
    User,
    /// The item; one value per item.
    Item,
    /// The context of the request (hour, device, page); one value per request.
    Context,
    /// This item in this list (its price now, a user-item count); one value per impression.
    Impression,
}

/// How a column is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum FeatureType {
    /// One categorical value.
    Id,
    /// A real number.
    Number,
    /// Several categorical values; their embeddings are averaged.
    Multi,
    /// A time, read as hour of day and day of week (UTC), two small embeddings.
    Time,
    /// The user's last engaged items before the request.
    History,
    /// How often and how lately the user was shown, and engaged with, this item (or, by `of`, its category or brand)
    /// before the request. Four numbers each: ln(1 + impressions), ln(1 + engaged), and ln(1 + minutes) since the last
    /// of both.
    Past,
    /// How everybody did with this item (or, by `of`, its category or brand) before the request, one number each:
    /// logit((engaged + κ·p₀) / (impressions + κ)), p₀ being the rate of the training split and κ `prior_impressions`.
    Popularity,
    /// Whether the item's numbers, those named in `of`, are such as the user was shown, and engaged with, before the
    /// request. Four numbers each: their mean over impressions, m = Σ b / (n + κ), κ = 200, over those engaged with,
    /// κ = 20, and the item's own number times each of these.
    Affinity,
}

impl FeatureType {
    /// Whether it is read from a column, and not from what was seen before.
    pub fn has_column(self) -> bool {
        match self {
            Self::Id | Self::Number | Self::Multi | Self::Time => true,
            Self::History | Self::Past | Self::Popularity | Self::Affinity => false,
        }
    }
}

/// Transformation of a number. All statistics come from the training split.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Transform {
    /// As it is.
    None,
    /// `(x − mean) / sd`.
    Standardise,
    /// `ln(1 + x)`, then standardised; `x < 0` is an error.
    Log1p,
    /// Quantile buckets, each with an embedding row.
    Buckets,
}

/// What stands for an empty cell of a number.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged, expecting = "expected a number or \"mean\"")]
pub enum Missing {
    /// This value.
    Value(f64),
    /// A word.
    Word(MissingWord),
}

/// The words of [`Missing`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum MissingWord {
    /// The mean of the training split, of the item's like where the number is measured `within` an id.
    Mean,
}

impl Missing {
    /// The mean of the training split.
    pub const MEAN: Self = Self::Word(MissingWord::Mean);
}

/// `[[task]]`: one thing to predict.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Task {
    /// Name, unique: printed in tables and used as key in JSON.
    pub name: String,
    /// What kind of answer.
    pub kind: TaskKind,
    /// Part this task plays when lists are built; default: by `name` if it is `click`, `purchase`, `diversity` or
    /// `novelty`, else none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role: Option<Role>,
    /// Label column; default: `name` for tasks of impressions, `columns.category` for distributions with `source = "row"`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
    /// Where the label of a request-level task comes from; default `next_k_engaged`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<LabelSource>,
    /// `next_k_engaged`: how many events make the label; default 10.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_k: Option<usize>,
    /// `next_k_engaged`: days after the request that count; default 7.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub window_days: Option<f64>,
    /// `next_session`: minutes of silence that end a session; default 30.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session_gap_minutes: Option<f64>,
    /// Fewer label events than this leave the request out of the loss; default 3 (1 for `shown_list`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min_events: Option<usize>,
    /// Train a request-level head with the log of the exposure in its label window added to the logits, and serve
    /// without it, so that it learns preference and not what was shown (SCIENCE C.1); default false.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exposure_offset: Option<bool>,
    /// `regression`: how the label is transformed before it is learned: `standardise` (default), or `log1p` for amounts and
    /// durations that are seldom large. Answers and metrics are in the label's own units all the same.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub transform: Option<Transform>,
    /// `multi_class`: classes seen fewer times in training are no classes: their impressions do not count; default 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min_count: Option<u32>,
    /// Tasks of impressions: those that loss and metrics are taken over: `all` (default), `clicked`, or a column that is 1
    /// there and 0 elsewhere. What a purchase is learned from is its `objective`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sample_space: Option<String>,
    /// Purchase: how it is trained; default `esmm`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub objective: Option<PurchaseObjective>,
    /// `objective = "aitm"`: price of a purchase that is predicted likelier than its click; default 0.6.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub order_weight: Option<f64>,
    /// `objective = "escm2_…"`: weight of the CVR risk over all impressions; default 0.1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cvr_weight: Option<f64>,
    /// `objective = "escm2_…"`: weight of the entire-space loss of pCTR·pCVR; default 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ctcvr_weight: Option<f64>,
    /// `objective = "escm2_…"`: the most that a click counts, in clicks of the usual propensity; default 10.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub propensity_clip: Option<f64>,
    /// `objective = "escm2_…"`: divide the weights of clicks by their mean; default true.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub self_normalise: Option<bool>,
    /// Purchase: days after the impression in which a purchase counts. Impressions whose window is still open when the
    /// training split ends are left out of its loss. Needs `columns.purchase_time`; without it the label is as in the log.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attribution_days: Option<f64>,
    /// Purchase: what is done about purchases that come after the training split ends; default `exclude`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delayed_feedback: Option<DelayedFeedback>,
    /// Weight in the total loss, after normalisation; default 1 for tasks of impressions, 0.2 for request-level tasks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weight: Option<f64>,
}

impl Task {
    /// A task with every option at its default.
    pub fn new(name: impl Into<String>, kind: TaskKind) -> Self {
        Self {
            name: name.into(),
            kind,
            role: None,
            label: None,
            source: None,
            next_k: None,
            window_days: None,
            session_gap_minutes: None,
            min_events: None,
            exposure_offset: None,
            transform: None,
            min_count: None,
            sample_space: None,
            objective: None,
            order_weight: None,
            cvr_weight: None,
            ctcvr_weight: None,
            propensity_clip: None,
            self_normalise: None,
            attribution_days: None,
            delayed_feedback: None,
            weight: None,
        }
    }

    /// The part this task plays when lists are built.
    pub fn role(&self) -> Option<Role> {
        self.role.or(match self.name.as_str() {
            "click" => Some(Role::Click),
            "purchase" => Some(Role::Purchase),
            "diversity" => Some(Role::Diversity),
            "novelty" => Some(Role::Novelty),
            _ => None,
        })
    }

    /// The label column of a task of impressions.
    pub fn label(&self) -> &str {
        self.label.as_deref().unwrap_or(&self.name)
    }

    /// Weight in the total loss.
    pub fn weight(&self) -> f64 {
        self.weight.unwrap_or(if self.kind.is_per_impression() { 1.0 } else { 0.2 })
    }

    /// Whether a regression learns `ln(1 + label)`.
    pub fn is_log1p(&self) -> bool {
        self.transform == Some(Transform::Log1p)
    }

    /// Impressions of training that make a text a class.
    pub fn min_count(&self) -> u32 {
        self.min_count.unwrap_or(1)
    }

    /// Where a request-level label comes from.
    pub fn source(&self) -> LabelSource {
        self.source.unwrap_or(LabelSource::NextKEngaged)
    }

    /// Number of events that make a `next_k_engaged` label.
    pub fn next_k(&self) -> usize {
        self.next_k.unwrap_or(10)
    }

    /// Days after the request in which events make its label.
    pub fn window_days(&self) -> f64 {
        self.window_days.unwrap_or(7.0)
    }

    /// Least number of events that make a label.
    pub fn min_events(&self) -> usize {
        self.min_events.unwrap_or(if self.source() == LabelSource::ShownList { 1 } else { 3 })
    }

    /// How a purchase task is trained.
    pub fn objective(&self) -> PurchaseObjective {
        self.objective.unwrap_or(PurchaseObjective::Esmm)
    }

    /// Price of a purchase that is predicted likelier than its click.
    pub fn order_weight(&self) -> f64 {
        self.order_weight.unwrap_or(0.6)
    }

    /// Weight of ESCM²'s CVR risk.
    pub fn cvr_weight(&self) -> f64 {
        self.cvr_weight.unwrap_or(0.1)
    }

    /// Weight of ESCM²'s entire-space loss.
    pub fn ctcvr_weight(&self) -> f64 {
        self.ctcvr_weight.unwrap_or(1.0)
    }

    /// The most that a click counts for ESCM².
    pub fn propensity_clip(&self) -> f64 {
        self.propensity_clip.unwrap_or(10.0)
    }

    /// Whether ESCM² divides the weights of clicks by their mean.
    pub fn self_normalise(&self) -> bool {
        self.self_normalise.unwrap_or(true)
    }

    /// What is done about purchases that come late.
    pub fn delayed_feedback(&self) -> DelayedFeedback {
        self.delayed_feedback.unwrap_or(DelayedFeedback::Exclude)
    }

    /// Whether its loss leaves out impressions whose label may still change.
    pub fn excludes_unsettled(&self) -> bool {
        self.attribution_days.is_some() && self.delayed_feedback() == DelayedFeedback::Exclude
    }

    /// Whether its label depends on when a purchase was.
    pub fn reads_purchase_time(&self) -> bool {
        self.attribution_days.is_some() || self.delayed_feedback() == DelayedFeedback::Fnw
    }
}

/// What kind of answer a task gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum TaskKind {
    /// Yes or no for an impression; binary cross-entropy.
    Binary,
    /// A distribution over categories, for a request (or a row, with `source = "row"`); cross-entropy with soft targets.
    Distribution,
    /// A share in `[0, 1]`, for a request; squared error on the sigmoid.
    Share,
    /// A number for an impression, such as seconds watched or money spent; squared error of the standardised label. Where the
    /// label is empty, the impression does not count.
    Regression,
    /// One of several classes for an impression, told by their text; cross-entropy of a softmax. Where the label is empty or
    /// a class that training does not know, the impression does not count.
    MultiClass,
}

impl TaskKind {
    /// Whether every impression has an answer and, in a column of the log, a label of its own; the others are questions
    /// about a request.
    pub fn is_per_impression(self) -> bool {
        matches!(self, Self::Binary | Self::Regression | Self::MultiClass)
    }

    /// Whether its labels are numbers or classes, which are encoded by what training rows have.
    pub fn encodes_labels(self) -> bool {
        matches!(self, Self::Regression | Self::MultiClass)
    }

    /// Its name in a configuration.
    pub fn name(self) -> &'static str {
        match self {
            Self::Binary => "binary",
            Self::Distribution => "distribution",
            Self::Share => "share",
            Self::Regression => "regression",
            Self::MultiClass => "multi_class",
        }
    }
}

/// The part a task plays when lists are built.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// P(click | shown): CTR.
    Click,
    /// P(purchase | clicked): CVR.
    Purchase,
    /// The category mix this person wants now.
    Diversity,
    /// The share of not yet seen items this person wants now.
    Novelty,
}

/// Where the label of a request-level task comes from (SCIENCE C.0).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum LabelSource {
    /// The user's next K engaged items, strictly after the request.
    NextKEngaged,
    /// The user's next session, strictly after the current one.
    NextSession,
    /// The list that was shown: imitates the old system; the founding document read literally.
    ShownList,
    /// The row's own category: for logs without time, and for `shared_mlp`.
    Row,
}

/// How a purchase task is trained.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum PurchaseObjective {
    /// Entire space: cross-entropy of pCTR·pCVR against click∧purchase on all impressions (Ma et al. 2018).
    Esmm,
    /// Cross-entropy of pCVR on clicked impressions only.
    ClickSpace,
    /// Cross-entropy of the head itself on all impressions: the founding document's form.
    AllImpressions,
    /// Entire space: the tower answers P(click and purchase), with a price on answers above P(click) (AITM, Xi et al.
    /// 2021). CVR is the quotient of both.
    Aitm,
    /// `esmm`, and CVR on clicked impressions weighed by 1/pCTR, as if people clicked at random (ESCM², Wang et al. 2022).
    Escm2Ips,
    /// The same, doubly robust: a further tower estimates the loss on impressions that nobody clicked.
    Escm2Dr,
}

impl PurchaseObjective {
    /// Whether it speaks of all impressions, as pCTR·pCVR: what its purchases are measured by.
    pub fn is_entire_space(self) -> bool {
        matches!(self, Self::Esmm | Self::Aitm | Self::Escm2Ips | Self::Escm2Dr)
    }

    /// Whether it weighs clicks by their propensity.
    pub fn is_escm2(self) -> bool {
        matches!(self, Self::Escm2Ips | Self::Escm2Dr)
    }
}

/// What is done about purchases that come after the training split ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum DelayedFeedback {
    /// With `attribution_days`, impressions whose window is still open are left out of the loss; without, labels are taken
    /// to be final.
    Exclude,
    /// Every impression learns at once that it was not bought, and again when it is (FNW, Ktena et al. 2019). A purchase
    /// counts in training if it came before the training split ends. For objectives of one logit: `click_space`,
    /// `all_impressions`.
    Fnw,
}

/// `[model]`: the network.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ModelConfig {
    /// How tasks share.
    pub kind: ModelKind,
    /// Experts of `kind = "mmoe"`, each with the units of the trunk it stands for.
    pub experts: usize,
    /// `kind = "mmoe"`: one gate for all tasks instead of one for each (OMoE).
    pub shared_gate: bool,
    /// Levels of experts of `kind = "ple"`, one after the other; 1 is CGC.
    pub levels: usize,
    /// Experts of each task's own: per level of `kind = "ple"`, or of `kind = "stem"`.
    pub task_experts: usize,
    /// Experts that all tasks share: per level of `kind = "ple"`, or of `kind = "stem"`.
    pub shared_experts: usize,
    /// Hidden units of each gate of `kind = "stem"`.
    pub gate_units: Vec<usize>,
    /// How features meet.
    pub backbone: Backbone,
    /// Cross layers of `backbone = "dcn"`.
    pub cross_layers: usize,
    /// Rank of the weights of a cross layer; 0: full. A quarter of the fields' columns is often as good, at half the cost.
    pub cross_rank: usize,
    /// How much of each field is read, row by row, before fields meet.
    pub field_gate: FieldGate,
    /// Embedding dimension of features that do not set their own.
    pub embedding_dim: usize,
    /// Hidden units of the request trunk, or of each of its experts.
    pub request_units: Vec<usize>,
    /// Hidden units of the shared impression trunk, or of each of its experts.
    pub shared_units: Vec<usize>,
    /// Hidden units of each task's tower.
    pub tower_units: Vec<usize>,
    /// Dropout after every hidden layer of the trunks.
    pub dropout: f64,
    /// SiLU instead of ReLU.
    pub silu: bool,
    /// Layer normalisation after every hidden layer of the trunks.
    pub layer_norm: bool,
    /// How the user's history is pooled.
    pub history_pooling: HistoryPooling,
    /// Heads of `backbone = "self_attention"`.
    pub attention_heads: usize,
    /// Add the elementwise products of the request's and the item's projections to the impression trunk's input.
    pub interaction: bool,
    /// Learn a term per position, and per number of items of the same category above, added to the click logit in
    /// training and left out when lists are built. Needs `columns.position`.
    pub position_term: bool,
}

impl Default for ModelConfig {
    fn default() -> Self {
        Self {
            kind: ModelKind::SharedBottom,
            experts: 4,
            shared_gate: false,
            levels: 1,
            task_experts: 1,
            shared_experts: 1,
            gate_units: vec![64],
            backbone: Backbone::Mlp,
            cross_layers: 2,
            cross_rank: 0,
            field_gate: FieldGate::None,
            embedding_dim: 16,
            request_units: vec![64],
            shared_units: vec![128, 64],
            tower_units: vec![32],
            dropout: 0.0,
            silu: false,
            layer_norm: false,
            history_pooling: HistoryPooling::Mean,
            attention_heads: 2,
            interaction: true,
            position_term: true,
        }
    }
}

/// How tasks share.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ModelKind {
    /// The founding document's network: one trunk over user, item, brand and price.
    SharedMlp,
    /// Not at all: each task has the network of `shared_bottom` to itself, embeddings included. The baseline.
    SingleTask,
    /// A request trunk and an impression trunk, one tower per task.
    SharedBottom,
    /// Experts that all tasks share, and a gate per task that mixes them (MMoE, Ma et al. 2018).
    Mmoe,
    /// Experts of each task's own beside shared ones, in levels (PLE, Tang et al. 2020).
    Ple,
    /// A trunk per task; what the click's has found out is handed on to the purchase's (AITM, Xi et al. 2021).
    Aitm,
    /// Embeddings and experts of each task's own beside shared ones; a task reads all experts and teaches its own and the
    /// shared ones (STEM, Su et al. 2024).
    Stem,
}

/// How features meet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Backbone {
    /// Concatenated, then a multi-layer perceptron.
    Mlp,
    /// The products of every two fields' embeddings beside them (a factorisation machine, as in DeepFM, Guo et al. 2017),
    /// then the perceptron. Next to free.
    Fm,
    /// Cross layers over all columns of all fields (DCN V2, Wang et al. 2021) beside them, then the perceptron.
    Dcn,
    /// Multi-head self-attention over the feature fields, then the perceptron. All embeddings have `embedding_dim`.
    SelfAttention,
}

/// How much of each field is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum FieldGate {
    /// All of it.
    None,
    /// One number per field, from what all fields are on average (SENet, as in FiBiNET, Huang et al. 2019).
    Senet,
    /// One number per column, from the ids of the user and the context (PEPNet, Chang et al. 2023).
    Pepnet,
}

/// How the user's history is pooled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum HistoryPooling {
    /// The mean of the past items' embeddings, once per request.
    Mean,
    /// Weighted by each candidate (DIN, Zhou et al. 2018), once per impression; dearer.
    Attention,
}

/// `[train]`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct TrainConfig {
    /// Passes over the training split, at most.
    pub epochs: usize,
    /// Impressions per step, at least one request.
    pub batch_size: usize,
    /// Step size of dense parameters.
    pub learning_rate: f64,
    /// Step size of embedding tables.
    pub table_learning_rate: f64,
    /// Optimiser of dense parameters.
    pub optimizer: DenseOptimizer,
    /// Optimiser of embedding tables.
    pub table_optimizer: TableOptimizer,
    /// Momentum of `optimizer = "sgd"`.
    pub momentum: f64,
    /// Decoupled weight decay of dense parameters.
    pub weight_decay: f64,
    /// Weight decay of embedding rows, applied to the rows a step touches.
    pub table_weight_decay: f64,
    /// Scale dense gradients down to this global norm; 0 turns it off.
    pub clip_norm: f64,
    /// How the step size changes.
    pub schedule: Schedule,
    /// Steps over which the step size rises from 0.
    pub warmup_steps: u64,
    /// Share of ids replaced by the out-of-vocabulary row in training, so that this row learns a usable prior.
    pub id_dropout: f64,
    /// Share of impressions whose position is not told in training, so that the network does not lean on it; 0.1 is usual.
    pub position_dropout: f64,
    /// Share of the impressions without a click that an epoch reads, drawn anew in each; served probabilities are those of
    /// the whole log all the same. 1: all of them.
    pub negative_rate: f64,
    /// Weigh the click loss against what the logging policy preferred, by 1 / `columns.propensity`, up to this many times
    /// the mean weight; 0 turns it off.
    pub ipw_clip: f64,
    /// Give embedding tables new first values at the start of every epoch after the first, and go on with everything else:
    /// against overfitting on sparse ids from the second epoch on (MEDA, Fan et al. 2024).
    pub reset_embeddings: bool,
    /// Start from what this run learned: tables row by row of the ids that both know, other weights by name and shape. A
    /// directory that `daogou train` wrote.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub warm_start: Option<String>,
    /// Stop after this many epochs without a better validation loss and keep the best epoch; 0 turns it off and
    /// keeps the last.
    pub patience: usize,
    /// Also evaluate on validation this many times within an epoch (early stopping then counts in these rounds).
    pub evaluations_per_epoch: usize,
    /// Seed of everything random in training.
    pub seed: u64,
    /// Threads; 0: as many as cores. Never changes the result.
    pub threads: usize,
    /// Steps between checkpoints, besides the one at each epoch's end; 0: only there.
    pub checkpoint_steps: u64,
}

impl Default for TrainConfig {
    fn default() -> Self {
        Self {
            epochs: 6,
            batch_size: 1024,
            learning_rate: 1e-3,
            table_learning_rate: 0.05,
            optimizer: DenseOptimizer::Adam,
            table_optimizer: TableOptimizer::RowwiseAdagrad,
            momentum: 0.0,
            weight_decay: 0.0,
            table_weight_decay: 0.0,
            clip_norm: 0.0,
            schedule: Schedule::Constant,
            warmup_steps: 0,
            id_dropout: 0.05,
            position_dropout: 0.0,
            negative_rate: 1.0,
            ipw_clip: 0.0,
            reset_embeddings: false,
            warm_start: None,
            patience: 1,
            evaluations_per_epoch: 1,
            seed: 1,
            threads: 0,
            checkpoint_steps: 0,
        }
    }
}

/// Optimiser of dense parameters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum DenseOptimizer {
    /// Stochastic gradient descent, with `momentum`.
    Sgd,
    /// Adam; AdamW when `weight_decay > 0`.
    Adam,
    /// Adagrad.
    Adagrad,
}

/// Optimiser of embedding tables. Only rows in the batch are touched.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum TableOptimizer {
    /// One accumulator per row.
    RowwiseAdagrad,
    /// Adam with a step count per row.
    LazyAdam,
    /// Stochastic gradient descent.
    Sgd,
}

/// How the step size changes over the planned steps.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Schedule {
    /// It does not.
    Constant,
    /// Down to 0, linearly.
    Linear,
    /// Down to 0, as half a cosine.
    Cosine,
}

/// `[calibration]`: after training, on the validation split.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct CalibrationConfig {
    /// The form of the correction: `auto`, `none`, `platt` or `isotonic`. Too few positives or negatives on validation
    /// give a simpler form or none, with a note.
    pub method: CalibrationMethod,
}

impl Default for CalibrationConfig {
    fn default() -> Self {
        Self { method: CalibrationMethod::Auto }
    }
}

/// How a yes-or-no or share head is calibrated; a mix gets a temperature unless it is `none`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum CalibrationMethod {
    /// Isotonic above 50,000 positives and negatives on validation, else Platt's.
    Auto,
    /// Not at all.
    None,
    /// A slope and a shift of the logit (Platt 1999).
    Platt,
    /// Any increasing map (Zadrozny and Elkan 2002); from 1,000 positives and negatives.
    Isotonic,
}

/// `[lists]`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ListsConfig {
    /// Items per list.
    pub k: usize,
    /// How lists are built: `auto` (the best there is), `exact`, `greedy`, `greedy_swap`, `top_k`, or a classic re-ranker:
    /// `mmr`, `dpp`, `xquad`, `random_swap`.
    pub builder: String,
    /// Weight of each objective: `click`, `purchase`, `revenue`, `diversity`, `novelty`; a request may change them.
    pub objectives: BTreeMap<String, f64>,
    /// Smoothing of the list's mix in the calibration term (Steck 2018).
    pub smoothing: f64,
    /// Share of the wanted mix taken from what the person engaged with in the last half hour, instead of the diversity head;
    /// without such events the head alone counts.
    pub session_mix: f64,
    /// Added to the wanted novelty: a margin for exploration.
    pub novelty_margin: f64,
    /// How far lists go beyond what the person is predicted to want: from 0, not at all, to 1, an even mix of all
    /// categories and new items only. Between them lies their mixture. A request may change it.
    pub explore: f64,
    /// What to do with items that the person has seen: `"allow"`, `"exclude"`, or the most of them per list.
    pub seen: Seen,
    /// Items that cost less are not listed; nor are those of unknown price.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub price_min: Option<f64>,
    /// Items that cost more are not listed; nor are those of unknown price.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub price_max: Option<f64>,
    /// `[[lists.quota]]`: how many items of a kind a list may have.
    #[serde(rename = "quota")]
    pub quotas: Vec<QuotaRule>,
    /// `[[lists.pin]]`: items that have a place in every list.
    #[serde(rename = "pin")]
    pub pins: Vec<PinRule>,
    /// `[[lists.bonus]]`: business terms, in units of utility.
    #[serde(rename = "bonus")]
    pub bonuses: Vec<BonusTerm>,
    /// `[[lists.floor]]`: least shares of all places shown. What they cost is learned on the validation split when
    /// training ends, for the weights in `objectives`.
    #[serde(rename = "floor")]
    pub floors: Vec<FloorRule>,
}

impl Default for ListsConfig {
    fn default() -> Self {
        Self {
            k: 10,
            builder: "auto".into(),
            objectives: [("click", 1.0), ("purchase", 3.0), ("diversity", 0.3), ("novelty", 0.1)]
                .map(|(name, weight)| (name.to_string(), weight))
                .into(),
            smoothing: 0.01,
            session_mix: 0.0,
            novelty_margin: 0.0,
            explore: 0.0,
            seen: Seen::Allow,
            price_min: None,
            price_max: None,
            quotas: Vec::new(),
            pins: Vec::new(),
            bonuses: Vec::new(),
            floors: Vec::new(),
        }
    }
}
