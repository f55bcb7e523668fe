//! What a request says: a JSON body or a query, read into its wire type.
//!
//! Reading is tolerant in MLflow's way: unknown fields are nothing, a body may be JSON within a JSON
//! string, no body is an empty one. A field of the wrong type is named with its value.

use http::header::CONTENT_TYPE;
use http::{HeaderMap, Method};
use mlrs_store::StoreError;
use mlrs_store::rules::values::wrong_type;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use serde_path_to_error::{Path, Segment};
use url::form_urlencoded;

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

const NO_OBJECT: &str = "The request body must be a JSON object";

fn json<T: DeserializeOwned>(text: &[u8]) -> Result<T, StoreError> {
    // A list would be read as the fields in their order.
    if text.first() == Some(&b'[') {
        return Err(StoreError::invalid(NO_OBJECT));
    }
    let mut reader = serde_json::Deserializer::from_slice(text);
    let error = match serde_path_to_error::deserialize(&mut reader) {
        Ok(request) => match reader.end() {
            Ok(()) => return Ok(request),
            Err(error) => return Err(not_json(&error)),
        },
        Err(error) => error,
    };
    if !error.inner().is_data() {
        return Err(not_json(error.inner()));
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
    serde_path_to_error::deserialize(whole).map_err(|error| refused(whole, &error))
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
        return StoreError::invalid(format!(
            "Request specifies '{field}' twice, perhaps also in another spelling; provide only one of them."
        ));
    }
    let path = error.path().to_string();
    match at(whole, error.path()) {
        Some(found) if path != "." => wrong_type(found, &path),
        _ => StoreError::invalid(NO_OBJECT),
    }
}

fn at<'a>(whole: &'a Value, path: &Path) -> Option<&'a Value> {
    let mut found = whole;
    for segment in path {
        found = match segment {
            Segment::Map { key } => found.get(key)?,
            Segment::Seq { index } => found.get(index)?,
            _ => return None,
        };
    }
    Some(found)
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
        assert!(refusal("{").contains("not valid JSON"));
        assert!(refusal("{} x").contains("not valid JSON"));
    }

    #[test]
    fn a_field_in_two_spellings_is_refused() {
        let text = r#"{"model_id":"a","modelId":"b"}"#;
        assert!(
            refusal(text).contains("'model_id' twice"),
            "{}",
            refusal(text)
        );
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
