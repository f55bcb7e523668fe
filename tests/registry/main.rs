//! Every way to name a model, against a real `mlflow server`: resolved, served, and its answer
//! compared with that of the same model in a plain directory.
//!
//! Python logs and registers the models (`populate.py`); nothing in the tests writes to the server.

#![allow(
    clippy::expect_used,
    clippy::unwrap_used,
    clippy::panic,
    reason = "helpers of tests fail as tests do"
)]

mod server;

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use mlrs_testing::{Mlrs, mlrs_binary, python, skipped, workspace_root};
use server::Registry;

/// `mlrs` with an environment that names the server and a cache of its own.
fn mlrs(tracking_uri: Option<&str>, cache: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(mlrs_binary().unwrap());
    command
        .args(arguments)
        .env("MLRS_CACHE_DIR", cache)
        .env_remove("MLFLOW_TRACKING_URI")
        .env("HOME", cache);
    if let Some(uri) = tracking_uri {
        command.env("MLFLOW_TRACKING_URI", uri);
    }
    command.output().unwrap()
}

fn standard_error(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn iris() -> PathBuf {
    workspace_root().join("examples/iris")
}

/// The answer of a served model to its own example.
fn answer(server: &Mlrs) -> String {
    let body = std::fs::read(iris().join("serving_input_example.json")).unwrap();
    let answer = server.invoke(Some("application/json"), &body).unwrap();
    assert_eq!(answer.status, 200, "{}", answer.body);
    answer.body
}

/// The files below a directory and what is in them.
fn files(root: &Path) -> Vec<(String, Vec<u8>)> {
    let mut found = Vec::new();
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                let name = path.strip_prefix(root).unwrap().display().to_string();
                found.push((name, std::fs::read(&path).unwrap()));
            }
        }
    }
    found.sort();
    found
}

/// One test, because one server serves all of its parts and takes long to start.
#[test]
fn an_mlflow_server_and_its_models() {
    if let Err(error) = python() {
        skipped("model URIs against an MLflow server", &error.to_string());
        return;
    }
    let registry = server::start();
    every_uri_is_resolved_and_served(&registry);
    what_is_pulled_is_what_mlflow_downloads(&registry);
    a_version_that_was_fetched_needs_no_artifacts_again(&registry);
    failures_say_which_lookup_failed_and_what_to_check(&registry);
}

fn every_uri_is_resolved_and_served(registry: &Registry) {
    let cache = tempfile::tempdir().unwrap();
    let backend = ["--backend", "tract"];
    let expected = answer(&Mlrs::serve(&iris(), &backend).unwrap());
    let zip = cache.path().join("iris.zip");
    let packed = mlrs(
        None,
        cache.path(),
        &[
            "pack",
            &iris().display().to_string(),
            &zip.display().to_string(),
        ],
    );
    assert!(packed.status.success(), "{}", standard_error(&packed));
    let mut uris: Vec<String> = [
        "iris/1",
        "iris/2",
        "iris/Production",
        "iris/production",
        "iris/latest",
        "iris/Latest",
        "iris@champion",
        "iris of 2.0/1",
        "iris of 2.0@champion",
    ]
    .map(|rest| format!("models:/{rest}"))
    .into();
    uris.push(format!("models:/{}", registry.model_ids[0]));
    uris.push(format!("runs:/{}/model", registry.run_id));
    uris.push(format!("runs:/{}/first", registry.run_id));
    uris.push(registry.artifacts.clone());
    uris.push(format!("file://{}", iris().display()));
    uris.push(iris().display().to_string());
    uris.push(zip.display().to_string());
    let cache_text = cache.path().display().to_string();
    for uri in uris {
        let served = Mlrs::serve_with(
            Path::new(&uri),
            &["--backend", "tract", "--cache-dir", &cache_text],
            &[("MLFLOW_TRACKING_URI", &registry.address)],
        );
        assert_eq!(
            answer(&served.unwrap_or_else(|error| panic!("{uri}: {error:?}"))),
            expected,
            "{uri}"
        );
    }
}

