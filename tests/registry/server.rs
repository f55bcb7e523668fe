//! A real `mlflow server` with models on it.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use mlrs_testing::{Client, python, workspace_root};
use serde::Deserialize;

/// How long the server may take to start: Python imports much.
const PATIENCE: Duration = Duration::from_mins(3);

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

/// A process group that ends with this value.
#[derive(Debug)]
struct Group(Child);

impl Drop for Group {
    fn drop(&mut self) {
        // The server's workers are in the group of the process that was started.
        drop(
            Command::new("kill")
                .args(["-KILL", "--", &format!("-{}", self.0.id())])
                .status(),
        );
        drop(self.0.wait());
    }
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
    _process: Group,
    _folder: tempfile::TempDir,
}

/// Starts a server on a fresh database, and puts the models on it. `archive` is one of the model.
pub fn start(archive: &Path) -> Registry {
    use std::os::unix::process::CommandExt as _;
    let folder = tempfile::tempdir().unwrap();
    let port = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let log = std::fs::File::create(folder.path().join("server.log")).unwrap();
    let process = Command::new(python().unwrap())
        .args([
            "-m",
            "mlflow",
            "server",
            "--host",
            "127.0.0.1",
            "--workers",
            "1",
            "--port",
            &port.to_string(),
        ])
        .arg("--backend-store-uri")
        .arg(format!(
            "sqlite:///{}",
            folder.path().join("mlflow.db").display()
        ))
        .arg("--artifacts-destination")
        .arg(folder.path().join("artifacts"))
        .current_dir(folder.path())
        .stdin(Stdio::null())
        .stdout(log.try_clone().unwrap())
        .stderr(log)
        .process_group(0)
        .spawn()
        .unwrap();
    let process = Group(process);
    let address = format!("http://127.0.0.1:{port}");
    wait_for(&address, &folder.path().join("server.log"));
    let populated = Command::new(python().unwrap())
        .arg(workspace_root().join("tests/registry/populate.py"))
        .args([address.as_str()])
        .arg(workspace_root().join("examples/iris"))
        .arg(archive)
        .arg(folder.path().join("downloads"))
        .current_dir(folder.path())
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
        _process: process,
        _folder: folder,
    }
}

fn wait_for(address: &str, log: &Path) {
    let client = Client::new();
    let begin = Instant::now();
    while begin.elapsed() < PATIENCE {
        if client
            .get(&format!("{address}/health"))
            .is_ok_and(|answer| answer.status == 200)
        {
            return;
        }
        std::thread::sleep(Duration::from_millis(200));
    }
    let text = std::fs::read_to_string(log).unwrap_or_default();
    panic!("the MLflow server did not start: {text}");
}
