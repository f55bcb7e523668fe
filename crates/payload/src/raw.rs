//! Tensors as bytes: raw little-endian numbers, or an `.npy` file.
//!
//! A number in JSON takes ten bytes and has to be read; an image is better sent as it is. The bytes
//! go straight into a tensor where the engine takes their type, and otherwise each value goes the
//! way of a JSON number, so that nothing is lost unnoticed.

use std::fmt::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use half::{bf16, f16};

use crate::convert::{CellError, Element, Rule, convert};
use crate::error::DecodeError;
use crate::json::number::Number;
use crate::json::scanner::{Cell, Scanner, unescape};
use crate::tensor::{DType, Tensor, TensorData};
use crate::with_data;

const MAGIC: &[u8] = b"\x93NUMPY";

/// Longer headers are none that numpy writes for these types.
const LONGEST_HEADER: usize = 4096;

/// numpy allows no more dimensions.
const MOST_DIMENSIONS: usize = 64;

/// What is sent, before it becomes a tensor.
struct Sent {
    dtype: DType,
    shape: Vec<usize>,
    bytes: Vec<u8>,
}

/// Whether the object that comes next is a tensor as bytes: its first key says so.
pub(crate) fn is_next(scanner: &Scanner<'_>) -> bool {
    let mut ahead = scanner.clone();
    ahead.take(b'{')
        && matches!(
            ahead.member(true),
            Ok(Some(b"b64" | b"npy" | b"dtype" | b"shape"))
        )
}

/// Reads `{"b64": …, "dtype": …, "shape": …}` or `{"npy": …}` as a tensor of type `target`.
pub(crate) fn read(
    scanner: &mut Scanner<'_>,
    rule: Rule,
    target: DType,
) -> Result<(DType, Tensor), DecodeError> {
    let sent = members(scanner)?;
    let dtype = sent.dtype;
    tensor(sent, rule, target).map(|tensor| (dtype, tensor))
}

/// The tensor that an `.npy` file holds.
pub(crate) fn of_npy(
    file: &[u8],
    rule: Rule,
    target: DType,
) -> Result<(DType, Tensor), DecodeError> {
    let sent = npy(file)?;
    let dtype = sent.dtype;
    tensor(sent, rule, target).map(|tensor| (dtype, tensor))
}

#[cold]
fn invalid(problem: &str) -> DecodeError {
    DecodeError::malformed(format!("a tensor as bytes is invalid: {problem}"))
}

fn members(scanner: &mut Scanner<'_>) -> Result<Sent, DecodeError> {
    scanner.take(b'{');
    let (mut bytes, mut file, mut dtype, mut shape) = (None, None, None, None);
    let mut first = true;
    while let Some(key) = scanner.member(first)? {
        first = false;
        match unescape(key).as_deref() {
            Some("b64") => bytes = Some(base64(scanner)?),
            Some("npy") => file = Some(base64(scanner)?),
            Some("dtype") => dtype = Some(named_dtype(scanner)?),
            Some("shape") => shape = Some(lengths(scanner)?),
            _ => {
                return Err(invalid(
                    "expected the keys `b64`, `dtype` and `shape`, or `npy`",
                ));
            }
        }
    }
    match (file, bytes, dtype, shape) {
        (Some(file), None, None, None) => npy(&file),
        (None, Some(bytes), Some(dtype), Some(shape)) => Ok(Sent {
            dtype,
            shape,
            bytes,
        }),
        _ => Err(invalid(
            "expected the keys `b64`, `dtype` and `shape`, or `npy`",
        )),
    }
}

fn base64(scanner: &mut Scanner<'_>) -> Result<Vec<u8>, DecodeError> {
    match scanner.cell()? {
        Cell::Text(text) => STANDARD
            .decode(text.as_bytes())
            .map_err(|_| invalid("the text is no base64 (RFC 4648, with padding)")),
        _ => Err(invalid("expected text in base64")),
    }
}

fn named_dtype(scanner: &mut Scanner<'_>) -> Result<DType, DecodeError> {
    let known = match scanner.cell()? {
        Cell::Text(name) => NUMBERS.into_iter().find(|dtype| dtype.numpy_name() == name),
        _ => None,
    };
    known.ok_or_else(|| {
        invalid("`dtype` must be numpy's name of a type, such as `float32` or `int64`")
    })
}

fn lengths(scanner: &mut Scanner<'_>) -> Result<Vec<usize>, DecodeError> {
    let refused = || invalid("`shape` must be a list of lengths");
    if !scanner.take(b'[') {
        return Err(refused());
    }
    let mut shape = Vec::new();
    while scanner.item(shape.is_empty())? {
        match scanner.cell()? {
            Cell::Number(Number::Integer(length)) if shape.len() < MOST_DIMENSIONS => {
                shape.push(usize::try_from(length).map_err(|_| refused())?);
            }
            _ => return Err(refused()),
        }
    }
    Ok(shape)
}

