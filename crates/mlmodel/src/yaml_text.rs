//! YAML out: block style, keys sorted, as `yaml.safe_dump` lays it out.
//!
//! A text is written without quotes only where every YAML reads it as a text: YAML 1.1, which
//! MLflow's `PyYAML` speaks, takes `yes`, `1:30` and `2024-01-01` for other things.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde_json::{Map, Value};

/// The text of a map, ending in a newline.
pub(crate) fn write_map(map: &Map<String, Value>) -> String {
    let mut out = String::new();
    if map.is_empty() {
        out.push_str("{}\n");
    } else {
        block_map(&mut out, map, 0, false);
    }
    out
}

/// `inline`: the first line continues one that is already indented (`- key: …`).
fn block_map(out: &mut String, map: &Map<String, Value>, indent: usize, inline: bool) {
    let sorted: BTreeMap<&String, &Value> = map.iter().collect();
    for (index, (key, value)) in sorted.into_iter().enumerate() {
        if index > 0 || !inline {
            pad(out, indent);
        }
        write_text(out, key);
        out.push(':');
        match value {
            Value::Object(inner) if !inner.is_empty() => {
                out.push('\n');
                block_map(out, inner, indent + 2, false);
            }
            Value::Array(inner) if !inner.is_empty() => {
                out.push('\n');
                block_list(out, inner, indent, false);
            }
            scalar => {
                out.push(' ');
                write_scalar(out, scalar);
            }
        }
    }
}

fn block_list(out: &mut String, list: &[Value], indent: usize, inline: bool) {
    for (index, value) in list.iter().enumerate() {
        if index > 0 || !inline {
            pad(out, indent);
        }
        out.push_str("- ");
        match value {
            Value::Object(inner) if !inner.is_empty() => block_map(out, inner, indent + 2, true),
            Value::Array(inner) if !inner.is_empty() => block_list(out, inner, indent + 2, true),
            scalar => write_scalar(out, scalar),
        }
    }
}

fn pad(out: &mut String, indent: usize) {
    out.extend(std::iter::repeat_n(' ', indent));
}

fn write_scalar(out: &mut String, value: &Value) {
    match value {
        Value::Null => out.push_str("null"),
        Value::Bool(flag) => out.push_str(if *flag { "true" } else { "false" }),
        Value::Number(number) => out.push_str(&number_text(&number.to_string())),
        Value::String(text) if is_not_finite(text) => out.push_str(text),
        Value::String(text) => write_text(out, text),
        Value::Array(_) => out.push_str("[]"),
        Value::Object(_) => out.push_str("{}"),
    }
    out.push('\n');
}

/// The reader keeps these numbers as texts, because JSON lacks them.
fn is_not_finite(text: &str) -> bool {
    matches!(text, ".nan" | ".inf" | "-.inf")
}

/// YAML 1.1 wants a point and a signed exponent in a real number: `1.0e+16`.
fn number_text(json: &str) -> String {
    let Some((mantissa, exponent)) = json.split_once(['e', 'E']) else {
        return json.to_owned();
    };
    let point = if mantissa.contains('.') { "" } else { ".0" };
    let sign = if exponent.starts_with(['-', '+']) {
        ""
    } else {
        "+"
    };
    format!("{mantissa}{point}e{sign}{exponent}")
}

fn write_text(out: &mut String, text: &str) {
    if is_plain(text) {
        out.push_str(text);
    } else if text.chars().all(is_quotable) {
        let _ = write!(out, "'{}'", text.replace('\'', "''"));
    } else {
        write_escaped(out, text);
    }
}

/// Whether both YAML 1.1 and 1.2 read the bare text as that text.
fn is_plain(text: &str) -> bool {
    let Some(first) = text.bytes().next() else {
        return false;
    };
    let word = text
        .bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || b"_./-+@=,() ".contains(&byte) || byte == b':');
    let spaced = text.ends_with([' ', ':']) || text.contains(": ");
    let start = first.is_ascii_alphabetic()
        || first == b'_'
        || first == b'/'
        || (first.is_ascii_digit() && never_a_number(text));
    word && !spaced && start && !means_something(text)
}

fn means_something(text: &str) -> bool {
    const WORDS: [&str; 11] = [
        "y", "n", "yes", "no", "on", "off", "true", "false", "null", "nan", "inf",
    ];
    WORDS.iter().any(|word| text.eq_ignore_ascii_case(word))
}

/// For a text that begins with a digit: versions (`3.11.7`) and hexadecimal ids.
fn never_a_number(text: &str) -> bool {
    let version = text
        .bytes()
        .all(|byte| byte.is_ascii_digit() || byte == b'.')
        && text.bytes().filter(|byte| *byte == b'.').count() > 1;
    let id = text.bytes().all(|byte| byte.is_ascii_alphanumeric())
        && text
            .bytes()
            .any(|byte| byte.is_ascii_alphabetic() && !b"eExXoObB".contains(&byte))
        && !text[1..].starts_with(['x', 'X', 'o', 'O', 'b', 'B']);
    version || id
}

/// Whether a character may stand in single quotes on one line.
fn is_quotable(character: char) -> bool {
    matches!(character, ' '..='~' | '\u{a0}'..='\u{d7ff}' | '\u{e000}'..='\u{fffd}' | '\u{10000}'..)
        && !matches!(character, '\u{feff}' | '\u{2028}' | '\u{2029}')
}

fn write_escaped(out: &mut String, text: &str) {
    out.push('"');
    for character in text.chars() {
        match character {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\t' => out.push_str("\\t"),
            '\r' => out.push_str("\\r"),
            printable if is_quotable(printable) => out.push(printable),
            other => write_code(out, u32::from(other)),
        }
    }
    out.push('"');
}

fn write_code(out: &mut String, code: u32) {
    let _ = match code {
        0..=0xff => write!(out, "\\x{code:02x}"),
        0x100..=0xffff => write!(out, "\\u{code:04x}"),
        _ => write!(out, "\\U{code:08x}"),
    };
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn texts_that_mean_something_elsewhere_are_quoted() {
        for text in [
            "",
            "yes",
            "No",
            "ON",
            "null",
            "~",
            "1:30",
            "2024-01-01",
            "1_000",
            "010",
            "0x1f",
            "1e5",
            "1.5",
            "12e03",
            "-",
            "- a",
            "a: b",
            "a:",
            "a #b",
            "*x",
            "&x",
            "!x",
            "%x",
            "@x",
            "[a",
            "{a",
            ".5",
            "=",
            "<<",
            " a",
            "a ",
            "it's",
        ] {
            let mut out = String::new();
            write_text(&mut out, text);
            assert!(out.starts_with('\''), "{text:?} became {out}");
        }
    }

    #[test]
    fn common_texts_are_plain() {
        for text in [
            "model.onnx",
            "3.11.7",
            "707dcc0b",
            "mlflow-artifacts:/1/m",
            "/a/b",
            "m-12",
            "a b",
        ] {
            assert!(is_plain(text), "{text}");
        }
    }

    #[test]
    fn layout_is_that_of_safe_dump() {
        let value = json!({"b": [1, [2, 3], {"z": 1, "x": []}], "a": {"k": {}}, "f": 1e-7, "g": 1e16, "s": "x\ny"});
        let text = write_map(value.as_object().unwrap());
        let expected = "a:\n  k: {}\nb:\n- 1\n- - 2\n  - 3\n- x: []\n  z: 1\nf: 1.0e-7\ng: 1.0e+16\ns: \"x\\ny\"\n";
        assert_eq!(text, expected);
    }
}
