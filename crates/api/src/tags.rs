//! Keys with text values, as on experiments, runs, models and versions.

use serde::{Deserialize, Serialize};

use crate::number::nullable;

/// A key and its text. Params have the same form.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Tag {
    /// The name of the tag.
    #[serde(deserialize_with = "nullable")]
    pub key: String,
    /// Its text.
    #[serde(deserialize_with = "nullable")]
    pub value: String,
}

impl Tag {
    /// A tag.
    pub fn new(key: impl Into<String>, value: impl Into<String>) -> Self {
        Self {
            key: key.into(),
            value: value.into(),
        }
    }
}

/// A key and its text as a request has them, which may lack either.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct SentTag {
    /// The name of the tag.
    pub key: Option<String>,
    /// Its text; absent means empty.
    pub value: Option<String>,
}

impl From<Tag> for SentTag {
    fn from(tag: Tag) -> Self {
        Self {
            key: Some(tag.key),
            value: Some(tag.value),
        }
    }
}

impl From<SentTag> for Tag {
    fn from(sent: SentTag) -> Self {
        Self::new(sent.key.unwrap_or_default(), sent.value.unwrap_or_default())
    }
}
