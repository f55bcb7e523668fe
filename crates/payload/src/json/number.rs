//! Numbers in JSON text, read in one pass.
//!
//! Short numbers are exact in one multiplication or division (Clinger 1990), longer ones take the
//! product of `decimal`, and what is left goes to `fast-float2`. Integers stay integers, so that none loses a digit on its way to an `int64`.

/// A number as JSON writes it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Number {
    /// An integer literal that fits.
    Integer(i64),
    /// An integer literal above `i64::MAX` that fits.
    Unsigned(u64),
    /// An integer literal beyond 64 bits, by its nearest double.
    Huge(f64),
    /// A literal with a fraction or an exponent, or `NaN`, `Infinity`, `-Infinity`.
    Float(f64),
    /// A literal with a fraction or an exponent that is too large for a double; negative or not.
    Overflow(bool),
}

impl Number {
    /// The nearest double.
    #[inline]
    pub(crate) fn to_f64(self) -> f64 {
        match self {
            Self::Integer(value) => value as f64,
            Self::Unsigned(value) => value as f64,
            Self::Huge(value) | Self::Float(value) => value,
            Self::Overflow(negative) => {
                if negative {
                    f64::NEG_INFINITY
                } else {
                    f64::INFINITY
                }
            }
        }
    }
}

use super::decimal;

/// Powers of ten that a double holds exactly.
const POWERS: [f64; 23] = [
    1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16,
    1e17, 1e18, 1e19, 1e20, 1e21, 1e22,
];

/// Digits that a `u64` certainly holds.
pub(super) const SAFE_DIGITS: usize = 19;

/// Reads the number at the start of `text`, which begins with a digit or a minus sign, by the
/// grammar of RFC 8259. Returns it with its length in bytes, or `None` when it breaks the grammar.
#[inline]
pub(crate) fn read(text: &[u8]) -> Option<(Number, usize)> {
    let negative = text.first() == Some(&b'-');
    let start = usize::from(negative);
    let mut mantissa = 0u64;
    let mut at = digits(text, start, &mut mantissa);
    let integer_digits = at - start;
    if integer_digits == 0 || (integer_digits > 1 && text[start] == b'0') {
        return None;
    }
    let mut fraction_digits = 0;
    if text.get(at) == Some(&b'.') {
        let end = digits(text, at + 1, &mut mantissa);
        fraction_digits = end - at - 1;
        if fraction_digits == 0 {
            return None;
        }
        at = end;
    }
    let mut exponent = 0i32;
    let has_exponent = matches!(text.get(at), Some(b'e' | b'E'));
    if has_exponent {
        (exponent, at) = read_exponent(text, at + 1)?;
    }
    if fraction_digits == 0 && !has_exponent {
        return Some((integer(&text[..at], negative, mantissa, integer_digits), at));
    }
    if integer_digits + fraction_digits <= SAFE_DIGITS {
        let power = exponent - fraction_digits as i32;
        if let Some(value) = exact(mantissa, power).or_else(|| decimal::nearest(mantissa, power)) {
            return Some((Number::Float(if negative { -value } else { value }), at));
        }
    }
    Some((float(&text[..at], negative), at))
}

/// `mantissa × 10^power` where that takes one correctly rounded operation.
#[inline]
fn exact(mantissa: u64, power: i32) -> Option<f64> {
    if mantissa > 1 << 53 {
        return None;
    }
    match power {
        0..=22 => Some(mantissa as f64 * POWERS[power as usize]),
        -22..=-1 => Some(mantissa as f64 / POWERS[-power as usize]),
        _ => None,
    }
}

/// The general case, by the library.
#[cold]
fn slow(text: &[u8]) -> f64 {
    fast_float2::parse(text).unwrap_or(f64::NAN)
}

#[inline]
fn float(text: &[u8], negative: bool) -> Number {
    let value = fast_float2::parse::<f64, _>(text).unwrap_or(f64::NAN);
    if value.is_infinite() {
        Number::Overflow(negative)
    } else {
        Number::Float(value)
    }
}

