//! The scoring server: MLflow's scoring protocol in front of one model in service.
//!
//! [`router`] makes the routes from a [`ScoringState`]; nothing here opens a socket, reads the
//! environment or knows an engine. The protocol is that of `mlflow models serve` (MLflow 3.17);
//! where mlrs deliberately differs, the code says so.

mod accept;
mod content_type;
mod docs;
mod example;
mod invocations;
mod metrics;
mod model_schema;
mod openapi;
mod outputs;
mod refused;
mod routes;
mod state;
mod warm_up;

pub use routes::{MLFLOW_VERSION, router};
pub use state::{ModelInfo, Phase, ScoringSettings, ScoringState};
pub use warm_up::{ExampleOutcome, WarmUp, WarmUpError};
