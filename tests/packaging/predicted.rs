//! Predictions of packaged models: those of Python's `mlflow.pyfunc`, of `mlrs predict` and of
//! `mlrs serve` are the same.

use mlrs_testing::{Mlrs, onnxruntime_library};
use serde_json::{Value, json};

use crate::cases::{Case, close};
use crate::workshop::{Workshop, fixture};

#[test]
fn python_and_mlrs_predict_the_same() {
    let Some(workshop) = Workshop::open("predictions of packaged models in Python") else {
        return;
    };
    let cases = Case::all();
    let mut tasks = Vec::new();
    for case in &cases {
        let body = workshop.write(&format!("{}.json", case.name), case.body().to_string());
        workshop.package(&case.onnx, &case.name, &["--input-example", &body]);
        let model = workshop.text(&case.name);
        tasks.push(json!({"do": "load", "model": model}));
        tasks.push(json!({"do": "predict", "model": model, "inputs": case.inputs}));
    }
    let answers = workshop.python("packaged.py", &json!(tasks));
    for (case, pair) in cases.iter().zip(answers.chunks(2)) {
        let (loaded, answer) = (&pair[0], &pair[1]);
        // Python's checks of ONNX want shapes, which its engine does not.
        assert_eq!(loaded.is_string(), case.name != "no_rank", "{loaded}");
        let served = workshop.text(&format!("{}/serving_input_example.json", case.name));
        let ours = workshop.json(&["predict", "-m", &workshop.text(&case.name), "-i", &served]);
        let ours = &ours["predictions"];
        assert!(
            close(ours, answer, case.tolerance),
            "{}: {ours} is not {answer}",
            case.name
        );
    }
}

#[test]
fn a_packaged_model_is_served() {
    let Some(workshop) = Workshop::open("packaged models that are served") else {
        return;
    };
    for backend in ["onnxruntime", "tract"] {
        let name = format!("two-{backend}");
        let made = workshop.package(&fixture("two_inputs.onnx"), &name, &["--backend", backend]);
        assert_eq!(made["backend"], backend);
        let shown: Vec<&Value> = made["inputs"].as_array().unwrap().iter().collect();
        assert_eq!(
            *shown[0],
            json!({"name": "a", "type": "float32", "shape": [-1, 3]})
        );
        let library = onnxruntime_library().unwrap().display().to_string();
        let options = ["--backend", backend, "--onnxruntime", &library];
        let server = Mlrs::serve(&workshop.path(&name), &options).unwrap();
        let body = json!({"inputs": {"a": [[1, 2, 3]], "b": [[0.5]]}}).to_string();
        let answer = server
            .invoke(Some("application/json"), body.as_bytes())
            .unwrap();
        assert_eq!(answer.body, r#"{"predictions":{"y":[[1.0,2.0,3.0,0.5]]}}"#);
    }
}
