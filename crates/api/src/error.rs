//! The error body of the MLflow REST API and its closed set of error codes.
//!
//! The mapping to HTTP is that of `mlflow.exceptions.ERROR_CODE_TO_HTTP_STATUS`: a code that is not
//! in that table answers 500. Codes of hosted products that MLflow's own server never sends are
//! left out; [`ErrorBody`] keeps the text of a code it does not know.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::number::nullable;

macro_rules! error_codes {
    ($($variant:ident $name:literal $status:literal,)+) => {
        /// An error code of the MLflow REST API.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum ErrorCode {
            $(#[doc = concat!("`", $name, "`, HTTP ", stringify!($status), ".")] $variant,)+
        }

        impl ErrorCode {
            /// Every code, in the order of the table.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)+];

            /// The name on the wire, such as `RESOURCE_DOES_NOT_EXIST`.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)+ }
            }

            /// The HTTP status that MLflow answers with.
            pub const fn http_status(self) -> u16 {
                match self { $(Self::$variant => $status,)+ }
            }

            /// The code with this name on the wire, if it is one of the set.
            pub fn from_name(name: &str) -> Option<Self> {
                match name { $($name => Some(Self::$variant),)+ _ => None }
            }
        }
    };
}

error_codes! {
    InternalError "INTERNAL_ERROR" 500,
    InvalidState "INVALID_STATE" 500,
    DataLoss "DATA_LOSS" 500,
    IoError "IO_ERROR" 500,
    FeatureDisabled "FEATURE_DISABLED" 500,
    InvalidStateTransition "INVALID_STATE_TRANSITION" 500,
    CouldNotAcquireLock "COULD_NOT_ACQUIRE_LOCK" 500,
    MalformedRequest "MALFORMED_REQUEST" 500,
    MaxListSizeExceeded "MAX_LIST_SIZE_EXCEEDED" 500,
    MaxReadSizeExceeded "MAX_READ_SIZE_EXCEEDED" 500,
    QuotaExceeded "QUOTA_EXCEEDED" 500,
    ResourceLimitExceeded "RESOURCE_LIMIT_EXCEEDED" 500,
    ServiceUnderMaintenance "SERVICE_UNDER_MAINTENANCE" 500,
    UnparseableHttpError "UNPARSEABLE_HTTP_ERROR" 500,
    NotImplemented "NOT_IMPLEMENTED" 501,
    TemporarilyUnavailable "TEMPORARILY_UNAVAILABLE" 503,
    DeadlineExceeded "DEADLINE_EXCEEDED" 504,
    RequestLimitExceeded "REQUEST_LIMIT_EXCEEDED" 429,
    ResourceExhausted "RESOURCE_EXHAUSTED" 429,
    Cancelled "CANCELLED" 499,
    Aborted "ABORTED" 409,
    ResourceConflict "RESOURCE_CONFLICT" 409,
    AlreadyExists "ALREADY_EXISTS" 409,
    NotFound "NOT_FOUND" 404,
    EndpointNotFound "ENDPOINT_NOT_FOUND" 404,
    ResourceDoesNotExist "RESOURCE_DOES_NOT_EXIST" 404,
    PermissionDenied "PERMISSION_DENIED" 403,
    CustomerUnauthorized "CUSTOMER_UNAUTHORIZED" 401,
    Unauthenticated "UNAUTHENTICATED" 401,
    BadRequest "BAD_REQUEST" 400,
    ResourceAlreadyExists "RESOURCE_ALREADY_EXISTS" 400,
    InvalidParameterValue "INVALID_PARAMETER_VALUE" 400,
}

impl fmt::Display for ErrorCode {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}

/// The body of an answer that is not 200: `{"error_code": …, "message": …}`.
///
/// Newer servers add `sqlstate` and `error_class`; clients decide by these two fields only.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ErrorBody {
    /// The code as sent; [`ErrorBody::code`] is its meaning.
    pub error_code: String,
    /// What happened, for people. Empty when the server sent none.
    #[serde(default, deserialize_with = "nullable")]
    pub message: String,
}

impl ErrorBody {
    /// An error with one of the known codes.
    pub fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        Self {
            error_code: code.name().to_owned(),
            message: message.into(),
        }
    }

    /// The code, when it is one of the known set.
    pub fn code(&self) -> Option<ErrorCode> {
        ErrorCode::from_name(&self.error_code)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_leads_back_to_its_code() {
        for code in ErrorCode::ALL {
            assert_eq!(ErrorCode::from_name(code.name()), Some(*code));
            assert!((400..600).contains(&code.http_status()), "{code}");
        }
        assert_eq!(ErrorCode::from_name("resource_does_not_exist"), None);
    }

    #[test]
    fn an_already_existing_resource_is_400_and_an_invalid_state_500() {
        assert_eq!(ErrorCode::ResourceAlreadyExists.http_status(), 400);
        assert_eq!(ErrorCode::InvalidState.http_status(), 500);
    }

    #[test]
    fn a_body_keeps_an_unknown_code_and_ignores_unknown_fields() {
        let body: ErrorBody = serde_json::from_str(
            r#"{"error_code":"TABLE_DOES_NOT_EXIST","message":null,"sqlstate":"KAM00"}"#,
        )
        .unwrap();
        assert_eq!(body.error_code, "TABLE_DOES_NOT_EXIST");
        assert_eq!(body.code(), None);
        assert_eq!(body.message, "");
    }

    #[test]
    fn a_body_without_a_code_is_not_an_error_body() {
        assert!(serde_json::from_str::<ErrorBody>(r#"{"detail":"x"}"#).is_err());
    }
}
