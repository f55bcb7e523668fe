//! Single values: required ones, ids, lengths, keys.

use serde::de::IgnoredAny;
use serde_json::Value;

use crate::error::StoreError;
use crate::rules::limits;

/// What becomes of values that are too long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Truncate {
    /// They are cut, where MLflow cuts them: values of params and tags of runs.
    Cut,
    /// They are refused.
    Refuse,
}

/// Which characters names of metrics and params may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Names {
    /// Those of MLflow, whose file store makes files of them.
    Mlflow,
    /// Also `@ [ ] = ( ) ,`, as in `precision@10` or `layer[0]`.
    Relaxed,
}

/// The characters that [`Names::Relaxed`] adds.
const RELAXED: [char; 7] = ['@', '[', ']', '=', '(', ')', ','];

/// What the hint of a refused request points to.
const SEE_DOCS: &str = " See the API docs for more information about request parameters.";

/// The value of a required field, which is neither absent nor empty.
///
/// # Errors
/// When it is.
pub fn required<'a>(value: &'a Option<String>, field: &str) -> Result<&'a str, StoreError> {
    match value.as_deref() {
        None | Some("") => Err(missing(field)),
        Some(value) => Ok(value),
    }
}

/// The same for a field of something that is counted, whose name is made only when it is needed.
///
/// # Errors
/// When it is absent or empty.
pub fn required_at<'a>(
    value: &'a Option<String>,
    path: Path<'_>,
    field: &str,
) -> Result<&'a str, StoreError> {
    match value.as_deref() {
        None | Some("") => Err(missing(&path.of(field))),
        Some(value) => Ok(value),
    }
}

/// Where something stands in a request: `metrics[3]`, or at its root.
#[derive(Debug, Clone, Copy)]
pub enum Path<'a> {
    /// At the root.
    Root,
    /// In a list of this name, counted from 0.
    Item(&'a str, usize),
}

impl Path<'_> {
    /// The name of a field there.
    pub fn of(self, field: &str) -> String {
        match self {
            Self::Root => field.to_owned(),
            Self::Item(list, index) => format!("{list}[{index}].{field}"),
        }
    }
}

/// The value of a required field that is no text.
///
/// # Errors
/// When it is absent.
pub fn present<T: Copy>(value: Option<T>, path: Path<'_>, field: &str) -> Result<T, StoreError> {
    value.ok_or_else(|| missing(&path.of(field)))
}

/// A required field that is absent.
pub fn missing(field: &str) -> StoreError {
    StoreError::invalid(format!(
        "Missing value for required parameter '{field}'.{SEE_DOCS}"
    ))
}

/// A value that a field does not take.
pub fn invalid(value: &Value, field: &str, reason: &str) -> StoreError {
    StoreError::invalid(format!(
        "Invalid value {value} for parameter '{field}' supplied: {reason}"
    ))
}

/// A field whose value has the wrong type, as MLflow's schemas put it.
pub fn wrong_type(value: &Value, field: &str) -> StoreError {
    let kind = match value {
        Value::Null => "NoneType",
        Value::Bool(_) => "bool",
        Value::Number(number) if number.is_f64() => "float",
        Value::Number(_) => "int",
        Value::String(_) => "str",
        Value::Array(_) => "list",
        Value::Object(_) => "dict",
    };
    invalid(
        value,
        field,
        &format!(" Hint: Value was of type '{kind}'.{SEE_DOCS}"),
    )
}

/// The number of an experiment.
///
/// # Errors
/// When the text is no integer.
pub fn parse_experiment_id(text: &str) -> Result<i64, StoreError> {
    text.trim().parse().map_err(|_| {
        StoreError::invalid(format!(
            "Invalid experiment ID '{text}'. Experiment ID must be a valid integer."
        ))
    })
}

/// A text within its length.
///
/// # Errors
/// When it is longer, and is not to be cut.
pub fn within(
    what: &str,
    limit: usize,
    mut text: String,
    truncate: Truncate,
) -> Result<String, StoreError> {
    // Bytes are never fewer than characters.
    if text.len() <= limit {
        return Ok(text);
    }
    let Some((end, _)) = text.char_indices().nth(limit) else {
        return Ok(text);
    };
    match truncate {
        Truncate::Cut => {
            text.truncate(end);
            Ok(text)
        }
        Truncate::Refuse => Err(StoreError::invalid(format!(
            "'{what}' exceeds the maximum length of {limit} characters"
        ))),
    }
}

/// The value of a tag of a run within its length: a text is cut, JSON is not.
///
/// MLflow cuts both. Its clients keep lists in tags (`mlflow.loggedArtifacts`,
/// `mlflow.log-model.history`), which they read before they add to them, and half a list is none:
/// from then on every call that adds to it fails.
///
/// # Errors
/// When it is too long and not to be cut.
pub fn tag_value(what: &str, text: String, truncate: Truncate) -> Result<String, StoreError> {
    let limit = limits::RUN_TAG_VALUE;
    if truncate == Truncate::Cut && text.len() > limit && is_json(&text) {
        return within(what, limits::JSON_TAG_VALUE, text, Truncate::Refuse);
    }
    within(what, limit, text, truncate)
}

/// Whether a text is a list, an object or a text in JSON.
fn is_json(text: &str) -> bool {
    text.trim_start().starts_with(['[', '{', '"'])
        && serde_json::from_str::<IgnoredAny>(text).is_ok()
}

/// Checks the key of a metric, param or tag: its characters, and that it reads as one path.
///
/// # Errors
/// When it could not be a file name on its own.
pub fn check_key(key: &str, field: &str) -> Result<(), StoreError> {
    check_key_at(key, Path::Root, field)
}

