//! What an operator allows clients to name: hosts of artifacts, and sources of model versions.
//! `mlflow server` and `mlrs server` get the same variables and the same requests.

use std::process::Command;

use mlrs_testing::{Client, MlflowServer, MlrsServer, mlrs_binary, python, skipped};
use serde_json::{Value, json};

const VARIABLES: &[(&str, &str)] = &[
    (
        "MLFLOW_ALLOWED_HOST_ADDRESSED_ARTIFACT_SCHEMES",
        " ftp, HDFS",
    ),
    (
        "MLFLOW_CREATE_MODEL_VERSION_SOURCE_VALIDATION_REGEX",
        r"^(ftp|hdfs|viewfs|sftp)://\w+(:\d+)?/|box",
    ),
];

/// The host of this one may be named, because it is the server's own.
const ROOT: &[&str] = &["--default-artifact-root", "sftp://store:2222/root"];

/// Places, as the root of an experiment and as the source of a version.
const PLACES: &[&str] = &[
    "ftp://host/x",
    "FTP://host/x",
    "hdfs://host:8020/x",
    "hdfs:///x",
    "viewfs://host/x",
    "sftp://store:2222/other",
    "sftp://user@STORE:2222/other",
    "sftp://store/other",
    "sftp://store:2222@elsewhere/other",
    "sftp://store:2222x/box",
    "http://host/box",
    "mlflow-artifacts://host/box",
    "abfss://box@account.dfs.core.windows.net/x",
    "s3://box/x",
    "s3://bo/x",
    "dbfs:/nothing",
];

struct Server<'a>(&'a str);

impl Server<'_> {
    fn post(&self, path: &str, body: &Value) -> (u16, Value) {
        let url = format!("{}/api/2.0/mlflow/{path}", self.0);
        let kind = Some("application/json");
        let answer = Client::new().post(&url, kind, body.to_string().as_bytes());
        let answer = answer.unwrap();
        (answer.status, serde_json::from_str(&answer.body).unwrap())
    }

    /// What becomes of each place: a status, and why it is refused.
    fn answers(&self) -> Vec<String> {
        self.post("registered-models/create", &json!({ "name": "m" }));
        let mut answers = Vec::new();
        for (number, place) in PLACES.iter().enumerate() {
            let experiment = json!({ "name": number.to_string(), "artifact_location": place });
            let version = json!({ "name": "m", "source": place });
            for (path, body) in [
                ("experiments/create", experiment),
                ("model-versions/create", version),
            ] {
                let (status, answer) = self.post(path, &body);
                let reason = &answer["message"];
                answers.push(format!("{path} of {place}: {status} {reason}"));
            }
        }
        answers
    }
}

#[test]
fn hosts_and_sources_are_taken_as_mlflow_takes_them() {
    if let Err(error) = python() {
        return skipped("what operators allow", &error.to_string());
    }
    let oracle = MlflowServer::start_with(ROOT, VARIABLES).unwrap();
    let subject = MlrsServer::start_with(ROOT, VARIABLES).unwrap();
    let expected = Server(oracle.address()).answers();
    let taken = expected
        .iter()
        .filter(|line| line.contains(": 200"))
        .count();
    assert!(
        (8..=20).contains(&taken),
        "{taken} are taken: {expected:#?}"
    );
    let found = Server(subject.address()).answers();
    for (found, expected) in found.iter().zip(&expected) {
        assert_eq!(found, expected);
    }
}

#[test]
fn a_pattern_that_cannot_be_used_keeps_the_server_from_starting() {
    for (pattern, reason) in [
        ("(?=s3)", "look-around"),
        ("^s3://[", "unclosed character class"),
        ("a++", "possessive"),
    ] {
        let output = Command::new(mlrs_binary().unwrap())
            .args(["server", "--port", "0", "--artifacts-only"])
            .env(VARIABLES[1].0, pattern)
            .output()
            .unwrap();
        let errors = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{errors}");
        assert!(errors.contains(reason), "{errors}");
        assert!(errors.contains(VARIABLES[1].0), "{errors}");
    }
}
