//! The database is MLflow's: made alike, used in place, by both at once, and refused when it is of
//! another revision.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::{Command, Stdio};

use mlrs_testing::{Client, MlrsServer, Postgres, mlrs_binary, python, skipped, workspace_root};
use serde_json::{Value, json};

fn script(arguments: &[&str]) -> Command {
    let mut command = Command::new(python().unwrap());
    command
        .arg(workspace_root().join("tests/python/share_database.py"))
        .args(arguments)
        .stderr(Stdio::null());
    command
}

fn told(arguments: &[&str]) -> String {
    let output = script(arguments).output().unwrap();
    assert!(output.status.success(), "{arguments:?}");
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

fn post(address: &str, path: &str, body: &Value) -> Value {
    let url = format!("{address}/api/2.0/mlflow/{path}");
    let body = body.to_string();
    let answer = Client::new()
        .post(&url, Some("application/json"), body.as_bytes())
        .unwrap();
    assert_eq!(answer.status, 200, "{path}: {}", answer.body);
    serde_json::from_str(&answer.body).unwrap()
}

fn runs_of(address: &str, experiment: &str) -> Vec<Value> {
    let body = json!({ "experiment_ids": [experiment], "max_results": 1000 });
    let found = post(address, "runs/search", &body);
    found["runs"].as_array().cloned().unwrap_or_default()
}

/// The address of a file of SQLite.
fn sqlite(file: &Path) -> String {
    format!("sqlite:///{}", file.display())
}

/// A cluster of PostgreSQL for the test, if the machine has it.
fn postgres() -> Option<Postgres> {
    Postgres::start()
        .map_err(|error| skipped("databases of PostgreSQL", &error.to_string()))
        .ok()
}

fn upgrade(uri: &str) {
    let upgraded = Command::new(python().unwrap())
        .args(["-m", "mlflow", "db", "upgrade", uri])
        .output()
        .unwrap();
    assert!(upgraded.status.success(), "{upgraded:?}");
}

fn has_python() -> bool {
    if let Err(error) = python() {
        skipped("databases shared with MLflow", &error.to_string());
        return false;
    }
    true
}

#[test]
fn a_database_of_mlrs_is_one_of_mlflow() {
    if !has_python() {
        return;
    }
    let server = MlrsServer::start(&[]).unwrap();
    let file = server.folder().join("mlflow.db").display().to_string();
    let schemas: Value = serde_json::from_str(&told(&["schema", &file])).unwrap();
    let entries = |name: &str| -> BTreeSet<String> {
        let entries = schemas[name].as_array().unwrap();
        entries.iter().map(Value::to_string).collect()
    };
    let (found, expected) = (entries("found"), entries("expected"));
    assert_eq!(expected.difference(&found).next(), None, "is not there");
    let added: Vec<&String> = found.difference(&expected).collect();
    assert!(
        added.iter().all(|entry| entry.contains("\"mlrs_")),
        "{added:#?}"
    );
    assert_eq!(added.len(), 3, "the indexes that the README names");
    upgrade(&sqlite(Path::new(&file)));
}

#[test]
fn a_database_of_mlrs_on_postgresql_is_one_of_mlflow() {
    if !has_python() {
        return;
    }
    let Some(cluster) = postgres() else { return };
    let (ours, theirs) = (
        cluster.database("ours").unwrap(),
        cluster.database("theirs").unwrap(),
    );
    told(&["fresh", &theirs]);
    MlrsServer::start(&["--backend-store-uri", &ours]).unwrap();
    let lines = |uri: &str| -> Vec<String> {
        let dump = cluster.schema(uri).unwrap();
        let lines = dump
            .lines()
            .map(|line| line.trim_end_matches(',').to_owned());
        // A key of the session that dumps, which differs each time.
        let mut lines: Vec<String> = lines.filter(|line| !line.contains("restrict ")).collect();
        lines.retain(|line| !line.is_empty() && !line.starts_with("--"));
        lines.sort_unstable();
        lines
    };
    let (mut found, mut expected) = (lines(&ours), lines(&theirs));
    found.retain(|line| !line.starts_with("CREATE INDEX mlrs_runs "));
    assert_eq!(found.len(), expected.len());
    // Only what differs is shown.
    let same: BTreeSet<String> = found.iter().cloned().collect();
    found.retain(|line| !expected.contains(line));
    expected.retain(|line| !same.contains(line));
    assert_eq!(found, expected);
    upgrade(&ours);
}

#[test]
fn both_write_to_one_database_at_once() {
    if !has_python() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    write_together(&sqlite(&folder.path().join("mlflow.db")));
    if let Some(cluster) = postgres() {
        write_together(&cluster.database("shared").unwrap());
    }
}

fn write_together(uri: &str) {
    let server = MlrsServer::start(&["--backend-store-uri", uri]).unwrap();
    let made = post(
        server.address(),
        "experiments/create",
        &json!({ "name": "shared" }),
    );
    let experiment = made["experiment_id"].as_str().unwrap();
    let mut other = script(&["write", uri, "30"])
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let mut written = 0;
    while other.try_wait().unwrap().is_none() {
        let body = json!({ "experiment_id": experiment, "run_name": "of mlrs" });
        let run = post(server.address(), "runs/create", &body);
        let id = &run["run"]["info"]["run_id"];
        let metric = json!({ "run_id": id, "key": "m", "value": written, "timestamp": 1 });
        post(server.address(), "runs/log-metric", &metric);
        written += 1;
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    assert!(other.wait().unwrap().success());
    let runs = runs_of(server.address(), experiment);
    assert_eq!(runs.len(), written + 30);
    assert!(
        runs.iter()
            .all(|run| run["data"]["metrics"][0]["key"] == "m")
    );
    assert_eq!(told(&["write", uri, "0"]), (written + 30).to_string());
}

fn start_on(uri: &str) -> std::process::Output {
    Command::new(mlrs_binary().unwrap())
        .args(["server", "--port", "0", "--backend-store-uri", uri])
        .output()
        .unwrap()
}

#[test]
fn a_database_that_python_made_is_used_in_place_and_another_revision_is_refused() {
    if !has_python() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    use_and_refuse(&sqlite(&folder.path().join("python.db")));
    if let Some(cluster) = postgres() {
        use_and_refuse(&cluster.database("python").unwrap());
    }
}

fn use_and_refuse(uri: &str) {
    let run_id = told(&["make", uri]);
    {
        let server = MlrsServer::start(&["--backend-store-uri", uri]).unwrap();
        let url = format!(
            "{}/api/2.0/mlflow/runs/get?run_id={run_id}",
            server.address()
        );
        let answer = Client::new().get(&url).unwrap();
        let run: Value = serde_json::from_str(&answer.body).unwrap();
        assert_eq!(
            run["run"]["info"]["run_name"], "made by python",
            "{}",
            answer.body
        );
        assert_eq!(run["run"]["data"]["metrics"][0]["value"], 1.5);
    }
    told(&["revision", uri, "0123456789ab"]);
    let refused = start_on(uri);
    let errors = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(!refused.status.success());
    assert!(errors.contains("schema revision 0123456789ab"), "{errors}");
    assert!(errors.contains("mlflow db upgrade"), "{errors}");

    told(&["forget", uri]);
    let errors = String::from_utf8_lossy(&start_on(uri).stderr).into_owned();
    assert!(errors.contains("has no schema of MLflow"), "{errors}");
}

#[test]
fn connections_are_encrypted_as_asked() {
    let cluster = match Postgres::start_encrypted() {
        Ok(cluster) => cluster,
        Err(error) => return skipped("encrypted connections", &error.to_string()),
    };
    let uri = cluster.database("encrypted").unwrap();
    let by_name = uri.replace("127.0.0.1", "localhost");
    let authority = cluster.authority().display().to_string();
    let (verify_ca, verify_full) = (
        "sslmode=verify-ca&sslrootcert",
        "sslmode=verify-full&sslrootcert",
    );
    for taken in [
        format!("{uri}?sslmode=require"),
        uri.clone(),
        format!("{uri}?{verify_ca}={authority}"),
        format!("{by_name}?{verify_full}={authority}"),
    ] {
        MlrsServer::start(&["--backend-store-uri", &taken]).unwrap();
    }
    for (refused, reason) in [
        (format!("{uri}?sslmode=disable"), "no encryption"),
        (
            format!("{uri}?{verify_full}={authority}"),
            "not valid for name",
        ),
        (format!("{by_name}?sslmode=verify-full"), "UnknownIssuer"),
        (format!("{uri}?{verify_ca}=/nowhere.pem"), "/nowhere.pem"),
    ] {
        let output = start_on(&refused);
        let errors = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{refused}: {errors}");
        assert!(errors.contains(reason), "{refused}: {errors}");
    }
}