/// The same for a key of something that is counted.
///
/// # Errors
/// When it could not be a file name on its own.
pub fn check_key_at(key: &str, path: Path<'_>, field: &str) -> Result<(), StoreError> {
    check_name_at(key, path, field, Names::Mlflow)
}

/// The same for the name of a metric or param, which may have more characters where that is allowed.
///
/// # Errors
/// When it could not be a file name on its own.
pub fn check_name_at(
    key: &str,
    path: Path<'_>,
    field: &str,
    names: Names,
) -> Result<(), StoreError> {
    // Most keys are one plain word.
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    if !key.is_empty() && key.bytes().all(plain) {
        return Ok(());
    }
    let allowed = |character: char| {
        character.is_alphanumeric()
            || matches!(character, '/' | '_' | '.' | '-' | ' ' | ':')
            || (names == Names::Relaxed && RELAXED.contains(&character))
    };
    let field = &path.of(field);
    if !key.chars().all(allowed) {
        return Err(invalid(
            &Value::from(key),
            field,
            "Names may only contain alphanumerics, underscores (_), dashes (-), periods (.), \
             spaces ( ), colon(:) and slashes (/).",
        ));
    }
    check_path(key, field)
}

/// Checks that a name reads as one path, and as no other.
///
/// # Errors
/// When it would mean another one.
pub fn check_path(key: &str, field: &str) -> Result<(), StoreError> {
    let normal = normal_path(key);
    if normal != key || normal == "." || normal.starts_with("..") || normal.starts_with('/') {
        return Err(invalid(
            &Value::from(key),
            field,
            &format!(
                "Names may be treated as files in certain cases, and must not resolve to other \
                 names when treated as such. This name would resolve to '{normal}'"
            ),
        ));
    }
    Ok(())
}

/// The shortest path that means the same, as POSIX has it; empty is `.`.
fn normal_path(path: &str) -> String {
    let root = match path.bytes().take_while(|byte| *byte == b'/').count() {
        0 => "",
        // Two slashes are their own kind of root.
        2 => "//",
        _ => "/",
    };
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." if parts.last().is_some_and(|last| *last != "..") => {
                parts.pop();
            }
            ".." if !root.is_empty() => {}
            part => parts.push(part),
        }
    }
    let joined = format!("{root}{}", parts.join("/"));
    if joined.is_empty() {
        ".".to_owned()
    } else {
        joined
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_that_are_one_path_are_taken() {
        for key in ["a", "train/loss", "a.b-c_d e:f", "Größe", "a..b", ".hidden"] {
            check_key(key, "key").unwrap();
        }
    }

    #[test]
    fn other_keys_are_refused() {
        for key in [
            "", ".", "..", "../x", "/a", "//a", "a/", "a//b", "a/../b", "./a",
        ] {
            let error = check_key(key, "name").unwrap_err().to_string();
            assert!(
                error.contains("must not resolve to other names"),
                "{key}: {error}"
            );
        }
        for key in ["a!", "a\nb", "a\\b", "\u{0}", "a'"] {
            let error = check_key(key, "name").unwrap_err().to_string();
            assert!(error.contains("Names may only contain"), "{key}: {error}");
        }
    }

    #[test]
    fn relaxed_names_have_more_characters_and_are_still_one_path() {
        let check = |name, names| check_name_at(name, Path::Root, "key", names);
        for name in ["precision@10", "layer[0]/w", "f(x,y)=z"] {
            check(name, Names::Relaxed).unwrap();
            assert!(check(name, Names::Mlflow).is_err(), "{name}");
        }
        for name in ["a!", "a#b", "a?b", "../@", "@/", "a\nb", ""] {
            assert!(check(name, Names::Relaxed).is_err(), "{name}");
        }
    }

    #[test]
    fn lengths_are_in_characters() {
        let cut = |text: &str| within("value", 3, text.to_owned(), Truncate::Cut).unwrap();
        assert_eq!(cut("äöü"), "äöü");
        assert_eq!(cut("äöüß"), "äöü");
        let error = within("key", 3, "abcd".to_owned(), Truncate::Refuse).unwrap_err();
        assert_eq!(
            error.to_string(),
            "'key' exceeds the maximum length of 3 characters"
        );
    }

    #[test]
    fn a_tag_that_is_json_is_not_cut() {
        let kept = |text: &str| tag_value("value", text.to_owned(), Truncate::Cut);
        let item = r#"{"path":"a.json","type":"table"}"#;
        let long = vec![item; 300].join(",");
        for json in [format!("[{long}]"), format!(" {{\"a\":[{long}]}} ")] {
            assert_eq!(kept(&json).unwrap(), json);
            let refused = tag_value("value", json, Truncate::Refuse).unwrap_err();
            assert!(refused.to_string().contains("maximum length of 8000"));
        }
        for text in [format!("[{long}"), long.clone(), "1".repeat(8001)] {
            assert_eq!(kept(&text).unwrap().len(), 8000);
        }
        let endless = format!("[{}]", vec![item; 40_000].join(","));
        let refused = kept(&endless).unwrap_err().to_string();
        assert!(refused.contains("maximum length of 1000000"), "{refused}");
    }

    #[test]
    fn texts_are_those_of_mlflow() {
        assert_eq!(
            missing("run_id").to_string(),
            "Missing value for required parameter 'run_id'. See the API docs for more information about request parameters."
        );
        assert_eq!(
            wrong_type(&Value::from("abc"), "value").to_string(),
            "Invalid value \"abc\" for parameter 'value' supplied:  Hint: Value was of type 'str'. See the API docs for more information about request parameters."
        );
    }
}
