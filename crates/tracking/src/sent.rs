//! What a request says: a JSON body or a query, read into its wire type.
//!
//! Reading is tolerant in MLflow's way: unknown fields are nothing, fields have both of protobuf's
//! spellings, a body may be JSON within a JSON string, no body is an empty one. A field of the wrong
//! type is named with its value.

use http::header::CONTENT_TYPE;
use http::{HeaderMap, Method};
use mlrs_store::StoreError;
use mlrs_store::rules::values::{invalid, wrong_type};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use serde_path_to_error::{Path, Segment};
use url::form_urlencoded;

use crate::field_names::{BothSpellings, TOO_MANY, is_json_name};

/// Checks that a body that is to be JSON says so; MLflow asks it of POST and PUT.
///
/// # Errors
/// When it says nothing or something else.
pub(crate) fn check_content_type(method: &Method, headers: &HeaderMap) -> Result<(), StoreError> {
    if *method != Method::POST && *method != Method::PUT {
        return Ok(());
    }
    let Some(value) = headers.get(CONTENT_TYPE) else {
        return Err(StoreError::invalid(
            "Bad Request. Content-Type header is missing.",
        ));
    };
    let essence = value.as_bytes().split(|byte| *byte == b';').next();
    let essence = essence.unwrap_or_default().trim_ascii();
    if essence.eq_ignore_ascii_case(b"application/json") {
        return Ok(());
    }
    Err(StoreError::invalid(
        "Bad Request. Content-Type must be one of ['application/json'].",
    ))
}

/// Reads a body.
///
/// # Errors
/// When it is not JSON, not an object, or a field has the wrong type.
pub(crate) fn body<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, StoreError> {
    let text = bytes.trim_ascii();
    match text.first() {
        None => value(&Value::Object(Map::new())),
        // Old clients encode twice.
        Some(b'"') => {
            let inner: String = serde_json::from_slice(text).map_err(|error| not_json(&error))?;
            json(inner.as_bytes())
        }
        Some(_) => json(text),
    }
}

/// Bytes of a body that is read again to show the value that was refused.
const SHOWN: usize = 1 << 20;

const NO_OBJECT: &str = "The request body must be a JSON object";

fn json<T: DeserializeOwned>(text: &[u8]) -> Result<T, StoreError> {
    if text.first() == Some(&b'[') {
        return Err(StoreError::invalid(NO_OBJECT));
    }
    let mut reader = serde_json::Deserializer::from_slice(text);
    let error = match serde_path_to_error::deserialize(BothSpellings(&mut reader)) {
        Ok(request) => match reader.end() {
            Ok(()) => return Ok(request),
            Err(error) => return Err(not_json(&error)),
        },
        Err(error) => error,
    };
    if !error.inner().is_data() {
        return Err(not_json(error.inner()));
    }
    let path = error.path();
    if error.inner().to_string().starts_with(TOO_MANY) {
        return Err(StoreError::invalid(format!(
            "Invalid value for parameter '{path}' supplied: {TOO_MANY}."
        )));
    }
    if text.len() > SHOWN {
        return Err(StoreError::invalid(format!(
            "Invalid value for parameter '{path}' supplied"
        )));
    }
    // Read again, slowly, to show the value that was refused.
    let whole: Value = serde_json::from_slice(text).map_err(|error| not_json(&error))?;
    Err(refused(&whole, &error))
}

/// Reads the parameters of a query; one that is there several times is a list.
///
/// # Errors
/// When a field has the wrong type.
pub(crate) fn query<T: DeserializeOwned>(query: &str) -> Result<T, StoreError> {
    let mut fields: Map<String, Value> = Map::new();
    for (name, text) in form_urlencoded::parse(query.as_bytes()) {
        let text = Value::from(text.into_owned());
        match fields.get_mut(name.as_ref()) {
            None => {
                fields.insert(name.into_owned(), text);
            }
            Some(Value::Array(values)) => values.push(text),
            Some(first) => *first = Value::Array(vec![first.take(), text]),
        }
    }
    value(&Value::Object(fields))
}

