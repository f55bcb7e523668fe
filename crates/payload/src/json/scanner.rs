//! A cursor over JSON text.
//!
//! It checks the grammar of RFC 8259 plus the literals `NaN`, `Infinity` and `-Infinity`, which
//! Python writes and reads. It allocates only for text with escapes.

use std::borrow::Cow;

use super::matrix::{self, Attempts};
use super::number::{self, Number};
use crate::convert::Element;

/// How deep values that nobody asked for may nest.
const DEPTH: usize = 512;

/// The JSON text broke its grammar.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SyntaxError {
    /// What was expected.
    pub(crate) expected: &'static str,
    /// Bytes from the start of the body.
    pub(crate) offset: usize,
}

/// A scalar, or the start of a value that is none.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Cell<'a> {
    /// `null`.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A number.
    Number(Number),
    /// Text.
    Text(Cow<'a, str>),
    /// A list begins here; the scanner stands before it.
    List,
    /// An object begins here; the scanner stands before it.
    Object,
}

impl Cell<'_> {
    /// The kind in words, for messages: never the value.
    pub(crate) const fn kind(&self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Bool(_) => "a boolean",
            Self::Number(Number::Float(_) | Number::Overflow(_)) => "a number with a fraction",
            Self::Number(_) => "an integer",
            Self::Text(_) => "text",
            Self::List => "a list",
            Self::Object => "an object",
        }
    }
}

/// A cursor over JSON text.
#[derive(Clone, Debug)]
pub(crate) struct Scanner<'a> {
    text: &'a [u8],
    at: usize,
}

impl<'a> Scanner<'a> {
    /// A cursor at the start of `text`. What stands in double quotes is checked to be UTF-8, and
    /// nothing else can be beyond ASCII.
    pub(crate) const fn new(text: &'a [u8]) -> Self {
        Self { text, at: 0 }
    }

    /// Where it stands, in bytes.
    pub(crate) const fn position(&self) -> usize {
        self.at
    }