const NUMBERS: [DType; 13] = [
    DType::Bool,
    DType::I8,
    DType::I16,
    DType::I32,
    DType::I64,
    DType::U8,
    DType::U16,
    DType::U32,
    DType::U64,
    DType::F16,
    DType::BF16,
    DType::F32,
    DType::F64,
];

/// numpy's code of a type, in little-endian order; `None` where it has none.
pub(crate) const fn descr(dtype: DType) -> Option<&'static str> {
    Some(match dtype {
        DType::Bool => "|b1",
        DType::I8 => "|i1",
        DType::I16 => "<i2",
        DType::I32 => "<i4",
        DType::I64 => "<i8",
        DType::U8 => "|u1",
        DType::U16 => "<u2",
        DType::U32 => "<u4",
        DType::U64 => "<u8",
        DType::F16 => "<f2",
        DType::F32 => "<f4",
        DType::F64 => "<f8",
        // numpy has no bfloat16.
        DType::BF16 | DType::Str => return None,
    })
}

/// Reads an `.npy` file: its header is a Python dictionary of three known keys.
fn npy(file: &[u8]) -> Result<Sent, DecodeError> {
    let refused = || invalid("this is no .npy file as `numpy.save` writes it");
    let rest = file.strip_prefix(MAGIC).ok_or_else(refused)?;
    let (length, rest) = match rest {
        [1, _, low, high, rest @ ..] => (usize::from(u16::from_le_bytes([*low, *high])), rest),
        [2 | 3, _, a, b, c, d, rest @ ..] => (u32::from_le_bytes([*a, *b, *c, *d]) as usize, rest),
        _ => return Err(refused()),
    };
    if length > LONGEST_HEADER || length > rest.len() {
        return Err(refused());
    }
    let (header, bytes) = rest.split_at(length);
    let header = std::str::from_utf8(header).map_err(|_| refused())?;
    if value_of(header, "fortran_order")
        .ok_or_else(refused)?
        .starts_with("True")
    {
        return Err(invalid(
            "the array is in Fortran\u{2019}s order: save `numpy.ascontiguousarray(x)`",
        ));
    }
    let code = value_of(header, "descr").ok_or_else(refused)?;
    let code = code.trim_start_matches(['\'', '"']);
    let known = NUMBERS
        .into_iter()
        .find(|dtype| descr(*dtype).is_some_and(|known| code.starts_with(known)));
    let dtype = known.ok_or_else(|| {
        invalid("the array is not of numbers in little-endian order: save `x.astype('<f4')` or the like")
    })?;
    let shape = value_of(header, "shape").ok_or_else(refused)?;
    let shape = shape
        .strip_prefix('(')
        .and_then(|text| text.split_once(')'))
        .ok_or_else(refused)?
        .0;
    let length = |text: &str| text.trim().parse::<usize>().map_err(|_| refused());
    let shape = shape
        .split(',')
        .filter(|text| !text.trim().is_empty())
        .map(length)
        .collect::<Result<Vec<_>, _>>()?;
    Ok(Sent {
        dtype,
        shape,
        bytes: bytes.to_vec(),
    })
}

/// What stands behind a key of the header.
fn value_of<'h>(header: &'h str, key: &str) -> Option<&'h str> {
    let (_, rest) = header.split_once(&format!("'{key}':"))?;
    Some(rest.trim_start())
}

/// Writes the header of an `.npy` file.
pub(crate) fn header(descr: &str, shape: &[usize], bytes: &mut Vec<u8>) {
    let lengths: Vec<String> = shape.iter().map(ToString::to_string).collect();
    let comma = if shape.len() == 1 { "," } else { "" };
    let mut text = String::new();
    // Writing to a string does not fail.
    let _ = write!(
        text,
        "{{'descr': '{descr}', 'fortran_order': False, 'shape': ({}{comma}), }}",
        lengths.join(", ")
    );
    // The data begins at a multiple of 64 bytes; a line feed ends the header.
    let start = MAGIC.len() + 4;
    let padded = (start + text.len() + 1).next_multiple_of(64) - start - 1;
    bytes.extend_from_slice(MAGIC);
    bytes.extend_from_slice(&[1, 0]);
    bytes.extend_from_slice(&((padded + 1) as u16).to_le_bytes());
    bytes.extend_from_slice(format!("{text:padded$}\n").as_bytes());
}

fn tensor(sent: Sent, rule: Rule, target: DType) -> Result<Tensor, DecodeError> {
    let Sent {
        dtype,
        shape,
        bytes,
    } = sent;
    let elements = shape
        .iter()
        .try_fold(dtype.size(), |product, length| product.checked_mul(*length));
    if elements != Some(bytes.len()) {
        return Err(invalid(&format!(
            "{} bytes are not what a shape of {} dimensions of {dtype} takes",
            bytes.len(),
            shape.len()
        )));
    }
    let data = numbers(dtype, &bytes)?;
    if dtype == target
        && rule
            .declared
            .dtype()
            .is_none_or(|declared| declared == target)
    {
        return Ok(Tensor { shape, data });
    }
    let mut converted = TensorData::with_capacity(target, data.len());
    let outcome = with_data!(&mut converted, values => convert_all(&data, rule, values));
    match outcome {
        Ok(()) => Ok(Tensor {
            shape,
            data: converted,
        }),
        Err((index, error)) => Err(DecodeError::malformed(format!(
            "element {index} of a tensor as bytes: the value is {error}"
        ))),
    }
}

