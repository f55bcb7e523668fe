//! What a loaded session declares: its inputs and outputs in the words of the contract.
//!
//! Types that mlrs cannot carry are refused here, at load, so that no prediction meets them.

use std::ptr;

use mlrs_backend::{Refusal, TensorInfo, ValueInfo};
use mlrs_payload::{DType, Dim, ValueKind};
use ort::AsPointer;
use ort::session::Session;
use ort::value::{Outlet, Shape, SymbolicDimensions, TensorElementType, ValueType};

/// The inputs, in the session's order.
pub(crate) fn inputs(session: &Session) -> Result<Vec<TensorInfo>, Refusal> {
    let declare = |(index, outlet): (usize, &Outlet)| match outlet.dtype() {
        ValueType::Tensor {
            ty,
            shape,
            dimension_symbols,
        } => {
            let dtype = dtype(*ty).ok_or_else(|| unsupported("input", outlet))?;
            let ranked = !shape.is_empty() || has_shape(session, index, Side::Input);
            let shape = ranked.then(|| dims(shape, dimension_symbols));
            Ok(TensorInfo {
                name: outlet.name().to_owned(),
                dtype,
                shape,
            })
        }
        _ => Err(unsupported("input", outlet)),
    };
    session.inputs().iter().enumerate().map(declare).collect()
}

/// The outputs, in the session's order.
pub(crate) fn outputs(session: &Session) -> Result<Vec<ValueInfo>, Refusal> {
    let declare = |(index, outlet): (usize, &Outlet)| {
        let ranked = |shape: &Shape| !shape.is_empty() || has_shape(session, index, Side::Output);
        let kind = kind(outlet.dtype(), ranked).ok_or_else(|| unsupported("output", outlet))?;
        Ok(ValueInfo {
            name: outlet.name().to_owned(),
            kind,
        })
    };
    session.outputs().iter().enumerate().map(declare).collect()
}

fn kind(value: &ValueType, ranked: impl Fn(&Shape) -> bool) -> Option<ValueKind> {
    match value {
        ValueType::Tensor {
            ty,
            shape,
            dimension_symbols,
        } => Some(ValueKind::Tensor {
            dtype: dtype(*ty)?,
            shape: ranked(shape).then(|| dims(shape, dimension_symbols)),
        }),
        ValueType::Sequence(element) => match &**element {
            ValueType::Tensor { ty, .. } => dtype(*ty).map(|_| ValueKind::Sequence),
            ValueType::Map {
                key: TensorElementType::Int64 | TensorElementType::String,
                value,
            } => (*value == TensorElementType::Float32).then_some(ValueKind::Maps),
            _ => None,
        },
        ValueType::Map { .. } | ValueType::Optional(_) => None,
    }
}

fn unsupported(side: &str, outlet: &Outlet) -> Refusal {
    Refusal::new(format!(
        "the {side} `{}` is of type `{}`, which mlrs cannot carry",
        outlet.name(),
        outlet.dtype()
    ))
}

pub(crate) fn dtype(element: TensorElementType) -> Option<DType> {
    Some(match element {
        TensorElementType::Bool => DType::Bool,
        TensorElementType::Int8 => DType::I8,
        TensorElementType::Int16 => DType::I16,
        TensorElementType::Int32 => DType::I32,
        TensorElementType::Int64 => DType::I64,
        TensorElementType::Uint8 => DType::U8,
        TensorElementType::Uint16 => DType::U16,
        TensorElementType::Uint32 => DType::U32,
        TensorElementType::Uint64 => DType::U64,
        TensorElementType::Float16 => DType::F16,
        TensorElementType::Bfloat16 => DType::BF16,
        TensorElementType::Float32 => DType::F32,
        TensorElementType::Float64 => DType::F64,
        TensorElementType::String => DType::Str,
        _ => return None,
    })
}

fn dims(shape: &Shape, symbols: &SymbolicDimensions) -> Vec<Dim> {
    let name = |index: usize| symbols.get(index).filter(|name| !name.is_empty());
    let dim = |(index, length): (usize, &i64)| match usize::try_from(*length) {
        Ok(length) => Dim::Fixed(length),
        Err(_) => name(index).map_or(Dim::Unknown, |name| Dim::Symbolic(name.clone())),
    };
    shape.iter().enumerate().map(dim).collect()
}

#[derive(Clone, Copy)]
enum Side {
    Input,
    Output,
}

/// Whether an input or output declares a rank. The binding shows "scalar" and "unknown rank" alike,
/// so the C API is asked; when it does not answer, the rank counts as unknown.
fn has_shape(session: &Session, index: usize, side: Side) -> bool {
    let api = ort::api();
    let get = match side {
        Side::Input => api.SessionGetInputTypeInfo,
        Side::Output => api.SessionGetOutputTypeInfo,
    };
    let mut info = ptr::null_mut();
    let mut tensor = ptr::null();
    // SAFETY: the session is alive, the index is below its count, and the out pointers are ours. The
    // tensor information belongs to the type information, which is released after its last use.
    unsafe {
        if ort::Error::result_from_status(get(session.ptr(), index, &raw mut info)).is_err()
            || info.is_null()
        {
            return false;
        }
        let status = (api.CastTypeInfoToTensorInfo)(info, &raw mut tensor);
        let ranked = ort::Error::result_from_status(status).is_ok()
            && !tensor.is_null()
            && (api.TensorTypeAndShape_HasShape)(tensor);
        (api.ReleaseTypeInfo)(info);
        ranked
    }
}
