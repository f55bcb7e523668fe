//! `mlrs import-filestore`: MLflow writes a folder of runs, its own tool and mlrs import it, and
//! every row of every table is compared; and folders that are broken, hostile or only half imported.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use mlrs_testing::{Client, MlrsServer, Postgres, mlrs_binary, python, skipped, workspace_root};
use serde_json::{Value, json};

/// What MLflow's tool imports and mlrs does not: traces.
const NOT_IMPORTED: [&str; 4] = [
    "assessments",
    "trace_info",
    "trace_request_metadata",
    "trace_tags",
];

fn script(arguments: &[&str]) -> String {
    let output = Command::new(python().unwrap())
        .arg(workspace_root().join("tests/python/file_store.py"))
        .args(arguments)
        .output()
        .unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");
    String::from_utf8(output.stdout).unwrap()
}

/// All rows of an SQLite file, table by table.
fn rows(file: &Path) -> BTreeMap<String, Vec<Value>> {
    serde_json::from_str(&script(&["rows", &file.display().to_string()])).unwrap()
}

fn sqlite(file: &Path) -> String {
    format!("sqlite:///{}", file.display())
}

fn command(source: &Path, database: &str) -> Command {
    let mut command = Command::new(mlrs_binary().unwrap());
    command
        .arg("import-filestore")
        .arg(source)
        .args(["--backend-store-uri", database, "--output", "json"])
        .stdin(Stdio::null());
    command
}

fn import(source: &Path, database: &str) -> (Value, Output) {
    let output = command(source, database).output().unwrap();
    let report = serde_json::from_slice(&output.stdout);
    let report = report.unwrap_or_else(|_| panic!("{output:?}"));
    (report, output)
}

/// Imports a folder in which nothing is wrong.
fn import_all(source: &Path, database: &str) -> Value {
    let (report, output) = import(source, database);
    assert_eq!(report["failures"], json!([]));
    assert!(output.status.success(), "{output:?}");
    report
}

fn has_python() -> bool {
    if let Err(error) = python() {
        skipped("imports of file stores", &error.to_string());
        return false;
    }
    true
}

#[test]
fn every_row_is_as_mlflows_own_tool_imports_it() {
    if !has_python() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let source = folder.path().join("mlruns");
    script(&["write", &source.display().to_string()]);
    let (theirs, ours) = (folder.path().join("a.db"), folder.path().join("b.db"));
    let migrated = Command::new(python().unwrap())
        .args(["-m", "mlflow", "migrate-filestore", "--no-progress"])
        .arg("--source")
        .arg(folder.path())
        .args(["--target", &sqlite(&theirs)])
        .output()
        .unwrap();
    assert!(migrated.status.success(), "{migrated:?}");
    // The folder that holds `mlruns` is as good.
    let report = import_all(folder.path(), &sqlite(&ours));
    assert_eq!(report["kinds"]["runs"]["imported"], 8);
    assert_eq!(report["kinds"]["model_versions"]["imported"], 3);
    assert_eq!(
        report["not_imported"],
        json!({ "traces": 1, "assessments": 1, "artifacts_only": [] })
    );

    let (mut expected, mut found) = (rows(&theirs), rows(&ours));
    for table in NOT_IMPORTED {
        assert_ne!(expected.remove(table).unwrap(), [] as [Value; 0], "{table}");
        assert_eq!(found.remove(table).unwrap(), [] as [Value; 0], "{table}");
    }
    assert_eq!(expected["metrics"].len(), 373);
    assert_eq!(expected["registered_model_aliases"].len(), 1);
    assert_eq!(found, expected);

    let again = import_all(&source, &sqlite(&ours));
    assert_eq!(
        again["kinds"]["runs"],
        json!({ "imported": 0, "was_there": 8, "failed": 0 })
    );
    let mut found = rows(&ours);
    found.retain(|table, _| !NOT_IMPORTED.contains(&table.as_str()));
    assert_eq!(found, expected);
    same_on_postgres(&source, &ours);
}

