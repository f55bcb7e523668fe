//! What the servers of mlrs share: connections, limits, errors as answers, request ids, metrics.
//!
//! Everything here is a plain function or a small type that a handler calls; there is no stack of
//! middleware, so that a route pays only for what it uses. No MLflow route and no model in here.

pub mod admission;
pub mod answer;
pub mod answered;
pub mod body;
pub mod browser;
pub mod descriptors;
pub mod error;
pub mod error_class;
pub mod metrics;
pub mod process;
pub mod request_id;
pub mod server;
pub mod signals;

pub use admission::{BytesInFlight, Permit};
pub use answered::{Answers, EndpointAnswers, EndpointMetrics};
pub use body::{AdmittedBody, BodyError, BodyLimits};
pub use browser::BrowserGuard;
pub use descriptors::Descriptors;
pub use error::ApiError;
pub use error_class::ErrorClass;
pub use metrics::Metrics;
pub use mlrs_api::ErrorCode;
pub use request_id::RequestId;
pub use server::{BindError, ServeReport, ServerSettings, bind, local_target, serve};
