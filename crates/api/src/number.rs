//! Reading numbers and absent values the way protobuf's JSON mapping allows them.
//!
//! An `int64` may be a number, a string of digits or a number with a zero fraction; a text field
//! that holds a number (`version`) may be either too; `null` means "not set".

use serde::{Deserialize, Deserializer, de::Error};

/// A JSON number or a JSON string.
#[derive(Deserialize)]
#[serde(untagged)]
enum NumberOrText {
    Integer(i64),
    Float(f64),
    Text(String),
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
