//! The commands of `mlflow` and of `mlrs`, asked the same of one server: what they print is compared,
//! as text where MLflow prints for scripts, and what they change is looked at with the other one.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use mlrs_testing::{mlrs_binary, python, skipped};
use serde_json::{Value, json};

use crate::desk::Desk;

fn desk(what: &str) -> Option<Desk> {
    if let Err(error) = python() {
        skipped(what, &error.to_string());
        return None;
    }
    Some(Desk::new())
}

/// A run in experiment 1 with something of each kind; its id.
fn populate(desk: &Desk) -> String {
    let said = desk.said(&["experiments", "create", "-n", "flowers"]);
    assert_eq!(said, "Created experiment 'flowers' with id 1\n");
    let ended = desk.said(&[
        "experiments",
        "create",
        "-n",
        "old",
        "-l",
        "s3://bucket/old",
    ]);
    assert!(ended.ends_with("with id 2\n"), "{ended}");
    desk.said(&["experiments", "delete", "-x", "2"]);
    desk.post(
        "experiments/set-experiment-tag",
        &json!({"experiment_id": "1", "key": "a", "value": "ü"}),
    );
    let run = desk.json(&[
        "runs",
        "create",
        "--experiment-id",
        "1",
        "--run-name",
        "ünï",
        "-t",
        "a=b=c",
        "--description",
        "what it is",
    ]);
    let run_id = run["run_id"].as_str().unwrap().to_owned();
    let metric =
        |key: &str, value: f64| json!({"key": key, "value": value, "timestamp": 1, "step": 0});
    let batch = json!({
        "run_id": run_id,
        "metrics": [metric("big", 1e16), metric("loss", 1e-5), metric("whole", 3.0)],
        "params": [{"key": "layers", "value": "3"}],
    });
    desk.post("runs/log-batch", &batch);
    desk.said(&[
        "runs",
        "create",
        "--experiment-name",
        "flowers",
        "--status",
        "KILLED",
        "--parent-run-id",
        &run_id,
    ]);
    let file = desk.write("notes.txt", "notes");
    desk.write("plots/a/b.svg", "<svg/>");
    desk.write("plots/c d.txt", "c d");
    desk.said(&["artifacts", "log-artifact", "-l", &file, "-r", &run_id]);
    desk.said(&[
        "artifacts",
        "log-artifacts",
        "-l",
        "plots",
        "-r",
        &run_id,
        "-a",
        "all/plots",
    ]);
    run_id
}

#[test]
fn what_is_printed_is_what_mlflow_prints() {
    let Some(desk) = desk("the commands of `mlflow` and `mlrs`") else {
        return;
    };
    let run_id = populate(&desk);
    let commands: [&[&str]; 9] = [
        &["experiments", "search"],
        &["experiments", "search", "-v", "all"],
        &[
            "experiments",
            "search",
            "--view",
            "deleted_only",
            "--max-results",
            "1",
        ],
        &["experiments", "get", "-n", "flowers"],
        &["runs", "list", "--experiment-id", "1"],
        &["runs", "list", "--experiment-id", "1", "-v", "all"],
        &["artifacts", "list", "-r", &run_id],
        &["artifacts", "list", "-r", &run_id, "-a", "all/plots"],
        &["artifacts", "list", "-r", &run_id, "-a", "nothing"],
    ];
    let as_json: [&[&str]; 3] = [
        &["experiments", "get", "-x", "1", "--output", "json"],
        &["runs", "describe", "--run-id", &run_id],
        &["experiments", "csv", "-x", "1"],
    ];
    let answers = desk.mlflow(&[&commands[..], &as_json[..]].concat());
    for (command, expected) in commands.iter().zip(&answers) {
        assert_eq!(expected.code, 0, "{command:?}: {}", expected.errors);
        assert_eq!(desk.said(command), expected.output, "{command:?}");
    }
    let parsed = |index: usize| -> Value {
        serde_json::from_str(&answers[commands.len() + index].output).unwrap()
    };
    let mut experiment = parsed(0);
    for about_traces in ["effective_trace_archival_retention", "trace_location"] {
        experiment.as_object_mut().unwrap().remove(about_traces);
    }
    assert_eq!(desk.json(as_json[0]), experiment);
    assert_eq!(desk.json(as_json[1]), parsed(1));
    let csv = &answers.last().unwrap().output;
    assert_eq!(cells(&desk.said(as_json[2])), cells(csv));

    // The same for programs.
    let listed = desk.json(&["runs", "list", "--experiment-id", "1", "--output", "json"]);
    assert_eq!(listed.as_array().unwrap().len(), 2);
    let found = desk.json(&["experiments", "search", "--output", "json"]);
    assert_eq!(
        (&found[1]["name"], &found[1]["tags"]),
        (&json!("flowers"), &json!({"a": "ü"}))
    );
}

