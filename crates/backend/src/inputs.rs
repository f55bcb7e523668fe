//! Whether a batch fits the inputs that a loaded model declares.
//!
//! Engines check this too, each in its own words and some by panicking; checking here first gives
//! one wording for all of them. No value of the data appears in a message.

use mlrs_payload::{Batch, Dim, Tensor, TensorInfo};

use crate::PredictError;

/// Checks number, element types, ranks and fixed dimensions of the tensors, and that each shape
/// matches the number of its elements.
///
/// # Errors
/// [`PredictError::Inputs`] for the first tensor that does not fit.
pub fn check_inputs(declared: &[TensorInfo], batch: &Batch) -> Result<(), PredictError> {
    if batch.inputs.len() != declared.len() {
        let (given, wanted) = (batch.inputs.len(), declared.len());
        return Err(PredictError::Inputs(format!(
            "{given} tensors were given, but the model takes {wanted}"
        )));
    }
    declared
        .iter()
        .zip(&batch.inputs)
        .try_for_each(|(info, tensor)| check(info, tensor))
}

fn check(info: &TensorInfo, tensor: &Tensor) -> Result<(), PredictError> {
    let name = &info.name;
    let dtype = tensor.data.dtype();
    if dtype != info.dtype {
        let wanted = info.dtype;
        return Err(PredictError::Inputs(format!(
            "input `{name}` is {dtype}, but the model takes {wanted}"
        )));
    }
    let elements = tensor
        .shape
        .iter()
        .try_fold(1_usize, |product, dim| product.checked_mul(*dim));
    if elements != Some(tensor.data.len()) {
        let (shape, count) = (&tensor.shape, tensor.data.len());
        return Err(PredictError::Inputs(format!(
            "input `{name}` has shape {shape:?}, but {count} elements"
        )));
    }
    let Some(dims) = &info.shape else {
        return Ok(());
    };
    let fits = |(dim, length): (&Dim, &usize)| match dim {
        Dim::Fixed(fixed) => fixed == length,
        Dim::Symbolic(_) | Dim::Unknown => true,
    };
    if dims.len() != tensor.shape.len() || !dims.iter().zip(&tensor.shape).all(fits) {
        let (shape, wanted) = (&tensor.shape, describe(dims));
        return Err(PredictError::Inputs(format!(
            "input `{name}` has shape {shape:?}, but the model takes {wanted}"
        )));
    }
    Ok(())
}

fn describe(dims: &[Dim]) -> String {
    let words: Vec<String> = dims
        .iter()
        .map(|dim| match dim {
            Dim::Fixed(length) => length.to_string(),
            Dim::Symbolic(name) => name.clone(),
            Dim::Unknown => "?".to_owned(),
        })
        .collect();
    format!("[{}]", words.join(", "))
}

#[cfg(test)]
mod tests {
    use mlrs_payload::{DType, TensorData};

    use super::*;

    fn declared(shape: Option<Vec<Dim>>) -> [TensorInfo; 1] {
        [TensorInfo {
            name: "x".to_owned(),
            dtype: DType::F32,
            shape,
        }]
    }

    fn batch(shape: &[usize], data: TensorData) -> Batch {
        Batch {
            inputs: vec![Tensor {
                shape: shape.to_vec(),
                data,
            }],
            rows: 1,
        }
    }

    fn message(declared: &[TensorInfo], batch: &Batch) -> String {
        match check_inputs(declared, batch) {
            Err(PredictError::Inputs(text)) => text,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn accepts_what_fits() {
        let floats = |count| TensorData::F32(vec![0.0; count]);
        let rows = declared(Some(vec![
            Dim::Symbolic("batch".to_owned()),
            Dim::Fixed(2),
            Dim::Unknown,
        ]));
        assert!(check_inputs(&rows, &batch(&[3, 2, 1], floats(6))).is_ok());
        assert!(check_inputs(&rows, &batch(&[0, 2, 5], floats(0))).is_ok());
        assert!(check_inputs(&declared(None), &batch(&[2], floats(2))).is_ok());
        assert!(check_inputs(&declared(Some(Vec::new())), &batch(&[], floats(1))).is_ok());
    }

    #[test]
    fn says_what_does_not_fit() {
        let floats = |count| TensorData::F32(vec![7.5; count]);
        let rows = declared(Some(vec![Dim::Symbolic("batch".to_owned()), Dim::Fixed(2)]));
        let none = Batch {
            inputs: Vec::new(),
            rows: 0,
        };
        assert_eq!(
            message(&rows, &none),
            "0 tensors were given, but the model takes 1"
        );
        let integers = batch(&[1, 2], TensorData::I64(vec![1, 2]));
        assert_eq!(
            message(&rows, &integers),
            "input `x` is int64, but the model takes float32"
        );
        let text = "input `x` has shape [1, 3], but the model takes [batch, 2]";
        assert_eq!(message(&rows, &batch(&[1, 3], floats(3))), text);
        assert!(message(&rows, &batch(&[2], floats(2))).contains("shape [2]"));
        let text = "input `x` has shape [1, 2], but 3 elements";
        assert_eq!(message(&rows, &batch(&[1, 2], floats(3))), text);
        assert!(message(&rows, &batch(&[usize::MAX, 2], floats(3))).contains("but 3 elements"));
    }
}
