//! Reads `cases.json`: for each case a model file, how it may be batched, and runs with answers.
//!
//! A case is `{name, data, refusal}` when it must be refused, else `{name, data, tolerance,
//! batching, inputs, outputs, runs}`; a run is `{inputs: [tensor], outputs: [value]}` or
//! `{inputs, error: "inputs"}`, or `error: "any"` for an engine that fails on the way; a tensor is `{dtype, shape, data}` with row-major data; a value is
//! `{tensor}`, `{maps: [{keys, values}]}` or `{sequence: [tensor]}`.

use std::path::Path;

use half::{bf16, f16};
use mlrs_payload::{Batch, MapKeys, MapRow, Output, Tensor, TensorData, Value};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::Batching;

/// Why the cases cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("the contract cases cannot be used: {0}")]
pub struct ContractError(String);

impl ContractError {
    pub(super) fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }
}

/// A model and what it must answer.
pub(super) struct Case {
    pub name: String,
    pub data: String,
    pub refusal: Option<String>,
    pub tolerance: f64,
    pub batching: Batching,
    pub inputs: Vec<String>,
    pub outputs: Vec<String>,
    pub runs: Vec<Run>,
}

/// One prediction.
pub(super) struct Run {
    pub batch: Batch,
    pub outcome: Outcome,
}

/// What comes of it.
pub(super) enum Outcome {
    Output(Output),
    InputsRefused,
    Failed,
}

#[derive(Deserialize)]
struct CaseText {
    name: String,
    data: String,
    refusal: Option<String>,
    #[serde(default)]
    tolerance: f64,
    batching: Option<String>,
    #[serde(default)]
    inputs: Vec<String>,
    #[serde(default)]
    outputs: Vec<String>,
    #[serde(default)]
    runs: Vec<RunText>,
}

#[derive(Deserialize)]
struct RunText {
    inputs: Vec<TensorText>,
    outputs: Option<Vec<ValueText>>,
    error: Option<String>,
}

#[derive(Deserialize)]
struct TensorText {
    dtype: String,
    shape: Vec<usize>,
    data: serde_json::Value,
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum ValueText {
    Tensor(TensorText),
    Maps(Vec<MapText>),
    Sequence(Vec<TensorText>),
}

#[derive(Deserialize)]
struct MapText {
    keys: serde_json::Value,
    values: Vec<f32>,
}

pub(super) fn read(fixtures: &Path) -> Result<Vec<Case>, ContractError> {
    let path = fixtures.join("cases.json");
    let failed = |error: &dyn std::fmt::Display| {
        ContractError::new(format!("`{}`: {error}", path.display()))
    };
    let text = std::fs::read(&path).map_err(|error| failed(&error))?;
    let cases: Vec<CaseText> = serde_json::from_slice(&text).map_err(|error| failed(&error))?;
    cases.into_iter().map(case).collect()
}

fn case(text: CaseText) -> Result<Case, ContractError> {
    let batching = if text.batching.as_deref() == Some("row_wise") {
        Batching::RowWise
    } else {
        Batching::Alone
    };
    let runs = text
        .runs
        .into_iter()
        .map(run)
        .collect::<Result<Vec<_>, _>>()?;
    Ok(Case {
        name: text.name,
        data: text.data,
        refusal: text.refusal,
        tolerance: text.tolerance,
        batching,
        inputs: text.inputs,
        outputs: text.outputs,
        runs,
    })
}

fn run(text: RunText) -> Result<Run, ContractError> {
    let inputs = text
        .inputs
        .into_iter()
        .map(tensor)
        .collect::<Result<Vec<_>, _>>()?;
    let rows = inputs
        .first()
        .and_then(|input| input.shape.first().copied())
        .unwrap_or(1);
    let outcome = match text.outputs {
        None if text.error.as_deref() == Some("any") => Outcome::Failed,
        None => Outcome::InputsRefused,
        Some(values) => Outcome::Output(Output {
            values: values
                .into_iter()
                .map(value)
                .collect::<Result<Vec<_>, _>>()?,
        }),
    };
    Ok(Run {
        batch: Batch { inputs, rows },
        outcome,
    })
}

fn value(text: ValueText) -> Result<Value, ContractError> {
    Ok(match text {
        ValueText::Tensor(text) => Value::Tensor(tensor(text)?),
        ValueText::Sequence(items) => Value::Sequence(
            items
                .into_iter()
                .map(tensor)
                .collect::<Result<Vec<_>, _>>()?,
        ),
        ValueText::Maps(rows) => {
            Value::Maps(rows.into_iter().map(map).collect::<Result<Vec<_>, _>>()?)
        }
    })
}

fn map(text: MapText) -> Result<MapRow, ContractError> {
    let keys = if text.keys[0].is_string() {
        MapKeys::Strings(list(text.keys)?)
    } else {
        MapKeys::Integers(list(text.keys)?)
    };
    Ok(MapRow {
        keys,
        values: TensorData::F32(text.values),
    })
}

fn list<T: DeserializeOwned>(value: serde_json::Value) -> Result<Vec<T>, ContractError> {
    serde_json::from_value(value).map_err(|error| ContractError::new(error.to_string()))
}

fn tensor(text: TensorText) -> Result<Tensor, ContractError> {
    let data = match text.dtype.as_str() {
        "bool" => TensorData::Bool(list(text.data)?),
        "int8" => TensorData::I8(list(text.data)?),
        "int16" => TensorData::I16(list(text.data)?),
        "int32" => TensorData::I32(list(text.data)?),
        "int64" => TensorData::I64(list(text.data)?),
        "uint8" => TensorData::U8(list(text.data)?),
        "uint16" => TensorData::U16(list(text.data)?),
        "uint32" => TensorData::U32(list(text.data)?),
        "uint64" => TensorData::U64(list(text.data)?),
        "float16" => TensorData::F16(
            list::<f32>(text.data)?
                .into_iter()
                .map(f16::from_f32)
                .collect(),
        ),
        "bfloat16" => TensorData::BF16(
            list::<f32>(text.data)?
                .into_iter()
                .map(bf16::from_f32)
                .collect(),
        ),
        "float32" => TensorData::F32(list(text.data)?),
        "float64" => TensorData::F64(list(text.data)?),
        "str" => TensorData::Str(list(text.data)?),
        other => return Err(ContractError::new(format!("`{other}` is no element type"))),
    };
    Ok(Tensor {
        shape: text.shape,
        data,
    })
}
