//! YAML in: a text becomes JSON values, within bounds. The only file that knows the YAML library.
//!
//! Aliases are followed (`PyYAML` writes them), but what they unfold to is counted, so a small file
//! cannot become a large value. Depth is bounded by the library at 128. Tags build
//! nothing: those of the YAML namespace are passed over, others are refused. Writing is done by `yaml_text`.

use std::cell::Cell;
use std::fmt;

use serde::Deserialize;
use serde::de::{DeserializeSeed, Error as _, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

/// The longest text that is read, in bytes.
pub const TEXT_LIMIT: usize = 16 << 20;
/// How many values a text may unfold to.
const MOST_VALUES: usize = 500_000;
/// How many bytes of text its values may hold together.
const MOST_BYTES: usize = 4 * TEXT_LIMIT;
/// YAML allows keys of 1024 characters; escapes take up to four each when they are written.
const LONGEST_KEY: usize = 240;
/// How deep `[` and `{` may nest. The library's own limit acts after a scan that is quadratic in it.
const MOST_OPEN_BRACKETS: usize = 1_000;

/// Why a YAML text was refused.
#[derive(Debug, thiserror::Error)]
pub enum YamlError {
    /// The text is too long to be read.
    #[error("{bytes} bytes of YAML, over the limit of {TEXT_LIMIT}")]
    TooLarge {
        /// Its length.
        bytes: usize,
    },
    /// There is nothing in it but white space and comments.
    #[error("the YAML is empty")]
    Empty,
    /// It is YAML, but no map.
    #[error("expected a YAML map, found {found}")]
    NotAMap {
        /// What it is instead.
        found: &'static str,
    },
    /// Brackets nest too deep.
    #[error("brackets nest deeper than {MOST_OPEN_BRACKETS}")]
    TooDeep,
    /// It is no YAML, or YAML that is refused here.
    #[error("not readable as YAML")]
    Syntax(#[source] YamlSyntax),
}

/// What the YAML library says, with line and column.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub struct YamlSyntax(serde_yaml::Error);

impl YamlSyntax {
    /// The line and the column where it went wrong, from 1.
    pub fn line_and_column(&self) -> Option<(usize, usize)> {
        self.0
            .location()
            .map(|location| (location.line(), location.column()))
    }
}

/// Reads a text that holds one map. The scalars under the keys `texts` of that map stay as they
/// were written: `1e5`, which is a number to YAML 1.2, can be the start of a run id.
pub(crate) fn read_map(text: &str, texts: &[&str]) -> Result<Map<String, Value>, YamlError> {
    if text.len() > TEXT_LIMIT {
        return Err(YamlError::TooLarge { bytes: text.len() });
    }
    if opens_too_many_brackets(text) {
        return Err(YamlError::TooDeep);
    }
    let budget = Budget {
        values: Cell::new(MOST_VALUES),
        bytes: Cell::new(MOST_BYTES),
    };
    let node = Node {
        budget: &budget,
        texts,
    };
    match node.deserialize(serde_yaml::Deserializer::from_str(text)) {
        Ok(Value::Object(map)) => Ok(map),
        Ok(Value::Null) => Err(YamlError::Empty),
        Ok(other) => Err(YamlError::NotAMap {
            found: crate::signature::found(&other),
        }),
        Err(_) if holds_nothing(text) => Err(YamlError::Empty),
        Err(error) => Err(YamlError::Syntax(YamlSyntax(error))),
    }
}

fn holds_nothing(text: &str) -> bool {
    text.lines()
        .map(str::trim)
        .all(|line| line.is_empty() || line.starts_with('#') || line == "---")
}

/// Counts all brackets, also those inside texts, where they are balanced in any sane file.
fn opens_too_many_brackets(text: &str) -> bool {
    let mut open = 0_usize;
    text.bytes().any(|byte| {
        match byte {
            b'[' | b'{' => open += 1,
            b']' | b'}' => open = open.saturating_sub(1),
            _ => {}
        }
        open > MOST_OPEN_BRACKETS
    })
}

struct Budget {
    values: Cell<usize>,
    bytes: Cell<usize>,
}

impl Budget {
    fn take<E: serde::de::Error>(&self, bytes: usize) -> Result<(), E> {
        let values = self.values.get().checked_sub(1);
        let bytes = self.bytes.get().checked_sub(bytes);
        let (Some(values), Some(bytes)) = (values, bytes) else {
            return Err(E::custom("the values are too many or too long"));
        };
        self.values.set(values);
        self.bytes.set(bytes);
        Ok(())
    }
}

#[derive(Clone, Copy)]
struct Node<'a> {
    budget: &'a Budget,
    texts: &'a [&'a str],
}

