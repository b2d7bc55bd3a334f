//! Reading a configuration file and checking what the types cannot say.

use std::path::Path;

use super::config::{
    Backbone, Config, DelayedFeedback, Feature, FeatureType, FieldGate, LabelSource, Missing,
    ModelKind, PurchaseObjective, Role, Side, Task, TaskKind, Transform,
};
use crate::{Error, Result};

impl Config {
    /// Reads and checks a configuration file.
    pub fn read(path: &Path) -> Result<Self> {
        let text = fs_err::read_to_string(path)?;
        Self::parse(&text, path)
    }

    /// Parses and checks; `path` is only for messages.
    pub fn parse(text: &str, path: &Path) -> Result<Self> {
        let config: Self = toml::from_str(text).map_err(|error| Error::ConfigFile {
            path: path.into(),
            message: error.to_string().trim_end().into(),
        })?;
        config.check()?;
        Ok(config)
    }

    /// The effective configuration as TOML: every default written out.
    /// The configuration file's JSON Schema, for editors.
    pub fn json_schema() -> String {
        let schema = schemars::schema_for!(Self);
        serde_json::to_string_pretty(&schema).expect("a schema is plain data")
    }

    /// The same configuration with absolute paths of data, so that it may be read from anywhere.
    ///
    /// # Errors
    ///
    /// Where `base` does not exist.
    pub fn with_absolute_paths(&self, base: &Path) -> Result<Self> {
        let base = fs_err::canonicalize(base)?;
        let mut config = self.clone();
        let absolute = |path: &mut String| *path = base.join(&*path).to_string_lossy().into_owned();
        let data = &mut config.data;
        for list in [&mut data.impressions, &mut data.events, &mut data.test] {
            list.iter_mut().for_each(absolute);
        }
        data.items.iter_mut().for_each(absolute);
        data.users.iter_mut().for_each(absolute);
        config.train.warm_start.iter_mut().for_each(absolute);
        Ok(config)
    }

    /// As TOML.
    pub fn to_toml(&self) -> String {
        toml::to_string(self).expect("a configuration is plain data")
    }

    /// Sets one dotted key, as `--set train.epochs=2` does. The value is read as TOML, else taken as a string.
    pub fn set(&mut self, assignment: &str) -> Result<()> {
        self.set_all([assignment])
    }

