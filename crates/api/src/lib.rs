//! Wire types and endpoint table of the MLflow REST API.
//!
//! Pure data: what a request and an answer look like as JSON and where they live. No sockets, no
//! rules. Answers are read tolerantly, because they come from servers of many versions: unknown
//! fields are ignored, absent and `null` fields take their default, and an `int64` may be a number
//! or a string. The layout follows MLflow 3.17 (`mlflow/protos/*.proto`).
//!
//! Start at [`endpoints`] for the table and at [`error`] for the error body.

pub mod artifacts;
pub mod datasets;
pub mod endpoints;
pub mod enums;
pub mod error;
pub mod experiments;
pub mod logged_models;
pub mod metrics;
mod number;
pub mod registry;
pub mod runs;
pub mod server_info;
pub mod tags;

pub use endpoints::{ApiVersion, Endpoint, Method};
pub use error::{ErrorBody, ErrorCode};
pub use tags::Tag;
