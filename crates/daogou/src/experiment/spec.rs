//! What is compared, as people write it: one TOML file.

use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::schema::FractionBy;
use crate::{Error, Result};

/// An experiment as its file says it. [`super::Design`] is the same, checked.
///
/// ```toml
/// title = "Ways of sharing"
/// data = "../runs/census/daogou.toml"    # or a table [simulate]
/// seeds = 5                              # 1 to 5; or a list
/// fractions = [1.0, 0.3, 0.1]            # of the training requests
///
/// [set]                                  # for all variants, as `--set` of `daogou train`
/// train.epochs = 3
///
/// [[variant]]
/// name = "single_task"
/// set.model.kind = "single_task"
///
/// [[variant]]
/// name = "mmoe"
/// set.model = { kind = "mmoe", experts = 4 }
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Spec {
    /// What the table is called.
    pub title: String,
    /// What a reader of the table should know.
    #[serde(default)]
    pub note: String,
    /// A configuration file of `daogou train`, relative to this file. Exactly one of `data` and `simulate` is given.
    #[serde(default)]
    pub data: Option<String>,
    /// A shop to simulate: options of [`crate::simulate::Options`], each as its default where it is left out. One of them
    /// may be a list: the experiment is then made at each of its values.
    #[serde(default)]
    pub simulate: Option<toml::Table>,
    /// With `simulate`: each seed has a shop of its own, so that intervals speak of the luck of the log as well.
    #[serde(default)]
    pub world_per_seed: bool,
    /// A number of seeds, counted from 1, or a list of them. Default 5.
    #[serde(default)]
    pub seeds: Option<toml::Value>,
    /// Shares of the training requests: the experiment is made at each of them. Default: all of them.
    #[serde(default)]
    pub fractions: Option<Vec<f64>>,
    /// Which requests a fraction keeps.
    #[serde(default)]
    pub fraction_by: Option<FractionBy>,
    /// Name of the variant that the others are compared with. Default: the first whose `model.kind` is `single_task`, else
    /// the first.
    #[serde(default)]
    pub baseline: Option<String>,
    /// Keys of the configuration that all variants share.
    #[serde(default)]
    pub set: toml::Table,
    /// What is compared.
    #[serde(default, rename = "variant")]
    pub variants: Vec<VariantSpec>,
}

/// `[[variant]]`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VariantSpec {
    /// Name: letters, digits and `_-.+`, since files are named by it.
    pub name: String,
    /// Keys of the configuration, on top of the shared ones.
    #[serde(default)]
    pub set: toml::Table,
}

impl Spec {
    /// Reads a file.
    ///
    /// # Errors
    ///
    /// Where it is no TOML or has a key that there is not, with line and column.
    pub fn read(path: &Path) -> Result<Self> {
        Self::parse(&fs_err::read_to_string(path)?, path)
    }

    /// The same of a text; `path` is only for messages.
    ///
    /// # Errors
    ///
    /// As [`Spec::read`].
    pub fn parse(text: &str, path: &Path) -> Result<Self> {
        toml::from_str(text).map_err(|error| Error::ConfigFile {
            path: path.into(),
            message: error.to_string().trim_end().into(),
        })
    }
}

/// A table of keys as assignments that [`crate::schema::Config::set_all`] takes: `{model: {kind: "mmoe"}}` becomes
/// `model.kind="mmoe"`.
pub(crate) fn assignments(table: &toml::Table) -> Vec<String> {
    fn walk(prefix: &str, table: &toml::Table, out: &mut Vec<String>) {
        for (key, value) in table {
            let key = if prefix.is_empty() { key.clone() } else { format!("{prefix}.{key}") };
            match value {
                toml::Value::Table(inner) if !inner.is_empty() => walk(&key, inner, out),
                value => out.push(format!("{key}={value}")),
            }
        }
    }
    let mut out = Vec::new();
    walk("", table, &mut out);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_and_dotted_keys_become_the_same_assignments() {
        let of = |text: &str| assignments(&toml::from_str(text).unwrap());
        let wanted = ["model.kind=\"mmoe\"", "model.shared_units=[8, 4]", "train.epochs=3"];
        assert_eq!(
            of("model = { kind = 'mmoe', shared_units = [8, 4] }\ntrain.epochs = 3"),
            wanted
        );
        assert_eq!(
            of("'model.kind' = 'mmoe'\n'model.shared_units' = [8, 4]\n[train]\nepochs = 3"),
            wanted
        );
    }

    #[test]
    fn a_key_that_there_is_not_is_named_with_its_line() {
        let path = Path::new("sharing.toml");
        let error = Spec::parse("title = 'a'\nseed = 3\n", path).unwrap_err().to_string();
        assert!(error.contains("sharing.toml") && error.contains("line 2"), "{error}");
        assert!(error.contains("`seed`") && error.contains("`seeds`"), "{error}");
        let error = Spec::parse("title = 'a'\n[[variant]]\nnam = 'x'\n", path).unwrap_err();
        assert!(error.to_string().contains("`nam`"), "{error}");
    }
}
