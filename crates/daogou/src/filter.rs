//! Which items a request may be answered with, as text: `category in ["phone", "tablet"] and price <= 3000`.
//!
//! ```text
//! filter     = all {"or" all}
//! all        = term {"and" term}
//! term       = ["not"] ( "(" filter ")" | comparison )
//! comparison = name ("=" | "!=" | "<" | "<=" | ">" | ">=" | "contains") value
//!            | name ["not"] "in" "[" value {"," value} "]"
//! value      = "text" | 'text' | number | true | false | null
//! ```
//!
//! It is parsed into a tree and compared with attributes; nothing of it is ever run. A value that is not known equals
//! `null` alone, and is neither less nor more than anything; `!=` is the opposite of `=`. An attribute of several values
//! equals each of them. Text that reads as a number is compared as one with numbers.

use std::fmt;
use std::str::FromStr;

use serde_json::Value;
use winnow::Parser as _;
use winnow::ascii::{Caseless, float, multispace0};
use winnow::combinator::{
    alt, cut_err, delimited, not, opt, peek, preceded, repeat, separated, terminated,
};
use winnow::error::{ContextError, StrContext, StrContextValue};
use winnow::token::{any, none_of, one_of, take_while};

use crate::{Error, Result};

/// Longest text of a filter, in bytes.
const LONGEST: usize = 4096;

/// Most parentheses that a filter may have.
const DEEPEST: usize = 64;

/// A parsed filter.
#[derive(Clone, Debug, PartialEq)]
pub struct Filter(Tree);

