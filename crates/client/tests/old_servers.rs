//! Logging a model on a server from before MLflow 3, which has no logged models: it belongs to a run.

#![allow(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

mod common;

use std::path::Path;

use common::{RawServer, chain, json};
use mlrs_client::tracking::{ModelOwner, NewVersion, TrackingClient};

/// A server that knows runs, whose artifacts are in a folder of this machine, and nothing newer.
fn server(artifacts: &Path) -> RawServer {
    let artifacts = artifacts.display().to_string();
    RawServer::start(move |seen| {
        let info = serde_json::json!({
            "run_id": "r1", "run_uuid": "r1", "experiment_id": "0", "run_name": "net",
            "status": "RUNNING", "lifecycle_stage": "active", "artifact_uri": artifacts,
        });
        match seen.target.as_str() {
            "/api/2.0/mlflow/runs/create" => {
                json(&serde_json::json!({"run": {"info": info, "data": {}}}).to_string())
            }
            "/api/2.0/mlflow/runs/update" => {
                json(&serde_json::json!({"run_info": info}).to_string())
            }
            "/api/2.0/mlflow/runs/log-model" => json("{}"),
            _ => {
                b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".to_vec()
            }
        }
    })
}

/// A model directory without anything but what makes it one.
fn model() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(
        folder.path().join("MLmodel"),
        "flavors: {}\nmodel_uuid: u\n",
    )
    .unwrap();
    std::fs::write(folder.path().join("weights"), "w").unwrap();
    folder
}

fn asked(server: &RawServer) -> Vec<String> {
    let seen = server.seen.lock().unwrap();
    let names = seen.iter().map(|seen| seen.target.rsplit('/').next());
    names.flatten().map(str::to_owned).collect()
}

#[tokio::test]
async fn a_model_without_a_run_gets_one() {
    let (artifacts, model) = (tempfile::tempdir().unwrap(), model());
    let server = server(artifacts.path());
    let client = TrackingClient::connect(&server.address).unwrap();
    let owner = ModelOwner::Experiment("0");
    let saved = client
        .log_model_directory(owner, "net", model.path(), &mlrs_client::silent)
        .await
        .unwrap();
    assert_eq!(saved.uri, "runs:/r1/net");
    assert_eq!(
        (saved.run_id.as_deref(), saved.model_id.as_deref()),
        (Some("r1"), None)
    );
    let manifest = std::fs::read_to_string(artifacts.path().join("net/MLmodel")).unwrap();
    assert!(manifest.contains("run_id: r1\n"), "{manifest}");
    assert!(artifacts.path().join("net/weights").exists());
    assert_eq!(
        asked(&server),
        ["logged-models", "create", "log-model", "update"]
    );
    // The version is made of the artifacts, which such a server knows.
    let version = format!("{:?}", NewVersion::of("net", &saved));
    assert!(version.contains(&saved.artifact_uri), "{version}");
}

#[tokio::test]
async fn a_run_whose_upload_fails_is_ended() {
    let (artifacts, model) = (tempfile::tempdir().unwrap(), model());
    let taken = artifacts.path().join("taken");
    std::fs::write(&taken, "a file").unwrap();
    let server = server(&taken);
    let client = TrackingClient::connect(&server.address).unwrap();
    let owner = ModelOwner::Experiment("0");
    let refused = client
        .log_model_directory(owner, "net", model.path(), &mlrs_client::silent)
        .await
        .unwrap_err();
    assert!(chain(&refused).contains("taken"), "{}", chain(&refused));
    assert_eq!(asked(&server), ["logged-models", "create", "update"]);
}
