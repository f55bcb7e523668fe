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
    let output = Command::new(mlrs_binary().unwrap())
        .args([
            "server",
            "--port",
            "0",
            "--gunicorn-opts",
            "-w 4 --timeout 60",
        ])
        .output()
        .unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(errors.contains("instead of `-w`, `--workers`"), "{errors}");
    for path in ["./mlruns", "file:///srv/mlruns"] {
        let output = Command::new(mlrs_binary().unwrap())
            .args(["server", "--port", "0", "--backend-store-uri", path])
            .output()
            .unwrap();
        let errors = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{errors}");
        assert!(errors.contains("mlrs import-filestore"), "{errors}");
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
    let directory = server.folder().canonicalize().unwrap();
    let location = format!("\"{}/mlruns/1\"", directory.display());
    assert!(found.body.contains(&location), "{found:?}");
}

#[test]
fn the_host_has_the_short_name_of_mlflow() {
    for command in ["server", "ui"] {
        let output = Command::new(mlrs_binary().unwrap())
            .args([
                command,
                "-h",
                "no.such.host.invalid",
                "-p",
                "0",
                "--artifacts-only",
            ])
            .output()
            .unwrap();
        let errors = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{output:?}");
        assert!(errors.contains("no.such.host.invalid"), "{errors}");
        let help = Command::new(mlrs_binary().unwrap())
            .args([command, "--help"])
            .output()
            .unwrap();
        let help = String::from_utf8_lossy(&help.stdout);
        assert!(help.contains("-h, --host <ADDRESS>"), "{help}");
    }
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

#[test]
fn more_characters_in_names_are_taken_where_that_is_asked_for() {
    for (arguments, status) in [(&[][..], 400), (&["--relaxed-names"], 200)] {
        let server = MlrsServer::start(arguments).unwrap();
        let client = Client::new();
        let api = format!("{}/api/2.0/mlflow", server.address());
        let run = post(
            &client,
            &format!("{api}/runs/create"),
            &json!({ "experiment_id": "0" }),
        );
        let run: Value = serde_json::from_str(&run.body).unwrap();
        let run_id = &run["run"]["info"]["run_id"];
        let metric = |key| json!({ "key": key, "value": 1, "timestamp": 1 });
        let param = |key| json!({ "key": key, "value": "1" });
        let batch = json!({ "run_id": run_id, "metrics": [metric("precision@10")],
            "params": [param("f(x,y)=z")] });
        let mut single = metric("layer[0]/w");
        single["run_id"] = run_id.clone();
        let mut one = param("layer[0]");
        one["run_id"] = run_id.clone();
        for (path, body) in [
            ("log-batch", &batch),
            ("log-metric", &single),
            ("log-parameter", &one),
        ] {
            let logged = post(&client, &format!("{api}/runs/{path}"), body);
            assert_eq!(logged.status, status, "{path} {arguments:?}: {logged:?}");
        }
        // Others are refused all the same.
        let mut bad = metric("a#b");
        bad["run_id"] = run_id.clone();
        let refused = post(&client, &format!("{api}/runs/log-metric"), &bad);
        assert_eq!(refused.status, 400, "{refused:?}");
        if status == 200 {
            let filter = "metrics.`precision@10` > 0 AND params.\"f(x,y)=z\" = '1'";
            let search = json!({ "experiment_ids": ["0"], "filter": filter });
            let found = post(&client, &format!("{api}/runs/search"), &search);
            assert!(found.body.contains("layer[0]/w"), "{found:?}");
        }
    }
}

/// The command line of a process, as `ps` shows it.
fn command_line(process: u32) -> String {
    let line = std::fs::read(format!("/proc/{process}/cmdline")).unwrap();
    String::from_utf8_lossy(&line).replace('\0', " ")
}

#[test]
fn a_password_does_not_stay_on_the_command_line() {
    // It takes connections and says nothing, so the server waits.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = silent.local_addr().unwrap().port();
    let uri = format!("postgresql://ann:s3cret@127.0.0.1:{port}/d?sslmode=disable");
    let mut server = Command::new(mlrs_binary().unwrap())
        .args(["server", "--backend-store-uri", &uri, "--port", "0"])
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let (mut connection, _) = silent.accept().unwrap();
    let shown = command_line(server.id());
    let mut first = [0; 64];
    let length = std::io::Read::read(&mut connection, &mut first).unwrap();
    server.kill().unwrap();
    let output = server.wait_with_output().unwrap();
    assert!(shown.contains("server --port 0"), "{shown}");
    assert!(!shown.contains("s3cret"), "{shown}");
    // It is the same database, and the user is told.
    assert!(
        String::from_utf8_lossy(&first[..length]).contains("ann"),
        "{first:?}"
    );
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(
        errors.contains("PGPASSFILE") && !errors.contains("s3cret"),
        "{errors}"
    );
}

#[test]
fn runs_of_a_file_store_that_is_there_are_pointed_to() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir_all(folder.path().join("mlruns/0")).unwrap();
    std::fs::write(folder.path().join("mlruns/0/meta.yaml"), "name: Default\n").unwrap();
    let start = || {
        let mut command = Command::new(mlrs_binary().unwrap());
        command.args(["server", "--port", "0"]);
        command.env_remove("MLFLOW_BACKEND_STORE_URI");
        command.current_dir(folder.path());
        let patience = std::time::Duration::from_mins(1);
        mlrs_testing::AddressedProcess::start(&mut command, patience).unwrap()
    };
    assert!(start().log().contains("mlrs import-filestore ./mlruns"));
    assert!(
        !start().log().contains("import-filestore"),
        "the database is there now"
    );
}
