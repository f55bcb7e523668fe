//! An example of what a model takes, in the two forms that MLflow keeps: [`Example`].
//!
//! `input_example.json` is the data alone, `serving_input_example.json` a body for `/invocations`
//! (`mlflow.models.utils._Example`, MLflow 3.17).

use serde_json::{Map, Value, json};

use crate::manifest::ExampleInfo;
use crate::python_json;

pub(super) const INPUT: &str = "input_example.json";
pub(super) const SERVING: &str = "serving_input_example.json";

/// An example of what a model takes.
#[derive(Clone, Debug, PartialEq)]
pub struct Example {
    /// The data.
    pub data: ExampleData,
    /// Parameters of the prediction.
    pub params: Option<Map<String, Value>>,
}

/// The data of an example.
#[derive(Clone, Debug, PartialEq)]
pub enum ExampleData {
    /// A data frame.
    Frame {
        /// The names of the columns; `None` when they are numbered.
        columns: Option<Vec<Value>>,
        /// The rows.
        rows: Vec<Value>,
    },
    /// A tensor, or an object of tensors by name: nested lists.
    Tensors(Value),
    /// Anything else.
    Json(Value),
}

impl Example {
    /// The content of `input_example.json`.
    pub fn input(&self) -> Value {
        let data = self.bare();
        match &self.params {
            Some(params) => json!({"inputs": data, "params": params}),
            None => data,
        }
    }

    /// The content of `serving_input_example.json`, a body for `/invocations`.
    pub fn serving(&self) -> Value {
        let key = match self.data {
            ExampleData::Frame { .. } => "dataframe_split",
            ExampleData::Tensors(_) | ExampleData::Json(_) => "inputs",
        };
        let mut body = Map::new();
        body.insert(key.to_owned(), self.bare());
        if let Some(params) = &self.params {
            body.insert("params".to_owned(), Value::Object(params.clone()));
        }
        Value::Object(body)
    }

    /// The map `saved_input_example_info`.
    pub fn info(&self) -> ExampleInfo {
        let (kind, orient) = match &self.data {
            ExampleData::Frame { columns, .. } => {
                let orient = columns.as_ref().map_or("values", |_| "split");
                ("dataframe", Some(orient))
            }
            ExampleData::Tensors(_) => ("ndarray", None),
            ExampleData::Json(_) => ("json_object", None),
        };
        ExampleInfo {
            artifact_path: Some(INPUT.to_owned()),
            serving_input_path: Some(SERVING.to_owned()),
            kind: Some(kind.to_owned()),
            pandas_orient: orient.map(str::to_owned),
            has_params: self
                .params
                .as_ref()
                .is_some_and(|params| !params.is_empty()),
            ..ExampleInfo::default()
        }
    }

    pub(super) fn input_text(&self) -> String {
        python_json::write(&self.input())
    }

    pub(super) fn serving_text(&self) -> String {
        python_json::write_indented(&self.serving())
    }

    fn bare(&self) -> Value {
        match &self.data {
            ExampleData::Frame {
                columns: Some(columns),
                rows,
            } => json!({"columns": columns, "data": rows}),
            ExampleData::Frame {
                columns: None,
                rows,
            } => json!({"data": rows}),
            ExampleData::Tensors(value) | ExampleData::Json(value) => value.clone(),
        }
    }
}
