//! What is searched: keys of the configuration and the values that each may take.

use std::path::Path;

use daogou_nn::rng::{Rng, hash, mix};

use crate::{Error, Result};

/// Keys and their values.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Space {
    dimensions: Vec<Dimension>,
}

/// One key.
#[derive(Clone, Debug, PartialEq)]
struct Dimension {
    key: String,
    values: Values,
}

/// The values that a key may take.
#[derive(Clone, Debug, PartialEq)]
enum Values {
    /// Real numbers between two, evenly, or evenly in the logarithm.
    Real { low: f64, high: f64, log: bool },
    /// Whole numbers from one to another, both included.
    Whole { low: i64, high: i64, log: bool },
    /// Any of these, as TOML.
    Choice(Vec<String>),
}

/// Digits after the first of a real number that is drawn: what is printed is what was used.
const DIGITS: usize = 3;

impl Space {
    /// Reads a file of keys: `train.learning_rate = "1e-4..1e-2:log"`, `model.experts = "2..8"`,
    /// `model.kind = ["mmoe", "ple"]`, in any form that TOML has for nested keys.
    ///
    /// # Errors
    ///
    /// Where it is no TOML, or a value is neither a range nor a list.
    pub fn read(path: &Path) -> Result<Self> {
        Self::parse(&fs_err::read_to_string(path)?, path)
    }

    /// The same of a text; `path` is only for messages.
    ///
    /// # Errors
    ///
    /// As [`Space::read`].
    pub fn parse(text: &str, path: &Path) -> Result<Self> {
        let table: toml::Table = toml::from_str(text).map_err(|error| Error::ConfigFile {
            path: path.into(),
            message: error.to_string().trim_end().into(),
        })?;
        let mut space = Self::default();
        space.add_table("", &table)?;
        Ok(space)
    }

    fn add_table(&mut self, prefix: &str, table: &toml::Table) -> Result<()> {
        for (key, value) in table {
            let key = if prefix.is_empty() { key.clone() } else { format!("{prefix}.{key}") };
            match value {
                toml::Value::Table(inner) => self.add_table(&key, inner)?,
                toml::Value::Array(values) => {
                    let values = values.iter().map(toml::Value::to_string).collect();
                    self.insert(key, Values::Choice(values))?;
                }
                toml::Value::String(range) => {
                    let values = values(&key, range)?;
                    self.insert(key, values)?;
                }
                other => {
                    let problem =
                        format!("expected a range such as \"0.1..0.5\" or a list, got {other}");
                    return Err(Error::config(key, problem));
                }
            }
        }
        Ok(())
    }

    /// Adds one key as a command line says it: `train.learning_rate=1e-4..1e-2:log`, `model.experts=2..8`,
    /// `model.kind=mmoe|ple`.
    ///
    /// # Errors
    ///
    /// Where it has no such form, or the key is there already.
    pub fn add(&mut self, text: &str) -> Result<()> {
        let (key, written) = text.split_once('=').ok_or_else(|| {
            Error::config(text, format!("expected `key=low..high` or `key=a|b`, got `{text}`"))
        })?;
        let key = key.trim();
        self.insert(key.into(), values(key, written.trim())?)
    }

    fn insert(&mut self, key: String, values: Values) -> Result<()> {
        if self.dimensions.iter().any(|other| other.key == key) {
            return Err(Error::config(key, "is searched twice"));
        }
        if matches!(&values, Values::Choice(choices) if choices.is_empty()) {
            return Err(Error::config(key, "expected at least one value, got none"));
        }
        self.dimensions.push(Dimension { key, values });
        Ok(())
    }

    /// Whether nothing is searched.
    pub fn is_empty(&self) -> bool {
        self.dimensions.is_empty()
    }

    /// Keys that are searched.
    pub fn keys(&self) -> impl Iterator<Item = &str> {
        self.dimensions.iter().map(|dimension| dimension.key.as_str())
    }

    /// Values of all keys of one trial, as assignments for [`crate::schema::Config::set_all`]. Each key draws from a stream
    /// of its own, so another key in the space changes no value.
    pub fn draw(&self, seed: u64, trial: usize) -> Vec<String> {
        let one = |dimension: &Dimension| {
            let mut rng = Rng::new(seed, mix(hash(&dimension.key)) ^ trial as u64);
            let value = match &dimension.values {
                Values::Real { low, high, log } => {
                    let value = between(*low, *high, *log, rng.uniform());
                    format!("{:.DIGITS$e}", value.clamp(*low, *high))
                }
                Values::Whole { low, high, log: false } => {
                    (low + rng.below((high - low + 1) as u64) as i64).to_string()
                }
                Values::Whole { low, high, log: true } => {
                    // Both ends are as likely as their share of the logarithm.
                    let value = between(*low as f64, *high as f64 + 1.0, true, rng.uniform());
                    (value as i64).clamp(*low, *high).to_string()
                }
                Values::Choice(choices) => {
                    choices[rng.below(choices.len() as u64) as usize].clone()
                }
            };
            format!("{}={value}", dimension.key)
        };
        self.dimensions.iter().map(one).collect()
    }
}

fn between(low: f64, high: f64, log: bool, share: f64) -> f64 {
    if log { (low.ln() + share * (high / low).ln()).exp() } else { low + share * (high - low) }
}

