//! Values on their way into and out of ONNX Runtime.
//!
//! Inputs are adopted: the engine reads the very buffer that the request was decoded into. Outputs
//! are copied once, from the engine's buffer into a vector.

use std::ptr;

use mlrs_payload::{DType, MapKeys, MapRow, Tensor, TensorData, Value};
use ort::session::SessionInputValue;
use ort::value::{
    DynTensor, DynTensorValueType, DynValue, DynValueTypeMarker, Shape, TensorElementType,
    ValueType,
};
use ort::value::{Map, MapValueType, PrimitiveTensorElementType, Tensor as EngineTensor};
use ort::{AsPointer, Error, ErrorCode};

use crate::declared;

type Row<Key> = Map<Key, f32>;

/// Hands a tensor over to the engine, without copying its numbers. Text is copied.
pub(crate) fn adopt(tensor: Tensor) -> ort::Result<SessionInputValue<'static>> {
    macro_rules! owned {
        ($values:expr) => {
            EngineTensor::from_array((tensor.shape, $values))?.into()
        };
    }
    Ok(match tensor.data {
        TensorData::Bool(values) => owned!(values),
        TensorData::I8(values) => owned!(values),
        TensorData::I16(values) => owned!(values),
        TensorData::I32(values) => owned!(values),
        TensorData::I64(values) => owned!(values),
        TensorData::U8(values) => owned!(values),
        TensorData::U16(values) => owned!(values),
        TensorData::U32(values) => owned!(values),
        TensorData::U64(values) => owned!(values),
        TensorData::F16(values) => owned!(values),
        TensorData::BF16(values) => owned!(values),
        TensorData::F32(values) => owned!(values),
        TensorData::F64(values) => owned!(values),
        TensorData::Str(values) => texts(tensor.shape, &values)?.into(),
    })
}

/// Bytes that a tensor of the engine takes; a text counts as its handle, and what is no tensor as
/// nothing.
pub(crate) fn bytes(value: &DynValue) -> usize {
    let ValueType::Tensor { ty, shape, .. } = value.dtype() else {
        return 0;
    };
    let size = declared::dtype(*ty).map_or(8, DType::size);
    let lengths = shape
        .iter()
        .map(|length| usize::try_from(*length).unwrap_or(0));
    lengths.fold(size, usize::saturating_mul)
}

/// Copies texts. The engine's call for all of them ends each at its first NUL, so those that have
/// one are put in on their own, with their length.
fn texts(shape: Vec<usize>, values: &[String]) -> ort::Result<EngineTensor<String>> {
    let Some(first) = values.iter().position(|text| text.contains('\0')) else {
        return EngineTensor::from_string_array((shape, values));
    };
    let whole = |text: &String| {
        if text.contains('\0') {
            ""
        } else {
            text.as_str()
        }
        .to_owned()
    };
    let plain: Vec<String> = values.iter().map(whole).collect();
    let mut tensor = EngineTensor::from_string_array((shape, plain.as_slice()))?;
    let later = values.iter().enumerate().skip(first);
    for (index, text) in later.filter(|(_, text)| text.contains('\0')) {
        let mut buffer = ptr::null_mut();
        // SAFETY: the tensor is alive, holds text, and has as many elements as `values`; the engine
        // gives a buffer of the length that is asked for, which lives until the tensor changes.
        unsafe {
            let resize = ort::api().GetResizedStringTensorElementBuffer;
            let status = resize(tensor.ptr_mut(), index, text.len(), &raw mut buffer);
            Error::result_from_status(status)?;
            if buffer.is_null() {
                return Err(Error::new("the engine has no room for a text"));
            }
            ptr::copy_nonoverlapping(text.as_ptr(), buffer.cast(), text.len());
        }
    }
    Ok(tensor)
}

/// Copies an output of the engine.
pub(crate) fn copy(value: &DynValue) -> ort::Result<Value> {
    match value.dtype() {
        ValueType::Tensor { ty, .. } => tensor(value, *ty).map(Value::Tensor),
        ValueType::Sequence(element) => match &**element {
            ValueType::Map {
                key: TensorElementType::String,
                ..
            } => maps(value, MapKeys::Strings),
            ValueType::Map { .. } => maps(value, MapKeys::Integers),
            _ => sequence(value),
        },
        other => Err(unexpected(other)),
    }
}

fn unexpected(found: &ValueType) -> Error {
    Error::new(format!(
        "an output is of type `{found}`, which mlrs cannot carry"
    ))
}