    /// The text between two positions.
    pub(crate) fn between(&self, start: usize, end: usize) -> &'a [u8] {
        self.text.get(start..end).unwrap_or_default()
    }

    /// Bytes behind it.
    pub(crate) const fn remaining(&self) -> usize {
        self.text.len().saturating_sub(self.at)
    }

    const fn error(&self, expected: &'static str) -> SyntaxError {
        SyntaxError {
            expected,
            offset: self.at,
        }
    }

    #[inline]
    fn byte(&self) -> Option<u8> {
        self.text.get(self.at).copied()
    }

    /// Skips white space and returns the byte behind it, without taking that.
    #[inline]
    pub(crate) fn peek(&mut self) -> Option<u8> {
        loop {
            match self.byte() {
                Some(b' ' | b'\n' | b'\t' | b'\r') => self.at += 1,
                other => return other,
            }
        }
    }

    /// Takes `byte` if it comes next.
    #[inline]
    pub(crate) fn take(&mut self, byte: u8) -> bool {
        if self.peek() == Some(byte) {
            self.at += 1;
            return true;
        }
        false
    }

    /// Takes `byte` or fails.
    #[inline]
    pub(crate) fn expect(&mut self, byte: u8, expected: &'static str) -> Result<(), SyntaxError> {
        if self.take(byte) {
            Ok(())
        } else {
            Err(self.error(expected))
        }
    }

    /// Only white space may be left.
    pub(crate) fn end(&mut self) -> Result<(), SyntaxError> {
        if self.peek().is_none() {
            Ok(())
        } else {
            Err(self.error("the end of the text"))
        }
    }

    /// Steps into a list or to its next item: `true` when there is one. `first` must be `true` on
    /// the first call, which then takes no comma.
    #[inline]
    pub(crate) fn item(&mut self, first: bool) -> Result<bool, SyntaxError> {
        if first {
            return Ok(!self.take(b']'));
        }
        match self.peek() {
            Some(b',') => {
                self.at += 1;
                Ok(true)
            }
            Some(b']') => {
                self.at += 1;
                Ok(false)
            }
            _ => Err(self.error("`,` or `]`")),
        }
    }

    /// The key of the next member of an object, with the colon taken, or `None` at its end. The key
    /// is as it stands in the text: see [`unescape`].
    #[inline]
    pub(crate) fn member(&mut self, first: bool) -> Result<Option<&'a [u8]>, SyntaxError> {
        match self.peek() {
            Some(b'}') => {
                self.at += 1;
                return Ok(None);
            }
            Some(b',') if !first => {
                self.at += 1;
                self.peek();
            }
            _ if first => {}
            _ => return Err(self.error("`,` or `}`")),
        }
        if self.byte() != Some(b'"') {
            return Err(self.error("a key in double quotes"));
        }
        let key = self.raw_text()?;
        self.expect(b':', "`:`")?;
        Ok(Some(key))
    }

    /// Reads the numbers up to the end of a list that was entered, where they are nothing but
    /// numbers that need no second look. `None`, with the position kept, where there is anything
    /// else or `push` refuses one: then the other methods must read the list.
    #[inline]
    pub(crate) fn plain_numbers(&mut self, mut push: impl FnMut(f64) -> bool) -> Option<usize> {
        let mut at = self.at;
        let mut count = 0;
        loop {
            // Python writes a space behind each comma, and nothing else.
            at += usize::from(self.text.get(at) == Some(&b' '));
            let (value, end) = number::read_float(self.text, at)?;
            if !push(value) {
                return None;
            }
            count += 1;
            at = end + 1;
            match self.text.get(end) {
                Some(b',') => {}
                Some(b']') => break,
                _ => return None,
            }
        }
        self.at = at;
        Some(count)
    }

    /// Reads rows of `width` plain numbers up to the first row that is anything else; the scanner
    /// stands before a row, and after the last one that was read. Gives their number.
    #[inline]
    pub(crate) fn number_rows<E: Element>(
        &mut self,
        width: usize,
        values: &mut Vec<E>,
        attempts: &mut Attempts,
    ) -> usize {
        if self.peek() != Some(b'[') {
            return 0;
        }
        let (rows, end) = matrix::read_rows(self.text, self.at, width, values, attempts);
        self.at = end;
        rows
    }

    /// The next scalar; a list or an object is announced, and not entered.
    #[inline]
    pub(crate) fn cell(&mut self) -> Result<Cell<'a>, SyntaxError> {
        match self.peek() {
            Some(b'0'..=b'9' | b'-') => Ok(Cell::Number(self.number()?)),
            Some(b'"') => {
                let start = self.at;
                let raw = self.raw_text()?;
                unescape(raw).map(Cell::Text).ok_or(SyntaxError {
                    expected: "valid escapes",
                    offset: start,
                })
            }
            Some(b'[') => Ok(Cell::List),
            Some(b'{') => Ok(Cell::Object),
            Some(b't') => self.literal("true", Cell::Bool(true)),
            Some(b'f') => self.literal("false", Cell::Bool(false)),
            Some(b'n') => self.literal("null", Cell::Null),
            Some(b'N') => self.literal("NaN", Cell::Number(Number::Float(f64::NAN))),
            Some(b'I') => self.literal("Infinity", Cell::Number(Number::Float(f64::INFINITY))),
            _ => Err(self.error("a value")),
        }
    }

    /// The number that comes next; the caller has seen its first byte.
    #[inline]
    pub(crate) fn number(&mut self) -> Result<Number, SyntaxError> {
        let rest = self.text.get(self.at..).unwrap_or_default();
        if let Some((number, length)) = number::read(rest) {
            self.at += length;
            return Ok(number);
        }
        if rest.starts_with(b"-Infinity") {
            self.at += "-Infinity".len();
            return Ok(Number::Float(f64::NEG_INFINITY));
        }
        Err(self.error("a number"))
    }

    fn literal(&mut self, word: &'static str, cell: Cell<'a>) -> Result<Cell<'a>, SyntaxError> {
        if self
            .text
            .get(self.at..)
            .is_some_and(|rest| rest.starts_with(word.as_bytes()))
        {
            self.at += word.len();
            return Ok(cell);
        }
        Err(self.error("a value"))
    }

    /// The text in double quotes that comes next, as it stands, without the quotes.
    fn raw_text(&mut self) -> Result<&'a [u8], SyntaxError> {
        let start = self.at + 1;
        let mut at = start;
        // Keys and names are short and plain: then this is all.
        while let Some(word) = self.text.get(at..).and_then(|rest| rest.first_chunk()) {
            let special = special_bytes(u64::from_le_bytes(*word));
            if special == 0 {
                at += 8;
                continue;
            }
            at += special.trailing_zeros() as usize / 8;
            if self.text[at] != b'"' {
                break;
            }
            self.at = at + 1;
            return Ok(&self.text[start..at]);
        }
        loop {
            let Some(step) = self
                .text
                .get(at..)
                .and_then(|rest| memchr::memchr2(b'"', b'\\', rest))
            else {
                return Err(self.error("a closing `\"`"));
            };
            at += step;
            if self.text[at] == b'"' {
                break;
            }
            at += 2;
        }
        let raw = &self.text[start..at];
        if raw.iter().any(|byte| *byte < 0x20) {
            return Err(self.error("text without control characters"));
        }
        if !raw.is_ascii() && std::str::from_utf8(raw).is_err() {
            return Err(self.error("text in UTF-8"));
        }
        self.at = at + 1;
        Ok(raw)
    }

    /// Steps over one value of any kind, checking its grammar.
    pub(crate) fn skip(&mut self) -> Result<(), SyntaxError> {
        // One entry for each open list (`false`) or object (`true`).
        let mut open: Vec<bool> = Vec::new();
        loop {
            match self.cell()? {
                Cell::List => {
                    self.at += 1;
                    if self.item(true)? {
                        self.open(&mut open, false)?;
                        continue;
                    }
                }
                Cell::Object => {
                    self.at += 1;
                    if self.member(true)?.is_some() {
                        self.open(&mut open, true)?;
                        continue;
                    }
                }
                _ => {}
            }
            if !self.close(&mut open)? {
                return Ok(());
            }
        }
    }

    fn open(&self, open: &mut Vec<bool>, object: bool) -> Result<(), SyntaxError> {
        if open.len() == DEPTH {
            return Err(self.error("fewer nested lists and objects"));
        }
        open.push(object);
        Ok(())
    }

    /// After a value: steps to the next one inside what is open. `false` when nothing is.
    fn close(&mut self, open: &mut Vec<bool>) -> Result<bool, SyntaxError> {
        while let Some(object) = open.last() {
            let more = if *object {
                self.member(false)?.is_some()
            } else {
                self.item(false)?
            };
            if more {
                return Ok(true);
            }
            open.pop();
        }
        Ok(false)
    }
}

