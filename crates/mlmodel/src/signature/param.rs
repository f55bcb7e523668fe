//! Reads the parameters of a signature. The legacy key `dtype` stands for `type`.
//!
//! A default must have the type it is declared with: MLflow refuses to load the model otherwise.

use std::collections::HashSet;

use serde_json::{Map, Value};

use super::error::shorten;
use super::parse::{found, object, properties};
use super::{ColumnType, DataType, ParamSpec, SignatureError};
use crate::python_json::not_finite;

type Result<T> = std::result::Result<T, SignatureError>;

pub(super) fn list(value: &Value) -> Result<Vec<ParamSpec>> {
    let specs = value.as_array().ok_or_else(|| {
        SignatureError::invalid("$", format!("expected a list, found {}", found(value)))
    })?;
    let mut names = HashSet::new();
    let mut params = Vec::with_capacity(specs.len());
    for (index, spec) in specs.iter().enumerate() {
        let path = format!("$[{index}]");
        let param = param(object(spec, &path)?, &path)?;
        if !names.insert(param.name.clone()) {
            let error = SignatureError::invalid(&path, "the name is taken by another parameter");
            return Err(error.in_column(Some(&param.name)));
        }
        params.push(param);
    }
    Ok(params)
}

fn param(spec: &Map<String, Value>, path: &str) -> Result<ParamSpec> {
    let name = match spec.get("name") {
        Some(Value::String(name)) => name.clone(),
        // MLflow applies `str()`.
        Some(Value::Number(number)) => number.to_string(),
        Some(other) => {
            let problem = format!("expected a text, found {}", found(other));
            return Err(SignatureError::invalid(&format!("{path}.name"), problem));
        }
        None => return Err(SignatureError::invalid(path, "missing `name`")),
    };
    typed(spec, path, &name).map_err(|error| error.in_column(Some(&name)))
}

fn typed(spec: &Map<String, Value>, path: &str, name: &str) -> Result<ParamSpec> {
    let kind = kind(spec, path)?;
    let shape = shape(spec.get("shape"), &format!("{path}.shape"))?;
    let default = spec
        .get("default")
        .ok_or_else(|| SignatureError::invalid(path, "missing `default`"))?;
    check_default(default, &kind, shape.is_some(), &format!("{path}.default"))?;
    Ok(ParamSpec {
        name: name.to_owned(),
        kind,
        default: default.clone(),
        shape,
    })
}

fn kind(spec: &Map<String, Value>, path: &str) -> Result<ColumnType> {
    let (key, value) = match (spec.get("type"), spec.get("dtype")) {
        (Some(value), _) if !value.is_null() => ("type", value),
        (_, Some(value)) => ("dtype", value),
        _ => return Err(SignatureError::invalid(path, "missing `type`")),
    };
    let path_of_type = format!("{path}.{key}");
    match value.as_str() {
        Some("object") => Ok(ColumnType::Object(properties(spec, path)?)),
        Some("binary") => Err(SignatureError::invalid(
            &path_of_type,
            "a parameter cannot be `binary`",
        )),
        Some(name) => DataType::from_name(name)
            .map(ColumnType::Scalar)
            .ok_or_else(|| {
                SignatureError::invalid(&path_of_type, format!("unknown type `{}`", shorten(name)))
            }),
        None => {
            let problem = format!("expected the name of a type, found {}", found(value));
            Err(SignatureError::invalid(&path_of_type, problem))
        }
    }
}

fn shape(value: Option<&Value>, path: &str) -> Result<Option<Vec<i64>>> {
    match value {
        None | Some(Value::Null) => Ok(None),
        Some(Value::Array(sizes)) if sizes.len() == 1 && sizes[0].as_i64() == Some(-1) => {
            Ok(Some(vec![-1]))
        }
        Some(other) => {
            let problem = format!(
                "a shape is null or [-1], found {}",
                shorten(&other.to_string())
            );
            Err(SignatureError::invalid(path, problem))
        }
    }
}

fn check_default(value: &Value, kind: &ColumnType, listed: bool, path: &str) -> Result<()> {
    let ColumnType::Scalar(scalar) = kind else {
        return check_object(value, listed, path);
    };
    if !listed {
        return check_scalar(value, *scalar, path);
    }
    let values = value.as_array().ok_or_else(|| {
        SignatureError::invalid(path, format!("expected a list, found {}", found(value)))
    })?;
    values
        .iter()
        .enumerate()
        .try_for_each(|(index, value)| check_scalar(value, *scalar, &format!("{path}[{index}]")))
}

fn check_object(value: &Value, listed: bool, path: &str) -> Result<()> {
    if listed {
        return Err(SignatureError::invalid(
            path,
            "a list of objects cannot be a parameter",
        ));
    }
    if value.is_object() || value.is_null() {
        return Ok(());
    }
    Err(SignatureError::invalid(
        path,
        format!("expected an object, found {}", found(value)),
    ))
}

fn check_scalar(value: &Value, scalar: DataType, path: &str) -> Result<()> {
    let fits = match scalar {
        DataType::Boolean => value.is_boolean(),
        DataType::Integer | DataType::Long => value.is_i64() || value.is_u64(),
        // `NaN` and the infinities are not JSON; they are read as texts.
        DataType::Float | DataType::Double => {
            value.is_number() || value.as_str().is_some_and(not_finite)
        }
        DataType::String | DataType::Datetime => value.is_string(),
        DataType::Binary => false,
    };
    if fits || value.is_null() {
        return Ok(());
    }
    let problem = format!("`{}` is no `{scalar}`", shorten(&value.to_string()));
    Err(SignatureError::invalid(path, problem))
}
