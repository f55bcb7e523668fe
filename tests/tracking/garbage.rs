//! `mlrs gc` beside `mlflow gc`: the same database, copied, has the same rows afterwards.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use mlrs_testing::{Client, MlrsServer, Postgres, python, skipped};
use serde_json::{Value, json};

use crate::upkeep::{mlrs, script, sqlite, text};

fn rows(file: &Path) -> Value {
    script("file_store.py", &["rows", &file.display().to_string()])
}

fn has_python() -> bool {
    if let Err(error) = python() {
        skipped("garbage beside MLflow", &error.to_string());
        return false;
    }
    true
}

/// The files below a folder.
fn files(folder: &Path) -> BTreeSet<PathBuf> {
    let Ok(entries) = fs::read_dir(folder) else {
        return BTreeSet::new();
    };
    let paths = entries.map(|entry| entry.unwrap().path());
    paths
        .flat_map(|path| {
            if path.is_dir() {
                files(&path)
            } else {
                BTreeSet::from([path])
            }
        })
        .collect()
}

fn copy(from: &Path, to: &Path) {
    let copied = Command::new("cp").arg("-r").arg(from).arg(to).status();
    assert!(copied.unwrap().success());
}

/// A database that MLflow made, and its artifacts, to be collected more than once.
struct Garbage {
    folder: tempfile::TempDir,
    ids: BTreeMap<String, String>,
}

impl Garbage {
    fn make() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (file, artifacts) = (folder.path().join("made.db"), folder.path().join("art"));
        let ids = script(
            "garbage.py",
            &[
                "make",
                &file.display().to_string(),
                &artifacts.display().to_string(),
            ],
        );
        copy(&artifacts, &folder.path().join("kept"));
        Self {
            folder,
            ids: serde_json::from_value(ids).unwrap(),
        }
    }

    /// Copies the database, brings the artifacts back, and lets `collect` work on them.
    fn after(
        &self,
        name: &str,
        collect: impl FnOnce(&str) -> Output,
    ) -> (Output, Value, BTreeSet<PathBuf>) {
        let path = self.folder.path();
        let (file, artifacts) = (path.join(format!("{name}.db")), path.join("art"));
        fs::copy(path.join("made.db"), &file).unwrap();
        fs::remove_dir_all(&artifacts).unwrap();
        copy(&path.join("kept"), &artifacts);
        let output = collect(&sqlite(&file));
        let rows = rows(&file);
        let files = files(&artifacts);
        for end in ["", "-wal", "-shm"] {
            let _ = fs::remove_file(path.join(format!("{name}.db{end}")));
        }
        (output, rows, files)
    }

    fn mlflow(&self, arguments: &[&str]) -> (Output, Value, BTreeSet<PathBuf>) {
        self.after("theirs", |uri| {
            Command::new(python().unwrap())
                .args(["-m", "mlflow", "gc", "--backend-store-uri", uri])
                .args(["--tracking-uri", uri])
                .args(arguments)
                .output()
                .unwrap()
        })
    }

    fn mlrs(&self, arguments: &[&str]) -> (Output, Value, BTreeSet<PathBuf>) {
        self.after("ours", |uri| {
            mlrs(&[&["gc", "--backend-store-uri", uri], arguments].concat())
        })
    }
}

