//! Registering on both servers: Python loads what mlrs registered, and a failure leaves no version.

use std::net::TcpListener;

use mlrs_testing::{MlflowServer, MlrsServer, workspace_root};
use serde_json::{Value, json};

use crate::workshop::{Workshop, fixture};

/// What is registered, and loaded by Python, on one server.
fn register_and_load(workshop: &Workshop) {
    let model = workshop.text("model");
    let inputs = json!({"x": {"dtype": "float32", "shape": [1, 4], "data": [1.0, 2.0, 3.0, 4.0]}});
    let expected = workshop.predicted(&model, &inputs);
    let register = |more: &[&str]| {
        let words = [
            &["register", &model, "--name", "net.work", "--output", "json"],
            more,
        ];
        workshop.json(&words.concat())
    };
    let first = register(&["--alias", "champion", "--alias", "best"]);
    assert_eq!(
        (&first["version"], &first["run_id"]),
        (&json!("1"), &Value::Null)
    );
    let logged = format!("models:/{}", first["model_id"].as_str().unwrap());
    for uri in ["models:/net.work@champion", "models:/net.work/1", &logged] {
        assert_eq!(workshop.predicted(uri, &inputs), expected, "{uri}");
    }

    let load = json!([{"do": "load", "model": "models:/net.work@champion"}]);
    assert!(workshop.python("packaged.py", &load)[0].is_string());

    let run = workshop.json(&["runs", "create", "--experiment-name", "flowers"]);
    let run_id = run["run_id"].as_str().unwrap();
    let second = register(&["--run-id", run_id]);
    assert_eq!(
        (&second["version"], &second["run_id"]),
        (&json!("2"), &json!(run_id))
    );
    assert_eq!(workshop.predicted("models:/net.work/2", &inputs), expected);
    let third = register(&["--experiment", "flowers", "--alias", "champion"]);
    assert_eq!(third["version"], "3");
    let pointed = workshop.json(&[
        "registry", "aliases", "get", "net.work", "champion", "--output", "json",
    ]);
    assert_eq!(
        (&pointed["version"], &pointed["run_id"]),
        (&json!("3"), &json!(""))
    );

    let shown = workshop.said(&["register", &model, "--name", "other"]);
    assert!(
        shown.contains("serve it: mlrs serve models:/other/1"),
        "{shown}"
    );
    let pulled = workshop.text("pulled");
    workshop.said(&["pull", "models:/net.work@champion", "-d", &pulled]);
    assert!(workshop.path("pulled/external.onnx.data").exists());
    std::fs::remove_dir_all(pulled).unwrap();

    for (words, expected) in [
        (
            vec![model.as_str(), "--name", "a/b"],
            "Names cannot contain '/' or ':'",
        ),
        (vec![&model, "--name", "x", "--alias", "v1"], "is reserved"),
        (
            vec![&model, "--name", "x", "--alias", "a b"],
            "Names may only contain",
        ),
        (
            vec![&model, "--name", "x", "--run-id", "absent"],
            "cannot get the run `absent`",
        ),
        (
            vec![&model, "--name", "x", "--experiment-id", "77"],
            "experiment `77`",
        ),
        (
            vec!["absent", "--name", "x"],
            "no model directory at `absent`",
        ),
        (vec!["cache", "--name", "x"], "no `MLmodel` file in `cache`"),
    ] {
        let ended = workshop.mlrs(&[&["register"], words.as_slice()].concat());
        assert_eq!(ended.code, 1, "{words:?}");
        assert!(
            ended.errors.contains(expected),
            "{words:?}: {}",
            ended.errors
        );
    }
    let data = workshop.path("model/external.onnx.data");
    let aside = workshop.path("aside");
    std::fs::rename(&data, &aside).unwrap();
    let ended = workshop.mlrs(&["register", &model, "--name", "x"]);
    std::fs::rename(&aside, &data).unwrap();
    assert_eq!(ended.code, 1);
    assert!(ended.errors.contains("is missing"), "{}", ended.errors);

    let ended = workshop.mlrs(&["registry", "models", "get", "x"]);
    assert_eq!(
        ended.code, 1,
        "nothing is half registered: {}",
        ended.output
    );
}

fn workshop(what: &str) -> Option<Workshop> {
    let workshop = Workshop::open(what)?;
    std::fs::create_dir_all(workshop.path("cache")).unwrap();
    workshop.package(&fixture("external.onnx"), "model", &[]);
    Some(workshop)
}

#[test]
fn python_loads_what_was_registered_on_mlrs_server() {
    let Some(mut workshop) = workshop("registering on `mlrs server`") else {
        return;
    };
    let server = MlrsServer::start(&[]).unwrap();
    workshop.server = Some(server.address().to_owned());
    register_and_load(&workshop);
}

#[test]
fn python_loads_what_was_registered_on_mlflow_server() {
    let Some(mut workshop) = workshop("registering on `mlflow server`") else {
        return;
    };
    let server = MlflowServer::start().unwrap();
    workshop.server = Some(server.address().to_owned());
    register_and_load(&workshop);
}

#[test]
fn a_failed_upload_makes_no_version() {
    let Some(mut workshop) = workshop("a failed upload") else {
        return;
    };
    // Nothing can be written below a file.
    let place = workshop.write("artifacts", b"a file");
    let server = MlrsServer::start(&["--artifacts-destination", &place]).unwrap();
    workshop.server = Some(server.address().to_owned());
    let ended = workshop.mlrs(&["register", &workshop.text("model"), "--name", "net"]);
    assert_eq!(ended.code, 1, "{}", ended.output);
    assert!(ended.errors.contains("cannot write `"), "{}", ended.errors);
    let ended = workshop.mlrs(&["registry", "models", "get", "net"]);
    assert_eq!(ended.code, 1, "{}", ended.output);
}

#[test]
fn a_server_that_is_away_is_named() {
    let Some(mut workshop) = workshop("a server that is away") else {
        return;
    };
    let model = workshop.text("model");
    let ended = workshop.mlrs(&["register", &model, "--name", "net"]);
    assert_eq!(ended.code, 1);
    assert!(
        ended.errors.contains("MLFLOW_TRACKING_URI"),
        "{}",
        ended.errors
    );
    let port = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    workshop.server = Some(format!("http://127.0.0.1:{port}"));
    let ended = workshop.mlrs(&["register", &model, "--name", "net"]);
    assert_eq!(ended.code, 1);
    assert!(
        ended.errors.contains("cannot reach the server"),
        "{}",
        ended.errors
    );
}

#[test]
fn a_zip_is_registered_as_well() {
    let Some(mut workshop) = workshop("registering a `.zip`") else {
        return;
    };
    let server = MlrsServer::start(&[]).unwrap();
    workshop.server = Some(server.address().to_owned());
    let model = workspace_root().join("examples/iris").display().to_string();
    let zip = workshop.text("iris.zip");
    workshop.said(&["pack", &model, &zip]);
    let made = workshop.json(&["register", &zip, "--name", "iris", "--output", "json"]);
    assert_eq!(made["version"], "1");
    workshop.said(&["inspect", "models:/iris/1"]);
}