/// The numbers in little-endian order.
fn numbers(dtype: DType, bytes: &[u8]) -> Result<TensorData, DecodeError> {
    macro_rules! of {
        ($type:ty) => {
            bytes
                .as_chunks::<{ size_of::<$type>() }>()
                .0
                .iter()
                .map(|bytes| <$type>::from_le_bytes(*bytes))
                .collect()
        };
    }
    Ok(match dtype {
        DType::Bool if bytes.iter().any(|byte| *byte > 1) => {
            return Err(invalid("a truth value is neither 0 nor 1"));
        }
        DType::Bool => TensorData::Bool(bytes.iter().map(|byte| *byte == 1).collect()),
        DType::I8 => TensorData::I8(of!(i8)),
        DType::I16 => TensorData::I16(of!(i16)),
        DType::I32 => TensorData::I32(of!(i32)),
        DType::I64 => TensorData::I64(of!(i64)),
        DType::U8 => TensorData::U8(of!(u8)),
        DType::U16 => TensorData::U16(of!(u16)),
        DType::U32 => TensorData::U32(of!(u32)),
        DType::U64 => TensorData::U64(of!(u64)),
        DType::F16 => TensorData::F16(of!(f16)),
        DType::BF16 => TensorData::BF16(of!(bf16)),
        DType::F32 => TensorData::F32(of!(f32)),
        DType::F64 => TensorData::F64(of!(f64)),
        DType::Str => return Err(invalid("text goes as JSON")),
    })
}

/// Each value on the way of a JSON value.
fn convert_all<E: Element>(
    data: &TensorData,
    rule: Rule,
    into: &mut Vec<E>,
) -> Result<(), (usize, CellError)> {
    macro_rules! each {
        ($values:expr, $cell:expr) => {
            for (index, value) in $values.iter().enumerate() {
                let cell: Cell<'_> = $cell(*value);
                into.push(convert(cell, rule).map_err(|error| (index, error))?);
            }
        };
    }
    let integer = |value: i64| Cell::Number(Number::Integer(value));
    let float = |value: f64| Cell::Number(Number::Float(value));
    match data {
        TensorData::Bool(values) => each!(values, Cell::Bool),
        TensorData::I8(values) => each!(values, |value| integer(i64::from(value))),
        TensorData::I16(values) => each!(values, |value| integer(i64::from(value))),
        TensorData::I32(values) => each!(values, |value| integer(i64::from(value))),
        TensorData::I64(values) => each!(values, integer),
        TensorData::U8(values) => each!(values, |value| integer(i64::from(value))),
        TensorData::U16(values) => each!(values, |value| integer(i64::from(value))),
        TensorData::U32(values) => each!(values, |value| integer(i64::from(value))),
        TensorData::U64(values) => each!(values, |value| i64::try_from(value)
            .map_or(Cell::Number(Number::Unsigned(value)), integer)),
        TensorData::F16(values) => each!(values, |value: f16| float(value.to_f64())),
        TensorData::BF16(values) => each!(values, |value: bf16| float(value.to_f64())),
        TensorData::F32(values) => each!(values, |value| float(f64::from(value))),
        TensorData::F64(values) => each!(values, float),
        TensorData::Str(_) => {}
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::{descr, header, npy};

    #[test]
    fn a_header_is_read_as_it_is_written() {
        for shape in [&[][..], &[3], &[2, 0, 5]] {
            for dtype in super::NUMBERS {
                let Some(descr) = descr(dtype) else { continue };
                let mut file = Vec::new();
                header(descr, shape, &mut file);
                assert_eq!(file.len() % 64, 0);
                file.extend_from_slice(b"data");
                let sent = npy(&file).unwrap();
                assert_eq!((sent.dtype, &*sent.shape), (dtype, shape));
                assert_eq!(sent.bytes, b"data");
            }
        }
    }

    #[test]
    fn what_numpy_did_not_write_is_refused() {
        let mut good = Vec::new();
        header("<f4", &[2], &mut good);
        let text = String::from_utf8_lossy(&good[10..]).into_owned();
        for (from, to) in [
            ("False", "True "),
            ("<f4", ">f4"),
            ("<f4", "<U4"),
            ("(2,)", "[2,]"),
            ("(2,)", "(-2)"),
            ("'shape'", "'shade'"),
        ] {
            let bad = [&good[..10], text.replace(from, to).as_bytes()].concat();
            assert!(npy(&bad).is_err(), "{to}");
        }
        for length in 0..good.len() {
            assert!(npy(&good[..length]).is_err(), "{length}");
        }
        assert!(npy(b"\x93NUMPY\x02\x00\xff\xff\xff\xff").is_err());
    }
}
