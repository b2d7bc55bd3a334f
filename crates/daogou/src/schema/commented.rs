//! A configuration as a person would write it: sections in reading order, comments, and no key that only repeats a
//! default.

use std::fmt::Write as _;

use serde_json::{Map, Value};

use super::config::Config;

/// Sections in reading order.
const SECTIONS: [&str; 9] = [
    "data",
    "columns",
    "feature",
    "task",
    "model",
    "loss_weighting",
    "train",
    "calibration",
    "lists",
];

/// Sections whose keys are left out where they equal the default; the others say what the log means and are complete.
const PRUNED: [&str; 6] = ["data", "model", "loss_weighting", "train", "calibration", "lists"];

impl Config {
    /// This configuration as TOML with comments. `header` stands at the top; each of `comments` is a dotted place
    /// (`columns`, `columns.time`, `data.split`, `feature.price`, `task.click`) and the text put above it. Parsing
    /// the result gives this very configuration.
    pub fn to_commented_toml(&self, header: &str, comments: &[(&str, &str)]) -> String {
        // JSON as the intermediate form: unlike TOML's tables its maps keep the order of the struct's fields.
        let [mut root, defaults] = [self, &Self::default()]
            .map(|config| serde_json::to_value(config).expect("a configuration is plain data"));
        for section in PRUNED {
            if let (Some(Value::Object(table)), Some(Value::Object(default))) =
                (root.get_mut(section), defaults.get(section))
            {
                prune(table, default);
            }
        }
        let mut printer = Printer { text: String::new(), comments };
        printer.paragraph(header);
        for section in SECTIONS {
            match &root[section] {
                Value::Object(table) => printer.table(section, table),
                Value::Array(entries) => {
                    for entry in entries.iter().filter_map(Value::as_object) {
                        let name = entry.get("name").and_then(Value::as_str).unwrap_or_default();
                        printer.entry(section, name, entry);
                    }
                }
                _ => {}
            }
        }
        printer.text
    }
}

/// Removes from `table` what `default` says too.
fn prune(table: &mut Map<String, Value>, default: &Map<String, Value>) {
    table.retain(|key, value| match (value, default.get(key)) {
        // A map, not a struct: a key that is missing in it means something.
        (value, Some(default)) if key == "objectives" => value != default,
        (Value::Object(inner), Some(Value::Object(default))) => {
            prune(inner, default);
            !inner.is_empty()
        }
        (value, Some(default)) => value != default,
        (_, None) => true,
    });
}

struct Printer<'a> {
    text: String,
    comments: &'a [(&'a str, &'a str)],
}

impl Printer<'_> {
    fn paragraph(&mut self, text: &str) {
        for line in text.lines() {
            self.text.push_str(if line.is_empty() { "#" } else { "# " });
            self.text.push_str(line);
            self.text.push('\n');
        }
    }

    fn comment(&mut self, place: &str) {
        for (_, text) in self.comments.iter().filter(|(at, _)| *at == place) {
            self.paragraph(text);
        }
    }

    fn keys(&mut self, place: &str, table: &Map<String, Value>) {
        for (key, value) in table.iter().filter(|(_, value)| !value.is_object()) {
            self.comment(&format!("{place}.{key}"));
            let value = toml::Value::try_from(value).expect("a configuration has no null");
            let _ = writeln!(self.text, "{key} = {value}");
        }
    }

    fn table(&mut self, place: &str, table: &Map<String, Value>) {
        if table.values().any(|value| !value.is_object()) {
            self.text.push('\n');
            self.comment(place);
            let _ = writeln!(self.text, "[{place}]");
            self.keys(place, table);
        }
        for (key, value) in table {
            if let Value::Object(inner) = value {
                self.table(&format!("{place}.{key}"), inner);
            }
        }
    }

    fn entry(&mut self, section: &str, name: &str, table: &Map<String, Value>) {
        let place = format!("{section}.{name}");
        self.text.push('\n');
        self.comment(&place);
        let _ = writeln!(self.text, "[[{section}]]");
        self.keys(&place, table);
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::super::config::{
        DataConfig, EventsConfig, Feature, FeatureType, Negatives, Side, SplitConfig, Task,
        TaskKind, Transform,
    };
    use super::*;

    fn config() -> Config {
        let mut config = Config {
            data: DataConfig {
                events: vec!["a \"quoted\" name.csv".into()],
                delimiter: '\t',
                split: SplitConfig {
                    test_from: Some("2020-01-01T00:00:00Z".into()),
                    ..SplitConfig::default()
                },
                event_log: Some(EventsConfig {
                    click: vec!["view".into()],
                    purchase: vec![],
                    purchase_window_days: 7.0,
                    negatives: Negatives { per_click: 2, ..Negatives::default() },
                }),
                ..DataConfig::default()
            },
            ..Config::default()
        };
        config.columns.event = Some("event".into());
        let mut price = Feature::new("price", Side::Item, FeatureType::Number);
        price.transform = Some(Transform::Log1p);
        config.features = vec![price, Feature::new("brand", Side::Item, FeatureType::Id)];
        config.tasks = vec![Task::new("click", TaskKind::Binary)];
        config.train.epochs = 9;
        config.lists.objectives.remove("purchase");
        config.lists.seen = crate::lists::Seen::AtMost(2);
        config.lists.quotas = vec!["brand=\"x\":max=2,window=1/3".parse().unwrap()];
        config.lists.pins = vec!["i1@2".parse().unwrap()];
        config
    }

    #[test]
    fn parses_back_to_the_same_configuration() {
        for config in [
            config(),
            Config {
                data: DataConfig { impressions: vec!["x.csv".into()], ..DataConfig::default() },
                ..Config::default()
            },
        ] {
            let text = config
                .to_commented_toml("Head", &[("columns", "What is what"), ("task.click", "CTR")]);
            assert_eq!(Config::parse(&text, Path::new("daogou.toml")).unwrap(), config, "{text}");
        }
    }

    #[test]
    fn comments_stand_above_their_place_and_defaults_are_left_out() {
        let text = config().to_commented_toml(
            "One\n\nTwo",
            &[
                ("columns", "What is what"),
                ("columns.user", "Who"),
                ("feature.brand", "Maker"),
                ("data.split", "Time"),
            ],
        );
        assert!(text.starts_with("# One\n#\n# Two\n\n[data]\n"), "{text}");
        for piece in [
            "# What is what\n[columns]\n# Who\nuser = \"user_id\"\n",
            "# Maker\n[[feature]]\nname = \"brand\"\n",
            "# Time\n[data.split]\ntest_from = \"2020-01-01T00:00:00Z\"\n",
            "[train]\nepochs = 9\n",
        ] {
            assert!(text.contains(piece), "{piece}\nnot in\n{text}");
        }
        for absent in ["batch_size", "[model]", "max_bad_share"] {
            assert!(!text.contains(absent), "{absent} in\n{text}");
        }
    }
}
