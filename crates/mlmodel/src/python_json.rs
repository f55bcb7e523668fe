//! JSON as Python's `json.dumps` spells it: a space after `:` and `,`, ASCII only.

use std::fmt::Write as _;

use serde_json::Value;

/// The text of a value on one line.
pub(crate) fn write(value: &Value) -> String {
    let mut text = String::new();
    write_value(&mut text, value, false);
    text
}

/// The text of a value with `indent=2`.
pub(crate) fn write_indented(value: &Value) -> String {
    let mut text = String::new();
    indented(&mut text, value, 0);
    text
}

/// `real`: the texts stand for numbers, so `NaN` is spelled without quotes, as Python does.
pub(crate) fn write_value(out: &mut String, value: &Value, real: bool) {
    match value {
        Value::String(text) if real && not_finite(text) => out.push_str(text),
        Value::String(text) => write_text(out, text),
        Value::Array(values) => {
            out.push('[');
            for (index, value) in values.iter().enumerate() {
                out.push_str(if index == 0 { "" } else { ", " });
                write_value(out, value, real);
            }
            out.push(']');
        }
        Value::Object(map) => {
            out.push('{');
            for (index, (key, value)) in map.iter().enumerate() {
                out.push_str(if index == 0 { "" } else { ", " });
                write_text(out, key);
                out.push_str(": ");
                write_value(out, value, real);
            }
            out.push('}');
        }
        scalar => {
            let _ = write!(out, "{scalar}");
        }
    }
}

fn indented(out: &mut String, value: &Value, depth: usize) {
    let line = |out: &mut String, index: usize| {
        out.push_str(if index == 0 { "\n" } else { ",\n" });
        out.extend(std::iter::repeat_n("  ", depth + 1));
    };
    let end = |out: &mut String, bracket: char| {
        out.push('\n');
        out.extend(std::iter::repeat_n("  ", depth));
        out.push(bracket);
    };
    match value {
        Value::Array(values) if !values.is_empty() => {
            out.push('[');
            for (index, value) in values.iter().enumerate() {
                line(out, index);
                indented(out, value, depth + 1);
            }
            end(out, ']');
        }
        Value::Object(map) if !map.is_empty() => {
            out.push('{');
            for (index, (key, value)) in map.iter().enumerate() {
                line(out, index);
                write_text(out, key);
                out.push_str(": ");
                indented(out, value, depth + 1);
            }
            end(out, '}');
        }
        flat => write_value(out, flat, false),
    }
}

pub(crate) fn write_text(out: &mut String, text: &str) {
    let mut units = [0_u16; 2];
    for character in Value::from(text).to_string().chars() {
        if character.is_ascii() && character != '\u{7f}' {
            out.push(character);
            continue;
        }
        for unit in character.encode_utf16(&mut units) {
            let _ = write!(out, "\\u{unit:04x}");
        }
    }
}

/// The texts that stand for numbers that JSON lacks; Python writes them without quotes.
pub(crate) fn not_finite(text: &str) -> bool {
    matches!(text, "NaN" | "Infinity" | "-Infinity")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn indented_as_python_does() {
        let value = json!({"a": [1, 2.0, []], "ü": {}, "b": {"c": null, "d": [[true]]}});
        let expected = "{\n  \"a\": [\n    1,\n    2.0,\n    []\n  ],\n  \"\\u00fc\": {},\n  \"b\": {\n    \
                        \"c\": null,\n    \"d\": [\n      [\n        true\n      ]\n    ]\n  }\n}";
        assert_eq!(write_indented(&value), expected);
        assert_eq!(write(&json!({"a": [1, "b"]})), r#"{"a": [1, "b"]}"#);
    }
}
