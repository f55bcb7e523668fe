//! A browser, and the pages of MLflow that it is to show.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::{Error, python};

/// Names of the browser, in the order of preference.
const NAMES: [&str; 4] = [
    "chromium",
    "chromium-browser",
    "google-chrome",
    "google-chrome-stable",
];

/// The Chromium of this machine: `MLRS_TEST_CHROMIUM`, else the first that the path has.
///
/// # Errors
/// When there is none.
pub fn chromium() -> Result<PathBuf, Error> {
    if let Some(path) = std::env::var_os("MLRS_TEST_CHROMIUM") {
        return Ok(PathBuf::from(path));
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders: Vec<PathBuf> = std::env::split_paths(&path).collect();
    let mut places = NAMES.iter().flat_map(|name| {
        let place = move |folder: &PathBuf| folder.join(name);
        folders.iter().map(place)
    });
    places.find(|place| place.is_file()).ok_or_else(|| {
        Error::Missing("there is no Chromium on this machine (Debian: `chromium`)".to_owned())
    })
}

/// The folder of MLflow's web pages, in the Python environment of the tests.
///
/// # Errors
/// When there is no such environment, or MLflow is not in it.
pub fn mlflow_pages() -> Result<PathBuf, Error> {
    let script = "import importlib.util; print(importlib.util.find_spec('mlflow').origin)";
    let output = Command::new(python()?)
        .args(["-c", script])
        .output()
        .map_err(|source| Error::io("ask Python where MLflow is", source))?;
    let origin = String::from_utf8_lossy(&output.stdout).into_owned();
    let package = Path::new(origin.trim()).parent().unwrap_or(Path::new(""));
    let folder = package.join("server/js/build");
    if folder.join("index.html").is_file() {
        return Ok(folder);
    }
    Err(Error::Missing(
        "MLflow's web pages are not in the Python environment of the tests".to_owned(),
    ))
}
