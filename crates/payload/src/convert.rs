//! One value of a payload becomes one element of a tensor.
//!
//! Two steps, each with the same question (does it lose anything?): the value is read as the type
//! that the signature declares, then put into the type that the engine takes. Under
//! [`Casts::Lossless`] a loss is an error. Under the two numpy modes it is what numpy does: a data
//! frame's column is cast with `astype` (integers wrap), a list is made with `np.array(…, dtype)`
//! (integers out of range are an error). The table of measured casts is in MLflow's behaviour, not
//! in its documentation, and the differential tests hold this module to it.

use half::{bf16, f16};
use mlrs_mlmodel::signature::{DataType, TensorType};

use crate::binary;
use crate::inferred::Whole;
use crate::json::number::Number;
use crate::json::scanner::Cell;
use crate::tensor::DType;

/// Which conversions are allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Casts {
    /// Nothing may be lost.
    Lossless,
    /// As `Series.astype` casts a column of a data frame.
    NumpyFrame,
    /// As `np.array(values, dtype)` casts a list.
    NumpyArray,
}

/// The type that a signature declares for a value, as far as conversion goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Declared {
    /// A number, a truth value or text of this type.
    Type(DType),
    /// Bytes, which JSON has in base64, and an engine as text.
    Binary,
    /// Nothing: the engine's own type decides.
    Nothing,
}

impl Declared {
    /// The engine's type for it; `None` where nothing is declared.
    pub(crate) const fn dtype(self) -> Option<DType> {
        match self {
            Self::Type(dtype) => Some(dtype),
            Self::Binary => Some(DType::Str),
            Self::Nothing => None,
        }
    }

    /// The type of a column; `None` for those that no tensor can hold.
    pub(crate) const fn column(kind: DataType) -> Option<Self> {
        Some(Self::Type(match kind {
            DataType::Boolean => DType::Bool,
            DataType::Integer => DType::I32,
            DataType::Long => DType::I64,
            DataType::Float => DType::F32,
            DataType::Double => DType::F64,
            DataType::String => DType::Str,
            DataType::Binary => return Some(Self::Binary),
            DataType::Datetime => return None,
        }))
    }

    /// The type of a tensor; `None` for those that no engine takes.
    pub(crate) fn tensor(kind: &TensorType) -> Option<Self> {
        Some(Self::Type(match kind {
            TensorType::Bool => DType::Bool,
            TensorType::Int8 => DType::I8,
            TensorType::Int16 => DType::I16,
            TensorType::Int32 => DType::I32,
            TensorType::Int64 => DType::I64,
            TensorType::Uint8 => DType::U8,
            TensorType::Uint16 => DType::U16,
            TensorType::Uint32 => DType::U32,
            TensorType::Uint64 => DType::U64,
            TensorType::Float16 => DType::F16,
            TensorType::Float32 => DType::F32,
            TensorType::Float64 => DType::F64,
            // Text in numpy's object arrays is what pandas gives for a column of strings.
            TensorType::Str | TensorType::Object => DType::Str,
            TensorType::Other(name) if name == "bfloat16" => DType::BF16,
            TensorType::Bytes | TensorType::Other(_) => return None,
        }))
    }
}

/// How the values of one column or tensor are converted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Rule {
    /// The declared type.
    pub(crate) declared: Declared,
    /// What may be lost.
    pub(crate) casts: Casts,
    /// Whether a JSON number needs no look at the declared type: that is a float, and so is the
    /// engine's.
    pub(crate) plain_float: bool,
    /// What the values beside one make of it.
    pub(crate) whole: Whole,
}

impl Rule {
    /// A rule for values that are declared so and go to an engine's `target`.
    pub(crate) const fn new(declared: Declared, casts: Casts, target: DType) -> Self {
        let declared_float = match declared {
            Declared::Nothing | Declared::Type(DType::F64) => true,
            // Rounding to single precision before double would show in a double.
            Declared::Type(DType::F32) => matches!(target, DType::F32),
            Declared::Type(_) | Declared::Binary => false,
        };
        let plain_float = declared_float && matches!(target, DType::F32 | DType::F64);
        Self {
            declared,
            casts,
            plain_float,
            whole: Whole::Alone,
        }
    }
}