/// The cells of a CSV without quotes, each line as what its columns have: MLflow's order of columns
/// is one of chance.
fn cells(csv: &str) -> Vec<BTreeMap<String, String>> {
    let mut lines = csv.trim_end().lines();
    let heading: Vec<&str> = lines.next().unwrap().split(',').collect();
    assert_eq!(
        heading[..6].join(" "),
        "run_id experiment_id status artifact_uri start_time end_time"
    );
    let rows = lines.map(|line| {
        let fields = line.split(',').map(str::to_owned);
        heading
            .iter()
            .map(|&name| name.to_owned())
            .zip(fields)
            .collect()
    });
    rows.collect()
}

/// Every file below a folder, with its content.
fn tree(folder: &Path) -> BTreeMap<PathBuf, String> {
    let mut found = BTreeMap::new();
    let mut pending = vec![folder.to_owned()];
    while let Some(next) = pending.pop() {
        for entry in std::fs::read_dir(next).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                pending.push(path);
            } else {
                let name = path.strip_prefix(folder).unwrap().to_owned();
                found.insert(name, std::fs::read_to_string(&path).unwrap());
            }
        }
    }
    found
}

#[test]
fn what_is_transferred_is_where_mlflow_has_it() {
    let Some(desk) = desk("transfers of `mlflow` and `mlrs`") else {
        return;
    };
    let run_id = populate(&desk);
    let uris = [
        format!("runs:/{run_id}/all"),
        format!("mlflow-artifacts:/1/{run_id}/artifacts/all/plots"),
        format!("runs:/{run_id}/notes.txt"),
    ];
    let mut commands: Vec<Vec<&str>> = vec![
        vec!["artifacts", "download", "-r", &run_id],
        vec!["artifacts", "download", "-r", &run_id, "-a", "all/plots"],
        vec![
            "artifacts",
            "download",
            "-r",
            &run_id,
            "-a",
            "all/plots/a/b.svg",
        ],
    ];
    commands.extend(
        uris.iter()
            .map(|uri| vec!["artifacts", "download", "-u", uri]),
    );
    let folders: Vec<[String; 2]> = (0..commands.len())
        .map(|index| {
            [
                desk.path(&format!("mlflow-{index}")),
                desk.path(&format!("mlrs-{index}")),
            ]
        })
        .collect();
    let with = |which: usize| -> Vec<Vec<&str>> {
        let folders = folders
            .iter()
            .map(|folders| ["-d", folders[which].as_str()]);
        commands
            .iter()
            .zip(folders)
            .map(|(command, folder)| [&command[..], &folder].concat())
            .collect()
    };
    let theirs = with(0);
    let theirs: Vec<&[&str]> = theirs.iter().map(Vec::as_slice).collect();
    for ((expected, command), [mlflow, mlrs]) in
        desk.mlflow(&theirs).iter().zip(with(1)).zip(&folders)
    {
        assert_eq!(expected.code, 0, "{command:?}: {}", expected.errors);
        let said = desk.said(&command);
        assert_eq!(
            said.trim().replace(mlrs, ""),
            expected.output.trim().replace(mlflow, ""),
            "{command:?}"
        );
        let files = tree(Path::new(mlrs));
        assert!(!files.is_empty(), "{command:?}");
        assert_eq!(files, tree(Path::new(mlflow)), "{command:?}");
    }

    // What MLflow uploads is listed, and a download replaces what was there.
    let file = desk.write("notes.txt", "other notes");
    let uploads: [&[&str]; 2] = [
        &[
            "artifacts",
            "log-artifact",
            "-l",
            &file,
            "-r",
            &run_id,
            "-a",
            "by mlflow",
        ],
        &[
            "artifacts",
            "log-artifacts",
            "-l",
            "plots",
            "-r",
            &run_id,
            "-a",
            "by mlflow/plots",
        ],
    ];
    assert!(desk.mlflow(&uploads).iter().all(|ended| ended.code == 0));
    let target = desk.path("mlrs-0");
    desk.said(&["artifacts", "download", "-r", &run_id, "-d", &target]);
    let files = tree(Path::new(&target));
    assert_eq!(files[Path::new("by mlflow/notes.txt")], "other notes");
    assert_eq!(files.len(), 6, "{files:?}");
    let kept = desk.said(&["artifacts", "download", "-r", &run_id, "-a", "notes.txt"]);
    assert_eq!(std::fs::read_to_string(kept.trim()).unwrap(), "notes");
    std::fs::remove_dir_all(Path::new(kept.trim()).parent().unwrap()).unwrap();
}

