//! Which requests may share a batch, how they are joined, and which rows are whose.

use std::ops::Range;

use mlrs_payload::{Batch, Output, Tensor, TensorData, Value};

/// Whether every input has the batch's rows as its leading dimension: only such a batch has rows
/// that can stand beside others.
pub(crate) fn has_rows(batch: &Batch) -> bool {
    batch.rows > 0
        && batch
            .inputs
            .iter()
            .all(|tensor| tensor.shape.first() == Some(&batch.rows))
}

/// Whether two batches differ in nothing but their rows.
pub(crate) fn may_join(left: &Batch, right: &Batch) -> bool {
    left.inputs.len() == right.inputs.len()
        && left.inputs.iter().zip(&right.inputs).all(|(left, right)| {
            left.data.dtype() == right.data.dtype() && left.shape.get(1..) == right.shape.get(1..)
        })
}

/// Joins batches, of which each two [`may_join`], into one; the rows stay in order.
pub(crate) fn join<'b>(batches: impl Iterator<Item = &'b Batch>) -> Batch {
    let mut joined = Batch {
        inputs: Vec::new(),
        rows: 0,
    };
    for batch in batches {
        joined.rows += batch.rows;
        if joined.inputs.is_empty() {
            joined.inputs.clone_from(&batch.inputs);
            continue;
        }
        for (into, from) in joined.inputs.iter_mut().zip(&batch.inputs) {
            append(into, from);
        }
    }
    joined
}

fn append(into: &mut Tensor, from: &Tensor) {
    macro_rules! extend {
        ($($variant:ident)*) => {
            match (&mut into.data, &from.data) {
                $((TensorData::$variant(into), TensorData::$variant(from)) => into.extend_from_slice(from),)*
                // `may_join` has compared the types.
                _ => return,
            }
        };
    }
    extend!(Bool I8 I16 I32 I64 U8 U16 U32 U64 F16 BF16 F32 F64 Str);
    if let (Some(rows), Some(more)) = (into.shape.first_mut(), from.shape.first()) {
        *rows += more;
    }
}

/// The first rows of a batch that has rows.
pub(crate) fn first_rows(batch: &Batch, rows: usize) -> Batch {
    let rows = rows.min(batch.rows);
    let part = |tensor: &Tensor| {
        let mut part = tensor.clone();
        let width: usize = part.shape.iter().skip(1).product();
        macro_rules! truncate {
            ($($variant:ident)*) => {
                match &mut part.data {
                    $(TensorData::$variant(values) => values.truncate(rows * width),)*
                }
            };
        }
        truncate!(Bool I8 I16 I32 I64 U8 U16 U32 U64 F16 BF16 F32 F64 Str);
        if let Some(length) = part.shape.first_mut() {
            *length = rows;
        }
        part
    };
    Batch {
        inputs: batch.inputs.iter().map(part).collect(),
        rows,
    }
}

/// Whether every output has exactly `rows` rows, so that it can be taken apart again.
pub(crate) fn splits_into(output: &Output, rows: usize) -> bool {
    output.values.iter().all(|value| match value {
        Value::Tensor(tensor) => tensor.shape.first() == Some(&rows),
        Value::Maps(maps) => maps.len() == rows,
        Value::Sequence(_) => false,
    })
}

/// How far two outputs may differ, relative to the largest value of the rows, and still count as the
/// same: engines sum in another order when there are more rows.
const TOLERANCE: f64 = 1e-4;

/// Whether `rows` of `whole` are the same answer as `part`.
pub(crate) fn same_rows(whole: &Output, rows: &Range<usize>, part: &Output) -> bool {
    whole.values.len() == part.values.len()
        && whole
            .values
            .iter()
            .zip(&part.values)
            .all(|(whole, part)| match (whole, part) {
                (Value::Tensor(whole), Value::Tensor(part)) => same_tensor_rows(whole, rows, part),
                (Value::Maps(whole), Value::Maps(part)) => {
                    whole.get(rows.clone()).is_some_and(|whole| {
                        whole.len() == part.len()
                            && whole.iter().zip(part).all(|(whole, part)| {
                                whole.keys == part.keys && same_data(&whole.values, &part.values, 0)
                            })
                    })
                }
                _ => false,
            })
}

