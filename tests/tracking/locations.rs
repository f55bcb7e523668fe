//! Where artifacts are kept: relative roots are made absolute as MLflow does, and places that are not
//! the server's own are not reached with its permissions.

use std::path::Path;

use mlrs_testing::{Client, MlflowServer, MlrsServer, Postgres, S3Server, python, skipped};
use serde_json::{Value, json};

use crate::upkeep::{mlrs, script, sqlite, text};

/// A server that is asked, and the directory that it was started in.
struct Subject<'a> {
    address: &'a str,
    directory: &'a Path,
}

impl Subject<'_> {
    fn ask(&self, path: &str, body: &Value) -> (u16, Value) {
        let url = format!("{}/api/2.0/mlflow/{path}", self.address);
        let kind = Some("application/json");
        let answer = Client::new().post(&url, kind, body.to_string().as_bytes());
        let answer = answer.unwrap();
        (
            answer.status,
            serde_json::from_str(&answer.body).unwrap_or_default(),
        )
    }

    fn get(&self, path: &str) -> (u16, Value) {
        let answer = Client::new()
            .get(&format!("{}{path}", self.address))
            .unwrap();
        (
            answer.status,
            serde_json::from_str(&answer.body).unwrap_or_default(),
        )
    }

    /// A run of a new experiment with this location; where the experiment and the run keep artifacts,
    /// without what differs between servers, or the error.
    fn locations(&self, name: &str, location: Option<&str>) -> String {
        let mut body = json!({ "name": name });
        if let Some(location) = location {
            body["artifact_location"] = json!(location);
        }
        let (status, made) = self.ask("experiments/create", &body);
        let Some(id) = made["experiment_id"].as_str() else {
            return format!("{} {}", status / 100, made["message"]);
        };
        let (_, found) = self.get(&format!(
            "/api/2.0/mlflow/experiments/get?experiment_id={id}"
        ));
        let (_, run) = self.ask("runs/create", &json!({ "experiment_id": id }));
        let info = &run["run"]["info"];
        let directory = self.directory.display().to_string();
        format!(
            "{} {}",
            found["experiment"]["artifact_location"], info["artifact_uri"]
        )
        .replace(info["run_id"].as_str().unwrap(), "RUN")
        .replace(&directory, "DIRECTORY")
    }
}

/// Roots of experiments that mean something only together with a working directory, and some more.
const LOCATIONS: &[Option<&str>] = &[
    None,
    Some("x"),
    Some("./x"),
    Some("x/"),
    Some("."),
    Some("../x"),
    Some("a//./b"),
    Some("a%20b"),
    Some("ä b"),
    Some("~/x"),
    Some("x?y=z"),
    Some("1x:y"),
    Some("file:x"),
    Some("file:./x"),
    Some("file:x?y=z"),
    Some("file:/abs/x"),
    Some("file:///abs/x"),
    Some("file://localhost/abs"),
    Some("/abs/a%20b"),
    Some("/abs/x?y"),
    Some("//host/x"),
    Some("s3://box/x"),
    Some("dbfs:/x"),
];

#[test]
fn relative_roots_are_stored_as_mlflow_stores_them() {
    if let Err(error) = python() {
        return skipped("relative artifact roots", &error.to_string());
    }
    for arguments in [
        &["--no-serve-artifacts"][..],
        &["--default-artifact-root", "./roots"],
        &["--default-artifact-root", "file:roots/a"],
    ] {
        let oracle = MlflowServer::start_with(arguments, &[]).unwrap();
        let server = MlrsServer::start(arguments).unwrap();
        let answers = |address: &str, directory: &Path| -> Vec<String> {
            let directory = &directory.canonicalize().unwrap();
            let subject = Subject { address, directory };
            let (_, zero) = subject.get("/api/2.0/mlflow/experiments/get?experiment_id=0");
            let zero = zero["experiment"]["artifact_location"].to_string();
            let mut answers = vec![zero.replace(&directory.display().to_string(), "DIRECTORY")];
            for (number, location) in LOCATIONS.iter().enumerate() {
                let found = subject.locations(&number.to_string(), *location);
                answers.push(format!("{location:?}: {found}"));
            }
            answers
        };
        let expected = answers(oracle.address(), oracle.folder());
        assert!(expected[0].contains("DIRECTORY/"), "{expected:#?}");
        let found = answers(server.address(), server.folder());
        assert_eq!(found, expected, "{arguments:?}");
    }
}

