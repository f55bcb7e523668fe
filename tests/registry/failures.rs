//! What is said when there is no model: which lookup failed, and what to check.

use std::net::TcpListener;
use std::path::Path;
use std::time::{Duration, Instant};

use mlrs_testing::mlrs_binary;

use crate::gate::Gate;
use crate::server::Registry;
use crate::{mlrs, standard_error};

/// Runs `mlrs pull`, which must fail with a hint, and returns what it says.
fn failure(variables: &[(&str, &str)], uri: &str) -> String {
    let cache = tempfile::tempdir().unwrap();
    let output = mlrs(variables, cache.path(), &["pull", uri]);
    let text = standard_error(&output);
    assert_eq!(output.status.code(), Some(1), "{uri}: {text}");
    assert!(text.starts_with("error: "), "{uri}: {text}");
    let hints = text.lines().filter(|line| line.starts_with("  hint: "));
    assert_eq!(hints.count(), 1, "{uri}: {text}");
    assert!(output.stdout.is_empty(), "{uri}");
    assert!(!has_model(cache.path()), "{uri}: something is left behind");
    text
}

/// Whether the cache has an entry, finished or not.
fn has_model(cache: &Path) -> bool {
    let entries = std::fs::read_dir(cache.join("models"));
    entries.is_ok_and(|entries| {
        entries
            .map(|entry| entry.unwrap().file_name())
            .any(|name| !name.to_string_lossy().starts_with('.'))
    })
}

fn says(variables: &[(&str, &str)], uri: &str, parts: &[&str]) {
    let text = failure(variables, uri);
    for part in parts {
        assert!(text.contains(part), "{uri}: {part} is not in {text}");
    }
}

/// Each question that a server may answer with no.
pub fn every_failure_says_what_was_looked_up_and_what_to_check(registry: &Registry) {
    let zeros = "0".repeat(32);
    let run = &registry.run_id;
    let cases: &[(&str, &[&str])] = &[
        (
            "models:/nope/1",
            &[
                "version `1` of the registered model `nope`",
                "404",
                "check the name",
            ],
        ),
        (
            "models:/Iris/1",
            &[
                "version `1` of the registered model `Iris`",
                "case-sensitive",
            ],
        ),
        (
            "models:/iris/99",
            &[
                "version `99` of the registered model `iris`",
                "check the name",
            ],
        ),
        (
            "models:/iris@nobody",
            &[
                "the alias `nobody` of the registered model `iris`",
                "alias nobody not found",
                "an alias is case-sensitive",
            ],
        ),
        (
            "models:/iris/Staging",
            &[
                "no versions of model with name `iris` and stage `Staging` found",
                "move a version to this stage",
            ],
        ),
        (
            "models:/iris/Bogus",
            &[
                "the stage `Bogus` of the registered model `iris`",
                "one of None, Staging, Production",
            ],
        ),
        (
            "models:/nope/latest",
            &[
                "the latest version of the registered model `nope`",
                "check the name",
            ],
        ),
        (
            "models:/empty/latest",
            &[
                "no versions of model with name `empty` found",
                "register a version",
            ],
        ),
        (
            &format!("models:/m-{zeros}"),
            &[&format!("the logged model `m-{zeros}`"), "check the name"],
        ),
        (
            &format!("runs:/{zeros}/model"),
            &[&format!("the run `{zeros}`"), "check the name"],
        ),
        (
            &format!("runs:/{run}/nothing"),
            &["no artifact `nothing`", "check the path"],
        ),
        (
            "models:/iris/1/nothing",
            &["no artifact `nothing`", "check the path"],
        ),
        (
            "mlflow-artifacts:/no/where",
            &["no artifact `where`", "check the path"],
        ),
        (
            "models:/",
            &[
                "`models:/` is not a model in a registry",
                "models:/<name>/<version>",
            ],
        ),
        (
            "models://profile/iris/1",
            &["names the registry `profile`", "MLFLOW_REGISTRY_URI"],
        ),
        ("runs:/", &["`runs:/` is not", "runs:/<run id>/<path>"]),
        ("dbfs:/model", &["the scheme `dbfs`", "local path"]),
    ];
    for (uri, parts) in cases {
        says(&[("MLFLOW_TRACKING_URI", &registry.address)], uri, parts);
    }
}

/// A server behind a password, as with MLflow's `basic-auth`.
pub fn a_password_is_asked_for_and_never_shown(registry: &Registry) {
    // `anna:secret` in the form of HTTP Basic.
    let gate = Gate::before(&registry.address, Some("Basic YW5uYTpzZWNyZXQ="));
    let address = gate.address();
    let with = |password: &'static str| {
        [
            ("MLFLOW_TRACKING_URI", address.clone()),
            ("MLFLOW_TRACKING_USERNAME", "anna".to_owned()),
            ("MLFLOW_TRACKING_PASSWORD", password.to_owned()),
        ]
    };
    let uri = "models:/iris/1";
    let refused = [
        "version `1`",
        "401",
        "You are not authenticated",
        "MLFLOW_TRACKING_USERNAME",
    ];
    says(&[("MLFLOW_TRACKING_URI", &address)], uri, &refused);
    assert_eq!(gate.asked().len(), 1, "asking again would not help");
    let wrong = with("guessed");
    let wrong = wrong
        .each_ref()
        .map(|(name, value)| (*name, value.as_str()));
    says(&wrong, uri, &refused);
    assert!(!failure(&wrong, uri).contains("guessed"));
    let in_address = address.replace("http://", "http://anna:guessed@");
    assert!(!failure(&[("MLFLOW_TRACKING_URI", &in_address)], uri).contains("guessed"));

    let cache = tempfile::tempdir().unwrap();
    let right = with("secret");
    let right = right
        .each_ref()
        .map(|(name, value)| (*name, value.as_str()));
    let output = mlrs(&right, cache.path(), &["pull", uri]);
    assert!(output.status.success(), "{}", standard_error(&output));
}

#[test]
fn a_server_that_is_not_there_is_told_at_once() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    // Built before the clock runs.
    mlrs_binary().unwrap();
    let run = format!("runs:/{}/model", "0".repeat(32));
    for uri in [
        "models:/iris/1",
        "models:/iris@champion",
        &run,
        "mlflow-artifacts:/1/x",
    ] {
        let begin = Instant::now();
        let parts = ["cannot reach the server", &address, "MLFLOW_TRACKING_URI"];
        says(&[("MLFLOW_TRACKING_URI", &address)], uri, &parts);
        // MLflow's own retries would go on for minutes.
        let waited = begin.elapsed();
        assert!(waited < Duration::from_secs(5), "{uri}: {waited:?}");
    }
}

#[test]
fn without_a_server_the_variable_is_named() {
    let run = format!("runs:/{}/model", "0".repeat(32));
    for uri in [
        "models:/iris/1",
        "models:/iris@champion",
        "models:/m-1",
        &run,
    ] {
        let set = "set MLFLOW_TRACKING_URI to the address of a server";
        says(
            &[],
            uri,
            &["cannot look up", "no tracking server is set", set],
        );
        let database = [("MLFLOW_TRACKING_URI", "sqlite:///mlflow.db")];
        let parts = ["`sqlite:///mlflow.db` is not the address", "mlflow server"];
        says(&database, uri, &parts);
    }
    let parts = ["served by a tracking server", "set MLFLOW_TRACKING_URI"];
    says(&[], "mlflow-artifacts:/1/x", &parts);
}
