//! Values on their way into and out of tract. Both ways copy once.

use mlrs_payload::{DType, MapKeys, MapRow, Tensor, TensorData, Value};
use tract_onnx::prelude::{
    Datum, DatumType, TValue, Tensor as EngineTensor, TractError, TractResult, f16,
};

/// What is done with a tensor of tract before it is an output.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Finish {
    /// Nothing.
    Plain,
    /// Its columns get these labels, as `ZipMap` does it.
    Maps(MapKeys),
    /// Its numbers of classes become these names.
    Names(Vec<String>),
}

/// The element type in tract's words.
pub(crate) fn datum_type(dtype: DType) -> DatumType {
    match dtype {
        DType::Bool => bool::datum_type(),
        DType::I8 => i8::datum_type(),
        DType::I16 => i16::datum_type(),
        DType::I32 => i32::datum_type(),
        DType::I64 => i64::datum_type(),
        DType::U8 => u8::datum_type(),
        DType::U16 => u16::datum_type(),
        DType::U32 => u32::datum_type(),
        DType::U64 => u64::datum_type(),
        DType::F16 => f16::datum_type(),
        // bfloat16 is refused at load: nothing is declared so.
        DType::F32 | DType::BF16 => f32::datum_type(),
        DType::F64 => f64::datum_type(),
        DType::Str => String::datum_type(),
    }
}

/// A tensor for tract. Text is refused at load, and never comes here.
pub(crate) fn engine_tensor(tensor: &Tensor) -> TractResult<TValue> {
    let shape = tensor.shape.as_slice();
    let made = match &tensor.data {
        TensorData::Bool(values) => EngineTensor::from_shape(shape, values),
        TensorData::I8(values) => EngineTensor::from_shape(shape, values),
        TensorData::I16(values) => EngineTensor::from_shape(shape, values),
        TensorData::I32(values) => EngineTensor::from_shape(shape, values),
        TensorData::I64(values) => EngineTensor::from_shape(shape, values),
        TensorData::U8(values) => EngineTensor::from_shape(shape, values),
        TensorData::U16(values) => EngineTensor::from_shape(shape, values),
        TensorData::U32(values) => EngineTensor::from_shape(shape, values),
        TensorData::U64(values) => EngineTensor::from_shape(shape, values),
        TensorData::F16(values) => EngineTensor::from_shape(shape, values),
        TensorData::F32(values) => EngineTensor::from_shape(shape, values),
        TensorData::F64(values) => EngineTensor::from_shape(shape, values),
        TensorData::BF16(_) => Err(TractError::msg("tract has no bfloat16")),
        TensorData::Str(_) => Err(TractError::msg("tract takes no text")),
    };
    made.map(TValue::from)
}

/// A tensor of tract, as the declared type.
pub(crate) fn tensor(found: &EngineTensor, dtype: DType) -> TractResult<Tensor> {
    // tract computes lengths of dimensions in a type of its own, which models declare as int64.
    let found = found.cast_to_dt(datum_type(dtype))?;
    let data = match dtype {
        DType::Bool => TensorData::Bool(elements(&found)?),
        DType::I8 => TensorData::I8(elements(&found)?),
        DType::I16 => TensorData::I16(elements(&found)?),
        DType::I32 => TensorData::I32(elements(&found)?),
        DType::I64 => TensorData::I64(elements(&found)?),
        DType::U8 => TensorData::U8(elements(&found)?),
        DType::U16 => TensorData::U16(elements(&found)?),
        DType::U32 => TensorData::U32(elements(&found)?),
        DType::U64 => TensorData::U64(elements(&found)?),
        DType::F16 => TensorData::F16(elements(&found)?),
        DType::BF16 => return Err(TractError::msg("tract has no bfloat16")),
        DType::F32 => TensorData::F32(elements(&found)?),
        DType::F64 => TensorData::F64(elements(&found)?),
        DType::Str => TensorData::Str(elements(&found)?),
    };
    Ok(Tensor {
        shape: found.shape().to_vec(),
        data,
    })
}

