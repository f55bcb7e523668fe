//! Two answers, field by field.

use serde_json::Value;

use crate::replay::Reply;
use crate::scenario::{Difference, Request};

/// What differs and was not meant to, or was meant to and does not.
pub fn differs(request: &Request, expected: &Reply, found: &Reply) -> Option<String> {
    let problem = match &request.difference {
        None if expected == found => return None,
        None => first_difference(expected, found),
        Some(kind @ (Difference::Message | Difference::MessageOfChance)) => {
            let without = |reply: &Reply| (reply.status, field(&reply.body, "error_code").clone());
            if without(expected) != without(found) {
                first_difference(expected, found)
            } else if expected == found && matches!(kind, Difference::Message) {
                "the message does not differ any more".to_owned()
            } else {
                return None;
            }
        }
        Some(Difference::To(status, code)) => {
            let code_found = field(&found.body, "error_code").as_str().unwrap_or("-");
            if expected == found {
                "the answer does not differ any more".to_owned()
            } else if found.status == *status && code_found == code {
                return None;
            } else {
                format!("mlrs was to answer {status} {code}")
            }
        }
        Some(Difference::Answer) => {
            if expected == found {
                "the answer does not differ any more".to_owned()
            } else if expected.status == found.status {
                return None;
            } else {
                "the status differs".to_owned()
            }
        }
    };
    let body = request.body.as_deref().unwrap_or_default();
    Some(format!(
        "{} {} {}\n  {problem}\n  mlflow {}\n  mlrs   {}",
        request.method,
        request.path,
        short(body),
        shown(expected),
        shown(found)
    ))
}

fn field<'a>(body: &'a Value, name: &str) -> &'a Value {
    body.get(name).unwrap_or(&Value::Null)
}

fn first_difference(expected: &Reply, found: &Reply) -> String {
    if expected.status != found.status {
        return "the status differs".to_owned();
    }
    path_of(&expected.body, &found.body, String::new())
        .map_or_else(String::new, |path| format!("differs at `{path}`"))
}

/// Where two values differ first.
fn path_of(expected: &Value, found: &Value, path: String) -> Option<String> {
    match (expected, found) {
        (Value::Object(one), Value::Object(other)) => {
            one.keys().chain(other.keys()).find_map(|key| {
                let inner = format!("{path}/{key}");
                match (one.get(key), other.get(key)) {
                    (Some(one), Some(other)) => path_of(one, other, inner),
                    (None, None) => None,
                    _ => Some(inner),
                }
            })
        }
        (Value::Array(one), Value::Array(other)) if one.len() == other.len() => one
            .iter()
            .zip(other)
            .enumerate()
            .find_map(|(index, (one, other))| path_of(one, other, format!("{path}/{index}"))),
        _ if expected == found => None,
        _ => Some(path),
    }
}

fn shown(reply: &Reply) -> String {
    format!("{} {}", reply.status, short(&reply.body.to_string()))
}

fn short(text: &str) -> String {
    let mut shown: String = text.chars().take(700).collect();
    if shown.len() < text.len() {
        shown.push('…');
    }
    shown
}
