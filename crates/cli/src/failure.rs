//! The one place that prints an error: what failed, why, and what to do.
//!
//! Exit codes: 1 for an error, 2 for unusable arguments (by clap).

use std::process::ExitCode;

use mlrs_backend::Refusal;
use mlrs_client::tracking::TrackingError;
use mlrs_client::{ResolveError, SettingsError, UriError};
use mlrs_deploy::cluster::{ClusterError, RolloutError, ScaleError};
use mlrs_image::container::ContainerError;
use mlrs_image::elf::ElfError;
use mlrs_image::output::{DockerError, WriteError};
use mlrs_image::registry::RegistryError;
use mlrs_image::{BaseError, BuildError, NameError};
use mlrs_mlmodel::archive::ArchiveError;
use mlrs_mlmodel::directory::OpenError;
use mlrs_mlmodel::onnx::OnnxError;
use mlrs_mlmodel::package::PackageError;
use mlrs_mlmodel::requirement::UpdateError;
use mlrs_onnxruntime::install::InstallError;
use mlrs_tracking::PagesError;

/// A message with a remedy, for errors that arise in this crate.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub(crate) struct Hinted {
    message: String,
    hint: String,
}

/// An error with a remedy.
pub(crate) fn hinted(message: impl Into<String>, hint: impl Into<String>) -> anyhow::Error {
    Hinted {
        message: message.into(),
        hint: hint.into(),
    }
    .into()
}

/// Prints the chain of causes, each once, and the first remedy in it.
#[allow(clippy::print_stderr, reason = "this is where errors are printed")]
pub(crate) fn report(error: &anyhow::Error) -> ExitCode {
    eprintln!("error: {error}");
    let mut last = error.to_string();
    for cause in error.chain().skip(1) {
        let text = cause.to_string();
        if !last.contains(&text) {
            eprintln!("  because: {text}");
        }
        last = text;
    }
    if let Some(hint) = hint(error) {
        eprintln!("  hint: {hint}");
    }
    ExitCode::FAILURE
}

/// The remedy of an error, if one is known.
pub(crate) fn hint(error: &anyhow::Error) -> Option<String> {
    error.chain().find_map(hint_of)
}

/// The remedy of an error, if it is of a kind that has one.
fn hint_of(error: &(dyn std::error::Error + 'static)) -> Option<String> {
    if let Some(error) = error.downcast_ref::<Hinted>() {
        return Some(error.hint.clone());
    }
    if let Some(error) = error.downcast_ref::<Refusal>() {
        return error.hint.clone();
    }
    if let Some(error) = error.downcast_ref::<PagesError>() {
        return Some(error.hint().to_owned());
    }
    if let Some(error) = error.downcast_ref::<OpenError>() {
        return error.hint();
    }
    if let Some(error) = error.downcast_ref::<ArchiveError>() {
        return error.hint().map(str::to_owned);
    }
    if let Some(error) = error.downcast_ref::<OnnxError>() {
        return error.hint().map(str::to_owned);
    }
    if let Some(error) = error.downcast_ref::<PackageError>() {
        return error.hint().map(str::to_owned);
    }
    if let Some(error) = error.downcast_ref::<UpdateError>() {
        return error.hint().map(str::to_owned);
    }
    if let Some(error) = error.downcast_ref::<ResolveError>() {
        return error.hint();
    }
    if let Some(error) = error.downcast_ref::<TrackingError>() {
        return error.hint();
    }
    if let Some(error) = error.downcast_ref::<SettingsError>() {
        return error.hint();
    }
    if let Some(error) = error.downcast_ref::<UriError>() {
        return error.hint();
    }
    if let Some(error) = error.downcast_ref::<InstallError>() {
        return error.hint().map(str::to_owned);
    }
    if let Some(error) = error.downcast_ref::<mlrs_store_sql::OpenError>() {
        return Some(error.hint());
    }
    if let Some(error) = error.downcast_ref::<mlrs_file_store::OpenError>() {
        return error.hint().map(str::to_owned);
    }
    if let Some(error) = error.downcast_ref::<mlrs_store_sql::UriError>() {
        return Some(error.hint().to_owned());
    }
    if let Some(hint) = hint_of_image(error).or_else(|| hint_of_deployment(error)) {
        return Some(hint);
    }
    error
        .downcast_ref::<mlrs_http::BindError>()
        .and_then(mlrs_http::BindError::hint)
}

/// The remedy of an error about images.
fn hint_of_image(error: &(dyn std::error::Error + 'static)) -> Option<String> {
    if let Some(error) = error.downcast_ref::<BuildError>() {
        return error.hint();
    }
    if let Some(error) = error.downcast_ref::<BaseError>() {
        return error.hint();
    }
    if let Some(error) = error.downcast_ref::<RegistryError>() {
        return error.hint();
    }
    if let Some(error) = error.downcast_ref::<NameError>() {
        return Some(error.hint().to_owned());
    }
    if let Some(error) = error.downcast_ref::<WriteError>() {
        return error.hint().map(str::to_owned);
    }
    if let Some(error) = error.downcast_ref::<ElfError>() {
        return error.hint().map(str::to_owned);
    }
    if let Some(error) = error.downcast_ref::<ContainerError>() {
        return error.hint().map(str::to_owned);
    }
    let error = error.downcast_ref::<DockerError>()?;
    error.hint().map(str::to_owned)
}

/// The remedy of an error about a cluster, or about what is to run there.
fn hint_of_deployment(error: &(dyn std::error::Error + 'static)) -> Option<String> {
    if let Some(error) = error.downcast_ref::<mlrs_deploy::SettingsError>() {
        return Some(error.hint().to_owned());
    }
    if let Some(error) = error.downcast_ref::<ClusterError>() {
        return error.hint();
    }
    if let Some(error) = error.downcast_ref::<RolloutError>() {
        return error.hint();
    }
    error.downcast_ref::<ScaleError>()?.hint()
}
