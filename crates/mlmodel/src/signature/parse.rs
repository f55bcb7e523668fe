//! Reads a schema from JSON, with the rules and the quirks of `mlflow/types/schema.py`.
//!
//! Quirks kept on purpose, because they decide what a model accepts: a scalar column without
//! `required` is required, a nested one (array, object, map, any, vector) is optional; an unknown
//! key is refused beside a scalar and ignored elsewhere. Keys of older releases are read as what
//! they meant. The entry point is [`schema`].

use serde_json::{Map, Value};

use super::error::shorten;
use super::{
    ColumnSpec, ColumnType, DataType, Property, Schema, SignatureError, TensorSpec, TensorType,
};

type Result<T> = std::result::Result<T, SignatureError>;

/// numpy allows no more.
const MOST_DIMENSIONS: usize = 64;
/// Longer than any numpy name; keeps hostile text out of tables and messages.
const LONGEST_DTYPE: usize = 64;

pub(super) fn schema(value: &Value) -> Result<Schema> {
    let specs = value.as_array().ok_or_else(|| {
        SignatureError::invalid("$", format!("expected a list, found {}", found(value)))
    })?;
    if specs.is_empty() {
        return Err(SignatureError::invalid(
            "$",
            "a schema needs at least one column",
        ));
    }
    let mut columns = Vec::new();
    let mut tensors = Vec::new();
    for (index, spec) in specs.iter().enumerate() {
        let path = format!("$[{index}]");
        let spec = object(spec, &path)?;
        let name = text_or_null(spec, "name", &path)?;
        let read = if type_name(spec, &path)? == "tensor" {
            tensor(spec, name, &path).map(|tensor| tensors.push(tensor))
        } else {
            column(spec, name, &path).map(|column| columns.push(column))
        };
        read.map_err(|error| error.in_column(name))?;
    }
    match (columns.is_empty(), tensors.is_empty()) {
        (_, true) => checked_columns(columns),
        (true, _) => checked_tensors(tensors),
        _ => Err(SignatureError::invalid(
            "$",
            "columns and tensors cannot be mixed",
        )),
    }
}

fn checked_columns(columns: Vec<ColumnSpec>) -> Result<Schema> {
    let named = columns
        .iter()
        .filter(|column| column.name.is_some())
        .count();
    refuse_half_named(named, columns.len())?;
    Ok(Schema::Columns(columns))
}

fn checked_tensors(tensors: Vec<TensorSpec>) -> Result<Schema> {
    let named = tensors
        .iter()
        .filter(|tensor| tensor.name.is_some())
        .count();
    refuse_half_named(named, tensors.len())?;
    if named == 0 && tensors.len() > 1 {
        return Err(SignatureError::invalid("$", "several tensors need names"));
    }
    Ok(Schema::Tensors(tensors))
}

fn refuse_half_named(named: usize, all: usize) -> Result<()> {
    if named == 0 || named == all {
        return Ok(());
    }
    let problem = format!("{named} of {all} have a name; either all are named or none");
    Err(SignatureError::invalid("$", problem))
}

fn column(spec: &Map<String, Value>, name: Option<&str>, path: &str) -> Result<ColumnSpec> {
    let kind = column_type(spec, path)?;
    let scalar = matches!(kind, ColumnType::Scalar(_));
    if scalar
        && let Some(key) = spec
            .keys()
            .find(|key| !["type", "name", "required", "optional"].contains(&key.as_str()))
    {
        let problem = format!("unknown key `{}` beside a scalar type", shorten(key));
        return Err(SignatureError::invalid(path, problem));
    }
    let (said, required) = required(spec, scalar, path)?;
    if name.is_none() && (said == Some(false) || scalar && !required) {
        return Err(SignatureError::invalid(
            path,
            "a column without a name cannot be optional",
        ));
    }
    Ok(ColumnSpec {
        name: name.map(str::to_owned),
        kind,
        required,
    })
}

