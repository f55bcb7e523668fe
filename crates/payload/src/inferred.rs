//! What pandas and numpy make of many values together, before MLflow casts them.
//!
//! A column of a data frame gets one type for all its values: a null among whole numbers makes
//! doubles of them, among texts it is `NaN`, and among truth values it stays `None`. So what
//! `--compat mlflow` makes of a value depends on those beside it. [`Kinds`] collects what a column
//! or an array has shown; [`Whole`] is what follows for each of its values.

use std::borrow::Cow;

use crate::convert::{Casts, CellError, Declared, Rule, python_text};
use crate::error::DecodeError;
use crate::json::number::Number;
use crate::json::scanner::Cell;
use crate::tensor::DType;

/// The kinds of values that a column has shown: bits of [`kind`].
pub(crate) type Kinds = u16;

/// The bits of [`Kinds`].
mod kind {
    use super::Kinds;

    pub(super) const INTEGER: Kinds = 1;
    pub(super) const FLOAT: Kinds = 2;
    pub(super) const BOOL: Kinds = 4;
    pub(super) const TEXT: Kinds = 8;
    pub(super) const NULL: Kinds = 16;
    pub(super) const OTHER: Kinds = 32;
    pub(super) const NAN: Kinds = 64;
    /// Beside `INTEGER`: beyond 63 bits.
    pub(super) const UNSIGNED: Kinds = 128;
    /// Beside `INTEGER`: below zero.
    pub(super) const NEGATIVE: Kinds = 256;
}

/// A column that a payload has only in later rows is missing in those before.
pub(crate) const ABSENT: Kinds = kind::NAN;

/// The bits of a value's kind.
pub(crate) const fn kind_of(cell: &Cell<'_>) -> Kinds {
    match cell {
        Cell::Null => kind::NULL,
        Cell::Bool(_) => kind::BOOL,
        Cell::Number(Number::Integer(value)) if *value < 0 => kind::INTEGER | kind::NEGATIVE,
        Cell::Number(Number::Integer(_)) => kind::INTEGER,
        Cell::Number(Number::Unsigned(_)) => kind::INTEGER | kind::UNSIGNED,
        Cell::Number(Number::Float(value)) if value.is_nan() => kind::NAN,
        Cell::Number(Number::Float(_) | Number::Overflow(_)) => kind::FLOAT,
        Cell::Text(_) => kind::TEXT,
        Cell::Number(_) | Cell::List | Cell::Object => kind::OTHER,
    }
}

const NUMBER: Kinds =
    kind::INTEGER | kind::UNSIGNED | kind::NEGATIVE | kind::FLOAT | kind::NAN | kind::NULL;

/// The type that pandas infers for a column of these kinds; `None` is `object`.
pub(crate) const fn column_type(kinds: Kinds) -> Option<DType> {
    const DOUBLE: Kinds = kind::FLOAT | kind::NAN;
    match kinds {
        kind::BOOL => Some(DType::Bool),
        kind::TEXT => Some(DType::Str),
        _ if kinds & !NUMBER != 0 || kinds & (kind::INTEGER | DOUBLE) == 0 => None,
        _ if kinds & (DOUBLE | kind::NULL) == 0 => Some(DType::I64),
        _ => Some(DType::F64),
    }
}

/// The type that numpy infers for a list of these kinds; `None` is `object`.
pub(crate) const fn array_type(kinds: Kinds) -> Option<DType> {
    const BEYOND: Kinds = kind::TEXT | kind::NULL | kind::OTHER;
    match kinds {
        kind::BOOL => Some(DType::Bool),
        kind::TEXT => Some(DType::Str),
        0 => Some(DType::F64),
        _ if kinds & BEYOND != 0 => None,
        _ if kinds & (kind::FLOAT | kind::NAN) != 0 => Some(DType::F64),
        _ => Some(DType::I64),
    }
}

/// Whether MLflow's wrapper gets an array of this type into an input. ONNX Runtime takes Python's
/// objects for text, whatever they are.
pub(crate) fn accepts(actual: Option<DType>, target: DType) -> bool {
    match actual {
        Some(actual) => actual == target || (actual == DType::F64 && target == DType::F32),
        None => target == DType::Str,
    }
}

/// The engine would refuse an array of the inferred type.
#[cold]
pub(crate) fn inferred_error(actual: Option<DType>, target: DType) -> DecodeError {
    let actual = actual.map_or("object", DType::numpy_name);
    DecodeError::model(format!(
        "the model takes {target}, and the values make an array of {actual}"
    ))
}

/// Whether fields of CSV that look like these stay text, all of them: there is text among them, or
/// truth values among numbers.
pub(crate) const fn stays_text(kinds: Kinds) -> bool {
    const NUMBERS: Kinds = kind::INTEGER | kind::FLOAT;
    kinds & (kind::TEXT | kind::OTHER) != 0 || (kinds & kind::BOOL != 0 && kinds & NUMBERS != 0)
}

/// What the other values of a column or an array make of each one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Whole {
    /// Nothing: it is converted as it stands.
    #[default]
    Alone,
    /// Doubles: whole numbers become such, and null is `NaN`.
    Floats,
    /// Texts, with null as `NaN`.
    Texts,
    /// Python's objects: a whole number that is out of range is an error rather than wrapped.
    Objects,
    /// Lists of a tensor in one array, cast as C does: no number is an error.
    Array,
    /// Such lists of doubles.
    Doubles,
    /// Such lists of whole numbers, of which truth values are some.
    Integers,
    /// Such lists of texts: numbers are written as Python does.
    Strings,
}

