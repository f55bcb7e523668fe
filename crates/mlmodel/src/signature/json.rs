//! JSON texts of schemas: the size limit, and Python's numbers that JSON lacks.

use std::fmt::Write as _;

use serde_json::{Map, Value, json};

use super::parse::found;
use super::{
    ColumnSpec, ColumnType, DataType, ParamSpec, Property, SCHEMA_SIZE_LIMIT, Schema,
    SignatureError, TensorSpec,
};
use crate::python_json::{write_text, write_value};

pub(super) fn read(text: &str) -> Result<Value, SignatureError> {
    if text.len() > SCHEMA_SIZE_LIMIT {
        let (bytes, limit) = (text.len(), SCHEMA_SIZE_LIMIT);
        return Err(SignatureError::TooLarge {
            part: "schema",
            bytes,
            limit,
        });
    }
    let source = match serde_json::from_str(text) {
        Ok(value) => return Ok(value),
        Err(error) => error,
    };
    if let Ok(value) = serde_json::from_str(&quote_not_finite(text)) {
        return Ok(value);
    }
    Err(SignatureError::NotJson {
        part: "schema",
        source,
    })
}

/// The JSON of one part of a signature: a text to parse, a list as it is, or nothing.
pub(super) fn part(
    value: Option<&Value>,
    name: &'static str,
) -> Result<Option<Value>, SignatureError> {
    match value {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) if text.is_empty() => Ok(None),
        Some(Value::String(text)) => read(text).map(Some).map_err(|error| error.in_part(name)),
        Some(Value::Array(list)) => Ok(Some(Value::Array(list.clone()))),
        Some(other) => {
            let problem = format!("expected a JSON text, found {}", found(other));
            Err(SignatureError::invalid("$", problem).in_part(name))
        }
    }
}

/// Puts `NaN`, `Infinity` and `-Infinity` into quotes where they stand outside of texts.
fn quote_not_finite(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 8);
    let mut rest = text;
    let (mut inside, mut escaped) = (false, false);
    while let Some(character) = rest.chars().next() {
        let word = ["NaN", "Infinity", "-Infinity"]
            .into_iter()
            .find(|word| rest.starts_with(word));
        if let (false, Some(word)) = (inside, word) {
            let _ = write!(quoted, "\"{word}\"");
            rest = &rest[word.len()..];
            continue;
        }
        if character == '"' && !escaped {
            inside = !inside;
        }
        escaped = inside && character == '\\' && !escaped;
        quoted.push(character);
        rest = &rest[character.len_utf8()..];
    }
    quoted
}

pub(super) fn schema_value(schema: &Schema) -> Value {
    match schema {
        Schema::Columns(columns) => columns.iter().map(column_value).collect(),
        Schema::Tensors(tensors) => tensors.iter().map(tensor_value).collect(),
    }
}

fn column_value(column: &ColumnSpec) -> Value {
    let mut map = type_map(&column.kind);
    if let Some(name) = &column.name {
        map.insert("name".to_owned(), json!(name));
    }
    // A nested column that never said `required` has null there; `false` would be refused
    // for a column without a name.
    let required = if column.name.is_none() && !column.required {
        Value::Null
    } else {
        json!(column.required)
    };
    map.insert("required".to_owned(), required);
    Value::Object(map)
}

fn type_map(kind: &ColumnType) -> Map<String, Value> {
    let (name, inner) = match kind {
        ColumnType::Scalar(scalar) => (scalar.name(), None),
        ColumnType::Array(items) => ("array", Some(("items", Value::Object(type_map(items))))),
        ColumnType::Map(values) => ("map", Some(("values", Value::Object(type_map(values))))),
        ColumnType::Object(properties) => {
            ("object", Some(("properties", properties_value(properties))))
        }
        ColumnType::Any => ("any", None),
        ColumnType::SparkVector => ("sparkml_vector", None),
    };
    let mut map = Map::new();
    map.insert("type".to_owned(), json!(name));
    if let Some((key, value)) = inner {
        map.insert(key.to_owned(), value);
    }
    map
}

fn properties_value(properties: &[Property]) -> Value {
    let entry = |property: &Property| {
        let mut map = type_map(&property.kind);
        map.insert("required".to_owned(), json!(property.required));
        (property.name.clone(), Value::Object(map))
    };
    Value::Object(properties.iter().map(entry).collect())
}

fn tensor_value(tensor: &TensorSpec) -> Value {
    let shape: Vec<Value> = tensor
        .shape
        .iter()
        .map(|size| size.map_or(json!(-1), |size| json!(size)))
        .collect();
    let spec = json!({"dtype": tensor.dtype.name(), "shape": shape});
    match &tensor.name {
        Some(name) => json!({"name": name, "type": "tensor", "tensor-spec": spec}),
        None => json!({"type": "tensor", "tensor-spec": spec}),
    }
}

/// The JSON text of a list of parameters.
pub(super) fn write_params(params: &[ParamSpec]) -> String {
    let texts: Vec<String> = params.iter().map(param_text).collect();
    format!("[{}]", texts.join(", "))
}

fn param_text(param: &ParamSpec) -> String {
    let mut out = String::from("{\"name\": ");
    write_text(&mut out, &param.name);
    out.push_str(", \"default\": ");
    let real = matches!(
        param.kind,
        ColumnType::Scalar(DataType::Float | DataType::Double)
    );
    write_value(&mut out, &param.default, real);
    out.push_str(", \"shape\": ");
    write_value(&mut out, &json!(param.shape), false);
    for (key, value) in &type_map(&param.kind) {
        let _ = write!(out, ", \"{key}\": ");
        write_value(&mut out, value, false);
    }
    out.push('}');
    out
}