fn same_tensor_rows(whole: &Tensor, rows: &Range<usize>, part: &Tensor) -> bool {
    let width: usize = whole.shape.get(1..).unwrap_or_default().iter().product();
    whole.shape.get(1..) == part.shape.get(1..)
        && part.shape.first() == Some(&rows.len())
        && same_data(&whole.data, &part.data, rows.start * width)
}

/// Whether the elements of `part` stand in `whole` from `start` on.
fn same_data(whole: &TensorData, part: &TensorData, start: usize) -> bool {
    let range = start..start + part.len();
    macro_rules! compare {
        (exact $($exact:ident)*; close $($close:ident)*) => {
            match (whole, part) {
                $((TensorData::$exact(whole), TensorData::$exact(part)) => whole.get(range) == Some(part.as_slice()),)*
                $((TensorData::$close(whole), TensorData::$close(part)) => whole.get(range).is_some_and(|whole| {
                    let largest = part.iter().map(|value| f64::from(*value).abs());
                    let largest = largest.filter(|value| value.is_finite()).fold(0.0, f64::max);
                    let mut pairs = whole.iter().zip(part);
                    pairs.all(|(left, right)| close(f64::from(*left), f64::from(*right), largest))
                }),)*
                _ => false,
            }
        };
    }
    compare!(exact Bool I8 I16 I32 I64 U8 U16 U32 U64 Str; close F16 BF16 F32 F64)
}

fn close(left: f64, right: f64, largest: f64) -> bool {
    // Bits first: infinities have no distance.
    left.to_bits() == right.to_bits()
        || (left.is_nan() && right.is_nan())
        || (left - right).abs() <= TOLERANCE * largest
}

#[cfg(test)]
mod tests {
    use super::{has_rows, join, may_join, same_rows, splits_into};
    use mlrs_payload::{Batch, Output, Tensor, TensorData, Value};

    fn batch(rows: usize, width: usize) -> Batch {
        let data = TensorData::F32((0..rows * width).map(|value| value as f32).collect());
        Batch {
            inputs: vec![Tensor {
                shape: vec![rows, width],
                data,
            }],
            rows,
        }
    }

    #[test]
    fn only_equal_trailing_shapes_join() {
        assert!(may_join(&batch(1, 3), &batch(4, 3)));
        assert!(!may_join(&batch(1, 3), &batch(1, 4)));
        let joined = join([batch(1, 3), batch(2, 3)].iter());
        assert_eq!(joined.inputs[0].shape, [3, 3]);
        assert_eq!(joined.rows, 3);
        assert_eq!(
            joined.inputs[0].data,
            TensorData::F32(vec![0., 1., 2., 0., 1., 2., 3., 4., 5.])
        );
    }

    /// A type that is forgotten in `append` would lose the rows of all requests but the first.
    #[test]
    fn every_type_joins() {
        use mlrs_payload::DType::{
            BF16, Bool, F16, F32, F64, I8, I16, I32, I64, Str, U8, U16, U32, U64,
        };
        let types = [
            Bool, I8, I16, I32, I64, U8, U16, U32, U64, F16, BF16, F32, F64, Str,
        ];
        for dtype in types {
            let mut data = TensorData::with_capacity(dtype, 2);
            data.resize(2);
            let inputs = vec![Tensor {
                shape: vec![2],
                data,
            }];
            let one = Batch { inputs, rows: 2 };
            let joined = join([&one, &one].into_iter());
            assert_eq!(joined.inputs[0].shape, [4], "{dtype}");
            assert_eq!(joined.inputs[0].data.len(), 4, "{dtype}");
        }
    }

    #[test]
    fn a_batch_of_no_rows_joins_nothing() {
        assert!(!has_rows(&batch(0, 3)));
        let scalar = Batch {
            inputs: vec![Tensor {
                shape: vec![],
                data: TensorData::F32(vec![1.0]),
            }],
            rows: 1,
        };
        assert!(!has_rows(&scalar));
    }

    #[test]
    fn rows_are_compared_where_they_stand() {
        let output = |batch: Batch| Output {
            values: batch.inputs.into_iter().map(Value::Tensor).collect(),
        };
        let whole = output(join([batch(1, 2), batch(2, 2)].iter()));
        assert!(splits_into(&whole, 3) && !splits_into(&whole, 2));
        assert!(same_rows(&whole, &(1..3), &output(batch(2, 2))));
        assert!(!same_rows(&whole, &(0..2), &output(batch(2, 2))));
    }
}
