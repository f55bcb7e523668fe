//! Files that make no model: each gets a clear error, and nothing is left behind.

use serde_json::json;

use crate::workshop::{Workshop, fixture};

impl Workshop {
    /// Packages what must be refused; gives what was said.
    fn refused(&self, onnx: &str, more: &[&str]) -> String {
        let target = self.text("out/model");
        let words = [&["package", "onnx", onnx, "-o", &target], more].concat();
        let ended = self.mlrs(&words);
        assert_eq!(ended.code, 1, "{onnx} {more:?}: {}", ended.output);
        let left = std::fs::read_dir(self.path("out"));
        let left: Vec<_> = left.into_iter().flatten().collect();
        assert!(left.is_empty(), "{left:?}");
        assert!(!ended.errors.contains(".partial"), "{}", ended.errors);
        ended.errors
    }
}

#[test]
fn files_that_are_no_models_are_refused() {
    let Some(workshop) = Workshop::open("refused ONNX files") else {
        return;
    };
    let says = |onnx: &str, expected: &str| {
        let said = workshop.refused(onnx, &[]);
        assert!(said.contains(expected), "{onnx}: {said}");
        assert!(said.contains("hint:"), "{onnx}: {said}");
    };
    says(&workshop.text("absent.onnx"), "no ONNX file at");
    says(&workshop.write("empty.onnx", b""), "is empty");
    says(
        &workshop.write("text.onnx", b"hello"),
        "is no ONNX file, or a damaged one",
    );
    says(
        &workshop.write("other.onnx", b"\x08\x0a"),
        "holds no ONNX model",
    );
    says(
        &fixture("truncated.onnx"),
        "is no ONNX file, or a damaged one",
    );
    says(
        &fixture("corrupt.onnx"),
        "is no ONNX file, or a damaged one",
    );
    says(
        &fixture("nested/external_escape.onnx"),
        "at `../external.onnx.data`, which is no path inside its folder",
    );
    says(&workshop.text(""), "is not a file");
}

#[test]
fn a_model_without_all_its_files_is_refused() {
    let Some(workshop) = Workshop::open("refused external data") else {
        return;
    };
    let onnx = workshop.text("external.onnx");
    std::fs::copy(fixture("external.onnx"), &onnx).unwrap();
    let said = workshop.refused(&onnx, &[]);
    assert!(said.contains("is missing"), "{said}");
    let whole = std::fs::read(fixture("external.onnx.data")).unwrap();
    workshop.write("external.onnx.data", &whole[..whole.len() - 1]);
    let said = workshop.refused(&onnx, &[]);
    assert!(said.contains("has 267 bytes, but the tensor `"), "{said}");
    #[cfg(unix)]
    {
        std::fs::remove_file(workshop.path("external.onnx.data")).unwrap();
        let elsewhere = fixture("external.onnx.data");
        std::os::unix::fs::symlink(elsewhere, workshop.path("external.onnx.data")).unwrap();
        let said = workshop.refused(&onnx, &[]);
        assert!(said.contains("leads out of the folder of"), "{said}");
    }
    workshop.write("link", b"");
    std::fs::remove_file(workshop.path("external.onnx.data")).unwrap();
    workshop.write("external.onnx.data", &whole);
    workshop.package(&onnx, "whole", &[]);
}

#[test]
fn what_does_not_fit_the_model_is_refused() {
    let Some(workshop) = Workshop::open("refused examples and signatures") else {
        return;
    };
    let onnx = fixture("two_inputs.onnx");
    let example = |text: &str| {
        let file = workshop.write("example.json", text);
        workshop.refused(&onnx, &["--input-example", &file])
    };
    let says = |said: &str, expected: &[&str]| {
        for expected in expected {
            assert!(said.contains(expected), "{said}");
        }
    };
    let a = json!([[1, 2, 3]]);
    says(
        &example(&json!({"inputs": {"a": a}}).to_string()),
        &["does not fit the model", "b"],
    );
    says(
        &example(&json!({"inputs": {"a": [[1, 2]], "b": [[1]]}}).to_string()),
        &["a", "(-1, 3)", "(1, 2)"],
    );
    says(
        &example(&json!({"inputs": {"a": [[1, "x", 3]], "b": [[1]]}}).to_string()),
        &["`a`", "float32"],
    );
    says(&example("{"), &["does not fit the model"]);
    says(
        &workshop.refused(&onnx, &["--input-example", &workshop.text("absent")]),
        &["cannot read", "absent"],
    );
    let signature = |text: &str| {
        let file = workshop.write("signature.json", text);
        workshop.refused(&onnx, &["--signature", &file])
    };
    let spec = |name: &str, width: i64| json!({"name": name, "type": "tensor", "tensor-spec": {"dtype": "float32", "shape": [-1, width]}});
    says(
        &signature(&json!({"inputs": [spec("a", 4), spec("b", 1)]}).to_string()),
        &[
            "the input `a`: the signature declares float32 (-1, 4), and the model has float32 (-1, 3)",
        ],
    );
    says(
        &signature(&json!({"inputs": [spec("a", 3)]}).to_string()),
        &["the model takes the input `b`, which the signature does not declare"],
    );
    says(&signature("[]"), &["is no JSON object", "hint:"]);
    says(&signature("{}"), &["neither inputs nor outputs"]);
    says(
        &signature("{\"inputs\": 3}"),
        &["cannot understand the signature"],
    );
    says(&signature("x"), &["is not JSON"]);
}

#[test]
fn what_is_there_is_not_touched() {
    let Some(workshop) = Workshop::open("occupied destinations") else {
        return;
    };
    std::fs::create_dir(workshop.path("there")).unwrap();
    workshop.package(&fixture("perceptron.onnx"), "there", &[]);
    let words = [
        "package",
        "onnx",
        &fixture("forest.onnx"),
        "-o",
        &workshop.text("there"),
    ];
    let ended = workshop.mlrs(&words);
    assert_eq!(ended.code, 1);
    assert!(
        ended
            .errors
            .contains("exists already and is not an empty directory"),
        "{}",
        ended.errors
    );
    let shown = workshop.json(&["inspect", &workshop.text("there"), "--output", "json"]);
    assert_eq!(shown["signature"]["outputs"][0]["name"], "y");
}