/// Why a value could not be converted. The texts continue "… is ".
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum CellError {
    /// Its kind does not fit the type.
    Kind {
        /// What it is.
        found: &'static str,
        /// What it should be.
        wanted: DType,
    },
    /// It is a number, and outside the range of the type.
    Range(DType),
    /// It is a number with a fraction, where the type has none.
    Fraction(DType),
    /// It is text that reads as no number.
    NotANumber(DType),
    /// It is `null`, or absent, and the type has no missing value.
    Missing(DType),
    /// It must be a list of so many values.
    Length(usize),
    /// It is text, and no base64.
    NotBase64,
    /// It is base64 of bytes that are no UTF-8.
    NotUtf8,
}

impl std::fmt::Display for CellError {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Kind { found, wanted } => write!(formatter, "{found}, expected {wanted}"),
            Self::Range(wanted) => write!(formatter, "outside the range of {wanted}"),
            Self::Fraction(wanted) => write!(formatter, "not a whole number, expected {wanted}"),
            Self::NotANumber(wanted) => {
                write!(formatter, "text that is no number, expected {wanted}")
            }
            Self::Missing(wanted) => {
                write!(formatter, "missing, and {wanted} has no missing value")
            }
            Self::Length(length) => write!(formatter, "not a list of {length} values"),
            Self::NotBase64 => formatter.write_str("text that is no base64, as binary values are"),
            Self::NotUtf8 => formatter
                .write_str("base64 of bytes that are no UTF-8 text, which is what the model takes"),
        }
    }
}

/// A value on its way between the two steps.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Scalar {
    Bool(bool),
    Integer(i64),
    Unsigned(u64),
    Float(f64),
    Text(String),
}

/// A type of element that a value can become.
pub(crate) trait Element: Sized + Clone + Default {
    /// The type's name.
    const DTYPE: DType;

    /// The nearest element to a double; only asked of `f32` and `f64`.
    fn from_float(_value: f64) -> Self {
        Self::default()
    }

    /// Whether a finite double became infinite.
    fn overflowed(&self) -> bool {
        false
    }

    /// The second step.
    fn from_scalar(value: Scalar, casts: Casts) -> Result<Self, CellError>;

    /// The element that stands for a missing value.
    fn missing() -> Option<Self> {
        None
    }
}

/// Converts one scalar of a payload.
#[inline]
pub(crate) fn convert<E: Element>(cell: Cell<'_>, rule: Rule) -> Result<E, CellError> {
    if rule.plain_float
        && let Cell::Number(number) = cell
    {
        return plain_float(number, rule.casts);
    }
    let (cell, casts) = match rule.whole {
        Whole::Alone => (cell, rule.casts),
        whole => (whole.settle(cell, rule.declared)?, whole.casts(rule.casts)),
    };
    let scalar = match rule.declared {
        Declared::Type(declared) => declare(cell, declared, casts)?,
        Declared::Binary => binary::declare(cell, casts).map(Scalar::Text)?,
        Declared::Nothing => undeclared(cell, E::DTYPE, casts)?,
    };
    E::from_scalar(scalar, casts)
}

/// A number for a float: no question but overflow.
#[inline]
fn plain_float<E: Element>(number: Number, casts: Casts) -> Result<E, CellError> {
    let element = E::from_float(number.to_f64());
    if casts == Casts::Lossless && element.overflowed() && overflows(number) {
        return Err(CellError::Range(E::DTYPE));
    }
    Ok(element)
}

/// Appends a number for a float; `false` when it does not fit.
#[inline]
pub(crate) fn push_float<E: Element>(values: &mut Vec<E>, value: f64) -> bool {
    let element = E::from_float(value);
    if element.overflowed() {
        return false;
    }
    values.push(element);
    true
}

