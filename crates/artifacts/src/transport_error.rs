//! What can go wrong between this client and a tracking server.
//!
//! [`TransportError`] names the server and what it answered, decides whether trying again can help,
//! and knows what to check. It never holds credentials.

use std::error::Error as _;
use std::path::PathBuf;
use std::time::Duration;

use mlrs_api::ErrorCode;

use crate::retry::Failure;

/// Why there is no answer, or not a good one.
#[derive(Debug, thiserror::Error)]
pub enum TransportError {
    /// A certificate cannot be used.
    #[error("cannot use the certificate `{}`", path.display())]
    Certificate {
        /// The file or folder.
        path: PathBuf,
        /// What is wrong with it.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The HTTP client cannot be set up.
    #[error("cannot set up the HTTP client")]
    Setup(#[source] reqwest::Error),
    /// No connection.
    #[error("cannot reach the server `{server}`")]
    Unreachable {
        /// Address of the server.
        server: String,
        /// What went wrong, without the address.
        #[source]
        source: reqwest::Error,
    },
    /// Nothing came for too long.
    #[error("the server `{server}` did not answer within {seconds} seconds")]
    TimedOut {
        /// Address of the server.
        server: String,
        /// The limit.
        seconds: u64,
    },
    /// The connection broke while the answer was read.
    #[error("the connection to `{server}` broke while its answer was read")]
    Interrupted {
        /// Address of the server.
        server: String,
        /// What went wrong, without the address.
        #[source]
        source: reqwest::Error,
    },
    /// The server answered with an error.
    #[error("the server `{server}` answered {status}{}: {message}", code_in_words(code.as_deref()))]
    Answer {
        /// Address of the server.
        server: String,
        /// HTTP status.
        status: u16,
        /// MLflow's error code, if the answer has one.
        code: Option<String>,
        /// What the server said, shortened.
        message: String,
        /// The pause that the server asked for.
        retry_after: Option<Duration>,
    },
    /// The answer is not the JSON that was expected.
    #[error("the server `{server}` answered something that is not the expected JSON: {excerpt}")]
    NotJson {
        /// Address of the server.
        server: String,
        /// The beginning of the answer.
        excerpt: String,
        /// What does not fit.
        #[source]
        source: serde_json::Error,
    },
    /// What was to be sent cannot be read.
    #[error("the content to be sent cannot be read")]
    Content {
        /// What went wrong.
        #[source]
        source: std::io::Error,
    },
    /// The answer is larger than any that makes sense.
    #[error("the server `{server}` answered more than {limit} bytes")]
    TooLarge {
        /// Address of the server.
        server: String,
        /// The limit in bytes.
        limit: usize,
    },
}

fn code_in_words(code: Option<&str>) -> String {
    code.map(|code| format!(" {code}")).unwrap_or_default()
}

impl TransportError {
    /// MLflow's error code, if the server sent one of the known set.
    pub fn code(&self) -> Option<ErrorCode> {
        match self {
            Self::Answer { code, .. } => code.as_deref().and_then(ErrorCode::from_name),
            _ => None,
        }
    }

    /// The HTTP status, if there was an answer.
    pub fn status(&self) -> Option<u16> {
        match self {
            Self::Answer { status, .. } => Some(*status),
            _ => None,
        }
    }

    /// Whether the thing asked for does not exist, as opposed to any other failure.
    pub fn is_not_found(&self) -> bool {
        self.status() == Some(404)
    }

    /// Whether the server, not the request, is the problem.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Unreachable { .. } | Self::TimedOut { .. } | Self::Interrupted { .. } => true,
            Self::Answer { status, .. } => is_busy(*status),
            _ => false,
        }
    }

    /// What to check, where that is known.
    pub fn hint(&self) -> Option<String> {
        let text = match self {
            Self::Unreachable { source, .. } if source.is_dns() => {
                "check the host name in MLFLOW_TRACKING_URI"
            }
            Self::Unreachable { source, .. } if mentions_certificate(source) => {
                "for a server with its own certificate authority set \
                 MLFLOW_TRACKING_SERVER_CERT_PATH; MLFLOW_TRACKING_INSECURE_TLS=true turns the \
                 check off"
            }
            Self::Unreachable { .. } => {
                "check that the server runs and that MLFLOW_TRACKING_URI names its host and port"
            }
            Self::TimedOut { .. } => "MLFLOW_HTTP_REQUEST_TIMEOUT sets the limit in seconds",
            Self::Answer { status: 401, .. } => {
                "set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, or MLFLOW_TRACKING_TOKEN"
            }
            Self::Answer {
                status: 403,
                message,
                ..
            } if message.contains("Invalid Host") => {
                "the server only answers to host names it knows: start it with --allowed-hosts"
            }
            Self::Answer { status: 403, .. } => "the user has no permission for this",
            Self::Answer {
                status: 404 | 405,
                code: None,
                ..
            }
            | Self::NotJson { .. } => {
                "check that MLFLOW_TRACKING_URI is the address of an MLflow server, with its path \
                 prefix if it has one"
            }
            Self::Answer {
                status: 503,
                message,
                ..
            } if message.contains("serve-artifacts") => {
                "the server does not proxy artifacts; start it with --serve-artifacts"
            }
            _ => return None,
        };
        Some(text.to_owned())
    }

    pub(crate) fn failure(&self) -> Failure {
        match self {
            // It has been waited for already.
            Self::Unreachable { source, .. } if source.is_timeout() => Failure::Final,
            // A server that explains its 500 in MLflow's words will say the same again.
            Self::Answer {
                status: 500,
                code: Some(_),
                ..
            }
            | Self::Unreachable { .. }
            | Self::TimedOut { .. }
            | Self::Interrupted { .. } => Failure::Doubtful,
            Self::Answer {
                status,
                retry_after,
                ..
            } if is_busy(*status) => Failure::Busy {
                retry_after: *retry_after,
            },
            _ => Failure::Final,
        }
    }
}

const fn is_busy(status: u16) -> bool {
    matches!(status, 408 | 429 | 500 | 502 | 503 | 504)
}

fn mentions_certificate(error: &reqwest::Error) -> bool {
    let mut source = error.source();
    while let Some(cause) = source {
        if cause
            .to_string()
            .to_ascii_lowercase()
            .contains("certificate")
        {
            return true;
        }
        source = cause.source();
    }
    false
}
