//! What a model takes and gives, for people and for OpenAPI: by its signature, else by its engine.

use mlrs_mlmodel::signature::{ColumnRow, Schema, TensorSpec, TensorType};
use mlrs_payload::{Dim, TensorInfo, ValueInfo, ValueKind};

use crate::state::ModelInfo;

/// The inputs of the signature; without one, the tensors that the engine takes.
pub fn inputs(info: &ModelInfo, engine: &[TensorInfo]) -> Schema {
    let signed = info
        .signature
        .as_ref()
        .and_then(|signature| signature.inputs.clone());
    signed.unwrap_or_else(|| Schema::Tensors(engine.iter().map(spec_of).collect()))
}

/// One row for each output: those of the signature; without one, those that the engine gives.
pub fn output_rows(info: &ModelInfo, engine: &[ValueInfo]) -> Vec<ColumnRow> {
    match info
        .signature
        .as_ref()
        .and_then(|signature| signature.outputs.as_ref())
    {
        Some(outputs) => outputs.describe(),
        None => engine.iter().map(row_of).collect(),
    }
}

fn spec_of(info: &TensorInfo) -> TensorSpec {
    TensorSpec {
        name: Some(info.name.clone()),
        dtype: TensorType::from_name(info.dtype.numpy_name()),
        shape: info.shape.as_deref().map(lengths).unwrap_or_default(),
    }
}

fn lengths(shape: &[Dim]) -> Vec<Option<usize>> {
    shape
        .iter()
        .map(|dimension| match dimension {
            Dim::Fixed(length) => Some(*length),
            Dim::Symbolic(_) | Dim::Unknown => None,
        })
        .collect()
}

fn row_of(info: &ValueInfo) -> ColumnRow {
    let type_text = match &info.kind {
        ValueKind::Tensor { dtype, shape: None } => format!("tensor({dtype})"),
        ValueKind::Tensor {
            dtype,
            shape: Some(shape),
        } => {
            let sizes: Vec<String> = lengths(shape)
                .iter()
                .map(|length| length.map_or_else(|| "-1".to_owned(), |length| length.to_string()))
                .collect();
            format!("tensor({dtype}, [{}])", sizes.join(", "))
        }
        ValueKind::Maps => "map for each row".to_owned(),
        ValueKind::Sequence => "sequence of tensors".to_owned(),
    };
    ColumnRow {
        name: Some(info.name.clone()),
        type_text,
        required: true,
    }
}
