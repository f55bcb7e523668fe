//! One call of the API: read, handle, answer, count, log.

use std::error::Error;
use std::panic::AssertUnwindSafe;
use std::time::Instant;

use axum::extract::Request;
use axum::response::{IntoResponse, Response};
use futures_util::FutureExt as _;
use http::Method;
use mlrs_http::{ApiError, ErrorCode, RequestId, answer, body};
use mlrs_store::StoreError;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::sent;
use crate::state::TrackingState;

/// Why a call is not answered with what was asked for.
pub(crate) enum Refused {
    /// A rule or the store refuses.
    Store(StoreError),
    /// The body could not be read.
    Http(ApiError),
}

impl From<StoreError> for Refused {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl Refused {
    fn into_error(self, id: &RequestId) -> ApiError {
        match self {
            Self::Http(error) => error,
            Self::Store(error) => {
                log(&error, id);
                let refused = ApiError::new(error.code(), error.to_string());
                match error.code() {
                    ErrorCode::TemporarilyUnavailable => refused.with_retry_after(1),
                    _ => refused,
                }
            }
        }
    }
}

/// The cause of a failure is for the log, not for the client.
fn log(error: &StoreError, id: &RequestId) {
    let mut causes = Vec::new();
    let mut cause = error.source();
    while let Some(found) = cause {
        causes.push(found.to_string());
        cause = found.source();
    }
    if !causes.is_empty() {
        tracing::error!(request_id = id.as_str(), %error, cause = causes.join(": "), "a request failed");
    }
}

/// Answers a request with what `handler` makes of it.
pub(crate) async fn call<T, U, F>(
    state: TrackingState,
    request: Request,
    handler: impl FnOnce(TrackingState, T) -> F,
) -> Response
where
    T: DeserializeOwned,
    U: Serialize,
    F: Future<Output = Result<U, StoreError>>,
{
    let begin = Instant::now();
    let (head, sent) = request.into_parts();
    let id = RequestId::of(&head.headers);
    let work = async {
        let request = read(&state, &head, sent).await?;
        let answered = handler(state.clone(), request).await?;
        serde_json::to_vec(&answered)
            .map_err(|error| Refused::Store(StoreError::Internal(Box::new(error))))
    };
    // A panic costs one request.
    let outcome = AssertUnwindSafe(work).catch_unwind().await;
    let panicked = |_| {
        Err(Refused::Store(StoreError::Internal(
            "the handler panicked".into(),
        )))
    };
    let response = match outcome.unwrap_or_else(panicked) {
        Ok(json) => answer::ok(&head.headers, &id, answer::JSON, json).await,
        Err(refused) => refused
            .into_error(&id)
            .with_request_id(id.clone())
            .into_response(),
    };
    let took = begin.elapsed();
    state.metrics().answered(response.status(), took);
    tracing::debug!(
        request_id = id.as_str(),
        method = %head.method,
        path = head.uri.path(),
        status = response.status().as_u16(),
        microseconds = took.as_micros() as u64,
        "answered"
    );
    response
}

async fn read<T: DeserializeOwned>(
    state: &TrackingState,
    head: &http::request::Parts,
    sent: axum::body::Body,
) -> Result<T, Refused> {
    if head.method == Method::GET || head.method == Method::HEAD {
        return Ok(sent::query(head.uri.query().unwrap_or_default())?);
    }
    if let Err(error) = sent::check_content_type(&head.method, &head.headers) {
        body::discard(&head.headers, sent).await;
        return Err(error.into());
    }
    let read = body::read(&head.headers, sent, state.limits(), state.budget()).await;
    let admitted = read.map_err(|error| Refused::Http(error.into()))?;
    Ok(sent::body(&admitted.bytes)?)
}