impl<'de> DeserializeSeed<'de> for Node<'_> {
    type Value = Value;

    fn deserialize<D: serde::Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Node<'_> {
    type Value = Value;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a value without a tag")
    }

    fn visit_unit<E: serde::de::Error>(self) -> Result<Value, E> {
        self.budget.take(0)?;
        Ok(Value::Null)
    }

    fn visit_bool<E: serde::de::Error>(self, flag: bool) -> Result<Value, E> {
        self.budget.take(0)?;
        Ok(Value::Bool(flag))
    }

    fn visit_i64<E: serde::de::Error>(self, number: i64) -> Result<Value, E> {
        self.budget.take(0)?;
        Ok(Value::from(number))
    }

    fn visit_u64<E: serde::de::Error>(self, number: u64) -> Result<Value, E> {
        self.budget.take(0)?;
        Ok(Value::from(number))
    }

    /// Beyond 64 bits: kept as its digits.
    fn visit_i128<E: serde::de::Error>(self, number: i128) -> Result<Value, E> {
        self.visit_str(&number.to_string())
    }

    /// Beyond 64 bits: kept as its digits.
    fn visit_u128<E: serde::de::Error>(self, number: u128) -> Result<Value, E> {
        self.visit_str(&number.to_string())
    }

    /// JSON has no infinities and no NaN: they become the texts that YAML has for them.
    fn visit_f64<E: serde::de::Error>(self, number: f64) -> Result<Value, E> {
        self.budget.take(0)?;
        Ok(Number::from_f64(number)
            .map_or_else(|| Value::from(not_finite_text(number)), Value::Number))
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Value, E> {
        self.budget.take(text.len())?;
        Ok(Value::from(text))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Value, A::Error> {
        self.budget.take(0)?;
        let inner = Node { texts: &[], ..self };
        let mut values = Vec::new();
        while let Some(value) = list.next_element_seed(inner)? {
            values.push(value);
        }
        Ok(Value::Array(values))
    }

    /// A key that comes twice: the last one counts, as in Python.
    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        self.budget.take(0)?;
        let inner = Node { texts: &[], ..self };
        let mut map = Map::new();
        while let Some(key) = entries.next_key::<String>()? {
            self.budget.take(key.len())?;
            if key.len() > LONGEST_KEY {
                return Err(A::Error::custom(format!(
                    "a key of {} bytes, over the limit of {LONGEST_KEY}",
                    key.len()
                )));
            }
            let value = if self.texts.contains(&key.as_str()) {
                let text = entries.next_value::<Text>()?.0;
                self.budget.take(text.as_ref().map_or(0, String::len))?;
                text.map_or(Value::Null, Value::String)
            } else {
                entries.next_value_seed(inner)?
            };
            map.insert(key, value);
        }
        Ok(Value::Object(map))
    }
}

/// A scalar as it was written, or null.
#[derive(Deserialize)]
#[serde(transparent)]
struct Text(Option<String>);

fn not_finite_text(number: f64) -> &'static str {
    if number.is_nan() {
        ".nan"
    } else if number > 0.0 {
        ".inf"
    } else {
        "-.inf"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Map<String, Value>, YamlError> {
        read_map(text, &["run_id"])
    }

    #[test]
    fn aliases_are_followed_and_counted() {
        let map = read("a: &x [1, 2]\nb: *x\n").unwrap();
        assert_eq!(map["a"], map["b"]);

        let mut lines = vec!["a0: &a0 [x, x, x, x, x, x, x, x, x, x]".to_owned()];
        for level in 1..9 {
            let inner = vec![format!("*a{}", level - 1); 10].join(", ");
            lines.push(format!("a{level}: &a{level} [{inner}]"));
        }
        let bomb = lines.join("\n");
        assert!(matches!(read(&bomb), Err(YamlError::Syntax(_))));
    }

    #[test]
    fn a_long_anchor_repeated_is_counted_in_bytes() {
        let text = format!(
            "a: &x {}\nb: [{}]\n",
            "y".repeat(1 << 20),
            vec!["*x"; 1000].join(",")
        );
        assert!(read(&text).is_err());
    }

    #[test]
    fn depth_is_bounded() {
        let deep = format!("a: {}{}", "[".repeat(200), "]".repeat(200));
        assert!(matches!(read(&deep), Err(YamlError::Syntax(_))));
        assert!(matches!(
            read(&"[".repeat(1 << 20)),
            Err(YamlError::TooDeep)
        ));
    }

    #[test]
    fn named_scalars_stay_texts() {
        let map = read("run_id: 12345e10\nother: 12345e10\n").unwrap();
        assert_eq!(map["run_id"], "12345e10");
        assert!(map["other"].is_f64());
        assert_eq!(read("run_id: null\n").unwrap()["run_id"], Value::Null);
    }

    #[test]
    fn tags_build_nothing() {
        let map = read("a: !!python/object/apply:os.system ['id']\n").unwrap();
        assert_eq!(map["a"], serde_json::json!(["id"]));
        assert!(read("a: !thing x\n").is_err());
        assert!(read("a: !thing [x]\n").is_err());
    }

    #[test]
    fn keys_that_are_no_texts() {
        let map = read("a: {1: x, true: y, null: z}\n").unwrap();
        let keys: Vec<&String> = map["a"].as_object().unwrap().keys().collect();
        assert_eq!(keys, ["1", "true", "null"]);
        assert!(read("? [1, 2]\n: x\n").is_err());
    }

    /// Each of these is quadratic or worse for a careless reader.
    #[test]
    fn long_hostile_texts_end_soon() {
        let many = 50_000;
        for text in [
            "- ".repeat(many),
            "? ".repeat(many),
            "a: ".repeat(many),
            "{a: ".repeat(900),
            "[".repeat(900),
            format!("a: {}", "&x ".repeat(many)),
            (0..many)
                .map(|index| format!("- &a{index} x"))
                .collect::<Vec<_>>()
                .join("\n"),
            format!("a: \"{}\"", "\\n".repeat(many)),
            format!("{}: x", "k".repeat(many)),
            format!(
                "a: &x [{}]\nb: [{}]",
                "1,".repeat(2_000),
                "*x,".repeat(2_000)
            ),
        ] {
            let _ = read(&text);
        }
    }

    #[test]
    fn what_is_no_map() {
        assert!(matches!(read(""), Err(YamlError::Empty)));
        assert!(matches!(read("# only a comment\n"), Err(YamlError::Empty)));
        assert!(matches!(
            read("[1]"),
            Err(YamlError::NotAMap { found: "a list" })
        ));
        assert!(matches!(
            read("a: 1\n---\nb: 2\n"),
            Err(YamlError::Syntax(_))
        ));
        assert!(read("a: &a [*a]\n").is_err());
    }
}
