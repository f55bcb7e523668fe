//! Typed client of the MLflow REST API; resolves model URIs to local directories.
//!
//! [`Resolver`] takes whatever MLflow's `-m` takes (`models:/name/Production`, `runs:/…`, `s3://…`,
//! a path) and gives back a local folder, downloading into a content cache where it must. Versions
//! and `m-…` ids do not change, so they are downloaded once; stages, aliases and `latest` are
//! pointers and are looked up each time. [`tracking`] logs runs and manages what a server knows. [`Registry`] has the calls, [`ModelUri`] the grammar,
//! [`ConnectionSettings`] MLflow's variables. Nothing here reads the environment or prints.

mod cache;
mod connection;
mod credentials_file;
mod download;
mod files;
mod locate;
mod meta;
mod plan;
mod registry;
mod resolver;
mod servers;
pub mod tracking;
mod uri;
pub mod variables;

pub use cache::CacheEntry;
pub use connection::{ConnectionSettings, ServerUri, SettingsError};
pub use download::{DownloadError, DownloadSettings, Progress, ProgressCallback, silent};
pub use files::FileError;
pub use locate::{Identity, Located};
pub use registry::{Registry, RegistryError};
pub use resolver::{ResolveError, Resolved, Resolver};
pub use uri::{ModelUri, Selector, UriError};
