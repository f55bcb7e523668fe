//! MLflow's own Python client and command line, with nothing changed but the address; and a model
//! of this server, served.

use std::path::Path;
use std::process::Command;

use mlrs_testing::{Client, Mlrs, MlrsServer, Postgres, python, skipped, workspace_root};

/// Runs Python in a folder with a server, and returns what it said.
pub(crate) fn run(python: &Path, address: &str, folder: &Path, arguments: &[&str]) -> String {
    let output = Command::new(python)
        .args(arguments)
        .env("MLFLOW_TRACKING_URI", address)
        .env("HOME", folder)
        .current_dir(folder)
        .output()
        .unwrap();
    let (out, errors) = (
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
    );
    assert!(output.status.success(), "{out}{errors}");
    out.into_owned()
}

#[test]
fn the_python_client_does_not_notice_the_difference() {
    let python = match python() {
        Ok(python) => python,
        Err(error) => return skipped("the Python client", &error.to_string()),
    };
    use_client(&python, &MlrsServer::start(&[]).unwrap());
}

#[test]
fn the_python_client_does_not_notice_postgresql() {
    let (python, cluster) = match (python(), Postgres::start()) {
        (Ok(python), Ok(cluster)) => (python, cluster),
        (Err(error), _) | (_, Err(error)) => {
            return skipped("the Python client on PostgreSQL", &error.to_string());
        }
    };
    let uri = cluster.database("client").unwrap();
    use_client(
        &python,
        &MlrsServer::start(&["--backend-store-uri", &uri]).unwrap(),
    );
}

fn use_client(python: &Path, server: &MlrsServer) {
    let script = workspace_root().join("tests/python/use_client.py");
    let run = |arguments: &[&str]| run(python, server.address(), server.folder(), arguments);
    let used = run(&[&script.display().to_string()]);
    let last: serde_json::Value = serde_json::from_str(used.lines().last().unwrap()).unwrap();
    let run_id = last["run_id"].as_str().unwrap();

    let mlflow = |arguments: &[&str]| run(&[&["-m", "mlflow"], arguments].concat());
    assert!(mlflow(&["experiments", "search"]).contains("fluent"));
    assert!(mlflow(&["runs", "describe", "--run-id", run_id]).contains("parent"));
    let listed = mlflow(&["artifacts", "list", "--run-id", run_id]);
    assert!(listed.contains("texts"), "{listed}");

    let scoring = Mlrs::serve_with(
        Path::new("models:/negative@champion"),
        &["--compat", "mlflow"],
        &[
            ("MLFLOW_TRACKING_URI", server.address()),
            (
                "MLRS_CACHE_DIR",
                &server.folder().join("cache").display().to_string(),
            ),
        ],
    );
    let answer = scoring
        .unwrap()
        .invoke(Some("application/json"), br#"{"inputs": [[1.0, 2.0]]}"#)
        .unwrap();
    assert_eq!(answer.status, 200, "{}", answer.body);
    assert_eq!(answer.body, r#"{"predictions":{"y":[[-1.0,-2.0]]}}"#);

    let metrics = Client::new()
        .get(&format!("{}/metrics", server.address()))
        .unwrap();
    let mut failed = metrics.body.lines();
    let failed = failed.find(|line| line.contains(r#"status="500""#) && !line.ends_with(" 0"));
    assert_eq!(failed, None);
}
