//! Session options that `MLmodel` carries under `onnx_session_options`, read as MLflow reads them.
//!
//! MLflow's page on the ONNX flavor lists them: `inter_op_num_threads`, `intra_op_num_threads`,
//! `execution_mode`, `graph_optimization_level` and `extra_session_config`; other keys have no
//! effect there, nor here. Entries that would make the engine read or write files are refused.

use mlrs_backend::Refusal;
use ort::session::builder::GraphOptimizationLevel;
use serde_json::{Map, Value};

const KEY: &str = "onnx_session_options";
/// A model that asks for more threads than this is wrong.
const MOST_THREADS: u64 = 1024;

/// The options; `None` where the model says nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct SessionOptions {
    pub inter_threads: Option<usize>,
    pub intra_threads: Option<usize>,
    pub parallel: Option<bool>,
    pub optimization: Option<GraphOptimizationLevel>,
    pub entries: Vec<(String, String)>,
}

impl SessionOptions {
    /// Reads them from the configuration of the flavor.
    pub fn read(configuration: &Map<String, Value>) -> Result<Self, Refusal> {
        let options = match configuration.get(KEY) {
            None | Some(Value::Null) => return Ok(Self::default()),
            Some(Value::Object(options)) => options,
            Some(_) => return Err(Refusal::new(format!("`{KEY}` is not a mapping"))),
        };
        Ok(Self {
            inter_threads: threads(options, "inter_op_num_threads")?,
            intra_threads: threads(options, "intra_op_num_threads")?,
            parallel: execution_mode(options)?,
            optimization: optimization(options)?,
            entries: entries(options)?,
        })
    }
}

fn wrong(key: &str, wanted: &str) -> Refusal {
    Refusal::new(format!("`{KEY}.{key}` is not {wanted}"))
}

fn value<'options>(options: &'options Map<String, Value>, key: &str) -> Option<&'options Value> {
    options.get(key).filter(|value| !value.is_null())
}

/// Zero means "not said", as in MLflow.
fn threads(options: &Map<String, Value>, key: &str) -> Result<Option<usize>, Refusal> {
    let Some(value) = value(options, key) else {
        return Ok(None);
    };
    let count = value.as_u64().filter(|count| *count <= MOST_THREADS);
    let count = count.ok_or_else(|| wrong(key, "a number of threads from 0 to 1024"))?;
    Ok((count > 0).then_some(count as usize))
}

fn execution_mode(options: &Map<String, Value>) -> Result<Option<bool>, Refusal> {
    let Some(value) = value(options, "execution_mode") else {
        return Ok(None);
    };
    match value.as_str().map(str::to_ascii_uppercase).as_deref() {
        Some("SEQUENTIAL") => Ok(Some(false)),
        Some("PARALLEL") => Ok(Some(true)),
        _ => Err(wrong("execution_mode", "`sequential` or `parallel`")),
    }
}

/// The numbers of `GraphOptimizationLevel` in ONNX Runtime; MLflow takes 0 as "not said".
fn optimization(options: &Map<String, Value>) -> Result<Option<GraphOptimizationLevel>, Refusal> {
    let Some(value) = value(options, "graph_optimization_level") else {
        return Ok(None);
    };
    match value.as_u64() {
        Some(0) => Ok(None),
        Some(1) => Ok(Some(GraphOptimizationLevel::Level1)),
        Some(2) => Ok(Some(GraphOptimizationLevel::Level2)),
        Some(3) => Ok(Some(GraphOptimizationLevel::Level3)),
        Some(99) => Ok(Some(GraphOptimizationLevel::All)),
        _ => Err(wrong("graph_optimization_level", "0, 1, 2, 3 or 99")),
    }
}

fn entries(options: &Map<String, Value>) -> Result<Vec<(String, String)>, Refusal> {
    let entries = match value(options, "extra_session_config") {
        None => return Ok(Vec::new()),
        Some(Value::Object(entries)) => entries,
        Some(_) => return Err(wrong("extra_session_config", "a mapping")),
    };
    entries
        .iter()
        .map(|(key, value)| entry(key, value))
        .collect()
}

fn entry(key: &str, value: &Value) -> Result<(String, String), Refusal> {
    if ["path", "file", "folder", "location", "library"]
        .iter()
        .any(|word| key.contains(word))
    {
        let reason = format!(
            "`{KEY}.extra_session_config` sets `{key}`, which names files, and a model may not"
        );
        return Err(Refusal::new(reason));
    }
    let text = scalar_text(value)
        .ok_or_else(|| wrong("extra_session_config", "a mapping of plain values"))?;
    if key.contains('\0') || text.contains('\0') {
        return Err(wrong("extra_session_config", "free of NUL characters"));
    }
    Ok((key.to_owned(), text))
}

/// A plain value as ONNX Runtime's options write it: truth values are 1 and 0.
pub(crate) fn scalar_text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(truth) => Some(if *truth { "1" } else { "0" }.to_owned()),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(options: &Value) -> Result<SessionOptions, String> {
        let configuration = json!({ KEY: options });
        SessionOptions::read(configuration.as_object().unwrap()).map_err(|refusal| refusal.reason)
    }

    #[test]
    fn reads_what_mlflow_writes() {
        let options = read(&json!({
            "inter_op_num_threads": 2, "intra_op_num_threads": 3, "execution_mode": "parallel",
            "graph_optimization_level": 99,
            "extra_session_config": {"session.disable_prepacking": "1", "session.intra_op.allow_spinning": 0},
        }));
        let entry = |key: &str, value: &str| (key.to_owned(), value.to_owned());
        let expected = SessionOptions {
            inter_threads: Some(2),
            intra_threads: Some(3),
            parallel: Some(true),
            optimization: Some(GraphOptimizationLevel::All),
            entries: vec![
                entry("session.disable_prepacking", "1"),
                entry("session.intra_op.allow_spinning", "0"),
            ],
        };
        assert_eq!(options.unwrap(), expected);
    }

    #[test]
    fn nothing_said_is_nothing_set() {
        assert_eq!(read(&Value::Null).unwrap(), SessionOptions::default());
        let zeros = json!({"intra_op_num_threads": 0, "graph_optimization_level": 0, "unknown": [1], "execution_mode": null});
        assert_eq!(read(&zeros).unwrap(), SessionOptions::default());
    }

    #[test]
    fn refuses_nonsense() {
        for (options, text) in [
            (json!([]), "`onnx_session_options` is not a mapping"),
            (
                json!({"intra_op_num_threads": 100_000}),
                "is not a number of threads",
            ),
            (
                json!({"inter_op_num_threads": -1}),
                "is not a number of threads",
            ),
            (
                json!({"execution_mode": "fast"}),
                "is not `sequential` or `parallel`",
            ),
            (
                json!({"graph_optimization_level": 7}),
                "is not 0, 1, 2, 3 or 99",
            ),
            (json!({"extra_session_config": 1}), "is not a mapping"),
            (
                json!({"extra_session_config": {"a": []}}),
                "is not a mapping of plain values",
            ),
            (json!({"extra_session_config": {"a\0": "b"}}), "free of NUL"),
            (
                json!({"extra_session_config": {"ep.context_file_path": "/tmp/x"}}),
                "names files",
            ),
        ] {
            let reason = read(&options).unwrap_err();
            assert!(reason.contains(text), "{reason}");
        }
    }
}
