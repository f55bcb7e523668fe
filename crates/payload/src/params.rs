//! `params` of a request, checked against their schema.
//!
//! ONNX models take no parameters, so that they are checked and dropped; the rules are those of
//! MLflow's `_enforce_params_schema`.

use mlrs_mlmodel::signature::{ColumnType, DataType, ParamSpec};

use crate::error::DecodeError;
use crate::json::number::Number;
use crate::json::scanner::{Cell, Scanner, unescape};

/// Checks the value of `params`, at which the scanner stands. No schema takes anything.
pub(crate) fn check(
    schema: Option<&[ParamSpec]>,
    parameters: Option<Scanner<'_>>,
) -> Result<(), DecodeError> {
    let (Some(schema), Some(mut scanner)) = (schema, parameters) else {
        return Ok(());
    };
    let cell = scanner.cell()?;
    if cell == Cell::Null {
        return Ok(());
    }
    if cell != Cell::Object {
        return Err(DecodeError::params(format!(
            "Parameters must be a dictionary. Got {}.",
            cell.kind()
        )));
    }
    scanner.take(b'{');
    let mut first = true;
    while let Some(raw) = scanner.member(first)? {
        first = false;
        let name = unescape(raw).unwrap_or_default();
        match schema.iter().find(|spec| spec.name == name) {
            Some(spec) => check_value(spec, &mut scanner)?,
            None => scanner.skip()?,
        }
    }
    Ok(())
}

fn check_value(spec: &ParamSpec, scanner: &mut Scanner<'_>) -> Result<(), DecodeError> {
    let cell = scanner.cell()?;
    if spec.shape.is_none() {
        if cell == Cell::Null {
            return Ok(());
        }
        if matches!(cell, Cell::List | Cell::Object) {
            scanner.skip()?;
        }
        return check_scalar(spec, &cell);
    }
    if cell != Cell::List {
        if cell == Cell::Object {
            scanner.skip()?;
        }
        return Err(invalid(spec, "no list"));
    }
    scanner.take(b'[');
    let mut first = true;
    while scanner.item(first)? {
        first = false;
        let item = scanner.cell()?;
        if matches!(item, Cell::List | Cell::Object) {
            scanner.skip()?;
        }
        check_scalar(spec, &item)?;
    }
    Ok(())
}

fn check_scalar(spec: &ParamSpec, cell: &Cell<'_>) -> Result<(), DecodeError> {
    let ColumnType::Scalar(kind) = &spec.kind else {
        return Ok(());
    };
    let fits = match (kind, cell) {
        (DataType::Boolean, Cell::Bool(_))
        | (DataType::String, Cell::Text(_))
        | (
            DataType::Long,
            Cell::Number(Number::Integer(_) | Number::Unsigned(_) | Number::Huge(_)),
        )
        | (DataType::Float | DataType::Double, Cell::Number(_)) => true,
        (DataType::Integer, Cell::Number(Number::Integer(value))) => i32::try_from(*value).is_ok(),
        (DataType::Datetime, Cell::Text(text)) => looks_like_a_date(text),
        _ => false,
    };
    if fits {
        Ok(())
    } else {
        Err(invalid(spec, cell.kind()))
    }
}

/// `YYYY-MM-DD`, and perhaps a time behind `T` or a space.
fn looks_like_a_date(text: &str) -> bool {
    let digits = |range: std::ops::Range<usize>| {
        text.get(range)
            .is_some_and(|part| part.bytes().all(|byte| byte.is_ascii_digit()))
    };
    digits(0..4)
        && matches!(text.len(), 4 | 7 | 10 | 13..)
        && (text.len() < 7 || (text.as_bytes()[4] == b'-' && digits(5..7)))
        && (text.len() < 10 || (text.as_bytes()[7] == b'-' && digits(8..10)))
}

#[cold]
fn invalid(spec: &ParamSpec, found: &str) -> DecodeError {
    DecodeError::params(format!(
        "Invalid parameters found: failed to validate type and shape for '{}': the value is {found}",
        spec.name
    ))
}
