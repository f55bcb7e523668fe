//! Text to tokens: words, quoted texts, numbers, comparison signs, parentheses.

use crate::error::StoreError;

/// A token of a filter or an order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Token<'a> {
    /// Letters, digits and `_`.
    Word(&'a str),
    /// A number as it was written.
    Number(&'a str),
    /// Text in single quotes; a quote in it is written twice.
    Single(String),
    /// Text in double quotes or backticks: a value or an identifier.
    Quoted(String),
    /// `=`, `!=`, `<`, …
    Sign(&'a str),
    /// `.`
    Dot,
    /// `,`
    Comma,
    /// `(`
    Open,
    /// `)`
    Close,
}

/// A token and where it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Placed<'a> {
    /// The token.
    pub token: Token<'a>,
    /// Its first byte.
    pub start: usize,
    /// The byte behind it.
    pub end: usize,
}

/// The longest text that is read, in bytes.
const LONGEST: usize = 1 << 20;

/// The tokens of a text.
///
/// # Errors
/// When a quote is not closed, or a character has no meaning.
pub(super) fn tokens(text: &str) -> Result<Vec<Placed<'_>>, StoreError> {
    if text.len() > LONGEST {
        return Err(StoreError::invalid(format!(
            "The filter string is longer than {LONGEST} bytes"
        )));
    }
    let mut found: Vec<Placed<'_>> = Vec::new();
    let mut rest = text.trim_start();
    while let Some(first) = rest.chars().next() {
        let start = text.len() - rest.len();
        // Where a name or a closed parenthesis stands before it, `-` and `.` begin no number.
        let after_name = found.last().is_some_and(|last| {
            last.end == start
                && matches!(last.token, Token::Word(_) | Token::Quoted(_) | Token::Dot)
        });
        let (token, length) = token(rest, first, after_name).ok_or_else(|| {
            let character = text.get(..start).unwrap_or_default().chars().count() + 1;
            StoreError::invalid(format!(
                "Invalid clause(s) in filter string: '{}', from character {character} on. A key \
                 with other characters than letters, digits, '_' and '.' must be in backticks, and \
                 a text in quotes.",
                shown(rest)
            ))
        })?;
        let end = start + length;
        found.push(Placed { token, start, end });
        rest = text.get(end..).unwrap_or_default().trim_start();
    }
    Ok(found)
}

/// The beginning of a text, for a message.
pub(super) fn shown(text: &str) -> String {
    let mut shown: String = text.chars().take(60).collect();
    if shown.len() < text.len() {
        shown.push('…');
    }
    shown
}

fn token(rest: &str, first: char, after_name: bool) -> Option<(Token<'_>, usize)> {
    let simple = |token| Some((token, 1));
    match first {
        '(' => simple(Token::Open),
        ')' => simple(Token::Close),
        ',' => simple(Token::Comma),
        '\'' => {
            let (text, length) = quoted(rest, '\'')?;
            Some((Token::Single(text), length))
        }
        '"' | '`' => {
            let (text, length) = quoted(rest, first)?;
            Some((Token::Quoted(text), length))
        }
        '=' | '!' | '<' | '>' => {
            let length = rest
                .bytes()
                .take_while(|byte| matches!(byte, b'=' | b'!' | b'<' | b'>'))
                .count();
            Some((Token::Sign(&rest[..length]), length))
        }
        _ if !after_name && (first.is_ascii_digit() || matches!(first, '-' | '+' | '.')) => {
            let length = number(rest)?;
            Some((Token::Number(&rest[..length]), length))
        }
        '.' => simple(Token::Dot),
        _ if is_word(first) => {
            let length = rest.find(|other| !is_word(other)).unwrap_or(rest.len());
            Some((Token::Word(&rest[..length]), length))
        }
        _ => None,
    }
}

fn is_word(character: char) -> bool {
    character.is_alphanumeric() || character == '_'
}

/// The text between two quotes, and the length with both of them.
fn quoted(rest: &str, quote: char) -> Option<(String, usize)> {
    let mut text = String::new();
    let mut characters = rest.char_indices().skip(1).peekable();
    while let Some((position, character)) = characters.next() {
        if character != quote {
            text.push(character);
        } else if characters.peek().is_some_and(|(_, next)| *next == quote) {
            text.push(quote);
            characters.next();
        } else {
            return Some((text, position + quote.len_utf8()));
        }
    }
    None
}

/// The length of a number: a sign, digits, a fraction, an exponent.
fn number(rest: &str) -> Option<usize> {
    let bytes = rest.as_bytes();
    let digits = |from: usize| {
        bytes[from..]
            .iter()
            .take_while(|byte| byte.is_ascii_digit())
            .count()
    };
    let mut end = usize::from(matches!(bytes.first(), Some(b'-' | b'+')));
    let whole = digits(end);
    end += whole;
    let mut fraction = 0;
    if bytes.get(end) == Some(&b'.') {
        fraction = digits(end + 1);
        end += 1 + fraction;
    }
    if whole + fraction == 0 {
        return None;
    }
    if matches!(bytes.get(end), Some(b'e' | b'E')) {
        let sign = usize::from(matches!(bytes.get(end + 1), Some(b'-' | b'+')));
        let exponent = digits((end + 1 + sign).min(bytes.len()));
        if exponent > 0 {
            end += 1 + sign + exponent;
        }
    }
    Some(end)
}
