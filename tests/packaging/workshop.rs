//! A folder to package models in, and Python beside it.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use mlrs_testing::{mlrs_binary, onnxruntime_library, python, skipped, workspace_root};
use serde_json::{Value, json};

/// How a command ended.
#[derive(Debug)]
pub struct Ended {
    pub code: i32,
    pub output: String,
    pub errors: String,
}

/// A temporary folder, ONNX Runtime, and Python with MLflow.
pub struct Workshop {
    folder: tempfile::TempDir,
    library: PathBuf,
    /// The server that commands and Python talk to.
    pub server: Option<String>,
}

impl Workshop {
    /// `None` where there is no Python with MLflow; `what` is then named as not tested.
    pub fn open(what: &str) -> Option<Self> {
        let library = match (python(), onnxruntime_library()) {
            (Ok(_), Ok(library)) => library,
            (Err(error), _) | (_, Err(error)) => {
                skipped(what, &error.to_string());
                return None;
            }
        };
        Some(Self {
            folder: tempfile::tempdir().unwrap(),
            library,
            server: None,
        })
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The path as a text.
    pub fn text(&self, name: &str) -> String {
        self.path(name).display().to_string()
    }

    /// Writes a file, and gives its path.
    pub fn write(&self, name: &str, content: impl AsRef<[u8]>) -> String {
        std::fs::write(self.path(name), content).unwrap();
        self.text(name)
    }

    /// A command in the folder and the environment of the workshop.
    pub fn prepared(&self, mut command: Command) -> Command {
        for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("MLFLOW_")) {
            command.env_remove(name);
        }
        if let Some(server) = &self.server {
            command.env("MLFLOW_TRACKING_URI", server);
        }
        command
            .env("ORT_DYLIB_PATH", &self.library)
            .env("MLRS_CACHE_DIR", self.path("cache"))
            .current_dir(self.folder.path());
        command
    }

    /// Runs a command of mlrs.
    pub fn mlrs(&self, words: &[&str]) -> Ended {
        let mut command = self.prepared(Command::new(mlrs_binary().unwrap()));
        let output = command.args(words).stdin(Stdio::null()).output().unwrap();
        Ended {
            code: output.status.code().unwrap(),
            output: String::from_utf8(output.stdout).unwrap(),
            errors: String::from_utf8(output.stderr).unwrap(),
        }
    }

    /// What a command prints that must not fail.
    pub fn said(&self, words: &[&str]) -> String {
        let ended = self.mlrs(words);
        assert_eq!(ended.code, 0, "{words:?}: {}", ended.errors);
        ended.output
    }

    /// What such a command prints as JSON.
    pub fn json(&self, words: &[&str]) -> Value {
        let said = self.said(words);
        serde_json::from_str(&said).unwrap_or_else(|_| panic!("{words:?}: {said}"))
    }

    /// Packages an ONNX file as a directory of this name; gives what was printed as JSON.
    pub fn package(&self, onnx: &str, name: &str, more: &[&str]) -> Value {
        let target = self.text(name);
        let words = [
            &["package", "onnx", onnx, "-o", &target, "--output", "json"],
            more,
        ]
        .concat();
        self.json(&words)
    }

    /// Runs a script of `tests/python`, and gives the JSON of its last line.
    pub fn python(&self, script: &str, input: &Value) -> Vec<Value> {
        let mut command = self.prepared(Command::new(python().unwrap()));
        let mut child = command
            .arg(workspace_root().join("tests/python").join(script))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let text = input.to_string();
        child
            .stdin
            .take()
            .unwrap()
            .write_all(text.as_bytes())
            .unwrap();
        let output = child.wait_with_output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout);
        let errors = String::from_utf8_lossy(&output.stderr);
        let last = said.lines().last().unwrap_or_else(|| panic!("{errors}"));
        serde_json::from_str(last).unwrap_or_else(|_| panic!("{said}{errors}"))
    }

    /// Predictions of a model, by a path or a URI, in Python.
    pub fn predicted(&self, model: &str, inputs: &Value) -> Value {
        let task = json!([{"do": "predict", "model": model, "inputs": inputs}]);
        self.python("packaged.py", &task).remove(0)
    }
}

/// An ONNX file of the fixtures.
pub fn fixture(name: &str) -> String {
    let folder: &Path = &workspace_root().join("tests/fixtures/onnx");
    folder.join(name).display().to_string()
}