/// What the file says of whether a request must carry the column, and what follows. MLflow 2.4 to
/// 2.9 wrote `"optional": true` where later ones write `"required": false`.
fn required(spec: &Map<String, Value>, absent: bool, path: &str) -> Result<(Option<bool>, bool)> {
    let said = |key: &str| match spec.get(key) {
        Some(Value::Bool(flag)) => Some(*flag),
        _ => None,
    };
    let optional = flag(spec.get("optional"), false, &format!("{path}.optional"))?;
    let required = flag(spec.get("required"), absent, &format!("{path}.required"))?;
    let Some(said_optional) = said("optional") else {
        return Ok((said("required"), required));
    };
    if said("required") == Some(said_optional) {
        let problem = "`optional` and `required` contradict each other";
        return Err(SignatureError::invalid(path, problem));
    }
    Ok((Some(!optional), !optional))
}

/// The type that a map with a `type` key describes; the depth is bounded by that of the JSON text.
pub(super) fn column_type(spec: &Map<String, Value>, path: &str) -> Result<ColumnType> {
    match type_name(spec, path)? {
        "array" => Ok(ColumnType::Array(Box::new(inner(spec, "items", path)?))),
        "map" => Ok(ColumnType::Map(Box::new(inner(spec, "values", path)?))),
        "object" => Ok(ColumnType::Object(properties(spec, path)?)),
        "any" => Ok(ColumnType::Any),
        "sparkml_vector" => Ok(ColumnType::SparkVector),
        scalar => DataType::from_name(scalar)
            .map(ColumnType::Scalar)
            .ok_or_else(|| unknown_type(scalar, path)),
    }
}

fn unknown_type(name: &str, path: &str) -> SignatureError {
    let lower = name.to_ascii_lowercase();
    let known = DataType::from_name(&lower).is_some()
        || ["array", "object", "map", "any", "sparkml_vector", "tensor"].contains(&lower.as_str());
    let hint = if known && lower != name {
        "; type names are lower case"
    } else {
        ""
    };
    let problem = format!("unknown type `{}`{hint}", shorten(name));
    SignatureError::invalid(&format!("{path}.type"), problem)
}

fn inner(spec: &Map<String, Value>, key: &str, path: &str) -> Result<ColumnType> {
    let path = format!("{path}.{key}");
    let value = spec
        .get(key)
        .ok_or_else(|| SignatureError::invalid(&path, format!("missing `{key}`")))?;
    column_type(object(value, &path)?, &path)
}

pub(super) fn properties(spec: &Map<String, Value>, path: &str) -> Result<Vec<Property>> {
    let path = format!("{path}.properties");
    let value = spec
        .get("properties")
        .ok_or_else(|| SignatureError::invalid(&path, "missing `properties`"))?;
    let all = object(value, &path)?;
    if all.is_empty() {
        return Err(SignatureError::invalid(
            &path,
            "an object needs at least one property",
        ));
    }
    let mut properties = all
        .iter()
        .map(|(name, value)| property(name, value, &format!("{path}.{}", shorten(name))))
        .collect::<Result<Vec<_>>>()?;
    properties.sort_by(|left, right| left.name.cmp(&right.name));
    Ok(properties)
}

fn property(name: &str, value: &Value, path: &str) -> Result<Property> {
    let spec = object(value, path)?;
    let kind = column_type(spec, path)?;
    if kind == ColumnType::SparkVector {
        return Err(SignatureError::invalid(
            path,
            "a vector cannot be a property",
        ));
    }
    let required = flag(spec.get("required"), true, &format!("{path}.required"))?;
    Ok(Property {
        name: name.to_owned(),
        kind,
        required,
    })
}

