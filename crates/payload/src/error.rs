//! Why a payload was refused.

use crate::json::scanner::SyntaxError;

/// Which of MLflow's error classes a refused payload belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DecodeErrorKind {
    /// Not JSON or CSV, not one of the known shapes, or a value that cannot be converted:
    /// MLflow's `BAD_REQUEST`.
    Malformed,
    /// Well-formed, and against the signature (missing column, wrong shape): MLflow's
    /// `INVALID_PARAMETER_VALUE` with class `SCHEMA_ENFORCEMENT_FAILED`.
    Schema,
    /// `params` against their schema: MLflow's `INVALID_PARAMETER_VALUE`.
    Params,
    /// Well-formed and within the signature, but the model cannot take it; MLflow finds out when
    /// the model raises.
    Model,
}

/// A refused payload: what, and where. Never carries a value of the payload, only its kind.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct DecodeError {
    /// The class of the error.
    pub kind: DecodeErrorKind,
    /// A sentence that says what is wrong and where.
    pub message: String,
}

impl DecodeError {
    #[cold]
    pub(crate) fn malformed(message: impl Into<String>) -> Self {
        Self {
            kind: DecodeErrorKind::Malformed,
            message: format!("Invalid input. {}", message.into()),
        }
    }

    #[cold]
    pub(crate) fn schema(message: impl Into<String>) -> Self {
        Self {
            kind: DecodeErrorKind::Schema,
            message: format!(
                "Failed to enforce schema of data. Error: {}",
                message.into()
            ),
        }
    }

    #[cold]
    pub(crate) fn params(message: impl Into<String>) -> Self {
        Self {
            kind: DecodeErrorKind::Params,
            message: message.into(),
        }
    }

    #[cold]
    pub(crate) fn model(message: impl Into<String>) -> Self {
        Self {
            kind: DecodeErrorKind::Model,
            message: format!("The model cannot take this input: {}", message.into()),
        }
    }
}

impl From<SyntaxError> for DecodeError {
    #[cold]
    fn from(error: SyntaxError) -> Self {
        let SyntaxError { expected, offset } = error;
        Self::malformed(format!(
            "Ensure that input is a valid JSON formatted string. Error: expected {expected} at byte {offset}"
        ))
    }
}

/// Why an output could not be written as an answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct EncodeError(pub String);