/// What the REST API says of the imported database of SQLite, it says of one of PostgreSQL.
fn same_on_postgres(source: &Path, sqlite_file: &Path) {
    let cluster = match Postgres::start() {
        Ok(cluster) => cluster,
        Err(error) => return skipped("imports into PostgreSQL", &error.to_string()),
    };
    let uri = cluster.database("imported").unwrap();
    let report = import_all(source, &uri);
    // Ids of 18 digits do not fit.
    let renumbered = report["renumbered"].as_array().unwrap();
    assert_eq!(renumbered.len(), 2, "{report}");
    let again = import_all(source, &uri);
    assert_eq!(again["kinds"]["runs"]["was_there"], 8);
    let facts = |uri: &str| facts(&MlrsServer::start(&["--backend-store-uri", uri]).unwrap());
    let (expected, found) = (facts(&sqlite(sqlite_file)), facts(&uri));
    assert_eq!(expected["runs"].as_object().unwrap().len(), 8);
    assert_eq!(found, expected);
}

fn ask(server: &MlrsServer, path: &str, body: Option<&Value>) -> Value {
    let url = format!("{}/api/2.0/mlflow/{path}", server.address());
    let client = Client::new();
    let answer = match body {
        Some(body) => {
            let body = body.to_string();
            client.post(&url, Some("application/json"), body.as_bytes())
        }
        None => client.get(&url),
    };
    let answer = answer.unwrap();
    assert_eq!(answer.status, 200, "{path}: {}", answer.body);
    serde_json::from_str(&answer.body).unwrap()
}

/// Everything that the API tells, with names of experiments instead of their ids.
fn facts(server: &MlrsServer) -> Value {
    let all = json!({ "view_type": "ALL", "max_results": 1000 });
    let found = ask(server, "experiments/search", Some(&all));
    let experiments = found["experiments"].as_array().unwrap().clone();
    let ids: Vec<&Value> = experiments
        .iter()
        .map(|one| &one["experiment_id"])
        .collect();
    let query = json!({ "experiment_ids": ids, "run_view_type": "ALL", "max_results": 1000 });
    let runs = ask(server, "runs/search", Some(&query))["runs"].clone();
    let mut by_id = serde_json::Map::new();
    for run in runs.as_array().unwrap() {
        let id = run["info"]["run_id"].as_str().unwrap();
        let mut histories = Vec::new();
        for metric in run["data"]["metrics"].as_array().into_iter().flatten() {
            let key = metric["key"].as_str().unwrap();
            let path = format!("metrics/get-history?run_id={id}&metric_key={key}");
            histories.push(ask(server, &path, None));
        }
        by_id.insert(id.to_owned(), json!({ "run": run, "histories": histories }));
    }
    let query = json!({ "experiment_ids": ids, "order_by": [{ "field_name": "name" }] });
    let facts = json!({
        "experiments": experiments,
        "runs": by_id,
        "models": ask(server, "logged-models/search", Some(&query)),
        "registered": ask(server, "registered-models/search", None),
        "versions": ask(server, "model-versions/search", None),
        "champion": ask(server, "registered-models/alias?name=net&alias=champion", None),
    });
    let mut facts = facts;
    let list = facts["experiments"].as_array_mut().unwrap();
    list.sort_by_key(|one| one["name"].as_str().unwrap().to_owned());
    let names: Vec<(&Value, &Value)> = experiments
        .iter()
        .map(|one| (&one["experiment_id"], &one["name"]))
        .collect();
    rename(&mut facts, &names);
    facts
}

fn rename(value: &mut Value, names: &[(&Value, &Value)]) {
    match value {
        Value::Object(fields) => {
            if let Some(id) = fields.get_mut("experiment_id") {
                let own = names.iter().find(|(known, _)| *known == id);
                *id = own.unwrap().1.clone();
            }
            fields.values_mut().for_each(|field| rename(field, names));
        }
        Value::Array(items) => items.iter_mut().for_each(|item| rename(item, names)),
        _ => {}
    }
}

/// Writes a file, and the folders that it lies in.
fn put(root: &Path, path: &str, text: &str) {
    let path = root.join(path);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}

fn put_run(root: &Path, experiment: &str, run: &str) {
    put(
        root,
        &format!("{experiment}/{run}/meta.yaml"),
        &format!("run_id: {run}\nrun_name: n\nstatus: 3\nstart_time: 5\nlifecycle_stage: active\n"),
    );
    put(root, &format!("{experiment}/{run}/params/p"), "1");
}

