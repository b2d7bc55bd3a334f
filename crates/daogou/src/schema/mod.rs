//! What a log means: the configuration file, its defaults and its checks.

mod check;
mod commented;
pub mod config;
pub mod infer;
pub mod list_rules;
pub mod loss_weighting;
mod sample_space;

pub use config::{
    Backbone, CalibrationConfig, CalibrationMethod, Columns, Config, DataConfig, DelayedFeedback,
    DenseOptimizer, EventsConfig, Feature, FeatureType, FieldGate, FractionBy, HistoryPooling,
    LabelSource, ListsConfig, Missing, MissingWord, ModelConfig, ModelKind, NegativeSampling,
    Negatives, PurchaseObjective, Role, Schedule, Side, SplitConfig, SplitMethod, TableOptimizer,
    Task, TaskKind, TrainConfig, Transform,
};
pub use list_rules::{BonusTerm, FloorRule, ListRules, PinRule, PriceBand, QuotaRule};
pub use loss_weighting::{Balancing, GradientScale, LossWeighting};