    /// Sets several dotted keys: only all of them together must make a configuration.
    pub fn set_all<'a>(&mut self, assignments: impl IntoIterator<Item = &'a str>) -> Result<()> {
        let mut changed = self.clone();
        assignments.into_iter().try_for_each(|assignment| changed.assign(assignment))?;
        changed.check()?;
        *self = changed;
        Ok(())
    }

    /// Sets one dotted key, unchecked.
    fn assign(&mut self, assignment: &str) -> Result<()> {
        let (key, value) = assignment.split_once('=').ok_or_else(|| {
            Error::config(assignment, format!("expected `key=value`, got `{assignment}`"))
        })?;
        let parsed = toml::from_str::<toml::Table>(&format!("v = {value}"))
            .ok()
            .and_then(|mut table| table.remove("v"))
            .unwrap_or_else(|| toml::Value::String(value.into()));
        let mut root = toml::Value::try_from(&*self).expect("a configuration is plain data");
        let mut place = &mut root;
        let parts: Vec<&str> = key.trim().split('.').collect();
        for part in &parts[..parts.len() - 1] {
            place = match place {
                toml::Value::Table(table) => {
                    table.entry(*part).or_insert_with(|| toml::Value::Table(toml::Table::new()))
                }
                toml::Value::Array(rows) => rows
                    .iter_mut()
                    .find(|row| row.get("name").and_then(toml::Value::as_str) == Some(part))
                    .ok_or_else(|| {
                        Error::config(key, format!("there is no entry named `{part}`"))
                    })?,
                _ => return Err(Error::config(key, format!("`{part}` is not a table"))),
            };
        }
        let last = parts[parts.len() - 1];
        let table = place
            .as_table_mut()
            .ok_or_else(|| Error::config(key, format!("`{last}` is not inside a table")))?;
        table.insert(last.into(), parsed);
        *self = root
            .try_into()
            .map_err(|error: toml::de::Error| Error::config(key, error.message().to_string()))?;
        Ok(())
    }

    /// The task that plays `role`, if any.
    pub fn task_of(&self, role: Role) -> Option<usize> {
        self.tasks.iter().position(|task| task.role() == Some(role))
    }

    /// Checks what the types cannot say. Called by [`Config::parse`].
    pub fn check(&self) -> Result<()> {
        self.check_data()?;
        self.check_features()?;
        self.check_tasks()?;
        self.check_numbers()
    }

    fn check_data(&self) -> Result<()> {
        let data = &self.data;
        match (data.impressions.is_empty(), data.events.is_empty()) {
            (true, true) => return Err(Error::config("data.impressions", "no file given")),
            (false, false) => {
                return Err(Error::config(
                    "data.events",
                    "give either `impressions` or `events`, not both",
                ));
            }
            _ => {}
        }
        if !data.delimiter.is_ascii() {
            return Err(Error::config(
                "data.delimiter",
                format!("expected one ASCII character, got `{}`", data.delimiter),
            ));
        }
        if !data.events.is_empty() && (data.event_log.is_none() || self.columns.event.is_none()) {
            return Err(Error::config(
                "data.event_log",
                "an event log needs `[data.event_log]` and `columns.event`",
            )
            .with_hint("name the event types: click = [\"view\"], purchase = [\"order\"]"));
        }
        share("data.max_bad_share", data.max_bad_share)?;
        let split = &data.split;
        for (key, value) in [("train", split.train), ("valid", split.valid), ("test", split.test)] {
            share(&format!("data.split.{key}"), value)?;
        }
        let total = split.train + split.valid + split.test;
        if (total - 1.0).abs() > 1e-6 {
            return Err(Error::config(
                "data.split",
                format!("train + valid + test: expected a sum of 1, got {total}"),
            ));
        }
        if split.train == 0.0 {
            return Err(Error::config("data.split.train", "expected more than 0"));
        }
        Ok(())
    }

    fn check_features(&self) -> Result<()> {
        for (index, feature) in self.features.iter().enumerate() {
            let key = |option: &str| format!("feature.{}.{option}", feature.name);
            if self.features[..index].iter().any(|other| other.name == feature.name) {
                return Err(Error::config(key("name"), "two features have this name"));
            }
            let only = |given: bool, option: &str, kinds: &[FeatureType]| {
                if given && !kinds.contains(&feature.kind) {
                    return Err(Error::config(
                        key(option),
                        format!("does not apply to type `{}`", name_of(&feature.kind)),
                    ));
                }
                Ok(())
            };
            if Some(feature.column()) == self.columns.purchase_time.as_deref() {
                return Err(Error::config(
                    key("column"),
                    "the time of a purchase says that there was one: remove the feature",
                ));
            }
            use FeatureType::{Affinity, History, Id, Multi, Number, Past, Popularity};
            only(feature.min_count.is_some(), "min_count", &[Id, Multi])?;
            only(feature.hash_rows.is_some(), "hash_rows", &[Id, Multi])?;
            only(feature.shared_with.is_some(), "shared_with", &[Id, Multi])?;
            only(feature.transform.is_some(), "transform", &[Number])?;
            only(feature.buckets.is_some(), "buckets", &[Number])?;
            only(feature.within.is_some(), "within", &[Number])?;
            only(feature.missing.is_some(), "missing", &[Number])?;
            only(feature.separator.is_some(), "separator", &[Multi])?;
            only(feature.length.is_some(), "length", &[History])?;
            only(feature.of.is_some(), "of", &[History, Past, Popularity, Affinity])?;
            only(feature.prior_impressions.is_some(), "prior_impressions", &[Popularity])?;
            if feature.prior_impressions.is_some_and(|n| !(n.is_finite() && n > 0.0)) {
                return Err(Error::config(key("prior_impressions"), "expected a number above 0"));
            }
            if feature.kind == Popularity {
                if feature.side != Side::Impression {
                    return Err(Error::config(
                        key("side"),
                        "a popularity is as of a request: it belongs to `side = \"impression\"`",
                    ));
                }
                if self.task_of(Role::Click).is_none() {
                    return Err(Error::config(
                        key("type"),
                        "a popularity counts clicks, and no task has the role `click`",
                    ));
                }
                if !self.data.events.is_empty() {
                    return Err(Error::config(
                        key("type"),
                        "a log of events does not say what was shown, so it knows no click rate",
                    ));
                }
            }
            if feature.buckets.is_some() && feature.transform != Some(Transform::Buckets) {
                return Err(Error::config(key("buckets"), "needs `transform = \"buckets\"`"));
            }
            if let Some(missing) = feature.missing {
                if feature.transform == Some(Transform::Buckets) {
                    let problem = "has no meaning with `transform = \"buckets\"`: an empty cell has a bucket of its own";
                    return Err(Error::config(key("missing"), problem));
                }
                let least =
                    if feature.transform == Some(Transform::Log1p) { 0.0 } else { f64::MIN };
                if let Missing::Value(value) = missing
                    && !(least..=f64::MAX).contains(&value)
                {
                    let what = if least == 0.0 { "a number from 0" } else { "a finite number" };
                    return Err(Error::config(
                        key("missing"),
                        format!("expected {what} or \"mean\", got {value}"),
                    ));
                }
            }
            if feature.hash_rows.is_some_and(|rows| rows < 2) {
                return Err(Error::config(key("hash_rows"), "expected at least 2"));
            }
            if feature.dim == Some(0)
                || feature.length == Some(0)
                || feature.buckets.is_some_and(|n| n < 2)
            {
                return Err(Error::config(
                    key("dim"),
                    "sizes must be positive (buckets at least 2)",
                ));
            }
            if feature.kind == History && feature.side != Side::User {
                return Err(Error::config(key("side"), "a history belongs to `side = \"user\"`"));
            }
            if matches!(feature.kind, Past | Affinity) && feature.side != Side::Impression {
                let what = name_of(&feature.kind);
                return Err(Error::config(
                    key("side"),
                    format!(
                        "a feature of type `{what}` is of one user and one item: it belongs to `side = \"impression\"`"
                    ),
                ));
            }
            if !feature.kind.has_column() && self.columns.time.is_none() {
                let what = name_of(&feature.kind);
                return Err(Error::config(
                    key("type"),
                    format!("a feature of type `{what}` needs `columns.time`"),
                ));
            }
            if let Some(other) = &feature.shared_with {
                let Some(found) = self.features.iter().find(|f| f.name == *other) else {
                    return Err(Error::config(
                        key("shared_with"),
                        format!("there is no feature `{other}`"),
                    ));
                };
                if found.shared_with.is_some() || !matches!(found.kind, Id | Multi) {
                    return Err(Error::config(
                        key("shared_with"),
                        format!("`{other}` must be an id or multi feature with its own table"),
                    ));
                }
            }
            if let Some(other) = &feature.within {
                let found = |f: &Feature| f.name == *other && f.kind == Id && f.side == Side::Item;
                if feature.side != Side::Item || !self.features.iter().any(found) {
                    return Err(Error::config(
                        key("within"),
                        format!("expected an item-side id, for a number of an item, got `{other}`"),
                    ));
                }
                if feature.transform == Some(Transform::None) {
                    let problem = "has no meaning with `transform = \"none\"`";
                    return Err(Error::config(key("within"), problem));
                }
            }
            let of = feature.of.as_deref().unwrap_or(&[]);
            if let Some(twice) = (1..of.len()).find(|&later| of[..later].contains(&of[later])) {
                return Err(Error::config(
                    key("of"),
                    format!("`{}` stands there twice", of[twice]),
                ));
            }
            if feature.kind == Affinity {
                self.check_affinity(feature)?;
            }
            for other in feature.of.iter().flatten().filter(|_| feature.kind != Affinity) {
                if !self
                    .features
                    .iter()
                    .any(|f| f.name == *other && f.side == Side::Item && f.is_id())
                {
                    return Err(Error::config(
                        key("of"),
                        format!("`{other}` is not an item-side id, nor a number in buckets"),
                    ));
                }
            }
        }
        Ok(())
    }

    /// That an affinity is of numbers around the usual.
    fn check_affinity(&self, feature: &Feature) -> Result<()> {
        let key = format!("feature.{}.of", feature.name);
        let own = |f: &&Feature| f.side == Side::Item && f.kind == FeatureType::Number;
        let standardised =
            |f: &&Feature| !matches!(f.transform, Some(Transform::None | Transform::Buckets));
        let numbers = || self.features.iter().filter(own).filter(standardised);
        let of = feature.of.as_deref().unwrap_or(&[]);
        let known = |name: &&String| !numbers().any(|f| f.name == **name);
        let problem = match of.iter().find(known) {
            Some(name) => format!("`{name}` is not a standardised number of items"),
            None if of.is_empty() => "expected names of standardised numbers of items".into(),
            None => return Ok(()),
        };
        let names: Vec<&str> = numbers().map(|f| f.name.as_str()).collect();
        let hint = match names.as_slice() {
            [] => "a feature of items with `type = \"number\"` and `transform = \"standardise\"` or \"log1p\"".into(),
            names => format!("these are: {}", names.join(", ")),
        };
        Err(Error::Config { key, problem, hint: Some(hint) })
    }

    fn check_tasks(&self) -> Result<()> {
        for (index, task) in self.tasks.iter().enumerate() {
            let key = |option: &str| format!("task.{}.{option}", task.name);
            let others = &self.tasks[..index];
            if others.iter().any(|other| other.name == task.name) {
                return Err(Error::config(key("name"), "two tasks have this name"));
            }
            if task.role().is_some() && others.iter().any(|other| other.role() == task.role()) {
                return Err(Error::config(key("role"), "two tasks have this role"));
            }
            let wanted = match task.role() {
                Some(Role::Click | Role::Purchase) => Some(TaskKind::Binary),
                Some(Role::Diversity) => Some(TaskKind::Distribution),
                Some(Role::Novelty) => Some(TaskKind::Share),
                None => None,
            };
            if let Some(kind) = wanted.filter(|kind| *kind != task.kind) {
                return Err(Error::config(
                    key("kind"),
                    format!("expected `{}` for this role, got `{}`", kind.name(), task.kind.name()),
                ));
            }
            if task.kind == TaskKind::Distribution && self.columns.category.is_none() {
                return Err(Error::config(
                    key("kind"),
                    "a distribution over categories needs `columns.category`",
                ));
            }
            let request_level = !task.kind.is_per_impression();
            let needs_time =
                matches!(task.source(), LabelSource::NextKEngaged | LabelSource::NextSession);
            if request_level && needs_time && self.columns.time.is_none() {
                return Err(Error::config(key("source"), format!("`{}` needs `columns.time`", name_of(&task.source())))
                    .with_hint("without times, use source = \"row\" (the row's own category) or \"shown_list\""));
            }
            if task.kind == TaskKind::Share && task.source() == LabelSource::Row {
                return Err(Error::config(key("source"), "a share has no row label")
                    .with_hint("use next_k_engaged, next_session or shown_list"));
            }
            self.check_objective(task)?;
            self.check_sample_space(task)?;
            self.check_label(task)?;
            if task.kind.is_per_impression()
                && let Some(other) = others
                    .iter()
                    .find(|other| other.kind == task.kind && other.label() == task.label())
            {
                return Err(Error::config(
                    key("label"),
                    format!(
                        "tasks `{}` and `{}` have the same label column `{}`",
                        other.name,
                        task.name,
                        task.label()
                    ),
                )
                .with_hint("give each task a column of its own, or remove one of them"));
            }
            self.check_delayed_feedback(task)?;
            let weight = task.weight();
            if !(weight.is_finite() && weight >= 0.0) {
                return Err(Error::config(
                    key("weight"),
                    format!("expected a number of at least 0, got {weight}"),
                ));
            }
        }
        if !self.tasks.is_empty() && self.tasks.iter().all(|task| task.weight() == 0.0) {
            return Err(Error::config("task", "every task has weight 0"));
        }
        if self.model.kind == ModelKind::Aitm
            && (self.task_of(Role::Click).is_none() || self.task_of(Role::Purchase).is_none())
        {
            return Err(Error::config(
                "model.kind",
                "`aitm` hands what the click's trunk knows to the purchase's: expected both tasks",
            )
            .with_hint("without a purchase, use `shared_bottom`, `mmoe` or `ple`"));
        }
        if self.model.kind == ModelKind::SharedMlp
            && let Some(task) = self
                .tasks
                .iter()
                .find(|t| t.kind == TaskKind::Distribution && t.source() != LabelSource::Row)
        {
            return Err(Error::config(
                format!("task.{}.source", task.name),
                "`shared_mlp` predicts the category of each row: expected `source = \"row\"`",
            ));
        }
        Ok(())
    }

    /// What is learned of a label that is a number or a class.
    fn check_label(&self, task: &Task) -> Result<()> {
        let key = |option: &str| format!("task.{}.{option}", task.name);
        for (option, given, kind) in [
            ("transform", task.transform.is_some(), TaskKind::Regression),
            ("min_count", task.min_count.is_some(), TaskKind::MultiClass),
        ] {
            if given && task.kind != kind {
                return Err(Error::config(
                    key(option),
                    format!("applies to tasks of kind `{}` only", kind.name()),
                ));
            }
        }
        if let Some(transform @ (Transform::None | Transform::Buckets)) = task.transform {
            return Err(Error::config(
                key("transform"),
                format!("expected `standardise` or `log1p`, got `{}`", name_of(&transform)),
            ));
        }
        if task.min_count == Some(0) {
            return Err(Error::config(key("min_count"), "expected at least 1, got 0"));
        }
        if !self.data.events.is_empty() && task.kind.encodes_labels() {
            return Err(Error::config(
                key("kind"),
                format!(
                    "an event log labels the tasks `click` and `purchase` only, got `{}`",
                    task.kind.name()
                ),
            )
            .with_hint("it needs a log of impressions with a column for the label"));
        }
        Ok(())
    }

    /// What a purchase is trained by, and the options of that.
    fn check_objective(&self, task: &Task) -> Result<()> {
        let key = |option: &str| format!("task.{}.{option}", task.name);
        let purchase = task.role() == Some(Role::Purchase);
        let objective = task.objective();
        if purchase
            && task.objective.is_some()
            && objective.is_entire_space()
            && self.task_of(Role::Click).is_none()
        {
            return Err(Error::config(
                key("objective"),
                format!("`{}` needs a click task", name_of(&objective)),
            ));
        }
        let escm2 = purchase && objective.is_escm2();
        for (option, value, applies, least) in [
            (
                "order_weight",
                task.order_weight,
                purchase && objective == PurchaseObjective::Aitm,
                0.0,
            ),
            ("cvr_weight", task.cvr_weight, escm2, 0.0),
            ("ctcvr_weight", task.ctcvr_weight, escm2, 0.0),
            ("propensity_clip", task.propensity_clip, escm2, 1.0),
            ("self_normalise", task.self_normalise.map(|_| 0.0), escm2, 0.0),
        ] {
            let Some(value) = value else { continue };
            if !applies {
                let of =
                    if option == "order_weight" { "`aitm`" } else { "`escm2_ips` or `escm2_dr`" };
                return Err(Error::config(
                    key(option),
                    format!("applies to a purchase with objective {of} only"),
                ));
            }
            if !(value.is_finite() && value >= least) {
                return Err(Error::config(
                    key(option),
                    format!("expected a number of at least {least}, got {value}"),
                ));
            }
        }
        if escm2 && task.cvr_weight() + task.ctcvr_weight() == 0.0 {
            return Err(Error::config(
                key("cvr_weight"),
                "expected a positive weight, got 0 here and in `ctcvr_weight`",
            ));
        }
        Ok(())
    }

    /// What is done about purchases that come late.
    fn check_delayed_feedback(&self, task: &Task) -> Result<()> {
        let key = |option: &str| format!("task.{}.{option}", task.name);
        let purchase = task.role() == Some(Role::Purchase);
        for (option, given) in [
            ("attribution_days", task.attribution_days.is_some()),
            ("delayed_feedback", task.delayed_feedback.is_some()),
        ] {
            if given && !purchase {
                return Err(Error::config(key(option), "applies to the purchase alone"));
            }
        }
        if let Some(days) = task.attribution_days.filter(|days| !(days.is_finite() && *days > 0.0))
        {
            return Err(Error::config(
                key("attribution_days"),
                format!("expected a number of days above 0, got {days}"),
            ));
        }
        if !task.reads_purchase_time() {
            return Ok(());
        }
        let option =
            if task.attribution_days.is_some() { "attribution_days" } else { "delayed_feedback" };
        if !self.data.events.is_empty() {
            return Err(Error::config(key(option), "applies to a log of impressions")
                .with_hint("an event log has `data.event_log.purchase_window_days`"));
        }
        if self.columns.time.is_none() || self.columns.purchase_time.is_none() {
            return Err(Error::config(
                key(option),
                "needs `columns.time` and `columns.purchase_time`",
            ));
        }
        let objective = task.objective();
        if task.excludes_unsettled()
            && (objective == PurchaseObjective::Aitm || objective.is_escm2())
        {
            return Err(Error::config(
                key("attribution_days"),
                format!(
                    "leaves impressions out of the loss, and `{}` counts all of them",
                    name_of(&objective)
                ),
            )
            .with_hint("use `esmm`, `click_space` or `all_impressions`"));
        }
        if task.delayed_feedback() == DelayedFeedback::Fnw
            && task.objective().is_entire_space()
            && self.task_of(Role::Click).is_some()
        {
            return Err(Error::config(
                key("delayed_feedback"),
                format!(
                    "`fnw` is a loss of one logit, and `{}` has more than one",
                    name_of(&task.objective())
                ),
            )
            .with_hint("set `objective = \"click_space\"` or \"all_impressions\""));
        }
        Ok(())
    }

    fn check_numbers(&self) -> Result<()> {
        let (model, train, lists) = (&self.model, &self.train, &self.lists);
        for (key, zero) in [
            ("model.embedding_dim", model.embedding_dim == 0),
            ("model.attention_heads", model.attention_heads == 0),
            ("model.experts", model.experts == 0),
            ("model.levels", model.levels == 0),
            ("model.cross_layers", model.cross_layers == 0),
            ("model.shared_units", model.shared_units.is_empty()),
            ("train.batch_size", train.batch_size == 0),
            ("train.epochs", train.epochs == 0),
            ("train.evaluations_per_epoch", train.evaluations_per_epoch == 0),
            ("lists.k", lists.k == 0),
        ] {
            if zero {
                return Err(Error::config(key, "expected at least 1"));
            }
        }
        if model.backbone == Backbone::SelfAttention
            && !model.embedding_dim.is_multiple_of(model.attention_heads)
        {
            return Err(Error::config(
                "model.attention_heads",
                format!(
                    "expected a divisor of model.embedding_dim ({}), got {}",
                    model.embedding_dim, model.attention_heads
                ),
            ));
        }
        let known_before = |feature: &Feature| {
            matches!(feature.side, Side::User | Side::Context)
                && (matches!(feature.kind, FeatureType::Id | FeatureType::Time)
                    || feature.transform == Some(Transform::Buckets))
        };
        if model.field_gate == FieldGate::Pepnet && !self.features.iter().any(known_before) {
            return Err(Error::config(
                "model.field_gate",
                "`pepnet` reads ids of the user or the context: expected such a feature, found none",
            )
            .with_hint("add one with `side = \"user\"` or `side = \"context\"`, or use `senet`"));
        }
        if model.task_experts + model.shared_experts == 0 {
            return Err(Error::config(
                "model.task_experts",
                "expected at least 1 expert, got 0 of each task's own and 0 shared ones",
            )
            .with_hint("set `task_experts` or `shared_experts` to 1 or more"));
        }
        for (key, units) in [
            ("model.request_units", &model.request_units),
            ("model.shared_units", &model.shared_units),
            ("model.tower_units", &model.tower_units),
            ("model.gate_units", &model.gate_units),
        ] {
            if units.contains(&0) {
                return Err(Error::config(key, "expected layer sizes of at least 1, got 0"));
            }
        }
        for (key, value) in [
            ("train.learning_rate", train.learning_rate),
            ("train.table_learning_rate", train.table_learning_rate),
            ("train.weight_decay", train.weight_decay),
            ("train.table_weight_decay", train.table_weight_decay),
            ("train.clip_norm", train.clip_norm),
            ("train.momentum", train.momentum),
            ("train.ipw_clip", train.ipw_clip),
        ] {
            if !(value.is_finite() && value >= 0.0) {
                return Err(Error::config(
                    key,
                    format!("expected a number of at least 0, got {value}"),
                ));
            }
        }
        share("train.id_dropout", train.id_dropout)?;
        share("train.position_dropout", train.position_dropout)?;
        if !(train.negative_rate > 0.0 && train.negative_rate <= 1.0) {
            return Err(Error::config(
                "train.negative_rate",
                format!("expected a share above 0 and up to 1, got {}", train.negative_rate),
            ));
        }
        let click = self.task_of(Role::Click).is_some();
        if train.negative_rate < 1.0 && !click {
            return Err(Error::config(
                "train.negative_rate",
                "keeps every click and a share of the rest: expected a click task, found none",
            ));
        }
        let whole = |task: &&Task| {
            let objective = task.objective();
            task.role() == Some(Role::Purchase)
                && (objective == PurchaseObjective::Aitm || objective.is_escm2())
        };
        if let (true, Some(task)) = (train.negative_rate < 1.0, self.tasks.iter().find(whole)) {
            return Err(Error::config(
                "train.negative_rate",
                format!(
                    "reads a share of the impressions, and `task.{}.objective = \"{}\"` counts all of them",
                    task.name,
                    name_of(&task.objective())
                ),
            )
            .with_hint("use `esmm`, or `negative_rate = 1`"));
        }
        if train.ipw_clip > 0.0 && !(click && self.columns.propensity.is_some()) {
            return Err(Error::config(
                "train.ipw_clip",
                "weighs the click loss by propensity: expected a click task and `columns.propensity`",
            ));
        }
        share("model.dropout", model.dropout)?;
        share("lists.session_mix", lists.session_mix)?;
        share("lists.explore", lists.explore)?;
        if !(lists.smoothing > 0.0 && lists.smoothing < 1.0) {
            return Err(Error::config(
                "lists.smoothing",
                format!(
                    "expected a number between 0 and 1, neither of them, got {}",
                    lists.smoothing
                ),
            ));
        }
        for (key, value) in [
            ("model.dropout", model.dropout),
            ("train.id_dropout", train.id_dropout),
            ("train.position_dropout", train.position_dropout),
        ] {
            if value == 1.0 {
                return Err(Error::config(key, "expected less than 1"));
            }
        }
        self.loss_weighting.check(self)?;
        crate::lists::builder(&lists.builder)?;
        lists.check_rules(self)?;
        for (name, weight) in &lists.objectives {
            let key = format!("lists.objectives.{name}");
            if !matches!(name.as_str(), "click" | "purchase" | "revenue" | "diversity" | "novelty")
            {
                let problem = match self.tasks.iter().find(|task| task.name == *name) {
                    Some(task) => format!(
                        "the {} task `{name}` is no objective: lists are made of what click, purchase, diversity and \
                         novelty say",
                        task.kind.name()
                    ),
                    None => "unknown objective".into(),
                };
                return Err(Error::config(key, problem)
                    .with_hint("objectives: click, purchase, revenue, diversity, novelty"));
            }
            if !(weight.is_finite() && *weight >= 0.0) {
                return Err(Error::config(
                    key,
                    format!("expected a number of at least 0, got {weight}"),
                ));
            }
        }
        Ok(())
    }
}

