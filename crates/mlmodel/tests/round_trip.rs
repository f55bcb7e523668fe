//! Files that MLflow wrote, read and written again, against what MLflow says about them
//! (`data/make.py` makes both).

// clippy allows these in test functions only, not in what they call.
#![allow(clippy::panic, clippy::unwrap_used)]

use std::fs;
use std::path::{Path, PathBuf};

use mlrs_mlmodel::signature::Schema;
use mlrs_mlmodel::{Manifest, ModelDirectory, Signature};
use serde_json::{Map, Value, json};

fn data(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/data")
        .join(name)
}

fn read_json(name: &str) -> Value {
    serde_json::from_str(&fs::read_to_string(data(name)).unwrap()).unwrap()
}

/// `1e5` without quotes is a text to `PyYAML` and a number to YAML 1.2.
fn without_known_difference(mut content: Map<String, Value>) -> Map<String, Value> {
    if let Some(metadata) = content.get_mut("metadata").and_then(Value::as_object_mut) {
        metadata.remove("hash");
    }
    content
}

#[test]
fn every_manifest_is_read_as_mlflow_reads_it() {
    let all = read_json("manifests.json");
    assert!(all.as_object().unwrap().len() >= 13);
    for (name, expected) in all.as_object().unwrap() {
        let model =
            ModelDirectory::open(data(name)).unwrap_or_else(|error| panic!("{name}: {error:?}"));
        let content = without_known_difference(model.manifest.to_map());
        let mut expected_content =
            without_known_difference(expected["content"].as_object().unwrap().clone());
        if name == "by_hand/v1_0" {
            // The oracle turned the unquoted time into a date and back.
            expected_content["utc_time_created"] = json!("2019-06-06 18:14:02.108361");
        }
        assert_eq!(content, expected_content, "{name}");
    }
}

#[test]
fn every_signature_is_written_as_mlflow_writes_it() {
    for (name, expected) in read_json("manifests.json").as_object().unwrap() {
        let model = ModelDirectory::open(data(name)).unwrap();
        let Some(expected) = expected["signature"].as_object() else {
            assert_eq!(model.signature, None, "{name}");
            continue;
        };
        let ours = model.signature.unwrap().to_map();
        for part in ["inputs", "outputs", "params"] {
            // A nested column that never said `required` is null to MLflow, false here: both optional.
            let theirs = expected[part]
                .as_str()
                .map(|text| text.replace("\"required\": null", "\"required\": false"));
            let ours = ours[part]
                .as_str()
                .map(|text| text.replace("\"required\": null", "\"required\": false"));
            assert_eq!(ours, theirs, "{name} {part}");
        }
    }
}

#[test]
fn what_is_written_is_read_again() {
    for name in read_json("manifests.json").as_object().unwrap().keys() {
        let manifest =
            Manifest::parse(&fs::read_to_string(data(name).join("MLmodel")).unwrap()).unwrap();
        let written = manifest.to_yaml();
        assert_eq!(Manifest::parse(&written).unwrap(), manifest, "{name}");
        let keys: Vec<&str> = written
            .lines()
            .filter(|line| !line.starts_with([' ', '-']))
            .collect();
        assert!(
            keys.is_sorted_by_key(|line| line.split(':').next()),
            "{name}: {keys:?}"
        );
    }
}

#[test]
fn verdicts_are_those_of_mlflow() {
    let verdicts = read_json("verdicts.json");
    for verdict in verdicts["schemas"].as_array().unwrap() {
        let ours = Schema::parse(verdict["text"].as_str().unwrap()).map(|schema| schema.to_json());
        compare(verdict, ours.map_err(|error| error.to_string()));
    }
    for verdict in verdicts["params"].as_array().unwrap() {
        // Python iterates over an empty map as over an empty list.
        if verdict["text"] == "{}" {
            continue;
        }
        let map = json!({"params": verdict["text"]});
        let ours = Signature::from_map(map.as_object().unwrap()).map(|signature| {
            signature.to_map()["params"]
                .as_str()
                .unwrap_or("[]")
                .to_owned()
        });
        compare(verdict, ours.map_err(|error| error.to_string()));
    }
}

fn is_about_optional(error: &str) -> bool {
    error.contains("unexpected keyword argument 'optional'")
}

