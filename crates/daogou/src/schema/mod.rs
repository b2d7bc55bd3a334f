//! What a log means: the configuration file, its defaults and its checks.

mod check;
mod commented;
pub mod config;
pub mod infer;
pub mod list_rules;

pub use config::{
    Backbone, CalibrationConfig, CalibrationMethod, Columns, Config, DataConfig, DelayedFeedback,
    DenseOptimizer, EventsConfig, Feature, FeatureType, FieldGate, HistoryPooling, LabelSource,
    ListsConfig, LossWeighting, ModelConfig, ModelKind, NegativeSampling, Negatives,
    PurchaseObjective, Role, Schedule, Side, SplitConfig, SplitMethod, TableOptimizer, Task,
    TaskKind, TrainConfig, Transform,
};
pub use list_rules::{BonusTerm, FloorRule, ListRules, PinRule, PriceBand, QuotaRule};
