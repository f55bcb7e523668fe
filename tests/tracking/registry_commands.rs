//! `mlrs registry` and `mlrs doctor`, which MLflow has otherwise or not at all.

use std::path::Path;
use std::process::Command;

use mlrs_testing::{mlrs_binary, workspace_root};
use serde_json::{Value, json};

use crate::desk::Desk;

/// A model directory among the artifacts of a run: its URI, and the run.
fn logged(desk: &Desk) -> (String, String) {
    desk.said(&["experiments", "create", "-n", "e"]);
    let run = desk.json(&["runs", "create", "--experiment-id", "1"]);
    let run_id = run["run_id"].as_str().unwrap();
    let model = workspace_root().join("examples/iris").display().to_string();
    desk.said(&[
        "artifacts",
        "log-artifacts",
        "-l",
        &model,
        "-r",
        run_id,
        "-a",
        "model",
    ]);
    let source = format!("mlflow-artifacts:/1/{run_id}/artifacts/model");
    (source, run_id.to_owned())
}

/// Runs a command of `mlrs registry` for its JSON.
fn registry(desk: &Desk, words: &[&str]) -> Value {
    desk.json(&[&["registry"], words, &["--output", "json"]].concat())
}

#[test]
fn the_registry_is_managed_from_the_command_line() {
    let desk = Desk::new();
    let registry = |words: &[&str]| registry(&desk, words);
    let quiet = |words: &[&str]| desk.said(&[&["registry"], words].concat());
    let (source, run_id) = logged(&desk);
    let made = registry(&[
        "models",
        "create",
        "iris",
        "--description",
        "irises",
        "-t",
        "a=b",
    ]);
    assert_eq!(
        (
            &made["name"],
            &made["description"],
            &made["tags"][0]["value"]
        ),
        (&json!("iris"), &json!("irises"), &json!("b"))
    );
    for number in ["1", "2"] {
        let version = registry(&[
            "versions", "create", "iris", "--source", &source, "--run-id", &run_id,
        ]);
        assert_eq!(
            (&version["version"], &version["run_id"]),
            (&json!(number), &json!(run_id))
        );
    }
    let listed = registry(&["versions", "list", "iris"]);
    assert_eq!(
        (&listed[0]["version"], &listed[1]["version"]),
        (&json!("2"), &json!("1"))
    );
    quiet(&["aliases", "set", "iris", "champion", "2"]);
    assert_eq!(
        registry(&["aliases", "get", "iris", "champion"])["version"],
        "2"
    );
    let moved = registry(&["stages", "transition", "iris", "1", "production"]);
    assert_eq!(moved["current_stage"], "Production");
    registry(&[
        "stages",
        "transition",
        "iris",
        "2",
        "Production",
        "--archive-existing",
    ]);
    assert_eq!(
        registry(&["versions", "get", "iris", "1"])["current_stage"],
        "Archived"
    );
    let shown = quiet(&["models", "list"]);
    assert!(
        shown.contains("iris") && shown.contains("champion → 2"),
        "{shown}"
    );
    let pulled = desk.path("pulled");
    desk.said(&["pull", "models:/iris@champion", "-d", &pulled]);
    assert!(Path::new(&pulled).join("MLmodel").exists());
}

#[test]
fn what_is_deleted_for_good_needs_consent() {
    let desk = Desk::new();
    let (source, run_id) = logged(&desk);
    let registry = |words: &[&str]| registry(&desk, words);
    let quiet = |words: &[&str]| desk.said(&[&["registry"], words].concat());
    let by_run = format!("runs:/{run_id}/model");
    let version = registry(&["versions", "create", "iris", "--source", &by_run]);
    assert_eq!(
        (&version["source"], &version["run_id"]),
        (&json!(source), &json!(run_id))
    );
    registry(&[
        "versions", "create", "iris", "--source", &source, "--run-id", &run_id,
    ]);
    quiet(&["aliases", "set", "iris", "champion", "2"]);
    let ended = desk.mlrs(&["registry", "versions", "delete", "iris", "1"]);
    assert_eq!(
        (ended.code, ended.errors.contains("--yes")),
        (1, true),
        "{}",
        ended.errors
    );
    assert_eq!(
        registry(&["versions", "list", "iris"])
            .as_array()
            .unwrap()
            .len(),
        2
    );
    quiet(&["versions", "delete", "iris", "1", "--yes"]);
    assert_eq!(
        registry(&["versions", "list", "iris"])
            .as_array()
            .unwrap()
            .len(),
        1
    );
    quiet(&["aliases", "delete", "iris", "champion"]);
    assert_eq!(
        desk.mlrs(&["registry", "aliases", "get", "iris", "champion"])
            .code,
        1
    );
    assert_eq!(
        registry(&["models", "rename", "iris", "flowers"])["name"],
        "flowers"
    );
    assert_eq!(desk.mlrs(&["registry", "models", "get", "iris"]).code, 1);
    quiet(&["models", "delete", "flowers", "--yes"]);
    assert_eq!(registry(&["models", "list"]), json!([]));
}

#[test]
fn the_doctor_says_what_is_known_and_no_secret() {
    let desk = Desk::new();
    let found = desk.json(&["doctor", "--output", "json"]);
    assert_eq!(found["mlrs_version"], env!("CARGO_PKG_VERSION"));
    let server = &found["tracking_server"];
    assert_eq!(
        (
            &server["answers"],
            &server["mlflow_version"],
            &server["store"]
        ),
        (&json!(true), &json!("3.17.2"), &json!("SqlStore"))
    );
    assert_eq!(
        found["variables"]["MLFLOW_TRACKING_URI"],
        desk.server.address()
    );
    assert!(found["cache"]["path"].is_string());

    let address = desk
        .server
        .address()
        .replace("http://", "http://anna:geheim@");
    let mut command = Command::new(mlrs_binary().unwrap());
    let output = desk
        .environment(&mut command)
        .env("MLFLOW_TRACKING_URI", address)
        .env("MLFLOW_TRACKING_TOKEN", "geheim")
        .arg("doctor")
        .output()
        .unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(
        output.status.success() && said.contains("MLFLOW_TRACKING_TOKEN: ***"),
        "{said}"
    );
    assert!(
        said.contains("answers: true") && !said.contains("geheim"),
        "{said}"
    );
    let masked = desk.said(&["doctor", "--mask-envs"]);
    assert!(masked.contains("MLFLOW_TRACKING_URI: ***"), "{masked}");
    let away = desk.said(&["doctor", "--tracking-uri", "http://127.0.0.1:9"]);
    assert!(
        away.contains("answers: false") && away.contains("hint: check that the server runs"),
        "{away}"
    );
}
