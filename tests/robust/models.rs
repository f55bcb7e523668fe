//! Model directories made for these tests: real graphs, and an `MLmodel` written by hand.

use std::path::PathBuf;

use mlrs_testing::workspace_root;
use tempfile::TempDir;

/// What the manifest says besides the flavor.
#[derive(Clone, Copy, Debug, Default)]
pub struct Signature {
    /// The schema of the inputs, as JSON.
    pub inputs: Option<&'static str>,
    /// The parameters, as JSON.
    pub params: Option<&'static str>,
}

/// The model of the example, as it is in the repository.
pub fn iris() -> PathBuf {
    workspace_root().join("examples/iris")
}

/// One of the graphs that the backends are tested with.
pub fn graph(name: &str) -> PathBuf {
    workspace_root().join(format!("tests/fixtures/onnx/{name}.onnx"))
}

/// A model directory with this graph.
pub fn directory(name: &str, signature: Signature) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    std::fs::copy(graph(name), folder.path().join("model.onnx")).unwrap();
    std::fs::write(folder.path().join("MLmodel"), manifest(signature)).unwrap();
    folder
}

/// An `MLmodel` of flavor `onnx` whose data is `model.onnx`.
pub fn manifest(signature: Signature) -> String {
    let mut text =
        "flavors:\n  onnx:\n    data: model.onnx\n  python_function:\n    data: model.onnx\n    \
         loader_module: mlflow.onnx\nmlflow_version: 3.17.2\n"
            .to_owned();
    if signature.inputs.is_some() || signature.params.is_some() {
        text.push_str("signature:\n");
        for (key, value) in [("inputs", signature.inputs), ("params", signature.params)] {
            let value = value.map_or_else(|| "null".to_owned(), |json| format!("'{json}'"));
            text.push_str(&format!("  {key}: {value}\n"));
        }
    }
    text
}
