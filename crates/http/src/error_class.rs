//! MLflow's finer classes of errors: `error_class`, and the `sqlstate` that goes with each.
//!
//! Source: the client-side tables of `mlflow/error_classification.py` (MLflow 3.17). Only the
//! classes that a code leads to, and the one that scoring adds.

use mlrs_api::ErrorCode;

/// A finer class of an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(
    missing_docs,
    reason = "each variant is the class that `as_str` spells"
)]
pub enum ErrorClass {
    ClientInternalError,
    FeatureDisabled,
    InvalidParameterValue,
    PermissionDenied,
    ResourceAlreadyExists,
    ResourceNotFound,
    SchemaEnforcementFailed,
}

impl ErrorClass {
    /// The class that MLflow derives from a code, where it derives one.
    pub const fn of(code: ErrorCode) -> Option<Self> {
        match code {
            ErrorCode::BadRequest | ErrorCode::InvalidParameterValue => {
                Some(Self::InvalidParameterValue)
            }
            ErrorCode::CustomerUnauthorized | ErrorCode::PermissionDenied => {
                Some(Self::PermissionDenied)
            }
            ErrorCode::EndpointNotFound | ErrorCode::NotFound | ErrorCode::ResourceDoesNotExist => {
                Some(Self::ResourceNotFound)
            }
            ErrorCode::InternalError
            | ErrorCode::InvalidState
            | ErrorCode::TemporarilyUnavailable => Some(Self::ClientInternalError),
            ErrorCode::FeatureDisabled => Some(Self::FeatureDisabled),
            ErrorCode::ResourceAlreadyExists => Some(Self::ResourceAlreadyExists),
            _ => None,
        }
    }

    /// The class as it stands in an answer.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ClientInternalError => "CLIENT_INTERNAL_ERROR",
            Self::FeatureDisabled => "FEATURE_DISABLED",
            Self::InvalidParameterValue => "INVALID_PARAMETER_VALUE",
            Self::PermissionDenied => "PERMISSION_DENIED",
            Self::ResourceAlreadyExists => "RESOURCE_ALREADY_EXISTS",
            Self::ResourceNotFound => "RESOURCE_NOT_FOUND",
            Self::SchemaEnforcementFailed => "SCHEMA_ENFORCEMENT_FAILED",
        }
    }

    /// The `sqlstate` that goes with it.
    pub const fn sqlstate(self) -> &'static str {
        match self {
            Self::ClientInternalError => "XXM00",
            Self::SchemaEnforcementFailed => "KAM01",
            Self::FeatureDisabled
            | Self::InvalidParameterValue
            | Self::PermissionDenied
            | Self::ResourceAlreadyExists
            | Self::ResourceNotFound => "KAM00",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statuses_and_classes_are_those_of_mlflow() {
        let table: Vec<String> = ErrorCode::ALL
            .iter()
            .map(|code| {
                let class = ErrorClass::of(*code);
                let (name, state) =
                    class.map_or(("-", "-"), |class| (class.as_str(), class.sqlstate()));
                format!("{} {} {name} {state}", code.name(), code.http_status())
            })
            .collect();
        insta::assert_snapshot!(table.join("\n"));
    }
}