fn put_experiment(root: &Path, id: &str, name: &str) {
    let text =
        format!("name: {name}\nlifecycle_stage: active\ncreation_time: 1\nlast_update_time: 1\n");
    put(root, &format!("{id}/meta.yaml"), &text);
}

/// The reason why each thing failed, by its kind and name.
fn reasons(report: &Value) -> BTreeMap<String, String> {
    let failures = report["failures"].as_array().unwrap().iter();
    failures
        .map(|failure| {
            let text = |field: &str| failure[field].as_str().unwrap().to_owned();
            (format!("{} {}", text("kind"), text("name")), text("reason"))
        })
        .collect()
}

/// A folder in which little is right.
fn put_broken(root: &Path) {
    let secret = root.join("secret");
    put(root, "secret", "hunter2");
    put_experiment(root, "1", "good");
    for run in [
        "fine", "line", "yaml", "link", "huge", "text", "other", "input", "late", "pipe",
    ] {
        put_run(root, "1", run);
    }
    put(root, "1/line/metrics/a/loss", "1 2 3\n1 2\n1 two 3\n");
    put(root, "1/yaml/meta.yaml", "run_id: [yaml\n");
    symlink(&secret, root.join("1/link/params/stolen")).unwrap();
    put(root, "1/huge/tags/t", &"x".repeat((1 << 20) + 1));
    fs::write(root.join("1/text/params/q"), [0xff, 0xfe]).unwrap();
    put(root, "1/other/meta.yaml", "run_id: ../../x\n");
    put(
        root,
        "1/input/inputs/i/meta.yaml",
        "source_type: DATASET\nsource_id: gone\n",
    );
    put(root, "1/late/meta.yaml", "run_id: late\nstart_time: soon\n");
    let pipe = Command::new("mkfifo")
        .arg(root.join("1/pipe/params/q"))
        .status();
    assert!(pipe.unwrap().success());
    fs::create_dir_all(root.join("1/none")).unwrap();
    symlink(root, root.join("1/around")).unwrap();
    put(root, "2/meta.yaml", "lifecycle_stage: active\n");
    put_run(root, "2", "orphan");
    put_experiment(root, "99999999999999999999", "large");
    put(
        root,
        "1/models/m-1/meta.yaml",
        "model_id: m-1\nname: m\nstatus: 2\n",
    );
    put(
        root,
        "1/models/m-1/metrics/q",
        "1 0.5 1 fine\n2 0.5 2 line\n",
    );
    put(root, "models/net/meta.yaml", "name: net\n");
    put(root, "models/net/version-1/meta.yaml", "version: one\n");
}

#[test]
fn what_is_broken_is_named_and_the_rest_is_imported() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    put_broken(root);
    let database = sqlite(&root.join("mlflow.db"));
    let (report, output) = import(root, &database);
    assert_eq!(output.status.code(), Some(1));
    assert!(!String::from_utf8_lossy(&output.stdout).contains("hunter2"));
    let counted = json!({ "imported": 1, "was_there": 0, "failed": 12 });
    assert_eq!(report["kinds"]["runs"], counted, "{report}");
    let found = reasons(&report);
    for (name, reason) in [
        (
            "runs line",
            "`1/line/metrics/a/loss`, line 3: the value is no number",
        ),
        (
            "runs link",
            "`1/link/params/stolen` is a symbolic link, and those are not followed",
        ),
        ("runs huge", "`1/huge/tags/t` has more than 1048576 bytes"),
        ("runs text", "`1/text/params/q` is not UTF-8"),
        (
            "runs other",
            "`1/other/meta.yaml`: `run_id` is not the name of the folder",
        ),
        (
            "runs input",
            "`1/input/inputs/i/meta.yaml`: the dataset of `source_id` cannot be read",
        ),
        (
            "runs late",
            "`1/late/meta.yaml`: `start_time` is no whole number",
        ),
        ("runs pipe", "`1/pipe/params/q` is no plain file"),
        ("runs none", "there is no `1/none/meta.yaml`"),
        (
            "runs 1",
            "`1/around` is a symbolic link, and those are not followed",
        ),
        ("runs orphan", "its experiment 2 is not imported"),
        ("experiments 2", "`2/meta.yaml`: `name` is not there"),
        (
            "experiments ",
            "`99999999999999999999`: the id is too large",
        ),
        (
            "logged_models m-1",
            "1 points of its metrics are of runs that are not there",
        ),
        (
            "registered_models net",
            "`models/net/version-1/meta.yaml`: `version` is no version",
        ),
    ] {
        assert_eq!(
            found.get(name).map(String::as_str),
            Some(reason),
            "{found:#?}"
        );
    }
    assert!(found["runs yaml"].starts_with("`1/yaml/meta.yaml` is not what MLflow writes: "));
    assert_eq!(found.len(), 16, "{found:#?}");

    // Mended, the next import brings what is missing, the points of the model among it.
    put(root, "1/line/metrics/a/loss", "1 2 3\n");
    let (report, _) = import(root, &database);
    assert_eq!(
        report["kinds"]["runs"],
        json!({ "imported": 1, "was_there": 1, "failed": 11 })
    );
    assert!(!reasons(&report).contains_key("logged_models m-1"));
    let server = MlrsServer::start(&["--backend-store-uri", &database]).unwrap();
    let model = ask(&server, "logged-models/m-1", None);
    assert_eq!(
        model["model"]["data"]["metrics"].as_array().unwrap().len(),
        2
    );
    let run = ask(&server, "runs/get?run_id=line", None);
    assert_eq!(run["run"]["data"]["metrics"][0]["key"], "a/loss");
}