#[test]
fn the_rows_that_are_left_are_those_that_mlflow_leaves() {
    if !has_python() {
        return;
    }
    let garbage = Garbage::make();
    let id = |name: &str| garbage.ids[name].as_str();
    let before = rows(&garbage.folder.path().join("made.db"));
    let cases: [(&[&str], bool); 8] = [
        (&[], true),
        (&["--older-than", "10d"], true),
        (&["--run-ids", id("deleted")], true),
        (&["--experiment-ids", id("gone")], true),
        (
            &[
                "--logged-model-ids",
                id("deleted model"),
                "--older-than",
                "0.5s",
            ],
            true,
        ),
        (&["--run-ids", id("active")], false),
        (&["--experiment-ids", id("kept")], false),
        (
            &["--logged-model-ids", "m-none", "--run-ids", id("deleted")],
            false,
        ),
    ];
    // The age that two of the cases ask for.
    std::thread::sleep(std::time::Duration::from_secs(1));
    for (arguments, succeeds) in cases {
        let (found, our_rows, our_files) = garbage.mlrs(arguments);
        let told = format!(
            "{arguments:?}: {}{}",
            text(&found.stdout),
            text(&found.stderr)
        );
        assert_eq!(found.status.success(), succeeds, "{told}");
        if !succeeds {
            // MLflow deletes what comes before the refusal; here nothing is.
            assert_eq!(our_rows, before, "{told}");
            continue;
        }
        let (expected, their_rows, their_files) = garbage.mlflow(arguments);
        assert!(expected.status.success(), "{}", text(&expected.stderr));
        assert_ne!(their_rows, before, "{told}");
        for (table, rows) in their_rows.as_object().unwrap() {
            assert_eq!(&our_rows[table], rows, "{table}: {told}");
        }
        // Files of models go with their experiment; MLflow leaves them, and no row names them.
        let of_gone = |file: &&PathBuf| file.display().to_string().contains("/gone/models/");
        let more: Vec<&PathBuf> = their_files.difference(&our_files).collect();
        assert!(more.iter().all(of_gone), "{more:?}");
        assert_eq!(our_files.difference(&their_files).next(), None, "{told}");
    }
}

fn post(server: &MlrsServer, path: &str, body: &Value) -> Value {
    let url = format!("{}/api/2.0/mlflow/{path}", server.address());
    let body = body.to_string();
    let answer = Client::new().post(&url, Some("application/json"), body.as_bytes());
    let answer = answer.unwrap();
    assert_eq!(answer.status, 200, "{path}: {}", answer.body);
    serde_json::from_str(&answer.body).unwrap()
}

#[test]
fn artifacts_behind_the_server_go_before_their_rows() {
    let folder = tempfile::tempdir().unwrap();
    collect_proxied(&sqlite(&folder.path().join("mlflow.db")));
    match Postgres::start() {
        Ok(cluster) => collect_proxied(&cluster.database("garbage").unwrap()),
        Err(error) => skipped("garbage on PostgreSQL", &error.to_string()),
    }
}

fn collect_proxied(uri: &str) {
    let server = MlrsServer::start(&["--backend-store-uri", uri]).unwrap();
    let made = post(&server, "experiments/create", &json!({ "name": "gone" }));
    let experiment = made["experiment_id"].as_str().unwrap();
    let mut runs = Vec::new();
    for experiment in ["0", "0", experiment] {
        let run = post(
            &server,
            "runs/create",
            &json!({ "experiment_id": experiment }),
        );
        let id = run["run"]["info"]["run_id"].as_str().unwrap().to_owned();
        let logged = json!({ "run_id": id, "metrics": [{ "key": "m", "value": 1, "timestamp": 1 }],
            "params": [{ "key": "p", "value": "v" }] });
        post(&server, "runs/log-batch", &logged);
        let path = format!("{experiment}/{id}/artifacts/a/file");
        let url = format!(
            "{}/api/2.0/mlflow-artifacts/artifacts/{path}",
            server.address()
        );
        let put = Client::new()
            .send("PUT", &url, None, Some(b"text"))
            .unwrap();
        assert_eq!(put.status, 200, "{put:?}");
        runs.push((id, server.folder().join("mlartifacts").join(path)));
    }
    post(&server, "runs/delete", &json!({ "run_id": runs[1].0 }));
    post(
        &server,
        "experiments/delete",
        &json!({ "experiment_id": experiment }),
    );
    let status = |id: &str| {
        let url = format!("{}/api/2.0/mlflow/runs/get?run_id={id}", server.address());
        Client::new().get(&url).unwrap().status
    };
    let all = |expected: [bool; 3]| {
        for ((id, file), is_there) in runs.iter().zip(expected) {
            assert_eq!(file.exists(), is_there, "{}", file.display());
            assert_eq!(status(id), if is_there { 200 } else { 404 });
        }
    };
    let destination = server.folder().join("mlartifacts").display().to_string();
    let gc = |destination: &str, more: &[&str]| {
        let words = [
            "gc",
            "--backend-store-uri",
            uri,
            "--artifacts-destination",
            destination,
        ];
        mlrs(&[&words, more].concat())
    };
    let dry = gc(&destination, &["--dry-run"]);
    assert!(dry.status.success(), "{dry:?}");
    assert_eq!(
        text(&dry.stdout).matches("would be deleted").count(),
        3,
        "{dry:?}"
    );
    all([true, true, true]);
    let wrong = gc("./nowhere-at-all", &[]);
    assert_eq!(wrong.status.code(), Some(1));
    let told = text(&wrong.stdout);
    assert!(
        told.contains("the artifacts destination is not there"),
        "{told}"
    );
    assert!(
        told.contains(&format!("stays: experiment {experiment}")),
        "{told}"
    );
    all([true, true, true]);
    let ended = gc(&destination, &[]);
    assert!(ended.status.success(), "{ended:?}");
    all([true, false, false]);
    let url = format!(
        "{}/api/2.0/mlflow/experiments/get?experiment_id={experiment}",
        server.address()
    );
    assert_eq!(Client::new().get(&url).unwrap().status, 404);
    assert_eq!(text(&gc(&destination, &[]).stdout), "");
}