/// The high bits of the bytes that end plain text in double quotes: quotes, backslashes, control
/// characters, and what is not ASCII. Right up to the first one, and zero where there is none.
#[inline]
const fn special_bytes(word: u64) -> u64 {
    const ONES: u64 = 0x0101_0101_0101_0101;
    let quotes = word ^ (ONES * b'"' as u64);
    let escapes = word ^ (ONES * b'\\' as u64);
    let zeros = quotes.wrapping_sub(ONES) & !quotes | escapes.wrapping_sub(ONES) & !escapes;
    let controls = word.wrapping_sub(ONES * 0x20) & !word;
    (zeros | controls | word) & (ONES * 0x80)
}

/// The text behind a raw key or value: escapes resolved. `None` when an escape is wrong. A lone
/// surrogate, which Python lets pass, becomes U+FFFD.
pub(crate) fn unescape(raw: &[u8]) -> Option<Cow<'_, str>> {
    if memchr::memchr(b'\\', raw).is_none() {
        return std::str::from_utf8(raw).ok().map(Cow::Borrowed);
    }
    let mut text = String::with_capacity(raw.len());
    let mut rest = raw;
    while let Some(at) = memchr::memchr(b'\\', rest) {
        text.push_str(std::str::from_utf8(&rest[..at]).ok()?);
        let (character, length) = escape(&rest[at + 1..])?;
        text.push(character);
        rest = &rest[at + 1 + length..];
    }
    text.push_str(std::str::from_utf8(rest).ok()?);
    Some(Cow::Owned(text))
}

/// The character of the escape behind a backslash, and the bytes that it took.
fn escape(rest: &[u8]) -> Option<(char, usize)> {
    let character = match rest.first()? {
        b'"' => '"',
        b'\\' => '\\',
        b'/' => '/',
        b'b' => '\u{8}',
        b'f' => '\u{c}',
        b'n' => '\n',
        b'r' => '\r',
        b't' => '\t',
        b'u' => {
            return unicode_escape(&rest[1..]).map(|(character, length)| (character, length + 1));
        }
        _ => return None,
    };
    Some((character, 1))
}