fn what_is_pulled_is_what_mlflow_downloads(registry: &Registry) {
    let scratch = tempfile::tempdir().unwrap();
    for (index, (uri, theirs)) in registry.downloads.iter().enumerate() {
        let ours = scratch.path().join(format!("pulled-{index}"));
        let pulled = mlrs(
            Some(&registry.address),
            scratch.path(),
            &["pull", uri, "-d", &ours.display().to_string()],
        );
        assert!(
            pulled.status.success(),
            "{uri}: {}",
            standard_error(&pulled)
        );
        // MLflow puts the artifacts of a run below the name of the folder.
        let below = theirs.join("model");
        let theirs = if below.is_dir() {
            below
        } else {
            theirs.clone()
        };
        let (ours, theirs) = (files(&ours), files(&theirs));
        let names = |files: &[(String, Vec<u8>)]| {
            files
                .iter()
                .map(|(name, _)| name.clone())
                .collect::<Vec<_>>()
        };
        assert_eq!(names(&ours), names(&theirs), "{uri}");
        assert!(ours == theirs, "{uri}: the files differ");
    }
}

fn a_version_that_was_fetched_needs_no_artifacts_again(registry: &Registry) {
    let cache = tempfile::tempdir().unwrap();
    let pull = || {
        let pulled = mlrs(
            Some(&registry.address),
            cache.path(),
            &["pull", "models:/iris/1"],
        );
        assert!(pulled.status.success(), "{}", standard_error(&pulled));
        PathBuf::from(String::from_utf8(pulled.stdout).unwrap().trim())
    };
    let path = pull();
    let written = |path: &Path| {
        std::fs::metadata(path.join("model.onnx"))
            .unwrap()
            .modified()
            .unwrap()
    };
    let before = written(&path);
    assert_eq!(pull(), path);
    assert_eq!(written(&path), before);
    // A damaged copy is fetched again.
    std::fs::write(path.join("model.onnx"), b"cut").unwrap();
    assert_eq!(pull(), path);
    assert_eq!(
        std::fs::read(path.join("model.onnx")).unwrap(),
        std::fs::read(iris().join("model.onnx")).unwrap()
    );
}

fn failures_say_which_lookup_failed_and_what_to_check(registry: &Registry) {
    let cache = tempfile::tempdir().unwrap();
    let unknown_run = format!("runs:/{}/model", "0".repeat(32));
    let unknown_model = format!("models:/m-{}", "0".repeat(32));
    let cases: [(&str, &str); 9] = [
        (
            "models:/nope/1",
            "version `1` of the registered model `nope`",
        ),
        (
            "models:/iris/99",
            "version `99` of the registered model `iris`",
        ),
        (
            "models:/iris@nobody",
            "the alias `nobody` of the registered model `iris`",
        ),
        (
            "models:/iris/Staging",
            "no versions of model with name `iris` and stage `Staging`",
        ),
        (
            "models:/iris/Bogus",
            "the stage `Bogus` of the registered model `iris`",
        ),
        (
            "models:/empty/latest",
            "no versions of model with name `empty`",
        ),
        (&unknown_model, "the logged model `m-"),
        (&unknown_run, "the run `0000"),
        ("models:/", "is not a model in a registry"),
    ];
    for (uri, expected) in cases {
        let output = mlrs(Some(&registry.address), cache.path(), &["pull", uri]);
        let text = standard_error(&output);
        assert_eq!(output.status.code(), Some(1), "{uri}: {text}");
        assert!(text.contains(expected), "{uri}: {text}");
    }
}

#[test]
fn a_server_that_is_not_there_is_told_at_once() {
    let cache = tempfile::tempdir().unwrap();
    let begin = Instant::now();
    let output = mlrs(
        Some("http://127.0.0.1:9"),
        cache.path(),
        &["pull", "models:/iris/1"],
    );
    let text = standard_error(&output);
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(
        text.contains("127.0.0.1:9") && text.contains("hint:"),
        "{text}"
    );
    // MLflow's own retries would go on for minutes.
    assert!(
        begin.elapsed() < Duration::from_secs(30),
        "{:?}",
        begin.elapsed()
    );
    let output = mlrs(None, cache.path(), &["pull", "models:/iris/1"]);
    let text = standard_error(&output);
    assert!(
        text.contains("no tracking server is set") && text.contains("hint: set MLFLOW_"),
        "{text}"
    );
    assert!(
        text.contains("MLFLOW_TRACKING_URI") || text.contains("MLFLOW_REGISTRY_URI"),
        "{text}"
    );
}