#[derive(Clone, Debug, PartialEq)]
enum Tree {
    Any(Vec<Tree>),
    All(Vec<Tree>),
    Not(Box<Tree>),
    Compare(String, Relation, Value),
    In(String, Vec<Value>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Relation {
    Equal,
    Less,
    AtMost,
    More,
    AtLeast,
    Contains,
}

type Input<'i> = &'i str;
type Parsed<T> = winnow::ModalResult<T, ContextError>;

impl FromStr for Filter {
    type Err = Error;

    fn from_str(written: &str) -> Result<Self> {
        let wrong = |problem: String| {
            Error::config("filter", problem)
                .with_hint("write it like `category in [\"phone\"] and price <= 3000`")
        };
        if written.len() > LONGEST {
            let got = written.len();
            return Err(wrong(format!("expected at most {LONGEST} bytes, got {got}")));
        }
        let open = written.bytes().filter(|&byte| byte == b'(').count();
        if open > DEEPEST {
            return Err(wrong(format!("expected at most {DEEPEST} parentheses, got {open}")));
        }
        let tree = terminated(filter, multispace0).parse(written).map_err(|error| {
            let place = error.offset();
            let expected = error.inner().to_string();
            let expected =
                if expected.is_empty() { "expected `and`, `or` or the end" } else { &expected };
            let rest: String = written.get(place..).unwrap_or("").chars().take(20).collect();
            let got = if rest.is_empty() { "the end".into() } else { format!("`{rest}`") };
            let character = written.get(..place).map_or(0, |before| before.chars().count()) + 1;
            wrong(format!("at character {character}: {}, got {got}", expected.replace('\n', ", ")))
        })?;
        Ok(Self(tree))
    }
}

/// What to say was expected.
fn expected(what: &'static str) -> StrContext {
    StrContext::Expected(StrContextValue::Description(what))
}

fn filter(input: &mut Input<'_>) -> Parsed<Tree> {
    let list: Vec<Tree> = separated(1.., all, word("or")).parse_next(input)?;
    Ok(one_or(list, Tree::Any))
}

fn all(input: &mut Input<'_>) -> Parsed<Tree> {
    let list: Vec<Tree> = separated(1.., term, word("and")).parse_next(input)?;
    Ok(one_or(list, Tree::All))
}

fn one_or(mut list: Vec<Tree>, many: fn(Vec<Tree>) -> Tree) -> Tree {
    if list.len() == 1 { list.remove(0) } else { many(list) }
}

fn term(input: &mut Input<'_>) -> Parsed<Tree> {
    let nots: Vec<()> = repeat(0.., word("not")).parse_next(input)?;
    let tree = alt((
        delimited(symbol("("), cut_err(filter), cut_err(symbol(")").context(expected("`)`")))),
        comparison,
    ))
    .parse_next(input)?;
    Ok(if nots.len() % 2 == 1 { Tree::Not(Box::new(tree)) } else { tree })
}

fn comparison(input: &mut Input<'_>) -> Parsed<Tree> {
    let name = name.parse_next(input)?;
    let list = || {
        let values = separated(1.., cut_err(value), symbol(","));
        delimited(symbol("["), values, cut_err(symbol("]").context(expected("`,` or `]`"))))
            .context(expected("a list in `[` and `]`"))
    };
    if opt((word("not"), word("in"))).parse_next(input)?.is_some() {
        let tree = Tree::In(name, cut_err(list()).parse_next(input)?);
        return Ok(Tree::Not(Box::new(tree)));
    }
    if opt(word("in")).parse_next(input)?.is_some() {
        return Ok(Tree::In(name, cut_err(list()).parse_next(input)?));
    }
    let (relation, opposite) = cut_err(alt((
        symbol("!=").value((Relation::Equal, true)),
        symbol("<=").value((Relation::AtMost, false)),
        symbol(">=").value((Relation::AtLeast, false)),
        symbol("<").value((Relation::Less, false)),
        symbol(">").value((Relation::More, false)),
        alt((symbol("=="), symbol("="))).value((Relation::Equal, false)),
        word("contains").value((Relation::Contains, false)),
    )))
    .context(expected("`=`, `!=`, `<`, `<=`, `>`, `>=`, `in` or `contains`"))
    .parse_next(input)?;
    let tree = Tree::Compare(name, relation, cut_err(value).parse_next(input)?);
    Ok(if opposite { Tree::Not(Box::new(tree)) } else { tree })
}

/// Words of the language, which name no attribute.
const WORDS: [&str; 8] = ["and", "or", "not", "in", "contains", "true", "false", "null"];

fn is_of_name(c: char) -> bool {
    c.is_alphanumeric() || c == '_' || c == '.'
}

fn name(input: &mut Input<'_>) -> Parsed<String> {
    let start = peek(one_of(|c: char| c.is_alphabetic() || c == '_'));
    preceded(multispace0, preceded(start, take_while(1.., is_of_name)))
        .verify(|name: &str| !WORDS.iter().any(|word| word.eq_ignore_ascii_case(name)))
        .map(str::to_string)
        .context(expected("the name of an attribute"))
        .parse_next(input)
}

fn word<'i>(word: &'static str) -> impl winnow::ModalParser<Input<'i>, (), ContextError> {
    let end = not(one_of(is_of_name));
    (multispace0, Caseless(word), end).void()
}

fn symbol<'i>(symbol: &'static str) -> impl winnow::ModalParser<Input<'i>, (), ContextError> {
    (multispace0, symbol).void()
}

fn value(input: &mut Input<'_>) -> Parsed<Value> {
    let number = float.verify_map(|x: f64| serde_json::Number::from_f64(x).map(Value::Number));
    let literal = alt((
        quoted('"').map(Value::String),
        quoted('\'').map(Value::String),
        word("true").value(Value::Bool(true)),
        word("false").value(Value::Bool(false)),
        word("null").value(Value::Null),
        number,
    ));
    preceded(multispace0, literal)
        .context(expected("text in quotes, a number, true, false or null"))
        .parse_next(input)
}

/// Text in quotes; a backslash stands before a quote or a backslash that is meant.
fn quoted<'i>(quote: char) -> impl winnow::ModalParser<Input<'i>, String, ContextError> {
    let character = alt((none_of([quote, '\\']), preceded('\\', any)));
    delimited(quote, repeat(0.., character), cut_err(quote).context(expected("a closing quote")))
}

impl Filter {
    /// Whether an item passes, given its attributes: null where unknown.
    pub fn passes(&self, attribute: &dyn Fn(&str) -> Value) -> bool {
        self.0.passes(attribute)
    }

    /// Names of the attributes it asks for, each once, in order.
    pub fn names(&self) -> Vec<&str> {
        let mut names = Vec::new();
        self.0.names(&mut names);
        names.sort_unstable();
        names.dedup();
        names
    }
}