/// A deleted run of a new server with a file, and that file.
fn deleted_run(server: &MlrsServer) -> (String, PathBuf) {
    let run = post(server, "runs/create", &json!({ "experiment_id": "0" }));
    let id = run["run"]["info"]["run_id"].as_str().unwrap().to_owned();
    let path = format!("0/{id}/artifacts/file");
    let url = format!(
        "{}/api/2.0/mlflow-artifacts/artifacts/{path}",
        server.address()
    );
    let put = Client::new()
        .send("PUT", &url, None, Some(b"text"))
        .unwrap();
    assert_eq!(put.status, 200, "{put:?}");
    post(server, "runs/delete", &json!({ "run_id": id }));
    (id, server.folder().join("mlartifacts").join(path))
}

#[test]
fn artifacts_can_be_kept() {
    let server = MlrsServer::start(&[]).unwrap();
    let (id, file) = deleted_run(&server);
    let uri = sqlite(&server.folder().join("mlflow.db"));
    // No destination is opened for it.
    let gc = [
        "gc",
        "--backend-store-uri",
        &uri,
        "--artifacts-destination",
        "s3:",
    ];
    let dry = mlrs(&[&gc[..], &["--keep-artifacts", "--dry-run"]].concat());
    assert!(text(&dry.stdout).contains("artifacts stay in"), "{dry:?}");
    assert!(!mlrs(&gc).status.success());
    let kept = mlrs(&[&gc[..], &["--keep-artifacts"]].concat());
    assert_eq!(
        text(&kept.stdout),
        format!("deleted: run {id}\n"),
        "{kept:?}"
    );
    assert!(file.exists());
    let url = format!("{}/api/2.0/mlflow/runs/get?run_id={id}", server.address());
    assert_eq!(Client::new().get(&url).unwrap().status, 404);
}

#[test]
fn a_relative_root_that_is_not_here_keeps_its_row() {
    if !has_python() {
        return;
    }
    let server = MlrsServer::start(&[]).unwrap();
    let (id, _) = deleted_run(&server);
    let uri = sqlite(&server.folder().join("mlflow.db"));
    script("share_database.py", &["relative", &uri, "0"]);
    let stayed = mlrs(&["gc", "--backend-store-uri", &uri]);
    let told = text(&stayed.stdout);
    assert_eq!(stayed.status.code(), Some(1), "{told}");
    assert!(told.starts_with(&format!("stays: run {id}")), "{told}");
    assert!(told.contains("mlrs db resolve-locations"), "{told}");
}

#[test]
fn what_is_not_collected_is_refused_by_name() {
    for (words, reason) in [
        (&["--jobs"][..], "mlrs runs no jobs"),
        (&["--job-ids", "j"], "mlrs runs no jobs"),
        (&["--workspace", "w"], "one workspace only"),
        (&["--all-workspaces"], "one workspace only"),
        (&["--tracking-uri", "http://x"], "--artifacts-destination"),
    ] {
        let refused = mlrs(&[&["gc"], words].concat());
        let errors = text(&refused.stderr);
        assert_eq!(refused.status.code(), Some(1), "{errors}");
        assert!(
            errors.contains(words[0]) && errors.contains(reason),
            "{errors}"
        );
    }
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("typo.db");
    let refused = mlrs(&["gc", "--backend-store-uri", &sqlite(&file)]);
    assert!(text(&refused.stderr).contains("is empty or not there"));
    assert!(!file.exists());
}
