//! The dashboard of a team's servers: a real Prometheus finds in mlrs what it asks for.

use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use mlrs_testing::{Client, Mlrs, MlrsServer, skipped, workspace_root};
use serde_json::Value;

use crate::build::{iris, request};

fn docker_folder() -> PathBuf {
    workspace_root().join("docker")
}

/// A Prometheus, which ends with this value.
struct Prometheus {
    process: Child,
    address: String,
    _folder: tempfile::TempDir,
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Prometheus {
    /// Starts it with the file of the team, looking at these servers instead, every second.
    fn start(tracking: &str, model: &str) -> Result<Self, String> {
        let folder = tempfile::tempdir().unwrap();
        let text = std::fs::read_to_string(docker_folder().join("prometheus.yml")).unwrap();
        let host = |address: &str| address.trim_start_matches("http://").to_owned();
        let text = text
            .replace("scrape_interval: 15s", "scrape_interval: 1s")
            .replace("tracking:5000", &host(tracking))
            .replace("model:8080", &host(model));
        let config = folder.path().join("prometheus.yml");
        std::fs::write(&config, text).unwrap();
        let port = TcpListener::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap()
            .port();
        let listen = format!("127.0.0.1:{port}");
        let process = Command::new("prometheus")
            .arg(format!("--config.file={}", config.display()))
            .arg(format!(
                "--storage.tsdb.path={}",
                folder.path().join("data").display()
            ))
            .arg(format!("--web.listen-address={listen}"))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .map_err(|error| format!("`prometheus` cannot be run: {error}"))?;
        Ok(Self {
            process,
            address: format!("http://{listen}"),
            _folder: folder,
        })
    }

    /// The series that an expression has now.
    fn series(&self, client: &Client, expression: &str) -> usize {
        // As a form has it: everything by its number.
        let bytes = expression.bytes().map(|byte| format!("%{byte:02X}"));
        let encoded = bytes.collect::<Vec<_>>().concat();
        let url = format!("{}/api/v1/query?query={encoded}", self.address);
        let Ok(answer) = client.get(&url) else {
            return 0;
        };
        let found: Value = serde_json::from_str(&answer.body).unwrap_or_default();
        assert_ne!(found["errorType"], "bad_data", "{expression}: {found}");
        found["data"]["result"].as_array().map_or(0, Vec::len)
    }
}

/// The expressions of the dashboard.
fn expressions() -> Vec<String> {
    let text = std::fs::read(docker_folder().join("grafana/mlrs.json")).unwrap();
    let dashboard: Value = serde_json::from_slice(&text).unwrap();
    let panels = dashboard["panels"].as_array().unwrap().iter();
    panels
        .filter_map(|panel| panel["targets"].as_array())
        .flatten()
        .map(|target| target["expr"].as_str().unwrap().to_owned())
        .collect()
}

#[test]
fn the_dashboard_finds_everything_that_it_asks_for() {
    let model = Mlrs::serve(&iris(), &["--backend", "tract"]).unwrap();
    let tracking = MlrsServer::start(&[]).unwrap();
    let prometheus = match Prometheus::start(tracking.address(), model.address()) {
        Ok(prometheus) => prometheus,
        Err(error) => return skipped("the dashboard", &error),
    };
    let client = Client::new();
    let mut waiting = expressions();
    assert!(waiting.len() > 12, "{waiting:?}");
    let begin = Instant::now();
    while !waiting.is_empty() {
        assert!(
            begin.elapsed() < Duration::from_mins(1),
            "nothing for {waiting:#?}"
        );
        let asked = client.post(
            &format!("{}/invocations", model.address()),
            Some("application/json"),
            &request(),
        );
        assert_eq!(asked.unwrap().status, 200);
        client
            .get(&format!("{}/health", tracking.address()))
            .unwrap();
        std::thread::sleep(Duration::from_millis(200));
        waiting.retain(|expression| prometheus.series(&client, expression) == 0);
    }
}