fn tensor(value: &DynValue, element: TensorElementType) -> ort::Result<Tensor> {
    use TensorElementType as Element;
    Ok(match element {
        Element::Int8 => numbers(value, TensorData::I8)?,
        Element::Int16 => numbers(value, TensorData::I16)?,
        Element::Int32 => numbers(value, TensorData::I32)?,
        Element::Int64 => numbers(value, TensorData::I64)?,
        Element::Uint8 => numbers(value, TensorData::U8)?,
        Element::Uint16 => numbers(value, TensorData::U16)?,
        Element::Uint32 => numbers(value, TensorData::U32)?,
        Element::Uint64 => numbers(value, TensorData::U64)?,
        Element::Float16 => numbers(value, TensorData::F16)?,
        Element::Bfloat16 => numbers(value, TensorData::BF16)?,
        Element::Float32 => numbers(value, TensorData::F32)?,
        Element::Float64 => numbers(value, TensorData::F64)?,
        Element::Bool => truths(value)?,
        Element::String => {
            let (shape, values) = value.try_extract_strings()?;
            Tensor {
                shape: lengths(shape)?,
                data: TensorData::Str(values),
            }
        }
        _ => return Err(unexpected(value.dtype())),
    })
}

fn numbers<T: PrimitiveTensorElementType + Copy>(
    value: &DynValue,
    wrap: impl Fn(Vec<T>) -> TensorData,
) -> ort::Result<Tensor> {
    let (shape, values) = value.try_extract_tensor::<T>()?;
    Ok(Tensor {
        shape: lengths(shape)?,
        data: wrap(values.to_vec()),
    })
}

/// Truth values are read as bytes: a hostile constant may hold others than 0 and 1, which a `bool`
/// must never be.
fn truths(value: &DynValue) -> ort::Result<Tensor> {
    let view = value.view();
    let tensor = view.downcast::<DynTensorValueType>()?;
    let tensor: &DynTensor = &tensor;
    let shape = lengths(tensor.shape())?;
    let count = tensor.shape().num_elements();
    let data = tensor.data_ptr().cast::<u8>();
    let on_cpu = tensor.memory_info().is_cpu_accessible();
    if !on_cpu || (data.is_null() && count > 0) {
        return Err(Error::new("an output is not in the memory of the CPU"));
    }
    if count == 0 {
        return Ok(Tensor {
            shape,
            data: TensorData::Bool(Vec::new()),
        });
    }
    // SAFETY: the tensor holds `count` elements of one byte each, in memory that the CPU can read and
    // that lives as long as `value`.
    let bytes = unsafe { std::slice::from_raw_parts(data, count) };
    Ok(Tensor {
        shape,
        data: TensorData::Bool(bytes.iter().map(|byte| *byte != 0).collect()),
    })
}

fn lengths(shape: &Shape) -> ort::Result<Vec<usize>> {
    let length = |length: &i64| {
        usize::try_from(*length).map_err(|_| Error::new("an output has a negative dimension"))
    };
    shape.iter().map(length).collect()
}

fn maps<Key>(value: &DynValue, wrap: impl Fn(Vec<Key>) -> MapKeys) -> ort::Result<Value>
where
    Key: ort::value::IntoTensorElementType
        + std::fmt::Debug
        + Clone
        + std::hash::Hash
        + Eq
        + 'static,
{
    let rows: Vec<Row<Key>> = value.try_extract_sequence::<MapValueType<Key, f32>>()?;
    let row = |row: Row<Key>| {
        let (keys, values) = row
            .try_extract_key_values::<Key, f32>()?
            .into_iter()
            .unzip();
        Ok(MapRow {
            keys: wrap(keys),
            values: TensorData::F32(values),
        })
    };
    rows.into_iter()
        .map(row)
        .collect::<ort::Result<_>>()
        .map(Value::Maps)
}

fn sequence(value: &DynValue) -> ort::Result<Value> {
    let items: Vec<DynValue> = value.try_extract_sequence::<DynValueTypeMarker>()?;
    let item = |item: DynValue| match item.dtype() {
        ValueType::Tensor { ty, .. } => tensor(&item, *ty),
        other => Err(Error::new_with_code(
            ErrorCode::NotImplemented,
            unexpected(other).message(),
        )),
    };
    items
        .into_iter()
        .map(item)
        .collect::<ort::Result<_>>()
        .map(Value::Sequence)
}