/// Whether an infinite result is the fault of the conversion: the number itself was finite.
#[cold]
fn overflows(number: Number) -> bool {
    match number {
        Number::Float(value) => value.is_finite(),
        _ => true,
    }
}

/// The first step where nothing is declared: the value as it is, checked against the engine's type.
fn undeclared(cell: Cell<'_>, target: DType, casts: Casts) -> Result<Scalar, CellError> {
    if casts == Casts::Lossless || target == DType::Str {
        return declare(cell, target, casts);
    }
    match cell {
        Cell::Null => Ok(Scalar::Float(f64::NAN)),
        Cell::Bool(value) => Ok(Scalar::Bool(value)),
        Cell::Number(number) => Ok(of_number(number)),
        Cell::Text(text) => Ok(Scalar::Text(text.into_owned())),
        Cell::List | Cell::Object => Err(CellError::Kind {
            found: cell.kind(),
            wanted: target,
        }),
    }
}

const fn of_number(number: Number) -> Scalar {
    match number {
        Number::Integer(value) => Scalar::Integer(value),
        Number::Unsigned(value) => Scalar::Unsigned(value),
        Number::Huge(value) | Number::Float(value) => Scalar::Float(value),
        Number::Overflow(true) => Scalar::Float(f64::NEG_INFINITY),
        Number::Overflow(false) => Scalar::Float(f64::INFINITY),
    }
}

/// The first step: the value as the declared type.
fn declare(cell: Cell<'_>, declared: DType, casts: Casts) -> Result<Scalar, CellError> {
    match declared {
        DType::Bool => declare_bool(&cell, casts),
        DType::F16 | DType::BF16 | DType::F32 | DType::F64 => declare_float(&cell, declared, casts),
        DType::Str => declare_text(cell, casts),
        _ => declare_integer(&cell, declared, casts),
    }
}

fn declare_bool(cell: &Cell<'_>, casts: Casts) -> Result<Scalar, CellError> {
    let kind = CellError::Kind {
        found: cell.kind(),
        wanted: DType::Bool,
    };
    let lossless = casts == Casts::Lossless;
    Ok(Scalar::Bool(match cell {
        Cell::Bool(value) => *value,
        Cell::Number(number) => match number.to_f64() {
            0.0 => false,
            1.0 => true,
            _ if lossless => return Err(kind),
            _ => true,
        },
        Cell::Null if !lossless => false,
        Cell::Null => return Err(CellError::Missing(DType::Bool)),
        Cell::Text(text) if !lossless => !text.is_empty(),
        _ => return Err(kind),
    }))
}

fn declare_float(cell: &Cell<'_>, declared: DType, casts: Casts) -> Result<Scalar, CellError> {
    let number = match cell {
        Cell::Number(number) => *number,
        Cell::Null => Number::Float(f64::NAN),
        Cell::Bool(value) => Number::Integer(i64::from(*value)),
        Cell::Text(text) => number_in(text, declared)?,
        Cell::List | Cell::Object => {
            return Err(CellError::Kind {
                found: cell.kind(),
                wanted: declared,
            });
        }
    };
    let value = number.to_f64();
    let narrow = match declared {
        DType::F16 => f16::from_f64(value).to_f64(),
        DType::BF16 => bf16::from_f64(value).to_f64(),
        DType::F32 => f64::from(value as f32),
        _ => value,
    };
    if casts == Casts::Lossless && narrow.is_infinite() && overflows(number) {
        return Err(CellError::Range(declared));
    }
    Ok(Scalar::Float(narrow))
}

