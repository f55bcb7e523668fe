//! OCI images from a model: layers, configuration, outputs.
//!
//! An image is four layers, made from files of this machine without a daemon, a Dockerfile or a base
//! image: what the system must have, the program, the engine, the model. [`build`] makes an [`Image`];
//! [`output`] puts it into a folder, a file, a Docker engine or a registry. Nothing here reads the
//! environment or prints. Formats are those of the OCI image specification 1.1 and of `docker load`.

use std::sync::Arc;

mod base;
mod build;
mod config;
pub mod container;
mod debian;
pub mod elf;
mod files;
pub mod layer;
mod locale;
pub mod output;
mod parts;
pub mod plan;
mod platform;
mod reference;
pub mod registry;
pub mod sbom;

pub use base::{Base, BaseError, pull_base};
pub use build::{BuildError, BuildSettings, Engine, Image, build};
pub use config::{Description, HEALTHCHECK_SECONDS, PORT, USER};
pub use locale::{LOCALE_FOLDER, LocaleError};
pub use mlrs_mlmodel::disk::FileError;
pub use parts::{BINARY_PATH, ENGINE_PATH, MODEL_PATH};
pub use platform::{Architecture, Platform, UnknownPlatform};
pub use reference::{ImageName, NameError};

/// How far a piece of work has come.
#[derive(Clone, Copy, Debug)]
pub struct Progress<'a> {
    /// What is worked on: a layer, an upload.
    pub what: &'a str,
    /// Bytes that are done.
    pub done_bytes: u64,
    /// Bytes that there are.
    pub total_bytes: u64,
}

/// Is told of progress, from several threads.
pub type Report = Arc<dyn Fn(Progress<'_>) + Send + Sync>;

/// For those who do not want to know.
pub fn silent() -> Report {
    Arc::new(|_| ())
}
