//! Typed client of the MLflow REST API; resolves model URIs to local directories.
//!
//! # Tracking
//!
//! [`tracking`] logs runs, and manages what a server knows: experiments, runs, datasets, logged
//! models, artifacts, the registry. It works with `mlflow server` and `mlrs server` alike, and needs a
//! tokio runtime (features `macros` and `rt-multi-thread` for the `main` here).
//!
//! ```no_run
//! use mlrs_client::ConnectionSettings;
//! use mlrs_client::tracking::{StartRun, TrackingClient};
//!
//! #[tokio::main]
//! async fn main() -> Result<(), Box<dyn std::error::Error>> {
//!     // `TrackingClient::connect("http://localhost:5000")` needs no variables.
//!     let settings = ConnectionSettings::from_variables(|name| std::env::var(name).ok())?;
//!     let client = TrackingClient::new(settings)?;
//!     let experiment = client.get_or_create_experiment("iris").await?;
//!     client
//!         .with_run(StartRun::in_experiment(experiment).name("baseline"), async |run| {
//!             run.log_param("learning_rate", 0.1);
//!             for epoch in 0..100 {
//!                 run.log_metric("loss", 1.0 / f64::from(epoch + 1), epoch);
//!             }
//!             run.log_bytes("notes.txt", "it converges").await
//!         })
//!         .await?;
//!     Ok(())
//! }
//! ```
//!
//! # Models
//!
//! [`Resolver`] takes whatever MLflow's `-m` takes (`models:/name/Production`, `runs:/…`, `s3://…`,
//! a path) and gives back a local folder, downloading into a content cache where it must. Versions
//! and `m-…` ids do not change, so they are downloaded once; stages, aliases and `latest` are
//! pointers and are looked up each time. [`Registry`] has the calls, [`ModelUri`] the grammar.
//!
//! # What it does not do
//!
//! Nothing here reads the environment or prints. [`ConnectionSettings`] has MLflow's variables, and
//! who calls says where they come from; what goes wrong where no error can be returned is told to
//! `tracing`.

mod cache;
mod connection;
mod credentials_file;
mod download;
mod files;
mod locate;
mod meta;
mod plan;
mod pull;
mod registry;
mod resolver;
mod servers;
pub mod tracking;
mod uri;
pub mod variables;

pub use cache::CacheEntry;
pub use connection::{ConnectionSettings, ServerUri, SettingsError};
pub use download::{DownloadError, DownloadSettings, Progress, ProgressCallback, silent};
pub use locate::{Identity, Located};
pub use mlrs_mlmodel::disk::FileError;
pub use registry::{Registry, RegistryError};
pub use resolver::{ResolveError, Resolved, Resolver};
pub use uri::{ModelUri, Selector, UriError};
