//! The `MLmodel` file: [`Manifest`].
//!
//! Fields are those of `mlflow.models.Model` (MLflow 1.x to 3.17); each may be absent. What this
//! version does not know is kept and written again. The signature and the flavors stay as they are
//! in the file: `signature` and the backends read them.

use indexmap::IndexMap;
use serde_json::{Map, Value, json};

use crate::python::PythonFunction;
use crate::signature::{Signature, SignatureError, found, shorten};
use crate::yaml::{self, YamlError};
use crate::yaml_text;

/// The name of the file in a model directory.
pub const FILE_NAME: &str = "MLmodel";

/// Keys whose values are texts even where YAML would see a number or a date.
const TEXTS: [&str; 7] = [
    "artifact_path",
    "databricks_runtime",
    "mlflow_version",
    "model_id",
    "model_uuid",
    "run_id",
    "utc_time_created",
];

/// The content of an `MLmodel` file.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Manifest {
    /// Where the model was logged: below the run (MLflow 2) or a whole location (MLflow 3).
    /// Never a place to look for the model.
    pub artifact_path: Option<String>,
    /// The run that logged it.
    pub run_id: Option<String>,
    /// Its id as a logged model, `m-` and 32 hexadecimal digits (MLflow 3).
    pub model_id: Option<String>,
    /// A unique id; equals `model_id` where there is one.
    pub model_uuid: Option<String>,
    /// The MLflow that wrote it; absent before 1.20.
    pub mlflow_version: Option<String>,
    /// When it was written: `YYYY-MM-DD HH:MM:SS.ffffff`, UTC, without a zone.
    pub utc_time_created: Option<String>,
    /// The Databricks runtime that wrote it.
    pub databricks_runtime: Option<String>,
    /// Flavor → its configuration, in the order of the file.
    pub flavors: IndexMap<String, Map<String, Value>>,
    /// The `signature` map as it is; [`Manifest::signature`] reads it.
    pub signature: Option<Map<String, Value>>,
    /// Where the examples are.
    pub saved_input_example_info: Option<ExampleInfo>,
    /// What the user attached.
    pub metadata: Option<Value>,
    /// Roughly how large the files are, in bytes.
    pub model_size_bytes: Option<u64>,
    /// What the model uses on Databricks; kept, not interpreted.
    pub resources: Option<Value>,
    /// How the model is authorised on Databricks; kept, not interpreted.
    pub auth_policy: Option<Value>,
    /// Names of the environment variables that the model read while it was logged.
    pub env_vars: Option<Vec<String>>,
    /// Prompts of the prompt registry.
    pub prompts: Option<Vec<String>>,
    /// Whether the signature comes from a type hint; the REST API then accepts only `inputs`.
    pub is_signature_from_type_hint: Option<bool>,
    /// Whether the type hint was `TypeFromExample`.
    pub type_hint_from_example: Option<bool>,
    /// Keys that are not known here, and known ones that the file has as null.
    pub extra: Map<String, Value>,
}

/// The map `saved_input_example_info`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ExampleInfo {
    /// The example's file, relative to the model directory.
    pub artifact_path: Option<String>,
    /// The file that holds the example as a request body.
    pub serving_input_path: Option<String>,
    /// `dataframe`, `ndarray`, `json_object`, `sparse_matrix_csc` or `sparse_matrix_csr`.
    pub kind: Option<String>,
    /// `split` for data frames.
    pub pandas_orient: Option<String>,
    /// `tf-serving`, in old files.
    pub format: Option<String>,
    /// Whether the example carries parameters (`'true'` in the file).
    pub has_params: bool,
    /// Other keys.
    pub extra: Map<String, Value>,
}

/// Why an `MLmodel` text was refused.
#[derive(Debug, thiserror::Error)]
pub enum ManifestError {
    /// It is not a YAML map.
    #[error(transparent)]
    Yaml(#[from] YamlError),
    /// It says nothing about any flavor, so it is another file.
    #[error("there is no `flavors` key")]
    NoFlavors,
    /// A field has another type than MLflow gives it.
    #[error("`{field}`: expected {expected}, found {found}")]
    Field {
        /// Its key; dots lead into maps.
        field: String,
        /// What belongs there.
        expected: &'static str,
        /// What is there.
        found: &'static str,
    },
}

impl Manifest {
    /// Reads the text of an `MLmodel` file.
    ///
    /// # Errors
    /// When it is no YAML map, has no `flavors`, or a field has a type that it never has.
    pub fn parse(text: &str) -> Result<Self, ManifestError> {
        let mut fields = Fields {
            map: yaml::read_map(text, &TEXTS)?,
            prefix: "",
        };
        if !fields.map.contains_key("flavors") {
            return Err(ManifestError::NoFlavors);
        }
        Ok(Self {
            artifact_path: fields.text("artifact_path")?,
            run_id: fields.text("run_id")?,
            model_id: fields.text("model_id")?,
            model_uuid: fields.text("model_uuid")?,
            mlflow_version: fields.text("mlflow_version")?,
            utc_time_created: fields.text("utc_time_created")?,
            databricks_runtime: fields.text("databricks_runtime")?,
            flavors: fields.flavors()?,
            signature: fields.map("signature")?,
            saved_input_example_info: fields.example_info()?,
            metadata: fields.take("metadata"),
            model_size_bytes: fields.whole_number("model_size_bytes")?,
            resources: fields.take("resources"),
            auth_policy: fields.take("auth_policy"),
            env_vars: fields.texts("env_vars")?,
            prompts: fields.texts("prompts")?,
            is_signature_from_type_hint: fields.flag("is_signature_from_type_hint")?,
            type_hint_from_example: fields.flag("type_hint_from_example")?,
            extra: fields.map,
        })
    }