/// The number that a text writes. Also `nan`, `inf` and `infinity` in any case, as Python reads.
fn number_in(text: &str, wanted: DType) -> Result<Number, CellError> {
    let trimmed = text.trim();
    let unsigned = trimmed.strip_prefix('+').unwrap_or(trimmed);
    if let Some((number, length)) = crate::json::number::read(unsigned.as_bytes())
        && length == unsigned.len()
    {
        return Ok(number);
    }
    let named = unsigned.trim_start_matches('-').to_ascii_lowercase();
    let plain = unsigned
        .bytes()
        .all(|byte| byte.is_ascii_digit() || matches!(byte, b'.' | b'-' | b'e' | b'E' | b'+'));
    if matches!(named.as_str(), "nan" | "inf" | "infinity") || plain {
        return unsigned
            .parse()
            .map(Number::Float)
            .map_err(|_| CellError::NotANumber(wanted));
    }
    Err(CellError::NotANumber(wanted))
}

fn declare_text(cell: Cell<'_>, casts: Casts) -> Result<Scalar, CellError> {
    let found = cell.kind();
    match (cell, casts) {
        (Cell::Text(text), _) => Ok(Scalar::Text(text.into_owned())),
        (Cell::Null, Casts::Lossless) => Err(CellError::Missing(DType::Str)),
        // numpy, and ONNX Runtime for a frame, write other values as Python would.
        (Cell::Null, _) => Ok(Scalar::Text("None".into())),
        (Cell::Bool(value), Casts::NumpyArray | Casts::NumpyFrame) => {
            Ok(Scalar::Text(if value { "True" } else { "False" }.into()))
        }
        (Cell::Number(number), Casts::NumpyArray | Casts::NumpyFrame) => {
            python_text(number).map(Scalar::Text)
        }
        _ => Err(CellError::Kind {
            found,
            wanted: DType::Str,
        }),
    }
}

/// A number as Python's `str` writes it; the digits of an integer beyond 64 bits are lost here.
pub(crate) fn python_text(number: Number) -> Result<String, CellError> {
    Ok(match number {
        Number::Integer(value) => value.to_string(),
        Number::Unsigned(value) => value.to_string(),
        Number::Huge(_) => return Err(CellError::Range(DType::Str)),
        other => {
            let mut text = Vec::new();
            crate::encode::python_float(other.to_f64(), &mut text);
            String::from_utf8_lossy(&text).into_owned()
        }
    })
}

fn declare_integer(cell: &Cell<'_>, declared: DType, casts: Casts) -> Result<Scalar, CellError> {
    let number = match cell {
        Cell::Number(number) => *number,
        Cell::Bool(value) => Number::Integer(i64::from(*value)),
        Cell::Text(text) => integer_in(text, declared, casts)?,
        Cell::Null => return Err(CellError::Missing(declared)),
        Cell::List | Cell::Object => {
            return Err(CellError::Kind {
                found: cell.kind(),
                wanted: declared,
            });
        }
    };
    let scalar = match casts {
        Casts::Lossless => whole(number, declared)?,
        Casts::NumpyFrame => truncated(number, declared)?,
        Casts::NumpyArray => exact_integer(truncated(number, declared)?, number, declared)?,
    };
    if in_range(&scalar, declared) {
        return Ok(scalar);
    }
    match (casts, number) {
        // The processor's conversion of a double that is out of range.
        (Casts::NumpyFrame, Number::Float(_)) if declared == DType::I32 => {
            Ok(Scalar::Integer(i64::from(i32::MIN)))
        }
        (Casts::NumpyFrame, _) => Ok(wrapped(&scalar, declared)),
        _ => Err(CellError::Range(declared)),
    }
}

/// Python makes an integer of a double before numpy looks at its range.
fn exact_integer(scalar: Scalar, number: Number, declared: DType) -> Result<Scalar, CellError> {
    match number {
        Number::Float(value) if !(-TWO_TO_63..TWO_TO_64).contains(&value) => {
            Err(CellError::Range(declared))
        }
        _ => Ok(scalar),
    }
}

/// Python's `int` takes no fraction; without loss, `"7.0"` is as good as `7.0`.
fn integer_in(text: &str, declared: DType, casts: Casts) -> Result<Number, CellError> {
    let number = number_in(text, declared)?;
    match number {
        Number::Float(_) | Number::Overflow(_) if casts != Casts::Lossless => {
            Err(CellError::NotANumber(declared))
        }
        _ => Ok(number),
    }
}