#[test]
fn what_is_there_already_is_left_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("mlruns");
    put_experiment(&root, "0", "Default");
    put_experiment(&root, "7", "shared");
    put(&root, "7/tags/team", "theirs");
    put_run(&root, "7", "r");
    put_experiment(&root, "1", "taken");
    let database = sqlite(&folder.path().join("mlflow.db"));
    {
        let server = MlrsServer::start(&["--backend-store-uri", &database]).unwrap();
        let shared = json!({ "name": "shared", "tags": [{ "key": "team", "value": "ours" }] });
        let made = ask(&server, "experiments/create", Some(&shared));
        assert_eq!(made["experiment_id"], "1");
        let run = json!({ "experiment_id": "0" });
        ask(&server, "runs/create", Some(&run));
    }
    let report = import_all(&root, &database);
    let counted = json!({ "imported": 1, "was_there": 2, "failed": 0 });
    assert_eq!(report["kinds"]["experiments"], counted);
    let renumbered = json!([
        { "name": "taken", "from": "1", "to": "2" },
        { "name": "shared", "from": "7", "to": "1" },
    ]);
    assert_eq!(report["renumbered"], renumbered);
    let server = MlrsServer::start(&["--backend-store-uri", &database]).unwrap();
    let shared = ask(&server, "experiments/get?experiment_id=1", None);
    assert_eq!(shared["experiment"]["tags"][0]["value"], "ours");
    let run = ask(&server, "runs/get?run_id=r", None);
    assert_eq!(run["run"]["info"]["experiment_id"], "1");
    let default = ask(&server, "experiments/get?experiment_id=0", None);
    assert_eq!(
        default["experiment"]["artifact_location"],
        "mlflow-artifacts:/0"
    );
}

/// A server with a database keeps artifacts in `mlruns` as well, where people look for runs.
#[test]
fn directories_that_hold_only_artifacts_are_noted_and_fail_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("mlruns");
    put_experiment(&root, "0", "Default");
    put_run(&root, "0", "r");
    put(
        &root,
        "0/of-database/artifacts/model/MLmodel",
        "flavors: {}\n",
    );
    put(&root, "0/models/m-of-database/artifacts/x", "");
    put(&root, "0/traces/tr-of-database/artifacts/traces.json", "{}");
    put(&root, "3/of-database/artifacts/x", "");
    put(&root, "3/models/m-of-database/artifacts/x", "");
    put(&root, "3/traces/tr-of-database/artifacts/traces.json", "{}");
    let database = sqlite(&folder.path().join("mlflow.db"));
    let report = import_all(&root, &database);
    assert_eq!(
        report["not_imported"]["artifacts_only"],
        json!(["0/of-database", "3", "0/models/m-of-database"])
    );
    assert_eq!(report["not_imported"]["traces"], json!(0));
    assert_eq!(report["kinds"]["runs"]["imported"], json!(1));
    let table = Command::new(mlrs_binary().unwrap())
        .arg("import-filestore")
        .arg(&root)
        .args(["--backend-store-uri", &database])
        .output()
        .unwrap();
    assert!(table.status.success(), "{table:?}");
    let told = String::from_utf8_lossy(&table.stdout);
    assert!(
        told.contains("note: 3 directories such as `0/of-database` hold only artifacts"),
        "{told}"
    );

    // Runs whose experiment has lost its file are no artifacts.
    for (lost, path) in [("4", "4/r4/params/p"), ("5", "5/r5/artifacts/x")] {
        put(&root, path, "1");
        put(&root, &format!("{lost}/tags/t"), "1");
        let (report, output) = import(&root, &database);
        assert!(!output.status.success(), "{report}");
        let name = format!("experiments {lost}");
        assert!(reasons(&report).contains_key(&name), "{report}");
        fs::remove_dir_all(root.join(lost)).unwrap();
    }
}