#[inline]
fn integer(text: &[u8], negative: bool, mantissa: u64, digits: usize) -> Number {
    if digits < SAFE_DIGITS {
        let value = mantissa as i64;
        return Number::Integer(if negative { -value } else { value });
    }
    wide_integer(text)
}

/// An integer literal of 19 digits or more.
#[cold]
fn wide_integer(text: &[u8]) -> Number {
    let literal = std::str::from_utf8(text).unwrap_or_default();
    if let Ok(value) = literal.parse::<i64>() {
        return Number::Integer(value);
    }
    if let Ok(value) = literal.parse::<u64>() {
        return Number::Unsigned(value);
    }
    Number::Huge(slow(text))
}

/// Adds the digits at `at` to `mantissa` (wrapping: the caller counts them) and returns where they
/// end. Eight at a time, and the last few in one step, too: how many there are is hard to predict.
#[inline]
fn digits(text: &[u8], mut at: usize, mantissa: &mut u64) -> usize {
    while let Some(chunk) = text.get(at..).and_then(|rest| rest.first_chunk::<8>()) {
        let values = digit_values(u64::from_le_bytes(*chunk));
        let count = others_than_digits(values).trailing_zeros() / 8;
        if count == 8 {
            *mantissa = mantissa
                .wrapping_mul(100_000_000)
                .wrapping_add(eight_digits(values));
            at += 8;
            continue;
        }
        // What is not taken is moved out; zeros come in before the first digit.
        let taken = values << (56 - 8 * count) << 8;
        let power = TENS[count as usize];
        *mantissa = mantissa
            .wrapping_mul(power)
            .wrapping_add(eight_digits(taken));
        return at + count as usize;
    }
    while let Some(digit) = digit(text, at) {
        *mantissa = mantissa.wrapping_mul(10).wrapping_add(digit);
        at += 1;
    }
    at
}

/// Powers of ten up to the seventh.
const TENS: [u64; 8] = [1, 10, 100, 1000, 10_000, 100_000, 1_000_000, 10_000_000];

/// The values of eight digits, where they are digits.
#[inline]
pub(super) const fn digit_values(text: u64) -> u64 {
    text ^ 0x3030_3030_3030_3030
}

/// The high bits of the bytes that are beyond nine: right up to the first one, and zero where there
/// is none.
#[inline]
pub(super) const fn others_than_digits(values: u64) -> u64 {
    (values.wrapping_add(0x7676_7676_7676_7676) | values) & 0x8080_8080_8080_8080
}

/// The number of eight digits, each the value of one byte, the first digit in the lowest one.
#[inline]
pub(super) const fn eight_digits(values: u64) -> u64 {
    let pairs = values.wrapping_mul(10).wrapping_add(values >> 8);
    let first = (pairs & 0x0000_00ff_0000_00ff).wrapping_mul(0x000f_4240_0000_0064);
    let second = ((pairs >> 16) & 0x0000_00ff_0000_00ff).wrapping_mul(0x0000_2710_0000_0001);
    first.wrapping_add(second) >> 32
}

/// Reads a number as a double, where that takes no second look: at most 19 digits, and an exponent
/// that one of the quick methods settles. `None` for everything else, which [`read`] can do.
#[inline]
pub(crate) fn read_float(text: &[u8], start: usize) -> Option<(f64, usize)> {
    let negative = text.get(start) == Some(&b'-');
    let first = start + usize::from(negative);
    let mut mantissa = 0u64;
    let mut at = first;
    // Few numbers have eight digits before the point.
    while let Some(digit) = digit(text, at) {
        mantissa = mantissa.wrapping_mul(10).wrapping_add(digit);
        at += 1;
    }
    let mut count = at - first;
    if count == 0 || (count > 1 && text[first] == b'0') {
        return None;
    }
    let mut power = 0;
    if text.get(at) == Some(&b'.') {
        let end = digits(text, at + 1, &mut mantissa);
        power = at as i32 + 1 - end as i32;
        if power == 0 {
            return None;
        }
        count += end - at - 1;
        at = end;
    }
    if matches!(text.get(at), Some(b'e' | b'E')) {
        let (exponent, end) = read_exponent(text, at + 1)?;
        power += exponent;
        at = end;
    }
    if count > SAFE_DIGITS {
        return None;
    }
    // By the number of digits, not by the value: that is the same for most numbers of a payload.
    let value = if count <= 15 {
        exact(mantissa, power).or_else(|| decimal::nearest(mantissa, power))?
    } else {
        decimal::nearest(mantissa, power)?
    };
    Some((if negative { -value } else { value }, at))
}

