//! Reading numbers and absent values the way protobuf's JSON mapping allows them.
//!
//! An `int64` may be a number, a string of digits or a number with a zero fraction; a text field
//! that holds a number (`version`) may be either too; `null` means "not set".

use std::fmt;

use serde::de::{Error, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};

/// A JSON number or a JSON string.
pub(crate) enum NumberOrText {
    /// An integer of 64 bits.
    Integer(i64),
    /// Any other number.
    Float(f64),
    /// A text.
    Text(String),
}

impl<'de> Deserialize<'de> for NumberOrText {
    fn deserialize<D: Deserializer<'de>>(source: D) -> Result<Self, D::Error> {
        source.deserialize_any(NumberOrTextVisitor)
    }
}

/// By hand, because requests hold thousands of these: a derived untagged enum copies each value
/// before it looks at it.
struct NumberOrTextVisitor;

impl Visitor<'_> for NumberOrTextVisitor {
    type Value = NumberOrText;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a number or a string")
    }

    fn visit_i64<E>(self, value: i64) -> Result<NumberOrText, E> {
        Ok(NumberOrText::Integer(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<NumberOrText, E> {
        Ok(i64::try_from(value).map_or(NumberOrText::Float(value as f64), NumberOrText::Integer))
    }

    fn visit_f64<E>(self, value: f64) -> Result<NumberOrText, E> {
        Ok(NumberOrText::Float(value))
    }

    fn visit_str<E>(self, text: &str) -> Result<NumberOrText, E> {
        Ok(NumberOrText::Text(text.to_owned()))
    }

    fn visit_string<E>(self, text: String) -> Result<NumberOrText, E> {
        Ok(NumberOrText::Text(text))
    }
}

/// Reads an `int64` that may be absent, `null`, a number or a string.
pub fn optional_int64<'de, D: Deserializer<'de>>(source: D) -> Result<Option<i64>, D::Error> {
    match Option::<NumberOrText>::deserialize(source)? {
        None => Ok(None),
        Some(NumberOrText::Integer(value)) => Ok(Some(value)),
        Some(NumberOrText::Float(value)) => whole(value).map(Some).ok_or_else(|| {
            D::Error::custom(format_args!("`{value}` is not an integer of 64 bits"))
        }),
        Some(NumberOrText::Text(text)) => {
            text.trim().parse().map(Some).map_err(|_| {
                D::Error::custom(format_args!("`{text}` is not an integer of 64 bits"))
            })
        }
    }
}

/// A double that may be absent: a number, a string of one, or `NaN`, `Infinity`, `-Infinity` as
/// strings, which JSON has no numbers for.
pub mod double {
    use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error};

    use super::NumberOrText;

    /// Reads it.
    pub fn deserialize<'de, D: Deserializer<'de>>(source: D) -> Result<Option<f64>, D::Error> {
        Ok(match Option::<NumberOrText>::deserialize(source)? {
            None => None,
            Some(NumberOrText::Integer(value)) => Some(value as f64),
            Some(NumberOrText::Float(value)) => Some(value),
            Some(NumberOrText::Text(text)) => Some(parse(&text).ok_or_else(|| {
                D::Error::custom(format_args!("`{text}` is not a number of 64 bits"))
            })?),
        })
    }

    fn parse(text: &str) -> Option<f64> {
        match text {
            "NaN" => Some(f64::NAN),
            "Infinity" => Some(f64::INFINITY),
            "-Infinity" => Some(f64::NEG_INFINITY),
            _ => text.trim().parse().ok(),
        }
    }

    /// Writes it.
    #[expect(
        clippy::ref_option,
        reason = "serde calls it with a reference to the field"
    )]
    pub fn serialize<S: Serializer>(value: &Option<f64>, target: S) -> Result<S::Ok, S::Error> {
        match *value {
            None => target.serialize_none(),
            Some(value) if value.is_nan() => target.serialize_str("NaN"),
            Some(f64::INFINITY) => target.serialize_str("Infinity"),
            Some(f64::NEG_INFINITY) => target.serialize_str("-Infinity"),
            Some(value) => value.serialize(target),
        }
    }
}

/// A double that is always there; absent is 0.
pub mod plain_double {
    use serde::{Deserializer, Serializer};

    /// Reads it.
    pub fn deserialize<'de, D: Deserializer<'de>>(source: D) -> Result<f64, D::Error> {
        Ok(super::double::deserialize(source)?.unwrap_or_default())
    }

    /// Writes it.
    #[expect(
        clippy::trivially_copy_pass_by_ref,
        reason = "serde calls it with a reference"
    )]
    pub fn serialize<S: Serializer>(value: &f64, target: S) -> Result<S::Ok, S::Error> {
        super::double::serialize(&Some(*value), target)
    }
}

/// Reads a truth value that may be absent; in a query it is a text.
pub fn optional_bool<'de, D: Deserializer<'de>>(source: D) -> Result<Option<bool>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Sent {
        Truth(bool),
        Text(String),
    }
    match Option::<Sent>::deserialize(source)? {
        None => Ok(None),
        Some(Sent::Truth(truth)) => Ok(Some(truth)),
        Some(Sent::Text(text)) if text.eq_ignore_ascii_case("true") => Ok(Some(true)),
        Some(Sent::Text(text)) if text.eq_ignore_ascii_case("false") => Ok(Some(false)),
        Some(Sent::Text(text)) => Err(D::Error::custom(format_args!(
            "`{text}` is neither `true` nor `false`"
        ))),
    }
}

/// Reads an `int64` that is 0 when absent.
pub fn int64<'de, D: Deserializer<'de>>(source: D) -> Result<i64, D::Error> {
    Ok(optional_int64(source)?.unwrap_or_default())
}

