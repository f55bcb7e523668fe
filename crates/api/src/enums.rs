//! The enumerations of the API: a value has a name and a number, and either may be sent.
//!
//! In a response, what is no value of the enumeration counts as not set (`known`): newer servers
//! may have more values. In a request it is an error (`allowed`): MLflow's protobuf mapping drops
//! it and responds 200 as if nothing had been asked.

use std::fmt;

use serde::de::{Error, IgnoredAny};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::number::NumberOrText;

macro_rules! enumeration {
    ($(#[$about:meta])* $name:ident { $($(#[$what:meta])* $variant:ident = $number:literal $text:literal,)+ }) => {
        $(#[$about])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum $name { $($(#[$what])* $variant,)+ }

        impl $name {
            /// Every value, in the order of its number.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)+];

            /// The name of every value, in the same order.
            pub const NAMES: &'static [&'static str] = &[$($text,)+];

            /// The name on the wire.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $text,)+ }
            }

            /// The number on the wire.
            pub const fn number(self) -> i32 {
                match self { $(Self::$variant => $number,)+ }
            }

            /// The value with this name.
            pub fn from_name(name: &str) -> Option<Self> {
                match name { $($text => Some(Self::$variant),)+ _ => None }
            }

            /// The value with this number.
            pub fn from_number(number: i64) -> Option<Self> {
                match number { $($number => Some(Self::$variant),)+ _ => None }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str(self.name())
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, target: S) -> Result<S::Ok, S::Error> {
                target.serialize_str(self.name())
            }
        }

        impl Enumeration for $name {
            const NAMES: &'static [&'static str] = Self::NAMES;
            fn of_name(name: &str) -> Option<Self> { Self::from_name(name) }
            fn of_number(number: i64) -> Option<Self> { Self::from_number(number) }
        }
    };
}

/// What [`known`] and [`allowed`] read.
pub(crate) trait Enumeration: Sized {
    /// The names of all values.
    const NAMES: &'static [&'static str];
    /// The value with this name.
    fn of_name(name: &str) -> Option<Self>;
    /// The value with this number.
    fn of_number(number: i64) -> Option<Self>;
}

enumeration! {
    /// What a run is doing, or how it ended.
    RunStatus {
        /// It logs.
        Running = 1 "RUNNING",
        /// It is to start later.
        Scheduled = 2 "SCHEDULED",
        /// It ended well.
        Finished = 3 "FINISHED",
        /// It ended with an error.
        Failed = 4 "FAILED",
        /// It was stopped.
        Killed = 5 "KILLED",
    }
}

enumeration! {
    /// Which lifecycle stages a search looks at.
    ViewType {
        /// What is not deleted.
        ActiveOnly = 1 "ACTIVE_ONLY",
        /// What is deleted and can be restored.
        DeletedOnly = 2 "DELETED_ONLY",
        /// Both.
        All = 3 "ALL",
    }
}

enumeration! {
    /// Whether something is deleted; what is deleted can be restored.
    LifecycleStage {
        /// It is there.
        Active = 1 "active",
        /// It is deleted.
        Deleted = 2 "deleted",
    }
}

enumeration! {
    /// How far a logged model has come.
    LoggedModelStatus {
        /// Not said.
        Unspecified = 0 "LOGGED_MODEL_STATUS_UNSPECIFIED",
        /// Its files are being uploaded.
        Pending = 1 "LOGGED_MODEL_PENDING",
        /// It is complete.
        Ready = 2 "LOGGED_MODEL_READY",
        /// Its files are not complete, and will not be.
        UploadFailed = 3 "LOGGED_MODEL_UPLOAD_FAILED",
    }
}

/// Reads an enumeration of a request by name or number; `null` is `None`.
///
/// Anything else is serde's error for an unknown variant, which lists the names.
pub(crate) fn allowed<'de, D, E>(source: D) -> Result<Option<E>, D::Error>
where
    D: Deserializer<'de>,
    E: Enumeration,
{
    let (found, text) = match Option::<NumberOrText>::deserialize(source)? {
        None => return Ok(None),
        Some(NumberOrText::Integer(number)) => (E::of_number(number), number.to_string()),
        Some(NumberOrText::Float(number)) => (None, number.to_string()),
        Some(NumberOrText::Text(text)) => (by_name(&text), text),
    };
    match found {
        Some(value) => Ok(Some(value)),
        None => Err(D::Error::unknown_variant(&text, E::NAMES)),
    }
}

/// The value with this name, or with this number written as a text.
fn by_name<E: Enumeration>(text: &str) -> Option<E> {
    E::of_name(text).or_else(|| text.parse().ok().and_then(E::of_number))
}

/// Reads an enumeration of a response by name or number; anything else is `None`.
pub(crate) fn known<'de, D, E>(source: D) -> Result<Option<E>, D::Error>
where
    D: Deserializer<'de>,
    E: Enumeration,
{
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Sent {
        Number(i64),
        Name(String),
        Other(IgnoredAny),
    }
    Ok(match Option::<Sent>::deserialize(source)? {
        Some(Sent::Number(number)) => E::of_number(number),
        Some(Sent::Name(name)) => by_name(&name),
        Some(Sent::Other(_)) | None => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Deserialize)]
    struct Sample {
        #[serde(default, deserialize_with = "known")]
        status: Option<RunStatus>,
    }

    #[derive(Deserialize)]
    struct Request {
        #[serde(default, deserialize_with = "allowed")]
        status: Option<RunStatus>,
    }

    #[test]
    fn a_request_with_an_unknown_value_is_refused_with_the_allowed_ones() {
        for (text, expected) in [
            (r#"{"status":"FAILED"}"#, Some(RunStatus::Failed)),
            (r#"{"status":4}"#, Some(RunStatus::Failed)),
            (r#"{"status":"4"}"#, Some(RunStatus::Failed)),
            (r#"{"status":null}"#, None),
            ("{}", None),
        ] {
            let request: Request = serde_json::from_str(text).unwrap();
            assert_eq!(request.status, expected, "{text}");
        }
        for value in ["\"SUCCESS\"", "\"finished\"", "\"\"", "99", "4.5", "0"] {
            let text = format!(r#"{{"status":{value}}}"#);
            let error = serde_json::from_str::<Request>(&text).err().unwrap();
            let allowed = "expected one of `RUNNING`, `SCHEDULED`, `FINISHED`, `FAILED`, `KILLED`";
            assert!(error.to_string().contains(allowed), "{text}: {error}");
        }
        for value in ["{}", "[]", "true"] {
            let text = format!(r#"{{"status":{value}}}"#);
            assert!(serde_json::from_str::<Request>(&text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_value_is_read_by_name_and_number_and_anything_else_is_not_set() {
        for (text, expected) in [
            (r#"{"status":"FAILED"}"#, Some(RunStatus::Failed)),
            (r#"{"status":4}"#, Some(RunStatus::Failed)),
            (r#"{"status":"4"}"#, Some(RunStatus::Failed)),
            (r#"{"status":"BAD"}"#, None),
            (r#"{"status":9}"#, None),
            (r#"{"status":null}"#, None),
            (r#"{"status":{}}"#, None),
            ("{}", None),
        ] {
            let sample: Sample = serde_json::from_str(text).unwrap();
            assert_eq!(sample.status, expected, "{text}");
        }
    }

    #[test]
    fn every_name_and_number_leads_back() {
        for status in RunStatus::ALL {
            assert_eq!(RunStatus::from_name(status.name()), Some(*status));
            assert_eq!(
                RunStatus::from_number(i64::from(status.number())),
                Some(*status)
            );
        }
    }
}