#[test]
fn a_client_elsewhere_and_the_server_mean_the_same_directory() {
    let python = match python() {
        Ok(python) => python,
        Err(error) => return skipped("a client beside --no-serve-artifacts", &error.to_string()),
    };
    let server = MlrsServer::start(&["--no-serve-artifacts"]).unwrap();
    let elsewhere = tempfile::tempdir().unwrap();
    let script = "import mlflow\n\
        with mlflow.start_run() as run:\n\
        \x20   mlflow.log_text('content', 'a/b.txt')\n\
        print(run.info.run_id)";
    let output = std::process::Command::new(python)
        .args(["-c", script])
        .env("MLFLOW_TRACKING_URI", server.address())
        .current_dir(elsewhere.path())
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    let told = text(&output.stdout);
    let run_id = told.lines().rfind(|line| line.len() == 32).unwrap();
    let subject = Subject {
        address: server.address(),
        directory: server.folder(),
    };
    let (status, listed) = subject.get(&format!(
        "/api/2.0/mlflow/artifacts/list?run_id={run_id}&path=a"
    ));
    assert_eq!(
        (status, &listed["files"][0]["path"]),
        (200, &json!("a/b.txt")),
        "{listed}"
    );
    assert!(!elsewhere.path().join("mlruns").exists());
}

#[test]
fn relative_locations_of_earlier_servers_are_found_and_made_absolute() {
    if let Err(error) = python() {
        return skipped("relative locations in databases", &error.to_string());
    }
    let folder = tempfile::tempdir().unwrap();
    find_and_resolve(&sqlite(&folder.path().join("mlflow.db")));
    match Postgres::start() {
        Ok(cluster) => find_and_resolve(&cluster.database("relative").unwrap()),
        Err(error) => skipped("relative locations on PostgreSQL", &error.to_string()),
    }
}

fn find_and_resolve(uri: &str) {
    script("share_database.py", &["make", uri]);
    script("share_database.py", &["models", uri]);
    assert!(mlrs(&["db", "upgrade", uri]).status.success());
    assert!(mlrs(&["db", "check", uri]).status.success());
    let before = script("share_database.py", &["locations", uri]);
    script("share_database.py", &["relative", uri]);
    let check = mlrs(&["db", "check", uri]);
    assert_eq!(check.status.code(), Some(1), "{check:?}");
    let told = text(&check.stdout);
    for line in [
        "1 in experiments.artifact_location, such as `./mlruns/1`",
        "1 in runs.artifact_uri, such as `./mlruns/1/",
        "1 in logged_models.artifact_location, such as `./mlruns/1/models/",
        "1 in model_versions.source, such as `./mlruns/1/",
        "1 in model_versions.storage_location, such as `./mlruns/1/",
    ] {
        assert!(told.contains(line), "{line}: {told}");
    }
    let errors = text(&check.stderr);
    assert!(errors.contains("mlrs db resolve-locations"), "{errors}");

    let server = MlrsServer::start(&["--backend-store-uri", uri]);
    let mut server = server.unwrap();
    let doctor = mlrs(&["doctor", "--tracking-uri", server.address()]);
    let told = text(&doctor.stdout);
    assert!(told.contains("1 experiments, such as `shared`"), "{told}");
    assert!(told.contains("mlrs db resolve-locations"), "{told}");
    let log = server.log();
    assert!(
        log.contains("artifact locations in the database are relative"),
        "{log}"
    );
    drop(server);

    let base = tempfile::tempdir().unwrap();
    let directory = base.path().canonicalize().unwrap().display().to_string();
    let resolve = |further: &[&str]| {
        let command = ["db", "resolve-locations", uri, "--working-directory"];
        mlrs(&[&command[..], &[directory.as_str()], further].concat())
    };
    let dry = resolve(&["--dry-run"]);
    assert!(
        text(&dry.stdout).contains("would be made absolute"),
        "{dry:?}"
    );
    assert_eq!(mlrs(&["db", "check", uri]).status.code(), Some(1));
    let resolved = resolve(&[]);
    assert!(resolved.status.success(), "{resolved:?}");
    assert!(mlrs(&["db", "check", uri]).status.success());
    assert!(text(&resolve(&[]).stdout).contains("nothing to do"));
    // What was relative is below the directory, and nothing else has changed.
    let after = script("share_database.py", &["locations", uri]).to_string();
    let expected = before
        .to_string()
        .replace("mlflow-artifacts:/1", &format!("{directory}/mlruns/1"));
    assert_eq!(after, expected);
    assert!(after.contains("\"prompt-template\""), "{after}");
}

