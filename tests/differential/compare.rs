//! Whether two answers say the same.
//!
//! Statuses and error codes are equal, predictions have the same structure, keys, types and
//! values. Wording is not compared: MLflow's messages embed Python's representations.

use std::fmt::Write as _;

use serde_json::Value;

use crate::corpus::Answer;

/// Relative error that kernels of single precision may have from different orders of summation.
const RELATIVE: f64 = 1e-5;
/// Absolute error below which two probabilities are the same.
const ABSOLUTE: f64 = 1e-7;

/// What differs between MLflow's answer and ours; `None` when nothing does.
pub fn difference(mlflow: &Answer, mlrs: &Answer, exact: bool) -> Option<String> {
    if mlflow.status != mlrs.status {
        let said = short(&mlrs.body);
        let theirs = short(&mlflow.body);
        return Some(format!(
            "status {} where MLflow says {}\n      mlrs:   {said}\n      mlflow: {theirs}",
            mlrs.status, mlflow.status
        ));
    }
    let (theirs, ours) = match (parse(&mlflow.body), parse(&mlrs.body)) {
        (Some(theirs), Some(ours)) => (theirs, ours),
        (None, _) => return None,
        (Some(_), None) => return Some(format!("not JSON: {}", short(&mlrs.body))),
    };
    if mlflow.status == 200 {
        return value_difference(&theirs, &ours, exact, "$");
    }
    // Which of two faults of a body is found first decides between these; both are the client's.
    let clients = |code: Option<&Value>| {
        matches!(
            code.and_then(Value::as_str),
            Some("BAD_REQUEST" | "INVALID_PARAMETER_VALUE")
        )
    };
    match (theirs.get("error_code"), ours.get("error_code")) {
        (theirs, ours) if clients(theirs) && clients(ours) => None,
        (Some(theirs), ours) if Some(theirs) != ours => Some(format!(
            "error_code {} where MLflow says {theirs}\n      mlrs:   {}\n      mlflow: {}",
            ours.unwrap_or(&Value::Null),
            short(&mlrs.body),
            short(&mlflow.body),
        )),
        _ => None,
    }
}

/// The start of a body, without the stack trace that MLflow may send.
pub fn short(body: &str) -> String {
    let message = parse(body).and_then(|value| {
        let code = value.get("error_code")?.as_str()?.to_owned();
        let message = value.get("message")?.as_str()?.to_owned();
        let cause = value
            .get("stack_trace")
            .and_then(Value::as_str)
            .unwrap_or_default();
        let cause = cause.trim().lines().last().unwrap_or_default().to_owned();
        Some(format!("{code}: {message} {cause}"))
    });
    let text = message.unwrap_or_else(|| body.to_owned());
    text.replace('\n', " ").chars().take(300).collect()
}

/// Parses JSON with Python's additions: the literals `NaN`, `Infinity` and `-Infinity` become
/// strings that no model answers.
pub fn parse(body: &str) -> Option<Value> {
    let mut plain = String::with_capacity(body.len());
    let mut rest = body;
    let mut in_string = false;
    while let Some(character) = rest.chars().next() {
        let literal = ["NaN", "Infinity", "-Infinity"]
            .into_iter()
            .find(|literal| !in_string && rest.starts_with(literal));
        let taken = match (literal, character) {
            (Some(literal), _) => {
                let _ = write!(plain, "\"\\u0000{literal}\"");
                literal.len()
            }
            (None, '\\') if in_string => {
                let escaped = 1 + rest[1..].chars().next().map_or(0, char::len_utf8);
                plain.push_str(&rest[..escaped]);
                escaped
            }
            (None, _) => {
                in_string ^= character == '"';
                plain.push(character);
                character.len_utf8()
            }
        };
        rest = &rest[taken..];
    }
    serde_json::from_str(&plain).ok()
}

