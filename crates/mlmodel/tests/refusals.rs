//! Bad model directories, and what is said about each.

// clippy allows these in test functions only, not in what they call.
#![allow(clippy::panic, clippy::unwrap_used)]

use std::error::Error;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use mlrs_mlmodel::directory::OpenError;
use mlrs_mlmodel::{ModelDirectory, Signature};
use serde_json::json;

/// The error, its causes and its hint, with the folder's name taken out.
fn told(error: &OpenError, folder: &Path) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        let _ = write!(text, "\n  because: {inner}");
        cause = inner.source();
    }
    if let Some(hint) = error.hint() {
        let _ = write!(text, "\n  hint: {hint}");
    }
    text.replace(&folder.display().to_string(), "DIR")
}

fn refused(content: &[u8]) -> String {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("MLmodel"), content).unwrap();
    told(
        &ModelDirectory::open(folder.path()).unwrap_err(),
        folder.path(),
    )
}

#[test]
fn bad_manifests() {
    let mut all = String::new();
    for (name, content) in [
        ("empty", ""),
        ("blank", " \n\n"),
        ("only a comment", "# nothing\n"),
        ("a list", "- flavors\n"),
        ("a text", "hello\n"),
        ("not YAML", "flavors: [a\nb: }"),
        ("a tab", "flavors:\n\tonnx: {}\n"),
        (
            "a web page",
            "<!DOCTYPE html><html><body>404: not found</body></html>",
        ),
        ("two documents", "flavors: {}\n---\nflavors: {}\n"),
        (
            "a Python object",
            "flavors: !!python/object/apply:os.system [id]\n",
        ),
        ("an unknown alias", "flavors: *nowhere\n"),
        ("flavors as a list", "flavors:\n- onnx\n"),
        ("a flavor as a text", "flavors:\n  onnx: model.onnx\n"),
        ("run id as a map", "flavors: {}\nrun_id: {a: 1}\n"),
        ("size as a text", "flavors: {}\nmodel_size_bytes: large\n"),
        ("a negative size", "flavors: {}\nmodel_size_bytes: -3\n"),
        (
            "a flag as a text",
            "flavors: {}\nis_signature_from_type_hint: maybe\n",
        ),
        ("env vars as a map", "flavors: {}\nenv_vars: {A: 1}\n"),
        ("prompts of numbers", "flavors: {}\nprompts: [1]\n"),
        (
            "example info as a text",
            "flavors: {}\nsaved_input_example_info: input_example.json\n",
        ),
        (
            "example path as a list",
            "flavors: {}\nsaved_input_example_info: {artifact_path: [x]}\n",
        ),
        ("signature as a text", "flavors: {}\nsignature: none\n"),
        (
            "signature that is no JSON",
            "flavors: {}\nsignature: {inputs: \"[{'type': 'long'}]\"}\n",
        ),
        (
            "signature as a number",
            "flavors: {}\nsignature: {inputs: 3}\n",
        ),
        (
            "signature of an unknown type",
            "flavors: {}\nsignature: {outputs: '[{\"type\": \"Double\", \"name\": \"price\"}]'}\n",
        ),
        (
            "signature half named",
            "flavors: {}\nsignature: {inputs: '[{\"type\": \"long\", \"name\": \"a\"}, {\"type\": \"long\"}]'}\n",
        ),
        (
            "nested property",
            "flavors: {}\nsignature: {inputs: '[{\"type\": \"array\", \"name\": \"a\", \"items\": {\"type\": \"object\", \"properties\": {\"x\": {\"type\": \"number\"}}}}]'}\n",
        ),
        (
            "bad dimension",
            "flavors: {}\nsignature: {inputs: '[{\"type\": \"tensor\", \"tensor-spec\": {\"dtype\": \"int64\", \"shape\": [-2]}}]'}\n",
        ),
        (
            "bad default",
            "flavors: {}\nsignature: {params: '[{\"name\": \"k\", \"type\": \"long\", \"default\": \"x\"}]'}\n",
        ),
    ] {
        let _ = writeln!(all, "{name}: {}\n", refused(content.as_bytes()));
    }
    let _ = writeln!(all, "not UTF-8: {}\n", refused(b"flavors: \xff\xfe"));
    insta::assert_snapshot!(all);
}

