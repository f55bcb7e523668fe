//! What a scalar without quotes is to `PyYAML`: the resolver and the constructor of its `SafeLoader`, which
//! follow YAML 1.1. Times stay texts.

use serde_json::{Number, Value};

/// What a tag says that a scalar is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Scalar {
    Bool,
    Int,
    Float,
}

/// The value of a scalar without quotes and without a tag.
pub(super) fn plain(text: &str) -> Value {
    if is_null(text) {
        return Value::Null;
    }
    // What begins with another letter is none of them.
    if !text.starts_with(|first: char| first.is_ascii_digit() || "+-.yYnNtTfFoO".contains(first)) {
        return Value::from(text);
    }
    if let Some(flag) = boolean(text) {
        return Value::from(flag);
    }
    if let Some(value) = integer(text) {
        return value;
    }
    float(text).map_or_else(|| Value::from(text), float_value)
}

/// The value of a scalar whose tag says what it is; none when it is something else.
pub(super) fn tagged(text: &str, kind: Scalar) -> Option<Value> {
    match kind {
        Scalar::Bool => boolean(&text.to_ascii_lowercase()).map(Value::from),
        Scalar::Int => integer(text),
        Scalar::Float => {
            let number = float(text).or_else(|| text.replace('_', "").parse().ok());
            number.map(float_value)
        }
    }
}

/// Whether nothing, or a word for it, is written.
pub(super) fn is_null(text: &str) -> bool {
    matches!(text, "" | "~" | "null" | "Null" | "NULL")
}

fn boolean(text: &str) -> Option<bool> {
    match text {
        "yes" | "Yes" | "YES" | "true" | "True" | "TRUE" | "on" | "On" | "ON" => Some(true),
        "no" | "No" | "NO" | "false" | "False" | "FALSE" | "off" | "Off" | "OFF" => Some(false),
        _ => None,
    }
}

fn signed(text: &str) -> (bool, &str) {
    match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    }
}

/// A whole number: binary, octal, hexadecimal, decimal, or with `:` to the base of 60. Beyond 64 bits it is
/// kept as its digits.
fn integer(text: &str) -> Option<Value> {
    let (is_negative, rest) = signed(text);
    let plain = rest.replace('_', "");
    let only = |part: &str, digits: &str| {
        part.chars()
            .all(|digit| digit == '_' || digits.contains(digit))
    };
    let number = if let Some(digits) = rest.strip_prefix("0b") {
        only(digits, "01").then(|| i128::from_str_radix(&plain[2..], 2).ok())?
    } else if let Some(digits) = rest.strip_prefix("0x") {
        let are_hexadecimal = digits
            .chars()
            .all(|digit| digit == '_' || digit.is_ascii_hexdigit());
        are_hexadecimal.then(|| i128::from_str_radix(&plain[2..], 16).ok())?
    } else if rest == "0" {
        Some(0)
    } else if let Some(digits) = rest.strip_prefix('0') {
        (only(digits, "01234567") && !digits.is_empty())
            .then(|| i128::from_str_radix(&plain, 8).ok())?
    } else {
        let (head, sixtieths) = parts(rest);
        let is_whole = head.starts_with(|first: char| ('1'..='9').contains(&first));
        if !is_whole || !only(head, "0123456789") || !sixtieths.iter().all(|part| is_sixtieth(part))
        {
            return None;
        }
        if sixtieths.is_empty() && plain.len() > 38 {
            let sign = if is_negative { "-" } else { "" };
            return Some(Value::from(format!("{sign}{plain}")));
        }
        plain.split(':').try_fold(0_i128, |number, part| {
            number.checked_mul(60)?.checked_add(part.parse().ok()?)
        })
    }?;
    Some(integer_value(if is_negative { -number } else { number }))
}

fn integer_value(number: i128) -> Value {
    match (i64::try_from(number), u64::try_from(number)) {
        (Ok(number), _) => Value::from(number),
        (_, Ok(number)) => Value::from(number),
        _ => Value::from(number.to_string()),
    }
}

/// What stands before the first `:`, and between those that follow.
fn parts(text: &str) -> (&str, Vec<&str>) {
    let mut parts = text.split(':');
    let head = parts.next().unwrap_or_default();
    // More than any number has, and not worth looking at.
    (head, parts.take(100).collect())
}

/// `[0-5]?[0-9]`
fn is_sixtieth(text: &str) -> bool {
    match text.as_bytes() {
        [last] | [b'0'..=b'5', last] => last.is_ascii_digit(),
        _ => false,
    }
}

