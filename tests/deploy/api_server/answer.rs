//! Answers as an API server gives them.

use axum::body::Body;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use serde_json::{Value, json};

/// A refusal: code, reason and message of a `Status`, perhaps with details.
#[derive(Debug)]
pub struct Refusal {
    pub code: u16,
    pub reason: &'static str,
    pub message: String,
    pub details: Value,
}

impl Refusal {
    pub fn new(code: u16, reason: &'static str, message: impl Into<String>) -> Self {
        Self {
            code,
            reason,
            message: message.into(),
            details: Value::Null,
        }
    }

    pub fn not_found(plural: &str, name: &str) -> Self {
        let details = json!({"name": name, "kind": plural});
        Self {
            details,
            ..Self::new(404, "NotFound", format!("{plural} \"{name}\" not found"))
        }
    }

    pub fn status(&self) -> Value {
        let mut status = json!({
            "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
            "message": self.message, "reason": self.reason, "code": self.code,
        });
        if !self.details.is_null() {
            status["details"] = self.details.clone();
        }
        status
    }

    pub fn response(&self) -> Response {
        json_response(self.code, &self.status())
    }
}

pub fn json_response(code: u16, value: &Value) -> Response {
    let code = StatusCode::from_u16(code).unwrap();
    let head = [(header::CONTENT_TYPE, "application/json")];
    (code, head, value.to_string()).into_response()
}

/// What a path gets that no kind has.
pub fn unknown_path() -> Response {
    (StatusCode::NOT_FOUND, "404 page not found\n").into_response()
}

pub fn stream(lines: impl futures_util::Stream<Item = String> + Send + 'static) -> Response {
    use futures_util::StreamExt as _;
    let lines = lines.map(|line| Ok::<_, std::convert::Infallible>(line + "\n"));
    let head = [(header::CONTENT_TYPE, "application/json")];
    (head, Body::from_stream(lines)).into_response()
}

/// No answer at all: the connection ends.
pub fn broken() -> Response {
    let error = std::io::Error::from(std::io::ErrorKind::ConnectionReset);
    Body::from_stream(futures_util::stream::iter([Err::<String, _>(error)])).into_response()
}