/// Doubles from here on are beyond a `u64`.
const TWO_TO_64: f64 = 18_446_744_073_709_551_616.0;
const TWO_TO_63: f64 = 9_223_372_036_854_775_808.0;

fn whole(number: Number, declared: DType) -> Result<Scalar, CellError> {
    let value = match number {
        Number::Integer(value) => return Ok(Scalar::Integer(value)),
        Number::Unsigned(value) => return Ok(Scalar::Unsigned(value)),
        Number::Huge(_) | Number::Overflow(_) => return Err(CellError::Range(declared)),
        Number::Float(value) => value,
    };
    if value.is_nan() {
        return Err(CellError::Missing(declared));
    }
    if value.is_infinite() {
        return Err(CellError::Range(declared));
    }
    if value.fract() != 0.0 {
        return Err(CellError::Fraction(declared));
    }
    if (-TWO_TO_63..TWO_TO_63).contains(&value) {
        return Ok(Scalar::Integer(value as i64));
    }
    if (TWO_TO_63..TWO_TO_64).contains(&value) {
        return Ok(Scalar::Unsigned(value as u64));
    }
    Err(CellError::Range(declared))
}

/// As C casts a double: towards zero; what is out of range becomes the smallest integer.
fn truncated(number: Number, declared: DType) -> Result<Scalar, CellError> {
    let value = match number {
        Number::Integer(value) => return Ok(Scalar::Integer(value)),
        Number::Unsigned(value) => return Ok(Scalar::Unsigned(value)),
        Number::Huge(_) => return Err(CellError::Range(declared)),
        Number::Overflow(_) => return Err(CellError::Missing(declared)),
        Number::Float(value) => value,
    };
    if !value.is_finite() {
        return Err(CellError::Missing(declared));
    }
    if declared == DType::U64 && value >= TWO_TO_63 {
        return Ok(Scalar::Unsigned(value as u64));
    }
    if (-TWO_TO_63..TWO_TO_63).contains(&value) {
        Ok(Scalar::Integer(value as i64))
    } else {
        Ok(Scalar::Integer(i64::MIN))
    }
}

fn in_range(scalar: &Scalar, declared: DType) -> bool {
    let (low, high) = range(declared);
    match scalar {
        Scalar::Integer(value) => (low..=high).contains(&i128::from(*value)),
        Scalar::Unsigned(value) => i128::from(*value) <= high,
        _ => false,
    }
}

/// The smallest and the largest value of an integer type.
const fn range(dtype: DType) -> (i128, i128) {
    match dtype {
        DType::I8 => (i8::MIN as i128, i8::MAX as i128),
        DType::I16 => (i16::MIN as i128, i16::MAX as i128),
        DType::I32 => (i32::MIN as i128, i32::MAX as i128),
        DType::I64 => (i64::MIN as i128, i64::MAX as i128),
        DType::U8 => (0, u8::MAX as i128),
        DType::U16 => (0, u16::MAX as i128),
        DType::U32 => (0, u32::MAX as i128),
        _ => (0, u64::MAX as i128),
    }
}

fn wrapped(scalar: &Scalar, declared: DType) -> Scalar {
    let bits = match scalar {
        Scalar::Integer(value) => *value,
        Scalar::Unsigned(value) => *value as i64,
        _ => 0,
    };
    match declared {
        DType::I8 => Scalar::Integer(i64::from(bits as i8)),
        DType::I16 => Scalar::Integer(i64::from(bits as i16)),
        DType::I32 => Scalar::Integer(i64::from(bits as i32)),
        DType::U8 => Scalar::Integer(i64::from(bits as u8)),
        DType::U16 => Scalar::Integer(i64::from(bits as u16)),
        DType::U32 => Scalar::Integer(i64::from(bits as u32)),
        DType::U64 => Scalar::Unsigned(bits as u64),
        _ => Scalar::Integer(bits),
    }
}

