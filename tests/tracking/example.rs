//! `examples/track-from-rust` against `mlrs server` and `mlflow server`: what arrived is asked for
//! over REST, and the model is loaded by MLflow and served by mlrs.

use std::path::Path;
use std::process::Command;

use mlrs_testing::{
    Client, MlflowServer, Mlrs, MlrsServer, example_binary, mlrs_binary, python, skipped,
};
use serde_json::{Value, json};

/// What the model is asked: a setosa and a virginica.
const FLOWERS: &str = r#"{"dataframe_split": {"columns": ["sepal_length", "sepal_width", "petal_length", "petal_width"], "data": [[5.1, 3.5, 1.4, 0.2], [6.3, 3.3, 6.0, 2.5]]}}"#;

fn ask(address: &str, method: &str, path: &str, body: Option<&Value>) -> Value {
    let url = format!("{address}/api/2.0/{path}");
    let body = body.map(Value::to_string);
    let kind = body.as_ref().map(|_| "application/json");
    let answer = Client::new().send(method, &url, kind, body.as_deref().map(str::as_bytes));
    let answer = answer.unwrap();
    assert_eq!(answer.status, 200, "{path}: {}", answer.body);
    serde_json::from_str(&answer.body).unwrap_or(Value::from(answer.body))
}

fn value_of(list: &Value, key: &str) -> Value {
    let entries = list.as_array().unwrap();
    let entry = entries.iter().find(|entry| entry["key"] == key);
    entry.unwrap_or_else(|| panic!("no `{key}` in {list}"))["value"].clone()
}

/// Runs the example, and looks at all that it tracked.
fn track(address: &str, folder: &Path) {
    let output = Command::new(example_binary("track-from-rust").unwrap())
        .env("MLFLOW_TRACKING_URI", address)
        .env("HOME", folder)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success(),
        "{said}{}",
        String::from_utf8_lossy(&output.stderr)
    );
    assert!(said.contains("models:/iris-from-rust/1"), "{said}");
    let run_id = said
        .lines()
        .find_map(|line| line.strip_prefix("run "))
        .unwrap();

    let run = &ask(
        address,
        "GET",
        &format!("mlflow/runs/get?run_id={run_id}"),
        None,
    )["run"];
    assert_eq!(run["info"]["status"], "FINISHED");
    assert_eq!(run["info"]["run_name"], "softmax regression");
    assert!(run["info"]["end_time"].as_i64() >= run["info"]["start_time"].as_i64());
    assert_eq!(value_of(&run["data"]["params"], "epochs"), "200");
    assert_eq!(value_of(&run["data"]["params"], "learning_rate"), "0.5");
    assert_eq!(value_of(&run["data"]["tags"], "validation_rows"), "30");
    assert_eq!(
        value_of(&run["data"]["tags"], "mlflow.source.name"),
        "track-from-rust"
    );
    assert!(
        value_of(&run["data"]["metrics"], "validation_accuracy")
            .as_f64()
            .unwrap()
            > 0.9
    );

    let path = format!("mlflow/metrics/get-history?run_id={run_id}&metric_key=training_loss");
    let points = ask(address, "GET", &path, None)["metrics"].clone();
    let points = points.as_array().unwrap();
    let mut steps: Vec<i64> = points
        .iter()
        .map(|point| point["step"].as_i64().unwrap())
        .collect();
    steps.sort_unstable();
    assert_eq!(steps, (0..200).collect::<Vec<_>>());

    let listed = ask(
        address,
        "GET",
        &format!("mlflow/artifacts/list?run_id={run_id}&path=evaluation"),
        None,
    );
    assert_eq!(
        listed["files"][0]["path"], "evaluation/confusion.csv",
        "{listed}"
    );
    let place = listed["root_uri"]
        .as_str()
        .unwrap()
        .replace("mlflow-artifacts:/", "");
    let file = format!("mlflow-artifacts/artifacts/{place}/evaluation/confusion.csv");
    let confusion = ask(address, "GET", &file, None);
    assert!(
        confusion
            .as_str()
            .unwrap()
            .starts_with("actual,setosa,versicolor,virginica\nsetosa,10,0,0\n")
    );

    model(address, run, run_id);
    register_by_run(address, run_id);
}

