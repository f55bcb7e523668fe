//! The options of `mlflow server`: those that apply do what they say, the others say why not.

use std::process::Command;

use mlrs_testing::{Answer, Client, MlrsServer, mlrs_binary, python, skipped};
use serde_json::{Value, json};

fn post(client: &Client, url: &str, body: &Value) -> Answer {
    let kind = Some("application/json");
    client.post(url, kind, body.to_string().as_bytes()).unwrap()
}

#[test]
fn options_without_meaning_are_refused_by_name() {
    for arguments in [
        &["--gunicorn-opts", "-w 4"][..],
        &["--waitress-opts", "x"],
        &["--uvicorn-opts", "x"],
        &["--dev"],
        &["--app-name", "basic-auth"],
        &["--trace-archival-config", "x.yaml"],
        &["--secrets-cache-ttl", "60"],
        &["--secrets-cache-max-size", "10"],
        &["--workspace-store-uri", "x"],
        &["--enable-workspaces"],
        &["--read-replica-backend-store-uri", "sqlite:///x.db"],
    ] {
        let output = Command::new(mlrs_binary().unwrap())
            .args(["server", "--port", "0"])
            .args(arguments)
            .output()
            .unwrap();
        let errors = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{errors}");
        assert!(errors.contains(arguments[0]), "{errors}");
        assert!(errors.contains("hint: "), "{errors}");
    }
    let variable = Command::new(mlrs_binary().unwrap())
        .args(["server", "--port", "0"])
        .env("MLFLOW_ENABLE_WORKSPACES", "true")
        .output()
        .unwrap();
    let errors = String::from_utf8_lossy(&variable.stderr);
    assert!(errors.contains("--enable-workspaces"), "{errors}");
}

#[test]
fn artifacts_may_be_left_to_the_clients() {
    let server = MlrsServer::start(&["--no-serve-artifacts", "--workers", "1"]).unwrap();
    let client = Client::new();
    let api = format!("{}/api/2.0", server.address());
    let proxied = format!("{api}/mlflow-artifacts/artifacts/x");
    let refused = client.send("PUT", &proxied, None, Some(b"x")).unwrap();
    assert_eq!(refused.status, 501, "{refused:?}");
    assert!(refused.body.contains("--no-serve-artifacts"), "{refused:?}");
    let made = post(
        &client,
        &format!("{api}/mlflow/experiments/create"),
        &json!({ "name": "e" }),
    );
    assert_eq!(made.status, 200, "{made:?}");
    let found = client
        .get(&format!("{api}/mlflow/experiments/get?experiment_id=1"))
        .unwrap();
    assert!(found.body.contains("mlruns/1\""), "{found:?}");
}

#[test]
fn a_server_may_serve_artifacts_only() {
    let server = MlrsServer::start(&["--artifacts-only"]).unwrap();
    let client = Client::new();
    let api = format!("{}/api/2.0", server.address());
    let proxied = format!("{api}/mlflow-artifacts/artifacts/a/x");
    let put = client
        .send("PUT", &proxied, None, Some(b"content"))
        .unwrap();
    assert_eq!(put.status, 200, "{put:?}");
    assert_eq!(client.get(&proxied).unwrap().body, "content");
    let refused = post(&client, &format!("{api}/mlflow/runs/create"), &json!({}));
    assert_eq!(refused.status, 501, "{refused:?}");
    assert!(refused.body.contains("--artifacts-only"), "{refused:?}");
    assert!(!server.folder().join("mlflow.db").exists());
}

#[test]
fn every_path_may_have_a_prefix() {
    let server = MlrsServer::start(&["--static-prefix", "/team/mlflow"]).unwrap();
    let client = Client::new();
    let address = format!("{}/team/mlflow", server.address());
    assert_eq!(client.get(&format!("{address}/health")).unwrap().body, "OK");
    let outside = client.get(&format!("{}/health", server.address())).unwrap();
    assert_eq!(outside.status, 404, "{outside:?}");
    let page = client.get(&format!("{address}/")).unwrap();
    assert_eq!(page.status, 200, "{page:?}");
    let python = match python() {
        Ok(python) => python,
        Err(error) => return skipped("the Python client below a prefix", &error.to_string()),
    };
    let script = "import mlflow\n\
        with mlflow.start_run() as run:\n\
        \x20   mlflow.log_metric('m', 1)\n\
        \x20   mlflow.log_text('t', 'a/b.txt')\n\
        assert mlflow.artifacts.load_text(run.info.artifact_uri + '/a/b.txt') == 't'";
    let output = Command::new(python)
        .args(["-c", script])
        .env("MLFLOW_TRACKING_URI", &address)
        .current_dir(server.folder())
        .output()
        .unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");
}

#[test]
fn the_registry_may_have_a_database_of_its_own() {
    let folder = tempfile::tempdir().unwrap();
    let uri = |name: &str| format!("sqlite:///{}", folder.path().join(name).display());
    let (runs, models) = (uri("runs.db"), uri("models.db"));
    let made = |server: &MlrsServer| {
        let url = format!(
            "{}/api/2.0/mlflow/registered-models/create",
            server.address()
        );
        post(&Client::new(), &url, &json!({ "name": "m" })).status
    };
    let both = [
        "--backend-store-uri",
        &runs,
        "--registry-store-uri",
        &models,
    ];
    let server = MlrsServer::start(&both).unwrap();
    assert_eq!(made(&server), 200);
    drop(server);
    let server = MlrsServer::start(&["--backend-store-uri", &models]).unwrap();
    assert_eq!(
        made(&server),
        400,
        "the model is in the database of the registry"
    );
    drop(server);
    let server = MlrsServer::start(&["--backend-store-uri", &runs]).unwrap();
    assert_eq!(made(&server), 200, "and in no other");
}
