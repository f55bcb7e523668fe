//! One tensor as an `.npy` file, version 1.0 of the format
//! (<https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html>).

use std::ops::Range;

use super::{Named, row_width};
use crate::raw::{descr, header};
use crate::{EncodeError, TensorData, Value};

/// Writes rows of the only output that is asked for.
pub(super) fn write(
    outputs: &[Named<'_>],
    rows: &Range<usize>,
    all: bool,
    bytes: &mut Vec<u8>,
) -> Result<(), EncodeError> {
    let [(Value::Tensor(tensor), info)] = outputs else {
        return Err(refused());
    };
    let Some(descr) = descr(tensor.data.dtype()) else {
        return Err(refused());
    };
    let mut shape = tensor.shape.clone();
    let mut elements = 0..tensor.data.len();
    if !all {
        let width = row_width(tensor, rows.end, info)?;
        shape[0] = rows.len();
        elements = rows.start * width..rows.end * width;
    }
    header(descr, &shape, bytes);
    little_endian(&tensor.data, elements, bytes);
    Ok(())
}

#[cold]
fn refused() -> EncodeError {
    EncodeError("an .npy file holds one tensor of numbers: choose one output".to_owned())
}

fn little_endian(data: &TensorData, elements: Range<usize>, bytes: &mut Vec<u8>) {
    macro_rules! of {
        ($values:expr) => {
            for value in $values.get(elements).unwrap_or_default() {
                bytes.extend_from_slice(&value.to_le_bytes());
            }
        };
    }
    match data {
        TensorData::Bool(values) => {
            let values = values.get(elements).unwrap_or_default();
            bytes.extend(values.iter().map(|value| u8::from(*value)));
        }
        TensorData::I8(values) => of!(values),
        TensorData::I16(values) => of!(values),
        TensorData::I32(values) => of!(values),
        TensorData::I64(values) => of!(values),
        TensorData::U8(values) => of!(values),
        TensorData::U16(values) => of!(values),
        TensorData::U32(values) => of!(values),
        TensorData::U64(values) => of!(values),
        TensorData::F16(values) => of!(values),
        TensorData::BF16(values) => of!(values),
        TensorData::F32(values) => of!(values),
        TensorData::F64(values) => of!(values),
        TensorData::Str(_) => {}
    }
}
