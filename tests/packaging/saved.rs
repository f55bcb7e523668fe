//! The files of a model directory, field by field with those that MLflow writes for the same model.

use serde_json::{Value, json};

use crate::workshop::{Workshop, fixture};

/// What no two directories share.
const OWN: [&str; 2] = ["model_uuid", "utc_time_created"];

fn tensor(dtype: &str, shape: &[usize], data: &Value) -> Value {
    json!({"dtype": dtype, "shape": shape, "data": data})
}

/// A model, its inputs, and a data frame where the example is one; null where there is to be none.
fn models() -> Vec<(&'static str, Value, Option<Value>)> {
    let rows = json!([5.5, 3.5, 1.5, 0.25, 6.25, 3.0, 6.0, 2.5]);
    let frame = json!({
        "columns": ["a", "b", "c", "ü"],
        "data": [[5.5, 3.5, 1.5, 0.25], [6.25, 3.0, 6.0, 2.5]],
    });
    let matrix = tensor("float32", &[2, 4], &rows);
    vec![
        ("perceptron", json!({"x": matrix}), None),
        ("forest", json!({"X": matrix}), Some(frame)),
        (
            "two_inputs",
            json!({
                "a": tensor("float32", &[2, 3], &json!([0.0, 1.0, 2.0, 3.0, 4.0, 5.0])),
                "b": tensor("float32", &[2, 1], &json!([1.0, 2.0])),
            }),
            None,
        ),
        (
            "mixed",
            json!({
                "real32": tensor("float32", &[2], &json!([0.5, -2.25])),
                "real64": tensor("float64", &[2], &json!([0.1, 1e300])),
                "small": tensor("int32", &[2], &json!([-3, 7])),
                "large": tensor("int64", &[2], &json!([9_007_199_254_740_993_i64, -1])),
                "flag": tensor("bool", &[2], &json!([true, false])),
            }),
            None,
        ),
        // Without an example.
        (
            "text_output",
            json!({"x": tensor("int64", &[3], &json!([1, 0, 7]))}),
            Some(Value::Null),
        ),
        (
            "identity_str",
            json!({"x": tensor("str", &[2], &json!(["", "zwölf 😀"]))}),
            None,
        ),
    ]
}

#[test]
fn the_files_are_those_that_mlflow_writes() {
    let Some(workshop) = Workshop::open("packaged files against MLflow's") else {
        return;
    };
    let models = models();
    let mut tasks: Vec<Value> = models
        .iter()
        .map(|(name, inputs, frame)| {
            let onnx = fixture(&format!("{name}.onnx"));
            let to = workshop.text(&format!("{name}-mlflow"));
            let metadata = json!({"owner": "anna", "n": "1"});
            let mut task =
                json!({"do": "save", "onnx": onnx, "to": to, "inputs": inputs, "metadata": metadata});
            if let Some(frame) = frame {
                task["frame"] = frame.clone();
            }
            task
        })
        .collect();
    workshop.python("packaged.py", &json!(tasks));
    tasks.clear();
    for (name, ..) in &models {
        // MLflow's own copy of the file, whose bytes differ from those of the fixture.
        let saved = workshop.text(&format!("{name}-mlflow"));
        let example = format!("{saved}/serving_input_example.json");
        let has_example = std::path::Path::new(&example).exists();
        let mut more = vec!["--metadata", "owner=anna", "--metadata", "n=1"];
        if has_example {
            more.extend(["--input-example", &example]);
        }
        let made = workshop.package(&format!("{saved}/model.onnx"), name, &more);
        assert_eq!(
            (&made["backend"], &made["has_example"]),
            (&json!("onnxruntime"), &json!(has_example))
        );
        for model in [workshop.text(name), saved] {
            tasks.push(json!({"do": "read", "model": model}));
        }
    }
    let read = workshop.python("packaged.py", &json!(tasks));
    for ((name, ..), pair) in models.iter().zip(read.chunks(2)) {
        let [mut ours, mut theirs] = [pair[0].clone(), pair[1].clone()];
        for side in [&mut ours, &mut theirs] {
            let manifest = side["files"]["MLmodel"].as_object_mut().unwrap();
            for key in OWN {
                assert!(manifest.remove(key).is_some_and(|value| value.is_string()));
            }
            // What Python runs here is not what is pinned.
            let python = &mut manifest["flavors"]["python_function"]["python_version"];
            assert!(python.take().is_string());
            side["files"]["python_env.yaml"]["python"].take();
            side["files"]["python_env.yaml"]["build_dependencies"].take();
            let conda = side["files"]["conda.yaml"]["dependencies"]
                .as_array_mut()
                .unwrap();
            assert!(conda.remove(0).as_str().unwrap().starts_with("python="));
            assert!(conda.remove(0).as_str().unwrap().starts_with("pip"));
        }
        assert_eq!(ours, theirs, "{name}");
    }
}