/// The first place where two values differ.
fn value_difference(theirs: &Value, ours: &Value, exact: bool, path: &str) -> Option<String> {
    match (theirs, ours) {
        (Value::Object(theirs), Value::Object(ours)) => {
            let names: Vec<_> = theirs.keys().collect();
            let our_names: Vec<_> = ours.keys().collect();
            if names != our_names {
                return Some(format!(
                    "{path} has keys {our_names:?} where MLflow has {names:?}"
                ));
            }
            theirs.iter().find_map(|(name, value)| {
                value_difference(value, &ours[name], exact, &format!("{path}.{name}"))
            })
        }
        (Value::Array(theirs), Value::Array(ours)) if theirs.len() == ours.len() => theirs
            .iter()
            .zip(ours)
            .enumerate()
            .find_map(|(i, (theirs, ours))| {
                value_difference(theirs, ours, exact, &format!("{path}[{i}]"))
            }),
        (Value::Number(theirs), Value::Number(ours)) if same_number(theirs, ours, exact) => None,
        (Value::Bool(_) | Value::String(_) | Value::Null, _) if theirs == ours => None,
        _ => Some(format!(
            "{path} is {} where MLflow says {}",
            short(&ours.to_string()),
            short(&theirs.to_string())
        )),
    }
}

/// Whether two numbers are the same: integers and floats never are, as `1` and `1.0` are different
/// types to a client.
fn same_number(theirs: &serde_json::Number, ours: &serde_json::Number, exact: bool) -> bool {
    if !theirs.is_f64() || !ours.is_f64() {
        return theirs == ours;
    }
    let (Some(theirs), Some(ours)) = (theirs.as_f64(), ours.as_f64()) else {
        return false;
    };
    if theirs.to_bits() == ours.to_bits() {
        return true;
    }
    let allowed = (RELATIVE * theirs.abs().max(ours.abs())).max(ABSOLUTE);
    !exact && (theirs - ours).abs() <= allowed
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(status: u16, body: &str) -> Answer {
        Answer {
            status,
            content_type: String::new(),
            body: body.to_owned(),
        }
    }

    fn differ(theirs: &str, ours: &str, exact: bool) -> bool {
        difference(&answer(200, theirs), &answer(200, ours), exact).is_some()
    }

    #[test]
    fn numbers_are_compared_by_type_and_value() {
        assert!(!differ("[1, 2.5]", "[1,2.5]", true));
        assert!(differ("[1]", "[1.0]", true));
        assert!(differ("[9007199254740993]", "[9007199254740992]", true));
        assert!(differ("[0.1]", "[0.10000000149011612]", true));
        assert!(!differ("[0.1]", "[0.10000000149011612]", false));
        assert!(differ("[0.0]", "[-0.0]", true));
        assert!(differ("[0.1]", "[0.1001]", false));
    }

    #[test]
    fn literals_of_python_are_values_of_their_own() {
        assert!(!differ("[NaN, -Infinity]", "[NaN,-Infinity]", true));
        assert!(differ("[NaN]", "[null]", true));
        assert!(differ("[NaN]", "[\"NaN\"]", true));
        assert!(differ("[Infinity]", "[-Infinity]", true));
        assert!(!differ(r#"["NaN \" NaN"]"#, r#"["NaN \" NaN"]"#, true));
    }

    #[test]
    fn structure_and_keys_are_compared() {
        assert!(differ(r#"{"a": 1}"#, r#"{"b": 1}"#, true));
        assert!(differ(r#"{"a": 1, "b": 2}"#, r#"{"b": 2, "a": 1}"#, true));
        assert!(differ("[[1]]", "[1]", true));
        assert!(differ("[true]", "[1]", true));
        assert!(!differ(r#"["\u00fc"]"#, "[\"\u{fc}\"]", true));
    }

    #[test]
    fn errors_are_compared_by_status_and_code() {
        let theirs = answer(400, r#"{"error_code": "BAD_REQUEST", "message": "one"}"#);
        let same = answer(400, r#"{"error_code": "BAD_REQUEST", "message": "two"}"#);
        let other = answer(400, r#"{"error_code": "INTERNAL_ERROR"}"#);
        assert_eq!(difference(&theirs, &same, true), None);
        assert!(difference(&theirs, &other, true).is_some());
        assert!(difference(&theirs, &answer(500, "{}"), true).is_some());
        assert_eq!(
            difference(&answer(415, "text"), &answer(415, "{}"), true),
            None
        );
    }
}
