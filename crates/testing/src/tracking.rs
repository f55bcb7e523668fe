//! Tracking servers for tests: MLflow's own and `mlrs server`, each on a fresh SQLite database.

use std::net::TcpListener;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::{AddressedProcess, Client, Error, mlrs_binary, python};

/// How long MLflow's server may take to start: Python imports much.
const PATIENCE: Duration = Duration::from_mins(3);

/// A process and its children, which end with this value.
#[derive(Debug)]
struct Group(Child);

impl Drop for Group {
    fn drop(&mut self) {
        // The server's workers are in the group of the process that was started.
        let _ = Command::new("kill")
            .args(["-KILL", "--", &format!("-{}", self.0.id())])
            .status();
        let _ = self.0.wait();
    }
}

/// A real `mlflow server` with one worker.
#[derive(Debug)]
pub struct MlflowServer {
    address: String,
    _process: Group,
    folder: tempfile::TempDir,
}

impl MlflowServer {
    /// Starts it, and waits until it answers.
    ///
    /// # Errors
    /// When there is no Python, or it does not answer in time.
    pub fn start() -> Result<Self, Error> {
        let folder = folder()?;
        let database = database_in(folder.path());
        Self::start_in(folder, &database, &[], &[])
    }

    /// Starts it with these further arguments and environment variables.
    ///
    /// # Errors
    /// As [`MlflowServer::start`].
    pub fn start_with(arguments: &[&str], variables: &[(&str, &str)]) -> Result<Self, Error> {
        let folder = folder()?;
        let database = database_in(folder.path());
        Self::start_in(folder, &database, arguments, variables)
    }

    /// Starts it on a database.
    ///
    /// # Errors
    /// As [`MlflowServer::start`].
    pub fn start_on(database: &str) -> Result<Self, Error> {
        Self::start_in(folder()?, database, &[], &[])
    }

    fn start_in(
        folder: tempfile::TempDir,
        database: &str,
        arguments: &[&str],
        variables: &[(&str, &str)],
    ) -> Result<Self, Error> {
        let io = |source| Error::io("start `mlflow server`", source);
        let port = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr());
        let port = port.map_err(io)?.port();
        let log_path = folder.path().join("server.log");
        let log = std::fs::File::create(&log_path).map_err(io)?;
        let process = Command::new(python()?)
            .args(["-m", "mlflow", "server", "--workers", "1", "--port"])
            .arg(port.to_string())
            .args(["--backend-store-uri", database])
            .arg("--artifacts-destination")
            .arg(folder.path().join("artifacts"))
            // Of an option that is there twice, its last value counts.
            .args(arguments)
            .envs(variables.iter().copied())
            .current_dir(folder.path())
            .stdin(Stdio::null())
            .stdout(log.try_clone().map_err(io)?)
            .stderr(log)
            .process_group(0)
            .spawn()
            .map_err(io)?;
        let started = Self {
            address: format!("http://127.0.0.1:{port}"),
            _process: Group(process),
            folder,
        };
        if answers(&started.address) {
            return Ok(started);
        }
        Err(Error::NotStarted {
            program: "mlflow server".to_owned(),
            reason: std::fs::read_to_string(&log_path).unwrap_or_default(),
        })
    }

    /// Its address, without a slash at its end.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// The folder with its database, `mlflow.db`, and its artifacts.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }
}

/// A running `mlrs server`.
#[derive(Debug)]
pub struct MlrsServer {
    process: AddressedProcess,
    folder: tempfile::TempDir,
}

impl MlrsServer {
    /// Starts it on a free port with these further arguments, on a fresh database unless they name
    /// one.
    ///
    /// # Errors
    /// When it does not start; the reason holds what it wrote to standard error.
    pub fn start(arguments: &[&str]) -> Result<Self, Error> {
        Self::start_with(arguments, &[])
    }

    /// Starts it as [`MlrsServer::start`] does, with these environment variables.
    ///
    /// # Errors
    /// As [`MlrsServer::start`].
    pub fn start_with(arguments: &[&str], variables: &[(&str, &str)]) -> Result<Self, Error> {
        let folder = folder()?;
        let mut command = Command::new(mlrs_binary()?);
        for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("MLFLOW_")) {
            command.env_remove(name);
        }
        command.envs(variables.iter().copied());
        command.args(["server", "--port", "0"]);
        if !arguments.contains(&"--backend-store-uri") {
            command
                .arg("--backend-store-uri")
                .arg(database_in(folder.path()));
        }
        command.args(arguments).current_dir(folder.path());
        let process = AddressedProcess::start(&mut command, Duration::from_mins(1))?;
        Ok(Self { process, folder })
    }

    /// Its address, without a slash at its end.
    pub fn address(&self) -> &str {
        self.process.address()
    }

    /// The folder with its database, `mlflow.db`.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// What it wrote to standard error so far.
    pub fn log(&mut self) -> String {
        self.process.log()
    }
}

fn folder() -> Result<tempfile::TempDir, Error> {
    tempfile::tempdir().map_err(|source| Error::io("make a folder", source))
}

fn database_in(folder: &Path) -> String {
    format!("sqlite:///{}", folder.join("mlflow.db").display())
}

fn answers(address: &str) -> bool {
    let client = Client::new();
    let begin = Instant::now();
    while begin.elapsed() < PATIENCE {
        let health = client.get(&format!("{address}/health"));
        if health.is_ok_and(|answer| answer.status == 200) {
            return true;
        }
        std::thread::sleep(Duration::from_millis(200));
    }
    false
}
