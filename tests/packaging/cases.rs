//! The small ONNX models of the fixtures, and inputs that they take.

use mlrs_testing::workspace_root;
use serde_json::{Map, Value, json};

/// A model and inputs that it takes.
pub struct Case {
    pub name: String,
    /// The ONNX file.
    pub onnx: String,
    /// Tensors by name: `dtype`, `shape`, and flat `data`.
    pub inputs: Value,
    /// How far answers may be apart.
    pub tolerance: f64,
}

impl Case {
    /// Those of the fixtures that a backend serves and that have inputs of a moderate size.
    pub fn all() -> Vec<Self> {
        let path = workspace_root().join("tests/fixtures/onnx/cases.json");
        let cases: Vec<Value> =
            serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
        let cases: Vec<Self> = cases.iter().filter_map(Self::read).collect();
        assert!(cases.len() > 25, "{}", cases.len());
        cases
    }

    fn read(case: &Value) -> Option<Self> {
        let name = case["name"].as_str()?;
        let runs = case["runs"].as_array()?;
        let run = runs.iter().find(|run| run.get("error").is_none())?;
        let names = case["inputs"].as_array()?.iter();
        let tensors = run["inputs"].as_array()?.iter().cloned();
        let inputs: Map<String, Value> = names
            .zip(tensors)
            .map(|(name, tensor)| (name.as_str().unwrap().to_owned(), tensor))
            .collect();
        let rows = |tensor: &Value| {
            tensor["shape"]
                .as_array()
                .is_some_and(|sizes| !sizes.contains(&json!(0)))
        };
        // JSON cannot tell how wide a matrix without rows is.
        if !inputs.values().all(rows) {
            return None;
        }
        // MLflow's signatures have no name for it, and its check refuses each array of that type.
        if inputs.values().any(|tensor| tensor["dtype"] == "bfloat16") {
            return None;
        }
        Some(Self {
            name: name.to_owned(),
            onnx: super::workshop::fixture(case["data"].as_str()?),
            inputs: Value::Object(inputs),
            tolerance: case["tolerance"].as_f64()?.max(1e-6),
        })
    }

    /// The inputs as a body for `/invocations`.
    pub fn body(&self) -> Value {
        let inputs = self.inputs.as_object().unwrap();
        let nested = |tensor: &Value| {
            let sizes = tensor["shape"].as_array().unwrap();
            let sizes: Vec<usize> = sizes
                .iter()
                .map(|size| usize::try_from(size.as_u64().unwrap()).unwrap())
                .collect();
            nest(tensor["data"].as_array().unwrap(), &sizes)
        };
        if inputs.len() == 1 {
            return json!({"inputs": nested(inputs.values().next().unwrap())});
        }
        let named: Map<String, Value> = inputs
            .iter()
            .map(|(name, tensor)| (name.clone(), nested(tensor)))
            .collect();
        json!({"inputs": named})
    }
}

/// Flat values as lists in lists.
fn nest(values: &[Value], sizes: &[usize]) -> Value {
    match sizes {
        [] => values[0].clone(),
        [_] => Value::from(values.to_vec()),
        [first, rest @ ..] => {
            let width = values.len() / (*first).max(1);
            let part = |index: usize| nest(&values[index * width..(index + 1) * width], rest);
            (0..*first).map(part).collect()
        }
    }
}

/// Whether two answers are the same but for a tolerance. A list of one number a row, as Python gives a
/// column, is that of mlrs.
pub fn close(one: &Value, other: &Value, tolerance: f64) -> bool {
    match (one, other) {
        (Value::Number(one), Value::Number(other)) => {
            let (one, other) = (one.as_f64().unwrap(), other.as_f64().unwrap());
            (one - other).abs() <= tolerance * one.abs().max(1.0)
        }
        (Value::Array(one), Value::Array(other)) => {
            let same = |(one, other)| close(one, other, tolerance);
            one.len() == other.len() && one.iter().zip(other).all(same)
        }
        (Value::Object(one), Value::Object(other)) => {
            let same = |(key, value): (&String, &Value)| {
                other
                    .get(key)
                    .is_some_and(|other| close(value, other, tolerance))
            };
            one.len() == other.len() && one.iter().all(same)
        }
        _ => one == other,
    }
}