#[test]
fn examples_are_kept_as_mlflow_keeps_them() {
    let Some(workshop) = Workshop::open("packaged examples") else {
        return;
    };
    let columns = json!(["a", "b", "c", "d"]);
    let rows = json!([[5.5, 3.5, 1.5, 0.25], [6.25, 3.0, 6.0, 2.5]]);
    let records: Vec<Value> = rows
        .as_array()
        .unwrap()
        .iter()
        .map(|row| json!({"a": row[0], "b": row[1], "c": row[2], "d": row[3]}))
        .collect();
    let frame = json!({"columns": columns, "data": rows});
    let bodies = [
        (
            "split.json",
            json!({"dataframe_split": frame}).to_string(),
            frame.clone(),
        ),
        (
            "records.json",
            json!({"dataframe_records": records}).to_string(),
            frame.clone(),
        ),
        (
            "rows.csv",
            "a,b,c,d\n5.5,3.5,1.5,0.25\n6.25,3,6,2.5\n".to_owned(),
            frame,
        ),
        (
            "inputs.json",
            json!({"inputs": rows}).to_string(),
            rows.clone(),
        ),
        (
            "instances.json",
            json!({"instances": rows}).to_string(),
            rows,
        ),
    ];
    let mut tasks = Vec::new();
    for (file, body, _) in &bodies {
        let example = workshop.write(file, body);
        let name = format!("{file}-model");
        workshop.package(
            &fixture("forest.onnx"),
            &name,
            &["--input-example", &example],
        );
        tasks.push(json!({"do": "read", "model": workshop.text(&name)}));
        let served = workshop.text(&format!("{name}/serving_input_example.json"));
        let predicted = workshop.json(&["predict", "-m", &workshop.text(&name), "-i", &served]);
        assert!(predicted["predictions"].is_array() || predicted["predictions"].is_object());
    }
    let read = workshop.python("packaged.py", &json!(tasks));
    for ((file, _, expected), read) in bodies.iter().zip(read) {
        assert_eq!(read["example"], *expected, "{file}");
    }
}

#[test]
fn tensors_in_other_files_come_along() {
    let Some(workshop) = Workshop::open("packaged external data") else {
        return;
    };
    workshop.package(&fixture("external.onnx"), "external", &[]);
    let data = std::fs::read(workshop.path("external/external.onnx.data")).unwrap();
    assert_eq!(data, std::fs::read(fixture("external.onnx.data")).unwrap());
    let inputs = json!({"x": tensor("float32", &[1, 4], &json!([1.0, 2.0, 3.0, 4.0]))});
    let from_one = workshop.predicted(&workshop.text("external"), &inputs);
    workshop.package(&fixture("perceptron.onnx"), "perceptron", &[]);
    let from_other = workshop.predicted(&workshop.text("perceptron"), &inputs);
    assert_eq!(from_one, from_other);
}

#[test]
fn a_name_and_a_signature_can_be_given() {
    let Some(workshop) = Workshop::open("packaged signatures") else {
        return;
    };
    let column = |name: &str| json!({"type": "double", "name": name, "required": true});
    let inputs: Vec<Value> = ["a", "b", "c", "d"].map(column).to_vec();
    let lists = json!({"inputs": inputs, "outputs": null}).to_string();
    let texts = json!({"inputs": json!(inputs).to_string(), "params": null}).to_string();
    for (index, text) in [lists, texts].iter().enumerate() {
        let file = workshop.write("signature.json", text);
        let name = format!("m{index}");
        workshop.package(
            &fixture("forest.onnx"),
            &name,
            &["--signature", &file, "--name", "trees"],
        );
        let shown = workshop.json(&["inspect", &workshop.text(&name), "--output", "json"]);
        assert_eq!(shown["signature"]["inputs"], json!(inputs));
        let text = std::fs::read_to_string(workshop.path(&format!("{name}/MLmodel"))).unwrap();
        assert!(text.starts_with("artifact_path: trees\n"), "{text}");
        let csv = workshop.write("rows.csv", "d,c,b,a\n0.25,1.5,3.5,5.5\n");
        let by_name = workshop.json(&[
            "predict",
            "-m",
            &workshop.text(&name),
            "-i",
            &csv,
            "-t",
            "csv",
        ]);
        // MLflow's wrapper makes no frame of an output with three values a row, so tensors are asked.
        let inputs = json!({"X": tensor("float32", &[1, 4], &json!([5.5, 3.5, 1.5, 0.25]))});
        workshop.package(&fixture("forest.onnx"), &format!("plain{index}"), &[]);
        let expected = workshop.predicted(&workshop.text(&format!("plain{index}")), &inputs);
        assert_eq!(by_name["predictions"][0]["label"], expected["label"][0]);
    }
}