    /// Writes it as YAML, keys sorted at every level as MLflow does.
    pub fn to_yaml(&self) -> String {
        yaml_text::write_map(&self.to_map())
    }

    /// All fields as one map, as they stand in the file.
    pub fn to_map(&self) -> Map<String, Value> {
        let texts = |list: &Option<Vec<String>>| list.as_ref().map(|list| json!(list));
        let text = |text: &Option<String>| text.as_ref().map(|text| json!(text));
        let info = self.saved_input_example_info.as_ref();
        let fields = [
            ("artifact_path", text(&self.artifact_path)),
            ("run_id", text(&self.run_id)),
            ("model_id", text(&self.model_id)),
            ("model_uuid", text(&self.model_uuid)),
            ("mlflow_version", text(&self.mlflow_version)),
            ("utc_time_created", text(&self.utc_time_created)),
            ("databricks_runtime", text(&self.databricks_runtime)),
            ("flavors", Some(json!(self.flavors))),
            ("signature", self.signature.clone().map(Value::Object)),
            (
                "saved_input_example_info",
                info.map(|info| Value::Object(info.to_map())),
            ),
            ("metadata", self.metadata.clone()),
            (
                "model_size_bytes",
                self.model_size_bytes.map(|size| json!(size)),
            ),
            ("resources", self.resources.clone()),
            ("auth_policy", self.auth_policy.clone()),
            ("env_vars", texts(&self.env_vars)),
            ("prompts", texts(&self.prompts)),
            (
                "is_signature_from_type_hint",
                self.is_signature_from_type_hint.map(|flag| json!(flag)),
            ),
            (
                "type_hint_from_example",
                self.type_hint_from_example.map(|flag| json!(flag)),
            ),
        ];
        let mut map = self.extra.clone();
        for (key, value) in fields {
            if let Some(value) = value {
                map.insert(key.to_owned(), value);
            }
        }
        map
    }

    /// The configuration of a flavor, by its key (`onnx`, `sklearn`, `python_function`).
    pub fn flavor(&self, key: &str) -> Option<&Map<String, Value>> {
        self.flavors.get(key)
    }

    /// The `python_function` flavor, typed; what MLflow's own server would load.
    pub fn python_function(&self) -> Option<PythonFunction> {
        self.flavor("python_function").map(PythonFunction::from_map)
    }

    /// Reads the signature; `None` when the file has none, or one without any part.
    ///
    /// # Errors
    /// When MLflow would refuse it as well; see [`Signature::from_map`].
    pub fn signature(&self) -> Result<Option<Signature>, SignatureError> {
        let signature = self
            .signature
            .as_ref()
            .map(Signature::from_map)
            .transpose()?;
        Ok(signature.filter(|signature| *signature != Signature::default()))
    }
}

impl ExampleInfo {
    fn read(map: Map<String, Value>) -> Result<Self, ManifestError> {
        let mut fields = Fields {
            map,
            prefix: "saved_input_example_info.",
        };
        Ok(Self {
            artifact_path: fields.text("artifact_path")?,
            serving_input_path: fields.text("serving_input_path")?,
            kind: fields.text("type")?,
            pandas_orient: fields.text("pandas_orient")?,
            format: fields.text("format")?,
            has_params: fields.said_true("params"),
            extra: fields.map,
        })
    }

    fn to_map(&self) -> Map<String, Value> {
        let fields = [
            ("artifact_path", self.artifact_path.as_deref()),
            ("serving_input_path", self.serving_input_path.as_deref()),
            ("type", self.kind.as_deref()),
            ("pandas_orient", self.pandas_orient.as_deref()),
            ("format", self.format.as_deref()),
            ("params", self.has_params.then_some("true")),
        ];
        let mut map = self.extra.clone();
        for (key, value) in fields {
            if let Some(value) = value {
                map.insert(key.to_owned(), json!(value));
            }
        }
        map
    }
}

/// A map whose known keys are taken out one by one. A null stays, so that it is written again.
struct Fields {
    map: Map<String, Value>,
    prefix: &'static str,
}

impl Fields {
    fn take(&mut self, key: &str) -> Option<Value> {
        if self.map.get(key)?.is_null() {
            return None;
        }
        self.map.shift_remove(key)
    }

