//! The Python environment of the tests, and MLflow's own scoring server inside it.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::{AddressedProcess, Answer, Client, Error, home, workspace_root};

/// The Python of the tests: `MLRS_TEST_PYTHON`, else the environment that `cargo xtask test` made.
///
/// # Errors
/// When there is none; the text says what to run.
pub fn python() -> Result<PathBuf, Error> {
    let path = std::env::var_os("MLRS_TEST_PYTHON")
        .map_or_else(|| home().join("venv/bin/python"), PathBuf::from);
    if path.exists() {
        Ok(path)
    } else {
        Err(Error::Missing(format!(
            "there is no Python at `{}`; `cargo xtask test` makes the environment",
            path.display()
        )))
    }
}

/// ONNX Runtime's shared library: `ORT_DYLIB_PATH`, else the one in the wheel of that Python.
///
/// # Errors
/// When there is none.
pub fn onnxruntime_library() -> Result<PathBuf, Error> {
    if let Some(path) = std::env::var_os("ORT_DYLIB_PATH") {
        return Ok(PathBuf::from(path));
    }
    let python = python()?;
    let environment = python.ancestors().nth(2).unwrap_or(Path::new("/"));
    let versions = std::fs::read_dir(environment.join("lib"))
        .map_err(|source| Error::io(format!("list `{}`", environment.display()), source))?;
    versions
        .filter_map(Result::ok)
        .map(|version| version.path().join("site-packages/onnxruntime/capi"))
        .filter_map(|folder| std::fs::read_dir(folder).ok())
        .flat_map(|files| files.filter_map(Result::ok))
        .map(|file| file.path())
        .find(|path| {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            name.starts_with("libonnxruntime.") && !name.contains("providers")
        })
        .ok_or_else(|| {
            Error::Missing(format!(
                "there is no ONNX Runtime library in `{}`",
                environment.display()
            ))
        })
}

/// MLflow's scoring server for all models of a folder.
#[derive(Debug)]
pub struct Oracle {
    process: AddressedProcess,
    client: Client,
}

impl Oracle {
    /// Starts it.
    ///
    /// # Errors
    /// When there is no Python, or a model does not load.
    pub fn start(models: &Path) -> Result<Self, Error> {
        let mut command = Command::new(python()?);
        command
            .arg(workspace_root().join("tests/python/oracle.py"))
            .arg(models);
        let process = AddressedProcess::start(&mut command, Duration::from_mins(5))?;
        Ok(Self {
            process,
            client: Client::new(),
        })
    }

    /// Posts to the `/invocations` of one model.
    ///
    /// # Errors
    /// When there is no answer.
    pub fn invoke(
        &self,
        model: &str,
        content_type: Option<&str>,
        body: &[u8],
    ) -> Result<Answer, Error> {
        let url = format!("{}/{model}/invocations", self.process.address());
        // Its server drops the connection after an error of its own without saying so, and the
        // next request finds out. Asking again is safe: a prediction changes nothing.
        self.client
            .post(&url, content_type, body)
            .or_else(|_| self.client.post(&url, content_type, body))
    }
}