#[test]
fn bad_places() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    let mut all = String::new();
    let mut tell = |name: &str, place: &Path| {
        let _ = writeln!(
            all,
            "{name}: {}\n",
            told(&ModelDirectory::open(place).unwrap_err(), path)
        );
    };
    tell("absent", &path.join("nowhere"));
    fs::write(path.join("model.onnx"), "x").unwrap();
    tell("a file", &path.join("model.onnx"));
    let good = path.join("good");
    fs::create_dir(&good).unwrap();
    fs::write(good.join("MLmodel"), "flavors: {}\n").unwrap();
    tell("the MLmodel file", &good.join("MLmodel"));
    tell("one level up", path);
    fs::create_dir(path.join("none")).unwrap();
    tell("no MLmodel", &path.join("none"));
    fs::create_dir_all(path.join("folder/MLmodel")).unwrap();
    tell("MLmodel is a folder", &path.join("folder"));
    let run = path.join("run");
    fs::create_dir_all(run.join("artifacts/model")).unwrap();
    fs::create_dir_all(run.join("metrics")).unwrap();
    fs::write(run.join("meta.yaml"), "").unwrap();
    tell("a run without models", &run);
    fs::write(run.join("artifacts/model/MLmodel"), "flavors: {}\n").unwrap();
    tell("a run with a model", &run);
    let large = path.join("large");
    fs::create_dir(&large).unwrap();
    fs::File::create(large.join("MLmodel"))
        .unwrap()
        .set_len(17 << 20)
        .unwrap();
    tell("large", &large);
    insta::assert_snapshot!(all);
}

#[cfg(unix)]
#[test]
fn paths_stay_inside() {
    use mlrs_mlmodel::directory::FileError;

    let folder = tempfile::tempdir().unwrap();
    let model = folder.path().join("model");
    fs::create_dir_all(model.join("data")).unwrap();
    fs::write(folder.path().join("secret"), "s").unwrap();
    fs::write(model.join("data/weights"), "w").unwrap();
    std::os::unix::fs::symlink("../secret", model.join("out")).unwrap();
    std::os::unix::fs::symlink("..", model.join("up")).unwrap();
    std::os::unix::fs::symlink("data/weights", model.join("in")).unwrap();
    let info = "flavors: {}\nsaved_input_example_info: {artifact_path: out, serving_input_path: ../secret}\n";
    fs::write(model.join("MLmodel"), info).unwrap();
    let model = ModelDirectory::open(model).unwrap();

    for path in [
        "/etc/passwd",
        "../secret",
        "data/../../secret",
        "",
        "data/\0",
    ] {
        assert!(
            matches!(model.data_path(path), Err(FileError::NotRelative { .. })),
            "{path}"
        );
    }
    for path in ["out", "up/secret", "up"] {
        assert!(
            matches!(model.data_path(path), Err(FileError::Outside { .. })),
            "{path}"
        );
    }
    assert!(matches!(
        model.data_path("data/none"),
        Err(FileError::Absent { .. })
    ));
    assert!(model.data_path("in").unwrap().ends_with("data/weights"));
    assert!(model.data_path("./data/weights").is_ok());
    assert!(matches!(
        model.input_example(),
        Err(FileError::Outside { .. })
    ));
    assert!(matches!(
        model.serving_input_example(),
        Err(FileError::NotRelative { .. })
    ));
    assert_eq!(model.requirements().unwrap(), None);
    // Links are not counted: the two files only.
    assert_eq!(model.size_bytes().unwrap(), 1 + info.len() as u64);
}

#[test]
fn a_list_in_the_yaml_itself_is_a_signature() {
    let map = json!({"inputs": [{"type": "long", "name": "a"}]});
    let signature = Signature::from_map(map.as_object().unwrap()).unwrap();
    assert_eq!(signature.inputs.unwrap().names(), [Some("a")]);
}