fn compare(verdict: &Value, ours: Result<String, String>) {
    match (verdict["written"].as_str(), ours) {
        (Some(theirs), Ok(ours)) => {
            let same = |text: &str| text.replace("\"required\": null", "\"required\": false");
            assert_eq!(same(&ours), same(theirs), "{verdict}");
        }
        (None, Err(_)) => {}
        // MLflow 3 no longer reads what its releases 2.4 to 2.9 wrote.
        (None, Ok(_)) if verdict["error"].as_str().is_some_and(is_about_optional) => {}
        (theirs, ours) => panic!("MLflow: {theirs:?}, here: {ours:?}, for {verdict}"),
    }
}

#[test]
fn a_directory_gives_its_examples_and_its_environment() {
    let model = ModelDirectory::open(data("mlflow3/pyfunc_params")).unwrap();
    let serving: Value =
        serde_json::from_slice(&model.serving_input_example().unwrap().unwrap()).unwrap();
    assert_eq!(serving["params"], json!({"temperature": 0.5}));
    assert!(serving["dataframe_split"].is_object());
    let example: Value = serde_json::from_slice(&model.input_example().unwrap().unwrap()).unwrap();
    assert!(example.get("inputs").is_some());
    assert!(
        model
            .manifest
            .saved_input_example_info
            .as_ref()
            .unwrap()
            .has_params
    );
    assert!(
        model
            .requirements()
            .unwrap()
            .unwrap()
            .iter()
            .any(|line| line.starts_with("mlflow=="))
    );
    assert_eq!(
        model.python_env().unwrap().unwrap().dependencies,
        ["-r requirements.txt"]
    );
    assert!(model.size_bytes().unwrap() > 1000);
    let function = model.manifest.python_function().unwrap();
    assert_eq!(
        function.loader_module.as_deref(),
        Some("mlflow.pyfunc.model")
    );
    assert_eq!(function.config.unwrap()["k"], "v");
    assert!(function.artifacts["aux"].starts_with("artifacts/"));
    assert!(model.flavor("python_function").is_some() && model.flavor("onnx").is_none());
}

#[test]
fn a_signature_makes_a_table() {
    let model = ModelDirectory::open(data("mlflow3/pyfunc_all_types")).unwrap();
    let signature = model.signature.unwrap();
    let rows: Vec<String> = signature
        .inputs
        .as_ref()
        .unwrap()
        .describe()
        .into_iter()
        .map(|row| {
            format!(
                "{} {} {}",
                row.name.unwrap_or_default(),
                row.type_text,
                row.required
            )
        })
        .chain(
            signature
                .describe_params()
                .into_iter()
                .map(|row| format!("{} {} = {}", row.name, row.type_text, row.default)),
        )
        .collect();
    insta::assert_snapshot!(rows.join("\n"));
}

/// The snapshot was read by `PyYAML` and gave the same content.
#[test]
fn what_is_written_is_what_pyyaml_reads() {
    let mut manifest = ModelDirectory::open(data("mlflow3/sklearn"))
        .unwrap()
        .manifest;
    let words = [
        "",
        "yes",
        "No",
        "~",
        "1:30",
        "2024-01-01",
        "2024-01-01 10:00:00",
        "1_000",
        "010",
        "0x1f",
        "0b11",
        "1e5",
        "1.5e+3",
        "12e03",
        ".5",
        "+1",
        "=",
        "<<",
        "- a",
        "a: b",
        "a #b",
        "# a",
        "*x",
        "&x",
        "!x",
        "%x",
        "@x",
        "`x",
        "[a",
        "{a",
        "a,b",
        " a",
        "a ",
        "it's",
        "\"q\"",
        "a\nb\n",
        "\t",
        "\u{7f}\u{85}\u{2028}\u{feff}",
        "é😀",
        "3.11.7",
        "3.11",
        "707dcc0b",
        "0o7",
        "y",
        "C:\\x",
        "x:",
        "---",
        "...",
        "?",
        "? a",
        "|",
        ">",
        "null",
    ];
    let metadata = json!({
        "words": words.to_vec(),
        "keys": words.iter().map(|word| ((*word).to_owned(), json!(1))).collect::<Map<_, _>>(),
        "numbers": [0, -1, u64::MAX, i64::MIN, 1e-7, 1e16, 1.5e300, -0.0, 0.1],
        "nested": [[], {}, [[1, [2]], {"a": [{"b": [null, true]}]}]],
    });
    manifest.metadata = Some(metadata);
    let written = manifest.to_yaml();
    assert_eq!(Manifest::parse(&written).unwrap(), manifest);
    insta::assert_snapshot!(written);
}