/// The second step into a float.
fn to_float(value: &Scalar, wanted: DType) -> Result<f64, CellError> {
    match value {
        Scalar::Bool(value) => Ok(f64::from(u8::from(*value))),
        Scalar::Integer(value) => Ok(*value as f64),
        Scalar::Unsigned(value) => Ok(*value as f64),
        Scalar::Float(value) => Ok(*value),
        Scalar::Text(text) => number_in(text, wanted).map(Number::to_f64),
    }
}

macro_rules! float_element {
    ($type:ty, $dtype:expr, $from:expr) => {
        impl Element for $type {
            const DTYPE: DType = $dtype;

            #[inline]
            fn from_float(value: f64) -> Self {
                $from(value)
            }

            #[inline]
            fn overflowed(&self) -> bool {
                self.is_infinite()
            }

            fn from_scalar(value: Scalar, casts: Casts) -> Result<Self, CellError> {
                let wide = to_float(&value, $dtype)?;
                let element: Self = $from(wide);
                if casts == Casts::Lossless && element.is_infinite() && wide.is_finite() {
                    return Err(CellError::Range($dtype));
                }
                Ok(element)
            }

            fn missing() -> Option<Self> {
                Some($from(f64::NAN))
            }
        }
    };
}

float_element!(f64, DType::F64, |value: f64| value);
float_element!(f32, DType::F32, |value: f64| value as f32);
float_element!(f16, DType::F16, f16::from_f64);
float_element!(bf16, DType::BF16, bf16::from_f64);

macro_rules! integer_element {
    ($type:ty, $dtype:expr) => {
        impl Element for $type {
            const DTYPE: DType = $dtype;

            fn from_scalar(value: Scalar, _casts: Casts) -> Result<Self, CellError> {
                let value = match value {
                    Scalar::Float(value) => whole(Number::Float(value), $dtype)?,
                    Scalar::Bool(value) => Scalar::Integer(i64::from(value)),
                    Scalar::Text(text) => whole(number_in(&text, $dtype)?, $dtype)?,
                    integer => integer,
                };
                let element = match value {
                    Scalar::Integer(value) => Self::try_from(value).ok(),
                    Scalar::Unsigned(value) => Self::try_from(value).ok(),
                    _ => None,
                };
                element.ok_or(CellError::Range($dtype))
            }
        }
    };
}

integer_element!(i8, DType::I8);
integer_element!(i16, DType::I16);
integer_element!(i32, DType::I32);
integer_element!(i64, DType::I64);
integer_element!(u8, DType::U8);
integer_element!(u16, DType::U16);
integer_element!(u32, DType::U32);
integer_element!(u64, DType::U64);

impl Element for bool {
    const DTYPE: DType = DType::Bool;

    fn from_scalar(value: Scalar, _casts: Casts) -> Result<Self, CellError> {
        match value {
            Scalar::Bool(value) => Ok(value),
            Scalar::Integer(0) | Scalar::Unsigned(0) | Scalar::Float(0.0) => Ok(false),
            Scalar::Integer(1) | Scalar::Unsigned(1) | Scalar::Float(1.0) => Ok(true),
            Scalar::Text(_) => Err(CellError::Kind {
                found: "text",
                wanted: DType::Bool,
            }),
            _ => Err(CellError::Range(DType::Bool)),
        }
    }
}

impl Element for String {
    const DTYPE: DType = DType::Str;