/// Reads a list that a query with one value has as a text.
pub fn one_or_many<'de, D: Deserializer<'de>>(source: D) -> Result<Vec<String>, D::Error> {
    source.deserialize_any(TextsVisitor)
}

/// By hand, so that the error says which item is no text.
struct TextsVisitor;

impl<'de> Visitor<'de> for TextsVisitor {
    type Value = Vec<String>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a list of strings")
    }

    fn visit_unit<E>(self) -> Result<Vec<String>, E> {
        Ok(Vec::new())
    }

    fn visit_str<E>(self, text: &str) -> Result<Vec<String>, E> {
        Ok(vec![text.to_owned()])
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Vec<String>, A::Error> {
        let mut texts = Vec::new();
        while let Some(text) = items.next_element()? {
            texts.push(text);
        }
        Ok(texts)
    }
}

/// Reads a text that some servers send as a number, such as a model version.
pub fn text_or_number<'de, D: Deserializer<'de>>(source: D) -> Result<String, D::Error> {
    match Option::<NumberOrText>::deserialize(source)? {
        None => Ok(String::new()),
        Some(NumberOrText::Integer(value)) => Ok(value.to_string()),
        Some(NumberOrText::Float(value)) => {
            Ok(whole(value).map_or_else(|| value.to_string(), |integer| integer.to_string()))
        }
        Some(NumberOrText::Text(text)) => Ok(text),
    }
}

/// Reads `null` as the default value.
pub fn nullable<'de, D: Deserializer<'de>, T: Deserialize<'de> + Default>(
    source: D,
) -> Result<T, D::Error> {
    Ok(Option::<T>::deserialize(source)?.unwrap_or_default())
}

/// The integer that `value` is, within the range where a double is exact.
fn whole(value: f64) -> Option<i64> {
    const EXACT: f64 = 9_007_199_254_740_992.0;
    (value.fract() == 0.0 && value.abs() <= EXACT).then_some(value as i64)
}

#[cfg(test)]
mod tests {
    use serde::Serialize;

    use super::*;

    #[derive(Deserialize)]
    struct Sample {
        #[serde(default, deserialize_with = "optional_int64")]
        size: Option<i64>,
        #[serde(default, deserialize_with = "text_or_number")]
        version: String,
    }

    fn sample(text: &str) -> Result<Sample, serde_json::Error> {
        serde_json::from_str(text)
    }

    #[test]
    fn an_int64_may_be_a_number_a_string_null_or_absent() {
        for (text, expected) in [
            (r#"{"size":12}"#, Some(12)),
            (r#"{"size":"12"}"#, Some(12)),
            (r#"{"size":12.0}"#, Some(12)),
            (r#"{"size":"9223372036854775807"}"#, Some(i64::MAX)),
            (r#"{"size":null}"#, None),
            ("{}", None),
        ] {
            assert_eq!(sample(text).unwrap().size, expected, "{text}");
        }
    }

    #[test]
    fn what_is_no_integer_is_refused() {
        for text in [
            r#"{"size":1.5}"#,
            r#"{"size":"a"}"#,
            r#"{"size":1e300}"#,
            r#"{"size":[]}"#,
        ] {
            assert!(sample(text).is_err(), "{text}");
        }
    }

    #[derive(Deserialize)]
    struct Texts {
        #[serde(deserialize_with = "one_or_many")]
        ids: Vec<String>,
    }

    #[test]
    fn a_list_may_be_a_text_or_null_and_its_items_are_texts() {
        for (text, expected) in [
            (r#"{"ids":["1","2"]}"#, vec!["1", "2"]),
            (r#"{"ids":"1"}"#, vec!["1"]),
            (r#"{"ids":null}"#, vec![]),
            (r#"{"ids":[]}"#, vec![]),
        ] {
            let texts: Texts = serde_json::from_str(text).unwrap();
            assert_eq!(texts.ids, expected, "{text}");
        }
        for (text, expected) in [
            (r#"{"ids":[1]}"#, "integer `1`, expected a string"),
            (r#"{"ids":["1",null]}"#, "null, expected a string"),
            (r#"{"ids":1}"#, "integer `1`, expected a list of strings"),
            (r#"{"ids":{}}"#, "map, expected a list of strings"),
        ] {
            let error = serde_json::from_str::<Texts>(text).err().unwrap();
            assert!(error.to_string().contains(expected), "{text}: {error}");
        }
    }

    #[derive(Serialize, Deserialize)]
    struct Value {
        #[serde(with = "plain_double")]
        value: f64,
    }

    #[test]
    fn a_double_is_read_and_written_as_protobuf_does() {
        for (sent, answered) in [
            (r#"{"value":1}"#, r#"{"value":1.0}"#),
            (r#"{"value":"0.5"}"#, r#"{"value":0.5}"#),
            (r#"{"value":"NaN"}"#, r#"{"value":"NaN"}"#),
            (r#"{"value":"Infinity"}"#, r#"{"value":"Infinity"}"#),
            (r#"{"value":"-Infinity"}"#, r#"{"value":"-Infinity"}"#),
        ] {
            let read: Value = serde_json::from_str(sent).unwrap();
            assert_eq!(serde_json::to_string(&read).unwrap(), answered);
        }
        assert!(serde_json::from_str::<Value>(r#"{"value":"abc"}"#).is_err());
    }

    #[test]
    fn a_version_may_be_text_or_a_number() {
        for text in [
            r#"{"version":"3"}"#,
            r#"{"version":3}"#,
            r#"{"version":3.0}"#,
        ] {
            assert_eq!(sample(text).unwrap().version, "3", "{text}");
        }
    }
}