fn elements<T: Datum + Clone>(found: &EngineTensor) -> TractResult<Vec<T>> {
    Ok(found.try_as_plain_ram()?.as_slice::<T>()?.to_vec())
}

/// A table with a labelled column for each class, as the maps that `ZipMap` would give.
pub(crate) fn maps(found: &EngineTensor, labels: &MapKeys) -> TractResult<Value> {
    let classes = match labels {
        MapKeys::Integers(keys) => keys.len(),
        MapKeys::Strings(keys) => keys.len(),
    };
    if found.rank() != 2 || found.shape()[1] != classes || classes == 0 {
        return Err(TractError::msg(format!(
            "a table of shape {:?} has {classes} labels",
            found.shape()
        )));
    }
    let found = found.cast_to_dt(f32::datum_type())?;
    let values: Vec<f32> = elements(&found)?;
    let row = |values: &[f32]| MapRow {
        keys: labels.clone(),
        values: TensorData::F32(values.to_vec()),
    };
    Ok(Value::Maps(values.chunks_exact(classes).map(row).collect()))
}

/// The names of the classes whose numbers the tensor holds.
pub(crate) fn names(found: &EngineTensor, names: &[String]) -> TractResult<Value> {
    let found = found.cast_to_dt(i64::datum_type())?;
    let numbers: Vec<i64> = elements(&found)?;
    let name = |number: &i64| {
        usize::try_from(*number)
            .ok()
            .and_then(|number| names.get(number))
            .cloned()
    };
    let texts: Option<Vec<String>> = numbers.iter().map(name).collect();
    let data = TensorData::Str(texts.ok_or_else(|| TractError::msg("a class has no name"))?);
    Ok(Value::Tensor(Tensor {
        shape: found.shape().to_vec(),
        data,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn carries_every_number_there_and_back() {
        let samples = [
            TensorData::Bool(vec![true, false]),
            TensorData::I8(vec![-1, i8::MAX]),
            TensorData::I16(vec![-1, i16::MAX]),
            TensorData::I32(vec![-1, i32::MAX]),
            TensorData::I64(vec![-1, i64::MAX]),
            TensorData::U8(vec![1, u8::MAX]),
            TensorData::U16(vec![1, u16::MAX]),
            TensorData::U32(vec![1, u32::MAX]),
            TensorData::U64(vec![1, u64::MAX]),
            TensorData::F16(vec![f16::from_f32(0.5), f16::MAX]),
            TensorData::F32(vec![0.1, f32::MAX]),
            TensorData::F64(vec![0.1, f64::MAX]),
        ];
        for data in samples {
            let dtype = data.dtype();
            let there = Tensor {
                shape: vec![1, 2],
                data,
            };
            let back = tensor(&engine_tensor(&there).unwrap(), dtype).unwrap();
            assert_eq!(back, there);
        }
    }

    #[test]
    fn makes_maps_of_labelled_columns() {
        let table = EngineTensor::from_shape(&[2, 2], &[0.25_f32, 0.75, 1.0, 0.0]).unwrap();
        let labels = MapKeys::Integers(vec![3, 7]);
        let Value::Maps(rows) = maps(&table, &labels).unwrap() else {
            panic!("no maps")
        };
        assert_eq!(
            rows[0],
            MapRow {
                keys: labels.clone(),
                values: TensorData::F32(vec![0.25, 0.75])
            }
        );
        assert_eq!(rows.len(), 2);
        let wrong = EngineTensor::from_shape(&[4], &[0.0_f32; 4]).unwrap();
        assert!(maps(&wrong, &labels).is_err());
    }

    #[test]
    fn names_classes() {
        let found = EngineTensor::from_shape(&[3], &[1_i64, 0, 1]).unwrap();
        let texts = ["no".to_owned(), "yes".to_owned()];
        let data = TensorData::Str(["yes", "no", "yes"].map(str::to_owned).to_vec());
        assert_eq!(
            names(&found, &texts).unwrap(),
            Value::Tensor(Tensor {
                shape: vec![3],
                data
            })
        );
        assert!(names(&found, &texts[..1]).is_err());
    }
}
