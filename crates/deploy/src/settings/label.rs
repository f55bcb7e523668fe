//! Labels of objects, which others choose them by.

use std::str::FromStr;

use super::SettingsError;
use crate::names::ObjectName;
use crate::objects::{APPLICATION, INSTANCE, MANAGED_BY};

/// A label: `KEY=VALUE`, as Kubernetes takes them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Label {
    /// The key, perhaps with a prefix: `example.com/team`.
    pub key: String,
    /// The value, which may be empty.
    pub value: String,
}

/// The most bytes of a name and of a value.
const LONGEST: usize = 63;

impl FromStr for Label {
    type Err = SettingsError;

    fn from_str(text: &str) -> Result<Self, SettingsError> {
        let read = || {
            let (key, value) = text.split_once('=')?;
            let (prefix, name) = match key.split_once('/') {
                Some((prefix, name)) => (Some(prefix), name),
                None => (None, key),
            };
            let is_prefix = |prefix: &str| prefix.parse::<ObjectName>().is_ok();
            (prefix.is_none_or(is_prefix) && is_name(name) && (value.is_empty() || is_name(value)))
                .then(|| Self {
                    key: key.to_owned(),
                    value: value.to_owned(),
                })
        };
        read().ok_or_else(|| SettingsError::Label(text.to_owned()))
    }
}

fn is_name(text: &str) -> bool {
    let ends_well = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_alphanumeric);
    let bytes = text.as_bytes();
    bytes.len() <= LONGEST
        && ends_well(bytes.first())
        && ends_well(bytes.last())
        && bytes
            .iter()
            .all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(byte))
}

/// Whether each key is there once, and is none that every object has.
pub(super) fn check(labels: &[Label]) -> Result<(), SettingsError> {
    for (index, Label { key, .. }) in labels.iter().enumerate() {
        let is_ours = [APPLICATION, INSTANCE, MANAGED_BY].contains(&key.as_str());
        if is_ours || labels[..index].iter().any(|other| other.key == *key) {
            return Err(SettingsError::LabelTaken(key.clone()));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_those_of_kubernetes() {
        for good in ["release=prometheus", "example.com/team=A_b.c", "empty="] {
            let label: Label = good.parse().unwrap();
            assert_eq!(format!("{}={}", label.key, label.value), good);
        }
        for bad in [
            "",
            "release",
            "=x",
            "a=b c",
            "-a=b",
            "a=-",
            "A.com/x=y",
            "a/b/c=d",
        ] {
            assert_eq!(
                bad.parse::<Label>(),
                Err(SettingsError::Label(bad.to_owned()))
            );
        }
        let twice: Vec<Label> = ["a=1", "a=2"].map(|text| text.parse().unwrap()).into();
        assert_eq!(
            check(&twice),
            Err(SettingsError::LabelTaken("a".to_owned()))
        );
    }
}