#[inline]
fn digit(text: &[u8], at: usize) -> Option<u64> {
    let digit = text.get(at)?.wrapping_sub(b'0');
    (digit < 10).then_some(u64::from(digit))
}

/// Reads the digits of an exponent; returns its value, cut off far outside the range of a double.
fn read_exponent(text: &[u8], mut at: usize) -> Option<(i32, usize)> {
    let negative = text.get(at) == Some(&b'-');
    if matches!(text.get(at), Some(b'-' | b'+')) {
        at += 1;
    }
    let start = at;
    let mut value = 0i32;
    while let Some(digit) = text
        .get(at)
        .map(|byte| byte.wrapping_sub(b'0'))
        .filter(|digit| *digit < 10)
    {
        value = (value * 10 + i32::from(digit)).min(100_000);
        at += 1;
    }
    (at > start).then_some((if negative { -value } else { value }, at))
}

#[cfg(test)]
mod tests {
    use super::{Number, read};
    use proptest::prelude::*;

    fn whole(text: &str) -> Option<Number> {
        read(text.as_bytes())
            .filter(|(_, length)| *length == text.len())
            .map(|(number, _)| number)
    }

    #[test]
    fn integers_keep_every_digit() {
        assert_eq!(whole("0"), Some(Number::Integer(0)));
        assert_eq!(whole("-0"), Some(Number::Integer(0)));
        assert_eq!(
            whole("9223372036854775807"),
            Some(Number::Integer(i64::MAX))
        );
        assert_eq!(
            whole("-9223372036854775808"),
            Some(Number::Integer(i64::MIN))
        );
        assert_eq!(
            whole("18446744073709551615"),
            Some(Number::Unsigned(u64::MAX))
        );
        assert_eq!(whole("100000000000000000000"), Some(Number::Huge(1e20)));
    }

    #[test]
    fn floats_are_correctly_rounded() {
        for text in [
            "0.1",
            "1e3",
            "1E-7",
            "-2.5",
            "0.5488135039273248",
            "1.7976931348623157e308",
            "5e-324",
            "0.0",
        ] {
            assert_eq!(
                whole(text),
                Some(Number::Float(text.parse().unwrap())),
                "{text}"
            );
        }
        assert_eq!(whole("1e400"), Some(Number::Overflow(false)));
        assert_eq!(whole("-1e400"), Some(Number::Overflow(true)));
    }

    #[test]
    fn what_json_does_not_allow_is_refused() {
        for text in [
            "-", "01", "1.", "1.e3", ".5", "1e", "1e+", "+1", "--1", "0x1",
        ] {
            assert_eq!(whole(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn any_double_survives(bits: u64) {
            let value = f64::from_bits(bits);
            prop_assume!(value.is_finite());
            for text in [format!("{value:?}"), format!("{value:e}"), format!("{value}")] {
                prop_assert_eq!(whole(&text).map(Number::to_f64), Some(value), "{}", text);
            }
        }

        #[test]
        fn the_quick_way_agrees_where_it_answers(text in "-?(0|[1-9][0-9]{0,20})(\\.[0-9]{1,20})?([eE][-+]?[0-9]{1,2})?") {
            if let Some((value, length)) = super::read_float(text.as_bytes(), 0) {
                prop_assert_eq!(length, text.len());
                let expected: f64 = text.parse().unwrap();
                prop_assert_eq!(value.to_bits(), expected.to_bits(), "{}", text);
            }
        }

        #[test]
        fn decimal_text_reads_as_the_standard_library_reads_it(text in "-?(0|[1-9][0-9]{0,24})(\\.[0-9]{1,24})?([eE][-+]?[0-9]{1,3})?") {
            let expected: f64 = text.parse().unwrap();
            prop_assert_eq!(whole(&text).map(Number::to_f64), Some(expected + 0.0), "{}", text);
        }
    }
}