fn share(key: &str, value: f64) -> Result<()> {
    if (0.0..=1.0).contains(&value) {
        return Ok(());
    }
    Err(Error::config(key, format!("expected a share between 0 and 1, got {value}")))
}

/// A serde-named unit variant as it is written in the file.
fn name_of<T: serde::Serialize>(value: &T) -> String {
    serde_json::to_value(value).ok().and_then(|v| v.as_str().map(String::from)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::super::Balancing;
    use super::*;

    fn parse(text: &str) -> Result<Config> {
        Config::parse(text, Path::new("daogou.toml"))
    }

    const SMALL: &str = r#"
        [data]
        impressions = ["log.csv"]
        [columns]
        category = "category"
        [[feature]]
        name = "brand"
        side = "item"
        type = "id"
        [[task]]
        name = "click"
        kind = "binary"
    "#;

    #[test]
    fn printed_configuration_parses_to_itself() {
        let config = parse(SMALL).unwrap();
        assert_eq!(parse(&config.to_toml()).unwrap(), config);
    }

    #[test]
    fn unknown_key_is_named_with_its_place() {
        let message =
            parse(&format!("{SMALL}\n[train]\nlearning_rat = 1\n")).unwrap_err().to_string();
        assert!(message.contains("learning_rat") && message.contains("learning_rate"), "{message}");
        assert!(message.contains("line"), "{message}");
    }

    #[test]
    fn set_reaches_tables_and_named_entries() {
        let mut config = parse(SMALL).unwrap();
        config.set("train.epochs=7").unwrap();
        config.set("task.click.weight=0.5").unwrap();
        config.set("data.delimiter=;").unwrap();
        assert_eq!(
            (config.train.epochs, config.tasks[0].weight, config.data.delimiter),
            (7, Some(0.5), ';')
        );
        assert!(config.set("train.epoch=7").is_err());
        assert!(config.set("task.nothing.weight=1").is_err());
        assert!(config.set("train.epochs").is_err());
        assert_eq!(config.train.epochs, 7, "a refused key changes nothing");
    }

    #[test]
    fn balancing_needs_tasks_that_share() {
        let two = format!("{SMALL}\n[[task]]\nname = \"again\"\nkind = \"binary\"\n");
        for method in Balancing::ALL {
            let with = |rest: &str| {
                parse(&format!("{two}{rest}\n[loss_weighting]\nmethod = \"{}\"\n", method.name()))
            };
            with("").unwrap();
            let apart = with("\n[model]\nkind = \"single_task\"\n");
            let weightless = with("weight = 0.0\n");
            if method.compares_gradients() {
                let apart = apart.unwrap_err().to_string();
                assert!(apart.contains("loss_weighting.method") && apart.contains("single_task"));
                let weightless = weightless.unwrap_err().to_string();
                assert!(weightless.contains("at least 2") && weightless.contains("found 1"));
            } else {
                apart.unwrap();
                weightless.unwrap();
            }
        }
        let error = parse(&format!("{SMALL}\n[loss_weighting]\nmethod = \"PcGrad\"\n"));
        let error = error.unwrap_err().to_string();
        assert!(error.contains("PCGrad") && error.contains("Aligned_MTL"), "{error}");
        let nothing = two.replace("kind = \"binary\"", "kind = \"binary\"\nweight = 0.0");
        assert!(parse(&nothing).unwrap_err().to_string().contains("every task has weight 0"));
    }

    #[test]
    fn an_affinity_is_of_standardised_numbers_of_items() {
        let number = |name: &str, options: &str| {
            format!(
                "[[feature]]\nname = \"{name}\"\nside = \"item\"\ntype = \"number\"\n{options}\n"
            )
        };
        let log = SMALL.replace("[columns]", "[columns]\ntime = \"time\"");
        let refusal = |numbers: &str, of: &str| {
            let own = format!(
                "[[feature]]\nname = \"a\"\nside = \"impression\"\ntype = \"affinity\"\n{of}"
            );
            let parsed = parse(&format!("{log}\n{numbers}{own}"));
            parsed.map(|_| ()).map_err(|error| format!("{error}; {}", error.hint().unwrap_or("")))
        };
        let numbers = number("price", "transform = \"log1p\"")
            + &number("size", "")
            + &number("step", "transform = \"buckets\"")
            + &number("raw", "transform = \"none\"");
        assert_eq!(refusal(&numbers, "of = [\"price\", \"size\"]"), Ok(()));
        for (of, problem) in [
            ("of = [\"size\", \"step\"]", "`step` is not a standardised number of items"),
            ("of = [\"raw\"]", "`raw` is not"),
            ("of = [\"brand\"]", "`brand` is not"),
            ("of = []", "expected names of standardised numbers"),
            ("", "expected names of standardised numbers"),
        ] {
            let error = refusal(&numbers, of).unwrap_err();
            assert!(error.contains("feature.a.of") && error.contains(problem), "{error}");
            assert!(error.contains("these are: price, size"), "{error}");
        }
        assert!(refusal("", "").unwrap_err().contains("a feature of items with"));
        let twice = refusal(&numbers, "of = [\"size\", \"price\", \"size\"]").unwrap_err();
        assert!(
            twice.contains("feature.a.of") && twice.contains("`size` stands there twice"),
            "{twice}"
        );
    }

    #[test]
    fn contradictions_are_refused() {
        for (key, extra) in [
            ("task.novelty.source", "[[task]]\nname = \"novelty\"\nkind = \"share\"\n"),
            ("task.diversity.kind", "[[task]]\nname = \"diversity\"\nkind = \"binary\"\n"),
            (
                "feature.price.buckets",
                "[[feature]]\nname=\"price\"\nside=\"item\"\ntype=\"number\"\nbuckets=4\n",
            ),
            (
                "feature.f.shared_with",
                "[[feature]]\nname=\"f\"\nside=\"item\"\ntype=\"id\"\nshared_with=\"x\"\n",
            ),
            ("feature.p.side", "[[feature]]\nname=\"p\"\nside=\"user\"\ntype=\"past\"\n"),
            ("feature.p.type", "[[feature]]\nname=\"p\"\nside=\"impression\"\ntype=\"past\"\n"),
            ("feature.a.side", "[[feature]]\nname=\"a\"\nside=\"user\"\ntype=\"affinity\"\n"),
            ("lists.objectives.clicks", "[lists.objectives]\nclicks = 1.0\n"),
            ("train.id_dropout", "[train]\nid_dropout = 1.5\n"),
            ("train.negative_rate", "[train]\nnegative_rate = 0.0\n"),
            ("train.ipw_clip", "[train]\nipw_clip = 10.0\n"),
            ("train.position_dropout", "[train]\nposition_dropout = 1.0\n"),
            ("model.field_gate", "[model]\nfield_gate = \"pepnet\"\n"),
            ("model.cross_layers", "[model]\nbackbone = \"dcn\"\ncross_layers = 0\n"),
            (
                "model.attention_heads",
                "[model]\nbackbone = \"self_attention\"\nattention_heads = 3\n",
            ),
            (
                "task.purchase.attribution_days",
                "[[task]]\nname=\"purchase\"\nkind=\"binary\"\nattribution_days=3\n",
            ),
            (
                "task.like.delayed_feedback",
                "[[task]]\nname=\"like\"\nkind=\"binary\"\ndelayed_feedback=\"fnw\"\n",
            ),
            ("lists.quota", "[[lists.quota]]\nof = \"maker\"\nmax = 2\n"),
            ("lists.quota", "[[lists.quota]]\nof = \"brand\"\n"),
            ("lists.pin", "[[lists.pin]]\nitem = \"a\"\nplace = 0\n"),
            ("lists.bonus", "[[lists.bonus]]\nof = \"brand\"\nvalue = \"x\"\nadd = inf\n"),
            ("lists.floor", "[[lists.floor]]\nof = \"brand\"\nvalue = \"x\"\nshare = 1.5\n"),
            ("lists.price_min", "[lists]\nprice_min = 3\n"),
            ("lists.price_max", "[lists]\nprice_min = 3\nprice_max = 2\n"),
            ("loss_weighting.method", "[loss_weighting]\nmethod = \"PCGrad\"\n"),
            ("loss_weighting.cagrad_c", "[loss_weighting]\ncagrad_c = 1.0\n"),
            ("loss_weighting.stch_mu", "[loss_weighting]\nstch_mu = 0\n"),
            ("loss_weighting.nash_update_every", "[loss_weighting]\nnash_update_every = 0\n"),
        ] {
            let error = parse(&format!("{SMALL}\n{extra}")).unwrap_err();
            assert!(error.to_string().contains(key), "{error}");
        }
    }
}
