//! Where commands are typed: a server, and both command lines.

use std::io::Write as _;
use std::process::{Command, Stdio};

use mlrs_testing::{Client, MlrsServer, mlrs_binary, python, workspace_root};
use serde_json::{Value, json};

/// How a command ended.
#[derive(Debug)]
pub struct Ended {
    /// The exit status.
    pub code: i64,
    /// Standard output.
    pub output: String,
    /// Standard error.
    pub errors: String,
}

/// A server, and both command lines.
pub struct Desk {
    /// The server.
    pub server: MlrsServer,
}

impl Desk {
    /// A new server.
    pub fn new() -> Self {
        let server = MlrsServer::start(&[]).unwrap();
        Self { server }
    }

    /// The variables and the folder that commands run with.
    pub fn environment<'a>(&self, command: &'a mut Command) -> &'a mut Command {
        for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("MLFLOW_")) {
            command.env_remove(name);
        }
        command
            .env("MLFLOW_TRACKING_URI", self.server.address())
            .env("HOME", self.server.folder())
            .env("LOGNAME", "anna")
            .env("TZ", "Europe/Berlin")
            .current_dir(self.server.folder())
    }

    /// Runs a command of mlrs.
    pub fn mlrs(&self, arguments: &[&str]) -> Ended {
        let mut command = Command::new(mlrs_binary().unwrap());
        let output = self
            .environment(&mut command)
            .args(arguments)
            .stdin(Stdio::null())
            .output();
        let output = output.unwrap();
        Ended {
            code: output.status.code().unwrap().into(),
            output: String::from_utf8(output.stdout).unwrap(),
            errors: String::from_utf8(output.stderr).unwrap(),
        }
    }

    /// What a command prints that must not fail.
    pub fn said(&self, arguments: &[&str]) -> String {
        let ended = self.mlrs(arguments);
        assert_eq!(ended.code, 0, "{arguments:?}: {}", ended.errors);
        ended.output
    }

    /// What such a command prints as JSON.
    pub fn json(&self, arguments: &[&str]) -> Value {
        let said = self.said(arguments);
        serde_json::from_str(&said).unwrap_or_else(|_| panic!("{arguments:?}: {said}"))
    }

    /// The same commands with MLflow.
    pub fn mlflow(&self, commands: &[&[&str]]) -> Vec<Ended> {
        let script = workspace_root().join("tests/python/run_commands.py");
        let mut command = Command::new(python().unwrap());
        let mut child = self
            .environment(&mut command)
            .arg(script)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let input = json!(commands).to_string();
        child
            .stdin
            .take()
            .unwrap()
            .write_all(input.as_bytes())
            .unwrap();
        let output = child.wait_with_output().unwrap();
        let errors = String::from_utf8_lossy(&output.stderr).into_owned();
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        let last = said.lines().last().unwrap_or_else(|| panic!("{errors}"));
        let answers: Vec<Value> =
            serde_json::from_str(last).unwrap_or_else(|_| panic!("{said}{errors}"));
        let ended = answers.iter().map(|answer| Ended {
            code: answer["code"].as_i64().unwrap(),
            output: answer["output"].as_str().unwrap().to_owned(),
            errors: errors.clone(),
        });
        ended.collect()
    }

    /// Asks the server over REST.
    pub fn post(&self, path: &str, body: &Value) {
        let url = format!("{}/api/2.0/mlflow/{path}", self.server.address());
        let body = body.to_string();
        let answer = Client::new()
            .post(&url, Some("application/json"), body.as_bytes())
            .unwrap();
        assert_eq!(answer.status, 200, "{path}: {}", answer.body);
    }

    /// Writes a file into the folder of the server.
    pub fn write(&self, path: &str, content: &str) -> String {
        let path = self.server.folder().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, content).unwrap();
        path.display().to_string()
    }

    /// A path in the folder of the server.
    pub fn path(&self, name: &str) -> String {
        self.server.folder().join(name).display().to_string()
    }
}
