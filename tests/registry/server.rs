//! A real `mlflow server` with models on it.

use std::path::{Path, PathBuf};
use std::process::Command;

use mlrs_testing::{MlflowServer, python, workspace_root};
use serde::Deserialize;

/// What `populate.py` prints.
#[derive(Debug, Deserialize)]
struct Population {
    run_id: String,
    models: Vec<Download>,
    parts: Vec<Download>,
}

/// A URI, and where MLflow's own client downloaded it to.
#[derive(Debug, Deserialize)]
pub struct Download {
    /// The URI.
    pub uri: String,
    /// The folder or the file.
    pub path: PathBuf,
}

/// The server and what is on it.
#[derive(Debug)]
pub struct Registry {
    /// Its address.
    pub address: String,
    /// The run that logged the models.
    pub run_id: String,
    /// Every form of URI, each of a whole model.
    pub models: Vec<Download>,
    /// Files and folders of models.
    pub parts: Vec<Download>,
    _server: MlflowServer,
}

/// Starts a server on a fresh database, and puts the models on it. `archive` is one of the model.
pub fn start(archive: &Path) -> Registry {
    let server = MlflowServer::start().unwrap();
    let address = server.address().to_owned();
    let folder = server.folder();
    let populated = Command::new(python().unwrap())
        .arg(workspace_root().join("tests/registry/populate.py"))
        .args([address.as_str()])
        .arg(workspace_root().join("examples/iris"))
        .arg(archive)
        .arg(folder.join("downloads"))
        .current_dir(folder)
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&populated.stdout).into_owned();
    let errors = String::from_utf8_lossy(&populated.stderr).into_owned();
    assert!(populated.status.success(), "populate.py failed: {errors}");
    let last = text.lines().last().unwrap_or_default();
    let population: Population = serde_json::from_str(last).unwrap();
    Registry {
        address,
        run_id: population.run_id,
        models: population.models,
        parts: population.parts,
        _server: server,
    }
}