    /// Takes the key only if it says true; any other value stays as it is.
    fn said_true(&mut self, key: &str) -> bool {
        let said = self
            .map
            .get(key)
            .is_some_and(|said| *said == "true" || *said == true);
        said && self.map.shift_remove(key).is_some()
    }

    fn refused(&self, key: &str, expected: &'static str, value: &Value) -> ManifestError {
        let field = format!("{}{key}", self.prefix);
        ManifestError::Field {
            field,
            expected,
            found: yaml_name(value),
        }
    }

    fn text(&mut self, key: &str) -> Result<Option<String>, ManifestError> {
        match self.take(key) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(other) => Err(self.refused(key, "a text", &other)),
        }
    }

    fn texts(&mut self, key: &str) -> Result<Option<Vec<String>>, ManifestError> {
        let Some(value) = self.take(key) else {
            return Ok(None);
        };
        let Value::Array(values) = value else {
            return Err(self.refused(key, "a list", &value));
        };
        let text = |(index, value)| match value {
            Value::String(text) => Ok(text),
            other => Err(self.refused(&format!("{key}[{index}]"), "a text", &other)),
        };
        values
            .into_iter()
            .enumerate()
            .map(text)
            .collect::<Result<_, _>>()
            .map(Some)
    }

    fn flag(&mut self, key: &str) -> Result<Option<bool>, ManifestError> {
        match self.take(key) {
            None => Ok(None),
            Some(Value::Bool(flag)) => Ok(Some(flag)),
            Some(other) => Err(self.refused(key, "true or false", &other)),
        }
    }

    fn whole_number(&mut self, key: &str) -> Result<Option<u64>, ManifestError> {
        let Some(value) = self.take(key) else {
            return Ok(None);
        };
        value
            .as_u64()
            .map(Some)
            .ok_or_else(|| self.refused(key, "a number of bytes", &value))
    }

    fn map(&mut self, key: &str) -> Result<Option<Map<String, Value>>, ManifestError> {
        match self.take(key) {
            None => Ok(None),
            Some(Value::Object(map)) => Ok(Some(map)),
            Some(other) => Err(self.refused(key, "a map", &other)),
        }
    }

    fn flavors(&mut self) -> Result<IndexMap<String, Map<String, Value>>, ManifestError> {
        let mut flavors = IndexMap::new();
        for (name, value) in self.map("flavors")?.unwrap_or_default() {
            let configuration = match value {
                Value::Object(map) => map,
                Value::Null => Map::new(),
                other => {
                    return Err(self.refused(
                        &format!("flavors.{}", shorten(&name)),
                        "a map",
                        &other,
                    ));
                }
            };
            flavors.insert(name, configuration);
        }
        // Null here is an empty map, which is what is written.
        self.map.shift_remove("flavors");
        Ok(flavors)
    }

    fn example_info(&mut self) -> Result<Option<ExampleInfo>, ManifestError> {
        self.map("saved_input_example_info")?
            .map(ExampleInfo::read)
            .transpose()
    }
}

fn yaml_name(value: &Value) -> &'static str {
    if value.is_object() {
        "a map"
    } else {
        found(value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nulls_and_unknown_keys_are_written_again() {
        let text = "flavors:\n  x:\n    code: null\nfuture:\n- 1\nmodel_id: null\nprompts: null\n";
        let manifest = Manifest::parse(text).unwrap();
        assert_eq!(manifest.to_yaml(), text);
        assert_eq!(manifest.extra["future"], json!([1]));
        assert_eq!(manifest.model_id, None);
    }

    #[test]
    fn a_time_without_quotes_is_a_text() {
        let manifest = Manifest::parse(
            "flavors: {}\nutc_time_created: 2019-06-01 12:00:00.123456\nmlflow_version: 1.20\n",
        )
        .unwrap();
        assert_eq!(
            manifest.utc_time_created.as_deref(),
            Some("2019-06-01 12:00:00.123456")
        );
        assert_eq!(manifest.mlflow_version.as_deref(), Some("1.20"));
    }

    #[test]
    fn a_field_of_the_wrong_type_is_named() {
        let error = Manifest::parse("flavors: [onnx]").unwrap_err();
        assert_eq!(error.to_string(), "`flavors`: expected a map, found a list");
        let error = Manifest::parse("flavors: {onnx: model.onnx}").unwrap_err();
        assert_eq!(
            error.to_string(),
            "`flavors.onnx`: expected a map, found a text"
        );
    }

    #[test]
    fn a_signature_without_parts_is_none() {
        let manifest =
            Manifest::parse("flavors: {}\nsignature: {inputs: null, outputs: null}").unwrap();
        assert_eq!(manifest.signature().unwrap(), None);
    }
}
