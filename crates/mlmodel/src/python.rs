//! What the `MLmodel` file and `python_env.yaml` say to Python: [`PythonFunction`] and
//! [`PythonEnvironment`]. A typed view; it loads nothing and runs nothing.

use indexmap::IndexMap;
use serde_json::{Map, Value};

use crate::yaml::{self, YamlError};

/// The `python_function` flavor. A value of an unexpected type counts as absent.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PythonFunction {
    /// The module whose `_load_pyfunc` loads the model; says which flavor it is.
    pub loader_module: Option<String>,
    /// The payload, relative to the model directory: `data`, or `model_path` as sklearn writes it.
    pub data: Option<String>,
    /// The Python that logged the model: `3.11.7`.
    pub python_version: Option<String>,
    /// The conda file. MLflow 1.x names it as a plain text.
    pub conda_env: Option<String>,
    /// The file [`PythonEnvironment`] is read from.
    pub virtualenv: Option<String>,
    /// A directory for the Python path.
    pub code: Option<String>,
    /// The model's configuration.
    pub config: Option<Map<String, Value>>,
    /// The sklearn method that predicts; `predict` when absent.
    pub predict_fn: Option<String>,
    /// The pickled model of a custom `pyfunc`.
    pub python_model: Option<String>,
    /// The code file of a model from code.
    pub model_code_path: Option<String>,
    /// Whether it can stream.
    pub streamable: bool,
    /// Artifact → its path in the model directory.
    pub artifacts: IndexMap<String, String>,
}

impl PythonFunction {
    /// Reads the configuration of the flavor.
    pub fn from_map(map: &Map<String, Value>) -> Self {
        let text = |key: &str| map.get(key).and_then(Value::as_str).map(str::to_owned);
        let environment = map.get("env");
        let inside = |key: &str| environment?.get(key)?.as_str().map(str::to_owned);
        let plain = environment.and_then(Value::as_str).map(str::to_owned);
        Self {
            loader_module: text("loader_module"),
            data: text("data").or_else(|| text("model_path")),
            python_version: text("python_version"),
            conda_env: plain.or_else(|| inside("conda")),
            virtualenv: inside("virtualenv"),
            code: text("code"),
            config: map.get("config").and_then(Value::as_object).cloned(),
            predict_fn: text("predict_fn"),
            python_model: text("python_model"),
            model_code_path: text("model_code_path"),
            streamable: map.get("streamable") == Some(&Value::Bool(true)),
            artifacts: artifacts(map.get("artifacts")),
        }
    }
}

fn artifacts(value: Option<&Value>) -> IndexMap<String, String> {
    let entries = value.and_then(Value::as_object).into_iter().flatten();
    entries
        .filter_map(|(name, entry)| Some((name.clone(), entry.get("path")?.as_str()?.to_owned())))
        .collect()
}

/// The file `python_env.yaml`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PythonEnvironment {
    /// The version of Python.
    pub python: Option<String>,
    /// What the build needs: `pip==23.2.1`.
    pub build_dependencies: Vec<String>,
    /// What the model needs, usually `-r requirements.txt`.
    pub dependencies: Vec<String>,
}

impl PythonEnvironment {
    /// Reads the text of `python_env.yaml`.
    ///
    /// # Errors
    /// When it is no YAML map. Entries that are no texts are left out.
    pub fn parse(text: &str) -> Result<Self, YamlError> {
        let map = yaml::read_map(text, &["python"])?;
        let texts = |key: &str| -> Vec<String> {
            let entries = map.get(key).and_then(Value::as_array).into_iter().flatten();
            entries
                .filter_map(Value::as_str)
                .map(str::to_owned)
                .collect()
        };
        Ok(Self {
            python: map.get("python").and_then(Value::as_str).map(str::to_owned),
            build_dependencies: texts("build_dependencies"),
            dependencies: texts("dependencies"),
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_environment_is_a_text_or_a_map() {
        let old = json!({"env": "conda.yaml", "data": "model.pkl"});
        let old = PythonFunction::from_map(old.as_object().unwrap());
        assert_eq!(
            (old.conda_env.as_deref(), old.virtualenv),
            (Some("conda.yaml"), None)
        );

        let new = json!({"env": {"conda": "c", "virtualenv": "v"}, "model_path": "model.skops"});
        let new = PythonFunction::from_map(new.as_object().unwrap());
        assert_eq!(
            (new.conda_env.as_deref(), new.virtualenv.as_deref()),
            (Some("c"), Some("v"))
        );
        assert_eq!(new.data.as_deref(), Some("model.skops"));
    }

    #[test]
    fn python_versions_stay_texts() {
        let environment =
            PythonEnvironment::parse("python: 3.10\ndependencies:\n- -r requirements.txt\n")
                .unwrap();
        assert_eq!(environment.python.as_deref(), Some("3.10"));
        assert_eq!(environment.dependencies, ["-r requirements.txt"]);
    }
}