/// Reads what has been JSON already.
///
/// # Errors
/// When a field has the wrong type.
pub(crate) fn value<T: DeserializeOwned>(whole: &Value) -> Result<T, StoreError> {
    serde_path_to_error::deserialize(BothSpellings(whole)).map_err(|error| refused(whole, &error))
}

fn not_json(error: &serde_json::Error) -> StoreError {
    StoreError::invalid(format!("The request body is not valid JSON: {error}"))
}

fn refused(whole: &Value, error: &serde_path_to_error::Error<serde_json::Error>) -> StoreError {
    let message = error.inner().to_string();
    if let Some(field) = message
        .strip_prefix("duplicate field `")
        .and_then(|rest| rest.split('`').next())
    {
        return twice(whole, error.path(), field);
    }
    let path = error.path().to_string();
    let found = match at(whole, error.path()).last() {
        Some(Some(found)) if path != "." => *found,
        _ => return StoreError::invalid(NO_OBJECT),
    };
    if let Some((_, allowed)) = message
        .strip_prefix("unknown variant `")
        .and_then(|rest| rest.rsplit_once("`, expected "))
    {
        // The names end with a backtick; a place in the text may follow.
        let names = allowed.rfind('`').map_or(allowed, |end| &allowed[..=end]);
        return invalid(found, &path, &format!("expected {names}."));
    }
    let refused = wrong_type(found, &path);
    match found {
        Value::Number(_) | Value::Bool(_) if message.contains("expected a string") => {
            StoreError::invalid(format!("{refused} It must be a string: \"{found}\"."))
        }
        _ => refused,
    }
}

/// A field that is there twice; MLflow has words for it where the spellings differ.
fn twice(whole: &Value, path: &Path, field: &str) -> StoreError {
    let other_spelling = at(whole, path).into_iter().flatten().find_map(|found| {
        let object = found
            .as_object()
            .filter(|object| object.contains_key(field))?;
        let mut names = object.keys();
        names.find(|name| *name != field && is_json_name(field, name))
    });
    StoreError::invalid(match other_spelling {
        Some(other) => {
            format!("Request specifies both '{field}' and '{other}'; provide only one of them.")
        }
        None => format!("Request specifies '{field}' twice; provide it only once."),
    })
}

/// What is at each step of a path, from the whole on.
fn at<'a>(whole: &'a Value, path: &Path) -> Vec<Option<&'a Value>> {
    let mut steps = vec![Some(whole)];
    let mut found = Some(whole);
    for segment in path {
        found = found.and_then(|found| match segment {
            Segment::Map { key } => field(found, key),
            Segment::Seq { index } => found.get(index),
            _ => None,
        });
        steps.push(found);
    }
    steps
}

/// The value of a field in either spelling.
fn field<'a>(object: &'a Value, name: &str) -> Option<&'a Value> {
    object.get(name).or_else(|| {
        let mut fields = object.as_object()?.iter();
        let found = fields.find(|(sent, _)| is_json_name(name, sent));
        found.map(|(_, value)| value)
    })
}

#[cfg(test)]
mod tests {
    use mlrs_api::metrics::{LogBatchRequest, LogMetricRequest};
    use mlrs_api::runs::SearchRunsRequest;

    use super::*;

    fn refusal(text: &str) -> String {
        body::<LogMetricRequest>(text.as_bytes())
            .unwrap_err()
            .to_string()
    }

    #[test]
    fn bodies_are_read_as_protobuf_reads_them() {
        for text in [
            r#"{"run_id":"r","key":"k","value":1.5,"timestamp":"12","step":3.0,"unknown":[]}"#,
            r#""{\"run_id\":\"r\",\"key\":\"k\",\"value\":\"1.5\",\"timestamp\":12,\"step\":\"3\"}""#,
        ] {
            let request: LogMetricRequest = body(text.as_bytes()).unwrap();
            assert_eq!(request.run_id.as_deref(), Some("r"));
            assert_eq!(
                (request.value, request.timestamp, request.step),
                (Some(1.5), Some(12), Some(3))
            );
        }
        assert_eq!(body::<LogMetricRequest>(b" ").unwrap().key, None);
    }