impl Tree {
    fn names<'t>(&'t self, names: &mut Vec<&'t str>) {
        match self {
            Self::Any(trees) | Self::All(trees) => trees.iter().for_each(|tree| tree.names(names)),
            Self::Not(tree) => tree.names(names),
            Self::Compare(name, ..) | Self::In(name, _) => names.push(name),
        }
    }

    fn passes(&self, attribute: &dyn Fn(&str) -> Value) -> bool {
        match self {
            Self::Any(trees) => trees.iter().any(|tree| tree.passes(attribute)),
            Self::All(trees) => trees.iter().all(|tree| tree.passes(attribute)),
            Self::Not(tree) => !tree.passes(attribute),
            Self::Compare(name, relation, value) => relation.holds(&attribute(name), value),
            Self::In(name, values) => {
                let own = attribute(name);
                values.iter().any(|value| Relation::Equal.holds(&own, value))
            }
        }
    }
}

fn number(value: &Value) -> Option<f64> {
    match value {
        Value::Number(number) => number.as_f64(),
        Value::String(text) => text.trim().parse().ok().filter(|x: &f64| x.is_finite()),
        _ => None,
    }
}

impl Relation {
    fn holds(self, own: &Value, value: &Value) -> bool {
        if let Value::Array(several) = own {
            return several.iter().any(|own| self.holds(own, value));
        }
        let order = |holds: fn(f64, f64) -> bool| match (number(own), number(value)) {
            (Some(own), Some(value)) => holds(own, value),
            _ => false,
        };
        match self {
            Self::Equal => match (own, value) {
                (Value::Number(_), Value::Number(_) | Value::String(_))
                | (Value::String(_), Value::Number(_)) => order(|own, value| own == value),
                _ => own == value,
            },
            Self::Less => order(|own, value| own < value),
            Self::AtMost => order(|own, value| own <= value),
            Self::More => order(|own, value| own > value),
            Self::AtLeast => order(|own, value| own >= value),
            Self::Contains => match (own, value) {
                (Value::String(own), Value::String(part)) => {
                    own.to_lowercase().contains(&part.to_lowercase())
                }
                _ => false,
            },
        }
    }
}

impl fmt::Display for Relation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Equal => "=",
            Self::Less => "<",
            Self::AtMost => "<=",
            Self::More => ">",
            Self::AtLeast => ">=",
            Self::Contains => "contains",
        })
    }
}

impl fmt::Display for Filter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// As it would be written, each part in parentheses.
impl fmt::Display for Tree {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let many = |f: &mut fmt::Formatter<'_>, trees: &[Self], between: &str| {
            for (i, tree) in trees.iter().enumerate() {
                write!(f, "{}({tree})", if i > 0 { between } else { "" })?;
            }
            Ok(())
        };
        match self {
            Self::Any(trees) => many(f, trees, " or "),
            Self::All(trees) => many(f, trees, " and "),
            Self::Not(tree) => write!(f, "not ({tree})"),
            Self::Compare(name, relation, value) => write!(f, "{name} {relation} {}", Shown(value)),
            Self::In(name, values) => {
                let values: Vec<String> = values.iter().map(|v| Shown(v).to_string()).collect();
                write!(f, "{name} in [{}]", values.join(", "))
            }
        }
    }
}