#[test]
fn what_is_changed_is_seen_by_mlflow_and_the_other_way_round() {
    let Some(desk) = desk("changes by `mlflow` and `mlrs`") else {
        return;
    };
    let run_id = populate(&desk);
    let create = [
        "runs",
        "create",
        "--experiment-id",
        "1",
        "--run-name",
        "same",
        "-t",
        "a=b",
        "--description",
        "d",
        "--status",
        "failed",
    ];
    let steps: [&[&str]; 6] = [
        &["experiments", "rename", "-x", "1", "--new-name", "renamed"],
        &["runs", "delete", "--run-id", &run_id],
        &["runs", "restore", "--run-id", &run_id],
        &["experiments", "delete", "-x", "1"],
        &["experiments", "restore", "-x", "1"],
        &create,
    ];
    let ours: Vec<String> = steps.iter().map(|step| desk.said(step)).collect();
    let theirs = desk.mlflow(&steps);
    for ((step, our), their) in steps.iter().zip(&ours).zip(&theirs) {
        assert_eq!(their.code, 0, "{step:?}: {}", their.errors);
        if step[1] != "create" {
            assert_eq!(*our, their.output, "{step:?}");
        }
    }
    let described = |said: &str| {
        let start = said.find('{').unwrap();
        let created: Value = serde_json::from_str(&said[start..]).unwrap();
        let mut run = desk.json(&[
            "runs",
            "describe",
            "--run-id",
            created["run_id"].as_str().unwrap(),
        ]);
        assert_eq!(created["status"], "FAILED");
        for (part, name) in [
            ("info", "run_id"),
            ("info", "artifact_uri"),
            ("info", "start_time"),
            ("info", "end_time"),
        ] {
            assert!(!run[part][name].is_null(), "{run}");
            run[part][name] = Value::Null;
        }
        assert!(!run["data"]["tags"]["mlflow.source.name"].is_null());
        run["data"]["tags"]["mlflow.source.name"] = Value::Null;
        // MLflow looks for a repository around the program that runs.
        let tags = run["data"]["tags"].as_object_mut().unwrap();
        tags.retain(|name, _| !name.starts_with("mlflow.source.git."));
        run
    };
    assert_eq!(
        described(ours.last().unwrap()),
        described(&theirs.last().unwrap().output)
    );
    let file = desk.path("runs.csv");
    let said = desk.said(&["experiments", "csv", "-x", "1", "-o", &file]);
    assert!(said.contains("exported as a CSV"), "{said}");
    assert_eq!(std::fs::read_to_string(file).unwrap().lines().count(), 5);
}