fn tensor(spec: &Map<String, Value>, name: Option<&str>, path: &str) -> Result<TensorSpec> {
    let path = format!("{path}.tensor-spec");
    let info = spec
        .get("tensor-spec")
        .ok_or_else(|| SignatureError::invalid(&path, "missing `tensor-spec`"))?;
    let info = object(info, &path)?;
    Ok(TensorSpec {
        name: name.map(str::to_owned),
        dtype: dtype(info.get("dtype"), &format!("{path}.dtype"))?,
        shape: shape(info.get("shape"), &format!("{path}.shape"))?,
    })
}

fn dtype(value: Option<&Value>, path: &str) -> Result<TensorType> {
    match value {
        Some(Value::String(name)) if !name.is_empty() && name.len() <= LONGEST_DTYPE => {
            Ok(TensorType::from_name(name))
        }
        Some(Value::String(name)) => Err(SignatureError::invalid(
            path,
            format!("`{}` is no element type", shorten(name)),
        )),
        Some(other) => Err(SignatureError::invalid(
            path,
            format!("expected a text, found {}", found(other)),
        )),
        None => Err(SignatureError::invalid(path, "missing `dtype`")),
    }
}

fn shape(value: Option<&Value>, path: &str) -> Result<Vec<Option<usize>>> {
    let value = value.ok_or_else(|| SignatureError::invalid(path, "missing `shape`"))?;
    let dimensions = value.as_array().ok_or_else(|| {
        SignatureError::invalid(path, format!("expected a list, found {}", found(value)))
    })?;
    if dimensions.len() > MOST_DIMENSIONS {
        let problem = format!(
            "{} dimensions, over the limit of {MOST_DIMENSIONS}",
            dimensions.len()
        );
        return Err(SignatureError::invalid(path, problem));
    }
    dimensions
        .iter()
        .enumerate()
        .map(|(index, value)| dimension(value, index, path))
        .collect()
}

fn dimension(value: &Value, index: usize, path: &str) -> Result<Option<usize>> {
    if value.as_i64() == Some(-1) {
        return Ok(None);
    }
    value
        .as_u64()
        .and_then(|size| usize::try_from(size).ok())
        .map(Some)
        .ok_or_else(|| {
            let problem = format!(
                "a dimension is a whole number or -1, found {}",
                shorten(&value.to_string())
            );
            SignatureError::invalid(&format!("{path}[{index}]"), problem)
        })
}

pub(super) fn object<'a>(value: &'a Value, path: &str) -> Result<&'a Map<String, Value>> {
    value.as_object().ok_or_else(|| {
        SignatureError::invalid(path, format!("expected an object, found {}", found(value)))
    })
}

fn type_name<'a>(spec: &'a Map<String, Value>, path: &str) -> Result<&'a str> {
    match spec.get("type") {
        Some(Value::String(name)) => Ok(name),
        Some(other) => {
            let problem = format!("expected the name of a type, found {}", found(other));
            Err(SignatureError::invalid(&format!("{path}.type"), problem))
        }
        None => Err(SignatureError::invalid(path, "missing `type`")),
    }
}

fn text_or_null<'a>(
    spec: &'a Map<String, Value>,
    key: &str,
    path: &str,
) -> Result<Option<&'a str>> {
    match spec.get(key) {
        Some(Value::String(text)) => Ok(Some(text)),
        None | Some(Value::Null) => Ok(None),
        Some(other) => {
            let problem = format!("expected a text, found {}", found(other));
            Err(SignatureError::invalid(&format!("{path}.{key}"), problem))
        }
    }
}

/// Python's truth of `null` is false, so `"required": null` is optional.
fn flag(value: Option<&Value>, absent: bool, path: &str) -> Result<bool> {
    match value {
        None => Ok(absent),
        Some(Value::Bool(flag)) => Ok(*flag),
        Some(Value::Null) => Ok(false),
        Some(other) => Err(SignatureError::invalid(
            path,
            format!("expected true or false, found {}", found(other)),
        )),
    }
}

/// What a JSON value is, for messages.
pub(crate) fn found(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}