/// A number with a point.
fn float(text: &str) -> Option<f64> {
    let (is_negative, rest) = signed(text);
    let sign = if is_negative { -1.0 } else { 1.0 };
    match rest {
        ".inf" | ".Inf" | ".INF" => return Some(sign * f64::INFINITY),
        ".nan" | ".NaN" | ".NAN" if rest == text => return Some(f64::NAN),
        _ => {}
    }
    // A sign and no digit before the point is no number.
    if rest.starts_with('.') && rest != text {
        return None;
    }
    let (whole, fraction) = rest.split_once('.')?;
    let (fraction, exponent) = match fraction.find(['e', 'E']) {
        Some(place) => (&fraction[..place], Some(&fraction[place + 1..])),
        None => (fraction, None),
    };
    let (head, sixtieths) = parts(whole);
    let are_digits = |part: &str| {
        part.chars()
            .all(|digit| digit == '_' || digit.is_ascii_digit())
    };
    let begins = |part: &str| part.starts_with(|first: char| first.is_ascii_digit());
    let has_digits = if head.is_empty() {
        begins(fraction)
    } else {
        begins(head)
    };
    let is_exponent = exponent.is_none_or(|exponent| {
        let digits = exponent.strip_prefix(['+', '-']).unwrap_or_default();
        !digits.is_empty() && digits.bytes().all(|digit| digit.is_ascii_digit())
    });
    if !has_digits || !are_digits(head) || !are_digits(fraction) || !is_exponent {
        return None;
    }
    if sixtieths.is_empty() {
        return Some(sign * rest.replace('_', "").parse::<f64>().ok()?);
    }
    if exponent.is_some() || !sixtieths.iter().all(|part| is_sixtieth(part)) {
        return None;
    }
    let mut factor = 1.0;
    let mut sum = 0.0;
    // The last part first, with what follows the point, as `PyYAML` adds them.
    for part in rest.replace('_', "").split(':').rev() {
        sum += part.parse::<f64>().ok()? * factor;
        factor *= 60.0;
    }
    Some(sign * sum)
}

/// JSON has no infinities and no NaN: they become the texts that YAML has for them.
fn float_value(number: f64) -> Value {
    Number::from_f64(number).map_or_else(|| Value::from(not_finite_text(number)), Value::Number)
}

fn not_finite_text(number: f64) -> &'static str {
    if number.is_nan() {
        ".nan"
    } else if number > 0.0 {
        ".inf"
    } else {
        "-.inf"
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// What `yaml.safe_load` of `PyYAML` 6.0.4 makes of each.
    #[test]
    fn scalars_are_what_pyyaml_makes_of_them() {
        for (text, expected) in [
            ("yes", json!(true)),
            ("NO", json!(false)),
            ("On", json!(true)),
            ("y", json!("y")),
            ("n", json!("n")),
            ("tRue", json!("tRue")),
            ("~", json!(null)),
            ("nULL", json!("nULL")),
            ("0", json!(0)),
            ("-0", json!(0)),
            ("+12", json!(12)),
            ("00", json!(0)),
            ("007", json!(7)),
            ("010", json!(8)),
            ("08", json!("08")),
            ("0o17", json!("0o17")),
            ("0x1F", json!(31)),
            ("-0x1f", json!(-31)),
            ("0X1F", json!("0X1F")),
            ("0b101", json!(5)),
            ("0b_", json!("0b_")),
            ("1_000", json!(1000)),
            ("1__0", json!(10)),
            ("_1", json!("_1")),
            ("1:30", json!(90)),
            ("1:30:15", json!(5415)),
            ("12:60", json!("12:60")),
            ("01:30", json!("01:30")),
            ("190:20:30.15", json!(685_230.15)),
            ("1e5", json!("1e5")),
            ("1.0e5", json!("1.0e5")),
            ("1.0e+5", json!(100_000.0)),
            ("1.5e-7", json!(1.5e-7)),
            ("5.", json!(5.0)),
            (".5", json!(0.5)),
            ("-.5", json!("-.5")),
            (".", json!(".")),
            ("._5", json!("._5")),
            ("1_0.5", json!(10.5)),
            ("1.2.3", json!("1.2.3")),
            ("-0.0", json!(-0.0)),
            (".inf", json!(".inf")),
            ("+.inf", json!(".inf")),
            ("-.INF", json!("-.inf")),
            (".NaN", json!(".nan")),
            ("-.nan", json!("-.nan")),
            ("nan", json!("nan")),
            ("1.0e+400", json!(".inf")),
            (
                "12345678901234567890",
                json!(12_345_678_901_234_567_890_u64),
            ),
            ("-9223372036854775809", json!("-9223372036854775809")),
            (
                "+123_456789012345678901234567890",
                json!("123456789012345678901234567890"),
            ),
            ("2024-01-02", json!("2024-01-02")),
            ("-", json!("-")),
            ("+", json!("+")),
            ("3.10", json!(3.10)),
        ] {
            assert_eq!(plain(text), expected, "{text}");
        }
    }

    #[test]
    fn long_numbers_are_read_without_end() {
        let digits = "9".repeat(100_000);
        assert_eq!(plain(&digits), json!(digits));
        assert_eq!(plain(&format!("0x{digits}")), json!(format!("0x{digits}")));
        let sixtieths = format!("1{}", ":00".repeat(100_000));
        assert_eq!(plain(&sixtieths), json!(sixtieths));
    }
}
