//! What a model directory says to Python: the flavors of an ONNX model, and the environment that loads
//! them, pinned as MLflow pins what is installed where it saves a model.

use serde_json::{Map, Value, json};

use super::MLFLOW_VERSION;

/// The Python that the environment is made with.
pub const PYTHON_VERSION: &str = "3.11.7";

/// The package `onnx` of the environment.
pub const ONNX_VERSION: &str = "1.23.2";

const ONNXRUNTIME_VERSION: &str = "1.31.1";
const NUMPY_VERSION: &str = "2.4.6";
const PANDAS_VERSION: &str = "3.1.1";

/// What Python 3.11 brings to build with.
const PIP_VERSION: &str = "23.2.1";
const SETUPTOOLS_VERSION: &str = "65.5.0";

pub(super) const CONDA: &str = "conda.yaml";
pub(super) const PYTHON: &str = "python_env.yaml";
pub(super) const REQUIREMENTS: &str = "requirements.txt";

/// The flavors of an ONNX file of this name.
pub(super) fn flavors(data: &str) -> [(&'static str, Map<String, Value>); 2] {
    let onnx = json!({
        "code": null,
        "data": data,
        "onnx_session_options": null,
        "onnx_version": ONNX_VERSION,
        "providers": ["CUDAExecutionProvider", "CPUExecutionProvider"],
    });
    let python_function = json!({
        "data": data,
        "env": {"conda": CONDA, "virtualenv": PYTHON},
        "loader_module": "mlflow.onnx",
        "python_version": PYTHON_VERSION,
    });
    let map = |value: Value| match value {
        Value::Object(map) => map,
        _ => Map::new(),
    };
    [
        ("onnx", map(onnx)),
        ("python_function", map(python_function)),
    ]
}

/// The packages that `mlflow.onnx` needs, by name. MLflow finds them by predicting the example, so that
/// `pandas` is among them where that is a data frame.
fn requirements(example_is_frame: bool) -> Vec<String> {
    let mut packages = vec![
        ("mlflow", MLFLOW_VERSION),
        ("numpy", NUMPY_VERSION),
        ("onnx", ONNX_VERSION),
        ("onnxruntime", ONNXRUNTIME_VERSION),
    ];
    if example_is_frame {
        packages.push(("pandas", PANDAS_VERSION));
    }
    let pinned = packages
        .iter()
        .map(|(name, version)| format!("{name}=={version}"));
    pinned.collect()
}

/// The files about Python, by name.
pub(super) fn files(example_is_frame: bool) -> [(&'static str, String); 3] {
    let requirements = requirements(example_is_frame);
    let conda = format!(
        "channels:\n- conda-forge\ndependencies:\n- python={PYTHON_VERSION}\n- pip<={PIP_VERSION}\n- pip:\n  - \
         {}\nname: mlflow-env\n",
        requirements.join("\n  - ")
    );
    let python = format!(
        "python: {PYTHON_VERSION}\nbuild_dependencies:\n- pip=={PIP_VERSION}\n- \
         setuptools=={SETUPTOOLS_VERSION}\n- wheel\ndependencies:\n- -r {REQUIREMENTS}\n"
    );
    [
        (CONDA, conda),
        (PYTHON, python),
        (REQUIREMENTS, requirements.join("\n")),
    ]
}
