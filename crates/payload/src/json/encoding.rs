//! The encoding of a JSON body: UTF-8, or what Python's `json.loads` also detects.

use std::borrow::Cow;

use crate::error::DecodeError;

/// The body as UTF-8, with or without a byte order mark, which costs no copy and is not checked:
/// the scanner does that where it meets text. UTF-16 and UTF-32 are told by the zero bytes around
/// their first character, as RFC 4627 describes.
pub(crate) fn utf8(body: &[u8]) -> Result<Cow<'_, [u8]>, DecodeError> {
    let body = body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body);
    if !matches!(
        body,
        [0, ..] | [_, 0, ..] | [0xff, 0xfe, ..] | [0xfe, 0xff, ..]
    ) {
        return Ok(Cow::Borrowed(body));
    }
    let text = wide(body).ok_or_else(|| invalid(0))?;
    Ok(Cow::Owned(text.into_bytes()))
}

/// An error of a body that is not UTF-8: that, whatever else was noticed first.
#[cold]
pub(crate) fn blame(body: &[u8], error: DecodeError) -> DecodeError {
    match std::str::from_utf8(body) {
        Ok(_) => error,
        Err(fault) => invalid(fault.valid_up_to()),
    }
}

#[cold]
fn invalid(offset: usize) -> DecodeError {
    DecodeError::malformed(format!(
        "Ensure that input is a valid UTF-8 encoded string. Error: invalid byte at {offset}"
    ))
}

#[cold]
fn wide(body: &[u8]) -> Option<String> {
    match body {
        [0xff, 0xfe, 0, 0, rest @ ..] => utf32(rest, u32::from_le_bytes),
        [0, 0, 0xfe, 0xff, rest @ ..] => utf32(rest, u32::from_be_bytes),
        [0xff, 0xfe, rest @ ..] => utf16(rest, u16::from_le_bytes),
        [0xfe, 0xff, rest @ ..] => utf16(rest, u16::from_be_bytes),
        [0, 0, ..] => utf32(body, u32::from_be_bytes),
        [0, ..] => utf16(body, u16::from_be_bytes),
        [_, 0, 0, _, ..] => utf32(body, u32::from_le_bytes),
        _ => utf16(body, u16::from_le_bytes),
    }
}

fn utf16(body: &[u8], unit: fn([u8; 2]) -> u16) -> Option<String> {
    let (pairs, rest) = body.as_chunks::<2>();
    rest.is_empty().then(|| {
        char::decode_utf16(pairs.iter().map(|pair| unit(*pair)))
            .collect::<Result<_, _>>()
            .ok()
    })?
}

fn utf32(body: &[u8], unit: fn([u8; 4]) -> u32) -> Option<String> {
    let (units, rest) = body.as_chunks::<4>();
    rest.is_empty().then(|| {
        units
            .iter()
            .map(|bytes| char::from_u32(unit(*bytes)))
            .collect()
    })?
}

#[cfg(test)]
mod tests {
    use super::utf8;

    #[test]
    fn every_encoding_that_python_detects_is_read() {
        let text = "{\"é\": 1}";
        let little: Vec<u8> = text.encode_utf16().flat_map(u16::to_le_bytes).collect();
        let big: Vec<u8> = text.encode_utf16().flat_map(u16::to_be_bytes).collect();
        let wide: Vec<u8> = text
            .chars()
            .flat_map(|character| (character as u32).to_le_bytes())
            .collect();
        let marked = [b"\xef\xbb\xbf", text.as_bytes()].concat();
        for body in [text.as_bytes(), &little, &big, &wide, &marked] {
            assert_eq!(utf8(body).unwrap(), text.as_bytes());
        }
        assert!(utf8(&little[..little.len() - 1]).is_err());
    }
}
