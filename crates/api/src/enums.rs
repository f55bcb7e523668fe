//! The enumerations of the API. A request may name a value or give its number; what is no value of
//! the enumeration counts as not set, as protobuf's JSON mapping has it.

use std::fmt;

use serde::de::IgnoredAny;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

macro_rules! enumeration {
    ($(#[$about:meta])* $name:ident { $($(#[$what:meta])* $variant:ident = $number:literal $text:literal,)+ }) => {
        $(#[$about])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum $name { $($(#[$what])* $variant,)+ }

        impl $name {
            /// Every value, in the order of its number.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)+];

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
            fn of_name(name: &str) -> Option<Self> { Self::from_name(name) }
            fn of_number(number: i64) -> Option<Self> { Self::from_number(number) }
        }
    };
}

/// What [`known`] reads.
pub(crate) trait Enumeration: Sized {
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

/// Reads an enumeration by name or number; anything else is `None`.
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
        Some(Sent::Name(name)) => {
            E::of_name(&name).or_else(|| name.parse().ok().and_then(E::of_number))
        }
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