#[test]
fn what_cannot_be_done_says_why_and_fails() {
    let Some(desk) = desk("refused commands of `mlflow` and `mlrs`") else {
        return;
    };
    desk.said(&["experiments", "create", "-n", "taken"]);
    let refused: [(&[&str], &str); 8] = [
        (
            &["runs", "describe", "--run-id", "nope"],
            "RESOURCE_DOES_NOT_EXIST: Run with id=nope not found",
        ),
        (
            &["runs", "delete", "--run-id", "nope"],
            "cannot delete the run `nope`",
        ),
        (
            &["experiments", "create", "-n", "taken"],
            "RESOURCE_ALREADY_EXISTS",
        ),
        (
            &["experiments", "get", "-n", "nope"],
            "there is no experiment `nope`",
        ),
        (
            &["experiments", "delete", "-x", "77"],
            "RESOURCE_DOES_NOT_EXIST",
        ),
        (
            &["artifacts", "list", "-r", "nope"],
            "RESOURCE_DOES_NOT_EXIST",
        ),
        (
            &["artifacts", "log-artifact", "-l", "absent", "-r", "nope"],
            "there is no file `absent`",
        ),
        (
            &["artifacts", "download", "-u", "runs:/nope/x"],
            "the run `nope`",
        ),
    ];
    let commands: Vec<&[&str]> = refused.iter().map(|(command, _)| *command).collect();
    for ((command, reason), theirs) in refused.iter().zip(desk.mlflow(&commands)) {
        assert_ne!(theirs.code, 0, "{command:?}");
        let ended = desk.mlrs(command);
        assert_eq!(ended.code, 1, "{command:?}: {}", ended.output);
        assert!(
            ended.errors.starts_with("error: ") && ended.errors.contains(reason),
            "{command:?}: {}",
            ended.errors
        );
        assert_eq!(ended.output, "", "{command:?}");
    }
    let temporary = desk.path("temporary");
    std::fs::create_dir(&temporary).unwrap();
    let mut command = Command::new(mlrs_binary().unwrap());
    let download = ["artifacts", "download", "-u", "runs:/nope/x"];
    let command = desk.environment(&mut command).args(download);
    assert!(
        !command
            .env("TMPDIR", &temporary)
            .status()
            .unwrap()
            .success()
    );
    assert_eq!(std::fs::read_dir(&temporary).unwrap().count(), 0);

    let elsewhere = [
        "runs",
        "describe",
        "--run-id",
        "x",
        "--tracking-uri",
        "http://127.0.0.1:9",
    ];
    let ended = desk.mlrs(&elsewhere);
    assert_eq!(ended.code, 1);
    assert!(
        ended
            .errors
            .contains("cannot reach the server `http://127.0.0.1:9`"),
        "{}",
        ended.errors
    );
    assert!(
        ended.errors.contains("hint: check that the server runs"),
        "{}",
        ended.errors
    );
    for usage in [
        &["runs", "create", "--experiment-id", "1", "-t", "novalue"][..],
        &["runs", "list"],
        &["experiments", "get"],
        &["experiments", "search", "-v", "some"],
        &["artifacts", "download"],
    ] {
        assert_eq!(desk.mlrs(usage).code, 2, "{usage:?}");
    }
}

#[test]
fn names_that_python_cannot_fetch_are_warned_of() {
    let Some(desk) = desk("names that Python cannot fetch") else {
        return;
    };
    let run_id = desk.json(&["runs", "create", "--experiment-id", "0"])["run_id"]
        .as_str()
        .unwrap()
        .to_owned();
    let (good, bad) = (["a b", "50%", "c+d;e"], ["a#b", "what?", "a%41b"]);
    for name in good.iter().chain(&bad) {
        desk.write(&format!("odd/{name}/file.txt"), name);
    }
    let upload = ["artifacts", "log-artifacts", "-l", "odd", "-r", &run_id];
    let uploaded = desk.mlrs(&upload);
    assert_eq!(uploaded.code, 0, "{}", uploaded.errors);
    let warning = "cannot download 3 of the files, such as `a#b/file.txt`";
    assert!(uploaded.errors.contains(warning), "{}", uploaded.errors);
    let fine = desk.mlrs(&[
        "artifacts",
        "log-artifact",
        "-l",
        "odd/a b/file.txt",
        "-r",
        &run_id,
    ]);
    assert_eq!((fine.code, fine.errors.as_str()), (0, ""));

    // It is as the warning says, and mlrs itself fetches them all.
    let path = |name: &&str| format!("{name}/file.txt");
    let paths: Vec<String> = good.iter().chain(&bad).map(path).collect();
    let download = |path| ["artifacts", "download", "-r", run_id.as_str(), "-a", path];
    let commands: Vec<[&str; 6]> = paths.iter().map(|path| download(path)).collect();
    let commands: Vec<&[&str]> = commands.iter().map(|command| &command[..]).collect();
    let by_python = desk.mlflow(&commands);
    for (index, (ended, path)) in by_python.iter().zip(&paths).enumerate() {
        let is_fetched = ended.code == 0;
        assert_eq!(is_fetched, index < good.len(), "{path}: {}", ended.output);
        let name = path.split('/').next().unwrap();
        let fetched = desk.said(&download(path));
        let content = std::fs::read_to_string(fetched.trim_end()).unwrap();
        assert_eq!(content, name);
    }
}

#[test]
fn runs_move_into_another_experiment_with_their_models() {
    let desk = Desk::new();
    let uri = format!("sqlite:///{}", desk.path("mlflow.db"));
    move_runs(&desk.server, &desk, &uri);
    match mlrs_testing::Postgres::start() {
        Ok(cluster) => {
            let uri = cluster.database("moved").unwrap();
            let server = mlrs_testing::MlrsServer::start(&["--backend-store-uri", &uri]);
            move_runs(&server.unwrap(), &desk, &uri);
        }
        Err(error) => skipped("runs that move on PostgreSQL", &error.to_string()),
    }
}