impl Whole {
    /// What follows for the values of a column of these kinds.
    pub(crate) const fn of_column(kinds: Kinds) -> Self {
        const TEXTS: Kinds = kind::TEXT | kind::NULL;
        let signs = kind::UNSIGNED | kind::NEGATIVE;
        match column_type(kinds) {
            Some(DType::F64) if kinds & (kind::INTEGER | kind::NULL) != 0 => Self::Floats,
            Some(DType::I64) if kinds & signs == signs => Self::Objects,
            Some(_) => Self::Alone,
            None if kinds & TEXTS == TEXTS && kinds & !(TEXTS | kind::NAN) == 0 => Self::Texts,
            None => Self::Objects,
        }
    }

    /// What follows for the values of a column of lists.
    pub(crate) const fn of_lists(kinds: Kinds) -> Self {
        match array_type(kinds) {
            Some(DType::F64) => Self::Doubles,
            Some(DType::I64) if kinds & kind::BOOL != 0 => Self::Integers,
            None if kinds & kind::NULL != 0 => Self::Objects,
            None if kinds & kind::TEXT != 0 => Self::Strings,
            _ => Self::Array,
        }
    }

    /// The casts of a value.
    pub(crate) const fn casts(self, casts: Casts) -> Casts {
        match (self, casts) {
            (Self::Objects | Self::Strings, Casts::NumpyFrame) => Casts::NumpyArray,
            _ => casts,
        }
    }

    /// The value as the whole has it.
    pub(crate) fn settle(self, cell: Cell<'_>, declared: Declared) -> Result<Cell<'_>, CellError> {
        let double = |number: Number| {
            let value = number.to_f64();
            // What is no number becomes the smallest integer, as all that is out of range does.
            let lost = !value.is_finite() && self != Self::Floats && is_integer(declared);
            Cell::Number(Number::Float(if lost { f64::MIN } else { value }))
        };
        Ok(match (self, cell) {
            (Self::Floats | Self::Texts, Cell::Null) => Cell::Number(Number::Float(f64::NAN)),
            (Self::Floats | Self::Doubles, Cell::Number(number)) => double(number),
            (Self::Array, Cell::Number(number @ (Number::Float(_) | Number::Overflow(_)))) => {
                double(number)
            }
            (Self::Doubles, Cell::Bool(truth)) => double(Number::Integer(i64::from(truth))),
            (Self::Integers, Cell::Bool(truth)) => Cell::Number(Number::Integer(i64::from(truth))),
            (Self::Strings, Cell::Number(number)) => Cell::Text(Cow::Owned(python_text(number)?)),
            (Self::Strings, Cell::Bool(truth)) => {
                Cell::Text(Cow::Borrowed(if truth { "True" } else { "False" }))
            }
            (_, cell) => cell,
        })
    }
}

const fn is_integer(declared: Declared) -> bool {
    matches!(
        declared,
        Declared::Type(
            DType::I8
                | DType::I16
                | DType::I32
                | DType::I64
                | DType::U8
                | DType::U16
                | DType::U32
                | DType::U64
        )
    )
}

/// Whether the conversion of a value depends on those beside it.
pub(crate) fn depends(rule: Rule, target: Option<DType>) -> bool {
    if rule.casts != Casts::NumpyFrame || rule.whole != Whole::Alone {
        return rule.whole != Whole::Alone;
    }
    match rule.declared {
        Declared::Type(DType::F16 | DType::BF16 | DType::F32 | DType::F64) | Declared::Binary => {
            false
        }
        Declared::Type(_) => true,
        Declared::Nothing => target == Some(DType::Str),
    }
}

#[cfg(test)]
mod tests {
    use super::{Kinds, Whole, array_type, column_type, kind_of};
    use crate::json::scanner::Scanner;
    use crate::tensor::DType;

    fn kinds(list: &str) -> Kinds {
        let mut scanner = Scanner::new(list.as_bytes());
        let (mut kinds, mut first) = (0, true);
        assert!(scanner.take(b'['));
        while scanner.item(first).unwrap() {
            first = false;
            kinds |= kind_of(&scanner.cell().unwrap());
        }
        kinds
    }

    #[test]
    fn a_null_takes_the_type_of_its_column() {
        for (column, whole) in [
            ("[]", Whole::Objects),
            ("[null]", Whole::Objects),
            ("[5, 6]", Whole::Alone),
            ("[5, null]", Whole::Floats),
            ("[5, 1.5]", Whole::Floats),
            ("[1.5, NaN]", Whole::Alone),
            ("[NaN, null]", Whole::Floats),
            ("[\"x\", \"y\"]", Whole::Alone),
            ("[\"x\", null]", Whole::Texts),
            ("[\"x\", NaN, null]", Whole::Texts),
            ("[\"x\", 5]", Whole::Objects),
            ("[true, null]", Whole::Objects),
            ("[9223372036854775808, 1]", Whole::Alone),
            ("[9223372036854775808, -1]", Whole::Objects),
        ] {
            assert_eq!(Whole::of_column(kinds(column)), whole, "{column}");
        }
    }

    #[test]
    fn an_array_has_one_type() {
        assert_eq!(array_type(kinds("[true, 5]")), Some(DType::I64));
        assert_eq!(column_type(kinds("[true, 5]")), None);
        assert_eq!(Whole::of_lists(kinds("[5, NaN]")), Whole::Doubles);
        assert_eq!(Whole::of_lists(kinds("[5, \"7\"]")), Whole::Strings);
        assert_eq!(Whole::of_lists(kinds("[5, \"7\", null]")), Whole::Objects);
    }
}
