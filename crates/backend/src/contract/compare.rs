//! Compares answers: exactly for integers and text, within a tolerance for numbers with a fraction.
//!
//! The tolerance is absolute below one and relative above.

use mlrs_payload::{Output, Tensor, TensorData, Value};

/// The first difference, in words; `None` when there is none.
pub(super) fn outputs(found: &Output, wanted: &Output, tolerance: f64) -> Option<String> {
    if found.values.len() != wanted.values.len() {
        return Some(format!(
            "{} outputs, not {}",
            found.values.len(),
            wanted.values.len()
        ));
    }
    let mut pairs = found.values.iter().zip(&wanted.values).enumerate();
    pairs.find_map(|(index, (found, wanted))| {
        Some(format!(
            "output {index}: {}",
            value(found, wanted, tolerance)?
        ))
    })
}

fn value(found: &Value, wanted: &Value, tolerance: f64) -> Option<String> {
    match (found, wanted) {
        (Value::Tensor(found), Value::Tensor(wanted)) => tensor(found, wanted, tolerance),
        (Value::Sequence(found), Value::Sequence(wanted)) if found.len() == wanted.len() => found
            .iter()
            .zip(wanted)
            .find_map(|(found, wanted)| tensor(found, wanted, tolerance)),
        (Value::Maps(found), Value::Maps(wanted)) if found.len() == wanted.len() => {
            found.iter().zip(wanted).find_map(|(found, wanted)| {
                let same =
                    found.keys == wanted.keys && close(&found.values, &wanted.values, tolerance);
                (!same).then(|| format!("{found:?}, not {wanted:?}"))
            })
        }
        _ => Some(format!("{found:?}, not {wanted:?}")),
    }
}

fn tensor(found: &Tensor, wanted: &Tensor, tolerance: f64) -> Option<String> {
    let same = found.shape == wanted.shape && close(&found.data, &wanted.data, tolerance);
    (!same).then(|| format!("{found:?}, not {wanted:?}"))
}

fn close(found: &TensorData, wanted: &TensorData, tolerance: f64) -> bool {
    match (fractions(found), fractions(wanted)) {
        (Some(left), Some(right))
            if found.dtype() == wanted.dtype() && left.len() == right.len() =>
        {
            left.iter().zip(&right).all(|(left, right)| {
                left.total_cmp(right).is_eq()
                    || (left.is_nan() && right.is_nan())
                    || (left - right).abs() <= tolerance * right.abs().max(1.0)
            })
        }
        (None, None) => found == wanted,
        _ => false,
    }
}

fn fractions(data: &TensorData) -> Option<Vec<f64>> {
    match data {
        TensorData::F16(values) => Some(values.iter().map(|value| value.to_f64()).collect()),
        TensorData::BF16(values) => Some(values.iter().map(|value| value.to_f64()).collect()),
        TensorData::F32(values) => Some(values.iter().map(|value| f64::from(*value)).collect()),
        TensorData::F64(values) => Some(values.clone()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn output(data: TensorData) -> Output {
        Output {
            values: vec![Value::Tensor(Tensor {
                shape: vec![data.len()],
                data,
            })],
        }
    }

    #[test]
    fn finds_differences() {
        let floats = |value: f32| output(TensorData::F32(vec![value]));
        assert_eq!(outputs(&floats(1.0), &floats(1.0), 0.0), None);
        assert_eq!(outputs(&floats(f32::NAN), &floats(f32::NAN), 0.0), None);
        assert_eq!(outputs(&floats(1.001), &floats(1.0), 0.01), None);
        assert!(outputs(&floats(1.1), &floats(1.0), 0.01).is_some());
        assert!(outputs(&floats(1.0), &output(TensorData::F64(vec![1.0])), 1.0).is_some());
        assert!(outputs(&floats(1.0), &output(TensorData::F32(vec![1.0, 1.0])), 1.0).is_some());
        let whole = |value| output(TensorData::I64(vec![value]));
        assert!(outputs(&whole(1), &whole(2), 5.0).is_some());
        assert!(outputs(&Output { values: Vec::new() }, &whole(2), 5.0).is_some());
    }
}
