//! What one `runs/log-batch` request may hold.
//!
//! The limits are MLflow's (`mlflow/utils/validation.py`, 3.17): 1000 metrics, 100 params, 100 tags,
//! 1000 values of all kinds, a million bytes.

use std::collections::HashMap;

use mlrs_api::Tag;
use mlrs_api::metrics::{Metric, Param};

/// Most values of all kinds; so many metrics may be in a request.
pub(super) const MOST_VALUES: usize = 1000;
/// Most params, and most tags.
const MOST_PARAMS_OR_TAGS: usize = 100;
/// Most bytes; what is around the values counts as well.
const MOST_BYTES: usize = 900_000;
/// What a value needs beside its texts: names of fields, numbers, punctuation.
const FRAME_BYTES: usize = 160;
/// What a text needs beside itself that few metrics have: `"dataset_digest":"",`.
const FIELD_BYTES: usize = 20;

/// Something that a run logs.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Value {
    Metric(Metric),
    Param(Param),
    Tag(Tag),
}

impl Value {
    /// Its name.
    pub(super) fn key(&self) -> &str {
        match self {
            Self::Metric(metric) => &metric.key,
            Self::Param(tag) | Self::Tag(tag) => &tag.key,
        }
    }

    /// About how many bytes it needs in a request, never too few.
    pub(super) fn bytes(&self) -> usize {
        let texts = match self {
            Self::Metric(metric) => {
                let more = [
                    &metric.model_id,
                    &metric.dataset_name,
                    &metric.dataset_digest,
                ];
                let more = more.into_iter().flatten();
                escaped(&metric.key) + more.map(|text| escaped(text) + FIELD_BYTES).sum::<usize>()
            }
            Self::Param(tag) | Self::Tag(tag) => escaped(&tag.key) + escaped(&tag.value),
        };
        texts + FRAME_BYTES
    }
}

/// The bytes of a text inside of JSON.
fn escaped(text: &str) -> usize {
    text.bytes()
        .map(|byte| match byte {
            0..0x20 => 6,
            b'"' | b'\\' => 2,
            _ => 1,
        })
        .sum()
}

/// Values that fit into one request.
#[derive(Debug, Default)]
pub(super) struct Batch {
    values: Vec<Value>,
    /// Where the params and tags are among the values.
    params: HashMap<String, usize>,
    tags: HashMap<String, usize>,
    bytes: usize,
}

impl Batch {
    /// Adds a value, or gives it back when it needs another request. An empty batch takes every value.
    ///
    /// A tag that is there already gets the new text. A param that is there with another text does
    /// not fit: servers refuse that, and are to refuse only that one.
    pub(super) fn add(&mut self, value: Value) -> Option<Value> {
        let bytes = value.bytes();
        let full = self.values.len() >= MOST_VALUES
            || (!self.values.is_empty() && self.bytes + bytes > MOST_BYTES);
        if full {
            return Some(value);
        }
        let place = self.values.len();
        match &value {
            Value::Metric(_) => {}
            Value::Tag(tag) => match self.tags.get(&tag.key) {
                Some(known) => {
                    self.values[*known] = value;
                    self.bytes += bytes;
                    return None;
                }
                None if self.tags.len() >= MOST_PARAMS_OR_TAGS => return Some(value),
                None => drop(self.tags.insert(tag.key.clone(), place)),
            },
            Value::Param(param) => match self.params.get(&param.key) {
                Some(known) if self.values[*known] == value => return None,
                Some(_) => return Some(value),
                None if self.params.len() >= MOST_PARAMS_OR_TAGS => return Some(value),
                None => drop(self.params.insert(param.key.clone(), place)),
            },
        }
        self.bytes += bytes;
        self.values.push(value);
        None
    }

    /// The values in the order in which they came.
    pub(super) fn values(&self) -> &[Value] {
        &self.values
    }

    /// The values.
    pub(super) fn into_values(self) -> Vec<Value> {
        self.values
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn metric(step: i64) -> Value {
        Value::Metric(Metric {
            key: "m".to_owned(),
            step,
            ..Metric::default()
        })
    }

    fn filled(values: impl IntoIterator<Item = Value>) -> usize {
        let mut batch = Batch::default();
        for value in values {
            if batch.add(value).is_some() {
                break;
            }
        }
        batch.values().len()
    }

    #[test]
    fn the_limits_are_those_of_mlflow() {
        assert_eq!(filled((0..5000).map(metric)), 1000);
        let tags = |length: usize| {
            (0..5000).map(move |key| Value::Tag(Tag::new(key.to_string(), "x".repeat(length))))
        };
        assert_eq!(filled(tags(1)), 100);
        let params = (0..5000).map(|key| Value::Param(Param::new(key.to_string(), "x")));
        assert_eq!(filled(params), 100);
        let mixed = tags(1).take(100).chain((0..5000).map(metric));
        assert_eq!(filled(mixed), 1000);
        assert!((80..100).contains(&filled(tags(10_000))));
        // One that is too large for any request goes alone, and is refused alone.
        assert_eq!(filled(tags(2_000_000)), 1);
    }

    #[test]
    fn the_size_is_never_underestimated() {
        for text in ["plain", "a\u{0}\"\\", "ünï 名前", &"\n".repeat(100)] {
            let tag = Tag::new(text, text);
            let written = serde_json::to_string(&tag).unwrap().len();
            assert!(Value::Tag(tag).bytes() >= written, "{text}");
        }
        let long = Metric {
            key: "\u{1}".repeat(250),
            value: f64::MIN_POSITIVE,
            timestamp: i64::MIN,
            step: i64::MIN,
            model_id: Some("m-".repeat(17)),
            dataset_name: Some("\"".repeat(500)),
            dataset_digest: Some("d".repeat(36)),
            ..Metric::default()
        };
        let written = serde_json::to_string(&long).unwrap().len();
        assert!(Value::Metric(long).bytes() >= written);
    }

    #[test]
    fn of_a_tag_the_last_text_counts_and_a_param_that_changes_goes_apart() {
        let mut batch = Batch::default();
        let tag = |value: &str| Value::Tag(Tag::new("k", value));
        let param = |value: &str| Value::Param(Param::new("k", value));
        for value in [tag("1"), param("1"), tag("2"), param("1")] {
            assert_eq!(batch.add(value), None);
        }
        assert_eq!(batch.add(param("2")), Some(param("2")));
        assert_eq!(batch.values(), [tag("2"), param("1")]);
    }
}