    fn from_scalar(value: Scalar, _casts: Casts) -> Result<Self, CellError> {
        match value {
            Scalar::Text(text) => Ok(text),
            Scalar::Bool(_) => Err(CellError::Kind {
                found: "a boolean",
                wanted: DType::Str,
            }),
            Scalar::Float(value) if value.is_nan() => Err(CellError::Missing(DType::Str)),
            _ => Err(CellError::Kind {
                found: "a number",
                wanted: DType::Str,
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Casts, CellError, Declared, Rule, convert};
    use crate::json::scanner::{Cell, Scanner};
    use crate::tensor::DType;

    fn cell(text: &str) -> Cell<'_> {
        Scanner::new(text.as_bytes()).cell().unwrap()
    }

    fn long(text: &str, casts: Casts) -> Result<i64, CellError> {
        convert(
            cell(text),
            Rule::new(Declared::Type(DType::I64), casts, DType::I64),
        )
    }

    fn int(text: &str, casts: Casts) -> Result<i32, CellError> {
        convert(
            cell(text),
            Rule::new(Declared::Type(DType::I32), casts, DType::I32),
        )
    }

    fn single(text: &str, casts: Casts) -> Result<f32, CellError> {
        convert(
            cell(text),
            Rule::new(Declared::Type(DType::F64), casts, DType::F32),
        )
    }

    fn truth(text: &str, casts: Casts) -> Result<bool, CellError> {
        convert(
            cell(text),
            Rule::new(Declared::Type(DType::Bool), casts, DType::Bool),
        )
    }

    #[test]
    fn without_loss_only_what_is_equal_passes() {
        assert_eq!(long("3.0", Casts::Lossless), Ok(3));
        assert_eq!(long("1e3", Casts::Lossless), Ok(1000));
        assert_eq!(long("\"7\"", Casts::Lossless), Ok(7));
        assert_eq!(
            long("1.5", Casts::Lossless),
            Err(CellError::Fraction(DType::I64))
        );
        assert_eq!(
            long("9223372036854775808", Casts::Lossless),
            Err(CellError::Range(DType::I64))
        );
        assert_eq!(
            long("null", Casts::Lossless),
            Err(CellError::Missing(DType::I64))
        );
        assert_eq!(
            int("2147483648", Casts::Lossless),
            Err(CellError::Range(DType::I32))
        );
        assert_eq!(
            single("1e300", Casts::Lossless),
            Err(CellError::Range(DType::F32))
        );
        assert_eq!(
            single("1e400", Casts::Lossless),
            Err(CellError::Range(DType::F32))
        );
        assert_eq!(single("Infinity", Casts::Lossless), Ok(f32::INFINITY));
        assert!(single("null", Casts::Lossless).unwrap().is_nan());
        assert_eq!(truth("1", Casts::Lossless), Ok(true));
        assert!(truth("2", Casts::Lossless).is_err());
        assert!(truth("\"false\"", Casts::Lossless).is_err());
    }

    #[test]
    fn a_frame_casts_as_numpy_does() {
        assert_eq!(long("1.5", Casts::NumpyFrame), Ok(1));
        assert_eq!(long("9223372036854775808", Casts::NumpyFrame), Ok(i64::MIN));
        assert_eq!(int("2147483648", Casts::NumpyFrame), Ok(i32::MIN));
        assert_eq!(int("\"7\"", Casts::NumpyFrame), Ok(7));
        assert!(int("\"7.5\"", Casts::NumpyFrame).is_err());
        assert_eq!(int("true", Casts::NumpyFrame), Ok(1));
        assert_eq!(single("1e300", Casts::NumpyFrame), Ok(f32::INFINITY));
        for text in ["1", "2", "\"true\"", "\"false\""] {
            assert_eq!(truth(text, Casts::NumpyFrame), Ok(true), "{text}");
        }
        assert_eq!(truth("null", Casts::NumpyFrame), Ok(false));
    }

    #[test]
    fn a_list_refuses_integers_out_of_range() {
        assert_eq!(
            int("2147483648", Casts::NumpyArray),
            Err(CellError::Range(DType::I32))
        );
        assert_eq!(int("1.9", Casts::NumpyArray), Ok(1));
        assert_eq!(
            long("9223372036854775808", Casts::NumpyArray),
            Err(CellError::Range(DType::I64))
        );
        let text: Result<String, _> = convert(
            cell("1.5"),
            Rule::new(Declared::Type(DType::Str), Casts::NumpyArray, DType::Str),
        );
        assert_eq!(text.as_deref(), Ok("1.5"));
    }
}
