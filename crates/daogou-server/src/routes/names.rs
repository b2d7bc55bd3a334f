//! Many names in one piece of memory: a request may bring thousands, and each would be an allocation of its own, made on
//! one thread and freed on another.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, SeqAccess, Visitor};
use utoipa::{PartialSchema, ToSchema};

/// A list of texts. In JSON it is an array of strings.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Names {
    text: String,
    /// Where each ends.
    ends: Vec<usize>,
}

impl Names {
    pub(crate) fn len(&self) -> usize {
        self.ends.len()
    }

    pub(crate) fn push(&mut self, name: &str) {
        self.text.push_str(name);
        self.ends.push(self.text.len());
    }

    pub(crate) fn get(&self, place: usize) -> &str {
        let start = place.checked_sub(1).map_or(0, |before| self.ends[before]);
        &self.text[start..self.ends[place]]
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &str> {
        (0..self.len()).map(|place| self.get(place))
    }
}

impl<'a> FromIterator<&'a str> for Names {
    fn from_iter<I: IntoIterator<Item = &'a str>>(names: I) -> Self {
        let mut all = Self::default();
        names.into_iter().for_each(|name| all.push(name));
        all
    }
}

impl PartialSchema for Names {
    fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::schema::Schema> {
        Vec::<String>::schema()
    }
}

impl ToSchema for Names {}

/// Adds one text to the list.
struct Next<'a>(&'a mut Names);

impl<'de> DeserializeSeed<'de> for Next<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for Next<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string")
    }

    fn visit_str<E: Error>(self, name: &str) -> Result<(), E> {
        self.0.push(name);
        Ok(())
    }
}

impl<'de> serde::Deserialize<'de> for Names {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct All;
        impl<'de> Visitor<'de> for All {
            type Value = Names;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list of strings")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Names, A::Error> {
                let mut names = Names::default();
                while items.next_element_seed(Next(&mut names))?.is_some() {}
                Ok(names)
            }
        }
        deserializer.deserialize_seq(All)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_come_out_as_they_went_in() {
        let json = r#"["a", "", "\u4e2d\u6587", "x\"y"]"#;
        let names: Names = serde_json::from_str(json).expect("strings");
        let as_strings: Vec<String> = serde_json::from_str(json).expect("strings");
        assert_eq!(names.iter().collect::<Vec<_>>(), as_strings);
        assert_eq!(names.len(), 4);
        assert_eq!(names, as_strings.iter().map(String::as_str).collect());
    }

    #[test]
    fn what_is_no_text_is_told() {
        let error = serde_json::from_str::<Names>(r#"["a", 7]"#).expect_err("a number").to_string();
        assert!(error.contains("integer `7`, expected a string"), "{error}");
        assert!(serde_json::from_str::<Names>(r#""a""#).is_err());
    }
}