    #[test]
    fn a_field_of_the_wrong_type_is_named_with_its_value() {
        let hint = "See the API docs for more information about request parameters.";
        assert_eq!(
            refusal(r#"{"value":"abc"}"#),
            format!(
                "Invalid value \"abc\" for parameter 'value' supplied:  Hint: Value was of type 'str'. {hint}"
            )
        );
        let batch = body::<LogBatchRequest>(br#"{"metrics":[{},{"step":1.5}]}"#);
        assert_eq!(
            batch.unwrap_err().to_string(),
            format!(
                "Invalid value 1.5 for parameter 'metrics[1].step' supplied:  Hint: Value was of type 'float'. {hint}"
            )
        );
        assert!(refusal("[1]").contains("must be a JSON object"));
        let listed = body::<LogBatchRequest>(br#"{"run_id":"r","metrics":[["key",1.0,2]]}"#);
        assert!(listed.unwrap_err().to_string().contains("'metrics[0]'"));
        assert!(refusal("{").contains("not valid JSON"));
        assert!(refusal("{} x").contains("not valid JSON"));
    }

    #[test]
    fn a_field_in_two_spellings_is_refused() {
        for text in [
            r#"{"model_id":"a","modelId":"b"}"#,
            r#"{"modelId":"a","model_id":null}"#,
        ] {
            assert_eq!(
                refusal(text),
                "Request specifies both 'model_id' and 'modelId'; provide only one of them."
            );
        }
        let batch = r#"{"metrics":[{},{"model_id":"a","modelId":"b"}]}"#;
        let error = body::<LogBatchRequest>(batch.as_bytes()).unwrap_err();
        assert!(
            error.to_string().contains("both 'model_id' and 'modelId'"),
            "{error}"
        );
        assert_eq!(
            refusal(r#"{"key":"a","key":"b"}"#),
            "Request specifies 'key' twice; provide it only once."
        );
    }

    #[test]
    fn a_value_of_no_enumeration_is_refused_with_the_allowed_ones() {
        let search = body::<SearchRunsRequest>(br#"{"runViewType":"ACTIVE"}"#);
        assert_eq!(
            search.unwrap_err().to_string(),
            "Invalid value \"ACTIVE\" for parameter 'run_view_type' supplied: expected one of \
             `ACTIVE_ONLY`, `DELETED_ONLY`, `ALL`."
        );
        assert!(query::<SearchRunsRequest>("run_view_type=7").is_err());
    }

    #[test]
    fn a_number_in_the_place_of_a_text_is_answered_with_the_text() {
        let search = body::<SearchRunsRequest>(br#"{"experiment_ids":["0",1]}"#);
        let error = search.unwrap_err().to_string();
        assert!(
            error.contains("1 for parameter 'experiment_ids[1]'"),
            "{error}"
        );
        assert!(error.ends_with("It must be a string: \"1\"."), "{error}");
        assert!(refusal(r#"{"run_id":5}"#).ends_with("It must be a string: \"5\"."));
        assert!(!refusal(r#"{"run_id":{}}"#).contains("It must be"));
    }

    #[test]
    fn queries_have_lists_of_one_and_of_many() {
        let one: SearchRunsRequest = query("experiment_ids=1&max_results=5").unwrap();
        let two: SearchRunsRequest = query("experiment_ids=1&experiment_ids=2%20").unwrap();
        assert_eq!(one.experiment_ids, ["1"]);
        assert_eq!(one.max_results, Some(5));
        assert_eq!(two.experiment_ids, ["1", "2 "]);
        assert!(query::<SearchRunsRequest>("max_results=a").is_err());
    }
}
