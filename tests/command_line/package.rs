use mlrs_testing::workspace_root;

use crate::terminal::Terminal;

/// A terminal with these ONNX files of the fixtures.
fn terminal(files: &[&str]) -> Terminal {
    let terminal = Terminal::new();
    for file in files {
        let from = workspace_root().join("tests/fixtures/onnx").join(file);
        let name = file.rsplit('/').next().unwrap();
        std::fs::copy(from, terminal.path(name)).unwrap();
    }
    terminal
}

#[test]
fn a_model_file_becomes_a_model_directory() {
    let mut terminal = terminal(&["two_inputs.onnx", "no_rank.onnx"]);
    terminal.write(
        "request.json",
        r#"{"inputs": {"a": [[1, 2, 3]], "b": [[0.5]]}}"#,
    );
    terminal.run("package onnx iris/model.onnx -o flowers");
    terminal.run(
        "package onnx two_inputs.onnx -o two --name pair --input-example request.json --metadata owner=anna \
         --backend tract",
    );
    terminal.run("package onnx no_rank.onnx -o any");
    terminal.run("predict -m two -i two/serving_input_example.json");
    terminal.run("models update-pip-requirements -m two add scipy>=1.10,<2 numpy");
    terminal.run("models update-pip-requirements -m two remove scipy torch");
    insta::assert_snapshot!(terminal.transcript());
}

#[test]
fn a_file_that_makes_no_model_is_named() {
    let mut terminal = terminal(&[
        "truncated.onnx",
        "external.onnx",
        "nested/external_escape.onnx",
        "two_inputs.onnx",
    ]);
    terminal.write("empty.onnx", "");
    terminal.write("wide.json", r#"{"inputs": {"a": [[1, 2]], "b": [[0.5]]}}"#);
    terminal.write(
        "signature.json",
        r#"{"inputs": [{"name": "a", "type": "tensor", "tensor-spec": {"dtype": "int64", "shape": [-1, 3]}}]}"#,
    );
    for words in [
        "absent.onnx",
        "empty.onnx",
        "truncated.onnx",
        "external.onnx",
        "external_escape.onnx",
        "two_inputs.onnx --input-example wide.json",
        "two_inputs.onnx --input-example absent.json",
        "two_inputs.onnx --signature signature.json",
        "two_inputs.onnx --backend torch",
    ] {
        terminal.run(&format!("package onnx {words} -o out"));
    }
    terminal.run("package onnx two_inputs.onnx -o iris");
    terminal.run("package onnx two_inputs.onnx -o .");
    terminal.run("register iris --name a/b");
    terminal.run("register iris --name iris --alias latest");
    terminal.run("register absent --name iris");
    terminal.run("register iris --name iris");
    terminal.run("models update-pip-requirements -m iris add numpy=1");
    terminal.run("models update-pip-requirements -m models:/iris/1 add numpy");
    insta::assert_snapshot!(terminal.transcript());
}