/// A value as the language writes it.
struct Shown<'a>(&'a Value);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Value::String(text) => {
                write!(f, "\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
            }
            other => write!(f, "{other}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{Just, Strategy, any, prop, prop_assert_eq, prop_oneof, proptest};
    use serde_json::json;

    use super::{Filter, Relation, Tree, Value};

    fn passes(filter: &str, item: &Value) -> bool {
        let filter: Filter = filter.parse().unwrap();
        filter.passes(&|name| item.get(name).cloned().unwrap_or(Value::Null))
    }

    fn problem(filter: &str) -> String {
        filter.parse::<Filter>().unwrap_err().to_string()
    }

    #[test]
    fn comparisons_mean_what_they_say() {
        let item = json!({"category": "phone", "price": 1999.5, "tags": ["new", "5g"], "stock": true,
            "budget": "3", "标题": "手机壳"});
        for (filter, expected) in [
            ("category = \"phone\"", true),
            ("category == 'phone' AND price < 2000", true),
            ("category != \"phone\"", false),
            ("category in [\"tv\", \"phone\"] and not price > 3000", true),
            ("category not in [\"tv\"]", true),
            ("price >= 1999.5 and price <= 1999.5", true),
            ("price > 2e3", false),
            ("tags = \"5g\" and tags != \"old\"", true),
            ("stock = true", true),
            ("budget = 3 and budget >= 2.5", true),
            ("brand = null and brand != \"x\" and not brand < 5", true),
            ("category contains \"HON\"", true),
            ("标题 contains '壳'", true),
            ("category = \"tv\" or price < 10 or (stock = true and price > 10)", true),
            ("not not category = \"phone\"", true),
            ("not (category = \"phone\" or price = 1)", false),
        ] {
            assert_eq!(passes(filter, &item), expected, "{filter}");
        }
    }

    #[test]
    fn faults_are_named_with_their_place() {
        for (filter, place, what) in [
            ("", 1, "name of an attribute"),
            ("price", 6, "`<=`"),
            ("price <= ", 10, "a number"),
            ("price <= 3 garbage", 12, "`and`"),
            ("category in \"x\"", 13, "`[`"),
            ("category in [\"x\"", 17, "`]`"),
            ("(price = 1", 11, "`)`"),
            ("price = \"x", 11, "closing quote"),
            ("and = 1", 1, "name"),
        ] {
            let message = problem(filter);
            assert!(message.contains(&format!("at character {place}:")), "{filter}: {message}");
            assert!(message.contains(what), "{filter}: {message}");
        }
        assert!(problem(&"(".repeat(5000)).contains("at most 4096"));
        assert!(problem(&format!("{}a = 1", "(".repeat(65))).contains("parentheses"));
        let deep = format!("{}a = 1{}", "(".repeat(64), ")".repeat(64));
        assert!(deep.parse::<Filter>().is_ok());
    }

    fn value() -> impl Strategy<Value = Value> {
        prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::Bool),
            (-1e6..1e6f64).prop_map(|x| json!(x)),
            ".{0,6}".prop_map(Value::String),
        ]
    }

    fn tree() -> impl Strategy<Value = Tree> {
        let name = "[a-z_][a-z0-9_]{0,5}x";
        let relation = prop_oneof![
            Just(Relation::Equal),
            Just(Relation::Less),
            Just(Relation::AtMost),
            Just(Relation::More),
            Just(Relation::AtLeast),
            Just(Relation::Contains),
        ];
        let leaf = prop_oneof![
            (name, relation, value()).prop_map(|(name, r, value)| Tree::Compare(name, r, value)),
            (name, prop::collection::vec(value(), 1..4)).prop_map(|(name, v)| Tree::In(name, v)),
        ];
        leaf.prop_recursive(3, 12, 3, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 2..4).prop_map(Tree::Any),
                prop::collection::vec(inner.clone(), 2..4).prop_map(Tree::All),
                inner.prop_map(|tree| Tree::Not(Box::new(tree))),
            ]
        })
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(tree in tree(), item in prop::collection::btree_map("[a-c]x", value(), 0..3)) {
            let written = tree.to_string();
            let read: Filter = written.parse().unwrap();
            let attribute = |name: &str| item.get(name).cloned().unwrap_or(Value::Null);
            prop_assert_eq!(read.passes(&attribute), tree.passes(&attribute), "{}", written);
            // Two opposites in a row are none, so what is written again may be shorter, once.
            prop_assert_eq!(read.to_string().parse::<Filter>().unwrap(), read);
        }

        #[test]
        fn no_text_is_too_strange(text in ".{0,80}") {
            let _ = text.parse::<Filter>();
        }

        #[test]
        fn nor_any_heap_of_its_own_words(
            words in prop::collection::vec(
                prop::sample::select(vec!["and", "or", "not", "in", "(", ")", "[", "]", ",", "=", "<", "a", "\"x", "'", "1e9", "\\"]),
                0..30,
            ),
        ) {
            let _ = words.join(" ").parse::<Filter>();
        }
    }
}
