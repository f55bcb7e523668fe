//! Batches that are like another one and differ from it, to try a model with: [`varied`].
//!
//! Each stays in the domain of the values that it is made of, as far as they tell it: signs are
//! kept, and a whole number becomes one between zero and itself, since it may be an index.

use mlrs_payload::{Batch, Tensor, TensorData};

/// What numbers with a fraction are multiplied by: a scale taken from a whole batch shows when rows
/// differ in theirs.
const SCALES: [f64; 3] = [1.0, 100.0, 0.01];

/// A batch of the same shapes with other values; each `sample` is another one.
pub(crate) fn varied(batch: &Batch, sample: usize) -> Batch {
    let tensor = |(index, tensor): (usize, &Tensor)| Tensor {
        shape: tensor.shape.clone(),
        data: data(&tensor.data, sample, Chance::new(sample, index)),
    };
    Batch {
        inputs: batch.inputs.iter().enumerate().map(tensor).collect(),
        rows: batch.rows,
    }
}

fn data(values: &TensorData, sample: usize, mut chance: Chance) -> TensorData {
    let scale = SCALES[sample % SCALES.len()];
    macro_rules! vary {
        (whole $($whole:ident: $type:ty),*; real $($real:ident: $make:expr),*) => {
            match values {
                TensorData::Bool(values) => TensorData::Bool(values.iter().map(|_| chance.below(2) == 1).collect()),
                TensorData::Str(values) => TensorData::Str(texts(values, sample)),
                $(TensorData::$whole(values) => TensorData::$whole({
                    let blank = values.iter().all(|value| *value == 0);
                    values.iter().map(|value| chance.whole(i128::from(*value), blank) as $type).collect()
                }),)*
                $(TensorData::$real(values) => TensorData::$real(
                    values.iter().map(|value| $make(chance.real(f64::from(*value)) * scale)).collect(),
                ),)*
            }
        };
    }
    vary!(
        whole I8: i8, I16: i16, I32: i32, I64: i64, U8: u8, U16: u16, U32: u32, U64: u64;
        real F16: half::f16::from_f64, BF16: half::bf16::from_f64, F32: |value| value as f32, F64: |value| value
    )
}

/// The texts in another order; one alone gets a letter more.
fn texts(values: &[String], sample: usize) -> Vec<String> {
    let shift = sample + 1;
    let other = |index: usize| values.get((index + shift) % values.len().max(1));
    let moved = (0..values.len()).filter_map(other).cloned();
    if values.len() > 1 {
        moved.collect()
    } else {
        let letter = char::from(b'a' + (sample % 26) as u8);
        moved.map(|text| format!("{text}{letter}")).collect()
    }
}

/// Numbers that look random and are the same at every start (`SplitMix64`, Steele et al., 2014).
struct Chance(u64);

impl Chance {
    const fn new(sample: usize, tensor: usize) -> Self {
        Self((sample as u64) << 32 | tensor as u64)
    }

    const fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    const fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit
    }

    /// Between zero and the number; 0 or 1 in a tensor of zeros, which says nothing.
    fn whole(&mut self, value: i128, blank: bool) -> i128 {
        let value = if blank { 1 } else { value };
        let span = u64::try_from(value.unsigned_abs())
            .unwrap_or(u64::MAX)
            .saturating_add(1);
        i128::from(self.below(span)) * value.signum()
    }

    /// Between half the number and one and a half; between -1 and 1 for one that says nothing.
    fn real(&mut self, value: f64) -> f64 {
        let unit = self.below(1 << 32) as f64 / (1_u64 << 32) as f64;
        if value == 0.0 || !value.is_finite() {
            2.0 * unit - 1.0
        } else {
            value * (0.5 + unit)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(data: TensorData, sample: usize) -> TensorData {
        let batch = Batch {
            rows: data.len(),
            inputs: vec![Tensor {
                shape: vec![data.len()],
                data,
            }],
        };
        varied(&batch, sample).inputs.remove(0).data
    }

    #[test]
    fn samples_differ_and_keep_their_domain() {
        let indices = TensorData::I64(vec![7, 0, 30_000, -3]);
        let (first, second) = (sample(indices.clone(), 0), sample(indices, 1));
        assert_ne!(first, second);
        for found in [first, second] {
            let TensorData::I64(found) = found else {
                panic!()
            };
            assert!((0..=7).contains(&found[0]) && found[1] == 0);
            assert!((0..=30_000).contains(&found[2]) && (-3..=0).contains(&found[3]));
        }
        let TensorData::F32(real) = sample(TensorData::F32(vec![2.0, 0.0, -4.0]), 1) else {
            panic!()
        };
        assert!((100.0..=300.0).contains(&real[0]) && (-600.0..=-200.0).contains(&real[2]));
        let texts = |values: &[&str], number| {
            sample(
                TensorData::Str(values.iter().map(|text| (*text).to_owned()).collect()),
                number,
            )
        };
        assert_eq!(
            texts(&["a", "b"], 0),
            TensorData::Str(vec!["b".to_owned(), "a".to_owned()])
        );
        assert_eq!(texts(&["a"], 1), TensorData::Str(vec!["ab".to_owned()]));
        assert_eq!(
            sample(TensorData::U8(vec![0; 9]), 3),
            sample(TensorData::U8(vec![0; 9]), 3)
        );
        let TensorData::U64(large) = sample(TensorData::U64(vec![u64::MAX]), 0) else {
            panic!()
        };
        assert_eq!(large.len(), 1);
    }
}