fn move_runs(server: &mlrs_testing::MlrsServer, desk: &Desk, uri: &str) {
    let ask = |path: &str, body: &Value| -> Value {
        // All of these are for pages as well, and one of them only for those.
        let url = crate::ask::api(server, path).replace("/api/", "/ajax-api/");
        let answer = crate::ask::post(&mlrs_testing::Client::new(), &url, body).unwrap();
        assert_eq!(answer.status, 200, "{path}: {answer:?}");
        crate::ask::parsed(&answer)
    };
    for name in ["from", "into"] {
        ask("experiments/create", &json!({ "name": name }));
    }
    let dataset = json!({ "name": "iris", "digest": "d", "source_type": "local", "source": "x" });
    let mut runs = Vec::new();
    for _ in 0..2 {
        let run = ask("runs/create", &json!({ "experiment_id": "1" }));
        let id = run["run"]["info"]["run_id"].as_str().unwrap().to_owned();
        ask(
            "runs/log-inputs",
            &json!({ "run_id": id, "datasets": [{ "dataset": dataset }] }),
        );
        let model = json!({ "experiment_id": "1", "name": "m", "source_run_id": id,
            "params": [{ "key": "p", "value": "v" }], "tags": [{ "key": "t", "value": "v" }] });
        let model = ask("logged-models", &model);
        let metric = json!({ "run_id": id, "key": "m", "value": 1, "timestamp": 1,
            "model_id": model["model"]["info"]["model_id"] });
        ask("runs/log-metric", &metric);
        runs.push(id);
    }
    let found = |experiment: &str| {
        let search = json!({ "experiment_ids": [experiment] });
        let runs = ask("runs/search", &search)["runs"].clone();
        let models = ask("logged-models/search", &search)["models"].clone();
        let datasets = ask("experiments/search-datasets", &search)["dataset_summaries"].clone();
        let lists = [&runs, &models, &datasets];
        let counts = lists.map(|list| list.as_array().map_or(0, Vec::len));
        (counts, runs[0].clone(), models[0].clone())
    };
    let (before, _, _) = found("1");
    assert_eq!(before, [2, 2, 1]);
    let moving = ["runs", "move", "--backend-store-uri", uri, "--run-id"];
    let outcome = |words: &[&str]| {
        let mut command = Command::new(mlrs_binary().unwrap());
        let output = desk
            .environment(&mut command)
            .args([&moving[..], words].concat());
        let output = output.output().unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        (
            output.status.success(),
            text(&output.stdout) + &text(&output.stderr),
        )
    };
    // All or nothing.
    let both = format!("{},nope", runs[0]);
    for (words, reason) in [
        ([both.as_str(), "--experiment-name", "into"], "nope"),
        ([&runs[0], "--experiment-name", "nowhere"], "nowhere"),
        ([&runs[0], "--experiment-id", "77"], "77"),
    ] {
        let (succeeded, told) = outcome(&words);
        assert!(!succeeded && told.contains(reason), "{words:?}: {told}");
    }
    assert_eq!(found("1").0, before);
    let (_, run, model) = found("1");
    let id = run["info"]["run_id"].as_str().unwrap();
    let (succeeded, told) = outcome(&[id, "--experiment-name", "into"]);
    assert!(succeeded, "{told}");
    assert_eq!(
        told,
        format!("Run with ID {id} has been moved to experiment 2.\n")
    );
    assert_eq!((found("1").0, found("2").0), ([1, 1, 1], [1, 1, 1]));
    // What was logged is the same, and artifacts are where they were.
    let (_, mut moved, mut model_moved) = found("2");
    assert_eq!(moved["info"]["experiment_id"], "2");
    moved["info"]["experiment_id"] = json!("1");
    assert_eq!(moved, run);
    assert_eq!(model_moved["info"]["experiment_id"], "2");
    model_moved["info"]["experiment_id"] = json!("1");
    let of_run = |model: &Value| model["info"]["source_run_id"] == run["info"]["run_id"];
    if of_run(&model) {
        assert_eq!(model_moved, model);
    }
    assert_eq!(model_moved["data"]["params"][0]["value"], "v");
    assert!(outcome(&[id, "--experiment-name", "into"]).0, "it is there");
}