/// The character of `XXXX` or of `XXXX\uXXXX`, and the bytes that it took.
fn unicode_escape(rest: &[u8]) -> Option<(char, usize)> {
    let first = four_digits(rest)?;
    if (0xd800..0xdc00).contains(&first) && rest.get(4..6) == Some(b"\\u") {
        let second = four_digits(&rest[6..])?;
        if (0xdc00..0xe000).contains(&second) {
            let code = 0x1_0000 + ((first - 0xd800) << 10) + (second - 0xdc00);
            return char::from_u32(code).map(|character| (character, 10));
        }
    }
    Some((
        char::from_u32(first).unwrap_or(char::REPLACEMENT_CHARACTER),
        4,
    ))
}

fn four_digits(rest: &[u8]) -> Option<u32> {
    rest.get(..4)?.iter().try_fold(0, |code, byte| {
        Some(code << 4 | (*byte as char).to_digit(16)?)
    })
}

#[cfg(test)]
mod tests {
    use super::{Cell, Scanner, unescape};
    use proptest::prelude::*;

    fn skips(text: &str) -> bool {
        let mut scanner = Scanner::new(text.as_bytes());
        scanner.skip().is_ok() && scanner.end().is_ok()
    }

    #[test]
    fn valid_text_is_skipped_whole() {
        for text in [
            "[]",
            "{}",
            " [1, [2, {\"a\": null}], \"x\\\"y\"] ",
            "{\"a\":{\"b\":[true,false]},\"c\":-1.5e3}",
            "NaN",
            "[-Infinity]",
        ] {
            assert!(skips(text), "{text}");
        }
    }

    #[test]
    fn broken_text_is_refused() {
        for text in [
            "",
            "[",
            "[1",
            "[1,]",
            "[,1]",
            "{\"a\"}",
            "{\"a\":}",
            "{,}",
            "{\"a\":1,}",
            "{a:1}",
            "\"",
            "\"\\",
            "\"\n\"",
            "nul",
            "[1 2]",
            "]",
            "1 2",
        ] {
            assert!(!skips(text), "{text}");
        }
    }

    #[test]
    fn nesting_is_bounded() {
        assert!(skips(&("[".repeat(500) + &"]".repeat(500))));
        assert!(!skips(&("[".repeat(100_000) + &"]".repeat(100_000))));
    }

    #[test]
    fn escapes_are_resolved() {
        let text = |raw: &str| unescape(raw.as_bytes()).map(std::borrow::Cow::into_owned);
        assert_eq!(text("a\\n\\u00e9\\ud83d\\ude00").as_deref(), Some("a\né😀"));
        assert_eq!(text("\\ud83d!").as_deref(), Some("\u{fffd}!"));
        assert_eq!(text("\\x"), None);
        assert_eq!(text("\\u12"), None);
    }

    proptest! {
        #[test]
        fn agrees_with_serde_json_on_what_is_json(text in "[\\[\\]{}\",:0-9a-z.eE+\\- \\\\]{0,40}") {
            let ours = skips(&text);
            let theirs = serde_json::from_str::<serde_json::Value>(&text);
            // A number too large for a double is JSON; serde_json refuses it.
            if theirs.as_ref().is_err_and(|error| error.to_string().contains("out of range") || error.to_string().contains("surrogate")) {
                return Ok(());
            }
            prop_assert_eq!(ours, theirs.is_ok(), "{}", text);
        }

        #[test]
        fn special_bytes_are_found(word: [u8; 8], letters in "[a-z\"\\\\\n\x7f ]{8}") {
            for word in [&word, letters.as_bytes().first_chunk().unwrap()] {
                let first = word.iter().position(|byte| {
                    !(0x20..0x80).contains(byte) || matches!(byte, b'"' | b'\\')
                });
                let found = super::special_bytes(u64::from_le_bytes(*word));
                let at = (found != 0).then(|| found.trailing_zeros() as usize / 8);
                prop_assert_eq!(at, first);
            }
        }

        #[test]
        fn text_survives(value: String) {
            let body = serde_json::to_string(&value).unwrap();
            let mut scanner = Scanner::new(body.as_bytes());
            prop_assert_eq!(scanner.cell(), Ok(Cell::Text(value.into())));
        }
    }
}