/// A range, or choices with `|` between them.
fn values(key: &str, written: &str) -> Result<Values> {
    let Some((low, rest)) = written.split_once("..") else {
        if written.contains('|') {
            return Ok(Values::Choice(
                written.split('|').map(|value| value.trim().into()).collect(),
            ));
        }
        return Err(Error::config(key, format!("expected `low..high` or `a|b`, got `{written}`")));
    };
    let (high, form) = rest.split_once(':').unwrap_or((rest, ""));
    let log = match form.trim() {
        "" => false,
        "log" => true,
        other => {
            return Err(Error::config(key, format!("after `:` expected `log`, got `{other}`")));
        }
    };
    let refuse =
        |expected: &str| Err(Error::config(key, format!("expected {expected}, got `{written}`")));
    let (low, high) = (low.trim(), high.trim());
    if let (Ok(low), Ok(high)) = (low.parse::<i64>(), high.parse::<i64>()) {
        return match (low < high, log && low < 1) {
            (false, _) => refuse("a lower end below the upper one"),
            (_, true) => refuse("an end of at least 1 for `:log` over whole numbers"),
            _ => Ok(Values::Whole { low, high, log }),
        };
    }
    match (low.parse::<f64>(), high.parse::<f64>()) {
        (Ok(low), Ok(high)) if low.is_finite() && high.is_finite() => {
            match (low < high, log && low <= 0.0) {
                (false, _) => refuse("a lower end below the upper one"),
                (_, true) => refuse("ends above 0 for `:log`"),
                _ => Ok(Values::Real { low, high, log }),
            }
        }
        _ => refuse("two numbers"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn space(dimensions: &[&str]) -> Space {
        let mut space = Space::default();
        dimensions.iter().for_each(|text| space.add(text).unwrap());
        space
    }

    #[test]
    fn draws_stay_inside_repeat_and_follow_the_scale() {
        let space =
            space(&["a=1e-4..1e-2:log", "b=0.25..0.75", "c=2..4", "d=1..1000:log", "e=x|[1, 2]"]);
        let n = 4_000;
        let (mut low_half, mut whole, mut small, mut first) = (0, [0_usize; 3], 0, 0);
        for trial in 0..n {
            let draw = space.draw(7, trial);
            assert_eq!(draw, space.draw(7, trial));
            let value = |i: usize| draw[i].split_once('=').unwrap().1;
            let number = |i: usize| value(i).parse::<f64>().unwrap();
            assert!(
                (1e-4..=1e-2).contains(&number(0)) && (0.25..=0.75).contains(&number(1)),
                "{draw:?}"
            );
            low_half += usize::from(number(0) < 1e-3);
            whole[value(2).parse::<usize>().unwrap() - 2] += 1;
            let d: i64 = value(3).parse().unwrap();
            assert!((1..=1000).contains(&d));
            small += usize::from(d < 32);
            first += usize::from(value(4) == "x");
            assert!(value(4) == "x" || value(4) == "[1, 2]");
        }
        let half = |count: usize| (count as f64 / n as f64 - 0.5).abs() < 0.03;
        assert!(half(low_half) && half(small) && half(first), "{low_half} {small} {first}");
        assert!(whole.iter().all(|&count| (count as f64 / n as f64 - 1.0 / 3.0).abs() < 0.03));
        assert_ne!(space.draw(7, 0), space.draw(8, 0));
        let fewer = super::tests::space(&["b=0.25..0.75"]);
        assert_eq!(fewer.draw(7, 3)[0], space.draw(7, 3)[1], "a key draws for itself");
    }

    #[test]
    fn a_file_says_the_same_as_flags() {
        let text = "train.learning_rate = '1e-4..1e-2:log'\n[model]\nexperts = '2..8'\nkind = ['mmoe', 'ple']\n";
        let file = Space::parse(text, Path::new("space.toml")).unwrap();
        // TOML has its keys by name.
        let flags = space(&[
            "model.experts=2..8",
            "model.kind=\"mmoe\"|\"ple\"",
            "train.learning_rate=1e-4..1e-2:log",
        ]);
        assert_eq!(file.draw(1, 5), flags.draw(1, 5));
        assert_eq!(file.keys().collect::<Vec<_>>(), flags.keys().collect::<Vec<_>>());
    }

    #[test]
    fn what_is_no_space_is_said() {
        let refusal = |text: &str| Space::default().add(text).unwrap_err().to_string();
        assert!(refusal("a").contains("key=low..high"));
        assert!(refusal("a=3").contains("`low..high` or `a|b`"));
        assert!(refusal("a=1..x").contains("two numbers"));
        assert!(refusal("a=5..1").contains("lower end"));
        assert!(refusal("a=0..1:log").contains("at least 1"));
        assert!(refusal("a=0.0..1:log").contains("above 0"));
        assert!(refusal("a=1..2:lin").contains("`log`"));
        let mut twice = space(&["a=1..2"]);
        assert!(twice.add("a=1..3").unwrap_err().to_string().contains("twice"));
        let file = |text: &str| Space::parse(text, Path::new("s.toml")).unwrap_err().to_string();
        assert!(file("a = 3").contains("a range"));
        assert!(file("a = []").contains("at least one"));
        assert!(file("a = ").contains("s.toml"));
    }
}
