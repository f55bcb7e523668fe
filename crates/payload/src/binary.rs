//! Columns of bytes: base64 in a payload, text for an engine.
//!
//! ONNX has no type for bytes, so they must be UTF-8. What MLflow hands to the engine instead is
//! Python's way of writing bytes, `b'…'`, and that of the base64 itself where the payload is no
//! data frame; `--compat mlflow` does the same.

use std::fmt::Write as _;

use base64::Engine as _;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

use crate::convert::{Casts, CellError, python_text};
use crate::json::scanner::Cell;
use crate::tensor::DType;

/// Padding may lack.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// As Python's `binascii` decodes: padding must be there.
const PADDED: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::RequireCanonical)
        .with_decode_allow_trailing_bits(true),
);

/// A value of a payload as the text that the engine gets.
pub(crate) fn declare(cell: Cell<'_>, casts: Casts) -> Result<String, CellError> {
    let found = cell.kind();
    let kind = || CellError::Kind {
        found,
        wanted: DType::Str,
    };
    match (cell, casts) {
        (Cell::Text(text), Casts::Lossless) => {
            let bytes = BASE64
                .decode(without_lines(&text))
                .map_err(|_| CellError::NotBase64)?;
            String::from_utf8(bytes).map_err(|_| CellError::NotUtf8)
        }
        (Cell::Text(text), Casts::NumpyFrame) => python_decode(&text).map(|bytes| literal(&bytes)),
        // `np.array(values, bytes)`.
        (Cell::Text(text), Casts::NumpyArray) if text.is_ascii() => {
            Ok(literal(text.trim_end_matches('\0').as_bytes()))
        }
        (Cell::Text(_), Casts::NumpyArray) => Err(CellError::NotBase64),
        (Cell::Null, Casts::NumpyArray) => Ok(literal(b"None")),
        (Cell::Bool(truth), Casts::NumpyArray) => {
            Ok(literal(if truth { b"True" } else { b"False" }))
        }
        (Cell::Number(number), Casts::NumpyArray) => {
            python_text(number).map(|text| literal(text.as_bytes()))
        }
        (Cell::Null, _) => Err(CellError::Missing(DType::Str)),
        _ => Err(kind()),
    }
}

/// Lines may be broken, as MIME has them.
fn without_lines(text: &str) -> String {
    text.split(['\r', '\n']).collect()
}

/// As `base64.decodebytes` reads: other characters are skipped, and the padding ends it.
fn python_decode(text: &str) -> Result<Vec<u8>, CellError> {
    let is_letter = |letter: &u8| letter.is_ascii_alphanumeric() || matches!(letter, b'+' | b'/');
    let mut letters: Vec<u8> = Vec::with_capacity(text.len());
    for byte in text.bytes() {
        let whole = letters.len().is_multiple_of(4);
        let padding = letters
            .iter()
            .rev()
            .take_while(|last| **last == b'=')
            .count();
        match byte {
            _ if padding > 0 && whole => break,
            b'=' if letters.len() % 4 >= 2 => letters.push(byte),
            letter if is_letter(&letter) => letters.push(letter),
            _ => {}
        }
    }
    PADDED.decode(letters).map_err(|_| CellError::NotBase64)
}

/// Bytes as Python's `repr` writes them.
fn literal(bytes: &[u8]) -> String {
    let quote = if bytes.contains(&b'\'') && !bytes.contains(&b'"') {
        '"'
    } else {
        '\''
    };
    let mut text = String::with_capacity(bytes.len() + 3);
    text.push('b');
    text.push(quote);
    for byte in bytes {
        match *byte {
            b'\\' => text.push_str("\\\\"),
            b'\n' => text.push_str("\\n"),
            b'\r' => text.push_str("\\r"),
            b'\t' => text.push_str("\\t"),
            byte if char::from(byte) == quote => {
                text.push('\\');
                text.push(quote);
            }
            byte @ 0x20..0x7f => text.push(char::from(byte)),
            byte => {
                // Writing to a string does not fail.
                let _ = write!(text, "\\x{byte:02x}");
            }
        }
    }
    text.push(quote);
    text
}

#[cfg(test)]
mod tests {
    use super::{declare, literal};
    use crate::convert::{Casts, CellError};
    use crate::json::scanner::Cell;

    fn of(text: &str, casts: Casts) -> Result<String, CellError> {
        declare(Cell::Text(text.into()), casts)
    }

    #[test]
    fn base64_is_decoded() {
        for text in ["aGVsbG8=", "aGVsbG8", "aGVs\r\nbG8=\n"] {
            assert_eq!(of(text, Casts::Lossless).as_deref(), Ok("hello"), "{text}");
        }
        assert_eq!(of("", Casts::Lossless).as_deref(), Ok(""));
        assert_eq!(of("a b", Casts::Lossless), Err(CellError::NotBase64));
        assert_eq!(of("//4=", Casts::Lossless), Err(CellError::NotUtf8));
        assert!(declare(Cell::Null, Casts::Lossless).is_err());
    }

    #[test]
    fn mlflow_gives_what_python_writes() {
        assert_eq!(
            of("aGVs bG8=x", Casts::NumpyFrame).as_deref(),
            Ok("b'hello'")
        );
        assert_eq!(of("aGVsbG8", Casts::NumpyFrame), Err(CellError::NotBase64));
        assert_eq!(
            of("aGVsbG8=", Casts::NumpyArray).as_deref(),
            Ok("b'aGVsbG8='")
        );
        assert_eq!(literal(b"it's\0\\\xff\n"), r#"b"it's\x00\\\xff\n""#);
        assert_eq!(literal(b"'\""), r#"b'\'"'"#);
    }
}