#[test]
fn buckets_of_others_are_not_reached_with_the_permissions_of_the_server() {
    let s3 = match S3Server::start() {
        Ok(s3) => s3,
        Err(error) => return skipped("buckets of others", &error.to_string()),
    };
    s3.put("payroll/salaries.csv", b"secret").unwrap();
    let destination = ["--artifacts-destination", "s3://box/team"];
    let server = MlrsServer::start_with(&destination, &s3.variables()).unwrap();
    let asked_before = s3.requests().unwrap();
    for place in [
        "s3://box/payroll",
        "s3a://box/payroll",
        "s3://box",
        "s3://box/teams",
    ] {
        for (request, (status, answer)) in reach(&server, place) {
            assert_eq!(status, 400, "{request} in {place}: {answer}");
            let message = answer["message"].as_str().unwrap();
            assert!(message.contains("--allowed-artifact-roots"), "{answer}");
        }
    }
    assert_eq!(s3.requests().unwrap(), asked_before);
    let own = reach(&server, "s3://box/team/1");
    assert!(own.iter().any(|(_, (status, _))| *status == 200), "{own:?}");
    drop(server);

    for allowed in ["s3://box/payroll", "s3://", "/nowhere, s3://box"] {
        let arguments = [&destination[..], &["--allowed-artifact-roots", allowed]].concat();
        let server = MlrsServer::start_with(&arguments, &s3.variables()).unwrap();
        for (request, (status, answer)) in reach(&server, "s3://box/payroll") {
            assert!(
                !answer.to_string().contains("allowed-artifact-roots"),
                "{request}"
            );
            assert!([200, 404].contains(&status), "{request}: {status} {answer}");
        }
    }
}

/// Every way in which a client has the server reach the artifacts of a run and of a logged model.
fn reach(server: &MlrsServer, location: &str) -> Vec<(&'static str, (u16, Value))> {
    let subject = Subject {
        address: server.address(),
        directory: server.folder(),
    };
    let name = format!("in {location}");
    let body = json!({ "name": name, "artifact_location": location });
    let (status, made) = subject.ask("experiments/create", &body);
    assert_eq!(status, 200, "{made}");
    let id = &made["experiment_id"];
    let (_, run) = subject.ask("runs/create", &json!({ "experiment_id": id }));
    let run = run["run"]["info"]["run_id"].as_str().unwrap();
    let model = json!({ "experiment_id": id, "name": "m" });
    let (_, model) = subject.ask("logged-models", &model);
    let model = model["model"]["info"]["model_id"].as_str().unwrap();
    let upload = format!("/ajax-api/2.0/mlflow/upload-artifact?run_uuid={run}&path=x");
    let uploaded = Client::new()
        .post(
            &format!("{}{upload}", server.address()),
            Some("application/octet-stream"),
            b"content",
        )
        .unwrap();
    let uploaded = (
        uploaded.status,
        serde_json::from_str(&uploaded.body).unwrap_or_default(),
    );
    let in_run = json!({ "run_id": run, "path": "x" });
    let in_model = json!({ "model_id": model, "path": "x" });
    vec![
        ("upload", uploaded),
        (
            "list",
            subject.get(&format!("/api/2.0/mlflow/artifacts/list?run_id={run}")),
        ),
        (
            "list of a model",
            subject.get(&format!(
                "/api/2.0/mlflow/logged-models/{model}/artifacts/directories"
            )),
        ),
        (
            "get-artifact",
            subject.get(&format!("/get-artifact?run_id={run}&path=x")),
        ),
        (
            "presigned download",
            subject.ask("artifacts/presigned-download-url", &in_run),
        ),
        (
            "presigned upload",
            subject.ask("artifacts/presigned-upload-url", &in_run),
        ),
        (
            "presigned upload to a model",
            subject.ask("artifacts/presigned-upload-url", &in_model),
        ),
    ]
}

#[test]
fn several_local_roots_can_be_allowed() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path().canonicalize().unwrap();
    let place = |name: &str| folder.join(name).display().to_string();
    let allowed = format!("{},file://{}", place("one"), place("two"));
    let server = MlrsServer::start(&["--allowed-artifact-roots", &allowed]).unwrap();
    for (name, is_allowed) in [
        ("one/1", true),
        ("two", true),
        ("three", false),
        ("one2", false),
    ] {
        let (_, (status, answer)) = reach(&server, &place(name)).swap_remove(1);
        let expected = if is_allowed { 200 } else { 400 };
        assert_eq!(status, expected, "{name}: {answer}");
    }
    drop(server);
    let refused = mlrs(&[
        "server",
        "--port",
        "0",
        "--allowed-artifact-roots",
        "hdfs://x",
    ]);
    assert_eq!(refused.status.code(), Some(1), "{refused:?}");
    let errors = text(&refused.stderr);
    assert!(
        errors.contains("`hdfs://x` in --allowed-artifact-roots"),
        "{errors}"
    );
}