/// A logged model can be registered by its run and name, with a command.
fn register_by_run(address: &str, run_id: &str) {
    let source = format!("runs:/{run_id}/model");
    let output = Command::new(mlrs_binary().unwrap())
        .args(["registry", "versions", "create", "again", "--source"])
        .args([&source, "--output", "json", "--tracking-uri", address])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let version: Value = serde_json::from_str(&said).unwrap();
    assert_eq!(version["run_id"], run_id, "{said}");
    assert!(
        version["source"]
            .as_str()
            .unwrap()
            .starts_with("models:/m-"),
        "{said}"
    );
}

/// The logged model, its version, and the alias of that.
fn model(address: &str, run: &Value, run_id: &str) {
    let version = ask(
        address,
        "GET",
        "mlflow/registered-models/alias?name=iris-from-rust&alias=candidate",
        None,
    );
    let version = &version["model_version"];
    assert_eq!(
        (&version["version"], &version["run_id"]),
        (&json!("1"), &json!(run_id))
    );
    let model_id = version["source"]
        .as_str()
        .unwrap()
        .strip_prefix("models:/")
        .unwrap();
    assert_eq!(run["outputs"]["model_outputs"][0]["model_id"], model_id);
    let logged = ask(
        address,
        "GET",
        &format!("mlflow/logged-models/{model_id}"),
        None,
    );
    let info = &logged["model"]["info"];
    assert_eq!(info["status"], "LOGGED_MODEL_READY");
    assert_eq!(
        (&info["name"], &info["source_run_id"]),
        (&json!("model"), &json!(run_id))
    );
    let place = info["artifact_uri"]
        .as_str()
        .unwrap()
        .replace("mlflow-artifacts:/", "");
    let manifest = ask(
        address,
        "GET",
        &format!("mlflow-artifacts/artifacts/{place}/MLmodel"),
        None,
    );
    // An id that might be read as a number, such as one with `4e6` in it, is quoted.
    let manifest = manifest.as_str().unwrap().replace('\'', "");
    for line in [
        format!("model_id: {model_id}\n"),
        format!("run_id: {run_id}\n"),
    ] {
        assert!(manifest.contains(&line), "{manifest}");
    }
}

/// What the registered model predicts: species and probabilities.
fn predictions(served: &Mlrs) -> Value {
    let answer = served
        .invoke(Some("application/json"), FLOWERS.as_bytes())
        .unwrap();
    assert_eq!(answer.status, 200, "{}", answer.body);
    serde_json::from_str::<Value>(&answer.body).unwrap()["predictions"].take()
}

#[test]
fn a_run_from_rust_arrives_at_mlrs_and_its_model_is_served() {
    let server = MlrsServer::start(&[]).unwrap();
    track(server.address(), server.folder());
    let cache = server.folder().join("cache").display().to_string();
    for backend in ["onnxruntime", "tract"] {
        let scoring = Mlrs::serve_with(
            Path::new("models:/iris-from-rust@candidate"),
            &["--backend", backend],
            &[
                ("MLFLOW_TRACKING_URI", server.address()),
                ("MLRS_CACHE_DIR", &cache),
            ],
        );
        let found = predictions(&scoring.unwrap());
        assert_eq!(
            (&found[0]["species"], &found[1]["species"]),
            (&json!(0), &json!(2)),
            "{found}"
        );
        assert!(found[0]["setosa"].as_f64().unwrap() > 0.9, "{found}");
        assert!(found[1]["virginica"].as_f64().unwrap() > 0.9, "{found}");
    }
}

#[test]
fn a_run_from_rust_arrives_at_mlflow_and_its_model_is_loaded() {
    let python = match python() {
        Ok(python) => python,
        Err(error) => return skipped("the example with `mlflow server`", &error.to_string()),
    };
    let server = MlflowServer::start().unwrap();
    track(server.address(), server.folder());
    let script = "import json, sys, mlflow, pandas\n\
                  model = mlflow.pyfunc.load_model('models:/iris-from-rust@candidate')\n\
                  frame = pandas.DataFrame(**json.loads(sys.argv[1])['dataframe_split'])\n\
                  print(model.predict(frame).to_json(orient='records'))";
    let output = Command::new(python)
        .args(["-c", script, FLOWERS])
        .env("MLFLOW_TRACKING_URI", server.address())
        .env("HOME", server.folder())
        .current_dir(server.folder())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success(),
        "{said}{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let found: Value = serde_json::from_str(said.lines().last().unwrap()).unwrap();
    assert_eq!(
        (&found[0]["species"], &found[1]["species"]),
        (&json!(0), &json!(2)),
        "{found}"
    );
    assert!(found[1]["virginica"].as_f64().unwrap() > 0.9, "{found}");
}