/// Ids that are given later come after those that were brought.
#[test]
fn ids_go_on_after_an_import_on_postgresql() {
    let cluster = match Postgres::start() {
        Ok(cluster) => cluster,
        Err(error) => return skipped("ids on PostgreSQL", &error.to_string()),
    };
    let folder = tempfile::tempdir().unwrap();
    put_experiment(folder.path(), "1", "one");
    put_experiment(folder.path(), "5", "five");
    put_experiment(folder.path(), "2147483648", "large");
    let uri = cluster.database("ids").unwrap();
    let report = import_all(folder.path(), &uri);
    assert_eq!(
        report["renumbered"],
        json!([{ "name": "large", "from": "2147483648", "to": "2" }])
    );
    let server = MlrsServer::start(&["--backend-store-uri", &uri]).unwrap();
    for name in ["a", "b", "c"] {
        ask(
            &server,
            "experiments/create",
            Some(&json!({ "name": name })),
        );
    }
}

#[test]
fn a_folder_that_is_no_file_store_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let refused = command(folder.path(), "sqlite:///never.db")
        .output()
        .unwrap();
    let errors = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(!refused.status.success());
    assert!(errors.contains("is no file store of MLflow"), "{errors}");
    assert!(
        errors.contains("hint: give the folder `mlruns`"),
        "{errors}"
    );
    assert!(!Path::new("never.db").exists());
}

/// Killed again and again, at another point each time, until one import comes to its end.
#[test]
fn an_import_that_is_killed_anywhere_is_begun_again() {
    if !has_python() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("mlruns");
    let points: String = (0..500).fold(String::new(), |text, step| {
        format!("{text}{step} {}.5 {step}\n", step % 7)
    });
    for experiment in ["0", "11", "12"] {
        put_experiment(&root, experiment, &format!("name{experiment}"));
        put(&root, &format!("{experiment}/tags/t"), "v");
        for run in 0..40 {
            let run = format!("{experiment}x{run}");
            put_run(&root, experiment, &run);
            put(&root, &format!("{experiment}/{run}/metrics/loss"), &points);
            put(&root, &format!("{experiment}/{run}/metrics/a/b"), &points);
        }
    }
    let whole = folder.path().join("whole.db");
    import_all(&root, &sqlite(&whole));
    let cut = folder.path().join("cut.db");
    let (mut killed, mut patience) = (0, 5);
    loop {
        let mut child = command(&root, &sqlite(&cut))
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        std::thread::sleep(Duration::from_millis(patience));
        if child.try_wait().unwrap().is_some() {
            break;
        }
        child.kill().unwrap();
        child.wait().unwrap();
        killed += 1;
        patience += 15;
    }
    assert!(killed > 3, "{killed} is too few to tell");
    let report = import_all(&root, &sqlite(&cut));
    assert_eq!(report["kinds"]["runs"]["was_there"], 120);
    let (mut found, mut expected) = (rows(&cut), rows(&whole));
    for tables in [&mut found, &mut expected] {
        // Each database made its own when it was opened first.
        let experiments = tables.get_mut("experiments").unwrap();
        experiments.retain(|row| row["name"] != "Default");
    }
    assert_eq!(found["metrics"].len(), 120_000);
    assert_eq!(found, expected);
}
