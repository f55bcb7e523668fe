//! Errors as MLflow's clients read them: `error_code`, `message`, `sqlstate`, `error_class`.
//!
//! An answer never carries a payload or a stack trace; it does carry the request id.

use std::borrow::Cow;

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use http::header::{ALLOW, CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderValue, StatusCode};

use mlrs_api::ErrorCode;

use crate::{ErrorClass, RequestId};

/// Characters of a message that are told at most. Messages repeat what a client sent, however long.
const MESSAGE: usize = 4000;

/// Characters at the end of a message that is cut, where its remedy often is.
const MESSAGE_END: usize = 500;

/// An error on its way to a client. Boxed, so that the results that carry it stay small.
#[derive(Clone, Debug)]
pub struct ApiError(Box<Fields>);

#[derive(Clone, Debug)]
struct Fields {
    code: ErrorCode,
    status: StatusCode,
    class: Option<ErrorClass>,
    message: Cow<'static, str>,
    retry_after_seconds: Option<u32>,
    allow: Option<&'static str>,
    request_id: Option<RequestId>,
}

impl ApiError {
    /// An error with the status and class that its code has.
    pub fn new(code: ErrorCode, message: impl Into<Cow<'static, str>>) -> Self {
        Self(Box::new(Fields {
            code,
            // Every code of the table is a status; 500 only keeps this total.
            status: StatusCode::from_u16(code.http_status())
                .unwrap_or(StatusCode::INTERNAL_SERVER_ERROR),
            class: ErrorClass::of(code),
            message: cut(message.into()),
            retry_after_seconds: None,
            allow: None,
            request_id: None,
        }))
    }

    /// `404 ENDPOINT_NOT_FOUND`; `message` says which routes there are.
    pub fn not_found(message: &'static str) -> Self {
        Self::new(ErrorCode::EndpointNotFound, message)
    }

    /// `405`, with the methods that the route knows.
    pub fn method_not_allowed(allow: &'static str) -> Self {
        let message = format!("this route takes {allow}");
        let mut error =
            Self::new(ErrorCode::BadRequest, message).with_status(StatusCode::METHOD_NOT_ALLOWED);
        error.0.allow = Some(allow);
        error
    }

    /// The same error with another status: what HTTP tells apart and MLflow has no code for
    /// (405, 408, 413, 415).
    #[must_use]
    pub fn with_status(mut self, status: StatusCode) -> Self {
        self.0.status = status;
        self
    }

    /// The same error with a finer class than its code gives.
    #[must_use]
    pub fn with_class(mut self, class: ErrorClass) -> Self {
        self.0.class = Some(class);
        self
    }

    /// The same error with a `Retry-After` header.
    #[must_use]
    pub fn with_retry_after(mut self, seconds: u32) -> Self {
        self.0.retry_after_seconds = Some(seconds);
        self
    }

    /// The same error with the id of the request that it answers.
    #[must_use]
    pub fn with_request_id(mut self, id: RequestId) -> Self {
        self.0.request_id = Some(id);
        self
    }

    /// The HTTP status.
    pub fn status(&self) -> StatusCode {
        self.0.status
    }

    /// MLflow's code.
    pub fn code(&self) -> ErrorCode {
        self.0.code
    }

    /// The message.
    pub fn message(&self) -> &str {
        &self.0.message
    }

    fn body(&self, id: &RequestId) -> Vec<u8> {
        let mut body = serde_json::Map::new();
        let mut put = |key: &str, value: &str| body.insert(key.to_owned(), value.into());
        put("error_code", self.0.code.name());
        put("message", &self.0.message);
        if let Some(class) = self.0.class {
            put("sqlstate", class.sqlstate());
            put("error_class", class.as_str());
        }
        put("request_id", id.as_str());
        serde_json::Value::Object(body).to_string().into_bytes()
    }
}

/// A message without its middle, when it is too long.
fn cut(message: Cow<'static, str>) -> Cow<'static, str> {
    if message.len() <= MESSAGE {
        return message;
    }
    let count = message.chars().count();
    if count <= MESSAGE {
        return message;
    }
    let head: String = message.chars().take(MESSAGE - MESSAGE_END).collect();
    let tail: String = message.chars().skip(count - MESSAGE_END).collect();
    format!(
        "{head} … ({} characters left out) … {tail}",
        count - MESSAGE
    )
    .into()
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let id = self
            .0
            .request_id
            .clone()
            .unwrap_or_else(RequestId::generate);
        let mut response = Response::new(Body::from(self.body(&id)));
        *response.status_mut() = self.0.status;
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        if let Some(seconds) = self.0.retry_after_seconds {
            headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
        }
        if let Some(allow) = self.0.allow {
            headers.insert(ALLOW, HeaderValue::from_static(allow));
        }
        id.tag(response)
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderMap;
    use http_body_util::BodyExt;

    use super::*;
    use crate::request_id::REQUEST_ID;

    fn id(text: &'static str) -> RequestId {
        let mut headers = HeaderMap::new();
        headers.insert(REQUEST_ID, HeaderValue::from_static(text));
        RequestId::of(&headers)
    }

    async fn text(response: Response) -> String {
        let bytes = response.into_body().collect().await.unwrap().to_bytes();
        String::from_utf8(bytes.to_vec()).unwrap()
    }

    #[tokio::test]
    async fn the_class_overrides_that_of_the_code() {
        let error = ApiError::new(
            ErrorCode::InvalidParameterValue,
            "Model is missing inputs ['n'].",
        )
        .with_class(ErrorClass::SchemaEnforcementFailed)
        .with_request_id(id("abc"));
        let response = error.into_response();
        assert_eq!(response.status(), 400);
        assert_eq!(response.headers()[REQUEST_ID], "abc");
        insta::assert_snapshot!(text(response).await, @r#"{"error_code":"INVALID_PARAMETER_VALUE","message":"Model is missing inputs ['n'].","sqlstate":"KAM01","error_class":"SCHEMA_ENFORCEMENT_FAILED","request_id":"abc"}"#);
    }

    #[tokio::test]
    async fn codes_without_a_class_leave_it_out() {
        let error = ApiError::new(ErrorCode::RequestLimitExceeded, "busy")
            .with_retry_after(1)
            .with_request_id(id("abc"));
        let response = error.into_response();
        assert_eq!(response.status(), 429);
        assert_eq!(response.headers()[RETRY_AFTER], "1");
        insta::assert_snapshot!(text(response).await, @r#"{"error_code":"REQUEST_LIMIT_EXCEEDED","message":"busy","request_id":"abc"}"#);
    }

    #[test]
    fn a_long_message_loses_its_middle() {
        let long = format!("begin {} end", "ä".repeat(1 << 20));
        let error = ApiError::new(ErrorCode::InvalidParameterValue, long);
        let message = error.message();
        assert!(message.chars().count() < 4100);
        assert!(message.starts_with("begin ä") && message.ends_with("ä end"));
        assert!(
            message.contains("(1044586 characters left out)"),
            "{}",
            &message[6900..7200]
        );
        let short = "ä".repeat(4000);
        let error = ApiError::new(ErrorCode::InvalidParameterValue, short.clone());
        assert_eq!(error.message(), short);
    }

    #[test]
    fn every_answer_has_an_id() {
        let response = ApiError::method_not_allowed("POST").into_response();
        assert_eq!(response.status(), 405);
        assert_eq!(response.headers()[ALLOW], "POST");
        assert_eq!(response.headers()[REQUEST_ID].len(), 32);
    }
}
