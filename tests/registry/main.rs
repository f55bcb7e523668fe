//! Every way to name a model, against a real `mlflow server`: resolved, served, and its answer
//! compared with that of the same model in a plain directory.
//!
//! Python logs and registers the models (`populate.py`); nothing in the tests writes to the server.

#![allow(
    clippy::expect_used,
    clippy::unwrap_used,
    clippy::panic,
    reason = "helpers of tests fail as tests do"
)]

mod cached;
mod failures;
mod gate;
mod resolved;
mod server;

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use mlrs_testing::{mlrs_binary, python, skipped, workspace_root};

/// Runs `mlrs` with a cache of its own, and with these variables as the only ones of MLflow.
fn mlrs(variables: &[(&str, &str)], cache: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(mlrs_binary().unwrap());
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("MLFLOW_")) {
        command.env_remove(name);
    }
    command
        .args(arguments)
        .env("MLRS_CACHE_DIR", cache)
        .env("HOME", cache)
        .envs(variables.iter().copied())
        .output()
        .unwrap()
}

fn standard_error(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn iris() -> PathBuf {
    workspace_root().join("examples/iris")
}

/// One test, because one server serves all of its parts and takes long to start.
#[test]
fn an_mlflow_server_and_its_models() {
    if let Err(error) = python() {
        skipped("model URIs against an MLflow server", &error.to_string());
        return;
    }
    let scratch = tempfile::tempdir().unwrap();
    let archive = scratch.path().join("iris.zip");
    let (from, to) = (iris().display().to_string(), archive.display().to_string());
    let packed = mlrs(&[], scratch.path(), &["pack", &from, &to]);
    assert!(packed.status.success(), "{}", standard_error(&packed));
    let registry = server::start(&archive);
    resolved::every_uri_is_resolved_and_served(&registry);
    resolved::what_is_pulled_is_what_mlflow_downloads(&registry);
    cached::a_version_is_downloaded_once(&registry);
    cached::a_damaged_copy_is_downloaded_again(&registry);
    failures::every_failure_says_what_was_looked_up_and_what_to_check(&registry);
    failures::a_password_is_asked_for_and_never_shown(&registry);
}
