//! Requests that got no prediction: why, and what the client is told.
//!
//! One table from the errors of the floors below to MLflow's codes. Nothing of a payload, and
//! nothing of an engine's inner failure, goes into an answer.

use std::error::Error;

use axum::response::{IntoResponse, Response};
use mlrs_backend::PredictError;
use mlrs_http::{ApiError, BodyError, ErrorClass, ErrorCode, RequestId};
use mlrs_payload::{DecodeError, DecodeErrorKind, EncodeError};
use mlrs_runtime::Rejection;

use crate::metrics::Reason;

/// A request that got no prediction.
#[derive(Debug)]
pub struct Refused {
    /// What the client is told.
    pub error: ApiError,
    /// The reason that is counted, where the server's state and not the request's content was it.
    pub reason: Option<Reason>,
    /// What only the log is told.
    detail: Option<String>,
}

impl Refused {
    fn because(reason: Reason, error: ApiError) -> Self {
        Self {
            error,
            reason: Some(reason),
            detail: None,
        }
    }

    fn failed(message: &'static str, detail: String) -> Self {
        let error = ApiError::new(ErrorCode::InternalError, message);
        Self {
            error,
            reason: None,
            detail: Some(detail),
        }
    }

    /// A panic while a request was decoded or answered.
    pub fn panicked() -> Self {
        Self::failed("the server failed on this request", "a panic".to_owned())
    }

    /// The outputs cannot be written in the form that the request asks for. The reason names
    /// outputs of the model, and is told.
    pub fn unwritable(error: &EncodeError) -> Self {
        let message = format!("The outputs cannot be written as `Accept` asks: {error}");
        ApiError::new(ErrorCode::BadRequest, message).into()
    }

    /// The answer, after the log was told what the client is not.
    pub fn answer(self, id: RequestId) -> Response {
        if let Some(detail) = &self.detail {
            tracing::error!(request_id = id.as_str(), detail, "a request failed");
        }
        self.error.with_request_id(id).into_response()
    }
}

impl From<ApiError> for Refused {
    fn from(error: ApiError) -> Self {
        Self {
            error,
            reason: None,
            detail: None,
        }
    }
}

impl From<BodyError> for Refused {
    fn from(error: BodyError) -> Self {
        let reason = match error {
            BodyError::TooLarge { .. } => Some(Reason::BodyTooLarge),
            BodyError::Overloaded => Some(Reason::Overloaded),
            BodyError::TimedOut => Some(Reason::Deadline),
            BodyError::Aborted => Some(Reason::ClientGone),
            BodyError::UnknownEncoding | BodyError::BadGzip => None,
        };
        Self {
            error: error.into(),
            reason,
            detail: None,
        }
    }
}

impl From<DecodeError> for Refused {
    fn from(error: DecodeError) -> Self {
        let code = match error.kind {
            DecodeErrorKind::Malformed | DecodeErrorKind::Model => ErrorCode::BadRequest,
            DecodeErrorKind::Schema | DecodeErrorKind::Params => ErrorCode::InvalidParameterValue,
        };
        let answer = ApiError::new(code, error.message);
        match error.kind {
            DecodeErrorKind::Schema => answer.with_class(ErrorClass::SchemaEnforcementFailed),
            _ => answer,
        }
        .into()
    }
}

impl From<Rejection> for Refused {
    fn from(rejection: Rejection) -> Self {
        let answer = |code| ApiError::new(code, rejection.to_string());
        match &rejection {
            Rejection::QueueFull => Self::because(
                Reason::QueueFull,
                answer(ErrorCode::RequestLimitExceeded).with_retry_after(1),
            ),
            Rejection::Expired => {
                Self::because(Reason::Deadline, answer(ErrorCode::DeadlineExceeded))
            }
            Rejection::Stopping => Self::because(
                Reason::Stopping,
                answer(ErrorCode::TemporarilyUnavailable).with_retry_after(1),
            ),
            Rejection::Failed(PredictError::Inputs(_)) => answer(ErrorCode::BadRequest).into(),
            Rejection::Failed(PredictError::OutputTooLarge { .. }) => {
                let text = format!("{rejection}; send fewer rows, or raise `--output-limit`");
                ApiError::new(ErrorCode::BadRequest, text).into()
            }
            Rejection::Failed(PredictError::Engine(_) | PredictError::Interrupted)
            | Rejection::Panicked => {
                Self::failed("the model failed on this request", chain(&rejection))
            }
        }
    }
}

impl From<EncodeError> for Refused {
    fn from(error: EncodeError) -> Self {
        Self::failed(
            "the outputs of the model cannot be written as JSON",
            error.0,
        )
    }
}

fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(next) = cause {
        text.push_str(": ");
        text.push_str(&next.to_string());
        cause = next.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(refused: &Refused) -> String {
        let error = &refused.error;
        format!(
            "{} {} {:?} | {}",
            error.status().as_u16(),
            error.code().name(),
            refused.reason,
            error.message()
        )
    }

    fn decode(kind: DecodeErrorKind) -> Refused {
        DecodeError {
            kind,
            message: "message".to_owned(),
        }
        .into()
    }

    #[test]
    fn the_table() {
        let rows = [
            decode(DecodeErrorKind::Malformed),
            decode(DecodeErrorKind::Schema),
            decode(DecodeErrorKind::Params),
            decode(DecodeErrorKind::Model),
            Rejection::QueueFull.into(),
            Rejection::Expired.into(),
            Rejection::Stopping.into(),
            Rejection::Failed(PredictError::Inputs("rank 3, not 2".to_owned())).into(),
            Rejection::Failed(PredictError::Engine("secret".to_owned())).into(),
            Rejection::Panicked.into(),
            EncodeError("secret".to_owned()).into(),
            Refused::panicked(),
            BodyError::TooLarge { limit: 7 }.into(),
            BodyError::Overloaded.into(),
            BodyError::TimedOut.into(),
            BodyError::Aborted.into(),
            BodyError::UnknownEncoding.into(),
            BodyError::BadGzip.into(),
        ];
        let table: Vec<String> = rows.iter().map(row).collect();
        insta::assert_snapshot!(table.join("\n"));
    }

    #[test]
    fn inner_failures_go_to_the_log_only() {
        let refused: Refused = Rejection::Failed(PredictError::Engine("secret".to_owned())).into();
        assert!(!refused.error.message().contains("secret"));
        assert!(refused.detail.unwrap().contains("secret"));
    }
}
